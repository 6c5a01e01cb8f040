/* SPDX-License-Identifier: Apache-2.0
 *
 * scheduler.h - what the schedulers have in common: the search among groups of tasks, the assignment, and why something waits.
 * A scheduler's own struct begins with fl_scheduler. The service itself is flamenco/task_scheduler.h.
 */
#ifndef FL_SCHEDULER_H
#define FL_SCHEDULER_H

#include "flamenco/calls/persistence.h"
#include "flamenco/task_scheduler.h"

typedef struct fl_scheduler {
    const flamenco_host *host;
    flamenco_persistence_ref persist;
} fl_scheduler;

/* ---- search.c: what every scheduler does alike. [writer] ---- */

/* The search for the best of the tasks that a worker may have: job priority, then task priority, then age. */
typedef struct fl_search {
    fl_scheduler *scheduler;
    flamenco_cx *cx;
    const flamenco_worker *worker;
    flamenco_task best; /* key 0 = none yet */
    int32_t best_job_priority;
    int32_t rc;
    flamenco_error *err;
} fl_search;

/* Looks at a group: a flamenco_visit_group whose ctx is the search. Groups come best first; it ends the list when no further
 * one can win. */
int32_t fl_search_look_at(void *ctx, const flamenco_runnable_group *group);
/* Finds the task that the worker holds, with its commands. NOT_FOUND. */
int32_t fl_search_held(fl_scheduler *scheduler, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                       flamenco_error *err);
/* Assigns the task to the worker and gives it out as it is now. */
int32_t fl_search_assign(fl_scheduler *scheduler, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *task,
                         flamenco_task *out, flamenco_error *err);
/* Finds the services; the start of every scheduler. [main] */
int32_t fl_scheduler_connect(fl_scheduler *scheduler, flamenco_error *err);

/* explain.c. [reader] */
int32_t fl_scheduler_explain(void *self, flamenco_cx *cx, uint32_t what, const flamenco_uuid *uuid,
                             flamenco_visit_reason visit, void *ctx, flamenco_error *err);

/* One run of explain. */
typedef struct fl_explain {
    fl_scheduler *scheduler;
    flamenco_cx *cx;
    flamenco_visit_reason visit;
    void *ctx;
    uint32_t ended; /* the visitor wants no more */
    uint32_t told; /* how many reasons were given */
    flamenco_error *err;
} fl_explain;

/* Gives one reason to the visitor. NOMEM. */
__attribute__((format(printf, 4, 5))) int32_t fl_explain_tell(fl_explain *e, const char *code, uint64_t count,
                                                              const char *fmt, ...);
/* The error for exhausted memory. */
int32_t fl_explain_nomem(fl_explain *e);
/* Copies a text into the arena of cx; ptr NULL when memory is exhausted. */
flamenco_str fl_explain_copy(fl_explain *e, flamenco_str text);
/* Tells whether `type` is one of the task types joined by commas. */
int fl_explain_has_type(flamenco_str types, flamenco_str type);

/* explain_workers.c: tells why no worker takes n_tasks tasks of this type in this job. task_key 0 = not one certain task. */
int32_t fl_explain_workers(fl_explain *e, const flamenco_job *job, flamenco_str type, uint64_t n_tasks,
                           int64_t task_key);
/* Tells whether the job's tag lets the worker run it. */
int32_t fl_explain_tag_fits(fl_explain *e, int64_t worker_key, int64_t tag_key, int *out);

#endif
