/* SPDX-License-Identifier: Apache-2.0
 *
 * query.c - prepared statements: binding, stepping, reading columns; SQLite's side of rows.h. Used by every file that implements
 * methods.
 */
#include "rows.h"

// clang-format off
#define TEXT(name, text) text,
static const char *const sql_texts[FL_SQL_COUNT] = { FL_SQL_LIST(TEXT) };
#undef TEXT
// clang-format on

const char *fl_sql_text(fl_sql id)
{
    return (unsigned)id < FL_SQL_COUNT ? sql_texts[id] : "";
}

fl_query fl_query_begin_text(flamenco_session *s, fl_kept *slot, const char *sql)
{
    fl_query q = { s, *slot, FLAMENCO_OK, 0 };
    /* interrupt() ends a statement that runs; it may also have come between two of one method. */
    if (__atomic_load_n(&s->interrupted, __ATOMIC_ACQUIRE) != 0) {
        q.st = NULL;
        q.rc = fl_fail(s, FLAMENCO_E_CANCELLED, "the call was given up");
        return q;
    }
    /* A visitor may call the very method that called it: then the kept statement is half-way through its rows. */
    uint32_t busy = q.st != NULL && sqlite3_stmt_busy(q.st);
    if (q.st != NULL && !busy)
        return q;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v3(s->db, sql, -1, busy ? 0 : SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK)
        q.rc = fl_fail_sqlite(s, sqlite3_extended_errcode(s->db));
    else if (busy)
        q.own = 1;
    else
        *slot = st;
    q.st = st;
    return q;
}

int fl_query_is_kept(const fl_kept *slot)
{
    return *slot != NULL;
}

fl_query fl_query_begin(flamenco_session *s, fl_sql id)
{
    return fl_query_begin_text(s, &s->statements[id], sql_texts[id]);
}

static void bound(fl_query *q, int rc)
{
    if (rc != SQLITE_OK)
        q->rc = fl_fail_sqlite(q->s, rc);
}

void fl_bind_int(fl_query *q, int at, int64_t value)
{
    if (q->rc == FLAMENCO_OK)
        bound(q, sqlite3_bind_int64(q->st, at, value));
}

void fl_bind_time(fl_query *q, int at, int64_t time_us)
{
    if (time_us != FLAMENCO_TIME_NONE)
        fl_bind_int(q, at, time_us);
    else if (q->rc == FLAMENCO_OK)
        bound(q, sqlite3_bind_null(q->st, at));
}

void fl_bind_text(fl_query *q, int at, flamenco_str text)
{
    /* The text outlives the statement's run, so no copy is made. A NULL pointer would be bound as NULL. */
    if (q->rc == FLAMENCO_OK)
        bound(q, sqlite3_bind_text64(q->st, at, text.len > 0 ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8));
}

void fl_bind_uuid(fl_query *q, int at, const flamenco_uuid *uuid)
{
    if (q->rc == FLAMENCO_OK)
        bound(q, sqlite3_bind_blob(q->st, at, uuid->b, (int)sizeof(uuid->b), SQLITE_STATIC));
}

int32_t fl_query_step(fl_query *q)
{
    if (q->rc != FLAMENCO_OK)
        return q->rc;
    int rc = sqlite3_step(q->st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    q->rc = fl_fail_sqlite(q->s, sqlite3_extended_errcode(q->s->db));
    return q->rc;
}

int32_t fl_query_end(fl_query *q, int32_t rc)
{
    if (q->own)
        sqlite3_finalize(q->st);
    else if (q->st != NULL)
        sqlite3_reset(q->st); /* repeats an error that step has given already */
    q->st = NULL;
    return rc < 0 ? rc : q->rc;
}

int32_t fl_query_run(fl_query *q)
{
    int32_t rc;
    do
        rc = fl_query_step(q);
    while (rc > 0);
    return fl_query_end(q, rc);
}

int32_t fl_query_run_count(fl_query *q, int64_t *changed_out)
{
    sqlite3 *db = q->s->db;
    int32_t rc = fl_query_run(q);
    if (rc == FLAMENCO_OK)
        *changed_out = sqlite3_changes64(db);
    return rc;
}

int32_t fl_query_int(fl_query *q, int64_t none, int64_t *out)
{
    int32_t rc = fl_query_step(q);
    int64_t value = rc > 0 ? fl_column_int(q, 0) : none;
    /* A statement with RETURNING must be run to its end. */
    while (rc > 0)
        rc = fl_query_step(q);
    rc = fl_query_end(q, rc);
    if (rc == FLAMENCO_OK)
        *out = value;
    return rc;
}

int64_t fl_column_int(const fl_query *q, int at)
{
    return sqlite3_column_int64(q->st, at);
}

int64_t fl_column_time(const fl_query *q, int at)
{
    int64_t value = sqlite3_column_int64(q->st, at);
    return value == 0 && sqlite3_column_type(q->st, at) == SQLITE_NULL ? FLAMENCO_TIME_NONE : value;
}

/* A column is looked up once, and asked twice. A connection of one thread (SQLITE_OPEN_NOMUTEX) may do so without a copy. */
flamenco_str fl_column_text(fl_query *q, int at)
{
    sqlite3_value *value = sqlite3_column_value(q->st, at);
    const unsigned char *text = sqlite3_value_text(value);
    if (text == NULL && sqlite3_value_type(value) != SQLITE_NULL && q->rc == FLAMENCO_OK)
        q->rc = fl_fail(q->s, FLAMENCO_E_NOMEM, "out of memory");
    flamenco_str out = { (const char *)text, text != NULL ? (uint64_t)sqlite3_value_bytes(value) : 0 };
    return out;
}

flamenco_uuid fl_column_uuid(const fl_query *q, int at)
{
    flamenco_uuid out = { { 0 } };
    sqlite3_value *value = sqlite3_column_value(q->st, at);
    const void *blob = sqlite3_value_blob(value);
    if (blob != NULL && sqlite3_value_bytes(value) == (int)sizeof(out.b))
        memcpy(out.b, blob, sizeof(out.b));
    return out;
}
