/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pick.c - which task a worker gets (state-and-scheduling 6.1, 6.2).
 */
#include "farm.h"
#include "flamenco/calls/task_scheduler.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALL_TYPES "blender,ffmpeg,file-management,misc"

static flamenco_task_scheduler_ref scheduler_of(const farm *f)
{
    flamenco_task_scheduler_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_TASK_SCHEDULER), f->self };
    return ref;
}

/* Lets a worker ask for a task. Returns "job1.task3", or "nothing". The task is made active, as the caller would do. */
static const char *ask(farm *f, uint32_t worker)
{
    static char label[32];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_task_scheduler_ref scheduler = scheduler_of(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = flamenco_task_scheduler_pick(&scheduler, cx, &row, &task, &err);
    if (rc == FLAMENCO_E_NOT_FOUND) {
        farm_rollback(f);
        return "nothing";
    }
    if (rc != FLAMENCO_OK)
        fail_msg("pick: %d %s", rc, err.text);
    (void)snprintf(label, sizeof(label), "job%u.task%u", task.uuid.b[1], task.index);
    flamenco_task stored = farm_task_row(f, task.uuid.b[1], task.index);
    assert_int_equal(task.worker_key, row.key);
    assert_int_equal(stored.worker_key, row.key);
    assert_int_equal(stored.touched_us, cx->now_us);
    assert_int_equal(task.touched_us, cx->now_us);
    assert_int_equal(stored.updated_us, cx->now_us);
    assert_int_equal(stored.status, task.status);
    assert_true(flamenco_str_equal(task.commands, flamenco_text("[{\"name\":\"echo\"}]")));
    assert_true(flamenco_str_equal(task.worker_name, row.name));
    farm_set_task(f, task.uuid.b[1], task.index, 'A', 0);
    farm_commit(f);
    return label;
}

static void complete(farm *f, uint32_t job, uint32_t index)
{
    (void)farm_begin(f);
    farm_set_task(f, job, index, 'C', 0);
    farm_commit(f);
}

static void fail_before(farm *f, uint32_t worker, uint32_t job, uint32_t index)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t n_task = 0;
    uint64_t n_worker = 0;
    flamenco_cx *cx = farm_begin(f);
    assert_int_equal(flamenco_persist_failure_add(&f->persist, cx, farm_task_row(f, job, index).key,
                                                  farm_worker_row(f, worker).key, &n_task, &n_worker, &err),
                     0);
    farm_commit(f);
}

static void block(farm *f, uint32_t worker, uint32_t job, const char *type)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(f);
    assert_int_equal(flamenco_persist_blocklist_add(&f->persist, cx, f->job_keys[job - 1],
                                                    farm_worker_row(f, worker).key, flamenco_text(type), &err),
                     0);
    farm_commit(f);
}

static void without_jobs_there_is_nothing(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    assert_string_equal(ask(&f, 1), "nothing");
    farm_stop(&f);
}

/* One job, one worker with all types, one question. */
static void one_job_gives_its_best_task(void **state)
{
    (void)state;
    static const struct {
        farm_job job;
        const char *wanted;
    } vectors[] = {
        { { .tasks = "Q,Q,Q", .types = "blender,ffmpeg,blender", .priorities = "50,100,50" }, "job1.task2" },
        { { .tasks = "Q,Q,Q", .types = "blender,ffmpeg,blender", .priorities = "50,100,50", .deps = "2-1" },
          "job1.task1" },
        { { .tasks = "Q,Q,Q", .priorities = "50,50,50" }, "job1.task1" },
        { { .tasks = "Q,Q,Q", .types = "misc,blender,ffmpeg" }, "job1.task1" },
        { { .tasks = "C,Q,Q", .types = "blender,unknown,blender", .deps = "3-1,3-2" }, "nothing" },
        { { .tasks = "Q", .types = "Blender" }, "nothing" },
        { { .tasks = "S,Q" }, "job1.task1" },
        { { .tasks = "A,C,F,X,P" }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_ACTIVE }, "job1.task1" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_PAUSED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_PAUSE_REQUESTED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_COMPLETED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_CANCELED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_CANCEL_REQUESTED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_FAILED }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_REQUEUEING }, "nothing" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_UNDER_CONSTRUCTION }, "nothing" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
        farm_add_job(&f, &vectors[i].job);
        const char *got = ask(&f, 1);
        if (strcmp(got, vectors[i].wanted) != 0)
            fail_msg("tasks %s (vector %zu): got %s, not %s", vectors[i].job.tasks, i, got, vectors[i].wanted);
        farm_stop(&f);
    }
}

static void job_priority_comes_before_task_priority(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q", .priority = 50, .priorities = "100" });
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q,Q", .priority = 100, .priorities = "50,100,150", .deps = "2-1" });
    assert_string_equal(ask(&f, 1), "job2.task3");
    farm_stop(&f);
}

static void task_priority_counts_across_jobs_of_one_priority(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .priorities = "50,70" });
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .priorities = "60,80", .types = "misc" });
    static const char *const wanted[] = { "job2.task2", "job1.task2", "job2.task1", "job1.task1", "nothing" };
    for (size_t i = 0; i < COUNT(wanted); ++i) {
        char job = 0;
        char task = 0;
        const char *got = ask(&f, 1);
        assert_string_equal(got, wanted[i]);
        if (sscanf(got, "job%c.task%c", &job, &task) == 2)
            complete(&f, (uint32_t)(job - '0'), (uint32_t)(task - '0'));
    }
    farm_stop(&f);
}

static void ties_go_to_the_older_job_and_then_by_index(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    for (int i = 0; i < 5; ++i)
        farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .types = "misc,blender" });
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .types = "blender,misc" });
    assert_string_equal(ask(&f, 1), "job1.task1");
    assert_string_equal(ask(&f, 2), "job1.task2");
    assert_string_equal(ask(&f, 3), "job2.task1");
    assert_string_equal(ask(&f, 4), "job2.task2");
    assert_string_equal(ask(&f, 5), "nothing");
    farm_stop(&f);
}

static void dependencies_order_a_fan_out_and_fan_in(void **state)
{
    (void)state;
    /* Stored as final, fan-in, p1, p2, start, p3. */
    static const struct {
        const char *label;
        uint32_t index;
    } wanted[] = { { "job1.task5", 5 }, { "job1.task3", 3 }, { "job1.task4", 4 },
                   { "job1.task6", 6 }, { "job1.task2", 2 }, { "job1.task1", 1 } };
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*6", .deps = "1-2,2-3,2-4,2-6,3-5,4-5,6-5" });
    for (size_t i = 0; i < COUNT(wanted); ++i) {
        assert_string_equal(ask(&f, 1), wanted[i].label);
        complete(&f, 1, wanted[i].index);
    }
    assert_string_equal(ask(&f, 1), "nothing");
    farm_stop(&f);
}

static void a_task_that_another_worker_had_before_is_reassigned(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .priorities = "50,100" });
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 2, 'Q', 2);
    farm_commit(&f);
    assert_string_equal(ask(&f, 1), "job1.task2");
    farm_stop(&f);
}

static void the_task_that_the_worker_holds_comes_first(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    int64_t tag = farm_add_tag(&f, "T");
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .priorities = "50,100", .types = "strange,blender", .tag_key = tag });
    farm_add_job(&f, &(farm_job){ .tasks = "Q", .priority = 99 });
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 1, 'A', 1);
    farm_commit(&f);
    fail_before(&f, 1, 1, 1);
    block(&f, 1, 1, "strange");
    assert_string_equal(ask(&f, 1), "job1.task1");
    assert_string_equal(ask(&f, 1), "job1.task1");
    farm_stop(&f);
}

static void a_held_task_of_a_job_that_is_being_paused_is_not_handed_out_again(void **state)
{
    (void)state;
    farm f;
    char letters[256];
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,P", .status = FLAMENCO_JOB_PAUSE_REQUESTED });
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 1, 'A', 1);
    farm_commit(&f);
    assert_string_equal(ask(&f, 1), "job2.task1");
    assert_string_equal(farm_tasks(&f, 1, letters), "A,P");
    farm_stop(&f);
}

static void failed_tasks_and_blocked_types_are_passed_over(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "S,Q" });
    fail_before(&f, 1, 1, 1);
    assert_string_equal(ask(&f, 1), "job1.task2");
    assert_string_equal(ask(&f, 2), "job1.task1");
    farm_stop(&f);

    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .types = "blender,ffmpeg" });
    block(&f, 1, 1, "blender");
    assert_string_equal(ask(&f, 1), "job1.task2");
    farm_stop(&f);
}

static void behind_a_failed_head_the_better_of_all_groups_wins(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        farm_job first, second;
        const char *wanted;
    } vectors[] = {
        { "another job has a better one",
          { .tasks = "S,Q", .priorities = "100,40" },
          { .tasks = "Q", .priorities = "60" },
          "job2.task1" },
        { "the next one of the same group",
          { .tasks = "S,Q", .priorities = "100,80" },
          { .tasks = "Q", .priorities = "60" },
          "job1.task2" },
        { "a tie goes to the older job",
          { .tasks = "S,Q", .priorities = "100,60" },
          { .tasks = "Q", .priorities = "60" },
          "job1.task2" },
        { "another type of the same job",
          { .tasks = "S,Q,Q", .types = "blender,misc,blender", .priorities = "100,60,60" },
          { .tasks = "Q", .priorities = "50" },
          "job1.task2" },
        { "job priority still comes first",
          { .tasks = "S,Q", .priorities = "100,10", .priority = 60 },
          { .tasks = "Q", .priorities = "60", .priority = 50 },
          "job1.task2" },
        { "all of the better job failed", { .tasks = "S", .priority = 60 }, { .tasks = "Q" }, "job2.task1" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
        farm_add_job(&f, &vectors[i].first);
        farm_add_job(&f, &vectors[i].second);
        fail_before(&f, 1, 1, 1);
        const char *got = ask(&f, 1);
        if (strcmp(got, vectors[i].wanted) != 0)
            fail_msg("%s: got %s, not %s", vectors[i].name, got, vectors[i].wanted);
        farm_stop(&f);
    }
    /* The head of the younger job failed: what is left of it ties with the older job, which wins. */
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q", .priorities = "60" });
    farm_add_job(&f, &(farm_job){ .tasks = "S,Q", .priorities = "100,60" });
    fail_before(&f, 1, 2, 1);
    assert_string_equal(ask(&f, 1), "job1.task1");
    farm_stop(&f);
}

static void tags_limit_jobs_to_workers(void **state)
{
    (void)state;
    static const struct {
        int job_tag, worker_tag; /* 0 = none, else T1 or T2 */
        const char *wanted;
    } vectors[] = {
        { 2, 1, "nothing" },    { 1, 1, "job1.task1" }, { 1, 0, "nothing" },
        { 0, 1, "job1.task1" }, { 0, 0, "job1.task1" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        const int64_t tags[] = { 0, farm_add_tag(&f, "T1"), farm_add_tag(&f, "T2") };
        farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
        if (vectors[i].worker_tag != 0)
            farm_tag_worker(&f, 1, tags[vectors[i].worker_tag]);
        farm_add_job(&f, &(farm_job){ .tasks = "Q", .tag_key = tags[vectors[i].job_tag] });
        assert_string_equal(ask(&f, 1), vectors[i].wanted);
        farm_stop(&f);
    }
}

static void a_worker_without_types_gets_nothing(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .types = "blender,misc" });
    assert_string_equal(ask(&f, 1), "nothing");
    farm_stop(&f);
}

static void a_job_marked_for_deletion_is_not_scheduled(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    assert_int_equal(flamenco_persist_job_set_delete_requested(&f.persist, farm_begin(&f), f.job_keys[0], &err), 0);
    farm_commit(&f);
    assert_string_equal(ask(&f, 1), "nothing");
    farm_stop(&f);
}

static void a_new_priority_counts_from_the_next_request_on(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q" });
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    assert_string_equal(ask(&f, 1), "job1.task1");
    assert_int_equal(flamenco_persist_job_set_priority(&f.persist, farm_begin(&f), f.job_keys[1], 51, &err), 0);
    farm_commit(&f);
    assert_string_equal(ask(&f, 2), "job2.task1");
    farm_stop(&f);
}

static void without_memory_a_pick_fails_and_assigns_nothing(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_worker(&f, ALL_TYPES, FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    flamenco_task_scheduler_ref scheduler = scheduler_of(&f);
    int32_t rc = FLAMENCO_E_NOMEM;
    for (int64_t allowed = 0; rc != FLAMENCO_OK; ++allowed) {
        flamenco_cx *cx = farm_begin(&f);
        flamenco_worker worker = farm_worker_row(&f, 1);
        flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
        f.host.allocations_left = allowed;
        rc = flamenco_task_scheduler_pick(&scheduler, cx, &worker, &task, &err);
        f.host.allocations_left = -1;
        assert_true(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOMEM || rc == FLAMENCO_E_UNAVAILABLE);
        if (rc != FLAMENCO_OK)
            assert_int_equal(task.key, 0);
        farm_rollback(&f);
        assert_true(allowed < 1000);
    }
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_jobs_there_is_nothing),
        cmocka_unit_test(one_job_gives_its_best_task),
        cmocka_unit_test(job_priority_comes_before_task_priority),
        cmocka_unit_test(task_priority_counts_across_jobs_of_one_priority),
        cmocka_unit_test(ties_go_to_the_older_job_and_then_by_index),
        cmocka_unit_test(dependencies_order_a_fan_out_and_fan_in),
        cmocka_unit_test(a_task_that_another_worker_had_before_is_reassigned),
        cmocka_unit_test(the_task_that_the_worker_holds_comes_first),
        cmocka_unit_test(a_held_task_of_a_job_that_is_being_paused_is_not_handed_out_again),
        cmocka_unit_test(failed_tasks_and_blocked_types_are_passed_over),
        cmocka_unit_test(behind_a_failed_head_the_better_of_all_groups_wins),
        cmocka_unit_test(tags_limit_jobs_to_workers),
        cmocka_unit_test(a_worker_without_types_gets_nothing),
        cmocka_unit_test(a_job_marked_for_deletion_is_not_scheduled),
        cmocka_unit_test(a_new_priority_counts_from_the_next_request_on),
        cmocka_unit_test(without_memory_a_pick_fails_and_assigns_nothing),
    };
    return cmocka_run_group_tests_name("scheduler-priority-pick", tests, NULL, NULL);
}
