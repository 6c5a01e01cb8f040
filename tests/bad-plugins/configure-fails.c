/* SPDX-License-Identifier: Apache-2.0
 *
 * configure-fails.c - does not like its settings.
 */
#include "parts.h"

static int32_t fail(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    return flamenco_fail(err, FLAMENCO_E_INVALID, "these settings contradict each other");
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .configure = fail };
EXPORT(plugin)
