/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c - see paths.h.
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int32_t fl_ls_fail_errno(flamenco_error *err, const char *what, const char *name)
{
    int number = errno;
    char reason[128];
    int32_t code = FLAMENCO_E_IO;
    if (number == ENOENT)
        code = FLAMENCO_E_NOT_FOUND;
    else if (number == ENOSPC || number == EDQUOT)
        code = FLAMENCO_E_FULL;
    else if (number == ENOMEM)
        code = FLAMENCO_E_NOMEM;
    return flamenco_fail(err, code, "%s %s: %s", what, name, strerror_r(number, reason, sizeof(reason)));
}

/* Joins and cleans: drops "." components, double and trailing slashes. ".." stays: what it means depends on links. */
static int join_clean(const char *base, const char *below, char out[FL_LS_PATH_MAX])
{
    const char *parts[] = { base, below };
    size_t len = 0;
    for (size_t i = 0; i < 2; ++i) {
        for (const char *p = parts[i]; *p != '\0';) {
            size_t n = strcspn(p, "/");
            if (n > 0 && !(n == 1 && p[0] == '.')) {
                if (len + n + 2 > FL_LS_PATH_MAX)
                    return 0;
                out[len++] = '/';
                memcpy(out + len, p, n);
                len += n;
            }
            p += n;
            p += *p == '/';
        }
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = '\0';
    return 1;
}

int32_t fl_ls_find_root(const char *setting, const char *program_dir, const char *working_dir, char out[FL_LS_PATH_MAX],
                        flamenco_error *err)
{
    char found[FL_LS_PATH_MAX];
    if (setting[0] == '\0')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "local_manager_storage_path is empty");
    int fits = 1;
    if (setting[0] == '/') {
        fits = join_clean("", setting, found);
    } else {
        int beside = program_dir != NULL && join_clean(program_dir, setting, found) &&
                     (access(found, F_OK) == 0 || access(program_dir, W_OK | X_OK) == 0);
        if (!beside && working_dir == NULL)
            return flamenco_fail(err, FLAMENCO_E_IO, "the working directory cannot be found");
        if (!beside)
            fits = join_clean(working_dir, setting, found);
    }
    if (!fits)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "local_manager_storage_path is too long");
    memcpy(out, found, strlen(found) + 1);
    return FLAMENCO_OK;
}

int fl_ls_program_dir(char out[FL_LS_PATH_MAX])
{
    char path[FL_LS_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
    if (n <= 0 || n >= (ssize_t)sizeof(path))
        return 0;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return 0;
    slash[slash == path] = '\0';
    memcpy(out, path, strlen(path) + 1);
    return 1;
}

int32_t fl_ls_make_dirs(const char *path, flamenco_error *err)
{
    char part[FL_LS_PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "path is too long");
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; ++i) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        /* What exists already is not touched; whether it is a directory shows when it is opened. */
        if (mkdir(part, 0755) != 0 && errno != EEXIST && access(part, F_OK) != 0)
            return fl_ls_fail_errno(err, "cannot make directory", part);
        part[i] = path[i];
    }
    return FLAMENCO_OK;
}

int fl_ls_open_below(int dir_fd, const char *name, uint32_t make)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd;
    if (mkdirat(dir_fd, name, 0755) != 0 && errno != EEXIST)
        return -1;
    return openat(dir_fd, name, flags);
}
