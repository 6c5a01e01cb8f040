/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h - the thread that keeps the connection to the broker: looks up its name, connects, sends what is in the queue, and
 * begins anew after every loss, for ever. Used by plugin.c.
 */
#ifndef MQTT_LINK_H
#define MQTT_LINK_H

#include "queue.h"
#include "settings.h"

typedef struct mqtt_link mqtt_link;

/* Starts the thread. The queue and the settings must outlive it. Errors: NOMEM, IO. */
int32_t fl_mqtt_link_start(const flamenco_host *host, const mqtt_settings *settings, mqtt_queue *queue, mqtt_link **out,
                           flamenco_error *err);

/* There is something in the queue. [any] */
void fl_mqtt_link_wake(mqtt_link *link);

/* Fails with UNAVAILABLE and a text for people while there is no connection. [any] */
int32_t fl_mqtt_link_health(mqtt_link *link, flamenco_error *err);

/* Says good-bye to the broker, ends the thread and frees the link. DEADLINE: the thread is still in a look-up of the broker's
 * name, which cannot be interrupted; then link, settings and queue must stay as they are, until the process ends. */
int32_t fl_mqtt_link_stop(mqtt_link *link, int64_t deadline_us, flamenco_error *err);

#endif
