/* SPDX-License-Identifier: Apache-2.0
 *
 * groups.c - every check, in the order in which they run: what others stand on comes first.
 */
#include "groups.h"

#include "inner.h"

/* The groups are constants of other files, so their addresses are known when this is linked, their contents are not. */
const kit_group *const kit_groups[] = {
    &descriptor_checks,
    &lifecycle_checks,
    &persistence_session_checks,
    &persistence_jobs_checks,
    &persistence_tasks_checks,
    &persistence_workers_checks,
    &persistence_schedule_checks,
    &persistence_optional_checks,
    &persistence_rows_checks,
    &persistence_life_checks,
    &files_checks,
    &small_checks,
    &farm_checks,
    &work_checks,
    NULL,
};
