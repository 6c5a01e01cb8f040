/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ledger.c - whose turn it is, without jobs and store.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fake_host.h"
#include "ledger.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define START (1000 * MINUTE)

typedef struct rig {
    fake_host host;
    fl_ledger ledger;
    int64_t now;
} rig;

static int setup(void **state)
{
    static rig r;
    memset(&r, 0, sizeof(r));
    fake_host_init(&r.host);
    fl_ledger_init(&r.ledger, &r.host.host, 10 * MINUTE);
    r.now = START;
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    rig *r = *state;
    fl_ledger_fini(&r->ledger);
    fake_host_fini(&r->host);
    return 0;
}

static fl_share *share(rig *r, int64_t number, uint32_t weight)
{
    fl_share *s = fl_ledger_find(&r->ledger, number);
    if (s == NULL)
        s = fl_ledger_add(&r->ledger, number, weight, r->now);
    assert_non_null(s);
    return s;
}

/* Hands a task of the share whose turn it is to the worker; all of them have work. Returns its number. */
static int64_t serve(rig *r, int64_t worker, fl_share *const *shares, size_t n)
{
    fl_share *first = shares[0];
    fl_ledger_end(&r->ledger, worker, r->now);
    for (size_t i = 0; i < n; ++i) {
        fl_ledger_consider(&r->ledger, shares[i], r->now);
        if (fl_ledger_is_before(shares[i], first))
            first = shares[i];
    }
    assert_int_equal(fl_ledger_reserve(&r->ledger, worker), 0);
    fl_ledger_begin(&r->ledger, worker, first, r->now);
    return first->number;
}

static void workers_that_ask_at_once_are_divided_by_weight(void **state)
{
    rig *r = *state;
    fl_share *shares[] = { share(r, 1, 2000), share(r, 2, 1000), share(r, 3, 1000) };
    int64_t got[4] = { 0 };
    for (int64_t worker = 1; worker <= 40; ++worker)
        ++got[serve(r, worker, shares, 3)];
    assert_int_equal(got[1], 20);
    assert_int_equal(got[2], 10);
    assert_int_equal(got[3], 10);
    assert_int_equal(shares[0]->running, 20);
}

static void one_worker_serves_all_in_turn(void **state)
{
    rig *r = *state;
    fl_share *shares[] = { share(r, 1, 1000), share(r, 2, 1000), share(r, 3, 500) };
    int64_t got[4] = { 0 };
    for (int i = 0; i < 100; ++i, r->now += 10 * SECOND)
        ++got[serve(r, 1, shares, 3)];
    assert_in_range(got[1], 39, 41);
    assert_in_range(got[2], 39, 41);
    assert_in_range(got[3], 19, 21);
}

static void a_newcomer_begins_where_the_others_are(void **state)
{
    rig *r = *state;
    fl_share *shares[] = { share(r, 1, 1000), NULL };
    for (int i = 0; i < 100; ++i, r->now += 10 * SECOND)
        (void)serve(r, 1, shares, 1);
    shares[1] = share(r, 2, 1000);
    int64_t got[3] = { 0 };
    for (int i = 0; i < 20; ++i, r->now += 10 * SECOND)
        ++got[serve(r, 1, shares, 2)];
    assert_in_range(got[2], 9, 11);
    /* So does one that was away for longer than is remembered. */
    for (int i = 0; i < 100; ++i, r->now += 10 * SECOND)
        (void)serve(r, 1, shares, 1);
    memset(got, 0, sizeof(got));
    for (int i = 0; i < 20; ++i, r->now += 10 * SECOND)
        ++got[serve(r, 1, shares, 2)];
    assert_in_range(got[2], 9, 11);
}

static void one_that_was_away_shortly_catches_up(void **state)
{
    rig *r = *state;
    fl_share *shares[] = { share(r, 1, 1000), share(r, 2, 1000) };
    for (int i = 0; i < 20; ++i, r->now += 10 * SECOND)
        (void)serve(r, 1, shares, 2);
    for (int i = 0; i < 20; ++i, r->now += 10 * SECOND)
        (void)serve(r, 1, shares, 1);
    /* 200 s behind: it gets the next 20 turns. */
    int64_t got[3] = { 0 };
    for (int i = 0; i < 20; ++i, r->now += 10 * SECOND)
        ++got[serve(r, 1, shares, 2)];
    assert_in_range(got[2], 19, 20);
}

static void long_tasks_weigh_more_than_short_ones(void **state)
{
    rig *r = *state;
    fl_share *shares[] = { share(r, 1, 1000), share(r, 2, 1000) };
    int64_t got[3] = { 0 };
    for (int i = 0; i < 220; ++i) {
        int64_t number = serve(r, 1, shares, 2);
        ++got[number];
        r->now += number == 1 ? 100 * SECOND : 10 * SECOND;
    }
    assert_in_range(got[1], 18, 22);
    assert_in_range(got[2], 198, 202);
}

static void a_repeated_request_counts_once(void **state)
{
    rig *r = *state;
    fl_share *s = share(r, 1, 1000);
    for (int64_t worker = 1; worker <= 2; ++worker)
        assert_int_equal(fl_ledger_reserve(&r->ledger, worker), 0);
    fl_ledger_begin(&r->ledger, 1, s, r->now);
    double once = s->clock_us;
    fl_ledger_end(&r->ledger, 1, r->now); /* the transaction was rolled back; the worker's request runs again */
    fl_ledger_begin(&r->ledger, 1, s, r->now);
    assert_int_equal(s->running, 1);
    assert_true(s->clock_us <= once + (double)FL_LEAST_COST_US);
    fl_ledger_end(&r->ledger, 2, r->now); /* never had one */
    fl_ledger_end(&r->ledger, 3, r->now); /* not known */
    assert_int_equal(s->running, 1);
}

static void workers_that_went_away_are_found(void **state)
{
    rig *r = *state;
    fl_share *s = share(r, 1, 1000);
    for (int64_t worker = 1; worker <= 300; ++worker) {
        assert_int_equal(fl_ledger_reserve(&r->ledger, worker), 0);
        fl_ledger_begin(&r->ledger, worker, s, r->now);
    }
    assert_int_equal(s->running, 300);
    r->now += MINUTE;
    uint32_t looks = 0;
    for (; s->running > 0 && looks < 2000; ++looks) {
        int64_t worker = fl_ledger_look(&r->ledger);
        if (worker != 0)
            fl_ledger_end(&r->ledger, worker, r->now);
    }
    assert_int_equal(s->running, 0);
    assert_int_equal(fl_ledger_look(&r->ledger), 0);
    /* What takes longer than was thought is charged meanwhile. */
    fl_ledger_begin(&r->ledger, 5, s, r->now);
    double before = s->clock_us;
    r->now += 60 * MINUTE;
    fl_ledger_goes_on(&r->ledger, 5, r->now);
    assert_true(s->clock_us > before + (double)(50 * MINUTE));
    double after = s->clock_us;
    fl_ledger_end(&r->ledger, 5, r->now);
    assert_true(s->clock_us < after + (double)SECOND && s->clock_us > after - (double)SECOND);
}

static void unused_shares_are_forgotten(void **state)
{
    rig *r = *state;
    for (int64_t i = 1; i <= 5000; ++i, r->now += SECOND)
        (void)share(r, i, 1000);
    assert_true(r->ledger.n_shares < 1300);
    assert_non_null(fl_ledger_find(&r->ledger, 5000));
    assert_null(fl_ledger_find(&r->ledger, 1));
}

static void without_memory_nothing_changes(void **state)
{
    rig *r = *state;
    r->host.allocations_left = 0;
    assert_null(fl_ledger_add(&r->ledger, 1, 1000, r->now));
    assert_int_equal(fl_ledger_reserve(&r->ledger, 1), FLAMENCO_E_NOMEM);
    r->host.allocations_left = -1;
    fl_share *s = share(r, 1, 1000);
    assert_int_equal(fl_ledger_reserve(&r->ledger, 1), FLAMENCO_OK);
    fl_ledger_begin(&r->ledger, 1, s, r->now);
    assert_int_equal(s->running, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workers_that_ask_at_once_are_divided_by_weight),
        TEST(one_worker_serves_all_in_turn),
        TEST(a_newcomer_begins_where_the_others_are),
        TEST(one_that_was_away_shortly_catches_up),
        TEST(long_tasks_weigh_more_than_short_ones),
        TEST(a_repeated_request_counts_once),
        TEST(workers_that_went_away_are_found),
        TEST(unused_shares_are_forgotten),
        TEST(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests_name("scheduler-fair-ledger", tests, NULL, NULL);
}
