/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks.c - imports one job's tasks and their dependencies, some hundred rows at a time. Of a whole job only 16 bytes a task
 * are kept in memory.
 */
#include "import.h"

#include <stdlib.h>

#include "values.h"

#define ROWS_AT_ONCE 500
#define PAIRS_AT_ONCE 2000

int32_t fl_task_reader_open(fl_task_reader *reader, fl_import *im)
{
    static const char *const outline[] = { "id", "status", NULL };
    static const char *const columns[] = {
        "id",       "created_at", "updated_at",      "uuid",        "name",
        "type",     "priority",   "status",          "worker_id",   "last_touched_at",
        "commands", "activity",   "steps_completed", "steps_total", NULL
    };
    static const char from[] = "temp.ord o CROSS JOIN tasks t ON t.id=o.id WHERE o.job=?1 ORDER BY o.idx,o.id";
    *reader = (fl_task_reader){ .im = im };
    const fl_source *source = &im->source;
    int32_t rc = fl_source_select(source, "tasks", outline, from, &reader->outline, im->err);
    if (rc == FLAMENCO_OK)
        rc = fl_source_select(source, "tasks", columns, from, &reader->rows, im->err);
    if (rc == FLAMENCO_OK && (sqlite3_prepare_v2(source->db, "SELECT needs FROM temp.need WHERE task=?1", -1,
                                                 &reader->needs, NULL) != SQLITE_OK ||
                              sqlite3_prepare_v2(source->db,
                                                 "SELECT o.id,n.needs FROM temp.ord o CROSS JOIN temp.need n"
                                                 " ON n.task=o.id WHERE o.job=?1",
                                                 -1, &reader->pairs, NULL) != SQLITE_OK))
        rc = fl_source_fail(source, im->err);
    return rc;
}

void fl_task_reader_close(fl_task_reader *reader)
{
    sqlite3_finalize(reader->outline);
    sqlite3_finalize(reader->rows);
    sqlite3_finalize(reader->needs);
    sqlite3_finalize(reader->pairs);
    if (reader->im != NULL)
        reader->im->host->free(reader->im->host->h, reader->tasks.rows);
}

/* Makes the statement ready for another job or task. */
static int32_t begin(const fl_task_reader *reader, sqlite3_stmt *st, int64_t id)
{
    (void)sqlite3_reset(st);
    return sqlite3_bind_int64(st, 1, id) == SQLITE_OK ? FLAMENCO_OK
                                                      : fl_source_fail(&reader->im->source, reader->im->err);
}

/* ---- Which tasks ---- */

static int compare_tasks(const void *a, const void *b)
{
    const fl_job_task *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int32_t add_task(fl_task_reader *reader, int64_t id, uint32_t completed)
{
    fl_job_tasks *tasks = &reader->tasks;
    const flamenco_host *host = reader->im->host;
    if (tasks->n == UINT32_MAX)
        return flamenco_fail(reader->im->err, FLAMENCO_E_INVALID, "a job has too many tasks to be imported");
    if (tasks->n == tasks->room) {
        uint64_t room = tasks->room > 0 ? 2 * tasks->room : 1024;
        fl_job_task *rows = host->alloc(host->h, room * sizeof(*rows));
        if (rows == NULL)
            return fl_import_nomem(reader->im);
        if (tasks->n > 0)
            memcpy(rows, tasks->rows, tasks->n * sizeof(*rows));
        host->free(host->h, tasks->rows);
        tasks->rows = rows;
        tasks->room = room;
    }
    tasks->rows[tasks->n] = (fl_job_task){ id, (uint32_t)tasks->n + 1, completed };
    ++tasks->n;
    return FLAMENCO_OK;
}

int32_t fl_tasks_outline(fl_task_reader *reader, int64_t job_id)
{
    fl_import *im = reader->im;
    fl_job_tasks *tasks = &reader->tasks;
    int sorted = 1;
    tasks->n = 0;
    int32_t rc = begin(reader, reader->outline, job_id);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->outline, im->err)) > 0) {
        fl_row row = { im, reader->outline, "tasks", 0, FLAMENCO_OK };
        uint32_t completed = (uint32_t)flamenco_str_equal(fl_row_bytes(&row, 1), flamenco_text("completed"));
        rc = row.rc != FLAMENCO_OK ? row.rc : add_task(reader, sqlite3_column_int64(reader->outline, 0), completed);
        sorted = sorted && (tasks->n < 2 || tasks->rows[tasks->n - 2].id < tasks->rows[tasks->n - 1].id);
    }
    (void)sqlite3_reset(reader->outline);
    if (rc == FLAMENCO_OK && !sorted)
        qsort(tasks->rows, tasks->n, sizeof(*tasks->rows), compare_tasks);
    return rc;
}

static const fl_job_task *find_task(const fl_task_reader *reader, int64_t id)
{
    const fl_job_task wanted = { .id = id };
    const fl_job_tasks *tasks = &reader->tasks;
    return tasks->n > 0 ? bsearch(&wanted, tasks->rows, tasks->n, sizeof(wanted), compare_tasks) : NULL;
}

uint32_t fl_tasks_index(const fl_task_reader *reader, int64_t task_id)
{
    const fl_job_task *task = find_task(reader, task_id);
    return task != NULL ? task->index : 0;
}

/* ---- Rows ---- */

/* Counts the open dependencies of a task. */
static int32_t count_needs(const fl_task_reader *reader, int64_t task_id, uint32_t *out)
{
    fl_import *im = reader->im;
    *out = 0;
    int32_t rc = begin(reader, reader->needs, task_id);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->needs, im->err)) > 0) {
        int64_t id = sqlite3_column_int64(reader->needs, 0);
        const fl_job_task *needs = find_task(reader, id);
        if (needs == NULL || id == task_id)
            fl_note_add(im, FL_NOTE_DEPENDENCY, "task_dependencies", task_id);
        else
            *out += !needs->completed;
        rc = FLAMENCO_OK;
    }
    (void)sqlite3_reset(reader->needs);
    return rc;
}

static void read_status(fl_row *row, flamenco_new_task *task)
{
    if (flamenco_task_status_parse(fl_row_bytes(row, 7), &task->status) == FLAMENCO_OK)
        return;
    fl_note_add(row->im, FL_NOTE_TASK_STATUS, row->table, row->id);
    task->status = FLAMENCO_TASK_CANCELED;
}

/* A task whose commands are lost must not be handed out: a worker would do nothing, and call that a success. */
static void read_commands(fl_row *row, flamenco_new_task *task)
{
    char *changed = NULL;
    flamenco_str json = fl_row_bytes(row, 10);
    task->commands = flamenco_text("null");
    if (fl_row_is_null(row, 10))
        return;
    int32_t how = fl_value_commands(json, &changed);
    if (how < 0) {
        row->rc = fl_import_nomem(row->im);
    } else if (how == FL_JSON_BAD) {
        fl_note_add(row->im, FL_NOTE_TASK_COMMANDS, row->table, row->id);
        if (task->status == FLAMENCO_TASK_QUEUED || task->status == FLAMENCO_TASK_SOFT_FAILED ||
            task->status == FLAMENCO_TASK_ACTIVE || task->status == FLAMENCO_TASK_PAUSED) {
            task->status = FLAMENCO_TASK_FAILED;
            task->activity = flamenco_text("Its commands could not be read when the old database was imported");
        }
    } else {
        task->commands = fl_row_keep(row, changed != NULL ? flamenco_text(changed) : json);
    }
    free(changed);
}

static int32_t read_task(const fl_task_reader *reader, fl_row *row, flamenco_new_task *task)
{
    fl_import *im = row->im;
    *task = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(*task) };
    task->created_us = fl_row_time(row, 1);
    task->updated_us = fl_row_time(row, 2);
    task->uuid = fl_row_uuid(row, 3);
    task->name = fl_row_text(row, 4);
    task->type = fl_row_text(row, 5);
    task->priority = (int32_t)fl_row_int(row, 6, 50, INT32_MIN, INT32_MAX);
    read_status(row, task);
    if (!fl_row_is_null(row, 8)) {
        task->worker_key = fl_keys_find(&im->workers, sqlite3_column_int64(row->st, 8));
        if (task->worker_key == 0)
            fl_note_add(im, FL_NOTE_TASK_WORKER, row->table, row->id);
    }
    task->touched_us = fl_row_time(row, 9);
    task->activity = fl_row_text(row, 11);
    read_commands(row, task);
    task->steps_total = fl_row_int(row, 13, 0, 0, INT32_MAX);
    task->steps_completed = fl_row_int(row, 12, 0, 0, task->steps_total);
    if (task->created_us == FLAMENCO_TIME_NONE)
        task->created_us = task->updated_us != FLAMENCO_TIME_NONE ? task->updated_us : im->cx->now_us;
    if (task->updated_us == FLAMENCO_TIME_NONE)
        task->updated_us = task->created_us;
    return row->rc != FLAMENCO_OK ? row->rc : count_needs(reader, row->id, &task->open_deps);
}

typedef struct chunk {
    flamenco_new_task rows[ROWS_AT_ONCE];
    int64_t ids[ROWS_AT_ONCE];
    uint32_t n, first; /* index of rows[0] in the job */
} chunk;

/* Stores the rows; when a UUID is taken, one by one, and those that have it with a new one. */
static int32_t store_chunk(fl_import *im, int64_t job_key, chunk *c)
{
    int32_t rc = c->n == 0 ? FLAMENCO_OK
                           : flamenco_persist_tasks_insert(im->to, im->cx, job_key, c->first, c->rows,
                                                           sizeof(c->rows[0]), c->n, im->err);
    for (uint32_t i = 0, again = rc == FLAMENCO_E_EXISTS; again && i < c->n; ++i) {
        rc = flamenco_persist_tasks_insert(im->to, im->cx, job_key, c->first + i, &c->rows[i], sizeof(c->rows[0]), 1,
                                           im->err);
        if (rc == FLAMENCO_E_EXISTS) {
            fl_row row = { im, NULL, "tasks", c->ids[i], FLAMENCO_OK };
            c->rows[i].uuid = fl_row_new_uuid(&row);
            rc = row.rc != FLAMENCO_OK ? row.rc
                                       : flamenco_persist_tasks_insert(im->to, im->cx, job_key, c->first + i,
                                                                       &c->rows[i], sizeof(c->rows[0]), 1, im->err);
        }
        if (rc != FLAMENCO_OK)
            break;
    }
    fl_texts_drop(im);
    im->counts.tasks += c->n;
    uint32_t stored = c->n;
    c->first += c->n;
    c->n = 0;
    return rc == FLAMENCO_OK ? fl_import_stored(im, stored) : rc;
}

static int32_t import_rows(fl_task_reader *reader, int64_t job_id, int64_t job_key)
{
    fl_import *im = reader->im;
    chunk *c = im->host->alloc(im->host->h, sizeof(*c));
    if (c == NULL)
        return fl_import_nomem(im);
    c->n = 0;
    c->first = 1;
    int32_t rc = begin(reader, reader->rows, job_id);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->rows, im->err)) > 0) {
        fl_row row = { im, reader->rows, "tasks", sqlite3_column_int64(reader->rows, 0), FLAMENCO_OK };
        c->ids[c->n] = row.id;
        rc = read_task(reader, &row, &c->rows[c->n]);
        if (rc == FLAMENCO_OK && ++c->n == ROWS_AT_ONCE)
            rc = store_chunk(im, job_key, c);
    }
    (void)sqlite3_reset(reader->rows);
    if (rc == FLAMENCO_OK)
        rc = store_chunk(im, job_key, c);
    im->host->free(im->host->h, c);
    return rc;
}

/* ---- Dependencies ---- */

static int32_t store_pairs(fl_import *im, int64_t job_key, const flamenco_dep *pairs, uint64_t n)
{
    int32_t rc = n == 0 ? FLAMENCO_OK : flamenco_persist_deps_insert(im->to, im->cx, job_key, pairs, n, im->err);
    return rc == FLAMENCO_OK ? fl_import_stored(im, n) : rc;
}

static int32_t import_pairs(fl_task_reader *reader, int64_t job_id, int64_t job_key)
{
    fl_import *im = reader->im;
    flamenco_dep *pairs = im->host->alloc(im->host->h, PAIRS_AT_ONCE * sizeof(*pairs));
    uint64_t n = 0;
    if (pairs == NULL)
        return fl_import_nomem(im);
    int32_t rc = begin(reader, reader->pairs, job_id);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->pairs, im->err)) > 0) {
        int64_t task = sqlite3_column_int64(reader->pairs, 0), needs = sqlite3_column_int64(reader->pairs, 1);
        flamenco_dep pair = { fl_tasks_index(reader, task), fl_tasks_index(reader, needs) };
        rc = FLAMENCO_OK;
        if (pair.task == 0 || pair.needs == 0 || pair.task == pair.needs)
            continue; /* count_needs() has noted it */
        pairs[n++] = pair;
        if (n == PAIRS_AT_ONCE) {
            rc = store_pairs(im, job_key, pairs, n);
            n = 0;
        }
    }
    (void)sqlite3_reset(reader->pairs);
    if (rc == FLAMENCO_OK)
        rc = store_pairs(im, job_key, pairs, n);
    im->host->free(im->host->h, pairs);
    return rc;
}

int32_t fl_tasks_import(fl_task_reader *reader, int64_t job_id, int64_t job_key)
{
    int32_t rc = import_rows(reader, job_id, job_key);
    return rc == FLAMENCO_OK ? import_pairs(reader, job_id, job_key) : rc;
}
