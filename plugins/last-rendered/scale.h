/* SPDX-License-Identifier: Apache-2.0
 *
 * scale.h - makes an image smaller while it streams by: rows in, rows out, Lanczos with 3 lobes (contract:
 * state-and-scheduling 14). Holds one row and about eight rows of the result. Called by thumbnails.c.
 */
#ifndef FL_LR_SCALE_H
#define FL_LR_SCALE_H

#include "flamenco/plugin.h"

typedef struct fl_lr_scaler fl_lr_scaler;

/* Takes a finished row, width x 3 bytes, borrowed. A failure ends the call that brought it. */
typedef int32_t (*fl_lr_on_row)(void *ctx, const uint8_t *rgb, flamenco_error *err);

/* The size in which an image fits into a limit, as the contract rounds; never larger than it is. */
void fl_lr_fit(uint32_t width, uint32_t height, uint32_t limit_width, uint32_t limit_height, uint32_t *width_out,
               uint32_t *height_out);

/* out_width <= width and out_height <= height, none of them 0, else INVALID. NOMEM. */
int32_t fl_lr_scaler_create(uint32_t width, uint32_t height, uint32_t out_width, uint32_t out_height,
                            fl_lr_on_row on_row, void *ctx, fl_lr_scaler **out, flamenco_error *err);

/* Takes the next of `height` rows, width x 3 bytes. */
int32_t fl_lr_scaler_row(fl_lr_scaler *scaler, const uint8_t *rgb, flamenco_error *err);

void fl_lr_scaler_destroy(fl_lr_scaler *scaler); /* accepts NULL */

#endif
