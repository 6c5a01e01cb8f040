/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of /metrics: what plugins and the core set, in a form that a scraper reads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_core.h"
#include "core/metrics.h"

#define FAR_US 60000000

static bench b;
static char *text;

static int set_up(void **state)
{
    (void)state;
    text = NULL;
    bench_start(&b, FAR_US);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(text);
    bench_stop(&b);
    return 0;
}

static const char *write_all(void)
{
    fl_buf out = { 0 };
    fl_metrics_write(&b.f, &out);
    assert_false(out.failed);
    free(text);
    text = strndup(out.data, out.len);
    assert_non_null(text);
    fl_buf_fini(&out);
    return text;
}

static int count_of(const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; ++at)
        ++n;
    return n;
}

static void set(const char *owner, const char *name, double value)
{
    fl_metrics_set(b.f.metrics, owner, name, value);
}

static void gauges_are_set_and_counters_added(void **state)
{
    (void)state;
    set("mqtt", "queued_events", 5);
    set("mqtt", "queued_events", 3);
    set("mqtt", "dropped_events_total", 5);
    set("mqtt", "dropped_events_total", 3);
    write_all();
    assert_non_null(strstr(text, "# TYPE flamenco_queued_events gauge\nflamenco_queued_events{plugin=\"mqtt\"} 3\n"));
    assert_non_null(strstr(
        text, "# TYPE flamenco_dropped_events_total counter\nflamenco_dropped_events_total{plugin=\"mqtt\"} 8\n"));
}

static void instances_share_a_name_under_one_type_line(void **state)
{
    (void)state;
    set("chat", "sent_total", 1);
    set("chat", "other", 0.5);
    set("mqtt", "sent_total", 2);
    write_all();
    assert_int_equal(count_of("# TYPE flamenco_sent_total counter"), 1);
    assert_non_null(strstr(text, "flamenco_sent_total{plugin=\"chat\"} 1\nflamenco_sent_total{plugin=\"mqtt\"} 2\n"));
    assert_non_null(strstr(text, "flamenco_other{plugin=\"chat\"} 0.5\n"));
}

static void names_with_other_characters_are_dropped(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "1abc", "with blank", "with-dash", "with.dot", "quote\"", "new\nline", "ä" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        set("plugin", bad[i], 1);
    assert_null(strstr(write_all(), "plugin=\"plugin\""));
    set("plugin", "_fine_1", 1);
    assert_non_null(strstr(write_all(), "flamenco__fine_1{plugin=\"plugin\"} 1\n"));
}

static void total_alone_is_no_counter(void **state)
{
    (void)state;
    set("plugin", "_total", 4);
    set("plugin", "_total", 3);
    assert_non_null(strstr(write_all(), "# TYPE flamenco__total gauge\nflamenco__total{plugin=\"plugin\"} 3\n"));
}

static void name_of_an_instance_is_escaped(void **state)
{
    (void)state;
    set("my \"best\" C:\\plugin\nhere", "gauge", 1);
    assert_non_null(strstr(write_all(), "flamenco_gauge{plugin=\"my \\\"best\\\" C:\\\\plugin\\nhere\"} 1\n"));
}

static void names_end_at_a_thousand(void **state)
{
    (void)state;
    for (int i = 0; i < 1100; ++i) {
        char name[32];
        snprintf(name, sizeof(name), "metric_%d", i);
        set("plugin", name, i);
    }
    set("plugin", "metric_7", 77); /* those that are known go on */
    write_all();
    assert_int_equal(count_of("{plugin=\"plugin\"}"), 1000);
    assert_non_null(strstr(text, "flamenco_metric_7{plugin=\"plugin\"} 77\n"));
    assert_null(strstr(text, "metric_1000{"));
}

static void replies_are_counted_by_class(void **state)
{
    (void)state;
    static const int statuses[] = { 200, 204, 299, 404, 423, 503, 0, 99, 600, -1, 101 };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); ++i)
        fl_metrics_request(b.f.metrics, statuses[i], 10);
    write_all();
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"2xx\"} 3\n"));
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"4xx\"} 2\n"));
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"5xx\"} 1\n"));
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"1xx\"} 1\n"));
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"3xx\"} 0\n"));
    assert_non_null(strstr(text, "flamenco_api_replies_total{status=\"none\"} 4\n"));
    assert_non_null(strstr(text, "flamenco_api_microseconds_total 110\n"));
}

static void executor_tells_of_its_work(void **state)
{
    (void)state;
    static bench_step good, bad, read;
    bench_step_init(&good, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&bad, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    bad.returns[0] = FLAMENCO_E_CONFLICT;
    bench_submit(&good);
    bench_wait(&b, 1);
    bench_submit(&bad);
    bench_wait(&b, 2);
    bench_submit(&read);
    bench_wait(&b, 3);
    write_all();
    assert_non_null(strstr(text, "flamenco_commits_total 2\n"));
    assert_non_null(strstr(text, "flamenco_write_steps_total 2\n"));
    assert_non_null(strstr(text, "flamenco_read_steps_total 1\n"));
    assert_non_null(strstr(text, "flamenco_waiting_write_steps 0\n"));
    assert_non_null(strstr(text, "flamenco_parked_requests 0\n"));
    assert_non_null(strstr(text, "flamenco_failed_log_appends_total 0\n"));
    assert_null(strstr(text, "flamenco_http_connections")); /* there is no server yet */
}

/* One line: a comment, or a name, labels, and a number. */
static void check_line(const char *line, char types[][128], int *n_types)
{
    char name[128], kind[16], rest[8];
    if (sscanf(line, "# TYPE %127s %15s%7s", name, kind, rest) == 2) {
        assert_true(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0);
        for (int i = 0; i < *n_types; ++i)
            assert_string_not_equal(types[i], name); /* a scraper refuses a second one */
        assert_true(*n_types < 200);
        snprintf(types[(*n_types)++], 128, "%s", name);
        return;
    }
    if (strncmp(line, "# HELP ", 7) == 0)
        return;
    size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    assert_true(len > 0 && *n_types > 0);
    assert_true(strlen(types[*n_types - 1]) == len && memcmp(types[*n_types - 1], line, len) == 0);
    const char *value = strrchr(line, ' ');
    char *end = NULL;
    assert_non_null(value);
    strtod(value + 1, &end);
    assert_true(end != value + 1 && *end == '\0');
}

static void every_line_can_be_read(void **state)
{
    (void)state;
    static char types[200][128];
    int n_types = 0;
    set("a", "one", 1e300);
    set("b", "one", -0.25);
    set("a", "two_total", 12345678901.0);
    write_all();
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        check_line(line, types, &n_types);
    assert_true(n_types > 10);
}

#define metrics_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        metrics_test(gauges_are_set_and_counters_added),
        metrics_test(instances_share_a_name_under_one_type_line),
        metrics_test(names_with_other_characters_are_dropped),
        metrics_test(total_alone_is_no_counter),
        metrics_test(name_of_an_instance_is_escaped),
        metrics_test(names_end_at_a_thousand),
        metrics_test(replies_are_counted_by_class),
        metrics_test(executor_tells_of_its_work),
        metrics_test(every_line_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
