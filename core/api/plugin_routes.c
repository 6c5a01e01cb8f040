/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin_routes.c - turns a request into what a plugin sees of it, and what the plugin answers into a reply.
 */
#include "core/api/plugin_routes.h"

#include <unistd.h>

#include "core/api/dispatch.h"
#include "core/base/log.h"
#include "core/base/str.h"

#define OWN_PREFIXES "/api/", "/job-files/", "/health/", "/metrics"
#define OPEN_PREFIX "/api/v3/swagger-ui/" /* in the manager's part of the paths, and a plugin's all the same */

/* Nearly every request is of the API, where a plugin has one prefix only (check_own): no need to ask each route. */
static int is_own_api(flamenco_str path)
{
    return fl_str_starts(path, "/api/") && !fl_str_starts(path, OPEN_PREFIX);
}

static int fits_path(const flamenco_http_route *route, flamenco_str path)
{
    size_t len = strlen(route->prefix);
    if (!fl_str_starts(path, route->prefix))
        return 0;
    return path.len == len || (len > 1 && route->prefix[len - 1] == '/');
}

static int fits(const flamenco_http_route *route, flamenco_str method, flamenco_str path)
{
    int fits_method = strcmp(route->method, "*") == 0 || fl_str_is(method, route->method) ||
                      (fl_str_is(method, "HEAD") && strcmp(route->method, "GET") == 0);
    return fits_method && fits_path(route, path);
}

const flamenco_http_routes_ref *fl_plugin_routes_find(const struct flamenco *f, flamenco_str method, flamenco_str path)
{
    const flamenco_http_routes_ref *best = NULL;
    size_t best_len = 0;
    if (is_own_api(path))
        return NULL;
    for (size_t i = 0; i < f->n_routes; ++i) {
        const flamenco_http_route *const *list = flamenco_http_routes_routes(&f->routes[i]);
        for (; list != NULL && *list != NULL; ++list) {
            size_t len = strlen((*list)->prefix);
            if (len >= best_len && fits(*list, method, path)) {
                best = &f->routes[i];
                best_len = len;
            }
        }
    }
    return best;
}

const char *fl_plugin_routes_allow(const struct flamenco *f, flamenco_str path, fl_arena *arena)
{
    flamenco_str allow = { NULL, 0 };
    if (is_own_api(path))
        return NULL;
    for (size_t i = 0; i < f->n_routes; ++i) {
        const flamenco_http_route *const *list = flamenco_http_routes_routes(&f->routes[i]);
        for (; list != NULL && *list != NULL; ++list) {
            if (fits_path(*list, path))
                allow = fl_arena_printf(arena, "%.*s, %s", (int)(allow.ptr != NULL ? allow.len : 7),
                                        allow.ptr != NULL ? allow.ptr : "OPTIONS", (*list)->method);
        }
    }
    return allow.ptr;
}

static int32_t check_own(const flamenco_http_route *route, flamenco_error *err)
{
    static const char *const own[] = { OWN_PREFIXES };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); ++i) {
        if (fl_str_starts(flamenco_text(route->prefix), own[i]) && strcmp(route->prefix, OPEN_PREFIX) != 0)
            return flamenco_fail(err, FLAMENCO_E_CONFLICT,
                                 "http_routes: a plugin wants to serve %s, which is the manager's", route->prefix);
    }
    return FLAMENCO_OK;
}

int32_t fl_dispatch_check_routes(const struct flamenco *f, flamenco_error *err)
{
    for (size_t i = 0; i < f->n_routes; ++i) {
        const flamenco_http_route *const *a = flamenco_http_routes_routes(&f->routes[i]);
        for (; a != NULL && *a != NULL; ++a) {
            int32_t rc = check_own(*a, err);
            if (rc != FLAMENCO_OK)
                return rc;
            for (size_t j = 0; j < i; ++j) {
                const flamenco_http_route *const *b = flamenco_http_routes_routes(&f->routes[j]);
                for (; b != NULL && *b != NULL; ++b) {
                    if (strcmp((*a)->prefix, (*b)->prefix) == 0 && strcmp((*a)->method, (*b)->method) == 0)
                        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "http_routes: two plugins want to serve %s %s",
                                             (*a)->method, (*a)->prefix);
                }
            }
        }
    }
    return FLAMENCO_OK;
}

/* ---- One request --------------------------------------------------------------------------------------------------- */

typedef struct exchange {
    fl_cx *cx;
    fl_http_request *http;
    fl_reply *reply;
    int answered; /* the reply is filled, or the outcome */
    int is_websocket;
    flamenco_http_later *later;
    fl_plugin_outcome *outcome;
} exchange;

static flamenco_str get_header(const void *r, const char *name)
{
    flamenco_str value = { NULL, 0 };
    const exchange *x = r;
    (void)fl_http_request_header(x->http, name, 0, &value);
    return value;
}

static int32_t add_header(void *r, const char *name, flamenco_str value)
{
    exchange *x = r;
    flamenco_str kept = fl_arena_copy(x->cx->arena, flamenco_text(name));
    for (uint64_t i = 0; i < value.len; ++i) {
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
            return FLAMENCO_E_INVALID;
    }
    if (kept.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    fl_reply_header_add(x->reply, kept.ptr, value);
    return FLAMENCO_OK;
}

static int32_t answer_bytes(void *r, uint32_t status, const char *content_type, flamenco_str body)
{
    exchange *x = r;
    if (x->answered)
        return FLAMENCO_E_CONFLICT;
    x->answered = 1;
    x->reply->status = (int32_t)status;
    if (content_type != NULL) {
        flamenco_str type = fl_arena_copy(x->cx->arena, flamenco_text(content_type));
        if (type.ptr == NULL)
            return FLAMENCO_E_NOMEM;
        x->reply->content_type = type.ptr;
        fl_buf_add_str(&x->reply->body, body);
    }
    return x->reply->body.failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

static int32_t answer_shared(void *r, uint32_t status, const char *content_type, flamenco_buf *body)
{
    int32_t rc = answer_bytes(r, status, content_type, body != NULL ? fl_shared_str(body) : (flamenco_str){ NULL, 0 });
    fl_shared_unref(body);
    return rc;
}

static int32_t answer_file(void *r, uint32_t status, const char *content_type, int32_t fd, uint64_t offset,
                           uint64_t length)
{
    exchange *x = r;
    if (x->answered) {
        close(fd);
        return FLAMENCO_E_CONFLICT;
    }
    flamenco_str type = { NULL, 0 };
    if (content_type != NULL && (type = fl_arena_copy(x->cx->arena, flamenco_text(content_type))).ptr == NULL) {
        close(fd);
        return FLAMENCO_E_NOMEM;
    }
    x->answered = 1;
    return fl_reply_file(x->reply, (int32_t)status, type.ptr, fd, offset, length);
}

static int32_t answer_websocket(void *r, const flamenco_ws_handler *handler, void *ctx)
{
    exchange *x = r;
    if (x->answered || !x->is_websocket)
        return FLAMENCO_E_CONFLICT;
    x->outcome->ws = fl_plugin_ws_create(x->cx->f, handler, ctx);
    if (x->outcome->ws == NULL)
        return FLAMENCO_E_NOMEM;
    x->answered = 1;
    return FLAMENCO_OK;
}

static int32_t answer_later(void *r, flamenco_http_later **out)
{
    exchange *x = r;
    if (x->answered)
        return FLAMENCO_E_CONFLICT;
    x->answered = 1;
    x->outcome->later = 1;
    x->later->reply = x->reply;
    __atomic_store_n(&x->later->waits_for, 2, __ATOMIC_RELEASE);
    *out = x->later;
    return FLAMENCO_OK;
}

void fl_plugin_later_returned(flamenco_http_later *later)
{
    if (__atomic_sub_fetch(&later->waits_for, 1, __ATOMIC_ACQ_REL) == 0)
        later->send(later);
}

static void later_bytes(flamenco_http_later *later, uint32_t status, const char *content_type, flamenco_str body)
{
    fl_reply *reply = later->reply;
    reply->status = (int32_t)status;
    reply->content_type = content_type;
    if (content_type != NULL)
        fl_buf_add_str(&reply->body, body);
    fl_plugin_later_returned(later);
}

/* The same that fl_http_upgrade asks for. */
static int is_handshake(fl_http_request *http)
{
    return fl_http_wants_upgrade(http) && fl_http_request_version(http) == 0x101 &&
           fl_str_is(fl_http_request_method(http), "GET") &&
           fl_str_is(fl_http_request_header_text(http, "sec-websocket-version"), "13") &&
           fl_http_request_header_text(http, "sec-websocket-key").len == 24;
}

int32_t fl_plugin_routes_serve(fl_cx *cx, const flamenco_http_routes_ref *routes, fl_http_request *http,
                               fl_reply *reply, flamenco_http_later *later, fl_plugin_outcome *outcome,
                               flamenco_error *err)
{
    exchange x = { .cx = cx, .http = http, .reply = reply, .later = later, .outcome = outcome };
    x.is_websocket = is_handshake(http);
    flamenco_http_request request = { .struct_size = (uint32_t)sizeof(request),
                                      .is_websocket = (uint32_t)x.is_websocket,
                                      .method = fl_http_request_method(http),
                                      .path = fl_http_request_path(http),
                                      .query = fl_http_request_query(http),
                                      .body = fl_http_request_body(http),
                                      .remote_address = fl_http_request_remote(http),
                                      .r = &x,
                                      .header = get_header };
    flamenco_http_reply answer = { .struct_size = (uint32_t)sizeof(answer),
                                   .r = &x,
                                   .header = add_header,
                                   .bytes = answer_bytes,
                                   .shared = answer_shared,
                                   .file = answer_file,
                                   .websocket = answer_websocket,
                                   .ws_send = fl_plugin_ws_send,
                                   .ws_close = fl_plugin_ws_close,
                                   .later = answer_later,
                                   .later_bytes = later_bytes,
                                   .ws_send_all = fl_plugin_ws_send_all };
    fl_reply_reset(reply);
    int32_t rc = flamenco_http_routes_handle(routes, &cx->pub, &request, &answer, err);
    if (rc != FLAMENCO_OK) {
        fl_error("http", "a plugin could not answer %.*s: %s", FL_STR_ARGS(request.path), err->text);
        if (outcome->ws != NULL)
            fl_plugin_ws_abandon(outcome->ws);
        *outcome = (fl_plugin_outcome){ 0 };
        return fl_reply_error(reply, 500, "%s", err->text);
    }
    return x.answered ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_INTERNAL, "the plugin gave no answer");
}
