/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text.c - what a webhook is sent: topics, body, signature, back-off, URLs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "text.h"

static void patterns_choose_topics(void **state)
{
    static const struct {
        const char *pattern, *topic;
        int matches;
    } rows[] = {
        { "/jobs", "/jobs", 1 },
        { "/jobs", "/jobs/1", 0 },
        { "/jobs", "/job", 0 },
        { "/jobs/*", "/jobs/0b7c", 1 },
        { "/jobs/*", "/jobs/", 1 },
        { "/jobs/*", "/jobs", 0 },
        { "/jobs/*", "/jobs/0b7c/last-rendered", 0 },
        { "/jobs/*/last-rendered", "/jobs/0b7c/last-rendered", 1 },
        { "/jobs/*/last-rendered", "/jobs/0b7c/x/last-rendered", 0 },
        { "/jobs/**", "/jobs/0b7c/last-rendered", 1 },
        { "/jobs/**", "/jobs", 0 },
        { "/jobs**", "/jobs", 1 },
        { "/**", "/anything/at/all", 1 },
        { "**", "", 1 },
        { "*", "/jobs", 0 },
        { "/*", "/jobs", 1 },
        { "/*s", "/workers", 1 },
        { "/*s", "/status/s", 0 },
        { "**/last-rendered", "/jobs/0b7c/last-rendered", 1 },
        { "**/last-rendered", "/last-rendered", 1 },
        { "/**/*d", "/a/b/c/last-rendered", 1 },
        { "/**/*x", "/a/b/c/last-rendered", 0 },
        { "/**/b/*", "/a/b/c/b/d", 1 },
        { "", "", 1 },
        { "", "/", 0 },
        { "***", "/a/b", 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
        if (fl_webhook_matches(flamenco_text(rows[i].pattern), flamenco_text(rows[i].topic)) != rows[i].matches)
            fail_msg("%s and %s", rows[i].pattern, rows[i].topic);
}

static void a_body_is_one_line_of_json(void **state)
{
    static const char id[] = "01890a5d-ac96-774b-bcce-b302099a8057";
    flamenco_event event = { .struct_size = sizeof(event),
                             .kind = FLAMENCO_EVENT_TASK_LOG,
                             .topic = flamenco_text("/task\"log\\/\001"),
                             .name = flamenco_text("/tasklog"),
                             .payload = flamenco_text("{\"log\":\"äö\",\"n\":1}") };
    char *out = malloc(fl_webhook_body_size(&event));
    (void)state;
    assert_non_null(out);
    size_t len = fl_webhook_body(out, &event, id, INT64_C(1772600767000042));
    static const char wanted[] =
        "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"time\":\"2026-03-04T05:06:07.000042Z\",\"kind\":\"task_"
        "log\","
        "\"topic\":\"/task\\\"log\\\\/\\u0001\",\"name\":\"/tasklog\",\"payload\":{\"log\":\"äö\",\"n\":1}}";
    assert_int_equal(len, sizeof(wanted) - 1);
    assert_memory_equal(out, wanted, len);
    free(out);
}

static void the_largest_body_has_room(void **state)
{
    char topic[301];
    (void)state;
    memset(topic, 1, sizeof(topic) - 1);
    topic[300] = '\0';
    flamenco_event event = { .struct_size = sizeof(event),
                             .kind = FLAMENCO_EVENT_LAST_RENDERED,
                             .topic = flamenco_text(topic),
                             .name = flamenco_text(topic) };
    size_t size = fl_webhook_body_size(&event);
    char *out = malloc(size);
    assert_non_null(out);
    assert_true(fl_webhook_body(out, &event, "01890a5d-ac96-774b-bcce-b302099a8057", INT64_C(253402300799999999)) <=
                size);
    free(out);
}

static void unknown_kinds_have_a_name(void **state)
{
    (void)state;
    assert_string_equal(fl_webhook_kind(FLAMENCO_EVENT_LIFECYCLE), "lifecycle");
    assert_string_equal(fl_webhook_kind(FLAMENCO_EVENT_WORKER_TAG), "worker_tag");
    assert_string_equal(fl_webhook_kind(99), "other");
}

/* Vectors made with Python's hmac module. */
static void the_signature_is_over_time_and_body(void **state)
{
    static const struct {
        const char *secret, *timestamp, *body, *signature;
    } rows[] = {
        { "s3cret", "1772600767", "{\"id\":1}",
          "sha256=a09f57d2076453507f3a5c8c250ca0100c8d7d27328ae784cadf012a0bbb251c" },
        { "k", "0", "", "sha256=6b4a4b8b3c40f1e8f53a3d36682e5f99f7ad2ac1df1c93dfe336f329167641e7" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char out[FL_WEBHOOK_SIGNATURE_SIZE];
        assert_int_equal(
            fl_webhook_sign(flamenco_text(rows[i].secret), rows[i].timestamp, flamenco_text(rows[i].body), out), 1);
        assert_string_equal(out, rows[i].signature);
    }
}

static void waiting_doubles_up_to_the_most(void **state)
{
    const int64_t s = 1000000;
    (void)state;
    assert_int_equal(fl_webhook_backoff(1, s, 300 * s, 0, 0), s);
    assert_int_equal(fl_webhook_backoff(2, s, 300 * s, 0, 0), 2 * s);
    assert_int_equal(fl_webhook_backoff(9, s, 300 * s, 0, 0), 256 * s);
    assert_int_equal(fl_webhook_backoff(10, s, 300 * s, 0, 0), 300 * s);
    assert_int_equal(fl_webhook_backoff(UINT32_MAX, s, 300 * s, 0, 0), 300 * s);
    assert_int_equal(fl_webhook_backoff(5, s, s, 0, 0), s);
    assert_int_equal(fl_webhook_backoff(64, 10000, 86400 * s, 0, 0), 86400 * s);
}

static void waiting_is_shortened_by_chance_to_no_less_than_half(void **state)
{
    int64_t least = INT64_MAX, most = 0;
    (void)state;
    for (uint64_t chance = 0; chance < 100000; ++chance) {
        int64_t wait = fl_webhook_backoff(3, 1000000, 300000000, 0, chance * UINT64_C(0x9e3779b97f4a7c15));
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_in_range(least, 2000000, 2010000);
    assert_in_range(most, 3990000, 4000000);
}

static void a_receiver_may_ask_for_more_time(void **state)
{
    (void)state;
    assert_int_equal(fl_webhook_backoff(1, 1000000, 300000000, 30, 0), 30000000);
    assert_int_equal(fl_webhook_backoff(9, 1000000, 300000000, 30, 0), 256000000); /* not for less */
    assert_int_equal(fl_webhook_backoff(1, 1000000, 300000000, INT64_MAX, 0), INT64_C(3600000000)); /* nor for ever */
    assert_int_equal(fl_webhook_backoff(1, 1000000, 300000000, -5, 0), 1000000);
}

static void only_urls_that_can_be_posted_to_are_taken(void **state)
{
    static const struct {
        const char *url;
        const char *label; /* NULL: refused */
    } rows[] = {
        { "http://a/", "http://a" },
        { "https://hooks.example/T0/B1/xyz?token=1", "https://hooks.example" },
        { "HTTPS://hooks.example:8443", "HTTPS://hooks.example:8443" },
        { "http://[fd00::7]:8080/x", "http://[fd00::7]:8080" },
        { "http://a?x=@", "http://a" },
        { "http://user:pw@a/", NULL },
        { "http://", NULL },
        { "https:///x", NULL },
        { "http://:80/", NULL },
        { "ftp://a/", NULL },
        { "file:///etc/passwd", NULL },
        { "gopher://a/", NULL },
        { "a/b", NULL },
        { "", NULL },
        { "http://a b/", NULL },
        { "http://a/\r\nX: y", NULL },
        { "http://a\\@b/", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char label[64] = "";
        flamenco_str url = flamenco_text(rows[i].url);
        if (fl_webhook_is_url(url) != (rows[i].label != NULL))
            fail_msg("%s", rows[i].url);
        if (rows[i].label == NULL)
            continue;
        fl_webhook_label(url, label, sizeof(label));
        assert_string_equal(label, rows[i].label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_choose_topics),
        cmocka_unit_test(a_body_is_one_line_of_json),
        cmocka_unit_test(the_largest_body_has_room),
        cmocka_unit_test(unknown_kinds_have_a_name),
        cmocka_unit_test(the_signature_is_over_time_and_body),
        cmocka_unit_test(waiting_doubles_up_to_the_most),
        cmocka_unit_test(waiting_is_shortened_by_chance_to_no_less_than_half),
        cmocka_unit_test(a_receiver_may_ask_for_more_time),
        cmocka_unit_test(only_urls_that_can_be_posted_to_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
