/* SPDX-License-Identifier: Apache-2.0
 *
 * good.c - no fault at all; the yardstick for the others.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN };
EXPORT(plugin)
