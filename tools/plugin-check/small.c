/* SPDX-License-Identifier: Apache-2.0
 *
 * small.c - checks of services with few methods: clock, broadcaster, event forwarder, discovery, farm status, HTTP routes.
 */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "flamenco/broadcaster.h"
#include "flamenco/clock.h"
#include "flamenco/discovery.h"
#include "flamenco/event_forwarder.h"
#include "flamenco/farm_status.h"
#include "flamenco/http_routes.h"
#include "groups.h"
#include "store.h"

/* ---- Clock ----------------------------------------------------------------------------------------------------------- */

typedef struct ticking {
    const flamenco_clock *clock;
    void *self;
    uint32_t waiting, woken;
} ticking;

static ticking clock_start(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    return (ticking){ kit_table_of(i, FLAMENCO_CLOCK), i->self, 0, 0 };
}

static void watch_time(void *ctx, uint32_t index)
{
    const ticking *t = ctx;
    int64_t last = t->clock->monotonic_us(t->self);
    (void)index;
    for (int n = 0; n < 20000; ++n) {
        int64_t now = t->clock->monotonic_us(t->self);
        EXPECT(now >= last, "monotonic_us goes back by %lld", (long long)(last - now));
        last = now;
        EXPECT_TRUE(t->clock->now_us(t->self) != FLAMENCO_TIME_NONE);
    }
}

static void monotonic_time_never_goes_back(kit *k)
{
    ticking t = clock_start(k);
    kit_threads(4, watch_time, &t);
}

static void time_in_the_past_is_not_waited_for(kit *k)
{
    ticking t = clock_start(k);
    int64_t now = t.clock->monotonic_us(t.self);
    t.clock->wait_until(t.self, now);
    t.clock->wait_until(t.self, now - 1000000);
    t.clock->wait_until(t.self, INT64_MIN);
}

static void wait_or_wake(void *ctx, uint32_t index)
{
    ticking *t = ctx;
    if (index == 0) {
        __atomic_store_n(&t->waiting, 1, __ATOMIC_RELEASE);
        /* May return early for no reason: so it is asked again until somebody says that it is time. */
        while (!__atomic_load_n(&t->woken, __ATOMIC_ACQUIRE))
            t->clock->wait_until(t->self, INT64_MAX);
        return;
    }
    while (!__atomic_load_n(&t->waiting, __ATOMIC_ACQUIRE))
        (void)usleep(1000);
    (void)usleep(20000); /* most likely it waits by now; if not, the next check looks at that */
    __atomic_store_n(&t->woken, 1, __ATOMIC_RELEASE);
    t->clock->interrupt(t->self);
}

static void an_interrupt_ends_a_wait(kit *k)
{
    ticking t = clock_start(k);
    kit_threads(2, wait_or_wake, &t);
    t.clock->interrupt(t.self); /* nobody waits: the next one ends at once */
    t.clock->wait_until(t.self, INT64_MAX);
}

/* ---- Broadcaster, event forwarder ------------------------------------------------------------------------------------ */

/* Both have the same methods at the same places. */
static const flamenco_event_forwarder *sender_start(kit *k, void **self)
{
    kit_instance *i = kit_start_subject(k);
    *self = i->self;
    const void *table = kit_table_of(i, k->check->service);
    return table;
}

static void publish(kit *k, const flamenco_event_forwarder *sender, void *self, uint64_t seq)
{
    char payload[64];
    snprintf(payload, sizeof(payload), "{\"id\":\"x\",\"n\":%llu}", (unsigned long long)seq);
    flamenco_event e = kit_event_make(k, seq, "/jobs/0b7c0000-0000-4000-8000-000000000001", payload);
    e.kind = (uint32_t)(seq % (FLAMENCO_EVENT_WORKER_TAG + 1));
    sender->publish(self, &e);
    flamenco_buf *buf = e.buf;
    memset(&e, 0xDB, sizeof(e)); /* it was borrowed */
    kit_buf_unref(buf);
}

static void references_are_given_back(kit *k)
{
    void *self;
    flamenco_error err = kit_error();
    const flamenco_event_forwarder *sender = sender_start(k, &self);
    for (uint64_t n = 1; n <= 500; ++n)
        publish(k, sender, self, n);
    int32_t rc = sender->flush(self, k->instances[0]->host.monotonic_us(k->instances[0]) + KIT_SECOND, &err);
    EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_DEADLINE, "flush gives %s: %s", kit_code_name(rc), err.text);
    kit_end_all(k);
    EXPECT(k->buffers == 0, "%llu events are still held after destroy", (unsigned long long)k->buffers);
}

static void events_never_pile_up_for_ever(kit *k)
{
    void *self;
    flamenco_error err = kit_error();
    const flamenco_event_forwarder *sender = sender_start(k, &self);
    /* More than any queue should hold; whoever waits for a receiver here never comes back. */
    for (uint64_t n = 1; n <= 200000; ++n)
        publish(k, sender, self, n);
    EXPECT(k->buffers < 200000, "it holds every one of 200,000 events: its queue has no end");
    int32_t rc = sender->flush(self, k->instances[0]->host.monotonic_us(k->instances[0]) - 1, &err);
    EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_DEADLINE, "flush gives %s: %s", kit_code_name(rc), err.text);
    kit_end_all(k);
}

static void flush_of_nothing_succeeds(kit *k)
{
    void *self;
    flamenco_error err = kit_error();
    const flamenco_event_forwarder *sender = sender_start(k, &self);
    EXPECT_CODE(sender->flush(self, k->instances[0]->host.monotonic_us(k->instances[0]) + KIT_SECOND, &err),
                FLAMENCO_OK, &err);
    kit_end_all(k);
}

/* ---- Discovery ------------------------------------------------------------------------------------------------------- */

static void urls_are_announced_changed_and_withdrawn(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    const flamenco_discovery *d = kit_table_of(i, FLAMENCO_DISCOVERY);
    const flamenco_str urls[] = { flamenco_text("http://192.168.0.3:8080/"), flamenco_text("http://[fe80::1]:8080/") };
    flamenco_error err = kit_error();
    for (uint64_t n = 0; n <= 2; ++n) {
        int32_t rc = d->announce(i->self, urls, n, &err);
        /* A machine without a network that it can use is not the plugin's fault. */
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_UNAVAILABLE || rc == FLAMENCO_E_IO, "announce gives %s: %s",
               kit_code_name(rc), err.text);
    }
    d->withdraw(i->self);
    d->withdraw(i->self);
    (void)d->announce(i->self, urls, 1, &err);
    kit_end_all(k);
}

/* ---- Farm status ----------------------------------------------------------------------------------------------------- */

static void status_is_always_one(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    const flamenco_farm_status *farm = kit_table_of(i, FLAMENCO_FARM_STATUS);
    kit_store *s = store_beside(k);
    for (int n = 0; n < 10; ++n) {
        EXPECT_TRUE(farm->current(i->self) <= FLAMENCO_FARM_UNKNOWN);
        kit_set_now(k, k->now_us + 30 * KIT_SECOND);
        (void)kit_run_steps(k);
    }
    uint32_t status = farm->current(i->self);
    EXPECT(status != FLAMENCO_FARM_STARTING && status != FLAMENCO_FARM_ACTIVE,
           "a farm without jobs and workers has the status %u after five minutes", status);
    store_close(s);
    kit_end_all(k);
}

/* ---- HTTP routes ----------------------------------------------------------------------------------------------------- */

/* Lives until the process ends: an answer may come from another thread, later. */
typedef struct answer {
    uint32_t calls, status; /* atomic */
    uint32_t postponed;
} answer;

static int32_t reply_header(void *r, const char *name, flamenco_str value)
{
    (void)r;
    return name == NULL || (value.len > 0 && memchr(value.ptr, '\n', (size_t)value.len) != NULL) ? FLAMENCO_E_INVALID
                                                                                                 : FLAMENCO_OK;
}

static int32_t reply_bytes(void *r, uint32_t status, const char *content_type, flamenco_str body)
{
    (void)content_type;
    (void)body;
    answer *a = r;
    __atomic_store_n(&a->status, status, __ATOMIC_RELAXED);
    uint32_t calls = __atomic_add_fetch(&a->calls, 1, __ATOMIC_ACQ_REL);
    EXPECT(calls == 1, "a request is answered %u times", calls);
    EXPECT(status >= 200 && status <= 599, "a request is answered with status %u", status);
    return FLAMENCO_OK;
}

static int32_t reply_shared(void *r, uint32_t status, const char *content_type, flamenco_buf *body)
{
    kit_buf_unref(body);
    return reply_bytes(r, status, content_type, flamenco_text(""));
}

static int32_t reply_file(void *r, uint32_t status, const char *content_type, int32_t fd, uint64_t offset,
                          uint64_t length)
{
    (void)offset;
    (void)length;
    EXPECT(close(fd) == 0, "a reply names a descriptor that is not open");
    return reply_bytes(r, status, content_type, flamenco_text(""));
}

static int32_t reply_websocket(void *r, const flamenco_ws_handler *handler, void *ctx)
{
    (void)r;
    (void)handler;
    (void)ctx;
    return FLAMENCO_E_CONFLICT; /* no request of these checks is a handshake */
}

static int32_t reply_later(void *r, flamenco_http_later **out)
{
    ((answer *)r)->postponed = 1;
    *out = r;
    return FLAMENCO_OK;
}

static void later_bytes(flamenco_http_later *later, uint32_t status, const char *content_type, flamenco_str body)
{
    (void)reply_bytes(later, status, content_type, body);
}

static int32_t send_nothing(flamenco_ws *ws, flamenco_buf *text)
{
    (void)ws;
    (void)text;
    return FLAMENCO_E_CANCELLED;
}

static uint32_t send_nothing_to_all(flamenco_ws *const *ws, uint32_t n_ws, flamenco_buf *const *texts, uint32_t n_texts)
{
    (void)ws;
    (void)n_ws;
    (void)texts;
    (void)n_texts;
    return 0;
}

static void close_nothing(flamenco_ws *ws, uint32_t code)
{
    (void)ws;
    (void)code;
}

static flamenco_str no_header(const void *r, const char *name)
{
    (void)r;
    (void)name;
    return flamenco_text(NULL);
}

static void ask(kit_instance *i, const flamenco_http_routes *table, const char *method, const char *path)
{
    answer *got = calloc(1, sizeof(*got));
    flamenco_error err = kit_error();
    kit_cx *cx = kit_cx_make(i);
    EXPECT(got != NULL, "the check's memory is exhausted");
    flamenco_http_request request = { .struct_size = (uint32_t)sizeof(request),
                                      .method = flamenco_text(method),
                                      .path = flamenco_text(path),
                                      .query = flamenco_text(""),
                                      .body = flamenco_text(""),
                                      .remote_address = flamenco_text("127.0.0.1"),
                                      .r = got,
                                      .header = no_header };
    flamenco_http_reply reply = { .struct_size = (uint32_t)sizeof(reply),
                                  .r = got,
                                  .header = reply_header,
                                  .bytes = reply_bytes,
                                  .shared = reply_shared,
                                  .file = reply_file,
                                  .websocket = reply_websocket,
                                  .ws_send = send_nothing,
                                  .ws_close = close_nothing,
                                  .later = reply_later,
                                  .later_bytes = later_bytes,
                                  .ws_send_all = send_nothing_to_all };
    int32_t rc = table->handle(i->self, &cx->cx, &request, &reply, &err);
    EXPECT(kit_is_code(rc), "%s %s gives %d, which is no code", method, path, (int)rc);
    EXPECT(rc != FLAMENCO_OK || got->postponed || __atomic_load_n(&got->calls, __ATOMIC_ACQUIRE) == 1,
           "%s %s is not answered", method, path);
    EXPECT(rc == FLAMENCO_OK || !got->postponed, "%s %s fails, though its answer is to come later", method, path);
    kit_cx_end(cx);
}

static int is_the_cores(const char *prefix)
{
    static const char *const own[] = { "/api/", "/job-files/", "/health/", "/metrics" };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); ++i) {
        if (strncmp(prefix, own[i], strlen(own[i])) == 0)
            return strcmp(prefix, "/api/v3/swagger-ui/") != 0;
    }
    return 0;
}

static void routes_are_well_formed(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    const flamenco_http_routes *table = kit_table_of(i, FLAMENCO_HTTP_ROUTES);
    const flamenco_http_route *const *r = table->routes(i->self);
    EXPECT(r != NULL, "routes gives NULL");
    EXPECT(table->routes(i->self) == r, "the routes are not static");
    for (size_t n = 0; r[n] != NULL; ++n) {
        EXPECT(r[n]->struct_size >= sizeof(**r) && r[n]->method != NULL && r[n]->prefix != NULL,
               "route %zu is incomplete", n);
        for (const char *c = r[n]->method; *c != '\0'; ++c)
            EXPECT((strcmp(r[n]->method, "*") == 0 || isupper((unsigned char)*c)) && strcmp(r[n]->method, "HEAD") != 0,
                   "a route has the method \"%s\"", r[n]->method);
        EXPECT(r[n]->prefix[0] == '/' && !is_the_cores(r[n]->prefix), "a route has the prefix \"%s\"", r[n]->prefix);
        for (size_t other = 0; other < n; ++other)
            EXPECT(strcmp(r[other]->method, r[n]->method) != 0 || strcmp(r[other]->prefix, r[n]->prefix) != 0,
                   "the route %s %s is there twice", r[n]->method, r[n]->prefix);
    }
    if (FLAMENCO_HAS(table, addon_version)) {
        flamenco_str version = table->addon_version(i->self);
        EXPECT(version.len == 0 || isdigit((unsigned char)version.ptr[0]), "the add-on's version is \"%.*s\"",
               (int)version.len, version.ptr);
    }
    kit_end_all(k);
}

static void requests_are_answered_once(kit *k)
{
    kit_instance *i = kit_start_subject(k);
    const flamenco_http_routes *table = kit_table_of(i, FLAMENCO_HTTP_ROUTES);
    const flamenco_http_route *const *r = table->routes(i->self);
    for (size_t n = 0; r[n] != NULL; ++n) {
        static const char *const below[] = {
            "", "missing", "a/b/c", "../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "%00", "%"
        };
        const char *method = strcmp(r[n]->method, "*") == 0 ? "GET" : r[n]->method;
        for (size_t b = 0; b < sizeof(below) / sizeof(below[0]); ++b) {
            char path[512];
            if (b > 0 && r[n]->prefix[strlen(r[n]->prefix) - 1] != '/')
                break;
            snprintf(path, sizeof(path), "%s%s", r[n]->prefix, below[b]);
            ask(i, table, method, path);
        }
    }
    kit_end_all(k);
    EXPECT_INT(k->buffers, 0);
}

// clang-format off
static const kit_check checks[] = {
    { "clock.monotonic", FLAMENCO_CLOCK, monotonic_time_never_goes_back,
      "monotonic_us never goes back, on any thread", "clock.h: monotonic_us" },
    { "clock.past", FLAMENCO_CLOCK, time_in_the_past_is_not_waited_for,
      "wait_until returns at once for a time that has passed", "clock.h: wait_until" },
    { "clock.interrupt", FLAMENCO_CLOCK, an_interrupt_ends_a_wait,
      "interrupt ends the running wait, or the next one", "clock.h: interrupt" },
    { "broadcaster.references", FLAMENCO_BROADCASTER, references_are_given_back,
      "events are kept by references, and all of them are given back", "broadcaster.h: publish" },
    { "broadcaster.no-waiting", FLAMENCO_BROADCASTER, events_never_pile_up_for_ever,
      "publish never waits, and what waits inside is bounded", "broadcaster.h: publish" },
    { "broadcaster.flush", FLAMENCO_BROADCASTER, flush_of_nothing_succeeds,
      "flush succeeds when there is nothing to wait for", "broadcaster.h: flush" },
    { "event_forwarder.references", FLAMENCO_EVENT_FORWARDER, references_are_given_back,
      "events are kept by references, and all of them are given back", "event_forwarder.h: publish" },
    { "event_forwarder.no-waiting", FLAMENCO_EVENT_FORWARDER, events_never_pile_up_for_ever,
      "publish never waits, and what waits inside is bounded", "event_forwarder.h: publish" },
    { "event_forwarder.flush", FLAMENCO_EVENT_FORWARDER, flush_of_nothing_succeeds,
      "flush succeeds when there is nothing to wait for", "event_forwarder.h: flush" },
    { "discovery.announce", FLAMENCO_DISCOVERY, urls_are_announced_changed_and_withdrawn,
      "URLs are announced, changed, withdrawn and announced again", "discovery.h: announce, withdraw" },
    { "farm_status.current", FLAMENCO_FARM_STATUS, status_is_always_one,
      "current is one of the list at any time, and comes to say something", "farm_status.h: current" },
    { "http_routes.routes", FLAMENCO_HTTP_ROUTES, routes_are_well_formed,
      "routes are static, each once, and none is the core's", "http_routes.h: routes" },
    { "http_routes.handle", FLAMENCO_HTTP_ROUTES, requests_are_answered_once,
      "each request is answered exactly once or fails with a code, also one that wants to leave its folder",
      "http_routes.h: handle" },
};
// clang-format on

const kit_group small_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
