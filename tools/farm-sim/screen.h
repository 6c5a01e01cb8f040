/* SPDX-License-Identifier: Apache-2.0
 * The demo's live view: a picture that is redrawn on a terminal, lines of text anywhere else. */
#ifndef FARM_SIM_SCREEN_H
#define FARM_SIM_SCREEN_H

#include "farm.h"
#include "job.h"

typedef struct fl_job_view {
    const char *name;
    char status[24];
    int64_t steps_done, steps_total;
    uint32_t tasks, by_status[FL_TASK_STATUS_COUNT];
    int64_t started_us;
    bool unreachable; /* the last look got no answer */
} fl_job_view;

typedef struct fl_screen {
    bool tty, quiet;
    unsigned drawn; /* lines that the next picture replaces */
    char last[160]; /* plain output: the last line about the job */
} fl_screen;

/* quiet: nothing is shown at all (--json). */
void fl_screen_init(fl_screen *screen, bool quiet);
/* A line that stays. */
void fl_screen_say(fl_screen *screen, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The picture, or a line if the job's progress changed. */
void fl_screen_draw(fl_screen *screen, const fl_farm *farm, const fl_job_view *job);

#endif
