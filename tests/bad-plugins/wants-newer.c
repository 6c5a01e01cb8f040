/* SPDX-License-Identifier: Apache-2.0
 *
 * wants-newer.c - needs methods of the clock that this manager does not know.
 */
#include "parts.h"

static const flamenco_need need = { .struct_size = (uint32_t)sizeof(flamenco_need),
                                    .id = FLAMENCO_CLOCK,
                                    .least_table_size = (uint32_t)sizeof(flamenco_clock) + 8 };
static const flamenco_need *const list[] = { &need, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = list };
EXPORT(plugin)
