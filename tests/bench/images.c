/* SPDX-License-Identifier: Apache-2.0
 *
 * images.c - measures what last-rendered costs: CPU time for the three thumbnails of one image, files included. Run by hand:
 *     ninja -C build tests/bench/bench-images && build/tests/bench/bench-images [SECONDS per row]
 */
#include <fcntl.h>
#include <png.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jpeglib.h>

#include "thumbnails.h"

typedef struct image {
    unsigned char *bytes;
    size_t len;
} image;

/* A gradient with some grain, as renders have: 2 to 3 bytes a pixel as PNG. */
static uint8_t *paint(uint32_t width, uint32_t height)
{
    uint8_t *pixels = malloc((size_t)width * height * 3), *at = pixels;
    uint32_t seed = 1;
    if (pixels == NULL)
        abort();
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width * 3; ++x) {
            seed = seed * 1664525u + 1013904223u;
            *at++ = (uint8_t)(x * 60 / width + y * 60 / height + (seed >> 28));
        }
    }
    return pixels;
}

static image make_png(const uint8_t *pixels, uint32_t width, uint32_t height)
{
    png_image png = { .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB };
    png_alloc_size_t len = PNG_IMAGE_PNG_SIZE_MAX(png);
    image out = { malloc(len), 0 };
    if (out.bytes == NULL || !png_image_write_to_memory(&png, out.bytes, &len, 0, pixels, 0, NULL))
        abort();
    out.len = len;
    return out;
}

static image make_jpeg(const uint8_t *pixels, uint32_t width, uint32_t height, int progressive)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    image out = { NULL, 0 };
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned long len = 0;
    jpeg_mem_dest(&jpeg, &out.bytes, &len);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 85, TRUE); /* as the Worker sends them */
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (uint32_t y = 0; y < height; ++y) {
        JSAMPROW row;
        const uint8_t *from = pixels + (size_t)y * width * 3;
        memcpy(&row, &from, sizeof(row));
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    out.len = len;
    return out;
}

static int32_t never(void *ctx)
{
    (void)ctx;
    return FLAMENCO_OK;
}

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void measure(const char *name, image im, int dir_fd, double seconds)
{
    fl_lr_limits limits = { UINT64_C(1) << 30, UINT64_C(1) << 30, never, NULL };
    double begin = cpu_ms(), best = 1e9, all = 0;
    unsigned runs = 0;
    while (runs < 3 || all < seconds * 1e3) {
        flamenco_error err = FLAMENCO_ERROR_INIT, write_err = FLAMENCO_ERROR_INIT;
        uint32_t written = 0;
        double before = cpu_ms();
        if (fl_lr_thumbnails_make(dir_fd, (flamenco_str){ (const char *)im.bytes, im.len }, &limits, &written,
                                  &write_err, &err) != FLAMENCO_OK ||
            written != FL_LR_SIZES) {
            fprintf(stderr, "%s: %s%s\n", name, err.text, write_err.text);
            exit(1);
        }
        double took = cpu_ms() - before;
        best = took < best ? took : best;
        all = cpu_ms() - begin;
        ++runs;
    }
    printf("%-28s %7.2f MB  %7.1f ms CPU on average, %7.1f at best, %u runs\n", name, (double)im.len / 1e6, all / runs,
           best, runs);
    free(im.bytes);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[][2] = { { 1920, 1080 }, { 3840, 2160 } };
    double seconds = argc > 1 ? atof(argv[1]) : 2;
    char dir[] = "bench-images-XXXXXX";
    int dir_fd = mkdtemp(dir) != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir_fd < 0) {
        perror(dir);
        return 1;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        uint32_t width = sizes[i][0], height = sizes[i][1];
        uint8_t *pixels = paint(width, height);
        char name[64];
        snprintf(name, sizeof(name), "%ux%u JPEG", width, height);
        measure(name, make_jpeg(pixels, width, height, 0), dir_fd, seconds);
        snprintf(name, sizeof(name), "%ux%u progressive JPEG", width, height);
        measure(name, make_jpeg(pixels, width, height, 1), dir_fd, seconds);
        snprintf(name, sizeof(name), "%ux%u PNG", width, height);
        measure(name, make_png(pixels, width, height), dir_fd, seconds);
        free(pixels);
    }
    fl_lr_thumbnails_remove(dir_fd);
    close(dir_fd);
    if (rmdir(dir) != 0)
        perror(dir);
    return 0;
}
