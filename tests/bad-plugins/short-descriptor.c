/* SPDX-License-Identifier: Apache-2.0
 *
 * short-descriptor.c - its descriptor ends before the ABI version.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .struct_size = 4 };
EXPORT(plugin)
