/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json.c - the writer's escaping and numbers (api-behaviour 1.3), the checker's grammar, and the indented form.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void check_buf(fl_buf *buf, const char *expected)
{
    assert_int_equal(buf->failed, 0);
    fl_buf_add_char(buf, '\0');
    assert_string_equal(buf->data, expected);
    buf->len = 0;
}

static void strings_are_escaped_as_the_contract_says(void **state)
{
    (void)state;
    static const struct {
        flamenco_str in;
        const char *out;
    } rows[] = {
        { { NULL, 0 }, "\"\"" },
        { { "plain", 5 }, "\"plain\"" },
        { { "<a> & <b>", 9 }, "\"\\u003ca\\u003e \\u0026 \\u003cb\\u003e\"" },
        { { "say \"hi\" \\ / done", 17 }, "\"say \\\"hi\\\" \\\\ / done\"" },
        { { "\b\f\n\r\t\x01\x1f\x7f", 8 }, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { { "a\0b", 3 }, "\"a\\u0000b\"" },
        { { "Gr\xC3\xB6\xC3\x9Ft \xE2\x82\xAC \xF0\x9F\x98\x80", 16 },
          "\"Gr\xC3\xB6\xC3\x9Ft \xE2\x82\xAC \xF0\x9F\x98\x80\"" },
        { { "x\xE2\x80\xA8y\xE2\x80\xA9\xE2\x80\xAA", 11 }, "\"x\\u2028y\\u2029\xE2\x80\xAA\"" },
        { { "\xFFt\xC3", 3 }, "\"\xEF\xBF\xBDt\xEF\xBF\xBD\"" },
        { { "\xC0\xAF\xED\xA0\x80", 5 }, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { { "\xF4\x90\x80\x80", 4 }, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { { "ends in \xE2\x80", 10 }, "\"ends in \xEF\xBF\xBD\xEF\xBF\xBD\"" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_buf buf = { 0 };
        fl_json w = fl_json_begin(&buf);
        fl_json_str(&w, rows[i].in);
        check_buf(&buf, rows[i].out);
        fl_buf_fini(&buf);
    }
}

/* Long texts are scanned eight bytes at a time: each byte has to be seen wherever it stands among them. */
static void a_byte_is_seen_at_every_place_of_a_long_string(void **state)
{
    (void)state;
    for (int c = 0; c < 256; ++c) {
        char one = (char)c;
        fl_buf alone = { 0 }, whole = { 0 };
        fl_json w = fl_json_begin(&alone);
        fl_json_str(&w, (flamenco_str){ &one, 1 }); /* "…" */
        for (size_t at = 0; at < 24; ++at) {
            char text[24], expected[64];
            memset(text, 'a', sizeof(text));
            text[at] = one;
            snprintf(expected, sizeof(expected), "\"%.*s%.*s%.*s\"", (int)at, "aaaaaaaaaaaaaaaaaaaaaaaa",
                     (int)alone.len - 2, alone.data + 1, (int)(23 - at), "aaaaaaaaaaaaaaaaaaaaaaaa");
            w = fl_json_begin(&whole);
            fl_json_str(&w, (flamenco_str){ text, sizeof(text) });
            check_buf(&whole, expected);
        }
        fl_buf_fini(&whole);
        fl_buf_fini(&alone);
    }
}

static void commas_stand_where_they_belong(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    fl_json w = fl_json_begin(&buf);
    flamenco_uuid id = { { 0x08, 0xe1, 0xa6, 0xb2, 0x11, 0x11, 0x42, 0x22, 0x83, 0x33, 0x44, 0x44, 0x55, 0x55, 0x66,
                           0x66 } };
    fl_json_object_begin(&w);
    fl_json_key(&w, "list");
    fl_json_array_begin(&w);
    fl_json_int(&w, 1);
    fl_json_object_begin(&w);
    fl_json_object_end(&w);
    fl_json_array_begin(&w);
    fl_json_array_end(&w);
    fl_json_bool(&w, 1);
    fl_json_bool(&w, 0);
    fl_json_null(&w);
    fl_json_text(&w, NULL);
    fl_json_raw(&w, FL_STR("{\"raw\":[]}"));
    fl_json_array_end(&w);
    fl_json_key_str(&w, FL_STR("<k>"));
    fl_json_uuid(&w, &id);
    fl_json_key(&w, "t");
    fl_json_time(&w, INT64_C(1772600767089123));
    fl_json_key(&w, "none");
    fl_json_time(&w, FLAMENCO_TIME_NONE);
    fl_json_object_end(&w);
    check_buf(&buf, "{\"list\":[1,{},[],true,false,null,\"\",{\"raw\":[]}],"
                    "\"\\u003ck\\u003e\":\"08e1a6b2-1111-4222-8333-444455556666\","
                    "\"t\":\"2026-03-04T05:06:07.089123Z\",\"none\":\"0001-01-01T00:00:00Z\"}");
    fl_buf_fini(&buf);
}

static void integers_are_written_in_full(void **state)
{
    (void)state;
    static const struct {
        int64_t in;
        const char *out;
    } rows[] = {
        { 0, "0" },
        { 7, "7" },
        { 10, "10" },
        { 99, "99" },
        { 100, "100" },
        { 12345, "12345" },
        { -1, "-1" },
        { -100, "-100" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };
    fl_buf buf = { 0 };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_json w = fl_json_begin(&buf);
        fl_json_int(&w, rows[i].in);
        check_buf(&buf, rows[i].out);
    }
    fl_buf_fini(&buf);
}

static void reals_take_the_shortest_form(void **state)
{
    (void)state;
    static const struct {
        double in;
        const char *out;
    } rows[] = {
        { 3, "3" },
        { 0.5, "0.5" },
        { 1e21, "1e+21" },
        { 1e20, "100000000000000000000" },
        { 123456789012345680000.0, "123456789012345680000" },
        { 1.5e300, "1.5e+300" },
        { 1e-6, "0.000001" },
        { 1e-7, "1e-7" },
        { 1.25e-10, "1.25e-10" },
        { 0.1, "0.1" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 23.976, "23.976" },
        { -2.5, "-2.5" },
        { 0, "0" },
        { -0.0, "-0" },
        { 9007199254740993.0, "9007199254740992" },
        { 5e-324, "5e-324" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" },
        { NAN, "null" },
        { INFINITY, "null" },
        { -INFINITY, "null" },
    };
    fl_buf buf = { 0 };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_json w = fl_json_begin(&buf);
        fl_json_real(&w, rows[i].in);
        check_buf(&buf, rows[i].out);
    }
    fl_buf_fini(&buf);
}

static void reals_read_back_as_the_same_double(void **state)
{
    (void)state;
    uint64_t bits = UINT64_C(0x9E3779B97F4A7C15);
    fl_buf buf = { 0 };
    for (int i = 0; i < 20000; ++i) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        fl_json w = fl_json_begin(&buf);
        fl_json_real(&w, value);
        fl_buf_add_char(&buf, '\0');
        back = strtod(buf.data, NULL);
        assert_memory_equal(&back, &value, sizeof(value));
        buf.len = 0;
    }
    fl_buf_fini(&buf);
}

static void valid_json_passes_the_check(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "0",
        "-0",
        "12.5e-3",
        "1E+2",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        "[1,[2,{\"a\":[]}],3]",
        "{\"a\":{\"b\":{}},\"c\":[{},[]],\"d\":\"x\"}",
        "\"\\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\ud800\"",
        "\"\xE2\x82\xAC\"",
        "\t\n\r {\"a\" : 1 , \"a\" : [ 1 , 2 ] }\n",
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        assert_int_equal(fl_json_check(flamenco_text(rows[i]), NULL), 0);
}

static void broken_json_fails_the_check_with_its_offset(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int offset;
    } rows[] = {
        { "", 0 },         { "  ", 2 },         { "{", 1 },
        { "[1,]", 3 },     { "{\"a\":1,}", 7 }, { "{\"a\"}", 4 },
        { "{1:2}", 1 },    { "[1 2]", 3 },      { "{} x", 3 },
        { "[}", 1 },       { "01", 1 },         { "1.", 2 },
        { ".5", 0 },       { "-", 1 },          { "1e", 2 },
        { "+1", 0 },       { "nul", 0 },        { "NaN", 0 },
        { "\"abc", 4 },    { "\"\\x\"", 2 },    { "\"\\u12g4\"", 2 },
        { "\"a\nb\"", 2 }, { "\"\xFF\"", 1 },   { "\xEF\xBB\xBF{}", 0 },
        { "[1]]", 3 },     { "// c\n1", 0 },    { "'a'", 0 },
        { "\"\\", 2 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        char expected[40];
        assert_int_equal(fl_json_check(flamenco_text(rows[i].in), &err), FLAMENCO_E_INVALID);
        assert_int_equal(err.code, FLAMENCO_E_INVALID);
        snprintf(expected, sizeof(expected), "at byte %d:", rows[i].offset);
        if (strstr(err.text, expected) == NULL)
            fail_msg("%s: %s", rows[i].in, err.text);
    }
}

static void nesting_is_allowed_down_to_512(void **state)
{
    (void)state;
    char text[1100];
    for (size_t depth = 512; depth <= 513; ++depth) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        int32_t rc = fl_json_check((flamenco_str){ text, depth * 2 }, NULL);
        assert_int_equal(rc, depth == 512 ? 0 : FLAMENCO_E_INVALID);
    }
}

static void pretty_json_is_indented_by_two(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "1", "1" },
        { "{}", "{}" },
        { "[ ]", "[]" },
        { "{\"a\":[1,2,{\"b\":\"x,{:\\\"y\"}],\"c\":{}}",
          "{\n  \"a\": [\n    1,\n    2,\n    {\n      \"b\": \"x,{:\\\"y\"\n    }\n  ],\n  \"c\": {}\n}" },
        { "[[],\"\\\\\",null]", "[\n  [],\n  \"\\\\\",\n  null\n]" },
    };
    fl_buf buf = { 0 };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_json_indent(flamenco_text(rows[i].in), &buf);
        check_buf(&buf, rows[i].out);
    }
    fl_buf_fini(&buf);
}

static void a_failed_buffer_stays_failed(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    buf.failed = 1;
    fl_json w = fl_json_begin(&buf);
    fl_json_object_begin(&w);
    fl_json_key(&w, "a");
    fl_json_text(&w, "<b>");
    fl_json_real(&w, 1.5);
    fl_json_time(&w, 0);
    fl_json_object_end(&w);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.failed, 1);
    fl_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_as_the_contract_says),
        cmocka_unit_test(a_byte_is_seen_at_every_place_of_a_long_string),
        cmocka_unit_test(commas_stand_where_they_belong),
        cmocka_unit_test(integers_are_written_in_full),
        cmocka_unit_test(reals_take_the_shortest_form),
        cmocka_unit_test(reals_read_back_as_the_same_double),
        cmocka_unit_test(valid_json_passes_the_check),
        cmocka_unit_test(broken_json_fails_the_check_with_its_offset),
        cmocka_unit_test(nesting_is_allowed_down_to_512),
        cmocka_unit_test(pretty_json_is_indented_by_two),
        cmocka_unit_test(a_failed_buffer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
