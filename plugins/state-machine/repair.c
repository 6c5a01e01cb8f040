/* SPDX-License-Identifier: Apache-2.0
 *
 * repair.c - finishes at start what a crash, or the reference's way of saving things one by one, left half done
 * (state-and-scheduling 3.3). Called before requests are served, until it says that nothing is left.
 */
#include "state_machine.h"

typedef struct search {
    int64_t job_key; /* 0 = nothing found */
} search;

/* A pause request that only waits for active tasks is left alone, and a failed job is repaired only when a change broke
 * off: a task that somebody queued again in a failed job stays queued. So every repair ends with nothing to repair. */
static int needs_repair(const flamenco_job *job)
{
    const fl_sm_bulk bulk = fl_sm_bulk_of(job);
    switch (job->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
    case FLAMENCO_JOB_REQUEUEING:
        return 1;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        return fl_sm_count(job->counts, bulk.from_mask) > 0 || job->counts[FLAMENCO_TASK_ACTIVE] == 0;
    case FLAMENCO_JOB_FAILED:
        return bulk.from_mask != 0;
    default:
        return 0;
    }
}

static int32_t examine(void *ctx, const flamenco_job *row)
{
    search *found = ctx;
    if (!needs_repair(row))
        return 0;
    found->job_key = row->key;
    return 1;
}

static int32_t repair_job(fl_sm *sm, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get_key(&sm->persist, cx, job_key, &job, err);
    if (rc != FLAMENCO_OK)
        return rc;
    char id[37];
    sm->host->uuid_format(&job.uuid, id);
    /* A long change goes on where it broke off, one step a call. */
    const int is_long =
        job.n_tasks > sm->single_step_limit && fl_sm_count(job.counts, fl_sm_bulk_of(&job).from_mask) > 0;
    if (is_long || job.status == FLAMENCO_JOB_FAILED) {
        rc = fl_sm_job_advance(sm, cx, job_key, err);
        if (rc == FLAMENCO_AGAIN)
            return FLAMENCO_OK;
    } else {
        rc = fl_sm_job_apply(sm, cx, &job, job.status, flamenco_text("re-applied at the start of the manager"), NULL,
                             err);
    }
    if (rc == FLAMENCO_OK)
        sm->host->log(sm->host->h, FLAMENCO_LOG_INFO, "job %s was left half changed, and is complete now", id);
    return rc;
}

int32_t fl_sm_repair(void *self, flamenco_cx *cx, flamenco_error *err)
{
    fl_sm *sm = self;
    search found = { 0 };
    flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page),
        .order = FLAMENCO_ORDER_KEY,
        .status_mask = FLAMENCO_BIT(FLAMENCO_JOB_CANCEL_REQUESTED) | FLAMENCO_BIT(FLAMENCO_JOB_REQUEUEING) |
                       FLAMENCO_BIT(FLAMENCO_JOB_PAUSE_REQUESTED) | FLAMENCO_BIT(FLAMENCO_JOB_FAILED),
        .updated_after_us = FLAMENCO_TIME_NONE,
    };
    int32_t rc = flamenco_persist_jobs_list(&sm->persist, cx, &page, examine, &found, NULL, err);
    if (rc != FLAMENCO_OK || found.job_key == 0)
        return rc;
    rc = repair_job(sm, cx, found.job_key, err);
    return rc == FLAMENCO_OK ? FLAMENCO_AGAIN : rc;
}
