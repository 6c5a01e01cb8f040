/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - reading and replacing configuration files (contract: configuration-and-clients 1.6, 1.12). See file.h.
 */
#include "core/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t fail_errno(flamenco_error *err, const char *what, const char *path, int error)
{
    int32_t code = FLAMENCO_E_IO;
    if (error == ENOENT)
        code = FLAMENCO_E_NOT_FOUND;
    else if (error == ENOSPC || error == EDQUOT)
        code = FLAMENCO_E_FULL;
    else if (error == ENOMEM)
        code = FLAMENCO_E_NOMEM;
    return flamenco_fail(err, code, "%s %s: %s", what, path, strerror(error));
}

int32_t fl_config_file_read(const char *path, fl_buf *out, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    struct stat st;
    /* O_NONBLOCK: opening a pipe must not hang before fstat can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(err, "cannot read", path, errno);
    if (fstat(fd, &st) != 0) {
        rc = fail_errno(err, "cannot read", path, errno);
        goto cleanup;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "%s is not a plain file", path);
        goto cleanup;
    }
    size_t start = out->len;
    for (;;) {
        char *room = fl_buf_reserve(out, 16384);
        if (room == NULL) {
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory while reading %s", path);
            goto cleanup;
        }
        ssize_t n = read(fd, room, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = fail_errno(err, "cannot read", path, errno);
            goto cleanup;
        }
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (out->len - start > FL_CONFIG_FILE_MAX) {
            rc = flamenco_fail(err, FLAMENCO_E_INVALID, "%s is larger than 1 MiB", path);
            goto cleanup;
        }
    }
cleanup:
    close(fd);
    return rc;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Writes `text` to `path` and syncs it. mode 0: an existing file is emptied and filled; else a new file is made, and what
 * stood there is removed, so that nobody else's file or link is written to. */
static int32_t write_synced(const char *path, flamenco_str text, mode_t mode, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    if (mode != 0)
        unlink(path);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (mode != 0 ? O_CREAT | O_EXCL : O_TRUNC), 0600);
    if (fd < 0)
        return fail_errno(err, "cannot write", path, errno);
    /* File systems without permissions refuse; the file is 0600 or as the mount wants it then. */
    if (mode != 0 && fchmod(fd, mode) != 0 && errno != EPERM && errno != ENOTSUP)
        rc = fail_errno(err, "cannot set the permissions of", path, errno);
    else if (write_all(fd, text.ptr, (size_t)text.len) != 0 || fsync(fd) != 0)
        rc = fail_errno(err, "cannot write", path, errno);
    if (close(fd) != 0 && rc == FLAMENCO_OK)
        rc = fail_errno(err, "cannot write", path, errno);
    return rc;
}

/* Syncs the directory of `path`, so that a rename in it survives a power loss. File systems that cannot are let off. */
static int32_t sync_directory(const char *path, flamenco_error *err)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    char *slash = strrchr(copy, '/');
    const char *dir = ".";
    if (slash == copy) {
        dir = "/";
    } else if (slash != NULL) {
        *slash = '\0';
        dir = copy;
    }
    int32_t rc = FLAMENCO_OK;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EBADF))
        rc = fail_errno(err, "cannot sync", dir, errno);
    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

/* Keeps what stands at `path` as PATH.bak. A missing or unreadable old file is no obstacle to a new one. */
static int32_t keep_backup(const char *path, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    char *bak = NULL, *tmp = NULL;
    fl_buf old = { 0 };
    flamenco_error read_err = FLAMENCO_ERROR_INIT;
    rc = fl_config_file_read(path, &old, &read_err);
    if (rc != FLAMENCO_OK) {
        if (rc == FLAMENCO_E_NOMEM)
            flamenco_fail(err, rc, "%s", read_err.text);
        else
            rc = FLAMENCO_OK;
        goto cleanup;
    }
    if (asprintf(&bak, "%s.bak", path) < 0) {
        bak = NULL;
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        goto cleanup;
    }
    if (asprintf(&tmp, "%s.bak~", path) < 0) {
        tmp = NULL;
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        goto cleanup;
    }
    rc = write_synced(tmp, fl_buf_str(&old), 0600, err);
    if (rc == FLAMENCO_OK && rename(tmp, bak) != 0)
        rc = fail_errno(err, "cannot write", bak, errno);
    if (rc != FLAMENCO_OK)
        unlink(tmp);
cleanup:
    fl_buf_fini(&old);
    free(bak);
    free(tmp);
    return rc;
}

/* Writes the new file beside the old one and renames it; in place where that is impossible. The backup is touched only once
 * the new file is safe on the disk. */
static int32_t put_file(const char *path, const char *tmp, flamenco_str text, mode_t mode, int backup,
                        flamenco_error *err)
{
    struct stat st;
    int32_t rc = write_synced(tmp, text, mode, err);
    if (rc == FLAMENCO_OK && backup)
        rc = keep_backup(path, err);
    if (rc != FLAMENCO_OK) {
        unlink(tmp);
        return rc;
    }
    if (rename(tmp, path) == 0)
        return sync_directory(path, err);
    int error = errno;
    unlink(tmp);
    if ((error == EBUSY || error == EXDEV) && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return write_synced(path, text, 0, err);
    return fail_errno(err, "cannot replace", path, error);
}

int32_t fl_config_file_replace(const char *path, flamenco_str text, uint32_t flags, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    char *tmp = NULL;
    struct stat st;
    mode_t mode = 0600;
    char *real = realpath(path, NULL);
    if (real == NULL) {
        if (errno != ENOENT)
            return fail_errno(err, "cannot write", path, errno);
        real = strdup(path);
    }
    if (real == NULL || asprintf(&tmp, "%s~", real) < 0) {
        tmp = NULL;
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        goto cleanup;
    }
    if ((flags & FL_CONFIG_FILE_KEEP_MODE) != 0 && stat(real, &st) == 0)
        mode = st.st_mode & 0777;
    rc = put_file(real, tmp, text, mode, (flags & FL_CONFIG_FILE_BACKUP) != 0, err);
    if (rc == FLAMENCO_E_NOT_FOUND) /* of the caller's view: the directory is gone, nothing was saved */
        rc = FLAMENCO_E_IO;
cleanup:
    free(tmp);
    free(real);
    return rc;
}
