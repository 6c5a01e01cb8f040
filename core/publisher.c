/* SPDX-License-Identifier: Apache-2.0
 *
 * Log appends go through the work pool in a few lanes, a task's always through the same one, so that they keep their order
 * and a hung disk stops neither events nor replies: after 1 s the batch goes on without them.
 */
#include "core/publisher.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/api/events.h"
#include "core/base/log.h"
#include "core/base/uuid.h"
#include "core/listeners.h"
#include "core/parked.h"
#include "core/touches.h"
#include "core/workpool.h"

#define QUEUED_AT_MOST 4u
#define LANES_MAX \
    4u /* never more than half the cores: fewer than the pool has threads, so that a hung disk leaves some */
#define LANE_KEY UINT64_C(0x6c6f676c616e6500) /* order keys of the lanes, apart from anybody else's */
#define LANE_JOBS_AT_MOST 256u
#define LOG_WAIT_US 1000000
#define LOG_WAIT_HUNG_US 10000 /* while appends of earlier batches still hang */
#define COMPLAIN_EVERY_US 60000000

struct fl_publisher {
    struct flamenco *f;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, room, idle;
    fl_batch *first, **last;
    uint32_t queued;
    int stopping;
    int busy; /* a batch is being worked off */
    int ended; /* the thread takes no batches any more */
    uint64_t next_seq;
    uint32_t lanes; /* one for two cores: each lane costs a wake-up per batch */
    uint32_t lane_jobs; /* log appends under way */
    uint64_t failed_logs; /* atomic */
    int64_t complained_us; /* atomic */
};

/* Counts down the lanes of one batch. Lives as long as the publisher or a lane looks at it. */
typedef struct latch {
    pthread_mutex_t lock;
    pthread_cond_t done;
    uint32_t left, refs;
} latch;

/* The appends of one batch that go through one lane. */
typedef struct lane_job {
    fl_step step;
    fl_publisher *publisher;
    fl_batch *batch;
    latch *latch;
    uint32_t lane;
} lane_job;

static void latch_unref(latch *l)
{
    pthread_mutex_lock(&l->lock);
    int last = --l->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last)
        return;
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static latch *latch_create(uint32_t left)
{
    latch *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->done, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&l->lock, NULL);
    l->left = left;
    l->refs = 1;
    return l;
}

static void latch_down(latch *l)
{
    pthread_mutex_lock(&l->lock);
    if (--l->left == 0)
        pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
}

/* The time so many µs from now, for conditions that go by the monotonic clock. */
static struct timespec time_in(int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + us % 1000000 * 1000;
    until.tv_sec += (time_t)(us / 1000000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return until;
}

/* Returns 0 when the time was over first. */
static int latch_wait(latch *l, int64_t us)
{
    struct timespec until = time_in(us);
    pthread_mutex_lock(&l->lock);
    while (l->left > 0 && pthread_cond_timedwait(&l->done, &l->lock, &until) == 0)
        continue;
    int done = l->left == 0;
    pthread_mutex_unlock(&l->lock);
    return done;
}

static uint32_t lane_of(const fl_publisher *publisher, const flamenco_uuid *task)
{
    return task->b[15] % publisher->lanes; /* the last byte is random in every version */
}

/* Counts texts that were not written; says so once a minute. */
static void logs_failed(fl_publisher *publisher, uint64_t n, const char *text)
{
    uint64_t failed = __atomic_add_fetch(&publisher->failed_logs, n, __ATOMIC_RELAXED);
    int64_t now_us = fl_monotonic_us();
    int64_t last_us = __atomic_load_n(&publisher->complained_us, __ATOMIC_RELAXED);
    if (last_us != 0 && now_us - last_us < COMPLAIN_EVERY_US)
        return;
    if (__atomic_compare_exchange_n(&publisher->complained_us, &last_us, now_us, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        fl_error("publisher", "task logs cannot be written (%llu so far): %s", (unsigned long long)failed, text);
}

/* Gives up what a lane has not written yet. */
static void fail_lane(fl_publisher *publisher, fl_batch *batch, uint32_t lane, const char *text)
{
    uint64_t n = 0;
    for (fl_effect *e = batch->first; e != NULL; e = e->next) {
        if (e->kind != FL_EFFECT_LOG || lane_of(publisher, &e->log.task) != lane ||
            __atomic_load_n(&e->log.state, __ATOMIC_ACQUIRE) != FL_LOG_WAITS)
            continue;
        __atomic_store_n(&e->log.state, FL_LOG_FAILED, __ATOMIC_RELEASE);
        ++n;
    }
    logs_failed(publisher, n, text);
}

/* Counts what a batch does not wait for any longer. It may be written later all the same. */
static void note_hung_logs(fl_publisher *publisher, fl_batch *batch)
{
    uint64_t n = 0;
    for (fl_effect *e = batch->first; e != NULL; e = e->next)
        n += e->kind == FL_EFFECT_LOG && __atomic_load_n(&e->log.state, __ATOMIC_ACQUIRE) == FL_LOG_WAITS;
    logs_failed(publisher, n, "the storage takes more than a second");
}

/* The next log effect of this lane from `e` on; NULL: there is none. */
static fl_effect *next_of_lane(const lane_job *job, fl_effect *e)
{
    while (e != NULL && (e->kind != FL_EFFECT_LOG || lane_of(job->publisher, &e->log.task) != job->lane))
        e = e->next;
    return e;
}

/* Adds a text to what is written together, with the newline that the log would add. */
static void join_text(fl_buf *joined, flamenco_str text)
{
    if (text.len == 0)
        return;
    fl_buf_add_str(joined, text);
    if (text.ptr[text.len - 1] != '\n')
        fl_buf_add_char(joined, '\n');
}

/* Appends what stands for one task in a row by one call: a step often logs two or three lines. Returns the next effect. */
static fl_effect *append_row(fl_cx *cx, const lane_job *job, fl_effect *first, fl_buf *joined)
{
    flamenco_error failure = FLAMENCO_ERROR_INIT;
    fl_effect *end = next_of_lane(job, first->next);
    flamenco_str text = first->log.text;
    joined->len = 0;
    if (end != NULL && fl_uuid_equal(&end->log.task, &first->log.task)) {
        join_text(joined, first->log.text);
        for (; end != NULL && fl_uuid_equal(&end->log.task, &first->log.task); end = next_of_lane(job, end->next))
            join_text(joined, end->log.text);
        text = fl_buf_str(joined);
    }
    int32_t rc = joined->failed ? flamenco_fail(&failure, FLAMENCO_E_NOMEM, "memory is exhausted")
                                : flamenco_log_storage_append(&cx->f->log_storage, &first->log.job, &first->log.task,
                                                              text, &failure);
    uint64_t n = 0;
    for (fl_effect *e = first; e != end; e = next_of_lane(job, e->next), ++n)
        __atomic_store_n(&e->log.state, rc == FLAMENCO_OK ? FL_LOG_WRITTEN : FL_LOG_FAILED, __ATOMIC_RELEASE);
    if (rc != FLAMENCO_OK)
        logs_failed(job->publisher, n, failure.text);
    return end;
}

static int32_t run_lane(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)err;
    const lane_job *job = (lane_job *)(void *)step;
    fl_buf joined = { 0 };
    for (fl_effect *e = next_of_lane(job, job->batch->first); e != NULL;)
        e = append_row(cx, job, e, &joined);
    fl_buf_fini(&joined);
    return FLAMENCO_OK;
}

static void lane_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    lane_job *job = (lane_job *)(void *)step;
    fl_publisher *publisher = job->publisher;
    if (result != FLAMENCO_OK)
        fail_lane(publisher, job->batch, job->lane, err->text);
    /* Before the latch: the next batch takes what is still under way for a hung disk. */
    pthread_mutex_lock(&publisher->lock);
    --publisher->lane_jobs;
    pthread_cond_broadcast(&publisher->idle);
    pthread_mutex_unlock(&publisher->lock);
    latch_down(job->latch);
    latch_unref(job->latch);
    fl_batch_unref(job->batch);
    free(job);
}

static const fl_step_ops lane_ops = {
    .name = "task-log", .kind = FLAMENCO_STEP_WORK, .run = run_lane, .done = lane_done
};

static void start_lane(fl_publisher *publisher, fl_batch *batch, latch *l, uint32_t lane)
{
    pthread_mutex_lock(&publisher->lock);
    int has_room = publisher->lane_jobs < LANE_JOBS_AT_MOST;
    publisher->lane_jobs += has_room ? 1 : 0;
    pthread_mutex_unlock(&publisher->lock);
    lane_job *job = has_room ? calloc(1, sizeof(*job)) : NULL;
    if (job == NULL) {
        fail_lane(publisher, batch, lane, has_room ? "memory is exhausted" : "too many appends wait for the storage");
        latch_down(l);
        pthread_mutex_lock(&publisher->lock);
        publisher->lane_jobs -= has_room ? 1 : 0;
        pthread_mutex_unlock(&publisher->lock);
        return;
    }
    *job = (lane_job){ .publisher = publisher, .batch = batch, .latch = l, .lane = lane };
    job->step.ops = &lane_ops;
    job->step.order_key = LANE_KEY + lane;
    fl_batch_ref(batch);
    pthread_mutex_lock(&l->lock);
    ++l->refs;
    pthread_mutex_unlock(&l->lock);
    fl_workpool_submit(publisher->f->workpool, &job->step);
}

/* Appends the batch's log texts, and waits for that: 1 s at most, and hardly at all while earlier ones still hang. */
static void append_logs(fl_publisher *publisher, fl_batch *batch)
{
    uint32_t lanes = 0, count = 0;
    for (fl_effect *e = batch->first; e != NULL; e = e->next) {
        if (e->kind == FL_EFFECT_LOG)
            lanes |= 1u << lane_of(publisher, &e->log.task);
    }
    for (uint32_t lane = 0; lane < publisher->lanes; ++lane)
        count += (lanes >> lane) & 1u;
    if (count == 0)
        return;
    latch *l = latch_create(count);
    if (l == NULL) {
        for (uint32_t lane = 0; lane < publisher->lanes; ++lane)
            fail_lane(publisher, batch, lane, "memory is exhausted");
        return;
    }
    pthread_mutex_lock(&publisher->lock);
    int hangs = publisher->lane_jobs > 0;
    pthread_mutex_unlock(&publisher->lock);
    for (uint32_t lane = 0; lane < publisher->lanes; ++lane) {
        if ((lanes >> lane) & 1u)
            start_lane(publisher, batch, l, lane);
    }
    if (!latch_wait(l, hangs ? LOG_WAIT_HUNG_US : LOG_WAIT_US))
        note_hung_logs(publisher, batch);
    latch_unref(l);
}

/* Whether anybody but the broadcaster does. */
static int others_want(const struct flamenco *f, uint32_t kind)
{
    return f->n_forwarders > 0 || (fl_listeners_kinds(f->listeners) & (UINT64_C(1) << kind)) != 0;
}

int fl_publisher_wants(const struct flamenco *f, uint32_t kind)
{
    return f->broadcaster.table != NULL || others_want(f, kind);
}

/* As fl_publisher_wants(), but whether anybody listens at this moment. Only for events that are made here, when what they tell is
 * done: for others, who begins to listen before the commit would miss them. */
static int is_heard_now(struct flamenco *f, uint32_t kind)
{
    /* Negative: a broadcaster that does not say. */
    return others_want(f, kind) ||
           (f->broadcaster.table != NULL && flamenco_broadcaster_wants(&f->broadcaster, kind) != 0);
}

static void publish_event(fl_publisher *publisher, flamenco_event *event)
{
    struct flamenco *f = publisher->f;
    event->seq = ++publisher->next_seq;
    fl_listeners_call(f->listeners, event);
    if (f->broadcaster.table != NULL)
        flamenco_broadcaster_publish(&f->broadcaster, event);
    for (size_t i = 0; i < f->n_forwarders; ++i)
        flamenco_event_forwarder_publish(&f->forwarders[i], event);
}

static void publish_log(fl_publisher *publisher, const fl_effect *effect)
{
    flamenco_event event;
    if (__atomic_load_n(&effect->log.state, __ATOMIC_ACQUIRE) == FL_LOG_FAILED ||
        !is_heard_now(publisher->f, FLAMENCO_EVENT_TASK_LOG))
        return;
    if (fl_event_task_log(&effect->log.job, &effect->log.task, effect->log.text, &event) != FLAMENCO_OK) {
        fl_error("publisher", "no memory for a log event");
        return;
    }
    publish_event(publisher, &event);
    fl_shared_unref(event.buf);
}

static void do_effects(fl_publisher *publisher, fl_batch *batch)
{
    struct flamenco *f = publisher->f;
    for (fl_effect *e = batch->first; e != NULL; e = e->next) {
        if (e->kind == FL_EFFECT_TOUCH)
            fl_touches_note(f->touches, &e->touch);
    }
    append_logs(publisher, batch);
    for (fl_effect *e = batch->first; e != NULL; e = e->next) {
        if (e->kind == FL_EFFECT_EVENT)
            publish_event(publisher, &e->event);
        else if (e->kind == FL_EFFECT_LOG)
            publish_log(publisher, e);
    }
}

static void end_steps(fl_batch *batch)
{
    for (struct fl_step *step = batch->done_first; step != NULL;) {
        struct fl_step *next = step->next;
        step->next = NULL;
        step->ops->done(step, step->result, &step->error);
        step = next;
    }
}

static void work_off(fl_publisher *publisher, fl_batch *batch)
{
    struct flamenco *f = publisher->f;
    do_effects(publisher, batch);
    end_steps(batch);
    for (fl_effect *e = batch->first; e != NULL; e = e->next) {
        if (e->kind == FL_EFFECT_WAKE)
            fl_parked_wake(f->parked, &e->wake);
    }
    fl_batch_unref(batch);
}

static void *publisher_main(void *arg)
{
    fl_publisher *publisher = arg;
    pthread_mutex_lock(&publisher->lock);
    for (;;) {
        while (publisher->first == NULL && !publisher->stopping)
            pthread_cond_wait(&publisher->wake, &publisher->lock);
        fl_batch *batch = publisher->first;
        if (batch == NULL)
            break;
        publisher->first = batch->next;
        if (publisher->first == NULL)
            publisher->last = &publisher->first;
        --publisher->queued;
        publisher->busy = 1;
        pthread_cond_broadcast(&publisher->room);
        pthread_mutex_unlock(&publisher->lock);
        work_off(publisher, batch);
        pthread_mutex_lock(&publisher->lock);
        publisher->busy = 0;
        pthread_cond_broadcast(&publisher->idle);
    }
    publisher->ended = 1;
    pthread_mutex_unlock(&publisher->lock);
    return NULL;
}

int32_t fl_publisher_start(struct flamenco *f, fl_publisher **out, flamenco_error *err)
{
    fl_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the publisher");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    publisher->lanes = cores >= 2 * (long)LANES_MAX ? LANES_MAX : cores >= 4 ? (uint32_t)cores / 2 : 1;
    publisher->f = f;
    publisher->last = &publisher->first;
    pthread_mutex_init(&publisher->lock, NULL);
    pthread_cond_init(&publisher->wake, NULL);
    pthread_cond_init(&publisher->room, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&publisher->idle, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&publisher->thread, NULL, publisher_main, publisher) != 0) {
        fl_publisher_destroy(publisher);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start the publisher's thread");
    }
    *out = publisher;
    return FLAMENCO_OK;
}

void fl_publisher_submit(fl_publisher *publisher, fl_batch *batch)
{
    int on_own_thread = pthread_equal(pthread_self(), publisher->thread);
    batch->next = NULL;
    pthread_mutex_lock(&publisher->lock);
    while (publisher->queued >= QUEUED_AT_MOST && !on_own_thread)
        pthread_cond_wait(&publisher->room, &publisher->lock);
    int ended = publisher->ended;
    if (!ended) {
        *publisher->last = batch;
        publisher->last = &batch->next;
        ++publisher->queued;
        pthread_cond_signal(&publisher->wake);
    }
    pthread_mutex_unlock(&publisher->lock);
    if (ended) { /* a plugin that stops tells of something: nobody is left who would hear it */
        end_steps(batch);
        fl_batch_unref(batch);
    }
}

void fl_publisher_drain(fl_publisher *publisher, int64_t deadline_us)
{
    int64_t left_us = deadline_us - fl_monotonic_us();
    struct timespec until = time_in(left_us > 0 ? left_us : 0);
    int rc = 0;
    pthread_mutex_lock(&publisher->lock);
    while ((publisher->first != NULL || publisher->busy || publisher->lane_jobs > 0) && rc == 0)
        rc = pthread_cond_timedwait(&publisher->idle, &publisher->lock, &until);
    pthread_mutex_unlock(&publisher->lock);
}

static void flush_all(fl_publisher *publisher, int64_t deadline_us)
{
    struct flamenco *f = publisher->f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (f->broadcaster.table != NULL && flamenco_broadcaster_flush(&f->broadcaster, deadline_us, &err) != FLAMENCO_OK)
        fl_warn("publisher", "the broadcaster did not send everything: %s", err.text);
    for (size_t i = 0; i < f->n_forwarders; ++i) {
        if (flamenco_event_forwarder_flush(&f->forwarders[i], deadline_us, &err) != FLAMENCO_OK)
            fl_warn("publisher", "a forwarder did not send everything: %s", err.text);
    }
}

void fl_publisher_stop(fl_publisher *publisher, int64_t deadline_us)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->stopping = 1;
    pthread_cond_signal(&publisher->wake);
    pthread_mutex_unlock(&publisher->lock);
    pthread_join(publisher->thread, NULL);
    flush_all(publisher, deadline_us);
}

void fl_publisher_destroy(fl_publisher *publisher)
{
    if (publisher == NULL)
        return;
    pthread_cond_destroy(&publisher->idle);
    pthread_cond_destroy(&publisher->room);
    pthread_cond_destroy(&publisher->wake);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

uint64_t fl_publisher_failed_logs(fl_publisher *publisher)
{
    return __atomic_load_n(&publisher->failed_logs, __ATOMIC_RELAXED);
}
