/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - opening and closing the store: lease, file, schema, the check after an unclean stop. Called by the plugin's
 * phases start and stop.
 */
#include "store.h"
#include "table.h"

void fl_store_note(fl_store *store, int32_t rc, const char *text)
{
    pthread_mutex_lock(&store->lock);
    store->last_error = rc;
    (void)snprintf(store->last_text, sizeof(store->last_text), "%s", text != NULL ? text : "");
    pthread_mutex_unlock(&store->lock);
}

/* Takes the next epoch and marks the store as in use, in one commit. *clean_out: the last one stopped in order. */
static int32_t open_epoch(fl_store *store, sqlite3 *db, int64_t *clean_out, flamenco_error *err)
{
    int32_t rc = fl_connection_run(db, "BEGIN IMMEDIATE;", err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "SELECT value FROM state WHERE name='clean'", clean_out, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db,
                               "UPDATE state SET value=value+1 WHERE name='epoch';"
                               "UPDATE state SET value=0 WHERE name='clean';",
                               err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "SELECT value FROM state WHERE name='epoch'", &store->epoch, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, "COMMIT;", err);
    if (rc != FLAMENCO_OK && !sqlite3_get_autocommit(db))
        (void)fl_connection_run(db, "ROLLBACK;", NULL);
    return rc;
}

int32_t fl_store_check(fl_store *store, flamenco_error *err)
{
    flamenco_session *session = NULL;
    int32_t rc = fl_open(store, FLAMENCO_SESSION_READER, &session, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_cx cx = { .struct_size = (uint32_t)sizeof(cx), .read_only = 1, .host = store->host };
    int64_t began = store->host->monotonic_us(store->host->h);
    rc = fl_check_session(store, session, &cx, 1, err);
    fl_close(store, session);
    if (rc == FLAMENCO_OK)
        store->host->log(store->host->h, FLAMENCO_LOG_INFO, "the database is in order (checked in %.1f s)",
                         (double)(store->host->monotonic_us(store->host->h) - began) / 1e6);
    return rc;
}

/* SQLite's own texts do not say which file they are about. */
static void name_file(const fl_store *store, flamenco_error *err)
{
    if (err == NULL || strstr(err->text, store->path) != NULL ||
        (store->reference != NULL && strstr(err->text, store->reference) != NULL))
        return;
    flamenco_error plain = *err;
    (void)flamenco_fail(err, plain.code, "%s: %s", store->path, plain.text);
}

int32_t fl_store_open(fl_store *store, uint32_t *fresh_out, int64_t *clean_out, flamenco_error *err)
{
    sqlite3 *db = NULL;
    int32_t rc = fl_path_create(store->path, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_open(store, FLAMENCO_SESSION_WRITER, &db, err);
    if (rc == FLAMENCO_OK)
        rc = fl_schema_upgrade(store, db, fl_schema_migrations(), fresh_out, err);
    if (rc == FLAMENCO_OK)
        rc = open_epoch(store, db, clean_out, err);
    if (rc == FLAMENCO_OK)
        rc = fl_upkeep_truncate(db, err);
    if (rc != FLAMENCO_OK) {
        sqlite3_close(db);
        return rc;
    }
    store->spare = db;
    store->wal_pages = store->copied_at = 0;
    store->quiet_after = (uint64_t)store->config->integer(store->config->c, "quiet_pages");
    return rc;
}

int32_t fl_store_start(void *self, flamenco_error *err)
{
    fl_store *store = self;
    const flamenco_host *host = store->host;
    if (!sqlite3_threadsafe())
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the SQLite library was built without threads");
    /* Counting memory takes a lock of the whole process at each allocation, for readers and writer alike: 10 % of all CPU.
     * Refused, and no matter, when somebody has begun to use SQLite before. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int64_t clean = 1;
    uint32_t fresh = 0;
    int32_t rc = fl_path_make_parents(store->path, err);
    if (rc == FLAMENCO_OK)
        rc = fl_lease_take(store, err);
    if (rc != FLAMENCO_OK)
        return rc;
    /* Looked at before it is opened: the settings of a connection already change a file. */
    if (fl_path_is_foreign(store->path))
        rc = flamenco_fail(err, FLAMENCO_E_CONFLICT, "%s is a database of another program; it is left as it is",
                           store->path);
    if (rc == FLAMENCO_OK)
        rc = fl_store_import(store, err);
    if (rc == FLAMENCO_OK)
        rc = fl_store_open(store, &fresh, &clean, err);
    if (rc == FLAMENCO_OK && !clean && !fresh) {
        host->log(host->h, FLAMENCO_LOG_INFO, "%s was not closed in order: checking it", store->path);
        rc = fl_store_check(store, err);
    }
    if (rc == FLAMENCO_OK) {
        host->log(host->h, FLAMENCO_LOG_INFO, "database %s, SQLite %s, lease %lld%s", store->path, sqlite3_libversion(),
                  (long long)store->epoch, fresh ? ", new" : "");
        return rc;
    }
    sqlite3_close(store->spare);
    store->spare = NULL;
    name_file(store, err);
    fl_lease_drop(store);
    return rc;
}

int32_t fl_store_stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    fl_store *store = self;
    (void)deadline_us;
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&store->lock);
    sqlite3 *db = store->spare;
    store->spare = NULL;
    uint32_t in_use = store->writer != NULL;
    pthread_mutex_unlock(&store->lock);
    if (in_use) {
        rc = flamenco_fail(err, FLAMENCO_E_CONFLICT, "the writing session is still open");
        goto cleanup;
    }
    if (db == NULL)
        rc = fl_connection_open(store, FLAMENCO_SESSION_WRITER, &db, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, "UPDATE state SET value=1 WHERE name='clean';", err);
    if (rc == FLAMENCO_OK)
        rc = fl_upkeep_truncate(db, err);
cleanup:
    sqlite3_close(db);
    fl_lease_drop(store);
    return rc;
}
