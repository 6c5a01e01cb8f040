/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fixture.c - see store_fixture.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_fixture.h"

int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fake_host_init(&f->fake);
    temp_dir_make(f->dir);
    temp_path(f->root, "%s/shared", f->dir);
    fake_host_set(&f->fake, "storage", f->root);
    f->table = fake_host_table(flamenco_plugin_query(), FLAMENCO_SHAMAN);
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
    f->cx = fake_cx_create(&f->fake);
    f->err.struct_size = (uint32_t)sizeof(f->err);
    *state = f;
    return 0;
}

int teardown(void **state)
{
    fixture *f = *state;
    fake_cx_destroy(f->cx);
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    fake_host_fini(&f->fake);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

void restart(fixture *f)
{
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
}

int exists(const fixture *f, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    return temp_exists(path);
}

void write_file(const fixture *f, const char *relative, const char *text)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    temp_file_write(path, text);
}

void make_link(const fixture *f, const char *target, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    assert_int_equal(symlink(target, path), 0);
}

void read_file(const fixture *f, const char *relative, char *out, size_t cap)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    assert_true(n >= 0);
    out[n] = '\0';
}

void read_target(const fixture *f, const char *relative, char *out, size_t cap)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    ssize_t n = readlink(path, out, cap - 1);
    assert_true(n > 0);
    out[n] = '\0';
}

void age(const fixture *f, const char *relative, int hours)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    struct timespec then = { .tv_sec = time(NULL) - (time_t)hours * 3600 };
    struct timespec times[2] = { then, then };
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

int hours_old(const fixture *f, const char *relative)
{
    char path[TEMP_DIR_MAX];
    struct stat st;
    temp_path(path, "%s/%s", f->root, relative);
    assert_int_equal(lstat(path, &st), 0);
    return (int)((time(NULL) - st.st_mtim.tv_sec) / 3600);
}

int32_t upload(fixture *f, const char *sha, int64_t size, const char *content)
{
    flamenco_shaman_upload *u = NULL;
    int32_t rc =
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(sha), size, flamenco_text("x.blend"), &u, &f->err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = f->table->upload_write(f->self, u, content, strlen(content), &f->err);
    if (rc == FLAMENCO_OK)
        return f->table->upload_end(f->self, u, &f->err);
    f->table->upload_abort(f->self, u);
    return rc;
}

uint32_t status_of(fixture *f, const char *sha, int64_t size)
{
    uint32_t status = 99;
    assert_int_equal(f->table->file_status(f->self, &f->cx->cx, flamenco_text(sha), size, &status, &f->err), 0);
    return status;
}

flamenco_shaman_file file_of(const char *path, const char *sha, int64_t size)
{
    return (flamenco_shaman_file){ .struct_size = (uint32_t)sizeof(flamenco_shaman_file),
                                   .size_bytes = size,
                                   .sha = flamenco_text(sha),
                                   .path = flamenco_text(path) };
}

int32_t check_out(fixture *f, const char *wanted, const flamenco_shaman_file *files, size_t n, char *out, size_t cap)
{
    flamenco_str path = { NULL, 0 };
    int32_t rc =
        f->table->checkout(f->self, &f->cx->cx, flamenco_text(wanted), files, sizeof(files[0]), n, &path, &f->err);
    snprintf(out, cap, "%.*s", (int)path.len, path.len > 0 ? path.ptr : "");
    return rc;
}
