/* SPDX-License-Identifier: Apache-2.0
 *
 * extra-symbol.c - exports one function too many.
 */

#include "../parts.h"

FLAMENCO_EXPORT int32_t good_intentions(void);

int32_t good_intentions(void)
{
    return 0;
}

static const flamenco_plugin plugin = { GOOD_PLUGIN };
EXPORT(plugin)
