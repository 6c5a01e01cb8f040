/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_verify.c - compares two stores row by row: each row is written down as a text, without the keys, which are the stores' own, and
 * the texts must be the same.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/copy.h"
#include "core/monotonic.h"

#define TASKS_AT_ONCE 500
#define ROW_END '\xFF' /* no text has it */

/* One store while it is written down. */
typedef struct side {
    fl_copy_store *store;
    const flamenco_persistence_ref *db;
    flamenco_cx *cx;
    flamenco_error *err;
    fl_buf text;
    uint64_t rows;
    int64_t last_key;
    int32_t rc; /* of a visitor */
} side;

/* ---- Writing down ---- */

static void add_number(side *s, int64_t value)
{
    fl_buf_printf(&s->text, "%" PRId64 " ", value);
}

static void add_text(side *s, flamenco_str text)
{
    fl_buf_printf(&s->text, "%" PRIu64 ":", text.len);
    fl_buf_add_str(&s->text, text);
    fl_buf_add_char(&s->text, ' ');
}

static void add_uuid(side *s, const flamenco_uuid *uuid)
{
    for (size_t i = 0; i < sizeof(uuid->b); ++i)
        fl_buf_printf(&s->text, "%02x", uuid->b[i]);
    fl_buf_add_char(&s->text, ' ');
}

static void end_row(side *s)
{
    fl_buf_add_char(&s->text, ROW_END);
    ++s->rows;
}

static int32_t on_tag(void *ctx, const flamenco_tag *row)
{
    side *s = ctx;
    add_uuid(s, &row->uuid);
    add_text(s, row->name);
    add_text(s, row->description);
    end_row(s);
    return 0;
}

static int32_t on_tag_of_worker(void *ctx, const flamenco_tag *row)
{
    add_uuid(ctx, &row->uuid);
    return 0;
}

/* The UUID of the worker's last task, as far as that can still be seen. */
static int32_t add_last_task(side *s, int64_t worker)
{
    int64_t key = 0;
    flamenco_task row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_worker_last_task(s->db, s->cx, worker, &key, s->err);
    if (rc == FLAMENCO_OK && key != 0)
        rc = flamenco_persist_task_get_key(s->db, s->cx, key, &row, s->err);
    add_uuid(s, &row.uuid);
    return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
}

static int32_t add_sleep(side *s, int64_t worker)
{
    flamenco_sleep_schedule row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_sleep_get(s->db, s->cx, worker, &row, s->err);
    if (rc != FLAMENCO_OK)
        return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
    add_number(s, row.is_active);
    add_number(s, row.start_minutes);
    add_number(s, row.end_minutes);
    add_number(s, row.next_check_us);
    add_text(s, row.days);
    return FLAMENCO_OK;
}

static int32_t on_worker(void *ctx, const flamenco_worker *row)
{
    side *s = ctx;
    add_uuid(s, &row->uuid);
    const int64_t numbers[] = { row->status,     row->requested,  row->lazy,    row->can_restart, row->last_good_status,
                                row->created_us, row->updated_us, row->seen_us, row->deleted_us };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i)
        add_number(s, numbers[i]);
    const flamenco_str texts[] = { row->name,     row->address,    row->platform,
                                   row->software, row->task_types, row->secret_hash };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
        add_text(s, texts[i]);
    s->rc = flamenco_persist_worker_tags(s->db, s->cx, row->key, on_tag_of_worker, s, s->err);
    if (s->rc == FLAMENCO_OK)
        s->rc = add_sleep(s, row->key);
    if (s->rc == FLAMENCO_OK)
        s->rc = add_last_task(s, row->key);
    end_row(s);
    return s->rc;
}

static int32_t write_people(side *s)
{
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .flags = FLAMENCO_PAGE_WITH_DELETED };
    int32_t rc = flamenco_persist_tags_list(s->db, s->cx, on_tag, s, s->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_workers_list(s->db, s->cx, &page, on_worker, s, NULL, s->err);
    return rc == FLAMENCO_OK ? s->rc : rc;
}

static int32_t write_counters(side *s)
{
    uint64_t jobs[FLAMENCO_JOB_STATUSES] = { 0 }, workers[FLAMENCO_WORKER_STATUSES] = { 0 };
    flamenco_job shown = { .struct_size = (uint32_t)sizeof(shown) };
    int32_t rc = flamenco_persist_jobs_count(s->db, s->cx, jobs, s->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_workers_count(s->db, s->cx, workers, s->err);
    for (size_t i = 0; i < FLAMENCO_JOB_STATUSES; ++i)
        add_number(s, (int64_t)jobs[i]);
    for (size_t i = 0; i < FLAMENCO_WORKER_STATUSES; ++i)
        add_number(s, (int64_t)workers[i]);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_rendered_get(s->db, s->cx, &shown, s->err);
    add_uuid(s, &shown.uuid);
    return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
}

static int32_t on_blocklist(void *ctx, const flamenco_blocklist_entry *row)
{
    side *s = ctx;
    add_uuid(s, &row->worker_uuid);
    add_text(s, row->task_type);
    end_row(s);
    return 0;
}

static int32_t on_failure(void *ctx, const flamenco_failure *row)
{
    side *s = ctx;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    s->rc = flamenco_persist_task_get_key(s->db, s->cx, row->task_key, &task, s->err);
    if (s->rc == FLAMENCO_OK)
        s->rc = flamenco_persist_worker_get_key(s->db, s->cx, row->worker_key, &worker, s->err);
    add_uuid(s, &task.uuid);
    add_uuid(s, &worker.uuid);
    end_row(s);
    return s->rc;
}

static int32_t on_dep(void *ctx, const flamenco_dep *row)
{
    side *s = ctx;
    add_number(s, row->needs);
    add_number(s, row->task);
    end_row(s);
    return 0;
}

/* The job's own row, its counters, its blocklist, failures and dependencies. */
static int32_t write_job(side *s, int64_t key)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_job_get_key(s->db, s->cx, key, &row, s->err);
    if (rc != FLAMENCO_OK)
        return rc;
    add_uuid(s, &row.uuid);
    add_uuid(s, &row.tag_uuid);
    const int64_t numbers[] = {
        row.status,      row.priority,        row.created_us,      row.updated_us, row.delete_requested_us,
        row.steps_total, row.steps_completed, (int64_t)row.n_tasks
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i)
        add_number(s, numbers[i]);
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        add_number(s, (int64_t)row.counts[i]);
    const flamenco_str texts[] = {
        row.name, row.type, row.activity, row.settings, row.metadata, row.shaman_checkout_id, row.submitter_platform
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
        add_text(s, texts[i]);
    end_row(s);
    rc = flamenco_persist_blocklist_list(s->db, s->cx, key, on_blocklist, s, s->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_failures_of_job(s->db, s->cx, key, on_failure, s, s->err);
    rc = rc == FLAMENCO_OK ? s->rc : rc;
    return rc == FLAMENCO_OK ? flamenco_persist_deps_list(s->db, s->cx, key, on_dep, s, s->err) : rc;
}

static int32_t on_task(void *ctx, const flamenco_task *row)
{
    side *s = ctx;
    add_uuid(s, &row->uuid);
    add_uuid(s, &row->worker_uuid);
    const int64_t numbers[] = { row->index,          row->status,         row->priority,   row->open_deps,
                                row->worker_deleted, row->created_us,     row->updated_us, row->touched_us,
                                row->steps_total,    row->steps_completed };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i)
        add_number(s, numbers[i]);
    const flamenco_str texts[] = { row->name, row->type, row->activity, row->commands };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
        add_text(s, texts[i]);
    end_row(s);
    s->last_key = row->key;
    return 0;
}

/* ---- Comparing ---- */

static void start_text(side *s)
{
    s->text.len = 0;
    s->rows = 0;
    s->rc = FLAMENCO_OK;
}

static int32_t compare(side *a, side *b, const char *what)
{
    if (a->text.failed || b->text.failed)
        return flamenco_fail(a->err, FLAMENCO_E_NOMEM, "out of memory");
    size_t least = a->text.len < b->text.len ? a->text.len : b->text.len, at = 0, row = 1;
    while (at < least && a->text.data[at] == b->text.data[at])
        row += a->text.data[at++] == ROW_END;
    if (at == a->text.len && at == b->text.len)
        return FLAMENCO_OK;
    return flamenco_fail(a->err, FLAMENCO_E_CORRUPT, "the copy differs in %s: row %zu, of %" PRIu64 " and %" PRIu64,
                         what, row, a->rows, b->rows);
}

static int32_t compare_tasks(side *a, side *b, int64_t a_job, int64_t b_job, const char *what)
{
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .limit = TASKS_AT_ONCE,
                           .flags = FLAMENCO_PAGE_WITH_COMMANDS };
    a->last_key = b->last_key = 0;
    for (;;) {
        start_text(a);
        start_text(b);
        page.after_key = a->last_key;
        int32_t rc = flamenco_persist_tasks_list(a->db, a->cx, a_job, &page, on_task, a, NULL, a->err);
        page.after_key = b->last_key;
        if (rc == FLAMENCO_OK)
            rc = flamenco_persist_tasks_list(b->db, b->cx, b_job, &page, on_task, b, NULL, b->err);
        if (rc == FLAMENCO_OK)
            rc = compare(a, b, what);
        if (rc != FLAMENCO_OK || a->rows < TASKS_AT_ONCE)
            return rc;
    }
}

static int32_t compare_job(side *a, side *b, int64_t a_job, int64_t b_job, size_t number)
{
    char what[64];
    (void)snprintf(what, sizeof(what), "job number %zu", number);
    start_text(a);
    start_text(b);
    int32_t rc = write_job(a, a_job);
    if (rc == FLAMENCO_OK)
        rc = write_job(b, b_job);
    if (rc == FLAMENCO_OK)
        rc = compare(a, b, what);
    (void)snprintf(what, sizeof(what), "the tasks of job number %zu", number);
    if (rc == FLAMENCO_OK)
        rc = compare_tasks(a, b, a_job, b_job, what);
    /* Rows that were asked for by key stay in the arenas as long as the snapshots. */
    fl_arena_reset(a->store->arena);
    fl_arena_reset(b->store->arena);
    return rc;
}

static int32_t compare_jobs(side *a, side *b)
{
    int64_t *a_jobs = NULL, *b_jobs = NULL, told_us = fl_monotonic_us();
    size_t a_n = 0, b_n = 0;
    int32_t rc = fl_copy_list_jobs(a->store, &a_jobs, &a_n, a->err);
    if (rc == FLAMENCO_OK)
        rc = fl_copy_list_jobs(b->store, &b_jobs, &b_n, b->err);
    if (rc == FLAMENCO_OK && a_n != b_n)
        rc = flamenco_fail(a->err, FLAMENCO_E_CORRUPT, "the copy has %zu jobs of %zu", b_n, a_n);
    for (size_t i = 0; i < a_n && rc == FLAMENCO_OK; ++i) {
        rc = compare_job(a, b, a_jobs[i], b_jobs[i], i + 1);
        if (rc == FLAMENCO_OK)
            fl_copy_progress(&told_us, "compared", i + 1, a_n);
    }
    free(a_jobs);
    free(b_jobs);
    return rc;
}

static int32_t compare_part(side *a, side *b, int32_t (*write)(side *), const char *what)
{
    start_text(a);
    start_text(b);
    int32_t rc = write(a);
    if (rc == FLAMENCO_OK)
        rc = write(b);
    return rc == FLAMENCO_OK ? compare(a, b, what) : rc;
}

int32_t fl_copy_verify(fl_copy_store *from, fl_copy_store *to, flamenco_error *err)
{
    side a = { .store = from, .db = &from->run.f.persist, .cx = &from->cx.pub, .err = err };
    side b = { .store = to, .db = &to->run.f.persist, .cx = &to->cx.pub, .err = err };
    int32_t rc = compare_part(&a, &b, write_people, "tags and workers");
    if (rc == FLAMENCO_OK)
        rc = compare_jobs(&a, &b);
    if (rc == FLAMENCO_OK)
        rc = compare_part(&a, &b, write_counters, "the numbers of jobs and workers, or the last picture");
    fl_buf_fini(&a.text);
    fl_buf_fini(&b.text);
    return rc;
}
