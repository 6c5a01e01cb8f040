/* SPDX-License-Identifier: Apache-2.0
 *
 * news.c - see news.h. Two lists change places, so that adding never waits for telling.
 */
#include "news.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define AT_MOST 10000u /* then the publisher tells itself, and is slowed down */
/* Telling costs by the piece: a client's share of a write and of its own wake. The host's pause between two writes to a client is
 * shorter than the longest of these, so an event waits for one of them, not for both. */
#define GATHER_NS INT64_C(2000000)
#define GATHER_EACH_NS INT64_C(1000000)
#define GATHER_AT_MOST_NS INT64_C(25000000)
#define NS_PER_S INT64_C(1000000000)

int32_t news_init(news *n, const flamenco_host *host, int64_t steps_us, void (*tell)(void *ctx), void *ctx,
                  flamenco_error *err)
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
    n->steps_ns = steps_us * 1000;
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

static int64_t wait_for_more(uint32_t told, int64_t at_most_ns)
{
    int64_t ns = GATHER_NS + told * GATHER_EACH_NS;
    return ns < at_most_ns ? ns : at_most_ns;
}

static int64_t now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return -1; /* cannot be */
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* With the lock held: lets more events come, for `ns`, or for `steps_ns` as long as none of them is pressing. */
static void gather(news *n, int64_t ns, int64_t steps_ns)
{
    int64_t begun_ns = now_ns(), at_ns = begun_ns;
    while (!n->ending && at_ns >= 0) {
        n->woken = n->pressing == 0 && ns < steps_ns ? NEWS_BY_PRESSING : NEWS_BY_TIME;
        int64_t until_ns = begun_ns + (n->woken == NEWS_BY_PRESSING ? steps_ns : ns);
        if (at_ns >= until_ns)
            break;
        struct timespec until = { .tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S };
        (void)pthread_cond_timedwait(&n->changed, &n->lock, &until);
        at_ns = now_ns();
    }
}

static void *tell_on(void *arg)
{
    news *n = arg;
    pthread_mutex_lock(&n->lock);
    for (;;) {
        while (n->count == 0 && !n->ending) {
            n->woken = NEWS_BY_ANY;
            pthread_cond_wait(&n->changed, &n->lock);
        }
        n->woken = NEWS_BY_TIME;
        if (n->count == 0)
            break;
        /* A pressing event that comes early makes a small batch, but does not end the rush. */
        n->rush = n->count > n->rush / 2 ? n->count : n->rush / 2;
        int64_t ns = wait_for_more(n->pressing, GATHER_AT_MOST_NS), steps_ns = wait_for_more(n->rush, n->steps_ns);
        pthread_mutex_unlock(&n->lock);
        n->tell(n->ctx);
        pthread_mutex_lock(&n->lock);
        gather(n, ns, steps_ns);
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
        int presses = n->steps_ns == 0 || (event->flags & FLAMENCO_EVENT_FLAG_STEPS) == 0;
        n->pressing += presses ? 1 : 0;
        if (n->woken == NEWS_BY_ANY || (n->woken == NEWS_BY_PRESSING && presses)) {
            pthread_cond_signal(&n->changed);
            n->woken = NEWS_BY_TIME;
        }
    }
    pthread_mutex_unlock(&n->lock);
    return added;
}

flamenco_event *news_take(news *n, uint32_t *count_out, int *rush_out)
{
    pthread_mutex_lock(&n->lock);
    flamenco_event *list = n->list;
    uint32_t cap = n->cap;
    *count_out = n->count;
    *rush_out = n->count >= NEWS_RUSH || n->rush >= NEWS_RUSH;
    n->list = n->spare;
    n->cap = n->spare_cap;
    n->count = n->pressing = 0;
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
