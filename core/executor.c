/* SPDX-License-Identifier: Apache-2.0 */
#include "core/executor_impl.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"

#define STUCK_AFTER_US 10000000

void fl_queue_init(fl_step_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
    queue->length = 0;
}

void fl_queue_push(fl_step_queue *queue, fl_step *step)
{
    step->next = NULL;
    *queue->last = step;
    queue->last = &step->next;
    ++queue->length;
}

void fl_queue_push_front(fl_step_queue *queue, fl_step_queue *more)
{
    if (more->first == NULL)
        return;
    *more->last = queue->first;
    if (queue->first == NULL)
        queue->last = more->last;
    queue->first = more->first;
    queue->length += more->length;
    fl_queue_init(more);
}

fl_step *fl_queue_pop(fl_step_queue *queue)
{
    fl_step *step = queue->first;
    if (step == NULL)
        return NULL;
    queue->first = step->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    step->next = NULL;
    --queue->length;
    return step;
}

int fl_error_is_passing(int32_t code)
{
    return code == FLAMENCO_E_BUSY || code == FLAMENCO_E_UNAVAILABLE || code == FLAMENCO_E_FULL ||
           code == FLAMENCO_E_IO;
}

int fl_executor_is_over(const fl_executor *ex)
{
    return ex->stopping && fl_monotonic_us() >= ex->stop_by_us;
}

void fl_executor_cx(fl_executor *ex, fl_step *step, fl_arena *arena, fl_batch *batch, int read_only, fl_cx *cx)
{
    memset(cx, 0, sizeof(*cx));
    cx->pub.struct_size = (uint32_t)sizeof(cx->pub);
    cx->pub.read_only = read_only ? 1 : 0;
    cx->pub.now_us = flamenco_clock_now_us(&ex->f->clock);
    cx->pub.deadline_us = step->deadline_us;
    cx->pub.cancelled = &step->cancelled;
    cx->pub.request_id = step->request_id;
    cx->f = ex->f;
    cx->arena = arena;
    cx->batch = batch;
    cx->pub.host = fl_core_host(ex->f);
}

void fl_executor_submit(fl_executor *ex, fl_step *step)
{
    if (step->deadline_us == 0)
        step->deadline_us = fl_monotonic_us() + ex->config.step_deadline_us;
    pthread_mutex_lock(&ex->lock);
    int refused = ex->stopping != 0;
    int rides = step->ops->rides && ex->takes_reads;
    pthread_cond_t *wake = NULL;
    if (!refused && (step->ops->kind == FLAMENCO_STEP_WRITE || rides)) {
        fl_queue_push(&ex->writes, step);
        wake = ex->writes.length == 1 ? &ex->writer_wake : NULL;
    } else if (!refused) {
        fl_queue_push(&ex->reads, step);
        wake = &ex->reader_wake;
    }
    pthread_mutex_unlock(&ex->lock);
    if (wake != NULL)
        pthread_cond_signal(wake); /* without the lock, which who wakes wants to have */
    if (refused) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_fail(&err, FLAMENCO_E_CANCELLED, "the manager is stopping");
        step->ops->done(step, FLAMENCO_E_CANCELLED, &err);
    }
}

static uint32_t default_readers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 2)
        return 2;
    return cores > 8 ? 8 : (uint32_t)cores;
}

static int32_t start_threads(fl_executor *ex, flamenco_error *err)
{
    for (uint32_t i = 0; i < ex->n_readers; ++i) {
        if (pthread_create(&ex->readers[i].thread, NULL, fl_reader_main, &ex->readers[i]) != 0)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a reader thread");
        ++ex->n_started;
    }
    if (pthread_create(&ex->writer_thread, NULL, fl_writer_main, ex) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start the writer thread");
    ex->writer_started = 1;
    return FLAMENCO_OK;
}

int32_t fl_executor_start(struct flamenco *f, const fl_executor_config *config, fl_executor **out, flamenco_error *err)
{
    int32_t rc;
    fl_executor *ex = calloc(1, sizeof(*ex));
    if (ex == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the executor");
    ex->f = f;
    ex->config = *config;
    ex->takes_reads = 1;
    fl_queue_init(&ex->writes);
    fl_queue_init(&ex->reads);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&ex->lock, NULL);
    pthread_cond_init(&ex->writer_wake, &attr);
    pthread_cond_init(&ex->reader_wake, &attr);
    pthread_condattr_destroy(&attr);
    ex->n_readers = config->readers != 0 ? config->readers : default_readers();
    ex->readers = calloc(ex->n_readers, sizeof(*ex->readers));
    if (ex->readers == NULL) {
        ex->n_readers = 0;
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the readers");
        goto cleanup;
    }
    rc = flamenco_persist_open(&f->persist, FLAMENCO_SESSION_WRITER, &ex->writer_session, err);
    for (uint32_t i = 0; rc == FLAMENCO_OK && i < ex->n_readers; ++i) {
        ex->readers[i].ex = ex;
        rc = flamenco_persist_open(&f->persist, FLAMENCO_SESSION_READER, &ex->readers[i].session, err);
    }
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_batch(&f->persist, ex->writer_session, &ex->batch_number, err);
    if (rc == FLAMENCO_OK)
        rc = start_threads(ex, err);
cleanup:
    if (rc != FLAMENCO_OK) {
        fl_executor_stop(ex, 0);
        fl_executor_destroy(ex);
        return rc;
    }
    *out = ex;
    return FLAMENCO_OK;
}

static void cancel_queue(fl_executor *ex, fl_step_queue *queue)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_fail(&err, FLAMENCO_E_CANCELLED, "the manager is stopping");
    for (;;) {
        pthread_mutex_lock(&ex->lock);
        fl_step *step = fl_queue_pop(queue);
        pthread_mutex_unlock(&ex->lock);
        if (step == NULL)
            return;
        step->ops->done(step, FLAMENCO_E_CANCELLED, &err);
    }
}

void fl_executor_stop(fl_executor *ex, int64_t deadline_us)
{
    pthread_mutex_lock(&ex->lock);
    ex->stopping = 1;
    ex->stop_by_us = deadline_us;
    pthread_cond_broadcast(&ex->writer_wake);
    pthread_cond_broadcast(&ex->reader_wake);
    pthread_mutex_unlock(&ex->lock);
    for (uint32_t i = 0; i < ex->n_started; ++i)
        pthread_join(ex->readers[i].thread, NULL);
    ex->n_started = 0;
    if (ex->writer_started)
        pthread_join(ex->writer_thread, NULL);
    ex->writer_started = 0;
    cancel_queue(ex, &ex->writes);
    cancel_queue(ex, &ex->reads);
    for (uint32_t i = 0; i < ex->n_readers; ++i) {
        flamenco_persist_close(&ex->f->persist, ex->readers[i].session);
        ex->readers[i].session = NULL;
    }
    flamenco_persist_close(&ex->f->persist, ex->writer_session);
    ex->writer_session = NULL;
}

void fl_executor_destroy(fl_executor *ex)
{
    if (ex == NULL)
        return;
    pthread_cond_destroy(&ex->writer_wake);
    pthread_cond_destroy(&ex->reader_wake);
    pthread_mutex_destroy(&ex->lock);
    free(ex->readers);
    free(ex);
}

void fl_executor_read_stats(fl_executor *ex, fl_executor_stats *out)
{
    pthread_mutex_lock(&ex->lock);
    *out = ex->stats;
    out->waiting_writes = ex->writes.length;
    out->waiting_reads = ex->reads.length;
    pthread_mutex_unlock(&ex->lock);
}

static int is_stuck(const fl_running *running, int64_t now_us, const char **name_out)
{
    const char *name = __atomic_load_n(&running->name, __ATOMIC_ACQUIRE);
    if (name == NULL || now_us < __atomic_load_n(&running->deadline_us, __ATOMIC_RELAXED) + STUCK_AFTER_US)
        return 0;
    *name_out = name;
    return 1;
}

int fl_executor_stuck(fl_executor *ex, const char **name_out)
{
    int64_t now_us = fl_monotonic_us();
    for (uint32_t i = 0; i < ex->n_readers; ++i) {
        if (is_stuck(&ex->readers[i].running, now_us, name_out))
            return 1;
    }
    return is_stuck(&ex->writer_running, now_us, name_out);
}
