/* SPDX-License-Identifier: Apache-2.0
 *
 * places.c - see webapp.h.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "webapp.h"

/* Something whose address lies in this plugin's file. */
static const char anchor = 0;

static char *join(const char *folder, size_t n, const char *middle, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%.*s/%s%s", (int)n, folder, middle, name) < 0 ? NULL : path;
}

char *fl_place_find(const char *name)
{
    Dl_info info;
    char *file = dladdr(&anchor, &info) != 0 && info.dli_fname != NULL ? realpath(info.dli_fname, NULL) : NULL;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    const char *const middles[2] = { "", FL_WEBAPP_RELATIVE "/" };
    char *found = NULL;
    for (int i = 0; slash != NULL && found == NULL && i < 2; ++i) {
        char *path = join(file, (size_t)(slash - file), middles[i], name);
        if (path != NULL && access(path, F_OK) == 0)
            found = realpath(path, NULL);
        free(path);
    }
    free(file);
    return found != NULL ? found : join(FL_WEBAPP_ABSOLUTE, sizeof(FL_WEBAPP_ABSOLUTE) - 1, "", name);
}
