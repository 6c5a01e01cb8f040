/* SPDX-License-Identifier: Apache-2.0
 *
 * start-fails.c - cannot start.
 */
#include "parts.h"

static int32_t fail(void *self, flamenco_error *err)
{
    (void)self;
    return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the other side is away");
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = fail };
EXPORT(plugin)
