/* SPDX-License-Identifier: Apache-2.0
 *
 * bounds.h - what one image may cost. Filled by process.c from the settings; asked by the readers while they decode.
 */
#ifndef FL_LR_BOUNDS_H
#define FL_LR_BOUNDS_H

#include "flamenco/plugin.h"

#define FL_LR_SIDE_MAX 65535u /* pixels; what a JPEG can have, so a PNG need not have more */

typedef struct fl_lr_limits {
    uint64_t pixels; /* width times height */
    uint64_t memory_bytes; /* for an image that must be decoded as a whole */
    /* Tells whether the work must end: 0, DEADLINE or CANCELLED. */
    int32_t (*check)(void *ctx);
    void *ctx;
} fl_lr_limits;

/* Asks check and fills err. */
int32_t fl_lr_limits_check(const fl_lr_limits *limits, flamenco_error *err);

/* INVALID when an image of that size is not to be decoded. */
int32_t fl_lr_limits_size(const fl_lr_limits *limits, uint64_t width, uint64_t height, flamenco_error *err);

#endif
