/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.h - who has used how much of the farm, and whose turn it is. Knows shares as numbers and weights, workers as keys, and
 * nothing of jobs or of the store. Used by pick.c on the writing thread alone.
 *
 * Every share has a clock of its own that runs by the time for which workers work on its tasks, divided by its weight; the share
 * whose clock is furthest behind is next. A task is charged when it is handed out, with what the share's tasks took before,
 * and the charge is corrected when the worker asks again: so workers that ask at the same moment are divided as well, and a
 * task that takes hours weighs as much as many that take seconds. A share that comes anew begins where the others are, so
 * that nobody saves up time by staying away.
 */
#ifndef FL_FAIR_LEDGER_H
#define FL_FAIR_LEDGER_H

#include "flamenco/plugin.h"

#define FL_WEIGHT_ONE 1000u /* weights are in thousandths */
/* What a task costs at least: a Worker takes longer than that from one to the next, however short they are. */
#define FL_LEAST_COST_US INT64_C(1000000)

typedef struct fl_share {
    int64_t number;
    uint32_t weight;
    uint32_t running; /* tasks */
    double clock_us;
    double expected_us; /* of its next task */
    int64_t seen_us; /* when it last had work, or did some */
    uint64_t served; /* number of the hand-out that was its last */
    struct fl_share *next;
} fl_share;

/* What a worker does. */
typedef struct fl_turn {
    int64_t worker; /* key; 0 = free place */
    fl_share *share; /* NULL: nothing that is known */
    int64_t since_us;
    double charged_us;
} fl_turn;

typedef struct fl_ledger {
    const flamenco_host *host;
    int64_t memory_us;
    fl_share *shares;
    uint64_t n_shares, prune_at;
    fl_turn *turns; /* by worker, open addressing */
    uint64_t n_turns, room; /* room: a power of two, or 0 */
    uint64_t next_look; /* place of the turn that is looked at next */
    double clock_us; /* of the share that was served last, when it was */
    uint64_t served;
} fl_ledger;

/* memory_us: for how long a share that has nothing to do keeps its place. */
void fl_ledger_init(fl_ledger *ledger, const flamenco_host *host, int64_t memory_us);
void fl_ledger_fini(fl_ledger *ledger);
/* NULL: it is not known. */
fl_share *fl_ledger_find(const fl_ledger *ledger, int64_t number);
/* Adds one; long unused ones may go, so pointers from before are worth nothing. NULL: no memory. */
fl_share *fl_ledger_add(fl_ledger *ledger, int64_t number, uint32_t weight, int64_t now_us);
/* Notes that a share has work now. */
void fl_ledger_consider(fl_ledger *ledger, fl_share *share, int64_t now_us);
/* Tells whether a's turn comes before b's. */
int fl_ledger_is_before(const fl_share *a, const fl_share *b);
/* Makes a place for the worker, so that fl_ledger_begin cannot fail. NOMEM. */
int32_t fl_ledger_reserve(fl_ledger *ledger, int64_t worker);
/* The worker begins with a task of the share. */
void fl_ledger_begin(fl_ledger *ledger, int64_t worker, fl_share *share, int64_t now_us);
/* It has ended; nothing when it had none. */
void fl_ledger_end(fl_ledger *ledger, int64_t worker, int64_t now_us);
/* A worker that is thought to be at work, another one each time; 0 = there is none here. */
int64_t fl_ledger_look(fl_ledger *ledger);
/* It is still at it: what it took beyond the estimate is charged. */
void fl_ledger_goes_on(fl_ledger *ledger, int64_t worker, int64_t now_us);

#endif
