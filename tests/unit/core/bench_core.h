/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_core.h - the core's parts on a test bench: touches, publisher, parked list, work pool and executor over the fake
 * store and the system's clock. Used by the tests of this folder.
 */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include <pthread.h>

#include "core/executor.h"
#include "core/flamenco.h"
#include "fake_store.h"

typedef struct bench {
    struct flamenco f;
    fake_store store;
    int64_t time_us; /* of the clock: stands still until the test moves it */
    char events[4096]; /* topics of the published events, blank-separated */
    char logs[4096]; /* appended texts */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n_done; /* steps that ended */
} bench;

/* Starts everything. step_deadline_us: how long the executor tries. */
void bench_start(bench *b, int64_t step_deadline_us);
void bench_stop(bench *b);

/* A write or read step of a test. */
typedef struct bench_step {
    fl_step step;
    bench *b;
    int64_t value; /* is added to the store */
    int32_t returns[8]; /* what run gives, one after the other; ends with the last */
    int runs;
    uint32_t read_only; /* the last run had a snapshot, not the writer's transaction */
    const char *event; /* topic of an event that it emits; NULL = none */
    int32_t result; /* after the end */
    int ended; /* the how-manieth that ended, from 1 */
} bench_step;

void bench_step_init(bench_step *s, bench *b, uint32_t kind, int64_t value);
/* Makes it a write whose savepoint the store need not be able to undo. */
void bench_step_seldom_undone(bench_step *s);
/* Makes it a read that may ride with the writer. */
void bench_step_ride(bench_step *s);
void bench_submit(bench_step *s);
/* Waits until `n` steps in all have ended. */
void bench_wait(bench *b, int n);
/* Keeps the writer busy until bench_release, so that steps queued meanwhile come into one batch. */
void bench_hold(bench *b);
void bench_release(bench *b);

#endif
