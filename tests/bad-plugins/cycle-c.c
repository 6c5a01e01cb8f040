/* SPDX-License-Identifier: Apache-2.0
 *
 * cycle-c.c - needs cycle-a, one of three that need each other in a circle.
 */
#include "parts.h"

static const uint32_t table[1] = { sizeof(table) };
static const flamenco_provide provide = PROVIDE("org.example.c/1", table);
static const flamenco_provide *const list[] = { &forwarding, &provide, NULL };
static const flamenco_need need = NEED("org.example.a/1");
static const flamenco_need *const needs[] = { &need, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list, .needs = needs };
EXPORT(plugin)
