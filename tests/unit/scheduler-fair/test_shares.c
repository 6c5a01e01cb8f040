/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shares.c - a farm simulated from task to task, on the real store: what each submitter gets of it. Every case is played
 * on a store that keeps shares, and on one that does not.
 */
#include "farm.h"
#include "fair.h"
#include "flamenco/calls/task_scheduler.h"

#define SECOND INT64_C(1000000)
#define WORKERS_MAX 16
#define SUBMITTERS 40

/* ---- Two stores ---- */

static struct {
    flamenco_persistence table; /* the store's, with what follows in place of its own */
    const flamenco_persistence *real;
    uint64_t jobs_read, groups_seen;
    flamenco_visit_group visit;
} spy;

static int32_t count_group(void *ctx, const flamenco_runnable_group *row)
{
    ++spy.groups_seen;
    return spy.visit(ctx, row);
}

static int32_t spy_groups(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_group visit, void *ctx,
                          flamenco_error *err)
{
    spy.visit = visit;
    return spy.real->runnable_groups(self, cx, worker_key, count_group, ctx, err);
}

static int32_t spy_groups_of_share(void *self, flamenco_cx *cx, int64_t worker_key, int64_t share,
                                   flamenco_visit_group visit, void *ctx, flamenco_error *err)
{
    spy.visit = visit;
    return spy.real->runnable_groups_of_share(self, cx, worker_key, share, count_group, ctx, err);
}

static int32_t spy_job(void *self, flamenco_cx *cx, int64_t key, flamenco_job *out, flamenco_error *err)
{
    ++spy.jobs_read;
    return spy.real->job_get_key(self, cx, key, out, err);
}

static void put_spy(farm *f, uint32_t size)
{
    for (size_t i = 0; i < f->host.n_services; ++i) {
        if (strcmp(f->host.services[i].id, FLAMENCO_PERSISTENCE) != 0)
            continue;
        spy.real = f->host.services[i].table;
        memset(&spy.table, 0, sizeof(spy.table));
        memcpy(&spy.table, spy.real, size);
        spy.table.struct_size = size;
        spy.table.runnable_groups = spy_groups;
        spy.table.runnable_groups_of_share = spy_groups_of_share;
        spy.table.job_get_key = spy_job;
        f->host.services[i].table = &spy.table;
    }
}

static void with_shares(farm *f)
{
    put_spy(f, (uint32_t)sizeof(flamenco_persistence));
}

static void without_shares(farm *f)
{
    put_spy(f, (uint32_t)offsetof(flamenco_persistence, job_set_share));
}

/* ---- The farm ---- */

typedef struct worker {
    int64_t free_at;
    uint32_t job, index; /* 0 = idle */
    int64_t began;
} worker;

typedef struct sim {
    farm f;
    uint32_t n_workers;
    worker workers[WORKERS_MAX];
    uint32_t submitter_of[FARM_MAX_JOBS + 1];
    int64_t duration[SUBMITTERS]; /* of one task */
    uint32_t completed[SUBMITTERS];
    int64_t worked[SUBMITTERS];
    uint32_t open; /* tasks that nobody has begun */
    int64_t now;
    char order[4096]; /* submitters in the order of their tasks, as letters */
} sim;

static void sim_start(sim *s, uint32_t n_workers, const char *const *settings, void (*store)(farm *f))
{
    memset(s, 0, sizeof(*s));
    farm_start_with(&s->f, settings, store);
    s->n_workers = n_workers;
    for (uint32_t i = 0; i < n_workers; ++i)
        farm_add_worker(&s->f, "blender,misc", FLAMENCO_WORKER_AWAKE);
    for (uint32_t i = 0; i < SUBMITTERS; ++i)
        s->duration[i] = 30 * SECOND;
    s->now = s->f.host.now_us + 100 * SECOND;
    for (uint32_t i = 0; i < n_workers; ++i)
        s->workers[i].free_at = s->now;
}

static void submit(sim *s, uint32_t submitter, uint32_t n_tasks, int32_t priority)
{
    char tasks[16], metadata[64];
    (void)snprintf(tasks, sizeof(tasks), "Q*%u", n_tasks);
    (void)snprintf(metadata, sizeof(metadata), "{\"user.name\":\"%c\"}", (int)('A' + submitter));
    farm_add_job(&s->f, &(farm_job){ .tasks = tasks, .metadata = metadata, .priority = priority });
    s->submitter_of[s->f.n_jobs] = submitter;
    s->open += n_tasks;
}

/* The worker ends what it does and asks for more. */
static void turn(sim *s, uint32_t number)
{
    worker *w = &s->workers[number - 1];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_task_scheduler_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_TASK_SCHEDULER), s->f.self };
    s->f.host.now_us = s->now - SECOND; /* farm_begin adds one */
    flamenco_cx *cx = farm_begin(&s->f);
    if (w->job != 0) {
        uint32_t submitter = s->submitter_of[w->job];
        farm_set_task(&s->f, w->job, w->index, 'C', 0);
        ++s->completed[submitter];
        s->worked[submitter] += s->now - w->began;
    }
    w->job = 0;
    flamenco_worker row = farm_worker_row(&s->f, number);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = flamenco_task_scheduler_pick(&ref, cx, &row, &task, &err);
    if (rc == FLAMENCO_OK) {
        w->job = task.uuid.b[1];
        w->index = task.index;
        w->began = s->now;
        --s->open;
        farm_set_task(&s->f, w->job, w->index, 'A', 0);
        size_t len = strlen(s->order);
        if (len + 1 < sizeof(s->order))
            s->order[len] = (char)('A' + s->submitter_of[w->job]);
    } else if (rc != FLAMENCO_E_NOT_FOUND) {
        fail_msg("pick: %d %s", (int)rc, err.text);
    } else if (s->open > 0) {
        fail_msg("a worker is idle while %u tasks wait", s->open);
    }
    farm_commit(&s->f);
    w->free_at = s->now + (w->job != 0 ? s->duration[s->submitter_of[w->job]] : 20 * SECOND);
}

/* Lets `n` turns pass. */
static void run(sim *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t next = 0;
        for (uint32_t w = 1; w < s->n_workers; ++w) {
            if (s->workers[w].free_at < s->workers[next].free_at)
                next = w;
        }
        s->now = s->workers[next].free_at;
        turn(s, next + 1);
    }
}

static void forget(sim *s)
{
    memset(s->completed, 0, sizeof(s->completed));
    memset(s->worked, 0, sizeof(s->worked));
    memset(s->order, 0, sizeof(s->order));
}

static void expect_percent(const sim *s, uint32_t submitter, uint32_t wanted, uint32_t slack)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < SUBMITTERS; ++i)
        all += s->completed[i];
    double percent = all > 0 ? 100.0 * s->completed[submitter] / all : 0;
    if (percent < wanted - slack || percent > wanted + slack)
        fail_msg("%c completed %u of %u tasks, %.1f %%, not %u %%", 'A' + (int)submitter, s->completed[submitter], all,
                 percent, wanted);
}

static void (*const stores[])(farm *f) = { with_shares, without_shares };
#define EACH_STORE \
    size_t store = 0; \
    store < 2; \
    ++store

/* ---- Cases ---- */

static void three_submitters_get_the_same(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 5, NULL, stores[store]);
        for (uint32_t i = 0; i < 100; ++i) /* 100 times as many jobs, and first in line */
            submit(&s, 0, 4, 50);
        submit(&s, 1, 200, 50);
        submit(&s, 2, 200, 50);
        run(&s, 305);
        for (uint32_t i = 0; i < 3; ++i)
            expect_percent(&s, i, 33, 3);
        farm_stop(&s.f);
    }
}

static void weights_divide_the_farm(void **state)
{
    (void)state;
    static const struct {
        const char *weights;
        uint32_t percent[3], workers;
    } vectors[] = {
        { "A=2", { 50, 25, 25 }, 8 },
        { "A=2", { 50, 25, 25 }, 1 },
        { "B=0.5", { 40, 20, 40 }, 3 },
        { "A=8\nB=1\nC=1", { 80, 10, 10 }, 4 },
    };
    for (EACH_STORE) {
        for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); ++i) {
            const char *settings[] = { "weights", vectors[i].weights, NULL };
            sim s;
            sim_start(&s, vectors[i].workers, settings, stores[store]);
            for (uint32_t submitter = 0; submitter < 3; ++submitter)
                submit(&s, submitter, 300, 50);
            run(&s, 200 + vectors[i].workers);
            for (uint32_t submitter = 0; submitter < 3; ++submitter)
                expect_percent(&s, submitter, vectors[i].percent[submitter], 3);
            farm_stop(&s.f);
        }
    }
}

static void what_counts_is_the_time_that_workers_spend(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 6, NULL, stores[store]);
        s.duration[0] = 600 * SECOND;
        s.duration[1] = 60 * SECOND;
        submit(&s, 0, 100, 50);
        submit(&s, 1, 500, 50);
        run(&s, 400);
        assert_in_range(s.worked[1], s.worked[0] * 85 / 100, s.worked[0] * 115 / 100);
        farm_stop(&s.f);
    }
}

static void a_late_arrival_gets_its_share_and_no_more(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 5, NULL, stores[store]);
        submit(&s, 0, 400, 50);
        submit(&s, 1, 400, 50);
        run(&s, 150);
        submit(&s, 2, 400, 50);
        forget(&s);
        run(&s, 60);
        expect_percent(&s, 2, 31, 4); /* the first tasks that end here were begun before */
        forget(&s);
        run(&s, 120);
        for (uint32_t i = 0; i < 3; ++i)
            expect_percent(&s, i, 33, 3);
        farm_stop(&s.f);
    }
}

static void what_one_does_not_use_the_others_get(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 5, NULL, stores[store]);
        submit(&s, 0, 200, 50);
        submit(&s, 1, 200, 50);
        submit(&s, 2, 10, 50);
        run(&s, 100); /* turn() fails when a worker is idle meanwhile */
        assert_int_equal(s.completed[2], 10);
        forget(&s);
        run(&s, 100);
        expect_percent(&s, 0, 50, 3);
        expect_percent(&s, 1, 50, 3);
        run(&s, 230);
        assert_int_equal(s.open, 0);
        farm_stop(&s.f);
    }
}

static void nobody_starves_among_many(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 4, NULL, stores[store]);
        submit(&s, 0, 500, 100); /* its priority is its own matter */
        for (uint32_t i = 1; i < SUBMITTERS; ++i)
            submit(&s, i, 5, (int32_t)i);
        run(&s, SUBMITTERS + 2);
        for (uint32_t i = 0; i < SUBMITTERS; ++i)
            assert_non_null(strchr(s.order, (int)('A' + i)));
        farm_stop(&s.f);
    }
}

static void priorities_count_inside_a_share(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        sim_start(&s, 1, NULL, stores[store]);
        submit(&s, 0, 3, 50); /* job 1 */
        submit(&s, 0, 3, 90);
        submit(&s, 1, 6, 1);
        const uint32_t wanted[] = { 2, 2, 2, 1, 1, 1 };
        uint32_t at = 0;
        for (uint32_t i = 0; i < 12; ++i) {
            run(&s, 1);
            if (s.submitter_of[s.workers[0].job] == 0)
                assert_int_equal(s.workers[0].job, wanted[at++]);
        }
        assert_int_equal(at, 6);
        assert_int_equal(strspn(s.order, "AB"), 12);
        for (size_t i = 0; i + 1 < 12; i += 2) /* in turn */
            assert_true(s.order[i] != s.order[i + 1]);
        farm_stop(&s.f);
    }
}

static void a_share_that_does_not_suit_the_worker_is_passed_over(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        flamenco_error err = FLAMENCO_ERROR_INIT;
        uint64_t n = 0;
        sim_start(&s, 1, NULL, stores[store]);
        submit(&s, 0, 2, 50);
        submit(&s, 1, 2, 50);
        flamenco_cx *cx = farm_begin(&s.f);
        int64_t w = farm_worker_row(&s.f, 1).key;
        for (uint32_t i = 1; i <= 2; ++i)
            assert_int_equal(
                flamenco_persist_failure_add(&s.f.persist, cx, farm_task_row(&s.f, 1, i).key, w, &n, &n, &err),
                FLAMENCO_OK);
        farm_commit(&s.f);
        s.open = 2; /* of the other */
        run(&s, 3);
        assert_string_equal(s.order, "BB");
        farm_stop(&s.f);
    }
}

/* What a request costs does not depend on how many jobs other submitters have. */
static void jobs_of_others_cost_nothing(void **state)
{
    (void)state;
    uint64_t seen[2], read[2];
    for (size_t i = 0; i < 2; ++i) {
        sim s;
        sim_start(&s, 1, NULL, with_shares);
        for (uint32_t job = 0; job < (i == 0 ? 20u : 120u); ++job)
            submit(&s, 0, i == 0 ? 12 : 2, 50);
        submit(&s, 1, 50, 50);
        run(&s, 10); /* puts the jobs into their shares */
        spy.groups_seen = spy.jobs_read = 0;
        forget(&s);
        run(&s, 40);
        assert_in_range(s.completed[1], 19, 21);
        seen[i] = spy.groups_seen;
        read[i] = spy.jobs_read;
        farm_stop(&s.f);
    }
    assert_int_equal(seen[0], seen[1]);
    assert_int_equal(read[0], 0);
    assert_int_equal(read[1], 0);
}

/* After a restart the numbers in the store are known again by their jobs; after a change of the setting they are made anew. */
static void shares_are_learnt_again_after_a_restart(void **state)
{
    (void)state;
    static const char *const by_project[] = { "keys", "project", NULL };
    sim s;
    sim_start(&s, 2, NULL, with_shares);
    for (uint32_t i = 0; i < 3; ++i)
        submit(&s, i, 100, 50);
    run(&s, 10);
    const flamenco_plugin *plugin = flamenco_plugin_query();
    for (int round = 0; round < 2; ++round) {
        fake_host_stop(&s.f.host, plugin, s.f.self);
        for (size_t i = 0; round == 1 && by_project[i] != NULL; i += 2)
            fake_host_set(&s.f.host, by_project[i], by_project[i + 1]);
        s.f.self = fake_host_start(&s.f.host, plugin);
        forget(&s);
        spy.jobs_read = 0;
        run(&s, 60);
        if (round == 0) {
            for (uint32_t i = 0; i < 3; ++i)
                expect_percent(&s, i, 33, 4);
        } else {
            /* All are in one share now: the oldest job first. */
            assert_in_range(s.completed[0], 56, 60);
        }
        assert_true(spy.jobs_read <= 8);
    }
    farm_stop(&s.f);
}

static void without_memory_a_pick_fails_and_the_next_one_is_fair(void **state)
{
    (void)state;
    for (EACH_STORE) {
        sim s;
        flamenco_error err = FLAMENCO_ERROR_INIT;
        sim_start(&s, 1, NULL, stores[store]);
        flamenco_task_scheduler_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_TASK_SCHEDULER),
                                            s.f.self };
        submit(&s, 0, 20, 50);
        submit(&s, 1, 20, 50);
        int32_t rc = FLAMENCO_E_NOMEM;
        for (int64_t allowed = 0; rc != FLAMENCO_OK; ++allowed) {
            flamenco_cx *cx = farm_begin(&s.f);
            flamenco_worker row = farm_worker_row(&s.f, 1);
            flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
            s.f.host.allocations_left = allowed;
            rc = flamenco_task_scheduler_pick(&ref, cx, &row, &task, &err);
            s.f.host.allocations_left = -1;
            assert_true(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOMEM);
            assert_true((task.key == 0) == (rc != FLAMENCO_OK));
            farm_rollback(&s.f);
            assert_true(allowed < 1000);
        }
        run(&s, 21);
        expect_percent(&s, 0, 50, 6);
        farm_stop(&s.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_submitters_get_the_same),
        cmocka_unit_test(weights_divide_the_farm),
        cmocka_unit_test(what_counts_is_the_time_that_workers_spend),
        cmocka_unit_test(a_late_arrival_gets_its_share_and_no_more),
        cmocka_unit_test(what_one_does_not_use_the_others_get),
        cmocka_unit_test(nobody_starves_among_many),
        cmocka_unit_test(priorities_count_inside_a_share),
        cmocka_unit_test(a_share_that_does_not_suit_the_worker_is_passed_over),
        cmocka_unit_test(jobs_of_others_cost_nothing),
        cmocka_unit_test(shares_are_learnt_again_after_a_restart),
        cmocka_unit_test(without_memory_a_pick_fails_and_the_next_one_is_fair),
    };
    return cmocka_run_group_tests_name("scheduler-fair-shares", tests, NULL, NULL);
}
