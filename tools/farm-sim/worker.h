/* SPDX-License-Identifier: Apache-2.0
 * One simulated Worker: registration, sign-on, states, task loop, sign-off, with the official Worker's pauses. */
#ifndef FARM_SIM_WORKER_H
#define FARM_SIM_WORKER_H

#include "farm.h"
#include "run.h"
#include "updates.h"

typedef enum fl_phase {
    FL_PHASE_OFF, /* not started, or vanished */
    FL_PHASE_REGISTERING,
    FL_PHASE_SIGNING_ON,
    FL_PHASE_AWAKE, /* between two requests */
    FL_PHASE_ASKING, /* a request for a task is under way, perhaps parked by the manager */
    FL_PHASE_RUNNING,
    FL_PHASE_ASLEEP,
    FL_PHASE_SIGNING_OFF,
    FL_PHASE_ENDED, /* signed off */
    FL_PHASE_FAILED, /* the official Worker would have ended with an error; see problem */
} fl_phase;

typedef struct fl_worker {
    fl_farm *farm;
    uint32_t index;
    char name[64], uuid[37], secret[65];
    fl_conn *conn;
    fl_phase phase;
    bool counted; /* among the farm's starting ones */
    bool registered_now; /* in this start: a failing sign-on ends it */
    bool restart; /* after signing off it starts again */
    bool stopping; /* told by the farm: never starts again */
    char problem[160];
    char wanted[32]; /* status to go to */
    int64_t flush_phase_us;
    uint64_t tasks_done;
    int64_t asked_us; /* for a task, last */
    unsigned refusals; /* task requests answered with 409, in a row */
    fl_timer timer; /* the pause of the phase */
    fl_updates updates;
    fl_run run;
} fl_worker;

fl_worker *fl_worker_create(fl_farm *farm, uint32_t index);
void fl_worker_destroy(fl_worker *w);

/* Registers if it has no credentials, signs on, goes to the status that it is told. */
void fl_worker_start(fl_worker *w);
/* As on a signal: puts its task down, sends its queued updates (5 s), signs off (3 s). */
void fl_worker_stop(fl_worker *w);
/* As a process that was killed: connections break, nothing is said. fl_worker_start() brings it back. */
void fl_worker_vanish(fl_worker *w);
/* Neither running nor about to. */
bool fl_worker_is_gone(const fl_worker *w);

const char *fl_phase_name(fl_phase phase);

/* Goes to a status that the manager asked for. Called also by a mode that runs the task loop itself. */
void fl_worker_go_to(fl_worker *w, const char *status);
/* Begins the official task loop with a pause. Called when a mode does not. */
void fl_worker_ask_after(fl_worker *w, double seconds);
/* Sends a request with the fault that the mode wants. Out of memory ends the program: a simulator that silently
 * drops requests would blame the manager. */
void fl_worker_send(fl_worker *w, fl_request *request, fl_on_reply fn);
/* Called by run.c when the task in hand is over. */
void fl_worker_task_done(fl_worker *w, fl_outcome outcome);
void fl_worker_changed(fl_worker *w);

#endif
