/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.c - a check's surroundings: an empty folder, storage prepared by the commands of the configuration, a process (and a
 * process group) of its own whose output goes to files, a time limit. Whatever the plugin does, the runner survives it.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT 180.0 /* seconds; no check needs a tenth of it on an idle machine */

/* ---- Folders -------------------------------------------------------------------------------------------------------- */

int kit_runner_init(kit_runner *runner, char *problem, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(runner->base, sizeof(runner->base), "%s/plugin-check-XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(runner->base) != NULL)
        return 0;
    snprintf(problem, size, "%s: %s", runner->base, strerror(errno));
    return -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path); /* what stays is a folder for temporary files with something in it */
    return 0;
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void kit_runner_fini(kit_runner *runner)
{
    if (!runner->options->keep)
        remove_tree(runner->base);
}

/* The end of what the check wrote to a file: the last thing that a process says tells why it died. */
static void read_tail(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    out[0] = '\0';
    if (fd < 0)
        return;
    off_t len = lseek(fd, 0, SEEK_END);
    off_t from = len > (off_t)size - 1 ? len - (off_t)size + 1 : 0;
    ssize_t n = pread(fd, out, size - 1, from);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
}

/* A sanitizer's report begins with the line that matters. */
static void describe_death(const char *path, char *out, size_t size)
{
    char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *found = strstr(text, "ERROR: ");
    if (found == NULL)
        found = strstr(text, "runtime error: ");
    if (found != NULL) {
        size_t lines = 0, len = 0;
        while (found[len] != '\0' && len < size - 1 && (found[len] != '\n' || ++lines < 8))
            ++len;
        snprintf(out, size, "%.*s", (int)len, found);
    } else {
        read_tail(path, out, size < 600 ? size : 600);
    }
}

/* ---- Commands ------------------------------------------------------------------------------------------------------- */

static int run_commands(const kit_runner *runner, const char *key, const char *dir, const char *run, char *why,
                        size_t size)
{
    const char *text;
    for (size_t i = 0; (text = kit_config_get(runner->config, key, i)) != NULL; ++i) {
        char log[4096], *command = kit_config_expand(text, dir, run);
        int status = -1;
        if (command == NULL) {
            snprintf(why, size, "memory is exhausted");
            return -1;
        }
        snprintf(log, sizeof(log), "%s/commands.log", runner->base);
        pid_t child = fork();
        if (child == 0) {
            int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2)
                execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        if (child > 0)
            (void)waitpid(child, &status, 0);
        if (status != 0) {
            char tail[512];
            read_tail(log, tail, sizeof(tail));
            snprintf(why, size, "the %s command failed: %s\n%s", key, command, tail);
            free(command);
            return -1;
        }
        free(command);
    }
    return 0;
}

/* ---- The check's process -------------------------------------------------------------------------------------------- */

static void become_check(const kit_runner *runner, const kit_check *check, const char *dir, const char *run, int report)
{
    const struct rlimit no_core = { 0, 0 };
    char path[4096];
    kit *k = calloc(1, sizeof(*k));
    (void)setpgid(0, 0);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    snprintf(path, sizeof(path), "%s/../stderr", dir);
    int err = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    snprintf(path, sizeof(path), "%s/../stdout", dir);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int in = open("/dev/null", O_RDONLY);
    if (k == NULL || err < 0 || out < 0 || in < 0 || chdir(dir) != 0 || dup3(report, KIT_REPORT_FD, O_CLOEXEC) < 0 ||
        dup3(2, KIT_REPORT_FD + 1, O_CLOEXEC) < 0 || dup2(in, 0) != 0 || dup2(out, 1) != 1 || dup2(err, 2) != 2)
        _exit(71);
    close(in);
    close(out);
    close(err);
    close(report);
    k->options = runner->options;
    k->config = runner->config;
    k->check = check;
    k->dir = dir;
    k->run = run;
    k->now_us = KIT_NOW;
    if (pthread_mutex_init(&k->lock, NULL) != 0)
        _exit(71);
    check->run(k);
    _exit(write(KIT_REPORT_FD, "O", 1) == 1 ? 0 : 71);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waits for the process. Returns its status; -1 when it had to be killed. */
static int await(pid_t pid, double limit)
{
    int status = 0;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    double until = now() + limit;
    for (;;) {
        double left = until - now();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (left <= 0) {
            (void)kill(-pid, SIGKILL);
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            status = -1;
            break;
        }
        if (fd < 0)
            (void)usleep(5000); /* a kernel without pidfd_open */
        else if (poll(&p, 1, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            continue;
        if (waitpid(pid, &status, WNOHANG) == pid)
            break;
    }
    if (fd >= 0)
        close(fd);
    (void)kill(-pid, SIGKILL); /* helpers that it left behind */
    return status;
}

static void read_report(int fd, int status, const char *dir, double limit, kit_result *out)
{
    char report[4096], why[1024], path[4096];
    ssize_t n = read(fd, report, sizeof(report) - 1);
    report[n > 0 ? n : 0] = '\0';
    snprintf(path, sizeof(path), "%s/../stderr", dir);
    out->verdict = KIT_FAILED;
    if (n > 0 && WIFEXITED(status)) {
        const char *text = report + 1;
        out->verdict = report[0] == KIT_SAYS_OK        ? KIT_OK
                       : report[0] == KIT_SAYS_SKIPPED ? KIT_SKIPPED
                       : report[0] == KIT_SAYS_BLOCKED ? KIT_BLOCKED
                                                       : KIT_FAILED;
        if (out->verdict == KIT_BLOCKED) {
            size_t len = strcspn(text, " ");
            snprintf(out->blocked_by, sizeof(out->blocked_by), "%.*s", (int)len, text);
            text += len + (text[len] == ' ');
        }
        snprintf(out->reason, sizeof(out->reason), "%.2000s", text);
    } else if (status == -1) {
        snprintf(out->reason, sizeof(out->reason), "it did not end within %.0f s", limit);
    } else {
        describe_death(path, why, sizeof(why));
        out->exited = WIFEXITED(status) && strstr(why, "Sanitizer") == NULL;
        if (WIFSIGNALED(status))
            snprintf(out->reason, sizeof(out->reason), "it crashed: %s%s%s", strsignal(WTERMSIG(status)),
                     why[0] != '\0' ? "\n" : "", why);
        else
            snprintf(out->reason, sizeof(out->reason), "the process ended in the middle, with exit code %d%s%s",
                     WEXITSTATUS(status), why[0] != '\0' ? "\n" : "", why);
    }
}

static void run_prepared(kit_runner *runner, const kit_check *check, const char *dir, const char *run, kit_result *out)
{
    int pipe_fds[2];
    double limit = TIME_LIMIT * runner->options->slower;
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(out->reason, sizeof(out->reason), "no pipe: %s", strerror(errno));
        return;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become_check(runner, check, dir, run, pipe_fds[1]);
    close(pipe_fds[1]);
    if (pid < 0) {
        snprintf(out->reason, sizeof(out->reason), "no process: %s", strerror(errno));
    } else {
        (void)setpgid(pid, pid); /* both sides do, so that it is true at once */
        int status = await(pid, limit);
        read_report(pipe_fds[0], status, dir, limit, out);
    }
    close(pipe_fds[0]);
}

void kit_runner_run(kit_runner *runner, const kit_check *check, kit_result *out)
{
    char dir[3900], whole[3600], run[64], why[1024];
    double begin = now();
    *out = (kit_result){ .check = check, .verdict = KIT_FAILED };
    ++runner->n;
    snprintf(run, sizeof(run), "kit%d_%llu", (int)getpid(), (unsigned long long)runner->n);
    snprintf(whole, sizeof(whole), "%s/%s", runner->base, check->name);
    snprintf(dir, sizeof(dir), "%s/work", whole);
    if (mkdir(whole, 0700) != 0 || mkdir(dir, 0700) != 0) {
        snprintf(out->reason, sizeof(out->reason), "%.1000s: %s", dir, strerror(errno));
        return;
    }
    if (run_commands(runner, "setup", dir, run, why, sizeof(why)) == 0) {
        run_prepared(runner, check, dir, run, out);
        if (run_commands(runner, "teardown", dir, run, why, sizeof(why)) != 0 && out->verdict == KIT_OK) {
            out->verdict = KIT_FAILED;
            snprintf(out->reason, sizeof(out->reason), "%s", why);
        }
    } else {
        snprintf(out->reason, sizeof(out->reason), "%s", why);
    }
    if (!runner->options->keep)
        remove_tree(whole);
    out->seconds = now() - begin;
}
