/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/persistence.h - the service "flamenco.persistence/1": where jobs, tasks, workers and all that belongs to them
 * is kept. Called by the core's executor (sessions, transactions), by its handlers and by the other services.
 *
 * SESSIONS AND TRANSACTIONS. The executor opens one WRITER session and several READER sessions; a session is used by one
 * thread at a time. begin() puts the session's transaction into cx->txn; every method below "Rows" works in it, and a
 * cx without one is INVALID. A reader sees one snapshot that holds every earlier commit; it never waits for the writer
 * nor makes it wait. The writer's savepoints are one level deep.
 *
 * FAILURES. After BUSY, UNAVAILABLE, FULL, IO or CORRUPT only rollback() is allowed. After any other error the transaction
 * goes on, and the failed method has changed nothing. Methods name NOT_FOUND, EXISTS, CONFLICT where they may give them;
 * INVALID (a defect of the caller), NOMEM, CANCELLED and DEADLINE may come from any. A method that fails half-way and cannot
 * undo its half gives UNAVAILABLE.
 *
 * ROWS are plain structs by value; the caller sets struct_size, the callee fills what fits. `key` is the store's own number
 * of a row: ascending in order of creation within its table, never 0, never used again. Texts in rows given out live in
 * the arena of cx, in rows given to a visitor until the visitor returns. JSON columns are text that was checked before it
 * came in. Times are µs since 1970 UTC, FLAMENCO_TIME_NONE = none. A visitor returns 0 to go on, any other value to end the
 * list early, which is then a success. It may call reading methods with the same cx; a changing one is INVALID until the list
 * has ended.
 *
 * UPDATED. Every change of a job, task or worker row sets its `updated` to cx->now_us unless said otherwise (contract:
 * state-and-scheduling 4). What the store keeps for itself (counters, open dependencies, hidden) is no such change.
 *
 * COST. No method may cost time in proportion to finished work: counters are kept, lists come from indexes.
 *
 * Contract: state-and-scheduling, configuration-and-clients part 6, decisions.
 */
#ifndef FLAMENCO_PERSISTENCE_H
#define FLAMENCO_PERSISTENCE_H

#include "flamenco/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_PERSISTENCE "flamenco.persistence/1"

#define FLAMENCO_SESSION_READER 0u
#define FLAMENCO_SESSION_WRITER 1u

typedef struct flamenco_session flamenco_session; /* the plugin's */

/* ---- Rows ------------------------------------------------------------------------------------------------------ */

typedef struct flamenco_job {
    uint32_t struct_size;
    uint32_t status; /* FLAMENCO_JOB_* */
    int64_t key;
    flamenco_uuid uuid;
    int32_t priority;
    uint32_t hidden; /* 1: being stored or being purged; not listed, not counted, not scheduled */
    int64_t tag_key; /* 0 = every worker may run it */
    flamenco_uuid tag_uuid;
    int64_t created_us, updated_us, delete_requested_us;
    int64_t steps_total, steps_completed;
    uint64_t n_tasks;
    uint64_t counts[FLAMENCO_TASK_STATUSES]; /* tasks per status */
    flamenco_str name, type, activity;
    flamenco_str settings, metadata; /* JSON objects */
    flamenco_str shaman_checkout_id; /* empty = none */
    flamenco_str submitter_platform;
} flamenco_job;

typedef struct flamenco_task {
    uint32_t struct_size;
    uint32_t status; /* FLAMENCO_TASK_* */
    int64_t key, job_key;
    flamenco_uuid uuid, job_uuid;
    uint32_t index; /* in its job, from 1 */
    int32_t priority;
    uint32_t open_deps; /* tasks that it depends on and that are not completed */
    uint32_t worker_deleted;
    int64_t worker_key; /* last assigned; 0 = none */
    flamenco_uuid worker_uuid;
    int64_t created_us, updated_us, touched_us;
    int64_t steps_total, steps_completed;
    flamenco_str name, type, activity;
    flamenco_str worker_name, worker_address; /* empty for none and for a deleted worker */
    flamenco_str
        commands; /* JSON array, or "null"; filled by task_get, task_get_key, task_held and task_runnable only */
} flamenco_task;

typedef struct flamenco_worker {
    uint32_t struct_size;
    uint32_t status; /* FLAMENCO_WORKER_* */
    uint32_t requested; /* FLAMENCO_WORKER_*; NONE = nothing requested */
    uint32_t lazy; /* of the request */
    uint32_t can_restart;
    uint32_t last_good_status; /* to go back to after a time-out: the status before it became `error`; NONE = the worker
                                  reported `error` itself */
    int64_t key;
    flamenco_uuid uuid;
    int64_t created_us, updated_us, seen_us, deleted_us; /* updated NONE: never since registration */
    flamenco_str name, address, platform, software;
    flamenco_str task_types; /* joined by commas */
    flamenco_str secret_hash;
} flamenco_worker;

typedef struct flamenco_tag {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t key;
    flamenco_uuid uuid;
    flamenco_str name, description;
} flamenco_tag;

typedef struct flamenco_sleep_schedule {
    uint32_t struct_size;
    uint32_t is_active;
    int64_t worker_key;
    flamenco_uuid worker_uuid; /* given out only */
    int32_t start_minutes, end_minutes; /* since midnight, 0 to 1440; -1 = open-ended */
    int64_t next_check_us;
    flamenco_str days; /* "mo tu"; empty = every day */
} flamenco_sleep_schedule;

typedef struct flamenco_blocklist_entry {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t job_key, worker_key;
    flamenco_uuid worker_uuid;
    flamenco_str worker_name, task_type;
} flamenco_blocklist_entry;

/* What part of a list to give. Zeroed but for struct_size and updated_after_us = FLAMENCO_TIME_NONE: all of it, in order
 * of key. */
typedef struct flamenco_page {
    uint32_t struct_size;
    uint32_t order; /* FLAMENCO_ORDER_*, ties by key */
    uint64_t offset;
    uint64_t limit; /* 0 = all */
    uint64_t status_mask; /* 0 = every status; else bits FLAMENCO_BIT(status) */
    int64_t updated_after_us;
    uint32_t descending;
    uint32_t flags; /* FLAMENCO_PAGE_* */
    int64_t after_key; /* only rows with a greater key, for going on where the last page ended; 0 = all */
} flamenco_page;

/* Descending: jobs with equal values in descending order of key, too. */
#define FLAMENCO_ORDER_KEY 0u
#define FLAMENCO_ORDER_UPDATED 1u
#define FLAMENCO_ORDER_NAME 2u
#define FLAMENCO_ORDER_STATUS 3u
#define FLAMENCO_ORDER_PRIORITY 4u

#define FLAMENCO_PAGE_DELETE_REQUESTED 1u /* jobs: only those marked for deletion, oldest request first */
#define FLAMENCO_PAGE_HIDDEN 2u /* jobs: only hidden ones (remains of a crash) */
#define FLAMENCO_PAGE_WITH_DELETED 4u /* workers: also soft-deleted ones */
#define FLAMENCO_PAGE_WITH_COMMANDS 8u /* tasks: `commands`, too */

/* One of a new job's tasks, for tasks_insert. */
typedef struct flamenco_new_task {
    uint32_t struct_size;
    uint32_t status; /* QUEUED for a submission; any for an import */
    flamenco_uuid uuid; /* version 7 */
    int32_t priority;
    uint32_t open_deps;
    int64_t worker_key;
    int64_t created_us, updated_us, touched_us;
    int64_t steps_total, steps_completed;
    flamenco_str name, type, activity;
    flamenco_str commands;
} flamenco_new_task;

/* Task `task` depends on task `needs`; both are indexes in the job, from 1. */
typedef struct flamenco_dep {
    uint32_t task, needs;
} flamenco_dep;

#define FLAMENCO_TASK_SET_STATUS 1u
#define FLAMENCO_TASK_SET_ACTIVITY 2u
#define FLAMENCO_TASK_SET_STEPS 4u /* steps_completed */
#define FLAMENCO_TASK_SET_WORKER 8u /* worker_key; also sets touched = cx->now_us */
#define FLAMENCO_TASK_SET_TOUCHED 16u /* touched = cx->now_us */

/* A change of one task; only the fields in `set` count. */
typedef struct flamenco_task_update {
    uint32_t struct_size;
    uint32_t set;
    uint32_t status;
    uint32_t reserved;
    int64_t steps_completed;
    int64_t worker_key;
    flamenco_str activity;
} flamenco_task_update;

/* A job's counters after a change, and what the change made runnable: tasks that may now be handed out and could not
 * before (by a new status, or because the last task that they depend on was completed). Counting them may stop at 10 000,
 * here and in every made_runnable_out: it tells how many waiting requests are worth waking. */
typedef struct flamenco_job_counts {
    uint32_t struct_size;
    uint32_t job_status;
    uint64_t n_tasks;
    uint64_t counts[FLAMENCO_TASK_STATUSES];
    int64_t steps_total, steps_completed;
    uint64_t made_runnable;
    flamenco_str runnable_type; /* their task type; empty when there are several. Valid until cx ends */
} flamenco_job_counts;

#define FLAMENCO_WORKER_SET_STATUS 1u
#define FLAMENCO_WORKER_SET_REQUEST 2u /* requested, lazy */
#define FLAMENCO_WORKER_SET_SIGN_ON 4u /* name, address, software, task_types, can_restart */
#define FLAMENCO_WORKER_SET_LAST_GOOD 8u
#define FLAMENCO_WORKER_SET_SEEN 16u /* seen = cx->now_us */

/* A change of one worker: the fields of `row` that `set` names. */
typedef struct flamenco_worker_update {
    uint32_t struct_size;
    uint32_t set;
    const flamenco_worker *row;
} flamenco_worker_update;

/* A kept last-seen or touch time (flamenco_host.touch). */
typedef struct flamenco_touch {
    uint32_t struct_size;
    uint32_t what; /* FLAMENCO_TOUCH_* */
    int64_t key;
    int64_t at_us;
} flamenco_touch;

/* A worker has failed a task. */
typedef struct flamenco_failure {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t task_key, worker_key;
} flamenco_failure;

/* Tasks of one job and type that a worker may run now. */
typedef struct flamenco_runnable_group {
    uint32_t struct_size;
    int32_t job_priority;
    int32_t task_priority; /* of its best task */
    uint32_t reserved;
    int64_t job_key;
    flamenco_str task_type;
} flamenco_runnable_group;

typedef int32_t (*flamenco_visit_job)(void *ctx, const flamenco_job *row);
typedef int32_t (*flamenco_visit_task)(void *ctx, const flamenco_task *row);
typedef int32_t (*flamenco_visit_worker)(void *ctx, const flamenco_worker *row);
typedef int32_t (*flamenco_visit_tag)(void *ctx, const flamenco_tag *row);
typedef int32_t (*flamenco_visit_sleep)(void *ctx, const flamenco_sleep_schedule *row);
typedef int32_t (*flamenco_visit_blocklist)(void *ctx, const flamenco_blocklist_entry *row);
typedef int32_t (*flamenco_visit_group)(void *ctx, const flamenco_runnable_group *row);
typedef int32_t (*flamenco_visit_dep)(void *ctx, const flamenco_dep *row);
typedef int32_t (*flamenco_visit_failure)(void *ctx, const flamenco_failure *row);
typedef int32_t (*flamenco_visit_share)(void *ctx, int64_t share);

/* Phases of maintain(). */
#define FLAMENCO_MAINTAIN_COMMITTED 0u /* a batch was committed */
#define FLAMENCO_MAINTAIN_QUIET 1u /* and no reader is in a transaction */

/* ---- Service --------------------------------------------------------------------------------------------------- */

typedef struct flamenco_persistence {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t capabilities; /* none yet */

    /* -- required -- */

    /* Opens a session of FLAMENCO_SESSION_*. Owned by the caller until close. UNAVAILABLE, BUSY, IO. [any] */
    int32_t (*open)(void *self, uint32_t kind, flamenco_session **out, flamenco_error *err);
    /* Closes it, rolling back what is open. Accepts NULL. Readers are closed before the writer. [any] */
    void (*close)(void *self, flamenco_session *session);
    /* Makes the session's running method end with CANCELLED. Readers only. [any] */
    void (*interrupt)(void *self, flamenco_session *session);
    /* Begins a transaction in `session` and sets cx->txn. [reader] [writer] */
    int32_t (*begin)(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);
    /* Writer only, one level: release keeps and rollback_to undoes what happened since savepoint. [writer] */
    int32_t (*savepoint)(void *self, flamenco_cx *cx, flamenco_error *err);
    int32_t (*release)(void *self, flamenco_cx *cx, flamenco_error *err);
    int32_t (*rollback_to)(void *self, flamenco_cx *cx, flamenco_error *err);
    /* Ends the transaction and clears cx->txn, also on failure. 0 = it survives a power loss, and batch_no (ascending,
     * made by the executor) is stored with it. CONFLICT: another manager has taken over the store. [writer] */
    int32_t (*commit)(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err);
    /* Undoes and ends the transaction, clears cx->txn. Cannot fail; without one it does nothing. [reader] [writer] */
    void (*rollback)(void *self, flamenco_cx *cx);
    /* The batch_no of the last commit that is in the store (0 = none), to learn the fate of a commit whose outcome is
     * unknown. Outside a transaction. [writer] */
    int32_t (*last_batch)(void *self, flamenco_session *session, uint64_t *out, flamenco_error *err);
    /* Tells whether the store wants a moment without readers; then the executor holds back new snapshots, waits until the
     * running ones have ended, and calls maintain(QUIET). Returns 0 or 1. [writer] */
    uint32_t (*wants_quiet)(void *self);
    /* Upkeep between two batches, outside a transaction; short. [writer] */
    int32_t (*maintain)(void *self, flamenco_session *session, uint32_t phase, flamenco_error *err);

    /* -- jobs -- */

    /* NOT_FOUND: no such job, or it is hidden. [reader] [writer] */
    int32_t (*job_get)(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_job *out, flamenco_error *err);
    int32_t (*job_get_key)(void *self, flamenco_cx *cx, int64_t key, flamenco_job *out, flamenco_error *err);
    /* total_out (may be NULL): how many rows match without offset, limit and after_key. [reader] [writer] */
    int32_t (*jobs_list)(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                         uint64_t *total_out, flamenco_error *err);
    /* How many jobs there are per status. [reader] [writer] */
    int32_t (*jobs_count)(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_JOB_STATUSES], flamenco_error *err);
    /* The job's counters; made_runnable is 0. NOT_FOUND. [reader] [writer] */
    int32_t (*job_counts)(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *out, flamenco_error *err);
    /* Change one column. counts_out may be NULL; a status that lets tasks run again tells so in made_runnable. tag_key 0
     * removes the tag. NOT_FOUND: no such job, it is hidden, or no such tag. [writer] */
    int32_t (*job_set_status)(void *self, flamenco_cx *cx, int64_t key, uint32_t status, flamenco_str activity,
                              flamenco_job_counts *counts_out, flamenco_error *err);
    int32_t (*job_set_priority)(void *self, flamenco_cx *cx, int64_t key, int32_t priority, flamenco_error *err);
    int32_t (*job_set_tag)(void *self, flamenco_cx *cx, int64_t key, int64_t tag_key, flamenco_error *err);
    int32_t (*job_set_storage)(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                               flamenco_error *err); /* leaves `updated` alone */
    int32_t (*job_set_delete_requested)(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err); /* = now */
    /* Marks all jobs whose `updated` is at or before the limit, in any status. [writer] */
    int32_t (*jobs_set_delete_requested)(void *self, flamenco_cx *cx, int64_t updated_max_us, uint64_t *changed_out,
                                         flamenco_error *err);

    /* Storing a job: insert it hidden with the number of its tasks, then its tasks in order and in chunks, then the
     * dependencies, then show it. Values are stored as given (an import brings its own status and times); `key`, counts and
     * steps of the job row are the store's. first_index: of rows[0], from 1. stride: bytes from row to row. EXISTS: the
     * UUID is taken, or the pair of tasks is there. NOT_FOUND: no such job. INVALID: the job is not hidden, a task lies
     * outside its number of tasks, or job_show comes before all of them are stored. [writer] */
    int32_t (*job_insert_hidden)(void *self, flamenco_cx *cx, const flamenco_job *job, uint64_t n_tasks,
                                 int64_t *key_out, flamenco_error *err);
    int32_t (*tasks_insert)(void *self, flamenco_cx *cx, int64_t job_key, uint32_t first_index,
                            const flamenco_new_task *rows, uint64_t stride, uint64_t n, flamenco_error *err);
    int32_t (*deps_insert)(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_dep *pairs, uint64_t n,
                           flamenco_error *err);
    int32_t (*job_show)(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *counts_out, flamenco_error *err);
    /* Hides a job for good; then purge until *left_out is 0, at most `limit` tasks and `limit` dependencies a call (0 = all);
     * the last call removes the job itself with its blocklist, failures and last-rendered record. *left_out is 0, too, for a job that is gone already.
     * NOT_FOUND (job_hide): no such job, or it is hidden already. [writer] */
    int32_t (*job_hide)(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err);
    int32_t (*job_purge)(void *self, flamenco_cx *cx, int64_t key, uint64_t limit, uint64_t *left_out,
                         flamenco_error *err);

    /* -- tasks -- */

    /* Give `commands`, too. NOT_FOUND: no such task, or its job is hidden. [reader] [writer] */
    int32_t (*task_get)(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out,
                        flamenco_error *err);
    int32_t (*task_get_key)(void *self, flamenco_cx *cx, int64_t key, flamenco_task *out, flamenco_error *err);
    /* As task_get without `commands`: for updates. */
    int32_t (*task_find)(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out,
                         flamenco_error *err);
    /* The tasks of a job, in order of index unless the page says otherwise. [reader] [writer] */
    int32_t (*tasks_list)(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_page *page,
                          flamenco_visit_task visit, void *ctx, uint64_t *total_out, flamenco_error *err);
    /* Tasks last assigned to a worker whose status is in the mask (ACTIVE and FAILED are answered from an index);
     * job_key 0 = of any job. Without those of hidden jobs. [reader] [writer] */
    int32_t (*tasks_of_worker)(void *self, flamenco_cx *cx, int64_t worker_key, uint64_t status_mask, int64_t job_key,
                               flamenco_visit_task visit, void *ctx, flamenco_error *err);
    /* What fetchWorker shows: the active task in an active job, else the one most recently assigned. NOT_FOUND: never had
     * one, or its job is gone. [reader] [writer] */
    int32_t (*task_shown_for_worker)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out,
                                     flamenco_error *err);
    /* Active tasks touched at or before the limit; never-touched ones do not count. [reader] [writer] */
    int32_t (*tasks_timed_out)(void *self, flamenco_cx *cx, int64_t touched_max_us, flamenco_visit_task visit,
                               void *ctx, flamenco_error *err);
    /* The tasks that a task depends on. [reader] [writer] */
    int32_t (*task_needs)(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_task visit, void *ctx,
                          flamenco_error *err);
    /* All dependencies of a job. [reader] [writer] */
    int32_t (*deps_list)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_dep visit, void *ctx,
                         flamenco_error *err);
    /* Changes a task and everything that follows from it in the same step: the job's counters and steps, the open
     * dependencies of the tasks that wait for it, and what is runnable. Steps follow the status: COMPLETED sets them to
     * the total, QUEUED to 0, unless SET_STEPS is given, too (state-and-scheduling 2). The job's `updated` changes only
     * when its steps do. counts_out may be NULL. NOT_FOUND: no such task, or no such worker. [writer] */
    int32_t (*task_update)(void *self, flamenco_cx *cx, int64_t key, const flamenco_task_update *update,
                           flamenco_job_counts *counts_out, flamenco_error *err);
    /* Moves tasks of a job whose status is in from_mask to `to`, in order of index, beginning behind index *cursor (0 at
     * first), looking at no more than `limit` tasks; moves *cursor on, and sets *done_out to 1 when the end was reached.
     * Steps and open dependencies follow as in task_update. [writer] */
    int32_t (*tasks_bulk_status)(void *self, flamenco_cx *cx, int64_t job_key, uint64_t from_mask, uint32_t to,
                                 flamenco_str activity, uint64_t limit, uint32_t *cursor, uint32_t *done_out,
                                 flamenco_job_counts *counts_out, flamenco_error *err);

    /* -- scheduling (state-and-scheduling 6) -- */

    /* The active task that the worker holds in an active or queued job that is not marked for deletion. Gives `commands`,
     * too. NOT_FOUND. [reader] [writer] */
    int32_t (*task_held)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out, flamenco_error *err);
    /* The groups with work for this worker, best first: job priority, then task priority of the best task, both descending,
     * then creation of that task. A worker that failed the best task gets a lower one of the group, so a caller that wants
     * the best of all goes on while the next group could still beat what it has.
     * Seen to: job status active or queued and not marked for deletion, task status queued or soft-failed, no open
     * dependency, the worker's task types, tag, blocklist. Its failed tasks are not looked at here. [reader] [writer] */
    int32_t (*runnable_groups)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_group visit, void *ctx,
                               flamenco_error *err);
    /* The best task of a group that this worker has not failed: priority descending, then index. Gives `commands`, too.
     * NOT_FOUND: none. [reader] [writer] */
    int32_t (*task_runnable)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t worker_key,
                             flamenco_task *out, flamenco_error *err);

    /* -- workers -- */

    /* Stores the row as given, but for `key`. EXISTS: the UUID is taken. [writer] */
    int32_t (*worker_insert)(void *self, flamenco_cx *cx, const flamenco_worker *row, int64_t *key_out,
                             flamenco_error *err);
    /* NOT_FOUND: no such worker, or it is soft-deleted. [reader] [writer] */
    int32_t (*worker_get)(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_worker *out,
                          flamenco_error *err);
    /* Finds soft-deleted ones, too. */
    int32_t (*worker_get_key)(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err);
    int32_t (*workers_list)(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_worker visit,
                            void *ctx, uint64_t *total_out, flamenco_error *err);
    /* How many workers that are not deleted there are per status. [reader] [writer] */
    int32_t (*workers_count)(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_WORKER_STATUSES],
                             flamenco_error *err);
    /* NOT_FOUND. [writer] */
    int32_t (*worker_update)(void *self, flamenco_cx *cx, int64_t key, const flamenco_worker_update *update,
                             flamenco_error *err);
    /* Soft-deletes: deleted = now, `updated` stays. NOT_FOUND: already. [writer] */
    int32_t (*worker_delete)(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err);
    /* Workers seen at or before the limit that are not deleted, `error` or `offline`. [reader] [writer] */
    int32_t (*workers_timed_out)(void *self, flamenco_cx *cx, int64_t seen_max_us, flamenco_visit_worker visit,
                                 void *ctx, flamenco_error *err);
    /* How many workers could still run tasks of this type in this job: not deleted, has the type and the job's tag, not
     * blocked for them, has not failed `task_key` (0 = do not look); offline and error ones only if seen at or after
     * seen_since_us (decisions: fail thresholds). NOT_FOUND: no such job. [reader] [writer] */
    int32_t (*workers_capable)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t task_key,
                               int64_t seen_since_us, uint64_t *out, flamenco_error *err);
    /* Stores many kept times; a row that is gone is passed over. Sets `updated` to at_us where that is later. [writer] */
    int32_t (*touches)(void *self, flamenco_cx *cx, const flamenco_touch *rows, uint64_t stride, uint64_t n,
                       flamenco_error *err);

    /* -- tags -- */

    /* EXISTS: UUID or name is taken; also from tag_update, which finds the tag by key and leaves the UUID. NOT_FOUND, also from
     * tag_update and tag_delete. [writer] */
    int32_t (*tag_insert)(void *self, flamenco_cx *cx, const flamenco_tag *row, int64_t *key_out, flamenco_error *err);
    int32_t (*tag_get)(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out, flamenco_error *err);
    int32_t (*tag_get_name)(void *self, flamenco_cx *cx, flamenco_str name, flamenco_tag *out, flamenco_error *err);
    int32_t (*tags_list)(void *self, flamenco_cx *cx, flamenco_visit_tag visit, void *ctx, flamenco_error *err);
    int32_t (*tag_update)(void *self, flamenco_cx *cx, const flamenco_tag *row, flamenco_error *err);
    /* Also drops memberships; jobs limited to the tag lose the limit. counts the tasks that it made runnable. [writer] */
    int32_t (*tag_delete)(void *self, flamenco_cx *cx, int64_t key, uint64_t *made_runnable_out, flamenco_error *err);
    int32_t (*worker_tags)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_tag visit, void *ctx,
                           flamenco_error *err);
    /* Replaces the memberships. NOT_FOUND: no such worker or tag. [writer] */
    int32_t (*worker_set_tags)(void *self, flamenco_cx *cx, int64_t worker_key, const int64_t *tag_keys, uint64_t n,
                               flamenco_error *err);

    /* -- sleep schedules -- */

    /* NOT_FOUND: the worker has no schedule; sleep_set: there is no such worker. [reader] [writer], the setters [writer] */
    int32_t (*sleep_get)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_sleep_schedule *out,
                         flamenco_error *err);
    int32_t (*sleep_set)(void *self, flamenco_cx *cx, const flamenco_sleep_schedule *row, flamenco_error *err);
    int32_t (*sleep_set_next)(void *self, flamenco_cx *cx, int64_t worker_key, int64_t next_check_us,
                              flamenco_error *err);
    /* Active schedules whose next check is none, or at or before `now_us`. [reader] [writer] */
    int32_t (*sleep_due)(void *self, flamenco_cx *cx, int64_t now_us, flamenco_visit_sleep visit, void *ctx,
                         flamenco_error *err);
    int32_t (*sleep_list)(void *self, flamenco_cx *cx, flamenco_visit_sleep visit, void *ctx, flamenco_error *err);

    /* -- blocklist and failure list (state-and-scheduling 8) -- */

    /* An entry that exists is a success. NOT_FOUND: no such job or worker. [writer] */
    int32_t (*blocklist_add)(void *self, flamenco_cx *cx, int64_t job_key, int64_t worker_key, flamenco_str task_type,
                             flamenco_error *err);
    /* An entry that does not exist is a success; made_runnable_out: tasks that the worker may now run. [writer] */
    int32_t (*blocklist_remove)(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_uuid *worker,
                                flamenco_str task_type, uint64_t *made_runnable_out, flamenco_error *err);
    int32_t (*blocklist_clear)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
    /* By worker name, byte order. [reader] [writer] */
    int32_t (*blocklist_list)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_blocklist visit, void *ctx,
                              flamenco_error *err);
    /* n_task_out: workers that failed this task; n_worker_out: tasks of this job and of the task's type that this worker
     * failed; both with this failure. NOT_FOUND: no such task or worker. [writer] */
    int32_t (*failure_add)(void *self, flamenco_cx *cx, int64_t task_key, int64_t worker_key, uint64_t *n_task_out,
                           uint64_t *n_worker_out, flamenco_error *err);
    /* The workers that failed a task, by key, soft-deleted ones too. [reader] [writer] */
    int32_t (*failures_list)(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_worker visit, void *ctx,
                             flamenco_error *err);
    int32_t (*failures_clear_task)(void *self, flamenco_cx *cx, int64_t task_key, flamenco_error *err);
    int32_t (*failures_clear_job)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);

    /* -- last rendered -- */

    int32_t (*last_rendered_set)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
    int32_t (*last_rendered_get)(void *self, flamenco_cx *cx, flamenco_job *out,
                                 flamenco_error *err); /* NOT_FOUND: none */

    /* -- optional -- */

    /* Checks the store: structure, foreign keys, and that every counter, open dependency and runnable group equals a
     * recount. CORRUPT with the first finding. Has transactions of its own, so cx has none; long. [reader] */
    int32_t (*check)(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);
    /* Copies the store to a new file, or whatever `path` means to the back end. EXISTS: it is there. Long: a writer's session
     * changes nothing meanwhile, a reader's holds up nobody. cx has no transaction. [reader] [writer] */
    int32_t (*backup)(void *self, flamenco_session *session, flamenco_str path, flamenco_cx *cx, flamenco_error *err);

    /* -- optional: what else a store must tell, and be told, to be copied into another one (`copy-data`) -- */

    /* Who has failed which task of a job, in order of task and worker. [reader] [writer] */
    int32_t (*failures_of_job)(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_failure visit, void *ctx,
                               flamenco_error *err);
    /* The task most recently assigned to a worker, soft-deleted ones too; 0 = none. The task may be gone. NOT_FOUND: no such
     * worker. [reader] [writer] */
    int32_t (*worker_last_task)(void *self, flamenco_cx *cx, int64_t worker_key, int64_t *task_key_out,
                                flamenco_error *err);
    /* Sets it, and leaves `updated` alone. NOT_FOUND: no such worker. [writer] */
    int32_t (*worker_set_last_task)(void *self, flamenco_cx *cx, int64_t worker_key, int64_t task_key,
                                    flamenco_error *err);

    /* -- shares (optional; all of them or none) -- */

    /* For a scheduler that divides the jobs: each job may have the number of a share, which means nothing to the store but that
     * groups are found by it. A new job has share 0, "none". Their cost does not grow with the jobs of other shares. */

    /* Puts a job into a share. `updated` stays. NOT_FOUND: no such job, or it is hidden. [writer] */
    int32_t (*job_set_share)(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err);
    /* The shares that have groups with work for this worker, ascending, each once; 0 among them when jobs without a share
     * have. Takes time in proportion to the number of shares. [reader] [writer] */
    int32_t (*runnable_shares)(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_share visit, void *ctx,
                               flamenco_error *err);
    /* As runnable_groups, those of one share. [reader] [writer] */
    int32_t (*runnable_groups_of_share)(void *self, flamenco_cx *cx, int64_t worker_key, int64_t share,
                                        flamenco_visit_group visit, void *ctx, flamenco_error *err);

    /* -- optional -- */

    /* As savepoint(), for a step that will hardly have to be undone: the store need not prepare for it. When it has not,
     * rollback_to() gives UNAVAILABLE if anything was changed since, and only rollback() is allowed; the executor then runs
     * the steps of the batch again, each alone and in a savepoint. [writer] */
    int32_t (*savepoint_unlikely)(void *self, flamenco_cx *cx, flamenco_error *err);
} flamenco_persistence;

#ifdef __cplusplus
}
#endif

#endif
