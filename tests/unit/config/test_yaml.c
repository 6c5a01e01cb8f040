/* SPDX-License-Identifier: Apache-2.0
 *
 * test_yaml.c - the YAML reader: marks, quoting, limits, hostile files (configuration-and-clients 1.6).
 */
#include "tests/unit/config/support.h"

static fl_yaml_doc *doc;
static fl_config_problems problems;

static int32_t parse(const char *text, uint32_t flags)
{
    fl_yaml_doc_destroy(doc);
    doc = NULL;
    fl_config_problems_fini(&problems);
    return fl_yaml_parse(flamenco_text(text), "t.yaml", flags, &problems, &doc);
}

static int teardown(void **state)
{
    (void)state;
    fl_yaml_doc_destroy(doc);
    doc = NULL;
    fl_config_problems_fini(&problems);
    return 0;
}

static void yaml_marks_say_line_and_column(void **state)
{
    (void)state;
    assert_int_equal(parse("a: 1\nb:\n  - x\n  - 'y'\n", FL_YAML_STRICT), FLAMENCO_OK);
    const fl_yaml_node *b = fl_yaml_get(fl_yaml_root(doc), "b");
    assert_non_null(b);
    assert_int_equal(b->kind, FL_YAML_LIST);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->items[1]->line, 4);
    assert_int_equal(b->items[1]->column, 5);
    assert_true(b->items[0]->plain);
    assert_false(b->items[1]->plain);
    assert_text("y", b->items[1]->text, "y");
}

static void yaml_empty_documents_have_no_root(void **state)
{
    static const char *const texts[] = { "", "# only this\n", "---\n", "~\n", "\xEF\xBB\xBF" };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        assert_int_equal(parse(texts[i], FL_YAML_STRICT), FLAMENCO_OK);
        assert_null(fl_yaml_root(doc));
    }
}

static void yaml_byte_order_mark_and_crlf_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse("\xEF\xBB\xBF"
                           "a: b\r\nc: d\r\n",
                           0),
                     FLAMENCO_OK);
    assert_text("c", fl_yaml_get(fl_yaml_root(doc), "c")->text, "d");
    assert_text("a", fl_yaml_get(fl_yaml_root(doc), "a")->text, "b");
}

static void yaml_scalars_of_the_go_writer_are_understood(void **state)
{
    static const struct {
        const char *yaml, *wanted;
    } rows[] = {
        { "v: one two\n  three\n", "one two three" }, /* folded at 80 columns */
        { "v: \"cat \\U0001F408\"\n", "cat \xF0\x9F\x90\x88" },
        { "v: :8080\n", ":8080" },
        { "v: F:\\\n", "F:\\" },
        { "v: C:\\Apps\\b\\blender.exe\n", "C:\\Apps\\b\\blender.exe" },
        { "v: C:\\\\Apps\n", "C:\\\\Apps" },
        { "v: \"C:\\\\Apps\"\n", "C:\\Apps" },
        { "v: 'it''s'\n", "it's" },
        { "v: ''\n", "" },
        { "v: |\n  a\n  b\n", "a\nb\n" },
        { "v: !!str 123\n", "123" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_equal(parse(rows[i].yaml, 0), FLAMENCO_OK);
        assert_text(rows[i].yaml, fl_yaml_get(fl_yaml_root(doc), "v")->text, rows[i].wanted);
    }
}

static void yaml_repeated_key_last_wins_or_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(parse("a: 1\nb: 2\na: 3\n", 0), FLAMENCO_OK);
    assert_int_equal(fl_yaml_root(doc)->count, 2);
    assert_text("a", fl_yaml_get(fl_yaml_root(doc), "a")->text, "3");
    assert_int_equal(parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 2);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "t.yaml:4: the key \"c\""));
    assert_true(
        has_problem(&problems, FLAMENCO_LOG_ERROR, "t.yaml:5: the key \"a\" stands here again, first in line 1"));
}

static void yaml_aliases_and_merge_keys_work_where_the_reference_reads(void **state)
{
    (void)state;
    assert_int_equal(parse("base: &b {x: 1, y: 2}\nother: &o {y: 9, z: 8}\n"
                           "one:\n  y: 5\n  <<: *b\ntwo:\n  <<: [*b, *o]\nthree: *b\n",
                           0),
                     FLAMENCO_OK);
    const fl_yaml_node *root = fl_yaml_root(doc), *one = fl_yaml_get(root, "one"), *two = fl_yaml_get(root, "two");
    assert_text("one.y", fl_yaml_get(one, "y")->text, "5");
    assert_text("one.x", fl_yaml_get(one, "x")->text, "1");
    assert_null(fl_yaml_get(one, "<<"));
    assert_text("two.y", fl_yaml_get(two, "y")->text, "2");
    assert_text("two.z", fl_yaml_get(two, "z")->text, "8");
    assert_text("three.x", fl_yaml_get(fl_yaml_get(root, "three"), "x")->text, "1");
    assert_int_equal(parse("a: {<<: 5}\n", 0), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "map merge"));
}

static void yaml_aliases_and_merge_keys_are_refused_when_strict(void **state)
{
    (void)state;
    assert_int_equal(parse("a: &x 1\nb: *x\n", FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "t.yaml:2: aliases (*x)"));
    assert_int_equal(parse("a: {<<: {b: 1}}\n", FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "merge keys (<<) are not allowed"));
}

static void yaml_cycles_are_refused(void **state)
{
    static const char *const texts[] = { "&a [*a]\n", "a: &x {b: *x}\n", "a: &x [1, {c: [*x]}]\n", "a: *none\n" };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        assert_int_equal(parse(texts[i], 0), FLAMENCO_E_INVALID);
        assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "no such anchor, or it contains itself"));
    }
}

static void yaml_alias_bombs_are_refused(void **state)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof(text), "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    (void)state;
    for (int i = 1; i < 20; ++i) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "l%d: &l%d [", i, i);
        for (int k = 0; k < 10; ++k)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s*l%d", k > 0 ? ", " : "", i - 1);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "]\n");
    }
    assert_int_equal(parse(text, 0), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "aliases make more than"));
}

static void yaml_nesting_is_bounded_also_through_aliases(void **state)
{
    char text[4096] = { 0 };
    (void)state;
    memset(text, '[', 31);
    memset(text + 31, ']', 31);
    assert_int_equal(parse(text, FL_YAML_STRICT), FLAMENCO_OK);
    memset(text, '[', 32);
    text[32] = 'x';
    memset(text + 33, ']', 32);
    assert_int_equal(parse(text, FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "nested deeper than 32"));
    memset(text, '[', 4000);
    text[4000] = '\0';
    assert_int_equal(parse(text, FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "nested deeper than 32"));
    assert_int_equal(
        parse("a: &a [[[[[[[[[[1]]]]]]]]]]\nb: &b [[[[[[[[[[*a]]]]]]]]]]\nc: [[[[[[[[[[[*b]]]]]]]]]]]\n", 0),
        FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "nested deeper than 32"));
}

static void yaml_size_is_bounded(void **state)
{
    size_t size = 1024 * 1024 + 2;
    char *text = malloc(size + 1);
    (void)state;
    assert_non_null(text);
    memset(text, '#', size);
    text[size] = '\0';
    assert_int_equal(parse(text, 0), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "larger than 1 MiB"));
    for (size_t i = 0; i + 1 < size; i += 2)
        memcpy(text + i, "x,", 2);
    memcpy(text, "[ ", 2);
    text[1024 * 1024] = '\0';
    assert_int_equal(parse(text, 0), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "more than 200000 values"));
    free(text);
}

static void yaml_large_map_of_repeated_keys_stays_cheap(void **state)
{
    size_t size = 90000 * 5;
    char *text = malloc(size + 1);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 90000; ++i)
        memcpy(text + i * 5, i % 2 ? "a: 1\n" : "b: 2\n", 5);
    text[size] = '\0';
    assert_int_equal(parse(text, 0), FLAMENCO_OK);
    assert_int_equal(fl_yaml_root(doc)->count, 2);
    free(text);
}

static void yaml_broken_texts_are_errors_with_a_line(void **state)
{
    static const struct {
        const char *yaml, *problem;
    } rows[] = {
        { "a: 1\n\tb: 2\n", "t.yaml:2:" },
        { "a: 1\nb: [1,\n", "t.yaml:3:" },
        { "a: \"x\n", "t.yaml:" },
        { "ok: 1\nbad: \xFF\xFE\n", "t.yaml:2:" },
        { "a: b: c\n", "t.yaml:1:" },
        { "? [x]\n: 1\n", "t.yaml:1: a key must be a text, not a list" },
        { "a: !other 5\n", "the tag !other" },
        { "a: !!binary aGk=\n", "the tag tag:yaml.org,2002:binary" },
        { "a: 1\x01\n", "t.yaml:1:" },
        { "- a\nb: c\n", "t.yaml:2:" },
        { "&a &b c\n", "t.yaml:1:" },
        { "%YAML 9.9\n---\na: 1\n", "t.yaml:1:" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        if (parse(rows[i].yaml, FL_YAML_STRICT) != FLAMENCO_E_INVALID)
            fail_msg("accepted: %s", rows[i].yaml);
        assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, rows[i].problem));
    }
}

static void yaml_second_document_is_ignored_or_refused(void **state)
{
    (void)state;
    assert_int_equal(parse("a: 1\n---\na: [broken\n", 0), FLAMENCO_OK);
    assert_text("a", fl_yaml_get(fl_yaml_root(doc), "a")->text, "1");
    assert_int_equal(parse("a: 1\n---\na: 2\n", FL_YAML_STRICT), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "t.yaml:2: a second document"));
}

static const fl_yaml_node *value_of(const char *scalar)
{
    char text[128];
    snprintf(text, sizeof(text), "v: %s\n", scalar);
    assert_int_equal(parse(text, 0), FLAMENCO_OK);
    return fl_yaml_get(fl_yaml_root(doc), "v");
}

static void yaml_booleans_are_those_of_version_1_1(void **state)
{
    static const char *const yes[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE" };
    static const char *const no[] = { "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE" };
    static const char *const none[] = { "\"yes\"", "'true'", "1", "0", "yEs", "~", "tru", "!!str yes", "[yes]" };
    (void)state;
    for (size_t i = 0; i < 11; ++i) {
        int value = -1;
        assert_true(fl_yaml_bool(value_of(yes[i]), &value));
        assert_int_equal(value, 1);
        assert_true(fl_yaml_bool(value_of(no[i]), &value));
        assert_int_equal(value, 0);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i) {
        int value = -1;
        assert_false(fl_yaml_bool(value_of(none[i]), &value));
        assert_int_equal(value, -1);
    }
}

static void yaml_integers_are_those_of_version_1_1(void **state)
{
    static const struct {
        const char *text;
        int ok;
        int64_t value;
    } rows[] = {
        { "0", 1, 0 },
        { "12", 1, 12 },
        { "-7", 1, -7 },
        { "+3", 1, 3 },
        { "0x1F", 1, 31 },
        { "0o17", 1, 15 },
        { "017", 1, 15 },
        { "0b101", 1, 5 },
        { "1_000", 1, 1000 },
        { "08", 0, 0 },
        { "1.0", 0, 0 },
        { "\"5\"", 0, 0 },
        { "1e3", 0, 0 },
        { "", 0, 0 },
        { "+-", 0, 0 },
        { "0x", 0, 0 },
        { "_1", 0, 0 },
        { "12a", 0, 0 },
        { "9223372036854775807", 1, INT64_MAX },
        { "9223372036854775808", 0, 0 },
        { "-9223372036854775808", 1, INT64_MIN },
        { "99999999999999999999", 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        int64_t value = 0;
        if (fl_yaml_int(value_of(rows[i].text), &value) != rows[i].ok || value != rows[i].value)
            fail_msg("%s: got %lld", rows[i].text, (long long)value);
    }
}

static void yaml_reals_are_decimal_and_finite(void **state)
{
    static const char *const none[] = { ".inf",    ".nan", "inf",   "0x10p1", "1e999",
                                        "\"1.5\"", ".",    "1.5.2", "e5",     "1_0.5x" };
    double value = 0;
    (void)state;
    assert_true(fl_yaml_real(value_of("5.5"), &value) && value == 5.5);
    assert_true(fl_yaml_real(value_of("-1e3"), &value) && value == -1000);
    assert_true(fl_yaml_real(value_of(".5"), &value) && value == 0.5);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i)
        if (fl_yaml_real(value_of(none[i]), &value))
            fail_msg("taken: %s", none[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(yaml_marks_say_line_and_column, teardown),
        cmocka_unit_test_teardown(yaml_empty_documents_have_no_root, teardown),
        cmocka_unit_test_teardown(yaml_byte_order_mark_and_crlf_are_read, teardown),
        cmocka_unit_test_teardown(yaml_scalars_of_the_go_writer_are_understood, teardown),
        cmocka_unit_test_teardown(yaml_repeated_key_last_wins_or_is_an_error, teardown),
        cmocka_unit_test_teardown(yaml_aliases_and_merge_keys_work_where_the_reference_reads, teardown),
        cmocka_unit_test_teardown(yaml_aliases_and_merge_keys_are_refused_when_strict, teardown),
        cmocka_unit_test_teardown(yaml_cycles_are_refused, teardown),
        cmocka_unit_test_teardown(yaml_alias_bombs_are_refused, teardown),
        cmocka_unit_test_teardown(yaml_nesting_is_bounded_also_through_aliases, teardown),
        cmocka_unit_test_teardown(yaml_size_is_bounded, teardown),
        cmocka_unit_test_teardown(yaml_large_map_of_repeated_keys_stays_cheap, teardown),
        cmocka_unit_test_teardown(yaml_broken_texts_are_errors_with_a_line, teardown),
        cmocka_unit_test_teardown(yaml_second_document_is_ignored_or_refused, teardown),
        cmocka_unit_test_teardown(yaml_booleans_are_those_of_version_1_1, teardown),
        cmocka_unit_test_teardown(yaml_integers_are_those_of_version_1_1, teardown),
        cmocka_unit_test_teardown(yaml_reals_are_decimal_and_finite, teardown),
    };
    return cmocka_run_group_tests_name("config_yaml", tests, NULL, NULL);
}
