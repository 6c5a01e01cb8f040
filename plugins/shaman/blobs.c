/* SPDX-License-Identifier: Apache-2.0
 *
 * blobs.c - whether a file is stored. The tree of directories is the whole state: each question looks at the disk. A blob's
 * modification time tells when somebody needed it last.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A blob that was needed a moment ago is not marked again: the times are compared with hours. */
#define FRESH_S 60

static void log_touch(shaman *s, const char *name, int number)
{
    char reason[128];
    int64_t now = s->host->monotonic_us(s->host->h);
    pthread_mutex_lock(&s->lock);
    int news = s->touch_log_us == 0 || now - s->touch_log_us > FL_SH_MINUTE_US;
    if (news)
        s->touch_log_us = now;
    pthread_mutex_unlock(&s->lock);
    if (news)
        s->host->log(s->host->h, FLAMENCO_LOG_WARN, "%s cannot be marked as needed: %s", name,
                     strerror_r(number, reason, sizeof(reason)));
}

/* Sets the times of the blob behind an O_PATH descriptor to the file system's now. */
static void touch(shaman *s, int fd, const char *name)
{
    char proc[40];
    if (utimensat(fd, "", NULL, AT_EMPTY_PATH) == 0)
        return;
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if ((errno == EINVAL || errno == ENOENT) && utimensat(AT_FDCWD, proc, NULL, 0) == 0)
        return;
    log_touch(s, name, errno);
}

int fl_sh_blob_look(shaman *s, int stored_fd, const fl_sh_key *key, int needed)
{
    char path[FL_SH_DIR_MAX + FL_SH_NAME_MAX];
    struct stat st;
    fl_sh_key_dir(key, path);
    path[FL_SH_DIR_MAX - 1] = '/';
    fl_sh_key_name(key, path + FL_SH_DIR_MAX);
    int fd = fl_sh_open_below(stored_fd, path, O_PATH);
    if (fd < 0) {
        /* A link in the place of a directory or of the blob is not one of ours: an upload takes its place. */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV ? 0 : -1;
    }
    int found = -1;
    if (fstat(fd, &st) == 0) {
        found = S_ISREG(st.st_mode);
        if (found && needed && time(NULL) - st.st_mtim.tv_sec > FRESH_S)
            touch(s, fd, path);
    }
    int number = errno;
    close(fd);
    errno = number;
    return found;
}

/* What requirements works on. */
typedef struct lookup {
    shaman *s;
    flamenco_cx *cx;
    int stored_fd;
    flamenco_shaman_file *files;
    uint64_t stride;
} lookup;

static int32_t look_up(void *ctx, uint64_t from, uint64_t to, flamenco_error *err)
{
    const lookup *l = ctx;
    for (uint64_t i = from; i < to; ++i) {
        flamenco_shaman_file *file = (void *)((char *)l->files + i * l->stride);
        fl_sh_key key;
        file->status = FLAMENCO_SHAMAN_UNKNOWN;
        if (!fl_sh_key_make(file->sha, file->size_bytes, &key))
            continue;
        int found = fl_sh_blob_look(l->s, l->stored_fd, &key, 1);
        if (found < 0)
            return fl_sh_fail_errno(err, "cannot look for file", key.sha);
        if (found)
            file->status = FLAMENCO_SHAMAN_STORED;
        else if (fl_sh_is_uploading(l->s, &key))
            file->status = FLAMENCO_SHAMAN_UPLOADING;
        if (i % 256 == 0 && flamenco_cx_cancelled(l->cx))
            return flamenco_fail(err, FLAMENCO_E_CANCELLED, "cancelled");
    }
    return FLAMENCO_OK;
}

int32_t fl_sh_requirements(void *self, flamenco_cx *cx, flamenco_shaman_file *files, uint64_t stride, uint64_t n,
                           flamenco_error *err)
{
    lookup l = { .s = self, .cx = cx, .stored_fd = -1, .files = files, .stride = stride };
    int32_t rc = fl_sh_open_place(l.s, FL_SH_STORED, &l.stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_sh_hold(l.s, l.stored_fd, 0);
    rc = fl_sh_in_parts(n, look_up, &l, err);
    fl_sh_release(l.s, l.stored_fd);
    close(l.stored_fd);
    return rc;
}

int32_t fl_sh_file_status(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes, uint32_t *out,
                          flamenco_error *err)
{
    shaman *s = self;
    fl_sh_key key;
    int stored_fd = -1;
    (void)cx;
    if (!fl_sh_key_make(sha, size_bytes, &key)) {
        *out = FLAMENCO_SHAMAN_UNKNOWN;
        return FLAMENCO_OK;
    }
    int32_t rc = fl_sh_open_place(s, FL_SH_STORED, &stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int found = fl_sh_blob_look(s, stored_fd, &key, 0);
    if (found < 0)
        rc = fl_sh_fail_errno(err, "cannot look for file", key.sha);
    else if (found)
        *out = FLAMENCO_SHAMAN_STORED;
    else
        *out = fl_sh_is_uploading(s, &key) ? FLAMENCO_SHAMAN_UPLOADING : FLAMENCO_SHAMAN_UNKNOWN;
    close(stored_fd);
    return rc;
}
