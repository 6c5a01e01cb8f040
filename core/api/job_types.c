/* SPDX-License-Identifier: Apache-2.0
 *
 * job_types.c - what may be submitted (api-behaviour 7.5): the compiler's descriptions, spliced as they are.
 */
#include "core/api/handlers.h"
#include "core/base/str.h"

static int32_t write_type(void *ctx, const flamenco_job_type *type)
{
    fl_json_raw(ctx, type->json);
    return 0;
}

int32_t fl_get_job_types(fl_call *call, const api_get_job_types_in *in)
{
    (void)in;
    fl_json *w = fl_reply_json_begin(&call->reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "job_types");
    fl_json_array_begin(w);
    int32_t rc = flamenco_job_compiler_list(&call->f->job_compiler, &call->cx->pub, write_type, w, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_json_array_end(w);
    fl_json_object_end(w);
    return fl_reply_json_end(&call->reply);
}

int32_t fl_get_job_type(fl_call *call, const api_get_job_type_in *in)
{
    fl_json *w = fl_reply_json_begin(&call->reply, 200);
    int32_t rc =
        flamenco_job_compiler_get(&call->f->job_compiler, &call->cx->pub, in->type_name, write_type, w, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no job type %.*s", FL_STR_ARGS(in->type_name));
    if (rc == FLAMENCO_E_INVALID)
        return fl_call_refuse(call, 500, "%s", call->err->text);
    return rc == FLAMENCO_OK ? fl_reply_json_end(&call->reply) : rc;
}
