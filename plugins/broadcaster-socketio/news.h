/* SPDX-License-Identifier: Apache-2.0
 *
 * news.h - events that wait to be told, and the thread that has them told: at once when there was nothing for a while, else
 * together with what came meanwhile. The more was told last, the longer more is waited for: 2 to 25 ms, and longer while nothing
 * but step counts comes, which people read and no program acts on. Whatever else comes takes along what waits, so the order stays.
 * Used by session.c.
 */
#ifndef SOCKETIO_NEWS_H
#define SOCKETIO_NEWS_H

#include <pthread.h>

#include "flamenco/plugin.h"

typedef struct news {
    const flamenco_host *host;
    pthread_mutex_t lock; /* of everything below; nothing is called under it */
    pthread_cond_t changed;
    flamenco_event *list, *spare; /* each with a reference to its buf */
    uint32_t count, cap, spare_cap;
    uint32_t pressing; /* so many of `count` tell of more than steps */
    uint32_t rush; /* how many came together lately */
    int ready, running, ending;
    enum { NEWS_BY_TIME, NEWS_BY_ANY, NEWS_BY_PRESSING } woken; /* what wakes the thread */
    pthread_t thread;
    int64_t steps_ns; /* how long step counts wait at most */
    void (*tell)(void *ctx); /* has them taken */
    void *ctx;
} news;

/* steps_us: how long step counts wait at most while much is told; as long as anything else when that is longer. */
int32_t news_init(news *n, const flamenco_host *host, int64_t steps_us, void (*tell)(void *ctx), void *ctx,
                  flamenco_error *err);
void news_fini(news *n); /* gives back what still waits; also for a zeroed one */

/* Starts and ends the thread. What waits at the end is told. */
int32_t news_start(news *n, flamenco_error *err);
void news_stop(news *n);

/* Returns 1 when the event waits now; 0 when it cannot, because too much does, or memory is exhausted. [any] */
int news_add(news *n, const flamenco_event *event);

/* Takes all that waits; give the list back with its references. One taker at a time: the caller's lock sees to that.
 * *rush_out: so many come together at present that not each needs to be told. */
#define NEWS_RUSH 32u
flamenco_event *news_take(news *n, uint32_t *count_out, int *rush_out);
void news_give_back(news *n, flamenco_event *list, uint32_t count); /* a NULL buf was given back before */

#endif
