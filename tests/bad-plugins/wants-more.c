/* SPDX-License-Identifier: Apache-2.0
 *
 * wants-more.c - needs more of org.example.base/1 than base.c has.
 */
#include "parts.h"

static const flamenco_need need = { .struct_size = (uint32_t)sizeof(flamenco_need),
                                    .id = "org.example.base/1",
                                    .least_table_size = 64 };
static const flamenco_need *const list[] = { &need, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = list };
EXPORT(plugin)
