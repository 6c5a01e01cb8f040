/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_in.c - mending of JSON text, and free-form values written back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/api/json_in.h"
#include "core/api/json_mend.h"
#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void mending_changes_only_what_it_must(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: unchanged, not even copied */
    } rows[] = {
        { "", NULL },
        { "{\"a\":[1,-2,3.5e7,\"\\ud83d\\ude00 \\u0041\"]}", NULL },
        { "9223372036854775807", NULL },
        { "-9223372036854775808", NULL },
        { "9223372036854775808", "9223372036854775808.0" },
        { "-9223372036854775809", "-9223372036854775809.0" },
        { "[99999999999999999999,1]", "[99999999999999999999.0,1]" },
        { "99999999999999999999.5", NULL },
        { "99999999999999999999e5", NULL },
        { "\"99999999999999999999\"", NULL },
        { "\"\\\"99999999999999999999", NULL },
        { "\"\\ud800\"", "\"\\ufffd\"" },
        { "\"\\uDFFF\\ud800", "\"\\ufffd\\ufffd" },
        { "\"\\ud800\\u0041\"", "\"\\ufffd\\u0041\"" },
        { "\"\\ud8", NULL },
        { "\"\\", NULL },
        { "\"\xff\" 99999999999999999999", "\"\xEF\xBF\xBD\" 99999999999999999999.0" },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_str in = flamenco_text(rows[i].in), out;
        assert_int_equal(fl_json_mend(in, arena, &out), 0);
        if (rows[i].out == NULL)
            assert_ptr_equal(out.ptr, in.ptr);
        if (!fl_str_is(out, rows[i].out != NULL ? rows[i].out : rows[i].in))
            fail_msg("%s: %.*s", rows[i].in, FL_STR_ARGS(out));
    }
    fl_arena_destroy(arena);
}

static void free_values_are_written_with_sorted_keys(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "{\"b\":1,\"a\":{\"d\":null,\"c\":[true,false]},\"B\":\"<\"}",
          "{\"B\":\"\\u003c\",\"a\":{\"c\":[true,false],\"d\":null},\"b\":1}" },
        { "{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}" },
        { "[3,0.5,1e21,-7,12345678901234567890,24.0]", "[3,0.5,1e+21,-7,12345678901234567000,24]" },
        { "{}", "{}" },
        { "[]", "[]" },
        { "\"a\\u0000b\"", "\"a\\u0000b\"" },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_api_problem problem;
        json_t *root = NULL;
        fl_buf buf = { 0 };
        assert_int_equal(fl_json_in_parse(flamenco_text(rows[i].in), arena, &root, &problem), 0);
        fl_json w = fl_json_begin(&buf);
        fl_json_in_write(&w, root);
        assert_int_equal(buf.failed, 0);
        if (!fl_str_is(fl_buf_str(&buf), rows[i].out))
            fail_msg("%s: %.*s", rows[i].in, FL_STR_ARGS(fl_buf_str(&buf)));
        fl_buf_fini(&buf);
        json_decref(root);
    }
    fl_buf buf = { 0 };
    fl_json w = fl_json_begin(&buf);
    fl_json_in_write(&w, NULL);
    assert_true(fl_str_is(fl_buf_str(&buf), "null"));
    fl_buf_fini(&buf);
    fl_arena_destroy(arena);
}

static void the_deepest_tree_can_be_written(void **state)
{
    (void)state;
    char text[4100];
    size_t depth = 2000;
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    fl_arena *arena = fl_arena_create(0);
    fl_api_problem problem;
    json_t *root = NULL;
    fl_buf buf = { 0 };
    assert_int_equal(fl_json_in_parse((flamenco_str){ text, 2 * depth }, arena, &root, &problem), 0);
    fl_json w = fl_json_begin(&buf);
    fl_json_in_write(&w, root);
    assert_int_equal(buf.len, 2 * depth);
    fl_buf_fini(&buf);
    json_decref(root);
    fl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mending_changes_only_what_it_must),
        cmocka_unit_test(free_values_are_written_with_sorted_keys),
        cmocka_unit_test(the_deepest_tree_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
