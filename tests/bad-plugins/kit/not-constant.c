/* SPDX-License-Identifier: Apache-2.0
 *
 * not-constant.c - its descriptor can be changed.
 */

#include "../parts.h"

static flamenco_plugin plugin = { GOOD_PLUGIN };
EXPORT(plugin)
