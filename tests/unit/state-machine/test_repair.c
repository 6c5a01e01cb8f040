/* SPDX-License-Identifier: Apache-2.0
 *
 * test_repair.c - what the start of the manager finds half done (state-and-scheduling 3.3).
 */
#include "vectors.h"

static uint32_t repair_all(farm *f)
{
    flamenco_state_machine_ref machine = machine_of(f);
    uint32_t calls = 0;
    int32_t rc = FLAMENCO_AGAIN;
    while (rc == FLAMENCO_AGAIN) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        assert_true(++calls < 200);
        rc = flamenco_state_machine_repair(&machine, farm_begin(f), &err);
        if (rc != FLAMENCO_AGAIN)
            expect_ok(rc, &err, "repair");
        farm_commit(f);
    }
    return calls;
}

/* clang-format off */
static void unfinished_requests_are_applied_again(void **state)
{
    (void)state;
    static const struct {
        uint32_t job;
        const char *tasks, *story, *tasks_after, *job_after;
    } vectors[] = {
        { FLAMENCO_JOB_CANCEL_REQUESTED, "A,Q,S,P,C,F",
          "job cancel-requested>cancel-requested+; job cancel-requested>canceled", "X*4,C,F", "canceled" },
        { FLAMENCO_JOB_CANCEL_REQUESTED, "X,C",
          "job cancel-requested>cancel-requested+; job cancel-requested>canceled", "X,C", "canceled" },
        { FLAMENCO_JOB_REQUEUEING, "X,F,P,S,C,A",
          "job requeueing>requeueing+; job requeueing>queued+", "Q*4,C,A", "queued" },
        { FLAMENCO_JOB_REQUEUEING, "C,C",
          "job requeueing>requeueing+; job requeueing>queued+; job queued>completed", "C,C", "completed" },
        { FLAMENCO_JOB_PAUSE_REQUESTED, "Q,S,C",
          "job pause-requested>pause-requested+; job pause-requested>paused", "P,P,C", "paused" },
        { FLAMENCO_JOB_PAUSE_REQUESTED, "Q,S,A",
          "job pause-requested>pause-requested+", "P,P,A", "pause-requested" },
        { FLAMENCO_JOB_PAUSE_REQUESTED, "P,C",
          "job pause-requested>pause-requested+; job pause-requested>paused", "P,C", "paused" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_job(&f, &(farm_job){ .tasks = vectors[i].tasks, .status = vectors[i].job });
        assert_int_equal(repair_all(&f), 2);
        expect_farm(&f, vectors[i].tasks, vectors[i].story, vectors[i].tasks_after, vectors[i].job_after);
        farm_forget(&f);
        assert_int_equal(repair_all(&f), 1);
        assert_string_equal(farm_story(&f), "");
        farm_stop(&f);
    }
}
/* clang-format on */

static void what_is_not_half_done_is_left_alone(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A,P", .status = FLAMENCO_JOB_PAUSE_REQUESTED });
    farm_add_job(&f, &(farm_job){ .tasks = "F,Q", .status = FLAMENCO_JOB_FAILED });
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q", .status = FLAMENCO_JOB_ACTIVE });
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q", .status = FLAMENCO_JOB_CANCELED });
    assert_int_equal(repair_all(&f), 1);
    assert_string_equal(farm_story(&f), "");
    farm_stop(&f);
}

static void several_jobs_are_repaired_one_a_call(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "A", .status = FLAMENCO_JOB_CANCEL_REQUESTED });
    farm_add_job(&f, &(farm_job){ .tasks = "X", .status = FLAMENCO_JOB_REQUEUEING });
    farm_add_job(&f, &(farm_job){ .tasks = "Q", .status = FLAMENCO_JOB_PAUSE_REQUESTED });
    assert_int_equal(repair_all(&f), 4);
    assert_string_equal(farm_job_status(&f, 1), "canceled");
    assert_string_equal(farm_job_status(&f, 2), "queued");
    assert_string_equal(farm_job_status(&f, 3), "paused");
    (void)farm_begin(&f);
    assert_string_equal(text_of(farm_job_row(&f, 1).activity),
                        "Changed to canceled: re-applied at the start of the manager");
    farm_stop(&f);
}

/* A crash after the given number of steps of a long change: a new instance of the plugin knows only the database. */
static void crash_after(farm *f, uint32_t to, uint32_t steps)
{
    assert_int_equal(set_job(f, to, "the artist wants it"), 1);
    for (uint32_t i = 0; i < steps; ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_state_machine_ref machine = machine_of(f);
        assert_int_equal(flamenco_state_machine_job_advance(&machine, farm_begin(f), f->job_keys[0], &err),
                         FLAMENCO_AGAIN);
        farm_commit(f);
    }
    fake_host_stop(&f->host, flamenco_plugin_query(), f->self);
    f->self = fake_host_start(&f->host, flamenco_plugin_query());
}

static void a_long_change_goes_on_after_a_crash(void **state)
{
    (void)state;
    static const char *const small_steps[] = { "single_step_limit", "10", "bulk_step", "4", NULL };
    static const struct {
        uint32_t job;
        const char *tasks;
        uint32_t to;
        const char *tasks_after;
        uint32_t job_after;
    } vectors[] = {
        { FLAMENCO_JOB_ACTIVE, "A,Q*19,C", FLAMENCO_JOB_CANCEL_REQUESTED, "X*20,C", FLAMENCO_JOB_CANCELED },
        { FLAMENCO_JOB_ACTIVE, "F,F,Q*19,C", FLAMENCO_JOB_FAILED, "F,F,X*19,C", FLAMENCO_JOB_FAILED },
        { FLAMENCO_JOB_COMPLETED, "C*22", FLAMENCO_JOB_REQUEUEING, "Q*22", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_FAILED, "C*4,X*18", FLAMENCO_JOB_REQUEUEING, "C*4,Q*18", FLAMENCO_JOB_QUEUED },
        { FLAMENCO_JOB_ACTIVE, "Q*22", FLAMENCO_JOB_PAUSE_REQUESTED, "P*22", FLAMENCO_JOB_PAUSED },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        for (uint32_t steps = 0; steps < 4; ++steps) {
            char letters[256];
            char wanted[128];
            const char *status = flamenco_job_status_text(vectors[i].job_after);
            farm f;
            farm_start(&f, small_steps);
            farm_add_job(&f, &(farm_job){ .tasks = vectors[i].tasks, .status = vectors[i].job });
            crash_after(&f, vectors[i].to, steps);
            (void)repair_all(&f);
            assert_string_equal(farm_tasks(&f, 1, letters), vectors[i].tasks_after);
            assert_string_equal(farm_job_status(&f, 1), status);
            (void)snprintf(wanted, sizeof(wanted), "Changed to %s: the artist wants it", status);
            (void)farm_begin(&f);
            assert_string_equal(text_of(farm_job_row(&f, 1).activity), wanted);
            farm_rollback(&f);
            assert_int_equal(repair_all(&f), 1);
            farm_stop(&f);
        }
    }
}

static void a_long_change_is_ended_at_once_when_the_limit_was_raised(void **state)
{
    (void)state;
    static const char *const small_steps[] = { "single_step_limit", "10", "bulk_step", "4", NULL };
    static const struct {
        uint32_t job;
        const char *tasks;
        uint32_t to;
        const char *tasks_after, *job_after;
    } vectors[] = {
        { FLAMENCO_JOB_COMPLETED, "C*22", FLAMENCO_JOB_REQUEUEING, "Q*22", "queued" },
        { FLAMENCO_JOB_ACTIVE, "C,Q*22", FLAMENCO_JOB_CANCEL_REQUESTED, "C,X*22", "canceled" },
        { FLAMENCO_JOB_ACTIVE, "C,Q*22", FLAMENCO_JOB_FAILED, "C,X*22", "failed" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        char letters[256];
        farm f;
        farm_start(&f, small_steps);
        farm_add_job(&f, &(farm_job){ .tasks = vectors[i].tasks, .status = vectors[i].job });
        fake_host_set(&f.host, "single_step_limit", "1000");
        crash_after(&f, vectors[i].to, 2);
        (void)repair_all(&f);
        assert_string_equal(farm_tasks(&f, 1, letters), vectors[i].tasks_after);
        assert_string_equal(farm_job_status(&f, 1), vectors[i].job_after);
        assert_int_equal(repair_all(&f), 1);
        farm_stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unfinished_requests_are_applied_again),
        cmocka_unit_test(what_is_not_half_done_is_left_alone),
        cmocka_unit_test(several_jobs_are_repaired_one_a_call),
        cmocka_unit_test(a_long_change_goes_on_after_a_crash),
        cmocka_unit_test(a_long_change_is_ended_at_once_when_the_limit_was_raised),
    };
    return cmocka_run_group_tests_name("state-machine-repair", tests, NULL, NULL);
}
