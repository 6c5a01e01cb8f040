/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the plugin "persist-postgres": its settings and its phases. Loaded by the manager; offers
 * "flamenco.persistence/1" over one schema of a PostgreSQL database.
 */
#include "store.h"
#include "table.h"

static const flamenco_provide provide_persistence = { sizeof(flamenco_provide), 0, FLAMENCO_PERSISTENCE,
                                                      &fl_persistence_table };
static const flamenco_provide *const provides[] = { &provide_persistence, NULL };

#define SETTING .struct_size = (uint32_t)sizeof(flamenco_setting)

/* Longer ones PostgreSQL cuts. */
#define SCHEMA_MOST 63

static const flamenco_setting setting_conninfo = {
    SETTING,
    .type = FLAMENCO_SETTING_TEXT,
    .key = "conninfo",
    .default_text = "dbname=flamenco",
    .doc =
        "Where the database is, in libpq's syntax: \"host=db dbname=flamenco user=flamenco\", or a postgresql:// URI.",
    .flags = FLAMENCO_SETTING_SECRET,
};
static const flamenco_setting setting_schema = {
    SETTING,
    .type = FLAMENCO_SETTING_TEXT,
    .key = "schema",
    .default_text = "flamenco",
    .doc = "Schema of the farm's tables; made when it is missing. Each farm has one of its own.",
};
static const flamenco_setting setting_answer = {
    SETTING,
    .type = FLAMENCO_SETTING_DURATION,
    .key = "answer_timeout",
    .default_text = "10s",
    .min = INT64_C(1000000),
    .max = INT64_C(600000000),
    .doc = "A server that owes the writer an answer for so long counts as lost, and the connection is made again.",
};

static const flamenco_setting *const settings[] = { &setting_conninfo, &setting_schema, &setting_answer, NULL };

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_store *store = host->alloc(host->h, sizeof(*store));
    if (store == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(store, 0, sizeof(*store));
    store->host = host;
    if (pthread_mutex_init(&store->lock, NULL) != 0) {
        host->free(host->h, store);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex can be made");
    }
    *self_out = store;
    return FLAMENCO_OK;
}

static char *copy_text(const flamenco_host *host, flamenco_str text)
{
    char *copy = host->alloc(host->h, text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, (size_t)text.len);
    copy[text.len] = '\0';
    return copy;
}

/* "name", with quotes in it doubled. */
static char *quote_name(const flamenco_host *host, const char *name)
{
    char *out = host->alloc(host->h, strlen(name) * 2 + 3), *to = out;
    if (out == NULL)
        return NULL;
    *to++ = '"';
    for (; *name != '\0'; ++name) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    *to++ = '"';
    *to = '\0';
    return out;
}

/* The number of the schema's advisory lock: FNV-1a of a text that no other program has. */
static int64_t make_lock_key(const char *schema)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = "flamenco-manager lease "; *at != '\0'; ++at)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    for (; *schema != '\0'; ++schema)
        hash = (hash ^ (unsigned char)*schema) * UINT64_C(0x100000001b3);
    return (int64_t)hash;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    fl_store *store = self;
    const flamenco_host *host = store->host;
    store->config = config;
    flamenco_str conninfo = config->text(config->c, "conninfo"), schema = config->text(config->c, "schema");
    store->answer_us = config->integer(config->c, "answer_timeout");
    store->conninfo = copy_text(host, conninfo);
    store->schema = copy_text(host, schema);
    if (store->conninfo == NULL || store->schema == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    const char *key = NULL;
    flamenco_error why = FLAMENCO_ERROR_INIT;
    if (fl_connection_check(store->conninfo, &why) != FLAMENCO_OK)
        key = "conninfo";
    else if (schema.len == 0 || schema.len > SCHEMA_MOST || strncmp(store->schema, "pg_", 3) == 0)
        key = "schema";
    if (key != NULL && strcmp(key, "schema") == 0)
        (void)flamenco_fail(&why, FLAMENCO_E_INVALID,
                            "schema must be a name of 1 to %d bytes that does not begin with pg_", SCHEMA_MOST);
    if (key != NULL) {
        flamenco_str place = config->place(config->c, key);
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: %s", (int)place.len, place.ptr != NULL ? place.ptr : "",
                             why.text);
    }
    store->quoted_schema = quote_name(host, store->schema);
    store->lock_key = make_lock_key(store->schema);
    return store->quoted_schema != NULL ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
}

static void destroy(void *self)
{
    fl_store *store = self;
    if (store == NULL)
        return;
    PQfinish(store->spare);
    const flamenco_host *host = store->host;
    host->free(host->h, store->conninfo);
    host->free(host->h, store->schema);
    host->free(host->h, store->quoted_schema);
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
    FLAMENCO_PLUGIN_INIT,    .id = "persist-postgres", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides,    .settings = settings,     .create = create,   .configure = configure,
    .start = fl_store_start, .stop = fl_store_stop,    .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
