/* SPDX-License-Identifier: Apache-2.0
 *
 * clock_manual.c - the service "flamenco.clock/1" for tests: the system's clocks plus a shift that is changed by
 * POST /test/clock (README.md). Never loaded unless the configuration names it.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <jansson.h>

#include "flamenco/clock.h"
#include "flamenco/http_routes.h"
#include "time_text.h"

/* A pair of readings, µs. */
typedef struct reading {
    int64_t wall, mono;
} reading;

typedef struct clock_manual {
    const flamenco_host *host;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* measured by CLOCK_MONOTONIC */
    /* The rest is under lock. */
    reading shift; /* added to the system's clocks, or to frozen_at */
    int frozen;
    reading frozen_at; /* what the system's clocks said when this one was frozen */
    int interrupted;
} clock_manual;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static reading read_system(void)
{
    return (reading){ read_clock(CLOCK_REALTIME), read_clock(CLOCK_MONOTONIC) };
}

static reading read_locked(const clock_manual *clock)
{
    reading r = clock->frozen ? clock->frozen_at : read_system();
    r.wall += clock->shift.wall;
    r.mono += clock->shift.mono;
    return r;
}

static reading read_now(clock_manual *clock)
{
    pthread_mutex_lock(&clock->lock);
    reading r = read_locked(clock);
    pthread_mutex_unlock(&clock->lock);
    return r;
}

static int64_t now_us(void *self)
{
    return read_now(self).wall;
}

static int64_t monotonic_us(void *self)
{
    return read_now(self).mono;
}

/* Each change of the clock wakes the waiting thread, which looks again. */
static void wait_until(void *self, int64_t until_us)
{
    clock_manual *clock = self;
    pthread_mutex_lock(&clock->lock);
    while (!clock->interrupted && read_locked(clock).mono < until_us) {
        if (clock->frozen || until_us == INT64_MAX) {
            pthread_cond_wait(&clock->wake, &clock->lock);
            continue;
        }
        /* Above 0: it is later than the system's own clock says. */
        int64_t system_us = until_us - clock->shift.mono;
        struct timespec until = { (time_t)(system_us / 1000000), (long)(system_us % 1000000) * 1000 };
        (void)pthread_cond_timedwait(&clock->wake, &clock->lock, &until);
    }
    clock->interrupted = 0;
    pthread_mutex_unlock(&clock->lock);
}

static void interrupt(void *self)
{
    clock_manual *clock = self;
    pthread_mutex_lock(&clock->lock);
    clock->interrupted = 1;
    pthread_cond_broadcast(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
}

/* ---- Moving it ------------------------------------------------------------------------------------------------- */

static void freeze(clock_manual *clock, int frozen)
{
    if (frozen == clock->frozen)
        return;
    reading system = read_system();
    if (frozen) {
        clock->frozen_at = system;
    } else {
        /* Goes on from where it stood. */
        clock->shift.wall += clock->frozen_at.wall - system.wall;
        clock->shift.mono += clock->frozen_at.mono - system.mono;
    }
    clock->frozen = frozen;
}

static void advance(clock_manual *clock, int64_t by_us)
{
    clock->shift.wall += by_us;
    clock->shift.mono += by_us;
}

static void set(clock_manual *clock, int64_t to_us)
{
    int64_t by_us = to_us - read_locked(clock).wall;
    clock->shift.wall += by_us;
    if (by_us > 0)
        clock->shift.mono += by_us;
}

/* What a request asks for. */
typedef struct change {
    int has_frozen, frozen, has_set, has_advance;
    int64_t set_us, advance_us;
} change;

/* Returns NULL, or what is wrong with the body. */
static const char *read_change(flamenco_str body, change *out)
{
    static const char usage[] =
        "expected {\"advance\":\"5m\"}, {\"set\":\"2026-03-04T05:06:07Z\"} or {\"frozen\":true}";
    const char *problem = usage, *key;
    json_t *value;
    memset(out, 0, sizeof(*out));
    json_t *root = json_loadb(body.len > 0 ? body.ptr : "", (size_t)body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root) || json_object_size(root) == 0)
        goto cleanup;
    json_object_foreach(root, key, value)
    {
        const char *text = json_is_string(value) ? json_string_value(value) : "";
        if (strcmp(key, "frozen") == 0 && json_is_boolean(value)) {
            out->has_frozen = 1;
            out->frozen = json_is_true(value);
        } else if (strcmp(key, "set") == 0 && fl_clock_read_time(text, &out->set_us)) {
            out->has_set = 1;
        } else if (strcmp(key, "advance") == 0 && fl_clock_read_duration(text, &out->advance_us)) {
            out->has_advance = 1;
        } else {
            goto cleanup;
        }
    }
    problem = NULL;
cleanup:
    json_decref(root);
    return problem;
}

static void apply(clock_manual *clock, const change *what)
{
    pthread_mutex_lock(&clock->lock);
    if (what->has_frozen)
        freeze(clock, what->frozen);
    if (what->has_set)
        set(clock, what->set_us);
    if (what->has_advance)
        advance(clock, what->advance_us);
    pthread_cond_broadcast(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
}

static int32_t answer(clock_manual *clock, flamenco_http_reply *reply)
{
    char when[48], text[256];
    pthread_mutex_lock(&clock->lock);
    reading now = read_locked(clock);
    int frozen = clock->frozen;
    pthread_mutex_unlock(&clock->lock);
    fl_clock_write_time(now.wall, when, sizeof(when));
    snprintf(text, sizeof(text), "{\"now\":\"%s\",\"now_us\":%lld,\"monotonic_us\":%lld,\"frozen\":%s}\n", when,
             (long long)now.wall, (long long)now.mono, frozen ? "true" : "false");
    return reply->bytes(reply->r, 200, "application/json", flamenco_text(text));
}

static int32_t handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                      flamenco_error *err)
{
    clock_manual *clock = self;
    (void)cx;
    int32_t rc;
    if (flamenco_str_equal(request->method, flamenco_text("POST"))) {
        change what;
        const char *problem = read_change(request->body, &what);
        if (problem != NULL) {
            json_t *root = json_pack("{s:i,s:s}", "code", 400, "message", problem);
            char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
            json_decref(root);
            if (text == NULL)
                return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
            rc = reply->bytes(reply->r, 400, "application/json", flamenco_text(text));
            free(text);
            return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
        }
        apply(clock, &what);
    }
    rc = answer(clock, reply);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
}

static const flamenco_http_route get_route = { (uint32_t)sizeof(flamenco_http_route), 0, "GET", "/test/clock" };
static const flamenco_http_route post_route = { (uint32_t)sizeof(flamenco_http_route), 0, "POST", "/test/clock" };

static const flamenco_http_route *const *routes(void *self)
{
    static const flamenco_http_route *const list[] = { &get_route, &post_route, NULL };
    (void)self;
    return list;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static int make_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    if (rc != 0)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rc;
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    clock_manual *clock = host->alloc(host->h, sizeof(*clock));
    if (clock == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(clock, 0, sizeof(*clock));
    clock->host = host;
    if (pthread_mutex_init(&clock->lock, NULL) != 0) {
        host->free(host->h, clock);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    if (make_condition(&clock->wake) != 0) {
        pthread_mutex_destroy(&clock->lock);
        host->free(host->h, clock);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no condition variable to be had");
    }
    *self_out = clock;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    clock_manual *clock = self;
    flamenco_str text = config->text(config->c, "start");
    char start_text[64];
    int64_t start_us = 0;
    if (text.len > 0) {
        if (text.len >= sizeof(start_text))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "start: not a time");
        memcpy(start_text, text.ptr, (size_t)text.len);
        start_text[text.len] = '\0';
        if (!fl_clock_read_time(start_text, &start_us))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "start: \"%s\" is not a time like 2026-03-04T05:06:07Z",
                                 start_text);
    }
    change what = { .has_frozen = 1, .has_set = text.len > 0, .set_us = start_us };
    what.frozen = config->integer(config->c, "frozen") != 0;
    apply(clock, &what);
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    clock_manual *clock = self;
    (void)err;
    clock->host->log(clock->host->h, FLAMENCO_LOG_WARN,
                     "this clock is moved by anybody who can reach /test/clock: for tests only");
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    interrupt(self);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    clock_manual *clock = self;
    if (clock == NULL)
        return;
    pthread_cond_destroy(&clock->wake);
    pthread_mutex_destroy(&clock->lock);
    clock->host->free(clock->host->h, clock);
}

static const flamenco_clock clock_table = {
    .struct_size = (uint32_t)sizeof(flamenco_clock),
    .now_us = now_us,
    .monotonic_us = monotonic_us,
    .wait_until = wait_until,
    .interrupt = interrupt,
};
static const flamenco_http_routes routes_table = {
    .struct_size = (uint32_t)sizeof(flamenco_http_routes),
    .routes = routes,
    .handle = handle,
};

static const flamenco_provide clock_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_CLOCK, &clock_table };
static const flamenco_provide routes_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_HTTP_ROUTES,
                                                 &routes_table };
static const flamenco_provide *const provides[] = { &clock_provide, &routes_provide, NULL };

static const flamenco_setting start_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_TEXT,
    .key = "start",
    .doc = "Time of day at the start, in RFC 3339; empty: the system's.",
};
static const flamenco_setting frozen_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_BOOL,
    .key = "frozen",
    .default_text = "false",
    .doc = "Whether time stands still between the moves by hand.",
};
static const flamenco_setting *const settings[] = { &start_setting, &frozen_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "clock-manual", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
