/* SPDX-License-Identifier: Apache-2.0
 *
 * name.c - see webapp.h.
 */
#include "webapp.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int fl_name_decode(flamenco_str path, char *out)
{
    size_t n = 0;
    for (uint64_t i = 0; i < path.len; ++i) {
        char c = path.ptr[i];
        if (c == '%') {
            int high = i + 2 < path.len ? hex_digit(path.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(path.ptr[i + 2]) : -1;
            if (low < 0)
                return 0;
            c = (char)(high * 16 + low);
            i += 2;
        }
        int begins = n == 0 || out[n - 1] == '/';
        if (c == '\0' || n + 1 >= FL_WEBAPP_NAME_MAX || (begins && (c == '/' || c == '.')))
            return 0;
        out[n++] = c;
    }
    out[n] = '\0';
    return 1;
}
