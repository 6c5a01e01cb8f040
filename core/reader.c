/* SPDX-License-Identifier: Apache-2.0
 *
 * reader.c - the executor's reading threads: one snapshot per step, its result handed on when the snapshot has ended, so
 * that no slow client holds one.
 */
#include "core/executor_impl.h"

#include "core/base/log.h"
#include "core/parked.h"

#define RETRY_US 50000

/* Waits at the gate, until the step's time is over, then enters. */
static int32_t enter_snapshot(fl_executor *ex, fl_step *step)
{
    int32_t rc = FLAMENCO_OK;
    int64_t left_us;
    pthread_mutex_lock(&ex->lock);
    /* A writer that stops opens the gate no more. */
    while (ex->quiet_wanted && !ex->stopping && (left_us = step->deadline_us - fl_monotonic_us()) > 0)
        fl_monotonic_wait(&ex->reader_wake, &ex->lock, left_us);
    if (fl_executor_is_over(ex))
        rc = flamenco_fail(&step->error, FLAMENCO_E_CANCELLED, "the manager is stopping");
    else if (ex->quiet_wanted && !ex->stopping)
        rc = flamenco_fail(&step->error, FLAMENCO_E_UNAVAILABLE, "the store's upkeep took too long");
    else
        ++ex->readers_in_txn;
    pthread_mutex_unlock(&ex->lock);
    return rc;
}

static void leave_snapshot(fl_executor *ex)
{
    pthread_mutex_lock(&ex->lock);
    --ex->readers_in_txn;
    ++ex->stats.read_steps;
    if (ex->quiet_wanted && ex->readers_in_txn == 0)
        pthread_cond_signal(&ex->writer_wake);
    pthread_mutex_unlock(&ex->lock);
}

static int32_t run_in_snapshot(fl_reader *reader, fl_step *step, fl_arena *arena)
{
    fl_executor *ex = reader->ex;
    flamenco_persistence_ref *persist = &ex->f->persist;
    int32_t rc = enter_snapshot(ex, step);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_cx cx;
    fl_executor_cx(ex, step, arena, NULL, 1, &cx);
    int64_t latest_us = fl_monotonic_us() + ex->config.read_deadline_us;
    if (cx.pub.deadline_us > latest_us)
        cx.pub.deadline_us = latest_us;
    __atomic_store_n(&reader->running.deadline_us, cx.pub.deadline_us, __ATOMIC_RELAXED);
    __atomic_store_n(&reader->running.name, step->ops->name, __ATOMIC_RELEASE);
    rc = flamenco_persist_begin(persist, reader->session, &cx.pub, &step->error);
    if (rc == FLAMENCO_OK) {
        rc = step->ops->run(&cx, step, &step->error);
        flamenco_persist_rollback(persist, &cx.pub);
    }
    __atomic_store_n(&reader->running.name, NULL, __ATOMIC_RELEASE);
    leave_snapshot(ex);
    return rc;
}

/* A store that cannot be reached may come back within the step's time. */
static void wait_for_store(fl_executor *ex)
{
    pthread_mutex_lock(&ex->lock);
    if (!fl_executor_is_over(ex))
        fl_monotonic_pause(&ex->reader_wake, &ex->lock, RETRY_US);
    pthread_mutex_unlock(&ex->lock);
}

static void run_step(fl_reader *reader, fl_step *step)
{
    fl_executor *ex = reader->ex;
    fl_arena *own = step->arena == NULL ? fl_arena_create(0) : NULL;
    fl_arena *arena = step->arena != NULL ? step->arena : own;
    step->wakes_seen = fl_parked_wakes(ex->f->parked);
    int32_t rc = FLAMENCO_E_NOMEM;
    fl_log_set_request(step->request_id);
    step->error.struct_size = (uint32_t)sizeof(step->error);
    if (arena == NULL)
        flamenco_fail(&step->error, rc, "no memory for the request");
    while (arena != NULL) {
        rc = run_in_snapshot(reader, step, arena);
        if (!fl_error_is_passing(rc) || fl_monotonic_us() >= step->deadline_us)
            break;
        wait_for_store(ex);
    }
    fl_log_set_request((flamenco_str){ NULL, 0 });
    fl_arena_destroy(own);
    if (rc == FLAMENCO_AGAIN)
        fl_executor_submit(ex, step);
    else if (rc == FL_STEP_PARK)
        fl_parked_add(ex->f->parked, step);
    else
        step->ops->done(step, rc, &step->error);
}

void *fl_reader_main(void *arg)
{
    fl_reader *reader = arg;
    fl_executor *ex = reader->ex;
    (void)pthread_setname_np(pthread_self(), "reader");
    for (;;) {
        pthread_mutex_lock(&ex->lock);
        while (ex->reads.first == NULL && !ex->stopping)
            pthread_cond_wait(&ex->reader_wake, &ex->lock);
        fl_step *step = !fl_executor_is_over(ex) ? fl_queue_pop(&ex->reads) : NULL;
        pthread_mutex_unlock(&ex->lock);
        if (step == NULL)
            return NULL;
        run_step(reader, step);
    }
}
