/* SPDX-License-Identifier: Apache-2.0
 *
 * transaction.c - the rules of transactions and savepoints that no database has a say in. Called by the executor through the
 * method table, and by each back end's session.c.
 */
#include "rows.h"

flamenco_session *fl_session_of(const flamenco_cx *cx)
{
    return cx->txn != NULL ? cx->txn->session : NULL;
}

/* Returns code, which a reader of this file alone can see. */
static int32_t refuse(flamenco_error *err, int32_t code, const char *why)
{
    (void)flamenco_fail(err, code, "%s", why);
    return code;
}

int32_t fl_may_enter(const flamenco_cx *cx, uint32_t how, flamenco_session **out, flamenco_error *err)
{
    flamenco_session *s = fl_session_of(cx);
    if (s == NULL)
        return refuse(err, FLAMENCO_E_INVALID, "outside a transaction");
    if (s->failed != 0)
        return refuse(err, s->failed, "the transaction has failed before; it can only be rolled back");
    if (how != FL_READ && s->kind != FLAMENCO_SESSION_WRITER)
        return refuse(err, FLAMENCO_E_INVALID, "a reader cannot change anything");
    if (how != FL_READ && s->visiting != 0)
        return refuse(err, FLAMENCO_E_INVALID, "nothing can be changed while a list is given out");
    *out = s;
    return FLAMENCO_OK;
}

/* Begins or ends the executor's savepoint as far as the caller can tell; it must be open, or not. */
int32_t fl_enter_savepoint(fl_call *call, flamenco_cx *cx, uint32_t must_be_open, flamenco_error *err)
{
    flamenco_session *s = fl_session_of(cx);
    if (s == NULL || s->in_savepoint != must_be_open)
        return refuse(err, FLAMENCO_E_INVALID,
                      s == NULL      ? "outside a transaction"
                      : must_be_open ? "no savepoint is open"
                                     : "a savepoint is open already");
    if (s->kind != FLAMENCO_SESSION_WRITER)
        return refuse(err, FLAMENCO_E_INVALID, "a reader has no savepoints");
    if (s->visiting != 0)
        return refuse(err, FLAMENCO_E_INVALID, "no savepoint begins or ends while a list is given out");
    return fl_enter(call, cx, FL_READ, err);
}

int32_t fl_run_statement(flamenco_session *s, fl_sql id)
{
    fl_query q = fl_query_begin(s, id);
    return fl_query_run(&q);
}

int32_t fl_begin_savepoint(flamenco_cx *cx, uint32_t savepoint, flamenco_error *err)
{
    fl_call call;
    int32_t rc = fl_enter_savepoint(&call, cx, 0, err);
    if (rc != FLAMENCO_OK)
        return rc;
    call.s->in_savepoint = 1;
    call.s->savepoint = savepoint;
    return fl_leave(&call, FLAMENCO_OK);
}

int32_t fl_savepoint(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    /* The database hears of it with the first change (fl_enter): a third of the requests change nothing. */
    return fl_begin_savepoint(cx, FL_SAVEPOINT_PROMISED, err);
}

int32_t fl_release(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter_savepoint(&call, cx, 1, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (call.s->savepoint == FL_SAVEPOINT_SET)
        rc = fl_run_statement(call.s, FL_SQL_RELEASE);
    if (rc == FLAMENCO_OK)
        call.s->in_savepoint = 0;
    return fl_leave(&call, rc);
}

int32_t fl_commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err)
{
    fl_store *store = self;
    const flamenco_host *host = store->host;
    flamenco_session *s = fl_session_of(cx);
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "no transaction to commit");
    s->cx = cx;
    s->err = err;
    int64_t began = host->monotonic_us(host->h);
    int32_t rc;
    if (s->kind != FLAMENCO_SESSION_WRITER || s->in_savepoint)
        rc = fl_fail(s, FLAMENCO_E_INVALID, "commit needs the writing session, outside a savepoint");
    else if (s->failed != 0)
        rc = fl_fail(s, s->failed, "the transaction has failed before");
    else
        rc = fl_store_batch(s, batch_no);
    if (rc == FLAMENCO_OK) {
        fl_types_commit(s);
        fl_known_committed(s);
    }
    fl_end_transaction(s, cx);
    s->cx = NULL;
    s->err = NULL;
    fl_store_note(store, rc, rc != FLAMENCO_OK && err != NULL ? err->text : NULL);
    host->metric(host->h, FL_COMMIT_METRIC, (double)(host->monotonic_us(host->h) - began) / 1e6);
    return rc;
}

void fl_rollback(void *self, flamenco_cx *cx)
{
    (void)self;
    flamenco_session *s = fl_session_of(cx);
    if (s != NULL)
        fl_end_transaction(s, cx);
}
