/* SPDX-License-Identifier: Apache-2.0
 *
 * insert.c - storing a job: hidden with the number of its tasks, its tasks, its dependencies, then showing and, one day,
 * hiding it. Methods of the service, called by the chain of steps that stores a submission.
 */
#include "rows.h"
#include "table.h"

/* Takes n task keys without gaps. */
static int32_t reserve_tasks(flamenco_session *s, uint64_t n, int64_t *first_out)
{
    int64_t first = 0;
    fl_query q = fl_query_begin(s, FL_SQL_STATE_GET);
    fl_bind_text(&q, 1, flamenco_text("next_task"));
    int32_t rc = fl_query_int(&q, 0, &first);
    if (rc == FLAMENCO_OK && first <= 0)
        rc = fl_fail(s, FLAMENCO_E_CORRUPT, "the counter of task keys is lost");
    if (rc != FLAMENCO_OK)
        return rc;
    q = fl_query_begin(s, FL_SQL_STATE_SET);
    fl_bind_text(&q, 1, flamenco_text("next_task"));
    fl_bind_int(&q, 2, first + (int64_t)n);
    rc = fl_query_run(&q);
    if (rc == FLAMENCO_OK)
        *first_out = first;
    return rc;
}

static int32_t insert_job(flamenco_session *s, const flamenco_job *job, uint64_t n_tasks, int64_t *key_out)
{
    int64_t first = 0, key = 0;
    int32_t rc = reserve_tasks(s, n_tasks, &first);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_JOB_INSERT);
    fl_bind_uuid(&q, 1, &job->uuid);
    fl_bind_int(&q, 2, first);
    fl_bind_int(&q, 3, (int64_t)n_tasks);
    fl_bind_time(&q, 4, job->created_us);
    fl_bind_text(&q, 5, job->name);
    fl_bind_text(&q, 6, job->type);
    fl_bind_text(&q, 7, job->shaman_checkout_id);
    fl_bind_text(&q, 8, job->submitter_platform);
    fl_bind_text(&q, 9, job->settings);
    fl_bind_text(&q, 10, job->metadata);
    rc = fl_query_int(&q, 0, &key);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_known_changed(s, FL_KNOWN_JOB_STATES); /* for when this is undone */
    q = fl_query_begin(s, FL_SQL_JOB_HOT_INSERT);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, job->status);
    fl_bind_int(&q, 3, job->priority);
    fl_bind_int(&q, 4, job->tag_key);
    fl_bind_time(&q, 5, job->delete_requested_us);
    fl_bind_time(&q, 6, job->updated_us);
    fl_bind_text(&q, 7, job->activity);
    rc = fl_query_run(&q);
    if (rc == FLAMENCO_OK)
        *key_out = key;
    return rc;
}

int32_t fl_job_insert_hidden(void *self, flamenco_cx *cx, const flamenco_job *job, uint64_t n_tasks, int64_t *key_out,
                             flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_job row;
    fl_row_in(&row, (uint32_t)sizeof(row), job);
    int64_t key = 0, tag = 0;
    if (row.status >= FLAMENCO_JOB_STATUSES || n_tasks > UINT32_MAX)
        rc = fl_fail(call.s, FLAMENCO_E_INVALID, "job status %u, %llu tasks", row.status, (unsigned long long)n_tasks);
    if (rc == FLAMENCO_OK && row.tag_key != 0) {
        fl_query q = fl_query_begin(call.s, FL_SQL_TAG_GET_KEY);
        fl_bind_int(&q, 1, row.tag_key);
        rc = fl_query_int(&q, 0, &tag);
        if (rc == FLAMENCO_OK && tag == 0)
            rc = fl_fail(call.s, FLAMENCO_E_INVALID, "the job's tag does not exist");
    }
    if (rc == FLAMENCO_OK)
        rc = insert_job(call.s, &row, n_tasks, &key);
    rc = fl_leave(&call, rc);
    if (rc == FLAMENCO_OK)
        *key_out = key;
    return rc;
}

/* The job's range of task keys, of a job that is still hidden. */
static int32_t hidden_range(flamenco_session *s, int64_t job_key, int64_t *first, int64_t *end)
{
    fl_job_state job = { 0 };
    int32_t rc = fl_job_state_get(s, job_key, &job);
    if (rc > 0)
        rc = fl_job_range(s, job_key, first, end);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such job");
    return job.hidden ? FLAMENCO_OK : fl_fail(s, FLAMENCO_E_INVALID, "the job is not hidden");
}

static int32_t insert_task(flamenco_session *s, int64_t job_key, int64_t key, const flamenco_new_task *row,
                           int64_t type)
{
    fl_query q = fl_query_begin(s, FL_SQL_TASK_INSERT);
    fl_bind_int(&q, 1, key);
    fl_bind_uuid(&q, 2, &row->uuid);
    fl_bind_int(&q, 3, job_key);
    fl_bind_int(&q, 4, type);
    fl_bind_int(&q, 5, row->priority);
    fl_bind_int(&q, 6, row->status);
    fl_bind_int(&q, 7, row->worker_key);
    fl_bind_int(&q, 8, row->open_deps);
    fl_bind_int(&q, 9, row->steps_total);
    fl_bind_int(&q, 10, row->steps_completed);
    fl_bind_time(&q, 11, row->created_us);
    fl_bind_time(&q, 12, row->updated_us);
    fl_bind_time(&q, 13, row->touched_us);
    fl_bind_text(&q, 14, row->name);
    fl_bind_text(&q, 15, row->activity);
    int32_t rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK)
        return rc;
    q = fl_query_begin(s, FL_SQL_TASK_COLD_INSERT);
    fl_bind_int(&q, 1, key);
    fl_bind_text(&q, 2, row->commands);
    rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK || row->worker_key == 0)
        return rc;
    /* An imported task: the latest one of a worker is what its page shows. */
    q = fl_query_begin(s, FL_SQL_WORKER_LAST_TASK_IMPORT);
    fl_bind_int(&q, 1, row->worker_key);
    fl_bind_int(&q, 2, key);
    fl_bind_int(&q, 3, row->updated_us == FLAMENCO_TIME_NONE ? 0 : row->updated_us);
    return fl_query_run(&q);
}

int32_t fl_tasks_insert(void *self, flamenco_cx *cx, int64_t job_key, uint32_t first_index,
                        const flamenco_new_task *rows, uint64_t stride, uint64_t n, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    int64_t first = 0, end = 0;
    fl_job_delta delta = { .updated_us = FLAMENCO_TIME_NONE };
    rc = hidden_range(s, job_key, &first, &end);
    if (rc == FLAMENCO_OK &&
        (first_index == 0 || n > (uint64_t)(end - first) || first_index - 1 > (uint64_t)(end - first) - n))
        rc = fl_fail(s, FLAMENCO_E_INVALID, "tasks %u and %llu more do not fit into the job", first_index,
                     (unsigned long long)n);
    for (uint64_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        flamenco_new_task row;
        int64_t type = 0;
        fl_row_in(&row, (uint32_t)sizeof(row), (const char *)rows + i * stride);
        if (row.status >= FLAMENCO_TASK_STATUSES) {
            rc = fl_fail(s, FLAMENCO_E_INVALID, "unknown task status %u", row.status);
            break;
        }
        rc = fl_type_number(s, row.type, 1, &type);
        if (rc < 0)
            break;
        rc = insert_task(s, job_key, first + first_index - 1 + (int64_t)i, &row, type);
        delta.n[row.status] += 1;
        delta.steps_total += row.steps_total;
        delta.steps_done += row.steps_completed;
    }
    if (rc == FLAMENCO_OK && n > 0) {
        fl_job_state job = { 0 };
        rc = fl_job_state_add(s, job_key, &delta, &job);
    }
    return fl_leave(&call, rc);
}

int32_t fl_deps_insert(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_dep *pairs, uint64_t n,
                       flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    int64_t first = 0, end = 0;
    rc = hidden_range(s, job_key, &first, &end);
    int64_t n_tasks = end - first;
    for (uint64_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        if (pairs[i].task == 0 || pairs[i].needs == 0 || pairs[i].task > n_tasks || pairs[i].needs > n_tasks) {
            rc = fl_fail(s, FLAMENCO_E_INVALID, "task %u cannot depend on task %u of %lld", pairs[i].task,
                         pairs[i].needs, (long long)n_tasks);
            break;
        }
        fl_query q = fl_query_begin(s, FL_SQL_DEP_INSERT);
        fl_bind_int(&q, 1, first + pairs[i].needs - 1);
        fl_bind_int(&q, 2, first + pairs[i].task - 1);
        rc = fl_query_run(&q);
    }
    return fl_leave(&call, rc);
}

static int32_t set_hidden(flamenco_session *s, int64_t key, uint32_t hidden)
{
    fl_known_changed(s, FL_KNOWN_JOBS);
    fl_known_changed(s, FL_KNOWN_JOB_STATES);
    fl_query q = fl_query_begin(s, FL_SQL_JOB_SET_HIDDEN);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, hidden);
    return fl_query_run(&q);
}

int32_t fl_job_show(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *counts_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_job_state job = { 0 };
    fl_made made = { 0 };
    int64_t first = 0, end = 0, stored = 0;
    rc = hidden_range(s, key, &first, &end);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_get(s, key, &job);
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        stored += job.n[i];
    if (rc >= 0 && stored != end - first)
        rc = fl_fail(s, FLAMENCO_E_INVALID, "only %lld of the job's %lld tasks are stored", (long long)stored,
                     (long long)(end - first));
    if (rc >= 0)
        rc = set_hidden(s, key, 0);
    job.hidden = 0;
    if (rc == FLAMENCO_OK)
        rc = fl_job_count_add(s, job.status, 1);
    if (rc == FLAMENCO_OK)
        rc = fl_runq_rebuild(s, &job);
    if (rc == FLAMENCO_OK && fl_job_schedulable(&job))
        rc = fl_runq_count(s, key, &made);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_out(s, &job, &made, counts_out);
    return fl_leave(&call, rc);
}

int32_t fl_job_hide(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK)
        rc = set_hidden(call.s, key, 1);
    if (rc == FLAMENCO_OK)
        rc = fl_job_count_add(call.s, job.status, -1);
    if (rc == FLAMENCO_OK) {
        job.hidden = 1;
        rc = fl_runq_rebuild(call.s, &job);
    }
    return fl_leave(&call, rc);
}
