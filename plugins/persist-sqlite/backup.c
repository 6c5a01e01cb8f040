/* SPDX-License-Identifier: Apache-2.0
 *
 * backup.c - copies the database to a new file while it is in use. A method of the service; also called before an upgrade of
 * the schema.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"
#include "table.h"

/* Pages between two looks at whether somebody still wants the copy: some 10 ms. */
#define PAGES_PER_STEP 500

static int32_t copy_pages(fl_store *store, sqlite3 *from, sqlite3 *to, const flamenco_cx *cx, flamenco_error *err)
{
    const flamenco_host *host = store->host;
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL)
        return flamenco_fail(err, fl_error_of(sqlite3_extended_errcode(to)), "cannot begin a copy: %s",
                             sqlite3_errmsg(to));
    int32_t rc = FLAMENCO_OK;
    int step;
    do {
        step = sqlite3_backup_step(backup, PAGES_PER_STEP);
        if (cx != NULL && flamenco_cx_cancelled(cx))
            rc = flamenco_fail(err, FLAMENCO_E_CANCELLED, "the call was given up");
        else if (cx != NULL && cx->deadline_us > 0 && host->monotonic_us(host->h) > cx->deadline_us)
            rc = flamenco_fail(err, FLAMENCO_E_DEADLINE, "the time for this call is over");
    } while (rc == FLAMENCO_OK && step == SQLITE_OK);
    int finished = sqlite3_backup_finish(backup);
    if (rc == FLAMENCO_OK && step != SQLITE_DONE)
        rc = flamenco_fail(err, fl_error_of(step != SQLITE_OK ? step : finished), "cannot copy the database: %s",
                           sqlite3_errstr(step));
    return rc;
}

static int32_t sync_path(const char *path, int flags, flamenco_error *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    int32_t rc = FLAMENCO_OK;
    if (fd < 0 || fsync(fd) != 0)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "cannot sync %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

static int32_t sync_copy(const char *path, flamenco_error *err)
{
    int32_t rc = sync_path(path, O_RDWR, err);
    if (rc != FLAMENCO_OK)
        return rc;
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (parent == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    rc = sync_path(parent, O_RDONLY | O_DIRECTORY, err);
    free(parent);
    return rc;
}

int32_t fl_backup_copy(fl_store *store, sqlite3 *db, const char *path, const flamenco_cx *cx, flamenco_error *err)
{
    sqlite3 *to = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST
                   ? flamenco_fail(err, FLAMENCO_E_EXISTS, "%s exists already", path)
                   : flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot make %s: %s", path, strerror(errno));
    close(fd);
    int32_t rc = FLAMENCO_OK;
    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot open %s", path);
    if (rc == FLAMENCO_OK)
        rc = copy_pages(store, db, to, cx, err);
    /* One file, not three: nobody forgets the log of a copy. */
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(to, "PRAGMA journal_mode=DELETE;", err);
    if (sqlite3_close(to) != SQLITE_OK && rc == FLAMENCO_OK)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "cannot close %s", path);
    if (rc == FLAMENCO_OK)
        rc = sync_copy(path, err);
    if (rc != FLAMENCO_OK)
        (void)unlink(path);
    return rc;
}

int32_t fl_backup(void *self, flamenco_session *session, flamenco_str path, flamenco_cx *cx, flamenco_error *err)
{
    fl_store *store = self;
    if (session == NULL || session->open)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "backup needs a session outside a transaction");
    if (path.len == 0 || memchr(path.ptr, '\0', (size_t)path.len) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a copy needs a file name");
    char *name = strndup(path.ptr, (size_t)path.len);
    if (name == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    /* One snapshot for all of it; else every commit in between would make it begin again. */
    int32_t rc = fl_connection_run(session->db, "BEGIN; SELECT value FROM state;", err);
    if (rc == FLAMENCO_OK)
        rc = fl_backup_copy(store, session->db, name, cx, err);
    if (!sqlite3_get_autocommit(session->db))
        (void)fl_connection_run(session->db, "ROLLBACK;", NULL);
    free(name);
    return rc;
}
