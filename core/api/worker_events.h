/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_events.h - what every change of a worker is followed by: its event, and news to its parked request. Used by
 * worker.c, worker_task.c, worker_mgt.c, jobs.c, tasks.c and periodic.c.
 */
#ifndef FL_API_WORKER_EVENTS_H
#define FL_API_WORKER_EVENTS_H

#include "core/cx.h"

/* Sends the worker event; previous: FLAMENCO_WORKER_* or FLAMENCO_PREVIOUS_NONE. `row` is the state after the change; the
 * event has the last-seen time that is kept in memory. */
int32_t fl_worker_emit(fl_cx *cx, const flamenco_worker *row, uint32_t previous);

/* Lets the worker's parked request look again. */
int32_t fl_worker_wake(fl_cx *cx, const flamenco_uuid *worker);

/* The same for who holds the task when it has been made active, other than by being handed out: it is to be had again. */
int32_t fl_worker_wake_holder(fl_cx *cx, const flamenco_task *task, uint32_t previous);

/* Notes that the worker was seen now. */
int32_t fl_worker_touch(fl_cx *cx, const flamenco_worker *row);

#endif
