/* SPDX-License-Identifier: Apache-2.0
 *
 * reference_json.c - the settings as JSON: what GET /api/v3/configuration/file sends and what PUT brings
 * (contract: configuration-and-clients 1.10, 1.11; decisions.md). See reference.h.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/config/file.h"
#include "core/config/reference.h"

#define TEXT_MAX 4096
#define NAME_MAX_LEN 255

/* ---- Out ---- */

/* How many leading dotted parts two keys share, and the length of that. */
static size_t shared_prefix(const char *a, const char *b, int *groups_out)
{
    size_t end = 0;
    *groups_out = 0;
    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; ++i) {
        if (a[i] == '.') {
            end = i + 1;
            ++*groups_out;
        }
    }
    return end;
}

static void write_scalar(fl_json *w, const fl_reference *ref, int field)
{
    char text[FL_TIME_TEXT_MAX];
    int64_t number = fl_reference_number(ref, field);
    switch (fl_reference_fields[field].type) {
    case FL_REFERENCE_INT:
        fl_json_int(w, number);
        break;
    case FL_REFERENCE_BOOL:
        fl_json_bool(w, number != 0);
        break;
    case FL_REFERENCE_DURATION:
        fl_json_str(w, (flamenco_str){ text, fl_duration_format(number, text) });
        break;
    default:
        fl_json_str(w, fl_reference_text(ref, field));
        break;
    }
}

static void write_variable(fl_json *w, const fl_reference_variable *variable)
{
    fl_json_object_begin(w);
    if (variable->is_twoway) {
        fl_json_key(w, "is_twoway");
        fl_json_bool(w, 1);
    }
    fl_json_key(w, "values");
    fl_json_array_begin(w);
    for (size_t i = 0; i < variable->n_values; ++i) {
        const fl_reference_value *v = &variable->values[i];
        fl_json_object_begin(w);
        if (v->audience.len > 0) {
            fl_json_key(w, "audience");
            fl_json_str(w, v->audience);
        }
        if (v->platform.len > 0) {
            fl_json_key(w, "platform");
            fl_json_str(w, v->platform);
        }
        if (v->n_platforms > 0) {
            fl_json_key(w, "platforms");
            fl_json_array_begin(w);
            for (size_t k = 0; k < v->n_platforms; ++k)
                fl_json_str(w, v->platforms[k]);
            fl_json_array_end(w);
        }
        fl_json_key(w, "value");
        fl_json_str(w, v->value);
        fl_json_object_end(w);
    }
    fl_json_array_end(w);
    fl_json_object_end(w);
}

void fl_reference_json(const fl_reference *ref, fl_buf *out)
{
    fl_json w = fl_json_begin(out);
    const char *last = "";
    int open = 0;
    fl_json_object_begin(&w);
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i) {
        int shared = 0;
        const char *key = fl_reference_fields[i].key;
        const char *rest = key + shared_prefix(key, last, &shared);
        for (; open > shared; --open)
            fl_json_object_end(&w);
        for (const char *dot = strchr(rest, '.'); dot != NULL; dot = strchr(rest, '.')) {
            fl_json_key_str(&w, (flamenco_str){ rest, (uint64_t)(dot - rest) });
            fl_json_object_begin(&w);
            ++open;
            rest = dot + 1;
        }
        fl_json_key(&w, rest);
        write_scalar(&w, ref, i);
        last = key;
    }
    for (; open > 0; --open)
        fl_json_object_end(&w);
    fl_json_key(&w, "variables");
    fl_json_object_begin(&w);
    for (size_t i = 0; i < ref->n_variables; ++i) {
        fl_json_key_str(&w, ref->variables[i].name);
        write_variable(&w, &ref->variables[i]);
    }
    fl_json_object_end(&w);
    fl_json_object_end(&w);
}

/* ---- In ---- */

/* Jansson's iterators want objects that are not const, and change nothing. */
static json_t *unconst(const json_t *object)
{
    return (json_t *)(uintptr_t)object;
}

typedef struct decoder {
    fl_reference *ref;
    fl_arena *arena;
    flamenco_error *err;
} decoder;

static int32_t wanted(decoder *d, const char *path, const char *what)
{
    return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%.120s: %s is wanted", path, what);
}

/* Copies a JSON text; null leaves `out` as it is. */
static int32_t take_text(decoder *d, const char *path, const json_t *value, flamenco_str *out)
{
    if (json_is_null(value))
        return FLAMENCO_OK;
    if (!json_is_string(value))
        return wanted(d, path, "a text");
    flamenco_str text = { json_string_value(value), json_string_length(value) };
    if (text.len > TEXT_MAX)
        return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%.120s: longer than %d bytes", path, TEXT_MAX);
    if (text.len > 0 && memchr(text.ptr, '\0', (size_t)text.len) != NULL)
        return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%.120s: must not contain a NUL character", path);
    *out = fl_arena_copy(d->arena, text);
    return out->ptr != NULL ? FLAMENCO_OK : flamenco_fail(d->err, FLAMENCO_E_NOMEM, "out of memory");
}

static int32_t take_field(decoder *d, int index, const json_t *value)
{
    const fl_reference_field *field = &fl_reference_fields[index];
    void *target = (char *)d->ref + field->offset;
    int64_t number = 0;
    d->ref->origin[index].given = 1;
    if (field->type == FL_REFERENCE_TEXT) {
        flamenco_str text = { NULL, 0 };
        int32_t rc = take_text(d, field->key, value, &text);
        if (rc == FLAMENCO_OK)
            memcpy(target, &text, sizeof(text));
        return rc;
    }
    if (field->type == FL_REFERENCE_DURATION) {
        flamenco_str text = { json_string_value(value), json_string_length(value) };
        if (text.ptr == NULL || fl_duration_parse(text, &number) != FLAMENCO_OK)
            return wanted(d, field->key, "a duration such as \"10m0s\"");
        if (number < 0)
            return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%s: must not be negative", field->key);
    } else if (json_is_null(value)) {
        return FLAMENCO_OK;
    } else if (field->type == FL_REFERENCE_BOOL) {
        if (!json_is_boolean(value))
            return wanted(d, field->key, "true or false");
        number = json_is_true(value);
    } else {
        if (!json_is_integer(value))
            return wanted(d, field->key, "a whole number");
        number = json_integer_value(value);
    }
    memcpy(target, &number, sizeof(number));
    return FLAMENCO_OK;
}

static int32_t take_platforms(decoder *d, const char *path, const json_t *value, fl_reference_value *out)
{
    if (json_is_null(value))
        return FLAMENCO_OK;
    if (!json_is_array(value))
        return wanted(d, path, "a list of texts");
    size_t n = json_array_size(value);
    flamenco_str *list = fl_arena_alloc(d->arena, (n + 1) * sizeof(*list));
    if (list == NULL)
        return flamenco_fail(d->err, FLAMENCO_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; ++i) {
        int32_t rc = take_text(d, path, json_array_get(value, i), &list[i]);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    out->platforms = list;
    out->n_platforms = n;
    return FLAMENCO_OK;
}

static int32_t take_value(decoder *d, const char *path, const json_t *object, fl_reference_value *out)
{
    const char *key;
    json_t *value;
    int32_t rc = FLAMENCO_OK;
    if (json_is_null(object))
        return FLAMENCO_OK;
    if (!json_is_object(object))
        return wanted(d, path, "an object");
    json_object_foreach(unconst(object), key, value)
    {
        if (strcasecmp(key, "audience") == 0)
            rc = take_text(d, path, value, &out->audience);
        else if (strcasecmp(key, "platform") == 0)
            rc = take_text(d, path, value, &out->platform);
        else if (strcasecmp(key, "value") == 0)
            rc = take_text(d, path, value, &out->value);
        else if (strcasecmp(key, "platforms") == 0)
            rc = take_platforms(d, path, value, out);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

static int32_t take_values(decoder *d, const char *path, const json_t *array, fl_reference_variable *out)
{
    if (json_is_null(array))
        return FLAMENCO_OK;
    if (!json_is_array(array))
        return wanted(d, path, "a list");
    size_t n = json_array_size(array);
    fl_reference_value *values = fl_arena_alloc(d->arena, (n + 1) * sizeof(*values));
    if (values == NULL)
        return flamenco_fail(d->err, FLAMENCO_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; ++i) {
        int32_t rc = take_value(d, path, json_array_get(array, i), &values[i]);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    out->values = values;
    out->n_values = n;
    return FLAMENCO_OK;
}

static int32_t take_variable(decoder *d, const char *name, const json_t *object, fl_reference_variable *out)
{
    char path[128];
    const char *key;
    json_t *value;
    int32_t rc = FLAMENCO_OK;
    snprintf(path, sizeof(path), "variables.%.60s", name);
    if (strlen(name) > NAME_MAX_LEN)
        return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%s: the name is longer than %d bytes", path, NAME_MAX_LEN);
    out->name = fl_arena_copy(d->arena, flamenco_text(name));
    if (out->name.ptr == NULL)
        return flamenco_fail(d->err, FLAMENCO_E_NOMEM, "out of memory");
    if (json_is_null(object))
        return FLAMENCO_OK;
    if (!json_is_object(object))
        return wanted(d, path, "an object");
    json_object_foreach(unconst(object), key, value)
    {
        if (strcasecmp(key, "values") == 0) {
            rc = take_values(d, path, value, out);
        } else if (strcasecmp(key, "is_twoway") == 0 && !json_is_null(value)) {
            if (!json_is_boolean(value))
                return flamenco_fail(d->err, FLAMENCO_E_INVALID, "%s.is_twoway: true or false is wanted", path);
            out->is_twoway = json_is_true(value);
        }
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const fl_reference_variable *)a)->name.ptr, ((const fl_reference_variable *)b)->name.ptr);
}

static int32_t take_variables(decoder *d, const json_t *object)
{
    const char *name;
    json_t *value;
    if (json_is_null(object))
        return FLAMENCO_OK;
    if (!json_is_object(object))
        return wanted(d, "variables", "an object");
    if (json_object_size(object) > FL_REFERENCE_VARIABLES_MAX)
        return flamenco_fail(d->err, FLAMENCO_E_INVALID, "variables: more than %u", FL_REFERENCE_VARIABLES_MAX);
    size_t n = 0;
    fl_reference_variable *list = fl_arena_alloc(d->arena, (json_object_size(object) + 1) * sizeof(*list));
    if (list == NULL)
        return flamenco_fail(d->err, FLAMENCO_E_NOMEM, "out of memory");
    json_object_foreach(unconst(object), name, value)
    {
        int32_t rc = take_variable(d, name, value, &list[n++]);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    qsort(list, n, sizeof(*list), compare_names);
    d->ref->variables = list;
    d->ref->n_variables = n;
    return FLAMENCO_OK;
}

static int is_group(const char *path)
{
    size_t len = strlen(path);
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i)
        if (strncasecmp(fl_reference_fields[i].key, path, len) == 0 && fl_reference_fields[i].key[len] == '.')
            return 1;
    return 0;
}

static int find_nocase(const char *path)
{
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i)
        if (strcasecmp(fl_reference_fields[i].key, path) == 0)
            return i;
    return -1;
}

static int32_t take_group(decoder *d, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    int32_t rc = FLAMENCO_OK;
    if (json_is_null(object))
        return FLAMENCO_OK;
    if (!json_is_object(object))
        return wanted(d, prefix, "an object");
    json_object_foreach(unconst(object), key, value)
    {
        char path[96];
        int n = snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        if (n < 0 || n >= (int)sizeof(path))
            continue;
        int index = find_nocase(path);
        if (strcasecmp(path, "variables") == 0)
            rc = take_variables(d, value);
        else if (index >= 0)
            rc = take_field(d, index, value);
        else if (is_group(path))
            rc = take_group(d, path, value);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

static int32_t check(const fl_reference *ref, flamenco_error *err)
{
    if (ref->version != 3)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "_meta.version: must be 3, not %lld", (long long)ref->version);
    if (fl_str_trim(ref->database).len == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "database: must not be empty");
    flamenco_str listen = fl_str_trim(ref->listen);
    if (listen.len == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "listen: must not be empty");
    /* Anything else than a port behind a colon is for the next start to find out, which asks the system. */
    const char *colon = memrchr(listen.ptr, ':', (size_t)listen.len);
    if (colon == NULL || colon == listen.ptr + listen.len - 1)
        return flamenco_fail(err, FLAMENCO_E_INVALID,
                             "listen: has no port; HOST:PORT is wanted, or :PORT for all addresses");
    return FLAMENCO_OK;
}

int32_t fl_reference_decode(fl_arena *arena, const json_t *body, fl_reference *out, flamenco_error *err)
{
    fl_reference ref = { 0 };
    decoder d = { &ref, arena, err };
    int32_t rc;
    if (!json_is_object(body))
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "the body must be an object");
    else
        rc = take_group(&d, "", body);
    if (rc == FLAMENCO_OK)
        rc = check(&ref, err);
    if (rc == FLAMENCO_OK)
        *out = ref;
    return rc;
}
