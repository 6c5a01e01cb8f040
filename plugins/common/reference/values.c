/* SPDX-License-Identifier: Apache-2.0
 *
 * values.c - reads the reference's values. Pure functions.
 */
#include "values.h"

#include <stdlib.h>

#include "scan.h"

/* ---- Times ---- */

typedef struct cursor {
    const char *at, *end;
} cursor;

/* Reads exactly n digits. Returns 1 or 0. */
static int digits(cursor *c, int n, int64_t *out)
{
    int64_t value = 0;
    if (c->end - c->at < n)
        return 0;
    for (int i = 0; i < n; ++i) {
        if (c->at[i] < '0' || c->at[i] > '9')
            return 0;
        value = value * 10 + (c->at[i] - '0');
    }
    c->at += n;
    *out = value;
    return 1;
}

static int take(cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return 0;
    ++c->at;
    return 1;
}

static int is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. Returns 0 for a date that does not exist. */
static int date_days(int64_t year, int64_t month, int64_t day, int64_t *out)
{
    static const int64_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return 0;
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    *out = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return 1;
}

static int read_clock(cursor *c, int64_t *us_out)
{
    int64_t hour, minute, second = 0, us = 0, digit;
    if (!digits(c, 2, &hour) || !take(c, ':') || !digits(c, 2, &minute))
        return 0;
    if (take(c, ':')) {
        if (!digits(c, 2, &second))
            return 0;
        if (take(c, '.')) {
            int n = 0;
            for (int64_t unit = 100000; digits(c, 1, &digit); ++n, unit /= 10)
                us += digit * unit;
            if (n == 0)
                return 0;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return 0;
    *us_out = ((hour * 60 + minute) * 60 + second) * 1000000 + us;
    return 1;
}

/* "Z", "+01:00", " +0100 CET", "" and what may follow. */
static int read_zone(cursor *c, int64_t *us_out)
{
    int64_t hours = 0, minutes = 0;
    *us_out = 0;
    (void)take(c, ' ');
    int west = c->at < c->end && *c->at == '-';
    if (c->at < c->end && (*c->at == '+' || *c->at == '-')) {
        ++c->at;
        if (!digits(c, 2, &hours))
            return 0;
        (void)take(c, ':');
        if (!digits(c, 2, &minutes) || hours > 15 || minutes > 59)
            return 0;
        *us_out = (west ? -1 : 1) * (hours * 60 + minutes) * INT64_C(60000000);
        (void)take(c, ' ');
    }
    /* The zone's name: letters, or again an offset for zones without one. */
    while (c->at < c->end && *c->at != ' ' && c->end - c->at > 0 && strncmp(c->at, "m=", 2) != 0)
        ++c->at;
    (void)take(c, ' ');
    /* The reading of a monotonic clock says nothing to us. */
    if (c->end - c->at >= 2 && strncmp(c->at, "m=", 2) == 0)
        c->at = c->end;
    return c->at == c->end;
}

int fl_value_time(flamenco_str text, int64_t *out)
{
    int64_t year, month, day, days, clock = 0, zone = 0;
    cursor c = { text.ptr, text.ptr + text.len };
    if (text.len == 0) {
        *out = FLAMENCO_TIME_NONE;
        return 1;
    }
    if (!digits(&c, 4, &year) || !take(&c, '-') || !digits(&c, 2, &month) || !take(&c, '-') || !digits(&c, 2, &day) ||
        !date_days(year, month, day, &days))
        return 0;
    if (c.at != c.end) {
        if ((!take(&c, ' ') && !take(&c, 'T')) || !read_clock(&c, &clock) || !read_zone(&c, &zone))
            return 0;
    }
    *out = days * INT64_C(86400000000) + clock - zone;
    return 1;
}

/* ---- Sleep schedules ---- */

int fl_value_minutes(flamenco_str text, int32_t *out)
{
    int64_t hours, minutes;
    cursor c = { text.ptr, text.ptr + text.len };
    if (text.len == 0) {
        *out = -1;
        return 1;
    }
    if (!digits(&c, 2, &hours) || !take(&c, ':') || !digits(&c, 2, &minutes) || c.at != c.end || minutes > 59 ||
        hours * 60 + minutes > 1440)
        return 0;
    *out = (int32_t)(hours * 60 + minutes);
    return 1;
}

int fl_value_days(flamenco_str text, char *out)
{
    static const char *const names[] = { "mo", "tu", "we", "th", "fr", "sa", "su" };
    size_t len = 0;
    int words = 0;
    uint32_t seen = 0;
    for (uint64_t i = 0; i < text.len;) {
        uint64_t from = i;
        while (i < text.len && text.ptr[i] != ' ')
            ++i;
        if (i == from) {
            ++i;
            continue;
        }
        ++words;
        for (uint32_t day = 0; day < 7; ++day) {
            if (i - from != 2 || memcmp(text.ptr + from, names[day], 2) != 0 || (seen >> day & 1) != 0)
                continue;
            seen |= 1u << day;
            if (len > 0)
                out[len++] = ' ';
            memcpy(out + len, names[day], 2);
            len += 2;
        }
    }
    out[len] = '\0';
    return words == 0 || len > 0;
}

/* ---- Texts ---- */

/* The length of the character at `at`, 0 when it is none. */
static uint64_t character(const unsigned char *at, uint64_t left)
{
    uint64_t n = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    if (n == 0 || n > left || at[0] == 0)
        return 0;
    for (uint64_t i = 1; i < n; ++i) {
        if ((at[i] & 0xC0u) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates, and what lies above U+10FFFF. */
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90) ||
        (at[0] == 0xF4 && at[1] > 0x8F))
        return 0;
    return n;
}

int fl_value_is_utf8(flamenco_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    for (uint64_t i = 0; i < text.len;) {
        uint64_t n = character(bytes + i, text.len - i);
        if (n == 0)
            return 0;
        i += n;
    }
    return 1;
}

uint64_t fl_value_mend_utf8(flamenco_str text, char *out)
{
    static const char unreadable[3] = { '\xEF', '\xBF', '\xBD' }; /* U+FFFD */
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    uint64_t len = 0;
    for (uint64_t i = 0; i < text.len;) {
        uint64_t n = character(bytes + i, text.len - i);
        if (n > 0) {
            memcpy(out + len, bytes + i, n);
            len += n;
            i += n;
        } else {
            memcpy(out + len, unreadable, 3);
            len += 3;
            ++i;
        }
    }
    return len;
}

/* ---- JSON ---- */

int fl_value_settings(flamenco_str json)
{
    return fl_value_is_utf8(json) && fl_scan_is(json, '{') ? FL_JSON_GOOD : FL_JSON_BAD;
}

/* A text being written; `out` NULL: only its length is found out. */
typedef struct writer {
    char *out;
    uint64_t len;
    int changed;
} writer;

static void put(writer *w, const char *bytes, uint64_t n)
{
    if (w->out != NULL)
        memcpy(w->out + w->len, bytes, n);
    w->len += n;
}

static void put_str(writer *w, flamenco_str text)
{
    put(w, text.ptr, text.len);
}

/* A value's own JSON as a text: what stands in it is JSON already, so only quotes, backslashes and line ends need care. */
static void put_as_text(writer *w, flamenco_str value)
{
    put(w, "\"", 1);
    for (uint64_t i = 0; i < value.len; ++i) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            put(w, "\\", 1);
        if ((unsigned char)c < ' ')
            c = ' ';
        put(w, &c, 1);
    }
    put(w, "\"", 1);
}

static void write_metadata(writer *w, flamenco_str object)
{
    flamenco_str key, value;
    fl_scan inside = fl_scan_inside(object);
    put(w, "{", 1);
    while (fl_scan_member(&inside, &key, &value)) {
        put(w, w->len > 1 ? ",\"" : "\"", w->len > 1 ? 2 : 1);
        put_str(w, key);
        put(w, "\":", 2);
        if (fl_scan_kind(value) == '"') {
            put_str(w, value);
        } else {
            put_as_text(w, value);
            w->changed = 1;
        }
    }
    put(w, "}", 1);
}

#define KEY_IS(key, text) fl_scan_means(key, text, sizeof(text) - 1)

/* Writes one command with what old rows lack. Returns 0 when it is none. */
static int write_command(writer *w, flamenco_str command)
{
    flamenco_str key, value;
    int named = 0, parameters = 0, steps = 0, good = fl_scan_kind(command) == '{';
    fl_scan inside = good ? fl_scan_inside(command) : (fl_scan){ NULL, NULL };
    while (good && fl_scan_member(&inside, &key, &value)) {
        char kind = fl_scan_kind(value);
        if (KEY_IS(key, "name")) {
            named = 1;
            good = kind == '"';
        } else if (KEY_IS(key, "parameters")) {
            parameters = 1;
            good = kind == '{' || kind == 'n';
        } else if (KEY_IS(key, "total_step_count")) {
            steps = 1;
            good = kind == '0' && memchr(value.ptr, '.', value.len) == NULL &&
                   memchr(value.ptr, 'e', value.len) == NULL && memchr(value.ptr, 'E', value.len) == NULL;
        }
    }
    if (!good || !named)
        return 0;
    put(w, command.ptr, command.len - 1);
    if (!parameters)
        put(w, ",\"parameters\":null", 18);
    if (!steps)
        put(w, ",\"total_step_count\":0", 21);
    put(w, "}", 1);
    w->changed |= !parameters || !steps;
    return 1;
}

static int write_commands(writer *w, flamenco_str array)
{
    flamenco_str command;
    fl_scan inside = fl_scan_inside(array);
    put(w, "[", 1);
    for (int more = 0; fl_scan_element(&inside, &command); more = 1) {
        if (more)
            put(w, ",", 1);
        if (!write_command(w, command))
            return 0;
    }
    put(w, "]", 1);
    return 1;
}

/* Runs one of the two: first for the length, and again when something changes. */
static int32_t rewrite(flamenco_str value, int commands, char **out)
{
    writer w = { NULL, 0, 0 };
    for (;;) {
        int good = 1;
        if (commands)
            good = write_commands(&w, value);
        else
            write_metadata(&w, value);
        if (!good) {
            free(w.out);
            return FL_JSON_BAD;
        }
        if (w.out != NULL) {
            w.out[w.len] = '\0';
            *out = w.out;
            return FL_JSON_CHANGED;
        }
        if (!w.changed)
            return FL_JSON_GOOD;
        w = (writer){ malloc(w.len + 1), 0, 0 };
        if (w.out == NULL)
            return FLAMENCO_E_NOMEM;
    }
}

/* The one value of a text, without the blanks around it. */
static int only_value(flamenco_str json, flamenco_str *out)
{
    fl_scan s = fl_scan_begin(json);
    return json.len > 0 && fl_value_is_utf8(json) && fl_scan_value(&s, out) && s.at == s.end;
}

int32_t fl_value_metadata(flamenco_str json, char **out)
{
    flamenco_str value;
    if (!only_value(json, &value) || fl_scan_kind(value) != '{')
        return FL_JSON_BAD;
    return rewrite(value, 0, out);
}

int32_t fl_value_commands(flamenco_str json, char **out)
{
    flamenco_str value;
    if (!only_value(json, &value) || (fl_scan_kind(value) != '[' && fl_scan_kind(value) != 'n'))
        return FL_JSON_BAD;
    return fl_scan_kind(value) == 'n' ? FL_JSON_GOOD : rewrite(value, 1, out);
}
