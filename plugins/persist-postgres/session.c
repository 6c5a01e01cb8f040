/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - sessions and transactions, and how every method begins and ends in one. Called by the executor through the
 * method table; fl_enter() and fl_leave() by all methods.
 *
 * A statement that fails makes PostgreSQL refuse everything up to a rollback. So a method that the caller can make fail
 * (FL_ATOMIC, FL_ONE) has a savepoint, and waits at its end for the answers of what may have been refused; a snapshot has a
 * savepoint from its beginning, so that it outlives a statement that was given up. Savepoints, BEGIN and ROLLBACK are sent along
 * with the next statement and cost no round trip.
 */
#include "rows.h"

/* ---- Sessions ---- */

static void free_session(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    fl_kept *const sets[] = { s->statements, s->lists, s->updates };
    const size_t sizes[] = { FL_SQL_COUNT, FL_LISTS, FL_UPDATES };
    for (size_t set = 0; set < 3; ++set) {
        for (size_t i = 0; i < sizes[set]; ++i)
            host->free(host->h, sets[set][i].text);
    }
    fl_foreseen_forget(s);
    fl_types_fini(s);
    fl_known_fini(s);
    PQfinish(s->db);
    host->free(host->h, s);
}

/* Gives the session a connection. The writer's brings the lease with it, or takes it again. */
static int32_t connect_session(flamenco_session *s, flamenco_error *err)
{
    fl_store *store = s->store;
    PQfinish(s->db);
    s->db = NULL;
    fl_wire_reset(s);
    if (s->kind == FLAMENCO_SESSION_WRITER) {
        pthread_mutex_lock(&store->lock);
        s->db = store->spare;
        store->spare = NULL;
        pthread_mutex_unlock(&store->lock);
    }
    int32_t rc = FLAMENCO_OK;
    if (s->db == NULL) {
        rc = fl_connection_open(store, s->kind, &s->db, err);
        if (rc == FLAMENCO_OK && s->kind == FLAMENCO_SESSION_WRITER)
            rc = fl_lease_retake(store, s->db, err);
    }
    if (rc == FLAMENCO_OK && (PQsetnonblocking(s->db, 1) != 0 || !PQenterPipelineMode(s->db)))
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the connection to PostgreSQL is lost");
    if (rc != FLAMENCO_OK) {
        PQfinish(s->db);
        s->db = NULL;
    }
    return rc;
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
        if (store->writer != NULL)
            rc = flamenco_fail(err, FLAMENCO_E_BUSY, "the writing session is open already");
        else
            store->writer = s;
        pthread_mutex_unlock(&store->lock);
    }
    if (rc == FLAMENCO_OK)
        rc = connect_session(s, err);
    if (rc != FLAMENCO_OK) {
        fl_close(store, s);
        return rc;
    }
    *out = s;
    return FLAMENCO_OK;
}

/* Sends ROLLBACK where a transaction may be open; what was sent before is read first, since an error would skip it. */
static void close_transaction(flamenco_session *s)
{
    flamenco_error *err = s->err;
    s->err = NULL;
    fl_foreseen_forget(s);
    if (s->n_sent > 0 && !s->lost)
        (void)fl_wire_settle(s);
    if (!s->lost && s->db != NULL && PQtransactionStatus(s->db) != PQTRANS_IDLE) {
        __atomic_store_n(&s->interrupted, 0, __ATOMIC_RELEASE);
        fl_query q = fl_query_begin(s, FL_SQL_ROLLBACK);
        (void)fl_query_run(&q);
        fl_wire_flush(s);
    }
    s->aborted = 0;
    s->err = err;
}

/* Keeps the writer's connection, and the lease with it, when it is in order. */
static PGconn *take_connection(flamenco_session *s)
{
    PGconn *db = s->db;
    if (s->kind != FLAMENCO_SESSION_WRITER || db == NULL)
        return NULL;
    if (s->n_sent > 0 && !s->lost)
        (void)fl_wire_settle(s);
    if (s->lost || PQtransactionStatus(db) != PQTRANS_IDLE || !PQexitPipelineMode(db) || PQsetnonblocking(db, 0) != 0 ||
        fl_connection_run(db, "DEALLOCATE ALL", NULL) != FLAMENCO_OK)
        return NULL;
    s->db = NULL;
    return db;
}

void fl_close(void *self, flamenco_session *session)
{
    fl_store *store = self;
    if (session == NULL)
        return;
    session->cx = NULL;
    if (session->open)
        close_transaction(session);
    PGconn *db = take_connection(session);
    pthread_mutex_lock(&store->lock);
    if (store->writer == session)
        store->writer = NULL;
    if (db != NULL) {
        PQfinish(store->spare);
        store->spare = db;
    }
    pthread_mutex_unlock(&store->lock);
    free_session(session);
}

void fl_interrupt(void *self, flamenco_session *session)
{
    (void)self;
    /* Who waits for an answer looks at it some fifty times a second (wire.c). */
    if (session->kind == FLAMENCO_SESSION_READER)
        __atomic_store_n(&session->interrupted, 1, __ATOMIC_RELEASE);
}

/* ---- Transactions ---- */

/* Waits for the first read: it takes the snapshot. */
static int32_t begin_snapshot(flamenco_session *s)
{
    int64_t batch;
    int32_t rc = fl_run_statement(s, FL_SQL_BEGIN_READ);
    if (rc == FLAMENCO_OK)
        rc = fl_run_statement(s, FL_SQL_READ_MARK);
    fl_query q = fl_query_begin(s, FL_SQL_BATCH_GET);
    return rc == FLAMENCO_OK ? fl_query_int(&q, 0, &batch) : rc;
}

static int32_t begin_reader(flamenco_session *s, flamenco_error *err)
{
    int32_t rc = FLAMENCO_E_UNAVAILABLE;
    /* A connection that was lost while it was idle is made again at once; one that is lost now, the next time. */
    for (int tries = 0; tries < 2 && rc == FLAMENCO_E_UNAVAILABLE; ++tries) {
        rc = FLAMENCO_OK;
        if (s->db == NULL || s->lost || PQstatus(s->db) != CONNECTION_OK)
            rc = connect_session(s, err);
        if (rc != FLAMENCO_OK)
            return rc;
        s->failed = 0;
        rc = begin_snapshot(s);
        if (rc != FLAMENCO_OK)
            close_transaction(s);
    }
    return rc;
}

/* The writer's connection is made again by open() alone, which asks for the lease. */
static int32_t begin_writer(flamenco_session *s)
{
    if (s->db == NULL || s->lost || !fl_wire_lives(s))
        return fl_wire_lost(s);
    return fl_run_statement(s, FL_SQL_BEGIN_WRITE);
}

int32_t fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    fl_store *store = self;
    if (session == NULL || session->open || cx->txn != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "begin needs a session and a call chain without a transaction");
    uint32_t writer = session->kind == FLAMENCO_SESSION_WRITER;
    session->cx = cx;
    session->err = err;
    session->failed = session->stopped = 0;
    session->aborted = 0;
    __atomic_store_n(&session->interrupted, 0, __ATOMIC_RELEASE);
    int32_t rc = writer ? begin_writer(session) : begin_reader(session, err);
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

int32_t fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter_savepoint(&call, cx, 1, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_session *s = call.s;
    fl_foreseen_forget(s);
    /* An error on the way would skip what comes behind it. */
    if (s->savepoint == FL_SAVEPOINT_SET && s->n_sent > 0)
        rc = fl_wire_settle(s);
    if (rc == FLAMENCO_OK && s->savepoint == FL_SAVEPOINT_SET)
        rc = fl_run_statement(s, FL_SQL_ROLLBACK_TO);
    if (rc == FLAMENCO_OK)
        fl_rows_rollback(s);
    /* ROLLBACK TO leaves the savepoint open. */
    if (rc == FLAMENCO_OK && s->savepoint == FL_SAVEPOINT_SET)
        rc = fl_run_statement(s, FL_SQL_RELEASE);
    if (rc == FLAMENCO_OK)
        s->in_savepoint = 0;
    return fl_leave(&call, rc);
}

void fl_end_transaction(flamenco_session *s, flamenco_cx *cx)
{
    close_transaction(s);
    fl_rows_rollback(s);
    s->open = s->in_savepoint = 0;
    s->failed = 0;
    cx->txn = NULL;
}

/* The number, the look at the epoch and the commit are one round trip: another epoch is an error, which skips the commit. */
int32_t fl_store_batch(flamenco_session *s, uint64_t batch_no)
{
    fl_query q = fl_query_begin(s, FL_SQL_BATCH_SET);
    fl_bind_int(&q, 1, (int64_t)batch_no);
    fl_bind_int(&q, 2, s->store->epoch);
    int32_t rc = fl_query_run(&q);
    if (rc != FLAMENCO_OK)
        return rc;
    q = fl_query_begin(s, FL_SQL_COMMIT);
    rc = fl_query_step(&q);
    /* A transaction that has failed answers COMMIT with ROLLBACK, and that is no error. */
    if (rc == FLAMENCO_OK && strcmp(PQcmdStatus(q.res), "COMMIT") != 0)
        rc = fl_fail(s, FLAMENCO_E_UNAVAILABLE, "PostgreSQL has rolled the transaction back");
    if (rc == FLAMENCO_E_CONFLICT)
        rc = fl_fail(s, FLAMENCO_E_CONFLICT, "another manager has taken over database \"%s\", schema \"%s\"",
                     PQdb(s->db), s->store->schema);
    return fl_query_end(&q, rc);
}

int32_t fl_last_batch(void *self, flamenco_session *session, uint64_t *out, flamenco_error *err)
{
    (void)self;
    if (session == NULL || session->open)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "last_batch needs a session outside a transaction");
    session->err = err;
    session->stopped = 0;
    int64_t batch = 0;
    fl_query q = fl_query_begin(session, FL_SQL_BATCH_GET);
    int32_t rc = fl_query_int(&q, 0, &batch);
    session->err = NULL;
    session->failed = 0;
    session->aborted = 0;
    if (rc == FLAMENCO_OK)
        *out = (uint64_t)batch;
    return rc;
}

uint32_t fl_wants_quiet(void *self)
{
    (void)self;
    return 0; /* snapshots stand in nobody's way */
}

int32_t fl_maintain(void *self, flamenco_session *session, uint32_t phase, flamenco_error *err)
{
    (void)self;
    if (session == NULL || session->kind != FLAMENCO_SESSION_WRITER || session->open)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "maintain needs the writing session, outside a transaction");
    if (phase != FLAMENCO_MAINTAIN_COMMITTED && phase != FLAMENCO_MAINTAIN_QUIET)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "unknown phase %u", phase);
    return FLAMENCO_OK; /* autovacuum tidies up */
}

/* ---- Methods ---- */

static int is_guarded(uint32_t how)
{
    return how == FL_ATOMIC || how == FL_ONE;
}

int32_t fl_enter(fl_call *call, flamenco_cx *cx, uint32_t how, flamenco_error *err)
{
    flamenco_session *s = NULL;
    int32_t rc = fl_may_enter(cx, how, &s, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *call = (fl_call){ s, s->cx, s->err, fl_changes(s), how };
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
    if (rc == FLAMENCO_OK && is_guarded(how)) {
        rc = fl_run_statement(s, FL_SQL_METHOD_BEGIN);
        s->unsure = 0;
    }
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
    fl_foreseen_forget(s);
    if (s->n_sent > 0)
        (void)fl_wire_settle(s);
    int32_t undone = s->failed;
    s->aborted = 0;
    if (undone == FLAMENCO_OK)
        undone = fl_run_statement(s, FL_SQL_METHOD_UNDO);
    fl_rows_rollback(s);
    if (undone == FLAMENCO_OK)
        undone = fl_run_statement(s, FL_SQL_METHOD_KEEP);
    s->err = err;
    return undone == FLAMENCO_OK ? rc : FLAMENCO_E_UNAVAILABLE;
}

/* Ends a method with a savepoint of its own. */
static int32_t leave_guarded(flamenco_session *s, int32_t rc)
{
    if (rc >= 0 && s->unsure) {
        int32_t settled = fl_wire_settle(s);
        rc = settled != FLAMENCO_OK ? settled : rc;
    }
    if (s->failed != 0)
        return s->failed;
    if (rc < 0)
        return undo(s, rc);
    int32_t kept = fl_run_statement(s, FL_SQL_METHOD_KEEP);
    return kept != FLAMENCO_OK ? kept : rc;
}

/* A statement failed in a method that is not guarded. Returns the method's result. */
static int32_t recover(flamenco_session *s, int32_t rc)
{
    if (s->kind == FLAMENCO_SESSION_READER) {
        flamenco_error *err = s->err;
        s->err = NULL;
        s->aborted = 0;
        __atomic_store_n(&s->interrupted, 0, __ATOMIC_RELEASE);
        int32_t again = fl_run_statement(s, FL_SQL_READ_UNDO);
        s->err = err;
        return again == FLAMENCO_OK ? rc : again;
    }
    /* What the executor's savepoint holds cannot be told apart from what this method did: it runs the batch again. */
    return FLAMENCO_E_UNAVAILABLE;
}

int32_t fl_leave(fl_call *call, int32_t rc)
{
    flamenco_session *s = call->s;
    if (is_guarded(call->how) && s->failed == 0)
        rc = leave_guarded(s, rc);
    else if (call->how == FL_WRITE && rc < 0 && s->failed == 0 && fl_changes(s) != call->changes)
        rc = FLAMENCO_E_UNAVAILABLE;
    /* A list that is given out further out needs no statement any more. */
    if (s->aborted && s->failed == 0)
        rc = recover(s, rc);
    if (rc < 0 && fl_is_fatal(rc) && s->failed == 0)
        s->failed = rc;
    if (rc < 0 && s->err != NULL)
        s->err->code = rc;
    s->cx = call->cx;
    s->err = call->err;
    return rc;
}
