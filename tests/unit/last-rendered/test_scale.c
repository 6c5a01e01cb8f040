/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scale.c - the sizes of the contract (state-and-scheduling 14), and the streaming scaler beside a plain one, which takes
 * each pixel of the result from all of the source.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "scale.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void sizes_are_those_of_the_contract(void **state)
{
    static const uint32_t limits[3][2] = { { 1920, 1080 }, { 600, 338 }, { 200, 112 } };
    static const struct {
        uint32_t width, height, want[3][2];
    } rows[] = {
        { 1920, 1080, { { 1920, 1080 }, { 600, 337 }, { 199, 112 } } },
        { 3840, 2160, { { 1920, 1080 }, { 600, 337 }, { 199, 112 } } },
        { 2048, 858, { { 1920, 804 }, { 600, 251 }, { 200, 83 } } },
        { 1080, 1920, { { 607, 1080 }, { 189, 338 }, { 62, 112 } } },
        { 640, 480, { { 640, 480 }, { 450, 338 }, { 149, 112 } } },
        { 100, 50, { { 100, 50 }, { 100, 50 }, { 100, 50 } } },
        { 1921, 1080, { { 1920, 1079 }, { 600, 337 }, { 199, 112 } } },
        { 5000, 10, { { 1920, 3 }, { 600, 1 }, { 200, 1 } } },
        { 65535, 1, { { 1920, 1 }, { 600, 1 }, { 200, 1 } } },
        { 1, 65535, { { 1, 1080 }, { 1, 338 }, { 1, 112 } } },
        { 1, 1, { { 1, 1 }, { 1, 1 }, { 1, 1 } } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        uint32_t width = rows[i].width, height = rows[i].height;
        for (size_t k = 0; k < 3; ++k) {
            fl_lr_fit(width, height, limits[k][0], limits[k][1], &width, &height);
            if (width != rows[i].want[k][0] || height != rows[i].want[k][1])
                fail_msg("%ux%u, file %zu: %ux%u", rows[i].width, rows[i].height, k + 1, width, height);
        }
    }
}

static void a_size_fits_and_never_grows(void **state)
{
    (void)state;
    for (uint32_t width = 1; width < 4000; width += 7) {
        for (uint32_t height = 1; height < 4000; height += 11) {
            uint32_t w = 0, h = 0;
            fl_lr_fit(width, height, 600, 338, &w, &h);
            if (w == 0 || h == 0 || w > width || h > height || w > 600 || h > 338)
                fail_msg("%ux%u became %ux%u", width, height, w, h);
        }
    }
}

/* ---- The plain scaler ------------------------------------------------------------------------------------------------- */

static double kernel(double x)
{
    const double pi = acos(-1.0);
    if (fabs(x) >= 3.0)
        return 0.0;
    return fabs(x) < 1e-12 ? 1.0 : 3.0 * sin(pi * x) * sin(pi * x / 3.0) / (pi * pi * x * x);
}

static double *weigh(uint32_t in, uint32_t out, uint32_t at)
{
    double *weights = calloc(in, sizeof(*weights)), sum = 0.0, scale = (double)in / out;
    assert_non_null(weights);
    for (uint32_t k = 0; k < in; ++k)
        sum += weights[k] = kernel(((double)k + 0.5) / scale - ((double)at + 0.5));
    for (uint32_t k = 0; k < in; ++k)
        weights[k] /= sum;
    return weights;
}

static double plain_value(const uint8_t *source, uint32_t width, uint32_t height, const double *wx, const double *wy,
                          int c)
{
    double sum = 0.0;
    for (uint32_t y = 0; y < height; ++y) {
        double row = 0.0;
        for (uint32_t x = 0; wy[y] != 0.0 && x < width; ++x)
            row += wx[x] * source[((size_t)y * width + x) * 3 + (size_t)c];
        sum += row * wy[y];
    }
    return sum < 0.0 ? 0.0 : sum > 255.0 ? 255.0 : sum;
}

/* ---- Rows in, rows out -------------------------------------------------------------------------------------------------- */

typedef struct sheet {
    uint8_t *pixels;
    uint32_t width, rows, limit;
    int32_t fail_at;
} sheet;

static int32_t take_row(void *ctx, const uint8_t *rgb, flamenco_error *err)
{
    sheet *s = ctx;
    assert_true(s->rows < s->limit);
    if ((int32_t)s->rows == s->fail_at)
        return flamenco_fail(err, FLAMENCO_E_IO, "no more paper");
    memcpy(s->pixels + (size_t)s->rows++ * s->width * 3, rgb, (size_t)s->width * 3);
    return FLAMENCO_OK;
}

static uint8_t *make_noise(uint32_t width, uint32_t height)
{
    uint32_t seed = width * 31 + height;
    size_t n = (size_t)width * height * 3;
    uint8_t *pixels = malloc(n);
    assert_non_null(pixels);
    for (size_t i = 0; i < n; ++i) {
        seed = seed * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(seed >> 24);
    }
    return pixels;
}

static uint8_t *scale(const uint8_t *source, uint32_t width, uint32_t height, uint32_t out_width, uint32_t out_height)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_lr_scaler *scaler = NULL;
    sheet s = { calloc((size_t)out_width * out_height, 3), out_width, 0, out_height, -1 };
    assert_non_null(s.pixels);
    assert_int_equal(fl_lr_scaler_create(width, height, out_width, out_height, take_row, &s, &scaler, &err),
                     FLAMENCO_OK);
    for (uint32_t y = 0; y < height; ++y)
        assert_int_equal(fl_lr_scaler_row(scaler, source + (size_t)y * width * 3, &err), FLAMENCO_OK);
    assert_int_equal(s.rows, out_height);
    assert_int_equal(fl_lr_scaler_row(scaler, source, &err), FLAMENCO_E_INTERNAL);
    fl_lr_scaler_destroy(scaler);
    return s.pixels;
}

static void compare(uint32_t width, uint32_t height, uint32_t out_width, uint32_t out_height)
{
    uint8_t *source = make_noise(width, height);
    uint8_t *got = scale(source, width, height, out_width, out_height);
    for (uint32_t y = 0; y < out_height; ++y) {
        double *wy = weigh(height, out_height, y);
        for (uint32_t x = 0; x < out_width; ++x) {
            double *wx = weigh(width, out_width, x);
            for (int c = 0; c < 3; ++c) {
                double want = plain_value(source, width, height, wx, wy, c);
                double is = got[((size_t)y * out_width + x) * 3 + (size_t)c];
                if (fabs(want - is) > 0.51)
                    fail_msg("%ux%u to %ux%u at %u,%u,%d: %g instead of %g", width, height, out_width, out_height, x, y,
                             c, is, want);
            }
            free(wx);
        }
        free(wy);
    }
    free(source);
    free(got);
}

static void result_is_that_of_a_plain_scaler(void **state)
{
    static const uint32_t sizes[][4] = {
        { 64, 48, 32, 24 }, { 64, 48, 63, 47 }, { 100, 10, 7, 3 },  { 37, 91, 11, 29 }, { 64, 48, 64, 5 },
        { 64, 48, 3, 48 },  { 300, 3, 2, 1 },   { 1, 200, 1, 9 },   { 50, 50, 1, 1 },   { 2, 2, 1, 1 },
        { 3, 3, 2, 2 },     { 97, 61, 96, 61 }, { 61, 97, 61, 96 }, { 1000, 1, 19, 1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); ++i)
        compare(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
}

static void same_size_changes_nothing(void **state)
{
    (void)state;
    uint8_t *source = make_noise(31, 17);
    uint8_t *got = scale(source, 31, 17, 31, 17);
    assert_memory_equal(source, got, 31 * 17 * 3);
    free(source);
    free(got);
}

static void one_colour_stays_that_colour(void **state)
{
    (void)state;
    for (int value = 0; value < 256; value += 51) {
        uint8_t *source = malloc(200 * 100 * 3);
        assert_non_null(source);
        memset(source, value, 200 * 100 * 3);
        uint8_t *got = scale(source, 200, 100, 61, 33);
        for (size_t i = 0; i < 61 * 33 * 3; ++i)
            assert_int_equal(got[i], value);
        free(source);
        free(got);
    }
}

static void sizes_that_are_none_are_refused(void **state)
{
    static const uint32_t sizes[][4] = {
        { 4, 4, 5, 4 }, { 4, 4, 4, 5 }, { 4, 4, 0, 1 }, { 4, 4, 1, 0 }, { 0, 0, 0, 0 }
    };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_lr_scaler *scaler = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); ++i)
        assert_int_equal(
            fl_lr_scaler_create(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], take_row, NULL, &scaler, &err),
            FLAMENCO_E_INVALID);
    assert_null(scaler);
    fl_lr_scaler_destroy(NULL);
}

static void a_failing_receiver_ends_the_call(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_lr_scaler *scaler = NULL;
    uint8_t row[8 * 3] = { 0 }, paper[4 * 4 * 3];
    sheet s = { paper, 4, 0, 4, 2 };
    int32_t rc = FLAMENCO_OK;
    (void)state;
    assert_int_equal(fl_lr_scaler_create(8, 8, 4, 4, take_row, &s, &scaler, &err), FLAMENCO_OK);
    for (int y = 0; y < 8 && rc == FLAMENCO_OK; ++y)
        rc = fl_lr_scaler_row(scaler, row, &err);
    assert_int_equal(rc, FLAMENCO_E_IO);
    assert_string_equal(err.text, "no more paper");
    assert_int_equal(s.rows, 2);
    fl_lr_scaler_destroy(scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_contract),  cmocka_unit_test(a_size_fits_and_never_grows),
        cmocka_unit_test(result_is_that_of_a_plain_scaler), cmocka_unit_test(same_size_changes_nothing),
        cmocka_unit_test(one_colour_stays_that_colour),     cmocka_unit_test(sizes_that_are_none_are_refused),
        cmocka_unit_test(a_failing_receiver_ends_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
