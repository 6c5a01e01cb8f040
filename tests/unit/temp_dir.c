/* SPDX-License-Identifier: Apache-2.0
 *
 * temp_dir.c - see temp_dir.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "temp_dir.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void temp_dir_make(char out[TEMP_DIR_MAX])
{
    const char *base = getenv("TMPDIR");
    temp_path(out, "%s/flamenco-test-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
    assert_non_null(mkdtemp(out));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void temp_dir_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void temp_path(char out[TEMP_DIR_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, TEMP_DIR_MAX, fmt, args);
    va_end(args);
    assert_true(n > 0 && n < TEMP_DIR_MAX);
}

void temp_file_write(const char *path, const char *text)
{
    char dir[TEMP_DIR_MAX];
    temp_path(dir, "%s", path);
    for (char *slash = strchr(dir + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(dir, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

int temp_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}
