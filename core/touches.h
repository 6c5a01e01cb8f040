/* SPDX-License-Identifier: Apache-2.0
 *
 * touches.h - last-seen and touch times that are kept in memory and stored with a later commit, at most 1 s late
 * (architecture 1, rule 1). Noted by the publisher, laid over rows by handlers, stored by the writer. Thread-safe.
 */
#ifndef FL_TOUCHES_H
#define FL_TOUCHES_H

#include "flamenco/persistence.h"

typedef struct fl_touches fl_touches;

fl_touches *fl_touches_create(void); /* NULL when memory is exhausted */
void fl_touches_destroy(fl_touches *touches);

/* Notes a time, to be stored with the next batch. Out of memory: the note is lost, and counted in the log. */
void fl_touches_note(fl_touches *touches, const flamenco_touch *touch);
/* Notes that a worker whose request waits was seen; stored no more often than every 10 s. */
void fl_touches_note_waiting(fl_touches *touches, int64_t worker_key, int64_t at_us);

/* The kept time, or FLAMENCO_TIME_NONE. what: FLAMENCO_TOUCH_*. */
int64_t fl_touches_get(fl_touches *touches, uint32_t what, int64_t key);

/* Takes up to `max` times that are to be stored into rows; all: also those that could wait longer. Returns how many. They
 * stay visible to get. A caller whose commit fails gives them back. */
size_t fl_touches_take(fl_touches *touches, int all, flamenco_touch *rows, size_t max);
void fl_touches_give_back(fl_touches *touches, const flamenco_touch *rows, size_t n);

/* Tells whether something waits to be stored. */
int fl_touches_pending(fl_touches *touches);

/* Forgets kept times that are stored and more than a minute older than now_us. */
void fl_touches_trim(fl_touches *touches, int64_t now_us);

#endif
