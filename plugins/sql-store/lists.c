/* SPDX-License-Identifier: Apache-2.0
 *
 * lists.c - the list of jobs, in any order and any part of it, from an index. A method of the service; its promises stand in
 * flamenco/persistence.h.
 *
 * A list in some order walks that order's index and leaves out what was not asked for, until it has a page. Where that would
 * pass over most jobs, the few that were asked for are found first and sorted: those with a rare status (the kept counters
 * tell how many there are), and those that changed since a time.
 */
#include "rows.h"
#include "table.h"

#define FEW 1000 /* jobs that are cheaper to sort than to be looked for */
#define STATUS_PARAMETERS "?6,?7,?8,?9,?10,?11,?12,?13,?14,?15"
#define FIRST_STATUS_PARAMETER 6

typedef enum access {
    BY_ORDER, /* walks the index of the order */
    BY_STATUS, /* finds jobs by status, and sorts */
    BY_CHANGE, /* finds jobs that changed, and sorts */
    MARKED, /* those to be deleted, oldest request first */
    HIDDEN,
} access;

#define AROUND_HOT FL_JOIN "job j ON j.id=h.id LEFT JOIN tag g ON g.id=h.tag"

static const struct {
    const char *tables, *column, *key;
} orders[] = {
    [FLAMENCO_ORDER_KEY] = { "job_hot h" FL_NO_INDEX AROUND_HOT, NULL, "h.id" },
    [FLAMENCO_ORDER_UPDATED] = { "job_hot h" FL_INDEX("job_updated") AROUND_HOT, "h.updated", "h.id" },
    [FLAMENCO_ORDER_NAME] = { "job j" FL_INDEX("job_name") FL_JOIN
                              "job_hot h ON h.id=j.id LEFT JOIN tag g ON g.id=h.tag",
                              "j.name", "j.id" },
    [FLAMENCO_ORDER_STATUS] = { "job_hot h" FL_INDEX("job_status") AROUND_HOT, "h.status", "h.id" },
    [FLAMENCO_ORDER_PRIORITY] = { "job_hot h" FL_INDEX("job_prio") AROUND_HOT, "h.prio", "h.id" },
};

/* How many jobs have a status of the mask: from the kept counters. */
static int32_t count_by_status(flamenco_session *s, int64_t mask, uint64_t *out)
{
    uint64_t sum = 0;
    int32_t rc;
    fl_query q = fl_query_begin(s, FL_SQL_JOBS_COUNT);
    while ((rc = fl_query_step(&q)) > 0) {
        if ((mask >> fl_column_int(&q, 0)) & 1)
            sum += (uint64_t)fl_column_int(&q, 1);
    }
    rc = fl_query_end(&q, rc);
    if (rc == FLAMENCO_OK)
        *out = sum;
    return rc;
}

static int32_t jobs_total(flamenco_session *s, const fl_page *page, uint64_t *out)
{
    if (page->flags == 0 && page->updated_after_us == FLAMENCO_TIME_NONE)
        return count_by_status(s, page->mask, out);
    fl_sql id = page->flags & FLAMENCO_PAGE_HIDDEN             ? FL_SQL_JOBS_TOTAL_HIDDEN
                : page->flags & FLAMENCO_PAGE_DELETE_REQUESTED ? FL_SQL_JOBS_TOTAL_MARKED
                                                               : FL_SQL_JOBS_TOTAL;
    int64_t n = 0;
    fl_query q = fl_query_begin(s, id);
    fl_bind_int(&q, 1, page->mask);
    fl_bind_time(&q, 2, page->updated_after_us);
    int32_t rc = fl_query_int(&q, 0, &n);
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)n;
    return rc;
}

static int32_t choose(flamenco_session *s, const fl_page *p, access *out)
{
    const int64_t every = (int64_t)FLAMENCO_BIT(FLAMENCO_JOB_STATUSES) - 1;
    uint64_t matches = 0;
    *out = BY_ORDER;
    if (p->flags != 0) {
        *out = p->flags & FLAMENCO_PAGE_HIDDEN ? HIDDEN : MARKED;
    } else if (p->updated_after_us != FLAMENCO_TIME_NONE) {
        if (p->order != FLAMENCO_ORDER_UPDATED)
            *out = BY_CHANGE;
    } else if (p->mask != every && p->order != FLAMENCO_ORDER_STATUS) {
        int32_t rc = count_by_status(s, p->mask, &matches);
        if (rc != FLAMENCO_OK)
            return rc;
        if (matches <= FEW)
            *out = BY_STATUS;
    }
    return FLAMENCO_OK;
}

/* Writes the statement, and which place keeps it. */
static size_t write_sql(const fl_page *p, access how, char *sql, size_t room)
{
    const char *tables = orders[p->order].tables, *column = orders[p->order].column, *key = orders[p->order].key;
    const char *where = "h.hidden=0", *direction = p->descending ? FL_DESCENDING : FL_ASCENDING;
    size_t slot = FL_LIST_JOBS + (size_t)how * 10 + p->order * 2 + p->descending;
    switch (how) {
    case BY_ORDER:
        break;
    case BY_STATUS:
        tables = "job_hot h" FL_INDEX("job_status") AROUND_HOT;
        where = "h.hidden=0 AND h.status IN(" STATUS_PARAMETERS ")";
        break;
    case BY_CHANGE:
        tables = "job_hot h" FL_INDEX("job_updated") AROUND_HOT;
        break;
    case MARKED:
        slot = FL_LIST_JOBS_MARKED;
        tables = "job_hot h" FL_INDEX("job_marked") AROUND_HOT;
        where = "h.delete_requested IS NOT NULL AND h.hidden=0";
        column = "h.delete_requested";
        key = "h.id";
        direction = FL_ASCENDING;
        break;
    case HIDDEN:
        slot = FL_LIST_JOBS_HIDDEN;
        tables = "job_hot h" FL_INDEX("job_hidden") AROUND_HOT;
        where = "h.hidden=1";
        column = NULL;
        key = "h.id";
        direction = FL_ASCENDING;
        break;
    }
    /* A constant condition is no range for an index: the time is part of the text only where it is asked for. */
    const char *changed = how >= MARKED                               ? " AND (?2 IS NULL OR h.updated>?2)"
                          : p->updated_after_us != FLAMENCO_TIME_NONE ? " AND h.updated>?2"
                                                                      : "";
    if (how == BY_ORDER && changed[0] != '\0')
        slot = FL_LIST_JOBS_CHANGED + p->descending;
    (void)snprintf(sql, room,
                   "SELECT " FL_JOB_COLUMNS " FROM %s WHERE %s AND " FL_IN_MASK(
                       "?1", "h.status") "%s AND h.id>?5"
                                         " ORDER BY %s%s%s%s%s LIMIT " FL_LIMIT("?3") " OFFSET ?4",
                   tables, where, changed, column != NULL ? column : "", column != NULL ? direction : "",
                   column != NULL ? "," : "", key, direction);
    return slot;
}

static void bind_all(fl_query *q, const fl_page *p, access how)
{
    fl_bind_int(q, 1, p->mask);
    if (how >= MARKED || p->updated_after_us != FLAMENCO_TIME_NONE)
        fl_bind_time(q, 2, p->updated_after_us);
    fl_bind_int(q, 3, p->limit);
    fl_bind_int(q, 4, p->offset);
    fl_bind_int(q, 5, p->after_key);
    for (int status = 0; how == BY_STATUS && status < (int)FLAMENCO_JOB_STATUSES; ++status)
        fl_bind_int(q, FIRST_STATUS_PARAMETER + status, (p->mask >> status) & 1 ? status : -1);
}

int32_t fl_jobs_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                     uint64_t *total_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_page p;
    access how = BY_ORDER;
    uint64_t total = 0;
    rc = fl_page_read(s, page, FLAMENCO_JOB_STATUSES, FLAMENCO_ORDER_PRIORITY,
                      FLAMENCO_PAGE_DELETE_REQUESTED | FLAMENCO_PAGE_HIDDEN, &p);
    if (rc == FLAMENCO_OK && total_out != NULL)
        rc = jobs_total(s, &p, &total);
    if (rc == FLAMENCO_OK)
        rc = choose(s, &p, &how);
    if (rc != FLAMENCO_OK)
        return fl_leave(&call, rc);
    char sql[1024];
    size_t slot = write_sql(&p, how, sql, sizeof(sql));
    fl_query q = fl_query_begin_text(s, &s->lists[slot], sql);
    bind_all(&q, &p, how);
    rc = fl_jobs_visit(&q, visit, ctx);
    if (rc == FLAMENCO_OK && total_out != NULL)
        *total_out = total;
    return fl_leave(&call, rc);
}
