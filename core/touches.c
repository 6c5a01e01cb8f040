/* SPDX-License-Identifier: Apache-2.0
 *
 * touches.c - an open-addressing table by (what, key). See touches.h.
 */
#include "core/touches.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/log.h"

#define WAITING_STORE_US 10000000
#define KEEP_US 60000000
#define FIRST_SIZE 1024u

typedef struct entry {
    int64_t key; /* 0 = empty */
    uint32_t what;
    uint32_t pending;
    int64_t at_us, stored_us;
} entry;

struct fl_touches {
    pthread_mutex_t lock;
    entry *entries;
    size_t size, used; /* size: a power of two */
    size_t pending;
    uint32_t lost;
};

fl_touches *fl_touches_create(void)
{
    fl_touches *touches = calloc(1, sizeof(*touches));
    if (touches == NULL)
        return NULL;
    touches->entries = calloc(FIRST_SIZE, sizeof(entry));
    if (touches->entries == NULL) {
        free(touches);
        return NULL;
    }
    touches->size = FIRST_SIZE;
    pthread_mutex_init(&touches->lock, NULL);
    return touches;
}

void fl_touches_destroy(fl_touches *touches)
{
    if (touches == NULL)
        return;
    pthread_mutex_destroy(&touches->lock);
    free(touches->entries);
    free(touches);
}

static entry *slot_of(entry *entries, size_t size, uint32_t what, int64_t key)
{
    size_t at = (size_t)((uint64_t)key * UINT64_C(0x9E3779B97F4A7C15) >> 20) ^ what;
    for (;; ++at) {
        entry *e = &entries[at & (size - 1)];
        if (e->key == 0 || (e->key == key && e->what == what))
            return e;
    }
}

static int is_needed(const entry *e, int64_t keep_after_us)
{
    return e->key != 0 && (e->pending || e->at_us > e->stored_us || e->at_us >= keep_after_us);
}

/* Makes the table anew with `size` places, leaving out what is stored and older than `keep_after_us`. */
static int rebuild(fl_touches *touches, size_t size, int64_t keep_after_us)
{
    entry *fresh = calloc(size, sizeof(entry));
    if (fresh == NULL)
        return 0;
    size_t used = 0;
    for (size_t i = 0; i < touches->size; ++i) {
        const entry *old = &touches->entries[i];
        if (!is_needed(old, keep_after_us))
            continue;
        *slot_of(fresh, size, old->what, old->key) = *old;
        ++used;
    }
    free(touches->entries);
    touches->entries = fresh;
    touches->size = size;
    touches->used = used;
    return 1;
}

/* The place of a number, made when there is none. NULL, and counted: no memory for it. */
static entry *place_for(fl_touches *touches, uint32_t what, int64_t key)
{
    if (touches->used * 2 >= touches->size && !rebuild(touches, touches->size * 2, INT64_MIN)) {
        if (touches->lost++ % 1000 == 0)
            fl_error("touches", "no memory to keep last-seen times");
        return NULL;
    }
    entry *e = slot_of(touches->entries, touches->size, what, key);
    if (e->key == 0) {
        *e = (entry){ .key = key, .what = what, .at_us = INT64_MIN, .stored_us = INT64_MIN };
        ++touches->used;
    }
    return e;
}

static void want_stored(fl_touches *touches, entry *e)
{
    touches->pending += !e->pending;
    e->pending = 1;
}

static void note(fl_touches *touches, uint32_t what, int64_t key, int64_t at_us, int64_t store_after_us)
{
    pthread_mutex_lock(&touches->lock);
    entry *e = place_for(touches, what, key);
    if (e != NULL && at_us > e->at_us) {
        e->at_us = at_us;
        if (e->stored_us == INT64_MIN || at_us - e->stored_us >= store_after_us)
            want_stored(touches, e);
    }
    pthread_mutex_unlock(&touches->lock);
}

void fl_touches_note(fl_touches *touches, const flamenco_touch *touch)
{
    note(touches, touch->what, touch->key, touch->at_us, 0);
}

void fl_touches_note_waiting(fl_touches *touches, int64_t worker_key, int64_t at_us)
{
    note(touches, FLAMENCO_TOUCH_WORKER_SEEN, worker_key, at_us, WAITING_STORE_US);
}

int64_t fl_touches_get(fl_touches *touches, uint32_t what, int64_t key)
{
    pthread_mutex_lock(&touches->lock);
    const entry *e = slot_of(touches->entries, touches->size, what, key);
    int64_t at_us = e->key != 0 ? e->at_us : FLAMENCO_TIME_NONE;
    pthread_mutex_unlock(&touches->lock);
    return at_us;
}

size_t fl_touches_take(fl_touches *touches, int all, flamenco_touch *rows, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&touches->lock);
    for (size_t i = 0; i < touches->size && n < max && (touches->pending > 0 || all); ++i) {
        entry *e = &touches->entries[i];
        if (e->key == 0 || !(e->pending || (all && e->at_us > e->stored_us)))
            continue;
        rows[n++] = (flamenco_touch){ (uint32_t)sizeof(*rows), e->what, e->key, e->at_us };
        e->stored_us = e->at_us;
        touches->pending -= e->pending;
        e->pending = 0;
    }
    pthread_mutex_unlock(&touches->lock);
    return n;
}

void fl_touches_give_back(fl_touches *touches, const flamenco_touch *rows, size_t n)
{
    pthread_mutex_lock(&touches->lock);
    for (size_t i = 0; i < n; ++i) {
        entry *e =
            place_for(touches, rows[i].what, rows[i].key); /* it may have been trimmed meanwhile: it seemed stored */
        if (e == NULL)
            continue;
        if (e->at_us < rows[i].at_us)
            e->at_us = rows[i].at_us;
        e->stored_us = INT64_MIN;
        want_stored(touches, e);
    }
    pthread_mutex_unlock(&touches->lock);
}

int fl_touches_pending(fl_touches *touches)
{
    pthread_mutex_lock(&touches->lock);
    int pending = touches->pending > 0;
    pthread_mutex_unlock(&touches->lock);
    return pending;
}

void fl_touches_trim(fl_touches *touches, int64_t now_us)
{
    pthread_mutex_lock(&touches->lock);
    size_t size = FIRST_SIZE;
    size_t fresh = 0;
    for (size_t i = 0; i < touches->size; ++i)
        fresh += is_needed(&touches->entries[i], now_us - KEEP_US) ? 1 : 0;
    while (size < fresh * 4)
        size *= 2;
    if (!rebuild(touches, size, now_us - KEEP_US))
        fl_warn("touches", "no memory to forget old last-seen times");
    pthread_mutex_unlock(&touches->lock);
}
