/* SPDX-License-Identifier: Apache-2.0
 *
 * job_status.c - the change of a job's status: activity, bulk change of its tasks, event, follow-up status
 * (state-and-scheduling 3, as decisions "Fixed" changes it). Called by handlers, ripple.c, failure.c, chain.c and repair.c.
 *
 * What a long change needs to know later stands in the job's row, so that its steps, or the repair after a crash, need
 * nothing else: the status says what is to be done, and the activity, which nobody but the state machine writes, carries
 * the reason and, as a note in parentheses, what the status alone does not tell.
 */
#include "state_machine.h"

/* All tasks are to be queued, since the job was completed; else completed tasks stay so. */
#define NOTE_ALL_TASKS " (all tasks)"
/* The open tasks of this failed job are still being canceled. */
#define NOTE_CANCELING " (canceling the open tasks)"

#define ACTIVITY_HEAD "Changed to "

static const uint64_t open_mask =
    FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE) | FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);

uint64_t fl_sm_count(const uint64_t counts[FLAMENCO_TASK_STATUSES], uint64_t mask)
{
    uint64_t n = 0;
    for (uint32_t status = 0; status < FLAMENCO_TASK_STATUSES; ++status)
        n += (mask & FLAMENCO_BIT(status)) != 0 ? counts[status] : 0;
    return n;
}

/* Takes `prefix` off the front of *text. Returns 0 and leaves it alone when it begins otherwise. */
static int skip(flamenco_str *text, const char *prefix)
{
    flamenco_str p = flamenco_text(prefix);
    if (text->len < p.len || memcmp(text->ptr, prefix, (size_t)p.len) != 0)
        return 0;
    text->ptr += p.len;
    text->len -= p.len;
    return 1;
}

/* Reads what make_activity has written. A foreign activity, as of an imported job, has neither note nor reason. */
static flamenco_str read_activity(const flamenco_job *job, const char *note, int *has_note_out)
{
    flamenco_str rest = job->activity;
    *has_note_out = 0;
    if (!skip(&rest, ACTIVITY_HEAD) || !skip(&rest, flamenco_job_status_text(job->status)))
        return flamenco_text("");
    *has_note_out = note[0] != '\0' && skip(&rest, note);
    return skip(&rest, ": ") ? rest : flamenco_text("");
}

static int32_t make_activity(const fl_sm *sm, flamenco_cx *cx, uint32_t status, const char *note, flamenco_str reason,
                             flamenco_str *out, flamenco_error *err)
{
    return fl_sm_format(sm, cx, out, err, ACTIVITY_HEAD "%s%s%s%.*s", flamenco_job_status_text(status), note,
                        reason.len > 0 ? ": " : "", (int)reason.len, reason.len > 0 ? reason.ptr : "");
}

/* The bulk change that goes with a new status. all_tasks: see NOTE_ALL_TASKS. */
static fl_sm_bulk bulk_for(uint32_t status, int all_tasks)
{
    switch (status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        return (fl_sm_bulk){ open_mask | FLAMENCO_BIT(FLAMENCO_TASK_PAUSED), FLAMENCO_TASK_CANCELED,
                             flamenco_text("Manager canceled this task, since cancellation of its job was requested") };
    case FLAMENCO_JOB_FAILED:
        return (fl_sm_bulk){ open_mask, FLAMENCO_TASK_CANCELED,
                             flamenco_text("Manager canceled this task, since its job failed") };
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        return (fl_sm_bulk){ FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED),
                             FLAMENCO_TASK_PAUSED,
                             flamenco_text("Manager paused this task, since a pause of its job was requested") };
    case FLAMENCO_JOB_REQUEUEING: {
        const uint64_t every = FLAMENCO_BIT(FLAMENCO_TASK_STATUSES) - 1;
        const uint64_t kept = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE) | FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED);
        const uint64_t queued = FLAMENCO_BIT(FLAMENCO_TASK_QUEUED);
        return (fl_sm_bulk){ every & ~(all_tasks ? queued : queued | kept), FLAMENCO_TASK_QUEUED,
                             flamenco_text("Manager queued this task, since its job was requeued") };
    }
    default:
        return (fl_sm_bulk){ 0, 0, flamenco_text("") };
    }
}

fl_sm_bulk fl_sm_bulk_of(const flamenco_job *job)
{
    int noted = 0;
    if (job->status == FLAMENCO_JOB_FAILED) {
        (void)read_activity(job, NOTE_CANCELING, &noted);
        return bulk_for(noted ? FLAMENCO_JOB_FAILED : FLAMENCO_JOB_STATUSES, 0);
    }
    if (job->status == FLAMENCO_JOB_REQUEUEING)
        (void)read_activity(job, NOTE_ALL_TASKS, &noted);
    return bulk_for(job->status, noted);
}

static uint32_t needs_refresh(uint32_t status)
{
    return status == FLAMENCO_JOB_CANCEL_REQUESTED || status == FLAMENCO_JOB_FAILED ||
           status == FLAMENCO_JOB_PAUSE_REQUESTED || status == FLAMENCO_JOB_REQUEUEING || status == FLAMENCO_JOB_QUEUED;
}

static uint32_t follow_up(const flamenco_job *job, uint32_t previous)
{
    switch (job->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        return FLAMENCO_JOB_CANCELED;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        return job->counts[FLAMENCO_TASK_ACTIVE] == 0 ? FLAMENCO_JOB_PAUSED : FL_SM_NO_CHANGE;
    case FLAMENCO_JOB_REQUEUEING:
        return previous == FLAMENCO_JOB_UNDER_CONSTRUCTION ? FL_SM_NO_CHANGE : FLAMENCO_JOB_QUEUED;
    case FLAMENCO_JOB_QUEUED:
        return job->counts[FLAMENCO_TASK_COMPLETED] == job->n_tasks ? FLAMENCO_JOB_COMPLETED : FL_SM_NO_CHANGE;
    default:
        return FL_SM_NO_CHANGE;
    }
}

static int is_schedulable(uint32_t status)
{
    return status == FLAMENCO_JOB_QUEUED || status == FLAMENCO_JOB_ACTIVE;
}

typedef struct holders {
    fl_sm *sm;
    flamenco_cx *cx;
    flamenco_error *err;
    uint64_t left; /* active tasks that were not met yet */
    int32_t rc;
} holders;

static int32_t wake_holder(void *ctx, const flamenco_task *row)
{
    holders *h = ctx;
    h->rc = fl_sm_wake_worker(h->sm, h->cx, &row->worker_uuid, h->err);
    return h->rc != FLAMENCO_OK || --h->left == 0;
}

/* A worker that lost the answer to its question, or its life, asks again while its active task's job is stopped, and waits.
 * When the job may go on, it is to have that very task. */
static int32_t wake_holders(fl_sm *sm, flamenco_cx *cx, const flamenco_job *job, flamenco_error *err)
{
    holders h = { .sm = sm, .cx = cx, .err = err, .left = job->counts[FLAMENCO_TASK_ACTIVE] };
    const flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page),
        .status_mask = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE),
        .updated_after_us = FLAMENCO_TIME_NONE,
    };
    if (h.left == 0)
        return FLAMENCO_OK;
    int32_t rc = flamenco_persist_tasks_list(&sm->persist, cx, job->key, &page, wake_holder, &h, NULL, err);
    return rc == FLAMENCO_OK ? h.rc : rc;
}

/* Saves status and activity, reads the row anew, and wakes who waits for tasks. */
static int32_t save_status(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint32_t to, const char *note,
                           flamenco_str reason, flamenco_error *err)
{
    flamenco_str activity;
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    const int goes_on = is_schedulable(to) && !is_schedulable(job->status);
    int32_t rc = make_activity(sm, cx, to, note, reason, &activity, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_set_status(&sm->persist, cx, job->key, to, activity, &counts, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_wake(sm, cx, &counts, err);
    if (rc == FLAMENCO_OK && goes_on)
        rc = wake_holders(sm, cx, job, err);
    return rc == FLAMENCO_OK ? flamenco_persist_job_get_key(&sm->persist, cx, job->key, job, err) : rc;
}

/* Changes all of a short job's tasks at once. */
static int32_t change_tasks(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, const fl_sm_bulk *bulk, flamenco_error *err)
{
    uint32_t cursor = 0;
    uint32_t done = 0;
    while (!done) {
        flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
        int32_t rc = flamenco_persist_tasks_bulk_status(&sm->persist, cx, job->key, bulk->from_mask, bulk->to,
                                                        bulk->activity, sm->bulk_step, &cursor, &done, &counts, err);
        if (rc == FLAMENCO_OK)
            rc = fl_sm_wake(sm, cx, &counts, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return flamenco_persist_job_get_key(&sm->persist, cx, job->key, job, err);
}

/* One round of table 3. *next_out: the follow-up status, or FL_SM_NO_CHANGE. *pending_out: 1 when the tasks are too many
 * for one step, and steps must follow. refresh: 1 makes the event ask for a refetch of the tasks in any case. */
static int32_t do_round(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                        uint32_t refresh, uint32_t *next_out, uint32_t *pending_out, flamenco_error *err)
{
    const uint32_t previous = job->status;
    int all_tasks = previous == FLAMENCO_JOB_COMPLETED;
    if (previous == FLAMENCO_JOB_REQUEUEING)
        (void)read_activity(job, NOTE_ALL_TASKS, &all_tasks);
    fl_sm_bulk bulk = bulk_for(to, all_tasks);
    if (to == FLAMENCO_JOB_REQUEUEING && previous == FLAMENCO_JOB_UNDER_CONSTRUCTION)
        bulk.from_mask = 0;
    const int changes = fl_sm_count(job->counts, bulk.from_mask) > 0;
    const int is_long = changes && job->n_tasks > sm->single_step_limit;
    const char *note = "";
    if (to == FLAMENCO_JOB_REQUEUEING && all_tasks)
        note = NOTE_ALL_TASKS;
    else if (to == FLAMENCO_JOB_FAILED && is_long)
        note = NOTE_CANCELING;
    int32_t rc = save_status(sm, cx, job, to, note, reason, err);
    if (rc == FLAMENCO_OK && changes && !is_long)
        rc = change_tasks(sm, cx, job, &bulk, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_emit_job(sm, cx, job, previous, refresh || needs_refresh(to), err);
    if (rc != FLAMENCO_OK)
        return rc;
    *pending_out = is_long ? 1 : 0;
    *next_out = is_long ? FL_SM_NO_CHANGE : follow_up(job, previous);
    return FLAMENCO_OK;
}

int32_t fl_sm_job_apply(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                        uint32_t *pending_out, flamenco_error *err)
{
    uint32_t pending = 0;
    uint32_t next = to;
    do {
        int32_t rc = do_round(sm, cx, job, next, reason, 0, &next, &pending, err);
        if (rc != FLAMENCO_OK)
            return rc;
    } while (next != FL_SM_NO_CHANGE && next != job->status);
    if (pending) {
        fl_sm_cursor_drop(sm, job->key);
        if (pending_out == NULL)
            return fl_sm_chain_submit(sm, job->key, err);
    }
    if (pending_out != NULL)
        *pending_out = pending;
    return FLAMENCO_OK;
}

int32_t fl_sm_job_set_status(void *self, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                             uint32_t *pending_out, flamenco_error *err)
{
    if (to >= FLAMENCO_JOB_STATUSES)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "there is no job status %u", to);
    if (to != job->status)
        return fl_sm_job_apply(self, cx, job, to, reason, pending_out, err);
    if (pending_out != NULL)
        *pending_out = 0;
    return FLAMENCO_OK;
}

int32_t fl_sm_job_finish(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint64_t changed, flamenco_error *err)
{
    int noted = 0;
    uint32_t next = FL_SM_NO_CHANGE;
    uint32_t pending = 0;
    flamenco_str reason;
    int32_t rc;
    switch (job->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        reason = read_activity(job, "", &noted);
        return do_round(sm, cx, job, FLAMENCO_JOB_CANCELED, reason, 1, &next, &pending, err);
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        reason = read_activity(job, "", &noted);
        if (job->counts[FLAMENCO_TASK_ACTIVE] == 0)
            return do_round(sm, cx, job, FLAMENCO_JOB_PAUSED, reason, 1, &next, &pending, err);
        return changed > 0 ? fl_sm_emit_job(sm, cx, job, job->status, 1, err) : FLAMENCO_OK;
    case FLAMENCO_JOB_REQUEUEING:
        reason = read_activity(job, NOTE_ALL_TASKS, &noted);
        return fl_sm_job_apply(sm, cx, job, FLAMENCO_JOB_QUEUED, reason, &pending, err);
    case FLAMENCO_JOB_FAILED:
        reason = read_activity(job, NOTE_CANCELING, &noted);
        rc = save_status(sm, cx, job, FLAMENCO_JOB_FAILED, "", reason, err);
        return rc == FLAMENCO_OK ? fl_sm_emit_job(sm, cx, job, FLAMENCO_JOB_FAILED, 1, err) : rc;
    default:
        return FLAMENCO_OK;
    }
}
