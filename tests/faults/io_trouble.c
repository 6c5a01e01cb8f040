/* SPDX-License-Identifier: Apache-2.0
 *
 * io_trouble.c - preloaded into the manager by the fault tests: makes file operations below one directory fail or hang
 * while it runs, without root and at an exact moment.
 *
 * FL_TROUBLE_DIR names the directory. While the file named by FL_TROUBLE_SWITCH exists, what would change anything below
 * that directory fails: its first word is the error (EROFS, EIO, ENOSPC, EDQUOT), or "hang", which waits until the file is
 * gone. A second word "sync" spares all but fsync and fdatasync: data is taken, and cannot be made durable.
 */
/* Both names of each call are to be had: pwrite and pwrite64. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2 };

static const char *switch_path(void)
{
    return getenv("FL_TROUBLE_SWITCH");
}

static int is_below(const char *path)
{
    const char *dir = getenv("FL_TROUBLE_DIR");
    size_t len = dir != NULL ? strlen(dir) : 0;
    return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int fd_is_below(int fd)
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0)
        return 0;
    path[n] = '\0';
    return is_below(path);
}

static int code_of(const char *word)
{
    return strncmp(word, "EROFS", 5) == 0    ? EROFS
           : strncmp(word, "ENOSPC", 6) == 0 ? ENOSPC
           : strncmp(word, "EDQUOT", 6) == 0 ? EDQUOT
                                             : EIO;
}

/* Returns the error that an operation of this kind is to fail with now; 0 = none. Waits while the disk hangs. */
static int trouble(int kind)
{
    char text[64];
    for (;;) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, switch_path(), O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return 0;
        ssize_t n = syscall(SYS_read, fd, text, sizeof(text) - 1);
        syscall(SYS_close, fd);
        text[n > 0 ? n : 0] = '\0';
        if (n <= 0 || (kind == WRITES && strstr(text, "sync") != NULL))
            return 0;
        if (strncmp(text, "hang", 4) != 0)
            return code_of(text);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
}

static int is_on(void)
{
    const char *path = switch_path();
    return path != NULL && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

/* Sets errno and returns 1 when the operation on this descriptor, or path, is to fail. */
static int fails(int kind, int fd, const char *path)
{
    int code;
    if (!is_on() || !(path != NULL ? is_below(path) : fd_is_below(fd)) || (code = trouble(kind)) == 0)
        return 0;
    errno = code;
    return 1;
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        abort();
    return function;
}

#define NEXT(name, result, ...) ((result(*)(__VA_ARGS__))(__UINTPTR_TYPE__)next(name))
#define EXPORT __attribute__((visibility("default")))

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    return fails(WRITES, fd, NULL) ? -1 : NEXT("write", ssize_t, int, const void *, size_t)(fd, data, n);
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
    return fails(WRITES, fd, NULL) ? -1 : NEXT("writev", ssize_t, int, const struct iovec *, int)(fd, v, n);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return fails(WRITES, fd, NULL) ? -1 : NEXT("pwrite", ssize_t, int, const void *, size_t, off_t)(fd, data, n, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    return fails(WRITES, fd, NULL) ? -1
                                   : NEXT("pwrite64", ssize_t, int, const void *, size_t, off64_t)(fd, data, n, at);
}

EXPORT int fsync(int fd)
{
    return fails(SYNCS, fd, NULL) ? -1 : NEXT("fsync", int, int)(fd);
}

EXPORT int fdatasync(int fd)
{
    return fails(SYNCS, fd, NULL) ? -1 : NEXT("fdatasync", int, int)(fd);
}

EXPORT int ftruncate(int fd, off_t size)
{
    return fails(WRITES, fd, NULL) ? -1 : NEXT("ftruncate", int, int, off_t)(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    return fails(WRITES, fd, NULL) ? -1 : NEXT("ftruncate64", int, int, off64_t)(fd, size);
}

EXPORT int unlink(const char *path)
{
    return fails(WRITES, -1, path) ? -1 : NEXT("unlink", int, const char *)(path);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return fails(WRITES, -1, path) ? -1 : NEXT("mkdir", int, const char *, mode_t)(path, mode);
}

EXPORT int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
    return fails(SYNCS, fd, NULL) ? -1
                                  : NEXT("sync_file_range", int, int, off64_t, off64_t, unsigned)(fd, at, n, flags);
}

/* Of two directories the second one counts. Names are relative to them. */
EXPORT int mkdirat(int dir, const char *path, mode_t mode)
{
    return fails(WRITES, dir, NULL) ? -1 : NEXT("mkdirat", int, int, const char *, mode_t)(dir, path, mode);
}

EXPORT int symlinkat(const char *text, int dir, const char *path)
{
    return fails(WRITES, dir, NULL) ? -1 : NEXT("symlinkat", int, const char *, int, const char *)(text, dir, path);
}

EXPORT int linkat(int from, const char *old, int dir, const char *path, int flags)
{
    return fails(WRITES, dir, NULL)
               ? -1
               : NEXT("linkat", int, int, const char *, int, const char *, int)(from, old, dir, path, flags);
}

EXPORT int renameat(int from, const char *old, int dir, const char *path)
{
    return fails(WRITES, dir, NULL) ? -1
                                    : NEXT("renameat", int, int, const char *, int, const char *)(from, old, dir, path);
}

static int opens_for_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
}

#define MODE_OF(flags, last) \
    mode_t mode = 0; \
    if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list args; \
        va_start(args, last); \
        mode = (mode_t)va_arg(args, int); \
        va_end(args); \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    if (opens_for_writing(flags) && fails(WRITES, -1, path))
        return -1;
    return NEXT("open", int, const char *, int, ...)(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    if (opens_for_writing(flags) && fails(WRITES, -1, path))
        return -1;
    return NEXT("open64", int, const char *, int, ...)(path, flags, mode);
}

/* Relative names are taken to be below the directory when their directory is. */
EXPORT int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    if (opens_for_writing(flags) && fails(WRITES, dir, path[0] == '/' ? path : NULL))
        return -1;
    return NEXT("openat", int, int, const char *, int, ...)(dir, path, flags, mode);
}
