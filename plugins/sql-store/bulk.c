/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk.c - moves many tasks of a job to another status, a bounded number at a time. A method of the service, called by the
 * chains of steps that cancel, pause, fail and requeue jobs.
 */
#include "rows.h"
#include "table.h"

typedef struct bulk {
    const fl_job_state *job;
    int64_t from, to_end; /* task keys [from, to_end) */
    int64_t mask;
    uint32_t to;
    flamenco_str activity;
    fl_job_delta delta;
    uint64_t n_completed; /* of the keys below */
    int64_t *completed; /* tasks that become completed; room for all of the range */
} bulk;

/* Adds up what the move does: counters, steps, and what becomes runnable by its status. */
static int32_t scan(flamenco_session *s, bulk *b, fl_made *made)
{
    int32_t rc;
    int schedulable = fl_job_schedulable(b->job);
    fl_query q = fl_query_begin(s, FL_SQL_BULK_SCAN);
    fl_bind_int(&q, 1, b->from);
    fl_bind_int(&q, 2, b->to_end);
    fl_bind_int(&q, 3, b->mask);
    while ((rc = fl_query_step(&q)) > 0) {
        uint32_t status = (uint32_t)fl_column_int(&q, 1);
        int64_t open_deps = fl_column_int(&q, 2), total = fl_column_int(&q, 3), done = fl_column_int(&q, 4);
        if (status >= FLAMENCO_TASK_STATUSES || status == b->to)
            continue;
        b->delta.n[status] -= 1;
        b->delta.n[b->to] += 1;
        if (b->to == FLAMENCO_TASK_COMPLETED) {
            b->delta.steps_done += total - done;
            b->completed[b->n_completed++] = fl_column_int(&q, 0);
        } else if (b->to == FLAMENCO_TASK_QUEUED) {
            b->delta.steps_done -= done;
        }
        if (schedulable && fl_task_is_open(b->to, open_deps) && !fl_task_is_open(status, open_deps))
            fl_made_add(made, 1, fl_column_int(&q, 5));
    }
    return fl_query_end(&q, rc);
}

static int32_t write_tasks(flamenco_session *s, const bulk *b)
{
    fl_query q = fl_query_begin(s, b->to == FLAMENCO_TASK_QUEUED      ? FL_SQL_BULK_UPDATE_QUEUED
                                   : b->to == FLAMENCO_TASK_COMPLETED ? FL_SQL_BULK_UPDATE_COMPLETED
                                                                      : FL_SQL_BULK_UPDATE);
    fl_bind_int(&q, 1, b->from);
    fl_bind_int(&q, 2, b->to_end);
    fl_bind_int(&q, 3, b->mask);
    fl_bind_int(&q, 4, b->to);
    fl_bind_text(&q, 5, b->activity);
    fl_bind_int(&q, 6, s->cx->now_us);
    return fl_query_run(&q);
}

/* Tasks that leave `completed` close those that wait for them, in one statement. */
static int32_t close_deps(flamenco_session *s, const bulk *b)
{
    if (b->to == FLAMENCO_TASK_COMPLETED || !((b->mask >> FLAMENCO_TASK_COMPLETED) & 1))
        return FLAMENCO_OK;
    fl_query q = fl_query_begin(s, FL_SQL_BULK_CLOSE_DEPS);
    fl_bind_int(&q, 1, b->from);
    fl_bind_int(&q, 2, b->to_end);
    return fl_query_run(&q);
}

static int32_t move_range(flamenco_session *s, bulk *b, fl_job_state *job, fl_made *made)
{
    fl_known_changed(s, FL_KNOWN_TASKS);
    /* Before the statuses change, so that a task which is closed by this very step is not counted as runnable. */
    int32_t rc = close_deps(s, b);
    if (rc == FLAMENCO_OK)
        rc = scan(s, b, made);
    if (rc == FLAMENCO_OK)
        rc = write_tasks(s, b);
    b->delta.updated_us = b->delta.steps_done != 0 ? s->cx->now_us : FLAMENCO_TIME_NONE;
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_add(s, b->job->key, &b->delta, job);
    for (uint64_t i = 0; i < b->n_completed && rc == FLAMENCO_OK; ++i)
        rc = fl_deps_move(s, job, b->completed[i], -1, made);
    return rc == FLAMENCO_OK && fl_job_schedulable(job) ? fl_runq_rebuild(s, job) : rc;
}

int32_t fl_tasks_bulk_status(void *self, flamenco_cx *cx, int64_t job_key, uint64_t from_mask, uint32_t to,
                             flamenco_str activity, uint64_t limit, uint32_t *cursor, uint32_t *done_out,
                             flamenco_job_counts *counts_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    const flamenco_host *host = s->store->host;
    fl_job_state job = { 0 };
    fl_made made = { 0 };
    int64_t first = 0, end = 0;
    bulk b = { .job = &job, .to = to, .activity = activity };
    b.mask = (int64_t)(from_mask & (FLAMENCO_BIT(FLAMENCO_TASK_STATUSES) - 1));
    if (to >= FLAMENCO_TASK_STATUSES)
        rc = fl_fail(s, FLAMENCO_E_INVALID, "unknown task status %u", to);
    else
        rc = fl_job_state_visible(s, job_key, &job);
    if (rc == FLAMENCO_OK)
        rc = fl_job_range(s, job_key, &first, &end);
    if (rc < 0)
        goto cleanup;
    rc = FLAMENCO_OK;
    b.from = *cursor < end - first ? first + *cursor : end;
    b.to_end = limit == 0 || limit > (uint64_t)(end - b.from) ? end : b.from + (int64_t)limit;
    if (to == FLAMENCO_TASK_COMPLETED && b.to_end > b.from) {
        b.completed = host->alloc(host->h, (uint64_t)(b.to_end - b.from) * sizeof(*b.completed));
        if (b.completed == NULL) {
            rc = fl_fail(s, FLAMENCO_E_NOMEM, "out of memory");
            goto cleanup;
        }
    }
    if (rc == FLAMENCO_OK && b.to_end > b.from) {
        fl_job_state after = job;
        rc = move_range(s, &b, &after, &made);
        job = after;
    }
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_out(s, &job, &made, counts_out);
cleanup:
    host->free(host->h, b.completed);
    rc = fl_leave(&call, rc);
    if (rc == FLAMENCO_OK) {
        *cursor = (uint32_t)(b.to_end - first);
        if (done_out != NULL)
            *done_out = b.to_end >= end;
    }
    return rc;
}
