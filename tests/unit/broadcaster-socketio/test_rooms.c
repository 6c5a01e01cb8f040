/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rooms.c - who is in which room, against a table that is kept the simple way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "rooms.h"

#define SESSIONS 40
#define NAMES 600 /* more than the table has buckets at first */

struct session {
    stays stays;
};

static rooms all;
static struct session sessions[SESSIONS];
static char names[NAMES][64];
static unsigned char is_in[SESSIONS][NAMES];

static int set_up(void **state)
{
    (void)state;
    memset(sessions, 0, sizeof(sessions));
    memset(is_in, 0, sizeof(is_in));
    for (int i = 0; i < NAMES; ++i)
        snprintf(names[i], sizeof(names[i]), "/jobs/%08x-2f57-4c0e-9d3a-64f1a2b3c4d5", (unsigned)i);
    return rooms_init(&all, 7);
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < SESSIONS; ++i)
        rooms_leave_all(&all, &sessions[i].stays);
    int left = (int)all.count;
    rooms_fini(&all);
    return left;
}

static int32_t join(int session, int name)
{
    return rooms_join(&all, &sessions[session], &sessions[session].stays, names[name], NAMES);
}

/* Every room has exactly the members that it should have, each once, and both sides agree where. */
static void assert_rooms(void)
{
    uint32_t rooms_wanted = 0;
    for (int n = 0; n < NAMES; ++n) {
        uint32_t wanted = 0;
        sio_room *r = rooms_find(&all, flamenco_text(names[n]));
        for (int s = 0; s < SESSIONS; ++s)
            wanted += is_in[s][n];
        assert_int_equal(r != NULL ? r->count : 0, wanted);
        assert_true(wanted == 0 || rooms_may_hear(&all, flamenco_text(names[n])));
        rooms_wanted += wanted > 0;
        for (uint32_t i = 0; i < wanted; ++i) {
            const member *m = &r->members[i];
            assert_true(is_in[m->session - sessions][n]);
            assert_ptr_equal(m->of, &m->session->stays);
            assert_ptr_equal(m->of->list[m->stay].in, r);
            assert_int_equal(m->of->list[m->stay].slot, i);
        }
    }
    assert_int_equal(all.count, rooms_wanted);
}

static void joining_twice_is_joining_once(void **state)
{
    (void)state;
    assert_int_equal(join(0, 0), FLAMENCO_OK);
    assert_int_equal(join(0, 0), FLAMENCO_OK);
    is_in[0][0] = 1;
    assert_rooms();
    rooms_leave(&all, &sessions[0].stays, names[0]);
    is_in[0][0] = 0;
    assert_rooms();
}

static void leaving_a_room_that_one_is_not_in_changes_nothing(void **state)
{
    (void)state;
    rooms_leave(&all, &sessions[0].stays, names[0]);
    assert_int_equal(join(1, 0), FLAMENCO_OK);
    is_in[1][0] = 1;
    rooms_leave(&all, &sessions[0].stays, names[0]);
    assert_rooms();
}

static void names_are_compared_letter_by_letter(void **state)
{
    (void)state;
    assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, "/jobs/AB", NAMES), FLAMENCO_OK);
    assert_null(rooms_find(&all, flamenco_text("/jobs/ab")));
    assert_null(rooms_find(&all, flamenco_text("/jobs/A")));
    assert_null(rooms_find(&all, flamenco_text("/jobs/ABC")));
    assert_non_null(rooms_find(&all, flamenco_text("/jobs/AB")));
}

static void a_session_is_in_no_more_rooms_than_allowed(void **state)
{
    (void)state;
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, names[i], 3), FLAMENCO_OK);
        is_in[0][i] = 1;
    }
    assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, names[3], 3), FLAMENCO_E_FULL);
    assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, names[2], 3), FLAMENCO_OK);
    assert_rooms(); /* the room that was not joined is not there either */
    rooms_leave(&all, &sessions[0].stays, names[0]);
    is_in[0][0] = 0;
    assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, names[3], 3), FLAMENCO_OK);
    is_in[0][3] = 1;
    assert_rooms();
}

/* By far the most of what happens is for rooms that nobody is in. */
static void who_publishes_knows_rooms_that_nobody_is_in(void **state)
{
    uint32_t perhaps = 0;
    (void)state;
    for (int n = 0; n < NAMES; ++n)
        assert_false(rooms_may_hear(&all, flamenco_text(names[n])));
    for (int n = 0; n < 20; ++n) {
        assert_int_equal(join(0, n), FLAMENCO_OK);
        assert_int_equal(join(1, n), FLAMENCO_OK);
        is_in[0][n] = is_in[1][n] = 1;
    }
    assert_rooms();
    for (int n = 20; n < NAMES; ++n)
        perhaps += rooms_may_hear(&all, flamenco_text(names[n])) ? 1u : 0u;
    assert_true(perhaps <= 3);
    rooms_leave_all(&all, &sessions[0].stays);
    assert_true(rooms_may_hear(&all, flamenco_text(names[0])));
    rooms_leave_all(&all, &sessions[1].stays);
    for (int n = 0; n < NAMES; ++n)
        assert_false(rooms_may_hear(&all, flamenco_text(names[n])));
}

static void who_publishes_knows_whether_anybody_reads_a_log(void **state)
{
    static const char first[] = "/tasklog/0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4d5", second[] = "/tasklog/1";
    (void)state;
    assert_int_equal(join(0, 0), FLAMENCO_OK);
    assert_false(rooms_have_task_logs(&all));
    assert_int_equal(rooms_join(&all, &sessions[0], &sessions[0].stays, first, NAMES), FLAMENCO_OK);
    assert_int_equal(rooms_join(&all, &sessions[1], &sessions[1].stays, second, NAMES), FLAMENCO_OK);
    rooms_leave(&all, &sessions[0].stays, first);
    assert_true(rooms_have_task_logs(&all));
    rooms_leave(&all, &sessions[1].stays, second);
    assert_false(rooms_have_task_logs(&all));
}

static void many_come_and_go_in_any_order(void **state)
{
    uint32_t random = 12345;
    (void)state;
    for (int step = 0; step < 60000; ++step) {
        random = random * 1664525u + 1013904223u;
        int s = (int)((random >> 8) % SESSIONS), n = (int)((random >> 16) % NAMES);
        if ((random >> 28) < 9) {
            assert_int_equal(join(s, n), FLAMENCO_OK);
            is_in[s][n] = 1;
        } else if ((random >> 28) < 15 || step % 50 != 0) {
            rooms_leave(&all, &sessions[s].stays, names[n]);
            is_in[s][n] = 0;
        } else {
            rooms_leave_all(&all, &sessions[s].stays);
            memset(is_in[s], 0, sizeof(is_in[s]));
        }
        if (step % 6000 == 0)
            assert_rooms();
    }
    assert_rooms();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(joining_twice_is_joining_once),
        T(leaving_a_room_that_one_is_not_in_changes_nothing),
        T(names_are_compared_letter_by_letter),
        T(a_session_is_in_no_more_rooms_than_allowed),
        T(who_publishes_knows_rooms_that_nobody_is_in),
        T(who_publishes_knows_whether_anybody_reads_a_log),
        T(many_come_and_go_in_any_order),
    };
    return cmocka_run_group_tests_name("socketio_rooms", tests, NULL, NULL);
}
