/* SPDX-License-Identifier: Apache-2.0
 *
 * probes.h - asks plugins for their health, with a time limit: a plugin that hangs costs one thread of its own, not one of
 * the work pool for each question. Used by /api/v3/plugins and /health/ready.
 */
#ifndef FL_PROBES_H
#define FL_PROBES_H

#include "core/loader.h"

typedef struct fl_probes fl_probes;

/* One instance's health. code 0 = all is well; DEADLINE: it has not answered. */
typedef struct fl_probe_result {
    int32_t code;
    char text[248];
} fl_probe_result;

/* Makes one place per instance of the loader, which must outlive it. NULL when memory is exhausted. [main] */
fl_probes *fl_probes_create(fl_loader *loader);

/* Asks all instances at once and waits for their answers until the time is over; `out` has a place for each. Who asks while
 * an instance is being asked gets that answer. [any thread that may block] */
void fl_probes_ask(fl_probes *probes, int64_t limit_us, fl_probe_result *out);

/* Refuses further questions and waits until none is under way. Returns NULL, or the name of an instance that still hangs when
 * the deadline (monotonic) has passed: then its thread is still in the plugin. [main] */
const char *fl_probes_stop(fl_probes *probes, int64_t deadline_us);

/* Accepts NULL. Stopped successfully, or never asked. */
void fl_probes_destroy(fl_probes *probes);

#endif
