/* SPDX-License-Identifier: Apache-2.0
 *
 * base.c - provides a service that is no member of the manager: user.c needs it.
 */
#include "parts.h"

static int32_t is_running(void *self)
{
    return ((instance *)self)->running;
}

static const struct {
    uint32_t struct_size, reserved;
    int32_t (*is_running)(void *self);
} table = { (uint32_t)sizeof(table), 0, is_running };
static const flamenco_provide provide = PROVIDE("org.example.base/1", &table);
static const flamenco_provide *const list[] = { &forwarding, &provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
