/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.h - runs one check in a process of its own. Used by main.c.
 */
#ifndef KIT_RUNNER_H
#define KIT_RUNNER_H

#include "inner.h"

typedef enum kit_verdict { KIT_OK, KIT_FAILED, KIT_SKIPPED, KIT_BLOCKED } kit_verdict;

typedef struct kit_result {
    const kit_check *check;
    kit_verdict verdict;
    int exited; /* the process ended itself in the middle */
    double seconds;
    char blocked_by[96];
    char reason[2048];
} kit_result;

typedef struct kit_runner {
    const kit_options *options;
    const kit_config *config;
    char base[3072]; /* a folder for all checks */
    uint64_t n; /* checks begun */
} kit_runner;

/* Makes the folder. Returns 0, or -1 with the reason in problem. */
int kit_runner_init(kit_runner *runner, char *problem, size_t size);
/* Removes it, unless --keep. */
void kit_runner_fini(kit_runner *runner);

void kit_runner_run(kit_runner *runner, const kit_check *check, kit_result *out);

#endif
