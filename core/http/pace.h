/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.h - how much of a loop's time goes to telling pages what happens (ws.c, feed.c). The farm's requests come first:
 *  - What comes sooner than 8 ms behind a write to the same connection waits, to be written together with what follows. That is
 *    shorter than what the broadcaster gathers under load, whose messages so wait only once. The first message after a pause
 *    goes out at once.
 *  - At most FL_PACE_TURN writes are made between two looks at what has arrived.
 *  - Writing takes at most one part in PACE_PARTS of the thread's time. It may be late by a burst, which serves some hundred
 *    pages at once; from then on connections take turns, each the later and with the more messages, the more of them there are.
 *    This is for crowds of thousands: less than the bytes take would only make everybody late.
 * All of it [loop].
 */
#ifndef FL_HTTP_PACE_H
#define FL_HTTP_PACE_H

#include <stdint.h>

#define FL_PACE_TURN 32u

typedef struct fl_pace {
    int64_t
        free_us; /* monotonic: from then on the loop may write again; in the past by as much as may be spent at once */
    int64_t begun_ns; /* of the thread's CPU time: writing has begun in this turn; 0: not */
    uint32_t writes; /* in this turn */
} fl_pace;

/* When a connection that was written to at wrote_us may be written to again. */
int64_t fl_pace_due_us(const fl_pace *pace, int64_t wrote_us);

/* One connection is about to be written to. */
void fl_pace_wrote(fl_pace *pace);

/* More may be written in this turn. */
static inline int fl_pace_goes_on(const fl_pace *pace)
{
    return pace->writes < FL_PACE_TURN;
}

/* The turn is over. */
void fl_pace_end_turn(fl_pace *pace, int64_t now_us);

/* Counts `spent_ns` of writing that ended at now_us. For fl_pace_end_turn, and tests. */
void fl_pace_count(fl_pace *pace, int64_t now_us, int64_t spent_ns);

#endif
