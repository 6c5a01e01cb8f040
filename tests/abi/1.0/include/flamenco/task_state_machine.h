/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/task_state_machine.h - the service "flamenco.state_machine/1": what follows from a change of status (contract:
 * state-and-scheduling 2, 3, 5, 8; decisions "Fixed"). Called by the core's handlers and periodic work, in a write
 * transaction. It changes rows through persistence and tells of them through the host's effects.
 *
 * LONG CHANGES. A job of more tasks than one step may touch is changed in several steps. The first saves the transitional
 * status. A caller that passes `pending_out` goes on itself: it calls job_advance in later write steps until that returns 0.
 * With pending_out NULL the state machine queues those steps itself.
 */
#ifndef FLAMENCO_TASK_STATE_MACHINE_H
#define FLAMENCO_TASK_STATE_MACHINE_H

#include "flamenco/events.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_STATE_MACHINE "flamenco.state_machine/1"

typedef struct flamenco_state_machine {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Moves a task to `to` with its log line, event and the ripple to its job (2). `task` is the row as it stands, and holds
     * the new state afterwards. activity: saved with the status; NULL ptr = leave it. [writer] */
    int32_t (*task_set_status)(void *self, flamenco_cx *cx, flamenco_task *task, uint32_t to, flamenco_str activity,
                               flamenco_error *err);
    /* A worker reported `failed` (8): failure list, blocklist, soft or hard failure, or the job's. `task` as above. [writer] */
    int32_t (*task_failed)(void *self, flamenco_cx *cx, flamenco_task *task, const flamenco_worker *worker,
                           flamenco_str activity, flamenco_error *err);
    /* An active task was not touched for too long (10). [writer] */
    int32_t (*task_timed_out)(void *self, flamenco_cx *cx, flamenco_task *task, flamenco_error *err);
    /* Moves a job to `to` with the bulk change of its tasks, events and follow-up status (3). A request for the status that
     * it has does nothing. `job` is the row as it stands, and holds the new state afterwards. [writer] */
    int32_t (*job_set_status)(void *self, flamenco_cx *cx, flamenco_job *job, uint32_t to, flamenco_str reason,
                              uint32_t *pending_out, flamenco_error *err);
    /* Does the next step of a change that job_set_status left pending. Returns 0 when it is complete, FLAMENCO_AGAIN when
     * there is more. [writer] */
    int32_t (*job_advance)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
    /* Returns the worker's active tasks to the pool (5). reason: for people. [writer] */
    int32_t (*worker_return_tasks)(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_str reason,
                                   flamenco_error *err);
    /* Finishes what a crash left half done (3.3), one job a call. Returns 0 when nothing is left, else FLAMENCO_AGAIN.
     * Called before requests are served. [writer] */
    int32_t (*repair)(void *self, flamenco_cx *cx, flamenco_error *err);
} flamenco_state_machine;

#ifdef __cplusplus
}
#endif

#endif
