/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_jobs.c - storing, reading, listing, changing and removing jobs.
 */
#include "groups.h"
#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };
static const task_spec three_tasks[] = { { "blender", 50, { 0 }, 3 },
                                         { "ffmpeg", 60, { 1 }, 4 },
                                         { "misc", 50, { 0 }, 5 } };

static flamenco_job full_job(kit_store *s)
{
    flamenco_job job = new_job(s);
    job.status = FLAMENCO_JOB_PAUSED;
    job.priority = -7;
    job.created_us = NOW - 3 * SECOND;
    job.updated_us = NOW - 2 * SECOND;
    job.name = flamenco_text("ünï");
    job.type = flamenco_text("echo");
    job.activity = flamenco_text("waiting");
    job.settings = flamenco_text("{\"a\":1}");
    job.metadata = flamenco_text("{\"b\":2}");
    job.shaman_checkout_id = flamenco_text("check/out");
    job.submitter_platform = flamenco_text("linux");
    return job;
}

static void stored_job_is_read_back_as_given(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_job in = full_job(s), out = { .struct_size = (uint32_t)sizeof(out) };
    in.tag_key = store_tag(s, "gpu");
    flamenco_new_task task = new_task(s);
    task.steps_total = 2;
    task.steps_completed = 1;
    int64_t key = 0;
    OK(s, job_insert_hidden, &in, 1, &key);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_get, &in.uuid, &out);
    OK(s, tasks_insert, key, 1, &task, sizeof(task), 1);
    OK(s, job_show, key, NULL);
    OK(s, job_get, &in.uuid, &out);
    EXPECT_INT(out.key, key);
    EXPECT_INT(out.status, FLAMENCO_JOB_PAUSED);
    EXPECT_INT(out.priority, -7);
    EXPECT_INT(out.hidden, 0);
    EXPECT_INT(out.tag_key, in.tag_key);
    EXPECT_INT(out.created_us, in.created_us);
    EXPECT_INT(out.updated_us, in.updated_us);
    EXPECT_TRUE(out.delete_requested_us == FLAMENCO_TIME_NONE);
    EXPECT_INT(out.steps_total, 2);
    EXPECT_INT(out.steps_completed, 1);
    EXPECT_INT(out.n_tasks, 1);
    EXPECT_INT(out.counts[FLAMENCO_TASK_QUEUED], 1);
    EXPECT_STR(out.name, "ünï");
    EXPECT_STR(out.type, "echo");
    EXPECT_STR(out.activity, "waiting");
    EXPECT_STR(out.settings, "{\"a\":1}");
    EXPECT_STR(out.metadata, "{\"b\":2}");
    EXPECT_STR(out.shaman_checkout_id, "check/out");
    EXPECT_STR(out.submitter_platform, "linux");
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag) };
    OK(s, tag_get_name, flamenco_text("gpu"), &tag);
    EXPECT_UUID(out.tag_uuid, tag.uuid);
}

static void storing_a_job_refuses_what_does_not_fit(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_job job = new_job(s);
    int64_t key = 0, other = 0;
    OK(s, job_insert_hidden, &job, 3, &key);
    GIVES(s, FLAMENCO_E_EXISTS, job_insert_hidden, &job, 3, &other);
    job = new_job(s);
    job.tag_key = NO_KEY;
    int32_t rc = DB(s, job_insert_hidden, &job, 3, &other);
    EXPECT(rc == FLAMENCO_E_INVALID || rc == FLAMENCO_E_NOT_FOUND, "a job with a tag that does not exist gives %s",
           kit_code_name(rc));
    job.tag_key = 0;
    job.status = FLAMENCO_JOB_STATUSES;
    GIVES(s, FLAMENCO_E_INVALID, job_insert_hidden, &job, 3, &other);

    flamenco_new_task rows[3] = { new_task(s), new_task(s), new_task(s) };
    GIVES(s, FLAMENCO_E_NOT_FOUND, tasks_insert, NO_KEY, 1, rows, sizeof(rows[0]), 1);
    GIVES(s, FLAMENCO_E_INVALID, tasks_insert, key, 0, rows, sizeof(rows[0]), 1);
    GIVES(s, FLAMENCO_E_INVALID, tasks_insert, key, 2, rows, sizeof(rows[0]), 3);
    /* The second of a chunk fails: nothing of the chunk stays, and the counters are as before. */
    rows[1].uuid = rows[0].uuid;
    GIVES(s, FLAMENCO_E_EXISTS, tasks_insert, key, 1, rows, sizeof(rows[0]), 3);
    rows[1] = new_task(s);
    rows[2].status = FLAMENCO_TASK_STATUSES;
    GIVES(s, FLAMENCO_E_INVALID, tasks_insert, key, 1, rows, sizeof(rows[0]), 3);
    rows[2].status = FLAMENCO_TASK_QUEUED;
    GIVES(s, FLAMENCO_E_INVALID, job_show, key, NULL);
    OK(s, tasks_insert, key, 1, rows, sizeof(rows[0]), 3);
    GIVES(s, FLAMENCO_E_EXISTS, tasks_insert, key, 1, rows, sizeof(rows[0]), 1);

    const flamenco_dep wrong[] = { { 2, 1 }, { 4, 1 } }, good[] = { { 2, 1 }, { 3, 1 } };
    GIVES(s, FLAMENCO_E_INVALID, deps_insert, key, wrong, 2);
    GIVES(s, FLAMENCO_E_NOT_FOUND, deps_insert, NO_KEY, good, 2);
    OK(s, deps_insert, key, good, 2);
    GIVES(s, FLAMENCO_E_EXISTS, deps_insert, key, good, 1);
    OK(s, job_show, key, NULL);
    GIVES(s, FLAMENCO_E_INVALID, job_show, key, NULL);
    GIVES(s, FLAMENCO_E_INVALID, tasks_insert, key, 1, rows, sizeof(rows[0]), 1);
    EXPECT_INT(read_job(s, key).counts[FLAMENCO_TASK_QUEUED], 3);
}

static void chains_of_two_jobs_may_interleave(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_job a = new_job(s), b = new_job(s);
    int64_t key_a = 0, key_b = 0;
    a.status = b.status = FLAMENCO_JOB_QUEUED;
    OK(s, job_insert_hidden, &a, 4, &key_a);
    OK(s, job_insert_hidden, &b, 4, &key_b);
    for (uint32_t i = 1; i <= 4; ++i) {
        flamenco_new_task row_a = new_task(s), row_b = new_task(s);
        OK(s, tasks_insert, key_b, i, &row_b, sizeof(row_b), 1);
        OK(s, tasks_insert, key_a, i, &row_a, sizeof(row_a), 1);
        store_next(s);
    }
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    OK(s, job_show, key_b, &counts);
    EXPECT_INT(counts.made_runnable, 4);
    EXPECT_STR(counts.runnable_type, "misc");
    OK(s, job_show, key_a, NULL);
    for (uint32_t i = 1; i <= 4; ++i) {
        EXPECT_INT(read_task(s, key_a, i).index, i);
    }
    store_commit(s);
    store_check(s);
}

typedef struct keys {
    int64_t key[32];
    int n, most;
} keys;

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    keys *found = ctx;
    found->key[found->n++] = row->key;
    return found->n == found->most;
}

static void hidden_job_is_nowhere(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), key = store_job(s, 50, 0, one_task, 1);
    flamenco_task task = ROW(flamenco_task), kept;
    flamenco_job job = read_job(s, key);
    EXPECT_INT(store_assign(s, worker, &kept), 0);
    OK(s, last_rendered_set, key);
    OK(s, job_hide, key);
    uint64_t counts[FLAMENCO_JOB_STATUSES], total = 9;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_job_counts told = { .struct_size = (uint32_t)sizeof(told) };
    uint32_t cursor = 0, done = 0;
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_get, &job.uuid, &job);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_get_key, key, &job);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_counts, key, &told);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_priority, key, 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_tag, key, 0);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_storage, key, flamenco_text("x"));
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_status, key, 1, flamenco_text(""), NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_delete_requested, key);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_hide, key);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tasks_bulk_status, key, 1, 5, flamenco_text(""), 9, &cursor, &done, NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_get, &kept.uuid, &task);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_find, &kept.uuid, &task);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_held, worker, &task);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_shown_for_worker, worker, &task);
    GIVES(s, FLAMENCO_E_NOT_FOUND, last_rendered_get, &job);
    OK(s, jobs_count, counts);
    EXPECT_INT(counts[FLAMENCO_JOB_QUEUED], 0);
    OK(s, jobs_list, &page, on_job, &(keys){ .n = 0 }, &total);
    EXPECT_INT(total, 0);
}

/* ---- Lists ---- */

static void expect_list(kit_store *s, const flamenco_page *page, uint64_t total, const int64_t *expected, int n)
{
    keys found = { .n = 0 };
    uint64_t told = 0;
    OK(s, jobs_list, page, on_job, &found, &told);
    EXPECT_INT(found.n, n);
    for (int i = 0; i < n; ++i)
        EXPECT_INT(found.key[i], expected[i]);
    EXPECT_INT(told, total);
}

static void list_of_jobs_is_ordered_filtered_and_paged(kit *k)
{
    kit_store *s = store_start(k);
    static const struct {
        const char *name;
        int32_t priority;
        uint32_t status;
        int64_t updated;
    } specs[] = { { "b", 50, FLAMENCO_JOB_ACTIVE, NOW + 3 },
                  { "a", 70, FLAMENCO_JOB_QUEUED, NOW + 1 },
                  { "c", 50, FLAMENCO_JOB_COMPLETED, NOW + 2 },
                  { "a", 60, FLAMENCO_JOB_QUEUED, NOW + 4 } };
    int64_t job[4];
    for (size_t i = 0; i < 4; ++i) {
        flamenco_job row = new_job(s);
        row.name = flamenco_text(specs[i].name);
        row.priority = specs[i].priority;
        row.status = specs[i].status;
        row.updated_us = specs[i].updated;
        OK(s, job_insert_hidden, &row, 0, &job[i]);
        OK(s, job_show, job[i], NULL);
    }
    flamenco_page all = { .struct_size = (uint32_t)sizeof(all), .updated_after_us = FLAMENCO_TIME_NONE }, page = all;
    expect_list(s, &page, 4, (int64_t[]){ job[0], job[1], job[2], job[3] }, 4);
    page.after_key = job[1];
    expect_list(s, &page, 4, (int64_t[]){ job[2], job[3] }, 2);
    page.after_key = 0;
    page.descending = 1;
    expect_list(s, &page, 4, (int64_t[]){ job[3], job[2], job[1], job[0] }, 4);
    page.order = FLAMENCO_ORDER_UPDATED;
    expect_list(s, &page, 4, (int64_t[]){ job[3], job[0], job[2], job[1] }, 4);
    page.descending = 0;
    page.order = FLAMENCO_ORDER_NAME;
    expect_list(s, &page, 4, (int64_t[]){ job[1], job[3], job[0], job[2] }, 4);
    page.order = FLAMENCO_ORDER_STATUS;
    expect_list(s, &page, 4, (int64_t[]){ job[1], job[3], job[0], job[2] }, 4);
    page.order = FLAMENCO_ORDER_PRIORITY;
    expect_list(s, &page, 4, (int64_t[]){ job[0], job[2], job[3], job[1] }, 4);
    page.limit = 2;
    page.offset = 1;
    expect_list(s, &page, 4, (int64_t[]){ job[2], job[3] }, 2);
    page.offset = 9;
    expect_list(s, &page, 4, NULL, 0);
    page = all;
    page.status_mask = FLAMENCO_BIT(FLAMENCO_JOB_QUEUED) | FLAMENCO_BIT(FLAMENCO_JOB_ACTIVE);
    expect_list(s, &page, 3, (int64_t[]){ job[0], job[1], job[3] }, 3);
    page.updated_after_us = NOW + 3;
    expect_list(s, &page, 1, (int64_t[]){ job[3] }, 1);
    page.order = FLAMENCO_ORDER_PRIORITY + 1;
    GIVES(s, FLAMENCO_E_INVALID, jobs_list, &page, on_job, NULL, NULL);

    /* Marked ones come by the time of the request. */
    s->cx->now_us = LATER;
    OK(s, job_set_delete_requested, job[2]);
    s->cx->now_us = LATER + 1;
    OK(s, job_set_delete_requested, job[0]);
    s->cx->now_us = LATER + 2;
    OK(s, job_set_delete_requested, job[3]);
    OK(s, job_hide, job[3]);
    page = all;
    page.flags = FLAMENCO_PAGE_DELETE_REQUESTED;
    expect_list(s, &page, 2, (int64_t[]){ job[2], job[0] }, 2);
    page.after_key = job[0];
    expect_list(s, &page, 2, (int64_t[]){ job[2] }, 1);
    page.after_key = 0;
    page.flags = FLAMENCO_PAGE_HIDDEN;
    expect_list(s, &page, 1, (int64_t[]){ job[3] }, 1);
    expect_list(s, &all, 3, (int64_t[]){ job[0], job[1], job[2] }, 3);
    uint64_t counts[FLAMENCO_JOB_STATUSES];
    OK(s, jobs_count, counts);
    EXPECT_INT(counts[FLAMENCO_JOB_QUEUED], 1);
    EXPECT_INT(counts[FLAMENCO_JOB_ACTIVE], 1);
    EXPECT_INT(counts[FLAMENCO_JOB_COMPLETED], 1);
    keys k2 = { .most = 2 };
    OK(s, jobs_list, &all, on_job, &k2, NULL);
    EXPECT_INT(k2.n, 2);
}

/* ---- Changes ---- */

static void changes_set_updated_but_storage_does_not(kit *k)
{
    kit_store *s = store_start(k);
    int64_t tag = store_tag(s, "t"), key = store_job(s, 50, 0, three_tasks, 3);
    s->cx->now_us = LATER;
    OK(s, job_set_storage, key, flamenco_text("new/checkout"));
    EXPECT_INT(read_job(s, key).updated_us, NOW);
    EXPECT_STR(read_job(s, key).shaman_checkout_id, "new/checkout");
    OK(s, job_set_priority, key, 5);
    EXPECT_INT(read_job(s, key).updated_us, LATER);
    EXPECT_INT(read_job(s, key).priority, 5);
    s->cx->now_us = LATER + 1;
    OK(s, job_set_tag, key, tag);
    EXPECT_INT(read_job(s, key).updated_us, LATER + 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_tag, key, NO_KEY);
    s->cx->now_us = LATER + 2;
    OK(s, job_set_status, key, FLAMENCO_JOB_FAILED, flamenco_text("broken"), NULL);
    EXPECT_INT(read_job(s, key).updated_us, LATER + 2);
    EXPECT_STR(read_job(s, key).activity, "broken");
    s->cx->now_us = LATER + 3;
    OK(s, job_set_delete_requested, key);
    EXPECT_INT(read_job(s, key).updated_us, LATER + 3);
    EXPECT_INT(read_job(s, key).delete_requested_us, LATER + 3);
    GIVES(s, FLAMENCO_E_INVALID, job_set_status, key, FLAMENCO_JOB_STATUSES, flamenco_text(""), NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_status, NO_KEY, 0, flamenco_text(""), NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_priority, NO_KEY, 0);
}

static void steps_move_updated_and_statuses_do_not(kit *k)
{
    kit_store *s = store_start(k);
    int64_t key = store_job(s, 50, 0, three_tasks, 3);
    s->cx->now_us = LATER;
    set_task(s, key, 1, FLAMENCO_TASK_ACTIVE);
    EXPECT_INT(read_job(s, key).updated_us, NOW);
    EXPECT_INT(read_task(s, key, 1).updated_us, LATER);
    set_task(s, key, 1, FLAMENCO_TASK_COMPLETED);
    EXPECT_INT(read_job(s, key).updated_us, LATER);
    EXPECT_INT(read_job(s, key).steps_completed, 3);
    EXPECT_INT(read_job(s, key).steps_total, 12);
}

static void mass_deletion_marks_by_time(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), job[3];
    for (int i = 0; i < 3; ++i) {
        s->cx->now_us = NOW + i;
        job[i] = store_job(s, 50, 0, one_task, 1);
    }
    uint64_t changed = 9;
    s->cx->now_us = LATER;
    OK(s, jobs_set_delete_requested, NOW - 1, &changed);
    EXPECT_INT(changed, 0);
    OK(s, jobs_set_delete_requested, NOW + 1, &changed);
    EXPECT_INT(changed, 2);
    EXPECT_INT(read_job(s, job[1]).delete_requested_us, LATER);
    EXPECT_INT(read_job(s, job[1]).updated_us, LATER);
    EXPECT_TRUE(read_job(s, job[2]).delete_requested_us == FLAMENCO_TIME_NONE);
    flamenco_task task;
    EXPECT_INT(store_assign(s, worker, &task), 0);
    EXPECT_INT(task.job_key, job[2]);
    OK(s, job_set_delete_requested, job[2]);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_held, worker, &task);
    store_commit(s);
    store_check(s);
}

static void last_rendered_follows_the_last_job(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_job job = ROW(flamenco_job);
    int64_t a = store_job(s, 50, 0, one_task, 1), b = store_job(s, 50, 0, one_task, 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, last_rendered_get, &job);
    OK(s, last_rendered_set, a);
    OK(s, last_rendered_set, b);
    OK(s, last_rendered_get, &job);
    EXPECT_INT(job.key, b);
    GIVES(s, FLAMENCO_E_NOT_FOUND, last_rendered_set, NO_KEY);
    OK(s, last_rendered_get, &job);
    EXPECT_INT(job.key, b);
}

/* ---- Purging ---- */

/* Purges in portions; gives the number of calls. */
static int purge(kit_store *s, int64_t job, uint64_t limit)
{
    uint64_t left = 1, before = UINT64_MAX;
    int calls = 0;
    while (left > 0) {
        OK(s, job_purge, job, limit, &left);
        EXPECT(++calls < 200, "job_purge does not come to an end");
        EXPECT(left <= before, "job_purge leaves more than before");
        before = left;
    }
    left = 99;
    OK(s, job_purge, job, limit, &left);
    EXPECT_INT(left, 0); /* also for a job that is gone already */
    return calls;
}

static void purge_leaves_nothing_behind(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender,ffmpeg,misc"), kept = store_job(s, 50, 0, three_tasks, 3);
    char *before = store_dump(s, s->cx);
    int64_t gone = store_job(s, 90, 0, three_tasks, 3), half_key = 0;
    /* The remains of a crash: not all of its tasks were stored. */
    flamenco_job half = new_job(s);
    flamenco_new_task row = new_task(s);
    OK(s, job_insert_hidden, &half, 5, &half_key);
    OK(s, tasks_insert, half_key, 4, &row, sizeof(row), 1);
    flamenco_task task;
    uint64_t left = 99;
    EXPECT_INT(store_assign(s, worker, &task), 0);
    EXPECT_INT(task.job_key, gone);
    flamenco_uuid uuid = read_job(s, gone).uuid;
    OK(s, failure_add, task.key, worker, NULL, NULL);
    OK(s, blocklist_add, gone, worker, flamenco_text("blender"));
    OK(s, last_rendered_set, gone);
    GIVES(s, FLAMENCO_E_INVALID, job_purge, gone, 2, &left);
    EXPECT_INT(left, 99);
    OK(s, job_hide, gone);
    EXPECT_TRUE(purge(s, gone, 2) > 1); /* 3 tasks cannot go by 2 at a time in one call */
    (void)purge(s, half_key, 0);
    char *after = store_dump(s, s->cx);
    EXPECT(strcmp(before, after) == 0, "after the purge there is\n%s\nthough there was\n%s", after, before);
    GIVES(s, FLAMENCO_E_NOT_FOUND, task_shown_for_worker, worker, &task);
    /* The UUID is free again; an upload may be repeated. */
    flamenco_job again = new_job(s);
    int64_t key = 0;
    again.uuid = uuid;
    OK(s, job_insert_hidden, &again, 0, &key);
    EXPECT_TRUE(key > half_key);
    expect_task(s, worker, kept, 1);
    store_commit(s);
    store_check(s);
}

/* One task that many others wait for has as many dependencies as the job has tasks: they go in portions, too. */
static void purge_goes_in_portions(kit *k)
{
    enum { TASKS = 20, PORTION = 6 };
    kit_store *s = store_start(k);
    task_spec tasks[TASKS];
    for (int i = 0; i < TASKS; ++i)
        tasks[i] = (task_spec){ .type = "blender", .priority = 50, .needs = { i > 0 ? 1 : 0, i > 10 ? 5 : 0 } };
    int64_t job = store_job(s, 50, 0, tasks, TASKS);
    OK(s, job_hide, job);
    int calls = purge(s, job, PORTION);
    EXPECT(calls >= 4, "28 dependencies and 20 tasks by 6 at a time were gone after %d calls", calls);
    job = store_job(s, 50, 0, tasks, TASKS);
    OK(s, job_hide, job);
    EXPECT_INT(purge(s, job, 0), 1);
    store_commit(s);
    store_check(s);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.job.stored", FLAMENCO_PERSISTENCE, stored_job_is_read_back_as_given,
      "a job is read back as it was stored, with the steps and counts of its tasks; before job_show it is not found",
      "persistence.h: Storing a job" },
    { "persistence.job.insert-errors", FLAMENCO_PERSISTENCE, storing_a_job_refuses_what_does_not_fit,
      "EXISTS, NOT_FOUND and INVALID while a job is stored, and a refused chunk leaves nothing",
      "persistence.h: Storing a job" },
    { "persistence.job.interleaved", FLAMENCO_PERSISTENCE, chains_of_two_jobs_may_interleave,
      "two jobs may be stored in turns, over several transactions",
      "persistence.h: Storing a job" },
    { "persistence.job.hidden", FLAMENCO_PERSISTENCE, hidden_job_is_nowhere,
      "a hidden job is not listed, counted, handed out or found, and cannot be changed",
      "persistence.h: job_hide" },
    { "persistence.jobs.list", FLAMENCO_PERSISTENCE, list_of_jobs_is_ordered_filtered_and_paged,
      "order, direction, ties, filters, offset, limit, after_key, total, and the lists of marked and of hidden jobs",
      "persistence.h: flamenco_page" },
    { "persistence.job.updated", FLAMENCO_PERSISTENCE, changes_set_updated_but_storage_does_not,
      "each change of a job sets `updated`; job_set_storage does not",
      "persistence.h: UPDATED" },
    { "persistence.job.steps-updated", FLAMENCO_PERSISTENCE, steps_move_updated_and_statuses_do_not,
      "a task moves its job's `updated` only when it changes the job's steps",
      "persistence.h: task_update" },
    { "persistence.jobs.delete-requested", FLAMENCO_PERSISTENCE, mass_deletion_marks_by_time,
      "jobs are marked for deletion by their `updated`, and marked ones are not scheduled",
      "persistence.h: jobs_set_delete_requested" },
    { "persistence.last-rendered", FLAMENCO_PERSISTENCE, last_rendered_follows_the_last_job,
      "the last rendered job is the one set last; a failure changes nothing",
      "persistence.h: last_rendered_set" },
    { "persistence.job.purge", FLAMENCO_PERSISTENCE, purge_leaves_nothing_behind,
      "a purge takes everything of a job, also of one half stored, and nothing else",
      "persistence.h: job_purge" },
    { "persistence.job.purge-portions", FLAMENCO_PERSISTENCE, purge_goes_in_portions,
      "no purge call takes more tasks or dependencies than it was told",
      "persistence.h: job_purge" },
};
// clang-format on

const kit_group persistence_jobs_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
