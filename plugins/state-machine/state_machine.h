/* SPDX-License-Identifier: Apache-2.0
 *
 * state_machine.h - what the files of the state machine share. The service itself is flamenco/task_state_machine.h.
 *
 * All functions run on the writing thread within a transaction, unless tagged otherwise. They change rows by persistence
 * and queue effects; memory of the instance holds only hints, since any of them may be rolled back and run again.
 */
#ifndef FL_STATE_MACHINE_H
#define FL_STATE_MACHINE_H

#include <pthread.h>

#include "flamenco/calls/persistence.h"
#include "flamenco/task_state_machine.h"

#define FL_SM_CURSORS 64u

/* Where the next step of a long change goes on. A hint: a change is over when the job's counters say so. */
typedef struct fl_sm_cursor {
    int64_t job_key; /* 0 = unused */
    uint32_t cursor;
} fl_sm_cursor;

struct fl_sm_chain;

typedef struct fl_sm {
    const flamenco_host *host;
    const flamenco_config *config;
    flamenco_persistence_ref persist;
    uint64_t failed_percentage;
    uint64_t bulk_step;
    uint64_t single_step_limit;
    int64_t capable_seen_within_us;
    fl_sm_cursor cursors[FL_SM_CURSORS];
    uint32_t next_cursor;
    pthread_mutex_t lock; /* guards chains: the host may destroy a step on any thread */
    struct fl_sm_chain *chains; /* the steps that wait in the host's queue, at most one per job */
} fl_sm;

/* ---- support.c: texts and effects ------------------------------------------------------------------------------ */

/* Formats a text into the arena of cx. NOMEM. */
__attribute__((format(printf, 5, 6))) int32_t fl_sm_format(const fl_sm *sm, flamenco_cx *cx, flamenco_str *out,
                                                           flamenco_error *err, const char *fmt, ...);
/* Copies a text into the arena of cx. NOMEM. */
int32_t fl_sm_copy(const fl_sm *sm, flamenco_cx *cx, flamenco_str text, flamenco_str *out, flamenco_error *err);
/* Queues a line of the manager's own for the task's log. */
int32_t fl_sm_log_line(const fl_sm *sm, flamenco_cx *cx, const flamenco_task *task, flamenco_str line,
                       flamenco_error *err);
/* Queues a job event that shows `row`. */
int32_t fl_sm_emit_job(const fl_sm *sm, flamenco_cx *cx, const flamenco_job *row, uint32_t previous, uint32_t refresh,
                       flamenco_error *err);
/* Wakes parked requests for a task, if the change behind `counts` made tasks runnable. */
int32_t fl_sm_wake(const fl_sm *sm, flamenco_cx *cx, const flamenco_job_counts *counts, flamenco_error *err);
/* Wakes that worker's parked request. */
int32_t fl_sm_wake_worker(const fl_sm *sm, flamenco_cx *cx, const flamenco_uuid *worker, flamenco_error *err);
/* Writes a worker as `name (uuid)` into the arena of cx. */
int32_t fl_sm_worker_text(const fl_sm *sm, flamenco_cx *cx, flamenco_str name, const flamenco_uuid *uuid,
                          flamenco_str *out, flamenco_error *err);

/* ---- task_status.c --------------------------------------------------------------------------------------------- */

int32_t fl_sm_task_set_status(void *self, flamenco_cx *cx, flamenco_task *task, uint32_t to, flamenco_str activity,
                              flamenco_error *err);
int32_t fl_sm_task_timed_out(void *self, flamenco_cx *cx, flamenco_task *task, flamenco_error *err);

/* ---- ripple.c -------------------------------------------------------------------------------------------------- */

#define FL_SM_NO_CHANGE UINT32_MAX

/* What a task's new status means for its job. */
typedef struct fl_sm_ripple {
    uint32_t to; /* FLAMENCO_JOB_*, or FL_SM_NO_CHANGE */
    const char *reason; /* for people */
} fl_sm_ripple;

/* Decides from the job's status and counters after the change (2.1 with decisions). [any] */
fl_sm_ripple fl_sm_ripple_decide(uint32_t task_status, const flamenco_job_counts *counts, uint64_t failed_percentage);
/* Decides and does it. */
int32_t fl_sm_ripple_apply(fl_sm *sm, flamenco_cx *cx, int64_t job_key, uint32_t task_status,
                           const flamenco_job_counts *counts, flamenco_error *err);

/* ---- job_status.c ---------------------------------------------------------------------------------------------- */

/* The bulk change of tasks that a job status brings along. */
typedef struct fl_sm_bulk {
    uint64_t from_mask; /* 0 = none */
    uint32_t to;
    flamenco_str activity;
} fl_sm_bulk;

int32_t fl_sm_job_set_status(void *self, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                             uint32_t *pending_out, flamenco_error *err);
/* As job_set_status, but the first round runs even when the job has that status already. */
int32_t fl_sm_job_apply(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                        uint32_t *pending_out, flamenco_error *err);
/* Tells what is left to do of the change that the job's status stands for; from_mask 0 = nothing ever. [any] */
fl_sm_bulk fl_sm_bulk_of(const flamenco_job *job);
/* How many of the tasks have a status of the mask. [any] */
uint64_t fl_sm_count(const uint64_t counts[FLAMENCO_TASK_STATUSES], uint64_t mask);
/* Ends a change whose bulk part is done: final status and events. changed: tasks that this step has changed. */
int32_t fl_sm_job_finish(fl_sm *sm, flamenco_cx *cx, flamenco_job *job, uint64_t changed, flamenco_error *err);

/* ---- chain.c --------------------------------------------------------------------------------------------------- */

int32_t fl_sm_job_advance(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
/* Forgets where a former change of the job had got to. */
void fl_sm_cursor_drop(fl_sm *sm, int64_t job_key);
/* Queues the steps of a long change, unless they are queued already. */
int32_t fl_sm_chain_submit(fl_sm *sm, int64_t job_key, flamenco_error *err);

/* ---- failure.c, return_tasks.c, repair.c ------------------------------------------------------------------------ */

int32_t fl_sm_task_failed(void *self, flamenco_cx *cx, flamenco_task *task, const flamenco_worker *worker,
                          flamenco_str activity, flamenco_error *err);
int32_t fl_sm_worker_return_tasks(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_str reason,
                                  flamenco_error *err);
/* Returns the worker's tasks with this status to the pool; job_key 0 = those of any job. */
int32_t fl_sm_return_tasks(fl_sm *sm, flamenco_cx *cx, int64_t worker_key, uint32_t status, int64_t job_key,
                           flamenco_str reason, flamenco_error *err);
int32_t fl_sm_repair(void *self, flamenco_cx *cx, flamenco_error *err);

#endif
