/* SPDX-License-Identifier: Apache-2.0
 *
 * support.c - texts in the arena of a call, and effects with their errors. Called by the other files of the state machine.
 */
#include "state_machine.h"

static int32_t fail_nomem(flamenco_error *err)
{
    return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory left for a change of status");
}

/* An effect that cannot be queued must not be lost: the change fails and is rolled back with it. */
static int32_t check_effect(int32_t rc, const char *what, flamenco_error *err)
{
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue %s", what);
}

int32_t fl_sm_format(const fl_sm *sm, flamenco_cx *cx, flamenco_str *out, flamenco_error *err, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : sm->host->cx_alloc(cx, (uint64_t)n + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    if (text == NULL)
        return fail_nomem(err);
    out->ptr = text;
    out->len = (uint64_t)n;
    return FLAMENCO_OK;
}

int32_t fl_sm_copy(const fl_sm *sm, flamenco_cx *cx, flamenco_str text, flamenco_str *out, flamenco_error *err)
{
    char *copy = sm->host->cx_alloc(cx, text.len + 1);
    if (copy == NULL)
        return fail_nomem(err);
    if (text.len > 0)
        memcpy(copy, text.ptr, (size_t)text.len);
    out->ptr = copy;
    out->len = text.len;
    return FLAMENCO_OK;
}

int32_t fl_sm_log_line(const fl_sm *sm, flamenco_cx *cx, const flamenco_task *task, flamenco_str line,
                       flamenco_error *err)
{
    return check_effect(sm->host->task_log(cx, &task->job_uuid, &task->uuid, 1, line), "a log line", err);
}

int32_t fl_sm_emit_job(const fl_sm *sm, flamenco_cx *cx, const flamenco_job *row, uint32_t previous, uint32_t refresh,
                       flamenco_error *err)
{
    const flamenco_job_event event = {
        .struct_size = (uint32_t)sizeof(event),
        .previous_status = previous,
        .flags = refresh != 0 ? FLAMENCO_JOB_EVENT_REFRESH_TASKS : 0,
        .row = row,
    };
    return check_effect(sm->host->emit_job(cx, &event), "a job event", err);
}

int32_t fl_sm_wake(const fl_sm *sm, flamenco_cx *cx, const flamenco_job_counts *counts, flamenco_error *err)
{
    if (counts->made_runnable == 0)
        return FLAMENCO_OK;
    const flamenco_wake wake = {
        .struct_size = (uint32_t)sizeof(wake),
        .what = FLAMENCO_WAKE_TASKS,
        .count = counts->made_runnable,
        .task_type = counts->runnable_type,
    };
    return check_effect(sm->host->wake(cx, &wake), "a wake-up", err);
}

int32_t fl_sm_wake_worker(const fl_sm *sm, flamenco_cx *cx, const flamenco_uuid *worker, flamenco_error *err)
{
    const flamenco_wake wake = {
        .struct_size = (uint32_t)sizeof(wake),
        .what = FLAMENCO_WAKE_WORKER,
        .worker = *worker,
    };
    return check_effect(sm->host->wake(cx, &wake), "a wake-up", err);
}

int32_t fl_sm_worker_text(const fl_sm *sm, flamenco_cx *cx, flamenco_str name, const flamenco_uuid *uuid,
                          flamenco_str *out, flamenco_error *err)
{
    char id[37];
    sm->host->uuid_format(uuid, id);
    if (name.len == 0)
        return fl_sm_format(sm, cx, out, err, "%s", id);
    return fl_sm_format(sm, cx, out, err, "%.*s (%s)", (int)name.len, name.ptr, id);
}
