/* SPDX-License-Identifier: Apache-2.0
 * A palette PNG without compression, so that no image library is needed; see image.h. Called by run.c. */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

enum {
    WIDTH = 320,
    HEIGHT = 180,
    COLOURS = 256,
    RAW_BYTES = HEIGHT * (WIDTH + 1), /* a filter byte before each row; fits one stored deflate block */
    DATA_BYTES = 2 + 5 + RAW_BYTES + 4,
    PNG_BYTES = 8 + (12 + 13) + (12 + COLOURS * 3) + (12 + DATA_BYTES) + 12,
};
_Static_assert(RAW_BYTES <= 65535, "one stored block");

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    *p++ = (uint8_t)(v >> 24);
    *p++ = (uint8_t)(v >> 16);
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

static uint32_t crc32_of(const uint8_t *p, size_t len)
{
    uint32_t crc = ~0U;
    while (len--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320U & (0U - (crc & 1)));
    }
    return ~crc;
}

static uint32_t adler32_of(const uint8_t *p, size_t len)
{
    uint32_t a = 1, b = 0;
    while (len--) {
        a = (a + *p++) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static uint8_t *put_chunk(uint8_t *p, const char *type, const uint8_t *data, uint32_t len)
{
    p = put32(p, len);
    uint8_t *start = p;
    memcpy(p, type, 4);
    if (len)
        memcpy(p + 4, data, len);
    return put32(p + 4 + len, crc32_of(start, 4 + len));
}

/* A sky whose colour goes with the job, and a sun that moves with the frame. */
static void paint(uint8_t *raw, int64_t frame)
{
    int sun_x = (int)(frame * 9 % WIDTH), sun_y = 50;
    for (int y = 0; y < HEIGHT; y++) {
        *raw++ = 0;
        for (int x = 0; x < WIDTH; x++) {
            int dx = x - sun_x, dy = y - sun_y;
            *raw++ = (uint8_t)(dx * dx + dy * dy < 400 ? COLOURS - 1 : y * (COLOURS - 2) / HEIGHT);
        }
    }
}

static size_t make_png(uint8_t *png, uint8_t *scratch, int64_t frame, unsigned hue)
{
    static const uint8_t magic[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    static const uint8_t head_tail[] = { 8, 3, 0, 0, 0 };
    uint8_t head[13], palette[COLOURS * 3], *colour = palette;
    memcpy(put32(put32(head, WIDTH), HEIGHT), head_tail, sizeof head_tail);
    for (unsigned i = 0; i < COLOURS; i++) {
        *colour++ = (uint8_t)(i * (hue & 7) / 7);
        *colour++ = (uint8_t)(i * (hue >> 3 & 7) / 7);
        *colour++ = (uint8_t)(255 - i / 2);
    }
    memset(colour - 3, 0xf0, 3); /* the sun */
    scratch[0] = 0x78;
    scratch[1] = 0x01;
    scratch[2] = 1;
    scratch[3] = RAW_BYTES & 255;
    scratch[4] = RAW_BYTES >> 8;
    scratch[5] = (uint8_t)~scratch[3];
    scratch[6] = (uint8_t)~scratch[4];
    paint(scratch + 7, frame);
    put32(scratch + 7 + RAW_BYTES, adler32_of(scratch + 7, RAW_BYTES));
    memcpy(png, magic, sizeof magic);
    uint8_t *p = put_chunk(png + sizeof magic, "IHDR", head, sizeof head);
    p = put_chunk(p, "PLTE", palette, sizeof palette);
    p = put_chunk(p, "IDAT", scratch, DATA_BYTES);
    p = put_chunk(p, "IEND", NULL, 0);
    return (size_t)(p - png);
}

static void on_answer(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    if (reply->status != 202)
        fl_farm_log(w->farm, w, "the image was answered with %d", reply->status);
}

void fl_image_send(fl_worker *w, int64_t frame)
{
    if (fl_conn_busy(w->conn, FL_LANE_OUTPUT))
        return;
    uint8_t *png = malloc(PNG_BYTES + DATA_BYTES);
    if (!png)
        return; /* one picture less */
    unsigned hue = 0;
    for (const char *p = w->run.job_id; *p; p++)
        hue = hue * 31 + (unsigned char)*p;
    size_t len = make_png(png, png + PNG_BYTES, frame, hue);
    char path[112];
    snprintf(path, sizeof path, "/api/v3/worker/task/%s/output-produced", w->run.task_id);
    fl_request request = { .op = FL_OP_OUTPUT,
                           .lane = FL_LANE_OUTPUT,
                           .method = "POST",
                           .path = path,
                           .content_type = "image/png",
                           .body = (const char *)png,
                           .len = len };
    fl_worker_send(w, &request, on_answer);
    free(png);
}
