/* SPDX-License-Identifier: Apache-2.0
 *
 * test_parts.c - the parts that can be tried without a helper: JSON check, frame ranges, frames, names.
 */
#include "rig.h"

#include <stdlib.h>

#include "catalogue.h"
#include "helper/ranges.h"
#include "jscheck.h"
#include "wire.h"

static flamenco_str literal(const char *text, size_t size)
{
    flamenco_str s = { text, size - 1 };
    return s;
}
#define LITERAL(text) literal(text, sizeof(text))

static void json_is_checked_without_a_tree(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5",
        "1e9",
        "1E+2",
        "0.5e-3",
        "\"\"",
        "\"a\\n\\u00e9\\\\\"",
        " { \"a\" : [ 1 , { \"b\" : null } ] , \"c\" : \"\" } ",
        "[[],[[]],{}]",
        "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "\"<>&\xE2\x80\xA8\"",
        "[\n1\t]\r",
        "\"\\/\\b\\f\\r\\t\\\"\"",
        "\"\x7F\"",
    };
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "nul",
        "nullx",
        "truefalse",
        "NaN",
        "Infinity",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\x1F\"",
        "{} {}",
        "1 2",
        "[}",
        "{]",
        "{\"a\":1]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "\"\xC3\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xE0\x80\x80\"",
        "\"\x80\"",
        "{,}",
        "[,]",
        "\"\\",
        "[\"a\"",
        "0x1",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!fl_jscheck_json(flamenco_text(good[i]), FL_JSCHECK_ANY, 0))
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fl_jscheck_json(flamenco_text(bad[i]), FL_JSCHECK_ANY, 0))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_false(fl_jscheck_json((flamenco_str){ NULL, 0 }, FL_JSCHECK_ANY, 0));
    assert_false(fl_jscheck_json(LITERAL("\"a\0b\""), FL_JSCHECK_ANY, 0));
    assert_false(fl_jscheck_json(LITERAL("{}\0"), FL_JSCHECK_ANY, 0));
    assert_true(fl_jscheck_json(flamenco_text(" {}"), FL_JSCHECK_OBJECT, 0));
    assert_false(fl_jscheck_json(flamenco_text("[]"), FL_JSCHECK_OBJECT, 0));
    assert_true(fl_jscheck_json(flamenco_text("[]"), FL_JSCHECK_ARRAY, 0));
    assert_false(fl_jscheck_json(flamenco_text("{}"), FL_JSCHECK_ARRAY, 0));
    assert_false(fl_jscheck_json(flamenco_text("null"), FL_JSCHECK_ARRAY, 0));
}

static void escapes_of_the_api_can_be_asked_for(void **state)
{
    (void)state;
    static const char *const raw[] = { "\"<\"", "\">\"", "\"&\"", "\"\xE2\x80\xA8\"", "\"\xE2\x80\xA9\"", "{\"<\":1}" };
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
        assert_false(fl_jscheck_json(flamenco_text(raw[i]), FL_JSCHECK_ANY, 1));
    assert_true(fl_jscheck_json(flamenco_text("\"\\u003c\xE2\x80\xA7\xE2\x80\xAA\xE2\x81\xA8\""), FL_JSCHECK_ANY, 1));
}

/* Strings are read eight bytes at a time, so each byte is tried at each place of such a group. */
static void every_byte_counts_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 1; at < 20; at++) {
            char text[23];
            memset(text, 'a', sizeof(text));
            text[0] = text[21] = '"';
            text[at] = (char)byte;
            flamenco_str json = { text, 22 };
            int plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            int escaped = plain && byte != '<' && byte != '>' && byte != '&';
            assert_int_equal(fl_jscheck_json(json, FL_JSCHECK_ANY, 0), plain);
            assert_int_equal(fl_jscheck_json(json, FL_JSCHECK_ANY, 1), escaped);
            /* Without its end it is no string, and nothing behind it is read. */
            json.len = 21;
            assert_false(fl_jscheck_json(json, FL_JSCHECK_ANY, 0));
        }
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char text[2048];
    for (size_t depth = 510; depth <= 514; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        flamenco_str nested = { text, 2 * depth };
        assert_int_equal(fl_jscheck_json(nested, FL_JSCHECK_ANY, 0), depth <= 512);
    }
    /* Objects and lists mixed over the words of the bit field. */
    size_t n = 0;
    for (int i = 0; i < 150; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "[{\"\":");
    text[n++] = '1';
    for (int i = 0; i < 150; i++) {
        text[n++] = '}';
        text[n++] = ']';
    }
    flamenco_str mixed = { text, n };
    assert_true(fl_jscheck_json(mixed, FL_JSCHECK_ANY, 0));
    text[n - 2] = ']';
    assert_false(fl_jscheck_json(mixed, FL_JSCHECK_ANY, 0));
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(fl_jscheck_utf8(flamenco_text("")));
    assert_true(fl_jscheck_utf8(
        flamenco_text("a\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")));
    static const char *const bad[] = { "\x80",
                                       "\xC1\xBF",
                                       "\xC2",
                                       "\xC2\x41",
                                       "\xE0\x9F\xBF",
                                       "\xED\xA0\x80",
                                       "\xE2\x82",
                                       "\xF0\x8F\xBF\xBF",
                                       "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80",
                                       "\xF0\x90\x80",
                                       "\xFF" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fl_jscheck_utf8(flamenco_text(bad[i])));
}

static void white_space_is_trimmed_as_unicode_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *trimmed;
    } vectors[] = {
        { "", "" },
        { " a ", "a" },
        { "\t\n\v\f\r a b\xC2\x85\xC2\xA0", "a b" },
        { "\xE1\x9A\x80\xE2\x80\x80\xE2\x80\x8A\xE2\x80\xA8x\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\x9F\xE3\x80\x80", "x" },
        { "\xE2\x80\x8B", "\xE2\x80\x8B" }, /* zero width space is none */
        { "\xEF\xBB\xBFx", "\xEF\xBB\xBFx" }, /* nor is the byte order mark */
        { "\xC3\x85", "\xC3\x85" }, /* ends in the byte of U+0085 */
        { "  \xC2\xA0 ", "" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        flamenco_str s = fl_ranges_trim(flamenco_text(vectors[i].text));
        assert_int_equal(s.len, strlen(vectors[i].trimmed));
        assert_memory_equal(s.ptr, vectors[i].trimmed, (size_t)s.len);
    }
}

/* Frame by frame, as the contract describes it, against the intervals. */
static void ranges_agree_with_a_plain_reading(void **state)
{
    (void)state;
    unsigned seed = 12345;
    for (int round = 0; round < 3000; round++) {
        char text[256] = "", expected[4096] = "", frames[64] = { 0 };
        size_t n = 0, at = 0, total = 0;
        int parts = 1 + (int)(seed % 6);
        for (int i = 0; i < parts; i++) {
            seed = seed * 1103515245u + 12345u;
            int a = (int)(seed >> 16) % 60;
            seed = seed * 1103515245u + 12345u;
            int b = (int)(seed >> 16) % 60;
            int single = (seed >> 8) % 3 == 0;
            n += (size_t)snprintf(text + n, sizeof(text) - n, single ? "%s%d" : "%s%d-%d", i > 0 ? "," : "", a, b);
            for (int f = a; f <= (single ? a : b); f++)
                frames[f] = 1;
        }
        seed = seed * 1103515245u + 12345u;
        size_t size = 1 + (seed >> 16) % 12, in_chunk = 0;
        for (int f = 0; f < 60; f++)
            total += (size_t)frames[f];
        for (int f = 0; f < 60; f++) {
            if (!frames[f])
                continue;
            int last = f;
            while (last + 1 < 60 && frames[last + 1] && in_chunk + (size_t)(last + 1 - f) < size)
                last++;
            at += (size_t)snprintf(expected + at, sizeof(expected) - at,
                                   in_chunk > 0 ? ",%d"
                                   : at > 0     ? "\n%d"
                                                : "%d",
                                   f);
            if (last == f + 1)
                at += (size_t)snprintf(expected + at, sizeof(expected) - at, ",%d", last);
            else if (last > f)
                at += (size_t)snprintf(expected + at, sizeof(expected) - at, "-%d", last);
            in_chunk = (in_chunk + (size_t)(last - f) + 1) % size;
            f = last;
        }
        fl_ranges ranges = { NULL, 0, 0 };
        flamenco_error err = FLAMENCO_ERROR_INIT;
        char *chunks = NULL;
        size_t len = 0;
        assert_int_equal(fl_ranges_parse(flamenco_text(text), &ranges, &err), FLAMENCO_OK);
        assert_int_equal(fl_ranges_count(&ranges), total);
        assert_int_equal(fl_ranges_chunks(&ranges, size, &chunks, &len, &err), FLAMENCO_OK);
        if (len != at || memcmp(chunks != NULL ? chunks : "", expected, at) != 0)
            fail_msg("%s by %zu: %.*s, not %s", text, size, (int)len, chunks, expected);
        free(chunks);
        fl_ranges_free(&ranges);
    }
}

static void frames_are_read_within_their_bounds(void **state)
{
    (void)state;
    fl_wire_out out = { NULL, 0, 0, 0, 0 };
    fl_wire_begin(&out, 7);
    fl_wire_u32(&out, 5);
    fl_wire_str(&out, flamenco_text("text"));
    fl_wire_u64(&out, UINT64_MAX);
    fl_wire_end(&out);
    assert_int_equal(out.failed, 0);
    assert_int_equal(out.len, FL_WIRE_HEADER + 4 + 8 + 8);
    for (size_t cut = 0; cut <= out.len - FL_WIRE_HEADER; cut++) {
        fl_wire_in in = { out.data + FL_WIRE_HEADER, out.data + out.len - cut, 0 };
        uint32_t a = fl_wire_get_u32(&in);
        flamenco_str b = fl_wire_get_str(&in);
        uint64_t c = fl_wire_get_u64(&in);
        assert_int_equal(fl_wire_done(&in), cut == 0);
        if (cut == 0) {
            assert_int_equal(a, 5);
            assert_true(flamenco_str_equal(b, flamenco_text("text")));
            assert_true(c == UINT64_MAX);
        }
    }
    size_t before = out.len;
    fl_wire_begin(&out, 8);
    flamenco_str huge = { "", (uint64_t)FL_WIRE_PAYLOAD_MAX + 1 };
    fl_wire_str(&out, huge);
    assert_int_equal(out.failed, 1);
    fl_wire_drop(&out);
    assert_int_equal(out.failed, 0);
    assert_int_equal(out.len, before);
    fl_wire_free(&out);
}

static void type_names_come_from_file_names(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        { "render_turntable.js", "render-turntable" },
        { "render-turntable.js", "render-turntable" },
        { "Upper_case.js", "Upper-case" },
        { "my.type.js", "my.type" },
        { ".hidden.js", ".hidden" },
        { ".js", "" },
        { "__.js", "--" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char *type = fl_catalogue_type_of(vectors[i][0]);
        assert_string_equal(type, vectors[i][1]);
        free(type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_checked_without_a_tree),
        cmocka_unit_test(escapes_of_the_api_can_be_asked_for),
        cmocka_unit_test(every_byte_counts_wherever_it_stands),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(white_space_is_trimmed_as_unicode_has_it),
        cmocka_unit_test(ranges_agree_with_a_plain_reading),
        cmocka_unit_test(frames_are_read_within_their_bounds),
        cmocka_unit_test(type_names_come_from_file_names),
    };
    return cmocka_run_group_tests_name("compiler-js-parts", tests, NULL, NULL);
}
