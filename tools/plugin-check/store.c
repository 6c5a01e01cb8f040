/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - see store.h.
 */
#include "store.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- Life ----------------------------------------------------------------------------------------------------------- */

static void new_cx(kit_store *s)
{
    s->own_cx = kit_cx_make(s->instance);
    s->cx = &s->own_cx->cx;
}

kit_store *store_over(kit_instance *instance)
{
    kit_store *s = calloc(1, sizeof(*s));
    EXPECT(s != NULL, "the check's memory is exhausted");
    s->k = instance->k;
    s->instance = instance;
    s->err = kit_error();
    s->self = instance->self;
    s->db = kit_table_of(instance, FLAMENCO_PERSISTENCE);
    new_cx(s);
    EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_WRITER, &s->writer, &s->err), FLAMENCO_OK, &s->err);
    EXPECT_CODE(s->db->last_batch(s->self, s->writer, &s->batch, &s->err), FLAMENCO_OK, &s->err);
    s->uuids = s->batch * 10000;
    s->k->store = s;
    return s;
}

kit_store *store_start(kit *k)
{
    kit_store *s = store_over(kit_start_subject(k));
    store_begin(s);
    return s;
}

kit_store *store_beside(kit *k)
{
    return store_over(kit_provider(k, FLAMENCO_PERSISTENCE));
}

void store_stop(kit_store *s)
{
    s->db->rollback(s->self, s->cx);
    s->db->close(s->self, s->writer);
    s->writer = NULL;
    kit_cx_end(s->own_cx);
    s->own_cx = NULL;
    s->cx = NULL;
    kit_end(s->instance);
    s->self = NULL;
}

void store_close(kit_store *s)
{
    s->db->rollback(s->self, s->cx);
    s->db->close(s->self, s->writer);
    kit_cx_end(s->own_cx);
    s->k->store = NULL;
    free(s);
}

void store_restart(kit_store *s)
{
    int32_t rc = FLAMENCO_E_BUSY;
    for (int tries = 0; tries < 1000 && (rc == FLAMENCO_E_BUSY || rc == FLAMENCO_E_UNAVAILABLE); ++tries) {
        if (tries > 0)
            (void)usleep(10000);
        rc = kit_try_start(s->instance, &s->err);
    }
    EXPECT(rc == FLAMENCO_OK, "it does not start again on the same storage: %s: %s", kit_code_name(rc), s->err.text);
    s->self = s->instance->self;
    new_cx(s);
    EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_WRITER, &s->writer, &s->err), FLAMENCO_OK, &s->err);
}

/* ---- Transactions --------------------------------------------------------------------------------------------------- */

void store_begin(kit_store *s)
{
    EXPECT_CODE(s->db->begin(s->self, s->writer, s->cx, &s->err), FLAMENCO_OK, &s->err);
    EXPECT(s->cx->txn != NULL, "begin does not set cx->txn");
}

void store_commit(kit_store *s)
{
    EXPECT_CODE(s->db->commit(s->self, s->cx, ++s->batch, &s->err), FLAMENCO_OK, &s->err);
    EXPECT(s->cx->txn == NULL, "commit does not clear cx->txn");
    EXPECT_CODE(s->db->maintain(s->self, s->writer, FLAMENCO_MAINTAIN_COMMITTED, &s->err), FLAMENCO_OK, &s->err);
}

void store_next(kit_store *s)
{
    store_commit(s);
    store_begin(s);
}

void store_forget(kit_store *s)
{
    int64_t now = s->cx->now_us;
    kit_cx_end(s->own_cx);
    new_cx(s);
    s->cx->now_us = now;
}

flamenco_uuid store_uuid(kit_store *s)
{
    return kit_uuid(++s->uuids);
}

/* ---- Rows ----------------------------------------------------------------------------------------------------------- */

flamenco_job new_job(kit_store *s)
{
    return (flamenco_job){ .struct_size = (uint32_t)sizeof(flamenco_job),
                           .status = FLAMENCO_JOB_QUEUED,
                           .uuid = store_uuid(s),
                           .priority = 50,
                           .created_us = s->cx->now_us,
                           .updated_us = s->cx->now_us,
                           .delete_requested_us = FLAMENCO_TIME_NONE,
                           .name = flamenco_text("shot 12"),
                           .type = flamenco_text("simple-blender-render"),
                           .settings = flamenco_text("{}"),
                           .metadata = flamenco_text("{\"project\":\"x\"}") };
}

flamenco_new_task new_task(kit_store *s)
{
    return (flamenco_new_task){ .struct_size = (uint32_t)sizeof(flamenco_new_task),
                                .status = FLAMENCO_TASK_QUEUED,
                                .uuid = store_uuid(s),
                                .priority = 50,
                                .created_us = s->cx->now_us,
                                .updated_us = s->cx->now_us,
                                .touched_us = FLAMENCO_TIME_NONE,
                                .steps_total = 1,
                                .name = flamenco_text("task"),
                                .type = flamenco_text("misc"),
                                .commands = flamenco_text("[{\"name\":\"echo\",\"parameters\":{}}]") };
}

flamenco_worker new_worker(kit_store *s, const char *name, const char *types)
{
    return (flamenco_worker){ .struct_size = (uint32_t)sizeof(flamenco_worker),
                              .status = FLAMENCO_WORKER_AWAKE,
                              .uuid = store_uuid(s),
                              .created_us = s->cx->now_us,
                              .updated_us = FLAMENCO_TIME_NONE,
                              .seen_us = FLAMENCO_TIME_NONE,
                              .deleted_us = FLAMENCO_TIME_NONE,
                              .name = flamenco_text(name),
                              .address = flamenco_text("10.1.2.3"),
                              .platform = flamenco_text("linux"),
                              .software = flamenco_text("3.9"),
                              .task_types = flamenco_text(types),
                              .secret_hash = flamenco_text("$2a$04$x") };
}

int64_t store_job(kit_store *s, int32_t priority, int64_t tag, const task_spec *tasks, uint32_t n)
{
    flamenco_job job = new_job(s);
    int64_t key = 0;
    job.priority = priority;
    job.tag_key = tag;
    OK(s, job_insert_hidden, &job, n, &key);
    for (uint32_t i = 0; i < n; ++i) {
        char name[32];
        (void)snprintf(name, sizeof(name), "task-%u", i + 1);
        flamenco_new_task row = new_task(s);
        row.priority = tasks[i].priority;
        row.steps_total = tasks[i].steps != 0 ? tasks[i].steps : 1;
        row.name = flamenco_text(name);
        row.type = flamenco_text(tasks[i].type);
        for (size_t d = 0; d < 4; ++d)
            row.open_deps += tasks[i].needs[d] != 0;
        OK(s, tasks_insert, key, i + 1, &row, sizeof(row), 1);
    }
    for (uint32_t i = 0; i < n; ++i) {
        for (size_t d = 0; d < 4; ++d) {
            flamenco_dep pair = { i + 1, tasks[i].needs[d] };
            if (pair.needs != 0)
                OK(s, deps_insert, key, &pair, 1);
        }
    }
    OK(s, job_show, key, NULL);
    return key;
}

int64_t store_worker(kit_store *s, const char *name, const char *types)
{
    flamenco_worker row = new_worker(s, name, types);
    int64_t key = 0;
    OK(s, worker_insert, &row, &key);
    return key;
}

int64_t store_tag(kit_store *s, const char *name)
{
    int64_t key = 0;
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row), .uuid = store_uuid(s), .name = flamenco_text(name) };
    OK(s, tag_insert, &row, &key);
    return key;
}

flamenco_job read_job(kit_store *s, int64_t key)
{
    flamenco_job job = ROW(flamenco_job);
    OK(s, job_get_key, key, &job);
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

flamenco_task read_task(kit_store *s, int64_t job, uint32_t index)
{
    flamenco_task task = ROW(flamenco_task);
    flamenco_page page = ALL_ROWS;
    page.offset = index - 1;
    page.limit = 1;
    task_search search = { index, 0 };
    OK(s, tasks_list, job, &page, on_task, &search, NULL);
    EXPECT(search.key != 0, "tasks_list does not give task %u of job %lld at its place", index, (long long)job);
    OK(s, task_get_key, search.key, &task);
    return task;
}

flamenco_worker read_worker(kit_store *s, int64_t key)
{
    flamenco_worker worker = ROW(flamenco_worker);
    OK(s, worker_get_key, key, &worker);
    return worker;
}

flamenco_job_counts set_task(kit_store *s, int64_t job, uint32_t index, uint32_t status)
{
    flamenco_task task = read_task(s, job, index);
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .set = FLAMENCO_TASK_SET_STATUS,
                                    .status = status };
    flamenco_job_counts counts = ROW(flamenco_job_counts);
    OK(s, task_update, task.key, &update, &counts);
    return counts;
}

flamenco_job_counts set_job(kit_store *s, int64_t job, uint32_t status)
{
    flamenco_job_counts counts = ROW(flamenco_job_counts);
    OK(s, job_set_status, job, status, flamenco_text("by the check"), &counts);
    return counts;
}

/* ---- Scheduling ----------------------------------------------------------------------------------------------------- */

typedef struct pick {
    kit_store *s;
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
    flamenco_task task = ROW(flamenco_task);
    int32_t rc =
        p->s->db->task_runnable(p->s->self, p->cx, group->job_key, group->task_type, p->worker, &task, &p->s->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return 0;
    EXPECT_CODE(rc, FLAMENCO_OK, &p->s->err);
    if (!p->found || task.priority > p->best.priority ||
        (task.priority == p->best.priority && task.key < p->best.key)) {
        p->best = task;
        p->job_priority = group->job_priority;
        p->found = 1;
    }
    return 0;
}

int32_t store_pick(kit_store *s, flamenco_cx *cx, int64_t worker, flamenco_task *out)
{
    *out = ROW(flamenco_task);
    int32_t rc = s->db->task_held(s->self, cx, worker, out, &s->err);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    pick p = { .s = s, .cx = cx, .worker = worker };
    EXPECT_CODE(s->db->runnable_groups(s->self, cx, worker, on_group, &p, &s->err), FLAMENCO_OK, &s->err);
    if (!p.found)
        return FLAMENCO_E_NOT_FOUND;
    *out = p.best;
    return FLAMENCO_OK;
}

int32_t store_assign(kit_store *s, int64_t worker, flamenco_task *out)
{
    int32_t rc = store_pick(s, s->cx, worker, out);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                    .status = FLAMENCO_TASK_ACTIVE,
                                    .worker_key = worker };
    return DB(s, task_update, out->key, &update, NULL);
}

void expect_task(kit_store *s, int64_t worker, int64_t job, uint32_t index)
{
    flamenco_task task;
    int32_t rc = store_assign(s, worker, &task);
    EXPECT(rc == FLAMENCO_OK, "worker %lld gets no task, though task %u of job %lld waits: %s", (long long)worker,
           index, (long long)job, kit_code_name(rc));
    EXPECT(task.job_key == job && task.index == index,
           "worker %lld gets task %u of job %lld, though task %u of job %lld comes first", (long long)worker,
           task.index, (long long)task.job_key, index, (long long)job);
    EXPECT_STR(task.commands, "[{\"name\":\"echo\",\"parameters\":{}}]");
}

void expect_nothing(kit_store *s, int64_t worker)
{
    flamenco_task task;
    int32_t rc = store_assign(s, worker, &task);
    EXPECT(rc == FLAMENCO_E_NOT_FOUND, "worker %lld gets a task that is not for it (%s)", (long long)worker,
           kit_code_name(rc));
}

/* ---- Readers -------------------------------------------------------------------------------------------------------- */

kit_reader reader_open(kit_store *s)
{
    kit_reader r = { .s = s, .err = kit_error() };
    r.own_cx = kit_cx_make(s->instance);
    r.cx = &r.own_cx->cx;
    r.cx->read_only = 1;
    EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_READER, &r.session, &r.err), FLAMENCO_OK, &r.err);
    EXPECT(r.session != NULL, "open gives no session");
    return r;
}

void reader_begin(kit_reader *r)
{
    EXPECT_CODE(r->s->db->begin(r->s->self, r->session, r->cx, &r->err), FLAMENCO_OK, &r->err);
}

void reader_end(kit_reader *r)
{
    r->s->db->rollback(r->s->self, r->cx);
    EXPECT(r->cx->txn == NULL, "rollback does not clear cx->txn");
}

void reader_close(kit_reader *r)
{
    r->s->db->close(r->s->self, r->session);
    kit_cx_end(r->own_cx);
    *r = (kit_reader){ 0 };
}

void store_check(kit_store *s)
{
    if (s->db->check == NULL)
        return;
    kit_reader r = reader_open(s);
    int32_t rc = s->db->check(s->self, r.session, r.cx, &r.err);
    EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_UNSUPPORTED, "the store's own check gives %s: %s", kit_code_name(rc),
           r.err.text);
    reader_close(&r);
}
