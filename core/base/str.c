/* SPDX-License-Identifier: Apache-2.0
 *
 * str.c - see str.h.
 */
#include "core/base/str.h"

#include "core/base/utf8.h"

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int fl_str_starts(flamenco_str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && (len == 0 || memcmp(s.ptr, prefix, len) == 0);
}

int fl_str_equal_nocase(flamenco_str a, flamenco_str b)
{
    if (a.len != b.len)
        return 0;
    for (uint64_t i = 0; i < a.len; ++i) {
        if (to_lower(a.ptr[i]) != to_lower(b.ptr[i]))
            return 0;
    }
    return 1;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

flamenco_str fl_str_trim(flamenco_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        ++s.ptr;
        --s.len;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        --s.len;
    return s;
}

int fl_str_split(flamenco_str *rest, char sep, flamenco_str *part_out)
{
    if (rest->ptr == NULL)
        return 0;
    const char *end = rest->len > 0 ? memchr(rest->ptr, sep, (size_t)rest->len) : NULL;
    if (end == NULL) {
        *part_out = *rest;
        *rest = (flamenco_str){ NULL, 0 };
        return 1;
    }
    uint64_t len = (uint64_t)(end - rest->ptr);
    *part_out = (flamenco_str){ rest->ptr, len };
    rest->ptr = end + 1;
    rest->len -= len + 1;
    return 1;
}

int32_t fl_str_int(flamenco_str s, int64_t *out)
{
    uint64_t i = 0;
    int negative = 0;
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        negative = s.ptr[0] == '-';
        i = 1;
    }
    if (i == s.len)
        return FLAMENCO_E_INVALID;
    /* Counted downwards: the negative range is the larger one. */
    int64_t value = 0;
    for (; i < s.len; ++i) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return FLAMENCO_E_INVALID;
        int digit = s.ptr[i] - '0';
        if (__builtin_mul_overflow(value, (int64_t)10, &value) || __builtin_sub_overflow(value, (int64_t)digit, &value))
            return FLAMENCO_E_INVALID;
    }
    if (!negative) {
        if (value == INT64_MIN)
            return FLAMENCO_E_INVALID;
        value = -value;
    }
    *out = value;
    return FLAMENCO_OK;
}

int32_t fl_str_percent_decode(fl_arena *arena, flamenco_str s, int plus, flamenco_str *out)
{
    if (s.len >= SIZE_MAX)
        return FLAMENCO_E_NOMEM;
    char *text = fl_arena_alloc(arena, (size_t)s.len + 1);
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    uint64_t len = 0;
    for (uint64_t i = 0; i < s.len; ++i) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = s.len - i > 2 ? fl_hex_value(s.ptr[i + 1]) : -1;
            int low = s.len - i > 2 ? fl_hex_value(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return FLAMENCO_E_INVALID;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return FLAMENCO_E_INVALID;
        text[len++] = c;
    }
    *out = (flamenco_str){ text, len };
    return FLAMENCO_OK;
}

/* What a letter stands for, and one more; 0 = no letter of base64. */
// clang-format off
static const uint8_t base64_values[256] = {
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
};
// clang-format on

/* Decodes four letters into three bytes. 0: one of them is none. */
static int decode_quad(const char *letters, char *to)
{
    uint32_t a = base64_values[(unsigned char)letters[0]] - 1u, b = base64_values[(unsigned char)letters[1]] - 1u;
    uint32_t c = base64_values[(unsigned char)letters[2]] - 1u, d = base64_values[(unsigned char)letters[3]] - 1u;
    if ((a | b | c | d) > 63)
        return 0;
    to[0] = (char)(unsigned char)(a << 2 | b >> 4);
    to[1] = (char)(unsigned char)((b << 4 | c >> 2) & 0xFF);
    to[2] = (char)(unsigned char)((c << 6 | d) & 0xFF);
    return 1;
}

int32_t fl_str_base64_decode(fl_arena *arena, flamenco_str s, flamenco_str *out)
{
    uint64_t len = s.len;
    if (len > 0 && len % 4 == 0 && s.ptr[len - 1] == '=')
        len -= s.ptr[len - 2] == '=' ? 2 : 1;
    if (len % 4 == 1)
        return FLAMENCO_E_INVALID;
    if (len >= SIZE_MAX)
        return FLAMENCO_E_NOMEM;
    char *bytes = fl_arena_alloc(arena, (size_t)(len / 4 * 3 + 3));
    if (bytes == NULL)
        return FLAMENCO_E_NOMEM;
    char *to = bytes;
    uint64_t at = 0;
    for (; len - at >= 4; at += 4, to += 3) {
        if (!decode_quad(s.ptr + at, to))
            return FLAMENCO_E_INVALID;
    }
    char last[4] = { 'A', 'A', 'A', 'A' };
    if (at < len) {
        memcpy(last, s.ptr + at, (size_t)(len - at));
        if (!decode_quad(last, to))
            return FLAMENCO_E_INVALID;
    }
    *out = (flamenco_str){ bytes, len / 4 * 3 + (len % 4 == 0 ? 0 : len % 4 - 1) };
    return FLAMENCO_OK;
}

int fl_str_is_utf8(flamenco_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    uint64_t left = s.len;
    while (left > 0) {
        size_t n = fl_utf8_length(p, (size_t)left);
        if (n == 0)
            return 0;
        p += n;
        left -= n;
    }
    return 1;
}

flamenco_str fl_str_to_utf8(fl_arena *arena, flamenco_str s)
{
    if (fl_str_is_utf8(s))
        return fl_arena_copy(arena, s);
    static const char replacement[] = { '\xEF', '\xBF', '\xBD' };
    const flamenco_str none = { NULL, 0 };
    const unsigned char *p = (const unsigned char *)s.ptr;
    uint64_t bad = 0;
    for (uint64_t i = 0; i < s.len;) {
        size_t n = fl_utf8_length(p + i, (size_t)(s.len - i));
        bad += n == 0;
        i += n > 0 ? n : 1;
    }
    if (bad > (SIZE_MAX - 1 - s.len) / 2)
        return none;
    char *text = fl_arena_alloc(arena, (size_t)(s.len + 2 * bad + 1));
    if (text == NULL)
        return none;
    uint64_t len = 0;
    for (uint64_t i = 0; i < s.len;) {
        size_t n = fl_utf8_length(p + i, (size_t)(s.len - i));
        if (n == 0) {
            memcpy(text + len, replacement, sizeof(replacement));
            len += sizeof(replacement);
            ++i;
        } else {
            memcpy(text + len, p + i, n);
            len += n;
            i += n;
        }
    }
    return (flamenco_str){ text, len };
}
