/* SPDX-License-Identifier: Apache-2.0
 *
 * chain.c - long changes of a job's tasks, one step at a time (architecture 2, "Long writes are chains of steps"). A step is
 * run by the caller of job_set_status (job_advance), or queued here at the host.
 *
 * A step may be rolled back and run again, other requests change tasks between two steps, and another status may have been
 * asked for meanwhile. So a step takes from the job's row what is to be done, and is done when the job's counters say that
 * no task is left to be changed. The cursor only saves looking at tasks that were changed already.
 */
#include "state_machine.h"

typedef struct fl_sm_chain {
    fl_sm *sm;
    int64_t job_key;
    struct fl_sm_chain *next;
} fl_sm_chain;

/* ---- Cursors --------------------------------------------------------------------------------------------------- */

static uint32_t cursor_get(const fl_sm *sm, int64_t job_key)
{
    for (size_t i = 0; i < FL_SM_CURSORS; ++i) {
        if (sm->cursors[i].job_key == job_key)
            return sm->cursors[i].cursor;
    }
    return 0;
}

void fl_sm_cursor_drop(fl_sm *sm, int64_t job_key)
{
    for (size_t i = 0; i < FL_SM_CURSORS; ++i) {
        if (sm->cursors[i].job_key == job_key)
            sm->cursors[i] = (fl_sm_cursor){ 0, 0 };
    }
}

static void cursor_put(fl_sm *sm, int64_t job_key, uint32_t cursor)
{
    size_t place = FL_SM_CURSORS;
    for (size_t i = 0; i < FL_SM_CURSORS && place == FL_SM_CURSORS; ++i) {
        if (sm->cursors[i].job_key == job_key)
            place = i;
    }
    for (size_t i = 0; i < FL_SM_CURSORS && place == FL_SM_CURSORS; ++i) {
        if (sm->cursors[i].job_key == 0)
            place = i;
    }
    if (place == FL_SM_CURSORS) {
        /* Whose hint is lost begins at the first task again. */
        place = sm->next_cursor;
        sm->next_cursor = (sm->next_cursor + 1) % FL_SM_CURSORS;
    }
    sm->cursors[place] = (fl_sm_cursor){ job_key, cursor };
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

/* Changes tasks of a job until some were changed or none is left. before: how many tasks are to be changed;
 * *left_out: how many are still. */
static int32_t change_some(fl_sm *sm, flamenco_cx *cx, int64_t job_key, const fl_sm_bulk *bulk, uint64_t before,
                           uint64_t *left_out, flamenco_error *err)
{
    uint32_t cursor = cursor_get(sm, job_key);
    uint32_t passes_ended = 0;
    uint64_t left = before;
    while (left == before) {
        uint32_t done = 0;
        flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
        int32_t rc = flamenco_persist_tasks_bulk_status(&sm->persist, cx, job_key, bulk->from_mask, bulk->to,
                                                        bulk->activity, sm->bulk_step, &cursor, &done, &counts, err);
        if (rc == FLAMENCO_OK)
            rc = fl_sm_wake(sm, cx, &counts, err);
        if (rc != FLAMENCO_OK)
            return rc;
        left = fl_sm_count(counts.counts, bulk->from_mask);
        if (done) {
            cursor = 0;
            /* The first pass may have begun behind the tasks that are left; the second one has seen all of them. */
            if (left == before && ++passes_ended == 2)
                return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the job's counters name %llu tasks that are not there",
                                     (unsigned long long)left);
        }
    }
    cursor_put(sm, job_key, cursor);
    *left_out = left;
    return FLAMENCO_OK;
}

int32_t fl_sm_job_advance(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    fl_sm *sm = self;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get_key(&sm->persist, cx, job_key, &job, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK; /* deleted meanwhile */
    if (rc != FLAMENCO_OK)
        return rc;
    const fl_sm_bulk bulk = fl_sm_bulk_of(&job);
    if (bulk.from_mask == 0)
        return FLAMENCO_OK; /* something else was asked for meanwhile, or the change is complete */
    const uint64_t before = fl_sm_count(job.counts, bulk.from_mask);
    if (before > 0) {
        uint64_t left = 0;
        rc = change_some(sm, cx, job_key, &bulk, before, &left, err);
        if (rc != FLAMENCO_OK)
            return rc;
        if (left > 0)
            return FLAMENCO_AGAIN;
        rc = flamenco_persist_job_get_key(&sm->persist, cx, job_key, &job, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    fl_sm_cursor_drop(sm, job_key);
    return fl_sm_job_finish(sm, cx, &job, before, err);
}

/* ---- Chains in the host's queue -------------------------------------------------------------------------------- */

static void unlink_chain(fl_sm_chain *chain)
{
    fl_sm *sm = chain->sm;
    (void)pthread_mutex_lock(&sm->lock);
    for (fl_sm_chain **at = &sm->chains; *at != NULL; at = &(*at)->next) {
        if (*at == chain) {
            *at = chain->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&sm->lock);
}

static int32_t run_chain(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    fl_sm_chain *chain = ctx;
    int32_t rc = fl_sm_job_advance(chain->sm, cx, chain->job_key, err);
    /* Now, not when the host destroys the step: a new change may be asked for before that, and needs a chain. */
    if (rc != FLAMENCO_AGAIN)
        unlink_chain(chain);
    return rc;
}

static void destroy_chain(void *ctx)
{
    fl_sm_chain *chain = ctx;
    const flamenco_host *host = chain->sm->host;
    unlink_chain(chain);
    host->free(host->h, chain);
}

/* Links a chain, unless there is one for its job. Returns whether it did. */
static int link_chain(fl_sm_chain *chain)
{
    fl_sm *sm = chain->sm;
    int is_new = 1;
    (void)pthread_mutex_lock(&sm->lock);
    for (const fl_sm_chain *other = sm->chains; other != NULL && is_new; other = other->next)
        is_new = other->job_key != chain->job_key;
    if (is_new) {
        chain->next = sm->chains;
        sm->chains = chain;
    }
    (void)pthread_mutex_unlock(&sm->lock);
    return is_new;
}

int32_t fl_sm_chain_submit(fl_sm *sm, int64_t job_key, flamenco_error *err)
{
    fl_sm_chain *chain = sm->host->alloc(sm->host->h, sizeof(*chain));
    if (chain == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the steps of a long change");
    *chain = (fl_sm_chain){ sm, job_key, NULL };
    if (!link_chain(chain)) {
        sm->host->free(sm->host->h, chain);
        return FLAMENCO_OK;
    }
    const flamenco_step step = {
        .struct_size = (uint32_t)sizeof(step),
        .kind = FLAMENCO_STEP_WRITE,
        .name = "change tasks of a job",
        .run = run_chain,
        .ctx = chain,
        .destroy = destroy_chain,
    };
    int32_t rc = sm->host->submit(sm->host->h, &step);
    if (rc == FLAMENCO_E_CANCELLED)
        return FLAMENCO_OK; /* the manager is stopping; the repair at its next start goes on */
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue the steps of a long change");
}
