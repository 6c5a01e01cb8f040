/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c - see paths.h.
 */
#include "paths.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Something whose address lies in this plugin's file. */
static const char anchor = 0;

static char *join_path(const char *folder, size_t n, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%.*s/%s", (int)n, folder, name) < 0 ? NULL : path;
}

static char *find_near(const char *beside, const char *relative, const char *absolute)
{
    Dl_info info;
    char *file = dladdr(&anchor, &info) != 0 && info.dli_fname != NULL ? realpath(info.dli_fname, NULL) : NULL;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    const char *const names[2] = { beside, relative };
    char *found = NULL;
    for (int i = 0; slash != NULL && found == NULL && i < 2; i++) {
        char *path = join_path(file, (size_t)(slash - file), names[i]);
        if (path != NULL && access(path, F_OK) == 0)
            found = realpath(path, NULL);
        free(path);
    }
    free(file);
    return found != NULL ? found : strdup(absolute);
}

char *fl_paths_helper(void)
{
    return find_near("flamenco-js-helper", FL_HELPER_RELATIVE, FL_HELPER_ABSOLUTE);
}

char *fl_paths_builtin(void)
{
    return find_near("scripts", FL_SCRIPTS_RELATIVE, FL_SCRIPTS_ABSOLUTE);
}

char *fl_paths_beside_program(void)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0)
        return strdup("scripts");
    program[n] = '\0';
    const char *slash = strrchr(program, '/');
    return join_path(program, slash != NULL ? (size_t)(slash - program) : 0, "scripts");
}
