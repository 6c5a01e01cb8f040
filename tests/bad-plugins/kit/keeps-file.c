/* SPDX-License-Identifier: Apache-2.0
 *
 * keeps-file.c - opens a file and never closes it.
 */
#include <fcntl.h>

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
        return FLAMENCO_E_IO;
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
