/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - what the plugin is told: the keys of mqtt.client, and settings of its own. Used by plugin.c.
 */
#ifndef MQTT_SETTINGS_H
#define MQTT_SETTINGS_H

#include "broker_url.h"

typedef struct mqtt_settings {
    int enabled;
    mqtt_broker broker;
    flamenco_str prefix;
    /* NUL-terminated; NULL = none. */
    char *client_id, *username, *password, *ca_file, *cert_file, *key_file;
    int last_will;
    int64_t retry_max_us;
    size_t queue_size;
    char trouble[240]; /* why nothing is sent though it is enabled; empty = nothing is wrong */
} mqtt_settings;

/* What the plugin declares; NULL ends. */
extern const flamenco_setting *const fl_mqtt_setting_list[];

/* Reads them. What is wrong with mqtt.client switches the forwarder off, with `trouble` naming the key: such a file must not
 * keep the manager from starting (events 3.1). What is wrong in manager.yaml is INVALID. NOMEM. */
int32_t fl_mqtt_settings_read(mqtt_settings *settings, const flamenco_host *host, const flamenco_config *config,
                              flamenco_error *err);

/* Frees the texts. Accepts a zeroed one. */
void fl_mqtt_settings_fini(mqtt_settings *settings, const flamenco_host *host);

#endif
