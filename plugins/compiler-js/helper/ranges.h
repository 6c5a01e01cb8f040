/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges.h - frame ranges: "1-10,20..25" (contract: job-compiler 3.3 and 3.4). Called by engine.c for frameChunker and
 * frameCount. Works on intervals and never expands them, so the cost depends on the text and on what is written.
 */
#ifndef FL_RANGES_H
#define FL_RANGES_H

#include "flamenco/plugin.h"

typedef struct fl_range {
    int64_t first, last; /* first <= last */
} fl_range;

/* Ascending, neither overlapping nor touching. */
typedef struct fl_ranges {
    fl_range *items;
    size_t count, cap;
} fl_ranges;

/* More frames than these in one range are taken for a slip of the pen: 1-9999999999 would be a job of that many tasks. */
#define FL_RANGES_FRAMES_MAX 10000000u

/* Reads a range; an interval from a larger to a smaller frame has no frames, which is fine. `out` is owned by the caller,
 * zeroed at first, freed by fl_ranges_free. INVALID, NOMEM. */
int32_t fl_ranges_parse(flamenco_str text, fl_ranges *out, flamenco_error *err);
void fl_ranges_free(fl_ranges *ranges);
uint64_t fl_ranges_count(const fl_ranges *ranges);

/* Writes the chunks of `size` (1 or more) frames, separated by newlines, into a malloc'ed text. NOMEM. */
int32_t fl_ranges_chunks(const fl_ranges *ranges, uint64_t size, char **out, size_t *len_out, flamenco_error *err);

/* Cuts off white space as Unicode has it, at both ends. */
flamenco_str fl_ranges_trim(flamenco_str text);

#endif
