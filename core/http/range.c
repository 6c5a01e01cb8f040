/* SPDX-License-Identifier: Apache-2.0
 *
 * range.c - see range.h.
 */
#include "core/http/range.h"

#include <inttypes.h>
#include <time.h>

#include "core/base/str.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Not strftime: names of days and months must not follow the locale. */
static void format_time(int64_t time_s, char out[32])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    time_t t = (time_t)time_s;
    struct tm tm = { .tm_mday = 1, .tm_year = 70 };
    gmtime_r(&t, &tm);
    snprintf(out, 32, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * ((unsigned)tm.tm_wday % 7),
             (unsigned)tm.tm_mday % 100, months + 3 * ((unsigned)tm.tm_mon % 12), (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

static int month_of(const char *name)
{
    for (int i = 0; i < 12; ++i)
        if (memcmp(months + 3 * i, name, 3) == 0)
            return i;
    return -1;
}

/* Reads the three forms of an HTTP date. Returns 1, or 0 when it is none. */
static int parse_time(flamenco_str text, int64_t *out)
{
    char copy[40], month[4] = "";
    struct tm tm = { .tm_mday = 0 };
    int n = 0, year = 0;
    text = fl_str_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n", &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &n) != 6 ||
        n == 0) {
        n = 0;
        if (sscanf(copy, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &tm.tm_mday, month, &year, &tm.tm_hour,
                   &tm.tm_min, &tm.tm_sec, &n) == 6 &&
            n != 0) {
            year += year < 70 ? 2000 : 1900;
        } else {
            n = 0;
            if (sscanf(copy, "%*3[A-Za-z] %3s %2d %2d:%2d:%2d %4d%n", month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                       &tm.tm_sec, &year, &n) != 6 ||
                n == 0)
                return 0;
        }
    }
    if ((size_t)n != text.len || strlen(month) != 3 || (tm.tm_mon = month_of(month)) < 0)
        return 0;
    tm.tm_year = year - 1900;
    *out = (int64_t)timegm(&tm);
    return 1;
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
