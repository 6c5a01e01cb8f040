/* SPDX-License-Identifier: Apache-2.0
 *
 * timers.h - one thread that waits on the clock service and hands on what is due: delayed steps of plugins and the core's
 * periodic work. With a clock set by hand the timers follow it.
 */
#ifndef FL_TIMERS_H
#define FL_TIMERS_H

#include "core/flamenco.h"

typedef struct fl_timers fl_timers;

/* Called on the timer thread when the time has come; must not block. */
typedef void (*fl_on_timer)(void *ctx);

/* Starts the thread. f->clock must have started. */
int32_t fl_timers_start(struct flamenco *f, fl_timers **out, flamenco_error *err);

/* Calls on_timer(ctx) once, `delay_us` from now. Returns 0, NOMEM, or CANCELLED when timers are stopped: then on_timer is
 * never called. [any] */
int32_t fl_timers_add(fl_timers *timers, int64_t delay_us, fl_on_timer on_timer, void *ctx);

/* Joins the thread; nothing is called any more. */
void fl_timers_stop(fl_timers *timers);
/* Frees it; tells of each timer that has not come. Accepts NULL. */
void fl_timers_destroy(fl_timers *timers, void (*dropped)(fl_on_timer on_timer, void *ctx));

#endif
