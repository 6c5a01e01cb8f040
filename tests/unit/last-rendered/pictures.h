/* SPDX-License-Identifier: Apache-2.0
 *
 * pictures.h - makes JPEG and PNG images for the tests, and reads JPEG files back, by the libraries and nothing of ours.
 */
#ifndef PICTURES_H
#define PICTURES_H

#include <stddef.h>
#include <stdint.h>

#include "flamenco/plugin.h"

/* Bytes on the heap; free them with picture_free. */
typedef struct picture {
    uint8_t *bytes;
    size_t len;
} picture;

void picture_free(picture *p);
flamenco_str picture_str(const picture *p);

/* The colours at x, y: smooth, so that what a lossy format does to them is little. */
void picture_colour(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint8_t rgb[3]);

#define PNG_INTERLACED 1u
#define PNG_TRANSPARENT 2u /* an alpha channel, or a tRNS entry of a palette */
#define PNG_ANCILLARY 4u /* with many and large chunks that do not matter */

/* type: PNG_COLOR_TYPE_GRAY, _PALETTE, _RGB (from png.h); depth as PNG allows. Grey is the red of picture_colour; a palette has
 * 2^depth greys. Alpha is x * 255 / (width - 1); of a palette, entry 0 is transparent. */
picture picture_png(uint32_t width, uint32_t height, int type, int depth, unsigned flags);

#define JPEG_PROGRESSIVE 1u
#define JPEG_GREY 2u
#define JPEG_CMYK 4u
#define JPEG_ADOBE 8u /* the marker that says inverted */
#define JPEG_FULL_CHROMA 16u
#define JPEG_RESTARTS 32u
#define JPEG_SEPARATE 64u /* a scan for each component, not progressive */
picture picture_jpeg(uint32_t width, uint32_t height, unsigned flags);

/* Reads a JPEG file whole: width x height x 3 bytes on the heap. Asserts that it is a baseline one, and sound. */
uint8_t *picture_read_jpeg(const char *path, uint32_t *width_out, uint32_t *height_out);

#endif
