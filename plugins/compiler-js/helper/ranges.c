/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges.c - see ranges.h.
 */
#include "ranges.h"

#include <inttypes.h>
#include <stdlib.h>

/* The length in bytes of the white space character at p, or 0. */
static size_t blank_at(const unsigned char *p, size_t n)
{
    if (n >= 1 && (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r')))
        return 1;
    if (n >= 2 && p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0))
        return 2;
    if (n < 3)
        return 0;
    uint32_t c = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    /* U+1680, U+2000 to 200A, U+2028, U+2029, U+202F, U+205F, U+3000 */
    if (c == 0xE19A80 || (c >= 0xE28080 && c <= 0xE2808A) || c == 0xE280A8 || c == 0xE280A9 || c == 0xE280AF ||
        c == 0xE2819F || c == 0xE38080)
        return 3;
    return 0;
}

flamenco_str fl_ranges_trim(flamenco_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    size_t n = (size_t)text.len;
    size_t width;
    while ((width = blank_at(p, n)) > 0) {
        p += width;
        n -= width;
    }
    for (;;) {
        if (n >= 1 && blank_at(p + n - 1, 1) == 1)
            n -= 1;
        else if (n >= 2 && blank_at(p + n - 2, 2) == 2)
            n -= 2;
        else if (n >= 3 && blank_at(p + n - 3, 3) == 3)
            n -= 3;
        else
            break;
    }
    flamenco_str out = { (const char *)p, n };
    return out;
}

void fl_ranges_free(fl_ranges *ranges)
{
    free(ranges->items);
    memset(ranges, 0, sizeof(*ranges));
}

static int32_t add_range(fl_ranges *ranges, int64_t first, int64_t last, flamenco_error *err)
{
    if (first > last)
        return FLAMENCO_OK;
    if (ranges->count == ranges->cap) {
        size_t cap = ranges->cap != 0 ? ranges->cap * 2 : 16;
        fl_range *items = realloc(ranges->items, cap * sizeof(*items));
        if (items == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the frame range");
        ranges->items = items;
        ranges->cap = cap;
    }
    ranges->items[ranges->count].first = first;
    ranges->items[ranges->count].last = last;
    ranges->count++;
    return FLAMENCO_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const fl_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void unite_ranges(fl_ranges *ranges)
{
    if (ranges->count == 0)
        return;
    qsort(ranges->items, ranges->count, sizeof(fl_range), compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < ranges->count; i++) {
        fl_range *last = &ranges->items[kept];
        const fl_range *next = &ranges->items[i];
        if (last->last == INT64_MAX || next->first <= last->last + 1) {
            if (next->last > last->last)
                last->last = next->last;
        } else {
            ranges->items[++kept] = *next;
        }
    }
    ranges->count = kept + 1;
}

/* Reads decimal digits with an optional plus. Returns 0, 1 (no number) or 2 (too large). */
static int read_frame(flamenco_str text, int64_t *out)
{
    flamenco_str s = fl_ranges_trim(text);
    uint64_t i = s.len > 0 && s.ptr[0] == '+' ? 1 : 0;
    if (i == s.len)
        return 1;
    int64_t value = 0;
    int large = 0;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 1;
        if (!large && (__builtin_mul_overflow(value, (int64_t)10, &value) ||
                       __builtin_add_overflow(value, (int64_t)(s.ptr[i] - '0'), &value)))
            large = 1;
    }
    *out = value;
    return large ? 2 : 0;
}

static int32_t refuse_part(flamenco_str text, flamenco_str part, const char *why, flamenco_error *err)
{
    return flamenco_fail(err, FLAMENCO_E_INVALID, "invalid frame range '%.*s', part '%.*s': %s",
                         (int)(text.len < 100 ? text.len : 100), text.ptr, (int)(part.len < 40 ? part.len : 40),
                         part.len > 0 ? part.ptr : "", why);
}

static int32_t read_part(flamenco_str text, flamenco_str part, fl_ranges *out, flamenco_error *err)
{
    const char *dash = part.len > 0 ? memchr(part.ptr, '-', (size_t)part.len) : NULL;
    flamenco_str pieces[2] = { part, { NULL, 0 } };
    if (dash != NULL) {
        pieces[0].len = (uint64_t)(dash - part.ptr);
        pieces[1].ptr = dash + 1;
        pieces[1].len = part.len - pieces[0].len - 1;
        if (pieces[1].len > 0 && memchr(pieces[1].ptr, '-', (size_t)pieces[1].len) != NULL)
            return refuse_part(text, part, "a frame, or two frames with one '-' between, are wanted", err);
    }
    int64_t frames[2] = { 0, 0 };
    for (int i = 0; i < (dash != NULL ? 2 : 1); i++) {
        int rc = read_frame(pieces[i], &frames[i]);
        if (rc != 0)
            return refuse_part(text, part, rc == 1 ? "a frame must be a whole number" : "the frame number is too large",
                               err);
    }
    return add_range(out, frames[0], dash != NULL ? frames[1] : frames[0], err);
}

/* Replaces each ".." by "-", from the left. */
static char *replace_dots(flamenco_str text, size_t *len_out)
{
    char *out = calloc((size_t)text.len + 1, 1);
    if (out == NULL)
        return NULL;
    size_t n = 0;
    for (uint64_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.' && i + 1 < text.len && text.ptr[i + 1] == '.') {
            out[n++] = '-';
            i++;
        } else {
            out[n++] = text.ptr[i];
        }
    }
    *len_out = n;
    return out;
}

int32_t fl_ranges_parse(flamenco_str text, fl_ranges *out, flamenco_error *err)
{
    size_t len = 0;
    char *copy = replace_dots(text, &len);
    if (copy == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the frame range");
    flamenco_str whole = { copy, len };
    int32_t rc = FLAMENCO_OK;
    size_t at = 0;
    do {
        const char *comma = memchr(copy + at, ',', len - at);
        size_t end = comma != NULL ? (size_t)(comma - copy) : len;
        flamenco_str part = { copy + at, end - at };
        rc = read_part(whole, part, out, err);
        at = end + 1;
    } while (rc == FLAMENCO_OK && at <= len);
    free(copy);
    if (rc != FLAMENCO_OK)
        return rc;
    unite_ranges(out);
    if (fl_ranges_count(out) > FL_RANGES_FRAMES_MAX)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "frame range '%.*s' has more than %u frames",
                             (int)(text.len < 100 ? text.len : 100), text.ptr, FL_RANGES_FRAMES_MAX);
    return FLAMENCO_OK;
}

uint64_t fl_ranges_count(const fl_ranges *ranges)
{
    uint64_t n = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        uint64_t width = (uint64_t)(ranges->items[i].last - ranges->items[i].first) + 1;
        n = width > UINT64_MAX - n ? UINT64_MAX : n + width;
    }
    return n;
}

typedef struct text_out {
    char *data;
    size_t len, cap;
} text_out;

/* Room for one group: two numbers of 20 digits, two separators, the NUL. */
#define GROUP_ROOM 48

static int write_group(text_out *out, const char *before, int64_t first, int64_t last)
{
    if (out->cap - out->len < GROUP_ROOM) {
        size_t cap = out->cap != 0 ? out->cap * 2 : 1024;
        char *data = realloc(out->data, cap);
        if (data == NULL)
            return 0;
        out->data = data;
        out->cap = cap;
    }
    int n;
    if (first == last)
        n = snprintf(out->data + out->len, GROUP_ROOM, "%s%" PRId64, before, first);
    else
        n = snprintf(out->data + out->len, GROUP_ROOM, "%s%" PRId64 "%s%" PRId64, before, first,
                     last == first + 1 ? "," : "-", last);
    out->len += (size_t)n;
    return 1;
}

int32_t fl_ranges_chunks(const fl_ranges *ranges, uint64_t size, char **out, size_t *len_out, flamenco_error *err)
{
    text_out text = { NULL, 0, 0 };
    uint64_t left = size; /* frames that still fit into the open chunk */
    const char *before = "";
    for (size_t i = 0; i < ranges->count; i++) {
        int64_t first = ranges->items[i].first;
        int64_t last = ranges->items[i].last;
        for (;;) {
            uint64_t width = (uint64_t)(last - first) + 1;
            uint64_t take = width < left ? width : left;
            if (!write_group(&text, before, first, first + (int64_t)(take - 1))) {
                free(text.data);
                return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the chunks of the frame range");
            }
            left -= take;
            before = left == 0 ? "\n" : ",";
            if (left == 0)
                left = size;
            if (take == width)
                break;
            first += (int64_t)take;
        }
    }
    *out = text.data;
    *len_out = text.len;
    return FLAMENCO_OK;
}
