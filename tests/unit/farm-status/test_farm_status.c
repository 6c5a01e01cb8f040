/* SPDX-License-Identifier: Apache-2.0
 *
 * test_farm_status.c - the word for what the farm does (state-and-scheduling 12), on a store that only counts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fake_host.h"
#include "flamenco/calls/farm_status.h"
#include "flamenco/persistence.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIMIT 100

/* ---- A store --------------------------------------------------------------------------------------------------------- */

typedef struct counting_store {
    uint64_t workers[FLAMENCO_WORKER_STATUSES], jobs[FLAMENCO_JOB_STATUSES];
    int32_t fail_workers, fail_jobs;
    unsigned asked;
    void (*meanwhile)(void *ctx); /* called once while a computation runs */
    void *ctx;
} counting_store;

static int32_t workers_count(void *self, flamenco_cx *cx, uint64_t out[FLAMENCO_WORKER_STATUSES], flamenco_error *err)
{
    counting_store *store = self;
    assert_true(cx->read_only);
    ++store->asked;
    if (store->fail_workers != FLAMENCO_OK)
        return flamenco_fail(err, store->fail_workers, "no workers to be had");
    memcpy(out, store->workers, sizeof(store->workers));
    if (store->meanwhile != NULL) {
        void (*meanwhile)(void *) = store->meanwhile;
        store->meanwhile = NULL;
        meanwhile(store->ctx);
    }
    return FLAMENCO_OK;
}

static int32_t jobs_count(void *self, flamenco_cx *cx, uint64_t out[FLAMENCO_JOB_STATUSES], flamenco_error *err)
{
    counting_store *store = self;
    (void)cx;
    if (store->fail_jobs != FLAMENCO_OK)
        return flamenco_fail(err, store->fail_jobs, "no jobs to be had");
    memcpy(out, store->jobs, sizeof(store->jobs));
    return FLAMENCO_OK;
}

static const flamenco_persistence store_table = { .struct_size = (uint32_t)sizeof(flamenco_persistence),
                                                  .workers_count = workers_count,
                                                  .jobs_count = jobs_count };

/* ---- The farm -------------------------------------------------------------------------------------------------------- */

typedef struct world {
    fake_host host;
    counting_store store;
    flamenco_farm_status_ref farm;
} world;

static void begin(world *w)
{
    memset(w, 0, sizeof(*w));
    fake_host_init(&w->host);
    fake_host_serve(&w->host, FLAMENCO_PERSISTENCE, &store_table, &w->store);
    w->farm.self = fake_host_start(&w->host, flamenco_plugin_query());
    w->farm.table = fake_host_table(flamenco_plugin_query(), FLAMENCO_FARM_STATUS);
}

static void end(world *w)
{
    w->host.n_steps = 0; /* the host drops what waits */
    fake_host_stop(&w->host, flamenco_plugin_query(), w->farm.self);
    fake_host_fini(&w->host);
}

/* Runs the waiting steps but the one that waits for the clock. */
static int32_t run(world *w)
{
    flamenco_step timer = { .delay_us = 0 };
    for (size_t i = 0; i < w->host.n_steps; ++i) {
        if (w->host.steps[i].delay_us == 0)
            continue;
        assert_int_equal(timer.delay_us, 0);
        timer = w->host.steps[i];
        memmove(&w->host.steps[i], &w->host.steps[i + 1], (--w->host.n_steps - i) * sizeof(timer));
    }
    assert_true(timer.delay_us > 0);
    int32_t rc = fake_host_run_steps(&w->host, LIMIT);
    w->host.steps[w->host.n_steps++] = timer;
    return rc;
}

/* Lets the clock's step run, and what follows from it. */
static int32_t wait_for_timer(world *w, int64_t delay_us)
{
    assert_int_equal(w->host.n_steps, 1);
    flamenco_step timer = w->host.steps[--w->host.n_steps];
    assert_true(timer.delay_us == delay_us);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fake_cx *cx = fake_cx_create(&w->host);
    assert_int_equal(timer.run(&cx->cx, timer.ctx, &err), FLAMENCO_OK);
    fake_cx_destroy(cx);
    if (timer.destroy != NULL)
        timer.destroy(timer.ctx);
    return run(w);
}

static void publish(world *w, uint32_t kind, const char *previous, const char *status)
{
    const flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                                   .kind = kind,
                                   .status = flamenco_text(status),
                                   .previous_status = flamenco_text(previous) };
    fake_host_publish(&w->host, &event);
}

static void publish_change(void *ctx)
{
    publish(ctx, FLAMENCO_EVENT_WORKER, "awake", "asleep");
}

static void publish_changes(void *ctx)
{
    for (int i = 0; i < 10; ++i)
        publish_change(ctx);
}

static uint32_t current(world *w)
{
    return flamenco_farm_status_current(&w->farm);
}

/* ---- Tests ----------------------------------------------------------------------------------------------------------- */

static void the_contracts_table(void **state)
{
    enum {
        OFF = FLAMENCO_WORKER_OFFLINE,
        ERR = FLAMENCO_WORKER_ERROR,
        SLEEP = FLAMENCO_WORKER_ASLEEP,
        AWAKE = FLAMENCO_WORKER_AWAKE,
        START = FLAMENCO_WORKER_STARTING,
        NEW = FLAMENCO_WORKER_NONE
    };
    static const struct {
        uint64_t workers[FLAMENCO_WORKER_STATUSES], jobs[FLAMENCO_JOB_STATUSES];
        uint32_t status;
    } rows[] = {
        { { 0 }, { 0 }, FLAMENCO_FARM_INOPERATIVE },
        { { 0 }, { [FLAMENCO_JOB_ACTIVE] = 1 }, FLAMENCO_FARM_INOPERATIVE },
        { { [OFF] = 3 }, { 0 }, FLAMENCO_FARM_INOPERATIVE },
        { { [OFF] = 2, [ERR] = 1 }, { [FLAMENCO_JOB_QUEUED] = 1 }, FLAMENCO_FARM_INOPERATIVE },
        { { [OFF] = 2, [SLEEP] = 1, [ERR] = 1, [AWAKE] = 3 }, { [FLAMENCO_JOB_ACTIVE] = 1 }, FLAMENCO_FARM_ACTIVE },
        { { [SLEEP] = 1 }, { [FLAMENCO_JOB_ACTIVE] = 1 }, FLAMENCO_FARM_WAITING },
        { { [SLEEP] = 1, [AWAKE] = 1 }, { [FLAMENCO_JOB_QUEUED] = 1 }, FLAMENCO_FARM_WAITING },
        { { [OFF] = 2, [SLEEP] = 1, [AWAKE] = 1 },
          { [FLAMENCO_JOB_COMPLETED] = 1, [FLAMENCO_JOB_CANCEL_REQUESTED] = 1 },
          FLAMENCO_FARM_IDLE },
        { { [OFF] = 2, [SLEEP] = 2 },
          { [FLAMENCO_JOB_CANCELED] = 10, [FLAMENCO_JOB_COMPLETED] = 4, [FLAMENCO_JOB_FAILED] = 2 },
          FLAMENCO_FARM_ASLEEP },
        { { [START] = 1 }, { 0 }, FLAMENCO_FARM_IDLE },
        { { [START] = 1, [SLEEP] = 1 }, { 0 }, FLAMENCO_FARM_ASLEEP },
        { { [START] = 1 }, { [FLAMENCO_JOB_ACTIVE] = 1 }, FLAMENCO_FARM_WAITING },
        { { [NEW] = 1 }, { [FLAMENCO_JOB_QUEUED] = 1 }, FLAMENCO_FARM_WAITING },
        { { [AWAKE] = 1 }, { [FLAMENCO_JOB_PAUSED] = 3 }, FLAMENCO_FARM_IDLE },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        world w;
        begin(&w);
        memcpy(w.store.workers, rows[i].workers, sizeof(w.store.workers));
        memcpy(w.store.jobs, rows[i].jobs, sizeof(w.store.jobs));
        assert_int_equal(current(&w), FLAMENCO_FARM_STARTING);
        assert_int_equal(wait_for_timer(&w, 1000000), FLAMENCO_OK);
        if (current(&w) != rows[i].status)
            fail_msg("row %zu: %u instead of %u", i, current(&w), rows[i].status);
        end(&w);
    }
}

static void an_event_is_sent_when_the_word_changes(void **state)
{
    world w;
    (void)state;
    begin(&w);
    assert_int_equal(w.host.n_records, 0);
    wait_for_timer(&w, 1000000);
    assert_int_equal(w.host.n_records, 1);
    const fake_record *r = &w.host.records[0];
    assert_int_equal(r->what, FAKE_EMIT);
    assert_int_equal(r->kind, FLAMENCO_EVENT_FARM_STATUS);
    assert_string_equal(r->topic, "/status");
    assert_string_equal(r->text, "{\"status\":\"inoperative\"}");
    for (int i = 0; i < 3; ++i)
        wait_for_timer(&w, 30000000);
    assert_int_equal(w.host.n_records, 1);
    assert_int_equal(w.store.asked, 4);
    w.store.workers[FLAMENCO_WORKER_AWAKE] = 1;
    wait_for_timer(&w, 30000000);
    assert_int_equal(w.host.n_records, 2);
    assert_string_equal(w.host.records[1].text, "{\"status\":\"idle\"}");
    end(&w);
}

static void changes_of_status_ask_at_once(void **state)
{
    static const struct {
        uint32_t kind;
        const char *previous, *status;
        int asks;
    } rows[] = {
        { FLAMENCO_EVENT_WORKER, "awake", "asleep", 1 },   { FLAMENCO_EVENT_JOB, "queued", "active", 1 },
        { FLAMENCO_EVENT_WORKER, "awake", "awake", 0 },    { FLAMENCO_EVENT_WORKER, "", "awake", 0 },
        { FLAMENCO_EVENT_JOB, "", "queued", 0 },           { FLAMENCO_EVENT_JOB, "active", "active", 0 },
        { FLAMENCO_EVENT_TASK, "active", "completed", 0 }, { FLAMENCO_EVENT_LIFECYCLE, "a", "b", 0 },
    };
    world w;
    (void)state;
    begin(&w);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        unsigned before = w.store.asked;
        publish(&w, rows[i].kind, rows[i].previous, rows[i].status);
        assert_int_equal(w.host.n_steps, 1 + rows[i].asks);
        run(&w);
        assert_int_equal(w.store.asked - before, rows[i].asks);
    }
    end(&w);
}

static void requests_are_merged(void **state)
{
    world w;
    (void)state;
    begin(&w);
    publish_changes(&w);
    assert_int_equal(w.host.n_steps, 2);
    run(&w); /* all of them came before it began, but it cannot know */
    assert_int_equal(w.store.asked, 2);
    w.store.meanwhile = publish_changes;
    w.store.ctx = &w;
    publish_change(&w);
    run(&w);
    assert_int_equal(w.store.asked, 4);
    run(&w);
    assert_int_equal(w.store.asked, 4);
    end(&w);
}

static void a_failing_store_leaves_the_last_word(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.store.workers[FLAMENCO_WORKER_AWAKE] = 1;
    wait_for_timer(&w, 1000000);
    w.store.workers[FLAMENCO_WORKER_AWAKE] = 0;
    w.store.fail_workers = FLAMENCO_E_IO;
    assert_int_equal(wait_for_timer(&w, 30000000), FLAMENCO_E_IO);
    w.store.fail_workers = FLAMENCO_OK;
    w.store.fail_jobs = FLAMENCO_E_DEADLINE;
    publish_change(&w);
    assert_int_equal(run(&w), FLAMENCO_E_DEADLINE);
    assert_int_equal(current(&w), FLAMENCO_FARM_IDLE);
    assert_int_equal(w.host.n_records, 1);
    w.store.fail_jobs = FLAMENCO_OK;
    assert_int_equal(wait_for_timer(&w, 30000000), FLAMENCO_OK);
    assert_int_equal(current(&w), FLAMENCO_FARM_INOPERATIVE);
    end(&w);
}

static void a_computation_that_never_runs_is_not_waited_for(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.host.submit_result = FLAMENCO_E_FULL;
    publish_changes(&w);
    assert_int_equal(w.host.n_steps, 1);
    w.host.submit_result = FLAMENCO_OK;
    publish_change(&w);
    run(&w);
    assert_int_equal(w.store.asked, 1);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contracts_table),
        cmocka_unit_test(an_event_is_sent_when_the_word_changes),
        cmocka_unit_test(changes_of_status_ask_at_once),
        cmocka_unit_test(requests_are_merged),
        cmocka_unit_test(a_failing_store_leaves_the_last_word),
        cmocka_unit_test(a_computation_that_never_runs_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
