/* SPDX-License-Identifier: Apache-2.0
 *
 * log_storage.c - the service "flamenco.log_storage/1": task logs as files in the local storage (contract:
 * state-and-scheduling 15, api-behaviour 7.7). The publisher appends, handlers read.
 */
#include "flamenco/log_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "flamenco/local_storage.h"
#include "job_dirs.h"
#include "log_files.h"
#include "rotate.h"

typedef struct log_storage {
    const flamenco_host *host;
    const flamenco_config *config;
    const flamenco_local_storage *storage; /* from start to stop */
    void *storage_self;
    fl_log_files files;
    fl_job_dirs dirs;
} log_storage;

static int32_t fail_errno(const log_storage *logs, flamenco_error *err, const char *what, const flamenco_uuid *task)
{
    int number = errno;
    char name[37], reason[128];
    int32_t code = FLAMENCO_E_IO;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        code = FLAMENCO_E_FULL;
    else if (number == ENOMEM)
        code = FLAMENCO_E_NOMEM;
    logs->host->uuid_format(task, name);
    return flamenco_fail(err, code, "cannot %s the log of task %s: %s", what, name,
                         strerror_r(number, reason, sizeof(reason)));
}

/* Opens the file of an entry, whose lock is held. */
static int32_t open_for_append(log_storage *logs, fl_log_file *file, flamenco_error *err)
{
    char name[FL_LOG_NAME_SIZE];
    fl_log_name(logs->host, &file->task, name);
    for (int tries = 0;; ++tries) {
        int64_t now_us = logs->host->monotonic_us(logs->host->h);
        int32_t dir_fd = fl_job_dirs_find(&logs->dirs, &file->job, now_us);
        int gone = 0;
        int32_t rc = FLAMENCO_OK;
        if (dir_fd < 0) {
            rc = logs->storage->job_dir(logs->storage_self, &file->job, 1, &dir_fd, err);
            if (rc == FLAMENCO_OK)
                fl_job_dirs_add(&logs->dirs, &file->job, dir_fd, now_us);
        }
        if (rc == FLAMENCO_OK) {
            file->fd = openat(dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
            int number = errno;
            fl_job_dirs_release(&logs->dirs, dir_fd, file->fd < 0);
            if (file->fd >= 0)
                return FLAMENCO_OK;
            /* The directory was erased between the two steps. */
            gone = number == ENOENT;
            errno = number;
            rc = fail_errno(logs, err, "open", &file->task);
        }
        if (tries > 0 || (rc != FLAMENCO_E_IO && !gone))
            return rc;
        /* Descriptors may have run out, and idle logs hold some of them. */
        if (!gone) {
            fl_job_dirs_close_idle(&logs->dirs);
            fl_log_files_close_idle(&logs->files);
        }
    }
}

/* Writes the text and a newline, if it has none. What a failure left of it is cut off again, so that the next text begins
 * on a line of its own. */
static int32_t write_whole(const log_storage *logs, const fl_log_file *file, flamenco_str text, int64_t size_before,
                           flamenco_error *err)
{
    uint64_t newline = text.ptr[text.len - 1] != '\n';
    uint64_t total = text.len + newline, done = 0;
    while (done < total) {
        struct iovec parts[2];
        int n = 0;
        if (done < text.len) {
            /* iov_base is not const, though writev() only reads. */
            parts[n].iov_base = (void *)(uintptr_t)(text.ptr + done);
            parts[n++].iov_len = (size_t)(text.len - done);
        }
        if (newline) {
            parts[n].iov_base = (void *)(uintptr_t) "\n";
            parts[n++].iov_len = 1;
        }
        ssize_t written = writev(file->fd, parts, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            int32_t rc = fail_errno(logs, err, "write to", &file->task);
            if (done > 0 && ftruncate(file->fd, size_before) != 0)
                return fail_errno(logs, err, "repair", &file->task);
            return rc;
        }
        done += (uint64_t)written;
    }
    return FLAMENCO_OK;
}

static int32_t append_locked(log_storage *logs, fl_log_file *file, flamenco_str text, flamenco_error *err)
{
    struct stat st;
    /* Somebody may have removed the file, or the directory with it: then it is made anew. */
    if (file->fd >= 0 && (fstat(file->fd, &st) != 0 || st.st_nlink == 0)) {
        close(file->fd);
        file->fd = -1;
    }
    if (file->fd < 0) {
        int32_t rc = open_for_append(logs, file, err);
        if (rc != FLAMENCO_OK)
            return rc;
        if (fstat(file->fd, &st) != 0)
            return fail_errno(logs, err, "look at", &file->task);
    }
    int32_t rc = FLAMENCO_OK;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        rc = fail_errno(logs, err, "write to", &file->task);
    } else {
        rc = write_whole(logs, file, text, (int64_t)st.st_size, err);
    }
    if (rc != FLAMENCO_OK) {
        /* A descriptor that failed may be stale (a network file system that came back): the next text opens anew. */
        close(file->fd);
        file->fd = -1;
    }
    return rc;
}

static int32_t append(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                      flamenco_error *err)
{
    log_storage *logs = self;
    if (text.len == 0)
        return FLAMENCO_OK;
    fl_log_file *file = fl_log_files_acquire(&logs->files, job, task);
    if (file == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = append_locked(logs, file, text, err);
    fl_log_files_release(&logs->files, file);
    return rc;
}

/* Finds a log that is not empty. *path_out lives in the arena of cx, *fd_out is the caller's. */
static int32_t open_for_read(const log_storage *logs, flamenco_cx *cx, const flamenco_uuid *job,
                             const flamenco_uuid *task, flamenco_str *path_out, int32_t *fd_out, uint64_t *size_out,
                             flamenco_error *err)
{
    const size_t room = 128;
    char *path = logs->host->cx_alloc(cx, room);
    if (path == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = logs->storage->job_path(logs->storage_self, job, path, room - FL_LOG_NAME_SIZE - 1, err);
    if (rc != FLAMENCO_OK)
        return rc;
    size_t len = strlen(path);
    path[len++] = '/';
    fl_log_name(logs->host, task, path + len);
    flamenco_file_info info = { .struct_size = (uint32_t)sizeof(info) };
    flamenco_str found = flamenco_text(path);
    rc = logs->storage->open_file(logs->storage_self, found, fd_out, &info, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (info.kind != FLAMENCO_FILE_REGULAR || info.size_bytes == 0) {
        close(*fd_out);
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the log is empty");
    }
    *path_out = found;
    *size_out = info.size_bytes;
    return FLAMENCO_OK;
}

static int32_t info(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    flamenco_log_info *out, flamenco_error *err)
{
    flamenco_log_info found = { .struct_size = (uint32_t)sizeof(found) };
    int32_t fd = -1;
    int32_t rc = open_for_read(self, cx, job, task, &found.path, &fd, &found.size_bytes, err);
    if (rc != FLAMENCO_OK)
        return rc;
    close(fd);
    if (found.struct_size > out->struct_size)
        found.struct_size = out->struct_size;
    memcpy(out, &found, found.struct_size);
    return FLAMENCO_OK;
}

static int32_t tail(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    uint64_t max_bytes, flamenco_str *out, flamenco_error *err)
{
    const log_storage *logs = self;
    flamenco_str path;
    uint64_t size = 0;
    int32_t fd = -1;
    int32_t rc = open_for_read(logs, cx, job, task, &path, &fd, &size, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint64_t len = size < max_bytes ? size : max_bytes, got = 0;
    char *text = logs->host->cx_alloc(cx, len > 0 ? len : 1);
    if (text == NULL) {
        close(fd);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    while (rc == FLAMENCO_OK && got < len) {
        ssize_t n = pread(fd, text + got, (size_t)(len - got), (off_t)(size - len + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = fail_errno(logs, err, "read", task);
        if (n <= 0)
            break;
        got += (uint64_t)n;
    }
    close(fd);
    if (rc != FLAMENCO_OK)
        return rc;
    *out = (flamenco_str){ text, got };
    if (size > max_bytes && got > 0) {
        const char *newline = memchr(text, '\n', (size_t)got);
        if (newline != NULL && newline != text + got - 1) {
            out->ptr = newline + 1;
            out->len = got - (uint64_t)(newline + 1 - text);
        }
    }
    return FLAMENCO_OK;
}

static void forget_job(void *self, const flamenco_uuid *job)
{
    log_storage *logs = self;
    fl_job_dirs_forget(&logs->dirs, job);
    fl_log_files_forget_job(&logs->files, job);
}

static int32_t rotate(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_error *err)
{
    log_storage *logs = self;
    char name[FL_LOG_NAME_SIZE];
    int32_t dir_fd = -1;
    int32_t rc = logs->storage->job_dir(logs->storage_self, job, 0, &dir_fd, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK;
    if (rc != FLAMENCO_OK)
        return rc;
    fl_log_file *file = fl_log_files_acquire(&logs->files, job, task);
    if (file == NULL) {
        close(dir_fd);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
    fl_log_name(logs->host, task, name);
    rc = fl_log_rotate(logs->host, dir_fd, name, err);
    fl_log_files_release(&logs->files, file);
    close(dir_fd);
    return rc;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    log_storage *logs = host->alloc(host->h, sizeof(*logs));
    if (logs == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(logs, 0, sizeof(*logs));
    logs->host = host;
    if (fl_job_dirs_init(&logs->dirs) != FLAMENCO_OK) {
        host->free(host->h, logs);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    if (fl_log_files_init(&logs->files, host) != FLAMENCO_OK) {
        fl_job_dirs_fini(&logs->dirs);
        host->free(host->h, logs);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    *self_out = logs;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    log_storage *logs = self;
    (void)err;
    logs->config = config;
    logs->files.limit = (uint64_t)config->integer(config->c, "open_files");
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    log_storage *logs = self;
    logs->storage = logs->host->service(logs->host->h, FLAMENCO_LOCAL_STORAGE, &logs->storage_self);
    if (logs->storage == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "%s is missing", FLAMENCO_LOCAL_STORAGE);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    log_storage *logs = self;
    (void)deadline_us;
    (void)err;
    fl_log_files_close_idle(&logs->files);
    fl_job_dirs_close_idle(&logs->dirs);
    logs->storage = NULL;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    log_storage *logs = self;
    if (logs == NULL)
        return;
    fl_log_files_fini(&logs->files);
    fl_job_dirs_fini(&logs->dirs);
    logs->host->free(logs->host->h, logs);
}

static const flamenco_log_storage table = {
    .struct_size = (uint32_t)sizeof(flamenco_log_storage),
    .append = append,
    .info = info,
    .tail = tail,
    .forget_job = forget_job,
    .rotate = rotate,
};

static const flamenco_provide logs_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_LOG_STORAGE, &table };
static const flamenco_provide *const provides[] = { &logs_provide, NULL };

static const flamenco_need storage_need = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_LOCAL_STORAGE,
    .least_table_size = (uint32_t)(offsetof(flamenco_local_storage, open_file) + sizeof(void *)),
};
static const flamenco_need *const needs[] = { &storage_need, NULL };

static const flamenco_setting open_files_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "open_files",
    .default_text = "256",
    .min = 1,
    .max = 65536,
    .doc = "How many log files are kept open between two writes.",
};
static const flamenco_setting *const settings[] = { &open_files_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "log-storage", .version = "0.1.0",   .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,      .settings = settings, .create = create,
    .configure = configure, .start = start,      .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
