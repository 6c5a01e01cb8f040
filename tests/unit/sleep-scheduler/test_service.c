/* SPDX-License-Identifier: Apache-2.0
 *
 * test_service.c - the sleep scheduler on the real persistence plugin: storing, showing and applying schedules
 * (state-and-scheduling 11.5).
 */
#include "farm.h"
#include "flamenco/calls/sleep_scheduler.h"

#include <stdlib.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR_US INT64_C(3600000000)
#define TUESDAY_US (INT64_C(1783382400) * 1000000) /* 2026-07-07 00:00 UTC */

static flamenco_sleep_scheduler_ref scheduler_of(const farm *f)
{
    flamenco_sleep_scheduler_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_SLEEP_SCHEDULER), f->self };
    return ref;
}

static void begin(farm *f)
{
    assert_int_equal(setenv("TZ", "UTC0", 1), 0);
    farm_start(f, NULL);
    f->host.now_us = TUESDAY_US;
}

/* The clock: h hours after Tuesday's midnight. Each transaction adds a second. */
static void set_clock(farm *f, double hours)
{
    f->host.now_us = TUESDAY_US + (int64_t)(hours * (double)HOUR_US);
}

static int32_t try_set(farm *f, uint32_t worker, uint32_t active, const char *days, const char *start, const char *end,
                       flamenco_error *err)
{
    flamenco_sleep_scheduler_ref scheduler = scheduler_of(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    int32_t rc = flamenco_sleep_scheduler_set(&scheduler, cx, &row, active, flamenco_text(days), flamenco_text(start),
                                              flamenco_text(end), err);
    if (rc == FLAMENCO_OK)
        farm_commit(f);
    else
        farm_rollback(f);
    return rc;
}

static void set(farm *f, uint32_t worker, uint32_t active, const char *days, const char *start, const char *end)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (try_set(f, worker, active, days, start, end, &err) != FLAMENCO_OK)
        fail_msg("set: %s", err.text);
}

/* "on|mo tu|09:00|18:00", or "none". */
static const char *shown(farm *f, uint32_t worker)
{
    static char out[256];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_sleep_scheduler_ref scheduler = scheduler_of(f);
    uint32_t active = 7;
    flamenco_str days, start, end;
    flamenco_cx *cx = farm_begin(f);
    int32_t rc = flamenco_sleep_scheduler_get(&scheduler, cx, farm_worker_row(f, worker).key, &active, &days, &start,
                                              &end, &err);
    if (rc == FLAMENCO_OK)
        (void)snprintf(out, sizeof(out), "%s|%.*s|%.*s|%.*s", active == 1 ? "on" : "off", (int)days.len, days.ptr,
                       (int)start.len, start.ptr, (int)end.len, end.ptr);
    else
        (void)snprintf(out, sizeof(out), "%s", rc == FLAMENCO_E_NOT_FOUND ? "none" : err.text);
    farm_rollback(f);
    return out;
}

static const char *status_now(farm *f, int64_t worker_key)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_sleep_scheduler_ref scheduler = scheduler_of(f);
    uint32_t status = FLAMENCO_WORKER_NONE;
    flamenco_cx *cx = farm_begin(f);
    assert_int_equal(flamenco_sleep_scheduler_status_now(&scheduler, cx, worker_key, &status, &err), FLAMENCO_OK);
    farm_rollback(f);
    return flamenco_worker_status_text(status);
}

static void apply_due(farm *f)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_sleep_scheduler_ref scheduler = scheduler_of(f);
    int32_t rc = FLAMENCO_AGAIN;
    for (int runs = 0; rc == FLAMENCO_AGAIN; ++runs) {
        assert_true(runs < 100);
        rc = flamenco_sleep_scheduler_apply_due(&scheduler, farm_begin(f), &err);
        if (rc < 0)
            fail_msg("apply_due: %s", err.text);
        farm_commit(f);
    }
}

static int64_t next_check_us(farm *f, uint32_t worker)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row) };
    flamenco_cx *cx = farm_begin(f);
    assert_int_equal(flamenco_persist_sleep_get(&f->persist, cx, farm_worker_row(f, worker).key, &row, &err),
                     FLAMENCO_OK);
    farm_rollback(f);
    return row.next_check_us;
}

static void put_worker(farm *f, uint32_t worker, uint32_t status, uint32_t requested, uint32_t lazy)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    row.status = status;
    row.requested = requested;
    row.lazy = lazy;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST,
                                      .row = &row };
    assert_int_equal(flamenco_persist_worker_update(&f->persist, cx, row.key, &update, &err), FLAMENCO_OK);
    farm_commit(f);
}

/* "asleep", "asleep lazy", or "". */
static const char *requested(farm *f, uint32_t worker)
{
    static char out[32];
    (void)farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    (void)snprintf(out, sizeof(out), "%s%s", flamenco_worker_status_text(row.requested), row.lazy ? " lazy" : "");
    farm_rollback(f);
    return out;
}

/* ---- Storing and showing ---------------------------------------------------------------------------------------------- */

static void schedules_are_stored_cleaned(void **state)
{
    static const struct {
        uint32_t active;
        const char *days, *start, *end, *shown;
    } rows[] = {
        { 1, "mo tu", "09:00", "18:00", "on|mo tu|09:00|18:00" },
        { 0, "  Monday tuesday ", "9:5", "12:345", "off|mo tu|09:05|12:34" },
        { 1, "", "", "", "on|||" },
        { 1, "sa,su", "22:00", "06:00", "on|sa su|22:00|06:00" },
        { 5, "", "00:00", "24:00", "on||00:00|24:00" },
        { 1, "", "18:00", "", "on||18:00|" },
    };
    farm f;
    (void)state;
    begin(&f);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_ERROR);
    assert_string_equal(shown(&f, 1), "none");
    for (size_t i = 0; i < COUNT(rows); ++i) {
        set(&f, 1, rows[i].active, rows[i].days, rows[i].start, rows[i].end);
        assert_string_equal(shown(&f, 1), rows[i].shown);
    }
    assert_int_equal(f.host.n_records, 0);
    farm_stop(&f);
}

static void bad_values_are_refused_by_field(void **state)
{
    static const struct {
        const char *days, *start, *end, *field;
    } rows[] = {
        { "mo xx", "09:00", "18:00", "days_of_week: \"xx\"" }, { "m", "09:00", "18:00", "days_of_week: \"m\"" },
        { "mo", "noon", "18:00", "start_time: \"noon\"" },     { "mo", "24:00", "18:00", "start_time: \"24:00\"" },
        { "mo", "09:00", "25:00", "end_time: \"25:00\"" },     { "mo", "09:60", "25:00", "start_time: \"09:60\"" },
        { "mo", "09:00", "-1:00", "end_time: \"-1:00\"" },
    };
    farm f;
    (void)state;
    begin(&f);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    set(&f, 1, 0, "fr", "01:00", "02:00");
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        assert_int_equal(try_set(&f, 1, 1, rows[i].days, rows[i].start, rows[i].end, &err), FLAMENCO_E_INVALID);
        assert_int_equal(strncmp(err.text, rows[i].field, strlen(rows[i].field)), 0);
        assert_string_equal(shown(&f, 1), "off|fr|01:00|02:00");
    }
    char longest[4096];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(try_set(&f, 1, 1, longest, "", "", &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "is no day of the week"));
    farm_stop(&f);
}

static void status_now_follows_the_schedule(void **state)
{
    farm f;
    (void)state;
    begin(&f);
    int64_t key = farm_add_worker(&f, "blender", FLAMENCO_WORKER_OFFLINE);
    assert_string_equal(status_now(&f, key), "awake");
    assert_string_equal(status_now(&f, key + 1), "awake");
    set(&f, 1, 1, "", "09:00", "18:00");
    for (double hour = 0.5; hour < 24; ++hour) {
        set_clock(&f, hour);
        assert_string_equal(status_now(&f, key), hour > 9 && hour < 18 ? "asleep" : "awake");
    }
    set_clock(&f, 10);
    set(&f, 1, 0, "", "09:00", "18:00");
    assert_string_equal(status_now(&f, key), "awake");
    farm_stop(&f);
}

/* ---- Applying ---------------------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t status, requested, lazy;
    int asleep;
    const char *after;
    int told;
} applications[] = {
    { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_NONE, 0, 1, "asleep", 1 },
    { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_ASLEEP, 1, 1, "asleep", 1 },
    { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_ASLEEP, 0, 1, "asleep", 0 },
    { FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_NONE, 0, 1, "", 0 },
    { FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_AWAKE, 0, 1, "asleep", 1 },
    { FLAMENCO_WORKER_OFFLINE, FLAMENCO_WORKER_NONE, 0, 1, "asleep", 1 },
    { FLAMENCO_WORKER_OFFLINE, FLAMENCO_WORKER_NONE, 0, 0, "awake", 1 },
    { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_OFFLINE, 0, 0, "awake", 1 },
    { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_NONE, 0, 0, "", 0 },
    { FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_NONE, 0, 0, "awake", 1 },
    { FLAMENCO_WORKER_ERROR, FLAMENCO_WORKER_NONE, 0, 1, "", 0 },
    { FLAMENCO_WORKER_ERROR, FLAMENCO_WORKER_AWAKE, 1, 1, "awake lazy", 0 },
    { FLAMENCO_WORKER_STARTING, FLAMENCO_WORKER_NONE, 0, 1, "asleep", 1 },
    { FLAMENCO_WORKER_NONE, FLAMENCO_WORKER_NONE, 0, 1, "asleep", 1 },
};

static void check_application(farm *f, size_t i)
{
    assert_string_equal(requested(f, 1), applications[i].after);
    assert_int_equal(f->host.n_records, applications[i].told ? 2 : 0);
    if (!applications[i].told)
        return;
    const fake_record *event = &f->host.records[0], *wake = &f->host.records[1];
    assert_int_equal(event->what, FAKE_EMIT_WORKER);
    assert_int_equal(event->status, applications[i].status);
    assert_int_equal(event->previous_status, FLAMENCO_PREVIOUS_NONE);
    assert_int_equal(wake->what, FAKE_WAKE);
    assert_int_equal(wake->kind, FLAMENCO_WAKE_WORKER);
    assert_memory_equal(&wake->worker, &event->worker, sizeof(flamenco_uuid));
}

static void a_schedule_is_applied_when_it_is_set(void **state)
{
    farm f;
    (void)state;
    begin(&f);
    set_clock(&f, 10);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    for (size_t i = 0; i < COUNT(applications); ++i) {
        put_worker(&f, 1, applications[i].status, applications[i].requested, applications[i].lazy);
        farm_forget(&f);
        set(&f, 1, 1, "", applications[i].asleep ? "09:00" : "11:00", "18:00");
        check_application(&f, i);
    }
    /* An inactive one, too: it is always awake. */
    put_worker(&f, 1, FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_NONE, 0);
    set(&f, 1, 0, "", "09:00", "18:00");
    assert_string_equal(requested(&f, 1), "awake");
    farm_stop(&f);
}

static void a_schedule_is_applied_when_it_is_due(void **state)
{
    farm f;
    (void)state;
    for (size_t i = 0; i < COUNT(applications); ++i) {
        begin(&f);
        (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_ERROR);
        set_clock(&f, applications[i].asleep ? 8 : 17);
        set(&f, 1, 1, "", "09:00", "18:00");
        put_worker(&f, 1, applications[i].status, applications[i].requested, applications[i].lazy);
        farm_forget(&f);
        set_clock(&f, applications[i].asleep ? 8.9 : 17.9);
        apply_due(&f);
        assert_int_equal(f.host.n_records, 0);
        set_clock(&f, applications[i].asleep ? 9 : 18);
        apply_due(&f);
        check_application(&f, i);
        assert_true(next_check_us(&f, 1) == TUESDAY_US + (applications[i].asleep ? 18 : 24) * HOUR_US);
        farm_stop(&f);
    }
}

static void between_two_checks_people_may_decide(void **state)
{
    farm f;
    (void)state;
    begin(&f);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    set(&f, 1, 1, "", "09:00", "18:00");
    set_clock(&f, 9);
    apply_due(&f);
    assert_string_equal(requested(&f, 1), "asleep");
    put_worker(&f, 1, FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_AWAKE, 0);
    for (double hour = 9.1; hour < 18; hour += 0.5) {
        set_clock(&f, hour);
        apply_due(&f);
        assert_string_equal(requested(&f, 1), "awake");
    }
    put_worker(&f, 1, FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_ASLEEP, 0);
    set_clock(&f, 18);
    apply_due(&f);
    assert_string_equal(requested(&f, 1), "awake");
    farm_stop(&f);
}

static void inactive_schedules_are_never_due(void **state)
{
    farm f;
    (void)state;
    begin(&f);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    set(&f, 1, 0, "", "09:00", "18:00");
    put_worker(&f, 1, FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_NONE, 0);
    set_clock(&f, 100);
    apply_due(&f);
    assert_string_equal(requested(&f, 1), "");
    farm_stop(&f);
}

static void deleted_workers_are_passed_over(void **state)
{
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    begin(&f);
    int64_t key = farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    set(&f, 1, 1, "", "09:00", "18:00");
    set(&f, 2, 1, "", "09:00", "18:00");
    assert_int_equal(flamenco_persist_worker_delete(&f.persist, farm_begin(&f), key, &err), FLAMENCO_OK);
    farm_commit(&f);
    farm_forget(&f);
    set_clock(&f, 9);
    apply_due(&f);
    assert_string_equal(requested(&f, 2), "asleep");
    assert_int_equal(f.host.n_records, 2);
    assert_int_equal(f.host.log_lines[FLAMENCO_LOG_ERROR] + f.host.log_lines[FLAMENCO_LOG_WARN], 0);
    farm_forget(&f);
    apply_due(&f);
    assert_int_equal(f.host.n_records, 0);
    farm_stop(&f);
}

static void many_are_applied_in_several_steps(void **state)
{
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_sleep_scheduler_ref scheduler;
    (void)state;
    begin(&f);
    enum { N = 250 }; /* farm.h numbers workers in one byte */
    for (uint32_t i = 1; i <= N; ++i) {
        (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
        set(&f, i, 1, "", "09:00", "18:00");
    }
    farm_forget(&f);
    set_clock(&f, 9);
    scheduler = scheduler_of(&f);
    assert_int_equal(flamenco_sleep_scheduler_apply_due(&scheduler, farm_begin(&f), &err), FLAMENCO_AGAIN);
    farm_commit(&f);
    assert_true(f.host.n_records > 0 && f.host.n_records < 2 * N);
    apply_due(&f);
    assert_int_equal(f.host.n_records, 2 * N);
    for (uint32_t i = 1; i <= N; ++i)
        assert_string_equal(requested(&f, i), "asleep");
    farm_stop(&f);
}

static void failures_of_memory_change_nothing(void **state)
{
    farm f;
    (void)state;
    begin(&f);
    (void)farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    set(&f, 1, 1, "", "09:00", "18:00");
    set_clock(&f, 9);
    farm_forget(&f);
    flamenco_sleep_scheduler_ref scheduler = scheduler_of(&f);
    int failed = 0;
    for (int64_t left = 0;; ++left) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_cx *cx = farm_begin(&f);
        f.host.allocations_left = left;
        int32_t rc = flamenco_sleep_scheduler_apply_due(&scheduler, cx, &err);
        f.host.allocations_left = -1;
        if (rc == FLAMENCO_OK) {
            farm_commit(&f);
            break;
        }
        ++failed;
        assert_int_equal(rc, FLAMENCO_E_NOMEM);
        farm_rollback(&f);
        assert_string_equal(requested(&f, 1), "");
    }
    assert_true(failed > 0);
    assert_string_equal(requested(&f, 1), "asleep");
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_stored_cleaned),         cmocka_unit_test(bad_values_are_refused_by_field),
        cmocka_unit_test(status_now_follows_the_schedule),      cmocka_unit_test(a_schedule_is_applied_when_it_is_set),
        cmocka_unit_test(a_schedule_is_applied_when_it_is_due), cmocka_unit_test(between_two_checks_people_may_decide),
        cmocka_unit_test(inactive_schedules_are_never_due),     cmocka_unit_test(deleted_workers_are_passed_over),
        cmocka_unit_test(many_are_applied_in_several_steps),    cmocka_unit_test(failures_of_memory_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
