/* SPDX-License-Identifier: Apache-2.0
 *
 * read_jpeg.c - the reader of JPEG, by libjpeg-turbo. It decodes at 1/8 to 8/8 of the size, whichever is enough. A
 * progressive image needs all its coefficients in memory, and each of its scans is a pass over them: both are bounded.
 *
 * libjpeg leaves by longjmp; see read_png.c.
 */
#include "reader_impl.h"

#include <setjmp.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

/* A good encoder makes some ten scans; each may cost a pass over all coefficients for a handful of bytes. */
#define SCANS_MAX 100

typedef struct jpeg_reader {
    fl_lr_reader base;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf mark;
    uint8_t *cmyk; /* one row, when the image is of that kind */
} jpeg_reader;

/* ---- What libjpeg calls ------------------------------------------------------------------------------------------- */

static jpeg_reader *reader_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

__attribute__((noreturn)) static void leave(jpeg_reader *reader, int32_t code, const char *text)
{
    reader->base.code = code;
    snprintf(reader->base.text, sizeof(reader->base.text), "%s", text);
    longjmp(reader->mark, 1);
}

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    if (jpeg->err->msg_code == JERR_NO_BACKING_STORE)
        snprintf(text, sizeof(text), "an image of this kind and size needs too much memory");
    leave(reader_of(jpeg), jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? FLAMENCO_E_NOMEM : FLAMENCO_E_INVALID, text);
}

/* libjpeg goes on over damage and paints something; a damaged image is no news worth showing. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_JPEG_EOF:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_MUST_RESYNC:
    case JWRN_TOO_MUCH_DATA:
        on_error(jpeg);
    default:
        break;
    }
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void source_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean source_fill(j_decompress_ptr jpeg)
{
    leave(reader_of((j_common_ptr)jpeg), FLAMENCO_E_INVALID, "the image ends early");
}

static void source_skip(j_decompress_ptr jpeg, long count)
{
    struct jpeg_source_mgr *source = jpeg->src;
    if (count <= 0)
        return;
    if ((unsigned long)count > source->bytes_in_buffer)
        (void)source_fill(jpeg);
    source->next_input_byte += count;
    source->bytes_in_buffer -= (size_t)count;
}

static void on_progress(j_common_ptr jpeg)
{
    jpeg_reader *reader = reader_of(jpeg);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (reader->jpeg.input_scan_number > SCANS_MAX)
        leave(reader, FLAMENCO_E_INVALID, "too many scans");
    int32_t rc = fl_lr_limits_check(reader->base.limits, &err);
    if (rc != FLAMENCO_OK)
        leave(reader, rc, err.text);
}

/* ---- The reader --------------------------------------------------------------------------------------------------- */

static int32_t fail(const jpeg_reader *reader, flamenco_error *err)
{
    return flamenco_fail(err, reader->base.code, "JPEG: %s", reader->base.text);
}

static void jpeg_close(fl_lr_reader *base)
{
    jpeg_reader *reader = (jpeg_reader *)(void *)base;
    jpeg_destroy_decompress(&reader->jpeg);
    free(reader->cmyk);
    free(reader);
}

static int32_t read_head(jpeg_reader *reader, flamenco_str bytes, flamenco_error *err)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (setjmp(reader->mark) != 0)
        return fail(reader, err);
    jpeg_create_decompress(jpeg);
    jpeg->client_data = reader;
    reader->source = (struct jpeg_source_mgr){ .next_input_byte = (const JOCTET *)bytes.ptr,
                                               .bytes_in_buffer = (size_t)bytes.len,
                                               .init_source = source_nothing,
                                               .fill_input_buffer = source_fill,
                                               .skip_input_data = source_skip,
                                               .resync_to_restart = jpeg_resync_to_restart,
                                               .term_source = source_nothing };
    jpeg->src = &reader->source;
    reader->progress.progress_monitor = on_progress;
    jpeg->progress = &reader->progress;
    jpeg->mem->max_memory_to_use = (long)reader->base.limits->memory_bytes;
    (void)jpeg_read_header(jpeg, TRUE);
    reader->base.width = jpeg->image_width;
    reader->base.height = jpeg->image_height;
    return fl_lr_limits_size(reader->base.limits, jpeg->image_width, jpeg->image_height, err);
}

/* The size of a side at eighths/8, as libjpeg rounds it. */
static uint32_t scaled(uint32_t side, unsigned eighths)
{
    return (side * eighths + 7) / 8;
}

static int32_t begin_decoding(jpeg_reader *reader, uint32_t least_width, uint32_t least_height, flamenco_error *err)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (setjmp(reader->mark) != 0)
        return fail(reader, err);
    unsigned eighths = 1;
    while (eighths < 8 &&
           (scaled(jpeg->image_width, eighths) < least_width || scaled(jpeg->image_height, eighths) < least_height))
        ++eighths;
    jpeg->scale_num = eighths;
    jpeg->scale_denom = 8;
    jpeg->out_color_space =
        jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
    (void)jpeg_start_decompress(jpeg);
    return FLAMENCO_OK;
}

static int32_t jpeg_begin(fl_lr_reader *base, uint32_t least_width, uint32_t least_height, uint32_t *width_out,
                          uint32_t *height_out, flamenco_error *err)
{
    jpeg_reader *reader = (jpeg_reader *)(void *)base;
    int32_t rc = begin_decoding(reader, least_width, least_height, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (reader->jpeg.out_color_space == JCS_CMYK) {
        reader->cmyk = malloc((size_t)reader->jpeg.output_width * 4);
        if (reader->cmyk == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to decode an image");
    }
    *width_out = reader->jpeg.output_width;
    *height_out = reader->jpeg.output_height;
    return FLAMENCO_OK;
}

/* Adobe's programs store the inks inverted, and say so by their marker. */
static void convert_inks(const jpeg_reader *reader, uint8_t *rgb)
{
    const uint8_t *ink = reader->cmyk;
    int flip = reader->jpeg.saw_Adobe_marker ? 0 : 255;
    for (uint32_t x = 0; x < reader->jpeg.output_width; ++x, ink += 4, rgb += 3)
        for (int c = 0; c < 3; ++c)
            rgb[c] = (uint8_t)(((ink[c] ^ flip) * (ink[3] ^ flip) + 127) / 255);
}

static int32_t stream_row(jpeg_reader *reader, uint8_t *to, flamenco_error *err)
{
    JSAMPROW row = to;
    if (setjmp(reader->mark) != 0)
        return fail(reader, err);
    (void)jpeg_read_scanlines(&reader->jpeg, &row, 1);
    return FLAMENCO_OK;
}

static int32_t jpeg_row(fl_lr_reader *base, uint8_t *rgb, flamenco_error *err)
{
    jpeg_reader *reader = (jpeg_reader *)(void *)base;
    if (reader->jpeg.output_scanline >= reader->jpeg.output_height)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "the image has no more rows");
    int32_t rc = stream_row(reader, reader->cmyk != NULL ? reader->cmyk : rgb, err);
    if (rc == FLAMENCO_OK && reader->cmyk != NULL)
        convert_inks(reader, rgb);
    return rc;
}

static int32_t jpeg_end(fl_lr_reader *base, flamenco_error *err)
{
    jpeg_reader *reader = (jpeg_reader *)(void *)base;
    if (setjmp(reader->mark) != 0)
        return fail(reader, err);
    (void)jpeg_finish_decompress(&reader->jpeg);
    return FLAMENCO_OK;
}

static const fl_lr_reader_ops ops = { .begin = jpeg_begin, .row = jpeg_row, .end = jpeg_end, .close = jpeg_close };

int32_t fl_lr_jpeg_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err)
{
    jpeg_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to decode an image");
    reader->base.ops = &ops;
    reader->base.limits = limits;
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->jpeg.client_data = reader; /* jpeg_create_decompress keeps it, and may fail */
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = on_output;
    int32_t rc = read_head(reader, bytes, err);
    if (rc == FLAMENCO_OK)
        *out = &reader->base;
    else
        jpeg_close(&reader->base);
    return rc;
}
