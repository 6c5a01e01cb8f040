/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - the operations on stored jobs (api-behaviour 7.6). Submission stands in job_submit.c.
 */
#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/page.h"
#include "core/api/worker_events.h"
#include "core/base/str.h"
#include "core/base/uuid.h"

int32_t fl_call_job(fl_call *call, flamenco_str job_id, flamenco_job *out)
{
    flamenco_uuid uuid;
    int32_t rc = fl_call_uuid(call, "the job id", job_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    memset(out, 0, sizeof(*out));
    out->struct_size = (uint32_t)sizeof(*out);
    rc = flamenco_persist_job_get(&call->f->persist, &call->cx->pub, &uuid, out, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no job %.*s", FL_STR_ARGS(job_id));
    return rc;
}

int32_t fl_call_emit_job(fl_call *call, const flamenco_job *job)
{
    flamenco_job_event event = { .struct_size = (uint32_t)sizeof(event),
                                 .previous_status = FLAMENCO_PREVIOUS_NONE,
                                 .row = job };
    return call->cx->pub.host->emit_job(&call->cx->pub, &event);
}

static int32_t wake_tasks(fl_call *call, uint64_t count)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = count };
    return call->cx->pub.host->wake(&call->cx->pub, &wake);
}

static int32_t write_job(void *ctx, const flamenco_job *row)
{
    fl_uuid_texts texts;
    api_job_storage_info storage;
    api_job job;
    fl_to_api_job(row, &texts, &storage, &job);
    api_write_job(ctx, &job);
    return 0;
}

int32_t fl_fetch_jobs(fl_call *call, const api_fetch_jobs_in *in)
{
    flamenco_page page = fl_page_jobs(in);
    uint64_t total = 0;
    fl_json *w = fl_reply_json_begin(&call->reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "jobs");
    fl_json_array_begin(w);
    int partial = fl_page_is_partial(&page);
    int32_t rc = flamenco_persist_jobs_list(&call->f->persist, &call->cx->pub, &page, write_job, w,
                                            partial ? &total : NULL, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_json_array_end(w);
    fl_json_object_end(w);
    if (partial)
        fl_page_add_total(call, total);
    return fl_reply_json_end(&call->reply);
}

int32_t fl_fetch_job(fl_call *call, const api_fetch_job_in *in)
{
    flamenco_job row;
    fl_uuid_texts texts;
    api_job_storage_info storage;
    api_job job;
    int32_t rc = fl_call_job(call, in->job_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_to_api_job(&row, &texts, &storage, &job);
    return api_fetch_job_200(&call->reply, &job);
}

/* After `requeueing` was asked for: everybody gets another chance (state-and-scheduling 3.1). */
static int32_t clear_lists(fl_call *call, int64_t job_key)
{
    flamenco_persistence_ref *persist = &call->f->persist;
    int32_t rc = flamenco_persist_failures_clear_job(persist, &call->cx->pub, job_key, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_blocklist_clear(persist, &call->cx->pub, job_key, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    rc = flamenco_persist_job_counts(persist, &call->cx->pub, job_key, &counts, call->err);
    if (rc == FLAMENCO_OK)
        rc = wake_tasks(call, counts.counts[FLAMENCO_TASK_QUEUED] + counts.counts[FLAMENCO_TASK_SOFT_FAILED]);
    return rc;
}

/* cursor[0]: the key of the job whose change is under way; 0 in the first run. */
int32_t fl_set_job_status(fl_call *call, const api_set_job_status_in *in)
{
    uint32_t to = fl_from_api_job_status(in->body.status);
    uint64_t *key = &call->step.cursor[0];
    int32_t rc;
    if (*key == 0) {
        flamenco_job job;
        uint32_t pending = 0;
        rc = fl_call_job(call, in->job_id, &job);
        if (rc != FLAMENCO_OK)
            return rc;
        *key = (uint64_t)job.key;
        rc = flamenco_state_machine_job_set_status(&call->f->state_machine, &call->cx->pub, &job, to, in->body.reason,
                                                   &pending, call->err);
        if (rc == FLAMENCO_OK && pending)
            return FLAMENCO_AGAIN;
    } else {
        rc = flamenco_state_machine_job_advance(&call->f->state_machine, &call->cx->pub, (int64_t)*key, call->err);
    }
    if (rc != FLAMENCO_OK)
        return rc;
    if (to == FLAMENCO_JOB_REQUEUEING)
        rc = clear_lists(call, (int64_t)*key);
    return rc == FLAMENCO_OK ? api_set_job_status_204(&call->reply) : rc;
}

int32_t fl_set_job_priority(fl_call *call, const api_set_job_priority_in *in)
{
    flamenco_job job;
    int32_t rc = fl_call_job(call, in->job_id, &job);
    if (rc != FLAMENCO_OK)
        return rc;
    job.priority = (int32_t)in->body.priority;
    job.updated_us = call->cx->pub.now_us;
    rc = flamenco_persist_job_set_priority(&call->f->persist, &call->cx->pub, job.key, job.priority, call->err);
    if (rc == FLAMENCO_OK)
        rc = fl_call_emit_job(call, &job);
    return rc == FLAMENCO_OK ? api_set_job_priority_204(&call->reply) : rc;
}

/* ---- Tag ------------------------------------------------------------------------------------------------------------ */

/* Reads the tag that the body names; out->key stays 0 when it names none. */
static int32_t find_tag(fl_call *call, const api_job_tag_change *body, flamenco_tag *out)
{
    flamenco_persistence_ref *persist = &call->f->persist;
    flamenco_str name = body->has_id ? body->id : body->name;
    int32_t rc = FLAMENCO_E_NOT_FOUND;
    if (!body->has_id && !body->has_name)
        return FLAMENCO_OK;
    if (!body->has_id) {
        rc = flamenco_persist_tag_get_name(persist, &call->cx->pub, body->name, out, call->err);
    } else if (body->id.len > 0) {
        flamenco_uuid uuid;
        rc = fl_call_uuid(call, "id", body->id, &uuid);
        if (rc != FLAMENCO_OK)
            return rc;
        rc = flamenco_persist_tag_get(persist, &call->cx->pub, &uuid, out, call->err);
    }
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 406, "there is no tag \"%.*s\"", FL_STR_ARGS(name));
    return rc;
}

int32_t fl_set_job_tag(fl_call *call, const api_set_job_tag_in *in)
{
    flamenco_job job;
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag) };
    int32_t rc = fl_call_job(call, in->job_id, &job);
    if (rc == FLAMENCO_OK)
        rc = find_tag(call, &in->body, &tag);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = flamenco_persist_job_set_tag(&call->f->persist, &call->cx->pub, job.key, tag.key, call->err);
    job.tag_key = tag.key;
    job.tag_uuid = tag.uuid;
    job.updated_us = call->cx->pub.now_us;
    if (rc == FLAMENCO_OK)
        rc = fl_call_emit_job(call, &job);
    /* Other workers may run its tasks now. */
    if (rc == FLAMENCO_OK && (job.status == FLAMENCO_JOB_ACTIVE || job.status == FLAMENCO_JOB_QUEUED))
        rc = wake_tasks(call, job.counts[FLAMENCO_TASK_QUEUED] + job.counts[FLAMENCO_TASK_SOFT_FAILED]);
    return rc == FLAMENCO_OK ? api_set_job_tag_204(&call->reply) : rc;
}

/* ---- Blocklist ------------------------------------------------------------------------------------------------------ */

#define BLOCKLIST_ENTRIES_PER_STEP 200u

static int32_t write_blocklist_entry(void *ctx, const flamenco_blocklist_entry *row)
{
    char id[37];
    fl_uuid_format(&row->worker_uuid, id);
    api_job_blocklist_entry entry = { .worker_id = { id, 36 },
                                      .task_type = row->task_type,
                                      .worker_name = row->worker_name };
    api_write_job_blocklist_entry(ctx, &entry);
    return 0;
}

int32_t fl_fetch_job_blocklist(fl_call *call, const api_fetch_job_blocklist_in *in)
{
    flamenco_uuid uuid;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = fl_call_uuid(call, "the job id", in->job_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_json *w = fl_reply_json_begin(&call->reply, 200);
    fl_json_array_begin(w);
    rc = flamenco_persist_job_get(&call->f->persist, &call->cx->pub, &uuid, &job, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_blocklist_list(&call->f->persist, &call->cx->pub, job.key, write_blocklist_entry, w,
                                             call->err);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    fl_json_array_end(w);
    return fl_reply_json_end(&call->reply);
}

/* Answers 400 when there is nothing to remove, or an id is none; before anything is removed. */
static int32_t check_blocklist(fl_call *call, const api_job_blocklist_entry_array *entries)
{
    flamenco_uuid uuid;
    int32_t rc = FLAMENCO_OK;
    if (entries->count == 0)
        return fl_call_refuse(call, 400, "the list of entries to remove is empty");
    for (uint64_t i = 0; i < entries->count && rc == FLAMENCO_OK; ++i)
        rc = fl_call_uuid(call, "worker_id", entries->ptr[i].worker_id, &uuid);
    return rc;
}

/* The worker alone may run more than before, so nobody else's request is tried again. */
static int32_t remove_entry(fl_call *call, int64_t job_key, const api_job_blocklist_entry *entry)
{
    flamenco_uuid worker;
    uint64_t made_runnable = 0;
    int32_t rc = fl_uuid_parse(entry->worker_id, &worker);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_blocklist_remove(&call->f->persist, &call->cx->pub, job_key, &worker, entry->task_type,
                                               &made_runnable, call->err);
    if (rc == FLAMENCO_OK && made_runnable > 0)
        rc = fl_worker_wake(call->cx, &worker);
    return rc;
}

/* cursor[0]: how many entries are done. */
int32_t fl_remove_job_blocklist(fl_call *call, const api_remove_job_blocklist_in *in)
{
    flamenco_uuid uuid;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    uint64_t *done = &call->step.cursor[0];
    int32_t rc = fl_call_uuid(call, "the job id", in->job_id, &uuid);
    if (rc == FLAMENCO_OK && *done == 0)
        rc = check_blocklist(call, &in->body);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get(&call->f->persist, &call->cx->pub, &uuid, &job, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_remove_job_blocklist_204(&call->reply); /* it has no entries, then */
    uint64_t end =
        in->body.count - *done > BLOCKLIST_ENTRIES_PER_STEP ? *done + BLOCKLIST_ENTRIES_PER_STEP : in->body.count;
    for (; rc == FLAMENCO_OK && *done < end; ++*done)
        rc = remove_entry(call, job.key, &in->body.ptr[*done]);
    if (rc != FLAMENCO_OK)
        return rc;
    return *done < in->body.count ? FLAMENCO_AGAIN : api_remove_job_blocklist_204(&call->reply);
}

/* ---- Tasks ---------------------------------------------------------------------------------------------------------- */

typedef struct task_list {
    struct flamenco *f;
    fl_json *w;
} task_list;

static int32_t write_task(void *ctx, const flamenco_task *row)
{
    task_list *list = ctx;
    fl_uuid_texts texts;
    api_task_summary task;
    fl_to_api_task_summary(list->f, row, &texts, &task);
    api_write_task_summary(list->w, &task);
    return 0;
}

int32_t fl_fetch_job_tasks(fl_call *call, const api_fetch_job_tasks_in *in)
{
    flamenco_uuid uuid;
    flamenco_page page = fl_page_tasks(in);
    uint64_t total = 0;
    int32_t rc = fl_call_uuid(call, "the job id", in->job_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    task_list list = { call->f, fl_reply_json_begin(&call->reply, 200) };
    fl_json_object_begin(list.w);
    fl_json_key(list.w, "tasks");
    fl_json_array_begin(list.w);
    int partial = fl_page_is_partial(&page);
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    rc = flamenco_persist_job_get(&call->f->persist, &call->cx->pub, &uuid, &job, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_tasks_list(&call->f->persist, &call->cx->pub, job.key, &page, write_task, &list,
                                         partial ? &total : NULL, call->err);
    if (rc != FLAMENCO_OK && rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    fl_json_array_end(list.w);
    fl_json_object_end(list.w);
    if (partial)
        fl_page_add_total(call, total);
    return fl_reply_json_end(&call->reply);
}
