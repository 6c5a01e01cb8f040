/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log_storage.c - the vectors of state-and-scheduling 15 and api-behaviour 7.7, and what happens when files vanish,
 * disks are full, descriptors run out, or many threads write.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "fake_host.h"
#include "flamenco/local_storage.h"
#include "flamenco/log_storage.h"
#include "rotate.h"
#include "temp_dir.h"

#define JOB "3f1c9d52-6f0e-4f0b-9a55-0f6f4f1d2a77"
#define TASK "a1b2c3d4-0000-4000-8000-000000000001"
#define JOB_DIR "store/job-3f1c/" JOB
#define LOG JOB_DIR "/task-" TASK ".txt"

/* Of the other plugin in this program; see meson.build. */
const flamenco_plugin *local_storage_query(void);

typedef struct fixture {
    fake_host fake;
    fake_cx *cx;
    const flamenco_local_storage *storage;
    void *storage_self;
    const flamenco_log_storage *logs;
    void *self;
    char dir[TEMP_DIR_MAX];
    flamenco_uuid job, task;
    flamenco_error err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    char root[TEMP_DIR_MAX];
    fake_host_init(&f->fake);
    temp_dir_make(f->dir);
    temp_path(root, "%s/store", f->dir);
    fake_host_set(&f->fake, "path", root);
    f->storage_self = fake_host_start(&f->fake, local_storage_query());
    f->storage = fake_host_table(local_storage_query(), FLAMENCO_LOCAL_STORAGE);
    fake_host_serve(&f->fake, FLAMENCO_LOCAL_STORAGE, f->storage, f->storage_self);
    fake_host_unset_all(&f->fake);
    fake_host_set(&f->fake, "open_files", "4");
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
    f->logs = fake_host_table(flamenco_plugin_query(), FLAMENCO_LOG_STORAGE);
    f->cx = fake_cx_create(&f->fake);
    assert_int_equal(fl_uuid_parse(flamenco_text(JOB), &f->job), 0);
    assert_int_equal(fl_uuid_parse(flamenco_text(TASK), &f->task), 0);
    f->err.struct_size = (uint32_t)sizeof(f->err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    fake_cx_destroy(f->cx);
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    fake_host_stop(&f->fake, local_storage_query(), f->storage_self);
    fake_host_fini(&f->fake);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

static void append(fixture *f, const char *text)
{
    assert_int_equal(f->logs->append(f->self, &f->job, &f->task, flamenco_text(text), &f->err), 0);
}

/* Reads a file below the test's directory whole. Free it. */
static char *read_below(const fixture *f, const char *relative, size_t *len_out)
{
    char path[TEMP_DIR_MAX];
    struct stat st;
    temp_path(path, "%s/%s", f->dir, relative);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    close(fd);
    text[st.st_size] = '\0';
    *len_out = (size_t)st.st_size;
    return text;
}

static void check_file(const fixture *f, const char *relative, const char *expected)
{
    size_t len;
    char *text = read_below(f, relative, &len);
    assert_string_equal(text, expected);
    free(text);
}

static int exists_below(const fixture *f, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->dir, relative);
    return temp_exists(path);
}

static void write_below(const fixture *f, const char *relative, const char *text)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->dir, relative);
    temp_file_write(path, text);
}

static void a_newline_is_added_where_none_is(void **state)
{
    fixture *f = *state;
    append(f, "one\n");
    append(f, "two");
    append(f, "three\nfour");
    append(f, "\n");
    check_file(f, LOG, "one\ntwo\nthree\nfour\n\n");
}

static void an_empty_text_makes_no_file(void **state)
{
    fixture *f = *state;
    append(f, "");
    assert_false(exists_below(f, "store"));
    assert_int_equal(f->logs->append(f->self, &f->job, &f->task, (flamenco_str){ NULL, 0 }, &f->err), 0);
    assert_false(exists_below(f, "store"));
}

static void file_and_directory_have_the_contracts_modes(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    struct stat st;
    mode_t old = umask(022);
    append(f, "x");
    umask(old);
    temp_path(path, "%s/" LOG, f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    temp_path(path, "%s/" JOB_DIR, f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void info_has_size_and_path_or_is_not_found(void **state)
{
    fixture *f = *state;
    flamenco_log_info info = { .struct_size = (uint32_t)sizeof(info), .size_bytes = 77 };
    assert_int_equal(f->logs->info(f->self, &f->cx->cx, &f->job, &f->task, &info, &f->err), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(info.size_bytes, 77);
    write_below(f, LOG, "");
    assert_int_equal(f->logs->info(f->self, &f->cx->cx, &f->job, &f->task, &info, &f->err), FLAMENCO_E_NOT_FOUND);
    append(f, "hello");
    assert_int_equal(f->logs->info(f->self, &f->cx->cx, &f->job, &f->task, &info, &f->err), 0);
    assert_int_equal(info.size_bytes, 6);
    assert_true(fl_str_is(info.path, "job-3f1c/" JOB "/task-" TASK ".txt"));
}

static void fill(fl_buf *buf, char c, size_t n)
{
    char *to = fl_buf_reserve(buf, n);
    assert_non_null(to);
    memset(to, c, n);
    buf->len += n;
}

/* Writes buf as the log and checks that the tail is its last `len` bytes. */
static void check_tail(fixture *f, fl_buf *buf, size_t len)
{
    flamenco_str out = { NULL, 0 };
    fl_buf_add_char(buf, '\0');
    write_below(f, LOG, buf->data);
    --buf->len;
    assert_int_equal(f->logs->tail(f->self, &f->cx->cx, &f->job, &f->task, 2048, &out, &f->err), 0);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.ptr, buf->data + buf->len - len, len);
    fl_buf_fini(buf);
}

static void the_tail_begins_with_a_whole_line(void **state)
{
    fixture *f = *state;
    fl_buf buf = { 0 };
    flamenco_str out = { "x", 77 };
    assert_int_equal(f->logs->tail(f->self, &f->cx->cx, &f->job, &f->task, 2048, &out, &f->err), FLAMENCO_E_NOT_FOUND);
    write_below(f, LOG, "");
    assert_int_equal(f->logs->tail(f->self, &f->cx->cx, &f->job, &f->task, 2048, &out, &f->err), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(out.len, 77);

    fl_buf_add_text(&buf, "one\n");
    check_tail(f, &buf, 4);
    fl_buf_add_text(&buf, "one\ntwo\n");
    check_tail(f, &buf, 8);

    fill(&buf, 'x', 2048);
    check_tail(f, &buf, 2048);

    for (int i = 1; i <= 999; ++i)
        fl_buf_printf(&buf, "This is line #%d\n", i);
    /* Lines 887 to 999. */
    check_tail(f, &buf, 113 * 18);

    fill(&buf, 'x', 4999);
    fl_buf_add_char(&buf, '\n');
    check_tail(f, &buf, 2048);
    fill(&buf, 'x', 5000);
    check_tail(f, &buf, 2048);

    for (int i = 0; i < 50; ++i) {
        fill(&buf, (char)('a' + i % 26), 99);
        fl_buf_add_char(&buf, '\n');
    }
    check_tail(f, &buf, 2000);

    fill(&buf, 'x', 2999);
    fl_buf_add_char(&buf, '\n');
    check_tail(f, &buf, 2048);

    /* 2049 bytes whose second one is a newline, and whose first one of the tail is. */
    fl_buf_add_text(&buf, "a\n");
    fill(&buf, 'y', 2047);
    check_tail(f, &buf, 2047);
}

static void a_file_removed_or_a_job_erased_meanwhile_is_made_anew(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    append(f, "one");
    temp_path(path, "%s/" LOG, f->dir);
    assert_int_equal(unlink(path), 0);
    append(f, "two");
    check_file(f, LOG, "two\n");
    assert_int_equal(f->storage->erase_job(f->storage_self, &f->cx->cx, &f->job, &f->err), 0);
    append(f, "three");
    check_file(f, LOG, "three\n");
}

static void the_logs_of_many_jobs_go_where_they_belong(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 60; ++i) {
        flamenco_uuid job = f->job, task = f->task;
        job.b[0] = (uint8_t)(i % 20);
        task.b[15] = (uint8_t)i;
        assert_int_equal(f->logs->append(f->self, &job, &task, FL_STR("x"), &f->err), 0);
        if (i % 7 == 0)
            assert_int_equal(f->storage->erase_job(f->storage_self, &f->cx->cx, &job, &f->err), 0);
    }
    for (int i = 0; i < 60; ++i) {
        flamenco_uuid job = f->job, task = f->task;
        flamenco_log_info info = { .struct_size = (uint32_t)sizeof(info) };
        job.b[0] = (uint8_t)(i % 20);
        task.b[15] = (uint8_t)i;
        int erased = i % 7 == 0;
        for (int later = i + 20; later < 60; later += 20)
            erased |= later % 7 == 0;
        assert_int_equal(f->logs->info(f->self, &f->cx->cx, &job, &task, &info, &f->err),
                         erased ? FLAMENCO_E_NOT_FOUND : FLAMENCO_OK);
    }
}

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; ++fd) {
        struct stat st;
        n += fstat(fd, &st) == 0;
    }
    return n;
}

static void open_files_are_bounded_and_forgotten_with_their_job(void **state)
{
    fixture *f = *state;
    int before = count_descriptors();
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 50; ++i) {
            flamenco_uuid task = f->task;
            task.b[15] = (uint8_t)i;
            assert_int_equal(f->logs->append(f->self, &f->job, &task, FL_STR("x"), &f->err), 0);
            assert_true(count_descriptors() <= before + 5); /* and the job's directory */
        }
    }
    assert_int_equal(count_descriptors(), before + 5);
    for (int i = 0; i < 50; ++i) {
        char path[TEMP_DIR_MAX];
        temp_path(path, JOB_DIR "/task-a1b2c3d4-0000-4000-8000-0000000000%02x.txt", i);
        check_file(f, path, "x\nx\n");
    }
    flamenco_uuid other = f->job;
    other.b[0] = 0xFF;
    assert_int_equal(f->logs->append(f->self, &other, &f->task, FL_STR("x"), &f->err), 0);
    f->logs->forget_job(f->self, &f->job);
    assert_int_equal(count_descriptors(), before + 2);
    f->logs->forget_job(f->self, &other);
    assert_int_equal(count_descriptors(), before);
}

static void idle_files_are_closed_when_descriptors_run_out(void **state)
{
    fixture *f = *state;
    int taken[1024], n = 0;
    struct rlimit old, low;
    flamenco_uuid task = f->task;
    for (int i = 0; i < 4; ++i) {
        task.b[15] = (uint8_t)(100 + i);
        assert_int_equal(f->logs->append(f->self, &f->job, &task, FL_STR("x"), &f->err), 0);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 128;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (n < 1024 && (taken[n] = dup(0)) >= 0)
        ++n;
    int32_t rc = f->logs->append(f->self, &f->job, &f->task, FL_STR("hello"), &f->err);
    while (n > 0)
        close(taken[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(rc, 0);
    check_file(f, LOG, "hello\n");
}

static void a_text_that_does_not_fit_leaves_nothing_behind(void **state)
{
    fixture *f = *state;
    struct rlimit old, low;
    char text[3000];
    memset(text, 'x', sizeof(text));
    append(f, "first");
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int32_t rc = f->logs->append(f->self, &f->job, &f->task, (flamenco_str){ text, sizeof(text) }, &f->err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, was);
    assert_int_equal(rc, FLAMENCO_E_FULL);
    assert_non_null(strstr(f->err.text, TASK));
    check_file(f, LOG, "first\n");
    append(f, "second");
    check_file(f, LOG, "first\nsecond\n");
}

static void trouble_with_the_disk_is_reported_and_not_remembered(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    write_below(f, "store", "a file in its place");
    assert_int_not_equal(f->logs->append(f->self, &f->job, &f->task, FL_STR("x"), &f->err), 0);
    temp_path(path, "%s/store", f->dir);
    assert_int_equal(unlink(path), 0);
    append(f, "x");
    check_file(f, LOG, "x\n");
}

static void a_link_in_place_of_the_log_is_not_followed(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    write_below(f, "precious", "precious");
    write_below(f, JOB_DIR "/x", "x");
    temp_path(path, "%s/" LOG, f->dir);
    assert_int_equal(symlink("../../../precious", path), 0);
    assert_int_not_equal(f->logs->append(f->self, &f->job, &f->task, FL_STR("x"), &f->err), 0);
    check_file(f, "precious", "precious");
}

static void memory_trouble_is_reported(void **state)
{
    fixture *f = *state;
    flamenco_str out;
    f->fake.allocations_left = 0;
    assert_int_equal(f->logs->append(f->self, &f->job, &f->task, FL_STR("x"), &f->err), FLAMENCO_E_NOMEM);
    f->fake.allocations_left = -1;
    append(f, "x");
    for (int left = 0; left < 2; ++left) {
        f->fake.allocations_left = left;
        assert_int_equal(f->logs->tail(f->self, &f->cx->cx, &f->job, &f->task, 2048, &out, &f->err), FLAMENCO_E_NOMEM);
    }
    f->fake.allocations_left = -1;
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define TEXTS 300
#define TASKS 6

typedef struct writer {
    fixture *f;
    int number;
    int failures;
} writer;

/* Writes texts of many lines to tasks that the other threads write to, too. */
static void *write_many(void *arg)
{
    writer *w = arg;
    char text[2000];
    for (int i = 0; i < TEXTS; ++i) {
        size_t len = 0;
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_uuid task = w->f->task;
        task.b[15] = (uint8_t)((i + w->number) % TASKS);
        for (int line = 0; line < 20; ++line)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%d %d %d %.*s\n", w->number, i, line, line * 3,
                                    "..........................................................................");
        w->failures += w->f->logs->append(w->f->self, &w->f->job, &task, (flamenco_str){ text, len - 1 }, &err) != 0;
        if (i % 50 == w->number)
            w->f->logs->forget_job(w->f->self, &w->f->job);
    }
    return NULL;
}

static void texts_of_several_threads_do_not_mix(void **state)
{
    fixture *f = *state;
    pthread_t threads[THREADS];
    writer writers[THREADS];
    int started = 0, failures = 0;
    for (int i = 0; i < THREADS; ++i)
        writers[i] = (writer){ f, i, 0 };
    while (started < THREADS && pthread_create(&threads[started], NULL, write_many, &writers[started]) == 0)
        ++started;
    for (int i = 0; i < started; ++i) {
        pthread_join(threads[i], NULL);
        failures += writers[i].failures;
    }
    assert_int_equal(started, THREADS); /* not before the others have ended */
    assert_int_equal(failures, 0);
    int texts = 0;
    for (int task = 0; task < TASKS; ++task) {
        char path[TEMP_DIR_MAX];
        size_t len;
        int last[THREADS] = { -1, -1, -1, -1 };
        temp_path(path, JOB_DIR "/task-a1b2c3d4-0000-4000-8000-0000000000%02x.txt", task);
        char *text = read_below(f, path, &len), *at = text;
        while (*at != '\0') {
            int first_thread = -1, first_i = -1;
            for (int line = 0; line < 20; ++line) {
                int thread, i, number;
                assert_int_equal(sscanf(at, "%d %d %d ", &thread, &i, &number), 3);
                if (line == 0) {
                    first_thread = thread;
                    first_i = i;
                }
                assert_int_equal(number, line);
                assert_int_equal(thread, first_thread);
                assert_int_equal(i, first_i);
                at = strchr(at, '\n');
                assert_non_null(at);
                ++at;
            }
            assert_true(first_i > last[first_thread]);
            last[first_thread] = first_i;
            ++texts;
        }
        free(text);
    }
    assert_int_equal(texts, THREADS * TEXTS);
}

/* ---- Rotation -------------------------------------------------------------------------------------------------- */

static void numbers_are_read_from_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t number;
        const char *base;
    } rows[] = {
        { "log.1", 1, "log" },
        { "log.010", 10, "log" },
        { "log.1.2.3", 3, "log.1.2" },
        { "log.-4", -4, "log" },
        { "log.", -1, "log." },
        { "log", -1, "log" },
        { "log.abc", -1, "log.abc" },
        { "", -1, "" },
        { "log.1x", -1, "log.1x" },
        { "log.-", -1, "log.-" },
        { "l.1234567890123456789", -1, "l.1234567890123456789" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        size_t len = 99;
        assert_true(fl_log_number(rows[i].name, &len) == rows[i].number);
        assert_int_equal(len, strlen(rows[i].base));
        assert_memory_equal(rows[i].name, rows[i].base, len);
    }
}

static void rotation_moves_every_number_up(void **state)
{
    fixture *f = *state;
    static const int present[] = { 1, 2, 3, 5, 7 }, after[] = { 2, 3, 4, 6, 8 };
    char path[TEMP_DIR_MAX], text[16];
    assert_int_equal(f->logs->rotate(f->self, &f->job, &f->task, &f->err), 0);
    assert_false(exists_below(f, "store"));

    append(f, "0");
    assert_int_equal(f->logs->rotate(f->self, &f->job, &f->task, &f->err), 0);
    assert_false(exists_below(f, LOG));
    check_file(f, LOG ".1", "0\n");
    assert_int_equal(f->logs->rotate(f->self, &f->job, &f->task, &f->err), 0);
    assert_false(exists_below(f, LOG));
    check_file(f, LOG ".1", "0\n");

    append(f, "0");
    for (size_t i = 0; i < 5; ++i) {
        temp_path(path, LOG ".%d", present[i]);
        snprintf(text, sizeof(text), "%d\n", present[i]);
        write_below(f, path, text);
    }
    write_below(f, JOB_DIR "/task-" TASK ".txt.old", "old");
    write_below(f, JOB_DIR "/other.txt.1", "other");
    assert_int_equal(f->logs->rotate(f->self, &f->job, &f->task, &f->err), 0);
    check_file(f, LOG ".1", "0\n");
    for (size_t i = 0; i < 5; ++i) {
        temp_path(path, LOG ".%d", after[i]);
        snprintf(text, sizeof(text), "%d\n", present[i]);
        check_file(f, path, text);
    }
    assert_false(exists_below(f, LOG ".5"));
    assert_false(exists_below(f, LOG ".7"));
    assert_true(exists_below(f, LOG ".old"));
    check_file(f, JOB_DIR "/other.txt.1", "other");
    append(f, "new");
    check_file(f, LOG, "new\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_newline_is_added_where_none_is, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_text_makes_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(file_and_directory_have_the_contracts_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(info_has_size_and_path_or_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_tail_begins_with_a_whole_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_removed_or_a_job_erased_meanwhile_is_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(the_logs_of_many_jobs_go_where_they_belong, setup, teardown),
        cmocka_unit_test_setup_teardown(open_files_are_bounded_and_forgotten_with_their_job, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_files_are_closed_when_descriptors_run_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_that_does_not_fit_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(trouble_with_the_disk_is_reported_and_not_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_in_place_of_the_log_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_trouble_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_of_several_threads_do_not_mix, setup, teardown),
        cmocka_unit_test(numbers_are_read_from_names),
        cmocka_unit_test_setup_teardown(rotation_moves_every_number_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
