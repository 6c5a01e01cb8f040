/* SPDX-License-Identifier: Apache-2.0
 *
 * hangs.c - never answers when it is asked for its health.
 */
#include "parts.h"

#include <unistd.h>

static int32_t health(void *self, flamenco_error *err)
{
    (void)err;
    while (self != NULL)
        (void)pause();
    return FLAMENCO_OK;
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .health = health };
EXPORT(plugin)
