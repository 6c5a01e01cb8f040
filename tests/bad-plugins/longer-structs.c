/* SPDX-License-Identifier: Apache-2.0
 *
 * longer-structs.c - made for a later header: descriptor and method table are longer than this manager knows.
 */
#include "parts.h"

static void later_method(void *self)
{
    (void)self;
}

static const struct {
    flamenco_event_forwarder known;
    void (*later)(void *self);
} table = { { .struct_size = (uint32_t)sizeof(table), .publish = publish, .flush = flush }, later_method };
static const flamenco_provide provide = PROVIDE(FLAMENCO_EVENT_FORWARDER, &table);
static const flamenco_provide *const list[] = { &provide, NULL };
static const struct {
    flamenco_plugin known;
    void (*later)(void *self);
} plugin = { { GOOD_PLUGIN, .struct_size = (uint32_t)sizeof(plugin), .provides = list }, later_method };
EXPORT(plugin.known)
