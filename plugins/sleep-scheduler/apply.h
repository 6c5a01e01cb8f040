/* SPDX-License-Identifier: Apache-2.0
 *
 * apply.h - what the files of the sleep scheduler share: the instance, and asking workers to do what their schedules say
 * (state-and-scheduling 11.5). All functions run on the writing thread within a transaction.
 */
#ifndef FL_SLEEP_APPLY_H
#define FL_SLEEP_APPLY_H

#include "flamenco/calls/persistence.h"
#include "flamenco/events.h"
#include "window.h"

typedef struct fl_sleep {
    const flamenco_host *host;
    flamenco_persistence_ref persist;
} fl_sleep;

/* The rule of a stored schedule. */
fl_sleep_rule fl_sleep_rule_of(const flamenco_sleep_schedule *row);

/* Requests what the rule says now, if that is news to the worker: stored, told, and its waiting request wakes. */
int32_t fl_sleep_apply(fl_sleep *sleep, flamenco_cx *cx, const fl_sleep_rule *rule, const flamenco_worker *worker,
                       flamenco_error *err);

/* Method of the service. */
int32_t fl_sleep_apply_due(void *self, flamenco_cx *cx, flamenco_error *err);

#endif
