/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_tags.c - the tags that group Workers: list, make, change, delete (api-behaviour 7.4). Which Worker has which tags
 * stands in worker_mgt.c, which job is limited to one in jobs.c.
 */
#include "core/api/events.h"
#include "core/api/handlers.h"
#include "core/base/str.h"
#include "core/base/uuid.h"

/* Reads the tag that a path names, or answers 400 or 404. */
static int32_t get_tag(fl_call *call, flamenco_str tag_id, flamenco_tag *out)
{
    flamenco_uuid uuid;
    int32_t rc = fl_call_uuid(call, "the tag id", tag_id, &uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    memset(out, 0, sizeof(*out));
    out->struct_size = (uint32_t)sizeof(*out);
    rc = flamenco_persist_tag_get(&call->f->persist, &call->cx->pub, &uuid, out, call->err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return fl_call_refuse(call, 404, "there is no tag %.*s", FL_STR_ARGS(tag_id));
    return rc;
}

static int32_t emit_tag(fl_call *call, const flamenco_tag *row, int deleted)
{
    flamenco_event event;
    int32_t rc = fl_event_worker_tag(row, deleted, &event);
    if (rc != FLAMENCO_OK)
        return flamenco_fail(call->err, rc, "no memory for an event");
    rc = call->cx->pub.host->emit(&call->cx->pub, &event);
    call->cx->pub.host->buf_unref(event.buf);
    return rc;
}

/* Of two tags with one name, nobody could tell which is which. */
static int32_t refuse_name(fl_call *call, flamenco_str name)
{
    return fl_call_refuse(call, 409, "there is a tag named %.*s already", FL_STR_ARGS(name));
}

static api_worker_tag as_reply(const flamenco_tag *row, char id[37])
{
    fl_uuid_format(&row->uuid, id);
    return (api_worker_tag){ .id = { id, 36 },
                             .name = row->name,
                             .description = row->description,
                             .has_description = row->description.len > 0 };
}

static int32_t write_tag(void *ctx, const flamenco_tag *row)
{
    char id[37];
    api_worker_tag tag = as_reply(row, id);
    api_write_worker_tag(ctx, &tag);
    return 0;
}

int32_t fl_fetch_worker_tags(fl_call *call, const api_fetch_worker_tags_in *in)
{
    (void)in;
    fl_json *w = fl_reply_json_begin(&call->reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "tags");
    fl_json_array_begin(w);
    int32_t rc = flamenco_persist_tags_list(&call->f->persist, &call->cx->pub, write_tag, w, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_json_array_end(w);
    fl_json_object_end(w);
    return fl_reply_json_end(&call->reply);
}

int32_t fl_fetch_worker_tag(fl_call *call, const api_fetch_worker_tag_in *in)
{
    flamenco_tag row;
    char id[37];
    int32_t rc = get_tag(call, in->tag_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    api_worker_tag out = as_reply(&row, id);
    return api_fetch_worker_tag_200(&call->reply, &out);
}

int32_t fl_create_worker_tag(fl_call *call, const api_create_worker_tag_in *in)
{
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row),
                         .name = in->body.name,
                         .description = in->body.description };
    char id[37];
    int32_t rc = in->body.id.len > 0 ? fl_call_uuid(call, "id", in->body.id, &row.uuid) : fl_uuid_make_v4(&row.uuid);
    if (rc != FLAMENCO_OK)
        return rc;
    api_worker_tag out = as_reply(&row, id);
    flamenco_tag same = { .struct_size = (uint32_t)sizeof(same) };
    rc = flamenco_persist_tag_insert(&call->f->persist, &call->cx->pub, &row, &row.key, call->err);
    if (rc == FLAMENCO_E_EXISTS) {
        rc = flamenco_persist_tag_get(&call->f->persist, &call->cx->pub, &row.uuid, &same, call->err);
        if (rc == FLAMENCO_E_NOT_FOUND)
            return refuse_name(call, row.name);
        return rc == FLAMENCO_OK ? fl_call_refuse(call, 409, "there is a tag %s already", id) : rc;
    }
    if (rc == FLAMENCO_OK)
        rc = emit_tag(call, &row, 0);
    return rc == FLAMENCO_OK ? api_create_worker_tag_200(&call->reply, &out) : rc;
}

int32_t fl_update_worker_tag(fl_call *call, const api_update_worker_tag_in *in)
{
    flamenco_tag row;
    int32_t rc = get_tag(call, in->tag_id, &row);
    if (rc != FLAMENCO_OK)
        return rc;
    row.name = in->body.name;
    if (in->body.has_description)
        row.description = in->body.description;
    rc = flamenco_persist_tag_update(&call->f->persist, &call->cx->pub, &row, call->err);
    if (rc == FLAMENCO_E_EXISTS)
        return refuse_name(call, row.name);
    if (rc == FLAMENCO_OK)
        rc = emit_tag(call, &row, 0);
    return rc == FLAMENCO_OK ? api_update_worker_tag_204(&call->reply) : rc;
}

int32_t fl_delete_worker_tag(fl_call *call, const api_delete_worker_tag_in *in)
{
    flamenco_tag row;
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS };
    int32_t rc = get_tag(call, in->tag_id, &row);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_tag_delete(&call->f->persist, &call->cx->pub, row.key, &wake.count, call->err);
    if (rc == FLAMENCO_OK)
        rc = emit_tag(call, &row, 1);
    /* Its jobs may now run anywhere. */
    if (rc == FLAMENCO_OK)
        rc = call->cx->pub.host->wake(&call->cx->pub, &wake);
    return rc == FLAMENCO_OK ? api_delete_worker_tag_204(&call->reply) : rc;
}
