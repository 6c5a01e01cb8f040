/* SPDX-License-Identifier: Apache-2.0 */
#include "core/monotonic.h"

#include <time.h>

int64_t fl_monotonic_us(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void fl_monotonic_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + us % 1000000 * 1000;
    until.tv_sec += (time_t)(us / 1000000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    (void)pthread_cond_timedwait(cond, lock, &until); /* why it ended matters to nobody */
}

void fl_monotonic_pause(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us)
{
    fl_monotonic_wait(cond, lock, us);
}
