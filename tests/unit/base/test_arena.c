/* SPDX-License-Identifier: Apache-2.0
 *
 * test_arena.c - arenas hand out zeroed, aligned, separate memory, also after a reset and in large pieces.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/arena.h"

static void check_zeroed_then_dirty(unsigned char *p, size_t size)
{
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    for (size_t i = 0; i < size; ++i)
        assert_int_equal(p[i], 0);
    memset(p, 0xAB, size);
}

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(64);
    assert_non_null(arena);
    unsigned char *kept[200];
    for (size_t i = 0; i < 200; ++i) {
        kept[i] = fl_arena_alloc(arena, i * 7);
        check_zeroed_then_dirty(kept[i], i * 7);
        memset(kept[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; ++i) {
        for (size_t k = 0; k < i * 7; ++k)
            assert_int_equal(kept[i][k], i);
    }
    fl_arena_destroy(arena);
}

static void memory_is_zeroed_again_after_a_reset(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(1024);
    assert_non_null(arena);
    size_t fresh = fl_arena_size(arena);
    for (int round = 0; round < 3; ++round) {
        check_zeroed_then_dirty(fl_arena_alloc(arena, 500), 500);
        check_zeroed_then_dirty(fl_arena_alloc(arena, 5000), 5000);
        assert_true(fl_arena_size(arena) > fresh);
        fl_arena_reset(arena);
        assert_int_equal(fl_arena_size(arena), fresh);
    }
    fl_arena_destroy(arena);
}

static void large_blocks_are_zeroed_after_a_reset(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(300000);
    assert_non_null(arena);
    check_zeroed_then_dirty(fl_arena_alloc(arena, 250000), 250000);
    fl_arena_reset(arena);
    check_zeroed_then_dirty(fl_arena_alloc(arena, 10), 10);
    check_zeroed_then_dirty(fl_arena_alloc(arena, 260000), 260000);
    fl_arena_destroy(arena);
}

static void big_allocations_do_not_waste_the_current_block(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(4096);
    assert_non_null(arena);
    unsigned char *a = fl_arena_alloc(arena, 16);
    check_zeroed_then_dirty(fl_arena_alloc(arena, 3 << 20), 3 << 20);
    unsigned char *b = fl_arena_alloc(arena, 16);
    assert_true(b > a && b - a <= 64);
    assert_true(fl_arena_size(arena) >= (3 << 20) + 4096);
    fl_arena_destroy(arena);
}

static void impossible_sizes_give_null(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(0);
    assert_non_null(arena);
    volatile size_t size = SIZE_MAX;
    assert_null(fl_arena_alloc(arena, size));
    size = SIZE_MAX - 8;
    assert_null(fl_arena_alloc(arena, size));
    assert_null(fl_arena_copy(arena, (flamenco_str){ "x", UINT64_MAX }).ptr);
    assert_non_null(fl_arena_alloc(arena, 0));
    fl_arena_destroy(arena);
    fl_arena_destroy(NULL);
}

static void copies_and_formats_end_in_nul(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(0);
    assert_non_null(arena);
    flamenco_str copy = fl_arena_copy(arena, (flamenco_str){ "abcdef", 3 });
    assert_int_equal(copy.len, 3);
    assert_string_equal(copy.ptr, "abc");
    flamenco_str empty = fl_arena_copy(arena, (flamenco_str){ NULL, 0 });
    assert_string_equal(empty.ptr, "");
    flamenco_str text = fl_arena_printf(arena, "%s-%d", "x", 42);
    assert_string_equal(text.ptr, "x-42");
    assert_int_equal(text.len, 4);
    for (int width = 250; width < 260; ++width) {
        text = fl_arena_printf(arena, "%*d", width, 7);
        assert_int_equal(text.len, width);
        assert_int_equal(strlen(text.ptr), width);
    }
    text = fl_arena_printf(arena, "%100000d", 7);
    assert_int_equal(strlen(text.ptr), 100000);
    fl_arena_destroy(arena);
}

static void an_arena_that_could_not_be_made_gives_nothing(void **state)
{
    (void)state;
    assert_null(fl_arena_alloc(NULL, 1));
    assert_null(fl_arena_copy(NULL, (flamenco_str){ "a", 1 }).ptr);
    assert_null(fl_arena_printf(NULL, "%d", 1).ptr);
    fl_arena_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(memory_is_zeroed_again_after_a_reset),
        cmocka_unit_test(large_blocks_are_zeroed_after_a_reset),
        cmocka_unit_test(big_allocations_do_not_waste_the_current_block),
        cmocka_unit_test(impossible_sizes_give_null),
        cmocka_unit_test(an_arena_that_could_not_be_made_gives_nothing),
        cmocka_unit_test(copies_and_formats_end_in_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
