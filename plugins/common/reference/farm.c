/* SPDX-License-Identifier: Apache-2.0
 *
 * farm.c - imports workers, worker tags, who has which tag, and sleep schedules.
 */
#include "import.h"
#include "values.h"

/* No farm has more tags than this. */
#define TAGS_OF_WORKER 4096

/* Opens a list of rows; *st stays NULL when the release did not have the table. */
static int32_t open_list(fl_import *im, const char *table, const char *const *columns, const char *from,
                         sqlite3_stmt **st)
{
    int32_t rc = fl_source_has_table(&im->source, table, im->err);
    return rc <= 0 ? rc : fl_source_select(&im->source, table, columns, from, st, im->err);
}

/* ---- Workers ---- */

static uint32_t read_status(fl_row *row, int at, uint32_t otherwise)
{
    uint32_t status = otherwise;
    if (!fl_row_is_null(row, at) && flamenco_worker_status_parse(fl_row_bytes(row, at), &status) != FLAMENCO_OK) {
        fl_note_add(row->im, FL_NOTE_WORKER_STATUS, row->table, row->id);
        status = at == 9 ? FLAMENCO_WORKER_NONE : FLAMENCO_WORKER_OFFLINE;
    }
    return status;
}

static const char *const worker_columns[] = { "id",
                                              "created_at",
                                              "updated_at",
                                              "uuid",
                                              "secret",
                                              "name",
                                              "address",
                                              "platform",
                                              "software",
                                              "status_requested",
                                              "status",
                                              "last_seen_at",
                                              "lazy_status_request",
                                              "supported_task_types",
                                              "deleted_at",
                                              "can_restart",
                                              NULL };

static int32_t store_worker(fl_import *im, fl_row *row)
{
    int64_t key = 0;
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    worker.created_us = fl_row_time(row, 1);
    worker.updated_us = fl_row_time(row, 2);
    worker.uuid = fl_row_uuid(row, 3);
    worker.secret_hash = fl_row_text(row, 4);
    worker.name = fl_row_text(row, 5);
    worker.address = fl_row_text(row, 6);
    worker.platform = fl_row_text(row, 7);
    worker.software = fl_row_text(row, 8);
    worker.requested = read_status(row, 9, FLAMENCO_WORKER_NONE);
    worker.status = read_status(row, 10, FLAMENCO_WORKER_NONE);
    worker.seen_us = fl_row_time(row, 11);
    worker.lazy = worker.requested != FLAMENCO_WORKER_NONE && fl_row_bool(row, 12);
    worker.task_types = fl_row_text(row, 13);
    worker.deleted_us = fl_row_time(row, 14);
    worker.can_restart = (uint32_t)fl_row_bool(row, 15);
    if (worker.created_us == FLAMENCO_TIME_NONE)
        worker.created_us = worker.updated_us != FLAMENCO_TIME_NONE ? worker.updated_us : im->cx->now_us;
    if (row->rc != FLAMENCO_OK)
        return row->rc;
    int32_t rc = flamenco_persist_worker_insert(im->to, im->cx, &worker, &key, im->err);
    if (rc == FLAMENCO_E_EXISTS) {
        worker.uuid = fl_row_new_uuid(row);
        rc = row->rc != FLAMENCO_OK ? row->rc : flamenco_persist_worker_insert(im->to, im->cx, &worker, &key, im->err);
    }
    if (rc == FLAMENCO_OK)
        rc = fl_keys_add(im, &im->workers, row->id, key);
    ++im->counts.workers;
    return rc == FLAMENCO_OK ? fl_import_stored(im, 1) : rc;
}

static int32_t import_workers(fl_import *im)
{
    sqlite3_stmt *st = NULL;
    int32_t rc = open_list(im, "workers", worker_columns, "workers t ORDER BY t.id", &st);
    while (rc == FLAMENCO_OK && (rc = fl_source_step(&im->source, st, im->err)) > 0) {
        fl_row row = { im, st, "workers", sqlite3_column_int64(st, 0), FLAMENCO_OK };
        rc = store_worker(im, &row);
        fl_texts_drop(im);
    }
    sqlite3_finalize(st);
    return rc;
}

/* ---- Tags ---- */

/* Stores a tag; when its UUID or name is taken, or it has no name, with another one. The store does not say which of the two it
 * was, so one after the other is tried. */
static int32_t insert_tag(fl_import *im, fl_row *row, const flamenco_tag *tag, int64_t *key_out)
{
    char name[320];
    flamenco_tag other = *tag;
    int32_t rc = FLAMENCO_E_EXISTS;
    (void)snprintf(name, sizeof(name), "%.*s%s%lld%s", (int)(tag->name.len < 240 ? tag->name.len : 0),
                   tag->name.ptr != NULL ? tag->name.ptr : "", tag->name.len > 0 ? " (" : "tag ", (long long)row->id,
                   tag->name.len > 0 ? ")" : "");
    if (tag->name.len > 0)
        rc = flamenco_persist_tag_insert(im->to, im->cx, tag, key_out, im->err);
    if (rc == FLAMENCO_E_EXISTS) {
        other.name = flamenco_text(name);
        rc = flamenco_persist_tag_insert(im->to, im->cx, &other, key_out, im->err);
        if (rc == FLAMENCO_OK)
            fl_note_add(im, FL_NOTE_TAG_NAME, row->table, row->id);
    }
    if (rc == FLAMENCO_E_EXISTS) {
        other.uuid = fl_row_new_uuid(row);
        other.name = tag->name.len > 0 ? tag->name : other.name;
        rc = row->rc != FLAMENCO_OK ? row->rc : flamenco_persist_tag_insert(im->to, im->cx, &other, key_out, im->err);
    }
    if (rc == FLAMENCO_E_EXISTS) {
        other.name = flamenco_text(name);
        fl_note_add(im, FL_NOTE_TAG_NAME, row->table, row->id);
        rc = flamenco_persist_tag_insert(im->to, im->cx, &other, key_out, im->err);
    }
    return rc;
}

static int32_t import_tags(fl_import *im)
{
    static const char *const columns[] = { "id", "uuid", "name", "description", NULL };
    sqlite3_stmt *st = NULL;
    int32_t rc = open_list(im, "worker_tags", columns, "worker_tags t ORDER BY t.id", &st);
    while (rc == FLAMENCO_OK && st != NULL && (rc = fl_source_step(&im->source, st, im->err)) > 0) {
        int64_t key = 0;
        fl_row row = { im, st, "worker_tags", sqlite3_column_int64(st, 0), FLAMENCO_OK };
        flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag) };
        tag.uuid = fl_row_uuid(&row, 1);
        tag.name = fl_row_text(&row, 2);
        tag.description = fl_row_text(&row, 3);
        rc = row.rc != FLAMENCO_OK ? row.rc : insert_tag(im, &row, &tag, &key);
        if (rc == FLAMENCO_OK)
            rc = fl_keys_add(im, &im->tags, row.id, key);
        if (rc == FLAMENCO_OK)
            rc = fl_import_stored(im, 1);
        ++im->counts.tags;
        fl_texts_drop(im);
    }
    sqlite3_finalize(st);
    return rc;
}

/* The tags of one worker after the other. */
static int32_t import_memberships(fl_import *im)
{
    static const char *const columns[] = { "worker_id", "worker_tag_id", NULL };
    sqlite3_stmt *st = NULL;
    int64_t tags[TAGS_OF_WORKER], worker = 0;
    uint64_t n = 0;
    int32_t rc = open_list(im, "worker_tag_membership", columns,
                           "worker_tag_membership t ORDER BY t.worker_id,t.worker_tag_id", &st);
    if (rc != FLAMENCO_OK || st == NULL)
        return rc;
    while (rc >= 0 && (rc = fl_source_step(&im->source, st, im->err)) > 0) {
        int64_t id = sqlite3_column_int64(st, 0);
        int64_t of = fl_keys_find(&im->workers, id), tag = fl_keys_find(&im->tags, sqlite3_column_int64(st, 1));
        if (of != worker && n > 0) {
            rc = flamenco_persist_worker_set_tags(im->to, im->cx, worker, tags, n, im->err);
            n = 0;
        }
        worker = of;
        if (of == 0 || tag == 0 || n == TAGS_OF_WORKER)
            fl_note_add(im, FL_NOTE_ORPHAN, "worker_tag_membership", id);
        else if (n == 0 || tags[n - 1] != tag)
            tags[n++] = tag;
    }
    if (rc == FLAMENCO_OK && n > 0)
        rc = flamenco_persist_worker_set_tags(im->to, im->cx, worker, tags, n, im->err);
    sqlite3_finalize(st);
    return rc == FLAMENCO_OK ? fl_import_stored(im, im->workers.n) : rc;
}

/* ---- Sleep schedules ---- */

static int32_t store_schedule(fl_import *im, fl_row *row)
{
    char days[24];
    flamenco_sleep_schedule schedule = { .struct_size = (uint32_t)sizeof(schedule) };
    schedule.worker_key = fl_keys_find(&im->workers, sqlite3_column_int64(row->st, 1));
    if (schedule.worker_key == 0) {
        fl_note_add(im, FL_NOTE_ORPHAN, row->table, row->id);
        return FLAMENCO_OK;
    }
    schedule.start_minutes = schedule.end_minutes = -1;
    int good = fl_value_days(fl_row_bytes(row, 3), days) &
               fl_value_minutes(fl_row_bytes(row, 4), &schedule.start_minutes) &
               fl_value_minutes(fl_row_bytes(row, 5), &schedule.end_minutes);
    schedule.is_active = good && fl_row_bool(row, 2);
    schedule.days = flamenco_text(days);
    schedule.next_check_us = fl_row_time(row, 6);
    if (!good)
        fl_note_add(im, FL_NOTE_SLEEP, row->table, row->id);
    int32_t rc = row->rc != FLAMENCO_OK ? row->rc : flamenco_persist_sleep_set(im->to, im->cx, &schedule, im->err);
    return rc == FLAMENCO_OK ? fl_import_stored(im, 1) : rc;
}

static int32_t import_schedules(fl_import *im)
{
    static const char *const columns[] = { "id",         "worker_id", "is_active",  "days_of_week",
                                           "start_time", "end_time",  "next_check", NULL };
    sqlite3_stmt *st = NULL;
    int32_t rc = open_list(im, "sleep_schedules", columns, "sleep_schedules t ORDER BY t.id", &st);
    while (rc == FLAMENCO_OK && st != NULL && (rc = fl_source_step(&im->source, st, im->err)) > 0) {
        fl_row row = { im, st, "sleep_schedules", sqlite3_column_int64(st, 0), FLAMENCO_OK };
        rc = store_schedule(im, &row);
    }
    sqlite3_finalize(st);
    return rc;
}

int32_t fl_import_farm(fl_import *im)
{
    int32_t rc = import_workers(im);
    if (rc == FLAMENCO_OK)
        rc = import_tags(im);
    if (rc == FLAMENCO_OK)
        rc = import_memberships(im);
    return rc == FLAMENCO_OK ? import_schedules(im) : rc;
}
