/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - the manager's own log: one line per event with time, level, subsystem and request id. Text for people on a
 * terminal, JSON lines with --log-format json. Thread-safe; a line is written by one write(2).
 */
#ifndef FL_LOG_H
#define FL_LOG_H

#include "flamenco/plugin.h"

#define FL_LOG_TEXT 0
#define FL_LOG_JSON 1

/* Sets where lines go (a descriptor that stays the caller's), the form, and the least level (FLAMENCO_LOG_*) that is
 * written. Colours are used when fd is a terminal and NO_COLOR is unset or empty. Call it before other threads start. */
void fl_log_setup(int fd, int format, uint32_t least_level);

/* Tells whether lines of that level are written, to spare the making of costly arguments. */
int fl_log_enabled(uint32_t level);

/* Writes one line. subsystem: a short static name ("http", "executor", a plugin's instance name). */
void fl_log(uint32_t level, const char *subsystem, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void fl_log_va(uint32_t level, const char *subsystem, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

/* The request whose work this thread does now; appears in its lines. Borrowed until the next call; empty = none. */
void fl_log_set_request(flamenco_str request_id);

#define fl_debug(subsystem, ...) \
    do { \
        if (fl_log_enabled(FLAMENCO_LOG_DEBUG)) \
            fl_log(FLAMENCO_LOG_DEBUG, subsystem, __VA_ARGS__); \
    } while (0)
#define fl_info(subsystem, ...) fl_log(FLAMENCO_LOG_INFO, subsystem, __VA_ARGS__)
#define fl_warn(subsystem, ...) fl_log(FLAMENCO_LOG_WARN, subsystem, __VA_ARGS__)
#define fl_error(subsystem, ...) fl_log(FLAMENCO_LOG_ERROR, subsystem, __VA_ARGS__)

#endif
