/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - the images that wait: the newest of each job, jobs in turn (decisions "last-rendered queue"). Not locked; the
 * plugin does that.
 */
#ifndef FL_LR_QUEUE_H
#define FL_LR_QUEUE_H

#include "flamenco/plugin.h"

/* What an image costs beside its bytes, so that very small ones are bounded in number. */
#define FL_LR_IMAGE_COST 4096u

typedef struct fl_lr_image {
    struct fl_lr_image *next;
    flamenco_uuid job;
    flamenco_buf *buf;
    uint64_t cost; /* bytes + FL_LR_IMAGE_COST */
} fl_lr_image;

typedef struct fl_lr_queue {
    fl_lr_image *first, **last;
    uint64_t cost, limit;
} fl_lr_queue;

void fl_lr_queue_init(fl_lr_queue *queue, uint64_t limit);

/* Adds an image, at the place of its job's waiting one if there is one: that is handed back by *replaced_out (else NULL)
 * and is the caller's. FULL: there is no room, and nothing was changed. One image always fits into an empty queue. */
int32_t fl_lr_queue_put(fl_lr_queue *queue, fl_lr_image *image, fl_lr_image **replaced_out);

/* Takes the image of the job whose turn it is; NULL: none waits. */
fl_lr_image *fl_lr_queue_take(fl_lr_queue *queue);

#endif
