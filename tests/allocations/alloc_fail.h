/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc_fail.h - lets one allocation of the process fail. alloc_fail.c takes the place of malloc, calloc and realloc: linked
 * into a program, or preloaded (then the environment arms it: ALLOC_FAIL_AT=n, and ALLOC_FAIL_COUNT=FILE gets the number of
 * allocations at the end; ALLOC_FAIL_PATHS=FILE gets the number of the first allocation of each path: the latest callers,
 * without those in libraries of the system). Those that the C library, the loader and the test framework make for themselves are not counted.
 */
#ifndef ALLOC_FAIL_H
#define ALLOC_FAIL_H

#include <stdint.h>

/* The n-th allocation from now on fails; 0 = none. */
void alloc_fail_arm(uint64_t n);
/* How many were counted since, and whether the one has failed. */
uint64_t alloc_fail_counted(void);
int alloc_fail_happened(void);
/* This thread's next allocations are not counted; nests. */
void alloc_fail_pause(void);
void alloc_fail_resume(void);
/* Allocated and not freed yet. */
int64_t alloc_fail_live(void);

#endif
