/* SPDX-License-Identifier: Apache-2.0
 *
 * ripple.c - what a task's new status means for its job, for what is runnable, and for the tasks that wait for it; step by step,
 * for a store that answers at once. Called by the methods that change a status.
 */
#include "rows.h"

/* Reads the row's negated task priority. Returns 1, 0 when there is none, or a negative error. */
static int32_t read_row(flamenco_session *s, int64_t job, int64_t type, int64_t *ntp_out)
{
    fl_query q = fl_query_begin(s, FL_SQL_RUNQ_GET);
    fl_bind_int(&q, 1, job);
    fl_bind_int(&q, 2, type);
    int32_t rc = fl_query_step(&q);
    if (rc > 0)
        *ntp_out = fl_column_int(&q, 0);
    int32_t ended = fl_query_end(&q, rc);
    return ended < 0 ? ended : rc;
}

/* A task of that priority has become runnable. */
static int32_t raise_row(flamenco_session *s, const fl_job_state *job, int64_t type, int64_t priority)
{
    int64_t ntp = 0;
    int32_t rc = read_row(s, job->key, type, &ntp);
    if (rc < 0 || (rc > 0 && ntp <= -priority))
        return rc < 0 ? rc : FLAMENCO_OK;
    return fl_runq_put(s, job, type, priority);
}

/* Makes the row of one job and type match the tasks. */
static int32_t refresh_row(flamenco_session *s, const fl_job_state *job, int64_t type)
{
    int64_t best = 0, ntp = 0;
    fl_query q = fl_query_begin(s, FL_SQL_RUN_HEAD);
    fl_bind_int(&q, 1, job->key);
    fl_bind_int(&q, 2, type);
    int32_t found = fl_query_step(&q);
    if (found > 0)
        best = fl_column_int(&q, 0);
    int32_t rc = fl_query_end(&q, found);
    if (rc != FLAMENCO_OK)
        return rc;
    int32_t kept = read_row(s, job->key, type, &ntp);
    if (kept < 0)
        return kept;
    if (found > 0)
        return kept > 0 && ntp == -best ? FLAMENCO_OK : fl_runq_put(s, job, type, best);
    if (kept == 0)
        return FLAMENCO_OK;
    q = fl_query_begin(s, FL_SQL_RUNQ_DELETE);
    fl_bind_int(&q, 1, job->key);
    fl_bind_int(&q, 2, type);
    return fl_query_run(&q);
}

/* Reads a task as it is before the move, and moves its count. */
static int32_t move_one(flamenco_session *s, int64_t key, int64_t delta, fl_task_state *was)
{
    int32_t rc = fl_task_state_get(s, key, was);
    if (rc == FLAMENCO_E_NOT_FOUND || (rc == FLAMENCO_OK && was->open_deps + delta < 0))
        return fl_fail(s, FLAMENCO_E_CORRUPT, "the dependencies of task %lld are not in order", (long long)key);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_OPEN_DEPS_ADD);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, delta);
    return fl_query_run(&q);
}

int32_t fl_deps_move(flamenco_session *s, const fl_job_state *job, int64_t needs, int64_t delta, fl_made *made)
{
    uint32_t schedulable = (uint32_t)fl_job_schedulable(job), closed = 0;
    int32_t rc;
    if (delta > 0)
        fl_known_changed(s, FL_KNOWN_TASKS);
    fl_query waiting = fl_query_begin(s, FL_SQL_DEPENDANTS);
    fl_bind_int(&waiting, 1, needs);
    while ((rc = fl_query_step(&waiting)) > 0) {
        fl_task_state task = { 0 };
        rc = move_one(s, fl_column_int(&waiting, 0), delta, &task);
        if (rc == FLAMENCO_OK && schedulable && fl_task_is_open(task.status, task.open_deps + delta)) {
            fl_made_add(made, 1, task.type);
            rc = raise_row(s, job, task.type, task.priority);
        }
        if (rc != FLAMENCO_OK)
            break;
        /* It was open before, and waits now. */
        if (schedulable && delta > 0 && fl_task_is_open(task.status, task.open_deps))
            closed = 1;
    }
    rc = fl_query_end(&waiting, rc);
    return rc == FLAMENCO_OK && closed ? fl_runq_rebuild(s, job) : rc;
}

int32_t fl_ripple(flamenco_session *s, const fl_task_state *was, const fl_task_state *now, const fl_job_delta *delta,
                  fl_job_state *job, fl_made *made)
{
    int opened = fl_task_is_open(now->status, now->open_deps), was_open = fl_task_is_open(was->status, was->open_deps);
    int32_t rc = fl_job_state_add(s, now->job, delta, job);
    if (rc == FLAMENCO_OK && fl_job_schedulable(job) && opened != was_open) {
        if (opened) {
            fl_made_add(made, 1, now->type);
            rc = raise_row(s, job, now->type, now->priority);
        } else {
            rc = refresh_row(s, job, now->type);
        }
    }
    if (rc == FLAMENCO_OK && now->status == FLAMENCO_TASK_COMPLETED)
        rc = fl_deps_move(s, job, now->key, -1, made);
    else if (rc == FLAMENCO_OK && was->status == FLAMENCO_TASK_COMPLETED)
        rc = fl_deps_move(s, job, now->key, 1, made);
    return rc;
}
