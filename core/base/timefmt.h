/* SPDX-License-Identifier: Apache-2.0
 *
 * timefmt.h - points in time and durations as text: RFC 3339 (api-behaviour 1.4) and Go's durations
 * (configuration-and-clients 1.7). Times are µs since 1970 UTC.
 */
#ifndef FL_TIMEFMT_H
#define FL_TIMEFMT_H

#include "flamenco/plugin.h"

#define FL_TIME_TEXT_MAX 40

/* Writes e.g. "2026-03-04T05:06:07.089123Z": as many fractional digits as needed, none when zero. Returns the length.
 * FLAMENCO_TIME_NONE gives "0001-01-01T00:00:00Z". */
size_t fl_time_format_utc(int64_t time_us, char out[FL_TIME_TEXT_MAX]);

/* Writes the time in the local zone with its offset; whole_seconds drops the fraction. Returns the length. */
size_t fl_time_format_local(int64_t time_us, int whole_seconds, char out[FL_TIME_TEXT_MAX]);

/* Reads `YYYY-MM-DDThh:mm:ss[.frac](Z|±hh:mm)`, capitals only, down to nanoseconds: out_ns (0..999) gets what is below the
 * microsecond and may be NULL. Returns 0, INVALID when it is no such text, CONFLICT when only the zone is missing or the
 * second is 60 (api-behaviour 2.1 tells these apart). */
int32_t fl_time_parse(flamenco_str text, int64_t *out_us, int32_t *out_ns);

/* Reads a duration in Go's notation ("1h30m", "1.5s", "0") into nanoseconds. INVALID: not one, or beyond 63 bits. */
int32_t fl_duration_parse(flamenco_str text, int64_t *out_ns);

/* Writes the canonical form ("1h30m0s", "1.5ms", "0s"). Returns the length. */
size_t fl_duration_format(int64_t ns, char out[FL_TIME_TEXT_MAX]);

#endif
