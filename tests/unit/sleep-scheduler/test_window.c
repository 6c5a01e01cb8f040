/* SPDX-License-Identifier: Apache-2.0
 *
 * test_window.c - when a schedule lets a worker sleep, and when to look again (state-and-scheduling 11.3, 11.4; decisions
 * "overnight sleep window"): the contract's vectors, hand-made ones for the days on which clocks are changed, and a year in
 * several zones against a model that looks at every minute.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "local_time.h"
#include "schedule_text.h"
#include "window.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MINUTE INT64_C(60)
#define US INT64_C(1000000)

/* Rules in POSIX form, so that the test does not depend on the system's database of zones. */
#define AMSTERDAM "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" /* by half an hour, in the south */
#define HAVANA "CST5CDT,M3.2.0/0,M11.1.0/1" /* at midnight: 00:00 is left out, and comes twice */
#define ST_JOHNS "NST3:30NDT,M4.1.0/0:01,M10.5.0/0:01" /* put back over midnight, as it was there until 2011 */
#define KOLKATA "IST-5:30"

static void set_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

/* "22:00-06:00 mo fr" */
static fl_sleep_rule rule_of(const char *text)
{
    fl_sleep_rule rule = { .is_active = 1 };
    char start[8], end[8];
    int used = 0;
    if (sscanf(text, "%7[^-]-%7s%n", start, end, &used) != 2)
        fail_msg("bad rule %s", text);
    assert_null(fl_sleep_read_time(flamenco_text(start[0] == 'x' ? "" : start), 0, &rule.start));
    assert_null(fl_sleep_read_time(flamenco_text(end[0] == 'x' ? "" : end), 1, &rule.end));
    rule.days = fl_sleep_days_mask(flamenco_text(text + used));
    return rule;
}

/* UTC. */
static int64_t instant(const char *text)
{
    struct tm tm = { 0 };
    if (sscanf(text, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min) != 5)
        fail_msg("bad time %s", text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm);
}

static const char *written(int64_t us)
{
    static char out[2][32];
    static int next;
    next = !next;
    struct tm tm;
    time_t t = (time_t)(us / US);
    assert_non_null(gmtime_r(&t, &tm));
    (void)strftime(out[next], sizeof(out[next]), "%Y-%m-%d %H:%M", &tm);
    return out[next];
}

/* ---- The contract's vectors ------------------------------------------------------------------------------------------ */

/* In a zone without changes; 2026-07-07 is a Tuesday. */
static void windows_of_the_contract(void **state)
{
    static const struct {
        const char *rule, *now;
        int asleep;
    } rows[] = {
        { "09:00-18:00", "11:16", 1 },
        { "09:00-18:00", "09:00", 1 },
        { "09:00-18:00", "18:00", 0 },
        { "09:00-18:00", "19:16", 0 },
        { "09:00-18:00", "08:47", 0 },
        { "x-x", "00:00", 1 },
        { "x-x", "23:59", 1 },
        { "09:00-x", "10:47", 1 },
        { "09:00-x", "08:59", 0 },
        { "09:00-x", "23:59", 1 },
        { "09:00-x", "00:00", 0 },
        { "x-18:00", "07:47", 1 },
        { "x-18:00", "18:00", 0 },
        { "09:00-09:00", "09:00", 0 },
        { "09:00-09:00", "15:00", 0 },
        { "00:00-00:00", "00:00", 0 },
        { "00:00-24:00", "00:00", 1 },
        { "00:00-24:00", "23:59", 1 },
        { "x-24:00", "12:00", 1 },
        { "x-00:00", "12:00", 0 },
        { "18:00-24:00", "23:59", 1 },
        { "18:00-24:00", "00:00", 0 },
        { "18:00-00:00", "23:59", 1 },
        { "18:00-00:00", "00:00", 0 },
        { "09:00-18:00 mo we", "11:16", 0 },
        { "09:00-18:00 tu th fr", "11:16", 1 },
        { "09:00-18:00 tu th fr", "19:16", 0 },
        { "22:00-06:00", "22:00", 1 },
        { "22:00-06:00", "21:59", 0 },
        { "22:00-06:00", "05:59", 1 },
        { "22:00-06:00", "06:00", 0 },
        { "22:00-06:00", "12:00", 0 },
        { "22:00-06:00 mo", "05:00", 1 }, /* Monday's, which began yesterday */
        { "22:00-06:00 mo", "23:00", 0 },
        { "22:00-06:00 tu", "05:00", 0 },
        { "22:00-06:00 tu", "23:00", 1 },
        { "22:00-06:00 we", "23:00", 0 },
        { "06:00-05:59 mo", "05:58", 1 },
        { "06:00-05:59 mo", "05:59", 0 },
    };
    (void)state;
    set_zone(KOLKATA);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char text[32];
        fl_sleep_rule rule = rule_of(rows[i].rule);
        (void)snprintf(text, sizeof(text), "2026-07-07 %s", rows[i].now);
        int64_t now_us = (instant(text) - 330 * MINUTE) * US;
        for (int64_t extra = 0; extra <= 60 * US - 1; extra += 60 * US - 1) { /* seconds do not count */
            if (fl_sleep_is_asleep(&rule, now_us + extra) != rows[i].asleep)
                fail_msg("%s at %s: not %d", rows[i].rule, rows[i].now, rows[i].asleep);
        }
        rule.is_active = 0;
        assert_false(fl_sleep_is_asleep(&rule, now_us));
    }
}

static void next_checks_of_the_contract(void **state)
{
    static const struct {
        const char *rule, *now, *next;
    } rows[] = {
        { "09:00-18:00", "07 11:16", "07 18:00" },    { "09:00-18:00", "07 19:16", "08 00:00" },
        { "09:00-18:00", "07 08:47", "07 09:00" },    { "09:00-18:00", "07 09:00", "07 18:00" },
        { "09:00-18:00", "07 18:00", "08 00:00" },    { "x-x", "07 07:47", "08 00:00" },
        { "09:00-x", "07 10:47", "08 00:00" },        { "x-18:00", "07 07:47", "07 18:00" },
        { "22:00-06:00", "07 23:00", "08 00:00" },    { "22:00-06:00", "08 00:00", "08 06:00" },
        { "22:00-06:00", "07 06:00", "07 22:00" },    { "18:00-24:00", "07 19:00", "08 00:00" },
        { "09:00-18:00 mo", "07 08:00", "07 09:00" }, /* days do not matter */
    };
    (void)state;
    set_zone(KOLKATA);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char now[32], next[32];
        fl_sleep_rule rule = rule_of(rows[i].rule);
        (void)snprintf(now, sizeof(now), "2026-07-%s", rows[i].now);
        (void)snprintf(next, sizeof(next), "2026-07-%s", rows[i].next);
        for (rule.is_active = 0; rule.is_active < 2; ++rule.is_active) {
            int64_t got = fl_sleep_next_check_us(&rule, (instant(now) - 330 * MINUTE) * US);
            assert_string_equal(written(got + 330 * MINUTE * US), next);
        }
    }
}

/* ---- Days when clocks are changed, by hand --------------------------------------------------------------------------- */

static void clocks_are_put_forward(void **state)
{
    /* 29 March 2026, 01:00 UTC: 02:00 becomes 03:00. */
    static const struct {
        const char *rule, *asleep_from, *until; /* UTC; NULL: never on that day */
    } rows[] = {
        { "01:30-04:00", "2026-03-29 00:30", "2026-03-29 02:00" },
        { "02:30-04:00", "2026-03-29 01:00", "2026-03-29 02:00" },
        { "01:30-02:30", "2026-03-29 00:30", "2026-03-29 01:00" },
        { "02:00-03:00", NULL, NULL },
        { "02:15-02:45", NULL, NULL },
        { "22:00-02:30 sa", "2026-03-28 21:00", "2026-03-29 01:00" },
        { "22:00-06:00 sa", "2026-03-28 21:00", "2026-03-29 04:00" },
        { "x-x su", "2026-03-28 23:00", "2026-03-29 22:00" },
    };
    (void)state;
    set_zone(AMSTERDAM);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_sleep_rule rule = rule_of(rows[i].rule);
        if (rows[i].asleep_from == NULL) {
            for (int64_t t = instant("2026-03-28 23:00"); t < instant("2026-03-29 22:00"); t += MINUTE)
                assert_false(fl_sleep_is_asleep(&rule, t * US));
            continue;
        }
        int64_t from_us = instant(rows[i].asleep_from) * US, until_us = instant(rows[i].until) * US;
        assert_false(fl_sleep_is_asleep(&rule, from_us - 1));
        assert_true(fl_sleep_is_asleep(&rule, from_us));
        assert_true(fl_sleep_is_asleep(&rule, until_us - 1));
        assert_false(fl_sleep_is_asleep(&rule, until_us));
        assert_true(fl_sleep_next_check_us(&rule, until_us - 1) == until_us);
    }
}

static void clocks_are_put_back(void **state)
{
    /* 25 October 2026, 01:00 UTC: 03:00 becomes 02:00. */
    static const struct {
        const char *rule, *asleep_from, *until;
    } rows[] = {
        { "01:30-04:00", "2026-10-24 23:30", "2026-10-25 03:00" },
        { "02:30-04:00", "2026-10-25 00:30", "2026-10-25 03:00" },
        { "01:30-02:30", "2026-10-24 23:30", "2026-10-25 00:30" }, /* does not begin again */
        { "02:00-03:00", "2026-10-25 00:00", "2026-10-25 02:00" },
        { "02:15-02:45", "2026-10-25 00:15", "2026-10-25 00:45" },
        { "22:00-02:30 sa", "2026-10-24 20:00", "2026-10-25 00:30" },
        { "x-x su", "2026-10-24 22:00", "2026-10-25 23:00" },
    };
    (void)state;
    set_zone(AMSTERDAM);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_sleep_rule rule = rule_of(rows[i].rule);
        int64_t from_us = instant(rows[i].asleep_from) * US, until_us = instant(rows[i].until) * US;
        assert_false(fl_sleep_is_asleep(&rule, from_us - 1));
        for (int64_t t = from_us; t < until_us; t += MINUTE * US)
            assert_true(fl_sleep_is_asleep(&rule, t));
        for (int64_t t = until_us; t < until_us + 3 * 60 * MINUTE * US; t += MINUTE * US)
            assert_false(fl_sleep_is_asleep(&rule, t));
    }
}

static void weekdays_are_right(void **state)
{
    (void)state;
    assert_int_equal(fl_weekday(0), 4);
    assert_int_equal(fl_weekday(-1), 3);
    assert_int_equal(fl_weekday(-8), 3);
    assert_int_equal(fl_weekday(instant("2026-07-05 00:00") / FL_DAY_S), 0);
}

/* ---- A year, minute by minute ------------------------------------------------------------------------------------------ */

#define DAYS 374 /* 2026 and some days around it */
#define MINUTES (DAYS * 1440)

typedef struct model {
    int64_t first; /* instant of minute 0 */
    int64_t local[MINUTES]; /* what the local clock shows, in minutes since 1970 */
    int changed[MINUTES]; /* clocks are changed within a day and a half */
    unsigned char asleep[MINUTES], boundary[MINUTES];
} model;

static void model_zone(model *m)
{
    m->first = instant("2025-12-28 00:00");
    memset(m->changed, 0, sizeof(m->changed));
    for (int i = 0; i < MINUTES; ++i) {
        struct tm tm;
        time_t t = (time_t)(m->first + i * MINUTE);
        assert_non_null(localtime_r(&t, &tm));
        assert_int_equal(tm.tm_sec, 0);
        time_t as_if_utc = timegm(&(struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday });
        m->local[i] = (int64_t)as_if_utc / 60 + tm.tm_hour * 60 + tm.tm_min;
    }
    for (int i = 1; i < MINUTES; ++i) {
        if (m->local[i] == m->local[i - 1] + 1)
            continue;
        for (int near = i - 2160; near < i + 2160; ++near)
            if (near >= 0 && near < MINUTES)
                m->changed[near] = 1;
    }
}

/* The first minute at which the local clock shows `wanted` or later; *from is where the last search ended. */
static int first_at(const model *m, int64_t wanted, int from)
{
    while (from < MINUTES && m->local[from] < wanted)
        ++from;
    return from;
}

/* Three searches go through the year side by side: each wants later times than before, so it never turns back. */
static void model_rule(model *m, const fl_sleep_rule *rule)
{
    int at_midnight = 0, at_begin = 0, at_end = 0;
    int32_t start = rule->start != -1 ? rule->start : 0;
    int32_t end = rule->end != -1 ? rule->end : 1440;
    if (rule->start != -1 && rule->end != -1 && rule->end < rule->start)
        end += 1440;
    memset(m->asleep, 0, sizeof(m->asleep));
    memset(m->boundary, 0, sizeof(m->boundary));
    int64_t first_day = m->first / FL_DAY_S;
    for (int64_t day = first_day; day < first_day + DAYS; ++day) {
        at_midnight = first_at(m, day * 1440, at_midnight);
        at_begin = first_at(m, day * 1440 + start, at_begin);
        at_end = first_at(m, day * 1440 + end, at_end);
        if (at_midnight < MINUTES)
            m->boundary[at_midnight] = 1;
        if (at_begin < MINUTES)
            m->boundary[at_begin] = 1;
        if (at_end < MINUTES)
            m->boundary[at_end] = 1;
        if ((rule->days & (1u << ((day + 4) % 7))) != 0)
            for (int i = at_begin; i < at_end; ++i)
                m->asleep[i] = 1;
    }
}

static void compare(const model *m, const char *zone, const char *text, const fl_sleep_rule *rule)
{
    int next_boundary = MINUTES;
    int looked = 0;
    for (int i = MINUTES - 4 * 1440; i >= 4 * 1440; --i) {
        int near_boundary = m->boundary[i] || m->boundary[i + 1] || next_boundary == i + 1;
        if (i % (m->changed[i] ? 7 : 61) == 0 || near_boundary) {
            int64_t now_us = (m->first + i * MINUTE) * US;
            ++looked;
            if (fl_sleep_is_asleep(rule, now_us) != m->asleep[i] ||
                fl_sleep_is_asleep(rule, now_us + 60 * US - 1) != m->asleep[i])
                fail_msg("%s, %s, %s UTC: %s", zone, text, written(now_us), m->asleep[i] ? "awake" : "asleep");
            int64_t next_us = fl_sleep_next_check_us(rule, now_us);
            if (next_boundary < MINUTES && next_us != (m->first + next_boundary * MINUTE) * US)
                fail_msg("%s, %s, %s UTC: next check %s", zone, text, written(now_us), written(next_us));
        }
        if (m->boundary[i])
            next_boundary = i;
    }
    assert_true(looked > 5000);
}

static void a_year_agrees_with_a_model_that_looks_at_every_minute(void **state)
{
    static const char *const zones[] = { AMSTERDAM, NEW_YORK, LORD_HOWE, HAVANA, ST_JOHNS };
    static const char *const rules[] = {
        "09:00-18:00 mo tu we th fr",
        "22:00-06:00",
        "22:00-06:00 sa su",
        "x-x sa su",
        "01:30-02:30",
        "02:15-02:45",
        "02:30-01:45 su",
        "00:00-24:00 su",
        "23:30-00:30 sa",
        "00:00-00:30 su",
        "x-00:15",
        "23:15-x sa",
        "12:00-12:00",
    };
    (void)state;
    model *m = malloc(sizeof(*m));
    assert_non_null(m);
    for (size_t z = 0; z < COUNT(zones); ++z) {
        set_zone(zones[z]);
        model_zone(m);
        for (size_t r = 0; r < COUNT(rules); ++r) {
            fl_sleep_rule rule = rule_of(rules[r]);
            model_rule(m, &rule);
            compare(m, zones[z], rules[r], &rule);
        }
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_of_the_contract),
        cmocka_unit_test(next_checks_of_the_contract),
        cmocka_unit_test(clocks_are_put_forward),
        cmocka_unit_test(clocks_are_put_back),
        cmocka_unit_test(weekdays_are_right),
        cmocka_unit_test(a_year_agrees_with_a_model_that_looks_at_every_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
