/* SPDX-License-Identifier: Apache-2.0
 *
 * trusts-memory.c - does not look whether it got memory.
 */

#include "../parts.h"

static int32_t create_carelessly(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    (void)err;
    instance *self = host->alloc(host->h, sizeof(*self));
    *self = (instance){ host, 0 };
    *self_out = self;
    return FLAMENCO_OK;
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .create = create_carelessly };
EXPORT(plugin)
