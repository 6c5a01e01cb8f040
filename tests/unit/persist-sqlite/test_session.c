/* SPDX-License-Identifier: Apache-2.0
 *
 * test_session.c - sessions, transactions, savepoints and snapshots; what outlives a restart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "fixture_store.h"
#include "store.h"

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

static int32_t read_status(fixture *f, flamenco_cx *cx, int64_t job, uint32_t *out)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = f->db->job_get_key(f->self, cx, job, &row, &f->err);
    *out = row.status;
    return rc;
}

static void method_outside_a_transaction_is_invalid(void **state)
{
    fixture *f = *state;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    fixture_commit(f);
    assert_null(f->cx->txn);
    assert_int_equal(f->db->job_get_key(f->self, f->cx, 1, &row, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(f->db->commit(f->self, f->cx, 9, &f->err), FLAMENCO_E_INVALID);
    f->db->rollback(f->self, f->cx);
    fixture_begin(f);
    assert_int_equal(f->db->begin(f->self, f->writer, f->cx, &f->err), FLAMENCO_E_INVALID);
}

static void savepoints_are_one_level_deep(void **state)
{
    fixture *f = *state;
    assert_int_equal(f->db->release(f->self, f->cx, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(f->db->release(f->self, f->cx, &f->err), 0);
    fixture_commit(f);
}

#ifndef FIXTURE_POSTGRES /* which has no such method: it would gain nothing by it */
static void an_unlikely_savepoint_is_kept_or_undone_with_all(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "kept", "misc");
    flamenco_worker out = { .struct_size = (uint32_t)sizeof(out) };
    assert_int_equal(f->db->savepoint_unlikely(f->self, f->cx, &f->err), 0);
    assert_int_equal(f->db->savepoint_unlikely(f->self, f->cx, &f->err), FLAMENCO_E_INVALID);
    int64_t second = fixture_worker(f, "kept, too", "misc");
    assert_int_equal(f->db->release(f->self, f->cx, &f->err), 0);
    fixture_next(f);
    EXPECT_TEXT(fixture_read_worker(f, second).name, "kept, too");
    assert_int_equal(f->db->savepoint_unlikely(f->self, f->cx, &f->err), 0);
    fixture_read_worker(f, worker);
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0); /* nothing to undo */
    int64_t before = fixture_worker(f, "undone", "misc");
    assert_int_equal(f->db->savepoint_unlikely(f->self, f->cx, &f->err), 0);
    int64_t inside = fixture_worker(f, "undone, too", "misc");
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(DB(f, worker_get_key, worker, &out), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(f->db->commit(f->self, f->cx, ++f->batch, &f->err), FLAMENCO_E_INVALID);
    fixture_begin(f);
    assert_int_equal(DB(f, worker_get_key, before, &out), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, worker_get_key, inside, &out), FLAMENCO_E_NOT_FOUND);
    /* The next one is one that can be undone again. */
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
    inside = fixture_worker(f, "undone", "misc");
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0);
    assert_int_equal(DB(f, worker_get_key, inside, &out), FLAMENCO_E_NOT_FOUND);
    EXPECT_TEXT(fixture_read_worker(f, worker).name, "kept");
}
#endif

static void rolled_back_savepoint_leaves_nothing(void **state)
{
    fixture *f = *state;
    int64_t kept = fixture_job(f, 50, 0, one_task, 1);
    const task_spec other[] = { { "never-seen-before", 50, { 0 }, 0 } };
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
    int64_t gone = fixture_job(f, 50, 0, other, 1);
    fixture_set_job(f, kept, FLAMENCO_JOB_PAUSED);
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0);
    uint32_t status = 99;
    assert_int_equal(read_status(f, f->cx, gone, &status), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(read_status(f, f->cx, kept, &status), 0);
    assert_int_equal(status, FLAMENCO_JOB_QUEUED);
    /* The number of the type is free again, and another name takes it. */
    const task_spec third[] = { { "another", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, third, 1);
    assert_true(flamenco_str_equal(fixture_read_task(f, job, 1).type, flamenco_text("another")));
    job = fixture_job(f, 50, 0, other, 1);
    assert_true(flamenco_str_equal(fixture_read_task(f, job, 1).type, flamenco_text("never-seen-before")));
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void rolled_back_transaction_leaves_nothing(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    f->db->rollback(f->self, f->cx);
    assert_null(f->cx->txn);
    fixture_begin(f);
    uint32_t status;
    assert_int_equal(read_status(f, f->cx, job, &status), FLAMENCO_E_NOT_FOUND);
}

static void reader_sees_one_snapshot(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    uint32_t status = 99;
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    fixture_commit(f);
    assert_int_equal(read_status(f, &cx->cx, job, &status), 0);
    assert_int_equal(status, FLAMENCO_JOB_QUEUED);
    f->db->rollback(f->self, &cx->cx);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    assert_int_equal(read_status(f, &cx->cx, job, &status), 0);
    assert_int_equal(status, FLAMENCO_JOB_PAUSED);
    f->db->rollback(f->self, &cx->cx);
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
}

static void reader_takes_its_snapshot_when_it_begins(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    uint32_t status = 99;
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    fixture_commit(f); /* after begin, before the first read */
    assert_int_equal(read_status(f, &cx->cx, job, &status), 0);
    assert_int_equal(status, FLAMENCO_JOB_QUEUED);
    f->db->close(f->self, reader); /* with an open transaction */
    cx->cx.txn = NULL;
    fake_cx_destroy(cx);
}

static void reader_cannot_change_anything(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    assert_int_equal(f->db->job_set_priority(f->self, &cx->cx, job, 1, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(f->db->savepoint(f->self, &cx->cx, &f->err), FLAMENCO_E_INVALID);
    assert_true(fixture_reader_is_read_only(f, reader));
    assert_int_equal(f->db->commit(f->self, &cx->cx, 1, &f->err), FLAMENCO_E_INVALID);
    assert_null(cx->cx.txn);
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
}

static void second_writer_session_is_busy(void **state)
{
    fixture *f = *state;
    flamenco_session *second = NULL;
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_WRITER, &second, &f->err), FLAMENCO_E_BUSY);
    assert_null(second);
    assert_int_equal(f->db->open(f->self, 7, &second, &f->err), FLAMENCO_E_INVALID);
    f->db->close(f->self, NULL);
}

static void writer_session_can_be_opened_anew(void **state)
{
    fixture *f = *state;
    uint64_t batch = 0;
    fixture_next(f);
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_WRITER, &f->writer, &f->err), 0);
    assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
    assert_int_equal(batch, f->batch);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
}

static void restart_keeps_rows_keys_and_last_batch(void **state)
{
    fixture *f = *state;
    uint64_t batch = 99;
    f->db->rollback(f->self, f->cx);
    assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
    assert_int_equal(batch, 0);
    fixture_begin(f);
    int64_t first = fixture_job(f, 50, 0, one_task, 1), second = fixture_job(f, 50, 0, one_task, 1);
    int64_t task = fixture_read_task(f, second, 1).key;
    fixture_commit(f);
    /* The last job goes, and so does the process: neither its key nor its task's is used again. */
    for (int crash = 0; crash < 2; ++crash) {
        fixture_begin(f);
        uint64_t left = 1;
        assert_int_equal(f->db->job_hide(f->self, f->cx, second, &f->err), 0);
        assert_int_equal(f->db->job_purge(f->self, f->cx, second, 10, &left, &f->err), 0);
        assert_int_equal(left, 0);
        fixture_commit(f);
        if (crash)
            fixture_crash(f);
        else
            fixture_stop(f);
        assert_int_equal(fixture_start(f), 0);
        assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
        assert_int_equal(batch, f->batch);
        fixture_begin(f);
        assert_int_equal(fixture_read_job(f, first).key, first);
        int64_t next = fixture_job(f, 50, 0, one_task, 1);
        assert_true(next > second);
        assert_true(fixture_read_task(f, next, 1).key > task);
        task = fixture_read_task(f, next, 1).key;
        second = next;
        fixture_commit(f);
    }
    fixture_begin(f);
}

static void commit_after_a_takeover_is_a_conflict(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    fixture_take_over(f);
    fixture_begin(f);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    assert_int_equal(f->db->commit(f->self, f->cx, 77, &f->err), FLAMENCO_E_CONFLICT);
    assert_null(f->cx->txn);
    assert_int_equal(f->plugin->health(f->self, &f->err), FLAMENCO_E_CONFLICT);
    uint64_t batch = 0;
    assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
    assert_int_equal(batch, f->batch);
    fixture_begin(f);
    assert_int_equal(fixture_read_job(f, job).status, FLAMENCO_JOB_QUEUED);
}

/* ---- Visitors ---- */

typedef struct visit {
    fixture *f;
    int rows, inner, stop_after;
    int32_t write_rc;
} visit;

static int32_t count_job(void *ctx, const flamenco_job *row)
{
    (void)row;
    ++((visit *)ctx)->inner;
    return 0;
}

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    visit *v = ctx;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_uuid uuid = row->uuid;
    assert_int_equal(v->f->db->jobs_list(v->f->self, v->f->cx, &page, count_job, v, NULL, &v->f->err), 0);
    v->write_rc = v->f->db->job_set_priority(v->f->self, v->f->cx, row->key, 1, &v->f->err);
    /* The row is still there after the inner list. */
    assert_memory_equal(&uuid, &row->uuid, sizeof(uuid));
    assert_true(flamenco_str_equal(row->name, flamenco_text("shot 12")));
    return ++v->rows == v->stop_after;
}

static void visitor_may_read_but_not_change(void **state)
{
    fixture *f = *state;
    visit v = { .f = f };
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_job(f, 50, 0, one_task, 1);
    assert_int_equal(f->db->jobs_list(f->self, f->cx, &page, on_job, &v, NULL, &f->err), 0);
    assert_int_equal(v.rows, 3);
    assert_int_equal(v.inner, 9);
    assert_int_equal(v.write_rc, FLAMENCO_E_INVALID);
    v = (visit){ .f = f, .stop_after = 2 };
    assert_int_equal(f->db->jobs_list(f->self, f->cx, &page, on_job, &v, NULL, &f->err), 0);
    assert_int_equal(v.rows, 2);
    assert_int_equal(f->db->job_set_priority(f->self, f->cx, job, 1, &f->err), 0);
}

/* ---- Giving up ---- */

static int32_t cancel_at_first(void *ctx, const flamenco_job *row)
{
    fake_cx *cx = ctx;
    (void)row;
    cx->cancelled = 1;
    return 0;
}

static int32_t pass_time(void *ctx, const flamenco_job *row)
{
    fake_cx *cx = ctx;
    (void)row;
    cx->fake->monotonic_us += INT64_C(7200) * SECOND;
    return 0;
}

typedef struct interrupt {
    fixture *f;
    flamenco_session *reader;
} interrupt;

static int32_t interrupt_at_first(void *ctx, const flamenco_job *row)
{
    interrupt *i = ctx;
    (void)row;
    i->f->db->interrupt(i->f->self, i->reader);
    return 0;
}

static int32_t interrupt_at_group(void *ctx, const flamenco_runnable_group *row)
{
    (void)row;
    return interrupt_at_first(ctx, NULL);
}

static void interrupt_between_two_statements_ends_the_method_only(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender");
    for (int i = 0; i < 3; ++i)
        fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    uint32_t status;
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    interrupt both = { f, reader };
    assert_int_equal(f->db->runnable_groups(f->self, &cx->cx, worker, interrupt_at_group, &both, &f->err),
                     FLAMENCO_E_CANCELLED);
    assert_int_equal(read_status(f, &cx->cx, 1, &status), 0);
    f->db->rollback(f->self, &cx->cx);
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
}

static void readers_give_up_when_told(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 60; ++i)
        fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    interrupt both = { f, NULL };
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    both.reader = reader;
    struct {
        flamenco_visit_job visit;
        void *ctx;
        int32_t rc;
    } cases[] = { { interrupt_at_first, &both, FLAMENCO_E_CANCELLED },
                  { cancel_at_first, cx, FLAMENCO_E_CANCELLED },
                  { pass_time, cx, FLAMENCO_E_DEADLINE } };
    for (size_t i = 0; i < 3; ++i) {
        cx->cancelled = 0;
        assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
        assert_int_equal(f->db->jobs_list(f->self, &cx->cx, &page, cases[i].visit, cases[i].ctx, NULL, &f->err),
                         cases[i].rc);
        f->db->rollback(f->self, &cx->cx);
    }
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
    /* The writer is left alone. */
    f->db->interrupt(f->self, f->writer);
    fixture_job(f, 50, 0, one_task, 1);
}

/* ---- The log ---- */

#ifndef FIXTURE_POSTGRES

static void log_is_copied_and_begun_anew(void **state)
{
    fixture *f = *state;
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    f->plugin->stop(f->self, 0, &f->err);
    f->plugin->destroy(f->self);
    fake_host_set(&f->fake, "checkpoint_pages", "100");
    fake_host_set(&f->fake, "quiet_pages", "200");
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    fl_store *store = f->self;
    /* A reader keeps the log from beginning anew by itself. */
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
    int commits = 0;
    while (!f->db->wants_quiet(f->self)) {
        fixture_job(f, 50, 0, one_task, 1);
        fixture_next(f);
        assert_true(++commits < 500);
    }
    assert_true(store->wal_pages >= 200);
    assert_true(store->copied_at >= 100);
    fixture_commit(f);
    assert_int_equal(f->db->maintain(f->self, f->writer, FLAMENCO_MAINTAIN_QUIET, &f->err), 0);
    /* In vain, and not asked for again at once. */
    assert_true(store->wal_pages >= 200);
    assert_false(f->db->wants_quiet(f->self));
    f->db->rollback(f->self, &cx->cx);
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
    assert_int_equal(f->db->maintain(f->self, f->writer, FLAMENCO_MAINTAIN_QUIET, &f->err), 0);
    assert_true(store->wal_pages < 10);
    assert_int_equal(f->db->maintain(f->self, f->writer, 9, &f->err), FLAMENCO_E_INVALID);
    fixture_begin(f);
    assert_int_equal(f->db->maintain(f->self, f->writer, FLAMENCO_MAINTAIN_QUIET, &f->err), FLAMENCO_E_INVALID);
    assert_true(fake_host_metric(&f->fake, "sqlite_log_pages") > 0);
}

static void stopped_store_is_one_file(void **state)
{
    fixture *f = *state;
    struct stat st;
    char wal[TEMP_DIR_MAX];
    temp_path(wal, "%s/farm-c.sqlite-wal", f->dir);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_stop(f);
    assert_int_not_equal(stat(wal, &st), 0);
}

#endif

static void struct_sizes_of_older_callers_are_respected(void **state)
{
    fixture *f = *state;
    int64_t key = fixture_job(f, 50, 0, one_task, 1);
    struct {
        flamenco_job row;
        uint64_t behind;
    } old = { .behind = 7 };
    memset(&old.row, 0x55, sizeof(old.row));
    old.row.struct_size = (uint32_t)offsetof(flamenco_job, priority);
    assert_int_equal(f->db->job_get_key(f->self, f->cx, key, &old.row, &f->err), 0);
    assert_int_equal(old.row.struct_size, offsetof(flamenco_job, priority));
    assert_int_equal(old.row.key, key);
    assert_int_equal(old.row.priority, 0x55555555);
    assert_int_equal(old.behind, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(method_outside_a_transaction_is_invalid),
        TEST(savepoints_are_one_level_deep),
        TEST(rolled_back_savepoint_leaves_nothing),
        TEST(rolled_back_transaction_leaves_nothing),
        TEST(reader_sees_one_snapshot),
        TEST(reader_takes_its_snapshot_when_it_begins),
        TEST(reader_cannot_change_anything),
        TEST(second_writer_session_is_busy),
        TEST(writer_session_can_be_opened_anew),
        TEST(restart_keeps_rows_keys_and_last_batch),
        TEST(commit_after_a_takeover_is_a_conflict),
        TEST(visitor_may_read_but_not_change),
        TEST(interrupt_between_two_statements_ends_the_method_only),
        TEST(readers_give_up_when_told),
#ifndef FIXTURE_POSTGRES
        TEST(an_unlikely_savepoint_is_kept_or_undone_with_all),
        TEST(log_is_copied_and_begun_anew),
        TEST(stopped_store_is_one_file),
#endif
        TEST(struct_sizes_of_older_callers_are_respected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
