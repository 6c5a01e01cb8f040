/* SPDX-License-Identifier: Apache-2.0
 *
 * no-symbol.c - a shared object that is no plugin.
 */
#include "parts.h"

FLAMENCO_EXPORT const flamenco_plugin *flamenco_plugin_question(void);
static const flamenco_plugin plugin = { GOOD_PLUGIN };

const flamenco_plugin *flamenco_plugin_question(void)
{
    return &plugin;
}
