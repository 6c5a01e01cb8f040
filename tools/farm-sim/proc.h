/* SPDX-License-Identifier: Apache-2.0
 * CPU time and memory of the manager under load, from /proc. */
#ifndef FARM_SIM_PROC_H
#define FARM_SIM_PROC_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fl_proc_usage {
    int64_t cpu_us; /* user + system, of the process, its living descendants and those it waited for */
    int64_t rss_kib, hwm_kib; /* of the process itself; hwm = the highest rss of its life */
    int64_t children_rss_kib;
    unsigned children;
} fl_proc_usage;

/* Returns false when there is no such process. Resolution: a clock tick, usually 10 ms. */
bool fl_proc_read(int pid, fl_proc_usage *out);
/* CPU time of farm-sim itself. */
int64_t fl_proc_own_cpu_us(void);

#endif
