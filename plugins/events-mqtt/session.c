/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - see session.h. Each session is a libmosquitto client of its own: what it would keep over a reconnect stands in
 * our queue, where it is bounded.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "message.h"

#define QOS 1
#define KEEP_ALIVE_S 30
#define SILENCE_MAX_US INT64_C(30000000) /* for the confirmation of the oldest event under way */
#define SECOND_US INT64_C(1000000)

int64_t fl_mqtt_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* Notes the end of the connection. The first reason is the cause of the others. */
static void break_off(mqtt_session *session, const char *what, const char *why)
{
    if (session->broken)
        return;
    session->broken = 1;
    (void)snprintf(session->why, sizeof(session->why), "%s%s", what, why);
}

/* What a result of libmosquitto means; errno is that of the call. Without the full stop that its texts end in. */
static const char *error_text(int rc, char *buf, size_t size)
{
    if (rc == MOSQ_ERR_ERRNO && errno != 0)
        return strerror_r(errno, buf, size);
    const char *text = mosquitto_strerror(rc);
    size_t len = strlen(text);
    (void)snprintf(buf, size, "%.*s", (int)(len > 0 && text[len - 1] == '.' ? len - 1 : len), text);
    return buf;
}

static void break_by_result(mqtt_session *session, int rc)
{
    char text[120];
    if (session->tls.why[0] != '\0')
        break_off(session, "", session->tls.why);
    else if (!session->connected && session->settings->broker.tls && rc != MOSQ_ERR_ERRNO)
        break_off(session, "the TLS connection did not come about: ", error_text(rc, text, sizeof(text)));
    else
        break_off(session, "", error_text(rc, text, sizeof(text)));
}

/* ---- What libmosquitto tells ------------------------------------------------------------------------------------------ */

static void on_connect(struct mosquitto *mosq, void *ctx, int reason, int flags, const mosquitto_property *props)
{
    mqtt_session *session = ctx;
    uint16_t seconds = KEEP_ALIVE_S;
    (void)mosq;
    (void)flags;
    if (reason != 0) {
        break_off(session, "the broker refuses the connection: ", mosquitto_reason_string(reason));
        return;
    }
    (void)mosquitto_property_read_int16(props, MQTT_PROP_SERVER_KEEP_ALIVE, &seconds, false);
    session->keep_alive_us = seconds * SECOND_US;
    session->connected = 1;
}

/* Called with a reason of the broker, 128 or above, or with a result of libmosquitto's. */
static void on_disconnect(struct mosquitto *mosq, void *ctx, int reason, const mosquitto_property *props)
{
    mqtt_session *session = ctx;
    (void)mosq;
    (void)props;
    if (reason >= 128)
        break_off(session, "the broker ends the connection: ", mosquitto_reason_string(reason));
    else
        break_by_result(session, reason != 0 ? reason : MOSQ_ERR_CONN_LOST);
}

static mqtt_flight *flight_at(mqtt_session *session, size_t index)
{
    return &session->flights[(session->first + index) % MQTT_WINDOW];
}

static void note_refusal(mqtt_session *session, const char *topic, const char *why)
{
    (void)snprintf(session->refusal, sizeof(session->refusal), "%.100s: %s", topic, why);
}

/* The broker confirms an event. The confirmations come in the order of sending, by MQTT; a broker that mixes them up is
 * understood all the same. */
static void on_publish(struct mosquitto *mosq, void *ctx, int mid, int reason, const mosquitto_property *props)
{
    mqtt_session *session = ctx;
    (void)mosq;
    (void)props;
    session->heard_us = fl_mqtt_now_us();
    for (size_t i = 0; i < session->count; ++i) {
        mqtt_flight *flight = flight_at(session, i);
        if (flight->mid != mid || flight->item.buf == NULL)
            continue;
        int refused = reason >= 128;
        if (refused &&
            fl_mqtt_topic_write(session->topic, MQTT_TOPIC_MAX + 1, session->settings->prefix, flight->item.topic))
            note_refusal(session, session->topic, mosquitto_reason_string(reason));
        fl_mqtt_queue_done(session->queue, &flight->item, refused);
        break;
    }
    while (session->count > 0 && flight_at(session, 0)->item.buf == NULL) {
        session->first = (session->first + 1) % MQTT_WINDOW;
        --session->count;
    }
}

/* ---- Beginning ---------------------------------------------------------------------------------------------------------- */

static int set_will(mqtt_session *session)
{
    if (!session->settings->last_will ||
        !fl_mqtt_topic_write(session->topic, MQTT_TOPIC_MAX + 1, session->settings->prefix,
                             flamenco_text(MQTT_WILL_TOPIC)))
        return MOSQ_ERR_SUCCESS;
    return mosquitto_will_set_v5(session->mosq, session->topic, (int)strlen(MQTT_WILL_PAYLOAD), MQTT_WILL_PAYLOAD, QOS,
                                 false, NULL);
}

static int prepare(mqtt_session *session)
{
    const mqtt_settings *settings = session->settings;
    struct mosquitto *mosq = session->mosq;
    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    int rc = mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(mosq, MOSQ_OPT_SEND_MAXIMUM, (int)MQTT_WINDOW);
    if (rc == MOSQ_ERR_SUCCESS && (settings->username != NULL || settings->password != NULL))
        rc = mosquitto_username_pw_set(mosq, settings->username, settings->password);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = set_will(session);
    if (rc == MOSQ_ERR_SUCCESS && session->tls.ctx != NULL)
        rc = mosquitto_void_option(mosq, MOSQ_OPT_SSL_CTX, session->tls.ctx);
    if (rc == MOSQ_ERR_SUCCESS && session->tls.ctx != NULL)
        rc = mosquitto_int_option(mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    return rc;
}

int32_t fl_mqtt_session_open(mqtt_session *session, const flamenco_host *host, const mqtt_settings *settings,
                             mqtt_queue *queue, const char *address, char *topic, flamenco_error *err)
{
    char text[120];
    memset(session, 0, sizeof(*session));
    session->host = host;
    session->settings = settings;
    session->queue = queue;
    session->topic = topic;
    session->keep_alive_us = KEEP_ALIVE_S * SECOND_US;
    if (settings->broker.tls) {
        int32_t failed = fl_mqtt_tls_init(&session->tls, settings, err);
        if (failed != FLAMENCO_OK)
            return failed;
    }
    session->mosq = mosquitto_new(settings->client_id, false, session);
    if (session->mosq == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a connection");
    int rc = prepare(session);
    errno = 0;
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_connect_async(session->mosq, address, settings->broker.port_number, KEEP_ALIVE_S);
    if (rc > MOSQ_ERR_SUCCESS)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%s", error_text(rc, text, sizeof(text)));
    int fd = mosquitto_socket(session->mosq);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return FLAMENCO_OK;
}

/* ---- Working ------------------------------------------------------------------------------------------------------------- */

int fl_mqtt_session_poll(const mqtt_session *session, short *events)
{
    *events = (short)(mosquitto_want_write(session->mosq) ? POLLIN | POLLOUT : POLLIN);
    return session->broken ? -1 : mosquitto_socket(session->mosq);
}

/* Why a connection attempt failed stands in the socket; libmosquitto would only say that it is lost. */
static void look_at_socket(mqtt_session *session)
{
    char text[120];
    int error = 0, fd = mosquitto_socket(session->mosq);
    socklen_t len = sizeof(error);
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
        break_off(session, "", strerror_r(error, text, sizeof(text)));
}

void fl_mqtt_session_step(mqtt_session *session, short revents)
{
    int rc = MOSQ_ERR_SUCCESS;
    if ((revents & (POLLERR | POLLHUP)) != 0 && !session->connected)
        look_at_socket(session);
    errno = 0;
    if (!session->broken && (revents & (POLLIN | POLLERR | POLLHUP)) != 0)
        rc = mosquitto_loop_read(session->mosq, 1);
    if (!session->broken && rc == MOSQ_ERR_SUCCESS && (revents & POLLOUT) != 0)
        rc = mosquitto_loop_write(session->mosq, 1);
    if (!session->broken && rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_loop_misc(session->mosq);
    if (rc != MOSQ_ERR_SUCCESS)
        break_by_result(session, rc);
    if (session->count > 0 && fl_mqtt_now_us() - session->heard_us > SILENCE_MAX_US)
        break_off(session, "the broker confirms nothing", "");
}

/* Whether the fault lies in the event, so that no other connection would take it, either. */
static int is_unwanted(int rc)
{
    return rc == MOSQ_ERR_INVAL || rc == MOSQ_ERR_PAYLOAD_SIZE || rc == MOSQ_ERR_OVERSIZE_PACKET ||
           rc == MOSQ_ERR_MALFORMED_UTF8 || rc == MOSQ_ERR_QOS_NOT_SUPPORTED;
}

/* Returns 0 when the connection is broken, and the item still the caller's. */
static int send_one(mqtt_session *session, mqtt_item *item)
{
    char text[120];
    int mid = 0, rc = MOSQ_ERR_INVAL;
    int is_topic = fl_mqtt_topic_write(session->topic, MQTT_TOPIC_MAX + 1, session->settings->prefix, item->topic);
    errno = 0;
    if (is_topic && item->payload.len <= MQTT_MAX_PAYLOAD)
        rc = mosquitto_publish_v5(session->mosq, &mid, session->topic, (int)item->payload.len, item->payload.ptr, QOS,
                                  false, NULL);
    if (rc != MOSQ_ERR_SUCCESS && !is_unwanted(rc)) {
        break_off(session, "", error_text(rc, text, sizeof(text)));
        return 0;
    }
    if (rc != MOSQ_ERR_SUCCESS) {
        note_refusal(session, session->topic,
                     is_topic ? error_text(rc, text, sizeof(text)) : "this is no topic of MQTT's");
        fl_mqtt_queue_done(session->queue, item, 1);
        return 1;
    }
    if (session->count == 0)
        session->heard_us = fl_mqtt_now_us();
    *flight_at(session, session->count) = (mqtt_flight){ *item, mid };
    ++session->count;
    return 1;
}

static size_t window_of(const mqtt_session *session)
{
    size_t half = session->settings->queue_size / 2; /* as many at least can be dropped */
    return half < MQTT_WINDOW ? half : MQTT_WINDOW;
}

int fl_mqtt_session_has_room(const mqtt_session *session)
{
    return session->connected && !session->broken && session->count < window_of(session);
}

void fl_mqtt_session_send(mqtt_session *session)
{
    mqtt_item items[MQTT_WINDOW];
    while (fl_mqtt_session_has_room(session)) {
        size_t n = fl_mqtt_queue_take(session->queue, items, window_of(session) - session->count), done = 0;
        if (n == 0)
            return;
        while (done < n && send_one(session, &items[done]))
            ++done;
        /* Those under way go back, too, when the session is closed, and come to stand before these. */
        fl_mqtt_queue_put_back(session->queue, items + done, n - done);
    }
}

/* ---- Ending -------------------------------------------------------------------------------------------------------------- */

static void say_good_bye(mqtt_session *session, int64_t until_us)
{
    int64_t left_us;
    if (mosquitto_disconnect_v5(session->mosq, 0, NULL) != MOSQ_ERR_SUCCESS)
        return;
    while (mosquitto_want_write(session->mosq) && (left_us = until_us - fl_mqtt_now_us()) > 0) {
        struct pollfd p = { .fd = mosquitto_socket(session->mosq), .events = POLLOUT };
        if (p.fd < 0 || poll(&p, 1, (int)(left_us / 1000) + 1) <= 0 ||
            mosquitto_loop_write(session->mosq, 1) != MOSQ_ERR_SUCCESS)
            return;
    }
}

void fl_mqtt_session_close(mqtt_session *session, int64_t until_us)
{
    mqtt_item items[MQTT_WINDOW];
    size_t n = 0;
    if (until_us > 0 && session->connected && !session->broken)
        say_good_bye(session, until_us);
    if (session->mosq != NULL)
        mosquitto_destroy(session->mosq);
    session->mosq = NULL;
    fl_mqtt_tls_fini(&session->tls);
    for (size_t i = 0; i < session->count; ++i)
        if (flight_at(session, i)->item.buf != NULL)
            items[n++] = flight_at(session, i)->item;
    session->count = 0;
    if (n > 0)
        fl_mqtt_queue_put_back(session->queue, items, n);
}
