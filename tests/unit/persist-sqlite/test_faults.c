/* SPDX-License-Identifier: Apache-2.0
 *
 * test_faults.c - what happens when the disk is full, a write or a sync fails, memory runs out, another program holds the
 * database, or the process is killed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "store.h"

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };
static const task_spec two_tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 1 }, 0 } };

/* ---- A file system that fails when told to ---- */

typedef struct wrapped_methods {
    sqlite3_io_methods methods; /* first: what a file points to */
    const sqlite3_io_methods *real;
} wrapped_methods;

static struct {
    sqlite3_vfs vfs, *real_vfs;
    wrapped_methods wrapped[8]; /* SQLite has one table per kind of file */
    size_t n_wrapped;
    int fail_write, fail_sync; /* 1: from now on; 0: never */
} disk;

static const sqlite3_io_methods *real_methods(sqlite3_file *file)
{
    return ((const wrapped_methods *)(const void *)file->pMethods)->real;
}

static int disk_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    return disk.fail_write ? SQLITE_IOERR_WRITE : real_methods(file)->xWrite(file, data, n, at);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    return disk.fail_sync ? SQLITE_IOERR_FSYNC : real_methods(file)->xSync(file, flags);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    int rc = disk.real_vfs->xOpen(disk.real_vfs, name, file, flags, out);
    if (rc != SQLITE_OK || file->pMethods == NULL)
        return rc;
    size_t i = 0;
    while (i < disk.n_wrapped && disk.wrapped[i].real != file->pMethods)
        ++i;
    if (i == disk.n_wrapped) {
        assert_true(i < sizeof(disk.wrapped) / sizeof(disk.wrapped[0]));
        disk.wrapped[i] = (wrapped_methods){ *file->pMethods, file->pMethods };
        disk.wrapped[i].methods.xWrite = disk_write;
        disk.wrapped[i].methods.xSync = disk_sync;
        ++disk.n_wrapped;
    }
    file->pMethods = &disk.wrapped[i].methods;
    return rc;
}

static int disk_setup(void **state)
{
    disk.fail_write = disk.fail_sync = 0;
    disk.real_vfs = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real_vfs;
    disk.vfs.zName = "failing";
    disk.vfs.xOpen = disk_open;
    sqlite3_vfs_register(&disk.vfs, 1);
    return fixture_setup(state);
}

static int disk_teardown(void **state)
{
    disk.fail_write = disk.fail_sync = 0;
    int rc = fixture_teardown(state);
    sqlite3_vfs_unregister(&disk.vfs);
    sqlite3_vfs_register(disk.real_vfs, 1);
    return rc;
}

static int32_t set_priority(fixture *f, int64_t job, int32_t priority)
{
    return f->db->job_set_priority(f->self, f->cx, job, priority, &f->err);
}

static void failed_commit_keeps_nothing_and_the_next_one_works(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    for (int i = 0; i < 2; ++i) {
        uint64_t batch = 0;
        fixture_begin(f);
        assert_int_equal(set_priority(f, job, 1), 0);
        *(i == 0 ? &disk.fail_write : &disk.fail_sync) = 1;
        assert_int_equal(f->db->commit(f->self, f->cx, 99, &f->err), FLAMENCO_E_IO);
        assert_null(f->cx->txn);
        assert_int_equal(f->plugin->health(f->self, &f->err), FLAMENCO_E_IO);
        disk.fail_write = disk.fail_sync = 0;
        /* The executor opens the store anew and asks for the fate of the batch. */
        f->db->close(f->self, f->writer);
        f->writer = NULL;
        assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_WRITER, &f->writer, &f->err), 0);
        assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
        assert_true(batch == f->batch || batch == 99);
        fixture_begin(f);
        assert_int_equal(fixture_read_job(f, job).priority, batch == 99 ? 1 : 50);
        assert_int_equal(set_priority(f, job, 50), 0);
        fixture_commit(f);
        assert_int_equal(f->plugin->health(f->self, &f->err), 0);
    }
    assert_int_equal(fixture_check(f), 0);
}

static void full_disk_fails_the_transaction_and_only_it(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1), pages = 0;
    fixture_next(f);
    assert_int_equal(fl_connection_int(f->writer->db, "PRAGMA page_count", &pages, &f->err), 0);
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%lld", (long long)pages + 1);
    assert_int_equal(fl_connection_run(f->writer->db, sql, &f->err), 0);
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
    assert_int_equal(set_priority(f, job, 1), 0);
    int32_t rc = 0;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int64_t key;
    for (int i = 0; i < 2000 && rc == 0; ++i) {
        row.uuid = fixture_uuid(f);
        rc = DB(f, job_insert_hidden, &row, 1, &key);
    }
    assert_int_equal(rc, FLAMENCO_E_FULL);
    assert_int_equal(set_priority(f, job, 2), FLAMENCO_E_FULL);
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), FLAMENCO_E_FULL);
    f->db->rollback(f->self, f->cx);
    assert_null(f->cx->txn);
    fixture_begin(f);
    assert_int_equal(fixture_read_job(f, job).priority, 50);
    assert_int_equal(set_priority(f, job, 3), 0);
    fixture_commit(f);
    assert_int_equal(fl_connection_run(f->writer->db, "PRAGMA max_page_count=1000000", &f->err), 0);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    assert_int_equal(fixture_check(f), 0);
}

static void commit_after_a_failure_gives_the_failure(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    assert_int_equal(fl_connection_run(f->writer->db, "PRAGMA query_only=ON", &f->err), 0);
    assert_int_equal(set_priority(f, job, 1), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(fl_connection_run(f->writer->db, "PRAGMA query_only=OFF", &f->err), 0);
    assert_int_equal(set_priority(f, job, 1), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(f->db->commit(f->self, f->cx, 99, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_null(f->cx->txn);
    fixture_begin(f);
    assert_int_equal(fixture_read_job(f, job).priority, 50);
}

static void lock_of_another_program_is_busy(void **state)
{
    fixture *f = *state;
    sqlite3 *other = NULL;
    fixture_commit(f);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(f->db->begin(f->self, f->writer, f->cx, &f->err), FLAMENCO_E_BUSY);
    assert_null(f->cx->txn);
    assert_int_equal(f->plugin->health(f->self, &f->err), FLAMENCO_E_BUSY);
    sqlite3_close(other);
    fixture_begin(f);
    fixture_commit(f);
    assert_int_equal(f->plugin->health(f->self, &f->err), 0);
}

static void missing_file_makes_the_store_unavailable(void **state)
{
    fixture *f = *state;
    flamenco_session *reader = NULL;
    char moved[TEMP_DIR_MAX];
    temp_path(moved, "%s.moved", f->path);
    assert_int_equal(rename(f->path, moved), 0);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_null(reader);
    assert_int_equal(rename(moved, f->path), 0);
}

static void method_that_fails_whole_changes_nothing(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, two_tasks, 2);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    f->fake.allocations_left = 0;
    assert_int_equal(DB(f, job_set_status, job, FLAMENCO_JOB_QUEUED, flamenco_text("x"), &counts), FLAMENCO_E_NOMEM);
    f->fake.allocations_left = -1;
    assert_int_equal(counts.n_tasks, 0);
    assert_int_equal(fixture_read_job(f, job).status, FLAMENCO_JOB_PAUSED);
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void method_that_fails_half_way_ends_the_transaction(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, two_tasks, 2);
    int64_t task = fixture_read_task(f, job, 1).key;
    fixture_next(f);
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .set = FLAMENCO_TASK_SET_STATUS,
                                    .status = FLAMENCO_TASK_COMPLETED };
    f->fake.allocations_left = 0; /* for the name of the type that became runnable */
    assert_int_equal(DB(f, task_update, task, &update, &counts), FLAMENCO_E_UNAVAILABLE);
    f->fake.allocations_left = -1;
    assert_int_equal(DB(f, task_update, task, &update, &counts), FLAMENCO_E_UNAVAILABLE);
    f->db->rollback(f->self, f->cx);
    fixture_begin(f);
    assert_int_equal(fixture_read_task(f, job, 1).status, FLAMENCO_TASK_QUEUED);
    assert_int_equal(DB(f, task_update, task, &update, &counts), 0);
    assert_int_equal(counts.made_runnable, 1);
}

static int32_t on_group(void *ctx, const flamenco_runnable_group *row)
{
    (void)row;
    ++*(int *)ctx;
    return 0;
}

static void reading_without_memory_fails_cleanly(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, two_tasks, 2);
    char types[2048] = "blender";
    for (int i = 0; i < 150; ++i) /* more than a search has room for at hand */
        (void)snprintf(types + strlen(types), sizeof(types) - strlen(types), ",type%d", i);
    int64_t worker = fixture_worker(f, "w", types);
    flamenco_uuid uuid = fixture_read_job(f, job).uuid;
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    for (int64_t left = 0, failed = 1; failed; ++left) {
        failed = 0;
        f->fake.allocations_left = left;
        int32_t rc = f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err);
        if (rc == 0) {
            flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
            flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
            int groups = 0;
            assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
            rc = f->db->job_get(f->self, &cx->cx, &uuid, &row, &f->err);
            assert_true(rc == 0 || rc == FLAMENCO_E_NOMEM);
            assert_true((row.key == job) == (rc == 0));
            failed |= rc != 0;
            rc = f->db->runnable_groups(f->self, &cx->cx, worker, on_group, &groups, &f->err);
            assert_true(rc == 0 || rc == FLAMENCO_E_NOMEM);
            assert_int_equal(groups, rc == 0);
            failed |= rc != 0;
            rc = f->db->task_runnable(f->self, &cx->cx, job, flamenco_text("blender"), worker, &task, &f->err);
            assert_true(rc == 0 || rc == FLAMENCO_E_NOMEM);
            failed |= rc != 0;
            f->db->rollback(f->self, &cx->cx);
            f->db->close(f->self, reader);
        } else {
            assert_int_equal(rc, FLAMENCO_E_NOMEM);
            failed = 1;
        }
        assert_true(left < 2000);
    }
    f->fake.allocations_left = -1;
    fake_cx_destroy(cx);
}

/* ---- Killed ---- */

/* In the child: commits jobs, and tells each batch when it is durable. */
static void commit_for_ever(fixture *f, int out)
{
    if (fixture_start(f) != FLAMENCO_OK)
        _exit(1);
    for (;;) {
        fixture_begin(f);
        fixture_job(f, 50, 0, two_tasks, 2);
        fixture_next(f);
        fixture_commit(f);
        if (write(out, &f->batch, sizeof(f->batch)) != (ssize_t)sizeof(f->batch))
            _exit(1);
    }
}

static void killed_process_loses_nothing_that_it_acknowledged(void **state)
{
    fixture *f = *state;
    fixture_stop(f);
    uint64_t told = 0, batch = 0;
    for (int round = 1; round <= 4; ++round) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            commit_for_ever(f, ends[1]);
        }
        close(ends[1]);
        for (int i = 0; i < 7 * round; ++i)
            assert_int_equal(read(ends[0], &told, sizeof(told)), sizeof(told));
        assert_int_equal(kill(pid, SIGKILL), 0);
        /* What was written before it died counts, too. */
        for (uint64_t last; read(ends[0], &last, sizeof(last)) == (ssize_t)sizeof(last);)
            told = last;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(ends[0]);
        assert_int_equal(fixture_start(f), 0);
        assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
        assert_true(batch >= told);
        f->batch = batch;
        f->uuids += 100000;
        fixture_stop(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(failed_commit_keeps_nothing_and_the_next_one_works),
        TEST(full_disk_fails_the_transaction_and_only_it),
        TEST(commit_after_a_failure_gives_the_failure),
        TEST(lock_of_another_program_is_busy),
        TEST(missing_file_makes_the_store_unavailable),
        TEST(method_that_fails_whole_changes_nothing),
        TEST(method_that_fails_half_way_ends_the_transaction),
        TEST(reading_without_memory_fails_cleanly),
        TEST(killed_process_loses_nothing_that_it_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
