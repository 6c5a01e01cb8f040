/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.c - see buf.h. Grows by doubling; the shared form takes the grown bytes over without a copy.
 */
#include "core/base/buf.h"

#include <stdlib.h>

struct flamenco_buf {
    uint32_t refs;
    size_t len;
    char *data; /* `tail`, or bytes taken over from an fl_buf */
    char tail[];
};

void fl_buf_fini(fl_buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

char *fl_buf_reserve(fl_buf *buf, size_t more)
{
    if (buf->failed)
        return NULL;
    if (more <= buf->cap - buf->len && buf->data != NULL)
        return buf->data + buf->len;
    if (more > SIZE_MAX / 2 - buf->len) {
        buf->failed = 1;
        return NULL;
    }
    size_t need = buf->len + more, cap = buf->cap > 0 ? buf->cap * 2 : 256;
    if (cap < need)
        cap = need;
    char *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = 1;
        return NULL;
    }
    buf->data = data;
    buf->cap = cap;
    return data + buf->len;
}

void fl_buf_add(fl_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    char *to = fl_buf_reserve(buf, len);
    if (to == NULL)
        return;
    memcpy(to, data, len);
    buf->len += len;
}

void fl_buf_add_str(fl_buf *buf, flamenco_str text)
{
    fl_buf_add(buf, text.ptr, (size_t)text.len);
}

void fl_buf_add_text(fl_buf *buf, const char *text)
{
    fl_buf_add(buf, text, strlen(text));
}

void fl_buf_add_char(fl_buf *buf, char c)
{
    char *to = fl_buf_reserve(buf, 1);
    if (to == NULL)
        return;
    *to = c;
    ++buf->len;
}

void fl_buf_printf(fl_buf *buf, const char *fmt, ...)
{
    char *to = fl_buf_reserve(buf, 128);
    if (to == NULL)
        return;
    size_t room = buf->cap - buf->len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(to, room, fmt, args);
    va_end(args);
    if (n < 0) {
        buf->failed = 1;
        return;
    }
    size_t len = (size_t)n;
    if (len >= room) {
        /* One more than the text: vsnprintf writes a NUL, which is not counted. */
        to = fl_buf_reserve(buf, len + 1);
        if (to == NULL)
            return;
        va_start(args, fmt);
        n = vsnprintf(to, len + 1, fmt, args);
        va_end(args);
        if (n < 0) {
            buf->failed = 1;
            return;
        }
    }
    buf->len += len;
}

flamenco_buf *fl_shared_take(fl_buf *buf)
{
    flamenco_buf *shared = buf->failed ? NULL : malloc(sizeof(*shared));
    if (shared == NULL) {
        fl_buf_fini(buf);
        return NULL;
    }
    char *data = buf->data;
    /* Events may be kept for long: give back what growing left over, when it is much. A small piece is not worth the copy. */
    if (data != NULL && buf->len > 0 && buf->cap - buf->len > buf->cap / 4 && buf->cap - buf->len > 512) {
        char *less = realloc(data, buf->len);
        if (less != NULL)
            data = less;
    }
    shared->refs = 1;
    shared->len = buf->len;
    shared->data = data;
    memset(buf, 0, sizeof(*buf));
    return shared;
}

flamenco_buf *fl_shared_create(size_t len)
{
    if (len > SIZE_MAX / 2)
        return NULL;
    flamenco_buf *shared = calloc(1, sizeof(*shared) + len);
    if (shared == NULL)
        return NULL;
    shared->refs = 1;
    shared->len = len;
    shared->data = shared->tail;
    return shared;
}

char *fl_shared_data(flamenco_buf *buf)
{
    return buf->data;
}

flamenco_str fl_shared_str(const flamenco_buf *buf)
{
    flamenco_str s = { buf->data, buf->len };
    return s;
}

void fl_shared_ref(flamenco_buf *buf)
{
    __atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
}

void fl_shared_unref(flamenco_buf *buf)
{
    if (buf == NULL || __atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (buf->data != buf->tail)
        free(buf->data);
    free(buf);
}
