/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jobs.c - storing, reading, listing, changing and removing jobs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture_store.h"

#define LATER (NOW + 5 * SECOND)

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };
static const task_spec three_tasks[] = { { "blender", 50, { 0 }, 3 },
                                         { "ffmpeg", 60, { 1 }, 4 },
                                         { "misc", 50, { 0 }, 5 } };

static flamenco_job new_job(fixture *f)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job),
                         .status = FLAMENCO_JOB_PAUSED,
                         .uuid = fixture_uuid(f),
                         .priority = -7,
                         .created_us = NOW - 3 * SECOND,
                         .updated_us = NOW - 2 * SECOND,
                         .delete_requested_us = FLAMENCO_TIME_NONE,
                         .name = flamenco_text("ünï"),
                         .type = flamenco_text("echo"),
                         .activity = flamenco_text("waiting"),
                         .settings = flamenco_text("{\"a\":1}"),
                         .metadata = flamenco_text("{\"b\":2}"),
                         .shaman_checkout_id = flamenco_text("check/out"),
                         .submitter_platform = flamenco_text("linux") };
    return job;
}

static flamenco_new_task new_task(fixture *f)
{
    flamenco_new_task task = { .struct_size = (uint32_t)sizeof(task),
                               .status = FLAMENCO_TASK_QUEUED,
                               .uuid = fixture_uuid(f),
                               .priority = 50,
                               .created_us = NOW,
                               .updated_us = NOW,
                               .touched_us = FLAMENCO_TIME_NONE,
                               .steps_total = 2,
                               .name = flamenco_text("t"),
                               .type = flamenco_text("misc"),
                               .commands = flamenco_text("[]") };
    return task;
}

static void stored_job_is_read_back_as_given(void **state)
{
    fixture *f = *state;
    flamenco_job in = new_job(f), out = { .struct_size = (uint32_t)sizeof(out) };
    in.tag_key = fixture_tag(f, "gpu");
    flamenco_new_task task = new_task(f);
    task.steps_completed = 1;
    int64_t key = 0;
    OK(f, job_insert_hidden, &in, 1, &key);
    assert_int_equal(DB(f, job_get, &in.uuid, &out), FLAMENCO_E_NOT_FOUND);
    OK(f, tasks_insert, key, 1, &task, sizeof(task), 1);
    OK(f, job_show, key, NULL);
    OK(f, job_get, &in.uuid, &out);
    assert_int_equal(out.key, key);
    assert_int_equal(out.status, FLAMENCO_JOB_PAUSED);
    assert_int_equal(out.priority, -7);
    assert_int_equal(out.hidden, 0);
    assert_int_equal(out.tag_key, in.tag_key);
    assert_int_equal(out.created_us, in.created_us);
    assert_int_equal(out.updated_us, in.updated_us);
    assert_true(out.delete_requested_us == FLAMENCO_TIME_NONE);
    assert_int_equal(out.steps_total, 2);
    assert_int_equal(out.steps_completed, 1);
    assert_int_equal(out.n_tasks, 1);
    assert_int_equal(out.counts[FLAMENCO_TASK_QUEUED], 1);
    EXPECT_TEXT(out.name, "ünï");
    EXPECT_TEXT(out.type, "echo");
    EXPECT_TEXT(out.activity, "waiting");
    EXPECT_TEXT(out.settings, "{\"a\":1}");
    EXPECT_TEXT(out.metadata, "{\"b\":2}");
    EXPECT_TEXT(out.shaman_checkout_id, "check/out");
    EXPECT_TEXT(out.submitter_platform, "linux");
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag) };
    OK(f, tag_get_name, flamenco_text("gpu"), &tag);
    assert_memory_equal(&out.tag_uuid, &tag.uuid, sizeof(tag.uuid));
}

static void storing_a_job_refuses_what_does_not_fit(void **state)
{
    fixture *f = *state;
    flamenco_job job = new_job(f);
    int64_t key = 0, other = 0;
    OK(f, job_insert_hidden, &job, 3, &key);
    assert_int_equal(DB(f, job_insert_hidden, &job, 3, &other), FLAMENCO_E_EXISTS);
    job = new_job(f);
    job.tag_key = 99;
    assert_int_equal(DB(f, job_insert_hidden, &job, 3, &other), FLAMENCO_E_INVALID);
    job.tag_key = 0;
    job.status = FLAMENCO_JOB_STATUSES;
    assert_int_equal(DB(f, job_insert_hidden, &job, 3, &other), FLAMENCO_E_INVALID);

    flamenco_new_task rows[3] = { new_task(f), new_task(f), new_task(f) };
    assert_int_equal(DB(f, tasks_insert, 99, 1, rows, sizeof(rows[0]), 1), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, tasks_insert, key, 0, rows, sizeof(rows[0]), 1), FLAMENCO_E_INVALID);
    assert_int_equal(DB(f, tasks_insert, key, 2, rows, sizeof(rows[0]), 3), FLAMENCO_E_INVALID);
    /* The second of a chunk fails: nothing of the chunk stays, and the counters are as before. */
    rows[1].uuid = rows[0].uuid;
    assert_int_equal(DB(f, tasks_insert, key, 1, rows, sizeof(rows[0]), 3), FLAMENCO_E_EXISTS);
    rows[1] = new_task(f);
    rows[2].status = FLAMENCO_TASK_STATUSES;
    assert_int_equal(DB(f, tasks_insert, key, 1, rows, sizeof(rows[0]), 3), FLAMENCO_E_INVALID);
    rows[2].status = FLAMENCO_TASK_QUEUED;
    assert_int_equal(DB(f, job_show, key, NULL), FLAMENCO_E_INVALID);
    OK(f, tasks_insert, key, 1, rows, sizeof(rows[0]), 3);
    assert_int_equal(DB(f, tasks_insert, key, 1, rows, sizeof(rows[0]), 1), FLAMENCO_E_EXISTS);

    const flamenco_dep wrong[] = { { 2, 1 }, { 4, 1 } }, good[] = { { 2, 1 }, { 3, 1 } };
    assert_int_equal(DB(f, deps_insert, key, wrong, 2), FLAMENCO_E_INVALID);
    assert_int_equal(DB(f, deps_insert, 99, good, 2), FLAMENCO_E_NOT_FOUND);
    OK(f, deps_insert, key, good, 2);
    assert_int_equal(DB(f, deps_insert, key, good, 1), FLAMENCO_E_EXISTS);
    OK(f, job_show, key, NULL);
    assert_int_equal(DB(f, job_show, key, NULL), FLAMENCO_E_INVALID);
    assert_int_equal(DB(f, tasks_insert, key, 1, rows, sizeof(rows[0]), 1), FLAMENCO_E_INVALID);
    assert_int_equal(fixture_read_job(f, key).counts[FLAMENCO_TASK_QUEUED], 3);
}

static void chains_of_two_jobs_may_interleave(void **state)
{
    fixture *f = *state;
    flamenco_job a = new_job(f), b = new_job(f);
    int64_t key_a = 0, key_b = 0;
    a.status = b.status = FLAMENCO_JOB_QUEUED;
    OK(f, job_insert_hidden, &a, 4, &key_a);
    OK(f, job_insert_hidden, &b, 4, &key_b);
    for (uint32_t i = 1; i <= 4; ++i) {
        flamenco_new_task row_a = new_task(f), row_b = new_task(f);
        OK(f, tasks_insert, key_b, i, &row_b, sizeof(row_b), 1);
        OK(f, tasks_insert, key_a, i, &row_a, sizeof(row_a), 1);
        fixture_next(f);
    }
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    OK(f, job_show, key_b, &counts);
    assert_int_equal(counts.made_runnable, 4);
    EXPECT_TEXT(counts.runnable_type, "misc");
    OK(f, job_show, key_a, NULL);
    for (uint32_t i = 1; i <= 4; ++i) {
        assert_int_equal(fixture_read_task(f, key_a, i).index, i);
        assert_true(fixture_read_task(f, key_a, i).key < fixture_read_task(f, key_b, 1).key);
    }
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void hidden_job_is_nowhere(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), key = fixture_job(f, 50, 0, one_task, 1);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) }, kept;
    flamenco_job job = fixture_read_job(f, key);
    assert_int_equal(fixture_assign(f, worker, &kept), 0);
    OK(f, last_rendered_set, key);
    OK(f, job_hide, key);
    uint64_t counts[FLAMENCO_JOB_STATUSES], total = 9;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_job_counts told = { .struct_size = (uint32_t)sizeof(told) };
    uint32_t cursor = 0, done = 0;
    assert_int_equal(DB(f, job_get, &job.uuid, &job), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_get_key, key, &job), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_counts, key, &told), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_priority, key, 1), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_tag, key, 0), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_storage, key, flamenco_text("x")), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_status, key, 1, flamenco_text(""), NULL), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_delete_requested, key), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_hide, key), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, tasks_bulk_status, key, 1, 5, flamenco_text(""), 9, &cursor, &done, NULL),
                     FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_get, &kept.uuid, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_find, &kept.uuid, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_held, worker, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, task_shown_for_worker, worker, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, last_rendered_get, &job), FLAMENCO_E_NOT_FOUND);
    OK(f, jobs_count, counts);
    assert_int_equal(counts[FLAMENCO_JOB_QUEUED], 0);
    OK(f, jobs_list, &page, NULL, NULL, &total);
    assert_int_equal(total, 0);
    OK(f, tasks_list, key, &page, NULL, NULL, &total);
    assert_int_equal(total, 0);
}

/* ---- Lists ---- */

typedef struct keys {
    int64_t key[32];
    int n, most;
} keys;

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    keys *k = ctx;
    k->key[k->n++] = row->key;
    return k->n == k->most;
}

static void expect_list(fixture *f, const flamenco_page *page, uint64_t total, const int64_t *expected, int n)
{
    keys k = { .n = 0 };
    uint64_t told = 0;
    OK(f, jobs_list, page, on_job, &k, &told);
    assert_int_equal(k.n, n);
    for (int i = 0; i < n; ++i)
        assert_int_equal(k.key[i], expected[i]);
    assert_int_equal(told, total);
}

static void list_of_jobs_is_ordered_filtered_and_paged(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *name;
        int32_t priority;
        uint32_t status;
        int64_t updated;
    } specs[] = { { "b", 50, FLAMENCO_JOB_ACTIVE, NOW + 3 },
                  { "a", 70, FLAMENCO_JOB_QUEUED, NOW + 1 },
                  { "c", 50, FLAMENCO_JOB_COMPLETED, NOW + 2 },
                  { "a", 60, FLAMENCO_JOB_QUEUED, NOW + 4 } };
    int64_t k[4];
    for (size_t i = 0; i < 4; ++i) {
        flamenco_job job = new_job(f);
        job.name = flamenco_text(specs[i].name);
        job.priority = specs[i].priority;
        job.status = specs[i].status;
        job.updated_us = specs[i].updated;
        OK(f, job_insert_hidden, &job, 0, &k[i]);
        OK(f, job_show, k[i], NULL);
    }
    flamenco_page all = { .struct_size = (uint32_t)sizeof(all), .updated_after_us = FLAMENCO_TIME_NONE }, page = all;
    expect_list(f, &page, 4, (int64_t[]){ k[0], k[1], k[2], k[3] }, 4);
    page.after_key = k[1];
    expect_list(f, &page, 4, (int64_t[]){ k[2], k[3] }, 2);
    page.after_key = 0;
    page.descending = 1;
    expect_list(f, &page, 4, (int64_t[]){ k[3], k[2], k[1], k[0] }, 4);
    page.order = FLAMENCO_ORDER_UPDATED;
    expect_list(f, &page, 4, (int64_t[]){ k[3], k[0], k[2], k[1] }, 4);
    page.descending = 0;
    page.order = FLAMENCO_ORDER_NAME;
    expect_list(f, &page, 4, (int64_t[]){ k[1], k[3], k[0], k[2] }, 4);
    page.order = FLAMENCO_ORDER_STATUS;
    expect_list(f, &page, 4, (int64_t[]){ k[1], k[3], k[0], k[2] }, 4);
    page.order = FLAMENCO_ORDER_PRIORITY;
    expect_list(f, &page, 4, (int64_t[]){ k[0], k[2], k[3], k[1] }, 4);
    page.limit = 2;
    page.offset = 1;
    expect_list(f, &page, 4, (int64_t[]){ k[2], k[3] }, 2);
    page.offset = 9;
    expect_list(f, &page, 4, NULL, 0);
    page = all;
    page.status_mask = FLAMENCO_BIT(FLAMENCO_JOB_QUEUED) | FLAMENCO_BIT(FLAMENCO_JOB_ACTIVE);
    expect_list(f, &page, 3, (int64_t[]){ k[0], k[1], k[3] }, 3);
    page.updated_after_us = NOW + 3;
    expect_list(f, &page, 1, (int64_t[]){ k[3] }, 1);
    page.order = FLAMENCO_ORDER_PRIORITY + 1;
    assert_int_equal(DB(f, jobs_list, &page, on_job, NULL, NULL), FLAMENCO_E_INVALID);
    page = all;
    page.flags = FLAMENCO_PAGE_WITH_DELETED;
    assert_int_equal(DB(f, jobs_list, &page, on_job, NULL, NULL), FLAMENCO_E_INVALID);

    /* Marked ones come by the time of the request. */
    f->cx->now_us = LATER;
    OK(f, job_set_delete_requested, k[2]);
    f->cx->now_us = LATER + 1;
    OK(f, job_set_delete_requested, k[0]);
    f->cx->now_us = LATER + 2;
    OK(f, job_set_delete_requested, k[3]);
    OK(f, job_hide, k[3]);
    page = all;
    page.flags = FLAMENCO_PAGE_DELETE_REQUESTED;
    expect_list(f, &page, 2, (int64_t[]){ k[2], k[0] }, 2);
    page.after_key = k[0];
    expect_list(f, &page, 2, (int64_t[]){ k[2] }, 1);
    page.after_key = 0;
    page.flags = FLAMENCO_PAGE_HIDDEN;
    expect_list(f, &page, 1, (int64_t[]){ k[3] }, 1);
    expect_list(f, &all, 3, (int64_t[]){ k[0], k[1], k[2] }, 3);
    uint64_t counts[FLAMENCO_JOB_STATUSES];
    OK(f, jobs_count, counts);
    assert_int_equal(counts[FLAMENCO_JOB_QUEUED], 1);
    assert_int_equal(counts[FLAMENCO_JOB_ACTIVE], 1);
    assert_int_equal(counts[FLAMENCO_JOB_COMPLETED], 1);
    keys k2 = { .most = 2 };
    OK(f, jobs_list, &all, on_job, &k2, NULL);
    assert_int_equal(k2.n, 2);
}

/* ---- Changes ---- */

static void changes_set_updated_but_storage_does_not(void **state)
{
    fixture *f = *state;
    int64_t tag = fixture_tag(f, "t"), key = fixture_job(f, 50, 0, three_tasks, 3);
    f->cx->now_us = LATER;
    OK(f, job_set_storage, key, flamenco_text("new/checkout"));
    assert_int_equal(fixture_read_job(f, key).updated_us, NOW);
    EXPECT_TEXT(fixture_read_job(f, key).shaman_checkout_id, "new/checkout");
    OK(f, job_set_priority, key, 5);
    assert_int_equal(fixture_read_job(f, key).updated_us, LATER);
    assert_int_equal(fixture_read_job(f, key).priority, 5);
    f->cx->now_us = LATER + 1;
    OK(f, job_set_tag, key, tag);
    assert_int_equal(fixture_read_job(f, key).updated_us, LATER + 1);
    assert_int_equal(DB(f, job_set_tag, key, 99), FLAMENCO_E_NOT_FOUND);
    f->cx->now_us = LATER + 2;
    OK(f, job_set_status, key, FLAMENCO_JOB_FAILED, flamenco_text("broken"), NULL);
    assert_int_equal(fixture_read_job(f, key).updated_us, LATER + 2);
    EXPECT_TEXT(fixture_read_job(f, key).activity, "broken");
    f->cx->now_us = LATER + 3;
    OK(f, job_set_delete_requested, key);
    assert_int_equal(fixture_read_job(f, key).updated_us, LATER + 3);
    assert_int_equal(fixture_read_job(f, key).delete_requested_us, LATER + 3);
    assert_int_equal(DB(f, job_set_status, key, FLAMENCO_JOB_STATUSES, flamenco_text(""), NULL), FLAMENCO_E_INVALID);
    assert_int_equal(DB(f, job_set_status, 99, 0, flamenco_text(""), NULL), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, job_set_priority, 99, 0), FLAMENCO_E_NOT_FOUND);
}

static void steps_move_updated_and_statuses_do_not(void **state)
{
    fixture *f = *state;
    int64_t key = fixture_job(f, 50, 0, three_tasks, 3);
    f->cx->now_us = LATER;
    fixture_set_task(f, key, 1, FLAMENCO_TASK_ACTIVE);
    assert_int_equal(fixture_read_job(f, key).updated_us, NOW);
    assert_int_equal(fixture_read_task(f, key, 1).updated_us, LATER);
    fixture_set_task(f, key, 1, FLAMENCO_TASK_COMPLETED);
    assert_int_equal(fixture_read_job(f, key).updated_us, LATER);
    assert_int_equal(fixture_read_job(f, key).steps_completed, 3);
    assert_int_equal(fixture_read_job(f, key).steps_total, 12);
}

static void mass_deletion_marks_by_time(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), k[3];
    for (int i = 0; i < 3; ++i) {
        f->cx->now_us = NOW + i;
        k[i] = fixture_job(f, 50, 0, one_task, 1);
    }
    uint64_t changed = 9;
    f->cx->now_us = LATER;
    OK(f, jobs_set_delete_requested, NOW - 1, &changed);
    assert_int_equal(changed, 0);
    OK(f, jobs_set_delete_requested, NOW + 1, &changed);
    assert_int_equal(changed, 2);
    assert_int_equal(fixture_read_job(f, k[1]).delete_requested_us, LATER);
    assert_int_equal(fixture_read_job(f, k[1]).updated_us, LATER);
    assert_true(fixture_read_job(f, k[2]).delete_requested_us == FLAMENCO_TIME_NONE);
    flamenco_task task;
    assert_int_equal(fixture_assign(f, worker, &task), 0);
    assert_int_equal(task.job_key, k[2]);
    OK(f, job_set_delete_requested, k[2]);
    assert_int_equal(DB(f, task_held, worker, &task), FLAMENCO_E_NOT_FOUND);
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

static void last_rendered_follows_the_last_job(void **state)
{
    fixture *f = *state;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int64_t a = fixture_job(f, 50, 0, one_task, 1), b = fixture_job(f, 50, 0, one_task, 1);
    assert_int_equal(DB(f, last_rendered_get, &job), FLAMENCO_E_NOT_FOUND);
    OK(f, last_rendered_set, a);
    OK(f, last_rendered_set, b);
    OK(f, last_rendered_get, &job);
    assert_int_equal(job.key, b);
    assert_int_equal(DB(f, last_rendered_set, 99), FLAMENCO_E_NOT_FOUND);
    OK(f, last_rendered_get, &job);
    assert_int_equal(job.key, b);
}

/* ---- Purging ---- */

static void purge_leaves_no_row_behind(void **state)
{
    static const char *const tables[] = { "job",  "job_hot",   "task",    "task_cold",    "dep",
                                          "runq", "blocklist", "failure", "last_rendered" };
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender,ffmpeg,misc");
    int64_t kept = fixture_job(f, 50, 0, three_tasks, 3), before[9], gone[2];
    for (size_t i = 0; i < 9; ++i)
        before[i] = fixture_count_rows(f, tables[i]);
    gone[0] = fixture_job(f, 90, 0, three_tasks, 3);
    /* The remains of a crash: not all of its tasks were stored. */
    flamenco_job half = new_job(f);
    flamenco_new_task row = new_task(f);
    OK(f, job_insert_hidden, &half, 5, &gone[1]);
    OK(f, tasks_insert, gone[1], 4, &row, sizeof(row), 1);
    flamenco_task task;
    assert_int_equal(fixture_assign(f, worker, &task), 0);
    assert_int_equal(task.job_key, gone[0]);
    OK(f, failure_add, task.key, worker, NULL, NULL);
    OK(f, blocklist_add, gone[0], worker, flamenco_text("blender"));
    OK(f, last_rendered_set, gone[0]);
    uint64_t left = 99;
    assert_int_equal(DB(f, job_purge, gone[0], 2, &left), FLAMENCO_E_INVALID);
    OK(f, job_hide, gone[0]);
    for (int i = 0; i < 2; ++i) {
        int steps = 0;
        do {
            OK(f, job_purge, gone[i], 2, &left);
            assert_true(++steps < 5);
        } while (left > 0);
        assert_int_equal(steps, i == 0 ? 2 : 1);
        left = 99;
        OK(f, job_purge, gone[i], 2, &left);
        assert_int_equal(left, 0);
    }
    for (size_t i = 0; i < 9; ++i)
        assert_int_equal(fixture_count_rows(f, tables[i]), before[i]);
    assert_int_equal(fixture_read_job(f, kept).n_tasks, 3);
    assert_int_equal(DB(f, task_shown_for_worker, worker, &task), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fixture_assign(f, worker, &task), 0);
    assert_int_equal(task.job_key, kept);
    fixture_next(f);
    assert_int_equal(fixture_check(f), 0);
}

/* One task that many others wait for has as many dependencies as the job has tasks: they go in portions, too. */
static void purge_takes_dependencies_in_portions(void **state)
{
    fixture *f = *state;
    enum { TASKS = 20, PORTION = 6 };
    task_spec tasks[TASKS];
    for (int i = 0; i < TASKS; ++i)
        tasks[i] = (task_spec){ .type = "blender", .priority = 50, .needs = { i > 0 ? 1 : 0, i > 10 ? 5 : 0 } };
    int64_t job = fixture_job(f, 50, 0, tasks, TASKS);
    OK(f, job_hide, job);
    uint64_t left = 1;
    for (int steps = 0; left > 0; ++steps) {
        int64_t tasks_before = fixture_count_rows(f, "task"), deps_before = fixture_count_rows(f, "dep");
        assert_true(steps < 20);
        OK(f, job_purge, job, PORTION, &left);
        assert_true(deps_before - fixture_count_rows(f, "dep") <= PORTION);
        assert_true(tasks_before - fixture_count_rows(f, "task") <= PORTION);
        assert_true(fixture_count_rows(f, "task") + fixture_count_rows(f, "dep") + (int64_t)left <
                    tasks_before + deps_before + TASKS + 1);
    }
    assert_int_equal(fixture_count_rows(f, "task"), 0);
    assert_int_equal(fixture_count_rows(f, "dep"), 0);
    assert_int_equal(fixture_count_rows(f, "job"), 0);
    int64_t again = fixture_job(f, 50, 0, tasks, TASKS);
    OK(f, job_hide, again);
    OK(f, job_purge, again, 0, &left);
    assert_int_equal(left, 0);
    assert_int_equal(fixture_count_rows(f, "dep"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stored_job_is_read_back_as_given),           TEST(storing_a_job_refuses_what_does_not_fit),
        TEST(chains_of_two_jobs_may_interleave),          TEST(hidden_job_is_nowhere),
        TEST(list_of_jobs_is_ordered_filtered_and_paged), TEST(changes_set_updated_but_storage_does_not),
        TEST(steps_move_updated_and_statuses_do_not),     TEST(mass_deletion_marks_by_time),
        TEST(last_rendered_follows_the_last_job),         TEST(purge_leaves_no_row_behind),
        TEST(purge_takes_dependencies_in_portions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
