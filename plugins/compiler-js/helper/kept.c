/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.c - see kept.h.
 */
#include "kept.h"

#include <stdlib.h>

struct fl_kept_text {
    uint32_t base, shared; /* it begins with so many bytes of that text, which shares none itself */
    size_t at; /* and ends with what stands from here up to the next text */
};

/* Of the bytes that a text has to itself. `end`: of the last text. */
static size_t own_len(const fl_kept *kept, size_t number, size_t end)
{
    return (number + 1 < kept->n ? kept->texts[number + 1].at : end) - kept->texts[number].at;
}

static size_t count_shared(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i + 64 <= n && memcmp(a + i, b + i, 64) == 0)
        i += 64;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static int make_room(fl_kept *kept)
{
    if (kept->n < kept->cap)
        return 1;
    size_t cap = kept->cap != 0 ? kept->cap * 2 : 64;
    fl_kept_text *texts = realloc(kept->texts, cap * sizeof(*texts));
    if (texts == NULL)
        return 0;
    kept->texts = texts;
    kept->cap = cap;
    return 1;
}

int64_t fl_kept_add(fl_kept *kept, size_t begin)
{
    size_t len = kept->bytes.len - begin;
    if (kept->bytes.failed || kept->n == UINT32_MAX || len > UINT32_MAX || !make_room(kept)) {
        kept->bytes.len = begin;
        kept->bytes.failed = 0;
        return -1;
    }
    uint8_t *bytes = kept->bytes.data;
    fl_kept_text text = { (uint32_t)kept->n, 0, begin };
    if (kept->n > 0) {
        size_t base_len = own_len(kept, kept->base, begin);
        size_t shared =
            count_shared(bytes + kept->texts[kept->base].at, bytes + begin, base_len < len ? base_len : len);
        if (shared > len / 2) {
            memmove(bytes + begin, bytes + begin + shared, len - shared);
            kept->bytes.len -= shared;
            text = (fl_kept_text){ kept->base, (uint32_t)shared, begin };
        }
    }
    kept->base = text.base;
    kept->texts[kept->n] = text;
    return (int64_t)kept->n++;
}

int fl_kept_write(const fl_kept *kept, int64_t number, fl_wire_out *out)
{
    if (number < 0 || (uint64_t)number >= kept->n)
        return 0;
    const fl_kept_text *text = &kept->texts[number];
    fl_wire_bytes(out, kept->bytes.data + kept->texts[text->base].at, text->shared);
    fl_wire_bytes(out, kept->bytes.data + text->at, own_len(kept, (size_t)number, kept->bytes.len));
    return 1;
}

void fl_kept_clear(fl_kept *kept)
{
    fl_wire_free(&kept->bytes);
    free(kept->texts);
    memset(kept, 0, sizeof(*kept));
}
