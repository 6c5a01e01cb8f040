/* SPDX-License-Identifier: Apache-2.0
 *
 * blocklist.c - who is blocked from a task type in a job, and who has failed which task (contract: state-and-scheduling 8).
 * Methods of the service; what they promise stands in flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

int32_t fl_blocklist_add(void *self, flamenco_cx *cx, int64_t job_key, int64_t worker_key, flamenco_str task_type,
                         flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t type = 0;
    rc = fl_type_number(call.s, task_type, 1, &type);
    if (rc > 0) {
        fl_query q = fl_query_begin(call.s, FL_SQL_BLOCK_ADD);
        fl_bind_int(&q, 1, job_key);
        fl_bind_int(&q, 2, type);
        fl_bind_int(&q, 3, worker_key);
        rc = fl_query_run(&q); /* NOT_FOUND, by the foreign keys: no such job or worker */
    }
    return fl_leave(&call, rc);
}

static int32_t find_worker(flamenco_session *s, const flamenco_uuid *uuid, int64_t *out)
{
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_KEY);
    fl_bind_uuid(&q, 1, uuid);
    return fl_query_int(&q, 0, out);
}

/* Whether (1) the worker's types and tags let it run tasks of the type in the job. */
static int32_t may_run(flamenco_session *s, const fl_job_state *job, int64_t type, int64_t worker)
{
    int64_t found = 0;
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_HAS_TYPE);
    fl_bind_int(&q, 1, worker);
    fl_bind_int(&q, 2, type);
    int32_t rc = fl_query_int(&q, 0, &found);
    if (rc != FLAMENCO_OK || found == 0 || job->tag == 0)
        return rc != FLAMENCO_OK ? rc : found != 0;
    q = fl_query_begin(s, FL_SQL_WORKER_HAS_TAG);
    fl_bind_int(&q, 1, worker);
    fl_bind_int(&q, 2, job->tag);
    rc = fl_query_int(&q, 0, &found);
    return rc != FLAMENCO_OK ? rc : found != 0;
}

static int32_t count_for(flamenco_session *s, int64_t job_key, int64_t type, int64_t worker, uint64_t *out)
{
    fl_job_state job = { 0 };
    int64_t n = 0;
    int32_t rc = fl_job_state_get(s, job_key, &job);
    if (rc <= 0 || !fl_job_schedulable(&job))
        return rc < 0 ? rc : FLAMENCO_OK;
    rc = may_run(s, &job, type, worker);
    if (rc <= 0)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_RUN_COUNT_FOR);
    fl_bind_int(&q, 1, job_key);
    fl_bind_int(&q, 2, type);
    fl_bind_int(&q, 3, FL_RUNNABLE_MOST);
    fl_bind_int(&q, 4, worker);
    rc = fl_query_int(&q, 0, &n);
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)n;
    return rc;
}

int32_t fl_blocklist_remove(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_uuid *worker,
                            flamenco_str task_type, uint64_t *made_runnable_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t worker_key = 0, type = 0;
    uint64_t made = 0;
    rc = find_worker(call.s, worker, &worker_key);
    if (rc == FLAMENCO_OK && worker_key != 0)
        rc = fl_type_number(call.s, task_type, 0, &type);
    if (rc >= 0 && type != 0) {
        fl_query q = fl_query_begin(call.s, FL_SQL_BLOCK_REMOVE);
        fl_bind_int(&q, 1, job_key);
        fl_bind_int(&q, 2, type);
        fl_bind_int(&q, 3, worker_key);
        int64_t changed = 0;
        rc = fl_query_run_count(&q, &changed);
        if (rc == FLAMENCO_OK && changed > 0 && made_runnable_out != NULL)
            rc = count_for(call.s, job_key, type, worker_key, &made);
    }
    rc = fl_leave(&call, rc > 0 ? FLAMENCO_OK : rc);
    if (rc == FLAMENCO_OK && made_runnable_out != NULL)
        *made_runnable_out = made;
    return rc;
}

int32_t fl_blocklist_clear(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_BLOCK_CLEAR);
    fl_bind_int(&q, 1, job_key);
    return fl_leave(&call, fl_query_run(&q));
}

int32_t fl_blocklist_list(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_blocklist visit, void *ctx,
                          flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int32_t stop = 0;
    fl_query q = fl_query_begin(call.s, FL_SQL_BLOCK_LIST);
    fl_bind_int(&q, 1, job_key);
    ++call.s->visiting;
    while (stop == 0 && (rc = fl_query_step(&q)) > 0) {
        flamenco_blocklist_entry row = { .struct_size = (uint32_t)sizeof(row),
                                         .job_key = fl_column_int(&q, 0),
                                         .worker_key = fl_column_int(&q, 1),
                                         .worker_uuid = fl_column_uuid(&q, 2),
                                         .worker_name = fl_column_text(&q, 3) };
        rc = fl_type_name(call.s, fl_column_int(&q, 4), &row.task_type);
        if (rc != FLAMENCO_OK || q.rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --call.s->visiting;
    return fl_leave(&call, fl_query_end(&q, rc));
}

static int32_t count_failures(flamenco_session *s, int64_t task_key, int64_t worker_key, int64_t job, int64_t type,
                              int64_t *n_task, int64_t *n_worker)
{
    int64_t first = 0, end = 0;
    int32_t rc = fl_job_range(s, job, &first, &end);
    if (rc < 0)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_FAILURES_OF_TASK);
    fl_bind_int(&q, 1, task_key);
    rc = fl_query_int(&q, 0, n_task);
    if (rc != FLAMENCO_OK)
        return rc;
    q = fl_query_begin(s, FL_SQL_FAILURES_OF_WORKER);
    fl_bind_int(&q, 1, worker_key);
    fl_bind_int(&q, 2, first);
    fl_bind_int(&q, 3, end);
    fl_bind_int(&q, 4, type);
    return fl_query_int(&q, 0, n_worker);
}

int32_t fl_failure_add(void *self, flamenco_cx *cx, int64_t task_key, int64_t worker_key, uint64_t *n_task_out,
                       uint64_t *n_worker_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t n_task = 0, n_worker = 0;
    fl_task_state task = { 0 };
    rc = fl_task_state_get(call.s, task_key, &task);
    if (rc == FLAMENCO_OK) {
        fl_query q = fl_query_begin(call.s, FL_SQL_FAILURE_ADD);
        fl_bind_int(&q, 1, task_key);
        fl_bind_int(&q, 2, worker_key);
        rc = fl_query_run(&q); /* NOT_FOUND, by the foreign key: no such worker */
    }
    if (rc == FLAMENCO_OK)
        rc = count_failures(call.s, task_key, worker_key, task.job, task.type, &n_task, &n_worker);
    rc = fl_leave(&call, rc);
    if (rc == FLAMENCO_OK && n_task_out != NULL)
        *n_task_out = (uint64_t)n_task;
    if (rc == FLAMENCO_OK && n_worker_out != NULL)
        *n_worker_out = (uint64_t)n_worker;
    return rc;
}

int32_t fl_failures_list(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_worker visit, void *ctx,
                         flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_FAILURES_LIST);
    fl_bind_int(&q, 1, task_key);
    return fl_leave(&call, fl_workers_visit(&q, visit, ctx));
}

int32_t fl_failures_of_job(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_failure visit, void *ctx,
                           flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t first = 0, end = 0;
    rc = fl_job_range(call.s, job_key, &first, &end);
    if (rc <= 0)
        return fl_leave(&call, rc);
    int32_t stop = 0;
    fl_query q = fl_query_begin(call.s, FL_SQL_FAILURES_OF_JOB);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    ++call.s->visiting;
    while (stop == 0 && (rc = fl_query_step(&q)) > 0) {
        flamenco_failure row = { .struct_size = (uint32_t)sizeof(row),
                                 .task_key = fl_column_int(&q, 0),
                                 .worker_key = fl_column_int(&q, 1) };
        stop = visit(ctx, &row);
    }
    --call.s->visiting;
    return fl_leave(&call, fl_query_end(&q, rc));
}

static int32_t delete_failures(flamenco_cx *cx, int64_t from, int64_t to, int64_t job_key, flamenco_error *err)
{
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (job_key != 0)
        rc = fl_job_range(call.s, job_key, &from, &to);
    if (rc >= 0) {
        fl_query q = fl_query_begin(call.s, FL_SQL_FAILURES_DELETE);
        fl_bind_int(&q, 1, from);
        fl_bind_int(&q, 2, to);
        rc = fl_query_run(&q);
    }
    return fl_leave(&call, rc);
}

int32_t fl_failures_clear_task(void *self, flamenco_cx *cx, int64_t task_key, flamenco_error *err)
{
    (void)self;
    return delete_failures(cx, task_key, task_key + 1, 0, err);
}

int32_t fl_failures_clear_job(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    (void)self;
    return delete_failures(cx, 0, 0, job_key, err);
}
