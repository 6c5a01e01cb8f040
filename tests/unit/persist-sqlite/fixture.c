/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.c - see fixture.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "fixture_store.h"

/* ---- Life ---- */

void fixture_init(fixture *f)
{
    memset(f, 0, sizeof(*f));
    fake_host_init(&f->fake);
    f->fake.now_us = NOW;
    temp_dir_make(f->dir);
    fixture_store_init(f);
    f->err = (flamenco_error)FLAMENCO_ERROR_INIT;
    f->plugin = flamenco_plugin_query();
    f->db = fake_host_table(f->plugin, FLAMENCO_PERSISTENCE);
    f->own_cx = fake_cx_create(&f->fake);
    f->cx = &f->own_cx->cx;
}

int32_t fixture_start(fixture *f)
{
    int32_t rc = f->plugin->create(&f->fake.host, &f->self, &f->err);
    if (rc == FLAMENCO_OK)
        rc = f->plugin->configure(f->self, fake_host_config(&f->fake, f->plugin), &f->err);
    if (rc == FLAMENCO_OK)
        rc = f->plugin->start(f->self, &f->err);
    if (rc == FLAMENCO_OK) {
        rc = f->db->open(f->self, FLAMENCO_SESSION_WRITER, &f->writer, &f->err);
    } else {
        f->plugin->destroy(f->self);
        f->self = NULL;
    }
    return rc;
}

void fixture_stop(fixture *f)
{
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    if (f->plugin->stop(f->self, 0, &f->err) != FLAMENCO_OK)
        fail_msg("stop: %s", f->err.text);
    f->plugin->destroy(f->self);
    f->self = NULL;
    f->cx->txn = NULL;
}

void fixture_crash(fixture *f)
{
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    f->plugin->destroy(f->self);
    f->self = NULL;
    f->cx->txn = NULL;
}

void fixture_fini(fixture *f)
{
    if (f->self != NULL)
        fixture_crash(f);
    fixture_store_fini(f);
    fake_cx_destroy(f->own_cx);
    fake_host_fini(&f->fake);
    temp_dir_remove(f->dir);
}

int fixture_setup(void **state)
{
    fixture *f = malloc(sizeof(*f));
    if (f == NULL)
        return -1;
    fixture_init(f);
    if (fixture_start(f) != FLAMENCO_OK)
        fail_msg("start: %s", f->err.text);
    fixture_begin(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture *f = *state;
    fixture_fini(f);
    free(f);
    return 0;
}

/* ---- Transactions ---- */

static void must(fixture *f, int32_t rc, const char *what)
{
    if (rc != FLAMENCO_OK)
        fail_msg("%s: %d %s", what, (int)rc, f->err.text);
}

void fixture_begin(fixture *f)
{
    must(f, f->db->begin(f->self, f->writer, f->cx, &f->err), "begin");
}

void fixture_commit(fixture *f)
{
    must(f, f->db->commit(f->self, f->cx, ++f->batch, &f->err), "commit");
}

void fixture_next(fixture *f)
{
    fixture_commit(f);
    must(f, f->db->maintain(f->self, f->writer, FLAMENCO_MAINTAIN_COMMITTED, &f->err), "maintain");
    fixture_begin(f);
}

void fixture_forget(fixture *f)
{
    int64_t now = f->cx->now_us;
    fixture_commit(f);
    fake_cx *next = fake_cx_create(&f->fake);
    fake_cx_destroy(f->own_cx);
    f->own_cx = next;
    f->cx = &next->cx;
    f->cx->now_us = now;
    fixture_begin(f);
}

flamenco_uuid fixture_uuid(fixture *f)
{
    flamenco_uuid uuid = { { 0 } };
    uint64_t n = ++f->uuids;
    for (int i = 0; i < 8; ++i)
        uuid.b[i] = (uint8_t)(n >> (56 - 8 * i));
    uuid.b[15] = 1;
    return uuid;
}

/* ---- Rows ---- */

int64_t fixture_job(fixture *f, int32_t priority, int64_t tag, const task_spec *tasks, uint32_t n)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job),
                         .status = FLAMENCO_JOB_QUEUED,
                         .uuid = fixture_uuid(f),
                         .priority = priority,
                         .tag_key = tag,
                         .created_us = f->cx->now_us,
                         .updated_us = f->cx->now_us,
                         .delete_requested_us = FLAMENCO_TIME_NONE,
                         .name = flamenco_text("shot 12"),
                         .type = flamenco_text("simple-blender-render"),
                         .settings = flamenco_text("{}"),
                         .metadata = flamenco_text("{\"project\":\"x\"}") };
    int64_t key = 0;
    must(f, f->db->job_insert_hidden(f->self, f->cx, &job, n, &key, &f->err), "job_insert_hidden");
    for (uint32_t i = 0; i < n; ++i) {
        char name[32];
        (void)snprintf(name, sizeof(name), "task-%u", i + 1);
        flamenco_new_task row = { .struct_size = (uint32_t)sizeof(row),
                                  .status = FLAMENCO_TASK_QUEUED,
                                  .uuid = fixture_uuid(f),
                                  .priority = tasks[i].priority,
                                  .created_us = f->cx->now_us,
                                  .updated_us = f->cx->now_us,
                                  .touched_us = FLAMENCO_TIME_NONE,
                                  .steps_total = tasks[i].steps != 0 ? tasks[i].steps : 1,
                                  .name = flamenco_text(name),
                                  .type = flamenco_text(tasks[i].type),
                                  .commands = flamenco_text("[{\"name\":\"echo\",\"parameters\":{}}]") };
        for (size_t d = 0; d < 4; ++d)
            row.open_deps += tasks[i].needs[d] != 0;
        must(f, f->db->tasks_insert(f->self, f->cx, key, i + 1, &row, sizeof(row), 1, &f->err), "tasks_insert");
        for (size_t d = 0; d < 4; ++d) {
            flamenco_dep pair = { i + 1, tasks[i].needs[d] };
            if (pair.needs != 0)
                must(f, f->db->deps_insert(f->self, f->cx, key, &pair, 1, &f->err), "deps_insert");
        }
    }
    must(f, f->db->job_show(f->self, f->cx, key, NULL, &f->err), "job_show");
    return key;
}

int64_t fixture_worker(fixture *f, const char *name, const char *types)
{
    int64_t key = 0;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row),
                            .status = FLAMENCO_WORKER_AWAKE,
                            .uuid = fixture_uuid(f),
                            .created_us = f->cx->now_us,
                            .updated_us = FLAMENCO_TIME_NONE,
                            .seen_us = FLAMENCO_TIME_NONE,
                            .deleted_us = FLAMENCO_TIME_NONE,
                            .name = flamenco_text(name),
                            .address = flamenco_text("10.1.2.3"),
                            .platform = flamenco_text("linux"),
                            .software = flamenco_text("3.9"),
                            .task_types = flamenco_text(types),
                            .secret_hash = flamenco_text("$2a$04$x") };
    must(f, f->db->worker_insert(f->self, f->cx, &row, &key, &f->err), "worker_insert");
    return key;
}

int64_t fixture_tag(fixture *f, const char *name)
{
    int64_t key = 0;
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row), .uuid = fixture_uuid(f), .name = flamenco_text(name) };
    must(f, f->db->tag_insert(f->self, f->cx, &row, &key, &f->err), "tag_insert");
    return key;
}

flamenco_job fixture_read_job(fixture *f, int64_t key)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    must(f, f->db->job_get_key(f->self, f->cx, key, &job, &f->err), "job_get_key");
    return job;
}

typedef struct task_search {
    uint32_t index;
    int64_t key;
} task_search;

static int32_t on_task(void *ctx, const flamenco_task *row)
{
    task_search *search = ctx;
    if (row->index != search->index)
        return 0;
    search->key = row->key;
    return 1;
}

flamenco_task fixture_read_task(fixture *f, int64_t job, uint32_t index)
{
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page), .offset = index - 1, .limit = 1, .updated_after_us = FLAMENCO_TIME_NONE
    };
    task_search search = { index, 0 };
    must(f, f->db->tasks_list(f->self, f->cx, job, &page, on_task, &search, NULL, &f->err), "tasks_list");
    must(f, f->db->task_get_key(f->self, f->cx, search.key, &task, &f->err), "task_get_key");
    return task;
}

flamenco_worker fixture_read_worker(fixture *f, int64_t key)
{
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    must(f, f->db->worker_get_key(f->self, f->cx, key, &worker, &f->err), "worker_get_key");
    return worker;
}

flamenco_job_counts fixture_set_task(fixture *f, int64_t job, uint32_t index, uint32_t status)
{
    flamenco_task task = fixture_read_task(f, job, index);
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .set = FLAMENCO_TASK_SET_STATUS,
                                    .status = status };
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    must(f, f->db->task_update(f->self, f->cx, task.key, &update, &counts, &f->err), "task_update");
    return counts;
}

flamenco_job_counts fixture_set_job(fixture *f, int64_t job, uint32_t status)
{
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    must(f, f->db->job_set_status(f->self, f->cx, job, status, flamenco_text("by the test"), &counts, &f->err),
         "job_set_status");
    return counts;
}

/* ---- Scheduling ---- */

typedef struct pick {
    fixture *f;
    flamenco_cx *cx;
    int64_t worker;
    int32_t job_priority;
    flamenco_task best;
    int found;
} pick;

static int32_t on_group(void *ctx, const flamenco_runnable_group *group)
{
    pick *p = ctx;
    if (p->found && (group->job_priority < p->job_priority || group->task_priority < p->best.priority))
        return 1;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc =
        p->f->db->task_runnable(p->f->self, p->cx, group->job_key, group->task_type, p->worker, &task, &p->f->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return 0;
    must(p->f, rc, "task_runnable");
    if (!p->found || task.priority > p->best.priority ||
        (task.priority == p->best.priority && task.key < p->best.key)) {
        p->best = task;
        p->job_priority = group->job_priority;
        p->found = 1;
    }
    return 0;
}

int32_t fixture_pick(fixture *f, flamenco_cx *cx, int64_t worker, flamenco_task *out)
{
    *out = (flamenco_task){ .struct_size = (uint32_t)sizeof(*out) };
    int32_t rc = f->db->task_held(f->self, cx, worker, out, &f->err);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    pick p = { .f = f, .cx = cx, .worker = worker };
    must(f, f->db->runnable_groups(f->self, cx, worker, on_group, &p, &f->err), "runnable_groups");
    if (!p.found)
        return FLAMENCO_E_NOT_FOUND;
    *out = p.best;
    return FLAMENCO_OK;
}

int32_t fixture_assign(fixture *f, int64_t worker, flamenco_task *out)
{
    int32_t rc = fixture_pick(f, f->cx, worker, out);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                    .status = FLAMENCO_TASK_ACTIVE,
                                    .worker_key = worker };
    return f->db->task_update(f->self, f->cx, out->key, &update, NULL, &f->err);
}

int32_t fixture_check(fixture *f)
{
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    must(f, f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), "open");
    int32_t rc = f->db->check(f->self, reader, &cx->cx, &f->err);
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
    return rc;
}
