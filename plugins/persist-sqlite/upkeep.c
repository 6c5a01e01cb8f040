/* SPDX-License-Identifier: Apache-2.0
 *
 * upkeep.c - the write-ahead log: when it is copied into the database, and when a moment without readers is needed to begin
 * it anew. Called by the writing thread between batches (figures: design/persist-sqlite-notes.md 6).
 */
#include "store.h"

static int on_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    fl_store *store = ctx;
    store->wal_pages = pages > 0 ? (uint64_t)pages : 0;
    return SQLITE_OK;
}

void fl_upkeep_attach(fl_store *store, sqlite3 *db)
{
    sqlite3_wal_hook(db, on_commit, store);
}

int32_t fl_upkeep_truncate(sqlite3 *db, flamenco_error *err)
{
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    /* A reader of another program may stand in the way: the log then stays, and loses nothing. */
    if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
        return FLAMENCO_OK;
    return flamenco_fail(err, fl_error_of(sqlite3_extended_errcode(db)), "cannot copy the log back: %s",
                         sqlite3_errmsg(db));
}

static int32_t copy_log(fl_store *store, sqlite3 *db, flamenco_error *err)
{
    int in_log = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    /* Also after an incomplete copy the next one waits for as many new pages: trying at every commit costs more. */
    store->copied_at = store->wal_pages;
    if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
        return FLAMENCO_OK;
    return flamenco_fail(err, fl_error_of(sqlite3_extended_errcode(db)), "cannot copy the log back: %s",
                         sqlite3_errmsg(db));
}

uint32_t fl_wants_quiet(void *self)
{
    const fl_store *store = self;
    return store->wal_pages >= store->quiet_after;
}

int32_t fl_maintain(void *self, flamenco_session *session, uint32_t phase, flamenco_error *err)
{
    fl_store *store = self;
    if (session == NULL || session->kind != FLAMENCO_SESSION_WRITER || session->open)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "maintain needs the writing session, outside a transaction");
    const flamenco_config *config = store->config;
    uint64_t step = (uint64_t)config->integer(config->c, "checkpoint_pages");
    uint64_t quiet = (uint64_t)config->integer(config->c, "quiet_pages");
    if (phase == FLAMENCO_MAINTAIN_QUIET) {
        int32_t rc = copy_log(store, session->db, err);
        /* A log that is wholly copied begins anew with the next write, if nobody reads it: so write now, and another value
         * than before, because SQLite leaves out a write that changes nothing. */
        if (rc == FLAMENCO_OK)
            rc = fl_connection_run(session->db, "UPDATE state SET value=value+1 WHERE name='resets';", err);
        /* It did not begin anew: a long reader (check, backup, another program) holds it. Ask again later, not at once. */
        store->quiet_after = store->wal_pages < quiet ? quiet : store->wal_pages + quiet;
        if (store->wal_pages < store->copied_at)
            store->copied_at = 0;
        return rc;
    }
    if (phase != FLAMENCO_MAINTAIN_COMMITTED)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "unknown phase %u", phase);
    if (store->wal_pages < store->copied_at) { /* it began anew by itself */
        store->copied_at = 0;
        store->quiet_after = quiet;
    }
    store->host->metric(store->host->h, "sqlite_log_pages", (double)store->wal_pages);
    return store->wal_pages - store->copied_at >= step ? copy_log(store, session->db, err) : FLAMENCO_OK;
}
