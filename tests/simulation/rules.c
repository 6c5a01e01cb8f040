/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.c - the model's rules: what a change of a job, a task or a worker brings along, and who gets which task.
 */
#include <stdlib.h>

#include "model_impl.h"

#define FAILED_PERCENT 10u

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

void model_tell_job(run *r, uint32_t job, uint32_t previous, uint32_t flag)
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

uint32_t model_job_of(const model *m, uint32_t task)
{
    uint32_t job = 0;
    while (!m->jobs[job].exists || task < m->jobs[job].first || task >= m->jobs[job].first + m->jobs[job].n)
        ++job;
    return job;
}

void model_tell_task(run *r, uint32_t task, uint32_t previous)
{
    const m_task *t = &r->m->tasks[task];
    m_event *e = add_event(r, EV_TASK, t->status, previous);
    e->job = model_job_of(r->m, task);
    e->task = task;
    if (t->worker >= 0 && !r->m->workers[t->worker].deleted)
        e->worker = (uint32_t)t->worker;
    e->done = t->done;
    e->total = r->world->tasks[task].steps;
}

void model_tell_worker(run *r, uint32_t worker, uint32_t previous)
{
    const m_worker *w = &r->m->workers[worker];
    /* The empty status is left out. */
    m_event *e = add_event(r, EV_WORKER, w->status, previous != FLAMENCO_WORKER_NONE ? previous : M_NONE);
    e->worker = worker;
    e->flag = w->requested + (w->requested != FLAMENCO_WORKER_NONE && w->lazy ? 8 : 0) + (w->deleted ? 16 : 0);
}

m_reply *model_reply(run *r, uint32_t client, uint32_t status)
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

void model_keep_state(run *r)
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

void model_add_chain(run *r, uint32_t job, const op *request)
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
    model_add_chain(r, job, NULL);
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
int model_apply_job_status(run *r, uint32_t job, uint32_t to, uint32_t refresh)
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
        model_tell_job(r, job, previous, refresh || asks_for_refresh(to));
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
static void model_set_job_status(run *r, uint32_t job, uint32_t to)
{
    if (r->m->jobs[job].status != to && model_apply_job_status(r, job, to, 0))
        chain_of_its_own(r, job);
}

/* The end of a long change. */
static void finish_job(run *r, uint32_t job, uint32_t changed)
{
    m_job *j = &r->m->jobs[job];
    switch (j->status) {
    case FLAMENCO_JOB_CANCEL_REQUESTED:
        model_apply_job_status(r, job, FLAMENCO_JOB_CANCELED, 1);
        return;
    case FLAMENCO_JOB_PAUSE_REQUESTED:
        if (model_count(r->m, j, A) == 0)
            model_apply_job_status(r, job, FLAMENCO_JOB_PAUSED, 1);
        else if (changed > 0)
            model_tell_job(r, job, j->status, 1);
        return;
    case FLAMENCO_JOB_REQUEUEING:
        model_apply_job_status(r, job, FLAMENCO_JOB_QUEUED, 0);
        return;
    case FLAMENCO_JOB_FAILED:
        j->canceling = 0;
        model_tell_job(r, job, j->status, 1);
        return;
    default:
        return;
    }
}

/* One step of a long change. Returns 1 when there is more. */
int model_advance_job(run *r, uint32_t job)
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

void model_set_task_status(run *r, uint32_t task, uint32_t to)
{
    m_task *t = &r->m->tasks[task];
    uint32_t job = model_job_of(r->m, task), previous = t->status;
    m_job *j = &r->m->jobs[job];
    if (to == FLAMENCO_TASK_SOFT_FAILED && j->status == FLAMENCO_JOB_PAUSE_REQUESTED)
        to = FLAMENCO_TASK_PAUSED;
    set_task(r, task, to);
    model_tell_task(r, task, previous);
    uint32_t next = decide_ripple(r->m, j, to);
    if (next == M_NONE || next == j->status)
        return;
    if (next == FLAMENCO_JOB_PAUSED && j->status == FLAMENCO_JOB_PAUSE_REQUESTED &&
        j->n > r->world->settings.single_limit && model_count(r->m, j, Q | S) > 0)
        chain_of_its_own(r, job); /* its tasks are still being paused; the last of these steps ends it */
    else
        model_set_job_status(r, job, next);
}

/* Section 5. */
void model_return_tasks(run *r, uint32_t worker, uint32_t status, uint32_t job)
{
    uint32_t list[M_TASKS / 8];
    uint32_t n = 0;
    for (uint32_t t = 0; t < r->m->n_tasks; ++t) {
        if (r->m->tasks[t].worker != (int8_t)worker || r->m->tasks[t].status != status)
            continue;
        uint32_t of = model_job_of(r->m, t);
        if (!r->m->jobs[of].deleted && (job == M_NONE || of == job) && n < sizeof(list) / sizeof(list[0]))
            list[n++] = t;
    }
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t of = r->m->jobs[model_job_of(r->m, list[i])].status;
        int paused = of == FLAMENCO_JOB_PAUSE_REQUESTED || of == FLAMENCO_JOB_PAUSED;
        model_set_task_status(r, list[i], paused ? FLAMENCO_TASK_PAUSED : FLAMENCO_TASK_QUEUED);
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
    const m_job *j = &r->m->jobs[model_job_of(r->m, task)];
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
void model_fail_task(run *r, uint32_t task, uint32_t worker)
{
    m_task *t = &r->m->tasks[task];
    uint32_t job = model_job_of(r->m, task), by_worker = 0, left = 0;
    m_job *j = &r->m->jobs[job];
    t->failed_by |= 1u << worker;
    for (uint32_t i = j->first; i < j->first + j->n; ++i)
        by_worker += r->m->tasks[i].type == t->type && (r->m->tasks[i].failed_by >> worker & 1);
    int job_fails = 0;
    if (by_worker >= r->world->settings.block_at) {
        j->blocked[t->type] |= 1u << worker;
        left = count_capable(r, task);
        if (left > 0)
            model_return_tasks(r, worker, FLAMENCO_TASK_FAILED, job);
        job_fails = left == 0;
    }
    if (!job_fails && bits(t->failed_by) >= r->world->settings.fail_at) {
        model_set_task_status(r, task, FLAMENCO_TASK_FAILED);
        return;
    }
    if (job_fails || count_capable(r, task) == 0) {
        model_set_task_status(r, task, FLAMENCO_TASK_FAILED);
        model_set_job_status(r, job, FLAMENCO_JOB_FAILED);
    } else {
        model_set_task_status(r, task, FLAMENCO_TASK_SOFT_FAILED);
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
