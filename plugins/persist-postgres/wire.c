/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c - statements on their way to the server and answers on their way back, in libpq's pipeline mode: a change is sent and
 * not waited for; a statement whose answer is needed takes the answers of all before it along. So a method that reads once and
 * changes five rows costs one round trip. Used by query.c and session.c.
 *
 * After an error the server skips everything up to the next synchronisation, which fl_wire_settle() makes at each wait.
 */
#include <errno.h>
#include <poll.h>

#include "store.h"

/* How often a waiting reader looks whether somebody still wants the answer. */
#define LOOK_MS 20
/* A statement that was told to end has this long to do so. */
#define END_US 2000000

int32_t fl_wire_lost(flamenco_session *s)
{
    const char *text = s->db != NULL ? PQerrorMessage(s->db) : "";
    size_t len = strcspn(text, "\n");
    s->lost = 1;
    s->n_sent = 0;
    s->unsure = 0;
    return fl_fail(s, FLAMENCO_E_UNAVAILABLE, "the connection to PostgreSQL is lost%s%.*s", len > 0 ? ": " : "",
                   (int)(len < 180 ? len : 180), text);
}

int fl_wire_lives(flamenco_session *s)
{
    struct pollfd fd = { .fd = PQsocket(s->db), .events = POLLIN };
    /* A last message may come before the end. */
    for (int i = 0; i < 8 && poll(&fd, 1, 0) > 0; ++i) {
        if (!PQconsumeInput(s->db))
            return 0;
    }
    return PQstatus(s->db) == CONNECTION_OK;
}

void fl_wire_reset(flamenco_session *s)
{
    fl_kept *const sets[] = { s->statements, s->lists, s->updates };
    const size_t sizes[] = { FL_SQL_COUNT, FL_LISTS, FL_UPDATES };
    for (size_t set = 0; set < 3; ++set) {
        for (size_t i = 0; i < sizes[set]; ++i)
            sets[set][i].prepared = 0;
    }
    s->n_sent = 0;
    s->unsure = s->aborted = s->lost = 0;
    fl_foreseen_forget(s);
}

/* ---- Sending ---- */

static int32_t note_sent(flamenco_session *s, int sent, fl_kept *st, uint32_t prepares, fl_query *q)
{
    if (!sent)
        return fl_wire_lost(s);
    s->sent[s->n_sent++] = (fl_sent){ st, prepares, q };
    return FLAMENCO_OK;
}

int32_t fl_wire_send(fl_query *q, uint32_t wanted)
{
    static const int binary[FL_PARAMETERS] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    flamenco_session *s = q->s;
    int32_t rc = FLAMENCO_OK;
    if (s->lost || s->db == NULL)
        return fl_wire_lost(s);
    if (s->n_sent + 3 > FL_SENT_MOST)
        rc = fl_wire_settle(s);
    char name[16];
    (void)snprintf(name, sizeof(name), "f%u", q->st->number);
    if (rc == FLAMENCO_OK && !q->st->prepared) {
        rc = note_sent(s, PQsendPrepare(s->db, name, q->st->text, q->n, q->types), q->st, 1, wanted ? q : NULL);
        q->st->prepared = rc == FLAMENCO_OK;
    }
    if (rc == FLAMENCO_OK)
        rc = note_sent(s, PQsendQueryPrepared(s->db, name, q->n, q->values, q->lengths, binary, 1), q->st, 0,
                       wanted ? q : NULL);
    if (rc == FLAMENCO_OK) {
        q->sent = wanted != 0;
        s->changes += q->st->changes;
        s->unsure |= q->st->told;
    }
    return rc;
}

void fl_wire_flush(flamenco_session *s)
{
    if (s->db != NULL && !s->lost)
        (void)PQflush(s->db);
}

/* ---- Waiting ---- */

int32_t fl_wire_look(const flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    const flamenco_cx *cx = s->cx;
    if (s->kind != FLAMENCO_SESSION_READER)
        return 0;
    if (__atomic_load_n(&s->interrupted, __ATOMIC_ACQUIRE) != 0 || (cx != NULL && flamenco_cx_cancelled(cx)))
        return FLAMENCO_E_CANCELLED;
    if (cx != NULL && cx->deadline_us > 0 && host->monotonic_us(host->h) > cx->deadline_us)
        return FLAMENCO_E_DEADLINE;
    return 0;
}

int32_t fl_wire_give_up(flamenco_session *s, int32_t why)
{
    return fl_fail(s, why, "%s",
                   why == FLAMENCO_E_DEADLINE ? "the time for this call is over" : "the call was given up");
}

static int32_t end_statement(flamenco_session *s, int32_t why, int64_t *until_us)
{
    const flamenco_host *host = s->store->host;
    char text[128];
    PGcancel *cancel = PQgetCancel(s->db);
    s->stopped = why;
    *until_us = host->monotonic_us(host->h) + END_US;
    int sent = cancel != NULL && PQcancel(cancel, text, (int)sizeof(text));
    PQfreeCancel(cancel);
    return sent ? FLAMENCO_OK : fl_wire_lost(s);
}

/* Waits until the next result can be read without waiting. */
static int32_t wait_ready(flamenco_session *s, int64_t *until_us)
{
    const flamenco_host *host = s->store->host;
    for (;;) {
        int unsent = PQflush(s->db);
        if (unsent < 0)
            return fl_wire_lost(s);
        if (!PQisBusy(s->db))
            return FLAMENCO_OK;
        struct pollfd fd = { .fd = PQsocket(s->db), .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)) };
        int ready = poll(&fd, 1, LOOK_MS);
        if (ready < 0 && errno != EINTR)
            return fl_wire_lost(s);
        if (ready > 0 && !PQconsumeInput(s->db))
            return fl_wire_lost(s);
        if (ready > 0)
            continue;
        int32_t why = s->stopped == 0 ? fl_wire_look(s) : 0;
        if (why != 0 && end_statement(s, why, until_us) != FLAMENCO_OK)
            return FLAMENCO_E_UNAVAILABLE;
        if (*until_us != 0 && host->monotonic_us(host->h) > *until_us)
            return fl_wire_lost(s);
    }
}

/* Tells whether somebody waits for this answer, and not only expects to. */
static int is_waited_for(const flamenco_session *s, const fl_query *q)
{
    for (size_t i = 0; i < FL_FORESEEN_MOST; ++i) {
        if (q == &s->foreseen[i].q)
            return 0;
    }
    return q != NULL;
}

/* Takes over the error of one answer. */
static int32_t take_error(flamenco_session *s, const fl_sent *sent, const PGresult *res)
{
    int32_t code = fl_error_of(res);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (code == FLAMENCO_E_CANCELLED && s->stopped != 0)
        code = s->stopped;
    /* Nobody who waits now is to blame for what another method sent. */
    if (!is_waited_for(s, sent->q) && !sent->st->told && !fl_is_fatal(code))
        code = FLAMENCO_E_UNAVAILABLE;
    if (PQstatus(s->db) == CONNECTION_BAD)
        return fl_wire_lost(s);
    s->aborted = 1;
    if (code == FLAMENCO_E_DEADLINE || code == FLAMENCO_E_CANCELLED)
        return fl_wire_give_up(s, code);
    return fl_fail(s, code, "%s", text != NULL ? text : PQerrorMessage(s->db));
}

/* Reads the answer of one statement. The result is the caller's; NULL without one. */
static int32_t read_answer(flamenco_session *s, int64_t *until_us, PGresult **out)
{
    int32_t rc = wait_ready(s, until_us);
    if (rc != FLAMENCO_OK)
        return rc;
    *out = PQgetResult(s->db);
    rc = wait_ready(s, until_us);
    if (rc != FLAMENCO_OK)
        return rc;
    PGresult *end = PQgetResult(s->db); /* each answer ends with NULL */
    if (end != NULL || *out == NULL) {
        PQclear(end);
        return fl_wire_lost(s);
    }
    return FLAMENCO_OK;
}

/* Gives the answers' end to everybody who wants one: they are there, or none will come. */
static void tell_end(fl_sent *sent, uint32_t n, int32_t rc)
{
    for (uint32_t i = 0; i < n; ++i) {
        fl_query *q = sent[i].q;
        if (q == NULL)
            continue;
        q->answered = 1;
        if (rc != FLAMENCO_OK) {
            PQclear(q->res);
            q->res = NULL;
            q->rc = rc;
        }
    }
}

/* Reads the answers of the first n statements that were sent. Returns the first error. */
static int32_t read_answers(flamenco_session *s, uint32_t n, int64_t *until_us)
{
    int32_t first = FLAMENCO_OK;
    for (uint32_t i = 0; i < n; ++i) {
        const fl_sent *sent = &s->sent[i];
        PGresult *res = NULL;
        int32_t rc = read_answer(s, until_us, &res);
        ExecStatusType status = PQresultStatus(res);
        int worked = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (rc == FLAMENCO_OK && !worked && sent->prepares)
            sent->st->prepared = 0;
        if (rc == FLAMENCO_OK && status == PGRES_FATAL_ERROR && first == FLAMENCO_OK)
            rc = first = take_error(s, sent, res);
        if (worked && !s->lost && sent->q != NULL && !sent->prepares)
            sent->q->res = res;
        else
            PQclear(res);
        if (s->lost)
            return rc;
    }
    return first;
}

int32_t fl_wire_settle(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    int64_t until_us = s->kind == FLAMENCO_SESSION_WRITER ? host->monotonic_us(host->h) + s->store->answer_us : 0;
    uint32_t n = s->n_sent;
    int32_t rc;
    if (s->lost || s->db == NULL || !PQpipelineSync(s->db))
        rc = fl_wire_lost(s);
    else
        rc = read_answers(s, n, &until_us);
    s->n_sent = 0;
    s->unsure = 0;
    int32_t synced = s->lost ? rc : wait_ready(s, &until_us);
    if (synced == FLAMENCO_OK) {
        PGresult *sync = PQgetResult(s->db);
        if (PQresultStatus(sync) != PGRES_PIPELINE_SYNC)
            synced = fl_wire_lost(s);
        PQclear(sync);
    }
    rc = synced != FLAMENCO_OK ? synced : rc;
    tell_end(s->sent, n, rc);
    return rc;
}

void fl_wire_forget(const fl_query *q)
{
    flamenco_session *s = q->s;
    for (uint32_t i = 0; i < s->n_sent; ++i) {
        if (s->sent[i].q == q)
            s->sent[i].q = NULL;
    }
}
