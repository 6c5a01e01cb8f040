/* SPDX-License-Identifier: Apache-2.0
 *
 * test_document.c - tests that follow from the API's document alone; the tables are made by make_vectors.py. With
 * the argument --samples it writes every schema once with all fields and once with none, for check_samples.py: one
 * line each of name, "full" or "empty", and JSON.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "vectors.h"

#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static json_t *kept[64];
static size_t n_kept;

/* A free-form value for a struct that is read from requests; freed at the end. */
static const json_t *keep(const char *json)
{
    json_t *value = json_loads(json, 0, NULL);
    if (value == NULL || n_kept == COUNT(kept))
        abort();
    kept[n_kept++] = value;
    return value;
}

static void forget_kept(void)
{
    while (n_kept > 0)
        json_decref(kept[--n_kept]);
}

static const flamenco_str params[] = { { "a", 1 }, { "1", 1 }, { "c", 1 } };

static int32_t decode(uint32_t op, const char *body, fl_api_problem *problem)
{
    fl_arena *arena = fl_arena_create(0);
    fl_api_raw raw = { .params = params, .n_params = 3, .content_type = FL_STR("application/json") };
    raw.body = flamenco_text(body);
    void *in = NULL;
    int32_t rc = api_decode(op, &raw, arena, &in, problem);
    api_decoded_fini(in);
    fl_arena_destroy(arena);
    return rc;
}

static void complete_bodies_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(COUNT(good_bodies), 23);
    for (size_t i = 0; i < COUNT(good_bodies); ++i) {
        fl_api_problem problem;
        if (decode(good_bodies[i].op, good_bodies[i].body, &problem) != 0)
            fail_msg("%s: %s", good_bodies[i].body, problem.text);
    }
}

static void every_wrong_field_is_refused_and_named(void **state)
{
    (void)state;
    assert_true(COUNT(bad_bodies) >= 400);
    for (size_t i = 0; i < COUNT(bad_bodies); ++i) {
        fl_api_problem problem;
        if (decode(bad_bodies[i].op, bad_bodies[i].body, &problem) != FLAMENCO_E_INVALID)
            fail_msg("accepted: %s", bad_bodies[i].body);
        assert_int_equal(problem.status, 400);
        if (strncmp(problem.text, bad_bodies[i].place, strlen(bad_bodies[i].place)) != 0)
            fail_msg("%s\n%s\ndoes not begin with %s", bad_bodies[i].body, problem.text, bad_bodies[i].place);
        /* Every message says what is allowed. */
        if (strstr(problem.text, "must be ") == NULL && strstr(problem.text, "is required") == NULL)
            fail_msg("%s", problem.text);
    }
}

static void enumerations_have_their_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(enum_rows); ++i) {
        assert_true(fl_str_is(enum_rows[i].text_of(enum_rows[i].value), enum_rows[i].text));
        assert_int_equal(enum_rows[i].from(flamenco_text(enum_rows[i].text)), enum_rows[i].value);
        assert_int_not_equal(enum_rows[i].value, 0);
        /* Neighbours of the text are no members. */
        char text[64];
        snprintf(text, sizeof(text), "%sx", enum_rows[i].text);
        assert_int_equal(enum_rows[i].from(flamenco_text(text)), 0);
        snprintf(text, sizeof(text), "%s", enum_rows[i].text);
        text[strlen(text) - 1] = '\0';
        uint32_t shorter = enum_rows[i].from(flamenco_text(text));
        assert_true(shorter != enum_rows[i].value);
        text[strlen(text)] = 'X';
        assert_int_equal(enum_rows[i].from(flamenco_text(text)), 0);
        assert_int_equal(enum_rows[i].from((flamenco_str){ NULL, 0 }), 0);
        assert_int_equal(enum_rows[i].text_of(0).len, 0);
        assert_int_equal(enum_rows[i].text_of(enum_rows[i].other).len, 0);
        assert_int_equal(enum_rows[i].text_of(UINT32_MAX).len, 0);
    }
}

/* kind: 0 empty, 1 JSON, 2 text. */
static void check_reply(const char *name, int32_t rc, fl_reply *reply, int32_t status, int kind)
{
    static const char *const types[] = { NULL, "application/json", "text/plain; charset=UTF-8" };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (rc != 0 || reply->status != status)
        fail_msg("%s: %d, status %d", name, rc, reply->status);
    if (kind == 0) {
        assert_null(reply->content_type);
        assert_int_equal(reply->body.len, 0);
        return;
    }
    assert_string_equal(reply->content_type, types[kind]);
    if (kind == 1) {
        assert_int_equal(reply->body.data[reply->body.len - 1], '\n');
        if (fl_json_check(fl_buf_str(&reply->body), &err) != 0)
            fail_msg("%s: %s", name, err.text);
    }
}

static void replies_have_status_type_and_body(void **state)
{
    (void)state;
    call_replies(check_reply);
    forget_kept();
}

static int print_samples(void)
{
    fl_buf buf = { 0 };
    write_samples(&buf);
    int failed = buf.failed || fwrite(buf.data, 1, buf.len, stdout) != buf.len || fflush(stdout) != 0;
    fl_buf_fini(&buf);
    forget_kept();
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--samples") == 0)
        return print_samples();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_bodies_are_accepted),
        cmocka_unit_test(every_wrong_field_is_refused_and_named),
        cmocka_unit_test(enumerations_have_their_texts),
        cmocka_unit_test(replies_have_status_type_and_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
