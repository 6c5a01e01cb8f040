/* SPDX-License-Identifier: Apache-2.0
 *
 * newer-minor.c - built for a later minor of the plugin ABI, which is no fault.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .abi_minor = FLAMENCO_ABI_MINOR + 7 };
EXPORT(plugin)
