/* SPDX-License-Identifier: Apache-2.0
 *
 * reader.c - see reader.h. Tells the formats apart and passes on.
 */
#include "reader_impl.h"

int32_t fl_lr_limits_check(const fl_lr_limits *limits, flamenco_error *err)
{
    int32_t rc = limits->check(limits->ctx);
    if (rc == FLAMENCO_OK)
        return rc;
    return flamenco_fail(err, rc, rc == FLAMENCO_E_DEADLINE ? "decoding takes too long" : "the manager is stopping");
}

int32_t fl_lr_limits_size(const fl_lr_limits *limits, uint64_t width, uint64_t height, flamenco_error *err)
{
    if (width == 0 || height == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the image has no pixels");
    if (width > FL_LR_SIDE_MAX || height > FL_LR_SIDE_MAX || width * height > limits->pixels)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%llux%llu pixels are too many: %llu are allowed, %u at a side",
                             (unsigned long long)width, (unsigned long long)height, (unsigned long long)limits->pixels,
                             FL_LR_SIDE_MAX);
    return FLAMENCO_OK;
}

int32_t fl_lr_reader_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err)
{
    static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff };
    static const unsigned char png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    if (bytes.len >= sizeof(jpeg) && memcmp(bytes.ptr, jpeg, sizeof(jpeg)) == 0)
        return fl_lr_jpeg_open(bytes, limits, out, err);
    if (bytes.len >= sizeof(png) && memcmp(bytes.ptr, png, sizeof(png)) == 0)
        return fl_lr_png_open(bytes, limits, out, err);
    return flamenco_fail(err, FLAMENCO_E_INVALID, "neither a JPEG nor a PNG image");
}

uint32_t fl_lr_reader_width(const fl_lr_reader *reader)
{
    return reader->width;
}

uint32_t fl_lr_reader_height(const fl_lr_reader *reader)
{
    return reader->height;
}

int32_t fl_lr_reader_begin(fl_lr_reader *reader, uint32_t least_width, uint32_t least_height, uint32_t *width_out,
                           uint32_t *height_out, flamenco_error *err)
{
    return reader->ops->begin(reader, least_width, least_height, width_out, height_out, err);
}

int32_t fl_lr_reader_row(fl_lr_reader *reader, uint8_t *rgb, flamenco_error *err)
{
    return reader->ops->row(reader, rgb, err);
}

int32_t fl_lr_reader_end(fl_lr_reader *reader, flamenco_error *err)
{
    return reader->ops->end(reader, err);
}

void fl_lr_reader_close(fl_lr_reader *reader)
{
    if (reader != NULL)
        reader->ops->close(reader);
}
