/* SPDX-License-Identifier: Apache-2.0
 *
 * range.c - see webapp.h. RFC 9110: ranges are 14, conditions 13, Accept-Encoding 12.5.3.
 */
#include "webapp.h"

static flamenco_str trim(flamenco_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = (flamenco_str){ s.ptr + 1, s.len - 1 };
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        --s.len;
    return s;
}

/* Takes the text up to the separator off *rest. Returns 0 at the end. */
static int split(flamenco_str *rest, char separator, flamenco_str *part)
{
    if (rest->ptr == NULL)
        return 0;
    const char *at = rest->len > 0 ? memchr(rest->ptr, separator, (size_t)rest->len) : NULL;
    uint64_t len = at != NULL ? (uint64_t)(at - rest->ptr) : rest->len;
    *part = trim((flamenco_str){ rest->ptr, len });
    *rest = at != NULL ? (flamenco_str){ at + 1, rest->len - len - 1 } : (flamenco_str){ NULL, 0 };
    return 1;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int is_word(flamenco_str text, const char *word)
{
    if (text.len != strlen(word))
        return 0;
    for (uint64_t i = 0; i < text.len; ++i) {
        if (lower(text.ptr[i]) != word[i])
            return 0;
    }
    return 1;
}

/* "q=0", "q=0.0": refused. */
static int is_refused(flamenco_str weight)
{
    if (weight.len < 3 || lower(weight.ptr[0]) != 'q' || weight.ptr[1] != '=')
        return 0;
    for (uint64_t i = 2; i < weight.len; ++i) {
        if (weight.ptr[i] != '0' && weight.ptr[i] != '.')
            return 0;
    }
    return 1;
}

int fl_range_accepts(flamenco_str accept_encoding, const char *coding)
{
    flamenco_str rest = accept_encoding, entry, name, weight;
    while (split(&rest, ',', &entry)) {
        if (!split(&entry, ';', &name) || !is_word(name, coding))
            continue;
        return !split(&entry, ';', &weight) || !is_refused(weight);
    }
    return 0;
}

static int matches_etag(flamenco_str list, const char *etag)
{
    flamenco_str entry;
    while (split(&list, ',', &entry)) {
        if (entry.len > 2 && entry.ptr[0] == 'W' && entry.ptr[1] == '/')
            entry = (flamenco_str){ entry.ptr + 2, entry.len - 2 };
        if (flamenco_str_equal(entry, flamenco_text("*")) || flamenco_str_equal(entry, flamenco_text(etag)))
            return 1;
    }
    return 0;
}

/* Reads digits off *rest. Returns how many; a number that is too large becomes the largest. */
static int read_number(flamenco_str *rest, uint64_t *out)
{
    int digits = 0;
    uint64_t n = 0;
    for (; rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; ++digits) {
        uint64_t digit = (uint64_t)(rest->ptr[0] - '0');
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
        *rest = (flamenco_str){ rest->ptr + 1, rest->len - 1 };
    }
    *out = n;
    return digits;
}

/* Reads "bytes=A-B". Returns 206 with the range, 416, or 200 for what is not understood. */
static uint32_t read_range(flamenco_str text, uint64_t size, uint64_t *first, uint64_t *last)
{
    flamenco_str unit, rest = text;
    if (!split(&rest, '=', &unit) || !is_word(unit, "bytes"))
        return 200;
    rest = trim(rest);
    int has_first = read_number(&rest, first) > 0;
    if (rest.len == 0 || rest.ptr[0] != '-')
        return 200;
    rest = (flamenco_str){ rest.ptr + 1, rest.len - 1 };
    int has_last = read_number(&rest, last) > 0;
    if (rest.len > 0 || (!has_first && !has_last) || (has_first && has_last && *first > *last))
        return 200;
    if (!has_first) { /* so many at the end */
        if (*last == 0 || size == 0)
            return 416;
        *first = *last < size ? size - *last : 0;
        *last = size - 1;
        return 206;
    }
    if (*first >= size)
        return 416;
    if (!has_last || *last >= size)
        *last = size - 1;
    return 206;
}

fl_range fl_range_plan(uint64_t size, const char *etag, flamenco_str range, flamenco_str if_range,
                       flamenco_str if_none_match)
{
    uint64_t first = 0, last = 0;
    if (if_none_match.len > 0 && matches_etag(if_none_match, etag))
        return (fl_range){ 304, 0, 0 };
    if (range.len == 0 || (if_range.len > 0 && !flamenco_str_equal(trim(if_range), flamenco_text(etag))))
        return (fl_range){ 200, 0, size };
    switch (read_range(range, size, &first, &last)) {
    case 206:
        return (fl_range){ 206, first, last - first + 1 };
    case 416:
        return (fl_range){ 416, 0, 0 };
    default:
        return (fl_range){ 200, 0, size };
    }
}
