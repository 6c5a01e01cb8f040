/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.h - what is wrong in a configuration file. Readers collect every problem instead of stopping at the first, so
 * that --check-config tells all at once. Not thread-safe.
 */
#ifndef FL_CONFIG_PROBLEM_H
#define FL_CONFIG_PROBLEM_H

#include "flamenco/plugin.h"

typedef struct fl_config_problem {
    uint32_t level; /* FLAMENCO_LOG_ERROR: the file cannot be used; FLAMENCO_LOG_WARN: it can */
    uint32_t line; /* from 1; 0 = none */
    const char *file; /* owned by the list; "" = none */
    const char *text; /* owned by the list; without file and line */
} fl_config_problem;

/* Zero-initialise it. At most FL_CONFIG_PROBLEMS_MAX are kept, all are counted. */
#define FL_CONFIG_PROBLEMS_MAX 200u
typedef struct fl_config_problems {
    fl_config_problem *items;
    size_t count, cap;
    size_t errors, warnings; /* also those that were not kept */
} fl_config_problems;

/* Frees the list's contents and zeroes it. */
void fl_config_problems_fini(fl_config_problems *problems);

/* Adds one. `file` may be NULL. `problems` may be NULL, then nothing happens. When memory is exhausted the problem is
 * counted but not kept. */
void fl_config_problem_add(fl_config_problems *problems, uint32_t level, const char *file, uint32_t line,
                           const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Writes "file:line: text", cut to fit. Returns out. */
const char *fl_config_problem_text(const fl_config_problem *problem, char *out, size_t size);

/* Puts the first error of the list into err (with "and N more" behind it) and returns code. */
int32_t fl_config_problems_fail(const fl_config_problems *problems, int32_t code, flamenco_error *err);

/* Writes every problem to the log, each at its own level. */
void fl_config_problems_log(const fl_config_problems *problems, const char *subsystem);

#endif
