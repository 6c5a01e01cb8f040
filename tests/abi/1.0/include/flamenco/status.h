/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/status.h - the status values of jobs, tasks and workers as numbers and as the words of the API
 * (contract: state-and-scheduling 1). Included by every service header that speaks of them. Numbers never change.
 */
#ifndef FLAMENCO_STATUS_H
#define FLAMENCO_STATUS_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The two schedulable statuses come first, in tasks and in jobs. */
#define FLAMENCO_TASK_QUEUED 0u
#define FLAMENCO_TASK_SOFT_FAILED 1u
#define FLAMENCO_TASK_ACTIVE 2u
#define FLAMENCO_TASK_COMPLETED 3u
#define FLAMENCO_TASK_FAILED 4u
#define FLAMENCO_TASK_CANCELED 5u
#define FLAMENCO_TASK_PAUSED 6u
#define FLAMENCO_TASK_STATUSES 7u

#define FLAMENCO_JOB_QUEUED 0u
#define FLAMENCO_JOB_ACTIVE 1u
#define FLAMENCO_JOB_PAUSED 2u
#define FLAMENCO_JOB_PAUSE_REQUESTED 3u
#define FLAMENCO_JOB_COMPLETED 4u
#define FLAMENCO_JOB_CANCELED 5u
#define FLAMENCO_JOB_CANCEL_REQUESTED 6u
#define FLAMENCO_JOB_FAILED 7u
#define FLAMENCO_JOB_REQUEUEING 8u
#define FLAMENCO_JOB_UNDER_CONSTRUCTION 9u
#define FLAMENCO_JOB_STATUSES 10u

#define FLAMENCO_WORKER_NONE 0u /* registered, never signed on: the empty text; as a request: nothing requested */
#define FLAMENCO_WORKER_STARTING 1u
#define FLAMENCO_WORKER_AWAKE 2u
#define FLAMENCO_WORKER_ASLEEP 3u
#define FLAMENCO_WORKER_ERROR 4u
#define FLAMENCO_WORKER_TESTING 5u
#define FLAMENCO_WORKER_OFFLINE 6u
#define FLAMENCO_WORKER_RESTART 7u
#define FLAMENCO_WORKER_STATUSES 8u

/* The bit of a status in a mask. */
#define FLAMENCO_BIT(status) (UINT64_C(1) << (status))

/* The API's word for a status; "" for a number that is none. Static memory. [any] */
static inline const char *flamenco_task_status_text(uint32_t status)
{
    static const char *const texts[FLAMENCO_TASK_STATUSES] = { "queued", "soft-failed", "active", "completed",
                                                               "failed", "canceled",    "paused" };
    return status < FLAMENCO_TASK_STATUSES ? texts[status] : "";
}

static inline const char *flamenco_job_status_text(uint32_t status)
{
    static const char *const texts[FLAMENCO_JOB_STATUSES] = {
        "queued",   "active",           "paused", "pause-requested", "completed",
        "canceled", "cancel-requested", "failed", "requeueing",      "under-construction",
    };
    return status < FLAMENCO_JOB_STATUSES ? texts[status] : "";
}

static inline const char *flamenco_worker_status_text(uint32_t status)
{
    static const char *const texts[FLAMENCO_WORKER_STATUSES] = { "",      "starting", "awake",   "asleep",
                                                                 "error", "testing",  "offline", "restart" };
    return status < FLAMENCO_WORKER_STATUSES ? texts[status] : "";
}

#define FLAMENCO_STATUS_PARSE_(name, texts, count) \
    static inline int32_t name(flamenco_str text, uint32_t *out) \
    { \
        for (uint32_t i = 0; i < (count); ++i) { \
            if (flamenco_str_equal(text, flamenco_text(texts(i)))) { \
                *out = i; \
                return FLAMENCO_OK; \
            } \
        } \
        return FLAMENCO_E_INVALID; \
    }

/* Read the API's word. Return 0, or INVALID for an unknown one. [any] */
FLAMENCO_STATUS_PARSE_(flamenco_task_status_parse, flamenco_task_status_text, FLAMENCO_TASK_STATUSES)
FLAMENCO_STATUS_PARSE_(flamenco_job_status_parse, flamenco_job_status_text, FLAMENCO_JOB_STATUSES)
FLAMENCO_STATUS_PARSE_(flamenco_worker_status_parse, flamenco_worker_status_text, FLAMENCO_WORKER_STATUSES)

#ifdef __cplusplus
}
#endif

#endif
