/* SPDX-License-Identifier: Apache-2.0
 *
 * test_buf.c - buffers grow, stay failed after a failure, and become shared bytes without losing any.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/buf.h"

static void everything_added_is_there(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    fl_buf_add(&buf, NULL, 0);
    fl_buf_add_text(&buf, "ab");
    fl_buf_add_char(&buf, 'c');
    fl_buf_add_str(&buf, (flamenco_str){ "defg", 3 });
    fl_buf_printf(&buf, "-%05d", 42);
    flamenco_str all = fl_buf_str(&buf);
    assert_int_equal(all.len, 12);
    assert_memory_equal(all.ptr, "abcdef-00042", 12);
    for (int width = 100; width < 300; ++width)
        fl_buf_printf(&buf, "%*d", width, 1);
    assert_int_equal(buf.len, 12 + (100 + 299) * 200 / 2);
    assert_int_equal(buf.failed, 0);
    fl_buf_fini(&buf);
    assert_null(buf.data);
}

static void a_failure_sticks(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    fl_buf_add_text(&buf, "x");
    volatile size_t huge = SIZE_MAX - 4;
    assert_null(fl_buf_reserve(&buf, huge));
    assert_int_equal(buf.failed, 1);
    fl_buf_add_text(&buf, "y");
    fl_buf_printf(&buf, "z");
    assert_int_equal(buf.len, 1);
    assert_null(fl_shared_take(&buf));
    assert_null(buf.data);
    assert_int_equal(buf.failed, 0);
}

static void sharing_empties_the_buffer_and_counts(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    fl_buf_printf(&buf, "%1000d", 5);
    flamenco_buf *shared = fl_shared_take(&buf);
    assert_non_null(shared);
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    fl_shared_ref(shared);
    fl_shared_unref(shared);
    flamenco_str text = fl_shared_str(shared);
    assert_int_equal(text.len, 1000);
    assert_int_equal(text.ptr[999], '5');
    fl_shared_unref(shared);
    fl_shared_unref(NULL);
}

static void an_empty_buffer_can_be_shared(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    flamenco_buf *shared = fl_shared_take(&buf);
    assert_non_null(shared);
    assert_int_equal(fl_shared_str(shared).len, 0);
    fl_shared_unref(shared);
}

static void created_shared_bytes_are_zero_and_writable(void **state)
{
    (void)state;
    flamenco_buf *shared = fl_shared_create(5);
    assert_non_null(shared);
    assert_memory_equal(fl_shared_data(shared), "\0\0\0\0\0", 5);
    memcpy(fl_shared_data(shared), "hello", 5);
    assert_memory_equal(fl_shared_str(shared).ptr, "hello", 5);
    assert_int_equal(fl_shared_str(shared).len, 5);
    fl_shared_unref(shared);
    volatile size_t huge = SIZE_MAX - 4;
    assert_null(fl_shared_create(huge));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_added_is_there),
        cmocka_unit_test(a_failure_sticks),
        cmocka_unit_test(sharing_empties_the_buffer_and_counts),
        cmocka_unit_test(an_empty_buffer_can_be_shared),
        cmocka_unit_test(created_shared_bytes_are_zero_and_writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
