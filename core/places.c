/* SPDX-License-Identifier: Apache-2.0 */
#include "core/places.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FL_INSTALLED_YAML
#error "FL_INSTALLED_YAML, the place of manager.yaml, absolute or below the prefix, is set by the build"
#endif

/* Cuts the last component. Returns 0 when there is none left. */
static int cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    *slash = '\0';
    return 1;
}

static int is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int32_t fl_places_find(fl_places *out, flamenco_error *err)
{
    memset(out, 0, sizeof(*out));
    ssize_t len = readlink("/proc/self/exe", out->program, sizeof(out->program) - 1);
    if (len <= 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot find the program's own file: %s", strerror(errno));
    out->program[len] = '\0';
    if (getcwd(out->cwd, sizeof(out->cwd)) == NULL)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot find the working directory: %s", strerror(errno));
    memcpy(out->directory, out->program, sizeof(out->directory));
    cut_last(out->directory);
    /* BUILD/core/flamenco-manager with BUILD/plugins beside it, else PREFIX/bin/flamenco-manager. */
    char up[PATH_MAX], beside[PATH_MAX + 16];
    memcpy(up, out->directory, sizeof(up));
    const char *name = strrchr(up, '/');
    int in_core = name != NULL && strcmp(name, "/core") == 0;
    if (!cut_last(up))
        up[1] = '\0';
    snprintf(beside, sizeof(beside), "%s/plugins", up);
    if (in_core && is_directory(beside))
        memcpy(out->build_root, up, sizeof(out->build_root));
    memcpy(out->prefix, up, sizeof(out->prefix));
    int below_prefix = FL_INSTALLED_YAML[0] != '/';
    if (snprintf(out->manager_yaml, sizeof(out->manager_yaml), "%s%s%s", below_prefix ? up : "",
                 below_prefix ? "/" : "", FL_INSTALLED_YAML) >= (int)sizeof(out->manager_yaml))
        return flamenco_fail(err, FLAMENCO_E_IO, "the installation's path is too long");
    return FLAMENCO_OK;
}
