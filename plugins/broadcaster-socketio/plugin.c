/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the services "flamenco.broadcaster/1" and "flamenco.http_routes/1": tells open web pages what happens in the
 * farm, by Socket.IO (contract: events 1 and 2).
 */
#include "flamenco/broadcaster.h"
#include "routes.h"

/* ---- Broadcaster ------------------------------------------------------------------------------------------------------ */

static void publish(void *self, const flamenco_event *event)
{
    hub_publish(self, event);
}

static int32_t wants(void *self, uint32_t kind)
{
    return hub_wants(self, kind);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    hub_deliver(self); /* what was published is in the host's queues then */
    return FLAMENCO_OK;
}

/* ---- Pages ------------------------------------------------------------------------------------------------------------ */

static const flamenco_http_route route = { (uint32_t)sizeof(flamenco_http_route), 0, "*", "/socket.io/" };

static const flamenco_http_route *const *routes(void *self)
{
    static const flamenco_http_route *const list[] = { &route, NULL };
    (void)self;
    return list;
}

static int32_t handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                      flamenco_error *err)
{
    (void)cx;
    return routes_handle(self, request, reply, err);
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    hub *h = host->alloc(host->h, sizeof(*h));
    if (h == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(h, 0, sizeof(*h));
    h->host = host;
    *self_out = h;
    return FLAMENCO_OK;
}

static compression read_compression(flamenco_str text)
{
    if (flamenco_str_equal(text, flamenco_text("all")))
        return COMPRESSION_ALL;
    return flamenco_str_equal(text, flamenco_text("off")) ? COMPRESSION_OFF : COMPRESSION_ENGINE4;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    hub *h = self;
    h->clients_at_most = (uint64_t)config->integer(config->c, "clients");
    h->rooms_at_most = (uint32_t)config->integer(config->c, "subscriptions");
    h->steps_us = config->integer(config->c, "steps_interval");
    h->compression = read_compression(config->text(config->c, "compression"));
    return hub_init(h, h->host, err);
}

static int32_t tick(flamenco_cx *cx, void *ctx, flamenco_error *err);

static int32_t submit_tick(hub *h)
{
    flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                           .kind = FLAMENCO_STEP_WORK,
                           .name = "socketio-tick",
                           .run = tick,
                           .ctx = h,
                           .delay_us = TICK_US };
    return h->host->submit(h->host->h, &step);
}

static int32_t tick(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    hub_tick(ctx);
    int32_t rc = submit_tick(ctx);
    return rc == FLAMENCO_OK || rc == FLAMENCO_E_CANCELLED ? FLAMENCO_OK
                                                           : flamenco_fail(err, rc, "the next look cannot be queued");
}

static int32_t start(void *self, flamenco_error *err)
{
    hub *h = self;
    int32_t rc = news_start(&h->news, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = submit_tick(h);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the first look cannot be queued");
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    hub *h = self;
    (void)deadline_us;
    (void)err;
    news_stop(&h->news);
    return FLAMENCO_OK; /* the host has closed every connection, and its timers have stopped */
}

static void destroy(void *self)
{
    hub *h = self;
    if (h == NULL)
        return;
    const flamenco_host *host = h->host;
    hub_fini(h);
    host->free(host->h, h);
}

static const flamenco_broadcaster broadcaster_table = {
    .struct_size = (uint32_t)sizeof(flamenco_broadcaster),
    .publish = publish,
    .flush = flush,
    .wants = wants,
};
static const flamenco_http_routes routes_table = {
    .struct_size = (uint32_t)sizeof(flamenco_http_routes),
    .routes = routes,
    .handle = handle,
};

static const flamenco_provide broadcaster_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_BROADCASTER,
                                                      &broadcaster_table };
static const flamenco_provide routes_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_HTTP_ROUTES,
                                                 &routes_table };
static const flamenco_provide *const provides[] = { &broadcaster_provide, &routes_provide, NULL };

static const flamenco_setting clients_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "clients",
    .default_text = "10000",
    .min = 1,
    .max = 1000000,
    .unit = "clients",
    .doc = "How many may be connected at once; more are turned away.",
};
static const flamenco_setting subscriptions_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "subscriptions",
    .default_text = "10000",
    .min = 10,
    .max = 1000000,
    .unit = "rooms",
    .doc = "How many rooms one client may be in; a subscription to a job takes two.",
};
static const flamenco_setting compression_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_CHOICE,
    .key = "compression",
    .default_text = "engine4",
    .choices = "engine4 all off",
    .doc = "For which WebSockets events are compressed, if they offer it: those of Engine.IO 4, all, or none.",
};
static const flamenco_setting steps_interval_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "steps_interval",
    .default_text = "100ms",
    .max = 10000000,
    .doc = "While many events come, pages get the newest step counts of jobs and tasks so often; 0: each of them, "
           "with all else.",
};
static const flamenco_setting *const settings[] = { &clients_setting, &subscriptions_setting, &compression_setting,
                                                    &steps_interval_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "broadcaster-socketio",
    .version = "0.1.0",   .licence = "Apache-2.0",
    .provides = provides, .settings = settings,
    .create = create,     .configure = configure,
    .start = start,       .stop = stop,
    .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
