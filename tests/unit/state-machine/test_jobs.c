/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jobs.c - the change of a job's status with all that follows, in one step (state-and-scheduling 3, 4, with decisions
 * "Fixed").
 */
#include "vectors.h"

typedef struct vector {
    uint32_t job;
    const char *tasks;
    uint32_t to;
    const char *story, *tasks_after;
    uint32_t job_after;
} vector;

static void run_vectors(const vector *vectors, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        const vector *v = &vectors[i];
        char name[128];
        farm f;
        (void)snprintf(name, sizeof(name), "%s job, tasks %s, to %s", flamenco_job_status_text(v->job), v->tasks,
                       flamenco_job_status_text(v->to));
        farm_start(&f, NULL);
        farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
        assert_int_equal(set_job(&f, v->to, "because"), 0);
        expect_farm(&f, name, v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
        assert_int_equal(f.host.n_steps, 0);
        assert_string_equal(farm_log(&f), "");
        farm_stop(&f);
    }
}

/* clang-format off */
static void a_pause_request_pauses_what_does_not_run(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_QUEUED, "Q,Q,Q", FLAMENCO_JOB_PAUSE_REQUESTED,
          "job queued>pause-requested+; job pause-requested>paused", "P,P,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_QUEUED, "C,Q,Q", FLAMENCO_JOB_PAUSE_REQUESTED,
          "job queued>pause-requested+; job pause-requested>paused", "C,P,P", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_ACTIVE, "A,C,Q", FLAMENCO_JOB_PAUSE_REQUESTED,
          "job active>pause-requested+", "A,C,P", FLAMENCO_JOB_PAUSE_REQUESTED },
        { FLAMENCO_JOB_ACTIVE, "F,S,X", FLAMENCO_JOB_PAUSE_REQUESTED,
          "job active>pause-requested+; job pause-requested>paused", "F,P,X", FLAMENCO_JOB_PAUSED },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_cancel_request_cancels_all_open_tasks_paused_ones_too(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_PAUSE_REQUESTED, "A,C,P", FLAMENCO_JOB_CANCEL_REQUESTED,
          "job pause-requested>cancel-requested+; job cancel-requested>canceled", "X,C,X", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_ACTIVE, "C,F,S", FLAMENCO_JOB_CANCEL_REQUESTED,
          "job active>cancel-requested+; job cancel-requested>canceled", "C,F,X", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_PAUSED, "P,P", FLAMENCO_JOB_CANCEL_REQUESTED,
          "job paused>cancel-requested+; job cancel-requested>canceled", "X,X", FLAMENCO_JOB_CANCELED },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void requeueing_queues_what_is_not_completed_or_all_of_a_completed_job(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "C,F,S", FLAMENCO_JOB_REQUEUEING,
          "job active>requeueing+; job requeueing>queued+", "C,Q,Q", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_COMPLETED, "C,C,C", FLAMENCO_JOB_REQUEUEING,
          "job completed>requeueing+; job requeueing>queued+", "Q,Q,Q", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_COMPLETED, "C,A,P,X,S,Q,F", FLAMENCO_JOB_REQUEUEING,
          "job completed>requeueing+; job requeueing>queued+", "Q*7", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_FAILED, "F,X,C", FLAMENCO_JOB_REQUEUEING,
          "job failed>requeueing+; job requeueing>queued+", "Q,Q,C", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_PAUSED, "Q,Q", FLAMENCO_JOB_REQUEUEING,
          "job paused>requeueing+; job requeueing>queued+", "Q,Q", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_PAUSED, "P,P,C", FLAMENCO_JOB_REQUEUEING,
          "job paused>requeueing+; job requeueing>queued+", "Q,Q,C", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_CANCELED, "C,C", FLAMENCO_JOB_REQUEUEING,
          "job canceled>requeueing+; job requeueing>queued+; job queued>completed", "C,C", FLAMENCO_JOB_COMPLETED },
        { FLAMENCO_JOB_ACTIVE, "A,Q", FLAMENCO_JOB_REQUEUEING,
          "job active>requeueing+; job requeueing>queued+", "A,Q", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_QUEUED, "", FLAMENCO_JOB_REQUEUEING,
          "job queued>requeueing+; job requeueing>queued+; job queued>completed", "", FLAMENCO_JOB_COMPLETED },
        { FLAMENCO_JOB_UNDER_CONSTRUCTION, "X,Q", FLAMENCO_JOB_REQUEUEING,
          "job under-construction>requeueing+", "X,Q", FLAMENCO_JOB_REQUEUEING },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_failed_job_cancels_what_could_still_run(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "A,Q,S,C,F,P,X", FLAMENCO_JOB_FAILED, "job active>failed+", "X,X,X,C,F,P,X", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_ACTIVE, "C,F", FLAMENCO_JOB_FAILED, "job active>failed+", "C,F", FLAMENCO_JOB_FAILED },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void other_statuses_leave_the_tasks_alone(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "A,Q,C", FLAMENCO_JOB_CANCELED, "job active>canceled", "A,Q,C", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_ACTIVE, "A,Q,C", FLAMENCO_JOB_PAUSED, "job active>paused", "A,Q,C", FLAMENCO_JOB_PAUSED },
        { FLAMENCO_JOB_PAUSED, "A,Q,C", FLAMENCO_JOB_ACTIVE, "job paused>active", "A,Q,C", FLAMENCO_JOB_ACTIVE },
        { FLAMENCO_JOB_ACTIVE, "A,Q,C", FLAMENCO_JOB_COMPLETED, "job active>completed", "A,Q,C", FLAMENCO_JOB_COMPLETED },
        { FLAMENCO_JOB_ACTIVE, "A,Q,C", FLAMENCO_JOB_QUEUED, "job active>queued+", "A,Q,C", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_ACTIVE, "C,C", FLAMENCO_JOB_QUEUED, "job active>queued+; job queued>completed", "C,C", FLAMENCO_JOB_COMPLETED },
        { FLAMENCO_JOB_ACTIVE, "A,Q", FLAMENCO_JOB_UNDER_CONSTRUCTION, "job active>under-construction", "A,Q", FLAMENCO_JOB_UNDER_CONSTRUCTION },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_request_for_the_status_that_it_has_does_nothing(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { FLAMENCO_JOB_QUEUED, "Q", FLAMENCO_JOB_QUEUED, "", "Q", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_QUEUED, "C", FLAMENCO_JOB_QUEUED, "", "C", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_REQUEUEING, "X", FLAMENCO_JOB_REQUEUEING, "", "X", FLAMENCO_JOB_REQUEUEING },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A", FLAMENCO_JOB_CANCEL_REQUESTED, "", "A", FLAMENCO_JOB_CANCEL_REQUESTED },
    };
    run_vectors(vectors, COUNT(vectors));
}
/* clang-format on */

static void activities_name_the_status_and_its_reason(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q", .status = FLAMENCO_JOB_ACTIVE });
    (void)set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, "the artist: gave up");
    (void)farm_begin(&f);
    assert_string_equal(text_of(farm_job_row(&f, 1).activity), "Changed to canceled: the artist: gave up");
    assert_string_equal(text_of(farm_task_row(&f, 1, 1).activity),
                        "Manager canceled this task, since cancellation of its job was requested");
    farm_rollback(&f);
    (void)set_job(&f, FLAMENCO_JOB_ACTIVE, "");
    (void)farm_begin(&f);
    assert_string_equal(text_of(farm_job_row(&f, 1).activity), "Changed to active");
    farm_stop(&f);
}

static void bulk_changes_leave_worker_and_touch_time_alone(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q", .status = FLAMENCO_JOB_ACTIVE });
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 1, 'A', 1);
    int64_t touched = farm_task_row(&f, 1, 1).touched_us;
    farm_commit(&f);
    (void)set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, "");
    (void)farm_begin(&f);
    flamenco_task task = farm_task_row(&f, 1, 1);
    assert_int_equal(task.status, FLAMENCO_TASK_CANCELED);
    assert_int_equal(task.touched_us, touched);
    assert_int_equal(task.worker_key, farm_worker_row(&f, 1).key);
    farm_stop(&f);
}

static void requeueing_resets_the_steps_of_queued_tasks(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "C,A,S", .status = FLAMENCO_JOB_ACTIVE });
    (void)set_job(&f, FLAMENCO_JOB_REQUEUEING, "");
    (void)farm_begin(&f);
    assert_int_equal(farm_task_row(&f, 1, 1).steps_completed, 3);
    assert_int_equal(farm_task_row(&f, 1, 2).steps_completed, 1);
    assert_int_equal(farm_task_row(&f, 1, 3).steps_completed, 0);
    flamenco_job job = farm_job_row(&f, 1);
    assert_int_equal(job.steps_completed, 4);
    assert_int_equal(job.steps_total, 9);
    farm_stop(&f);
}

static void a_job_that_may_run_again_wakes_parked_workers(void **state)
{
    (void)state;
    static const struct {
        uint32_t from, to;
        const char *tasks, *types, *wakes;
    } vectors[] = {
        { FLAMENCO_JOB_FAILED, FLAMENCO_JOB_REQUEUEING, "F,X,C", "blender", "2 blender" },
        { FLAMENCO_JOB_PAUSED, FLAMENCO_JOB_QUEUED, "Q,Q,Q", "blender,ffmpeg,blender", "3 *" },
        { FLAMENCO_JOB_CANCELED, FLAMENCO_JOB_ACTIVE, "Q,X", "ffmpeg", "1 ffmpeg" },
        { FLAMENCO_JOB_QUEUED, FLAMENCO_JOB_ACTIVE, "Q,Q", "blender", "" },
        { FLAMENCO_JOB_QUEUED, FLAMENCO_JOB_ACTIVE, "A,Q", "blender", "" },
        /* Who holds a task of it may wait for just that one. */
        { FLAMENCO_JOB_PAUSE_REQUESTED, FLAMENCO_JOB_ACTIVE, "A,Q,A", "blender", "1 blender; worker; worker" },
        { FLAMENCO_JOB_PAUSE_REQUESTED, FLAMENCO_JOB_REQUEUEING, "A,P", "blender", "1 blender; worker" },
        { FLAMENCO_JOB_ACTIVE, FLAMENCO_JOB_PAUSE_REQUESTED, "A,Q", "blender", "" },
        { FLAMENCO_JOB_ACTIVE, FLAMENCO_JOB_CANCEL_REQUESTED, "A,Q", "blender", "" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_job(&f,
                     &(farm_job){ .tasks = vectors[i].tasks, .types = vectors[i].types, .status = vectors[i].from });
        farm_forget(&f);
        (void)set_job(&f, vectors[i].to, "");
        expect_text(flamenco_job_status_text(vectors[i].to), "the wake-up", farm_wakes(&f), vectors[i].wakes);
        farm_stop(&f);
    }
}

static void without_memory_a_job_change_fails_and_leaves_nothing(void **state)
{
    (void)state;
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "F,X,C", .status = FLAMENCO_JOB_FAILED });
    flamenco_state_machine_ref machine = machine_of(&f);
    int64_t allowed = 0;
    int32_t rc = FLAMENCO_E_NOMEM;
    for (; rc != FLAMENCO_OK; ++allowed) {
        flamenco_cx *cx = farm_begin(&f);
        flamenco_job job = farm_job_row(&f, 1);
        f.host.allocations_left = allowed;
        rc = flamenco_state_machine_job_set_status(&machine, cx, &job, FLAMENCO_JOB_REQUEUEING, flamenco_text("again"),
                                                   NULL, &err);
        f.host.allocations_left = -1;
        if (rc == FLAMENCO_OK) {
            farm_commit(&f);
        } else {
            expect_no_memory(rc);
            farm_rollback(&f);
            assert_string_equal(farm_job_status(&f, 1), "failed");
        }
        assert_true(allowed < 1000);
    }
    assert_true(allowed > 3);
    expect_farm(&f, "enough memory", "job failed>requeueing+; job requeueing>queued+", "Q,Q,C", "queued");
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_request_pauses_what_does_not_run),
        cmocka_unit_test(a_cancel_request_cancels_all_open_tasks_paused_ones_too),
        cmocka_unit_test(requeueing_queues_what_is_not_completed_or_all_of_a_completed_job),
        cmocka_unit_test(a_failed_job_cancels_what_could_still_run),
        cmocka_unit_test(other_statuses_leave_the_tasks_alone),
        cmocka_unit_test(a_request_for_the_status_that_it_has_does_nothing),
        cmocka_unit_test(activities_name_the_status_and_its_reason),
        cmocka_unit_test(bulk_changes_leave_worker_and_touch_time_alone),
        cmocka_unit_test(requeueing_resets_the_steps_of_queued_tasks),
        cmocka_unit_test(a_job_that_may_run_again_wakes_parked_workers),
        cmocka_unit_test(without_memory_a_job_change_fails_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("state-machine-jobs", tests, NULL, NULL);
}
