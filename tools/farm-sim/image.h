/* SPDX-License-Identifier: Apache-2.0
 * Pretended render output: a small picture that changes from frame to frame. */
#ifndef FARM_SIM_IMAGE_H
#define FARM_SIM_IMAGE_H

#include <stdint.h>

struct fl_worker;

/* Posts the picture of a frame of the task in hand. Skipped while the previous one is still on its way; the answer
 * is ignored, as the official Worker only logs it. PNG where that sends JPEG: the manager takes both. */
void fl_image_send(struct fl_worker *w, int64_t frame);

#endif
