/* SPDX-License-Identifier: Apache-2.0
 *
 * test_values.c - the reference's ways to write times, days, texts and JSON (configuration-and-clients 6.3).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "scan.h"
#include "values.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define T1405 INT64_C(1774620309000000) /* 2026-03-27 14:05:09 UTC */

static void times_are_read_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } vectors[] = {
        { "2026-03-27 14:05:09.12 +0000 UTC", T1405 + 120000 },
        { "2026-03-27 14:05:09 +0000 UTC", T1405 },
        { "2023-11-06 10:11:12.123456789+00:00", INT64_C(1699265472123456) },
        { "2026-03-27 14:05:09.5 +0100 CET m=+12.3", T1405 - INT64_C(3600000000) + 500000 },
        { "2026-03-27 14:05:09 +0000 UTC m=-0.000000001", T1405 },
        { "2026-03-27 14:05:09 -0330 -0330", T1405 + INT64_C(12600000000) },
        { "2026-03-27T14:05:09Z", T1405 },
        { "2026-03-27T14:05:09.000001Z", T1405 + 1 },
        { "2026-03-27 14:05:09", T1405 },
        { "2026-03-27 14:05", T1405 - 9000000 },
        { "2026-03-27 14:05Z", T1405 - 9000000 },
        { "2026-03-27 15:05:09+01:00", T1405 },
        { "2026-03-27", T1405 - 9000000 - INT64_C(50700000000) },
        { "1970-01-01", 0 },
        { "1969-12-31 23:59:59.999999", -1 },
        { "2000-02-29", INT64_C(951782400000000) },
        { "0001-01-01 00:00:00+00:00", INT64_C(-62135596800000000) },
        { "", FLAMENCO_TIME_NONE },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        int64_t us = 42;
        if (!fl_value_time(flamenco_text(vectors[i].text), &us) || us != vectors[i].us)
            fail_msg("%s: %lld, not %lld", vectors[i].text, (long long)us, (long long)vectors[i].us);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "yesterday",
        "2026-13-01",
        "2026-02-29",
        "2026-00-10",
        "2026-03-27 24:00:00",
        "2026-03-27 14:60:00",
        "2026-03-27 14:05:09.",
        "2026-03-27 14:05:60",
        "2026-03-27 14",
        "2026-3-27",
        "2026-03-27x",
        "1774620309",
        "2026-03-27 14:05:09 +0",
        "2026-03-27 14:05:09 UTC more",
        " ",
        "2026-03-27 14:05:09 +9900 X",
    };
    for (size_t i = 0; i < COUNT(bad); ++i) {
        int64_t us = 42;
        if (fl_value_time(flamenco_text(bad[i]), &us) || us != 42)
            fail_msg("%s was read as %lld", bad[i], (long long)us);
    }
}

static void minutes_and_days_of_sleep_schedules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int good;
        int32_t minutes;
    } times[] = { { "", 1, -1 },    { "00:00", 1, 0 }, { "09:05", 1, 545 }, { "24:00", 1, 1440 }, { "24:01", 0, 0 },
                  { "9:05", 0, 0 }, { "25:99", 0, 0 }, { "09:60", 0, 0 },   { "09:05:00", 0, 0 }, { "noon", 0, 0 } };
    for (size_t i = 0; i < COUNT(times); ++i) {
        int32_t minutes = 0;
        assert_int_equal(fl_value_minutes(flamenco_text(times[i].text), &minutes), times[i].good);
        assert_int_equal(minutes, times[i].minutes);
    }
    static const struct {
        const char *text, *days;
        int good;
    } days[] = { { "", "", 1 },
                 { "  ", "", 1 },
                 { "mo tu we th fr sa su", "mo tu we th fr sa su", 1 },
                 { "mo  xx mo su ", "mo su", 1 },
                 { "xx", "", 0 },
                 { "Mo", "", 0 } };
    for (size_t i = 0; i < COUNT(days); ++i) {
        char out[21];
        assert_int_equal(fl_value_days(flamenco_text(days[i].text), out), days[i].good);
        assert_string_equal(out, days[i].days);
    }
}

static void texts_become_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint64_t len;
        const char *mended; /* NULL: it is good as it stands */
    } vectors[] = {
        { "", 0, NULL },
        { "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x90\x88", 10, NULL },
        { "a\xFF", 2, "a\xEF\xBF\xBD" },
        { "\xC3", 1, "\xEF\xBF\xBD" },
        { "a\0b", 3,
          "a\xEF\xBF\xBD"
          "b" },
        { "\xC0\x80", 2, "\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xF4\x90\x80\x80", 4, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        char out[64];
        flamenco_str text = { vectors[i].bytes, vectors[i].len };
        assert_int_equal(fl_value_is_utf8(text), vectors[i].mended == NULL);
        flamenco_str mended = { out, fl_value_mend_utf8(text, out) };
        assert_true(flamenco_str_equal(mended, vectors[i].mended != NULL ? flamenco_text(vectors[i].mended) : text));
    }
}

static void json_is_checked_and_completed(void **state)
{
    (void)state;
    typedef int32_t (*check)(flamenco_str json, char **out);
    static const struct {
        check check;
        const char *json;
        int32_t result;
        const char *changed;
    } vectors[] = {
        { fl_value_metadata, "{}", FL_JSON_GOOD, NULL },
        { fl_value_metadata, "{\"a\":\"\\u003cb\"}", FL_JSON_GOOD, NULL },
        { fl_value_metadata, "{\"a\":1,\"b\":\"x\",\"c\":[true,null]}", FL_JSON_CHANGED,
          "{\"a\":\"1\",\"b\":\"x\",\"c\":\"[true,null]\"}" },
        { fl_value_metadata, "[]", FL_JSON_BAD, NULL },
        { fl_value_metadata, "{\"a\":", FL_JSON_BAD, NULL },
        { fl_value_metadata, "", FL_JSON_BAD, NULL },
        { fl_value_metadata, "{\"a\":\"\xff\"}", FL_JSON_BAD, NULL },
        { fl_value_commands, "null", FL_JSON_GOOD, NULL },
        { fl_value_commands, "[]", FL_JSON_GOOD, NULL },
        { fl_value_commands, "[{\"name\":\"x\",\"parameters\":{\"n\":1.5},\"total_step_count\":3}]", FL_JSON_GOOD,
          NULL },
        { fl_value_commands, "[{\"name\":\"x\",\"parameters\":{\"n\":[1,2]}}]", FL_JSON_CHANGED,
          "[{\"name\":\"x\",\"parameters\":{\"n\":[1,2]},\"total_step_count\":0}]" },
        { fl_value_commands, "[{\"name\":\"x\"}]", FL_JSON_CHANGED,
          "[{\"name\":\"x\",\"parameters\":null,\"total_step_count\":0}]" },
        { fl_value_commands, "[{\"name\":5,\"parameters\":{}}]", FL_JSON_BAD, NULL },
        { fl_value_commands, "[{\"name\":\"x\",\"parameters\":[]}]", FL_JSON_BAD, NULL },
        { fl_value_commands, "[1]", FL_JSON_BAD, NULL },
        { fl_value_commands, "{}", FL_JSON_BAD, NULL },
        { fl_value_commands, "[] x", FL_JSON_BAD, NULL },
        { fl_value_commands, "[{\"name\":\"x\",\"total_step_count\":1.5}]", FL_JSON_BAD, NULL },
        { fl_value_commands, " [ {\"name\":\"a\"} , {\"name\":\"b\",\"parameters\":null,\"total_step_count\":2} ] ",
          FL_JSON_CHANGED,
          "[{\"name\":\"a\",\"parameters\":null,\"total_step_count\":0},"
          "{\"name\":\"b\",\"parameters\":null,\"total_step_count\":2}]" },
        { fl_value_metadata, "{\"a\":{\"b\":\"\\n\"},\"c\":\"d\"}", FL_JSON_CHANGED,
          "{\"a\":\"{\\\"b\\\":\\\"\\\\n\\\"}\",\"c\":\"d\"}" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        char *changed = NULL;
        int32_t result = vectors[i].check(flamenco_text(vectors[i].json), &changed);
        if (result != vectors[i].result)
            fail_msg("%s: %d", vectors[i].json, (int)result);
        if (vectors[i].changed != NULL)
            assert_string_equal(changed, vectors[i].changed);
        else
            assert_null(changed);
        free(changed);
    }
    assert_int_equal(fl_value_settings(flamenco_text("{\"a\":[1,{\"b\":null}]}")), FL_JSON_GOOD);
    assert_int_equal(fl_value_settings(flamenco_text("null")), FL_JSON_BAD);
    assert_int_equal(fl_value_settings(flamenco_text("{'a':1}")), FL_JSON_BAD);
}

static void texts_that_are_no_json_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "[1,-2.5e+3,0,\"x\",true,false,null]",
        "{\"a\":{\"b\":[{}, [] , 1 ]} , \"c\":2}",
        "\"\\u00e4\\n\"",
        "0",
        "-0.1",
        "[[[[]]]]",
        "1E5",
    };
    static const char *const bad[] = {
        "",   " ",   "{",           "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01",        "1.",   "-",
        "+1", "tru", "nulll",       "\"a",  "\"\\x\"", "\"\n\"",     "[1 2]", "[1]]",      "{}{}", "[}",
        "{]", "1e",  "\"\\u12g4\"", ".5",   "[,1]",    "{,}",        "[1}",   "{\"a\":1]",
    };
    for (size_t i = 0; i < COUNT(good); ++i) {
        flamenco_str value;
        fl_scan s = fl_scan_begin(flamenco_text(good[i]));
        if (!fl_scan_value(&s, &value) || s.at != s.end)
            fail_msg("refused: %s", good[i]);
        assert_true(value.ptr[0] != ' ' && value.ptr[value.len - 1] != ' ');
    }
    for (size_t i = 0; i < COUNT(bad); ++i) {
        flamenco_str value;
        fl_scan s = fl_scan_begin(flamenco_text(bad[i]));
        if (fl_scan_value(&s, &value) && s.at == s.end)
            fail_msg("taken: %s", bad[i]);
    }
    /* Deep ones, and no stack for them. */
    static char deep[2 * 100000 + 1];
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    assert_false(fl_scan_is(flamenco_text(deep), '['));
    assert_true(fl_scan_is((flamenco_str){ deep + 100000 - FL_SCAN_DEPTH, 2 * FL_SCAN_DEPTH }, '['));
}

static void members_and_texts_are_read(void **state)
{
    (void)state;
    flamenco_str value, key;
    fl_scan s = fl_scan_begin(flamenco_text(" { \"a\" : 1 , \"b\\u0063\":\"\\ud83d\\ude00 \\ud83d \\u00e4\\n\\/\" } "));
    assert_true(fl_scan_value(&s, &value));
    fl_scan inside = fl_scan_inside(value);
    assert_true(fl_scan_member(&inside, &key, &value));
    assert_true(fl_scan_means(key, "a", 1));
    assert_int_equal(fl_scan_kind(value), '0');
    assert_int_equal(value.len, 1);
    assert_true(fl_scan_member(&inside, &key, &value));
    assert_true(fl_scan_means(key, "bc", 2));
    assert_false(fl_scan_means(key, "b", 1));
    char out[64];
    flamenco_str text = { value.ptr + 1, value.len - 2 };
    flamenco_str decoded = { out, fl_scan_decode(text, out) };
    assert_true(flamenco_str_equal(decoded, flamenco_text("\xF0\x9F\x98\x80 \xEF\xBF\xBD \xC3\xA4\n/")));
    assert_false(fl_scan_member(&inside, &key, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_in_every_form),        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(minutes_and_days_of_sleep_schedules), cmocka_unit_test(texts_become_utf8),
        cmocka_unit_test(json_is_checked_and_completed),       cmocka_unit_test(texts_that_are_no_json_are_refused),
        cmocka_unit_test(members_and_texts_are_read),
    };
    return cmocka_run_group_tests_name("reference-values", tests, NULL, NULL);
}
