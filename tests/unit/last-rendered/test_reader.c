/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reader.c - every kind of image that the two formats know, and every kind of damage that we could think of.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <png.h>
#include <stdlib.h>
#include <zlib.h>

#include "pictures.h"
#include "reader.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PIXELS (UINT64_C(64) << 20)
#define MEMORY (UINT64_C(256) << 20)

typedef struct clock_of_test {
    int32_t answer; /* what check gives */
    unsigned asked, after; /* from the so-manieth question on */
} clock_of_test;

static int32_t check(void *ctx)
{
    clock_of_test *c = ctx;
    return ++c->asked > c->after ? c->answer : FLAMENCO_OK;
}

typedef struct decoded {
    uint8_t *pixels;
    uint32_t width, height;
    flamenco_error err;
} decoded;

/* Decodes from head to end, at full size unless least is given. */
static int32_t decode_least(flamenco_str bytes, const fl_lr_limits *limits, uint32_t least_width, uint32_t least_height,
                            decoded *out)
{
    fl_lr_reader *reader = NULL;
    *out = (decoded){ .err = FLAMENCO_ERROR_INIT };
    int32_t rc = fl_lr_reader_open(bytes, limits, &reader, &out->err);
    if (rc != FLAMENCO_OK) {
        assert_null(reader);
        return rc;
    }
    if (least_width == 0) {
        least_width = fl_lr_reader_width(reader);
        least_height = fl_lr_reader_height(reader);
    }
    rc = fl_lr_reader_begin(reader, least_width, least_height, &out->width, &out->height, &out->err);
    if (rc == FLAMENCO_OK)
        out->pixels = malloc((size_t)out->width * out->height * 3);
    for (uint32_t y = 0; rc == FLAMENCO_OK && y < out->height; ++y)
        rc = fl_lr_reader_row(reader, out->pixels + (size_t)y * out->width * 3, &out->err);
    if (rc == FLAMENCO_OK)
        rc = fl_lr_reader_end(reader, &out->err);
    fl_lr_reader_close(reader);
    return rc;
}

static int32_t decode(flamenco_str bytes, decoded *out)
{
    clock_of_test c = { 0 };
    fl_lr_limits limits = { PIXELS, MEMORY, check, &c };
    return decode_least(bytes, &limits, 0, 0, out);
}

static int32_t decode_and_free(flamenco_str bytes)
{
    decoded d;
    int32_t rc = decode(bytes, &d);
    free(d.pixels);
    return rc;
}

/* ---- PNG --------------------------------------------------------------------------------------------------------------- */

/* What a pixel of picture_png must become. */
static void want_png(uint32_t x, uint32_t y, uint32_t width, uint32_t height, int type, int depth, unsigned flags,
                     uint8_t rgb[3])
{
    picture_colour(x, y, width, height, rgb);
    if (type != PNG_COLOR_TYPE_RGB) {
        uint8_t grey = rgb[0];
        if (depth < 8)
            grey = (uint8_t)((grey >> (8 - depth)) * 255 / ((1 << depth) - 1));
        if (type == PNG_COLOR_TYPE_PALETTE && grey == 0)
            grey = (flags & PNG_TRANSPARENT) != 0 ? 0 : 255; /* entry 0 is white, or nothing */
        rgb[0] = rgb[1] = rgb[2] = grey;
    }
    if ((flags & PNG_TRANSPARENT) != 0 && type != PNG_COLOR_TYPE_PALETTE)
        for (int c = 0; c < 3; ++c)
            rgb[c] = (uint8_t)((rgb[c] * (x * 255 / (width - 1)) + 127) / 255);
}

static void check_png(int type, int depth, unsigned flags)
{
    enum { W = 53, H = 21 };
    picture p = picture_png(W, H, type, depth, flags);
    decoded d;
    if (decode(picture_str(&p), &d) != FLAMENCO_OK)
        fail_msg("type %d, depth %d, flags %u: %s", type, depth, flags, d.err.text);
    assert_int_equal(d.width, W);
    assert_int_equal(d.height, H);
    for (uint32_t y = 0; y < H; ++y) {
        for (uint32_t x = 0; x < W; ++x) {
            uint8_t want[3];
            want_png(x, y, W, H, type, depth, flags, want);
            if (memcmp(want, d.pixels + (y * W + x) * 3, 3) != 0)
                fail_msg("type %d, depth %d, flags %u: %u,%u is %u,%u,%u, not %u,%u,%u", type, depth, flags, x, y,
                         d.pixels[(y * W + x) * 3], d.pixels[(y * W + x) * 3 + 1], d.pixels[(y * W + x) * 3 + 2],
                         want[0], want[1], want[2]);
        }
    }
    free(d.pixels);
    picture_free(&p);
}

static void every_kind_of_png_is_read(void **state)
{
    (void)state;
    for (unsigned interlaced = 0; interlaced < 2; ++interlaced) {
        for (int depth = 1; depth <= 16; depth *= 2)
            check_png(PNG_COLOR_TYPE_GRAY, depth, interlaced);
        for (int depth = 1; depth <= 8; depth *= 2) {
            check_png(PNG_COLOR_TYPE_PALETTE, depth, interlaced);
            check_png(PNG_COLOR_TYPE_PALETTE, depth, interlaced | PNG_TRANSPARENT);
        }
        for (int depth = 8; depth <= 16; depth *= 2) {
            check_png(PNG_COLOR_TYPE_GRAY, depth, interlaced | PNG_TRANSPARENT);
            check_png(PNG_COLOR_TYPE_RGB, depth, interlaced);
            check_png(PNG_COLOR_TYPE_RGB, depth, interlaced | PNG_TRANSPARENT);
        }
    }
}

static void chunks_that_do_not_matter_are_skipped(void **state)
{
    (void)state;
    check_png(PNG_COLOR_TYPE_RGB, 8, PNG_ANCILLARY);
    check_png(PNG_COLOR_TYPE_RGB, 16, PNG_ANCILLARY | PNG_TRANSPARENT | PNG_INTERLACED);
}

/* A PNG by hand: chunks may hold anything. */
typedef struct builder {
    uint8_t bytes[4096];
    size_t len;
} builder;

static void put32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; ++i)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void add_chunk(builder *b, const char *type, const void *data, uint32_t len, uint32_t crc_flip)
{
    uint8_t *at = b->bytes + b->len;
    assert_true(b->len + len + 12 <= sizeof(b->bytes));
    put32(at, len);
    memcpy(at + 4, type, 4);
    if (len > 0)
        memcpy(at + 8, data, len);
    put32(at + 8 + len, (uint32_t)crc32(crc32(0, NULL, 0), at + 4, len + 4) ^ crc_flip);
    b->len += len + 12;
}

static void begin_png(builder *b, uint32_t width, uint32_t height, const char *rest)
{
    uint8_t head[13];
    memcpy(b->bytes, "\x89PNG\r\n\x1a\n", 8);
    b->len = 8;
    put32(head, width);
    put32(head + 4, height);
    memcpy(head + 8, rest, 5);
    add_chunk(b, "IHDR", head, 13, 0);
}

static flamenco_str built(const builder *b)
{
    return (flamenco_str){ (const char *)b->bytes, b->len };
}

static void lying_png_heads_are_refused(void **state)
{
    static const struct {
        uint32_t width, height;
        const char *rest; /* depth, type, compression, filter, interlace */
    } rows[] = {
        { 0, 1, "\x08\x02\0\0\0" },           { 1, 0, "\x08\x02\0\0\0" },
        { 65535, 65535, "\x08\x02\0\0\0" },   { 65536, 1, "\x08\x02\0\0\0" },
        { 1, 65536, "\x08\x02\0\0\0" },       { 0x7fffffff, 0x7fffffff, "\x10\x06\0\0\0" },
        { 0xffffffff, 1, "\x08\x02\0\0\0" },  { 8193, 8192, "\x08\x02\0\0\0" },
        { 65535, 65535, "\x08\x02\0\0\x01" }, { 4, 4, "\x07\x02\0\0\0" },
        { 4, 4, "\x08\x05\0\0\0" },           { 4, 4, "\x08\x02\x01\0\0" },
        { 4, 4, "\x08\x02\0\x01\0" },         { 4, 4, "\x08\x02\0\0\x02" },
        { 4, 4, "\x10\x03\0\0\0" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        static const uint8_t black[] = { 0x78, 0x9c, 0x63, 0x60, 0x18, 0, 0, 0, 0, 0, 1 };
        builder b;
        begin_png(&b, rows[i].width, rows[i].height, rows[i].rest);
        add_chunk(&b, "IDAT", black, sizeof(black), 0);
        add_chunk(&b, "IEND", NULL, 0, 0);
        if (decode_and_free(built(&b)) != FLAMENCO_E_INVALID)
            fail_msg("row %zu is not refused", i);
    }
}

/* A 2x2 image, with an optional chunk before its data. */
static void build_small(builder *b, const char *extra, const void *data, uint32_t len, uint32_t idat_flip)
{
    uint8_t raw[14] = { 0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12 }, packed[64];
    uLongf packed_len = sizeof(packed);
    assert_int_equal(compress(packed, &packed_len, raw, sizeof(raw)), Z_OK);
    begin_png(b, 2, 2, "\x08\x02\0\0\0");
    if (extra != NULL)
        add_chunk(b, extra, data, len, 0);
    add_chunk(b, "IDAT", packed, (uint32_t)packed_len, idat_flip);
    add_chunk(b, "IEND", NULL, 0, 0);
}

static void wrong_checksums_and_chunks_are_refused(void **state)
{
    builder b;
    (void)state;
    build_small(&b, NULL, NULL, 0, 0);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_OK);
    build_small(&b, NULL, NULL, 0, 1);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_E_INVALID);
    build_small(&b, "XXXX", "critical", 8, 0);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_E_INVALID);
    build_small(&b, "IHDR", "again", 5, 0);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_E_INVALID);
    build_small(&b, "quUx", "private", 7, 0);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_OK);
    build_small(&b, "iCCP", "x\0\0not deflated at all", 22, 0);
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_OK);
    b.bytes[8 + 12 + 13 - 1] ^= 1; /* the head's checksum */
    assert_int_equal(decode_and_free(built(&b)), FLAMENCO_E_INVALID);
}

static void endless_chunks_are_skipped_without_memory(void **state)
{
    (void)state;
    /* 200,000 empty chunks, then one that claims 2 GiB. */
    size_t n = 200000, len = 33 + n * 12;
    uint8_t *bytes = malloc(len + 8);
    builder b;
    assert_non_null(bytes);
    begin_png(&b, 2, 2, "\x08\x02\0\0\0");
    memcpy(bytes, b.bytes, 33);
    b.len = 0;
    add_chunk(&b, "tEXt", NULL, 0, 0);
    for (size_t i = 0; i < n; ++i)
        memcpy(bytes + 33 + i * 12, b.bytes, 12);
    memcpy(bytes + len, "\x7f\xff\xff\xffzTXt", 8);
    assert_int_equal(decode_and_free((flamenco_str){ (const char *)bytes, len + 8 }), FLAMENCO_E_INVALID);
    free(bytes);
}

/* ---- JPEG -------------------------------------------------------------------------------------------------------------- */

static void check_jpeg(unsigned flags)
{
    enum { W = 117, H = 75 };
    picture p = picture_jpeg(W, H, flags);
    decoded d;
    if (decode(picture_str(&p), &d) != FLAMENCO_OK)
        fail_msg("flags %u: %s", flags, d.err.text);
    assert_int_equal(d.width, W);
    assert_int_equal(d.height, H);
    for (uint32_t y = 0; y < H; ++y) {
        for (uint32_t x = 0; x < W; ++x) {
            uint8_t want[3];
            picture_colour(x, y, W, H, want);
            if ((flags & JPEG_GREY) != 0)
                want[1] = want[2] = want[0];
            for (uint32_t c = 0; c < 3; ++c)
                if (abs(want[c] - d.pixels[(y * W + x) * 3 + c]) > 8)
                    fail_msg("flags %u: %u,%u,%u is %u, not %u", flags, x, y, c, d.pixels[(y * W + x) * 3 + c],
                             want[c]);
        }
    }
    free(d.pixels);
    picture_free(&p);
}

static void every_kind_of_jpeg_is_read(void **state)
{
    static const unsigned kinds[] = {
        0, JPEG_FULL_CHROMA, JPEG_RESTARTS, JPEG_GREY, JPEG_CMYK | JPEG_ADOBE, JPEG_CMYK
    };
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); ++i) {
        check_jpeg(kinds[i]);
        check_jpeg(kinds[i] | JPEG_PROGRESSIVE);
    }
}

static void a_jpeg_comes_smaller_but_not_too_small(void **state)
{
    static const struct {
        uint32_t least_width, least_height, want_width, want_height;
    } rows[] = {
        { 800, 400, 800, 400 }, { 799, 399, 800, 400 }, { 400, 200, 400, 200 }, { 401, 200, 500, 250 },
        { 400, 201, 500, 250 }, { 1, 1, 100, 50 },      { 100, 50, 100, 50 },   { 701, 1, 800, 400 },
    };
    picture p = picture_jpeg(800, 400, 0);
    clock_of_test c = { 0 };
    fl_lr_limits limits = { PIXELS, MEMORY, check, &c };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        decoded d;
        assert_int_equal(decode_least(picture_str(&p), &limits, rows[i].least_width, rows[i].least_height, &d),
                         FLAMENCO_OK);
        assert_int_equal(d.width, rows[i].want_width);
        assert_int_equal(d.height, rows[i].want_height);
        free(d.pixels);
    }
    picture_free(&p);
}

/* Overwrites the size in the first frame header. */
static void lie_about_size(picture *p, unsigned width, unsigned height)
{
    for (size_t i = 2; i + 9 < p->len; i += 2 + (size_t)(p->bytes[i + 2] << 8 | p->bytes[i + 3])) {
        if (p->bytes[i + 1] != 0xc0 && p->bytes[i + 1] != 0xc2)
            continue;
        p->bytes[i + 5] = (uint8_t)(height >> 8);
        p->bytes[i + 6] = (uint8_t)height;
        p->bytes[i + 7] = (uint8_t)(width >> 8);
        p->bytes[i + 8] = (uint8_t)width;
        return;
    }
    fail_msg("no frame header found");
}

static void lying_jpeg_heads_are_refused(void **state)
{
    static const unsigned sizes[][2] = { { 0, 10 }, { 10, 0 }, { 65535, 65535 }, { 65500, 1025 }, { 8000, 8000 } };
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); ++i) {
        for (unsigned progressive = 0; progressive < 2; ++progressive) {
            picture p = picture_jpeg(64, 64, progressive);
            lie_about_size(&p, sizes[i][0], sizes[i][1]);
            if (decode_and_free(picture_str(&p)) != FLAMENCO_E_INVALID)
                fail_msg("%ux%u is not refused", sizes[i][0], sizes[i][1]);
            picture_free(&p);
        }
    }
}

/* Each scan costs a pass over the whole image for a handful of bytes. libjpeg takes any number of them. */
static void a_jpeg_of_many_scans_is_refused(void **state)
{
    static const struct {
        unsigned flags;
        const char *word;
    } rows[] = { { JPEG_SEPARATE, "too many scans" }, { JPEG_PROGRESSIVE, "progression" } };
    (void)state;
    for (size_t row = 0; row < COUNT(rows); ++row) {
        picture p = picture_jpeg(256, 256, rows[row].flags);
        size_t end = p.len - 2, from = 0, copies = 200; /* EOI is left off */
        for (size_t i = 0; i + 1 < end; ++i)
            if (p.bytes[i] == 0xff && p.bytes[i + 1] == 0xda)
                from = i;
        assert_true(from > 0);
        size_t scan = end - from, len = end + scan * copies + 2;
        uint8_t *bytes = malloc(len);
        assert_non_null(bytes);
        memcpy(bytes, p.bytes, end);
        for (size_t i = 0; i < copies; ++i)
            memcpy(bytes + end + i * scan, p.bytes + from, scan);
        memcpy(bytes + len - 2, "\xff\xd9", 2);
        decoded d;
        assert_int_equal(decode((flamenco_str){ (const char *)bytes, len }, &d), FLAMENCO_E_INVALID);
        if (strstr(d.err.text, rows[row].word) == NULL)
            fail_msg("row %zu: %s", row, d.err.text);
        free(d.pixels);
        free(bytes);
        picture_free(&p);
    }
}

/* ---- Both -------------------------------------------------------------------------------------------------------------- */

typedef struct sample {
    const char *name;
    picture p;
} sample;

static size_t make_samples(sample out[8])
{
    size_t n = 0;
    out[n++] = (sample){ "png", picture_png(9, 7, PNG_COLOR_TYPE_RGB, 8, 0) };
    out[n++] = (sample){ "png 16", picture_png(5, 4, PNG_COLOR_TYPE_RGB, 16, PNG_TRANSPARENT) };
    out[n++] = (sample){ "png palette", picture_png(9, 7, PNG_COLOR_TYPE_PALETTE, 4, PNG_TRANSPARENT) };
    out[n++] = (sample){ "png interlaced", picture_png(9, 7, PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACED) };
    out[n++] = (sample){ "jpeg", picture_jpeg(17, 9, 0) };
    out[n++] = (sample){ "jpeg progressive", picture_jpeg(17, 9, JPEG_PROGRESSIVE) };
    out[n++] = (sample){ "jpeg restarts", picture_jpeg(17, 33, JPEG_RESTARTS) };
    out[n++] = (sample){ "jpeg cmyk", picture_jpeg(9, 9, JPEG_CMYK | JPEG_ADOBE) };
    return n;
}

static void a_cut_off_image_is_refused_wherever_it_ends(void **state)
{
    sample samples[8];
    size_t n = make_samples(samples);
    (void)state;
    for (size_t i = 0; i < n; ++i) {
        for (size_t len = 0; len < samples[i].p.len; ++len) {
            /* A copy of exactly that length, so that a sanitizer sees a read beyond. */
            char *cut = malloc(len > 0 ? len : 1);
            assert_non_null(cut);
            memcpy(cut, samples[i].p.bytes, len);
            if (decode_and_free((flamenco_str){ cut, len }) != FLAMENCO_E_INVALID)
                fail_msg("%s of %zu bytes, cut at %zu, is not refused", samples[i].name, samples[i].p.len, len);
            free(cut);
        }
        assert_int_equal(decode_and_free(picture_str(&samples[i].p)), FLAMENCO_OK);
        picture_free(&samples[i].p);
    }
}

static void damage_anywhere_ends_in_order(void **state)
{
    sample samples[8];
    size_t n = make_samples(samples);
    (void)state;
    for (size_t i = 0; i < n; ++i) {
        picture *p = &samples[i].p;
        for (size_t at = 0; at < p->len; ++at) {
            static const uint8_t flips[] = { 0x01, 0x80, 0xff };
            for (size_t k = 0; k < COUNT(flips); ++k) {
                p->bytes[at] ^= flips[k];
                int32_t rc = decode_and_free(picture_str(p));
                if (rc != FLAMENCO_OK && rc != FLAMENCO_E_INVALID)
                    fail_msg("%s, byte %zu: %d", samples[i].name, at, rc);
                p->bytes[at] ^= flips[k];
            }
        }
        picture_free(p);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",   "x", "GIF89a", "BM", "\xff\xd8", "\xff\xd8\xff", "\x89PNG", "\x89PNG\r\n\x1a\n", "<svg/>", "RIFFxxxxWEBP",
        "II*"
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); ++i)
        assert_int_equal(decode_and_free(flamenco_text(texts[i])), FLAMENCO_E_INVALID);
    assert_int_equal(decode_and_free((flamenco_str){ NULL, 0 }), FLAMENCO_E_INVALID);
    fl_lr_reader_close(NULL);
}

static void limits_hold(void **state)
{
    (void)state;
    static const struct {
        int png;
        unsigned flags;
        int32_t plain; /* with the pixels' number allowed, but hardly any memory */
    } rows[] = {
        { 1, 0, FLAMENCO_OK },
        { 1, PNG_INTERLACED, FLAMENCO_E_INVALID },
        { 0, 0, FLAMENCO_OK },
        { 0, JPEG_PROGRESSIVE, FLAMENCO_E_INVALID },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        picture p = rows[i].png ? picture_png(1200, 1000, PNG_COLOR_TYPE_RGB, 8, rows[i].flags)
                                : picture_jpeg(1200, 1000, rows[i].flags);
        clock_of_test c = { 0 };
        decoded d;
        fl_lr_limits limits = { 1200 * 1000, UINT64_C(1) << 20, check, &c };
        int32_t rc = decode_least(picture_str(&p), &limits, 0, 0, &d);
        if (rc != rows[i].plain)
            fail_msg("row %zu: %d %s", i, rc, d.err.text);
        if (rc != FLAMENCO_OK)
            assert_non_null(strstr(d.err.text, "memory"));
        free(d.pixels);
        limits.memory_bytes = UINT64_C(64) << 20;
        assert_int_equal(decode_least(picture_str(&p), &limits, 0, 0, &d), FLAMENCO_OK);
        free(d.pixels);
        limits.pixels -= 1;
        assert_int_equal(decode_least(picture_str(&p), &limits, 0, 0, &d), FLAMENCO_E_INVALID);
        assert_non_null(strstr(d.err.text, "too many"));
        free(d.pixels);
        picture_free(&p);
    }
}

static void time_and_stopping_are_looked_at(void **state)
{
    static const int32_t answers[] = { FLAMENCO_E_DEADLINE, FLAMENCO_E_CANCELLED };
    (void)state;
    for (unsigned kind = 0; kind < 4; ++kind) {
        picture p = kind < 2 ? picture_png(300, 300, PNG_COLOR_TYPE_RGB, 8, kind % 2 ? PNG_INTERLACED : 0)
                             : picture_jpeg(300, 300, kind % 2 ? JPEG_PROGRESSIVE : 0);
        clock_of_test count = { .after = UINT32_MAX };
        fl_lr_limits limits = { PIXELS, MEMORY, check, &count };
        decoded d;
        assert_int_equal(decode_least(picture_str(&p), &limits, 0, 0, &d), FLAMENCO_OK);
        free(d.pixels);
        assert_true(count.asked >= 5);
        for (unsigned after = 0; after < count.asked; after += 1 + count.asked / 20) {
            clock_of_test c = { answers[after % 2], 0, after };
            limits.ctx = &c;
            assert_int_equal(decode_least(picture_str(&p), &limits, 0, 0, &d), answers[after % 2]);
            free(d.pixels);
        }
        picture_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_png_is_read),
        cmocka_unit_test(chunks_that_do_not_matter_are_skipped),
        cmocka_unit_test(lying_png_heads_are_refused),
        cmocka_unit_test(wrong_checksums_and_chunks_are_refused),
        cmocka_unit_test(endless_chunks_are_skipped_without_memory),
        cmocka_unit_test(every_kind_of_jpeg_is_read),
        cmocka_unit_test(a_jpeg_comes_smaller_but_not_too_small),
        cmocka_unit_test(lying_jpeg_heads_are_refused),
        cmocka_unit_test(a_jpeg_of_many_scans_is_refused),
        cmocka_unit_test(a_cut_off_image_is_refused_wherever_it_ends),
        cmocka_unit_test(damage_anywhere_ends_in_order),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(time_and_stopping_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
