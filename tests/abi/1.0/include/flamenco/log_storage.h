/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/log_storage.h - the service "flamenco.log_storage/1": the logs of tasks (contract: state-and-scheduling 15,
 * api-behaviour 7.7). append is called by the core's publisher after a commit, the rest by handlers.
 */
#ifndef FLAMENCO_LOG_STORAGE_H
#define FLAMENCO_LOG_STORAGE_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_LOG_STORAGE "flamenco.log_storage/1"

typedef struct flamenco_log_info {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t size_bytes;
    flamenco_str path; /* relative to local storage's root, for /job-files; empty = not to be had there. Arena of cx */
} flamenco_log_info;

typedef struct flamenco_log_storage {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Appends `text` to a task's log, and a newline when it has none at its end. An empty text does nothing. Calls for
     * different tasks may run side by side, for one task they come one after the other. No fsync. FULL, IO. [worker] */
    int32_t (*append)(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                      flamenco_error *err);
    /* Size and place of a log. NOT_FOUND: none, or it is empty. [reader] [worker] */
    int32_t (*info)(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    flamenco_log_info *out, flamenco_error *err);
    /* The end of a log: at most max_bytes (the API asks for 2048), beginning with a whole line where there is one. *out
     * lives in the arena of cx. NOT_FOUND as in info. [reader] [worker] */
    int32_t (*tail)(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    uint64_t max_bytes, flamenco_str *out, flamenco_error *err);
    /* Forgets open files of a job that is being deleted. [worker] */
    void (*forget_job)(void *self, const flamenco_uuid *job);
    /* Moves a log out of the way: file.N to file.(N+1), file to file.1. [worker] */
    int32_t (*rotate)(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_error *err);
} flamenco_log_storage;

#ifdef __cplusplus
}
#endif

#endif
