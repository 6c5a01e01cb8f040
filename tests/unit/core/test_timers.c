/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer thread on a clock that the test moves by hand.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "core/timers.h"
#include "hand_clock.h"

#define START_US 1000
#define MANY 1000

static struct flamenco manager;
static hand_clock hand;
static fl_timers *timers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int fired[2 * MANY]; /* ids, in order */
static int n_fired, n_dropped, n_refused;
static int ids[2 * MANY];

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    memset(&manager, 0, sizeof(manager));
    hand_clock_init(&hand, START_US);
    manager.clock.table = &hand_clock_table;
    manager.clock.self = &hand;
    n_fired = n_dropped = n_refused = 0;
    for (int i = 0; i < 2 * MANY; ++i)
        ids[i] = i;
    return fl_timers_start(&manager, &timers, &err);
}

static void on_dropped(fl_on_timer on_timer, void *ctx);

static int tear_down(void **state)
{
    (void)state;
    fl_timers_destroy(timers, on_dropped);
    hand_clock_fini(&hand);
    return n_refused == 0 ? 0 : -1;
}

static void on_timer(void *ctx)
{
    pthread_mutex_lock(&lock);
    fired[n_fired++] = *(const int *)ctx;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_dropped(fl_on_timer callback, void *ctx)
{
    (void)ctx;
    assert_ptr_equal(callback, on_timer);
    ++n_dropped;
}

static void add(int64_t delay_us, int id)
{
    if (fl_timers_add(timers, delay_us, on_timer, &ids[id]) != FLAMENCO_OK)
        __atomic_add_fetch(&n_refused, 1, __ATOMIC_RELAXED); /* on whatever thread; tear_down looks at it */
}

static void await_fired(int n)
{
    pthread_mutex_lock(&lock);
    while (n_fired < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int fired_so_far(void)
{
    pthread_mutex_lock(&lock);
    int n = n_fired;
    pthread_mutex_unlock(&lock);
    return n;
}

static void timer_comes_at_its_time_and_not_before(void **state)
{
    (void)state;
    add(500, 1);
    hand_clock_await(&hand, START_US + 500);
    hand_clock_advance(&hand, 499);
    hand_clock_await(&hand, START_US + 500);
    assert_int_equal(fired_so_far(), 0);
    hand_clock_advance(&hand, 1);
    await_fired(1);
    hand_clock_await(&hand, INT64_MAX); /* nothing is left: it waits for ever */
    hand_clock_advance(&hand, 100000);
    hand_clock_await(&hand, INT64_MAX);
    assert_int_equal(fired_so_far(), 1);
}

static void no_or_negative_delay_means_at_once(void **state)
{
    (void)state;
    add(0, 1);
    await_fired(1);
    add(-1000, 2);
    await_fired(2);
    assert_int_equal(fired[0], 1);
    assert_int_equal(fired[1], 2);
}

static void timers_come_in_order_of_time_and_ties_in_order_of_adding(void **state)
{
    (void)state;
    static const int64_t delays[] = { 300, 100, 200, 100, 300, 200, 100, 0x7fffffff };
    static const int expected[] = { 1, 3, 6, 2, 5, 0, 4 };
    enum { N = sizeof(delays) / sizeof(delays[0]) };
    for (int i = 0; i < N; ++i)
        add(delays[i], i);
    hand_clock_advance(&hand, 1000);
    await_fired(N - 1);
    hand_clock_await(&hand, START_US + delays[N - 1]);
    assert_int_equal(n_fired, N - 1);
    for (int i = 0; i < N - 1; ++i)
        assert_int_equal(fired[i], expected[i]);
}

static void earlier_timer_shortens_the_running_wait(void **state)
{
    (void)state;
    add(1000, 1);
    hand_clock_await(&hand, START_US + 1000);
    add(10, 2);
    hand_clock_await(&hand, START_US + 10);
    add(500, 3); /* later than the first: the wait need not be disturbed */
    uint64_t before = hand_clock_interrupts(&hand);
    add(600, 4);
    assert_int_equal(hand_clock_interrupts(&hand), before);
    hand_clock_advance(&hand, 10);
    await_fired(1);
    hand_clock_await(&hand, START_US + 500);
    assert_int_equal(fired[0], 2);
}

static void add_next(void *ctx)
{
    on_timer(ctx);
    if (fired_so_far() < 5 && fl_timers_add(timers, 100, add_next, ctx) != FLAMENCO_OK)
        __atomic_add_fetch(&n_refused, 1, __ATOMIC_RELAXED);
}

static void timer_may_set_the_next_one(void **state)
{
    (void)state;
    assert_int_equal(fl_timers_add(timers, 100, add_next, &ids[9]), FLAMENCO_OK);
    for (int i = 1; i <= 5; ++i) {
        hand_clock_await(&hand, START_US + 100 * i);
        assert_int_equal(fired_so_far(), i - 1);
        hand_clock_advance(&hand, 100);
        await_fired(i);
    }
    hand_clock_await(&hand, INT64_MAX);
}

static void thousand_timers_come_in_order(void **state)
{
    (void)state;
    uint32_t seed = 1;
    static int64_t due[MANY];
    for (int i = 0; i < MANY; ++i) {
        seed = seed * 1664525u + 1013904223u;
        due[i] = 1 + (seed >> 16) % 200; /* many ties */
        add(due[i], i);
    }
    for (int i = 0; i < 200; ++i)
        hand_clock_advance(&hand, 1);
    await_fired(MANY);
    for (int i = 1; i < MANY; ++i) {
        int a = fired[i - 1], b = fired[i];
        assert_true(due[a] < due[b] || (due[a] == due[b] && a < b));
    }
}

static void stopped_timers_refuse_and_drop_what_did_not_come(void **state)
{
    (void)state;
    add(10, 1);
    add(1000, 2);
    add(2000, 3);
    hand_clock_advance(&hand, 10);
    await_fired(1);
    fl_timers_stop(timers);
    fl_timers_stop(timers); /* twice is as good */
    hand_clock_advance(&hand, 100000);
    assert_int_equal(fl_timers_add(timers, 0, on_timer, &ids[4]), FLAMENCO_E_CANCELLED);
    assert_int_equal(n_fired, 1);
    fl_timers_destroy(timers, on_dropped);
    timers = NULL; /* destroy takes it, too */
    assert_int_equal(n_dropped, 2);
    assert_int_equal(n_fired, 1);
}

static void *add_some(void *arg)
{
    int first = *(const int *)arg;
    for (int i = 0; i < MANY / 4; ++i)
        add(i % 7, first + i);
    return NULL;
}

static void timers_of_many_threads_all_come(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, add_some, &ids[i * MANY / 4]), 0);
    for (int i = 0; i < 4; ++i)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    hand_clock_advance(&hand, 10);
    await_fired(MANY);
    static unsigned char seen[MANY];
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < MANY; ++i)
        assert_int_equal(++seen[fired[i]], 1);
}

#define timers_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        timers_test(timer_comes_at_its_time_and_not_before),
        timers_test(no_or_negative_delay_means_at_once),
        timers_test(timers_come_in_order_of_time_and_ties_in_order_of_adding),
        timers_test(earlier_timer_shortens_the_running_wait),
        timers_test(timer_may_set_the_next_one),
        timers_test(thousand_timers_come_in_order),
        timers_test(stopped_timers_refuse_and_drop_what_did_not_come),
        timers_test(timers_of_many_threads_all_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
