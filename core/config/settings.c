/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - a plugin instance's settings. See settings.h.
 */
#include "core/config/settings.h"

#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/config/paths.h"

typedef struct slot {
    flamenco_setting setting; /* a copy of at most our size */
    fl_setting_value value;
    int field; /* of fl_reference, or -1 */
    flamenco_str place;
} slot;

struct fl_settings {
    flamenco_config config;
    fl_arena *arena;
    fl_config *live;
    const char *instance;
    flamenco_str cwd;
    slot *slots;
    size_t n;
};

static int is_list(uint32_t type)
{
    return type == FLAMENCO_SETTING_TEXT_LIST || type == FLAMENCO_SETTING_PATH_LIST;
}

static int is_text(uint32_t type)
{
    return type == FLAMENCO_SETTING_TEXT || type == FLAMENCO_SETTING_CHOICE || type == FLAMENCO_SETTING_PATH;
}

static int is_integer(uint32_t type)
{
    return type == FLAMENCO_SETTING_INT || type == FLAMENCO_SETTING_BOOL || type == FLAMENCO_SETTING_DURATION ||
           type == FLAMENCO_SETTING_BYTES;
}

/* ---- What a live setting has now ---- */

static int64_t clamp(const flamenco_setting *setting, int64_t value)
{
    if (fl_setting_in_range(setting, value))
        return value;
    return value < setting->min ? setting->min : setting->max;
}

static int64_t live_integer(const fl_settings *s, const slot *e)
{
    const fl_config_snapshot *now = fl_config_current(s->live);
    int64_t value = fl_reference_number(now->ref, e->field);
    fl_config_unref(now);
    if (e->setting.type == FLAMENCO_SETTING_DURATION)
        value /= 1000;
    return clamp(&e->setting, value);
}

/* Texts of a snapshot end with it, so what is handed out is interned. */
static flamenco_str live_text(const fl_settings *s, const slot *e)
{
    const fl_config_snapshot *now = fl_config_current(s->live);
    flamenco_str text = fl_reference_text(now->ref, e->field), result = { NULL, 0 };
    fl_arena *arena = NULL;
    if (e->setting.type == FLAMENCO_SETTING_PATH && e->field == FL_REFERENCE_LOCAL_STORAGE) {
        text = now->local_storage;
    } else if (e->setting.type == FLAMENCO_SETTING_PATH && text.len > 0 && !fl_str_starts(text, "file:")) {
        arena = fl_arena_create(0);
        if (arena == NULL || fl_path_absolute(arena, s->cwd, text, &text) != FLAMENCO_OK)
            goto cleanup;
    }
    result = fl_config_intern(s->live, text);
cleanup:
    fl_arena_destroy(arena);
    fl_config_unref(now);
    return result;
}

/* ---- The accessors ---- */

static const slot *find_slot(const fl_settings *s, const char *key)
{
    for (size_t i = 0; i < s->n; ++i)
        if (key != NULL && strcmp(s->slots[i].setting.key, key) == 0)
            return &s->slots[i];
    fl_error(s->instance, "defect of the plugin: it asks for a setting \"%s\" that it does not declare",
             key != NULL ? key : "(null)");
    return NULL;
}

static const slot *find_typed(const fl_settings *s, const char *key, int (*fits)(uint32_t), const char *what)
{
    const slot *e = find_slot(s, key);
    if (e == NULL || fits(e->setting.type))
        return e;
    fl_error(s->instance, "defect of the plugin: it asks for %s of the setting \"%s\", which is declared as %s", what,
             key, fl_setting_type_key(e->setting.type));
    return NULL;
}

static int is_real(uint32_t type)
{
    return type == FLAMENCO_SETTING_REAL;
}

static flamenco_str get_text(const void *c, const char *key)
{
    const fl_settings *s = c;
    const slot *e = find_typed(s, key, is_text, "the text");
    if (e == NULL)
        return (flamenco_str){ NULL, 0 };
    return e->field >= 0 ? live_text(s, e) : e->value.text;
}

static int64_t get_integer(const void *c, const char *key)
{
    const fl_settings *s = c;
    const slot *e = find_typed(s, key, is_integer, "the number");
    if (e == NULL)
        return 0;
    return e->field >= 0 ? live_integer(s, e) : e->value.integer;
}

static double get_real(const void *c, const char *key)
{
    const slot *e = find_typed(c, key, is_real, "the number");
    return e != NULL ? e->value.real : 0.0;
}

static uint64_t get_count(const void *c, const char *key)
{
    const slot *e = find_typed(c, key, is_list, "the list");
    return e != NULL ? e->value.n_items : 0;
}

static flamenco_str get_item(const void *c, const char *key, uint64_t index)
{
    const slot *e = find_typed(c, key, is_list, "an item");
    if (e == NULL || index >= e->value.n_items)
        return (flamenco_str){ NULL, 0 };
    return e->value.items[index];
}

static uint32_t get_given(const void *c, const char *key)
{
    const fl_settings *s = c;
    const slot *e = find_slot(s, key);
    if (e == NULL || e->field < 0)
        return e != NULL ? e->value.given : 0;
    const fl_config_snapshot *now = fl_config_current(s->live);
    uint32_t given = now->raw->origin[e->field].given;
    fl_config_unref(now);
    return given;
}

static flamenco_str get_place(const void *c, const char *key)
{
    const fl_settings *s = c;
    const slot *e = find_slot(s, key);
    char text[512];
    if (e == NULL || e->field < 0)
        return e != NULL ? e->place : (flamenco_str){ NULL, 0 };
    const fl_config_snapshot *now = fl_config_current(s->live);
    const fl_reference_origin *origin = &now->raw->origin[e->field];
    if (origin->file != NULL)
        snprintf(text, sizeof(text), "%s:%u", origin->file, origin->line);
    else
        snprintf(text, sizeof(text), "%s%s", e->setting.reference_key, origin->given ? "" : " (default)");
    fl_config_unref(now);
    return fl_config_intern(s->live, flamenco_text(text));
}

/* ---- Making ---- */

typedef struct maker {
    fl_settings *s;
    const fl_plugin_entry *entry;
    const char *member; /* messages speak of plugins.MEMBER.settings.KEY */
    fl_config *config;
    fl_config_problems *problems;
    int32_t rc;
} maker;

__attribute__((format(printf, 3, 4))) static void fail_at(maker *m, uint32_t line, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(m->problems, FLAMENCO_LOG_ERROR, line > 0 ? m->entry->yaml_file : NULL, line, "%s", text);
    if (m->rc == FLAMENCO_OK)
        m->rc = FLAMENCO_E_INVALID;
}

/* What the plugin itself got wrong: told at its entry. */
__attribute__((format(printf, 2, 3))) static void fail_plugin(maker *m, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(m->problems, FLAMENCO_LOG_ERROR, m->entry->yaml_file, m->entry->line,
                          "plugins.%s: plugin %s: defect of the plugin: %s", m->member,
                          m->entry->file != NULL ? m->entry->file : m->entry->name, text);
    if (m->rc == FLAMENCO_OK)
        m->rc = FLAMENCO_E_INVALID;
}

static int is_key(const char *key)
{
    return key != NULL && key[0] != '\0' && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(key);
}

static int fits_field(uint32_t setting, uint32_t field)
{
    switch (field) {
    case FL_REFERENCE_INT:
        return setting == FLAMENCO_SETTING_INT;
    case FL_REFERENCE_BOOL:
        return setting == FLAMENCO_SETTING_BOOL;
    case FL_REFERENCE_DURATION:
        return setting == FLAMENCO_SETTING_DURATION;
    default:
        return is_text(setting);
    }
}

/* Checks a declaration by itself; what is wrong is a defect of the plugin. Returns 0 when it cannot be used. */
static int take_declaration(maker *m, const flamenco_setting *declared, slot *e)
{
    memset(e, 0, sizeof(*e));
    e->field = -1;
    size_t size = declared->struct_size < sizeof(e->setting) ? declared->struct_size : sizeof(e->setting);
    memcpy(&e->setting, declared, size);
    if (!is_key(e->setting.key)) {
        fail_plugin(m, "a setting has a bad key \"%.64s\"", e->setting.key != NULL ? e->setting.key : "(null)");
        return 0;
    }
    for (size_t i = 0; i < m->s->n; ++i) {
        if (strcmp(m->s->slots[i].setting.key, e->setting.key) == 0) {
            fail_plugin(m, "it declares the setting \"%s\" twice", e->setting.key);
            return 0;
        }
    }
    if (e->setting.type < FLAMENCO_SETTING_TEXT || e->setting.type > FLAMENCO_SETTING_PATH_LIST) {
        fail_plugin(m, "the setting \"%s\" has the unknown type %u", e->setting.key, e->setting.type);
        return 0;
    }
    if (e->setting.reference_key == NULL)
        return 1;
    e->field = m->config != NULL ? fl_reference_find(e->setting.reference_key) : -1;
    if (e->field < 0 || !fits_field(e->setting.type, fl_reference_fields[e->field].type)) {
        fail_plugin(m, "the setting \"%s\" wants the key \"%.64s\", which %s", e->setting.key, e->setting.reference_key,
                    e->field < 0 ? "does not exist" : "has another type");
        return 0;
    }
    return 1;
}

static void take_value(maker *m, slot *e)
{
    char what[160];
    const fl_plugin_entry *given = m->entry;
    const fl_yaml_node *node = fl_yaml_get(given->settings, e->setting.key);
    int32_t rc;
    snprintf(what, sizeof(what), "plugins.%.60s.settings.%.80s", m->member, e->setting.key);
    if (!fl_yaml_is_null(node)) {
        rc = fl_setting_read(&e->setting, node, given->yaml_file, what, m->s->cwd, m->s->arena, m->problems, &e->value);
        e->place = fl_arena_printf(m->s->arena, "%s:%u", given->yaml_file, node->line);
    } else {
        fl_config_problems found = { 0 };
        rc = fl_setting_default(&e->setting, what, m->s->cwd, m->s->arena, &found, &e->value);
        if (found.count > 0)
            fail_plugin(m, "%s", found.items[0].text);
        fl_config_problems_fini(&found);
        e->place = fl_arena_printf(m->s->arena, "%s (default)", what);
        if (rc == FLAMENCO_OK && (e->setting.flags & FLAMENCO_SETTING_REQUIRED) != 0)
            fail_at(m, given->settings != NULL ? given->settings->line : given->line, "%s is missing: %s is wanted",
                    what, fl_setting_type_name(e->setting.type));
    }
    if (e->place.ptr == NULL)
        rc = FLAMENCO_E_NOMEM;
    if (rc != FLAMENCO_OK)
        m->rc = rc;
}

/* A value that the reference would take is never refused, since its file must load here; it is cut to the range. */
static void check_live(maker *m, const slot *e)
{
    const fl_config_snapshot *now = fl_config_current(m->config);
    const fl_reference_origin *origin = &now->raw->origin[e->field];
    char limits[128];
    if (is_integer(e->setting.type)) {
        int64_t value = fl_reference_number(now->ref, e->field);
        value = e->setting.type == FLAMENCO_SETTING_DURATION ? value / 1000 : value;
        if (!fl_setting_in_range(&e->setting, value))
            fl_config_problem_add(m->problems, FLAMENCO_LOG_WARN, origin->file, origin->line,
                                  "%s: out of range, the nearest of %s is taken", e->setting.reference_key,
                                  fl_setting_limits(&e->setting, limits, sizeof(limits)));
    } else if ((e->setting.flags & FLAMENCO_SETTING_REQUIRED) != 0 && fl_reference_text(now->ref, e->field).len == 0) {
        fl_config_problem_add(m->problems, FLAMENCO_LOG_ERROR, origin->file, origin->line, "%s: must not be empty",
                              e->setting.reference_key);
        m->rc = FLAMENCO_E_INVALID;
    }
    fl_config_unref(now);
}

static void list_known(const fl_settings *s, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < s->n && n < size; ++i)
        if (s->slots[i].field < 0)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "", s->slots[i].setting.key);
    if (n == 0)
        snprintf(out, size, "none");
}

static void check_unknown(maker *m)
{
    const fl_yaml_node *node = m->entry->settings;
    for (size_t i = 0; node != NULL && i < node->count; ++i) {
        const fl_yaml_node *key = node->pairs[i].key;
        const slot *found = NULL;
        char known[300];
        for (size_t k = 0; k < m->s->n && found == NULL; ++k)
            if (fl_str_is(key->text, m->s->slots[k].setting.key))
                found = &m->s->slots[k];
        list_known(m->s, known, sizeof(known));
        if (found == NULL)
            fail_at(m, key->line, "unknown setting \"plugins.%s.settings.%.64s\"; known are %s", m->member,
                    key->text.ptr, known);
        else if (found->field >= 0)
            fail_at(m, key->line,
                    "plugins.%s.settings.%s has its place in flamenco-manager.yaml, or at the top of this "
                    "file, as %s",
                    m->member, found->setting.key, found->setting.reference_key);
    }
}

static void fill(maker *m, const flamenco_setting *const *declared)
{
    size_t n = 0;
    while (declared != NULL && declared[n] != NULL)
        ++n;
    m->s->slots = fl_arena_alloc(m->s->arena, (n + 1) * sizeof(*m->s->slots));
    if (m->s->slots == NULL) {
        m->rc = FLAMENCO_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < n; ++i) {
        slot *e = &m->s->slots[m->s->n];
        if (!take_declaration(m, declared[i], e))
            continue;
        if (e->field < 0)
            take_value(m, e);
        else
            check_live(m, e);
        ++m->s->n;
    }
    check_unknown(m);
}

int32_t fl_settings_create(const flamenco_plugin *plugin, const fl_plugin_entry *entry, fl_config *config,
                           flamenco_str cwd, fl_config_problems *problems, fl_settings **out)
{
    fl_settings *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return FLAMENCO_E_NOMEM;
    maker m = { s, entry, entry->member->name, config, problems, FLAMENCO_OK };
    s->arena = fl_arena_create(0);
    s->live = config;
    s->instance = entry->name;
    if (s->arena != NULL)
        s->cwd = fl_arena_copy(s->arena, cwd);
    if (s->cwd.ptr == NULL)
        m.rc = FLAMENCO_E_NOMEM;
    else
        fill(&m, plugin->settings);
    if (m.rc != FLAMENCO_OK) {
        fl_settings_destroy(s);
        return m.rc;
    }
    s->config = (flamenco_config){ .struct_size = (uint32_t)sizeof(s->config),
                                   .c = s,
                                   .text = get_text,
                                   .integer = get_integer,
                                   .real = get_real,
                                   .count = get_count,
                                   .item = get_item,
                                   .given = get_given,
                                   .place = get_place };
    *out = s;
    return FLAMENCO_OK;
}

void fl_settings_destroy(fl_settings *settings)
{
    if (settings == NULL)
        return;
    fl_arena_destroy(settings->arena);
    free(settings);
}

const flamenco_config *fl_settings_config(const fl_settings *settings)
{
    return &settings->config;
}

/* ---- Listing ---- */

static void write_value(const fl_settings *s, const slot *e, fl_json *w)
{
    char text[FL_TIME_TEXT_MAX];
    const char *key = e->setting.key;
    uint32_t type = e->setting.type;
    int64_t number = is_integer(type) ? get_integer(s, key) : 0;
    if (is_list(type)) {
        fl_json_array_begin(w);
        for (size_t i = 0; i < e->value.n_items; ++i)
            fl_json_str(w, e->value.items[i]);
        fl_json_array_end(w);
    } else if (is_text(type)) {
        fl_json_str(w, get_text(s, key));
    } else if (type == FLAMENCO_SETTING_REAL) {
        fl_json_real(w, e->value.real);
    } else if (type == FLAMENCO_SETTING_BOOL) {
        fl_json_bool(w, number != 0);
    } else if (type == FLAMENCO_SETTING_DURATION) {
        int64_t most = INT64_MAX / 1000;
        number = number > most ? most : number < -most ? -most : number;
        fl_json_str(w, (flamenco_str){ text, fl_duration_format(number * 1000, text) });
    } else if (type == FLAMENCO_SETTING_BYTES) {
        fl_json_text(w, fl_setting_format_bytes(number, text));
    } else {
        fl_json_int(w, number);
    }
}

/* A secret is told to be set or not, nothing else. */
static void write_secret(const fl_settings *s, const slot *e, fl_json *w)
{
    int set = is_text(e->setting.type) ? get_text(s, e->setting.key).len > 0 : get_given(s, e->setting.key) != 0;
    fl_json_text(w, set ? "***" : "");
}

static void write_optional(fl_json *w, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fl_json_key(w, key);
    fl_json_text(w, text);
}

void fl_settings_json(const fl_settings *settings, fl_buf *out)
{
    fl_json json = fl_json_begin(out), *w = &json;
    fl_json_array_begin(w);
    for (size_t i = 0; i < settings->n; ++i) {
        const slot *e = &settings->slots[i];
        int secret = (e->setting.flags & FLAMENCO_SETTING_SECRET) != 0;
        char limits[256];
        fl_json_object_begin(w);
        fl_json_key(w, "key");
        fl_json_text(w, e->setting.key);
        fl_json_key(w, "type");
        fl_json_text(w, fl_setting_type_key(e->setting.type));
        fl_json_key(w, "value");
        if (secret)
            write_secret(settings, e, w);
        else
            write_value(settings, e, w);
        if (!secret)
            write_optional(w, "default", e->setting.default_text);
        write_optional(w, "unit", e->setting.unit);
        write_optional(w, "limits", fl_setting_limits(&e->setting, limits, sizeof(limits)));
        write_optional(w, "doc", e->setting.doc);
        write_optional(w, "reference_key", e->setting.reference_key);
        fl_json_key(w, "secret");
        fl_json_bool(w, secret);
        fl_json_key(w, "given");
        fl_json_bool(w, get_given(settings, e->setting.key) != 0);
        fl_json_key(w, "place");
        fl_json_str(w, get_place(settings, e->setting.key));
        fl_json_object_end(w);
    }
    fl_json_array_end(w);
}
