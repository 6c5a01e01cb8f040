/* SPDX-License-Identifier: Apache-2.0
 *
 * timefmt.c - see timefmt.h. Calendar arithmetic of its own for UTC (timegm and gmtime_r read the zone's files and take a
 * lock); the C library knows the local zone.
 */
#include "core/base/timefmt.h"

#include <time.h>

#define US_PER_S INT64_C(1000000)
#define S_PER_DAY INT64_C(86400)

__extension__ typedef unsigned __int128 wide;

typedef struct civil {
    int64_t year;
    uint32_t month, day, hour, minute, second;
} civil;

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Counts years from March, so that the leap day is
 * the last one. */
static int64_t days_of_date(int64_t year, uint32_t month, uint32_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static civil civil_of_seconds(int64_t seconds)
{
    civil c;
    int64_t days = seconds / S_PER_DAY;
    int64_t rest = seconds % S_PER_DAY;
    if (rest < 0) {
        rest += S_PER_DAY;
        --days;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    c.day = (uint32_t)(day_of_year - (153 * month + 2) / 5 + 1);
    c.month = (uint32_t)(month < 10 ? month + 3 : month - 9);
    c.year = year_of_era + era * 400 + (c.month <= 2);
    c.hour = (uint32_t)(rest / 3600);
    c.minute = (uint32_t)(rest / 60 % 60);
    c.second = (uint32_t)(rest % 60);
    return c;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static char *put_two(char *to, uint32_t value)
{
    memcpy(to, digit_pairs + value % 100 * 2, 2);
    return to + 2;
}

/* Writes decimal digits, at least `least` of them. */
static char *put_number(char *to, uint64_t value, int least)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || n < least);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

/* Writes "." and the digits of value / 10^digits without trailing zeros; nothing when value is 0. */
static char *put_fraction(char *to, uint64_t value, int digits)
{
    if (value == 0)
        return to;
    *to++ = '.';
    char *end = to + digits;
    char *at = end;
    for (; at - to >= 2; value /= 100)
        put_two(at -= 2, (uint32_t)(value % 100));
    if (at > to)
        *to = (char)('0' + value % 10);
    while (end[-1] == '0')
        --end;
    return end;
}

static char *put_date_time(char *to, const civil *c)
{
    if (c->year >= 0 && c->year <= 9999) {
        to = put_two(to, (uint32_t)(c->year / 100));
        to = put_two(to, (uint32_t)(c->year % 100));
    } else {
        if (c->year < 0)
            *to++ = '-';
        to = put_number(to, (uint64_t)(c->year < 0 ? -c->year : c->year), 4);
    }
    *to++ = '-';
    to = put_two(to, c->month);
    *to++ = '-';
    to = put_two(to, c->day);
    *to++ = 'T';
    to = put_two(to, c->hour);
    *to++ = ':';
    to = put_two(to, c->minute);
    *to++ = ':';
    return put_two(to, c->second);
}

static void split_us(int64_t time_us, int64_t *seconds, uint64_t *rest_us)
{
    int64_t s = time_us / US_PER_S;
    int64_t rest = time_us % US_PER_S;
    if (rest < 0) {
        rest += US_PER_S;
        --s;
    }
    *seconds = s;
    *rest_us = (uint64_t)rest;
}

static size_t put_year_one(char *out)
{
    static const char text[] = "0001-01-01T00:00:00Z";
    memcpy(out, text, sizeof(text));
    return sizeof(text) - 1;
}

size_t fl_time_format_utc(int64_t time_us, char out[FL_TIME_TEXT_MAX])
{
    if (time_us == FLAMENCO_TIME_NONE)
        return put_year_one(out);
    int64_t seconds;
    uint64_t rest_us;
    split_us(time_us, &seconds, &rest_us);
    civil c = civil_of_seconds(seconds);
    char *to = put_fraction(put_date_time(out, &c), rest_us, 6);
    *to++ = 'Z';
    *to = '\0';
    return (size_t)(to - out);
}

size_t fl_time_format_local(int64_t time_us, int whole_seconds, char out[FL_TIME_TEXT_MAX])
{
    if (time_us == FLAMENCO_TIME_NONE)
        return put_year_one(out);
    int64_t seconds;
    uint64_t rest_us;
    split_us(time_us, &seconds, &rest_us);
    time_t when = (time_t)seconds;
    struct tm local;
    int64_t offset = 0;
    if (localtime_r(&when, &local) != NULL)
        offset = local.tm_gmtoff;
    civil c = civil_of_seconds(seconds + offset);
    char *to = put_date_time(out, &c);
    if (!whole_seconds)
        to = put_fraction(to, rest_us, 6);
    int64_t minutes = offset / 60;
    if (offset == 0) {
        *to++ = 'Z';
    } else {
        *to++ = offset < 0 ? '-' : '+';
        uint32_t distance = (uint32_t)(minutes < 0 ? -minutes : minutes);
        to = put_two(to, distance / 60);
        *to++ = ':';
        to = put_two(to, distance % 60);
    }
    *to = '\0';
    return (size_t)(to - out);
}

/* Reads exactly `digits` decimal digits at *pos. Returns 0 when they are not there. */
static int read_digits(flamenco_str text, uint64_t *pos, int digits, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++*pos) {
        if (*pos >= text.len || text.ptr[*pos] < '0' || text.ptr[*pos] > '9')
            return 0;
        value = value * 10 + (uint32_t)(text.ptr[*pos] - '0');
    }
    *out = value;
    return 1;
}

static int read_char(flamenco_str text, uint64_t *pos, char c)
{
    if (*pos >= text.len || text.ptr[*pos] != c)
        return 0;
    ++*pos;
    return 1;
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        return 29;
    return days[month - 1];
}

/* Reads ".123" into nanoseconds; what is finer is cut off. Returns 0 for a point without digits. */
static int read_fraction(flamenco_str text, uint64_t *pos, uint32_t *ns_out)
{
    *ns_out = 0;
    if (!read_char(text, pos, '.'))
        return 1;
    uint32_t scale = 100000000;
    uint64_t begin = *pos;
    while (*pos < text.len && text.ptr[*pos] >= '0' && text.ptr[*pos] <= '9') {
        *ns_out += (uint32_t)(text.ptr[*pos] - '0') * scale;
        scale /= 10;
        ++*pos;
    }
    return *pos > begin;
}

/* Reads "Z" or "+hh:mm" into seconds east. Returns 1, 0 when it is wrong, -1 when the text ends instead. */
static int read_zone(flamenco_str text, uint64_t *pos, int64_t *east_out)
{
    *east_out = 0;
    if (*pos == text.len)
        return -1;
    char c = text.ptr[(*pos)++];
    if (c == 'Z')
        return 1;
    uint32_t hours, minutes;
    if ((c != '+' && c != '-') || !read_digits(text, pos, 2, &hours) || !read_char(text, pos, ':') ||
        !read_digits(text, pos, 2, &minutes) || hours > 23 || minutes > 59)
        return 0;
    int64_t distance = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *east_out = c == '-' ? -distance : distance;
    return 1;
}

int32_t fl_time_parse(flamenco_str text, int64_t *out_us, int32_t *out_ns)
{
    uint64_t pos = 0;
    uint32_t year, month, day, hour, minute, second, ns;
    int64_t east;
    if (!read_digits(text, &pos, 4, &year) || !read_char(text, &pos, '-') || !read_digits(text, &pos, 2, &month) ||
        !read_char(text, &pos, '-') || !read_digits(text, &pos, 2, &day) || !read_char(text, &pos, 'T') ||
        !read_digits(text, &pos, 2, &hour) || !read_char(text, &pos, ':') || !read_digits(text, &pos, 2, &minute) ||
        !read_char(text, &pos, ':') || !read_digits(text, &pos, 2, &second) || !read_fraction(text, &pos, &ns))
        return FLAMENCO_E_INVALID;
    int zone = read_zone(text, &pos, &east);
    if (zone == 0 || pos != text.len)
        return FLAMENCO_E_INVALID;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return FLAMENCO_E_INVALID;
    if (zone < 0 || second == 60)
        return FLAMENCO_E_CONFLICT;
    int64_t seconds = days_of_date(year, month, day) * S_PER_DAY + (int64_t)hour * 3600 + (int64_t)minute * 60 +
                      (int64_t)second - east;
    *out_us = seconds * US_PER_S + (int64_t)(ns / 1000);
    if (out_ns != NULL)
        *out_ns = (int32_t)(ns % 1000);
    return FLAMENCO_OK;
}

/* Reads a unit's name at *pos. Returns its nanoseconds, or 0. */
static uint64_t read_unit(flamenco_str text, uint64_t *pos)
{
    /* Longer names stand in front of those that begin like them. */
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\xC2\xB5s", 1000 }, /* U+00B5, micro sign */
        { "\xCE\xBCs", 1000 }, /* U+03BC, Greek mu */
        { "ms", 1000000 },
        { "s", UINT64_C(1000000000) },
        { "m", UINT64_C(60000000000) },
        { "h", UINT64_C(3600000000000) },
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); ++i) {
        size_t len = strlen(units[i].name);
        if (text.len - *pos >= len && memcmp(text.ptr + *pos, units[i].name, len) == 0) {
            *pos += len;
            return units[i].ns;
        }
    }
    return 0;
}

/* Reads "1.5h" at *pos and adds it. Returns 0 when there is none, or the sum passes `limit`. */
static int read_part(flamenco_str text, uint64_t *pos, uint64_t limit, uint64_t *sum)
{
    wide whole = 0, fraction = 0, scale = 1;
    int digits = 0, past_point = 0;
    for (; *pos < text.len; ++*pos) {
        char c = text.ptr[*pos];
        if (c == '.' && !past_point) {
            past_point = 1;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        ++digits;
        if (!past_point) {
            whole = whole * 10 + (unsigned)(c - '0');
            if (whole > limit)
                return 0;
        } else if (scale < UINT64_C(1000000000000000000)) {
            /* What is cut off here is below a nanosecond even in hours. */
            fraction = fraction * 10 + (unsigned)(c - '0');
            scale *= 10;
        }
    }
    if (digits == 0)
        return 0;
    uint64_t unit = read_unit(text, pos);
    if (unit == 0)
        return 0;
    wide total = (wide)*sum + whole * unit + fraction * unit / scale;
    if (total > limit)
        return 0;
    *sum = (uint64_t)total;
    return 1;
}

int32_t fl_duration_parse(flamenco_str text, int64_t *out_ns)
{
    uint64_t pos = 0, sum = 0;
    int negative = 0;
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        negative = text.ptr[0] == '-';
        pos = 1;
    }
    if (pos == text.len)
        return FLAMENCO_E_INVALID;
    if (text.len - pos == 1 && text.ptr[pos] == '0') {
        *out_ns = 0;
        return FLAMENCO_OK;
    }
    /* The smallest int64_t has no positive counterpart, and stays out: its absolute value could not be taken. */
    while (pos < text.len) {
        if (!read_part(text, &pos, INT64_MAX, &sum))
            return FLAMENCO_E_INVALID;
    }
    *out_ns = negative ? -(int64_t)sum : (int64_t)sum;
    return FLAMENCO_OK;
}

size_t fl_duration_format(int64_t ns, char out[FL_TIME_TEXT_MAX])
{
    char *to = out;
    uint64_t rest = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0)
        *to++ = '-';
    const char *unit = "s";
    if (rest > 0 && rest < UINT64_C(1000000000)) {
        static const struct {
            const char *name;
            uint64_t ns;
            int digits;
        } small[] = { { "ms", 1000000, 6 }, { "\xC2\xB5s", 1000, 3 }, { "ns", 1, 0 } };
        size_t i = 0;
        while (rest < small[i].ns)
            ++i;
        unit = small[i].name;
        to = put_number(to, rest / small[i].ns, 1);
        to = put_fraction(to, rest % small[i].ns, small[i].digits);
    } else {
        uint64_t seconds = rest / UINT64_C(1000000000);
        if (seconds >= 3600) {
            to = put_number(to, seconds / 3600, 1);
            *to++ = 'h';
        }
        if (seconds >= 60) {
            to = put_number(to, seconds / 60 % 60, 1);
            *to++ = 'm';
        }
        to = put_number(to, seconds % 60, 1);
        to = put_fraction(to, rest % UINT64_C(1000000000), 9);
    }
    size_t len = strlen(unit);
    memcpy(to, unit, len + 1);
    return (size_t)(to - out) + len;
}
