/* SPDX-License-Identifier: Apache-2.0
 *
 * rfc2047.h - decodes header values with encoded words, "=?utf-8?q?h=C3=A4us?=" (contract: shaman 3.4). Used by shaman.c.
 */
#ifndef FL_API_RFC2047_H
#define FL_API_RFC2047_H

#include "core/base/arena.h"

/* Decodes `value` into the arena; words that are malformed stay as they are. Charsets: utf-8, iso-8859-1 and us-ascii. Returns
 * 0; INVALID for another charset; NOMEM. */
int32_t fl_rfc2047_decode(fl_arena *arena, flamenco_str value, flamenco_str *out);

#endif
