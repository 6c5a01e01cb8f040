/* SPDX-License-Identifier: Apache-2.0
 * Running one task as the official Worker does: its commands one after the other, with logs, steps, status and
 * may-i-run questions. Nothing is executed: commands take time and talk, that is all. */
#ifndef FARM_SIM_RUN_H
#define FARM_SIM_RUN_H

#include <jansson.h>

#include "farm.h"
#include "text.h"

typedef struct fl_run {
    json_t *task; /* the assignment; NULL = no task in hand */
    const char *name, *job_id, *task_id; /* borrowed from task */
    size_t command;
    int64_t steps, steps_total; /* done and, for the display, planned */
    int64_t frame, frames_left; /* of the render command at work */
    int64_t log_sent_us;
    fl_text log;
    unsigned pid; /* in the log lines */
    fl_timer timer; /* the command at work */
    fl_timer may_run_timer;
    void (*next)(struct fl_worker *w); /* after the update under way */
    bool aborted; /* may-i-run said no; the update under way is waited for */
    bool doomed; /* the mode wants this task to fail */
} fl_run;

void fl_run_init(struct fl_worker *w);
/* Takes over the reference. Calls fl_worker_task_done() at the end, unless stopped before. */
void fl_run_start(struct fl_worker *w, json_t *task);
/* Puts the task down without a word to the manager. */
void fl_run_stop(struct fl_worker *w);

#endif
