/* SPDX-License-Identifier: Apache-2.0
 *
 * periodic.h - the core's work by the clock: time-outs of tasks and workers, sleep schedules, parked requests, the check of
 * the database (state-and-scheduling 10, 18). Holds no transaction; each run is a step like a request.
 */
#ifndef FL_PERIODIC_H
#define FL_PERIODIC_H

#include "core/flamenco.h"

typedef struct fl_periodic fl_periodic;

/* Plans the first runs. The intervals begin anew at the end of each run. */
int32_t fl_periodic_start(struct flamenco *f, fl_periodic **out, flamenco_error *err);

/* After this no new run begins. Free it when timers, executor and work pool have stopped. */
void fl_periodic_stop(fl_periodic *periodic);
void fl_periodic_destroy(fl_periodic *periodic); /* accepts NULL */

#endif
