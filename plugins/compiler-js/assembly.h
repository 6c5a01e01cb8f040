/* SPDX-License-Identifier: Apache-2.0
 *
 * assembly.h - takes a compiled job from a helper's frames, checks every part of it, and passes it to the caller's sink in
 * batches. Called by talk.c.
 */
#ifndef FL_ASSEMBLY_H
#define FL_ASSEMBLY_H

#include "flamenco/job_compiler.h"

#include "wire.h"

#define FL_ASSEMBLY_ROWS 256

typedef struct fl_assembly {
    const flamenco_host *host;
    const flamenco_compile_sink *sink;
    uint64_t tasks_max;
    /* What the job's frame announced, and what has come. */
    int has_job;
    uint64_t n_tasks, n_deps, tasks, deps;
    int64_t steps_total, steps;
    /* The open batch. Its texts lie in the receive buffer, its dependencies in `all`. */
    flamenco_compiled_task rows[FL_ASSEMBLY_ROWS];
    size_t offsets[FL_ASSEMBLY_ROWS];
    size_t n_rows;
    uint32_t *all; /* every dependency, in order of tasks */
    size_t all_cap;
    uint64_t *first; /* where a task's dependencies begin in `all`; n_tasks + 1 */
    uint32_t *marked; /* per task: 1 + the last task that depends on it */
    int forward; /* some task depends on a later one, so there may be circles */
} fl_assembly;

/* The payload of a JOB or TASK frame; it must stay where it is until the next flush. INVALID: the script made what cannot be
 * stored, with a text for the artist. INTERNAL: a helper may not send that. NOMEM; else what the sink said. */
int32_t fl_assembly_job(fl_assembly *assembly, fl_wire_in *in, flamenco_error *err);
int32_t fl_assembly_task(fl_assembly *assembly, fl_wire_in *in, flamenco_error *err);
/* Passes the open batch on. */
int32_t fl_assembly_flush(fl_assembly *assembly, flamenco_error *err);
/* The end frame came. INTERNAL: something is missing. INVALID: the dependencies go in a circle. */
int32_t fl_assembly_finish(fl_assembly *assembly, flamenco_error *err);
void fl_assembly_free(fl_assembly *assembly);

#endif
