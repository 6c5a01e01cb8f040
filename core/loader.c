/* SPDX-License-Identifier: Apache-2.0
 *
 * loader.c - the life of plugin instances: made from manager.yaml's entries, started in the order of their needs, stopped in
 * reverse. Files are never unmapped: callbacks and thread-local destructors may outlive any count.
 */
#include "core/loader_impl.h"

#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/listeners.h"

struct fl_loader {
    struct flamenco *f;
    const fl_manager_yaml *yaml;
    fl_instance *instances;
    size_t n_instances;
    fl_instance **order; /* by needs, those that others need first */
    size_t n_order;
    char **directories;
    size_t n_directories;
    char *path; /* the directories with ':' between */
    uint32_t stop_count;
};

/* ---- Where plugins are ------------------------------------------------------------------------------------------ */

static int32_t add_directory(fl_loader *loader, const char *base, flamenco_str name)
{
    char *text = NULL;
    int len = name.ptr[0] == '/' ? asprintf(&text, "%.*s", (int)name.len, name.ptr)
                                 : asprintf(&text, "%s/%.*s", base, (int)name.len, name.ptr);
    if (len < 0)
        return FLAMENCO_E_NOMEM;
    loader->directories[loader->n_directories++] = text;
    return FLAMENCO_OK;
}

static int32_t list_directories(fl_loader *loader, const fl_places *places)
{
    loader->directories = calloc(loader->yaml->n_plugin_path + 1, sizeof(*loader->directories));
    if (loader->directories == NULL)
        return FLAMENCO_E_NOMEM;
    /* Run from the build tree: the plugins stand beside the program. */
    if (places->build_root[0] != '\0') {
        int32_t rc = add_directory(loader, places->build_root, FL_STR("plugins"));
        if (rc != FLAMENCO_OK)
            return rc;
    }
    for (size_t i = 0; i < loader->yaml->n_plugin_path; ++i) {
        flamenco_str name = loader->yaml->plugin_path[i];
        if (name.len == 0)
            continue;
        int32_t rc = add_directory(loader, places->prefix, name);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    fl_buf path = { 0 };
    for (size_t i = 0; i < loader->n_directories; ++i) {
        fl_buf_add_text(&path, i > 0 ? ":" : "");
        fl_buf_add_text(&path, loader->directories[i]);
    }
    fl_buf_add_char(&path, '\0');
    loader->path = path.failed ? NULL : path.data; /* malloc'ed, and ours from now on */
    if (loader->path == NULL) {
        fl_buf_fini(&path);
        return FLAMENCO_E_NOMEM;
    }
    return FLAMENCO_OK;
}

/* ---- Services among plugins --------------------------------------------------------------------------------------- */

static fl_instance *find_instance(fl_loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->n_instances; ++i) {
        if (strcmp(loader->instances[i].entry->name, name) == 0)
            return &loader->instances[i];
    }
    return NULL;
}

/* Who serves a service: the member that manager.yaml gives it to, else any instance that has it (a third party's own). */
static fl_instance *find_provider(fl_loader *loader, const char *service_id)
{
    for (size_t i = 0; i < loader->yaml->n_plugins; ++i) {
        const fl_plugin_entry *entry = &loader->yaml->plugins[i];
        if (entry->enabled && strcmp(entry->member->service, service_id) == 0)
            return find_instance(loader, entry->used != NULL ? entry->used->name : entry->name);
    }
    if (fl_service_find(service_id) != NULL)
        return NULL;
    for (size_t i = 0; i < loader->n_instances; ++i) {
        if (fl_instance_table(&loader->instances[i], service_id) != NULL)
            return &loader->instances[i];
    }
    return NULL;
}

static const void *find_service(void *owner, const char *id, void **self_out)
{
    fl_instance *instance = owner;
    const flamenco_need *const *needs = instance->plugin.needs;
    for (size_t i = 0; needs != NULL && needs[i] != NULL; ++i) {
        char lacking[256];
        flamenco_need need;
        if (!fl_need_read(needs[i], &need) || strcmp(need.id, id) != 0)
            continue;
        fl_instance *provider = find_provider(instance->loader, id);
        if (provider == NULL || !provider->started || !fl_need_is_met(&need, provider, lacking, sizeof(lacking)))
            return NULL;
        *self_out = provider->self;
        return fl_instance_table(provider, id);
    }
    fl_error(instance->entry->name, "the plugin asks for %s, which is not among its needs", id);
    return NULL;
}

/* ---- Loading -------------------------------------------------------------------------------------------------------- */

static int32_t configure(fl_instance *instance, const fl_loader_places *where, fl_config_problems *problems)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const fl_plugin_entry *entry = instance->entry;
    fl_host_init(&instance->host, instance->loader->f, entry->name, instance, find_service);
    int32_t rc = fl_settings_create(&instance->plugin, entry, where->config, where->cwd, problems, &instance->settings);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = instance->plugin.create(&instance->host.table, &instance->self, &err);
    instance->created = rc == FLAMENCO_OK;
    if (rc == FLAMENCO_OK)
        rc = instance->plugin.configure(instance->self, fl_settings_config(instance->settings), &err);
    if (rc != FLAMENCO_OK)
        fl_instance_problem(instance, problems, "%s", err.text);
    return rc;
}

/* The member that an entry with `use:` names must be served by that instance, too. */
static int32_t check_use(fl_loader *loader, const fl_plugin_entry *entry, fl_config_problems *problems)
{
    const fl_instance *used = find_instance(loader, entry->used->name);
    if (used == NULL || used->n_provided == 0 || fl_instance_table(used, entry->member->service) != NULL)
        return FLAMENCO_OK; /* one that could not be loaded was complained of already */
    fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, entry->yaml_file, entry->line,
                          "plugins.%s: %s does not provide %s but %s", entry->member->name, entry->use,
                          entry->member->service, used->services);
    return FLAMENCO_E_INVALID;
}

/* Names those who need each other, from the one that was met twice round to itself. */
static int32_t refuse_circle(const fl_instance *met, const fl_instance *last, fl_config_problems *problems)
{
    char text[512] = "";
    for (const fl_instance *at = last; at != NULL; at = at == met ? NULL : at->needed_by) {
        char rest[sizeof(text)];
        snprintf(rest, sizeof(rest), "%s", text);
        snprintf(text, sizeof(text), "%.64s needs %.400s", at->entry->name, rest);
    }
    fl_instance_problem(met, problems, "plugins need each other in a circle: %s%s", text, met->entry->name);
    return FLAMENCO_E_INVALID;
}

static int32_t visit(fl_loader *loader, fl_instance *instance, const fl_instance *needed_by,
                     fl_config_problems *problems)
{
    int32_t rc = FLAMENCO_OK;
    if (instance->visited == 2)
        return FLAMENCO_OK;
    if (instance->visited == 1)
        return refuse_circle(instance, needed_by, problems);
    instance->visited = 1;
    instance->needed_by = needed_by;
    const flamenco_need *const *needs = instance->plugin.needs;
    for (size_t i = 0; needs != NULL && needs[i] != NULL; ++i) {
        char lacking[256];
        flamenco_need need;
        if (!fl_need_read(needs[i], &need))
            continue;
        fl_instance *provider = find_provider(loader, need.id);
        int32_t one = FLAMENCO_OK;
        if (provider != NULL && provider != instance)
            one = visit(loader, provider, instance, problems);
        if (provider == NULL && !need.optional) {
            fl_instance_problem(instance, problems, "it needs %s, which no enabled plugin provides", need.id);
            one = FLAMENCO_E_INVALID;
        } else if (provider != NULL && !need.optional && !fl_need_is_met(&need, provider, lacking, sizeof(lacking))) {
            fl_instance_problem(instance, problems, "it needs more than there is: %s", lacking);
            one = FLAMENCO_E_INVALID;
        }
        rc = rc != FLAMENCO_OK ? rc : one;
    }
    instance->visited = 2;
    loader->order[loader->n_order++] = instance;
    return rc;
}

static int32_t load_all(fl_loader *loader, const fl_loader_places *where, fl_config_problems *problems)
{
    int32_t rc = FLAMENCO_OK;
    for (size_t i = 0; i < loader->yaml->n_plugins; ++i) {
        const fl_plugin_entry *entry = &loader->yaml->plugins[i];
        if (!entry->enabled || entry->file == NULL)
            continue;
        fl_instance *instance = &loader->instances[loader->n_instances++];
        instance->loader = loader;
        instance->entry = entry;
        int32_t one =
            fl_instance_open(instance, (const char *const *)loader->directories, loader->n_directories, problems);
        if (one == FLAMENCO_OK)
            one = configure(instance, where, problems);
        rc = rc != FLAMENCO_OK ? rc : one;
    }
    for (size_t i = 0; i < loader->yaml->n_plugins; ++i) {
        const fl_plugin_entry *entry = &loader->yaml->plugins[i];
        int32_t one = entry->enabled && entry->used != NULL ? check_use(loader, entry, problems) : FLAMENCO_OK;
        rc = rc != FLAMENCO_OK ? rc : one;
    }
    for (size_t i = 0; i < loader->n_instances; ++i) {
        int32_t one = visit(loader, &loader->instances[i], NULL, problems);
        rc = rc != FLAMENCO_OK ? rc : one;
    }
    return rc;
}

int32_t fl_loader_load(struct flamenco *f, const fl_manager_yaml *yaml, const fl_loader_places *where,
                       fl_config_problems *problems, fl_loader **out)
{
    fl_loader *loader = calloc(1, sizeof(*loader));
    *out = loader;
    if (loader == NULL)
        return FLAMENCO_E_NOMEM;
    loader->f = f;
    loader->yaml = yaml;
    loader->instances = calloc(yaml->n_plugins + 1, sizeof(*loader->instances));
    loader->order = calloc(yaml->n_plugins + 1, sizeof(*loader->order));
    if (loader->instances == NULL || loader->order == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = list_directories(loader, where->places);
    return rc == FLAMENCO_OK ? load_all(loader, where, problems) : rc;
}

/* ---- Starting and stopping ------------------------------------------------------------------------------------------ */

#define SET_MEMBER(ref) \
    do { \
        (ref).table = table; \
        (ref).self = instance->self; \
    } while (0)

#define ADD_MEMBER(list, count) \
    do { \
        __typeof__(list) grown = realloc(list, ((count) + 1) * sizeof(*(list))); \
        if (grown == NULL) \
            return FLAMENCO_E_NOMEM; \
        (list) = grown; \
        (list)[count].table = table; \
        (list)[count].self = instance->self; \
        ++(count); \
    } while (0)

/* Puts the instance into the member of struct flamenco. */
static int32_t set_member(struct flamenco *f, const char *member, const fl_instance *instance, const void *table)
{
    if (strcmp(member, "persist") == 0)
        SET_MEMBER(f->persist);
    else if (strcmp(member, "task_scheduler") == 0)
        SET_MEMBER(f->task_scheduler);
    else if (strcmp(member, "job_compiler") == 0)
        SET_MEMBER(f->job_compiler);
    else if (strcmp(member, "state_machine") == 0)
        SET_MEMBER(f->state_machine);
    else if (strcmp(member, "log_storage") == 0)
        SET_MEMBER(f->log_storage);
    else if (strcmp(member, "local_storage") == 0)
        SET_MEMBER(f->local_storage);
    else if (strcmp(member, "clock") == 0)
        SET_MEMBER(f->clock);
    else if (strcmp(member, "broadcaster") == 0)
        SET_MEMBER(f->broadcaster);
    else if (strcmp(member, "farm_status") == 0)
        SET_MEMBER(f->farm_status);
    else if (strcmp(member, "job_deleter") == 0)
        SET_MEMBER(f->job_deleter);
    else if (strcmp(member, "shaman") == 0)
        SET_MEMBER(f->shaman);
    else if (strcmp(member, "last_rendered") == 0)
        SET_MEMBER(f->last_rendered);
    else if (strcmp(member, "sleep_scheduler") == 0)
        SET_MEMBER(f->sleep_scheduler);
    else if (strcmp(member, "event_forwarder") == 0)
        ADD_MEMBER(f->forwarders, f->n_forwarders);
    else if (strcmp(member, "discovery") == 0)
        ADD_MEMBER(f->discoveries, f->n_discoveries);
    else if (strcmp(member, "http_routes") == 0)
        ADD_MEMBER(f->routes, f->n_routes);
    return FLAMENCO_OK;
}

static int32_t note_member(fl_instance *instance, const char *name)
{
    char *all = NULL, *before = instance->members;
    if (asprintf(&all, "%s%s%s", before != NULL ? before : "", before != NULL ? " " : "", name) < 0)
        return FLAMENCO_E_NOMEM;
    free(before);
    instance->members = all;
    return FLAMENCO_OK;
}

/* Gives the instance to every member that it serves. A broadcaster's own pages come with it: without them nobody hears it. */
static int32_t set_members(fl_loader *loader, fl_instance *instance)
{
    int is_broadcaster = 0, has_routes = 0;
    for (size_t i = 0; i < loader->yaml->n_plugins; ++i) {
        const fl_plugin_entry *entry = &loader->yaml->plugins[i];
        if (!entry->enabled || (entry != instance->entry && entry->used != instance->entry))
            continue;
        const void *table = fl_instance_table(instance, entry->member->service);
        int32_t rc = set_member(loader->f, entry->member->name, instance, table);
        if (rc == FLAMENCO_OK)
            rc = note_member(instance, entry->member->name);
        if (rc != FLAMENCO_OK)
            return rc;
        is_broadcaster |= strcmp(entry->member->name, "broadcaster") == 0;
        has_routes |= strcmp(entry->member->name, "http_routes") == 0;
    }
    const void *routes = fl_instance_table(instance, FLAMENCO_HTTP_ROUTES);
    if (!is_broadcaster || has_routes || routes == NULL)
        return FLAMENCO_OK;
    int32_t rc = set_member(loader->f, "http_routes", instance, routes);
    return rc == FLAMENCO_OK ? note_member(instance, "http_routes") : rc;
}

static int32_t start_instance(fl_loader *loader, fl_instance *instance, flamenco_error *err)
{
    flamenco_error why = FLAMENCO_ERROR_INIT;
    if (instance->started)
        return FLAMENCO_OK;
    int32_t rc = instance->plugin.start(instance->self, &why);
    if (rc != FLAMENCO_OK)
        return flamenco_fail(err, rc, "plugins.%s: plugin %s: %s", instance->entry->member->name, instance->entry->file,
                             why.text);
    instance->started = 1;
    instance->stop_order = ++loader->stop_count;
    if (set_members(loader, instance) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the plugins");
    fl_debug("plugins", "%s started: %s %s, %s", instance->entry->name, instance->plugin.id, instance->plugin.version,
             instance->path);
    return FLAMENCO_OK;
}

int32_t fl_loader_start(fl_loader *loader, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (size_t i = 0; rc == FLAMENCO_OK && i < loader->n_order; ++i)
        rc = start_instance(loader, loader->order[i], err);
    return rc;
}

static int32_t start_with_needs(fl_loader *loader, fl_instance *instance, flamenco_error *err)
{
    const flamenco_need *const *needs = instance->plugin.needs;
    for (size_t i = 0; needs != NULL && needs[i] != NULL; ++i) {
        flamenco_need need;
        if (!fl_need_read(needs[i], &need))
            continue;
        fl_instance *provider = find_provider(loader, need.id);
        int32_t rc = FLAMENCO_OK;
        if (provider != NULL && provider != instance && !provider->started)
            rc = start_with_needs(loader, provider, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return start_instance(loader, instance, err);
}

int32_t fl_loader_start_member(fl_loader *loader, const char *member, flamenco_error *err)
{
    const fl_member *m = fl_member_find(flamenco_text(member));
    fl_instance *instance = m != NULL ? find_provider(loader, m->service) : NULL;
    if (instance == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "plugins.%s: no plugin serves this member", member);
    return start_with_needs(loader, instance, err);
}

void fl_loader_stop(fl_loader *loader, int64_t deadline_us)
{
    for (uint32_t order = loader->stop_count; order > 0; --order) {
        for (size_t i = 0; i < loader->n_instances; ++i) {
            fl_instance *instance = &loader->instances[i];
            flamenco_error err = FLAMENCO_ERROR_INIT;
            if (!instance->started || instance->stop_order != order)
                continue;
            fl_listeners_remove(loader->f->listeners, instance);
            if (instance->plugin.stop(instance->self, deadline_us, &err) != FLAMENCO_OK)
                fl_error(instance->entry->name, "did not stop cleanly: %s", err.text);
            instance->started = 0;
        }
    }
    loader->stop_count = 0;
}

static void destroy_instance(fl_instance *instance)
{
    if (instance->created)
        instance->plugin.destroy(instance->self);
    fl_settings_destroy(instance->settings);
    for (size_t i = 0; i < instance->n_provided; ++i) {
        if (instance->provided[i].service != NULL)
            free(instance->provided[i].table);
        free(instance->provided[i].id);
    }
    free(instance->provided);
    free(instance->services);
    free(instance->members);
    free(instance->path);
}

void fl_loader_destroy(fl_loader *loader)
{
    if (loader == NULL)
        return;
    for (size_t i = 0; i < loader->n_instances; ++i)
        destroy_instance(&loader->instances[i]);
    for (size_t i = 0; i < loader->n_directories; ++i)
        free(loader->directories[i]);
    free(loader->directories);
    free(loader->instances);
    free(loader->order);
    free(loader->path);
    free(loader);
}

/* ---- Lists ---------------------------------------------------------------------------------------------------------- */

size_t fl_loader_count(const fl_loader *loader)
{
    return loader->n_instances;
}

const char *fl_loader_main_setting(const fl_loader *loader, size_t index)
{
    const flamenco_setting *const *settings = loader->instances[index].plugin.settings;
    for (size_t i = 0; settings != NULL && settings[i] != NULL; ++i) {
        uint32_t type = settings[i]->type;
        if (settings[i]->reference_key == NULL && (type == FLAMENCO_SETTING_TEXT || type == FLAMENCO_SETTING_PATH))
            return settings[i]->key;
    }
    return NULL;
}

/* What one that could not be loaded does not have. */
static const char *text_or_dash(const char *text)
{
    return text != NULL ? text : "-";
}

fl_plugin_info fl_loader_info(const fl_loader *loader, size_t index)
{
    const fl_instance *instance = &loader->instances[index];
    return (fl_plugin_info){ .name = instance->entry->name,
                             .member = instance->entry->member->name,
                             .members = instance->members != NULL ? instance->members : instance->entry->member->name,
                             .id = text_or_dash(instance->plugin.id),
                             .version = text_or_dash(instance->plugin.version),
                             .licence = text_or_dash(instance->plugin.licence),
                             .file = text_or_dash(instance->path),
                             .services = text_or_dash(instance->services),
                             .enabled = 1 };
}

static int is_disabled(const fl_plugin_entry *entry)
{
    return !entry->enabled && entry->file != NULL && entry->use == NULL;
}

size_t fl_loader_count_disabled(const fl_loader *loader)
{
    size_t n = 0;
    for (size_t i = 0; i < loader->yaml->n_plugins; ++i)
        n += is_disabled(&loader->yaml->plugins[i]) != 0;
    return n;
}

fl_plugin_info fl_loader_info_disabled(const fl_loader *loader, size_t index)
{
    const fl_plugin_entry *entry = loader->yaml->plugins;
    for (;; ++entry) {
        if (is_disabled(entry) && index-- == 0)
            break;
    }
    return (fl_plugin_info){ .name = entry->name,
                             .member = entry->member->name,
                             .members = entry->member->name,
                             .id = "",
                             .version = "",
                             .licence = "",
                             .file = entry->file,
                             .services = entry->member->service };
}

void fl_loader_settings_json(const fl_loader *loader, size_t index, fl_buf *out)
{
    fl_settings_json(loader->instances[index].settings, out);
}

int32_t fl_loader_health(fl_loader *loader, size_t index, flamenco_error *err)
{
    fl_instance *instance = &loader->instances[index];
    if (!instance->started)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "not running");
    return instance->plugin.health != NULL ? instance->plugin.health(instance->self, err) : FLAMENCO_OK;
}

const char *fl_loader_path(const fl_loader *loader)
{
    return loader->path != NULL ? loader->path : "";
}
