/* SPDX-License-Identifier: Apache-2.0
 *
 * purge.c - removes the rows of a hidden job, a bounded number at a time, by ranges of keys. A method of the service, called
 * by the chain of steps that deletes a job.
 */
#include "rows.h"
#include "table.h"

static int32_t delete_range(flamenco_session *s, fl_sql id, int64_t from, int64_t to)
{
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, from);
    fl_bind_int(&q, 2, to);
    return fl_query_run(&q);
}

static int32_t delete_key(flamenco_session *s, fl_sql id, int64_t key)
{
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, key);
    return fl_query_run(&q);
}

/* Deletes up to `limit` dependencies on tasks of a range: one task may have as many as the job has tasks. */
static int32_t delete_deps(flamenco_session *s, int64_t from, int64_t to, uint64_t limit, uint32_t *all_out)
{
    int64_t needs = to, task = 0;
    int32_t found = 0, rc = FLAMENCO_OK;
    if (limit != 0) {
        fl_query nth = fl_query_begin(s, FL_SQL_DEPS_NTH);
        fl_bind_int(&nth, 1, from);
        fl_bind_int(&nth, 2, to);
        fl_bind_int(&nth, 3, limit < INT64_MAX ? (int64_t)limit : INT64_MAX);
        found = fl_query_step(&nth);
        if (found > 0) {
            needs = fl_column_int(&nth, 0);
            task = fl_column_int(&nth, 1);
        }
        rc = fl_query_end(&nth, found);
    }
    *all_out = found == 0;
    if (rc < 0)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_DEPS_DELETE_TO);
    fl_bind_int(&q, 1, from);
    fl_bind_int(&q, 2, needs);
    fl_bind_int(&q, 3, task);
    return fl_query_run(&q);
}

static int32_t purge(flamenco_session *s, int64_t key, int64_t first, int64_t end, uint64_t limit, uint64_t *left)
{
    int64_t from = end;
    fl_query q = fl_query_begin(s, FL_SQL_FIRST_TASK_FROM);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    int32_t rc = fl_query_int(&q, end, &from);
    int64_t to = limit == 0 || limit > (uint64_t)(end - from) ? end : from + (int64_t)limit;
    uint32_t all = 0;
    if (rc == FLAMENCO_OK)
        rc = delete_deps(s, from, to, limit, &all);
    if (rc != FLAMENCO_OK || !all) {
        *left = (uint64_t)(end - from) + 1;
        return rc;
    }
    static const fl_sql by_task[] = { FL_SQL_TASKS_DELETE, FL_SQL_TASKS_COLD_DELETE, FL_SQL_FAILURES_DELETE };
    for (size_t i = 0; i < sizeof(by_task) / sizeof(by_task[0]) && rc == FLAMENCO_OK; ++i)
        rc = delete_range(s, by_task[i], from, to);
    if (rc != FLAMENCO_OK || to < end) {
        *left = (uint64_t)(end - to) + 1;
        return rc;
    }
    fl_known_changed(s, FL_KNOWN_JOBS);
    fl_known_changed(s, FL_KNOWN_JOB_STATES);
    static const fl_sql by_job[] = { FL_SQL_BLOCK_CLEAR, FL_SQL_LAST_RENDERED_DELETE, FL_SQL_JOB_HOT_DELETE,
                                     FL_SQL_JOB_DELETE };
    for (size_t i = 0; i < sizeof(by_job) / sizeof(by_job[0]) && rc == FLAMENCO_OK; ++i)
        rc = delete_key(s, by_job[i], key);
    *left = 0;
    return rc;
}

int32_t fl_job_purge(void *self, flamenco_cx *cx, int64_t key, uint64_t limit, uint64_t *left_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    int64_t first = 0, end = 0;
    uint64_t left = 0;
    rc = fl_job_state_get(call.s, key, &job);
    if (rc > 0 && !job.hidden)
        rc = fl_fail(call.s, FLAMENCO_E_INVALID, "the job is not hidden");
    if (rc > 0)
        rc = fl_job_range(call.s, key, &first, &end);
    /* A job that is gone already is what the caller wants. */
    if (rc > 0)
        rc = purge(call.s, key, first, end, limit, &left);
    if (rc == FLAMENCO_OK)
        *left_out = left;
    return fl_leave(&call, rc);
}
