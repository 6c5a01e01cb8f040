/* SPDX-License-Identifier: Apache-2.0
 * What the load scenarios share: set-up, the measured window, submission, and the report. */
#ifndef FARM_SIM_LOAD_H
#define FARM_SIM_LOAD_H

#include "farm.h"
#include "job.h"
#include "proc.h"
#include "worker.h"

typedef struct fl_load {
    const fl_options *opt;
    fl_loop *loop;
    fl_stats stats; /* what runs now */
    fl_stats measured; /* as of the end of the window */
    fl_farm *farm;
    fl_conn *conn; /* the submitter's */
    void *scenario; /* its own data */
    void (*on_ready)(struct fl_load *); /* the workers are awake and the job is there: the window has begun */
    void (*scenario_json)(struct fl_load *, json_t *report);
    void (*scenario_print)(struct fl_load *);
    void (*scenario_free)(struct fl_load *); /* what is in its data; NULL = nothing */
    uint64_t tasks_submitted, tasks_assigned, tasks_done, tasks_wanted; /* wanted 0 = until the time is over */
    uint32_t workers_awake;
    uint32_t jobs_submitted, tasks_in_submission;
    bool submitting, measuring, ended;
    char job_id[37]; /* the last one submitted */
    uint64_t done_before, tasks_measured; /* tasks done when the window began, and in it */
    int64_t began_us, ended_us, own_cpu_us;
    fl_proc_usage server_before, server_after;
    fl_timer deadline;
    fl_timer begin; /* of a window that begins after a while */
    int exit_code;
} fl_load;

/* Reads the server's usage, forgets the statistics so far, starts the clock and the deadline. */
void fl_load_begin_window(fl_load *load);
/* Ends the window once; then workers sign off and fl_load_run() prints the report. */
void fl_load_end(fl_load *load, int exit_code);
/* One line on stderr, then the end. */
void fl_load_fail(fl_load *load, int exit_code, const char *what, const fl_reply *reply);
/* Submits a job of that many tasks on the submitter's connection. */
void fl_load_submit_tasks(fl_load *load, uint32_t tasks, fl_on_reply fn);
/* The body of such a job; NULL = said on stderr. */
char *fl_load_make_job(const fl_load *load, uint32_t tasks);
/* Submits the next job of the scenario when there are few tasks left to hand out. */
void fl_load_replenish(fl_load *load);

/* load_closed.c: what a worker does without pauses. */
bool fl_load_closed_on_awake(void *ctx, fl_worker *w);
void fl_load_closed_start(fl_load *load);
void fl_load_closed_json(fl_load *load, json_t *report);

/* load_scenarios.c, load_get.c. Each sets up its part; false = said on stderr. */
bool fl_load_parked_prepare(fl_load *load);
bool fl_load_submit_prepare(fl_load *load);
bool fl_load_get_prepare(fl_load *load);

#endif
