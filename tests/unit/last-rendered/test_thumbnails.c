/* SPDX-License-Identifier: Apache-2.0
 *
 * test_thumbnails.c - the files that one image becomes, and what happens when they cannot be written.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <png.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pictures.h"
#include "temp_dir.h"
#include "thumbnails.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct world {
    char dir[TEMP_DIR_MAX];
    int fd;
    uint32_t written;
    flamenco_error err, write_err;
} world;

static int32_t check(void *ctx)
{
    (void)ctx;
    return FLAMENCO_OK;
}

static void begin(world *w)
{
    *w = (world){ .err = FLAMENCO_ERROR_INIT, .write_err = FLAMENCO_ERROR_INIT };
    temp_dir_make(w->dir);
    w->fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->fd >= 0);
}

static void end(world *w)
{
    close(w->fd);
    temp_dir_remove(w->dir);
}

static int32_t make(world *w, flamenco_str image)
{
    fl_lr_limits limits = { UINT64_C(64) << 20, UINT64_C(256) << 20, check, NULL };
    w->written = 99;
    return fl_lr_thumbnails_make(w->fd, image, &limits, &w->written, &w->write_err, &w->err);
}

static void path_of(const world *w, size_t size, char out[TEMP_DIR_MAX])
{
    temp_path(out, "%s/%s", w->dir, fl_lr_names[size].ptr);
}

static void assert_no_parts(const world *w)
{
    for (size_t i = 0; i < FL_LR_SIZES; ++i) {
        char path[TEMP_DIR_MAX];
        temp_path(path, "%s/%s.part", w->dir, fl_lr_names[i].ptr);
        assert_false(temp_exists(path));
    }
}

/* The file shows the same picture: each colour is about what picture_colour says for a picture of that size. */
static void assert_shows(const world *w, size_t size, uint32_t width, uint32_t height, int tolerance)
{
    char path[TEMP_DIR_MAX];
    uint32_t is_width, is_height;
    path_of(w, size, path);
    uint8_t *pixels = picture_read_jpeg(path, &is_width, &is_height);
    if (is_width != width || is_height != height)
        fail_msg("%s has %ux%u pixels, not %ux%u", path, is_width, is_height, width, height);
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            uint8_t want[3];
            picture_colour(x, y, width, height, want);
            for (size_t c = 0; c < 3; ++c)
                if (abs(want[c] - pixels[((size_t)y * width + x) * 3 + c]) > tolerance)
                    fail_msg("%s: %u,%u,%zu is %u, not %u", path, x, y, c, pixels[((size_t)y * width + x) * 3 + c],
                             want[c]);
        }
    }
    free(pixels);
}

static void each_size_is_made_and_shows_the_image(void **state)
{
    static const struct {
        int jpeg;
        uint32_t width, height, want[3][2];
    } rows[] = {
        { 0, 1920, 1080, { { 1920, 1080 }, { 600, 337 }, { 199, 112 } } },
        { 1, 3840, 2160, { { 1920, 1080 }, { 600, 337 }, { 199, 112 } } },
        { 1, 2048, 858, { { 1920, 804 }, { 600, 251 }, { 200, 83 } } },
        { 0, 1080, 1920, { { 607, 1080 }, { 189, 338 }, { 62, 112 } } },
        { 0, 640, 480, { { 640, 480 }, { 450, 338 }, { 149, 112 } } },
        { 1, 1921, 1080, { { 1920, 1079 }, { 600, 337 }, { 199, 112 } } },
        { 0, 100, 50, { { 100, 50 }, { 100, 50 }, { 100, 50 } } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        world w;
        begin(&w);
        picture p = rows[i].jpeg ? picture_jpeg(rows[i].width, rows[i].height, JPEG_FULL_CHROMA)
                                 : picture_png(rows[i].width, rows[i].height, PNG_COLOR_TYPE_RGB, 8, 0);
        if (make(&w, picture_str(&p)) != FLAMENCO_OK)
            fail_msg("%ux%u: %s", rows[i].width, rows[i].height, w.err.text);
        assert_int_equal(w.written, 3);
        for (size_t k = 0; k < FL_LR_SIZES; ++k)
            assert_shows(&w, k, rows[i].want[k][0], rows[i].want[k][1], 10);
        assert_no_parts(&w);
        picture_free(&p);
        end(&w);
    }
}

static void very_long_images_become_lines(void **state)
{
    static const struct {
        uint32_t width, height, want[3][2];
    } rows[] = { { 5000, 10, { { 1920, 3 }, { 600, 1 }, { 200, 1 } } },
                 { 65535, 2, { { 1920, 1 }, { 600, 1 }, { 200, 1 } } },
                 { 2, 65535, { { 1, 1080 }, { 1, 338 }, { 1, 112 } } },
                 { 1, 1, { { 1, 1 }, { 1, 1 }, { 1, 1 } } } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        world w;
        begin(&w);
        picture p = picture_png(rows[i].width, rows[i].height, PNG_COLOR_TYPE_RGB, 8, 0);
        assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
        for (size_t k = 0; k < FL_LR_SIZES; ++k) {
            char path[TEMP_DIR_MAX];
            uint32_t width, height;
            path_of(&w, k, path);
            free(picture_read_jpeg(path, &width, &height));
            assert_int_equal(width, rows[i].want[k][0]);
            assert_int_equal(height, rows[i].want[k][1]);
        }
        picture_free(&p);
        end(&w);
    }
}

static void files_can_be_read_by_all(void **state)
{
    world w;
    char path[TEMP_DIR_MAX];
    struct stat st;
    (void)state;
    begin(&w);
    picture p = picture_png(10, 10, PNG_COLOR_TYPE_RGB, 8, 0);
    mode_t mask = umask(022);
    assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
    umask(mask);
    path_of(&w, 0, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    picture_free(&p);
    end(&w);
}

/* What was there stays, until the whole image is known to be good. */
static void a_damaged_image_changes_nothing(void **state)
{
    world w;
    (void)state;
    begin(&w);
    picture good = picture_png(60, 40, PNG_COLOR_TYPE_RGB, 8, 0);
    picture bad = picture_png(3000, 2000, PNG_COLOR_TYPE_GRAY, 8, 0);
    assert_int_equal(make(&w, picture_str(&bad)), FLAMENCO_OK);
    assert_int_equal(make(&w, picture_str(&good)), FLAMENCO_OK);
    bad.len -= 13; /* all rows are there; the last chunk is not */
    assert_int_equal(make(&w, picture_str(&bad)), FLAMENCO_E_INVALID);
    assert_int_equal(w.written, 99);
    for (size_t k = 0; k < FL_LR_SIZES; ++k)
        assert_shows(&w, k, 60, 40, 10);
    assert_no_parts(&w);
    picture_free(&good);
    picture_free(&bad);
    end(&w);
}

static void without_a_directory_the_image_is_looked_through(void **state)
{
    world w;
    (void)state;
    begin(&w);
    int fd = w.fd;
    w.fd = -1;
    picture p = picture_png(2500, 100, PNG_COLOR_TYPE_RGB, 8, 0);
    assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
    assert_int_equal(w.written, 0);
    p.len -= 20;
    assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_E_INVALID);
    w.fd = fd;
    picture_free(&p);
    end(&w);
}

/* A directory stands in the way of one file: that one and the smaller ones are left out. */
static void a_file_that_cannot_be_replaced_ends_the_row(void **state)
{
    (void)state;
    for (uint32_t blocked = 0; blocked < FL_LR_SIZES; ++blocked) {
        for (int part = 0; part < 2; ++part) {
            world w;
            char path[TEMP_DIR_MAX], blocker[TEMP_DIR_MAX];
            begin(&w);
            path_of(&w, blocked, path);
            temp_path(blocker, part ? "%s.part/x" : "%s/x", path);
            temp_file_write(blocker, "in the way");
            picture p = picture_png(700, 500, PNG_COLOR_TYPE_RGB, 8, 0);
            assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
            assert_int_equal(w.written, blocked);
            assert_non_null(strstr(w.write_err.text, fl_lr_names[blocked].ptr));
            for (uint32_t k = 0; k < FL_LR_SIZES; ++k) {
                if (k == blocked && !part)
                    continue;
                path_of(&w, k, path);
                assert_int_equal(temp_exists(path), k < blocked);
            }
            if (!part)
                assert_no_parts(&w);
            picture_free(&p);
            end(&w);
        }
    }
}

/* Left over by a crash, or put there by somebody: a pipe would block whoever opens it for writing. */
static void whatever_has_the_name_of_a_part_is_removed(void **state)
{
    world w;
    char path[TEMP_DIR_MAX], target[TEMP_DIR_MAX];
    (void)state;
    begin(&w);
    temp_path(path, "%s/last-rendered.jpg.part", w.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    temp_path(target, "%s/precious", w.dir);
    temp_file_write(target, "keep");
    temp_path(path, "%s/last-rendered-small.jpg.part", w.dir);
    assert_int_equal(symlink(target, path), 0);
    temp_path(path, "%s/last-rendered-tiny.jpg.part", w.dir);
    temp_file_write(path, "half a picture");
    picture p = picture_png(20, 20, PNG_COLOR_TYPE_RGB, 8, 0);
    assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
    assert_int_equal(w.written, 3);
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_no_parts(&w);
    picture_free(&p);
    end(&w);
}

/* As on a full disk. */
static void a_write_that_fails_leaves_what_was_there(void **state)
{
    world w;
    struct rlimit before, none;
    (void)state;
    begin(&w);
    picture small = picture_png(40, 30, PNG_COLOR_TYPE_RGB, 8, 0),
            large = picture_png(1920, 1080, PNG_COLOR_TYPE_RGB, 8, 0);
    assert_int_equal(make(&w, picture_str(&small)), FLAMENCO_OK);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int32_t rc = make(&w, picture_str(&large));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, old);
    assert_int_equal(rc, FLAMENCO_OK);
    assert_int_equal(w.written, 0);
    assert_int_equal(w.write_err.code, FLAMENCO_E_FULL);
    for (size_t k = 0; k < FL_LR_SIZES; ++k)
        assert_shows(&w, k, 40, 30, 10);
    assert_no_parts(&w);
    picture_free(&small);
    picture_free(&large);
    end(&w);
}

static void files_are_removed(void **state)
{
    world w;
    char path[TEMP_DIR_MAX];
    (void)state;
    begin(&w);
    picture p = picture_png(20, 20, PNG_COLOR_TYPE_RGB, 8, 0);
    assert_int_equal(make(&w, picture_str(&p)), FLAMENCO_OK);
    temp_path(path, "%s/task-1.txt", w.dir);
    temp_file_write(path, "log");
    fl_lr_thumbnails_remove(w.fd);
    assert_true(temp_exists(path));
    for (size_t k = 0; k < FL_LR_SIZES; ++k) {
        path_of(&w, k, path);
        assert_false(temp_exists(path));
    }
    picture_free(&p);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_is_made_and_shows_the_image),
        cmocka_unit_test(very_long_images_become_lines),
        cmocka_unit_test(files_can_be_read_by_all),
        cmocka_unit_test(a_damaged_image_changes_nothing),
        cmocka_unit_test(without_a_directory_the_image_is_looked_through),
        cmocka_unit_test(a_file_that_cannot_be_replaced_ends_the_row),
        cmocka_unit_test(whatever_has_the_name_of_a_part_is_removed),
        cmocka_unit_test(a_write_that_fails_leaves_what_was_there),
        cmocka_unit_test(files_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
