/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict.c - how a check ends: its process writes what it found to the runner and is gone.
 */
#include <stdlib.h>
#include <unistd.h>

#include "inner.h"

#define REPORT_MOST 2000

static _Noreturn void say(char what, const char *text)
{
    char report[REPORT_MOST + 2];
    int len = snprintf(report, sizeof(report), "%c%s", what, text);
    size_t size = len < (int)sizeof(report) ? (size_t)len : sizeof(report) - 1;
    /* One write of less than PIPE_BUF: whole or not at all, whatever other threads do. */
    _exit(write(KIT_REPORT_FD, report, size) == (ssize_t)size ? 0 : 70);
}

void kit_fail(const char *file, int line, const char *fmt, ...)
{
    char text[REPORT_MOST], all[REPORT_MOST];
    const char *slash = strrchr(file, '/');
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(all, sizeof(all), "%.1900s [%s:%d]", text, slash != NULL ? slash + 1 : file, line);
    say(KIT_SAYS_FAILED, all);
}

void kit_skip(const char *fmt, ...)
{
    char text[REPORT_MOST];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    say(KIT_SAYS_SKIPPED, text);
}

void kit_blocked(const char *other_check, const char *fmt, ...)
{
    char text[REPORT_MOST], all[REPORT_MOST];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(all, sizeof(all), "%s %.1800s", other_check, text);
    say(KIT_SAYS_BLOCKED, all);
}

int kit_is_code(int32_t rc)
{
    return rc <= FLAMENCO_OK && rc >= FLAMENCO_E_INTERNAL;
}

const char *kit_code_name(int32_t rc)
{
    static const char *const names[] = { "OK",   "NOT_FOUND",   "EXISTS",    "CONFLICT",    "INVALID",
                                         "BUSY", "UNAVAILABLE", "CANCELLED", "DEADLINE",    "FULL",
                                         "IO",   "CORRUPT",     "NOMEM",     "UNSUPPORTED", "INTERNAL" };
    if (rc == FLAMENCO_AGAIN)
        return "AGAIN";
    return kit_is_code(rc) ? names[-rc] : "a code that is not in the list";
}

void kit_expect_int(const char *file, int line, const char *what, int64_t actual, const char *why, int64_t expected)
{
    if (actual == expected)
        return;
    if (strspn(why, "0123456789-") == strlen(why))
        kit_fail(file, line, "%s is %lld, not %lld", what, (long long)actual, (long long)expected);
    kit_fail(file, line, "%s is %lld, not %lld (%s)", what, (long long)actual, (long long)expected, why);
}

void kit_expect_str(const char *file, int line, const char *what, flamenco_str actual, flamenco_str expected)
{
    if (!flamenco_str_equal(actual, expected))
        kit_fail(file, line, "%s is \"%.*s\", not \"%.*s\"", what, (int)(actual.len < 300 ? actual.len : 300),
                 actual.ptr != NULL ? actual.ptr : "", (int)(expected.len < 300 ? expected.len : 300),
                 expected.ptr != NULL ? expected.ptr : "");
}

void kit_expect_rc(const char *file, int line, const char *what, int32_t actual, int32_t expected,
                   const flamenco_error *err)
{
    if (actual == expected)
        return;
    kit_fail(file, line, "%s gives %s, not %s%s%s", what, kit_code_name(actual), kit_code_name(expected),
             err != NULL && actual < 0 ? ": " : "", err != NULL && actual < 0 ? err->text : "");
}
