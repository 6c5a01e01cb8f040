/* SPDX-License-Identifier: Apache-2.0
 *
 * connection.c - opens connections with all settings, and translates the results of SQLite. Used by sessions, start, check
 * and backup.
 */
#include <stdlib.h>

#include "store.h"

int32_t fl_error_of(int sqlite_rc)
{
    switch (sqlite_rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return FLAMENCO_E_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return FLAMENCO_E_NOT_FOUND;
    case SQLITE_IOERR_NOMEM:
        return FLAMENCO_E_NOMEM;
    default:
        break;
    }
    switch (sqlite_rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FLAMENCO_OK;
    case SQLITE_FULL:
        return FLAMENCO_E_FULL;
    case SQLITE_IOERR:
        return FLAMENCO_E_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return FLAMENCO_E_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FLAMENCO_E_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return FLAMENCO_E_UNAVAILABLE;
    case SQLITE_INTERRUPT:
        return FLAMENCO_E_CANCELLED;
    case SQLITE_NOMEM:
        return FLAMENCO_E_NOMEM;
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return FLAMENCO_E_INVALID;
    default:
        return FLAMENCO_E_INTERNAL;
    }
}

int32_t fl_connection_run(sqlite3 *db, const char *sql, flamenco_error *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return FLAMENCO_OK;
    return flamenco_fail(err, fl_error_of(sqlite3_extended_errcode(db)), "%s (in %.80s)", sqlite3_errmsg(db), sql);
}

int32_t fl_connection_int(sqlite3 *db, const char *sql, int64_t *out, flamenco_error *err)
{
    sqlite3_stmt *st = NULL;
    int64_t value = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            value = sqlite3_column_int64(st, 0);
    }
    int32_t result = FLAMENCO_OK;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        result =
            flamenco_fail(err, fl_error_of(sqlite3_extended_errcode(db)), "%s (in %.80s)", sqlite3_errmsg(db), sql);
    else
        *out = value;
    sqlite3_finalize(st);
    return result;
}

static int32_t set_up(fl_store *store, uint32_t kind, sqlite3 *db, flamenco_error *err)
{
    const flamenco_config *config = store->config;
    uint32_t writer = kind == FLAMENCO_SESSION_WRITER;
    sqlite3_extended_result_codes(db, 1);
    if (sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL) != SQLITE_OK)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "SQLite %s lacks a setting", sqlite3_libversion());
    int64_t busy_ms = config->integer(config->c, "busy_timeout") / 1000;
    sqlite3_busy_timeout(db, (int)busy_ms);
    int64_t cache = config->integer(config->c, writer ? "cache_size" : "reader_cache_size");
    char sql[256];
    (void)snprintf(sql, sizeof(sql), "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-%lld;",
                   (long long)(cache / 1024));
    int32_t rc = fl_connection_run(db, sql, err);
    if (rc != FLAMENCO_OK)
        return rc;
    /* Only the writer ever copies the log back, between batches (upkeep.c): two who do it are what SQLite before 3.51.3
     * can lose commits by. */
    if (!writer)
        return fl_connection_run(db, "PRAGMA wal_autocheckpoint=0;", err);
    /* A new file is marked as ours by its very first bytes, before anything goes to the log: a crash in between must not
     * leave what looks like a stranger's database. EXTRA syncs the directory, too, when the journal of these first writes has
     * been removed: after a power loss it could come back and undo everything that was committed since. For the log it means
     * the same as FULL. */
    int64_t pages = 0;
    rc = fl_connection_run(db, "PRAGMA synchronous=EXTRA;", err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "PRAGMA page_count", &pages, err);
    if (rc == FLAMENCO_OK && pages == 0) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d;", FL_APPLICATION_ID);
        rc = fl_connection_run(db, sql, err);
    }
    if (rc != FLAMENCO_OK)
        return rc;
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                   "PRAGMA secure_delete=OFF; PRAGMA journal_size_limit=%lld;",
                   (long long)config->integer(config->c, "log_size_limit"));
    rc = fl_connection_run(db, sql, err);
    /* SQLite opens what it may not write for reading, without a word, and stays at that. The database itself may be written
     * all the same, by a descriptor that was kept for readers, and only its log not: beginning to write tells. */
    return rc == FLAMENCO_OK ? fl_connection_run(db, "BEGIN IMMEDIATE; ROLLBACK;", err) : rc;
}

int32_t fl_connection_open(fl_store *store, uint32_t kind, sqlite3 **out, flamenco_error *err)
{
    uint32_t writer = kind == FLAMENCO_SESSION_WRITER;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    sqlite3 *db = NULL;
    int rc = writer ? fl_gather_open(store, flags | SQLITE_OPEN_READWRITE, &db)
                    : sqlite3_open_v2(store->path, &db, flags | SQLITE_OPEN_READONLY, NULL);
    int32_t result;
    if (rc != SQLITE_OK)
        result = flamenco_fail(err, rc == SQLITE_NOMEM ? FLAMENCO_E_NOMEM : FLAMENCO_E_UNAVAILABLE,
                               "cannot open %s: %s", store->path, db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    else if (writer && sqlite3_db_readonly(db, "main") != 0)
        result = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%s cannot be written", store->path);
    else
        result = set_up(store, kind, db, err);
    if (result == FLAMENCO_OK)
        *out = db;
    else
        sqlite3_close(db);
    return result;
}
