/* SPDX-License-Identifier: Apache-2.0
 *
 * test_str.c - the small text functions, and percent and base64 decoding.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void check_str(flamenco_str got, const char *expected)
{
    if (!fl_str_is(got, expected))
        fail_msg("got \"%.*s\", expected \"%s\"", FL_STR_ARGS(got), expected);
}

static void texts_are_compared(void **state)
{
    (void)state;
    assert_true(fl_str_is(FL_STR("abc"), "abc"));
    assert_false(fl_str_is(FL_STR("abc"), "abcd"));
    assert_true(fl_str_is((flamenco_str){ NULL, 0 }, ""));
    assert_true(fl_str_starts(FL_STR("/api/v3"), "/api/"));
    assert_true(fl_str_starts((flamenco_str){ NULL, 0 }, ""));
    assert_false(fl_str_starts(FL_STR("/ap"), "/api/"));
    assert_true(fl_str_equal_nocase(FL_STR("Content-TYPE"), FL_STR("content-type")));
    assert_false(fl_str_equal_nocase(FL_STR("a"), FL_STR("ab")));
    assert_false(fl_str_equal_nocase(FL_STR("["), FL_STR("{")));
    assert_false(fl_str_equal_nocase(FL_STR("@"), FL_STR("`")));
}

static void blanks_are_trimmed_at_both_ends(void **state)
{
    (void)state;
    check_str(fl_str_trim(FL_STR(" \t\r\n a b \n")), "a b");
    check_str(fl_str_trim(FL_STR(" \t ")), "");
    check_str(fl_str_trim((flamenco_str){ NULL, 0 }), "");
}

static void splitting_gives_every_part(void **state)
{
    (void)state;
    static const struct {
        const char *in, *joined;
    } rows[] = { { "a,b,c", "a|b|c|" }, { "", "|" }, { ",", "||" }, { "a,", "a||" }, { "abc", "abc|" } };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char joined[32] = "";
        flamenco_str rest = flamenco_text(rows[i].in), part;
        while (fl_str_split(&rest, ',', &part)) {
            strncat(joined, part.ptr, (size_t)part.len);
            strcat(joined, "|");
        }
        assert_string_equal(joined, rows[i].joined);
    }
}

static void integers_are_read_whole_and_in_range(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t out;
    } good[] = {
        { "0", 0 },
        { "-0", 0 },
        { "+5", 5 },
        { "007", 7 },
        { "-12", -12 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    static const char *const bad[] = { "",
                                       "-",
                                       "+",
                                       " 1",
                                       "1 ",
                                       "1.0",
                                       "0x10",
                                       "1e3",
                                       "--1",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999" };
    for (size_t i = 0; i < COUNT(good); ++i) {
        int64_t value = 99;
        assert_int_equal(fl_str_int(flamenco_text(good[i].in), &value), 0);
        assert_true(value == good[i].out);
    }
    for (size_t i = 0; i < COUNT(bad); ++i) {
        int64_t value = 99;
        assert_int_equal(fl_str_int(flamenco_text(bad[i]), &value), FLAMENCO_E_INVALID);
        assert_int_equal(value, 99);
    }
}

static void percent_escapes_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int plus;
        const char *out; /* NULL = INVALID */
    } rows[] = {
        { "", 0, "" },           { "plain", 0, "plain" },     { "a%2Fb%2fc", 0, "a/b/c" }, { "a+b", 0, "a+b" },
        { "a+b%2B", 1, "a b+" }, { "%C3%B6", 0, "\xC3\xB6" }, { "%25", 0, "%" },           { "%2525", 0, "%25" },
        { "%", 0, NULL },        { "%2", 0, NULL },           { "a%", 0, NULL },           { "%2g", 0, NULL },
        { "%00", 0, NULL },      { "a%zzb", 0, NULL },        { "%41", 0, "A" },           { "x%7", 0, NULL },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_str out = { NULL, 77 };
        int32_t rc = fl_str_percent_decode(arena, flamenco_text(rows[i].in), rows[i].plus, &out);
        if (rows[i].out != NULL) {
            assert_int_equal(rc, 0);
            check_str(out, rows[i].out);
            assert_int_equal(out.ptr[out.len], 0);
        } else {
            assert_int_equal(rc, FLAMENCO_E_INVALID);
            assert_int_equal(out.len, 77);
        }
    }
    flamenco_str out;
    assert_int_equal(fl_str_percent_decode(arena, (flamenco_str){ "a\0b", 3 }, 0, &out), FLAMENCO_E_INVALID);
    fl_arena_destroy(arena);
}

static void base64_is_decoded_with_and_without_padding(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "", "" },
        { "Zg==", "f" },
        { "Zm8=", "fo" },
        { "Zm9v", "foo" },
        { "Zm9vYg==", "foob" },
        { "Zm9vYmE=", "fooba" },
        { "Zm9vYmFy", "foobar" },
        { "Zg", "f" },
        { "Zm8", "fo" },
        { "+/+/", "\xFB\xFF\xBF" },
        { "MDhlMWE2YjI6c2VjcmV0OndpdGg6Y29sb25z", "08e1a6b2:secret:with:colons" },
        { "Z", NULL },
        { "Zg=", NULL },
        { "Z===", NULL },
        { "====", NULL },
        { "Zg==Zg==", NULL },
        { "Zm9 v", NULL },
        { "Zm-_", NULL },
        { "-m9v", NULL },
        { "Zm9vY-", NULL },
        { "Zm9vYm\xFF", NULL },
        { "Zm9v\n", NULL },
        { "=", NULL },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_str out = { NULL, 77 };
        int32_t rc = fl_str_base64_decode(arena, flamenco_text(rows[i].in), &out);
        if (rows[i].out != NULL) {
            assert_int_equal(rc, 0);
            check_str(out, rows[i].out);
        } else {
            assert_int_equal(rc, FLAMENCO_E_INVALID);
            assert_int_equal(out.len, 77);
        }
    }
    fl_arena_destroy(arena);
}

static void invalid_utf8_is_found_and_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int valid;
        const char *out;
    } rows[] = {
        { "", 1, "" },
        { "abc \xC3\xB6 \xE2\x82\xAC \xF0\x9F\x98\x80", 1, "abc \xC3\xB6 \xE2\x82\xAC \xF0\x9F\x98\x80" },
        { "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", 1, "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF" },
        { "a\x80z", 0, "a\xEF\xBF\xBDz" },
        { "\xC1\x81", 0, "\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xE0\x9F\xBF", 0, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xF0\x8F\xBF\xBF", 0, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xE2\x82", 0, "\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xF0\x9F\x98", 0, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "ok\xFE\xC3\xB6", 0, "ok\xEF\xBF\xBD\xC3\xB6" },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_int_equal(fl_str_is_utf8(flamenco_text(rows[i].in)), rows[i].valid);
        check_str(fl_str_to_utf8(arena, flamenco_text(rows[i].in)), rows[i].out);
    }
    fl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_compared),
        cmocka_unit_test(blanks_are_trimmed_at_both_ends),
        cmocka_unit_test(splitting_gives_every_part),
        cmocka_unit_test(integers_are_read_whole_and_in_range),
        cmocka_unit_test(percent_escapes_are_decoded),
        cmocka_unit_test(base64_is_decoded_with_and_without_padding),
        cmocka_unit_test(invalid_utf8_is_found_and_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
