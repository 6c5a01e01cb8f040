/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.h - the JSON texts of commands' parameters, outside the engine's heap until the job is sent. Those of one job are mostly
 * alike up to a frame number, so a text is kept as what differs from an earlier one. Used by natives.c and engine.c.
 */
#ifndef FL_KEPT_H
#define FL_KEPT_H

#include "../wire.h"

typedef struct fl_kept_text fl_kept_text;

/* All zero at first. */
typedef struct fl_kept {
    fl_wire_out bytes;
    fl_kept_text *texts;
    size_t n, cap;
    uint32_t base; /* the text that the next one is compared with; n > 0 */
} fl_kept;

/* Takes over the bytes that were added to kept->bytes from `begin` on. Returns the text's number, or -1: there is no room, and
 * they are gone. */
int64_t fl_kept_add(fl_kept *kept, size_t begin);
/* Writes text `number`. Returns 0 when there is none of that number. */
int fl_kept_write(const fl_kept *kept, int64_t number, fl_wire_out *out);
/* Frees all texts. */
void fl_kept_clear(fl_kept *kept);

#endif
