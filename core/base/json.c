/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - the writing half of json.h. Strings are scanned for the next byte that needs work, and what lies between is
 * copied in one go: task lists are megabytes of plain text.
 */
#include "core/base/json.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/timefmt.h"
#include "core/base/utf8.h"
#include "core/base/uuid.h"

/* What a byte needs: 0 nothing, 1 an escape, 2 a look at the UTF-8 sequence that it begins. */
static const uint8_t byte_class[256] = {
    // clang-format off
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['&'] = 1, ['<'] = 1, ['>'] = 1, ['\\'] = 1,
    [0x80] = 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    // clang-format on
};

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

fl_json fl_json_begin(fl_buf *out)
{
    return (fl_json){ .out = out };
}

/* Makes room for a value of `size` bytes and writes the comma that it may need. NULL: memory is exhausted. */
static char *begin_value(fl_json *w, size_t size)
{
    if (size > SIZE_MAX / 4) {
        w->out->failed = 1;
        return NULL;
    }
    char *to = fl_buf_room(w->out, size + 1);
    if (to == NULL)
        return NULL;
    if (w->need_comma) {
        *to++ = ',';
        ++w->out->len;
    }
    w->need_comma = 1;
    return to;
}

static void add_value(fl_json *w, const char *text, size_t len)
{
    char *to = begin_value(w, len);
    if (to == NULL)
        return;
    memcpy(to, text, len);
    w->out->len += len;
}

void fl_json_object_begin(fl_json *w)
{
    add_value(w, "{", 1);
    w->need_comma = 0;
}

void fl_json_object_end(fl_json *w)
{
    fl_buf_add_char(w->out, '}');
    w->need_comma = 1;
}

void fl_json_array_begin(fl_json *w)
{
    add_value(w, "[", 1);
    w->need_comma = 0;
}

void fl_json_array_end(fl_json *w)
{
    fl_buf_add_char(w->out, ']');
    w->need_comma = 1;
}

void fl_json_key(fl_json *w, const char *key)
{
    size_t len = strlen(key);
    char *to = begin_value(w, len + 3);
    if (to == NULL)
        return;
    *to++ = '"';
    memcpy(to, key, len + 1);
    to[len] = '"';
    to[len + 1] = ':';
    w->out->len += len + 3;
    w->need_comma = 0;
}

void fl_json_key_str(fl_json *w, flamenco_str key)
{
    fl_json_str(w, key);
    fl_buf_add_char(w->out, ':');
    w->need_comma = 0;
}

static void add_escape(fl_buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    const char *at = c != '\0' ? strchr(plain, c) : NULL;
    char text[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 0x0F] };
    if (at == NULL) {
        fl_buf_add(out, text, 6);
        return;
    }
    text[1] = names[at - plain];
    fl_buf_add(out, text, 2);
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Tells whether one of 16 bytes is of another class than 0. */
static int any_needs_work(const void *bytes)
{
    bytes16 b;
    uint64_t found[2];
    memcpy(&b, bytes, sizeof(b));
    /* With one bit set, '<' becomes '>', and '"' becomes '&'. */
    bytes16 hits = (bytes16)(b < 0x20) | (bytes16)(b >= 0x80) | (bytes16)((b | 2) == '>') | (bytes16)((b | 4) == '&') |
                   (bytes16)(b == '\\');
    memcpy(found, &hits, sizeof(found));
    return (found[0] | found[1]) != 0;
}

/* The same for n bytes, 4 to 16: two pieces of them that overlap make 16. */
static int any_of_few(const unsigned char *p, size_t n)
{
    uint64_t pieces[2];
    if (n >= 8) {
        memcpy(&pieces[0], p, 8);
        memcpy(&pieces[1], p + n - 8, 8);
    } else {
        uint32_t ends[2];
        memcpy(&ends[0], p, 4);
        memcpy(&ends[1], p + n - 4, 4);
        pieces[0] = pieces[1] = (uint64_t)ends[0] << 32 | ends[1];
    }
    return any_needs_work(pieces);
}

/* Returns how many bytes from p on can be copied as they are. */
static size_t plain_run(const unsigned char *p, size_t left)
{
    const unsigned char *begin = p;
    while (left > 0) {
        size_t n = left < 16 ? left : 16;
        if (n >= 4 && !any_of_few(p, n)) {
            p += n;
            left -= n;
            continue;
        }
        while (left > 0 && byte_class[*p] == 0) {
            ++p;
            --left;
        }
        if (left == 0 || byte_class[*p] == 1)
            break;
        n = fl_utf8_length(p, left);
        /* U+2028 and U+2029 are line ends in old JavaScript, though not in JSON. */
        if (n == 0 || (n == 3 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] & 0xFE) == 0xA8))
            break;
        p += n;
        left -= n;
    }
    return (size_t)(p - begin);
}

void fl_json_str(fl_json *w, flamenco_str text)
{
    const unsigned char *p = (const unsigned char *)(text.ptr != NULL ? text.ptr : "");
    size_t left = (size_t)text.len;
    char *to = begin_value(w, left < SIZE_MAX / 8 ? left + 2 : left);
    if (to == NULL)
        return;
    *to++ = '"';
    ++w->out->len;
    size_t run = plain_run(p, left);
    if (run == left) {
        if (run > 0)
            memcpy(to, p, run);
        to[run] = '"';
        w->out->len += run + 1;
        return;
    }
    for (;;) {
        fl_buf_add(w->out, p, run);
        p += run;
        left -= run;
        if (left == 0)
            break;
        if (byte_class[*p] == 1) {
            add_escape(w->out, *p);
            run = 1;
        } else if (fl_utf8_length(p, left) == 0) {
            fl_buf_add(w->out, "\xEF\xBF\xBD", 3);
            run = 1;
        } else {
            fl_buf_add(w->out, p[2] == 0xA8 ? "\\u2028" : "\\u2029", 6);
            run = 3;
        }
        p += run;
        left -= run;
        run = plain_run(p, left);
    }
    fl_buf_add_char(w->out, '"');
}

void fl_json_text(fl_json *w, const char *text)
{
    fl_json_str(w, flamenco_text(text));
}

void fl_json_int(fl_json *w, int64_t value)
{
    char digits[20];
    char *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + rest * 2, 2);
    } else {
        *--at = (char)('0' + rest);
    }
    if (value < 0)
        *--at = '-';
    add_value(w, at, (size_t)(digits + sizeof(digits) - at));
}

/* Finds the shortest decimal digits that read back as `value` (finite, above 0), and the power of ten of the first. */
static size_t shortest_digits(double value, char digits[20], int *exponent_out)
{
    char text[48];
    /* Up to 15 digits survive the way there and back, so 15 with the zeros cut off are the shortest if they are right.
     * Subnormal numbers carry fewer digits than that. */
    int precision = value < 2.2250738585072014e-308 ? 0 : 14;
    for (; precision <= 16; ++precision) {
        snprintf(text, sizeof(text), "%.*e", precision, value);
        if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
            break;
    }
    size_t n = 0;
    char *e = strchr(text, 'e');
    for (char *p = text; p < e; ++p) {
        /* The decimal point, whatever the locale has for one, is passed over. */
        if (*p >= '0' && *p <= '9' && n < 20)
            digits[n++] = *p;
    }
    while (n > 1 && digits[n - 1] == '0')
        --n;
    *exponent_out = (int)strtol(e + 1, NULL, 10);
    return n;
}

void fl_json_real(fl_json *w, double value)
{
    if (!isfinite(value)) {
        fl_json_null(w);
        return;
    }
    char digits[20] = { 0 }, text[48];
    char *to = text;
    if (signbit(value))
        *to++ = '-';
    double size = fabs(value);
    if (!(size > 0)) {
        *to++ = '0';
        add_value(w, text, (size_t)(to - text));
        return;
    }
    int exponent = 0;
    int n = (int)shortest_digits(size, digits, &exponent);
    if (exponent >= 21 || exponent < -6) {
        *to++ = digits[0];
        if (n > 1) {
            *to++ = '.';
            memcpy(to, digits + 1, (size_t)n - 1);
            to += n - 1;
        }
        to += snprintf(to, 8, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = -1; i > exponent; --i)
            *to++ = '0';
        memcpy(to, digits, (size_t)n);
        to += n;
    } else {
        for (int i = 0; i <= exponent || i < n; ++i) {
            if (i == exponent + 1)
                *to++ = '.';
            *to++ = i < n ? digits[i] : '0';
        }
    }
    add_value(w, text, (size_t)(to - text));
}

void fl_json_bool(fl_json *w, int value)
{
    if (value)
        add_value(w, "true", 4);
    else
        add_value(w, "false", 5);
}

void fl_json_null(fl_json *w)
{
    add_value(w, "null", 4);
}

void fl_json_raw(fl_json *w, flamenco_str json)
{
    add_value(w, json.ptr, (size_t)json.len);
}

void fl_json_uuid(fl_json *w, const flamenco_uuid *uuid)
{
    char *to = begin_value(w, 39);
    if (to == NULL)
        return;
    *to = '"';
    fl_uuid_format(uuid, to + 1);
    to[37] = '"';
    w->out->len += 38;
}

void fl_json_time(fl_json *w, int64_t time_us)
{
    _Static_assert(sizeof(w->time_text) >= FL_TIME_TEXT_MAX + 2, "the text of a time and its quotes");
    if (w->time_len == 0 || time_us != w->time_us) {
        size_t len = fl_time_format_utc(time_us, w->time_text + 1);
        w->time_text[0] = w->time_text[len + 1] = '"';
        w->time_len = (uint8_t)(len + 2);
        w->time_us = time_us;
    }
    add_value(w, w->time_text, w->time_len);
}
