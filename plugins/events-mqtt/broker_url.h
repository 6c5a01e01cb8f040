/* SPDX-License-Identifier: Apache-2.0
 *
 * broker_url.h - reads the URL of a broker (events 3.1). Used by settings.c.
 */
#ifndef MQTT_BROKER_URL_H
#define MQTT_BROKER_URL_H

#include "flamenco/plugin.h"

typedef struct mqtt_broker {
    char host[256]; /* a name or an address, an IPv6 one without brackets */
    char port[6];
    int port_number;
    int tls;
} mqtt_broker;

/* Reads "SCHEME://HOST:PORT", or "HOST:PORT" for plain TCP. User, path, query and fragment are ignored. Blanks around it must
 * be gone. Returns NULL, or what is wrong, a static text; then *out is untouched. The text never quotes the URL, which may
 * hold a password. */
const char *fl_mqtt_broker_read(flamenco_str url, mqtt_broker *out);

#endif
