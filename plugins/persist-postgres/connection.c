/* SPDX-License-Identifier: Apache-2.0
 *
 * connection.c - opens connections with all settings, and translates the errors of PostgreSQL. Used by start and by sessions.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "store.h"

/* By SQLSTATE, the longest match that comes first (PostgreSQL's manual, appendix A). */
static const struct {
    const char *state;
    int32_t code;
} codes[] = {
    { "23505", FLAMENCO_E_EXISTS }, /* unique_violation */
    { "23P01", FLAMENCO_E_EXISTS }, /* exclusion_violation */
    { "23503", FLAMENCO_E_NOT_FOUND }, /* foreign_key_violation */
    { "22012", FLAMENCO_E_CONFLICT }, /* division_by_zero: another epoch (BATCH_SET) */
    { "57014", FLAMENCO_E_CANCELLED }, /* query_canceled */
    { "53100", FLAMENCO_E_FULL }, /* disk_full */
    { "40", FLAMENCO_E_BUSY }, /* transaction_rollback: deadlock, serialization */
    { "55P03", FLAMENCO_E_BUSY }, /* lock_not_available */
    { "58", FLAMENCO_E_IO }, /* system_error */
    { "XX001", FLAMENCO_E_CORRUPT }, /* data_corrupted */
    { "XX002", FLAMENCO_E_CORRUPT }, /* index_corrupted */
    { "22", FLAMENCO_E_INVALID }, /* data_exception */
    { "23", FLAMENCO_E_INVALID }, /* other constraints */
    { "54", FLAMENCO_E_INVALID }, /* program_limit_exceeded */
    { "08", FLAMENCO_E_UNAVAILABLE }, /* connection_exception */
    { "25", FLAMENCO_E_UNAVAILABLE }, /* invalid_transaction_state: a standby that only reads */
    { "28", FLAMENCO_E_UNAVAILABLE }, /* invalid_authorization */
    { "3D", FLAMENCO_E_UNAVAILABLE }, /* no such database */
    { "42501", FLAMENCO_E_UNAVAILABLE }, /* insufficient_privilege */
    { "53", FLAMENCO_E_UNAVAILABLE }, /* insufficient_resources */
    { "57", FLAMENCO_E_UNAVAILABLE }, /* operator_intervention: shutting down, starting up */
};

int32_t fl_error_of(const PGresult *res)
{
    const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    if (state == NULL) /* libpq's own: the connection, or memory */
        return FLAMENCO_E_UNAVAILABLE;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); ++i) {
        if (strncmp(state, codes[i].state, strlen(codes[i].state)) == 0)
            return codes[i].code;
    }
    return FLAMENCO_E_INTERNAL;
}

/* The length of a message of libpq without the line end. */
static int trimmed(const char *text)
{
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        --len;
    return len > 240 ? 240 : (int)len;
}

static int32_t fail_result(PGconn *db, PGresult *res, flamenco_error *err)
{
    const char *text = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (text == NULL)
        text = PQerrorMessage(db);
    int32_t rc = flamenco_fail(err, fl_error_of(res), "%.*s", trimmed(text), text);
    PQclear(res);
    return rc;
}

int32_t fl_connection_run(PGconn *db, const char *sql, flamenco_error *err)
{
    PGresult *res = PQexec(db, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return fail_result(db, res, err);
    PQclear(res);
    return FLAMENCO_OK;
}

int32_t fl_connection_int(PGconn *db, const char *sql, const char *parameter, int64_t *out, flamenco_error *err)
{
    const char *values[1] = { parameter };
    PGresult *res = PQexecParams(db, sql, parameter != NULL ? 1 : 0, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        return fail_result(db, res, err);
    int64_t value = 0;
    if (PQntuples(res) > 0 && !PQgetisnull(res, 0, 0))
        value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    *out = value;
    return FLAMENCO_OK;
}

int32_t fl_connection_check(const char *conninfo, flamenco_error *err)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &why);
    /* libpq's message may quote a part of the text, and a password with it. */
    int32_t rc = options != NULL ? FLAMENCO_OK
                                 : flamenco_fail(err, FLAMENCO_E_INVALID,
                                                 "conninfo is not in libpq's syntax (\"host=db dbname=flamenco\", or a "
                                                 "postgresql:// URI)");
    PQconninfoFree(options);
    PQfreemem(why);
    return rc;
}

/* Notices would go to stderr. */
static void take_notice(void *ctx, const PGresult *res)
{
    fl_store *store = ctx;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    store->host->log(store->host->h, FLAMENCO_LOG_DEBUG, "PostgreSQL: %s", text != NULL ? text : "?");
}

/* The planner has indexes for everything that is asked for, and no statistics worth waiting for: so it is left no other way,
 * and plans each statement once. A commit that is not on disk when it is answered would be none; more than that (a second
 * server) is for the administrator to say. */
static const char session_settings[] =
    "SET jit=off; SET enable_seqscan=off; SET enable_hashjoin=off; SET enable_mergejoin=off;"
    "SET enable_bitmapscan=off; SET plan_cache_mode=force_generic_plan;"
    "SET statement_timeout=0; SET lock_timeout=0;"
    "SET idle_in_transaction_session_timeout=0;"
    "SELECT set_config('synchronous_commit','on',false)"
    " WHERE current_setting('synchronous_commit')='off'";
/* The server ends the connection of a writer that is gone, whose lease a standby waits for; since version 14 also in the middle of
 * a statement. */
static const char writer_settings[] =
    "SET tcp_keepalives_idle=3; SET tcp_keepalives_interval=1; SET tcp_keepalives_count=3;"
    "SET tcp_user_timeout=6000";

static int32_t set_up(fl_store *store, uint32_t kind, PGconn *db, flamenco_error *err)
{
    char path[200];
    if (PQserverVersion(db) < 120000)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "PostgreSQL 12 or newer is needed, the server has version %d",
                             PQserverVersion(db) / 10000);
    const char *encoding = PQparameterStatus(db, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED,
                             "database \"%s\" has the encoding %s; make one with the encoding UTF8", PQdb(db),
                             encoding != NULL ? encoding : "?");
    (void)snprintf(path, sizeof(path), "SET search_path TO %s", store->quoted_schema);
    int32_t rc = fl_connection_run(db, path, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, session_settings, err);
    if (rc == FLAMENCO_OK && kind == FLAMENCO_SESSION_WRITER)
        rc = fl_connection_run(db, writer_settings, err);
    if (rc == FLAMENCO_OK && kind == FLAMENCO_SESSION_WRITER && PQserverVersion(db) >= 140000)
        rc = fl_connection_run(db, "SET client_connection_check_interval='500ms'", err);
    return rc;
}

int32_t fl_connection_open(fl_store *store, uint32_t kind, PGconn **out, flamenco_error *err)
{
    /* What stands before dbname gives way to what conninfo says; what stands behind it does not. */
    static const char *const keywords[] = { "fallback_application_name", "connect_timeout",
                                            "target_session_attrs",      "tcp_user_timeout",
                                            "keepalives_idle",           "keepalives_interval",
                                            "keepalives_count",          "dbname",
                                            "client_encoding",           NULL };
    const char *const values[] = { "flamenco-manager", "5",    "read-write", "8000", "5", "2", "3",
                                   store->conninfo,    "UTF8", NULL };
    PGconn *db = PQconnectdbParams(keywords, values, 1);
    if (db == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = FLAMENCO_OK;
    if (PQstatus(db) != CONNECTION_OK) {
        const char *text = PQerrorMessage(db);
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%.*s", trimmed(text), text);
    } else {
        PQsetNoticeReceiver(db, take_notice, store);
        rc = set_up(store, kind, db, err);
    }
    if (rc == FLAMENCO_OK)
        *out = db;
    else
        PQfinish(db);
    return rc;
}
