/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c - the operations, one after the other, and what time brings. What follows from them stands in rules.c.
 */
#include <stdlib.h>

#include "model_impl.h"

const char *const m_type_names[M_TYPES] = { "blender", "ffmpeg", "file-management", "misc" };

void model_copy(model *to, const model *from)
{
    memcpy(to, from, offsetof(model, tasks) + from->n_tasks * sizeof(from->tasks[0]));
}

/* ---- Asking for work (6) ------------------------------------------------------------------------------------------ */

/* Returns 0 when the request goes on waiting. */
static int schedule(run *r, uint32_t worker, uint32_t client)
{
    m_worker *w = &r->m->workers[worker];
    if (w->deleted) {
        model_reply(r, client, 403);
        return 1;
    }
    w->seen_us = r->m->now_us;
    if (w->requested != FLAMENCO_WORKER_NONE) {
        model_reply(r, client, 423)->word = w->requested;
        return 1;
    }
    if (w->status == FLAMENCO_WORKER_ERROR && w->last_good != FLAMENCO_WORKER_NONE) {
        w->status = w->last_good;
        w->last_good = FLAMENCO_WORKER_NONE;
        model_tell_worker(r, worker, FLAMENCO_WORKER_ERROR);
    }
    if (w->status != FLAMENCO_WORKER_AWAKE) {
        model_reply(r, client, 409);
        return 1;
    }
    uint32_t task = model_pick(r->m, r->world, worker);
    if (task == M_NONE)
        return 0;
    r->m->tasks[task].worker = (int8_t)worker;
    r->m->tasks[task].touched_us = r->m->now_us;
    model_set_task_status(r, task, FLAMENCO_TASK_ACTIVE);
    model_tell_worker(r, worker, M_NONE);
    model_reply(r, client, 200)->task = task;
    return 1;
}

static int worker_state(run *r, uint32_t worker, uint32_t client)
{
    m_worker *w = &r->m->workers[worker];
    if (w->deleted) {
        model_reply(r, client, 403);
        return 1;
    }
    w->seen_us = r->m->now_us;
    if (w->requested == FLAMENCO_WORKER_NONE)
        return 0;
    model_reply(r, client, 200)->word = w->requested;
    return 1;
}

static void park(run *r, const op *o, uint32_t wants_task)
{
    if (r->world->settings.hold_us == 0) {
        model_reply(r, o->client, 204);
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
        model_keep_state(r);
    }
}

/* ---- Workers (7, 9) --------------------------------------------------------------------------------------------------- */

static int refuse_deleted(run *r, const op *o)
{
    if (!r->m->workers[o->worker].deleted)
        return 0;
    model_reply(r, o->client, 403);
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
    model_tell_worker(r, o->worker, previous);
    model_reply(r, o->client, 200)->word = w->requested != FLAMENCO_WORKER_NONE ? w->requested : FLAMENCO_WORKER_AWAKE;
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
    model_return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    model_tell_worker(r, o->worker, previous);
    model_reply(r, o->client, 204);
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
        model_return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    model_tell_worker(r, o->worker, previous);
    model_reply(r, o->client, 204);
}

static int task_is_gone(const run *r, uint32_t task)
{
    return task == M_NONE || r->m->jobs[model_job_of(r->m, task)].deleted;
}

static void task_update(run *r, const op *o)
{
    if (refuse_deleted(r, o))
        return;
    if (task_is_gone(r, o->task)) {
        model_reply(r, o->client, 404);
        return;
    }
    m_task *t = &r->m->tasks[o->task];
    if (t->worker != (int8_t)o->worker) {
        model_reply(r, o->client, 409);
        return;
    }
    if (o->has_status && o->to == FLAMENCO_TASK_SOFT_FAILED) {
        model_reply(r, o->client, 400);
        return;
    }
    int64_t total = r->world->tasks[o->task].steps;
    int64_t steps = o->steps < total ? o->steps : total;
    int steps_changed = o->has_steps && steps != t->done;
    int changes = o->has_status && o->to != t->status;
    if (steps_changed) {
        t->done = steps;
        model_tell_job(r, model_job_of(r->m, o->task), M_NONE, 0);
    }
    if (changes && o->to == FLAMENCO_TASK_FAILED)
        model_fail_task(r, o->task, o->worker);
    else if (changes)
        model_set_task_status(r, o->task, o->to);
    else if (steps_changed)
        model_tell_task(r, o->task, M_NONE);
    t->touched_us = r->m->now_us;
    r->m->workers[o->worker].seen_us = r->m->now_us;
    model_reply(r, o->client, 204);
}

static void may_run(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (refuse_deleted(r, o))
        return;
    if (task_is_gone(r, o->task)) {
        model_reply(r, o->client, 200);
        return;
    }
    m_task *t = &r->m->tasks[o->task];
    w->seen_us = r->m->now_us;
    if (w->requested != FLAMENCO_WORKER_NONE && !w->lazy) {
        model_reply(r, o->client, 200)->word = 2;
        return;
    }
    int may = t->worker == (int8_t)o->worker && t->status == FLAMENCO_TASK_ACTIVE;
    if (may)
        t->touched_us = r->m->now_us;
    model_reply(r, o->client, 200)->word = may ? 1 : 0;
}

static void request_status(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (w->deleted) {
        model_reply(r, o->client, 404);
        return;
    }
    if (o->to == FLAMENCO_WORKER_RESTART && !w->can_restart) {
        model_reply(r, o->client, 412);
        return;
    }
    w->requested = o->to == w->status ? FLAMENCO_WORKER_NONE : o->to;
    w->lazy = w->requested != FLAMENCO_WORKER_NONE && o->lazy;
    model_tell_worker(r, o->worker, M_NONE);
    model_reply(r, o->client, 204);
}

static void delete_worker(run *r, const op *o)
{
    m_worker *w = &r->m->workers[o->worker];
    if (w->deleted) {
        model_reply(r, o->client, 404);
        return;
    }
    model_return_tasks(r, o->worker, FLAMENCO_TASK_ACTIVE, M_NONE);
    w->deleted = 1;
    model_tell_worker(r, o->worker, M_NONE);
    model_reply(r, o->client, 204);
}

/* ---- People ----------------------------------------------------------------------------------------------------------- */

static void submit(run *r, const op *o)
{
    model *m = r->m;
    const m_shape *shape = &r->world->shapes[o->job];
    if (o->tag != 0 && !(m->tags >> o->tag & 1)) {
        model_reply(r, o->client, 400);
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
    for (uint32_t t = m->n_tasks; t < shape->first; ++t) /* of submissions that came to nothing */
        m->tasks[t] = (m_task){ .worker = -1 };
    if (m->n_tasks < shape->first + shape->n)
        m->n_tasks = shape->first + shape->n;
    model_tell_job(r, o->job, M_NONE, 0);
    model_reply(r, o->client, 200);
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
    model_reply(r, o->client, 204);
}

static void change_job(run *r, const op *o)
{
    m_job *j = &r->m->jobs[o->job];
    if (!j->exists || j->deleted) {
        model_reply(r, o->client, 404);
        return;
    }
    switch (o->kind) {
    case OP_JOB_STATUS:
        if (j->status != o->to && model_apply_job_status(r, o->job, o->to, 0))
            model_add_chain(r, o->job, o);
        else
            end_job_request(r, o);
        return;
    case OP_JOB_PRIORITY:
        j->priority = o->priority;
        break;
    case OP_JOB_TAG:
        if (o->to != 0 && !(r->m->tags >> o->to & 1)) {
            model_reply(r, o->client, 404);
            return;
        }
        j->tag = o->to;
        break;
    case OP_JOB_MARK:
        j->marked = 1;
        break;
    case OP_UNBLOCK:
        j->blocked[o->to] &= ~(1u << o->worker);
        model_reply(r, o->client, 204);
        return;
    default: /* OP_JOB_DELETE */
        j->deleted = 1;
        model_tell_job(r, o->job, M_NONE, 2);
        model_reply(r, o->client, 204);
        return;
    }
    model_tell_job(r, o->job, M_NONE, 0);
    model_reply(r, o->client, 204);
}

static void task_status(run *r, const op *o)
{
    if (task_is_gone(r, o->task)) {
        model_reply(r, o->client, 404);
        return;
    }
    model_set_task_status(r, o->task, o->to);
    if (o->to == FLAMENCO_TASK_QUEUED)
        r->m->tasks[o->task].failed_by = 0;
    model_reply(r, o->client, 204);
}

static void change_tags(run *r, const op *o)
{
    model *m = r->m;
    if (o->kind == OP_TAG_CREATE) {
        model_reply(r, o->client, m->tags >> o->to & 1 ? 409 : 204);
        m->tags |= 1u << o->to;
    } else if (o->kind == OP_TAG_DELETE) {
        model_reply(r, o->client, m->tags >> o->to & 1 ? 204 : 404);
        m->tags &= ~(1u << o->to);
        for (uint32_t i = 0; i < m->n_workers; ++i)
            m->workers[i].tags &= ~(1u << o->to);
        for (uint32_t i = 0; i < m->n_jobs; ++i)
            m->jobs[i].tag = m->jobs[i].tag == o->to ? 0 : m->jobs[i].tag;
    } else if (m->workers[o->worker].deleted) {
        model_reply(r, o->client, 404);
    } else {
        m->workers[o->worker].tags = o->to & m->tags;
        model_tell_worker(r, o->worker, M_NONE);
        model_reply(r, o->client, 204);
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
        model_reply(r, p.client, 204);
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
                 m->tasks[t].touched_us <= m->now_us - s->task_timeout_us && !m->jobs[model_job_of(m, t)].deleted;
    }
    /* One that its job's failure has canceled meanwhile is not active any more. */
    for (uint32_t t = 0; t < m->n_tasks; ++t) {
        if (due[t] && m->tasks[t].status == FLAMENCO_TASK_ACTIVE)
            model_set_task_status(r, t, FLAMENCO_TASK_FAILED);
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
        model_return_tasks(r, i, FLAMENCO_TASK_ACTIVE, M_NONE);
        model_tell_worker(r, i, previous);
    }
}

/* ---- Running ------------------------------------------------------------------------------------------------------------ */

static void run_op(run *r, const op *o)
{
    switch (o->kind) {
    case OP_REGISTER:
        r->m->workers[o->worker] = (m_worker){ .exists = 1, .types = o->types, .seen_us = FLAMENCO_TIME_NONE };
        r->m->n_workers = o->worker + 1;
        model_reply(r, o->client, 200);
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
        int more = model_advance_job(r, c.job);
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
        model_keep_state(r);
    }
}

void model_run(model *m, const m_world *world, const op *ops, uint32_t n, m_outcome *out)
{
    run r = { .m = m, .world = world, .out = out };
    model_keep_state(&r);
    for (uint32_t i = 0; i < n; ++i) {
        run_op(&r, &ops[i]);
        model_keep_state(&r);
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
        if (broken && model_apply_job_status(&r, i, j->status, 0)) {
            while (model_advance_job(&r, i))
                continue;
        } else if (j->status == FLAMENCO_JOB_FAILED && j->canceling) {
            while (model_advance_job(&r, i))
                continue;
        }
    }
}
