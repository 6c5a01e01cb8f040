/* SPDX-License-Identifier: Apache-2.0
 *
 * no-method.c - lacks a required method.
 */
#include "parts.h"

static const flamenco_event_forwarder table = { .struct_size = (uint32_t)sizeof(table), .publish = publish };
static const flamenco_provide provide = PROVIDE(FLAMENCO_EVENT_FORWARDER, &table);
static const flamenco_provide *const list[] = { &provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
