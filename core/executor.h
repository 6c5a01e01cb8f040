/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.h - runs steps in transactions: readers on snapshots, side by side; one writer that commits many steps at once
 * (architecture 2). Fed by api/dispatch.c, host.c and periodic.c.
 */
#ifndef FL_EXECUTOR_H
#define FL_EXECUTOR_H

#include "core/step.h"

typedef struct fl_executor fl_executor;

typedef struct fl_executor_config {
    uint32_t readers; /* threads; 0 = one per core, 2 to 8 */
    uint32_t batch_steps; /* steps per commit at most */
    int64_t batch_us; /* age of a batch at most */
    int64_t step_deadline_us; /* how long a step is tried, 25 s */
    int64_t read_deadline_us; /* how long one snapshot may last, 10 s */
    int64_t retry_us; /* pause after the first failure of the store, then doubled up to 1 s; 0 = 20 ms */
    int64_t touch_us; /* how late last-seen and touch times may be stored; 0 = 1 s */
} fl_executor_config;

typedef struct fl_executor_stats {
    uint64_t batches, write_steps, read_steps, failed_batches, retried_steps;
    uint64_t commit_us; /* in all */
    uint64_t waiting_writes, waiting_reads;
} fl_executor_stats;

/* Opens the sessions and starts the threads. f->persist, f->publisher and f->touches must stand. */
int32_t fl_executor_start(struct flamenco *f, const fl_executor_config *config, fl_executor **out, flamenco_error *err);

/* Queues a READ or WRITE step, which is the executor's until done(). [any] */
void fl_executor_submit(fl_executor *ex, fl_step *step);

/* Runs what is queued, refuses new steps with CANCELLED, joins the threads, closes the sessions. Steps still queued at the
 * deadline end with CANCELLED. */
void fl_executor_stop(fl_executor *ex, int64_t deadline_us);
void fl_executor_destroy(fl_executor *ex); /* accepts NULL */

void fl_executor_read_stats(fl_executor *ex, fl_executor_stats *out);

/* Finds a plugin call that is 10 s past its deadline; name_out gets the step's name. Returns 1 when there is one. [any] */
int fl_executor_stuck(fl_executor *ex, const char **name_out);

#endif
