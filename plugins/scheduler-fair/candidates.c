/* SPDX-License-Identifier: Apache-2.0
 *
 * candidates.c - which shares have work for a worker, and the groups of one of them.
 *
 * A store that keeps shares (persistence.h) finds them by an index; new jobs are put into theirs at the first request that
 * comes upon them, some at a time. With another store all groups are walked through, and their jobs' shares kept here.
 */
#include "fair.h"

/* Jobs that are put into their shares in one request: about half a millisecond. */
#define JOBS_AT_ONCE 64
/* A job's key may be given out again only when the transaction that stored the job was rolled back; none lives that long. */
#define SETTLED_US INT64_C(300000000)

int fl_fair_store_has_shares(const fl_fair *fair)
{
    const flamenco_persistence *table = fair->base.persist.table;
    return FLAMENCO_HAS(table, job_set_share) && FLAMENCO_HAS(table, runnable_shares) &&
           FLAMENCO_HAS(table, runnable_groups_of_share);
}

static int32_t nomem(flamenco_error *err)
{
    return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to choose a task");
}

/* A list being made. */
typedef struct listing {
    fl_fair *fair;
    flamenco_cx *cx;
    fl_candidate *first;
    int32_t rc;
    flamenco_error *err;
} listing;

static int32_t add_candidate(listing *l, int64_t number, fl_share *share)
{
    fl_candidate *candidate = l->fair->base.host->cx_alloc(l->cx, sizeof(*candidate));
    if (candidate == NULL)
        return nomem(l->err);
    *candidate = (fl_candidate){ .number = number, .share = share, .next = l->first };
    l->first = candidate;
    return FLAMENCO_OK;
}

/* The ledger's entry for a share that has work; it may have to be added. Noted at once, so that it is not forgotten when another
 * one is added. */
static int32_t enter(fl_fair *fair, flamenco_cx *cx, const fl_identity *identity, fl_share **out, flamenco_error *err)
{
    *out = fl_ledger_find(&fair->ledger, identity->number);
    if (*out == NULL)
        *out = fl_ledger_add(&fair->ledger, identity->number, identity->weight, cx->now_us);
    if (*out == NULL)
        return nomem(err);
    fl_ledger_consider(&fair->ledger, *out, cx->now_us);
    return FLAMENCO_OK;
}

/* ---- A store that keeps shares ---- */

typedef struct job_list {
    int64_t keys[JOBS_AT_ONCE];
    uint32_t n, most;
} job_list;

static int32_t note_job(void *ctx, const flamenco_runnable_group *group)
{
    job_list *jobs = ctx;
    for (uint32_t i = 0; i < jobs->n; ++i) {
        if (jobs->keys[i] == group->job_key)
            return 0;
    }
    jobs->keys[jobs->n++] = group->job_key;
    return jobs->n == jobs->most;
}

/* Puts jobs of a share that is not theirs into the right one: 0, or one by another setting. *moved_out: how many. */
static int32_t settle(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, int64_t number, uint32_t *moved_out,
                      flamenco_error *err)
{
    const flamenco_persistence_ref *persist = &fair->base.persist;
    job_list jobs = { .most = JOBS_AT_ONCE };
    int32_t rc = flamenco_persist_runnable_groups_of_share(persist, cx, worker_key, number, note_job, &jobs, err);
    for (uint32_t i = 0; i < jobs.n && rc == FLAMENCO_OK; ++i) {
        fl_identity identity = { 0 };
        int64_t created_us;
        rc = fl_fair_identify(fair, cx, jobs.keys[i], &identity, &created_us, err);
        if (rc != FLAMENCO_OK || identity.number == number)
            continue;
        rc = flamenco_persist_job_set_share(persist, cx, jobs.keys[i], identity.number, err);
        *moved_out += rc == FLAMENCO_OK;
    }
    return rc;
}

static int32_t note_share(void *ctx, int64_t share)
{
    listing *l = ctx;
    l->rc = add_candidate(l, share, NULL);
    return l->rc != FLAMENCO_OK;
}

/* Finds out what a number stands for that the ledger does not know, by the first of its jobs. *moved_out: it was an old one,
 * and its jobs are in others now. */
static int32_t learn(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, fl_candidate *candidate, uint32_t *moved_out,
                     flamenco_error *err)
{
    job_list first = { .most = 1 };
    fl_identity identity = { 0 };
    int64_t created_us;
    int32_t rc = flamenco_persist_runnable_groups_of_share(&fair->base.persist, cx, worker_key, candidate->number,
                                                           note_job, &first, err);
    if (rc == FLAMENCO_OK && first.n == 0)
        rc = flamenco_fail(err, FLAMENCO_E_INTERNAL, "the store names a share that it has no group of");
    if (rc == FLAMENCO_OK)
        rc = fl_fair_identify(fair, cx, first.keys[0], &identity, &created_us, err);
    if (rc == FLAMENCO_OK && identity.number != candidate->number)
        return settle(fair, cx, worker_key, candidate->number, moved_out, err);
    return rc == FLAMENCO_OK ? enter(fair, cx, &identity, &candidate->share, err) : rc;
}

/* Lists the shares once. *moved_out: some were not settled, and have been; then the list is worth nothing. */
static int32_t list_once(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, fl_candidate **out, uint32_t *moved_out,
                         flamenco_error *err)
{
    listing l = { .fair = fair, .cx = cx, .err = err };
    int32_t rc = flamenco_persist_runnable_shares(&fair->base.persist, cx, worker_key, note_share, &l, err);
    if (rc == FLAMENCO_OK)
        rc = l.rc;
    for (fl_candidate *c = l.first; c != NULL && rc == FLAMENCO_OK; c = c->next) {
        if (c->number == 0) {
            rc = settle(fair, cx, worker_key, 0, moved_out, err);
            continue;
        }
        c->share = fl_ledger_find(&fair->ledger, c->number);
        if (c->share == NULL)
            rc = learn(fair, cx, worker_key, c, moved_out, err);
        else
            fl_ledger_consider(&fair->ledger, c->share, cx->now_us);
    }
    *out = l.first;
    return rc;
}

/* A few rounds: what is still unsettled then waits for the next request, unless there is nothing else. */
static int32_t list_kept(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, fl_candidate **out, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (int round = 0; round < 3 && rc == FLAMENCO_OK; ++round) {
        uint32_t moved = 0;
        rc = list_once(fair, cx, worker_key, out, &moved, err);
        if (moved == 0)
            break;
    }
    return rc;
}

/* ---- Any other store ---- */

static int32_t number_of(fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_identity *out, flamenco_error *err)
{
    fl_job_share *place = &fair->jobs[(uint64_t)job_key & (FL_JOB_PLACES - 1)];
    int64_t created_us = 0;
    out->weight = 0;
    out->number = place->share;
    if (place->job == job_key && fl_ledger_find(&fair->ledger, place->share) != NULL)
        return FLAMENCO_OK;
    int32_t rc = fl_fair_identify(fair, cx, job_key, out, &created_us, err);
    if (rc == FLAMENCO_OK && created_us < cx->now_us - SETTLED_US)
        *place = (fl_job_share){ job_key, out->number };
    return rc;
}

static int32_t note_group(void *ctx, const flamenco_runnable_group *group)
{
    listing *l = ctx;
    fl_identity identity = { 0 };
    fl_share *share = NULL;
    l->rc = number_of(l->fair, l->cx, group->job_key, &identity, l->err);
    for (const fl_candidate *c = l->first; c != NULL && l->rc == FLAMENCO_OK; c = c->next) {
        if (c->number == identity.number)
            return 0;
    }
    if (l->rc == FLAMENCO_OK)
        l->rc = enter(l->fair, l->cx, &identity, &share, l->err);
    if (l->rc == FLAMENCO_OK)
        l->rc = add_candidate(l, identity.number, share);
    return l->rc != FLAMENCO_OK;
}

/* The search among all groups, which passes over those of other shares. */
typedef struct filter {
    fl_fair *fair;
    int64_t number;
    fl_search *search;
} filter;

static int32_t look_at_own(void *ctx, const flamenco_runnable_group *group)
{
    filter *f = ctx;
    fl_identity identity = { 0 };
    f->search->rc = number_of(f->fair, f->search->cx, group->job_key, &identity, f->search->err);
    if (f->search->rc != FLAMENCO_OK)
        return 1;
    return identity.number == f->number ? fl_search_look_at(f->search, group) : 0;
}

/* ---- Both ---- */

int32_t fl_fair_list(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, fl_candidate **out, flamenco_error *err)
{
    *out = NULL;
    if (fl_fair_store_has_shares(fair))
        return list_kept(fair, cx, worker_key, out, err);
    listing l = { .fair = fair, .cx = cx, .err = err };
    int32_t rc = flamenco_persist_runnable_groups(&fair->base.persist, cx, worker_key, note_group, &l, err);
    if (rc == FLAMENCO_OK)
        rc = l.rc;
    *out = l.first;
    return rc;
}

int32_t fl_fair_search(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, int64_t number, fl_search *search,
                       flamenco_error *err)
{
    const flamenco_persistence_ref *persist = &fair->base.persist;
    filter f = { fair, number, search };
    int32_t rc =
        fl_fair_store_has_shares(fair)
            ? flamenco_persist_runnable_groups_of_share(persist, cx, worker_key, number, fl_search_look_at, search, err)
            : flamenco_persist_runnable_groups(persist, cx, worker_key, look_at_own, &f, err);
    return rc == FLAMENCO_OK ? search->rc : rc;
}

int32_t fl_fair_share_of(fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_share **out, flamenco_error *err)
{
    fl_identity identity = { 0 };
    int64_t created_us;
    int32_t rc = fl_fair_identify(fair, cx, job_key, &identity, &created_us, err);
    return rc == FLAMENCO_OK ? enter(fair, cx, &identity, out, err) : rc;
}
