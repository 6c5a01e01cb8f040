/* SPDX-License-Identifier: Apache-2.0
 *
 * open-to-signals.c - its thread does not block signals.
 */
#include <pthread.h>
#include <unistd.h>

#include "../parts.h"

typedef struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t stopping;
} worker;

typedef struct busy_instance {
    instance base; /* first, for the parts */
    worker worker;
} busy_instance;

static void *wait_for_end(void *arg)
{
    worker *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int32_t create_busy(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    busy_instance *self = host->alloc(host->h, sizeof(*self));
    if (self == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(self, 0, sizeof(*self));
    self->base.host = host;
    pthread_mutex_init(&self->worker.lock, NULL);
    pthread_cond_init(&self->worker.changed, NULL);
    *self_out = self;
    return FLAMENCO_OK;
}

static int32_t start_busy(void *self, flamenco_error *err)
{
    worker *w = &((busy_instance *)self)->worker;
    if (pthread_create(&w->thread, NULL, wait_for_end, w) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no thread");
    return start(self, err);
}

static int32_t stop_busy(void *self, int64_t deadline_us, flamenco_error *err)
{
    worker *w = &((busy_instance *)self)->worker;
    pthread_mutex_lock(&w->lock);
    w->stopping = 1;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    return stop(self, deadline_us, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .create = create_busy, .start = start_busy, .stop = stop_busy };
EXPORT(plugin)
