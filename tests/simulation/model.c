/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <stdlib.h>

#define BIT(status) FLAMENCO_BIT(status)
#define A BIT(FLAMENCO_TASK_ACTIVE)
#define C BIT(FLAMENCO_TASK_COMPLETED)
#define F BIT(FLAMENCO_TASK_FAILED)
#define P BIT(FLAMENCO_TASK_PAUSED)
#define Q BIT(FLAMENCO_TASK_QUEUED)
#define S BIT(FLAMENCO_TASK_SOFT_FAILED)
#define X BIT(FLAMENCO_TASK_CANCELED)
#define DAY_US INT64_C(86400000000)
#define FAILED_PERCENT 10u

const char *const m_type_names[M_TYPES] = { "blender", "ffmpeg", "file-management", "misc" };

/* Work that waits behind the operations: one step of a job's long change. */
typedef struct chain {
    uint32_t job;
    uint32_t by_request; /* 1: a setJobStatus goes on, and is answered at the end */
    op request;
} chain;

typedef struct run {
    model *m;
    const m_world *world;
    m_outcome *out; /* NULL: nobody listens */
    chain chains[M_JOBS];
    uint32_t n_chains;
} run;

void model_copy(model *to, const model *from)
{
    memcpy(to, from, offsetof(model, tasks) + from->n_tasks * sizeof(from->tasks[0]));
}

/* ---- Effects --------------------------------------------------------------------------------------------------------- */

uint32_t model_count(const model *m, const m_job *j, uint64_t mask)
{
    uint32_t n = 0;
    for (uint32_t t = j->first; t < j->first + j->n; ++t)
        n += (mask >> m->tasks[t].status & 1) != 0;
    return n;
}

static m_event *add_event(run *r, m_event_kind kind, uint32_t status, uint32_t previous)
{
    static m_event nobody;
    if (r->out == NULL)
        return &nobody;
    if (r->out->n_events == M_EVENTS) {
        r->out->overflow = 1;
        return &nobody;
    }
    m_event *e = &r->out->events[r->out->n_events++];
    *e = (m_event){ kind, M_NONE, M_NONE, M_NONE, status, previous, 0, 0, 0 };
    return e;
}

static void tell_job(run *r, uint32_t job, uint32_t previous, uint32_t flag)
{
    const m_job *j = &r->m->jobs[job];
    m_event *e = add_event(r, EV_JOB, j->status, previous);
    e->job = job;
    e->flag = flag;
    for (uint32_t t = j->first; t < j->first + j->n; ++t) {
        e->done += r->m->tasks[t].done;
        e->total += r->world->tasks[t].steps;
    }
}

static uint32_t job_of(const model *m, uint32_t task)
{
    uint32_t job = 0;
    while (!m->jobs[job].exists || task < m->jobs[job].first || task >= m->jobs[job].first + m->jobs[job].n)
        ++job;
    return job;
}

static void tell_task(run *r, uint32_t task, uint32_t previous)
{
    const m_task *t = &r->m->tasks[task];
    m_event *e = add_event(r, EV_TASK, t->status, previous);
    e->job = job_of(r->m, task);
    e->task = task;
    if (t->worker >= 0 && !r->m->workers[t->worker].deleted)
        e->worker = (uint32_t)t->worker;
    e->done = t->done;
    e->total = r->world->tasks[task].steps;
}

static void tell_worker(run *r, uint32_t worker, uint32_t previous)
{
    const m_worker *w = &r->m->workers[worker];
    /* The empty status is left out. */
    m_event *e = add_event(r, EV_WORKER, w->status, previous != FLAMENCO_WORKER_NONE ? previous : M_NONE);
    e->worker = worker;
    e->flag = w->requested + (w->requested != FLAMENCO_WORKER_NONE && w->lazy ? 8 : 0) + (w->deleted ? 16 : 0);
}

static m_reply *reply(run *r, uint32_t client, uint32_t status)
{
    static m_reply nobody;
    if (r->out == NULL || client == M_NONE)
        return &nobody;
    if (r->out->n_replies == M_REPLIES) {
        r->out->overflow = 1;
        return &nobody;
    }
    m_reply *a = &r->out->replies[r->out->n_replies++];
    *a = (m_reply){ client, status, 0, M_NONE, r->out->n_states };
    return a;
}

static void keep_state(run *r)
{
    if (r->out == NULL)
        return;
    model *copy = r->out->n_states < M_STATES ? malloc(sizeof(*copy)) : NULL;
    if (copy == NULL) {
        r->out->overflow = 1;
        return;
    }
    model_copy(copy, r->m);
    r->out->states[r->out->n_states++] = copy;
}

/* ---- Jobs (3) --------------------------------------------------------------------------------------------------------- */

static void add_chain(run *r, uint32_t job, const op *request)
{
    chain *c = &r->chains[r->n_chains++];
    *c = (chain){ .job = job, .by_request = request != NULL };
    if (request != NULL)
        c->request = *request;
}

static void chain_of_its_own(run *r, uint32_t job)
{
    if (r->m->jobs[job].chained)
        return;
    r->m->jobs[job].chained = 1;
    add_chain(r, job, NULL);
}

static void set_task(run *r, uint32_t task, uint32_t to)
{
    m_task *t = &r->m->tasks[task];
    if (t->status == to)
        return;
    t->status = (uint8_t)to;
    if (to == FLAMENCO_TASK_COMPLETED)
        t->done = r->world->tasks[task].steps;
    else if (to == FLAMENCO_TASK_QUEUED)
        t->done = 0;
}

/* Table 3, with "cancel of a job" of the decisions. */
static uint64_t bulk(uint32_t status, int all_tasks, uint32_t *to)
{
    switch (status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        *to = FLAMENCO_TASK_CANCELED;
        return A | Q | S | P;
    case FLAMENCO_JOB_FAILED:
        *to = FLAMENCO_TASK_CANCELED;
        return A | Q | S;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        *to = FLAMENCO_TASK_PAUSED;
        return Q | S;
    case FLAMENCO_JOB_REQUEUEING:
        *to = FLAMENCO_TASK_QUEUED;
        return all_tasks ? A | C | F | P | S | X : F | P | S | X;
    default:
        return 0;
    }
}

static int asks_for_refresh(uint32_t status)
{
    return status == FLAMENCO_JOB_CANCEL_REQUESTED || status == FLAMENCO_JOB_FAILED ||
           status == FLAMENCO_JOB_PAUSE_REQUESTED || status == FLAMENCO_JOB_REQUEUEING || status == FLAMENCO_JOB_QUEUED;
}

static uint32_t follow_up(const model *m, const m_job *j, uint32_t previous)
{
    switch (j->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        return FLAMENCO_JOB_CANCELED;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        return model_count(m, j, A) == 0 ? FLAMENCO_JOB_PAUSED : M_NONE;
    case FLAMENCO_JOB_REQUEUEING:
        return previous == FLAMENCO_JOB_UNDER_CONSTRUCTION ? M_NONE : FLAMENCO_JOB_QUEUED;
    case FLAMENCO_JOB_QUEUED:
        return model_count(m, j, C) == j->n ? FLAMENCO_JOB_COMPLETED : M_NONE;
    default:
        return M_NONE;
    }
}

/* Sets the job to `to` and to what follows from that at once. Returns 1 when steps must follow. refresh: 1 makes the first
 * event ask for a refetch in any case. */
static int apply_job_status(run *r, uint32_t job, uint32_t to, uint32_t refresh)
{
    m_job *j = &r->m->jobs[job];
    for (;;) {
        uint32_t previous = j->status, target = 0;
        int all = previous == FLAMENCO_JOB_COMPLETED || (previous == FLAMENCO_JOB_REQUEUEING && j->all_tasks);
        uint64_t mask = bulk(to, all, &target);
        if (to == FLAMENCO_JOB_REQUEUEING && previous == FLAMENCO_JOB_UNDER_CONSTRUCTION)
            mask = 0;
        int changes = model_count(r->m, j, mask) > 0;
        int is_long = changes && j->n > r->world->settings.single_limit;
        j->status = to;
        j->all_tasks = to == FLAMENCO_JOB_REQUEUEING && all;
        j->canceling = to == FLAMENCO_JOB_FAILED && is_long;
        for (uint32_t t = j->first; changes && !is_long && t < j->first + j->n; ++t) {
            if (mask >> r->m->tasks[t].status & 1)
                set_task(r, t, target);
        }
        tell_job(r, job, previous, refresh || asks_for_refresh(to));
        refresh = 0;
        if (is_long) {
            j->cursor = 0;
            return 1;
        }
        uint32_t next = follow_up(r->m, j, previous);
        if (next == M_NONE || next == j->status)
            return 0;
        to = next;
    }
}

/* What the state machine does by itself. */
static void set_job_status(run *r, uint32_t job, uint32_t to)
{
    if (r->m->jobs[job].status != to && apply_job_status(r, job, to, 0))
        chain_of_its_own(r, job);
}

/* The end of a long change. */
static void finish_job(run *r, uint32_t job, uint32_t changed)
{
    m_job *j = &r->m->jobs[job];
    switch (j->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        apply_job_status(r, job, FLAMENCO_JOB_CANCELED, 1);
        return;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        if (model_count(r->m, j, A) == 0)
            apply_job_status(r, job, FLAMENCO_JOB_PAUSED, 1);
        else if (changed > 0)
            tell_job(r, job, j->status, 1);
        return;
    case FLAMENCO_JOB_REQUEUEING:
        apply_job_status(r, job, FLAMENCO_JOB_QUEUED, 0);
        return;
    case FLAMENCO_JOB_FAILED:
        j->canceling = 0;
        tell_job(r, job, j->status, 1);
        return;
    default:
        return;
    }
}

/* One step of a long change. Returns 1 when there is more. */
static int advance_job(run *r, uint32_t job)
{
    m_job *j = &r->m->jobs[job];
    uint32_t target = 0;
    if (j->deleted)
        return 0;
    uint64_t mask = bulk(j->status, j->all_tasks, &target);
    if (j->status == FLAMENCO_JOB_FAILED && !j->canceling)
        mask = 0;
    if (mask == 0)
        return 0;
    uint32_t before = model_count(r->m, j, mask), left = before;
    while (before > 0 && left == before) {
        uint32_t end = j->cursor + r->world->settings.bulk_step;
        end = end < j->n ? end : j->n;
        for (uint32_t i = j->cursor; i < end; ++i) {
            if (mask >> r->m->tasks[j->first + i].status & 1)
                set_task(r, j->first + i, target);
        }
        j->cursor = end == j->n ? 0 : end;
        left = model_count(r->m, j, mask);
    }
    if (left > 0)
        return 1;
    j->cursor = 0;
    finish_job(r, job, before);
    return 0;
}

/* ---- Tasks (2) -------------------------------------------------------------------------------------------------------- */

static uint32_t decide_pause(const model *m, const m_job *j)
{
    return j->status == FLAMENCO_JOB_PAUSE_REQUESTED && model_count(m, j, A) == 0 ? FLAMENCO_JOB_PAUSED : M_NONE;
}

/* Table 2.1 with the decisions on paused, finished and completed jobs. */
static uint32_t decide_ripple(const model *m, const m_job *j, uint32_t to)
{
    if (j->status == FLAMENCO_JOB_REQUEUEING)
        return M_NONE;
    switch (to) {
    case FLAMENCO_TASK_QUEUED:
        return j->status == FLAMENCO_JOB_COMPLETED ? FLAMENCO_JOB_QUEUED : decide_pause(m, j);
    case FLAMENCO_TASK_PAUSED:
        return decide_pause(m, j);
    case FLAMENCO_TASK_ACTIVE:
    case FLAMENCO_TASK_SOFT_FAILED:
        return j->status == FLAMENCO_JOB_QUEUED || j->status == FLAMENCO_JOB_UNDER_CONSTRUCTION ? FLAMENCO_JOB_ACTIVE
                                                                                                : M_NONE;
    case FLAMENCO_TASK_CANCELED:
        if (model_count(m, j, A | Q | S) > 0)
            return decide_pause(m, j);
        if (model_count(m, j, P) == 0)
            return FLAMENCO_JOB_CANCELED;
        if (j->status == FLAMENCO_JOB_CANCEL_REQUESTED || j->status == FLAMENCO_JOB_CANCELED ||
            j->status == FLAMENCO_JOB_COMPLETED || j->status == FLAMENCO_JOB_FAILED)
            return M_NONE;
        return FLAMENCO_JOB_PAUSED;
    case FLAMENCO_TASK_FAILED:
        if (j->status == FLAMENCO_JOB_CANCEL_REQUESTED)
            return M_NONE;
        if (model_count(m, j, F) * 100 / j->n >= FAILED_PERCENT)
            return FLAMENCO_JOB_FAILED;
        return j->status == FLAMENCO_JOB_QUEUED ? FLAMENCO_JOB_ACTIVE : decide_pause(m, j);
    case FLAMENCO_TASK_COMPLETED:
        if (model_count(m, j, C) == j->n)
            return FLAMENCO_JOB_COMPLETED;
        return j->status == FLAMENCO_JOB_QUEUED ? FLAMENCO_JOB_ACTIVE : decide_pause(m, j);
    default:
        return M_NONE;
    }
}

static void set_task_status(run *r, uint32_t task, uint32_t to)
{
    m_task *t = &r->m->tasks[task];
    uint32_t job = job_of(r->m, task), previous = t->status;
    m_job *j = &r->m->jobs[job];
    if (to == FLAMENCO_TASK_SOFT_FAILED && j->status == FLAMENCO_JOB_PAUSE_REQUESTED)
        to = FLAMENCO_TASK_PAUSED;
    set_task(r, task, to);
    tell_task(r, task, previous);
    uint32_t next = decide_ripple(r->m, j, to);
    if (next == M_NONE || next == j->status)
        return;
    if (next == FLAMENCO_JOB_PAUSED && j->status == FLAMENCO_JOB_PAUSE_REQUESTED &&
        j->n > r->world->settings.single_limit && model_count(r->m, j, Q | S) > 0)
        chain_of_its_own(r, job); /* its tasks are still being paused; the last of these steps ends it */
    else
        set_job_status(r, job, next);
}

/* Section 5. */
static void return_tasks(run *r, uint32_t worker, uint32_t status, uint32_t job)
{
    uint32_t list[M_TASKS / 8];
    uint32_t n = 0;
    for (uint32_t t = 0; t < r->m->n_tasks; ++t) {
        if (r->m->tasks[t].worker != (int8_t)worker || r->m->tasks[t].status != status)
            continue;
        uint32_t of = job_of(r->m, t);
        if (!r->m->jobs[of].deleted && (job == M_NONE || of == job) && n < sizeof(list) / sizeof(list[0]))
            list[n++] = t;
    }
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t of = r->m->jobs[job_of(r->m, list[i])].status;
        int paused = of == FLAMENCO_JOB_PAUSE_REQUESTED || of == FLAMENCO_JOB_PAUSED;
        set_task_status(r, list[i], paused ? FLAMENCO_TASK_PAUSED : FLAMENCO_TASK_QUEUED);
    }
}

static uint32_t bits(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Decisions, "blocklist and fail thresholds". */
static uint32_t count_capable(const run *r, uint32_t task)
{
    const m_task *t = &r->m->tasks[task];
    const m_job *j = &r->m->jobs[job_of(r->m, task)];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->m->n_workers; ++i) {
        const m_worker *w = &r->m->workers[i];
        int lives = (w->status != FLAMENCO_WORKER_OFFLINE && w->status != FLAMENCO_WORKER_ERROR) ||
                    (w->seen_us != FLAMENCO_TIME_NONE && w->seen_us >= r->m->now_us - DAY_US);
        n += w->exists && !w->deleted && (w->types >> t->type & 1) && (j->tag == 0 || (w->tags >> j->tag & 1)) &&
             !(j->blocked[t->type] >> i & 1) && !(t->failed_by >> i & 1) && lives;
    }
    return n;
}

/* Section 8.2 with the decisions. */
static void fail_task(run *r, uint32_t task, uint32_t worker)
{
    m_task *t = &r->m->tasks[task];
    uint32_t job = job_of(r->m, task), by_worker = 0, left = 0;
    m_job *j = &r->m->jobs[job];
    t->failed_by |= 1u << worker;
    for (uint32_t i = j->first; i < j->first + j->n; ++i)
        by_worker += r->m->tasks[i].type == t->type && (r->m->tasks[i].failed_by >> worker & 1);
    int job_fails = 0;
    if (by_worker >= r->world->settings.block_at) {
        j->blocked[t->type] |= 1u << worker;
        left = count_capable(r, task);
        if (left > 0)
            return_tasks(r, worker, FLAMENCO_TASK_FAILED, job);
        job_fails = left == 0;
    }
    if (!job_fails && bits(t->failed_by) >= r->world->settings.fail_at) {
        set_task_status(r, task, FLAMENCO_TASK_FAILED);
        return;
    }
    if (job_fails || count_capable(r, task) == 0) {
        set_task_status(r, task, FLAMENCO_TASK_FAILED);
        set_job_status(r, job, FLAMENCO_JOB_FAILED);
    } else {
        set_task_status(r, task, FLAMENCO_TASK_SOFT_FAILED);
    }
}

/* ---- Scheduling (6) --------------------------------------------------------------------------------------------------- */

static int schedulable(const m_job *j)
{
    return j->exists && !j->deleted && !j->marked &&
           (j->status == FLAMENCO_JOB_QUEUED || j->status == FLAMENCO_JOB_ACTIVE);
}

int model_is_open(const model *m, const m_world *world, uint32_t job, uint32_t task, uint32_t *open_deps)
{
    const m_job *j = &m->jobs[job];
    const m_shape_task *shape = &world->tasks[task];
    uint32_t open = 0;
    for (uint32_t d = 0; d < shape->n_deps; ++d)
        open += m->tasks[j->first + world->deps[shape->first_dep + d]].status != FLAMENCO_TASK_COMPLETED;
    if (open_deps != NULL)
        *open_deps = open;
    return open == 0 && ((Q | S) >> m->tasks[task].status & 1);
}

uint32_t model_pick(const model *m, const m_world *world, uint32_t worker)
{
    const m_worker *w = &m->workers[worker];
    uint32_t best = M_NONE;
    int32_t best_priority = 0;
    for (uint32_t job = 0; job < m->n_jobs; ++job) {
        const m_job *j = &m->jobs[job];
        for (uint32_t t = j->first; schedulable(j) && t < j->first + j->n; ++t) {
            if (m->tasks[t].status == FLAMENCO_TASK_ACTIVE && m->tasks[t].worker == (int8_t)worker)
                return t; /* keys ascend over all jobs, so the first one is it */
        }
    }
    for (uint32_t job = 0; job < m->n_jobs; ++job) {
        const m_job *j = &m->jobs[job];
        if (!schedulable(j) || (j->tag != 0 && !(w->tags >> j->tag & 1)))
            continue;
        for (uint32_t t = j->first; t < j->first + j->n; ++t) {
            const m_task *task = &m->tasks[t];
            if (!(w->types >> task->type & 1) || (task->failed_by >> worker & 1) ||
                (j->blocked[task->type] >> worker & 1) || !model_is_open(m, world, job, t, NULL))
                continue;
            if (best == M_NONE || j->priority > best_priority ||
                (j->priority == best_priority && task->priority > m->tasks[best].priority)) {
                best = t;
                best_priority = j->priority;
            }
        }
    }
    return best;
}

/* Returns 0 when the request goes on waiting. */
static int schedule(run *r, uint32_t worker, uint32_t client)
{
    m_worker *w = &r->m->workers[worker];
    if (w->deleted) {
        reply(r, client, 403);
        return 1;
    }
    w->seen_us = r->m->now_us;
    if (w->requested != FLAMENCO_WORKER_NONE) {
        reply(r, client, 423)->word = w->requested;
        return 1;
    }
    if (w->status == FLAMENCO_WORKER_ERROR && w->last_good != FLAMENCO_WORKER_NONE) {
        w->status = w->last_good;
        w->last_good = FLAMENCO_WORKER_NONE;
        tell_worker(r, worker, FLAMENCO_WORKER_ERROR);
    }
    if (w->status != FLAMENCO_WORKER_AWAKE) {
        reply(r, client, 409);
        return 1;
    }
    uint32_t task = model_pick(r->m, r->world, worker);
    if (task == M_NONE)
        return 0;
    r->m->tasks[task].worker = (int8_t)worker;
    r->m->tasks[task].touched_us = r->m->now_us;
    set_task_status(r, task, FLAMENCO_TASK_ACTIVE);
    tell_worker(r, worker, M_NONE);
    reply(r, client, 200)->task = task;
    return 1;
}

static int worker_state(run *r, uint32_t worker, uint32_t client)
{
    m_worker *w = &r->m->workers[worker];
    if (w->deleted) {
        reply(r, client, 403);
        return 1;
    }
    w->seen_us = r->m->now_us;
    if (w->requested == FLAMENCO_WORKER_NONE)
        return 0;
    reply(r, client, 200)->word = w->requested;
    return 1;
}

static void park(run *r, const op *o, uint32_t wants_task)
{
    if (r->world->settings.hold_us == 0) {
        reply(r, o->client, 204);
        return;
    }
    if (r->m->n_parked == M_PARKED) {
        if (r->out != NULL)
            r->out->overflow = 1;
        return;
    }
    r->m->parked[r->m->n_parked++] =
        (m_parked){ o->client, o->worker, wants_task, r->m->now_us + r->world->settings.hold_us };
}

/* Tries all parked requests again, oldest first. */
static void try_parked(run *r)
{
    for (uint32_t i = 0; i < r->m->n_parked;) {
        m_parked p = r->m->parked[i];
        int64_t seen_us = r->m->workers[p.worker].seen_us;
        int ended = p.wants_task ? schedule(r, p.worker, p.client) : worker_state(r, p.worker, p.client);
        if (!ended) {
            /* It need not have been tried for real: what is not there to be had wakes nobody. */
            r->m->workers[p.worker].seen_us = seen_us;
            ++i;
            continue;
        }
        --r->m->n_parked;
        memmove(&r->m->parked[i], &r->m->parked[i + 1], (r->m->n_parked - i) * sizeof(p));
        keep_state(r);
    }
}

/* ---- Workers (7, 9) --------------------------------------------------------------------------------------------------- */

static int refuse_deleted(run *r, const op *o)
{
    if (!r->m->workers[o->worker].deleted)
        return 0;
    reply(r, o->client, 403);
    return 1;
}

static void sign_on(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (refuse_deleted(r, o))
        return;
    uint32_t previous = w->status;
    w->status = FLAMENCO_WORKER_STARTING;
    w->types = o->types;
    w->can_restart = (uint8_t)o->can_restart;
    w->last_good = FLAMENCO_WORKER_NONE;
    w->seen_us = r->m->now_us;
    tell_worker(r, o->worker, previous);
    reply(r, o->client, 200)->word = w->requested != FLAMENCO_WORKER_NONE ? w->requested : FLAMENCO_WORKER_AWAKE;
}

static void sign_off(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (refuse_deleted(r, o))
        return;
    uint32_t previous = w->status;
    w->status = FLAMENCO_WORKER_OFFLINE;
    if (w->requested == FLAMENCO_WORKER_OFFLINE || w->requested == FLAMENCO_WORKER_RESTART)
        w->requested = FLAMENCO_WORKER_NONE;
    if (w->requested == FLAMENCO_WORKER_NONE &&
        (previous == FLAMENCO_WORKER_AWAKE || previous == FLAMENCO_WORKER_ASLEEP)) {
        w->requested = previous;
        w->lazy = 0;
    }
    w->seen_us = r->m->now_us;
    return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    tell_worker(r, o->worker, previous);
    reply(r, o->client, 204);
}

static void state_changed(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (refuse_deleted(r, o))
        return;
    uint32_t previous = w->status;
    w->status = o->to;
    w->last_good = FLAMENCO_WORKER_NONE;
    if (w->requested == o->to)
        w->requested = FLAMENCO_WORKER_NONE;
    w->seen_us = r->m->now_us;
    if (previous == FLAMENCO_WORKER_AWAKE && o->to != FLAMENCO_WORKER_AWAKE)
        return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    tell_worker(r, o->worker, previous);
    reply(r, o->client, 204);
}

static int task_is_gone(const run *r, uint32_t task)
{
    return task == M_NONE || r->m->jobs[job_of(r->m, task)].deleted;
}

static void task_update(run *r, const op *o)
{
    if (refuse_deleted(r, o))
        return;
    if (task_is_gone(r, o->task)) {
        reply(r, o->client, 404);
        return;
    }
    m_task *t = &r->m->tasks[o->task];
    if (t->worker != (int8_t)o->worker) {
        reply(r, o->client, 409);
        return;
    }
    if (o->has_status && o->to == FLAMENCO_TASK_SOFT_FAILED) {
        reply(r, o->client, 400);
        return;
    }
    int64_t total = r->world->tasks[o->task].steps;
    int64_t steps = o->steps < total ? o->steps : total;
    int steps_changed = o->has_steps && steps != t->done;
    int changes = o->has_status && o->to != t->status;
    if (steps_changed) {
        t->done = steps;
        tell_job(r, job_of(r->m, o->task), M_NONE, 0);
    }
    if (changes && o->to == FLAMENCO_TASK_FAILED)
        fail_task(r, o->task, o->worker);
    else if (changes)
        set_task_status(r, o->task, o->to);
    else if (steps_changed)
        tell_task(r, o->task, M_NONE);
    t->touched_us = r->m->now_us;
    r->m->workers[o->worker].seen_us = r->m->now_us;
    reply(r, o->client, 204);
}

static void may_run(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (refuse_deleted(r, o))
        return;
    if (task_is_gone(r, o->task)) {
        reply(r, o->client, 200);
        return;
    }
    m_task *t = &r->m->tasks[o->task];
    w->seen_us = r->m->now_us;
    if (w->requested != FLAMENCO_WORKER_NONE && !w->lazy) {
        reply(r, o->client, 200)->word = 2;
        return;
    }
    int may = t->worker == (int8_t)o->worker && t->status == FLAMENCO_TASK_ACTIVE;
    if (may)
        t->touched_us = r->m->now_us;
    reply(r, o->client, 200)->word = may ? 1 : 0;
}

static void request_status(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (w->deleted) {
        reply(r, o->client, 404);
        return;
    }
    if (o->to == FLAMENCO_WORKER_RESTART && !w->can_restart) {
        reply(r, o->client, 412);
        return;
    }
    w->requested = o->to == w->status ? FLAMENCO_WORKER_NONE : o->to;
    w->lazy = w->requested != FLAMENCO_WORKER_NONE && o->lazy;
    tell_worker(r, o->worker, M_NONE);
    reply(r, o->client, 204);
}

static void delete_worker(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (w->deleted) {
        reply(r, o->client, 404);
        return;
    }
    return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    w->deleted = 1;
    tell_worker(r, o->worker, M_NONE);
    reply(r, o->client, 204);
}

/* ---- People ----------------------------------------------------------------------------------------------------------- */

static void submit(run *r, const op *o)
{
    model *m = r->m;
    const m_shape *shape = &r->world->shapes[o->job];
    if (o->tag != 0 && !(m->tags >> o->tag & 1)) {
        reply(r, o->client, 400);
        return;
    }
    m_job *j = &m->jobs[o->job];
    *j = (m_job){
        .exists = 1, .status = o->to, .tag = o->tag, .priority = o->priority, .first = shape->first, .n = shape->n
    };
    for (uint32_t t = shape->first; t < shape->first + shape->n; ++t) {
        const m_shape_task *s = &r->world->tasks[t];
        m->tasks[t] = (m_task){ .status = FLAMENCO_TASK_QUEUED,
                                .type = (uint8_t)s->type,
                                .worker = -1,
                                .priority = s->priority,
                                .touched_us = FLAMENCO_TIME_NONE };
    }
    if (m->n_jobs <= o->job)
        m->n_jobs = o->job + 1;
    if (m->n_tasks < shape->first + shape->n)
        m->n_tasks = shape->first + shape->n;
    tell_job(r, o->job, M_NONE, 0);
    reply(r, o->client, 200);
}

static void clear_lists(run *r, uint32_t job)
{
    m_job *j = &r->m->jobs[job];
    for (uint32_t t = j->first; t < j->first + j->n; ++t)
        r->m->tasks[t].failed_by = 0;
    memset(j->blocked, 0, sizeof(j->blocked));
}

static void end_job_request(run *r, const op *o)
{
    if (o->to == FLAMENCO_JOB_REQUEUEING)
        clear_lists(r, o->job);
    reply(r, o->client, 204);
}

static void change_job(run *r, const op *o)
{
    m_job *j = &r->m->jobs[o->job];
    if (!j->exists || j->deleted) {
        reply(r, o->client, 404);
        return;
    }
    switch (o->kind) {
    case OP_JOB_STATUS:
        if (j->status != o->to && apply_job_status(r, o->job, o->to, 0))
            add_chain(r, o->job, o);
        else
            end_job_request(r, o);
        return;
    case OP_JOB_PRIORITY:
        j->priority = o->priority;
        break;
    case OP_JOB_TAG:
        if (o->to != 0 && !(r->m->tags >> o->to & 1)) {
            reply(r, o->client, 404);
            return;
        }
        j->tag = o->to;
        break;
    case OP_JOB_MARK:
        j->marked = 1;
        break;
    case OP_UNBLOCK:
        j->blocked[o->to] &= ~(1u << o->worker);
        reply(r, o->client, 204);
        return;
    default: /* OP_JOB_DELETE */
        j->deleted = 1;
        tell_job(r, o->job, M_NONE, 2);
        reply(r, o->client, 204);
        return;
    }
    tell_job(r, o->job, M_NONE, 0);
    reply(r, o->client, 204);
}

static void task_status(run *r, const op *o)
{
    if (task_is_gone(r, o->task)) {
        reply(r, o->client, 404);
        return;
    }
    set_task_status(r, o->task, o->to);
    if (o->to == FLAMENCO_TASK_QUEUED)
        r->m->tasks[o->task].failed_by = 0;
    reply(r, o->client, 204);
}

static void change_tags(run *r, const op *o)
{
    model *m = r->m;
    if (o->kind == OP_TAG_CREATE) {
        reply(r, o->client, m->tags >> o->to & 1 ? 409 : 204);
        m->tags |= 1u << o->to;
    } else if (o->kind == OP_TAG_DELETE) {
        reply(r, o->client, m->tags >> o->to & 1 ? 204 : 404);
        m->tags &= ~(1u << o->to);
        for (uint32_t i = 0; i < m->n_workers; ++i)
            m->workers[i].tags &= ~(1u << o->to);
        for (uint32_t i = 0; i < m->n_jobs; ++i)
            m->jobs[i].tag = m->jobs[i].tag == o->to ? 0 : m->jobs[i].tag;
    } else if (m->workers[o->worker].deleted) {
        reply(r, o->client, 404);
    } else {
        m->workers[o->worker].tags = o->to & m->tags;
        tell_worker(r, o->worker, M_NONE);
        reply(r, o->client, 204);
    }
}

/* ---- Time (10) --------------------------------------------------------------------------------------------------------- */

static void expire(run *r)
{
    for (uint32_t i = 0; i < r->m->n_parked;) {
        m_parked p = r->m->parked[i];
        if (p.until_us > r->m->now_us) {
            r->m->workers[p.worker].seen_us = r->m->now_us;
            ++i;
            continue;
        }
        reply(r, p.client, 204);
        --r->m->n_parked;
        memmove(&r->m->parked[i], &r->m->parked[i + 1], (r->m->n_parked - i) * sizeof(p));
    }
}

static int is_parked(const model *m, uint32_t worker)
{
    for (uint32_t i = 0; i < m->n_parked; ++i) {
        if (m->parked[i].worker == worker)
            return 1;
    }
    return 0;
}

static void timeouts(run *r)
{
    model *m = r->m;
    const m_settings *s = &r->world->settings;
    uint8_t due[M_TASKS] = { 0 };
    for (uint32_t t = 0; t < m->n_tasks; ++t) {
        due[t] = m->tasks[t].status == FLAMENCO_TASK_ACTIVE && s->task_timeout_us > 0 &&
                 m->tasks[t].touched_us != FLAMENCO_TIME_NONE &&
                 m->tasks[t].touched_us <= m->now_us - s->task_timeout_us && !m->jobs[job_of(m, t)].deleted;
    }
    /* One that its job's failure has canceled meanwhile is not active any more. */
    for (uint32_t t = 0; t < m->n_tasks; ++t) {
        if (due[t] && m->tasks[t].status == FLAMENCO_TASK_ACTIVE)
            set_task_status(r, t, FLAMENCO_TASK_FAILED);
    }
    for (uint32_t i = 0; i < m->n_workers && s->worker_timeout_us > 0; ++i) {
        m_worker *w = &m->workers[i];
        if (!w->exists || w->deleted || w->seen_us == FLAMENCO_TIME_NONE ||
            w->seen_us > m->now_us - s->worker_timeout_us || w->status == FLAMENCO_WORKER_ERROR ||
            w->status == FLAMENCO_WORKER_OFFLINE || is_parked(m, i))
            continue;
        uint32_t previous = w->status;
        w->last_good = previous;
        w->status = FLAMENCO_WORKER_ERROR;
        w->requested = FLAMENCO_WORKER_NONE;
        return_tasks(r, i, FLAMENCO_TASK_ACTIVE, M_NONE);
        tell_worker(r, i, previous);
    }
}

/* ---- Running ------------------------------------------------------------------------------------------------------------ */

static void run_op(run *r, const op *o)
{
    switch (o->kind) {
    case OP_REGISTER:
        r->m->workers[o->worker] = (m_worker){ .exists = 1, .types = o->types, .seen_us = FLAMENCO_TIME_NONE };
        r->m->n_workers = o->worker + 1;
        reply(r, o->client, 200);
        break;
    case OP_SIGN_ON:
        sign_on(r, o);
        break;
    case OP_SIGN_OFF:
        sign_off(r, o);
        break;
    case OP_STATE:
        if (!worker_state(r, o->worker, o->client))
            park(r, o, 0);
        break;
    case OP_STATE_CHANGED:
        state_changed(r, o);
        break;
    case OP_SCHEDULE:
        if (!schedule(r, o->worker, o->client))
            park(r, o, 1);
        break;
    case OP_UPDATE:
        task_update(r, o);
        break;
    case OP_MAY_RUN:
        may_run(r, o);
        break;
    case OP_SUBMIT:
        submit(r, o);
        break;
    case OP_TASK_STATUS:
        task_status(r, o);
        break;
    case OP_REQUEST_STATUS:
        request_status(r, o);
        break;
    case OP_DELETE_WORKER:
        delete_worker(r, o);
        break;
    case OP_WORKER_TAGS:
    case OP_TAG_CREATE:
    case OP_TAG_DELETE:
        change_tags(r, o);
        break;
    case OP_EXPIRE:
        expire(r);
        break;
    case OP_TIMEOUTS:
        timeouts(r);
        break;
    default:
        change_job(r, o);
        break;
    }
}

static void run_chains(run *r)
{
    for (uint32_t i = 0; i < r->n_chains; ++i) {
        chain c = r->chains[i];
        int more = advance_job(r, c.job);
        if (!c.by_request && !more)
            r->m->jobs[c.job].chained = 0;
        if (more) {
            if (r->n_chains == M_JOBS) {
                memmove(r->chains, r->chains + i + 1, (r->n_chains - i - 1) * sizeof(c));
                r->n_chains -= i + 1;
                i = (uint32_t)-1;
            }
            r->chains[r->n_chains++] = c;
        } else if (c.by_request) {
            end_job_request(r, &c.request);
        }
        keep_state(r);
    }
}

void model_run(model *m, const m_world *world, const op *ops, uint32_t n, m_outcome *out)
{
    run r = { .m = m, .world = world, .out = out };
    keep_state(&r);
    for (uint32_t i = 0; i < n; ++i) {
        run_op(&r, &ops[i]);
        keep_state(&r);
    }
    run_chains(&r);
    try_parked(&r);
}

void model_outcome_fini(m_outcome *out)
{
    for (uint32_t i = 0; i < out->n_states; ++i)
        free(out->states[i]);
    memset(out, 0, sizeof(*out));
}

/* Section 3.3. */
void model_restart(model *m, const m_world *world)
{
    run r = { .m = m, .world = world };
    m->n_parked = 0;
    for (uint32_t i = 0; i < m->n_jobs; ++i) {
        m_job *j = &m->jobs[i];
        j->chained = 0;
        j->cursor = 0;
        if (!j->exists || j->deleted)
            continue;
        int broken =
            j->status == FLAMENCO_JOB_CANCEL_REQUESTED || j->status == FLAMENCO_JOB_REQUEUEING ||
            (j->status == FLAMENCO_JOB_PAUSE_REQUESTED && (model_count(m, j, Q | S) > 0 || model_count(m, j, A) == 0));
        if (broken && apply_job_status(&r, i, j->status, 0)) {
            while (advance_job(&r, i))
                continue;
        } else if (j->status == FLAMENCO_JOB_FAILED && j->canceling) {
            while (advance_job(&r, i))
                continue;
        }
    }
}
