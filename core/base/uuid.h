/* SPDX-License-Identifier: Apache-2.0
 *
 * uuid.h - makes, reads and writes UUIDs. Random bytes come from a pool per thread (libraries.md 0).
 */
#ifndef FL_UUID_H
#define FL_UUID_H

#include "flamenco/plugin.h"

/* Makes a random UUID (version 4). Returns 0, or FLAMENCO_E_IO when the system gives no random bytes. */
int32_t fl_uuid_make_v4(flamenco_uuid *out);

/* Makes a UUID that ascends with time (version 7; now_us = µs since 1970 UTC) and, within one process, from call to call.
 * Thread-safe. */
int32_t fl_uuid_make_v7(int64_t now_us, flamenco_uuid *out);

/* Writes 36 lower-case characters and a NUL. */
void fl_uuid_format(const flamenco_uuid *uuid, char out[37]);

/* Reads a text of exactly 36 bytes, hex digits of either case (api-behaviour: "UUID check"). Returns 0 or INVALID. */
int32_t fl_uuid_parse(flamenco_str text, flamenco_uuid *out);

static inline int fl_uuid_equal(const flamenco_uuid *a, const flamenco_uuid *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Tells whether every byte is zero, which stands for "none". */
int fl_uuid_is_none(const flamenco_uuid *uuid);

#endif
