/* SPDX-License-Identifier: Apache-2.0
 *
 * jstext.c - see jstext.h.
 */
#include "jstext.h"

#include <stdlib.h>
#include <unistd.h>

/* Decodes one character. Returns its width in bytes; invalid bytes count one by one and give U+FFFD. */
static size_t decode_utf8(const unsigned char *p, size_t n, uint32_t *out)
{
    *out = p[0];
    if (p[0] < 0x80)
        return 1;
    size_t width = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    *out = 0xFFFD;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < width)
        return 1;
    uint32_t c = p[0] & (0xFFu >> (width + 1));
    for (size_t i = 1; i < width; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 1;
        c = c << 6 | (p[i] & 0x3F);
    }
    if ((width == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) || (width == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return 1;
    *out = c;
    return width;
}

static JSStringRef make_utf16(flamenco_str text)
{
    JSChar *units = malloc(((size_t)text.len + 1) * sizeof(*units));
    if (units == NULL)
        _exit(FL_WIRE_EXIT_MEMORY);
    size_t n = 0;
    const unsigned char *p = (const unsigned char *)text.ptr;
    for (size_t i = 0; i < text.len;) {
        uint32_t c;
        i += decode_utf8(p + i, (size_t)text.len - i, &c);
        if (c >= 0x10000) {
            units[n++] = (JSChar)(0xD800 + ((c - 0x10000) >> 10));
            c = 0xDC00 + ((c - 0x10000) & 0x3FF);
        }
        units[n++] = (JSChar)c;
    }
    JSStringRef s = JSStringCreateWithCharacters(units, n);
    free(units);
    return s;
}

JSStringRef fl_jstext_make(flamenco_str text)
{
    int ascii = 1;
    for (uint64_t i = 0; i < text.len && ascii; i++)
        ascii = (unsigned char)text.ptr[i] < 0x80 && text.ptr[i] != '\0';
    if (!ascii)
        return make_utf16(text);
    char small[512];
    char *copy = text.len < sizeof(small) ? small : malloc((size_t)text.len + 1);
    if (copy == NULL)
        _exit(FL_WIRE_EXIT_MEMORY);
    if (text.len > 0)
        memcpy(copy, text.ptr, (size_t)text.len);
    copy[text.len] = '\0';
    JSStringRef s = JSStringCreateWithUTF8CString(copy);
    if (copy != small)
        free(copy);
    return s;
}

JSValueRef fl_jstext_value(JSContextRef ctx, flamenco_str text)
{
    JSStringRef s = fl_jstext_make(text);
    JSValueRef v = JSValueMakeString(ctx, s);
    JSStringRelease(s);
    return v;
}

static size_t encode_utf8(uint32_t c, uint8_t *to)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xC0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xE0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        to[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (uint8_t)(0xF0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    to[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

static size_t count_units(const uint8_t *p, size_t n)
{
    size_t wide = 0; /* bytes that are no unit of their own, less second units */
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) == 0)
            continue;
        for (size_t k = i; k < i + 8; k++)
            wide += (size_t)((p[k] & 0xC0) == 0x80) - (size_t)(p[k] >= 0xF0);
    }
    for (; i < n; i++)
        wide += (size_t)((p[i] & 0xC0) == 0x80) - (size_t)(p[i] >= 0xF0);
    return n - wide;
}

/* Writes UTF-8 at `to`, which has room for three bytes per unit. The engine's own function is faster, but ends at half a
 * surrogate pair without a word. */
static size_t write_utf8(JSStringRef s, uint8_t *to)
{
    const JSChar *units = JSStringGetCharactersPtr(s);
    size_t n = JSStringGetLength(s);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = units[i];
        if (c >= 0xD800 && c <= 0xDFFF) {
            if (c < 0xDC00 && i + 1 < n && units[i + 1] >= 0xDC00 && units[i + 1] <= 0xDFFF)
                c = 0x10000 + ((c - 0xD800) << 10) + (units[++i] - 0xDC00u);
            else
                c = 0xFFFD;
        }
        len += encode_utf8(c, to + len);
    }
    return len;
}

/* The escape that JSON text at p needs, and in *width how many bytes it replaces; NULL = it stays. */
static const char *escape_at(const uint8_t *p, size_t left, size_t *width)
{
    *width = 1;
    switch (p[0]) {
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    case 0xE2:
        if (left < 3 || p[1] != 0x80 || (p[2] != 0xA8 && p[2] != 0xA9))
            return NULL;
        *width = 3;
        return p[2] == 0xA8 ? "\\u2028" : "\\u2029";
    case '\\':
        /* JSON.stringify writes a surrogate as an escape only when it has lost its other half. */
        if (left >= 6 && p[1] == 'u' && (p[2] | 0x20) == 'd' && strchr("89abcdefABCDEF", p[3]) != NULL) {
            *width = 6;
            return "\xEF\xBF\xBD";
        }
        *width = 2;
        return NULL;
    default:
        return NULL;
    }
}

/* Text ends with a 0, and has no other: JSON.stringify escapes it. */
static int needs_escapes(const uint8_t *p, size_t n)
{
    size_t i = 0;
    size_t width = 1;
    /* The C library looks at many bytes at a time, and most texts have none of these. */
    while ((i += strcspn((const char *)p + i, "<>&\\\xE2")) < n) {
        if (escape_at(p + i, n - i, &width) != NULL)
            return 1;
        i += width;
    }
    return 0;
}

/* Rewrites the last n bytes of the frame. */
static void escape_json(fl_wire_out *out, size_t n)
{
    uint8_t *copy = malloc(n + 1);
    if (copy == NULL) {
        out->failed = 1;
        return;
    }
    out->len -= n;
    memcpy(copy, out->data + out->len, n);
    size_t width;
    size_t kept = 0; /* from here to i nothing needs an escape */
    for (size_t i = 0; i < n; i += width) {
        const char *escape = escape_at(copy + i, n - i, &width);
        if (escape == NULL)
            continue;
        fl_wire_bytes(out, copy + kept, i - kept);
        fl_wire_bytes(out, escape, strlen(escape));
        kept = i + width;
    }
    fl_wire_bytes(out, copy + kept, n - kept);
    free(copy);
}

int fl_jstext_add(fl_wire_out *out, JSContextRef ctx, JSValueRef value, int form, JSValueRef *exception)
{
    JSStringRef s = JSValueToStringCopy(ctx, value, exception);
    if (s == NULL)
        return 0;
    size_t units = JSStringGetLength(s);
    size_t room = units * 3 + 1;
    uint8_t *to = fl_wire_room(out, room);
    if (to != NULL) {
        size_t n = units > 0 ? JSStringGetUTF8CString(s, (char *)to, room) : 1;
        size_t len = n > 0 ? n - 1 : 0;
        if (count_units(to, len) != units)
            len = write_utf8(s, to);
        to[len] = '\0';
        out->len += len;
        if (form == FL_JSTEXT_JSON && needs_escapes(to, len))
            escape_json(out, len);
    }
    JSStringRelease(s);
    return 1;
}

size_t fl_jstext_begin(fl_wire_out *out)
{
    fl_wire_u32(out, 0);
    return out->len;
}

int fl_jstext_end(fl_wire_out *out, size_t begin)
{
    if (out->failed)
        return 0;
    size_t written = out->len - begin;
    if (written > FL_WIRE_PAYLOAD_MAX) {
        out->failed = 1;
        return 0;
    }
    uint32_t len32 = (uint32_t)written;
    memcpy(out->data + begin - sizeof(len32), &len32, sizeof(len32));
    return 1;
}

int fl_jstext_put(fl_wire_out *out, JSContextRef ctx, JSValueRef value, int form, JSValueRef *exception)
{
    size_t begin = fl_jstext_begin(out);
    return fl_jstext_add(out, ctx, value, form, exception) && fl_jstext_end(out, begin);
}
