/* SPDX-License-Identifier: Apache-2.0
 *
 * job_dirs.h - the directories of the jobs whose logs were opened last. Each task has a file of its own, and finding the
 * job's directory takes three open() of the local storage. Used by log_storage.c.
 */
#ifndef FL_JOB_DIRS_H
#define FL_JOB_DIRS_H

#include <pthread.h>

#include "flamenco/plugin.h"

#define FL_JOB_DIRS 8
/* A directory is looked up anew after this long: somebody may have moved the storage, or mounted another over it. */
#define FL_JOB_DIRS_US 1000000

typedef struct fl_job_dir {
    flamenco_uuid job;
    int fd; /* -1: free */
    uint32_t users;
    uint32_t stale; /* closed when the last user is gone */
    int64_t found_us; /* monotonic */
} fl_job_dir;

typedef struct fl_job_dirs {
    pthread_mutex_t lock; /* never held while a file is opened */
    fl_job_dir dirs[FL_JOB_DIRS];
    uint32_t next; /* the place that is looked at first for a new one */
} fl_job_dirs;

/* Returns 0 or NOMEM. */
int32_t fl_job_dirs_init(fl_job_dirs *dirs);
/* Nobody may use a directory any more. */
void fl_job_dirs_fini(fl_job_dirs *dirs);
/* Closes what nobody uses. */
void fl_job_dirs_close_idle(fl_job_dirs *dirs);

/* Lends the descriptor of a job's directory; -1: it has to be looked up. Hand it back by fl_job_dirs_release(). */
int fl_job_dirs_find(fl_job_dirs *dirs, const flamenco_uuid *job, int64_t now_us);
/* Takes over a descriptor that was looked up just now, and lends it. */
void fl_job_dirs_add(fl_job_dirs *dirs, const flamenco_uuid *job, int fd, int64_t now_us);
/* gone: it could not be used, and is not lent again. */
void fl_job_dirs_release(fl_job_dirs *dirs, int fd, uint32_t gone);
/* The job is deleted. */
void fl_job_dirs_forget(fl_job_dirs *dirs, const flamenco_uuid *job);

#endif
