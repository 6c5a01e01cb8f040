/* SPDX-License-Identifier: Apache-2.0
 *
 * keeps-process.c - starts a process and does not end it.
 */
#include <unistd.h>

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            (void)pause();
    }
    if (child < 0)
        return FLAMENCO_E_NOMEM;
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
