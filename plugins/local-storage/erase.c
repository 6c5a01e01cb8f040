/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.c - see erase.h.
 */
#include "erase.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paths.h"

/* One descriptor is held per level. The manager itself makes one level. */
#define MAX_LEVELS 64

static int32_t erase_level(int dir_fd, const flamenco_cx *cx, int levels_left, flamenco_error *err);

static int32_t erase_directory(int parent_fd, const char *name, const flamenco_cx *cx, int levels_left,
                               flamenco_error *err)
{
    int fd = fl_ls_open_below(parent_fd, name, 0);
    if (fd < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_ls_fail_errno(err, "cannot open", name);
    int32_t rc = erase_level(fd, cx, levels_left, err);
    close(fd);
    if (rc == FLAMENCO_OK && unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = fl_ls_fail_errno(err, "cannot remove", name);
    return rc;
}

static int32_t erase_entry(int dir_fd, const char *name, const flamenco_cx *cx, int levels_left, flamenco_error *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return FLAMENCO_OK;
    /* EISDIR is Linux's word for a directory here; EPERM is that of POSIX, and means something else, too. */
    if (errno != EISDIR && errno != EPERM)
        return fl_ls_fail_errno(err, "cannot remove", name);
    int first_errno = errno;
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_ls_fail_errno(err, "cannot look at", name);
    if (!S_ISDIR(st.st_mode)) {
        errno = first_errno;
        return fl_ls_fail_errno(err, "cannot remove", name);
    }
    if (levels_left == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%s: more than %d levels of directories", name, MAX_LEVELS);
    return erase_directory(dir_fd, name, cx, levels_left - 1, err);
}

static int32_t erase_level(int dir_fd, const flamenco_cx *cx, int levels_left, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    size_t seen;
    int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return fl_ls_fail_errno(err, "cannot read", "directory");
    DIR *dir = fdopendir(copy);
    if (dir == NULL) {
        rc = fl_ls_fail_errno(err, "cannot read", "directory");
        close(copy);
        return rc;
    }
    /* Removing while reading may make readdir pass over entries on some file systems: read until nothing is left. */
    do {
        seen = 0;
        rewinddir(dir);
        for (;;) {
            errno = 0;
            const struct dirent *entry = readdir(dir);
            if (entry == NULL) {
                if (errno != 0)
                    rc = fl_ls_fail_errno(err, "cannot read", "directory");
                break;
            }
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            ++seen;
            if (cx != NULL && flamenco_cx_cancelled(cx))
                rc = flamenco_fail(err, FLAMENCO_E_CANCELLED, "cancelled");
            else
                rc = erase_entry(dir_fd, entry->d_name, cx, levels_left, err);
            if (rc != FLAMENCO_OK)
                break;
        }
    } while (rc == FLAMENCO_OK && seen > 0);
    closedir(dir);
    return rc;
}

int32_t fl_ls_erase_contents(int dir_fd, const flamenco_cx *cx, flamenco_error *err)
{
    return erase_level(dir_fd, cx, MAX_LEVELS, err);
}
