/* SPDX-License-Identifier: Apache-2.0
 *
 * history.c - plays one history. After each operation, or group of operations in one batch, the replies, the events and the
 * whole state must be what the model says. After a crash the state must be one that the model went through, and no earlier
 * than the last reply that was sent.
 */
#include "history.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "core/executor.h"
#include "core/purge.h"
#include "fake_threads.h"

#define SECOND_US INT64_C(1000000)

void say(history *h, const char *fmt, ...)
{
    char *line = h->lines[h->n_lines++ % LAST_LINES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(h->lines[0]), fmt, args);
    va_end(args);
    if (h->options.verbose)
        fprintf(stderr, "%s\n", line);
}

__attribute__((format(printf, 2, 3))) static int wrong(history *h, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(h->wrong, sizeof(h->wrong), fmt, args);
    va_end(args);
    return -1;
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

static uint32_t new_client(history *h)
{
    for (uint32_t i = 0; i < CLIENTS; ++i) {
        if (!h->clients[i].used) {
            memset(&h->clients[i], 0, sizeof(h->clients[i]));
            h->clients[i].used = 1;
            return i;
        }
    }
    return M_NONE;
}

static void free_client(history *h, uint32_t i)
{
    client_fini(&h->clients[i].c);
    h->clients[i].used = 0;
}

/* The parked request number `at` loses its client. noticed 0: the manager does not know yet. */
static void break_parked(history *h, uint32_t at, int noticed)
{
    m_parked p = h->now.parked[at];
    --h->now.n_parked;
    memmove(&h->now.parked[at], &h->now.parked[at + 1], (h->now.n_parked - at) * sizeof(p));
    client_close(&h->clients[p.client].c, &h->manager.f, noticed);
    h->clients[p.client].zombie = 1;
    h->vague |= 1u << p.worker;
}

static void collect_zombies(history *h)
{
    for (uint32_t i = 0; i < CLIENTS; ++i) {
        if (h->clients[i].used && h->clients[i].zombie && client_look(&h->clients[i].c) != CLIENT_WAITS)
            free_client(h, i);
    }
}

/* The manager hears of every connection that broke. */
static void notice_zombies(history *h)
{
    for (uint32_t i = 0; i < CLIENTS; ++i) {
        if (h->clients[i].used && h->clients[i].zombie && client_look(&h->clients[i].c) == CLIENT_WAITS)
            client_close(&h->clients[i].c, &h->manager.f, 1);
    }
    collect_zombies(h);
}

/* A Worker is one program with one connection: what it asked before is void when it asks anew. */
static void break_older(history *h, uint32_t worker)
{
    for (uint32_t i = 0; i < h->now.n_parked;) {
        if (h->now.parked[i].worker == worker)
            break_parked(h, i, roll(h, 2) == 0);
        else
            ++i;
    }
}

/* ---- Holding the writer ------------------------------------------------------------------------------------------------------ */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running, released;
    client c;
} hold = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int32_t run_hold(fl_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    (void)ctx;
    (void)err;
    pthread_mutex_lock(&hold.lock);
    hold.running = 1;
    pthread_cond_broadcast(&hold.changed);
    while (!hold.released)
        pthread_cond_wait(&hold.changed, &hold.lock);
    pthread_mutex_unlock(&hold.lock);
    return FLAMENCO_OK;
}

/* Keeps the writer busy, so that what is sent meanwhile comes into one batch. */
static void hold_writer(history *h)
{
    hold.running = hold.released = 0;
    manager_write(&h->manager, &hold.c, run_hold, NULL);
    pthread_mutex_lock(&hold.lock);
    while (!hold.running)
        pthread_cond_wait(&hold.changed, &hold.lock);
    pthread_mutex_unlock(&hold.lock);
}

static void release_writer(void)
{
    pthread_mutex_lock(&hold.lock);
    hold.released = 1;
    pthread_cond_broadcast(&hold.changed);
    pthread_mutex_unlock(&hold.lock);
}

/* ---- Troubles ------------------------------------------------------------------------------------------------------------------ */

static void arm(history *h, const trouble *t)
{
    (void)h;
    if (t->what == TROUBLE_SHIM || t->what == TROUBLE_OUTAGE)
        shim_arm(&t->shim);
    else if (t->what == TROUBLE_WRITE)
        disk_arm_write(t->n, t->code, t->times);
    else if (t->what == TROUBLE_SYNC)
        disk_arm_sync(t->n, t->code, t->times);
}

static void wait_for_outage(history *h, const op *ops, uint32_t n)
{
    struct timespec ms = { .tv_nsec = 2000000 };
    for (int tries = 0; tries < 5000; ++tries) {
        uint32_t waiting = 0;
        for (uint32_t i = 0; i < n; ++i)
            waiting += ops[i].client != M_NONE && client_is_served(&h->clients[ops[i].client].c);
        if (waiting == 0)
            return;
        nanosleep(&ms, NULL);
    }
}

/* ---- Outcomes ------------------------------------------------------------------------------------------------------------------ */

/* Compares the replies with the outcome. Returns the first state that must be safe; lenient: an operation that was given up is
 * all right (503, 500, or a closed connection), and *given_up counts them. -1: a reply is wrong. */
static int64_t check_replies(history *h, const m_outcome *out, int lenient, uint32_t *given_up)
{
    uint32_t least = 0;
    for (uint32_t i = 0; i < h->now.n_parked && lenient; ++i)
        *given_up += client_look(&h->clients[h->now.parked[i].client].c) != CLIENT_WAITS;
    for (uint32_t i = 0; i < out->n_replies; ++i) {
        const m_reply *expected = &out->replies[i];
        client *c = &h->clients[expected->client].c;
        client_state state = client_look(c);
        if (state == CLIENT_WAITS) {
            if (lenient) {
                ++*given_up;
                continue;
            }
            return wrong(h, "request %u has no reply, it should be %u", expected->client, expected->status);
        }
        if (lenient && (state == CLIENT_DROPPED || c->status == 503 || c->status == 500)) {
            ++*given_up;
            continue;
        }
        const char *difference = compare_reply(h, expected, c);
        if (difference != NULL)
            return wrong(h, "%s", difference);
        if (expected->status != 403) /* told by a reader, which knows nothing of what else is in the batch */
            least = expected->state > least ? expected->state : least;
    }
    return least;
}

/* Forgets the requests that ended; those that the model has parked must wait. */
static int sweep_clients(history *h)
{
    for (uint32_t i = 0; i < CLIENTS; ++i) {
        if (!h->clients[i].used || h->clients[i].zombie)
            continue;
        int parked = 0;
        for (uint32_t p = 0; p < h->now.n_parked; ++p)
            parked |= h->now.parked[p].client == i;
        client_state state = client_look(&h->clients[i].c);
        if (parked && state != CLIENT_WAITS)
            return wrong(h, "request %u of worker %u was ended with %d, it should wait", i, h->clients[i].op.worker,
                         h->clients[i].c.status);
        if (!parked && state == CLIENT_WAITS)
            return wrong(h, "request %u of worker %u waits, it should have ended", i, h->clients[i].op.worker);
        if (!parked)
            free_client(h, i);
    }
    collect_zombies(h);
    return 0;
}

/* A log line is written once, and only when its update was accepted. */
static int check_logs(history *h, const op *ops, uint32_t n, int safe)
{
    for (uint32_t i = 0; i < n; ++i) {
        if (ops[i].log == 0 || ops[i].log >= MANAGER_LOGS)
            continue;
        uint8_t times = h->manager.logs[ops[i].log];
        const client *c = &h->clients[ops[i].client].c;
        int accepted = c->state == CLIENT_ANSWERED && c->status == 204;
        if (times > 1 || (safe && accepted && times != 1) ||
            (safe && c->state == CLIENT_ANSWERED && !accepted && times != 0))
            return wrong(h, "log line %u was written %u times, the update was answered with %d", ops[i].log, times,
                         c->status);
    }
    return 0;
}

/* Finds the state that the store is in among those from `least` on. Returns its number, or -1. */
static int64_t find_state(history *h, m_outcome *out, uint32_t least, int restarted)
{
    const char *difference = NULL;
    for (uint32_t i = out->n_states; i-- > least;) {
        if (restarted)
            model_restart(out->states[i], &h->world);
        difference = compare_state(h, out->states[i]);
        if (difference == NULL)
            return i;
        if (h->options.verbose)
            say(h, "  not state %u: %s", i, difference);
    }
    return wrong(h, "the store is in none of the %u states that are possible: %s", out->n_states - least, difference);
}

/* ---- Restarts ------------------------------------------------------------------------------------------------------------------ */

static void forget_clients(history *h)
{
    for (uint32_t i = 0; i < CLIENTS; ++i) {
        if (h->clients[i].used)
            free_client(h, i);
    }
    h->now.n_parked = 0;
}

static void draw_cut(history *h)
{
    static const disk_cut cuts[] = { DISK_KEEP_SYNCED, DISK_KEEP_SOME, DISK_KEEP_PREFIX };
    int power = h->options.power || roll(h, 3) == 0;
    h->manager.cut = power ? cuts[roll(h, 3)] : DISK_KEEP_ALL;
    h->manager.cut_random = (uint64_t)roll(h, UINT32_MAX) << 20 | roll(h, 1 << 20);
    ++h->counts.crashes;
    h->counts.power_losses += power ? 1 : 0;
}

static int32_t purge_deleted(void *ctx, const flamenco_job *row)
{
    history *h = ctx;
    if (row->delete_requested_us != FLAMENCO_TIME_NONE)
        fl_purge_submit(&h->manager.f, row->key);
    return 0;
}

/* What the job deleter does at its start, which has no part in this: it goes on with the deletions that a crash broke off. */
static int finish_deletions(history *h)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(&h->manager);
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .flags = FLAMENCO_PAGE_HIDDEN };
    int32_t rc = flamenco_persist_jobs_list(&store, manager_look(&h->manager), &page, purge_deleted, h, NULL, &err);
    manager_look_end(&h->manager);
    if (rc != FLAMENCO_OK)
        return wrong(h, "the hidden jobs cannot be listed: %s", err.text);
    return manager_settle(&h->manager) == 0 ? 0 : wrong(h, "%s", h->manager.failure);
}

/* Starts, crashing now and then on the way. */
static int start(history *h)
{
    for (int tries = 0;; ++tries) {
        if (tries < 3 && roll(h, 6) == 0) {
            shim_plan plan = { .kind = SHIM_CRASH_CALL, .countdown = 1 + roll(h, 20) };
            draw_cut(h);
            shim_arm(&plan);
        }
        int rc = manager_start(&h->manager);
        if (rc < 0)
            return wrong(h, "%s", h->manager.failure);
        if (rc == 0)
            break;
        say(h, "  crash at start");
        manager_bury(&h->manager);
    }
    shim_disarm();
    h->runs = 1;
    h->known = 0;
    manager_forget_events(&h->manager);
    h->now.next_timeouts_us = h->manager.now_us + 300 * SECOND_US;
    return finish_deletions(h);
}

static int check_store(history *h)
{
    ++h->counts.checks;
    return manager_check(&h->manager) == 0 ? 0 : wrong(h, "%s", h->manager.failure);
}

/* After a start: the state must be one of the outcome's, from `least` on. */
static int resume(history *h, m_outcome *out, uint32_t least)
{
    learn_names(h, &h->now);
    int64_t state = find_state(h, out, least, 1);
    if (state < 0)
        return -1;
    int64_t next_timeouts_us = h->now.next_timeouts_us;
    model_copy(&h->now, out->states[state]);
    h->now.next_timeouts_us = next_timeouts_us;
    h->now.n_parked = 0;
    adopt_times(h, &h->now);
    return check_store(h);
}

static int restart(history *h)
{
    m_outcome out = { 0 };
    say(h, "restart");
    ++h->counts.restarts;
    model_run(&h->now, &h->world, NULL, 0, &out);
    manager_stop(&h->manager);
    h->runs = 0;
    if (h->manager.failure[0] != '\0')
        return wrong(h, "%s", h->manager.failure);
    forget_clients(h);
    int rc = start(h);
    if (rc == 0)
        rc = resume(h, &out, 0);
    model_outcome_fini(&out);
    return rc;
}

/* The process has ended while `ops` ran, or before. */
static int after_crash(history *h, const op *ops, uint32_t n, m_outcome *out)
{
    uint32_t given_up = 0;
    say(h, "  crash (%s)", h->manager.cut == DISK_KEEP_ALL ? "the process" : "the power");
    manager_bury(&h->manager);
    h->runs = 0;
    int64_t least = check_replies(h, out, 1, &given_up);
    if (least < 0 || check_logs(h, ops, n, 0) != 0)
        return -1;
    const char *difference = NULL;
    /* Events that came are those of what is safe, in order. The names of new things are known only after the restart. */
    size_t n_events = h->manager.n_events;
    seen_event *events = calloc(n_events + 1, sizeof(*events));
    if (events == NULL)
        abort();
    if (n_events > 0)
        memcpy(events, h->manager.events, n_events * sizeof(*events));
    h->manager.n_events = 0;
    forget_clients(h);
    int rc = start(h);
    if (rc == 0)
        rc = resume(h, out, (uint32_t)least);
    if (rc == 0 && n_events > 0) {
        memcpy(h->manager.events, events, n_events * sizeof(*events));
        h->manager.n_events = n_events;
        memset(events, 0, n_events * sizeof(*events));
        difference = compare_events(h, out, 0, out->n_events);
        if (difference != NULL)
            rc = wrong(h, "%s", difference);
        manager_forget_events(&h->manager);
    }
    for (size_t i = 0; i < n_events; ++i)
        free(events[i].payload);
    free(events);
    return rc;
}

/* ---- Playing ---------------------------------------------------------------------------------------------------------------------- */

/* What must hold after each operation, when nothing crashed. */
static int check_all(history *h, const op *ops, uint32_t n, m_outcome *out, int lenient)
{
    uint32_t given_up = 0;
    learn_names(h, &h->now);
    int64_t least = check_replies(h, out, lenient, &given_up);
    if (least < 0 || check_logs(h, ops, n, given_up == 0) != 0)
        return -1;
    const char *difference = NULL;
    if (given_up == 0) {
        difference = compare_state(h, &h->now);
        if (difference != NULL && lenient) {
            /* A chain that goes on after the reply broke off, as without memory. The next start finishes it. */
            say(h, "  not finished: %s", difference);
            difference = compare_events(h, out, 0, out->n_events);
            manager_forget_events(&h->manager);
            return difference != NULL ? wrong(h, "%s", difference) : restart(h);
        }
        if (difference == NULL)
            difference = compare_events(h, out, out->n_events, out->n_events);
        if (difference == NULL)
            difference = compare_times(h, &h->now);
        manager_forget_events(&h->manager);
        return difference != NULL ? wrong(h, "%s", difference) : sweep_clients(h);
    }
    h->remains = 1;
    int64_t state = find_state(h, out, (uint32_t)least, 0);
    h->remains = 0;
    if (state < 0)
        return -1;
    difference = compare_events(h, out, 0, out->n_events);
    manager_forget_events(&h->manager);
    if (difference != NULL)
        return wrong(h, "%s", difference);
    say(h, "  given up, state %lld of %u", (long long)state, out->n_states - 1);
    int64_t next_timeouts_us = h->now.next_timeouts_us;
    model_copy(&h->now, out->states[state]);
    h->now.next_timeouts_us = next_timeouts_us;
    for (uint32_t i = 0; i < h->now.n_parked;) {
        if (client_look(&h->clients[h->now.parked[i].client].c) == CLIENT_WAITS) {
            ++i;
            continue;
        }
        --h->now.n_parked;
        memmove(&h->now.parked[i], &h->now.parked[i + 1], (h->now.n_parked - i) * sizeof(h->now.parked[0]));
    }
    adopt_times(h, &h->now);
    if (sweep_clients(h) != 0)
        return -1;
    /* A long change may have broken off: what a restart is for. */
    return restart(h);
}

/* Sends the operations, and lets time pass for those that it brings. Returns what settling returned. */
static int carry_out(history *h, const op *ops, uint32_t n, const trouble *t)
{
    int held = n > 1, rc = 0;
    if (held)
        hold_writer(h);
    if (!held)
        arm(h, t);
    for (uint32_t i = 0; i < n; ++i) {
        if (ops[i].kind < OP_EXPIRE)
            send_op(h, &ops[i]);
    }
    if (held) {
        arm(h, t);
        release_writer();
    }
    if (t->what == TROUBLE_OUTAGE) {
        wait_for_outage(h, ops, n);
        shim_disarm();
    }
    rc = manager_settle(&h->manager);
    /* What the deletion of a job leaves is removed afterwards. */
    for (uint32_t i = 0; i < n && rc == 0; ++i) {
        if (ops[i].kind != OP_JOB_DELETE || h->clients[ops[i].client].c.status != 204)
            continue;
        if (t->nomem)
            shim_disarm(); /* a purge that finds no memory leaves the remains to the next start */
        fl_purge_submit(&h->manager.f, h->job_keys[ops[i].job]);
        rc = manager_settle(&h->manager);
    }
    while (rc == 0 && ops[0].kind >= OP_EXPIRE && timers_fire(h->manager.f.timers))
        rc = manager_settle(&h->manager);
    if (shim_disarm() + disk_disarm() > 0)
        say(h, "  it came");
    return rc;
}

static int play(history *h, op *ops, uint32_t n, trouble *t)
{
    m_outcome *out = calloc(1, sizeof(*out));
    if (out == NULL)
        abort();
    int crash = t->what == TROUBLE_SHIM && t->shim.kind >= SHIM_CRASH_CALL, result;
    int lenient = t->what == TROUBLE_OUTAGE || t->nomem || (h->outages && t->what != TROUBLE_NONE && !crash);
    /* A step that fails twice lets others overtake it. */
    if ((n > 1 || h->now.n_parked > 0) && t->what == TROUBLE_SHIM && t->shim.kind == SHIM_FAIL_CALL)
        t->shim.times = 1;
    for (uint32_t i = 0; i < n; ++i) {
        char words[160];
        describe_op(h, &ops[i], words, sizeof(words));
        ops[i].client = ops[i].kind < OP_EXPIRE ? new_client(h) : M_NONE;
        say(h, "%llu%s %s", (unsigned long long)h->counts.operations, n > 1 ? "+" : "", words);
        ++h->counts.operations;
    }
    if (t->what != TROUBLE_NONE)
        say(h, "  trouble: %s", describe_trouble(t));
    /* One that is found dead while others are asked lets the next in before them; the model knows only the oldest. */
    if (h->now.n_parked > 1 || n > 1)
        notice_zombies(h);
    uint64_t failures = shim_failures() + disk_failures();
    model after = h->now;
    model_run(&after, &h->world, ops, n, out);
    int rc = carry_out(h, ops, n, t);
    h->counts.failures += shim_failures() + disk_failures() - failures;
    h->now = after;
    if (out->overflow)
        result = wrong(h, "the model is too small for this history");
    else if (rc < 0)
        result = wrong(h, "%s", h->manager.failure);
    else if (rc > 0)
        result = after_crash(h, ops, n, out);
    else
        result = check_all(h, ops, n, out, lenient);
    model_outcome_fini(out);
    free(out);
    return result;
}

static void plan_crash(history *h, trouble *t)
{
    *t = (trouble){ .what = TROUBLE_SHIM };
    t->shim.kind = (shim_kind)(SHIM_CRASH_CALL + roll(h, 3));
    t->shim.countdown = t->shim.kind == SHIM_CRASH_CALL ? 1 + roll(h, 40) : 1 + roll(h, 3);
    draw_cut(h);
}

static int let_time_pass(history *h)
{
    static const int64_t steps_s[] = { 1, 20, 70, 70, 360, 360, 900, 90000 };
    op ops[2] = { { .kind = OP_EXPIRE, .worker = M_NONE, .job = M_NONE, .task = M_NONE },
                  { .kind = OP_TIMEOUTS, .worker = M_NONE, .job = M_NONE, .task = M_NONE } };
    trouble t;
    uint32_t n = 1;
    choose_trouble(h, &t);
    if (t.what == TROUBLE_OUTAGE || t.nomem || h->outages)
        t.what = TROUBLE_NONE;
    notice_zombies(h);
    adopt_times(h, &h->now);
    int64_t now_us = h->manager.now_us + steps_s[roll(h, 8)] * SECOND_US;
    __atomic_store_n(&h->manager.now_us, now_us, __ATOMIC_RELEASE);
    h->now.now_us = now_us;
    say(h, "time +%llds", (long long)((now_us - INT64_C(1700000000000000)) / SECOND_US));
    if (now_us >= h->now.next_timeouts_us) {
        n = 2;
        h->now.next_timeouts_us = now_us + 60 * SECOND_US;
    }
    return play(h, ops, n, &t);
}

/* Tells whether the worker of ops[n] is busy with one of those before it. */
static int asks_already(const op *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i) {
        if (ops[n].kind <= OP_MAY_RUN && ops[i].kind <= OP_MAY_RUN && ops[i].worker == ops[n].worker)
            return 1;
    }
    return 0;
}

static int play_some(history *h)
{
    op ops[GROUP_MAX];
    trouble t;
    uint32_t n = 0, wanted = roll(h, 4) ? 1 : 2 + roll(h, GROUP_MAX - 1);
    int64_t now_us = h->manager.now_us + roll(h, 5000);
    __atomic_store_n(&h->manager.now_us, now_us, __ATOMIC_RELEASE);
    h->now.now_us = now_us;
    uint32_t crash = h->options.crashes != 0 ? h->options.crashes : 3;
    if (roll(h, 100) < crash)
        plan_crash(h, &t);
    else
        choose_trouble(h, &t);
    int weak = t.what == TROUBLE_OUTAGE || t.nomem || (h->outages && t.what != TROUBLE_NONE);
    if (t.what == TROUBLE_OUTAGE && !h->outages)
        t.what = TROUBLE_NONE;
    if (weak) {
        /* Who is given up then, and who is served in his place, is more than the model wants to know. */
        while (h->now.n_parked > 0)
            break_parked(h, 0, 1);
        collect_zombies(h);
        wanted = 1;
    }
    while (n < wanted) {
        int alone = 0;
        choose_op(h, &h->now, &ops[n], &alone);
        if ((alone && n > 0) || asks_already(ops, n))
            break;
        if (ops[n].kind <= OP_MAY_RUN && ops[n].kind != OP_REGISTER) {
            /* Checking a new secret takes a detour, on which others overtake it. */
            if (n > 0 && !(h->known >> ops[n].worker & 1))
                break;
            alone |= !(h->known >> ops[n].worker & 1);
            h->known |= 1u << ops[n].worker;
            break_older(h, ops[n].worker);
        }
        ++n;
        if (alone)
            break;
    }
    return play(h, ops, n, &t);
}

static int finish(history *h)
{
    if (check_store(h) != 0)
        return -1;
    return restart(h);
}

static void tell_model(const history *h)
{
    const model *m = &h->now;
    for (uint32_t i = 0; i < m->n_workers; ++i) {
        const m_worker *w = &m->workers[i];
        fprintf(stderr, "  w%u %s '%s' requested '%s' types %x tags %x\n", i, w->deleted ? "deleted" : "",
                flamenco_worker_status_text(w->status), flamenco_worker_status_text(w->requested), w->types, w->tags);
    }
    for (uint32_t j = 0; j < m->n_jobs; ++j) {
        const m_job *job = &m->jobs[j];
        if (!job->exists || job->deleted)
            continue;
        fprintf(stderr, "  j%u %s priority %d tag %u%s blocked %x %x %x %x\n", j, flamenco_job_status_text(job->status),
                job->priority, job->tag, job->marked ? " marked" : "", job->blocked[0], job->blocked[1],
                job->blocked[2], job->blocked[3]);
        for (uint32_t t = job->first; t < job->first + job->n && job->n < 100; ++t) {
            uint32_t open = 0;
            model_is_open(m, &h->world, j, t, &open);
            fprintf(stderr, "    t%u %s type %u priority %d w%d waits for %u failed by %x\n", t,
                    flamenco_task_status_text(m->tasks[t].status), m->tasks[t].type, m->tasks[t].priority,
                    m->tasks[t].worker, open, m->tasks[t].failed_by);
        }
    }
}

static void tell_failure(const history *h)
{
    if (h->options.verbose)
        tell_model(h);
    uint64_t first = h->n_lines > LAST_LINES ? h->n_lines - LAST_LINES : 0;
    fprintf(stderr, "seed %llu FAILED: %s\nthe last operations:\n", (unsigned long long)h->options.seed, h->wrong);
    for (uint64_t i = first; i < h->n_lines; ++i)
        fprintf(stderr, "  %s\n", h->lines[i % LAST_LINES]);
    fprintf(stderr, "replay it with: simulation --verbose --seed %llu", (unsigned long long)h->options.seed);
    if (h->options.power)
        fprintf(stderr, " --power");
    if (h->options.crashes != 0)
        fprintf(stderr, " --crashes %u", h->options.crashes);
    if (h->options.operations != 0)
        fprintf(stderr, " --operations %u", h->options.operations);
    fputc('\n', stderr);
}

int history_play(const play_options *options, const char *directory, play_counts *add_to)
{
    history *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return -1;
    h->options = *options;
    h->random = (options->seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
    for (int i = 0; i < 8; ++i)
        (void)roll(h, 2);
    choose_world(h);
    manager_init(&h->manager, &h->world, directory, options->scheduler);
    h->outages = roll(h, 3) == 0;
    h->now.now_us = h->manager.now_us;
    uint32_t operations = options->operations != 0 ? options->operations : 120 + roll(h, 120);
    int rc = start(h);
    for (uint32_t i = 0; i < operations && rc == 0; ++i) {
        uint32_t what = roll(h, 100);
        if (what < 4)
            rc = let_time_pass(h);
        else if (what < 5)
            rc = restart(h);
        else if (what < 8 && h->now.n_parked > 0)
            break_parked(h, roll(h, h->now.n_parked), roll(h, 2) == 0);
        else
            rc = play_some(h);
        if (rc == 0 && i % 8 == 0)
            rc = check_store(h);
    }
    if (rc == 0)
        rc = finish(h);
    if (h->runs)
        manager_stop(&h->manager);
    if (rc == 0 && h->manager.failure[0] != '\0')
        rc = wrong(h, "%s", h->manager.failure);
    if (rc != 0)
        tell_failure(h);
    forget_clients(h);
    manager_fini(&h->manager);
    add_to->operations += h->counts.operations;
    add_to->requests += h->counts.requests;
    add_to->failures += h->counts.failures;
    add_to->crashes += h->counts.crashes;
    add_to->power_losses += h->counts.power_losses;
    add_to->restarts += h->counts.restarts;
    add_to->events += h->counts.events;
    add_to->handed_out += h->counts.handed_out;
    add_to->checks += h->counts.checks;
    free(h);
    return rc;
}
