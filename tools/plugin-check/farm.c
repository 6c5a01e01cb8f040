/* SPDX-License-Identifier: Apache-2.0
 *
 * farm.c - checks of the services that work on the store: task scheduler, state machine, sleep scheduler, job deleter and
 * last rendered. The policy of a scheduler is its own; what is checked is what every scheduler must keep to.
 */
#include <stdlib.h>
#include <unistd.h>

#include "flamenco/job_deleter.h"
#include "flamenco/last_rendered.h"
#include "flamenco/local_storage.h"
#include "flamenco/sleep_scheduler.h"
#include "flamenco/task_scheduler.h"
#include "flamenco/task_state_machine.h"
#include "groups.h"
#include "store.h"

static const task_spec two_tasks[] = { { "blender", 50, { 0 }, 2 }, { "ffmpeg", 60, { 1 }, 1 } };

/* The plugin under test and the store that it works on, with a transaction. */
typedef struct farm {
    kit *k;
    kit_instance *i;
    kit_store *s;
    const void *table;
    flamenco_error err;
} farm;

static farm farm_start(kit *k)
{
    farm f = { .k = k, .i = kit_start_subject(k), .err = kit_error() };
    f.s = store_beside(k);
    f.table = kit_table_of(f.i, k->check->service);
    store_begin(f.s);
    return f;
}

static void farm_end(farm *f)
{
    store_close(f->s);
    kit_end_all(f->k);
}

/* ---- Task scheduler -------------------------------------------------------------------------------------------------- */

static int32_t pick(farm *f, int64_t worker, flamenco_task *out)
{
    const flamenco_task_scheduler *table = f->table;
    flamenco_worker row = read_worker(f->s, worker);
    *out = ROW(flamenco_task);
    return table->pick(f->i->self, f->s->cx, &row, out, &f->err);
}

static void picked_task_is_assigned(kit *k)
{
    farm f = farm_start(k);
    flamenco_task task;
    int64_t worker = store_worker(f.s, "w", "blender,ffmpeg"), job = store_job(f.s, 50, 0, two_tasks, 2);
    f.s->cx->now_us = LATER;
    EXPECT_CODE(pick(&f, worker, &task), FLAMENCO_OK, &f.err);
    EXPECT_INT(task.job_key, job);
    EXPECT_INT(task.index, 1); /* the other waits for it */
    EXPECT(task.commands.len > 0, "the task comes without its commands");
    flamenco_task stored = read_task(f.s, job, 1);
    EXPECT_INT(stored.worker_key, worker);
    EXPECT_INT(stored.status, FLAMENCO_TASK_QUEUED); /* the caller's to change */
    EXPECT_INT(stored.touched_us, LATER);
    /* The second one only when the first is completed. */
    set_task(f.s, job, 1, FLAMENCO_TASK_COMPLETED);
    EXPECT_CODE(pick(&f, worker, &task), FLAMENCO_OK, &f.err);
    EXPECT_INT(task.index, 2);
    store_commit(f.s);
    farm_end(&f);
}

static void nothing_to_pick_is_not_found(kit *k)
{
    farm f = farm_start(k);
    int64_t tag = store_tag(f.s, "t"), worker = store_worker(f.s, "w", "blender"), blocked, job;
    const task_spec one[] = { { "blender", 50, { 0 }, 1 } }, exotic[] = { { "exotic", 50, { 0 }, 1 } };
    flamenco_task task;
    EXPECT_CODE(pick(&f, worker, &task), FLAMENCO_E_NOT_FOUND, &f.err);
    (void)store_job(f.s, 50, 0, exotic, 1);
    (void)store_job(f.s, 50, tag, one, 1);
    blocked = store_job(f.s, 50, 0, one, 1);
    OK(f.s, blocklist_add, blocked, worker, flamenco_text("blender"));
    job = store_job(f.s, 50, 0, one, 1);
    set_job(f.s, job, FLAMENCO_JOB_PAUSED);
    job = store_job(f.s, 50, 0, one, 1);
    OK(f.s, failure_add, read_task(f.s, job, 1).key, worker, NULL, NULL);
    job = store_job(f.s, 50, 0, one, 1);
    OK(f.s, job_set_delete_requested, job);
    char *before = store_dump(f.s, f.s->cx);
    EXPECT_CODE(pick(&f, worker, &task), FLAMENCO_E_NOT_FOUND, &f.err);
    EXPECT(task.key == 0 && task.struct_size == sizeof(task), "what fails writes to its output");
    char *after = store_dump(f.s, f.s->cx);
    EXPECT(strcmp(before, after) == 0, "pick changes something though it hands out nothing");
    store_commit(f.s);
    farm_end(&f);
}

static void held_task_comes_first(kit *k)
{
    farm f = farm_start(k);
    const task_spec one[] = { { "blender", 50, { 0 }, 1 } };
    int64_t worker = store_worker(f.s, "w", "blender"), job = store_job(f.s, 50, 0, one, 1);
    flamenco_task task;
    EXPECT_INT(store_assign(f.s, worker, &task), FLAMENCO_OK);
    (void)store_job(f.s, 99, 0, one, 1);
    for (int n = 0; n < 3; ++n) {
        EXPECT_CODE(pick(&f, worker, &task), FLAMENCO_OK, &f.err);
        EXPECT_INT(task.job_key, job);
    }
    store_commit(f.s);
    farm_end(&f);
}

static void every_task_is_handed_out_once(kit *k)
{
    enum { WORKERS = 5 };
    farm f = farm_start(k);
    int64_t workers[WORKERS];
    const task_spec tasks[] = { { "blender", 50, { 0 }, 1 }, { "blender", 70, { 0 }, 1 }, { "misc", 50, { 1, 2 }, 1 } };
    for (int w = 0; w < WORKERS; ++w)
        workers[w] = store_worker(f.s, "w", "blender,misc");
    for (int j = 0; j < 4; ++j)
        (void)store_job(f.s, 40 + 10 * j, 0, tasks, 3);
    int done = 0;
    for (int round = 0; round < 40 && done < 12; ++round) {
        flamenco_task held[WORKERS];
        int n = 0;
        for (int w = 0; w < WORKERS; ++w) {
            int32_t rc = pick(&f, workers[w], &held[n]);
            EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOT_FOUND, "pick gives %s: %s", kit_code_name(rc), f.err.text);
            if (rc != FLAMENCO_OK)
                continue;
            for (int other = 0; other < n; ++other)
                EXPECT(held[other].key != held[n].key, "one task is handed out to two workers");
            set_task(f.s, held[n].job_key, held[n].index, FLAMENCO_TASK_ACTIVE);
            ++n;
        }
        EXPECT(n > 0, "tasks wait, workers are awake, and nobody gets one");
        for (int t = 0; t < n; ++t, ++done)
            set_task(f.s, held[t].job_key, held[t].index, FLAMENCO_TASK_COMPLETED);
    }
    EXPECT_INT(done, 12);
    store_commit(f.s);
    farm_end(&f);
}

static int32_t on_reason(void *ctx, const flamenco_reason *reason)
{
    EXPECT(reason->code.len > 0 && reason->text.len > 0, "a reason lacks its code or its text");
    ++*(int *)ctx;
    return 0;
}

static void reasons_are_told(kit *k)
{
    farm f = farm_start(k);
    const flamenco_task_scheduler *table = f.table;
    int64_t worker = store_worker(f.s, "w", "misc"), job = store_job(f.s, 50, 0, two_tasks, 2);
    flamenco_uuid nobody = kit_uuid(999999);
    flamenco_uuid uuids[] = { read_job(f.s, job).uuid, read_task(f.s, job, 2).uuid, read_worker(f.s, worker).uuid };
    int n = 0;
    if (table->explain == NULL)
        kit_skip("it has no explain");
    store_commit(f.s);
    kit_reader r = reader_open(f.s);
    reader_begin(&r);
    for (uint32_t what = FLAMENCO_EXPLAIN_JOB; what <= FLAMENCO_EXPLAIN_WORKER; ++what) {
        EXPECT_CODE(table->explain(f.i->self, r.cx, what, &uuids[what - 1], on_reason, &n, &f.err), FLAMENCO_OK,
                    &f.err);
        EXPECT_RC(table->explain(f.i->self, r.cx, what, &nobody, on_reason, &n, &f.err), FLAMENCO_E_NOT_FOUND);
    }
    EXPECT(n > 0, "nobody can run these tasks, and no reason is given");
    reader_close(&r);
    farm_end(&f);
}

/* ---- State machine --------------------------------------------------------------------------------------------------- */

static void set_status(farm *f, int64_t job, uint32_t index, uint32_t to)
{
    const flamenco_state_machine *table = f->table;
    flamenco_task task = read_task(f->s, job, index);
    EXPECT_CODE(table->task_set_status(f->i->self, f->s->cx, &task, to, flamenco_text("by the check"), &f->err),
                FLAMENCO_OK, &f->err);
    EXPECT_INT(task.status, to); /* the row holds the new state */
    EXPECT_INT(read_task(f->s, job, index).status, to);
}

static int32_t move_job(farm *f, int64_t key, uint32_t to, uint32_t *pending)
{
    const flamenco_state_machine *table = f->table;
    flamenco_job job = read_job(f->s, key);
    return table->job_set_status(f->i->self, f->s->cx, &job, to, flamenco_text("by the check"), pending, &f->err);
}

static void tasks_move_their_job(kit *k)
{
    farm f = farm_start(k);
    int64_t job = store_job(f.s, 50, 0, two_tasks, 2);
    set_status(&f, job, 1, FLAMENCO_TASK_ACTIVE);
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_ACTIVE);
    EXPECT_TRUE(kit_count_effects(k, KIT_EMIT_TASK) == 1 && kit_count_effects(k, KIT_EMIT_JOB) >= 1);
    EXPECT(kit_count_effects(k, KIT_TASK_LOG) >= 1, "a change of status leaves no line in the task's log");
    set_status(&f, job, 1, FLAMENCO_TASK_COMPLETED);
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_ACTIVE);
    EXPECT(kit_count_effects(k, KIT_WAKE) >= 1, "a task became runnable, and nobody is woken");
    set_status(&f, job, 2, FLAMENCO_TASK_ACTIVE);
    set_status(&f, job, 2, FLAMENCO_TASK_COMPLETED);
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_COMPLETED);
    store_commit(f.s);
    store_check(f.s);
    farm_end(&f);
}

static void job_takes_its_tasks_along(kit *k)
{
    farm f = farm_start(k);
    int64_t job = store_job(f.s, 50, 0, two_tasks, 2);
    EXPECT_CODE(move_job(&f, job, FLAMENCO_JOB_CANCEL_REQUESTED, NULL), FLAMENCO_OK, &f.err);
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_CANCELED);
    EXPECT_INT(read_job(f.s, job).counts[FLAMENCO_TASK_CANCELED], 2);
    size_t told = kit_count_effects(k, KIT_EMIT_JOB);
    EXPECT_TRUE(told >= 1);
    EXPECT_CODE(move_job(&f, job, FLAMENCO_JOB_CANCELED, NULL), FLAMENCO_OK, &f.err);
    EXPECT(kit_count_effects(k, KIT_EMIT_JOB) == told, "a request for the status that a job has does something");
    EXPECT_CODE(move_job(&f, job, FLAMENCO_JOB_REQUEUEING, NULL), FLAMENCO_OK, &f.err);
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_QUEUED);
    EXPECT_INT(read_job(f.s, job).counts[FLAMENCO_TASK_QUEUED], 2);
    store_commit(f.s);
    store_check(f.s);
    farm_end(&f);
}

static int64_t store_long_job(farm *f, uint32_t n)
{
    flamenco_job row = new_job(f->s);
    int64_t job = 0;
    OK(f->s, job_insert_hidden, &row, n, &job);
    for (uint32_t i = 1; i <= n; ++i) {
        flamenco_new_task task = new_task(f->s);
        OK(f->s, tasks_insert, job, i, &task, sizeof(task), 1);
    }
    OK(f->s, job_show, job, NULL);
    return job;
}

static void long_changes_go_in_steps(kit *k)
{
    enum { TASKS = 2500 };
    farm f = farm_start(k);
    const flamenco_state_machine *table = f.table;
    int64_t mine = store_long_job(&f, TASKS), its = store_long_job(&f, TASKS);
    uint32_t pending = 0;
    store_next(f.s);
    EXPECT_CODE(move_job(&f, mine, FLAMENCO_JOB_CANCEL_REQUESTED, &pending), FLAMENCO_OK, &f.err);
    for (int steps = 0, rc = pending ? FLAMENCO_AGAIN : FLAMENCO_OK; rc == FLAMENCO_AGAIN; ++steps) {
        EXPECT(steps < 1000, "job_advance never comes to an end");
        store_commit(f.s);
        store_forget(f.s);
        store_begin(f.s);
        rc = table->job_advance(f.i->self, f.s->cx, mine, &f.err);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_AGAIN, "job_advance gives %s: %s", kit_code_name(rc), f.err.text);
    }
    EXPECT_INT(read_job(f.s, mine).status, FLAMENCO_JOB_CANCELED);
    EXPECT_INT(read_job(f.s, mine).counts[FLAMENCO_TASK_CANCELED], TASKS);
    /* Without pending_out it goes on by itself. */
    EXPECT_CODE(move_job(&f, its, FLAMENCO_JOB_CANCEL_REQUESTED, NULL), FLAMENCO_OK, &f.err);
    store_commit(f.s);
    (void)kit_run_steps(k);
    store_forget(f.s);
    store_begin(f.s);
    EXPECT_INT(read_job(f.s, its).status, FLAMENCO_JOB_CANCELED);
    EXPECT_INT(read_job(f.s, its).counts[FLAMENCO_TASK_CANCELED], TASKS);
    store_commit(f.s);
    farm_end(&f);
}

static void workers_give_tasks_back(kit *k)
{
    farm f = farm_start(k);
    const flamenco_state_machine *table = f.table;
    int64_t worker = store_worker(f.s, "w", "blender"), job = store_job(f.s, 50, 0, two_tasks, 2);
    flamenco_task task;
    EXPECT_INT(store_assign(f.s, worker, &task), FLAMENCO_OK);
    set_job(f.s, job, FLAMENCO_JOB_ACTIVE);
    flamenco_worker row = read_worker(f.s, worker);
    EXPECT_CODE(table->worker_return_tasks(f.i->self, f.s->cx, &row, flamenco_text("went home"), &f.err), FLAMENCO_OK,
                &f.err);
    EXPECT_INT(read_task(f.s, job, 1).status, FLAMENCO_TASK_QUEUED);
    expect_task(f.s, store_worker(f.s, "x", "blender"), job, 1);
    store_commit(f.s);
    farm_end(&f);
}

static void failures_fail_tasks_in_the_end(kit *k)
{
    farm f = farm_start(k);
    const flamenco_state_machine *table = f.table;
    const task_spec tasks[] = { { "blender", 50, { 0 }, 1 }, { "misc", 50, { 0 }, 1 } };
    int64_t workers[6], job = store_job(f.s, 50, 0, tasks, 2);
    for (int w = 0; w < 6; ++w)
        workers[w] = store_worker(f.s, "w", "blender,misc");
    uint32_t status = FLAMENCO_TASK_QUEUED;
    for (int w = 0; w < 6 && status != FLAMENCO_TASK_FAILED; ++w) {
        flamenco_worker worker = read_worker(f.s, workers[w]);
        set_status(&f, job, 1, FLAMENCO_TASK_ACTIVE);
        flamenco_task task = read_task(f.s, job, 1);
        EXPECT_CODE(table->task_failed(f.i->self, f.s->cx, &task, &worker, flamenco_text("crashed"), &f.err),
                    FLAMENCO_OK, &f.err);
        status = read_task(f.s, job, 1).status;
        EXPECT_INT(task.status, status);
        EXPECT(status == FLAMENCO_TASK_SOFT_FAILED || status == FLAMENCO_TASK_FAILED, "a failed task has the status %s",
               flamenco_task_status_text(status));
    }
    EXPECT_INT(status, FLAMENCO_TASK_FAILED);
    store_commit(f.s);
    store_check(f.s);
    farm_end(&f);
}

static void repair_finishes_what_a_crash_left(kit *k)
{
    farm f = farm_start(k);
    const flamenco_state_machine *table = f.table;
    int64_t job = store_job(f.s, 50, 0, two_tasks, 2), untouched = store_job(f.s, 50, 0, two_tasks, 2);
    set_job(f.s, job, FLAMENCO_JOB_CANCEL_REQUESTED); /* saved, and then the power went */
    store_next(f.s);
    for (int n = 0, rc = FLAMENCO_AGAIN; rc == FLAMENCO_AGAIN; ++n) {
        EXPECT(n < 1000, "repair never comes to an end");
        rc = table->repair(f.i->self, f.s->cx, &f.err);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_AGAIN, "repair gives %s: %s", kit_code_name(rc), f.err.text);
        store_next(f.s);
    }
    EXPECT_INT(read_job(f.s, job).status, FLAMENCO_JOB_CANCELED);
    EXPECT_INT(read_job(f.s, job).counts[FLAMENCO_TASK_CANCELED], 2);
    EXPECT_INT(read_job(f.s, untouched).status, FLAMENCO_JOB_QUEUED);
    char *before = store_dump(f.s, f.s->cx);
    EXPECT_CODE(table->repair(f.i->self, f.s->cx, &f.err), FLAMENCO_OK, &f.err);
    EXPECT(strcmp(before, store_dump(f.s, f.s->cx)) == 0, "a second repair changes something");
    store_commit(f.s);
    farm_end(&f);
}

/* ---- Sleep scheduler ------------------------------------------------------------------------------------------------- */

static int32_t set_sleep(farm *f, int64_t worker, uint32_t active, const char *days, const char *start, const char *end)
{
    const flamenco_sleep_scheduler *table = f->table;
    flamenco_worker row = read_worker(f->s, worker);
    return table->set(f->i->self, f->s->cx, &row, active, flamenco_text(days), flamenco_text(start), flamenco_text(end),
                      &f->err);
}

static void schedules_are_kept_as_texts(kit *k)
{
    farm f = farm_start(k);
    const flamenco_sleep_scheduler *table = f.table;
    int64_t worker = store_worker(f.s, "w", "misc");
    uint32_t active = 77;
    flamenco_str days = { "x", 77 }, start = days, end = days;
    EXPECT_RC(table->get(f.i->self, f.s->cx, worker, &active, &days, &start, &end, &f.err), FLAMENCO_E_NOT_FOUND);
    EXPECT(active == 77 && days.len == 77 && start.len == 77, "what fails writes to its output");
    EXPECT_CODE(set_sleep(&f, worker, 1, "mo tu we", "22:30", "06:00"), FLAMENCO_OK, &f.err);
    EXPECT_CODE(table->get(f.i->self, f.s->cx, worker, &active, &days, &start, &end, &f.err), FLAMENCO_OK, &f.err);
    EXPECT_INT(active, 1);
    EXPECT_STR(days, "mo tu we");
    EXPECT_STR(start, "22:30");
    EXPECT_STR(end, "06:00");
    EXPECT_CODE(set_sleep(&f, worker, 0, "", "", ""), FLAMENCO_OK, &f.err);
    EXPECT_CODE(table->get(f.i->self, f.s->cx, worker, &active, &days, &start, &end, &f.err), FLAMENCO_OK, &f.err);
    EXPECT_TRUE(active == 0 && days.len == 0 && start.len == 0 && end.len == 0);
    static const char *const wrong[][3] = {
        { "", "25:00", "" }, { "", "12:61", "" }, { "", "", "noon" }, { "xy", "", "" }
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        int32_t rc = set_sleep(&f, worker, 1, wrong[i][0], wrong[i][1], wrong[i][2]);
        EXPECT(rc == FLAMENCO_E_INVALID && f.err.text[0] != '\0', "days \"%s\", start \"%s\", end \"%s\" give %s",
               wrong[i][0], wrong[i][1], wrong[i][2], kit_code_name(rc));
    }
    store_commit(f.s);
    farm_end(&f);
}

static void workers_sleep_by_their_schedule(kit *k)
{
    farm f = farm_start(k);
    const flamenco_sleep_scheduler *table = f.table;
    int64_t worker = store_worker(f.s, "w", "misc");
    uint32_t now = 77;
    EXPECT_CODE(set_sleep(&f, worker, 0, "", "", ""), FLAMENCO_OK, &f.err);
    EXPECT_CODE(table->status_now(f.i->self, f.s->cx, worker, &now, &f.err), FLAMENCO_OK, &f.err);
    EXPECT_INT(now, FLAMENCO_WORKER_AWAKE);
    EXPECT_CODE(set_sleep(&f, worker, 1, "", "", ""), FLAMENCO_OK, &f.err); /* the whole day, every day */
    EXPECT_CODE(table->status_now(f.i->self, f.s->cx, worker, &now, &f.err), FLAMENCO_OK, &f.err);
    EXPECT_INT(now, FLAMENCO_WORKER_ASLEEP);
    EXPECT_INT(read_worker(f.s, worker).requested, FLAMENCO_WORKER_ASLEEP); /* applied at once */
    for (int n = 0, rc = FLAMENCO_AGAIN; rc == FLAMENCO_AGAIN; ++n) {
        EXPECT(n < 1000, "apply_due never comes to an end");
        rc = table->apply_due(f.i->self, f.s->cx, &f.err);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_AGAIN, "apply_due gives %s: %s", kit_code_name(rc), f.err.text);
        store_next(f.s);
    }
    store_commit(f.s);
    farm_end(&f);
}

/* ---- Job deleter ----------------------------------------------------------------------------------------------------- */

static void marked_jobs_are_removed(kit *k)
{
    farm f = farm_start(k);
    const flamenco_job_deleter *table = f.table;
    uint32_t shaman = 77;
    int64_t job = store_job(f.s, 50, 0, two_tasks, 2), kept = store_job(f.s, 50, 0, two_tasks, 2);
    flamenco_job row = read_job(f.s, job);
    EXPECT_CODE(table->would_delete(f.i->self, f.s->cx, &row, &shaman, &f.err), FLAMENCO_OK, &f.err);
    EXPECT_INT(shaman, 0);
    OK(f.s, job_set_delete_requested, job);
    store_commit(f.s);
    kit_instance *storage = kit_needs(f.i, FLAMENCO_LOCAL_STORAGE) ? kit_provider(k, FLAMENCO_LOCAL_STORAGE) : NULL;
    const flamenco_local_storage *files = storage != NULL ? kit_table_of(storage, FLAMENCO_LOCAL_STORAGE) : NULL;
    int32_t fd = -1;
    if (files != NULL && files->job_dir(storage->self, &row.uuid, 1, &fd, &f.err) == FLAMENCO_OK)
        (void)close(fd);
    table->poke(f.i->self);
    table->poke(f.i->self);
    for (int n = 0; n < 20; ++n) {
        (void)kit_run_steps(k);
        kit_set_now(k, k->now_us + 60 * KIT_SECOND);
    }
    store_begin(f.s);
    GIVES(f.s, FLAMENCO_E_NOT_FOUND, job_get_key, job, &row);
    EXPECT_INT(read_job(f.s, kept).n_tasks, 2);
    if (files != NULL) {
        row = (flamenco_job){ .struct_size = (uint32_t)sizeof(row), .uuid = row.uuid };
        EXPECT_RC(files->job_dir(storage->self, &row.uuid, 0, &fd, &f.err), FLAMENCO_E_NOT_FOUND);
    }
    size_t told = 0;
    for (size_t n = 0; n < k->n_effects; ++n)
        told += k->effects[n].what == KIT_EMIT_JOB && (k->effects[n].flags & FLAMENCO_JOB_EVENT_DELETED) != 0;
    EXPECT(told == 1, "the deletion of one job is told %zu times", told);
    store_commit(f.s);
    store_check(f.s);
    farm_end(&f);
}

/* ---- Last rendered --------------------------------------------------------------------------------------------------- */

/* One white pixel. */
static const unsigned char png[] = { 0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48,
                                     0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
                                     0x00, 0x3A, 0x7E, 0x9B, 0x55, 0x00, 0x00, 0x00, 0x0A, 0x49, 0x44, 0x41, 0x54, 0x78,
                                     0x9C, 0x63, 0xF8, 0x0F, 0x00, 0x01, 0x01, 0x01, 0x00, 0xB1, 0x38, 0xF6, 0x14, 0x00,
                                     0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82 };

static void images_become_thumbnails(kit *k)
{
    farm f = farm_start(k);
    const flamenco_last_rendered *table = f.table;
    int64_t key = store_job(f.s, 50, 0, two_tasks, 2);
    flamenco_job job = read_job(f.s, key), last = ROW(flamenco_job);
    flamenco_str base = { "x", 77 };
    store_commit(f.s);
    kit_cx *cx = kit_cx_make(f.i);
    EXPECT_RC(table->info(f.i->self, &cx->cx, &job.uuid, &base, &f.err), FLAMENCO_E_NOT_FOUND);
    EXPECT(base.len == 77, "what fails writes to its output");
    const flamenco_str *suffixes = table->suffixes(f.i->self);
    EXPECT(suffixes != NULL && suffixes[0].len > 0 && suffixes == table->suffixes(f.i->self),
           "suffixes are not static");
    /* Taken over, also on failure. */
    int32_t rc = table->submit(f.i->self, &cx->cx, &job, flamenco_text("text/plain"),
                               kit_buf_make(k, flamenco_text("no image")), &f.err);
    EXPECT(rc == FLAMENCO_E_UNSUPPORTED || rc == FLAMENCO_OK, "what is no image gives %s", kit_code_name(rc));
    (void)kit_run_steps(k);
    EXPECT_INT(k->buffers, 0);
    for (int n = 0; n < 3; ++n)
        EXPECT_CODE(table->submit(f.i->self, &cx->cx, &job, flamenco_text("image/png"),
                                  kit_buf_make(k, (flamenco_str){ (const char *)png, sizeof(png) }), &f.err),
                    FLAMENCO_OK, &f.err);
    (void)kit_run_steps(k);
    EXPECT_INT(k->buffers, 0);
    EXPECT_CODE(table->info(f.i->self, &cx->cx, &job.uuid, &base, &f.err), FLAMENCO_OK, &f.err);
    EXPECT(base.len > 0 && base.ptr[0] != '/', "info gives the path \"%.*s\"", (int)base.len, base.ptr);
    kit_cx_end(cx);
    store_begin(f.s);
    OK(f.s, last_rendered_get, &last);
    EXPECT_INT(last.key, key);
    EXPECT(kit_count_effects(k, KIT_EMIT) >= 1, "a new thumbnail is told to nobody");
    store_commit(f.s);
    farm_end(&f);
}

// clang-format off
static const kit_check checks[] = {
    { "task_scheduler.pick", FLAMENCO_TASK_SCHEDULER, picked_task_is_assigned,
      "pick gives a task that may run, with commands, assigned and not yet active", "task_scheduler.h: pick" },
    { "task_scheduler.nothing", FLAMENCO_TASK_SCHEDULER, nothing_to_pick_is_not_found,
      "tag, blocklist, type, failures, pause and deletion are respected; NOT_FOUND changes nothing",
      "state-and-scheduling 6" },
    { "task_scheduler.held", FLAMENCO_TASK_SCHEDULER, held_task_comes_first,
      "a worker gets the task that it holds already", "task_scheduler.h: pick" },
    { "task_scheduler.all", FLAMENCO_TASK_SCHEDULER, every_task_is_handed_out_once,
      "every task is handed out, each to one worker, and nobody stands idle while tasks wait", "task_scheduler.h: pick" },
    { "task_scheduler.explain", FLAMENCO_TASK_SCHEDULER, reasons_are_told,
      "explain tells why jobs, tasks and workers wait; NOT_FOUND for unknown ones", "task_scheduler.h: explain" },
    { "state_machine.task", FLAMENCO_STATE_MACHINE, tasks_move_their_job,
      "a task's change is saved, told and logged, and moves its job", "state-and-scheduling 2" },
    { "state_machine.job", FLAMENCO_STATE_MACHINE, job_takes_its_tasks_along,
      "a job's change takes its tasks along to the final status; the status that it has does nothing",
      "state-and-scheduling 3" },
    { "state_machine.long", FLAMENCO_STATE_MACHINE, long_changes_go_in_steps,
      "a change of 2,500 tasks comes to its end in steps, the caller's or its own", "task_state_machine.h: LONG CHANGES" },
    { "state_machine.return", FLAMENCO_STATE_MACHINE, workers_give_tasks_back,
      "a worker's active tasks go back to the pool", "state-and-scheduling 5" },
    { "state_machine.failures", FLAMENCO_STATE_MACHINE, failures_fail_tasks_in_the_end,
      "a task that fails again and again is soft-failed first, then failed", "state-and-scheduling 8" },
    { "state_machine.repair", FLAMENCO_STATE_MACHINE, repair_finishes_what_a_crash_left,
      "repair finishes a half-done change, leaves the rest alone, and has an end", "task_state_machine.h: repair" },
    { "sleep_scheduler.texts", FLAMENCO_SLEEP_SCHEDULER, schedules_are_kept_as_texts,
      "schedules come back as they were given; wrong ones are INVALID", "sleep_scheduler.h: set, get" },
    { "sleep_scheduler.status", FLAMENCO_SLEEP_SCHEDULER, workers_sleep_by_their_schedule,
      "a schedule is applied at once, and status_now tells it", "sleep_scheduler.h: status_now, apply_due" },
    { "job_deleter.marked", FLAMENCO_JOB_DELETER, marked_jobs_are_removed,
      "marked jobs go with their files, told once; others stay", "state-and-scheduling 13" },
    { "last_rendered.images", FLAMENCO_LAST_RENDERED, images_become_thumbnails,
      "images are taken over, become thumbnails, are told and remembered", "last_rendered.h: submit, info" },
};
// clang-format on

const kit_group farm_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
