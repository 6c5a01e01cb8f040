/* SPDX-License-Identifier: Apache-2.0
 *
 * The executor's promises: many steps per commit, nothing heard of what did not happen, and after trouble each step on its
 * own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>

#include "bench_core.h"
#include "core/executor_impl.h"
#include "core/publisher.h"
#include "core/touches.h"

#define LONG_US 60000000
#define STEPS 20

static int sum_of(const fake_store *store)
{
    int64_t sum = 0;
    for (size_t i = 0; i < store->n_committed; ++i)
        sum += store->committed[i];
    return (int)sum;
}

static void steps_that_wait_share_one_commit(void **state)
{
    (void)state;
    static bench b;
    static bench_step s[STEPS];
    bench_start(&b, LONG_US);
    bench_hold(&b);
    for (int i = 0; i < STEPS; ++i) {
        bench_step_init(&s[i], &b, FLAMENCO_STEP_WRITE, i + 1);
        bench_submit(&s[i]);
    }
    uint32_t before = b.store.commits;
    bench_release(&b);
    bench_wait(&b, STEPS);
    assert_int_equal(b.store.commits - before, 2); /* the holder's and theirs */
    for (int i = 0; i < STEPS; ++i) {
        assert_int_equal(s[i].result, FLAMENCO_OK);
        assert_int_equal(s[i].ended, i + 1); /* answered in order */
        assert_int_equal(b.store.committed[i], i + 1);
    }
    bench_stop(&b);
}

static void a_step_that_cannot_be_undone_alone_has_its_batch_run_again(void **state)
{
    (void)state;
    static bench b;
    static bench_step s[3];
    fl_executor_stats stats;
    bench_start(&b, LONG_US);
    bench_hold(&b);
    for (int i = 0; i < 3; ++i) {
        bench_step_init(&s[i], &b, FLAMENCO_STEP_WRITE, 1 << i);
        bench_step_seldom_undone(&s[i]);
        s[i].returns[0] = i == 1 ? FLAMENCO_E_CONFLICT : FLAMENCO_OK;
        bench_submit(&s[i]);
    }
    bench_release(&b);
    bench_wait(&b, 3);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(s[i].result, i == 1 ? FLAMENCO_E_CONFLICT : FLAMENCO_OK);
        assert_int_equal(s[i].runs, i < 2 ? 2 : 1);
    }
    assert_int_equal(sum_of(&b.store), 5);
    fl_executor_read_stats(b.f.executor, &stats);
    assert_int_equal(stats.failed_batches, 1);
    bench_stop(&b);
}

static void failed_step_leaves_neither_data_nor_events(void **state)
{
    (void)state;
    static bench b;
    static bench_step good, bad, undone;
    bench_start(&b, LONG_US);
    bench_step_init(&good, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&bad, &b, FLAMENCO_STEP_WRITE, 10);
    bench_step_init(&undone, &b, FLAMENCO_STEP_WRITE, 100);
    good.event = "/good";
    bad.event = "/bad";
    undone.event = "/undone";
    bad.returns[0] = FLAMENCO_E_CONFLICT;
    undone.returns[0] = FL_STEP_ROLLBACK;
    bench_hold(&b);
    bench_submit(&bad);
    bench_submit(&good);
    bench_submit(&undone);
    bench_release(&b);
    bench_wait(&b, 3);
    assert_int_equal(bad.result, FLAMENCO_E_CONFLICT);
    assert_int_equal(good.result, FLAMENCO_OK);
    assert_int_equal(undone.result, FL_STEP_ROLLBACK);
    assert_int_equal(sum_of(&b.store), 1);
    assert_string_equal(b.events, "/good");
    bench_stop(&b);
}

static void failed_commit_is_tried_again_alone(void **state)
{
    (void)state;
    static bench b;
    static bench_step s[STEPS];
    bench_start(&b, LONG_US);
    bench_hold(&b);
    for (int i = 0; i < STEPS; ++i) {
        bench_step_init(&s[i], &b, FLAMENCO_STEP_WRITE, 1);
        s[i].event = "/e";
        bench_submit(&s[i]);
    }
    b.store.fail_code = FLAMENCO_E_IO;
    __atomic_store_n(&b.store.fail_commits, 2, __ATOMIC_SEQ_CST); /* the holder's, and the batch's or its first one's */
    bench_release(&b);
    bench_wait(&b, STEPS);
    assert_int_equal(sum_of(&b.store), STEPS); /* each exactly once */
    for (int i = 0; i < STEPS; ++i)
        assert_int_equal(s[i].result, FLAMENCO_OK);
    assert_int_equal(strlen(b.events), STEPS * 3 - 1); /* each event exactly once */
    bench_stop(&b);
}

static void poisonous_step_fails_alone(void **state)
{
    (void)state;
    static bench b;
    static bench_step s[3];
    bench_start(&b, 300000);
    for (int i = 0; i < 3; ++i)
        bench_step_init(&s[i], &b, FLAMENCO_STEP_WRITE, 1);
    s[1].returns[0] = FLAMENCO_E_IO; /* for ever */
    bench_hold(&b);
    for (int i = 0; i < 3; ++i)
        bench_submit(&s[i]);
    bench_release(&b);
    bench_wait(&b, 3);
    assert_int_equal(s[0].result, FLAMENCO_OK);
    assert_int_equal(s[1].result, FLAMENCO_E_IO);
    assert_int_equal(s[2].result, FLAMENCO_OK);
    assert_int_equal(s[1].ended, 3); /* the others did not wait for it */
    assert_int_equal(sum_of(&b.store), 2);
    bench_stop(&b);
}

static void commit_of_unknown_fate_is_not_done_twice(void **state)
{
    (void)state;
    static bench b;
    static bench_step s;
    bench_start(&b, LONG_US);
    bench_step_init(&s, &b, FLAMENCO_STEP_WRITE, 7);
    bench_hold(&b);
    bench_submit(&s);
    bench_release(&b);
    bench_wait(&b, 1);
    static bench_step again;
    bench_step_init(&again, &b, FLAMENCO_STEP_WRITE, 8);
    b.store.fail_code = FLAMENCO_E_UNAVAILABLE;
    b.store.commit_in_secret = 1;
    b.store.fail_commits = 1;
    bench_submit(&again);
    bench_wait(&b, 2);
    assert_int_equal(again.result, FLAMENCO_OK);
    assert_int_equal(again.runs, 1);
    assert_int_equal(sum_of(&b.store), 15);
    bench_stop(&b);
}

static void store_that_stays_away_fails_the_step_at_its_deadline(void **state)
{
    (void)state;
    static bench b;
    static bench_step s;
    bench_start(&b, 200000);
    bench_step_init(&s, &b, FLAMENCO_STEP_WRITE, 1);
    b.store.fail_code = FLAMENCO_E_UNAVAILABLE;
    b.store.fail_begins = UINT32_MAX;
    int64_t begun_us = fl_monotonic_us();
    bench_submit(&s);
    bench_wait(&b, 1);
    assert_int_equal(s.result, FLAMENCO_E_UNAVAILABLE);
    assert_true(fl_monotonic_us() - begun_us >= 200000);
    b.store.fail_begins = 0;
    bench_stop(&b);
}

static void chain_runs_again_behind_others_and_keeps_its_cursor(void **state)
{
    (void)state;
    static bench b;
    static bench_step chain, other;
    bench_start(&b, LONG_US);
    bench_step_init(&chain, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&other, &b, FLAMENCO_STEP_WRITE, 10);
    chain.returns[0] = chain.returns[1] = FLAMENCO_AGAIN;
    chain.returns[2] = FLAMENCO_OK;
    bench_hold(&b);
    bench_submit(&chain);
    bench_submit(&other);
    bench_release(&b);
    bench_wait(&b, 2);
    assert_int_equal(chain.runs, 3);
    assert_int_equal(chain.step.cursor[0], 3);
    assert_int_equal(other.ended, 1);
    assert_int_equal(sum_of(&b.store), 13);
    bench_stop(&b);
}

static void cursor_goes_back_when_the_commit_fails(void **state)
{
    (void)state;
    static bench b;
    static bench_step chain;
    bench_start(&b, LONG_US);
    bench_step_init(&chain, &b, FLAMENCO_STEP_WRITE, 1);
    chain.returns[0] = FLAMENCO_AGAIN;
    chain.returns[1] = FLAMENCO_AGAIN;
    chain.returns[2] = FLAMENCO_OK;
    b.store.fail_code = FLAMENCO_E_IO;
    b.store.fail_commits = 1;
    bench_submit(&chain);
    bench_wait(&b, 1);
    assert_int_equal(chain.runs, 3); /* one of them counted for nothing */
    assert_int_equal(chain.step.cursor[0], 2);
    assert_int_equal(sum_of(&b.store), 2);
    bench_stop(&b);
}

static void reader_sees_errors_and_retries_passing_ones(void **state)
{
    (void)state;
    static bench b;
    static bench_step lost, busy;
    bench_start(&b, LONG_US);
    bench_step_init(&lost, &b, FLAMENCO_STEP_READ, 0);
    bench_step_init(&busy, &b, FLAMENCO_STEP_READ, 0);
    lost.returns[0] = FLAMENCO_E_NOT_FOUND;
    busy.returns[0] = FLAMENCO_E_BUSY;
    busy.returns[1] = FLAMENCO_OK;
    bench_submit(&lost);
    bench_submit(&busy);
    bench_wait(&b, 2);
    assert_int_equal(lost.result, FLAMENCO_E_NOT_FOUND);
    assert_int_equal(lost.runs, 1);
    assert_int_equal(busy.result, FLAMENCO_OK);
    assert_int_equal(busy.runs, 2);
    bench_stop(&b);
}

static void tell_of_quiet(void *ctx)
{
    bench *b = ctx;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* While the writer is held: as if the store worked, or not. */
static void let_ride(bench *b, uint32_t takes_reads)
{
    fl_executor *ex = b->f.executor;
    pthread_mutex_lock(&ex->lock);
    ex->takes_reads = takes_reads;
    pthread_mutex_unlock(&ex->lock);
}

static void a_read_rides_with_a_writer_at_work(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, rider, other, early;
    bench_start(&b, LONG_US);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&rider, &b, FLAMENCO_STEP_READ, 0);
    bench_step_init(&other, &b, FLAMENCO_STEP_READ, 0);
    bench_step_init(&early, &b, FLAMENCO_STEP_READ, 0);
    bench_step_ride(&rider);
    bench_step_ride(&early);
    bench_hold(&b);
    let_ride(&b, 0);
    bench_submit(&early);
    bench_submit(&other);
    bench_wait(&b, 2);
    let_ride(&b, 1);
    bench_submit(&write);
    bench_submit(&rider);
    assert_int_equal(rider.runs, 0);
    bench_release(&b);
    bench_wait(&b, 4);
    assert_int_equal(write.ended, 3);
    assert_int_equal(rider.ended, 4); /* behind what was written before it */
    assert_int_equal(rider.result, FLAMENCO_OK);
    assert_int_equal(rider.runs, 1);
    assert_int_equal(rider.read_only, 0);
    assert_int_equal(early.read_only, 1);
    assert_int_equal(other.read_only, 1);
    bench_stop(&b);
}

static void riders_alone_cost_no_commit(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, riders[2];
    fl_executor_stats before, after;
    bench_start(&b, LONG_US);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_submit(&write);
    bench_wait(&b, 1);
    fl_executor_read_stats(b.f.executor, &before);
    for (int i = 0; i < 2; ++i) {
        bench_step_init(&riders[i], &b, FLAMENCO_STEP_READ, 0);
        bench_step_ride(&riders[i]);
        bench_submit(&riders[i]);
    }
    bench_wait(&b, 3);
    fl_executor_read_stats(b.f.executor, &after);
    assert_int_equal(after.batches, before.batches);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(riders[i].result, FLAMENCO_OK);
        assert_int_equal(riders[i].runs, 1);
        assert_int_equal(riders[i].read_only, 0);
    }
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_submit(&write);
    bench_wait(&b, 4);
    assert_int_equal(write.result, FLAMENCO_OK);
    assert_int_equal(sum_of(&b.store), 2);
    bench_stop(&b);
}

static void riders_go_to_the_readers_when_the_store_fails(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, riders[2];
    bench_start(&b, LONG_US);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    for (int i = 0; i < 2; ++i) {
        bench_step_init(&riders[i], &b, FLAMENCO_STEP_READ, 0);
        bench_step_ride(&riders[i]);
    }
    riders[1].returns[0] = FLAMENCO_E_NOT_FOUND;
    bench_hold(&b);
    let_ride(&b, 1);
    bench_submit(&riders[0]);
    bench_submit(&write);
    bench_submit(&riders[1]);
    b.store.fail_code = FLAMENCO_E_FULL;
    __atomic_store_n(&b.store.fail_commits, 2, __ATOMIC_SEQ_CST); /* the holder's */
    bench_release(&b);
    bench_wait(&b, 3);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(riders[i].result, i == 0 ? FLAMENCO_OK : FLAMENCO_E_NOT_FOUND);
        assert_int_equal(riders[i].runs, 1);
        assert_int_equal(riders[i].read_only, 1);
    }
    assert_int_equal(write.result, FLAMENCO_OK);
    assert_int_equal(sum_of(&b.store), 1);
    bench_stop(&b);
}

static void store_gets_its_quiet_moment(void **state)
{
    (void)state;
    static bench b;
    static bench_step writes[2], read;
    bench_start(&b, LONG_US);
    bench_hold(&b); /* so that the writer looks at none of this yet */
    b.store.on_quiet = tell_of_quiet;
    b.store.on_quiet_ctx = &b;
    __atomic_store_n(&b.store.quiet, 1, __ATOMIC_RELEASE);
    bench_step_init(&writes[0], &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&writes[1], &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    bench_submit(&writes[0]);
    bench_release(&b);
    bench_wait(&b, 1);
    bench_submit(&read); /* may wait at the gate until the store had its moment */
    bench_submit(&writes[1]);
    bench_wait(&b, 3);
    assert_int_equal(read.result, FLAMENCO_OK);
    pthread_mutex_lock(&b.lock);
    while (__atomic_load_n(&b.store.quiet_runs, __ATOMIC_ACQUIRE) == 0) /* also when nothing else happens any more */
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
    bench_stop(&b);
}

static void stopped_executor_refuses_steps(void **state)
{
    (void)state;
    static bench b;
    static bench_step s;
    bench_start(&b, LONG_US);
    bench_step_init(&s, &b, FLAMENCO_STEP_WRITE, 1);
    fl_executor_stop(b.f.executor, fl_monotonic_us() + 1000000);
    bench_submit(&s);
    assert_int_equal(s.result, FLAMENCO_E_CANCELLED);
    assert_int_equal(s.runs, 0);
    bench_stop(&b);
}

/* ---- Stopping ----------------------------------------------------------------------------------------------------- */

/* A read step that stays in its snapshot until it is released. */
typedef struct held_read {
    fl_step step;
    bench *b;
    int running, released, ended;
} held_read;

static int32_t run_held(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    held_read *h = (held_read *)(void *)step;
    (void)cx;
    (void)err;
    pthread_mutex_lock(&h->b->lock);
    h->running = 1;
    pthread_cond_broadcast(&h->b->changed);
    while (!h->released)
        pthread_cond_wait(&h->b->changed, &h->b->lock);
    pthread_mutex_unlock(&h->b->lock);
    return FLAMENCO_OK;
}

static void held_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    held_read *h = (held_read *)(void *)step;
    (void)err;
    pthread_mutex_lock(&h->b->lock);
    h->ended = result == FLAMENCO_OK ? 1 : -1;
    pthread_mutex_unlock(&h->b->lock);
}

static const fl_step_ops held_ops = { .name = "held", .kind = FLAMENCO_STEP_READ, .run = run_held, .done = held_done };

static void hold_reader(held_read *h, bench *b)
{
    memset(h, 0, sizeof(*h));
    h->b = b;
    h->step.ops = &held_ops;
    fl_executor_submit(b->f.executor, &h->step);
    pthread_mutex_lock(&b->lock);
    while (!h->running)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void release_reader(held_read *h)
{
    pthread_mutex_lock(&h->b->lock);
    h->released = 1;
    pthread_cond_broadcast(&h->b->changed);
    pthread_mutex_unlock(&h->b->lock);
}

/* Looks at the executor's own state until it is as wanted. */
static void await_executor(fl_executor *ex, int (*is_so)(const fl_executor *ex))
{
    for (int so = 0; !so; sched_yield()) {
        pthread_mutex_lock(&ex->lock);
        so = is_so(ex);
        pthread_mutex_unlock(&ex->lock);
    }
}

static int gate_is_shut(const fl_executor *ex)
{
    return ex->quiet_wanted != 0;
}

static int is_stopping(const fl_executor *ex)
{
    return ex->stopping != 0;
}

static int nothing_waits(const fl_executor *ex)
{
    return ex->reads.first == NULL && ex->writes.first == NULL;
}

typedef struct stopper {
    pthread_t thread;
    fl_executor *ex;
    int64_t deadline_us;
} stopper;

static void *run_stopper(void *arg)
{
    stopper *s = arg;
    fl_executor_stop(s->ex, s->deadline_us);
    return NULL;
}

/* Begins to stop, and returns when no new step is taken. */
static void begin_stop(stopper *s, bench *b, int64_t in_us)
{
    s->ex = b->f.executor;
    s->deadline_us = fl_monotonic_us() + in_us;
    assert_int_equal(pthread_create(&s->thread, NULL, run_stopper, s), 0);
    await_executor(s->ex, is_stopping);
}

static void stop_lets_readers_at_the_gate_in(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, read;
    static held_read held;
    stopper s;
    bench_start(&b, LONG_US);
    hold_reader(&held, &b);
    __atomic_store_n(&b.store.quiet, 1, __ATOMIC_RELEASE);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    bench_submit(&write);
    await_executor(b.f.executor, gate_is_shut); /* and stays so, since the held one is in its snapshot */
    bench_submit(&read);
    await_executor(b.f.executor, nothing_waits);
    begin_stop(&s, &b, LONG_US);
    release_reader(&held);
    assert_int_equal(pthread_join(s.thread, NULL), 0); /* hangs when the read is forgotten at the gate */
    assert_int_equal(held.ended, 1);
    assert_int_equal(read.result, FLAMENCO_OK);
    assert_int_equal(read.ended > 0, 1);
    bench_stop(&b);
}

static void readers_at_the_gate_are_let_in_when_the_store_fails(void **state)
{
    (void)state;
    static bench b;
    static bench_step first, stuck, read;
    static held_read held;
    bench_start(&b, LONG_US);
    hold_reader(&held, &b);
    __atomic_store_n(&b.store.quiet, 1, __ATOMIC_RELEASE);
    bench_step_init(&first, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&stuck, &b, FLAMENCO_STEP_WRITE, 10);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    bench_submit(&first);
    await_executor(b.f.executor, gate_is_shut); /* and stays so, since the held one is in its snapshot */
    bench_submit(&read);
    await_executor(b.f.executor, nothing_waits);
    b.store.fail_code = FLAMENCO_E_FULL;
    __atomic_store_n(&b.store.fail_commits, UINT32_MAX, __ATOMIC_SEQ_CST);
    bench_submit(&stuck);
    bench_wait(&b, 2); /* hangs when the gate stays shut */
    assert_int_equal(read.result, FLAMENCO_OK);
    __atomic_store_n(&b.store.fail_commits, 0, __ATOMIC_SEQ_CST);
    release_reader(&held);
    bench_wait(&b, 3);
    assert_int_equal(stuck.result, FLAMENCO_OK);
    bench_stop(&b);
}

static void nobody_waits_at_the_gate_for_ever(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, read;
    static held_read held;
    bench_start(&b, LONG_US);
    hold_reader(&held, &b);
    __atomic_store_n(&b.store.quiet, 1, __ATOMIC_RELEASE);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    read.step.deadline_us = fl_monotonic_us() + 50000;
    bench_submit(&write);
    await_executor(b.f.executor, gate_is_shut);
    bench_submit(&read);
    bench_wait(&b, 2);
    assert_int_equal(read.result, FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(read.runs, 0);
    release_reader(&held);
    bench_stop(&b);
}

static void chain_ends_at_a_step_when_the_executor_stops(void **state)
{
    (void)state;
    static bench b;
    static bench_step chain, last;
    stopper s;
    bench_start(&b, LONG_US);
    bench_step_init(&chain, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&last, &b, FLAMENCO_STEP_WRITE, 10);
    chain.returns[0] = FLAMENCO_AGAIN; /* for ever */
    bench_hold(&b);
    bench_submit(&chain);
    bench_submit(&last);
    begin_stop(&s, &b, LONG_US);
    bench_release(&b);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    bench_wait(&b, 2);
    assert_int_equal(chain.runs, 1);
    assert_int_equal(chain.result, FLAMENCO_E_CANCELLED);
    assert_int_equal(last.result, FLAMENCO_OK); /* what was queued is done */
    assert_int_equal(sum_of(&b.store), 11); /* and so is the step of the chain */
    bench_stop(&b);
}

static void stop_waits_for_a_broken_store_no_longer_than_its_deadline(void **state)
{
    (void)state;
    static bench b;
    static bench_step write, read;
    stopper s;
    bench_start(&b, LONG_US);
    bench_step_init(&write, &b, FLAMENCO_STEP_WRITE, 1);
    bench_step_init(&read, &b, FLAMENCO_STEP_READ, 0);
    read.returns[0] = FLAMENCO_E_UNAVAILABLE;
    bench_hold(&b);
    b.store.fail_code = FLAMENCO_E_UNAVAILABLE;
    b.store.fail_begins = UINT32_MAX;
    bench_submit(&write);
    bench_submit(&read);
    begin_stop(&s, &b, 200000);
    bench_release(&b);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    assert_true(fl_monotonic_us() < s.deadline_us + LONG_US / 2);
    bench_wait(&b, 2);
    assert_int_equal(write.result, FLAMENCO_E_CANCELLED);
    assert_int_equal(read.result, FLAMENCO_E_CANCELLED);
    assert_int_equal(sum_of(&b.store), 0);
    bench_stop(&b);
}

static void stop_stores_the_last_touches_however_many(void **state)
{
    (void)state;
    enum { N = 3500 };
    static bench b;
    bench_start(&b, LONG_US);
    bench_hold(&b);
    for (int i = 1; i <= N; ++i) {
        flamenco_touch touch = { (uint32_t)sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, i, 5 };
        fl_touches_note(b.f.touches, &touch);
    }
    stopper s;
    begin_stop(&s, &b, LONG_US);
    bench_release(&b);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    assert_int_equal(sum_of(&b.store), -N * (N + 1) / 2);
    assert_false(fl_touches_pending(b.f.touches));
    bench_stop(&b);
}

static void stop_without_time_cancels_what_is_queued(void **state)
{
    (void)state;
    static bench b;
    static bench_step s[STEPS];
    stopper stop;
    bench_start(&b, LONG_US);
    bench_hold(&b);
    for (int i = 0; i < STEPS; ++i) {
        bench_step_init(&s[i], &b, FLAMENCO_STEP_WRITE, 1);
        bench_submit(&s[i]);
    }
    begin_stop(&stop, &b, -1);
    bench_release(&b);
    assert_int_equal(pthread_join(stop.thread, NULL), 0);
    bench_wait(&b, STEPS);
    for (int i = 0; i < STEPS; ++i) {
        assert_int_equal(s[i].result, FLAMENCO_E_CANCELLED);
        assert_int_equal(s[i].runs, 0);
    }
    assert_int_equal(sum_of(&b.store), 0);
    bench_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_wait_share_one_commit),
        cmocka_unit_test(a_step_that_cannot_be_undone_alone_has_its_batch_run_again),
        cmocka_unit_test(failed_step_leaves_neither_data_nor_events),
        cmocka_unit_test(failed_commit_is_tried_again_alone),
        cmocka_unit_test(poisonous_step_fails_alone),
        cmocka_unit_test(commit_of_unknown_fate_is_not_done_twice),
        cmocka_unit_test(store_that_stays_away_fails_the_step_at_its_deadline),
        cmocka_unit_test(chain_runs_again_behind_others_and_keeps_its_cursor),
        cmocka_unit_test(cursor_goes_back_when_the_commit_fails),
        cmocka_unit_test(reader_sees_errors_and_retries_passing_ones),
        cmocka_unit_test(a_read_rides_with_a_writer_at_work),
        cmocka_unit_test(riders_alone_cost_no_commit),
        cmocka_unit_test(riders_go_to_the_readers_when_the_store_fails),
        cmocka_unit_test(store_gets_its_quiet_moment),
        cmocka_unit_test(stopped_executor_refuses_steps),
        cmocka_unit_test(stop_lets_readers_at_the_gate_in),
        cmocka_unit_test(readers_at_the_gate_are_let_in_when_the_store_fails),
        cmocka_unit_test(nobody_waits_at_the_gate_for_ever),
        cmocka_unit_test(chain_ends_at_a_step_when_the_executor_stops),
        cmocka_unit_test(stop_waits_for_a_broken_store_no_longer_than_its_deadline),
        cmocka_unit_test(stop_stores_the_last_touches_however_many),
        cmocka_unit_test(stop_without_time_cancels_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
