/* SPDX-License-Identifier: Apache-2.0
 *
 * other-service.c - provides something else than its member wants.
 */
#include "parts.h"

static const uint32_t table[1] = { sizeof(table) };
static const flamenco_provide provide = PROVIDE("flamenco.event_forwarder/2", table);
static const flamenco_provide *const list[] = { &provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
