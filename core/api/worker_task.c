/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_task.c - what Workers call about tasks: asking for one, reporting on it, asking whether to go on (api-behaviour
 * 7.2, state-and-scheduling 6 to 8).
 */
#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/worker_events.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/config/current.h"

/* ---- Asking for a task ------------------------------------------------------------------------------------------------ */

/* A worker that only timed out and asks for work again is well: it is put back to what it was (decisions). */
static int32_t forgive_timeout(fl_call *call)
{
    flamenco_worker *row = &call->worker;
    if (row->status != FLAMENCO_WORKER_ERROR || row->last_good_status == FLAMENCO_WORKER_NONE)
        return FLAMENCO_OK;
    row->status = row->last_good_status;
    row->last_good_status = FLAMENCO_WORKER_NONE;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_LAST_GOOD,
                                      .row = row };
    row->updated_us = call->cx->pub.now_us;
    int32_t rc = flamenco_persist_worker_update(&call->f->persist, &call->cx->pub, row->key, &update, call->err);
    return rc == FLAMENCO_OK ? fl_worker_emit(call->cx, row, FLAMENCO_WORKER_ERROR) : rc;
}

/* The task's commands with the variables that this worker's platform needs. */
static int32_t expand_commands(fl_call *call, flamenco_str commands, flamenco_str *out)
{
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    int32_t rc = fl_variables_expand_commands(config->variables, call->arena, call->worker.platform, commands, out);
    fl_config_unref(config);
    /* Whatever it is, the store is not to blame: it must not be tried again as if it were. */
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_NOMEM)
        rc = flamenco_fail(call->err, FLAMENCO_E_INTERNAL, "the variables in the task's commands cannot be replaced");
    return rc;
}

static int32_t log_assignment(fl_call *call, const flamenco_task *task)
{
    const flamenco_worker *row = &call->worker;
    flamenco_str uuid = fl_call_uuid_text(call, &row->uuid);
    flamenco_str line =
        fl_arena_printf(call->arena, "Task assigned to worker %.*s (%.*s)", FL_STR_ARGS(row->name), FL_STR_ARGS(uuid));
    if (line.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    return call->cx->pub.host->task_log(&call->cx->pub, &task->job_uuid, &task->uuid, 1, line);
}

static int32_t hand_out(fl_call *call, flamenco_task *task)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    flamenco_str none = { NULL, 0 }, commands;
    int32_t rc = log_assignment(call, task);
    if (rc == FLAMENCO_OK)
        rc = flamenco_state_machine_task_set_status(&call->f->state_machine, &call->cx->pub, task, FLAMENCO_TASK_ACTIVE,
                                                    none, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get_key(&call->f->persist, &call->cx->pub, task->job_key, &job, call->err);
    if (rc == FLAMENCO_OK)
        rc = call->cx->pub.host->touch(&call->cx->pub, FLAMENCO_TOUCH_TASK, task->key);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(call->cx, &call->worker, FLAMENCO_PREVIOUS_NONE);
    if (rc == FLAMENCO_OK)
        rc = expand_commands(call, task->commands, &commands);
    if (rc != FLAMENCO_OK)
        return rc;
    api_assigned_task out = { .uuid = fl_call_uuid_text(call, &task->uuid),
                              .job = fl_call_uuid_text(call, &task->job_uuid),
                              .name = task->name,
                              .status = API_TASK_STATUS_ACTIVE,
                              .priority = task->priority,
                              .job_priority = job.priority,
                              .job_type = job.type,
                              .task_type = task->type,
                              .commands = commands,
                              .steps_completed = task->steps_completed,
                              .steps_total = task->steps_total };
    return api_schedule_task_200(&call->reply, &out);
}

int32_t fl_schedule_task(fl_call *call, const api_schedule_task_in *in)
{
    (void)in;
    const flamenco_worker *row = &call->worker;
    int32_t rc = fl_worker_touch(call->cx, row);
    if (rc != FLAMENCO_OK)
        return rc;
    if (row->requested != FLAMENCO_WORKER_NONE) {
        api_worker_state_change change = { fl_to_api_worker_status(row->requested) };
        return api_schedule_task_423(&call->reply, &change);
    }
    rc = forgive_timeout(call);
    if (rc != FLAMENCO_OK)
        return rc;
    if (row->status != FLAMENCO_WORKER_AWAKE)
        return api_schedule_task_409(&call->reply, "the worker is %s, only an awake one gets tasks",
                                     row->status == FLAMENCO_WORKER_NONE ? "not signed on"
                                                                         : flamenco_worker_status_text(row->status));
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    rc = flamenco_task_scheduler_pick(&call->f->task_scheduler, &call->cx->pub, row, &task, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_park(call, FLAMENCO_WAKE_TASKS) ? FL_STEP_PARK : api_schedule_task_204(&call->reply);
    return rc == FLAMENCO_OK ? hand_out(call, &task) : rc;
}

/* ---- Reporting on a task ------------------------------------------------------------------------------------------------ */

/* Answers why this worker may not report on this task; 0 when it may. */
static int32_t check_update(fl_call *call, const api_task_update_in *in, flamenco_task *task)
{
    flamenco_uuid uuid;
    int32_t rc = fl_call_uuid(call, "the task id", in->task_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    memset(task, 0, sizeof(*task));
    task->struct_size = (uint32_t)sizeof(*task);
    rc = flamenco_persist_task_find(&call->f->persist, &call->cx->pub, &uuid, task, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no task %.*s", FL_STR_ARGS(in->task_id));
    if (rc != FLAMENCO_OK)
        return rc;
    if (task->worker_key == 0)
        return fl_call_refuse(call, 409, "the task is assigned to nobody");
    if (task->worker_key != call->worker.key)
        return fl_call_refuse(call, 409, "the task is assigned to another worker");
    if (in->body.task_status == API_TASK_STATUS_SOFT_FAILED)
        return fl_call_refuse(call, 400, "taskStatus: a worker reports failed; soft-failed is the manager's decision");
    return FLAMENCO_OK;
}

/* Stores activity and steps, in one change, when they are given and differ. The activity of a change of status is stored
 * with that. *steps_changed: whether they did; then the job's new sums are told. */
static int32_t save_progress(fl_call *call, const api_task_update *body, flamenco_task *task, int status_changes,
                             int *steps_changed)
{
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update), .activity = body->activity };
    int64_t steps = body->steps_completed < task->steps_total ? body->steps_completed : task->steps_total;
    *steps_changed = body->has_steps_completed && steps != task->steps_completed;
    if (*steps_changed) {
        update.set |= FLAMENCO_TASK_SET_STEPS;
        update.steps_completed = task->steps_completed = steps;
        task->updated_us = call->cx->pub.now_us;
    }
    if (body->has_activity && !status_changes) {
        update.set |= FLAMENCO_TASK_SET_ACTIVITY;
        task->activity = body->activity;
    }
    if (update.set == 0)
        return FLAMENCO_OK;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_task_update(&call->f->persist, &call->cx->pub, task->key, &update, NULL, call->err);
    if (rc != FLAMENCO_OK || !*steps_changed)
        return rc;
    rc = flamenco_persist_job_get_key(&call->f->persist, &call->cx->pub, task->job_key, &job, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_job_event event = { .struct_size = (uint32_t)sizeof(event),
                                 .previous_status = FLAMENCO_PREVIOUS_NONE,
                                 .flags = FLAMENCO_JOB_EVENT_STEPS,
                                 .row = &job };
    return call->cx->pub.host->emit_job(&call->cx->pub, &event);
}

/* The steps changed and the status did not: only then the task event is sent from here. */
static int32_t emit_steps(fl_call *call, flamenco_task *task)
{
    task->worker_name = call->worker.name;
    task->worker_uuid = call->worker.uuid;
    flamenco_task_event event = { .struct_size = (uint32_t)sizeof(event),
                                  .previous_status = FLAMENCO_PREVIOUS_NONE,
                                  .row = task };
    return call->cx->pub.host->emit_task(&call->cx->pub, &event);
}

static int32_t change_status(fl_call *call, const api_task_update *body, flamenco_task *task)
{
    uint32_t to = fl_from_api_task_status(body->task_status);
    flamenco_str activity = { NULL, 0 };
    if (body->has_activity)
        activity = body->activity.ptr != NULL ? body->activity : FL_STR("");
    if (to == FLAMENCO_TASK_FAILED)
        return flamenco_state_machine_task_failed(&call->f->state_machine, &call->cx->pub, task, &call->worker,
                                                  activity, call->err);
    return flamenco_state_machine_task_set_status(&call->f->state_machine, &call->cx->pub, task, to, activity,
                                                  call->err);
}

int32_t fl_task_update(fl_call *call, const api_task_update_in *in)
{
    const api_task_update *body = &in->body;
    const flamenco_host *host = call->cx->pub.host;
    flamenco_task task;
    int steps_changed = 0;
    int32_t rc = check_update(call, in, &task);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t previous = task.status;
    int status_changes =
        body->task_status != API_TASK_STATUS_NONE && fl_from_api_task_status(body->task_status) != previous;
    if (body->has_log)
        rc = host->task_log(&call->cx->pub, &task.job_uuid, &task.uuid, 0, body->log);
    if (rc == FLAMENCO_OK)
        rc = save_progress(call, body, &task, status_changes, &steps_changed);
    if (rc == FLAMENCO_OK && status_changes)
        rc = change_status(call, body, &task);
    else if (rc == FLAMENCO_OK && steps_changed)
        rc = emit_steps(call, &task);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_wake_holder(call->cx, &task, previous);
    if (rc == FLAMENCO_OK)
        rc = host->touch(&call->cx->pub, FLAMENCO_TOUCH_TASK, task.key);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_touch(call->cx, &call->worker);
    return rc == FLAMENCO_OK ? api_task_update_204(&call->reply) : rc;
}

/* ---- Going on --------------------------------------------------------------------------------------------------------------- */

/* Why the task must not go on; NULL when it may. */
static const char *reason_to_stop(const fl_call *call, const flamenco_task *task, api_may_keep_running *out)
{
    if (call->worker.requested != FLAMENCO_WORKER_NONE && !call->worker.lazy) {
        out->status_change_requested = 1;
        return "the worker is to change its status";
    }
    if (task->worker_key == 0 || task->worker_key != call->worker.key)
        return "the task is not assigned to this worker";
    if (task->status != FLAMENCO_TASK_ACTIVE)
        return "the task is no longer active, it is ";
    return NULL;
}

int32_t fl_may_worker_run(fl_call *call, const api_may_worker_run_in *in)
{
    flamenco_uuid uuid;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    api_may_keep_running out = { 0 };
    int32_t rc = fl_call_uuid(call, "the task id", in->task_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = flamenco_persist_task_find(&call->f->persist, &call->cx->pub, &uuid, &task, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND) {
        out.reason = FL_STR("there is no such task");
        return api_may_worker_run_200(&call->reply, &out);
    }
    if (rc == FLAMENCO_OK)
        rc = fl_worker_touch(call->cx, &call->worker);
    if (rc != FLAMENCO_OK)
        return rc;
    const char *reason = reason_to_stop(call, &task, &out);
    out.may_keep_running = reason == NULL;
    if (reason != NULL) {
        int names_status = reason[strlen(reason) - 1] == ' ';
        out.reason =
            fl_arena_printf(call->arena, "%s%s", reason, names_status ? flamenco_task_status_text(task.status) : "");
    } else {
        rc = call->cx->pub.host->touch(&call->cx->pub, FLAMENCO_TOUCH_TASK, task.key);
    }
    return rc == FLAMENCO_OK ? api_may_worker_run_200(&call->reply, &out) : rc;
}
