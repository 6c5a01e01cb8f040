/* SPDX-License-Identifier: Apache-2.0
 *
 * One job per kind of work: a timer submits its step, the step's end sets the timer again.
 */
#include "core/periodic.h"

#include <stdlib.h>

#include "core/api/worker_events.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/budget.h"
#include "core/config/current.h"
#include "core/executor.h"
#include "core/parked.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"

#define SECOND_US INT64_C(1000000)
#define ROWS_PER_STEP 200u

struct fl_periodic;

/* One kind of work. */
typedef struct job {
    fl_step step;
    struct fl_periodic *owner;
    int64_t first_us, then_us; /* 0 = never */
    int more; /* the last run left something over: go on at once */
    flamenco_touch *touches; /* that its transaction stores */
    size_t n_touches, touches_cap;
} job;

enum { PARKED, TIMEOUTS, SLEEP, CHECK, JOBS };

struct fl_periodic {
    struct flamenco *f;
    uint32_t stopping; /* atomic */
    int64_t task_timeout_us, worker_timeout_us; /* as of the start (configuration-and-clients 1.7); 0 = off */
    job jobs[JOBS];
};

/* ---- Time-outs ------------------------------------------------------------------------------------------------------ */

typedef struct found_tasks {
    flamenco_task rows[ROWS_PER_STEP];
    size_t n;
} found_tasks;

typedef struct found_workers {
    flamenco_worker rows[ROWS_PER_STEP];
    size_t n;
    fl_cx *cx;
    int64_t seen_max_us;
} found_workers;

static int32_t keep_task(void *ctx, const flamenco_task *row)
{
    found_tasks *found = ctx;
    found->rows[found->n++] = *row; /* only its key is used: texts end with the visit */
    return found->n == ROWS_PER_STEP;
}

/* What a transaction that failed took is in the store no more than before. */
static void give_touches_back(job *j)
{
    fl_touches_give_back(j->owner->f->touches, j->touches, j->n_touches);
    j->n_touches = 0;
}

static int32_t make_room(job *j)
{
    size_t cap = j->n_touches + ROWS_PER_STEP;
    if (cap <= j->touches_cap)
        return FLAMENCO_OK;
    flamenco_touch *grown = realloc(j->touches, 2 * cap * sizeof(*grown));
    if (grown == NULL)
        return FLAMENCO_E_NOMEM;
    j->touches = grown;
    j->touches_cap = 2 * cap;
    return FLAMENCO_OK;
}

/* Lets what is kept in memory count before the store is asked. */
static int32_t store_touches(fl_cx *cx, job *j, flamenco_error *err)
{
    give_touches_back(j); /* of a first run, when this is the second */
    for (size_t n = ROWS_PER_STEP; n == ROWS_PER_STEP;) {
        int32_t rc = make_room(j);
        if (rc != FLAMENCO_OK)
            return flamenco_fail(err, rc, "no memory for last-seen times");
        flamenco_touch *rows = j->touches + j->n_touches;
        n = fl_touches_take(cx->f->touches, 1, rows, ROWS_PER_STEP);
        j->n_touches += n;
        if (n > 0)
            rc = flamenco_persist_touches(&cx->f->persist, &cx->pub, rows, sizeof(rows[0]), n, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

static int32_t time_out_tasks(fl_cx *cx, job *j, int64_t timeout_us, flamenco_error *err)
{
    found_tasks *found = fl_arena_alloc(cx->arena, sizeof(*found));
    if (found == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc =
        flamenco_persist_tasks_timed_out(&cx->f->persist, &cx->pub, cx->pub.now_us - timeout_us, keep_task, found, err);
    for (size_t i = 0; rc == FLAMENCO_OK && i < found->n; ++i) {
        flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
        rc = flamenco_persist_task_get_key(&cx->f->persist, &cx->pub, found->rows[i].key, &task, err);
        /* The time-out of a task before it may have failed the job, and canceled this one. */
        if (rc == FLAMENCO_OK && task.status == FLAMENCO_TASK_ACTIVE)
            rc = flamenco_state_machine_task_timed_out(&cx->f->state_machine, &cx->pub, &task, err);
    }
    j->more |= found->n == ROWS_PER_STEP;
    return rc;
}

static int32_t keep_worker(void *ctx, const flamenco_worker *row)
{
    found_workers *found = ctx;
    /* A worker whose request waits here is seen as long as its connection lives. */
    if (!fl_parked_has_worker(found->cx->f->parked, &row->uuid))
        found->rows[found->n++] = *row;
    return found->n == ROWS_PER_STEP;
}

static int32_t time_out_worker(fl_cx *cx, int64_t key, flamenco_error *err)
{
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_worker_get_key(&cx->f->persist, &cx->pub, key, &row, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t previous = row.status;
    row.last_good_status = previous;
    row.status = FLAMENCO_WORKER_ERROR;
    row.requested = FLAMENCO_WORKER_NONE;
    row.lazy = 0;
    row.updated_us = cx->pub.now_us;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST |
                                             FLAMENCO_WORKER_SET_LAST_GOOD,
                                      .row = &row };
    rc = flamenco_persist_worker_update(&cx->f->persist, &cx->pub, key, &update, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_state_machine_worker_return_tasks(&cx->f->state_machine, &cx->pub, &row,
                                                        FL_STR("the worker timed out"), err);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(cx, &row, previous);
    if (rc == FLAMENCO_OK)
        fl_warn("timeouts", "worker %.*s was not seen in time, its status is error now", FL_STR_ARGS(row.name));
    return rc;
}

static int32_t time_out_workers(fl_cx *cx, job *j, int64_t timeout_us, flamenco_error *err)
{
    found_workers *found = fl_arena_alloc(cx->arena, sizeof(*found));
    if (found == NULL)
        return FLAMENCO_E_NOMEM;
    found->cx = cx;
    int32_t rc = flamenco_persist_workers_timed_out(&cx->f->persist, &cx->pub, cx->pub.now_us - timeout_us, keep_worker,
                                                    found, err);
    for (size_t i = 0; rc == FLAMENCO_OK && i < found->n; ++i)
        rc = time_out_worker(cx, found->rows[i].key, err);
    j->more |= found->n == ROWS_PER_STEP;
    return rc;
}

static int32_t run_timeouts(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    job *j = (job *)(void *)step;
    int64_t task_us = j->owner->task_timeout_us, worker_us = j->owner->worker_timeout_us;
    j->more = 0;
    int32_t rc = store_touches(cx, j, err);
    if (rc == FLAMENCO_OK && task_us > 0)
        rc = time_out_tasks(cx, j, task_us, err);
    if (rc == FLAMENCO_OK && worker_us > 0)
        rc = time_out_workers(cx, j, worker_us, err);
    return rc;
}

/* ---- The others ------------------------------------------------------------------------------------------------------- */

static int32_t run_parked(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)step;
    (void)err;
    fl_parked_tick(cx->f->parked);
    fl_budget_expire(cx->f->reply_budget, fl_monotonic_us(), 0);
    fl_budget_expire(cx->f->compile_budget, fl_monotonic_us(), 0);
    fl_touches_trim(cx->f->touches, cx->pub.now_us);
    return FLAMENCO_OK;
}

static int32_t run_sleep(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)step;
    return flamenco_sleep_scheduler_apply_due(&cx->f->sleep_scheduler, &cx->pub, err);
}

static int32_t run_check(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)step;
    flamenco_session *session = NULL;
    flamenco_persistence_ref *persist = &cx->f->persist;
    cx->pub.deadline_us = INT64_MAX; /* without limit (decisions, "database check") */
    int32_t rc = flamenco_persist_open(persist, FLAMENCO_SESSION_READER, &session, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_check(persist, session, &cx->pub, err);
    flamenco_persist_close(persist, session);
    if (rc == FLAMENCO_E_CORRUPT) {
        fl_error("check", "the database is damaged: %s", err->text);
        fl_manager_fail(cx->f, "the database is damaged");
    }
    return rc == FLAMENCO_E_UNSUPPORTED ? FLAMENCO_OK : rc;
}

static void on_due(void *ctx)
{
    job *j = ctx;
    struct flamenco *f = j->owner->f;
    if (__atomic_load_n(&j->owner->stopping, __ATOMIC_ACQUIRE))
        return;
    j->step.deadline_us = 0;
    if (j->step.ops->kind == FLAMENCO_STEP_WORK)
        fl_workpool_submit(f->workpool, &j->step);
    else
        fl_executor_submit(f->executor, &j->step);
}

static void plan(job *j, int64_t delay_us)
{
    int32_t rc = fl_timers_add(j->owner->f->timers, delay_us, on_due, j);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_CANCELLED)
        fl_manager_fail(j->owner->f, "no memory for periodic work");
}

static void job_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    job *j = (job *)(void *)step;
    if (result < 0 && result != FLAMENCO_E_CANCELLED)
        fl_warn("periodic", "%s: %s", step->ops->name, err->text);
    if (result != FLAMENCO_OK)
        give_touches_back(j);
    j->n_touches = 0;
    plan(j, j->more && result == FLAMENCO_OK ? 0 : j->then_us);
}

static const fl_step_ops operations[JOBS] = {
    [PARKED] = { .name = "parked", .kind = FLAMENCO_STEP_WORK, .run = run_parked, .done = job_done },
    [TIMEOUTS] = { .name = "timeouts", .kind = FLAMENCO_STEP_WRITE, .run = run_timeouts, .done = job_done },
    [SLEEP] = { .name = "sleep schedules", .kind = FLAMENCO_STEP_WRITE, .run = run_sleep, .done = job_done },
    [CHECK] = { .name = "database check", .kind = FLAMENCO_STEP_WORK, .run = run_check, .done = job_done },
};

int32_t fl_periodic_start(struct flamenco *f, fl_periodic **out, flamenco_error *err)
{
    fl_periodic *periodic = calloc(1, sizeof(*periodic));
    if (periodic == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for periodic work");
    periodic->f = f;
    const fl_config_snapshot *config = fl_config_current(f->config);
    int64_t check_us = config->ref->database_check_period_ns / 1000;
    periodic->task_timeout_us = config->ref->task_timeout_ns / 1000;
    periodic->worker_timeout_us = config->ref->worker_timeout_ns / 1000;
    fl_config_unref(config);
    const struct {
        int64_t first_us, then_us;
    } times[JOBS] = {
        [PARKED] = { SECOND_US, SECOND_US },
        [TIMEOUTS] = { 300 * SECOND_US, 60 * SECOND_US },
        [SLEEP] = { f->sleep_scheduler.table != NULL ? 2 * SECOND_US : 0, 60 * SECOND_US },
        [CHECK] = { check_us, check_us },
    };
    for (int i = 0; i < JOBS; ++i) {
        job *j = &periodic->jobs[i];
        j->owner = periodic;
        j->step.ops = &operations[i];
        j->first_us = times[i].first_us;
        j->then_us = times[i].then_us;
        if (j->first_us > 0)
            plan(j, j->first_us);
    }
    *out = periodic;
    return FLAMENCO_OK;
}

void fl_periodic_stop(fl_periodic *periodic)
{
    __atomic_store_n(&periodic->stopping, 1, __ATOMIC_RELEASE);
}

void fl_periodic_destroy(fl_periodic *periodic)
{
    for (int i = 0; periodic != NULL && i < JOBS; ++i)
        free(periodic->jobs[i].touches);
    free(periodic);
}
