/* SPDX-License-Identifier: Apache-2.0
 *
 * job_dirs.c - see job_dirs.h.
 */
#include "job_dirs.h"

#include <unistd.h>

static int is_of(const fl_job_dir *dir, const flamenco_uuid *job)
{
    return dir->fd >= 0 && !dir->stale && memcmp(&dir->job, job, sizeof(*job)) == 0;
}

/* Closes it, or has its last user do so. The lock is held. */
static void drop(fl_job_dir *dir)
{
    dir->stale = 1;
    if (dir->fd >= 0 && dir->users == 0) {
        close(dir->fd);
        dir->fd = -1;
    }
}

int32_t fl_job_dirs_init(fl_job_dirs *dirs)
{
    memset(dirs, 0, sizeof(*dirs));
    for (int i = 0; i < FL_JOB_DIRS; ++i)
        dirs->dirs[i].fd = -1;
    return pthread_mutex_init(&dirs->lock, NULL) == 0 ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

void fl_job_dirs_close_idle(fl_job_dirs *dirs)
{
    pthread_mutex_lock(&dirs->lock);
    for (int i = 0; i < FL_JOB_DIRS; ++i)
        drop(&dirs->dirs[i]);
    pthread_mutex_unlock(&dirs->lock);
}

void fl_job_dirs_fini(fl_job_dirs *dirs)
{
    fl_job_dirs_close_idle(dirs);
    pthread_mutex_destroy(&dirs->lock);
}

int fl_job_dirs_find(fl_job_dirs *dirs, const flamenco_uuid *job, int64_t now_us)
{
    int fd = -1;
    pthread_mutex_lock(&dirs->lock);
    for (int i = 0; i < FL_JOB_DIRS && fd < 0; ++i) {
        fl_job_dir *dir = &dirs->dirs[i];
        if (!is_of(dir, job))
            continue;
        if (now_us - dir->found_us >= FL_JOB_DIRS_US) {
            drop(dir);
            continue;
        }
        ++dir->users;
        fd = dir->fd;
    }
    pthread_mutex_unlock(&dirs->lock);
    return fd;
}

/* A place for a new one; NULL: all are in use. The lock is held. */
static fl_job_dir *find_place(fl_job_dirs *dirs)
{
    for (uint32_t i = 0; i < FL_JOB_DIRS; ++i) {
        fl_job_dir *dir = &dirs->dirs[(dirs->next + i) % FL_JOB_DIRS];
        if (dir->fd >= 0 && dir->users > 0)
            continue;
        drop(dir);
        dirs->next = (dirs->next + i + 1) % FL_JOB_DIRS;
        return dir;
    }
    return NULL;
}

void fl_job_dirs_add(fl_job_dirs *dirs, const flamenco_uuid *job, int fd, int64_t now_us)
{
    pthread_mutex_lock(&dirs->lock);
    fl_job_dir *dir = find_place(dirs);
    if (dir != NULL)
        *dir = (fl_job_dir){ .job = *job, .fd = fd, .users = 1, .found_us = now_us };
    pthread_mutex_unlock(&dirs->lock);
}

void fl_job_dirs_release(fl_job_dirs *dirs, int fd, uint32_t gone)
{
    int kept = 0;
    pthread_mutex_lock(&dirs->lock);
    for (int i = 0; i < FL_JOB_DIRS && !kept; ++i) {
        fl_job_dir *dir = &dirs->dirs[i];
        if (dir->fd != fd)
            continue;
        kept = 1;
        --dir->users;
        if (gone || dir->stale)
            drop(dir);
    }
    pthread_mutex_unlock(&dirs->lock);
    if (!kept) /* there was no place for it */
        close(fd);
}

void fl_job_dirs_forget(fl_job_dirs *dirs, const flamenco_uuid *job)
{
    pthread_mutex_lock(&dirs->lock);
    for (int i = 0; i < FL_JOB_DIRS; ++i) {
        if (is_of(&dirs->dirs[i], job))
            drop(&dirs->dirs[i]);
    }
    pthread_mutex_unlock(&dirs->lock);
}
