/* SPDX-License-Identifier: Apache-2.0
 *
 * test_calls.c - the generated call wrappers: what they do when a service, a method or the tail of a table is missing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "flamenco/calls/clock.h"
#include "flamenco/calls/local_storage.h"
#include "flamenco/calls/persistence.h"

static int64_t give_now(void *self)
{
    return *(int64_t *)self;
}

static int32_t give_key(void *self, flamenco_cx *cx, const flamenco_job *job, uint64_t n_tasks, int64_t *key_out,
                        flamenco_error *err)
{
    (void)cx;
    (void)job;
    *key_out = *(int64_t *)self + (int64_t)n_tasks;
    return flamenco_fail(err, FLAMENCO_E_EXISTS, "as asked");
}

static void a_call_passes_everything_on(void **state)
{
    (void)state;
    int64_t self = 40;
    int64_t key = 0;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const flamenco_clock clock = { .struct_size = (uint32_t)sizeof(clock), .now_us = give_now };
    const flamenco_persistence store = { .struct_size = (uint32_t)sizeof(store), .job_insert_hidden = give_key };
    const flamenco_clock_ref clock_ref = { &clock, &self };
    const flamenco_persistence_ref store_ref = { &store, &self };
    assert_int_equal(flamenco_clock_now_us(&clock_ref), 40);
    assert_int_equal(flamenco_persist_job_insert_hidden(&store_ref, NULL, NULL, 2, &key, &err), FLAMENCO_E_EXISTS);
    assert_int_equal(key, 42);
    assert_string_equal(err.text, "as asked");
}

static void a_missing_service_is_unsupported(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const flamenco_clock_ref clock = { NULL, NULL };
    const flamenco_persistence_ref store = { NULL, NULL };
    const flamenco_local_storage_ref storage = { NULL, NULL };
    assert_int_equal(flamenco_clock_now_us(&clock), 0);
    flamenco_clock_interrupt(&clock);
    assert_int_equal(flamenco_persist_job_hide(&store, NULL, 1, &err), FLAMENCO_E_UNSUPPORTED);
    assert_int_equal(err.code, FLAMENCO_E_UNSUPPORTED);
    assert_string_equal(err.text, "flamenco.persistence/1 has no job_hide here");
    assert_int_equal(flamenco_persist_job_hide(&store, NULL, 1, NULL), FLAMENCO_E_UNSUPPORTED);
    assert_null(flamenco_local_storage_root(&storage).ptr);
}

static void a_missing_method_and_a_short_table_are_unsupported(void **state)
{
    (void)state;
    int64_t self = 40;
    const flamenco_clock_ref empty = { &(const flamenco_clock){ .struct_size = (uint32_t)sizeof(flamenco_clock) },
                                       &self };
    const flamenco_clock_ref small = {
        &(const flamenco_clock){ .struct_size = (uint32_t)offsetof(flamenco_clock, monotonic_us),
                                 .now_us = give_now,
                                 .monotonic_us = give_now },
        &self,
    };
    assert_int_equal(flamenco_clock_now_us(&empty), 0);
    assert_int_equal(flamenco_clock_now_us(&small), 40);
    assert_int_equal(flamenco_clock_monotonic_us(&small), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_passes_everything_on),
        cmocka_unit_test(a_missing_service_is_unsupported),
        cmocka_unit_test(a_missing_method_and_a_short_table_are_unsupported),
    };
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
