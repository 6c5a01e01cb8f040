/* SPDX-License-Identifier: Apache-2.0
 *
 * farm_status.c - the service "flamenco.farm_status/1": one word for what the farm does (state-and-scheduling 12), worked
 * out every 30 s and whenever a job or a worker changes its status.
 *
 * At most one computation is under way, so that an older snapshot never overwrites what a newer one gave; what is asked for
 * meanwhile is done once, behind it.
 */
#include <pthread.h>

#include "flamenco/calls/persistence.h"
#include "flamenco/farm_status.h"

#define FIRST_US INT64_C(1000000)
#define PERIOD_US INT64_C(30000000)

typedef struct farm_status {
    const flamenco_host *host;
    flamenco_persistence_ref persist;
    uint32_t current; /* atomic, FLAMENCO_FARM_* */
    pthread_mutex_t lock;
    /* The rest is under lock. */
    int busy; /* a computation is queued or runs */
    int again; /* and another one is wanted behind it */
} farm_status;

static const char *const words[] = {
    [FLAMENCO_FARM_STARTING] = "starting", [FLAMENCO_FARM_ACTIVE] = "active",
    [FLAMENCO_FARM_IDLE] = "idle",         [FLAMENCO_FARM_WAITING] = "waiting",
    [FLAMENCO_FARM_ASLEEP] = "asleep",     [FLAMENCO_FARM_INOPERATIVE] = "inoperative",
    [FLAMENCO_FARM_UNKNOWN] = "unknown",
};

/* ---- Computing ----------------------------------------------------------------------------------------------------- */

static uint32_t judge(const uint64_t workers[FLAMENCO_WORKER_STATUSES], const uint64_t jobs[FLAMENCO_JOB_STATUSES])
{
    uint64_t usable = 0;
    for (uint32_t status = 0; status < FLAMENCO_WORKER_STATUSES; ++status)
        if (status != FLAMENCO_WORKER_OFFLINE && status != FLAMENCO_WORKER_ERROR)
            usable += workers[status];
    if (usable == 0)
        return FLAMENCO_FARM_INOPERATIVE;
    if (jobs[FLAMENCO_JOB_ACTIVE] > 0 && workers[FLAMENCO_WORKER_AWAKE] > 0)
        return FLAMENCO_FARM_ACTIVE;
    if (jobs[FLAMENCO_JOB_ACTIVE] > 0 || jobs[FLAMENCO_JOB_QUEUED] > 0)
        return FLAMENCO_FARM_WAITING;
    if (workers[FLAMENCO_WORKER_AWAKE] == 0 && workers[FLAMENCO_WORKER_ASLEEP] > 0)
        return FLAMENCO_FARM_ASLEEP;
    return FLAMENCO_FARM_IDLE;
}

static int32_t tell(farm_status *farm, flamenco_cx *cx, uint32_t status, flamenco_error *err)
{
    char payload[64];
    int len = snprintf(payload, sizeof(payload), "{\"status\":\"%s\"}", words[status]);
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_FARM_STATUS,
                             .topic = flamenco_text("/status"),
                             .name = flamenco_text("/status"),
                             .payload = { payload, (uint64_t)len },
                             .status = flamenco_text(words[status]) };
    int32_t rc = farm->host->emit(cx, &event);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue an event");
}

static int32_t compute(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    farm_status *farm = ctx;
    uint64_t workers[FLAMENCO_WORKER_STATUSES] = { 0 }, jobs[FLAMENCO_JOB_STATUSES] = { 0 };
    int32_t rc = flamenco_persist_workers_count(&farm->persist, cx, workers, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_jobs_count(&farm->persist, cx, jobs, err);
    if (rc != FLAMENCO_OK)
        return rc; /* the host logs it; the last word stays */
    uint32_t before = __atomic_load_n(&farm->current, __ATOMIC_ACQUIRE), now = judge(workers, jobs);
    if (now == before)
        return FLAMENCO_OK;
    /* Stored first: who hears the event may ask at once. */
    __atomic_store_n(&farm->current, now, __ATOMIC_RELEASE);
    rc = tell(farm, cx, now, err);
    if (rc != FLAMENCO_OK)
        __atomic_store_n(&farm->current, before, __ATOMIC_RELEASE); /* so that the next computation tells it */
    return rc;
}

/* ---- When to compute ----------------------------------------------------------------------------------------------- */

static void computed(void *ctx);

static void submit_computation(farm_status *farm)
{
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_READ,
                                 .name = "farm status",
                                 .run = compute,
                                 .ctx = farm,
                                 .destroy = computed };
    /* A failure ends in computed(), too, and the next tick tries again. */
    (void)farm->host->submit(farm->host->h, &step);
}

/* The end of a computation, also of one that never began. */
static void computed(void *ctx)
{
    farm_status *farm = ctx;
    pthread_mutex_lock(&farm->lock);
    int again = farm->again;
    farm->again = 0;
    farm->busy = again;
    pthread_mutex_unlock(&farm->lock);
    if (again)
        submit_computation(farm);
}

static void ask_for_computation(farm_status *farm)
{
    pthread_mutex_lock(&farm->lock);
    int busy = farm->busy;
    farm->busy = 1;
    farm->again = busy;
    pthread_mutex_unlock(&farm->lock);
    if (!busy)
        submit_computation(farm);
}

static int32_t tick(flamenco_cx *cx, void *ctx, flamenco_error *err);

static int32_t plan_tick(farm_status *farm, int64_t delay_us, flamenco_error *err)
{
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_WORK,
                                 .name = "farm status timer",
                                 .run = tick,
                                 .ctx = farm,
                                 .delay_us = delay_us };
    int32_t rc = farm->host->submit(farm->host->h, &step);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot plan the next computation");
}

static int32_t tick(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    ask_for_computation(ctx);
    return plan_tick(ctx, PERIOD_US, err);
}

static void on_event(void *ctx, const flamenco_event *event)
{
    if (event->previous_status.len > 0 && !flamenco_str_equal(event->previous_status, event->status))
        ask_for_computation(ctx);
}

/* ---- Service and life ---------------------------------------------------------------------------------------------- */

static uint32_t current(void *self)
{
    farm_status *farm = self;
    return __atomic_load_n(&farm->current, __ATOMIC_ACQUIRE);
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    farm_status *farm = host->alloc(host->h, sizeof(*farm));
    if (farm == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the farm status");
    memset(farm, 0, sizeof(*farm));
    farm->host = host;
    farm->current = FLAMENCO_FARM_STARTING;
    if (pthread_mutex_init(&farm->lock, NULL) != 0) {
        host->free(host->h, farm);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no lock for the farm status");
    }
    *self_out = farm;
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
    farm_status *farm = self;
    const flamenco_host *host = farm->host;
    farm->persist.table = host->service(host->h, FLAMENCO_PERSISTENCE, &farm->persist.self);
    if (farm->persist.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "the farm status needs %s", FLAMENCO_PERSISTENCE);
    int32_t rc =
        host->listen(host->h, UINT64_C(1) << FLAMENCO_EVENT_JOB | UINT64_C(1) << FLAMENCO_EVENT_WORKER, on_event, farm);
    if (rc != FLAMENCO_OK)
        return flamenco_fail(err, rc, "cannot listen to events");
    return plan_tick(farm, FIRST_US, err);
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
    farm_status *farm = self;
    if (farm == NULL)
        return;
    (void)pthread_mutex_destroy(&farm->lock);
    farm->host->free(farm->host->h, farm);
}

static const flamenco_farm_status table = {
    .struct_size = (uint32_t)sizeof(flamenco_farm_status),
    .current = current,
};

static const flamenco_provide provide_farm_status = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_FARM_STATUS,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_farm_status, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need *const needs[] = { &need_persistence, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "farm-status", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .needs = needs,      .create = create,   .configure = configure,
    .start = start,       .stop = stop,        .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
