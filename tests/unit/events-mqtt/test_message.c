/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, and which events are sent (events 3.2).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "message.h"

static void topics_are_prefix_and_topic(void **state)
{
    static const struct {
        const char *prefix, *topic, *wanted;
    } cases[] = {
        { "flamenco", "/lifecycle", "flamenco/lifecycle" },
        { "flamenco", "/jobs/0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4d5/last-rendered",
          "flamenco/jobs/0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4d5/last-rendered" },
        { "farm/a", "/jobs", "farm/a/jobs" },
        { "", "/jobs", "/jobs" },
        { "b\xc3\xbcro ", "/status", "b\xc3\xbcro /status" },
        { "a", "/+", NULL },
        { "a", "/#", NULL },
        { "a", "/\xff", NULL },
        { "", "", NULL },
    };
    char out[200];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        int good = fl_mqtt_topic_write(out, sizeof(out), flamenco_text(cases[i].prefix), flamenco_text(cases[i].topic));
        assert_int_equal(good, cases[i].wanted != NULL);
        if (good)
            assert_string_equal(out, cases[i].wanted);
    }
    assert_false(fl_mqtt_topic_write(out, sizeof(out), flamenco_text("a"), (flamenco_str){ "/b\0c", 4 }));
}

static void a_topic_that_does_not_fit_is_refused(void **state)
{
    char out[16], *text = malloc(MQTT_TOPIC_MAX + 2), *room = malloc(MQTT_TOPIC_MAX + 8);
    (void)state;
    assert_non_null(text);
    assert_non_null(room);
    memset(text, 'a', MQTT_TOPIC_MAX + 2);
    assert_true(fl_mqtt_topic_write(out, sizeof(out), (flamenco_str){ text, 10 }, flamenco_text("/jobs")));
    assert_false(fl_mqtt_topic_write(out, sizeof(out), (flamenco_str){ text, 11 }, flamenco_text("/jobs")));
    assert_true(
        fl_mqtt_topic_write(room, MQTT_TOPIC_MAX + 8, (flamenco_str){ text, MQTT_TOPIC_MAX }, flamenco_text("")));
    assert_false(
        fl_mqtt_topic_write(room, MQTT_TOPIC_MAX + 8, (flamenco_str){ text, MQTT_TOPIC_MAX + 1 }, flamenco_text("")));
    free(text);
    free(room);
}

static void prefixes(void **state)
{
    static char longest[60001];
    static const struct {
        flamenco_str prefix;
        int good;
    } cases[] = {
        { { "flamenco", 8 }, 1 },  { { "", 0 }, 1 },          { { NULL, 0 }, 1 },   { { "/a//b/", 6 }, 1 },
        { { "a+", 2 }, 0 },        { { "a/#", 3 }, 0 },       { { "a\0b", 3 }, 0 }, { { "\xc3", 1 }, 0 },
        { { longest, 60000 }, 1 }, { { longest, 60001 }, 0 },
    };
    (void)state;
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i)
        assert_int_equal(fl_mqtt_prefix_check(cases[i].prefix) == NULL, cases[i].good);
}

static void all_kinds_but_task_logs_are_sent(void **state)
{
    (void)state;
    for (uint32_t kind = FLAMENCO_EVENT_LIFECYCLE; kind <= FLAMENCO_EVENT_WORKER_TAG; ++kind)
        assert_int_equal(fl_mqtt_is_sent(kind), kind != FLAMENCO_EVENT_TASK_LOG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_prefix_and_topic),
        cmocka_unit_test(a_topic_that_does_not_fit_is_refused),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(all_kinds_but_task_logs_are_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
