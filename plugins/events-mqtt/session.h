/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - one connection to a broker by libmosquitto, from the TCP connect to its end. What it has not got through when it
 * ends goes back to the queue, so the next one sends it. All on the thread of link.c.
 */
#ifndef MQTT_SESSION_H
#define MQTT_SESSION_H

#include "queue.h"
#include "tls.h"

#define MQTT_WINDOW 64u /* events under way at most */

struct mosquitto;

typedef struct mqtt_flight {
    mqtt_item item; /* buf NULL: confirmed already */
    int mid;
} mqtt_flight;

typedef struct mqtt_session {
    const flamenco_host *host;
    const mqtt_settings *settings;
    mqtt_queue *queue;
    struct mosquitto *mosq;
    mqtt_tls tls;
    char *topic; /* MQTT_TOPIC_MAX + 1 bytes, borrowed */
    int connected; /* the broker has welcomed us */
    int broken;
    int64_t keep_alive_us;
    int64_t heard_us; /* the last confirmation, or the beginning of waiting for one */
    mqtt_flight flights[MQTT_WINDOW]; /* a ring in the order of sending */
    size_t first, count;
    char why[256]; /* why it is broken */
    char refusal[200]; /* the last event that was refused, and why; the caller may empty it */
} mqtt_session;

/* Begins to connect to `address`, one of the broker's, numeric. `topic` is a place of MQTT_TOPIC_MAX + 1 bytes. The session
 * must be closed in any case. Errors: IO, UNAVAILABLE, NOMEM, INVALID. */
int32_t fl_mqtt_session_open(mqtt_session *session, const flamenco_host *host, const mqtt_settings *settings,
                             mqtt_queue *queue, const char *address, char *topic, flamenco_error *err);

/* The socket, and the events that poll() should look for. -1: it is broken. */
int fl_mqtt_session_poll(const mqtt_session *session, short *events);

/* Does what poll() found to be possible, and keeps the connection alive. Sets `broken` and `why` when it is over. */
void fl_mqtt_session_step(mqtt_session *session, short revents);

/* Sends what waits in the queue, as much as may be under way. */
void fl_mqtt_session_send(mqtt_session *session);

/* Tells whether another event may be sent now. */
int fl_mqtt_session_has_room(const mqtt_session *session);

/* Ends it: says good-bye until the monotonic time until_us if it is connected (so that there is no last will), and puts back
 * what is under way. 0: no good-bye. */
void fl_mqtt_session_close(mqtt_session *session, int64_t until_us);

/* The system's monotonic time in µs. */
int64_t fl_mqtt_now_us(void);

#endif
