/* SPDX-License-Identifier: Apache-2.0
 *
 * frozen.c - a plugin as somebody built it for ABI 1.0: compiled with the headers beside it, never with today's. It must
 * load and work in every later manager of this major. Its service counts events and asks much of the host, so that most of
 * what 1.0 had is used. See ../frozen.py.
 */
#include "flamenco/event_forwarder.h"

typedef struct frozen {
    const flamenco_host *host;
    uint64_t events; /* by the publisher's thread alone */
    uint64_t last_seq;
    int64_t started_us;
    flamenco_str greeting;
    int64_t patience_us;
} frozen;

static void publish(void *self, const flamenco_event *event)
{
    frozen *f = self;
    if (event->struct_size < sizeof(flamenco_event) || event->seq <= f->last_seq) {
        f->host->fail(f->host->h, "frozen: an event is not as it was in ABI 1.0");
        return;
    }
    f->host->buf_ref(event->buf);
    f->last_seq = event->seq;
    f->events++;
    f->host->metric(f->host->h, "frozen_events_total", 1);
    f->host->log(f->host->h, FLAMENCO_LOG_INFO, "frozen saw %.*s", (int)event->topic.len, event->topic.ptr);
    f->host->buf_unref(event->buf);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    frozen *f = self;
    if (deadline_us < f->started_us)
        return flamenco_fail(err, FLAMENCO_E_DEADLINE, "the deadline is before the start");
    f->host->log(f->host->h, FLAMENCO_LOG_INFO, "frozen is flushed");
    return FLAMENCO_OK;
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    if (host->struct_size < sizeof(flamenco_host))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the host has less to offer than in ABI 1.0");
    frozen *f = host->alloc(host->h, sizeof(*f));
    if (f == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(f, 0, sizeof(*f));
    f->host = host;
    *self_out = f;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    frozen *f = self;
    f->greeting = config->text(config->c, "greeting");
    f->patience_us = config->integer(config->c, "patience");
    if (f->patience_us != 90000000 || config->given(config->c, "patience"))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the default of patience has not arrived");
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    frozen *f = self;
    const flamenco_host *host = f->host;
    flamenco_uuid made, parsed;
    char text[37];
    int32_t rc = host->uuid_make(host->h, 4, &made);
    if (rc != FLAMENCO_OK)
        return flamenco_fail(err, rc, "no UUID to be had");
    host->uuid_format(&made, text);
    rc = host->uuid_parse(flamenco_text(text), &parsed);
    if (rc != FLAMENCO_OK || memcmp(&made, &parsed, sizeof(made)) != 0)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "a UUID does not survive its text");
    if (host->now_us(host->h) <= 0)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the host has no time");
    f->started_us = host->monotonic_us(host->h);
    host->log(host->h, FLAMENCO_LOG_INFO, "frozen says %.*s", (int)f->greeting.len, f->greeting.ptr);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    frozen *f = self;
    (void)deadline_us;
    (void)err;
    f->host->log(f->host->h, FLAMENCO_LOG_INFO, "frozen has ended");
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    frozen *f = self;
    if (f != NULL)
        f->host->free(f->host->h, f);
}

static int32_t health(void *self, flamenco_error *err)
{
    (void)self;
    (void)err;
    return FLAMENCO_OK;
}

static const flamenco_event_forwarder table = {
    .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
    .publish = publish,
    .flush = flush,
};
static const flamenco_provide provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_EVENT_FORWARDER, &table };
static const flamenco_provide *const provides[] = { &provide, NULL };

static const flamenco_setting greeting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_TEXT,
    .key = "greeting",
    .doc = "What it says at its start.",
    .flags = FLAMENCO_SETTING_REQUIRED,
};
static const flamenco_setting patience = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_DURATION,
    .key = "patience",
    .default_text = "1m30s",
    .doc = "Nothing; but its default must arrive.",
};
static const flamenco_setting *const settings[] = { &greeting, &patience, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,
    .id = "frozen-1.0",
    .version = "1.0",
    .licence = "Apache-2.0",
    .provides = provides,
    .settings = settings,
    .create = create,
    .configure = configure,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
