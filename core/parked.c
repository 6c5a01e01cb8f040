/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that want a task stand in one list, oldest first; all steps also in a hash table by worker. A step leaves both
 * while it is checked and tried again, and comes back to its old place when it parks once more.
 */
#include "core/parked.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/uuid.h"
#include "core/executor.h"
#include "core/touches.h"

#define BUCKETS 4096u
#define RECENT 64u /* wake-ups of workers that are remembered, for fl_parked_add */
#define AT_ONCE 128u /* steps that are tried again at one time */

enum { FREE = 0, WAITING, CHECKING, RUNNING };

struct fl_parked {
    struct flamenco *f;
    pthread_mutex_t lock;
    fl_step *first, *last;
    fl_step *buckets[BUCKETS];
    uint64_t count, next_order;
    uint64_t wakes; /* atomic */
    flamenco_uuid recent[RECENT]; /* the worker of wake-up n stands at n % RECENT; none for tasks */
    uint64_t round; /* of wake-ups for tasks; a step whose `tried` is less has not been tried since */
    uint64_t wanted; /* tasks that may still be had */
    uint64_t trying; /* steps under way for them */
    int any_type; /* wanted tasks are of several types */
    char type[256]; /* theirs otherwise */
    int draining;
};

fl_parked *fl_parked_create(struct flamenco *f)
{
    fl_parked *parked = calloc(1, sizeof(*parked));
    if (parked == NULL)
        return NULL;
    parked->f = f;
    parked->next_order = 1;
    pthread_mutex_init(&parked->lock, NULL);
    return parked;
}

void fl_parked_destroy(fl_parked *parked)
{
    if (parked == NULL)
        return;
    pthread_mutex_destroy(&parked->lock);
    free(parked);
}

uint64_t fl_parked_wakes(fl_parked *parked)
{
    return __atomic_load_n(&parked->wakes, __ATOMIC_ACQUIRE);
}

static fl_step **bucket_of(fl_parked *parked, const flamenco_uuid *worker)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(worker->b); ++i)
        hash = (hash ^ worker->b[i]) * 16777619u;
    return &parked->buckets[hash % BUCKETS];
}

/* Puts the step where its order belongs: nearly always at the end. */
static void link_step(fl_parked *parked, fl_step *step)
{
    fl_step *after = parked->last;
    while (after != NULL && after->park.order > step->park.order)
        after = after->park.prev;
    step->park.prev = after;
    step->park.next = after != NULL ? after->park.next : parked->first;
    if (step->park.next != NULL)
        step->park.next->park.prev = step;
    else
        parked->last = step;
    if (after != NULL)
        after->park.next = step;
    else
        parked->first = step;
    fl_step **bucket = bucket_of(parked, &step->park.worker);
    step->park.hash_next = *bucket;
    *bucket = step;
    step->park.state = WAITING;
    ++parked->count;
}

static void unlink_step(fl_parked *parked, fl_step *step, uint32_t state)
{
    if (step->park.prev != NULL)
        step->park.prev->park.next = step->park.next;
    else
        parked->first = step->park.next;
    if (step->park.next != NULL)
        step->park.next->park.prev = step->park.prev;
    else
        parked->last = step->park.prev;
    fl_step **at = bucket_of(parked, &step->park.worker);
    while (*at != step)
        at = &(*at)->park.hash_next;
    *at = step->park.hash_next;
    step->park.prev = step->park.next = step->park.hash_next = NULL;
    step->park.state = state;
    --parked->count;
}

static int has_type(flamenco_str types, const char *type)
{
    size_t len = strlen(type);
    const char *at = types.ptr, *end = types.ptr + types.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if ((size_t)(stop - at) == len && memcmp(at, type, len) == 0)
            return 1;
        at = stop + 1;
    }
    return 0;
}

/* Takes the steps that are to be tried now out of the list, linked by park.next. The lock is held. */
static fl_step *take_for_tasks(fl_parked *parked)
{
    fl_step *taken = NULL, **tail = &taken;
    fl_step *step = parked->first;
    while (step != NULL && parked->trying < parked->wanted && parked->trying < AT_ONCE) {
        fl_step *next = step->park.next;
        if (step->park.kind == FLAMENCO_WAKE_TASKS && step->park.tried < parked->round &&
            (parked->any_type || has_type(step->park.task_types, parked->type))) {
            unlink_step(parked, step, CHECKING);
            step->park.tried = parked->round;
            ++parked->trying;
            *tail = step;
            tail = &step->park.next;
        }
        step = next;
    }
    if (parked->trying == 0)
        parked->wanted = 0; /* nobody is left who could take them */
    return taken;
}

/* Outside the lock: asks whether the clients are still there. */
static void check_all(fl_step *taken)
{
    while (taken != NULL) {
        fl_step *next = taken->park.next;
        taken->park.next = NULL;
        taken->ops->check(taken);
        taken = next;
    }
}

void fl_parked_add(fl_parked *parked, fl_step *step)
{
    pthread_mutex_lock(&parked->lock);
    if (parked->draining) {
        pthread_mutex_unlock(&parked->lock);
        step->ops->expired(step);
        return;
    }
    uint64_t wakes = parked->wakes;
    int news = wakes - step->wakes_seen >= RECENT;
    for (uint64_t n = step->wakes_seen; !news && n < wakes; ++n)
        news = fl_uuid_equal(&parked->recent[n % RECENT], &step->park.worker);
    int again = step->park.state == RUNNING;
    if (step->park.order == 0) {
        step->park.order = parked->next_order++;
        step->park.hold_until_us = flamenco_clock_monotonic_us(&parked->f->clock) + step->park.hold_us;
        step->park.tried = 0;
    }
    if (again && step->park.kind == FLAMENCO_WAKE_TASKS && parked->trying > 0)
        --parked->trying;
    /* Under the lock, so that nobody takes the step away before it holds. */
    int gone = !news && !step->ops->hold(step);
    if (news || gone)
        step->park.state = FREE;
    else
        link_step(parked, step);
    fl_step *taken = take_for_tasks(parked);
    pthread_mutex_unlock(&parked->lock);
    if (news) {
        step->deadline_us = 0;
        fl_executor_submit(parked->f->executor, step);
    } else if (gone) {
        step->ops->expired(step);
    }
    check_all(taken);
}

static fl_step *take_for_worker(fl_parked *parked, const flamenco_uuid *worker)
{
    fl_step *taken = NULL;
    fl_step *step = *bucket_of(parked, worker);
    while (step != NULL) {
        fl_step *next = step->park.hash_next;
        if (fl_uuid_equal(&step->park.worker, worker)) {
            unlink_step(parked, step, CHECKING);
            if (step->park.kind == FLAMENCO_WAKE_TASKS)
                ++parked->trying;
            step->park.next = taken;
            taken = step;
        }
        step = next;
    }
    return taken;
}

static void note_type(fl_parked *parked, flamenco_str type)
{
    if (type.len == 0 || type.len >= sizeof(parked->type)) {
        parked->any_type = 1;
    } else if (parked->wanted == 0) {
        memcpy(parked->type, type.ptr, (size_t)type.len);
        parked->type[type.len] = '\0';
        parked->any_type = 0;
    } else if (!flamenco_str_equal(type, flamenco_text(parked->type))) {
        parked->any_type = 1;
    }
}

void fl_parked_wake(fl_parked *parked, const flamenco_wake *wake)
{
    static const flamenco_uuid none;
    fl_step *taken;
    pthread_mutex_lock(&parked->lock);
    int is_worker = wake->what == FLAMENCO_WAKE_WORKER;
    parked->recent[parked->wakes % RECENT] = is_worker ? wake->worker : none;
    __atomic_store_n(&parked->wakes, parked->wakes + 1, __ATOMIC_RELEASE);
    if (is_worker) {
        taken = take_for_worker(parked, &wake->worker);
    } else {
        note_type(parked, wake->task_type);
        ++parked->round;
        parked->wanted += wake->count;
        taken = take_for_tasks(parked);
    }
    pthread_mutex_unlock(&parked->lock);
    check_all(taken);
}

void fl_parked_checked(fl_parked *parked, fl_step *step, int alive)
{
    if (!alive) {
        fl_parked_ended(parked, step, 0);
        return;
    }
    pthread_mutex_lock(&parked->lock);
    step->park.state = RUNNING;
    pthread_mutex_unlock(&parked->lock);
    step->deadline_us = 0;
    fl_executor_submit(parked->f->executor, step);
}

void fl_parked_ended(fl_parked *parked, fl_step *step, int served)
{
    fl_step *taken = NULL;
    pthread_mutex_lock(&parked->lock);
    if (step->park.state == CHECKING || step->park.state == RUNNING) {
        if (step->park.kind == FLAMENCO_WAKE_TASKS) {
            if (parked->trying > 0)
                --parked->trying;
            if (served && parked->wanted > 0)
                --parked->wanted;
            taken = take_for_tasks(parked);
        }
        step->park.state = FREE;
    }
    pthread_mutex_unlock(&parked->lock);
    check_all(taken);
}

int fl_parked_remove(fl_parked *parked, fl_step *step)
{
    pthread_mutex_lock(&parked->lock);
    int waited = step->park.state == WAITING;
    if (waited)
        unlink_step(parked, step, FREE);
    pthread_mutex_unlock(&parked->lock);
    return waited;
}

static void expire_all(fl_step *expired)
{
    while (expired != NULL) {
        fl_step *next = expired->park.next;
        expired->park.next = NULL;
        expired->ops->expired(expired);
        expired = next;
    }
}

void fl_parked_tick(fl_parked *parked)
{
    int64_t now_us = flamenco_clock_monotonic_us(&parked->f->clock);
    int64_t time_us = flamenco_clock_now_us(&parked->f->clock);
    fl_step *expired = NULL;
    pthread_mutex_lock(&parked->lock);
    for (fl_step *step = parked->first; step != NULL;) {
        fl_step *next = step->park.next;
        if (step->park.hold_until_us <= now_us) {
            unlink_step(parked, step, FREE);
            step->park.next = expired;
            expired = step;
        } else {
            fl_touches_note_waiting(parked->f->touches, step->park.worker_key, time_us);
        }
        step = next;
    }
    pthread_mutex_unlock(&parked->lock);
    expire_all(expired);
}

void fl_parked_drain(fl_parked *parked)
{
    fl_step *expired = NULL;
    pthread_mutex_lock(&parked->lock);
    parked->draining = 1;
    while (parked->first != NULL) {
        fl_step *step = parked->first;
        unlink_step(parked, step, FREE);
        step->park.next = expired;
        expired = step;
    }
    pthread_mutex_unlock(&parked->lock);
    expire_all(expired);
}

int fl_parked_has_worker(fl_parked *parked, const flamenco_uuid *worker)
{
    pthread_mutex_lock(&parked->lock);
    fl_step *step = *bucket_of(parked, worker);
    while (step != NULL && !fl_uuid_equal(&step->park.worker, worker))
        step = step->park.hash_next;
    pthread_mutex_unlock(&parked->lock);
    return step != NULL;
}

uint64_t fl_parked_count(fl_parked *parked)
{
    pthread_mutex_lock(&parked->lock);
    uint64_t count = parked->count;
    pthread_mutex_unlock(&parked->lock);
    return count;
}
