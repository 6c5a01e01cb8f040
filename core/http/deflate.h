/* SPDX-License-Identifier: Apache-2.0
 *
 * deflate.h - compressed WebSocket messages (RFC 7692, permessage-deflate): the handshake's header, frames out, messages in.
 *
 * What goes to many connections is packed once for all of them. So what is packed refers only to messages of the same call, never
 * to what one connection had before and another had not; a client unpacks it all the same, since it keeps more than is referred
 * to. Nothing is kept per connection. Used by ws.c.
 */
#ifndef FL_HTTP_DEFLATE_H
#define FL_HTTP_DEFLATE_H

#include <pthread.h>

#include <zlib.h>

#include "core/base/str.h"
#include "core/http/http.h"

/* Packs for one connection after the other, and for all of a server. */
typedef struct fl_deflate {
    pthread_mutex_t lock; /* of everything below */
    z_stream z;
    int is_set_up; /* z: when first needed */
    fl_buf scratch;
} fl_deflate;

int32_t fl_deflate_init(fl_deflate *d); /* NOMEM */
void fl_deflate_fini(fl_deflate *d);

/* The answer to a client's Sec-WebSocket-Extensions header; static. NULL: it offers nothing that can be given. */
const char *fl_deflate_answer(flamenco_str offers);

/* Whether packing so many messages is worth its time: one short text hardly gets shorter. */
int fl_deflate_is_worth_it(flamenco_buf *const *messages, uint32_t n);

/* The messages with their frames' heads, packed, in one piece with one reference. NULL: memory is exhausted. [any] */
flamenco_buf *fl_deflate_frames(fl_deflate *d, uint32_t kind, flamenco_buf *const *messages, uint32_t n);

/* Unpacks one message of a client, of which each stands alone. INVALID: it is not packed as it should be; FULL: it is longer than
 * `at_most`; NOMEM. *out is the caller's to free, also after an error. */
int32_t fl_deflate_unpack(flamenco_str packed, uint64_t at_most, fl_buf *out);

/* Writes the head of an unmasked frame, of at most FL_WS_HEAD_MAX bytes. Returns its length. */
#define FL_WS_HEAD_MAX 10u
unsigned fl_ws_write_head(unsigned char *head, uint32_t kind, int packed, uint64_t len);

#endif
