/* SPDX-License-Identifier: Apache-2.0
 *
 * ripple.c - what a task's new status means for its job (state-and-scheduling 2.1, as decisions "Fixed" changes it). Called
 * by task_status.c after each change of a task.
 */
#include "state_machine.h"

static const fl_sm_ripple nothing = { FL_SM_NO_CHANGE, "" };

/* A pause request is fulfilled when nothing runs any more, whatever the last task ended as. */
static fl_sm_ripple decide_pause(const flamenco_job_counts *counts)
{
    if (counts->job_status != FLAMENCO_JOB_PAUSE_REQUESTED || counts->counts[FLAMENCO_TASK_ACTIVE] > 0)
        return nothing;
    return (fl_sm_ripple){ FLAMENCO_JOB_PAUSED, "no task is active any more" };
}

static fl_sm_ripple decide_started(uint32_t job_status)
{
    /* A finished, paused or stopping job is not woken by what one of its tasks does (decisions). */
    if (job_status == FLAMENCO_JOB_QUEUED || job_status == FLAMENCO_JOB_UNDER_CONSTRUCTION)
        return (fl_sm_ripple){ FLAMENCO_JOB_ACTIVE, "a task was started" };
    return nothing;
}

static fl_sm_ripple decide_canceled(const flamenco_job_counts *counts)
{
    const uint64_t runnable = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE) | FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) |
                              FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);
    if (fl_sm_count(counts->counts, runnable) > 0)
        return decide_pause(counts);
    if (counts->counts[FLAMENCO_TASK_PAUSED] == 0)
        return (fl_sm_ripple){ FLAMENCO_JOB_CANCELED, "no task is left to be run" };
    switch (counts->job_status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED: /* the paused tasks are about to be canceled with the job */
    case FLAMENCO_JOB_CANCELED:
    case FLAMENCO_JOB_COMPLETED:
    case FLAMENCO_JOB_FAILED:
        return nothing;
    default:
        return (fl_sm_ripple){ FLAMENCO_JOB_PAUSED, "only paused tasks are left" };
    }
}

static fl_sm_ripple decide_failed(const flamenco_job_counts *counts, uint64_t failed_percentage)
{
    /* Somebody wants the job canceled, and that is what it becomes. */
    if (counts->n_tasks == 0 || counts->job_status == FLAMENCO_JOB_CANCEL_REQUESTED)
        return nothing;
    if (counts->counts[FLAMENCO_TASK_FAILED] * 100 / counts->n_tasks >= failed_percentage)
        return (fl_sm_ripple){ FLAMENCO_JOB_FAILED, "too many tasks failed" };
    if (counts->job_status == FLAMENCO_JOB_QUEUED)
        return (fl_sm_ripple){ FLAMENCO_JOB_ACTIVE, "a task failed" };
    return decide_pause(counts);
}

static fl_sm_ripple decide_completed(const flamenco_job_counts *counts)
{
    if (counts->counts[FLAMENCO_TASK_COMPLETED] == counts->n_tasks)
        return (fl_sm_ripple){ FLAMENCO_JOB_COMPLETED, "all tasks are completed" };
    if (counts->job_status == FLAMENCO_JOB_QUEUED)
        return (fl_sm_ripple){ FLAMENCO_JOB_ACTIVE, "a task was completed" };
    return decide_pause(counts);
}

fl_sm_ripple fl_sm_ripple_decide(uint32_t task_status, const flamenco_job_counts *counts, uint64_t failed_percentage)
{
    /* While the tasks of a job are being requeued, its counters are half old and half new. Whoever does that decides at
     * its end what becomes of the job. */
    if (counts->job_status == FLAMENCO_JOB_REQUEUEING)
        return nothing;
    switch (task_status) {
    case FLAMENCO_TASK_QUEUED:
        if (counts->job_status == FLAMENCO_JOB_COMPLETED)
            return (fl_sm_ripple){ FLAMENCO_JOB_QUEUED, "a task was queued again" };
        return decide_pause(counts);
    case FLAMENCO_TASK_PAUSED:
        return decide_pause(counts);
    case FLAMENCO_TASK_ACTIVE:
        return decide_started(counts->job_status);
    case FLAMENCO_TASK_SOFT_FAILED:
        return decide_started(counts->job_status);
    case FLAMENCO_TASK_CANCELED:
        return decide_canceled(counts);
    case FLAMENCO_TASK_FAILED:
        return decide_failed(counts, failed_percentage);
    case FLAMENCO_TASK_COMPLETED:
        return decide_completed(counts);
    default:
        return nothing;
    }
}

int32_t fl_sm_ripple_apply(fl_sm *sm, flamenco_cx *cx, int64_t job_key, uint32_t task_status,
                           const flamenco_job_counts *counts, flamenco_error *err)
{
    fl_sm_ripple ripple = fl_sm_ripple_decide(task_status, counts, sm->failed_percentage);
    if (ripple.to == FL_SM_NO_CHANGE || ripple.to == counts->job_status)
        return FLAMENCO_OK;
    const uint64_t pausable = FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);
    if (ripple.to == FLAMENCO_JOB_PAUSED && counts->job_status == FLAMENCO_JOB_PAUSE_REQUESTED &&
        counts->n_tasks > sm->single_step_limit && fl_sm_count(counts->counts, pausable) > 0)
        /* The job's tasks are still being paused, step by step; the last of these steps pauses the job. */
        return fl_sm_chain_submit(sm, job_key, err);
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get_key(&sm->persist, cx, job_key, &job, err);
    if (rc != FLAMENCO_OK)
        return rc;
    return fl_sm_job_set_status(sm, cx, &job, ripple.to, flamenco_text(ripple.reason), NULL, err);
}
