/* SPDX-License-Identifier: Apache-2.0
 *
 * test_explain.c - why a job or task waits, and why a worker has no task.
 */
#include "farm.h"
#include "flamenco/calls/task_scheduler.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct answer {
    char codes[512]; /* "worker-asleep 2; worker-offline 1" */
    char last_text[400];
    uint32_t stop_after;
    uint32_t n;
} answer;

static int32_t note(void *ctx, const flamenco_reason *reason)
{
    answer *a = ctx;
    size_t len = strlen(a->codes);
    (void)snprintf(a->codes + len, sizeof(a->codes) - len, "%s%.*s %llu", len > 0 ? "; " : "", (int)reason->code.len,
                   reason->code.ptr, (unsigned long long)reason->count);
    (void)snprintf(a->last_text, sizeof(a->last_text), "%.*s", (int)reason->text.len, reason->text.ptr);
    return ++a->n == a->stop_after;
}

static int32_t explain(farm *f, uint32_t what, const flamenco_uuid *uuid, answer *a)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_task_scheduler_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_TASK_SCHEDULER), f->self };
    flamenco_cx *cx = farm_begin(f);
    int32_t rc = flamenco_task_scheduler_explain(&ref, cx, what, uuid, note, a, &err);
    farm_rollback(f);
    return rc;
}

static const char *codes_of(farm *f, uint32_t what, uint32_t job_or_worker, uint32_t index)
{
    static answer a;
    memset(&a, 0, sizeof(a));
    (void)farm_begin(f);
    flamenco_uuid uuid = what == FLAMENCO_EXPLAIN_WORKER ? farm_worker_row(f, job_or_worker).uuid
                         : what == FLAMENCO_EXPLAIN_JOB  ? farm_job_row(f, job_or_worker).uuid
                                                         : farm_task_row(f, job_or_worker, index).uuid;
    farm_rollback(f);
    assert_int_equal(explain(f, what, &uuid, &a), FLAMENCO_OK);
    return a.codes;
}

static void a_job_says_why_it_waits(void **state)
{
    (void)state;
    static const struct {
        farm_job job;
        const char *codes;
    } vectors[] = {
        { { .tasks = "Q,Q" }, "worker-asleep 1; worker-offline 1; worker-error 1; worker-starting 1; workers-idle 1" },
        { { .tasks = "Q,Q,Q", .deps = "2-1,3-1", .types = "ffmpeg,blender" }, "dependencies-open 2; workers-idle 1" },
        { { .tasks = "A,Q", .types = "ffmpeg" }, "tasks-active 1; workers-idle 1" },
        { { .tasks = "Q,S,C", .types = "python" }, "no-worker-for-type 2" },
        { { .tasks = "Q", .status = FLAMENCO_JOB_PAUSED }, "job-paused 1" },
        { { .tasks = "X", .status = FLAMENCO_JOB_CANCELED }, "job-canceled 1" },
        { { .tasks = "C", .status = FLAMENCO_JOB_COMPLETED }, "" },
    };
    for (size_t i = 0; i < COUNT(vectors); ++i) {
        farm f;
        farm_start(&f, NULL);
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_ASLEEP);
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_OFFLINE);
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_ERROR);
        farm_add_worker(&f, "blender", FLAMENCO_WORKER_STARTING);
        farm_add_worker(&f, "misc,blender,ffmpeg", FLAMENCO_WORKER_AWAKE);
        farm_add_job(&f, &vectors[i].job);
        assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_JOB, 1, 0), vectors[i].codes);
        farm_stop(&f);
    }
}

static void a_farm_without_workers_is_named(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_job(&f, &(farm_job){ .tasks = "Q,Q" });
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_JOB, 1, 0), "no-worker 2");
    farm_stop(&f);
}

static void tags_blocks_and_failures_are_named(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    uint64_t n = 0;
    farm f;
    farm_start(&f, NULL);
    int64_t tag = farm_add_tag(&f, "T");
    int64_t worker = farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    int64_t other = farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q", .tag_key = tag });
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_JOB, 1, 0), "no-worker-with-tag 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "tag-mismatch 1");
    farm_tag_worker(&f, 1, tag);
    farm_tag_worker(&f, 2, tag);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "");
    flamenco_cx *cx = farm_begin(&f);
    assert_int_equal(flamenco_persist_failure_add(&f.persist, cx, farm_task_row(&f, 1, 1).key, worker, &n, &n, &err),
                     0);
    assert_int_equal(
        flamenco_persist_blocklist_add(&f.persist, cx, f.job_keys[0], other, flamenco_text("blender"), &err), 0);
    farm_commit(&f);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 1), "workers-blocked 1; workers-failed-task 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_JOB, 1, 0), "workers-blocked 1; workers-idle 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "tasks-failed-by-worker 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 2, 0), "worker-blocked 1");
    farm_stop(&f);
}

static void a_task_says_why_it_waits(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q,Q,C,X,Q", .deps = "2-1,2-3" });
    farm_add_job(&f, &(farm_job){ .tasks = "Q,F", .status = FLAMENCO_JOB_FAILED });
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 1), "");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 2), "dependencies-open 2");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 3), "workers-idle 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 4), "");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 5), "task-canceled 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 2, 1), "job-failed 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 2, 2), "task-failed 1; job-failed 1");
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 6, 'A', 1);
    farm_commit(&f);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_TASK, 1, 3), "workers-busy 1");
    farm_stop(&f);
}

static void a_worker_says_why_it_has_no_task(void **state)
{
    (void)state;
    farm f;
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "no-job 0");
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_ASLEEP);
    farm_add_worker(&f, "", FLAMENCO_WORKER_AWAKE);
    farm_add_worker(&f, "misc", FLAMENCO_WORKER_NONE);
    farm_add_job(&f, &(farm_job){ .tasks = "A,Q,Q", .types = "blender,blender,misc", .deps = "2-1" });
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "no-task-of-type 1; dependencies-open 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 2, 0), "worker-asleep 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 3, 0), "no-task-types 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 4, 0), "worker-new 1");
    (void)farm_begin(&f);
    farm_set_task(&f, 1, 1, 'A', 1);
    farm_commit(&f);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "");
    farm_stop(&f);
}

static void a_request_is_named(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    farm f;
    farm_start(&f, NULL);
    int64_t key = farm_add_worker(&f, "blender", FLAMENCO_WORKER_AWAKE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    flamenco_cx *cx = farm_begin(&f);
    flamenco_worker row = farm_worker_row(&f, 1);
    row.requested = FLAMENCO_WORKER_ASLEEP;
    const flamenco_worker_update update = { (uint32_t)sizeof(update), FLAMENCO_WORKER_SET_REQUEST, &row };
    assert_int_equal(flamenco_persist_worker_update(&f.persist, cx, key, &update, &err), 0);
    farm_commit(&f);
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_WORKER, 1, 0), "status-requested 1");
    assert_string_equal(codes_of(&f, FLAMENCO_EXPLAIN_JOB, 1, 0), "status-requested 1");
    farm_stop(&f);
}

static void a_visitor_may_end_the_list_and_unknown_things_are_not_found(void **state)
{
    (void)state;
    farm f;
    flamenco_uuid none = { { 9 } };
    answer a = { .stop_after = 1 };
    farm_start(&f, NULL);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_ASLEEP);
    farm_add_worker(&f, "blender", FLAMENCO_WORKER_OFFLINE);
    farm_add_job(&f, &(farm_job){ .tasks = "Q" });
    (void)farm_begin(&f);
    flamenco_uuid uuid = farm_job_row(&f, 1).uuid;
    farm_rollback(&f);
    assert_int_equal(explain(&f, FLAMENCO_EXPLAIN_JOB, &uuid, &a), FLAMENCO_OK);
    assert_string_equal(a.codes, "worker-asleep 1");
    assert_string_equal(a.last_text, "1 worker(s) for tasks of type \"blender\" are asleep");
    assert_int_equal(explain(&f, FLAMENCO_EXPLAIN_JOB, &none, &a), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(explain(&f, FLAMENCO_EXPLAIN_TASK, &none, &a), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(explain(&f, FLAMENCO_EXPLAIN_WORKER, &none, &a), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(explain(&f, 4, &uuid, &a), FLAMENCO_E_INVALID);
    farm_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_says_why_it_waits),
        cmocka_unit_test(a_farm_without_workers_is_named),
        cmocka_unit_test(tags_blocks_and_failures_are_named),
        cmocka_unit_test(a_task_says_why_it_waits),
        cmocka_unit_test(a_worker_says_why_it_has_no_task),
        cmocka_unit_test(a_request_is_named),
        cmocka_unit_test(a_visitor_may_end_the_list_and_unknown_things_are_not_found),
    };
    return cmocka_run_group_tests_name("scheduler-priority-explain", tests, NULL, NULL);
}
