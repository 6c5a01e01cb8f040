/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap by due time, ties in order of adding.
 */
#include "core/timers.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct timer {
    int64_t due_us;
    uint64_t order;
    fl_on_timer on_timer;
    void *ctx;
} timer;

struct fl_timers {
    struct flamenco *f;
    pthread_mutex_t lock;
    pthread_t thread;
    timer *heap;
    size_t count, room;
    uint64_t next_order;
    int stopping, started;
};

static int is_before(const timer *a, const timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void sift_up(timer *heap, size_t at)
{
    while (at > 0 && is_before(&heap[at], &heap[(at - 1) / 2])) {
        timer t = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = t;
        at = (at - 1) / 2;
    }
}

static void sift_down(timer *heap, size_t count)
{
    for (size_t at = 0;;) {
        size_t least = at, left = 2 * at + 1;
        if (left < count && is_before(&heap[left], &heap[least]))
            least = left;
        if (left + 1 < count && is_before(&heap[left + 1], &heap[least]))
            least = left + 1;
        if (least == at)
            return;
        timer t = heap[at];
        heap[at] = heap[least];
        heap[least] = t;
        at = least;
    }
}

int32_t fl_timers_add(fl_timers *timers, int64_t delay_us, fl_on_timer on_timer, void *ctx)
{
    int64_t now_us = flamenco_clock_monotonic_us(&timers->f->clock);
    int32_t rc = FLAMENCO_OK;
    int first = 0;
    pthread_mutex_lock(&timers->lock);
    if (timers->stopping) {
        rc = FLAMENCO_E_CANCELLED;
    } else if (timers->count == timers->room) {
        size_t room = timers->room == 0 ? 64 : timers->room * 2;
        timer *heap = realloc(timers->heap, room * sizeof(*heap));
        if (heap == NULL) {
            rc = FLAMENCO_E_NOMEM;
        } else {
            timers->heap = heap;
            timers->room = room;
        }
    }
    if (rc == FLAMENCO_OK) {
        uint64_t order = timers->next_order++;
        timers->heap[timers->count++] = (timer){ now_us + (delay_us > 0 ? delay_us : 0), order, on_timer, ctx };
        sift_up(timers->heap, timers->count - 1);
        first = timers->heap[0].order == order;
    }
    pthread_mutex_unlock(&timers->lock);
    if (first)
        flamenco_clock_interrupt(&timers->f->clock);
    return rc;
}

static void *timers_main(void *arg)
{
    fl_timers *timers = arg;
    (void)pthread_setname_np(pthread_self(), "timers");
    pthread_mutex_lock(&timers->lock);
    while (!timers->stopping) {
        int64_t now_us = flamenco_clock_monotonic_us(&timers->f->clock);
        if (timers->count > 0 && timers->heap[0].due_us <= now_us) {
            timer due = timers->heap[0];
            timers->heap[0] = timers->heap[--timers->count];
            sift_down(timers->heap, timers->count);
            pthread_mutex_unlock(&timers->lock);
            due.on_timer(due.ctx);
        } else {
            int64_t until_us = timers->count > 0 ? timers->heap[0].due_us : INT64_MAX;
            pthread_mutex_unlock(&timers->lock);
            flamenco_clock_wait_until(&timers->f->clock, until_us);
        }
        pthread_mutex_lock(&timers->lock);
    }
    pthread_mutex_unlock(&timers->lock);
    return NULL;
}

int32_t fl_timers_start(struct flamenco *f, fl_timers **out, flamenco_error *err)
{
    fl_timers *timers = calloc(1, sizeof(*timers));
    if (timers == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the timers");
    timers->f = f;
    pthread_mutex_init(&timers->lock, NULL);
    if (pthread_create(&timers->thread, NULL, timers_main, timers) != 0) {
        pthread_mutex_destroy(&timers->lock);
        free(timers);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start the timer thread");
    }
    timers->started = 1;
    *out = timers;
    return FLAMENCO_OK;
}

void fl_timers_stop(fl_timers *timers)
{
    if (!timers->started)
        return;
    pthread_mutex_lock(&timers->lock);
    timers->stopping = 1;
    pthread_mutex_unlock(&timers->lock);
    flamenco_clock_interrupt(&timers->f->clock);
    pthread_join(timers->thread, NULL);
    timers->started = 0;
}

void fl_timers_destroy(fl_timers *timers, void (*dropped)(fl_on_timer on_timer, void *ctx))
{
    if (timers == NULL)
        return;
    fl_timers_stop(timers);
    for (size_t i = 0; i < timers->count; ++i)
        dropped(timers->heap[i].on_timer, timers->heap[i].ctx);
    pthread_mutex_destroy(&timers->lock);
    free(timers->heap);
    free(timers);
}
