/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the state machine as a plugin: descriptor, settings, life cycle. Called by the host's plugin loader.
 */
#include "state_machine.h"

static const flamenco_state_machine table = {
    .struct_size = (uint32_t)sizeof(flamenco_state_machine),
    .task_set_status = fl_sm_task_set_status,
    .task_failed = fl_sm_task_failed,
    .task_timed_out = fl_sm_task_timed_out,
    .job_set_status = fl_sm_job_set_status,
    .job_advance = fl_sm_job_advance,
    .worker_return_tasks = fl_sm_worker_return_tasks,
    .repair = fl_sm_repair,
};

static const flamenco_provide provide_state_machine = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_STATE_MACHINE,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_state_machine, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need *const needs[] = { &need_persistence, NULL };

static const flamenco_setting setting_blocklist_threshold = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "blocklist_threshold",
    .default_text = "3",
    .min = 0,
    .max = INT32_MAX,
    .unit = "failures",
    .doc = "A worker that failed this many tasks of one type in a job gets no more tasks of that type of that job.",
    .reference_key = "blocklist_threshold",
};
static const flamenco_setting setting_softfail_count = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "task_fail_after_softfail_count",
    .default_text = "3",
    .min = 0,
    .max = INT32_MAX,
    .unit = "workers",
    .doc = "A task that this many workers have failed is not tried again.",
    .reference_key = "task_fail_after_softfail_count",
};
static const flamenco_setting setting_failed_percentage = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "failed_percentage",
    .default_text = "10",
    .min = 1,
    .max = 100,
    .unit = "percent",
    .doc = "A job fails when at least this share of its tasks has failed.",
};
static const flamenco_setting setting_capable_seen_within = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "capable_seen_within",
    .default_text = "24h",
    .min = 0,
    .max = INT64_C(315360000000000), /* 10 years */
    .doc = "How long an offline or failing worker counts as one that could still run a task.",
};
static const flamenco_setting setting_bulk_step = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "bulk_step",
    .default_text = "500",
    .min = 1,
    .max = 100000,
    .unit = "tasks",
    .doc = "How many tasks one step of a long change looks at before other requests get their turn.",
};
static const flamenco_setting setting_single_step_limit = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "single_step_limit",
    .default_text = "1000",
    .min = 0,
    .max = 1000000,
    .unit = "tasks",
    .doc = "A job of up to so many tasks is changed in one step.",
};
static const flamenco_setting *const settings[] = {
    &setting_blocklist_threshold,
    &setting_softfail_count,
    &setting_failed_percentage,
    &setting_capable_seen_within,
    &setting_bulk_step,
    &setting_single_step_limit,
    NULL,
};

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_sm *sm = host->alloc(host->h, sizeof(*sm));
    if (sm == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the state machine");
    memset(sm, 0, sizeof(*sm));
    sm->host = host;
    if (pthread_mutex_init(&sm->lock, NULL) != 0) {
        host->free(host->h, sm);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no lock for the state machine");
    }
    *self_out = sm;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    fl_sm *sm = self;
    (void)err;
    sm->config = config;
    sm->failed_percentage = (uint64_t)config->integer(config->c, "failed_percentage");
    sm->capable_seen_within_us = config->integer(config->c, "capable_seen_within");
    sm->bulk_step = (uint64_t)config->integer(config->c, "bulk_step");
    sm->single_step_limit = (uint64_t)config->integer(config->c, "single_step_limit");
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    fl_sm *sm = self;
    sm->persist.table = sm->host->service(sm->host->h, FLAMENCO_PERSISTENCE, &sm->persist.self);
    if (sm->persist.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the state machine needs %s", FLAMENCO_PERSISTENCE);
    return FLAMENCO_OK;
}

/* Chains of steps are the host's to drop; what they leave undone is repaired at the next start. */
static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_sm *sm = self;
    if (sm == NULL)
        return;
    (void)pthread_mutex_destroy(&sm->lock);
    sm->host->free(sm->host->h, sm);
}

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "state-machine", .version = "1.0",     .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,        .settings = settings, .create = create,
    .configure = configure, .start = start,        .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
