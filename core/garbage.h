/* SPDX-License-Identifier: Apache-2.0
 *
 * garbage.h - the command line's collection of Shaman's garbage (contract: shaman 6.4): no database, no port. Used by main.c.
 */
#ifndef FL_GARBAGE_H
#define FL_GARBAGE_H

#include "core/lifecycle.h"

/* Starts what Shaman needs, collects once, and stops it. dry_run: only shows what would go. Everything is told in the log;
 * trouble does not change the exit code. run must be prepared, and its plugins loaded. [main] */
void fl_garbage_collect(fl_run *run, int dry_run);

#endif
