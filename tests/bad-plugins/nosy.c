/* SPDX-License-Identifier: Apache-2.0
 *
 * nosy.c - asks for a service that is not among its needs.
 */
#include "parts.h"

static int32_t ask(void *self, flamenco_error *err)
{
    const flamenco_host *host = ((instance *)self)->host;
    void *other = NULL;
    if (host->service(host->h, FLAMENCO_CLOCK, &other) == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the host gave no clock");
    return FLAMENCO_OK;
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = ask };
EXPORT(plugin)
