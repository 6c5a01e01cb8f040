/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/events.h - what a service tells the host about a change of a job, task or worker, so that the host can
 * broadcast it (contract: events 1.2 to 1.4). Used by flamenco_host.emit_job, emit_task, emit_worker. Rows hold the state
 * after the change.
 */
#ifndef FLAMENCO_EVENTS_H
#define FLAMENCO_EVENTS_H

#include "flamenco/persistence.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_PREVIOUS_NONE UINT32_MAX /* the event has no previous_status */

#define FLAMENCO_JOB_EVENT_REFRESH_TASKS 1u
#define FLAMENCO_JOB_EVENT_DELETED 2u /* only row->uuid counts */
#define FLAMENCO_JOB_EVENT_STEPS 4u /* nothing but its step counts changed */

typedef struct flamenco_job_event {
    uint32_t struct_size;
    uint32_t previous_status; /* FLAMENCO_JOB_*, or FLAMENCO_PREVIOUS_NONE */
    uint32_t flags; /* FLAMENCO_JOB_EVENT_* */
    uint32_t reserved;
    const flamenco_job *row; /* borrowed */
} flamenco_job_event;

typedef struct flamenco_task_event {
    uint32_t struct_size;
    uint32_t
        previous_status; /* FLAMENCO_TASK_*, or FLAMENCO_PREVIOUS_NONE: nothing but its steps and activity changed */
    const flamenco_task *row; /* borrowed; `worker` is sent when worker_key is set and the worker is not deleted */
} flamenco_task_event;

typedef struct flamenco_worker_event {
    uint32_t struct_size;
    uint32_t previous_status; /* FLAMENCO_WORKER_*, or FLAMENCO_PREVIOUS_NONE */
    const flamenco_worker *row; /* borrowed; deleted_us set: the deletion event */
} flamenco_worker_event;

#ifdef __cplusplus
}
#endif

#endif
