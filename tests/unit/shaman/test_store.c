/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store.c - uploads, statuses, requirements, health (contract: shaman 2, 3.2 to 3.4).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shaman.h"
#include "store_fixture.h"

/* A storage in which every file needs a temporary name, as on NFS. */
static int setup_named(void **state)
{
    int rc = setup(state);
    fixture *f = *state;
    ((shaman *)f->self)->has_proc = 0;
    return rc;
}

static DIR *opendir_of(const fixture *f, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->root, relative);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    return dir;
}

static void uploads_are_stored_where_the_contract_says(void **state)
{
    fixture *f = *state;
    char text[32];
    assert_int_equal(f->table->is_active(f->self), 1);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(upload(f, SHA_E, 0, ""), 0);
    read_file(f, BLOB_A, text, sizeof(text));
    assert_string_equal(text, "hello world");
    read_file(f, BLOB_E, text, sizeof(text));
    assert_string_equal(text, "");
    /* nothing is left of the way there */
    assert_true(exists(f, "file-store/uploading"));
    assert_false(exists(f, "file-store/uploading/b9"));
    assert_false(exists(f, "file-store/uploading/e3"));
}

static void blobs_are_readable_for_others(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    struct stat st;
    mode_t before = umask(022);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    umask(before);
    temp_path(path, "%s/" BLOB_A, f->root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

static void wrong_size_or_checksum_is_refused_and_leaves_nothing(void **state)
{
    static const struct {
        const char *sha;
        int64_t size;
        const char *content;
    } cases[] = {
        { SHA_A, 11, "hello" },
        { SHA_A, 5, "hello world" },
        { SHA_A, 11, "hello worlD" },
        { SHA_A, -1, "" },
        { SHA_A, -1, "x" },
        { "B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9", 11, "hello world" },
        { "../../../x", 11, "hello world" },
        { "xy", 0, "" },
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        assert_int_equal(upload(f, cases[i].sha, cases[i].size, cases[i].content), FLAMENCO_E_INVALID);
        assert_int_equal(status_of(f, cases[i].sha, cases[i].size), FLAMENCO_SHAMAN_UNKNOWN);
    }
    assert_false(exists(f, "file-store/uploading/b9"));
    assert_false(exists(f, "file-store/stored/b9"));
}

static void size_is_told_before_checksum(void **state)
{
    fixture *f = *state;
    assert_int_equal(upload(f, SHA_A, 7, "hello"), FLAMENCO_E_INVALID);
    assert_non_null(strstr(f->err.text, "7 bytes"));
    assert_non_null(strstr(f->err.text, "5 were received"));
}

static void status_follows_the_life_of_a_file(void **state)
{
    fixture *f = *state;
    flamenco_shaman_upload *u = NULL;
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(SHA_A), 11, flamenco_text(""), &u, &f->err), 0);
    assert_int_equal(
        exists(f, "file-store/uploading/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
        !((shaman *)f->self)->has_proc);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_UPLOADING);
    assert_int_equal(status_of(f, SHA_A, 12), FLAMENCO_SHAMAN_UNKNOWN); /* another file */
    f->table->upload_abort(f->self, u);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_UNKNOWN);
    assert_false(exists(f, "file-store/uploading/b9"));
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_STORED);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), FLAMENCO_E_EXISTS);
}

static void large_file_has_a_temporary_name_while_it_arrives(void **state)
{
    fixture *f = *state;
    flamenco_shaman_upload *u = NULL;
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(SHA_A), 1 << 20, flamenco_text(""), &u, &f->err), 0);
    assert_true(exists(f, "file-store/uploading/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"));
    f->table->upload_abort(f->self, u);
    assert_false(exists(f, "file-store/uploading/b9"));
}

static void blob_that_came_meanwhile_is_replaced_by_the_same(void **state)
{
    fixture *f = *state;
    flamenco_shaman_upload *u = NULL;
    char text[16];
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(SHA_A), 11, flamenco_text(""), &u, &f->err), 0);
    write_file(f, BLOB_A, "hello world"); /* by another manager */
    assert_int_equal(f->table->upload_write(f->self, u, "hello world", 11, &f->err), 0);
    assert_int_equal(f->table->upload_end(f->self, u, &f->err), 0);
    read_file(f, BLOB_A, text, sizeof(text));
    assert_string_equal(text, "hello world");
    DIR *dir = opendir_of(f, "file-store/stored/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    int entries = 0;
    while (readdir(dir) != NULL)
        ++entries;
    closedir(dir);
    assert_int_equal(entries, 3); /* with . and .. */
}

static void second_upload_ends_when_the_first_has_stored_the_file(void **state)
{
    fixture *f = *state;
    flamenco_shaman_upload *u = NULL;
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(SHA_A), 11, flamenco_text(""), &u, &f->err), 0);
    assert_int_equal(f->table->upload_write(f->self, u, "hel", 3, &f->err), 0);
    /* one that fails says nothing about the other */
    assert_int_equal(upload(f, SHA_A, 11, "hello worlD"), FLAMENCO_E_INVALID);
    assert_int_equal(f->table->upload_write(f->self, u, "lo", 2, &f->err), 0);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(f->table->upload_write(f->self, u, " world", 6, &f->err), FLAMENCO_E_EXISTS);
    f->table->upload_abort(f->self, u);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_STORED);
    assert_false(exists(f, "file-store/uploading/b9"));
}

static void remains_of_a_killed_manager_go_at_the_next_start(void **state)
{
    fixture *f = *state;
    write_file(f,
               "file-store/uploading/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/"
               "11-081921342.tmp",
               "hello");
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_UNKNOWN);
    restart(f);
    assert_false(exists(f, "file-store/uploading/b9"));
    assert_true(exists(f, "file-store/uploading"));
}

static void upload_under_way_survives_the_start_of_another_process(void **state)
{
    fixture *f = *state;
    flamenco_shaman_upload *u = NULL;
    assert_int_equal(
        f->table->upload_begin(f->self, &f->cx->cx, flamenco_text(SHA_A), 11, flamenco_text(""), &u, &f->err), 0);
    void *other = fake_host_start(&f->fake, flamenco_plugin_query());
    assert_int_equal(f->table->upload_write(f->self, u, "hello world", 11, &f->err), 0);
    assert_int_equal(f->table->upload_end(f->self, u, &f->err), 0);
    fake_host_stop(&f->fake, flamenco_plugin_query(), other);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_STORED);
}

static void requirements_tell_each_status_and_touch_what_is_stored(void **state)
{
    fixture *f = *state;
    flamenco_shaman_file files[] = { file_of("a", SHA_A, 11), file_of("b", SHA_B, 6), file_of("c", "xy", 11),
                                     file_of("d", SHA_A, -1), file_of("e", SHA_E, 0) };
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(upload(f, SHA_E, 0, ""), 0);
    age(f, BLOB_A, 100);
    age(f, BLOB_E, 100);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_STORED);
    assert_int_equal(hours_old(f, BLOB_A), 100); /* asking for a status does not touch */
    assert_int_equal(f->table->requirements(f->self, &f->cx->cx, files, sizeof(files[0]), 4, &f->err), 0);
    assert_int_equal(files[0].status, FLAMENCO_SHAMAN_STORED);
    assert_int_equal(files[1].status, FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(files[2].status, FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(files[3].status, FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(hours_old(f, BLOB_A), 0);
    assert_int_equal(hours_old(f, BLOB_E), 100);
}

static void links_planted_in_the_store_are_not_followed(void **state)
{
    fixture *f = *state;
    char outside[TEMP_DIR_MAX];
    temp_path(outside, "%s/outside/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/11.blob", f->dir);
    temp_path(outside, "%s/outside", f->dir);
    assert_int_equal(mkdir(outside, 0777), 0);
    make_link(f, outside, "file-store/stored/b9");
    assert_int_equal(upload(f, SHA_A, 11, "hello world") < 0, 1);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(rmdir(outside), 0); /* still empty */
    /* a link in the place of a blob makes room for the real one */
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/" BLOB_B, f->root);
    assert_int_equal(unlink(path), 0);
    make_link(f, "/etc/passwd", BLOB_B);
    assert_int_equal(status_of(f, SHA_B, 6), FLAMENCO_SHAMAN_UNKNOWN);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
    char text[32];
    read_file(f, BLOB_B, text, sizeof(text));
    assert_string_equal(text, "blob B");
}

static void storage_that_vanishes_is_told_and_comes_back(void **state)
{
    fixture *f = *state;
    char away[TEMP_DIR_MAX];
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(flamenco_plugin_query()->health(f->self, &f->err), 0);
    temp_path(away, "%s/away", f->dir);
    assert_int_equal(rename(f->root, away), 0);
    uint32_t status = 0;
    assert_int_equal(f->table->file_status(f->self, &f->cx->cx, flamenco_text(SHA_A), 11, &status, &f->err),
                     FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(flamenco_plugin_query()->health(f->self, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(f->table->is_active(f->self), 1);
    assert_int_equal(rename(away, f->root), 0);
    assert_int_equal(flamenco_plugin_query()->health(f->self, &f->err), 0);
    assert_int_equal(status_of(f, SHA_A, 11), FLAMENCO_SHAMAN_STORED);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
}

static void switched_off_without_a_storage_or_by_the_setting(void **state)
{
    fixture *f = *state;
    fake_host_set(&f->fake, "storage", "");
    restart(f);
    assert_int_equal(f->table->is_active(f->self), 0);
    fake_host_set(&f->fake, "storage", f->root);
    fake_host_set(&f->fake, "enabled", "false");
    restart(f);
    assert_int_equal(f->table->is_active(f->self), 0);
    assert_int_equal(flamenco_plugin_query()->health(f->self, &f->err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(uploads_are_stored_where_the_contract_says, setup, teardown),
        cmocka_unit_test_setup_teardown(blobs_are_readable_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_size_or_checksum_is_refused_and_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(size_is_told_before_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(status_follows_the_life_of_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(second_upload_ends_when_the_first_has_stored_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(remains_of_a_killed_manager_go_at_the_next_start, setup, teardown),
        cmocka_unit_test_setup_teardown(upload_under_way_survives_the_start_of_another_process, setup, teardown),
        cmocka_unit_test_setup_teardown(requirements_tell_each_status_and_touch_what_is_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(links_planted_in_the_store_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(storage_that_vanishes_is_told_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(switched_off_without_a_storage_or_by_the_setting, setup, teardown),
        cmocka_unit_test_setup_teardown(large_file_has_a_temporary_name_while_it_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(blob_that_came_meanwhile_is_replaced_by_the_same, setup, teardown),
        { "uploads_are_stored_where_the_contract_says (with a temporary name)",
          uploads_are_stored_where_the_contract_says, setup_named, teardown, NULL },
        { "blobs_are_readable_for_others (with a temporary name)", blobs_are_readable_for_others, setup_named, teardown,
          NULL },
        { "wrong_size_or_checksum_is_refused_and_leaves_nothing (with a temporary name)",
          wrong_size_or_checksum_is_refused_and_leaves_nothing, setup_named, teardown, NULL },
        { "status_follows_the_life_of_a_file (with a temporary name)", status_follows_the_life_of_a_file, setup_named,
          teardown, NULL },
        { "blob_that_came_meanwhile_is_replaced_by_the_same (with a temporary name)",
          blob_that_came_meanwhile_is_replaced_by_the_same, setup_named, teardown, NULL },
        { "second_upload_ends_when_the_first_has_stored_the_file (with a temporary name)",
          second_upload_ends_when_the_first_has_stored_the_file, setup_named, teardown, NULL },
        { "upload_under_way_survives_the_start_of_another_process (with a temporary name)",
          upload_under_way_survives_the_start_of_another_process, setup_named, teardown, NULL },
        { "links_planted_in_the_store_are_not_followed (with a temporary name)",
          links_planted_in_the_store_are_not_followed, setup_named, teardown, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
