/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule_text.c - see schedule_text.h.
 */
#include "schedule_text.h"

static const char day_names[7][3] = { "su", "mo", "tu", "we", "th", "fr", "sa" };

/* ---- Times ------------------------------------------------------------------------------------------------------- */

/* Reads blanks, then a number of at most two characters, a sign among them; *at moves on. Returns 0 when there is none. */
static int read_number(flamenco_str text, uint64_t *at, int *out)
{
    int value = 0, digits = 0, negative = 0;
    while (*at < text.len && (text.ptr[*at] == ' ' || text.ptr[*at] == '\t'))
        ++*at;
    uint64_t end = *at + 2 < text.len ? *at + 2 : text.len;
    if (*at < end && (text.ptr[*at] == '+' || text.ptr[*at] == '-'))
        negative = text.ptr[(*at)++] == '-';
    for (; *at < end && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; ++*at, ++digits)
        value = value * 10 + (text.ptr[*at] - '0');
    *out = negative ? -value : value;
    return digits > 0;
}

const char *fl_sleep_read_time(flamenco_str text, int is_end, int32_t *out)
{
    uint64_t at = 0;
    int hours, minutes;
    if (text.len == 0) {
        *out = FL_SLEEP_NO_TIME;
        return NULL;
    }
    /* What follows the minutes is ignored: some clients send seconds. */
    if (!read_number(text, &at, &hours) || at >= text.len || text.ptr[at++] != ':' || !read_number(text, &at, &minutes))
        return "a time is written HH:MM";
    int total = hours * 60 + minutes;
    if (hours < 0 || minutes < 0 || minutes > 59 || total > FL_SLEEP_MINUTES_OF_DAY)
        return is_end ? "a time is from 00:00 to 24:00" : "a time is from 00:00 to 23:59";
    if (total == FL_SLEEP_MINUTES_OF_DAY && !is_end)
        return "24:00 can only be an end, a start at midnight is 00:00";
    *out = total;
    return NULL;
}

void fl_sleep_write_time(int32_t minutes, char out[FL_SLEEP_TIME_MAX])
{
    if (minutes < 0 || minutes > FL_SLEEP_MINUTES_OF_DAY) {
        out[0] = '\0';
        return;
    }
    out[0] = (char)('0' + minutes / 600);
    out[1] = (char)('0' + minutes / 60 % 10);
    out[2] = ':';
    out[3] = (char)('0' + minutes % 60 / 10);
    out[4] = (char)('0' + minutes % 10);
    out[5] = '\0';
}

/* ---- Days -------------------------------------------------------------------------------------------------------- */

static int is_separator(char c)
{
    return c == ' ' || c == ',' || (c >= '\t' && c <= '\r');
}

/* Takes the next word off *rest. Returns 0 at the end. */
static int next_word(flamenco_str *rest, flamenco_str *word)
{
    uint64_t begin = 0;
    while (begin < rest->len && is_separator(rest->ptr[begin]))
        ++begin;
    uint64_t end = begin;
    while (end < rest->len && !is_separator(rest->ptr[end]))
        ++end;
    if (begin == end)
        return 0;
    *word = (flamenco_str){ rest->ptr + begin, end - begin };
    *rest = (flamenco_str){ rest->ptr + end, rest->len - end };
    return 1;
}

/* Which day the word begins like, 0 = Sunday; -1 = none. */
static int day_of_word(flamenco_str word)
{
    if (word.len < 2)
        return -1;
    for (int day = 0; day < 7; ++day) {
        /* 0x20 is what tells a small letter from its capital, and no other character becomes a letter by it. */
        if ((word.ptr[0] | 0x20) == day_names[day][0] && (word.ptr[1] | 0x20) == day_names[day][1])
            return day;
    }
    return -1;
}

int fl_sleep_read_days(flamenco_str text, char out[FL_SLEEP_DAYS_MAX], flamenco_str *wrong)
{
    flamenco_str word;
    uint32_t seen = 0;
    size_t len = 0;
    char days[FL_SLEEP_DAYS_MAX];
    while (next_word(&text, &word)) {
        int day = day_of_word(word);
        if (day < 0) {
            *wrong = word;
            return 0;
        }
        if (seen & (1u << day))
            continue;
        if (seen != 0)
            days[len++] = ' ';
        seen |= 1u << day;
        days[len++] = day_names[day][0];
        days[len++] = day_names[day][1];
    }
    days[len] = '\0';
    memcpy(out, days, len + 1);
    return 1;
}

uint32_t fl_sleep_days_mask(flamenco_str stored)
{
    flamenco_str word;
    uint32_t mask = 0;
    int any = 0;
    while (next_word(&stored, &word)) {
        int day = day_of_word(word);
        any = 1;
        if (day >= 0)
            mask |= 1u << day;
    }
    return any ? mask : FL_SLEEP_EVERY_DAY;
}
