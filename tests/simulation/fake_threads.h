/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_threads.h - core/timers.h and core/workpool.h without threads: timers wait until the simulation lets them come, work
 * is done where it is submitted. And core/monotonic.h with a clock that goes on by 1 µs when it is read, and by the pauses
 * between two tries of what fails. So a history runs the same way each time, and an outage of 25 s takes no time.
 */
#ifndef SIM_FAKE_THREADS_H
#define SIM_FAKE_THREADS_H

#include "core/flamenco.h"

/* Lets the first due timer come, by the clock service's monotonic time. Returns 0 when none is due. */
int timers_fire(struct fl_timers *timers);

#endif
