/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler_test.c - the service "flamenco.job_compiler/1" for the fault tests: one job type, "frames", compiled within the
 * process, so that nothing but the manager itself can be to blame when a submission fails.
 *
 * Settings of a job: "frames": "1-N" makes N tasks; "task_type": their type, "misc" unless given; "chain": true lets each
 * depend on the one before it.
 */
#include <jansson.h>
#include <stdlib.h>

#include "flamenco/job_compiler.h"

#define TYPE_NAME "frames"
#define TASKS_MAX 1000000
#define ROWS_AT_ONCE 256u

static const char etag[] = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed";
static const char type_json[] =
    "{\"description\":\"Tasks for tests\",\"etag\":\"5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed\",\"label\":\"Frames\","
    "\"name\":\"" TYPE_NAME "\",\"settings\":[{\"key\":\"frames\",\"type\":\"string\",\"required\":true}]}";
static const char commands[] = "[{\"name\":\"echo\",\"parameters\":{\"message\":\"frame\"},\"total_step_count\":10}]";

typedef struct compiler {
    const flamenco_host *host;
} compiler;

/* What a job asks for. */
typedef struct wishes {
    uint64_t n_tasks;
    char task_type[64];
    int chain;
} wishes;

static int32_t give_type(flamenco_visit_job_type visit, void *ctx)
{
    const flamenco_job_type type = { .struct_size = (uint32_t)sizeof(type),
                                     .name = flamenco_text(TYPE_NAME),
                                     .etag = flamenco_text(etag),
                                     .json = flamenco_text(type_json) };
    (void)visit(ctx, &type);
    return FLAMENCO_OK;
}

static int32_t list(void *self, flamenco_cx *cx, flamenco_visit_job_type visit, void *ctx, flamenco_error *err)
{
    (void)self;
    (void)cx;
    (void)err;
    return give_type(visit, ctx);
}

static int32_t get(void *self, flamenco_cx *cx, flamenco_str name, flamenco_visit_job_type visit, void *ctx,
                   flamenco_error *err)
{
    (void)self;
    (void)cx;
    if (!flamenco_str_equal(name, flamenco_text(TYPE_NAME)))
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "job type unknown: %.*s", (int)name.len, name.ptr);
    return give_type(visit, ctx);
}

/* Reads "1-N". Returns N, or 0. */
static uint64_t read_frames(const char *text)
{
    char *end = NULL;
    if (text == NULL || strncmp(text, "1-", 2) != 0)
        return 0;
    unsigned long long n = strtoull(text + 2, &end, 10);
    return *end == '\0' && n <= TASKS_MAX ? n : 0;
}

static int32_t read_wishes(flamenco_str settings, wishes *out, flamenco_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(settings.ptr, (size_t)settings.len, 0, &where);
    const char *type = json_string_value(json_object_get(root, "task_type"));
    out->n_tasks = read_frames(json_string_value(json_object_get(root, "frames")));
    out->chain = json_is_true(json_object_get(root, "chain"));
    (void)snprintf(out->task_type, sizeof(out->task_type), "%s", type != NULL ? type : "misc");
    json_decref(root);
    if (out->n_tasks == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "settings.frames must be \"1-N\"");
    return FLAMENCO_OK;
}

static int32_t give_job(const compiler *self, const flamenco_compile_request *request, const wishes *wanted,
                        const flamenco_compile_sink *sink, flamenco_error *err)
{
    static const flamenco_uuid none;
    flamenco_compiled_job job = { .struct_size = (uint32_t)sizeof(job),
                                  .priority = request->priority,
                                  .uuid = request->uuid,
                                  .name = request->name,
                                  .type = request->type,
                                  .settings = request->settings,
                                  .metadata = request->metadata.len > 0 ? request->metadata : flamenco_text("{}"),
                                  .worker_tag = request->worker_tag,
                                  .shaman_checkout_id = request->shaman_checkout_id,
                                  .n_tasks = wanted->n_tasks,
                                  .n_deps = wanted->chain ? wanted->n_tasks - 1 : 0,
                                  .steps_total = (int64_t)wanted->n_tasks * 10 };
    int32_t rc = FLAMENCO_OK;
    if (memcmp(&job.uuid, &none, sizeof(none)) == 0)
        rc = self->host->uuid_make(self->host->h, 4, &job.uuid);
    if (rc != FLAMENCO_OK)
        return flamenco_fail(err, rc, "no UUID can be made");
    return sink->job(sink->ctx, &job);
}

static int32_t give_tasks(const wishes *wanted, const flamenco_compile_sink *sink)
{
    flamenco_compiled_task rows[ROWS_AT_ONCE];
    char names[ROWS_AT_ONCE][32];
    uint32_t before[ROWS_AT_ONCE];
    int32_t rc = FLAMENCO_OK;
    for (uint64_t done = 0; rc == FLAMENCO_OK && done < wanted->n_tasks;) {
        uint64_t n = wanted->n_tasks - done < ROWS_AT_ONCE ? wanted->n_tasks - done : ROWS_AT_ONCE;
        for (uint64_t i = 0; i < n; ++i) {
            (void)snprintf(names[i], sizeof(names[i]), "frame-%llu", (unsigned long long)(done + i + 1));
            before[i] = (uint32_t)(done + i - 1);
            rows[i] = (flamenco_compiled_task){ .struct_size = (uint32_t)sizeof(rows[i]),
                                                .priority = 50,
                                                .name = flamenco_text(names[i]),
                                                .type = flamenco_text(wanted->task_type),
                                                .commands = flamenco_text(commands),
                                                .steps_total = 10,
                                                .deps = &before[i],
                                                .n_deps = wanted->chain && done + i > 0 ? 1 : 0 };
        }
        rc = sink->tasks(sink->ctx, rows, sizeof(rows[0]), n);
        done += n;
    }
    return rc;
}

static int32_t compile(void *self, flamenco_cx *cx, const flamenco_compile_request *request,
                       const flamenco_compile_sink *sink, flamenco_error *err)
{
    wishes wanted = { 0 };
    (void)cx;
    if (!flamenco_str_equal(request->type, flamenco_text(TYPE_NAME)))
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "job type unknown: %.*s", (int)request->type.len,
                             request->type.ptr);
    if (request->etag.len > 0 && !flamenco_str_equal(request->etag, flamenco_text(etag)))
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "the job type has changed");
    int32_t rc = read_wishes(request->settings, &wanted, err);
    if (rc == FLAMENCO_OK)
        rc = give_job(self, request, &wanted, sink, err);
    return rc == FLAMENCO_OK ? give_tasks(&wanted, sink) : rc;
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    compiler *self = host->alloc(host->h, sizeof(*self));
    if (self == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the compiler");
    self->host = host;
    *self_out = self;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    (void)self;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    compiler *compiler_self = self;
    if (compiler_self != NULL)
        compiler_self->host->free(compiler_self->host->h, compiler_self);
}

static const flamenco_job_compiler table = {
    .struct_size = (uint32_t)sizeof(flamenco_job_compiler), .list = list, .get = get, .compile = compile
};

static const flamenco_provide compiler_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_JOB_COMPILER,
                                                   &table };
static const flamenco_provide *const provides[] = { &compiler_provide, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "compiler-test", .version = "0.1.0",     .licence = "Apache-2.0",
    .provides = provides, .create = create,      .configure = configure, .start = start,
    .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
