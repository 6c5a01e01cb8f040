/* SPDX-License-Identifier: Apache-2.0
 *
 * rfc2047.c - see rfc2047.h.
 */
#include "core/api/rfc2047.h"

#include "core/base/buf.h"
#include "core/base/str.h"

typedef struct word {
    flamenco_str charset, text;
    char encoding;
    size_t len; /* of the whole */
} word;

static size_t find(const char *ptr, size_t from, size_t len, char c)
{
    while (from < len && ptr[from] != c)
        ++from;
    return from;
}

/* Reads a word at the beginning of ptr. Returns 0 when there is none. */
static int read_word(const char *ptr, size_t len, word *out)
{
    if (len < 8 || ptr[0] != '=' || ptr[1] != '?')
        return 0;
    size_t charset_end = find(ptr, 2, len, '?');
    if (charset_end == 2 || charset_end + 3 > len || ptr[charset_end + 2] != '?')
        return 0;
    size_t text = charset_end + 3, end = text;
    while (end + 1 < len && !(ptr[end] == '?' && ptr[end + 1] == '='))
        ++end;
    if (end + 1 >= len)
        return 0;
    *out = (word){ .charset = { ptr + 2, charset_end - 2 },
                   .text = { ptr + text, end - text },
                   .encoding = ptr[charset_end + 1],
                   .len = end + 2 };
    return 1;
}

/* Returns 0; INVALID for a malformed text; NOMEM. */
static int32_t decode_q(fl_arena *arena, flamenco_str text, flamenco_str *out)
{
    char *to = fl_arena_alloc(arena, (size_t)text.len + 1);
    size_t n = 0;
    if (to == NULL)
        return FLAMENCO_E_NOMEM;
    for (uint64_t i = 0; i < text.len; ++i) {
        char c = text.ptr[i];
        if (c == '_') {
            to[n++] = ' ';
        } else if (c == '=') {
            if (i + 2 >= text.len || fl_hex_value(text.ptr[i + 1]) < 0 || fl_hex_value(text.ptr[i + 2]) < 0)
                return FLAMENCO_E_INVALID;
            to[n++] = (char)(fl_hex_value(text.ptr[i + 1]) * 16 + fl_hex_value(text.ptr[i + 2]));
            i += 2;
        } else if ((c <= '~' && c >= ' ') || c == '\t') {
            to[n++] = c;
        } else {
            return FLAMENCO_E_INVALID;
        }
    }
    *out = (flamenco_str){ to, n };
    return FLAMENCO_OK;
}

static void add_latin1(fl_buf *buf, flamenco_str bytes, int ascii)
{
    for (uint64_t i = 0; i < bytes.len; ++i) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c < 0x80) {
            fl_buf_add_char(buf, (char)c);
        } else if (ascii) {
            fl_buf_add_text(buf, "\xEF\xBF\xBD");
        } else {
            fl_buf_add_char(buf, (char)(0xC0 | c >> 6));
            fl_buf_add_char(buf, (char)(0x80 | (c & 0x3F)));
        }
    }
}

/* Adds the word's text. Returns 0; NOT_FOUND: it is malformed, and stays as it is; INVALID: unknown charset; NOMEM. */
static int32_t add_word(fl_arena *arena, fl_buf *buf, const word *w)
{
    flamenco_str bytes;
    int32_t rc = FLAMENCO_E_INVALID;
    if (w->encoding == 'q' || w->encoding == 'Q')
        rc = decode_q(arena, w->text, &bytes);
    else if (w->encoding == 'b' || w->encoding == 'B')
        rc = fl_str_base64_decode(arena, w->text, &bytes);
    if (rc == FLAMENCO_E_INVALID)
        return FLAMENCO_E_NOT_FOUND;
    if (rc != FLAMENCO_OK)
        return rc;
    if (fl_str_equal_nocase(w->charset, FL_STR("utf-8"))) {
        flamenco_str text = fl_str_to_utf8(arena, bytes);
        if (text.ptr == NULL)
            return FLAMENCO_E_NOMEM;
        fl_buf_add_str(buf, text);
    } else if (fl_str_equal_nocase(w->charset, FL_STR("iso-8859-1"))) {
        add_latin1(buf, bytes, 0);
    } else if (fl_str_equal_nocase(w->charset, FL_STR("us-ascii"))) {
        add_latin1(buf, bytes, 1);
    } else {
        return FLAMENCO_E_INVALID;
    }
    return FLAMENCO_OK;
}

static int is_blank(const char *ptr, size_t len)
{
    for (size_t i = 0; i < len; ++i)
        if (ptr[i] != ' ' && ptr[i] != '\t' && ptr[i] != '\r' && ptr[i] != '\n')
            return 0;
    return 1;
}

int32_t fl_rfc2047_decode(fl_arena *arena, flamenco_str value, flamenco_str *out)
{
    fl_buf buf = { 0 };
    int32_t rc = FLAMENCO_OK;
    int after_word = 0;
    size_t from = 0; /* of the text that is not copied yet */
    for (size_t at = 0; rc == FLAMENCO_OK && at < value.len;) {
        word w;
        if (!read_word(value.ptr + at, (size_t)value.len - at, &w)) {
            ++at;
            continue;
        }
        size_t kept = buf.len;
        if (!(after_word && is_blank(value.ptr + from, at - from)))
            fl_buf_add(&buf, value.ptr + from, at - from);
        rc = add_word(arena, &buf, &w);
        if (rc == FLAMENCO_E_NOT_FOUND) {
            buf.len = kept;
            rc = FLAMENCO_OK;
            ++at;
            continue;
        }
        at += w.len;
        from = at;
        after_word = 1;
    }
    if (rc == FLAMENCO_OK && value.len > from)
        fl_buf_add(&buf, value.ptr + from, (size_t)value.len - from);
    if (rc == FLAMENCO_OK) {
        flamenco_str text = fl_arena_copy(arena, fl_buf_str(&buf));
        if (buf.failed || text.ptr == NULL)
            rc = FLAMENCO_E_NOMEM;
        else
            *out = text;
    }
    fl_buf_fini(&buf);
    return rc;
}
