/* SPDX-License-Identifier: Apache-2.0
 *
 * test_schedule.c - what is handed out to whom (contract: state-and-scheduling 6).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

#define TYPES "blender,ffmpeg,file-management,misc"

/* Asserts that the worker is handed the task with that index of the job. */
static void expect_task(fixture *f, int64_t worker, int64_t job, uint32_t index)
{
    flamenco_task task;
    assert_int_equal(fixture_assign(f, worker, &task), FLAMENCO_OK);
    assert_int_equal(task.job_key, job);
    assert_int_equal(task.index, index);
    assert_true(flamenco_str_equal(task.commands, flamenco_text("[{\"name\":\"echo\",\"parameters\":{}}]")));
}

static void expect_nothing(fixture *f, int64_t worker)
{
    flamenco_task task;
    assert_int_equal(fixture_assign(f, worker, &task), FLAMENCO_E_NOT_FOUND);
}

static void schedule_without_jobs_gives_nothing(void **state)
{
    fixture *f = *state;
    expect_nothing(f, fixture_worker(f, "w", TYPES));
}

static void schedule_gives_highest_task_priority_first(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 100, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 3);
    expect_task(f, worker, job, 2);
}

static void schedule_leaves_out_task_with_open_dependency(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 100, { 1 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 3);
    expect_task(f, worker, job, 1);
}

static void schedule_compares_job_priority_before_task_priority(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec low[] = { { "blender", 100, { 0 }, 0 } };
    const task_spec high[] = { { "blender", 50, { 0 }, 0 },
                               { "blender", 100, { 1 }, 0 },
                               { "blender", 150, { 0 }, 0 } };
    fixture_job(f, 50, 0, low, 1);
    int64_t job = fixture_job(f, 100, 0, high, 3);
    expect_task(f, worker, job, 3);
}

static void schedule_follows_a_fan_in(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    /* Stored as final, fan-in, p1, p2, start, p3. */
    const task_spec tasks[] = { { "misc", 50, { 2 }, 0 }, { "misc", 50, { 3, 4, 6 }, 0 }, { "misc", 50, { 5 }, 0 },
                                { "misc", 50, { 5 }, 0 }, { "misc", 50, { 0 }, 0 },       { "misc", 50, { 5 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 6);
    static const uint32_t order[] = { 5, 3, 4, 6, 2, 1 };
    for (size_t i = 0; i < 6; ++i) {
        expect_task(f, worker, job, order[i]);
        fixture_set_task(f, job, order[i], FLAMENCO_TASK_COMPLETED);
    }
    expect_nothing(f, worker);
}

static void schedule_gives_nothing_for_an_unsupported_type_in_the_way(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 },
                                { "exotic", 50, { 0 }, 0 },
                                { "blender", 50, { 1, 2 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 3);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    expect_nothing(f, worker);
}

static void schedule_takes_a_queued_task_of_another_worker(void **state)
{
    fixture *f = *state;
    int64_t first = fixture_worker(f, "a", TYPES), second = fixture_worker(f, "b", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "blender", 100, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 2);
    expect_task(f, first, job, 2);
    fixture_set_task(f, job, 2, FLAMENCO_TASK_QUEUED);
    expect_task(f, second, job, 2);
    assert_int_equal(fixture_read_task(f, job, 2).worker_key, second);
}

static void schedule_gives_the_held_task_again(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } }, better[] = { { "blender", 100, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 1);
    expect_task(f, worker, job, 1);
    fixture_job(f, 90, 0, better, 1);
    expect_task(f, worker, job, 1);
}

static void schedule_passes_over_tasks_that_the_worker_failed(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES), other = fixture_worker(f, "v", TYPES);
    const task_spec tasks[] = { { "blender", 60, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "ffmpeg", 55, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 3);
    int64_t task = fixture_read_task(f, job, 1).key;
    assert_int_equal(f->db->failure_add(f->self, f->cx, task, worker, NULL, NULL, &f->err), FLAMENCO_OK);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_SOFT_FAILED);
    /* The head of the blender group is out, so ffmpeg with 55 comes before the blender task with 50. */
    expect_task(f, worker, job, 3);
    fixture_set_task(f, job, 3, FLAMENCO_TASK_COMPLETED);
    expect_task(f, worker, job, 2);
    expect_task(f, other, job, 1);
}

static void schedule_respects_the_blocklist(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 2);
    assert_int_equal(f->db->blocklist_add(f->self, f->cx, job, worker, flamenco_text("blender"), &f->err), FLAMENCO_OK);
    expect_task(f, worker, job, 2);
    fixture_set_task(f, job, 2, FLAMENCO_TASK_COMPLETED);
    expect_nothing(f, worker);
    flamenco_worker row = fixture_read_worker(f, worker);
    uint64_t made = 0;
    assert_int_equal(f->db->blocklist_remove(f->self, f->cx, job, &row.uuid, flamenco_text("blender"), &made, &f->err),
                     FLAMENCO_OK);
    assert_int_equal(made, 1);
    expect_task(f, worker, job, 1);
}

static void schedule_respects_tags(void **state)
{
    static const struct {
        int job_tag, worker_tag, given; /* tags: 0 = none */
    } cases[] = { { 2, 1, 0 }, { 1, 1, 1 }, { 1, 0, 0 }, { 0, 1, 1 }, { 0, 0, 1 } };
    fixture *f = *state;
    int64_t tags[3] = { 0, fixture_tag(f, "one"), fixture_tag(f, "two") };
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        int64_t worker = fixture_worker(f, "w", TYPES);
        if (cases[i].worker_tag != 0)
            assert_int_equal(f->db->worker_set_tags(f->self, f->cx, worker, &tags[cases[i].worker_tag], 1, &f->err), 0);
        int64_t job = fixture_job(f, 50, tags[cases[i].job_tag], tasks, 1);
        if (cases[i].given)
            expect_task(f, worker, job, 1);
        else
            expect_nothing(f, worker);
        fixture_set_job(f, job, FLAMENCO_JOB_CANCELED);
    }
}

static void schedule_gives_nothing_to_a_worker_without_types(void **state)
{
    fixture *f = *state;
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    fixture_job(f, 50, 0, tasks, 1);
    expect_nothing(f, fixture_worker(f, "w", ""));
    expect_nothing(f, fixture_worker(f, "v", ",,"));
}

static void schedule_leaves_held_task_of_a_pausing_job(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = fixture_job(f, 90, 0, tasks, 2), other = fixture_job(f, 50, 0, tasks, 2);
    expect_task(f, worker, job, 1);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSE_REQUESTED);
    expect_task(f, worker, other, 1);
    assert_int_equal(fixture_read_task(f, job, 1).status, FLAMENCO_TASK_ACTIVE);
}

static void schedule_breaks_ties_by_creation_over_all_jobs(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES);
    /* ffmpeg is the younger type (a higher number), but its task was made first. */
    const task_spec tasks[] = {
        { "blender", 50, { 4 }, 0 }, { "ffmpeg", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "misc", 10, { 0 }, 0 }
    };
    int64_t first = fixture_job(f, 50, 0, tasks, 4), second = fixture_job(f, 50, 0, tasks, 4);
    static const uint32_t order[] = { 2, 3 };
    for (size_t i = 0; i < 2; ++i) {
        expect_task(f, worker, first, order[i]);
        fixture_set_task(f, first, order[i], FLAMENCO_TASK_COMPLETED);
    }
    expect_task(f, worker, second, 2);
}

typedef struct groups {
    char text[256];
} groups;

static int32_t on_group(void *ctx, const flamenco_runnable_group *row)
{
    groups *g = ctx;
    size_t len = strlen(g->text);
    (void)snprintf(g->text + len, sizeof(g->text) - len, "%d/%d:%lld:%.*s ", (int)row->job_priority,
                   (int)row->task_priority, (long long)row->job_key, (int)row->task_type.len, row->task_type.ptr);
    return 0;
}

static void groups_come_best_first_and_ties_by_creation(void **state)
{
    fixture *f = *state;
    int64_t tag = fixture_tag(f, "t"), worker = fixture_worker(f, "w", TYPES);
    OK(f, worker_set_tags, worker, &tag, 1);
    const task_spec a[] = { { "misc", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 0 }, 0 } };
    const task_spec b[] = { { "blender", 50, { 0 }, 0 }, { "misc", 90, { 0 }, 0 }, { "exotic", 99, { 0 }, 0 } };
    assert_int_equal(fixture_job(f, 50, 0, a, 3), 1);
    assert_int_equal(fixture_job(f, 50, tag, b, 3), 2);
    assert_int_equal(fixture_job(f, 60, 0, b, 1), 3);
    /* The types have their numbers by first use: the group of a later number may come first. */
    const task_spec c[] = { { "ffmpeg", 50, { 0 }, 0 }, { "misc", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    assert_int_equal(fixture_job(f, 40, 0, c, 3), 4);
    groups g = { "" };
    OK(f, runnable_groups, worker, on_group, &g);
    assert_string_equal(g.text, "60/50:3:blender 50/90:2:misc 50/50:1:misc 50/50:1:blender 50/50:1:ffmpeg "
                                "50/50:2:blender 40/50:4:ffmpeg 40/50:4:misc 40/50:4:blender ");
}

static void schedule_follows_changes_of_the_job(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES), tag = fixture_tag(f, "t");
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    int64_t a = fixture_job(f, 50, 0, tasks, 1), b = fixture_job(f, 60, 0, tasks, 1);
    flamenco_task task;
    assert_int_equal(fixture_pick(f, f->cx, worker, &task), 0);
    assert_int_equal(task.job_key, b);
    assert_int_equal(f->db->job_set_priority(f->self, f->cx, a, 70, &f->err), 0);
    assert_int_equal(fixture_pick(f, f->cx, worker, &task), 0);
    assert_int_equal(task.job_key, a);
    assert_int_equal(f->db->job_set_tag(f->self, f->cx, a, tag, &f->err), 0);
    assert_int_equal(fixture_pick(f, f->cx, worker, &task), 0);
    assert_int_equal(task.job_key, b);
    assert_int_equal(f->db->job_set_delete_requested(f->self, f->cx, b, &f->err), 0);
    assert_int_equal(fixture_pick(f, f->cx, worker, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(f->db->job_set_tag(f->self, f->cx, a, 0, &f->err), 0);
    assert_int_equal(fixture_pick(f, f->cx, worker, &task), 0);
    assert_int_equal(task.job_key, a);
    fixture_next(f);
    assert_int_equal(fixture_check(f), FLAMENCO_OK);
}

static void deleting_a_tag_frees_its_jobs(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", TYPES), tag = fixture_tag(f, "t");
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "misc", 50, { 1 }, 0 } };
    int64_t job = fixture_job(f, 50, tag, tasks, 2);
    uint64_t made = 0;
    expect_nothing(f, worker);
    assert_int_equal(f->db->tag_delete(f->self, f->cx, tag, &made, &f->err), 0);
    assert_int_equal(made, 1);
    assert_int_equal(fixture_read_job(f, job).tag_key, 0);
    expect_task(f, worker, job, 1);
    assert_int_equal(f->db->tag_delete(f->self, f->cx, tag, &made, &f->err), FLAMENCO_E_NOT_FOUND);
}

static void requeued_job_tells_what_became_runnable(void **state)
{
    fixture *f = *state;
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 },
                                { "blender", 50, { 0 }, 0 },
                                { "ffmpeg", 50, { 1, 2 }, 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 3);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    flamenco_job_counts counts = fixture_set_job(f, job, FLAMENCO_JOB_QUEUED);
    assert_int_equal(counts.made_runnable, 2);
    assert_true(flamenco_str_equal(counts.runnable_type, flamenco_text("blender")));
    /* Queued to active lets nothing run that could not before. */
    assert_int_equal(fixture_set_job(f, job, FLAMENCO_JOB_ACTIVE).made_runnable, 0);
    assert_int_equal(fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED).made_runnable, 0);
    counts = fixture_set_task(f, job, 2, FLAMENCO_TASK_COMPLETED);
    assert_int_equal(counts.made_runnable, 1);
    assert_true(flamenco_str_equal(counts.runnable_type, flamenco_text("ffmpeg")));
    /* One goes back: the task that waits for it is closed again, it itself is open. */
    counts = fixture_set_task(f, job, 2, FLAMENCO_TASK_QUEUED);
    assert_int_equal(counts.made_runnable, 1);
    assert_true(flamenco_str_equal(counts.runnable_type, flamenco_text("blender")));
    assert_int_equal(fixture_read_task(f, job, 3).open_deps, 1);
    fixture_next(f);
    assert_int_equal(fixture_check(f), FLAMENCO_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(schedule_without_jobs_gives_nothing),
        TEST(schedule_gives_highest_task_priority_first),
        TEST(schedule_leaves_out_task_with_open_dependency),
        TEST(schedule_compares_job_priority_before_task_priority),
        TEST(schedule_follows_a_fan_in),
        TEST(schedule_gives_nothing_for_an_unsupported_type_in_the_way),
        TEST(schedule_takes_a_queued_task_of_another_worker),
        TEST(schedule_gives_the_held_task_again),
        TEST(schedule_passes_over_tasks_that_the_worker_failed),
        TEST(schedule_respects_the_blocklist),
        TEST(schedule_respects_tags),
        TEST(schedule_gives_nothing_to_a_worker_without_types),
        TEST(schedule_leaves_held_task_of_a_pausing_job),
        TEST(schedule_breaks_ties_by_creation_over_all_jobs),
        TEST(groups_come_best_first_and_ties_by_creation),
        TEST(schedule_follows_changes_of_the_job),
        TEST(deleting_a_tag_frees_its_jobs),
        TEST(requeued_job_tells_what_became_runnable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
