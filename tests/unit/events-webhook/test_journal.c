/* SPDX-License-Identifier: Apache-2.0
 *
 * test_journal.c - the queue that outlives the process: order, restarts, files cut or damaged at every byte, a full disk, the
 * bound, and what is removed when it is done with.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "temp_dir.h"

#define LIMIT (1u << 20)
#define PATH_SIZE 1024

typedef struct fixture {
    char dir[TEMP_DIR_MAX];
    char path[TEMP_DIR_MAX + 16];
    fl_journal journal;
    fl_journal_text text;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    temp_dir_make(f->dir);
    snprintf(f->path, sizeof(f->path), "%s/j", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    fl_journal_close(&f->journal);
    fl_journal_text_fini(&f->text);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

/* Opens, and tells how many bytes were no whole records. */
static uint64_t open_limited(fixture *f, uint64_t limit)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t lost = 0;
    fl_journal_close(&f->journal);
    if (fl_journal_open(&f->journal, f->path, limit, &lost, &err) != FLAMENCO_OK)
        fail_msg("%s", err.text);
    return lost;
}

static uint64_t open_journal(fixture *f)
{
    return open_limited(f, LIMIT);
}

static int32_t append(fixture *f, const char *text)
{
    uint64_t dropped = 0;
    return fl_journal_append(&f->journal, text, strlen(text), 42, &dropped, NULL);
}

/* Appends "event FIRST" to "event LAST". */
static void append_many(fixture *f, int first, int last)
{
    for (int i = first; i <= last; ++i) {
        char text[32];
        snprintf(text, sizeof(text), "event %d", i);
        assert_int_equal(append(f, text), FLAMENCO_OK);
    }
}

static void assert_next(fixture *f, const char *text)
{
    assert_int_equal(fl_journal_read(&f->journal, &f->text, NULL), FLAMENCO_OK);
    assert_int_equal(f->text.len, strlen(text));
    assert_memory_equal(f->text.data, text, f->text.len);
    assert_int_equal(f->text.time_us, 42);
}

/* Takes "event FIRST" to "event LAST" out. */
static void take_many(fixture *f, int first, int last)
{
    for (int i = first; i <= last; ++i) {
        char text[32];
        snprintf(text, sizeof(text), "event %d", i);
        assert_next(f, text);
        assert_int_equal(fl_journal_done(&f->journal, f->text.number, NULL), FLAMENCO_OK);
    }
}

static void assert_empty(fixture *f)
{
    assert_int_equal(fl_journal_waiting(&f->journal), 0);
    assert_int_equal(fl_journal_read(&f->journal, &f->text, NULL), FLAMENCO_E_NOT_FOUND);
}

/* The path of the n-th file by name, and its size. */
static off_t find_file(fixture *f, int n, char *path, size_t size)
{
    struct dirent **names = NULL;
    struct stat st = { 0 };
    int count = scandir(f->path, &names, NULL, alphasort), found = 0;
    path[0] = '\0';
    for (int i = 0; i < count; ++i) {
        if (strstr(names[i]->d_name, ".log") != NULL && found++ == n)
            snprintf(path, size, "%s/%s", f->path, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (path[0] == '\0')
        return -1;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static int count_files(fixture *f)
{
    char path[PATH_SIZE];
    int n = 0;
    while (find_file(f, n, path, sizeof(path)) >= 0)
        ++n;
    return n;
}

/* ---- Order and restarts ----------------------------------------------------------------------------------------------- */

static void texts_come_out_in_order(void **state)
{
    fixture *f = *state;
    assert_int_equal(open_journal(f), 0);
    assert_empty(f);
    append_many(f, 1, 100);
    assert_int_equal(fl_journal_waiting(&f->journal), 100);
    take_many(f, 1, 50);
    append_many(f, 101, 120);
    take_many(f, 51, 120);
    assert_empty(f);
}

static void a_text_is_read_again_until_it_is_done_with(void **state)
{
    fixture *f = *state;
    open_journal(f);
    append_many(f, 1, 2);
    assert_next(f, "event 1");
    uint64_t number = f->text.number;
    assert_next(f, "event 1");
    assert_int_equal(f->text.number, number);
    assert_int_equal(fl_journal_done(&f->journal, number, NULL), FLAMENCO_OK);
    assert_int_equal(fl_journal_done(&f->journal, number, NULL), FLAMENCO_OK);
    assert_next(f, "event 2");
    assert_int_equal(f->text.number, number + 1);
}

static void what_waits_is_there_after_a_restart(void **state)
{
    fixture *f = *state;
    open_journal(f);
    append_many(f, 1, 10);
    take_many(f, 1, 4);
    assert_int_equal(open_journal(f), 0);
    assert_int_equal(fl_journal_waiting(&f->journal), 6);
    append_many(f, 11, 12);
    take_many(f, 5, 8);
    open_journal(f);
    take_many(f, 9, 12);
    open_journal(f);
    assert_empty(f);
}

static void numbers_go_on_when_everything_was_taken(void **state)
{
    fixture *f = *state;
    open_journal(f);
    append_many(f, 1, 3);
    take_many(f, 1, 3);
    open_journal(f);
    open_journal(f);
    append_many(f, 4, 4);
    assert_next(f, "event 4");
    assert_int_equal(f->text.number, 4);
}

static void an_empty_text_and_a_large_one_are_kept(void **state)
{
    fixture *f = *state;
    char *large = malloc(300001);
    assert_non_null(large);
    memset(large, 'x', 300000);
    large[300000] = '\0';
    open_journal(f);
    assert_int_equal(append(f, ""), FLAMENCO_OK);
    assert_int_equal(append(f, large), FLAMENCO_OK);
    open_journal(f);
    assert_next(f, "");
    fl_journal_done(&f->journal, f->text.number, NULL);
    assert_next(f, large);
    free(large);
}

static void a_second_one_is_kept_out(void **state)
{
    fixture *f = *state;
    fl_journal other;
    uint64_t lost;
    open_journal(f);
    assert_int_equal(fl_journal_open(&other, f->path, LIMIT, &lost, NULL), FLAMENCO_E_BUSY);
    append_many(f, 1, 1);
}

/* ---- Crashes ---------------------------------------------------------------------------------------------------------- */

static void a_tail_torn_at_any_byte_is_cut_off(void **state)
{
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    append_many(f, 1, 3);
    fl_journal_close(&f->journal);
    off_t size = find_file(f, 0, path, sizeof(path));
    off_t record = size / 3;
    char *whole = malloc((size_t)size);
    assert_non_null(whole);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, whole, (size_t)size, 0), size);
    close(fd);
    for (off_t cut = size - 1; cut >= 0; --cut) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(pwrite(fd, whole, (size_t)cut, 0), cut);
        close(fd);
        assert_int_equal(open_journal(f), cut % record);
        assert_int_equal(fl_journal_waiting(&f->journal), cut / record);
        /* A file with nothing whole in it is gone. */
        assert_int_equal(find_file(f, 0, path, sizeof(path)), cut < record ? -1 : cut - cut % record);
        append_many(f, 4, 4);
        for (int i = 1; i <= (int)(cut / record); ++i) {
            char text[32];
            snprintf(text, sizeof(text), "event %d", i);
            assert_next(f, text);
            f->journal.taken = f->text.number; /* in memory alone, so that the next round begins anew */
        }
        assert_next(f, "event 4");
        fl_journal_close(&f->journal);
        while (find_file(f, 0, path, sizeof(path)) >= 0)
            assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof(path), "%s/%016x.log", f->path, 1);
    }
    free(whole);
}

static void a_byte_that_has_changed_anywhere_is_noticed(void **state)
{
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    append_many(f, 1, 3);
    fl_journal_close(&f->journal);
    off_t size = find_file(f, 0, path, sizeof(path));
    char *whole = malloc((size_t)size);
    assert_non_null(whole);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, whole, (size_t)size, 0), size);
    close(fd);
    for (off_t at = 0; at < size; ++at) {
        char wrong = (char)(whole[at] ^ 0x10);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
        assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
        close(fd);
        assert_true(open_journal(f) > 0);
        assert_int_equal(fl_journal_waiting(&f->journal), at / (size / 3));
        fl_journal_close(&f->journal);
    }
    free(whole);
}

static void a_damaged_position_means_that_texts_come_twice(void **state)
{
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    append_many(f, 1, 5);
    take_many(f, 1, 3);
    fl_journal_close(&f->journal);
    snprintf(path, sizeof(path), "%s/position", f->path);
    /* The slot that was written last is torn: the one before counts. 3 were taken, so it is the second of two. */
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 32 + 20), 1);
    close(fd);
    open_journal(f);
    assert_next(f, "event 3");
    fl_journal_close(&f->journal);
    assert_int_equal(truncate(path, 0), 0);
    open_journal(f);
    take_many(f, 1, 5);
    append_many(f, 6, 6);
    take_many(f, 6, 6);
}

static void damage_while_it_is_open_costs_one_file(void **state)
{
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    append_many(f, 1, 3);
    open_journal(f); /* begins a second file */
    append_many(f, 4, 5);
    take_many(f, 1, 1);
    off_t size = find_file(f, 0, path, sizeof(path));
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, size / 3 + 20), 1);
    close(fd);
    assert_int_equal(fl_journal_read(&f->journal, &f->text, NULL), FLAMENCO_E_CORRUPT);
    take_many(f, 4, 5);
    assert_empty(f);
}

static void foreign_files_are_left_alone(void **state)
{
    static const char *const names[] = { "notes.log", "0000000000000000.log", "00000000000000ZZ.log", "1.log", "x" };
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0 && write(fd, "text", 4) == 4);
        close(fd);
    }
    append_many(f, 1, 1);
    assert_int_equal(open_journal(f), 0);
    take_many(f, 1, 1);
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- Disk and bound --------------------------------------------------------------------------------------------------- */

/* A file may grow to no more than `bytes`, as if the disk were full there; the signal that comes with it is ignored, as in the
 * manager. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_loses_what_does_not_fit_and_nothing_else(void **state)
{
    fixture *f = *state;
    char path[PATH_SIZE];
    open_journal(f);
    append_many(f, 1, 3);
    rlim_t size = (rlim_t)find_file(f, 0, path, sizeof(path));
    for (rlim_t room = 0; room < FL_JOURNAL_RECORD_HEAD + 7; ++room) {
        limit_files(size + room);
        assert_int_equal(append(f, "event x"), FLAMENCO_E_FULL);
        limit_files(RLIM_INFINITY);
        assert_int_equal(find_file(f, 0, path, sizeof(path)), size);
    }
    append_many(f, 4, 4);
    assert_int_equal(open_journal(f), 0);
    take_many(f, 1, 4);
    assert_empty(f);
}

static void a_disk_that_is_full_from_the_first_byte_is_outlived(void **state)
{
    fixture *f = *state;
    open_journal(f);
    limit_files(0);
    assert_int_equal(append(f, "lost"), FLAMENCO_E_FULL);
    assert_int_equal(append(f, "lost, too"), FLAMENCO_E_FULL);
    limit_files(RLIM_INFINITY);
    append_many(f, 1, 2);
    open_journal(f);
    take_many(f, 1, 2);
}

static void beyond_the_bound_the_oldest_are_dropped(void **state)
{
    fixture *f = *state;
    char text[201];
    uint64_t dropped = 0, all = 0, last = 0;
    const uint64_t limit = 65536;
    memset(text, 'x', 200);
    open_limited(f, limit);
    for (int i = 0; i < 2000; ++i) {
        assert_int_equal(fl_journal_append(&f->journal, text, 200, 42, &dropped, NULL), FLAMENCO_OK);
        all += dropped;
        assert_true(f->journal.bytes <= limit);
    }
    uint64_t waiting = fl_journal_waiting(&f->journal);
    assert_int_equal(waiting + all, 2000);
    assert_true(waiting * 232 > limit * 7 / 8); /* no more than need be */
    for (uint64_t i = 0; i < waiting; ++i) {
        assert_int_equal(fl_journal_read(&f->journal, &f->text, NULL), FLAMENCO_OK);
        assert_true(last == 0 || f->text.number == last + 1);
        last = f->text.number;
        assert_int_equal(fl_journal_done(&f->journal, last, NULL), FLAMENCO_OK);
    }
    assert_int_equal(last, 2000);
    assert_empty(f);
}

static void what_is_being_sent_may_be_dropped_meanwhile(void **state)
{
    fixture *f = *state;
    char text[201];
    uint64_t dropped = 0;
    memset(text, 'x', 200);
    open_limited(f, 65536);
    append_many(f, 1, 1);
    assert_next(f, "event 1");
    uint64_t number = f->text.number;
    for (int i = 0; i < 1000; ++i)
        assert_int_equal(fl_journal_append(&f->journal, text, 200, 42, &dropped, NULL), FLAMENCO_OK);
    uint64_t waiting = fl_journal_waiting(&f->journal);
    assert_int_equal(fl_journal_done(&f->journal, number, NULL), FLAMENCO_OK);
    assert_int_equal(fl_journal_waiting(&f->journal), waiting);
    assert_int_equal(fl_journal_read(&f->journal, &f->text, NULL), FLAMENCO_OK);
    assert_int_equal(f->text.number, 1001 - waiting + 1);
}

static void a_text_larger_than_everything_is_refused(void **state)
{
    fixture *f = *state;
    char *large = calloc(1, 70000);
    uint64_t dropped = 0;
    assert_non_null(large);
    open_limited(f, 65536);
    append_many(f, 1, 1);
    assert_int_equal(fl_journal_append(&f->journal, large, 70000, 42, &dropped, NULL), FLAMENCO_E_FULL);
    assert_int_equal(dropped, 0);
    /* One that needs all the room gets it. */
    assert_int_equal(fl_journal_append(&f->journal, large, 65536 - FL_JOURNAL_RECORD_HEAD, 42, &dropped, NULL),
                     FLAMENCO_OK);
    assert_int_equal(dropped, 1);
    assert_int_equal(fl_journal_waiting(&f->journal), 1);
    append_many(f, 2, 2);
    take_many(f, 2, 2);
    free(large);
}

static void files_that_are_done_with_are_removed(void **state)
{
    fixture *f = *state;
    open_limited(f, 65536);
    for (int round = 0; round < 50; ++round) {
        append_many(f, round * 100 + 1, round * 100 + 100);
        take_many(f, round * 100 + 1, round * 100 + 100);
        assert_true(count_files(f) <= 1);
    }
    open_limited(f, 65536);
    assert_int_equal(count_files(f), 0);
    assert_int_equal(f->journal.bytes, 0);
}

static void only_what_has_changed_is_synced(void **state)
{
    fixture *f = *state;
    int fds[FL_JOURNAL_FDS];
    open_journal(f);
    size_t n = fl_journal_unsynced(&f->journal, fds);
    for (size_t i = 0; i < n; ++i)
        close(fds[i]);
    append_many(f, 1, 1);
    n = fl_journal_unsynced(&f->journal, fds);
    assert_in_range(n, 3, FL_JOURNAL_FDS);
    for (size_t i = 0; i < n; ++i) {
        assert_int_equal(fsync(fds[i]), 0);
        close(fds[i]);
    }
    assert_int_equal(fl_journal_unsynced(&f->journal, fds), 0);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
    fixture *f = *state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t lost = 0;
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/a/b", f->dir);
    assert_int_equal(fl_journal_open(&f->journal, path, LIMIT, &lost, &err), FLAMENCO_E_IO);
    assert_non_null(strstr(err.text, "directory"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_come_out_in_order),
        TEST(a_text_is_read_again_until_it_is_done_with),
        TEST(what_waits_is_there_after_a_restart),
        TEST(numbers_go_on_when_everything_was_taken),
        TEST(an_empty_text_and_a_large_one_are_kept),
        TEST(a_second_one_is_kept_out),
        TEST(a_tail_torn_at_any_byte_is_cut_off),
        TEST(a_byte_that_has_changed_anywhere_is_noticed),
        TEST(a_damaged_position_means_that_texts_come_twice),
        TEST(damage_while_it_is_open_costs_one_file),
        TEST(foreign_files_are_left_alone),
        TEST(a_full_disk_loses_what_does_not_fit_and_nothing_else),
        TEST(a_disk_that_is_full_from_the_first_byte_is_outlived),
        TEST(beyond_the_bound_the_oldest_are_dropped),
        TEST(what_is_being_sent_may_be_dropped_meanwhile),
        TEST(a_text_larger_than_everything_is_refused),
        TEST(files_that_are_done_with_are_removed),
        TEST(only_what_has_changed_is_synced),
        TEST(a_directory_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
