/* SPDX-License-Identifier: Apache-2.0
 *
 * test_direct.c - large files that are written past the page cache: whatever the disk refuses or takes only a part of, the file
 * has all its bytes, or the upload is told. pwrite is wrapped. Skipped where the temporary directory is on another file system
 * than those that this is done on.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shaman.h"
#include "store_fixture.h"

#define MIB ((size_t)1 << 20)
#define FILE_MAX (3 * MIB + 4097)

typedef enum trouble { NONE, REFUSES_DIRECT, TAKES_PARTS, IS_FULL } trouble;

typedef struct disk {
    fixture *f;
    shaman *s;
    int dir_fd, fd;
    char *content;
    fl_sh_direct *d;
} disk;

/* Of the wrapped pwrite, which a thread of the code under test calls. Set while there is none. */
static trouble trouble_now;
static uint64_t room_left, n_direct;

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t at);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t at)
{
    int is_direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    if (is_direct && trouble_now == REFUSES_DIRECT) {
        errno = EINVAL;
        return -1;
    }
    if (trouble_now == TAKES_PARTS && len > 4096)
        len = is_direct ? len / 8192 * 4096 : len / 2;
    if (trouble_now == IS_FULL) {
        if (len > room_left) {
            errno = ENOSPC;
            return -1;
        }
        room_left -= len;
    }
    ssize_t n = __real_pwrite64(fd, data, len, at);
    n_direct += is_direct && n > 0 ? (uint64_t)n : 0;
    return n;
}

static int setup_disk(void **state)
{
    disk *k = calloc(1, sizeof(*k));
    void *made = NULL;
    if (k == NULL || setup(&made) != 0) {
        free(k);
        return -1;
    }
    *state = k;
    k->f = made;
    k->s = k->f->self;
    k->dir_fd = open(k->f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    k->fd = openat(k->dir_fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    k->content = malloc(FILE_MAX);
    if (k->fd < 0 || k->content == NULL)
        return -1;
    for (size_t i = 0; i < FILE_MAX; ++i)
        k->content[i] = (char)(i * 31 + i / 509);
    trouble_now = NONE;
    n_direct = 0;
    return 0;
}

static int teardown_disk(void **state)
{
    disk *k = *state;
    void *made = k->f;
    fl_sh_direct_free(k->d);
    close(k->fd);
    close(k->dir_fd);
    free(k->content);
    free(k);
    return teardown(&made);
}

static void begin(disk *k)
{
    assert_int_equal(ftruncate(k->fd, 0), 0);
    k->d = fl_sh_direct_begin(k->s, k->dir_fd, "file", k->fd);
    if (k->d == NULL)
        skip();
}

static void end(disk *k)
{
    fl_sh_direct_free(k->d);
    k->d = NULL;
}

/* Gives the first `len` bytes, `step` at a time. Returns 0, or errno. */
static int give(disk *k, size_t len, size_t step)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < step ? len - at : step;
        if (fl_sh_direct_write(k->d, k->content + at, n) != 0)
            return errno;
    }
    return fl_sh_direct_flush(k->d) == 0 ? 0 : errno;
}

static void assert_file_is(const disk *k, size_t len)
{
    struct stat st;
    char *found = malloc(len);
    assert_non_null(found);
    assert_int_equal(fstat(k->fd, &st), 0);
    assert_int_equal(st.st_size, len);
    assert_int_equal(pread(k->fd, found, len, 0), len);
    assert_memory_equal(found, k->content, len);
    free(found);
}

static void files_are_whole_whatever_the_disk_takes(void **state)
{
    static const size_t lengths[] = { 1, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 2 * MIB, FILE_MAX };
    static const size_t steps[] = { 65536, 300001, FILE_MAX };
    disk *k = *state;
    for (trouble now = NONE; now <= TAKES_PARTS; ++now) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); ++i) {
            for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); ++j) {
                trouble_now = now;
                begin(k);
                assert_int_equal(give(k, lengths[i], steps[j]), 0);
                end(k);
                assert_file_is(k, lengths[i]);
            }
        }
    }
}

static void all_but_the_last_block_goes_past_the_cache(void **state)
{
    disk *k = *state;
    begin(k);
    assert_int_equal(give(k, FILE_MAX, 100000), 0);
    end(k);
    assert_int_equal(n_direct, FILE_MAX - 1);
}

static void full_disk_is_told_at_once_or_by_the_flush(void **state)
{
    static const size_t rooms[] = { 0, MIB, 3 * MIB, FILE_MAX - 1 };
    disk *k = *state;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); ++i) {
        trouble_now = IS_FULL;
        room_left = rooms[i];
        begin(k);
        assert_int_equal(give(k, FILE_MAX, 300001), ENOSPC);
        assert_int_equal(fl_sh_direct_flush(k->d), -1); /* stays told */
        assert_int_equal(errno, ENOSPC);
        end(k);
    }
}

static void abandoned_file_ends_with_what_was_handed_over(void **state)
{
    disk *k = *state;
    struct stat st;
    begin(k);
    assert_int_equal(fl_sh_direct_write(k->d, k->content, MIB + 5), 0);
    end(k);
    assert_int_equal(fstat(k->fd, &st), 0);
    assert_int_equal(st.st_size, MIB);
}

static void only_a_few_at_a_time(void **state)
{
    disk *k = *state;
    fl_sh_direct *more[64];
    size_t n = 0;
    begin(k);
    while (n < 64 && (more[n] = fl_sh_direct_begin(k->s, k->dir_fd, "file", k->fd)) != NULL)
        ++n;
    assert_in_range(n, 1, 15);
    end(k);
    k->d = fl_sh_direct_begin(k->s, k->dir_fd, "file", k->fd);
    assert_non_null(k->d);
    for (size_t i = 0; i < n; ++i)
        fl_sh_direct_free(more[i]);
}

static void other_file_systems_and_missing_files_are_left_to_the_cache(void **state)
{
    disk *k = *state;
    int memory = memfd_create("test", MFD_CLOEXEC);
    assert_true(memory >= 0);
    assert_null(fl_sh_direct_begin(k->s, k->dir_fd, "file", memory));
    close(memory);
    for (int i = 0; i < 64; ++i) /* and take no place */
        assert_null(fl_sh_direct_begin(k->s, k->dir_fd, "none", k->fd));
    begin(k);
    fl_sh_direct_free(NULL);
}

/* ---- By the service ----------------------------------------------------------------------------------------------- */

#define LARGE ((8 * MIB) + 123)

static void upload_large(fixture *f)
{
    flamenco_shaman_upload *u = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    char sha[FL_SH_SHA_LEN + 1], blob[128];
    char *content = malloc(LARGE), *found = malloc(LARGE + 1);
    assert_true(content != NULL && found != NULL);
    for (size_t i = 0; i < LARGE; ++i)
        content[i] = (char)(i * 7 + i / 251);
    assert_int_equal(EVP_Digest(content, LARGE, digest, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < FL_SH_SHA_LEN / 2; ++i)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(sha), (int64_t)LARGE, flamenco_text(""), &u, &f->err),
        0);
    for (size_t at = 0, n; at < LARGE; at += n) {
        n = LARGE - at < 400000 ? LARGE - at : 400000;
        assert_int_equal(f->table->upload_write(f->self, u, content + at, n, &f->err), 0);
    }
    assert_int_equal(f->table->upload_end(f->self, u, &f->err), 0);
    snprintf(blob, sizeof(blob), "file-store/stored/%.2s/%s/%zu.blob", sha, sha + 2, LARGE);
    read_file(f, blob, found, LARGE + 1);
    assert_memory_equal(found, content, LARGE);
    free(content);
    free(found);
}

static void large_uploads_go_past_the_cache_where_they_may(void **state)
{
    disk *k = *state;
    fl_sh_direct *d = fl_sh_direct_begin(k->s, k->dir_fd, "file", k->fd);
    int can = d != NULL;
    fl_sh_direct_free(d);
    upload_large(k->f);
    assert_int_equal(n_direct, can ? LARGE / 4096 * 4096 : 0);
}

static void setting_leaves_large_uploads_to_the_cache(void **state)
{
    disk *k = *state;
    fake_host_set(&k->f->fake, "direct_io", "false");
    restart(k->f);
    upload_large(k->f);
    assert_int_equal(n_direct, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_disk, teardown_disk)
    const struct CMUnitTest tests[] = {
        TEST(files_are_whole_whatever_the_disk_takes),
        TEST(all_but_the_last_block_goes_past_the_cache),
        TEST(full_disk_is_told_at_once_or_by_the_flush),
        TEST(abandoned_file_ends_with_what_was_handed_over),
        TEST(only_a_few_at_a_time),
        TEST(other_file_systems_and_missing_files_are_left_to_the_cache),
        TEST(large_uploads_go_past_the_cache_where_they_may),
        TEST(setting_leaves_large_uploads_to_the_cache),
    };
    return cmocka_run_group_tests_name("shaman direct", tests, NULL, NULL);
}
