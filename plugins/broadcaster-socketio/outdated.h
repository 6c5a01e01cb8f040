/* SPDX-License-Identifier: Apache-2.0
 *
 * outdated.h - step counts that nobody needs any more, because a later event tells newer ones. While thousands of tasks are done
 * a second, they are most of what happens, and a page that drew each of them would do nothing else. Used by session.c.
 */
#ifndef SOCKETIO_OUTDATED_H
#define SOCKETIO_OUTDATED_H

#include "flamenco/plugin.h"

/* Gives back those events of the list that told nothing but step counts of a job or task of which a later one tells, too: their
 * buf is NULL then. Everything else stays, in order. Returns how many those are. */
uint32_t outdated_drop(const flamenco_host *host, flamenco_event *events, uint32_t count);

#endif
