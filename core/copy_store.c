/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_store.c - opens the stores of copy-data: a loader with the one plugin (and a clock, which the host needs), without a manager
 * around it.
 */
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/copy.h"
#include "core/monotonic.h"

#define STOP_US INT64_C(10000000)

/* The plugin's name: what stands before the first colon. */
static flamenco_str plugin_of(const char *spec)
{
    flamenco_str name = { spec, strcspn(spec, ":") };
    return name;
}

/* A text as a double-quoted YAML scalar. */
static void add_quoted(fl_buf *out, const char *text)
{
    fl_buf_add_char(out, '"');
    for (; *text != '\0'; ++text) {
        if ((unsigned char)*text < ' ')
            fl_buf_printf(out, "\\x%02x", (unsigned)*text);
        else if (*text == '"' || *text == '\\')
            fl_buf_printf(out, "\\%c", *text);
        else
            fl_buf_add_char(out, *text);
    }
    fl_buf_add_char(out, '"');
}

/* A manager.yaml whose member `persist` is the store. key: the setting that the place is a value of; NULL: the place is left
 * out. */
static int32_t write_yaml(const char *spec, const char *key, fl_buf *out)
{
    flamenco_str name = plugin_of(spec);
    const char *place = spec[name.len] == ':' ? spec + name.len + 1 : "";
    fl_buf_add_text(out, "plugins:\n");
    for (size_t i = 0; i < fl_members_count; ++i) {
        const fl_member *m = &fl_members[i];
        if (strcmp(m->name, "persist") == 0)
            fl_buf_printf(out, "  persist:\n    file: \"%.*s\"\n", (int)name.len, name.ptr);
        else if (m->flags & FL_MEMBER_MANDATORY)
            fl_buf_printf(out, "  %s: {file: %s}\n", m->name, m->default_file);
        if (strcmp(m->name, "persist") != 0 || key == NULL || place[0] == '\0')
            continue;
        if (place[0] == '{') {
            fl_buf_printf(out, "    settings: %s\n", place);
        } else {
            fl_buf_printf(out, "    settings: {%s: ", key);
            add_quoted(out, place);
            fl_buf_add_text(out, "}\n");
        }
    }
    return out->failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

/* Leaves only the store and the clock in it. */
static int32_t keep_two(fl_manager_yaml *yaml, const fl_manager_yaml *main_yaml)
{
    fl_plugin_entry *kept = fl_arena_alloc(yaml->arena, yaml->n_plugins * sizeof(*kept));
    size_t n = 0;
    if (kept == NULL)
        return FLAMENCO_E_NOMEM;
    for (size_t i = 0; i < yaml->n_plugins; ++i) {
        const char *member = yaml->plugins[i].member->name;
        if (strcmp(member, "persist") == 0 || strcmp(member, "clock") == 0)
            kept[n++] = yaml->plugins[i];
    }
    yaml->plugins = kept;
    yaml->n_plugins = n;
    yaml->plugin_path = main_yaml->plugin_path;
    yaml->n_plugin_path = main_yaml->n_plugin_path;
    return FLAMENCO_OK;
}

/* Loads the plugins. Problems are in store->problems. */
static int32_t load(const fl_copy_options *options, const char *key, fl_copy_store *store, flamenco_error *err)
{
    fl_buf text = { 0 };
    flamenco_str cwd = flamenco_text(options->places->cwd);
    int32_t rc = write_yaml(store->spec, key, &text);
    if (rc == FLAMENCO_OK)
        rc = fl_manager_yaml_parse(fl_buf_str(&text), "copy-data", cwd, &store->problems, &store->run.yaml);
    fl_buf_fini(&text);
    if (rc == FLAMENCO_OK)
        rc = keep_two(store->run.yaml, options->yaml);
    if (rc == FLAMENCO_OK)
        rc = fl_run_prepare(&store->run, err);
    if (rc != FLAMENCO_OK)
        return rc;
    store->run.f.config = options->config;
    fl_loader_places where = { options->places, options->config, cwd };
    return fl_loader_load(&store->run.f, store->run.yaml, &where, &store->problems, &store->run.f.loader);
}

static void unload(fl_copy_store *store)
{
    fl_run_destroy(&store->run);
    fl_manager_yaml_destroy(store->run.yaml);
    memset(&store->run, 0, sizeof(store->run));
    store->run.f.wake_fd = -1;
    fl_config_problems_fini(&store->problems);
    memset(&store->problems, 0, sizeof(store->problems));
}

/* Finds which setting of the plugin says where its data is: by loading it without any. */
static int32_t find_key(const fl_copy_options *options, fl_copy_store *store, char *key, size_t room)
{
    flamenco_error ignored = FLAMENCO_ERROR_INIT;
    (void)load(options, NULL, store, &ignored); /* what is wrong is told when it is loaded in earnest */
    const char *found = NULL;
    if (store->run.f.loader != NULL && fl_loader_count(store->run.f.loader) > 0)
        found = fl_loader_main_setting(store->run.f.loader, 0);
    (void)snprintf(key, room, "%s", found != NULL ? found : "path");
    unload(store);
    return FLAMENCO_OK;
}

int32_t fl_copy_open(const fl_copy_options *options, const char *spec, fl_copy_store *out, flamenco_error *err)
{
    char key[64];
    memset(out, 0, sizeof(*out));
    out->spec = spec;
    out->run.f.wake_fd = -1;
    flamenco_str name = plugin_of(spec);
    if (name.len == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a store is PLUGIN:PLACE, as in persist-sqlite:farm.sqlite");
    int32_t rc = find_key(options, out, key, sizeof(key));
    if (rc == FLAMENCO_OK)
        rc = load(options, key, out, err);
    if (rc != FLAMENCO_OK && out->problems.errors > 0)
        return fl_config_problems_fail(&out->problems, rc, err);
    if (rc == FLAMENCO_OK)
        rc = fl_loader_start_member(out->run.f.loader, "clock", err);
    if (rc == FLAMENCO_OK)
        rc = fl_loader_start_member(out->run.f.loader, "persist", err);
    if (rc == FLAMENCO_OK && (out->arena = fl_arena_create(0)) == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    return rc;
}

void fl_copy_close(fl_copy_store *store)
{
    fl_copy_end(store);
    if (store->run.f.loader != NULL)
        fl_loader_stop(store->run.f.loader, fl_monotonic_us() + STOP_US);
    fl_arena_destroy(store->arena);
    store->arena = NULL;
    unload(store);
}

/* ---- Transactions ---- */

static int32_t begin(fl_copy_store *store, flamenco_error *err)
{
    struct flamenco *f = &store->run.f;
    memset(&store->cx, 0, sizeof(store->cx));
    store->cx.pub.struct_size = (uint32_t)sizeof(store->cx.pub);
    store->cx.pub.host = fl_core_host(f);
    store->cx.pub.now_us = flamenco_clock_now_us(&f->clock);
    store->cx.f = f;
    store->cx.arena = store->arena;
    return flamenco_persist_begin(&f->persist, store->session, &store->cx.pub, err);
}

int32_t fl_copy_begin(fl_copy_store *store, uint32_t kind, flamenco_error *err)
{
    const flamenco_persistence_ref *db = &store->run.f.persist;
    fl_copy_end(store);
    int32_t rc = flamenco_persist_open(db, kind, &store->session, err);
    if (rc == FLAMENCO_OK && kind == FLAMENCO_SESSION_WRITER)
        rc = flamenco_persist_last_batch(db, store->session, &store->batch, err);
    return rc == FLAMENCO_OK ? begin(store, err) : rc;
}

int32_t fl_copy_commit(fl_copy_store *store, flamenco_error *err)
{
    int32_t rc = flamenco_persist_commit(&store->run.f.persist, &store->cx.pub, ++store->batch, err);
    flamenco_error ignored = FLAMENCO_ERROR_INIT;
    if (rc == FLAMENCO_OK)
        (void)flamenco_persist_maintain(&store->run.f.persist, store->session, FLAMENCO_MAINTAIN_COMMITTED, &ignored);
    fl_arena_reset(store->arena);
    return rc == FLAMENCO_OK ? begin(store, err) : rc;
}

void fl_copy_end(fl_copy_store *store)
{
    if (store->session == NULL)
        return;
    flamenco_persist_rollback(&store->run.f.persist, &store->cx.pub);
    flamenco_persist_close(&store->run.f.persist, store->session);
    store->session = NULL;
    fl_arena_reset(store->arena);
}

/* ---- Lists ---- */

typedef struct key_list {
    int64_t *keys;
    size_t n, room;
    int failed;
} key_list;

static int32_t add_key(void *ctx, const flamenco_job *row)
{
    key_list *list = ctx;
    if (list->n == list->room) {
        size_t room = list->room > 0 ? list->room * 2 : 256;
        int64_t *grown = realloc(list->keys, room * sizeof(*grown));
        if (grown == NULL) {
            list->failed = 1;
            return 1;
        }
        list->keys = grown;
        list->room = room;
    }
    list->keys[list->n++] = row->key;
    return 0;
}

int32_t fl_copy_list_jobs(fl_copy_store *store, int64_t **keys_out, size_t *n_out, flamenco_error *err)
{
    key_list list = { 0 };
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    int32_t rc = flamenco_persist_jobs_list(&store->run.f.persist, &store->cx.pub, &page, add_key, &list, NULL, err);
    if (rc == FLAMENCO_OK && list.failed)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    if (rc != FLAMENCO_OK) {
        free(list.keys);
        return rc;
    }
    *keys_out = list.keys;
    *n_out = list.n;
    return FLAMENCO_OK;
}

void fl_copy_progress(int64_t *last_us, const char *what, size_t done, size_t total)
{
    int64_t now_us = fl_monotonic_us();
    if (done < total && now_us - *last_us < 2000000)
        return;
    *last_us = now_us;
    fl_info("copy-data", "%s: %zu of %zu jobs", what, done, total);
}
