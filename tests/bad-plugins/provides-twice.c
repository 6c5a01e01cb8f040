/* SPDX-License-Identifier: Apache-2.0
 *
 * provides-twice.c - provides one service twice.
 */
#include "parts.h"

static const flamenco_provide *const list[] = { &forwarding, &forwarding, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
