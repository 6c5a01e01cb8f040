/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_tasks.c - reading, listing and changing tasks, one by one and in bulk.
 */
#include <stdlib.h>

#include "groups.h"
#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

static const task_spec spec[] = {
    { "blender", 50, { 0 }, 3 }, { "ffmpeg", 60, { 1 }, 4 }, { "misc", 50, { 1, 2 }, 5 }, { "blender", 70, { 0 }, 2 }
};

static flamenco_job_counts update(kit_store *s, int64_t key, flamenco_task_update u)
{
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    u.struct_size = (uint32_t)sizeof(u);
    OK(s, task_update, key, &u, &counts);
    return counts;
}

static void task_is_read_with_job_and_worker(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), job = store_job(s, 50, 0, spec, 4);
    flamenco_task task = ROW(flamenco_task), found = ROW(flamenco_task);
    int64_t key = read_task(s, job, 2).key;
    s->cx->now_us = LATER;
    update(s, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_WORKER, .worker_key = worker });
    OK(s, task_get_key, key, &task);
    EXPECT_INT(task.index, 2);
    EXPECT_INT(task.job_key, job);
    flamenco_uuid job_uuid = read_job(s, job).uuid, worker_uuid = read_worker(s, worker).uuid;
    EXPECT_UUID(task.job_uuid, job_uuid);
    EXPECT_UUID(task.worker_uuid, worker_uuid);
    EXPECT_INT(task.priority, 60);
    EXPECT_INT(task.open_deps, 1);
    EXPECT_INT(task.steps_total, 4);
    EXPECT_INT(task.created_us, NOW);
    EXPECT_INT(task.updated_us, LATER);
    EXPECT_INT(task.touched_us, LATER);
    EXPECT_INT(task.worker_deleted, 0);
    EXPECT_STR(task.name, "task-2");
    EXPECT_STR(task.type, "ffmpeg");
    EXPECT_STR(task.worker_name, "w");
    EXPECT_STR(task.worker_address, "10.1.2.3");
    EXPECT_STR(task.commands, "[{\"name\":\"echo\",\"parameters\":{}}]");
    OK(s, task_find, &task.uuid, &found);
    EXPECT_INT(found.key, key);
    EXPECT_INT(found.commands.len, 0);
    OK(s, task_get, &task.uuid, &found);
    EXPECT_TRUE(found.commands.len > 0);
    /* Of a deleted worker, the UUID alone is left. */
    OK(s, worker_delete, worker);
    OK(s, task_find, &task.uuid, &found);
    EXPECT_INT(found.worker_deleted, 1);
    EXPECT_UUID(found.worker_uuid, worker_uuid);
    EXPECT_INT(found.worker_name.len + found.worker_address.len, 0);
    flamenco_uuid nobody = { { 9 } };
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_get, &nobody, &found);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_find, &nobody, &found);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_get_key, NO_KEY, &found);
}

static void update_changes_only_what_is_named(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4), key = read_task(s, job, 1).key;
    s->cx->now_us = LATER;
    flamenco_job_counts counts = update(
        s, key,
        (flamenco_task_update){ .set = FLAMENCO_TASK_SET_ACTIVITY, .status = 3, .activity = flamenco_text("hi") });
    EXPECT_INT(counts.counts[FLAMENCO_TASK_QUEUED], 4);
    EXPECT_INT(read_task(s, job, 1).updated_us, LATER);
    EXPECT_TRUE(read_task(s, job, 1).touched_us == FLAMENCO_TIME_NONE);
    EXPECT_STR(read_task(s, job, 1).activity, "hi");
    EXPECT_INT(read_job(s, job).updated_us, NOW);
    update(s, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_TOUCHED });
    EXPECT_INT(read_task(s, job, 1).touched_us, LATER);
    counts = update(s, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = 2 });
    EXPECT_INT(counts.steps_completed, 2);
    EXPECT_INT(counts.steps_total, 14);
    EXPECT_STR(read_task(s, job, 1).activity, "hi");
    flamenco_task_update u = { .struct_size = (uint32_t)sizeof(u), .set = FLAMENCO_TASK_SET_STATUS };
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_update, NO_KEY, &u, NULL);
    u.status = FLAMENCO_TASK_STATUSES;
    GIVES(s, FLAMENCO_E_INVALID, task_update, key, &u, NULL);
    u.set = FLAMENCO_TASK_SET_WORKER;
    u.worker_key = 99;
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_update, key, &u, NULL);
    EXPECT_INT(read_task(s, job, 1).status, FLAMENCO_TASK_QUEUED);
}

static void update_after_a_rollback_starts_from_the_stored_row(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4);
    for (int whole = 0; whole < 2; ++whole) {
        store_next(s);
        if (!whole)
            OK0(s, savepoint);
        set_task(s, job, 1, FLAMENCO_TASK_COMPLETED);
        flamenco_task task = read_task(s, job, 1);
        if (!whole) {
            OK0(s, rollback_to);
        } else {
            s->db->rollback(s->self, s->cx);
            store_begin(s);
        }
        /* Not read again: what the store remembers of it is not true any more. */
        flamenco_job_counts counts = update(
            s, task.key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS, .status = FLAMENCO_TASK_COMPLETED });
        EXPECT_INT(counts.counts[FLAMENCO_TASK_COMPLETED], 1);
        EXPECT_INT(counts.steps_completed, 3);
        EXPECT_INT(counts.made_runnable, 1);
        set_task(s, job, 1, FLAMENCO_TASK_QUEUED);
    }
    store_commit(s);
    store_check(s);
}

static void steps_follow_the_status(kit *k)
{
    static const struct {
        uint32_t status, set;
        int64_t given, expected;
    } cases[] = {
        { FLAMENCO_TASK_ACTIVE, 0, 0, 2 },    { FLAMENCO_TASK_SOFT_FAILED, 0, 0, 2 },
        { FLAMENCO_TASK_COMPLETED, 0, 0, 3 }, { FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_SET_STEPS, 1, 1 },
        { FLAMENCO_TASK_QUEUED, 0, 0, 0 },    { FLAMENCO_TASK_QUEUED, FLAMENCO_TASK_SET_STEPS, 2, 2 },
    };
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4), key = read_task(s, job, 1).key;
    update(s, key, (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = 2 });
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_job_counts counts = update(s, key,
                                            (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS | cases[i].set,
                                                                    .status = cases[i].status,
                                                                    .steps_completed = cases[i].given });
        EXPECT_INT(read_task(s, job, 1).steps_completed, cases[i].expected);
        EXPECT_INT(counts.steps_completed, cases[i].expected);
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

static int compare_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_tasks(rows *r)
{
    qsort(r->index, (size_t)r->n, sizeof(r->index[0]), compare_index);
}

static void expect_tasks(const rows *r, const uint32_t *expected, int n)
{
    EXPECT_INT(r->n, n);
    for (int i = 0; i < n; ++i)
        EXPECT_INT(r->index[i], expected[i]);
}

static void list_of_tasks_is_ordered_filtered_and_paged(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4);
    store_job(s, 50, 0, spec, 4);
    s->cx->now_us = LATER;
    set_task(s, job, 3, FLAMENCO_TASK_ACTIVE);
    s->cx->now_us = LATER + 1;
    set_task(s, job, 2, FLAMENCO_TASK_COMPLETED);
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
        OK(s, tasks_list, job, &page, on_task, &r, &total);
        expect_tasks(&r, cases[i].expected, cases[i].n);
        EXPECT_INT(total, cases[i].total);
    }
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    rows r = { .most = 2 };
    uint64_t total = 0;
    OK(s, tasks_list, job, &page, on_task, &r, &total);
    EXPECT_INT(r.n, 2);
    EXPECT_INT(total, 4);
    r.n = 0;
    OK(s, tasks_list, NO_KEY, &page, on_task, &r, &total);
    EXPECT_INT(total + (uint64_t)r.n, 0);
}

static int32_t on_dep(void *ctx, const flamenco_dep *row)
{
    rows *r = ctx;
    r->index[r->n++] = row->task * 10 + row->needs;
    return r->n == r->most;
}

static void dependencies_are_listed(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4);
    rows r = { .n = 0 };
    OK(s, task_needs, read_task(s, job, 3).key, on_task, &r);
    sort_tasks(&r);
    expect_tasks(&r, (uint32_t[]){ 1, 2 }, 2);
    r.n = 0;
    OK(s, task_needs, read_task(s, job, 1).key, on_task, &r);
    OK(s, task_needs, NO_KEY, on_task, &r);
    EXPECT_INT(r.n, 0);
    OK(s, deps_list, job, on_dep, &r);
    sort_tasks(&r);
    expect_tasks(&r, (uint32_t[]){ 21, 31, 32 }, 3);
    r = (rows){ .most = 1 };
    OK(s, deps_list, job, on_dep, &r);
    EXPECT_INT(r.n, 1);
    r.n = 0;
    OK(s, deps_list, NO_KEY, on_dep, &r);
    EXPECT_INT(r.n, 0);
}

static void tasks_of_a_worker_are_found_by_status(kit *k)
{
    static const uint32_t statuses[] = { FLAMENCO_TASK_ACTIVE, FLAMENCO_TASK_FAILED, FLAMENCO_TASK_COMPLETED,
                                         FLAMENCO_TASK_ACTIVE };
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "misc"), other = store_worker(s, "v", "misc");
    int64_t jobs[] = { store_job(s, 50, 0, spec, 4), store_job(s, 50, 0, spec, 4) };
    for (size_t j = 0; j < 2; ++j) {
        for (uint32_t i = 0; i < 4; ++i)
            update(s, read_task(s, jobs[j], i + 1).key,
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
        { FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED), NO_KEY, { 0 }, 0 },
        { 0, 0, { 0 }, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        rows r = { .n = 0 };
        OK(s, tasks_of_worker, worker, cases[i].mask, cases[i].job, on_task, &r);
        sort_tasks(&r); /* no order is promised */
        expect_tasks(&r, cases[i].expected, cases[i].n);
    }
    rows r = { .most = 1 };
    OK(s, tasks_of_worker, worker, active | failed, jobs[0], on_task, &r);
    EXPECT_INT(r.n, 1);
}

static void shown_task_is_the_active_one_else_the_last(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), job = store_job(s, 50, 0, spec, 4);
    flamenco_task task = ROW(flamenco_task);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_shown_for_worker, worker, &task);
    EXPECT_INT(store_assign(s, worker, &task), 0);
    set_job(s, job, FLAMENCO_JOB_ACTIVE);
    update(s, read_task(s, job, 1).key,
           (flamenco_task_update){ .set = FLAMENCO_TASK_SET_WORKER, .worker_key = worker });
    OK(s, task_shown_for_worker, worker, &task);
    EXPECT_INT(task.index, 4);
    set_task(s, job, 4, FLAMENCO_TASK_COMPLETED);
    OK(s, task_shown_for_worker, worker, &task);
    EXPECT_INT(task.index, 1);
}

static void timed_out_tasks_are_active_and_touched(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), job = store_job(s, 50, 0, spec, 4);
    set_task(s, job, 1, FLAMENCO_TASK_ACTIVE); /* never touched */
    for (uint32_t i = 2; i <= 4; ++i) {
        s->cx->now_us = NOW + i;
        update(s, read_task(s, job, i).key,
               (flamenco_task_update){ .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_WORKER,
                                       .status = i == 2 ? FLAMENCO_TASK_QUEUED : FLAMENCO_TASK_ACTIVE,
                                       .worker_key = worker });
    }
    rows r = { .n = 0 };
    OK(s, tasks_timed_out, NOW + 3, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 3 }, 1);
    r.n = 0;
    OK(s, tasks_timed_out, NOW + 4, on_task, &r);
    sort_tasks(&r);
    expect_tasks(&r, (uint32_t[]){ 3, 4 }, 2);
    flamenco_touch touch[] = { { sizeof(touch[0]), FLAMENCO_TOUCH_TASK, read_task(s, job, 3).key, LATER },
                               { sizeof(touch[0]), FLAMENCO_TOUCH_TASK, NO_KEY, LATER } };
    OK(s, touches, touch, sizeof(touch[0]), 2);
    r.n = 0;
    OK(s, tasks_timed_out, NOW + 4, on_task, &r);
    expect_tasks(&r, (uint32_t[]){ 4 }, 1);
    EXPECT_INT(read_task(s, job, 3).updated_us, LATER);
    touch[0].at_us = NOW;
    OK(s, touches, touch, sizeof(touch[0]), 1);
    EXPECT_INT(read_task(s, job, 3).updated_us, LATER); /* which is later */
}

/* ---- Many at once ---- */

static void set_statuses(kit_store *s, int64_t job, const uint32_t *statuses, uint32_t n)
{
    for (uint32_t i = 0; i < n; ++i)
        set_task(s, job, i + 1, statuses[i]);
}

static void bulk_moves_only_what_the_mask_names(kit *k)
{
    static const uint32_t before[] = { FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_FAILED, FLAMENCO_TASK_SOFT_FAILED,
                                       FLAMENCO_TASK_ACTIVE };
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4);
    set_job(s, job, FLAMENCO_JOB_REQUEUEING);
    set_statuses(s, job, before, 4);
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    uint32_t cursor = 0, done = 9;
    s->cx->now_us = LATER;
    uint64_t mask = FLAMENCO_BIT(FLAMENCO_TASK_CANCELED) | FLAMENCO_BIT(FLAMENCO_TASK_FAILED) |
                    FLAMENCO_BIT(FLAMENCO_TASK_PAUSED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);
    OK(s, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text("again"), 2, &cursor, &done, &counts);
    EXPECT_INT(cursor, 2);
    EXPECT_INT(done, 0);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_QUEUED], 1);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_SOFT_FAILED], 1);
    OK(s, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text("again"), 2, &cursor, &done, &counts);
    EXPECT_INT(done, 1);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_QUEUED], 2);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_COMPLETED], 1);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_ACTIVE], 1);
    EXPECT_INT(counts.made_runnable, 0); /* the job is not schedulable yet */
    EXPECT_STR(read_task(s, job, 3).activity, "again");
    EXPECT_INT(read_task(s, job, 3).updated_us, LATER);
    EXPECT_INT(read_task(s, job, 4).updated_us, NOW);
    /* Behind the end, it does nothing and says so. */
    OK(s, tasks_bulk_status, job, mask, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    EXPECT_INT(done, 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tasks_bulk_status, NO_KEY, mask, 0, flamenco_text(""), 2, &cursor, &done, NULL);
    GIVES(s, FLAMENCO_E_INVALID, tasks_bulk_status, job, mask, 7, flamenco_text(""), 2, &cursor, &done, NULL);
}

static void requeue_of_a_completed_job_recounts_steps(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 4), worker = store_worker(s, "w", "blender,ffmpeg,misc");
    for (uint32_t i = 1; i <= 4; ++i)
        set_task(s, job, i, FLAMENCO_TASK_COMPLETED);
    set_job(s, job, FLAMENCO_JOB_COMPLETED);
    EXPECT_INT(read_job(s, job).steps_completed, 14);
    set_job(s, job, FLAMENCO_JOB_REQUEUEING);
    uint32_t cursor = 0, done = 0;
    s->cx->now_us = LATER;
    /* Between two steps a late update comes in: the first task, queued again, is completed again. */
    OK(s, tasks_bulk_status, job, 127, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    set_task(s, job, 1, FLAMENCO_TASK_COMPLETED);
    while (!done)
        OK(s, tasks_bulk_status, job, 127, FLAMENCO_TASK_QUEUED, flamenco_text(""), 2, &cursor, &done, NULL);
    EXPECT_INT(read_job(s, job).steps_completed, 3);
    EXPECT_INT(read_job(s, job).updated_us, LATER);
    EXPECT_INT(read_task(s, job, 2).open_deps, 0);
    EXPECT_INT(read_task(s, job, 3).open_deps, 1);
    flamenco_job_counts counts = set_job(s, job, FLAMENCO_JOB_QUEUED);
    EXPECT_INT(counts.made_runnable, 2);
    EXPECT_INT(counts.runnable_type.len, 0);
    flamenco_task task;
    EXPECT_INT(store_assign(s, worker, &task), 0);
    EXPECT_INT(task.index, 4);
    store_commit(s);
    store_check(s);
}

static void many_tasks_count_up_to_the_limit_only(kit *k)
{
    enum { N = 10050, CHUNK = 500 };
    kit_store *s = store_start(k);
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job),
                         .uuid = store_uuid(s),
                         .created_us = NOW,
                         .updated_us = NOW,
                         .delete_requested_us = FLAMENCO_TIME_NONE };
    int64_t key = 0;
    OK(s, job_insert_hidden, &job, N, &key);
    for (uint32_t i = 0; i < N; i += CHUNK) {
        static flamenco_new_task tasks[CHUNK];
        uint32_t n = N - i < CHUNK ? N - i : CHUNK;
        for (uint32_t t = 0; t < n; ++t)
            tasks[t] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(tasks[t]),
                                            .uuid = store_uuid(s),
                                            .steps_total = 1,
                                            .created_us = NOW,
                                            .updated_us = NOW,
                                            .touched_us = FLAMENCO_TIME_NONE,
                                            .type = flamenco_text("misc") };
        OK(s, tasks_insert, key, i + 1, tasks, sizeof(tasks[0]), n);
    }
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    OK(s, job_show, key, &counts);
    EXPECT(counts.made_runnable >= 10000 && counts.made_runnable <= N, "made_runnable is %llu",
           (unsigned long long)counts.made_runnable);
    EXPECT_STR(counts.runnable_type, "misc");
    EXPECT_INT(counts.n_tasks, N);
    uint32_t cursor = 0, done = 0;
    OK(s, tasks_bulk_status, key, 127, FLAMENCO_TASK_COMPLETED, flamenco_text(""), 0, &cursor, &done, &counts);
    EXPECT_INT(done, 1);
    EXPECT_INT(cursor, N);
    EXPECT_INT(counts.counts[FLAMENCO_TASK_COMPLETED], N);
    EXPECT_INT(counts.steps_completed, N);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.task.read", FLAMENCO_PERSISTENCE, task_is_read_with_job_and_worker,
      "tasks are read with their job and worker, commands where promised; of a deleted worker the UUID is left",
      "persistence.h: task_get, task_find" },
    { "persistence.task.update", FLAMENCO_PERSISTENCE, update_changes_only_what_is_named,
      "task_update changes what `set` names and nothing else",
      "persistence.h: task_update" },
    { "persistence.task.update-after-rollback", FLAMENCO_PERSISTENCE, update_after_a_rollback_starts_from_the_stored_row,
      "after a rollback nothing is remembered of what was undone",
      "persistence.h: SESSIONS AND TRANSACTIONS" },
    { "persistence.task.steps", FLAMENCO_PERSISTENCE, steps_follow_the_status,
      "COMPLETED sets steps to the total, QUEUED to 0, unless steps are given",
      "persistence.h: task_update" },
    { "persistence.tasks.list", FLAMENCO_PERSISTENCE, list_of_tasks_is_ordered_filtered_and_paged,
      "order, direction, filters, offset, limit, total and an early end of lists of tasks",
      "persistence.h: tasks_list" },
    { "persistence.tasks.dependencies", FLAMENCO_PERSISTENCE, dependencies_are_listed,
      "a task's and a job's dependencies are listed",
      "persistence.h: task_needs, deps_list" },
    { "persistence.tasks.of-worker", FLAMENCO_PERSISTENCE, tasks_of_a_worker_are_found_by_status,
      "the tasks of a worker are found by status and job",
      "persistence.h: tasks_of_worker" },
    { "persistence.task.shown", FLAMENCO_PERSISTENCE, shown_task_is_the_active_one_else_the_last,
      "a worker's shown task is the active one, else the one assigned last",
      "persistence.h: task_shown_for_worker" },
    { "persistence.tasks.timed-out", FLAMENCO_PERSISTENCE, timed_out_tasks_are_active_and_touched,
      "active tasks touched at or before the limit, and kept touch times, decide on time-outs",
      "persistence.h: tasks_timed_out, touches" },
    { "persistence.tasks.bulk", FLAMENCO_PERSISTENCE, bulk_moves_only_what_the_mask_names,
      "a bulk change goes on from its cursor, moves only what the mask names and tells the counters",
      "persistence.h: tasks_bulk_status" },
    { "persistence.tasks.bulk-requeue", FLAMENCO_PERSISTENCE, requeue_of_a_completed_job_recounts_steps,
      "requeueing a completed job takes back steps and opens dependencies, also with a late update in between",
      "persistence.h: tasks_bulk_status" },
    { "persistence.tasks.many", FLAMENCO_PERSISTENCE, many_tasks_count_up_to_the_limit_only,
      "a job of 10,050 tasks is stored in chunks and completed in one call",
      "persistence.h: flamenco_job_counts" },
};
// clang-format on

const kit_group persistence_tasks_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
