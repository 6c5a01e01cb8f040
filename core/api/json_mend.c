/* SPDX-License-Identifier: Apache-2.0
 *
 * json_mend.c - changes JSON text that the parser would refuse (json_mend.h). Works on tokens alone: strings and
 * numbers.
 */
#include "core/api/json_mend.h"

#include "core/base/str.h"
#include "core/base/utf8.h"

typedef struct mender {
    const char *at, *end;
    const char *copied; /* up to here the text was copied */
    char *to; /* NULL: only find out how much there is to do */
    size_t mended; /* places that need a change */
} mender;

/* Replaces what lies between two places by `text`. */
static void replace(mender *m, const char *from, const char *to, const char *text)
{
    ++m->mended;
    if (m->to == NULL)
        return;
    memcpy(m->to, m->copied, (size_t)(from - m->copied));
    m->to += from - m->copied;
    size_t len = strlen(text);
    memcpy(m->to, text, len);
    m->to += len;
    m->copied = to;
}

/* Reads \uXXXX at p. Returns the number, or -1. */
static int32_t unit_at(const char *p, const char *end)
{
    return end - p >= 2 && p[0] == '\\' && p[1] == 'u' ? fl_utf16_unit(p + 2, end) : -1;
}

/* m->at is behind the opening quote; moves it behind the closing one. */
static void pass_string(mender *m)
{
    while (m->at < m->end) {
        char c = *m->at;
        if (c == '"') {
            ++m->at;
            return;
        }
        if (c != '\\') {
            ++m->at;
            continue;
        }
        int32_t unit = unit_at(m->at, m->end);
        if (unit < 0) {
            m->at += m->end - m->at >= 2 ? 2 : 1;
        } else if (unit < 0xD800 || unit > 0xDFFF) {
            m->at += 6;
        } else {
            int32_t low = unit < 0xDC00 ? unit_at(m->at + 6, m->end) : -1;
            if (low >= 0xDC00 && low <= 0xDFFF) {
                m->at += 12;
            } else {
                replace(m, m->at, m->at + 6, "\\ufffd");
                m->at += 6;
            }
        }
    }
}

static void pass_number(mender *m)
{
    const char *start = m->at;
    int integer = 1;
    for (; m->at < m->end; ++m->at) {
        char c = *m->at;
        if (c == '.' || c == 'e' || c == 'E' || c == '+')
            integer = 0;
        else if (!(c >= '0' && c <= '9') && c != '-')
            break;
    }
    flamenco_str digits = { start, (uint64_t)(m->at - start) };
    int64_t ignored;
    if (integer && digits.len > 18 && fl_str_int(digits, &ignored) != FLAMENCO_OK)
        replace(m, m->at, m->at, ".0");
}

static void pass_all(mender *m)
{
    while (m->at < m->end) {
        char c = *m->at;
        if (c == '"') {
            ++m->at;
            pass_string(m);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            pass_number(m);
        } else {
            ++m->at;
        }
    }
}

int32_t fl_json_mend(flamenco_str text, fl_arena *arena, flamenco_str *out)
{
    if (!fl_str_is_utf8(text)) {
        text = fl_str_to_utf8(arena, text);
        if (text.ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    mender m = { text.ptr, text.ptr + text.len, text.ptr, NULL, 0 };
    pass_all(&m);
    if (m.mended != 0) { /* an escape keeps its length, a number grows by two */
        char *copy = fl_arena_alloc(arena, (size_t)text.len + 2 * m.mended);
        if (copy == NULL)
            return FLAMENCO_E_NOMEM;
        m = (mender){ text.ptr, text.ptr + text.len, text.ptr, copy, 0 };
        pass_all(&m);
        memcpy(m.to, m.copied, (size_t)(m.end - m.copied));
        m.to += m.end - m.copied;
        text = (flamenco_str){ copy, (uint64_t)(m.to - copy) };
    }
    *out = text;
    return FLAMENCO_OK;
}
