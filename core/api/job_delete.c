/* SPDX-License-Identifier: Apache-2.0
 *
 * job_delete.c - the operations that mark jobs for deletion (state-and-scheduling 13). The deletion itself is the job
 * deleter's, which is told when the marks are durable.
 */
#include "core/api/handlers.h"

#define SECOND_US INT64_C(1000000)
#define EVENTS_PER_STEP 500u

/* ---- One job -------------------------------------------------------------------------------------------------------- */

int32_t fl_delete_job(fl_call *call, const api_delete_job_in *in)
{
    flamenco_job job;
    int32_t rc = fl_call_job(call, in->job_id, &job);
    if (rc != FLAMENCO_OK)
        return rc;
    job.delete_requested_us = call->cx->pub.now_us;
    job.updated_us = call->cx->pub.now_us;
    rc = flamenco_persist_job_set_delete_requested(&call->f->persist, &call->cx->pub, job.key, call->err);
    return rc == FLAMENCO_OK ? fl_call_emit_job(call, &job) : rc;
}

int32_t fl_finish_delete_job(fl_call *call, const api_delete_job_in *in)
{
    (void)in;
    flamenco_job_deleter_poke(&call->f->job_deleter);
    return api_delete_job_204(&call->reply);
}

int32_t fl_delete_job_what_would_it_do(fl_call *call, const api_delete_job_what_would_it_do_in *in)
{
    flamenco_job job;
    uint32_t shaman_checkout = 0;
    int32_t rc = fl_call_job(call, in->job_id, &job);
    if (rc == FLAMENCO_OK)
        rc =
            flamenco_job_deleter_would_delete(&call->f->job_deleter, &call->cx->pub, &job, &shaman_checkout, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    api_job_deletion_info out = { .shaman_checkout = shaman_checkout != 0 };
    return api_delete_job_what_would_it_do_200(&call->reply, &out);
}

/* ---- Many jobs ------------------------------------------------------------------------------------------------------ */

typedef struct told_jobs {
    fl_call *call;
    int64_t stamp_us; /* of this request's marks */
    uint64_t n;
    int64_t last_key;
    int32_t rc;
} told_jobs;

static int32_t tell_job(void *ctx, const flamenco_job *row)
{
    told_jobs *told = ctx;
    if (row->delete_requested_us != told->stamp_us)
        return 0;
    if (told->n == EVENTS_PER_STEP)
        return 1;
    ++told->n;
    told->last_key = row->key;
    told->rc = fl_call_emit_job(told->call, row);
    return told->rc != FLAMENCO_OK;
}

/* Queues the events of marked jobs behind the key in *cursor. A page never sees a job's event behind that of its deletion:
 * the deleter hides one job a step, and this chain takes its turn as often as that one. */
static int32_t tell_some(fl_call *call, int64_t stamp_us, uint64_t *cursor)
{
    told_jobs told = { .call = call, .stamp_us = stamp_us, .last_key = (int64_t)*cursor };
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .flags = FLAMENCO_PAGE_DELETE_REQUESTED,
                           .after_key = told.last_key };
    int32_t rc = flamenco_persist_jobs_list(&call->f->persist, &call->cx->pub, &page, tell_job, &told, NULL, call->err);
    if (rc == FLAMENCO_OK && told.rc != FLAMENCO_OK)
        rc = flamenco_fail(call->err, told.rc, "cannot queue an event");
    if (rc != FLAMENCO_OK)
        return rc;
    *cursor = (uint64_t)told.last_key;
    return told.n == EVENTS_PER_STEP ? FLAMENCO_AGAIN : FLAMENCO_OK;
}

/* The limit in whole seconds, rounded up. */
static int64_t round_up(int64_t us)
{
    int64_t over = us % SECOND_US;
    if (over == 0)
        return us;
    return over > 0 ? us - over + SECOND_US : us - over;
}

/* cursor[0]: the time stamp of the marks, 0 before there are any; cursor[1]: the key of the last job that was told of. */
int32_t fl_delete_job_mass(fl_call *call, const api_delete_job_mass_in *in)
{
    uint64_t *cursor = call->step.cursor;
    if (in->body.last_updated_max == FLAMENCO_TIME_NONE)
        return fl_call_refuse(call, 400, "last_updated_max is missing: it tells which jobs to delete");
    if (cursor[0] == 0) {
        uint64_t changed = 0;
        int32_t rc = flamenco_persist_jobs_set_delete_requested(
            &call->f->persist, &call->cx->pub, round_up(in->body.last_updated_max), &changed, call->err);
        if (rc != FLAMENCO_OK)
            return rc;
        if (changed == 0)
            return fl_call_refuse(call, 416, "no job was last changed at or before that time");
        cursor[0] = (uint64_t)call->cx->pub.now_us;
    }
    return tell_some(call, (int64_t)cursor[0], &cursor[1]);
}

int32_t fl_finish_delete_job_mass(fl_call *call, const api_delete_job_mass_in *in)
{
    (void)in;
    flamenco_job_deleter_poke(&call->f->job_deleter);
    return api_delete_job_mass_204(&call->reply);
}
