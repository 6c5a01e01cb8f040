/* SPDX-License-Identifier: Apache-2.0
 *
 * loader_check.c - finds a plugin's file, maps it, and trusts nothing in its descriptor before it was looked at (anchors 7,
 * rules 1 to 6 and 19).
 */
#include "core/loader_impl.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"

#define PROVIDES_AT_MOST 32u

const fl_service *fl_service_find(const char *id)
{
    for (size_t i = 0; i < fl_services_count; ++i) {
        if (strcmp(fl_services[i].id, id) == 0)
            return &fl_services[i];
    }
    return NULL;
}

void fl_instance_problem(const fl_instance *instance, fl_config_problems *problems, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const fl_plugin_entry *entry = instance->entry;
    fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, entry->yaml_file, entry->line, "plugins.%s: plugin %s: %s",
                          entry->member->name, entry->file, text);
}

/* Finds the file. Bare names are looked up in the directories; anything with a slash must be absolute. */
static int32_t find_file(fl_instance *instance, const char *const *directories, size_t n, fl_config_problems *problems)
{
    const char *file = instance->entry->file;
    char path[PATH_MAX];
    if (file[0] == '/') {
        instance->path = strdup(file);
        return instance->path != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
    }
    if (strchr(file, '/') != NULL) {
        fl_instance_problem(instance, problems, "the file must be a bare name or an absolute path");
        return FLAMENCO_E_INVALID;
    }
    char looked[1024] = "";
    for (size_t i = 0; i < n; ++i) {
        /* In the build tree each plugin has a folder of its own. */
        const char *const forms[] = { "%s/%s.so", "%s/%s/%s.so" };
        for (size_t form = 0; form < 2; ++form) {
            int len = snprintf(path, sizeof(path), forms[form], directories[i], file, file);
            if (len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0) {
                instance->path = strdup(path);
                return instance->path != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
            }
        }
        size_t used = strlen(looked);
        snprintf(looked + used, sizeof(looked) - used, "%s%s", used > 0 ? ", " : "", directories[i]);
    }
    fl_instance_problem(instance, problems, "there is no %s.so in %s", file, looked);
    return FLAMENCO_E_INVALID;
}

static int32_t check_file(const fl_instance *instance, fl_config_problems *problems)
{
    struct stat st;
    if (stat(instance->path, &st) != 0) {
        fl_instance_problem(instance, problems, "%s: %s", instance->path, strerror(errno));
        return FLAMENCO_E_INVALID;
    }
    if (!S_ISREG(st.st_mode)) {
        fl_instance_problem(instance, problems, "%s is not a file", instance->path);
        return FLAMENCO_E_INVALID;
    }
    if (st.st_mode & S_IWOTH) {
        fl_instance_problem(instance, problems, "%s may be written by everybody; run chmod o-w on it", instance->path);
        return FLAMENCO_E_INVALID;
    }
    return FLAMENCO_OK;
}

static int32_t map_file(fl_instance *instance, const flamenco_plugin **out, fl_config_problems *problems)
{
    instance->handle = dlopen(instance->path, RTLD_NOW | RTLD_LOCAL);
    if (instance->handle == NULL) {
        const char *why = dlerror();
        fl_instance_problem(instance, problems, "cannot be loaded: %s", why != NULL ? why : "unknown reason");
        return FLAMENCO_E_INVALID;
    }
    const flamenco_plugin *(*query)(void) = NULL;
    void *symbol = dlsym(instance->handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query)); /* ISO C has no cast from object to function pointer */
    if (query == NULL) {
        fl_instance_problem(instance, problems, "%s does not export flamenco_plugin_query: no plugin of this manager",
                            instance->path);
        return FLAMENCO_E_INVALID;
    }
    *out = query();
    if (*out == NULL) {
        fl_instance_problem(instance, problems, "flamenco_plugin_query returned nothing");
        return FLAMENCO_E_INVALID;
    }
    return FLAMENCO_OK;
}

static int32_t check_descriptor(fl_instance *instance, const flamenco_plugin *found, fl_config_problems *problems)
{
    if (found->struct_size < offsetof(flamenco_plugin, id)) {
        fl_instance_problem(instance, problems, "its descriptor is damaged (size %u)", found->struct_size);
        return FLAMENCO_E_INVALID;
    }
    if (found->abi_major != FLAMENCO_ABI_MAJOR) {
        fl_instance_problem(instance, problems, "built for plugin ABI %u.%u, this manager has %u.%u: build it anew",
                            found->abi_major, found->abi_minor, FLAMENCO_ABI_MAJOR, FLAMENCO_ABI_MINOR);
        return FLAMENCO_E_INVALID;
    }
    size_t size = found->struct_size < sizeof(*found) ? found->struct_size : sizeof(*found);
    memset(&instance->plugin, 0, sizeof(instance->plugin));
    memcpy(&instance->plugin, found, size);
    const flamenco_plugin *p = &instance->plugin;
    if (p->id == NULL || p->version == NULL || p->licence == NULL) {
        fl_instance_problem(instance, problems, "its descriptor lacks id, version or licence");
        return FLAMENCO_E_INVALID;
    }
    const struct {
        const char *name;
        int present;
    } functions[] = { { "create", p->create != NULL },
                      { "configure", p->configure != NULL },
                      { "start", p->start != NULL },
                      { "stop", p->stop != NULL },
                      { "destroy", p->destroy != NULL } };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); ++i) {
        if (!functions[i].present) {
            fl_instance_problem(instance, problems, "its descriptor lacks the function %s", functions[i].name);
            return FLAMENCO_E_INVALID;
        }
    }
    return FLAMENCO_OK;
}

/* Copies the table of a service that this host knows, and names what is missing in it. */
static int32_t take_table(fl_instance *instance, fl_provided *provided, const void *table, fl_config_problems *problems)
{
    const fl_service *service = provided->service;
    uint32_t size;
    int32_t rc = FLAMENCO_OK;
    memcpy(&size, table, sizeof(size));
    provided->table = calloc(1, service->table_size);
    if (provided->table == NULL)
        return FLAMENCO_E_NOMEM;
    memcpy(provided->table, table, size < service->table_size ? size : service->table_size);
    uint32_t host_size = (uint32_t)service->table_size;
    memcpy(provided->table, &host_size, sizeof(host_size));
    for (size_t i = 0; i < service->n_methods; ++i) {
        void *method = NULL;
        char *slot = (char *)provided->table + service->methods[i].offset;
        /* A table that ends within a slot has given a part of a pointer. */
        if (service->methods[i].offset + sizeof(method) > size)
            memset(slot, 0, sizeof(method));
        memcpy(&method, slot, sizeof(method));
        if (method == NULL && service->methods[i].required) {
            fl_instance_problem(instance, problems, "%s lacks the required method %s", service->id,
                                service->methods[i].name);
            rc = FLAMENCO_E_INVALID;
        }
    }
    return rc;
}

static int32_t take_service(fl_instance *instance, const flamenco_provide *provide, fl_config_problems *problems)
{
    fl_provided *provided = &instance->provided[instance->n_provided];
    if (provide->struct_size < sizeof(*provide) || provide->id == NULL || provide->table == NULL) {
        fl_instance_problem(instance, problems, "one of the services that it provides has no id or no table");
        return FLAMENCO_E_INVALID;
    }
    for (size_t i = 0; i < instance->n_provided; ++i) {
        const char *before = instance->provided[i].id;
        if (before != NULL && strcmp(before, provide->id) == 0) {
            fl_instance_problem(instance, problems, "it provides %s twice", provide->id);
            return FLAMENCO_E_INVALID;
        }
    }
    provided->id = strdup(provide->id);
    if (provided->id == NULL)
        return FLAMENCO_E_NOMEM;
    ++instance->n_provided;
    provided->service = fl_service_find(provide->id);
    if (provided->service != NULL)
        return take_table(instance, provided, provide->table, problems);
    memcpy(&provided->table, &provide->table, sizeof(provided->table));
    return FLAMENCO_OK;
}

static int32_t take_services(fl_instance *instance, fl_config_problems *problems)
{
    size_t n = 0;
    int32_t rc = FLAMENCO_OK;
    const flamenco_provide *const *provides = instance->plugin.provides;
    while (provides != NULL && provides[n] != NULL && n < PROVIDES_AT_MOST)
        ++n;
    instance->provided = calloc(n + 1, sizeof(*instance->provided));
    if (instance->provided == NULL)
        return FLAMENCO_E_NOMEM;
    for (size_t i = 0; i < n; ++i) {
        int32_t one = take_service(instance, provides[i], problems);
        rc = rc != FLAMENCO_OK ? rc : one;
    }
    fl_buf text = { 0 };
    for (size_t i = 0; i < instance->n_provided; ++i) {
        fl_buf_add_text(&text, i > 0 ? " " : "");
        fl_buf_add_text(&text, instance->provided[i].id);
    }
    fl_buf_add_char(&text, '\0');
    instance->services = text.failed ? NULL : text.data; /* malloc'ed, and ours from now on */
    if (instance->services == NULL) {
        fl_buf_fini(&text);
        return FLAMENCO_E_NOMEM;
    }
    return rc;
}

int fl_need_read(const flamenco_need *need, flamenco_need *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out, need, need->struct_size < sizeof(*out) ? need->struct_size : sizeof(*out));
    return out->id != NULL;
}

static const fl_provided *find_provided(const fl_instance *instance, const char *service_id)
{
    for (size_t i = 0; i < instance->n_provided; ++i) {
        if (strcmp(instance->provided[i].id, service_id) == 0)
            return &instance->provided[i];
    }
    return NULL;
}

int fl_need_is_met(const flamenco_need *need, const fl_instance *provider, char *lacking, size_t size)
{
    const fl_provided *provided = find_provided(provider, need->id);
    if (provided == NULL || need->least_table_size == 0)
        return 1; /* that it is not there at all was complained of already */
    uint32_t has;
    memcpy(&has, provided->table, sizeof(has));
    const fl_service *service = provided->service;
    if (has < need->least_table_size) {
        snprintf(lacking, size, "%s of %s has %u bytes, %u are wanted: it is too old", need->id,
                 service != NULL ? "this manager" : provider->entry->file, has, need->least_table_size);
        return 0;
    }
    for (size_t i = 0; service != NULL && i < service->n_methods; ++i) {
        const fl_service_method *method = &service->methods[i];
        void *function;
        memcpy(&function, (const char *)provided->table + method->offset, sizeof(function));
        if (function == NULL && method->offset + sizeof(function) <= need->least_table_size) {
            snprintf(lacking, size, "%s of %s lacks the method %s", need->id, provider->entry->file, method->name);
            return 0;
        }
    }
    return 1;
}

static int32_t check_needs(const fl_instance *instance, fl_config_problems *problems)
{
    const flamenco_need *const *needs = instance->plugin.needs;
    for (size_t i = 0; needs != NULL && needs[i] != NULL; ++i) {
        flamenco_need need;
        if (fl_need_read(needs[i], &need))
            continue;
        fl_instance_problem(instance, problems, "one of the services that it needs has no id");
        return FLAMENCO_E_INVALID;
    }
    return FLAMENCO_OK;
}

int32_t fl_instance_open(fl_instance *instance, const char *const *directories, size_t n_directories,
                         fl_config_problems *problems)
{
    const flamenco_plugin *found = NULL;
    int32_t rc = find_file(instance, directories, n_directories, problems);
    if (rc == FLAMENCO_OK)
        rc = check_file(instance, problems);
    if (rc == FLAMENCO_OK)
        rc = map_file(instance, &found, problems);
    if (rc == FLAMENCO_OK)
        rc = check_descriptor(instance, found, problems);
    if (rc == FLAMENCO_OK)
        rc = take_services(instance, problems);
    if (rc == FLAMENCO_OK)
        rc = check_needs(instance, problems);
    if (rc == FLAMENCO_OK && fl_instance_table(instance, instance->entry->member->service) == NULL) {
        fl_instance_problem(instance, problems, "it does not provide %s but %s", instance->entry->member->service,
                            instance->services[0] != '\0' ? instance->services : "nothing");
        rc = FLAMENCO_E_INVALID;
    }
    return rc;
}

const void *fl_instance_table(const fl_instance *instance, const char *service_id)
{
    const fl_provided *provided = find_provided(instance, service_id);
    return provided != NULL ? provided->table : NULL;
}
