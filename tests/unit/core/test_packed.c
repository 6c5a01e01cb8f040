/* SPDX-License-Identifier: Apache-2.0
 *
 * test_packed.c - replies are packed once as long as they are the same, and never taken for another.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

#include "core/api/packed.h"
#include "core/http/http.h"

/* A reply of `len` bytes that packs well, and differs from others in byte `at`. */
static flamenco_buf *make_reply(size_t len, size_t at, char what)
{
    flamenco_buf *plain = fl_shared_create(len);
    assert_non_null(plain);
    memset(fl_shared_data(plain), 'a', len);
    fl_shared_data(plain)[at] = what;
    return plain;
}

static flamenco_buf *pack(fl_packed *packed, size_t len, size_t at, char what)
{
    flamenco_buf *plain = make_reply(len, at, what);
    flamenco_buf *small = fl_packed_gzip(packed, plain);
    assert_non_null(small);
    flamenco_buf *wanted = fl_http_gzip(plain);
    assert_true(flamenco_str_equal(fl_shared_str(small), fl_shared_str(wanted)));
    fl_shared_unref(wanted);
    fl_shared_unref(plain);
    return small;
}

static void equal_replies_are_packed_once(void **state)
{
    (void)state;
    fl_packed *packed = fl_packed_create();
    flamenco_buf *first = pack(packed, 50000, 49999, 'x');
    flamenco_buf *second = pack(packed, 50000, 49999, 'x');
    flamenco_buf *other = pack(packed, 50000, 49999, 'y');
    flamenco_buf *longer = pack(packed, 50001, 49999, 'x');
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, other);
    assert_ptr_not_equal(first, longer);
    fl_packed_destroy(packed); /* replies on their way live on */
    assert_true(fl_shared_str(second).len > 0);
    fl_shared_unref(first);
    fl_shared_unref(second);
    fl_shared_unref(other);
    fl_shared_unref(longer);
}

static int is_kept(fl_packed *packed, flamenco_buf *small, size_t len, char what)
{
    flamenco_buf *again = pack(packed, len, 0, what);
    int same = again == small;
    fl_shared_unref(again);
    return same;
}

static void what_is_not_asked_for_makes_room(void **state)
{
    (void)state;
    fl_packed *packed = fl_packed_create();
    flamenco_buf *small[FL_PACKED_ENTRIES + 1];
    for (size_t i = 0; i < FL_PACKED_ENTRIES; i++)
        small[i] = pack(packed, 9000, 0, (char)('A' + i));
    assert_true(is_kept(packed, small[0], 9000, 'A'));
    small[FL_PACKED_ENTRIES] = pack(packed, 9000, 0, 'Z');
    assert_true(is_kept(packed, small[FL_PACKED_ENTRIES], 9000, 'Z'));
    /* A large one drives them all out; a larger one is packed without being kept. */
    flamenco_buf *large = pack(packed, FL_PACKED_BYTES, 0, 'L');
    assert_false(is_kept(packed, small[0], 9000, 'A'));
    assert_false(is_kept(packed, large, FL_PACKED_BYTES, 'L'));
    flamenco_buf *huge = pack(packed, FL_PACKED_BYTES + 1, 0, 'H');
    assert_false(is_kept(packed, huge, FL_PACKED_BYTES + 1, 'H'));
    for (size_t i = 0; i <= FL_PACKED_ENTRIES; i++)
        fl_shared_unref(small[i]);
    fl_shared_unref(large);
    fl_shared_unref(huge);
    fl_packed_destroy(packed);
}

static void what_does_not_shrink_is_not_packed(void **state)
{
    (void)state;
    fl_packed *packed = fl_packed_create();
    flamenco_buf *plain = fl_shared_create(8);
    memcpy(fl_shared_data(plain), "3k9z!x~q", 8);
    assert_null(fl_packed_gzip(packed, plain));
    assert_null(fl_packed_gzip(packed, plain));
    fl_shared_unref(plain);
    fl_packed_destroy(packed);
    fl_shared_unref(pack(NULL, 10000, 5, 'x'));
}

static void *ask_often(void *ctx)
{
    for (int i = 0; i < 200; i++)
        fl_shared_unref(pack(ctx, 6000 + (size_t)(i % 3), (size_t)(i % 5), (char)('b' + i % 7)));
    return NULL;
}

static void many_threads_get_what_they_asked_for(void **state)
{
    (void)state;
    fl_packed *packed = fl_packed_create();
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, packed), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    fl_packed_destroy(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_replies_are_packed_once),
        cmocka_unit_test(what_is_not_asked_for_makes_room),
        cmocka_unit_test(what_does_not_shrink_is_not_packed),
        cmocka_unit_test(many_threads_get_what_they_asked_for),
    };
    return cmocka_run_group_tests_name("core-packed", tests, NULL, NULL);
}
