/* SPDX-License-Identifier: Apache-2.0
 *
 * last_rendered.h - the plugin's instance. plugin.c takes images and answers questions, process.c works them off.
 */
#ifndef FL_LAST_RENDERED_H
#define FL_LAST_RENDERED_H

#include <pthread.h>

#include "flamenco/calls/local_storage.h"
#include "flamenco/calls/persistence.h"
#include "queue.h"

typedef struct last_rendered {
    const flamenco_host *host;
    flamenco_persistence_ref persist;
    flamenco_local_storage_ref storage;
    /* Settings. */
    uint64_t pixels, memory_bytes;
    int64_t time_limit_us;

    uint32_t stopping; /* atomic: the manager said so; what waits or runs is given up */
    /* Of the one image that is being worked off. */
    int64_t decode_until_us; /* monotonic */
    int64_t quiet_until_us; /* monotonic; until then failing writes are counted, not logged */
    uint64_t failed_writes; /* not logged yet */

    pthread_mutex_t lock;
    /* The rest is under lock. */
    fl_lr_queue queue;
    int busy; /* a step that works off an image is queued or runs */
    int began; /* that step ran: else it was refused, since the manager stops */
} last_rendered;

/* Queues the step that works off the next image; `busy` was set by the caller. */
void fl_lr_process_next(last_rendered *self);

/* Frees an image that was taken out of the queue. Accepts NULL. */
void fl_lr_image_destroy(last_rendered *self, fl_lr_image *image);

/* Frees all that wait. */
void fl_lr_drop_waiting(last_rendered *self);

#endif
