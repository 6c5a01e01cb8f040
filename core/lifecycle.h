/* SPDX-License-Identifier: Apache-2.0
 *
 * lifecycle.h - starts the manager's parts in order, and stops them so that nothing acknowledged is lost (architecture 9).
 * Called by main.c.
 */
#ifndef FL_LIFECYCLE_H
#define FL_LIFECYCLE_H

#include "core/config/current.h"
#include "core/flamenco.h"
#include "core/loader.h"
#include "core/periodic.h"

/* Everything of one run. */
typedef struct fl_run {
    struct flamenco f;
    fl_manager_yaml *yaml;
    fl_periodic *periodic;
    struct fl_first_run *first_run; /* NULL unless this is one */
    fl_arena *arena; /* texts that last as long as the run */
    int hangs; /* a restart went on although something did not end: nothing can be freed */
} fl_run;

/* Makes the parts that plugins may use from their creation on. run->yaml and f.config must stand. */
int32_t fl_run_prepare(fl_run *run, flamenco_error *err);

/* What the image of the process before a restart in place left: sockets that listen, and connections without a request. */
typedef struct fl_inherited {
    const int *listen;
    size_t n_listen;
    const int *connections;
    size_t n_connections;
} fl_inherited;

/* Starts plugins, executor, repair, periodic work, and then listens. On failure call fl_run_stop. [main] */
int32_t fl_run_start(fl_run *run, const fl_inherited *inherited, flamenco_error *err);

/* Stops in order. restarting: requests get 1 s instead of 20, and the listening sockets are kept open: written to fds (room
 * for `cap`), their number returned. So are connections without a request: fl_run_kept. Also after a failed start. [main] */
size_t fl_run_stop(fl_run *run, int restarting, int *fds, size_t cap);

/* The connections that a stop for a restart has kept open; valid until fl_run_destroy. Returns their number. [main] */
size_t fl_run_kept(fl_run *run, const int **fds_out);

/* Frees everything but yaml and config. [main] */
void fl_run_destroy(fl_run *run);

#endif
