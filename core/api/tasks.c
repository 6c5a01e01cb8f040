/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks.c - the operations on tasks for people (api-behaviour 7.7).
 */
#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/worker_events.h"
#include "core/base/str.h"
#include "core/base/uuid.h"

#define TAIL_BYTES 2048u

/* Reads the task that a path names, or answers 404. */
static int32_t get_task(fl_call *call, flamenco_str task_id, const flamenco_uuid *uuid, flamenco_task *out)
{
    memset(out, 0, sizeof(*out));
    out->struct_size = (uint32_t)sizeof(*out);
    int32_t rc = flamenco_persist_task_get(&call->f->persist, &call->cx->pub, uuid, out, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no task %.*s", FL_STR_ARGS(task_id));
    return rc;
}

typedef struct worker_list {
    fl_call *call;
    api_task_worker *rows;
    uint64_t count, room;
} worker_list;

static int32_t add_worker(void *ctx, const flamenco_worker *row)
{
    worker_list *list = ctx;
    if (list->count == list->room) {
        uint64_t room = list->room == 0 ? 8 : list->room * 2;
        api_task_worker *rows = fl_arena_alloc(list->call->arena, room * sizeof(*rows));
        if (rows == NULL)
            return 1;
        if (list->count > 0)
            memcpy(rows, list->rows, list->count * sizeof(*rows));
        list->rows = rows;
        list->room = room;
    }
    int deleted = row->deleted_us != FLAMENCO_TIME_NONE;
    list->rows[list->count++] = (api_task_worker){
        .id = fl_call_uuid_text(list->call, &row->uuid),
        .name = deleted ? (flamenco_str){ NULL, 0 } : fl_arena_copy(list->call->arena, row->name),
        .address = deleted ? (flamenco_str){ NULL, 0 } : fl_arena_copy(list->call->arena, row->address),
    };
    return 0;
}

int32_t fl_fetch_task(fl_call *call, const api_fetch_task_in *in)
{
    flamenco_uuid uuid;
    flamenco_task row;
    api_task task = API_TASK_INIT;
    worker_list failed = { .call = call };
    int32_t rc = fl_call_uuid(call, "the task id", in->task_id, &uuid);
    if (rc == FLAMENCO_OK)
        rc = get_task(call, in->task_id, &uuid, &row);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_failures_list(&call->f->persist, &call->cx->pub, row.key, add_worker, &failed, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    task.id = fl_call_uuid_text(call, &row.uuid);
    task.job_id = fl_call_uuid_text(call, &row.job_uuid);
    task.created = row.created_us;
    task.last_touched = fl_task_touched(call->f, &row);
    task.updated = row.updated_us > task.last_touched ? row.updated_us : task.last_touched;
    task.index_in_job = row.index;
    task.name = row.name;
    task.status = fl_to_api_task_status(row.status);
    task.priority = row.priority;
    task.task_type = row.type;
    task.activity = row.activity;
    task.commands = row.commands;
    task.steps_completed = row.steps_completed;
    task.steps_total = row.steps_total;
    if (row.worker_key != 0)
        task.worker =
            (api_task_worker){ fl_call_uuid_text(call, &row.worker_uuid), row.worker_name, row.worker_address };
    task.failed_by_workers = (api_task_worker_array){ failed.rows, failed.count };
    return api_fetch_task_200(&call->reply, &task);
}

/* The workers that failed a task may have it again. If others could have it all the time, nobody has told them so. */
static int32_t forget_failures(fl_call *call, const flamenco_task *task)
{
    const flamenco_wake wake = {
        .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = 1, .task_type = task->type
    };
    int32_t rc = flamenco_persist_failures_clear_task(&call->f->persist, &call->cx->pub, task->key, call->err);
    if (rc == FLAMENCO_OK && (task->status == FLAMENCO_TASK_SOFT_FAILED || task->status == FLAMENCO_TASK_QUEUED))
        rc = call->cx->pub.host->wake(&call->cx->pub, &wake);
    return rc;
}

int32_t fl_set_task_status(fl_call *call, const api_set_task_status_in *in)
{
    flamenco_uuid uuid;
    flamenco_task task;
    uint32_t to = fl_from_api_task_status(in->body.status);
    int32_t rc = fl_call_uuid(call, "the task id", in->task_id, &uuid);
    if (rc == FLAMENCO_OK)
        rc = get_task(call, in->task_id, &uuid, &task);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t previous = task.status;
    flamenco_str reason = in->body.reason.ptr != NULL ? in->body.reason : FL_STR("");
    rc = flamenco_state_machine_task_set_status(&call->f->state_machine, &call->cx->pub, &task, to, reason, call->err);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_wake_holder(call->cx, &task, previous);
    if (rc == FLAMENCO_OK && to == FLAMENCO_TASK_QUEUED)
        rc = forget_failures(call, &task);
    return rc == FLAMENCO_OK ? api_set_task_status_204(&call->reply) : rc;
}

/* What finish needs of the task: the log is a file, which is not read inside a transaction. */
typedef struct log_place {
    flamenco_uuid job, task;
} log_place;

static int32_t find_log(fl_call *call, flamenco_str task_id)
{
    flamenco_uuid uuid;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = fl_call_uuid(call, "the task id", task_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = flamenco_persist_task_find(&call->f->persist, &call->cx->pub, &uuid, &task, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no task %.*s", FL_STR_ARGS(task_id));
    if (rc != FLAMENCO_OK)
        return rc;
    log_place *place = fl_arena_alloc(call->arena, sizeof(*place));
    if (place == NULL)
        return FLAMENCO_E_NOMEM;
    *place = (log_place){ task.job_uuid, task.uuid };
    call->state = place;
    return FLAMENCO_OK;
}

int32_t fl_fetch_task_log_info(fl_call *call, const api_fetch_task_log_info_in *in)
{
    return find_log(call, in->task_id);
}

int32_t fl_finish_fetch_task_log_info(fl_call *call, const api_fetch_task_log_info_in *in)
{
    (void)in;
    const log_place *place = call->state;
    flamenco_log_info info = { .struct_size = (uint32_t)sizeof(info) };
    int32_t rc =
        flamenco_log_storage_info(&call->f->log_storage, &call->cx->pub, &place->job, &place->task, &info, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_task_log_info_204(&call->reply);
    if (rc != FLAMENCO_OK)
        return rc;
    api_task_log_info out = { .task_id = fl_call_uuid_text(call, &place->task),
                              .job_id = fl_call_uuid_text(call, &place->job),
                              .size = (int64_t)info.size_bytes };
    if (info.path.len > 0)
        out.url = fl_arena_printf(call->arena, "/job-files/%.*s", FL_STR_ARGS(info.path));
    return api_fetch_task_log_info_200(&call->reply, &out);
}

int32_t fl_fetch_task_log_tail(fl_call *call, const api_fetch_task_log_tail_in *in)
{
    return find_log(call, in->task_id);
}

int32_t fl_finish_fetch_task_log_tail(fl_call *call, const api_fetch_task_log_tail_in *in)
{
    (void)in;
    const log_place *place = call->state;
    flamenco_str tail = { NULL, 0 };
    int32_t rc = flamenco_log_storage_tail(&call->f->log_storage, &call->cx->pub, &place->job, &place->task, TAIL_BYTES,
                                           &tail, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_task_log_tail_204(&call->reply);
    return rc == FLAMENCO_OK ? api_fetch_task_log_tail_200(&call->reply, tail) : rc;
}
