/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/job_deleter.h - the service "flamenco.job_deleter/1": removes jobs that were marked for deletion, files first
 * (contract: state-and-scheduling 13, decisions "deletion"). Works in the background between start and stop; the core's
 * handlers mark the job and tell it. Its own are the jobs with a deletion request, also hidden ones (FLAMENCO_PAGE_HIDDEN):
 * those a crash left half deleted. Hidden jobs without one are the core's.
 */
#ifndef FLAMENCO_JOB_DELETER_H
#define FLAMENCO_JOB_DELETER_H

#include "flamenco/persistence.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_JOB_DELETER "flamenco.job_deleter/1"

typedef struct flamenco_job_deleter {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Tells that jobs were marked for deletion; they are found in the store. Called after the commit, and once when the store
     * was repaired after the start. [any] */
    void (*poke)(void *self);
    /* What deleting the job would take with it: *shaman_checkout_out is 1 when a Shaman checkout would go, too. [reader] */
    int32_t (*would_delete)(void *self, flamenco_cx *cx, const flamenco_job *job, uint32_t *shaman_checkout_out,
                            flamenco_error *err);
} flamenco_job_deleter;

#ifdef __cplusplus
}
#endif

#endif
