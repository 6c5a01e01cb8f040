/* SPDX-License-Identifier: Apache-2.0
 *
 * rooms.c - see rooms.h. A member knows its place in the session's list and the other way round, so that leaving takes no
 * search among hundreds of members.
 */
#include "rooms.h"

#include <stdlib.h>

#define BUCKETS_FIRST 256u

static uint32_t hash_of(const rooms *all, flamenco_str name)
{
    uint32_t hash = 2166136261u ^ all->seed;
    for (uint64_t i = 0; i < name.len; ++i)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619u;
    return hash ^ (hash >> 15);
}

int32_t rooms_init(rooms *all, uint32_t seed)
{
    all->buckets = calloc(BUCKETS_FIRST, sizeof(sio_room *));
    if (all->buckets == NULL)
        return FLAMENCO_E_NOMEM;
    all->n_buckets = BUCKETS_FIRST;
    all->count = 0;
    all->seed = seed;
    all->task_logs = 0;
    memset(all->of_hash, 0, sizeof(all->of_hash));
    return FLAMENCO_OK;
}

void rooms_fini(rooms *all)
{
    free(all->buckets);
    all->buckets = NULL;
}

static sio_room **place_of(rooms *all, uint32_t hash, flamenco_str name)
{
    sio_room **at = &all->buckets[hash & (all->n_buckets - 1)];
    while (*at != NULL && ((*at)->hash != hash || !flamenco_str_equal(flamenco_text((*at)->name), name)))
        at = &(*at)->next;
    return at;
}

static void add_to(uint32_t *counter, int32_t change)
{
    __atomic_store_n(counter, *counter + (uint32_t)change, __ATOMIC_RELEASE);
}

/* A room came (1) or went (-1). */
static void count_room(rooms *all, const sio_room *r, int32_t change)
{
    static const char logs[] = "/tasklog/";
    all->count += (uint32_t)change;
    add_to(&all->of_hash[r->hash % ROOMS_HASHES], change);
    add_to(&all->of_hash[r->hash / ROOMS_HASHES % ROOMS_HASHES], change);
    if (strncmp(r->name, logs, sizeof(logs) - 1) == 0)
        add_to(&all->task_logs, change);
}

int rooms_may_hear(const rooms *all, flamenco_str name)
{
    uint32_t hash = hash_of(all, name);
    return __atomic_load_n(&all->of_hash[hash % ROOMS_HASHES], __ATOMIC_ACQUIRE) != 0 &&
           __atomic_load_n(&all->of_hash[hash / ROOMS_HASHES % ROOMS_HASHES], __ATOMIC_ACQUIRE) != 0;
}

int rooms_have_task_logs(const rooms *all)
{
    return __atomic_load_n(&all->task_logs, __ATOMIC_ACQUIRE) != 0;
}

sio_room *rooms_find(rooms *all, flamenco_str name)
{
    return *place_of(all, hash_of(all, name), name);
}

/* Doubles the table. Without memory the old one serves on, only slower. */
static void spread(rooms *all)
{
    uint32_t wanted = all->n_buckets * 2;
    sio_room **buckets = calloc(wanted, sizeof(sio_room *));
    if (buckets == NULL)
        return;
    for (uint32_t i = 0; i < all->n_buckets; ++i) {
        for (sio_room *r = all->buckets[i]; r != NULL;) {
            sio_room *next = r->next;
            r->next = buckets[r->hash & (wanted - 1)];
            buckets[r->hash & (wanted - 1)] = r;
            r = next;
        }
    }
    free(all->buckets);
    all->buckets = buckets;
    all->n_buckets = wanted;
}

static sio_room *find_or_make(rooms *all, const char *name)
{
    flamenco_str text = flamenco_text(name);
    uint32_t hash = hash_of(all, text);
    sio_room *r = *place_of(all, hash, text);
    if (r != NULL || text.len >= sizeof(r->name))
        return r;
    if (all->count >= all->n_buckets)
        spread(all);
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->hash = hash;
    memcpy(r->name, name, (size_t)text.len);
    *place_of(all, hash, text) = r;
    count_room(all, r, 1);
    return r;
}

static void forget_if_empty(rooms *all, sio_room *r)
{
    if (r->count > 0)
        return;
    *place_of(all, r->hash, flamenco_text(r->name)) = r->next;
    count_room(all, r, -1);
    free(r->members);
    free(r);
}

/* Makes room for one more. Returns 0 when memory is exhausted. */
static int grow(void **list, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return 1;
    uint32_t wanted = *cap > 0 ? *cap * 2 : 4;
    void *grown = realloc(*list, wanted * size);
    if (grown == NULL)
        return 0;
    *list = grown;
    *cap = wanted;
    return 1;
}

static int grow_both(sio_room *r, stays *of)
{
    void *members = r->members, *list = of->list;
    int ok = grow(&members, r->count, &r->cap, sizeof(member));
    r->members = members;
    ok = ok && grow(&list, of->count, &of->cap, sizeof(stay));
    of->list = list;
    return ok;
}

static uint32_t find_stay(const stays *of, const sio_room *r)
{
    uint32_t i = 0;
    while (i < of->count && of->list[i].in != r)
        ++i;
    return i;
}

int32_t rooms_join(rooms *all, struct session *session, stays *of, const char *name, uint32_t at_most)
{
    sio_room *r = find_or_make(all, name);
    if (r == NULL)
        return FLAMENCO_E_NOMEM;
    if (r->count > 0 && find_stay(of, r) < of->count)
        return FLAMENCO_OK;
    int32_t rc = of->count >= at_most ? FLAMENCO_E_FULL : !grow_both(r, of) ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
    if (rc == FLAMENCO_OK) {
        r->members[r->count] = (member){ session, of, of->count };
        of->list[of->count++] = (stay){ r, r->count++ };
    }
    forget_if_empty(all, r);
    return rc;
}

static void leave(rooms *all, stays *of, uint32_t index)
{
    stay gone = of->list[index];
    sio_room *r = gone.in;
    /* The last ones move into the gaps, and are told where they stand now: of other sessions, and of this one. */
    member moved = r->members[--r->count];
    r->members[gone.slot] = moved;
    if (gone.slot < r->count)
        moved.of->list[moved.stay].slot = gone.slot;
    stay last = of->list[--of->count];
    of->list[index] = last;
    if (index < of->count)
        last.in->members[last.slot].stay = index;
    forget_if_empty(all, r);
}

void rooms_leave(rooms *all, stays *of, const char *name)
{
    sio_room *r = rooms_find(all, flamenco_text(name));
    uint32_t index = r != NULL ? find_stay(of, r) : of->count;
    if (index < of->count)
        leave(all, of, index);
}

void rooms_leave_all(rooms *all, stays *of)
{
    while (of->count > 0)
        leave(all, of, of->count - 1);
    free(of->list);
    *of = (stays){ 0 };
}
