/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/clock.h - the service "flamenco.clock/1": what time it is. Swapped in tests for a clock set by hand. The core
 * reads it once per step, and its timers wait on it.
 */
#ifndef FLAMENCO_CLOCK_H
#define FLAMENCO_CLOCK_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_CLOCK "flamenco.clock/1"

typedef struct flamenco_clock {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* µs since 1970 UTC. [any] */
    int64_t (*now_us)(void *self);
    /* µs of a clock that never goes back nor jumps; only differences mean something. [any] */
    int64_t (*monotonic_us)(void *self);
    /* Blocks until monotonic_us() is at or past `until_us` (INT64_MAX = for ever) or interrupt() is called. May return
     * early for no reason. One thread at a time: the core's timer thread. */
    void (*wait_until)(void *self, int64_t until_us);
    /* Ends the running wait_until, or the next one if none runs. [any] */
    void (*interrupt)(void *self);
} flamenco_clock;

#ifdef __cplusplus
}
#endif

#endif
