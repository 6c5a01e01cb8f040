/* SPDX-License-Identifier: Apache-2.0
 *
 * foreign-major.c - built for another major of the plugin ABI.
 */
#include "parts.h"

static const flamenco_plugin plugin = { GOOD_PLUGIN, .abi_major = FLAMENCO_ABI_MAJOR + 1 };
EXPORT(plugin)
