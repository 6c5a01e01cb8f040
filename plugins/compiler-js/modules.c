/* SPDX-License-Identifier: Apache-2.0
 *
 * modules.c - see modules.h.
 */
#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fl_modules_clean(char *path)
{
    if (path[0] == '/')
        return -1;
    size_t out = 0;
    const char *p = path;
    int last = *p == '\0';
    while (!last) {
        size_t n = strcspn(p, "/");
        /* What stands behind the component may be overwritten below. */
        const char *next = p + n + 1;
        last = p[n] == '\0';
        int dots = n == 2 && p[0] == '.' && p[1] == '.';
        if (dots && out == 0)
            return -1;
        if (dots) {
            out--; /* the slash behind the last component */
            while (out > 0 && path[out - 1] != '/')
                out--;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            memmove(path + out, p, n);
            out += n;
            path[out++] = '/';
        }
        p = next;
    }
    path[out > 0 ? out - 1 : 0] = '\0';
    return 0;
}

/* Without openat2 (old kernels, old container filters): each component on its own, and no symbolic links. */
static int open_stepwise(int dir, const char *path)
{
    int at = dir;
    const char *p = path;
    for (;;) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(name, p, n);
        name[n] = '\0';
        int last = p[n] == '\0';
        int next = openat(at, name, (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        if (at != dir)
            close(at);
        errno = error;
        if (next < 0 || last)
            return next;
        at = next;
        p += n + 1;
    }
    if (at != dir)
        close(at);
    return -1;
}

static int open_beneath(int dir, const char *path)
{
    struct open_how how;
    memset(&how, 0, sizeof(how));
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (int tries = 0; tries < 8; tries++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        /* EAGAIN: something was renamed while the kernel walked the path. */
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    if (errno == ENOSYS || errno == EPERM)
        return open_stepwise(dir, path);
    return -1;
}

static int32_t read_module(int fd, fl_module *out, flamenco_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot read module %s: %s", out->place, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "module %s is %s, not a file", out->place,
                             S_ISDIR(st.st_mode) ? "a directory" : "something else");
    if (st.st_size > FL_CATALOGUE_FILE_MAX)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "module %s is larger than %u MiB", out->place,
                             FL_CATALOGUE_FILE_MAX >> 20);
    size_t size = (size_t)st.st_size;
    char *text = malloc(size + 1);
    if (text == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for module %s", out->place);
    size_t len = 0;
    while (len < size) {
        ssize_t n = pread(fd, text + len, size - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            free(text);
            return flamenco_fail(err, FLAMENCO_E_IO, "cannot read module %s: %s", out->place, strerror(error));
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    out->text = text;
    out->len = len;
    return FLAMENCO_OK;
}

/* Tries one path in one directory. NOT_FOUND: the next one may have it. */
static int32_t try_path(const fl_catalogue *catalogue, uint32_t source, const char *path, fl_module *out,
                        flamenco_error *err)
{
    int n = snprintf(out->key, sizeof(out->key), "%u:%s", source, path);
    if (n < 0 || (size_t)n >= sizeof(out->key))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the name of a module is too long");
    out->place = strchr(out->key, ':') + 1;
    int dir = open(catalogue->sources[source].dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return FLAMENCO_E_NOT_FOUND;
    int fd = open_beneath(dir, path);
    int error = errno;
    close(dir);
    if (fd >= 0) {
        int32_t rc = read_module(fd, out, err);
        close(fd);
        return rc;
    }
    if (error == ENOENT || error == ENOTDIR)
        return FLAMENCO_E_NOT_FOUND;
    if (error == EXDEV)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "module %s leads outside of the scripts directory", path);
    return flamenco_fail(err, FLAMENCO_E_IO, "cannot read module %s: %s", path, strerror(error));
}

/* The path as it is, then with .js, then with .json; each in the asking file's own directory first. */
static int32_t try_extensions(const fl_catalogue *catalogue, uint32_t own, const char *path, fl_module *out,
                              flamenco_error *err)
{
    static const char *const extensions[] = { "", ".js", ".json" };
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        char whole[FL_MODULES_KEY_MAX + 8];
        snprintf(whole, sizeof(whole), "%s%s", path, extensions[i]);
        int32_t rc = try_path(catalogue, own, whole[0] != '\0' ? whole : ".", out, err);
        for (uint32_t k = 0; rc == FLAMENCO_E_NOT_FOUND && k < catalogue->count; k++) {
            if (k != own)
                rc = try_path(catalogue, k, whole[0] != '\0' ? whole : ".", out, err);
        }
        if (rc != FLAMENCO_E_NOT_FOUND)
            return rc;
    }
    return FLAMENCO_E_NOT_FOUND;
}

/* Takes a key apart: the directory's number, and the path of the folder that the file is in. */
static int split_key(const fl_catalogue *catalogue, flamenco_str key, uint32_t *source, char *folder)
{
    uint32_t number = 0;
    uint64_t i = 0;
    for (; i < key.len && i < 6 && key.ptr[i] >= '0' && key.ptr[i] <= '9'; i++)
        number = number * 10 + (uint32_t)(key.ptr[i] - '0');
    if (i == 0 || i >= key.len || key.ptr[i] != ':' || number >= catalogue->count)
        return -1;
    size_t n = (size_t)(key.len - i - 1);
    if (n > FL_MODULES_KEY_MAX || memchr(key.ptr, '\0', (size_t)key.len) != NULL)
        return -1;
    memcpy(folder, key.ptr + i + 1, n);
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    else
        folder[0] = '\0';
    *source = number;
    return fl_modules_clean(folder);
}

/* node_modules beside the file, then of each folder above. */
static int32_t find_package(const fl_catalogue *catalogue, uint32_t own, char *folder, const char *name, fl_module *out,
                            flamenco_error *err)
{
    for (;;) {
        char path[FL_MODULES_KEY_MAX + 1];
        int n = snprintf(path, sizeof(path), "%s%snode_modules/%s", folder, folder[0] != '\0' ? "/" : "", name);
        if (n < 0 || (size_t)n >= sizeof(path))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the name of a module is too long");
        int32_t rc = try_extensions(catalogue, own, path, out, err);
        if (rc != FLAMENCO_E_NOT_FOUND || folder[0] == '\0')
            return rc;
        char *slash = strrchr(folder, '/');
        *(slash != NULL ? slash : folder) = '\0';
    }
}

int32_t fl_modules_find(const fl_catalogue *catalogue, flamenco_str from, flamenco_str name, fl_module *out,
                        flamenco_error *err)
{
    char folder[FL_MODULES_KEY_MAX + 1];
    char wanted[FL_MODULES_KEY_MAX + 1];
    uint32_t own = 0;
    memset(out, 0, sizeof(*out));
    if (split_key(catalogue, from, &own, folder) != 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "require is called from an unknown file");
    if (name.len == 0 || name.len > 1024 || memchr(name.ptr, '\0', (size_t)name.len) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "require wants the name of a module");
    memcpy(wanted, name.ptr, (size_t)name.len);
    wanted[name.len] = '\0';
    int relative = strcmp(wanted, ".") == 0 || strcmp(wanted, "..") == 0 || strncmp(wanted, "./", 2) == 0 ||
                   strncmp(wanted, "../", 3) == 0;
    int32_t rc;
    if (relative) {
        char path[2 * FL_MODULES_KEY_MAX + 4];
        snprintf(path, sizeof(path), "%s/%s", folder[0] != '\0' ? folder : ".", wanted);
        if (fl_modules_clean(path) != 0)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "module %s is outside of the scripts directory", wanted);
        if (strlen(path) > FL_MODULES_KEY_MAX)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the name of a module is too long");
        rc = try_extensions(catalogue, own, path, out, err);
    } else {
        if (fl_modules_clean(wanted) != 0 || wanted[0] == '\0')
            return flamenco_fail(err, FLAMENCO_E_INVALID, "module %.*s is outside of the scripts directory",
                                 (int)name.len, name.ptr);
        rc = find_package(catalogue, own, folder, wanted, out, err);
    }
    if (rc == FLAMENCO_E_NOT_FOUND)
        return flamenco_fail(err, rc, "there is no module %.*s", (int)name.len, name.ptr);
    return rc;
}
