/* SPDX-License-Identifier: Apache-2.0
 *
 * executor_impl.h - what executor.c, reader.c and writer.c share.
 */
#ifndef FL_EXECUTOR_IMPL_H
#define FL_EXECUTOR_IMPL_H

#include <pthread.h>

#include "core/executor.h"

/* A first-in first-out list of steps. */
typedef struct fl_step_queue {
    fl_step *first, **last;
    uint64_t length;
} fl_step_queue;

void fl_queue_init(fl_step_queue *queue);
void fl_queue_push(fl_step_queue *queue, fl_step *step);
void fl_queue_push_front(fl_step_queue *queue, fl_step_queue *more); /* empties `more` */
fl_step *fl_queue_pop(fl_step_queue *queue); /* NULL when empty */

/* What a thread runs now, for the watchdog. */
typedef struct fl_running {
    const char *name; /* atomic; NULL = idle */
    int64_t deadline_us; /* atomic */
} fl_running;

typedef struct fl_reader {
    struct fl_executor *ex;
    pthread_t thread;
    flamenco_session *session;
    fl_running running;
} fl_reader;

struct fl_executor {
    struct flamenco *f;
    fl_executor_config config;

    pthread_mutex_t lock; /* guards all up to `writer_thread` */
    pthread_cond_t writer_wake, reader_wake;
    fl_step_queue writes, reads;
    uint32_t stopping;
    int64_t stop_by_us; /* when it stops: what has not begun by then is cancelled */
    uint32_t quiet_wanted; /* the gate is shut: no new snapshots */
    uint32_t readers_in_txn;
    uint32_t takes_reads; /* the store can be written, as far as the writer knows: reads may ride with it */
    fl_executor_stats stats;

    pthread_t writer_thread;
    flamenco_session *writer_session;
    fl_running writer_running;
    uint64_t batch_number;
    int64_t trouble_wait_us; /* the writer's: how long it waits before the next try, 0 = no trouble */

    fl_reader *readers;
    uint32_t n_readers;
    uint32_t n_started; /* reader threads that run */
    uint32_t writer_started;
};

/* Tells whether the time to stop is over, so that nothing more may begin. The lock is held. */
int fl_executor_is_over(const fl_executor *ex);

/* Fills cx for a run of the step. */
void fl_executor_cx(fl_executor *ex, fl_step *step, fl_arena *arena, fl_batch *batch, int read_only, fl_cx *cx);

void *fl_reader_main(void *reader);
void *fl_writer_main(void *executor);

#endif
