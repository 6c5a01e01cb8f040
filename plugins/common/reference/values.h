/* SPDX-License-Identifier: Apache-2.0
 *
 * values.h - the reference's ways to write times, statuses, texts and JSON (configuration-and-clients 6.3), read and mended.
 * Used by the files of this folder and by their unit tests.
 */
#ifndef FL_REFERENCE_VALUES_H
#define FL_REFERENCE_VALUES_H

#include "flamenco/plugin.h"

/* Reads a time. Returns 1, or 0 when it cannot be read. An empty text is no time: *out = FLAMENCO_TIME_NONE. */
int fl_value_time(flamenco_str text, int64_t *out);

/* Reads "HH:MM", 00:00 to 24:00, as minutes since midnight; empty = -1. Returns 1, or 0 when it cannot be read. */
int fl_value_minutes(flamenco_str text, int32_t *out);

/* Writes the week days among `text`'s words to out[21], "mo tu". Returns 1, or 0 when none of its words is one: such a schedule
 * never applies, whereas a text without words stands for every day. */
int fl_value_days(flamenco_str text, char *out);

/* Tells whether `text` is UTF-8 without NUL bytes. */
int fl_value_is_utf8(flamenco_str text);
/* Writes it with U+FFFD for what is none. `out` has room for 3 bytes per byte of text. Returns the length. */
uint64_t fl_value_mend_utf8(flamenco_str text, char *out);

#define FL_JSON_GOOD 0 /* it may be kept as it stands */
#define FL_JSON_CHANGED 1 /* *out replaces it; owned by the caller until free() */
#define FL_JSON_BAD 2 /* it cannot be read */

/* Checks a job's settings: any JSON object; its metadata: a JSON object of texts, other values of which become texts; and a
 * task's commands: "null" or a JSON array of {name, parameters, total_step_count}, the last of which old rows lack. Return
 * FL_JSON_*, or NOMEM. */
int fl_value_settings(flamenco_str json);
int32_t fl_value_metadata(flamenco_str json, char **out);
int32_t fl_value_commands(flamenco_str json, char **out);

#endif
