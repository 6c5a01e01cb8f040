/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h - looks into JSON texts without making anything of them: no memory is needed, so that exhausted memory is never
 * taken for a bad text. Used by the import of the reference's database and by scheduler-fair.
 */
#ifndef FL_JSON_SCAN_H
#define FL_JSON_SCAN_H

#include "flamenco/plugin.h"

#define FL_SCAN_DEPTH 200 /* deeper texts are refused */

/* A place in a text. After a failure it is worth nothing. */
typedef struct fl_scan {
    const char *at, *end;
} fl_scan;

fl_scan fl_scan_begin(flamenco_str text);
/* Reads one value of any kind with the white space around it; *out is the value alone. Returns 1, or 0 when it is none. */
int fl_scan_value(fl_scan *scan, flamenco_str *out);
/* Tells whether the text is one value of that kind and nothing else: '{', '[', '"', 't', 'f', 'n', or '0' for a number. */
int fl_scan_is(flamenco_str text, char kind);
/* The kind of a value that fl_scan_value gave. */
char fl_scan_kind(flamenco_str value);

/* Gives the members of an object, or the elements of an array, that fl_scan_value gave, one after the other. `inside` begins as
 * fl_scan_inside(value). Return 1, or 0 at the end. *key: still between its quotes. */
fl_scan fl_scan_inside(flamenco_str value);
int fl_scan_member(fl_scan *inside, flamenco_str *key, flamenco_str *value);
int fl_scan_element(fl_scan *inside, flamenco_str *value);

/* Writes what a text between its quotes stands for, as UTF-8; out has room for text.len bytes. Returns the length. */
uint64_t fl_scan_decode(flamenco_str text, char *out);
/* Tells whether a text between its quotes stands for `plain`, of at most 255 bytes. */
int fl_scan_means(flamenco_str text, const char *plain, uint64_t len);

#endif
