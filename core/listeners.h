/* SPDX-License-Identifier: Apache-2.0
 *
 * listeners.h - the plugins' own receivers of events (flamenco_host.listen). Added while plugins start, called by the
 * publisher.
 */
#ifndef FL_LISTENERS_H
#define FL_LISTENERS_H

#include "flamenco/plugin.h"

typedef struct fl_listeners fl_listeners;

fl_listeners *fl_listeners_create(void); /* NULL when memory is exhausted */
void fl_listeners_destroy(fl_listeners *listeners);

/* owner: the plugin instance, for remove. Returns 0 or NOMEM. [any] */
int32_t fl_listeners_add(fl_listeners *listeners, const void *owner, uint64_t kinds, flamenco_on_event on_event,
                         void *ctx);
/* Lets the receivers of an owner hear these kinds, too. [any] */
void fl_listeners_widen(fl_listeners *listeners, const void *owner, uint64_t kinds);
/* Removes all of an owner; when it returns none of them runs or will be called. [main] */
void fl_listeners_remove(fl_listeners *listeners, const void *owner);
/* Calls those that want this kind. */
void fl_listeners_call(fl_listeners *listeners, const flamenco_event *event);
/* The kinds that anybody wants. */
uint64_t fl_listeners_kinds(fl_listeners *listeners);

#endif
