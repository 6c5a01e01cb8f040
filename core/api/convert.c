/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/convert.h"

#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/touches.h"

static const api_job_status job_statuses[FLAMENCO_JOB_STATUSES] = {
    [FLAMENCO_JOB_QUEUED] = API_JOB_STATUS_QUEUED,
    [FLAMENCO_JOB_ACTIVE] = API_JOB_STATUS_ACTIVE,
    [FLAMENCO_JOB_PAUSED] = API_JOB_STATUS_PAUSED,
    [FLAMENCO_JOB_PAUSE_REQUESTED] = API_JOB_STATUS_PAUSE_REQUESTED,
    [FLAMENCO_JOB_COMPLETED] = API_JOB_STATUS_COMPLETED,
    [FLAMENCO_JOB_CANCELED] = API_JOB_STATUS_CANCELED,
    [FLAMENCO_JOB_CANCEL_REQUESTED] = API_JOB_STATUS_CANCEL_REQUESTED,
    [FLAMENCO_JOB_FAILED] = API_JOB_STATUS_FAILED,
    [FLAMENCO_JOB_REQUEUEING] = API_JOB_STATUS_REQUEUEING,
    [FLAMENCO_JOB_UNDER_CONSTRUCTION] = API_JOB_STATUS_UNDER_CONSTRUCTION,
};

static const api_task_status task_statuses[FLAMENCO_TASK_STATUSES] = {
    [FLAMENCO_TASK_QUEUED] = API_TASK_STATUS_QUEUED, [FLAMENCO_TASK_SOFT_FAILED] = API_TASK_STATUS_SOFT_FAILED,
    [FLAMENCO_TASK_ACTIVE] = API_TASK_STATUS_ACTIVE, [FLAMENCO_TASK_COMPLETED] = API_TASK_STATUS_COMPLETED,
    [FLAMENCO_TASK_FAILED] = API_TASK_STATUS_FAILED, [FLAMENCO_TASK_CANCELED] = API_TASK_STATUS_CANCELED,
    [FLAMENCO_TASK_PAUSED] = API_TASK_STATUS_PAUSED,
};

static const api_worker_status worker_statuses[FLAMENCO_WORKER_STATUSES] = {
    [FLAMENCO_WORKER_NONE] = API_WORKER_STATUS_NONE,       [FLAMENCO_WORKER_STARTING] = API_WORKER_STATUS_STARTING,
    [FLAMENCO_WORKER_AWAKE] = API_WORKER_STATUS_AWAKE,     [FLAMENCO_WORKER_ASLEEP] = API_WORKER_STATUS_ASLEEP,
    [FLAMENCO_WORKER_ERROR] = API_WORKER_STATUS_ERROR,     [FLAMENCO_WORKER_TESTING] = API_WORKER_STATUS_TESTING,
    [FLAMENCO_WORKER_OFFLINE] = API_WORKER_STATUS_OFFLINE, [FLAMENCO_WORKER_RESTART] = API_WORKER_STATUS_RESTART,
};

api_job_status fl_to_api_job_status(uint32_t status)
{
    return status < FLAMENCO_JOB_STATUSES ? job_statuses[status] : API_JOB_STATUS_NONE;
}

api_task_status fl_to_api_task_status(uint32_t status)
{
    return status < FLAMENCO_TASK_STATUSES ? task_statuses[status] : API_TASK_STATUS_NONE;
}

api_worker_status fl_to_api_worker_status(uint32_t status)
{
    return status < FLAMENCO_WORKER_STATUSES ? worker_statuses[status] : API_WORKER_STATUS_NONE;
}

uint32_t fl_from_api_job_status(api_job_status status)
{
    uint32_t i = 0;
    while (i + 1 < FLAMENCO_JOB_STATUSES && job_statuses[i] != status)
        ++i;
    return i;
}

uint32_t fl_from_api_task_status(api_task_status status)
{
    uint32_t i = 0;
    while (i + 1 < FLAMENCO_TASK_STATUSES && task_statuses[i] != status)
        ++i;
    return i;
}

uint32_t fl_from_api_worker_status(api_worker_status status)
{
    for (uint32_t i = 0; i < FLAMENCO_WORKER_STATUSES; ++i) {
        if (worker_statuses[i] == status)
            return i;
    }
    return FLAMENCO_WORKER_NONE;
}

static flamenco_str uuid_text(const flamenco_uuid *uuid, char *out)
{
    fl_uuid_format(uuid, out);
    return (flamenco_str){ out, 36 };
}

void fl_to_api_job(const flamenco_job *row, fl_uuid_texts *texts, api_job_storage_info *storage, api_job *out)
{
    *out = (api_job)API_JOB_INIT;
    out->id = uuid_text(&row->uuid, texts->first);
    out->name = row->name;
    out->type = row->type;
    out->priority = row->priority;
    out->settings = row->settings;
    out->metadata = row->metadata;
    out->created = row->created_us;
    out->updated = row->updated_us;
    out->status = fl_to_api_job_status(row->status);
    out->activity = row->activity;
    out->steps_completed = row->steps_completed;
    out->steps_total = row->steps_total;
    out->delete_requested_at = row->delete_requested_us;
    if (row->shaman_checkout_id.len > 0) {
        storage->shaman_checkout_id = row->shaman_checkout_id;
        out->storage = storage;
    }
    if (row->tag_key != 0)
        out->worker_tag = uuid_text(&row->tag_uuid, texts->second);
}

int64_t fl_task_touched(struct flamenco *f, const flamenco_task *row)
{
    int64_t kept_us = fl_touches_get(f->touches, FLAMENCO_TOUCH_TASK, row->key);
    return kept_us > row->touched_us ? kept_us : row->touched_us;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void fl_to_api_task_summary(struct flamenco *f, const flamenco_task *row, fl_uuid_texts *texts, api_task_summary *out)
{
    *out = (api_task_summary)API_TASK_SUMMARY_INIT;
    out->id = uuid_text(&row->uuid, texts->first);
    out->name = row->name;
    out->status = fl_to_api_task_status(row->status);
    out->index_in_job = row->index;
    out->priority = row->priority;
    out->task_type = row->type;
    out->updated = row->updated_us;
    if (row->status == FLAMENCO_TASK_ACTIVE)
        out->updated = later(row->updated_us, fl_task_touched(f, row));
    out->steps_completed = row->steps_completed;
    out->steps_total = row->steps_total;
    if (row->worker_key != 0) {
        out->worker.id = uuid_text(&row->worker_uuid, texts->second);
        out->worker.name = row->worker_name;
        out->worker.address = row->worker_address;
    }
}

int64_t fl_worker_seen(struct flamenco *f, const flamenco_worker *row)
{
    return later(row->seen_us, fl_touches_get(f->touches, FLAMENCO_TOUCH_WORKER_SEEN, row->key));
}

void fl_to_api_worker_summary(struct flamenco *f, const flamenco_worker *row, fl_uuid_texts *texts,
                              api_worker_status_change_request *change, api_worker_summary *out)
{
    *out = (api_worker_summary)API_WORKER_SUMMARY_INIT;
    out->id = uuid_text(&row->uuid, texts->first);
    out->name = row->name;
    out->status = fl_to_api_worker_status(row->status);
    out->version = row->software;
    out->can_restart = row->can_restart != 0;
    out->last_seen = fl_worker_seen(f, row);
    if (row->requested != FLAMENCO_WORKER_NONE) {
        change->status = fl_to_api_worker_status(row->requested);
        change->is_lazy = row->lazy != 0;
        out->status_change = change;
    }
}

api_text_array fl_task_types(fl_arena *arena, flamenco_str joined)
{
    api_text_array types = { NULL, 0 };
    uint64_t n = 1;
    if (joined.len == 0)
        return types;
    for (uint64_t i = 0; i < joined.len; ++i)
        n += joined.ptr[i] == ',';
    flamenco_str *list = fl_arena_alloc(arena, n * sizeof(*list));
    if (list == NULL)
        return types;
    flamenco_str rest = joined;
    while (types.count < n && fl_str_split(&rest, ',', &list[types.count]))
        ++types.count;
    types.ptr = list;
    return types;
}
