/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.c - see pool.h.
 */
#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* How often a waiting caller looks whether it was given up. */
#define SLICE_US 20000
/* After this many compilations a helper is replaced, so that no slow growth of the engine matters. */
#define SERVED_MAX 10000
/* A large job leaves garbage that the engine gives back within two seconds of a collection; what is still above this much
 * memory then, is ended. */
#define LARGE_TASKS 2000
#define WEIGH_AFTER_US 2000000
#define WEIGHT_MAX (96u << 20)
/* How often the helper's files are compared with those on disk. */
#define CHECK_FILES_US 2000000
#define GRACE_US 500000

int64_t fl_pool_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int32_t fl_pool_given_up(const fl_pool *pool, const flamenco_cx *cx, flamenco_error *err)
{
    if (flamenco_cx_cancelled(cx))
        return flamenco_fail(err, FLAMENCO_E_CANCELLED, "the request was given up");
    if (atomic_load(&pool->stopping))
        return flamenco_fail(err, FLAMENCO_E_CANCELLED, "the manager is stopping");
    if (cx->deadline_us != 0 && pool->host->monotonic_us(pool->host->h) >= cx->deadline_us)
        return flamenco_fail(err, FLAMENCO_E_DEADLINE, "compiling took too long");
    return FLAMENCO_OK;
}

static void wake_thread(fl_pool *pool)
{
    const uint64_t one = 1;
    ssize_t ignored = write(pool->wake, &one, sizeof(one));
    (void)ignored; /* a full counter wakes as well */
}

/* ---- Under the lock -------------------------------------------------------------------------------------------- */

static uint32_t count_state(const fl_pool *pool, uint32_t state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->settings.helpers; i++)
        n += pool->helpers[i].state == state ? 1u : 0u;
    return n;
}

/* Asks for one more process when more callers wait than processes are on their way. */
static void want_helper(fl_pool *pool)
{
    uint32_t coming = count_state(pool, FL_HELPER_WANTED) + count_state(pool, FL_HELPER_STARTING);
    if (pool->waiting <= coming || atomic_load(&pool->stopping))
        return;
    for (uint32_t i = 0; i < pool->settings.helpers; i++) {
        if (pool->helpers[i].state == FL_HELPER_NONE) {
            pool->helpers[i].state = FL_HELPER_WANTED;
            wake_thread(pool);
            return;
        }
    }
}

static void remove_waiter(fl_pool *pool, fl_waiter *waiter)
{
    for (fl_waiter **at = &pool->first; *at != NULL; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            pool->waiting--;
            return;
        }
    }
}

/* Makes a helper useful: for the caller that waits longest, else later. */
static void offer_helper(fl_pool *pool, fl_helper *helper)
{
    fl_waiter *waiter = pool->first;
    if (waiter == NULL) {
        helper->state = FL_HELPER_IDLE;
        helper->idle_since_us = fl_pool_now_us();
        wake_thread(pool); /* it has a new process to listen to, and a new time to end one */
        return;
    }
    helper->state = FL_HELPER_BUSY;
    waiter->helper = helper;
    remove_waiter(pool, waiter);
    pthread_cond_signal(&waiter->wake);
}

static void fail_waiters(fl_pool *pool, int32_t code)
{
    while (pool->first != NULL) {
        fl_waiter *waiter = pool->first;
        waiter->result = code;
        remove_waiter(pool, waiter);
        pthread_cond_signal(&waiter->wake);
    }
}

static int is_fit(fl_pool *pool, fl_helper *helper)
{
    int64_t now = fl_pool_now_us();
    if (helper->weigh_us != 0 && now >= helper->weigh_us) {
        helper->weigh_us = 0;
        if (fl_spawn_private_bytes(helper) > WEIGHT_MAX)
            return 0;
    }
    if (now - helper->checked_us >= CHECK_FILES_US) {
        helper->checked_us = now;
        if (!fl_spawn_is_current(pool, helper))
            return 0;
    }
    return helper->served < SERVED_MAX;
}

static fl_helper *find_idle(fl_pool *pool)
{
    for (uint32_t i = 0; i < pool->settings.helpers; i++) {
        fl_helper *helper = &pool->helpers[i];
        if (helper->state != FL_HELPER_IDLE)
            continue;
        if (fl_spawn_is_alive(helper) && is_fit(pool, helper))
            return helper;
        helper->state = FL_HELPER_RETIRED;
        wake_thread(pool);
    }
    return NULL;
}

/* ---- Callers --------------------------------------------------------------------------------------------------- */

static int32_t wait_for_helper(fl_pool *pool, flamenco_cx *cx, fl_helper **out, flamenco_error *err)
{
    fl_waiter waiter = { NULL, PTHREAD_COND_INITIALIZER, NULL, FLAMENCO_OK };
    fl_waiter **last = &pool->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = &waiter;
    pool->waiting++;
    want_helper(pool);
    int32_t rc = FLAMENCO_OK;
    while (waiter.helper == NULL && waiter.result == FLAMENCO_OK && rc == FLAMENCO_OK) {
        int64_t until = fl_pool_now_us() + SLICE_US;
        struct timespec ts = { (time_t)(until / 1000000), (long)(until % 1000000) * 1000 };
        pthread_cond_clockwait(&waiter.wake, &pool->lock, CLOCK_MONOTONIC, &ts);
        rc = fl_pool_given_up(pool, cx, err);
    }
    if (waiter.helper != NULL) {
        *out = waiter.helper;
        rc = FLAMENCO_OK; /* the talk notices by itself that it was given up */
    } else if (waiter.result != FLAMENCO_OK) {
        rc = waiter.result == FLAMENCO_E_CANCELLED ? flamenco_fail(err, waiter.result, "the manager is stopping")
                                                   : flamenco_fail(err, waiter.result, "%s", pool->trouble.text);
    } else {
        remove_waiter(pool, &waiter);
    }
    pthread_cond_destroy(&waiter.wake);
    return rc;
}

int32_t fl_pool_take(fl_pool *pool, flamenco_cx *cx, fl_helper **out, flamenco_error *err)
{
    pthread_mutex_lock(&pool->lock);
    int32_t rc = fl_pool_given_up(pool, cx, err);
    fl_helper *helper = rc == FLAMENCO_OK && pool->first == NULL ? find_idle(pool) : NULL;
    if (helper != NULL) {
        helper->state = FL_HELPER_BUSY;
        *out = helper;
    } else if (rc == FLAMENCO_OK) {
        if (pool->waiting >= pool->settings.queue)
            rc = flamenco_fail(err, FLAMENCO_E_FULL, "%u compilations wait already", pool->waiting);
        else
            rc = wait_for_helper(pool, cx, out, err);
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void fl_pool_give(fl_pool *pool, fl_helper *helper, uint64_t tasks)
{
    pthread_mutex_lock(&pool->lock);
    helper->served++;
    if (tasks > LARGE_TASKS && helper->weigh_us == 0)
        helper->weigh_us = fl_pool_now_us() + WEIGH_AFTER_US;
    if (pool->settings.one_shot || !is_fit(pool, helper)) {
        helper->state = FL_HELPER_RETIRED;
        wake_thread(pool);
        want_helper(pool);
    } else {
        offer_helper(pool, helper);
    }
    pthread_mutex_unlock(&pool->lock);
}

void fl_pool_bury(fl_pool *pool, fl_helper *helper, fl_death *out)
{
    fl_spawn_end(helper, 0, out);
    pthread_mutex_lock(&pool->lock);
    helper->state = FL_HELPER_NONE;
    want_helper(pool);
    pthread_mutex_unlock(&pool->lock);
}

int32_t fl_pool_health(fl_pool *pool, flamenco_error *err)
{
    pthread_mutex_lock(&pool->lock);
    int32_t rc = pool->trouble.code;
    if (rc != FLAMENCO_OK)
        flamenco_fail(err, rc, "%s", pool->trouble.text);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

uint32_t fl_pool_count(fl_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t n = pool->settings.helpers - count_state(pool, FL_HELPER_NONE) - count_state(pool, FL_HELPER_WANTED);
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* ---- The thread ------------------------------------------------------------------------------------------------ */

/* Starts one process with the lock released. */
static void start_helper(fl_pool *pool, fl_helper *helper)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    helper->state = FL_HELPER_STARTING;
    pthread_mutex_unlock(&pool->lock);
    int32_t rc = fl_spawn_helper(pool, helper, &err);
    pthread_mutex_lock(&pool->lock);
    if (rc == FLAMENCO_OK) {
        pool->trouble.code = FLAMENCO_OK;
        if (FLAMENCO_HAS(pool->host, metric))
            pool->host->metric(pool->host->h, "compiler_helpers_started_total", 1);
        helper->checked_us = fl_pool_now_us();
        offer_helper(pool, helper);
        return;
    }
    helper->state = FL_HELPER_NONE;
    if (pool->trouble.code == FLAMENCO_OK && !atomic_load(&pool->stopping))
        pool->host->log(pool->host->h, FLAMENCO_LOG_ERROR, "%s", err.text);
    pool->trouble = err;
    /* Those who wait can still hope for a helper that is at work. */
    if (count_state(pool, FL_HELPER_BUSY) == 0)
        fail_waiters(pool, rc);
}

static void end_helper(fl_pool *pool, fl_helper *helper)
{
    helper->state = FL_HELPER_STARTING; /* nobody else's while the lock is released */
    pthread_mutex_unlock(&pool->lock);
    fl_spawn_end(helper, GRACE_US, NULL);
    pthread_mutex_lock(&pool->lock);
    helper->state = FL_HELPER_NONE;
    want_helper(pool);
}

/* Does what is due. Returns when to look again at the latest. */
static int64_t tend_helpers(fl_pool *pool)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < pool->settings.helpers; i++) {
        fl_helper *helper = &pool->helpers[i];
        int64_t now = fl_pool_now_us();
        if (helper->state == FL_HELPER_IDLE) {
            if (now - helper->idle_since_us >= pool->settings.idle_us || !fl_spawn_is_alive(helper) ||
                (helper->weigh_us != 0 && !is_fit(pool, helper)))
                helper->state = FL_HELPER_RETIRED;
            else if (helper->idle_since_us + pool->settings.idle_us < next)
                next = helper->idle_since_us + pool->settings.idle_us;
            if (helper->state == FL_HELPER_IDLE && helper->weigh_us != 0 && helper->weigh_us < next)
                next = helper->weigh_us;
        }
        if (helper->state == FL_HELPER_RETIRED)
            end_helper(pool, helper);
        if (helper->state == FL_HELPER_WANTED)
            start_helper(pool, helper);
    }
    return next;
}

static void wait_for_work(fl_pool *pool, int64_t next)
{
    struct pollfd fds[FL_POOL_HELPERS_MAX + 1];
    nfds_t n = 0;
    fds[n].fd = pool->wake;
    fds[n++].events = POLLIN;
    for (uint32_t i = 0; i < pool->settings.helpers; i++) {
        /* An idle helper has nothing to say: whatever its socket reports is its death. */
        if (pool->helpers[i].state == FL_HELPER_IDLE) {
            fds[n].fd = pool->helpers[i].sock;
            fds[n++].events = POLLIN;
        }
    }
    int64_t left = next == INT64_MAX ? -1 : (next - fl_pool_now_us()) / 1000 + 1;
    int timeout = left < -1 ? 0 : left > 3600000 ? 3600000 : (int)left;
    pthread_mutex_unlock(&pool->lock);
    poll(fds, n, timeout);
    uint64_t count;
    ssize_t ignored = read(pool->wake, &count, sizeof(count));
    (void)ignored;
    pthread_mutex_lock(&pool->lock);
}

static int has_work(const fl_pool *pool)
{
    return count_state(pool, FL_HELPER_WANTED) > 0 || count_state(pool, FL_HELPER_RETIRED) > 0;
}

static void *pool_main(void *ctx)
{
    fl_pool *pool = ctx;
    pthread_mutex_lock(&pool->lock);
    while (!atomic_load(&pool->stopping)) {
        int64_t next = tend_helpers(pool);
        if (!has_work(pool) && !atomic_load(&pool->stopping))
            wait_for_work(pool, next);
    }
    fail_waiters(pool, FLAMENCO_E_CANCELLED);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int32_t fl_pool_start(fl_pool *pool, const flamenco_host *host, const fl_pool_settings *settings, flamenco_error *err)
{
    memset(pool, 0, sizeof(*pool));
    pool->host = host;
    pool->settings = *settings;
    pool->trouble.struct_size = (uint32_t)sizeof(pool->trouble);
    pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->wake < 0)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "cannot make an eventfd: %s", strerror(errno));
    atomic_init(&pool->stopping, 0);
    sigset_t all, before;
    sigfillset(&all);
    int rc = pthread_mutex_init(&pool->lock, NULL);
    if (rc == 0) {
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&pool->thread, NULL, pool_main, pool);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (rc != 0) {
        close(pool->wake);
        memset(pool, 0, sizeof(*pool));
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread: %s", strerror(rc));
    }
    pool->running = 1;
    return FLAMENCO_OK;
}

void fl_pool_interrupt(fl_pool *pool)
{
    if (!pool->running)
        return;
    atomic_store(&pool->stopping, 1);
    wake_thread(pool);
}

void fl_pool_stop(fl_pool *pool)
{
    if (!pool->running)
        return;
    fl_pool_interrupt(pool);
    pthread_join(pool->thread, NULL);
    for (uint32_t i = 0; i < pool->settings.helpers; i++) {
        if (pool->helpers[i].state >= FL_HELPER_IDLE)
            fl_spawn_end(&pool->helpers[i], GRACE_US, NULL);
    }
    close(pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->settings.helper);
    memset(pool, 0, sizeof(*pool));
}
