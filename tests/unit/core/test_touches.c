/* SPDX-License-Identifier: Apache-2.0
 *
 * Last-seen and touch times that are kept in memory until a commit stores them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "core/touches.h"

#define WORKER FLAMENCO_TOUCH_WORKER_SEEN
#define TASK FLAMENCO_TOUCH_TASK
#define SECOND_US INT64_C(1000000)
#define MANY 5000 /* more than the table's first size, several times over */

static fl_touches *touches;
static flamenco_touch rows[2 * MANY];

static int set_up(void **state)
{
    (void)state;
    touches = fl_touches_create();
    return touches != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fl_touches_destroy(touches);
    return 0;
}

static void note(uint32_t what, int64_t key, int64_t at_us)
{
    flamenco_touch touch = { (uint32_t)sizeof(touch), what, key, at_us };
    fl_touches_note(touches, &touch);
}

static size_t take(void)
{
    return fl_touches_take(touches, 0, rows, sizeof(rows) / sizeof(rows[0]));
}

static void unknown_key_has_no_time(void **state)
{
    (void)state;
    assert_int_equal(fl_touches_get(touches, WORKER, 1), FLAMENCO_TIME_NONE);
    assert_false(fl_touches_pending(touches));
    assert_int_equal(take(), 0);
}

static void noted_time_is_seen_at_once_and_taken_once(void **state)
{
    (void)state;
    note(WORKER, 7, 100);
    assert_int_equal(fl_touches_get(touches, WORKER, 7), 100);
    assert_true(fl_touches_pending(touches));
    assert_int_equal(take(), 1);
    assert_int_equal(rows[0].struct_size, sizeof(rows[0]));
    assert_int_equal(rows[0].what, WORKER);
    assert_int_equal(rows[0].key, 7);
    assert_int_equal(rows[0].at_us, 100);
    assert_false(fl_touches_pending(touches));
    assert_int_equal(take(), 0);
    assert_int_equal(fl_touches_get(touches, WORKER, 7), 100); /* still visible */
}

static void tasks_and_workers_of_one_key_are_apart(void **state)
{
    (void)state;
    note(WORKER, 7, 100);
    note(TASK, 7, 200);
    assert_int_equal(fl_touches_get(touches, WORKER, 7), 100);
    assert_int_equal(fl_touches_get(touches, TASK, 7), 200);
    assert_int_equal(take(), 2);
}

static void latest_time_wins_and_is_stored_once(void **state)
{
    (void)state;
    note(WORKER, 7, 100);
    note(WORKER, 7, 300);
    note(WORKER, 7, 200); /* of an older step, which came later */
    assert_int_equal(fl_touches_get(touches, WORKER, 7), 300);
    assert_int_equal(take(), 1);
    assert_int_equal(rows[0].at_us, 300);
    note(WORKER, 7, 300); /* nothing new */
    note(WORKER, 7, 250);
    assert_false(fl_touches_pending(touches));
}

static void times_before_1970_count_like_others(void **state)
{
    (void)state;
    note(TASK, 3, -5);
    assert_int_equal(fl_touches_get(touches, TASK, 3), -5);
    note(TASK, 3, -4);
    assert_int_equal(fl_touches_get(touches, TASK, 3), -4);
    assert_int_equal(take(), 1);
}

static void take_gives_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    int seen[10] = { 0 };
    for (int i = 0; i < 10; ++i)
        note(WORKER, i + 1, 100);
    for (int round = 0; round < 3; ++round) {
        size_t n = fl_touches_take(touches, 0, rows, 4);
        assert_int_equal(n, round < 2 ? 4 : 2);
        for (size_t i = 0; i < n; ++i)
            ++seen[rows[i].key - 1];
    }
    for (int i = 0; i < 10; ++i)
        assert_int_equal(seen[i], 1);
    assert_false(fl_touches_pending(touches));
}

static void given_back_times_are_taken_again(void **state)
{
    (void)state;
    note(WORKER, 1, 100);
    note(WORKER, 2, 100);
    note(TASK, 1, 100);
    assert_int_equal(take(), 3);
    note(WORKER, 2, 500); /* meanwhile */
    flamenco_touch taken[3];
    memcpy(taken, rows, sizeof(taken));
    fl_touches_give_back(touches, taken, 3);
    fl_touches_give_back(touches, taken, 3); /* twice is as good */
    assert_int_equal(take(), 3);
    for (int i = 0; i < 3; ++i)
        assert_int_equal(rows[i].at_us, rows[i].what == WORKER && rows[i].key == 2 ? 500 : 100);
    assert_int_equal(take(), 0);
}

static void waiting_workers_are_stored_every_ten_seconds_alone(void **state)
{
    (void)state;
    int stored = 0;
    for (int second = 0; second <= 30; ++second) {
        fl_touches_note_waiting(touches, 4, 1000 * SECOND_US + second * SECOND_US);
        assert_int_equal(fl_touches_get(touches, WORKER, 4), (1000 + second) * SECOND_US);
        stored += (int)take();
    }
    assert_int_equal(stored, 4); /* at 0, 10, 20 and 30 s */
}

static void time_out_checker_takes_what_could_wait_longer_too(void **state)
{
    (void)state;
    fl_touches_note_waiting(touches, 4, 100 * SECOND_US);
    assert_int_equal(take(), 1);
    fl_touches_note_waiting(touches, 4, 101 * SECOND_US);
    assert_int_equal(take(), 0);
    assert_int_equal(fl_touches_take(touches, 1, rows, 10), 1);
    assert_int_equal(rows[0].at_us, 101 * SECOND_US);
    assert_int_equal(fl_touches_take(touches, 1, rows, 10), 0);
    fl_touches_give_back(touches, rows, 1);
    assert_int_equal(take(), 1);
}

static void trim_forgets_what_was_stored_long_ago(void **state)
{
    (void)state;
    int64_t now_us = 1000 * SECOND_US;
    note(WORKER, 1, now_us - 61 * SECOND_US);
    note(WORKER, 2, now_us - 59 * SECOND_US);
    assert_int_equal(take(), 2);
    note(WORKER, 3, now_us - 500 * SECOND_US); /* old, but not stored yet */
    fl_touches_trim(touches, now_us);
    assert_int_equal(fl_touches_get(touches, WORKER, 1), FLAMENCO_TIME_NONE);
    assert_int_equal(fl_touches_get(touches, WORKER, 2), now_us - 59 * SECOND_US);
    assert_int_equal(fl_touches_get(touches, WORKER, 3), now_us - 500 * SECOND_US);
    assert_true(fl_touches_pending(touches));
    assert_int_equal(take(), 1);
    assert_int_equal(rows[0].key, 3);
}

static void time_that_is_given_back_after_a_trim_is_not_lost(void **state)
{
    (void)state;
    note(WORKER, 1, 100);
    assert_int_equal(take(), 1);
    fl_touches_trim(touches, 1000 * SECOND_US); /* it seemed stored, but then the commit failed */
    fl_touches_give_back(touches, rows, 1);
    assert_int_equal(fl_touches_get(touches, WORKER, 1), 100);
    assert_int_equal(take(), 1);
    assert_int_equal(rows[0].at_us, 100);
}

static void thousands_are_kept_apart_while_the_table_grows_and_shrinks(void **state)
{
    (void)state;
    for (int64_t key = 1; key <= MANY; ++key) {
        note(WORKER, key, key);
        note(TASK, key, -key);
    }
    for (int64_t key = 1; key <= MANY; ++key) {
        assert_int_equal(fl_touches_get(touches, WORKER, key), key);
        assert_int_equal(fl_touches_get(touches, TASK, key), -key);
    }
    assert_int_equal(take(), 2 * MANY);
    static unsigned char seen[2][MANY + 1];
    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < 2 * MANY; ++i)
        assert_int_equal(++seen[rows[i].what == TASK][rows[i].key], 1);
    fl_touches_trim(touches, 1000 * SECOND_US);
    assert_int_equal(fl_touches_get(touches, WORKER, MANY), FLAMENCO_TIME_NONE);
    note(WORKER, MANY, 5);
    assert_int_equal(take(), 1);
    assert_int_equal(take(), 0);
}

/* ---- From many threads -------------------------------------------------------------------------------------------- */

static void *note_a_lot(void *arg)
{
    int64_t first = *(const int64_t *)arg;
    for (int64_t i = 0; i < MANY; ++i)
        note(WORKER, first + i % 700, i + 1);
    return NULL;
}

static void nothing_is_lost_between_threads_that_note_and_one_that_takes(void **state)
{
    (void)state;
    int64_t firsts[3] = { 1, 351, 701 };
    pthread_t threads[3];
    static int64_t stored[1401];
    memset(stored, 0, sizeof(stored));
    for (int i = 0; i < 3; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, note_a_lot, &firsts[i]), 0);
    for (int round = 0; round < 200; ++round) {
        static flamenco_touch taken[100];
        size_t n = fl_touches_take(touches, round % 2, taken, 100);
        if (round % 3 == 0) {
            fl_touches_give_back(touches, taken, n);
            continue;
        }
        for (size_t i = 0; i < n; ++i) {
            assert_true(taken[i].at_us > stored[taken[i].key]);
            stored[taken[i].key] = taken[i].at_us;
        }
    }
    for (int i = 0; i < 3; ++i)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    size_t n = take();
    for (size_t i = 0; i < n; ++i)
        stored[rows[i].key] = rows[i].at_us;
    for (int64_t key = 1; key <= 1400; ++key)
        assert_int_equal(stored[key], fl_touches_get(touches, WORKER, key));
}

#define touches_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        touches_test(unknown_key_has_no_time),
        touches_test(noted_time_is_seen_at_once_and_taken_once),
        touches_test(tasks_and_workers_of_one_key_are_apart),
        touches_test(latest_time_wins_and_is_stored_once),
        touches_test(times_before_1970_count_like_others),
        touches_test(take_gives_no_more_than_there_is_room_for),
        touches_test(given_back_times_are_taken_again),
        touches_test(waiting_workers_are_stored_every_ten_seconds_alone),
        touches_test(time_out_checker_takes_what_could_wait_longer_too),
        touches_test(trim_forgets_what_was_stored_long_ago),
        touches_test(time_that_is_given_back_after_a_trim_is_not_lost),
        touches_test(thousands_are_kept_apart_while_the_table_grows_and_shrinks),
        touches_test(nothing_is_lost_between_threads_that_note_and_one_that_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
