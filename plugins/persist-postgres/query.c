/* SPDX-License-Identifier: Apache-2.0
 *
 * query.c - prepared statements: binding, stepping, reading columns; PostgreSQL's side of rows.h. Everything travels in binary:
 * numbers as bigint, UUIDs as uuid, texts as they are. Used by every file that implements methods.
 */
#include <endian.h>
#include <stdlib.h>

#include "rows.h"

/* Of pg_type; they are the same in every server. */
#define TYPE_INT8 20u
#define TYPE_TEXT 25u
#define TYPE_UUID 2950u

// clang-format off
#define TEXT(name, text) text,
static const char *const sql_texts[FL_SQL_COUNT] = { FL_SQL_LIST(TEXT) };
#undef TEXT
// clang-format on

const char *fl_sql_text(fl_sql id)
{
    return (unsigned)id < FL_SQL_COUNT ? sql_texts[id] : "";
}

/* ---- Beginning ---- */

static int begins_with(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* Keeps the text, with $1 for ?1. */
static int32_t keep_text(flamenco_session *s, fl_kept *slot, const char *sql)
{
    const flamenco_host *host = s->store->host;
    size_t len = strlen(sql);
    slot->text = host->alloc(host->h, len + 1);
    if (slot->text == NULL)
        return fl_fail(s, FLAMENCO_E_NOMEM, "out of memory");
    for (size_t i = 0; i <= len; ++i)
        slot->text[i] = sql[i] == '?' ? '$' : sql[i];
    slot->number = ++s->numbers;
    slot->told = begins_with(sql, "INSERT") || begins_with(sql, "UPDATE lease");
    slot->changes = slot->told || begins_with(sql, "UPDATE") || begins_with(sql, "DELETE") || begins_with(sql, "WITH");
    return FLAMENCO_OK;
}

fl_query fl_query_begin_text(flamenco_session *s, fl_kept *slot, const char *sql)
{
    fl_query q;
    q.s = s;
    q.st = slot;
    q.res = NULL;
    q.rc = FLAMENCO_OK;
    q.row = -1;
    q.rows = q.n = 0;
    q.sent = q.answered = 0;
    /* interrupt() ends a statement that runs; it may also have come between two of one method. */
    if (__atomic_load_n(&s->interrupted, __ATOMIC_ACQUIRE) != 0)
        q.rc = fl_wire_give_up(s, FLAMENCO_E_CANCELLED);
    else if (slot->text == NULL)
        q.rc = keep_text(s, slot, sql);
    return q;
}

int fl_query_is_kept(const fl_kept *slot)
{
    return slot->text != NULL;
}

fl_query fl_query_begin(flamenco_session *s, fl_sql id)
{
    return fl_query_begin_text(s, &s->statements[id], sql_texts[id]);
}

/* ---- Binding ---- */

static void bind(fl_query *q, int at, Oid type, const void *value, size_t len)
{
    while (q->n < at) { /* a parameter that this use leaves out */
        q->values[q->n] = NULL;
        q->lengths[q->n] = 0;
        q->types[q->n++] = TYPE_INT8;
    }
    q->values[at - 1] = value;
    q->lengths[at - 1] = (int)len;
    q->types[at - 1] = type;
}

void fl_bind_int(fl_query *q, int at, int64_t value)
{
    if (q->rc != FLAMENCO_OK)
        return;
    q->numbers[at - 1] = (int64_t)htobe64((uint64_t)value);
    bind(q, at, TYPE_INT8, &q->numbers[at - 1], sizeof(value));
}

void fl_bind_time(fl_query *q, int at, int64_t time_us)
{
    if (time_us != FLAMENCO_TIME_NONE)
        fl_bind_int(q, at, time_us);
    else if (q->rc == FLAMENCO_OK)
        bind(q, at, TYPE_INT8, NULL, 0);
}

void fl_bind_uuid(fl_query *q, int at, const flamenco_uuid *uuid)
{
    if (q->rc == FLAMENCO_OK)
        bind(q, at, TYPE_UUID, uuid->b, sizeof(uuid->b));
}

/* PostgreSQL takes no NUL in a text, nor what is no UTF-8. Such a byte is written as U+10FFFE (no character, and none that any
 * text has reason to hold) and two digits; so are the bytes of U+10FFFE itself. */
static const unsigned char mark[] = { 0xF4, 0x8F, 0xBF, 0xBE };
#define MARK_LEN 4u
#define ESCAPED_LEN (MARK_LEN + 2u)

/* The length of the character at `at` that may stand as it is; 0 = its first byte must be written otherwise. */
static size_t plain_char(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    size_t len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (c == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; ++i) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((c == 0xE0 && at[1] < 0xA0) || (c == 0xED && at[1] >= 0xA0) || (c == 0xF0 && at[1] < 0x90) ||
        (c == 0xF4 && at[1] >= 0x90))
        return 0;
    return len == MARK_LEN && memcmp(at, mark, MARK_LEN) == 0 ? 0 : len;
}

/* How many bytes must be written otherwise. */
static size_t count_escapes(flamenco_str text)
{
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    size_t n = 0;
    while (at < end) {
        if (*at != 0 && *at < 0x80) {
            ++at;
            continue;
        }
        size_t len = plain_char(at, (size_t)(end - at));
        n += len == 0;
        at += len == 0 ? 1 : len;
    }
    return n;
}

static flamenco_str escape(flamenco_session *s, flamenco_str text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    flamenco_str out = { NULL, text.len + n * (ESCAPED_LEN - 1) };
    char *to = s->cx != NULL ? s->store->host->cx_alloc(s->cx, out.len + 1) : NULL;
    out.ptr = to;
    while (to != NULL && at < end) {
        size_t len = plain_char(at, (size_t)(end - at));
        if (len > 0) {
            memcpy(to, at, len);
            to += len;
            at += len;
            continue;
        }
        memcpy(to, mark, MARK_LEN);
        to[MARK_LEN] = digits[*at >> 4];
        to[MARK_LEN + 1] = digits[*at & 15];
        to += ESCAPED_LEN;
        ++at;
    }
    return out;
}

void fl_bind_text(fl_query *q, int at, flamenco_str text)
{
    if (q->rc != FLAMENCO_OK)
        return;
    if (text.len > INT32_MAX / 8) {
        q->rc = fl_fail(q->s, FLAMENCO_E_INVALID, "a text of %llu bytes is too long", (unsigned long long)text.len);
        return;
    }
    size_t escapes = text.len > 0 ? count_escapes(text) : 0;
    if (escapes > 0)
        text = escape(q->s, text, escapes);
    if (text.ptr == NULL && text.len > 0)
        q->rc = fl_fail(q->s, FLAMENCO_E_NOMEM, "out of memory");
    else
        bind(q, at, TYPE_TEXT, text.len > 0 ? text.ptr : "", (size_t)text.len);
}

/* ---- Running ---- */

/* Runs it and waits for the answer. */
static int32_t run(fl_query *q)
{
    if (q->rc == FLAMENCO_OK && !q->sent && !fl_foreseen_take(q))
        q->rc = fl_wire_send(q, 1);
    if (q->rc == FLAMENCO_OK && !q->answered)
        q->rc = fl_wire_settle(q->s);
    q->rows = q->res != NULL ? PQntuples(q->res) : 0;
    return q->rc;
}

int32_t fl_query_send(fl_query *q)
{
    if (q->rc == FLAMENCO_OK)
        q->rc = fl_wire_send(q, 1);
    return q->rc;
}

int32_t fl_query_step(fl_query *q)
{
    if (q->rc != FLAMENCO_OK)
        return q->rc;
    if (q->row < 0 && run(q) != FLAMENCO_OK)
        return q->rc;
    int32_t why = q->row >= 0 ? fl_wire_look(q->s) : 0;
    if (why != 0) {
        q->rc = fl_wire_give_up(q->s, why);
        return q->rc;
    }
    return ++q->row < q->rows;
}

int32_t fl_query_end(fl_query *q, int32_t rc)
{
    if (q->sent && !q->answered)
        fl_wire_forget(q);
    PQclear(q->res);
    q->res = NULL;
    return rc < 0 ? rc : q->rc;
}

int32_t fl_query_run(fl_query *q)
{
    if (q->rc == FLAMENCO_OK)
        q->rc = fl_wire_send(q, 0);
    return q->rc;
}

int32_t fl_query_run_count(fl_query *q, int64_t *changed_out)
{
    int32_t rc = run(q);
    if (rc == FLAMENCO_OK)
        *changed_out = strtoll(PQcmdTuples(q->res), NULL, 10);
    if (rc == FLAMENCO_OK && *changed_out == 0)
        q->s->changes -= q->st->changes; /* counted when it was sent */
    return fl_query_end(q, rc);
}

int32_t fl_query_int(fl_query *q, int64_t none, int64_t *out)
{
    int32_t rc = fl_query_step(q);
    int64_t value = rc > 0 ? fl_column_int(q, 0) : none;
    rc = fl_query_end(q, rc);
    if (rc == FLAMENCO_OK)
        *out = value;
    return rc;
}

/* ---- Reading ---- */

int64_t fl_column_int(const fl_query *q, int at)
{
    uint64_t wide;
    uint32_t word;
    if (PQgetisnull(q->res, q->row, at))
        return 0;
    const char *value = PQgetvalue(q->res, q->row, at);
    switch (PQgetlength(q->res, q->row, at)) {
    case sizeof(wide):
        memcpy(&wide, value, sizeof(wide));
        return (int64_t)be64toh(wide);
    case sizeof(word):
        memcpy(&word, value, sizeof(word));
        return (int32_t)be32toh(word);
    case 1: /* boolean */
        return value[0] != 0;
    default:
        return 0;
    }
}

int64_t fl_column_time(const fl_query *q, int at)
{
    return PQgetisnull(q->res, q->row, at) ? FLAMENCO_TIME_NONE : fl_column_int(q, at);
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static flamenco_str unescape(fl_query *q, flamenco_str text)
{
    char *to = q->s->cx != NULL ? q->s->store->host->cx_alloc(q->s->cx, text.len + 1) : NULL;
    flamenco_str out = { to, 0 };
    if (to == NULL) {
        q->rc = fl_fail(q->s, FLAMENCO_E_NOMEM, "out of memory");
        return out;
    }
    for (uint64_t i = 0; i < text.len;) {
        if (text.len - i >= ESCAPED_LEN && memcmp(text.ptr + i, mark, MARK_LEN) == 0) {
            to[out.len++] = (char)(digit(text.ptr[i + MARK_LEN]) * 16 + digit(text.ptr[i + MARK_LEN + 1]));
            i += ESCAPED_LEN;
        } else {
            to[out.len++] = text.ptr[i++];
        }
    }
    return out;
}

flamenco_str fl_column_text(fl_query *q, int at)
{
    flamenco_str text = { PQgetvalue(q->res, q->row, at), (uint64_t)PQgetlength(q->res, q->row, at) };
    if (text.len >= ESCAPED_LEN && memchr(text.ptr, mark[0], (size_t)text.len) != NULL)
        return unescape(q, text);
    return text;
}

flamenco_uuid fl_column_uuid(const fl_query *q, int at)
{
    flamenco_uuid out = { { 0 } };
    if (PQgetlength(q->res, q->row, at) == (int)sizeof(out.b))
        memcpy(out.b, PQgetvalue(q->res, q->row, at), sizeof(out.b));
    return out;
}
