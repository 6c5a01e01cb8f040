/* SPDX-License-Identifier: Apache-2.0
 *
 * task_update.c - changes one task and all that follows from it: the job's counters and steps, the dependencies that wait for
 * it, what is runnable. The hottest method of the service; a failure half-way is left to a rollback of the batch, because a
 * savepoint of its own would cost every call.
 */
#include "rows.h"
#include "table.h"

#define EVERY_SET \
    (FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_ACTIVITY | FLAMENCO_TASK_SET_STEPS | FLAMENCO_TASK_SET_WORKER | \
     FLAMENCO_TASK_SET_TOUCHED)

/* One statement per set of columns: one that names a column rewrites its indexes, changed or not. */
static fl_query update_query(flamenco_session *s, uint32_t set)
{
    char sql[192] = "";
    if (!fl_query_is_kept(&s->updates[set]))
        (void)snprintf(
            sql, sizeof(sql), "UPDATE task SET updated=?1%s%s%s%s%s WHERE id=?6",
            set & FLAMENCO_TASK_SET_STATUS ? ",status=?2" : "", set & FLAMENCO_TASK_SET_ACTIVITY ? ",activity=?3" : "",
            set & FLAMENCO_TASK_SET_STEPS ? ",steps_done=?4" : "", set & FLAMENCO_TASK_SET_WORKER ? ",worker=?5" : "",
            set & FLAMENCO_TASK_SET_TOUCHED ? ",touched=?1" : "");
    return fl_query_begin_text(s, &s->updates[set], sql);
}

static int32_t write_task(flamenco_session *s, const fl_task_state *now, const flamenco_task_update *update,
                          uint32_t set)
{
    fl_query q = update_query(s, set);
    fl_bind_int(&q, 1, s->cx->now_us);
    if (set & FLAMENCO_TASK_SET_STATUS)
        fl_bind_int(&q, 2, now->status);
    if (set & FLAMENCO_TASK_SET_ACTIVITY)
        fl_bind_text(&q, 3, update->activity);
    if (set & FLAMENCO_TASK_SET_STEPS)
        fl_bind_int(&q, 4, now->steps_done);
    if (set & FLAMENCO_TASK_SET_WORKER)
        fl_bind_int(&q, 5, now->worker);
    fl_bind_int(&q, 6, now->key);
    return fl_query_run(&q);
}

/* Makes the task the worker's latest one. NOT_FOUND: no such worker. */
static int32_t note_worker(flamenco_session *s, int64_t worker, int64_t task)
{
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_LAST_TASK);
    fl_bind_int(&q, 1, worker);
    fl_bind_int(&q, 2, task);
    /* One that is known needs no answer. */
    if (fl_known_worker_key(s, worker) != NULL)
        return fl_query_run(&q);
    int64_t changed = 0;
    int32_t rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such worker");
    return rc;
}

/* What a changed status or step count does to the job. */
static int32_t ripple(flamenco_session *s, const fl_task_state *was, const fl_task_state *now, fl_job_state *job,
                      fl_made *made)
{
    fl_job_delta delta = { .updated_us = FLAMENCO_TIME_NONE };
    delta.n[was->status] -= 1;
    delta.n[now->status] += 1;
    delta.steps_done = now->steps_done - was->steps_done;
    if (delta.steps_done != 0)
        delta.updated_us = s->cx->now_us;
    int32_t rc = fl_job_state_add(s, now->job, &delta, job);
    if (rc != FLAMENCO_OK || was->status == now->status)
        return rc;
    int opened = fl_task_is_open(now->status, now->open_deps), was_open = fl_task_is_open(was->status, was->open_deps);
    if (fl_job_schedulable(job) && opened != was_open) {
        if (opened) {
            fl_made_add(made, 1, now->type);
            rc = fl_runq_raise(s, job, now->type, now->priority);
        } else {
            rc = fl_runq_refresh(s, job, now->type);
        }
    }
    if (rc == FLAMENCO_OK && now->status == FLAMENCO_TASK_COMPLETED)
        rc = fl_deps_move(s, job, now->key, -1, made);
    else if (rc == FLAMENCO_OK && was->status == FLAMENCO_TASK_COMPLETED)
        rc = fl_deps_move(s, job, now->key, 1, made);
    return rc;
}

static int32_t update_task(flamenco_session *s, const fl_task_state *was, const flamenco_task_update *update,
                           flamenco_job_counts *counts_out)
{
    fl_task_state now = *was;
    uint32_t set = update->set;
    if (set & FLAMENCO_TASK_SET_STATUS)
        now.status = update->status;
    if (set & FLAMENCO_TASK_SET_STEPS)
        now.steps_done = update->steps_completed;
    else if (now.status != was->status && now.status == FLAMENCO_TASK_COMPLETED)
        now.steps_done = was->steps_total;
    else if (now.status != was->status && now.status == FLAMENCO_TASK_QUEUED)
        now.steps_done = 0;
    int32_t rc = FLAMENCO_OK;
    if (set & FLAMENCO_TASK_SET_WORKER) {
        now.worker = update->worker_key;
        set |= FLAMENCO_TASK_SET_TOUCHED;
        if (now.worker != 0)
            rc = note_worker(s, now.worker, now.key);
    }
    set &= ~(FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_STEPS | FLAMENCO_TASK_SET_WORKER);
    set |= now.status != was->status ? FLAMENCO_TASK_SET_STATUS : 0;
    set |= now.steps_done != was->steps_done ? FLAMENCO_TASK_SET_STEPS : 0;
    set |= now.worker != was->worker ? FLAMENCO_TASK_SET_WORKER : 0;
    if (rc == FLAMENCO_OK && update->set != 0)
        rc = write_task(s, &now, update, set);
    fl_job_state job = { 0 };
    fl_made made = { 0 };
    if (rc == FLAMENCO_OK && (set & (FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_STEPS)))
        rc = ripple(s, was, &now, &job, &made);
    else if (rc == FLAMENCO_OK && counts_out != NULL)
        rc = fl_job_state_visible(s, now.job, &job);
    if (rc == FLAMENCO_OK)
        fl_task_state_keep(s, &now);
    return rc == FLAMENCO_OK ? fl_job_state_out(s, &job, &made, counts_out) : rc;
}

int32_t fl_task_update(void *self, flamenco_cx *cx, int64_t key, const flamenco_task_update *update,
                       flamenco_job_counts *counts_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_task_update row;
    fl_row_in(&row, (uint32_t)sizeof(row), update);
    fl_task_state was = { 0 };
    if ((row.set & ~EVERY_SET) != 0 || ((row.set & FLAMENCO_TASK_SET_STATUS) && row.status >= FLAMENCO_TASK_STATUSES))
        rc = fl_fail(call.s, FLAMENCO_E_INVALID, "unknown change %u or status %u", row.set, row.status);
    else
        rc = fl_task_state_get(call.s, key, &was);
    if (rc == FLAMENCO_OK)
        rc = update_task(call.s, &was, &row, counts_out);
    return fl_leave(&call, rc);
}
