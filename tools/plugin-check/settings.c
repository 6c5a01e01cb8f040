/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - the flamenco_config that plugins get: declared defaults, and over them what the file of --config says. Read as
 * the manager reads them; a value that is wrong ends the check. What is given out stays until the process ends.
 */
#include <errno.h>
#include <stdlib.h>

#include "inner.h"

static const flamenco_setting *find(const kit_instance *i, const char *key)
{
    const flamenco_setting *const *s = i->plugin.settings;
    for (; s != NULL && *s != NULL; ++s) {
        if ((*s)->key != NULL && strcmp((*s)->key, key) == 0)
            return *s;
    }
    kit_violation(i->k, "it asks for the setting \"%s\", which it does not declare", key);
    return NULL;
}

static const char *given(const kit_instance *i, const char *key, size_t index)
{
    char path[512];
    snprintf(path, sizeof(path), "%ssettings\x1f%s", i->section, key);
    return kit_config_get(i->k->config, path, index);
}

static int is_type(const kit_instance *i, const flamenco_setting *s, uint64_t types)
{
    if (types >> s->type & 1)
        return 1;
    kit_violation(i->k, "it asks for the setting \"%s\" as another type than it declares", s->key);
    return 0;
}

static int is_list(const flamenco_setting *s)
{
    return s->type == FLAMENCO_SETTING_TEXT_LIST || s->type == FLAMENCO_SETTING_PATH_LIST;
}

/* Item `index` of what stands in the file, else of the default; NULL behind the last. */
static char *item(const kit_instance *i, const flamenco_setting *s, size_t index)
{
    const char *text = given(i, s->key, index);
    char *copy = NULL;
    if (text == NULL && given(i, s->key, 0) == NULL && s->default_text != NULL) {
        if (!is_list(s)) {
            copy = index == 0 ? strdup(s->default_text) : NULL;
        } else {
            const char *p = s->default_text + strspn(s->default_text, " ");
            for (; *p != '\0' && index > 0; --index) {
                p += strcspn(p, " ");
                p += strspn(p, " ");
            }
            copy = *p != '\0' ? strndup(p, strcspn(p, " ")) : NULL;
        }
    } else if (text != NULL) {
        copy = kit_config_expand(text, i->dir, i->k->run);
    } else if (index == 0 && (s->flags & FLAMENCO_SETTING_REQUIRED) != 0) {
        kit_blocked("lifecycle.start", "the setting \"%s\" must be given, by --config", s->key);
    }
    if (copy != NULL && copy[0] != '/' && copy[0] != '\0' &&
        (s->type == FLAMENCO_SETTING_PATH || s->type == FLAMENCO_SETTING_PATH_LIST)) {
        char *absolute = NULL;
        if (asprintf(&absolute, "%s/%s", i->dir, copy) < 0)
            absolute = NULL;
        free(copy);
        copy = absolute;
    }
    return copy;
}

static flamenco_str config_text(const void *c, const char *key)
{
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    const uint64_t texts = 1u << FLAMENCO_SETTING_TEXT | 1u << FLAMENCO_SETTING_CHOICE | 1u << FLAMENCO_SETTING_PATH;
    if (s == NULL || !is_type(i, s, texts))
        return flamenco_text(NULL);
    return flamenco_text(item(i, s, 0));
}

typedef struct unit {
    const char *name;
    double factor;
} unit;

/* "1h30m", "1.5s", "64MiB", "12": numbers with units, added up. */
static int64_t read_units(const char *key, const char *text, const unit *units, size_t n)
{
    double sum = 0;
    const char *p = text;
    while (*p != '\0') {
        char *end;
        double number = strtod(p, &end);
        size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), u = 0;
        while (u < n && (strlen(units[u].name) != len || memcmp(units[u].name, end, len) != 0))
            ++u;
        if (end == p || u == n)
            kit_blocked("lifecycle.start", "the setting \"%s\" cannot be read: \"%s\"", key, text);
        sum += number * units[u].factor;
        p = end + len;
    }
    return (int64_t)sum;
}

static int64_t config_integer(const void *c, const char *key)
{
    static const unit durations[] = { { "h", 3600e6 }, { "m", 60e6 }, { "s", 1e6 },
                                      { "ms", 1e3 },   { "us", 1 },   { "", 0 } },
                      bytes[] = { { "KiB", 1024.0 }, { "MiB", 1048576.0 }, { "GiB", 1073741824.0 }, { "", 1 } },
                      plain[] = { { "", 1 } };
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    const uint64_t numbers = 1u << FLAMENCO_SETTING_INT | 1u << FLAMENCO_SETTING_BOOL |
                             1u << FLAMENCO_SETTING_DURATION | 1u << FLAMENCO_SETTING_BYTES;
    char *text = s != NULL && is_type(i, s, numbers) ? item(i, s, 0) : NULL;
    int64_t value = 0;
    if (text == NULL)
        return 0;
    if (s->type == FLAMENCO_SETTING_BOOL)
        value = strcmp(text, "true") == 0;
    else if (s->type == FLAMENCO_SETTING_DURATION)
        value = read_units(key, text, durations, 6);
    else if (s->type == FLAMENCO_SETTING_BYTES)
        value = read_units(key, text, bytes, 4);
    else
        value = read_units(key, text, plain, 1);
    free(text);
    return value;
}

static double config_real(const void *c, const char *key)
{
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    char *text = s != NULL && is_type(i, s, 1u << FLAMENCO_SETTING_REAL) ? item(i, s, 0) : NULL;
    double value = text != NULL ? strtod(text, NULL) : 0;
    free(text);
    return value;
}

static uint64_t config_count(const void *c, const char *key)
{
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    uint64_t n = 0;
    if (s == NULL || !is_type(i, s, 1u << FLAMENCO_SETTING_TEXT_LIST | 1u << FLAMENCO_SETTING_PATH_LIST))
        return 0;
    for (char *text; (text = item(i, s, (size_t)n)) != NULL; ++n)
        free(text);
    return n;
}

static flamenco_str config_item(const void *c, const char *key, uint64_t index)
{
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    if (s == NULL || !is_type(i, s, 1u << FLAMENCO_SETTING_TEXT_LIST | 1u << FLAMENCO_SETTING_PATH_LIST))
        return flamenco_text(NULL);
    return flamenco_text(item(i, s, (size_t)index));
}

static uint32_t config_given(const void *c, const char *key)
{
    const kit_instance *i = c;
    const flamenco_setting *s = find(i, key);
    return s != NULL && given(i, key, 0) != NULL;
}

static flamenco_str config_place(const void *c, const char *key)
{
    (void)key;
    return flamenco_text(((const kit_instance *)c)->k->config != NULL ? "plugin-check.yaml:1" : "");
}

void kit_settings_init(kit_instance *i)
{
    i->settings = (flamenco_config){
        .struct_size = (uint32_t)sizeof(i->settings),
        .c = i,
        .text = config_text,
        .integer = config_integer,
        .real = config_real,
        .count = config_count,
        .item = config_item,
        .given = config_given,
        .place = config_place,
    };
}
