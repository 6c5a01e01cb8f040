/* SPDX-License-Identifier: Apache-2.0
 *
 * child.h - runs another program to its end and takes what it prints, with bounds on time and text. Used where the setup
 * assistant tries Blender (blender.c), and to check the configuration before a restart (main.c).
 */
#ifndef FL_CHILD_H
#define FL_CHILD_H

#include "core/base/buf.h"

typedef struct fl_child_options {
    int64_t deadline_us; /* system's monotonic clock; then its process group is killed */
    size_t keep_bytes; /* of its output; what comes beyond is read and thrown away */
    const uint32_t *go_on; /* atomic: when it becomes 0 the run is broken off. NULL = never */
    int leave_remains; /* 1: what it has started is not killed when it ends by itself */
    int own_output; /* 1: it writes to where this process writes, and nothing is kept */
} fl_child_options;

/* Runs argv[0] (a path, not looked up) in a process group of its own: input from /dev/null, output and errors into
 * `output`, no other descriptor of ours, no signal blocked or ignored. The end of the program is the end of the run, even if
 * something that it started still holds its output; such remains are killed, too. *status_out: its exit code, or 128 plus
 * the signal that ended it. Errors: IO (it cannot be started), DEADLINE, CANCELLED (go_on), NOMEM; the text says why.
 * Blocks. [worker] [main] */
int32_t fl_child_run(const char *const *argv, const fl_child_options *options, fl_buf *output, int *status_out,
                     flamenco_error *err);

#endif
