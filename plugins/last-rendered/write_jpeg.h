/* SPDX-License-Identifier: Apache-2.0
 *
 * write_jpeg.h - writes a JPEG file row by row. Called by thumbnails.c.
 */
#ifndef FL_LR_WRITE_JPEG_H
#define FL_LR_WRITE_JPEG_H

#include "flamenco/plugin.h"

typedef struct fl_lr_writer fl_lr_writer;

/* Begins a file at the descriptor, which is borrowed. Errors of all functions: IO, FULL, NOMEM, INTERNAL; after one, only
 * destroy is left. */
int32_t fl_lr_writer_create(int fd, uint32_t width, uint32_t height, fl_lr_writer **out, flamenco_error *err);

/* Takes the next row, width x 3 bytes of RGB. */
int32_t fl_lr_writer_row(fl_lr_writer *writer, const uint8_t *rgb, flamenco_error *err);

/* After the last row: writes what is left. */
int32_t fl_lr_writer_end(fl_lr_writer *writer, flamenco_error *err);

void fl_lr_writer_destroy(fl_lr_writer *writer); /* accepts NULL */

#endif
