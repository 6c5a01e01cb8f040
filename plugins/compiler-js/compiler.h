/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.h - the instance of the plugin: what its parts share. plugin.c has the life cycle, compiler.c the service.
 */
#ifndef FL_COMPILER_H
#define FL_COMPILER_H

#include "flamenco/job_compiler.h"

#include "catalogue.h"
#include "pool.h"
#include "talk.h"

typedef struct fl_compiler {
    const flamenco_host *host;
    const flamenco_config *config;
    fl_limits limits;
    fl_catalogue catalogue;
    fl_pool pool;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* the last call has returned */
    uint32_t calls;
} fl_compiler;

extern const flamenco_job_compiler fl_compiler_table;

#endif
