/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - imports jobs, one after the other, with their tasks, blocklist, failure lists and the last-rendered record.
 */
#include "import.h"

#include <stdlib.h>

#include "values.h"

typedef struct job_reader {
    fl_import *im;
    fl_task_reader tasks;
    sqlite3_stmt *jobs, *blocks, *failures;
} job_reader;

/* What belongs to a job, in the order in which it is stored: not every release had an index for it. Rows without their other
 * half are left out here, and counted by COUNT_ORPHANS. */
static const char make_tables[] =
    "CREATE TEMP TABLE ord(job INTEGER NOT NULL, idx INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(job,idx,id))"
    " WITHOUT ROWID;"
    "CREATE TEMP TABLE need(task INTEGER NOT NULL, needs INTEGER NOT NULL, PRIMARY KEY(task,needs)) WITHOUT ROWID;"
    "CREATE TEMP TABLE fail(job INTEGER NOT NULL, task INTEGER NOT NULL, worker INTEGER NOT NULL,"
    " PRIMARY KEY(job,task,worker)) WITHOUT ROWID;"
    "CREATE TEMP TABLE block(job INTEGER NOT NULL, worker INTEGER NOT NULL, type TEXT NOT NULL,"
    " PRIMARY KEY(job,worker,type)) WITHOUT ROWID;";

typedef struct filler {
    const char *table, *column; /* that the release must have */
    const char *sql;
} filler;

static const filler fillers[] = {
    { "tasks", "index_in_job",
      "INSERT INTO ord SELECT t.job_id,coalesce(CAST(t.index_in_job AS INTEGER),4611686018427387904),t.id FROM tasks t"
      " WHERE EXISTS(SELECT 1 FROM jobs j WHERE j.id=t.job_id)" },
    { "task_dependencies", "dependency_id",
      "INSERT OR IGNORE INTO need SELECT task_id,dependency_id FROM task_dependencies" },
    { "task_failures", "worker_id",
      "INSERT OR IGNORE INTO fail SELECT t.job_id,t.id,f.worker_id FROM task_failures f CROSS JOIN tasks t"
      " ON t.id=f.task_id" },
    { "job_blocks", "worker_id", "INSERT OR IGNORE INTO block SELECT job_id,worker_id,task_type FROM job_blocks" },
};

/* For releases that did not number the tasks of a job. */
static const char by_rowid[] = "INSERT INTO ord SELECT t.job_id,0,t.id FROM tasks t"
                               " WHERE EXISTS(SELECT 1 FROM jobs j WHERE j.id=t.job_id)";

typedef struct orphans {
    const char *table, *sql; /* gives a number and an example */
    fl_note note;
} orphans;

static const orphans lost[] = {
    { "tasks", "SELECT count(*),min(id) FROM tasks t WHERE NOT EXISTS(SELECT 1 FROM jobs j WHERE j.id=t.job_id)",
      FL_NOTE_TASK_ORPHAN },
    { "task_dependencies",
      "SELECT count(*),min(n.task) FROM temp.need n WHERE NOT EXISTS(SELECT 1 FROM tasks t WHERE t.id=n.task)",
      FL_NOTE_DEPENDENCY },
    { "task_failures",
      "SELECT count(*),min(f.task_id) FROM task_failures f WHERE NOT EXISTS(SELECT 1 FROM temp.fail g"
      " WHERE g.task=f.task_id)",
      FL_NOTE_ORPHAN },
    { "job_blocks",
      "SELECT count(*),min(b.id) FROM job_blocks b WHERE NOT EXISTS(SELECT 1 FROM jobs j WHERE j.id=b.job_id)",
      FL_NOTE_ORPHAN },
};

static int32_t count_lost(fl_import *im, const orphans *o)
{
    sqlite3_stmt *st = NULL;
    int32_t rc = fl_source_has_table(&im->source, o->table, im->err);
    if (rc <= 0)
        return rc;
    if (sqlite3_prepare_v2(im->source.db, o->sql, -1, &st, NULL) != SQLITE_OK)
        return fl_source_fail(&im->source, im->err);
    rc = fl_source_step(&im->source, st, im->err);
    if (rc > 0 && sqlite3_column_int64(st, 0) > 0)
        fl_note_add_many(im, o->note, o->table, sqlite3_column_int64(st, 1), (uint64_t)sqlite3_column_int64(st, 0));
    sqlite3_finalize(st);
    return rc < 0 ? rc : FLAMENCO_OK;
}

static int32_t fill_tables(fl_import *im)
{
    int32_t rc = fl_source_run(&im->source, make_tables, im->err);
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]) && rc == FLAMENCO_OK; ++i) {
        rc = fl_source_has_column(&im->source, fillers[i].table, fillers[i].column, im->err);
        if (rc >= 0)
            rc = rc > 0   ? fl_source_run(&im->source, fillers[i].sql, im->err)
                 : i == 0 ? fl_source_run(&im->source, by_rowid, im->err)
                          : FLAMENCO_OK;
    }
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]) && rc == FLAMENCO_OK; ++i)
        rc = count_lost(im, &lost[i]);
    return rc;
}

static int32_t find_last_rendered(fl_import *im)
{
    static const char *const columns[] = { "job_id", NULL };
    sqlite3_stmt *st = NULL;
    int32_t rc = fl_source_has_table(&im->source, "last_rendereds", im->err);
    if (rc > 0)
        rc = fl_source_select(&im->source, "last_rendereds", columns, "last_rendereds t ORDER BY t.id LIMIT 1", &st,
                              im->err);
    if (st != NULL && rc == FLAMENCO_OK) {
        rc = fl_source_step(&im->source, st, im->err);
        if (rc > 0)
            im->last_rendered = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return rc < 0 ? rc : FLAMENCO_OK;
}

/* ---- One job ---- */

static flamenco_str read_json(fl_row *row, int at, int metadata)
{
    char *changed = NULL;
    flamenco_str json = fl_row_bytes(row, at), out = flamenco_text("{}");
    if (row->rc != FLAMENCO_OK || fl_row_is_null(row, at))
        return out;
    int32_t how = metadata ? fl_value_metadata(json, &changed) : (int32_t)fl_value_settings(json);
    if (how < 0)
        row->rc = fl_import_nomem(row->im);
    else if (how != FL_JSON_GOOD)
        fl_note_add(row->im, FL_NOTE_JOB_JSON, row->table, row->id);
    if (how == FL_JSON_GOOD)
        out = fl_row_keep(row, json);
    else if (how == FL_JSON_CHANGED)
        out = fl_row_keep(row, flamenco_text(changed));
    free(changed);
    return out;
}

static int32_t read_job(fl_import *im, fl_row *row, flamenco_job *job)
{
    *job = (flamenco_job){ .struct_size = (uint32_t)sizeof(*job) };
    job->created_us = fl_row_time(row, 1);
    job->updated_us = fl_row_time(row, 2);
    job->uuid = fl_row_uuid(row, 3);
    job->name = fl_row_text(row, 4);
    job->type = fl_row_text(row, 5);
    job->priority = (int32_t)fl_row_int(row, 6, 50, INT32_MIN, INT32_MAX);
    job->activity = fl_row_text(row, 8);
    if (flamenco_job_status_parse(fl_row_bytes(row, 7), &job->status) != FLAMENCO_OK) {
        fl_note_add(im, FL_NOTE_JOB_STATUS, row->table, row->id);
        job->status = FLAMENCO_JOB_PAUSED; /* nobody works on it, and a person can do anything with it */
    }
    job->settings = read_json(row, 9, 0);
    job->metadata = read_json(row, 10, 1);
    job->delete_requested_us = fl_row_time(row, 11);
    job->shaman_checkout_id = fl_row_text(row, 12);
    if (!fl_row_is_null(row, 13)) {
        job->tag_key = fl_keys_find(&im->tags, sqlite3_column_int64(row->st, 13));
        if (job->tag_key == 0)
            fl_note_add(im, FL_NOTE_JOB_TAG, row->table, row->id);
    }
    if (job->created_us == FLAMENCO_TIME_NONE)
        job->created_us = job->updated_us != FLAMENCO_TIME_NONE ? job->updated_us : im->cx->now_us;
    if (job->updated_us == FLAMENCO_TIME_NONE)
        job->updated_us = job->created_us;
    return row->rc;
}

static int32_t import_blocks(job_reader *reader, int64_t job_id, int64_t job_key)
{
    fl_import *im = reader->im;
    (void)sqlite3_reset(reader->blocks);
    int32_t rc =
        sqlite3_bind_int64(reader->blocks, 1, job_id) == SQLITE_OK ? FLAMENCO_OK : fl_source_fail(&im->source, im->err);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->blocks, im->err)) > 0) {
        fl_row row = { im, reader->blocks, "job_blocks", job_id, FLAMENCO_OK };
        int64_t worker = fl_keys_find(&im->workers, sqlite3_column_int64(row.st, 0));
        flamenco_str type = fl_row_text(&row, 1);
        rc = row.rc;
        if (worker == 0)
            fl_note_add(im, FL_NOTE_ORPHAN, row.table, job_id);
        else if (rc == FLAMENCO_OK)
            rc = flamenco_persist_blocklist_add(im->to, im->cx, job_key, worker, type, im->err);
    }
    (void)sqlite3_reset(reader->blocks);
    return rc;
}

static int32_t keep_key(void *ctx, const flamenco_task *row)
{
    int64_t *key = ctx;
    *key = row->key;
    return 1;
}

/* The store's key of a task of the job, which is no longer hidden. */
static int32_t find_task_key(fl_import *im, int64_t job_key, uint32_t index, int64_t *out)
{
    const flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page), .offset = index - 1, .limit = 1, .updated_after_us = FLAMENCO_TIME_NONE
    };
    *out = 0;
    int32_t rc = flamenco_persist_tasks_list(im->to, im->cx, job_key, &page, keep_key, out, NULL, im->err);
    if (rc == FLAMENCO_OK && *out == 0)
        rc = flamenco_fail(im->err, FLAMENCO_E_INTERNAL, "an imported task is not found again");
    return rc;
}

static int32_t import_failures(job_reader *reader, int64_t job_id, int64_t job_key)
{
    fl_import *im = reader->im;
    (void)sqlite3_reset(reader->failures);
    int32_t rc = sqlite3_bind_int64(reader->failures, 1, job_id) == SQLITE_OK ? FLAMENCO_OK
                                                                              : fl_source_fail(&im->source, im->err);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader->failures, im->err)) > 0) {
        int64_t id = sqlite3_column_int64(reader->failures, 0), key = 0;
        int64_t worker = fl_keys_find(&im->workers, sqlite3_column_int64(reader->failures, 1));
        rc = FLAMENCO_OK;
        if (worker == 0) {
            fl_note_add(im, FL_NOTE_ORPHAN, "task_failures", id);
            continue;
        }
        uint64_t of_task = 0, of_worker = 0;
        rc = find_task_key(im, job_key, fl_tasks_index(&reader->tasks, id), &key);
        if (rc == FLAMENCO_OK)
            rc = flamenco_persist_failure_add(im->to, im->cx, key, worker, &of_task, &of_worker, im->err);
        if (rc == FLAMENCO_OK)
            rc = fl_import_stored(im, 1);
    }
    (void)sqlite3_reset(reader->failures);
    return rc;
}

static void tell_progress(fl_import *im)
{
    int64_t now = im->host->monotonic_us(im->host->h);
    if (now - im->told_us < INT64_C(5000000))
        return;
    im->told_us = now;
    im->host->log(im->host->h, FLAMENCO_LOG_INFO, "import: %llu jobs with %llu tasks so far",
                  (unsigned long long)im->counts.jobs, (unsigned long long)im->counts.tasks);
}

static int32_t import_job(job_reader *reader, fl_row *row)
{
    fl_import *im = reader->im;
    flamenco_job job;
    int64_t key = 0;
    int32_t rc = read_job(im, row, &job);
    if (rc == FLAMENCO_OK)
        rc = fl_tasks_outline(&reader->tasks, row->id);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_insert_hidden(im->to, im->cx, &job, reader->tasks.tasks.n, &key, im->err);
    if (rc == FLAMENCO_E_EXISTS) {
        job.uuid = fl_row_new_uuid(row);
        rc = row->rc != FLAMENCO_OK
                 ? row->rc
                 : flamenco_persist_job_insert_hidden(im->to, im->cx, &job, reader->tasks.tasks.n, &key, im->err);
    }
    fl_texts_drop(im);
    if (rc == FLAMENCO_OK)
        rc = fl_tasks_import(&reader->tasks, row->id, key);
    if (rc == FLAMENCO_OK)
        rc = import_blocks(reader, row->id, key);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_show(im->to, im->cx, key, NULL, im->err);
    if (rc == FLAMENCO_OK)
        rc = import_failures(reader, row->id, key);
    if (rc == FLAMENCO_OK && im->last_rendered == row->id)
        rc = flamenco_persist_last_rendered_set(im->to, im->cx, key, im->err);
    ++im->counts.jobs;
    fl_texts_drop(im);
    tell_progress(im);
    return rc == FLAMENCO_OK ? fl_import_stored(im, 1) : rc;
}

static int32_t open_reader(job_reader *reader, fl_import *im)
{
    static const char *const columns[] = { "id",
                                           "created_at",
                                           "updated_at",
                                           "uuid",
                                           "name",
                                           "job_type",
                                           "priority",
                                           "status",
                                           "activity",
                                           "settings",
                                           "metadata",
                                           "delete_requested_at",
                                           "storage_shaman_checkout_id",
                                           "worker_tag_id",
                                           NULL };
    *reader = (job_reader){ .im = im };
    int32_t rc = fl_task_reader_open(&reader->tasks, im);
    if (rc == FLAMENCO_OK)
        rc = fl_source_select(&im->source, "jobs", columns, "jobs t ORDER BY t.id", &reader->jobs, im->err);
    if (rc == FLAMENCO_OK && (sqlite3_prepare_v2(im->source.db, "SELECT worker,type FROM temp.block WHERE job=?1", -1,
                                                 &reader->blocks, NULL) != SQLITE_OK ||
                              sqlite3_prepare_v2(im->source.db, "SELECT task,worker FROM temp.fail WHERE job=?1", -1,
                                                 &reader->failures, NULL) != SQLITE_OK))
        rc = fl_source_fail(&im->source, im->err);
    return rc;
}

int32_t fl_import_jobs(fl_import *im)
{
    job_reader reader = { .im = im };
    int32_t rc = fill_tables(im);
    if (rc == FLAMENCO_OK)
        rc = find_last_rendered(im);
    if (rc == FLAMENCO_OK)
        rc = open_reader(&reader, im);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, reader.jobs, im->err)) > 0) {
        fl_row row = { im, reader.jobs, "jobs", sqlite3_column_int64(reader.jobs, 0), FLAMENCO_OK };
        rc = import_job(&reader, &row);
    }
    fl_task_reader_close(&reader.tasks);
    sqlite3_finalize(reader.jobs);
    sqlite3_finalize(reader.blocks);
    sqlite3_finalize(reader.failures);
    return rc;
}
