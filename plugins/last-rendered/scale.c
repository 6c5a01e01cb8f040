/* SPDX-License-Identifier: Apache-2.0
 *
 * scale.c - see scale.h. A row is first made narrower, then added, weighted, to each row of the result that it takes part
 * in: these are six or seven at a time, whatever the scale, so that no window of source rows is kept.
 *
 * A pixel is a vector of four floats (the fourth is idle), which both compilers turn into one SSE or NEON register.
 */
#include "scale.h"

#include <math.h>
#include <stdlib.h>

#define LOBES 3.0

typedef float pixel __attribute__((vector_size(16)));

/* For each place in the result: from which places of the source it is made, and with which weights. */
typedef struct axis {
    uint32_t *begin, *end; /* of the source */
    size_t *first; /* in `weights` */
    float *weights;
} axis;

struct fl_lr_scaler {
    uint32_t width, height, out_width, out_height;
    fl_lr_on_row on_row;
    void *ctx;
    axis x, y;
    pixel *row; /* of the source */
    pixel *narrow; /* the same row, out_width wide */
    pixel *sums; /* `ring` rows of the result that are being made */
    uint32_t ring;
    uint32_t y_in, y_out; /* next row to take, next row to give */
    uint8_t *rgb; /* a finished row */
};

void fl_lr_fit(uint32_t width, uint32_t height, uint32_t limit_width, uint32_t limit_height, uint32_t *width_out,
               uint32_t *height_out)
{
    double ratio = (double)width / (double)height;
    if (width <= limit_width && height <= limit_height) {
        *width_out = width;
        *height_out = height;
        return;
    }
    double w = limit_width, h = limit_height;
    if (ratio > w / h)
        h = floor(w / ratio);
    else
        w = floor(h * ratio);
    /* Never larger, also when rounding is odd. */
    *width_out = w < 1 ? 1 : w > width ? width : (uint32_t)w;
    *height_out = h < 1 ? 1 : h > height ? height : (uint32_t)h;
}

/* ---- Weights -------------------------------------------------------------------------------------------------------- */

static double sinc(double x)
{
    return x == 0.0 ? 1.0 : sin(M_PI * x) / (M_PI * x);
}

static double lanczos(double x)
{
    return x > -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0.0;
}

static void axis_fini(axis *a)
{
    free(a->begin);
    free(a->end);
    free(a->first);
    free(a->weights);
}

static int axis_init(axis *a, uint32_t in, uint32_t out)
{
    double scale = (double)in / out, reach = LOBES * scale;
    size_t used = 0, most = (size_t)(2.0 * reach) + 3;
    a->begin = calloc(out, sizeof(*a->begin));
    a->end = calloc(out, sizeof(*a->end));
    a->first = calloc(out, sizeof(*a->first));
    a->weights = calloc(most * out, sizeof(*a->weights));
    if (a->begin == NULL || a->end == NULL || a->first == NULL || a->weights == NULL)
        return 0;
    for (uint32_t i = 0; i < out; ++i) {
        double centre = (i + 0.5) * scale, sum = 0.0;
        double from = floor(centre - reach + 0.5), to = floor(centre + reach + 0.5);
        uint32_t begin = from > 0.0 ? (uint32_t)from : 0, end = to < in ? (uint32_t)to : in;
        for (uint32_t k = begin; k < end; ++k)
            sum += lanczos((k + 0.5 - centre) / scale);
        a->begin[i] = begin;
        a->end[i] = end;
        a->first[i] = used;
        for (uint32_t k = begin; k < end; ++k)
            a->weights[used++] = (float)(lanczos((k + 0.5 - centre) / scale) / sum);
    }
    return 1;
}

/* How many rows of the result are being made at the same time, at most. */
static uint32_t count_open(const axis *y, uint32_t out)
{
    uint32_t most = 1;
    for (uint32_t i = 0, open = 0; i < out; ++i) {
        while (open < out && y->begin[open] < y->end[i])
            ++open;
        if (open - i > most)
            most = open - i;
    }
    return most;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------------- */

static void make_narrower(fl_lr_scaler *s, const uint8_t *rgb)
{
    for (uint32_t x = 0; x < s->width; ++x, rgb += 3)
        s->row[x] = (pixel){ rgb[0], rgb[1], rgb[2], 0.0f };
    for (uint32_t x = 0; x < s->out_width; ++x) {
        const pixel *from = s->row + s->x.begin[x];
        const float *weight = s->x.weights + s->x.first[x];
        uint32_t n = s->x.end[x] - s->x.begin[x];
        pixel sum = { 0.0f, 0.0f, 0.0f, 0.0f };
        for (uint32_t k = 0; k < n; ++k)
            sum += from[k] * weight[k];
        s->narrow[x] = sum;
    }
}

static void add_to(fl_lr_scaler *s, uint32_t y_out)
{
    pixel *to = s->sums + (size_t)(y_out % s->ring) * s->out_width;
    uint32_t nth = s->y_in - s->y.begin[y_out];
    float weight = s->y.weights[s->y.first[y_out] + nth];
    if (nth == 0) {
        for (uint32_t x = 0; x < s->out_width; ++x)
            to[x] = s->narrow[x] * weight;
    } else {
        for (uint32_t x = 0; x < s->out_width; ++x)
            to[x] += s->narrow[x] * weight;
    }
}

static uint8_t to_byte(float value)
{
    float up = value + 0.5f; /* the cast cuts off */
    return up < 1.0f ? 0 : up >= 255.0f ? 255 : (uint8_t)up;
}

static int32_t give_row(fl_lr_scaler *s, flamenco_error *err)
{
    const pixel *from = s->sums + (size_t)(s->y_out % s->ring) * s->out_width;
    uint8_t *to = s->rgb;
    for (uint32_t x = 0; x < s->out_width; ++x)
        for (int c = 0; c < 3; ++c)
            *to++ = to_byte(from[x][c]);
    ++s->y_out;
    return s->on_row(s->ctx, s->rgb, err);
}

int32_t fl_lr_scaler_row(fl_lr_scaler *s, const uint8_t *rgb, flamenco_error *err)
{
    if (s->y_in >= s->height)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "more rows than the image has");
    if (s->width == s->out_width && s->height == s->out_height) {
        ++s->y_in;
        return s->on_row(s->ctx, rgb, err);
    }
    make_narrower(s, rgb);
    for (uint32_t y = s->y_out; y < s->out_height && s->y.begin[y] <= s->y_in; ++y)
        if (s->y_in < s->y.end[y])
            add_to(s, y);
    ++s->y_in;
    int32_t rc = FLAMENCO_OK;
    while (rc == FLAMENCO_OK && s->y_out < s->out_height && s->y.end[s->y_out] <= s->y_in)
        rc = give_row(s, err);
    return rc;
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

static pixel *make_pixels(size_t count)
{
    void *pixels = NULL;
    return posix_memalign(&pixels, sizeof(pixel), count * sizeof(pixel)) == 0 ? pixels : NULL;
}

int32_t fl_lr_scaler_create(uint32_t width, uint32_t height, uint32_t out_width, uint32_t out_height,
                            fl_lr_on_row on_row, void *ctx, fl_lr_scaler **out, flamenco_error *err)
{
    if (out_width == 0 || out_height == 0 || out_width > width || out_height > height)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%ux%u pixels cannot be made %ux%u", width, height, out_width,
                             out_height);
    fl_lr_scaler *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to scale an image");
    s->width = width;
    s->height = height;
    s->out_width = out_width;
    s->out_height = out_height;
    s->on_row = on_row;
    s->ctx = ctx;
    int made = 1;
    if (width != out_width || height != out_height) {
        made = axis_init(&s->x, width, out_width) && axis_init(&s->y, height, out_height);
        s->ring = made ? count_open(&s->y, out_height) : 0;
        if (made) {
            s->row = make_pixels(width);
            s->narrow = make_pixels(out_width);
            s->sums = make_pixels((size_t)s->ring * out_width);
            s->rgb = calloc(out_width, 3);
            made = s->row != NULL && s->narrow != NULL && s->sums != NULL && s->rgb != NULL;
        }
    }
    if (!made) {
        fl_lr_scaler_destroy(s);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to scale an image");
    }
    *out = s;
    return FLAMENCO_OK;
}

void fl_lr_scaler_destroy(fl_lr_scaler *s)
{
    if (s == NULL)
        return;
    axis_fini(&s->x);
    axis_fini(&s->y);
    free(s->row);
    free(s->narrow);
    free(s->sums);
    free(s->rgb);
    free(s);
}
