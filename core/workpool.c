/* SPDX-License-Identifier: Apache-2.0
 *
 * One queue for all threads. A step whose order key is running waits in a chain behind that key, and moves to the queue when
 * the one before it has ended.
 */
#include "core/workpool.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/executor_impl.h"

#define KEY_BUCKETS 256u
#define DEADLINE_US 25000000
#define STORAGE_THREADS 16u /* so many files are synced together */

/* An order key that runs now, and who waits for it. */
typedef struct running_key {
    struct running_key *next;
    uint64_t key;
    fl_step_queue waiting;
} running_key;

/* A step under way; lives on its thread's stack. */
typedef struct running_step {
    struct running_step *next;
    fl_step *step;
} running_step;

struct fl_workpool {
    struct flamenco *f;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    fl_step_queue queue;
    running_key *keys[KEY_BUCKETS];
    uint64_t waiting; /* in the queue and behind keys */
    running_step *running;
    int stopping, cancelling;
    int64_t stop_by_us; /* when it stops: what has not begun by then is cancelled */
    pthread_t *threads;
    uint32_t n_threads;
};

static running_key **find_key(fl_workpool *pool, uint64_t key)
{
    running_key **at = &pool->keys[(key ^ (key >> 17)) % KEY_BUCKETS];
    while (*at != NULL && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

/* Puts the step into the queue, or behind its key when that runs. *to_wake: a thread is wanted. Returns 0 when memory is
 * exhausted. */
static int enqueue(fl_workpool *pool, fl_step *step, int *to_wake)
{
    if (step->order_key != 0) {
        running_key **at = find_key(pool, step->order_key);
        if (*at != NULL) {
            fl_queue_push(&(*at)->waiting, step);
            ++pool->waiting;
            return 1;
        }
        *at = calloc(1, sizeof(**at));
        if (*at == NULL)
            return 0;
        (*at)->key = step->order_key;
        fl_queue_init(&(*at)->waiting);
    }
    fl_queue_push(&pool->queue, step);
    ++pool->waiting;
    *to_wake = 1;
    return 1;
}

/* Lets the next step of the key into the queue, or forgets the key. */
static void end_key(fl_workpool *pool, uint64_t key)
{
    running_key **at = find_key(pool, key);
    running_key *running = *at;
    if (running == NULL)
        return; /* cannot be: a key stays until its last step has ended */
    fl_step *next = fl_queue_pop(&running->waiting);
    if (next != NULL) {
        fl_queue_push(&pool->queue, next);
        pthread_cond_signal(&pool->wake);
        return;
    }
    *at = running->next;
    free(running);
}

static void end_step(fl_step *step, int32_t code, const char *text)
{
    step->error.struct_size = (uint32_t)sizeof(step->error);
    flamenco_fail(&step->error, code, "%s", text);
    step->ops->done(step, code, &step->error);
}

void fl_workpool_submit(fl_workpool *pool, fl_step *step)
{
    if (step->deadline_us == 0)
        step->deadline_us = fl_monotonic_us() + DEADLINE_US;
    int to_wake = 0;
    pthread_mutex_lock(&pool->lock);
    int refused = pool->stopping;
    int queued = !refused && enqueue(pool, step, &to_wake);
    pthread_mutex_unlock(&pool->lock);
    if (to_wake)
        pthread_cond_signal(&pool->wake); /* without the lock, which who wakes wants to have */
    if (refused)
        end_step(step, FLAMENCO_E_CANCELLED, "the manager is stopping");
    else if (!queued)
        end_step(step, FLAMENCO_E_NOMEM, "no memory to queue work");
}

static void note_running(fl_workpool *pool, running_step *r)
{
    pthread_mutex_lock(&pool->lock);
    r->next = pool->running;
    pool->running = r;
    if (pool->cancelling)
        __atomic_store_n(&r->step->cancelled, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&pool->lock);
}

/* Before done(), with which the step may be gone. */
static void forget_running(fl_workpool *pool, running_step *r)
{
    pthread_mutex_lock(&pool->lock);
    running_step **at = &pool->running;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    pthread_mutex_unlock(&pool->lock);
}

static void run_step(fl_workpool *pool, fl_step *step)
{
    running_step running = { .step = step };
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(cx.pub) }, .f = pool->f };
    fl_arena *own = step->arena == NULL ? fl_arena_create(0) : NULL;
    cx.arena = step->arena != NULL ? step->arena : own;
    if (cx.arena == NULL) {
        end_step(step, FLAMENCO_E_NOMEM, "no memory for the work");
        return;
    }
    cx.pub.host = fl_core_host(pool->f);
    cx.pub.now_us = flamenco_clock_now_us(&pool->f->clock);
    cx.pub.deadline_us = step->deadline_us;
    cx.pub.cancelled = &step->cancelled;
    cx.pub.request_id = step->request_id;
    step->error.struct_size = (uint32_t)sizeof(step->error);
    fl_log_set_request(step->request_id);
    note_running(pool, &running);
    int32_t rc = step->ops->run(&cx, step, &step->error);
    forget_running(pool, &running);
    fl_log_set_request((flamenco_str){ NULL, 0 });
    fl_arena_destroy(own);
    if (rc == FLAMENCO_AGAIN)
        fl_workpool_submit(pool, step);
    else
        step->ops->done(step, rc, &step->error);
}

static void *pool_main(void *arg)
{
    fl_workpool *pool = arg;
    (void)pthread_setname_np(pthread_self(), "work");
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->queue.first == NULL && !pool->stopping)
            pthread_cond_wait(&pool->wake, &pool->lock);
        fl_step *step = fl_queue_pop(&pool->queue);
        if (step == NULL)
            break;
        --pool->waiting;
        uint64_t key = step->order_key;
        int cancelled = pool->stopping && fl_monotonic_us() >= pool->stop_by_us;
        pthread_mutex_unlock(&pool->lock);
        if (cancelled)
            end_step(step, FLAMENCO_E_CANCELLED, "the manager is stopping");
        else
            run_step(pool, step);
        pthread_mutex_lock(&pool->lock);
        if (key != 0)
            end_key(pool, key);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int32_t start_threads(struct flamenco *f, uint32_t wanted, fl_workpool **out, flamenco_error *err)
{
    fl_workpool *pool = calloc(1, sizeof(*pool));
    pthread_t *threads = calloc(wanted, sizeof(*threads));
    if (pool == NULL || threads == NULL) {
        free(pool);
        free(threads);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the work pool");
    }
    pool->f = f;
    pool->threads = threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    fl_queue_init(&pool->queue);
    while (pool->n_threads < wanted && pthread_create(&threads[pool->n_threads], NULL, pool_main, pool) == 0)
        ++pool->n_threads;
    if (pool->n_threads < wanted) {
        fl_workpool_stop(pool, 0);
        fl_workpool_destroy(pool);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start the work pool's threads");
    }
    *out = pool;
    return FLAMENCO_OK;
}

int32_t fl_workpool_start(struct flamenco *f, fl_workpool **out, flamenco_error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return start_threads(f, (uint32_t)(cores > 0 ? cores : 1) + 2, out, err);
}

int32_t fl_workpool_start_storage(struct flamenco *f, fl_workpool **out, flamenco_error *err)
{
    return start_threads(f, STORAGE_THREADS, out, err);
}

void fl_workpool_cancel(fl_workpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->cancelling = 1;
    for (running_step *r = pool->running; r != NULL; r = r->next)
        __atomic_store_n(&r->step->cancelled, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&pool->lock);
}

void fl_workpool_stop(fl_workpool *pool, int64_t deadline_us)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = 1;
    pool->stop_by_us = deadline_us;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->n_threads; ++i)
        pthread_join(pool->threads[i], NULL);
    pool->n_threads = 0;
}

void fl_workpool_destroy(fl_workpool *pool)
{
    if (pool == NULL)
        return;
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

uint64_t fl_workpool_waiting(fl_workpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint64_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}
