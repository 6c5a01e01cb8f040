/* SPDX-License-Identifier: Apache-2.0
 *
 * json_mend.h - changes JSON text that Flamenco's clients may send and the parser would refuse. Called by json_in.c.
 */
#ifndef FL_API_JSON_MEND_H
#define FL_API_JSON_MEND_H

#include "core/base/arena.h"

/* Replaces bytes that are not UTF-8 and lone surrogate escapes by U+FFFD, and appends ".0" to integers outside 64
 * bits, so that they are read as reals. *out is `text` itself when there is nothing to do, else a copy in the arena.
 * Text that is no JSON comes out as something that is none, too. Returns 0 or NOMEM. */
int32_t fl_json_mend(flamenco_str text, fl_arena *arena, flamenco_str *out);

#endif
