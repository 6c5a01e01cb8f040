/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.c - see pace.h. Time is that of the thread's processor, so that a busy machine is not taken for much writing.
 */
#include "core/http/pace.h"

#include <time.h>

#define GAP_US 8000 /* between two writes to one connection */
#define PACE_PARTS 4
#define BURST_US 100000 /* of the clock: one in PACE_PARTS of it may be spent at once */
#define LATEST_US 100000 /* no single turn puts the next one off for longer */

static int64_t cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 1; /* cannot be; then nothing counts */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + 1;
}

int64_t fl_pace_due_us(const fl_pace *pace, int64_t wrote_us)
{
    int64_t due_us = wrote_us + GAP_US;
    return due_us > pace->free_us ? due_us : pace->free_us;
}

void fl_pace_wrote(fl_pace *pace)
{
    if (pace->begun_ns == 0)
        pace->begun_ns = cpu_ns();
    ++pace->writes;
}

void fl_pace_count(fl_pace *pace, int64_t now_us, int64_t spent_ns)
{
    if (pace->free_us < now_us - BURST_US)
        pace->free_us = now_us - BURST_US;
    pace->free_us += spent_ns * PACE_PARTS / 1000;
    if (pace->free_us > now_us + LATEST_US)
        pace->free_us = now_us + LATEST_US;
}

void fl_pace_end_turn(fl_pace *pace, int64_t now_us)
{
    if (pace->begun_ns != 0)
        fl_pace_count(pace, now_us, cpu_ns() - pace->begun_ns);
    pace->begun_ns = 0;
    pace->writes = 0;
}
