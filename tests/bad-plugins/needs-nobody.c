/* SPDX-License-Identifier: Apache-2.0
 *
 * needs-nobody.c - needs a service that nobody provides.
 */
#include "parts.h"

static const flamenco_need need = NEED("org.example.nobody/1");
static const flamenco_need *const list[] = { &need, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = list };
EXPORT(plugin)
