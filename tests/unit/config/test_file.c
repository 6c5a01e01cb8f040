/* SPDX-License-Identifier: Apache-2.0
 *
 * test_file.c - reading and replacing files (configuration-and-clients 1.12).
 */
#include "core/config/file.h"

#include <sys/stat.h>

#include "tests/unit/config/support.h"

static char dir[256];

static int setup(void **state)
{
    (void)state;
    make_dir(dir, sizeof(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(dir);
    return 0;
}

static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ & 3];
    snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
    return out;
}

static void assert_file(const char *path, const char *wanted)
{
    char *text = read_file(path);
    if (wanted == NULL)
        assert_null(text);
    else
        assert_string_equal(text != NULL ? text : "(none)", wanted);
    free(text);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static void file_new_one_is_private(void **state)
{
    (void)state;
    const char *path = in_dir("new.yaml");
    assert_int_equal(
        fl_config_file_replace(path, FL_STR("one"), FL_CONFIG_FILE_BACKUP | FL_CONFIG_FILE_KEEP_MODE, NULL),
        FLAMENCO_OK);
    assert_file(path, "one");
    assert_int_equal(mode_of(path) & 0777, 0600);
    assert_file(in_dir("new.yaml.bak"), NULL);
    assert_file(in_dir("new.yaml~"), NULL);
}

static void file_backup_keeps_the_replaced_one(void **state)
{
    (void)state;
    write_file(in_dir("b.yaml"), "old");
    assert_int_equal(chmod(in_dir("b.yaml"), 0644), 0);
    assert_int_equal(fl_config_file_replace(in_dir("b.yaml"), FL_STR("new"), FL_CONFIG_FILE_BACKUP, NULL), FLAMENCO_OK);
    assert_file(in_dir("b.yaml"), "new");
    assert_file(in_dir("b.yaml.bak"), "old");
    assert_int_equal(mode_of(in_dir("b.yaml")) & 0777, 0600);
    assert_int_equal(mode_of(in_dir("b.yaml.bak")) & 0777, 0600);
    assert_int_equal(fl_config_file_replace(in_dir("b.yaml"), FL_STR("third"), FL_CONFIG_FILE_BACKUP, NULL),
                     FLAMENCO_OK);
    assert_file(in_dir("b.yaml.bak"), "new");
}

static void file_mode_is_kept_when_asked(void **state)
{
    (void)state;
    write_file(in_dir("m.yaml"), "old");
    assert_int_equal(chmod(in_dir("m.yaml"), 0640), 0);
    assert_int_equal(fl_config_file_replace(in_dir("m.yaml"), FL_STR("new"), FL_CONFIG_FILE_KEEP_MODE, NULL),
                     FLAMENCO_OK);
    assert_int_equal(mode_of(in_dir("m.yaml")) & 0777, 0640);
    assert_file(in_dir("m.yaml.bak"), NULL);
}

static void file_symbolic_link_stays_one(void **state)
{
    (void)state;
    write_file(in_dir("target.yaml"), "old");
    assert_int_equal(symlink("target.yaml", in_dir("link.yaml")), 0);
    assert_int_equal(fl_config_file_replace(in_dir("link.yaml"), FL_STR("new"), 0, NULL), FLAMENCO_OK);
    assert_true(S_ISLNK(mode_of(in_dir("link.yaml"))));
    assert_file(in_dir("target.yaml"), "new");
}

static void file_planted_temporary_link_is_not_followed(void **state)
{
    (void)state;
    write_file(in_dir("victim"), "precious");
    write_file(in_dir("p.yaml"), "old");
    assert_int_equal(symlink("victim", in_dir("p.yaml~")), 0);
    assert_int_equal(fl_config_file_replace(in_dir("p.yaml"), FL_STR("new"), 0, NULL), FLAMENCO_OK);
    assert_file(in_dir("victim"), "precious");
    assert_file(in_dir("p.yaml"), "new");
    assert_true(S_ISREG(mode_of(in_dir("p.yaml"))));
}

static void file_failure_leaves_the_old_one(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    assert_int_equal(fl_config_file_replace(in_dir("none/x.yaml"), FL_STR("new"), 0, &err), FLAMENCO_E_IO);
    assert_non_null(strstr(err.text, "none/x.yaml"));
    write_file(in_dir("keep.yaml"), "old");
    assert_int_equal(mkdir(in_dir("keep.yaml~"), 0700), 0); /* the temporary file cannot be made */
    assert_int_equal(fl_config_file_replace(in_dir("keep.yaml"), FL_STR("new"), 0, &err), FLAMENCO_E_IO);
    assert_file(in_dir("keep.yaml"), "old");
    assert_int_equal(mkdir(in_dir("adir"), 0700), 0);
    assert_int_equal(fl_config_file_replace(in_dir("adir"), FL_STR("new"), 0, &err), FLAMENCO_E_IO);
}

static void file_reading_takes_plain_files_of_bounded_size(void **state)
{
    fl_buf out = { 0 };
    (void)state;
    assert_int_equal(fl_config_file_read(in_dir("missing"), &out, NULL), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fl_config_file_read(dir, &out, NULL), FLAMENCO_E_INVALID);
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(fl_config_file_read(in_dir("pipe"), &out, NULL), FLAMENCO_E_INVALID);
    write_file(in_dir("empty"), "");
    assert_int_equal(fl_config_file_read(in_dir("empty"), &out, NULL), FLAMENCO_OK);
    assert_int_equal(out.len, 0);
    write_file(in_dir("big"), "");
    assert_int_equal(truncate(in_dir("big"), FL_CONFIG_FILE_MAX), 0);
    assert_int_equal(fl_config_file_read(in_dir("big"), &out, NULL), FLAMENCO_OK);
    assert_int_equal(out.len, FL_CONFIG_FILE_MAX);
    fl_buf_fini(&out);
    assert_int_equal(truncate(in_dir("big"), FL_CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(fl_config_file_read(in_dir("big"), &out, NULL), FLAMENCO_E_INVALID);
    fl_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_new_one_is_private),
        cmocka_unit_test(file_backup_keeps_the_replaced_one),
        cmocka_unit_test(file_mode_is_kept_when_asked),
        cmocka_unit_test(file_symbolic_link_stays_one),
        cmocka_unit_test(file_planted_temporary_link_is_not_followed),
        cmocka_unit_test(file_failure_leaves_the_old_one),
        cmocka_unit_test(file_reading_takes_plain_files_of_bounded_size),
    };
    return cmocka_run_group_tests_name("config_file", tests, setup, teardown);
}
