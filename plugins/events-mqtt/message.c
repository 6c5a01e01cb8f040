/* SPDX-License-Identifier: Apache-2.0
 *
 * message.c - see message.h.
 */
#include "message.h"

#include <mosquitto.h>

#define PREFIX_MAX 60000u /* leaves room for the longest topic of ours, and some */

int fl_mqtt_is_sent(uint32_t kind)
{
    return kind != FLAMENCO_EVENT_TASK_LOG;
}

int fl_mqtt_topic_write(char *out, size_t size, flamenco_str prefix, flamenco_str topic)
{
    if (prefix.len + topic.len > MQTT_TOPIC_MAX || prefix.len + topic.len >= size)
        return 0;
    if (prefix.len > 0)
        memcpy(out, prefix.ptr, (size_t)prefix.len);
    if (topic.len > 0)
        memcpy(out + prefix.len, topic.ptr, (size_t)topic.len);
    size_t len = (size_t)(prefix.len + topic.len);
    out[len] = '\0';
    return len > 0 && strlen(out) == len && mosquitto_pub_topic_check2(out, len) == MOSQ_ERR_SUCCESS &&
           mosquitto_validate_utf8(out, (int)len) == MOSQ_ERR_SUCCESS;
}

const char *fl_mqtt_prefix_check(flamenco_str prefix)
{
    if (prefix.len == 0)
        return NULL;
    if (prefix.len > PREFIX_MAX)
        return "it is too long for a topic";
    if (memchr(prefix.ptr, '+', (size_t)prefix.len) != NULL || memchr(prefix.ptr, '#', (size_t)prefix.len) != NULL)
        return "a topic must not contain + or #";
    if (memchr(prefix.ptr, '\0', (size_t)prefix.len) != NULL ||
        mosquitto_validate_utf8(prefix.ptr, (int)prefix.len) != MOSQ_ERR_SUCCESS)
        return "a topic must be UTF-8 without control characters";
    return NULL;
}
