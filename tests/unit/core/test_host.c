/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host does for plugins: steps, also delayed ones; effects inside and outside a transaction; small services.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench_core.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/host.h"
#include "core/listeners.h"
#include "core/metrics.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"
#include "flamenco/events.h"
#include "hand_clock.h"

#define FAR_US 60000000
#define START_US INT64_C(1700000000000000)

static bench b;
static hand_clock hand;
static fl_host host; /* of the plugin "tester" */
static int owner;

static void on_dropped(fl_on_timer on_timer, void *ctx)
{
    fl_host_drop_timer(on_timer, ctx);
}

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    bench_start(&b, FAR_US);
    hand_clock_init(&hand, START_US);
    b.f.clock.table = &hand_clock_table;
    b.f.clock.self = &hand;
    memset(&host, 0, sizeof(host));
    fl_host_init(&host, &b.f, "tester", &owner, NULL);
    return fl_timers_start(&b.f, &b.f.timers, &err);
}

static int tear_down(void **state)
{
    (void)state;
    if (b.f.timers != NULL)
        fl_timers_destroy(b.f.timers, on_dropped);
    bench_stop(&b);
    hand_clock_fini(&hand);
    return 0;
}

/* ---- Steps ---------------------------------------------------------------------------------------------------------- */

/* What a step did, guarded by the bench's lock. */
typedef struct work {
    int runs, destroyed;
    int again; /* how often it asks to run once more */
    int32_t result;
    uint32_t read_only; /* as cx had it */
    int in_transaction, right_host, has_memory;
    int64_t now_us;
    void (*act)(flamenco_cx *cx); /* NULL = nothing */
} work;

static int32_t run(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    work *w = ctx;
    unsigned char *memory = cx->host->cx_alloc(cx, 100);
    if (w->act != NULL)
        w->act(cx);
    pthread_mutex_lock(&b.lock);
    ++w->runs;
    w->read_only = cx->read_only;
    w->in_transaction = cx->txn != NULL;
    w->right_host = cx->host == &host.table;
    w->now_us = cx->now_us;
    w->has_memory = memory != NULL && memory[0] == 0 && memory[99] == 0;
    int again = w->again-- > 0;
    pthread_cond_broadcast(&b.changed);
    pthread_mutex_unlock(&b.lock);
    if (again)
        return FLAMENCO_AGAIN;
    return w->result < 0 ? flamenco_fail(err, w->result, "broken on command") : w->result;
}

static void destroy(void *ctx)
{
    pthread_mutex_lock(&b.lock);
    ++((work *)ctx)->destroyed;
    pthread_cond_broadcast(&b.changed);
    pthread_mutex_unlock(&b.lock);
}

static int32_t submit_step(uint32_t kind, work *w, int64_t delay_us)
{
    flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                           .kind = kind,
                           .name = "test step",
                           .run = run,
                           .ctx = w,
                           .destroy = destroy,
                           .delay_us = delay_us };
    return host.table.submit(host.table.h, &step);
}

static void await_destroyed(work *w)
{
    pthread_mutex_lock(&b.lock);
    while (w->destroyed == 0)
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
}

static int runs_of(work *w)
{
    pthread_mutex_lock(&b.lock);
    int n = w->runs;
    pthread_mutex_unlock(&b.lock);
    return n;
}

static void steps_run_where_their_kind_says(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind, read_only;
        int in_transaction;
    } rows[] = { { FLAMENCO_STEP_READ, 1, 1 }, { FLAMENCO_STEP_WRITE, 0, 1 }, { FLAMENCO_STEP_WORK, 0, 0 } };
    for (size_t i = 0; i < 3; ++i) {
        work w = { 0 };
        assert_int_equal(submit_step(rows[i].kind, &w, 0), FLAMENCO_OK);
        await_destroyed(&w);
        assert_int_equal(w.runs, 1);
        assert_int_equal(w.destroyed, 1);
        assert_int_equal(w.read_only, rows[i].read_only);
        assert_int_equal(w.in_transaction, rows[i].in_transaction);
        assert_true(w.right_host && w.has_memory);
        assert_int_equal(w.now_us, START_US);
    }
}

static void steps_may_run_again_or_fail(void **state)
{
    (void)state;
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind) {
        work again = { .again = 3 }, failing = { .result = FLAMENCO_E_INVALID };
        work odd = { .result = FL_STEP_PARK }; /* not a plugin's to return: counts as done */
        assert_int_equal(submit_step(kind, &again, 0), FLAMENCO_OK);
        assert_int_equal(submit_step(kind, &failing, 0), FLAMENCO_OK);
        assert_int_equal(submit_step(kind, &odd, 0), FLAMENCO_OK);
        await_destroyed(&again);
        await_destroyed(&failing);
        await_destroyed(&odd);
        assert_int_equal(again.runs, 4);
        assert_int_equal(failing.runs, 1);
        assert_int_equal(odd.runs, 1);
        assert_int_equal(again.destroyed + failing.destroyed + odd.destroyed, 3);
    }
    assert_int_equal(fl_parked_count(b.f.parked), 0);
}

static void steps_that_cannot_run_are_refused_and_destroyed(void **state)
{
    (void)state;
    work w = { 0 };
    assert_int_equal(submit_step(FLAMENCO_STEP_WORK + 1, &w, 0), FLAMENCO_E_INVALID);
    assert_int_equal(w.destroyed, 1);
    flamenco_step step = { .struct_size = (uint32_t)sizeof(step), .ctx = &w, .destroy = destroy };
    assert_int_equal(host.table.submit(host.table.h, &step), FLAMENCO_E_INVALID); /* nothing to run */
    assert_int_equal(w.destroyed, 2);
    step.destroy = NULL;
    assert_int_equal(host.table.submit(host.table.h, &step), FLAMENCO_E_INVALID);
}

static void shorter_struct_of_an_older_plugin_is_read_to_its_size(void **state)
{
    (void)state;
    work w = { 0 };
    flamenco_step step;
    memset(&step, 0x7f, sizeof(step)); /* a delay of ages stands behind the end */
    step.struct_size = (uint32_t)offsetof(flamenco_step, delay_us);
    step.kind = FLAMENCO_STEP_WORK;
    step.name = NULL; /* then it is called as the instance */
    step.run = run;
    step.ctx = &w;
    step.destroy = destroy;
    assert_int_equal(host.table.submit(host.table.h, &step), FLAMENCO_OK);
    await_destroyed(&w);
    assert_int_equal(w.runs, 1);
}

static void delayed_step_waits_for_the_clock(void **state)
{
    (void)state;
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind) {
        work w = { 0 };
        int64_t begin_us = START_US + 5000000 * (int64_t)kind;
        assert_int_equal(submit_step(kind, &w, 5000000), FLAMENCO_OK);
        hand_clock_await(&hand, begin_us + 5000000);
        hand_clock_advance(&hand, 4999999);
        hand_clock_await(&hand, begin_us + 5000000);
        assert_int_equal(runs_of(&w), 0);
        hand_clock_advance(&hand, 1);
        await_destroyed(&w);
        assert_int_equal(w.runs, 1);
        assert_int_equal(w.now_us, begin_us + 5000000);
    }
}

static void delayed_steps_that_never_come_are_destroyed(void **state)
{
    (void)state;
    work late = { 0 }, too_late = { 0 };
    assert_int_equal(submit_step(FLAMENCO_STEP_WRITE, &late, 1000), FLAMENCO_OK);
    fl_timers_stop(b.f.timers);
    assert_int_equal(submit_step(FLAMENCO_STEP_WRITE, &too_late, 1000), FLAMENCO_E_CANCELLED);
    assert_int_equal(too_late.destroyed, 1);
    assert_int_equal(late.destroyed, 0);
    fl_timers_destroy(b.f.timers, on_dropped);
    b.f.timers = NULL;
    assert_int_equal(late.destroyed, 1);
    assert_int_equal(late.runs + too_late.runs, 0);
}

static void steps_are_destroyed_unrun_when_everything_stops(void **state)
{
    (void)state;
    work works[3] = { 0 };
    fl_executor_stop(b.f.executor, 0);
    fl_workpool_stop(b.f.workpool, 0);
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind)
        (void)submit_step(kind, &works[kind], 0);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(works[i].destroyed, 1);
        assert_int_equal(works[i].runs, 0);
    }
}

/* ---- Effects -------------------------------------------------------------------------------------------------------- */

static const flamenco_uuid job_id = { { 0x11, 1 } }, task_id = { { 0x22, 2 } }, worker_id = { { 0x33, 3 } };
static int32_t act_result; /* of the last call of an effect */

static void await_text(const char *list, const char *wanted)
{
    pthread_mutex_lock(&b.lock);
    while (strstr(list, wanted) == NULL)
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
}

/* Runs it in a step of that kind and waits for the end. */
static void act_in(uint32_t kind, void (*act)(flamenco_cx *cx))
{
    work w = { .act = act };
    assert_int_equal(submit_step(kind, &w, 0), FLAMENCO_OK);
    await_destroyed(&w);
    assert_int_equal(w.runs, 1);
}

static void emit_plain(flamenco_cx *cx)
{
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_LAST_RENDERED,
                             .topic = flamenco_text("/last-rendered") };
    act_result = cx->host->emit(cx, &event);
}

static void emit_rows(flamenco_cx *cx)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job), .uuid = job_id };
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task), .uuid = task_id, .job_uuid = job_id };
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker), .uuid = worker_id };
    flamenco_job_event job_event = { (uint32_t)sizeof(job_event), FLAMENCO_PREVIOUS_NONE, 0, 0, &job };
    flamenco_task_event task_event = { (uint32_t)sizeof(task_event), FLAMENCO_TASK_QUEUED, &task };
    flamenco_worker_event worker_event = { (uint32_t)sizeof(worker_event), FLAMENCO_PREVIOUS_NONE, &worker };
    act_result = cx->host->emit_job(cx, &job_event);
    act_result |= cx->host->emit_task(cx, &task_event);
    act_result |= cx->host->emit_worker(cx, &worker_event);
}

static void events_are_sent_from_anywhere(void **state)
{
    (void)state;
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind) {
        b.events[0] = '\0';
        act_in(kind, emit_plain);
        assert_int_equal(act_result, FLAMENCO_OK);
        await_text(b.events, "/last-rendered");
        act_in(kind, emit_rows);
        assert_int_equal(act_result, FLAMENCO_OK);
        await_text(b.events, "/last-rendered /jobs /jobs/11010000-0000-0000-0000-000000000000 /workers");
    }
}

static void emit_steps(flamenco_cx *cx)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job), .uuid = job_id };
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task), .uuid = task_id, .job_uuid = job_id };
    flamenco_job_event job_event = { (uint32_t)sizeof(job_event), FLAMENCO_PREVIOUS_NONE, FLAMENCO_JOB_EVENT_STEPS, 0,
                                     &job };
    flamenco_task_event task_event = { (uint32_t)sizeof(task_event), FLAMENCO_PREVIOUS_NONE, &task };
    act_result = cx->host->emit_job(cx, &job_event);
    act_result |= cx->host->emit_task(cx, &task_event);
}

static void hear_of_steps(void *ctx, const flamenco_event *event)
{
    uint32_t *steps = ctx;
    *steps = *steps * 10 + 1 + (event->flags & FLAMENCO_EVENT_FLAG_STEPS);
}

static void events_of_steps_alone_are_marked(void **state)
{
    uint32_t steps = 0;
    (void)state;
    assert_int_equal(fl_listeners_add(b.f.listeners, &steps, UINT64_MAX, hear_of_steps, &steps), FLAMENCO_OK);
    act_in(FLAMENCO_STEP_WRITE, emit_rows);
    act_in(FLAMENCO_STEP_WRITE, emit_steps);
    assert_int_equal(act_result, FLAMENCO_OK);
    await_text(b.events, "/jobs /jobs/11010000-0000-0000-0000-000000000000 /workers /jobs "
                         "/jobs/11010000-0000-0000-0000-000000000000");
    assert_int_equal(steps, 11122);
}

static void events_that_nobody_wants_are_not_made(void **state)
{
    (void)state;
    b.f.broadcaster.table = NULL;
    act_in(FLAMENCO_STEP_WRITE, emit_rows);
    act_in(FLAMENCO_STEP_WORK, emit_rows);
    assert_int_equal(act_result, FLAMENCO_OK);
    assert_string_equal(b.events, "");
}

static char heard[256];

static void hear(void *ctx, const flamenco_event *event)
{
    bench *on = ctx;
    pthread_mutex_lock(&on->lock);
    size_t used = strlen(heard);
    snprintf(heard + used, sizeof(heard) - used, "%s%.*s", used > 0 ? " " : "", (int)event->topic.len,
             event->topic.ptr);
    pthread_cond_broadcast(&on->changed);
    pthread_mutex_unlock(&on->lock);
}

static void listener_alone_gets_its_kinds_until_its_plugin_stops(void **state)
{
    (void)state;
    b.f.broadcaster.table = NULL;
    heard[0] = '\0';
    uint64_t kinds = (UINT64_C(1) << FLAMENCO_EVENT_WORKER) | (UINT64_C(1) << FLAMENCO_EVENT_TASK);
    assert_int_equal(host.table.listen(host.table.h, kinds, hear, &b), FLAMENCO_OK);
    act_in(FLAMENCO_STEP_WRITE, emit_rows);
    await_text(heard, "/jobs/11010000-0000-0000-0000-000000000000 /workers");
    assert_true(strncmp(heard, "/jobs/", 6) == 0); /* the job's own event is not among them */
    fl_listeners_remove(b.f.listeners, &owner);
    heard[0] = '\0';
    act_in(FLAMENCO_STEP_WRITE, emit_rows);
    assert_string_equal(heard, "");
}

static void append_logs(flamenco_cx *cx)
{
    act_result = cx->host->task_log(cx, &job_id, &task_id, 0, flamenco_text("verbatim\n"));
    act_result |= cx->host->task_log(cx, &job_id, &task_id, 1, flamenco_text("Task failed"));
    act_result |= cx->host->task_log(cx, &job_id, &task_id, 1, (flamenco_str){ NULL, 0 });
}

static void own_log_lines_are_stamped_with_local_time(void **state)
{
    (void)state;
    setenv("TZ", "UTC-2", 1); /* two hours before Greenwich */
    tzset();
    for (uint32_t kind = FLAMENCO_STEP_WRITE; kind <= FLAMENCO_STEP_WORK; ++kind) {
        b.logs[0] = '\0';
        act_in(kind, append_logs);
        assert_int_equal(act_result, FLAMENCO_OK);
        /* In a transaction they stand in one batch, and are appended by one call; outside each is on its own. */
        await_text(b.logs, kind == FLAMENCO_STEP_WRITE
                               ? "verbatim\n2023-11-15T00:13:20+02:00 Task failed\n2023-11-15T00:13:20+02:00 \n"
                               : "verbatim\n 2023-11-15T00:13:20+02:00 Task failed 2023-11-15T00:13:20+02:00 ");
    }
    unsetenv("TZ");
    tzset();
}

static void touch_both(flamenco_cx *cx)
{
    act_result = cx->host->touch(cx, FLAMENCO_TOUCH_WORKER_SEEN, 5) | cx->host->touch(cx, FLAMENCO_TOUCH_TASK, 6);
}

static void touches_are_kept_from_anywhere(void **state)
{
    (void)state;
    int64_t time_us = START_US;
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind) {
        act_in(kind, touch_both);
        assert_int_equal(act_result, FLAMENCO_OK);
        assert_int_equal(fl_touches_get(b.f.touches, FLAMENCO_TOUCH_WORKER_SEEN, 5), time_us);
        assert_int_equal(fl_touches_get(b.f.touches, FLAMENCO_TOUCH_TASK, 6), time_us);
        hand_clock_advance(&hand, 1000);
        time_us += 1000;
    }
}

static uint64_t wake_count;

static void wake_tasks(flamenco_cx *cx)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = wake_count };
    act_result = cx->host->wake(cx, &wake);
}

static void await_wakes(uint64_t n)
{
    /* The step's end is told of before the wake-up is. */
    fl_publisher_drain(b.f.publisher, fl_monotonic_us() + FAR_US);
    assert_int_equal(fl_parked_wakes(b.f.parked), n);
}

static void wakes_reach_the_parked_requests(void **state)
{
    (void)state;
    wake_count = 2;
    for (uint32_t kind = FLAMENCO_STEP_READ; kind <= FLAMENCO_STEP_WORK; ++kind) {
        act_in(kind, wake_tasks);
        assert_int_equal(act_result, FLAMENCO_OK);
        await_wakes(kind + 1);
    }
    wake_count = 0; /* no task is no news */
    act_in(FLAMENCO_STEP_WRITE, wake_tasks);
    act_in(FLAMENCO_STEP_WORK, wake_tasks);
    assert_int_equal(act_result, FLAMENCO_OK);
    await_wakes(3);
}

static void all_effects(flamenco_cx *cx)
{
    emit_plain(cx);
    emit_rows(cx);
    append_logs(cx);
    touch_both(cx);
    wake_tasks(cx);
}

static void effects_of_a_step_that_fails_never_happened(void **state)
{
    (void)state;
    work w = { .result = FLAMENCO_E_CONFLICT, .act = all_effects };
    wake_count = 2;
    assert_int_equal(submit_step(FLAMENCO_STEP_WRITE, &w, 0), FLAMENCO_OK);
    await_destroyed(&w);
    await_wakes(0);
    assert_string_equal(b.events, "");
    assert_string_equal(b.logs, "");
    assert_int_equal(fl_touches_get(b.f.touches, FLAMENCO_TOUCH_TASK, 6), FLAMENCO_TIME_NONE);
}

static void effects_of_a_step_that_runs_twice_happen_once(void **state)
{
    (void)state;
    work w = { .act = emit_plain };
    b.store.fail_code = FLAMENCO_E_IO;
    b.store.fail_commits = 1;
    assert_int_equal(submit_step(FLAMENCO_STEP_WRITE, &w, 0), FLAMENCO_OK);
    await_destroyed(&w);
    assert_int_equal(w.runs, 2);
    fl_publisher_drain(b.f.publisher, fl_monotonic_us() + FAR_US);
    assert_string_equal(b.events, "/last-rendered");
}

/* ---- Small services ------------------------------------------------------------------------------------------------- */

static void times_come_from_clock_and_system(void **state)
{
    (void)state;
    assert_int_equal(host.table.now_us(host.table.h), START_US);
    int64_t before_us = fl_monotonic_us(), now_us = host.table.monotonic_us(host.table.h);
    assert_true(now_us >= before_us && now_us <= fl_monotonic_us());
}

static void uuids_are_made_written_and_read(void **state)
{
    (void)state;
    flamenco_uuid four, seven, back;
    char text[37];
    assert_int_equal(host.table.uuid_make(host.table.h, 4, &four), FLAMENCO_OK);
    assert_int_equal(host.table.uuid_make(host.table.h, 7, &seven), FLAMENCO_OK);
    assert_int_equal(host.table.uuid_make(host.table.h, 1, &back), FLAMENCO_E_INVALID);
    assert_int_equal(four.b[6] >> 4, 4);
    assert_int_equal(seven.b[6] >> 4, 7);
    uint64_t ms = 0;
    for (int i = 0; i < 6; ++i)
        ms = ms << 8 | seven.b[i];
    assert_int_equal(ms, START_US / 1000); /* by the clock service */
    host.table.uuid_format(&four, text);
    assert_int_equal(host.table.uuid_parse(flamenco_text(text), &back), FLAMENCO_OK);
    assert_memory_equal(&back, &four, sizeof(back));
    assert_int_equal(host.table.uuid_parse(flamenco_text("no uuid"), &back), FLAMENCO_E_INVALID);
}

static void memory_is_given_and_taken(void **state)
{
    (void)state;
    void *none = host.table.alloc(host.table.h, 0), *some = host.table.alloc(host.table.h, 100);
    assert_non_null(none);
    assert_non_null(some);
    memset(some, 1, 100);
    host.table.free(host.table.h, none);
    host.table.free(host.table.h, some);
    host.table.free(host.table.h, NULL);
}

static void metrics_bear_the_instance_s_name(void **state)
{
    (void)state;
    fl_buf out = { 0 };
    host.table.metric(host.table.h, "answers_total", 40);
    host.table.metric(host.table.h, "answers_total", 2);
    host.table.metric(host.table.h, "bad-name", 1);
    fl_metrics_write(&b.f, &out);
    fl_buf_add_char(&out, '\0');
    assert_false(out.failed);
    assert_non_null(strstr(out.data, "flamenco_answers_total{plugin=\"tester\"} 42\n"));
    assert_null(strstr(out.data, "bad-name"));
    fl_buf_fini(&out);
}

static void log_lines_bear_the_instance_s_name(void **state)
{
    (void)state;
    char line[512] = "";
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    fl_log_setup(pipe_fds[1], FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    host.table.log(host.table.h, FLAMENCO_LOG_WARN, "answer %d", 42);
    host.table.log(host.table.h, FLAMENCO_LOG_DEBUG, "not shown");
    fl_log_setup(STDERR_FILENO, FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_true(n > 0);
    assert_non_null(strstr(line, "tester: answer 42\n"));
    assert_null(strstr(line, "not shown"));
}

static void services_come_from_the_finder_alone(void **state)
{
    (void)state;
    void *self = NULL;
    assert_null(host.table.service(host.table.h, "flamenco.clock/1", &self));
    assert_null(self);
}

static void fail_asks_the_manager_to_stop_once(void **state)
{
    (void)state;
    struct pollfd wake = { .fd = b.f.wake_fd, .events = POLLIN };
    assert_int_equal(poll(&wake, 1, 0), 0);
    (host.table.fail)(host.table.h, "the lease is lost");
    assert_int_equal(poll(&wake, 1, 0), 1);
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_FAIL);
    fl_manager_restart(&b.f); /* the first call counts */
    (host.table.fail)(host.table.h, "once more");
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_FAIL);
    uint64_t signals = 0;
    assert_int_equal(read(b.f.wake_fd, &signals, sizeof(signals)), sizeof(signals));
    assert_int_equal(signals, 1);
}

static void restart_is_asked_for_once_and_failure_goes_before_it(void **state)
{
    uint64_t signals = 0;
    (void)state;
    fl_manager_restart(&b.f);
    fl_manager_restart(&b.f);
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_RESTART);
    assert_int_equal(read(b.f.wake_fd, &signals, sizeof(signals)), sizeof(signals));
    assert_int_equal(signals, 1);
    fl_manager_fail(&b.f, "the lease is lost");
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_FAIL);
    assert_int_equal(read(b.f.wake_fd, &signals, sizeof(signals)), sizeof(signals));
}

#define host_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        host_test(steps_run_where_their_kind_says),
        host_test(steps_may_run_again_or_fail),
        host_test(steps_that_cannot_run_are_refused_and_destroyed),
        host_test(shorter_struct_of_an_older_plugin_is_read_to_its_size),
        host_test(delayed_step_waits_for_the_clock),
        host_test(delayed_steps_that_never_come_are_destroyed),
        host_test(steps_are_destroyed_unrun_when_everything_stops),
        host_test(events_are_sent_from_anywhere),
        host_test(events_of_steps_alone_are_marked),
        host_test(events_that_nobody_wants_are_not_made),
        host_test(listener_alone_gets_its_kinds_until_its_plugin_stops),
        host_test(own_log_lines_are_stamped_with_local_time),
        host_test(touches_are_kept_from_anywhere),
        host_test(wakes_reach_the_parked_requests),
        host_test(effects_of_a_step_that_fails_never_happened),
        host_test(effects_of_a_step_that_runs_twice_happen_once),
        host_test(times_come_from_clock_and_system),
        host_test(uuids_are_made_written_and_read),
        host_test(memory_is_given_and_taken),
        host_test(metrics_bear_the_instance_s_name),
        host_test(log_lines_bear_the_instance_s_name),
        host_test(services_come_from_the_finder_alone),
        host_test(fail_asks_the_manager_to_stop_once),
        host_test(restart_is_asked_for_once_and_failure_goes_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
