/* SPDX-License-Identifier: Apache-2.0
 *
 * lacks-flush.c - its table lacks a required method.
 */

#include "../parts.h"

static const flamenco_event_forwarder half = { .struct_size = (uint32_t)sizeof(half), .publish = publish };
static const flamenco_provide half_provide = PROVIDE(FLAMENCO_EVENT_FORWARDER, &half);
static const flamenco_provide *const list[] = { &half_provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
