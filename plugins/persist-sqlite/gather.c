/* SPDX-License-Identifier: Apache-2.0
 *
 * gather.c - a layer over SQLite's file system for the writing connection: what is written to the log goes to the system in one
 * piece. SQLite writes the head of each page and then the page, forty writes for a commit; all that counts is that they are in
 * the file when it syncs it. Used by connection.c.
 *
 * Safe, because SQLite asks for a sync of the log before a commit counts (synchronous=EXTRA) and before readers learn of its
 * pages; and before anything else is done with the file, what was gathered is written. A write that fails then is told by the
 * call that caused it, to which SQLite answers as to a failed write: the transaction is rolled back, and what was gathered is
 * forgotten with it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store.h"

/* The pages of most commits; what is longer goes in several pieces. SQLite takes a length modulo 128 KiB. */
#define PIECE_MOST (120u * 1024u)

typedef struct log_file {
    sqlite3_file base; /* first: what SQLite sees */
    sqlite3_file *real; /* stands behind */
    char *piece; /* PIECE_MOST bytes; NULL = not made yet */
    size_t len; /* gathered */
    sqlite3_int64 at; /* where in the file that begins */
} log_file;

static sqlite3_vfs *below(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((log_file *)(void *)file)->real;
}

static int flush(log_file *log)
{
    size_t len = log->len;
    log->len = 0;
    return len > 0 ? log->real->pMethods->xWrite(log->real, log->piece, (int)len, log->at) : SQLITE_OK;
}

/* ---- The log's file ---- */

static int log_close(sqlite3_file *file)
{
    log_file *log = (log_file *)(void *)file;
    int rc = flush(log);
    int closed = log->real->pMethods->xClose(log->real);
    free(log->piece);
    log->piece = NULL;
    return rc != SQLITE_OK ? rc : closed;
}

static int log_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    log_file *log = (log_file *)(void *)file;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->real->pMethods->xRead(log->real, out, n, at) : rc;
}

static int log_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    log_file *log = (log_file *)(void *)file;
    size_t size = (size_t)n;
    if (log->len > 0 && (at != log->at + (sqlite3_int64)log->len || log->len + size > PIECE_MOST)) {
        int rc = flush(log);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (log->piece == NULL)
        log->piece = malloc(PIECE_MOST);
    if (log->piece == NULL || size > PIECE_MOST)
        return log->real->pMethods->xWrite(log->real, data, n, at);
    if (log->len == 0)
        log->at = at;
    memcpy(log->piece + log->len, data, size);
    log->len += size;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = flush((log_file *)(void *)file);
    return rc == SQLITE_OK ? real_of(file)->pMethods->xTruncate(real_of(file), size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    int rc = flush((log_file *)(void *)file);
    return rc == SQLITE_OK ? real_of(file)->pMethods->xSync(real_of(file), flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *out)
{
    int rc = flush((log_file *)(void *)file);
    return rc == SQLITE_OK ? real_of(file)->pMethods->xFileSize(real_of(file), out) : rc;
}

static int log_lock(sqlite3_file *file, int kind)
{
    return real_of(file)->pMethods->xLock(real_of(file), kind);
}

static int log_unlock(sqlite3_file *file, int kind)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), kind);
}

static int log_is_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int log_control(sqlite3_file *file, int what, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int log_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int log_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

/* ---- The file system: all but opening a log is that of the one below ---- */

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return below(vfs)->xOpen(below(vfs), name, file, flags, flags_out);
    log_file *log = (log_file *)(void *)file;
    memset(log, 0, sizeof(*log));
    log->real = (sqlite3_file *)(void *)(log + 1);
    int rc = below(vfs)->xOpen(below(vfs), name, log->real, flags, flags_out);
    /* SQLite closes a file that has methods, whatever the result. */
    if (log->real->pMethods != NULL)
        log->base.pMethods = &log_methods;
    return rc;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    return below(vfs)->xDelete(below(vfs), name, sync_dir);
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    return below(vfs)->xAccess(below(vfs), name, flags, out);
}

static int full_path(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    return below(vfs)->xFullPathname(below(vfs), name, n, out);
}

static int randomness(sqlite3_vfs *vfs, int n, char *out)
{
    return below(vfs)->xRandomness(below(vfs), n, out);
}

static int pause_for(sqlite3_vfs *vfs, int us)
{
    return below(vfs)->xSleep(below(vfs), us);
}

static int current_time(sqlite3_vfs *vfs, double *out)
{
    return below(vfs)->xCurrentTime(below(vfs), out);
}

static int last_error(sqlite3_vfs *vfs, int n, char *out)
{
    return below(vfs)->xGetLastError(below(vfs), n, out);
}

int fl_gather_open(fl_store *store, int flags, sqlite3 **out)
{
    char name[32];
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (real == NULL)
        return SQLITE_ERROR;
    (void)snprintf(name, sizeof(name), "flamenco-%p", (void *)store);
    store->gather = (sqlite3_vfs){ .iVersion = 1,
                                   .szOsFile = (int)sizeof(log_file) + real->szOsFile,
                                   .mxPathname = real->mxPathname,
                                   .zName = name,
                                   .pAppData = real,
                                   .xOpen = open_file,
                                   .xDelete = delete_file,
                                   .xAccess = access_file,
                                   .xFullPathname = full_path,
                                   .xRandomness = randomness,
                                   .xSleep = pause_for,
                                   .xCurrentTime = current_time,
                                   .xGetLastError = last_error };
    int rc = sqlite3_vfs_register(&store->gather, 0);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_open_v2(store->path, out, flags, name);
    /* The connection keeps it; nobody else is to find it. */
    (void)sqlite3_vfs_unregister(&store->gather);
    store->gather.zName = "flamenco";
    return rc;
}
