/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - see log.h. A line is made on the stack and written with one write(2), which the kernel keeps whole on files and
 * on pipes up to PIPE_BUF, so no lock is needed and nothing is allocated. What does not fit ends in "…".
 */
#include "core/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/timefmt.h"
#include "core/base/utf8.h"

#define MESSAGE_MAX 4096
#define LINE_MAX_BYTES 8192
#define NAME_MAX_BYTES 96
/* Kept free behind the message: the mark of a cut, and a name of which every byte is escaped. */
#define TAIL_BYTES 1024

/* Written by fl_log_setup() before other threads start, only read afterwards. */
static struct {
    int fd, format, colour;
    uint32_t least_level;
} setup = { STDERR_FILENO, FL_LOG_TEXT, 0, FLAMENCO_LOG_INFO };

static _Thread_local flamenco_str current_request;

typedef struct line {
    char text[LINE_MAX_BYTES];
    size_t len, limit;
    int cut; /* 1: something did not fit */
} line;

typedef struct level_style {
    const char *short_name, *name, *colour;
} level_style;

static const level_style *style_of(uint32_t level)
{
    static const level_style styles[] = {
        { "TRC", "trace", "\033[90m" }, { "DBG", "debug", "\033[36m" }, { "INF", "info", "\033[32m" },
        { "WRN", "warn", "\033[33m" },  { "ERR", "error", "\033[31m" },
    };
    return &styles[level <= FLAMENCO_LOG_ERROR ? level : FLAMENCO_LOG_ERROR];
}

void fl_log_setup(int fd, int format, uint32_t least_level)
{
    const char *no_colour = getenv("NO_COLOR");
    setup.fd = fd;
    setup.format = format;
    setup.least_level = least_level;
    setup.colour = format == FL_LOG_TEXT && (no_colour == NULL || no_colour[0] == '\0') && isatty(fd);
}

int fl_log_enabled(uint32_t level)
{
    return level >= setup.least_level;
}

void fl_log_set_request(flamenco_str request_id)
{
    current_request = request_id;
}

/* Adds all of it or nothing: no half escape gets into a line. */
static void add(line *l, const char *text, size_t len)
{
    if (l->cut || len > l->limit - l->len) {
        l->cut = 1;
        return;
    }
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void add_text(line *l, const char *text)
{
    add(l, text, strlen(text));
}

/* Adds text from anywhere: no control character may end a line, or steer a terminal, and a line is valid UTF-8. */
static void add_escaped(line *l, flamenco_str s, int json)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t left = (size_t)s.len;
    while (left > 0 && !l->cut) {
        size_t n = fl_utf8_length(p, left);
        char escape[8];
        if (n == 0) {
            n = 1;
            add_text(l, "\xEF\xBF\xBD");
        } else if (*p == '\n' || *p == '\r' || *p == '\t') {
            add_text(l, *p == '\n' ? "\\n" : *p == '\r' ? "\\r" : "\\t");
        } else if (*p < 0x20 || *p == 0x7F || (*p == 0xC2 && p[1] < 0xA0)) {
            snprintf(escape, sizeof(escape), "\\u%04x", n == 1 ? *p : p[1]);
            add_text(l, escape);
        } else if (json && (*p == '"' || *p == '\\')) {
            add(l, *p == '"' ? "\\\"" : "\\\\", 2);
        } else {
            add(l, (const char *)p, n);
        }
        p += n;
        left -= n;
    }
}

/* Cuts names and request ids, so that time, level and message always have room. */
static flamenco_str clip(flamenco_str s)
{
    return (flamenco_str){ s.ptr, s.len < NAME_MAX_BYTES ? s.len : NAME_MAX_BYTES };
}

/* Formats the message; what is too long is cut between two characters and *cut_out set. */
static flamenco_str format_message(char text[MESSAGE_MAX], const char *fmt, va_list args, int *cut_out)
{
    int n = vsnprintf(text, MESSAGE_MAX, fmt, args);
    *cut_out = n >= MESSAGE_MAX;
    if (n < 0)
        return flamenco_text("(a message that cannot be formatted)");
    size_t len = n < MESSAGE_MAX ? (size_t)n : MESSAGE_MAX - 1;
    if (*cut_out) {
        while (len > 0 && ((unsigned char)text[len - 1] & 0xC0u) == 0x80u)
            --len;
        if (len > 0 && (unsigned char)text[len - 1] >= 0xC0u)
            --len;
    }
    return (flamenco_str){ text, len };
}

static void add_message(line *l, flamenco_str message, int cut, int json)
{
    add_escaped(l, message, json);
    if (cut || l->cut) {
        l->cut = 0;
        l->limit += 3;
        add_text(l, "\xE2\x80\xA6");
    }
}

static int64_t wall_clock_us(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void make_text_line(line *l, uint32_t level, const char *subsystem, flamenco_str message, int cut)
{
    char when[FL_TIME_TEXT_MAX];
    const level_style *style = style_of(level);
    add(l, when, fl_time_format_local(wall_clock_us(), 1, when));
    add_text(l, " ");
    if (setup.colour)
        add_text(l, style->colour);
    add_text(l, style->short_name);
    if (setup.colour)
        add_text(l, "\033[0m");
    add_text(l, " ");
    add_escaped(l, clip(flamenco_text(subsystem)), 0);
    add_text(l, ": ");
    add_message(l, message, cut, 0);
    l->limit = LINE_MAX_BYTES - 1;
    if (current_request.len > 0) {
        add_text(l, "  req=");
        add_escaped(l, clip(current_request), 0);
    }
    l->text[l->len++] = '\n';
}

static void make_json_line(line *l, uint32_t level, const char *subsystem, flamenco_str message, int cut)
{
    char when[FL_TIME_TEXT_MAX];
    add_text(l, "{\"time\":\"");
    add(l, when, fl_time_format_utc(wall_clock_us(), when));
    add_text(l, "\",\"level\":\"");
    add_text(l, style_of(level)->name);
    add_text(l, "\",\"subsystem\":\"");
    add_escaped(l, clip(flamenco_text(subsystem)), 1);
    if (current_request.len > 0) {
        add_text(l, "\",\"request\":\"");
        add_escaped(l, clip(current_request), 1);
    }
    add_text(l, "\",\"message\":\"");
    add_message(l, message, cut, 1);
    l->limit = LINE_MAX_BYTES;
    add_text(l, "\"}\n");
}

static void write_line(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        /* There is no one left to tell: the line is lost. */
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

void fl_log_va(uint32_t level, const char *subsystem, const char *fmt, va_list args)
{
    if (!fl_log_enabled(level))
        return;
    int error = errno;
    char message_text[MESSAGE_MAX];
    int cut;
    flamenco_str message = format_message(message_text, fmt, args, &cut);
    line l;
    l.len = 0;
    l.cut = 0;
    l.limit = LINE_MAX_BYTES - TAIL_BYTES;
    if (setup.format == FL_LOG_JSON)
        make_json_line(&l, level, subsystem, message, cut);
    else
        make_text_line(&l, level, subsystem, message, cut);
    write_line(setup.fd, l.text, l.len);
    errno = error;
}

void fl_log(uint32_t level, const char *subsystem, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fl_log_va(level, subsystem, fmt, args);
    va_end(args);
}
