/* SPDX-License-Identifier: Apache-2.0
 *
 * manager_yaml.c - reads manager.yaml. See manager_yaml.h.
 */
#include "core/config/manager_yaml.h"

#include <stdlib.h>

#include "core/base/str.h"
#include "core/config/file.h"

typedef struct reader {
    fl_manager_yaml *yaml;
    flamenco_str cwd;
    fl_config_problems *problems;
    fl_plugin_entry *entries; /* in the arena, room for all */
    size_t n;
    int32_t rc;
} reader;

__attribute__((format(printf, 3, 4))) static void fail_at(reader *r, uint32_t line, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(r->problems, FLAMENCO_LOG_ERROR, r->yaml->file, line, "%s", text);
    if (r->rc == FLAMENCO_OK)
        r->rc = FLAMENCO_E_INVALID;
}

static void *allocate(reader *r, size_t size)
{
    void *p = fl_arena_alloc(r->yaml->arena, size);
    if (p == NULL)
        r->rc = FLAMENCO_E_NOMEM;
    return p;
}

/* ---- Sections of plain settings ---- */

static void store(reader *r, const fl_section *section, const fl_section_setting *s, const fl_setting_value *value)
{
    char *at = (char *)r->yaml + section->offset + s->offset;
    if (s->setting.type == FLAMENCO_SETTING_TEXT || s->setting.type == FLAMENCO_SETTING_PATH)
        memcpy(at, &value->text, sizeof(value->text));
    else
        memcpy(at, &value->integer, sizeof(value->integer));
}

static const fl_section_setting *find_setting(const fl_section *section, flamenco_str key)
{
    for (size_t i = 0; i < section->count; ++i)
        if (fl_str_is(key, section->settings[i].setting.key))
            return &section->settings[i];
    return NULL;
}

static void fill_defaults(reader *r, const fl_section *section)
{
    for (size_t i = 0; i < section->count; ++i) {
        fl_setting_value value;
        int32_t rc = fl_setting_default(&section->settings[i].setting, section->settings[i].setting.key, r->cwd,
                                        r->yaml->arena, r->problems, &value);
        if (rc != FLAMENCO_OK)
            r->rc = rc;
        else
            store(r, section, &section->settings[i], &value);
    }
}

static void read_section(reader *r, const fl_section *section, const fl_yaml_node *node)
{
    if (fl_yaml_is_null(node))
        return;
    if (node->kind != FL_YAML_MAP) {
        fail_at(r, node->line, "%s: a map is wanted, not %s", section->name, fl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->count; ++i) {
        const fl_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        const fl_section_setting *s = find_setting(section, key->text);
        char what[64];
        fl_setting_value read;
        if (s == NULL) {
            fail_at(r, key->line, "unknown key \"%s.%.64s\"", section->name, key->text.ptr);
            continue;
        }
        if (fl_yaml_is_null(value))
            continue;
        snprintf(what, sizeof(what), "%s.%s", section->name, s->setting.key);
        int32_t rc =
            fl_setting_read(&s->setting, value, r->yaml->file, what, r->cwd, r->yaml->arena, r->problems, &read);
        if (rc == FLAMENCO_OK)
            store(r, section, s, &read);
        else
            r->rc = rc;
    }
}

static void check_sections(reader *r, const fl_yaml_node *root)
{
    const fl_http_settings *http = &r->yaml->http;
    if ((http->tls_certificate.len > 0) == (http->tls_key.len > 0))
        return;
    const fl_yaml_node *node = fl_yaml_get(root, "http");
    fail_at(r, node != NULL ? node->line : 0, "http: tls_certificate and tls_key belong together, one is missing");
}

/* ---- Plugins ---- */

/* Tells whether a plugin's file is named as architecture.md 7 wants: bare, or absolute. */
static int is_plugin_file(flamenco_str file)
{
    if (file.len == 0)
        return 0;
    if (file.ptr[0] == '/')
        return 1;
    for (uint64_t i = 0; i < file.len; ++i)
        if (file.ptr[i] == '/' || file.ptr[i] == '\\' || (unsigned char)file.ptr[i] <= ' ')
            return 0;
    return file.ptr[0] != '.';
}

/* A scalar of an entry as text; reports anything else. NULL when absent. */
static const char *entry_text(reader *r, const char *what, const char *key, const fl_yaml_node *node)
{
    if (fl_yaml_is_null(node))
        return NULL;
    if (node->kind != FL_YAML_SCALAR || node->text.len == 0 ||
        memchr(node->text.ptr, '\0', (size_t)node->text.len) != NULL) {
        fail_at(r, node->line, "%s.%s: a text is wanted", what, key);
        return NULL;
    }
    return node->text.ptr;
}

static const char *default_name(reader *r, const fl_plugin_entry *e)
{
    if ((e->member->flags & FL_MEMBER_ANY) == 0)
        return e->member->name;
    if (e->file == NULL)
        return fl_arena_printf(r->yaml->arena, "%s-%s", e->member->name, e->use != NULL ? e->use : "disabled").ptr;
    const char *slash = strrchr(e->file, '/');
    flamenco_str base = flamenco_text(slash != NULL ? slash + 1 : e->file);
    if (base.len > 3 && memcmp(base.ptr + base.len - 3, ".so", 3) == 0)
        base.len -= 3;
    return fl_arena_copy(r->yaml->arena, base).ptr;
}

static void read_entry_key(reader *r, const char *what, const fl_yaml_pair *pair, fl_plugin_entry *e)
{
    const fl_yaml_node *key = pair->key, *value = pair->value;
    int flag;
    if (fl_str_is(key->text, "file")) {
        e->file = entry_text(r, what, "file", value);
        if (e->file != NULL && !is_plugin_file(value->text))
            fail_at(r, value->line,
                    "%s.file: a bare name (NAME.so in the plugin_path) or an absolute path is wanted, not \"%.100s\"",
                    what, e->file);
    } else if (fl_str_is(key->text, "name")) {
        e->name = entry_text(r, what, "name", value);
    } else if (fl_str_is(key->text, "use")) {
        e->use = entry_text(r, what, "use", value);
    } else if (fl_str_is(key->text, "enabled")) {
        if (fl_yaml_bool(value, &flag))
            e->enabled = flag;
        else if (!fl_yaml_is_null(value))
            fail_at(r, value->line, "%s.enabled: true or false is wanted (without quotes)", what);
    } else if (fl_str_is(key->text, "settings")) {
        if (value->kind == FL_YAML_MAP)
            e->settings = value;
        else if (!fl_yaml_is_null(value))
            fail_at(r, value->line, "%s.settings: a map is wanted, not %s", what, fl_yaml_kind_name(value));
    } else {
        fail_at(r, key->line, "unknown key \"%s.%.64s\"; known are file, enabled, settings, use, name", what,
                key->text.ptr);
    }
}

static void read_entry(reader *r, const fl_member *member, const char *what, const fl_yaml_node *node)
{
    fl_plugin_entry e = { .member = member, .enabled = 1, .yaml_file = r->yaml->file, .line = node->line };
    /* "shaman: false" is short for "shaman: {enabled: false}". */
    if (!fl_yaml_bool(node, &e.enabled) && !fl_yaml_is_null(node) && node->kind != FL_YAML_MAP) {
        fail_at(r, node->line, "%s: a map is wanted, not %s", what, fl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->count; ++i)
        read_entry_key(r, what, &node->pairs[i], &e);
    if (e.use != NULL && (e.file != NULL || e.settings != NULL))
        fail_at(r, node->line, "%s: `use` names another instance, so `file` and `settings` have no place here", what);
    if (e.use == NULL && e.file == NULL)
        e.file = member->default_file;
    if (e.name == NULL)
        e.name = default_name(r, &e);
    if (e.name == NULL) {
        r->rc = FLAMENCO_E_NOMEM;
        return;
    }
    r->entries[r->n++] = e;
}

static void read_member(reader *r, const fl_member *member, const fl_yaml_node *node)
{
    char what[96];
    snprintf(what, sizeof(what), "plugins.%s", member->name);
    if (node->kind != FL_YAML_LIST) {
        read_entry(r, member, what, node);
        return;
    }
    if ((member->flags & FL_MEMBER_ANY) == 0) {
        fail_at(r, node->line, "%s: there is only one, so no list is wanted", what);
        return;
    }
    for (size_t i = 0; i < node->count; ++i) {
        snprintf(what, sizeof(what), "plugins.%s[%zu]", member->name, i);
        read_entry(r, member, what, node->items[i]);
    }
}

static size_t count_entries(const fl_yaml_node *plugins)
{
    size_t n = fl_members_count;
    for (size_t i = 0; i < plugins->count; ++i)
        n += plugins->pairs[i].value->kind == FL_YAML_LIST ? plugins->pairs[i].value->count : 1;
    return n;
}

static void list_known_members(char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < fl_members_count && n < size; ++i)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "", fl_members[i].name);
}

static void read_plugins(reader *r, const fl_yaml_node *plugins)
{
    if (plugins->kind != FL_YAML_MAP) {
        fail_at(r, plugins->line, "plugins: a map is wanted, not %s", fl_yaml_kind_name(plugins));
        return;
    }
    r->entries = allocate(r, count_entries(plugins) * sizeof(*r->entries));
    if (r->entries == NULL)
        return;
    for (size_t i = 0; i < plugins->count; ++i) {
        const fl_yaml_node *key = plugins->pairs[i].key;
        if (fl_member_find(key->text) != NULL)
            continue;
        char known[400];
        list_known_members(known, sizeof(known));
        fail_at(r, key->line, "unknown member \"plugins.%.64s\"; known are %s", key->text.ptr, known);
    }
    for (size_t i = 0; i < fl_members_count; ++i) {
        const fl_yaml_node *node = fl_yaml_get(plugins, fl_members[i].name);
        if (node != NULL)
            read_member(r, &fl_members[i], node);
    }
}

static void take_default_set(reader *r)
{
    r->entries = allocate(r, fl_members_count * sizeof(*r->entries));
    if (r->entries == NULL)
        return;
    for (size_t i = 0; i < fl_members_count; ++i) {
        const fl_member *m = &fl_members[i];
        fl_plugin_entry e = { .member = m, .name = m->name, .file = m->default_file, .enabled = 1, .yaml_file = "" };
        if ((m->flags & FL_MEMBER_ANY) != 0)
            e.name = m->default_file;
        r->entries[r->n++] = e;
    }
}

static void check_names(reader *r)
{
    for (size_t i = 0; i < r->n; ++i)
        for (size_t k = 0; k < i; ++k)
            if (strcmp(r->entries[i].name, r->entries[k].name) == 0) {
                fail_at(r, r->entries[i].line, "two plugins are named \"%.64s\"; give one of them another `name`",
                        r->entries[i].name);
                break;
            }
}

static void check_uses(reader *r)
{
    for (size_t i = 0; i < r->n; ++i) {
        fl_plugin_entry *e = &r->entries[i];
        if (e->use == NULL || !e->enabled)
            continue;
        for (size_t k = 0; k < r->n && e->used == NULL; ++k)
            if (strcmp(r->entries[k].name, e->use) == 0)
                e->used = &r->entries[k];
        if (e->used == NULL)
            fail_at(r, e->line, "plugins.%s: `use` names \"%.64s\", but no plugin has that name", e->member->name,
                    e->use);
        else if (e->used->use != NULL || !e->used->enabled)
            fail_at(r, e->line, "plugins.%s: `use` names \"%.64s\", which is %s", e->member->name, e->use,
                    e->used->use != NULL ? "no plugin of its own" : "disabled");
    }
}

static void check_mandatory(reader *r, uint32_t line)
{
    for (size_t i = 0; i < fl_members_count; ++i) {
        const fl_member *m = &fl_members[i];
        const fl_plugin_entry *found = NULL;
        for (size_t k = 0; k < r->n && found == NULL; ++k)
            if (r->entries[k].member == m)
                found = &r->entries[k];
        if ((m->flags & FL_MEMBER_MANDATORY) == 0 || (found != NULL && found->enabled))
            continue;
        fail_at(r, found != NULL ? found->line : line,
                "plugins.%s is %s, but the manager cannot do without it; as shipped: file: %s", m->name,
                found != NULL ? "disabled" : "missing", m->default_file);
    }
}

/* What has no plugin to use is out of the loader's way; it was reported. */
static void disable_broken(reader *r)
{
    for (size_t i = 0; i < r->n; ++i) {
        fl_plugin_entry *e = &r->entries[i];
        if (e->use != NULL && (e->used == NULL || e->used->use != NULL || !e->used->enabled))
            e->enabled = 0;
    }
}

/* ---- The whole file ---- */

static void read_plugin_path(reader *r, const fl_yaml_node *node)
{
    static const flamenco_setting setting = { .struct_size = (uint32_t)sizeof(flamenco_setting),
                                              .type = FLAMENCO_SETTING_TEXT_LIST,
                                              .key = "plugin_path",
                                              .default_text = "lib/flamenco/plugins" };
    fl_setting_value value;
    int32_t rc =
        fl_yaml_is_null(node)
            ? fl_setting_default(&setting, setting.key, r->cwd, r->yaml->arena, r->problems, &value)
            : fl_setting_read(&setting, node, r->yaml->file, setting.key, r->cwd, r->yaml->arena, r->problems, &value);
    if (rc != FLAMENCO_OK) {
        r->rc = rc;
        return;
    }
    r->yaml->plugin_path = value.items;
    r->yaml->n_plugin_path = value.n_items;
    for (size_t i = 0; i < value.n_items; ++i)
        if (value.items[i].len == 0)
            fail_at(r, value.line, "plugin_path: an empty path is of no use");
}

static void check_top_keys(reader *r, const fl_yaml_node *root)
{
    for (size_t i = 0; i < root->count; ++i) {
        const fl_yaml_node *key = root->pairs[i].key;
        int known = fl_reference_is_top_key(key->text) || fl_str_is(key->text, "plugin_path") ||
                    fl_str_is(key->text, "plugins") || fl_str_is(key->text, "reported_version");
        for (size_t k = 0; k < fl_sections_count; ++k)
            known |= fl_str_is(key->text, fl_sections[k].name);
        if (!known)
            fail_at(r, key->line,
                    "unknown key \"%.64s\"; own ones are plugin_path, plugins, http, limits, reported_version",
                    key->text.ptr);
    }
}

static void read_version(reader *r, const fl_yaml_node *node)
{
    if (fl_yaml_is_null(node))
        return;
    if (node->kind != FL_YAML_SCALAR || node->text.len > 64 ||
        strspn(node->text.ptr, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+_") != node->text.len)
        fail_at(r, node->line, "reported_version: a version is wanted, such as 3.9 or 3.9-beta1");
    else
        r->yaml->reported_version = node->text;
}

static void read_root(reader *r, const fl_yaml_node *root)
{
    const fl_yaml_node *plugins = fl_yaml_get(root, "plugins");
    for (size_t i = 0; i < fl_sections_count; ++i)
        fill_defaults(r, &fl_sections[i]);
    read_plugin_path(r, fl_yaml_get(root, "plugin_path"));
    if (root != NULL && root->kind != FL_YAML_MAP) {
        fail_at(r, root->line, "a map is wanted, not %s", fl_yaml_kind_name(root));
        return;
    }
    if (root != NULL)
        check_top_keys(r, root);
    read_version(r, fl_yaml_get(root, "reported_version"));
    for (size_t i = 0; i < fl_sections_count; ++i)
        read_section(r, &fl_sections[i], fl_yaml_get(root, fl_sections[i].name));
    check_sections(r, root);
    if (fl_yaml_is_null(plugins))
        take_default_set(r);
    else
        read_plugins(r, plugins);
    check_names(r);
    check_uses(r);
    check_mandatory(r, plugins != NULL ? plugins->line : 0);
    disable_broken(r);
    r->yaml->plugins = r->entries;
    r->yaml->n_plugins = r->n;
    if (root == NULL)
        return;
    fl_reference trial;
    fl_reference_defaults(&trial);
    int32_t rc =
        fl_reference_overlay(&trial, r->yaml->arena, root, r->yaml->file, FL_REFERENCE_FROM_PRESET, r->problems);
    if (rc != FLAMENCO_OK)
        r->rc = rc;
}

int32_t fl_manager_yaml_parse(flamenco_str text, const char *file, flamenco_str cwd, fl_config_problems *problems,
                              fl_manager_yaml **out)
{
    fl_manager_yaml *yaml = calloc(1, sizeof(*yaml));
    if (yaml == NULL)
        return FLAMENCO_E_NOMEM;
    reader r = { .yaml = yaml, .cwd = cwd, .problems = problems };
    int usable = 0;
    yaml->arena = fl_arena_create(0);
    yaml->file = yaml->arena != NULL ? fl_arena_copy(yaml->arena, flamenco_text(file)).ptr : NULL;
    if (yaml->file == NULL)
        r.rc = FLAMENCO_E_NOMEM;
    else
        r.rc = fl_yaml_parse(text, file, FL_YAML_STRICT, problems, &yaml->doc);
    if (r.rc == FLAMENCO_OK) {
        read_root(&r, fl_yaml_root(yaml->doc));
        usable = r.rc == FLAMENCO_OK || r.rc == FLAMENCO_E_INVALID;
    }
    if (usable)
        *out = yaml;
    else
        fl_manager_yaml_destroy(yaml);
    return r.rc;
}

/* Reads one candidate. NOT_FOUND is passed on without a problem. */
static int32_t load_file(const char *path, flamenco_str cwd, fl_config_problems *problems, fl_manager_yaml **out)
{
    fl_buf text = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_config_file_read(path, &text, &err);
    if (rc == FLAMENCO_OK)
        rc = fl_manager_yaml_parse(fl_buf_str(&text), path, cwd, problems, out);
    else if (rc != FLAMENCO_E_NOT_FOUND)
        fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, NULL, 0, "%s", err.text);
    fl_buf_fini(&text);
    return rc;
}

int32_t fl_manager_yaml_load(const char *given, const char *installed, flamenco_str cwd, fl_config_problems *problems,
                             fl_manager_yaml **out)
{
    int32_t rc;
    if (given != NULL) {
        rc = load_file(given, cwd, problems, out);
        if (rc == FLAMENCO_E_NOT_FOUND)
            fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, given, 0, "there is no such file");
        return rc;
    }
    rc = load_file("etc/manager.yaml", cwd, problems, out);
    if (rc == FLAMENCO_E_NOT_FOUND && installed != NULL)
        rc = load_file(installed, cwd, problems, out);
    if (rc == FLAMENCO_E_NOT_FOUND)
        rc = fl_manager_yaml_parse(fl_manager_yaml_embedded(), "", cwd, problems, out);
    return rc;
}

void fl_manager_yaml_destroy(fl_manager_yaml *yaml)
{
    if (yaml == NULL)
        return;
    fl_yaml_doc_destroy(yaml->doc);
    fl_arena_destroy(yaml->arena);
    free(yaml);
}

int32_t fl_manager_yaml_presets(const fl_manager_yaml *yaml, fl_arena *arena, fl_reference *ref)
{
    if (yaml == NULL || yaml->doc == NULL || fl_yaml_root(yaml->doc) == NULL)
        return FLAMENCO_OK;
    return fl_reference_overlay(ref, arena, fl_yaml_root(yaml->doc), yaml->file, FL_REFERENCE_FROM_PRESET, NULL);
}

int fl_manager_yaml_has(const fl_manager_yaml *yaml, const char *member)
{
    for (size_t i = 0; i < yaml->n_plugins; ++i)
        if (strcmp(yaml->plugins[i].member->name, member) == 0 && yaml->plugins[i].enabled)
            return 1;
    return 0;
}

void fl_manager_yaml_disable(fl_manager_yaml *yaml, const char *member)
{
    for (size_t i = 0; i < yaml->n_plugins; ++i)
        if (strcmp(yaml->plugins[i].member->name, member) == 0)
            yaml->plugins[i].enabled = 0;
}
