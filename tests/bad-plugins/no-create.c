/* SPDX-License-Identifier: Apache-2.0
 *
 * no-create.c - has no create.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .create = NULL };
EXPORT(plugin)
