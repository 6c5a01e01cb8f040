/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/sleep_scheduler.h - the service "flamenco.sleep_scheduler/1": when workers sleep (contract: state-and-scheduling
 * 11, decisions "overnight sleep window").
 */
#ifndef FLAMENCO_SLEEP_SCHEDULER_H
#define FLAMENCO_SLEEP_SCHEDULER_H

#include "flamenco/events.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_SLEEP_SCHEDULER "flamenco.sleep_scheduler/1"

typedef struct flamenco_sleep_scheduler {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* What the worker's schedule says now: FLAMENCO_WORKER_AWAKE or _ASLEEP. [reader] [writer] */
    int32_t (*status_now)(void *self, flamenco_cx *cx, int64_t worker_key, uint32_t *out, flamenco_error *err);
    /* Checks and stores a schedule given as the API's texts and applies it at once. INVALID names the field and what is
     * allowed. [writer] */
    int32_t (*set)(void *self, flamenco_cx *cx, const flamenco_worker *worker, uint32_t is_active, flamenco_str days,
                   flamenco_str start_time, flamenco_str end_time, flamenco_error *err);
    /* The stored schedule; times as "HH:MM" or empty, in the arena of cx. NOT_FOUND: none. [reader] */
    int32_t (*get)(void *self, flamenco_cx *cx, int64_t worker_key, uint32_t *is_active_out, flamenco_str *days_out,
                   flamenco_str *start_out, flamenco_str *end_out, flamenco_error *err);
    /* Applies the schedules that are due (11.5). FLAMENCO_AGAIN: there are more than one step should see to. [writer] */
    int32_t (*apply_due)(void *self, flamenco_cx *cx, flamenco_error *err);
} flamenco_sleep_scheduler;

#ifdef __cplusplus
}
#endif

#endif
