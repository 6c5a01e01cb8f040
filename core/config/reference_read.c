/* SPDX-License-Identifier: Apache-2.0
 *
 * reference_read.c - lays a YAML map over the settings (contract: configuration-and-clients 1.6). See reference.h.
 */
#include <stdlib.h>

#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/config/reference.h"

#define PATH_MAX_LEN 96

typedef struct overlay {
    fl_reference *ref;
    fl_arena *arena;
    const char *file;
    uint32_t source;
    fl_config_problems *problems;
    int32_t rc;
} overlay;

__attribute__((format(printf, 3, 4))) static void fail_at(overlay *o, const fl_yaml_node *node, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(o->problems, FLAMENCO_LOG_ERROR, o->file, node->line, "%s", text);
    if (o->rc == FLAMENCO_OK)
        o->rc = FLAMENCO_E_INVALID;
}

static void unknown_key(overlay *o, const fl_yaml_node *key, const char *path)
{
    uint32_t level = o->source == FL_REFERENCE_FROM_PRESET ? FLAMENCO_LOG_ERROR : FLAMENCO_LOG_WARN;
    fl_config_problem_add(o->problems, level, o->file, key->line, "unknown key \"%.200s\"%s", path,
                          level == FLAMENCO_LOG_WARN ? " is ignored" : "");
    if (level == FLAMENCO_LOG_ERROR && o->rc == FLAMENCO_OK)
        o->rc = FLAMENCO_E_INVALID;
}

/* Reads a scalar as text; null is the empty text. Returns 0 when it is none. */
static int read_text(overlay *o, const char *what, const fl_yaml_node *node, flamenco_str *out)
{
    if (node->kind != FL_YAML_SCALAR) {
        fail_at(o, node, "%.200s: a text is wanted, not %s", what, fl_yaml_kind_name(node));
        return 0;
    }
    if (memchr(node->text.ptr, '\0', (size_t)node->text.len) != NULL) {
        fail_at(o, node, "%.200s: the text contains a NUL character", what);
        return 0;
    }
    *out = fl_yaml_is_null(node) ? (flamenco_str){ "", 0 } : node->text;
    return 1;
}

/* Fractions are cut off, as the reference does. */
static int read_int(const fl_yaml_node *node, int64_t *out)
{
    double real;
    if (fl_yaml_int(node, out))
        return 1;
    if (!fl_yaml_real(node, &real) || real >= 9223372036854775807.0 || real <= -9223372036854775808.0)
        return 0;
    *out = (int64_t)real;
    return 1;
}

static int read_number(overlay *o, const fl_reference_field *field, const fl_yaml_node *node, int64_t *out)
{
    int flag = 0;
    if (fl_yaml_is_null(node)) {
        *out = 0;
        return 1;
    }
    const char *text = node->kind == FL_YAML_SCALAR ? node->text.ptr : fl_yaml_kind_name(node);
    switch (field->type) {
    case FL_REFERENCE_INT:
        if (read_int(node, out))
            return 1;
        fail_at(o, node, "%s: a whole number is wanted, not \"%.64s\"", field->key, text);
        return 0;
    case FL_REFERENCE_BOOL:
        if (fl_yaml_bool(node, &flag)) {
            *out = flag;
            return 1;
        }
        fail_at(o, node, "%s: true or false is wanted, without quotes, not \"%.64s\"", field->key, text);
        return 0;
    default:
        if (node->kind == FL_YAML_SCALAR && fl_duration_parse(node->text, out) == FLAMENCO_OK)
            return 1;
        fail_at(o, node, "%s: a duration with its unit is wanted, such as 90s, 10m or 1h30m, not \"%.64s\"", field->key,
                text);
        return 0;
    }
}

static void store_number(fl_reference *ref, const fl_reference_field *field, int64_t value)
{
    memcpy((char *)ref + field->offset, &value, sizeof(value));
}

static void store_text(fl_reference *ref, const fl_reference_field *field, flamenco_str value)
{
    memcpy((char *)ref + field->offset, &value, sizeof(value));
}

static void read_field(overlay *o, int index, const fl_yaml_node *node)
{
    const fl_reference_field *field = &fl_reference_fields[index];
    if (field->type == FL_REFERENCE_TEXT) {
        flamenco_str text;
        if (!read_text(o, field->key, node, &text))
            return;
        store_text(o->ref, field, text);
    } else {
        int64_t number;
        if (!read_number(o, field, node, &number))
            return;
        store_number(o->ref, field, number);
    }
    o->ref->origin[index] = (fl_reference_origin){ o->file, node->line, 1 };
}

/* A null where a map is expected gives the zero value to everything in it. */
static void zero_group(overlay *o, const char *prefix, const fl_yaml_node *node)
{
    size_t len = strlen(prefix);
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i) {
        const fl_reference_field *field = &fl_reference_fields[i];
        if (strncmp(field->key, prefix, len) != 0 || field->key[len] != '.')
            continue;
        if (field->type == FL_REFERENCE_TEXT)
            store_text(o->ref, field, (flamenco_str){ "", 0 });
        else
            store_number(o->ref, field, 0);
        o->ref->origin[i] = (fl_reference_origin){ o->file, node->line, 1 };
    }
}

static int is_group(const char *path)
{
    size_t len = strlen(path);
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i)
        if (strncmp(fl_reference_fields[i].key, path, len) == 0 && fl_reference_fields[i].key[len] == '.')
            return 1;
    return 0;
}

static void read_variables(overlay *o, const fl_yaml_node *node);

static void read_group(overlay *o, const char *prefix, const fl_yaml_node *node)
{
    if (fl_yaml_is_null(node)) {
        zero_group(o, prefix, node);
        return;
    }
    if (node->kind != FL_YAML_MAP) {
        fail_at(o, node, "%s: a map is wanted, not %s", prefix[0] != '\0' ? prefix : "the configuration",
                fl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->count; ++i) {
        const fl_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        char path[PATH_MAX_LEN];
        int top = prefix[0] == '\0';
        if (top && o->source == FL_REFERENCE_FROM_PRESET && !fl_reference_is_top_key(key->text))
            continue; /* manager.yaml's own keys, checked by its reader */
        int n = snprintf(path, sizeof(path), "%s%s%.*s", prefix, top ? "" : ".", FL_STR_ARGS(key->text));
        int index = n >= 0 && n < PATH_MAX_LEN ? fl_reference_find(path) : -1;
        if (top && o->source == FL_REFERENCE_FROM_PRESET && fl_str_is(key->text, "_meta"))
            fail_at(o, key, "_meta belongs into flamenco-manager.yaml only");
        else if (top && fl_str_is(key->text, "variables"))
            read_variables(o, value);
        else if (index >= 0)
            read_field(o, index, value);
        else if (n < PATH_MAX_LEN && is_group(path))
            read_group(o, path, value);
        else
            unknown_key(o, key, path);
    }
}

/* ---- Variables ---- */

static void read_platforms(overlay *o, const char *what, const fl_yaml_node *node, fl_reference_value *out)
{
    if (fl_yaml_is_null(node))
        return;
    if (node->kind != FL_YAML_LIST) {
        fail_at(o, node, "%.200s: platforms: a list is wanted, not %s", what, fl_yaml_kind_name(node));
        return;
    }
    flamenco_str *list = fl_arena_alloc(o->arena, (node->count + 1) * sizeof(*list));
    if (list == NULL) {
        o->rc = FLAMENCO_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < node->count; ++i)
        read_text(o, what, node->items[i], &list[i]);
    out->platforms = list;
    out->n_platforms = node->count;
}

static void read_value(overlay *o, const char *name, const fl_yaml_node *node, fl_reference_value *out)
{
    char what[PATH_MAX_LEN];
    if (fl_yaml_is_null(node))
        return;
    snprintf(what, sizeof(what), "variables.%.60s.values", name);
    if (node->kind != FL_YAML_MAP) {
        fail_at(o, node, "%s: a map is wanted, not %s", what, fl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->count; ++i) {
        const fl_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        if (fl_str_is(key->text, "audience"))
            read_text(o, what, value, &out->audience);
        else if (fl_str_is(key->text, "platform"))
            read_text(o, what, value, &out->platform);
        else if (fl_str_is(key->text, "value"))
            read_text(o, what, value, &out->value);
        else if (fl_str_is(key->text, "platforms"))
            read_platforms(o, what, value, out);
        else
            unknown_key(o, key, key->text.ptr);
    }
}

static void read_values(overlay *o, const char *name, const fl_yaml_node *node, fl_reference_variable *out)
{
    if (fl_yaml_is_null(node) || (node->kind == FL_YAML_LIST && node->count == 0))
        return;
    if (node->kind != FL_YAML_LIST) {
        fail_at(o, node, "variables.%.60s.values: a list is wanted, not %s", name, fl_yaml_kind_name(node));
        return;
    }
    fl_reference_value *values = fl_arena_alloc(o->arena, node->count * sizeof(*values));
    if (values == NULL) {
        o->rc = FLAMENCO_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < node->count; ++i)
        read_value(o, name, node->items[i], &values[i]);
    out->values = values;
    out->n_values = node->count;
}

static void read_variable(overlay *o, const fl_yaml_node *node, fl_reference_variable *out)
{
    const char *name = out->name.ptr;
    if (fl_yaml_is_null(node))
        return;
    if (node->kind != FL_YAML_MAP) {
        fail_at(o, node, "variables.%.60s: a map is wanted, not %s", name, fl_yaml_kind_name(node));
        return;
    }
    for (size_t i = 0; i < node->count; ++i) {
        const fl_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        int flag = 0;
        if (fl_str_is(key->text, "values")) {
            read_values(o, name, value, out);
        } else if (fl_str_is(key->text, "is_twoway")) {
            if (!fl_yaml_is_null(value) && !fl_yaml_bool(value, &flag))
                fail_at(o, value, "variables.%.60s.is_twoway: true or false is wanted", name);
            out->is_twoway = flag;
        } else {
            unknown_key(o, key, key->text.ptr);
        }
    }
}

typedef struct ranked {
    fl_reference_variable variable;
    size_t rank; /* of two with one name the higher rank stays */
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    flamenco_str s = x->variable.name, t = y->variable.name;
    size_t n = (size_t)(s.len < t.len ? s.len : t.len);
    int order = n > 0 ? memcmp(s.ptr, t.ptr, n) : 0;
    if (order == 0)
        order = (s.len > t.len) - (s.len < t.len);
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* Puts the map's variables over those that ref has, name by name. */
static void read_variables(overlay *o, const fl_yaml_node *node)
{
    if (fl_yaml_is_null(node)) {
        o->ref->n_variables = 0;
        return;
    }
    if (node->kind != FL_YAML_MAP) {
        fail_at(o, node, "variables: a map is wanted, not %s", fl_yaml_kind_name(node));
        return;
    }
    if (node->count > FL_REFERENCE_VARIABLES_MAX) {
        fail_at(o, node, "variables: more than %u", FL_REFERENCE_VARIABLES_MAX);
        return;
    }
    size_t old = o->ref->n_variables, all = old + node->count;
    ranked *sorted = calloc(all + 1, sizeof(*sorted));
    fl_reference_variable *kept = fl_arena_alloc(o->arena, (all + 1) * sizeof(*kept));
    if (sorted == NULL || kept == NULL) {
        free(sorted);
        o->rc = FLAMENCO_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < all; ++i) {
        sorted[i].rank = i;
        if (i < old) {
            sorted[i].variable = o->ref->variables[i];
            continue;
        }
        sorted[i].variable.name = node->pairs[i - old].key->text;
        read_variable(o, node->pairs[i - old].value, &sorted[i].variable);
    }
    qsort(sorted, all, sizeof(*sorted), compare_ranked);
    size_t n = 0;
    for (size_t i = 0; i < all; ++i)
        if (i + 1 == all || !flamenco_str_equal(sorted[i].variable.name, sorted[i + 1].variable.name))
            kept[n++] = sorted[i].variable;
    free(sorted);
    o->ref->variables = kept;
    o->ref->n_variables = n;
}

int32_t fl_reference_overlay(fl_reference *ref, fl_arena *arena, const fl_yaml_node *root, const char *file,
                             uint32_t source, fl_config_problems *problems)
{
    overlay o = { ref, arena, file, source, problems, FLAMENCO_OK };
    if (source == FL_REFERENCE_FROM_FILE)
        ref->version = 0;
    if (root != NULL)
        read_group(&o, "", root);
    if (source == FL_REFERENCE_FROM_FILE && ref->version != 3 && o.rc == FLAMENCO_OK) {
        fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, file, ref->origin[FL_REFERENCE_VERSION].line,
                              "_meta.version is %lld; this manager reads version 3 only", (long long)ref->version);
        o.rc = FLAMENCO_E_INVALID;
    }
    return o.rc;
}
