/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/shaman.h - the service "flamenco.shaman/1": content-addressed storage of the artists' files (contract: shaman).
 * Called by the four Shaman operations, by job submission and by the job deleter. Uploads arrive in pieces.
 */
#ifndef FLAMENCO_SHAMAN_H
#define FLAMENCO_SHAMAN_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_SHAMAN "flamenco.shaman/1"

#define FLAMENCO_SHAMAN_UNKNOWN 0u
#define FLAMENCO_SHAMAN_UPLOADING 1u
#define FLAMENCO_SHAMAN_STORED 2u

typedef struct flamenco_shaman_upload flamenco_shaman_upload; /* the plugin's */

typedef struct flamenco_shaman_file {
    uint32_t struct_size;
    uint32_t status; /* FLAMENCO_SHAMAN_*, filled by requirements */
    uint64_t size_bytes;
    flamenco_str sha; /* as sent by the client, untrusted */
    flamenco_str path; /* the same */
} flamenco_shaman_file;

/* A blob that garbage collection would remove, or has removed. */
typedef struct flamenco_shaman_garbage {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t size_bytes;
    int64_t modified_us;
    flamenco_str path; /* below the storage */
    flamenco_str reason; /* for people */
} flamenco_shaman_garbage;

typedef int32_t (*flamenco_visit_garbage)(void *ctx, const flamenco_shaman_garbage *row);

typedef struct flamenco_shaman {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* 1 when the service is switched on and its storage can be used. [any] */
    uint32_t (*is_active)(void *self);
    /* Fills `status` of each file. INVALID names the file. [worker] */
    int32_t (*requirements)(void *self, flamenco_cx *cx, flamenco_shaman_file *files, uint64_t n, flamenco_error *err);
    int32_t (*file_status)(void *self, flamenco_cx *cx, flamenco_str sha, uint64_t size_bytes, uint32_t *out,
                           flamenco_error *err); /* [worker] */
    /* An upload: begin, write as often as needed, then end (stored durably when it returns 0) or abort. EXISTS: the blob is
     * stored already. end: INVALID size or checksum differ; FULL, IO. end and abort free *upload. original_name: for the
     * log. [worker] */
    int32_t (*upload_begin)(void *self, flamenco_cx *cx, flamenco_str sha, uint64_t size_bytes,
                            flamenco_str original_name, flamenco_shaman_upload **out, flamenco_error *err);
    int32_t (*upload_write)(void *self, flamenco_shaman_upload *upload, const void *data, uint64_t len,
                            flamenco_error *err);
    int32_t (*upload_end)(void *self, flamenco_shaman_upload *upload, flamenco_error *err);
    void (*upload_abort)(void *self, flamenco_shaman_upload *upload);
    /* Makes a checkout; *path_out is the name that it got, in the arena of cx. INVALID: a bad path; NOT_FOUND: a blob is
     * missing; EXISTS: no unused name. [worker] */
    int32_t (*checkout)(void *self, flamenco_cx *cx, flamenco_str wanted_path, const flamenco_shaman_file *files,
                        uint64_t n, flamenco_str *path_out, flamenco_error *err);
    /* Removes a checkout; one that is missing is a success. [worker] */
    int32_t (*erase_checkout)(void *self, flamenco_cx *cx, flamenco_str checkout_id, flamenco_error *err);

    /* -- optional -- */

    /* Collects garbage; dry_run 1: only visits. [worker] */
    int32_t (*collect)(void *self, flamenco_cx *cx, uint32_t dry_run, flamenco_visit_garbage visit, void *ctx,
                       flamenco_error *err);
} flamenco_shaman;

#ifdef __cplusplus
}
#endif

#endif
