/* SPDX-License-Identifier: Apache-2.0
 *
 * json_read.c - recursive descent over the grammar of RFC 8259, without error messages: NULL means that somebody else has to
 * look at the text. So whatever is not certain is refused here.
 */
#include "core/api/json_read.h"

#include "core/base/str.h"
#include "core/base/utf8.h"

#define DEPTH_MAX 32u
#define DIGITS_MAX 18u /* so many fit into 64 bits, whatever they are */

typedef struct reader {
    const char *at, *end;
    fl_arena *arena;
} reader;

static json_t *read_value(reader *r, uint32_t depth);

static void skip_blanks(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        ++r->at;
}

/* Skips blanks and the character; 0: another one stands there. */
static int skip(reader *r, char c)
{
    skip_blanks(r);
    if (r->at >= r->end || *r->at != c)
        return 0;
    ++r->at;
    return 1;
}

/* ---- Strings ------------------------------------------------------------------------------------------------------------ */

/* Eight bytes at once: whether one of them ends a run of plain ASCII. */
static int has_special(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    uint64_t quote = word ^ (ones * '"'), back = word ^ (ones * '\\');
    uint64_t found = word | ((quote - ones) & ~quote) | ((back - ones) & ~back) | ((word - ones * 0x20) & ~word);
    return (found & high) != 0;
}

/* The first place from p on that is not plain ASCII inside a string. */
static const char *pass_plain(const char *p, const char *end)
{
    while (end - p >= 8 && !has_special(p))
        p += 8;
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80)
        ++p;
    return p;
}

/* What a string looks like before it is taken over. */
typedef struct raw_string {
    flamenco_str text; /* between the quotes */
    int escapes, beyond_ascii;
} raw_string;

/* Reads up to the closing quote. Returns 0 when there is none, or a control character. */
static int read_raw(reader *r, raw_string *out)
{
    *out = (raw_string){ { r->at + 1, 0 }, 0, 0 };
    if (r->at >= r->end || *r->at != '"')
        return 0;
    for (const char *p = r->at + 1;;) {
        p = pass_plain(p, r->end);
        if (p >= r->end || (unsigned char)*p < 0x20)
            return 0;
        if (*p == '"') {
            out->text.len = (uint64_t)(p - out->text.ptr);
            r->at = p + 1;
            return !out->beyond_ascii || fl_str_is_utf8(out->text);
        }
        if (*p == '\\') {
            out->escapes = 1;
            if (r->end - p < 2)
                return 0;
            p += 2;
        } else {
            out->beyond_ascii = 1;
            ++p;
        }
    }
}

/* Reads the escape at *at, which stands on the backslash, and moves behind it. Returns NULL for a wrong one or a surrogate. */
static char *put_escape(char *to, const char **at, const char *end)
{
    static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char c = (*at)[1]; /* read_raw has seen it */
    if (c == 'u') {
        int32_t unit = fl_utf16_unit(*at + 2, end);
        if (unit < 0 || (unit >= 0xD800 && unit <= 0xDFFF))
            return NULL;
        *at += 6;
        return fl_utf8_put(to, (uint32_t)unit);
    }
    const char *place = memchr(from, c, sizeof(from) - 1);
    if (place == NULL)
        return NULL;
    *to++ = means[place - from];
    *at += 2;
    return to;
}

/* Makes text with escapes plain. An escape is never shorter than what it stands for. */
static int unescape(reader *r, flamenco_str *text)
{
    char *made = fl_arena_alloc(r->arena, (size_t)text->len);
    if (made == NULL)
        return 0;
    char *to = made;
    const char *end = text->ptr + text->len;
    for (const char *p = text->ptr; p < end;) {
        const char *back = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((back != NULL ? back : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (back != NULL && (to = put_escape(to, &p, end)) == NULL)
            return 0;
    }
    *text = (flamenco_str){ made, (uint64_t)(to - made) };
    return 1;
}

static json_t *read_string(reader *r)
{
    raw_string raw;
    if (!read_raw(r, &raw) || (raw.escapes && !unescape(r, &raw.text)))
        return NULL;
    return json_stringn_nocheck(raw.text.ptr, (size_t)raw.text.len);
}

/* ---- Other values ------------------------------------------------------------------------------------------------------- */

static json_t *read_number(reader *r)
{
    int negative = *r->at == '-';
    const char *first = r->at + negative, *p = first;
    int64_t value = 0;
    while (p < r->end && *p >= '0' && *p <= '9' && p - first < (ptrdiff_t)DIGITS_MAX)
        value = value * 10 + (*p++ - '0');
    if (p == first || (*first == '0' && p - first > 1))
        return NULL;
    r->at = p;
    return json_integer(negative ? -value : value);
}

static json_t *read_word(reader *r, const char *word, json_t *value)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return NULL;
    r->at += len;
    return value;
}

static json_t *read_array(reader *r, uint32_t depth)
{
    json_t *array = json_array();
    ++r->at;
    if (array == NULL || skip(r, ']'))
        return array;
    do {
        json_t *item = read_value(r, depth + 1);
        if (item == NULL || json_array_append_new(array, item) != 0)
            goto refuse;
    } while (skip(r, ','));
    if (skip(r, ']'))
        return array;
refuse:
    json_decref(array);
    return NULL;
}

static json_t *read_object(reader *r, uint32_t depth)
{
    json_t *object = json_object();
    ++r->at;
    if (object == NULL || skip(r, '}'))
        return object;
    do {
        raw_string key;
        skip_blanks(r);
        if (!read_raw(r, &key) || key.escapes || !skip(r, ':'))
            goto refuse;
        json_t *value = read_value(r, depth + 1);
        if (value == NULL || json_object_setn_new_nocheck(object, key.text.ptr, (size_t)key.text.len, value) != 0)
            goto refuse;
    } while (skip(r, ','));
    if (skip(r, '}'))
        return object;
refuse:
    json_decref(object);
    return NULL;
}

/* A wrong character behind the value is found by who reads on. */
static json_t *read_value(reader *r, uint32_t depth)
{
    skip_blanks(r);
    if (r->at >= r->end || depth > DEPTH_MAX)
        return NULL;
    switch (*r->at) {
    case '{':
        return read_object(r, depth);
    case '[':
        return read_array(r, depth);
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return read_number(r);
    }
}

json_t *fl_json_read(flamenco_str body, fl_arena *arena)
{
    reader r = { body.ptr, body.ptr + body.len, arena };
    if (body.len == 0)
        return NULL;
    skip_blanks(&r);
    return r.at < r.end && *r.at == '{' ? read_object(&r, 1) : NULL;
}
