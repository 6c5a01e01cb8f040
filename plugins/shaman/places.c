/* SPDX-License-Identifier: Apache-2.0
 *
 * places.c - directories of the storage. The storage itself, file-store, its two directories and jobs may be symbolic links of
 * the administrator; below them none is followed. Each call opens them anew, so that the storage may be unmounted and come
 * back while the manager runs.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAKE_TRIES 100

int32_t fl_sh_fail_errno(flamenco_error *err, const char *what, const char *name)
{
    int number = errno;
    char reason[128];
    int32_t code = FLAMENCO_E_IO;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        code = FLAMENCO_E_FULL;
    else if (number == ENOMEM)
        code = FLAMENCO_E_NOMEM;
    return flamenco_fail(err, code, "%s %s: %s", what, name, strerror_r(number, reason, sizeof(reason)));
}

int fl_sh_is_stopping(const shaman *s)
{
    return __atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE) != 0;
}

/* ---- The three places -------------------------------------------------------------------------------------------- */

static int join(const shaman *s, const char *place, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(s->root, "/") == 0 ? "" : s->root, place);
    return n > 0 && n < PATH_MAX;
}

/* Makes the path and what is missing above it from `from` on, the length of what is known to be there. */
static int make_dirs(char *path, size_t from)
{
    size_t len = strlen(path);
    for (size_t i = from + 1; i <= len; ++i) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char end = path[i];
        path[i] = '\0';
        int failed = mkdir(path, 0777) != 0 && errno != EEXIST;
        path[i] = end;
        if (failed)
            return -1;
    }
    return 0;
}

static uint64_t exchange_device(shaman *s, uint64_t device)
{
    pthread_mutex_lock(&s->lock);
    uint64_t before = s->root_device;
    if (before == 0)
        s->root_device = device;
    pthread_mutex_unlock(&s->lock);
    return before;
}

int32_t fl_sh_make_places(shaman *s, flamenco_error *err)
{
    static const char *const places[] = { FL_SH_STORED, FL_SH_UPLOADING, FL_SH_JOBS };
    char path[PATH_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
        if (!join(s, places[i], path))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "shared_storage_path is too long");
        if (make_dirs(path, 0) != 0)
            return fl_sh_fail_errno(err, "cannot make", path);
    }
    if (stat(s->root, &st) == 0)
        exchange_device(s, (uint64_t)st.st_dev);
    return FLAMENCO_OK;
}

int32_t fl_sh_open_place(shaman *s, const char *place, int *fd_out, flamenco_error *err)
{
    char path[PATH_MAX];
    struct stat st;
    if (!join(s, place, path))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "shared_storage_path is too long");
    for (int tries = 0;; ++tries) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            *fd_out = fd;
            return FLAMENCO_OK;
        }
        if (errno != ENOENT)
            return fl_sh_fail_errno(err, "cannot open", path);
        if (stat(s->root, &st) != 0)
            return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the shared storage %s is not there", s->root);
        /* An empty directory where another file system was: not the storage, but what it is mounted on. */
        uint64_t before = exchange_device(s, (uint64_t)st.st_dev);
        if (tries > 0 || (before != 0 && before != (uint64_t)st.st_dev))
            return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the shared storage %s is not mounted: it has no %s",
                                 s->root, place);
        if (make_dirs(path, strlen(s->root)) != 0)
            return fl_sh_fail_errno(err, "cannot make", path);
    }
}

/* ---- Below them --------------------------------------------------------------------------------------------------- */

/* The same by hand, where the kernel or a sandbox lacks openat2. */
static int open_step_by_step(int dir_fd, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    int at = dir_fd, fd = -1;
    for (;;) {
        size_t n = strcspn(path, "/");
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(name, path, n);
        name[n] = '\0';
        int last = path[n] == '\0';
        fd = openat(at, name, (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC, 0666);
        int number = errno;
        if (at != dir_fd)
            close(at);
        errno = number;
        if (fd < 0 || last)
            return fd;
        at = fd;
        path += n + 1;
    }
    if (at != dir_fd)
        close(at);
    return -1;
}

int fl_sh_open_below(int dir_fd, const char *path, int flags)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
                            .mode = flags & O_CREAT ? 0666 : 0,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    for (int tries = 0; tries < 3; ++tries) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    if (errno != ENOSYS && errno != EPERM && errno != EAGAIN && errno != EINTR)
        return -1;
    return open_step_by_step(dir_fd, path, flags);
}

int fl_sh_make_key_dir(int dir_fd, const char *key_dir, uint32_t *made_out)
{
    const char outer[3] = { key_dir[0], key_dir[1], '\0' };
    const char *inner = key_dir + 3;
    uint32_t made = 0;
    /* Somebody else's clean-up may take either away again, as long as they are empty. */
    for (int tries = 0; tries < MAKE_TRIES; ++tries) {
        int outer_fd = openat(dir_fd, outer, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (outer_fd < 0 && errno == ENOENT) {
            if (mkdirat(dir_fd, outer, 0777) == 0)
                made |= 2;
            else if (errno != EEXIST)
                return -1;
            continue;
        }
        if (outer_fd < 0)
            return -1;
        int fd = -1;
        if (mkdirat(outer_fd, inner, 0777) == 0)
            made |= 1;
        else if (errno != EEXIST)
            goto next;
        fd = openat(outer_fd, inner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    next:;
        int number = errno;
        close(outer_fd);
        if (fd >= 0) {
            *made_out = made;
            return fd;
        }
        errno = number;
        if (number != ENOENT)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

unsigned fl_sh_outer_number(const char *key_dir)
{
    const char text[3] = { key_dir[0], key_dir[1], '\0' };
    return (unsigned)strtoul(text, NULL, 16) & 0xFF;
}

void fl_sh_drop_key_dir(shaman *s, int dir_fd, const char *key_dir, int is_stored)
{
    const char outer[3] = { key_dir[0], key_dir[1], '\0' };
    int outer_fd = openat(dir_fd, outer, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (outer_fd < 0)
        return;
    int gone = unlinkat(outer_fd, key_dir + 3, AT_REMOVEDIR) == 0;
    close(outer_fd);
    if (!gone)
        return;
    if (is_stored) {
        unsigned bit = fl_sh_outer_number(outer);
        pthread_mutex_lock(&s->lock);
        s->synced[bit / 8] &= (uint8_t) ~(1u << bit % 8);
        pthread_mutex_unlock(&s->lock);
    }
    (void)unlinkat(dir_fd, outer, AT_REMOVEDIR);
}

int fl_sh_is_ordered(int fd)
{
    static const uint32_t types[] = { 0xEF53 /* ext4 */, 0x58465342 /* xfs */, 0x2FC12FC1 /* zfs */, 0x6969 /* nfs */,
                                      0x01021994 /* tmpfs */ };
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i)
        if ((uint32_t)fs.f_type == types[i])
            return 1;
    return 0;
}

void fl_sh_hold(shaman *s, int stored_fd, int exclusive)
{
    if (exclusive)
        pthread_rwlock_wrlock(&s->hold);
    else
        pthread_rwlock_rdlock(&s->hold);
    /* Against a garbage collection of another process. File systems without locks do without. */
    while (flock(stored_fd, exclusive ? LOCK_EX : LOCK_SH) != 0 && errno == EINTR)
        ;
}

void fl_sh_release(shaman *s, int stored_fd)
{
    (void)flock(stored_fd, LOCK_UN);
    pthread_rwlock_unlock(&s->hold);
}
