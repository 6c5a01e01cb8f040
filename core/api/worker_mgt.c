/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_mgt.c - the operations on Workers for people (api-behaviour 7.4).
 */
#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/page.h"
#include "core/base/str.h"

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
    flamenco_uuid uuid;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = fl_call_uuid(call, "the worker id", in->worker_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = flamenco_persist_worker_get(&call->f->persist, &call->cx->pub, &uuid, &row, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no worker %.*s", FL_STR_ARGS(in->worker_id));
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
