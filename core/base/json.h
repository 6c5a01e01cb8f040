/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - writes JSON straight into a buffer, in the encoding of api-behaviour 1.3: compact, `<`, `>`, `&`, U+2028 and
 * U+2029 escaped, invalid UTF-8 replaced by U+FFFD. Used for every reply and event. Commas are put by the writer.
 * Errors are sticky in the buffer (fl_buf.failed).
 */
#ifndef FL_JSON_H
#define FL_JSON_H

#include "core/base/buf.h"

typedef struct fl_json {
    fl_buf *out;
    uint8_t need_comma;
    uint8_t time_len; /* of the time that was written last, with its quotes; 0: none yet */
    char time_text[46]; /* rows that were made together have the same */
    int64_t time_us;
} fl_json;

/* Begins to write behind what `out` holds. `out` is borrowed. */
fl_json fl_json_begin(fl_buf *out);

void fl_json_object_begin(fl_json *w);
void fl_json_object_end(fl_json *w);
void fl_json_array_begin(fl_json *w);
void fl_json_array_end(fl_json *w);

/* Writes a key. `key` must need no escaping: it is a name of the API document. */
void fl_json_key(fl_json *w, const char *key);
/* The same for a literal, in half the time: most of a reply is keys. */
#define FL_JSON_KEY(w, key) fl_json_literal_key(w, "\"" key "\":", sizeof("\"" key "\":") - 1)
static inline void fl_json_literal_key(fl_json *w, const char *text, size_t len)
{
    char *to = fl_buf_room(w->out, len + 1);
    if (to == NULL)
        return;
    if (w->need_comma)
        *to++ = ',';
    memcpy(to, text, len);
    w->out->len += len + w->need_comma;
    w->need_comma = 0;
}
/* Writes a key of any bytes. */
void fl_json_key_str(fl_json *w, flamenco_str key);

void fl_json_str(fl_json *w, flamenco_str text);
void fl_json_text(fl_json *w, const char *text); /* NULL is written as "" */
void fl_json_int(fl_json *w, int64_t value);
/* Writes the shortest decimal form that reads back as the same double; NaN and infinities become null. */
void fl_json_real(fl_json *w, double value);
void fl_json_bool(fl_json *w, int value);
void fl_json_null(fl_json *w);
/* Splices text that is valid JSON already, as a value. */
void fl_json_raw(fl_json *w, flamenco_str json);
void fl_json_uuid(fl_json *w, const flamenco_uuid *uuid);
/* RFC 3339 in UTC, 0 to 6 fractional digits (api-behaviour 1.4). FLAMENCO_TIME_NONE is written as year 1. */
void fl_json_time(fl_json *w, int64_t time_us);

/* Checks that `json` is one JSON value, without building a tree: depth at most 512, valid UTF-8. Returns 0, or INVALID with
 * the reason and the offset in err. */
int32_t fl_json_check(flamenco_str json, flamenco_error *err);

/* Rewrites valid JSON indented by two spaces, for `?pretty`. */
void fl_json_indent(flamenco_str json, fl_buf *out);

#endif
