/* SPDX-License-Identifier: Apache-2.0
 *
 * groups.h - the checks that there are, by file. Listed in groups.c in the order in which they run.
 */
#ifndef KIT_GROUPS_H
#define KIT_GROUPS_H

#include "kit.h"

extern const kit_group descriptor_checks, lifecycle_checks;
extern const kit_group persistence_session_checks, persistence_jobs_checks, persistence_tasks_checks,
    persistence_workers_checks, persistence_schedule_checks, persistence_optional_checks, persistence_rows_checks,
    persistence_life_checks;
extern const kit_group files_checks, small_checks, farm_checks, work_checks;

#endif
