/* SPDX-License-Identifier: Apache-2.0
 *
 * event_list.h - a bounded list of events in order of arrival, of which a reader waits for the next one. Used by
 * event_recorder.c: added to by the publisher's thread, read by those of the work pool.
 */
#ifndef EVENT_LIST_H
#define EVENT_LIST_H

#include <pthread.h>

#include "flamenco/plugin.h"

typedef struct event_list {
    const flamenco_host *host;
    pthread_mutex_t lock;
    pthread_cond_t added; /* measured by CLOCK_MONOTONIC */
    /* The rest is under lock. A ring of `size` slots, of which `count` are used from `first` on. */
    flamenco_event *slots;
    size_t size, first, count;
    int closed; /* nobody waits any more */
} event_list;

/* Makes an empty list for at most `size` events. Errors: NOMEM. */
int32_t fl_event_list_init(event_list *list, const flamenco_host *host, size_t size, flamenco_error *err);

/* Gives everything back. Accepts a zeroed list. */
void fl_event_list_fini(event_list *list);

/* Keeps an event, by a reference on its texts; drops the oldest one when the list is full. Wakes those who wait. */
void fl_event_list_add(event_list *list, const flamenco_event *event);

/* Forgets all. */
void fl_event_list_clear(event_list *list);

/* Wakes everybody who waits, now and later. */
void fl_event_list_close(event_list *list);

/* Waits until there is an event with a number above `after`, the list is closed, or the system's monotonic time reaches
 * until_us. Then copies the `newest` last of those events, oldest first, with a reference each, to the caller, who gives them
 * back by fl_event_list_release. Errors: NOMEM. */
int32_t fl_event_list_read(event_list *list, uint64_t after, uint64_t newest, int64_t until_us, flamenco_event **out,
                           size_t *count_out, flamenco_error *err);

void fl_event_list_release(event_list *list, flamenco_event *events, size_t count);

#endif
