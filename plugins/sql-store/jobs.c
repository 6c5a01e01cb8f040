/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - reading jobs and changing one of their columns. Methods of the service; what they promise stands in
 * flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

int32_t fl_job_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_job *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_JOB_GET);
    fl_bind_uuid(&q, 1, uuid);
    return fl_leave(&call, fl_job_out(&q, out));
}

int32_t fl_job_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_job *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_known_job_row(call.s, key, out);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return fl_leave(&call, rc);
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    fl_query q = fl_query_begin(call.s, FL_SQL_JOB_GET_KEY);
    fl_bind_int(&q, 1, key);
    rc = fl_job_out(&q, &row);
    if (rc == FLAMENCO_OK) {
        fl_known_job_row_keep(call.s, &row);
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    }
    return fl_leave(&call, rc);
}

int32_t fl_jobs_count(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_JOB_STATUSES], flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint64_t counts[FLAMENCO_JOB_STATUSES] = { 0 };
    fl_query q = fl_query_begin(call.s, FL_SQL_JOBS_COUNT);
    while ((rc = fl_query_step(&q)) > 0) {
        int64_t status = fl_column_int(&q, 0);
        if (status >= 0 && status < FLAMENCO_JOB_STATUSES)
            counts[status] = (uint64_t)fl_column_int(&q, 1);
    }
    rc = fl_query_end(&q, rc);
    if (rc == FLAMENCO_OK)
        memcpy(counts_out, counts, sizeof(counts));
    return fl_leave(&call, rc);
}

int32_t fl_job_counts(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_out(call.s, &job, NULL, out);
    return fl_leave(&call, rc);
}

static int32_t set_status(flamenco_session *s, fl_job_state *job, uint32_t status, flamenco_str activity, fl_made *made)
{
    fl_known_changed(s, FL_KNOWN_JOB_STATES);
    fl_query q = fl_query_begin(s, FL_SQL_JOB_SET_STATUS);
    fl_bind_int(&q, 1, job->key);
    fl_bind_int(&q, 2, status);
    fl_bind_text(&q, 3, activity);
    fl_bind_int(&q, 4, s->cx->now_us);
    int32_t rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK || status == job->status)
        return rc;
    rc = fl_job_count_add(s, job->status, -1);
    if (rc == FLAMENCO_OK)
        rc = fl_job_count_add(s, status, 1);
    int before = fl_job_schedulable(job);
    job->status = status;
    int after = fl_job_schedulable(job);
    if (rc == FLAMENCO_OK && before != after)
        rc = fl_runq_rebuild(s, job);
    return rc == FLAMENCO_OK && after && !before ? fl_runq_count(s, job->key, made) : rc;
}

int32_t fl_job_set_status(void *self, flamenco_cx *cx, int64_t key, uint32_t status, flamenco_str activity,
                          flamenco_job_counts *counts_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    fl_made made = { 0 };
    if (status >= FLAMENCO_JOB_STATUSES)
        rc = fl_fail(call.s, FLAMENCO_E_INVALID, "unknown job status %u", status);
    else
        rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK)
        rc = set_status(call.s, &job, status, activity, &made);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_out(call.s, &job, &made, counts_out);
    return fl_leave(&call, rc);
}

/* Runs a statement that sets column ?2 of job ?1; ?3 = now where the statement has one. */
static int32_t set_column(flamenco_session *s, fl_sql id, int64_t key, int64_t value, uint32_t with_now)
{
    fl_known_changed(s, FL_KNOWN_JOB_STATES);
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, value);
    if (with_now)
        fl_bind_int(&q, 3, s->cx->now_us);
    return fl_query_run(&q);
}

int32_t fl_job_set_priority(void *self, flamenco_cx *cx, int64_t key, int32_t priority, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK)
        rc = set_column(call.s, FL_SQL_JOB_SET_PRIORITY, key, priority, 1);
    if (rc == FLAMENCO_OK)
        rc = set_column(call.s, FL_SQL_RUNQ_SET_PRIORITY, key, -(int64_t)priority, 0);
    return fl_leave(&call, rc);
}

/* NOT_FOUND unless the tag exists. */
static int32_t need_tag(flamenco_session *s, int64_t tag)
{
    fl_query q = fl_query_begin(s, FL_SQL_TAG_GET_KEY);
    fl_bind_int(&q, 1, tag);
    int64_t found = 0;
    int32_t rc = fl_query_int(&q, 0, &found);
    if (rc == FLAMENCO_OK && found == 0)
        rc = fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such tag");
    return rc;
}

int32_t fl_job_set_tag(void *self, flamenco_cx *cx, int64_t key, int64_t tag_key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK && tag_key != 0)
        rc = need_tag(call.s, tag_key);
    if (rc == FLAMENCO_OK)
        rc = set_column(call.s, FL_SQL_JOB_SET_TAG, key, tag_key, 1);
    fl_known_changed(call.s, FL_KNOWN_RUNQ);
    if (rc == FLAMENCO_OK)
        rc = set_column(call.s, FL_SQL_RUNQ_SET_TAG, key, tag_key, 0);
    return fl_leave(&call, rc);
}

int32_t fl_job_set_storage(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                           flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK) {
        fl_known_changed(call.s, FL_KNOWN_JOB_STATES);
        fl_query q = fl_query_begin(call.s, FL_SQL_JOB_SET_STORAGE);
        fl_bind_int(&q, 1, key);
        fl_bind_text(&q, 2, shaman_checkout_id);
        rc = fl_query_run(&q);
    }
    return fl_leave(&call, rc);
}

int32_t fl_job_set_delete_requested(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    if (rc == FLAMENCO_OK)
        rc = set_column(call.s, FL_SQL_JOB_MARK, key, cx->now_us, 0);
    if (rc == FLAMENCO_OK) {
        job.marked = 1;
        rc = fl_runq_rebuild(call.s, &job);
    }
    return fl_leave(&call, rc);
}

int32_t fl_jobs_set_delete_requested(void *self, flamenco_cx *cx, int64_t updated_max_us, uint64_t *changed_out,
                                     flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_known_changed(call.s, FL_KNOWN_JOB_STATES);
    fl_query q = fl_query_begin(call.s, FL_SQL_JOBS_MARK);
    fl_bind_int(&q, 1, updated_max_us);
    fl_bind_int(&q, 2, cx->now_us);
    int64_t changed = 0;
    rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed > 0) {
        q = fl_query_begin(call.s, FL_SQL_RUNQ_DROP_MARKED);
        rc = fl_query_run(&q);
    }
    if (rc == FLAMENCO_OK && changed_out != NULL)
        *changed_out = (uint64_t)changed;
    return fl_leave(&call, rc);
}

int32_t fl_last_rendered_set(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ONE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_LAST_RENDERED_SET);
    fl_bind_int(&q, 1, job_key);
    return fl_leave(&call, fl_query_run(&q));
}

int32_t fl_last_rendered_get(void *self, flamenco_cx *cx, flamenco_job *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_LAST_RENDERED_GET);
    return fl_leave(&call, fl_job_out(&q, out));
}
