/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.c - what Workers call about themselves: registration, sign-on and -off, status (api-behaviour 7.2,
 * state-and-scheduling 9).
 */
#include <ctype.h>

#include "core/api/convert.h"
#include "core/api/credentials.h"
#include "core/api/handlers.h"
#include "core/api/worker_events.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/uuid.h"

/* Joins task types by commas; lower: trimmed and in lower case, as at sign-on. ptr NULL: no memory. */
static flamenco_str join_types(fl_arena *arena, api_text_array types, int lower)
{
    size_t total = 0, len = 0;
    for (uint64_t i = 0; i < types.count; ++i)
        total += (size_t)types.ptr[i].len + 1;
    char *text = fl_arena_alloc(arena, total + 1);
    if (text == NULL)
        return (flamenco_str){ NULL, 0 };
    for (uint64_t i = 0; i < types.count; ++i) {
        flamenco_str type = lower ? fl_str_trim(types.ptr[i]) : types.ptr[i];
        if (i > 0)
            text[len++] = ',';
        for (uint64_t c = 0; c < type.len; ++c)
            text[len++] = lower ? (char)tolower((unsigned char)type.ptr[c]) : type.ptr[c];
    }
    return (flamenco_str){ text, len };
}

/* ---- Registration ------------------------------------------------------------------------------------------------ */

typedef struct registration {
    flamenco_uuid uuid;
    char hash[FL_SECRET_HASH_MAX];
} registration;

int32_t fl_prepare_register_worker(fl_call *call, const api_register_worker_in *in)
{
    registration *r = fl_arena_alloc(call->arena, sizeof(*r));
    if (r == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = fl_credentials_hash(in->body.secret, r->hash);
    if (rc == FLAMENCO_E_INVALID)
        return fl_reply_error(&call->reply, 400, "secret: at most %u bytes without a NUL are allowed, there are %llu",
                              FL_SECRET_MAX, (unsigned long long)in->body.secret.len);
    if (rc == FLAMENCO_OK)
        rc = fl_uuid_make_v4(&r->uuid);
    call->state = r;
    return rc == FLAMENCO_OK ? rc : flamenco_fail(call->err, rc, "cannot make credentials");
}

int32_t fl_register_worker(fl_call *call, const api_register_worker_in *in)
{
    const registration *r = call->state;
    flamenco_str types = join_types(call->arena, in->body.supported_task_types, 0);
    if (types.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row),
                            .uuid = r->uuid,
                            .created_us = call->cx->pub.now_us,
                            .updated_us = FLAMENCO_TIME_NONE,
                            .seen_us = FLAMENCO_TIME_NONE,
                            .deleted_us = FLAMENCO_TIME_NONE,
                            .name = in->body.name,
                            .address = fl_http_request_remote(call->http),
                            .platform = in->body.platform,
                            .task_types = types,
                            .secret_hash = flamenco_text(r->hash) };
    int64_t key;
    int32_t rc = flamenco_persist_worker_insert(&call->f->persist, &call->cx->pub, &row, &key, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    api_registered_worker out = { .uuid = fl_call_uuid_text(call, &row.uuid),
                                  .name = row.name,
                                  .address = row.address,
                                  .platform = row.platform,
                                  .supported_task_types = fl_task_types(call->arena, types) };
    return api_register_worker_200(&call->reply, &out);
}

/* ---- Sign-on and -off ---------------------------------------------------------------------------------------------- */

static int32_t update_worker(fl_call *call, flamenco_worker *row, uint32_t set)
{
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update), .set = set, .row = row };
    row->updated_us = call->cx->pub.now_us;
    if (set & FLAMENCO_WORKER_SET_SEEN)
        row->seen_us = call->cx->pub.now_us;
    return flamenco_persist_worker_update(&call->f->persist, &call->cx->pub, row->key, &update, call->err);
}

/* What the worker is to do after sign-on: what was requested, else what its sleep schedule says. */
static int32_t status_after_sign_on(fl_call *call, const flamenco_worker *row, uint32_t *out)
{
    *out = row->requested;
    if (*out != FLAMENCO_WORKER_NONE)
        return FLAMENCO_OK;
    *out = FLAMENCO_WORKER_AWAKE;
    if (call->f->sleep_scheduler.table == NULL)
        return FLAMENCO_OK;
    return flamenco_sleep_scheduler_status_now(&call->f->sleep_scheduler, &call->cx->pub, row->key, out, call->err);
}

int32_t fl_sign_on(fl_call *call, const api_sign_on_in *in)
{
    flamenco_worker *row = &call->worker;
    uint32_t previous = row->status, next;
    row->status = FLAMENCO_WORKER_STARTING;
    row->name = in->body.name;
    row->software = in->body.software_version;
    row->address = fl_http_request_remote(call->http);
    row->can_restart = in->body.has_can_restart && in->body.can_restart;
    row->task_types = join_types(call->arena, in->body.supported_task_types, 1);
    row->last_good_status = FLAMENCO_WORKER_NONE;
    if (row->task_types.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = update_worker(call, row,
                               FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_SIGN_ON |
                                   FLAMENCO_WORKER_SET_LAST_GOOD | FLAMENCO_WORKER_SET_SEEN);
    if (rc == FLAMENCO_OK)
        rc = status_after_sign_on(call, row, &next);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(call->cx, row, previous != FLAMENCO_WORKER_NONE ? previous : FLAMENCO_PREVIOUS_NONE);
    if (rc != FLAMENCO_OK)
        return rc;
    api_worker_state_change out = { fl_to_api_worker_status(next) };
    return api_sign_on_200(&call->reply, &out);
}

static int32_t return_tasks(fl_call *call, const flamenco_worker *row, flamenco_str reason)
{
    return flamenco_state_machine_worker_return_tasks(&call->f->state_machine, &call->cx->pub, row, reason, call->err);
}

int32_t fl_sign_off(fl_call *call, const api_sign_off_in *in)
{
    (void)in;
    flamenco_worker *row = &call->worker;
    uint32_t previous = row->status;
    row->status = FLAMENCO_WORKER_OFFLINE;
    if (row->requested == FLAMENCO_WORKER_OFFLINE || row->requested == FLAMENCO_WORKER_RESTART) {
        row->requested = FLAMENCO_WORKER_NONE;
        row->lazy = 0;
    }
    /* So that it goes on where it was when it comes back. */
    if (row->requested == FLAMENCO_WORKER_NONE &&
        (previous == FLAMENCO_WORKER_AWAKE || previous == FLAMENCO_WORKER_ASLEEP)) {
        row->requested = previous;
        row->lazy = 0;
    }
    int32_t rc =
        update_worker(call, row, FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST | FLAMENCO_WORKER_SET_SEEN);
    if (rc == FLAMENCO_OK)
        rc = return_tasks(call, row, FL_STR("the worker signed off"));
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(call->cx, row, previous);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_wake(call->cx, &row->uuid);
    return rc == FLAMENCO_OK ? api_sign_off_204(&call->reply) : rc;
}

/* ---- Status ---------------------------------------------------------------------------------------------------------- */

int32_t fl_worker_state(fl_call *call, const api_worker_state_in *in)
{
    (void)in;
    flamenco_worker *row = &call->worker;
    int32_t rc = fl_worker_touch(call->cx, row);
    if (rc != FLAMENCO_OK)
        return rc;
    if (row->requested != FLAMENCO_WORKER_NONE) {
        api_worker_state_change out = { fl_to_api_worker_status(row->requested) };
        return api_worker_state_200(&call->reply, &out);
    }
    return fl_call_park(call, FLAMENCO_WAKE_WORKER) ? FL_STEP_PARK : api_worker_state_204(&call->reply);
}

int32_t fl_worker_state_changed(fl_call *call, const api_worker_state_changed_in *in)
{
    flamenco_worker *row = &call->worker;
    uint32_t previous = row->status;
    row->status = fl_from_api_worker_status(in->body.status);
    row->last_good_status = FLAMENCO_WORKER_NONE;
    if (row->requested == row->status) {
        row->requested = FLAMENCO_WORKER_NONE;
        row->lazy = 0;
    }
    int32_t rc = update_worker(call, row,
                               FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_REQUEST |
                                   FLAMENCO_WORKER_SET_LAST_GOOD | FLAMENCO_WORKER_SET_SEEN);
    if (rc == FLAMENCO_OK && previous == FLAMENCO_WORKER_AWAKE && row->status != FLAMENCO_WORKER_AWAKE) {
        flamenco_str uuid = fl_call_uuid_text(call, &row->uuid);
        flamenco_str reason =
            fl_arena_printf(call->arena, "worker %.*s (%.*s) changed its status to %s", FL_STR_ARGS(row->name),
                            FL_STR_ARGS(uuid), flamenco_worker_status_text(row->status));
        rc = reason.ptr != NULL ? return_tasks(call, row, reason) : FLAMENCO_E_NOMEM;
    }
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(call->cx, row, previous);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_wake(call->cx, &row->uuid);
    return rc == FLAMENCO_OK ? api_worker_state_changed_204(&call->reply) : rc;
}
