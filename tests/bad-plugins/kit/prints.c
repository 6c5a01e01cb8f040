/* SPDX-License-Identifier: Apache-2.0
 *
 * prints.c - would print, in a case that no check brings about.
 */
#include <stdio.h>

#include "../parts.h"

static int32_t rarely_print(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)err;
    if (config == NULL)
        printf("no configuration\n");
    return FLAMENCO_OK;
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .configure = rarely_print };
EXPORT(plugin)
