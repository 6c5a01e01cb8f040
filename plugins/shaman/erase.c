/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.c - removes checkouts, by descriptors, so that no symbolic link, also one put in its way meanwhile, leads out of the
 * tree.
 */
#include "shaman.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVELS_MAX 256
#define REMOVE_TRIES 4

static int32_t erase_directory(int parent_fd, const char *name, int levels_left, flamenco_error *err);

static int32_t erase_entry(int dir_fd, const char *name, int levels_left, flamenco_error *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return FLAMENCO_OK;
    int first_errno = errno;
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot look at", name);
    if (S_ISDIR(st.st_mode))
        return erase_directory(dir_fd, name, levels_left - 1, err);
    errno = first_errno;
    return fl_sh_fail_errno(err, "cannot remove", name);
}

/* Goes once through the directory. *seen_out: entries that were there. */
static int32_t erase_entries(DIR *dir, int levels_left, size_t *seen_out, flamenco_error *err)
{
    *seen_out = 0;
    rewinddir(dir);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno != 0 ? fl_sh_fail_errno(err, "cannot read", "a directory") : FLAMENCO_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        ++*seen_out;
        int32_t rc = erase_entry(dirfd(dir), entry->d_name, levels_left, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
}

static int32_t erase_directory(int parent_fd, const char *name, int levels_left, flamenco_error *err)
{
    if (levels_left == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%s: more than %d levels of directories", name, LEVELS_MAX);
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot open", name);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    int32_t rc = FLAMENCO_OK;
    size_t seen = 0;
    /* Removing while reading may make readdir pass over entries: read until nothing is left. Others may add to it. */
    for (int tries = 0; rc == FLAMENCO_OK; ++tries) {
        do
            rc = erase_entries(dir, levels_left, &seen, err);
        while (rc == FLAMENCO_OK && seen > 0);
        if (rc != FLAMENCO_OK || unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            break;
        if ((errno != ENOTEMPTY && errno != EEXIST) || tries == REMOVE_TRIES)
            rc = fl_sh_fail_errno(err, "cannot remove", name);
    }
    closedir(dir);
    return rc;
}

int32_t fl_sh_erase_tree(int parent_fd, const char *name, flamenco_error *err)
{
    return erase_entry(parent_fd, name, LEVELS_MAX, err);
}

int fl_sh_open_parent(int jobs_fd, const fl_sh_path *path, const char **last_out)
{
    int at = fcntl(jobs_fd, F_DUPFD_CLOEXEC, 0);
    const char *component = path->text;
    for (uint32_t i = 0; at >= 0 && i + 1 < path->n; ++i, component = fl_sh_next(component)) {
        int fd = openat(at, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int number = errno;
        close(at);
        errno = number;
        at = fd;
    }
    *last_out = component;
    return at;
}

/* Removes the directory that the checkout stood in, when it is empty now: one level, never `jobs`. */
static void drop_parent(int jobs_fd, const fl_sh_path *path)
{
    fl_sh_path upper = { path->text, path->n - 1, 0 };
    const char *name;
    if (upper.n == 0)
        return;
    int fd = fl_sh_open_parent(jobs_fd, &upper, &name);
    if (fd < 0)
        return;
    (void)unlinkat(fd, name, AT_REMOVEDIR);
    close(fd);
}

int32_t fl_sh_erase_checkout(void *self, flamenco_cx *cx, flamenco_str checkout_id, flamenco_error *err)
{
    shaman *s = self;
    fl_sh_path path;
    const char *name, *last;
    int jobs_fd = -1;
    (void)cx;
    int32_t rc = fl_sh_checkout_path(s->host, checkout_id, &path, &name, err);
    if (rc != FLAMENCO_OK)
        return rc;
    /* "." and its like become a name when a checkout is made, and name nothing when one is erased. */
    if (strcmp(name, FL_SH_UNNAMED) == 0 && checkout_id.ptr[0] != FL_SH_UNNAMED[0])
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "\"%.*s\" is no checkout", (int)checkout_id.len, checkout_id.ptr);
    if (rc == FLAMENCO_OK)
        rc = fl_sh_open_place(s, FL_SH_JOBS, &jobs_fd, err);
    if (rc == FLAMENCO_OK) {
        int fd = fl_sh_open_parent(jobs_fd, &path, &last);
        if (fd >= 0) {
            rc = fl_sh_erase_tree(fd, last, err);
            close(fd);
            if (rc == FLAMENCO_OK)
                drop_parent(jobs_fd, &path);
        } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
            rc = fl_sh_fail_errno(err, "cannot open checkout", name);
        }
        close(jobs_fd);
    }
    s->host->free(s->host->h, path.text);
    return rc;
}
