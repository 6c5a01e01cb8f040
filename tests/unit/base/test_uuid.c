/* SPDX-License-Identifier: Apache-2.0
 *
 * test_uuid.c - the UUID check of api-behaviour, versions and variants, and the order of version 7 across threads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "core/base/uuid.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define THREADS 4
#define PER_THREAD 5000

static void the_uuid_check_is_that_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int valid;
    } rows[] = {
        { "08e1a6b2-1111-4222-8333-444455556666", 1 },
        { "08E1A6B2-1111-4222-8333-44445555ABcd", 1 },
        { "00000000-0000-0000-0000-000000000000", 1 },
        { "ffffffff-ffff-ffff-ffff-ffffffffffff", 1 },
        { "", 0 },
        { "not-a-uuid", 0 },
        { "08e1a6b2-1111-4222-8333-44445555666", 0 },
        { "08e1a6b2-1111-4222-8333-4444555566667", 0 },
        { "08e1a6b2111142228333444455556666", 0 },
        { "{08e1a6b2-1111-4222-8333-44445555666}", 0 },
        { "08e1a6b2-1111-4222-8333_444455556666", 0 },
        { "08e1a6b21-111-4222-8333-444455556666", 0 },
        { "08e1a6b2-1111-4222-8333-44445555666g", 0 },
        { "08e1a6b2-1111-4222-8333-44445555666-", 0 },
        { " 8e1a6b2-1111-4222-8333-444455556666", 0 },
        { "08e1a6b2-1111-4222-83334-44455556666", 0 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_uuid id, before;
        memset(&before, 0x5A, sizeof(before));
        id = before;
        int32_t rc = fl_uuid_parse(flamenco_text(rows[i].in), &id);
        if (rc != (rows[i].valid ? 0 : FLAMENCO_E_INVALID))
            fail_msg("%s", rows[i].in);
        if (!rows[i].valid)
            assert_true(fl_uuid_equal(&id, &before));
    }
}

static void every_byte_has_its_digits_at_every_place(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; ++value) {
        flamenco_uuid id;
        char text[37], expected[37];
        uint8_t b[16];
        for (unsigned i = 0; i < 16; ++i)
            b[i] = id.b[i] = (uint8_t)(value + i * 16);
        fl_uuid_format(&id, text);
        snprintf(expected, sizeof(expected), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
        assert_string_equal(text, expected);
    }
}

static void text_comes_back_in_lower_case(void **state)
{
    (void)state;
    flamenco_uuid id;
    char text[37];
    assert_int_equal(fl_uuid_parse(flamenco_text("08E1A6B2-1111-4222-8333-44445555ABCD"), &id), 0);
    assert_int_equal(id.b[0], 0x08);
    assert_int_equal(id.b[15], 0xCD);
    fl_uuid_format(&id, text);
    assert_string_equal(text, "08e1a6b2-1111-4222-8333-44445555abcd");
    assert_false(fl_uuid_is_none(&id));
    memset(&id, 0, sizeof(id));
    assert_true(fl_uuid_is_none(&id));
}

static void version_4_is_marked_and_does_not_repeat(void **state)
{
    (void)state;
    flamenco_uuid last = { { 0 } };
    uint8_t seen_set[16] = { 0 }, seen_clear[16] = { 0 };
    for (int i = 0; i < 2000; ++i) {
        flamenco_uuid id;
        assert_int_equal(fl_uuid_make_v4(&id), 0);
        assert_int_equal(id.b[6] >> 4, 4);
        assert_int_equal(id.b[8] >> 6, 2);
        assert_false(fl_uuid_equal(&id, &last));
        last = id;
        for (int k = 0; k < 16; ++k) {
            seen_set[k] |= id.b[k];
            seen_clear[k] |= (uint8_t)~id.b[k];
        }
    }
    for (int k = 0; k < 16; ++k) {
        uint8_t fixed = k == 6 ? 0xF0 : k == 8 ? 0xC0 : 0;
        assert_int_equal(seen_set[k] | fixed, 0xFF);
        assert_int_equal(seen_clear[k] | fixed, 0xFF);
    }
}

static void version_7_carries_its_time(void **state)
{
    (void)state;
    flamenco_uuid id;
    int64_t now_us = INT64_C(1772600767089123);
    assert_int_equal(fl_uuid_make_v7(now_us, &id), 0);
    uint64_t ms = 0;
    for (int i = 0; i < 6; ++i)
        ms = ms << 8 | id.b[i];
    assert_true(ms == (uint64_t)now_us / 1000);
    assert_int_equal(id.b[6] >> 4, 7);
    assert_int_equal(id.b[8] >> 6, 2);
}

static void version_7_ascends_though_the_clock_goes_back(void **state)
{
    (void)state;
    flamenco_uuid last, id;
    int64_t now_us = INT64_C(1772600768000000);
    assert_int_equal(fl_uuid_make_v7(now_us, &last), 0);
    for (int i = 0; i < 10000; ++i) {
        assert_int_equal(fl_uuid_make_v7(i % 3 == 0 ? now_us : i % 3 == 1 ? now_us - 5000000 : -1, &id), 0);
        assert_true(memcmp(id.b, last.b, 16) > 0);
        assert_int_equal(id.b[6] >> 4, 7);
        last = id;
    }
}

static void *make_many(void *arg)
{
    flamenco_uuid *out = arg;
    for (int i = 0; i < PER_THREAD; ++i) {
        if (fl_uuid_make_v7(INT64_C(1772600769000000) + i, &out[i]) != 0)
            return NULL;
    }
    return arg;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void version_7_is_unique_in_its_time_part_across_threads(void **state)
{
    (void)state;
    flamenco_uuid *all = calloc(THREADS * PER_THREAD, sizeof(*all));
    assert_non_null(all);
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; ++t)
        assert_int_equal(pthread_create(&threads[t], NULL, make_many, all + t * PER_THREAD), 0);
    for (int t = 0; t < THREADS; ++t) {
        void *result;
        assert_int_equal(pthread_join(threads[t], &result), 0);
        assert_non_null(result);
        for (int i = 1; i < PER_THREAD; ++i)
            assert_true(memcmp(&all[t * PER_THREAD + i], &all[t * PER_THREAD + i - 1], 16) > 0);
    }
    qsort(all, THREADS * PER_THREAD, sizeof(*all), compare);
    for (size_t i = 1; i < THREADS * PER_THREAD; ++i)
        assert_true(memcmp(&all[i], &all[i - 1], 8) != 0);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_uuid_check_is_that_of_the_contract),
        cmocka_unit_test(every_byte_has_its_digits_at_every_place),
        cmocka_unit_test(text_comes_back_in_lower_case),
        cmocka_unit_test(version_4_is_marked_and_does_not_repeat),
        cmocka_unit_test(version_7_carries_its_time),
        cmocka_unit_test(version_7_ascends_though_the_clock_goes_back),
        cmocka_unit_test(version_7_is_unique_in_its_time_part_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
