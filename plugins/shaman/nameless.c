/* SPDX-License-Identifier: Apache-2.0
 *
 * nameless.c - small files arrive in a file that has no name yet (O_TMPFILE), and get their final one when they are whole.
 * No directories are made and removed for a temporary name, and one commit of the file system's journal makes all of it
 * durable, where a file with a temporary name takes two. Used by uploads.c, on file systems of which this is known:
 *
 *   1. Its bytes are written out and waited for. Its size and extents are in the journal then, or on their way into it.
 *   2. It gets its name, which comes into the journal behind them. So whatever is found under that name is whole, also after
 *      a power failure: the journal's commits follow each other, and each flushes the disk first.
 *   3. It is synced: that commits the name, and the directories made for it before.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TRIES 100

int fl_sh_nameless_make(shaman *s, int stored_fd)
{
    static const uint32_t types[] = { 0xEF53 /* ext4 */, 0x58465342 /* xfs */, 0x01021994 /* tmpfs */ };
    struct statfs fs;
    if (!s->has_proc || fstatfs(stored_fd, &fs) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i)
        if ((uint32_t)fs.f_type == types[i])
            return openat(stored_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    return -1;
}

static int write_out(int fd)
{
    const unsigned how = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (sync_file_range(fd, 0, 0, how) == 0)
        return 0;
    return errno == ENOSYS || errno == EPERM ? fsync(fd) : -1; /* a sandbox may lack it */
}

static int link_to(int fd, int dir_fd, const char *name)
{
    char proc[40];
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, dir_fd, name, AT_SYMLINK_FOLLOW);
}

/* Puts it in the place of what stands there: another upload of the same file, or something that is no blob. */
static int replace(int fd, int dir_fd, const char *name, int64_t size)
{
    char other[FL_SH_NAME_MAX];
    uint32_t number = 0;
    while (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        ;
    snprintf(other, sizeof(other), "%lld-%09u.tmp", (long long)size, number % 1000000000u);
    if (link_to(fd, dir_fd, other) != 0)
        return -1;
    int rc = renameat(dir_fd, other, dir_fd, name);
    int problem = errno;
    /* Also when both names were one file's already: then rename does nothing. */
    (void)unlinkat(dir_fd, other, 0);
    errno = problem;
    return rc;
}

int32_t fl_sh_nameless_place(int fd, int stored_fd, const fl_sh_key *key, const char *key_dir, flamenco_error *err)
{
    char name[FL_SH_NAME_MAX];
    uint32_t made = 0;
    int dir_fd = -1, rc = -1;
    fl_sh_key_name(key, name);
    if (write_out(fd) != 0)
        return fl_sh_fail_errno(err, "cannot write to the shared storage:", key->sha);
    for (int tries = 0; tries < TRIES; ++tries) {
        dir_fd = fl_sh_make_key_dir(stored_fd, key_dir, &made);
        if (dir_fd < 0)
            break;
        rc = link_to(fd, dir_fd, name);
        if (rc != 0 && errno == EEXIST)
            rc = replace(fd, dir_fd, name, key->size);
        /* ENOENT: a collection of garbage took the empty directory away. */
        if (rc == 0 || errno != ENOENT)
            break;
        close(dir_fd);
        dir_fd = -1;
        errno = ENOENT;
    }
    int32_t result = FLAMENCO_OK;
    if (rc != 0) {
        result = fl_sh_fail_errno(err, "cannot move into place", key->sha);
    } else if (fsync(fd) != 0) {
        result = fl_sh_fail_errno(err, "cannot sync", key->sha);
        (void)unlinkat(dir_fd, name, 0); /* whoever is told of it must be able to rely on it */
    }
    if (dir_fd >= 0)
        close(dir_fd);
    return result;
}
