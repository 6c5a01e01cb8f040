/* SPDX-License-Identifier: Apache-2.0
 *
 * known.c - rows of workers that the writing session has read and nobody has changed since. Every request of a Worker begins
 * with its row, seven times a task; reading it, with its seven texts, cost a tenth of all that the writer does.
 *
 * Only the writing session has this: it sees every change before it happens, and no other program writes (the lease). What
 * was read is worthless as soon as a worker changes, and when a transaction with such a change ends, in whatever way.
 */
#include "rows.h"

#define PLACES 1024u /* a power of two; at most one worker each, about 500 bytes */
#define TEXTS 6u

struct fl_known_worker {
    uint64_t generation; /* of the session when it was read */
    flamenco_worker row; /* its texts stand behind */
    uint64_t room;
    char texts[];
};

static fl_known_worker **place_of(flamenco_session *s, const flamenco_uuid *uuid)
{
    uint32_t a, b;
    memcpy(&a, uuid->b + 4, sizeof(a));
    memcpy(&b, uuid->b + 12, sizeof(b));
    return &s->known[(a ^ b) % PLACES];
}

static void list_texts(flamenco_worker *row, flamenco_str *texts[TEXTS])
{
    flamenco_str *const list[TEXTS] = { &row->name,     &row->address,    &row->platform,
                                        &row->software, &row->task_types, &row->secret_hash };
    memcpy(texts, list, sizeof(list));
}

int32_t fl_known_get(flamenco_session *s, const flamenco_uuid *uuid, flamenco_worker *out)
{
    const fl_known_worker *found = s->known != NULL ? *place_of(s, uuid) : NULL;
    if (found == NULL || found->generation != s->known_generation || memcmp(&found->row.uuid, uuid, sizeof(*uuid)) != 0)
        return FLAMENCO_E_NOT_FOUND;
    flamenco_worker row = found->row;
    flamenco_str *texts[TEXTS + 1];
    list_texts(&row, texts);
    texts[TEXTS] = NULL;
    int32_t rc = fl_texts_keep(s, texts);
    if (rc == FLAMENCO_OK)
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    return rc;
}

/* An entry with room for the texts, in that place; NULL: it is done without. */
static fl_known_worker *make_room(flamenco_session *s, fl_known_worker **place, uint64_t room)
{
    const flamenco_host *host = s->store->host;
    if (*place != NULL && (*place)->room >= room)
        return *place;
    host->free(host->h, *place);
    *place = host->alloc(host->h, sizeof(**place) + room);
    if (*place != NULL)
        (*place)->room = room;
    return *place;
}

void fl_known_keep(flamenco_session *s, const flamenco_worker *row)
{
    const flamenco_host *host = s->store->host;
    if (s->kind != FLAMENCO_SESSION_WRITER)
        return;
    if (s->known == NULL) {
        s->known = host->alloc(host->h, PLACES * sizeof(fl_known_worker *));
        if (s->known == NULL)
            return;
        memset(s->known, 0, PLACES * sizeof(fl_known_worker *));
    }
    flamenco_worker copy = *row;
    flamenco_str *texts[TEXTS];
    list_texts(&copy, texts);
    uint64_t total = 0;
    for (size_t i = 0; i < TEXTS; ++i)
        total += texts[i]->len;
    fl_known_worker *kept = make_room(s, place_of(s, &row->uuid), total);
    if (kept == NULL)
        return;
    char *at = kept->texts;
    for (size_t i = 0; i < TEXTS; ++i) {
        if (texts[i]->len > 0)
            memcpy(at, texts[i]->ptr, (size_t)texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    kept->row = copy;
    kept->generation = s->known_generation;
}

void fl_known_changed(flamenco_session *s)
{
    ++s->known_generation;
    s->workers_changed = 1;
}

void fl_known_begin(flamenco_session *s)
{
    s->workers_changed = 0;
}

void fl_known_end(flamenco_session *s)
{
    /* A savepoint may end so, too: then workers_changed stays for the transaction around it. */
    s->known_generation += s->workers_changed;
}

void fl_known_fini(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    for (size_t i = 0; s->known != NULL && i < PLACES; ++i)
        host->free(host->h, s->known[i]);
    host->free(host->h, s->known);
    s->known = NULL;
}
