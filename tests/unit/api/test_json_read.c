/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_read.c - the fast reader against the library's parser: whatever it takes, it must understand alike.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/api/json_mend.h"
#include "core/api/json_read.h"
#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define MUTATIONS 20000 /* of each seed */
#define TEXT_MAX 400

/* The way that all bodies went before there was a fast one. */
static json_t *parse_slowly(flamenco_str text, fl_arena *arena)
{
    flamenco_str mended;
    json_error_t error;
    assert_int_equal(fl_json_mend(text, arena, &mended), 0);
    return json_loadb(mended.ptr, (size_t)mended.len, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY,
                      &error);
}

/* Returns whether the fast reader took the text; then both trees are the same, order of keys included. */
static int compare(flamenco_str text)
{
    fl_arena *arena = fl_arena_create(0);
    /* A buffer of exactly that length: reading behind it is seen by the sanitizer. */
    char *exact = malloc((size_t)text.len + 1);
    assert_non_null(exact);
    memcpy(exact, text.ptr, (size_t)text.len);
    exact = realloc(exact, text.len > 0 ? (size_t)text.len : 1);
    assert_non_null(exact);
    flamenco_str copy = { exact, text.len };
    json_t *fast = fl_json_read(copy, arena);
    if (fast != NULL) {
        json_t *slow = parse_slowly(copy, arena);
        if (slow == NULL || !json_equal(fast, slow))
            fail_msg("read differently: %.*s", FL_STR_ARGS(copy));
        char *a = json_dumps(fast, JSON_ENCODE_ANY), *b = json_dumps(slow, JSON_ENCODE_ANY);
        assert_string_equal(a, b);
        free(a);
        free(b);
        json_decref(slow);
        json_decref(fast);
    }
    free(exact);
    fl_arena_destroy(arena);
    return fast != NULL;
}

static const char *const usual[] = {
    "{}",
    " \t\r\n{ \"a\" : [ ] , \"b\" : { } } trailing",
    "{\"activity\":\"Started\",\"taskStatus\":\"active\",\"log\":\"Fra:1 Mem:58.21M | Rendering 16 / 64\\n\"}",
    "{\"log\":\"eight by eight: no special at all in here, then \\\"quotes\\\", C:\\\\dir\\\\file\\tand "
    "\\u0041\\u00e9\\u20ac\"}",
    "{\"steps_completed\":1,\"low\":-999999999999999999,\"high\":999999999999999999,\"zero\":0,\"minus\":-0}",
    "{\"a\":true,\"b\":false,\"c\":null,\"d\":[1,[2,[3,{\"e\":[]}]]],\"a\":\"again\"}",
    "{\"name\":\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\",\"\xC3\xA4\":\"\",\"\":\"\\u0000\\b\\f\\/\"}",
    "{\"type\":\"simple-blender-render\",\"priority\":50,\"settings\":{\"frames\":\"1-10\",\"chunk_size\":3},"
    "\"metadata\":{}}",
};

static void usual_bodies_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(usual); ++i)
        if (!compare(flamenco_text(usual[i])))
            fail_msg("not taken: %s", usual[i]);
}

static void what_is_unusual_is_left_to_the_parser(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "1",
        "\"a\"",
        "[{}]",
        "\xEF\xBB\xBF{}",
        "{",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":'b'}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1.5}",
        "{\"a\":1e3}",
        "{\"a\":1000000000000000000}",
        "{\"a\":truex}",
        "{\"a\":tru}",
        "{\"a\":nul",
        "{\"a\":\"b}",
        "{\"a\":\"\\",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u123\"}",
        "{\"a\":\"\\ud83d\\ude00\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"line\nbreak\"}",
        "{\"a\":\"\x1f\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\\u0000\":1}",
        "{\"\\u0061\":1}",
    };
    for (size_t i = 0; i < COUNT(texts); ++i)
        if (compare(flamenco_text(texts[i])))
            fail_msg("taken: %s", texts[i]);
}

static void deep_nesting_is_left_to_the_parser(void **state)
{
    (void)state;
    char text[200];
    for (int depth = 1; depth < 60; ++depth) {
        int len = snprintf(text, sizeof(text), "{\"a\":%.*s%.*s}", depth,
                           "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth,
                           "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        int taken = compare((flamenco_str){ text, (uint64_t)len });
        assert_int_equal(taken, depth < 32);
    }
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

/* Replaces, drops or inserts a few bytes, mostly such that mean something in JSON. */
static size_t mutate(char *text, size_t len, uint64_t *seed)
{
    static const char letters[] = "\"\\{}[]:,0123456789-+.eEutrnfalsb \n\t\x01\x7f\xc3\xa9\xed\xa0\x80\xf0\xff";
    for (uint32_t n = next_random(seed) % 3 + 1; n > 0; --n) {
        size_t at = next_random(seed) % (len + 1);
        char c = letters[next_random(seed) % sizeof(letters)];
        switch (next_random(seed) % 3) {
        case 0:
            if (at < len)
                text[at] = c;
            break;
        case 1:
            if (at < len)
                memmove(text + at, text + at + 1, --len - at);
            break;
        default:
            if (len < TEXT_MAX) {
                memmove(text + at + 1, text + at, len++ - at);
                text[at] = c;
            }
        }
    }
    return len;
}

static void mutated_bodies_are_read_alike(void **state)
{
    (void)state;
    uint64_t seed = 1, taken = 0;
    for (size_t i = 0; i < COUNT(usual); ++i) {
        for (int n = 0; n < MUTATIONS; ++n) {
            char text[TEXT_MAX];
            size_t len = strlen(usual[i]);
            memcpy(text, usual[i], len);
            len = mutate(text, len, &seed);
            taken += (uint64_t)compare((flamenco_str){ text, len });
        }
    }
    assert_true(taken > MUTATIONS); /* else nothing was compared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_bodies_are_taken),
        cmocka_unit_test(what_is_unusual_is_left_to_the_parser),
        cmocka_unit_test(deep_nesting_is_left_to_the_parser),
        cmocka_unit_test(mutated_bodies_are_read_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
