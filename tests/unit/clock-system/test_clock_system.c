/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clock_system.c - the system's clock: what it tells, and what ends its waiting.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "fake_host.h"
#include "flamenco/clock.h"

typedef struct fixture {
    fake_host fake;
    const flamenco_clock *clock;
    void *self;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fake_host_init(&f->fake);
    f->clock = fake_host_table(flamenco_plugin_query(), FLAMENCO_CLOCK);
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    fake_host_fini(&f->fake);
    free(f);
    return 0;
}

static void it_tells_the_systems_time(void **state)
{
    fixture *f = *state;
    int64_t before = (int64_t)time(NULL) * 1000000 - 1000000;
    int64_t now = f->clock->now_us(f->self);
    assert_true(now >= before && now < before + 60000000);
}

static void monotonic_time_does_not_go_back(void **state)
{
    fixture *f = *state;
    int64_t last = f->clock->monotonic_us(f->self);
    for (int i = 0; i < 10000; ++i) {
        int64_t next = f->clock->monotonic_us(f->self);
        assert_true(next >= last);
        last = next;
    }
}

static void waiting_ends_at_the_time_given(void **state)
{
    fixture *f = *state;
    int64_t until = f->clock->monotonic_us(f->self) + 2000;
    f->clock->wait_until(f->self, until);
    assert_true(f->clock->monotonic_us(f->self) >= until);
    f->clock->wait_until(f->self, 0);
    f->clock->wait_until(f->self, -5);
    f->clock->wait_until(f->self, INT64_MIN);
}

static void an_interrupt_ends_the_next_wait_if_none_runs(void **state)
{
    fixture *f = *state;
    f->clock->interrupt(f->self);
    f->clock->interrupt(f->self);
    f->clock->wait_until(f->self, INT64_MAX);
    int64_t until = f->clock->monotonic_us(f->self) + 2000;
    f->clock->wait_until(f->self, until);
    assert_true(f->clock->monotonic_us(f->self) >= until);
}

typedef struct waiter {
    fixture *f;
    int64_t until;
} waiter;

static void *wait_in_thread(void *arg)
{
    waiter *w = arg;
    w->f->clock->wait_until(w->f->self, w->until);
    return NULL;
}

static void an_interrupt_ends_a_running_wait(void **state)
{
    fixture *f = *state;
    const int64_t untils[] = { INT64_MAX, f->clock->monotonic_us(f->self) + INT64_C(3600000000) };
    for (size_t i = 0; i < 2; ++i) {
        waiter w = { f, untils[i] };
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
        f->clock->interrupt(f->self);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void creating_fails_cleanly_without_memory(void **state)
{
    fixture *f = *state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    void *self = NULL;
    f->fake.allocations_left = 0;
    assert_int_equal(flamenco_plugin_query()->create(&f->fake.host, &self, &err), FLAMENCO_E_NOMEM);
    assert_null(self);
    flamenco_plugin_query()->destroy(NULL);
    f->fake.allocations_left = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_tells_the_systems_time, setup, teardown),
        cmocka_unit_test_setup_teardown(monotonic_time_does_not_go_back, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_ends_at_the_time_given, setup, teardown),
        cmocka_unit_test_setup_teardown(an_interrupt_ends_the_next_wait_if_none_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(an_interrupt_ends_a_running_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(creating_fails_cleanly_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
