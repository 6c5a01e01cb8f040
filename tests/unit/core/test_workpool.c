/* SPDX-License-Identifier: Apache-2.0
 *
 * The work pool: many at a time, but those of one order key one after the other; and how it stops.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench_core.h"
#include "core/workpool.h"

#define LEAST_THREADS 3 /* cores + 2 */
#define STEPS 200
#define FAR_US 60000000

typedef struct work {
    fl_step step;
    int id;
    int again; /* how often it wants to run once more */
    int32_t result; /* what run gives in the end */
    int waits; /* run waits for `released` */
    int listens; /* run waits until it is cancelled */
    int64_t until_us; /* run lasts until then */
    int runs, ends;
    int32_t ended_with;
    char text[64];
} work;

static bench b;
static fl_workpool *pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int running, most_running, released, n_ended;
static int ran[4 * STEPS], n_ran; /* ids, in order of begin */
static int key_running[16], key_clash;

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    running = most_running = released = n_ended = n_ran = key_clash = 0;
    memset(key_running, 0, sizeof(key_running));
    bench_start(&b, FAR_US);
    return fl_workpool_start(&b.f, &pool, &err);
}

static int tear_down(void **state)
{
    (void)state;
    fl_workpool_stop(pool, fl_monotonic_us() + FAR_US);
    fl_workpool_destroy(pool);
    bench_stop(&b);
    return 0;
}

static int32_t run(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    work *w = (work *)(void *)step;
    int32_t rc = cx->arena != NULL && cx->batch == NULL && cx->pub.txn == NULL ? w->result : FLAMENCO_E_INTERNAL;
    pthread_mutex_lock(&lock);
    ran[n_ran++] = w->id;
    ++w->runs;
    if (++running > most_running)
        most_running = running;
    if (step->order_key != 0 && ++key_running[step->order_key] > 1)
        key_clash = 1;
    pthread_cond_broadcast(&changed);
    while (w->waits && !released)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    while (fl_monotonic_us() < w->until_us || (w->listens && !flamenco_cx_cancelled(&cx->pub)))
        sched_yield();
    pthread_mutex_lock(&lock);
    --running;
    if (step->order_key != 0)
        --key_running[step->order_key];
    if (w->again > 0 && rc == FLAMENCO_OK) {
        --w->again;
        rc = FLAMENCO_AGAIN;
    }
    pthread_mutex_unlock(&lock);
    return rc < 0 ? flamenco_fail(err, rc, "broken on command") : rc;
}

static void done(fl_step *step, int32_t result, const flamenco_error *err)
{
    work *w = (work *)(void *)step;
    pthread_mutex_lock(&lock);
    ++w->ends;
    ++n_ended;
    w->ended_with = result;
    memcpy(w->text, err->text, sizeof(w->text) - 1);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static const fl_step_ops ops = { .name = "work", .kind = FLAMENCO_STEP_WORK, .run = run, .done = done };

static work works[STEPS];

static work *make(int id, uint64_t key)
{
    work *w = &works[id];
    memset(w, 0, sizeof(*w));
    w->id = id;
    w->step.ops = &ops;
    w->step.order_key = key;
    return w;
}

static void submit(work *w)
{
    fl_workpool_submit(pool, &w->step);
}

static void await(const int *what, int n)
{
    pthread_mutex_lock(&lock);
    while (*what < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void release(void)
{
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void several_run_at_one_time(void **state)
{
    (void)state;
    for (int i = 0; i < LEAST_THREADS; ++i) {
        make(i, 0)->waits = 1;
        submit(&works[i]);
    }
    await(&running, LEAST_THREADS); /* hangs when they do not */
    release();
    await(&n_ended, LEAST_THREADS);
}

static void results_and_texts_reach_the_end(void **state)
{
    (void)state;
    make(0, 0)->result = FLAMENCO_E_NOT_FOUND;
    make(1, 0);
    submit(&works[0]);
    submit(&works[1]);
    await(&n_ended, 2);
    assert_int_equal(works[0].ended_with, FLAMENCO_E_NOT_FOUND);
    assert_string_equal(works[0].text, "broken on command");
    assert_int_equal(works[1].ended_with, FLAMENCO_OK);
}

static void steps_of_one_key_run_one_after_the_other_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; ++i)
        submit(make(i, 5));
    await(&n_ended, STEPS);
    assert_int_equal(most_running, 1);
    for (int i = 0; i < STEPS; ++i)
        assert_int_equal(ran[i], i);
    assert_int_equal(fl_workpool_waiting(pool), 0);
}

static void keys_do_not_hold_up_each_other(void **state)
{
    (void)state;
    make(0, 1)->waits = 1;
    submit(&works[0]);
    await(&n_ran, 1);
    submit(make(1, 1)); /* waits behind the first */
    submit(make(2, 2));
    submit(make(3, 3));
    submit(make(4, 0));
    await(&n_ended, 3); /* all but those of key 1 */
    assert_int_equal(works[1].runs, 0);
    assert_int_equal(fl_workpool_waiting(pool), 1);
    release();
    await(&n_ended, 5);
    assert_int_equal(works[1].runs, 1);
}

static void many_keys_keep_their_orders_side_by_side(void **state)
{
    (void)state;
    int last[16];
    for (int i = 0; i < STEPS; ++i)
        submit(make(i, 1 + (uint64_t)i % 7));
    await(&n_ended, STEPS);
    assert_false(key_clash);
    memset(last, -1, sizeof(last));
    for (int i = 0; i < STEPS; ++i) {
        assert_true(ran[i] > last[ran[i] % 7]);
        last[ran[i] % 7] = ran[i];
    }
}

static void step_that_wants_to_run_again_goes_behind_its_key(void **state)
{
    (void)state;
    make(0, 3)->waits = 1;
    works[0].again = 2;
    submit(&works[0]);
    await(&n_ran, 1);
    submit(make(1, 3));
    submit(make(2, 3));
    release();
    await(&n_ended, 3);
    static const int expected[] = { 0, 1, 2, 0, 0 };
    assert_int_equal(n_ran, 5);
    assert_memory_equal(ran, expected, sizeof(expected));
    assert_int_equal(works[0].ends, 1);
    assert_int_equal(most_running, 1);
    make(3, 0)->again = 3;
    submit(&works[3]);
    await(&n_ended, 4);
    assert_int_equal(works[3].runs, 4);
}

static void *stop_now(void *arg)
{
    fl_workpool_stop(pool, *(const int64_t *)arg);
    return NULL;
}

/* All threads are busy, more waits in the queue and behind a key. Returns how many were submitted. */
static int fill_up(void)
{
    int n = 0;
    make(n, 9)->waits = 1;
    submit(&works[n++]);
    for (int i = 0; i < 90; ++i) {
        make(n, 0)->waits = 1;
        submit(&works[n++]);
        submit(make(n, 9));
        ++n;
    }
    await(&running, LEAST_THREADS);
    return n;
}

static void stop_runs_what_is_queued(void **state)
{
    (void)state;
    int n = fill_up();
    int64_t deadline_us = fl_monotonic_us() + FAR_US;
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_now, &deadline_us), 0);
    release();
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(n_ended, n);
    for (int i = 0; i < n; ++i) {
        assert_int_equal(works[i].ends, 1);
        assert_int_equal(works[i].ended_with, FLAMENCO_OK);
    }
}

/* Submits steps until one is refused, so that the pool is known to stop. Those before it wait with the others. */
static int submit_until_refused(work *probes, int max)
{
    for (int n = 0; n < max; ++n) {
        probes[n].id = STEPS;
        probes[n].step.ops = &ops;
        submit(&probes[n]);
        pthread_mutex_lock(&lock);
        int refused = probes[n].ends > 0;
        pthread_mutex_unlock(&lock);
        if (refused)
            return n + 1;
        sched_yield();
    }
    return max;
}

static void stop_without_time_cancels_what_is_queued(void **state)
{
    (void)state;
    enum { PROBES = 100000 };
    work *probes = calloc(PROBES, sizeof(*probes));
    assert_non_null(probes);
    int n = fill_up();
    int64_t deadline_us = 0;
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_now, &deadline_us), 0);
    int n_probes = submit_until_refused(probes, PROBES);
    release();
    assert_int_equal(pthread_join(stopper, NULL), 0);
    int runs = 0;
    for (int i = 0; i < n; ++i) {
        assert_int_equal(works[i].ends, 1);
        assert_int_equal(works[i].ended_with, works[i].runs ? FLAMENCO_OK : FLAMENCO_E_CANCELLED);
        runs += works[i].runs;
    }
    assert_true(runs >= LEAST_THREADS && runs < n);
    for (int i = 0; i < n_probes; ++i) {
        assert_int_equal(probes[i].ends, 1);
        assert_int_equal(probes[i].ended_with, FLAMENCO_E_CANCELLED);
    }
    assert_int_equal(fl_workpool_waiting(pool), 0);
    free(probes);
}

static void stop_cancels_what_its_deadline_leaves_over(void **state)
{
    (void)state;
    int64_t deadline_us = fl_monotonic_us() + 100000;
    for (int i = 0; i < STEPS; ++i) {
        make(i, (uint64_t)i % 3);
        works[i].until_us = i < 50 ? deadline_us : 0; /* enough to keep every thread busy until then */
        submit(&works[i]);
    }
    fl_workpool_stop(pool, deadline_us);
    assert_int_equal(n_ended, STEPS);
    int cancelled = 0;
    for (int i = 0; i < STEPS; ++i) {
        assert_int_equal(works[i].ends, 1);
        assert_int_equal(works[i].ended_with, works[i].runs ? FLAMENCO_OK : FLAMENCO_E_CANCELLED);
        cancelled += works[i].runs == 0;
    }
    assert_true(cancelled > 0);
}

static void stopped_pool_refuses_work(void **state)
{
    (void)state;
    fl_workpool_stop(pool, 0);
    submit(make(0, 0));
    submit(make(1, 4));
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(works[i].ends, 1);
        assert_int_equal(works[i].runs, 0);
        assert_int_equal(works[i].ended_with, FLAMENCO_E_CANCELLED);
        assert_string_equal(works[i].text, "the manager is stopping");
    }
}

static void cancelled_work_learns_of_it_and_the_rest_goes_on(void **state)
{
    (void)state;
    make(0, 0)->listens = 1;
    make(1, 5)->listens = 1;
    make(2, 5)->listens = 1; /* begins after the cancel */
    make(3, 0)->waits = 1;
    for (int i = 0; i < 4; ++i)
        submit(&works[i]);
    await(&n_ran, 3);
    fl_workpool_cancel(pool);
    await(&n_ended, 3);
    assert_int_equal(works[3].ends, 0); /* it does not look */
    release();
    await(&n_ended, 4);
    submit(make(4, 0));
    await(&n_ended, 5);
    for (int i = 0; i < 5; ++i)
        assert_int_equal(works[i].ended_with, FLAMENCO_OK);
}

#define pool_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        pool_test(several_run_at_one_time),
        pool_test(results_and_texts_reach_the_end),
        pool_test(steps_of_one_key_run_one_after_the_other_in_order),
        pool_test(keys_do_not_hold_up_each_other),
        pool_test(many_keys_keep_their_orders_side_by_side),
        pool_test(step_that_wants_to_run_again_goes_behind_its_key),
        pool_test(stop_runs_what_is_queued),
        pool_test(stop_without_time_cancels_what_is_queued),
        pool_test(stop_cancels_what_its_deadline_leaves_over),
        pool_test(stopped_pool_refuses_work),
        pool_test(cancelled_work_learns_of_it_and_the_rest_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
