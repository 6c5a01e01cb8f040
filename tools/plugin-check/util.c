/* SPDX-License-Identifier: Apache-2.0
 *
 * util.c - small things for checks: UUIDs, events, threads, and running what plugins submitted.
 */
#include <stdlib.h>

#include "inner.h"
#include "store.h"

flamenco_error kit_error(void)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    return err;
}

flamenco_uuid kit_uuid(uint64_t n)
{
    flamenco_uuid uuid = { { 0 } };
    for (int i = 0; i < 6; ++i)
        uuid.b[i] = (uint8_t)(n >> (40 - 8 * i));
    uuid.b[6] = 0x70;
    uuid.b[8] = 0x80;
    uuid.b[15] = 1;
    return uuid;
}

void kit_uuid_text(const flamenco_uuid *uuid, char out[37])
{
    static const char digits[] = "0123456789abcdef";
    char *p = out;
    for (size_t i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[uuid->b[i] >> 4];
        *p++ = digits[uuid->b[i] & 15];
    }
    *p = '\0';
}

flamenco_event kit_event_make(kit *k, uint64_t seq, const char *topic, const char *payload)
{
    char text[1024];
    int topic_len = snprintf(text, sizeof(text), "%s", topic);
    int name_len = snprintf(text + topic_len, sizeof(text) - (size_t)topic_len, "/task");
    int len = snprintf(text + topic_len + name_len, sizeof(text) - (size_t)(topic_len + name_len), "%s", payload);
    flamenco_buf *buf = kit_buf_make(k, (flamenco_str){ text, (uint64_t)(topic_len + name_len + len) });
    const char *at = k->instances[0]->host.buf_bytes(buf).ptr;
    flamenco_event e = { .struct_size = (uint32_t)sizeof(e), .kind = FLAMENCO_EVENT_TASK, .seq = seq, .buf = buf };
    e.topic = (flamenco_str){ at, (uint64_t)topic_len };
    e.name = (flamenco_str){ at + topic_len, (uint64_t)name_len };
    e.payload = (flamenco_str){ at + topic_len + name_len, (uint64_t)len };
    e.job = kit_uuid(1);
    e.task = kit_uuid(2);
    return e;
}

size_t kit_count_effects(kit *k, int what)
{
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n_effects; ++i)
        n += (int)k->effects[i].what == what;
    pthread_mutex_unlock(&k->lock);
    return n;
}

void kit_forget_effects(kit *k)
{
    pthread_mutex_lock(&k->lock);
    k->n_effects = 0;
    pthread_mutex_unlock(&k->lock);
}

void kit_set_now(kit *k, int64_t now_us)
{
    __atomic_store_n(&k->now_us, now_us, __ATOMIC_RELAXED);
}

/* ---- Threads -------------------------------------------------------------------------------------------------------- */

typedef struct one_thread {
    void (*fn)(void *ctx, uint32_t index);
    void *ctx;
    uint32_t index;
    pthread_barrier_t *together;
} one_thread;

static void *run_thread(void *arg)
{
    one_thread *t = arg;
    pthread_barrier_wait(t->together);
    t->fn(t->ctx, t->index);
    return NULL;
}

void kit_threads(uint32_t n, void (*fn)(void *ctx, uint32_t index), void *ctx)
{
    pthread_t threads[64];
    one_thread each[64];
    pthread_barrier_t together;
    EXPECT(n > 0 && n <= 64 && pthread_barrier_init(&together, NULL, n) == 0, "the check wants too many threads");
    for (uint32_t i = 0; i < n; ++i) {
        each[i] = (one_thread){ fn, ctx, i, &together };
        EXPECT(pthread_create(&threads[i], NULL, run_thread, &each[i]) == 0, "the check cannot start a thread");
    }
    for (uint32_t i = 0; i < n; ++i)
        EXPECT(pthread_join(threads[i], NULL) == 0, "the check cannot join its thread");
    pthread_barrier_destroy(&together);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------------- */

static int take_step(kit *k, kit_step *out)
{
    int found = 0;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n_steps && !found; ++i) {
        if (k->steps[i].due_us > k->now_us)
            continue;
        *out = k->steps[i];
        memmove(&k->steps[i], &k->steps[i + 1], (--k->n_steps - i) * sizeof(k->steps[0]));
        found = 1;
    }
    pthread_mutex_unlock(&k->lock);
    return found;
}

static int32_t run_step(kit *k, kit_step *step, flamenco_error *err)
{
    kit_store *s = k->store;
    kit_cx *cx = kit_cx_make(step->owner);
    int32_t rc;
    if (step->step.kind == FLAMENCO_STEP_WORK) {
        rc = step->step.run(&cx->cx, step->step.ctx, err);
        kit_cx_end(cx);
        return rc;
    }
    EXPECT(s != NULL, "step %s wants a transaction, and the check has no store", step->step.name);
    flamenco_session *session = s->writer;
    if (step->step.kind == FLAMENCO_STEP_READ) {
        cx->cx.read_only = 1;
        EXPECT_CODE(s->db->open(s->self, FLAMENCO_SESSION_READER, &session, err), FLAMENCO_OK, err);
    }
    EXPECT_CODE(s->db->begin(s->self, session, &cx->cx, err), FLAMENCO_OK, err);
    rc = step->step.run(&cx->cx, step->step.ctx, err);
    if (step->step.kind == FLAMENCO_STEP_READ) {
        s->db->rollback(s->self, &cx->cx);
        s->db->close(s->self, session);
    } else if (rc >= 0) {
        EXPECT_CODE(s->db->commit(s->self, &cx->cx, ++s->batch, err), FLAMENCO_OK, err);
    } else {
        s->db->rollback(s->self, &cx->cx);
    }
    kit_cx_end(cx);
    return rc;
}

uint64_t kit_run_steps(kit *k)
{
    kit_step step;
    uint64_t n = 0;
    while (take_step(k, &step)) {
        flamenco_error err = kit_error();
        int32_t rc = run_step(k, &step, &err);
        EXPECT(++n < 100000, "step %s never comes to an end", step.step.name);
        EXPECT(rc == FLAMENCO_AGAIN || kit_is_code(rc), "step %s gives %d, which is no code", step.step.name, (int)rc);
        if (rc == FLAMENCO_AGAIN) {
            pthread_mutex_lock(&k->lock);
            int room = k->n_steps < sizeof(k->steps) / sizeof(k->steps[0]);
            if (room)
                k->steps[k->n_steps++] = step;
            pthread_mutex_unlock(&k->lock);
            EXPECT(room, "too many steps wait");
        } else if (step.step.destroy != NULL) {
            step.step.destroy(step.step.ctx);
        }
    }
    return n;
}
