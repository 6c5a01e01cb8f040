/* SPDX-License-Identifier: Apache-2.0
 *
 * test_failures.c - what follows when a worker fails a task (state-and-scheduling 8.2, decisions "blocklist and fail
 * thresholds": a threshold of n means n failures, and a job fails only when no capable worker is left).
 */
#include "vectors.h"

/* Worker `worker` gets task `index` of job 1 and fails it. */
static void fail_task(farm *f, uint32_t worker, uint32_t index)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    (void)farm_begin(f);
    farm_set_task(f, 1, index, 'A', worker);
    farm_commit(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_task task = farm_task_row(f, 1, index);
    flamenco_worker row = farm_worker_row(f, worker);
    expect_ok(flamenco_state_machine_task_failed(&machine, cx, &task, &row, flamenco_text("it crashed"), &err), &err,
              "task_failed");
    flamenco_task stored = farm_task_row(f, 1, index);
    assert_int_equal(task.status, stored.status);
    assert_string_equal(text_of(stored.activity), "it crashed");
    farm_commit(f);
}

/* One story: workers, settings, failures in turn ("worker-task"), and what became of the job and its tasks. */
typedef struct vector {
    const char *name;
    uint32_t workers;
    const char *block_at, *fail_at;
    const char *failures;
    const char *tasks_after; /* of a job of 30 tasks */
    const char *job_after;
    const char *blocked; /* "worker1 blender"; the blocklist, by name */
} vector;

static int32_t write_blocked(void *ctx, const flamenco_blocklist_entry *row)
{
    char *out = ctx;
    size_t len = strlen(out);
    (void)snprintf(out + len, 256 - len, "%s%.*s %.*s", len > 0 ? "; " : "", (int)row->worker_name.len,
                   row->worker_name.ptr, (int)row->task_type.len, row->task_type.ptr);
    return 0;
}

static void expect_blocked(farm *f, const char *name, const char *wanted)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    char blocked[256] = "";
    flamenco_cx *cx = farm_begin(f);
    expect_ok(flamenco_persist_blocklist_list(&f->persist, cx, f->job_keys[0], write_blocked, blocked, &err), &err,
              "blocklist_list");
    farm_rollback(f);
    expect_text(name, "the blocklist", blocked, wanted);
}

static void run_failures(farm *f, const char *failures)
{
    while (*failures != '\0') {
        unsigned worker = 0;
        unsigned index = 0;
        int used = 0;
        assert_int_equal(sscanf(failures, "%u-%u%n", &worker, &index, &used), 2);
        failures += used + (failures[used] == ' ' ? 1 : 0);
        fail_task(f, worker, index);
    }
}

static void run_vectors(const vector *vectors, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        const vector *v = &vectors[i];
        const char *settings[] = { "blocklist_threshold", v->block_at, "task_fail_after_softfail_count", v->fail_at,
                                   NULL };
        char letters[256];
        farm f;
        farm_start(&f, settings);
        for (uint32_t w = 0; w < v->workers; ++w)
            farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
        farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE });
        run_failures(&f, v->failures);
        expect_text(v->name, "the list of tasks", farm_tasks(&f, 1, letters), v->tasks_after);
        expect_text(v->name, "the job's status", farm_job_status(&f, 1), v->job_after);
        expect_blocked(&f, v->name, v->blocked);
        farm_stop(&f);
    }
}

/* clang-format off */
static void a_job_fails_for_lack_of_workers_only_when_none_is_left(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "one worker, 1st failure", 1, "3", "3", "1-1", "F,X*29", "failed", "" },
        { "two workers, 1st failure", 2, "3", "3", "1-1", "S,Q*29", "active", "" },
        { "two workers, 2nd failure", 2, "3", "3", "1-1 2-1", "F,X*29", "failed", "" },
        { "three workers, 1st failure", 3, "3", "3", "1-1", "S,Q*29", "active", "" },
        { "three workers, 2nd failure", 3, "3", "3", "1-1 2-1", "S,Q*29", "active", "" },
        { "three workers, 3rd failure", 3, "3", "3", "1-1 2-1 3-1", "F,Q*29", "active", "" },
        { "four workers, 2nd failure", 4, "3", "3", "1-1 2-1", "S,Q*29", "active", "" },
        { "four workers, 3rd failure", 4, "3", "3", "1-1 2-1 3-1", "F,Q*29", "active", "" },
        { "ten workers, 3rd failure", 10, "3", "3", "1-1 2-1 3-1", "F,Q*29", "active", "" },
        { "one worker fails the task twice", 2, "3", "3", "1-1 1-1", "S,Q*29", "active", "" },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_task_fails_for_good_at_the_threshold(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "threshold 1", 5, "9", "1", "1-1", "F,Q*29", "active", "" },
        { "threshold 0", 5, "9", "0", "1-1", "F,Q*29", "active", "" },
        { "threshold 2, first", 5, "9", "2", "1-1", "S,Q*29", "active", "" },
        { "threshold 2, second", 5, "9", "2", "1-1 2-1", "F,Q*29", "active", "" },
        { "threshold 4, third", 5, "9", "4", "1-1 2-1 3-1", "S,Q*29", "active", "" },
    };
    run_vectors(vectors, COUNT(vectors));
}

static void a_worker_is_blocked_at_the_threshold(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "threshold 3, second failure", 4, "3", "3", "1-1 1-2", "S,S,Q*28", "active", "" },
        { "threshold 3, third failure", 4, "3", "3", "1-1 1-2 1-3", "S,S,S,Q*27", "active", "worker1 blender" },
        { "threshold 2", 4, "2", "3", "1-1 1-2", "S,S,Q*28", "active", "worker1 blender" },
        { "threshold 1", 4, "1", "3", "1-1", "S,Q*29", "active", "worker1 blender" },
        { "threshold 0", 4, "0", "3", "1-1", "S,Q*29", "active", "worker1 blender" },
        { "practically never", 4, "65535", "3", "1-1 1-2 1-3 1-4", "S*4,Q*26", "active", "" },
        { "the same task counts once", 4, "2", "3", "1-1 1-1", "S,Q*29", "active", "" },
        { "all are blocked in the end", 2, "1", "3", "1-1 2-2", "X,F,X*28", "failed", "worker1 blender; worker2 blender" },
        { "the only worker is blocked", 1, "1", "3", "1-1", "F,X*29", "failed", "worker1 blender" },
    };
    run_vectors(vectors, COUNT(vectors));
}
/* clang-format on */

static void blocking_returns_what_the_worker_has_failed_in_that_job(void **state)
{
    (void)state;
    static const char *const settings[] = { "blocklist_threshold", "2", "task_fail_after_softfail_count", "1", NULL };
    farm f;
    farm_start(&f, settings);
    for (int i = 0; i < 3; ++i)
        farm_add_worker(&f, "blender,ffmpeg", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .types = "blender,ffmpeg,blender", .status = FLAMENCO_JOB_ACTIVE });
    run_failures(&f, "1-1 1-2");
    expect_farm(&f, "hard failures", "task1 A>F; task2 A>F", "F,F,Q*28", "active");
    farm_forget(&f);
    run_failures(&f, "1-3");
    expect_farm(&f, "blocked", "task1 F>Q; task2 F>Q; task3 A>F", "Q,Q,F,Q*27", "active");
    expect_blocked(&f, "blocked", "worker1 blender");
    farm_stop(&f);
}

static void nothing_returns_when_the_job_fails_with_the_block(void **state)
{
    (void)state;
    static const char *const settings[] = { "blocklist_threshold", "2", "task_fail_after_softfail_count", "1", NULL };
    farm f;
    farm_start(&f, settings);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE });
    run_failures(&f, "1-1");
    farm_forget(&f);
    run_failures(&f, "1-2");
    expect_farm(&f, "the only worker is blocked", "task2 A>F; job active>failed+", "F,F,X*28", "failed");
    farm_stop(&f);
}

static void only_capable_workers_count(void **state)
{
    (void)state;
    static const int64_t hour_us = INT64_C(3600000000);
    static const struct {
        const char *name;
        uint32_t status;
        const char *types;
        int64_t unseen_us;
        uint32_t in_tag; /* of a tagged job */
        uint32_t deleted;
        const char *job_after;
    } vectors[] = {
        { "another awake worker", FLAMENCO_WORKER_AWAKE, "blender", 0, 1, 0, "active" },
        { "an asleep one", FLAMENCO_WORKER_ASLEEP, "blender", 0, 1, 0, "active" },
        { "of another type", FLAMENCO_WORKER_AWAKE, "ffmpeg", 0, 1, 0, "failed" },
        { "of another tag", FLAMENCO_WORKER_AWAKE, "blender", 0, 0, 0, "failed" },
        { "deleted", FLAMENCO_WORKER_AWAKE, "blender", 0, 1, 1, "failed" },
        { "offline, seen within a day", FLAMENCO_WORKER_OFFLINE, "blender", 23 * hour_us, 1, 0, "active" },
        { "offline for more than a day", FLAMENCO_WORKER_OFFLINE, "blender", 25 * hour_us, 1, 0, "failed" },
        { "in error, seen within a day", FLAMENCO_WORKER_ERROR, "blender", 23 * hour_us, 1, 0, "active" },
        { "in error for more than a day", FLAMENCO_WORKER_ERROR, "blender", 25 * hour_us, 1, 0, "failed" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        flamenco_error err = FLAMENCO_ERROR_INIT;
        farm_start(&f, NULL);
        int64_t tag = farm_add_tag(&f, "T");
        int64_t other = farm_add_worker(&f, vectors[i].types, vectors[i].status);
        f.host.now_us += vectors[i].unseen_us;
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
        farm_tag_worker(&f, 2, tag);
        if (vectors[i].in_tag)
            farm_tag_worker(&f, 1, tag);
        if (vectors[i].deleted) {
            expect_ok(flamenco_persist_worker_delete(&f.persist, farm_begin(&f), other, &err), &err, "worker_delete");
            farm_commit(&f);
        }
        farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE, .tag_key = tag });
        run_failures(&f, "2-1");
        expect_text(vectors[i].name, "the job's status", farm_job_status(&f, 1), vectors[i].job_after);
        farm_stop(&f);
    }
}

static void a_soft_failure_in_a_job_that_is_being_paused_pauses_the_task(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,P*20", .status = FLAMENCO_JOB_PAUSE_REQUESTED });
    run_failures(&f, "1-1");
    expect_farm(&f, "soft failure", "task1 A>P; job pause-requested>paused", "P*21", "paused");
    /* The failure stays recorded: the second worker's is the last one there can be. */
    farm_forget(&f);
    run_failures(&f, "2-1");
    expect_farm(&f, "no worker left", "task1 A>F; job paused>failed+", "F,P*20", "failed");
    farm_stop(&f);
}

static void failures_are_explained_in_log_and_activity(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE });
    farm_forget(&f);
    run_failures(&f, "1-1");
    assert_string_equal(farm_log(&f), "Task failed on 1 worker(s); 2 more failure(s) will make it fail for good\n"
                                      "Task changed status from active to soft-failed");
    assert_string_equal(farm_wakes(&f), "1 blender");
    farm_forget(&f);
    run_failures(&f, "2-1");
    assert_string_equal(farm_log(&f),
                        "Task failed on worker worker2 (57020000-0000-0000-0000-000000000000), and no worker "
                        "is left that could run tasks of type \"blender\"\n"
                        "Task changed status from active to failed");
    (void)farm_begin(&f);
    assert_string_equal(text_of(farm_job_row(&f, 1).activity),
                        "Changed to failed: no worker is left that could run tasks of type \"blender\"");
    farm_stop(&f);
}

static void thresholds_are_read_at_each_failure(void **state)
{
    (void)state;
    farm f;
    char letters[256];
    farm_start(&f, NULL);
    for (int i = 0; i < 4; ++i)
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE });
    run_failures(&f, "1-1");
    fake_host_set(&f.host, "task_fail_after_softfail_count", "1");
    fake_host_set(&f.host, "blocklist_threshold", "1");
    run_failures(&f, "2-2");
    assert_string_equal(farm_tasks(&f, 1, letters), "S,F,Q*28");
    expect_blocked(&f, "new threshold", "worker2 blender");
    farm_stop(&f);
}

static void without_memory_a_failure_changes_nothing(void **state)
{
    (void)state;
    static const char *const settings[] = { "blocklist_threshold", "1", NULL };
    farm f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm_start(&f, settings);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q*30", .status = FLAMENCO_JOB_ACTIVE });
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 1, 'A', 1);
    farm_commit(&f);
    flamenco_state_machine_ref machine = machine_of(&f);
    int32_t rc = FLAMENCO_E_NOMEM;
    for (int64_t allowed = 0; rc != FLAMENCO_OK; ++allowed) {
        flamenco_cx *cx = farm_begin(&f);
        flamenco_task task = farm_task_row(&f, 1, 1);
        flamenco_worker worker = farm_worker_row(&f, 1);
        f.host.allocations_left = allowed;
        rc = flamenco_state_machine_task_failed(&machine, cx, &task, &worker, flamenco_text("crash"), &err);
        f.host.allocations_left = -1;
        if (rc == FLAMENCO_OK) {
            farm_commit(&f);
        } else {
            expect_no_memory(rc);
            farm_rollback(&f);
        }
        assert_true(allowed < 1000);
    }
    expect_farm(&f, "enough memory", "task1 A>F; job active>failed+", "F,X*29", "failed");
    expect_blocked(&f, "enough memory", "worker1 blender");
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_fails_for_lack_of_workers_only_when_none_is_left),
        cmocka_unit_test(a_task_fails_for_good_at_the_threshold),
        cmocka_unit_test(a_worker_is_blocked_at_the_threshold),
        cmocka_unit_test(blocking_returns_what_the_worker_has_failed_in_that_job),
        cmocka_unit_test(nothing_returns_when_the_job_fails_with_the_block),
        cmocka_unit_test(only_capable_workers_count),
        cmocka_unit_test(a_soft_failure_in_a_job_that_is_being_paused_pauses_the_task),
        cmocka_unit_test(failures_are_explained_in_log_and_activity),
        cmocka_unit_test(thresholds_are_read_at_each_failure),
        cmocka_unit_test(without_memory_a_failure_changes_nothing),
    };
    return cmocka_run_group_tests_name("state-machine-failures", tests, NULL, NULL);
}
