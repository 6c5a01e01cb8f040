/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the job deleter as a plugin: the service "flamenco.job_deleter/1" and its life cycle. Called by the host's
 * plugin loader and, through the table, by the core.
 */
#include "deleter.h"
#include "flamenco/job_deleter.h"

#define PERIOD_US INT64_C(60000000)

/* ---- Service ------------------------------------------------------------------------------------------------------- */

static void poke(void *self)
{
    fl_jd_scan(self);
}

static int32_t would_delete(void *self, flamenco_cx *cx, const flamenco_job *job, uint32_t *shaman_checkout_out,
                            flamenco_error *err)
{
    (void)cx;
    (void)err;
    const fl_jd *jd = self;
    *shaman_checkout_out =
        job->shaman_checkout_id.len > 0 && jd->shaman.table != NULL && flamenco_shaman_is_active(&jd->shaman) != 0;
    return FLAMENCO_OK;
}

/* ---- Now and then -------------------------------------------------------------------------------------------------- */

static int32_t run_tick(flamenco_cx *cx, void *ctx, flamenco_error *err);

static int32_t plan_tick(fl_jd *jd, flamenco_error *err)
{
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_WORK,
                                 .name = "job deleter timer",
                                 .run = run_tick,
                                 .ctx = jd,
                                 .delay_us = PERIOD_US };
    int32_t rc = jd->host->submit(jd->host->h, &step);
    return rc == FLAMENCO_OK || rc == FLAMENCO_E_CANCELLED ? FLAMENCO_OK
                                                           : flamenco_fail(err, rc, "cannot plan the next look");
}

static int32_t run_tick(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    fl_jd_scan(ctx);
    return plan_tick(ctx, err);
}

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_jd *jd = host->alloc(host->h, sizeof(*jd));
    if (jd == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the job deleter");
    memset(jd, 0, sizeof(*jd));
    jd->host = host;
    fl_jd_known_init(&jd->known);
    if (pthread_mutex_init(&jd->lock, NULL) != 0) {
        host->free(host->h, jd);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no lock for the job deleter");
    }
    *self_out = jd;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)self;
    (void)config;
    (void)err;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    fl_jd *jd = self;
    const flamenco_host *host = jd->host;
    jd->persist.table = host->service(host->h, FLAMENCO_PERSISTENCE, &jd->persist.self);
    jd->local_storage.table = host->service(host->h, FLAMENCO_LOCAL_STORAGE, &jd->local_storage.self);
    jd->shaman.table = host->service(host->h, FLAMENCO_SHAMAN, &jd->shaman.self);
    if (jd->persist.table == NULL || jd->local_storage.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the job deleter needs %s and %s", FLAMENCO_PERSISTENCE,
                             FLAMENCO_LOCAL_STORAGE);
    return plan_tick(jd, err);
}

/* The host calls nothing of this instance any more. */
static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_jd *jd = self;
    if (jd == NULL)
        return;
    fl_jd_known_fini(jd);
    jd->host->free(jd->host->h, jd->checkout);
    (void)pthread_mutex_destroy(&jd->lock);
    jd->host->free(jd->host->h, jd);
}

static const flamenco_job_deleter table = {
    .struct_size = (uint32_t)sizeof(flamenco_job_deleter),
    .poke = poke,
    .would_delete = would_delete,
};

static const flamenco_provide provide_job_deleter = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_JOB_DELETER,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_job_deleter, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need need_local_storage = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_LOCAL_STORAGE,
    .least_table_size = (uint32_t)sizeof(flamenco_local_storage),
};
static const flamenco_need need_shaman = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .optional = 1,
    .id = FLAMENCO_SHAMAN,
    .least_table_size = (uint32_t)offsetof(flamenco_shaman, collect),
};
static const flamenco_need *const needs[] = { &need_persistence, &need_local_storage, &need_shaman, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "job-deleter", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .needs = needs,      .create = create,   .configure = configure,
    .start = start,       .stop = stop,        .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
