/* SPDX-License-Identifier: Apache-2.0
 *
 * host.c - the host that plugins under test get: it counts and refuses allocations, keeps what was asked of it, and notes
 * uses that the contract forbids. Every function may be called on any thread.
 */
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "inner.h"

#define ALIVE UINT64_C(0x6B69742D616C6C6F)
#define FREED UINT64_C(0x6B69742D66726565)

/* Stands before each allocation; 32 bytes, so that what follows is aligned for any type. */
typedef struct header {
    uint64_t magic, bytes;
    kit_instance *owner;
    uint64_t unused;
} header;

typedef struct kit_block {
    struct kit_block *next;
    uint64_t bytes;
    _Alignas(16) char data[];
} kit_block;

struct flamenco_buf {
    kit *k; /* NULL: not counted */
    uint32_t refs;
    uint64_t len;
    char data[];
};

/* ---- Rules ---------------------------------------------------------------------------------------------------------- */

kit_phase kit_phase_of(const kit_instance *i)
{
    return (kit_phase)__atomic_load_n((const uint32_t *)&i->phase, __ATOMIC_ACQUIRE);
}

static void note_violation(kit *k, const char *fmt, va_list args)
{
    if (k->violation[0] == '\0')
        vsnprintf(k->violation, sizeof(k->violation), fmt, args);
}

void kit_violation(kit *k, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&k->lock);
    note_violation(k, fmt, args);
    pthread_mutex_unlock(&k->lock);
    va_end(args);
}

/* Before start and after stop, only log, alloc and free (and asking for the time) are allowed. */
static void must_work(const kit_instance *i, const char *what)
{
    static const char *const names[] = { "query", "create",        "create", "configure", "configure",
                                         "start", "while it runs", "stop",   "stop",      "destroy" };
    kit_phase phase = kit_phase_of(i);
    if (phase < KIT_START || phase > KIT_STOP)
        kit_violation(i->k, "it calls host->%s in or after %s", what, names[phase]);
}

/* ---- Log and memory ------------------------------------------------------------------------------------------------- */

static void host_log_va(void *h, uint32_t level, const char *fmt, va_list args)
{
    static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
    kit_instance *i = h;
    char text[KIT_TEXT];
    vsnprintf(text, sizeof(text), fmt, args);
    pthread_mutex_lock(&i->k->lock);
    if (level <= FLAMENCO_LOG_ERROR)
        ++i->k->log_lines[level];
    memcpy(i->k->last_log, text, sizeof(text));
    pthread_mutex_unlock(&i->k->lock);
    if (level > FLAMENCO_LOG_ERROR)
        kit_violation(i->k, "it logs at level %u", level);
    else if (i->k->options->verbose)
        dprintf(KIT_REPORT_FD + 1, "    [%s] %s\n", names[level], text);
}

static void host_log(void *h, uint32_t level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    host_log_va(h, level, fmt, args);
    va_end(args);
}

/* Under the lock. */
static int is_refused(kit *k)
{
    ++k->allocations;
    int refused = k->allocations == k->fail_at || (k->fail_every != 0 && k->allocations % k->fail_every == 0);
    k->failed_allocations += refused != 0;
    return refused;
}

static void *host_alloc(void *h, uint64_t bytes)
{
    kit_instance *i = h;
    pthread_mutex_lock(&i->k->lock);
    int refused = i->section[0] == '\0' && is_refused(i->k);
    pthread_mutex_unlock(&i->k->lock);
    header *head = refused || bytes > (UINT64_C(1) << 40) ? NULL : malloc(sizeof(*head) + (size_t)bytes);
    if (head == NULL)
        return NULL;
    *head = (header){ .magic = ALIVE, .bytes = bytes, .owner = i };
    memset(head + 1, 0xA5, (size_t)bytes); /* nobody said that it is zeroed */
    pthread_mutex_lock(&i->k->lock);
    ++i->live;
    i->live_bytes += bytes;
    pthread_mutex_unlock(&i->k->lock);
    return head + 1;
}

static void host_free(void *h, void *ptr)
{
    kit_instance *i = h;
    if (ptr == NULL)
        return;
    header *head = (header *)ptr - 1;
    if (head->magic != ALIVE || head->owner != i) {
        kit_violation(i->k, "it gives host->free what host->alloc did not give to this instance, or gives it twice");
        return;
    }
    head->magic = FREED;
    pthread_mutex_lock(&i->k->lock);
    --i->live;
    i->live_bytes -= head->bytes;
    pthread_mutex_unlock(&i->k->lock);
    memset(ptr, 0xDB, (size_t)head->bytes);
    free(head);
}

static void *host_cx_alloc(flamenco_cx *cx, uint64_t bytes)
{
    kit_cx *own = (kit_cx *)(void *)cx;
    pthread_mutex_lock(&own->k->lock);
    int refused = own->counts && is_refused(own->k);
    pthread_mutex_unlock(&own->k->lock);
    kit_block *block = refused || bytes > (UINT64_C(1) << 40) ? NULL : calloc(1, sizeof(*block) + (size_t)bytes);
    if (block == NULL)
        return NULL;
    block->next = own->blocks;
    block->bytes = bytes;
    own->blocks = block;
    return block->data;
}

kit_cx *kit_cx_make(kit_instance *host)
{
    kit_cx *own = calloc(1, sizeof(*own));
    EXPECT(own != NULL, "the check's memory is exhausted");
    own->k = host->k;
    own->counts = host->section[0] == '\0';
    own->cx = (flamenco_cx){ .struct_size = (uint32_t)sizeof(own->cx),
                             .host = &host->host,
                             .now_us = host->host.now_us(host),
                             .deadline_us = host->host.monotonic_us(host) + 600 * KIT_SECOND,
                             .cancelled = &own->cancelled,
                             .request_id = flamenco_text("check") };
    return own;
}

void kit_cx_end(kit_cx *cx)
{
    for (kit_block *b = cx->blocks, *next; b != NULL; b = next) {
        next = b->next;
        memset(b->data, 0xDB, (size_t)b->bytes);
        free(b);
    }
    free(cx);
}

/* ---- Services and steps --------------------------------------------------------------------------------------------- */

static const void *host_service(void *h, const char *id, void **self_out)
{
    kit_instance *i = h;
    must_work(i, "service");
    if (!kit_needs(i, id)) {
        kit_violation(i->k, "it asks for the service %s, which is not among its needs", id);
        return NULL;
    }
    for (size_t n = i->k->n_instances; n > 0; --n) {
        kit_instance *other = i->k->instances[n - 1];
        const void *table = other != i && kit_phase_of(other) == KIT_RUNNING ? kit_table_of(other, id) : NULL;
        if (table != NULL) {
            *self_out = other->self;
            return table;
        }
    }
    return NULL;
}

static int32_t host_submit(void *h, const flamenco_step *step)
{
    kit_instance *i = h;
    kit *k = i->k;
    int32_t rc = FLAMENCO_E_FULL;
    must_work(i, "submit");
    pthread_mutex_lock(&k->lock);
    if (step->run == NULL || step->kind > FLAMENCO_STEP_WORK || step->struct_size < sizeof(*step)) {
        rc = FLAMENCO_E_INVALID;
    } else if (i->section[0] == '\0' && is_refused(k)) {
        rc = FLAMENCO_E_NOMEM;
    } else if (k->n_steps < sizeof(k->steps) / sizeof(k->steps[0])) {
        k->steps[k->n_steps++] = (kit_step){ *step, i, k->now_us + (step->delay_us > 0 ? step->delay_us : 0) };
        rc = FLAMENCO_OK;
    }
    pthread_mutex_unlock(&k->lock);
    if (rc == FLAMENCO_E_INVALID)
        kit_violation(k, "it submits a step without run, of an unknown kind or of a wrong size");
    if (rc != FLAMENCO_OK && step->destroy != NULL)
        step->destroy(step->ctx);
    return rc;
}

/* ---- Effects -------------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, flamenco_str text)
{
    size_t len = text.len < KIT_TEXT - 1 ? (size_t)text.len : KIT_TEXT - 1;
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

static int32_t add_effect(flamenco_cx *cx, const kit_effect *effect)
{
    kit *k = ((kit_cx *)(void *)cx)->k;
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&k->lock);
    if (k->n_effects == k->effects_room) {
        size_t room = k->effects_room > 0 ? k->effects_room * 2 : 64;
        kit_effect *more = realloc(k->effects, room * sizeof(*more));
        if (more == NULL) {
            rc = FLAMENCO_E_NOMEM;
        } else {
            k->effects = more;
            k->effects_room = room;
        }
    }
    if (rc == FLAMENCO_OK)
        k->effects[k->n_effects++] = *effect;
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static int32_t host_emit(flamenco_cx *cx, const flamenco_event *event)
{
    kit_effect e = { .what = KIT_EMIT, .kind = event->kind };
    e.job = event->job;
    e.task = event->task;
    e.worker = event->worker;
    copy_text(e.text, event->payload);
    return add_effect(cx, &e);
}

static int32_t host_emit_job(flamenco_cx *cx, const struct flamenco_job_event *event)
{
    kit_effect e = { .what = KIT_EMIT_JOB, .kind = FLAMENCO_EVENT_JOB };
    e.job = event->row->uuid;
    e.status = event->row->status;
    e.previous_status = event->previous_status;
    e.flags = event->flags;
    return add_effect(cx, &e);
}

static int32_t host_emit_task(flamenco_cx *cx, const struct flamenco_task_event *event)
{
    kit_effect e = { .what = KIT_EMIT_TASK, .kind = FLAMENCO_EVENT_TASK };
    e.task = event->row->uuid;
    e.job = event->row->job_uuid;
    e.status = event->row->status;
    e.previous_status = event->previous_status;
    copy_text(e.text, event->row->activity);
    return add_effect(cx, &e);
}

static int32_t host_emit_worker(flamenco_cx *cx, const struct flamenco_worker_event *event)
{
    kit_effect e = { .what = KIT_EMIT_WORKER, .kind = FLAMENCO_EVENT_WORKER };
    e.worker = event->row->uuid;
    e.status = event->row->status;
    e.previous_status = event->previous_status;
    return add_effect(cx, &e);
}

static int32_t host_task_log(flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task, uint32_t stamp,
                             flamenco_str text)
{
    kit_effect e = { .what = KIT_TASK_LOG, .flags = stamp };
    e.job = *job;
    e.task = *task;
    copy_text(e.text, text);
    return add_effect(cx, &e);
}

static int32_t host_touch(flamenco_cx *cx, uint32_t what, int64_t key)
{
    kit_effect e = { .what = KIT_TOUCH, .kind = what, .key = key };
    return add_effect(cx, &e);
}

static int32_t host_wake(flamenco_cx *cx, const flamenco_wake *wake)
{
    kit_effect e = { .what = KIT_WAKE, .kind = wake->what, .key = (int64_t)wake->count };
    e.worker = wake->worker;
    copy_text(e.text, wake->task_type);
    return add_effect(cx, &e);
}

static int32_t host_listen(void *h, uint64_t event_kinds, flamenco_on_event on_event, void *ctx)
{
    kit_instance *i = h;
    kit *k = i->k;
    int32_t rc = FLAMENCO_E_FULL;
    must_work(i, "listen");
    pthread_mutex_lock(&k->lock);
    if (k->n_listeners < sizeof(k->listeners) / sizeof(k->listeners[0])) {
        k->listeners[k->n_listeners].kinds = event_kinds;
        k->listeners[k->n_listeners].on_event = on_event;
        k->listeners[k->n_listeners++].ctx = ctx;
        rc = FLAMENCO_OK;
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

/* ---- Small things --------------------------------------------------------------------------------------------------- */

static void host_metric(void *h, const char *name, double value)
{
    const kit_instance *i = h;
    (void)value;
    must_work(i, "metric");
    if (name == NULL || name[0] == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        kit_violation(i->k, "it gives a metric the name \"%s\"", name != NULL ? name : "");
}

flamenco_buf *kit_buf_make(kit *k, flamenco_str bytes)
{
    flamenco_buf *buf = malloc(sizeof(*buf) + (size_t)bytes.len);
    EXPECT(buf != NULL, "the check's memory is exhausted");
    buf->k = k;
    buf->refs = 1;
    buf->len = bytes.len;
    if (bytes.len > 0)
        memcpy(buf->data, bytes.ptr, (size_t)bytes.len);
    if (k != NULL)
        __atomic_add_fetch(&k->buffers, 1, __ATOMIC_RELAXED);
    return buf;
}

/* Whose it is is not told here, so these are not counted. */
static flamenco_buf *host_buf_make(flamenco_str text)
{
    return kit_buf_make(NULL, text);
}

static void host_buf_ref(flamenco_buf *buf)
{
    __atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
}

void kit_buf_unref(flamenco_buf *buf)
{
    if (buf == NULL || __atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    memset(buf->data, 0xDB, (size_t)buf->len);
    if (buf->k != NULL)
        __atomic_sub_fetch(&buf->k->buffers, 1, __ATOMIC_RELAXED);
    free(buf);
}

static flamenco_str host_buf_bytes(const flamenco_buf *buf)
{
    return (flamenco_str){ buf->data, buf->len };
}

static int64_t host_now_us(void *h)
{
    return __atomic_load_n(&((kit_instance *)h)->k->now_us, __ATOMIC_RELAXED);
}

static int64_t host_monotonic_us(void *h)
{
    struct timespec now;
    (void)h;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * KIT_SECOND + now.tv_nsec / 1000;
}

static void host_uuid_format(const flamenco_uuid *uuid, char *out)
{
    kit_uuid_text(uuid, out);
}

static int32_t host_uuid_parse(flamenco_str text, flamenco_uuid *out)
{
    flamenco_uuid made = { { 0 } };
    size_t digits = 0;
    if (text.len != 36)
        return FLAMENCO_E_INVALID;
    for (size_t i = 0; i < 36; ++i) {
        char c = text.ptr[i];
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        int value = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (dash ? c != '-' : value < 0)
            return FLAMENCO_E_INVALID;
        if (!dash) {
            made.b[digits / 2] = (uint8_t)(made.b[digits / 2] << 4 | value);
            ++digits;
        }
    }
    *out = made;
    return FLAMENCO_OK;
}

static int32_t host_uuid_make(void *h, uint32_t version, flamenco_uuid *out)
{
    if ((version != 4 && version != 7) || getrandom(out->b, sizeof(out->b), 0) != (ssize_t)sizeof(out->b))
        return version == 4 || version == 7 ? FLAMENCO_E_IO : FLAMENCO_E_INVALID;
    for (int i = 0; version == 7 && i < 6; ++i)
        out->b[i] = (uint8_t)((uint64_t)(host_now_us(h) / 1000) >> (40 - 8 * i));
    out->b[6] = (uint8_t)((out->b[6] & 0x0F) | version << 4);
    out->b[8] = (uint8_t)((out->b[8] & 0x3F) | 0x80);
    return FLAMENCO_OK;
}

static void host_fail(void *h, const char *reason)
{
    kit *k = ((kit_instance *)h)->k;
    pthread_mutex_lock(&k->lock);
    snprintf(k->reason, sizeof(k->reason), "%s", reason != NULL && reason[0] != '\0' ? reason : "(no reason)");
    pthread_mutex_unlock(&k->lock);
}

static int64_t host_limit(void *h, const char *key)
{
    (void)h;
    return strcmp(key, "image_memory") == 0 ? INT64_C(64) << 20 : 0;
}

void kit_host_init(kit_instance *i)
{
    i->host = (flamenco_host){
        .struct_size = (uint32_t)sizeof(i->host),
        .abi_minor = FLAMENCO_ABI_MINOR,
        .h = i,
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
        .buf_ref = host_buf_ref,
        .buf_unref = kit_buf_unref,
        .now_us = host_now_us,
        .monotonic_us = host_monotonic_us,
        .uuid_format = host_uuid_format,
        .uuid_parse = host_uuid_parse,
        .uuid_make = host_uuid_make,
        .fail = host_fail,
        .buf_bytes = host_buf_bytes,
        .limit = host_limit,
        .buf_make = host_buf_make,
    };
}
