/* SPDX-License-Identifier: Apache-2.0
 *
 * no-table.c - provides a service without a table.
 */
#include "parts.h"

static const flamenco_provide provide = PROVIDE("org.example.empty/1", NULL);
static const flamenco_provide *const list[] = { &forwarding, &provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
