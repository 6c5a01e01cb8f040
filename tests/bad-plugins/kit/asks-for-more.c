/* SPDX-License-Identifier: Apache-2.0
 *
 * asks-for-more.c - asks for a service that it does not declare.
 */

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    const flamenco_host *host = ((instance *)self)->host;
    void *clock = NULL;
    if (host->service(host->h, FLAMENCO_CLOCK, &clock) != NULL)
        return FLAMENCO_E_INTERNAL;
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
