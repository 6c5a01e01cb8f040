/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule_text.h - a sleep schedule as people write it: times of day and days of the week (state-and-scheduling 11.1, 11.2;
 * decisions "overnight sleep window"). Used by sleep_scheduler.c.
 */
#ifndef FL_SLEEP_TEXT_H
#define FL_SLEEP_TEXT_H

#include "flamenco/plugin.h"

#define FL_SLEEP_NO_TIME (-1) /* open-ended */
#define FL_SLEEP_MINUTES_OF_DAY 1440
#define FL_SLEEP_TIME_MAX 6 /* "24:00" and a NUL */
#define FL_SLEEP_DAYS_MAX 24 /* "mo tu we th fr sa su" and a NUL */
#define FL_SLEEP_EVERY_DAY 0x7fu

/* Reads a time of day into minutes since midnight; an empty text is FL_SLEEP_NO_TIME. is_end: 24:00 is allowed. Returns NULL,
 * or what a time must be. */
const char *fl_sleep_read_time(flamenco_str text, int is_end, int32_t *out);

/* Writes it as "09:05", FL_SLEEP_NO_TIME as the empty text. */
void fl_sleep_write_time(int32_t minutes, char out[FL_SLEEP_TIME_MAX]);

/* Reads words separated by blanks or commas into two-letter names with one blank between, each day once. Returns 1; or 0
 * with the word that is no day of the week in *wrong. */
int fl_sleep_read_days(flamenco_str text, char out[FL_SLEEP_DAYS_MAX], flamenco_str *wrong);

/* The days of a stored text as a mask: bit 0 is Sunday. A blank text is every day; a word that is no day counts for nothing. */
uint32_t fl_sleep_days_mask(flamenco_str stored);

#endif
