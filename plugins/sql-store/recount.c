/* SPDX-License-Identifier: Apache-2.0
 *
 * recount.c - compares everything that is kept as a counter with a recount: the tasks and steps of each job, open dependencies,
 * runnable groups, jobs per status. Used by the check of each back end.
 */
#include "rows.h"

/* A snapshot holds back what the store tidies up; this one ends after jobs with so many tasks: about 30 ms. */
#define TASKS_PER_SNAPSHOT 100000

static int32_t job_finding(flamenco_session *s, int64_t job, const char *what)
{
    return fl_fail(s, FLAMENCO_E_CORRUPT, "job %lld: %s", (long long)job, what);
}

static int32_t check_counters(flamenco_session *s, const fl_job_state *job, int64_t first, int64_t end)
{
    const char *wrong = NULL;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_COUNTS);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    fl_bind_int(&q, 3, job->key);
    int32_t rc = fl_query_step(&q);
    if (rc > 0) {
        int64_t differ = 0;
        for (int i = 0; i < (int)FLAMENCO_TASK_STATUSES; ++i)
            differ |= fl_column_int(&q, 1 + i) ^ job->n[i];
        if (fl_column_int(&q, 0) != end - first)
            wrong = "tasks are missing";
        else if (fl_column_int(&q, 10) != 0)
            wrong = "tasks of another job stand among its own";
        else if (differ != 0)
            wrong = "the counters of its tasks are wrong";
        else if (fl_column_int(&q, 8) != job->steps_total || fl_column_int(&q, 9) != job->steps_done)
            wrong = "its sums of steps are wrong";
    }
    rc = fl_query_end(&q, rc);
    return rc == FLAMENCO_OK && wrong != NULL ? job_finding(s, job->key, wrong) : rc;
}

static int32_t check_deps(flamenco_session *s, const fl_job_state *job, int64_t first, int64_t end)
{
    int64_t task = 0;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_DEPS);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    int32_t rc = fl_query_int(&q, 0, &task);
    return rc == FLAMENCO_OK && task != 0 ? job_finding(s, job->key, "the open dependencies of a task are wrong") : rc;
}

static int32_t check_runq_row(flamenco_session *s, const fl_job_state *job, int64_t type, int64_t priority)
{
    int64_t n = 0;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_RUNQ_ROW);
    fl_bind_int(&q, 1, job->tag);
    fl_bind_int(&q, 2, type);
    fl_bind_int(&q, 3, -(int64_t)job->priority);
    fl_bind_int(&q, 4, -priority);
    fl_bind_int(&q, 5, job->key);
    int32_t rc = fl_query_int(&q, 0, &n);
    return rc == FLAMENCO_OK && n != 1 ? job_finding(s, job->key, "a runnable group is missing or wrong") : rc;
}

static int32_t check_runq(flamenco_session *s, const fl_job_state *job)
{
    int64_t expected = 0, n = 0, type = 0, priority = 0;
    int32_t found = fl_job_schedulable(job), rc = FLAMENCO_OK;
    while (found > 0 && rc == FLAMENCO_OK) {
        fl_query q = fl_query_begin(s, FL_SQL_RUN_NEXT_TYPE);
        fl_bind_int(&q, 1, job->key);
        fl_bind_int(&q, 2, type);
        found = fl_query_step(&q);
        if (found > 0) {
            type = fl_column_int(&q, 0);
            priority = fl_column_int(&q, 1);
            ++expected;
        }
        rc = fl_query_end(&q, found);
        if (rc == FLAMENCO_OK && found > 0)
            rc = check_runq_row(s, job, type, priority);
    }
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_RUNQ);
    fl_bind_int(&q, 1, job->key);
    rc = fl_query_int(&q, 0, &n);
    return rc == FLAMENCO_OK && n != expected ? job_finding(s, job->key, "it has runnable groups too many") : rc;
}

/* Checks the first job behind *job_key and moves on to it. *n_out: its tasks; -1 = there is no further job. */
static int32_t recount_job(flamenco_session *s, int64_t *job_key, int64_t *n_out)
{
    fl_job_state job = { 0 };
    int64_t first = 0, end = 0, key = 0;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_NEXT_JOB);
    fl_bind_int(&q, 1, *job_key);
    int32_t rc = fl_query_int(&q, 0, &key);
    *n_out = -1;
    if (rc != FLAMENCO_OK || key == 0)
        return rc;
    rc = fl_job_state_get(s, key, &job);
    if (rc == 0)
        return job_finding(s, key, "it has no state");
    if (rc > 0)
        rc = fl_job_range(s, key, &first, &end);
    if (rc < 0)
        return rc;
    rc = FLAMENCO_OK;
    /* A hidden job is being stored or purged: its tasks are not all there. */
    if (!job.hidden)
        rc = check_counters(s, &job, first, end);
    if (rc == FLAMENCO_OK && !job.hidden)
        rc = check_deps(s, &job, first, end);
    if (rc == FLAMENCO_OK)
        rc = check_runq(s, &job);
    *job_key = key;
    *n_out = end - first;
    return rc;
}

static int32_t recount_jobs(flamenco_session *s)
{
    int64_t status = -1;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_JOB_COUNT);
    int32_t rc = fl_query_int(&q, -1, &status);
    return rc == FLAMENCO_OK && status >= 0
               ? fl_fail(s, FLAMENCO_E_CORRUPT, "number of jobs: %s", flamenco_job_status_text((uint32_t)status))
               : rc;
}

/* One snapshot full of jobs. */
static int32_t recount_some(fl_store *store, flamenco_session *s, flamenco_cx *cx, int64_t *job_key, uint32_t *done,
                            flamenco_error *err)
{
    int32_t rc = fl_begin(store, s, cx, err);
    if (rc != FLAMENCO_OK)
        return rc;
    s->cx = cx;
    s->err = err;
    int64_t sum = 0, n = 0;
    if (*job_key == 0)
        rc = recount_jobs(s);
    while (rc == FLAMENCO_OK && n >= 0 && sum < TASKS_PER_SNAPSHOT) {
        rc = recount_job(s, job_key, &n);
        sum += n + 1;
    }
    *done = n < 0;
    s->cx = NULL;
    s->err = NULL;
    fl_rollback(store, cx);
    return rc;
}

int32_t fl_recount_all(fl_store *store, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    int64_t job = 0;
    int32_t rc = FLAMENCO_OK;
    for (uint32_t done = 0; rc == FLAMENCO_OK && !done;)
        rc = recount_some(store, session, cx, &job, &done, err);
    return rc;
}
