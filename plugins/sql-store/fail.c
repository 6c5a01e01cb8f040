/* SPDX-License-Identifier: Apache-2.0
 *
 * fail.c - how a method tells why it failed. Used by every file that implements methods.
 */
#include "rows.h"

uint32_t fl_is_fatal(int32_t code)
{
    return code == FLAMENCO_E_BUSY || code == FLAMENCO_E_UNAVAILABLE || code == FLAMENCO_E_FULL ||
           code == FLAMENCO_E_IO || code == FLAMENCO_E_CORRUPT;
}

int32_t fl_fail(flamenco_session *s, int32_t code, const char *fmt, ...)
{
    char text[sizeof(((flamenco_error *)NULL)->text)];
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start stands right above */
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    if (fl_is_fatal(code) && s->failed == 0)
        s->failed = code;
    return flamenco_fail(s->err, code, "%s", text);
}
