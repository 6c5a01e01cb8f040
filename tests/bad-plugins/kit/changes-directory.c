/* SPDX-License-Identifier: Apache-2.0
 *
 * changes-directory.c - changes the working directory.
 */
#include <unistd.h>

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    if (chdir("/") != 0)
        return FLAMENCO_E_IO;
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
