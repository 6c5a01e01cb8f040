/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole plugin with a small broker on a thread, which speaks as much MQTT 5 as is needed: what arrives, in which order,
 * and what happens when the broker is not there, is slow, or goes. With a real one: tests/api/test_mqtt.py.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "fake_host.h"
#include "flamenco/event_forwarder.h"

#define EVENTS_MAX 4096
#define LONG_US INT64_C(120000000) /* never reached unless a test fails */

/* What a broker has seen. */
typedef struct broker {
    pthread_t thread;
    int fd;
    uint16_t port;
    int mute_after; /* confirms so many and then nothing; -1 = all */
    int cut_after; /* closes the connection at this one, and confirms all from then on; -1 = never */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n, last, connects, good_byes;
    char payloads[EVENTS_MAX][8], topic[64];
    uint8_t flags;
} broker;

typedef struct world {
    fake_host host;
    broker broker;
    void *self;
    const flamenco_event_forwarder *table;
} world;

/* ---- A look-up that hangs ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int hangs; /* 1: the next look-up does not come back; 2: it is under way */
} lookup = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

/* Takes the place of the C library's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof(real));
    pthread_mutex_lock(&lookup.lock);
    lookup.hangs += lookup.hangs == 1;
    pthread_cond_broadcast(&lookup.changed);
    while (lookup.hangs != 0)
        pthread_cond_wait(&lookup.changed, &lookup.lock);
    pthread_mutex_unlock(&lookup.lock);
    return real(name, service, hints, out);
}

/* ---- The broker ---- */

static int read_all(int fd, void *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)buf + got, len - got);
        if (n <= 0)
            return 0;
        got += (size_t)n;
    }
    return 1;
}

static int read_packet(int fd, uint8_t *type, uint8_t *body, size_t size, size_t *len)
{
    uint8_t byte;
    unsigned shift = 0;
    *len = 0;
    if (!read_all(fd, type, 1))
        return 0;
    do {
        if (!read_all(fd, &byte, 1) || shift > 21)
            return 0;
        *len |= (size_t)(byte & 127u) << shift;
        shift += 7;
    } while ((byte & 128u) != 0);
    return *len <= size && read_all(fd, body, *len);
}

/* Topic length, topic, packet id, length of properties (0), payload. Returns 0 when the connection shall be closed. */
static int take_publish(broker *b, int fd, uint8_t type, const uint8_t *body, size_t len)
{
    size_t topic = (size_t)body[0] << 8 | body[1], at = topic + 5;
    uint8_t ack[] = { 0x40, 2, body[topic + 2], body[topic + 3] };
    pthread_mutex_lock(&b->lock);
    int cut = b->cut_after >= 0 && b->n >= b->cut_after;
    if (cut) {
        b->cut_after = b->mute_after = -1;
    } else if (b->n < EVENTS_MAX) {
        (void)snprintf(b->payloads[b->n], sizeof(b->payloads[0]), "%.*s", (int)(len - at), (const char *)body + at);
        (void)snprintf(b->topic, sizeof(b->topic), "%.*s", (int)topic, (const char *)body + 2);
        b->last = atoi(b->payloads[b->n]);
        b->flags = type & 15u;
        ++b->n;
    }
    int mute = b->mute_after >= 0 && b->n > b->mute_after;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return !cut && (mute || write(fd, ack, sizeof(ack)) == (ssize_t)sizeof(ack));
}

static void talk(broker *b, int fd)
{
    static const uint8_t welcome[] = { 0x20, 3, 0, 0, 0 }, pong[] = { 0xd0, 0 };
    uint8_t type, body[1024];
    size_t len;
    while (read_packet(fd, &type, body, sizeof(body), &len)) {
        int good = 1;
        switch (type >> 4) {
        case 1:
            good = write(fd, welcome, sizeof(welcome)) > 0;
            pthread_mutex_lock(&b->lock);
            ++b->connects;
            pthread_cond_broadcast(&b->changed);
            pthread_mutex_unlock(&b->lock);
            break;
        case 3:
            good = take_publish(b, fd, type, body, len);
            break;
        case 12:
            good = write(fd, pong, sizeof(pong)) > 0;
            break;
        default:
            pthread_mutex_lock(&b->lock);
            b->good_byes += type >> 4 == 14;
            pthread_mutex_unlock(&b->lock);
            good = 0;
            break;
        }
        if (!good)
            break;
    }
}

static void *serve(void *arg)
{
    broker *b = arg;
    int fd;
    while ((fd = accept(b->fd, NULL, NULL)) >= 0) {
        talk(b, fd);
        close(fd);
    }
    return NULL;
}

static void begin_broker(broker *b)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->mute_after = b->cut_after = -1;
    b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(b->fd >= 0);
    assert_int_equal(bind(b->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(b->fd, (struct sockaddr *)&address, &len), 0);
    b->port = ntohs(address.sin_port);
}

static void open_broker(broker *b)
{
    assert_int_equal(listen(b->fd, 8), 0);
    assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
}

/* ---- The world ---- */

static int64_t in_us(int64_t us)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + us;
}

/* On the heap, since a test that fails leaves it behind with threads in it. */
static world *begin(const char *queue, int open)
{
    static char url[64]; /* borrowed by the fake host */
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    fake_host_init(&w->host);
    begin_broker(&w->broker);
    if (open)
        open_broker(&w->broker);
    (void)snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", w->broker.port);
    fake_host_set(&w->host, "enabled", "true");
    fake_host_set(&w->host, "broker", url);
    fake_host_set(&w->host, "retry_max", "100ms");
    fake_host_set(&w->host, "queue", queue);
    fake_host_set(&w->host, "topic_prefix", "flamenco");
    return w;
}

static void start(world *w)
{
    w->self = fake_host_start(&w->host, flamenco_plugin_query());
    w->table = fake_host_table(flamenco_plugin_query(), FLAMENCO_EVENT_FORWARDER);
}

static void end(world *w, int opened)
{
    w->host.monotonic_us = in_us(LONG_US); /* the stop's deadline goes by it */
    fake_host_stop(&w->host, flamenco_plugin_query(), w->self);
    fake_host_fini(&w->host);
    (void)shutdown(w->broker.fd, SHUT_RDWR);
    if (opened)
        pthread_join(w->broker.thread, NULL);
    close(w->broker.fd);
    free(w);
}

static void publish(world *w, uint32_t kind, int number)
{
    char text[8];
    flamenco_buf *buf = fl_shared_create(8);
    assert_non_null(buf);
    (void)snprintf(text, sizeof(text), "%d", number);
    memcpy(fl_shared_data(buf), text, strlen(text));
    const flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                                   .kind = kind,
                                   .topic = flamenco_text("/jobs"),
                                   .payload = { fl_shared_data(buf), strlen(text) },
                                   .buf = buf };
    w->table->publish(w->self, &event);
    fl_shared_unref(buf);
}

static void publish_range(world *w, int from, int to)
{
    for (int i = from; i < to; ++i)
        publish(w, FLAMENCO_EVENT_JOB, i);
}

static void wait_for(broker *b, const int *what, int value)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONG_US / 1000000;
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    while (*what < value && rc == 0)
        rc = pthread_cond_timedwait(&b->changed, &b->lock, &until);
    int got = *what;
    pthread_mutex_unlock(&b->lock);
    assert_true(got >= value);
}

static void wait_metric(world *w, const char *name, double value)
{
    const struct timespec pause = { 0, 5000000 };
    int64_t until_us = in_us(LONG_US);
    for (;;) {
        pthread_mutex_lock(&w->host.lock);
        double now = fake_host_metric(&w->host, name);
        pthread_mutex_unlock(&w->host.lock);
        if (now >= value)
            return;
        if (in_us(0) > until_us)
            fail_msg("%s is %g", name, now);
        nanosleep(&pause, NULL);
    }
}

/* ---- Tests ---- */

static void events_arrive_in_order(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("10000", 1);
    start(w);
    publish_range(w, 0, 1000);
    publish(w, FLAMENCO_EVENT_TASK_LOG, 7777);
    publish_range(w, 1000, 2000);
    assert_int_equal(w->table->flush(w->self, in_us(LONG_US), &err), FLAMENCO_OK);
    assert_int_equal(w->broker.n, 2000);
    for (int i = 0; i < 2000; ++i)
        assert_int_equal(atoi(w->broker.payloads[i]), i);
    assert_string_equal(w->broker.topic, "flamenco/jobs");
    assert_int_equal(w->broker.flags, 1 << 1); /* QoS 1, no duplicate, not retained */
    assert_int_equal(flamenco_plugin_query()->health(w->self, &err), FLAMENCO_OK);
    end(w, 1);
}

static void the_stop_says_good_bye_and_tells_the_metrics(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("10000", 1);
    start(w);
    publish_range(w, 0, 10);
    assert_int_equal(w->table->flush(w->self, in_us(LONG_US), &err), FLAMENCO_OK);
    assert_int_equal(flamenco_plugin_query()->stop(w->self, in_us(LONG_US), &err), FLAMENCO_OK);
    assert_true(fake_host_metric(&w->host, "queued_events") == 0);
    assert_true(fake_host_metric(&w->host, "sent_events_total") > 0);
    (void)shutdown(w->broker.fd, SHUT_RDWR);
    pthread_join(w->broker.thread, NULL);
    assert_int_equal(w->broker.good_byes, 1);
    flamenco_plugin_query()->destroy(w->self);
    fake_host_fini(&w->host);
    close(w->broker.fd);
    free(w);
}

static void without_a_broker_nobody_waits(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("20", 0);
    start(w);
    publish_range(w, 0, 50);
    wait_metric(w, "dropped_events_total", 30);
    int64_t before_us = in_us(0);
    assert_int_equal(w->table->flush(w->self, in_us(LONG_US), &err), FLAMENCO_E_DEADLINE);
    assert_true(in_us(0) - before_us < LONG_US / 2);
    assert_non_null(strstr(err.text, "20 events"));
    assert_int_equal(flamenco_plugin_query()->health(w->self, &err), FLAMENCO_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    end(w, 0);
}

static void a_broker_that_comes_late_gets_what_waits(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("20", 0);
    start(w);
    publish_range(w, 0, 50);
    wait_metric(w, "dropped_events_total", 30);
    open_broker(&w->broker);
    wait_for(&w->broker, &w->broker.n, 20);
    for (int i = 0; i < 20; ++i)
        assert_int_equal(atoi(w->broker.payloads[i]), 30 + i);
    assert_int_equal(w->table->flush(w->self, in_us(LONG_US), &err), FLAMENCO_OK);
    end(w, 1);
}

static void what_a_lost_connection_swallowed_is_sent_again(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("10000", 1);
    w->broker.mute_after = 5; /* five are confirmed, others only heard */
    w->broker.cut_after = 15;
    start(w);
    publish_range(w, 0, 100);
    wait_for(&w->broker, &w->broker.last, 99);
    for (int i = 0; i < 15; ++i)
        assert_int_equal(atoi(w->broker.payloads[i]), i);
    /* The confirmations may be lost with the connection. */
    int again = atoi(w->broker.payloads[15]);
    assert_in_range(again, 0, 5);
    for (int i = again; i < 100; ++i)
        assert_int_equal(atoi(w->broker.payloads[15 + i - again]), i);
    assert_int_equal(w->table->flush(w->self, in_us(LONG_US), &err), FLAMENCO_OK);
    end(w, 1);
}

static void a_slow_broker_does_not_hold_up_the_publisher(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("20", 1);
    w->broker.mute_after = 0;
    start(w);
    publish_range(w, 0, 1000);
    wait_metric(w, "dropped_events_total", 980);
    assert_int_equal(w->table->flush(w->self, in_us(1000), &err), FLAMENCO_E_DEADLINE);
    end(w, 1);
}

static void off_it_does_nothing(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("20", 0);
    fake_host_set(&w->host, "enabled", "false");
    start(w);
    publish_range(w, 0, 100);
    assert_int_equal(w->table->flush(w->self, in_us(0), &err), FLAMENCO_OK);
    assert_int_equal(flamenco_plugin_query()->health(w->self, &err), FLAMENCO_OK);
    end(w, 0);
}

static void wrong_settings_are_told_once(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = begin("20", 0);
    fake_host_set(&w->host, "broker", "ws://127.0.0.1:80");
    start(w);
    publish_range(w, 0, 100);
    assert_int_equal(w->host.log_lines[FLAMENCO_LOG_ERROR], 1);
    assert_non_null(strstr(w->host.last_log, "mqtt.client.broker"));
    assert_int_equal(w->table->flush(w->self, in_us(0), &err), FLAMENCO_OK);
    assert_int_equal(flamenco_plugin_query()->health(w->self, &err), FLAMENCO_E_INVALID);
    end(w, 0);
}

static void memory_may_be_exhausted_at_start(void **state)
{
    const flamenco_plugin *plugin = flamenco_plugin_query();
    int32_t rc = FLAMENCO_E_NOMEM;
    (void)state;
    for (int64_t n = 0; rc != FLAMENCO_OK; ++n) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        world *w = begin("20", 0);
        void *self = NULL;
        w->host.allocations_left = n;
        rc = plugin->create(&w->host.host, &self, &err);
        if (rc == FLAMENCO_OK)
            rc = plugin->configure(self, fake_host_config(&w->host, plugin), &err);
        if (rc == FLAMENCO_OK)
            rc = plugin->start(self, &err);
        assert_true(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOMEM);
        if (rc == FLAMENCO_OK)
            assert_int_equal(plugin->stop(self, in_us(LONG_US), &err), FLAMENCO_OK);
        plugin->destroy(self);
        fake_host_fini(&w->host);
        close(w->broker.fd);
        free(w);
        assert_true(n < 20);
    }
}

/* The last one: the thread stays where it is until the process ends, as it would in the manager. */
static void a_look_up_that_hangs_is_given_up(void **state)
{
    static world *left; /* for the leak checker: it is in use */
    const flamenco_plugin *plugin = flamenco_plugin_query();
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    world *w = left = begin("20", 0);
    lookup.hangs = 1;
    start(w);
    pthread_mutex_lock(&lookup.lock);
    while (lookup.hangs != 2)
        pthread_cond_wait(&lookup.changed, &lookup.lock);
    pthread_mutex_unlock(&lookup.lock);
    publish_range(w, 0, 10);
    assert_int_equal(w->table->flush(w->self, in_us(1000), &err), FLAMENCO_E_DEADLINE);
    assert_int_equal(plugin->health(w->self, &err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(plugin->stop(w->self, in_us(1000), &err), FLAMENCO_E_DEADLINE);
    assert_non_null(strstr(err.text, "the look-up of 127.0.0.1 hangs"));
    plugin->destroy(w->self);
    assert_true(w->host.allocations > 0);
    assert_ptr_equal(left, w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_arrive_in_order),
        cmocka_unit_test(the_stop_says_good_bye_and_tells_the_metrics),
        cmocka_unit_test(without_a_broker_nobody_waits),
        cmocka_unit_test(a_broker_that_comes_late_gets_what_waits),
        cmocka_unit_test(what_a_lost_connection_swallowed_is_sent_again),
        cmocka_unit_test(a_slow_broker_does_not_hold_up_the_publisher),
        cmocka_unit_test(off_it_does_nothing),
        cmocka_unit_test(wrong_settings_are_told_once),
        cmocka_unit_test(memory_may_be_exhausted_at_start),
        cmocka_unit_test(a_look_up_that_hangs_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
