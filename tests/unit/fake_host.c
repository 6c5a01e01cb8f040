/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_host.c - see fake_host.h.
 */
#include "fake_host.h"

#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/base/uuid.h"

static void lock(fake_host *fake)
{
    if (pthread_mutex_lock(&fake->lock) != 0)
        abort();
}

static void unlock(fake_host *fake)
{
    if (pthread_mutex_unlock(&fake->lock) != 0)
        abort();
}

static void copy_text(char *out, size_t size, flamenco_str text)
{
    size_t len = text.len < size ? (size_t)text.len : size - 1;
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

/* ---- The host's functions -------------------------------------------------------------------------------------- */

static void log_va(void *h, uint32_t level, const char *fmt, va_list args)
{
    fake_host *fake = h;
    char text[FAKE_TEXT_MAX];
    vsnprintf(text, sizeof(text), fmt, args);
    lock(fake);
    ++fake->log_lines[level <= FLAMENCO_LOG_ERROR ? level : FLAMENCO_LOG_ERROR];
    memcpy(fake->last_log, text, sizeof(text));
    unlock(fake);
}

static void log_line(void *h, uint32_t level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_va(h, level, fmt, args);
    va_end(args);
}

/* Tells whether an allocation may succeed, and counts down. The lock is held. */
static int may_allocate(fake_host *fake)
{
    if (fake->allocations_left == 0)
        return 0;
    if (fake->allocations_left > 0)
        --fake->allocations_left;
    return 1;
}

static void *host_alloc(void *h, uint64_t bytes)
{
    fake_host *fake = h;
    lock(fake);
    void *ptr = may_allocate(fake) ? malloc(bytes > 0 ? (size_t)bytes : 1) : NULL;
    if (ptr != NULL)
        ++fake->allocations;
    unlock(fake);
    return ptr;
}

static void host_free(void *h, void *ptr)
{
    fake_host *fake = h;
    if (ptr == NULL)
        return;
    lock(fake);
    --fake->allocations;
    unlock(fake);
    free(ptr);
}

static void *cx_alloc(flamenco_cx *cx, uint64_t bytes)
{
    fake_cx *own = (fake_cx *)(void *)cx;
    lock(own->fake);
    void *ptr = may_allocate(own->fake) ? fl_arena_alloc(own->arena, (size_t)bytes) : NULL;
    unlock(own->fake);
    return ptr;
}

static const void *service(void *h, const char *id, void **self_out)
{
    fake_host *fake = h;
    for (size_t i = 0; i < fake->n_services; ++i) {
        if (strcmp(fake->services[i].id, id) == 0) {
            *self_out = fake->services[i].self;
            return fake->services[i].table;
        }
    }
    return NULL;
}

static int32_t submit(void *h, const flamenco_step *step)
{
    fake_host *fake = h;
    lock(fake);
    int32_t rc = fake->n_steps < FAKE_MAX ? fake->submit_result : FLAMENCO_E_FULL;
    if (rc == FLAMENCO_OK)
        fake->steps[fake->n_steps++] = *step;
    unlock(fake);
    if (rc != FLAMENCO_OK && step->destroy != NULL)
        step->destroy(step->ctx);
    return rc;
}

static int32_t add_record(flamenco_cx *cx, const fake_record *record)
{
    fake_host *fake = ((fake_cx *)(void *)cx)->fake;
    int32_t rc = FLAMENCO_OK;
    lock(fake);
    if (fake->n_records == fake->records_cap) {
        size_t cap = fake->records_cap > 0 ? fake->records_cap * 2 : 16;
        fake_record *more = realloc(fake->records, cap * sizeof(*more));
        if (more == NULL) {
            rc = FLAMENCO_E_NOMEM;
        } else {
            fake->records = more;
            fake->records_cap = cap;
        }
    }
    if (rc == FLAMENCO_OK)
        fake->records[fake->n_records++] = *record;
    unlock(fake);
    return rc;
}

static int32_t emit(flamenco_cx *cx, const flamenco_event *event)
{
    fake_record r = { .what = FAKE_EMIT, .kind = event->kind };
    r.job = event->job;
    r.task = event->task;
    r.worker = event->worker;
    copy_text(r.text, sizeof(r.text), event->payload);
    copy_text(r.topic, sizeof(r.topic), event->topic);
    return add_record(cx, &r);
}

static int32_t emit_job(flamenco_cx *cx, const struct flamenco_job_event *event)
{
    fake_record r = { .what = FAKE_EMIT_JOB, .kind = FLAMENCO_EVENT_JOB };
    r.job = event->row->uuid;
    r.status = event->row->status;
    r.previous_status = event->previous_status;
    r.flags = event->flags;
    return add_record(cx, &r);
}

static int32_t emit_task(flamenco_cx *cx, const struct flamenco_task_event *event)
{
    fake_record r = { .what = FAKE_EMIT_TASK, .kind = FLAMENCO_EVENT_TASK };
    r.task = event->row->uuid;
    r.status = event->row->status;
    r.previous_status = event->previous_status;
    copy_text(r.text, sizeof(r.text), event->row->activity);
    return add_record(cx, &r);
}

static int32_t emit_worker(flamenco_cx *cx, const struct flamenco_worker_event *event)
{
    fake_record r = { .what = FAKE_EMIT_WORKER, .kind = FLAMENCO_EVENT_WORKER };
    r.worker = event->row->uuid;
    r.status = event->row->status;
    r.previous_status = event->previous_status;
    return add_record(cx, &r);
}

static int32_t task_log(flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task, uint32_t stamp,
                        flamenco_str text)
{
    fake_record r = { .what = FAKE_TASK_LOG, .flags = stamp };
    r.job = *job;
    r.task = *task;
    copy_text(r.text, sizeof(r.text), text);
    return add_record(cx, &r);
}

static int32_t touch(flamenco_cx *cx, uint32_t what, int64_t key)
{
    fake_record r = { .what = FAKE_TOUCH, .kind = what, .key = key };
    return add_record(cx, &r);
}

static int32_t wake(flamenco_cx *cx, const flamenco_wake *what)
{
    fake_record r = { .what = FAKE_WAKE, .kind = what->what, .key = (int64_t)what->count };
    r.worker = what->worker;
    copy_text(r.text, sizeof(r.text), what->task_type);
    return add_record(cx, &r);
}

static int32_t listen_to(void *h, uint64_t event_kinds, flamenco_on_event on_event, void *ctx)
{
    fake_host *fake = h;
    int32_t rc = FLAMENCO_E_FULL;
    lock(fake);
    if (fake->n_listeners < FAKE_MAX) {
        fake->listeners[fake->n_listeners].kinds = event_kinds;
        fake->listeners[fake->n_listeners].on_event = on_event;
        fake->listeners[fake->n_listeners++].ctx = ctx;
        rc = FLAMENCO_OK;
    }
    unlock(fake);
    return rc;
}

static void metric(void *h, const char *name, double value)
{
    fake_host *fake = h;
    size_t len = strlen(name), i = 0;
    lock(fake);
    while (i < fake->n_metrics && strcmp(fake->metrics[i].name, name) != 0)
        ++i;
    if (i == fake->n_metrics && i < FAKE_MAX) {
        copy_text(fake->metrics[i].name, sizeof(fake->metrics[i].name), flamenco_text(name));
        ++fake->n_metrics;
    }
    if (i < FAKE_MAX) {
        int adds = len >= 6 && strcmp(name + len - 6, "_total") == 0;
        fake->metrics[i].value = adds ? fake->metrics[i].value + value : value;
    }
    unlock(fake);
}

static int64_t now_us(void *h)
{
    return __atomic_load_n(&((fake_host *)h)->now_us, __ATOMIC_RELAXED);
}

static int64_t monotonic_us(void *h)
{
    return __atomic_load_n(&((fake_host *)h)->monotonic_us, __ATOMIC_RELAXED);
}

static void uuid_format(const flamenco_uuid *uuid, char *out)
{
    fl_uuid_format(uuid, out);
}

static int32_t uuid_make(void *h, uint32_t version, flamenco_uuid *out)
{
    return version == 7 ? fl_uuid_make_v7(now_us(h), out) : fl_uuid_make_v4(out);
}

static void fail_manager(void *h, const char *reason)
{
    fake_host *fake = h;
    lock(fake);
    copy_text(fake->failed, sizeof(fake->failed), flamenco_text(reason));
    unlock(fake);
}

static int64_t limit(void *h, const char *key)
{
    const fake_host *fake = h;
    return strcmp(key, "image_memory") == 0 ? fake->image_memory : 0;
}

/* ---- Settings -------------------------------------------------------------------------------------------------- */

static const flamenco_setting *find_setting(const fake_host *fake, const char *key)
{
    const flamenco_setting *const *s = fake->plugin->settings;
    for (; s != NULL && *s != NULL; ++s) {
        if (strcmp((*s)->key, key) == 0)
            return *s;
    }
    fail_msg("setting %s is not declared", key);
    return NULL;
}

static const char *find_given(const fake_host *fake, const char *key)
{
    for (size_t i = 0; i < fake->n_given; ++i) {
        if (strcmp(fake->given[i].key, key) == 0)
            return fake->given[i].text;
    }
    return NULL;
}

static flamenco_str config_text(const void *c, const char *key)
{
    const fake_host *fake = c;
    const char *text = find_given(fake, key);
    return flamenco_text(text != NULL ? text : find_setting(fake, key)->default_text);
}

static int64_t read_bytes(flamenco_str text)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { "", 1 } };
    for (size_t i = 0;; ++i) {
        size_t len = strlen(units[i].unit);
        if (text.len >= len && memcmp(text.ptr + text.len - len, units[i].unit, len) == 0) {
            int64_t value = 0;
            text.len -= len;
            assert_int_equal(fl_str_int(text, &value), 0);
            return value * units[i].factor;
        }
    }
}

static int64_t config_integer(const void *c, const char *key)
{
    const flamenco_setting *setting = find_setting(c, key);
    flamenco_str text = config_text(c, key);
    int64_t value = 0;
    if (text.len == 0)
        return 0;
    switch (setting->type) {
    case FLAMENCO_SETTING_BOOL:
        return fl_str_is(text, "true");
    case FLAMENCO_SETTING_DURATION:
        assert_int_equal(fl_duration_parse(text, &value), 0);
        return value / 1000;
    case FLAMENCO_SETTING_BYTES:
        return read_bytes(text);
    default:
        assert_int_equal(fl_str_int(text, &value), 0);
        return value;
    }
}

static double config_real(const void *c, const char *key)
{
    flamenco_str text = config_text(c, key);
    return text.len > 0 ? strtod(text.ptr, NULL) : 0;
}

/* Finds item `index` of a list: given ones stand one a line, default ones are separated by blanks. */
static uint64_t find_item(const void *c, const char *key, uint64_t index, flamenco_str *out)
{
    const fake_host *fake = c;
    char sep = find_given(fake, key) != NULL ? '\n' : ' ';
    flamenco_str rest = config_text(c, key), part;
    uint64_t n = 0;
    while (fl_str_split(&rest, sep, &part)) {
        if (part.len > 0 && n++ == index)
            *out = part;
    }
    return n;
}

static uint64_t config_count(const void *c, const char *key)
{
    flamenco_str ignored;
    return find_item(c, key, UINT64_MAX, &ignored);
}

static flamenco_str config_item(const void *c, const char *key, uint64_t index)
{
    flamenco_str out = { NULL, 0 };
    find_item(c, key, index, &out);
    return out;
}

static uint32_t config_given(const void *c, const char *key)
{
    return find_given(c, key) != NULL;
}

static flamenco_str config_place(const void *c, const char *key)
{
    (void)c;
    (void)key;
    return flamenco_text("manager.yaml:1");
}

static flamenco_buf *make_buf(flamenco_str text)
{
    flamenco_buf *buf = fl_shared_create((size_t)text.len);
    if (buf != NULL && text.len > 0)
        memcpy(fl_shared_data(buf), text.ptr, (size_t)text.len);
    return buf;
}

/* ---- For the test ---------------------------------------------------------------------------------------------- */

void fake_host_init(fake_host *fake)
{
    static const flamenco_host table = {
        .struct_size = (uint32_t)sizeof(flamenco_host),
        .abi_minor = FLAMENCO_ABI_MINOR,
        .log = log_line,
        .log_va = log_va,
        .alloc = host_alloc,
        .free = host_free,
        .cx_alloc = cx_alloc,
        .service = service,
        .submit = submit,
        .emit = emit,
        .emit_job = emit_job,
        .emit_task = emit_task,
        .emit_worker = emit_worker,
        .task_log = task_log,
        .touch = touch,
        .wake = wake,
        .listen = listen_to,
        .metric = metric,
        .buf_ref = fl_shared_ref,
        .buf_unref = fl_shared_unref,
        .buf_make = make_buf,
        .now_us = now_us,
        .monotonic_us = monotonic_us,
        .uuid_format = uuid_format,
        .uuid_parse = fl_uuid_parse,
        .uuid_make = uuid_make,
        .fail = fail_manager,
        .buf_bytes = fl_shared_str,
        .limit = limit,
    };
    memset(fake, 0, sizeof(*fake));
    fake->host = table;
    fake->host.h = fake;
    fake->now_us = INT64_C(1772600767000000); /* 2026-03-04T05:06:07Z */
    fake->monotonic_us = INT64_C(1000000000);
    fake->allocations_left = -1;
    fake->image_memory = INT64_C(256) << 20;
    assert_int_equal(pthread_mutex_init(&fake->lock, NULL), 0);
}

void fake_host_fini(fake_host *fake)
{
    for (size_t i = 0; i < fake->n_steps; ++i) {
        if (fake->steps[i].destroy != NULL)
            fake->steps[i].destroy(fake->steps[i].ctx);
    }
    free(fake->records);
    fl_arena_destroy(fake->texts);
    pthread_mutex_destroy(&fake->lock);
    assert_int_equal(fake->allocations, 0);
    assert_int_equal(fake->cx_alive, 0);
}

void fake_host_set(fake_host *fake, const char *key, const char *text)
{
    size_t i = 0;
    while (i < fake->n_given && strcmp(fake->given[i].key, key) != 0)
        ++i;
    assert_true(i < FAKE_MAX);
    if (fake->texts == NULL)
        fake->texts = fl_arena_create(0);
    assert_non_null(fake->texts);
    /* Earlier values stay where they are: a plugin may hold them. */
    flamenco_str copy = fl_arena_copy(fake->texts, flamenco_text(text));
    assert_non_null(copy.ptr);
    fake->given[i].key = key;
    fake->given[i].text = copy.ptr;
    if (i == fake->n_given)
        ++fake->n_given;
}

void fake_host_unset_all(fake_host *fake)
{
    fake->n_given = 0;
}

const flamenco_config *fake_host_config(fake_host *fake, const flamenco_plugin *plugin)
{
    static const flamenco_config table = {
        .struct_size = (uint32_t)sizeof(flamenco_config),
        .text = config_text,
        .integer = config_integer,
        .real = config_real,
        .count = config_count,
        .item = config_item,
        .given = config_given,
        .place = config_place,
    };
    fake->plugin = plugin;
    fake->config = table;
    fake->config.c = fake;
    for (size_t i = 0; i < fake->n_given; ++i)
        (void)find_setting(fake, fake->given[i].key);
    return &fake->config;
}

void fake_host_serve(fake_host *fake, const char *id, const void *table, void *self)
{
    assert_true(fake->n_services < FAKE_MAX);
    fake->services[fake->n_services].id = id;
    fake->services[fake->n_services].table = table;
    fake->services[fake->n_services++].self = self;
}

void *fake_host_start(fake_host *fake, const flamenco_plugin *plugin)
{
    void *self = NULL;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(plugin->struct_size, sizeof(flamenco_plugin));
    assert_int_equal(plugin->abi_major, FLAMENCO_ABI_MAJOR);
    if (plugin->create(&fake->host, &self, &err) != 0 ||
        (plugin->configure != NULL && plugin->configure(self, fake_host_config(fake, plugin), &err) != 0) ||
        (plugin->start != NULL && plugin->start(self, &err) != 0))
        fail_msg("%s does not start: %s", plugin->id, err.text);
    return self;
}

void fake_host_stop(fake_host *fake, const flamenco_plugin *plugin, void *self)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (plugin->stop != NULL && plugin->stop(self, fake->monotonic_us + 10000000, &err) != 0)
        fail_msg("%s does not stop: %s", plugin->id, err.text);
    plugin->destroy(self);
}

const void *fake_host_table(const flamenco_plugin *plugin, const char *id)
{
    for (const flamenco_provide *const *p = plugin->provides; p != NULL && *p != NULL; ++p) {
        if (strcmp((*p)->id, id) == 0)
            return (*p)->table;
    }
    fail_msg("%s does not provide %s", plugin->id, id);
    return NULL;
}

int32_t fake_host_run_steps(fake_host *fake, size_t max_runs)
{
    int32_t first = FLAMENCO_OK;
    for (size_t runs = 0;; ++runs) {
        lock(fake);
        int found = fake->n_steps > 0;
        flamenco_step step = fake->steps[0];
        if (found)
            memmove(fake->steps, fake->steps + 1, --fake->n_steps * sizeof(step));
        unlock(fake);
        if (!found)
            return first;
        if (runs >= max_runs)
            fail_msg("step %s: still running after %zu runs", step.name, max_runs);
        fake_cx *cx = fake_cx_create(fake);
        flamenco_error err = FLAMENCO_ERROR_INIT;
        cx->cx.read_only = step.kind == FLAMENCO_STEP_READ;
        int32_t rc = step.run(&cx->cx, step.ctx, &err);
        fake_cx_destroy(cx);
        if (rc == FLAMENCO_AGAIN) {
            lock(fake);
            assert_true(fake->n_steps < FAKE_MAX);
            fake->steps[fake->n_steps++] = step;
            unlock(fake);
            continue;
        }
        if (step.destroy != NULL)
            step.destroy(step.ctx);
        if (rc != FLAMENCO_OK && first == FLAMENCO_OK)
            first = rc;
    }
}

void fake_host_publish(fake_host *fake, const flamenco_event *event)
{
    for (size_t i = 0; i < fake->n_listeners; ++i) {
        if (fake->listeners[i].kinds >> event->kind & 1)
            fake->listeners[i].on_event(fake->listeners[i].ctx, event);
    }
}

double fake_host_metric(fake_host *fake, const char *name)
{
    for (size_t i = 0; i < fake->n_metrics; ++i) {
        if (strcmp(fake->metrics[i].name, name) == 0)
            return fake->metrics[i].value;
    }
    return 0;
}

void fake_host_clear(fake_host *fake)
{
    fake->n_records = 0;
}

fake_cx *fake_cx_create(fake_host *fake)
{
    fake_cx *cx = calloc(1, sizeof(*cx));
    assert_non_null(cx);
    cx->fake = fake;
    cx->arena = fl_arena_create(0);
    assert_non_null(cx->arena);
    cx->cx.struct_size = (uint32_t)sizeof(cx->cx);
    cx->cx.host = &fake->host;
    cx->cx.now_us = fake->now_us;
    cx->cx.deadline_us = fake->monotonic_us + INT64_C(3600000000);
    cx->cx.cancelled = &cx->cancelled;
    lock(fake);
    ++fake->cx_alive;
    unlock(fake);
    return cx;
}

void fake_cx_destroy(fake_cx *cx)
{
    lock(cx->fake);
    --cx->fake->cx_alive;
    unlock(cx->fake);
    fl_arena_destroy(cx->arena);
    free(cx);
}
