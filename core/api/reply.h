/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.h - the answer to a request while it is made: status, content type, a few more headers and the body. Filled
 * by the handlers, mostly through the functions of api_write.h; sent by the HTTP layer. Belongs to one thread at a
 * time.
 *
 * A handler may run twice: the core calls fl_reply_reset() before each run. The functions that return int32_t give
 * 0, or NOMEM when memory was exhausted at any moment since the reset; a handler returns their result.
 */
#ifndef FL_API_REPLY_H
#define FL_API_REPLY_H

#include "core/base/json.h"

#define FL_REPLY_HEADERS_MAX 8u

typedef struct fl_reply_header {
    const char *name; /* in lower case, static */
    size_t at, len; /* of the value within header_text */
} fl_reply_header;

/* Zero-initialise it. */
typedef struct fl_reply {
    int32_t status; /* 0 = nothing was answered yet */
    uint32_t n_headers; /* of those below; Content-Type and Content-Length are not among them */
    const char *content_type; /* static; NULL: the reply has none, and no body */
    fl_buf body;
    fl_json json;
    fl_reply_header headers[FL_REPLY_HEADERS_MAX];
    fl_buf header_text;
    int32_t has_file; /* 1: the body is a part of a file: the descriptor is the reply's */
    int32_t fd;
    uint64_t offset, length;
} fl_reply;

void fl_reply_fini(fl_reply *reply);

/* Forgets what was answered; the memory is kept for the next run. */
void fl_reply_reset(fl_reply *reply);

/* Begins a JSON body and gives the writer for it, which is part of the reply. */
fl_json *fl_reply_json_begin(fl_reply *reply, int32_t status);

/* Ends the body with the newline that every JSON reply has. */
int32_t fl_reply_json_end(fl_reply *reply);

/* Answers with a JSON text that exists already; the newline is added when it is missing. The text is copied. */
int32_t fl_reply_json_raw(fl_reply *reply, int32_t status, flamenco_str json);

/* Answers with an Error object. A message over 4 KiB is cut. */
int32_t fl_reply_error(fl_reply *reply, int32_t status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int32_t fl_reply_error_va(fl_reply *reply, int32_t status, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Forgets what was answered, then answers with the Error that suits a failed call when the handler has nothing
 * better to say: NOT_FOUND 404, INVALID 400, EXISTS and CONFLICT 409, UNSUPPORTED 501, BUSY, UNAVAILABLE, CANCELLED,
 * DEADLINE and FULL 503 with Retry-After, else 500. text is for people and may be NULL. */
int32_t fl_reply_failure(fl_reply *reply, int32_t code, const char *text);

/* Answers with `text/plain; charset=UTF-8`. The text is copied. */
int32_t fl_reply_text(fl_reply *reply, int32_t status, flamenco_str text);

/* Answers with `length` bytes of a file from `offset`. The descriptor is taken over; content_type may be NULL. */
int32_t fl_reply_file(fl_reply *reply, int32_t status, const char *content_type, int32_t fd, uint64_t offset,
                      uint64_t length);

/* Answers without a body. */
int32_t fl_reply_empty(fl_reply *reply, int32_t status);

/* Adds a header. `name` is static and in lower case; the value is copied. Beyond FL_REPLY_HEADERS_MAX, or with a
 * line break in the value, the reply is marked as failed. */
void fl_reply_header_add(fl_reply *reply, const char *name, flamenco_str value);
/* The value of the nth header; borrowed until the reply changes. */
flamenco_str fl_reply_header_value(const fl_reply *reply, uint32_t n);

#endif
