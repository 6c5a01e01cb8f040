/* SPDX-License-Identifier: Apache-2.0
 *
 * constructor.c - runs code when it is loaded.
 */

#include "../parts.h"

static uint32_t loaded;

__attribute__((constructor)) static void when_loaded(void)
{
    loaded = 1;
}

static int32_t be_well(void *self, flamenco_error *err)
{
    (void)self;
    return loaded ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_INTERNAL, "not loaded");
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .health = be_well };
EXPORT(plugin)
