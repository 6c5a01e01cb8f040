/* SPDX-License-Identifier: Apache-2.0
 *
 * monotonic.h - the clock by which all deadlines are kept, and waiting by it. Used by the executor, the work pool, the
 * publisher and plugins (host->monotonic_us). A file of its own, so that a test can link a clock that is set by hand in its
 * place, and outages take no time (tests/simulation).
 */
#ifndef FL_MONOTONIC_H
#define FL_MONOTONIC_H

#include <pthread.h>
#include <stdint.h>

/* The system's monotonic clock in µs. [any] */
int64_t fl_monotonic_us(void);

/* Waits for news: until the condition, made with CLOCK_MONOTONIC, is signalled, or `us` have passed. The lock is held; may
 * return early for no reason. */
void fl_monotonic_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us);

/* The same between two tries of something that fails: it is time that is waited for, and news only ends it early. */
void fl_monotonic_pause(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us);

#endif
