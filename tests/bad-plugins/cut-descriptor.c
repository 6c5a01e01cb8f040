/* SPDX-License-Identifier: Apache-2.0
 *
 * cut-descriptor.c - its descriptor ends before stop.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .struct_size = (uint32_t)offsetof(flamenco_plugin, stop) };
EXPORT(plugin)
