/* SPDX-License-Identifier: Apache-2.0
 *
 * needs-twice.c - declares one need twice.
 */

#include "../parts.h"

static const flamenco_need need = NEED(FLAMENCO_CLOCK), again = NEED(FLAMENCO_CLOCK);
static const flamenco_need *const needs[] = { &need, &again, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = needs };
EXPORT(plugin)
