/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - looks for damage: SQLite's own checks, and a recount of everything that is kept as a counter. Called by the core
 * in the background, and at start after an unclean stop.
 *
 * The work is cut into many short snapshots, because a snapshot holds the log back: one per table, then those of recount.c.
 */
#include "rows.h"
#include "table.h"

static int32_t finding(flamenco_session *s, const char *what, const char *detail)
{
    return fl_fail(s, FLAMENCO_E_CORRUPT, "%s: %s", what, detail);
}

/* Runs a check of SQLite's that gives rows of text; `good` is the only row that means nothing was found, or NULL when no row
 * does. */
static int32_t run_pragma(flamenco_session *s, const char *sql, const char *good)
{
    sqlite3_stmt *st = NULL;
    int32_t rc = FLAMENCO_OK;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fl_fail_sqlite(s, sqlite3_extended_errcode(s->db));
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text == NULL)
            text = "?";
        if (good == NULL || strcmp(text, good) != 0)
            rc = finding(s, sql, text);
    } else if (step != SQLITE_DONE) {
        rc = fl_fail_sqlite(s, sqlite3_extended_errcode(s->db));
    }
    sqlite3_finalize(st);
    return rc;
}

static const char *const tables[] = { "state",     "task_type", "tag",     "worker",    "worker_type",   "worker_tag",
                                      "sleep",     "job",       "job_hot", "job_count", "last_rendered", "task",
                                      "task_cold", "dep",       "runq",    "blocklist", "failure" };

static int32_t check_structure(flamenco_session *s, uint32_t full)
{
    int32_t rc = FLAMENCO_OK;
    if (full)
        rc = run_pragma(s, "PRAGMA integrity_check(1)", "ok");
    for (size_t i = 0; !full && i < sizeof(tables) / sizeof(tables[0]) && rc == FLAMENCO_OK; ++i) {
        char sql[64];
        (void)snprintf(sql, sizeof(sql), "PRAGMA quick_check(%s)", tables[i]);
        rc = run_pragma(s, sql, "ok");
    }
    return rc == FLAMENCO_OK ? run_pragma(s, "PRAGMA foreign_key_check", NULL) : rc;
}

int32_t fl_check_session(fl_store *store, flamenco_session *session, flamenco_cx *cx, uint32_t full,
                         flamenco_error *err)
{
    if (session == NULL || session->open || cx->txn != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "check needs a session outside a transaction");
    session->cx = cx;
    session->err = err;
    session->stopped = 0;
    __atomic_store_n(&session->interrupted, 0, __ATOMIC_RELEASE);
    int32_t rc = check_structure(session, full);
    session->cx = NULL;
    session->err = NULL;
    session->failed = 0;
    return rc == FLAMENCO_OK ? fl_recount_all(store, session, cx, err) : rc;
}

int32_t fl_check(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    return fl_check_session(self, session, cx, 0, err);
}
