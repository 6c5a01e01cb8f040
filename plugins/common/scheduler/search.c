/* SPDX-License-Identifier: Apache-2.0
 *
 * search.c - the best of a list of groups, and the assignment (state-and-scheduling 6.1). Called by the schedulers at every
 * request for a task.
 */
#include "scheduler.h"

/* Tells whether a group may hold a better task than the best so far. Its rank is that of its best task, which this worker
 * may have failed; then what it gets is a lower one, so that groups behind it may win. Task keys ascend with age over all
 * jobs, so a group of a younger job loses a tie, and a group of the same job, of another type, may win it. */
static int may_beat(const fl_search *s, const flamenco_runnable_group *group)
{
    if (s->best.key == 0)
        return 1;
    if (group->job_priority != s->best_job_priority)
        return group->job_priority > s->best_job_priority;
    if (group->task_priority != s->best.priority)
        return group->task_priority > s->best.priority;
    return group->job_key <= s->best.job_key;
}

static int beats(const fl_search *s, int32_t job_priority, const flamenco_task *task)
{
    if (s->best.key == 0)
        return 1;
    if (job_priority != s->best_job_priority)
        return job_priority > s->best_job_priority;
    if (task->priority != s->best.priority)
        return task->priority > s->best.priority;
    return task->key < s->best.key;
}

/* Groups come best first, so the first one that cannot win ends the search. */
int32_t fl_search_look_at(void *ctx, const flamenco_runnable_group *group)
{
    fl_search *s = ctx;
    if (!may_beat(s, group))
        return 1;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = flamenco_persist_task_runnable(&s->scheduler->persist, s->cx, group->job_key, group->task_type,
                                                s->worker->key, &task, s->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return 0; /* the worker has failed all of them */
    if (rc != FLAMENCO_OK) {
        s->rc = rc;
        return 1;
    }
    if (beats(s, group->job_priority, &task)) {
        s->best = task;
        s->best_job_priority = group->job_priority;
    }
    return 0;
}

int32_t fl_search_held(fl_scheduler *scheduler, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                       flamenco_error *err)
{
    flamenco_task held = { .struct_size = (uint32_t)sizeof(held) };
    int32_t rc = flamenco_persist_task_held(&scheduler->persist, cx, worker->key, &held, err);
    if (rc != FLAMENCO_OK)
        return rc;
    return flamenco_persist_task_get_key(&scheduler->persist, cx, held.key, out, err);
}

int32_t fl_search_assign(fl_scheduler *scheduler, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *task,
                         flamenco_task *out, flamenco_error *err)
{
    const flamenco_task_update assign = {
        .struct_size = (uint32_t)sizeof(assign),
        .set = FLAMENCO_TASK_SET_WORKER,
        .worker_key = worker->key,
    };
    int32_t rc = flamenco_persist_task_update(&scheduler->persist, cx, task->key, &assign, NULL, err);
    if (rc != FLAMENCO_OK)
        return rc;
    task->worker_key = worker->key;
    task->worker_uuid = worker->uuid;
    task->worker_deleted = 0;
    task->worker_name = worker->name;
    task->worker_address = worker->address;
    task->touched_us = cx->now_us;
    task->updated_us = cx->now_us;
    uint32_t size = out->struct_size < task->struct_size ? out->struct_size : task->struct_size;
    task->struct_size = out->struct_size;
    memcpy(out, task, size);
    return FLAMENCO_OK;
}

int32_t fl_scheduler_connect(fl_scheduler *scheduler, flamenco_error *err)
{
    const flamenco_host *host = scheduler->host;
    scheduler->persist.table = host->service(host->h, FLAMENCO_PERSISTENCE, &scheduler->persist.self);
    return scheduler->persist.table != NULL
               ? FLAMENCO_OK
               : flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the scheduler needs %s", FLAMENCO_PERSISTENCE);
}
