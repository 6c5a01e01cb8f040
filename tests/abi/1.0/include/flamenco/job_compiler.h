/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/job_compiler.h - the service "flamenco.job_compiler/1": knows the job types and turns a submitted job into tasks.
 * Called by the handlers of job types, check and submit. It stores nothing and sends nothing: compiling is free of effects,
 * so a check is a compilation whose result is thrown away.
 *
 * TRUST. What a job type's script produced is checked before it is given out: texts are valid UTF-8, JSON is one valid
 * value in the encoding of the API (`<`, `>`, `&` escaped), dependencies name tasks of the same job, none twice, without
 * cycles, UUIDs are UUIDs. A caller may store and splice it as it is.
 *
 * TIME. Methods block for as long as scripts run, and while all engines are busy, until cx->deadline_us or until cx is
 * cancelled. Job types are read anew when their scripts change; nobody has to be told.
 *
 * Contract: job-compiler, decisions.
 */
#ifndef FLAMENCO_JOB_COMPILER_H
#define FLAMENCO_JOB_COMPILER_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_JOB_COMPILER "flamenco.job_compiler/1"

/* ---- Job types ------------------------------------------------------------------------------------------------- */

/* A job type that can be used. */
typedef struct flamenco_job_type {
    uint32_t struct_size;
    uint32_t reserved;
    flamenco_str name; /* "simple-blender-render" */
    flamenco_str etag; /* 40 lower-case hex digits; equal for equal descriptions (job-compiler 8) */
    flamenco_str json; /* AvailableJobType, etag included: the reply of fetchJobType as it is */
} flamenco_job_type;

/* Takes one job type, borrowed until it returns. 0 goes on, any other value ends the list early, which is a success. */
typedef int32_t (*flamenco_visit_job_type)(void *ctx, const flamenco_job_type *type);

/* ---- Compiling ------------------------------------------------------------------------------------------------- */

/* A submitted job, after the replacement of two-way variables (job-compiler 10, steps 1 and 2). Zeroed members count as
 * absent. The platform of the submitter is not here: scripts never see it. */
typedef struct flamenco_compile_request {
    uint32_t struct_size;
    int32_t priority;
    flamenco_uuid uuid; /* of the job; none = the compiler makes one (version 4) */
    int64_t created_us; /* job.created; 0 or FLAMENCO_TIME_NONE = cx->now_us */
    flamenco_str type; /* exact, case-sensitive */
    flamenco_str etag; /* the description that the client has seen; empty = not compared */
    flamenco_str name;
    flamenco_str settings; /* a JSON object; empty = {} */
    flamenco_str metadata; /* a JSON object of texts; empty = {} */
    flamenco_str worker_tag; /* the tag's UUID as text, unchecked; empty = none */
    flamenco_str shaman_checkout_id;
} flamenco_compile_request;

/* A compiled job as the script left it. */
typedef struct flamenco_compiled_job {
    uint32_t struct_size;
    int32_t priority;
    flamenco_uuid uuid; /* the request's, unless the script set another one */
    flamenco_str name, type;
    flamenco_str settings, metadata; /* JSON objects */
    flamenco_str worker_tag; /* as in the request, unless the script set it: the caller looks it up */
    flamenco_str shaman_checkout_id;
    uint64_t n_tasks;
    uint64_t n_deps; /* in all tasks together */
    int64_t steps_total; /* of all tasks */
} flamenco_compiled_job;

/* A task of a compiled job. Tasks come in the order of their indexes, which begin with 0 here. */
typedef struct flamenco_compiled_task {
    uint32_t struct_size;
    int32_t priority;
    flamenco_uuid uuid; /* what the script saw or set as task.uUID; none = it never looked, make any */
    flamenco_str name, type;
    flamenco_str commands; /* a JSON array of {"name", "parameters", "total_step_count"}; "null" when there are none */
    int64_t steps_total; /* sum of max(1, total_step_count) */
    const uint32_t *deps; /* indexes of the tasks that it depends on, in the script's order; also of later tasks */
    uint64_t n_deps;
} flamenco_compiled_task;

/* Why a script failed. All texts are for people; empty and 0 = unknown. */
typedef struct flamenco_script_problem {
    uint32_t struct_size;
    uint32_t line, column; /* from 1 */
    uint32_t reserved;
    flamenco_str script; /* "my_type.js", or "lib/util.js" for a module */
    flamenco_str message; /* "Error: no tiles"; at most 8 KiB */
} flamenco_script_problem;

/* Takes what a compilation gives, on the thread that called compile(). Everything is borrowed until the callback returns.
 * What came in counts only when compile() returned 0. A callback other than problem and log may return FLAMENCO_E_*, which
 * ends the compilation with that code. */
typedef struct flamenco_compile_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx;
    /* The job, before its first task. Called once. */
    int32_t (*job)(void *ctx, const flamenco_compiled_job *job);
    /* The next `n` (1 or more) tasks; `stride` is the distance between two of them in bytes: the callee reads at most
     * min(stride, its own size) of each. Not called for a job without tasks. */
    int32_t (*tasks)(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n);
    /* A line that the script wrote: print() at FLAMENCO_LOG_INFO, alert() at FLAMENCO_LOG_WARN. May come at any time.
     * Optional: without it the compiler writes the lines to the manager's log. */
    void (*log)(void *ctx, uint32_t level, flamenco_str text);
    /* The whole text of what compile() then returns as INVALID because of a script. Optional. */
    void (*problem)(void *ctx, const flamenco_script_problem *problem);
} flamenco_compile_sink;

/* ---- Service --------------------------------------------------------------------------------------------------- */

typedef struct flamenco_job_compiler {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t capabilities; /* none yet */

    /* -- required -- */

    /* Gives every usable job type, ascending by name (bytewise). Broken ones are left out, and named in the log and in the
     * plugin's health. UNAVAILABLE: no engine can be started. FULL: too many calls wait already. [worker] */
    int32_t (*list)(void *self, flamenco_cx *cx, flamenco_visit_job_type visit, void *ctx, flamenco_error *err);

    /* Gives the one job type of that name. NOT_FOUND: unknown. INVALID: it exists and is broken; the text tells why.
     * UNAVAILABLE, FULL: as list. [worker] */
    int32_t (*get)(void *self, flamenco_cx *cx, flamenco_str name, flamenco_visit_job_type visit, void *ctx,
                   flamenco_error *err);

    /* Compiles a job into `sink`. INVALID: the script refused the job, failed, or reached a limit; the text is for the
     * artist and ends in "(script:line)" where known. NOT_FOUND: unknown job type. CONFLICT: request->etag is not the
     * type's. UNAVAILABLE: no engine can be started. FULL: too many calls wait already. DEADLINE, CANCELLED: by cx, also
     * while a script runs. Else what a callback of the sink returned. [worker] */
    int32_t (*compile)(void *self, flamenco_cx *cx, const flamenco_compile_request *request,
                       const flamenco_compile_sink *sink, flamenco_error *err);
} flamenco_job_compiler;

#ifdef __cplusplus
}
#endif

#endif
