/* SPDX-License-Identifier: Apache-2.0
 *
 * host.c - what plugins may ask of the host. Effects go into the batch of the running transaction; outside one they make a
 * batch of their own, which the publisher gets at once.
 */
#include "core/host.h"

#include <stdlib.h>

#include "core/api/convert.h"
#include "core/api/events.h"
#include "core/base/log.h"
#include "core/base/timefmt.h"
#include "core/base/uuid.h"
#include "core/config/manager_yaml.h"
#include "core/executor.h"
#include "core/listeners.h"
#include "core/metrics.h"
#include "core/publisher.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"

/* ---- Log, memory ----------------------------------------------------------------------------------------------- */

static void host_log_va(void *h, uint32_t level, const char *fmt, va_list args)
{
    fl_log_va(level, ((const fl_host *)h)->name, fmt, args);
}

static void host_log(void *h, uint32_t level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    host_log_va(h, level, fmt, args);
    va_end(args);
}

static void *host_alloc(void *h, uint64_t bytes)
{
    (void)h;
    return malloc(bytes > 0 ? (size_t)bytes : 1);
}

static void host_free(void *h, void *ptr)
{
    (void)h;
    free(ptr);
}

static void *host_cx_alloc(flamenco_cx *cx, uint64_t bytes)
{
    return fl_arena_alloc(fl_cx_of(cx)->arena, (size_t)bytes);
}

static const void *host_service(void *h, const char *id, void **self_out)
{
    fl_host *host = h;
    return host->find_service != NULL ? host->find_service(host->owner, id, self_out) : NULL;
}

/* ---- Submitted steps ------------------------------------------------------------------------------------------- */

typedef struct plugin_step {
    fl_step step;
    fl_host *host;
    fl_step_ops ops;
    flamenco_step asked;
} plugin_step;

static void drop_plugin_step(plugin_step *p)
{
    if (p->asked.destroy != NULL)
        p->asked.destroy(p->asked.ctx);
    free(p);
}

static int32_t run_plugin_step(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    plugin_step *p = (plugin_step *)(void *)step;
    cx->pub.host = &p->host->table;
    int32_t rc = p->asked.run(&cx->pub, p->asked.ctx, err);
    return rc > FLAMENCO_AGAIN ? FLAMENCO_OK : rc;
}

static void plugin_step_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    plugin_step *p = (plugin_step *)(void *)step;
    if (result < 0 && result != FLAMENCO_E_CANCELLED)
        fl_warn(p->host->name, "%s failed: %s", p->asked.name, err->text);
    drop_plugin_step(p);
}

static void submit_now(void *ctx)
{
    plugin_step *p = ctx;
    if (p->asked.kind == FLAMENCO_STEP_WORK)
        fl_workpool_submit(p->host->f->workpool, &p->step);
    else
        fl_executor_submit(p->host->f->executor, &p->step);
}

static int32_t host_submit(void *h, const flamenco_step *step)
{
    fl_host *host = h;
    size_t size = step->struct_size < sizeof(*step) ? step->struct_size : sizeof(*step);
    plugin_step *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        if (step->destroy != NULL)
            step->destroy(step->ctx);
        return FLAMENCO_E_NOMEM;
    }
    p->host = host;
    memcpy(&p->asked, step, size);
    p->ops = (fl_step_ops){ .name = p->asked.name != NULL ? p->asked.name : host->name,
                            .kind = p->asked.kind,
                            .run = run_plugin_step,
                            .done = plugin_step_done };
    p->step.ops = &p->ops;
    p->step.order_key = p->asked.order_key;
    int32_t rc = FLAMENCO_OK;
    if (p->asked.run == NULL || p->asked.kind > FLAMENCO_STEP_WORK)
        rc = FLAMENCO_E_INVALID;
    else if (p->asked.delay_us > 0)
        rc = fl_timers_add(host->f->timers, p->asked.delay_us, submit_now, p);
    else
        submit_now(p);
    if (rc != FLAMENCO_OK)
        drop_plugin_step(p);
    return rc;
}

void fl_host_drop_timer(void (*on_timer)(void *ctx), void *ctx)
{
    if (on_timer == submit_now)
        drop_plugin_step(ctx);
}

/* ---- Effects --------------------------------------------------------------------------------------------------- */

/* The batch for an effect; *own is set when it must be handed on at once. */
static fl_batch *batch_for(fl_cx *cx, int *own)
{
    *own = cx->batch == NULL;
    return cx->batch != NULL ? cx->batch : fl_batch_create();
}

static int32_t hand_on(fl_cx *cx, fl_batch *batch, int own, int32_t rc)
{
    if (own && rc == FLAMENCO_OK)
        fl_publisher_submit(cx->f->publisher, batch);
    else if (own)
        fl_batch_unref(batch);
    return rc;
}

static int32_t host_emit(flamenco_cx *pub, const flamenco_event *event)
{
    fl_cx *cx = fl_cx_of(pub);
    int own;
    fl_batch *batch = batch_for(cx, &own);
    if (batch == NULL)
        return FLAMENCO_E_NOMEM;
    return hand_on(cx, batch, own, fl_batch_add_event(batch, event));
}

/* Adds an event that was made here, and drops the maker's reference. */
static int32_t emit_made(flamenco_cx *pub, flamenco_event *event, int32_t rc)
{
    if (rc != FLAMENCO_OK)
        return rc;
    rc = host_emit(pub, event);
    fl_shared_unref(event->buf);
    return rc;
}

static int32_t host_emit_job(flamenco_cx *pub, const flamenco_job_event *event)
{
    flamenco_event made;
    if (!fl_publisher_wants(fl_cx_of(pub)->f, FLAMENCO_EVENT_JOB))
        return FLAMENCO_OK;
    return emit_made(pub, &made, fl_event_job(event, &made));
}

static int32_t host_emit_task(flamenco_cx *pub, const flamenco_task_event *event)
{
    flamenco_event made;
    if (!fl_publisher_wants(fl_cx_of(pub)->f, FLAMENCO_EVENT_TASK))
        return FLAMENCO_OK;
    return emit_made(pub, &made, fl_event_task(event, &made));
}

/* A row's last-seen time is up to 1 s old; what is kept in memory is laid over it. */
static int32_t host_emit_worker(flamenco_cx *pub, const flamenco_worker_event *event)
{
    struct flamenco *f = fl_cx_of(pub)->f;
    flamenco_event made;
    if (!fl_publisher_wants(f, FLAMENCO_EVENT_WORKER))
        return FLAMENCO_OK;
    flamenco_worker row;
    size_t size = event->row->struct_size < sizeof(row) ? event->row->struct_size : sizeof(row);
    memset(&row, 0, sizeof(row));
    memcpy(&row, event->row, size);
    row.seen_us = fl_worker_seen(f, &row);
    flamenco_worker_event fresh = { (uint32_t)sizeof(fresh), event->previous_status, &row };
    return emit_made(pub, &made, fl_event_worker(&fresh, &made));
}

static int32_t host_task_log(flamenco_cx *pub, const flamenco_uuid *job, const flamenco_uuid *task, uint32_t stamp,
                             flamenco_str text)
{
    fl_cx *cx = fl_cx_of(pub);
    if (stamp) {
        char time[FL_TIME_TEXT_MAX];
        fl_time_format_local(pub->now_us, 1, time);
        text = fl_arena_printf(cx->arena, "%s %.*s", time, (int)text.len, text.len > 0 ? text.ptr : "");
        if (text.ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    int own;
    fl_batch *batch = batch_for(cx, &own);
    if (batch == NULL)
        return FLAMENCO_E_NOMEM;
    return hand_on(cx, batch, own, fl_batch_add_log(batch, job, task, text));
}

static int32_t host_touch(flamenco_cx *pub, uint32_t what, int64_t key)
{
    fl_cx *cx = fl_cx_of(pub);
    flamenco_touch touch = { (uint32_t)sizeof(touch), what, key, pub->now_us };
    if (cx->batch == NULL) {
        fl_touches_note(cx->f->touches, &touch);
        return FLAMENCO_OK;
    }
    return fl_batch_add_touch(cx->batch, &touch);
}

static int32_t host_wake(flamenco_cx *pub, const flamenco_wake *wake)
{
    fl_cx *cx = fl_cx_of(pub);
    if (wake->what == FLAMENCO_WAKE_TASKS && wake->count == 0)
        return FLAMENCO_OK;
    int own;
    fl_batch *batch = batch_for(cx, &own);
    if (batch == NULL)
        return FLAMENCO_E_NOMEM;
    return hand_on(cx, batch, own, fl_batch_add_wake(batch, wake));
}

static int32_t host_listen(void *h, uint64_t event_kinds, flamenco_on_event on_event, void *ctx)
{
    fl_host *host = h;
    return fl_listeners_add(host->f->listeners, host->owner, event_kinds, on_event, ctx);
}

/* ---- Small services -------------------------------------------------------------------------------------------- */

static void host_metric(void *h, const char *name, double value)
{
    fl_host *host = h;
    fl_metrics_set(host->f->metrics, host->name, name, value);
}

static int64_t host_now_us(void *h)
{
    return flamenco_clock_now_us(&((fl_host *)h)->f->clock);
}

static int64_t host_monotonic_us(void *h)
{
    (void)h;
    return fl_monotonic_us();
}

static int32_t host_uuid_make(void *h, uint32_t version, flamenco_uuid *out)
{
    if (version == 7)
        return fl_uuid_make_v7(host_now_us(h), out);
    return version == 4 ? fl_uuid_make_v4(out) : FLAMENCO_E_INVALID;
}

static void host_fail(void *h, const char *reason)
{
    fl_host *host = h;
    fl_error(host->name, "%s", reason);
    fl_manager_fail(host->f, reason);
}

static flamenco_buf *host_buf_make(flamenco_str text)
{
    flamenco_buf *buf = fl_shared_create((size_t)text.len);
    if (buf != NULL && text.len > 0)
        memcpy(fl_shared_data(buf), text.ptr, (size_t)text.len);
    return buf;
}

static int64_t host_limit(void *h, const char *key)
{
    const struct flamenco *f = ((fl_host *)h)->f;
    return f->limits != NULL ? fl_limit_by_key(f->limits, key) : 0;
}

void fl_host_init(fl_host *host, struct flamenco *f, const char *name, void *owner, fl_find_service find_service)
{
    host->f = f;
    host->name = name;
    host->owner = owner;
    host->find_service = find_service;
    host->table = (flamenco_host){
        .struct_size = (uint32_t)sizeof(host->table),
        .abi_minor = FLAMENCO_ABI_MINOR,
        .h = host,
        .log = host_log,
        .log_va = host_log_va,
        .alloc = host_alloc,
        .free = host_free,
        .cx_alloc = host_cx_alloc,
        .service = host_service,
        .submit = host_submit,
        .emit = host_emit,
        .emit_job = host_emit_job,
        .emit_task = host_emit_task,
        .emit_worker = host_emit_worker,
        .task_log = host_task_log,
        .touch = host_touch,
        .wake = host_wake,
        .listen = host_listen,
        .metric = host_metric,
        .buf_ref = fl_shared_ref,
        .buf_unref = fl_shared_unref,
        .now_us = host_now_us,
        .monotonic_us = host_monotonic_us,
        .uuid_format = fl_uuid_format,
        .uuid_parse = fl_uuid_parse,
        .uuid_make = host_uuid_make,
        .fail = host_fail,
        .buf_bytes = fl_shared_str,
        .limit = host_limit,
        .buf_make = host_buf_make,
        .stopping = &f->stopping,
    };
}
