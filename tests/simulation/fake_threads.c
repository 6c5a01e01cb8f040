/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/executor.h"
#include "core/monotonic.h"
#include "core/timers.h"
#include "core/workpool.h"
#include "quiet.h"

#define TIMERS 256

/* ---- The clock of deadlines ---------------------------------------------------------------------------------------------- */

static int64_t deadlines_us = 1000000; /* atomic */

int64_t fl_monotonic_us(void)
{
    return __atomic_add_fetch(&deadlines_us, 1, __ATOMIC_ACQ_REL); /* no two batches at one time */
}

void fl_monotonic_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us)
{
    (void)us; /* the time between two things takes no time here */
    pthread_cond_wait(cond, lock);
}

void fl_monotonic_pause(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us)
{
    (void)cond;
    __atomic_add_fetch(&deadlines_us, us, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(lock);
    (void)sched_yield();
    pthread_mutex_lock(lock);
}

/* ---- Timers -------------------------------------------------------------------------------------------------------------- */

typedef struct timer {
    int64_t due_us;
    uint64_t order;
    fl_on_timer on_timer;
    void *ctx;
} timer;

struct fl_timers {
    struct flamenco *f;
    pthread_mutex_t lock;
    timer list[TIMERS];
    size_t count;
    uint64_t order;
    int stopping;
};

int32_t fl_timers_start(struct flamenco *f, fl_timers **out, flamenco_error *err)
{
    quiet_begin();
    fl_timers *timers = calloc(1, sizeof(*timers));
    quiet_end();
    if (timers == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the timers");
    timers->f = f;
    pthread_mutex_init(&timers->lock, NULL);
    *out = timers;
    return FLAMENCO_OK;
}

int32_t fl_timers_add(fl_timers *timers, int64_t delay_us, fl_on_timer on_timer, void *ctx)
{
    int32_t rc = FLAMENCO_OK;
    int64_t due_us = flamenco_clock_monotonic_us(&timers->f->clock) + (delay_us > 0 ? delay_us : 0);
    pthread_mutex_lock(&timers->lock);
    if (timers->stopping)
        rc = FLAMENCO_E_CANCELLED;
    else if (timers->count == TIMERS)
        rc = FLAMENCO_E_NOMEM;
    else
        timers->list[timers->count++] = (timer){ due_us, timers->order++, on_timer, ctx };
    pthread_mutex_unlock(&timers->lock);
    return rc;
}

int timers_fire(fl_timers *timers)
{
    int64_t now_us = flamenco_clock_monotonic_us(&timers->f->clock);
    timer due = { 0 };
    pthread_mutex_lock(&timers->lock);
    size_t best = TIMERS;
    for (size_t i = 0; i < timers->count; ++i) {
        const timer *t = &timers->list[i];
        if (t->due_us > now_us)
            continue;
        if (best == TIMERS || t->due_us < timers->list[best].due_us ||
            (t->due_us == timers->list[best].due_us && t->order < timers->list[best].order))
            best = i;
    }
    if (best < TIMERS) {
        due = timers->list[best];
        timers->list[best] = timers->list[--timers->count];
    }
    pthread_mutex_unlock(&timers->lock);
    if (due.on_timer == NULL)
        return 0;
    due.on_timer(due.ctx);
    return 1;
}

void fl_timers_stop(fl_timers *timers)
{
    pthread_mutex_lock(&timers->lock);
    timers->stopping = 1;
    pthread_mutex_unlock(&timers->lock);
}

void fl_timers_destroy(fl_timers *timers, void (*dropped)(fl_on_timer on_timer, void *ctx))
{
    if (timers == NULL)
        return;
    for (size_t i = 0; i < timers->count; ++i)
        dropped(timers->list[i].on_timer, timers->list[i].ctx);
    pthread_mutex_destroy(&timers->lock);
    free(timers);
}

/* ---- Work ------------------------------------------------------------------------------------------------------------- */

struct fl_workpool {
    struct flamenco *f;
    uint32_t stopping; /* atomic */
};

int32_t fl_workpool_start(struct flamenco *f, fl_workpool **out, flamenco_error *err)
{
    quiet_begin();
    fl_workpool *pool = calloc(1, sizeof(*pool));
    quiet_end();
    if (pool == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the work pool");
    pool->f = f;
    *out = pool;
    return FLAMENCO_OK;
}

/* The simulation has no Shaman. */
int32_t fl_workpool_start_storage(struct flamenco *f, fl_workpool **out, flamenco_error *err)
{
    return fl_workpool_start(f, out, err);
}

static int32_t run_once(fl_workpool *pool, fl_step *step, fl_arena *arena)
{
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(cx.pub) }, .f = pool->f, .arena = arena };
    cx.pub.host = fl_core_host(pool->f);
    cx.pub.now_us = flamenco_clock_now_us(&pool->f->clock);
    cx.pub.deadline_us = INT64_MAX;
    cx.pub.cancelled = &step->cancelled;
    cx.pub.request_id = step->request_id;
    return step->ops->run(&cx, step, &step->error);
}

void fl_workpool_submit(fl_workpool *pool, fl_step *step)
{
    fl_arena *own = step->arena == NULL ? fl_arena_create(0) : NULL;
    fl_arena *arena = step->arena != NULL ? step->arena : own;
    int32_t rc = FLAMENCO_AGAIN;
    step->error.struct_size = (uint32_t)sizeof(step->error);
    if (__atomic_load_n(&pool->stopping, __ATOMIC_ACQUIRE))
        rc = flamenco_fail(&step->error, FLAMENCO_E_CANCELLED, "the manager is stopping");
    else if (arena == NULL)
        rc = flamenco_fail(&step->error, FLAMENCO_E_NOMEM, "no memory for the work");
    while (rc == FLAMENCO_AGAIN)
        rc = run_once(pool, step, arena);
    fl_arena_destroy(own);
    step->ops->done(step, rc, &step->error);
}

void fl_workpool_cancel(fl_workpool *pool)
{
    (void)pool;
}

void fl_workpool_stop(fl_workpool *pool, int64_t deadline_us)
{
    (void)deadline_us;
    __atomic_store_n(&pool->stopping, 1, __ATOMIC_RELEASE);
}

void fl_workpool_destroy(fl_workpool *pool)
{
    free(pool);
}

uint64_t fl_workpool_waiting(fl_workpool *pool)
{
    (void)pool;
    return 0;
}
