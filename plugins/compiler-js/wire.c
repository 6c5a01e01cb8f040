/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c - writes and reads frames (wire.h).
 */
#include "wire.h"

#include <stdlib.h>

void fl_wire_free(fl_wire_out *out)
{
    free(out->data);
    memset(out, 0, sizeof(*out));
}

uint8_t *fl_wire_room(fl_wire_out *out, size_t more)
{
    if (out->failed)
        return NULL;
    if (out->cap - out->len >= more)
        return out->data + out->len;
    /* Twice the largest frame: what waits to be written, and the frame that is being made. */
    if (more > 2 * (size_t)FL_WIRE_PAYLOAD_MAX || out->len + more > 4 * (size_t)FL_WIRE_PAYLOAD_MAX) {
        out->failed = 1;
        return NULL;
    }
    size_t cap = out->cap != 0 ? out->cap : 4096;
    while (cap - out->len < more)
        cap *= 2;
    uint8_t *data = realloc(out->data, cap);
    if (data == NULL) {
        out->failed = 1;
        return NULL;
    }
    out->data = data;
    out->cap = cap;
    return data + out->len;
}

void fl_wire_bytes(fl_wire_out *out, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    uint8_t *to = fl_wire_room(out, n);
    if (to == NULL)
        return;
    memcpy(to, bytes, n);
    out->len += n;
}

void fl_wire_u32(fl_wire_out *out, uint32_t v)
{
    fl_wire_bytes(out, &v, sizeof(v));
}

void fl_wire_u64(fl_wire_out *out, uint64_t v)
{
    fl_wire_bytes(out, &v, sizeof(v));
}

void fl_wire_str(fl_wire_out *out, flamenco_str s)
{
    if (s.len > FL_WIRE_PAYLOAD_MAX) {
        out->failed = 1;
        return;
    }
    fl_wire_u32(out, (uint32_t)s.len);
    fl_wire_bytes(out, s.ptr, (size_t)s.len);
}

void fl_wire_begin(fl_wire_out *out, uint32_t type)
{
    out->frame = out->len;
    fl_wire_u32(out, 0);
    fl_wire_u32(out, type);
}

void fl_wire_end(fl_wire_out *out)
{
    if (out->failed)
        return;
    size_t payload = out->len - out->frame - FL_WIRE_HEADER;
    if (payload > FL_WIRE_PAYLOAD_MAX) {
        out->failed = 1;
        return;
    }
    uint32_t n = (uint32_t)payload;
    memcpy(out->data + out->frame, &n, sizeof(n));
}

void fl_wire_drop(fl_wire_out *out)
{
    out->len = out->frame;
    out->failed = 0;
}

const uint8_t *fl_wire_get_bytes(fl_wire_in *in, size_t n)
{
    if (in->failed || (size_t)(in->end - in->at) < n) {
        in->failed = 1;
        return NULL;
    }
    const uint8_t *at = in->at;
    in->at += n;
    return at;
}

uint32_t fl_wire_get_u32(fl_wire_in *in)
{
    uint32_t v = 0;
    const uint8_t *at = fl_wire_get_bytes(in, sizeof(v));
    if (at != NULL)
        memcpy(&v, at, sizeof(v));
    return v;
}

uint64_t fl_wire_get_u64(fl_wire_in *in)
{
    uint64_t v = 0;
    const uint8_t *at = fl_wire_get_bytes(in, sizeof(v));
    if (at != NULL)
        memcpy(&v, at, sizeof(v));
    return v;
}

flamenco_str fl_wire_get_str(fl_wire_in *in)
{
    flamenco_str s = { NULL, 0 };
    uint32_t n = fl_wire_get_u32(in);
    const uint8_t *at = fl_wire_get_bytes(in, n);
    if (at != NULL) {
        s.ptr = (const char *)at;
        s.len = n;
    }
    return s;
}

int fl_wire_done(const fl_wire_in *in)
{
    return !in->failed && in->at == in->end;
}

void fl_wire_put_order(fl_wire_out *out, const fl_wire_order *order)
{
    fl_wire_u64(out, order->number);
    fl_wire_u64(out, order->script);
    fl_wire_u64(out, (uint64_t)order->time_limit_us);
    fl_wire_u64(out, order->memory_limit);
    fl_wire_str(out, order->key);
    fl_wire_str(out, order->file);
}

void fl_wire_get_order(fl_wire_in *in, fl_wire_order *order)
{
    order->number = fl_wire_get_u64(in);
    order->script = fl_wire_get_u64(in);
    order->time_limit_us = (int64_t)fl_wire_get_u64(in);
    order->memory_limit = fl_wire_get_u64(in);
    order->key = fl_wire_get_str(in);
    order->file = fl_wire_get_str(in);
}
