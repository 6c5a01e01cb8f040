/* SPDX-License-Identifier: Apache-2.0
 *
 * jscheck.c - see jscheck.h.
 */
#include "jscheck.h"

#include <endian.h>

#define DEPTH_MAX 512

typedef struct cursor {
    const unsigned char *at, *end;
    int escaped;
    /* One bit a level: 1 = object. */
    uint64_t kinds[DEPTH_MAX / 64];
    uint32_t depth;
} cursor;

/* The width of the valid character of two bytes or more at p, or 0. */
static size_t wide_char(const unsigned char *p, size_t n)
{
    if (n >= 2 && p[0] >= 0xC2 && p[0] <= 0xDF && (p[1] & 0xC0) == 0x80)
        return 2;
    if (n >= 3 && (p[0] & 0xF0) == 0xE0 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80)
        return (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0) ? 0 : 3;
    if (n >= 4 && p[0] >= 0xF0 && p[0] <= 0xF4 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80 &&
        (p[3] & 0xC0) == 0x80)
        return (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90) ? 0 : 4;
    return 0;
}

int fl_jscheck_utf8(flamenco_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    const unsigned char *end = p + text.len;
    while (p < end) {
        size_t width = *p < 0x80 ? 1 : wide_char(p, (size_t)(end - p));
        if (width == 0)
            return 0;
        p += width;
    }
    return 1;
}

static int is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static int skip_escape(cursor *c)
{
    if (c->end - c->at < 2)
        return 0;
    unsigned char kind = c->at[1];
    if (kind != 'u') {
        c->at += 2;
        return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
    }
    if (c->end - c->at < 6 || !is_hex(c->at[2]) || !is_hex(c->at[3]) || !is_hex(c->at[4]) || !is_hex(c->at[5]))
        return 0;
    c->at += 6;
    return 1;
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Skips what stands for itself in every string, eight bytes at a time: nearly all of a job is that. */
static void skip_plain(cursor *c)
{
    const uint64_t high = EACH_BYTE(0x80);
    while (c->end - c->at >= 8) {
        uint64_t x;
        memcpy(&x, c->at, sizeof(x));
        x = le64toh(x);
        /* Without the high bits nothing carries into the next byte. A byte gets its high bit when it is not one of < and >;
         * " and &; a backslash; below 0x20. */
        uint64_t low = x & ~high;
        uint64_t plain = (((low | EACH_BYTE(0x02)) ^ EACH_BYTE(0x3E)) + ~high) &
                         (((low | EACH_BYTE(0x04)) ^ EACH_BYTE(0x26)) + ~high) & ((low ^ EACH_BYTE(0x5C)) + ~high) &
                         (low + EACH_BYTE(0x60)) & ~x;
        uint64_t other = ~plain & high;
        if (other != 0) {
            c->at += __builtin_ctzll(other) / 8;
            return;
        }
        c->at += 8;
    }
}

static int skip_string(cursor *c)
{
    for (c->at++; c->at < c->end;) {
        skip_plain(c);
        if (c->at == c->end)
            return 0;
        unsigned char ch = *c->at;
        if (ch == '"') {
            c->at++;
            return 1;
        }
        if (ch < 0x20 || (c->escaped && (ch == '<' || ch == '>' || ch == '&')))
            return 0;
        if (ch == '\\') {
            if (!skip_escape(c))
                return 0;
        } else if (ch < 0x80) {
            c->at++;
        } else {
            size_t width = wide_char(c->at, (size_t)(c->end - c->at));
            if (width == 0 || (c->escaped && width == 3 && ch == 0xE2 && c->at[1] == 0x80 && (c->at[2] & 0xFE) == 0xA8))
                return 0;
            c->at += width;
        }
    }
    return 0;
}

static int skip_digits(cursor *c)
{
    const unsigned char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > start;
}

static int skip_number(cursor *c)
{
    if (*c->at == '-')
        c->at++;
    if (c->at < c->end && *c->at == '0')
        c->at++;
    else if (!skip_digits(c))
        return 0;
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!skip_digits(c))
            return 0;
    }
    if (c->at < c->end && (*c->at | 0x20) == 'e') {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        return skip_digits(c);
    }
    return 1;
}

static int skip_word(cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return 0;
    c->at += n;
    return 1;
}

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static int skip_scalar(cursor *c)
{
    switch (*c->at) {
    case '"':
        return skip_string(c);
    case 't':
        return skip_word(c, "true");
    case 'f':
        return skip_word(c, "false");
    case 'n':
        return skip_word(c, "null");
    default:
        return (*c->at == '-' || (*c->at >= '0' && *c->at <= '9')) && skip_number(c);
    }
}

static int in_object(const cursor *c)
{
    return c->depth > 0 && (c->kinds[(c->depth - 1) / 64] >> ((c->depth - 1) % 64) & 1) != 0;
}

static int enter(cursor *c, int object)
{
    if (c->depth == DEPTH_MAX)
        return 0;
    uint64_t bit = UINT64_C(1) << (c->depth % 64);
    if (object)
        c->kinds[c->depth / 64] |= bit;
    else
        c->kinds[c->depth / 64] &= ~bit;
    c->depth++;
    c->at++;
    return 1;
}

static int skip_key(cursor *c)
{
    skip_space(c);
    if (c->at >= c->end || *c->at != '"' || !skip_string(c))
        return 0;
    skip_space(c);
    if (c->at >= c->end || *c->at != ':')
        return 0;
    c->at++;
    return 1;
}

/* Behind a value: leaves the lists that end here. Returns 1 when another value follows, 0 when all is done, -1 on an error. */
static int leave(cursor *c)
{
    while (c->depth > 0) {
        skip_space(c);
        if (c->at >= c->end)
            return -1;
        int object = in_object(c);
        unsigned char ch = *c->at++;
        if (ch == ',')
            return object && !skip_key(c) ? -1 : 1;
        if (ch != (object ? '}' : ']'))
            return -1;
        c->depth--;
    }
    return 0;
}

/* One value, from its first character on. Returns as leave(). */
static int skip_value(cursor *c)
{
    skip_space(c);
    if (c->at >= c->end)
        return -1;
    if (*c->at != '{' && *c->at != '[')
        return skip_scalar(c) ? leave(c) : -1;
    int object = *c->at == '{';
    if (!enter(c, object))
        return -1;
    skip_space(c);
    if (c->at < c->end && *c->at == (object ? '}' : ']')) {
        c->at++;
        c->depth--;
        return leave(c);
    }
    return object && !skip_key(c) ? -1 : 1;
}

int fl_jscheck_json(flamenco_str text, uint32_t kind, int escaped)
{
    if (text.len == 0) /* its pointer may be NULL, to which nothing may be added */
        return 0;
    cursor c = { (const unsigned char *)text.ptr, NULL, escaped, { 0 }, 0 };
    c.end = c.at + text.len;
    skip_space(&c);
    if (c.at >= c.end || (kind == FL_JSCHECK_OBJECT && *c.at != '{') || (kind == FL_JSCHECK_ARRAY && *c.at != '['))
        return 0;
    int rc;
    do {
        rc = skip_value(&c);
    } while (rc == 1);
    skip_space(&c);
    return rc == 0 && c.at == c.end;
}
