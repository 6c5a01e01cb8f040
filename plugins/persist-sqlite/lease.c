/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.c - keeps a second manager away from the database: a lock on a file beside it, which the system gives back when the
 * process ends in whatever way. Called at start and stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store.h"

/* Reads who wrote itself into the lock file, for people; never empty. */
static void read_holder(int fd, char *out, size_t room)
{
    ssize_t n = pread(fd, out, room - 1, 0);
    size_t len = n > 0 ? (size_t)n : 0;
    while (len > 0 && (unsigned char)out[len - 1] < ' ')
        --len;
    out[len] = '\0';
    for (size_t i = 0; i < len; ++i) {
        if ((unsigned char)out[i] < ' ')
            out[i] = ' ';
    }
    if (len == 0)
        (void)snprintf(out, room, "an unknown process");
}

static int32_t write_holder(int fd, const char *path, flamenco_error *err)
{
    char host[256], text[320];
    if (gethostname(host, sizeof(host)) != 0)
        host[0] = '\0';
    host[sizeof(host) - 1] = '\0';
    int n = snprintf(text, sizeof(text), "process %ld on host %s\n", (long)getpid(), host[0] != '\0' ? host : "?");
    if (n < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot write %s: %s", path, strerror(errno));
    return FLAMENCO_OK;
}

int32_t fl_lease_take(fl_store *store, flamenco_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s.lock", store->path) < 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = FLAMENCO_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
        goto cleanup;
    }
    /* A lock of the open file, not of the process: two instances in one process keep each other out, too. */
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            char holder[200];
            read_holder(fd, holder, sizeof(holder));
            rc = flamenco_fail(err, FLAMENCO_E_BUSY, "%s is in use by %s", store->path, holder);
        } else {
            rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot lock %s: %s", path, strerror(errno));
        }
        goto cleanup;
    }
    rc = write_holder(fd, path, err);
    if (rc != FLAMENCO_OK)
        goto cleanup;
    store->lock_fd = fd;
    fd = -1;
cleanup:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

void fl_lease_drop(fl_store *store)
{
    if (store->lock_fd < 0)
        return;
    /* The file stays: removing it could take it away from under a manager that has just opened it. What stands in it is
     * only read while somebody holds the lock. */
    close(store->lock_fd);
    store->lock_fd = -1;
}
