/* SPDX-License-Identifier: Apache-2.0
 *
 * runq.c - the state of a job that its changes work with, and the table of what may be handed out (runq). Used by every
 * method that changes a status, a priority, a tag or a dependency.
 *
 * A runq row exists exactly while its job is schedulable and has a runnable task of that type, and carries the priority of the
 * best one. A row too many is passed over by the scheduler; a missing one starves the job (notes 8, trap 5): so rows are
 * brought up to date in the method that changes the tasks, never later.
 */
#include "rows.h"

void fl_job_state_read(const fl_query *q, fl_job_state *out)
{
    int at = 0;
    out->key = fl_column_int(q, at++);
    out->status = (uint32_t)fl_column_int(q, at++);
    out->priority = (int32_t)fl_column_int(q, at++);
    out->tag = fl_column_int(q, at++);
    out->hidden = (uint32_t)fl_column_int(q, at++);
    out->marked = (uint32_t)fl_column_int(q, at++);
    out->steps_total = fl_column_int(q, at++);
    out->steps_done = fl_column_int(q, at++);
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        out->n[i] = fl_column_int(q, at++);
}

int32_t fl_job_state_get(flamenco_session *s, int64_t key, fl_job_state *out)
{
    if (fl_known_state(s, key, out))
        return 1;
    fl_query q = fl_query_begin(s, FL_SQL_JOB_STATE);
    fl_bind_int(&q, 1, key);
    int32_t rc = fl_query_step(&q);
    if (rc > 0)
        fl_job_state_read(&q, out);
    int32_t ended = fl_query_end(&q, rc);
    if (ended == FLAMENCO_OK && rc > 0)
        fl_known_state_keep(s, out);
    return ended < 0 ? ended : rc;
}

int32_t fl_job_state_visible(flamenco_session *s, int64_t key, fl_job_state *out)
{
    int32_t rc = fl_job_state_get(s, key, out);
    if (rc < 0)
        return rc;
    return rc == 0 || out->hidden ? fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such job") : FLAMENCO_OK;
}

fl_sql fl_job_delta_statement(const fl_job_delta *delta)
{
    /* `updated` has an index, which a statement that names it rewrites, changed or not. */
    return delta->updated_us != FLAMENCO_TIME_NONE ? FL_SQL_JOB_STATE_ADD_NEWS : FL_SQL_JOB_STATE_ADD;
}

void fl_job_delta_bind(fl_query *q, int64_t key, const fl_job_delta *delta)
{
    fl_bind_int(q, 1, key);
    for (int i = 0; i < (int)FLAMENCO_TASK_STATUSES; ++i)
        fl_bind_int(q, 2 + i, delta->n[i]);
    fl_bind_int(q, 9, delta->steps_total);
    fl_bind_int(q, 10, delta->steps_done);
    if (delta->updated_us != FLAMENCO_TIME_NONE)
        fl_bind_int(q, 11, delta->updated_us);
}

int32_t fl_job_state_change(flamenco_session *s, int64_t key, const fl_job_delta *delta)
{
    fl_query q = fl_query_begin(s, fl_job_delta_statement(delta));
    fl_job_delta_bind(&q, key, delta);
    int32_t rc = fl_query_run(&q);
    if (rc == FLAMENCO_OK)
        fl_known_state_add(s, key, delta);
    return rc;
}

int32_t fl_job_state_add(flamenco_session *s, int64_t key, const fl_job_delta *delta, fl_job_state *out)
{
    int32_t rc = fl_job_state_change(s, key, delta);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_get(s, key, out);
    if (rc == 0)
        rc = fl_fail(s, FLAMENCO_E_CORRUPT, "a task's job %lld does not exist", (long long)key);
    return rc < 0 ? rc : FLAMENCO_OK;
}

int32_t fl_job_state_out(flamenco_session *s, const fl_job_state *job, const fl_made *made, flamenco_job_counts *out)
{
    if (out == NULL)
        return FLAMENCO_OK;
    flamenco_job_counts row = { .struct_size = (uint32_t)sizeof(row),
                                .job_status = job->status,
                                .steps_total = job->steps_total,
                                .steps_completed = job->steps_done };
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i) {
        row.counts[i] = (uint64_t)job->n[i];
        row.n_tasks += row.counts[i];
    }
    if (made != NULL && made->n > 0) {
        row.made_runnable = made->n;
        if (made->type > 0) {
            int32_t rc = fl_type_name(s, made->type, &row.runnable_type);
            flamenco_str *const texts[] = { &row.runnable_type, NULL };
            if (rc == FLAMENCO_OK)
                rc = fl_texts_keep(s, texts);
            if (rc != FLAMENCO_OK)
                return rc;
        }
    }
    fl_row_out(out, &row, (uint32_t)sizeof(row));
    return FLAMENCO_OK;
}

int32_t fl_job_range(flamenco_session *s, int64_t job, int64_t *first_out, int64_t *end_out)
{
    fl_query q = fl_query_begin(s, FL_SQL_JOB_RANGE);
    fl_bind_int(&q, 1, job);
    int32_t rc = fl_query_step(&q);
    if (rc > 0) {
        *first_out = fl_column_int(&q, 0);
        *end_out = fl_column_int(&q, 1);
    }
    int32_t ended = fl_query_end(&q, rc);
    return ended < 0 ? ended : rc;
}

int32_t fl_job_count_add(flamenco_session *s, uint32_t status, int64_t n)
{
    fl_query q = fl_query_begin(s, FL_SQL_JOB_COUNT_ADD);
    fl_bind_int(&q, 1, status);
    fl_bind_int(&q, 2, n);
    return fl_query_run(&q);
}

/* ---- runq ---- */

int32_t fl_runq_put(flamenco_session *s, const fl_job_state *job, int64_t type, int64_t priority)
{
    fl_known_empty_forget(s, job->tag, type);
    fl_query q = fl_query_begin(s, FL_SQL_RUNQ_PUT);
    fl_bind_int(&q, 1, job->tag);
    fl_bind_int(&q, 2, type);
    fl_bind_int(&q, 3, -(int64_t)job->priority);
    fl_bind_int(&q, 4, -priority);
    fl_bind_int(&q, 5, job->key);
    return fl_query_run(&q);
}

int32_t fl_runq_rebuild(flamenco_session *s, const fl_job_state *job)
{
    fl_query q = fl_query_begin(s, FL_SQL_RUNQ_DELETE_JOB);
    fl_bind_int(&q, 1, job->key);
    int32_t rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK || !fl_job_schedulable(job))
        return rc;
    /* One probe per type, whatever the number of tasks. */
    for (int64_t type = 0;;) {
        int64_t best = 0;
        q = fl_query_begin(s, FL_SQL_RUN_NEXT_TYPE);
        fl_bind_int(&q, 1, job->key);
        fl_bind_int(&q, 2, type);
        int32_t found = fl_query_step(&q);
        if (found > 0) {
            type = fl_column_int(&q, 0);
            best = fl_column_int(&q, 1);
        }
        rc = fl_query_end(&q, found);
        if (rc != FLAMENCO_OK || found == 0)
            return rc;
        rc = fl_runq_put(s, job, type, best);
        if (rc != FLAMENCO_OK)
            return rc;
    }
}

int32_t fl_runq_count(flamenco_session *s, int64_t job, fl_made *made)
{
    int32_t rc;
    fl_query types = fl_query_begin(s, FL_SQL_RUNQ_TYPES);
    fl_bind_int(&types, 1, job);
    while ((rc = fl_query_step(&types)) > 0 && made->n < FL_RUNNABLE_MOST) {
        int64_t n = 0, type = fl_column_int(&types, 0);
        fl_query q = fl_query_begin(s, FL_SQL_RUN_COUNT);
        fl_bind_int(&q, 1, job);
        fl_bind_int(&q, 2, type);
        fl_bind_int(&q, 3, FL_RUNNABLE_MOST - (int64_t)made->n);
        rc = fl_query_int(&q, 0, &n);
        if (rc != FLAMENCO_OK)
            break;
        fl_made_add(made, (uint64_t)n, type);
    }
    /* Types behind the limit are several, too. */
    if (rc > 0)
        made->type = -1;
    return fl_query_end(&types, rc);
}

int32_t fl_task_state_get(flamenco_session *s, int64_t key, fl_task_state *out)
{
    if (key != 0 && s->last_task.key == key && s->last_changes == fl_changes(s)) {
        *out = s->last_task;
        return FLAMENCO_OK;
    }
    fl_query q = fl_query_begin(s, FL_SQL_TASK_STATE);
    fl_bind_int(&q, 1, key);
    int32_t rc = fl_query_step(&q);
    if (rc > 0) {
        out->key = key;
        out->job = fl_column_int(&q, 0);
        out->type = fl_column_int(&q, 1);
        out->priority = fl_column_int(&q, 2);
        out->status = (uint32_t)fl_column_int(&q, 3);
        out->worker = fl_column_int(&q, 4);
        out->open_deps = fl_column_int(&q, 5);
        out->steps_total = fl_column_int(&q, 6);
        out->steps_done = fl_column_int(&q, 7);
    } else if (rc == 0) {
        rc = fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such task");
    }
    return fl_query_end(&q, rc);
}

void fl_task_state_keep(flamenco_session *s, const fl_task_state *row)
{
    if (s->kind != FLAMENCO_SESSION_WRITER)
        return;
    s->last_task = *row;
    s->last_changes = fl_changes(s);
}
