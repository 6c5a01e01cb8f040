/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the sleep scheduler as a plugin: the service "flamenco.sleep_scheduler/1" and its life cycle. Called by the
 * host's plugin loader and, through the table, by the core.
 */
#include <time.h>

#include "apply.h"
#include "flamenco/sleep_scheduler.h"
#include "schedule_text.h"

#define SHOWN_MAX 40u /* bytes of a wrong text that are repeated in an error */

static int shown(flamenco_str text)
{
    return (int)(text.len < SHOWN_MAX ? text.len : SHOWN_MAX);
}

/* ---- Service ------------------------------------------------------------------------------------------------------- */

static int32_t status_now(void *self, flamenco_cx *cx, int64_t worker_key, uint32_t *out, flamenco_error *err)
{
    fl_sleep *sleep = self;
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_sleep_get(&sleep->persist, cx, worker_key, &row, err);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    fl_sleep_rule rule = fl_sleep_rule_of(&row); /* without a row: not active */
    *out = fl_sleep_is_asleep(&rule, cx->now_us) ? FLAMENCO_WORKER_ASLEEP : FLAMENCO_WORKER_AWAKE;
    return FLAMENCO_OK;
}

static int32_t read_time(const char *field, flamenco_str text, int is_end, int32_t *out, flamenco_error *err)
{
    const char *problem = fl_sleep_read_time(text, is_end, out);
    if (problem == NULL)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_INVALID, "%s: \"%.*s\": %s", field, shown(text), text.ptr, problem);
}

static int32_t set(void *self, flamenco_cx *cx, const flamenco_worker *worker, uint32_t is_active, flamenco_str days,
                   flamenco_str start_time, flamenco_str end_time, flamenco_error *err)
{
    fl_sleep *sleep = self;
    flamenco_str wrong;
    char names[FL_SLEEP_DAYS_MAX];
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row),
                                    .is_active = is_active != 0,
                                    .worker_key = worker->key };
    if (!fl_sleep_read_days(days, names, &wrong))
        return flamenco_fail(err, FLAMENCO_E_INVALID,
                             "days_of_week: \"%.*s\" is no day of the week: words like \"mo tu\" or \"monday\" are",
                             shown(wrong), wrong.ptr);
    int32_t rc = read_time("start_time", start_time, 0, &row.start_minutes, err);
    if (rc == FLAMENCO_OK)
        rc = read_time("end_time", end_time, 1, &row.end_minutes, err);
    if (rc != FLAMENCO_OK)
        return rc;
    row.days = flamenco_text(names);
    fl_sleep_rule rule = fl_sleep_rule_of(&row);
    row.next_check_us = fl_sleep_next_check_us(&rule, cx->now_us);
    rc = flamenco_persist_sleep_set(&sleep->persist, cx, &row, err);
    return rc == FLAMENCO_OK ? fl_sleep_apply(sleep, cx, &rule, worker, err) : rc;
}

static int32_t get(void *self, flamenco_cx *cx, int64_t worker_key, uint32_t *is_active_out, flamenco_str *days_out,
                   flamenco_str *start_out, flamenco_str *end_out, flamenco_error *err)
{
    fl_sleep *sleep = self;
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_sleep_get(&sleep->persist, cx, worker_key, &row, err);
    if (rc != FLAMENCO_OK)
        return rc;
    char *times = sleep->host->cx_alloc(cx, (uint64_t)2 * FL_SLEEP_TIME_MAX);
    if (times == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a sleep schedule");
    fl_sleep_write_time(row.start_minutes, times);
    fl_sleep_write_time(row.end_minutes, times + FL_SLEEP_TIME_MAX);
    *is_active_out = row.is_active;
    *days_out = row.days;
    *start_out = flamenco_text(times);
    *end_out = flamenco_text(times + FL_SLEEP_TIME_MAX);
    return FLAMENCO_OK;
}

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_sleep *sleep = host->alloc(host->h, sizeof(*sleep));
    if (sleep == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the sleep scheduler");
    memset(sleep, 0, sizeof(*sleep));
    sleep->host = host;
    *self_out = sleep;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    fl_sleep *sleep = self;
    tzset(); /* localtime_r() need not read the zone by itself */
    sleep->persist.table = sleep->host->service(sleep->host->h, FLAMENCO_PERSISTENCE, &sleep->persist.self);
    if (sleep->persist.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the sleep scheduler needs %s", FLAMENCO_PERSISTENCE);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_sleep *sleep = self;
    if (sleep != NULL)
        sleep->host->free(sleep->host->h, sleep);
}

static const flamenco_sleep_scheduler table = {
    .struct_size = (uint32_t)sizeof(flamenco_sleep_scheduler),
    .status_now = status_now,
    .set = set,
    .get = get,
    .apply_due = fl_sleep_apply_due,
};

static const flamenco_provide provide_sleep_scheduler = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_SLEEP_SCHEDULER,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_sleep_scheduler, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need *const needs[] = { &need_persistence, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "sleep-scheduler",
    .version = "0.1.0",   .licence = "Apache-2.0",
    .provides = provides, .needs = needs,
    .create = create,     .configure = configure,
    .start = start,       .stop = stop,
    .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
