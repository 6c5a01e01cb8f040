/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_mgt.c - the operations on Workers for people (api-behaviour 7.4).
 */
#include <stdlib.h>

#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/page.h"
#include "core/api/worker_events.h"
#include "core/base/str.h"

/* Reads the worker that a path names, or answers 400 or 404. */
static int32_t get_worker(fl_call *call, flamenco_str worker_id, flamenco_worker *out)
{
    flamenco_uuid uuid;
    int32_t rc = fl_call_uuid(call, "the worker id", worker_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    memset(out, 0, sizeof(*out));
    out->struct_size = (uint32_t)sizeof(*out);
    rc = flamenco_persist_worker_get(&call->f->persist, &call->cx->pub, &uuid, out, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no worker %.*s", FL_STR_ARGS(worker_id));
    return rc;
}

/* ---- Lists --------------------------------------------------------------------------------------------------------- */

typedef struct worker_list {
    struct flamenco *f;
    fl_json *w;
} worker_list;

static int32_t write_worker(void *ctx, const flamenco_worker *row)
{
    worker_list *list = ctx;
    fl_uuid_texts texts;
    api_worker_status_change_request change;
    api_worker_summary worker;
    fl_to_api_worker_summary(list->f, row, &texts, &change, &worker);
    api_write_worker_summary(list->w, &worker);
    return 0;
}

int32_t fl_fetch_workers(fl_call *call, const api_fetch_workers_in *in)
{
    flamenco_page page = fl_page_workers(in);
    uint64_t total = 0;
    worker_list list = { call->f, fl_reply_json_begin(&call->reply, 200) };
    fl_json_object_begin(list.w);
    fl_json_key(list.w, "workers");
    fl_json_array_begin(list.w);
    int partial = fl_page_is_partial(&page);
    int32_t rc = flamenco_persist_workers_list(&call->f->persist, &call->cx->pub, &page, write_worker, &list,
                                               partial ? &total : NULL, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_json_array_end(list.w);
    fl_json_object_end(list.w);
    if (partial)
        fl_page_add_total(call, total);
    return fl_reply_json_end(&call->reply);
}

typedef struct tag_list {
    fl_call *call;
    api_worker_tag *rows;
    uint64_t count, room;
} tag_list;

static int32_t add_tag(void *ctx, const flamenco_tag *row)
{
    tag_list *list = ctx;
    if (list->count == list->room) {
        uint64_t room = list->room == 0 ? 8 : list->room * 2;
        api_worker_tag *rows = fl_arena_alloc(list->call->arena, room * sizeof(*rows));
        if (rows == NULL) {
            list->call->reply.body.failed = 1;
            return 1;
        }
        if (list->count > 0)
            memcpy(rows, list->rows, list->count * sizeof(*rows));
        list->rows = rows;
        list->room = room;
    }
    list->rows[list->count++] = (api_worker_tag){ .id = fl_call_uuid_text(list->call, &row->uuid),
                                                  .name = fl_arena_copy(list->call->arena, row->name),
                                                  .description = fl_arena_copy(list->call->arena, row->description),
                                                  .has_description = row->description.len > 0 };
    return 0;
}

/* The task that the worker has or had last. *out stays untouched when it never had one. */
static int32_t add_task(fl_call *call, int64_t worker_key, const api_worker_task **out)
{
    flamenco_task row = { .struct_size = (uint32_t)sizeof(row) };
    api_task_summary summary;
    int32_t rc = flamenco_persist_task_shown_for_worker(&call->f->persist, &call->cx->pub, worker_key, &row, call->err);
    if (rc != FLAMENCO_OK)
        return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
    fl_uuid_texts *texts = fl_arena_alloc(call->arena, sizeof(*texts));
    api_worker_task *task = fl_arena_alloc(call->arena, sizeof(*task));
    if (texts == NULL || task == NULL)
        return FLAMENCO_E_NOMEM;
    fl_to_api_task_summary(call->f, &row, texts, &summary);
    *task = (api_worker_task){ .id = summary.id,
                               .name = summary.name,
                               .status = summary.status,
                               .index_in_job = summary.index_in_job,
                               .priority = summary.priority,
                               .task_type = summary.task_type,
                               .updated = summary.updated,
                               .worker = summary.worker,
                               .steps_completed = summary.steps_completed,
                               .steps_total = summary.steps_total,
                               .job_id = fl_call_uuid_text(call, &row.job_uuid) };
    *out = task;
    return FLAMENCO_OK;
}

int32_t fl_fetch_worker(fl_call *call, const api_fetch_worker_in *in)
{
    flamenco_worker row;
    int32_t rc = get_worker(call, in->worker_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_uuid_texts texts;
    api_worker_status_change_request change;
    api_worker_summary summary;
    tag_list tags = { .call = call };
    api_worker out = API_WORKER_INIT;
    fl_to_api_worker_summary(call->f, &row, &texts, &change, &summary);
    out.id = summary.id;
    out.name = summary.name;
    out.status = summary.status;
    out.status_change = summary.status_change;
    out.last_seen = summary.last_seen;
    out.version = summary.version;
    out.can_restart = summary.can_restart;
    out.ip_address = row.address;
    out.platform = row.platform;
    out.supported_task_types = fl_task_types(call->arena, row.task_types);
    rc = add_task(call, row.key, &out.task);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_worker_tags(&call->f->persist, &call->cx->pub, row.key, add_tag, &tags, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    out.tags = (api_worker_tag_array){ tags.rows, tags.count };
    return api_fetch_worker_200(&call->reply, &out);
}

/* ---- Changes ------------------------------------------------------------------------------------------------------- */

/* Tells of a change that is no change of status, and lets a request of the worker that waits look again. */
static int32_t tell(fl_call *call, flamenco_worker *row)
{
    int32_t rc = fl_worker_emit(call->cx, row, FLAMENCO_PREVIOUS_NONE);
    return rc == FLAMENCO_OK ? fl_worker_wake(call->cx, &row->uuid) : rc;
}

int32_t fl_delete_worker(fl_call *call, const api_delete_worker_in *in)
{
    flamenco_worker row;
    int32_t rc = get_worker(call, in->worker_id, &row);
    if (rc == FLAMENCO_OK)
        rc = flamenco_state_machine_worker_return_tasks(&call->f->state_machine, &call->cx->pub, &row,
                                                        FL_STR("the worker is being deleted"), call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_worker_delete(&call->f->persist, &call->cx->pub, row.key, call->err);
    row.deleted_us = call->cx->pub.now_us;
    if (rc == FLAMENCO_OK)
        rc = tell(call, &row);
    return rc == FLAMENCO_OK ? api_delete_worker_204(&call->reply) : rc;
}

int32_t fl_request_worker_status_change(fl_call *call, const api_request_worker_status_change_in *in)
{
    flamenco_worker row;
    uint32_t to = fl_from_api_worker_status(in->body.status);
    int32_t rc = get_worker(call, in->worker_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    if (to == FLAMENCO_WORKER_RESTART && !row.can_restart)
        return fl_call_refuse(call, 412, "worker %.*s cannot restart itself: it was not started with that ability",
                              FL_STR_ARGS(row.name));
    /* What it is already, it need not be asked for: an earlier request is taken back. */
    int asks = to != row.status;
    row.requested = asks ? to : FLAMENCO_WORKER_NONE;
    row.lazy = asks && in->body.is_lazy;
    row.updated_us = call->cx->pub.now_us;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_REQUEST,
                                      .row = &row };
    rc = flamenco_persist_worker_update(&call->f->persist, &call->cx->pub, row.key, &update, call->err);
    if (rc == FLAMENCO_OK)
        rc = tell(call, &row);
    return rc == FLAMENCO_OK ? api_request_worker_status_change_204(&call->reply) : rc;
}

/* ---- Tags ---------------------------------------------------------------------------------------------------------- */

/* A tag that exists, and whether the worker is to have it. */
typedef struct known_tag {
    flamenco_uuid uuid;
    int64_t key;
    int wanted;
} known_tag;

typedef struct known_tags {
    fl_arena *arena;
    known_tag *rows;
    size_t count, room;
    int no_memory;
} known_tags;

static int32_t keep_tag(void *ctx, const flamenco_tag *row)
{
    known_tags *tags = ctx;
    if (tags->count == tags->room) {
        size_t room = tags->room == 0 ? 64 : tags->room * 2;
        known_tag *rows = fl_arena_alloc(tags->arena, room * sizeof(*rows));
        tags->no_memory = rows == NULL;
        if (rows == NULL)
            return 1;
        if (tags->count > 0)
            memcpy(rows, tags->rows, tags->count * sizeof(*rows));
        tags->rows = rows;
        tags->room = room;
    }
    tags->rows[tags->count++] = (known_tag){ row->uuid, row->key, 0 };
    return 0;
}

static int compare_tags(const void *a, const void *b)
{
    const known_tag *x = a, *y = b;
    return memcmp(&x->uuid, &y->uuid, sizeof(x->uuid));
}

/* Marks the tags that the body names; unknown ones are passed over. All are read once: a list of 100 000 ids must not
 * cost as many look-ups. */
static int32_t mark_wanted(fl_call *call, api_text_array ids, known_tags *tags)
{
    int32_t rc = flamenco_persist_tags_list(&call->f->persist, &call->cx->pub, keep_tag, tags, call->err);
    if (rc == FLAMENCO_OK && tags->no_memory)
        rc = flamenco_fail(call->err, FLAMENCO_E_NOMEM, "no memory for the tags");
    if (rc == FLAMENCO_OK && tags->count > 0)
        qsort(tags->rows, tags->count, sizeof(tags->rows[0]), compare_tags);
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < ids.count; ++i) {
        known_tag wanted = { .key = 0 };
        rc = fl_call_uuid(call, "tag_ids: an entry", ids.ptr[i], &wanted.uuid);
        known_tag *found = NULL;
        if (rc == FLAMENCO_OK && tags->count > 0)
            found = bsearch(&wanted, tags->rows, tags->count, sizeof(wanted), compare_tags);
        if (found != NULL)
            found->wanted = 1;
    }
    return rc;
}

int32_t fl_set_worker_tags(fl_call *call, const api_set_worker_tags_in *in)
{
    flamenco_worker row;
    known_tags tags = { .arena = call->arena };
    int32_t rc = get_worker(call, in->worker_id, &row);
    if (rc == FLAMENCO_OK)
        rc = mark_wanted(call, in->body.tag_ids, &tags);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t *keys = fl_arena_alloc(call->arena, (tags.count + 1) * sizeof(*keys));
    uint64_t n = 0;
    if (keys == NULL)
        return flamenco_fail(call->err, FLAMENCO_E_NOMEM, "no memory for the tags");
    for (size_t i = 0; i < tags.count; ++i)
        if (tags.rows[i].wanted)
            keys[n++] = tags.rows[i].key;
    rc = flamenco_persist_worker_set_tags(&call->f->persist, &call->cx->pub, row.key, keys, n, call->err);
    if (rc == FLAMENCO_OK)
        rc = tell(call, &row);
    return rc == FLAMENCO_OK ? api_set_worker_tags_204(&call->reply) : rc;
}

/* ---- Sleep schedule ------------------------------------------------------------------------------------------------ */

int32_t fl_fetch_worker_sleep_schedule(fl_call *call, const api_fetch_worker_sleep_schedule_in *in)
{
    flamenco_uuid uuid;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    api_worker_sleep_schedule out = API_WORKER_SLEEP_SCHEDULE_INIT;
    uint32_t is_active = 0;
    int32_t rc = fl_call_uuid(call, "the worker id", in->worker_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    if (call->f->sleep_scheduler.table == NULL)
        return api_fetch_worker_sleep_schedule_204(&call->reply);
    rc = flamenco_persist_worker_get(&call->f->persist, &call->cx->pub, &uuid, &row, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_sleep_scheduler_get(&call->f->sleep_scheduler, &call->cx->pub, row.key, &is_active,
                                          &out.days_of_week, &out.start_time, &out.end_time, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_worker_sleep_schedule_204(&call->reply); /* also for an unknown worker */
    out.is_active = is_active != 0;
    return rc == FLAMENCO_OK ? api_fetch_worker_sleep_schedule_200(&call->reply, &out) : rc;
}

int32_t fl_set_worker_sleep_schedule(fl_call *call, const api_set_worker_sleep_schedule_in *in)
{
    flamenco_worker row;
    int32_t rc = get_worker(call, in->worker_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    if (call->f->sleep_scheduler.table == NULL)
        return fl_call_refuse(call, 503, "sleep schedules are switched off: plugin sleep_scheduler in manager.yaml");
    rc = flamenco_sleep_scheduler_set(&call->f->sleep_scheduler, &call->cx->pub, &row, in->body.is_active != 0,
                                      in->body.days_of_week, in->body.start_time, in->body.end_time, call->err);
    if (rc == FLAMENCO_E_INVALID)
        return fl_call_refuse(call, 400, "%s", call->err->text);
    return rc == FLAMENCO_OK ? api_set_worker_sleep_schedule_204(&call->reply) : rc;
}
