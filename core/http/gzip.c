/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip.c - compression of replies, and whether a client wants it.
 */
#include "core/http/http.h"

#include <libdeflate.h>
#include <stdlib.h>

#include "core/base/str.h"

#define LEVEL 1 /* replies are made for one reader each: speed counts */

flamenco_buf *fl_http_gzip(const flamenco_buf *plain)
{
    flamenco_str in = fl_shared_str(plain);
    fl_buf out = { .data = NULL };
    flamenco_buf *result = NULL;
    if (in.len == 0)
        return NULL;
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);
    if (compressor == NULL)
        return NULL;
    /* Room for one byte less than the plain text: what does not fit is not worth it. */
    if (fl_buf_reserve(&out, in.len) == NULL)
        goto cleanup;
    out.len = libdeflate_gzip_compress(compressor, in.ptr, in.len, out.data, in.len - 1);
    if (out.len > 0)
        result = fl_shared_take(&out);
cleanup:
    libdeflate_free_compressor(compressor);
    fl_buf_fini(&out);
    return result;
}

/* Reads the weight of an entry, "gzip;q=0.5": only zero or not counts. */
static int is_refused(flamenco_str parameters)
{
    flamenco_str one;
    while (fl_str_split(&parameters, ';', &one)) {
        one = fl_str_trim(one);
        if (one.len < 3 || (one.ptr[0] != 'q' && one.ptr[0] != 'Q') || one.ptr[1] != '=')
            continue;
        for (uint64_t i = 2; i < one.len; ++i)
            if (one.ptr[i] >= '1' && one.ptr[i] <= '9')
                return 0;
        return 1;
    }
    return 0;
}

int fl_http_gzip_accepted(flamenco_str accept_encoding)
{
    flamenco_str rest = accept_encoding, entry, name;
    int any = 0;
    if (rest.ptr == NULL)
        return 0;
    while (fl_str_split(&rest, ',', &entry)) {
        if (!fl_str_split(&entry, ';', &name))
            continue;
        name = fl_str_trim(name);
        if (fl_str_equal_nocase(name, FL_STR("gzip")) || fl_str_equal_nocase(name, FL_STR("x-gzip")))
            return !is_refused(entry);
        if (fl_str_is(name, "*"))
            any = !is_refused(entry);
    }
    return any;
}
