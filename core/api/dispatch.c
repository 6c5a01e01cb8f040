/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.c - sorts requests by path. What is not the API runs as one step of the work pool (`page`), since it may read
 * files or call plugins.
 */
#include "core/api/dispatch.h"

#include "core/api/call.h"
#include "core/api/files.h"
#include "core/api/health.h"
#include "core/api/plugin_routes.h"
#include "core/api/send.h"
#include "core/base/str.h"
#include "core/config/manager_yaml.h"
#include "core/workpool.h"

#define JOB_FILES "/job-files"

/* A request beside the API. */
typedef struct page {
    fl_step step;
    struct flamenco *f;
    fl_http_request *http;
    fl_reply reply;
    /* Fills the reply. */
    int32_t (*make)(struct page *page, fl_cx *cx, flamenco_error *err);
    /* For plugins. */
    const flamenco_http_routes_ref *routes;
    fl_plugin_outcome outcome;
    flamenco_http_later later;
} page;

static void destroy_page(void *user)
{
    fl_reply_fini(&((page *)user)->reply);
}

static int32_t run_page(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    page *p = (page *)(void *)step;
    return p->make(p, cx, err);
}

static void send_later(flamenco_http_later *later)
{
    page *p = (page *)(void *)((char *)later - offsetof(page, later));
    fl_send(p->f, p->http, &p->reply, 0);
}

static void page_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    page *p = (page *)(void *)step;
    flamenco_error why = FLAMENCO_ERROR_INIT;
    if (p->outcome.later) {
        fl_plugin_later_returned(&p->later);
        return;
    }
    if (p->outcome.ws != NULL) {
        if (fl_plugin_ws_begin(p->outcome.ws, p->http, &why) == FLAMENCO_OK)
            return;
        result = FLAMENCO_E_INTERNAL;
        err = &why;
    }
    if (result < 0)
        fl_reply_failure(&p->reply, result, err->text);
    fl_send(p->f, p->http, &p->reply, 1);
}

static const fl_step_ops page_ops = { .name = "page", .kind = FLAMENCO_STEP_WORK, .run = run_page, .done = page_done };

static int32_t make_live(page *p, fl_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    return fl_health_live(p->f, &p->reply);
}

static int32_t make_ready(page *p, fl_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    return fl_health_ready(p->f, &p->reply);
}

static int32_t make_metrics(page *p, fl_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    return fl_health_metrics(p->f, &p->reply);
}

static int32_t make_document(page *p, fl_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    return fl_reply_json_raw(&p->reply, 200, api_document());
}

static int32_t make_job_file(page *p, fl_cx *cx, flamenco_error *err)
{
    (void)err;
    flamenco_str path = fl_http_request_path(p->http);
    size_t skip = sizeof(JOB_FILES) - 1;
    flamenco_str rest = { path.ptr + skip, path.len - skip };
    return fl_files_serve(cx, p->http, rest, &p->reply);
}

static int32_t make_plugin_page(page *p, fl_cx *cx, flamenco_error *err)
{
    p->later.send = send_later;
    return fl_plugin_routes_serve(cx, p->routes, p->http, &p->reply, &p->later, &p->outcome, err);
}

static page *make_page(struct flamenco *f, fl_http_request *http)
{
    fl_arena *arena = fl_http_request_arena(http);
    page *p = arena != NULL ? fl_arena_alloc(arena, sizeof(*p)) : NULL;
    if (p == NULL) {
        fl_http_drop(http);
        return NULL;
    }
    p->f = f;
    p->http = http;
    p->step.ops = &page_ops;
    p->step.arena = arena;
    p->step.request_id = fl_http_request_id(http);
    fl_http_request_set_user(http, p, destroy_page);
    return p;
}

static void submit_page(struct flamenco *f, fl_http_request *http, const flamenco_http_routes_ref *routes,
                        int32_t (*make)(page *, fl_cx *, flamenco_error *))
{
    page *p = make_page(f, http);
    if (p == NULL)
        return;
    p->make = make;
    p->routes = routes;
    fl_workpool_submit(f->workpool, &p->step);
}

/* Answers where it stands: errors and preflights. */
static void answer_here(struct flamenco *f, fl_http_request *http, int32_t status, const char *allow, const char *text)
{
    page *p = make_page(f, http);
    if (p == NULL)
        return;
    if (text == NULL)
        fl_reply_empty(&p->reply, status);
    else
        fl_reply_error(&p->reply, status, "%s", text);
    if (allow != NULL)
        fl_reply_header_add(&p->reply, "allow", flamenco_text(allow));
    fl_send(f, http, &p->reply, 0);
}

static void dispatch_api(struct flamenco *f, fl_http_request *http)
{
    flamenco_str path = fl_http_request_path(http), method = fl_http_request_method(http);
    fl_arena *arena = fl_http_request_arena(http);
    api_match match;
    if (arena == NULL || api_route(method, path, arena, &match) != FLAMENCO_OK)
        fl_http_drop(http);
    else if (match.status == 200)
        fl_call_begin(f, http, &match);
    else if (match.status == 204)
        answer_here(f, http, 204, match.allow, NULL);
    else if (match.status == 405)
        answer_here(f, http, 405, match.allow, "this method is not offered here");
    else if (match.status == 400)
        answer_here(f, http, 400, NULL, "the path holds a bad percent escape or a NUL byte");
    else
        answer_here(f, http, 404, NULL, "there is nothing at this path with this method");
}

/* The core's own pages; they know GET and HEAD. Returns NULL when the path is none of them. */
static int32_t (*find_page(flamenco_str path))(page *, fl_cx *, flamenco_error *)
{
    if (fl_str_is(path, "/health/live"))
        return make_live;
    if (fl_str_is(path, "/health/ready"))
        return make_ready;
    if (fl_str_is(path, "/metrics"))
        return make_metrics;
    if (fl_str_is(path, "/api/v3/openapi3.json"))
        return make_document;
    if (fl_str_starts(path, JOB_FILES "/"))
        return make_job_file;
    return NULL;
}

/* A page is there, but not for this method. */
static void answer_other_method(struct flamenco *f, fl_http_request *http, const char *allow)
{
    if (fl_str_is(fl_http_request_method(http), "OPTIONS"))
        answer_here(f, http, 204, allow, NULL);
    else
        answer_here(f, http, 405, allow, "this method is not offered here");
}

void fl_dispatch(void *ctx, fl_http_request *http)
{
    struct flamenco *f = ctx;
    flamenco_str path = fl_http_request_path(http), method = fl_http_request_method(http);
    int32_t (*make)(page *, fl_cx *, flamenco_error *) = find_page(path);
    const flamenco_http_routes_ref *routes;
    const char *allow;
    int is_get = fl_str_is(method, "GET") || fl_str_is(method, "HEAD");
    if (path.len == 0 || path.ptr[0] != '/') {
        answer_here(f, http, 400, NULL, "the request's target must be a path");
    } else if (make != NULL && is_get) {
        submit_page(f, http, NULL, make);
    } else if (make != NULL) {
        answer_other_method(f, http, "OPTIONS, GET");
    } else if ((routes = fl_plugin_routes_find(f, method, path)) != NULL) {
        submit_page(f, http, routes, make_plugin_page);
    } else if (fl_http_request_arena(http) != NULL &&
               (allow = fl_plugin_routes_allow(f, path, fl_http_request_arena(http))) != NULL) {
        answer_other_method(f, http, allow);
    } else {
        dispatch_api(f, http);
    }
}

void fl_dispatch_gone(void *ctx, fl_http_request *http)
{
    fl_call_gone(ctx, http);
}

uint64_t fl_dispatch_body_limit(void *ctx, flamenco_str method, flamenco_str path)
{
    const struct flamenco *f = ctx;
    uint64_t least = (uint64_t)f->http_settings->body_json_bytes;
    fl_arena *arena = fl_arena_create(1024);
    api_match match;
    if (arena != NULL && api_route(method, path, arena, &match) == FLAMENCO_OK && match.status == 200) {
        uint64_t limit = fl_call_body_limit(f, api_operation_get(match.operation));
        if (limit != 0)
            least = limit;
    }
    fl_arena_destroy(arena);
    return least;
}
