/* SPDX-License-Identifier: Apache-2.0
 *
 * outq.h - bytes that wait to be written to one connection, put there by any thread, taken by its loop: of WebSockets (ws.c)
 * and of replies without end (feed.c).
 */
#ifndef FL_HTTP_OUTQ_H
#define FL_HTTP_OUTQ_H

#include <pthread.h>

#include "core/http/http.h"

typedef struct fl_out {
    flamenco_buf *data; /* one reference */
    uint16_t kind; /* the user's */
    uint16_t messages; /* in data */
} fl_out;

typedef struct fl_outq {
    pthread_mutex_t lock; /* the user takes it, for every call but init and fini */
    fl_out *ring;
    uint32_t cap, first, count; /* cap: a power of two */
    uint32_t messages; /* in all of them */
    uint64_t bytes;
    int overrun; /* too much was put in: nothing more is taken, and the connection is to be cut */
} fl_outq;

int32_t fl_outq_init(fl_outq *q);
void fl_outq_fini(fl_outq *q);

/* Puts in with a reference of its own to the data. FULL; NOMEM. */
int32_t fl_outq_push(fl_outq *q, const fl_http_config *config, fl_out one);
/* Takes the oldest, with its reference; there must be one. */
fl_out fl_outq_pop(fl_outq *q);
void fl_outq_clear(fl_outq *q);

/* Tells whether a connection that does not take what is written is too far behind. */
static inline int fl_outq_is_long(uint32_t messages, uint64_t bytes, const fl_http_config *config)
{
    return messages > config->ws_max_queued || bytes > config->ws_max_queued_bytes;
}

#endif
