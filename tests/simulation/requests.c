/* SPDX-License-Identifier: Apache-2.0
 *
 * requests.c - the operations of a history as requests of the API, or as steps of the simulation's own. Called by history.c.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "core/base/uuid.h"
#include "history.h"
#include "own_ops.h"

static void base64(const char *in, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(in);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)in[i] << 16;
        bits |= i + 1 < len ? (uint32_t)(unsigned char)in[i + 1] << 8 : 0;
        bits |= i + 2 < len ? (uint32_t)(unsigned char)in[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

static void authorize(const history *h, client *c, uint32_t worker)
{
    char id[37], plain[64];
    fl_uuid_format(&h->worker_uuids[worker], id);
    snprintf(plain, sizeof(plain), "%s:secret-%u", id, worker);
    memcpy(c->authorization, "Basic ", 7);
    base64(plain, c->authorization + 6);
}

static void add_types(fl_buf *out, uint32_t types)
{
    const char *separator = "";
    fl_buf_add_text(out, "\"supported_task_types\":[");
    for (uint32_t i = 0; i < M_TYPES; ++i) {
        if (!(types >> i & 1))
            continue;
        fl_buf_printf(out, "%s\"%s\"", separator, m_type_names[i]);
        separator = ",";
    }
    fl_buf_add_char(out, ']');
}

static void set_target(client *c, const char *method, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void set_target(client *c, const char *method, const char *fmt, ...)
{
    va_list args;
    snprintf(c->method, sizeof(c->method), "%s", method);
    va_start(args, fmt);
    vsnprintf(c->path, sizeof(c->path), fmt, args);
    va_end(args);
}

static void uuid_of(const flamenco_uuid *list, uint32_t index, char out[37])
{
    static const flamenco_uuid unknown = { { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89 } };
    fl_uuid_format(index != M_NONE && !fl_uuid_is_none(&list[index]) ? &list[index] : &unknown, out);
}

static void make_worker_request(const history *h, const op *o, client *c)
{
    char id[37];
    fl_buf *body = &c->body;
    if (o->kind == OP_REGISTER) {
        set_target(c, "POST", "/api/v3/worker/register-worker");
        fl_buf_printf(body, "{\"secret\":\"secret-%u\",\"platform\":\"linux\",\"name\":\"worker-%u\",", o->worker,
                      o->worker);
        add_types(body, o->types);
        fl_buf_add_char(body, '}');
        return;
    }
    authorize(h, c, o->worker);
    uuid_of(h->task_uuids, o->task, id);
    switch (o->kind) {
    case OP_SIGN_ON:
        set_target(c, "POST", "/api/v3/worker/sign-on");
        fl_buf_printf(body, "{\"name\":\"worker-%u\",\"software_version\":\"3.9\",\"can_restart\":%s,", o->worker,
                      o->can_restart ? "true" : "false");
        add_types(body, o->types);
        fl_buf_add_char(body, '}');
        break;
    case OP_SIGN_OFF:
        set_target(c, "POST", "/api/v3/worker/sign-off");
        break;
    case OP_STATE:
        set_target(c, "GET", "/api/v3/worker/state");
        break;
    case OP_STATE_CHANGED:
        set_target(c, "POST", "/api/v3/worker/state-changed");
        fl_buf_printf(body, "{\"status\":\"%s\"}", flamenco_worker_status_text(o->to));
        break;
    case OP_SCHEDULE:
        set_target(c, "POST", "/api/v3/worker/task");
        break;
    case OP_MAY_RUN:
        set_target(c, "GET", "/api/v3/worker/task/%s/may-i-run", id);
        break;
    default: /* OP_UPDATE */
        set_target(c, "POST", "/api/v3/worker/task/%s", id);
        fl_buf_printf(body, "{\"activity\":\"at work\"");
        if (o->has_status)
            fl_buf_printf(body, ",\"taskStatus\":\"%s\"", flamenco_task_status_text(o->to));
        if (o->has_steps)
            fl_buf_printf(body, ",\"steps_completed\":%lld", (long long)o->steps);
        if (o->log != 0)
            fl_buf_printf(body, ",\"log\":\"log#%u\"", o->log);
        fl_buf_add_char(body, '}');
        break;
    }
}

static void make_people_request(const history *h, const op *o, client *c)
{
    char id[37];
    fl_buf *body = &c->body;
    switch (o->kind) {
    case OP_SUBMIT:
        set_target(c, "POST", "/api/v3/jobs");
        fl_buf_printf(body,
                      "{\"name\":\"job-%u\",\"type\":\"simulated\",\"priority\":%d,\"submitter_platform\":\"linux\","
                      "\"settings\":{\"shape\":%u},\"initial_status\":\"%s\"",
                      o->job, o->priority, o->job, flamenco_job_status_text(o->to));
        if (o->tag != 0) {
            uuid_of(h->tag_uuids, h->now.tags >> o->tag & 1 ? o->tag : M_NONE, id);
            fl_buf_printf(body, ",\"worker_tag\":\"%s\"", id);
        }
        fl_buf_add_char(body, '}');
        break;
    case OP_JOB_STATUS:
        uuid_of(h->job_uuids, o->job, id);
        set_target(c, "POST", "/api/v3/jobs/%s/setstatus", id);
        fl_buf_printf(body, "{\"status\":\"%s\",\"reason\":\"a reason\"}", flamenco_job_status_text(o->to));
        break;
    case OP_JOB_PRIORITY:
        uuid_of(h->job_uuids, o->job, id);
        set_target(c, "POST", "/api/v3/jobs/%s/setpriority", id);
        fl_buf_printf(body, "{\"priority\":%d}", o->priority);
        break;
    default: /* OP_TASK_STATUS */
        uuid_of(h->task_uuids, o->task, id);
        set_target(c, "POST", "/api/v3/tasks/%s/setstatus", id);
        fl_buf_printf(body, "{\"status\":\"%s\",\"reason\":\"a reason\"}", flamenco_task_status_text(o->to));
        break;
    }
}

static void send_own(history *h, const op *o, client *c)
{
    own_op *own = calloc(1, sizeof(*own));
    if (own == NULL)
        abort();
    own->op = *o;
    own->job_key = o->job != M_NONE ? h->job_keys[o->job] : 0;
    own->worker_key = o->worker != M_NONE ? h->worker_keys[o->worker] : 0;
    if (o->kind == OP_TAG_CREATE && fl_uuid_make_v4(&own->uuid) != FLAMENCO_OK)
        abort();
    if (o->kind == OP_UNBLOCK)
        own->uuid = h->worker_uuids[o->worker];
    if (o->kind == OP_TAG_DELETE || o->kind == OP_JOB_TAG)
        own->tag_key = o->to != 0 ? h->tag_keys[o->to] : 0;
    for (uint32_t i = 1; i < M_TAGS && o->kind == OP_WORKER_TAGS; ++i) {
        if ((o->to & h->now.tags) >> i & 1)
            own->tag_keys[own->n_tag_keys++] = h->tag_keys[i];
    }
    manager_write(&h->manager, c, own_op_run, own);
}

void send_op(history *h, const op *o)
{
    client *c = &h->clients[o->client].c;
    h->clients[o->client].op = *o;
    if (o->kind <= OP_MAY_RUN)
        make_worker_request(h, o, c);
    else if (o->kind <= OP_TASK_STATUS)
        make_people_request(h, o, c);
    if (o->kind <= OP_TASK_STATUS)
        client_send(c, &h->manager.f);
    else
        send_own(h, o, c);
}
