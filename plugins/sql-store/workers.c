/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.c - workers, what they are able to run, and the kept times of workers and tasks. Methods of the service; what they
 * promise stands in flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

/* Stores the task types of a worker one by one, for the scheduler. */
static int32_t set_types(flamenco_session *s, int64_t worker, flamenco_str types)
{
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_TYPES_DELETE);
    fl_bind_int(&q, 1, worker);
    int32_t rc = fl_query_run(&q);
    while (types.len > 0 && rc == FLAMENCO_OK) {
        const char *comma = memchr(types.ptr, ',', (size_t)types.len);
        flamenco_str name = { types.ptr, comma != NULL ? (uint64_t)(comma - types.ptr) : types.len };
        uint64_t used = name.len + (comma != NULL);
        types.ptr += used;
        types.len -= used;
        if (name.len == 0)
            continue;
        int64_t type = 0;
        rc = fl_type_number(s, name, 1, &type);
        if (rc < 0)
            return rc;
        q = fl_query_begin(s, FL_SQL_WORKER_TYPE_ADD);
        fl_bind_int(&q, 1, worker);
        fl_bind_int(&q, 2, type);
        rc = fl_query_run(&q);
    }
    return rc;
}

static int32_t check_statuses(flamenco_session *s, const flamenco_worker *row)
{
    if (row->status < FLAMENCO_WORKER_STATUSES && row->requested < FLAMENCO_WORKER_STATUSES &&
        row->last_good_status < FLAMENCO_WORKER_STATUSES)
        return FLAMENCO_OK;
    return fl_fail(s, FLAMENCO_E_INVALID, "unknown worker status %u, %u or %u", row->status, row->requested,
                   row->last_good_status);
}

int32_t fl_worker_insert(void *self, flamenco_cx *cx, const flamenco_worker *row, int64_t *key_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_worker w;
    int64_t key = 0;
    fl_row_in(&w, (uint32_t)sizeof(w), row);
    rc = check_statuses(call.s, &w);
    if (rc == FLAMENCO_OK) {
        fl_known_changed(call.s, FL_KNOWN_WORKERS); /* for when this is undone */
        fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_INSERT);
        fl_bind_uuid(&q, 1, &w.uuid);
        fl_bind_int(&q, 2, w.status);
        fl_bind_int(&q, 3, w.requested);
        fl_bind_int(&q, 4, w.lazy);
        fl_bind_int(&q, 5, w.can_restart);
        fl_bind_int(&q, 6, w.last_good_status);
        fl_bind_time(&q, 7, w.created_us);
        fl_bind_time(&q, 8, w.updated_us);
        fl_bind_time(&q, 9, w.seen_us);
        fl_bind_time(&q, 10, w.deleted_us);
        fl_bind_text(&q, 11, w.name);
        fl_bind_text(&q, 12, w.address);
        fl_bind_text(&q, 13, w.platform);
        fl_bind_text(&q, 14, w.software);
        fl_bind_text(&q, 15, w.task_types);
        fl_bind_text(&q, 16, w.secret_hash);
        rc = fl_query_int(&q, 0, &key);
    }
    if (rc == FLAMENCO_OK)
        rc = set_types(call.s, key, w.task_types);
    rc = fl_leave(&call, rc);
    if (rc == FLAMENCO_OK)
        *key_out = key;
    return rc;
}

int32_t fl_worker_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_worker *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_known_worker(call.s, uuid, out);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return fl_leave(&call, rc);
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_GET);
    fl_bind_uuid(&q, 1, uuid);
    rc = fl_worker_out(&q, &row);
    if (rc == FLAMENCO_OK) {
        fl_known_worker_keep(call.s, &row);
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    }
    return fl_leave(&call, rc);
}

int32_t fl_worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_GET_KEY);
    fl_bind_int(&q, 1, key);
    return fl_leave(&call, fl_worker_out(&q, out));
}

static const char *const worker_orders[] = { "w.id", "w.updated", "w.name", "w.status" };

int32_t fl_workers_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_worker visit, void *ctx,
                        uint64_t *total_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_page p = { 0 };
    int64_t total = 0;
    rc = fl_page_read(s, page, FLAMENCO_WORKER_STATUSES, FLAMENCO_ORDER_STATUS, FLAMENCO_PAGE_WITH_DELETED, &p);
    int64_t with_deleted = (p.flags & FLAMENCO_PAGE_WITH_DELETED) != 0;
    if (rc == FLAMENCO_OK && total_out != NULL) {
        fl_query q = fl_query_begin(s, FL_SQL_WORKERS_TOTAL);
        fl_bind_int(&q, 1, p.mask);
        fl_bind_time(&q, 2, p.updated_after_us);
        fl_bind_int(&q, 3, with_deleted);
        rc = fl_query_int(&q, 0, &total);
    }
    if (rc == FLAMENCO_OK) {
        char sql[512];
        (void)snprintf(
            sql, sizeof(sql),
            "SELECT " FL_WORKER_COLUMNS " FROM worker w WHERE " FL_IN_MASK(
                "?1", "w.status") " AND (?2 IS NULL OR w.updated>?2) AND (?3<>0 OR w.deleted IS NULL) AND w.id>?6"
                                  " ORDER BY %s%s%s LIMIT " FL_LIMIT("?4") " OFFSET ?5",
            worker_orders[p.order], p.descending ? FL_DESCENDING : FL_ASCENDING,
            p.order != FLAMENCO_ORDER_KEY ? ",w.id" : "");
        fl_query q = fl_query_begin_text(s, &s->lists[FL_LIST_WORKERS + p.order * 2 + p.descending], sql);
        fl_bind_int(&q, 1, p.mask);
        fl_bind_time(&q, 2, p.updated_after_us);
        fl_bind_int(&q, 3, with_deleted);
        fl_bind_int(&q, 4, p.limit);
        fl_bind_int(&q, 5, p.offset);
        fl_bind_int(&q, 6, p.after_key);
        rc = fl_workers_visit(&q, visit, ctx);
    }
    if (rc == FLAMENCO_OK && total_out != NULL)
        *total_out = (uint64_t)total;
    return fl_leave(&call, rc);
}

int32_t fl_workers_count(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_WORKER_STATUSES],
                         flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint64_t counts[FLAMENCO_WORKER_STATUSES] = { 0 };
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKERS_COUNT);
    rc = fl_query_step(&q);
    for (int i = 0; rc > 0 && i < (int)FLAMENCO_WORKER_STATUSES; ++i)
        counts[i] = (uint64_t)fl_column_int(&q, i);
    rc = fl_query_end(&q, rc);
    if (rc == FLAMENCO_OK)
        memcpy(counts_out, counts, sizeof(counts));
    return fl_leave(&call, rc);
}

#define EVERY_SET \
    (FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST | FLAMENCO_WORKER_SET_SIGN_ON | \
     FLAMENCO_WORKER_SET_LAST_GOOD | FLAMENCO_WORKER_SET_SEEN)

static int32_t update_worker(flamenco_session *s, int64_t key, uint32_t set, const flamenco_worker *row)
{
    fl_known_changed(s, FL_KNOWN_WORKERS);
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_UPDATE);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, s->cx->now_us);
    fl_bind_int(&q, 3, set);
    fl_bind_int(&q, 4, row->status);
    fl_bind_int(&q, 5, row->requested);
    fl_bind_int(&q, 6, row->lazy);
    fl_bind_text(&q, 7, row->name);
    fl_bind_text(&q, 8, row->address);
    fl_bind_text(&q, 9, row->software);
    fl_bind_text(&q, 10, row->task_types);
    fl_bind_int(&q, 11, row->can_restart);
    fl_bind_int(&q, 12, row->last_good_status);
    int64_t changed = 0;
    int32_t rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such worker");
    if (rc == FLAMENCO_OK && (set & FLAMENCO_WORKER_SET_SIGN_ON))
        rc = set_types(s, key, row->task_types);
    return rc;
}

int32_t fl_worker_update(void *self, flamenco_cx *cx, int64_t key, const flamenco_worker_update *update,
                         flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_worker_update u;
    flamenco_worker row = { 0 };
    fl_row_in(&u, (uint32_t)sizeof(u), update);
    if (u.row != NULL)
        fl_row_in(&row, (uint32_t)sizeof(row), u.row);
    if ((u.set & ~EVERY_SET) != 0 || (u.row == NULL && (u.set & ~FLAMENCO_WORKER_SET_SEEN) != 0))
        rc = fl_fail(call.s, FLAMENCO_E_INVALID, "unknown change %u, or no row", u.set);
    if (rc == FLAMENCO_OK && (u.set & FLAMENCO_WORKER_SET_STATUS) == 0)
        row.status = FLAMENCO_WORKER_NONE;
    if (rc == FLAMENCO_OK && (u.set & FLAMENCO_WORKER_SET_REQUEST) == 0)
        row.requested = FLAMENCO_WORKER_NONE;
    if (rc == FLAMENCO_OK && (u.set & FLAMENCO_WORKER_SET_LAST_GOOD) == 0)
        row.last_good_status = FLAMENCO_WORKER_NONE;
    if (rc == FLAMENCO_OK)
        rc = check_statuses(call.s, &row);
    if (rc == FLAMENCO_OK)
        rc = update_worker(call.s, key, u.set, &row);
    return fl_leave(&call, rc);
}

int32_t fl_worker_delete(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_known_changed(call.s, FL_KNOWN_WORKERS);
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_DELETE);
    fl_bind_int(&q, 1, key);
    fl_bind_int(&q, 2, cx->now_us);
    int64_t changed = 0;
    rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "no such worker");
    return fl_leave(&call, rc);
}

int32_t fl_worker_last_task(void *self, flamenco_cx *cx, int64_t worker_key, int64_t *task_key_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t task = -1;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_LAST_TASK_GET);
    fl_bind_int(&q, 1, worker_key);
    rc = fl_query_int(&q, -1, &task);
    if (rc == FLAMENCO_OK && task < 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "no such worker");
    if (rc == FLAMENCO_OK)
        *task_key_out = task;
    return fl_leave(&call, rc);
}

int32_t fl_worker_set_last_task(void *self, flamenco_cx *cx, int64_t worker_key, int64_t task_key, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t changed = 0;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_LAST_TASK);
    fl_bind_int(&q, 1, worker_key);
    fl_bind_int(&q, 2, task_key);
    rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "no such worker");
    return fl_leave(&call, rc);
}

int32_t fl_workers_timed_out(void *self, flamenco_cx *cx, int64_t seen_max_us, flamenco_visit_worker visit, void *ctx,
                             flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKERS_TIMED_OUT);
    fl_bind_int(&q, 1, seen_max_us);
    return fl_leave(&call, fl_workers_visit(&q, visit, ctx));
}

int32_t fl_workers_capable(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t task_key,
                           int64_t seen_since_us, uint64_t *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_job_state job = { 0 };
    int64_t type = 0, n = 0;
    rc = fl_job_state_visible(call.s, job_key, &job);
    if (rc == FLAMENCO_OK)
        rc = fl_type_number(call.s, task_type, 0, &type);
    if (rc > 0) {
        fl_query q = fl_query_begin(call.s, FL_SQL_WORKERS_CAPABLE);
        fl_bind_int(&q, 1, job_key);
        fl_bind_int(&q, 2, type);
        fl_bind_int(&q, 3, job.tag);
        fl_bind_int(&q, 4, task_key);
        fl_bind_int(&q, 5, seen_since_us);
        rc = fl_query_int(&q, 0, &n);
    }
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)n;
    return fl_leave(&call, rc);
}

int32_t fl_touches(void *self, flamenco_cx *cx, const flamenco_touch *rows, uint64_t stride, uint64_t n,
                   flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    for (uint64_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        flamenco_touch row;
        fl_row_in(&row, (uint32_t)sizeof(row), (const char *)rows + i * stride);
        if (row.what != FLAMENCO_TOUCH_WORKER_SEEN && row.what != FLAMENCO_TOUCH_TASK) {
            rc = fl_fail(call.s, FLAMENCO_E_INVALID, "unknown kind of touch %u", row.what);
            break;
        }
        if (row.what == FLAMENCO_TOUCH_WORKER_SEEN)
            fl_known_changed(call.s, FL_KNOWN_WORKERS);
        else
            fl_known_task_drop(call.s, row.key);
        fl_query q = fl_query_begin(call.s, row.what == FLAMENCO_TOUCH_TASK ? FL_SQL_TASK_TOUCH : FL_SQL_WORKER_SEEN);
        fl_bind_int(&q, 1, row.key);
        fl_bind_int(&q, 2, row.at_us);
        rc = fl_query_run(&q);
    }
    return fl_leave(&call, rc);
}
