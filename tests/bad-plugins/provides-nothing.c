/* SPDX-License-Identifier: Apache-2.0
 *
 * provides-nothing.c - provides no service at all.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = NULL };
EXPORT(plugin)
