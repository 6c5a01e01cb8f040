/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_workers.c - why no worker takes a task, counted over all workers. Called by explain.c.
 *
 * Codes, in the order in which a worker is judged: no-worker, no-worker-for-type, no-worker-with-tag, workers-blocked,
 * workers-failed-task; then by what the capable ones do: worker-asleep, worker-offline, worker-error, worker-starting,
 * status-requested, workers-busy, workers-idle.
 */
#include "scheduler.h"

typedef struct person {
    int64_t key;
    uint32_t status, requested;
    int supports;
    struct person *next;
} person;

/* What the workers were found to be, each counted once. */
typedef struct census {
    fl_explain *e;
    flamenco_str type;
    person *first;
    uint64_t all, supporting, with_tag, blocked, failed;
    uint64_t asleep, offline, broken, starting, requested, busy, idle;
    int32_t rc;
} census;

/* Rows are copied, since judging a worker asks the store again. */
static int32_t list_worker(void *ctx, const flamenco_worker *row)
{
    census *c = ctx;
    person *p = c->e->scheduler->host->cx_alloc(c->e->cx, sizeof(*p));
    if (p == NULL) {
        c->rc = fl_explain_nomem(c->e);
        return 1;
    }
    *p = (person){ row->key, row->status, row->requested, fl_explain_has_type(row->task_types, c->type), c->first };
    c->first = p;
    ++c->all;
    return 0;
}

typedef struct key_search {
    int64_t key;
    int found;
} key_search;

static int32_t match_tag(void *ctx, const flamenco_tag *row)
{
    key_search *s = ctx;
    s->found = row->key == s->key;
    return s->found;
}

int32_t fl_explain_tag_fits(fl_explain *e, int64_t worker_key, int64_t tag_key, int *out)
{
    key_search s = { tag_key, 0 };
    int32_t rc = FLAMENCO_OK;
    if (tag_key != 0)
        rc = flamenco_persist_worker_tags(&e->scheduler->persist, e->cx, worker_key, match_tag, &s, e->err);
    *out = tag_key == 0 || s.found;
    return rc;
}

/* A set of workers: those blocked, or those that failed a task. */
typedef struct worker_set {
    fl_explain *e;
    flamenco_str type;
    person *first;
    int32_t rc;
} worker_set;

static int32_t add_to_set(worker_set *set, int64_t key)
{
    person *p = set->e->scheduler->host->cx_alloc(set->e->cx, sizeof(*p));
    if (p == NULL) {
        set->rc = fl_explain_nomem(set->e);
        return 1;
    }
    *p = (person){ .key = key, .next = set->first };
    set->first = p;
    return 0;
}

static int32_t add_blocked(void *ctx, const flamenco_blocklist_entry *row)
{
    worker_set *set = ctx;
    return flamenco_str_equal(row->task_type, set->type) ? add_to_set(set, row->worker_key) : 0;
}

static int32_t add_failed(void *ctx, const flamenco_worker *row)
{
    return add_to_set(ctx, row->key);
}

static int is_in_set(const worker_set *set, int64_t key)
{
    const person *p = set->first;
    while (p != NULL && p->key != key)
        p = p->next;
    return p != NULL;
}

static int32_t judge_awake(census *c, const person *p)
{
    flamenco_task held = { .struct_size = (uint32_t)sizeof(held) };
    int32_t rc = flamenco_persist_task_held(&c->e->scheduler->persist, c->e->cx, p->key, &held, c->e->err);
    if (rc == FLAMENCO_OK)
        ++c->busy;
    else if (rc == FLAMENCO_E_NOT_FOUND)
        ++c->idle;
    else
        return rc;
    return FLAMENCO_OK;
}

static int32_t judge(census *c, const flamenco_job *job, const person *p, const worker_set *blocked,
                     const worker_set *failed)
{
    int fits = 0;
    if (!p->supports)
        return FLAMENCO_OK;
    ++c->supporting;
    int32_t rc = fl_explain_tag_fits(c->e, p->key, job->tag_key, &fits);
    if (rc != FLAMENCO_OK || !fits)
        return rc;
    ++c->with_tag;
    if (is_in_set(blocked, p->key)) {
        ++c->blocked;
    } else if (is_in_set(failed, p->key)) {
        ++c->failed;
    } else if (p->status == FLAMENCO_WORKER_ASLEEP) {
        ++c->asleep;
    } else if (p->status == FLAMENCO_WORKER_OFFLINE || p->status == FLAMENCO_WORKER_NONE) {
        ++c->offline;
    } else if (p->status == FLAMENCO_WORKER_ERROR) {
        ++c->broken;
    } else if (p->status != FLAMENCO_WORKER_AWAKE) {
        ++c->starting;
    } else if (p->requested != FLAMENCO_WORKER_NONE) {
        ++c->requested;
    } else {
        rc = judge_awake(c, p);
    }
    return rc;
}

static int32_t tell_census(census *c, uint64_t n_tasks)
{
    const int len = (int)c->type.len;
    const char *type = c->type.ptr;
    const struct {
        const char *code;
        uint64_t count;
        const char *text;
    } states[] = {
        { "workers-blocked", c->blocked, "are blocked from such tasks of this job" },
        { "workers-failed-task", c->failed, "have failed this task" },
        { "worker-asleep", c->asleep, "are asleep" },
        { "worker-offline", c->offline, "are offline" },
        { "worker-error", c->broken, "are in error" },
        { "worker-starting", c->starting, "are starting" },
        { "status-requested", c->requested, "are about to change their status" },
        { "workers-busy", c->busy, "work on another task" },
        { "workers-idle", c->idle, "are awake and will ask for a task" },
    };
    if (c->all == 0)
        return fl_explain_tell(c->e, "no-worker", n_tasks, "There is no worker");
    if (c->supporting == 0)
        return fl_explain_tell(c->e, "no-worker-for-type", n_tasks, "No worker supports tasks of type \"%.*s\"", len,
                               type);
    if (c->with_tag == 0)
        return fl_explain_tell(c->e, "no-worker-with-tag", n_tasks,
                               "No worker that supports tasks of type \"%.*s\" has the tag of the job", len, type);
    int32_t rc = FLAMENCO_OK;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]) && rc == FLAMENCO_OK; ++i) {
        if (states[i].count > 0)
            rc = fl_explain_tell(c->e, states[i].code, states[i].count, "%llu worker(s) for tasks of type \"%.*s\" %s",
                                 (unsigned long long)states[i].count, len, type, states[i].text);
    }
    return rc;
}

int32_t fl_explain_workers(fl_explain *e, const flamenco_job *job, flamenco_str type, uint64_t n_tasks,
                           int64_t task_key)
{
    const flamenco_persistence_ref *persist = &e->scheduler->persist;
    census c = { .e = e, .type = type };
    worker_set blocked = { .e = e, .type = type };
    worker_set failed = { .e = e };
    const flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    int32_t rc = flamenco_persist_workers_list(persist, e->cx, &page, list_worker, &c, NULL, e->err);
    if (rc == FLAMENCO_OK)
        rc = c.rc;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_blocklist_list(persist, e->cx, job->key, add_blocked, &blocked, e->err);
    if (rc == FLAMENCO_OK)
        rc = blocked.rc;
    if (rc == FLAMENCO_OK && task_key != 0)
        rc = flamenco_persist_failures_list(persist, e->cx, task_key, add_failed, &failed, e->err);
    if (rc == FLAMENCO_OK)
        rc = failed.rc;
    for (const person *p = c.first; p != NULL && rc == FLAMENCO_OK; p = p->next)
        rc = judge(&c, job, p, &blocked, &failed);
    return rc == FLAMENCO_OK ? tell_census(&c, n_tasks) : rc;
}
