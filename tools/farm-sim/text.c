/* SPDX-License-Identifier: Apache-2.0
 * Text buffer; see text.h. Called by run.c, updates.c, job.c and the modes. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(fl_text *t, size_t more)
{
    if (t->failed)
        return false;
    if (t->len + more + 1 <= t->room)
        return true;
    size_t room = t->room ? t->room : 256;
    while (room < t->len + more + 1)
        room *= 2;
    char *ptr = realloc(t->ptr, room);
    if (!ptr) {
        t->failed = true;
        return false;
    }
    t->ptr = ptr;
    t->room = room;
    return true;
}

void fl_text_add(fl_text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        t->failed = true;
    else if (reserve(t, (size_t)len)) {
        vsnprintf(t->ptr + t->len, (size_t)len + 1, fmt, again);
        t->len += (size_t)len;
    }
    va_end(again);
}

void fl_text_add_json(fl_text *t, const char *bytes, size_t len)
{
    if (!reserve(t, len * 6 + 2))
        return;
    char *p = t->ptr + t->len;
    *p++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c == '\n') {
            *p++ = '\\';
            *p++ = 'n';
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
            p += snprintf(p, 7, "\\u%04x", c);
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    *p = 0;
    t->len = (size_t)(p - t->ptr);
}

void fl_text_clear(fl_text *t)
{
    t->len = 0;
    t->failed = false;
    if (t->ptr)
        t->ptr[0] = 0;
}

void fl_text_free(fl_text *t)
{
    free(t->ptr);
    *t = (fl_text){ 0 };
}
