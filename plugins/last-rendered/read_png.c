/* SPDX-License-Identifier: Apache-2.0
 *
 * read_png.c - the reader of PNG, by libpng. Row by row; an interlaced image cannot come so and is decoded as a whole.
 *
 * libpng leaves by longjmp. So each entry below sets the mark, calls libpng, and keeps nothing in variables of its own that
 * would have to survive the jump.
 */
#include "reader_impl.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

#define CHECK_ROWS 32u /* rows between two looks at the clock */

typedef struct png_reader {
    fl_lr_reader base;
    png_structp png;
    png_infop info;
    const char *at;
    uint64_t left;
    uint32_t channels; /* 3 or 4 */
    uint32_t row; /* next one */
    uint8_t *pixels; /* of an interlaced image: all of it; else one row when there is transparency; else NULL */
    int whole;
} png_reader;

static void keep_error(png_reader *reader, int32_t code, const char *text)
{
    reader->base.code = code;
    snprintf(reader->base.text, sizeof(reader->base.text), "%s", text);
}

__attribute__((noreturn)) static void on_error(png_structp png, png_const_charp text)
{
    png_reader *reader = png_get_error_ptr(png);
    if (reader->base.code == FLAMENCO_OK)
        keep_error(reader, FLAMENCO_E_INVALID, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    png_reader *reader = png_get_mem_ptr(png);
    void *ptr = malloc(size);
    if (ptr == NULL)
        keep_error(reader, FLAMENCO_E_NOMEM, "no memory to decode an image");
    return ptr;
}

static void on_free(png_structp png, png_voidp ptr)
{
    (void)png;
    free(ptr);
}

static void on_read(png_structp png, png_bytep to, size_t len)
{
    png_reader *reader = png_get_io_ptr(png);
    if (len > reader->left)
        png_error(png, "the image ends early");
    memcpy(to, reader->at, len);
    reader->at += len;
    reader->left -= len;
}

/* What the last jump meant. */
static int32_t fail(const png_reader *reader, flamenco_error *err)
{
    return flamenco_fail(err, reader->base.code, "PNG: %s", reader->base.text);
}

/* Of the ancillary chunks only tRNS changes what is seen. The others are skipped unread: they may be large, or inflate. */
static void skip_ancillary_chunks(png_structp png)
{
    static const png_byte names[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0"
                                    "sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof(names) / 5));
}

static int32_t read_head(png_reader *reader, flamenco_error *err)
{
    png_structp png = reader->png;
    if (setjmp(png_jmpbuf(png)) != 0)
        return fail(reader, err);
    png_set_read_fn(png, reader, on_read);
    png_set_user_limits(png, FL_LR_SIDE_MAX, FL_LR_SIDE_MAX);
    /* Nothing of a chunk's length is allocated, so a long one does no harm; libpng would refuse the whole image. */
    png_set_chunk_malloc_max(png, 0);
    skip_ancillary_chunks(png);
    png_read_info(png, reader->info);
    reader->base.width = png_get_image_width(png, reader->info);
    reader->base.height = png_get_image_height(png, reader->info);
    return fl_lr_limits_size(reader->base.limits, reader->base.width, reader->base.height, err);
}

static void png_close(fl_lr_reader *base)
{
    png_reader *reader = (png_reader *)(void *)base;
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader->pixels);
    free(reader);
}

/* Asks for 8-bit RGB, with transparency beside it if there is any. */
static void normalise(png_reader *reader)
{
    png_structp png = reader->png;
    if (png_get_bit_depth(png, reader->info) == 16)
        png_set_scale_16(png);
    png_set_expand(png); /* palettes, fewer than 8 bits, tRNS */
    png_set_gray_to_rgb(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
    reader->channels = png_get_channels(png, reader->info);
    if (reader->channels < 3 || reader->channels > 4 || png_get_bit_depth(png, reader->info) != 8)
        png_error(png, "an unknown kind of pixels");
}

static size_t row_bytes(const png_reader *reader)
{
    return (size_t)reader->base.width * reader->channels;
}

static int32_t allocate(png_reader *reader, flamenco_error *err)
{
    uint64_t bytes = row_bytes(reader) * (reader->whole ? reader->base.height : 1u);
    if (reader->whole && bytes > reader->base.limits->memory_bytes)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "PNG: an interlaced image of %ux%u pixels needs too much memory",
                             reader->base.width, reader->base.height);
    if (!reader->whole && reader->channels == 3)
        return FLAMENCO_OK;
    /* Zeroed: a damaged image may leave pixels out. */
    reader->pixels = calloc(1, (size_t)bytes);
    if (reader->pixels == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to decode an image");
    return FLAMENCO_OK;
}

/* Reads one row of a pass into `to`, looking at the clock now and then. */
static void read_row(png_reader *reader, uint8_t *to)
{
    if (reader->row++ % CHECK_ROWS == 0) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        int32_t rc = fl_lr_limits_check(reader->base.limits, &err);
        if (rc != FLAMENCO_OK) {
            keep_error(reader, rc, err.text);
            png_longjmp(reader->png, 1);
        }
    }
    png_read_row(reader->png, to, NULL);
}

static int32_t read_whole(png_reader *reader, flamenco_error *err)
{
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return fail(reader, err);
    size_t bytes = row_bytes(reader);
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
        reader->row = 0;
        while (reader->row < reader->base.height)
            read_row(reader, reader->pixels + (size_t)reader->row * bytes);
    }
    reader->row = 0;
    return FLAMENCO_OK;
}

static int32_t begin_decoding(png_reader *reader, flamenco_error *err)
{
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return fail(reader, err);
    reader->whole = png_get_interlace_type(reader->png, reader->info) != PNG_INTERLACE_NONE;
    normalise(reader);
    return FLAMENCO_OK;
}

static int32_t png_begin(fl_lr_reader *base, uint32_t least_width, uint32_t least_height, uint32_t *width_out,
                         uint32_t *height_out, flamenco_error *err)
{
    (void)least_width;
    (void)least_height;
    png_reader *reader = (png_reader *)(void *)base;
    int32_t rc = begin_decoding(reader, err);
    if (rc == FLAMENCO_OK)
        rc = allocate(reader, err);
    if (rc == FLAMENCO_OK && reader->whole)
        rc = read_whole(reader, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *width_out = base->width;
    *height_out = base->height;
    return FLAMENCO_OK;
}

/* Lays a row over black. */
static void compose(const uint8_t *rgba, uint8_t *rgb, uint32_t width)
{
    for (uint32_t x = 0; x < width; ++x, rgba += 4, rgb += 3)
        for (int c = 0; c < 3; ++c)
            rgb[c] = (uint8_t)((rgba[c] * rgba[3] + 127) / 255);
}

static int32_t stream_row(png_reader *reader, uint8_t *to, flamenco_error *err)
{
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return fail(reader, err);
    read_row(reader, to);
    return FLAMENCO_OK;
}

static int32_t png_row(fl_lr_reader *base, uint8_t *rgb, flamenco_error *err)
{
    png_reader *reader = (png_reader *)(void *)base;
    const uint8_t *from = reader->pixels;
    int32_t rc = FLAMENCO_OK;
    if (reader->row >= base->height)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the image has no more rows");
    if (reader->whole)
        from += row_bytes(reader) * reader->row++;
    else
        rc = stream_row(reader, reader->channels == 4 ? reader->pixels : rgb, err);
    if (rc == FLAMENCO_OK && reader->channels == 4)
        compose(from, rgb, base->width);
    else if (rc == FLAMENCO_OK && reader->whole)
        memcpy(rgb, from, (size_t)base->width * 3);
    return rc;
}

static int32_t png_end(fl_lr_reader *base, flamenco_error *err)
{
    png_reader *reader = (png_reader *)(void *)base;
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return fail(reader, err);
    png_read_end(reader->png, NULL);
    return FLAMENCO_OK;
}

static const fl_lr_reader_ops ops = { .begin = png_begin, .row = png_row, .end = png_end, .close = png_close };

int32_t fl_lr_png_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err)
{
    png_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to decode an image");
    reader->base.ops = &ops;
    reader->base.limits = limits;
    reader->at = bytes.ptr;
    reader->left = bytes.len;
    reader->png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning, reader, on_malloc, on_free);
    if (reader->png != NULL)
        reader->info = png_create_info_struct(reader->png);
    int32_t rc = FLAMENCO_OK;
    if (reader->info == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to decode an image");
    else
        rc = read_head(reader, err);
    if (rc == FLAMENCO_OK)
        *out = &reader->base;
    else
        png_close(&reader->base);
    return rc;
}
