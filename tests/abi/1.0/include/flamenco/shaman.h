/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/shaman.h - the service "flamenco.shaman/1": content-addressed storage of the artists' files (contract: shaman).
 * Called by the Shaman operations, by the job deleter, and by the command line's garbage collection. Uploads arrive in
 * pieces.
 *
 * A file is named by its SHA-256, 64 lower-case hexadecimal digits, and its size. Texts and sizes come from clients and are
 * passed on as they are: a checksum that is none, or a negative size, names a file that cannot exist. It is unknown, missing
 * from a checkout, and an upload of it ends with INVALID.
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
    int64_t size_bytes;
    flamenco_str sha;
    flamenco_str path; /* within the checkout; requirements does not look at it */
} flamenco_shaman_file;

/* A file that garbage collection would remove, or has removed. */
typedef struct flamenco_shaman_garbage {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t size_bytes;
    int64_t modified_us; /* when it was needed last */
    flamenco_str path; /* below the storage */
    flamenco_str reason; /* for people */
} flamenco_shaman_garbage;

/* A visitor: 0 to go on, else the collection ends with that error. The row is borrowed for the call. */
typedef int32_t (*flamenco_visit_garbage)(void *ctx, const flamenco_shaman_garbage *row);

/* What a collection came to (contract: shaman 6.3). */
typedef struct flamenco_shaman_collected {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t old_files; /* not needed for the configured time */
    uint64_t links_checked; /* in checkouts */
    uint64_t used_files; /* old ones that a checkout refers to */
    uint64_t unused_files; /* old ones that none refers to */
    uint64_t removed_files; /* 0 in a dry run */
    uint64_t freed_bytes; /* of those removed; in a dry run of those that would be */
    uint64_t stale_uploads; /* abandoned temporary files among the garbage */
} flamenco_shaman_collected;

typedef struct flamenco_shaman {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* 1 when the service is switched on: shaman.enabled, and there was a shared_storage_path when it started. It stays 1
     * while the storage cannot be reached; then methods fail with UNAVAILABLE, FULL or IO, and work again when it can. [any] */
    uint32_t (*is_active)(void *self);
    /* Fills `status` of n files, `stride` bytes apart; those that are stored count as needed now. [worker] */
    int32_t (*requirements)(void *self, flamenco_cx *cx, flamenco_shaman_file *files, uint64_t stride, uint64_t n,
                            flamenco_error *err);
    int32_t (*file_status)(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes, uint32_t *out,
                           flamenco_error *err); /* [worker] */
    /* An upload: begin, write as often as needed, then end (stored durably when it returns 0) or abort. One call at a time
     * for one upload, on any threads. begin: EXISTS when the file is stored already. write: EXISTS when another upload has
     * stored it meanwhile; INVALID when there are more bytes than size_bytes; both: abort, the rest need not be written.
     * end: INVALID when size or checksum differ, the text says how. All: FULL, IO, UNAVAILABLE. end and abort free `upload`.
     * original_name: for the log. [worker] */
    int32_t (*upload_begin)(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes,
                            flamenco_str original_name, flamenco_shaman_upload **out, flamenco_error *err);
    int32_t (*upload_write)(void *self, flamenco_shaman_upload *upload, const void *data, uint64_t len,
                            flamenco_error *err);
    int32_t (*upload_end)(void *self, flamenco_shaman_upload *upload, flamenco_error *err);
    void (*upload_abort)(void *self, flamenco_shaman_upload *upload);
    /* Makes a checkout, complete and durable; *path_out is the name that it got, in the arena of cx. INVALID: a bad path;
     * NOT_FOUND: a file is not stored; EXISTS: no unused name; CONFLICT: two files want one place. After a failure nothing
     * is left of it, and nothing else was touched. [worker] */
    int32_t (*checkout)(void *self, flamenco_cx *cx, flamenco_str wanted_path, const flamenco_shaman_file *files,
                        uint64_t stride, uint64_t n, flamenco_str *path_out, flamenco_error *err);
    /* Removes a checkout; one that is missing is a success. INVALID: no path of a checkout. [worker] */
    int32_t (*erase_checkout)(void *self, flamenco_cx *cx, flamenco_str checkout_id, flamenco_error *err);

    /* -- optional -- */

    /* Collects garbage; dry_run 1: only visits what would go. visit may be NULL. Ends early, removing nothing more, when cx
     * is cancelled or past its deadline. out is filled as far as it came, also on failure. BUSY: another run is under way.
     * [worker] */
    int32_t (*collect)(void *self, flamenco_cx *cx, uint32_t dry_run, flamenco_visit_garbage visit, void *ctx,
                       flamenco_shaman_collected *out, flamenco_error *err);
} flamenco_shaman;

#ifdef __cplusplus
}
#endif

#endif
