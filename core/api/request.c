/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - checks parameters and body of a request (request.h).
 */
#include "core/api/request.h"

#include "core/base/str.h"

void fl_api_decoded_fini(fl_api_decoded *decoded)
{
    if (decoded == NULL)
        return;
    json_decref(decoded->root);
    decoded->root = NULL;
}

int32_t fl_api_query(fl_arena *arena, flamenco_str query, const char *name, uint32_t nth, flamenco_str *value_out)
{
    flamenco_str pair, key;
    if (query.len == 0)
        return 0;
    while (fl_str_split(&query, '&', &pair)) {
        const char *equals = pair.len != 0 ? memchr(pair.ptr, '=', (size_t)pair.len) : NULL;
        uint64_t key_len = equals != NULL ? (uint64_t)(equals - pair.ptr) : pair.len;
        int32_t rc = fl_str_percent_decode(arena, (flamenco_str){ pair.ptr, key_len }, 1, &key);
        if (rc == FLAMENCO_E_NOMEM)
            return rc;
        if (rc != FLAMENCO_OK || !fl_str_is(key, name) || nth-- != 0)
            continue;
        flamenco_str value = { pair.ptr + key_len, pair.len - key_len };
        if (equals != NULL)
            value = (flamenco_str){ equals + 1, value.len - 1 };
        rc = fl_str_percent_decode(arena, value, 1, value_out);
        return rc == FLAMENCO_OK ? 1 : rc;
    }
    return 0;
}

static const char *where_text(const fl_in_param *param)
{
    return param->where == FL_PARAM_PATH    ? "path parameter"
           : param->where == FL_PARAM_QUERY ? "query parameter"
                                            : "header";
}

/* Finds the text of a parameter. 1 found, 0 absent, INVALID, NOMEM. */
static int32_t find_text(const fl_in_param *param, const fl_api_raw *raw, fl_arena *arena, flamenco_str *text,
                         fl_api_problem *problem)
{
    flamenco_str second;
    int32_t found = 0, twice = 0;
    if (param->where == FL_PARAM_PATH) {
        if (param->index >= raw->n_params)
            return FLAMENCO_E_INTERNAL; /* the request was routed to another operation */
        *text = raw->params[param->index];
        return 1;
    }
    if (param->where == FL_PARAM_QUERY) {
        found = fl_api_query(arena, raw->query, param->name, 0, text);
        twice = found == 1 ? fl_api_query(arena, raw->query, param->name, 1, &second) : 0;
    } else if (raw->header != NULL) {
        found = raw->header(raw->ctx, param->name, 0, text) != 0;
        twice = found && raw->header(raw->ctx, param->name, 1, &second) != 0;
    }
    if (found == FLAMENCO_E_INVALID)
        return fl_api_refuse(problem, "%s %s: has a bad percent escape or a NUL byte", where_text(param), param->name);
    if (twice == 1 || twice == FLAMENCO_E_INVALID)
        return fl_api_refuse(problem, "%s %s: is given more than once", where_text(param), param->name);
    return twice < 0 ? twice : found;
}

/* Reads a list of texts that are separated by commas. */
static int32_t decode_list(const fl_in_param *param, flamenco_str text, fl_arena *arena, void *out, const char *what,
                           fl_api_problem *problem)
{
    const fl_in_type *item = param->type->item;
    uint64_t count = 1;
    for (uint64_t i = 0; i < text.len; ++i)
        count += text.ptr[i] == ',';
    char *items = count <= SIZE_MAX / item->size ? fl_arena_alloc(arena, (size_t)count * item->size) : NULL;
    if (items == NULL)
        return FLAMENCO_E_NOMEM;
    fl_in_list list = { items, count };
    if (text.ptr == NULL)
        text.ptr = "";
    flamenco_str part;
    for (; fl_str_split(&text, ',', &part); items += item->size) {
        int32_t rc = fl_json_in_text(item, part, items, what, problem);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    memcpy(out, &list, sizeof(list));
    return FLAMENCO_OK;
}

static int32_t decode_param(const fl_in_param *param, const fl_api_raw *raw, fl_arena *arena, char *out,
                            fl_api_problem *problem)
{
    char what[100] = "";
    flamenco_str text = { NULL, 0 };
    int32_t rc = find_text(param, raw, arena, &text, problem);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        if (param->type->kind == FL_IN_TIME)
            memcpy(out + param->offset, &(int64_t){ FLAMENCO_TIME_NONE }, sizeof(int64_t));
        return FLAMENCO_OK;
    }
    if (param->type->kind != FL_IN_TEXT) /* a text is never refused */
        snprintf(what, sizeof(what), "%s %s", where_text(param), param->name);
    if (param->type->kind == FL_IN_LIST)
        rc = decode_list(param, text, arena, out + param->offset, what, problem);
    else
        rc = fl_json_in_text(param->type, text, out + param->offset, what, problem);
    if (rc == FLAMENCO_OK && param->has_offset != FL_IN_NO_OFFSET)
        out[param->has_offset] = 1;
    return rc;
}

/* Compares up to a semicolon, byte by byte: capitals and blanks make another type (api-behaviour 2.1). */
static int has_content_type(const fl_in_operation *operation, flamenco_str type)
{
    for (uint32_t i = 0; i < operation->n_content_types; ++i) {
        size_t len = strlen(operation->content_types[i]);
        if (type.len >= len && memcmp(type.ptr, operation->content_types[i], len) == 0 &&
            (type.len == len || type.ptr[len] == ';'))
            return 1;
    }
    return 0;
}

static int32_t refuse_content_type(const fl_in_operation *operation, fl_api_problem *problem)
{
    return fl_api_refuse(problem, "header content-type: must be %s%s%s", operation->content_types[0],
                         operation->n_content_types > 1 ? " or " : "",
                         operation->n_content_types > 1 ? operation->content_types[1] : "");
}

static int32_t decode_body(const fl_in_operation *operation, const fl_api_raw *raw, fl_arena *arena, char *out,
                           fl_api_problem *problem)
{
    if (operation->body == FL_BODY_NONE)
        return FLAMENCO_OK;
    if (!operation->unvalidated) {
        if (raw->body.len == 0)
            return operation->body_required ? fl_api_refuse(problem, "request body: is required") : FLAMENCO_OK;
        if (!has_content_type(operation, raw->content_type))
            return refuse_content_type(operation, problem);
    }
    if (operation->content_type_offset != FL_IN_NO_OFFSET)
        memcpy(out + operation->content_type_offset, &raw->content_type, sizeof(raw->content_type));
    if (operation->body == FL_BODY_BYTES) {
        memcpy(out + operation->body_offset, &raw->body, sizeof(raw->body));
        return FLAMENCO_OK;
    }
    fl_api_decoded decoded = { NULL };
    int32_t rc = fl_json_in_parse(raw->body, arena, &decoded.root, problem);
    if (rc == FLAMENCO_OK)
        rc = fl_json_in_decode(operation->body_type, decoded.root, arena, out + operation->body_offset, problem);
    if (rc != FLAMENCO_OK) {
        fl_api_decoded_fini(&decoded);
        return rc;
    }
    memcpy(out, &decoded, sizeof(decoded));
    if (operation->has_body_offset != FL_IN_NO_OFFSET)
        out[operation->has_body_offset] = 1;
    return FLAMENCO_OK;
}

int32_t fl_api_decode(const fl_in_operation *operation, const fl_api_raw *raw, fl_arena *arena, void *out,
                      fl_api_problem *problem)
{
    problem->status = 0;
    problem->text[0] = '\0';
    for (uint32_t i = 0; i < operation->n_params; ++i) {
        int32_t rc = decode_param(&operation->params[i], raw, arena, out, problem);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return decode_body(operation, raw, arena, out, problem);
}
