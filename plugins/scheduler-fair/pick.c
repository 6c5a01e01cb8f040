/* SPDX-License-Identifier: Apache-2.0
 *
 * pick.c - which task a worker gets: the one that it holds, else the best one of the share whose turn it is. Called by
 * scheduleTask.
 *
 * The ledger is no part of the transaction. When that is rolled back and done again, a worker's turn is begun twice, which the
 * ledger takes for one.
 */
#include "fair.h"

/* One worker that is thought to be at work is looked at in each request: it may have gone for good. */
static int32_t look_after(fl_fair *fair, flamenco_cx *cx, flamenco_error *err)
{
    flamenco_task held = { .struct_size = (uint32_t)sizeof(held) };
    int64_t worker = fl_ledger_look(&fair->ledger);
    if (worker == 0)
        return FLAMENCO_OK;
    int32_t rc = flamenco_persist_task_held(&fair->base.persist, cx, worker, &held, err);
    if (rc == FLAMENCO_OK)
        fl_ledger_goes_on(&fair->ledger, worker, cx->now_us);
    else if (rc == FLAMENCO_E_NOT_FOUND)
        fl_ledger_end(&fair->ledger, worker, cx->now_us);
    else
        return rc;
    return FLAMENCO_OK;
}

/* Takes the share whose turn is next off the list; those whose place is not known yet come last. */
static fl_candidate *take_next(fl_candidate **list)
{
    fl_candidate **best = list;
    for (fl_candidate **at = list; *at != NULL; at = &(*at)->next) {
        const fl_share *share = (*at)->share, *first = (*best)->share;
        if (share != NULL && (first == NULL || fl_ledger_is_before(share, first)))
            best = at;
    }
    fl_candidate *taken = *best;
    *best = taken->next;
    return taken;
}

static int32_t find_new(fl_fair *fair, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                        fl_share **share_out, flamenco_error *err)
{
    fl_candidate *list = NULL;
    int32_t rc = fl_fair_list(fair, cx, worker->key, &list, err);
    while (rc == FLAMENCO_OK && list != NULL) {
        const fl_candidate *candidate = take_next(&list);
        fl_search search = { .scheduler = &fair->base, .cx = cx, .worker = worker, .err = err };
        rc = fl_fair_search(fair, cx, worker->key, candidate->number, &search, err);
        if (rc != FLAMENCO_OK || search.best.key == 0)
            continue; /* the worker has failed all that this share has */
        *out = search.best;
        *share_out = candidate->share;
        return candidate->share != NULL ? FLAMENCO_OK : fl_fair_share_of(fair, cx, out->job_key, share_out, err);
    }
    return rc != FLAMENCO_OK ? rc : flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "there is no task for this worker now");
}

int32_t fl_fair_pick(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                     flamenco_error *err)
{
    fl_fair *fair = self;
    fl_share *share = NULL;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    /* Who asks has ended what it did. */
    fl_ledger_end(&fair->ledger, worker->key, cx->now_us);
    if (fl_ledger_reserve(&fair->ledger, worker->key) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to choose a task");
    int32_t rc = look_after(fair, cx, err);
    if (rc == FLAMENCO_OK)
        rc = fl_search_held(&fair->base, cx, worker, &task, err);
    if (rc == FLAMENCO_OK)
        rc = fl_fair_share_of(fair, cx, task.job_key, &share, err);
    else if (rc == FLAMENCO_E_NOT_FOUND)
        rc = find_new(fair, cx, worker, &task, &share, err);
    if (rc == FLAMENCO_OK)
        rc = fl_search_assign(&fair->base, cx, worker, &task, out, err);
    if (rc == FLAMENCO_OK)
        fl_ledger_begin(&fair->ledger, worker->key, share, cx->now_us);
    return rc;
}
