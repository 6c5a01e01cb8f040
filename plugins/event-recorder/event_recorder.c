/* SPDX-License-Identifier: Apache-2.0
 *
 * event_recorder.c - the services "flamenco.broadcaster/1" and "flamenco.event_forwarder/1" for tests: remembers events, and gives them to who asks at
 * /test/events (README.md). Never loaded unless the configuration names it.
 */
#include <stdlib.h>

#include <jansson.h>

#include "event_list.h"
#include "flamenco/broadcaster.h"
#include "flamenco/event_forwarder.h"
#include "flamenco/http_routes.h"

#define WAIT_MAX_MS 60000u

typedef struct recorder {
    const flamenco_host *host;
    event_list list;
} recorder;

/* ---- Broadcaster ------------------------------------------------------------------------------------------------- */

static void publish(void *self, const flamenco_event *event)
{
    recorder *r = self;
    fl_event_list_add(&r->list, event);
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK; /* what was published can be read at once */
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

/* Finds a number among the query's parameters; leaves *out alone when it is not there. Returns 0 for anything but digits. */
static int read_number(flamenco_str query, const char *name, uint64_t *out)
{
    size_t name_len = strlen(name);
    const char *at = query.ptr, *end = query.ptr + query.len;
    while (at != NULL && at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;
        if ((size_t)(stop - at) > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=') {
            uint64_t value = 0;
            const char *digit = at + name_len + 1;
            if (digit == stop || stop - digit > 18)
                return 0;
            for (; digit < stop; ++digit) {
                if (*digit < '0' || *digit > '9')
                    return 0;
                value = value * 10 + (uint64_t)(*digit - '0');
            }
            *out = value;
            return 1;
        }
        at = amp != NULL ? amp + 1 : NULL;
    }
    return 1;
}

static const char *kind_text(uint32_t kind)
{
    static const char *const texts[] = { "lifecycle", "farm_status",   "job",    "task",
                                         "task_log",  "last_rendered", "worker", "worker_tag" };
    return kind < sizeof(texts) / sizeof(texts[0]) ? texts[kind] : "unknown";
}

/* {"seq":…,"kind":…,"topic":…,"name":…,"payload":…}. The payload is not parsed, so that a test sees what was sent. */
static int write_event(FILE *out, const flamenco_event *event)
{
    json_t *head =
        json_pack("{s:I,s:s,s:s%,s:s%}", "seq", (json_int_t)event->seq, "kind", kind_text(event->kind), "topic",
                  event->topic.ptr, (size_t)event->topic.len, "name", event->name.ptr, (size_t)event->name.len);
    char *text = head != NULL ? json_dumps(head, JSON_COMPACT) : NULL;
    json_decref(head);
    if (text == NULL)
        return 0;
    size_t len = strlen(text) - 1; /* the closing brace comes later */
    int ok = fwrite(text, 1, len, out) == len && fputs(",\"payload\":", out) >= 0;
    free(text);
    ok = ok && fwrite(event->payload.ptr, 1, (size_t)event->payload.len, out) == (size_t)event->payload.len;
    return ok && fputc('}', out) != EOF;
}

/* The list as text, which the caller frees; NULL when memory is exhausted. */
static char *write_list(const flamenco_event *events, size_t count, size_t *len_out)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len_out);
    if (out == NULL)
        return NULL;
    int ok = fputc('[', out) != EOF;
    for (size_t i = 0; ok && i < count; ++i)
        ok = (i == 0 || fputc(',', out) != EOF) && write_event(out, &events[i]);
    ok = ok && fputs("]\n", out) >= 0;
    if (fclose(out) != 0 || !ok) {
        free(text);
        return NULL;
    }
    return text;
}

static int32_t list_events(recorder *r, flamenco_cx *cx, const flamenco_http_request *request,
                           flamenco_http_reply *reply, flamenco_error *err)
{
    static const char usage[] = "{\"code\":400,\"message\":\"after, newest and wait_ms must be numbers\"}\n";
    uint64_t after = 0, newest = UINT64_MAX, wait_ms = 0;
    if (!read_number(request->query, "after", &after) || !read_number(request->query, "newest", &newest) ||
        !read_number(request->query, "wait_ms", &wait_ms))
        return reply->bytes(reply->r, 400, "application/json", flamenco_text(usage));
    if (wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    int64_t until_us = r->host->monotonic_us(r->host->h) + (int64_t)wait_ms * 1000;
    if (cx->deadline_us > 0 && until_us > cx->deadline_us)
        until_us = cx->deadline_us;
    flamenco_event *events;
    size_t count, len = 0;
    int32_t rc = fl_event_list_read(&r->list, after, newest, until_us, &events, &count, err);
    if (rc != FLAMENCO_OK)
        return rc;
    char *text = write_list(events, count, &len);
    fl_event_list_release(&r->list, events, count);
    if (text == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    rc = reply->bytes(reply->r, 200, "application/json", (flamenco_str){ text, len });
    free(text);
    return rc;
}

static int32_t handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                      flamenco_error *err)
{
    recorder *r = self;
    int32_t rc;
    if (flamenco_str_equal(request->method, flamenco_text("DELETE"))) {
        fl_event_list_clear(&r->list);
        rc = reply->bytes(reply->r, 204, NULL, (flamenco_str){ NULL, 0 });
    } else {
        rc = list_events(r, cx, request, reply, err);
    }
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
}

static const flamenco_http_route get_route = { (uint32_t)sizeof(flamenco_http_route), 0, "GET", "/test/events" };
static const flamenco_http_route delete_route = { (uint32_t)sizeof(flamenco_http_route), 0, "DELETE", "/test/events" };

static const flamenco_http_route *const *routes(void *self)
{
    static const flamenco_http_route *const list[] = { &get_route, &delete_route, NULL };
    (void)self;
    return list;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    recorder *r = host->alloc(host->h, sizeof(*r));
    if (r == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(r, 0, sizeof(*r));
    r->host = host;
    *self_out = r;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    recorder *r = self;
    return fl_event_list_init(&r->list, r->host, (size_t)config->integer(config->c, "events"), err);
}

static int32_t start(void *self, flamenco_error *err)
{
    recorder *r = self;
    (void)err;
    r->host->log(r->host->h, FLAMENCO_LOG_WARN, "everything that happens can be read at /test/events: for tests only");
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    recorder *r = self;
    (void)deadline_us;
    (void)err;
    fl_event_list_close(&r->list);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    recorder *r = self;
    if (r == NULL)
        return;
    fl_event_list_fini(&r->list);
    r->host->free(r->host->h, r);
}

static const flamenco_broadcaster broadcaster_table = {
    .struct_size = (uint32_t)sizeof(flamenco_broadcaster),
    .publish = publish,
    .flush = flush,
};
static const flamenco_event_forwarder forwarder_table = {
    .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
    .publish = publish,
    .flush = flush,
};
static const flamenco_http_routes routes_table = {
    .struct_size = (uint32_t)sizeof(flamenco_http_routes),
    .routes = routes,
    .handle = handle,
};

static const flamenco_provide broadcaster_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_BROADCASTER,
                                                      &broadcaster_table };
static const flamenco_provide routes_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_HTTP_ROUTES,
                                                 &routes_table };
static const flamenco_provide forwarder_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_EVENT_FORWARDER,
                                                    &forwarder_table };
static const flamenco_provide *const provides[] = { &broadcaster_provide, &forwarder_provide, &routes_provide, NULL };

static const flamenco_setting events_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "events",
    .default_text = "100000",
    .min = 1,
    .max = 10000000,
    .unit = "events",
    .doc = "How many events are remembered.",
};
static const flamenco_setting *const settings[] = { &events_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "event-recorder", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings,   .create = create,   .configure = configure,
    .start = start,       .stop = stop,           .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
