/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_data.c - copies the rows of one store into an empty one, in the order in which they were made, so that their order stays. Keys
 * are the stores' own: what names a row by its key gets the new one.
 */
#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/copy.h"
#include "core/monotonic.h"

#define TASKS_AT_ONCE 500
#define DEPS_AT_ONCE 2000

/* Old keys, ascending, and the new ones beside them. */
typedef struct key_map {
    struct {
        int64_t from, to;
    } * pairs;
    size_t n, room;
} key_map;

typedef struct copy {
    fl_copy_store *from, *to;
    const flamenco_persistence_ref *source, *target;
    flamenco_error *err;
    int32_t rc; /* of a visitor */
    key_map tags, workers;
    fl_arena *rows; /* what waits to be inserted */
    int64_t job, new_job; /* being copied */
    flamenco_new_task tasks[TASKS_AT_ONCE];
    uint32_t n_tasks, first_index;
    int64_t last_key; /* of the tasks read */
    flamenco_dep deps[DEPS_AT_ONCE];
    uint64_t n_deps;
    uint64_t sum_tasks, sum_workers;
} copy;

static flamenco_cx *from_cx(const copy *c)
{
    return &c->from->cx.pub;
}

static flamenco_cx *to_cx(const copy *c)
{
    return &c->to->cx.pub;
}

/* ---- Keys ---- */

static int32_t map_add(copy *c, key_map *map, int64_t from, int64_t to)
{
    if (map->n == map->room) {
        size_t room = map->room > 0 ? map->room * 2 : 64;
        void *grown = realloc(map->pairs, room * sizeof(*map->pairs));
        if (grown == NULL)
            return flamenco_fail(c->err, FLAMENCO_E_NOMEM, "out of memory");
        map->pairs = grown;
        map->room = room;
    }
    map->pairs[map->n].from = from;
    map->pairs[map->n++].to = to;
    return FLAMENCO_OK;
}

/* 0 stays 0. CORRUPT: a row names one that is not there. */
static int32_t map_find(copy *c, const key_map *map, const char *what, int64_t from, int64_t *out)
{
    size_t low = 0, high = map->n;
    *out = 0;
    if (from == 0)
        return FLAMENCO_OK;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (map->pairs[middle].from < from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == map->n || map->pairs[low].from != from)
        return flamenco_fail(c->err, FLAMENCO_E_CORRUPT, "the source names %s %lld, which it does not have", what,
                             (long long)from);
    *out = map->pairs[low].to;
    return FLAMENCO_OK;
}

/* ---- Tags and workers ---- */

static int32_t on_tag(void *ctx, const flamenco_tag *row)
{
    copy *c = ctx;
    int64_t key = 0;
    c->rc = flamenco_persist_tag_insert(c->target, to_cx(c), row, &key, c->err);
    if (c->rc == FLAMENCO_OK)
        c->rc = map_add(c, &c->tags, row->key, key);
    return c->rc;
}

typedef struct tag_keys {
    copy *c;
    int64_t keys[256];
    uint64_t n;
} tag_keys;

static int32_t on_worker_tag(void *ctx, const flamenco_tag *row)
{
    tag_keys *tags = ctx;
    copy *c = tags->c;
    if (tags->n == sizeof(tags->keys) / sizeof(tags->keys[0]))
        c->rc = flamenco_fail(c->err, FLAMENCO_E_UNSUPPORTED, "a worker with more than %d tags", (int)tags->n);
    else
        c->rc = map_find(c, &c->tags, "tag", row->key, &tags->keys[tags->n++]);
    return c->rc;
}

static int32_t copy_sleep(copy *c, int64_t from_key, int64_t key)
{
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_sleep_get(c->source, from_cx(c), from_key, &row, c->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK;
    row.worker_key = key;
    return rc == FLAMENCO_OK ? flamenco_persist_sleep_set(c->target, to_cx(c), &row, c->err) : rc;
}

static int32_t on_worker(void *ctx, const flamenco_worker *row)
{
    copy *c = ctx;
    int64_t key = 0;
    tag_keys tags = { .c = c };
    c->rc = flamenco_persist_worker_insert(c->target, to_cx(c), row, &key, c->err);
    if (c->rc == FLAMENCO_OK)
        c->rc = map_add(c, &c->workers, row->key, key);
    if (c->rc == FLAMENCO_OK) {
        int32_t rc = flamenco_persist_worker_tags(c->source, from_cx(c), row->key, on_worker_tag, &tags, c->err);
        c->rc = c->rc == FLAMENCO_OK ? rc : c->rc;
    }
    if (c->rc == FLAMENCO_OK && tags.n > 0)
        c->rc = flamenco_persist_worker_set_tags(c->target, to_cx(c), key, tags.keys, tags.n, c->err);
    if (c->rc == FLAMENCO_OK)
        c->rc = copy_sleep(c, row->key, key);
    ++c->sum_workers;
    return c->rc;
}

static int32_t copy_people(copy *c)
{
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .flags = FLAMENCO_PAGE_WITH_DELETED };
    int32_t rc = flamenco_persist_tags_list(c->source, from_cx(c), on_tag, c, c->err);
    rc = rc == FLAMENCO_OK ? c->rc : rc;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_workers_list(c->source, from_cx(c), &page, on_worker, c, NULL, c->err);
    rc = rc == FLAMENCO_OK ? c->rc : rc;
    return rc == FLAMENCO_OK ? fl_copy_commit(c->to, c->err) : rc;
}

/* ---- Jobs ---- */

/* Keeps the row with copies of its texts, until it is inserted with its neighbours. */
static int32_t on_task(void *ctx, const flamenco_task *row)
{
    copy *c = ctx;
    flamenco_new_task *task = &c->tasks[c->n_tasks];
    if (c->n_tasks == 0)
        c->first_index = row->index;
    *task = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(*task),
                                 .status = row->status,
                                 .uuid = row->uuid,
                                 .priority = row->priority,
                                 .open_deps = row->open_deps,
                                 .created_us = row->created_us,
                                 .updated_us = row->updated_us,
                                 .touched_us = row->touched_us,
                                 .steps_total = row->steps_total,
                                 .steps_completed = row->steps_completed,
                                 .name = fl_arena_copy(c->rows, row->name),
                                 .type = fl_arena_copy(c->rows, row->type),
                                 .activity = fl_arena_copy(c->rows, row->activity),
                                 .commands = fl_arena_copy(c->rows, row->commands) };
    if (task->name.ptr == NULL || task->type.ptr == NULL || task->activity.ptr == NULL || task->commands.ptr == NULL)
        c->rc = flamenco_fail(c->err, FLAMENCO_E_NOMEM, "out of memory");
    else
        c->rc = map_find(c, &c->workers, "worker", row->worker_key, &task->worker_key);
    c->last_key = row->key;
    ++c->n_tasks;
    return c->rc;
}

static int32_t copy_tasks(copy *c)
{
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .limit = TASKS_AT_ONCE,
                           .flags = FLAMENCO_PAGE_WITH_COMMANDS };
    int32_t rc;
    do {
        c->n_tasks = 0;
        fl_arena_reset(c->rows);
        rc = flamenco_persist_tasks_list(c->source, from_cx(c), c->job, &page, on_task, c, NULL, c->err);
        rc = rc == FLAMENCO_OK ? c->rc : rc;
        if (rc == FLAMENCO_OK && c->n_tasks > 0)
            rc = flamenco_persist_tasks_insert(c->target, to_cx(c), c->new_job, c->first_index, c->tasks,
                                               sizeof(c->tasks[0]), c->n_tasks, c->err);
        if (rc == FLAMENCO_OK && c->n_tasks > 0)
            rc = fl_copy_commit(c->to, c->err);
        page.after_key = c->last_key;
        c->sum_tasks += c->n_tasks;
    } while (rc == FLAMENCO_OK && c->n_tasks == TASKS_AT_ONCE);
    return rc;
}

static int32_t insert_deps(copy *c)
{
    int32_t rc = flamenco_persist_deps_insert(c->target, to_cx(c), c->new_job, c->deps, c->n_deps, c->err);
    c->n_deps = 0;
    return rc == FLAMENCO_OK ? fl_copy_commit(c->to, c->err) : rc;
}

static int32_t on_dep(void *ctx, const flamenco_dep *row)
{
    copy *c = ctx;
    c->deps[c->n_deps++] = *row;
    if (c->n_deps == DEPS_AT_ONCE)
        c->rc = insert_deps(c);
    return c->rc;
}

static int32_t copy_deps(copy *c)
{
    c->n_deps = 0;
    int32_t rc = flamenco_persist_deps_list(c->source, from_cx(c), c->job, on_dep, c, c->err);
    rc = rc == FLAMENCO_OK ? c->rc : rc;
    return rc == FLAMENCO_OK && c->n_deps > 0 ? insert_deps(c) : rc;
}

static int32_t on_blocklist(void *ctx, const flamenco_blocklist_entry *row)
{
    copy *c = ctx;
    int64_t worker = 0;
    c->rc = map_find(c, &c->workers, "worker", row->worker_key, &worker);
    if (c->rc == FLAMENCO_OK)
        c->rc = flamenco_persist_blocklist_add(c->target, to_cx(c), c->new_job, worker, row->task_type, c->err);
    return c->rc;
}

/* The new key of a task. NOT_FOUND: the source has no such task that can be seen. */
static int32_t find_task(copy *c, int64_t from_key, int64_t *out)
{
    flamenco_task row = { .struct_size = (uint32_t)sizeof(row) }, found = { .struct_size = (uint32_t)sizeof(found) };
    int32_t rc = flamenco_persist_task_get_key(c->source, from_cx(c), from_key, &row, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_task_find(c->target, to_cx(c), &row.uuid, &found, c->err);
    *out = found.key;
    return rc;
}

static int32_t on_failure(void *ctx, const flamenco_failure *row)
{
    copy *c = ctx;
    int64_t worker = 0, task = 0;
    c->rc = map_find(c, &c->workers, "worker", row->worker_key, &worker);
    if (c->rc == FLAMENCO_OK)
        c->rc = find_task(c, row->task_key, &task);
    if (c->rc == FLAMENCO_OK)
        c->rc = flamenco_persist_failure_add(c->target, to_cx(c), task, worker, NULL, NULL, c->err);
    return c->rc;
}

static int32_t copy_job(copy *c, int64_t key)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    c->job = key;
    int32_t rc = flamenco_persist_job_get_key(c->source, from_cx(c), key, &row, c->err);
    if (rc == FLAMENCO_OK)
        rc = map_find(c, &c->tags, "tag", row.tag_key, &row.tag_key);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_insert_hidden(c->target, to_cx(c), &row, row.n_tasks, &c->new_job, c->err);
    if (rc == FLAMENCO_OK)
        rc = copy_tasks(c);
    if (rc == FLAMENCO_OK)
        rc = copy_deps(c);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_show(c->target, to_cx(c), c->new_job, NULL, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_blocklist_list(c->source, from_cx(c), key, on_blocklist, c, c->err);
    rc = rc == FLAMENCO_OK ? c->rc : rc;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_failures_of_job(c->source, from_cx(c), key, on_failure, c, c->err);
    rc = rc == FLAMENCO_OK ? c->rc : rc;
    return rc == FLAMENCO_OK ? fl_copy_commit(c->to, c->err) : rc;
}

static int32_t copy_jobs(copy *c, size_t *n_out)
{
    int64_t *keys = NULL, told_us = fl_monotonic_us();
    size_t n = 0;
    int32_t rc = fl_copy_list_jobs(c->from, &keys, &n, c->err);
    for (size_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        rc = copy_job(c, keys[i]);
        fl_arena_reset(c->from->arena); /* its rows are through */
        if (rc == FLAMENCO_OK)
            fl_copy_progress(&told_us, "copied", i + 1, n);
    }
    free(keys);
    *n_out = n;
    return rc;
}

/* What names jobs and tasks: workers' last tasks, the last picture. */
static int32_t copy_rest(copy *c)
{
    int32_t rc = FLAMENCO_OK;
    for (size_t i = 0; i < c->workers.n && rc == FLAMENCO_OK; ++i) {
        int64_t task = 0, found = 0;
        rc = flamenco_persist_worker_last_task(c->source, from_cx(c), c->workers.pairs[i].from, &task, c->err);
        if (rc == FLAMENCO_OK && task != 0)
            rc = find_task(c, task, &found);
        if (rc == FLAMENCO_E_NOT_FOUND) /* it is gone */
            rc = FLAMENCO_OK;
        if (rc == FLAMENCO_OK)
            rc = flamenco_persist_worker_set_last_task(c->target, to_cx(c), c->workers.pairs[i].to, found, c->err);
        fl_arena_reset(c->from->arena);
    }
    flamenco_job shown = { .struct_size = (uint32_t)sizeof(shown) }, job = { .struct_size = (uint32_t)sizeof(job) };
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_rendered_get(c->source, from_cx(c), &shown, c->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_copy_commit(c->to, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get(c->target, to_cx(c), &shown.uuid, &job, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_rendered_set(c->target, to_cx(c), job.key, c->err);
    return rc == FLAMENCO_OK ? fl_copy_commit(c->to, c->err) : rc;
}

/* ---- The command ---- */

static int32_t stop_at_first(void *ctx, const flamenco_tag *row)
{
    (void)row;
    *(uint64_t *)ctx += 1;
    return 1;
}

static int32_t pass_job(void *ctx, const flamenco_job *row)
{
    (void)ctx;
    (void)row;
    return 1;
}

static int32_t pass_worker(void *ctx, const flamenco_worker *row)
{
    (void)ctx;
    (void)row;
    return 1;
}

static int32_t need_empty(copy *c)
{
    uint64_t jobs = 0, hidden = 0, workers = 0, tags = 0;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE, .limit = 1 };
    int32_t rc = flamenco_persist_jobs_list(c->target, to_cx(c), &page, pass_job, NULL, &jobs, c->err);
    page.flags = FLAMENCO_PAGE_HIDDEN;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_jobs_list(c->target, to_cx(c), &page, pass_job, NULL, &hidden, c->err);
    page.flags = FLAMENCO_PAGE_WITH_DELETED;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_workers_list(c->target, to_cx(c), &page, pass_worker, NULL, &workers, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_tags_list(c->target, to_cx(c), stop_at_first, &tags, c->err);
    jobs += hidden;
    if (rc == FLAMENCO_OK && jobs + workers + tags > 0)
        rc = flamenco_fail(c->err, FLAMENCO_E_CONFLICT,
                           "the target is not empty: it has %llu jobs, %llu workers%s; nothing was changed",
                           (unsigned long long)jobs, (unsigned long long)workers, tags > 0 ? " and tags" : "");
    return rc;
}

static int32_t need_methods(const copy *c)
{
    const flamenco_persistence *source = c->source->table, *target = c->target->table;
    if (!FLAMENCO_HAS(source, failures_of_job) || !FLAMENCO_HAS(source, worker_last_task))
        return flamenco_fail(c->err, FLAMENCO_E_UNSUPPORTED, "the source's plugin is too old to be copied from");
    if (!FLAMENCO_HAS(target, worker_set_last_task) || !FLAMENCO_HAS(target, failures_of_job) ||
        !FLAMENCO_HAS(target, worker_last_task))
        return flamenco_fail(c->err, FLAMENCO_E_UNSUPPORTED, "the target's plugin is too old to be copied to");
    return FLAMENCO_OK;
}

static int32_t copy_all(copy *c, int *began)
{
    size_t jobs = 0;
    c->source = &c->from->run.f.persist;
    c->target = &c->to->run.f.persist;
    int32_t rc = need_methods(c);
    if (rc == FLAMENCO_OK)
        rc = fl_copy_begin(c->from, FLAMENCO_SESSION_READER, c->err);
    if (rc == FLAMENCO_OK)
        rc = fl_copy_begin(c->to, FLAMENCO_SESSION_WRITER, c->err);
    if (rc == FLAMENCO_OK)
        rc = need_empty(c);
    *began = rc == FLAMENCO_OK;
    if (rc == FLAMENCO_OK)
        rc = copy_people(c);
    if (rc == FLAMENCO_OK)
        rc = copy_jobs(c, &jobs);
    if (rc == FLAMENCO_OK)
        rc = copy_rest(c);
    if (rc == FLAMENCO_OK)
        fl_info("copy-data", "copied %zu jobs, %llu tasks, %llu workers, %zu tags; comparing", jobs,
                (unsigned long long)c->sum_tasks, (unsigned long long)c->sum_workers, c->tags.n);
    /* A back end makes what is not there, also for a name that was meant otherwise. */
    if (rc == FLAMENCO_OK && jobs + c->workers.n + c->tags.n == 0)
        fl_warn("copy-data", "the source is empty; is it the right one?");
    if (rc == FLAMENCO_OK)
        rc = fl_copy_begin(c->to, FLAMENCO_SESSION_READER, c->err);
    if (rc == FLAMENCO_OK)
        rc = fl_copy_verify(c->from, c->to, c->err);
    return rc;
}

/* The target's own check, with transactions of its own. */
static int32_t check_target(copy *c)
{
    flamenco_session *session = NULL;
    fl_copy_end(c->to);
    int32_t rc = flamenco_persist_open(c->target, FLAMENCO_SESSION_READER, &session, c->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_check(c->target, session, to_cx(c), c->err);
    flamenco_persist_close(c->target, session);
    return rc == FLAMENCO_E_UNSUPPORTED ? FLAMENCO_OK : rc;
}

static int32_t run(const fl_copy_options *options, copy *c, int *began)
{
    int32_t rc = fl_copy_open(options, options->from, c->from, c->err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_copy_open(options, options->to, c->to, c->err);
    if (rc == FLAMENCO_OK)
        rc = copy_all(c, began);
    return rc == FLAMENCO_OK ? check_target(c) : rc;
}

int fl_copy_data(const fl_copy_options *options)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int began = 0;
    copy *c = calloc(1, sizeof(*c));
    fl_copy_store *stores = calloc(2, sizeof(*stores));
    fl_arena *rows = fl_arena_create(0);
    int32_t rc = FLAMENCO_E_NOMEM;
    if (c == NULL || stores == NULL || rows == NULL) {
        (void)flamenco_fail(&err, rc, "out of memory");
        goto cleanup;
    }
    stores[0].run.f.wake_fd = stores[1].run.f.wake_fd = -1;
    c->from = &stores[0];
    c->to = &stores[1];
    c->rows = rows;
    c->err = &err;
    rc = run(options, c, &began);
    fl_copy_close(c->to);
    fl_copy_close(c->from);
    free(c->tags.pairs);
    free(c->workers.pairs);
cleanup:
    if (rc == FLAMENCO_OK)
        fl_info("copy-data", "every row and counter of the copy is as in the source");
    else
        fl_error("copy-data", "%s%s", err.text, began ? "; empty the target before the next try" : "");
    fl_arena_destroy(rows);
    free(stores);
    free(c);
    return rc != FLAMENCO_OK;
}
