/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.h - finds where a valid UTF-8 sequence ends. Used by what writes or checks text: json.c, str.c, log.c.
 */
#ifndef FL_UTF8_H
#define FL_UTF8_H

#include <stddef.h>

/* Returns the length (1 to 4) of the valid sequence at p, of which `left` bytes may be read, or 0 when there is none:
 * bad or missing continuation, overlong form, surrogate, beyond U+10FFFF. */
static inline size_t fl_utf8_length(const unsigned char *p, size_t left)
{
    if (left == 0)
        return 0;
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (left < 2 || (p[1] & 0xC0) != 0x80)
        return 0;
    if (c < 0xE0)
        return 2;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) ||
        (c == 0xF4 && p[1] > 0x8F))
        return 0;
    if (left < 3 || (p[2] & 0xC0) != 0x80)
        return 0;
    if (c < 0xF0)
        return 3;
    return left >= 4 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
}

#endif
