/* SPDX-License-Identifier: Apache-2.0
 *
 * json_in.c - reads JSON bodies into C structs (json_in.h). Most bodies go through json_read.c; of the others, json_mend.c
 * repairs what the library's parser would refuse.
 */
#include "core/api/json_in.h"

#include <stdlib.h>

#include "core/api/json_mend.h"
#include "core/api/json_read.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"

#define SHOWN_MAX 60u /* bytes of a wrong value that a message shows */
#define POINTER_MAX 300u

/* ---- Messages -------------------------------------------------------------------------------------------------- */

/* A place in the document, from the inside out; lives on the stack of the descent. */
typedef struct place {
    const struct place *up;
    flamenco_str name; /* of a property; ptr NULL: an index */
    size_t index;
} place;

typedef struct message {
    char *text;
    size_t len, max;
} message;

static void put(message *m, const char *text, size_t len)
{
    size_t room = m->max - m->len;
    if (len > room) /* cut between two characters */
        for (len = room; len > 0 && ((unsigned char)text[len] & 0xC0u) == 0x80u;)
            --len;
    memcpy(m->text + m->len, text, len);
    m->len += len;
    m->text[m->len] = '\0';
}

static void put_text(message *m, const char *text)
{
    put(m, text, strlen(text));
}

/* Writes a JSON pointer (RFC 6901). */
static void put_pointer(message *m, const place *at)
{
    char index[24];
    if (at == NULL)
        return;
    put_pointer(m, at->up);
    put_text(m, "/");
    if (at->name.ptr == NULL) {
        snprintf(index, sizeof(index), "%zu", at->index);
        put_text(m, index);
        return;
    }
    size_t len = (size_t)at->name.len;
    for (size_t i = 0; i < len && m->len < m->max; ++i) {
        const char *c = at->name.ptr + i;
        if (*c == '~')
            put_text(m, "~0");
        else if (*c == '/')
            put_text(m, "~1");
        else
            put(m, (unsigned char)*c < 32 ? "?" : c, 1);
    }
}

static message begin_message(fl_api_problem *problem, size_t max)
{
    message m = { problem->text, 0, max };
    problem->status = 400;
    problem->text[0] = '\0';
    return m;
}

/* What a refusal is about: a place in the body, or a parameter that has a name of its own. */
typedef struct subject {
    const place *at;
    const char *what; /* NULL: the place */
} subject;

static message begin_refusal(fl_api_problem *problem, subject about)
{
    message m = begin_message(problem, POINTER_MAX);
    if (about.what != NULL)
        put_text(&m, about.what);
    else if (about.at != NULL)
        put_pointer(&m, about.at);
    else
        put_text(&m, "request body");
    m.max = sizeof(problem->text) - 1;
    put_text(&m, ": ");
    return m;
}

/* Shows a text of the request in quotes, as much of it as is useful. */
static void put_quoted(message *m, flamenco_str text)
{
    size_t start = m->len, max = m->max;
    put_text(m, "\"");
    if (m->len + SHOWN_MAX < m->max)
        m->max = m->len + SHOWN_MAX;
    put(m, text.ptr != NULL ? text.ptr : "", (size_t)text.len);
    m->max = max;
    for (size_t i = start; i < m->len; ++i)
        if ((unsigned char)m->text[i] < 32)
            m->text[i] = '?';
    put_text(m, text.len > SHOWN_MAX ? "…\"" : "\"");
}

static const char *describe(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* Names what a type allows: "an integer from 0 to 100". */
static void put_allowed(message *m, const fl_in_type *type)
{
    char range[80] = "";
    switch (type->kind) {
    case FL_IN_TEXT:
        put_text(m, "a string");
        break;
    case FL_IN_INT:
        if (type->has_min && type->has_max)
            snprintf(range, sizeof(range), " from %lld to %lld", (long long)type->min, (long long)type->max);
        else if (type->has_min)
            snprintf(range, sizeof(range), ", at least %lld", (long long)type->min);
        else if (type->has_max)
            snprintf(range, sizeof(range), ", at most %lld", (long long)type->max);
        put_text(m, "an integer");
        put_text(m, range);
        break;
    case FL_IN_BOOL:
        put_text(m, "true or false");
        break;
    case FL_IN_TIME:
        put_text(m, "a time such as \"2026-03-04T05:06:07.5Z\"");
        break;
    case FL_IN_ENUM:
        put_text(m, "one of");
        for (uint32_t i = 1; i < type->n; ++i) {
            put_text(m, i == 1 ? " \"" : ", \"");
            put(m, type->texts[i].ptr, (size_t)type->texts[i].len);
            put_text(m, "\"");
        }
        break;
    case FL_IN_LIST:
        put_text(m, "an array");
        break;
    default:
        put_text(m, "an object");
        break;
    }
}

/* "must be X, not " */
static message begin_must_be(const fl_in_type *type, subject about, fl_api_problem *problem)
{
    message m = begin_refusal(problem, about);
    put_text(&m, "must be ");
    put_allowed(&m, type);
    put_text(&m, ", not ");
    return m;
}

static int32_t refuse_kind(const fl_in_type *type, const json_t *value, const place *at, fl_api_problem *problem)
{
    message m = begin_must_be(type, (subject){ at, NULL }, problem);
    put_text(&m, describe(value));
    return FLAMENCO_E_INVALID;
}

static int32_t refuse_value(const fl_in_type *type, flamenco_str text, subject about, fl_api_problem *problem)
{
    message m = begin_must_be(type, about, problem);
    put_quoted(&m, text);
    return FLAMENCO_E_INVALID;
}

static int32_t refuse_text(const place *at, const char *text, fl_api_problem *problem)
{
    message m = begin_refusal(problem, (subject){ at, NULL });
    put_text(&m, text);
    return FLAMENCO_E_INVALID;
}

int32_t fl_api_refuse(fl_api_problem *problem, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char text[sizeof(problem->text)];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    message m = begin_message(problem, sizeof(problem->text) - 1);
    if (n > 0)
        put(&m, text, strlen(text));
    if (!fl_str_is_utf8(flamenco_text(problem->text))) { /* the parser's messages may end in half a character */
        for (char *c = problem->text; *c != '\0'; ++c)
            *c = (unsigned char)*c < 128 ? *c : '?';
    }
    return FLAMENCO_E_INVALID;
}

/* ---- Single values --------------------------------------------------------------------------------------------- */

static int32_t take_int(const fl_in_type *type, int64_t value, void *out, subject about, fl_api_problem *problem)
{
    char text[32];
    if ((type->has_min && value < type->min) || (type->has_max && value > type->max)) {
        message m = begin_must_be(type, about, problem);
        snprintf(text, sizeof(text), "%lld", (long long)value);
        put_text(&m, text);
        return FLAMENCO_E_INVALID;
    }
    memcpy(out, &value, sizeof(value));
    return FLAMENCO_OK;
}

static uint32_t enum_member(const fl_in_type *type, flamenco_str text)
{
    for (uint32_t i = 1; i < type->n; ++i)
        if (type->texts[i].len == text.len && memcmp(type->texts[i].ptr, text.ptr, (size_t)text.len) == 0)
            return i;
    return 0;
}

/* Reads a time. A fraction below the microsecond is rounded up (a limit stays inclusive) or cut. */
static int32_t take_time(const fl_in_type *type, flamenco_str text, int round_up, void *out, subject about,
                         fl_api_problem *problem)
{
    int64_t time = 0;
    int32_t ns = 0;
    int32_t rc = fl_time_parse(text, &time, &ns);
    if (rc == FLAMENCO_E_CONFLICT) {
        message m = begin_refusal(problem, about);
        put_text(&m, "must be a time with a zone, Z or an offset such as +02:00, and seconds up to 59, not ");
        put_quoted(&m, text);
        return FLAMENCO_E_INVALID;
    }
    if (rc != FLAMENCO_OK)
        return refuse_value(type, text, about, problem);
    if (ns > 0 && round_up && time < INT64_MAX)
        ++time;
    memcpy(out, &time, sizeof(time));
    return FLAMENCO_OK;
}

/* Takes what JSON has as a string. */
static int32_t take_text(const fl_in_type *type, flamenco_str text, int round_up, void *out, subject about,
                         fl_api_problem *problem)
{
    if (type->kind == FL_IN_TEXT) {
        memcpy(out, &text, sizeof(text));
        return FLAMENCO_OK;
    }
    if (type->kind == FL_IN_TIME)
        return take_time(type, text, round_up, out, about, problem);
    uint32_t number = enum_member(type, text);
    if (number == 0)
        return refuse_value(type, text, about, problem);
    memcpy(out, &number, sizeof(number));
    return FLAMENCO_OK;
}

int32_t fl_json_in_text(const fl_in_type *type, flamenco_str text, void *out, const char *what, fl_api_problem *problem)
{
    static const char *const words[] = {
        "0", "f", "F", "false", "False", "FALSE", "1", "t", "T", "true", "True", "TRUE"
    };
    subject about = { NULL, what };
    int64_t number;
    if (type->kind == FL_IN_INT) {
        if (fl_str_int(text, &number) == FLAMENCO_OK)
            return take_int(type, number, out, about, problem);
        return refuse_value(type, text, about, problem);
    }
    if (type->kind != FL_IN_BOOL)
        return take_text(type, text, 0, out, about, problem);
    for (uint32_t i = 0; i < 12; ++i) {
        if (fl_str_is(text, words[i])) {
            memcpy(out, &(int32_t){ i >= 6 }, sizeof(int32_t));
            return FLAMENCO_OK;
        }
    }
    return refuse_value(type, text, about, problem);
}

/* ---- Trees ----------------------------------------------------------------------------------------------------- */

static flamenco_str string_of(const json_t *value)
{
    return (flamenco_str){ json_string_value(value), json_string_length(value) };
}

static int32_t decode(const fl_in_type *type, const json_t *value, const place *at, fl_arena *arena, void *out,
                      fl_api_problem *problem);

static int32_t decode_int(const fl_in_type *type, const json_t *value, const place *at, void *out,
                          fl_api_problem *problem)
{
    if (json_is_real(value))
        return refuse_text(at, "must be an integer of at most 64 bits, written without decimals and exponent", problem);
    if (!json_is_integer(value))
        return refuse_kind(type, value, at, problem);
    return take_int(type, json_integer_value(value), out, (subject){ at, NULL }, problem);
}

static const fl_in_type type_text = { .kind = FL_IN_TEXT, .size = (uint32_t)sizeof(flamenco_str) };

static int32_t check_text_map(const json_t *value, const place *at, fl_api_problem *problem)
{
    /* The iterator's functions take a tree that may change, and change nothing. */
    json_t *tree = (json_t *)(uintptr_t)value;
    for (void *i = json_object_iter(tree); i != NULL; i = json_object_iter_next(tree, i)) {
        const json_t *item = json_object_iter_value(i);
        if (json_is_string(item))
            continue;
        place here = { at, { json_object_iter_key(i), json_object_iter_key_len(i) }, 0 };
        return refuse_kind(&type_text, item, &here, problem);
    }
    return FLAMENCO_OK;
}

static int32_t decode_list(const fl_in_type *type, const json_t *value, const place *at, fl_arena *arena, void *out,
                           fl_api_problem *problem)
{
    if (!json_is_array(value))
        return refuse_kind(type, value, at, problem);
    size_t count = json_array_size(value);
    fl_in_list list = { NULL, count };
    if (count != 0) {
        if (count > SIZE_MAX / type->item->size)
            return FLAMENCO_E_NOMEM;
        char *items = fl_arena_alloc(arena, count * type->item->size);
        if (items == NULL)
            return FLAMENCO_E_NOMEM;
        list.ptr = items;
        for (size_t i = 0; i < count; ++i) {
            place here = { at, { NULL, 0 }, i };
            int32_t rc =
                decode(type->item, json_array_get(value, i), &here, arena, items + i * type->item->size, problem);
            if (rc != FLAMENCO_OK)
                return rc;
        }
    }
    memcpy(out, &list, sizeof(list));
    return FLAMENCO_OK;
}

/* Gives a field that the request does not have its value: mostly the zero that is there already. */
static void fill_absent(const fl_in_field *field, void *member)
{
    if (field->type->kind == FL_IN_TIME) {
        int64_t none = FLAMENCO_TIME_NONE;
        memcpy(member, &none, sizeof(none));
    } else if (field->has_default) {
        memcpy(member, &field->default_value, sizeof(field->default_value));
    }
}

static int32_t decode_object(const fl_in_type *type, const json_t *value, const place *at, fl_arena *arena, char *out,
                             fl_api_problem *problem)
{
    if (!json_is_object(value))
        return refuse_kind(type, value, at, problem);
    for (uint32_t i = 0; i < type->n; ++i) {
        const fl_in_field *field = &type->fields[i];
        const json_t *item = json_object_get(value, field->name);
        place here = { at, flamenco_text(field->name), 0 };
        void *member = out + field->offset;
        if (item == NULL || (field->has_default && json_is_null(item))) {
            if (field->required)
                return refuse_text(&here, "is required", problem);
            fill_absent(field, member);
            continue;
        }
        void *to = member;
        if (field->pointer) {
            to = fl_arena_alloc(arena, field->type->size);
            if (to == NULL)
                return FLAMENCO_E_NOMEM;
            memcpy(member, &to, sizeof(to));
        }
        int32_t rc = decode(field->type, item, &here, arena, to, problem);
        if (rc != FLAMENCO_OK)
            return rc;
        if (field->has_offset != FL_IN_NO_OFFSET)
            out[field->has_offset] = 1;
    }
    return FLAMENCO_OK;
}

/* The recursion follows the tables, so it is as deep as the document, not as the body. */
static int32_t decode(const fl_in_type *type, const json_t *value, const place *at, fl_arena *arena, void *out,
                      fl_api_problem *problem)
{
    switch (type->kind) {
    case FL_IN_TEXT:
    case FL_IN_TIME:
    case FL_IN_ENUM:
        if (!json_is_string(value))
            return refuse_kind(type, value, at, problem);
        return take_text(type, string_of(value), 1, out, (subject){ at, NULL }, problem);
    case FL_IN_INT:
        return decode_int(type, value, at, out, problem);
    case FL_IN_BOOL:
        if (!json_is_boolean(value))
            return refuse_kind(type, value, at, problem);
        memcpy(out, &(int32_t){ json_is_true(value) }, sizeof(int32_t));
        return FLAMENCO_OK;
    case FL_IN_OBJECT:
        return decode_object(type, value, at, arena, out, problem);
    case FL_IN_LIST:
        return decode_list(type, value, at, arena, out, problem);
    default:
        if (type->kind != FL_IN_ANY && !json_is_object(value))
            return refuse_kind(type, value, at, problem);
        memcpy(out, &value, sizeof(json_t *));
        return type->kind == FL_IN_TEXT_MAP ? check_text_map(value, at, problem) : FLAMENCO_OK;
    }
}

int32_t fl_json_in_decode(const fl_in_type *type, const json_t *value, fl_arena *arena, void *out,
                          fl_api_problem *problem)
{
    return decode(type, value, NULL, arena, out, problem);
}

int32_t fl_json_in_parse(flamenco_str body, fl_arena *arena, json_t **root_out, fl_api_problem *problem)
{
    json_error_t error = { .text = "" }; /* without memory nothing is written into it */
    if (body.len >= 3 && memcmp(body.ptr, "\xEF\xBB\xBF", 3) == 0)
        return fl_api_refuse(problem, "request body: must not begin with a byte-order mark");
    *root_out = fl_json_read(body, arena);
    if (*root_out != NULL)
        return FLAMENCO_OK;
    int32_t rc = fl_json_mend(body, arena, &body);
    if (rc != FLAMENCO_OK)
        return rc;
    json_t *root =
        json_loadb(body.ptr, (size_t)body.len, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (root == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0')
            return FLAMENCO_E_NOMEM;
        return fl_api_refuse(problem, "request body: is not valid JSON: %s (line %d, column %d)", error.text,
                             error.line, error.column);
    }
    *root_out = root;
    return FLAMENCO_OK;
}

/* ---- Writing back ---------------------------------------------------------------------------------------------- */

typedef struct json_member {
    flamenco_str key;
    const json_t *value;
} json_member;

static int compare_members(const void *a, const void *b)
{
    flamenco_str x = ((const json_member *)a)->key, y = ((const json_member *)b)->key;
    int order = memcmp(x.ptr, y.ptr, (size_t)(x.len < y.len ? x.len : y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void write_object(fl_json *w, const json_t *value)
{
    json_t *tree = (json_t *)(uintptr_t)value;
    size_t n = json_object_size(value), i = 0;
    json_member *members = n != 0 ? calloc(n, sizeof(*members)) : NULL;
    if (n != 0 && members == NULL) {
        w->out->failed = 1;
        return;
    }
    for (void *at = json_object_iter(tree); at != NULL && i < n; at = json_object_iter_next(tree, at), ++i) {
        members[i].key = (flamenco_str){ json_object_iter_key(at), json_object_iter_key_len(at) };
        members[i].value = json_object_iter_value(at);
    }
    if (n != 0)
        qsort(members, n, sizeof(*members), compare_members);
    fl_json_object_begin(w);
    for (i = 0; i < n; ++i) {
        fl_json_key_str(w, members[i].key);
        fl_json_in_write(w, members[i].value);
    }
    fl_json_object_end(w);
    free(members);
}

/* The recursion is as deep as the tree, which the parser limits to 2048 levels. */
void fl_json_in_write(fl_json *w, const json_t *value)
{
    if (value == NULL) {
        fl_json_null(w);
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        write_object(w, value);
        break;
    case JSON_ARRAY:
        fl_json_array_begin(w);
        for (size_t i = 0; i < json_array_size(value); ++i)
            fl_json_in_write(w, json_array_get(value, i));
        fl_json_array_end(w);
        break;
    case JSON_STRING:
        fl_json_str(w, string_of(value));
        break;
    case JSON_INTEGER:
        fl_json_int(w, json_integer_value(value));
        break;
    case JSON_REAL:
        fl_json_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fl_json_bool(w, json_is_true(value));
        break;
    case JSON_NULL:
        fl_json_null(w);
        break;
    }
}
