/* SPDX-License-Identifier: Apache-2.0
 *
 * task_status.c - the change of one task's status with log line, event and ripple (state-and-scheduling 2), and the
 * time-out of a task (10). Called by handlers, by the timeout checker and by the files beside.
 */
#include <time.h>

#include "state_machine.h"

/* A task that fails softly while its job is being paused would be tried again at once; so it is paused with the others
 * (decisions: task leaves `active`). Its failure is on the failure list already. */
static int32_t settle_status(fl_sm *sm, flamenco_cx *cx, const flamenco_task *task, uint32_t *to, flamenco_error *err)
{
    if (*to != FLAMENCO_TASK_SOFT_FAILED)
        return FLAMENCO_OK;
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    int32_t rc = flamenco_persist_job_counts(&sm->persist, cx, task->job_key, &counts, err);
    if (rc == FLAMENCO_OK && counts.job_status == FLAMENCO_JOB_PAUSE_REQUESTED)
        *to = FLAMENCO_TASK_PAUSED;
    return rc;
}

static int32_t save_status(fl_sm *sm, flamenco_cx *cx, flamenco_task *task, uint32_t to, flamenco_str activity,
                           flamenco_job_counts *counts, flamenco_error *err)
{
    flamenco_task_update update = {
        .struct_size = (uint32_t)sizeof(update),
        .set = FLAMENCO_TASK_SET_STATUS,
        .status = to,
    };
    flamenco_str kept = task->activity;
    if (activity.ptr != NULL) {
        int32_t rc = fl_sm_copy(sm, cx, activity, &kept, err);
        if (rc != FLAMENCO_OK)
            return rc;
        update.set |= FLAMENCO_TASK_SET_ACTIVITY;
        update.activity = kept;
    }
    int32_t rc = flamenco_persist_task_update(&sm->persist, cx, task->key, &update, counts, err);
    if (rc != FLAMENCO_OK)
        return rc;
    /* The store sets the steps only when the status changes. */
    if (to != task->status && to == FLAMENCO_TASK_COMPLETED)
        task->steps_completed = task->steps_total;
    else if (to != task->status && to == FLAMENCO_TASK_QUEUED)
        task->steps_completed = 0;
    task->status = to;
    task->activity = kept;
    task->updated_us = cx->now_us;
    return FLAMENCO_OK;
}

static int32_t tell(fl_sm *sm, flamenco_cx *cx, const flamenco_task *task, uint32_t previous, flamenco_error *err)
{
    if (previous != task->status) {
        flamenco_str line;
        int32_t rc = fl_sm_format(sm, cx, &line, err, "Task changed status from %s to %s",
                                  flamenco_task_status_text(previous), flamenco_task_status_text(task->status));
        if (rc == FLAMENCO_OK)
            rc = fl_sm_log_line(sm, cx, task, line, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    const flamenco_task_event event = {
        .struct_size = (uint32_t)sizeof(event),
        .previous_status = previous,
        .row = task,
    };
    int32_t rc = sm->host->emit_task(cx, &event);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue a task event");
}

int32_t fl_sm_task_set_status(void *self, flamenco_cx *cx, flamenco_task *task, uint32_t to, flamenco_str activity,
                              flamenco_error *err)
{
    fl_sm *sm = self;
    if (to >= FLAMENCO_TASK_STATUSES)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "there is no task status %u", to);
    int32_t rc = settle_status(sm, cx, task, &to, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t previous = task->status;
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    rc = save_status(sm, cx, task, to, activity, &counts, err);
    if (rc == FLAMENCO_OK)
        rc = tell(sm, cx, task, previous, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_wake(sm, cx, &counts, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_ripple_apply(sm, cx, task->job_key, to, &counts, err);
    return rc;
}

/* Names the worker that a task is assigned to. */
static int32_t describe_worker(fl_sm *sm, flamenco_cx *cx, const flamenco_task *task, flamenco_str *out,
                               flamenco_error *err)
{
    if (task->worker_key == 0) {
        *out = flamenco_text("no worker");
        return FLAMENCO_OK;
    }
    flamenco_str name;
    int32_t rc = fl_sm_worker_text(sm, cx, task->worker_name, &task->worker_uuid, &name, err);
    return rc == FLAMENCO_OK ? fl_sm_format(sm, cx, out, err, "worker %.*s", (int)name.len, name.ptr) : rc;
}

/* Writes a point in time for people, to the second. */
static void format_time(int64_t at_us, char *out, size_t size)
{
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm parts;
    if (at_us == FLAMENCO_TIME_NONE || gmtime_r(&seconds, &parts) == NULL ||
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        (void)snprintf(out, size, "an unknown time");
}

int32_t fl_sm_task_timed_out(void *self, flamenco_cx *cx, flamenco_task *task, flamenco_error *err)
{
    fl_sm *sm = self;
    flamenco_str worker;
    flamenco_str activity;
    flamenco_str line;
    char since[32];
    format_time(task->touched_us, since, sizeof(since));
    int32_t rc = describe_worker(sm, cx, task, &worker, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_format(sm, cx, &activity, err, "Task timed out on %.*s", (int)worker.len, worker.ptr);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_task_set_status(sm, cx, task, FLAMENCO_TASK_FAILED, activity, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_format(sm, cx, &line, err, "Task timed out. It was assigned to %.*s, and untouched since %s",
                          (int)worker.len, worker.ptr, since);
    return rc == FLAMENCO_OK ? fl_sm_log_line(sm, cx, task, line, err) : rc;
}
