/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tasks.c - reading, listing and changing tasks, one by one and in bulk.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

#define LATER (NOW + 5 * SECOND)

static const task_spec spec[] = {
    { "blender", 50, { 0 }, 3 }, { "ffmpeg", 60, { 1 }, 4 }, { "misc", 50, { 1, 2 }, 5 }, { "blender", 70, { 0 }, 2 }
};

static flamenco_job_counts update(fixture *f, int64_t key, flamenco_task_update u)
{
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    u.struct_size = (uint32_t)sizeof(u);
    OK(f, task_update, key, &u, &counts);
    return counts;
}

static void task_is_read_with_job_and_worker(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), job = fixture_job(f, 50, 0, spec, 4);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) }, found = { .struct_size = (uint32_t)sizeof(found) };
    int64_t key = fixture_read_task(f, job, 2).key;
    f->cx->now_us = LATER;
    update(f, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_WORKER, .worker_key = worker });
    OK(f, task_get_key, key, &task);
    assert_int_equal(task.index, 2);
    assert_int_equal(task.job_key, job);
    flamenco_uuid job_uuid = fixture_read_job(f, job).uuid, worker_uuid = fixture_read_worker(f, worker).uuid;
    assert_memory_equal(&task.job_uuid, &job_uuid, sizeof(job_uuid));
    assert_memory_equal(&task.worker_uuid, &worker_uuid, sizeof(worker_uuid));
    assert_int_equal(task.priority, 60);
    assert_int_equal(task.open_deps, 1);
    assert_int_equal(task.steps_total, 4);
    assert_int_equal(task.created_us, NOW);
    assert_int_equal(task.updated_us, LATER);
    assert_int_equal(task.touched_us, LATER);
    assert_int_equal(task.worker_deleted, 0);
    EXPECT_TEXT(task.name, "task-2");
    EXPECT_TEXT(task.type, "ffmpeg");
    EXPECT_TEXT(task.worker_name, "w");
    EXPECT_TEXT(task.worker_address, "10.1.2.3");
    EXPECT_TEXT(task.commands, "[{\"name\":\"echo\",\"parameters\":{}}]");
    OK(f, task_find, &task.uuid, &found);
    assert_int_equal(found.key, key);
    assert_int_equal(found.commands.len, 0);
    OK(f, task_get, &task.uuid, &found);
    assert_true(found.commands.len > 0);
    /* Of a deleted worker, the UUID alone is left. */
    OK(f, worker_delete, worker);
    OK(f, task_find, &task.uuid, &found);
    assert_int_equal(found.worker_deleted, 1);
    assert_memory_equal(&found.worker_uuid, &worker_uuid, sizeof(worker_uuid));
    assert_int_equal(found.worker_name.len + found.worker_address.len, 0);
    flamenco_uuid nobody = { { 9 } };
    assert_int_equal(DB(f, task_get, &nobody, &found), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_find, &nobody, &found), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_get_key, 99, &found), FLAMENCO_E_NOT_FOUND);
}

static void update_changes_only_what_is_named(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4), key = fixture_read_task(f, job, 1).key;
    f->cx->now_us = LATER;
    flamenco_job_counts counts = update(
        f, key,
        (flamenco_task_update){ .set = FLAMENCO_TASK_SET_ACTIVITY, .status = 3, .activity = flamenco_text("hi") });
    assert_int_equal(counts.counts[FLAMENCO_TASK_QUEUED], 4);
    assert_int_equal(fixture_read_task(f, job, 1).updated_us, LATER);
    assert_true(fixture_read_task(f, job, 1).touched_us == FLAMENCO_TIME_NONE);
    EXPECT_TEXT(fixture_read_task(f, job, 1).activity, "hi");
    assert_int_equal(fixture_read_job(f, job).updated_us, NOW);
    update(f, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_TOUCHED });
    assert_int_equal(fixture_read_task(f, job, 1).touched_us, LATER);
    counts = update(f, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = 2 });
    assert_int_equal(counts.steps_completed, 2);
    assert_int_equal(counts.steps_total, 14);
    EXPECT_TEXT(fixture_read_task(f, job, 1).activity, "hi");
    f->cx->now_us = LATER + 1;
    update(f, key, (flamenco_task_update){ 0 });
    assert_int_equal(fixture_read_task(f, job, 1).updated_us, LATER);
    flamenco_task_update u = { .struct_size = (uint32_t)sizeof(u), .set = FLAMENCO_TASK_SET_STATUS };
    assert_int_equal(DB(f, task_update, 99, &u, NULL), FLAMENCO_E_NOT_FOUND);
    u.status = FLAMENCO_TASK_STATUSES;
    assert_int_equal(DB(f, task_update, key, &u, NULL), FLAMENCO_E_INVALID);
    u.set = 32;
    assert_int_equal(DB(f, task_update, key, &u, NULL), FLAMENCO_E_INVALID);
    u.set = FLAMENCO_TASK_SET_WORKER;
    u.worker_key = 99;
    assert_int_equal(DB(f, task_update, key, &u, NULL), FLAMENCO_E_NOT_FOUND);
    OK(f, task_get_key, key, &(flamenco_task){ .struct_size = (uint32_t)sizeof(flamenco_task) });
}

static void update_after_a_rollback_starts_from_the_stored_row(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4);
    for (int whole = 0; whole < 2; ++whole) {
        fixture_next(f);
        if (!whole)
            assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
        fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
        flamenco_task task = fixture_read_task(f, job, 1);
        if (!whole) {
            assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0);
        } else {
            f->db->rollback(f->self, f->cx);
            fixture_begin(f);
        }
        /* Not read again: what the store remembers of it is not true any more. */
        flamenco_job_counts counts = update(
            f, task.key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS, .status = FLAMENCO_TASK_COMPLETED });
        assert_int_equal(counts.counts[FLAMENCO_TASK_COMPLETED], 1);
        assert_int_equal(counts.steps_completed, 3);
        assert_int_equal(counts.made_runnable, 1);
        fixture_set_task(f, job, 1, FLAMENCO_TASK_QUEUED);
    }
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void steps_follow_the_status(void **state)
{
    static const struct {
        uint32_t status, set;
        int64_t given, expected;
    } cases[] = {
        { FLAMENCO_TASK_ACTIVE, 0, 0, 2 },    { FLAMENCO_TASK_SOFT_FAILED, 0, 0, 2 },
        { FLAMENCO_TASK_COMPLETED, 0, 0, 3 }, { FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_SET_STEPS, 1, 1 },
        { FLAMENCO_TASK_COMPLETED, 0, 0, 1 }, /* the status it has: the steps stay */
        { FLAMENCO_TASK_QUEUED, 0, 0, 0 },    { FLAMENCO_TASK_QUEUED, FLAMENCO_TASK_SET_STEPS, 2, 2 },
        { FLAMENCO_TASK_QUEUED, 0, 0, 2 },
    };
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4), key = fixture_read_task(f, job, 1).key;
    update(f, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = 2 });
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_job_counts counts = update(f, key,
                                            (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS | cases[i].set,
                                                                    .status = cases[i].status,
                                                                    .steps_completed = cases[i].given });
        assert_int_equal(fixture_read_task(f, job, 1).steps_completed, cases[i].expected);
        assert_int_equal(counts.steps_completed, cases[i].expected);
    }
}

typedef struct rows {
    uint32_t index[32];
    int64_t key[32];
    int n, most;
} rows;

static int32_t on_task(void *ctx, const flamenco_task *row)
{
    rows *r = ctx;
    r->index[r->n] = row->index;
    r->key[r->n++] = row->key;
    return r->n == r->most;
}

static void expect_tasks(const rows *r, const uint32_t *expected, int n)
{
    assert_int_equal(r->n, n);
    for (int i = 0; i < n; ++i)
        assert_int_equal(r->index[i], expected[i]);
}

static void list_of_tasks_is_ordered_filtered_and_paged(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4);
    fixture_job(f, 50, 0, spec, 4);
    f->cx->now_us = LATER;
    fixture_set_task(f, job, 3, FLAMENCO_TASK_ACTIVE);
    f->cx->now_us = LATER + 1;
    fixture_set_task(f, job, 2, FLAMENCO_TASK_COMPLETED);
    static const struct {
        flamenco_page page;
        uint32_t expected[4];
        int n;
        uint64_t total;
    } cases[] = {
        { { .updated_after_us = FLAMENCO_TIME_NONE }, { 1, 2, 3, 4 }, 4, 4 },
        { { .descending = 1, .updated_after_us = FLAMENCO_TIME_NONE }, { 4, 3, 2, 1 }, 4, 4 },
        { { .order = FLAMENCO_ORDER_UPDATED, .updated_after_us = FLAMENCO_TIME_NONE }, { 1, 4, 3, 2 }, 4, 4 },
        { { .order = FLAMENCO_ORDER_NAME, .descending = 1, .updated_after_us = FLAMENCO_TIME_NONE },
          { 4, 3, 2, 1 },
          4,
          4 },
        { { .order = FLAMENCO_ORDER_STATUS, .updated_after_us = FLAMENCO_TIME_NONE }, { 1, 4, 3, 2 }, 4, 4 },
        { { .order = FLAMENCO_ORDER_PRIORITY, .descending = 1, .updated_after_us = FLAMENCO_TIME_NONE },
          { 4, 2, 1, 3 },
          4,
          4 },
        { { .offset = 1, .limit = 2, .updated_after_us = FLAMENCO_TIME_NONE }, { 2, 3 }, 2, 4 },
        { { .offset = UINT64_MAX, .limit = UINT64_MAX, .updated_after_us = FLAMENCO_TIME_NONE }, { 0 }, 0, 4 },
        { { .status_mask = 1, .updated_after_us = FLAMENCO_TIME_NONE }, { 1, 4 }, 2, 2 },
        { { .status_mask = FLAMENCO_BIT(40), .updated_after_us = FLAMENCO_TIME_NONE }, { 0 }, 0, 0 },
        { { .updated_after_us = LATER }, { 2 }, 1, 1 },
        { { .updated_after_us = NOW, .status_mask = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE) }, { 3 }, 1, 1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_page page = cases[i].page;
        rows r = { .n = 0 };
        uint64_t total = 99;
        page.struct_size = (uint32_t)sizeof(page);
        OK(f, tasks_list, job, &page, on_task, &r, &total);
        expect_tasks(&r, cases[i].expected, cases[i].n);
        assert_int_equal(total, cases[i].total);
    }
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    rows r = { .most = 2 };
    uint64_t total = 0;
    OK(f, tasks_list, job, &page, on_task, &r, &total);
    assert_int_equal(r.n, 2);
    assert_int_equal(total, 4);
    r.n = 0;
    OK(f, tasks_list, 99, &page, on_task, &r, &total);
    assert_int_equal(total + (uint64_t)r.n, 0);
    page.flags = FLAMENCO_PAGE_HIDDEN;
    assert_int_equal(DB(f, tasks_list, job, &page, on_task, &r, NULL), FLAMENCO_E_INVALID);
}

static int32_t on_dep(void *ctx, const flamenco_dep *row)
{
    rows *r = ctx;
    r->index[r->n++] = row->task * 10 + row->needs;
    return r->n == r->most;
}

static void dependencies_are_listed(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4);
    rows r = { .n = 0 };
    OK(f, task_needs, fixture_read_task(f, job, 3).key, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 1, 2 }, 2);
    r.n = 0;
    OK(f, task_needs, fixture_read_task(f, job, 1).key, on_task, &r);
    OK(f, task_needs, 99, on_task, &r);
    assert_int_equal(r.n, 0);
    OK(f, deps_list, job, on_dep, &r);
    expect_tasks(&r, (uint32_t[]){ 21, 31, 32 }, 3);
    r = (rows){ .most = 1 };
    OK(f, deps_list, job, on_dep, &r);
    assert_int_equal(r.n, 1);
    r.n = 0;
    OK(f, deps_list, 99, on_dep, &r);
    assert_int_equal(r.n, 0);
}

static void tasks_of_a_worker_are_found_by_status(void **state)
{
    static const uint32_t statuses[] = { FLAMENCO_TASK_ACTIVE, FLAMENCO_TASK_FAILED, FLAMENCO_TASK_COMPLETED,
                                         FLAMENCO_TASK_ACTIVE };
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "misc"), other = fixture_worker(f, "v", "misc");
    int64_t jobs[] = { fixture_job(f, 50, 0, spec, 4), fixture_job(f, 50, 0, spec, 4) };
    for (size_t j = 0; j < 2; ++j) {
        for (uint32_t i = 0; i < 4; ++i)
            update(f, fixture_read_task(f, jobs[j], i + 1).key,
                   (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                           .status = statuses[i],
                                           .worker_key = i == 3 ? other : worker });
    }
    const uint64_t active = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE), failed = FLAMENCO_BIT(FLAMENCO_TASK_FAILED);
    const struct {
        uint64_t mask;
        int64_t job;
        uint32_t expected[8];
        int n;
    } cases[] = {
        { active, 0, { 1, 1 }, 2 },
        { active, jobs[1], { 1 }, 1 },
        { failed, jobs[0], { 2 }, 1 },
        { active | failed, jobs[0], { 1, 2 }, 2 },
        { active | FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED), jobs[0], { 1, 3 }, 2 },
        { FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED), 0, { 3, 3 }, 2 },
        { FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED), 99, { 0 }, 0 },
        { 0, 0, { 0 }, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        rows r = { .n = 0 };
        OK(f, tasks_of_worker, worker, cases[i].mask, cases[i].job, on_task, &r);
        expect_tasks(&r, cases[i].expected, cases[i].n);
    }
    rows r = { .most = 1 };
    OK(f, tasks_of_worker, worker, active | failed, jobs[0], on_task, &r);
    assert_int_equal(r.n, 1);
}

static void shown_task_is_the_active_one_else_the_last(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), job = fixture_job(f, 50, 0, spec, 4);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    assert_int_equal(DB(f, task_shown_for_worker, worker, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fixture_assign(f, worker, &task), 0);
    fixture_set_job(f, job, FLAMENCO_JOB_ACTIVE);
    update(f, fixture_read_task(f, job, 1).key,
           (flamenco_task_update){ .set = FLAMENCO_TASK_SET_WORKER, .worker_key = worker });
    OK(f, task_shown_for_worker, worker, &task);
    assert_int_equal(task.index, 4);
    fixture_set_task(f, job, 4, FLAMENCO_TASK_COMPLETED);
    OK(f, task_shown_for_worker, worker, &task);
    assert_int_equal(task.index, 1);
}

static void timed_out_tasks_are_active_and_touched(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), job = fixture_job(f, 50, 0, spec, 4);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_ACTIVE); /* never touched */
    for (uint32_t i = 2; i <= 4; ++i) {
        f->cx->now_us = NOW + i;
        update(f, fixture_read_task(f, job, i).key,
               (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                       .status = i == 2 ? FLAMENCO_TASK_QUEUED : FLAMENCO_TASK_ACTIVE,
                                       .worker_key = worker });
    }
    rows r = { .n = 0 };
    OK(f, tasks_timed_out, NOW + 3, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 3 }, 1);
    r.n = 0;
    OK(f, tasks_timed_out, NOW + 4, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 3, 4 }, 2);
    flamenco_touch touch[] = { { sizeof(touch[0]), FLAMENCO_TOUCH_TASK, fixture_read_task(f, job, 3).key, LATER },
                               { sizeof(touch[0]), FLAMENCO_TOUCH_TASK, 99, LATER } };
    OK(f, touches, touch, sizeof(touch[0]), 2);
    r.n = 0;
    OK(f, tasks_timed_out, NOW + 4, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 4 }, 1);
    assert_int_equal(fixture_read_task(f, job, 3).updated_us, LATER);
    touch[0].at_us = NOW;
    OK(f, touches, touch, sizeof(touch[0]), 1);
    assert_int_equal(fixture_read_task(f, job, 3).touched_us, LATER);
    assert_int_equal(fixture_read_task(f, job, 3).updated_us, LATER);
}

/* ---- Many at once ---- */

static void set_statuses(fixture *f, int64_t job, const uint32_t *statuses, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        fixture_set_task(f, job, i + 1, statuses[i]);
}

static void bulk_moves_only_what_the_mask_names(void **state)
{
    static const uint32_t before[] = { FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_FAILED, FLAMENCO_TASK_SOFT_FAILED,
                                       FLAMENCO_TASK_ACTIVE };
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4);
    fixture_set_job(f, job, FLAMENCO_JOB_REQUEUEING);
    set_statuses(f, job, before, 4);
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    uint32_t cursor = 0, done = 9;
    f->cx->now_us = LATER;
    uint64_t mask = FLAMENCO_BIT(FLAMENCO_TASK_CANCELED) | FLAMENCO_BIT(FLAMENCO_TASK_FAILED) |
                    FLAMENCO_BIT(FLAMENCO_TASK_PAUSED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);
    OK(f, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text("again"), 2, &cursor, &done, &counts);
    assert_int_equal(cursor, 2);
    assert_int_equal(done, 0);
    assert_int_equal(counts.counts[FLAMENCO_TASK_QUEUED], 1);
    assert_int_equal(counts.counts[FLAMENCO_TASK_SOFT_FAILED], 1);
    OK(f, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text("again"), 2, &cursor, &done, &counts);
    assert_int_equal(done, 1);
    assert_int_equal(counts.counts[FLAMENCO_TASK_QUEUED], 2);
    assert_int_equal(counts.counts[FLAMENCO_TASK_COMPLETED], 1);
    assert_int_equal(counts.counts[FLAMENCO_TASK_ACTIVE], 1);
    assert_int_equal(counts.made_runnable, 0); /* the job is not schedulable yet */
    EXPECT_TEXT(fixture_read_task(f, job, 3).activity, "again");
    assert_int_equal(fixture_read_task(f, job, 3).updated_us, LATER);
    assert_int_equal(fixture_read_task(f, job, 4).updated_us, NOW);
    /* Behind the end, it does nothing and says so. */
    OK(f, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    assert_int_equal(done, 1);
    assert_int_equal(DB(f, tasks_bulk_status, 99, mask, 0, flamenco_text(""), 2, &cursor, &done, NULL),
                     FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, tasks_bulk_status, job, mask, 7, flamenco_text(""), 2, &cursor, &done, NULL),
                     FLAMENCO_E_INVALID);
}

static void requeue_of_a_completed_job_recounts_steps(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 4), worker = fixture_worker(f, "w", "blender,ffmpeg,misc");
    for (uint32_t i = 1; i <= 4; ++i)
        fixture_set_task(f, job, i, FLAMENCO_TASK_COMPLETED);
    fixture_set_job(f, job, FLAMENCO_JOB_COMPLETED);
    assert_int_equal(fixture_read_job(f, job).steps_completed, 14);
    fixture_set_job(f, job, FLAMENCO_JOB_REQUEUEING);
    uint32_t cursor = 0, done = 0;
    f->cx->now_us = LATER;
    /* Between two steps a late update comes in: the first task, queued again, is completed again. */
    OK(f, tasks_bulk_status, job, 127, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    while (!done)
        OK(f, tasks_bulk_status, job, 127, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    assert_int_equal(fixture_read_job(f, job).steps_completed, 3);
    assert_int_equal(fixture_read_job(f, job).updated_us, LATER);
    assert_int_equal(fixture_read_task(f, job, 2).open_deps, 0);
    assert_int_equal(fixture_read_task(f, job, 3).open_deps, 1);
    flamenco_job_counts counts = fixture_set_job(f, job, FLAMENCO_JOB_QUEUED);
    assert_int_equal(counts.made_runnable, 2);
    assert_int_equal(counts.runnable_type.len, 0);
    flamenco_task task;
    assert_int_equal(fixture_assign(f, worker, &task), 0);
    assert_int_equal(task.index, 4);
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void many_tasks_count_up_to_the_limit_only(void **state)
{
    enum { N = 10050, CHUNK = 500 };
    fixture *f = *state;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job),
                         .uuid = fixture_uuid(f),
                         .created_us = NOW,
                         .updated_us = NOW,
                         .delete_requested_us = FLAMENCO_TIME_NONE };
    int64_t key = 0;
    OK(f, job_insert_hidden, &job, N, &key);
    for (uint32_t i = 0; i < N; i += CHUNK) {
        static flamenco_new_task tasks[CHUNK];
        uint32_t n = N - i < CHUNK ? N - i : CHUNK;
        for (uint32_t k = 0; k < n; ++k)
            tasks[k] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(tasks[k]),
                                            .uuid = fixture_uuid(f),
                                            .steps_total = 1,
                                            .created_us = NOW,
                                            .updated_us = NOW,
                                            .touched_us = FLAMENCO_TIME_NONE,
                                            .type = flamenco_text("misc") };
        OK(f, tasks_insert, key, i + 1, tasks, sizeof(tasks[0]), n);
    }
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    OK(f, job_show, key, &counts);
    assert_int_equal(counts.made_runnable, 10000);
    EXPECT_TEXT(counts.runnable_type, "misc");
    assert_int_equal(counts.n_tasks, N);
    uint32_t cursor = 0, done = 0;
    OK(f, tasks_bulk_status, key, 127, FLAMENCO_TASK_COMPLETED, flamenco_text(""), 0, &cursor, &done, &counts);
    assert_int_equal(done, 1);
    assert_int_equal(cursor, N);
    assert_int_equal(counts.counts[FLAMENCO_TASK_COMPLETED], N);
    assert_int_equal(counts.steps_completed, N);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(task_is_read_with_job_and_worker),
        TEST(update_changes_only_what_is_named),
        TEST(update_after_a_rollback_starts_from_the_stored_row),
        TEST(steps_follow_the_status),
        TEST(list_of_tasks_is_ordered_filtered_and_paged),
        TEST(dependencies_are_listed),
        TEST(tasks_of_a_worker_are_found_by_status),
        TEST(shown_task_is_the_active_one_else_the_last),
        TEST(timed_out_tasks_are_active_and_touched),
        TEST(bulk_moves_only_what_the_mask_names),
        TEST(requeue_of_a_completed_job_recounts_steps),
        TEST(many_tasks_count_up_to_the_limit_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
