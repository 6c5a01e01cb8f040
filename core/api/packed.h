/* SPDX-License-Identifier: Apache-2.0
 *
 * packed.h - packs replies with gzip, and keeps the last ones, so that what is asked for again and has not changed is not packed
 * again: after each change every open page of the web interface asks for the same lists, and packing is the dearest part of
 * most. A reply is found by its bytes, all of them, so nothing can be out of date. Called by send.c.
 */
#ifndef FL_PACKED_H
#define FL_PACKED_H

#include "core/base/buf.h"

/* Most bytes of unpacked replies that are kept; their packed forms take a tenth of it more. */
#define FL_PACKED_BYTES (4u << 20)
#define FL_PACKED_ENTRIES 8u

typedef struct fl_packed fl_packed;

/* NULL when memory is exhausted. */
fl_packed *fl_packed_create(void);
void fl_packed_destroy(fl_packed *packed); /* accepts NULL */

/* The packed form of `plain`, with one reference; NULL when it is not smaller or memory is exhausted. `plain` must not change
 * any more. packed NULL: none is kept. [any] */
flamenco_buf *fl_packed_gzip(fl_packed *packed, flamenco_buf *plain);

#endif
