/* SPDX-License-Identifier: Apache-2.0
 *
 * leaks.c - keeps the memory of each event.
 */

#include "../parts.h"

static void publish_forgetfully(void *self, const flamenco_event *event)
{
    instance *i = self;
    char *copy = i->host->alloc(i->host->h, event->payload.len);
    if (copy != NULL)
        memcpy(copy, event->payload.ptr, event->payload.len);
}

static const flamenco_event_forwarder forgetful = { .struct_size = (uint32_t)sizeof(forgetful),
                                                    .publish = publish_forgetfully,
                                                    .flush = flush };
static const flamenco_provide forgetful_provide = PROVIDE(FLAMENCO_EVENT_FORWARDER, &forgetful);
static const flamenco_provide *const list[] = { &forgetful_provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
