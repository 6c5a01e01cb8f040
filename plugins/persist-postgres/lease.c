/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.c - keeps a second manager away from the schema. The lease is an advisory lock of the writing connection itself: the
 * server gives it back when that connection ends in whatever way, and not before its last transaction has. Each start takes a
 * new epoch, which every commit compares (BATCH_SET), so that a manager whose lease has gone to another one writes nothing
 * more. Called at start, and when the writer has lost its connection.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store.h"

#define TRY_EVERY_US 50000
#define LEAST_TRIES 15
#define PATIENCE_US 10000000 /* with a holder who is busy */

static int32_t try_lock(const fl_store *store, PGconn *db, int64_t *held_out, flamenco_error *err)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "%lld", (long long)store->lock_key);
    return fl_connection_int(db, "SELECT pg_try_advisory_lock($1::bigint)::int", key, held_out, err);
}

/* Who wrote itself into the lease, for people; never empty. */
static void read_holder(PGconn *db, char *out, size_t room)
{
    PGresult *res = PQexec(db, "SELECT holder FROM lease");
    const char *text = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "";
    (void)snprintf(out, room, "%s", text[0] != '\0' ? text : "another process");
    PQclear(res);
}

/* Whether the holder's connection is in the middle of a statement: it may be what a killed manager has left. */
static int32_t is_holder_active(const fl_store *store, PGconn *db, int64_t *out, flamenco_error *err)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "%lld", (long long)store->lock_key);
    return fl_connection_int(
        db,
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid=l.pid"
        " WHERE l.locktype='advisory' AND l.objsubid=1 AND l.granted AND a.state='active'"
        " AND l.database=(SELECT oid FROM pg_database WHERE datname=current_database())"
        " AND l.classid::bigint=(($1::bigint>>32)&4294967295) AND l.objid::bigint=($1::bigint&4294967295)",
        key, out, err);
}

static void pause_us(long us)
{
    struct timespec ts = { .tv_nsec = us * 1000 };
    (void)nanosleep(&ts, NULL);
}

int32_t fl_lease_take(fl_store *store, PGconn *db, flamenco_error *err)
{
    const flamenco_host *host = store->host;
    int64_t held = 0, active = 0, began = host->monotonic_us(host->h);
    int32_t rc;
    /* The server needs a moment to see that a process is gone, and longer when it works for it. */
    for (int tries = 0;; ++tries) {
        rc = try_lock(store, db, &held, err);
        if (rc != FLAMENCO_OK || held)
            return rc;
        rc = is_holder_active(store, db, &active, err);
        if (rc != FLAMENCO_OK)
            return rc;
        if (tries >= LEAST_TRIES && (!active || host->monotonic_us(host->h) - began > PATIENCE_US))
            break;
        pause_us(TRY_EVERY_US);
    }
    char holder[160];
    read_holder(db, holder, sizeof(holder));
    return flamenco_fail(err, FLAMENCO_E_BUSY, "database \"%s\", schema \"%s\" is in use by %s", PQdb(db),
                         store->schema, holder);
}

int32_t fl_lease_open_epoch(fl_store *store, PGconn *db, flamenco_error *err)
{
    char host[128], holder[192];
    if (gethostname(host, sizeof(host)) != 0)
        host[0] = '\0';
    host[sizeof(host) - 1] = '\0';
    (void)snprintf(holder, sizeof(holder), "process %ld on host %s", (long)getpid(), host[0] != '\0' ? host : "?");
    return fl_connection_int(db, "UPDATE lease SET epoch=epoch+1,holder=$1 RETURNING epoch", holder, &store->epoch,
                             err);
}

int32_t fl_lease_retake(fl_store *store, PGconn *db, flamenco_error *err)
{
    int64_t held = 0, epoch = 0;
    int32_t rc = try_lock(store, db, &held, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "SELECT epoch FROM lease", NULL, &epoch, err);
    if (rc == FLAMENCO_OK && epoch != store->epoch)
        rc = flamenco_fail(err, FLAMENCO_E_CONFLICT, "another manager has taken over database \"%s\", schema \"%s\"",
                           PQdb(db), store->schema);
    /* The server still works on what our old connection sent, or a standby is just taking over. */
    if (rc == FLAMENCO_OK && !held)
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the lease of the lost connection is not free yet");
    return rc;
}
