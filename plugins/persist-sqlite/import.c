/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - the first start beside a database of the reference: what is in it becomes ours (decisions: the database file). Called
 * at start, while the lease is held.
 *
 * It is filled under another name, checked, synced and renamed, so that our file is there whole or not at all. What a killed
 * import has left is removed by the next one; one that is told to stop (SIGTERM) removes it itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reference.h"
#include "store.h"
#include "table.h"

static void remove_file(const char *path, const char *tail)
{
    char *name = NULL;
    if (asprintf(&name, "%s%s", path, tail) < 0)
        return;
    (void)unlink(name);
    free(name);
}

/* Removes a database that is being made, with all that may stand beside it. */
static void remove_remains(const char *path)
{
    static const char *const tails[] = {
        "", "-wal", "-shm", "-journal", ".old", ".old-wal", ".old-shm", ".old-journal"
    };
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); ++i)
        remove_file(path, tails[i]);
}

static int32_t sync_path(const char *path, int flags, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "cannot sync %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Gives the finished database its name, so that it survives a power loss. */
static int32_t put_in_place(const char *made, const char *path, flamenco_error *err)
{
    int32_t rc = sync_path(made, O_RDWR, err);
    if (rc == FLAMENCO_OK && rename(made, path) != 0)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "cannot rename %s: %s", made, strerror(errno));
    if (rc != FLAMENCO_OK)
        return rc;
    char *folder = strdup(path);
    if (folder == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    rc = sync_path(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY, err);
    free(folder);
    return rc;
}

/* ---- A call chain outside the executor ---- */

typedef struct piece {
    struct piece *next;
    max_align_t bytes[];
} piece;

/* The host as the new store sees it: the arena of a call chain is a list of pieces. */
typedef struct chain {
    flamenco_host host;
    flamenco_cx cx;
    piece *pieces;
} chain;

static chain *chain_of(flamenco_cx *cx)
{
    return (chain *)(void *)((char *)cx - offsetof(chain, cx));
}

static void *chain_alloc(flamenco_cx *cx, uint64_t bytes)
{
    chain *c = chain_of(cx);
    piece *p = c->host.alloc(c->host.h, sizeof(*p) + bytes);
    if (p == NULL)
        return NULL;
    memset(p->bytes, 0, bytes);
    p->next = c->pieces;
    c->pieces = p;
    return p->bytes;
}

static void chain_forget(flamenco_cx *cx)
{
    chain *c = chain_of(cx);
    while (c->pieces != NULL) {
        piece *next = c->pieces->next;
        c->host.free(c->host.h, c->pieces);
        c->pieces = next;
    }
}

/* ---- Filling ---- */

/* Fills the open store. */
static int32_t fill(fl_store *made, chain *c, const char *reference, fl_reference_counts *counts, flamenco_error *err)
{
    fl_reference_target target = { { &fl_persistence_table, made }, NULL, &c->cx, chain_forget };
    char *scratch = NULL;
    if (asprintf(&scratch, "%s.old", made->path) < 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = fl_open(made, FLAMENCO_SESSION_WRITER, &target.writer, err);
    if (rc == FLAMENCO_OK)
        rc = fl_reference_import(made->host, reference, scratch, &target, counts, err);
    fl_close(made, target.writer);
    chain_forget(&c->cx);
    if (rc == FLAMENCO_OK)
        rc = fl_store_check(made, err);
    free(scratch);
    return rc;
}

/* Makes the database `path` from the reference's. */
static int32_t make(const fl_store *store, char *path, fl_reference_counts *counts, flamenco_error *err)
{
    uint32_t fresh = 0;
    int64_t clean = 0;
    chain c = { .pieces = NULL };
    memcpy(&c.host, store->host, store->host->struct_size < sizeof(c.host) ? store->host->struct_size : sizeof(c.host));
    c.host.cx_alloc = chain_alloc;
    c.cx = (flamenco_cx){ .struct_size = (uint32_t)sizeof(c.cx), .host = &c.host, .now_us = c.host.now_us(c.host.h) };
    if (FLAMENCO_HAS(store->host, stopping))
        c.cx.cancelled = store->host->stopping;
    fl_store made = { .host = &c.host, .config = store->config, .path = path, .lock_fd = -1 };
    if (pthread_mutex_init(&made.lock, NULL) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex can be made");
    int32_t rc = fl_store_open(&made, &fresh, &clean, err);
    if (rc == FLAMENCO_OK) {
        rc = fill(&made, &c, store->reference, counts, err);
        int32_t stopped = fl_store_stop(&made, 0, rc == FLAMENCO_OK ? err : NULL);
        rc = rc == FLAMENCO_OK ? stopped : rc;
    }
    pthread_mutex_destroy(&made.lock);
    return rc;
}

/* Tells (1) whether there is anything to be imported. */
static int is_wanted(const fl_store *store)
{
    struct stat st;
    return store->reference != NULL && access(store->path, F_OK) != 0 && stat(store->reference, &st) == 0 &&
           st.st_size > 0 && !fl_path_is_ours(store->reference);
}

int32_t fl_store_import(fl_store *store, flamenco_error *err)
{
    const flamenco_host *host = store->host;
    fl_reference_counts counts = { 0 };
    char *path = NULL;
    if (asprintf(&path, "%s.import", store->path) < 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    remove_remains(path);
    int32_t rc = FLAMENCO_OK;
    if (!is_wanted(store))
        goto cleanup;
    int64_t began = host->monotonic_us(host->h);
    rc = make(store, path, &counts, err);
    if (rc == FLAMENCO_OK)
        rc = put_in_place(path, store->path, err);
    if (rc == FLAMENCO_OK)
        host->log(
            host->h, FLAMENCO_LOG_INFO,
            "imported %llu jobs with %llu tasks, %llu workers and %llu tags from %s into %s (%.1f s); %s is left as "
            "it was, and no longer used",
            (unsigned long long)counts.jobs, (unsigned long long)counts.tasks, (unsigned long long)counts.workers,
            (unsigned long long)counts.tags, store->reference, store->path,
            (double)(host->monotonic_us(host->h) - began) / 1e6, store->reference);
    else
        remove_remains(path);
cleanup:
    free(path);
    return rc;
}
