/* SPDX-License-Identifier: Apache-2.0
 *
 * range.c - see range.h.
 */
#include "core/http/range.h"

#include <inttypes.h>
#include <time.h>

#include "core/base/str.h"

/* The names of days and months are those of the C locale: the manager sets no other. */
#define HTTP_TIME "%a, %d %b %Y %H:%M:%S GMT"

static void format_time(int64_t time_s, char out[32])
{
    time_t t = (time_t)time_s;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, HTTP_TIME, &tm) == 0)
        out[0] = '\0';
}

/* Reads the three forms of an HTTP date. Returns 1, or 0 when it is none. */
static int parse_time(flamenco_str text, int64_t *out)
{
    static const char *const formats[] = { HTTP_TIME, "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y" };
    char copy[40];
    text = fl_str_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); ++i) {
        struct tm tm = { .tm_mday = 0 };
        const char *end = strptime(copy, formats[i], &tm);
        if (end != NULL && *end == '\0') {
            *out = (int64_t)timegm(&tm);
            return 1;
        }
    }
    return 0;
}

/* Reads digits; a number too large becomes UINT64_MAX. Returns how many digits there were. */
static size_t parse_number(flamenco_str *text, uint64_t *out)
{
    size_t n = 0;
    *out = 0;
    for (; text->len > 0 && *text->ptr >= '0' && *text->ptr <= '9'; ++text->ptr, --text->len, ++n) {
        uint64_t digit = (uint64_t)(*text->ptr - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return n;
}

/* Returns 0 when the header is to be ignored, 1 when it counts; *first > *last then: nothing of the file. */
static int parse_range(flamenco_str text, uint64_t size, uint64_t *first, uint64_t *last)
{
    size_t n_first, n_last;
    text = fl_str_trim(text);
    if (!fl_str_starts(text, "bytes="))
        return 0;
    text.ptr += 6;
    text.len -= 6;
    n_first = parse_number(&text, first);
    if (text.len == 0 || *text.ptr != '-')
        return 0;
    ++text.ptr;
    --text.len;
    n_last = parse_number(&text, last);
    if (text.len != 0 || n_first + n_last == 0 || (n_first != 0 && n_last != 0 && *last < *first))
        return 0;
    if (n_first == 0) {
        /* The last so many bytes. */
        *first = *last >= size ? 0 : size - *last;
        if (*last == 0)
            *first = size;
        *last = UINT64_MAX;
    }
    if (n_last == 0)
        *last = UINT64_MAX;
    if (*first < size && *last >= size)
        *last = size - 1;
    if (*first >= size) {
        *first = 1;
        *last = 0;
    }
    return 1;
}

void fl_http_plan_file(const fl_http_file *file, fl_http_file_plan *out)
{
    uint64_t first, last;
    int64_t since;
    *out = (fl_http_file_plan){ .status = 200, .length = file->size };
    format_time(file->mtime_s, out->last_modified);
    if (file->if_modified_since.len != 0 && parse_time(file->if_modified_since, &since) && file->mtime_s <= since) {
        out->status = 304;
        out->length = 0;
        return;
    }
    if (file->range.len == 0 ||
        (file->if_range.len != 0 && (!parse_time(file->if_range, &since) || since != file->mtime_s)) ||
        !parse_range(file->range, file->size, &first, &last))
        return;
    if (first > last) {
        out->status = 416;
        out->length = 0;
        snprintf(out->content_range, sizeof(out->content_range), "bytes */%" PRIu64, file->size);
        return;
    }
    out->status = 206;
    out->offset = first;
    out->length = last - first + 1;
    snprintf(out->content_range, sizeof(out->content_range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, last,
             file->size);
}
