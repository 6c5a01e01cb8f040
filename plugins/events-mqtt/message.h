/* SPDX-License-Identifier: Apache-2.0
 *
 * message.h - which events become messages, and their topics (events 1.2, 3.2). Used by plugin.c, settings.c and session.c.
 */
#ifndef MQTT_MESSAGE_H
#define MQTT_MESSAGE_H

#include "flamenco/plugin.h"

#define MQTT_TOPIC_MAX 65535u /* bytes, by MQTT */
#define MQTT_WILL_TOPIC "/lifecycle"
#define MQTT_WILL_PAYLOAD "{\"type\":\"manager-shutdown\"}"

/* Tells whether events of this kind are sent: all but the lines of task logs. */
int fl_mqtt_is_sent(uint32_t kind);

/* Writes prefix + topic with a NUL into out[size]. Returns 0 when MQTT does not allow this topic, or it does not fit. */
int fl_mqtt_topic_write(char *out, size_t size, flamenco_str prefix, flamenco_str topic);

/* Tells whether topics may begin so. Returns NULL, or what is wrong, a static text. */
const char *fl_mqtt_prefix_check(flamenco_str prefix);

#endif
