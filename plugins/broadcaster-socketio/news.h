/* SPDX-License-Identifier: Apache-2.0
 *
 * news.h - events that wait to be told, and the thread that has them told: at once when there was nothing for a while, else
 * together with what came within 2 to 50 ms, the longer the more it is. Used by session.c.
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
    int ready, running, ending;
    int sleeping; /* the thread waits for the first event */
    pthread_t thread;
    uint32_t (*tell)(void *ctx); /* has them taken; returns how many somebody wanted to hear */
    void *ctx;
} news;

int32_t news_init(news *n, const flamenco_host *host, uint32_t (*tell)(void *ctx), void *ctx, flamenco_error *err);
void news_fini(news *n); /* gives back what still waits; also for a zeroed one */

/* Starts and ends the thread. What waits at the end is told. */
int32_t news_start(news *n, flamenco_error *err);
void news_stop(news *n);

/* Returns 1 when the event waits now; 0 when it cannot, because too much does, or memory is exhausted. [any] */
int news_add(news *n, const flamenco_event *event);

/* Takes all that waits; give the list back with its references. One taker at a time: the caller's lock sees to that. */
flamenco_event *news_take(news *n, uint32_t *count_out);
void news_give_back(news *n, flamenco_event *list, uint32_t count);

#endif
