/* SPDX-License-Identifier: Apache-2.0
 *
 * parked.h - requests that wait for a task or for news of their worker (architecture 2, "Parked requests"). The executor
 * adds steps that returned FL_STEP_PARK, the publisher tells of wake-ups, and a timer ends what waited long enough.
 */
#ifndef FL_PARKED_H
#define FL_PARKED_H

#include "core/step.h"

typedef struct fl_parked fl_parked;

/* Makes the empty list. NULL when memory is exhausted. */
fl_parked *fl_parked_create(struct flamenco *f);
void fl_parked_destroy(fl_parked *parked); /* nothing may wait any more; accepts NULL */

/* How many wake-ups were told so far. A step notes it before it looks at the store (step->wakes_seen). [any] */
uint64_t fl_parked_wakes(fl_parked *parked);

/* Parks a step, or runs it again at once if news of its worker came after wakes_seen. [any] */
void fl_parked_add(fl_parked *parked, fl_step *step);

/* Tries again whom the wake-up concerns: for tasks the oldest first, and no more of them than there are tasks. [any] */
void fl_parked_wake(fl_parked *parked, const flamenco_wake *wake);

/* The answer to ops->check: alive 1 runs the step again; 0 ends it, which is then the caller's. [any] */
void fl_parked_checked(fl_parked *parked, fl_step *step, int alive);

/* Tells that a step that was tried again has come to its end; served: it got a task. For every step that ever parked,
 * before it is answered. [any] */
void fl_parked_ended(fl_parked *parked, fl_step *step, int served);

/* Takes a waiting step out, because its client is gone. Returns 1 when it waited and is the caller's now, 0 when it is on
 * its way. [any] */
int fl_parked_remove(fl_parked *parked, fl_step *step);

/* Ends what has waited long enough, and notes that the workers of the others were seen. Called each second. [worker] */
void fl_parked_tick(fl_parked *parked);

/* Ends everything that waits, and from now on whatever would wait: the manager stops. [any] */
void fl_parked_drain(fl_parked *parked);

/* Tells whether a request of that worker waits. [any] */
int fl_parked_has_worker(fl_parked *parked, const flamenco_uuid *worker);

uint64_t fl_parked_count(fl_parked *parked);

#endif
