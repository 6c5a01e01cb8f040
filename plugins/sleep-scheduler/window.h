/* SPDX-License-Identifier: Apache-2.0
 *
 * window.h - when a schedule lets a worker sleep (state-and-scheduling 11.3, 11.4; decisions "overnight sleep window"). The
 * window of a day begins on it, and an end before the start is one of the next day. Used by sleep_scheduler.c.
 */
#ifndef FL_SLEEP_WINDOW_H
#define FL_SLEEP_WINDOW_H

#include <stdint.h>

typedef struct fl_sleep_rule {
    int is_active;
    uint32_t days; /* of the beginning; bit 0 is Sunday */
    int32_t start, end; /* minutes since midnight; FL_SLEEP_NO_TIME = open-ended */
} fl_sleep_rule;

/* Whether a worker with this rule sleeps now. */
int fl_sleep_is_asleep(const fl_sleep_rule *rule, int64_t now_us);

/* When to look again: the next start, end or midnight after now. Until then the answer stays the same. */
int64_t fl_sleep_next_check_us(const fl_sleep_rule *rule, int64_t now_us);

#endif
