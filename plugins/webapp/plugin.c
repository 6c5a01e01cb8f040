/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the web interface's files, the add-on and the API documentation as a plugin: the service
 * "flamenco.http_routes/1" and its life cycle. Called by the host's plugin loader and, through the table, by the core.
 */
#include <stdlib.h>

#include "webapp.h"

static flamenco_str addon_version(void *self)
{
    return flamenco_text(((const fl_webapp *)self)->version);
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_webapp *app = host->alloc(host->h, sizeof(*app));
    if (app == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the web interface");
    memset(app, 0, sizeof(*app));
    app->host = host;
    *self_out = app;
    return FLAMENCO_OK;
}

/* The setting's directory; without one, what comes with the plugin. */
static char *place_of(const flamenco_config *config, const char *key, const char *own)
{
    flamenco_str given = config->text(config->c, key);
    return given.len > 0 ? strndup(given.ptr, (size_t)given.len) : fl_place_find(own);
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    fl_webapp *app = self;
    flamenco_str addon = config->text(config->c, "addon");
    app->app = place_of(config, "directory", "app");
    app->app_is_ours = config->text(config->c, "directory").len == 0;
    app->swagger = place_of(config, "swagger_ui", "swagger-ui");
    app->docs = fl_place_find("docs");
    if (addon.len > 0)
        app->addon = strndup(addon.ptr, (size_t)addon.len);
    if (app->app == NULL || app->swagger == NULL || app->docs == NULL || (addon.len > 0 && app->addon == NULL))
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the web interface");
    return FLAMENCO_OK;
}

/* What is missing is no reason not to start: the API works without. */
static int32_t start(void *self, flamenco_error *err)
{
    (void)err;
    fl_webapp *app = self;
    const flamenco_host *host = app->host;
    flamenco_error problem = FLAMENCO_ERROR_INIT;
    if (fl_serve_kind(app->app, "index.html") != 'f')
        host->log(host->h, FLAMENCO_LOG_WARN, "%s has no index.html, so there is no web interface", app->app);
    if (app->addon != NULL && fl_addon_version(app->addon, app->version, &problem) != FLAMENCO_OK)
        host->log(host->h, FLAMENCO_LOG_WARN, "the add-on's version is not known: %s", problem.text);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_webapp *app = self;
    if (app == NULL)
        return;
    free(app->app);
    free(app->docs);
    free(app->swagger);
    free(app->addon);
    app->host->free(app->host->h, app);
}

static int32_t health(void *self, flamenco_error *err)
{
    const fl_webapp *app = self;
    if (fl_serve_kind(app->app, "index.html") != 'f')
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "%s has no index.html", app->app);
    if (app->addon != NULL && app->version[0] == '\0')
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "%s was no add-on when the manager started", app->addon);
    return FLAMENCO_OK;
}

static const flamenco_http_routes table = {
    .struct_size = (uint32_t)sizeof(flamenco_http_routes),
    .routes = fl_webapp_routes,
    .handle = fl_webapp_handle,
    .addon_version = addon_version,
};

static const flamenco_provide provide_routes = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_HTTP_ROUTES,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_routes, NULL };

static const flamenco_setting directory_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "directory",
    .doc = "Directory of the web interface, whose index.html is its page; empty: the one that comes with the manager.",
};
static const flamenco_setting addon_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "addon",
    .doc = "The Blender add-on, served as /flamenco-addon.zip; clients are told its version. Empty: none.",
};
static const flamenco_setting swagger_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "swagger_ui",
    .doc = "Directory with the files of Swagger UI, for the API documentation; empty: those that were installed.",
};
static const flamenco_setting *const settings[] = { &directory_setting, &addon_setting, &swagger_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "webapp",       .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
