/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the plugin "persist-sqlite": its settings and its phases. Loaded by the manager; offers
 * "flamenco.persistence/1" over one SQLite database.
 */
#include <stdlib.h>
#include <unistd.h>

#include "store.h"
#include "table.h"

static const flamenco_provide provide_persistence = { sizeof(flamenco_provide), 0, FLAMENCO_PERSISTENCE,
                                                      &fl_persistence_table };
static const flamenco_provide *const provides[] = { &provide_persistence, NULL };

#define SETTING .struct_size = (uint32_t)sizeof(flamenco_setting)

static const flamenco_setting setting_database = {
    SETTING,
    .type = FLAMENCO_SETTING_TEXT,
    .key = "database",
    .default_text = "flamenco-manager.sqlite",
    .doc =
        "Database file of the farm; NAME.EXT is kept in NAME-c.EXT, so that no other manager works on the same file.",
    .reference_key = "database",
};
static const flamenco_setting setting_path = {
    SETTING,
    .type = FLAMENCO_SETTING_PATH,
    .key = "path",
    .doc = "Database file, taken as it stands; used in place of `database` when given.",
};
static const flamenco_setting setting_cache = {
    SETTING,
    .type = FLAMENCO_SETTING_BYTES,
    .key = "cache_size",
    .default_text = "16MiB",
    .min = 1 << 20,
    .max = INT64_C(1) << 34,
    .unit = "bytes",
    .doc = "Most memory for pages of the database on the writing connection.",
};
static const flamenco_setting setting_reader_cache = {
    SETTING,
    .type = FLAMENCO_SETTING_BYTES,
    .key = "reader_cache_size",
    .default_text = "8MiB",
    .min = 1 << 18,
    .max = INT64_C(1) << 34,
    .unit = "bytes",
    .doc = "The same on each reading connection.",
};
static const flamenco_setting setting_checkpoint = {
    SETTING,
    .type = FLAMENCO_SETTING_INT,
    .key = "checkpoint_pages",
    .default_text = "4000",
    .min = 100,
    .max = 1000000,
    .unit = "pages of 4 KiB",
    .doc = "The log is copied into the database each time it has grown by this many pages.",
};
static const flamenco_setting setting_quiet = {
    SETTING,
    .type = FLAMENCO_SETTING_INT,
    .key = "quiet_pages",
    .default_text = "8000",
    .min = 200,
    .max = 10000000,
    .unit = "pages of 4 KiB",
    .doc = "From this length of the log on, a moment without readers is asked for, to begin the log anew.",
};
static const flamenco_setting setting_log_limit = {
    SETTING,
    .type = FLAMENCO_SETTING_BYTES,
    .key = "log_size_limit",
    .default_text = "64MiB",
    .min = 1 << 20,
    .max = INT64_C(1) << 40,
    .unit = "bytes",
    .doc = "A log file that grew longer than this is cut when it begins anew.",
};
static const flamenco_setting setting_busy = {
    SETTING,
    .type = FLAMENCO_SETTING_DURATION,
    .key = "busy_timeout",
    .default_text = "5s",
    .max = INT64_C(3600000000),
    .doc = "How long to wait for another program that has locked the database, before the call counts as failed.",
};

static const flamenco_setting *const settings[] = { &setting_database,     &setting_path,       &setting_cache,
                                                    &setting_reader_cache, &setting_checkpoint, &setting_quiet,
                                                    &setting_log_limit,    &setting_busy,       NULL };

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_store *store = host->alloc(host->h, sizeof(*store));
    if (store == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(store, 0, sizeof(*store));
    store->host = host;
    store->lock_fd = -1;
    if (pthread_mutex_init(&store->lock, NULL) != 0) {
        host->free(host->h, store);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex can be made");
    }
    *self_out = store;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    fl_store *store = self;
    store->config = config;
    if (config->integer(config->c, "quiet_pages") < config->integer(config->c, "checkpoint_pages")) {
        flamenco_str place = config->place(config->c, "quiet_pages");
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: quiet_pages must be at least checkpoint_pages",
                             (int)place.len, place.ptr != NULL ? place.ptr : "");
    }
    return fl_path_settle(store, err);
}

static void destroy(void *self)
{
    fl_store *store = self;
    if (store == NULL)
        return;
    if (store->spare != NULL)
        sqlite3_close(store->spare);
    fl_lease_drop(store);
    const flamenco_host *host = store->host;
    host->free(host->h, store->path);
    host->free(host->h, store->reference);
    pthread_mutex_destroy(&store->lock);
    host->free(host->h, store);
}

/* Tells whether the last commit worked. */
static int32_t health(void *self, flamenco_error *err)
{
    fl_store *store = self;
    pthread_mutex_lock(&store->lock);
    int32_t rc = store->last_error;
    if (rc != FLAMENCO_OK)
        flamenco_fail(err, rc, "the last write failed: %s", store->last_text);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,    .id = "persist-sqlite", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides,    .settings = settings,   .create = create,   .configure = configure,
    .start = fl_store_start, .stop = fl_store_stop,  .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
