/* SPDX-License-Identifier: Apache-2.0
 *
 * The stages of a request: decode, credentials (unknown secrets only), prepare, handler, finish, send. Each is a step of the
 * executor or of the work pool; a request that needs no thread of its own is answered on the event loop.
 *
 * The reply's memory belongs to the call, and the call to the HTTP request's arena: after fl_send, nothing here is touched.
 */
#include "core/api/call.h"

#include "core/api/credentials.h"
#include "core/api/send.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/uuid.h"
#include "core/config/manager_yaml.h"
#include "core/executor.h"
#include "core/metrics.h"
#include "core/parked.h"
#include "core/workpool.h"

#define BUDGET_EXPECTED 1048576u /* bytes that a list or a compiled job is taken for until its size is known */
#define LANE_KEY UINT64_C(0x6f7065726174696f) /* order keys of the lanes of operations, apart from anybody else's */
#define DECODE_INLINE_MAX 16384u /* bytes; larger bodies are checked on a worker thread */

static const fl_step_ops decode_ops, secret_hash_ops, secret_check_ops, prepare_ops, finish_ops, work_ops;
static const fl_step_ops *handler_ops(const fl_call *call);
static void authenticate(fl_call *call);
static void after_credentials(fl_call *call, int may_compress);

static fl_call *call_of(fl_step *step)
{
    return (fl_call *)(void *)step;
}

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

int32_t fl_call_refuse(fl_call *call, int32_t status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fl_reply_reset(&call->reply);
    int32_t rc = fl_reply_error_va(&call->reply, status, fmt, args);
    va_end(args);
    return rc == FLAMENCO_OK ? FL_STEP_ROLLBACK : rc;
}

int32_t fl_call_uuid(fl_call *call, const char *what, flamenco_str text, flamenco_uuid *out)
{
    if (fl_uuid_parse(text, out) == FLAMENCO_OK)
        return FLAMENCO_OK;
    return fl_call_refuse(call, 400, "%s is not a UUID: it must be 36 characters like %s", what,
                          "0b7c2f0a-53c3-4f0e-9d1d-6d2f3f0f9a11");
}

flamenco_str fl_call_uuid_text(fl_call *call, const flamenco_uuid *uuid)
{
    char *text = fl_arena_alloc(call->arena, 37);
    if (text == NULL) {
        call->reply.body.failed = 1;
        return (flamenco_str){ NULL, 0 };
    }
    fl_uuid_format(uuid, text);
    return (flamenco_str){ text, 36 };
}

static void destroy_call(void *user)
{
    fl_call *call = user;
    if (call->budget != NULL)
        fl_budget_leave(call->budget, &call->place);
    if (call->has_in) {
        void *in;
        memcpy(&in, &call->in, sizeof(in));
        api_decoded_fini(in);
    }
    if (call->destroy_state != NULL)
        call->destroy_state(call->state);
    fl_reply_fini(&call->reply);
}

static void send_call(fl_call *call, int may_compress)
{
    if (call->budget != NULL && call->budget == call->f->reply_budget)
        fl_budget_set(call->budget, &call->place, call->reply.body.len);
    fl_metrics_request(call->f->metrics, call->reply.status, fl_monotonic_us() - call->begun_us);
    fl_send(call->f, call->http, &call->reply, may_compress);
}

static void drop_call(fl_call *call)
{
    fl_metrics_request(call->f->metrics, 0, fl_monotonic_us() - call->begun_us);
    fl_http_drop(call->http);
}

static void refuse_and_send(fl_call *call, int32_t status, const char *text, int may_compress)
{
    fl_reply_reset(&call->reply);
    fl_reply_error(&call->reply, status, "%s", text);
    send_call(call, may_compress);
}

/* A step could not be run: the client of a Worker's operation must not hear of it (decisions, "database trouble"). */
static void fail_call(fl_call *call, int32_t code, const char *text)
{
    fl_warn("api", "%s %s: %s", call->op->method, call->op->name, text);
    if (call->op->worker) {
        drop_call(call);
        return;
    }
    fl_reply_failure(&call->reply, code, text);
    send_call(call, 1);
}

/* ---- Stages ------------------------------------------------------------------------------------------------------ */

/* Where the call's work is done: what waits for the shared storage must not keep others waiting. */
static struct fl_workpool *pool_of(const fl_call *call, const fl_step_ops *ops)
{
    int storage = ops == &work_ops && call->op->storage && call->f->storage_pool != NULL;
    return storage ? call->f->storage_pool : call->f->workpool;
}

static void submit(fl_call *call, const fl_step_ops *ops)
{
    call->step.ops = ops;
    call->step.error = (flamenco_error)FLAMENCO_ERROR_INIT;
    call->step.order_key = ops == &work_ops && call->op->lane != 0 ? LANE_KEY + call->op->lane : 0;
    if (ops->kind == FLAMENCO_STEP_WORK)
        fl_workpool_submit(pool_of(call, ops), &call->step);
    else
        fl_executor_submit(call->f->executor, &call->step);
}

static int request_header(const void *ctx, const char *name, uint32_t nth, flamenco_str *value_out)
{
    return fl_http_request_header(ctx, name, nth, value_out);
}

/* Checks the request. What is wrong is kept, since authentication is told first. */
static int32_t decode(fl_call *call, const fl_route_match *match)
{
    fl_api_problem problem = { 0 };
    void *in = NULL;
    fl_api_raw raw = { .query = fl_http_request_query(call->http),
                       .params = match->params,
                       .n_params = match->n_params,
                       .content_type = fl_http_request_header_text(call->http, "content-type"),
                       .body = fl_http_request_body(call->http),
                       .header = request_header,
                       .ctx = call->http };
    int32_t rc = api_decode(call->op->id, &raw, call->arena, &in, &problem);
    call->in = in;
    call->has_in = rc == FLAMENCO_OK;
    if (rc != FLAMENCO_E_INVALID)
        return rc;
    call->problem = fl_arena_alloc(call->arena, sizeof(*call->problem));
    if (call->problem == NULL)
        return FLAMENCO_E_NOMEM;
    *call->problem = problem;
    return FLAMENCO_OK;
}

static int32_t run_decode(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)cx;
    fl_call *call = call_of(step);
    int32_t rc = decode(call, call->state);
    call->state = NULL;
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "no memory to read the request");
}

static void decode_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (result != FLAMENCO_OK)
        fail_call(call, result, err->text);
    else
        authenticate(call);
}

static int32_t run_prepare(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    fl_call *call = call_of(step);
    call->cx = cx;
    call->err = err;
    fl_reply_reset(&call->reply);
    int32_t rc = api_prepare(&fl_server, call->op->id, call, call->in);
    call->cx = NULL;
    return rc;
}

static void prepare_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (call->budget != NULL)
        fl_budget_set(call->budget, &call->place, fl_arena_size(call->arena));
    if (call->reply.status != 0)
        send_call(call, 1);
    else if (result < 0)
        fail_call(call, result, err->text);
    else
        submit(call, handler_ops(call));
}

/* Reads the Worker's row anew in every run. Returns 0; 1 when the call was answered with 403; else an error. */
static int32_t read_worker(fl_call *call)
{
    memset(&call->worker, 0, sizeof(call->worker));
    call->worker.struct_size = (uint32_t)sizeof(call->worker);
    int32_t rc =
        flamenco_persist_worker_get(&call->f->persist, &call->cx->pub, &call->worker_uuid, &call->worker, call->err);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    fl_reply_error(&call->reply, 403, "unknown worker or wrong secret");
    return 1;
}

static int32_t run_handler(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    fl_call *call = call_of(step);
    call->cx = cx;
    call->err = err;
    fl_reply_reset(&call->reply);
    int32_t rc = call->op->auth ? read_worker(call) : FLAMENCO_OK;
    if (rc == FLAMENCO_OK && call->problem != NULL) {
        fl_reply_error(&call->reply, call->problem->status, "%s", call->problem->text);
        rc = FL_STEP_ROLLBACK;
    } else if (rc == FLAMENCO_OK) {
        rc = api_invoke(&fl_server, call->op->id, call, call->in);
        if (rc == FLAMENCO_E_UNSUPPORTED && call->reply.status == 0)
            rc = fl_call_refuse(call, 501, "%s is not available in this version of the manager", call->op->name);
    } else if (rc == 1) {
        rc = FL_STEP_ROLLBACK;
    }
    call->cx = NULL;
    return rc;
}

static void handler_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (step->park.order != 0)
        fl_parked_ended(call->f->parked, step, call->reply.status == 200);
    if (result < 0 && call->give_up != NULL)
        call->give_up(call);
    if (fl_error_is_passing(result) || result == FLAMENCO_E_CANCELLED || result == FLAMENCO_E_DEADLINE ||
        result == FLAMENCO_E_CORRUPT) {
        fail_call(call, result, err->text);
    } else if (result < 0) {
        fl_error("api", "%s: %s (%d)", call->op->name, err->text, result);
        fl_reply_failure(&call->reply, result, err->text);
        send_call(call, 1);
    } else if (call->reply.status == 0 && call->op->finish) {
        submit(call, &finish_ops);
    } else if (call->take != NULL && call->reply.status == 0) {
        fl_metrics_request(call->f->metrics, 200, fl_monotonic_us() - call->begun_us);
        call->take(call);
    } else {
        send_call(call, 1);
    }
}

static int32_t run_finish(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    fl_call *call = call_of(step);
    call->cx = cx;
    call->err = err;
    int32_t rc = api_finish(&fl_server, call->op->id, call, call->in);
    call->cx = NULL;
    return rc;
}

static void finish_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (result < 0 && call->reply.status == 0)
        fail_call(call, result, err->text);
    else
        send_call(call, 1);
}

/* ---- Parking ------------------------------------------------------------------------------------------------------ */

int fl_call_park(fl_call *call, uint32_t kind)
{
    const fl_limit_settings *limits = call->f->limits;
    fl_park *park = &call->step.park;
    int64_t hold_us = limits->hold_empty_poll_us;
    if (fl_http_request_came_through_proxy(call->http) && hold_us > limits->hold_empty_poll_proxy_us)
        hold_us = limits->hold_empty_poll_proxy_us;
    if (hold_us <= 0)
        return 0;
    if (park->order == 0) {
        park->kind = kind;
        park->worker = call->worker_uuid;
        park->hold_us = hold_us;
    }
    /* The row is read anew in each run, and its texts may have moved. */
    park->worker_key = call->worker.key;
    park->task_types = call->worker.task_types;
    return 1;
}

static int hold_call(fl_step *step)
{
    fl_call *call = call_of(step);
    fl_http_hold(call->http);
    return !__atomic_load_n(&call->gone, __ATOMIC_SEQ_CST);
}

static void on_rechecked(void *ctx, fl_http_request *http, int alive)
{
    (void)http;
    fl_call *call = ctx;
    fl_parked_checked(call->f->parked, &call->step, alive);
    if (!alive)
        drop_call(call);
}

static void check_call(fl_step *step)
{
    fl_http_recheck(call_of(step)->http, on_rechecked, call_of(step));
}

static void expire_call(fl_step *step)
{
    fl_call *call = call_of(step);
    if (__atomic_load_n(&call->gone, __ATOMIC_SEQ_CST)) {
        drop_call(call);
        return;
    }
    fl_reply_reset(&call->reply);
    fl_reply_empty(&call->reply, 204);
    send_call(call, 0);
}

void fl_call_gone(struct flamenco *f, fl_http_request *http)
{
    fl_call *call = fl_http_request_user(http);
    if (call == NULL)
        return;
    __atomic_store_n(&call->gone, 1, __ATOMIC_SEQ_CST);
    if (fl_parked_remove(f->parked, &call->step))
        drop_call(call);
}

/* ---- Steps --------------------------------------------------------------------------------------------------------- */

static const fl_step_ops decode_ops = {
    .name = "decode", .kind = FLAMENCO_STEP_WORK, .run = run_decode, .done = decode_done
};
static const fl_step_ops prepare_ops = {
    .name = "prepare", .kind = FLAMENCO_STEP_WORK, .run = run_prepare, .done = prepare_done
};
static const fl_step_ops finish_ops = {
    .name = "finish", .kind = FLAMENCO_STEP_WORK, .run = run_finish, .done = finish_done
};
static const fl_step_ops read_ops = { .name = "read",
                                      .kind = FLAMENCO_STEP_READ,
                                      .run = run_handler,
                                      .done = handler_done,
                                      .hold = hold_call,
                                      .check = check_call,
                                      .expired = expire_call };
/* A Worker asks while others write. */
static const fl_step_ops worker_read_ops = { .name = "read",
                                             .kind = FLAMENCO_STEP_READ,
                                             .rides = 1,
                                             .run = run_handler,
                                             .done = handler_done,
                                             .hold = hold_call,
                                             .check = check_call,
                                             .expired = expire_call };
static const fl_step_ops write_ops = { .name = "write",
                                       .kind = FLAMENCO_STEP_WRITE,
                                       .run = run_handler,
                                       .done = handler_done,
                                       .hold = hold_call,
                                       .check = check_call,
                                       .expired = expire_call };
/* They look before they change anything, and there are many of them. */
static const fl_step_ops worker_write_ops = { .name = "write",
                                              .kind = FLAMENCO_STEP_WRITE,
                                              .seldom_undone = 1,
                                              .run = run_handler,
                                              .done = handler_done,
                                              .hold = hold_call,
                                              .check = check_call,
                                              .expired = expire_call };
static const fl_step_ops work_ops = {
    .name = "work", .kind = FLAMENCO_STEP_WORK, .run = run_handler, .done = handler_done
};

static const fl_step_ops *handler_ops(const fl_call *call)
{
    switch (call->op->klass) {
    case API_CLASS_READ:
        return call->op->worker ? &worker_read_ops : &read_ops;
    case API_CLASS_WRITE:
    case API_CLASS_STEPS:
        return call->op->worker ? &worker_write_ops : &write_ops;
    default:
        return &work_ops;
    }
}

/* ---- Authentication -------------------------------------------------------------------------------------------------- */

static int32_t run_secret_hash(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    fl_call *call = call_of(step);
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    int32_t rc = flamenco_persist_worker_get(&cx->f->persist, &cx->pub, &call->worker_uuid, &worker, err);
    if (rc == FLAMENCO_OK)
        call->secret_hash = fl_arena_copy(call->arena, worker.secret_hash);
    return rc;
}

static void refuse_credentials(fl_call *call)
{
    char uuid[37];
    fl_uuid_format(&call->worker_uuid, uuid);
    fl_warn("api",
            "worker %s at %.*s: unknown worker or wrong secret; delete its credentials file to let it register anew",
            uuid, FL_STR_ARGS(fl_http_request_remote(call->http)));
    refuse_and_send(call, 403, "unknown worker or wrong secret", 1);
}

static void secret_hash_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (result == FLAMENCO_E_NOT_FOUND)
        refuse_credentials(call);
    else if (result < 0)
        fail_call(call, result, err->text);
    else
        submit(call, &secret_check_ops);
}

static int32_t run_secret_check(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    fl_call *call = call_of(step);
    int32_t rc = fl_credentials_check(cx->f->credentials, &call->worker_uuid, call->secret, call->secret_hash);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the secret was refused");
}

static void secret_check_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    fl_call *call = call_of(step);
    if (result == FLAMENCO_E_INVALID)
        refuse_credentials(call);
    else if (result < 0)
        fail_call(call, result, err->text);
    else
        after_credentials(call, 1);
}

static const fl_step_ops secret_hash_ops = {
    .name = "secret", .kind = FLAMENCO_STEP_READ, .run = run_secret_hash, .done = secret_hash_done
};
static const fl_step_ops secret_check_ops = {
    .name = "secret", .kind = FLAMENCO_STEP_WORK, .run = run_secret_check, .done = secret_check_done
};

/* Takes UUID and secret from the Authorization header. Returns 0 when it is missing or malformed. */
static int read_authorization(fl_call *call)
{
    flamenco_str header = fl_str_trim(fl_http_request_header_text(call->http, "authorization"));
    flamenco_str rest = header, scheme, decoded, user;
    if (header.len == 0 || !fl_str_split(&rest, ' ', &scheme) || !fl_str_equal_nocase(scheme, FL_STR("basic")))
        return 0;
    if (fl_str_base64_decode(call->arena, fl_str_trim(rest), &decoded) != FLAMENCO_OK)
        return 0;
    const char *colon = decoded.len > 0 ? memchr(decoded.ptr, ':', (size_t)decoded.len) : NULL;
    if (colon == NULL)
        return 0;
    user = (flamenco_str){ decoded.ptr, (uint64_t)(colon - decoded.ptr) };
    call->secret = (flamenco_str){ colon + 1, decoded.len - user.len - 1 };
    return fl_uuid_parse(user, &call->worker_uuid) == FLAMENCO_OK;
}

static void authenticate(fl_call *call)
{
    if (!call->op->auth) {
        after_credentials(call, 0);
    } else if (!read_authorization(call)) {
        refuse_and_send(call, 403, "the worker's UUID and secret are needed (HTTP Basic)", 0);
    } else if (fl_credentials_known(call->f->credentials, &call->worker_uuid, call->secret)) {
        after_credentials(call, 0);
    } else {
        submit(call, &secret_hash_ops);
    }
}

/* Answers an operation of class `none` where it stands. */
static void run_here(fl_call *call)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(cx.pub) }, .f = call->f, .arena = call->arena };
    cx.pub.host = fl_core_host(call->f);
    cx.pub.now_us = flamenco_clock_now_us(&call->f->clock);
    cx.pub.deadline_us = fl_monotonic_us() + 1000000;
    cx.pub.cancelled = &call->step.cancelled;
    call->step.error = err;
    handler_done(&call->step, run_handler(&cx, &call->step, &call->step.error), &call->step.error);
}

/* There is room for what this request will hold, or its time is over. */
static void budget_answered(fl_budget_place *place, int granted)
{
    fl_call *call = (fl_call *)(void *)((char *)place - offsetof(fl_call, place));
    if (!granted)
        fail_call(call, FLAMENCO_E_UNAVAILABLE, "too much memory is in use by other requests");
    else
        submit(call, call->op->prepare ? &prepare_ops : handler_ops(call));
}

/* The memory that a request of this operation shares with others; NULL when it needs little. */
static fl_budget *budget_of(const fl_call *call)
{
    switch (call->op->id) {
    case API_OP_FETCH_JOBS:
    case API_OP_FETCH_JOB_TASKS:
    case API_OP_FETCH_WORKERS:
        return call->f->reply_budget;
    case API_OP_SUBMIT_JOB:
    case API_OP_SUBMIT_JOB_CHECK:
        return call->f->compile_budget;
    default:
        return NULL;
    }
}

static void after_credentials(fl_call *call, int may_compress)
{
    call->budget = call->problem == NULL ? budget_of(call) : NULL;
    if (call->problem != NULL && !call->op->auth) {
        refuse_and_send(call, call->problem->status, call->problem->text, may_compress);
    } else if (call->budget != NULL) {
        uint64_t expected = fl_http_request_body(call->http).len + BUDGET_EXPECTED;
        fl_budget_enter(call->budget, &call->place, expected, fl_monotonic_us() + call->f->limits->request_timeout_us,
                        budget_answered);
    } else if (call->op->prepare && call->problem == NULL) {
        submit(call, &prepare_ops);
    } else if (call->op->klass == API_CLASS_NONE) {
        run_here(call);
    } else {
        submit(call, handler_ops(call));
    }
}

/* ---- Begin ------------------------------------------------------------------------------------------------------------ */

/* The document's three limits are the defaults of three settings. */
uint64_t fl_call_body_limit(const struct flamenco *f, const api_operation *op)
{
    switch (op->body_limit) {
    case UINT64_C(16) << 20:
        return (uint64_t)f->http_settings->body_json_bytes;
    case UINT64_C(128) << 20:
        return (uint64_t)f->http_settings->body_job_bytes;
    case UINT64_C(25) << 20:
        return (uint64_t)f->http_settings->body_image_bytes;
    default:
        return op->body_limit;
    }
}

void fl_call_begin(struct flamenco *f, fl_http_request *http, const fl_route_match *match)
{
    fl_arena *arena = fl_http_request_arena(http);
    fl_call *call = arena != NULL ? fl_arena_alloc(arena, sizeof(*call)) : NULL;
    fl_route_match *kept = arena != NULL ? fl_arena_alloc(arena, sizeof(*kept)) : NULL;
    if (call == NULL || kept == NULL) {
        fl_error("api", "no memory for a request");
        fl_http_drop(http);
        return;
    }
    call->f = f;
    call->http = http;
    call->arena = arena;
    call->op = api_operation_get(match->operation);
    call->begun_us = fl_monotonic_us();
    call->step.arena = arena;
    call->step.request_id = fl_http_request_id(http);
    /* Of the whole request: the work pool has a limit of its own for steps that bring none. */
    call->step.deadline_us = call->begun_us + f->limits->request_timeout_us;
    fl_http_request_set_user(http, call, destroy_call);
    uint64_t body_len = fl_http_request_body(http).len, limit = fl_call_body_limit(f, call->op);
    if (limit != 0 && body_len > limit && !call->op->late_limit) {
        char text[128];
        snprintf(text, sizeof(text), "the body has %llu bytes, at most %llu are allowed", (unsigned long long)body_len,
                 (unsigned long long)limit);
        refuse_and_send(call, 413, text, 0);
    } else if (body_len > DECODE_INLINE_MAX && call->op->has_body) {
        *kept = *match;
        call->state = kept;
        submit(call, &decode_ops);
    } else if (decode(call, match) != FLAMENCO_OK) {
        fail_call(call, FLAMENCO_E_NOMEM, "no memory to read the request");
    } else {
        authenticate(call);
    }
}
