/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h - the contract's rules of states and scheduling (state-and-scheduling 2 to 10, as decisions.md amends them), on
 * plain arrays. It knows nothing of databases, threads or failures: one operation after the other, each as a whole. What it
 * says must come out of the real thing, whatever happens in between. Called by history.c.
 *
 * A long change of a job (more tasks than `single_limit`) is done in the steps that architecture 2 describes, one at a time
 * with other operations in between, so the model does it in the same steps.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "flamenco/status.h"

#define M_JOBS 96
#define M_TASKS 8000
#define M_DEPS 16000
#define M_WORKERS 16
#define M_TYPES 4
#define M_TAGS 4 /* 1 to 3; 0 = none */
#define M_PARKED 32
#define M_EVENTS 512
#define M_REPLIES 64
#define M_STATES 96
#define M_NONE UINT32_MAX

/* ---- What never changes ---- */

typedef struct m_settings {
    uint64_t block_at, fail_at; /* thresholds */
    uint32_t bulk_step, single_limit;
    int64_t hold_us, task_timeout_us, worker_timeout_us;
} m_settings;

/* A job's tasks as they were compiled. */
typedef struct m_shape_task {
    uint32_t type;
    int32_t priority;
    int64_t steps;
    uint32_t first_dep, n_deps; /* in world.deps: places in the job, from 0 */
} m_shape_task;

typedef struct m_shape {
    uint32_t first, n; /* in world.tasks, which is numbered like model.tasks */
    uint32_t n_deps;
} m_shape;

typedef struct m_world {
    m_settings settings;
    m_shape shapes[M_JOBS]; /* by job */
    m_shape_task tasks[M_TASKS];
    uint32_t deps[M_DEPS];
    uint32_t n_tasks, n_deps;
} m_world;

extern const char *const m_type_names[M_TYPES];

/* ---- What changes ---- */

typedef struct m_task {
    uint8_t status, type;
    int8_t worker; /* -1 = none */
    int32_t priority;
    int64_t done;
    uint32_t failed_by; /* bits of workers */
    int64_t touched_us;
} m_task;

typedef struct m_job {
    uint8_t exists, deleted, marked;
    uint8_t all_tasks; /* requeueing: completed tasks, too */
    uint8_t canceling; /* failed: the open tasks are still being canceled */
    uint8_t chained; /* steps of its long change are queued by the state machine */
    uint32_t status, tag;
    int32_t priority;
    uint32_t first, n;
    uint32_t cursor; /* of the long change under way */
    uint32_t blocked[M_TYPES]; /* bits of workers */
} m_job;

typedef struct m_worker {
    uint8_t exists, deleted, lazy, can_restart;
    uint32_t status, requested, last_good;
    uint32_t types, tags; /* bits */
    int64_t seen_us;
} m_worker;

typedef struct m_parked {
    uint32_t client; /* whose request it is: the caller's number */
    uint32_t worker;
    uint32_t wants_task; /* 0: only news of its worker */
    int64_t until_us;
} m_parked;

typedef struct model {
    int64_t now_us;
    int64_t next_timeouts_us;
    uint32_t n_jobs, n_workers, n_tasks, n_parked;
    uint32_t tags; /* bits of those that exist */
    m_job jobs[M_JOBS];
    m_worker workers[M_WORKERS];
    m_parked parked[M_PARKED]; /* in the order of their first parking */
    m_task tasks[M_TASKS]; /* last: a copy leaves out the unused ones */
} model;

void model_copy(model *to, const model *from);

/* ---- Operations ---- */

typedef enum op_kind {
    /* what Workers call */
    OP_REGISTER,
    OP_SIGN_ON,
    OP_SIGN_OFF,
    OP_STATE,
    OP_STATE_CHANGED,
    OP_SCHEDULE,
    OP_UPDATE,
    OP_MAY_RUN,
    /* what people call */
    OP_SUBMIT,
    OP_JOB_STATUS,
    OP_JOB_PRIORITY,
    OP_TASK_STATUS,
    OP_REQUEST_STATUS,
    OP_DELETE_WORKER,
    OP_WORKER_TAGS,
    OP_TAG_CREATE,
    OP_TAG_DELETE,
    OP_JOB_TAG,
    OP_UNBLOCK,
    OP_JOB_MARK,
    OP_JOB_DELETE,
    /* what time brings */
    OP_EXPIRE, /* parked requests whose time is over */
    OP_TIMEOUTS,
    OP_KINDS
} op_kind;

typedef struct op {
    op_kind kind;
    uint32_t client; /* the caller's number of the request */
    uint32_t worker, job, task; /* task: place in model.tasks; M_NONE = one that does not exist */
    uint32_t to; /* status; UNBLOCK: task type; tag operations: the tag; WORKER_TAGS: bits of tags */
    uint32_t tag; /* SUBMIT: the job's */
    int32_t priority; /* SUBMIT, JOB_PRIORITY */
    uint32_t types, can_restart, lazy;
    uint32_t has_steps, has_status;
    int64_t steps;
    uint32_t log; /* number of a log line that it brings; 0 = none */
} op;

/* ---- What is seen from outside ---- */

typedef enum m_event_kind { EV_JOB = 2, EV_TASK = 3, EV_WORKER = 6 } m_event_kind;

typedef struct m_event {
    m_event_kind kind;
    uint32_t job, task, worker; /* M_NONE = not said */
    uint32_t status, previous; /* previous M_NONE = not said */
    uint32_t flag; /* JOB: refresh_tasks 1, was_deleted 2; WORKER: requested status + 8 if lazy, deleted 16 */
    int64_t done, total; /* JOB, TASK: steps */
} m_event;

typedef struct m_reply {
    uint32_t client;
    uint32_t status;
    uint32_t word; /* worker status in a reply; may-run: keep 1, status change 2 */
    uint32_t task; /* the one that was handed out */
    uint32_t state; /* how many of the states below had to be safe before it was sent */
} m_reply;

/* What a run of operations leads to. */
typedef struct m_outcome {
    m_event events[M_EVENTS];
    uint32_t n_events;
    m_reply replies[M_REPLIES];
    uint32_t n_replies;
    /* The state after each step, the first one being that before all of them. */
    model *states[M_STATES];
    uint32_t n_states;
    uint32_t overflow; /* something did not fit: the history is wrong, not the program */
} m_outcome;

/* Runs operations one after the other, then all that follows from them; m holds the end. out->states are made with malloc. */
void model_run(model *m, const m_world *world, const op *ops, uint32_t n, m_outcome *out);
void model_outcome_fini(m_outcome *out);

/* What a restart makes of a state: requests are gone, changes that broke off are finished. */
void model_restart(model *m, const m_world *world);

/* The task that a worker would get now; M_NONE = none. */
uint32_t model_pick(const model *m, const m_world *world, uint32_t worker);
uint32_t model_count(const model *m, const m_job *j, uint64_t mask);
int model_is_open(const model *m, const m_world *world, uint32_t job, uint32_t task, uint32_t *open_deps);

#endif
