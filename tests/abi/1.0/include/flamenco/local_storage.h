/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/local_storage.h - the service "flamenco.local_storage/1": the manager's own files, one directory per job
 * (contract: state-and-scheduling 16, api-behaviour 9.4). Called by log storage, last-rendered, the job deleter, and by the
 * core to serve /job-files.
 */
#ifndef FLAMENCO_LOCAL_STORAGE_H
#define FLAMENCO_LOCAL_STORAGE_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_LOCAL_STORAGE "flamenco.local_storage/1"

#define FLAMENCO_FILE_REGULAR 1u
#define FLAMENCO_FILE_DIRECTORY 2u

typedef struct flamenco_file_info {
    uint32_t struct_size;
    uint32_t kind; /* FLAMENCO_FILE_* */
    uint64_t size_bytes;
    int64_t modified_us;
} flamenco_file_info;

typedef struct flamenco_local_storage {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* The absolute path of the root. Valid until stop. [any] */
    flamenco_str (*root)(void *self);
    /* A job's directory relative to the root, "job-3f1c/3f1c9d52-…", written to out with a NUL. FULL: out is too small.
     * [any] */
    int32_t (*job_path)(void *self, const flamenco_uuid *job, char *out, uint64_t out_size, flamenco_error *err);
    /* Opens a job's directory, making it (0755) when `make` is 1. *fd_out: a directory descriptor, owned by the caller.
     * NOT_FOUND, IO, FULL. [worker] [any thread that may do file I/O] */
    int32_t (*job_dir)(void *self, const flamenco_uuid *job, uint32_t make, int32_t *fd_out, flamenco_error *err);
    /* Opens a file below the root for reading; never leaves the root, not even by a symbolic link. `path`: relative, '/'
     * between names, untrusted. *fd_out is owned by the caller. NOT_FOUND also for a path that would leave. [worker] */
    int32_t (*open_file)(void *self, flamenco_str path, int32_t *fd_out, flamenco_file_info *info_out,
                         flamenco_error *err);
    /* Removes a job's directory with all in it, and its parent when that is empty then. One that is missing is a success.
     * INVALID: the directory must never be removed (a file system's root, $HOME). [worker] */
    int32_t (*erase_job)(void *self, flamenco_cx *cx, const flamenco_uuid *job, flamenco_error *err);
} flamenco_local_storage;

#ifdef __cplusplus
}
#endif

#endif
