/* SPDX-License-Identifier: Apache-2.0
 *
 * ripple.c - what a task's new status means for its job, for what is runnable, and for the tasks that wait for it; in the place of
 * ../sql-store/ripple.c, with the same rules. There each answer decides what is asked next; here each statement decides for itself
 * (RUNQ_RAISE, RUNQ_REFRESH, DEPS_MOVE look whether the job is schedulable), so that all of them are sent at once and one round
 * trip brings the answers.
 */
#include "rows.h"

static int32_t send_runq(flamenco_session *s, fl_sql id, const fl_task_state *now)
{
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, now->job);
    fl_bind_int(&q, 2, now->type);
    if (id == FL_SQL_RUNQ_RAISE)
        fl_bind_int(&q, 3, -now->priority);
    return fl_query_run(&q);
}

/* Sends it; read_moved() reads its answer. */
static int32_t send_move(fl_query *q, int64_t job, int64_t needs, int64_t delta)
{
    if (delta > 0)
        fl_known_changed(q->s, FL_KNOWN_TASKS);
    fl_bind_int(q, 1, needs);
    fl_bind_int(q, 2, delta);
    fl_bind_int(q, 3, job);
    return fl_query_send(q);
}

static int32_t read_moved(flamenco_session *s, fl_query *q, const fl_job_state *job, int64_t needs, fl_made *made)
{
    int32_t rc = fl_query_step(q);
    int64_t closed = 0;
    if (rc > 0 && (fl_column_int(q, 0) != fl_column_int(q, 1) || fl_column_int(q, 2) < 0))
        rc = fl_fail(s, FLAMENCO_E_CORRUPT, "the dependencies of the tasks that wait for task %lld are not in order",
                     (long long)needs);
    if (rc > 0 && fl_job_schedulable(job)) {
        int64_t first = fl_column_int(q, 4), last = fl_column_int(q, 5);
        fl_made_add(made, (uint64_t)fl_column_int(q, 3), first == last ? first : -1);
        closed = fl_column_int(q, 6);
    }
    rc = fl_query_end(q, rc);
    return rc == FLAMENCO_OK && closed > 0 ? fl_runq_rebuild(s, job) : rc;
}

int32_t fl_deps_move(flamenco_session *s, const fl_job_state *job, int64_t needs, int64_t delta, fl_made *made)
{
    fl_query q = fl_query_begin(s, FL_SQL_DEPS_MOVE);
    int32_t rc = send_move(&q, job->key, needs, delta);
    return rc == FLAMENCO_OK ? read_moved(s, &q, job, needs, made) : fl_query_end(&q, rc);
}

/* Sends everything that follows, the two whose answers are wanted into `state` and `moved`. */
static int32_t send_all(flamenco_session *s, const fl_task_state *was, const fl_task_state *now, int64_t moves,
                        fl_query *state, fl_query *moved)
{
    int opened = fl_task_is_open(now->status, now->open_deps), was_open = fl_task_is_open(was->status, was->open_deps);
    int32_t rc = fl_query_send(state);
    if (rc == FLAMENCO_OK && opened != was_open)
        rc = send_runq(s, opened ? FL_SQL_RUNQ_RAISE : FL_SQL_RUNQ_REFRESH, now);
    if (rc == FLAMENCO_OK && moves != 0)
        rc = send_move(moved, now->job, now->key, moves);
    /* Who hands a task out tells of its job. */
    if (rc == FLAMENCO_OK && now->status == FLAMENCO_TASK_ACTIVE && !fl_known_has_job_row(s, now->job)) {
        fl_query row = fl_query_begin(s, FL_SQL_JOB_GET_KEY);
        fl_bind_int(&row, 1, now->job);
        fl_query_foresee(&row);
    }
    return rc;
}

int32_t fl_ripple(flamenco_session *s, const fl_task_state *was, const fl_task_state *now, const fl_job_delta *delta,
                  fl_job_state *job, fl_made *made)
{
    int64_t moves = now->status == FLAMENCO_TASK_COMPLETED ? -1 : was->status == FLAMENCO_TASK_COMPLETED ? 1 : 0;
    fl_query state = fl_query_begin(s, fl_job_delta_statement(delta)), moved = fl_query_begin(s, FL_SQL_DEPS_MOVE);
    fl_job_delta_bind(&state, now->job, delta);
    int32_t rc = send_all(s, was, now, moves, &state, &moved);
    if (rc == FLAMENCO_OK)
        rc = fl_query_step(&state);
    if (rc > 0)
        fl_job_state_read(&state, job);
    else if (rc == 0)
        rc = fl_fail(s, FLAMENCO_E_CORRUPT, "a task's job %lld does not exist", (long long)now->job);
    rc = fl_query_end(&state, rc);
    if (rc == FLAMENCO_OK) {
        fl_known_state_add(s, now->job, delta);
        fl_known_state_keep(s, job);
    }
    if (rc == FLAMENCO_OK && fl_job_schedulable(job) && fl_task_is_open(now->status, now->open_deps) &&
        !fl_task_is_open(was->status, was->open_deps))
        fl_made_add(made, 1, now->type);
    if (rc == FLAMENCO_OK && moves != 0)
        return read_moved(s, &moved, job, now->key, made);
    return fl_query_end(&moved, rc);
}
