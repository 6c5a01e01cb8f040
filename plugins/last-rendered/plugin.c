/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the service "flamenco.last_rendered/1" (contract: state-and-scheduling 14): takes images, keeps the newest of
 * each job until its turn comes, and tells where the thumbnails are.
 */
#include <unistd.h>

#include "flamenco/last_rendered.h"
#include "last_rendered.h"
#include "thumbnails.h"

/* ---- Images that wait ------------------------------------------------------------------------------------------------- */

void fl_lr_image_destroy(last_rendered *self, fl_lr_image *image)
{
    if (image == NULL)
        return;
    self->host->buf_unref(image->buf);
    self->host->free(self->host->h, image);
}

void fl_lr_drop_waiting(last_rendered *self)
{
    fl_lr_image *image;
    do {
        pthread_mutex_lock(&self->lock);
        image = self->busy ? NULL : fl_lr_queue_take(&self->queue); /* busy: somebody began anew meanwhile */
        pthread_mutex_unlock(&self->lock);
        fl_lr_image_destroy(self, image);
    } while (image != NULL);
}

/* With parameters behind it a type is taken and dropped (api-behaviour 7.3). What is inside is told by its first bytes. */
static int is_known_type(flamenco_str type)
{
    return flamenco_str_equal(type, flamenco_text("image/jpeg")) ||
           flamenco_str_equal(type, flamenco_text("image/png"));
}

static int32_t submit(void *ctx, flamenco_cx *cx, const flamenco_job *job, flamenco_str mime_type, flamenco_buf *buf,
                      flamenco_error *err)
{
    (void)cx;
    last_rendered *self = ctx;
    const flamenco_host *host = self->host;
    fl_lr_image *replaced = NULL;
    /* An image that nobody will see is no failure of the Worker that sent it. */
    if (!is_known_type(mime_type) || job->delete_requested_us != FLAMENCO_TIME_NONE ||
        __atomic_load_n(&self->stopping, __ATOMIC_ACQUIRE)) {
        host->buf_unref(buf);
        host->metric(host->h, "images_dropped_total", 1);
        return FLAMENCO_OK;
    }
    fl_lr_image *image = host->alloc(host->h, sizeof(*image));
    if (image == NULL) {
        host->buf_unref(buf);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to keep an image");
    }
    *image = (fl_lr_image){ .job = job->uuid, .buf = buf, .cost = host->buf_bytes(buf).len + FL_LR_IMAGE_COST };
    pthread_mutex_lock(&self->lock);
    int32_t rc = fl_lr_queue_put(&self->queue, image, &replaced);
    int begin = rc == FLAMENCO_OK && !self->busy;
    if (begin)
        self->busy = 1;
    pthread_mutex_unlock(&self->lock);
    if (rc != FLAMENCO_OK) {
        fl_lr_image_destroy(self, image);
        return flamenco_fail(err, rc, "too many images wait already");
    }
    if (replaced != NULL)
        host->metric(host->h, "images_replaced_total", 1);
    fl_lr_image_destroy(self, replaced);
    if (begin)
        fl_lr_process_next(self);
    return FLAMENCO_OK;
}

/* ---- Where they are --------------------------------------------------------------------------------------------------- */

static int32_t info(void *ctx, flamenco_cx *cx, const flamenco_uuid *job, flamenco_str *base_out, flamenco_error *err)
{
    last_rendered *self = ctx;
    char path[128];
    flamenco_file_info file = { .struct_size = (uint32_t)sizeof(file) };
    int32_t fd = -1;
    int32_t rc = flamenco_local_storage_job_path(&self->storage, job, path, sizeof(path), err);
    if (rc != FLAMENCO_OK)
        return rc;
    size_t base_len = strlen(path);
    /* The smallest is written last. */
    int n = snprintf(path + base_len, sizeof(path) - base_len, "/%s", fl_lr_names[FL_LR_SIZES - 1].ptr);
    if (n < 0 || (size_t)n >= sizeof(path) - base_len)
        return flamenco_fail(err, FLAMENCO_E_FULL, "the path of a job is too long");
    rc = flamenco_local_storage_open_file(&self->storage, flamenco_text(path), &fd, &file, err);
    if (rc != FLAMENCO_OK)
        return rc;
    close(fd);
    if (file.kind != FLAMENCO_FILE_REGULAR)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "there is no thumbnail");
    char *base = self->host->cx_alloc(cx, base_len + 1);
    if (base == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a path");
    path[base_len] = '\0';
    memcpy(base, path, base_len + 1);
    *base_out = (flamenco_str){ base, base_len };
    return FLAMENCO_OK;
}

static const flamenco_str *suffixes(void *self)
{
    (void)self;
    return fl_lr_names;
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

/* The manager stops: it must not wait for a large image. */
static void on_lifecycle(void *ctx, const flamenco_event *event)
{
    last_rendered *self = ctx;
    static const char word[] = "manager-shutdown";
    if (memmem(event->payload.ptr, (size_t)event->payload.len, word, sizeof(word) - 1) != NULL)
        __atomic_store_n(&self->stopping, 1, __ATOMIC_RELEASE);
}

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    last_rendered *self = host->alloc(host->h, sizeof(*self));
    if (self == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the thumbnails");
    memset(self, 0, sizeof(*self));
    self->host = host;
    if (pthread_mutex_init(&self->lock, NULL) != 0) {
        host->free(host->h, self);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no lock for the thumbnails");
    }
    fl_lr_queue_init(&self->queue, 0);
    *self_out = self;
    return FLAMENCO_OK;
}

static int32_t configure(void *ctx, const flamenco_config *config, flamenco_error *err)
{
    last_rendered *self = ctx;
    (void)err;
    self->pixels = (uint64_t)config->integer(config->c, "pixels");
    self->memory_bytes = (uint64_t)config->integer(config->c, "decode_memory");
    self->time_limit_us = config->integer(config->c, "decode_time");
    return FLAMENCO_OK;
}

static int32_t start(void *ctx, flamenco_error *err)
{
    last_rendered *self = ctx;
    const flamenco_host *host = self->host;
    int64_t limit = host->limit(host->h, "image_memory");
    self->queue.limit = limit > 0 ? (uint64_t)limit : 0;
    self->persist.table = host->service(host->h, FLAMENCO_PERSISTENCE, &self->persist.self);
    self->storage.table = host->service(host->h, FLAMENCO_LOCAL_STORAGE, &self->storage.self);
    if (self->persist.table == NULL || self->storage.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "thumbnails need %s and %s", FLAMENCO_PERSISTENCE,
                             FLAMENCO_LOCAL_STORAGE);
    int32_t rc = host->listen(host->h, UINT64_C(1) << FLAMENCO_EVENT_LIFECYCLE, on_lifecycle, self);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot listen to events");
}

/* The host calls nothing of this instance any more, and its steps have ended. */
static int32_t stop(void *ctx, int64_t deadline_us, flamenco_error *err)
{
    (void)deadline_us;
    (void)err;
    last_rendered *self = ctx;
    self->busy = 0;
    fl_lr_drop_waiting(self);
    return FLAMENCO_OK;
}

static void destroy(void *ctx)
{
    last_rendered *self = ctx;
    if (self == NULL)
        return;
    (void)pthread_mutex_destroy(&self->lock);
    self->host->free(self->host->h, self);
}

static const flamenco_last_rendered table = {
    .struct_size = (uint32_t)sizeof(flamenco_last_rendered),
    .submit = submit,
    .info = info,
    .suffixes = suffixes,
};

static const flamenco_provide provide_last_rendered = {
    .struct_size = (uint32_t)sizeof(flamenco_provide),
    .id = FLAMENCO_LAST_RENDERED,
    .table = &table,
};
static const flamenco_provide *const provides[] = { &provide_last_rendered, NULL };

static const flamenco_need need_persistence = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_PERSISTENCE,
    .least_table_size = (uint32_t)offsetof(flamenco_persistence, check),
};
static const flamenco_need need_local_storage = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_LOCAL_STORAGE,
    .least_table_size = (uint32_t)sizeof(flamenco_local_storage),
};
static const flamenco_need *const needs[] = { &need_persistence, &need_local_storage, NULL };

#define SETTING(key_, type_, default_, min_, max_, unit_, doc_) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), .type = FLAMENCO_SETTING_##type_, .key = key_, \
        .default_text = default_, .min = min_, .max = max_, .unit = unit_, .doc = doc_ \
    }
static const flamenco_setting setting_pixels =
    SETTING("pixels", INT, "67108864", 1 << 20, 1 << 30, "pixels", "Images with more are dropped.");
static const flamenco_setting setting_decode_memory =
    SETTING("decode_memory", BYTES, "256MiB", INT64_C(16) << 20, INT64_C(16) << 30, NULL,
            "Memory for one progressive JPEG or interlaced PNG, which cannot be decoded row by row.");
static const flamenco_setting setting_decode_time =
    SETTING("decode_time", DURATION, "20s", INT64_C(1000000), INT64_C(3600000000), NULL,
            "Time for one image, then it is dropped.");
static const flamenco_setting *const settings[] = { &setting_pixels, &setting_decode_memory, &setting_decode_time,
                                                    NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "last-rendered", .version = "0.1.0",   .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,        .settings = settings, .create = create,
    .configure = configure, .start = start,        .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
