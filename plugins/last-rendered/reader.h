/* SPDX-License-Identifier: Apache-2.0
 *
 * reader.h - reads a JPEG or PNG image row by row, as 8-bit RGB. Called by thumbnails.c; fuzzed.
 *
 * Whatever the bytes are, a reader ends within its limits and with a text. What is not whole (cut off, a wrong checksum, a
 * defect that the format lets one see) is refused at last by fl_lr_reader_end. Grey, palettes, 16 bits, CMYK and
 * transparency (as over black) are normalised; colour profiles, gamma and EXIF are not looked at.
 */
#ifndef FL_LR_READER_H
#define FL_LR_READER_H

#include "bounds.h"

typedef struct fl_lr_reader fl_lr_reader;

/* Reads the head of an image, whose kind is told by its first bytes. `bytes` and `limits` are borrowed until close. Errors:
 * INVALID (no image that can be read, or too large; the text says why), NOMEM, DEADLINE, CANCELLED; so all functions below.
 * After an error, only close is left. */
int32_t fl_lr_reader_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err);

/* The size of the image. */
uint32_t fl_lr_reader_width(const fl_lr_reader *reader);
uint32_t fl_lr_reader_height(const fl_lr_reader *reader);

/* Begins to decode. The image may come smaller, where the format does that cheaply, but not below least_width x
 * least_height. The size that comes is written to the last two. */
int32_t fl_lr_reader_begin(fl_lr_reader *reader, uint32_t least_width, uint32_t least_height, uint32_t *width_out,
                           uint32_t *height_out, flamenco_error *err);

/* Reads the next row: width x 3 bytes. */
int32_t fl_lr_reader_row(fl_lr_reader *reader, uint8_t *rgb, flamenco_error *err);

/* After the last row: tells whether the image was whole. */
int32_t fl_lr_reader_end(fl_lr_reader *reader, flamenco_error *err);

void fl_lr_reader_close(fl_lr_reader *reader); /* accepts NULL */

#endif
