/* SPDX-License-Identifier: Apache-2.0
 *
 * setting_value.c - one declared setting and its value. See setting_value.h.
 */
#include "core/config/setting_value.h"

#include <stdlib.h>

#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/config/paths.h"

const char *fl_setting_type_name(uint32_t type)
{
    switch (type) {
    case FLAMENCO_SETTING_TEXT:
        return "a text";
    case FLAMENCO_SETTING_INT:
        return "a whole number";
    case FLAMENCO_SETTING_REAL:
        return "a number";
    case FLAMENCO_SETTING_BOOL:
        return "true or false (without quotes)";
    case FLAMENCO_SETTING_DURATION:
        return "a duration with its unit, such as 90s, 10m or 1h30m";
    case FLAMENCO_SETTING_BYTES:
        return "a size, such as 4096, 64KiB, 16MiB or 1GiB";
    case FLAMENCO_SETTING_CHOICE:
        return "one of the allowed words";
    case FLAMENCO_SETTING_TEXT_LIST:
        return "a list of texts";
    case FLAMENCO_SETTING_PATH:
        return "a path";
    case FLAMENCO_SETTING_PATH_LIST:
        return "a list of paths";
    default:
        return "nothing (the plugin declares an unknown type)";
    }
}

const char *fl_setting_type_key(uint32_t type)
{
    static const char *const keys[] = { "unknown", "text",   "int",       "real", "bool",     "duration",
                                        "bytes",   "choice", "text list", "path", "path list" };
    return type < sizeof(keys) / sizeof(keys[0]) ? keys[type] : keys[0];
}

/* ---- Bytes ---- */

static const struct {
    const char *name;
    unsigned shift;
} byte_units[] = { { "TiB", 40 }, { "GiB", 30 }, { "MiB", 20 }, { "KiB", 10 }, { "B", 0 }, { "", 0 } };
#define N_BYTE_UNITS (sizeof(byte_units) / sizeof(byte_units[0]))

int32_t fl_setting_parse_bytes(flamenco_str text, int64_t *out)
{
    uint64_t digits = 0;
    int64_t value;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        ++digits;
    flamenco_str number = { text.ptr, digits };
    flamenco_str unit = fl_str_trim((flamenco_str){ text.ptr + digits, text.len - digits });
    if (digits == 0 || fl_str_int(number, &value) != FLAMENCO_OK)
        return FLAMENCO_E_INVALID;
    for (size_t i = 0; i < N_BYTE_UNITS; ++i) {
        if (!fl_str_is(unit, byte_units[i].name))
            continue;
        if (value > INT64_MAX >> byte_units[i].shift)
            return FLAMENCO_E_INVALID;
        *out = value << byte_units[i].shift;
        return FLAMENCO_OK;
    }
    return FLAMENCO_E_INVALID;
}

const char *fl_setting_format_bytes(int64_t bytes, char out[32])
{
    for (size_t i = 0; i < N_BYTE_UNITS - 2; ++i) {
        int64_t unit = INT64_C(1) << byte_units[i].shift;
        if (bytes != 0 && bytes % unit == 0) {
            snprintf(out, 32, "%lld%s", (long long)(bytes / unit), byte_units[i].name);
            return out;
        }
    }
    snprintf(out, 32, "%lld", (long long)bytes);
    return out;
}

/* ---- Limits ---- */

static int has_range(const flamenco_setting *setting)
{
    return (setting->type == FLAMENCO_SETTING_INT || setting->type == FLAMENCO_SETTING_DURATION ||
            setting->type == FLAMENCO_SETTING_BYTES) &&
           (setting->min != 0 || setting->max != 0);
}

int fl_setting_in_range(const flamenco_setting *setting, int64_t value)
{
    return !has_range(setting) || (value >= setting->min && value <= setting->max);
}

static const char *format_number(const flamenco_setting *setting, int64_t value, char *out, size_t size)
{
    char text[FL_TIME_TEXT_MAX];
    if (setting->type == FLAMENCO_SETTING_DURATION && value <= INT64_MAX / 1000 && value >= INT64_MIN / 1000) {
        size_t n = fl_duration_format(value * 1000, text);
        snprintf(out, size, "%.*s", (int)n, text);
    } else if (setting->type == FLAMENCO_SETTING_BYTES) {
        snprintf(out, size, "%s", fl_setting_format_bytes(value, text));
    } else {
        snprintf(out, size, "%lld", (long long)value);
    }
    return out;
}

const char *fl_setting_limits(const flamenco_setting *setting, char *out, size_t size)
{
    char least[48], most[48];
    out[0] = '\0';
    if (setting->type == FLAMENCO_SETTING_CHOICE && setting->choices != NULL) {
        snprintf(out, size, "one of: %s", setting->choices);
    } else if (has_range(setting)) {
        format_number(setting, setting->min, least, sizeof(least));
        format_number(setting, setting->max, most, sizeof(most));
        if (setting->max == INT64_MAX)
            snprintf(out, size, "%s or more", least);
        else
            snprintf(out, size, "%s to %s", least, most);
    }
    return out;
}

/* ---- Reading ---- */

typedef struct source {
    const flamenco_setting *setting;
    const char *file;
    uint32_t line;
    const char *what;
    flamenco_str cwd;
    fl_arena *arena;
    fl_config_problems *problems;
} source;

static int32_t refuse(const source *s, const char *got)
{
    char limits[256];
    fl_setting_limits(s->setting, limits, sizeof(limits));
    int secret = (s->setting->flags & FLAMENCO_SETTING_SECRET) != 0;
    fl_config_problem_add(s->problems, FLAMENCO_LOG_ERROR, s->file, s->line, "%s: %s%s%s is wanted, not %s%.100s%s",
                          s->what, fl_setting_type_name(s->setting->type), limits[0] != '\0' ? ", " : "", limits,
                          secret ? "" : "\"", secret ? "what stands here" : got, secret ? "" : "\"");
    return FLAMENCO_E_INVALID;
}

static int is_choice(const char *choices, flamenco_str text)
{
    flamenco_str rest = flamenco_text(choices), part;
    if (rest.ptr == NULL)
        return 0;
    while (fl_str_split(&rest, ' ', &part))
        if (part.len > 0 && flamenco_str_equal(part, text))
            return 1;
    return 0;
}

/* A "file:" URI of a database is no path that could be made absolute. */
static int32_t take_path(const source *s, flamenco_str text, flamenco_str *out)
{
    *out = text;
    if (text.len == 0 || fl_str_starts(text, "file:"))
        return FLAMENCO_OK;
    return fl_path_absolute(s->arena, s->cwd, text, out);
}

static int32_t take_scalar(const source *s, const fl_yaml_node *node, fl_setting_value *out)
{
    int flag;
    flamenco_str text = node->text;
    if (memchr(text.ptr, '\0', (size_t)text.len) != NULL)
        return refuse(s, "a text with a NUL character");
    switch (s->setting->type) {
    case FLAMENCO_SETTING_TEXT:
        out->text = text;
        return FLAMENCO_OK;
    case FLAMENCO_SETTING_PATH:
        return take_path(s, text, &out->text);
    case FLAMENCO_SETTING_CHOICE:
        out->text = text;
        return is_choice(s->setting->choices, text) ? FLAMENCO_OK : refuse(s, text.ptr);
    case FLAMENCO_SETTING_REAL:
        return fl_yaml_real(node, &out->real) ? FLAMENCO_OK : refuse(s, text.ptr);
    case FLAMENCO_SETTING_BOOL:
        if (!fl_yaml_bool(node, &flag))
            return refuse(s, text.ptr);
        out->integer = flag;
        return FLAMENCO_OK;
    case FLAMENCO_SETTING_INT:
        if (!fl_yaml_int(node, &out->integer))
            return refuse(s, text.ptr);
        break;
    case FLAMENCO_SETTING_DURATION:
        if (fl_duration_parse(text, &out->integer) != FLAMENCO_OK)
            return refuse(s, text.ptr);
        out->integer /= 1000;
        break;
    case FLAMENCO_SETTING_BYTES:
        if (fl_setting_parse_bytes(text, &out->integer) != FLAMENCO_OK)
            return refuse(s, text.ptr);
        break;
    default:
        return refuse(s, text.ptr);
    }
    return fl_setting_in_range(s->setting, out->integer) ? FLAMENCO_OK : refuse(s, text.ptr);
}

static int is_list(const flamenco_setting *setting)
{
    return setting->type == FLAMENCO_SETTING_TEXT_LIST || setting->type == FLAMENCO_SETTING_PATH_LIST;
}

static int32_t take_list(const source *s, const fl_yaml_node *const *items, size_t n, fl_setting_value *out)
{
    flamenco_str *list = fl_arena_alloc(s->arena, (n + 1) * sizeof(*list));
    if (list == NULL)
        return FLAMENCO_E_NOMEM;
    for (size_t i = 0; i < n; ++i) {
        if (items[i]->kind != FL_YAML_SCALAR)
            return refuse(s, fl_yaml_kind_name(items[i]));
        if (memchr(items[i]->text.ptr, '\0', (size_t)items[i]->text.len) != NULL)
            return refuse(s, "a text with a NUL character");
        list[i] = items[i]->text;
        if (s->setting->type == FLAMENCO_SETTING_PATH_LIST && take_path(s, list[i], &list[i]) != FLAMENCO_OK)
            return FLAMENCO_E_NOMEM;
    }
    out->items = list;
    out->n_items = n;
    return FLAMENCO_OK;
}

int32_t fl_setting_read(const flamenco_setting *setting, const fl_yaml_node *node, const char *file, const char *what,
                        flamenco_str cwd, fl_arena *arena, fl_config_problems *problems, fl_setting_value *out)
{
    source s = { setting, file, node->line, what, cwd, arena, problems };
    fl_setting_value value = { .given = 1, .line = node->line };
    int32_t rc;
    if (is_list(setting) && node->kind == FL_YAML_LIST)
        rc = take_list(&s, node->items, node->count, &value);
    else if (is_list(setting) && node->kind == FL_YAML_SCALAR)
        rc = take_list(&s, &node, 1, &value);
    else if (node->kind != FL_YAML_SCALAR)
        rc = refuse(&s, fl_yaml_kind_name(node));
    else
        rc = take_scalar(&s, node, &value);
    if (rc == FLAMENCO_OK)
        *out = value;
    return rc;
}

int32_t fl_setting_default(const flamenco_setting *setting, const char *what, flamenco_str cwd, fl_arena *arena,
                           fl_config_problems *problems, fl_setting_value *out)
{
    source s = { setting, NULL, 0, what, cwd, arena, problems };
    fl_setting_value value = { 0 };
    fl_yaml_node node = { .kind = FL_YAML_SCALAR, .plain = 1 };
    int32_t rc = FLAMENCO_OK;
    flamenco_str rest = fl_arena_copy(arena, flamenco_text(setting->default_text)), part;
    value.text = FL_STR("");
    if (rest.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    if (setting->default_text == NULL || setting->default_text[0] == '\0') {
        *out = value;
        return FLAMENCO_OK;
    }
    if (!is_list(setting)) {
        node.text = rest;
        rc = take_scalar(&s, &node, &value);
    } else {
        flamenco_str *list = fl_arena_alloc(arena, ((size_t)rest.len + 1) * sizeof(*list));
        if (list == NULL)
            return FLAMENCO_E_NOMEM;
        while (rc == FLAMENCO_OK && fl_str_split(&rest, ' ', &part)) {
            if (part.len == 0)
                continue;
            part = fl_arena_copy(arena, part);
            if (part.ptr == NULL)
                return FLAMENCO_E_NOMEM;
            list[value.n_items] = part;
            if (setting->type == FLAMENCO_SETTING_PATH_LIST)
                rc = take_path(&s, part, &list[value.n_items]);
            ++value.n_items;
        }
        value.items = list;
    }
    if (rc == FLAMENCO_OK)
        *out = value;
    return rc;
}
