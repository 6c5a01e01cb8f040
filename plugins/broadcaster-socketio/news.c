/* SPDX-License-Identifier: Apache-2.0
 *
 * news.c - see news.h. Two lists change places, so that adding never waits for telling.
 */
#include "news.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define AT_MOST 10000u /* then the publisher tells itself, and is slowed down */
/* The more was told to clients, the longer more is waited for: what each of them costs is by the piece. */
#define GATHER_NS 2000000
#define GATHER_EACH_NS 1000000
#define GATHER_AT_MOST_NS 50000000

int32_t news_init(news *n, const flamenco_host *host, uint32_t (*tell)(void *ctx), void *ctx, flamenco_error *err)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&n->lock, NULL) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    int failed = pthread_condattr_init(&attr) != 0;
    if (!failed) {
        failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 || pthread_cond_init(&n->changed, &attr) != 0;
        pthread_condattr_destroy(&attr);
    }
    if (failed) {
        pthread_mutex_destroy(&n->lock);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no condition to be had");
    }
    n->host = host;
    n->tell = tell;
    n->ctx = ctx;
    n->ready = 1;
    return FLAMENCO_OK;
}

void news_fini(news *n)
{
    if (!n->ready)
        return;
    for (uint32_t i = 0; i < n->count; ++i)
        n->host->buf_unref(n->list[i].buf);
    free(n->list);
    free(n->spare);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->lock);
}

/* With the lock held: lets more events come for a moment. */
static void gather(news *n, int64_t ns)
{
    struct timespec until;
    if (clock_gettime(CLOCK_MONOTONIC, &until) != 0)
        return;
    until.tv_nsec += ns;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        ++until.tv_sec;
    }
    while (!n->ending && pthread_cond_timedwait(&n->changed, &n->lock, &until) == 0)
        ;
}

static void *tell_on(void *arg)
{
    news *n = arg;
    pthread_mutex_lock(&n->lock);
    for (;;) {
        while (n->count == 0 && !n->ending) {
            n->sleeping = 1;
            pthread_cond_wait(&n->changed, &n->lock);
        }
        n->sleeping = 0;
        if (n->count == 0)
            break;
        pthread_mutex_unlock(&n->lock);
        int64_t ns = GATHER_NS + (int64_t)n->tell(n->ctx) * GATHER_EACH_NS;
        pthread_mutex_lock(&n->lock);
        gather(n, ns < GATHER_AT_MOST_NS ? ns : GATHER_AT_MOST_NS);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

int32_t news_start(news *n, flamenco_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&n->thread, NULL, tell_on, n);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no thread to be had");
    pthread_setname_np(n->thread, "socketio");
    n->running = 1;
    return FLAMENCO_OK;
}

void news_stop(news *n)
{
    if (!n->running)
        return;
    pthread_mutex_lock(&n->lock);
    n->ending = 1;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    n->running = 0;
}

static int grow(news *n)
{
    uint32_t cap = n->cap > 0 ? n->cap * 2 : 64;
    flamenco_event *list = realloc(n->list, cap * sizeof(*list));
    if (list == NULL)
        return 0;
    n->list = list;
    n->cap = cap;
    return 1;
}

int news_add(news *n, const flamenco_event *event)
{
    pthread_mutex_lock(&n->lock);
    int added = n->running && n->count < AT_MOST && (n->count < n->cap || grow(n));
    if (added) {
        n->host->buf_ref(event->buf);
        n->list[n->count++] = *event;
        if (n->sleeping)
            pthread_cond_signal(&n->changed);
        n->sleeping = 0;
    }
    pthread_mutex_unlock(&n->lock);
    return added;
}

flamenco_event *news_take(news *n, uint32_t *count_out)
{
    pthread_mutex_lock(&n->lock);
    flamenco_event *list = n->list;
    uint32_t cap = n->cap;
    *count_out = n->count;
    n->list = n->spare;
    n->cap = n->spare_cap;
    n->count = 0;
    n->spare = NULL;
    n->spare_cap = cap; /* of the list that is out, until it is back */
    pthread_mutex_unlock(&n->lock);
    return list;
}

void news_give_back(news *n, flamenco_event *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i)
        n->host->buf_unref(list[i].buf);
    pthread_mutex_lock(&n->lock);
    n->spare = list;
    pthread_mutex_unlock(&n->lock);
}
