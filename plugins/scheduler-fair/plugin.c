/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the fair scheduler as a plugin: descriptor, settings and life cycle. Called by the host's plugin loader.
 */
#include "fair.h"

static const flamenco_task_scheduler table = {
    .struct_size = (uint32_t)sizeof(flamenco_task_scheduler),
    .pick = fl_fair_pick,
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

#define SETTING .struct_size = (uint32_t)sizeof(flamenco_setting)

static const flamenco_setting setting_keys = {
    SETTING,
    .type = FLAMENCO_SETTING_TEXT_LIST,
    .key = "keys",
    .default_text = "user.name project",
    .doc = "Keys of the job metadata; the first one that a job has names its share. Jobs without any are one share.",
};
static const flamenco_setting setting_weights = {
    SETTING,
    .type = FLAMENCO_SETTING_TEXT_LIST,
    .key = "weights",
    .doc = "NAME=WEIGHT for shares that get more or less than others, from 0.001 to 1000; all others have 1.",
};
static const flamenco_setting setting_memory = {
    SETTING,
    .type = FLAMENCO_SETTING_DURATION,
    .key = "memory",
    .default_text = "10m",
    .max = INT64_C(86400000000) * 30,
    .doc = "A share without tasks keeps its place for this long, and none catches up more than this much working time.",
};
static const flamenco_setting *const settings[] = { &setting_keys, &setting_weights, &setting_memory, NULL };

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_fair *fair = host->alloc(host->h, sizeof(*fair));
    if (fair == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the scheduler");
    *fair = (fl_fair){ .base = { .host = host } };
    fl_ledger_init(&fair->ledger, host, 0);
    *self_out = fair;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    fl_fair *fair = self;
    fair->config = config;
    fl_ledger_init(&fair->ledger, fair->base.host, config->integer(config->c, "memory"));
    return fl_fair_check_settings(config, err);
}

static int32_t start(void *self, flamenco_error *err)
{
    fl_fair *fair = self;
    const flamenco_host *host = fair->base.host;
    int32_t rc = fl_scheduler_connect(&fair->base, err);
    if (rc != FLAMENCO_OK || fl_fair_store_has_shares(fair))
        return rc;
    fair->jobs = host->alloc(host->h, FL_JOB_PLACES * sizeof(*fair->jobs));
    if (fair->jobs == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the scheduler");
    memset(fair->jobs, 0, FL_JOB_PLACES * sizeof(*fair->jobs));
    host->log(host->h, FLAMENCO_LOG_INFO,
              "the store keeps no shares: each request for a task looks through all jobs that wait");
    return rc;
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
    fl_fair *fair = self;
    if (fair == NULL)
        return;
    const flamenco_host *host = fair->base.host;
    fl_ledger_fini(&fair->ledger);
    host->free(host->h, fair->jobs);
    host->free(host->h, fair);
}

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "scheduler-fair", .version = "1.0",     .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,         .settings = settings, .create = create,
    .configure = configure, .start = start,         .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
