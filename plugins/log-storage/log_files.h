/* SPDX-License-Identifier: Apache-2.0
 *
 * log_files.h - the log files that are open for appending: found by task, bounded, the one longest unused closed first.
 * One entry per task, with a lock of its own, so that texts for one task never mix. Used by log_storage.c.
 */
#ifndef FL_LOG_FILES_H
#define FL_LOG_FILES_H

#include <pthread.h>

#include "flamenco/local_storage.h"
#include "flamenco/plugin.h"

#define FL_LOG_BUCKETS 1024

/* "task-", 36 characters of a UUID, ".txt", NUL */
#define FL_LOG_NAME_SIZE 46

typedef struct fl_log_file {
    struct fl_log_file *next_in_bucket;
    struct fl_log_file *newer, *older; /* in order of last use */
    flamenco_uuid job, task;
    uint32_t users; /* who holds or waits for the entry; only 0 may be closed. Under fl_log_files.lock */
    uint32_t reopen; /* 1: the descriptor is out of date. Under fl_log_files.lock */
    pthread_mutex_t lock;
    int fd; /* -1: not open. Under `lock`, or by whoever finds users 0 under fl_log_files.lock */
} fl_log_file;

typedef struct fl_log_files {
    const flamenco_host *host;
    pthread_mutex_t lock;
    fl_log_file *buckets[FL_LOG_BUCKETS];
    fl_log_file *newest, *oldest;
    uint64_t count, limit;
} fl_log_files;

/* Prepares an empty set, with room for one file. Returns 0 or NOMEM. */
int32_t fl_log_files_init(fl_log_files *files, const flamenco_host *host);
/* Closes all. Nobody may use an entry any more. */
void fl_log_files_fini(fl_log_files *files);

/* Finds or makes the entry of a task and takes its lock. NULL when memory is exhausted. Hand it back by
 * fl_log_files_release(). If the entry is out of date, its file has been closed. */
fl_log_file *fl_log_files_acquire(fl_log_files *files, const flamenco_uuid *job, const flamenco_uuid *task);
/* Unlocks the entry; it stays open, as long as there is room. */
void fl_log_files_release(fl_log_files *files, fl_log_file *file);

/* Closes the files of one job, at once or, where one is in use, before its next use. */
void fl_log_files_forget_job(fl_log_files *files, const flamenco_uuid *job);
/* Closes every file that is not in use, because descriptors have run out. */
void fl_log_files_close_idle(fl_log_files *files);

/* Writes a task's file name to out. */
void fl_log_name(const flamenco_host *host, const flamenco_uuid *task, char out[FL_LOG_NAME_SIZE]);

#endif
