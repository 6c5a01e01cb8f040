/* SPDX-License-Identifier: Apache-2.0
 *
 * local_time.h - instants and the local clock. A local time of day may come twice or never on a day when clocks are changed;
 * here it stands for the first instant at which the local clock shows it or anything later. So each comes exactly once,
 * in the order of the day. Used by window.c.
 *
 * Instants are seconds since 1970 UTC. Days are numbered; 0 is 1970-01-01, a Thursday.
 */
#ifndef FL_SLEEP_LOCAL_TIME_H
#define FL_SLEEP_LOCAL_TIME_H

#include <stdint.h>

#define FL_DAY_S INT64_C(86400)

/* The local day at an instant. */
int64_t fl_local_day(int64_t instant_s);

/* 0 = Sunday. */
int fl_weekday(int64_t day);

/* The first instant at which the local clock is at or past `minutes` after midnight of `day`; minutes 0 to 1440. */
int64_t fl_local_instant(int64_t day, int32_t minutes);

#endif
