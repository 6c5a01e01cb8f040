/* SPDX-License-Identifier: Apache-2.0
 *
 * job_rows.h - the tasks of a job that is being submitted, kept small until they are stored. Called by job_submit.c.
 *
 * The commands of one task mostly differ from those of the task before it by a frame number: only what differs is kept.
 */
#ifndef FL_JOB_ROWS_H
#define FL_JOB_ROWS_H

#include "core/base/arena.h"
#include "flamenco/job_compiler.h"
#include "flamenco/persistence.h"

/* Rows are given back from a multiple of this on. */
#define FL_JOB_ROWS_BLOCK 500u

typedef struct fl_job_row fl_job_row;

/* All zero before fl_job_rows_init(). Everything in it lives in the arena. */
typedef struct fl_job_rows {
    fl_arena *arena;
    fl_job_row *rows;
    uint64_t n, most;
    char *last; /* the commands of the last task */
    size_t last_cap;
    flamenco_new_task *out; /* what get() has given */
    uint64_t out_cap;
    char *texts; /* and its commands */
    size_t texts_cap;
} fl_job_rows;

/* Makes room for `most` tasks. Returns 0 or FLAMENCO_E_NOMEM. */
int32_t fl_job_rows_init(fl_job_rows *rows, fl_arena *arena, uint64_t most);

/* Adds a copy of a task that shall have this UUID; at most `most` are added. Returns 0 or FLAMENCO_E_NOMEM. */
int32_t fl_job_rows_add(fl_job_rows *rows, const flamenco_compiled_task *task, const flamenco_uuid *uuid);

/* n tasks, at least one, from index `first` on, a multiple of FL_JOB_ROWS_BLOCK, as queued tasks made at now_us; NULL without memory. Valid
 * until the next call. */
const flamenco_new_task *fl_job_rows_get(fl_job_rows *rows, uint64_t first, uint64_t n, int64_t now_us);

#endif
