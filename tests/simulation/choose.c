/* SPDX-License-Identifier: Apache-2.0
 *
 * choose.c - what happens next in a history: drawn by lot, weighted so that jobs get done and go wrong in every way.
 */
#include "history.h"

#include <sqlite3.h>

#define SECOND_US INT64_C(1000000)

uint32_t roll(history *h, uint32_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return (uint32_t)((h->random >> 11) % below);
}

/* ---- The world ---------------------------------------------------------------------------------------------------------- */

void choose_world(history *h)
{
    m_settings *s = &h->world.settings;
    *s = (m_settings){ .block_at = 1 + roll(h, 4),
                       .fail_at = 1 + roll(h, 4),
                       .bulk_step = 1 + roll(h, 4),
                       .single_limit = 3 + roll(h, 6),
                       .hold_us = roll(h, 5) ? 600 * SECOND_US : 0,
                       .task_timeout_us = roll(h, 6) ? 600 * SECOND_US : 0,
                       .worker_timeout_us = roll(h, 6) ? 60 * SECOND_US : 0 };
    if (roll(h, 2)) { /* as shipped, but for the number of steps that a large job takes */
        s->bulk_step = 100 + roll(h, 400);
        s->single_limit = 1000;
    }
}

/* Draws the tasks of job number `job`. */
static void choose_shape(history *h, uint32_t job)
{
    m_world *w = &h->world;
    m_shape *shape = &w->shapes[job];
    /* Now and then one that is stored in several steps. */
    int large = roll(h, 60) == 0 && w->n_tasks + 1400 < M_TASKS && w->settings.single_limit > 100;
    uint32_t n = large ? 1001 + roll(h, 300) : roll(h, 20) == 0 ? 0 : 1 + roll(h, 12);
    if (w->n_tasks + n > M_TASKS || w->n_deps + 3 * n > M_DEPS)
        n = 0;
    *shape = (m_shape){ w->n_tasks, n, 0 };
    uint32_t kinds = 1 + roll(h, M_TYPES), one_priority = roll(h, 2);
    for (uint32_t i = 0; i < n; ++i) {
        m_shape_task *t = &w->tasks[w->n_tasks++];
        *t = (m_shape_task){ .type = roll(h, kinds),
                             .priority = one_priority ? 50 : 40 + 10 * (int32_t)roll(h, 3),
                             .steps = 1 + roll(h, 5),
                             .first_dep = w->n_deps };
        uint32_t wanted = i == 0 || large || roll(h, 2) ? 0 : 1 + roll(h, 3);
        /* On tasks before it, mostly; the compiler may give later ones, too, but never a circle. */
        for (uint32_t d = 0; d < wanted && d < i; ++d) {
            uint32_t needs = (roll(h, i) + d) % i, known = 0;
            for (uint32_t k = t->first_dep; k < w->n_deps; ++k)
                known |= w->deps[k] == needs;
            if (known)
                continue;
            w->deps[w->n_deps++] = needs;
            ++t->n_deps;
            ++shape->n_deps;
        }
    }
}

/* ---- Operations ---------------------------------------------------------------------------------------------------------- */

static uint32_t any_worker(history *h, const model *m)
{
    return m->n_workers > 0 ? roll(h, m->n_workers) : M_NONE;
}

static uint32_t any_job(history *h, const model *m)
{
    /* Rather one of the last ones. */
    if (m->n_jobs == 0)
        return M_NONE;
    uint32_t span = roll(h, 3) && m->n_jobs > 6 ? 6 : m->n_jobs;
    return m->n_jobs - 1 - roll(h, span);
}

static uint32_t any_task(history *h, const model *m)
{
    uint32_t job = any_job(h, m);
    if (job == M_NONE || m->jobs[job].n == 0 || !m->jobs[job].exists || roll(h, 50) == 0)
        return M_NONE;
    return m->jobs[job].first + roll(h, m->jobs[job].n);
}

static uint32_t held_task(history *h, const model *m, uint32_t worker)
{
    uint32_t start = m->n_tasks > 0 ? roll(h, m->n_tasks) : 0;
    for (uint32_t i = 0; i < m->n_tasks; ++i) {
        uint32_t t = (start + i) % m->n_tasks;
        if (m->tasks[t].worker == (int8_t)worker && m->tasks[t].status == FLAMENCO_TASK_ACTIVE)
            return t;
    }
    return M_NONE;
}

static uint32_t worker_in(history *h, const model *m, uint32_t status)
{
    uint32_t start = m->n_workers > 0 ? roll(h, m->n_workers) : 0;
    for (uint32_t i = 0; i < m->n_workers; ++i) {
        uint32_t w = (start + i) % m->n_workers;
        if (!m->workers[w].deleted && m->workers[w].status == status)
            return w;
    }
    return any_worker(h, m);
}

/* A worker that waits for a task already does nothing else, as a rule. */
static uint32_t idle_worker(history *h, const model *m)
{
    for (int tries = 0; tries < 8; ++tries) {
        uint32_t w = worker_in(h, m, FLAMENCO_WORKER_AWAKE), parked = 0;
        for (uint32_t i = 0; i < m->n_parked; ++i)
            parked |= m->parked[i].worker == w;
        if (!parked)
            return w;
    }
    return any_worker(h, m);
}

static void choose_update(history *h, const model *m, op *o)
{
    static const uint32_t ends[] = { FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_COMPLETED,
                                     FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_FAILED,    FLAMENCO_TASK_FAILED,
                                     FLAMENCO_TASK_ACTIVE };
    o->kind = OP_UPDATE;
    o->worker = worker_in(h, m, FLAMENCO_WORKER_AWAKE);
    o->task = held_task(h, m, o->worker);
    for (int tries = 0; tries < 5 && o->task == M_NONE; ++tries) {
        o->worker = any_worker(h, m);
        o->task = held_task(h, m, o->worker);
    }
    if (o->task == M_NONE || roll(h, 25) == 0)
        o->task = any_task(h, m);
    o->has_steps = roll(h, 2);
    o->steps = (int64_t)roll(h, 9) - 1;
    o->has_status = roll(h, 3) > 0;
    o->to = roll(h, 12) ? ends[roll(h, 7)] : roll(h, FLAMENCO_TASK_STATUSES);
    o->log = roll(h, 3) ? 0 : ++h->next_log;
}

static void choose_job_status(history *h, const model *m, op *o, int *alone)
{
    static const uint32_t likely[] = { FLAMENCO_JOB_CANCEL_REQUESTED, FLAMENCO_JOB_PAUSE_REQUESTED,
                                       FLAMENCO_JOB_REQUEUEING, FLAMENCO_JOB_REQUEUEING };
    o->kind = OP_JOB_STATUS;
    o->job = any_job(h, m);
    o->to = roll(h, 4) ? likely[roll(h, 4)] : roll(h, FLAMENCO_JOB_STATUSES);
    *alone = 1;
}

/* A worker does what was requested of it, and else it wants to work, as a rule. */
static void choose_state(history *h, const model *m, op *o)
{
    static const uint32_t states[] = { FLAMENCO_WORKER_AWAKE, FLAMENCO_WORKER_ASLEEP, FLAMENCO_WORKER_ERROR,
                                       FLAMENCO_WORKER_OFFLINE };
    static const uint32_t from[] = { FLAMENCO_WORKER_NONE, FLAMENCO_WORKER_STARTING, FLAMENCO_WORKER_ASLEEP,
                                     FLAMENCO_WORKER_ERROR, FLAMENCO_WORKER_OFFLINE };
    o->kind = OP_STATE_CHANGED;
    o->worker = worker_in(h, m, from[roll(h, 5)]);
    for (uint32_t i = 0; i < m->n_workers && roll(h, 3); ++i) {
        if (m->workers[i].requested != FLAMENCO_WORKER_NONE)
            o->worker = i;
    }
    uint32_t requested = m->workers[o->worker].requested;
    if (requested != FLAMENCO_WORKER_NONE && roll(h, 8))
        o->to = requested;
    else
        o->to = roll(h, 8) ? FLAMENCO_WORKER_AWAKE : states[roll(h, 4)];
    if (o->to == FLAMENCO_WORKER_OFFLINE || o->to == FLAMENCO_WORKER_RESTART)
        o->kind = OP_SIGN_OFF;
}

static void choose_worker_op(history *h, const model *m, op *o, int *alone)
{
    o->worker = any_worker(h, m);
    switch (roll(h, 10)) {
    case 0:
        o->kind = OP_SIGN_OFF;
        break;
    case 1:
        o->kind = OP_STATE;
        *alone = 1; /* a read: it may overtake what is queued for the writer */
        break;
    case 2:
        o->kind = OP_SIGN_ON;
        o->types = 1 + roll(h, (1u << M_TYPES) - 1);
        o->types |= roll(h, 2) ? 3 : 0;
        o->can_restart = roll(h, 2);
        break;
    case 3:
        o->kind = OP_REQUEST_STATUS;
        o->to = 1 + roll(h, FLAMENCO_WORKER_STATUSES - 1);
        o->lazy = roll(h, 2);
        break;
    default:
        choose_state(h, m, o);
        break;
    }
}

static void choose_rare(history *h, const model *m, op *o, int *alone)
{
    o->worker = any_worker(h, m);
    o->job = any_job(h, m);
    o->to = 1 + roll(h, M_TAGS - 1);
    switch (roll(h, 10)) {
    case 0:
        o->kind = OP_DELETE_WORKER;
        break;
    case 1:
        o->kind = OP_TAG_CREATE;
        break;
    case 2:
        o->kind = OP_TAG_DELETE;
        break;
    case 3:
        o->kind = OP_JOB_TAG;
        o->to = roll(h, 3) ? o->to : 0;
        break;
    case 4:
    case 5:
        o->kind = OP_UNBLOCK;
        o->to = roll(h, M_TYPES);
        break;
    case 6:
        o->kind = OP_JOB_MARK;
        break;
    case 7:
        o->kind = OP_JOB_DELETE;
        break;
    default:
        o->kind = OP_WORKER_TAGS;
        o->to = roll(h, 1u << M_TAGS) & ~1u;
        break;
    }
    /* Keys of tags are looked up when an operation is sent, not when it runs. */
    *alone |= o->kind == OP_TAG_CREATE || o->kind == OP_TAG_DELETE;
}

static void choose_submit(history *h, const model *m, op *o, int *alone)
{
    o->kind = OP_SUBMIT;
    o->job = m->n_jobs;
    o->to = roll(h, 8) ? FLAMENCO_JOB_QUEUED : roll(h, 3) ? FLAMENCO_JOB_PAUSED : roll(h, FLAMENCO_JOB_STATUSES);
    o->tag = roll(h, 4) ? 0 : 1 + roll(h, M_TAGS - 1);
    o->priority = 40 + 10 * (int32_t)roll(h, 3);
    choose_shape(h, o->job);
    *alone = 1;
}

static int is_possible(const model *m, const op *o)
{
    switch (o->kind) {
    case OP_REGISTER:
        return m->n_workers < M_WORKERS;
    case OP_SUBMIT:
    case OP_TAG_CREATE:
    case OP_TAG_DELETE:
        return 1;
    case OP_JOB_STATUS:
    case OP_JOB_PRIORITY:
    case OP_JOB_TAG:
    case OP_JOB_MARK:
    case OP_JOB_DELETE:
        return o->job != M_NONE;
    case OP_UNBLOCK:
        return o->job != M_NONE && o->worker != M_NONE;
    case OP_TASK_STATUS:
        return 1;
    default:
        return o->worker != M_NONE;
    }
}

void choose_op(history *h, const model *m, op *out, int *alone)
{
    for (;;) {
        op o = { .worker = M_NONE, .job = M_NONE, .task = M_NONE };
        *alone = 0;
        uint32_t what = roll(h, 100);
        if (m->n_workers == 0 || (what < 4 && m->n_workers < 6)) {
            o.kind = OP_REGISTER;
            o.worker = m->n_workers;
            o.types = 1 + roll(h, (1u << M_TYPES) - 1);
            *alone = 1;
        } else if (m->n_jobs < M_JOBS && (what < 9 || (m->n_jobs < 2 && what < 40))) {
            choose_submit(h, m, &o, alone);
        } else if (what < 36) {
            o.kind = OP_SCHEDULE;
            o.worker = idle_worker(h, m);
        } else if (what < 66) {
            choose_update(h, m, &o);
        } else if (what < 70) {
            o.kind = OP_MAY_RUN;
            o.worker = any_worker(h, m);
            o.task = roll(h, 3) ? held_task(h, m, o.worker) : any_task(h, m);
            *alone = 1;
        } else if (what < 83) {
            choose_worker_op(h, m, &o, alone);
        } else if (what < 88) {
            choose_job_status(h, m, &o, alone);
        } else if (what < 90) {
            o.kind = OP_JOB_PRIORITY;
            o.job = any_job(h, m);
            o.priority = 40 + 10 * (int32_t)roll(h, 3);
        } else if (what < 95) {
            o.kind = OP_TASK_STATUS;
            o.task = any_task(h, m);
            o.to = roll(h, 3) ? FLAMENCO_TASK_QUEUED : roll(h, FLAMENCO_TASK_STATUSES);
            *alone = 1;
        } else {
            choose_rare(h, m, &o, alone);
        }
        /* What may fail a job may begin a long change, whose steps would mix with those of others. */
        if (h->world.settings.single_limit < 100 &&
            (o.kind == OP_UPDATE || o.kind == OP_SIGN_OFF || o.kind == OP_STATE_CHANGED || o.kind == OP_DELETE_WORKER))
            *alone = 1;
        if (is_possible(m, &o)) {
            *out = o;
            return;
        }
    }
}

void choose_trouble(history *h, trouble *out)
{
    static const int32_t codes[] = { FLAMENCO_E_BUSY, FLAMENCO_E_IO, FLAMENCO_E_FULL, FLAMENCO_E_UNAVAILABLE };
    *out = (trouble){ .what = TROUBLE_NONE };
    uint32_t what = roll(h, 100);
    if (what >= 30)
        return;
    out->shim.code = codes[roll(h, 4)];
    out->shim.times = 1 + roll(h, 3);
    out->n = 1 + roll(h, 10);
    out->times = 1 + roll(h, 2);
    if (what < 10) {
        out->what = TROUBLE_SHIM;
        out->shim.kind = what < 2 ? SHIM_FAIL_BEGIN : SHIM_FAIL_CALL;
        out->shim.countdown = what < 2 ? 1 : 1 + roll(h, 30);
    } else if (what < 14) {
        out->what = TROUBLE_SHIM;
        out->shim.kind = SHIM_FAIL_COMMIT;
        out->shim.countdown = 1 + roll(h, 2);
    } else if (what < 19) {
        out->what = TROUBLE_SHIM;
        out->shim.kind = SHIM_FAIL_AFTER_COMMIT;
        out->shim.countdown = 1 + roll(h, 2);
    } else if (what < 23) {
        out->what = TROUBLE_WRITE;
        out->code = roll(h, 2) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    } else if (what < 26) {
        out->what = TROUBLE_SYNC;
        out->code = SQLITE_IOERR_FSYNC;
        out->n = 1 + roll(h, 2);
    } else if (what < 28) {
        out->what = TROUBLE_OUTAGE;
        out->shim.kind = SHIM_FAIL_CALL;
        out->shim.countdown = 1 + roll(h, 10);
        out->shim.times = UINT32_MAX;
    } else {
        out->what = TROUBLE_SHIM;
        out->shim.kind = SHIM_FAIL_CALL;
        out->shim.countdown = 1 + roll(h, 15);
        out->shim.times = 1;
        out->shim.code = FLAMENCO_E_NOMEM;
        out->nomem = 1;
    }
}

/* ---- Words ---------------------------------------------------------------------------------------------------------------- */

static const char *const kind_names[OP_KINDS] = {
    "register",       "sign-on",       "sign-off",    "state",      "state-changed", "schedule",
    "update",         "may-run",       "submit",      "job-status", "job-priority",  "task-status",
    "request-status", "delete-worker", "worker-tags", "tag-create", "tag-delete",    "job-tag",
    "unblock",        "job-mark",      "job-delete",  "expire",     "timeouts",
};

const char *describe_trouble(const trouble *t)
{
    static const char *const kinds[] = { "none",
                                         "a begin fails",
                                         "a call fails",
                                         "a commit fails",
                                         "a commit fails after it was done",
                                         "crash at a call",
                                         "crash before a commit",
                                         "crash after a commit" };
    static char out[120];
    if (t->what == TROUBLE_SHIM || t->what == TROUBLE_OUTAGE)
        snprintf(out, sizeof(out), "%s, number %u, %u times, code %d", kinds[t->shim.kind], t->shim.countdown,
                 t->shim.times, t->shim.code);
    else
        snprintf(out, sizeof(out), "%s number %u fails, %u times, code %d",
                 t->what == TROUBLE_WRITE ? "a write" : "a sync", t->n, t->times, t->code);
    return out;
}

void describe_op(const history *h, const op *o, char *out, size_t size)
{
    int n = snprintf(out, size, "%s", kind_names[o->kind]);
    size_t used = n > 0 ? (size_t)n : 0;
#define ADD(...) used += (size_t)snprintf(out + used, used < size ? size - used : 0, __VA_ARGS__)
    if (o->worker != M_NONE)
        ADD(" w%u", o->worker);
    if (o->job != M_NONE)
        ADD(" j%u", o->job);
    if (o->task != M_NONE)
        ADD(" t%u", o->task);
    switch (o->kind) {
    case OP_SUBMIT:
        ADD(" %s, %u tasks, tag %u, priority %d", flamenco_job_status_text(o->to), h->world.shapes[o->job].n, o->tag,
            o->priority);
        break;
    case OP_JOB_STATUS:
        ADD(" %s", flamenco_job_status_text(o->to));
        break;
    case OP_TASK_STATUS:
        ADD(" %s", flamenco_task_status_text(o->to));
        break;
    case OP_UPDATE:
        if (o->has_status)
            ADD(" %s", flamenco_task_status_text(o->to));
        if (o->has_steps)
            ADD(" steps %lld", (long long)o->steps);
        break;
    case OP_STATE_CHANGED:
    case OP_REQUEST_STATUS:
        ADD(" %s%s", flamenco_worker_status_text(o->to), o->lazy ? " lazy" : "");
        break;
    case OP_SIGN_ON:
    case OP_REGISTER:
        ADD(" types %x", o->types);
        break;
    case OP_JOB_PRIORITY:
        ADD(" %d", o->priority);
        break;
    default:
        ADD(" %u", o->to);
        break;
    }
#undef ADD
}
