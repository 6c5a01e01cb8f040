/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.c - the keys of flamenco-manager.yaml, their defaults, and what is made of them after reading
 * (contract: configuration-and-clients 1.7 to 1.9). See reference.h.
 */
#include "core/config/reference.h"

#include <stdlib.h>

#include "core/base/str.h"
#include "core/config/paths.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_H (3600 * NS_PER_S)
#define AT(member) (uint32_t) offsetof(fl_reference, member)

// clang-format off
const fl_reference_field fl_reference_fields[FL_REFERENCE_FIELDS] = {
    [FL_REFERENCE_VERSION] = { "_meta.version", FL_REFERENCE_INT, AT(version), "Always 3." },
    [FL_REFERENCE_MANAGER_NAME] = { "manager_name", FL_REFERENCE_TEXT, AT(manager_name), "Shown in the web interface." },
    [FL_REFERENCE_DATABASE] = { "database", FL_REFERENCE_TEXT, AT(database),
        "Database file, relative to the working directory." },
    [FL_REFERENCE_DATABASE_CHECK_PERIOD] = { "database_check_period", FL_REFERENCE_DURATION, AT(database_check_period_ns),
        "How often the database is checked; 0 = only at start." },
    [FL_REFERENCE_LISTEN] = { "listen", FL_REFERENCE_TEXT, AT(listen), "Address and port of the web server." },
    [FL_REFERENCE_AUTODISCOVERABLE] = { "autodiscoverable", FL_REFERENCE_BOOL, AT(autodiscoverable),
        "Whether Workers can find the manager by themselves." },
    [FL_REFERENCE_LOCAL_STORAGE] = { "local_manager_storage_path", FL_REFERENCE_TEXT, AT(local_manager_storage_path),
        "Task logs and last rendered images." },
    [FL_REFERENCE_SHARED_STORAGE] = { "shared_storage_path", FL_REFERENCE_TEXT, AT(shared_storage_path),
        "Storage that all Workers can reach; empty = the setup assistant asks." },
    [FL_REFERENCE_SHAMAN_ENABLED] = { "shaman.enabled", FL_REFERENCE_BOOL, AT(shaman_enabled),
        "Whether artists' files are stored by their content." },
    [FL_REFERENCE_GC_PERIOD] = { "shaman.garbageCollect.period", FL_REFERENCE_DURATION, AT(gc_period_ns),
        "How often unused files are removed; 0 = never." },
    [FL_REFERENCE_GC_MAX_AGE] = { "shaman.garbageCollect.maxAge", FL_REFERENCE_DURATION, AT(gc_max_age_ns),
        "How long a file must have been unused." },
    [FL_REFERENCE_TASK_TIMEOUT] = { "task_timeout", FL_REFERENCE_DURATION, AT(task_timeout_ns),
        "An active task without any news for so long fails; 0 = never." },
    [FL_REFERENCE_WORKER_TIMEOUT] = { "worker_timeout", FL_REFERENCE_DURATION, AT(worker_timeout_ns),
        "A Worker not seen for so long is in error; 0 = never." },
    [FL_REFERENCE_BLOCKLIST_THRESHOLD] = { "blocklist_threshold", FL_REFERENCE_INT, AT(blocklist_threshold),
        "Failed tasks of one type and job after which a Worker gets no more of them." },
    [FL_REFERENCE_SOFTFAIL_COUNT] = { "task_fail_after_softfail_count", FL_REFERENCE_INT,
        AT(task_fail_after_softfail_count), "Workers that must fail a task before it counts as failed." },
    [FL_REFERENCE_MQTT_ENABLED] = { "mqtt.client.enabled", FL_REFERENCE_BOOL, AT(mqtt_enabled),
        "Whether events are sent to an MQTT broker." },
    [FL_REFERENCE_MQTT_BROKER] = { "mqtt.client.broker", FL_REFERENCE_TEXT, AT(mqtt_broker), "URL of the MQTT broker." },
    [FL_REFERENCE_MQTT_CLIENT_ID] = { "mqtt.client.clientID", FL_REFERENCE_TEXT, AT(mqtt_client_id), "Name towards the broker." },
    [FL_REFERENCE_MQTT_TOPIC_PREFIX] = { "mqtt.client.topic_prefix", FL_REFERENCE_TEXT, AT(mqtt_topic_prefix),
        "Put in front of every topic." },
    [FL_REFERENCE_MQTT_USERNAME] = { "mqtt.client.username", FL_REFERENCE_TEXT, AT(mqtt_username), "User name at the broker." },
    [FL_REFERENCE_MQTT_PASSWORD] = { "mqtt.client.password", FL_REFERENCE_TEXT, AT(mqtt_password), "Password at the broker." },
};

static const fl_reference_value blender_values[] = {
    { .audience = { "all", 3 }, .platform = { "linux", 5 }, .value = { "blender", 7 } },
    { .audience = { "all", 3 }, .platform = { "windows", 7 }, .value = { "blender.exe", 11 } },
    { .audience = { "all", 3 }, .platform = { "darwin", 6 }, .value = { "blender", 7 } },
};
static const fl_reference_value blender_args_values[] = {
    { .audience = { "all", 3 }, .platform = { "all", 3 }, .value = { "-b -y", 5 } },
};
static const fl_reference_variable default_variables[] = {
    { .name = { "blender", 7 }, .values = blender_values, .n_values = 3 },
    { .name = { "blenderArgs", 11 }, .values = blender_args_values, .n_values = 1 },
};
// clang-format on

int fl_reference_find(const char *key)
{
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i)
        if (strcmp(fl_reference_fields[i].key, key) == 0)
            return i;
    return -1;
}

int64_t fl_reference_number(const fl_reference *ref, int field)
{
    if (field < 0 || field >= FL_REFERENCE_FIELDS || fl_reference_fields[field].type == FL_REFERENCE_TEXT)
        return 0;
    int64_t value;
    memcpy(&value, (const char *)ref + fl_reference_fields[field].offset, sizeof(value));
    return value;
}

flamenco_str fl_reference_text(const fl_reference *ref, int field)
{
    flamenco_str text = { NULL, 0 };
    if (field >= 0 && field < FL_REFERENCE_FIELDS && fl_reference_fields[field].type == FL_REFERENCE_TEXT)
        memcpy(&text, (const char *)ref + fl_reference_fields[field].offset, sizeof(text));
    return text;
}

int fl_reference_is_top_key(flamenco_str key)
{
    if (fl_str_is(key, "variables"))
        return 1;
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i) {
        const char *name = fl_reference_fields[i].key;
        size_t len = strcspn(name, ".");
        if (key.len == len && memcmp(key.ptr, name, len) == 0)
            return 1;
    }
    return 0;
}

void fl_reference_defaults(fl_reference *ref)
{
    *ref = (fl_reference){
        .version = 3,
        .manager_name = FL_STR("Flamenco"),
        .database = FL_STR("flamenco-manager.sqlite"),
        .database_check_period_ns = 600 * NS_PER_S,
        .listen = FL_STR(":8080"),
        .autodiscoverable = 1,
        .local_manager_storage_path = FL_STR("./flamenco-manager-storage"),
        .shaman_enabled = strcmp(fl_path_own_platform(), "windows") != 0,
        .gc_period_ns = 24 * NS_PER_H,
        .gc_max_age_ns = 744 * NS_PER_H,
        .task_timeout_ns = 600 * NS_PER_S,
        .worker_timeout_ns = 60 * NS_PER_S,
        .blocklist_threshold = 3,
        .task_fail_after_softfail_count = 3,
        .mqtt_client_id = FL_STR("flamenco"),
        .mqtt_topic_prefix = FL_STR("flamenco"),
        .variables = default_variables,
        .n_variables = 2,
    };
}

/* ---- Post-processing ---- */

__attribute__((format(printf, 2, 3))) static void warn(fl_config_problems *problems, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(problems, FLAMENCO_LOG_WARN, NULL, 0, "%s", text);
}

/* Moves `platform` behind the list when both were given. */
static int32_t gather_platforms(fl_arena *arena, fl_reference_value *value)
{
    flamenco_str *list = fl_arena_alloc(arena, (value->n_platforms + 1) * sizeof(*list));
    if (list == NULL)
        return FLAMENCO_E_NOMEM;
    memcpy(list, value->platforms, value->n_platforms * sizeof(*list));
    list[value->n_platforms++] = value->platform;
    value->platforms = list;
    value->platform = (flamenco_str){ NULL, 0 };
    return FLAMENCO_OK;
}

static int32_t process_variable(fl_reference_variable *variable, fl_arena *arena, fl_config_problems *problems)
{
    if (variable->n_values == 0)
        return FLAMENCO_OK;
    fl_reference_value *values = fl_arena_alloc(arena, variable->n_values * sizeof(*values));
    if (values == NULL)
        return FLAMENCO_E_NOMEM;
    memcpy(values, variable->values, variable->n_values * sizeof(*values));
    variable->values = values;
    for (size_t i = 0; i < variable->n_values; ++i) {
        fl_reference_value *v = &values[i];
        if (v->platform.len == 0 && v->n_platforms == 0) {
            warn(problems, "variable \"%.*s\": value %zu has no platform, it is not used", FL_STR_ARGS(variable->name),
                 i + 1);
            continue;
        }
        if (v->platform.len > 0 && v->n_platforms > 0) {
            warn(problems, "variable \"%.*s\": value %zu has both platform and platforms", FL_STR_ARGS(variable->name),
                 i + 1);
            if (gather_platforms(arena, v) != FLAMENCO_OK)
                return FLAMENCO_E_NOMEM;
        }
        if (v->audience.len == 0)
            v->audience = FL_STR("all");
        else if (!fl_str_is(v->audience, "all") && !fl_str_is(v->audience, "workers") &&
                 !fl_str_is(v->audience, "users"))
            warn(problems, "variable \"%.*s\": nobody is in the audience \"%.*s\"; it is all, workers or users",
                 FL_STR_ARGS(variable->name), FL_STR_ARGS(v->audience));
    }
    return FLAMENCO_OK;
}

static void check_blender(const fl_reference *ref, fl_config_problems *problems)
{
    for (size_t i = 0; i < ref->n_variables; ++i) {
        const fl_reference_variable *v = &ref->variables[i];
        if (!fl_str_is(v->name, "blender"))
            continue;
        for (size_t k = 0; k < v->n_values; ++k)
            if (v->values[k].value.len == 0)
                warn(problems, "the variable \"blender\" has an empty value");
        return;
    }
    warn(problems, "there is no variable \"blender\", so jobs may not find Blender");
}

int32_t fl_reference_process(const fl_reference *raw, fl_arena *arena, flamenco_str cwd, fl_config_problems *problems,
                             fl_reference *out)
{
    fl_reference ref = *raw;
    fl_reference_variable *variables = fl_arena_alloc(arena, (raw->n_variables + 1) * sizeof(*variables));
    if (variables == NULL)
        return FLAMENCO_E_NOMEM;
    if (fl_path_is_unc(ref.shared_storage_path))
        warn(problems, "shared_storage_path: network paths (\\\\host\\share) do not work on this platform");
    if (ref.shared_storage_path.len > 0 &&
        fl_path_absolute(arena, cwd, ref.shared_storage_path, &ref.shared_storage_path) != FLAMENCO_OK)
        return FLAMENCO_E_NOMEM;
    ref.database = fl_str_trim(ref.database);
    ref.variables = variables;
    ref.n_variables = 0;
    for (size_t i = 0; i < raw->n_variables; ++i) {
        if (fl_str_is(raw->variables[i].name, "jobs")) {
            warn(problems, "the variable \"jobs\" is built in, the configured one is not used");
            continue;
        }
        fl_reference_variable *v = &variables[ref.n_variables++];
        *v = raw->variables[i];
        if (process_variable(v, arena, problems) != FLAMENCO_OK)
            return FLAMENCO_E_NOMEM;
    }
    check_blender(&ref, problems);
    *out = ref;
    return FLAMENCO_OK;
}

int32_t fl_reference_storage(const fl_reference *ref, fl_arena *arena, flamenco_str cwd, int shaman_loaded,
                             flamenco_str *out)
{
    flamenco_str path = ref->shared_storage_path;
    if (ref->shaman_enabled && shaman_loaded) {
        path = fl_arena_printf(arena, "%.*s%sjobs", FL_STR_ARGS(path), path.len > 0 ? "/" : "");
        if (path.ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    return fl_path_absolute(arena, cwd, path, out);
}

/* ---- Setup assistant ---- */

static int compare_names(const void *a, const void *b)
{
    flamenco_str s = ((const fl_reference_variable *)a)->name, t = ((const fl_reference_variable *)b)->name;
    size_t n = (size_t)(s.len < t.len ? s.len : t.len);
    int order = n > 0 ? memcmp(s.ptr, t.ptr, n) : 0;
    return order != 0 ? order : (s.len > t.len) - (s.len < t.len);
}

int32_t fl_reference_setup(const fl_reference *ref, fl_arena *arena, flamenco_str storage, flamenco_str blender,
                           fl_reference *out)
{
    static const char *const platforms[] = { "linux", "windows", "darwin" };
    fl_reference next = *ref;
    fl_reference_variable *variables = fl_arena_alloc(arena, (ref->n_variables + 2) * sizeof(*variables));
    fl_reference_value *values = fl_arena_alloc(arena, 3 * sizeof(*values));
    next.shared_storage_path = fl_arena_copy(arena, storage);
    flamenco_str command = fl_arena_copy(arena, blender);
    if (variables == NULL || values == NULL || next.shared_storage_path.ptr == NULL || command.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    next.variables = variables;
    next.n_variables = 0;
    for (size_t i = 0; i < ref->n_variables; ++i)
        if (!fl_str_is(ref->variables[i].name, "blender") && !fl_str_is(ref->variables[i].name, "blenderArgs"))
            variables[next.n_variables++] = ref->variables[i];
    for (size_t i = 0; i < 3; ++i)
        values[i] = (fl_reference_value){ .platform = flamenco_text(platforms[i]), .value = command };
    variables[next.n_variables++] =
        (fl_reference_variable){ .name = FL_STR("blender"), .values = values, .n_values = 3 };
    variables[next.n_variables++] = default_variables[1];
    qsort(variables, next.n_variables, sizeof(*variables), compare_names);
    *out = next;
    return FLAMENCO_OK;
}
