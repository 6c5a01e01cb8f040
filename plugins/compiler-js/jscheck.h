/* SPDX-License-Identifier: Apache-2.0
 *
 * jscheck.h - checks what comes from a helper before it is passed on, without building trees. Called by talk.c and
 * compiler.c.
 */
#ifndef FL_JSCHECK_H
#define FL_JSCHECK_H

#include "flamenco/plugin.h"

#define FL_JSCHECK_ANY 0u
#define FL_JSCHECK_OBJECT 1u
#define FL_JSCHECK_ARRAY 2u

/* Tells whether `text` is one JSON value of that kind: valid UTF-8, at most 512 levels deep, numbers finite as written. With
 * `escaped` also `<`, `>`, `&`, U+2028 and U+2029 must be escaped, as everywhere in the API. */
int fl_jscheck_json(flamenco_str text, uint32_t kind, int escaped);

/* Tells whether `text` is valid UTF-8. */
int fl_jscheck_utf8(flamenco_str text);

#endif
