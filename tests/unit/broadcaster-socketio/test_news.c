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

static fake_host fake;
static news n;
static pthread_mutex_t takers = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last, disorder;
static atomic_uint told;

static uint32_t tell(void *ctx)
{
    uint32_t count;
    pthread_mutex_lock(&takers);
    flamenco_event *events = news_take(ctx, &count);
    for (uint32_t i = 0; i < count; ++i) {
        disorder += events[i].seq != last + 1;
        last = events[i].seq;
    }
    news_give_back(ctx, events, count);
    pthread_mutex_unlock(&takers);
    atomic_fetch_add(&told, count);
    return count;
}

static int add(uint64_t seq)
{
    flamenco_buf *buf = fake.host.buf_make(flamenco_text("{}"));
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event), .seq = seq, .buf = buf };
    assert_non_null(buf);
    int added = news_add(&n, &event);
    fake.host.buf_unref(buf);
    return added;
}

static int set_up(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    last = disorder = 0;
    atomic_store(&told, 0);
    memset(&n, 0, sizeof(n));
    fake_host_init(&fake);
    return news_init(&n, &fake.host, tell, &n, &err);
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
            (void)tell(&n);
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_thread_tells_each_once_and_in_order),
        T(who_cannot_wait_takes_what_is_there),
        T(what_waits_at_the_end_is_told),
        T(nothing_waits_without_the_thread),
        T(no_more_than_so_many_wait),
    };
    return cmocka_run_group_tests_name("socketio_news", tests, NULL, NULL);
}
