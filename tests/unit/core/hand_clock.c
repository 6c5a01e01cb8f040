/* SPDX-License-Identifier: Apache-2.0 */
#include "hand_clock.h"

static int64_t read_time(void *self)
{
    hand_clock *clock = self;
    pthread_mutex_lock(&clock->lock);
    int64_t time_us = clock->time_us;
    pthread_mutex_unlock(&clock->lock);
    return time_us;
}

static void wait_until(void *self, int64_t until_us)
{
    hand_clock *clock = self;
    pthread_mutex_lock(&clock->lock);
    while (!clock->interrupted && clock->time_us < until_us) {
        clock->waits_until_us = until_us;
        pthread_cond_broadcast(&clock->changed);
        pthread_cond_wait(&clock->changed, &clock->lock);
    }
    clock->waits_until_us = INT64_MIN;
    clock->interrupted = 0;
    pthread_mutex_unlock(&clock->lock);
}

static void interrupt(void *self)
{
    hand_clock *clock = self;
    pthread_mutex_lock(&clock->lock);
    clock->interrupted = 1;
    ++clock->interrupts;
    pthread_cond_broadcast(&clock->changed);
    pthread_mutex_unlock(&clock->lock);
}

const flamenco_clock hand_clock_table = { .struct_size = (uint32_t)sizeof(flamenco_clock),
                                          .now_us = read_time,
                                          .monotonic_us = read_time,
                                          .wait_until = wait_until,
                                          .interrupt = interrupt };

void hand_clock_init(hand_clock *clock, int64_t time_us)
{
    *clock = (hand_clock){ .lock = PTHREAD_MUTEX_INITIALIZER,
                           .changed = PTHREAD_COND_INITIALIZER,
                           .time_us = time_us,
                           .waits_until_us = INT64_MIN };
}

void hand_clock_fini(hand_clock *clock)
{
    pthread_cond_destroy(&clock->changed);
    pthread_mutex_destroy(&clock->lock);
}

void hand_clock_advance(hand_clock *clock, int64_t us)
{
    pthread_mutex_lock(&clock->lock);
    clock->time_us += us;
    pthread_cond_broadcast(&clock->changed);
    pthread_mutex_unlock(&clock->lock);
}

void hand_clock_await(hand_clock *clock, int64_t until_us)
{
    pthread_mutex_lock(&clock->lock);
    /* One that is about to go on waits no more. */
    while (clock->waits_until_us != until_us || clock->interrupted || clock->time_us >= until_us)
        pthread_cond_wait(&clock->changed, &clock->lock);
    pthread_mutex_unlock(&clock->lock);
}

void hand_clock_await_within(hand_clock *clock, int64_t us)
{
    pthread_mutex_lock(&clock->lock);
    while (clock->interrupted || clock->waits_until_us <= clock->time_us || clock->waits_until_us - clock->time_us > us)
        pthread_cond_wait(&clock->changed, &clock->lock);
    pthread_mutex_unlock(&clock->lock);
}

uint64_t hand_clock_interrupts(hand_clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    uint64_t n = clock->interrupts;
    pthread_mutex_unlock(&clock->lock);
    return n;
}
