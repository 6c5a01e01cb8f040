/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - JSON (RFC 8259) from left to right.
 */
#include "scan.h"

fl_scan fl_scan_begin(flamenco_str text)
{
    return (fl_scan){ text.ptr, text.ptr + text.len };
}

static void skip_blanks(fl_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        ++s->at;
}

static int take(fl_scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return 0;
    ++s->at;
    return 1;
}

static int take_word(fl_scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return 0;
    s->at += len;
    return 1;
}

static int is_digit(const fl_scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static int take_digits(fl_scan *s)
{
    if (!is_digit(s))
        return 0;
    while (is_digit(s))
        ++s->at;
    return 1;
}

static int take_number(fl_scan *s)
{
    (void)take(s, '-');
    if (!take(s, '0') && !take_digits(s))
        return 0;
    if (take(s, '.') && !take_digits(s))
        return 0;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '-'))
            (void)take(s, '+');
        return take_digits(s);
    }
    return 1;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hexadecimal digits; -1 when they are none. */
static int32_t take_hex(fl_scan *s)
{
    int32_t value = 0;
    if (s->end - s->at < 4)
        return -1;
    for (int i = 0; i < 4; ++i) {
        int digit = hex_value(*s->at++);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static int take_escape(fl_scan *s)
{
    if (s->at == s->end)
        return 0;
    char c = *s->at++;
    return c == 'u' ? take_hex(s) >= 0 : c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

/* Behind the opening quote. */
static int take_text(fl_scan *s)
{
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"')
            return 1;
        if (c < ' ' || (c == '\\' && !take_escape(s)))
            return 0;
    }
    return 0;
}

/* A value that is no object or array. */
static int take_scalar(fl_scan *s)
{
    if (take(s, '"'))
        return take_text(s);
    if (s->at < s->end && (*s->at == '-' || is_digit(s)))
        return take_number(s);
    return take_word(s, "true") || take_word(s, "false") || take_word(s, "null");
}

static int take_key(fl_scan *s)
{
    skip_blanks(s);
    if (!take(s, '"') || !take_text(s))
        return 0;
    skip_blanks(s);
    return take(s, ':');
}

/* Takes as many closing brackets as follow. Returns 1 when the value has ended, 0 when another member or element comes, or -1. */
static int close_brackets(fl_scan *s, const char *open, int *depth)
{
    for (;;) {
        skip_blanks(s);
        if (*depth == 0)
            return 1;
        if (take(s, ','))
            return open[*depth - 1] != '{' || take_key(s) ? 0 : -1;
        if (!take(s, open[*depth - 1] == '{' ? '}' : ']'))
            return -1;
        --*depth;
    }
}

int fl_scan_value(fl_scan *s, flamenco_str *out)
{
    char open[FL_SCAN_DEPTH];
    int depth = 0;
    skip_blanks(s);
    const char *from = s->at, *to;
    for (;;) {
        skip_blanks(s);
        int object = take(s, '{');
        if (object || take(s, '[')) {
            if (depth == FL_SCAN_DEPTH)
                return 0;
            open[depth++] = object ? '{' : '[';
            skip_blanks(s);
            if (!take(s, object ? '}' : ']')) {
                if (object && !take_key(s))
                    return 0;
                continue;
            }
            --depth;
        } else if (!take_scalar(s)) {
            return 0;
        }
        to = s->at;
        int ended = depth == 0 ? 1 : close_brackets(s, open, &depth);
        if (ended < 0)
            return 0;
        if (ended)
            break;
    }
    /* Without the blanks that were skipped behind a bracket. */
    while (s->at > to && (s->at[-1] == ' ' || s->at[-1] == '\t' || s->at[-1] == '\n' || s->at[-1] == '\r'))
        --s->at;
    *out = (flamenco_str){ from, (uint64_t)(s->at - from) };
    skip_blanks(s);
    return 1;
}

char fl_scan_kind(flamenco_str value)
{
    char c = value.len > 0 ? value.ptr[0] : '\0';
    return c == '-' || (c >= '0' && c <= '9') ? '0' : c;
}

int fl_scan_is(flamenco_str text, char kind)
{
    flamenco_str value = { NULL, 0 };
    fl_scan s = fl_scan_begin(text);
    return text.len > 0 && fl_scan_value(&s, &value) && s.at == s.end && fl_scan_kind(value) == kind;
}

fl_scan fl_scan_inside(flamenco_str value)
{
    return (fl_scan){ value.ptr + 1, value.ptr + value.len - 1 };
}

int fl_scan_element(fl_scan *s, flamenco_str *value)
{
    skip_blanks(s);
    (void)take(s, ',');
    return s->at < s->end && fl_scan_value(s, value);
}

int fl_scan_member(fl_scan *s, flamenco_str *key, flamenco_str *value)
{
    skip_blanks(s);
    (void)take(s, ',');
    skip_blanks(s);
    const char *from = s->at + 1;
    if (s->at == s->end || !take(s, '"') || !take_text(s))
        return 0;
    *key = (flamenco_str){ from, (uint64_t)(s->at - from - 1) };
    skip_blanks(s);
    return take(s, ':') && fl_scan_value(s, value);
}

/* ---- Texts ---- */

static uint64_t put_character(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0u | c >> 6);
        out[1] = (char)(0x80u | (c & 0x3Fu));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0u | c >> 12);
        out[1] = (char)(0x80u | (c >> 6 & 0x3Fu));
        out[2] = (char)(0x80u | (c & 0x3Fu));
        return 3;
    }
    out[0] = (char)(0xF0u | c >> 18);
    out[1] = (char)(0x80u | (c >> 12 & 0x3Fu));
    out[2] = (char)(0x80u | (c >> 6 & 0x3Fu));
    out[3] = (char)(0x80u | (c & 0x3Fu));
    return 4;
}

/* Behind "\u". A half of a pair without the other one is U+FFFD. */
static uint32_t take_unicode(fl_scan *s)
{
    int32_t high = take_hex(s);
    if (high < 0xD800 || high > 0xDFFF)
        return high < 0 ? 0xFFFD : (uint32_t)high;
    fl_scan ahead = *s;
    int32_t low = high < 0xDC00 && take(&ahead, '\\') && take(&ahead, 'u') ? take_hex(&ahead) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return 0xFFFD;
    *s = ahead;
    return 0x10000u + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
}

uint64_t fl_scan_decode(flamenco_str text, char *out)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    uint64_t len = 0;
    fl_scan s = fl_scan_begin(text);
    while (s.at < s.end) {
        char c = *s.at++;
        if (c != '\\' || s.at == s.end) {
            out[len++] = c;
            continue;
        }
        c = *s.at++;
        const char *letter = c != '\0' ? strchr(letters, c) : NULL;
        if (c == 'u')
            len += put_character(out + len, take_unicode(&s));
        else
            out[len++] = letter != NULL ? meant[letter - letters] : c;
    }
    return len;
}

int fl_scan_means(flamenco_str text, const char *plain, uint64_t len)
{
    char decoded[6 * 256];
    if (text.len > sizeof(decoded) || len > 255)
        return 0;
    return fl_scan_decode(text, decoded) == len && memcmp(decoded, plain, len) == 0;
}
