/* SPDX-License-Identifier: Apache-2.0
 *
 * budget.h - memory that many requests share (architecture 8: replies, compiled jobs). Who wants some waits in line until
 * there is room again; nobody is refused before its deadline.
 */
#ifndef FL_BUDGET_H
#define FL_BUDGET_H

#include <stddef.h>
#include <stdint.h>

typedef struct fl_budget fl_budget;

/* What stands in line. Embedded in the request; zero-initialise it. */
typedef struct fl_budget_place {
    struct fl_budget_place *next;
    int64_t deadline_us;
    uint64_t held; /* bytes counted for it now */
    /* Called once, when there is room (granted 1) or at the deadline (0), on the thread that made the room. */
    void (*go_on)(struct fl_budget_place *place, int granted);
} fl_budget_place;

/* Makes a budget of so many bytes. NULL when memory is exhausted. */
fl_budget *fl_budget_create(uint64_t bytes);
void fl_budget_destroy(fl_budget *budget); /* nobody may wait; accepts NULL */

/* Counts `expected` bytes for the place, at once when there is room: then go_on is called before this returns. [any] */
void fl_budget_enter(fl_budget *budget, fl_budget_place *place, uint64_t expected, int64_t deadline_us,
                     void (*go_on)(fl_budget_place *place, int granted));

/* Corrects what the place holds, now that it is known. [any] */
void fl_budget_set(fl_budget *budget, fl_budget_place *place, uint64_t bytes);

/* Gives back what the place holds; others may go on. Harmless when it holds nothing. [any] */
void fl_budget_leave(fl_budget *budget, fl_budget_place *place);

/* Ends the waiting of those whose deadline has come; all: of everybody. [any] */
void fl_budget_expire(fl_budget *budget, int64_t now_us, int all);

/* Bytes counted now. [any] */
uint64_t fl_budget_used(fl_budget *budget);

#endif
