/* SPDX-License-Identifier: Apache-2.0
 *
 * json_check.c - the reading half of json.h: checks a text against the grammar of JSON without building anything, and
 * indents it. Keeps its own stack of one bit a level, so that no input can exhaust the thread's.
 */
#include "core/base/json.h"

#include "core/base/utf8.h"

#define MAX_DEPTH 512

typedef struct reader {
    const unsigned char *begin, *at, *end;
    const char *problem; /* the first one met; NULL = none */
    uint32_t depth;
    uint8_t is_object[MAX_DEPTH / 8];
} reader;

static int is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        ++r->at;
}

static int fail(reader *r, const char *problem)
{
    r->problem = problem;
    return 0;
}

static int next_is(reader *r, unsigned char c)
{
    if (r->at == r->end || *r->at != c)
        return 0;
    ++r->at;
    return 1;
}

static int is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int read_escape(reader *r)
{
    static const char names[] = "\"\\/bfnrt";
    if (r->at == r->end)
        return fail(r, "the text ends within a string");
    unsigned char c = *r->at;
    if (c == 'u') {
        for (int i = 1; i <= 4; ++i) {
            if (r->end - r->at <= i || !is_hex(r->at[i]))
                return fail(r, "\\u needs four hexadecimal digits");
        }
        r->at += 5;
        return 1;
    }
    if (c == '\0' || strchr(names, c) == NULL)
        return fail(r, "unknown escape in a string");
    ++r->at;
    return 1;
}

static int read_string(reader *r)
{
    if (!next_is(r, '"'))
        return fail(r, "expected a string");
    while (r->at < r->end) {
        unsigned char c = *r->at;
        if (c == '"') {
            ++r->at;
            return 1;
        }
        if (c < 0x20)
            return fail(r, "control character in a string");
        if (c == '\\') {
            ++r->at;
            if (!read_escape(r))
                return 0;
            continue;
        }
        size_t n = fl_utf8_length(r->at, (size_t)(r->end - r->at));
        if (n == 0)
            return fail(r, "invalid UTF-8");
        r->at += n;
    }
    return fail(r, "the text ends within a string");
}

static int read_digits(reader *r)
{
    if (r->at == r->end || *r->at < '0' || *r->at > '9')
        return fail(r, "expected a digit");
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        ++r->at;
    return 1;
}

static int read_number(reader *r)
{
    (void)next_is(r, '-');
    if (!next_is(r, '0') && !read_digits(r))
        return 0;
    if (next_is(r, '.') && !read_digits(r))
        return 0;
    if (next_is(r, 'e') || next_is(r, 'E')) {
        if (!next_is(r, '+'))
            (void)next_is(r, '-');
        return read_digits(r);
    }
    return 1;
}

static int read_word(reader *r, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return fail(r, "expected a value");
    r->at += len;
    return 1;
}

static int read_scalar(reader *r)
{
    if (r->at == r->end)
        return fail(r, "the text ends where a value is expected");
    switch (*r->at) {
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true");
    case 'f':
        return read_word(r, "false");
    case 'n':
        return read_word(r, "null");
    default:
        if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
            return read_number(r);
        return fail(r, "expected a value");
    }
}

static int open_level(reader *r, int is_object)
{
    if (r->depth == MAX_DEPTH)
        return fail(r, "nested too deeply");
    uint8_t bit = (uint8_t)(1u << (r->depth % 8));
    if (is_object)
        r->is_object[r->depth / 8] |= bit;
    else
        r->is_object[r->depth / 8] &= (uint8_t)~bit;
    ++r->depth;
    ++r->at;
    return 1;
}

static int in_object(const reader *r)
{
    return r->depth > 0 && (r->is_object[(r->depth - 1) / 8] >> ((r->depth - 1) % 8) & 1) != 0;
}

static int read_key(reader *r)
{
    skip_blanks(r);
    if (!read_string(r))
        return 0;
    skip_blanks(r);
    return next_is(r, ':') ? 1 : fail(r, "expected ':'");
}

/* Reads what may follow a value: closing brackets, then a comma with the next key, or the end. Returns 1 when another
 * value is to come, 0 at the end or after a problem. */
static int read_after_value(reader *r)
{
    while (r->depth > 0) {
        skip_blanks(r);
        if (next_is(r, in_object(r) ? '}' : ']')) {
            --r->depth;
            continue;
        }
        if (!next_is(r, ','))
            return fail(r, in_object(r) ? "expected ',' or '}'" : "expected ',' or ']'");
        return in_object(r) ? read_key(r) : 1;
    }
    return 0;
}

/* Reads one value, or its opening bracket with the first key. Returns 1 when another value is to come. */
static int read_step(reader *r)
{
    skip_blanks(r);
    unsigned char c = r->at < r->end ? *r->at : 0;
    if (c != '{' && c != '[')
        return read_scalar(r) ? read_after_value(r) : 0;
    if (!open_level(r, c == '{'))
        return 0;
    skip_blanks(r);
    if (r->at < r->end && *r->at == (c == '{' ? '}' : ']'))
        return read_after_value(r);
    return c == '{' ? read_key(r) : 1;
}

int32_t fl_json_check(flamenco_str json, flamenco_error *err)
{
    const unsigned char *text = (const unsigned char *)(json.ptr != NULL ? json.ptr : "");
    reader r = { .begin = text, .at = text, .end = text + json.len };
    while (read_step(&r)) {
    }
    if (r.problem == NULL) {
        skip_blanks(&r);
        if (r.at != r.end)
            fail(&r, "something follows the value");
    }
    if (r.problem == NULL)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_INVALID, "not valid JSON at byte %zu: %s", (size_t)(r.at - r.begin),
                         r.problem);
}

static void begin_line(fl_buf *out, uint32_t depth)
{
    char *to = fl_buf_reserve(out, 1 + (size_t)depth * 2);
    if (to == NULL)
        return;
    *to = '\n';
    memset(to + 1, ' ', (size_t)depth * 2);
    out->len += 1 + (size_t)depth * 2;
}

void fl_json_indent(flamenco_str json, fl_buf *out)
{
    const char *p = json.ptr;
    const char *end = json.len > 0 ? p + json.len : p;
    uint32_t depth = 0;
    int just_opened = 0;
    while (p < end) {
        const char *from = p;
        char c = *p++;
        if (is_blank((unsigned char)c))
            continue;
        if (c == '}' || c == ']') {
            depth -= depth > 0;
            if (!just_opened)
                begin_line(out, depth);
            just_opened = 0;
            fl_buf_add_char(out, c);
            continue;
        }
        if (just_opened)
            begin_line(out, depth);
        just_opened = 0;
        if (c == '"') {
            while (p < end && *p != '"')
                p += *p == '\\' && end - p > 1 ? 2 : 1;
            p += p < end;
        }
        fl_buf_add(out, from, (size_t)(p - from));
        if (c == '{' || c == '[') {
            ++depth;
            just_opened = 1;
        } else if (c == ',') {
            begin_line(out, depth);
        } else if (c == ':') {
            fl_buf_add_char(out, ' ');
        }
    }
}
