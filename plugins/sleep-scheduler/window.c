/* SPDX-License-Identifier: Apache-2.0
 *
 * window.c - see window.h.
 */
#include "window.h"

#include "local_time.h"
#include "schedule_text.h"

#define SECOND_US INT64_C(1000000)

static int64_t seconds_of(int64_t now_us)
{
    return now_us / SECOND_US - (now_us % SECOND_US < 0);
}

static int64_t window_begin(const fl_sleep_rule *rule, int64_t day)
{
    return fl_local_instant(day, rule->start != FL_SLEEP_NO_TIME ? rule->start : 0);
}

static int64_t window_end(const fl_sleep_rule *rule, int64_t day)
{
    if (rule->end == FL_SLEEP_NO_TIME)
        return fl_local_instant(day, FL_SLEEP_MINUTES_OF_DAY);
    return fl_local_instant(rule->start != FL_SLEEP_NO_TIME && rule->end < rule->start ? day + 1 : day, rule->end);
}

/* Yesterday's window may reach into today. Tomorrow's has begun when clocks were put back over midnight. */
int fl_sleep_is_asleep(const fl_sleep_rule *rule, int64_t now_us)
{
    int64_t now = seconds_of(now_us);
    if (!rule->is_active)
        return 0;
    int64_t today = fl_local_day(now);
    for (int64_t day = today - 1; day <= today + 1; ++day) {
        if ((rule->days & (1u << fl_weekday(day))) != 0 && window_begin(rule, day) <= now &&
            now < window_end(rule, day))
            return 1;
    }
    return 0;
}

static void take_earlier(int64_t *best, int64_t instant, int64_t now)
{
    if (instant > now && (*best <= now || instant < *best))
        *best = instant;
}

int64_t fl_sleep_next_check_us(const fl_sleep_rule *rule, int64_t now_us)
{
    int64_t now = seconds_of(now_us), best = now;
    int64_t today = fl_local_day(now);
    for (int64_t day = today; day <= today + 2; ++day) {
        take_earlier(&best, fl_local_instant(day, 0), now);
        if (rule->start != FL_SLEEP_NO_TIME)
            take_earlier(&best, fl_local_instant(day, rule->start), now);
        if (rule->end != FL_SLEEP_NO_TIME)
            take_earlier(&best, fl_local_instant(day, rule->end), now);
    }
    return best * SECOND_US;
}
