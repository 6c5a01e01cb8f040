/* SPDX-License-Identifier: Apache-2.0
 *
 * test_long.c - changes of jobs that are too long for one step: the caller's steps and the machine's own, steps that are
 * rolled back, and what other requests do meanwhile (architecture 2).
 */
#include "vectors.h"

static const char *const small_steps[] = { "single_step_limit", "10", "bulk_step", "4", NULL };

/* One step in a transaction of its own. */
static int32_t advance(farm *f)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    flamenco_cx *cx = farm_begin(f);
    int32_t rc = flamenco_state_machine_job_advance(&machine, cx, f->job_keys[0], &err);
    if (rc != FLAMENCO_AGAIN)
        expect_ok(rc, &err, "job_advance");
    farm_commit(f);
    return rc;
}

static uint32_t advance_all(farm *f)
{
    uint32_t steps = 1;
    while (advance(f) == FLAMENCO_AGAIN)
        assert_true(++steps < 100);
    return steps;
}

typedef struct vector {
    uint32_t job;
    const char *tasks;
    uint32_t to;
    const char *story, *tasks_between, *tasks_after;
    uint32_t job_after;
} vector;

/* clang-format off */
static const vector vectors[] = {
    { FLAMENCO_JOB_ACTIVE, "A,Q*18,C,S,P*4", FLAMENCO_JOB_CANCEL_REQUESTED,
      "job active>cancel-requested+; job cancel-requested>canceled+", "X*4,Q*15,C,S,P*4", "X*19,C,X*5", FLAMENCO_JOB_CANCELED },
    { FLAMENCO_JOB_ACTIVE, "C,Q*19,C", FLAMENCO_JOB_PAUSE_REQUESTED,
      "job active>pause-requested+; job pause-requested>paused+", "C,P,P,P,Q*16,C", "C,P*19,C", FLAMENCO_JOB_PAUSED },
    { FLAMENCO_JOB_ACTIVE, "A,Q*19,C", FLAMENCO_JOB_PAUSE_REQUESTED,
      "job active>pause-requested+; job pause-requested>pause-requested+", "A,P,P,P,Q*16,C", "A,P*19,C", FLAMENCO_JOB_PAUSE_REQUESTED },
    { FLAMENCO_JOB_FAILED, "F,C*8,X*12", FLAMENCO_JOB_REQUEUEING,
      "job failed>requeueing+; job requeueing>queued+", "Q,C*8,X*12", "Q,C*8,Q*12", FLAMENCO_JOB_QUEUED },
    { FLAMENCO_JOB_COMPLETED, "C*21", FLAMENCO_JOB_REQUEUEING,
      "job completed>requeueing+; job requeueing>queued+", "Q*4,C*17", "Q*21", FLAMENCO_JOB_QUEUED },
    { FLAMENCO_JOB_ACTIVE, "C*12,A,P,Q*5,F,S", FLAMENCO_JOB_FAILED,
      "job active>failed+; job failed>failed+", "C*12,X,P,X,X,Q,Q,Q,F,S", "C*12,X,P,X*5,F,X", FLAMENCO_JOB_FAILED },
};
/* clang-format on */

static const char *name_of(const vector *v)
{
    static char name[128];
    (void)snprintf(name, sizeof(name), "%s job, tasks %s, to %s", flamenco_job_status_text(v->job), v->tasks,
                   flamenco_job_status_text(v->to));
    return name;
}

static void expect_reason(farm *f, const char *status, const char *reason)
{
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "Changed to %s: %s", status, reason);
    (void)farm_begin(f);
    assert_string_equal(text_of(farm_job_row(f, 1).activity), wanted);
    farm_rollback(f);
}

static void a_caller_goes_on_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        const vector *v = &vectors[i];
        char letters[256];
        char before[256];
        farm f;
        farm_start(&f, small_steps);
        farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
        (void)farm_tasks(&f, 1, before);
        assert_int_equal(set_job(&f, v->to, "a (long): story"), 1);
        expect_text(name_of(v), "the job's status", farm_job_status(&f, 1), flamenco_job_status_text(v->to));
        expect_text(name_of(v), "the untouched list of tasks", farm_tasks(&f, 1, letters), before);
        assert_int_equal(advance(&f), FLAMENCO_AGAIN);
        expect_text(name_of(v), "the list of tasks between", farm_tasks(&f, 1, letters), v->tasks_between);
        assert_true(advance_all(&f) >= 2);
        expect_farm(&f, name_of(v), v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
        if (v->job_after != FLAMENCO_JOB_PAUSE_REQUESTED)
            expect_reason(&f, flamenco_job_status_text(v->job_after), "a (long): story");
        assert_int_equal(f.host.n_steps, 0);
        farm_forget(&f);
        assert_int_equal(advance(&f), FLAMENCO_OK);
        expect_farm(&f, name_of(v), "", v->tasks_after, flamenco_job_status_text(v->job_after));
        farm_stop(&f);
    }
}

static void set_job_in_background(farm *f, uint32_t to)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_job job = farm_job_row(f, 1);
    expect_ok(flamenco_state_machine_job_set_status(&machine, cx, &job, to, flamenco_text("why"), NULL, &err), &err,
              "job_set_status");
    farm_commit(f);
}

static void without_a_caller_steps_are_queued(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        const vector *v = &vectors[i];
        farm f;
        farm_start(&f, small_steps);
        farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
        set_job_in_background(&f, v->to);
        assert_int_equal(f.host.n_steps, 1);
        assert_true(farm_run_steps(&f) >= 3);
        expect_farm(&f, name_of(v), v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
        farm_stop(&f);
    }
}

static void a_step_that_is_rolled_back_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        const vector *v = &vectors[i];
        farm f;
        farm_start(&f, small_steps);
        farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
        assert_int_equal(set_job(&f, v->to, ""), 1);
        int32_t rc = FLAMENCO_AGAIN;
        for (int step = 0; rc == FLAMENCO_AGAIN; ++step) {
            flamenco_error err = FLAMENCO_ERROR_INIT;
            flamenco_state_machine_ref machine = machine_of(&f);
            assert_true(step < 100);
            /* Twice for nothing, as when a batch is rolled back; the cursor moves on all the same. */
            for (int spoilt = 0; spoilt < 2; ++spoilt) {
                flamenco_cx *cx = farm_begin(&f);
                (void)flamenco_state_machine_job_advance(&machine, cx, f.job_keys[0], &err);
                farm_rollback(&f);
            }
            rc = advance(&f);
        }
        expect_farm(&f, name_of(v), v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
        farm_stop(&f);
    }
}

static void a_queued_step_that_is_rolled_back_runs_again(void **state)
{
    (void)state;
    const vector *v = &vectors[0];
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = v->tasks, .status = v->job });
    set_job_in_background(&f, v->to);
    for (int i = 0; i < 10; ++i)
        farm_spoil_step(&f);
    (void)farm_run_steps(&f);
    expect_farm(&f, name_of(v), v->story, v->tasks_after, flamenco_job_status_text(v->job_after));
    farm_stop(&f);
}

static void a_chain_after_a_rolled_back_request_does_nothing(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*20", .status = FLAMENCO_JOB_ACTIVE });
    flamenco_state_machine_ref machine = machine_of(&f);
    flamenco_cx *cx = farm_begin(&f);
    flamenco_job job = farm_job_row(&f, 1);
    expect_ok(
        flamenco_state_machine_job_set_status(&machine, cx, &job, FLAMENCO_JOB_FAILED, flamenco_text("x"), NULL, &err),
        &err, "job_set_status");
    farm_rollback(&f);
    assert_int_equal(f.host.n_steps, 1);
    assert_int_equal(farm_run_steps(&f), 1);
    expect_farm(&f, "rolled back", "", "Q*20", "active");
    set_job_in_background(&f, FLAMENCO_JOB_FAILED);
    assert_int_equal(f.host.n_steps, 1);
    (void)farm_run_steps(&f);
    expect_farm(&f, "asked again", "job active>failed+; job failed>failed+", "X*20", "failed");
    farm_stop(&f);
}

static void a_job_has_one_chain_at_a_time(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*20", .status = FLAMENCO_JOB_ACTIVE });
    set_job_in_background(&f, FLAMENCO_JOB_FAILED);
    set_job_in_background(&f, FLAMENCO_JOB_CANCEL_REQUESTED);
    assert_int_equal(f.host.n_steps, 1);
    (void)farm_run_steps(&f);
    expect_farm(&f, "one chain", "job active>failed+; job failed>cancel-requested+; job cancel-requested>canceled+",
                "X*20", "canceled");
    farm_stop(&f);
}

static void a_change_that_is_asked_for_before_an_ended_chain_is_destroyed_gets_one_of_its_own(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*20", .status = FLAMENCO_JOB_ACTIVE });
    set_job_in_background(&f, FLAMENCO_JOB_FAILED);
    assert_int_equal(f.host.n_steps, 1);
    flamenco_step ended = f.host.steps[0];
    f.host.n_steps = 0;
    int32_t rc = FLAMENCO_AGAIN;
    while (rc == FLAMENCO_AGAIN) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        rc = ended.run(farm_begin(&f), ended.ctx, &err);
        farm_commit(&f);
    }
    set_job_in_background(&f, FLAMENCO_JOB_REQUEUEING);
    assert_int_equal(f.host.n_steps, 1);
    ended.destroy(ended.ctx);
    set_job_in_background(&f, FLAMENCO_JOB_CANCEL_REQUESTED);
    assert_int_equal(f.host.n_steps, 1);
    (void)farm_run_steps(&f);
    assert_string_equal(farm_job_status(&f, 1), "canceled");
    farm_stop(&f);
}

static void what_is_asked_for_last_wins(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*21", .status = FLAMENCO_JOB_ACTIVE });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, ""), 1);
    assert_int_equal(advance(&f), FLAMENCO_AGAIN);
    assert_int_equal(set_job(&f, FLAMENCO_JOB_REQUEUEING, ""), 1);
    (void)advance_all(&f);
    expect_farm(&f, "requeued meanwhile",
                "job active>cancel-requested+; job cancel-requested>requeueing+; job requeueing>queued+", "Q*21",
                "queued");
    farm_forget(&f);
    assert_int_equal(set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, ""), 1);
    assert_int_equal(advance(&f), FLAMENCO_AGAIN);
    assert_int_equal(set_job(&f, FLAMENCO_JOB_ACTIVE, ""), 0);
    assert_int_equal(advance(&f), FLAMENCO_OK);
    expect_farm(&f, "activated meanwhile", "job queued>cancel-requested+; job cancel-requested>active", "X*4,Q*17",
                "active");
    farm_stop(&f);
}

static void tasks_that_change_behind_the_cursor_are_not_forgotten(void **state)
{
    (void)state;
    farm f;
    char letters[256];
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*21", .status = FLAMENCO_JOB_ACTIVE });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, ""), 1);
    assert_int_equal(advance(&f), FLAMENCO_AGAIN);
    set_task(&f, 2, 'Q', NULL);
    (void)advance_all(&f);
    assert_string_equal(farm_tasks(&f, 1, letters), "X*21");
    assert_string_equal(farm_job_status(&f, 1), "canceled");
    farm_stop(&f);
}

static void a_pause_waits_for_its_steps_and_for_the_last_active_task(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q*20", .status = FLAMENCO_JOB_ACTIVE });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_PAUSE_REQUESTED, ""), 1);
    assert_int_equal(advance(&f), FLAMENCO_AGAIN);
    farm_forget(&f);
    /* The last active task ends before the steps do: the job is not paused with queued tasks in it. */
    set_task(&f, 1, 'C', NULL);
    assert_string_equal(farm_job_status(&f, 1), "pause-requested");
    assert_int_equal(f.host.n_steps, 1);
    (void)farm_run_steps(&f);
    expect_farm(&f, "paused", "task1 A>C; job pause-requested>paused+", "C,P*20", "paused");
    assert_int_equal(advance(&f), FLAMENCO_OK);
    farm_stop(&f);
}

static void a_task_that_ends_while_its_job_is_canceled_or_requeued_does_not_decide(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "P*20,A", .status = FLAMENCO_JOB_ACTIVE });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, ""), 1);
    assert_int_equal(advance(&f), FLAMENCO_AGAIN);
    set_task(&f, 21, 'X', NULL);
    assert_string_equal(farm_job_status(&f, 1), "cancel-requested");
    (void)advance_all(&f);
    assert_string_equal(farm_job_status(&f, 1), "canceled");
    farm_stop(&f);

    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "X*20,A", .status = FLAMENCO_JOB_FAILED });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_REQUEUEING, ""), 1);
    set_task(&f, 21, 'X', NULL);
    assert_string_equal(farm_job_status(&f, 1), "requeueing");
    (void)advance_all(&f);
    farm_forget(&f);
    expect_farm(&f, "requeued", "", "Q*21", "queued");
    farm_stop(&f);
}

static void a_failing_task_fails_a_long_job_in_the_background(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "F,A,Q*15", .status = FLAMENCO_JOB_ACTIVE });
    set_task(&f, 2, 'F', NULL);
    expect_farm(&f, "at first", "task2 A>F; job active>failed+", "F,F,Q*15", "failed");
    (void)farm_run_steps(&f);
    expect_farm(&f, "in the end", "task2 A>F; job active>failed+; job failed>failed+", "F,F,X*15", "failed");
    farm_stop(&f);
}

static void a_job_without_tasks_to_change_needs_no_steps(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "C*21", .status = FLAMENCO_JOB_ACTIVE });
    assert_int_equal(set_job(&f, FLAMENCO_JOB_CANCEL_REQUESTED, ""), 0);
    expect_farm(&f, "nothing to do", "job active>cancel-requested+; job cancel-requested>canceled", "C*21", "canceled");
    farm_stop(&f);
}

static void the_steps_of_a_deleted_job_end(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*21", .status = FLAMENCO_JOB_ACTIVE });
    set_job_in_background(&f, FLAMENCO_JOB_CANCEL_REQUESTED);
    expect_ok(flamenco_persist_job_hide(&f.persist, farm_begin(&f), f.job_keys[0], &err), &err, "job_hide");
    farm_commit(&f);
    assert_int_equal(farm_run_steps(&f), 1);
    farm_stop(&f);
}

static void a_full_queue_fails_the_change_and_a_stopping_manager_does_not(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, small_steps);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*21", .status = FLAMENCO_JOB_ACTIVE });
    flamenco_state_machine_ref machine = machine_of(&f);
    flamenco_cx *cx = farm_begin(&f);
    flamenco_job job = farm_job_row(&f, 1);
    f.host.submit_result = FLAMENCO_E_FULL;
    assert_int_equal(
        flamenco_state_machine_job_set_status(&machine, cx, &job, FLAMENCO_JOB_FAILED, flamenco_text(""), NULL, &err),
        FLAMENCO_E_FULL);
    farm_rollback(&f);
    f.host.submit_result = FLAMENCO_E_CANCELLED;
    set_job_in_background(&f, FLAMENCO_JOB_FAILED);
    expect_farm(&f, "stopping", "job active>failed+", "Q*21", "failed");
    farm_stop(&f);
}

static void many_long_changes_at_once_all_end(void **state)
{
    (void)state;
    static const char *const tiny_steps[] = { "single_step_limit", "0", "bulk_step", "1", NULL };
    farm f;
    char letters[256];
    farm_start(&f, tiny_steps);
    for (uint32_t i = 0; i < FARM_MAX_JOBS; ++i)
        farm_add_job(&f, &(farm_job){ .tasks = "Q,C,Q,C,Q", .status = FLAMENCO_JOB_ACTIVE });
    flamenco_state_machine_ref machine = machine_of(&f);
    for (uint32_t i = 1; i <= FARM_MAX_JOBS; ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_cx *cx = farm_begin(&f);
        flamenco_job job = farm_job_row(&f, i);
        expect_ok(flamenco_state_machine_job_set_status(&machine, cx, &job, FLAMENCO_JOB_CANCEL_REQUESTED,
                                                        flamenco_text("all"), NULL, &err),
                  &err, "job_set_status");
        farm_commit(&f);
    }
    (void)farm_run_steps(&f);
    for (uint32_t i = 1; i <= FARM_MAX_JOBS; ++i) {
        assert_string_equal(farm_job_status(&f, i), "canceled");
        assert_string_equal(farm_tasks(&f, i, letters), "X,C,X,C,X");
    }
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_goes_on_itself),
        cmocka_unit_test(without_a_caller_steps_are_queued),
        cmocka_unit_test(a_step_that_is_rolled_back_loses_nothing),
        cmocka_unit_test(a_queued_step_that_is_rolled_back_runs_again),
        cmocka_unit_test(a_chain_after_a_rolled_back_request_does_nothing),
        cmocka_unit_test(a_job_has_one_chain_at_a_time),
        cmocka_unit_test(a_change_that_is_asked_for_before_an_ended_chain_is_destroyed_gets_one_of_its_own),
        cmocka_unit_test(what_is_asked_for_last_wins),
        cmocka_unit_test(tasks_that_change_behind_the_cursor_are_not_forgotten),
        cmocka_unit_test(a_pause_waits_for_its_steps_and_for_the_last_active_task),
        cmocka_unit_test(a_task_that_ends_while_its_job_is_canceled_or_requeued_does_not_decide),
        cmocka_unit_test(a_failing_task_fails_a_long_job_in_the_background),
        cmocka_unit_test(a_job_without_tasks_to_change_needs_no_steps),
        cmocka_unit_test(the_steps_of_a_deleted_job_end),
        cmocka_unit_test(a_full_queue_fails_the_change_and_a_stopping_manager_does_not),
        cmocka_unit_test(many_long_changes_at_once_all_end),
    };
    return cmocka_run_group_tests_name("state-machine-long", tests, NULL, NULL);
}
