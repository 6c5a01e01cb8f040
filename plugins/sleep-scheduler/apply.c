/* SPDX-License-Identifier: Apache-2.0
 *
 * apply.c - see apply.h.
 */
#include "apply.h"

#include "schedule_text.h"

#define ROWS_PER_STEP 200u
#define RETRY_US INT64_C(60000000)

fl_sleep_rule fl_sleep_rule_of(const flamenco_sleep_schedule *row)
{
    return (fl_sleep_rule){ .is_active = row->is_active != 0,
                            .days = fl_sleep_days_mask(row->days),
                            .start = row->start_minutes,
                            .end = row->end_minutes };
}

static int32_t check_effect(int32_t rc, const char *what, flamenco_error *err)
{
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue %s", what);
}

/* The change is of the request alone, so the event has no previous status. */
static int32_t tell(fl_sleep *sleep, flamenco_cx *cx, const flamenco_worker *row, flamenco_error *err)
{
    flamenco_worker_event event = { .struct_size = (uint32_t)sizeof(event),
                                    .previous_status = FLAMENCO_PREVIOUS_NONE,
                                    .row = row };
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_WORKER, .worker = row->uuid };
    int32_t rc = check_effect(sleep->host->emit_worker(cx, &event), "a worker event", err);
    return rc == FLAMENCO_OK ? check_effect(sleep->host->wake(cx, &wake), "a wake-up", err) : rc;
}

int32_t fl_sleep_apply(fl_sleep *sleep, flamenco_cx *cx, const fl_sleep_rule *rule, const flamenco_worker *worker,
                       flamenco_error *err)
{
    uint32_t wanted = fl_sleep_is_asleep(rule, cx->now_us) ? FLAMENCO_WORKER_ASLEEP : FLAMENCO_WORKER_AWAKE;
    if (worker->status == FLAMENCO_WORKER_ERROR)
        return FLAMENCO_OK; /* a person has to look at it first */
    if (worker->requested == wanted && !worker->lazy)
        return FLAMENCO_OK;
    if (worker->requested == FLAMENCO_WORKER_NONE && worker->status == wanted)
        return FLAMENCO_OK;
    flamenco_worker row = *worker;
    row.requested = wanted;
    row.lazy = 0;
    row.updated_us = cx->now_us;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_REQUEST,
                                      .row = &row };
    int32_t rc = flamenco_persist_worker_update(&sleep->persist, cx, row.key, &update, err);
    return rc == FLAMENCO_OK ? tell(sleep, cx, &row, err) : rc;
}

/* ---- What is due ------------------------------------------------------------------------------------------------- */

typedef struct due_row {
    int64_t worker_key;
    fl_sleep_rule rule;
} due_row;

typedef struct due_list {
    due_row rows[ROWS_PER_STEP];
    size_t n;
} due_list;

/* Rows are read first and changed afterwards, as the store wants it. */
static int32_t remember(void *ctx, const flamenco_sleep_schedule *row)
{
    due_list *list = ctx;
    list->rows[list->n++] = (due_row){ row->worker_key, fl_sleep_rule_of(row) };
    return list->n == ROWS_PER_STEP;
}

/* Whether the whole step must be given up, rather than this worker's turn. */
static int is_general(int32_t rc)
{
    return rc != FLAMENCO_E_NOT_FOUND && rc != FLAMENCO_E_EXISTS && rc != FLAMENCO_E_CONFLICT &&
           rc != FLAMENCO_E_INVALID && rc != FLAMENCO_E_INTERNAL;
}

static int32_t apply_one(fl_sleep *sleep, flamenco_cx *cx, const due_row *due, flamenco_error *err)
{
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    int64_t next_us = fl_sleep_next_check_us(&due->rule, cx->now_us);
    int32_t rc = flamenco_persist_worker_get_key(&sleep->persist, cx, due->worker_key, &worker, err);
    if (rc == FLAMENCO_OK && worker.deleted_us == FLAMENCO_TIME_NONE)
        rc = fl_sleep_apply(sleep, cx, &due->rule, &worker, err);
    if (rc != FLAMENCO_OK && is_general(rc))
        return rc;
    if (rc != FLAMENCO_OK) {
        sleep->host->log(sleep->host->h, FLAMENCO_LOG_ERROR,
                         "the sleep schedule of worker %.*s could not be applied, it is tried again in a minute: %s",
                         (int)worker.name.len, worker.name.len > 0 ? worker.name.ptr : "", err->text);
        next_us = cx->now_us + RETRY_US;
    }
    return flamenco_persist_sleep_set_next(&sleep->persist, cx, due->worker_key, next_us, err);
}

int32_t fl_sleep_apply_due(void *self, flamenco_cx *cx, flamenco_error *err)
{
    fl_sleep *sleep = self;
    due_list *list = sleep->host->cx_alloc(cx, sizeof(*list));
    if (list == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the sleep schedules that are due");
    int32_t rc = flamenco_persist_sleep_due(&sleep->persist, cx, cx->now_us, remember, list, err);
    for (size_t i = 0; rc == FLAMENCO_OK && i < list->n; ++i)
        rc = apply_one(sleep, cx, &list->rows[i], err);
    return rc == FLAMENCO_OK && list->n == ROWS_PER_STEP ? FLAMENCO_AGAIN : rc;
}
