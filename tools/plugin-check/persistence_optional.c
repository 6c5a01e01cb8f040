/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_optional.c - methods that a store may leave out: shares of jobs, what copy-data asks for, unlikely savepoints. A
 * check of a method that is not there is skipped.
 */
#include "groups.h"
#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */
#define UNTOUCHED INT64_C(-77)

static const task_spec both[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 60, { 0 }, 0 } };
static const task_spec one[] = { { "blender", 50, { 0 }, 0 } };

/* What a list told, in its order. */
typedef struct story {
    const int64_t *jobs; /* are told by their place in here, from 1 */
    size_t n_jobs;
    uint32_t stop_after, n; /* 0 = never */
    char text[512];
} story;

static int place_of(const story *s, int64_t job)
{
    size_t i = 0;
    while (i < s->n_jobs && s->jobs[i] != job)
        ++i;
    return i < s->n_jobs ? (int)i + 1 : 0;
}

static int32_t tell_share(void *ctx, int64_t share)
{
    story *s = ctx;
    size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof(s->text) - len, "%lld ", (long long)share);
    return ++s->n == s->stop_after;
}

static int32_t tell_group(void *ctx, const flamenco_runnable_group *row)
{
    story *s = ctx;
    size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof(s->text) - len, "%d:%.*s ", place_of(s, row->job_key), (int)row->task_type.len,
                   row->task_type.ptr);
    return ++s->n == s->stop_after;
}

/* ---- Shares --------------------------------------------------------------------------------------------------------- */

static kit_store *start_with_shares(kit *k)
{
    kit_store *s = store_start(k);
    int n =
        (s->db->job_set_share != NULL) + (s->db->runnable_shares != NULL) + (s->db->runnable_groups_of_share != NULL);
    if (n == 0)
        kit_skip("it has no shares");
    EXPECT(n == 3, "it has %d of job_set_share, runnable_shares, runnable_groups_of_share: all of them or none", n);
    return s;
}

static void expect_shares(kit_store *s, int64_t worker, const char *expected)
{
    story told = { .n = 0 };
    OK(s, runnable_shares, worker, tell_share, &told);
    EXPECT_STR(flamenco_text(told.text), expected);
}

static void expect_groups(kit_store *s, int64_t worker, int64_t share, const int64_t *jobs, size_t n,
                          const char *expected)
{
    story told = { .jobs = jobs, .n_jobs = n };
    OK(s, runnable_groups_of_share, worker, share, tell_group, &told);
    EXPECT_STR(flamenco_text(told.text), expected);
}

static void shares_are_found_with_their_groups(kit *k)
{
    kit_store *s = start_with_shares(k);
    int64_t tag = store_tag(s, "t");
    const int64_t jobs[] = { store_job(s, 50, 0, both, 2), store_job(s, 70, 0, one, 1), store_job(s, 50, tag, one, 1),
                             store_job(s, 50, 0, one, 1), store_job(s, 90, 0, both, 2) };
    static const int64_t shares[] = { INT64_MAX, -5, 3, 0, INT64_MAX };
    const int64_t workers[] = { store_worker(s, "all", "blender,ffmpeg"), store_worker(s, "tagged", "blender"),
                                store_worker(s, "blocked", "blender,ffmpeg"), store_worker(s, "none", "misc") };
    OK(s, worker_set_tags, workers[1], &tag, 1);
    OK(s, blocklist_add, jobs[0], workers[2], flamenco_text("blender"));
    OK(s, blocklist_add, jobs[1], workers[2], flamenco_text("blender"));
    expect_shares(s, workers[0], "0 "); /* a new job has none */
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); ++i)
        OK(s, job_set_share, jobs[i], shares[i]);
    store_next(s);
    static const struct {
        const char *shares;
        int64_t share;
        const char *groups;
    } rows[] = {
        { "-5 0 9223372036854775807 ", INT64_MAX, "5:ffmpeg 5:blender 1:ffmpeg 1:blender " },
        { "-5 0 3 9223372036854775807 ", 3, "3:blender " },
        { "0 9223372036854775807 ", INT64_MAX, "5:ffmpeg 5:blender 1:ffmpeg " },
        { "", 0, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        expect_shares(s, workers[i], rows[i].shares);
        expect_groups(s, workers[i], rows[i].share, jobs, sizeof(jobs) / sizeof(jobs[0]), rows[i].groups);
    }
    expect_groups(s, workers[2], -5, jobs, 2, ""); /* blocked from its only job */
    expect_groups(s, workers[0], 4711, jobs, 2, "");
    expect_shares(s, NO_KEY, "");
    /* A visitor ends the list. */
    story shares_told = { .stop_after = 1 }, groups_told = { .jobs = jobs, .n_jobs = 5, .stop_after = 1 };
    OK(s, runnable_shares, workers[0], tell_share, &shares_told);
    EXPECT_STR(flamenco_text(shares_told.text), "-5 ");
    OK(s, runnable_groups_of_share, workers[0], INT64_MAX, tell_group, &groups_told);
    EXPECT_STR(flamenco_text(groups_told.text), "5:ffmpeg ");
    store_commit(s);
    store_check(s);
}

static void share_stays_with_the_job(kit *k)
{
    kit_store *s = start_with_shares(k);
    int64_t worker = store_worker(s, "w", "blender,ffmpeg"), tag = store_tag(s, "t");
    int64_t job = store_job(s, 50, 0, both, 2), hidden = 0;
    flamenco_new_task task = new_task(s);
    flamenco_job row = new_job(s);
    OK(s, job_insert_hidden, &row, 1, &hidden);
    OK(s, tasks_insert, hidden, 1, &task, sizeof(task), 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_share, hidden, 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, job_set_share, NO_KEY, 1);
    int64_t updated = read_job(s, job).updated_us;
    s->cx->now_us = LATER;
    OK(s, job_set_share, job, 7);
    EXPECT_INT(read_job(s, job).updated_us, updated);
    set_job(s, job, FLAMENCO_JOB_PAUSED);
    expect_shares(s, worker, "");
    set_job(s, job, FLAMENCO_JOB_QUEUED);
    expect_groups(s, worker, 7, &job, 1, "1:ffmpeg 1:blender ");
    set_task(s, job, 2, FLAMENCO_TASK_ACTIVE);
    expect_groups(s, worker, 7, &job, 1, "1:blender ");
    set_task(s, job, 2, FLAMENCO_TASK_QUEUED);
    OK(s, job_set_priority, job, 90);
    OK(s, job_set_tag, job, tag);
    expect_shares(s, worker, "");
    OK(s, tag_delete, tag, NULL);
    expect_groups(s, worker, 7, &job, 1, "1:ffmpeg 1:blender ");
    /* It moves, and is not found where it was. */
    OK(s, job_set_share, job, 8);
    expect_shares(s, worker, "8 ");
    expect_groups(s, worker, 7, &job, 1, "");
    store_commit(s);
    store_check(s);
}

/* ---- For copies ----------------------------------------------------------------------------------------------------- */

typedef struct failures {
    const int64_t *tasks, *workers; /* told by their places, from 1 */
    size_t n_tasks, n_workers;
    story told;
} failures;

static int32_t tell_failure(void *ctx, const flamenco_failure *row)
{
    failures *f = ctx;
    const story tasks = { .jobs = f->tasks, .n_jobs = f->n_tasks },
                workers = { .jobs = f->workers, .n_jobs = f->n_workers };
    size_t len = strlen(f->told.text);
    (void)snprintf(f->told.text + len, sizeof(f->told.text) - len, "%d:%d ", place_of(&tasks, row->task_key),
                   place_of(&workers, row->worker_key));
    return ++f->told.n == f->told.stop_after;
}

static void failures_of_a_job_come_by_task_and_worker(kit *k)
{
    kit_store *s = store_start(k);
    if (s->db->failures_of_job == NULL)
        kit_skip("it has no failures_of_job");
    int64_t before = store_job(s, 50, 0, one, 1), job = store_job(s, 50, 0, both, 2),
            after = store_job(s, 50, 0, one, 1);
    const int64_t workers[] = { store_worker(s, "z", "blender"), store_worker(s, "a", "blender") };
    const int64_t tasks[] = { read_task(s, job, 1).key, read_task(s, job, 2).key };
    OK(s, failure_add, read_task(s, before, 1).key, workers[0], NULL, NULL);
    OK(s, failure_add, read_task(s, after, 1).key, workers[0], NULL, NULL);
    OK(s, failure_add, tasks[1], workers[0], NULL, NULL);
    OK(s, failure_add, tasks[0], workers[1], NULL, NULL);
    OK(s, failure_add, tasks[0], workers[0], NULL, NULL);
    OK(s, worker_delete, workers[1]); /* softly: what it failed stays */
    store_next(s);
    static const struct {
        uint32_t stop_after;
        const char *expected;
    } rows[] = { { 0, "1:1 1:2 2:1 " }, { 2, "1:1 1:2 " } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        failures f = { tasks, workers, 2, 2, { .stop_after = rows[i].stop_after } };
        OK(s, failures_of_job, job, tell_failure, &f);
        EXPECT_STR(flamenco_text(f.told.text), rows[i].expected);
    }
    failures none = { tasks, workers, 2, 2, { .n = 0 } };
    OK(s, failures_clear_job, job);
    OK(s, failures_of_job, job, tell_failure, &none);
    EXPECT_STR(flamenco_text(none.told.text), "");
}

static void last_task_of_a_worker_is_told_and_set(kit *k)
{
    kit_store *s = store_start(k);
    if (s->db->worker_last_task == NULL || s->db->worker_set_last_task == NULL)
        kit_skip("it has no worker_last_task, or no worker_set_last_task");
    int64_t worker = store_worker(s, "w", "blender,ffmpeg"), job = store_job(s, 50, 0, both, 2), last = UNTOUCHED;
    int64_t first = read_task(s, job, 1).key, second = read_task(s, job, 2).key;
    OK(s, worker_last_task, worker, &last);
    EXPECT_INT(last, 0);
    expect_task(s, worker, job, 2);
    OK(s, worker_last_task, worker, &last);
    EXPECT_INT(last, second);
    set_task(s, job, 2, FLAMENCO_TASK_COMPLETED);
    OK(s, worker_last_task, worker, &last);
    EXPECT_INT(last, second);
    int64_t updated = read_worker(s, worker).updated_us;
    s->cx->now_us = LATER;
    OK(s, worker_set_last_task, worker, first);
    EXPECT_INT(read_worker(s, worker).updated_us, updated);
    OK(s, worker_delete, worker);
    store_next(s);
    OK(s, worker_last_task, worker, &last);
    EXPECT_INT(last, first);
    last = UNTOUCHED;
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_last_task, NO_KEY, &last);
    EXPECT_INT(last, UNTOUCHED);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_set_last_task, NO_KEY, first);
}

/* ---- Unlikely savepoints -------------------------------------------------------------------------------------------- */

/* Changes the job behind an unlikely savepoint and takes that back, alone or with the transaction, whichever the store does. */
static void take_back_unlikely(kit_store *s, int64_t job)
{
    flamenco_job row = ROW(flamenco_job);
    OK0(s, savepoint_unlikely);
    OK(s, job_set_priority, job, 63);
    int32_t rc = s->db->rollback_to(s->self, s->cx, &s->err);
    if (rc == FLAMENCO_OK)
        return;
    EXPECT_CODE(rc, FLAMENCO_E_UNAVAILABLE, &s->err);
    EXPECT(DB(s, job_get_key, job, &row) != FLAMENCO_OK, "a method works behind a savepoint that could not be undone");
    EXPECT(DB(s, commit, 9) != FLAMENCO_OK, "a commit works behind a savepoint that could not be undone");
    if (s->cx->txn != NULL)
        s->db->rollback(s->self, s->cx);
    store_begin(s);
}

static void unlikely_savepoint_is_kept_or_undone(kit *k)
{
    kit_store *s = store_start(k);
    if (s->db->savepoint_unlikely == NULL)
        kit_skip("it has no savepoint_unlikely");
    int64_t job = store_job(s, 50, 0, one, 1);
    OK0(s, savepoint_unlikely);
    GIVES0(s, FLAMENCO_E_INVALID, savepoint_unlikely);
    GIVES0(s, FLAMENCO_E_INVALID, savepoint);
    OK(s, job_set_priority, job, 61);
    OK0(s, release);
    store_next(s);
    EXPECT_INT(read_job(s, job).priority, 61);
    OK0(s, savepoint_unlikely);
    OK0(s, rollback_to); /* nothing was changed in it */
    take_back_unlikely(s, job);
    EXPECT_INT(read_job(s, job).priority, 61);
    /* The next one is one that can be undone alone, whatever came before. */
    OK(s, job_set_priority, job, 62);
    OK0(s, savepoint);
    OK(s, job_set_priority, job, 64);
    OK0(s, rollback_to);
    store_next(s);
    EXPECT_INT(read_job(s, job).priority, 62);
    store_check(s);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.shares.found", FLAMENCO_PERSISTENCE, shares_are_found_with_their_groups,
      "a worker's shares come ascending, each once, and the groups of one in the order of all groups",
      "persistence.h: runnable_shares, runnable_groups_of_share" },
    { "persistence.shares.kept", FLAMENCO_PERSISTENCE, share_stays_with_the_job,
      "a job keeps its share through every change, and `updated` through a change of the share; NOT_FOUND",
      "persistence.h: job_set_share" },
    { "persistence.failures.of-job", FLAMENCO_PERSISTENCE, failures_of_a_job_come_by_task_and_worker,
      "the failures of a job come by task and worker, those of soft-deleted workers too",
      "persistence.h: failures_of_job" },
    { "persistence.savepoint.unlikely", FLAMENCO_PERSISTENCE, unlikely_savepoint_is_kept_or_undone,
      "an unlikely savepoint is kept by release; rollback_to undoes it, or says that only rollback does",
      "persistence.h: savepoint_unlikely" },
    { "persistence.worker.last-task", FLAMENCO_PERSISTENCE, last_task_of_a_worker_is_told_and_set,
      "the task most recently assigned to a worker is told and set, and `updated` stays; NOT_FOUND",
      "persistence.h: worker_last_task, worker_set_last_task" },
};
// clang-format on

const kit_group persistence_optional_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
