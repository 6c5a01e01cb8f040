/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_session.c - sessions, transactions, savepoints, snapshots, visitors and giving up.
 */
#include "groups.h"

#include <stdlib.h>

#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };
static const task_spec two_tasks[] = { { "blender", 50, { 0 }, 2 }, { "ffmpeg", 60, { 1 }, 1 } };

static int32_t read_status(kit_store *s, flamenco_cx *cx, int64_t job, uint32_t *out)
{
    flamenco_job row = ROW(flamenco_job);
    int32_t rc = s->db->job_get_key(s->self, cx, job, &row, &s->err);
    *out = row.status;
    return rc;
}

/* Compares two states, and frees both texts. */
static void expect_same(char *actual, char *expected, const char *when)
{
    size_t at = 0;
    while (actual[at] != '\0' && actual[at] == expected[at])
        ++at;
    size_t line = at;
    while (line > 0 && actual[line - 1] != '\n')
        --line;
    EXPECT(actual[at] == expected[at], "%s the state is not what it was: \"%.*s\", not \"%.*s\"", when,
           (int)strcspn(actual + line, "\n"), actual + line, (int)strcspn(expected + line, "\n"), expected + line);
    free(actual);
    free(expected);
}

/* A bit of everything, done to what is there. */
static void change_everything(kit_store *s, int64_t job, int64_t worker, int64_t tag)
{
    flamenco_sleep_schedule sleep = { .struct_size = (uint32_t)sizeof(sleep),
                                      .is_active = 1,
                                      .worker_key = worker,
                                      .start_minutes = 60,
                                      .end_minutes = 120,
                                      .next_check_us = NOW,
                                      .days = flamenco_text("mo") };
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row), .status = FLAMENCO_WORKER_ASLEEP };
    flamenco_worker_update update = { (uint32_t)sizeof(update), FLAMENCO_WORKER_SET_STATUS, &row };
    flamenco_touch touch = { (uint32_t)sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, worker, LATER };
    flamenco_task task;
    uint64_t n = 0;
    uint32_t cursor = 0, done = 0;
    s->cx->now_us = LATER;
    OK(s, touches, &touch, sizeof(touch), 1);
    OK(s, worker_set_tags, worker, &tag, 1);
    EXPECT_INT(store_assign(s, worker, &task), FLAMENCO_OK);
    OK(s, failure_add, task.key, worker, &n, &n);
    set_task(s, job, 1, FLAMENCO_TASK_COMPLETED);
    OK(s, tasks_bulk_status, job, FLAMENCO_BIT(FLAMENCO_TASK_QUEUED), FLAMENCO_TASK_CANCELED, flamenco_text("no"), 0,
       &cursor, &done, NULL);
    OK(s, job_set_priority, job, 7);
    OK(s, job_set_tag, job, tag);
    set_job(s, job, FLAMENCO_JOB_PAUSED);
    OK(s, job_set_storage, job, flamenco_text("a/b"));
    OK(s, blocklist_add, job, worker, flamenco_text("ffmpeg"));
    OK(s, last_rendered_set, job);
    OK(s, worker_update, worker, &update);
    OK(s, sleep_set, &sleep);
    store_tag(s, "another");
    store_worker(s, "another", "another-type");
    int64_t other = store_job(s, 99, tag, two_tasks, 2);
    OK(s, job_set_delete_requested, other);
    OK(s, job_hide, store_job(s, 1, 0, one_task, 1));
    OK(s, worker_delete, store_worker(s, "gone", ""));
    s->cx->now_us = NOW;
}

typedef struct scene {
    int64_t job, worker, tag;
} scene;

static scene make_scene(kit_store *s)
{
    scene made = { .worker = store_worker(s, "w", "blender,ffmpeg"), .tag = store_tag(s, "t") };
    made.job = store_job(s, 50, 0, two_tasks, 2);
    store_next(s);
    return made;
}

/* ---- Transactions ---------------------------------------------------------------------------------------------------- */

static void method_outside_a_transaction_is_invalid(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_job row = ROW(flamenco_job);
    int64_t job = store_job(s, 50, 0, one_task, 1);
    store_commit(s);
    GIVES(s, FLAMENCO_E_INVALID, job_get_key, job, &row);
    GIVES(s, FLAMENCO_E_INVALID, job_set_priority, job, 1);
    GIVES(s, FLAMENCO_E_INVALID, commit, 9);
    GIVES0(s, FLAMENCO_E_INVALID, savepoint);
    s->db->rollback(s->self, s->cx);
    s->db->rollback(s->self, s->cx);
    EXPECT_TRUE(s->cx->txn == NULL);
    store_begin(s);
    EXPECT_CODE(s->db->begin(s->self, s->writer, s->cx, &s->err), FLAMENCO_E_INVALID, &s->err);
    EXPECT_INT(read_job(s, job).priority, 50);
}

static void rolled_back_transaction_leaves_nothing(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    char *before = store_dump(s, s->cx);
    change_everything(s, here.job, here.worker, here.tag);
    s->db->rollback(s->self, s->cx);
    EXPECT(s->cx->txn == NULL, "rollback does not clear cx->txn");
    store_begin(s);
    expect_same(store_dump(s, s->cx), before, "after a rollback");
    /* And everything can be done again. */
    change_everything(s, here.job, here.worker, here.tag);
    store_commit(s);
    store_check(s);
}

static void closed_session_is_rolled_back(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    char *before = store_dump(s, s->cx);
    change_everything(s, here.job, here.worker, here.tag);
    s->db->close(s->self, s->writer);
    s->cx->txn = NULL;
    EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_WRITER, &s->writer, &s->err), FLAMENCO_OK, &s->err);
    store_begin(s);
    expect_same(store_dump(s, s->cx), before, "after the writer was closed in a transaction");
    store_commit(s);
}

static void savepoints_are_one_level_deep(kit *k)
{
    kit_store *s = store_start(k);
    GIVES0(s, FLAMENCO_E_INVALID, release);
    GIVES0(s, FLAMENCO_E_INVALID, rollback_to);
    OK0(s, savepoint);
    GIVES0(s, FLAMENCO_E_INVALID, savepoint);
    OK0(s, release);
    GIVES0(s, FLAMENCO_E_INVALID, release);
    store_commit(s);
}

static void rolled_back_savepoint_leaves_nothing(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    OK(s, job_set_priority, here.job, 61); /* of this transaction, before the savepoint: it stays */
    char *before = store_dump(s, s->cx);
    for (int again = 0; again < 2; ++again) {
        OK0(s, savepoint);
        change_everything(s, here.job, here.worker, here.tag);
        OK0(s, rollback_to);
    }
    expect_same(store_dump(s, s->cx), before, "after rollback_to");
    /* What was new in there is new still: names of task types, tags and workers. */
    OK0(s, savepoint);
    const task_spec third[] = { { "another-type", 50, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, third, 1);
    OK0(s, release);
    EXPECT_STR(read_task(s, job, 1).type, "another-type");
    expect_task(s, store_worker(s, "x", "another-type"), job, 1);
    store_commit(s);
    store_check(s);
}

static void released_savepoint_stays(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    OK0(s, savepoint);
    OK(s, job_set_priority, here.job, 61);
    OK0(s, release);
    OK0(s, savepoint);
    OK(s, job_set_priority, here.job, 62);
    OK0(s, rollback_to);
    EXPECT_INT(read_job(s, here.job).priority, 61);
    OK0(s, savepoint); /* a commit with an open savepoint keeps what happened in it, or refuses: here it is released */
    OK(s, job_set_tag, here.job, here.tag);
    OK0(s, release);
    store_next(s);
    EXPECT_INT(read_job(s, here.job).priority, 61);
    EXPECT_INT(read_job(s, here.job).tag_key, here.tag);
}

static void failed_method_changes_nothing(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    char *before = store_dump(s, s->cx);
    flamenco_uuid nobody = kit_uuid(999999);
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag), .key = here.tag, .uuid = nobody };
    const int64_t tags[] = { here.tag, NO_KEY };
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update), .set = FLAMENCO_TASK_SET_STATUS };
    flamenco_job job = new_job(s);
    int64_t key = 77;
    update.status = FLAMENCO_TASK_STATUSES;
    store_tag(s, "taken");
    tag.name = flamenco_text("taken");
    GIVES(s, FLAMENCO_E_EXISTS, tag_update, &tag);
    OK(s, tag_get_name, flamenco_text("taken"), &tag);
    OK(s, tag_delete, tag.key, NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_set_tags, here.worker, tags, 2);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_tag, here.job, NO_KEY);
    GIVES(s, FLAMENCO_E_INVALID, task_update, read_task(s, here.job, 1).key, &update, NULL);
    update = (flamenco_task_update){ .struct_size = (uint32_t)sizeof(update),
                                     .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                     .status = FLAMENCO_TASK_COMPLETED,
                                     .worker_key = NO_KEY };
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_update, read_task(s, here.job, 1).key, &update, NULL);
    job.uuid = read_job(s, here.job).uuid;
    GIVES(s, FLAMENCO_E_EXISTS, job_insert_hidden, &job, 1, &key);
    EXPECT_INT(key, 77);
    expect_same(store_dump(s, s->cx), before, "after methods that failed");
    OK(s, job_set_priority, here.job, 5); /* and the transaction goes on */
    store_commit(s);
    store_check(s);
}

/* ---- Readers --------------------------------------------------------------------------------------------------------- */

static void reader_sees_one_snapshot(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    kit_reader r = reader_open(s);
    reader_begin(&r);
    char *before = store_dump(s, r.cx);
    change_everything(s, here.job, here.worker, here.tag);
    expect_same(store_dump(s, r.cx), strdup(before), "while the writer changes it");
    char *changed = store_dump(s, s->cx);
    store_commit(s);
    expect_same(store_dump(s, r.cx), before, "in a snapshot, after the writer's commit,");
    reader_end(&r);
    reader_begin(&r);
    expect_same(store_dump(s, r.cx), changed, "in a snapshot begun after the commit");
    reader_end(&r);
    reader_close(&r);
}

static void reader_takes_its_snapshot_when_it_begins(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    uint32_t status = 99;
    set_job(s, here.job, FLAMENCO_JOB_PAUSED);
    kit_reader r = reader_open(s);
    reader_begin(&r);
    store_commit(s); /* after begin, before the first read */
    EXPECT_INT(read_status(s, r.cx, here.job, &status), FLAMENCO_OK);
    EXPECT_INT(status, FLAMENCO_JOB_QUEUED);
    reader_close(&r); /* with an open transaction */
}

static void reader_cannot_change_anything(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    store_commit(s);
    kit_reader r = reader_open(s);
    reader_begin(&r);
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag), .uuid = store_uuid(s), .name = flamenco_text("n") };
    int64_t key = 77;
    EXPECT_RC(s->db->job_set_priority(s->self, r.cx, here.job, 1, &r.err), FLAMENCO_E_INVALID);
    EXPECT_RC(s->db->tag_insert(s->self, r.cx, &tag, &key, &r.err), FLAMENCO_E_INVALID);
    EXPECT_RC(s->db->worker_delete(s->self, r.cx, here.worker, &r.err), FLAMENCO_E_INVALID);
    EXPECT_RC(s->db->savepoint(s->self, r.cx, &r.err), FLAMENCO_E_INVALID);
    EXPECT_RC(s->db->commit(s->self, r.cx, 1, &r.err), FLAMENCO_E_INVALID);
    EXPECT_INT(key, 77);
    EXPECT_TRUE(r.cx->txn == NULL); /* commit ends it, also on failure */
    reader_close(&r);
    store_begin(s);
    flamenco_worker worker = read_worker(s, here.worker);
    EXPECT_TRUE(worker.deleted_us == FLAMENCO_TIME_NONE);
    EXPECT_INT(read_job(s, here.job).priority, 50);
    store_commit(s);
}

static void readers_and_the_writer_do_not_wait_for_each_other(kit *k)
{
    enum { READERS = 6 };
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    kit_reader readers[READERS];
    uint32_t status = 99;
    /* Each of them in a snapshot of another time, all on one thread: whoever waited would wait for ever. */
    for (int i = 0; i < READERS; ++i) {
        OK(s, job_set_priority, here.job, 100 + i);
        readers[i] = reader_open(s);
        reader_begin(&readers[i]);
        EXPECT_INT(read_status(s, readers[i].cx, here.job, &status), FLAMENCO_OK);
        store_next(s);
    }
    for (int i = 0; i < READERS; ++i) {
        flamenco_job row = ROW(flamenco_job);
        EXPECT_RC(s->db->job_get_key(s->self, readers[i].cx, here.job, &row, &readers[i].err), FLAMENCO_OK);
        EXPECT_INT(row.priority, i == 0 ? 50 : 100 + i - 1);
        reader_end(&readers[i]);
    }
    EXPECT_TRUE(s->db->wants_quiet(s->self) <= 1);
    store_commit(s);
    EXPECT_CODE(s->db->maintain(s->self, s->writer, FLAMENCO_MAINTAIN_QUIET, &s->err), FLAMENCO_OK, &s->err);
    for (int i = 0; i < READERS; ++i)
        reader_close(&readers[i]);
}

static void sessions_open_and_close(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_session *session = NULL;
    store_commit(s);
    s->db->close(s->self, NULL);
    int32_t rc = s->db->open(s->self, 7, &session, &s->err);
    EXPECT(rc == FLAMENCO_E_INVALID && session == NULL, "open of an unknown kind gives %s", kit_code_name(rc));
    s->db->close(s->self, s->writer);
    for (int i = 0; i < 3; ++i) {
        EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_WRITER, &s->writer, &s->err), FLAMENCO_OK, &s->err);
        store_begin(s);
        store_job(s, 50, 0, one_task, 1);
        store_commit(s);
        uint64_t last = 0;
        EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
        EXPECT_INT(last, s->batch);
        s->db->close(s->self, s->writer);
    }
    s->writer = NULL;
    store_stop(s);
}

static void last_batch_is_that_of_the_last_commit(kit *k)
{
    kit_store *s = store_start(k);
    uint64_t last = 99;
    s->db->rollback(s->self, s->cx);
    EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
    EXPECT_INT(last, 0);
    s->batch = 41;
    store_begin(s);
    store_job(s, 50, 0, one_task, 1);
    store_commit(s);
    EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
    EXPECT_INT(last, 42);
    store_begin(s);
    store_job(s, 50, 0, one_task, 1);
    s->db->rollback(s->self, s->cx);
    EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
    EXPECT_INT(last, 42);
}

/* ---- Visitors -------------------------------------------------------------------------------------------------------- */

typedef struct visit {
    kit_store *s;
    int rows, inner, stop_after;
    int32_t write_rc;
} visit;

static int32_t count_job(void *ctx, const flamenco_job *row)
{
    (void)row;
    ++((visit *)ctx)->inner;
    return 0;
}

static int32_t read_and_try_to_write(void *ctx, const flamenco_job *row)
{
    visit *v = ctx;
    kit_store *s = v->s;
    flamenco_page page = ALL_ROWS;
    flamenco_uuid uuid = row->uuid;
    OK(s, jobs_list, &page, count_job, v, NULL);
    (void)read_task(s, row->key, 1);
    v->write_rc = DB(s, job_set_priority, row->key, 1);
    EXPECT(memcmp(&uuid, &row->uuid, sizeof(uuid)) == 0, "a row that is being visited changes");
    EXPECT_STR(row->name, "shot 12");
    return ++v->rows == v->stop_after;
}

static void visitor_may_read_but_not_change(kit *k)
{
    kit_store *s = store_start(k);
    visit v = { .s = s };
    flamenco_page page = ALL_ROWS;
    int64_t job = store_job(s, 50, 0, one_task, 1);
    store_job(s, 50, 0, one_task, 1);
    store_job(s, 50, 0, one_task, 1);
    OK(s, jobs_list, &page, read_and_try_to_write, &v, NULL);
    EXPECT_INT(v.rows, 3);
    EXPECT_INT(v.inner, 9);
    EXPECT_INT(v.write_rc, FLAMENCO_E_INVALID);
    v = (visit){ .s = s, .stop_after = 2 };
    OK(s, jobs_list, &page, read_and_try_to_write, &v, NULL);
    EXPECT_INT(v.rows, 2);
    EXPECT_INT(read_job(s, job).priority, 50);
    OK(s, job_set_priority, job, 1);
    store_commit(s);
}

/* ---- Giving up ------------------------------------------------------------------------------------------------------- */

typedef struct give_up {
    kit_store *s;
    kit_reader *r;
    int how, rows;
} give_up;

static int32_t give_up_at_first(void *ctx, const flamenco_job *row)
{
    give_up *g = ctx;
    (void)row;
    if (g->rows++ > 0)
        return 0;
    if (g->how == 0)
        g->s->db->interrupt(g->s->self, g->r->session);
    else if (g->how == 1)
        __atomic_store_n(&g->r->own_cx->cancelled, 1, __ATOMIC_RELEASE);
    else
        g->r->cx->deadline_us = 1;
    return 0;
}

static void reader_gives_up(kit *k, int how, int32_t expected)
{
    enum { ROWS = 300 };
    kit_store *s = store_start(k);
    for (int i = 0; i < ROWS; ++i)
        store_job(s, 50, 0, one_task, 1);
    store_next(s);
    kit_reader r = reader_open(s);
    flamenco_page page = ALL_ROWS;
    give_up g = { s, &r, how, 0 };
    int64_t deadline = r.cx->deadline_us;
    reader_begin(&r);
    int32_t rc = s->db->jobs_list(s->self, r.cx, &page, give_up_at_first, &g, NULL, &r.err);
    EXPECT(rc == expected, "a list that is given up at the first of %d rows gives %s, not %s, after %d rows", ROWS,
           kit_code_name(rc), kit_code_name(expected), g.rows);
    reader_end(&r);
    /* The session can be used again, and the writer never noticed. */
    r.own_cx->cancelled = 0;
    r.cx->deadline_us = deadline;
    g = (give_up){ .rows = 1 };
    reader_begin(&r);
    EXPECT_RC(s->db->jobs_list(s->self, r.cx, &page, give_up_at_first, &g, NULL, &r.err), FLAMENCO_OK);
    EXPECT_INT(g.rows, ROWS + 1);
    reader_close(&r);
    store_job(s, 50, 0, one_task, 1);
    store_commit(s);
}

static void interrupted_reader_gives_up(kit *k)
{
    reader_gives_up(k, 0, FLAMENCO_E_CANCELLED);
}

static void cancelled_reader_gives_up(kit *k)
{
    reader_gives_up(k, 1, FLAMENCO_E_CANCELLED);
}

static void late_reader_gives_up(kit *k)
{
    reader_gives_up(k, 2, FLAMENCO_E_DEADLINE);
}

static void interrupt_without_a_running_method_does_nothing(kit *k)
{
    kit_store *s = store_start(k);
    scene here = make_scene(s);
    kit_reader r = reader_open(s);
    uint32_t status = 99;
    s->db->interrupt(s->self, r.session);
    reader_begin(&r);
    EXPECT_INT(read_status(s, r.cx, here.job, &status), FLAMENCO_OK);
    s->db->interrupt(s->self, r.session);
    reader_end(&r);
    reader_begin(&r);
    EXPECT_INT(read_status(s, r.cx, here.job, &status), FLAMENCO_OK);
    reader_close(&r);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.transaction.outside", FLAMENCO_PERSISTENCE, method_outside_a_transaction_is_invalid,
      "methods without a transaction, and begin within one, give INVALID; rollback without one does nothing",
      "persistence.h: SESSIONS AND TRANSACTIONS" },
    { "persistence.transaction.rollback", FLAMENCO_PERSISTENCE, rolled_back_transaction_leaves_nothing,
      "rollback leaves nothing of a transaction that changed everything",
      "persistence.h: rollback" },
    { "persistence.transaction.close", FLAMENCO_PERSISTENCE, closed_session_is_rolled_back,
      "closing a session rolls back what is open in it",
      "persistence.h: close" },
    { "persistence.transaction.last-batch", FLAMENCO_PERSISTENCE, last_batch_is_that_of_the_last_commit,
      "last_batch is 0 at first, then the number of the last commit; a rollback does not move it",
      "persistence.h: last_batch" },
    { "persistence.session.open", FLAMENCO_PERSISTENCE, sessions_open_and_close,
      "sessions can be closed and opened anew; close accepts NULL",
      "persistence.h: open, close" },
    { "persistence.savepoint.one-level", FLAMENCO_PERSISTENCE, savepoints_are_one_level_deep,
      "savepoints are one level deep; misuse gives INVALID",
      "persistence.h: savepoint" },
    { "persistence.savepoint.rollback", FLAMENCO_PERSISTENCE, rolled_back_savepoint_leaves_nothing,
      "rollback_to leaves nothing of what happened since the savepoint, and everything from before it",
      "persistence.h: rollback_to" },
    { "persistence.savepoint.release", FLAMENCO_PERSISTENCE, released_savepoint_stays,
      "release keeps what happened since the savepoint, and the next savepoint stands on it",
      "persistence.h: release" },
    { "persistence.failure.nothing-changed", FLAMENCO_PERSISTENCE, failed_method_changes_nothing,
      "a method that gives NOT_FOUND, EXISTS or INVALID has changed nothing, and the transaction goes on",
      "persistence.h: FAILURES" },
    { "persistence.reader.snapshot", FLAMENCO_PERSISTENCE, reader_sees_one_snapshot,
      "a reader sees one state from begin to end, and the next one every earlier commit",
      "persistence.h: SESSIONS AND TRANSACTIONS" },
    { "persistence.reader.begin", FLAMENCO_PERSISTENCE, reader_takes_its_snapshot_when_it_begins,
      "the snapshot is taken by begin, not by the first read",
      "persistence.h: begin" },
    { "persistence.reader.read-only", FLAMENCO_PERSISTENCE, reader_cannot_change_anything,
      "a reader's session refuses every change",
      "persistence.h: SESSIONS AND TRANSACTIONS" },
    { "persistence.reader.no-waiting", FLAMENCO_PERSISTENCE, readers_and_the_writer_do_not_wait_for_each_other,
      "the writer commits while readers hold snapshots, and readers begin while it writes",
      "persistence.h: SESSIONS AND TRANSACTIONS" },
    { "persistence.visitor", FLAMENCO_PERSISTENCE, visitor_may_read_but_not_change,
      "a visitor may read with the same cx, gets INVALID for a change, and may end the list",
      "persistence.h: ROWS" },
    { "persistence.interrupt", FLAMENCO_PERSISTENCE, interrupted_reader_gives_up,
      "interrupt ends a reader's running method with CANCELLED; the session stays usable",
      "persistence.h: interrupt" },
    { "persistence.interrupt.idle", FLAMENCO_PERSISTENCE, interrupt_without_a_running_method_does_nothing,
      "interrupt outside a running method does no harm to later ones",
      "persistence.h: interrupt" },
    { "persistence.cancel", FLAMENCO_PERSISTENCE, cancelled_reader_gives_up,
      "a long list ends with CANCELLED when its cx is cancelled",
      "plugin.h: flamenco_cx_cancelled" },
    { "persistence.deadline", FLAMENCO_PERSISTENCE, late_reader_gives_up,
      "a long list ends with DEADLINE when its time is over",
      "plugin.h: flamenco_cx" },
};
// clang-format on

const kit_group persistence_session_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
