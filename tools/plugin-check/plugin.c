/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - opens plugins, leads them through their phases, and finds those that the plugin under test needs.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/services.h"
#include "inner.h"

/* The manager's own plugin for each service that others need. */
static const struct {
    const char *service, *plugin;
} usual[] = {
    { "flamenco.persistence/1", "persist-sqlite" },      { "flamenco.clock/1", "clock-system" },
    { "flamenco.local_storage/1", "local-storage" },     { "flamenco.log_storage/1", "log-storage" },
    { "flamenco.state_machine/1", "state-machine" },     { "flamenco.task_scheduler/1", "scheduler-priority" },
    { "flamenco.job_compiler/1", "compiler-js" },        { "flamenco.last_rendered/1", "last-rendered" },
    { "flamenco.sleep_scheduler/1", "sleep-scheduler" }, { "flamenco.farm_status/1", "farm-status" },
    { "flamenco.job_deleter/1", "job-deleter" },         { "flamenco.shaman/1", "shaman" },
};

static const fl_service *known_service(const char *id)
{
    for (size_t i = 0; i < fl_services_count; ++i) {
        if (strcmp(fl_services[i].id, id) == 0)
            return &fl_services[i];
    }
    return NULL;
}

/* ---- Opening -------------------------------------------------------------------------------------------------------- */

const char *kit_descriptor_fault(const flamenco_plugin *found)
{
    if (found == NULL)
        return "flamenco_plugin_query returns NULL";
    if (found->struct_size < offsetof(flamenco_plugin, id))
        return "the descriptor's struct_size is too small";
    if (found->abi_major != FLAMENCO_ABI_MAJOR)
        return "the descriptor is of another major version of the ABI";
    if (found->struct_size < offsetof(flamenco_plugin, destroy) + sizeof(found->destroy))
        return "the descriptor ends before its functions do";
    if (found->id == NULL || found->version == NULL || found->licence == NULL)
        return "the descriptor lacks id, version or licence";
    if (found->create == NULL || found->configure == NULL || found->start == NULL || found->stop == NULL ||
        found->destroy == NULL)
        return "the descriptor lacks create, configure, start, stop or destroy";
    return NULL;
}

/* Copies the tables of services that this kit knows, so that methods that a plugin does not have are NULL. */
static void take_tables(kit_instance *i)
{
    kit_table **end = &i->tables;
    for (const flamenco_provide *const *p = i->plugin.provides; p != NULL && *p != NULL; ++p) {
        if ((*p)->struct_size < sizeof(**p) || (*p)->id == NULL || (*p)->table == NULL)
            kit_blocked("descriptor.services", "a service that it provides has no id or no table");
        const fl_service *service = known_service((*p)->id);
        kit_table *t = calloc(1, sizeof(*t));
        uint32_t size;
        memcpy(&size, (*p)->table, sizeof(size));
        EXPECT(t != NULL, "the check's memory is exhausted");
        t->id = (*p)->id;
        t->known = service != NULL;
        t->table = calloc(1, service != NULL ? service->table_size : sizeof(size));
        EXPECT(t->table != NULL, "the check's memory is exhausted");
        if (service != NULL) {
            uint32_t ours = (uint32_t)service->table_size;
            memcpy(t->table, (*p)->table, size < ours ? size : ours);
            memcpy(t->table, &ours, sizeof(ours));
            for (size_t m = 0; m < service->n_methods; ++m) {
                void *method;
                memcpy(&method, (const char *)t->table + service->methods[m].offset, sizeof(method));
                if (method == NULL && service->methods[m].required)
                    kit_blocked("descriptor.services", "%s lacks the method %s", t->id, service->methods[m].name);
            }
        }
        *end = t;
        end = &t->next;
    }
}

/* The manager refuses settings that are not declared, and so does the kit. */
static void check_settings(const kit_instance *i)
{
    char path[256], key[128];
    snprintf(path, sizeof(path), "%ssettings", i->section);
    for (size_t n = 0; kit_config_key(i->k->config, path, n, key, sizeof(key)) != NULL; ++n) {
        const flamenco_setting *const *s = i->plugin.settings;
        while (s != NULL && *s != NULL && ((*s)->key == NULL || strcmp((*s)->key, key) != 0))
            ++s;
        if (s == NULL || *s == NULL)
            kit_blocked("configuration", "%s has no setting \"%s\"", i->plugin.id, key);
    }
}

kit_instance *kit_open(kit *k, const char *path, const char *section)
{
    const flamenco_plugin *(*query)(void) = NULL;
    EXPECT(k->n_instances < KIT_INSTANCES, "the check has too many plugins open");
    kit_instance *i = calloc(1, sizeof(*i));
    EXPECT(i != NULL, "the check's memory is exhausted");
    i->k = k;
    i->dir = k->dir;
    snprintf(i->path, sizeof(i->path), "%s", path);
    snprintf(i->section, sizeof(i->section), "%s", section);
    i->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (i->handle == NULL)
        kit_blocked("symbols.resolved", "%s", dlerror());
    void *symbol = dlsym(i->handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query)); /* ISO C has no cast from object to function pointer */
    if (query == NULL)
        kit_blocked("symbols.exports", "it does not export flamenco_plugin_query");
    i->found = query();
    const char *fault = kit_descriptor_fault(i->found);
    if (fault != NULL)
        kit_blocked("descriptor.complete", "%s", fault);
    memcpy(&i->plugin, i->found, i->found->struct_size < sizeof(i->plugin) ? i->found->struct_size : sizeof(i->plugin));
    check_settings(i);
    take_tables(i);
    kit_host_init(i);
    kit_settings_init(i);
    k->instances[k->n_instances++] = i;
    return i;
}

kit_instance *kit_subject(kit *k)
{
    if (k->n_instances > 0 && k->instances[0]->section[0] == '\0')
        return k->instances[0];
    return kit_open(k, k->options->file, "");
}

const void *kit_table_of(const kit_instance *i, const char *service)
{
    for (const kit_table *t = i->tables; t != NULL; t = t->next) {
        if (strcmp(t->id, service) == 0)
            return t->table;
    }
    return NULL;
}

/* ---- Phases --------------------------------------------------------------------------------------------------------- */

static void set_phase(kit_instance *i, kit_phase phase)
{
    __atomic_store_n((uint32_t *)&i->phase, (uint32_t)phase, __ATOMIC_RELEASE);
}

int32_t kit_create(kit_instance *i, flamenco_error *err)
{
    set_phase(i, KIT_CREATE);
    int32_t rc = i->plugin.create(&i->host, &i->self, err);
    set_phase(i, KIT_CREATED);
    return rc;
}

int32_t kit_configure(kit_instance *i, flamenco_error *err)
{
    set_phase(i, KIT_CONFIGURE);
    int32_t rc = i->plugin.configure(i->self, &i->settings, err);
    set_phase(i, KIT_CONFIGURED);
    return rc;
}

int32_t kit_start(kit_instance *i, flamenco_error *err)
{
    set_phase(i, KIT_START);
    int32_t rc = i->plugin.start(i->self, err);
    i->started = ++i->k->starts;
    set_phase(i, rc == FLAMENCO_OK ? KIT_RUNNING : KIT_CONFIGURED);
    return rc;
}

/* Steps that wait hold a plugin's memory; the manager drops them before it stops the plugin. */
static void drop_steps(kit_instance *i)
{
    for (size_t n = 0; n < i->k->n_steps;) {
        kit_step *s = &i->k->steps[n];
        if (s->owner != i) {
            ++n;
            continue;
        }
        kit_step gone = *s;
        *s = i->k->steps[--i->k->n_steps];
        if (gone.step.destroy != NULL)
            gone.step.destroy(gone.step.ctx);
    }
}

int32_t kit_stop(kit_instance *i, flamenco_error *err)
{
    set_phase(i, KIT_STOP);
    int32_t rc = i->plugin.stop(i->self, i->host.monotonic_us(i) + 20 * KIT_SECOND, err);
    set_phase(i, KIT_STOPPED);
    drop_steps(i);
    return rc;
}

void kit_destroy(kit_instance *i)
{
    void *self = i->self;
    set_phase(i, KIT_DESTROY);
    i->self = NULL;
    i->plugin.destroy(self);
    set_phase(i, KIT_OPENED);
}

int32_t kit_try_start(kit_instance *i, flamenco_error *err)
{
    int32_t rc = kit_create(i, err);
    if (rc == FLAMENCO_OK)
        rc = kit_configure(i, err);
    if (rc == FLAMENCO_OK)
        rc = kit_start(i, err);
    if (rc != FLAMENCO_OK)
        kit_destroy(i);
    return rc;
}

void kit_end(kit_instance *i)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (kit_phase_of(i) == KIT_RUNNING) {
        int32_t rc = kit_stop(i, &err);
        EXPECT(rc == FLAMENCO_OK, "stop of %s gives %s: %s", i->plugin.id, kit_code_name(rc), err.text);
    }
    if (kit_phase_of(i) != KIT_OPENED)
        kit_destroy(i);
}

void kit_end_all(kit *k)
{
    for (;;) {
        kit_instance *last = NULL;
        for (size_t n = 0; n < k->n_instances; ++n) {
            kit_instance *i = k->instances[n];
            if (kit_phase_of(i) != KIT_OPENED && (last == NULL || i->started > last->started))
                last = i;
        }
        if (last == NULL)
            return;
        kit_end(last);
    }
}

/* ---- What it needs -------------------------------------------------------------------------------------------------- */

static int read_need(const flamenco_need *need, flamenco_need *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out, need, need->struct_size < sizeof(*out) ? need->struct_size : sizeof(*out));
    return out->id != NULL;
}

int kit_needs(const kit_instance *i, const char *service)
{
    for (const flamenco_need *const *n = i->plugin.needs; n != NULL && *n != NULL; ++n) {
        flamenco_need need;
        if (read_need(*n, &need) && strcmp(need.id, service) == 0)
            return 1;
    }
    return 0;
}

/* Looks for NAME.so in the folders, and for NAME/NAME.so, as they stand in a build tree. */
static int find_plugin(const kit *k, const char *name, char *out, size_t size)
{
    if (name[0] == '/') {
        snprintf(out, size, "%s", name);
        return 1;
    }
    for (const char *p = k->options->plugin_path; p[0] != '\0';) {
        size_t len = strcspn(p, ":");
        for (int form = 0; form < 2; ++form) {
            int n = form == 0 ? snprintf(out, size, "%.*s/%s.so", (int)len, p, name)
                              : snprintf(out, size, "%.*s/%s/%s.so", (int)len, p, name, name);
            if (n > 0 && (size_t)n < size && access(out, R_OK) == 0)
                return 1;
        }
        p += len;
        p += p[0] == ':';
    }
    return 0;
}

static void start_provider(kit_instance *for_whom, const char *service, int required)
{
    kit *k = for_whom->k;
    char section[160], key[256], path[4096];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    snprintf(section, sizeof(section), "plugins\x1f%s\x1f", service);
    snprintf(key, sizeof(key), "%sfile", section);
    const char *name = kit_config_get(k->config, key, 0);
    if (name == NULL && !required)
        return;
    for (size_t n = 0; name == NULL && n < sizeof(usual) / sizeof(usual[0]); ++n) {
        if (strcmp(usual[n].service, service) == 0)
            name = usual[n].plugin;
    }
    if (name == NULL || !find_plugin(k, name, path, sizeof(path)))
        kit_blocked("lifecycle.start", "it needs %s, and there is no plugin%s%s for that in %s (--plugin-path)",
                    service, name != NULL ? " " : "", name != NULL ? name : "", k->options->plugin_path);
    kit_instance *i = kit_open(k, path, section);
    kit_start_needs(i);
    int32_t rc = kit_try_start(i, &err);
    if (rc != FLAMENCO_OK)
        kit_blocked("lifecycle.start", "%s, which it needs, does not start: %s: %s", name, kit_code_name(rc), err.text);
}

static kit_instance *find_provider(kit *k, const char *service)
{
    for (size_t n = k->n_instances; n > 0; --n) {
        kit_instance *i = k->instances[n - 1];
        if (kit_phase_of(i) == KIT_RUNNING && kit_table_of(i, service) != NULL)
            return i;
    }
    return NULL;
}

void kit_start_needs(kit_instance *i)
{
    for (const flamenco_need *const *n = i->plugin.needs; n != NULL && *n != NULL; ++n) {
        flamenco_need need;
        if (!read_need(*n, &need))
            kit_blocked("descriptor.needs", "one of its needs has no id");
        if (find_provider(i->k, need.id) == NULL)
            start_provider(i, need.id, !need.optional);
    }
}

kit_instance *kit_provider(kit *k, const char *service)
{
    kit_instance *i = find_provider(k, service);
    if (i == NULL) {
        start_provider(kit_subject(k), service, 1);
        i = find_provider(k, service);
    }
    if (i == NULL)
        kit_blocked("lifecycle.start", "nothing provides %s", service);
    return i;
}

kit_instance *kit_start_subject(kit *k)
{
    kit_instance *i = kit_subject(k);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    kit_start_needs(i);
    int32_t rc = kit_try_start(i, &err);
    if (rc != FLAMENCO_OK)
        kit_blocked("lifecycle.start", "it does not start: %s: %s", kit_code_name(rc), err.text);
    return i;
}
