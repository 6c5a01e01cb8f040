/* SPDX-License-Identifier: Apache-2.0
 *
 * farm.c - see farm.h.
 */
#include "farm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define LETTERS "QSACFXP"

static char story[16384];

static void check(int32_t rc, const flamenco_error *err, const char *what)
{
    if (rc != FLAMENCO_OK)
        fail_msg("%s: %d %s", what, rc, err->text);
}

uint32_t farm_task_status(char letter)
{
    const char *at = strchr(LETTERS, letter);
    assert_true(letter != '\0' && at != NULL);
    return (uint32_t)(at - LETTERS);
}

/* ---- Start and stop -------------------------------------------------------------------------------------------- */

void farm_start_with(farm *f, const char *const *settings, void (*serve)(farm *f))
{
    typedef const flamenco_plugin *(*query)(void);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    char path[TEMP_DIR_MAX];
    const char *file = getenv("FLAMENCO_TEST_PERSISTENCE");
    assert_non_null(file);
    memset(f, 0, sizeof(*f));
    temp_dir_make(f->directory);
    temp_path(path, "%s/farm.sqlite", f->directory);

    fake_host_init(&f->store_host);
    f->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (f->library == NULL)
        fail_msg("%s", dlerror());
    union {
        void *symbol;
        query call;
    } q = { dlsym(f->library, "flamenco_plugin_query") };
    assert_non_null(q.symbol);
    f->store_plugin = q.call();
    fake_host_set(&f->store_host, "path", path);
    f->store = fake_host_start(&f->store_host, f->store_plugin);
    f->persist.table = fake_host_table(f->store_plugin, FLAMENCO_PERSISTENCE);
    f->persist.self = f->store;
    check(flamenco_persist_open(&f->persist, FLAMENCO_SESSION_WRITER, &f->writer, &err), &err, "open");

    fake_host_init(&f->host);
    fake_host_serve(&f->host, FLAMENCO_PERSISTENCE, f->persist.table, f->store);
    for (; settings != NULL && *settings != NULL; settings += 2)
        fake_host_set(&f->host, settings[0], settings[1]);
    if (serve != NULL)
        serve(f);
    f->self = fake_host_start(&f->host, flamenco_plugin_query());
}

void farm_start(farm *f, const char *const *settings)
{
    farm_start_with(f, settings, NULL);
}

void farm_stop(farm *f)
{
    if (f->cx != NULL)
        farm_rollback(f);
    for (size_t i = 0; i < f->host.n_steps; ++i) {
        if (f->host.steps[i].destroy != NULL)
            f->host.steps[i].destroy(f->host.steps[i].ctx);
    }
    f->host.n_steps = 0;
    fake_host_stop(&f->host, flamenco_plugin_query(), f->self);
    fake_host_fini(&f->host);
    flamenco_persist_close(&f->persist, f->writer);
    fake_host_stop(&f->store_host, f->store_plugin, f->store);
    fake_host_fini(&f->store_host);
    (void)dlclose(f->library);
    temp_dir_remove(f->directory);
}

/* ---- Transactions ---------------------------------------------------------------------------------------------- */

flamenco_cx *farm_begin(farm *f)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_null(f->cx);
    f->host.now_us += 1000000;
    f->store_host.now_us = f->host.now_us;
    f->cx = fake_cx_create(&f->host);
    f->records_before = f->host.n_records;
    check(flamenco_persist_begin(&f->persist, f->writer, &f->cx->cx, &err), &err, "begin");
    check(flamenco_persist_savepoint(&f->persist, &f->cx->cx, &err), &err, "savepoint");
    return &f->cx->cx;
}

void farm_commit(farm *f)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    check(flamenco_persist_release(&f->persist, &f->cx->cx, &err), &err, "release");
    check(flamenco_persist_commit(&f->persist, &f->cx->cx, ++f->batch, &err), &err, "commit");
    fake_cx_destroy(f->cx);
    f->cx = NULL;
}

void farm_rollback(farm *f)
{
    flamenco_persist_rollback(&f->persist, &f->cx->cx);
    fake_cx_destroy(f->cx);
    f->cx = NULL;
    f->host.n_records = f->records_before;
}

static flamenco_step take_step(farm *f)
{
    assert_true(f->host.n_steps > 0);
    flamenco_step step = f->host.steps[0];
    memmove(f->host.steps, f->host.steps + 1, --f->host.n_steps * sizeof(step));
    assert_int_equal(step.kind, FLAMENCO_STEP_WRITE);
    return step;
}

static int32_t run_step(farm *f, const flamenco_step *step)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(f);
    int32_t rc = step->run(cx, step->ctx, &err);
    if (rc != FLAMENCO_AGAIN)
        check(rc, &err, step->name);
    return rc;
}

size_t farm_run_steps(farm *f)
{
    size_t runs = 0;
    while (f->host.n_steps > 0) {
        flamenco_step step = take_step(f);
        assert_true(++runs < 1000);
        int32_t rc = run_step(f, &step);
        farm_commit(f);
        if (rc == FLAMENCO_AGAIN)
            f->host.steps[f->host.n_steps++] = step;
        else if (step.destroy != NULL)
            step.destroy(step.ctx);
    }
    return runs;
}

void farm_spoil_step(farm *f)
{
    assert_true(f->host.n_steps > 0);
    (void)run_step(f, &f->host.steps[0]);
    farm_rollback(f);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------ */

static flamenco_uuid make_uuid(char kind, uint32_t number, uint32_t index)
{
    flamenco_uuid uuid = { { 0 } };
    uuid.b[0] = (uint8_t)kind;
    uuid.b[1] = (uint8_t)number;
    uuid.b[13] = (uint8_t)(index >> 16);
    uuid.b[14] = (uint8_t)(index >> 8);
    uuid.b[15] = (uint8_t)index;
    return uuid;
}

static uint32_t uuid_index(const flamenco_uuid *uuid)
{
    return (uint32_t)uuid->b[13] << 16 | (uint32_t)uuid->b[14] << 8 | uuid->b[15];
}

/* Reads the next part of a comma-separated list; at its end, *text stays at the last part. */
static flamenco_str next_part(const char **text)
{
    size_t len = strcspn(*text, ",");
    flamenco_str part = { *text, len };
    if ((*text)[len] == ',')
        *text += len + 1;
    return part;
}

static uint32_t read_tasks(const char *text, char *letters, size_t room)
{
    uint32_t n = 0;
    while (text != NULL && *text != '\0') {
        char letter = *text++;
        unsigned long times = 1;
        if (*text == '*') {
            char *end = NULL;
            times = strtoul(text + 1, &end, 10);
            text = end;
        }
        if (*text == ',')
            ++text;
        for (; times > 0; --times) {
            assert_true(n < room);
            letters[n++] = letter;
        }
    }
    return n;
}

typedef struct dep_list {
    flamenco_dep deps[64];
    uint64_t n;
} dep_list;

static dep_list read_deps(const char *text)
{
    dep_list list = { .n = 0 };
    while (text != NULL && *text != '\0') {
        unsigned task = 0, needs = 0;
        int used = 0;
        assert_int_equal(sscanf(text, "%u-%u%n", &task, &needs, &used), 2);
        list.deps[list.n++] = (flamenco_dep){ task, needs };
        text += used + (text[used] == ',' ? 1 : 0);
    }
    return list;
}

/* Stores the tasks of a job. Returns how many. */
static void insert_tasks(farm *f, int64_t job_key, const farm_job *job, const char *letters, uint32_t n,
                         const dep_list *deps)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const char *types = job->types != NULL ? job->types : "blender";
    const char *priorities = job->priorities != NULL ? job->priorities : "50";
    flamenco_new_task *rows = calloc(n > 0 ? n : 1, sizeof(*rows));
    assert_non_null(rows);
    for (uint32_t i = 0; i < n; ++i) {
        flamenco_new_task *row = &rows[i];
        *row = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(*row), .status = farm_task_status(letters[i]) };
        row->uuid = make_uuid('T', f->n_jobs, i + 1);
        row->priority = (int32_t)strtol(next_part(&priorities).ptr, NULL, 10);
        row->type = next_part(&types);
        row->created_us = row->updated_us = f->host.now_us;
        row->touched_us = FLAMENCO_TIME_NONE;
        row->steps_total = 3;
        row->steps_completed = letters[i] == 'C' ? 3 : letters[i] == 'A' || letters[i] == 'S' ? 1 : 0;
        row->name = flamenco_text("a task");
        row->activity = flamenco_text("as stored");
        row->commands = flamenco_text("[{\"name\":\"echo\"}]");
        for (uint64_t d = 0; d < deps->n; ++d)
            row->open_deps += deps->deps[d].task == i + 1 && letters[deps->deps[d].needs - 1] != 'C';
    }
    check(flamenco_persist_tasks_insert(&f->persist, &f->cx->cx, job_key, 1, rows, sizeof(*rows), n, &err), &err,
          "tasks");
    free(rows);
}

int64_t farm_add_job(farm *f, const farm_job *job)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    static char letters[20000];
    const uint32_t n = read_tasks(job->tasks, letters, sizeof(letters));
    const dep_list deps = read_deps(job->deps);
    assert_true(f->n_jobs < FARM_MAX_JOBS);
    ++f->n_jobs;
    flamenco_cx *cx = farm_begin(f);
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row), .status = job->status, .tag_key = job->tag_key };
    row.uuid = make_uuid('J', f->n_jobs, 0);
    row.priority = job->priority != 0 ? job->priority : 50;
    row.created_us = row.updated_us = f->host.now_us;
    row.delete_requested_us = FLAMENCO_TIME_NONE;
    row.n_tasks = n;
    row.name = flamenco_text("a job");
    row.type = flamenco_text("simple");
    row.activity = flamenco_text(job->activity);
    row.settings = flamenco_text("{}");
    row.metadata = flamenco_text(job->metadata != NULL ? job->metadata : "{}");
    int64_t key = 0;
    check(flamenco_persist_job_insert_hidden(&f->persist, cx, &row, n, &key, &err), &err, "job");
    insert_tasks(f, key, job, letters, n, &deps);
    if (deps.n > 0)
        check(flamenco_persist_deps_insert(&f->persist, cx, key, deps.deps, deps.n, &err), &err, "dependencies");
    check(flamenco_persist_job_show(&f->persist, cx, key, NULL, &err), &err, "show");
    farm_commit(f);
    f->job_keys[f->n_jobs - 1] = key;
    return key;
}

int64_t farm_add_worker(farm *f, const char *task_types, uint32_t status)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    char name[16];
    int64_t key = 0;
    (void)snprintf(name, sizeof(name), "worker%u", ++f->n_workers);
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row), .status = status };
    row.uuid = make_uuid('W', f->n_workers, 0);
    row.created_us = row.updated_us = row.seen_us = f->host.now_us;
    row.deleted_us = FLAMENCO_TIME_NONE;
    row.name = flamenco_text(name);
    row.address = flamenco_text("::1");
    row.platform = flamenco_text("linux");
    row.software = flamenco_text("3.9");
    row.task_types = flamenco_text(task_types);
    row.secret_hash = flamenco_text("x");
    check(flamenco_persist_worker_insert(&f->persist, cx, &row, &key, &err), &err, "worker");
    farm_commit(f);
    return key;
}

int64_t farm_add_tag(farm *f, const char *name)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(f);
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row), .name = flamenco_text(name) };
    int64_t key = 0;
    row.uuid = make_uuid('G', (uint32_t)name[0], (uint32_t)name[1]);
    check(flamenco_persist_tag_insert(&f->persist, cx, &row, &key, &err), &err, "tag");
    farm_commit(f);
    return key;
}

void farm_tag_worker(farm *f, uint32_t worker, int64_t tag_key)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    check(flamenco_persist_worker_set_tags(&f->persist, cx, row.key, &tag_key, 1, &err), &err, "tags");
    farm_commit(f);
}

flamenco_job farm_job_row(farm *f, uint32_t job)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    flamenco_uuid uuid = make_uuid('J', job, 0);
    check(flamenco_persist_job_get(&f->persist, &f->cx->cx, &uuid, &row, &err), &err, "job row");
    return row;
}

flamenco_task farm_task_row(farm *f, uint32_t job, uint32_t index)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_task row = { .struct_size = (uint32_t)sizeof(row) };
    flamenco_uuid uuid = make_uuid('T', job, index);
    check(flamenco_persist_task_find(&f->persist, &f->cx->cx, &uuid, &row, &err), &err, "task row");
    return row;
}

flamenco_worker farm_worker_row(farm *f, uint32_t worker)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    flamenco_uuid uuid = make_uuid('W', worker, 0);
    check(flamenco_persist_worker_get(&f->persist, &f->cx->cx, &uuid, &row, &err), &err, "worker row");
    return row;
}

void farm_set_task(farm *f, uint32_t job, uint32_t index, char status, uint32_t worker)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_task task = farm_task_row(f, job, index);
    flamenco_task_update update = {
        .struct_size = (uint32_t)sizeof(update),
        .set = FLAMENCO_TASK_SET_STATUS | (worker != 0 ? FLAMENCO_TASK_SET_WORKER : 0),
        .status = farm_task_status(status),
        .worker_key = worker != 0 ? farm_worker_row(f, worker).key : 0,
    };
    check(flamenco_persist_task_update(&f->persist, &f->cx->cx, task.key, &update, NULL, &err), &err, "task update");
}

/* ---- What is there now ----------------------------------------------------------------------------------------- */

typedef struct run_writer {
    char *out;
    size_t len;
    char letter;
    uint32_t times;
} run_writer;

static void end_run(run_writer *w)
{
    if (w->times == 0)
        return;
    const char *comma = w->len > 0 ? "," : "";
    int n;
    if (w->times > 3)
        n = snprintf(w->out + w->len, 256 - w->len, "%s%c*%u", comma, w->letter, w->times);
    else
        n = snprintf(w->out + w->len, 256 - w->len, "%s%.*s", comma, (int)(2 * w->times - 1),
                     (const char[]){ w->letter, ',', w->letter, ',', w->letter, '\0' });
    assert_true(n > 0 && w->len + (size_t)n < 256);
    w->len += (size_t)n;
    w->times = 0;
}

static int32_t write_letter(void *ctx, const flamenco_task *row)
{
    run_writer *w = ctx;
    char letter = LETTERS[row->status];
    if (w->times > 0 && letter != w->letter)
        end_run(w);
    w->letter = letter;
    ++w->times;
    return 0;
}

const char *farm_tasks(farm *f, uint32_t job, char *out)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    run_writer w = { .out = out };
    const flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    const int own = f->cx == NULL;
    out[0] = '\0';
    if (own)
        (void)farm_begin(f);
    check(
        flamenco_persist_tasks_list(&f->persist, &f->cx->cx, f->job_keys[job - 1], &page, write_letter, &w, NULL, &err),
        &err, "tasks");
    end_run(&w);
    if (own)
        farm_rollback(f);
    return out;
}

const char *farm_job_status(farm *f, uint32_t job)
{
    const int own = f->cx == NULL;
    if (own)
        (void)farm_begin(f);
    uint32_t status = farm_job_row(f, job).status;
    if (own)
        farm_rollback(f);
    return flamenco_job_status_text(status);
}

/* ---- What was told --------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void add(size_t *len, const char *sep, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(story + *len, sizeof(story) - *len, "%s", *len > 0 ? sep : "");
    *len += (size_t)n;
    va_start(args, fmt);
    n = vsnprintf(story + *len, sizeof(story) - *len, fmt, args);
    va_end(args);
    *len += (size_t)n;
    assert_true(*len < sizeof(story));
}

static const char *job_label(const flamenco_uuid *uuid)
{
    static char label[16];
    (void)snprintf(label, sizeof(label), "job%u", uuid->b[1]);
    if (uuid->b[1] == 1)
        label[3] = '\0';
    return label;
}

const char *farm_story(farm *f)
{
    size_t len = 0;
    story[0] = '\0';
    for (size_t i = 0; i < f->host.n_records; ++i) {
        const fake_record *r = &f->host.records[i];
        if (r->what == FAKE_EMIT_TASK) {
            add(&len, "; ", "%s%stask%u ", r->task.b[1] == 1 ? "" : job_label(&r->task), r->task.b[1] == 1 ? "" : ".",
                uuid_index(&r->task));
            if (r->previous_status != FLAMENCO_PREVIOUS_NONE)
                add(&len, "", "%c>", LETTERS[r->previous_status]);
            add(&len, "", "%c", LETTERS[r->status]);
        } else if (r->what == FAKE_EMIT_JOB) {
            add(&len, "; ", "%s ", job_label(&r->job));
            if (r->previous_status != FLAMENCO_PREVIOUS_NONE)
                add(&len, "", "%s>", flamenco_job_status_text(r->previous_status));
            add(&len, "", "%s%s", flamenco_job_status_text(r->status),
                (r->flags & FLAMENCO_JOB_EVENT_REFRESH_TASKS) != 0 ? "+" : "");
        }
    }
    return story;
}

const char *farm_log(farm *f)
{
    size_t len = 0;
    story[0] = '\0';
    for (size_t i = 0; i < f->host.n_records; ++i) {
        const fake_record *r = &f->host.records[i];
        if (r->what == FAKE_TASK_LOG) {
            assert_int_equal(r->flags, 1);
            add(&len, "\n", "%s", r->text);
        }
    }
    return story;
}

const char *farm_wakes(farm *f)
{
    size_t len = 0;
    story[0] = '\0';
    for (size_t i = 0; i < f->host.n_records; ++i) {
        const fake_record *r = &f->host.records[i];
        if (r->what == FAKE_WAKE) {
            if (r->kind == FLAMENCO_WAKE_WORKER)
                add(&len, "; ", "worker");
            else
                add(&len, "; ", "%lld %s", (long long)r->key, r->text[0] != '\0' ? r->text : "*");
        }
    }
    return story;
}

void farm_forget(farm *f)
{
    assert_null(f->cx);
    fake_host_clear(&f->host);
}
