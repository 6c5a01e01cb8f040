/* SPDX-License-Identifier: Apache-2.0
 *
 * pages.c - which path gets what (api-behaviour 9.1, 9.2).
 */
#include <stdlib.h>

#include "webapp.h"

#define APP "/app/"
#define DOCS "/api/v3/swagger-ui/"
#define ADDON "/flamenco-addon.zip"

typedef struct exchange {
    const fl_webapp *app;
    flamenco_cx *cx;
    const flamenco_http_request *request;
    flamenco_http_reply *reply;
    flamenco_error *err;
} exchange;

/* ---- Answers ------------------------------------------------------------------------------------------------------- */

static int32_t taken(const exchange *x, int32_t rc)
{
    return rc == FLAMENCO_OK ? rc : flamenco_fail(x->err, rc, "the reply was not taken");
}

static int32_t redirect(const exchange *x, uint32_t status, flamenco_str location)
{
    int32_t rc = x->reply->header(x->reply->r, "location", location);
    if (rc == FLAMENCO_OK)
        rc = x->reply->bytes(x->reply->r, status, NULL, (flamenco_str){ NULL, 0 });
    return taken(x, rc);
}

/* text: nothing in it that JSON would escape. */
static int32_t not_found(const exchange *x, const char *text)
{
    char body[768];
    int n = snprintf(body, sizeof(body), "{\"code\":404,\"message\":\"%s\"}\n", text);
    flamenco_str json = { body, (uint64_t)n < sizeof(body) ? (uint64_t)n : sizeof(body) - 1 };
    return taken(x, x->reply->bytes(x->reply->r, 404, "application/json", json));
}

static int32_t serve(const exchange *x, const char *directory, const char *name, uint32_t flags)
{
    return fl_serve(directory, name, flags, x->request, x->reply, x->err);
}

/* ---- The web interface --------------------------------------------------------------------------------------------- */

static int32_t serve_index(const exchange *x)
{
    int32_t rc = serve(x, x->app->app, "index.html", x->app->app_is_ours ? FL_SERVE_POLICY : 0);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return not_found(x, "the directory of the web interface has no index.html (setting directory of webapp)");
    return rc;
}

/* "../workers" for "/app/workers/", "sub/" for "/app/sub": relative, as in the reference. */
static int32_t redirect_relative(const exchange *x, flamenco_str path, int to_slash)
{
    flamenco_str last = path;
    if (!to_slash)
        --last.len;
    uint64_t from = last.len;
    while (from > 0 && last.ptr[from - 1] != '/')
        --from;
    uint64_t len = last.len - from;
    char *location = x->cx->host->cx_alloc(x->cx, len + 4);
    if (location == NULL)
        return flamenco_fail(x->err, FLAMENCO_E_NOMEM, "no memory for a redirect");
    (void)snprintf(location, len + 4, "%s%.*s%s", to_slash ? "" : "../", (int)len, last.ptr + from,
                   to_slash ? "/" : "");
    return redirect(x, 301, flamenco_text(location));
}

static int ends_with(flamenco_str text, const char *ending)
{
    size_t len = strlen(ending);
    return text.len >= len && memcmp(text.ptr + text.len - len, ending, len) == 0;
}

static int32_t serve_app(const exchange *x)
{
    flamenco_str path = x->request->path;
    flamenco_str rest = { path.ptr + sizeof(APP) - 1, path.len - (sizeof(APP) - 1) };
    char name[FL_WEBAPP_NAME_MAX];
    if (rest.len == 0)
        return serve_index(x);
    if (ends_with(path, "/index.html"))
        return redirect(x, 301, flamenco_text("./"));
    int has_slash = rest.ptr[rest.len - 1] == '/';
    flamenco_str bare = { rest.ptr, rest.len - (uint64_t)has_slash };
    char kind = fl_name_decode(bare, name) ? fl_serve_kind(x->app->app, name) : 0;
    if (kind == 'd')
        return has_slash ? serve_index(x) : redirect_relative(x, path, 1);
    /* "//" and the like are nobody's; a redirect would lead off this host. */
    if (has_slash && bare.len > 0 && bare.ptr[bare.len - 1] != '/')
        return redirect_relative(x, path, 0);
    int32_t rc =
        kind == 'f' ? serve(x, x->app->app, name, x->app->app_is_ours ? FL_SERVE_POLICY : 0) : FLAMENCO_E_NOT_FOUND;
    return rc == FLAMENCO_E_NOT_FOUND ? serve_index(x) : rc;
}

static int32_t serve_favicon(const exchange *x)
{
    const char *name = x->request->path.ptr + 1;
    char kept[32];
    (void)snprintf(kept, sizeof(kept), "%.*s", (int)(x->request->path.len - 1), name);
    int32_t rc = serve(x, x->app->app, kept, 0);
    return rc == FLAMENCO_E_NOT_FOUND ? not_found(x, "this web interface has no such icon") : rc;
}

/* ---- The add-on ---------------------------------------------------------------------------------------------------- */

static int32_t serve_addon(const exchange *x)
{
    int32_t rc = FLAMENCO_E_NOT_FOUND;
    if (x->app->addon != NULL) {
        const char *slash = strrchr(x->app->addon, '/');
        char *directory = slash != NULL ? strndup(x->app->addon, (size_t)(slash - x->app->addon) + 1) : NULL;
        if (directory == NULL)
            return flamenco_fail(x->err, FLAMENCO_E_NOMEM, "no memory to serve the add-on");
        rc = serve(x, directory, slash + 1, 0);
        free(directory);
    }
    /* Official builds of the web interface have it in the root of their files. */
    if (rc == FLAMENCO_E_NOT_FOUND)
        rc = serve(x, x->app->app, ADDON + 1, 0);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    return not_found(
        x, "this manager serves no add-on yet. Download Flamenco 3.9 from flamenco.blender.org/download, take "
           "flamenco-addon.zip out of it, and name its path in manager.yaml: "
           "plugins, http_routes, webapp, settings, addon");
}

/* ---- API documentation --------------------------------------------------------------------------------------------- */

static int32_t serve_docs(const exchange *x)
{
    flamenco_str path = x->request->path;
    flamenco_str rest = { path.ptr + sizeof(DOCS) - 1, path.len - (sizeof(DOCS) - 1) };
    char name[FL_WEBAPP_NAME_MAX];
    if (rest.len == 0) {
        int installed = fl_serve_kind(x->app->swagger, "swagger-ui-bundle.js") == 'f';
        (void)snprintf(name, sizeof(name), "%s", installed ? "index.html" : "missing.html");
    } else if (!fl_name_decode(rest, name)) {
        return not_found(x, "there is no such file");
    }
    int32_t rc = serve(x, x->app->docs, name, FL_SERVE_POLICY);
    if (rc == FLAMENCO_E_NOT_FOUND)
        rc = serve(x, x->app->swagger, name, FL_SERVE_POLICY);
    return rc == FLAMENCO_E_NOT_FOUND ? not_found(x, "there is no such file") : rc;
}

/* ---- Routes -------------------------------------------------------------------------------------------------------- */

static int32_t go_to_app(const exchange *x)
{
    return redirect(x, 307, flamenco_text(APP));
}

static int32_t go_to_addon(const exchange *x)
{
    return redirect(x, 308, flamenco_text(ADDON));
}

#define ROUTE(prefix_text) \
    { \
        (uint32_t)sizeof(flamenco_http_route), 0, "GET", prefix_text \
    }

static const flamenco_http_route root_route = ROUTE("/"), bare_app_route = ROUTE("/app"), app_route = ROUTE(APP),
                                 addon_route = ROUTE(ADDON), old_addon_route = ROUTE("/flamenco3-addon.zip"),
                                 png_route = ROUTE("/favicon.png"), ico_route = ROUTE("/favicon.ico"),
                                 docs_route = ROUTE(DOCS);

const flamenco_http_route *const *fl_webapp_routes(void *self)
{
    static const flamenco_http_route *const list[] = { &root_route,  &bare_app_route,  &app_route,
                                                       &addon_route, &old_addon_route, &png_route,
                                                       &ico_route,   &docs_route,      NULL };
    (void)self;
    return list;
}

static int is_path(const flamenco_http_request *request, const char *path)
{
    return flamenco_str_equal(request->path, flamenco_text(path));
}

static int is_below(const flamenco_http_request *request, const char *prefix)
{
    size_t len = strlen(prefix);
    return request->path.len >= len && memcmp(request->path.ptr, prefix, len) == 0;
}

int32_t fl_webapp_handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                         flamenco_error *err)
{
    const exchange x = { self, cx, request, reply, err };
    if (is_below(request, APP))
        return serve_app(&x);
    if (is_below(request, DOCS))
        return serve_docs(&x);
    if (is_path(request, "/") || is_path(request, "/app"))
        return go_to_app(&x);
    if (is_path(request, ADDON))
        return serve_addon(&x);
    if (is_path(request, "/flamenco3-addon.zip"))
        return go_to_addon(&x);
    return serve_favicon(&x);
}
