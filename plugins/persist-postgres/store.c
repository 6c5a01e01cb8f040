/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - opening and closing the store: connection, lease, schema, epoch; and the check. Called by the plugin's phases start
 * and stop, and as a method of the service.
 */
#include "rows.h"
#include "table.h"

void fl_store_note(fl_store *store, int32_t rc, const char *text)
{
    pthread_mutex_lock(&store->lock);
    store->last_error = rc;
    (void)snprintf(store->last_text, sizeof(store->last_text), "%s", text != NULL ? text : "");
    pthread_mutex_unlock(&store->lock);
}

int32_t fl_store_start(void *self, flamenco_error *err)
{
    fl_store *store = self;
    const flamenco_host *host = store->host;
    if (!PQisthreadsafe())
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "libpq was built without threads");
    uint32_t fresh = 0;
    PGconn *db = NULL;
    int32_t rc = fl_connection_open(store, FLAMENCO_SESSION_WRITER, &db, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_lease_take(store, db, err);
    if (rc == FLAMENCO_OK)
        rc = fl_schema_upgrade(store, db, fl_schema_migrations(), &fresh, err);
    if (rc == FLAMENCO_OK)
        rc = fl_lease_open_epoch(store, db, err);
    if (rc != FLAMENCO_OK) {
        PQfinish(db);
        return rc;
    }
    const char *where = PQhost(db);
    host->log(host->h, FLAMENCO_LOG_INFO, "database \"%s\" on %s as %s, schema \"%s\", PostgreSQL %s, lease %lld%s",
              PQdb(db), where != NULL && where[0] != '\0' ? where : "this host", PQuser(db), store->schema,
              PQparameterStatus(db, "server_version"), (long long)store->epoch, fresh ? ", new" : "");
    store->spare = db;
    return FLAMENCO_OK;
}

int32_t fl_store_stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    fl_store *store = self;
    (void)deadline_us;
    pthread_mutex_lock(&store->lock);
    PGconn *db = store->spare;
    store->spare = NULL;
    uint32_t in_use = store->writer != NULL;
    pthread_mutex_unlock(&store->lock);
    PQfinish(db); /* gives the lease back */
    return in_use ? flamenco_fail(err, FLAMENCO_E_CONFLICT, "the writing session is still open") : FLAMENCO_OK;
}

/* PostgreSQL sees to its own pages; what it cannot know is whether our counters are right. */
int32_t fl_check(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    if (session == NULL || session->open || cx->txn != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "check needs a session outside a transaction");
    return fl_recount_all(self, session, cx, err);
}

int32_t fl_backup(void *self, flamenco_session *session, flamenco_str path, flamenco_cx *cx, flamenco_error *err)
{
    (void)self;
    (void)session;
    (void)path;
    (void)cx;
    return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "use PostgreSQL's own means (pg_dump, pg_basebackup)");
}
