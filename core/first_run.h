/* SPDX-License-Identifier: Apache-2.0
 *
 * first_run.h - shows the setup assistant to whoever starts the manager for the first time (configuration-and-clients 1.4,
 * 1.9). Called by lifecycle.c.
 */
#ifndef FL_FIRST_RUN_H
#define FL_FIRST_RUN_H

#include "core/flamenco.h"

typedef struct fl_first_run fl_first_run;

/* Says where the assistant is, and after a second opens the web browser there, if there is a desktop. `url` must last as long
 * as the run. Returns NULL when memory is exhausted, which is logged. [main] */
fl_first_run *fl_first_run_begin(struct flamenco *f, flamenco_str url);

/* Free it when timers and work pool have stopped. Accepts NULL. [main] */
void fl_first_run_destroy(fl_first_run *first_run);

#endif
