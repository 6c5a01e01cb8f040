/* SPDX-License-Identifier: Apache-2.0
 *
 * time_text.c - see time_text.h.
 */
#include "time_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_US INT64_C(3600000000000000)

/* Reads digits with an optional fraction in units of `unit_us`; *text moves on. */
static int read_number(const char **text, double *out)
{
    double value = 0, scale = 1;
    int digits = 0, past_point = 0;
    for (; (**text >= '0' && **text <= '9') || (**text == '.' && !past_point); ++*text) {
        if (**text == '.') {
            past_point = 1;
            continue;
        }
        ++digits;
        value = value * 10 + (**text - '0');
        if (past_point)
            scale *= 10;
    }
    *out = value / scale;
    return digits > 0 && digits <= 15;
}

int fl_clock_read_duration(const char *text, int64_t *out_us)
{
    static const struct {
        const char *name;
        double us;
    } units[] = { { "ms", 1e3 }, { "us", 1 }, { "h", 3.6e9 }, { "m", 6e7 }, { "s", 1e6 } };
    const size_t n_units = sizeof(units) / sizeof(units[0]);
    double total = 0;
    if (*text == '\0')
        return 0;
    while (*text != '\0') {
        double value;
        size_t i = 0;
        if (!read_number(&text, &value))
            return 0;
        while (i < n_units && strncmp(text, units[i].name, strlen(units[i].name)) != 0)
            ++i;
        if (i == n_units)
            return 0;
        text += strlen(units[i].name);
        total += value * units[i].us;
    }
    if (total > (double)MAX_US)
        return 0;
    *out_us = (int64_t)(total + 0.5);
    return 1;
}

/* Reads ".123456" into µs; *text moves on. */
static int read_fraction(const char **text, int64_t *out_us)
{
    int64_t scale = 100000;
    *out_us = 0;
    if (**text != '.')
        return 1;
    ++*text;
    if (**text < '0' || **text > '9')
        return 0;
    for (; **text >= '0' && **text <= '9'; ++*text, scale /= 10)
        *out_us += (**text - '0') * scale;
    return 1;
}

/* Reads two digits, or gives -1. */
static int read_two(const char *text)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return -1;
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* Reads "+01:00", the whole text, into seconds. */
static int read_zone(const char *text, int64_t *out_s)
{
    if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
        return 0;
    int hours = read_two(text + 1), minutes = read_two(text + 4);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return 0;
    *out_s = ((int64_t)hours * 60 + minutes) * 60 * (text[0] == '-' ? -1 : 1);
    return 1;
}

int fl_clock_read_time(const char *text, int64_t *out_us)
{
    struct tm tm;
    int64_t fraction_us, east_s = 0;
    memset(&tm, 0, sizeof(tm));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL || tm.tm_year < 70 || tm.tm_year > 8099 || !read_fraction(&rest, &fraction_us))
        return 0;
    if (strcmp(rest, "Z") != 0 && !read_zone(rest, &east_s))
        return 0;
    int day = tm.tm_mday;
    int64_t seconds = (int64_t)timegm(&tm);
    /* timegm() makes 2 March of 30 February. */
    if (tm.tm_mday != day)
        return 0;
    *out_us = (seconds - east_s) * 1000000 + fraction_us;
    return 1;
}

void fl_clock_write_time(int64_t time_us, char *out, size_t size)
{
    time_t seconds = (time_t)(time_us / 1000000);
    int64_t rest = time_us % 1000000;
    struct tm tm;
    if (rest < 0) {
        rest += 1000000;
        --seconds;
    }
    if (gmtime_r(&seconds, &tm) == NULL)
        memset(&tm, 0, sizeof(tm));
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest != 0)
        snprintf(out + n, size - n, ".%06lldZ", (long long)rest);
    else
        snprintf(out + n, size - n, "Z");
}
