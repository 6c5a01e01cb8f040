/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - see link.h. The thread tells log and metrics once in a while what has changed, not for each event.
 */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "message.h"
#include "session.h"

#define SECOND_US INT64_C(1000000)
#define CONNECT_MAX_US (10 * SECOND_US) /* network and welcome together (events 3.2) */
#define CONNECT_NEXT_US (3 * SECOND_US) /* the same while there is another address to try */
#define RETRY_FIRST_US SECOND_US
#define HELD_US (60 * SECOND_US) /* a connection that held for so long is made again at once */
#define REPORT_EVERY_US INT64_C(200000)
#define COMPLAIN_EVERY_US (60 * SECOND_US)
#define GOOD_BYE_US (SECOND_US / 2)

struct mqtt_link {
    const flamenco_host *host;
    const mqtt_settings *settings;
    mqtt_queue *queue;
    pthread_t thread;
    int wake_fd;
    char *topic; /* scratch of the sessions */
    pthread_mutex_t lock;
    pthread_cond_t ended_cond; /* by CLOCK_MONOTONIC */
    /* Under lock. */
    int stopping, ended;
    int connected;
    char why[256]; /* of not being connected; empty = the first attempt is under way */
    /* Of the thread alone. */
    mqtt_counts told; /* to the metrics */
    int64_t told_us, complained_us;
    uint64_t dropped_before; /* when the events that are missing now began to be dropped */
    int dropping;
    char logged_why[256];
};

static int is_stopping(mqtt_link *link)
{
    pthread_mutex_lock(&link->lock);
    int stopping = link->stopping;
    pthread_mutex_unlock(&link->lock);
    return stopping;
}

/* ---- Telling --------------------------------------------------------------------------------------------------------------- */

static void tell_drops(mqtt_link *link, const mqtt_counts *now)
{
    const flamenco_host *host = link->host;
    if (!link->dropping && now->dropped > link->told.dropped) {
        link->dropping = 1;
        link->dropped_before = link->told.dropped;
        host->log(host->h, FLAMENCO_LOG_WARN, "%zu events wait for the broker: the oldest are dropped from now on",
                  now->waiting);
    }
    if (link->dropping && now->waiting == 0) {
        link->dropping = 0;
        host->log(host->h, FLAMENCO_LOG_WARN, "the broker has all events again but %llu, which were dropped",
                  (unsigned long long)(now->dropped - link->dropped_before));
    }
}

/* Brings log and metrics up to date. Returns the µs until it wants to be called again, when it was called too early. */
static int64_t report(mqtt_link *link, int at_once)
{
    const flamenco_host *host = link->host;
    mqtt_counts now = fl_mqtt_queue_counts(link->queue);
    int64_t now_us = fl_mqtt_now_us(), early_us = link->told_us + REPORT_EVERY_US - now_us;
    if (memcmp(&now, &link->told, sizeof(now)) == 0)
        return INT64_MAX;
    if (early_us > 0 && !at_once)
        return early_us;
    tell_drops(link, &now);
    host->metric(host->h, "queued_events", (double)now.waiting);
    host->metric(host->h, "sent_events_total", (double)(now.sent - link->told.sent));
    host->metric(host->h, "refused_events_total", (double)(now.refused - link->told.refused));
    host->metric(host->h, "dropped_events_total", (double)(now.dropped - link->told.dropped));
    link->told = now;
    link->told_us = now_us;
    return INT64_MAX;
}

static void set_connected(mqtt_link *link, int connected, const char *why)
{
    pthread_mutex_lock(&link->lock);
    link->connected = connected;
    (void)snprintf(link->why, sizeof(link->why), "%s", why);
    pthread_mutex_unlock(&link->lock);
    link->host->metric(link->host->h, "connected", connected);
}

static void tell_connected(mqtt_link *link)
{
    const mqtt_broker *broker = &link->settings->broker;
    set_connected(link, 1, "");
    link->logged_why[0] = '\0';
    link->host->log(link->host->h, FLAMENCO_LOG_INFO, "connected to %s, port %s%s; %zu events wait", broker->host,
                    broker->port, broker->tls ? " (TLS)" : "", fl_mqtt_queue_counts(link->queue).waiting);
}

/* Once for each reason, not for each attempt. */
static void tell_failure(mqtt_link *link, const char *why)
{
    const mqtt_broker *broker = &link->settings->broker;
    set_connected(link, 0, why);
    if (strcmp(link->logged_why, why) == 0)
        return;
    (void)snprintf(link->logged_why, sizeof(link->logged_why), "%s", why);
    link->host->log(link->host->h, FLAMENCO_LOG_WARN,
                    "no connection to %s, port %s: %s; it is tried again and again, and events wait", broker->host,
                    broker->port, why);
}

static void tell_refusal(mqtt_link *link, mqtt_session *session)
{
    int64_t now_us = fl_mqtt_now_us();
    if (session->refusal[0] == '\0' || (link->complained_us != 0 && now_us - link->complained_us < COMPLAIN_EVERY_US))
        return;
    link->complained_us = now_us;
    link->host->log(link->host->h, FLAMENCO_LOG_WARN, "an event is refused (%llu so far): %s",
                    (unsigned long long)fl_mqtt_queue_counts(link->queue).refused, session->refusal);
    session->refusal[0] = '\0';
}

/* ---- Waiting --------------------------------------------------------------------------------------------------------------- */

/* poll() on the wake-up and, unless it is -1, on fd. Returns what poll found for fd. */
static short wait_for(mqtt_link *link, int fd, short events, int64_t us)
{
    struct pollfd p[2] = { { .fd = link->wake_fd, .events = POLLIN }, { .fd = fd, .events = events } };
    uint64_t count;
    int ms = us <= 0 ? 0 : us > 3600 * SECOND_US ? 3600000 : (int)((us + 999) / 1000);
    if (poll(p, 2, ms) <= 0)
        return 0;
    /* Non-blocking; that there is nothing to read is no error. */
    if (p[0].revents != 0 && read(link->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return 0;
    return p[1].revents;
}

/* Without a connection: counts go on, nobody is woken by events. */
static void wait_before_retry(mqtt_link *link, int64_t us)
{
    int64_t until_us = fl_mqtt_now_us() + us, left_us;
    fl_mqtt_queue_set_hopeless(link->queue, 1);
    while (!is_stopping(link) && (left_us = until_us - fl_mqtt_now_us()) > 0) {
        (void)report(link, 0);
        (void)wait_for(link, -1, 0, left_us < REPORT_EVERY_US ? left_us : REPORT_EVERY_US);
    }
}

/* ---- Connections ----------------------------------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Runs a session until it breaks or the link is stopped. */
static void serve(mqtt_link *link, mqtt_session *session, int64_t limit_us)
{
    const int64_t until_us = fl_mqtt_now_us() + limit_us;
    int told = 0;
    while (!session->broken && !is_stopping(link)) {
        short events;
        int64_t again_us = report(link, 0), wait_us;
        tell_refusal(link, session);
        if (session->connected && !told) {
            told = 1;
            fl_mqtt_queue_set_hopeless(link->queue, 0);
            tell_connected(link);
        }
        fl_mqtt_session_send(session);
        int fd = fl_mqtt_session_poll(session, &events);
        if (fd < 0 && !session->broken) {
            session->broken = 1;
            (void)snprintf(session->why, sizeof(session->why), "the connection is lost");
        }
        if (session->broken)
            break;
        /* Keep-alive and the silence of the broker are looked after at a quarter of their times. */
        wait_us = session->connected ? least(session->keep_alive_us / 4, 5 * SECOND_US) : until_us - fl_mqtt_now_us();
        if (!session->connected && wait_us <= 0) {
            session->broken = 1;
            (void)snprintf(session->why, sizeof(session->why), "there is no answer in %d s",
                           (int)(limit_us / SECOND_US));
            break;
        }
        int wants = fl_mqtt_session_has_room(session);
        short found =
            wait_for(link, fd, events, fl_mqtt_queue_sleep(link->queue, wants) ? least(wait_us, again_us) : 0);
        fl_mqtt_session_step(session, found);
    }
}

/* One address of the broker. Returns the µs for which there was a connection, or -1: there was none. */
static int64_t try_address(mqtt_link *link, const char *address, int64_t limit_us)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    mqtt_session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        tell_failure(link, "out of memory");
        return -1;
    }
    int64_t since_us = fl_mqtt_now_us(), lasted_us = -1;
    int32_t rc = fl_mqtt_session_open(session, link->host, link->settings, link->queue, address, link->topic, &err);
    if (rc == FLAMENCO_OK)
        serve(link, session, limit_us);
    if (session->connected)
        lasted_us = fl_mqtt_now_us() - since_us;
    if (!is_stopping(link))
        tell_failure(link, rc == FLAMENCO_OK ? session->why : err.text);
    fl_mqtt_session_close(session, fl_mqtt_now_us() + GOOD_BYE_US);
    free(session);
    return lasted_us;
}

/* All addresses of the broker, until one gave a connection that has ended by now. As try_address. */
static int64_t try_all(mqtt_link *link)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    const mqtt_broker *broker = &link->settings->broker;
    struct addrinfo *list = NULL;
    char address[NI_MAXHOST];
    int64_t lasted_us = -1;
    int rc = getaddrinfo(broker->host, broker->port, &hints, &list);
    if (is_stopping(link)) { /* the host may be gone */
        if (rc == 0)
            freeaddrinfo(list);
        return -1;
    }
    if (rc != 0) {
        char text[200];
        (void)snprintf(text, sizeof(text), "its address cannot be found: %s",
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        tell_failure(link, text);
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && lasted_us < 0 && !is_stopping(link); a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0)
            lasted_us = try_address(link, address, a->ai_next != NULL ? CONNECT_NEXT_US : CONNECT_MAX_US);
    }
    freeaddrinfo(list);
    return lasted_us;
}

static void *run(void *arg)
{
    mqtt_link *link = arg;
    int64_t delay_us = 0;
    (void)pthread_setname_np(pthread_self(), "mqtt");
    while (!is_stopping(link)) {
        int64_t lasted_us = try_all(link);
        /* What breaks soon, as when another client has our name, must not be made again at once: they would go on for ever. */
        if (lasted_us >= HELD_US)
            delay_us = 0;
        else
            delay_us = least(delay_us == 0 ? RETRY_FIRST_US : 2 * delay_us, link->settings->retry_max_us);
        if (delay_us > 0 && !is_stopping(link))
            wait_before_retry(link, delay_us);
    }
    pthread_mutex_lock(&link->lock);
    link->ended = 1;
    pthread_cond_broadcast(&link->ended_cond);
    pthread_mutex_unlock(&link->lock);
    return NULL;
}

/* ---- Life ------------------------------------------------------------------------------------------------------------------- */

static void free_link(mqtt_link *link)
{
    const flamenco_host *host = link->host;
    if (link->wake_fd >= 0)
        (void)close(link->wake_fd);
    host->free(host->h, link->topic);
    (void)pthread_cond_destroy(&link->ended_cond);
    (void)pthread_mutex_destroy(&link->lock);
    host->free(host->h, link);
}

static mqtt_link *make_link(const flamenco_host *host, flamenco_error *err)
{
    pthread_condattr_t attr;
    mqtt_link *link = host->alloc(host->h, sizeof(*link));
    if (link == NULL) {
        (void)flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        return NULL;
    }
    memset(link, 0, sizeof(*link));
    link->host = host;
    (void)pthread_condattr_init(&attr); /* none of these four can fail on Linux */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&link->ended_cond, &attr);
    (void)pthread_mutex_init(&link->lock, NULL);
    (void)pthread_condattr_destroy(&attr);
    link->topic = host->alloc(host->h, MQTT_TOPIC_MAX + 1);
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->topic != NULL && link->wake_fd >= 0)
        return link;
    (void)flamenco_fail(err, link->topic == NULL ? FLAMENCO_E_NOMEM : FLAMENCO_E_IO, "cannot make a connection: %s",
                        link->topic == NULL ? "out of memory" : strerror(errno));
    free_link(link);
    return NULL;
}

int32_t fl_mqtt_link_start(const flamenco_host *host, const mqtt_settings *settings, mqtt_queue *queue, mqtt_link **out,
                           flamenco_error *err)
{
    sigset_t all, before;
    mqtt_link *link = make_link(host, err);
    if (link == NULL)
        return err->code;
    link->settings = settings;
    link->queue = queue;
    (void)sigfillset(&all); /* signals are the manager's business */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&link->thread, NULL, run, link);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free_link(link);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread: %s", strerror(rc));
    }
    *out = link;
    return FLAMENCO_OK;
}

void fl_mqtt_link_wake(mqtt_link *link)
{
    const uint64_t one = 1;
    /* It can only fail when it is full, and then the thread is woken anyway. */
    if (write(link->wake_fd, &one, sizeof(one)) < 0)
        return;
}

int32_t fl_mqtt_link_health(mqtt_link *link, flamenco_error *err)
{
    const mqtt_broker *broker = &link->settings->broker;
    mqtt_counts counts = fl_mqtt_queue_counts(link->queue);
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&link->lock);
    if (!link->connected)
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE,
                           "no connection to %.80s, port %s: %.100s; %zu events wait, %llu were dropped", broker->host,
                           broker->port, link->why[0] != '\0' ? link->why : "it is being made", counts.waiting,
                           (unsigned long long)counts.dropped);
    pthread_mutex_unlock(&link->lock);
    return rc;
}

int32_t fl_mqtt_link_stop(mqtt_link *link, int64_t deadline_us, flamenco_error *err)
{
    struct timespec until = { (time_t)(deadline_us / SECOND_US), (long)(deadline_us % SECOND_US) * 1000 };
    int rc = 0;
    pthread_mutex_lock(&link->lock);
    link->stopping = 1;
    fl_mqtt_link_wake(link);
    while (!link->ended && rc == 0)
        rc = pthread_cond_timedwait(&link->ended_cond, &link->lock, &until);
    int ended = link->ended;
    pthread_mutex_unlock(&link->lock);
    if (!ended) {
        (void)pthread_detach(link->thread);
        return flamenco_fail(err, FLAMENCO_E_DEADLINE, "the look-up of %.100s hangs", link->settings->broker.host);
    }
    (void)pthread_join(link->thread, NULL);
    (void)report(link, 1);
    free_link(link);
    return FLAMENCO_OK;
}
