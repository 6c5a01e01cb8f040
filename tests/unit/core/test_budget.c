/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that requests share: who waits, who goes on, and in which order.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/budget.h"

typedef struct place {
    fl_budget_place place; /* first */
    int granted; /* -1 = waits */
    int order;
} place;

static int granted_so_far;

static void note(fl_budget_place *p, int granted)
{
    place *mine = (place *)(void *)p;
    mine->granted = granted;
    mine->order = ++granted_so_far;
}

static void enter(fl_budget *budget, place *p, uint64_t bytes, int64_t deadline_us)
{
    *p = (place){ .granted = -1 };
    fl_budget_enter(budget, &p->place, bytes, deadline_us, note);
}

static void room_is_granted_at_once_and_in_order(void **state)
{
    (void)state;
    fl_budget *budget = fl_budget_create(100);
    place a, b, c, d;
    granted_so_far = 0;
    enter(budget, &a, 60, 1);
    enter(budget, &b, 40, 1);
    enter(budget, &c, 50, 1);
    enter(budget, &d, 1, 1); /* would fit sooner, but stands behind c */
    assert_int_equal(a.granted, 1);
    assert_int_equal(b.granted, 1);
    assert_int_equal(c.granted, -1);
    assert_int_equal(fl_budget_used(budget), 100);
    fl_budget_leave(budget, &b.place);
    assert_int_equal(c.granted, -1);
    assert_int_equal(d.granted, -1);
    fl_budget_leave(budget, &a.place);
    assert_int_equal(c.order, 3);
    assert_int_equal(d.order, 4);
    fl_budget_leave(budget, &c.place);
    fl_budget_leave(budget, &d.place);
    fl_budget_leave(budget, &d.place); /* harmless */
    assert_int_equal(fl_budget_used(budget), 0);
    fl_budget_destroy(budget);
}

static void known_size_makes_room_or_holds_others_back(void **state)
{
    (void)state;
    fl_budget *budget = fl_budget_create(100);
    place a, b;
    enter(budget, &a, 90, 1);
    enter(budget, &b, 20, 1);
    fl_budget_set(budget, &a.place, 300); /* larger than thought */
    assert_int_equal(b.granted, -1);
    fl_budget_set(budget, &a.place, 10);
    assert_int_equal(b.granted, 1);
    assert_int_equal(fl_budget_used(budget), 30);
    fl_budget_leave(budget, &a.place);
    fl_budget_leave(budget, &b.place);
    fl_budget_destroy(budget);
}

static void one_that_is_larger_than_all_goes_alone(void **state)
{
    (void)state;
    fl_budget *budget = fl_budget_create(100);
    place huge, next;
    enter(budget, &huge, 1000, 1);
    assert_int_equal(huge.granted, 1);
    enter(budget, &next, 1, 1);
    assert_int_equal(next.granted, -1);
    fl_budget_leave(budget, &huge.place);
    assert_int_equal(next.granted, 1);
    fl_budget_leave(budget, &next.place);
    fl_budget_destroy(budget);
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    fl_budget *budget = fl_budget_create(10);
    place a, early, late;
    enter(budget, &a, 10, 1000);
    enter(budget, &early, 5, 100);
    enter(budget, &late, 5, 200);
    fl_budget_expire(budget, 150, 0);
    assert_int_equal(early.granted, 0);
    assert_int_equal(late.granted, -1);
    fl_budget_leave(budget, &early.place);
    assert_int_equal(fl_budget_used(budget), 10);
    fl_budget_expire(budget, 0, 1);
    assert_int_equal(late.granted, 0);
    fl_budget_leave(budget, &late.place);
    fl_budget_leave(budget, &a.place);
    assert_int_equal(fl_budget_used(budget), 0);
    fl_budget_destroy(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_granted_at_once_and_in_order),
        cmocka_unit_test(known_size_makes_room_or_holds_others_back),
        cmocka_unit_test(one_that_is_larger_than_all_goes_alone),
        cmocka_unit_test(waiting_ends_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
