/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - sessions and transactions, and how every method begins and ends in one. Called by the executor through the
 * method table; fl_enter() and fl_leave() by all methods.
 */
#include "rows.h"
#include "table.h"

/* SQLite asks every so many steps of its machine: some 20 µs. */
#define STEPS_BETWEEN_LOOKS 1000

/* Ends a reader's statement that nobody waits for any more. */
static int on_progress(void *ctx)
{
    flamenco_session *s = ctx;
    const flamenco_cx *cx = s->cx;
    const flamenco_host *host = s->store->host;
    if (__atomic_load_n(&s->interrupted, __ATOMIC_ACQUIRE) != 0 || (cx != NULL && flamenco_cx_cancelled(cx)))
        s->stopped = FLAMENCO_E_CANCELLED;
    else if (cx != NULL && cx->deadline_us > 0 && host->monotonic_us(host->h) > cx->deadline_us)
        s->stopped = FLAMENCO_E_DEADLINE;
    return s->stopped != 0;
}

/* What the system said to the last write that failed; 0 = unknown. A failed commit leaves it with the log's file alone. */
static int system_reason(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int reason = sqlite3_system_errno(db);
    if (reason == 0 && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log) == SQLITE_OK &&
        log != NULL && log->pMethods != NULL &&
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &reason) != SQLITE_OK)
        reason = 0;
    return reason;
}

int32_t fl_fail_sqlite(flamenco_session *s, int sqlite_rc)
{
    int32_t code = fl_error_of(sqlite_rc);
    if (code == FLAMENCO_E_CANCELLED && s->stopped != 0)
        code = s->stopped;
    /* Some errors end the whole transaction behind our back, savepoints and all. */
    if (s->open && sqlite3_get_autocommit(s->db) && !fl_is_fatal(code) && s->failed == 0)
        s->failed = FLAMENCO_E_UNAVAILABLE;
    if (code == FLAMENCO_E_FULL)
        return fl_fail(s, code, "%s (%s)", sqlite3_errmsg(s->db), s->store->path);
    /* The system's reason tells people what to do: a read-only file system, a quota, a broken disk. */
    int reason = code == FLAMENCO_E_IO ? system_reason(s->db) : 0;
    if (reason != 0)
        return fl_fail(s, code, "%s: %s (%s)", sqlite3_errmsg(s->db), strerror(reason), s->store->path);
    return fl_fail(s, code, "%s",
                   code == FLAMENCO_E_DEADLINE    ? "the time for this call is over"
                   : code == FLAMENCO_E_CANCELLED ? "the call was given up"
                                                  : sqlite3_errmsg(s->db));
}

/* ---- Sessions ---- */

static void free_session(flamenco_session *s)
{
    for (size_t i = 0; i < FL_SQL_COUNT; ++i)
        sqlite3_finalize(s->statements[i]);
    for (size_t i = 0; i < FL_LISTS; ++i)
        sqlite3_finalize(s->lists[i]);
    for (size_t i = 0; i < FL_UPDATES; ++i)
        sqlite3_finalize(s->updates[i]);
    fl_types_fini(s);
    fl_known_fini(s);
    sqlite3_close(s->db);
    s->store->host->free(s->store->host->h, s);
}

int32_t fl_open(void *self, uint32_t kind, flamenco_session **out, flamenco_error *err)
{
    fl_store *store = self;
    const flamenco_host *host = store->host;
    if (kind > FLAMENCO_SESSION_WRITER)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "unknown kind of session: %u", kind);
    flamenco_session *s = host->alloc(host->h, sizeof(*s));
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(s, 0, sizeof(*s));
    s->store = store;
    s->kind = kind;
    s->txn.session = s;
    int32_t rc = FLAMENCO_OK;
    if (kind == FLAMENCO_SESSION_WRITER) {
        pthread_mutex_lock(&store->lock);
        if (store->writer != NULL) {
            rc = flamenco_fail(err, FLAMENCO_E_BUSY, "the writing session is open already");
        } else {
            store->writer = s;
            s->db = store->spare;
            store->spare = NULL;
        }
        pthread_mutex_unlock(&store->lock);
    }
    if (rc == FLAMENCO_OK && s->db == NULL)
        rc = fl_connection_open(store, kind, &s->db, err);
    if (rc != FLAMENCO_OK) {
        fl_close(store, s);
        return rc;
    }
    if (kind == FLAMENCO_SESSION_READER)
        sqlite3_progress_handler(s->db, STEPS_BETWEEN_LOOKS, on_progress, s);
    else
        fl_upkeep_attach(store, s->db);
    *out = s;
    return FLAMENCO_OK;
}

/* Undoes what is open. It may fail, as when memory is exhausted; then it is for the next transaction to try again. */
static int32_t close_transaction(flamenco_session *s, flamenco_error *err)
{
    return sqlite3_get_autocommit(s->db) ? FLAMENCO_OK : fl_connection_run(s->db, "ROLLBACK;", err);
}

void fl_close(void *self, flamenco_session *session)
{
    fl_store *store = self;
    if (session == NULL)
        return;
    if (session->open)
        (void)close_transaction(session, NULL);
    free_session(session);
    pthread_mutex_lock(&store->lock);
    if (store->writer == session)
        store->writer = NULL;
    pthread_mutex_unlock(&store->lock);
}

void fl_interrupt(void *self, flamenco_session *session)
{
    (void)self;
    /* In a statement that writes it would take the whole batch with it, not one savepoint. */
    if (session->kind != FLAMENCO_SESSION_READER)
        return;
    __atomic_store_n(&session->interrupted, 1, __ATOMIC_RELEASE);
    sqlite3_interrupt(session->db);
}

/* ---- Transactions ---- */

int32_t fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    fl_store *store = self;
    if (session == NULL || session->open || cx->txn != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "begin needs a session and a call chain without a transaction");
    uint32_t writer = session->kind == FLAMENCO_SESSION_WRITER;
    int32_t rc = close_transaction(session, err);
    if (rc != FLAMENCO_OK)
        return rc;
    session->cx = cx;
    session->err = err;
    session->failed = session->stopped = 0;
    __atomic_store_n(&session->interrupted, 0, __ATOMIC_RELEASE);
    fl_query q = fl_query_begin(session, writer ? FL_SQL_BEGIN_WRITE : FL_SQL_BEGIN_READ);
    rc = fl_query_run(&q);
    if (rc == FLAMENCO_OK && !writer) {
        /* BEGIN alone takes no snapshot: the first read does. */
        q = fl_query_begin(session, FL_SQL_SNAPSHOT);
        rc = fl_query_run(&q);
        if (rc != FLAMENCO_OK)
            (void)close_transaction(session, NULL);
    }
    if (writer && rc != FLAMENCO_OK)
        fl_store_note(store, rc, err != NULL ? err->text : NULL);
    session->cx = NULL;
    session->err = NULL;
    session->failed = 0;
    if (rc != FLAMENCO_OK)
        return rc;
    session->open = 1;
    session->in_savepoint = 0;
    fl_known_begin(session);
    cx->txn = &session->txn;
    return FLAMENCO_OK;
}

/* SQLite, which would copy every page that is changed, does not hear of it; what is changed is counted instead. */
int32_t fl_savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    int32_t rc = fl_begin_savepoint(cx, FL_SAVEPOINT_LEFT_OUT, err);
    if (rc == FLAMENCO_OK) {
        flamenco_session *s = fl_session_of(cx);
        s->savepoint_changes = fl_changes(s);
    }
    return rc;
}

int32_t fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter_savepoint(&call, cx, 1, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (call.s->savepoint == FL_SAVEPOINT_LEFT_OUT && fl_changes(call.s) != call.s->savepoint_changes)
        rc = fl_fail(call.s, FLAMENCO_E_UNAVAILABLE, "the savepoint cannot be undone alone");
    else if (call.s->savepoint == FL_SAVEPOINT_SET)
        rc = fl_run_statement(call.s, FL_SQL_ROLLBACK_TO);
    if (rc == FLAMENCO_OK)
        fl_rows_rollback(call.s);
    /* ROLLBACK TO leaves the savepoint open. */
    if (rc == FLAMENCO_OK && call.s->savepoint == FL_SAVEPOINT_SET)
        rc = fl_run_statement(call.s, FL_SQL_RELEASE);
    if (rc == FLAMENCO_OK)
        call.s->in_savepoint = 0;
    return fl_leave(&call, rc);
}

/* As close_transaction, by the statement that every reader needs after each request. */
static void undo_transaction(flamenco_session *s)
{
    flamenco_error *err = s->err;
    if (sqlite3_get_autocommit(s->db))
        return;
    s->err = NULL; /* what went wrong before is what people want to know; a failure here shows in what comes next */
    __atomic_store_n(&s->interrupted, 0, __ATOMIC_RELEASE);
    (void)fl_run_statement(s, FL_SQL_ROLLBACK);
    s->err = err;
}

void fl_end_transaction(flamenco_session *s, flamenco_cx *cx)
{
    flamenco_error why = FLAMENCO_ERROR_INIT;
    undo_transaction(s);
    if (close_transaction(s, &why) != FLAMENCO_OK)
        s->store->host->log(s->store->host->h, FLAMENCO_LOG_ERROR, "a rollback failed: %s", why.text);
    fl_rows_rollback(s);
    s->open = s->in_savepoint = 0;
    s->failed = 0;
    cx->txn = NULL;
}

int32_t fl_store_batch(flamenco_session *s, uint64_t batch_no)
{
    fl_query q = fl_query_begin(s, FL_SQL_BATCH_SET);
    fl_bind_int(&q, 1, (int64_t)batch_no);
    fl_bind_int(&q, 2, s->store->epoch);
    int32_t rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK)
        return rc;
    if (sqlite3_changes64(s->db) == 0)
        return fl_fail(s, FLAMENCO_E_CONFLICT, "another manager has taken over %s", s->store->path);
    q = fl_query_begin(s, FL_SQL_COMMIT);
    return fl_query_run(&q);
}

int32_t fl_last_batch(void *self, flamenco_session *session, uint64_t *out, flamenco_error *err)
{
    (void)self;
    if (session == NULL || session->open)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "last_batch needs a session outside a transaction");
    session->err = err;
    session->stopped = 0;
    int64_t batch = 0;
    fl_query q = fl_query_begin(session, FL_SQL_STATE_GET);
    fl_bind_text(&q, 1, flamenco_text("batch"));
    int32_t rc = fl_query_int(&q, 0, &batch);
    session->err = NULL;
    session->failed = 0;
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)batch;
    return rc;
}

/* ---- Methods ---- */

int32_t fl_enter(fl_call *call, flamenco_cx *cx, uint32_t how, flamenco_error *err)
{
    flamenco_session *s = NULL;
    int32_t rc = fl_may_enter(cx, how, &s, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *call = (fl_call){ s, s->cx, s->err, sqlite3_total_changes64(s->db), how };
    s->cx = cx;
    s->err = err;
    if (s->visiting == 0) {
        s->stopped = 0;
        __atomic_store_n(&s->interrupted, 0, __ATOMIC_RELEASE);
    }
    if (how != FL_READ && s->in_savepoint && s->savepoint == FL_SAVEPOINT_PROMISED) {
        rc = fl_run_statement(s, FL_SQL_SAVEPOINT);
        s->savepoint = rc == FLAMENCO_OK ? FL_SAVEPOINT_SET : FL_SAVEPOINT_PROMISED;
    }
    if (rc == FLAMENCO_OK && how == FL_ATOMIC)
        rc = fl_run_statement(s, FL_SQL_METHOD_BEGIN);
    if (rc != FLAMENCO_OK) {
        s->cx = call->cx;
        s->err = call->err;
    }
    return rc;
}

/* Undoes what the method did, and keeps the text of why. */
static int32_t undo(flamenco_session *s, int32_t rc)
{
    flamenco_error *err = s->err;
    s->err = NULL;
    fl_query q = fl_query_begin(s, FL_SQL_METHOD_UNDO);
    int32_t undone = fl_query_run(&q);
    fl_rows_rollback(s);
    if (undone == FLAMENCO_OK) {
        q = fl_query_begin(s, FL_SQL_METHOD_KEEP);
        undone = fl_query_run(&q);
    }
    s->err = err;
    return undone == FLAMENCO_OK ? rc : FLAMENCO_E_UNAVAILABLE;
}

int32_t fl_leave(fl_call *call, int32_t rc)
{
    flamenco_session *s = call->s;
    if (call->how == FL_ATOMIC && s->failed == 0) {
        if (rc >= 0) {
            fl_query q = fl_query_begin(s, FL_SQL_METHOD_KEEP);
            int32_t kept = fl_query_run(&q);
            rc = kept != FLAMENCO_OK ? kept : rc;
        } else {
            rc = undo(s, rc);
        }
    } else if ((call->how == FL_WRITE || call->how == FL_ONE) && rc < 0 && s->failed == 0 &&
               sqlite3_total_changes64(s->db) != call->changes) {
        /* Half of it is done, which only a rollback of everything undoes; the executor runs the batch again. */
        rc = FLAMENCO_E_UNAVAILABLE;
    }
    if (rc < 0 && fl_is_fatal(rc) && s->failed == 0)
        s->failed = rc;
    if (rc < 0 && s->err != NULL)
        s->err->code = rc;
    s->cx = call->cx;
    s->err = call->err;
    return rc;
}
