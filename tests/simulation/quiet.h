/* SPDX-License-Identifier: Apache-2.0
 *
 * quiet.h - what the simulation allocates for itself is not what a sweep of failing allocations (tests/allocations) is about.
 * Without that sweep linked in, these do nothing.
 */
#ifndef SIM_QUIET_H
#define SIM_QUIET_H

__attribute__((weak)) void alloc_fail_pause(void);
__attribute__((weak)) void alloc_fail_resume(void);

static inline void quiet_begin(void)
{
    if (alloc_fail_pause != NULL)
        alloc_fail_pause();
}

static inline void quiet_end(void)
{
    if (alloc_fail_resume != NULL)
        alloc_fail_resume();
}

#endif
