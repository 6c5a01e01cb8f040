/* SPDX-License-Identifier: Apache-2.0
 *
 * known.c - rows that the writing session has read and nobody has changed since: of workers, and the lasting part of visible
 * jobs. Every request of a Worker begins with its row, seven times a task, and most of them go on to a task, whose row names
 * its job and its worker: reading all that each time was a fifth of what the writer does.
 *
 * Only the writing session has this: it sees every change before it happens, and no other program writes (the lease). What
 * was read is worthless as soon as a row of its kind changes, and when such a change is undone. Tasks are in known_tasks.c.
 */
#include "rows.h"

/* Powers of two; each place holds one row at most. A worker needs about 500 bytes. */
#define WORKER_PLACES 1024u
#define JOB_PLACES 64u
#define TEXTS 6u

typedef struct known_worker {
    uint64_t generation; /* of its kind when it was read */
    flamenco_worker row; /* its texts stand behind */
    uint64_t room;
    char texts[];
} known_worker;

typedef struct known_job {
    uint64_t generation;
    int64_t key; /* 0 = none */
    fl_known_job row;
} known_job;

struct fl_known {
    known_worker *workers[WORKER_PLACES]; /* by UUID; NULL = none */
    uint16_t by_key[WORKER_PLACES]; /* by key: the place in `workers` where that worker was last put */
    known_job jobs[JOB_PLACES];
};

static uint32_t place_of(const flamenco_uuid *uuid)
{
    return fl_known_hash(uuid) % WORKER_PLACES;
}

static int is_true(const flamenco_session *s, uint32_t kind, uint64_t generation)
{
    return generation == s->known_generation[kind];
}

/* Makes the place for it all at the first use. NULL: a reader, or no memory; then it is done without. */
static fl_known *open_known(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    if (s->known == NULL && s->kind == FLAMENCO_SESSION_WRITER) {
        s->known = host->alloc(host->h, sizeof(*s->known));
        if (s->known != NULL)
            memset(s->known, 0, sizeof(*s->known));
    }
    return s->known;
}

/* ---- Workers ---- */

static void list_texts(flamenco_worker *row, flamenco_str *texts[TEXTS])
{
    flamenco_str *const list[TEXTS] = { &row->name,     &row->address,    &row->platform,
                                        &row->software, &row->task_types, &row->secret_hash };
    memcpy(texts, list, sizeof(list));
}

int32_t fl_known_worker(flamenco_session *s, const flamenco_uuid *uuid, flamenco_worker *out)
{
    const known_worker *found = s->known != NULL ? s->known->workers[place_of(uuid)] : NULL;
    if (found == NULL || !is_true(s, FL_KNOWN_WORKERS, found->generation) ||
        memcmp(&found->row.uuid, uuid, sizeof(*uuid)) != 0)
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

const flamenco_worker *fl_known_worker_key(const flamenco_session *s, int64_t key)
{
    const known_worker *found =
        s->known != NULL ? s->known->workers[s->known->by_key[(uint64_t)key % WORKER_PLACES]] : NULL;
    return found != NULL && is_true(s, FL_KNOWN_WORKERS, found->generation) && found->row.key == key ? &found->row
                                                                                                     : NULL;
}

/* An entry with room for the texts, in that place; NULL: it is done without. */
static known_worker *make_room(flamenco_session *s, known_worker **place, uint64_t room)
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

void fl_known_worker_keep(flamenco_session *s, const flamenco_worker *row)
{
    fl_known *known = open_known(s);
    flamenco_worker copy = *row;
    flamenco_str *texts[TEXTS];
    uint32_t place = place_of(&row->uuid);
    uint64_t total = 0;
    list_texts(&copy, texts);
    for (size_t i = 0; i < TEXTS; ++i)
        total += texts[i]->len;
    known_worker *kept = known != NULL ? make_room(s, &known->workers[place], total) : NULL;
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
    kept->generation = s->known_generation[FL_KNOWN_WORKERS];
    known->by_key[(uint64_t)row->key % WORKER_PLACES] = (uint16_t)place;
}

/* ---- Jobs ---- */

int32_t fl_known_job_get(flamenco_session *s, int64_t key, fl_known_job *out)
{
    fl_known *known = open_known(s);
    known_job *place = known != NULL ? &known->jobs[(uint64_t)key % JOB_PLACES] : NULL;
    if (place != NULL && place->key == key && is_true(s, FL_KNOWN_JOBS, place->generation)) {
        *out = place->row;
        return 1;
    }
    fl_query q = fl_query_begin(s, FL_SQL_JOB_LASTING);
    fl_bind_int(&q, 1, key);
    int32_t found = fl_query_step(&q);
    if (found > 0)
        *out = (fl_known_job){ fl_column_uuid(&q, 0), fl_column_int(&q, 1) };
    int32_t rc = fl_query_end(&q, found);
    if (rc != FLAMENCO_OK)
        return rc;
    if (found > 0 && place != NULL)
        *place = (known_job){ s->known_generation[FL_KNOWN_JOBS], key, *out };
    return found;
}

/* ---- Changes ---- */

void fl_known_changed(flamenco_session *s, uint32_t kind)
{
    ++s->known_generation[kind];
    s->known_changed[kind] = 1;
}

void fl_known_begin(flamenco_session *s)
{
    memset(s->known_changed, 0, sizeof(s->known_changed));
}

void fl_known_committed(flamenco_session *s)
{
    /* What was kept since a change is as the change left it. */
    memset(s->known_changed, 0, sizeof(s->known_changed));
}

void fl_known_end(flamenco_session *s)
{
    /* A savepoint may end so, too: then the mark stays for the transaction around it. */
    for (uint32_t kind = 0; kind < FL_KNOWN_KINDS; ++kind)
        s->known_generation[kind] += s->known_changed[kind];
}

void fl_known_fini(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    for (size_t i = 0; s->known != NULL && i < WORKER_PLACES; ++i)
        host->free(host->h, s->known->workers[i]);
    host->free(host->h, s->known);
    s->known = NULL;
    fl_known_tasks_fini(s);
}
