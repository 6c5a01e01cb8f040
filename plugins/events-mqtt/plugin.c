/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the service "flamenco.event_forwarder/1" for MQTT brokers (events 3): takes events from the publisher into a
 * queue, from which the thread of link.c sends them. Off unless mqtt.client.enabled, or a broker of the instance's own.
 */
#include <mosquitto.h>

#include "flamenco/event_forwarder.h"
#include "link.h"
#include "message.h"
#include "session.h"

#define STOP_MAX_US INT64_C(2000000) /* the other plugins want to stop, too */

typedef struct mqtt_forwarder {
    const flamenco_host *host;
    mqtt_settings settings;
    mqtt_queue queue;
    mqtt_link *link; /* NULL: nothing is sent */
    int has_library;
    int abandoned; /* the thread hangs: what it uses must stay */
} mqtt_forwarder;

/* ---- The service ------------------------------------------------------------------------------------------------------------- */

static void publish(void *self, const flamenco_event *event)
{
    mqtt_forwarder *f = self;
    if (f->link == NULL || !fl_mqtt_is_sent(event->kind))
        return;
    if (fl_mqtt_queue_push(&f->queue, event))
        fl_mqtt_link_wake(f->link);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    mqtt_forwarder *f = self;
    if (f->link == NULL)
        return FLAMENCO_OK;
    size_t left = fl_mqtt_queue_drain(&f->queue, deadline_us);
    if (left == 0)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_DEADLINE, "the MQTT broker %s did not get %zu events", f->settings.broker.host,
                         left);
}

/* ---- The phases -------------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    mqtt_forwarder *f = host->alloc(host->h, sizeof(*f));
    if (f == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(f, 0, sizeof(*f));
    f->host = host;
    *self_out = f;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    mqtt_forwarder *f = self;
    const mqtt_settings *s = &f->settings;
    int32_t rc = fl_mqtt_settings_read(&f->settings, f->host, config, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (s->trouble[0] != '\0')
        f->host->log(f->host->h, FLAMENCO_LOG_ERROR, "no events are sent to an MQTT broker: %s", s->trouble);
    else if (s->enabled && !s->broker.tls && (s->ca_file != NULL || s->cert_file != NULL))
        f->host->log(f->host->h, FLAMENCO_LOG_WARN,
                     "ca_file, cert_file and key_file do nothing: the broker's URL is not one of mqtts:");
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    mqtt_forwarder *f = self;
    if (!f->settings.enabled || f->settings.trouble[0] != '\0')
        return FLAMENCO_OK;
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "libmosquitto cannot be used");
    f->has_library = 1;
    int32_t rc = fl_mqtt_queue_init(&f->queue, f->host, f->settings.queue_size, err);
    if (rc == FLAMENCO_OK)
        rc = fl_mqtt_link_start(f->host, &f->settings, &f->queue, &f->link, err);
    return rc;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    mqtt_forwarder *f = self;
    int64_t latest_us = fl_mqtt_now_us() + STOP_MAX_US;
    if (f->link == NULL)
        return FLAMENCO_OK;
    int32_t rc = fl_mqtt_link_stop(f->link, deadline_us < latest_us ? deadline_us : latest_us, err);
    f->abandoned = rc != FLAMENCO_OK;
    f->link = NULL;
    return rc;
}

static void destroy(void *self)
{
    mqtt_forwarder *f = self;
    if (f == NULL || f->abandoned)
        return;
    fl_mqtt_queue_fini(&f->queue);
    fl_mqtt_settings_fini(&f->settings, f->host);
    if (f->has_library)
        (void)mosquitto_lib_cleanup();
    f->host->free(f->host->h, f);
}

static int32_t health(void *self, flamenco_error *err)
{
    mqtt_forwarder *f = self;
    if (f->settings.trouble[0] != '\0')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%s", f->settings.trouble);
    return f->link != NULL ? fl_mqtt_link_health(f->link, err) : FLAMENCO_OK;
}

/* ---- The descriptor ---------------------------------------------------------------------------------------------------------- */

static const flamenco_event_forwarder table = {
    .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
    .publish = publish,
    .flush = flush,
};
static const flamenco_provide provide_forwarder = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_EVENT_FORWARDER,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_forwarder, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "events-mqtt",
    .version = "0.1.0",   .licence = "Apache-2.0",
    .provides = provides, .settings = fl_mqtt_setting_list,
    .create = create,     .configure = configure,
    .start = start,       .stop = stop,
    .destroy = destroy,   .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
