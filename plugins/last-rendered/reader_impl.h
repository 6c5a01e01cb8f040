/* SPDX-License-Identifier: Apache-2.0
 *
 * reader_impl.h - what the readers of the two formats share. Only for reader.c, read_jpeg.c, read_png.c.
 */
#ifndef FL_LR_READER_IMPL_H
#define FL_LR_READER_IMPL_H

#include "reader.h"

#define FL_LR_TEXT_MAX 200

typedef struct fl_lr_reader_ops {
    int32_t (*begin)(fl_lr_reader *reader, uint32_t least_width, uint32_t least_height, uint32_t *width_out,
                     uint32_t *height_out, flamenco_error *err);
    int32_t (*row)(fl_lr_reader *reader, uint8_t *rgb, flamenco_error *err);
    int32_t (*end)(fl_lr_reader *reader, flamenco_error *err);
    void (*close)(fl_lr_reader *reader);
} fl_lr_reader_ops;

/* First member of each reader. */
struct fl_lr_reader {
    const fl_lr_reader_ops *ops;
    const fl_lr_limits *limits;
    uint32_t width, height;
    /* Why the library jumped out. */
    int32_t code;
    char text[FL_LR_TEXT_MAX];
};

/* Make a reader and read the head. What they allocated is gone when they fail. */
int32_t fl_lr_jpeg_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err);
int32_t fl_lr_png_open(flamenco_str bytes, const fl_lr_limits *limits, fl_lr_reader **out, flamenco_error *err);

#endif
