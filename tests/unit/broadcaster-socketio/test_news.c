/* SPDX-License-Identifier: Apache-2.0
 *
 * test_news.c - events that wait to be told: in order, each once, by a thread of their own or by who cannot wait.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>

#include "fake_host.h"
#include "news.h"

#define STEPS_US 100000

static fake_host fake;
static news n;
static pthread_mutex_t takers = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last, disorder;
static atomic_uint told;

static void tell(void *ctx)
{
    uint32_t count;
    int rush;
    pthread_mutex_lock(&takers);
    flamenco_event *events = news_take(ctx, &count, &rush);
    for (uint32_t i = 0; i < count; ++i) {
        disorder += events[i].seq != last + 1;
        last = events[i].seq;
    }
    news_give_back(ctx, events, count);
    pthread_mutex_unlock(&takers);
    atomic_fetch_add(&told, count);
}

static int add_with(uint64_t seq, uint32_t flags)
{
    flamenco_buf *buf = fake.host.buf_make(flamenco_text("{}"));
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event), .seq = seq, .buf = buf, .flags = flags };
    assert_non_null(buf);
    int added = news_add(&n, &event);
    fake.host.buf_unref(buf);
    return added;
}

static int add(uint64_t seq)
{
    return add_with(seq, 0);
}

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    last = disorder = 0;
    atomic_store(&told, 0);
    memset(&n, 0, sizeof(n));
    fake_host_init(&fake);
    return news_init(&n, &fake.host, STEPS_US, tell, &n, &err);
}

static int tear_down(void **state)
{
    (void)state;
    news_stop(&n);
    news_fini(&n);
    fake_host_fini(&fake);
    return 0;
}

static void start(void)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(news_start(&n, &err), FLAMENCO_OK);
}

static void the_thread_tells_each_once_and_in_order(void **state)
{
    (void)state;
    start();
    for (uint64_t i = 1; i <= 5000; ++i)
        assert_true(add(i));
    while (atomic_load(&told) < 5000)
        sched_yield();
    assert_int_equal(disorder, 0);
    assert_int_equal(last, 5000);
}

static void who_cannot_wait_takes_what_is_there(void **state)
{
    (void)state;
    start();
    for (uint64_t i = 1; i <= 3000; ++i) {
        assert_true(add(i));
        if (i % 100 == 0) {
            tell(&n);
            assert_true(atomic_load(&told) <= i);
            pthread_mutex_lock(&takers);
            assert_int_equal(last, i);
            pthread_mutex_unlock(&takers);
        }
    }
    assert_int_equal(disorder, 0);
}

static void what_waits_at_the_end_is_told(void **state)
{
    (void)state;
    start();
    for (uint64_t i = 1; i <= 100; ++i)
        assert_true(add(i));
    news_stop(&n);
    assert_int_equal(atomic_load(&told), 100);
    assert_int_equal(disorder, 0);
}

static void nothing_waits_without_the_thread(void **state)
{
    (void)state;
    assert_false(add(1));
    start();
    assert_true(add(1));
    news_stop(&n);
    assert_false(add(2));
}

static void no_more_than_so_many_wait(void **state)
{
    uint64_t i = 1;
    (void)state;
    start();
    pthread_mutex_lock(&takers); /* the thread may have taken the first ones, and waits */
    while (i < 100000 && add(i))
        ++i;
    assert_true(i > 10000 && i < 100000);
    pthread_mutex_unlock(&takers);
    news_stop(&n);
    assert_int_equal(atomic_load(&told), i - 1);
    assert_int_equal(disorder, 0);
}

/* Many at once, behind which step counts wait as long as they may: so long that a test would notice. */
static uint64_t begin_rush(void)
{
    uint64_t i = 1;
    pthread_mutex_lock(&takers); /* the thread has taken the first one, and cannot tell it */
    for (; i <= 5000; ++i)
        assert_true(add(i));
    pthread_mutex_unlock(&takers);
    while (atomic_load(&told) < 5000)
        sched_yield();
    return i;
}

static int set_up_for_ever(void **state)
{
    int failed = set_up(state);
    n.steps_ns = INT64_C(3600000000000);
    n.rush = 100000000; /* so many ms are more than that */
    return failed;
}

static void what_presses_takes_along_step_counts_that_wait(void **state)
{
    (void)state;
    start();
    uint64_t i = begin_rush();
    assert_true(add_with(i, FLAMENCO_EVENT_FLAG_STEPS));
    assert_true(add_with(i + 1, FLAMENCO_EVENT_FLAG_STEPS));
    assert_int_equal(atomic_load(&told), i - 1); /* for an hour to come */
    assert_true(add(i + 2));
    while (atomic_load(&told) < i + 2)
        sched_yield();
    assert_int_equal(disorder, 0);
}

static void step_counts_that_wait_are_told_at_the_end(void **state)
{
    (void)state;
    start();
    uint64_t i = begin_rush();
    assert_true(add_with(i, FLAMENCO_EVENT_FLAG_STEPS));
    news_stop(&n);
    assert_int_equal(atomic_load(&told), i);
}

static void step_counts_wait_no_longer_than_they_may(void **state)
{
    (void)state;
    start();
    uint64_t i = begin_rush();
    assert_true(add_with(i, FLAMENCO_EVENT_FLAG_STEPS));
    while (atomic_load(&told) < i)
        sched_yield();
}

static void many_together_are_a_rush_and_few_are_none(void **state)
{
    uint32_t count;
    int rush;
    (void)state;
    n.running = 1; /* as if there were a thread */
    for (uint64_t i = 1; i < NEWS_RUSH; ++i)
        assert_true(add(i));
    flamenco_event *events = news_take(&n, &count, &rush);
    assert_int_equal(count, NEWS_RUSH - 1);
    assert_false(rush);
    news_give_back(&n, events, count);
    for (uint64_t i = 1; i <= NEWS_RUSH; ++i)
        assert_true(add(i));
    events = news_take(&n, &count, &rush);
    assert_true(rush);
    news_give_back(&n, events, count);
    n.running = 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_thread_tells_each_once_and_in_order),
        T(who_cannot_wait_takes_what_is_there),
        T(what_waits_at_the_end_is_told),
        T(nothing_waits_without_the_thread),
        T(no_more_than_so_many_wait),
        T(step_counts_wait_no_longer_than_they_may),
        T(many_together_are_a_rush_and_few_are_none),
        cmocka_unit_test_setup_teardown(what_presses_takes_along_step_counts_that_wait, set_up_for_ever, tear_down),
        cmocka_unit_test_setup_teardown(step_counts_that_wait_are_told_at_the_end, set_up_for_ever, tear_down),
    };
    return cmocka_run_group_tests_name("socketio_news", tests, NULL, NULL);
}
