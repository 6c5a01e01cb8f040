/* SPDX-License-Identifier: Apache-2.0
 *
 * return_tasks.c - gives a worker's tasks back to the pool (state-and-scheduling 5). Called by handlers and the timeout
 * checker when a worker stops working, and by failure.c for what a blocked worker failed.
 */
#include "state_machine.h"

typedef struct listed {
    flamenco_uuid uuid;
    struct listed *next;
} listed;

typedef struct listing {
    const fl_sm *sm;
    flamenco_cx *cx;
    listed *first;
    listed **last;
    int32_t rc;
} listing;

/* Rows are read first and changed afterwards: changing them under the running query would change its answer. */
static int32_t remember(void *ctx, const flamenco_task *row)
{
    listing *list = ctx;
    listed *item = list->sm->host->cx_alloc(list->cx, sizeof(*item));
    if (item == NULL) {
        list->rc = FLAMENCO_E_NOMEM;
        return 1;
    }
    *item = (listed){ row->uuid, NULL };
    *list->last = item;
    list->last = &item->next;
    return 0;
}

static int32_t return_one(fl_sm *sm, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_str reason,
                          flamenco_error *err)
{
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    flamenco_str activity;
    int32_t rc = flamenco_persist_task_find(&sm->persist, cx, uuid, &task, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK; /* its job is being deleted */
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_counts(&sm->persist, cx, task.job_key, &counts, err);
    if (rc != FLAMENCO_OK)
        return rc;
    const int paused = counts.job_status == FLAMENCO_JOB_PAUSE_REQUESTED || counts.job_status == FLAMENCO_JOB_PAUSED;
    rc = fl_sm_format(sm, cx, &activity, err, "Manager %s this task: %.*s", paused ? "paused" : "queued",
                      (int)reason.len, reason.len > 0 ? reason.ptr : "");
    if (rc == FLAMENCO_OK)
        rc = fl_sm_task_set_status(sm, cx, &task, paused ? FLAMENCO_TASK_PAUSED : FLAMENCO_TASK_QUEUED, activity, err);
    return rc == FLAMENCO_OK ? fl_sm_log_line(sm, cx, &task, activity, err) : rc;
}

int32_t fl_sm_return_tasks(fl_sm *sm, flamenco_cx *cx, int64_t worker_key, uint32_t status, int64_t job_key,
                           flamenco_str reason, flamenco_error *err)
{
    listing list = { .sm = sm, .cx = cx };
    list.last = &list.first;
    int32_t rc = flamenco_persist_tasks_of_worker(&sm->persist, cx, worker_key, FLAMENCO_BIT(status), job_key, remember,
                                                  &list, err);
    if (rc == FLAMENCO_OK && list.rc != FLAMENCO_OK)
        rc = flamenco_fail(err, list.rc, "no memory for the worker's tasks");
    for (const listed *item = list.first; item != NULL && rc == FLAMENCO_OK; item = item->next)
        rc = return_one(sm, cx, &item->uuid, reason, err);
    return rc;
}

int32_t fl_sm_worker_return_tasks(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_str reason,
                                  flamenco_error *err)
{
    return fl_sm_return_tasks(self, cx, worker->key, FLAMENCO_TASK_ACTIVE, 0, reason, err);
}
