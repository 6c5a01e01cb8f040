/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/task_scheduler.h - the service "flamenco.task_scheduler/1": which task a worker gets, and why one waits
 * (contract: state-and-scheduling 6). Called by scheduleTask, in a write transaction.
 */
#ifndef FLAMENCO_TASK_SCHEDULER_H
#define FLAMENCO_TASK_SCHEDULER_H

#include "flamenco/persistence.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_TASK_SCHEDULER "flamenco.task_scheduler/1"

#define FLAMENCO_EXPLAIN_JOB 1u
#define FLAMENCO_EXPLAIN_TASK 2u
#define FLAMENCO_EXPLAIN_WORKER 3u

/* One reason why something waits. */
typedef struct flamenco_reason {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t count; /* how many tasks or workers it concerns */
    flamenco_str code; /* for programs: "worker-asleep", "dependencies-open", "no-worker-for-type" … */
    flamenco_str text; /* for people */
} flamenco_reason;

typedef int32_t (*flamenco_visit_reason)(void *ctx, const flamenco_reason *reason);

typedef struct flamenco_task_scheduler {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Finds the task for an awake worker, the one that it holds already first, and assigns it (persistence: SET_WORKER); the
     * status is the caller's to change. *out has `commands`. NOT_FOUND: nothing now. [writer] */
    int32_t (*pick)(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                    flamenco_error *err);

    /* -- optional -- */

    /* Tells why a job or task waits, or why a worker has no task: `what` is FLAMENCO_EXPLAIN_*, uuid its own. Nothing to
     * tell is a success without a visit. NOT_FOUND. [reader] */
    int32_t (*explain)(void *self, flamenco_cx *cx, uint32_t what, const flamenco_uuid *uuid,
                       flamenco_visit_reason visit, void *ctx, flamenco_error *err);
} flamenco_task_scheduler;

#ifdef __cplusplus
}
#endif

#endif
