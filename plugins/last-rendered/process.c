/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - works the images off: one at a time on the work pool, then one short writing step that records the job and
 * sends the events (contract: state-and-scheduling 14).
 *
 * A job may be deleted meanwhile. Its files are erased first and its row hidden last, so whatever we wrote too late is seen
 * by the writing step, which finds the job marked or gone, and is removed again.
 */
#include "last_rendered.h"

#include <stdlib.h>
#include <unistd.h>

#include "thumbnails.h"

#define QUIET_US INT64_C(60000000)
#define PATH_MAX_BYTES 64u

/* What follows an image. */
typedef struct aftermath {
    last_rendered *self;
    flamenco_uuid job;
    int gone; /* the job is deleted, or about to be */
} aftermath;

/* All steps of one instance that touch files run one after the other. */
static uint64_t order_key(const last_rendered *self)
{
    return (uint64_t)(uintptr_t)self;
}

static void uuid_text(const last_rendered *self, const flamenco_uuid *uuid, char out[37])
{
    self->host->uuid_format(uuid, out);
}

/* ---- Removing what came too late ------------------------------------------------------------------------------------ */

static int32_t remove_files(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    aftermath *a = ctx;
    last_rendered *self = a->self;
    char path[PATH_MAX_BYTES], whole[4096];
    int32_t fd = -1;
    int32_t rc = flamenco_local_storage_job_dir(&self->storage, &a->job, 0, &fd, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK;
    if (rc != FLAMENCO_OK)
        return rc;
    fl_lr_thumbnails_remove(fd);
    close(fd);
    /* Only what is empty goes: of a job that is merely marked, the log is still there. */
    rc = flamenco_local_storage_job_path(&self->storage, &a->job, path, sizeof(path), err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_str root = flamenco_local_storage_root(&self->storage);
    int n = snprintf(whole, sizeof(whole), "%.*s/%s", (int)root.len, root.ptr, path);
    if (n < 0 || (size_t)n >= sizeof(whole))
        return FLAMENCO_OK;
    char *slash = rmdir(whole) == 0 ? strrchr(whole, '/') : NULL;
    if (slash != NULL) {
        *slash = '\0';
        (void)rmdir(whole);
    }
    return FLAMENCO_OK;
}

/* ---- Telling it ----------------------------------------------------------------------------------------------------- */

static int32_t emit(last_rendered *self, flamenco_cx *cx, const flamenco_uuid *job, flamenco_error *err)
{
    char uuid[37], path[PATH_MAX_BYTES], payload[512], topic[80];
    int32_t rc = flamenco_local_storage_job_path(&self->storage, job, path, sizeof(path), err);
    if (rc != FLAMENCO_OK)
        return rc;
    uuid_text(self, job, uuid);
    int len =
        snprintf(payload, sizeof(payload),
                 "{\"job_id\":\"%s\",\"thumbnail\":{\"base\":\"/job-files/%s\",\"suffixes\":[\"%s\",\"%s\",\"%s\"]}}",
                 uuid, path, fl_lr_names[0].ptr, fl_lr_names[1].ptr, fl_lr_names[2].ptr);
    snprintf(topic, sizeof(topic), "/jobs/%s/last-rendered", uuid);
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_LAST_RENDERED,
                             .topic = flamenco_text(topic),
                             .name = flamenco_text("/last-rendered"),
                             .payload = { payload, (uint64_t)len },
                             .job = *job };
    rc = self->host->emit(cx, &event);
    if (rc == FLAMENCO_OK) {
        event.topic = flamenco_text("/last-rendered");
        rc = self->host->emit(cx, &event);
    }
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue an event");
}

static int32_t record(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    aftermath *a = ctx;
    last_rendered *self = a->self;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get(&self->persist, cx, &a->job, &job, err);
    a->gone = rc == FLAMENCO_E_NOT_FOUND || (rc == FLAMENCO_OK && job.delete_requested_us != FLAMENCO_TIME_NONE);
    if (a->gone)
        return FLAMENCO_OK;
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_last_rendered_set(&self->persist, cx, job.key, err);
    return rc == FLAMENCO_OK ? emit(self, cx, &a->job, err) : rc;
}

static void free_aftermath(void *ctx)
{
    aftermath *a = ctx;
    a->self->host->free(a->self->host->h, a);
}

/* The end of the writing step, on whatever thread: files are no business of that. */
static void recorded(void *ctx)
{
    aftermath *a = ctx;
    last_rendered *self = a->self;
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_WORK,
                                 .name = "late thumbnails",
                                 .run = remove_files,
                                 .ctx = a,
                                 .destroy = free_aftermath,
                                 .order_key = order_key(self) };
    if (!a->gone)
        free_aftermath(a);
    else if (self->host->submit(self->host->h, &step) != FLAMENCO_OK)
        self->host->log(self->host->h, FLAMENCO_LOG_WARN, "thumbnails of a deleted job may be left behind");
}

/* ---- Making them ---------------------------------------------------------------------------------------------------- */

static int32_t check_limits(void *ctx)
{
    last_rendered *self = ctx;
    if (__atomic_load_n(&self->stopping, __ATOMIC_ACQUIRE))
        return FLAMENCO_E_CANCELLED;
    return self->host->monotonic_us(self->host->h) >= self->decode_until_us ? FLAMENCO_E_DEADLINE : FLAMENCO_OK;
}

/* A full or read-only disk would fill the log, too: at most one line a minute. */
static void log_failed_write(last_rendered *self, const char *job, const char *why)
{
    int64_t now_us = self->host->monotonic_us(self->host->h);
    ++self->failed_writes;
    self->host->metric(self->host->h, "thumbnails_failed_total", 1);
    if (now_us < self->quiet_until_us)
        return;
    self->host->log(self->host->h, FLAMENCO_LOG_ERROR, "job %s: %s (%llu times since the last such line)", job, why,
                    (unsigned long long)self->failed_writes);
    self->failed_writes = 0;
    self->quiet_until_us = now_us + QUIET_US;
}

/* Returns 1 when the image was good, whether its files could be written or not. */
static int make_thumbnails(last_rendered *self, const fl_lr_image *image)
{
    const flamenco_host *host = self->host;
    flamenco_error err = FLAMENCO_ERROR_INIT, write_err = FLAMENCO_ERROR_INIT;
    fl_lr_limits limits = { self->pixels, self->memory_bytes, check_limits, self };
    char job[37];
    int32_t fd = -1;
    uint32_t written = 0;
    uuid_text(self, &image->job, job);
    self->decode_until_us = host->monotonic_us(host->h) + self->time_limit_us;
    if (flamenco_local_storage_job_dir(&self->storage, &image->job, 1, &fd, &write_err) != FLAMENCO_OK)
        fd = -1;
    int32_t rc = fl_lr_thumbnails_make(fd, host->buf_bytes(image->buf), &limits, &written, &write_err, &err);
    if (fd >= 0)
        close(fd);
    if (rc != FLAMENCO_OK) {
        host->metric(host->h, "images_dropped_total", 1);
        if (rc != FLAMENCO_E_CANCELLED)
            host->log(host->h, FLAMENCO_LOG_WARN, "an image of job %s is dropped: %s", job, err.text);
        return 0;
    }
    host->metric(host->h, "images_total", 1);
    if (written < FL_LR_SIZES)
        log_failed_write(self, job, write_err.text);
    return 1;
}

static int32_t process(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    last_rendered *self = ctx;
    const flamenco_host *host = self->host;
    pthread_mutex_lock(&self->lock);
    self->began = 1;
    fl_lr_image *image = fl_lr_queue_take(&self->queue);
    pthread_mutex_unlock(&self->lock);
    if (image == NULL)
        return FLAMENCO_OK;
    int32_t rc = FLAMENCO_OK;
    aftermath *a = host->alloc(host->h, sizeof(*a));
    if (a == NULL) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to work off an image");
    } else if (!make_thumbnails(self, image)) {
        host->free(host->h, a);
    } else {
        *a = (aftermath){ .self = self, .job = image->job };
        const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                     .kind = FLAMENCO_STEP_WRITE,
                                     .name = "last rendered",
                                     .run = record,
                                     .ctx = a,
                                     .destroy = recorded };
        rc = host->submit(host->h, &step);
        if (rc != FLAMENCO_OK)
            flamenco_fail(err, rc, "cannot record the job as last rendered");
    }
    fl_lr_image_destroy(self, image);
    return rc;
}

/* The end of the step, also of one that never began: then nothing more will be worked off. */
static void processed(void *ctx)
{
    last_rendered *self = ctx;
    pthread_mutex_lock(&self->lock);
    int more = self->began && self->queue.first != NULL && !__atomic_load_n(&self->stopping, __ATOMIC_ACQUIRE);
    self->busy = more;
    pthread_mutex_unlock(&self->lock);
    if (more)
        fl_lr_process_next(self);
    else
        fl_lr_drop_waiting(self);
}

void fl_lr_process_next(last_rendered *self)
{
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_WORK,
                                 .name = "thumbnails",
                                 .run = process,
                                 .ctx = self,
                                 .destroy = processed,
                                 .order_key = order_key(self) };
    pthread_mutex_lock(&self->lock);
    self->began = 0;
    pthread_mutex_unlock(&self->lock);
    (void)self->host->submit(self->host->h, &step); /* a failure ends in processed(), too */
}
