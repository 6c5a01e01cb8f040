/* SPDX-License-Identifier: Apache-2.0
 *
 * log_files.c - see log_files.h. Two kinds of lock: the set's, held for a few instructions and never while a file is
 * opened or written; an entry's, held while its file is. The entry's is taken while no other is held, and `users` keeps
 * the entry alive meanwhile.
 */
#include "log_files.h"

#include <unistd.h>

int32_t fl_log_files_init(fl_log_files *files, const flamenco_host *host)
{
    memset(files, 0, sizeof(*files));
    files->host = host;
    files->limit = 1;
    return pthread_mutex_init(&files->lock, NULL) == 0 ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

static fl_log_file **bucket_of(fl_log_files *files, const flamenco_uuid *task)
{
    /* The end of a UUID is random in every version. */
    uint32_t hash;
    memcpy(&hash, task->b + 12, sizeof(hash));
    return &files->buckets[hash % FL_LOG_BUCKETS];
}

static void unlink_age(fl_log_files *files, fl_log_file *file)
{
    *(file->newer != NULL ? &file->newer->older : &files->newest) = file->older;
    *(file->older != NULL ? &file->older->newer : &files->oldest) = file->newer;
}

static void link_newest(fl_log_files *files, fl_log_file *file)
{
    file->newer = NULL;
    file->older = files->newest;
    *(files->newest != NULL ? &files->newest->newer : &files->oldest) = file;
    files->newest = file;
}

/* Takes an entry that nobody uses out of the set and puts it on a list. The set's lock is held. */
static void take_out(fl_log_files *files, fl_log_file *file, fl_log_file **list)
{
    fl_log_file **at = bucket_of(files, &file->task);
    while (*at != file)
        at = &(*at)->next_in_bucket;
    *at = file->next_in_bucket;
    unlink_age(files, file);
    --files->count;
    file->next_in_bucket = *list;
    *list = file;
}

/* Closes and frees what take_out() listed. No lock is held: a network file system may take its time to close. */
static void close_all(fl_log_files *files, fl_log_file *list)
{
    while (list != NULL) {
        fl_log_file *next = list->next_in_bucket;
        if (list->fd >= 0)
            close(list->fd);
        pthread_mutex_destroy(&list->lock);
        files->host->free(files->host->h, list);
        list = next;
    }
}

/* Takes out idle entries, oldest first, until at most `limit` are left or all are in use. The set's lock is held. */
static fl_log_file *shrink(fl_log_files *files, uint64_t limit)
{
    fl_log_file *list = NULL;
    for (fl_log_file *file = files->oldest; file != NULL && files->count > limit;) {
        fl_log_file *newer = file->newer;
        if (file->users == 0)
            take_out(files, file, &list);
        file = newer;
    }
    return list;
}

void fl_log_files_fini(fl_log_files *files)
{
    close_all(files, shrink(files, 0));
    pthread_mutex_destroy(&files->lock);
}

static fl_log_file *find(fl_log_files *files, const flamenco_uuid *task)
{
    fl_log_file *file = *bucket_of(files, task);
    while (file != NULL && memcmp(&file->task, task, sizeof(*task)) != 0)
        file = file->next_in_bucket;
    return file;
}

/* Makes an entry without a file. The set's lock is held. */
static fl_log_file *add(fl_log_files *files, const flamenco_uuid *job, const flamenco_uuid *task)
{
    fl_log_file *file = files->host->alloc(files->host->h, sizeof(*file));
    if (file == NULL)
        return NULL;
    memset(file, 0, sizeof(*file));
    if (pthread_mutex_init(&file->lock, NULL) != 0) {
        files->host->free(files->host->h, file);
        return NULL;
    }
    file->job = *job;
    file->task = *task;
    file->fd = -1;
    fl_log_file **bucket = bucket_of(files, task);
    file->next_in_bucket = *bucket;
    *bucket = file;
    link_newest(files, file);
    ++files->count;
    return file;
}

fl_log_file *fl_log_files_acquire(fl_log_files *files, const flamenco_uuid *job, const flamenco_uuid *task)
{
    pthread_mutex_lock(&files->lock);
    fl_log_file *file = find(files, task);
    if (file == NULL) {
        file = add(files, job, task);
        if (file == NULL) {
            pthread_mutex_unlock(&files->lock);
            return NULL;
        }
    } else {
        unlink_age(files, file);
        link_newest(files, file);
    }
    ++file->users;
    fl_log_file *idle = shrink(files, files->limit);
    pthread_mutex_unlock(&files->lock);
    close_all(files, idle);

    pthread_mutex_lock(&file->lock);
    pthread_mutex_lock(&files->lock);
    uint32_t reopen = file->reopen;
    file->reopen = 0;
    pthread_mutex_unlock(&files->lock);
    if (reopen && file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
    return file;
}

void fl_log_files_release(fl_log_files *files, fl_log_file *file)
{
    pthread_mutex_unlock(&file->lock);
    pthread_mutex_lock(&files->lock);
    --file->users;
    fl_log_file *idle = shrink(files, files->limit);
    pthread_mutex_unlock(&files->lock);
    close_all(files, idle);
}

void fl_log_files_forget_job(fl_log_files *files, const flamenco_uuid *job)
{
    fl_log_file *idle = NULL;
    pthread_mutex_lock(&files->lock);
    for (fl_log_file *file = files->oldest; file != NULL;) {
        fl_log_file *newer = file->newer;
        if (memcmp(&file->job, job, sizeof(*job)) == 0) {
            if (file->users == 0)
                take_out(files, file, &idle);
            else
                file->reopen = 1;
        }
        file = newer;
    }
    pthread_mutex_unlock(&files->lock);
    close_all(files, idle);
}

void fl_log_files_close_idle(fl_log_files *files)
{
    pthread_mutex_lock(&files->lock);
    fl_log_file *idle = shrink(files, 0);
    pthread_mutex_unlock(&files->lock);
    close_all(files, idle);
}

void fl_log_name(const flamenco_host *host, const flamenco_uuid *task, char out[FL_LOG_NAME_SIZE])
{
    memcpy(out, "task-", 6);
    host->uuid_format(task, out + 5);
    memcpy(out + 41, ".txt", 5);
}
