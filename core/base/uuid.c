/* SPDX-License-Identifier: Apache-2.0
 *
 * uuid.c - see uuid.h. getrandom() fills a pool per thread, so that a job of 10,000 tasks costs 40 system calls. A forked
 * child would repeat its parent's pool: the manager forks only to exec.
 */
#include "core/base/uuid.h"

#include <endian.h>
#include <errno.h>
#include <sys/random.h>

#include "core/base/str.h"

typedef struct pool {
    uint8_t bytes[4096];
    size_t left; /* unused bytes, at the end */
} pool;

static _Thread_local pool random_pool;

/* The greatest time stamp that a version 7 UUID of this process had: milliseconds, then 12 bits of fraction. */
static uint64_t last_stamp;

static int32_t take_random(uint8_t *out, size_t len)
{
    pool *p = &random_pool;
    if (p->left < len) {
        size_t have = 0;
        while (have < sizeof(p->bytes)) {
            ssize_t n = getrandom(p->bytes + have, sizeof(p->bytes) - have, 0);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return FLAMENCO_E_IO;
            have += (size_t)n;
        }
        p->left = sizeof(p->bytes);
    }
    memcpy(out, p->bytes + sizeof(p->bytes) - p->left, len);
    p->left -= len;
    return FLAMENCO_OK;
}

int32_t fl_uuid_make_v4(flamenco_uuid *out)
{
    flamenco_uuid made;
    int32_t rc = take_random(made.b, sizeof(made.b));
    if (rc != FLAMENCO_OK)
        return rc;
    made.b[6] = (uint8_t)((made.b[6] & 0x0F) | 0x40);
    made.b[8] = (uint8_t)((made.b[8] & 0x3F) | 0x80);
    *out = made;
    return FLAMENCO_OK;
}

int32_t fl_uuid_make_v7(int64_t now_us, flamenco_uuid *out)
{
    flamenco_uuid made;
    int32_t rc = take_random(made.b + 8, 8);
    if (rc != FLAMENCO_OK)
        return rc;
    uint64_t us = now_us > 0 ? (uint64_t)now_us : 0;
    uint64_t stamp = (us / 1000) << 12 | (us % 1000) * 4096 / 1000;
    uint64_t last = __atomic_load_n(&last_stamp, __ATOMIC_RELAXED);
    uint64_t next;
    do {
        next = stamp > last ? stamp : last + 1;
    } while (!__atomic_compare_exchange_n(&last_stamp, &last, next, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    for (int i = 0; i < 6; ++i)
        made.b[i] = (uint8_t)(next >> (52 - 8 * i));
    made.b[6] = (uint8_t)(0x70 | ((next >> 8) & 0x0F));
    made.b[7] = (uint8_t)next;
    made.b[8] = (uint8_t)((made.b[8] & 0x3F) | 0x80);
    *out = made;
    return FLAMENCO_OK;
}

/* Writes the 8 digits of 4 bytes, all at once: lists are full of UUIDs. */
static void put_hex(const uint8_t *bytes, char out[8])
{
    uint32_t four;
    memcpy(&four, bytes, sizeof(four));
    uint64_t x = le32toh(four);
    x = (x | x << 16) & UINT64_C(0x0000FFFF0000FFFF);
    x = (x | x << 8) & UINT64_C(0x00FF00FF00FF00FF);
    x = (x >> 4 | x << 8) & UINT64_C(0x0F0F0F0F0F0F0F0F); /* a digit's value in each byte, the first in the lowest */
    uint64_t letters = ((x + UINT64_C(0x0606060606060606)) >> 4) & UINT64_C(0x0101010101010101);
    x = htole64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
    memcpy(out, &x, sizeof(x));
}

void fl_uuid_format(const flamenco_uuid *uuid, char out[37])
{
    char middle[16];
    put_hex(uuid->b, out);
    put_hex(uuid->b + 4, middle);
    put_hex(uuid->b + 8, middle + 8);
    put_hex(uuid->b + 12, out + 28);
    for (int i = 0; i < 4; ++i) {
        out[8 + 5 * i] = '-';
        memcpy(out + 9 + 5 * i, middle + 4 * i, 4);
    }
    out[36] = '\0';
}

int32_t fl_uuid_parse(flamenco_str text, flamenco_uuid *out)
{
    if (text.len != 36)
        return FLAMENCO_E_INVALID;
    flamenco_uuid made;
    const char *from = text.ptr;
    for (int i = 0; i < 16; ++i) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *from++ != '-')
            return FLAMENCO_E_INVALID;
        int high = fl_hex_value(from[0]);
        int low = fl_hex_value(from[1]);
        if (high < 0 || low < 0)
            return FLAMENCO_E_INVALID;
        made.b[i] = (uint8_t)(high << 4 | low);
        from += 2;
    }
    *out = made;
    return FLAMENCO_OK;
}

int fl_uuid_is_none(const flamenco_uuid *uuid)
{
    static const flamenco_uuid none;
    return fl_uuid_equal(uuid, &none);
}
