/* SPDX-License-Identifier: Apache-2.0
 *
 * str.h - the few things done to flamenco_str everywhere, and percent and base64 decoding.
 */
#ifndef FL_STR_H
#define FL_STR_H

#include "core/base/arena.h"

/* A string literal as flamenco_str. */
#define FL_STR(literal) ((flamenco_str){ "" literal, sizeof(literal) - 1 })
/* Arguments for "%.*s". */
#define FL_STR_ARGS(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), ((s).ptr != NULL ? (s).ptr : "")

static inline int fl_str_is(flamenco_str s, const char *text)
{
    return flamenco_str_equal(s, flamenco_text(text));
}
int fl_str_starts(flamenco_str s, const char *prefix);
int fl_str_equal_nocase(flamenco_str a, flamenco_str b); /* ASCII letters only */
flamenco_str fl_str_trim(flamenco_str s); /* blanks, tabs, CR, LF at both ends */

/* Splits off the part of *rest before `sep` and moves *rest behind it. Returns 0 when *rest was used up. An empty text
 * gives one empty part; start with a copy whose ptr is not NULL. */
int fl_str_split(flamenco_str *rest, char sep, flamenco_str *part_out);

/* Reads a decimal integer, the whole text. Returns 0 or INVALID (also when out of range). */
int32_t fl_str_int(flamenco_str s, int64_t *out);

/* Decodes %XX into the arena. Returns 0; INVALID for a bad escape or a NUL byte; NOMEM. plus: '+' means blank. */
int32_t fl_str_percent_decode(fl_arena *arena, flamenco_str s, int plus, flamenco_str *out);

/* Decodes standard base64 with or without padding. Returns 0, INVALID or NOMEM. */
int32_t fl_str_base64_decode(fl_arena *arena, flamenco_str s, flamenco_str *out);

/* Tells whether s is valid UTF-8. */
int fl_str_is_utf8(flamenco_str s);
/* Copies s with every invalid byte sequence, one byte at a time, replaced by U+FFFD. ptr NULL: memory is exhausted. */
flamenco_str fl_str_to_utf8(fl_arena *arena, flamenco_str s);

/* The value of a hexadecimal digit, or -1. */
static inline int fl_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
