/* SPDX-License-Identifier: Apache-2.0
 *
 * test_plans.c - how SQLite means to run the statements: from an index, never through a whole table of tasks or jobs, never
 * by sorting in between. A plan that is lost shows here, not as a slow farm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"
#include "store.h"

/* Statements that go through a table on purpose: administration, or tables as small as the farm has workers. last_rendered, to
 * which jobs are compared when they go, has one row; what an INSERT of a job or worker shows is only run after a violation of
 * a foreign key. */
static const fl_sql scans[] = {
    FL_SQL_WORKER_INSERT,    FL_SQL_JOB_INSERT,        FL_SQL_LAST_RENDERED_DELETE, FL_SQL_JOB_DELETE,
    FL_SQL_JOBS_COUNT,       FL_SQL_JOBS_TOTAL_MARKED, FL_SQL_JOBS_TOTAL_HIDDEN,    FL_SQL_JOBS_MARK,
    FL_SQL_RUNQ_DROP_MARKED, FL_SQL_TASKS_OF_WORKER,   FL_SQL_TASKS_TIMED_OUT,      FL_SQL_WORKERS_TOTAL,
    FL_SQL_WORKERS_COUNT,    FL_SQL_WORKERS_TIMED_OUT, FL_SQL_WORKERS_CAPABLE,      FL_SQL_TAGS_LIST,
    FL_SQL_TAG_DROP_JOBS,    FL_SQL_SLEEP_DUE,         FL_SQL_SLEEP_LIST,           FL_SQL_CHECK_JOB_COUNT,
    FL_SQL_CHECK_DEPS,       FL_SQL_RUN_COUNT,         FL_SQL_RUN_COUNT_FOR,        FL_SQL_BULK_CLOSE_DEPS,
};
/* Statements that sort what little they find. */
static const fl_sql sorts[] = { FL_SQL_TASKS_TIMED_OUT, FL_SQL_BLOCK_LIST, FL_SQL_BULK_CLOSE_DEPS, FL_SQL_CHECK_DEPS };

static int is_in(const fl_sql *list, size_t n, fl_sql id)
{
    for (size_t i = 0; i < n; ++i) {
        if (list[i] == id)
            return 1;
    }
    return 0;
}

/* Writes all lines of the plan, one after the other. */
static void read_plan(fixture *f, const char *sql, char *out, size_t room)
{
    sqlite3_stmt *st = NULL;
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    if (sqlite3_prepare_v2(f->writer->db, explain, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sqlite3_errmsg(f->writer->db), sql);
    out[0] = '\0';
    while (sqlite3_step(st) == SQLITE_ROW) {
        size_t len = strlen(out);
        (void)snprintf(out + len, room - len, "%s; ", (const char *)sqlite3_column_text(st, 3));
    }
    sqlite3_finalize(st);
    sqlite3_free(explain);
}

static void every_statement_can_be_prepared_and_is_answered_from_an_index(void **state)
{
    fixture *f = *state;
    for (unsigned i = 0; i < FL_SQL_COUNT; ++i) {
        char plan[4096];
        fl_sql id = (fl_sql)i;
        read_plan(f, fl_sql_text(id), plan, sizeof(plan));
        if (strstr(plan, "SCAN ") != NULL && strstr(plan, "SCAN CONSTANT ROW") == NULL &&
            !is_in(scans, sizeof(scans) / sizeof(scans[0]), id))
            fail_msg("goes through a table: %s\n%s", fl_sql_text(id), plan);
        if (strstr(plan, "TEMP B-TREE") != NULL && !is_in(sorts, sizeof(sorts) / sizeof(sorts[0]), id))
            fail_msg("sorts: %s\n%s", fl_sql_text(id), plan);
        if (strstr(plan, "AUTOMATIC") != NULL && id != FL_SQL_CHECK_DEPS)
            fail_msg("makes an index for itself: %s\n%s", fl_sql_text(id), plan);
    }
}

static void hot_statements_use_the_index_made_for_them(void **state)
{
    static const struct {
        fl_sql id;
        const char *part;
    } cases[] = {
        { FL_SQL_TASK_HELD, "SEARCH t USING INDEX task_active (worker=?)" },
        { FL_SQL_TASKS_ACTIVE_OF_WORKER, "SEARCH t USING INDEX task_active (worker=?)" },
        { FL_SQL_TASKS_FAILED_OF_WORKER, "SEARCH t USING INDEX task_failed (worker=?)" },
        { FL_SQL_TASK_SHOWN, "SEARCH a USING INDEX task_active (worker=?)" },
        { FL_SQL_TASKS_TIMED_OUT, "SCAN t USING INDEX task_active" },
        { FL_SQL_TASK_FIND, "SEARCH t USING INDEX task_uuid (uuid=?)" },
        { FL_SQL_TASK_GET, "SEARCH t USING INDEX task_uuid (uuid=?)" },
        { FL_SQL_TASK_RUNNABLE, "SEARCH t USING INDEX task_run (job=? AND type=?)" },
        { FL_SQL_RUN_HEAD, "SEARCH task USING INDEX task_run (job=? AND type=?)" },
        { FL_SQL_RUN_NEXT_TYPE, "SEARCH task USING INDEX task_run (job=? AND type>?)" },
        { FL_SQL_RUN_COUNT, "SEARCH task USING INDEX task_run (job=? AND type=?)" },
        { FL_SQL_RUNQ_NEXT, "SEARCH r USING PRIMARY KEY (tag=? AND type=? AND (njp,ntp,job)>(?,?,?))" },
        { FL_SQL_RUNQ_NEXT, "SEARCH b USING PRIMARY KEY (job=? AND type=? AND worker=?)" },
        { FL_SQL_RUNQ_SHARE_NEXT, "INDEX runq_share (tag=? AND type=? AND share=? AND (njp,ntp,job)>(?,?,?))" },
        { FL_SQL_RUNQ_SHARE_NEXT, "SEARCH b USING PRIMARY KEY (job=? AND type=? AND worker=?)" },
        { FL_SQL_RUNQ_NEXT_SHARE, "INDEX runq_share (tag=? AND type=? AND share>?)" },
        { FL_SQL_RUNQ_GET, "runq_job (job=? AND type=?)" },
        { FL_SQL_DEPENDANTS, "SEARCH dep USING PRIMARY KEY (needs=?)" },
        { FL_SQL_BULK_SCAN, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" },
        { FL_SQL_BULK_UPDATE, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" },
        { FL_SQL_TASKS_DELETE, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" },
        { FL_SQL_FAILURES_OF_WORKER, "SEARCH f USING COVERING INDEX failure_worker (worker=? AND task>? AND task<?)" },
        { FL_SQL_JOBS_TOTAL_MARKED, "USING INDEX job_marked" },
        { FL_SQL_JOBS_TOTAL_HIDDEN, "USING INDEX job_hidden (hidden=?)" },
        { FL_SQL_WORKER_GET, "SEARCH w USING INDEX worker_uuid (uuid=?)" },
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        char plan[4096];
        read_plan(f, fl_sql_text(cases[i].id), plan, sizeof(plan));
        if (strstr(plan, cases[i].part) == NULL)
            fail_msg("%s\nis run as %s\nnot by %s", fl_sql_text(cases[i].id), plan, cases[i].part);
    }
}

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

static int32_t on_task(void *ctx, const flamenco_task *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

/* The lists are put together from pieces: look at what was prepared. */
static void default_lists_walk_in_order_of_key(void **state)
{
    fixture *f = *state;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    const task_spec spec[] = { { "blender", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, spec, 1);
    for (page.descending = 0; page.descending < 2; ++page.descending) {
        char plan[4096];
        assert_int_equal(f->db->jobs_list(f->self, f->cx, &page, on_job, NULL, NULL, &f->err), 0);
        assert_int_equal(f->db->tasks_list(f->self, f->cx, job, &page, on_task, NULL, NULL, &f->err), 0);
        read_plan(f, sqlite3_sql(f->writer->lists[FL_LIST_JOBS + page.descending]), plan, sizeof(plan));
        assert_null(strstr(plan, "TEMP B-TREE"));
        read_plan(f, sqlite3_sql(f->writer->lists[FL_LIST_TASKS + page.descending]), plan, sizeof(plan));
        assert_null(strstr(plan, "TEMP B-TREE"));
        assert_null(strstr(plan, "SCAN"));
    }
    page.descending = 0;
    for (uint32_t flags = FLAMENCO_PAGE_DELETE_REQUESTED; flags <= FLAMENCO_PAGE_HIDDEN; ++flags) {
        char plan[4096];
        page.flags = flags;
        assert_int_equal(f->db->jobs_list(f->self, f->cx, &page, on_job, NULL, NULL, &f->err), 0);
        read_plan(
            f, sqlite3_sql(f->writer->lists[flags == FLAMENCO_PAGE_HIDDEN ? FL_LIST_JOBS_HIDDEN : FL_LIST_JOBS_MARKED]),
            plan, sizeof(plan));
        assert_null(strstr(plan, "TEMP B-TREE"));
        assert_non_null(strstr(plan, flags == FLAMENCO_PAGE_HIDDEN ? "job_hidden" : "job_marked"));
    }
}

/* Every list that the API can ask for: how its page is found, and whether what was found is sorted. */
static void lists_are_answered_from_an_index(void **state)
{
    enum { KEY, UPDATED, NAME, STATUS, PRIORITY };
    static const struct {
        uint32_t order;
        int some_statuses, since;
        const char *part;
        int sorts;
    } rows[] = {
        { KEY, 0, 0, "SEARCH h USING INTEGER PRIMARY KEY (rowid>?)", 0 },
        { UPDATED, 0, 0, "SCAN h USING INDEX job_updated", 0 },
        { NAME, 0, 0, "SCAN j USING INDEX job_name", 0 },
        { STATUS, 0, 0, "SCAN h USING INDEX job_status", 0 },
        { PRIORITY, 0, 0, "SCAN h USING INDEX job_prio", 0 },
        { STATUS, 1, 0, "SCAN h USING INDEX job_status", 0 },
        /* Few have that status: they are found and sorted. */
        { KEY, 1, 0, "SEARCH h USING INDEX job_status (status=?", 1 },
        { UPDATED, 1, 0, "SEARCH h USING INDEX job_status (status=?", 1 },
        { NAME, 1, 0, "SEARCH h USING INDEX job_status (status=?", 1 },
        { PRIORITY, 1, 0, "SEARCH h USING INDEX job_status (status=?", 1 },
        { UPDATED, 0, 1, "SEARCH h USING INDEX job_updated (updated>?)", 0 },
        { UPDATED, 1, 1, "SEARCH h USING INDEX job_updated (updated>?)", 0 },
        { KEY, 0, 1, "SEARCH h USING INDEX job_updated (updated>?)", 1 },
        { NAME, 0, 1, "SEARCH h USING INDEX job_updated (updated>?)", 1 },
        { STATUS, 1, 1, "SEARCH h USING INDEX job_updated (updated>?)", 1 },
    };
    fixture *f = *state;
    const task_spec spec[] = { { "blender", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, spec, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) * 2; ++i) {
        char plan[4096];
        size_t row = i / 2;
        flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                               .order = rows[row].order,
                               .limit = 50,
                               .status_mask = rows[row].some_statuses ? FLAMENCO_BIT(FLAMENCO_JOB_ACTIVE) : 0,
                               .updated_after_us = rows[row].since ? 17 : FLAMENCO_TIME_NONE,
                               .descending = i % 2 };
        uint64_t total = 0;
        for (size_t slot = 0; slot < FL_LIST_TASKS; ++slot) {
            sqlite3_finalize(f->writer->lists[slot]);
            f->writer->lists[slot] = NULL;
        }
        assert_int_equal(f->db->jobs_list(f->self, f->cx, &page, on_job, NULL, &total, &f->err), 0);
        size_t slot = 0;
        while (f->writer->lists[slot] == NULL)
            assert_true(++slot < FL_LIST_TASKS);
        read_plan(f, sqlite3_sql(f->writer->lists[slot]), plan, sizeof(plan));
        int is_sorted = strstr(plan, "TEMP B-TREE") != NULL;
        if (strstr(plan, rows[row].part) == NULL || is_sorted != rows[row].sorts || strstr(plan, "AUTOMATIC") != NULL)
            fail_msg("row %zu: %s", row, plan);
    }
    /* Tasks of a job are a range of rows, in whatever order they are wanted. */
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    for (page.order = KEY; page.order <= PRIORITY; ++page.order) {
        char plan[4096];
        assert_int_equal(f->db->tasks_list(f->self, f->cx, job, &page, on_task, NULL, NULL, &f->err), 0);
        read_plan(f, sqlite3_sql(f->writer->lists[FL_LIST_TASKS + page.order * 2]), plan, sizeof(plan));
        assert_non_null(strstr(plan, "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"));
        assert_null(strstr(plan, "SCAN"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_statement_can_be_prepared_and_is_answered_from_an_index),
        TEST(hot_statements_use_the_index_made_for_them),
        TEST(default_lists_walk_in_order_of_key),
        TEST(lists_are_answered_from_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
