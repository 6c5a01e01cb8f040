/* SPDX-License-Identifier: Apache-2.0
 *
 * create-fails.c - cannot be created.
 */
#include "parts.h"

static int32_t fail(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    (void)host;
    (void)self_out;
    return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot be made today");
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .create = fail };
EXPORT(plugin)
