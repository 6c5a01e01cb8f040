/* SPDX-License-Identifier: Apache-2.0
 *
 * The publisher's promises: what a batch leaves to be done is done in order, batch after batch, and neither a full nor a
 * hung disk of the task logs stops it. Everything that happens is written into one trace.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/uuid.h"
#include "core/host.h"
#include "core/listeners.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/touches.h"
#include "core/workpool.h"

#define FAR_US 60000000
#define TRACE_MAX 4000
#define TASKS 8

static struct flamenco manager;
static fl_host core_host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char trace[TRACE_MAX][48];
static int n_trace;
static uint64_t seqs[TRACE_MAX];
static int n_seqs;
static int disk_hangs, n_hanging; /* appends wait until it does not; how many do */
static int64_t touched_us; /* of worker 1, as an append found it */
static int flushes;
static int32_t flush_result;
static uint64_t failed_at_end; /* fl_publisher_failed_logs when it was stopped */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&lock);
    if (n_trace < TRACE_MAX)
        vsnprintf(trace[n_trace++], sizeof(trace[0]), fmt, args);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    va_end(args);
}

static void await_trace(int n)
{
    pthread_mutex_lock(&lock);
    while (n_trace < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void set_disk(int hangs)
{
    pthread_mutex_lock(&lock);
    disk_hangs = hangs;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_hanging(int n)
{
    pthread_mutex_lock(&lock);
    while (n_hanging < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

/* The first place in the trace where it stands, or -1. */
static int find(const char *what)
{
    int at = -1;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_trace && at < 0; ++i)
        at = strcmp(trace[i], what) == 0 ? i : -1;
    pthread_mutex_unlock(&lock);
    return at;
}

/* ---- Services ----------------------------------------------------------------------------------------------------- */

static int64_t read_clock(void *self)
{
    (void)self;
    return 1000;
}

static const flamenco_clock clock_table = { .struct_size = (uint32_t)sizeof(flamenco_clock),
                                            .now_us = read_clock,
                                            .monotonic_us = read_clock };

static void publish(void *self, const flamenco_event *event)
{
    (void)self;
    pthread_mutex_lock(&lock);
    if (n_seqs < TRACE_MAX)
        seqs[n_seqs++] = event->seq;
    pthread_mutex_unlock(&lock);
    note("event %.*s", (int)event->topic.len, event->topic.ptr);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    ++flushes;
    return flush_result == FLAMENCO_OK ? flush_result : flamenco_fail(err, flush_result, "broken on command");
}

static int32_t does_not_want(void *self, uint32_t kind)
{
    (void)self;
    note("wants %u", kind);
    return 0;
}

static const flamenco_broadcaster deaf_table = {
    .struct_size = (uint32_t)sizeof(flamenco_broadcaster), .publish = publish, .flush = flush, .wants = does_not_want
};

static const flamenco_broadcaster broadcaster_table = { .struct_size = (uint32_t)sizeof(flamenco_broadcaster),
                                                        .publish = publish,
                                                        .flush = flush };

static void forward(void *self, const flamenco_event *event)
{
    note("%s %.*s", (const char *)self, (int)event->topic.len, event->topic.ptr);
}

static const flamenco_event_forwarder forwarder_table = { .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
                                                          .publish = forward,
                                                          .flush = flush };

static int32_t append_log(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                          flamenco_error *err)
{
    (void)self;
    (void)job;
    pthread_mutex_lock(&lock);
    touched_us = fl_touches_get(manager.touches, FLAMENCO_TOUCH_WORKER_SEEN, 1);
    n_hanging += disk_hangs;
    pthread_cond_broadcast(&changed);
    while (disk_hangs)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    if (text.len >= 4 && memcmp(text.ptr, "fail", 4) == 0)
        return flamenco_fail(err, FLAMENCO_E_FULL, "no room");
    note("log %d %.*s", task->b[15], (int)text.len, text.ptr);
    return FLAMENCO_OK;
}

static const flamenco_log_storage log_table = { .struct_size = (uint32_t)sizeof(flamenco_log_storage),
                                                .append = append_log };

/* ---- Parts of a batch --------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    memset(&manager, 0, sizeof(manager));
    n_trace = n_seqs = n_hanging = disk_hangs = flushes = 0;
    flush_result = FLAMENCO_OK;
    manager.clock.table = &clock_table;
    manager.broadcaster.table = &broadcaster_table;
    manager.log_storage.table = &log_table;
    manager.touches = fl_touches_create();
    manager.listeners = fl_listeners_create();
    manager.parked = fl_parked_create(&manager);
    manager.core_host = &core_host;
    fl_host_init(&core_host, &manager, "core", &manager, NULL);
    if (manager.touches == NULL || manager.listeners == NULL || manager.parked == NULL ||
        fl_workpool_start(&manager, &manager.workpool, &err) != FLAMENCO_OK)
        return -1;
    return fl_publisher_start(&manager, &manager.publisher, &err);
}

static void stop_publisher(void)
{
    if (manager.publisher != NULL) {
        fl_publisher_drain(manager.publisher, fl_monotonic_us() + FAR_US);
        fl_publisher_stop(manager.publisher, fl_monotonic_us() + FAR_US);
        fl_workpool_stop(manager.workpool, fl_monotonic_us() + FAR_US); /* appends that hung hold on to the publisher */
        failed_at_end = fl_publisher_failed_logs(manager.publisher);
        fl_publisher_destroy(manager.publisher);
    }
    manager.publisher = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    set_disk(0);
    stop_publisher();
    fl_workpool_destroy(manager.workpool);
    fl_parked_drain(manager.parked);
    fl_parked_destroy(manager.parked);
    fl_listeners_destroy(manager.listeners);
    fl_touches_destroy(manager.touches);
    return 0;
}

static flamenco_uuid task_uuid(int n)
{
    flamenco_uuid uuid = { { 1 } };
    uuid.b[15] = (uint8_t)n;
    return uuid;
}

static fl_batch *new_batch(void)
{
    fl_batch *batch = fl_batch_create();
    assert_non_null(batch);
    return batch;
}

static void add_event(fl_batch *batch, const char *topic)
{
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_JOB,
                             .topic = flamenco_text(topic),
                             .payload = flamenco_text("{}") };
    assert_int_equal(fl_batch_add_event(batch, &event), FLAMENCO_OK);
}

static void add_log(fl_batch *batch, int task, const char *text)
{
    flamenco_uuid job = task_uuid(99), uuid = task_uuid(task);
    assert_int_equal(fl_batch_add_log(batch, &job, &uuid, flamenco_text(text)), FLAMENCO_OK);
}

static void add_touch(fl_batch *batch, int64_t key, int64_t at_us)
{
    flamenco_touch touch = { (uint32_t)sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, key, at_us };
    assert_int_equal(fl_batch_add_touch(batch, &touch), FLAMENCO_OK);
}

static void add_wake(fl_batch *batch)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = 1 };
    assert_int_equal(fl_batch_add_wake(batch, &wake), FLAMENCO_OK);
}

static void reply_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    note("reply %d %s", result, err->text);
    assert_null(step->next);
}

static const fl_step_ops reply_ops = { .name = "reply", .kind = FLAMENCO_STEP_WRITE, .done = reply_done };

static void add_reply(fl_batch *batch, fl_step *step, int32_t result)
{
    memset(step, 0, sizeof(*step));
    step->ops = &reply_ops;
    step->result = result;
    snprintf(step->error.text, sizeof(step->error.text), "text of %d", result);
    *batch->done_last = step;
    batch->done_last = &step->next;
}

static int hold_waiter(fl_step *step)
{
    (void)step;
    return 1;
}

static void check_waiter(fl_step *step)
{
    (void)step;
    note("wake");
}

static void waiter_expired(fl_step *step)
{
    (void)step;
}

static const fl_step_ops waiter_ops = {
    .name = "waiter", .kind = FLAMENCO_STEP_WRITE, .hold = hold_waiter, .check = check_waiter, .expired = waiter_expired
};

static void park(fl_step *step)
{
    memset(step, 0, sizeof(*step));
    step->ops = &waiter_ops;
    step->park = (fl_park){ .kind = FLAMENCO_WAKE_TASKS, .worker_key = 5, .hold_us = FAR_US };
    fl_parked_add(manager.parked, step);
}

static void submit(fl_batch *batch)
{
    fl_publisher_submit(manager.publisher, batch);
}

/* ---- Order -------------------------------------------------------------------------------------------------------- */

static void batch_is_worked_off_in_order_of_kind_and_cause(void **state)
{
    static const char *const expected[] = { "log 1 one\ntwo\n", /* what stands for one task in a row is one text */
                                            "event /first",
                                            "event /tasklog/01000000-0000-0000-0000-000000000001",
                                            "event /second",
                                            "event /tasklog/01000000-0000-0000-0000-000000000001",
                                            "reply 0 text of 0",
                                            "reply -3 text of -3",
                                            "wake" };
    enum { N = sizeof(expected) / sizeof(expected[0]) };
    static fl_step replies[2], waiter;
    (void)state;
    park(&waiter);
    fl_batch *batch = new_batch();
    add_wake(batch);
    add_event(batch, "/first");
    add_log(batch, 1, "one");
    add_event(batch, "/second");
    add_log(batch, 1, "two");
    add_touch(batch, 1, 77);
    add_reply(batch, &replies[0], 0);
    add_reply(batch, &replies[1], FLAMENCO_E_CONFLICT);
    submit(batch);
    await_trace(N);
    for (int i = 0; i < N; ++i)
        assert_true(strncmp(trace[i], expected[i], sizeof(trace[0]) - 1) == 0);
    assert_int_equal(touched_us, 77); /* before everything else */
    for (int i = 0; i < n_seqs; ++i)
        assert_int_equal(seqs[i], i + 1);
}

static void hear_name(void *ctx, const flamenco_event *event)
{
    note("%s %.*s", (const char *)ctx, (int)event->name.len, event->name.ptr);
}

static void log_events_are_made_when_somebody_hears_them(void **state)
{
    static const char *const expected[] = { "log 1 one", "wants 4", "event /jobs", "log 1 two", "script /tasklog" };
    enum { N = sizeof(expected) / sizeof(expected[0]) };
    static char ear[] = "script";
    (void)state;
    manager.broadcaster.table = &deaf_table;
    fl_batch *batch = new_batch();
    add_log(batch, 1, "one");
    add_event(batch, "/jobs");
    submit(batch);
    await_trace(3);
    assert_int_equal(fl_listeners_add(manager.listeners, ear, UINT64_C(1) << FLAMENCO_EVENT_TASK_LOG, hear_name, ear),
                     FLAMENCO_OK);
    batch = new_batch();
    add_log(batch, 1, "two");
    submit(batch);
    await_trace(N);
    for (int i = 0; i < N; ++i)
        assert_true(strncmp(trace[i], expected[i], sizeof(trace[0]) - 1) == 0);
}

static void batches_keep_their_order_and_numbers_have_no_gaps(void **state)
{
    enum { BATCHES = 200 };
    (void)state;
    for (int i = 0; i < BATCHES; ++i) {
        char topic[32];
        fl_batch *batch = new_batch();
        snprintf(topic, sizeof(topic), "/%d/a", i);
        add_event(batch, topic);
        if (i % 10 == 0)
            add_log(batch, i % TASKS, "fail"); /* leaves no event, and no gap */
        snprintf(topic, sizeof(topic), "/%d/b", i);
        add_event(batch, topic);
        submit(batch);
    }
    await_trace(2 * BATCHES);
    for (int i = 0; i < 2 * BATCHES; ++i) {
        char text[48];
        snprintf(text, sizeof(text), "event /%d/%c", i / 2, i % 2 == 0 ? 'a' : 'b');
        assert_string_equal(trace[i], text);
        assert_int_equal(seqs[i], i + 1);
    }
}

static void log_of_a_task_keeps_its_order(void **state)
{
    enum { BATCHES = 50, TEXTS = 16 };
    (void)state;
    manager.broadcaster.table = NULL; /* nobody wants events: the trace has the appends alone */
    for (int i = 0; i < BATCHES; ++i) {
        fl_batch *batch = new_batch();
        for (int k = 0; k < TEXTS; ++k) {
            char text[16];
            snprintf(text, sizeof(text), "%d", i * TEXTS + k);
            add_log(batch, k % TASKS, text);
        }
        submit(batch);
    }
    await_trace(BATCHES * TEXTS);
    stop_publisher();
    int last[TASKS];
    memset(last, -1, sizeof(last));
    for (int i = 0; i < n_trace; ++i) {
        int task, n;
        assert_int_equal(sscanf(trace[i], "log %d %d", &task, &n), 2);
        assert_true(n > last[task]);
        last[task] = n;
    }
    assert_int_equal(n_trace, BATCHES * TEXTS);
    assert_int_equal(n_seqs, 0);
}

/* ---- The disk of the logs ----------------------------------------------------------------------------------------- */

static void failed_append_is_counted_and_not_told_of(void **state)
{
    static fl_step reply;
    (void)state;
    fl_batch *batch = new_batch();
    add_log(batch, 1, "fail");
    add_log(batch, 2, "good");
    add_log(batch, 3, "fail again");
    add_event(batch, "/after");
    add_reply(batch, &reply, 0);
    submit(batch);
    await_trace(4);
    assert_int_equal(fl_publisher_failed_logs(manager.publisher), 2);
    assert_string_equal(trace[0], "log 2 good");
    assert_true(strncmp(trace[1], "event /tasklog/01000000-0000-0000-0000-000000000002", sizeof(trace[1]) - 1) == 0);
    assert_string_equal(trace[2], "event /after");
    assert_string_equal(trace[3], "reply 0 text of 0"); /* the call does not fail */
}

static void hung_disk_stops_neither_events_nor_replies(void **state)
{
    static fl_step replies[2];
    (void)state;
    set_disk(1);
    fl_batch *batch = new_batch();
    add_log(batch, 1, "hangs");
    add_event(batch, "/same batch");
    add_reply(batch, &replies[0], 0);
    submit(batch);
    batch = new_batch();
    add_event(batch, "/next batch");
    add_reply(batch, &replies[1], 0);
    submit(batch);
    int64_t begun_us = fl_monotonic_us();
    await_trace(5); /* a log event, two events, two replies: all of it while the disk hangs */
    assert_true(fl_monotonic_us() - begun_us < 20000000);
    assert_true(find("event /next batch") > find("event /same batch"));
    assert_int_equal(find("log 1 hangs"), -1);
    assert_int_equal(fl_publisher_failed_logs(manager.publisher), 1); /* as not waited for */
    set_disk(0);
    await_trace(6);
    assert_true(find("log 1 hangs") > 0); /* late, but not lost */
}

static void late_texts_keep_their_order(void **state)
{
    (void)state;
    manager.broadcaster.table = NULL;
    set_disk(1);
    for (int i = 0; i < 3; ++i) {
        char text[16];
        fl_batch *batch = new_batch();
        snprintf(text, sizeof(text), "%d", i);
        add_log(batch, 1, text);
        submit(batch);
    }
    await_hanging(1);
    set_disk(0);
    await_trace(3);
    assert_string_equal(trace[0], "log 1 0");
    assert_string_equal(trace[1], "log 1 1");
    assert_string_equal(trace[2], "log 1 2");
}

/* Once the disk is known to hang, batches do not wait a second each: 64 of them would take a minute. */
static void disk_that_goes_on_hanging_does_not_slow_every_batch(void **state)
{
    enum { BATCHES = 64 };
    static fl_step replies[BATCHES];
    (void)state;
    manager.broadcaster.table = NULL;
    set_disk(1);
    int64_t begun_us = fl_monotonic_us();
    for (int i = 0; i < BATCHES; ++i) {
        fl_batch *batch = new_batch();
        for (int task = 0; task < TASKS; ++task)
            add_log(batch, task, "x");
        add_reply(batch, &replies[i], 0);
        submit(batch);
    }
    await_trace(BATCHES);
    assert_true(fl_monotonic_us() - begun_us < 30000000);
    set_disk(0);
    stop_publisher();
    uint64_t written = (uint64_t)n_trace - BATCHES;
    assert_true(written > 0);
    assert_true(written + failed_at_end >= BATCHES * TASKS); /* none is lost unseen */
}

static int32_t run_other(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)cx;
    (void)step;
    (void)err;
    return FLAMENCO_OK;
}

static void other_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    (void)step;
    (void)err;
    note("other work %d", result);
}

static const fl_step_ops other_ops = {
    .name = "other", .kind = FLAMENCO_STEP_WORK, .run = run_other, .done = other_done
};

/* Secrets are checked and pages are served by the same threads. */
static void hung_disk_leaves_threads_for_other_work(void **state)
{
    static fl_step other, reply;
    (void)state;
    manager.broadcaster.table = NULL;
    set_disk(1);
    fl_batch *batch = new_batch();
    for (int task = 0; task < 256; ++task)
        add_log(batch, task, "hangs"); /* in every lane */
    add_reply(batch, &reply, 0);
    submit(batch);
    await_trace(1); /* the reply came: all that the pool gets of this batch stands in its queue */
    memset(&other, 0, sizeof(other));
    other.ops = &other_ops;
    fl_workpool_submit(manager.workpool, &other);
    await_trace(2); /* hangs when the logs have taken all threads */
    assert_string_equal(trace[1], "other work 0");
    set_disk(0);
    await_trace(258);
}

/* ---- Who hears of events ------------------------------------------------------------------------------------------ */

static void hear(void *ctx, const flamenco_event *event)
{
    note("%s %.*s", (const char *)ctx, (int)event->topic.len, event->topic.ptr);
}

static void listeners_and_all_forwarders_get_the_event(void **state)
{
    static char one[] = "one", two[] = "two", jobs[] = "jobs", workers[] = "workers";
    static flamenco_event_forwarder_ref forwarders[] = { { &forwarder_table, one }, { &forwarder_table, two } };
    (void)state;
    manager.forwarders = forwarders;
    manager.n_forwarders = 2;
    assert_int_equal(fl_listeners_add(manager.listeners, jobs, 1u << FLAMENCO_EVENT_JOB, hear, jobs), 0);
    assert_int_equal(fl_listeners_add(manager.listeners, workers, 1u << FLAMENCO_EVENT_WORKER, hear, workers), 0);
    fl_batch *batch = new_batch();
    add_event(batch, "/x");
    submit(batch);
    await_trace(4);
    assert_string_equal(trace[0], "jobs /x");
    assert_string_equal(trace[1], "event /x");
    assert_string_equal(trace[2], "one /x");
    assert_string_equal(trace[3], "two /x");
    assert_int_equal(seqs[0], 1);
}

static void wants_tells_whether_anybody_would_hear_it(void **state)
{
    static flamenco_event_forwarder_ref forwarder = { &forwarder_table, NULL };
    (void)state;
    assert_true(fl_publisher_wants(&manager, FLAMENCO_EVENT_JOB));
    manager.broadcaster.table = NULL;
    assert_false(fl_publisher_wants(&manager, FLAMENCO_EVENT_JOB));
    assert_int_equal(fl_listeners_add(manager.listeners, &manager, 1u << FLAMENCO_EVENT_TASK, hear, NULL), 0);
    assert_false(fl_publisher_wants(&manager, FLAMENCO_EVENT_JOB));
    assert_true(fl_publisher_wants(&manager, FLAMENCO_EVENT_TASK));
    fl_listeners_remove(manager.listeners, &manager);
    assert_false(fl_publisher_wants(&manager, FLAMENCO_EVENT_TASK));
    manager.forwarders = &forwarder;
    manager.n_forwarders = 1;
    assert_true(fl_publisher_wants(&manager, FLAMENCO_EVENT_TASK_LOG));
}

/* ---- Own thread, stop --------------------------------------------------------------------------------------------- */

static void submit_more(fl_step *step, int32_t result, const flamenco_error *err)
{
    (void)step;
    (void)result;
    (void)err;
    for (int i = 0; i < 10; ++i) { /* more than may wait: nobody but this thread could make room */
        fl_batch *batch = fl_batch_create();
        flamenco_event event = { .struct_size = (uint32_t)sizeof(event), .topic = flamenco_text("/more") };
        if (batch != NULL && fl_batch_add_event(batch, &event) == FLAMENCO_OK)
            submit(batch);
    }
}

static const fl_step_ops more_ops = { .name = "more", .kind = FLAMENCO_STEP_WRITE, .done = submit_more };

static void reply_may_submit_batches_itself(void **state)
{
    static fl_step step;
    (void)state;
    fl_batch *batch = new_batch();
    add_reply(batch, &step, 0);
    step.ops = &more_ops;
    submit(batch);
    await_trace(10);
}

static void stop_works_off_what_is_queued_and_flushes(void **state)
{
    static char one[] = "one";
    static flamenco_event_forwarder_ref forwarder = { &forwarder_table, one };
    static fl_step replies[3];
    (void)state;
    manager.forwarders = &forwarder;
    manager.n_forwarders = 1;
    flush_result = FLAMENCO_E_DEADLINE; /* is said in the log, and no more */
    for (int i = 0; i < 3; ++i) {
        fl_batch *batch = new_batch();
        add_log(batch, i, "text");
        add_reply(batch, &replies[i], 0);
        submit(batch);
    }
    stop_publisher();
    assert_int_equal(n_trace, 3 * 4); /* append, event twice, reply */
    assert_int_equal(failed_at_end, 0);
    assert_int_equal(flushes, 2);
}

static void drain_waits_for_texts_that_were_not_waited_for(void **state)
{
    (void)state;
    manager.broadcaster.table = NULL;
    set_disk(1);
    fl_batch *batch = new_batch();
    add_log(batch, 1, "late");
    submit(batch);
    await_hanging(1);
    fl_publisher_drain(manager.publisher, 0); /* no time: comes back at once */
    assert_int_equal(find("log 1 late"), -1);
    set_disk(0);
    fl_publisher_drain(manager.publisher, fl_monotonic_us() + FAR_US);
    assert_int_equal(find("log 1 late"), 0);
}

static void stopped_publisher_drops_effects_and_ends_steps(void **state)
{
    static fl_step replies[10];
    (void)state;
    fl_publisher_stop(manager.publisher, fl_monotonic_us() + FAR_US);
    for (int i = 0; i < 10; ++i) { /* more than may wait */
        fl_batch *batch = new_batch();
        add_event(batch, "/late");
        add_reply(batch, &replies[i], i);
        submit(batch);
    }
    assert_int_equal(n_trace, 10);
    assert_string_equal(trace[9], "reply 9 text of 9");
    fl_publisher_destroy(manager.publisher);
    manager.publisher = NULL;
    fl_workpool_stop(manager.workpool, 0);
}

/* ---- Batches by themselves ---------------------------------------------------------------------------------------- */

static void cut_drops_what_came_after_the_mark(void **state)
{
    (void)state;
    fl_batch *batch = new_batch();
    add_event(batch, "/kept");
    fl_effect **mark = fl_batch_mark(batch);
    add_event(batch, "/undone");
    add_log(batch, 1, "undone");
    add_touch(batch, 1, 99);
    add_wake(batch);
    fl_batch_cut(batch, mark);
    add_event(batch, "/kept too");
    submit(batch);
    await_trace(2);
    assert_string_equal(trace[0], "event /kept");
    assert_string_equal(trace[1], "event /kept too");
    assert_int_equal(fl_touches_get(manager.touches, FLAMENCO_TOUCH_WORKER_SEEN, 1), FLAMENCO_TIME_NONE);
}

static void batch_keeps_its_own_texts(void **state)
{
    char topic[] = "/topic", name[] = "/name", payload[] = "{1}", status[] = "active", previous[] = "queued";
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_TASK,
                             .topic = flamenco_text(topic),
                             .name = flamenco_text(name),
                             .payload = flamenco_text(payload),
                             .status = flamenco_text(status),
                             .previous_status = flamenco_text(previous) };
    flamenco_wake wake = {
        .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = 3, .task_type = flamenco_text(name)
    };
    (void)state;
    fl_batch *batch = new_batch();
    assert_int_equal(fl_batch_add_event(batch, &event), FLAMENCO_OK);
    assert_int_equal(fl_batch_add_wake(batch, &wake), FLAMENCO_OK);
    add_log(batch, 1, status);
    memset(topic, 'x', sizeof(topic) - 1);
    memset(name, 'x', sizeof(name) - 1);
    memset(payload, 'x', sizeof(payload) - 1);
    memset(status, 'x', sizeof(status) - 1);
    memset(previous, 'x', sizeof(previous) - 1);
    const fl_effect *e = batch->first;
    assert_true(flamenco_str_equal(e->event.topic, flamenco_text("/topic")));
    assert_true(flamenco_str_equal(e->event.name, flamenco_text("/name")));
    assert_true(flamenco_str_equal(e->event.payload, flamenco_text("{1}")));
    assert_true(flamenco_str_equal(e->event.status, flamenco_text("active")));
    assert_true(flamenco_str_equal(e->event.previous_status, flamenco_text("queued")));
    assert_int_equal(e->next->wake.count, 3);
    assert_true(flamenco_str_equal(e->next->wake.task_type, flamenco_text("/name")));
    assert_true(flamenco_str_equal(e->next->next->log.text, flamenco_text("active")));
    fl_batch_unref(batch);
}

static void older_plugins_give_shorter_structs(void **state)
{
    flamenco_event event;
    flamenco_wake wake;
    (void)state;
    memset(&event, 0x55, sizeof(event)); /* what lies behind the size is not looked at */
    memset(&wake, 0x55, sizeof(wake));
    event.struct_size = (uint32_t)offsetof(flamenco_event, job);
    event.kind = FLAMENCO_EVENT_JOB;
    event.topic = flamenco_text("/t");
    event.name = event.payload = (flamenco_str){ NULL, 0 };
    wake.struct_size = (uint32_t)offsetof(flamenco_wake, task_type);
    wake.what = FLAMENCO_WAKE_TASKS;
    wake.count = 1;
    fl_batch *batch = new_batch();
    assert_int_equal(fl_batch_add_event(batch, &event), FLAMENCO_OK);
    assert_int_equal(fl_batch_add_wake(batch, &wake), FLAMENCO_OK);
    assert_int_equal(batch->first->event.struct_size, sizeof(event));
    assert_int_equal(batch->first->event.status.len, 0);
    assert_true(fl_uuid_is_none(&batch->first->event.job));
    assert_int_equal(batch->first->next->wake.task_type.len, 0);
    assert_true(fl_uuid_is_none(&batch->first->next->wake.worker));
    fl_batch_unref(batch);
}

#define publisher_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        publisher_test(batch_is_worked_off_in_order_of_kind_and_cause),
        publisher_test(log_events_are_made_when_somebody_hears_them),
        publisher_test(batches_keep_their_order_and_numbers_have_no_gaps),
        publisher_test(log_of_a_task_keeps_its_order),
        publisher_test(failed_append_is_counted_and_not_told_of),
        publisher_test(hung_disk_stops_neither_events_nor_replies),
        publisher_test(late_texts_keep_their_order),
        publisher_test(disk_that_goes_on_hanging_does_not_slow_every_batch),
        publisher_test(hung_disk_leaves_threads_for_other_work),
        publisher_test(listeners_and_all_forwarders_get_the_event),
        publisher_test(wants_tells_whether_anybody_would_hear_it),
        publisher_test(reply_may_submit_batches_itself),
        publisher_test(stop_works_off_what_is_queued_and_flushes),
        publisher_test(drain_waits_for_texts_that_were_not_waited_for),
        publisher_test(stopped_publisher_drops_effects_and_ends_steps),
        publisher_test(cut_drops_what_came_after_the_mark),
        publisher_test(batch_keeps_its_own_texts),
        publisher_test(older_plugins_give_shorter_structs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
