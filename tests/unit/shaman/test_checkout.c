/* SPDX-License-Identifier: Apache-2.0
 *
 * test_checkout.c - checkouts and their erasing (contract: shaman 4, 5, 7; decisions).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "store_fixture.h"

#define UP2 "../../"
#define UP3 "../../../"

static int setup_with_blobs(void **state)
{
    if (setup(state) != 0)
        return -1;
    fixture *f = *state;
    return upload(f, SHA_A, 11, "hello world") != 0 || upload(f, SHA_B, 6, "blob B") != 0;
}

static void links_are_relative_and_as_the_table_says(void **state)
{
    static const struct {
        const char *checkout, *path, *sha;
        int64_t size;
        const char *link, *target;
    } cases[] = {
        { "job", "top.txt", SHA_A, 11, "jobs/job/top.txt", UP2 BLOB_A },
        { "job2", "a/b.txt", SHA_A, 11, "jobs/job2/a/b.txt", UP3 BLOB_A },
        { "proj/job", "top.txt", SHA_A, 11, "jobs/proj/job/top.txt", UP3 BLOB_A },
        { "proj/job2", "a/c.txt", SHA_B, 6, "jobs/proj/job2/a/c.txt", "../" UP3 BLOB_B },
        { "ünïcödé/日本 語", "я.txt", SHA_A, 11, "jobs/ünïcödé/日本 語/я.txt", UP3 BLOB_A },
        { "win", "d\\e.txt", SHA_A, 11, "jobs/win/d/e.txt", UP3 BLOB_A },
        { "dots", "./c.txt", SHA_A, 11, "jobs/dots/c.txt", UP2 BLOB_A },
        { "x//y", "dir/", SHA_A, 11, "jobs/x/y/dir", UP3 BLOB_A },
    };
    fixture *f = *state;
    char name[256], target[512], text[32];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_shaman_file file = file_of(cases[i].path, cases[i].sha, cases[i].size);
        assert_int_equal(check_out(f, cases[i].checkout, &file, 1, name, sizeof(name)), 0);
        assert_string_equal(name, cases[i].checkout);
        read_target(f, cases[i].link, target, sizeof(target));
        assert_string_equal(target, cases[i].target);
        read_file(f, cases[i].link, text, sizeof(text));
        assert_string_equal(text, cases[i].size == 11 ? "hello world" : "blob B");
    }
}

static void taken_name_gets_a_suffix(void **state)
{
    static const char *const wanted[] = { "shot_010", "proj/scene/job", "a/", "./dot", "." };
    static const char *const first[] = { "shot_010", "proj/scene/job", "a", "./dot", "unnamed" };
    fixture *f = *state;
    char one[256], two[256], path[600];
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); ++i) {
        assert_int_equal(check_out(f, wanted[i], NULL, 0, one, sizeof(one)), 0);
        assert_int_equal(check_out(f, wanted[i], NULL, 0, two, sizeof(two)), 0);
        assert_string_equal(one, first[i]);
        assert_int_equal(strlen(two), strlen(one) + 5);
        assert_memory_equal(two, one, strlen(one));
        assert_int_equal(two[strlen(one)], '-');
        assert_int_equal(strspn(two + strlen(one) + 1, "abcdefghijklmnopqrstuvwxyz0123456789"), 4);
        snprintf(path, sizeof(path), "jobs/%s", two);
        assert_true(exists(f, path));
    }
    write_file(f, "jobs/file", "x");
    assert_int_equal(check_out(f, "file", NULL, 0, one, sizeof(one)), 0);
    assert_int_equal(strlen(one), strlen("file-abcd"));
}

static void failed_checkout_removes_what_it_made_and_nothing_else(void **state)
{
    static const struct {
        const char *name;
        flamenco_shaman_file files[2];
        int32_t rc;
    } cases[] = {
        { "taken",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_E, 64 }, .size_bytes = 0, .path = { "b", 1 } } },
          FLAMENCO_E_NOT_FOUND },
        { "new/deep/er",
          { { .sha = { SHA_A, 64 }, .size_bytes = 12, .path = { "a", 1 } },
            { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "b", 1 } } },
          FLAMENCO_E_NOT_FOUND },
        { "new/clash",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_B, 64 }, .size_bytes = 6, .path = { "a", 1 } } },
          FLAMENCO_E_CONFLICT },
        { "new/clash",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a/b", 3 } } },
          FLAMENCO_E_CONFLICT },
        { "new/clash",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a/b", 3 } },
            { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } } },
          FLAMENCO_E_CONFLICT },
        { "taken/clash",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_B, 64 }, .size_bytes = 6, .path = { "a", 1 } } },
          FLAMENCO_E_CONFLICT },
        { "new",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "../x", 4 } } },
          FLAMENCO_E_INVALID },
        { "..",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { SHA_E, 64 }, .size_bytes = 0, .path = { "b", 1 } } },
          FLAMENCO_E_INVALID },
        { ".",
          { { .sha = { SHA_A, 64 }, .size_bytes = 11, .path = { "a", 1 } },
            { .sha = { "nope", 4 }, .size_bytes = 0, .path = { "b", 1 } } },
          FLAMENCO_E_NOT_FOUND },
    };
    fixture *f = *state;
    char name[256];
    flamenco_shaman_file good = file_of("keep.txt", SHA_A, 11);
    assert_int_equal(check_out(f, "taken", &good, 1, name, sizeof(name)), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        assert_int_equal(check_out(f, cases[i].name, cases[i].files, 2, name, sizeof(name)), cases[i].rc);
        assert_true(exists(f, "jobs/taken/keep.txt"));
        assert_true(exists(f, BLOB_A));
        assert_false(exists(f, "jobs/new"));
        assert_false(exists(f, "jobs/unnamed"));
        assert_false(exists(f, "jobs/taken/clash"));
        assert_false(exists(f, "x"));
    }
}

static void same_file_twice_is_one_link(void **state)
{
    fixture *f = *state;
    char name[256];
    flamenco_shaman_file files[] = { file_of("a", SHA_A, 11), file_of("./a", SHA_A, 11), file_of("b", SHA_A, 11) };
    assert_int_equal(check_out(f, "twice", files, 3, name, sizeof(name)), 0);
    assert_true(exists(f, "jobs/twice/a"));
    assert_true(exists(f, "jobs/twice/b"));
}

static void checkout_touches_every_blob(void **state)
{
    fixture *f = *state;
    char name[256];
    flamenco_shaman_file files[] = { file_of("a.txt", SHA_A, 11), file_of("s/c.txt", SHA_B, 6) };
    age(f, BLOB_A, 50);
    age(f, BLOB_B, 50);
    assert_int_equal(check_out(f, "job", files, 2, name, sizeof(name)), 0);
    assert_int_equal(hours_old(f, BLOB_A), 0);
    assert_int_equal(hours_old(f, BLOB_B), 0);
}

static void many_files_in_many_directories(void **state)
{
    enum { N = 5000 };
    fixture *f = *state;
    char name[256], path[256], target[512];
    flamenco_shaman_file *files = calloc(N, sizeof(*files));
    char(*paths)[64] = calloc(N, sizeof(*paths));
    assert_true(files != NULL && paths != NULL);
    for (int i = 0; i < N; ++i) {
        snprintf(paths[i], sizeof(paths[i]), "d%d/e%d/f%d.txt", i % 7, i % 11, i);
        files[i] = file_of(paths[i], i % 2 ? SHA_A : SHA_B, i % 2 ? 11 : 6);
    }
    assert_int_equal(check_out(f, "many", files, N, name, sizeof(name)), 0);
    for (int i = 0; i < N; ++i) {
        snprintf(path, sizeof(path), "jobs/many/%s", paths[i]);
        read_target(f, path, target, sizeof(target));
        assert_string_equal(target, i % 2 ? "../" UP3 BLOB_A : "../" UP3 BLOB_B);
    }
    free(files);
    free(paths);
}

static void links_in_the_way_are_not_followed(void **state)
{
    fixture *f = *state;
    char name[256];
    flamenco_shaman_file file = file_of("a", SHA_A, 11);
    make_link(f, f->dir, "jobs/out");
    assert_true(check_out(f, "out/x", &file, 1, name, sizeof(name)) < 0);
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/x", f->dir);
    assert_false(temp_exists(path));
    /* the name itself counts as taken */
    assert_int_equal(check_out(f, "out", &file, 1, name, sizeof(name)), 0);
    assert_int_equal(strlen(name), strlen("out-abcd"));
}

static void erase_takes_the_checkout_and_an_empty_parent(void **state)
{
    fixture *f = *state;
    char name[256];
    flamenco_shaman_file file = file_of("a/b", SHA_A, 11);
    assert_int_equal(check_out(f, "proj/scene/job", &file, 1, name, sizeof(name)), 0);
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("proj/scene/job"), &f->err), 0);
    assert_false(exists(f, "jobs/proj/scene"));
    assert_true(exists(f, "jobs/proj"));
    assert_true(exists(f, BLOB_A));
    /* again: missing is a success */
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("proj/scene/job"), &f->err), 0);
    assert_int_equal(check_out(f, "one", &file, 1, name, sizeof(name)), 0);
    assert_int_equal(check_out(f, "proj2/x", &file, 1, name, sizeof(name)), 0);
    assert_int_equal(check_out(f, "proj2/y", &file, 1, name, sizeof(name)), 0);
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("proj2/x"), &f->err), 0);
    assert_true(exists(f, "jobs/proj2/y"));
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("one"), &f->err), 0);
    assert_true(exists(f, "jobs"));
}

static void erase_refuses_what_is_no_checkout(void **state)
{
    static const char *const ids[] = { "", ".", "./", "./.", "..", "../file-store", "a/../..", "/", "a:b", "/etc" };
    fixture *f = *state;
    char name[256];
    assert_int_equal(check_out(f, "unnamed", NULL, 0, name, sizeof(name)), 0);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); ++i)
        assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text(ids[i]), &f->err),
                         FLAMENCO_E_INVALID);
    assert_true(exists(f, "jobs/unnamed"));
    assert_true(exists(f, BLOB_A));
}

static void erase_follows_no_link(void **state)
{
    fixture *f = *state;
    char name[256], outside[TEMP_DIR_MAX], precious[TEMP_DIR_MAX];
    temp_path(outside, "%s/outside", f->dir);
    temp_path(precious, "%s/outside/precious", f->dir);
    temp_file_write(precious, "x");
    assert_int_equal(check_out(f, "job", NULL, 0, name, sizeof(name)), 0);
    make_link(f, outside, "jobs/job/link");
    make_link(f, outside, "jobs/whole");
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("job"), &f->err), 0);
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("whole/x"), &f->err), 0);
    assert_int_equal(f->table->erase_checkout(f->self, &f->cx->cx, flamenco_text("whole"), &f->err), 0);
    assert_false(exists(f, "jobs/whole"));
    assert_true(temp_exists(precious));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_are_relative_and_as_the_table_says, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(taken_name_gets_a_suffix, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(failed_checkout_removes_what_it_made_and_nothing_else, setup_with_blobs,
                                        teardown),
        cmocka_unit_test_setup_teardown(same_file_twice_is_one_link, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(checkout_touches_every_blob, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(many_files_in_many_directories, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(links_in_the_way_are_not_followed, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(erase_takes_the_checkout_and_an_empty_parent, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(erase_refuses_what_is_no_checkout, setup_with_blobs, teardown),
        cmocka_unit_test_setup_teardown(erase_follows_no_link, setup_with_blobs, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
