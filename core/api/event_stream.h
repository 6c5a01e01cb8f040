/* SPDX-License-Identifier: Apache-2.0
 *
 * event_stream.h - GET /api/v3/events: what happens as server-sent events, with the last 1,000 kept for who comes back. Made
 * and destroyed by lifecycle.c; fed as a listener of the publisher.
 */
#ifndef FL_API_EVENT_STREAM_H
#define FL_API_EVENT_STREAM_H

#include "core/flamenco.h"

typedef struct fl_event_streams fl_event_streams;

/* NULL when memory is exhausted. */
fl_event_streams *fl_event_streams_create(struct flamenco *f);
/* After the HTTP server has ended; accepts NULL. */
void fl_event_streams_destroy(fl_event_streams *streams);

#endif
