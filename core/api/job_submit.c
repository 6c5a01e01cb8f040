/* SPDX-License-Identifier: Apache-2.0
 *
 * job_submit.c - submission and its check (api-behaviour 7.5): variables and compilation on a worker thread, then the
 * storing, in steps when the job is large. Until the last step the job is hidden: nobody ever sees half of one.
 */
#include <limits.h>

#include "core/api/convert.h"
#include "core/api/handlers.h"
#include "core/api/job_rows.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/config/current.h"
#include "core/purge.h"

#define ONE_STEP_TASKS 1000u /* up to here a job is stored by a single step */
#define TASKS_PER_STEP FL_JOB_ROWS_BLOCK
#define DEPS_PER_STEP 2000u

/* The compiled job, made by prepare, read by the storing steps. All of it lives in the call's arena. */
typedef struct submission {
    fl_call *call;
    int64_t created_us;
    flamenco_compiled_job head;
    fl_job_rows tasks;
    flamenco_dep *deps;
    uint64_t n_deps;
} submission;

/* How far the storing has come: call->step.cursor. */
enum { CURSOR_JOB_KEY = 0, CURSOR_TASKS = 1, CURSOR_DEPS = 2 };

/* ---- Compilation --------------------------------------------------------------------------------------------------- */

static int copy_text(fl_call *call, flamenco_str *text)
{
    *text = fl_arena_copy(call->arena, *text);
    return text->ptr != NULL;
}

static int32_t take_head(void *ctx, const flamenco_compiled_job *job)
{
    submission *s = ctx;
    size_t size = job->struct_size < sizeof(s->head) ? job->struct_size : sizeof(s->head);
    memcpy(&s->head, job, size);
    s->deps = fl_arena_alloc(s->call->arena, (size_t)(s->head.n_deps + 1) * sizeof(*s->deps));
    if (fl_job_rows_init(&s->tasks, s->call->arena, s->head.n_tasks) != FLAMENCO_OK || s->deps == NULL ||
        !copy_text(s->call, &s->head.name) || !copy_text(s->call, &s->head.type) ||
        !copy_text(s->call, &s->head.settings) || !copy_text(s->call, &s->head.metadata) ||
        !copy_text(s->call, &s->head.worker_tag) || !copy_text(s->call, &s->head.shaman_checkout_id))
        return FLAMENCO_E_NOMEM;
    return FLAMENCO_OK;
}

static int32_t take_task(submission *s, const flamenco_compiled_task *compiled)
{
    if (s->tasks.n >= s->head.n_tasks || s->n_deps + compiled->n_deps > s->head.n_deps)
        return flamenco_fail(s->call->err, FLAMENCO_E_INTERNAL, "the compiler gave more tasks than it announced");
    flamenco_uuid uuid = compiled->uuid;
    if (fl_uuid_is_none(&uuid) && fl_uuid_make_v7(s->created_us, &uuid) != FLAMENCO_OK)
        return FLAMENCO_E_INTERNAL;
    int32_t rc = fl_job_rows_add(&s->tasks, compiled, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    for (uint64_t i = 0; i < compiled->n_deps; ++i)
        s->deps[s->n_deps++] = (flamenco_dep){ (uint32_t)s->tasks.n, compiled->deps[i] + 1 };
    return FLAMENCO_OK;
}

static int32_t take_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    int32_t rc = FLAMENCO_OK;
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < n; ++i)
        rc = take_task(ctx, (const flamenco_compiled_task *)(const void *)((const char *)rows + i * stride));
    return rc;
}

/* A free-form object of the body as JSON text, with placeholders for two-way paths. */
static int32_t object_text(fl_call *call, const fl_config_snapshot *config, const json_t *object, flamenco_str platform,
                           flamenco_str *out)
{
    fl_buf buf = { 0 };
    if (object == NULL) {
        *out = FL_STR("{}");
        return FLAMENCO_OK;
    }
    fl_json w = fl_json_begin(&buf);
    fl_json_in_write(&w, object);
    flamenco_str plain = buf.failed ? (flamenco_str){ NULL, 0 } : fl_arena_copy(call->arena, fl_buf_str(&buf));
    fl_buf_fini(&buf);
    if (plain.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    return fl_variables_replace_object(config->variables, call->arena, platform, plain, out);
}

/* Compiles into `sink`, or answers what is wrong with the job. Returns 0 in both cases, or an error. */
static int32_t compile(fl_call *call, const api_submitted_job *body, const flamenco_compile_sink *sink)
{
    flamenco_compile_request request = { .struct_size = (uint32_t)sizeof(request),
                                         .created_us = call->cx->pub.now_us,
                                         .type = body->type,
                                         .etag = body->type_etag,
                                         .name = body->name,
                                         .worker_tag = body->worker_tag };
    if (body->priority < INT32_MIN || body->priority > INT32_MAX)
        return fl_reply_error(&call->reply, 400, "/priority: %lld is out of range, %d to %d are allowed",
                              (long long)body->priority, INT32_MIN, INT32_MAX);
    request.priority = (int32_t)body->priority;
    if (body->storage != NULL)
        request.shaman_checkout_id = body->storage->shaman_checkout_id;
    if (body->type_etag.len == 0)
        fl_warn("api", "job \"%.*s\": submitted without type_etag, so its settings are taken as they are",
                FL_STR_ARGS(body->name));
    const fl_config_snapshot *config = fl_config_current(call->f->config);
    int32_t rc = object_text(call, config, body->settings, body->submitter_platform, &request.settings);
    if (rc == FLAMENCO_OK)
        rc = object_text(call, config, body->metadata, body->submitter_platform, &request.metadata);
    fl_config_unref(config);
    if (rc == FLAMENCO_OK)
        rc = flamenco_job_compiler_compile(&call->f->job_compiler, &call->cx->pub, &request, sink, call->err);
    if (rc == FLAMENCO_E_CONFLICT)
        return api_submit_job_412(&call->reply, "%s", call->err->text);
    if (rc == FLAMENCO_E_INVALID || rc == FLAMENCO_E_NOT_FOUND)
        return fl_reply_error(&call->reply, 400, "%s", call->err->text);
    return rc;
}

static int32_t ignore_head(void *ctx, const flamenco_compiled_job *job)
{
    (void)ctx;
    (void)job;
    return FLAMENCO_OK;
}

static int32_t ignore_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    (void)ctx;
    (void)rows;
    (void)stride;
    (void)n;
    return FLAMENCO_OK;
}

int32_t fl_prepare_submit_job_check(fl_call *call, const api_submit_job_check_in *in)
{
    flamenco_compile_sink sink = { .struct_size = (uint32_t)sizeof(sink), .job = ignore_head, .tasks = ignore_tasks };
    int32_t rc = compile(call, &in->body, &sink);
    if (rc == FLAMENCO_OK && call->reply.status == 0)
        rc = api_submit_job_check_204(&call->reply);
    return rc;
}

/* Never reached with success: prepare answers. */
int32_t fl_submit_job_check(fl_call *call, const api_submit_job_check_in *in)
{
    (void)in;
    return flamenco_fail(call->err, FLAMENCO_E_INTERNAL, "the check was not answered");
}

/* What earlier steps stored is invisible, but it takes room. */
static void give_up(fl_call *call)
{
    const submission *s = call->state;
    if (call->step.cursor[CURSOR_JOB_KEY] != 0)
        fl_purge_submission(call->f, &s->head.uuid);
}

int32_t fl_prepare_submit_job(fl_call *call, const api_submit_job_in *in)
{
    submission *s = fl_arena_alloc(call->arena, sizeof(*s));
    if (s == NULL)
        return FLAMENCO_E_NOMEM;
    s->call = call;
    s->created_us = call->cx->pub.now_us;
    flamenco_compile_sink sink = {
        .struct_size = (uint32_t)sizeof(sink), .ctx = s, .job = take_head, .tasks = take_tasks
    };
    int32_t rc = compile(call, &in->body, &sink);
    call->state = s;
    call->give_up = give_up;
    return rc;
}

/* ---- Storing ---------------------------------------------------------------------------------------------------------- */

static int32_t find_tag(fl_call *call, flamenco_str text, flamenco_tag *tag)
{
    flamenco_uuid uuid;
    memset(tag, 0, sizeof(*tag));
    tag->struct_size = (uint32_t)sizeof(*tag);
    if (text.len == 0)
        return FLAMENCO_OK;
    int32_t rc = fl_call_uuid(call, "worker_tag", text, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = flamenco_persist_tag_get(&call->f->persist, &call->cx->pub, &uuid, tag, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 400, "/worker_tag: there is no worker tag %.*s", FL_STR_ARGS(text));
    return rc;
}

static int32_t insert_job(fl_call *call, const submission *s, const api_submitted_job *body)
{
    flamenco_tag tag;
    int64_t key = 0;
    int32_t rc = find_tag(call, s->head.worker_tag, &tag);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t status = body->initial_status != API_JOB_STATUS_NONE ? fl_from_api_job_status(body->initial_status)
                                                                  : FLAMENCO_JOB_QUEUED;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row),
                         .status = status,
                         .uuid = s->head.uuid,
                         .priority = s->head.priority,
                         .tag_key = tag.key,
                         .created_us = call->cx->pub.now_us,
                         .updated_us = call->cx->pub.now_us,
                         .delete_requested_us = FLAMENCO_TIME_NONE,
                         .name = s->head.name,
                         .type = s->head.type,
                         .settings = s->head.settings,
                         .metadata = s->head.metadata,
                         .shaman_checkout_id = s->head.shaman_checkout_id,
                         .submitter_platform = body->submitter_platform };
    rc = flamenco_persist_job_insert_hidden(&call->f->persist, &call->cx->pub, &row, s->tasks.n, &key, call->err);
    if (rc == FLAMENCO_E_EXISTS)
        return fl_call_refuse(call, 409, "a job with the UUID that the script chose exists already");
    if (rc == FLAMENCO_OK)
        call->step.cursor[CURSOR_JOB_KEY] = (uint64_t)key;
    return rc;
}

/* Stores the next chunk. *done is set when all is stored. */
static int32_t insert_rows(fl_call *call, submission *s, uint64_t tasks_at_most, uint64_t deps_at_most, int *done)
{
    uint64_t *cursor = call->step.cursor;
    int64_t key = (int64_t)cursor[CURSOR_JOB_KEY];
    uint64_t n = s->tasks.n - cursor[CURSOR_TASKS];
    int32_t rc = FLAMENCO_OK;
    *done = 0;
    if (n > 0) {
        n = n < tasks_at_most ? n : tasks_at_most;
        const flamenco_new_task *rows = fl_job_rows_get(&s->tasks, cursor[CURSOR_TASKS], n, s->created_us);
        if (rows == NULL)
            return FLAMENCO_E_NOMEM;
        rc = flamenco_persist_tasks_insert(&call->f->persist, &call->cx->pub, key, (uint32_t)cursor[CURSOR_TASKS] + 1,
                                           rows, sizeof(*rows), n, call->err);
        cursor[CURSOR_TASKS] += n;
        if (rc != FLAMENCO_OK || cursor[CURSOR_TASKS] < s->tasks.n || s->tasks.n > ONE_STEP_TASKS)
            return rc;
    }
    n = s->n_deps - cursor[CURSOR_DEPS];
    n = n < deps_at_most ? n : deps_at_most;
    if (n > 0)
        rc = flamenco_persist_deps_insert(&call->f->persist, &call->cx->pub, key, s->deps + cursor[CURSOR_DEPS], n,
                                          call->err);
    cursor[CURSOR_DEPS] += n;
    *done = cursor[CURSOR_DEPS] == s->n_deps;
    return rc;
}

static int32_t show_job(fl_call *call, int64_t key)
{
    const flamenco_host *host = call->cx->pub.host;
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_job_show(&call->f->persist, &call->cx->pub, key, &counts, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get_key(&call->f->persist, &call->cx->pub, key, &row, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_job_event event = { .struct_size = (uint32_t)sizeof(event),
                                 .previous_status = FLAMENCO_PREVIOUS_NONE,
                                 .row = &row };
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake),
                           .what = FLAMENCO_WAKE_TASKS,
                           .count = counts.made_runnable,
                           .task_type = counts.runnable_type };
    rc = host->emit_job(&call->cx->pub, &event);
    if (rc == FLAMENCO_OK)
        rc = host->wake(&call->cx->pub, &wake);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_uuid_texts texts;
    api_job_storage_info storage;
    api_job job;
    fl_to_api_job(&row, &texts, &storage, &job);
    return api_submit_job_200(&call->reply, &job);
}

static int32_t store(fl_call *call, submission *s, const api_submitted_job *body)
{
    int small = s->tasks.n <= ONE_STEP_TASKS && s->n_deps <= DEPS_PER_STEP;
    int done = 0;
    int32_t rc = FLAMENCO_OK;
    if (call->step.cursor[CURSOR_JOB_KEY] == 0)
        rc = insert_job(call, s, body);
    if (rc == FLAMENCO_OK)
        rc = insert_rows(call, s, small ? s->tasks.n : TASKS_PER_STEP, small ? s->n_deps : DEPS_PER_STEP, &done);
    if (rc != FLAMENCO_OK)
        return rc;
    return done ? show_job(call, (int64_t)call->step.cursor[CURSOR_JOB_KEY]) : FLAMENCO_AGAIN;
}

int32_t fl_submit_job(fl_call *call, const api_submit_job_in *in)
{
    return store(call, call->state, &in->body);
}
