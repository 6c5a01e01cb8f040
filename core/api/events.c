/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/events.h"

#include "core/api/convert.h"
#include "core/base/uuid.h"

/* Puts topic, name, statuses and payload one behind the other into one shared buffer. */
typedef struct event_text {
    fl_buf buf;
    size_t topic, name, status, previous, payload; /* where each begins */
} event_text;

#define USUAL_SIZE 768u /* of an event but for what its users wrote */

/* Begins with as much room as most events need: most are made in the writer's time, and growing costs more than they do. */
static void begin_event(event_text *text, const char *topic, const flamenco_uuid *uuid, const char *name,
                        flamenco_str status, flamenco_str previous, uint64_t more)
{
    memset(text, 0, sizeof(*text));
    (void)fl_buf_reserve(&text->buf, USUAL_SIZE + (size_t)more); /* a failure is kept in the buffer */
    fl_buf_add_text(&text->buf, topic);
    if (uuid != NULL) {
        char uuid_text[37];
        fl_uuid_format(uuid, uuid_text);
        fl_buf_add_text(&text->buf, uuid_text);
    }
    text->name = text->buf.len;
    fl_buf_add_text(&text->buf, name);
    text->status = text->buf.len;
    fl_buf_add_str(&text->buf, status);
    text->previous = text->buf.len;
    fl_buf_add_str(&text->buf, previous);
    text->payload = text->buf.len;
}

static int32_t end_event(event_text *text, uint32_t kind, flamenco_event *out)
{
    memset(out, 0, sizeof(*out));
    out->struct_size = (uint32_t)sizeof(*out);
    out->kind = kind;
    out->buf = fl_shared_take(&text->buf);
    if (out->buf == NULL)
        return FLAMENCO_E_NOMEM;
    flamenco_str all = fl_shared_str(out->buf);
    out->topic = (flamenco_str){ all.ptr, text->name };
    out->name = (flamenco_str){ all.ptr + text->name, text->status - text->name };
    out->status = (flamenco_str){ all.ptr + text->status, text->previous - text->status };
    out->previous_status = (flamenco_str){ all.ptr + text->previous, text->payload - text->previous };
    out->payload = (flamenco_str){ all.ptr + text->payload, all.len - text->payload };
    return FLAMENCO_OK;
}

static flamenco_str uuid_text(const flamenco_uuid *uuid, char out[37])
{
    fl_uuid_format(uuid, out);
    return (flamenco_str){ out, 36 };
}

int32_t fl_event_job(const flamenco_job_event *event, flamenco_event *out)
{
    const flamenco_job *row = event->row;
    event_text text;
    char id[37];
    api_event_job_update update = API_EVENT_JOB_UPDATE_INIT;
    update.id = uuid_text(&row->uuid, id);
    if (event->flags & FLAMENCO_JOB_EVENT_DELETED) {
        update.was_deleted = 1;
    } else {
        update.name = row->name;
        update.has_name = 1;
        update.updated = row->updated_us;
        update.status = fl_to_api_job_status(row->status);
        update.type = row->type;
        update.priority = row->priority;
        update.refresh_tasks = (event->flags & FLAMENCO_JOB_EVENT_REFRESH_TASKS) != 0;
        update.steps_completed = row->steps_completed;
        update.steps_total = row->steps_total;
        update.delete_requested_at = row->delete_requested_us;
        if (event->previous_status != FLAMENCO_PREVIOUS_NONE)
            update.previous_status = fl_to_api_job_status(event->previous_status);
    }
    begin_event(&text, "/jobs", NULL, "/jobs", api_job_status_text(update.status),
                api_job_status_text(update.previous_status), 0);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_job_update(&w, &update);
    int32_t rc = end_event(&text, FLAMENCO_EVENT_JOB, out);
    out->job = row->uuid;
    out->flags = event->flags & FLAMENCO_JOB_EVENT_STEPS ? FLAMENCO_EVENT_FLAG_STEPS : 0;
    return rc;
}

int32_t fl_event_task(const flamenco_task_event *event, flamenco_event *out)
{
    const flamenco_task *row = event->row;
    event_text text;
    char id[37], job_id[37], worker_id[37];
    api_assigned_worker worker;
    api_event_task_update update = API_EVENT_TASK_UPDATE_INIT;
    update.id = uuid_text(&row->uuid, id);
    update.job_id = uuid_text(&row->job_uuid, job_id);
    update.name = row->name;
    update.updated = row->updated_us;
    update.status = fl_to_api_task_status(row->status);
    update.activity = row->activity;
    update.steps_completed = row->steps_completed;
    update.steps_total = row->steps_total;
    if (event->previous_status != FLAMENCO_PREVIOUS_NONE)
        update.previous_status = fl_to_api_task_status(event->previous_status);
    if (row->worker_key != 0 && !row->worker_deleted) {
        worker = (api_assigned_worker){ row->worker_name, uuid_text(&row->worker_uuid, worker_id) };
        update.worker = &worker;
    }
    begin_event(&text, "/jobs/", &row->job_uuid, "/task", api_task_status_text(update.status),
                api_task_status_text(update.previous_status), row->activity.len + row->name.len);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_task_update(&w, &update);
    int32_t rc = end_event(&text, FLAMENCO_EVENT_TASK, out);
    out->job = row->job_uuid;
    out->task = row->uuid;
    out->worker = row->worker_uuid;
    out->flags = event->previous_status == FLAMENCO_PREVIOUS_NONE ? FLAMENCO_EVENT_FLAG_STEPS : 0;
    return rc;
}

int32_t fl_event_worker(const flamenco_worker_event *event, flamenco_event *out)
{
    const flamenco_worker *row = event->row;
    event_text text;
    char id[37];
    api_worker_status_change_request change;
    api_event_worker_update update = API_EVENT_WORKER_UPDATE_INIT;
    update.id = uuid_text(&row->uuid, id);
    update.name = row->name;
    update.updated = row->updated_us;
    update.last_seen = row->seen_us;
    update.status = fl_to_api_worker_status(row->status);
    update.version = row->software;
    update.can_restart = row->can_restart != 0;
    update.deleted_at = row->deleted_us;
    if (event->previous_status != FLAMENCO_PREVIOUS_NONE)
        update.previous_status = fl_to_api_worker_status(event->previous_status);
    if (row->requested != FLAMENCO_WORKER_NONE) {
        change = (api_worker_status_change_request){ fl_to_api_worker_status(row->requested), row->lazy != 0 };
        update.status_change = &change;
    }
    begin_event(&text, "/workers", NULL, "/workers", api_worker_status_text(update.status),
                api_worker_status_text(update.previous_status), 0);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_worker_update(&w, &update);
    int32_t rc = end_event(&text, FLAMENCO_EVENT_WORKER, out);
    out->worker = row->uuid;
    return rc;
}

int32_t fl_event_worker_tag(const flamenco_tag *row, int deleted, flamenco_event *out)
{
    event_text text;
    char id[37];
    api_event_worker_tag_update update = { .was_deleted = deleted != 0 };
    update.tag.id = uuid_text(&row->uuid, id);
    if (!deleted) {
        update.tag.name = row->name;
        update.tag.description = row->description;
        update.tag.has_description = 1; /* also when it is empty */
    }
    begin_event(&text, "/workertags", NULL, "/workertags", (flamenco_str){ NULL, 0 }, (flamenco_str){ NULL, 0 }, 0);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_worker_tag_update(&w, &update);
    return end_event(&text, FLAMENCO_EVENT_WORKER_TAG, out);
}

int32_t fl_event_task_log(const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str log, flamenco_event *out)
{
    event_text text;
    char id[37];
    api_event_task_log_update update = { .task_id = uuid_text(task, id), .log = log };
    begin_event(&text, "/tasklog/", task, "/tasklog", (flamenco_str){ NULL, 0 }, (flamenco_str){ NULL, 0 },
                log.len + log.len / 16);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_task_log_update(&w, &update);
    int32_t rc = end_event(&text, FLAMENCO_EVENT_TASK_LOG, out);
    out->job = *job;
    out->task = *task;
    return rc;
}

int32_t fl_event_lifecycle(const char *type, flamenco_event *out)
{
    event_text text;
    api_event_life_cycle event = { api_life_cycle_event_type_from(flamenco_text(type)) };
    begin_event(&text, "/lifecycle", NULL, "/lifecycle", (flamenco_str){ NULL, 0 }, (flamenco_str){ NULL, 0 }, 0);
    fl_json w = fl_json_begin(&text.buf);
    api_write_event_life_cycle(&w, &event);
    return end_event(&text, FLAMENCO_EVENT_LIFECYCLE, out);
}
