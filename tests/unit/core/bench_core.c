/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/host.h"
#include "core/listeners.h"
#include "core/metrics.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/touches.h"
#include "core/workpool.h"

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

static int64_t clock_now(void *self)
{
    return __atomic_load_n(&((bench *)self)->time_us, __ATOMIC_ACQUIRE);
}

static const flamenco_clock clock_table = { .struct_size = (uint32_t)sizeof(flamenco_clock),
                                            .now_us = clock_now,
                                            .monotonic_us = clock_now };

static void append_text(bench *b, char *list, size_t size, flamenco_str text)
{
    pthread_mutex_lock(&b->lock);
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%.*s", used > 0 ? " " : "", (int)text.len, text.ptr);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static void publish(void *self, const flamenco_event *event)
{
    bench *b = self;
    append_text(b, b->events, sizeof(b->events), event->topic);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static const flamenco_broadcaster broadcaster_table = { .struct_size = (uint32_t)sizeof(flamenco_broadcaster),
                                                        .publish = publish,
                                                        .flush = flush };

static int32_t append_log(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                          flamenco_error *err)
{
    bench *b = self;
    (void)job;
    (void)task;
    if (text.len == 4 && memcmp(text.ptr, "fail", 4) == 0)
        return flamenco_fail(err, FLAMENCO_E_FULL, "no room");
    append_text(b, b->logs, sizeof(b->logs), text);
    return FLAMENCO_OK;
}

static const flamenco_log_storage log_table = { .struct_size = (uint32_t)sizeof(flamenco_log_storage),
                                                .append = append_log };

void bench_start(bench *b, int64_t step_deadline_us)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    struct flamenco *f = &b->f;
    b->time_us = 1000000;
    f->clock.table = &clock_table;
    f->clock.self = b;
    f->persist.table = &fake_store_table;
    f->persist.self = &b->store;
    f->broadcaster.table = &broadcaster_table;
    f->broadcaster.self = b;
    f->log_storage.table = &log_table;
    f->log_storage.self = b;
    f->wake_fd = eventfd(0, 0);
    f->touches = fl_touches_create();
    f->listeners = fl_listeners_create();
    f->metrics = fl_metrics_create();
    f->parked = fl_parked_create(f);
    f->core_host = calloc(1, sizeof(*f->core_host));
    MUST(f->wake_fd >= 0 && f->touches && f->listeners && f->metrics && f->parked && f->core_host);
    fl_host_init(f->core_host, f, "core", f, NULL);
    fl_executor_config config = { .readers = 2,
                                  .batch_steps = 128,
                                  .batch_us = 10000,
                                  .step_deadline_us = step_deadline_us,
                                  .read_deadline_us = step_deadline_us };
    MUST(fl_workpool_start(f, &f->workpool, &err) == 0);
    MUST(fl_publisher_start(f, &f->publisher, &err) == 0);
    MUST(fl_executor_start(f, &config, &f->executor, &err) == 0);
}

void bench_stop(bench *b)
{
    struct flamenco *f = &b->f;
    int64_t deadline_us = fl_monotonic_us() + 5000000;
    fl_parked_drain(f->parked);
    fl_executor_stop(f->executor, deadline_us);
    fl_workpool_stop(f->workpool, deadline_us);
    fl_publisher_stop(f->publisher, deadline_us);
    fl_executor_destroy(f->executor);
    fl_workpool_destroy(f->workpool);
    fl_publisher_destroy(f->publisher);
    fl_parked_destroy(f->parked);
    fl_metrics_destroy(f->metrics);
    fl_listeners_destroy(f->listeners);
    fl_touches_destroy(f->touches);
    free(f->core_host);
    close(f->wake_fd);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
}

static int32_t run_step(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    bench_step *s = (bench_step *)(void *)step;
    int at = s->runs < 7 ? s->runs : 7;
    while (at > 0 && s->returns[at] == INT32_MIN)
        --at;
    int32_t rc = s->returns[at];
    ++s->runs;
    if (step->ops->kind == FLAMENCO_STEP_WRITE && s->value != 0)
        fake_store_add(&s->b->store, s->value);
    if (s->event != NULL) {
        flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                                 .kind = FLAMENCO_EVENT_JOB,
                                 .topic = flamenco_text(s->event) };
        MUST(cx->pub.host->emit(&cx->pub, &event) == 0);
    }
    s->read_only = cx->pub.read_only;
    ++step->cursor[0];
    return rc < 0 ? flamenco_fail(err, rc, "fails on command") : rc;
}

static void end_step(fl_step *step, int32_t result, const flamenco_error *err)
{
    bench_step *s = (bench_step *)(void *)step;
    bench *b = s->b;
    (void)err;
    if (step->park.order != 0)
        fl_parked_ended(b->f.parked, step, result == 0);
    pthread_mutex_lock(&b->lock);
    s->result = result;
    s->ended = ++b->n_done;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static int hold_step(fl_step *step)
{
    bench *b = ((bench_step *)(void *)step)->b;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return 1;
}

static void check_step(fl_step *step)
{
    fl_parked_checked(((bench_step *)(void *)step)->b->f.parked, step, 1);
}

static void expire_step(fl_step *step)
{
    end_step(step, FLAMENCO_E_DEADLINE, NULL);
}

static const fl_step_ops write_ops = { .name = "test",
                                       .kind = FLAMENCO_STEP_WRITE,
                                       .run = run_step,
                                       .done = end_step,
                                       .hold = hold_step,
                                       .check = check_step,
                                       .expired = expire_step };
static const fl_step_ops read_ops = { .name = "test",
                                      .kind = FLAMENCO_STEP_READ,
                                      .run = run_step,
                                      .done = end_step,
                                      .hold = hold_step,
                                      .check = check_step,
                                      .expired = expire_step };

static const fl_step_ops riding_ops = {
    .name = "test", .kind = FLAMENCO_STEP_READ, .rides = 1, .run = run_step, .done = end_step
};

static const fl_step_ops seldom_undone_ops = {
    .name = "test", .kind = FLAMENCO_STEP_WRITE, .seldom_undone = 1, .run = run_step, .done = end_step
};

void bench_step_seldom_undone(bench_step *s)
{
    s->step.ops = &seldom_undone_ops;
}

void bench_step_ride(bench_step *s)
{
    s->step.ops = &riding_ops;
}

void bench_step_init(bench_step *s, bench *b, uint32_t kind, int64_t value)
{
    memset(s, 0, sizeof(*s));
    s->b = b;
    s->value = value;
    s->step.ops = kind == FLAMENCO_STEP_WRITE ? &write_ops : &read_ops;
    for (int i = 1; i < 8; ++i)
        s->returns[i] = INT32_MIN;
}

void bench_submit(bench_step *s)
{
    fl_executor_submit(s->b->f.executor, &s->step);
}

void bench_wait(bench *b, int n)
{
    pthread_mutex_lock(&b->lock);
    while (b->n_done < n)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

/* The step that holds the writer, one per process at a time. */
static struct {
    fl_step step;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running, released, ended;
} holder = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int32_t run_holder(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)cx;
    (void)step;
    (void)err;
    pthread_mutex_lock(&holder.lock);
    holder.running = 1;
    pthread_cond_broadcast(&holder.changed);
    while (!holder.released)
        pthread_cond_wait(&holder.changed, &holder.lock);
    pthread_mutex_unlock(&holder.lock);
    return FLAMENCO_OK;
}

static void holder_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    (void)step;
    (void)result;
    (void)err;
    pthread_mutex_lock(&holder.lock);
    holder.ended = 1;
    pthread_cond_broadcast(&holder.changed);
    pthread_mutex_unlock(&holder.lock);
}

static const fl_step_ops holder_ops = {
    .name = "holder", .kind = FLAMENCO_STEP_WRITE, .run = run_holder, .done = holder_done
};

void bench_hold(bench *b)
{
    memset(&holder.step, 0, sizeof(holder.step));
    holder.running = holder.released = holder.ended = 0;
    holder.step.ops = &holder_ops;
    holder.step.alone = 1; /* in a batch of its own, so that what waits behind it makes the next one */
    fl_executor_submit(b->f.executor, &holder.step);
    pthread_mutex_lock(&holder.lock);
    while (!holder.running)
        pthread_cond_wait(&holder.changed, &holder.lock);
    pthread_mutex_unlock(&holder.lock);
}

void bench_release(bench *b)
{
    (void)b;
    pthread_mutex_lock(&holder.lock);
    holder.released = 1;
    pthread_cond_broadcast(&holder.changed);
    while (!holder.ended)
        pthread_cond_wait(&holder.changed, &holder.lock);
    pthread_mutex_unlock(&holder.lock);
}
