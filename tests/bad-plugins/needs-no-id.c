/* SPDX-License-Identifier: Apache-2.0
 *
 * needs-no-id.c - has a need without an id.
 */
#include "parts.h"

static const flamenco_need need = NEED(NULL);
static const flamenco_need *const list[] = { &need, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = list };
EXPORT(plugin)
