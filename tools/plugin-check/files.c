/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - checks of log storage and of local storage.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flamenco/local_storage.h"
#include "flamenco/log_storage.h"
#include "groups.h"
#include "store.h"

/* ---- Log storage ----------------------------------------------------------------------------------------------------- */

typedef struct logs {
    kit *k;
    kit_instance *i;
    const flamenco_log_storage *table;
    kit_cx *cx;
    flamenco_error err;
    flamenco_uuid job, task;
} logs;

static logs logs_start(kit *k)
{
    logs l = { .k = k, .i = kit_start_subject(k), .err = kit_error(), .job = kit_uuid(1), .task = kit_uuid(2) };
    l.table = kit_table_of(l.i, FLAMENCO_LOG_STORAGE);
    l.cx = kit_cx_make(l.i);
    return l;
}

static void append(logs *l, const flamenco_uuid *task, flamenco_str text)
{
    EXPECT_CODE(l->table->append(l->i->self, &l->job, task, text, &l->err), FLAMENCO_OK, &l->err);
}

static flamenco_str tail(logs *l, const flamenco_uuid *task, uint64_t most)
{
    flamenco_str out = { NULL, 0 };
    EXPECT_CODE(l->table->tail(l->i->self, &l->cx->cx, &l->job, task, most, &out, &l->err), FLAMENCO_OK, &l->err);
    EXPECT(out.len <= most, "tail gives %llu bytes, %llu were asked for", (unsigned long long)out.len,
           (unsigned long long)most);
    return out;
}

static uint64_t log_size(logs *l, const flamenco_uuid *task)
{
    flamenco_log_info info = ROW(flamenco_log_info);
    EXPECT_CODE(l->table->info(l->i->self, &l->cx->cx, &l->job, task, &info, &l->err), FLAMENCO_OK, &l->err);
    return info.size_bytes;
}

static void texts_follow_each_other(kit *k)
{
    logs l = logs_start(k);
    append(&l, &l.task, flamenco_text("one\n"));
    append(&l, &l.task, flamenco_text("two"));
    append(&l, &l.task, flamenco_text(""));
    append(&l, &l.task, flamenco_text("three\nand four\n"));
    EXPECT_STR(tail(&l, &l.task, 2048), "one\ntwo\nthree\nand four\n");
    EXPECT_INT(log_size(&l, &l.task), 23);
    flamenco_uuid other = kit_uuid(3);
    append(&l, &other, flamenco_text("another"));
    EXPECT_STR(tail(&l, &other, 2048), "another\n");
    EXPECT_INT(log_size(&l, &l.task), 23);
}

static void no_log_is_not_found(kit *k)
{
    logs l = logs_start(k);
    for (int empty = 0; empty < 2; ++empty) {
        flamenco_log_info info = { .struct_size = (uint32_t)sizeof(info), .size_bytes = 77 };
        flamenco_str out = { "x", 77 };
        EXPECT_RC(l.table->info(l.i->self, &l.cx->cx, &l.job, &l.task, &info, &l.err), FLAMENCO_E_NOT_FOUND);
        EXPECT_RC(l.table->tail(l.i->self, &l.cx->cx, &l.job, &l.task, 2048, &out, &l.err), FLAMENCO_E_NOT_FOUND);
        EXPECT(info.size_bytes == 77 && out.len == 77, "what fails writes to its output");
        append(&l, &l.task, flamenco_text("")); /* does nothing, so it is the same again */
    }
}

static void the_tail_begins_with_a_whole_line(kit *k)
{
    logs l = logs_start(k);
    char lines[8192];
    int len = 0;
    for (int i = 0; i < 300; ++i)
        len += snprintf(lines + len, sizeof(lines) - (size_t)len, "line number %03d\n", i);
    append(&l, &l.task, (flamenco_str){ lines, (uint64_t)len });
    flamenco_str whole = { lines, (uint64_t)len };
    EXPECT(flamenco_str_equal(tail(&l, &l.task, (uint64_t)len), whole), "a tail as long as the log is not the log");
    for (uint64_t most = 64; most < 2100; most += 97) {
        flamenco_str out = tail(&l, &l.task, most);
        EXPECT(out.len + 16 >= most && memcmp(lines + len - out.len, out.ptr, (size_t)out.len) == 0,
               "a tail of %llu bytes is not the end of the log", (unsigned long long)most);
        EXPECT(memcmp(out.ptr, "line number", 11) == 0, "a tail of %llu bytes begins within a line",
               (unsigned long long)most);
    }
    /* One line that is longer than the tail: there is no whole one. */
    flamenco_uuid other = kit_uuid(3);
    memset(lines, 'x', 5000);
    append(&l, &other, (flamenco_str){ lines, 5000 });
    EXPECT_TRUE(tail(&l, &other, 2048).len > 0);
}

static void long_logs_are_kept(kit *k)
{
    logs l = logs_start(k);
    char text[1000];
    uint64_t size = 0;
    for (int i = 0; i < 3000; ++i) {
        int len =
            snprintf(text, sizeof(text), "%06d %.*s\n", i, i % 900, "Fra:12 Mem:345.67M | Rendering 1 / 64 samples");
        append(&l, &l.task, (flamenco_str){ text, (uint64_t)len });
        size += (uint64_t)len;
    }
    EXPECT_INT(log_size(&l, &l.task), size);
    flamenco_str all = tail(&l, &l.task, size);
    EXPECT_INT(all.len, size);
    EXPECT(memcmp(all.ptr, "000000 ", 7) == 0, "a tail of the whole log does not begin with its first line");
    EXPECT_TRUE(tail(&l, &l.task, 2048).len > 1800);
}

static void restart_keeps_logs(kit *k)
{
    logs l = logs_start(k);
    append(&l, &l.task, flamenco_text("before\n"));
    for (int i = 0; i < 2; ++i) {
        kit_end_all(k);
        kit_start_subject(k);
        append(&l, &l.task, flamenco_text("after\n"));
    }
    EXPECT_STR(tail(&l, &l.task, 2048), "before\nafter\nafter\n");
    EXPECT_INT(log_size(&l, &l.task), 19);
}

static void forgetting_a_job_loses_nothing(kit *k)
{
    logs l = logs_start(k);
    flamenco_uuid nobody = kit_uuid(77);
    append(&l, &l.task, flamenco_text("before\n"));
    l.table->forget_job(l.i->self, &l.job);
    l.table->forget_job(l.i->self, &nobody);
    append(&l, &l.task, flamenco_text("after\n"));
    EXPECT_STR(tail(&l, &l.task, 2048), "before\nafter\n");
}

static void rotation_begins_a_new_log(kit *k)
{
    logs l = logs_start(k);
    for (int i = 0; i < 4; ++i) {
        char text[32];
        flamenco_log_info info = ROW(flamenco_log_info);
        snprintf(text, sizeof(text), "run %d\n", i);
        append(&l, &l.task, flamenco_text(text));
        EXPECT_STR(tail(&l, &l.task, 2048), text);
        EXPECT_CODE(l.table->rotate(l.i->self, &l.job, &l.task, &l.err), FLAMENCO_OK, &l.err);
        EXPECT_RC(l.table->info(l.i->self, &l.cx->cx, &l.job, &l.task, &info, &l.err), FLAMENCO_E_NOT_FOUND);
    }
    append(&l, &l.task, flamenco_text("the last\n"));
    EXPECT_STR(tail(&l, &l.task, 2048), "the last\n");
}

static void path_is_that_of_a_file(kit *k)
{
    logs l = logs_start(k);
    append(&l, &l.task, flamenco_text("a line\n"));
    flamenco_log_info info = ROW(flamenco_log_info);
    flamenco_file_info file = ROW(flamenco_file_info);
    int32_t fd = -1;
    EXPECT_CODE(l.table->info(l.i->self, &l.cx->cx, &l.job, &l.task, &info, &l.err), FLAMENCO_OK, &l.err);
    if (info.path.len == 0 || !kit_needs(l.i, FLAMENCO_LOCAL_STORAGE))
        kit_skip("its logs are not to be had as files");
    kit_instance *storage = kit_provider(k, FLAMENCO_LOCAL_STORAGE);
    const flamenco_local_storage *files = kit_table_of(storage, FLAMENCO_LOCAL_STORAGE);
    EXPECT_CODE(files->open_file(storage->self, info.path, &fd, &file, &l.err), FLAMENCO_OK, &l.err);
    EXPECT_INT(file.size_bytes, 7);
    (void)close(fd);
}

static void logs_go_with_their_job(kit *k)
{
    logs l = logs_start(k);
    flamenco_log_info info = ROW(flamenco_log_info);
    if (!kit_needs(l.i, FLAMENCO_LOCAL_STORAGE))
        kit_skip("it does not keep its logs in local storage");
    kit_instance *storage = kit_provider(k, FLAMENCO_LOCAL_STORAGE);
    const flamenco_local_storage *files = kit_table_of(storage, FLAMENCO_LOCAL_STORAGE);
    append(&l, &l.task, flamenco_text("a line\n"));
    l.table->forget_job(l.i->self, &l.job);
    EXPECT_CODE(files->erase_job(storage->self, &l.cx->cx, &l.job, &l.err), FLAMENCO_OK, &l.err);
    EXPECT_RC(l.table->info(l.i->self, &l.cx->cx, &l.job, &l.task, &info, &l.err), FLAMENCO_E_NOT_FOUND);
    append(&l, &l.task, flamenco_text("late\n")); /* from a worker that did not know */
    EXPECT_STR(tail(&l, &l.task, 2048), "late\n");
}

static void append_many(void *ctx, uint32_t index)
{
    logs *l = ctx;
    flamenco_uuid job = kit_uuid(100 + index / 2), task = kit_uuid(200 + index);
    flamenco_error err = kit_error();
    for (int i = 0; i < 200; ++i) {
        char text[64];
        snprintf(text, sizeof(text), "thread %u line %d\n", index, i);
        EXPECT_CODE(l->table->append(l->i->self, &job, &task, flamenco_text(text), &err), FLAMENCO_OK, &err);
    }
}

static void threads_write_side_by_side(kit *k)
{
    logs l = logs_start(k);
    kit_threads(8, append_many, &l);
    for (uint32_t t = 0; t < 8; ++t) {
        char text[64], expected[8192] = "";
        size_t len = 0;
        flamenco_uuid task = kit_uuid(200 + t);
        for (int i = 0; i < 200; ++i) {
            snprintf(text, sizeof(text), "thread %u line %d\n", t, i);
            len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s", text);
        }
        l.job = kit_uuid(100 + t / 2);
        flamenco_str all = tail(&l, &task, sizeof(expected));
        EXPECT(flamenco_str_equal(all, flamenco_text(expected)), "the log of thread %u is not what it wrote", t);
    }
}

/* ---- Local storage --------------------------------------------------------------------------------------------------- */

typedef struct files {
    kit *k;
    kit_instance *i;
    const flamenco_local_storage *table;
    kit_cx *cx;
    flamenco_error err;
    flamenco_uuid job;
    char path[256];
} files;

static files files_start(kit *k)
{
    files f = { .k = k, .i = kit_start_subject(k), .err = kit_error(), .job = kit_uuid(1) };
    f.table = kit_table_of(f.i, FLAMENCO_LOCAL_STORAGE);
    f.cx = kit_cx_make(f.i);
    EXPECT_CODE(f.table->job_path(f.i->self, &f.job, f.path, sizeof(f.path), &f.err), FLAMENCO_OK, &f.err);
    return f;
}

static int make_dir(files *f)
{
    int32_t fd = -1;
    EXPECT_CODE(f->table->job_dir(f->i->self, &f->job, 1, &fd, &f->err), FLAMENCO_OK, &f->err);
    EXPECT(fd >= 0, "job_dir gives no descriptor");
    return fd;
}

static void write_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    EXPECT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "the check cannot write %s", name);
    (void)close(fd);
}

static int32_t open_below(files *f, const char *name, int32_t *fd, flamenco_file_info *info)
{
    char path[600];
    snprintf(path, sizeof(path), "%s%s%s", f->path, name[0] != '\0' ? "/" : "", name);
    return f->table->open_file(f->i->self, flamenco_text(path), fd, info, &f->err);
}

static void jobs_have_places(kit *k)
{
    files f = files_start(k);
    char uuid[37], expected[64], small[8] = "before";
    flamenco_str root = f.table->root(f.i->self);
    kit_uuid_text(&f.job, uuid);
    snprintf(expected, sizeof(expected), "job-%.4s/%s", uuid, uuid);
    EXPECT_STR(flamenco_text(f.path), expected);
    EXPECT(root.len > 0 && root.ptr[0] == '/', "root gives \"%.*s\", which is not absolute", (int)root.len, root.ptr);
    EXPECT_RC(f.table->job_path(f.i->self, &f.job, small, sizeof(small), &f.err), FLAMENCO_E_FULL);
    EXPECT_STR(flamenco_text(small), "before");
    int32_t fd = 77;
    EXPECT_RC(f.table->job_dir(f.i->self, &f.job, 0, &fd, &f.err), FLAMENCO_E_NOT_FOUND);
    EXPECT_INT(fd, 77);
    struct stat by_path, by_fd;
    char path[8192];
    int dir = make_dir(&f);
    snprintf(path, sizeof(path), "%.*s/%s", (int)root.len, root.ptr, f.path);
    EXPECT(stat(path, &by_path) == 0 && fstat(dir, &by_fd) == 0 && by_path.st_ino == by_fd.st_ino,
           "a job's directory is not below the root at its path");
    (void)close(dir);
    EXPECT_CODE(f.table->job_dir(f.i->self, &f.job, 0, &fd, &f.err), FLAMENCO_OK, &f.err);
    (void)close(fd);
}

static void files_are_read(kit *k)
{
    files f = files_start(k);
    flamenco_file_info info = ROW(flamenco_file_info);
    char text[16] = "";
    int32_t fd = -1;
    int dir = make_dir(&f);
    write_file(dir, "log.txt", "hello");
    EXPECT_TRUE(mkdirat(dir, "folder", 0755) == 0);
    EXPECT_CODE(open_below(&f, "log.txt", &fd, &info), FLAMENCO_OK, &f.err);
    EXPECT_INT(info.kind, FLAMENCO_FILE_REGULAR);
    EXPECT_INT(info.size_bytes, 5);
    EXPECT(info.modified_us > INT64_C(1577836800000000), "the file's time is not one of today");
    EXPECT(read(fd, text, 15) == 5 && strcmp(text, "hello") == 0, "the file does not hold what was written");
    (void)close(fd);
    EXPECT_CODE(open_below(&f, "folder", &fd, &info), FLAMENCO_OK, &f.err);
    EXPECT_INT(info.kind, FLAMENCO_FILE_DIRECTORY);
    (void)close(fd);
    (void)close(dir);
}

static void nothing_leads_out_of_the_root(kit *k)
{
    static const char *const paths[] = { "/etc/passwd",   "../outside",         "..",   "job-0000/../../outside",
                                         "./../outside",  "//etc/passwd",       "a\nb", "missing/outside",
                                         "job-0000/link", "job-0000/up/outside" };
    files f = files_start(k);
    flamenco_str root = f.table->root(f.i->self);
    char path[8192];
    int dir = make_dir(&f);
    snprintf(path, sizeof(path), "%.*s/../outside", (int)root.len, root.ptr);
    int outside = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    EXPECT(outside >= 0, "the check cannot write %s", path);
    (void)close(outside);
    EXPECT_TRUE(symlinkat("/etc/passwd", dir, "link") == 0 && symlinkat("../../..", dir, "up") == 0);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i) {
        flamenco_file_info info = { .struct_size = (uint32_t)sizeof(info), .kind = 77 };
        int32_t fd = 77;
        int32_t rc = strncmp(paths[i], "job-0000/", 9) == 0 && strstr(paths[i], "..") == NULL
                         ? open_below(&f, paths[i] + 9, &fd, &info)
                         : f.table->open_file(f.i->self, flamenco_text(paths[i]), &fd, &info, &f.err);
        EXPECT(rc == FLAMENCO_E_NOT_FOUND, "the path \"%s\" gives %s", paths[i], kit_code_name(rc));
        EXPECT(fd == 77 && info.kind == 77, "what fails writes to its output");
    }
    (void)close(dir);
}

static void erasing_takes_a_job_alone(kit *k)
{
    files f = files_start(k), other = f;
    other.job.b[15] = 9; /* the same first four digits, so the same parent */
    int dir = make_dir(&f), beside = make_dir(&other);
    char keep[4096], parent[8192];
    flamenco_str root = f.table->root(f.i->self);
    snprintf(keep, sizeof(keep), "%s/keep", k->dir);
    EXPECT_TRUE(mkdir(keep, 0755) == 0);
    int kept = open(keep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(kept, "precious", "x");
    write_file(dir, "a", "a");
    EXPECT_TRUE(mkdirat(dir, "b", 0755) == 0 && mkdirat(dir, "b/c", 0755) == 0);
    write_file(dir, "b/c/d", "d");
    EXPECT_TRUE(symlinkat(keep, dir, "link") == 0);
    (void)close(dir);
    EXPECT_CODE(f.table->erase_job(f.i->self, &f.cx->cx, &f.job, &f.err), FLAMENCO_OK, &f.err);
    int32_t fd = -1;
    EXPECT_RC(f.table->job_dir(f.i->self, &f.job, 0, &fd, &f.err), FLAMENCO_E_NOT_FOUND);
    EXPECT(faccessat(kept, "precious", F_OK, 0) == 0, "erasing follows a link out of the job");
    EXPECT_CODE(f.table->job_dir(f.i->self, &other.job, 0, &fd, &f.err), FLAMENCO_OK, &f.err);
    (void)close(fd);
    (void)close(beside);
    EXPECT_CODE(f.table->erase_job(f.i->self, &f.cx->cx, &f.job, &f.err), FLAMENCO_OK, &f.err); /* once more */
    EXPECT_CODE(f.table->erase_job(f.i->self, &f.cx->cx, &other.job, &f.err), FLAMENCO_OK, &f.err);
    snprintf(parent, sizeof(parent), "%.*s/%.*s", (int)root.len, root.ptr, (int)strcspn(f.path, "/"), f.path);
    EXPECT(access(parent, F_OK) != 0, "a parent directory that is empty stays");
    (void)close(kept);
}

// clang-format off
static const kit_check checks[] = {
    { "log_storage.append", FLAMENCO_LOG_STORAGE, texts_follow_each_other,
      "texts follow each other, a missing newline is added, an empty text does nothing", "log_storage.h: append" },
    { "log_storage.not-found", FLAMENCO_LOG_STORAGE, no_log_is_not_found,
      "no log and an empty one are NOT_FOUND, and outputs stay as they were", "log_storage.h: info, tail" },
    { "log_storage.tail", FLAMENCO_LOG_STORAGE, the_tail_begins_with_a_whole_line,
      "a tail is the end of the log, no longer than asked for, and begins with a whole line", "log_storage.h: tail" },
    { "log_storage.long", FLAMENCO_LOG_STORAGE, long_logs_are_kept,
      "a log of 3,000 texts has the right size, end and whole", "log_storage.h: info, tail" },
    { "log_storage.restart", FLAMENCO_LOG_STORAGE, restart_keeps_logs,
      "logs are there after a restart, and go on", "log_storage.h: append" },
    { "log_storage.forget", FLAMENCO_LOG_STORAGE, forgetting_a_job_loses_nothing,
      "forget_job loses nothing that was written, and what comes later is kept, too", "log_storage.h: forget_job" },
    { "log_storage.rotate", FLAMENCO_LOG_STORAGE, rotation_begins_a_new_log,
      "after rotate there is no log until the next text", "log_storage.h: rotate" },
    { "log_storage.path", FLAMENCO_LOG_STORAGE, path_is_that_of_a_file,
      "a path that info gives is that of a file of this size in local storage", "log_storage.h: flamenco_log_info" },
    { "log_storage.erased-job", FLAMENCO_LOG_STORAGE, logs_go_with_their_job,
      "the logs of an erased job are gone, and a late text makes a new one", "log_storage.h: forget_job" },
    { "log_storage.threads", FLAMENCO_LOG_STORAGE, threads_write_side_by_side,
      "logs of different tasks are written side by side", "log_storage.h: append" },
    { "local_storage.places", FLAMENCO_LOCAL_STORAGE, jobs_have_places,
      "each job has a directory below the root, made on demand", "local_storage.h: root, job_path, job_dir" },
    { "local_storage.files", FLAMENCO_LOCAL_STORAGE, files_are_read,
      "files below the root are opened, with kind, size and time", "local_storage.h: open_file" },
    { "local_storage.escape", FLAMENCO_LOCAL_STORAGE, nothing_leads_out_of_the_root,
      "no path and no symbolic link leads out of the root", "local_storage.h: open_file" },
    { "local_storage.erase", FLAMENCO_LOCAL_STORAGE, erasing_takes_a_job_alone,
      "erase_job takes all of a job, follows no link, and takes the parent with the last one", "local_storage.h: erase_job" },
};
// clang-format on

const kit_group files_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
