/* SPDX-License-Identifier: Apache-2.0
 *
 * json_in.h - reads JSON bodies into C structs by the tables that api/generate.py makes from the API document, with
 * the rules of api-behaviour 2.1, and writes free-form values back. Used by request.c, the generated decoders, and
 * the handlers that store settings and metadata.
 */
#ifndef FL_API_JSON_IN_H
#define FL_API_JSON_IN_H

#include <jansson.h>

#include "core/base/arena.h"
#include "core/base/json.h"

/* What is wrong with a request: the status to answer and a message for people, NUL-terminated, valid UTF-8. */
typedef struct fl_api_problem {
    int32_t status;
    char text[1000];
} fl_api_problem;

/* Fills in a problem with status 400 and returns FLAMENCO_E_INVALID. */
int32_t fl_api_refuse(fl_api_problem *problem, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Kinds of values. The C representation stands behind each. */
#define FL_IN_TEXT 1u /* flamenco_str, borrowed from the JSON tree */
#define FL_IN_INT 2u /* int64_t */
#define FL_IN_BOOL 3u /* int32_t, 0 or 1 */
#define FL_IN_TIME 4u /* int64_t, µs; rounded up to a whole µs */
#define FL_IN_ENUM 5u /* an enum of api_types.h; 0 = absent */
#define FL_IN_ANY 6u /* const json_t *, any value, also null */
#define FL_IN_FREE_OBJECT 7u /* const json_t *, an object */
#define FL_IN_TEXT_MAP 8u /* const json_t *, an object whose values are strings */
#define FL_IN_OBJECT 9u /* a struct */
#define FL_IN_LIST 10u /* fl_in_list */

#define FL_IN_NO_OFFSET UINT32_MAX

/* How every list struct of api_types.h looks. */
typedef struct fl_in_list {
    const void *ptr;
    uint64_t count;
} fl_in_list;

struct fl_in_field;

/* One type of the document. All pointers go to static tables. */
typedef struct fl_in_type {
    uint32_t kind; /* FL_IN_* */
    uint32_t size; /* of the C representation */
    uint8_t has_min, has_max;
    int64_t min, max;
    uint32_t n; /* OBJECT: fields; ENUM: members and the one for none */
    const struct fl_in_field *fields; /* OBJECT */
    const flamenco_str *texts; /* ENUM */
    const struct fl_in_type *item; /* LIST */
} fl_in_type;

/* One property of an object. */
typedef struct fl_in_field {
    const char *name;
    const fl_in_type *type;
    uint32_t offset;
    uint32_t has_offset; /* of the uint8_t that tells presence; FL_IN_NO_OFFSET = there is none */
    uint8_t required;
    uint8_t pointer; /* an optional object: the member is a pointer into the arena */
    uint8_t has_default; /* INT: absent and null both give default_value */
    int64_t default_value;
} fl_in_field;

/* Parses a body. Only the first value counts; what follows it is not looked at. Bytes that are not UTF-8 and lone
 * surrogate escapes become U+FFFD; integers outside 64 bits become reals. The arena holds what is made on the way.
 * Returns 0 and the tree, to be given to json_decref; INVALID with problem; NOMEM. */
int32_t fl_json_in_parse(flamenco_str body, fl_arena *arena, json_t **root_out, fl_api_problem *problem);

/* Checks `value` against `type` and fills the C representation at `out`, which must be zeroed. Texts and free-form
 * values are borrowed from `value`, lists and optional objects live in the arena. Returns 0; INVALID with a problem
 * that names the field by JSON pointer; NOMEM. After a failure the content of out is undefined. */
int32_t fl_json_in_decode(const fl_in_type *type, const json_t *value, fl_arena *arena, void *out,
                          fl_api_problem *problem);

/* Checks a single text against a type of kind TEXT, INT, BOOL, TIME or ENUM and fills the C representation; `what`
 * names it in the problem ("query parameter limit"). Times are cut to a whole µs. */
int32_t fl_json_in_text(const fl_in_type *type, flamenco_str text, void *out, const char *what,
                        fl_api_problem *problem);

/* Writes a tree as JSON, keys in byte order. NULL gives null. Errors are sticky in the buffer. */
void fl_json_in_write(fl_json *w, const json_t *value);

#endif
