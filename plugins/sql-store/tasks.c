/* SPDX-License-Identifier: Apache-2.0
 *
 * tasks.c - reading tasks and their dependencies. Methods of the service; what they promise stands in
 * flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

int32_t fl_task_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_GET);
    fl_bind_uuid(&q, 1, uuid);
    return fl_leave(&call, fl_task_out(&q, out, 1, "no such task"));
}

int32_t fl_task_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_task *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_GET_KEY);
    fl_bind_int(&q, 1, key);
    return fl_leave(&call, fl_task_out(&q, out, 1, "no such task"));
}

/* Reads the task alone, unless it is known. Returns 1, 0: there is none, or a negative error. Its texts are valid until q ends. */
static int32_t read_alone(fl_query *q, const flamenco_uuid *uuid, flamenco_task *row)
{
    int32_t rc = fl_known_task_get(q->s, uuid, row);
    if (rc != 0)
        return rc;
    fl_bind_uuid(q, 1, uuid);
    rc = fl_query_step(q);
    if (rc <= 0)
        return rc;
    rc = fl_task_read_alone(q, row);
    if (rc == FLAMENCO_OK)
        fl_known_task_keep(q->s, row);
    return rc == FLAMENCO_OK ? 1 : rc;
}

/* Reads a task in the writing session, which mostly knows it, its job and its worker. Returns 1; 0: the long way is needed, be it
 * to find nothing; or a negative error. */
static int32_t find_among_known(flamenco_session *s, const flamenco_uuid *uuid, flamenco_task *out)
{
    static const flamenco_str none = { "", 0 };
    fl_known_job job;
    flamenco_task row = { .uuid = *uuid, .worker_name = none, .worker_address = none, .commands = none };
    const flamenco_worker *worker = NULL;
    fl_query q = fl_query_begin(s, FL_SQL_TASK_FIND_ALONE);
    int32_t found = read_alone(&q, uuid, &row);
    if (found > 0)
        found = fl_known_job_get(s, row.job_key, &job);
    if (found > 0 && row.worker_key != 0) {
        worker = fl_known_worker_key(s, row.worker_key);
        found = worker != NULL;
    }
    if (found > 0) {
        row.job_uuid = job.uuid;
        row.index = (uint32_t)(row.key - job.first_task + 1);
        if (worker != NULL) {
            row.worker_uuid = worker->uuid;
            row.worker_name = worker->name;
            row.worker_address = worker->address;
        }
        flamenco_str *const texts[] = { &row.name,           &row.type,     &row.activity, &row.worker_name,
                                        &row.worker_address, &row.commands, NULL };
        int32_t kept = fl_texts_keep(s, texts);
        found = kept != FLAMENCO_OK ? kept : found;
    }
    int32_t rc = fl_query_end(&q, found);
    if (rc == FLAMENCO_OK && found > 0)
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    return rc == FLAMENCO_OK ? found : rc;
}

int32_t fl_task_find(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (call.s->kind == FLAMENCO_SESSION_WRITER) {
        rc = find_among_known(call.s, uuid, out);
        if (rc != 0)
            return fl_leave(&call, rc > 0 ? FLAMENCO_OK : rc);
    }
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_FIND);
    fl_bind_uuid(&q, 1, uuid);
    return fl_leave(&call, fl_task_out(&q, out, 0, "no such task"));
}

static int32_t tasks_total(flamenco_session *s, const fl_job_state *job, int64_t first, int64_t end,
                           const fl_page *page, uint64_t *out)
{
    int64_t n = 0;
    if (page->updated_after_us == FLAMENCO_TIME_NONE) {
        for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
            n += (page->mask >> i) & 1 ? job->n[i] : 0;
        *out = (uint64_t)n;
        return FLAMENCO_OK;
    }
    fl_query q = fl_query_begin(s, FL_SQL_TASKS_TOTAL);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    fl_bind_int(&q, 3, page->mask);
    fl_bind_time(&q, 4, page->updated_after_us);
    int32_t rc = fl_query_int(&q, 0, &n);
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)n;
    return rc;
}

/* ---- A job's tasks ----
 *
 * Of thousands of rows the job is the same, and the workers are a few: they are read once, not joined to each row. */

#define SHOWN_WORKERS 64u

typedef struct shown_worker {
    int64_t key; /* 0 = none */
    flamenco_uuid uuid;
    uint32_t deleted;
    flamenco_str name, address;
} shown_worker;

typedef struct task_rows {
    flamenco_uuid job_uuid;
    int64_t first;
    uint32_t with_commands;
    shown_worker workers[SHOWN_WORKERS]; /* by the last bits of the key */
} task_rows;

/* Reads what tasks show of a worker. One that does not exist shows nothing. */
static int32_t read_shown_worker(flamenco_session *s, int64_t key, shown_worker *out)
{
    fl_query q = fl_query_begin(s, FL_SQL_WORKER_SHOWN);
    fl_bind_int(&q, 1, key);
    *out = (shown_worker){ .key = key, .deleted = 1 };
    int32_t rc = fl_query_step(&q);
    if (rc > 0) {
        flamenco_str *const texts[] = { &out->name, &out->address, NULL };
        out->uuid = fl_column_uuid(&q, 0);
        out->deleted = fl_column_time(&q, 1) != FLAMENCO_TIME_NONE;
        out->name = fl_column_text(&q, 2);
        out->address = fl_column_text(&q, 3);
        rc = fl_texts_keep(s, texts);
    }
    return fl_query_end(&q, rc);
}

/* Completes a row by what is not in the task table. */
static int32_t complete_row(flamenco_session *s, task_rows *rows, flamenco_task *row)
{
    row->job_uuid = rows->job_uuid;
    row->index = (uint32_t)(row->key - rows->first + 1);
    if (row->worker_key == 0)
        return FLAMENCO_OK;
    shown_worker *w = &rows->workers[(uint64_t)row->worker_key % SHOWN_WORKERS];
    int32_t rc = w->key == row->worker_key ? FLAMENCO_OK : read_shown_worker(s, row->worker_key, w);
    row->worker_uuid = w->uuid;
    row->worker_deleted = w->deleted;
    if (!w->deleted) {
        row->worker_name = w->name;
        row->worker_address = w->address;
    }
    return rc;
}

static int32_t visit_tasks_of_job(fl_query *q, task_rows *rows, flamenco_visit_task visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_task row = { 0 };
        rc = fl_task_read_alone(q, &row);
        row.uuid = fl_column_uuid(q, FL_TASK_OWN_COLUMNS_COUNT);
        if (rows->with_commands)
            row.commands = fl_column_text(q, FL_TASK_OWN_COLUMNS_COUNT + 1);
        if (rc == FLAMENCO_OK)
            rc = complete_row(q->s, rows, &row);
        if (rc == FLAMENCO_OK)
            rc = q->rc;
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}

static const char *const task_orders[] = { "t.id", "t.updated", "t.name", "t.status", "t.prio" };

/* Without a filter the keys of a job's tasks have no gaps: an offset is a key, and nothing need be walked over. */
static void skip_by_key(fl_page *page, int64_t *first, int64_t *end)
{
    const int64_t all = (1 << FLAMENCO_TASK_STATUSES) - 1, n = *end - *first;
    if (page->order != FLAMENCO_ORDER_KEY || page->mask != all || page->updated_after_us != FLAMENCO_TIME_NONE ||
        page->after_key >= *first || page->offset <= 0)
        return;
    int64_t skipped = page->offset < n ? page->offset : n;
    *first += page->descending ? 0 : skipped;
    *end -= page->descending ? skipped : 0;
    page->offset = 0;
}

int32_t fl_tasks_list(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_page *page,
                      flamenco_visit_task visit, void *ctx, uint64_t *total_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_page p = { 0 };
    fl_job_state job = { .hidden = 1 };
    fl_known_job known = { .first_task = 0 };
    int64_t first = 0, end = 0;
    uint64_t total = 0;
    rc = fl_page_read(s, page, FLAMENCO_TASK_STATUSES, FLAMENCO_ORDER_PRIORITY, FLAMENCO_PAGE_WITH_COMMANDS, &p);
    if (rc == FLAMENCO_OK)
        rc = fl_job_state_get(s, job_key, &job);
    if (rc >= 0)
        rc = fl_job_range(s, job_key, &first, &end);
    if (rc >= 0 && !job.hidden)
        rc = fl_known_job_get(s, job_key, &known);
    if (rc >= 0 && !job.hidden && total_out != NULL)
        rc = tasks_total(s, &job, first, end, &p, &total);
    skip_by_key(&p, &first, &end);
    if (rc >= 0 && !job.hidden) {
        char sql[1024];
        uint32_t with_commands = (p.flags & FLAMENCO_PAGE_WITH_COMMANDS) != 0;
        size_t slot = (with_commands ? FL_LIST_TASKS_COMMANDS : FL_LIST_TASKS) + p.order * 2 + p.descending;
        (void)snprintf(sql, sizeof(sql),
                       "SELECT " FL_TASK_OWN_COLUMNS ",t.uuid%s FROM task t%s WHERE t.id>=?1 AND t.id<?2"
                       " AND " FL_IN_MASK("?3", "t.status") " AND (?4 IS NULL OR t.updated>?4) AND t.id>?7"
                                                            " ORDER BY %s%s%s LIMIT " FL_LIMIT("?5") " OFFSET ?6",
                       with_commands ? ",c.commands" : "", with_commands ? FL_TASK_COLD : "", task_orders[p.order],
                       p.descending ? FL_DESCENDING : FL_ASCENDING, p.order != FLAMENCO_ORDER_KEY ? ",t.id" : "");
        fl_query q = fl_query_begin_text(s, &s->lists[slot], sql);
        fl_bind_int(&q, 1, first);
        fl_bind_int(&q, 2, end);
        fl_bind_int(&q, 3, p.mask);
        fl_bind_time(&q, 4, p.updated_after_us);
        fl_bind_int(&q, 5, p.limit);
        fl_bind_int(&q, 6, p.offset);
        fl_bind_int(&q, 7, p.after_key);
        task_rows rows = { .job_uuid = known.uuid, .first = known.first_task, .with_commands = with_commands };
        rc = visit_tasks_of_job(&q, &rows, visit, ctx);
    }
    rc = rc > 0 ? FLAMENCO_OK : rc;
    if (rc == FLAMENCO_OK && total_out != NULL)
        *total_out = total;
    return fl_leave(&call, rc);
}

#define INDEXED_STATUSES (FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE) | FLAMENCO_BIT(FLAMENCO_TASK_FAILED))

static int32_t visit_by_index(flamenco_session *s, fl_sql id, int64_t worker_key, int64_t job_key,
                              flamenco_visit_task visit, void *ctx)
{
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, worker_key);
    fl_bind_int(&q, 2, job_key);
    return fl_tasks_visit(&q, visit, ctx);
}

/* Remembers that the visitor has ended the list, so that the second half of it is left out, too. */
typedef struct stoppable {
    flamenco_visit_task visit;
    void *ctx;
    int32_t stopped;
} stoppable;

static int32_t visit_stoppable(void *ctx, const flamenco_task *row)
{
    stoppable *both = ctx;
    both->stopped = both->visit(both->ctx, row);
    return both->stopped;
}

int32_t fl_tasks_of_worker(void *self, flamenco_cx *cx, int64_t worker_key, uint64_t status_mask, int64_t job_key,
                           flamenco_visit_task visit, void *ctx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    uint64_t mask = status_mask & (FLAMENCO_BIT(FLAMENCO_TASK_STATUSES) - 1);
    if ((mask & ~INDEXED_STATUSES) == 0) {
        stoppable both = { visit, ctx, 0 };
        if (mask & FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE))
            rc = visit_by_index(s, FL_SQL_TASKS_ACTIVE_OF_WORKER, worker_key, job_key, visit_stoppable, &both);
        if (rc == FLAMENCO_OK && both.stopped == 0 && (mask & FLAMENCO_BIT(FLAMENCO_TASK_FAILED)))
            rc = visit_by_index(s, FL_SQL_TASKS_FAILED_OF_WORKER, worker_key, job_key, visit_stoppable, &both);
        return fl_leave(&call, rc);
    }
    int64_t first = 0, end = 0;
    fl_query q;
    if (job_key != 0) {
        rc = fl_job_range(s, job_key, &first, &end);
        if (rc <= 0)
            return fl_leave(&call, rc);
        q = fl_query_begin(s, FL_SQL_TASKS_OF_WORKER_IN_JOB);
        fl_bind_int(&q, 1, first);
        fl_bind_int(&q, 2, end);
        fl_bind_int(&q, 3, worker_key);
        fl_bind_int(&q, 4, (int64_t)mask);
    } else {
        q = fl_query_begin(s, FL_SQL_TASKS_OF_WORKER);
        fl_bind_int(&q, 1, worker_key);
        fl_bind_int(&q, 2, (int64_t)mask);
    }
    return fl_leave(&call, fl_tasks_visit(&q, visit, ctx));
}

int32_t fl_task_shown_for_worker(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out,
                                 flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_SHOWN);
    fl_bind_int(&q, 1, worker_key);
    return fl_leave(&call, fl_task_out(&q, out, 0, "the worker has no task"));
}

int32_t fl_tasks_timed_out(void *self, flamenco_cx *cx, int64_t touched_max_us, flamenco_visit_task visit, void *ctx,
                           flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TASKS_TIMED_OUT);
    fl_bind_int(&q, 1, touched_max_us);
    return fl_leave(&call, fl_tasks_visit(&q, visit, ctx));
}

int32_t fl_task_needs(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_task visit, void *ctx,
                      flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t job = 0, first = 0, end = 0;
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_STATE);
    fl_bind_int(&q, 1, task_key);
    rc = fl_query_int(&q, 0, &job);
    if (rc == FLAMENCO_OK)
        rc = fl_job_range(call.s, job, &first, &end);
    if (rc <= 0)
        return fl_leave(&call, rc);
    /* No index by the waiting task: it would cost every insert, and this reads the job's dependencies once. */
    q = fl_query_begin(call.s, FL_SQL_TASK_NEEDS);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    fl_bind_int(&q, 3, task_key);
    return fl_leave(&call, fl_tasks_visit(&q, visit, ctx));
}

int32_t fl_deps_list(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_dep visit, void *ctx,
                     flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_job_state job = { 0 };
    int64_t first = 0, end = 0;
    rc = fl_job_state_get(s, job_key, &job);
    if (rc > 0)
        rc = job.hidden ? 0 : fl_job_range(s, job_key, &first, &end);
    if (rc <= 0)
        return fl_leave(&call, rc);
    int32_t stop = 0;
    fl_query q = fl_query_begin(s, FL_SQL_DEPS_LIST);
    fl_bind_int(&q, 1, first);
    fl_bind_int(&q, 2, end);
    ++s->visiting;
    while (stop == 0 && (rc = fl_query_step(&q)) > 0) {
        flamenco_dep row = { (uint32_t)fl_column_int(&q, 0), (uint32_t)fl_column_int(&q, 1) };
        stop = visit(ctx, &row);
    }
    --s->visiting;
    return fl_leave(&call, fl_query_end(&q, rc));
}
