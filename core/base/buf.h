/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.h - a growing run of bytes, and its counted, immutable form that many receivers share (flamenco_buf).
 * Used by the JSON writer, replies, events and log batches.
 */
#ifndef FL_BUF_H
#define FL_BUF_H

#include "flamenco/plugin.h"

/* Zero-initialise it. After a failed allocation `failed` is 1, and every later call does nothing: check once, at the end. */
typedef struct fl_buf {
    char *data;
    size_t len, cap;
    int failed;
} fl_buf;

/* Frees the bytes and zeroes the struct. */
void fl_buf_fini(fl_buf *buf);

/* Makes room for `more` bytes behind len; returns where they go, or NULL when memory is exhausted. */
char *fl_buf_reserve(fl_buf *buf, size_t more);

/* The same, inlined for the case that there is room. */
static inline char *fl_buf_room(fl_buf *buf, size_t more)
{
    return !buf->failed && more < buf->cap - buf->len ? buf->data + buf->len : fl_buf_reserve(buf, more);
}

void fl_buf_add(fl_buf *buf, const void *data, size_t len);
void fl_buf_add_str(fl_buf *buf, flamenco_str text);
void fl_buf_add_text(fl_buf *buf, const char *text);
void fl_buf_add_char(fl_buf *buf, char c);
void fl_buf_printf(fl_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline flamenco_str fl_buf_str(const fl_buf *buf)
{
    flamenco_str s = { buf->data, buf->len };
    return s;
}

/* Turns the bytes into a shared, immutable buffer with one reference and empties `buf`. Returns NULL when memory is
 * exhausted or buf->failed is set (then buf is emptied, too). */
flamenco_buf *fl_shared_take(fl_buf *buf);

/* Makes a shared buffer of `len` zeroed bytes with one reference; the maker alone may write to fl_shared_data() until it
 * hands it on. NULL when memory is exhausted. */
flamenco_buf *fl_shared_create(size_t len);
char *fl_shared_data(flamenco_buf *buf);
flamenco_str fl_shared_str(const flamenco_buf *buf);
void fl_shared_ref(flamenco_buf *buf);
void fl_shared_unref(flamenco_buf *buf); /* accepts NULL */

#endif
