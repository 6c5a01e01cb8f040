/* SPDX-License-Identifier: Apache-2.0
 *
 * thumbnails.h - makes the files of the three sizes out of one image (contract: state-and-scheduling 14). Called by
 * process.c.
 */
#ifndef FL_LR_THUMBNAILS_H
#define FL_LR_THUMBNAILS_H

#include "bounds.h"

#define FL_LR_SIZES 3u

/* Their names, large to small, ended by an empty text. */
extern const flamenco_str fl_lr_names[FL_LR_SIZES + 1];

/* Decodes the image, scales it down step by step, each size from the pixels of the one before, and writes each size to a
 * file in the directory; dir_fd is borrowed, -1 = nothing can be written, the image is only looked through. A file appears
 * under its name when it is complete, and none does before the image is known to be whole.
 *
 * Returns 0 also when files could not be written: then *written_out is less than FL_LR_SIZES, and the smaller ones were left
 * as they were; write_err tells why. Errors: those of reader.h; no file was changed then. */
int32_t fl_lr_thumbnails_make(int dir_fd, flamenco_str image, const fl_lr_limits *limits, uint32_t *written_out,
                              flamenco_error *write_err, flamenco_error *err);

/* Removes the files of a job that is gone. */
void fl_lr_thumbnails_remove(int dir_fd);

#endif
