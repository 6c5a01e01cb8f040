/* SPDX-License-Identifier: Apache-2.0
 *
 * ignores-pipes.c - ignores a signal for the whole process.
 */
#include <signal.h>

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return FLAMENCO_E_INTERNAL;
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
