/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.h - a plugin without faults, in parts: an event forwarder that forwards nothing. Each file of this folder takes
 * them and changes one thing; test_loader.c loads the results.
 */
#ifndef BAD_PLUGINS_PARTS_H
#define BAD_PLUGINS_PARTS_H

#include "flamenco/clock.h"
#include "flamenco/event_forwarder.h"

#define PART __attribute__((unused)) static

typedef struct instance {
    const flamenco_host *host;
    int32_t running;
} instance;

PART int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    instance *self = host->alloc(host->h, sizeof(*self));
    if (self == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    *self = (instance){ host, 0 };
    *self_out = self;
    return FLAMENCO_OK;
}

PART int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK;
}

PART int32_t start(void *self, flamenco_error *err)
{
    (void)err;
    ((instance *)self)->running = 1;
    return FLAMENCO_OK;
}

PART int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    ((instance *)self)->running = 0;
    return FLAMENCO_OK;
}

PART void destroy(void *self)
{
    if (self != NULL)
        ((instance *)self)->host->free(((instance *)self)->host->h, self);
}

PART void publish(void *self, const flamenco_event *event)
{
    (void)self;
    (void)event;
}

PART int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

PART const flamenco_event_forwarder forwarder = { .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
                                                  .publish = publish,
                                                  .flush = flush };

#define PROVIDE(service_id, its_table) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_provide), .id = (service_id), .table = (its_table) \
    }
#define NEED(service_id) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_need), .id = (service_id) \
    }

PART const flamenco_provide forwarding = PROVIDE(FLAMENCO_EVENT_FORWARDER, &forwarder);
PART const flamenco_provide *const provides[] = { &forwarding, NULL };

/* Fields of the descriptor; later ones of the same name win. */
#define GOOD_PLUGIN \
    FLAMENCO_PLUGIN_INIT, .id = "org.example.test", .version = "1.0", .licence = "Apache-2.0", .provides = provides, \
                          .create = create, .configure = configure, .start = start, .stop = stop, .destroy = destroy

#define EXPORT(descriptor) \
    const flamenco_plugin *flamenco_plugin_query(void) \
    { \
        return &(descriptor); \
    }

#endif
