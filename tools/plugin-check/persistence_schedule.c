/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_schedule.c - what is handed out to whom (contract: state-and-scheduling 6).
 */
#include "groups.h"
#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

#define TYPES "blender,ffmpeg,file-management,misc"

static void schedule_without_jobs_gives_nothing(kit *k)
{
    kit_store *s = store_start(k);
    expect_nothing(s, store_worker(s, "w", TYPES));
}

static void schedule_gives_highest_task_priority_first(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 100, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 3);
    expect_task(s, worker, job, 2);
}

static void schedule_leaves_out_task_with_open_dependency(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 100, { 1 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 3);
    expect_task(s, worker, job, 1);
}

static void schedule_compares_job_priority_before_task_priority(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec low[] = { { "blender", 100, { 0 }, 0 } };
    const task_spec high[] = { { "blender", 50, { 0 }, 0 },
                               { "blender", 100, { 1 }, 0 },
                               { "blender", 150, { 0 }, 0 } };
    store_job(s, 50, 0, low, 1);
    int64_t job = store_job(s, 100, 0, high, 3);
    expect_task(s, worker, job, 3);
}

static void schedule_follows_a_fan_in(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    /* Stored as final, fan-in, p1, p2, start, p3. */
    const task_spec tasks[] = { { "misc", 50, { 2 }, 0 }, { "misc", 50, { 3, 4, 6 }, 0 }, { "misc", 50, { 5 }, 0 },
                                { "misc", 50, { 5 }, 0 }, { "misc", 50, { 0 }, 0 },       { "misc", 50, { 5 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 6);
    static const uint32_t order[] = { 5, 3, 4, 6, 2, 1 };
    for (size_t i = 0; i < 6; ++i) {
        expect_task(s, worker, job, order[i]);
        set_task(s, job, order[i], FLAMENCO_TASK_COMPLETED);
    }
    expect_nothing(s, worker);
}

static void schedule_gives_nothing_for_an_unsupported_type_in_the_way(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 },
                                { "exotic", 50, { 0 }, 0 },
                                { "blender", 50, { 1, 2 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 3);
    set_task(s, job, 1, FLAMENCO_TASK_COMPLETED);
    expect_nothing(s, worker);
}

static void schedule_takes_a_queued_task_of_another_worker(kit *k)
{
    kit_store *s = store_start(k);
    int64_t first = store_worker(s, "a", TYPES), second = store_worker(s, "b", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "blender", 100, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 2);
    expect_task(s, first, job, 2);
    set_task(s, job, 2, FLAMENCO_TASK_QUEUED);
    expect_task(s, second, job, 2);
    EXPECT_INT(read_task(s, job, 2).worker_key, second);
}

static void schedule_gives_the_held_task_again(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } }, better[] = { { "blender", 100, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 1);
    expect_task(s, worker, job, 1);
    store_job(s, 90, 0, better, 1);
    expect_task(s, worker, job, 1);
}

static void schedule_passes_over_tasks_that_the_worker_failed(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES), other = store_worker(s, "v", TYPES);
    const task_spec tasks[] = { { "blender", 60, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "ffmpeg", 55, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 3);
    int64_t task = read_task(s, job, 1).key;
    OK(s, failure_add, task, worker, NULL, NULL);
    set_task(s, job, 1, FLAMENCO_TASK_SOFT_FAILED);
    /* The head of the blender group is out, so ffmpeg with 55 comes before the blender task with 50. */
    expect_task(s, worker, job, 3);
    set_task(s, job, 3, FLAMENCO_TASK_COMPLETED);
    expect_task(s, worker, job, 2);
    expect_task(s, other, job, 1);
}

static void schedule_respects_the_blocklist(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 0 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 2);
    OK(s, blocklist_add, job, worker, flamenco_text("blender"));
    expect_task(s, worker, job, 2);
    set_task(s, job, 2, FLAMENCO_TASK_COMPLETED);
    expect_nothing(s, worker);
    flamenco_worker row = read_worker(s, worker);
    uint64_t made = 0;
    OK(s, blocklist_remove, job, &row.uuid, flamenco_text("blender"), &made);
    EXPECT_INT(made, 1);
    expect_task(s, worker, job, 1);
}

static void schedule_respects_tags(kit *k)
{
    static const struct {
        int job_tag, worker_tag, given; /* tags: 0 = none */
    } cases[] = { { 2, 1, 0 }, { 1, 1, 1 }, { 1, 0, 0 }, { 0, 1, 1 }, { 0, 0, 1 } };
    kit_store *s = store_start(k);
    int64_t tags[3] = { 0, store_tag(s, "one"), store_tag(s, "two") };
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        int64_t worker = store_worker(s, "w", TYPES);
        if (cases[i].worker_tag != 0)
            OK(s, worker_set_tags, worker, &tags[cases[i].worker_tag], 1);
        int64_t job = store_job(s, 50, tags[cases[i].job_tag], tasks, 1);
        if (cases[i].given)
            expect_task(s, worker, job, 1);
        else
            expect_nothing(s, worker);
        set_job(s, job, FLAMENCO_JOB_CANCELED);
    }
}

static void schedule_gives_nothing_to_a_worker_without_types(kit *k)
{
    kit_store *s = store_start(k);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    store_job(s, 50, 0, tasks, 1);
    expect_nothing(s, store_worker(s, "w", ""));
    expect_nothing(s, store_worker(s, "v", ",,"));
}

static void schedule_leaves_held_task_of_a_pausing_job(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    int64_t job = store_job(s, 90, 0, tasks, 2), other = store_job(s, 50, 0, tasks, 2);
    expect_task(s, worker, job, 1);
    set_job(s, job, FLAMENCO_JOB_PAUSE_REQUESTED);
    expect_task(s, worker, other, 1);
    EXPECT_INT(read_task(s, job, 1).status, FLAMENCO_TASK_ACTIVE);
}

static void schedule_breaks_ties_by_creation_over_all_jobs(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES);
    /* ffmpeg is the younger type (a higher number), but its task was made first. */
    const task_spec tasks[] = {
        { "blender", 50, { 4 }, 0 }, { "ffmpeg", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "misc", 10, { 0 }, 0 }
    };
    int64_t first = store_job(s, 50, 0, tasks, 4), second = store_job(s, 50, 0, tasks, 4);
    static const uint32_t order[] = { 2, 3 };
    for (size_t i = 0; i < 2; ++i) {
        expect_task(s, worker, first, order[i]);
        set_task(s, first, order[i], FLAMENCO_TASK_COMPLETED);
    }
    expect_task(s, worker, second, 2);
}

typedef struct groups {
    int64_t jobs[4];
    char text[256];
} groups;

static int32_t on_group(void *ctx, const flamenco_runnable_group *row)
{
    groups *g = ctx;
    size_t len = strlen(g->text);
    int job = 0;
    while (job < 4 && g->jobs[job] != row->job_key)
        ++job;
    (void)snprintf(g->text + len, sizeof(g->text) - len, "%d/%d:%d:%.*s ", (int)row->job_priority,
                   (int)row->task_priority, job + 1, (int)row->task_type.len, row->task_type.ptr);
    return 0;
}

static void groups_come_best_first_and_ties_by_creation(kit *k)
{
    kit_store *s = store_start(k);
    int64_t tag = store_tag(s, "t"), worker = store_worker(s, "w", TYPES);
    OK(s, worker_set_tags, worker, &tag, 1);
    const task_spec a[] = { { "misc", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 0 }, 0 } };
    const task_spec b[] = { { "blender", 50, { 0 }, 0 }, { "misc", 90, { 0 }, 0 }, { "exotic", 99, { 0 }, 0 } };
    groups g = { .text = "" };
    g.jobs[0] = store_job(s, 50, 0, a, 3);
    g.jobs[1] = store_job(s, 50, tag, b, 3);
    g.jobs[2] = store_job(s, 60, 0, b, 1);
    /* Types in another order than they were first used in. */
    const task_spec c[] = { { "ffmpeg", 50, { 0 }, 0 }, { "misc", 50, { 0 }, 0 }, { "blender", 50, { 0 }, 0 } };
    g.jobs[3] = store_job(s, 40, 0, c, 3);
    OK(s, runnable_groups, worker, on_group, &g);
    EXPECT_STR(flamenco_text(g.text), "60/50:3:blender 50/90:2:misc 50/50:1:misc 50/50:1:blender 50/50:1:ffmpeg "
                                      "50/50:2:blender 40/50:4:ffmpeg 40/50:4:misc 40/50:4:blender ");
}

static void schedule_follows_changes_of_the_job(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES), tag = store_tag(s, "t");
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 } };
    int64_t a = store_job(s, 50, 0, tasks, 1), b = store_job(s, 60, 0, tasks, 1);
    flamenco_task task;
    EXPECT_INT(store_pick(s, s->cx, worker, &task), 0);
    EXPECT_INT(task.job_key, b);
    OK(s, job_set_priority, a, 70);
    EXPECT_INT(store_pick(s, s->cx, worker, &task), 0);
    EXPECT_INT(task.job_key, a);
    OK(s, job_set_tag, a, tag);
    EXPECT_INT(store_pick(s, s->cx, worker, &task), 0);
    EXPECT_INT(task.job_key, b);
    OK(s, job_set_delete_requested, b);
    EXPECT_INT(store_pick(s, s->cx, worker, &task), FLAMENCO_E_NOT_FOUND);
    OK(s, job_set_tag, a, 0);
    EXPECT_INT(store_pick(s, s->cx, worker, &task), 0);
    EXPECT_INT(task.job_key, a);
    store_commit(s);
    store_check(s);
}

static void deleting_a_tag_frees_its_jobs(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", TYPES), tag = store_tag(s, "t");
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "misc", 50, { 1 }, 0 } };
    int64_t job = store_job(s, 50, tag, tasks, 2);
    uint64_t made = 0;
    expect_nothing(s, worker);
    OK(s, tag_delete, tag, &made);
    EXPECT_INT(made, 1);
    EXPECT_INT(read_job(s, job).tag_key, 0);
    expect_task(s, worker, job, 1);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tag_delete, tag, &made);
}

static void requeued_job_tells_what_became_runnable(kit *k)
{
    kit_store *s = store_start(k);
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 },
                                { "blender", 50, { 0 }, 0 },
                                { "ffmpeg", 50, { 1, 2 }, 0 } };
    int64_t job = store_job(s, 50, 0, tasks, 3);
    set_job(s, job, FLAMENCO_JOB_PAUSED);
    flamenco_job_counts counts = set_job(s, job, FLAMENCO_JOB_QUEUED);
    EXPECT_INT(counts.made_runnable, 2);
    EXPECT_TRUE(flamenco_str_equal(counts.runnable_type, flamenco_text("blender")));
    /* Queued to active lets nothing run that could not before. */
    EXPECT_INT(set_job(s, job, FLAMENCO_JOB_ACTIVE).made_runnable, 0);
    EXPECT_INT(set_task(s, job, 1, FLAMENCO_TASK_COMPLETED).made_runnable, 0);
    counts = set_task(s, job, 2, FLAMENCO_TASK_COMPLETED);
    EXPECT_INT(counts.made_runnable, 1);
    EXPECT_TRUE(flamenco_str_equal(counts.runnable_type, flamenco_text("ffmpeg")));
    /* One goes back: the task that waits for it is closed again, it itself is open. */
    counts = set_task(s, job, 2, FLAMENCO_TASK_QUEUED);
    EXPECT_INT(counts.made_runnable, 1);
    EXPECT_TRUE(flamenco_str_equal(counts.runnable_type, flamenco_text("blender")));
    EXPECT_INT(read_task(s, job, 3).open_deps, 1);
    store_commit(s);
    store_check(s);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.schedule.nothing", FLAMENCO_PERSISTENCE, schedule_without_jobs_gives_nothing,
      "without jobs there is nothing to hand out",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.task-priority", FLAMENCO_PERSISTENCE, schedule_gives_highest_task_priority_first,
      "within a job the higher task priority comes first",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.dependency", FLAMENCO_PERSISTENCE, schedule_leaves_out_task_with_open_dependency,
      "a task with an open dependency is not handed out",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.job-priority", FLAMENCO_PERSISTENCE, schedule_compares_job_priority_before_task_priority,
      "the job's priority goes before the task's",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.fan-in", FLAMENCO_PERSISTENCE, schedule_follows_a_fan_in,
      "tasks open one after the other as those they depend on are completed",
      "persistence.h: task_update" },
    { "persistence.schedule.unsupported-type", FLAMENCO_PERSISTENCE, schedule_gives_nothing_for_an_unsupported_type_in_the_way,
      "tasks of a type that the worker does not know stay, and those behind them",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.queued-of-another", FLAMENCO_PERSISTENCE, schedule_takes_a_queued_task_of_another_worker,
      "a queued task is handed out again, whoever had it",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.held", FLAMENCO_PERSISTENCE, schedule_gives_the_held_task_again,
      "a worker's held task comes before all others",
      "persistence.h: task_held" },
    { "persistence.schedule.failed-tasks", FLAMENCO_PERSISTENCE, schedule_passes_over_tasks_that_the_worker_failed,
      "a task is not given to a worker that failed it",
      "persistence.h: task_runnable" },
    { "persistence.schedule.blocklist", FLAMENCO_PERSISTENCE, schedule_respects_the_blocklist,
      "a blocked worker gets no task of that job and type",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.tags", FLAMENCO_PERSISTENCE, schedule_respects_tags,
      "a job with a tag is for workers with that tag; one without is for all",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.no-types", FLAMENCO_PERSISTENCE, schedule_gives_nothing_to_a_worker_without_types,
      "a worker without task types gets nothing",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.pausing-job", FLAMENCO_PERSISTENCE, schedule_leaves_held_task_of_a_pausing_job,
      "a held task of a job that is not queued or active does not count as held",
      "persistence.h: task_held" },
    { "persistence.schedule.ties", FLAMENCO_PERSISTENCE, schedule_breaks_ties_by_creation_over_all_jobs,
      "between equals the task that was created first comes first",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.groups", FLAMENCO_PERSISTENCE, groups_come_best_first_and_ties_by_creation,
      "groups come by job priority, best task's priority, its creation",
      "persistence.h: runnable_groups" },
    { "persistence.schedule.changes", FLAMENCO_PERSISTENCE, schedule_follows_changes_of_the_job,
      "priority, tag and deletion request take effect at once",
      "persistence.h: job_set_priority, job_set_tag" },
    { "persistence.schedule.tag-deleted", FLAMENCO_PERSISTENCE, deleting_a_tag_frees_its_jobs,
      "jobs of a deleted tag are for all workers",
      "persistence.h: tag_delete" },
    { "persistence.schedule.made-runnable", FLAMENCO_PERSISTENCE, requeued_job_tells_what_became_runnable,
      "counts tell how many tasks a change made runnable, and their type",
      "persistence.h: flamenco_job_counts" },
};
// clang-format on

const kit_group persistence_schedule_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
