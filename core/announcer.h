/* SPDX-License-Identifier: Apache-2.0
 *
 * announcer.h - tells discovery plugins where the manager can be reached, and again whenever the host's addresses change. Made
 * by lifecycle.c; main.c waits on it. All functions: [main].
 */
#ifndef FL_ANNOUNCER_H
#define FL_ANNOUNCER_H

#include "core/flamenco.h"

typedef struct fl_announcer fl_announcer;

/* Tells all discoveries the URLs of a bound address "HOST:PORT" (own_urls.h), and watches from now on. `bound` and `scheme` are
 * borrowed until the end. NULL: there is no discovery, or no memory, which is logged. */
fl_announcer *fl_announcer_start(struct flamenco *f, flamenco_str bound, const char *scheme);

/* For poll: readable when addresses changed; -1: there is nothing to wait for. Accepts NULL, as do all that follow. */
int fl_announcer_fd(const fl_announcer *announcer);

/* How long poll may wait before fl_announcer_run wants to be called; ms, -1 = for ever. */
int fl_announcer_wait_ms(const fl_announcer *announcer);

/* Does what is due: to be called after each poll. */
void fl_announcer_run(fl_announcer *announcer);

/* Says good-bye; nothing is watched any more. */
void fl_announcer_withdraw(fl_announcer *announcer);

void fl_announcer_destroy(fl_announcer *announcer);

#endif
