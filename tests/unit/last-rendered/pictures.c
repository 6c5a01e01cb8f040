/* SPDX-License-Identifier: Apache-2.0
 *
 * pictures.c - see pictures.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pictures.h"

#include <png.h>
#include <stdlib.h>
#include <jpeglib.h>

void picture_free(picture *p)
{
    free(p->bytes);
    p->bytes = NULL;
    p->len = 0;
}

flamenco_str picture_str(const picture *p)
{
    return (flamenco_str){ (const char *)p->bytes, p->len };
}

void picture_colour(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint8_t rgb[3])
{
    uint32_t w = width > 1 ? width - 1 : 1, h = height > 1 ? height - 1 : 1;
    rgb[0] = (uint8_t)(x * 255 / w);
    rgb[1] = (uint8_t)(y * 255 / h);
    rgb[2] = (uint8_t)((x * 127 / w) + (y * 128 / h));
}

/* ---- PNG ---------------------------------------------------------------------------------------------------------- */

static void append(png_structp png, png_bytep data, size_t len)
{
    picture *p = png_get_io_ptr(png);
    uint8_t *more = realloc(p->bytes, p->len + len);
    assert_non_null(more);
    memcpy(more + p->len, data, len);
    p->bytes = more;
    p->len += len;
}

static void flush(png_structp png)
{
    (void)png;
}

static void fill_row(uint8_t *row, uint32_t y, uint32_t width, uint32_t height, int type, int depth, unsigned flags)
{
    memset(row, 0, (size_t)width * 8);
    uint32_t channels = type == PNG_COLOR_TYPE_RGB ? 3 : 1;
    for (uint32_t x = 0; x < width; ++x) {
        uint8_t rgb[3];
        picture_colour(x, y, width, height, rgb);
        if (depth < 8) {
            row[x * (uint32_t)depth / 8] |=
                (uint8_t)((rgb[0] >> (8 - depth)) << (8 - depth - (int)(x * (uint32_t)depth % 8)));
            continue;
        }
        uint32_t all = channels + ((flags & PNG_TRANSPARENT) != 0 && type != PNG_COLOR_TYPE_PALETTE ? 1 : 0);
        uint8_t *at = row + (size_t)x * all * (uint32_t)(depth / 8);
        for (uint32_t c = 0; c < all; ++c) {
            uint8_t value = (uint8_t)(c < channels ? rgb[c] : x * 255 / (width - 1));
            for (int b = 0; b < depth / 8; ++b)
                *at++ = value; /* 16 bits: 257 times as much */
        }
    }
}

static void add_ancillary(png_structp png, png_infop info)
{
    static char text[300000];
    memset(text, 'a', sizeof(text) - 1);
    char key[] = "Comment";
    png_text texts[3] = { { .compression = PNG_TEXT_COMPRESSION_zTXt, .key = key, .text = text },
                          { .compression = PNG_TEXT_COMPRESSION_NONE, .key = key, .text = text },
                          { .compression = PNG_ITXT_COMPRESSION_zTXt, .key = key, .text = text } };
    png_set_text(png, info, texts, 3);
    png_set_gAMA(png, info, 0.1);
    png_color_8 bits = { 1, 1, 1, 1, 1 };
    png_set_sBIT(png, info, &bits);
    png_color_16 background = { .red = 255, .green = 255, .blue = 255 };
    png_set_bKGD(png, info, &background);
}

picture picture_png(uint32_t width, uint32_t height, int type, int depth, unsigned flags)
{
    picture p = { NULL, 0 };
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t *row = malloc((size_t)width * 8);
    assert_non_null(row);
    png_set_write_fn(png, &p, append, flush);
    png_set_compression_level(png, 1);
    int transparent = (flags & PNG_TRANSPARENT) != 0;
    int stored = transparent && type != PNG_COLOR_TYPE_PALETTE ? type | PNG_COLOR_MASK_ALPHA : type;
    png_set_IHDR(png, info, width, height, depth, stored,
                 (flags & PNG_INTERLACED) != 0 ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE,
                 PNG_FILTER_TYPE_BASE);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[256];
        png_byte clear = 0;
        for (int i = 0; i < 1 << depth; ++i) {
            png_byte grey = (png_byte)(i * 255 / ((1 << depth) - 1));
            palette[i] = (png_color){ grey, grey, grey };
        }
        palette[0] = (png_color){ 255, 255, 255 };
        png_set_PLTE(png, info, palette, 1 << depth);
        if (transparent)
            png_set_tRNS(png, info, &clear, 1, NULL);
    }
    if ((flags & PNG_ANCILLARY) != 0)
        add_ancillary(png, info);
    png_write_info(png, info);
    for (int pass = png_set_interlace_handling(png); pass > 0; --pass) {
        for (uint32_t y = 0; y < height; ++y) {
            fill_row(row, y, width, height, type, depth, flags);
            png_write_row(png, row);
        }
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
    return p;
}

/* ---- JPEG --------------------------------------------------------------------------------------------------------- */

static void fill_inks(uint8_t *row, uint32_t width, unsigned flags)
{
    /* From behind: a pixel grows from three bytes to four. */
    for (uint32_t x = width; x-- > 0;) {
        uint8_t rgb[3] = { row[3 * x], row[3 * x + 1], row[3 * x + 2] };
        for (int c = 0; c < 3; ++c)
            row[4 * x + (uint32_t)c] = (flags & JPEG_ADOBE) != 0 ? rgb[c] : (uint8_t)(255 - rgb[c]);
        row[4 * x + 3] = (flags & JPEG_ADOBE) != 0 ? 255 : 0;
    }
}

picture picture_jpeg(uint32_t width, uint32_t height, unsigned flags)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long len = 0;
    uint8_t *row = malloc((size_t)width * 4);
    assert_non_null(row);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &len);
    jpeg.image_width = width;
    jpeg.image_height = height;
    int inks = (flags & JPEG_CMYK) != 0, grey = (flags & JPEG_GREY) != 0;
    jpeg.input_components = inks ? 4 : grey ? 1 : 3;
    jpeg.in_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (inks)
        jpeg.write_Adobe_marker = (flags & JPEG_ADOBE) != 0;
    if ((flags & JPEG_FULL_CHROMA) != 0)
        jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    if ((flags & JPEG_RESTARTS) != 0)
        jpeg.restart_in_rows = 1;
    static const jpeg_scan_info separate[] = { { 1, { 0 }, 0, 63, 0, 0 },
                                               { 1, { 1 }, 0, 63, 0, 0 },
                                               { 1, { 2 }, 0, 63, 0, 0 } };
    if ((flags & JPEG_SEPARATE) != 0) {
        jpeg.scan_info = separate;
        jpeg.num_scans = 3;
    }
    if ((flags & JPEG_PROGRESSIVE) != 0)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            uint8_t rgb[3];
            picture_colour(x, y, width, height, rgb);
            if (grey)
                row[x] = rgb[0];
            else
                memcpy(row + 3 * (size_t)x, rgb, 3);
        }
        if (inks)
            fill_inks(row, width, flags);
        JSAMPROW line = row;
        (void)jpeg_write_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    return (picture){ bytes, len };
}

uint8_t *picture_read_jpeg(const char *path, uint32_t *width_out, uint32_t *height_out)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("there is no %s", path);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, file);
    assert_int_equal(jpeg_read_header(&jpeg, TRUE), JPEG_HEADER_OK);
    assert_false(jpeg.progressive_mode);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    size_t bytes = (size_t)jpeg.output_width * 3;
    uint8_t *pixels = malloc(bytes * jpeg.output_height);
    assert_non_null(pixels);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW line = pixels + bytes * jpeg.output_scanline;
        (void)jpeg_read_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_decompress(&jpeg);
    assert_int_equal(errors.num_warnings, 0);
    *width_out = jpeg.output_width;
    *height_out = jpeg.output_height;
    jpeg_destroy_decompress(&jpeg);
    fclose(file);
    return pixels;
}
