/* SPDX-License-Identifier: Apache-2.0
 *
 * collector.c - runs the garbage collection now and then, on a thread of its own: a walk through a large storage takes longer
 * than a thread of the work pool may be away. The clock service tells when.
 */
#include "shaman.h"

#define FIRST_AFTER_US INT64_C(30000000)

static void submit_next(shaman *s, int64_t delay_us);

/* Wakes the thread. [worker] */
static int32_t want_run(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    shaman *s = ctx;
    (void)cx;
    (void)err;
    pthread_mutex_lock(&s->lock);
    s->collector_wanted = 1;
    pthread_cond_signal(&s->collector_wake);
    pthread_mutex_unlock(&s->lock);
    return FLAMENCO_OK;
}

static void submit_next(shaman *s, int64_t delay_us)
{
    flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                           .kind = FLAMENCO_STEP_WORK,
                           .name = "shaman-gc",
                           .run = want_run,
                           .ctx = s,
                           .delay_us = delay_us };
    int32_t rc = s->host->submit(s->host->h, &step);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_CANCELLED)
        s->host->log(s->host->h, FLAMENCO_LOG_WARN, "the next collection of garbage cannot be planned (%d)", rc);
}

static void run_once(shaman *s)
{
    flamenco_shaman_collected done = { .struct_size = (uint32_t)sizeof(done) };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_sh_collect(s, NULL, 0, NULL, NULL, &done, &err);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_CANCELLED)
        s->host->log(s->host->h, FLAMENCO_LOG_WARN, "collection of garbage: %s", err.text);
    s->host->log(
        s->host->h, FLAMENCO_LOG_INFO,
        "garbage: %llu old files, %llu links checked, %llu still used, %llu unused, %llu deleted, %llu abandoned "
        "uploads, %llu bytes freed",
        (unsigned long long)done.old_files, (unsigned long long)done.links_checked, (unsigned long long)done.used_files,
        (unsigned long long)done.unused_files, (unsigned long long)done.removed_files,
        (unsigned long long)done.stale_uploads, (unsigned long long)done.freed_bytes);
    s->host->metric(s->host->h, "shaman_gc_removed_files_total", (double)done.removed_files);
    s->host->metric(s->host->h, "shaman_gc_freed_bytes_total", (double)done.freed_bytes);
}

static void *collector_main(void *arg)
{
    shaman *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->collector_wanted && !fl_sh_is_stopping(s))
            pthread_cond_wait(&s->collector_wake, &s->lock);
        if (fl_sh_is_stopping(s))
            break;
        s->collector_wanted = 0;
        pthread_mutex_unlock(&s->lock);
        run_once(s);
        if (!fl_sh_is_stopping(s))
            submit_next(s, s->period_us);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int32_t fl_sh_collector_start(shaman *s, flamenco_error *err)
{
    if (s->period_us <= 0) {
        s->host->log(s->host->h, FLAMENCO_LOG_WARN,
                     "garbage is not collected periodically: shaman.garbageCollect.period is not above zero");
        return FLAMENCO_OK;
    }
    if (pthread_create(&s->collector, NULL, collector_main, s) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread");
    s->collector_runs = 1;
    submit_next(s, FIRST_AFTER_US);
    return FLAMENCO_OK;
}

void fl_sh_collector_stop(shaman *s)
{
    __atomic_store_n(&s->stopping, 1, __ATOMIC_RELEASE);
    if (!s->collector_runs)
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_signal(&s->collector_wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->collector, NULL);
    s->collector_runs = 0;
}
