/* SPDX-License-Identifier: Apache-2.0
 *
 * chunks.c - see chunks.h. What could be read in two ways is refused: lines end in CR LF or LF, sizes are hexadecimal digits.
 */
#include "core/http/chunks.h"

#include "core/base/str.h"

#define LINE_MAX_BYTES 16384u

static void end_size_line(fl_chunks *c)
{
    if (c->digits == 0)
        c->state = FL_CHUNKS_BAD;
    else
        c->state = c->left > 0 ? FL_CHUNKS_DATA : FL_CHUNKS_TRAILER_BEGIN;
    c->digits = 0;
    c->line = 0;
}

static void take_size(fl_chunks *c, char byte)
{
    int digit = fl_hex_value(byte);
    if (digit >= 0 && c->digits < 15) {
        c->left = c->left * 16 + (uint64_t)digit;
        ++c->digits;
    } else if (byte == '\n') {
        end_size_line(c);
    } else if (c->digits > 0 && (byte == '\r' || byte == ';' || byte == ' ' || byte == '\t')) {
        c->state = FL_CHUNKS_EXTENSION;
    } else {
        c->state = FL_CHUNKS_BAD;
    }
}

/* Takes one byte that is not data. */
static void take_byte(fl_chunks *c, char byte)
{
    switch (c->state) {
    case FL_CHUNKS_SIZE:
        take_size(c, byte);
        break;
    case FL_CHUNKS_EXTENSION:
        if (byte == '\n')
            end_size_line(c);
        else if (++c->line > LINE_MAX_BYTES)
            c->state = FL_CHUNKS_BAD;
        break;
    case FL_CHUNKS_DATA_END:
        if (byte == '\n')
            c->state = FL_CHUNKS_SIZE;
        else if (byte != '\r' || c->line++ > 0)
            c->state = FL_CHUNKS_BAD;
        if (c->state != FL_CHUNKS_DATA_END)
            c->line = 0;
        break;
    case FL_CHUNKS_TRAILER_BEGIN:
        if (byte == '\n')
            c->state = FL_CHUNKS_END;
        else if (byte != '\r')
            c->state = FL_CHUNKS_TRAILER;
        break;
    case FL_CHUNKS_TRAILER:
        if (byte == '\n')
            c->state = FL_CHUNKS_TRAILER_BEGIN;
        else if (++c->line > LINE_MAX_BYTES)
            c->state = FL_CHUNKS_BAD;
        break;
    default:
        c->state = FL_CHUNKS_BAD;
        break;
    }
}

size_t fl_chunks_next(fl_chunks *c, const char *data, size_t len, flamenco_str *piece_out)
{
    size_t at = 0;
    *piece_out = (flamenco_str){ NULL, 0 };
    while (at < len && c->state != FL_CHUNKS_END && c->state != FL_CHUNKS_BAD) {
        if (c->state != FL_CHUNKS_DATA) {
            take_byte(c, data[at++]);
            continue;
        }
        size_t n = len - at < c->left ? len - at : (size_t)c->left;
        *piece_out = (flamenco_str){ data + at, n };
        c->left -= n;
        if (c->left == 0)
            c->state = FL_CHUNKS_DATA_END;
        return at + n;
    }
    return at;
}
