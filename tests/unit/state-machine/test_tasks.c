/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tasks.c - the change of one task and its ripple to the job (state-and-scheduling 2, 4, 5 and the time-out of 10, with
 * decisions "Fixed").
 */
#include "vectors.h"

typedef struct vector {
    uint32_t job;
    const char *tasks;
    uint32_t index;
    char to;
    const char *story, *tasks_after;
    uint32_t job_after;
} vector;

static void run_vectors(const vector *vectors, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        const vector *v = &vectors[i];
        char name[128];
        farm f;
        (void)snprintf(name, sizeof(name), "%s job, tasks %s, task %u to %c", flamenco_job_status_text(v->job),
                       v->tasks, v->index, v->to);
        farm_start(&f, NULL);
        farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
        set_task(&f, v->index, v->to, NULL);
        expect_farm(&f, name, v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
        farm_stop(&f);
    }
}

/* clang-format off */
static void a_task_change_ripples_to_its_job(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_QUEUED, "Q", 1, 'A', "task1 Q>A; job queued>active", "A", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_QUEUED, "Q,Q", 1, 'S', "task1 Q>S; job queued>active", "S,Q", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_QUEUED, "Q,Q", 1, 'C', "task1 Q>C; job queued>active", "C,Q", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_UNDER_CONSTRUCTION, "Q,Q", 1, 'A', "task1 Q>A; job under-construction>active", "A,Q", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "A,A,A", 1, 'C', "task1 A>C", "C,A,A", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "C,A,A", 2, 'S', "task2 A>S", "C,S,A", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "C,S,A", 2, 'C', "task2 S>C", "C,C,A", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "C,C,A", 3, 'C', "task3 A>C; job active>completed", "C,C,C", FLAMENCO_JOB_COMPLETED },
        { FLAMENCO_JOB_ACTIVE, "A,Q", 1, 'A', "task1 A>A", "A,Q", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "A,Q", 1, 'Q', "task1 A>Q", "Q,Q", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_QUEUED, "Q*100", 1, 'F', "task1 Q>F; job queued>active", "F,Q*99", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "F*9,A,Q*50,S*40", 10, 'F', "task10 A>F; job active>failed+", "F*10,X*90", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_FAILED, "F,X", 1, 'Q', "task1 F>Q", "Q,X", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_CANCELED, "X,X", 1, 'Q', "task1 X>Q", "Q,X", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_PAUSED, "P,P", 1, 'Q', "task1 P>Q", "Q,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,Q", 1, 'X', "task1 A>X", "X,Q", FLAMENCO_JOB_CANCEL_REQUESTED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "X,Q", 2, 'X', "task2 Q>X; job cancel-requested>canceled", "X,X", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,F", 1, 'X', "task1 A>X; job cancel-requested>canceled", "X,F", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,Q", 2, 'A', "task2 Q>A", "A,A", FLAMENCO_JOB_CANCEL_REQUESTED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,Q", 1, 'F', "task1 A>F", "F,Q", FLAMENCO_JOB_CANCEL_REQUESTED },
        { FLAMENCO_JOB_CANCELED, "X,C", 1, 'F', "task1 X>F; job canceled>failed+", "F,C", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_REQUEUEING, "A,X", 1, 'X', "task1 A>X", "X,X", FLAMENCO_JOB_REQUEUEING },
        { FLAMENCO_JOB_REQUEUEING, "A,C", 1, 'C', "task1 A>C", "C,C", FLAMENCO_JOB_REQUEUEING },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_share_of_failed_tasks_fails_the_job(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "A", 1, 'F', "task1 A>F; job active>failed+", "F", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_ACTIVE, "A,C*8", 1, 'F', "task1 A>F; job active>failed+", "F,C*8", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_ACTIVE, "A,C*9", 1, 'F', "task1 A>F; job active>failed+", "F,C*9", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_ACTIVE, "A,C*10", 1, 'F', "task1 A>F", "F,C*10", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "F*8,A,C*91", 9, 'F', "task9 A>F", "F*9,C*91", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "F*9,A,C*90", 10, 'F', "task10 A>F; job active>failed+", "F*10,C*90", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_ACTIVE, "F*99,A,C*901", 100, 'F', "task100 A>F", "F*100,C*901", FLAMENCO_JOB_ACTIVE },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void one_requeued_task_of_a_completed_job_queues_the_job(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_COMPLETED, "C,C,C", 1, 'Q', "task1 C>Q; job completed>queued+", "Q,C,C", FLAMENCO_JOB_QUEUED },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_job_that_is_paused_or_finished_is_not_woken_by_its_tasks(void **state)
{
    (void)state;
    static const uint32_t jobs[] = { FLAMENCO_JOB_PAUSED, FLAMENCO_JOB_CANCELED, FLAMENCO_JOB_FAILED, FLAMENCO_JOB_COMPLETED };
    for (size_t i = 0; i < COUNT(jobs); ++i) {
        const vector vectors[] = {
            { jobs[i], "Q,C", 1, 'A', "task1 Q>A", "A,C", jobs[i] },
            { jobs[i], "A,C", 1, 'S', "task1 A>S", "S,C", jobs[i] },
        };
        run_vectors(vectors, COUNT(vectors));
    }
}

static void a_pause_request_is_fulfilled_when_no_task_is_active(void **state)
{
    (void)state;
    static const uint32_t request = FLAMENCO_JOB_PAUSE_REQUESTED;
    const vector vectors[] = {
        { request, "A,P", 1, 'C', "task1 A>C; job pause-requested>paused", "C,P", FLAMENCO_JOB_PAUSED },
        { request, "A,C", 1, 'C', "task1 A>C; job pause-requested>completed", "C,C", FLAMENCO_JOB_COMPLETED },
        { request, "A,P", 1, 'X', "task1 A>X; job pause-requested>paused", "X,P", FLAMENCO_JOB_PAUSED },
        { request, "A,C", 1, 'X', "task1 A>X; job pause-requested>canceled", "X,C", FLAMENCO_JOB_CANCELED },
        { request, "A,A,P", 1, 'X', "task1 A>X", "X,A,P", request },
        { request, "A,A,P", 1, 'S', "task1 A>P", "P,A,P", request },
        { request, "A,P", 1, 'S', "task1 A>P; job pause-requested>paused", "P,P", FLAMENCO_JOB_PAUSED },
        { request, "A,P", 1, 'P', "task1 A>P; job pause-requested>paused", "P,P", FLAMENCO_JOB_PAUSED },
        { request, "A,P", 1, 'Q', "task1 A>Q; job pause-requested>paused", "Q,P", FLAMENCO_JOB_PAUSED },
        { request, "A,P*20", 1, 'F', "task1 A>F; job pause-requested>paused", "F,P*20", FLAMENCO_JOB_PAUSED },
        { request, "A,P", 1, 'F', "task1 A>F; job pause-requested>failed+", "F,P", FLAMENCO_JOB_FAILED },
        { request, "P,A", 1, 'A', "task1 P>A", "A,A", request },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_job_is_canceled_through_its_tasks_only_when_none_is_left_open(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "A,C", 1, 'X', "task1 A>X; job active>canceled", "X,C", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_ACTIVE, "A,S", 1, 'X', "task1 A>X", "X,S", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "A,P", 1, 'X', "task1 A>X; job active>paused", "X,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_QUEUED, "Q,P", 1, 'X', "task1 Q>X; job queued>paused", "X,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_PAUSED, "P,P", 1, 'X', "task1 P>X", "X,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_PAUSED, "P,X", 1, 'X', "task1 P>X; job paused>canceled", "X,X", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,F,P", 1, 'X', "task1 A>X", "X,F,P", FLAMENCO_JOB_CANCEL_REQUESTED },
        { FLAMENCO_JOB_FAILED, "F,Q,P", 2, 'X', "task2 Q>X", "F,X,P", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_FAILED, "F,Q", 2, 'X', "task2 Q>X; job failed>canceled", "F,X", FLAMENCO_JOB_CANCELED },
    };
    run_vectors(vectors, COUNT(vectors));
}
/* clang-format on */

static void a_change_saves_activity_steps_and_times_and_tells_so(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A,A,A", .status = FLAMENCO_JOB_ACTIVE });
    farm_forget(&f);
    set_task(&f, 1, 'C', "Done");
    assert_string_equal(farm_log(&f), "Task changed status from active to completed");
    assert_string_equal(f.host.records[1].text, "Done");
    assert_int_equal(f.host.records[0].what, FAKE_TASK_LOG);
    assert_int_equal(f.host.records[1].what, FAKE_EMIT_TASK);
    set_task(&f, 2, 'Q', NULL);
    set_task(&f, 3, 'S', NULL);
    farm_forget(&f);
    set_task(&f, 3, 'S', NULL);
    assert_string_equal(farm_log(&f), "");
    assert_string_equal(farm_story(&f), "task3 S>S");
    (void)farm_begin(&f);
    assert_int_equal(farm_task_row(&f, 1, 1).steps_completed, 3);
    assert_int_equal(farm_task_row(&f, 1, 2).steps_completed, 0);
    assert_int_equal(farm_task_row(&f, 1, 3).steps_completed, 1);
    assert_string_equal(text_of(farm_task_row(&f, 1, 1).activity), "Done");
    assert_string_equal(text_of(farm_task_row(&f, 1, 2).activity), "as stored");
    assert_int_equal(farm_job_row(&f, 1).steps_completed, 4);
    farm_stop(&f);
}

static void an_unknown_status_is_refused(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A", .status = FLAMENCO_JOB_ACTIVE });
    flamenco_state_machine_ref machine = machine_of(&f);
    flamenco_cx *cx = farm_begin(&f);
    flamenco_task task = farm_task_row(&f, 1, 1);
    flamenco_job job = farm_job_row(&f, 1);
    assert_int_equal(flamenco_state_machine_task_set_status(&machine, cx, &task, 7, flamenco_text(NULL), &err),
                     FLAMENCO_E_INVALID);
    assert_int_equal(flamenco_state_machine_job_set_status(&machine, cx, &job, 10, flamenco_text(""), NULL, &err),
                     FLAMENCO_E_INVALID);
    farm_stop(&f);
}

static void tasks_that_become_runnable_wake_parked_workers(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q,Q,A",
                                  .status = FLAMENCO_JOB_ACTIVE,
                                  .types = "blender,ffmpeg,ffmpeg,blender",
                                  .deps = "2-1,3-1" });
    farm_forget(&f);
    set_task(&f, 1, 'C', NULL);
    assert_string_equal(farm_wakes(&f), "2 ffmpeg");
    farm_forget(&f);
    set_task(&f, 4, 'Q', NULL);
    assert_string_equal(farm_wakes(&f), "1 blender");
    farm_forget(&f);
    set_task(&f, 4, 'A', NULL);
    assert_string_equal(farm_wakes(&f), "");
    farm_stop(&f);
}

static void requeueing_one_task_of_a_completed_job_wakes_for_that_task(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "C,C,C", .status = FLAMENCO_JOB_COMPLETED });
    farm_forget(&f);
    set_task(&f, 2, 'Q', NULL);
    assert_string_equal(farm_wakes(&f), "1 blender");
    farm_stop(&f);
}

static void return_tasks_of(farm *f, uint32_t worker)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_worker row = farm_worker_row(f, worker);
    expect_ok(flamenco_state_machine_worker_return_tasks(&machine, cx, &row, flamenco_text("worker signed off"), &err),
              &err, "worker_return_tasks");
    farm_commit(f);
}

static void hand_out(farm *f, uint32_t index, uint32_t worker)
{
    (void)farm_begin(f);
    farm_set_task(f, 1, index, 'A', worker);
    farm_commit(f);
}

static void active_tasks_of_a_worker_return_to_the_pool(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q,Q,C", .status = FLAMENCO_JOB_ACTIVE });
    hand_out(&f, 1, 1);
    hand_out(&f, 2, 2);
    hand_out(&f, 3, 1);
    farm_forget(&f);
    return_tasks_of(&f, 1);
    expect_farm(&f, "return", "task1 A>Q; task3 A>Q", "Q,A,Q,C", "active");
    assert_string_equal(farm_log(&f), "Task changed status from active to queued\n"
                                      "Manager queued this task: worker signed off\n"
                                      "Task changed status from active to queued\n"
                                      "Manager queued this task: worker signed off");
    assert_string_equal(farm_wakes(&f), "1 blender; 1 blender");
    (void)farm_begin(&f);
    flamenco_task task = farm_task_row(&f, 1, 1);
    assert_string_equal(text_of(task.activity), "Manager queued this task: worker signed off");
    assert_int_equal(task.steps_completed, 0);
    assert_int_equal(task.worker_key, farm_worker_row(&f, 1).key);
    farm_rollback(&f);
    farm_forget(&f);
    return_tasks_of(&f, 1);
    assert_string_equal(farm_story(&f), "");
    farm_stop(&f);
}

static void tasks_returned_in_a_job_that_is_being_paused_are_paused(void **state)
{
    (void)state;
    static const struct {
        uint32_t job;
        const char *story;
    } vectors[] = {
        { FLAMENCO_JOB_PAUSE_REQUESTED, "task2 A>P; job pause-requested>paused" },
        { FLAMENCO_JOB_PAUSED, "task2 A>P" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
        farm_add_job(&f, &(farm_job){ .tasks = "P,Q", .status = vectors[i].job });
        hand_out(&f, 2, 1);
        farm_forget(&f);
        return_tasks_of(&f, 1);
        expect_farm(&f, "return", vectors[i].story, "P,P", "paused");
        farm_stop(&f);
    }
}

static void a_timed_out_task_fails_for_good_and_names_its_worker(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q*20", .status = FLAMENCO_JOB_ACTIVE });
    hand_out(&f, 1, 1);
    farm_forget(&f);
    flamenco_state_machine_ref machine = machine_of(&f);
    flamenco_cx *cx = farm_begin(&f);
    flamenco_task task = farm_task_row(&f, 1, 1);
    task.touched_us = INT64_C(1772600767000000);
    expect_ok(flamenco_state_machine_task_timed_out(&machine, cx, &task, &err), &err, "task_timed_out");
    farm_commit(&f);
    expect_farm(&f, "time-out", "task1 A>F", "F,Q*20", "active");
    assert_string_equal(farm_log(&f),
                        "Task changed status from active to failed\n"
                        "Task timed out. It was assigned to worker worker1 "
                        "(57010000-0000-0000-0000-000000000000), and untouched since 2026-03-04T05:06:07Z");
    (void)farm_begin(&f);
    assert_string_equal(text_of(farm_task_row(&f, 1, 1).activity),
                        "Task timed out on worker worker1 (57010000-0000-0000-0000-000000000000)");
    farm_stop(&f);
}

static void a_timed_out_task_without_worker_says_so(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A", .status = FLAMENCO_JOB_ACTIVE });
    flamenco_state_machine_ref machine = machine_of(&f);
    flamenco_cx *cx = farm_begin(&f);
    flamenco_task task = farm_task_row(&f, 1, 1);
    expect_ok(flamenco_state_machine_task_timed_out(&machine, cx, &task, &err), &err, "task_timed_out");
    assert_string_equal(text_of(farm_task_row(&f, 1, 1).activity), "Task timed out on no worker");
    farm_commit(&f);
    assert_string_equal(farm_story(&f), "task1 A>F; job active>failed+");
    farm_stop(&f);
}

static void without_memory_a_change_fails_and_leaves_nothing(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,C", .status = FLAMENCO_JOB_ACTIVE });
    hand_out(&f, 1, 1);
    farm_forget(&f);
    flamenco_state_machine_ref machine = machine_of(&f);
    int64_t allowed = 0;
    int32_t rc = FLAMENCO_E_NOMEM;
    for (; rc != FLAMENCO_OK; ++allowed) {
        flamenco_cx *cx = farm_begin(&f);
        flamenco_worker worker = farm_worker_row(&f, 1);
        f.host.allocations_left = allowed;
        rc = flamenco_state_machine_worker_return_tasks(&machine, cx, &worker, flamenco_text("it is gone"), &err);
        f.host.allocations_left = -1;
        if (rc == FLAMENCO_OK) {
            farm_commit(&f);
        } else {
            expect_no_memory(rc);
            farm_rollback(&f);
            assert_string_equal(farm_story(&f), "");
        }
        assert_true(allowed < 1000);
    }
    assert_true(allowed > 3);
    expect_farm(&f, "enough memory", "task1 A>Q", "Q,C", "active");
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_change_ripples_to_its_job),
        cmocka_unit_test(a_share_of_failed_tasks_fails_the_job),
        cmocka_unit_test(one_requeued_task_of_a_completed_job_queues_the_job),
        cmocka_unit_test(a_job_that_is_paused_or_finished_is_not_woken_by_its_tasks),
        cmocka_unit_test(a_pause_request_is_fulfilled_when_no_task_is_active),
        cmocka_unit_test(a_job_is_canceled_through_its_tasks_only_when_none_is_left_open),
        cmocka_unit_test(a_change_saves_activity_steps_and_times_and_tells_so),
        cmocka_unit_test(an_unknown_status_is_refused),
        cmocka_unit_test(tasks_that_become_runnable_wake_parked_workers),
        cmocka_unit_test(requeueing_one_task_of_a_completed_job_wakes_for_that_task),
        cmocka_unit_test(active_tasks_of_a_worker_return_to_the_pool),
        cmocka_unit_test(tasks_returned_in_a_job_that_is_being_paused_are_paused),
        cmocka_unit_test(a_timed_out_task_fails_for_good_and_names_its_worker),
        cmocka_unit_test(a_timed_out_task_without_worker_says_so),
        cmocka_unit_test(without_memory_a_change_fails_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("state-machine-tasks", tests, NULL, NULL);
}
