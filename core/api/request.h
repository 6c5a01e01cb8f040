/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h - what the HTTP layer knows of a request when its parameters and body are to be checked, and the check
 * itself, in the order of api-behaviour 2. The core fills fl_api_raw and calls api_decode() of api_routes.h, which
 * comes here. All functions are pure: any thread, also an event loop's, but a large body should be checked on a
 * worker thread.
 */
#ifndef FL_API_REQUEST_H
#define FL_API_REQUEST_H

#include "core/api/json_in.h"

/* A request. All texts are borrowed and must stay valid as long as what is decoded from them. */
typedef struct fl_api_raw {
    flamenco_str query; /* what follows '?', still encoded; empty = none */
    const flamenco_str *params; /* the path's parameters, decoded, in the order of its template (api_match) */
    uint32_t n_params;
    flamenco_str content_type; /* of the first such header; empty = none */
    flamenco_str body; /* empty = none. Uploads that are streamed past h2o have none here */
    /* Gives the nth value (from 0) of a header; `name` is in lower case. Returns 1, or 0 when there are no more.
     * NULL: the request has no headers. */
    int (*header)(const void *ctx, const char *name, uint32_t nth, flamenco_str *value_out);
    const void *ctx;
} fl_api_raw;

/* What a decoded request holds beside its arena. First member of every api_…_in. */
typedef struct fl_api_decoded {
    json_t *root; /* the body; NULL when there is none */
} fl_api_decoded;

/* Frees the body's tree; texts that were borrowed from it are gone then. Accepts one that is zero, and NULL. */
void fl_api_decoded_fini(fl_api_decoded *decoded);

#define FL_PARAM_PATH 0u
#define FL_PARAM_QUERY 1u
#define FL_PARAM_HEADER 2u

typedef struct fl_in_param {
    const char *name; /* as the document has it; headers in lower case */
    const fl_in_type *type;
    uint32_t where; /* FL_PARAM_* */
    uint32_t index; /* PATH: place in the template */
    uint32_t offset, has_offset;
} fl_in_param;

#define FL_BODY_NONE 0u /* a body is ignored */
#define FL_BODY_JSON 1u /* checked by body_type */
#define FL_BODY_BYTES 2u /* handed on as it is: flamenco_str */

/* All that is checked of one operation's requests. */
typedef struct fl_in_operation {
    const fl_in_param *params;
    uint32_t n_params;
    uint32_t body; /* FL_BODY_* */
    uint8_t body_required;
    uint8_t unvalidated; /* neither presence nor type of the body are looked at (api-behaviour 2.2) */
    uint32_t n_content_types;
    const char *const *content_types;
    const fl_in_type *body_type;
    uint32_t body_offset, has_body_offset, content_type_offset; /* the latter FL_IN_NO_OFFSET when not kept */
} fl_in_operation;

/* Checks a request and fills `out`, a zeroed api_…_in. On success the caller owns out->decoded; on failure it is
 * empty. Returns 0; INVALID with the status and message to answer in problem; NOMEM. */
int32_t fl_api_decode(const fl_in_operation *operation, const fl_api_raw *raw, fl_arena *arena, void *out,
                      fl_api_problem *problem);

/* Finds the nth (from 0) query parameter of that name and decodes it. Returns 1; 0 when there is none; INVALID for a
 * bad escape in it; NOMEM. A parameter without '=' has the empty value. */
int32_t fl_api_query(fl_arena *arena, flamenco_str query, const char *name, uint32_t nth, flamenco_str *value_out);

#endif
