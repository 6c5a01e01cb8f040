/* SPDX-License-Identifier: Apache-2.0
 *
 * without-health.c - its descriptor ends before health, which is optional: no fault.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .struct_size = (uint32_t)offsetof(flamenco_plugin, health) };
EXPORT(plugin)
