/* SPDX-License-Identifier: Apache-2.0
 *
 * clock_system.c - the service "flamenco.clock/1" with the operating system's clocks. The core's timer thread waits in it.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "flamenco/clock.h"
#include "flamenco/plugin.h"

typedef struct clock_system {
    const flamenco_host *host;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* measured by CLOCK_MONOTONIC: a step of the time of day delays nobody */
    int interrupted; /* under lock */
} clock_system;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    /* Fails for an unknown clock or a bad address alone; neither can be here. */
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_us(void *self)
{
    (void)self;
    return read_clock(CLOCK_REALTIME);
}

static int64_t monotonic_us(void *self)
{
    (void)self;
    return read_clock(CLOCK_MONOTONIC);
}

static void wait_until(void *self, int64_t until_us)
{
    clock_system *clock = self;
    struct timespec until = { 0, 0 };
    if (until_us > 0) {
        until.tv_sec = (time_t)(until_us / 1000000);
        until.tv_nsec = (long)(until_us % 1000000) * 1000;
    }
    pthread_mutex_lock(&clock->lock);
    int rc = 0;
    while (!clock->interrupted && rc == 0) {
        if (until_us == INT64_MAX)
            rc = pthread_cond_wait(&clock->wake, &clock->lock);
        else
            rc = pthread_cond_timedwait(&clock->wake, &clock->lock, &until);
    }
    clock->interrupted = 0;
    pthread_mutex_unlock(&clock->lock);
}

static void interrupt(void *self)
{
    clock_system *clock = self;
    pthread_mutex_lock(&clock->lock);
    clock->interrupted = 1;
    pthread_cond_signal(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
}

static int make_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    if (rc != 0)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rc;
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    clock_system *clock = host->alloc(host->h, sizeof(*clock));
    if (clock == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(clock, 0, sizeof(*clock));
    clock->host = host;
    if (pthread_mutex_init(&clock->lock, NULL) != 0) {
        host->free(host->h, clock);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    if (make_condition(&clock->wake) != 0) {
        pthread_mutex_destroy(&clock->lock);
        host->free(host->h, clock);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no condition variable to be had");
    }
    *self_out = clock;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    (void)self;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    interrupt(self);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    clock_system *clock = self;
    if (clock == NULL)
        return;
    pthread_cond_destroy(&clock->wake);
    pthread_mutex_destroy(&clock->lock);
    clock->host->free(clock->host->h, clock);
}

static const flamenco_clock table = {
    .struct_size = (uint32_t)sizeof(flamenco_clock),
    .now_us = now_us,
    .monotonic_us = monotonic_us,
    .wait_until = wait_until,
    .interrupt = interrupt,
};

static const flamenco_provide clock_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_CLOCK, &table };
static const flamenco_provide *const provides[] = { &clock_provide, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "clock-system", .version = "0.1.0",     .licence = "Apache-2.0",
    .provides = provides, .create = create,     .configure = configure, .start = start,
    .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
