/* SPDX-License-Identifier: Apache-2.0
 *
 * time_text.h - reads and writes the texts of the manual clock's requests. Used by clock_manual.c.
 */
#ifndef FL_CLOCK_MANUAL_TIME_TEXT_H
#define FL_CLOCK_MANUAL_TIME_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Reads "1h30m", "0.5s", "250ms" (units h, m, s, ms, us) into µs. Returns 0 when it is none, or above 10^6 hours. */
int fl_clock_read_duration(const char *text, int64_t *out_us);

/* Reads an RFC 3339 time with zone, years 1970 to 9999, into µs since 1970 UTC. Returns 0 when it is none. */
int fl_clock_read_time(const char *text, int64_t *out_us);

/* Writes RFC 3339 in UTC with six or no fractional digits. */
void fl_clock_write_time(int64_t time_us, char *out, size_t size);

#endif
