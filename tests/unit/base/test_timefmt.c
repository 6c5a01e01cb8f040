/* SPDX-License-Identifier: Apache-2.0
 *
 * test_timefmt.c - the contract's vectors for time stamps (api-behaviour 1.4, 2.1) and durations
 * (configuration-and-clients 1.7).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "core/base/timefmt.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define BASE INT64_C(1772600767000000) /* 2026-03-04T05:06:07Z */

static void utc_times_have_as_many_digits_as_needed(void **state)
{
    (void)state;
    static const struct {
        int64_t in;
        const char *out;
    } rows[] = {
        { BASE, "2026-03-04T05:06:07Z" },
        { BASE + 89123, "2026-03-04T05:06:07.089123Z" },
        { BASE + 500000, "2026-03-04T05:06:07.5Z" },
        { BASE + 120, "2026-03-04T05:06:07.00012Z" },
        { BASE + 1, "2026-03-04T05:06:07.000001Z" },
        { BASE + 999990, "2026-03-04T05:06:07.99999Z" },
        { BASE + 10203, "2026-03-04T05:06:07.010203Z" },
        { INT64_C(253402300800000000), "10000-01-01T00:00:00Z" },
        { INT64_C(-62167219200000001), "-0001-12-31T23:59:59.999999Z" },
        { 0, "1970-01-01T00:00:00Z" },
        { -1, "1969-12-31T23:59:59.999999Z" },
        { FLAMENCO_TIME_NONE, "0001-01-01T00:00:00Z" },
        { INT64_C(-62135596800000000), "0001-01-01T00:00:00Z" },
        { INT64_C(951782400000000), "2000-02-29T00:00:00Z" },
        { INT64_C(4107542400000000), "2100-03-01T00:00:00Z" },
        { INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char text[FL_TIME_TEXT_MAX];
        assert_int_equal(fl_time_format_utc(rows[i].in, text), strlen(rows[i].out));
        assert_string_equal(text, rows[i].out);
    }
}

static void the_calendar_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t s = INT64_C(-62135596800); s < INT64_C(253402300800); s += 86400 * 37 + 12345) {
        time_t when = (time_t)s;
        struct tm tm;
        char text[FL_TIME_TEXT_MAX], expected[FL_TIME_TEXT_MAX];
        assert_non_null(gmtime_r(&when, &tm));
        fl_time_format_utc(s * 1000000, text);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_string_equal(text, expected);
        int64_t back = 0;
        assert_int_equal(fl_time_parse(flamenco_text(text), &back, NULL), 0);
        assert_true(back == s * 1000000);
    }
}

static void extreme_times_fit_the_buffer(void **state)
{
    (void)state;
    char text[FL_TIME_TEXT_MAX];
    assert_true(fl_time_format_utc(INT64_MAX, text) < FL_TIME_TEXT_MAX);
    assert_true(fl_time_format_utc(INT64_MIN + 1, text) < FL_TIME_TEXT_MAX);
    assert_true(fl_time_format_local(INT64_MAX, 0, text) < FL_TIME_TEXT_MAX);
    assert_true(fl_time_format_local(INT64_MIN + 1, 0, text) < FL_TIME_TEXT_MAX);
}

static void local_times_have_the_zones_offset(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int64_t in;
        int whole;
        const char *out;
    } rows[] = {
        { "CET-1CEST,M3.5.0,M10.5.0/3", BASE + 500000, 0, "2026-03-04T06:06:07.5+01:00" },
        { "CET-1CEST,M3.5.0,M10.5.0/3", BASE + 500000, 1, "2026-03-04T06:06:07+01:00" },
        { "CET-1CEST,M3.5.0,M10.5.0/3", INT64_C(1714972029000000), 1, "2024-05-06T07:07:09+02:00" },
        { "UTC0", BASE, 1, "2026-03-04T05:06:07Z" },
        { "NST3:30", BASE, 1, "2026-03-04T01:36:07-03:30" },
        { "IST-5:30", BASE + 1, 0, "2026-03-04T10:36:07.000001+05:30" },
        { "IST-5:30", FLAMENCO_TIME_NONE, 0, "0001-01-01T00:00:00Z" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char text[FL_TIME_TEXT_MAX];
        assert_int_equal(setenv("TZ", rows[i].zone, 1), 0);
        tzset();
        assert_int_equal(fl_time_format_local(rows[i].in, rows[i].whole, text), strlen(rows[i].out));
        assert_string_equal(text, rows[i].out);
    }
}

static void times_are_read_down_to_nanoseconds(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t us;
        int32_t ns;
    } rows[] = {
        { "2026-03-04T05:06:07Z", BASE, 0 },
        { "2026-03-04T05:06:07.0Z", BASE, 0 },
        { "2026-03-04T05:06:07.089123Z", BASE + 89123, 0 },
        { "2026-03-04T05:06:07.089123456Z", BASE + 89123, 456 },
        { "2026-03-04T05:06:07.0891234569999Z", BASE + 89123, 456 },
        { "2026-03-04T06:06:07.5+01:00", BASE + 500000, 0 },
        { "2026-03-03T23:36:07-05:30", BASE, 0 },
        { "2026-03-04T05:06:07-00:00", BASE, 0 },
        { "0001-01-01T00:00:00Z", INT64_C(-62135596800000000), 0 },
        { "1969-12-31T23:59:59.999999999Z", -1, 999 },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        int64_t us = 0;
        int32_t ns = -1;
        assert_int_equal(fl_time_parse(flamenco_text(rows[i].in), &us, &ns), 0);
        assert_true(us == rows[i].us);
        assert_int_equal(ns, rows[i].ns);
    }
}

static void wrong_times_are_refused_in_two_ways(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int32_t rc;
    } rows[] = {
        { "2026-05-01T10:00:00", FLAMENCO_E_CONFLICT },
        { "2026-05-01T10:00:00.25", FLAMENCO_E_CONFLICT },
        { "2026-05-01T10:00:60Z", FLAMENCO_E_CONFLICT },
        { "2026-05-01", FLAMENCO_E_INVALID },
        { "", FLAMENCO_E_INVALID },
        { "2026-05-01t10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00z", FLAMENCO_E_INVALID },
        { "2026-05-01 10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00.Z", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00,5Z", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00+0100", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00+24:00", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00+01:60", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:00Zx", FLAMENCO_E_INVALID },
        { "2026-05-01T10:00:61Z", FLAMENCO_E_INVALID },
        { "2026-05-01T24:00:00Z", FLAMENCO_E_INVALID },
        { "2026-05-01T10:60:00Z", FLAMENCO_E_INVALID },
        { "2026-13-01T10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-00-01T10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-02-29T10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-04-00T10:00:00Z", FLAMENCO_E_INVALID },
        { "2026-5-01T10:00:00Z", FLAMENCO_E_INVALID },
        { " 2026-05-01T10:00:00Z", FLAMENCO_E_INVALID },
        { "+2026-05-01T10:00:00Z", FLAMENCO_E_INVALID },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        int64_t us = 42;
        if (fl_time_parse(flamenco_text(rows[i].in), &us, NULL) != rows[i].rc)
            fail_msg("%s", rows[i].in);
        assert_int_equal(us, 42);
    }
}

static void durations_are_read_and_written_canonically(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        int64_t ns;
    } rows[] = {
        { "1h", "1h0m0s", INT64_C(3600000000000) },
        { "90s", "1m30s", INT64_C(90000000000) },
        { "1.5h", "1h30m0s", INT64_C(5400000000000) },
        { ".5s", "500ms", 500000000 },
        { "1m1h", "1h1m0s", INT64_C(3660000000000) },
        { "1h1h", "2h0m0s", INT64_C(7200000000000) },
        { "-90s", "-1m30s", INT64_C(-90000000000) },
        { "+5s", "5s", INT64_C(5000000000) },
        { "00001s", "1s", 1000000000 },
        { "0", "0s", 0 },
        { "-0", "0s", 0 },
        { "0h0m", "0s", 0 },
        { "24h0m0.001s", "24h0m0.001s", INT64_C(86400001000000) },
        { "10m0s", "10m0s", INT64_C(600000000000) },
        { "744h0m0s", "744h0m0s", INT64_C(2678400000000000) },
        { "1.s", "1s", 1000000000 },
        { "1.5ms", "1.5ms", 1500000 },
        { "1500us", "1.5ms", 1500000 },
        { "7\xC2\xB5s", "7\xC2\xB5s", 7000 },
        { "7\xCE\xBCs", "7\xC2\xB5s", 7000 },
        { "1.25us", "1.25\xC2\xB5s", 1250 },
        { "999ns", "999ns", 999 },
        { "0.9ns", "0s", 0 },
        { "1m0.5s", "1m0.5s", INT64_C(60500000000) },
        { "0.000000000000000000000001h", "0s", 0 },
        { "0.3333333333333333333h", "19m59.999999999s", INT64_C(1200000000000) - 1 },
        { "2562047h47m16.854775807s", "2562047h47m16.854775807s", INT64_MAX },
        { "-2562047h47m16.854775807s", "-2562047h47m16.854775807s", -INT64_MAX },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        int64_t ns = 42;
        char text[FL_TIME_TEXT_MAX];
        if (fl_duration_parse(flamenco_text(rows[i].in), &ns) != 0)
            fail_msg("%s was refused", rows[i].in);
        if (ns != rows[i].ns)
            fail_msg("%s: %lld", rows[i].in, (long long)ns);
        assert_int_equal(fl_duration_format(ns, text), strlen(rows[i].out));
        assert_string_equal(text, rows[i].out);
    }
}

static void wrong_durations_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "10",
        "",
        "1d",
        "1w",
        "1H",
        "1 h",
        " 1h",
        "1.",
        "h",
        "1:30",
        "1e3s",
        "2562048h",
        "-",
        "+",
        ".s",
        ".",
        "1h ",
        "1h2",
        "--1s",
        "1.2.3s",
        "-2562048h",
        "9223372036854775808ns",
        "99999999999999999999999999999999999999999999s",
        "1h-1m",
        "00",
        "0 ",
        "1\xC2s",
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        int64_t ns = 42;
        if (fl_duration_parse(flamenco_text(rows[i]), &ns) != FLAMENCO_E_INVALID)
            fail_msg("%s was accepted", rows[i]);
        assert_int_equal(ns, 42);
    }
}

static void the_smallest_duration_fits_the_buffer(void **state)
{
    (void)state;
    char text[FL_TIME_TEXT_MAX];
    fl_duration_format(INT64_MIN, text);
    assert_string_equal(text, "-2562047h47m16.854775808s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc_times_have_as_many_digits_as_needed),
        cmocka_unit_test(the_calendar_agrees_with_the_c_library),
        cmocka_unit_test(extreme_times_fit_the_buffer),
        cmocka_unit_test(local_times_have_the_zones_offset),
        cmocka_unit_test(times_are_read_down_to_nanoseconds),
        cmocka_unit_test(wrong_times_are_refused_in_two_ways),
        cmocka_unit_test(durations_are_read_and_written_canonically),
        cmocka_unit_test(wrong_durations_are_refused),
        cmocka_unit_test(the_smallest_duration_fits_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
