/* SPDX-License-Identifier: Apache-2.0
 *
 * chunks.h - decodes a body in chunks, as it arrives. Pure; used by stream.c.
 */
#ifndef FL_HTTP_CHUNKS_H
#define FL_HTTP_CHUNKS_H

#include "flamenco/plugin.h"

enum {
    FL_CHUNKS_SIZE, /* digits of a chunk's size */
    FL_CHUNKS_EXTENSION,
    FL_CHUNKS_DATA,
    FL_CHUNKS_DATA_END, /* CR LF behind the data */
    FL_CHUNKS_TRAILER_BEGIN,
    FL_CHUNKS_TRAILER,
    FL_CHUNKS_END,
    FL_CHUNKS_BAD
};

/* Zero-initialise it. */
typedef struct fl_chunks {
    int state;
    uint64_t left; /* of the chunk */
    uint32_t digits;
    uint32_t line; /* bytes of an extension or of trailers */
} fl_chunks;

/* Takes bytes up to the end of the next piece of data, of the body, or of what is there. *piece_out is that data, possibly
 * empty. Returns how many bytes were taken; look at `state` then: END, BAD, or go on with the rest. */
size_t fl_chunks_next(fl_chunks *chunks, const char *data, size_t len, flamenco_str *piece_out);

#endif
