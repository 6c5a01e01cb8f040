/* SPDX-License-Identifier: Apache-2.0
 *
 * deflate.c - see deflate.h.
 */
#include "core/http/deflate.h"

#include <stdlib.h>

#define LEVEL 1 /* the others are slower and save a fiftieth */
#define WINDOW_BITS 13
#define MEMORY 5 /* of zlib's 9: 56 KB in all, and little to clear for each call */
#define WORTH_BYTES 1024u /* of a lone message */
#define TAIL "\x00\x00\xff\xff" /* what every packed message ends with, and is not sent */
#define TAIL_LENGTH 4u
#define UNPACK_BITS 15 /* clients choose theirs */
#define UNPACK_FIRST 1024u
#define BETWEEN_BLOCKS 128 /* in zlib's data_type */

#define PLAIN_ANSWER "permessage-deflate; client_no_context_takeover"
#define WINDOW_ANSWER PLAIN_ANSWER "; server_max_window_bits=13"
_Static_assert(WINDOW_BITS == 13, "the answer says so");

int32_t fl_deflate_init(fl_deflate *d)
{
    *d = (fl_deflate){ .is_set_up = 0 };
    return pthread_mutex_init(&d->lock, NULL) == 0 ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

void fl_deflate_fini(fl_deflate *d)
{
    if (d->is_set_up)
        deflateEnd(&d->z);
    fl_buf_fini(&d->scratch);
    pthread_mutex_destroy(&d->lock);
}

/* ---- Handshake --------------------------------------------------------------------------------------------------- */

/* What a parameter of an offer means; each may stand there once. */
typedef struct offer {
    int client_context, client_bits, server_bits, seen_client_bits;
} offer;

/* A number of window bits, bare or in quotes; 0: it is none. */
static int read_bits(flamenco_str text)
{
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        text = (flamenco_str){ text.ptr + 1, text.len - 2 };
    if (text.len == 1 && (text.ptr[0] == '8' || text.ptr[0] == '9'))
        return text.ptr[0] - '0';
    if (text.len == 2 && text.ptr[0] == '1' && text.ptr[1] >= '0' && text.ptr[1] <= '5')
        return 10 + text.ptr[1] - '0';
    return 0;
}

/* Returns 0 when the offer cannot be taken because of this parameter. */
static int read_parameter(flamenco_str text, offer *o)
{
    flamenco_str name = { NULL, 0 };
    if (!fl_str_split(&text, '=', &name))
        return 0;
    int has_value = text.ptr != NULL;
    flamenco_str value = has_value ? fl_str_trim(text) : (flamenco_str){ NULL, 0 };
    name = fl_str_trim(name);
    if (fl_str_equal_nocase(name, FL_STR("client_no_context_takeover")))
        return !has_value && !o->client_context++;
    if (fl_str_equal_nocase(name, FL_STR("client_max_window_bits")))
        return !o->seen_client_bits++ && (!has_value || (o->client_bits = read_bits(value)) != 0);
    if (fl_str_equal_nocase(name, FL_STR("server_max_window_bits")))
        return o->server_bits == 0 && (o->server_bits = read_bits(value)) >= WINDOW_BITS;
    return 0; /* server_no_context_takeover, too: messages of one call refer to each other */
}

const char *fl_deflate_answer(flamenco_str offers)
{
    flamenco_str one, part;
    while (offers.ptr != NULL && fl_str_split(&offers, ',', &one)) {
        offer o = { 0 };
        int fits =
            fl_str_split(&one, ';', &part) && fl_str_equal_nocase(fl_str_trim(part), FL_STR("permessage-deflate"));
        while (fits && fl_str_split(&one, ';', &part))
            fits = read_parameter(fl_str_trim(part), &o);
        if (fits)
            return o.server_bits != 0 ? WINDOW_ANSWER : PLAIN_ANSWER;
    }
    return NULL;
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

unsigned fl_ws_write_head(unsigned char *head, uint32_t kind, int packed, uint64_t len)
{
    head[0] = (unsigned char)((kind == FL_HTTP_WS_TEXT ? 0x81 : 0x82) | (packed ? 0x40 : 0));
    if (len < 126) {
        head[1] = (unsigned char)len;
        return 2;
    }
    if (len <= UINT16_MAX) {
        head[1] = 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        return 4;
    }
    head[1] = 127;
    for (unsigned i = 0; i < 8; ++i)
        head[2 + i] = (unsigned char)(len >> (56 - 8 * i));
    return FL_WS_HEAD_MAX;
}

int fl_deflate_is_worth_it(flamenco_buf *const *messages, uint32_t n)
{
    return n > 1 || (n == 1 && fl_shared_str(messages[0]).len >= WORTH_BYTES);
}

static int set_up(fl_deflate *d)
{
    if (!d->is_set_up)
        d->is_set_up = deflateInit2(&d->z, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
    return d->is_set_up;
}

/* Adds the packed text to the scratch, without its tail. Returns 0 when that cannot be. */
static int pack(fl_deflate *d, flamenco_str text)
{
    uint64_t from = d->scratch.len;
    if (text.len > UINT32_MAX / 2)
        return 0;
    d->z.next_in = (Bytef *)text.ptr;
    d->z.avail_in = (uInt)text.len;
    do {
        uInt room = (uInt)deflateBound(&d->z, d->z.avail_in) + 16;
        char *at = fl_buf_reserve(&d->scratch, room);
        if (at == NULL)
            return 0;
        d->z.next_out = (Bytef *)at;
        d->z.avail_out = room;
        if (deflate(&d->z, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
            return 0;
        d->scratch.len += room - d->z.avail_out;
    } while (d->z.avail_out == 0);
    if (d->scratch.len < from + TAIL_LENGTH ||
        memcmp(d->scratch.data + d->scratch.len - TAIL_LENGTH, TAIL, TAIL_LENGTH) != 0)
        return 0;
    d->scratch.len -= TAIL_LENGTH;
    return 1;
}

/* Adds one frame. zlib has nothing to say of an empty message, which goes as it is. */
static int add_frame(fl_deflate *d, uint32_t kind, flamenco_str text)
{
    unsigned char head[FL_WS_HEAD_MAX];
    uint64_t begun = d->scratch.len;
    if (fl_buf_reserve(&d->scratch, FL_WS_HEAD_MAX) == NULL)
        return 0;
    d->scratch.len += FL_WS_HEAD_MAX;
    if (text.len > 0 && !pack(d, text))
        return 0;
    uint64_t len = d->scratch.len - begun - FL_WS_HEAD_MAX;
    unsigned head_len = fl_ws_write_head(head, kind, text.len > 0, len);
    memcpy(d->scratch.data + begun, head, head_len);
    memmove(d->scratch.data + begun + head_len, d->scratch.data + begun + FL_WS_HEAD_MAX, (size_t)len);
    d->scratch.len = begun + head_len + len;
    return 1;
}

flamenco_buf *fl_deflate_frames(fl_deflate *d, uint32_t kind, flamenco_buf *const *messages, uint32_t n)
{
    flamenco_buf *frames = NULL;
    pthread_mutex_lock(&d->lock);
    d->scratch.len = 0;
    d->scratch.failed = 0;
    int good = set_up(d) && deflateReset(&d->z) == Z_OK;
    for (uint32_t i = 0; good && i < n; ++i)
        good = add_frame(d, kind, fl_shared_str(messages[i]));
    if (good && (frames = fl_shared_create((size_t)d->scratch.len)) != NULL)
        memcpy(fl_shared_data(frames), d->scratch.data, (size_t)d->scratch.len);
    pthread_mutex_unlock(&d->lock);
    return frames;
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

/* Unpacks a piece behind what is there. */
static int32_t unpack(z_stream *z, const void *bytes, uint64_t len, uint64_t at_most, fl_buf *out)
{
    z->next_in = (Bytef *)bytes;
    z->avail_in = (uInt)len;
    for (;;) {
        uint64_t room = out->len == 0 ? UNPACK_FIRST : out->len; /* so it doubles */
        room = room <= at_most - out->len ? room : at_most - out->len + 1;
        char *at = fl_buf_reserve(out, room);
        if (at == NULL)
            return FLAMENCO_E_NOMEM;
        z->next_out = (Bytef *)at;
        z->avail_out = (uInt)room;
        int status = inflate(z, Z_SYNC_FLUSH);
        out->len += room - z->avail_out;
        if (out->len > at_most)
            return FLAMENCO_E_FULL;
        if (status == Z_MEM_ERROR)
            return FLAMENCO_E_NOMEM;
        if (status == Z_STREAM_END) /* a last block is allowed in the middle of a message */
            status = inflateReset(z);
        if (status != Z_OK && status != Z_BUF_ERROR)
            return FLAMENCO_E_INVALID;
        if (z->avail_in == 0 && z->avail_out > 0)
            return FLAMENCO_OK;
    }
}

int32_t fl_deflate_unpack(flamenco_str packed, uint64_t at_most, fl_buf *out)
{
    z_stream z = { .zalloc = NULL };
    if (packed.len > UINT32_MAX || at_most >= UINT32_MAX)
        return FLAMENCO_E_FULL;
    int status = inflateInit2(&z, -UNPACK_BITS);
    if (status != Z_OK)
        return FLAMENCO_E_NOMEM;
    int32_t rc = unpack(&z, packed.ptr, packed.len, at_most, out);
    if (rc == FLAMENCO_OK)
        rc = unpack(&z, TAIL, TAIL_LENGTH, at_most, out);
    if (rc == FLAMENCO_OK && (z.data_type & BETWEEN_BLOCKS) == 0)
        rc = FLAMENCO_E_INVALID; /* cut off */
    inflateEnd(&z);
    return rc;
}
