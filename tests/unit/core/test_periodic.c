/* SPDX-License-Identifier: Apache-2.0
 *
 * The core's periodic work on a clock that is moved by hand: when it runs, and what the time-outs do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bench_core.h"
#include "core/base/str.h"
#include "core/budget.h"
#include "core/config/current.h"
#include "core/parked.h"
#include "core/periodic.h"
#include "core/publisher.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"
#include "hand_clock.h"
#include "temp_dir.h"

#define FAR_US 60000000
#define SECOND_US INT64_C(1000000)
#define START_US (1000000 * SECOND_US)
#define ROWS_MAX 500

static bench b;
static hand_clock hand;
static fl_periodic *periodic;
static flamenco_persistence store;
static char dir[TEMP_DIR_MAX];

/* What the fake services were asked, guarded by the bench's lock. */
static struct {
    int timeouts, sleeps, checks; /* how often */
    int64_t task_limit_us, worker_limit_us;
    size_t stored_before; /* numbers in the store's transaction when it was asked */
    int n_tasks, n_workers; /* time-outs that are to be found */
    int tasks_done, workers_done;
    flamenco_worker worker; /* as it was updated last */
    uint32_t set;
    char reason[64];
    int32_t check_result, sleep_result;
    int fail_commit; /* the commit of the first look for time-outs fails */
} seen;

/* ---- Services ------------------------------------------------------------------------------------------------------- */

static void lock(void)
{
    pthread_mutex_lock(&b.lock);
}

static void unlock(void)
{
    pthread_cond_broadcast(&b.changed);
    pthread_mutex_unlock(&b.lock);
}

static int32_t tasks_timed_out(void *self, flamenco_cx *cx, int64_t touched_max_us, flamenco_visit_task visit,
                               void *ctx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    lock();
    ++seen.timeouts;
    seen.task_limit_us = touched_max_us;
    fake_store *fake = self;
    seen.stored_before = fake->n_pending;
    if (seen.fail_commit && seen.timeouts == 1) {
        fake->fail_code = FLAMENCO_E_FULL;
        fake->fail_commits = 1;
    }
    int first = seen.tasks_done, n = seen.n_tasks;
    unlock();
    for (int i = first; i < n; ++i) {
        flamenco_task row = { .struct_size = (uint32_t)sizeof(row), .key = i + 1 };
        if (visit(ctx, &row) != 0)
            break;
    }
    return FLAMENCO_OK;
}

static int32_t task_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_task *out, flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)err;
    out->key = key;
    out->status = FLAMENCO_TASK_ACTIVE;
    return FLAMENCO_OK;
}

static flamenco_uuid worker_uuid(int n)
{
    flamenco_uuid uuid = { { (uint8_t)(n + 1) } };
    return uuid;
}

static int32_t workers_timed_out(void *self, flamenco_cx *cx, int64_t seen_max_us, flamenco_visit_worker visit,
                                 void *ctx, flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)err;
    lock();
    seen.worker_limit_us = seen_max_us;
    int n = seen.n_workers;
    unlock();
    for (int i = 0; i < n; ++i) {
        flamenco_worker row = { .struct_size = (uint32_t)sizeof(row), .key = i + 1, .uuid = worker_uuid(i) };
        if (visit(ctx, &row) != 0)
            break;
    }
    return FLAMENCO_OK;
}

static int32_t worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)err;
    out->key = key;
    out->uuid = worker_uuid((int)key - 1);
    out->status = FLAMENCO_WORKER_AWAKE;
    out->requested = FLAMENCO_WORKER_ASLEEP;
    out->lazy = 1;
    out->name = FL_STR("sleepy");
    return FLAMENCO_OK;
}

static int32_t worker_update(void *self, flamenco_cx *cx, int64_t key, const flamenco_worker_update *update,
                             flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)key;
    (void)err;
    lock();
    seen.worker = *update->row;
    seen.set = update->set;
    unlock();
    return FLAMENCO_OK;
}

static int32_t check_store(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    (void)session;
    (void)cx;
    lock();
    ++seen.checks;
    int32_t rc = seen.check_result;
    unlock();
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "checked on command");
}

static int32_t task_timed_out(void *self, flamenco_cx *cx, flamenco_task *task, flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)err;
    lock();
    if (task->key == seen.tasks_done + 1)
        ++seen.tasks_done;
    unlock();
    return FLAMENCO_OK;
}

static int32_t return_tasks(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_str reason,
                            flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)worker;
    (void)err;
    lock();
    ++seen.workers_done;
    snprintf(seen.reason, sizeof(seen.reason), "%.*s", FL_STR_ARGS(reason));
    unlock();
    return FLAMENCO_OK;
}

static const flamenco_state_machine state_machine = { .struct_size = (uint32_t)sizeof(state_machine),
                                                      .task_timed_out = task_timed_out,
                                                      .worker_return_tasks = return_tasks };

static int32_t apply_due(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    lock();
    seen.sleeps += cx->txn != NULL && !cx->read_only;
    int32_t rc = seen.sleep_result;
    unlock();
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "fails on command");
}

static const flamenco_sleep_scheduler sleep_scheduler = { .struct_size = (uint32_t)sizeof(sleep_scheduler),
                                                          .apply_due = apply_due };

/* ---- Set-up --------------------------------------------------------------------------------------------------------- */

/* Starts it with a flamenco-manager.yaml of that text. */
static void open_bench(const char *settings)
{
    char path[TEMP_DIR_MAX], text[512];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_config_problems problems = { 0 };
    memset(&seen, 0, sizeof(seen));
    bench_start(&b, FAR_US);
    store = fake_store_table;
    store.tasks_timed_out = tasks_timed_out;
    store.task_get_key = task_get_key;
    store.workers_timed_out = workers_timed_out;
    store.worker_get_key = worker_get_key;
    store.worker_update = worker_update;
    store.check = check_store;
    b.f.persist.table = &store;
    b.f.state_machine.table = &state_machine;
    hand_clock_init(&hand, START_US);
    b.f.clock.table = &hand_clock_table;
    b.f.clock.self = &hand;
    temp_dir_make(dir);
    temp_path(path, "%s/flamenco-manager.yaml", dir);
    snprintf(text, sizeof(text), "_meta: {version: 3}\n%s", settings);
    temp_file_write(path, text);
    fl_config_options options = { .cwd = flamenco_text(dir), .program = "test" };
    assert_int_equal(fl_config_open(&options, &problems, &b.f.config), FLAMENCO_OK);
    assert_int_equal(problems.errors, 0);
    fl_config_problems_fini(&problems);
    b.f.reply_budget = fl_budget_create(1000);
    b.f.compile_budget = fl_budget_create(1000);
    assert_true(b.f.reply_budget != NULL && b.f.compile_budget != NULL);
    assert_int_equal(fl_timers_start(&b.f, &b.f.timers, &err), FLAMENCO_OK);
}

static void begin(void)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(fl_periodic_start(&b.f, &periodic, &err), FLAMENCO_OK);
}

static void no_drop(fl_on_timer on_timer, void *ctx)
{
    (void)on_timer;
    (void)ctx;
}

static int tear_down(void **state)
{
    (void)state;
    if (periodic != NULL)
        fl_periodic_stop(periodic);
    fl_timers_stop(b.f.timers);
    bench_stop(&b);
    fl_timers_destroy(b.f.timers, no_drop);
    fl_periodic_destroy(periodic);
    periodic = NULL;
    fl_budget_destroy(b.f.reply_budget);
    fl_budget_destroy(b.f.compile_budget);
    fl_config_close(b.f.config);
    hand_clock_fini(&hand);
    temp_dir_remove(dir);
    return 0;
}

static void await(const int *what, int n)
{
    lock();
    while (*what < n)
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
}

static int read_int(const int *what)
{
    lock();
    int value = *what;
    unlock();
    return value;
}

/* Moves the clock, and waits until what is due has been submitted: the car park's tick comes every second and plans its
 * next run at its end, so the timers wait for that one then, or for something earlier. */
static void jump(int64_t us)
{
    hand_clock_advance(&hand, us);
    hand_clock_await_within(&hand, SECOND_US);
}

/* Waits until the writer has done all that was submitted: a step of its own comes behind it, and its end behind its end. */
static void await_idle(void)
{
    bench_hold(&b);
    bench_release(&b);
}

/* The same for the work pool; the check's end plans the next one. */
static void await_end_of_check(void)
{
    fl_workpool_stop(b.f.workpool, fl_monotonic_us() + FAR_US);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_workpool_destroy(b.f.workpool);
    assert_int_equal(fl_workpool_start(&b.f, &b.f.workpool, &err), FLAMENCO_OK);
}

/* ---- When it runs --------------------------------------------------------------------------------------------------- */

static void time_outs_are_looked_for_after_five_minutes_then_every_minute(void **state)
{
    (void)state;
    open_bench("");
    begin();
    jump(300 * SECOND_US - 1);
    assert_int_equal(read_int(&seen.timeouts), 0); /* workers had no chance to show themselves yet */
    jump(1);
    await(&seen.timeouts, 1);
    await_idle();
    assert_int_equal(seen.task_limit_us, START_US - 300 * SECOND_US); /* 10 min before now */
    assert_int_equal(seen.worker_limit_us, START_US + 240 * SECOND_US); /* 1 min */
    jump(60 * SECOND_US - 1);
    assert_int_equal(read_int(&seen.timeouts), 1);
    jump(1);
    await(&seen.timeouts, 2);
}

static void interval_begins_at_the_end_of_a_run(void **state)
{
    (void)state;
    open_bench("");
    begin();
    bench_hold(&b); /* the writer is busy: the run is late */
    jump(300 * SECOND_US);
    jump(50 * SECOND_US);
    bench_release(&b);
    await(&seen.timeouts, 1);
    await_idle();
    jump(59 * SECOND_US);
    assert_int_equal(read_int(&seen.timeouts), 1);
    jump(1 * SECOND_US);
    await(&seen.timeouts, 2);
}

static void sleep_schedules_are_applied_every_minute_where_there_are_any(void **state)
{
    (void)state;
    open_bench("");
    b.f.sleep_scheduler.table = &sleep_scheduler;
    seen.sleep_result = FLAMENCO_E_INVALID; /* a failing run does not end it */
    begin();
    jump(2 * SECOND_US - 1);
    assert_int_equal(read_int(&seen.sleeps), 0);
    jump(1);
    await(&seen.sleeps, 1);
    await_idle();
    jump(60 * SECOND_US);
    await(&seen.sleeps, 2);
}

static void absent_sleep_scheduler_is_not_asked(void **state)
{
    (void)state;
    open_bench("");
    begin();
    jump(200 * SECOND_US);
    await_idle();
    assert_int_equal(seen.sleeps, 0);
}

static void database_is_checked_at_its_period(void **state)
{
    (void)state;
    open_bench("database_check_period: 20s\n");
    seen.check_result = FLAMENCO_E_IO; /* trouble is no damage: it is looked at again */
    begin();
    jump(20 * SECOND_US - 1);
    assert_int_equal(read_int(&seen.checks), 0);
    jump(1);
    await(&seen.checks, 1);
    await_end_of_check();
    jump(20 * SECOND_US);
    await(&seen.checks, 2);
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_NOTHING);
}

static void check_may_be_switched_off(void **state)
{
    (void)state;
    open_bench("database_check_period: 0s\n");
    begin();
    for (int i = 0; i < 10; ++i)
        jump(1000 * SECOND_US);
    assert_int_equal(read_int(&seen.checks), 0);
}

static void damaged_database_stops_the_manager(void **state)
{
    (void)state;
    open_bench("database_check_period: 20s\n");
    seen.check_result = FLAMENCO_E_CORRUPT;
    begin();
    jump(20 * SECOND_US);
    await(&seen.checks, 1);
    await_end_of_check();
    assert_int_equal(__atomic_load_n(&b.f.wanted, __ATOMIC_ACQUIRE), FL_WANT_FAIL);
}

static void nothing_begins_after_the_stop(void **state)
{
    (void)state;
    open_bench("database_check_period: 20s\n");
    begin();
    jump(SECOND_US);
    fl_periodic_stop(periodic);
    hand_clock_advance(&hand, 1000 * SECOND_US);
    hand_clock_await(&hand, INT64_MAX); /* whatever was due came, and nothing was planned anew */
    await_idle();
    assert_int_equal(seen.timeouts + seen.checks, 0);
}

/* ---- What the time-outs do ------------------------------------------------------------------------------------------ */

enum { N_KEPT = 450 }; /* more than go at one time */

/* As if a commit had stored the workers' times, and newer ones could wait for another 9 s. */
static void keep_times(void)
{
    flamenco_touch taken[N_KEPT];
    bench_hold(&b); /* the writer itself stores none meanwhile */
    for (int i = 1; i <= N_KEPT; ++i)
        fl_touches_note_waiting(b.f.touches, i, START_US);
    assert_int_equal(fl_touches_take(b.f.touches, 0, taken, N_KEPT), N_KEPT);
    for (int i = 1; i <= N_KEPT; ++i)
        fl_touches_note_waiting(b.f.touches, i, START_US + SECOND_US);
    bench_release(&b);
}

static void kept_times_are_in_the_store_before_it_is_asked(void **state)
{
    (void)state;
    open_bench("");
    begin();
    keep_times();
    jump(300 * SECOND_US);
    await(&seen.timeouts, 1);
    await_idle();
    assert_int_equal(seen.stored_before, N_KEPT);
    assert_int_equal(b.store.n_committed, N_KEPT);
}

/* A store that fails for a while must not make everybody time out when it is back. */
static void kept_times_are_stored_by_the_second_run_when_the_first_failed(void **state)
{
    (void)state;
    open_bench("");
    seen.fail_commit = 1;
    begin();
    keep_times();
    jump(300 * SECOND_US);
    await(&seen.timeouts, 2);
    await_idle();
    assert_int_equal(seen.stored_before, N_KEPT);
    assert_int_equal(b.store.n_committed, N_KEPT);
    for (int i = 0; i < N_KEPT; ++i)
        assert_true(b.store.committed[i] < 0);
}

static void zero_switches_off_that_check_alone(void **state)
{
    (void)state;
    open_bench("task_timeout: 0s\nworker_timeout: 30s\n");
    seen.n_workers = 1;
    begin();
    jump(300 * SECOND_US);
    await(&seen.workers_done, 1);
    await_idle();
    assert_int_equal(seen.timeouts, 0);
    assert_int_equal(seen.worker_limit_us, START_US + 270 * SECOND_US);
}

static void timed_out_worker_gets_error_and_keeps_what_it_was(void **state)
{
    (void)state;
    open_bench("");
    seen.n_workers = 1;
    begin();
    jump(300 * SECOND_US);
    await(&seen.workers_done, 1);
    await_idle();
    assert_int_equal(seen.worker.status, FLAMENCO_WORKER_ERROR);
    assert_int_equal(seen.worker.last_good_status, FLAMENCO_WORKER_AWAKE);
    assert_int_equal(seen.worker.requested, FLAMENCO_WORKER_NONE);
    assert_int_equal(seen.worker.lazy, 0);
    assert_int_equal(seen.worker.updated_us, START_US + 300 * SECOND_US);
    assert_int_equal(seen.set,
                     FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST | FLAMENCO_WORKER_SET_LAST_GOOD);
    assert_non_null(strstr(seen.reason, "timed out"));
    fl_publisher_drain(b.f.publisher, fl_monotonic_us() + FAR_US);
    assert_string_equal(b.events, "/workers");
}

static int hold_waiter(fl_step *step)
{
    (void)step;
    return 1;
}

static void waiter_expired(fl_step *step)
{
    (void)step;
}

static const fl_step_ops waiter_ops = {
    .name = "waiter", .kind = FLAMENCO_STEP_WRITE, .hold = hold_waiter, .expired = waiter_expired
};

static void worker_whose_request_waits_is_not_timed_out(void **state)
{
    (void)state;
    static fl_step waiter;
    open_bench("");
    memset(&waiter, 0, sizeof(waiter));
    waiter.ops = &waiter_ops;
    waiter.park = (fl_park){
        .kind = FLAMENCO_WAKE_TASKS, .worker = worker_uuid(1), .worker_key = 2, .hold_us = 1000 * SECOND_US
    };
    fl_parked_add(b.f.parked, &waiter);
    seen.n_workers = 3;
    begin();
    jump(300 * SECOND_US);
    await(&seen.workers_done, 2);
    await_idle();
    assert_int_equal(seen.workers_done, 2);
    assert_int_equal(fl_touches_get(b.f.touches, FLAMENCO_TOUCH_WORKER_SEEN, 2), START_US + 300 * SECOND_US);
}

static void many_time_outs_are_worked_off_in_steps(void **state)
{
    (void)state;
    enum { N = 450 };
    open_bench("");
    seen.n_tasks = N;
    begin();
    jump(300 * SECOND_US);
    await(&seen.tasks_done, N); /* the clock stands still: it goes on at once */
    await_idle();
    assert_int_equal(seen.timeouts, 3);
    jump(59 * SECOND_US);
    assert_int_equal(read_int(&seen.timeouts), 3);
}

#define periodic_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        periodic_test(time_outs_are_looked_for_after_five_minutes_then_every_minute),
        periodic_test(interval_begins_at_the_end_of_a_run),
        periodic_test(sleep_schedules_are_applied_every_minute_where_there_are_any),
        periodic_test(absent_sleep_scheduler_is_not_asked),
        periodic_test(database_is_checked_at_its_period),
        periodic_test(check_may_be_switched_off),
        periodic_test(damaged_database_stops_the_manager),
        periodic_test(nothing_begins_after_the_stop),
        periodic_test(kept_times_are_in_the_store_before_it_is_asked),
        periodic_test(kept_times_are_stored_by_the_second_run_when_the_first_failed),
        periodic_test(zero_switches_off_that_check_alone),
        periodic_test(timed_out_worker_gets_error_and_keeps_what_it_was),
        periodic_test(worker_whose_request_waits_is_not_timed_out),
        periodic_test(many_time_outs_are_worked_off_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
