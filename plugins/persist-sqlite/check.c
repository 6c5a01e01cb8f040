/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - looks for damage: SQLite's own checks, and a recount of everything that is kept as a counter. Called by the core
 * in the background, and at start after an unclean stop.
 *
 * The work is cut into many short snapshots, because a snapshot holds the log back: one per table, one per some tasks.
 */
#include "rows.h"
#include "table.h"

/* A snapshot ends after jobs with this many tasks: about 30 ms. */
#define TASKS_PER_SNAPSHOT 100000

static int32_t finding(flamenco_session *s, const char *what, const char *detail)
{
    return fl_fail(s, FLAMENCO_E_CORRUPT, "%s: %s", what, detail);
}

/* Runs a check of SQLite's that gives rows of text; `good` is the only row that means nothing was found, or NULL when no row
 * does. */
static int32_t run_pragma(flamenco_session *s, const char *sql, const char *good)
{
    sqlite3_stmt *st = NULL;
    int32_t rc = FLAMENCO_OK;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fl_fail_sqlite(s, sqlite3_extended_errcode(s->db));
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text == NULL)
            text = "?";
        if (good == NULL || strcmp(text, good) != 0)
            rc = finding(s, sql, text);
    } else if (step != SQLITE_DONE) {
        rc = fl_fail_sqlite(s, sqlite3_extended_errcode(s->db));
    }
    sqlite3_finalize(st);
    return rc;
}

static const char *const tables[] = { "state",     "task_type", "tag",     "worker",    "worker_type",   "worker_tag",
                                      "sleep",     "job",       "job_hot", "job_count", "last_rendered", "task",
                                      "task_cold", "dep",       "runq",    "blocklist", "failure" };

static int32_t check_structure(flamenco_session *s, uint32_t full)
{
    int32_t rc = FLAMENCO_OK;
    if (full)
        rc = run_pragma(s, "PRAGMA integrity_check(1)", "ok");
    for (size_t i = 0; !full && i < sizeof(tables) / sizeof(tables[0]) && rc == FLAMENCO_OK; ++i) {
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "PRAGMA quick_check(%s)", tables[i]);
        rc = run_pragma(s, sql, "ok");
    }
    return rc == FLAMENCO_OK ? run_pragma(s, "PRAGMA foreign_key_check", NULL) : rc;
}

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

/* Checks the first job behind *job and moves on to it. *n_out: its tasks; -1 = there is no further job. */
static int32_t check_job(flamenco_session *s, int64_t *job_key, int64_t *n_out)
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

static int32_t check_job_counts(flamenco_session *s)
{
    int64_t status = -1;
    fl_query q = fl_query_begin(s, FL_SQL_CHECK_JOB_COUNT);
    int32_t rc = fl_query_int(&q, -1, &status);
    return rc == FLAMENCO_OK && status >= 0 ? finding(s, "number of jobs", flamenco_job_status_text((uint32_t)status))
                                            : rc;
}

/* One snapshot full of jobs. */
static int32_t check_some_jobs(fl_store *store, flamenco_session *s, flamenco_cx *cx, int64_t *job_key, uint32_t *done,
                               flamenco_error *err)
{
    int32_t rc = fl_begin(store, s, cx, err);
    if (rc != FLAMENCO_OK)
        return rc;
    s->cx = cx;
    s->err = err;
    int64_t sum = 0, n = 0;
    if (*job_key == 0)
        rc = check_job_counts(s);
    while (rc == FLAMENCO_OK && n >= 0 && sum < TASKS_PER_SNAPSHOT) {
        rc = check_job(s, job_key, &n);
        sum += n + 1;
    }
    *done = n < 0;
    s->cx = NULL;
    s->err = NULL;
    fl_rollback(store, cx);
    return rc;
}

int32_t fl_check_session(fl_store *store, flamenco_session *session, flamenco_cx *cx, uint32_t full,
                         flamenco_error *err)
{
    if (session == NULL || session->open || cx->txn != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "check needs a session outside a transaction");
    session->cx = cx;
    session->err = err;
    session->stopped = 0;
    __atomic_store_n(&session->interrupted, 0, __ATOMIC_RELEASE);
    int32_t rc = check_structure(session, full);
    session->cx = NULL;
    session->err = NULL;
    session->failed = 0;
    int64_t job = 0;
    for (uint32_t done = 0; rc == FLAMENCO_OK && !done;)
        rc = check_some_jobs(store, session, cx, &job, &done, err);
    return rc;
}

int32_t fl_check(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    return fl_check_session(self, session, cx, 0, err);
}
