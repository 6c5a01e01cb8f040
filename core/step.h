/* SPDX-License-Identifier: Apache-2.0
 *
 * step.h - one piece of work for the executor or the work pool, embedded in whatever it belongs to: a request (api/call.h),
 * a plugin's flamenco_step (host.c), or the core's periodic work.
 */
#ifndef FL_STEP_H
#define FL_STEP_H

#include "core/cx.h"
#include "core/monotonic.h"

/* What run() may return beside 0, FLAMENCO_AGAIN (run once more, behind everything that waits) and errors. */
#define FL_STEP_PARK 2 /* nothing to say yet: wait for a wake-up (parked.h); what this run changed is kept */
#define FL_STEP_ROLLBACK 3 /* done, but what this run changed is undone */

struct fl_step;

typedef struct fl_step_ops {
    const char *name;
    uint32_t kind; /* FLAMENCO_STEP_* */
    uint32_t worker_operation; /* 1: of a Worker, whose trouble closes the connection instead of 5xx */
    uint32_t rides; /* READ. 1: it may run on the writer, too: what it finds is newer, its cost a tenth */
    uint32_t
        seldom_undone; /* WRITE. 1: it rarely refuses after it has changed something; that then costs its batch more */
    /* Does the work. A WRITE step may run again after a failed commit: it changes nothing but the database, its effects
     * and step->cursor. */
    int32_t (*run)(fl_cx *cx, struct fl_step *step, flamenco_error *err);
    /* Called once, when the result stands: after the durable commit, on the publisher's thread (WRITE), else on the thread
     * that ran it. result: 0, FL_STEP_ROLLBACK or an error, then err tells more. The step is the callee's again. */
    void (*done)(struct fl_step *step, int32_t result, const flamenco_error *err);
    /* For steps that park (else NULL). hold: it waits now; returns 0 when its client is known to be gone. check: find out
     * whether somebody still waits for it, then call fl_parked_checked(). expired: the hold is over; the step is the
     * callee's again. */
    int (*hold)(struct fl_step *step);
    void (*check)(struct fl_step *step);
    void (*expired)(struct fl_step *step);
} fl_step_ops;

/* What parked.c keeps of a step. run() fills kind, worker, worker_key and task_types before it returns FL_STEP_PARK. */
typedef struct fl_park {
    uint32_t kind; /* FLAMENCO_WAKE_TASKS: wants a task, and news of its worker; FLAMENCO_WAKE_WORKER: news only */
    flamenco_uuid worker;
    int64_t worker_key;
    flamenco_str task_types; /* joined by commas; valid as long as the step */
    int64_t hold_us; /* how long it may wait in all */
    /* parked.c's own. */
    uint32_t state;
    int64_t hold_until_us; /* by the clock service's monotonic time */
    uint64_t order, tried;
    struct fl_step *prev, *next, *hash_next;
} fl_park;

typedef struct fl_step {
    struct fl_step *next;
    const fl_step_ops *ops;
    fl_arena *arena; /* for row texts; NULL: one is made for each run */
    int64_t deadline_us; /* system's monotonic clock; 0 = the executor sets its default */
    uint32_t cancelled; /* atomic */
    uint64_t order_key; /* WORK */
    flamenco_str request_id;
    uint64_t cursor[4]; /* how far a chain of runs has come; put back when its commit fails */
    fl_park park;
    /* The executor's. */
    uint64_t wakes_seen;
    uint64_t cursor_before[4];
    uint32_t alone; /* 1: runs in a transaction of its own, after trouble */
    int32_t result;
    flamenco_error error;
} fl_step;

/* Tells whether a step that failed with this code may succeed later: the executor tries it again until its deadline. */
int fl_error_is_passing(int32_t code);

#endif
