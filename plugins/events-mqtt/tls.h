/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h - what a TLS connection to a broker must prove, and by what we prove ourselves. Used by session.c.
 */
#ifndef MQTT_TLS_H
#define MQTT_TLS_H

#include <openssl/ssl.h>

#include "settings.h"

/* Lives as long as the context. */
typedef struct mqtt_tls {
    SSL_CTX *ctx;
    const char *host; /* borrowed: must outlive the context */
    char why[200]; /* why the broker's certificate was not accepted; empty = it was, or did not come */
} mqtt_tls;

/* Reads the files and makes a context: TLS 1.2 or later, the broker's certificate is checked, and its name. Errors: IO and
 * INVALID, naming the setting; NOMEM. */
int32_t fl_mqtt_tls_init(mqtt_tls *tls, const mqtt_settings *settings, flamenco_error *err);

/* Accepts a zeroed one. */
void fl_mqtt_tls_fini(mqtt_tls *tls);

#endif
