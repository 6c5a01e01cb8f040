/* SPDX-License-Identifier: Apache-2.0
 *
 * comments.h - carries the comments of a configuration file over to the file that takes its place. Called by current.c.
 *
 * A comment belongs to the key below it, or to the one on its line, and goes where that key goes; a value of a variable is
 * known again by its audience and platforms. What belongs to a key that is not written any more goes with it (the backup
 * has it). The block on top and the one at the end stay where they are, blank lines with the comments around them. The six
 * lines that a manager writes on top of its file are not kept, since new ones are written.
 */
#ifndef FL_CONFIG_COMMENTS_H
#define FL_CONFIG_COMMENTS_H

#include "core/base/arena.h"
#include "core/base/buf.h"

/* Writes `fresh`, the text of fl_reference_yaml, to `out` with the comments of `old`, any text. Returns 0; INVALID when there
 * is nothing to carry over, because `old` has no comments or is not YAML, then nothing was written; NOMEM. [any] */
int32_t fl_comments_keep(fl_arena *arena, flamenco_str old, flamenco_str fresh, fl_buf *out);

#endif
