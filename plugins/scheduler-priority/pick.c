/* SPDX-License-Identifier: Apache-2.0
 *
 * pick.c - which task a worker gets (state-and-scheduling 6.1): the one that it holds, else the best by job priority, task
 * priority and age. Called by scheduleTask.
 */
#include "pick.h"

static int32_t find_new(fl_scheduler *scheduler, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                        flamenco_error *err)
{
    fl_search s = { .scheduler = scheduler, .cx = cx, .worker = worker, .err = err };
    int32_t rc = flamenco_persist_runnable_groups(&scheduler->persist, cx, worker->key, fl_search_look_at, &s, err);
    if (rc == FLAMENCO_OK)
        rc = s.rc;
    if (rc != FLAMENCO_OK)
        return rc;
    if (s.best.key == 0)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "there is no task for this worker now");
    *out = s.best;
    return FLAMENCO_OK;
}

int32_t fl_priority_pick(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                         flamenco_error *err)
{
    fl_scheduler *scheduler = self;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = fl_search_held(scheduler, cx, worker, &task, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        rc = find_new(scheduler, cx, worker, &task, err);
    return rc == FLAMENCO_OK ? fl_search_assign(scheduler, cx, worker, &task, out, err) : rc;
}
