/* SPDX-License-Identifier: Apache-2.0
 *
 * local_time.c - see local_time.h. mktime() is of no use here: for a time that comes twice or never, its answer depends on
 * what it was asked before. So the C library is only asked how far the local clock is ahead of UTC at an instant.
 */
#include "local_time.h"

#include <time.h>

#define HOUR_S INT64_C(3600)
/* Local clocks are at most 14 h ahead of UTC and 12 h behind it. */
#define FARTHEST_S (16 * HOUR_S)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* How far the local clock is ahead of UTC. */
static int64_t ahead_s(int64_t instant_s)
{
    struct tm tm;
    time_t t = (time_t)instant_s;
    return localtime_r(&t, &tm) != NULL ? (int64_t)tm.tm_gmtoff : 0;
}

int64_t fl_local_day(int64_t instant_s)
{
    return floor_div(instant_s + ahead_s(instant_s), FL_DAY_S);
}

int fl_weekday(int64_t day)
{
    return (int)((day % 7 + 7 + 4) % 7);
}

/* The first instant in (from, to] at which the local clock is not `ahead` of UTC, as it is at `from` and is not at `to`. */
static int64_t find_change(int64_t from, int64_t to, int64_t ahead)
{
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;
        if (ahead_s(middle) == ahead)
            from = middle;
        else
            to = middle;
    }
    return to;
}

int64_t fl_local_instant(int64_t day, int32_t minutes)
{
    int64_t wanted = day * FL_DAY_S + (int64_t)minutes * 60; /* as the local clock counts */
    int64_t from = wanted - FARTHEST_S, last = wanted + FARTHEST_S;
    int64_t ahead = ahead_s(from);
    if (ahead_s(last) == ahead)
        return wanted - ahead;
    /* The clocks are changed near by: walk through the hours. */
    while (from < last) {
        int64_t to = from + HOUR_S;
        int64_t next_ahead = ahead_s(to);
        if (next_ahead != ahead) {
            to = find_change(from, to, ahead);
            next_ahead = ahead_s(to);
        }
        if (wanted - ahead < to)
            return wanted - ahead;
        if (wanted - next_ahead <= to)
            return to; /* the clock was put past it */
        from = to;
        ahead = next_ahead;
    }
    return wanted - ahead;
}
