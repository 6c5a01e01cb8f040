/* SPDX-License-Identifier: Apache-2.0
 *
 * known.c - rows that the writing session has read and nobody has changed since: of workers, and of jobs. Every request of a
 * Worker begins with its row, seven times a task, and most of them go on to a task, whose row names its job and its worker:
 * reading all that each time was a fifth of what the writer does. The counters of a job change with each of its tasks, here as
 * in the store.
 *
 * Only the writing session has this: it sees every change before it happens, and no other program writes (the lease). What
 * was read is worthless as soon as a row of its kind changes, and when such a change is undone. Tasks are in known_tasks.c.
 */
#include "rows.h"

/* Powers of two; each place holds one row at most. A worker needs about 500 bytes. */
#define WORKER_PLACES 1024u
#define JOB_PLACES 64u
#define RUNQ_PLACES 64u
#define TEXTS 6u
#define JOB_TEXTS 7u
#define JOB_TEXTS_MOST 16384u /* bytes; a job with more is read each time */

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

typedef struct known_state {
    uint64_t generation;
    fl_job_state row; /* key 0 = none */
} known_state;

typedef struct known_empty {
    uint64_t generation;
    int64_t tag, type; /* type 0 = none */
} known_empty;

typedef struct known_job_row {
    uint64_t generation; /* that of the states */
    flamenco_job row; /* its texts stand behind */
    uint64_t room;
    char texts[];
} known_job_row;

struct fl_known {
    known_worker *workers[WORKER_PLACES]; /* by UUID; NULL = none */
    uint16_t by_key[WORKER_PLACES]; /* by key: the place in `workers` where that worker was last put */
    known_job jobs[JOB_PLACES];
    known_state states[JOB_PLACES];
    known_job_row *rows[JOB_PLACES]; /* NULL = none */
    known_empty empty[RUNQ_PLACES];
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

/* Copies the texts one behind the other, and lets them point there. */
static void copy_texts(char *at, flamenco_str *const *texts, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        if (texts[i]->len > 0)
            memcpy(at, texts[i]->ptr, (size_t)texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
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
    copy_texts(kept->texts, texts, TEXTS);
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

/* The place of its state; NULL: a reader, or no memory. */
static known_state *state_place(flamenco_session *s, int64_t key)
{
    fl_known *known = open_known(s);
    return known != NULL ? &known->states[(uint64_t)key % JOB_PLACES] : NULL;
}

static int is_known_state(const flamenco_session *s, const known_state *place, int64_t key)
{
    return place != NULL && place->row.key == key && is_true(s, FL_KNOWN_JOB_STATES, place->generation);
}

int fl_known_state(flamenco_session *s, int64_t key, fl_job_state *out)
{
    const known_state *place = state_place(s, key);
    if (!is_known_state(s, place, key))
        return 0;
    *out = place->row;
    return 1;
}

void fl_known_state_keep(flamenco_session *s, const fl_job_state *row)
{
    known_state *place = state_place(s, row->key);
    if (place != NULL)
        *place = (known_state){ s->known_generation[FL_KNOWN_JOB_STATES], *row };
}

/* The whole row of a visible job; NULL. */
static known_job_row *find_row(const flamenco_session *s, int64_t key)
{
    known_job_row *found = s->known != NULL ? s->known->rows[(uint64_t)key % JOB_PLACES] : NULL;
    return found != NULL && is_true(s, FL_KNOWN_JOB_STATES, found->generation) && found->row.key == key ? found : NULL;
}

static void list_job_texts(flamenco_job *row, flamenco_str *texts[JOB_TEXTS + 1])
{
    flamenco_str *const list[JOB_TEXTS + 1] = { &row->name,
                                                &row->type,
                                                &row->activity,
                                                &row->settings,
                                                &row->metadata,
                                                &row->shaman_checkout_id,
                                                &row->submitter_platform,
                                                NULL };
    memcpy(texts, list, sizeof(list));
}

int32_t fl_known_job_row(flamenco_session *s, int64_t key, flamenco_job *out)
{
    const known_job_row *found = find_row(s, key);
    if (found == NULL)
        return FLAMENCO_E_NOT_FOUND;
    flamenco_job row = found->row;
    flamenco_str *texts[JOB_TEXTS + 1];
    list_job_texts(&row, texts);
    int32_t rc = fl_texts_keep(s, texts);
    if (rc == FLAMENCO_OK)
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    return rc;
}

int fl_known_has_job_row(const flamenco_session *s, int64_t key)
{
    return find_row(s, key) != NULL;
}

void fl_known_job_row_keep(flamenco_session *s, const flamenco_job *row)
{
    const flamenco_host *host = s->store->host;
    fl_known *known = open_known(s);
    flamenco_job copy = *row;
    flamenco_str *texts[JOB_TEXTS + 1];
    uint64_t total = 0;
    list_job_texts(&copy, texts);
    for (size_t i = 0; i < JOB_TEXTS; ++i)
        total += texts[i]->len;
    if (known == NULL || total > JOB_TEXTS_MOST)
        return;
    known_job_row **place = &known->rows[(uint64_t)row->key % JOB_PLACES];
    if (*place == NULL || (*place)->room < total) {
        host->free(host->h, *place);
        *place = host->alloc(host->h, sizeof(**place) + total);
        if (*place == NULL)
            return; /* it is done without */
        (*place)->room = total;
    }
    copy_texts((*place)->texts, texts, JOB_TEXTS);
    (*place)->row = copy;
    (*place)->generation = s->known_generation[FL_KNOWN_JOB_STATES];
}

void fl_known_state_add(flamenco_session *s, int64_t key, const fl_job_delta *delta)
{
    known_state *place = state_place(s, key);
    known_job_row *whole = find_row(s, key);
    s->known_changed[FL_KNOWN_JOB_STATES] = 1;
    if (is_known_state(s, place, key)) {
        for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
            place->row.n[i] += delta->n[i];
        place->row.steps_total += delta->steps_total;
        place->row.steps_done += delta->steps_done;
    }
    if (whole == NULL)
        return;
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        whole->row.counts[i] += (uint64_t)delta->n[i];
    whole->row.steps_total += delta->steps_total;
    whole->row.steps_completed += delta->steps_done;
    if (delta->updated_us != FLAMENCO_TIME_NONE)
        whole->row.updated_us = delta->updated_us;
}

/* ---- Work of a tag and type: most workers can do more than what there is at a time ---- */

static known_empty *empty_place(flamenco_session *s, int64_t tag, int64_t type)
{
    fl_known *known = open_known(s);
    return known != NULL ? &known->empty[((uint64_t)tag * 31 + (uint64_t)type) % RUNQ_PLACES] : NULL;
}

int fl_known_empty(flamenco_session *s, int64_t tag, int64_t type)
{
    const known_empty *place = empty_place(s, tag, type);
    return place != NULL && place->tag == tag && place->type == type && is_true(s, FL_KNOWN_RUNQ, place->generation);
}

void fl_known_empty_keep(flamenco_session *s, int64_t tag, int64_t type)
{
    known_empty *place = empty_place(s, tag, type);
    if (place == NULL)
        return;
    *place = (known_empty){ s->known_generation[FL_KNOWN_RUNQ], tag, type };
    s->known_changed[FL_KNOWN_RUNQ] = 1; /* this transaction may have taken the last row away, and be undone */
}

void fl_known_empty_forget(flamenco_session *s, int64_t tag, int64_t type)
{
    if (fl_known_empty(s, tag, type))
        empty_place(s, tag, type)->type = 0;
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
    for (size_t i = 0; s->known != NULL && i < JOB_PLACES; ++i)
        host->free(host->h, s->known->rows[i]);
    host->free(host->h, s->known);
    s->known = NULL;
    fl_known_tasks_fini(s);
}
