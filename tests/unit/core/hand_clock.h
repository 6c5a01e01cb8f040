/* SPDX-License-Identifier: Apache-2.0
 *
 * hand_clock.h - a clock service that stands still until the test moves it, and tells when somebody waits on it, so that
 * tests of timers need no sleeps.
 */
#ifndef HAND_CLOCK_H
#define HAND_CLOCK_H

#include <pthread.h>

#include "flamenco/calls/clock.h"

typedef struct hand_clock {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t time_us;
    int64_t waits_until_us; /* of the running wait; INT64_MIN = nobody waits */
    int interrupted;
    uint64_t interrupts;
} hand_clock;

extern const flamenco_clock hand_clock_table;

void hand_clock_init(hand_clock *clock, int64_t time_us);
void hand_clock_fini(hand_clock *clock);
/* Moves it on; whoever waits until then goes on. */
void hand_clock_advance(hand_clock *clock, int64_t us);
/* Waits until somebody waits on the clock for exactly that time, INT64_MAX = for ever. */
void hand_clock_await(hand_clock *clock, int64_t until_us);
/* Waits until somebody waits on the clock for no longer than that. */
void hand_clock_await_within(hand_clock *clock, int64_t us);
/* How often interrupt() was called. */
uint64_t hand_clock_interrupts(hand_clock *clock);

#endif
