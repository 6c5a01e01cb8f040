/* SPDX-License-Identifier: Apache-2.0
 *
 * test_outdated.c - which step counts need not be told: those before newer ones of the same job or task, and nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fake_host.h"
#include "outdated.h"

#define MOST 4000u

static fake_host fake;
static flamenco_event list[MOST];
static uint32_t n;

static int set_up(void **state)
{
    (void)state;
    n = 0;
    fake_host_init(&fake);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < n; ++i)
        fake.host.buf_unref(list[i].buf);
    fake_host_fini(&fake);
    return 0;
}

static flamenco_uuid uuid_of(uint32_t number)
{
    flamenco_uuid uuid = { { 0 } };
    number *= 2654435761u; /* as good as random */
    for (int i = 0; i < 16; ++i)
        uuid.b[i] = (uint8_t)(number >> (i % 4 * 8));
    return uuid;
}

static void add(uint32_t kind, uint32_t job, uint32_t task, uint32_t flags)
{
    flamenco_event *e = &list[n++];
    *e = (flamenco_event){ .struct_size = (uint32_t)sizeof(*e), .kind = kind, .seq = n, .flags = flags };
    e->job = uuid_of(job);
    e->task = uuid_of(task);
    assert_non_null(e->buf = fake.host.buf_make(flamenco_text("{}")));
}

#define STEPS FLAMENCO_EVENT_FLAG_STEPS

/* Drops, and compares: a letter for each event, x for one that was dropped. */
static void assert_left(const char *wanted)
{
    uint32_t dropped = 0;
    assert_int_equal(strlen(wanted), n);
    for (uint32_t i = 0; i < n; ++i)
        dropped += wanted[i] == 'x';
    assert_int_equal(outdated_drop(&fake.host, list, n), dropped);
    for (uint32_t i = 0; i < n; ++i)
        assert_true((wanted[i] == 'x') == (list[i].buf == NULL));
}

static void a_newer_step_count_is_enough(void **state)
{
    (void)state;
    add(FLAMENCO_EVENT_JOB, 1, 0, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 5, STEPS);
    add(FLAMENCO_EVENT_JOB, 2, 0, STEPS);
    add(FLAMENCO_EVENT_JOB, 1, 0, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 6, STEPS);
    add(FLAMENCO_EVENT_JOB, 1, 0, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 5, STEPS);
    assert_left("xx.x...");
}

static void whatever_comes_later_is_newer(void **state)
{
    (void)state;
    add(FLAMENCO_EVENT_JOB, 1, 0, STEPS);
    add(FLAMENCO_EVENT_JOB, 1, 0, 0);
    add(FLAMENCO_EVENT_TASK, 1, 5, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 5, 0);
    assert_left("x.x.");
}

static void what_tells_more_stays(void **state)
{
    (void)state;
    add(FLAMENCO_EVENT_JOB, 1, 0, 0);
    add(FLAMENCO_EVENT_JOB, 1, 0, 0);
    add(FLAMENCO_EVENT_JOB, 1, 0, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 5, 0);
    add(FLAMENCO_EVENT_TASK, 1, 5, STEPS);
    assert_left(".....");
}

/* A task's events name its job, too, and a job's UUID may be that of a task: nothing forbids it. */
static void kinds_are_not_mistaken_for_each_other(void **state)
{
    (void)state;
    add(FLAMENCO_EVENT_JOB, 1, 1, STEPS);
    add(FLAMENCO_EVENT_TASK, 1, 1, STEPS);
    assert_left("..");
}

static void other_kinds_are_not_looked_at(void **state)
{
    (void)state;
    add(FLAMENCO_EVENT_WORKER, 0, 0, STEPS);
    add(FLAMENCO_EVENT_TASK_LOG, 1, 5, STEPS);
    add(FLAMENCO_EVENT_LAST_RENDERED, 1, 5, STEPS);
    add(FLAMENCO_EVENT_WORKER, 0, 0, STEPS);
    add(FLAMENCO_EVENT_TASK_LOG, 1, 5, STEPS);
    add(FLAMENCO_EVENT_LAST_RENDERED, 1, 5, STEPS);
    assert_left("......");
}

/* More jobs than the table has places: the newest of each is there, whatever else is. */
static void with_many_jobs_no_newest_one_is_lost(void **state)
{
    uint32_t random = 1, told[800] = { 0 };
    (void)state;
    while (n < MOST) {
        random = random * 1664525u + 1013904223u;
        uint32_t job = (random >> 8) % 800;
        add(FLAMENCO_EVENT_JOB, job, 0, STEPS);
        told[job] = n;
    }
    uint32_t dropped = outdated_drop(&fake.host, list, n);
    assert_true(dropped > 500 && dropped <= MOST - 800);
    for (uint32_t job = 0; job < 800; ++job)
        assert_true(told[job] == 0 || list[told[job] - 1].buf != NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_newer_step_count_is_enough),  T(whatever_comes_later_is_newer),
        T(what_tells_more_stays),         T(kinds_are_not_mistaken_for_each_other),
        T(other_kinds_are_not_looked_at), T(with_many_jobs_no_newest_one_is_lost),
    };
    return cmocka_run_group_tests_name("socketio_outdated", tests, NULL, NULL);
}
