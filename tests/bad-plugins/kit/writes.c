/* SPDX-License-Identifier: Apache-2.0
 *
 * writes.c - writes to stderr.
 */
#include <unistd.h>

#include "../parts.h"

static void publish_loudly(void *self, const flamenco_event *event)
{
    instance *i = self;
    (void)event;
    if (write(2, "event\n", 6) != 6)
        i->running = 0;
}

static const flamenco_event_forwarder loud = { .struct_size = (uint32_t)sizeof(loud),
                                               .publish = publish_loudly,
                                               .flush = flush };
static const flamenco_provide loud_provide = PROVIDE(FLAMENCO_EVENT_FORWARDER, &loud);
static const flamenco_provide *const list[] = { &loud_provide, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
