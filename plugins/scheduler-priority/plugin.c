/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the scheduler by priority as a plugin: descriptor and life cycle. Called by the host's plugin loader.
 */
#include "pick.h"

static const flamenco_task_scheduler table = {
    .struct_size = (uint32_t)sizeof(flamenco_task_scheduler),
    .pick = fl_priority_pick,
    .explain = fl_scheduler_explain,
};

static const flamenco_provide provide_scheduler = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_TASK_SCHEDULER,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_scheduler, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need *const needs[] = { &need_persistence, NULL };

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_scheduler *scheduler = host->alloc(host->h, sizeof(*scheduler));
    if (scheduler == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the scheduler");
    *scheduler = (fl_scheduler){ .host = host };
    *self_out = scheduler;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK; /* there are no settings */
}

static int32_t start(void *self, flamenco_error *err)
{
    return fl_scheduler_connect(self, err);
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_scheduler *scheduler = self;
    if (scheduler != NULL)
        scheduler->host->free(scheduler->host->h, scheduler);
}

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "scheduler-priority",
    .version = "1.0",     .licence = "Apache-2.0",
    .provides = provides, .needs = needs,
    .create = create,     .configure = configure,
    .start = start,       .stop = stop,
    .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
