/* SPDX-License-Identifier: Apache-2.0
 *
 * assembly.c - see assembly.h.
 */
#include "assembly.h"

#include "jscheck.h"

#include <inttypes.h>
#include <stdlib.h>

static int32_t refuse_frame(flamenco_error *err, const char *what)
{
    return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the script engine sent %s", what);
}

static int32_t sink_failed(flamenco_error *err, int32_t code)
{
    return flamenco_fail(err, code, "the compiled job could not be taken");
}

static int name_width(flamenco_str name)
{
    return (int)(name.len < 80 ? name.len : 80);
}

static int32_t make_room(fl_assembly *assembly, flamenco_error *err)
{
    assembly->first = calloc((size_t)assembly->n_tasks + 1, sizeof(*assembly->first));
    assembly->marked = calloc((size_t)assembly->n_tasks + 1, sizeof(*assembly->marked));
    if (assembly->first == NULL || assembly->marked == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for %" PRIu64 " tasks", assembly->n_tasks);
    return FLAMENCO_OK;
}

int32_t fl_assembly_job(fl_assembly *assembly, fl_wire_in *in, flamenco_error *err)
{
    flamenco_compiled_job job = { 0 };
    job.struct_size = (uint32_t)sizeof(job);
    flamenco_str uuid = fl_wire_get_str(in);
    job.priority = (int32_t)fl_wire_get_u32(in);
    job.name = fl_wire_get_str(in);
    job.type = fl_wire_get_str(in);
    job.settings = fl_wire_get_str(in);
    job.metadata = fl_wire_get_str(in);
    job.worker_tag = fl_wire_get_str(in);
    job.shaman_checkout_id = fl_wire_get_str(in);
    job.n_tasks = fl_wire_get_u64(in);
    job.n_deps = fl_wire_get_u64(in);
    job.steps_total = (int64_t)fl_wire_get_u64(in);
    if (!fl_wire_done(in) || assembly->has_job)
        return refuse_frame(err, "a broken job");
    if (!fl_jscheck_utf8(job.name) || !fl_jscheck_utf8(job.type) || !fl_jscheck_utf8(job.worker_tag) ||
        !fl_jscheck_utf8(job.shaman_checkout_id) || !fl_jscheck_json(job.settings, FL_JSCHECK_OBJECT, 1) ||
        !fl_jscheck_json(job.metadata, FL_JSCHECK_OBJECT, 1))
        return refuse_frame(err, "a job that cannot be stored");
    if (job.n_tasks > assembly->tasks_max)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the job has %" PRIu64 " tasks; at most %" PRIu64 " are allowed",
                             job.n_tasks, assembly->tasks_max);
    if (job.steps_total < 0 || (job.n_tasks == 0 && job.n_deps > 0))
        return refuse_frame(err, "a job with wrong counts");
    if (assembly->host->uuid_parse(uuid, &job.uuid) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "job.jobID is '%.*s', which is not a UUID", name_width(uuid),
                             uuid.ptr);
    assembly->has_job = 1;
    assembly->n_tasks = job.n_tasks;
    assembly->n_deps = job.n_deps;
    assembly->steps_total = job.steps_total;
    int32_t rc = make_room(assembly, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = assembly->sink->job(assembly->sink->ctx, &job);
    return rc < 0 ? sink_failed(err, rc) : FLAMENCO_OK;
}

static int32_t reserve_deps(fl_assembly *assembly, uint64_t n, flamenco_error *err)
{
    if (n > assembly->n_deps - assembly->deps)
        return refuse_frame(err, "more dependencies than announced");
    size_t wanted = (size_t)(assembly->deps + n);
    if (wanted <= assembly->all_cap)
        return FLAMENCO_OK;
    size_t cap = assembly->all_cap != 0 ? assembly->all_cap : 256;
    while (cap < wanted)
        cap *= 2;
    uint32_t *all = realloc(assembly->all, cap * sizeof(*all));
    if (all == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for %zu dependencies", wanted);
    assembly->all = all;
    assembly->all_cap = cap;
    return FLAMENCO_OK;
}

/* Copies a task's dependencies behind the others, since the frame's are not aligned, and checks them. */
static int32_t take_deps(fl_assembly *assembly, flamenco_compiled_task *task, const uint8_t *bytes, flamenco_error *err)
{
    int32_t rc = reserve_deps(assembly, task->n_deps, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t *deps = task->n_deps > 0 ? assembly->all + assembly->deps : NULL; /* without any, there may be no list */
    uint64_t self = assembly->tasks;
    if (task->n_deps > 0)
        memcpy(deps, bytes, (size_t)task->n_deps * sizeof(*deps));
    for (uint64_t i = 0; i < task->n_deps; i++) {
        if (deps[i] >= assembly->n_tasks)
            return refuse_frame(err, "a dependency on no task");
        if (deps[i] == self)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "task '%.*s' depends on itself", name_width(task->name),
                                 task->name.ptr);
        if (assembly->marked[deps[i]] == self + 1)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "task '%.*s' depends twice on the same task (number %u)",
                                 name_width(task->name), task->name.ptr, deps[i] + 1);
        assembly->marked[deps[i]] = (uint32_t)self + 1;
        assembly->forward |= deps[i] > self;
    }
    assembly->first[self] = assembly->deps;
    assembly->deps += task->n_deps;
    return FLAMENCO_OK;
}

int32_t fl_assembly_task(fl_assembly *assembly, fl_wire_in *in, flamenco_error *err)
{
    if (assembly->n_rows == FL_ASSEMBLY_ROWS) {
        int32_t rc = fl_assembly_flush(assembly, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    flamenco_compiled_task *task = &assembly->rows[assembly->n_rows];
    memset(task, 0, sizeof(*task));
    task->struct_size = (uint32_t)sizeof(*task);
    flamenco_str uuid = fl_wire_get_str(in);
    task->priority = (int32_t)fl_wire_get_u32(in);
    task->steps_total = (int64_t)fl_wire_get_u64(in);
    task->name = fl_wire_get_str(in);
    task->type = fl_wire_get_str(in);
    task->commands = fl_wire_get_str(in);
    task->n_deps = fl_wire_get_u32(in);
    const uint8_t *deps = fl_wire_get_bytes(in, (size_t)task->n_deps * sizeof(uint32_t));
    if (!fl_wire_done(in) || !assembly->has_job || assembly->tasks == assembly->n_tasks)
        return refuse_frame(err, "a broken task");
    int none = flamenco_str_equal(task->commands, flamenco_text("null"));
    if (!fl_jscheck_utf8(task->name) || !fl_jscheck_utf8(task->type) || task->steps_total < 0 ||
        (!none && !fl_jscheck_json(task->commands, FL_JSCHECK_ARRAY, 1)))
        return refuse_frame(err, "a task that cannot be stored");
    if (uuid.len > 0 && assembly->host->uuid_parse(uuid, &task->uuid) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "uUID of task '%.*s' is '%.*s', which is not a UUID",
                             name_width(task->name), task->name.ptr, name_width(uuid), uuid.ptr);
    size_t offset = (size_t)assembly->deps;
    int32_t rc = take_deps(assembly, task, deps, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (__builtin_add_overflow(assembly->steps, task->steps_total, &assembly->steps))
        return refuse_frame(err, "too many steps");
    assembly->offsets[assembly->n_rows++] = offset;
    assembly->tasks++;
    return FLAMENCO_OK;
}

int32_t fl_assembly_flush(fl_assembly *assembly, flamenco_error *err)
{
    size_t n = assembly->n_rows;
    if (n == 0)
        return FLAMENCO_OK;
    for (size_t i = 0; i < n; i++)
        assembly->rows[i].deps = assembly->rows[i].n_deps > 0 ? assembly->all + assembly->offsets[i] : NULL;
    assembly->n_rows = 0;
    int32_t rc = assembly->sink->tasks(assembly->sink->ctx, assembly->rows, sizeof(assembly->rows[0]), n);
    return rc < 0 ? sink_failed(err, rc) : FLAMENCO_OK;
}

/* Takes away, again and again, tasks that depend on nothing that is left. Whatever cannot be taken is in a circle, or waits
 * for one. */
static int32_t find_circle(fl_assembly *assembly, flamenco_error *err)
{
    size_t n = (size_t)assembly->n_tasks;
    uint64_t *at = calloc(n + 1, sizeof(*at)); /* where a task's dependants begin in `users` */
    uint32_t *users = calloc((size_t)assembly->deps + 1, sizeof(*users));
    uint32_t *open = calloc(n + 1, sizeof(*open));
    uint32_t *queue = calloc(n + 1, sizeof(*queue));
    int32_t rc = FLAMENCO_OK;
    size_t head = 0;
    size_t tail = 0;
    if (at == NULL || users == NULL || open == NULL || queue == NULL) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for %zu tasks", n);
        goto cleanup;
    }
    assembly->first[n] = assembly->deps;
    for (uint64_t i = 0; i < assembly->deps; i++)
        at[assembly->all[i] + 1]++;
    for (size_t i = 0; i < n; i++)
        at[i + 1] += at[i];
    /* Filled from the back of each task's share, so that at[] ends as the beginning of it. */
    for (size_t i = n; i-- > 0;) {
        open[i] = (uint32_t)(assembly->first[i + 1] - assembly->first[i]);
        for (uint64_t k = assembly->first[i]; k < assembly->first[i + 1]; k++)
            users[--at[assembly->all[k] + 1]] = (uint32_t)i;
    }
    for (size_t i = 0; i < n; i++) {
        if (open[i] == 0)
            queue[tail++] = (uint32_t)i;
    }
    while (head < tail) {
        uint32_t task = queue[head++];
        uint64_t end = task + 1 < n ? at[task + 2] : assembly->deps;
        for (uint64_t k = at[task + 1]; k < end; k++) {
            if (--open[users[k]] == 0)
                queue[tail++] = users[k];
        }
    }
    for (size_t i = 0; tail < n && i < n; i++) {
        if (open[i] > 0) {
            rc = flamenco_fail(err, FLAMENCO_E_INVALID,
                               "the dependencies of %zu tasks go in a circle (one is number %zu)", n - tail, i + 1);
            break;
        }
    }
cleanup:
    free(at);
    free(users);
    free(open);
    free(queue);
    return rc;
}

int32_t fl_assembly_finish(fl_assembly *assembly, flamenco_error *err)
{
    int32_t rc = fl_assembly_flush(assembly, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (!assembly->has_job || assembly->tasks != assembly->n_tasks || assembly->deps != assembly->n_deps ||
        assembly->steps != assembly->steps_total)
        return refuse_frame(err, "another number of tasks than announced");
    return assembly->forward ? find_circle(assembly, err) : FLAMENCO_OK;
}

void fl_assembly_free(fl_assembly *assembly)
{
    free(assembly->all);
    free(assembly->first);
    free(assembly->marked);
    assembly->all = NULL;
    assembly->first = NULL;
    assembly->marked = NULL;
}
