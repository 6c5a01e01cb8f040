/* SPDX-License-Identifier: Apache-2.0 */
#include "core/listeners.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct listener {
    struct listener *next;
    const void *owner;
    uint64_t kinds;
    flamenco_on_event on_event;
    void *ctx;
} listener;

struct fl_listeners {
    pthread_rwlock_t lock; /* held for reading while receivers are called */
    listener *first;
    uint64_t kinds; /* atomic */
};

fl_listeners *fl_listeners_create(void)
{
    fl_listeners *listeners = calloc(1, sizeof(*listeners));
    if (listeners != NULL)
        pthread_rwlock_init(&listeners->lock, NULL);
    return listeners;
}

void fl_listeners_destroy(fl_listeners *listeners)
{
    if (listeners == NULL)
        return;
    while (listeners->first != NULL) {
        listener *next = listeners->first->next;
        free(listeners->first);
        listeners->first = next;
    }
    pthread_rwlock_destroy(&listeners->lock);
    free(listeners);
}

int32_t fl_listeners_add(fl_listeners *listeners, const void *owner, uint64_t kinds, flamenco_on_event on_event,
                         void *ctx)
{
    listener *l = malloc(sizeof(*l));
    if (l == NULL)
        return FLAMENCO_E_NOMEM;
    *l = (listener){ NULL, owner, kinds, on_event, ctx };
    pthread_rwlock_wrlock(&listeners->lock);
    listener **at = &listeners->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = l;
    __atomic_or_fetch(&listeners->kinds, kinds, __ATOMIC_RELEASE);
    pthread_rwlock_unlock(&listeners->lock);
    return FLAMENCO_OK;
}

void fl_listeners_widen(fl_listeners *listeners, const void *owner, uint64_t kinds)
{
    pthread_rwlock_wrlock(&listeners->lock);
    for (listener *l = listeners->first; l != NULL; l = l->next) {
        if (l->owner == owner) {
            l->kinds |= kinds;
            __atomic_or_fetch(&listeners->kinds, kinds, __ATOMIC_RELEASE);
        }
    }
    pthread_rwlock_unlock(&listeners->lock);
}

void fl_listeners_remove(fl_listeners *listeners, const void *owner)
{
    uint64_t kinds = 0;
    pthread_rwlock_wrlock(&listeners->lock);
    for (listener **at = &listeners->first; *at != NULL;) {
        listener *l = *at;
        if (l->owner == owner) {
            *at = l->next;
            free(l);
        } else {
            kinds |= l->kinds;
            at = &l->next;
        }
    }
    __atomic_store_n(&listeners->kinds, kinds, __ATOMIC_RELEASE);
    pthread_rwlock_unlock(&listeners->lock);
}

void fl_listeners_call(fl_listeners *listeners, const flamenco_event *event)
{
    if ((fl_listeners_kinds(listeners) & (UINT64_C(1) << event->kind)) == 0)
        return;
    pthread_rwlock_rdlock(&listeners->lock);
    for (const listener *l = listeners->first; l != NULL; l = l->next) {
        if (l->kinds & (UINT64_C(1) << event->kind))
            l->on_event(l->ctx, event);
    }
    pthread_rwlock_unlock(&listeners->lock);
}

uint64_t fl_listeners_kinds(fl_listeners *listeners)
{
    return __atomic_load_n(&listeners->kinds, __ATOMIC_ACQUIRE);
}
