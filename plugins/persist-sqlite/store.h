/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - the plugin's instance and its sessions, and how a method begins and ends. Included by every file of the plugin.
 *
 * Locks: `lock` guards what several sessions share (spare, writer, the last error). What is marked [writer] is touched by
 * the writing thread alone; a session belongs to one thread at a time.
 */
#ifndef FL_STORE_H
#define FL_STORE_H

#include <pthread.h>
#include <sqlite3.h>

#include "flamenco/persistence.h"
#include "base.h"
#include "statements.h"

struct fl_store {
    const flamenco_host *host;
    const flamenco_config *config;
    char *path; /* of the database; owned */
    char *reference; /* what `database` names: where a file of the reference would be; NULL when `path` is set; owned */
    int lock_fd; /* holds the lease while it is open; -1 = none */
    int64_t epoch; /* number of the lease */
    pthread_mutex_t lock;
    sqlite3 *spare; /* the writing connection while no session has it */
    flamenco_session *writer;
    int32_t last_error; /* of the last begin or commit of the writer; 0 = it worked */
    char last_text[200];
    sqlite3_vfs gather; /* gather.c's: the file system of the writing connection */
    uint64_t wal_pages; /* [writer] in the log after the last commit */
    uint64_t copied_at; /* [writer] wal_pages at the last checkpoint */
    uint64_t quiet_after; /* [writer] wal_pages from which a quiet moment is wanted */
};

/* A savepoint copies every page that is changed in it. */
#define FL_HAS_SAVEPOINT_UNLIKELY 1

/* A statement that a session keeps; NULL = not prepared yet. */
typedef sqlite3_stmt *fl_kept;

/* A statement in use (rows.h). */
typedef struct fl_query {
    flamenco_session *s;
    sqlite3_stmt *st;
    int32_t rc;
    uint32_t own; /* made for this use only, because the kept one is being stepped further out */
} fl_query;

struct flamenco_session {
    FL_SESSION_MEMBERS
    sqlite3 *db;
    int32_t stopped; /* why the progress handler stopped a statement */
    int64_t savepoint_changes; /* fl_changes() when a savepoint that is left out began */
};

/* Grows with every row that the session changes. */
static inline int64_t fl_changes(const flamenco_session *s)
{
    return sqlite3_total_changes64(s->db);
}

/* fl_fail() for a result code of SQLite; marks the transaction as failed where it is. */
int32_t fl_fail_sqlite(flamenco_session *s, int sqlite_rc);
/* The FLAMENCO_E_* of an (extended) result code of SQLite. */
int32_t fl_error_of(int sqlite_rc);

/* gather.c: as sqlite3_open_v2(), for the one writing connection, whose log is written in one piece per commit. The store
 * outlives it. */
int fl_gather_open(fl_store *store, int flags, sqlite3 **out);

/* Opens a connection with all settings. kind: FLAMENCO_SESSION_*. */
int32_t fl_connection_open(fl_store *store, uint32_t kind, sqlite3 **out, flamenco_error *err);
/* Runs SQL text without parameters. */
int32_t fl_connection_run(sqlite3 *db, const char *sql, flamenco_error *err);
/* Reads the one integer that a statement without parameters gives. No row gives 0. */
int32_t fl_connection_int(sqlite3 *db, const char *sql, int64_t *out, flamenco_error *err);

/* store.c: the plugin's start and stop. */
int32_t fl_store_start(void *self, flamenco_error *err);
int32_t fl_store_stop(void *self, int64_t deadline_us, flamenco_error *err);
/* Opens the database at store->path, making it when it is not there, and takes the next epoch. fl_store_stop closes it. */
int32_t fl_store_open(fl_store *store, uint32_t *fresh_out, int64_t *clean_out, flamenco_error *err);
int32_t fl_store_check(fl_store *store, flamenco_error *err);
/* import.c: at the first start, makes store->path from the reference's database, if there is one. */
int32_t fl_store_import(fl_store *store, flamenco_error *err);

/* path.c */
int32_t fl_path_settle(fl_store *store, flamenco_error *err);
int32_t fl_path_make_parents(const char *path, flamenco_error *err);
int32_t fl_path_create(const char *path, flamenco_error *err);
/* "NAME-c.EXT" for "NAME.EXT", owned by the caller until host->free; NULL when memory is exhausted. */
char *fl_path_ours(const flamenco_host *host, flamenco_str reference);
/* Tell (1) whether `path` is a database of somebody else, and whether it is one of ours. */
int fl_path_is_foreign(const char *path);
int fl_path_is_ours(const char *path);
/* lease.c: BUSY names the holder. */
int32_t fl_lease_take(fl_store *store, flamenco_error *err);
void fl_lease_drop(fl_store *store);

/* schema.c */
#define FL_APPLICATION_ID 0x466C4D63 /* "FlMc" */

typedef struct fl_migration {
    int32_t version; /* of the schema after it */
    const char *const *sql; /* texts of several statements; NULL ends */
} fl_migration;

/* The list of migrations, ended by version 0. */
const fl_migration *fl_schema_migrations(void);
/* Brings the database to the last version of the list. CONFLICT: not ours, or newer. *fresh_out: 1 when it was empty. */
int32_t fl_schema_upgrade(fl_store *store, sqlite3 *db, const fl_migration *list, uint32_t *fresh_out,
                          flamenco_error *err);

/* upkeep.c */
void fl_upkeep_attach(fl_store *store, sqlite3 *db);
int32_t fl_upkeep_truncate(sqlite3 *db, flamenco_error *err);

/* check.c: fl_check(); full = also indexes against tables, in one long snapshot. */
int32_t fl_check_session(fl_store *store, flamenco_session *session, flamenco_cx *cx, uint32_t full,
                         flamenco_error *err);

/* backup.c: copies the database to the new file `path`. cx may be NULL. EXISTS. */
int32_t fl_backup_copy(fl_store *store, sqlite3 *db, const char *path, const flamenco_cx *cx, flamenco_error *err);

#endif
