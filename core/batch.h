/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h - what a commit leaves to be done: log appends, events, wake-ups, touches and finished steps, in order of cause.
 * Filled by the writer while a transaction runs (through host.c), worked off by the publisher once it is durable.
 */
#ifndef FL_BATCH_H
#define FL_BATCH_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "flamenco/events.h"

struct fl_step;

#define FL_EFFECT_EVENT 0u
#define FL_EFFECT_LOG 1u
#define FL_EFFECT_WAKE 2u
#define FL_EFFECT_TOUCH 3u

#define FL_LOG_WAITS 0u
#define FL_LOG_WRITTEN 1u
#define FL_LOG_FAILED 2u

typedef struct fl_effect {
    struct fl_effect *next;
    uint32_t kind; /* FL_EFFECT_* */
    union {
        flamenco_event event; /* holds one reference on event.buf */
        struct {
            flamenco_uuid job, task;
            flamenco_str text; /* in the batch's arena */
            uint32_t state; /* atomic, FL_LOG_* */
        } log;
        flamenco_wake wake; /* task_type in the batch's arena */
        flamenco_touch touch;
    };
} fl_effect;

typedef struct fl_batch {
    struct fl_batch *next;
    uint64_t number;
    uint32_t refs; /* atomic: the publisher, and log appends under way */
    fl_arena *arena;
    fl_effect *first, **last;
    struct fl_step *done_first, **done_last; /* finished steps, linked by fl_step.next */
} fl_batch;

/* Makes an empty batch with one reference. NULL when memory is exhausted. */
fl_batch *fl_batch_create(void);
void fl_batch_ref(fl_batch *batch);
/* Drops a reference; the last one frees the effects. Finished steps must be gone by then. */
void fl_batch_unref(fl_batch *batch);

/* Where the effect list ends now, to cut it there when a savepoint is rolled back. */
fl_effect **fl_batch_mark(fl_batch *batch);
void fl_batch_cut(fl_batch *batch, fl_effect **mark);

/* Each adds one effect at the end; texts are copied. Return 0 or NOMEM. */
int32_t fl_batch_add_event(fl_batch *batch, const flamenco_event *event);
int32_t fl_batch_add_log(fl_batch *batch, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text);
int32_t fl_batch_add_wake(fl_batch *batch, const flamenco_wake *wake);
int32_t fl_batch_add_touch(fl_batch *batch, const flamenco_touch *touch);

#endif
