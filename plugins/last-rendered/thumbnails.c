/* SPDX-License-Identifier: Apache-2.0
 *
 * thumbnails.c - see thumbnails.h. One chain of stages, through which the rows flow: scale, write, pass on.
 *
 * The files are not synced: each is replaced by the next frame's, and a power cut that takes one away costs a picture until
 * then.
 */
#include "thumbnails.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "reader.h"
#include "scale.h"
#include "write_jpeg.h"

#define TEXT(literal) \
    { \
        literal, sizeof(literal) - 1 \
    }

const flamenco_str fl_lr_names[FL_LR_SIZES + 1] = {
    TEXT("last-rendered.jpg"), TEXT("last-rendered-small.jpg"), TEXT("last-rendered-tiny.jpg"), { NULL, 0 }
};

/* Under which names they are written, until they are complete. */
static const char *const part_names[FL_LR_SIZES] = { "last-rendered.jpg.part", "last-rendered-small.jpg.part",
                                                     "last-rendered-tiny.jpg.part" };
static const struct {
    uint32_t width, height;
} size_limits[FL_LR_SIZES] = { { 1920, 1080 }, { 600, 338 }, { 200, 112 } };

typedef struct stage {
    struct chain *chain;
    uint32_t index, width, height;
    fl_lr_scaler *scaler;
    fl_lr_writer *writer;
    int fd;
} stage;

typedef struct chain {
    int dir_fd;
    uint32_t writable; /* so many of the first files can be written */
    flamenco_error *write_err;
    stage stages[FL_LR_SIZES];
} chain;

/* A file cannot be written: it and the smaller ones are left out. */
static void give_up(chain *c, uint32_t index)
{
    if (index < c->writable)
        c->writable = index;
}

static void give_up_errno(chain *c, uint32_t index, const char *what)
{
    char text[80];
    flamenco_fail(c->write_err, FLAMENCO_E_IO, "cannot %s %s: %s", what, fl_lr_names[index].ptr,
                  strerror_r(errno, text, sizeof(text)));
    give_up(c, index);
}

/* Takes a finished row of a size: writes it, and passes it on to the next size. */
static int32_t on_row(void *ctx, const uint8_t *rgb, flamenco_error *err)
{
    stage *s = ctx;
    chain *c = s->chain;
    if (s->index >= c->writable)
        return FLAMENCO_OK; /* the smaller ones are given up, too */
    if (fl_lr_writer_row(s->writer, rgb, c->write_err) != FLAMENCO_OK) {
        give_up(c, s->index);
        return FLAMENCO_OK;
    }
    return s->index + 1 < FL_LR_SIZES ? fl_lr_scaler_row(c->stages[s->index + 1].scaler, rgb, err) : FLAMENCO_OK;
}

/* What is left of an earlier run under the name goes first, whatever it is: a pipe there would block for ever. */
static void open_file(stage *s)
{
    chain *c = s->chain;
    const char *name = part_names[s->index];
    if (unlinkat(c->dir_fd, name, 0) == 0 || errno == ENOENT)
        s->fd = openat(c->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (s->fd < 0)
        give_up_errno(c, s->index, "make");
    else if (fl_lr_writer_create(s->fd, s->width, s->height, &s->writer, c->write_err) != FLAMENCO_OK)
        give_up(c, s->index);
}

/* Builds the chain for an image that is decoded at width x height; stages[0] knows its size already. */
static int32_t build(chain *c, uint32_t width, uint32_t height, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (uint32_t i = 0; rc == FLAMENCO_OK && i < FL_LR_SIZES; ++i) {
        stage *s = &c->stages[i];
        if (i > 0)
            fl_lr_fit(width, height, size_limits[i].width, size_limits[i].height, &s->width, &s->height);
        rc = fl_lr_scaler_create(width, height, s->width, s->height, on_row, s, &s->scaler, err);
        if (rc == FLAMENCO_OK && i < c->writable)
            open_file(s);
        width = s->width;
        height = s->height;
    }
    return rc;
}

static int32_t pump(chain *c, fl_lr_reader *reader, const fl_lr_limits *limits, uint32_t width, uint32_t height,
                    flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    uint8_t *row = malloc((size_t)width * 3);
    if (row == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to scale an image");
    for (uint32_t y = 0; rc == FLAMENCO_OK && y < height; ++y) {
        rc = y % 64 == 0 ? fl_lr_limits_check(limits, err) : FLAMENCO_OK;
        if (rc == FLAMENCO_OK)
            rc = fl_lr_reader_row(reader, row, err);
        if (rc == FLAMENCO_OK && c->writable > 0)
            rc = fl_lr_scaler_row(c->stages[0].scaler, row, err);
    }
    free(row);
    return rc == FLAMENCO_OK ? fl_lr_reader_end(reader, err) : rc;
}

/* Completes the files and gives them their names, large to small. */
static void publish(chain *c)
{
    for (uint32_t i = 0; i < FL_LR_SIZES && i < c->writable; ++i) {
        stage *s = &c->stages[i];
        int32_t rc = fl_lr_writer_end(s->writer, c->write_err);
        int closed = close(s->fd);
        s->fd = -1;
        if (rc != FLAMENCO_OK)
            give_up(c, i);
        else if (closed != 0)
            give_up_errno(c, i, "write");
        else if (renameat(c->dir_fd, part_names[i], c->dir_fd, fl_lr_names[i].ptr) != 0)
            give_up_errno(c, i, "replace");
        else
            continue;
        (void)unlinkat(c->dir_fd, part_names[i], 0);
    }
}

static void demolish(chain *c)
{
    for (uint32_t i = 0; i < FL_LR_SIZES; ++i) {
        stage *s = &c->stages[i];
        fl_lr_scaler_destroy(s->scaler);
        fl_lr_writer_destroy(s->writer);
        if (s->fd < 0)
            continue;
        close(s->fd);
        (void)unlinkat(c->dir_fd, part_names[i], 0);
    }
}

int32_t fl_lr_thumbnails_make(int dir_fd, flamenco_str image, const fl_lr_limits *limits, uint32_t *written_out,
                              flamenco_error *write_err, flamenco_error *err)
{
    chain c = { .dir_fd = dir_fd, .writable = dir_fd >= 0 ? FL_LR_SIZES : 0, .write_err = write_err };
    fl_lr_reader *reader = NULL;
    uint32_t width = 0, height = 0;
    for (uint32_t i = 0; i < FL_LR_SIZES; ++i)
        c.stages[i] = (stage){ .chain = &c, .index = i, .fd = -1 };
    stage *first = &c.stages[0];
    int32_t rc = fl_lr_reader_open(image, limits, &reader, err);
    if (rc != FLAMENCO_OK)
        goto cleanup;
    fl_lr_fit(fl_lr_reader_width(reader), fl_lr_reader_height(reader), size_limits[0].width, size_limits[0].height,
              &first->width, &first->height);
    rc = fl_lr_reader_begin(reader, first->width, first->height, &width, &height, err);
    if (rc == FLAMENCO_OK)
        rc = build(&c, width, height, err);
    if (rc == FLAMENCO_OK)
        rc = pump(&c, reader, limits, width, height, err);
    if (rc != FLAMENCO_OK)
        goto cleanup;
    publish(&c);
    *written_out = c.writable;
cleanup:
    demolish(&c);
    fl_lr_reader_close(reader);
    return rc;
}

void fl_lr_thumbnails_remove(int dir_fd)
{
    for (uint32_t i = 0; i < FL_LR_SIZES; ++i) {
        (void)unlinkat(dir_fd, fl_lr_names[i].ptr, 0);
        (void)unlinkat(dir_fd, part_names[i], 0);
    }
}
