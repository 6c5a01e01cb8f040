/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of parked requests by itself: the executor is a list in this file, clients answer when the test says so. What it
 * does beside real threads is tested in test_parked_threads.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/executor.h"
#include "core/parked.h"
#include "core/touches.h"

#define HOLD_US 10000000
#define AT_ONCE 128 /* as in parked.c */
#define RECENT 64
#define MANY 10000

typedef struct waiter {
    fl_step step;
    int id;
    int gone; /* hold() finds the client gone */
    int checks, submits, holds, expired;
} waiter;

static struct flamenco manager;
static fl_parked *parked;
static int64_t clock_us;
static waiter *checked[2 * MANY], *submitted[2 * MANY]; /* in order of the calls */
static int n_checked, n_submitted;

static int64_t read_clock(void *self)
{
    (void)self;
    return clock_us;
}

static const flamenco_clock clock_table = { .struct_size = (uint32_t)sizeof(flamenco_clock),
                                            .now_us = read_clock,
                                            .monotonic_us = read_clock };

/* In the executor's place. */
void fl_executor_submit(fl_executor *ex, fl_step *step)
{
    waiter *w = (waiter *)(void *)step;
    (void)ex;
    assert_int_equal(step->deadline_us, 0); /* the time in the car park does not count */
    ++w->submits;
    submitted[n_submitted++] = w;
}

static int hold(fl_step *step)
{
    waiter *w = (waiter *)(void *)step;
    ++w->holds;
    return !w->gone;
}

static void check(fl_step *step)
{
    waiter *w = (waiter *)(void *)step;
    ++w->checks;
    checked[n_checked++] = w;
}

static void expired(fl_step *step)
{
    ++((waiter *)(void *)step)->expired;
}

static const fl_step_ops ops = {
    .name = "waiter", .kind = FLAMENCO_STEP_WRITE, .hold = hold, .check = check, .expired = expired
};

static int set_up(void **state)
{
    (void)state;
    memset(&manager, 0, sizeof(manager));
    clock_us = 1000000;
    n_checked = n_submitted = 0;
    manager.clock.table = &clock_table;
    manager.touches = fl_touches_create();
    manager.parked = parked = fl_parked_create(&manager);
    return manager.touches != NULL && parked != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fl_parked_drain(parked);
    fl_parked_destroy(parked);
    fl_touches_destroy(manager.touches);
    return 0;
}

/* ---- Helpers ------------------------------------------------------------------------------------------------------ */

static flamenco_uuid worker_uuid(int n)
{
    flamenco_uuid uuid = { { 1 } };
    memcpy(&uuid.b[8], &n, sizeof(n));
    return uuid;
}

/* A request of worker `id` that wants a task of these types. */
static void init(waiter *w, int id, const char *types)
{
    memset(w, 0, sizeof(*w));
    w->id = id;
    w->step.ops = &ops;
    w->step.park = (fl_park){ .kind = FLAMENCO_WAKE_TASKS,
                              .worker = worker_uuid(id),
                              .worker_key = id + 1,
                              .task_types = flamenco_text(types),
                              .hold_us = HOLD_US };
}

/* Looks, finds nothing, parks. */
static void park(waiter *w)
{
    w->step.wakes_seen = fl_parked_wakes(parked);
    w->step.deadline_us = 99;
    fl_parked_add(parked, &w->step);
}

static void init_and_park(waiter *w, int n, const char *types)
{
    for (int i = 0; i < n; ++i) {
        init(&w[i], i, types);
        park(&w[i]);
    }
}

static void wake_tasks(uint64_t count, const char *type)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake),
                           .what = FLAMENCO_WAKE_TASKS,
                           .count = count,
                           .task_type = flamenco_text(type) };
    fl_parked_wake(parked, &wake);
}

static void wake_worker(int id)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake),
                           .what = FLAMENCO_WAKE_WORKER,
                           .worker = worker_uuid(id) };
    fl_parked_wake(parked, &wake);
}

/* Its client is there, and the step runs once more: it finds a task, or nothing. */
static void runs_and_is_served(waiter *w)
{
    fl_parked_checked(parked, &w->step, 1);
    fl_parked_ended(parked, &w->step, 1);
}

static void runs_in_vain(waiter *w)
{
    fl_parked_checked(parked, &w->step, 1);
    park(w);
}

/* Who was checked since the last call, as "0 1 2". */
static const char *checks(void)
{
    static char text[256];
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < n_checked && used < sizeof(text) - 16; ++i)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", i > 0 ? " " : "", checked[i]->id);
    n_checked = 0;
    return text;
}

/* ---- Tasks -------------------------------------------------------------------------------------------------------- */

static void wake_for_tasks_tries_the_oldest_and_no_more_than_there_are_tasks(void **state)
{
    (void)state;
    static waiter w[5];
    init_and_park(w, 5, "blender");
    wake_tasks(2, "blender");
    assert_string_equal(checks(), "0 1");
    assert_int_equal(fl_parked_count(parked), 3);
    runs_and_is_served(&w[0]);
    assert_string_equal(checks(), ""); /* one task is left, and 1 is on its way to it */
    runs_and_is_served(&w[1]);
    assert_string_equal(checks(), "");
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "2");
    for (int i = 0; i < 5; ++i)
        assert_int_equal(w[i].submits, i < 2);
    runs_and_is_served(&w[2]);
}

static void next_one_is_tried_when_a_worker_cannot_take_the_task(void **state)
{
    (void)state;
    static waiter w[4];
    init_and_park(w, 4, "blender");
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "0");
    runs_in_vain(&w[0]);
    assert_string_equal(checks(), "1");
    runs_in_vain(&w[1]);
    assert_string_equal(checks(), "2");
    runs_and_is_served(&w[2]);
    assert_string_equal(checks(), "");
    assert_int_equal(fl_parked_count(parked), 3);
}

static void refused_worker_makes_room_like_one_that_parks_again(void **state)
{
    (void)state;
    static waiter w[3];
    init_and_park(w, 3, "blender");
    wake_tasks(1, "blender");
    fl_parked_checked(parked, &w[0].step, 1);
    fl_parked_ended(parked, &w[0].step, 0); /* 423: it is to sleep */
    assert_string_equal(checks(), "0 1");
    runs_and_is_served(&w[1]);
    assert_string_equal(checks(), "");
}

static void step_that_parks_again_keeps_its_place(void **state)
{
    (void)state;
    static waiter w[4];
    init_and_park(w, 4, "blender");
    wake_tasks(3, "blender");
    assert_string_equal(checks(), "0 1 2");
    /* They come back in another order, and in vain. */
    runs_in_vain(&w[2]);
    runs_in_vain(&w[0]);
    runs_in_vain(&w[1]);
    assert_string_equal(checks(), "3");
    runs_in_vain(&w[3]);
    wake_tasks(4, "blender");
    assert_string_equal(checks(), "0 1 2 3");
    for (int i = 0; i < 4; ++i)
        runs_in_vain(&w[i]);
}

static void only_workers_that_do_the_task_type_are_tried(void **state)
{
    (void)state;
    static const struct {
        const char *types;
        int tried;
    } rows[] = {
        { "ffmpeg", 0 },
        { "blender", 1 },
        { "blender-render", 0 },
        { "blend", 0 },
        { "ffmpeg,blender", 1 },
        { "blender,misc", 1 },
        { "misc,blender,file-management", 1 },
        { "xblender,blenderx", 0 },
        { "", 0 },
    };
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    static waiter w[N];
    for (int i = 0; i < N; ++i) {
        init(&w[i], i, rows[i].types);
        park(&w[i]);
    }
    wake_tasks(100, "blender");
    for (int i = 0; i < N; ++i)
        assert_int_equal(w[i].checks, rows[i].tried);
    for (int i = 0; i < N; ++i) {
        if (rows[i].tried)
            runs_and_is_served(&w[i]);
    }
}

static void unknown_or_mixed_types_are_for_everybody(void **state)
{
    (void)state;
    static char long_type[400];
    memset(long_type, 'x', sizeof(long_type) - 1);
    const char *const types[] = { "", long_type };
    for (size_t i = 0; i < 2; ++i) {
        static waiter w[2];
        init(&w[0], 0, "ffmpeg");
        init(&w[1], 1, "blender");
        park(&w[0]);
        park(&w[1]);
        wake_tasks(2, types[i]);
        assert_string_equal(checks(), "0 1");
        runs_and_is_served(&w[0]);
        runs_and_is_served(&w[1]);
    }
}

static void second_type_while_tasks_are_open_opens_the_filter(void **state)
{
    (void)state;
    static waiter w[3];
    init(&w[0], 0, "blender");
    init(&w[1], 1, "ffmpeg");
    init(&w[2], 2, "misc");
    for (int i = 0; i < 3; ++i)
        park(&w[i]);
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "0");
    wake_tasks(1, "ffmpeg");
    assert_string_equal(checks(), "1");
    runs_and_is_served(&w[0]);
    runs_and_is_served(&w[1]);
    assert_string_equal(checks(), "");
    /* When they are gone the next wake-up has its filter again. */
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "");
    wake_tasks(1, "misc");
    assert_string_equal(checks(), "2");
    runs_and_is_served(&w[2]);
}

static void no_more_than_a_limited_number_is_under_way(void **state)
{
    (void)state;
    enum { N = AT_ONCE + 50 };
    static waiter w[N];
    init_and_park(w, N, "blender");
    wake_tasks(1000, "blender");
    assert_int_equal(n_checked, AT_ONCE);
    runs_and_is_served(&w[0]);
    assert_int_equal(n_checked, AT_ONCE + 1);
    for (int i = 1; i < N; ++i)
        runs_and_is_served(&w[i]);
    assert_int_equal(n_checked, N);
    assert_int_equal(fl_parked_count(parked), 0);
}

static void tasks_that_nobody_can_take_are_forgotten(void **state)
{
    (void)state;
    static waiter w[3], late[2];
    init_and_park(w, 3, "blender");
    wake_tasks(50, "blender");
    assert_string_equal(checks(), "0 1 2");
    runs_in_vain(&w[0]);
    runs_in_vain(&w[1]);
    /* While one is under way a newcomer is tried, too: it looked before the tasks were there. */
    init(&late[0], 3, "blender");
    park(&late[0]);
    assert_string_equal(checks(), "3");
    runs_in_vain(&w[2]);
    runs_in_vain(&late[0]);
    /* Now each was tried once, in vain: nobody is tried for them any more. */
    init(&late[1], 4, "blender");
    park(&late[1]);
    assert_string_equal(checks(), "");
    for (int i = 0; i < 3; ++i)
        assert_int_equal(w[i].checks, 1);
    assert_int_equal(fl_parked_count(parked), 5);
}

static void tasks_that_come_during_a_try_are_tried_for_again(void **state)
{
    (void)state;
    static waiter w[2];
    init_and_park(w, 2, "blender");
    wake_tasks(1, "blender");
    fl_parked_checked(parked, &w[0].step, 1);
    w[0].step.wakes_seen = fl_parked_wakes(parked); /* it runs now, and sees what is there so far */
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "0 1");
    runs_and_is_served(&w[1]); /* one of the two is left */
    fl_parked_add(parked, &w[0].step);
    assert_string_equal(checks(), "0");
    runs_and_is_served(&w[0]);
    assert_int_equal(fl_parked_count(parked), 0);
}

static void empty_car_park_forgets_wakes_for_tasks(void **state)
{
    (void)state;
    static waiter w;
    wake_tasks(7, "blender");
    init_and_park(&w, 1, "blender");
    assert_string_equal(checks(), ""); /* its look came after the commit that told of them */
}

/* ---- News of a worker --------------------------------------------------------------------------------------------- */

static void all_requests_of_a_worker_hear_its_news(void **state)
{
    (void)state;
    static waiter task, news, again, other;
    init(&task, 7, "blender");
    init(&news, 7, "");
    init(&again, 7, "blender");
    init(&other, 8, "blender");
    news.step.park.kind = FLAMENCO_WAKE_WORKER;
    park(&task);
    park(&news);
    park(&other);
    park(&again);
    assert_int_equal(fl_parked_count(parked), 4);
    wake_worker(7);
    assert_int_equal(task.checks, 1);
    assert_int_equal(news.checks, 1);
    assert_int_equal(again.checks, 1);
    assert_int_equal(other.checks, 0);
    runs_in_vain(&task);
    runs_in_vain(&news);
    fl_parked_checked(parked, &again.step, 1);
    fl_parked_ended(parked, &again.step, 0);
    assert_int_equal(fl_parked_count(parked), 3);
    assert_int_equal(task.checks, 1);
}

static void request_for_news_is_not_tried_for_tasks(void **state)
{
    (void)state;
    static waiter w[2];
    init(&w[0], 0, "blender");
    init(&w[1], 1, "blender");
    w[0].step.park.kind = FLAMENCO_WAKE_WORKER;
    park(&w[0]);
    park(&w[1]);
    wake_tasks(10, "blender");
    assert_string_equal(checks(), "1");
    runs_and_is_served(&w[1]);
}

static void news_do_not_use_up_tasks(void **state)
{
    (void)state;
    static waiter w[3];
    init_and_park(w, 3, "blender");
    wake_worker(0);
    assert_string_equal(checks(), "0");
    wake_tasks(2, "blender");
    assert_string_equal(checks(), "1"); /* 0 runs anyway, and will see them */
    runs_in_vain(&w[0]); /* it came back, though: it is the oldest, and was not tried for them yet */
    assert_string_equal(checks(), "0");
    runs_and_is_served(&w[0]);
    runs_and_is_served(&w[1]);
    assert_string_equal(checks(), "");
    assert_int_equal(w[2].checks, 0);
}

static void news_between_look_and_park_run_it_again_at_once(void **state)
{
    (void)state;
    static waiter w, stranger;
    init(&w, 1, "blender");
    w.step.wakes_seen = fl_parked_wakes(parked);
    wake_worker(1);
    fl_parked_add(parked, &w.step);
    assert_int_equal(w.submits, 1);
    assert_int_equal(w.holds, 0);
    assert_int_equal(fl_parked_count(parked), 0);
    park(&w); /* now it has seen the news */
    assert_int_equal(w.submits, 1);
    assert_int_equal(fl_parked_count(parked), 1);

    init(&stranger, 2, "blender");
    stranger.step.wakes_seen = fl_parked_wakes(parked);
    wake_worker(3);
    fl_parked_add(parked, &stranger.step);
    assert_int_equal(stranger.submits, 0);
    assert_int_equal(fl_parked_count(parked), 2);
}

/* For each number of wake-ups that came between: of others alone, or of the worker's own first. */
static void remembered_news_reach_back_far_enough(void **state)
{
    (void)state;
    for (int others = 0; others < 2 * RECENT; ++others) {
        static waiter w;
        init(&w, 1, "blender");
        w.step.wakes_seen = fl_parked_wakes(parked);
        wake_worker(1);
        for (int i = 0; i < others; ++i)
            wake_worker(1000 + i);
        fl_parked_add(parked, &w.step);
        assert_int_equal(w.submits, 1); /* its own news is never lost, not even when the list runs over */
        assert_int_equal(fl_parked_count(parked), 0);

        init(&w, 1, "blender");
        w.step.wakes_seen = fl_parked_wakes(parked);
        for (int i = 0; i < others; ++i)
            wake_worker(1000 + i);
        fl_parked_add(parked, &w.step);
        assert_int_equal(w.submits, others >= RECENT); /* then it is not known any more, and it looks again */
        assert_int_equal(fl_parked_remove(parked, &w.step), others < RECENT);
    }
}

static void news_during_a_try_run_it_again_and_free_its_place(void **state)
{
    (void)state;
    static waiter w[2];
    init_and_park(w, 2, "blender");
    wake_tasks(1, "blender");
    fl_parked_checked(parked, &w[0].step, 1);
    w[0].step.wakes_seen = fl_parked_wakes(parked);
    wake_worker(0);
    fl_parked_add(parked, &w[0].step);
    assert_int_equal(w[0].submits, 2);
    assert_string_equal(checks(), "0 1"); /* somebody else may have the task meanwhile */
    fl_parked_ended(parked, &w[0].step, 1);
    runs_in_vain(&w[1]);
    assert_string_equal(checks(), "");
    assert_int_equal(fl_parked_count(parked), 1);
}

static void worker_is_known_while_its_request_waits(void **state)
{
    (void)state;
    static waiter w[2];
    flamenco_uuid first = worker_uuid(0), nobody = worker_uuid(77);
    init_and_park(w, 2, "blender");
    assert_true(fl_parked_has_worker(parked, &first));
    assert_false(fl_parked_has_worker(parked, &nobody));
    assert_true(fl_parked_remove(parked, &w[0].step));
    assert_false(fl_parked_has_worker(parked, &first));
}

/* ---- Clients that go ---------------------------------------------------------------------------------------------- */

static void removed_request_is_never_tried(void **state)
{
    (void)state;
    static waiter w[3];
    init_and_park(w, 3, "blender");
    assert_true(fl_parked_remove(parked, &w[0].step));
    assert_false(fl_parked_remove(parked, &w[0].step)); /* only once */
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "1");
    wake_worker(0);
    assert_string_equal(checks(), "");
    runs_and_is_served(&w[1]);
    assert_int_equal(w[0].expired, 0);
}

static void request_on_its_way_is_not_removed(void **state)
{
    (void)state;
    static waiter w[3];
    init_and_park(w, 3, "blender");
    wake_tasks(2, "blender");
    assert_false(fl_parked_remove(parked, &w[0].step)); /* being checked: the check will find out */
    fl_parked_checked(parked, &w[1].step, 1);
    assert_false(fl_parked_remove(parked, &w[1].step)); /* running: its end or its next park will */
    fl_parked_checked(parked, &w[0].step, 0);
    assert_string_equal(checks(), "0 1 2"); /* the task of the dead one goes to the next */
    assert_int_equal(w[0].submits, 0);
    w[1].gone = 1;
    park(&w[1]);
    assert_int_equal(w[1].expired, 1);
    runs_and_is_served(&w[2]);
    assert_int_equal(fl_parked_count(parked), 0);
}

static void client_that_goes_before_it_is_parked_is_told_at_once(void **state)
{
    (void)state;
    static waiter w;
    init(&w, 0, "blender");
    w.gone = 1;
    park(&w);
    assert_int_equal(w.holds, 1);
    assert_int_equal(w.expired, 1);
    assert_int_equal(fl_parked_count(parked), 0);
    assert_false(fl_parked_remove(parked, &w.step));
}

static void end_of_a_request_that_never_parked_changes_nothing(void **state)
{
    (void)state;
    static waiter w[2], never;
    init_and_park(w, 2, "blender");
    init(&never, 5, "blender");
    wake_tasks(1, "blender");
    assert_string_equal(checks(), "0");
    fl_parked_ended(parked, &never.step, 1);
    assert_false(fl_parked_remove(parked, &never.step));
    runs_in_vain(&w[0]); /* the task is still to be had */
    assert_string_equal(checks(), "1");
    runs_and_is_served(&w[1]);
}

/* ---- Time --------------------------------------------------------------------------------------------------------- */

static void hold_ends_by_the_clock(void **state)
{
    (void)state;
    static waiter w[2];
    init_and_park(&w[0], 1, "blender");
    clock_us += 1;
    init(&w[1], 1, "blender");
    w[1].step.park.kind = FLAMENCO_WAKE_WORKER;
    park(&w[1]);
    clock_us += HOLD_US - 2;
    fl_parked_tick(parked);
    assert_int_equal(w[0].expired + w[1].expired, 0);
    clock_us += 1;
    fl_parked_tick(parked);
    assert_int_equal(w[0].expired, 1);
    assert_int_equal(w[1].expired, 0);
    clock_us += 1;
    fl_parked_tick(parked);
    fl_parked_tick(parked);
    assert_int_equal(w[0].expired, 1);
    assert_int_equal(w[1].expired, 1);
    assert_int_equal(fl_parked_count(parked), 0);
    wake_tasks(5, "blender");
    assert_string_equal(checks(), "");
}

static void tries_in_vain_do_not_lengthen_the_hold(void **state)
{
    (void)state;
    static waiter w;
    init_and_park(&w, 1, "blender");
    clock_us += HOLD_US - 1;
    wake_tasks(1, "blender");
    clock_us += 5; /* over, but it is on its way */
    fl_parked_tick(parked);
    assert_int_equal(w.expired, 0);
    runs_in_vain(&w);
    fl_parked_tick(parked);
    assert_int_equal(w.expired, 1);
}

static void waiting_workers_count_as_seen(void **state)
{
    (void)state;
    static waiter w[2];
    init_and_park(w, 2, "blender");
    clock_us += 3000000;
    assert_true(fl_parked_remove(parked, &w[1].step));
    fl_parked_tick(parked);
    assert_int_equal(fl_touches_get(manager.touches, FLAMENCO_TOUCH_WORKER_SEEN, 1), clock_us);
    assert_int_equal(fl_touches_get(manager.touches, FLAMENCO_TOUCH_WORKER_SEEN, 2), FLAMENCO_TIME_NONE);
    fl_parked_remove(parked, &w[0].step);
}

static void drain_ends_everything_now_and_later(void **state)
{
    (void)state;
    static waiter w[4];
    init_and_park(w, 3, "blender");
    wake_tasks(2, "blender");
    fl_parked_checked(parked, &w[1].step, 1);
    fl_parked_drain(parked);
    assert_int_equal(w[2].expired, 1);
    assert_int_equal(w[0].expired + w[1].expired, 0); /* on their way: they end as they come back */
    runs_in_vain(&w[0]);
    park(&w[1]);
    assert_int_equal(w[0].expired, 1);
    assert_int_equal(w[1].expired, 1);
    init(&w[3], 3, "blender");
    park(&w[3]);
    assert_int_equal(w[3].expired, 1);
    assert_int_equal(w[3].holds, 0);
    wake_tasks(5, "blender");
    wake_worker(3);
    fl_parked_tick(parked);
    fl_parked_drain(parked);
    for (int i = 0; i < 4; ++i)
        assert_int_equal(w[i].expired, 1);
    assert_int_equal(fl_parked_count(parked), 0);
}

/* ---- Many --------------------------------------------------------------------------------------------------------- */

static waiter many[MANY];

static void ten_thousand_wait_and_each_gets_its_task(void **state)
{
    (void)state;
    init_and_park(many, MANY, "blender,ffmpeg");
    assert_int_equal(fl_parked_count(parked), MANY);
    wake_tasks(MANY, "blender");
    for (int i = 0; i < n_checked; ++i) {
        assert_int_equal(checked[i]->id, i); /* oldest first */
        assert_true(n_checked - i <= AT_ONCE);
        runs_and_is_served(checked[i]);
    }
    assert_int_equal(n_checked, MANY);
    assert_int_equal(fl_parked_count(parked), 0);
}

static void ten_thousand_are_tried_once_each_for_a_task_that_none_can_take(void **state)
{
    (void)state;
    init_and_park(many, MANY, "blender");
    wake_tasks(1, "blender");
    for (int i = 0; i < n_checked; ++i) {
        assert_int_equal(checked[i]->id, i);
        runs_in_vain(checked[i]);
        assert_true(n_checked <= MANY);
    }
    assert_int_equal(n_checked, MANY);
    assert_int_equal(fl_parked_count(parked), MANY);
}

/* Whatever happens in whatever order: nobody is lost, and nobody is served twice. */
static void random_life_loses_nobody(void **state)
{
    (void)state;
    enum { N = 300, ROUNDS = 200000 };
    enum { AWAY = 0, WAITS, CHECKED, RUNS };
    static waiter w[N];
    static int where[N];
    uint32_t seed = 12345;
    for (int i = 0; i < N; ++i) {
        init(&w[i], i % (N / 2), i % 3 == 0 ? "blender" : i % 3 == 1 ? "ffmpeg" : "blender,ffmpeg");
        w[i].step.park.kind = i % 5 == 0 ? FLAMENCO_WAKE_WORKER : FLAMENCO_WAKE_TASKS;
        where[i] = AWAY;
    }
    for (int round = 0; round < ROUNDS; ++round) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t what = seed >> 28, n = (seed >> 8) % N;
        waiter *x = &w[n];
        n_checked = n_submitted = 0;
        if (what < 4 && where[n] == AWAY) {
            x->step.park.order = 0; /* a new request */
            where[n] = WAITS;
            park(x);
        } else if (what < 8 && where[n] == CHECKED) {
            int alive = what != 7;
            where[n] = alive ? RUNS : AWAY;
            fl_parked_checked(parked, &x->step, alive);
            assert_int_equal(n_submitted, alive);
            n_submitted = 0;
        } else if (what < 10 && where[n] == RUNS) {
            where[n] = AWAY;
            fl_parked_ended(parked, &x->step, what == 8);
        } else if (what < 12 && where[n] == RUNS) {
            where[n] = WAITS;
            park(x);
        } else if (what == 12) {
            int waited = where[n] == WAITS;
            assert_int_equal(fl_parked_remove(parked, &x->step), waited);
            where[n] = waited ? AWAY : where[n];
        } else if (what == 13) {
            wake_worker((int)(n % (N / 2)));
        } else if (what > 13) {
            wake_tasks(1 + n % 7, n % 3 == 0 ? "blender" : n % 3 == 1 ? "ffmpeg" : "");
        }
        for (int i = 0; i < n_checked; ++i) {
            assert_int_equal(where[checked[i] - w], WAITS);
            where[checked[i] - w] = CHECKED;
        }
        assert_int_equal(n_submitted, 0);
        uint64_t waiting = 0;
        for (int i = 0; i < N; ++i)
            waiting += where[i] == WAITS;
        assert_int_equal(fl_parked_count(parked), waiting);
    }
    /* In the end nobody is under way, and one task more than there are waiting reaches every one of them. */
    for (int i = 0; i < N; ++i) {
        n_checked = 0;
        if (where[i] == CHECKED)
            fl_parked_checked(parked, &w[i].step, 0);
        else if (where[i] == RUNS)
            fl_parked_ended(parked, &w[i].step, 0);
        if (where[i] != WAITS)
            where[i] = AWAY;
        for (int k = 0; k < n_checked; ++k)
            where[checked[k] - w] = CHECKED;
        if (n_checked > 0)
            i = -1; /* from the start */
    }
    uint64_t takers = 0;
    for (int i = 0; i < N; ++i)
        takers += where[i] == WAITS && w[i].step.park.kind == FLAMENCO_WAKE_TASKS;
    n_checked = 0;
    wake_tasks(N, "");
    for (int i = 0; i < n_checked; ++i)
        runs_and_is_served(checked[i]);
    assert_int_equal(n_checked, takers);
}

#define parked_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        parked_test(wake_for_tasks_tries_the_oldest_and_no_more_than_there_are_tasks),
        parked_test(next_one_is_tried_when_a_worker_cannot_take_the_task),
        parked_test(refused_worker_makes_room_like_one_that_parks_again),
        parked_test(step_that_parks_again_keeps_its_place),
        parked_test(only_workers_that_do_the_task_type_are_tried),
        parked_test(unknown_or_mixed_types_are_for_everybody),
        parked_test(second_type_while_tasks_are_open_opens_the_filter),
        parked_test(no_more_than_a_limited_number_is_under_way),
        parked_test(tasks_that_nobody_can_take_are_forgotten),
        parked_test(tasks_that_come_during_a_try_are_tried_for_again),
        parked_test(empty_car_park_forgets_wakes_for_tasks),
        parked_test(all_requests_of_a_worker_hear_its_news),
        parked_test(request_for_news_is_not_tried_for_tasks),
        parked_test(news_do_not_use_up_tasks),
        parked_test(news_between_look_and_park_run_it_again_at_once),
        parked_test(remembered_news_reach_back_far_enough),
        parked_test(news_during_a_try_run_it_again_and_free_its_place),
        parked_test(worker_is_known_while_its_request_waits),
        parked_test(removed_request_is_never_tried),
        parked_test(request_on_its_way_is_not_removed),
        parked_test(client_that_goes_before_it_is_parked_is_told_at_once),
        parked_test(end_of_a_request_that_never_parked_changes_nothing),
        parked_test(hold_ends_by_the_clock),
        parked_test(tries_in_vain_do_not_lengthen_the_hold),
        parked_test(waiting_workers_count_as_seen),
        parked_test(drain_ends_everything_now_and_later),
        parked_test(ten_thousand_wait_and_each_gets_its_task),
        parked_test(ten_thousand_are_tried_once_each_for_a_task_that_none_can_take),
        parked_test(random_life_loses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
