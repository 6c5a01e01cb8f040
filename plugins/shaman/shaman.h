/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman.h - what the files of this plugin share: the instance, and what each file offers the others.
 *
 *   keys.c      names: checksums, blob paths, checkout and file paths of clients
 *   parts.c     several threads
 *   places.c    opening directories of the storage without following links
 *   blobs.c     is a file stored, is it needed
 *   uploads.c   receiving a file; nameless.c: small ones, for less; direct.c: large ones, past the page cache
 *   checkout.c  directories of links
 *   erase.c     removing trees
 *   collect.c   garbage collection; collector.c: its thread
 */
#ifndef FL_SHAMAN_H
#define FL_SHAMAN_H

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "flamenco/shaman.h"

#define FL_SH_SHA_LEN 64
#define FL_SH_MINUTE_US INT64_C(60000000)
#define FL_SH_DAY_US INT64_C(86400000000)

typedef struct shaman {
    const flamenco_host *host;
    const flamenco_config *config;
    char root[PATH_MAX]; /* shared_storage_path; empty: not active */
    uint64_t root_device; /* of root when it was seen last; 0 = never. Under `lock` */
    int64_t period_us, max_age_us; /* as they were at start: a change counts after a restart (contract 1) */
    EVP_MD *sha256;
    int direct_io; /* large files may be written past the page cache */
    int has_proc; /* a file without a name gets one by /proc/self/fd */
    /* Read-held while files are found and marked as needed, write-held while garbage is removed: nothing is removed between
     * the two. Not across processes: there, flock() on the directory of blobs does the same as well as it can. */
    pthread_rwlock_t hold;
    pthread_mutex_t lock; /* short: the members below */
    struct flamenco_shaman_upload *uploads; /* under way */
    uint8_t synced[32]; /* a bit per directory stored/XX whose entry is known to be durable */
    int64_t touch_log_us; /* a failed touch was logged last */
    int collecting;
    uint32_t n_direct; /* uploads that write past the page cache; with lock */

    pthread_t collector; /* collector.c */
    pthread_cond_t collector_wake; /* with lock */
    int collector_runs, collector_wanted;
    uint32_t stopping; /* atomic */
} shaman;

/* ---- keys.c ---- */

/* A file that may exist. */
typedef struct fl_sh_key {
    char sha[FL_SH_SHA_LEN + 1];
    int64_t size;
} fl_sh_key;

/* Returns 1, or 0 when no file can have this name. */
int fl_sh_key_make(flamenco_str sha, int64_t size, fl_sh_key *out);
/* Writes "b9/4d27…" and "11.blob". */
#define FL_SH_DIR_MAX (FL_SH_SHA_LEN + 2)
#define FL_SH_NAME_MAX 40
void fl_sh_key_dir(const fl_sh_key *key, char out[FL_SH_DIR_MAX]);
void fl_sh_key_name(const fl_sh_key *key, char out[FL_SH_NAME_MAX]);
/* Finds the key in a path that ends in "/b9/4d27…/11.blob". Returns 1, or 0. */
int fl_sh_key_of_path(const char *path, size_t len, fl_sh_key *out);

/* A client's path, split. The components are NUL-terminated. */
typedef struct fl_sh_path {
    char *text; /* the components with NUL between; the caller's to free with host->free */
    uint32_t n;
    uint32_t len; /* of text, the last NUL not counted */
} fl_sh_path;

#define FL_SH_UNNAMED "unnamed" /* the checkout of a job without a name */

/* Checks the path of a checkout and splits it (contract 4.1, decisions). name_out gets the text that is returned to the
 * client and gets suffixes, NUL-terminated, in the memory of out->text. INVALID; NOMEM. */
int32_t fl_sh_checkout_path(const flamenco_host *host, flamenco_str wanted, fl_sh_path *out, const char **name_out,
                            flamenco_error *err);
/* The same of a file in a checkout: backslashes separate, too. */
int32_t fl_sh_file_path(const flamenco_host *host, flamenco_str wanted, fl_sh_path *out, flamenco_error *err);
/* The component after this one. */
static inline const char *fl_sh_next(const char *component)
{
    return component + strlen(component) + 1;
}
static inline const char *fl_sh_last(const fl_sh_path *path)
{
    const char *component = path->text;
    for (uint32_t i = 1; i < path->n; ++i)
        component = fl_sh_next(component);
    return component;
}

/* ---- places.c ---- */

#define FL_SH_STORED "file-store/stored"
#define FL_SH_UPLOADING "file-store/uploading"
#define FL_SH_JOBS "jobs"

/* Fills err with "WHAT NAME: REASON" for errno and returns the FLAMENCO_E_* that stands for it: FULL, NOMEM, UNAVAILABLE
 * (the storage is not there), else IO. */
int32_t fl_sh_fail_errno(flamenco_error *err, const char *what, const char *name);

/* Makes what is missing of the three directories, and the parents of the storage. Used at start. */
int32_t fl_sh_make_places(shaman *s, flamenco_error *err);

/* Opens one of the three, making it when the storage is there but the directory is not. *fd_out is the caller's. */
int32_t fl_sh_open_place(shaman *s, const char *place, int *fd_out, flamenco_error *err);

/* Opens a path below dir_fd of which no component is a symbolic link. flags: of open(2). Returns -1 with errno. */
int fl_sh_open_below(int dir_fd, const char *path, int flags);

/* Opens the directory "b9/4d27…" below dir_fd, O_RDONLY, and makes it. made_out gets bit 0: the inner directory is new, bit 1:
 * the outer one is. Returns -1 with errno. */
int fl_sh_make_key_dir(int dir_fd, const char *key_dir, uint32_t *made_out);
/* 0xb9 for "b9/4d27…". */
unsigned fl_sh_outer_number(const char *key_dir);
/* Removes both when they are empty. */
void fl_sh_drop_key_dir(shaman *s, int dir_fd, const char *key_dir, int is_stored);

/* Tells whether the file system makes changes of directories durable in their order: it has one journal, or none on this
 * side. Then the sync of what was changed last covers all that was changed before. */
int fl_sh_is_ordered(int fd);

/* Takes `hold`, and flock on the directory of blobs. Not to be nested. */
void fl_sh_hold(shaman *s, int stored_fd, int exclusive);
void fl_sh_release(shaman *s, int stored_fd);

int fl_sh_is_stopping(const shaman *s);

/* ---- parts.c ---- */

/* Works on the items from..to-1. */
typedef int32_t (*fl_sh_part)(void *ctx, uint64_t from, uint64_t to, flamenco_error *err);
/* Has n items worked on, many of them on several threads at a time. Returns 0, or the first part's error. */
int32_t fl_sh_in_parts(uint64_t n, fl_sh_part run, void *ctx, flamenco_error *err);
/* Starts a thread that blocks all signals: they are the manager's. 0 or NOMEM. */
int32_t fl_sh_thread(pthread_t *thread, void *(*run)(void *ctx), void *ctx);

/* ---- blobs.c ---- */

/* Looks for a blob below the open directory `stored`. needed 1: it counts as needed now. Returns 1, 0, or -1 with errno. */
int fl_sh_blob_look(shaman *s, int stored_fd, const fl_sh_key *key, int needed);

int32_t fl_sh_requirements(void *self, flamenco_cx *cx, flamenco_shaman_file *files, uint64_t stride, uint64_t n,
                           flamenco_error *err);
int32_t fl_sh_file_status(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes, uint32_t *out,
                          flamenco_error *err);

/* ---- uploads.c ---- */

int fl_sh_is_uploading(shaman *s, const fl_sh_key *key);
int32_t fl_sh_upload_begin(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes,
                           flamenco_str original_name, flamenco_shaman_upload **out, flamenco_error *err);
int32_t fl_sh_upload_write(void *self, flamenco_shaman_upload *upload, const void *data, uint64_t len,
                           flamenco_error *err);
int32_t fl_sh_upload_end(void *self, flamenco_shaman_upload *upload, flamenco_error *err);
void fl_sh_upload_abort(void *self, flamenco_shaman_upload *upload);

/* ---- nameless.c ---- */

/* Makes a file without a name beside the blobs. Returns -1 where that is not possible, or not known to be safe. */
int fl_sh_nameless_make(shaman *s, int stored_fd);
/* Writes the file out and makes it the blob of this name, durably. The descriptor stays the caller's. */
int32_t fl_sh_nameless_place(int fd, int stored_fd, const fl_sh_key *key, const char *key_dir, flamenco_error *err);

/* ---- direct.c ---- */

/* A large file that is written past the page cache. */
typedef struct fl_sh_direct fl_sh_direct;
/* Begins with the empty file `name` in dir_fd, which cached_fd is open on for writing; that stays the caller's, and open
 * until the end. Returns NULL where this is not possible or not known to be cheaper: the file is then to be written there. */
fl_sh_direct *fl_sh_direct_begin(shaman *s, int dir_fd, const char *name, int cached_fd);
/* Takes bytes; waits for the disk when it is behind. Returns 0, or -1 with errno, also of what was taken before. */
int fl_sh_direct_write(fl_sh_direct *d, const char *data, uint64_t len);
/* Has the file take all that was given; to be synced by the caller. Nothing may be written afterwards. 0, or -1 with errno. */
int fl_sh_direct_flush(fl_sh_direct *d);
/* NULL is fine. */
void fl_sh_direct_free(fl_sh_direct *d);

/* ---- checkout.c, erase.c ---- */

int32_t fl_sh_checkout(void *self, flamenco_cx *cx, flamenco_str wanted_path, const flamenco_shaman_file *files,
                       uint64_t stride, uint64_t n, flamenco_str *path_out, flamenco_error *err);
int32_t fl_sh_erase_checkout(void *self, flamenco_cx *cx, flamenco_str checkout_id, flamenco_error *err);
/* Opens the directory that the last component of `path` stands in, following no link. *last_out is that component. Returns -1
 * with errno. */
int fl_sh_open_parent(int jobs_fd, const fl_sh_path *path, const char **last_out);
/* Removes the directory `name` below parent_fd with all that is in it, following no link. One that is gone is fine. */
int32_t fl_sh_erase_tree(int parent_fd, const char *name, flamenco_error *err);

/* ---- collect.c, collector.c ---- */

int32_t fl_sh_collect(void *self, flamenco_cx *cx, uint32_t dry_run, flamenco_visit_garbage visit, void *ctx,
                      flamenco_shaman_collected *out, flamenco_error *err);
/* Removes temporary files that nobody writes to any more; min_age_us 0: at start. Counts them in *n_out. */
int32_t fl_sh_drop_stale(shaman *s, flamenco_cx *cx, int64_t min_age_us, uint32_t dry_run, flamenco_visit_garbage visit,
                         void *ctx, flamenco_shaman_collected *out, flamenco_error *err);
int32_t fl_sh_collector_start(shaman *s, flamenco_error *err);
void fl_sh_collector_stop(shaman *s);

#endif
