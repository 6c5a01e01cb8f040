/* SPDX-License-Identifier: Apache-2.0
 *
 * writer.c - the executor's one writing thread: a savepoint per step, many steps per durable commit (architecture 2). After
 * trouble the steps of a failed batch run again one by one, so that a poisonous one fails alone.
 */
#include "core/executor_impl.h"

#include <sched.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/touches.h"

#define TOUCH_EVERY_US 1000000
#define TOUCHES_AT_ONCE 1000
#define TROUBLE_FIRST_US 20000
#define TROUBLE_MOST_US 1000000

typedef struct writer {
    fl_executor *ex;
    struct flamenco *f;
    flamenco_persistence_ref *persist;
    fl_batch *batch;
    fl_cx txn; /* the transaction's own context; steps get copies with its txn */
    fl_step transaction_step; /* stands for the transaction itself in contexts */
    fl_arena *arena; /* for steps that bring none */
    fl_step_queue steps; /* that ran in this batch, in order; step->result tells the outcome */
    uint64_t in_doubt; /* number of a batch whose commit failed and may be in the store all the same; 0 = none */
    flamenco_error doubt; /* that failure */
    int64_t touched_us; /* when touches were stored last */
    flamenco_touch touches[TOUCHES_AT_ONCE];
    size_t n_touches; /* taken for this batch */
} writer;

static void note_running(writer *w, const char *name, int64_t deadline_us)
{
    __atomic_store_n(&w->ex->writer_running.deadline_us, deadline_us, __ATOMIC_RELAXED);
    __atomic_store_n(&w->ex->writer_running.name, name, __ATOMIC_RELEASE);
}

/* Begins a batch. On failure the store cannot be used now. */
static int32_t begin_batch(writer *w, flamenco_error *err)
{
    if (w->batch == NULL)
        w->batch = fl_batch_create();
    if (w->batch == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "no memory for a batch");
    memset(&w->transaction_step, 0, sizeof(w->transaction_step));
    w->transaction_step.deadline_us = fl_monotonic_us() + w->ex->config.step_deadline_us;
    fl_executor_cx(w->ex, &w->transaction_step, w->arena, w->batch, 0, &w->txn);
    note_running(w, "begin", w->transaction_step.deadline_us);
    return flamenco_persist_begin(w->persist, w->ex->writer_session, &w->txn.pub, err);
}

/* Begins a step's savepoint. *unlikely: one that the store need not be able to undo. */
static int32_t begin_savepoint(writer *w, fl_step *step, flamenco_cx *cx, int *unlikely)
{
    int32_t rc = FLAMENCO_E_UNSUPPORTED;
    if (step->ops->seldom_undone && !step->alone)
        rc = flamenco_persist_savepoint_unlikely(w->persist, cx, &step->error);
    *unlikely = rc != FLAMENCO_E_UNSUPPORTED;
    return *unlikely ? rc : flamenco_persist_savepoint(w->persist, cx, &step->error);
}

/* How a step leaves its batch. */
enum { WHOLE, SPOILED, NOT_UNDONE };

/* Runs one step in a savepoint. Returns what the step returned, or what spoils the batch: a passing error, CORRUPT, or that
 * its changes cannot be undone without those of the others. */
static int32_t run_step(writer *w, fl_step *step, int *spoiled)
{
    int unlikely;
    fl_cx cx;
    fl_effect **mark = fl_batch_mark(w->batch);
    *spoiled = SPOILED;
    memcpy(step->cursor_before, step->cursor, sizeof(step->cursor));
    step->wakes_seen = fl_parked_wakes(w->f->parked);
    step->error.struct_size = (uint32_t)sizeof(step->error);
    fl_executor_cx(w->ex, step, step->arena != NULL ? step->arena : w->arena, w->batch, 0, &cx);
    cx.pub.txn = w->txn.pub.txn;
    int32_t rc = begin_savepoint(w, step, &cx.pub, &unlikely);
    if (rc != FLAMENCO_OK)
        return rc;
    note_running(w, step->ops->name, step->deadline_us);
    fl_log_set_request(step->request_id);
    int32_t result = step->ops->run(&cx, step, &step->error);
    fl_log_set_request((flamenco_str){ NULL, 0 });
    if (fl_error_is_passing(result) || result == FLAMENCO_E_CORRUPT)
        return result;
    int keep = result == FLAMENCO_OK || result == FLAMENCO_AGAIN || result == FL_STEP_PARK;
    flamenco_error end = FLAMENCO_ERROR_INIT;
    if (keep) {
        rc = flamenco_persist_release(w->persist, &cx.pub, &end);
    } else {
        rc = flamenco_persist_rollback_to(w->persist, &cx.pub, &end);
        fl_batch_cut(w->batch, mark);
    }
    if (rc != FLAMENCO_OK) {
        *spoiled = unlikely && !keep && rc == FLAMENCO_E_UNAVAILABLE ? NOT_UNDONE : SPOILED;
        step->error = end;
        return fl_error_is_passing(rc) ? rc : FLAMENCO_E_IO;
    }
    *spoiled = WHOLE;
    return result;
}

static void give_touches_back(writer *w)
{
    if (w->n_touches > 0)
        fl_touches_give_back(w->f->touches, w->touches, w->n_touches);
    w->n_touches = 0;
}

static void store_touches(writer *w, int64_t now_us)
{
    int64_t every_us = w->ex->config.touch_us > 0 ? w->ex->config.touch_us : TOUCH_EVERY_US;
    if (now_us - w->touched_us < every_us && w->touched_us != 0)
        return;
    w->n_touches = fl_touches_take(w->f->touches, 0, w->touches, TOUCHES_AT_ONCE);
    if (w->n_touches < TOUCHES_AT_ONCE)
        w->touched_us = now_us;
    if (w->n_touches == 0)
        return;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = flamenco_persist_savepoint(w->persist, &w->txn.pub, &err);
    if (rc == FLAMENCO_OK) {
        rc = flamenco_persist_touches(w->persist, &w->txn.pub, w->touches, sizeof(w->touches[0]), w->n_touches, &err);
        flamenco_error end = FLAMENCO_ERROR_INIT; /* when this fails, the commit does, too */
        int32_t ended = rc == FLAMENCO_OK ? flamenco_persist_release(w->persist, &w->txn.pub, &end)
                                          : flamenco_persist_rollback_to(w->persist, &w->txn.pub, &end);
        rc = rc == FLAMENCO_OK ? ended : rc;
    }
    if (rc == FLAMENCO_OK)
        return;
    fl_warn("executor", "cannot store last-seen times now: %s", err.text);
    give_touches_back(w);
}

/* Puts the batch's steps back to where they were, before everything that waits, in their order. */
static void give_back(writer *w)
{
    for (fl_step *step = w->steps.first; step != NULL; step = step->next) {
        memcpy(step->cursor, step->cursor_before, sizeof(step->cursor));
        step->alone = 1;
    }
    pthread_mutex_lock(&w->ex->lock);
    w->ex->stats.retried_steps += w->steps.length;
    fl_queue_push_front(&w->ex->writes, &w->steps);
    pthread_mutex_unlock(&w->ex->lock);
}

/* No upkeep is done while the store fails, so nobody would open the gate again: what cannot be written can still be read. */
static void open_gate(fl_executor *ex)
{
    pthread_mutex_lock(&ex->lock);
    if (ex->quiet_wanted) {
        ex->quiet_wanted = 0;
        pthread_cond_broadcast(&ex->reader_wake);
    }
    pthread_mutex_unlock(&ex->lock);
}

/* The store fails: notes it, lets readers in, and waits longer each time before the next try. */
static void note_trouble(writer *w, int32_t code, const char *text)
{
    fl_executor *ex = w->ex;
    int64_t first_us = ex->config.retry_us > 0 ? ex->config.retry_us : TROUBLE_FIRST_US;
    if (ex->trouble_wait_us == 0)
        fl_error("executor", "the store refuses to write: %s; trying again", text);
    ex->trouble_wait_us = ex->trouble_wait_us == 0 ? first_us : ex->trouble_wait_us * 2;
    if (ex->trouble_wait_us > TROUBLE_MOST_US)
        ex->trouble_wait_us = TROUBLE_MOST_US;
    open_gate(ex);
    if (code == FLAMENCO_E_CORRUPT || code == FLAMENCO_E_CONFLICT)
        fl_manager_fail(w->f, text);
}

/* The session may be what is broken: a connection that was lost, or was opened while nothing could be written. */
static void renew_session(writer *w, int32_t code)
{
    if (code != FLAMENCO_E_UNAVAILABLE)
        return;
    flamenco_persist_close(w->persist, w->ex->writer_session);
    w->ex->writer_session = NULL;
}

/* Undoes the batch; its steps will run again alone. */
static void undo_batch(writer *w)
{
    fl_executor *ex = w->ex;
    flamenco_persist_rollback(w->persist, &w->txn.pub);
    fl_batch_cut(w->batch, &w->batch->first);
    give_touches_back(w);
    give_back(w);
    pthread_mutex_lock(&ex->lock);
    ++ex->stats.failed_batches;
    pthread_mutex_unlock(&ex->lock);
}

/* The same for trouble of the store: the steps fail when their time is over. */
static void fail_batch(writer *w, int32_t code, const char *text)
{
    undo_batch(w);
    renew_session(w, code);
    note_trouble(w, code, text);
}

/* Hands the committed batch to the publisher, and chains back to the queue. number: the last one's when there was nothing to
 * commit. */
static void hand_on(writer *w, uint64_t number)
{
    fl_executor *ex = w->ex;
    int is_commit = number != ex->batch_number;
    fl_step_queue ended, again;
    fl_queue_init(&ended);
    fl_queue_init(&again);
    for (fl_step *step; (step = fl_queue_pop(&w->steps)) != NULL;) {
        if (step->result == FL_STEP_PARK)
            fl_parked_add(w->f->parked, step);
        else
            fl_queue_push(step->result == FLAMENCO_AGAIN ? &again : &ended, step);
    }
    w->n_touches = 0;
    ex->batch_number = number;
    pthread_mutex_lock(&ex->lock);
    ex->takes_reads = 1;
    ex->stats.batches += is_commit ? 1 : 0;
    ex->stats.write_steps += ended.length + again.length;
    for (fl_step *step; (step = fl_queue_pop(&again)) != NULL;) {
        step->deadline_us = fl_monotonic_us() + ex->config.step_deadline_us;
        if (!ex->stopping) {
            fl_queue_push(&ex->writes, step);
        } else { /* chains end at a step; the next start repairs or goes on */
            step->result = flamenco_fail(&step->error, FLAMENCO_E_CANCELLED, "the manager is stopping");
            fl_queue_push(&ended, step);
        }
    }
    pthread_mutex_unlock(&ex->lock);
    w->batch->number = number;
    w->batch->done_first = ended.first;
    fl_publisher_submit(w->f->publisher, w->batch);
    w->batch = NULL;
    if (ex->trouble_wait_us != 0)
        fl_info("executor", "the store writes again");
    ex->trouble_wait_us = 0;
}

/* A commit failed, and only the store itself knows what became of it: it is asked in a new session. As long as it does not
 * answer, the batch is neither done nor undone; running its steps again could do them twice. */
static void settle_doubt(writer *w)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t last = 0, number = w->in_doubt;
    flamenco_persist_close(w->persist, w->ex->writer_session);
    w->ex->writer_session = NULL;
    note_running(w, "last_batch", fl_monotonic_us() + w->ex->config.step_deadline_us);
    int32_t rc = flamenco_persist_open(w->persist, FLAMENCO_SESSION_WRITER, &w->ex->writer_session, &err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_batch(w->persist, w->ex->writer_session, &last, &err);
    if (rc != FLAMENCO_OK) {
        /* What the commit ran into tells people more than why the store cannot be asked. */
        note_trouble(w, rc, fl_error_is_passing(rc) ? w->doubt.text : err.text);
        return;
    }
    w->in_doubt = 0;
    if (last == number)
        hand_on(w, number);
    else
        fail_batch(w, w->doubt.code, w->doubt.text);
}

static void commit_batch(writer *w)
{
    fl_executor *ex = w->ex;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t number = ex->batch_number + 1;
    int64_t begun_us = fl_monotonic_us();
    note_running(w, "commit", begun_us + ex->config.step_deadline_us);
    int32_t rc = flamenco_persist_commit(w->persist, &w->txn.pub, number, &err);
    if (rc == FLAMENCO_OK) {
        pthread_mutex_lock(&ex->lock);
        ex->stats.commit_us += (uint64_t)(fl_monotonic_us() - begun_us);
        pthread_mutex_unlock(&ex->lock);
        hand_on(w, number);
    } else if (rc == FLAMENCO_E_CORRUPT || rc == FLAMENCO_E_CONFLICT) {
        fail_batch(w, rc, err.text);
    } else {
        w->in_doubt = number;
        w->doubt = err;
        settle_doubt(w);
        if (ex->trouble_wait_us == 0)
            fl_warn("executor", "a commit was reported as failed and is in the store all the same: %s", err.text);
    }
}

/* Ends a batch of nothing but reads: there is nothing to make durable. */
static void end_unchanged(writer *w)
{
    flamenco_persist_rollback(w->persist, &w->txn.pub);
    hand_on(w, w->ex->batch_number);
}

/* Ends a step that failed for good, without a transaction. */
static void end_step(writer *w, fl_step *step, int32_t result)
{
    fl_batch *batch = fl_batch_create();
    step->result = result;
    if (batch == NULL) {
        step->ops->done(step, result, &step->error);
        return;
    }
    step->next = NULL;
    batch->done_first = step;
    fl_publisher_submit(w->f->publisher, batch);
}

/* Takes a step that spoiled its batch, which is given up. */
static void spoil(writer *w, fl_step *step, int32_t result)
{
    flamenco_error err = step->error;
    if (!fl_error_is_passing(result) || (step->alone && fl_monotonic_us() >= step->deadline_us)) {
        end_step(w, step, result);
    } else if (step->alone) {
        /* It failed alone: it goes to the end, so that it does not hold up the others. */
        memcpy(step->cursor, step->cursor_before, sizeof(step->cursor));
        pthread_mutex_lock(&w->ex->lock);
        fl_queue_push(&w->ex->writes, step);
        pthread_mutex_unlock(&w->ex->lock);
    } else {
        fl_queue_push(&w->steps, step);
    }
    fail_batch(w, result, err.text);
}

/* The next step of this batch; NULL ends it. A step that must run alone ends a batch that has begun. */
static fl_step *next_step(writer *w, uint64_t in_batch, int64_t begun_us)
{
    fl_executor *ex = w->ex;
    fl_step *step = NULL;
    pthread_mutex_lock(&ex->lock);
    int full =
        in_batch > 0 && (in_batch >= ex->config.batch_steps || fl_monotonic_us() - begun_us >= ex->config.batch_us);
    if (!full && ex->writes.first != NULL && !(ex->writes.first->alone && in_batch > 0) && !fl_executor_is_over(ex))
        step = fl_queue_pop(&ex->writes);
    pthread_mutex_unlock(&ex->lock);
    return step;
}

/* As next_step, but before the batch ends it lets other threads run once: under load they bring more steps, which then share
 * the commit; on an idle machine the yield returns at once. */
static fl_step *next_step_yielding(writer *w, uint64_t in_batch, int64_t begun_us)
{
    fl_step *step = next_step(w, in_batch, begun_us);
    if (step != NULL || in_batch == 0)
        return step;
    (void)sched_yield();
    return next_step(w, in_batch, begun_us);
}

/* Runs steps until the batch is full or nothing waits, and commits. */
static void run_batch(writer *w)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int64_t begun_us = fl_monotonic_us();
    uint64_t in_batch = 0, writes = 0;
    int32_t rc = begin_batch(w, &err);
    if (rc != FLAMENCO_OK) {
        /* Nothing ran yet: who waits keeps his place, until his time is over (expire_waiting). */
        renew_session(w, rc);
        note_trouble(w, rc, err.text);
        return;
    }
    for (fl_step *step; (step = next_step_yielding(w, in_batch, begun_us)) != NULL; ++in_batch) {
        int alone = step->alone != 0;
        writes += step->ops->kind == FLAMENCO_STEP_WRITE;
        int spoiled = WHOLE;
        int32_t result = run_step(w, step, &spoiled);
        if (spoiled == SPOILED) {
            spoil(w, step, result);
            return;
        }
        if (spoiled == NOT_UNDONE) {
            fl_queue_push(&w->steps, step);
            undo_batch(w);
            return;
        }
        step->result = result;
        step->alone = 0;
        fl_queue_push(&w->steps, step);
        if (alone)
            break;
    }
    store_touches(w, fl_monotonic_us());
    if (in_batch > 0 && writes == 0 && w->n_touches == 0 && w->ex->trouble_wait_us == 0)
        end_unchanged(w);
    else
        commit_batch(w);
}

/* Moves the steps whose deadline has passed from one queue to the other. */
static void take_expired(fl_step_queue *queue, fl_step_queue *expired)
{
    fl_step_queue keep;
    fl_queue_init(&keep);
    int64_t now_us = fl_monotonic_us();
    for (fl_step *step; (step = fl_queue_pop(queue)) != NULL;)
        fl_queue_push(now_us >= step->deadline_us ? expired : &keep, step);
    fl_queue_push_front(queue, &keep);
}

/* During trouble: ends the steps that have waited until their deadline. Those of a batch in doubt are not there any more when
 * the doubt is settled; what they did counts or not, as the store says. */
static void expire_waiting(writer *w)
{
    fl_executor *ex = w->ex;
    fl_step_queue expired;
    fl_queue_init(&expired);
    take_expired(&w->steps, &expired);
    pthread_mutex_lock(&ex->lock);
    take_expired(&ex->writes, &expired);
    pthread_mutex_unlock(&ex->lock);
    for (fl_step *step; (step = fl_queue_pop(&expired)) != NULL;) {
        step->error.struct_size = (uint32_t)sizeof(step->error);
        if (!fl_error_is_passing(step->error.code))
            flamenco_fail(&step->error, FLAMENCO_E_UNAVAILABLE, "the store could not be written in time");
        end_step(w, step, step->error.code);
    }
}

/* What cannot be written can still be read: the steps that only rode along go to the readers. The lock is held. */
static void send_readers_back(fl_executor *ex)
{
    fl_step_queue writes;
    fl_queue_init(&writes);
    ex->takes_reads = 0;
    for (fl_step *step; (step = fl_queue_pop(&ex->writes)) != NULL;) {
        if (step->ops->kind == FLAMENCO_STEP_READ) {
            step->alone = 0;
            fl_queue_push(&ex->reads, step);
        } else {
            fl_queue_push(&writes, step);
        }
    }
    fl_queue_push_front(&ex->writes, &writes);
    if (ex->reads.first != NULL)
        pthread_cond_broadcast(&ex->reader_wake);
}

/* Waits for something to do. Returns 0 when the executor stops and nothing is left. */
static int wait_for_work(writer *w, int *quiet_now)
{
    fl_executor *ex = w->ex;
    if (ex->trouble_wait_us > 0)
        expire_waiting(w);
    pthread_mutex_lock(&ex->lock);
    if (ex->trouble_wait_us > 0)
        send_readers_back(ex);
    if (ex->trouble_wait_us > 0 && !fl_executor_is_over(ex))
        fl_monotonic_pause(&ex->writer_wake, &ex->lock, ex->trouble_wait_us);
    while (ex->writes.first == NULL && w->in_doubt == 0 && !ex->stopping &&
           !(ex->quiet_wanted && ex->readers_in_txn == 0)) {
        fl_monotonic_wait(&ex->writer_wake, &ex->lock, TOUCH_EVERY_US);
        if (fl_touches_pending(w->f->touches))
            break;
    }
    *quiet_now = ex->quiet_wanted && ex->readers_in_txn == 0;
    int go_on = (ex->writes.first != NULL && !fl_executor_is_over(ex)) || !ex->stopping;
    pthread_mutex_unlock(&ex->lock);
    return go_on;
}

/* Lets the store tidy up, and shuts or opens the gate for readers. */
static void maintain(writer *w, int quiet_now)
{
    fl_executor *ex = w->ex;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (ex->writer_session == NULL)
        return;
    uint32_t phase = quiet_now ? FLAMENCO_MAINTAIN_QUIET : FLAMENCO_MAINTAIN_COMMITTED;
    note_running(w, "maintain", fl_monotonic_us() + ex->config.step_deadline_us);
    if (flamenco_persist_maintain(w->persist, ex->writer_session, phase, &err) != FLAMENCO_OK)
        fl_warn("executor", "the store's upkeep failed: %s", err.text);
    uint32_t wanted = flamenco_persist_wants_quiet(w->persist);
    if (wanted == ex->quiet_wanted && !quiet_now)
        return;
    pthread_mutex_lock(&ex->lock);
    ex->quiet_wanted = quiet_now ? 0 : wanted;
    pthread_cond_broadcast(&ex->reader_wake);
    pthread_mutex_unlock(&ex->lock);
}

static int reopen_session(writer *w)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (w->ex->writer_session != NULL)
        return 1;
    int32_t rc = flamenco_persist_open(w->persist, FLAMENCO_SESSION_WRITER, &w->ex->writer_session, &err);
    if (rc != FLAMENCO_OK)
        note_trouble(w, rc, err.text);
    return rc == FLAMENCO_OK;
}

void *fl_writer_main(void *arg)
{
    fl_executor *ex = arg;
    (void)pthread_setname_np(pthread_self(), "writer");
    writer *w = calloc(1, sizeof(*w));
    if (w == NULL || (w->arena = fl_arena_create(0)) == NULL) {
        free(w);
        fl_manager_fail(ex->f, "no memory for the writer");
        return NULL;
    }
    w->ex = ex;
    w->f = ex->f;
    w->persist = &ex->f->persist;
    fl_queue_init(&w->steps);
    for (int quiet_now = 0; wait_for_work(w, &quiet_now);) {
        if (w->in_doubt != 0) {
            settle_doubt(w);
        } else if (reopen_session(w)) {
            run_batch(w);
            if (ex->trouble_wait_us == 0)
                maintain(w, quiet_now);
        }
        note_running(w, NULL, 0);
        fl_arena_reset(w->arena);
    }
    if (w->in_doubt != 0)
        settle_doubt(w);
    if (w->in_doubt != 0)
        give_back(w); /* their callers hear that the manager stops */
    /* The last touches, so that a restart knows who was seen. */
    while (w->in_doubt == 0 && reopen_session(w)) {
        w->touched_us = 0;
        run_batch(w);
        if (!fl_touches_pending(w->f->touches) || ex->trouble_wait_us != 0)
            break;
    }
    note_running(w, NULL, 0);
    fl_batch_unref(w->batch);
    fl_arena_destroy(w->arena);
    free(w);
    return NULL;
}
