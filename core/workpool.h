/* SPDX-License-Identifier: Apache-2.0
 *
 * workpool.h - threads for long work outside transactions: compiling, checking secrets, files, log appends. Steps with one
 * order key run one after the other, in order.
 */
#ifndef FL_WORKPOOL_H
#define FL_WORKPOOL_H

#include "core/step.h"

typedef struct fl_workpool fl_workpool;

/* Starts cores + 2 threads. */
int32_t fl_workpool_start(struct flamenco *f, fl_workpool **out, flamenco_error *err);

/* Starts a pool of its own for steps that wait for slow disks: many threads, which are mostly asleep. */
int32_t fl_workpool_start_storage(struct flamenco *f, fl_workpool **out, flamenco_error *err);

/* Queues a WORK step, which is the pool's until done(). [any] */
void fl_workpool_submit(fl_workpool *pool, fl_step *step);

/* Lets what runs, and what begins from now on, know that nobody waits for it any more. Work that looks at its `cancelled` ends
 * soon, all other goes on. [any] */
void fl_workpool_cancel(fl_workpool *pool);

/* Runs what is queued until the deadline; the rest ends with CANCELLED. Joins the threads. */
void fl_workpool_stop(fl_workpool *pool, int64_t deadline_us);
void fl_workpool_destroy(fl_workpool *pool); /* accepts NULL */

uint64_t fl_workpool_waiting(fl_workpool *pool);

#endif
