/* SPDX-License-Identifier: Apache-2.0
 *
 * last_rendered.c - rendered images: Workers send them, pages ask where the thumbnails are (api-behaviour 7.3, 7.6;
 * state-and-scheduling 14). The member is optional: without it, images are taken and dropped (decisions).
 */
#include "core/api/handlers.h"
#include "core/api/worker_events.h"
#include "core/base/buf.h"
#include "core/base/str.h"

static int is_off(const fl_call *call)
{
    return call->f->last_rendered.table == NULL;
}

/* ---- An image comes in ------------------------------------------------------------------------------------------------ */

static int32_t find_job(fl_call *call, flamenco_str task_id, flamenco_job *job)
{
    flamenco_uuid uuid;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = fl_call_uuid(call, "the task id", task_id, &uuid);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_task_find(&call->f->persist, &call->cx->pub, &uuid, &task, call->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get_key(&call->f->persist, &call->cx->pub, task.job_key, job, call->err);
    return rc;
}

int32_t fl_task_output_produced(fl_call *call, const api_task_output_produced_in *in)
{
    uint64_t limit = fl_call_body_limit(call->f, call->op);
    flamenco_job *job = fl_arena_alloc(call->arena, sizeof(*job));
    if (job == NULL)
        return FLAMENCO_E_NOMEM;
    job->struct_size = (uint32_t)sizeof(*job);
    int32_t rc = fl_worker_touch(call->cx, &call->worker);
    if (rc != FLAMENCO_OK)
        return rc;
    if (in->body.len > limit)
        return api_task_output_produced_413(&call->reply, "the image has %llu bytes, at most %llu are allowed",
                                            (unsigned long long)in->body.len, (unsigned long long)limit);
    rc = find_job(call, in->task_id, job);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no task %.*s", FL_STR_ARGS(in->task_id));
    call->state = job;
    return rc;
}

int32_t fl_finish_task_output_produced(fl_call *call, const api_task_output_produced_in *in)
{
    const flamenco_job *job = call->state;
    if (is_off(call))
        return api_task_output_produced_202(&call->reply);
    flamenco_buf *image = fl_shared_create((size_t)in->body.len);
    if (image == NULL)
        return FLAMENCO_E_NOMEM;
    memcpy(fl_shared_data(image), in->body.ptr, (size_t)in->body.len);
    int32_t rc =
        flamenco_last_rendered_submit(&call->f->last_rendered, &call->cx->pub, job, in->content_type, image, call->err);
    if (rc == FLAMENCO_E_FULL)
        return api_task_output_produced_429(&call->reply, "too many images wait already; leave this one out");
    if (rc == FLAMENCO_E_UNSUPPORTED)
        return api_task_output_produced_415(&call->reply, "images of the type %.*s cannot be read",
                                            FL_STR_ARGS(in->content_type));
    return rc == FLAMENCO_OK ? api_task_output_produced_202(&call->reply) : rc;
}

/* ---- Where its thumbnails are ------------------------------------------------------------------------------------------- */

/* Returns 0 and fills the reply's body; NOT_FOUND: there are none. */
static int32_t find_thumbnails(fl_call *call, const flamenco_uuid *job, api_job_last_rendered_image_info *out)
{
    const flamenco_last_rendered_ref *member = &call->f->last_rendered;
    flamenco_str base = { NULL, 0 };
    if (is_off(call))
        return FLAMENCO_E_NOT_FOUND;
    int32_t rc = flamenco_last_rendered_info(member, &call->cx->pub, job, &base, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    out->base = fl_arena_printf(call->arena, "/job-files/%.*s", FL_STR_ARGS(base));
    const flamenco_str *names = flamenco_last_rendered_suffixes(member);
    uint64_t count = 0;
    while (names != NULL && names[count].len > 0)
        ++count;
    out->suffixes = (api_text_array){ names, count };
    return out->base.ptr != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

/* An unknown job has none, too: pages may ask for one that was just deleted. */
int32_t fl_fetch_job_last_rendered_info(fl_call *call, const api_fetch_job_last_rendered_info_in *in)
{
    flamenco_uuid job;
    api_job_last_rendered_image_info info = { 0 };
    int32_t rc = fl_call_uuid(call, "the job id", in->job_id, &job);
    if (rc == FLAMENCO_OK)
        rc = find_thumbnails(call, &job, &info);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_job_last_rendered_info_204(&call->reply);
    return rc == FLAMENCO_OK ? api_fetch_job_last_rendered_info_200(&call->reply, &info) : rc;
}

int32_t fl_fetch_global_last_rendered_info(fl_call *call, const api_fetch_global_last_rendered_info_in *in)
{
    (void)in;
    flamenco_uuid *uuid = fl_arena_alloc(call->arena, sizeof(*uuid));
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    if (uuid == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = is_off(call) ? FLAMENCO_E_NOT_FOUND
                              : flamenco_persist_last_rendered_get(&call->f->persist, &call->cx->pub, &job, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_global_last_rendered_info_204(&call->reply);
    if (rc != FLAMENCO_OK)
        return rc;
    *uuid = job.uuid;
    call->state = uuid;
    return FLAMENCO_OK;
}

int32_t fl_finish_fetch_global_last_rendered_info(fl_call *call, const api_fetch_global_last_rendered_info_in *in)
{
    (void)in;
    api_job_last_rendered_image_info info = { 0 };
    int32_t rc = find_thumbnails(call, call->state, &info);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return api_fetch_global_last_rendered_info_204(&call->reply);
    return rc == FLAMENCO_OK ? api_fetch_global_last_rendered_info_200(&call->reply, &info) : rc;
}
