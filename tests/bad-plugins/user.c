/* SPDX-License-Identifier: Apache-2.0
 *
 * user.c - needs the service of base.c, from its start to the end of its stop; and one that is absent, optionally.
 */
#include "parts.h"

typedef struct base_table {
    uint32_t struct_size, reserved;
    int32_t (*is_running)(void *self);
} base_table;

static int32_t look(instance *self, flamenco_error *err)
{
    void *base = NULL, *nobody = NULL;
    const base_table *table = self->host->service(self->host->h, "org.example.base/1", &base);
    if (self->host->service(self->host->h, "org.example.nobody/1", &nobody) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "there is somebody");
    if (table == NULL || !table->is_running(base))
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the base does not run");
    return FLAMENCO_OK;
}

static int32_t start_on_base(void *self, flamenco_error *err)
{
    int32_t rc = look(self, err);
    return rc == FLAMENCO_OK ? start(self, err) : rc;
}

static int32_t stop_on_base(void *self, int64_t deadline_us, flamenco_error *err)
{
    int32_t rc = look(self, err);
    return rc == FLAMENCO_OK ? stop(self, deadline_us, err) : rc;
}

static int32_t health(void *self, flamenco_error *err)
{
    return look(self, err);
}

static const flamenco_need base = { .struct_size = (uint32_t)sizeof(flamenco_need),
                                    .id = "org.example.base/1",
                                    .least_table_size = (uint32_t)sizeof(base_table) };
static const flamenco_need nobody = { .struct_size = (uint32_t)sizeof(flamenco_need),
                                      .id = "org.example.nobody/1",
                                      .optional = 1 };
static const flamenco_need *const list[] = { &base, &nobody, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .needs = list, .start = start_on_base, .stop = stop_on_base,
                                        .health = health };
EXPORT(plugin)
