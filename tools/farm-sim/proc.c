/* SPDX-License-Identifier: Apache-2.0
 * Reading /proc; see proc.h. Called by load.c. */
#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Places in /proc/PID/stat, counted from the parent's. */
enum { PARENT = 0, USER = 10, SYSTEM, USER_CHILDREN, SYSTEM_CHILDREN, RSS_PAGES = 20, FIELDS };

struct process {
    int pid, parent;
    uint64_t ticks; /* with those of children that were waited for */
    int64_t rss_kib;
    bool counted;
};

static bool read_stat(int pid, struct process *out)
{
    char path[48], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t len = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[len] = 0;
    /* The name in parentheses may hold anything; the numbers come after the last one and the state's letter. */
    const char *rest = strrchr(line, ')');
    int64_t field[FIELDS];
    if (!rest || strlen(rest) < 4)
        return false;
    rest += 3;
    for (int i = 0; i < FIELDS; i++) {
        char *end;
        field[i] = (int64_t)strtoll(rest, &end, 10);
        if (end == rest)
            return false;
        rest = end;
    }
    *out = (struct process){ .pid = pid,
                             .parent = (int)field[PARENT],
                             .ticks = (uint64_t)(field[USER] + field[SYSTEM] + field[USER_CHILDREN] +
                                                 field[SYSTEM_CHILDREN]),
                             .rss_kib = field[RSS_PAGES] * (sysconf(_SC_PAGESIZE) / 1024) };
    return true;
}

static int64_t read_hwm_kib(int pid)
{
    char path[48], line[256];
    int64_t kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = (int64_t)strtoll(line + 6, NULL, 10);
    fclose(f);
    return kib;
}

/* All processes of the machine; *len_out of them. NULL when out of memory. */
static struct process *list_processes(size_t *len_out)
{
    DIR *dir = opendir("/proc");
    struct process *list = NULL;
    size_t len = 0, room = 0;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int pid = (int)strtol(entry->d_name, NULL, 10); /* 0 for what is no process */
        if (pid <= 0)
            continue;
        if (len == room) {
            room = room ? room * 2 : 256;
            struct process *longer = realloc(list, room * sizeof *list);
            if (!longer)
                break;
            list = longer;
        }
        if (read_stat(pid, &list[len]))
            len++;
    }
    if (dir)
        closedir(dir);
    *len_out = len;
    return list;
}

/* Adds the descendants of pid; a few rounds, since children may be listed before their parents. */
static void add_children(int pid, fl_proc_usage *out, uint64_t *ticks)
{
    size_t len;
    struct process *list = list_processes(&len);
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < len; i++) {
            struct process *p = &list[i];
            bool mine = p->parent == pid;
            for (size_t k = 0; k < len && !mine; k++)
                mine = list[k].counted && list[k].pid == p->parent;
            if (!mine || p->counted)
                continue;
            p->counted = more = true;
            *ticks += p->ticks;
            out->children_rss_kib += p->rss_kib;
            out->children++;
        }
    }
    free(list);
}

bool fl_proc_read(int pid, fl_proc_usage *out)
{
    struct process self;
    if (!read_stat(pid, &self))
        return false;
    *out = (fl_proc_usage){ .rss_kib = self.rss_kib, .hwm_kib = read_hwm_kib(pid) };
    uint64_t ticks = self.ticks;
    add_children(pid, out, &ticks);
    out->cpu_us = (int64_t)(ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

int64_t fl_proc_own_cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}
