/* SPDX-License-Identifier: Apache-2.0
 *
 * no-id.c - has no id.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .id = NULL };
EXPORT(plugin)
