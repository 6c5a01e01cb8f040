/* SPDX-License-Identifier: Apache-2.0
 * The soak test's books: what the manager acknowledged, who holds which task, what was disturbed when, and from that
 * what has to be true of a job in the end. */
#ifndef FARM_SIM_BOOK_H
#define FARM_SIM_BOOK_H

#include "farm.h"
#include "job.h"

typedef struct fl_book_task {
    char id[37];
    struct fl_book_job *job;
    struct fl_worker *holder; /* the simulated worker that runs it */
    bool acked; /* its completion was acknowledged, and nothing since then may have reopened it */
    const struct fl_worker *acked_to; /* to whom, and when */
    int64_t acked_us;
    bool disturbed; /* since the holder got it: the manager may have given it to another one */
    bool had_ops; /* ever: status changes of this task alone */
    bool completed_once; /* a worker reported so, answered or not */
    int last_report; /* the last fl_update_kind of active, completed and failed; -1 = none */
    bool listed; /* by the manager, in the final check */
    unsigned ops; /* status changes of this task under way */
    int64_t op_end_us;
} fl_book_task;

typedef struct fl_book_job {
    char id[37], status[24]; /* as last seen */
    uint32_t tasks_wanted; /* as submitted; 0 = the submission's reply was lost */
    fl_book_task **tasks;
    size_t tasks_len, tasks_room;
    unsigned ops, requeue_ops; /* under way */
    unsigned requeues;
    bool had_ops; /* ever */
    bool rerun; /* a worker began one of its tasks again that had been completed */
    int64_t op_end_us, requeue_end_us; /* of the last one */
    int64_t quiet_since_us; /* since when it looks the same; 0 = it did not at the last look */
    uint32_t holders;
} fl_book_job;

typedef struct fl_book {
    json_t *task_index, *job_index; /* id → address */
    fl_book_job **jobs; /* not retired */
    size_t jobs_len, jobs_room;
    uint64_t completions_acked, failures_acked, reassigned;
    uint64_t jobs_verified, jobs_completed, jobs_failed, jobs_canceled, tasks_verified, acked_verified;
    uint64_t violations;
    bool silent; /* violations are only counted */
} fl_book;

bool fl_book_init(fl_book *book);
void fl_book_fini(fl_book *book);

/* One line on stderr (the first 50), and the run will have failed. */
void fl_book_violation(fl_book *book, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Both are made at first sight: a task may be assigned before the reply to the submission is here. */
fl_book_job *fl_book_job_of(fl_book *book, const char *id);
fl_book_task *fl_book_task_of(fl_book *book, const char *id, const char *job_id);
/* NULL for an unknown one. */
fl_book_task *fl_book_find_task(const fl_book *book, const char *id);

/* Returns the task, now held by w. */
fl_book_task *fl_book_assigned(fl_book *book, struct fl_worker *w, const char *task_id, const char *job_id);
void fl_book_put_down(fl_book_task *task);
/* An update was answered; status 0 = it was not. */
void fl_book_updated(fl_book *book, const struct fl_worker *w, const struct fl_update *u, int status);

/* Around each status change of a job (task NULL) or of one task. answered false = perhaps the manager does it yet. */
void fl_book_op_begin(fl_book_job *job, fl_book_task *task, bool requeue);
void fl_book_op_end(fl_book_job *job, fl_book_task *task, bool requeue, bool answered);

/* Tasks of a listing that an idle worker should get: queued, and what they depend on is completed. Knows the
 * dependencies of the two built-in job types. */
size_t fl_book_count_runnable(const json_t *tasks);
/* Checks a job that is final, with nobody at work on it, and forgets it. Both are replies of the manager. */
void fl_book_verify(fl_book *book, fl_book_job *job, const json_t *job_reply, const json_t *tasks);
/* Forgets a job without a check. */
void fl_book_retire(fl_book *book, fl_book_job *job);

#endif
