/* SPDX-License-Identifier: Apache-2.0
 *
 * test_local_storage.c - paths per job, the place of the root, serving without leaving the root, and erasing without
 * following links (state-and-scheduling 16, api-behaviour 9.4).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/uuid.h"
#include "fake_host.h"
#include "flamenco/local_storage.h"
#include "paths.h"
#include "temp_dir.h"

#define JOB "08e1a6b2-1111-4222-8333-444455556666"
#define SIBLING "08e1ffff-1111-4222-8333-444455556666"

typedef struct fixture {
    fake_host fake;
    fake_cx *cx;
    const flamenco_local_storage *table;
    void *self;
    char dir[TEMP_DIR_MAX]; /* everything of this test */
    char root[TEMP_DIR_MAX]; /* dir/store */
    flamenco_uuid job, sibling;
    flamenco_error err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fake_host_init(&f->fake);
    temp_dir_make(f->dir);
    temp_path(f->root, "%s/store", f->dir);
    fake_host_set(&f->fake, "path", f->root);
    f->table = fake_host_table(flamenco_plugin_query(), FLAMENCO_LOCAL_STORAGE);
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
    f->cx = fake_cx_create(&f->fake);
    assert_int_equal(fl_uuid_parse(flamenco_text(JOB), &f->job), 0);
    assert_int_equal(fl_uuid_parse(flamenco_text(SIBLING), &f->sibling), 0);
    f->err.struct_size = (uint32_t)sizeof(f->err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    fake_cx_destroy(f->cx);
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    fake_host_fini(&f->fake);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

static void write_below(const fixture *f, const char *relative, const char *text)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->dir, relative);
    temp_file_write(path, text);
}

static int exists_below(const fixture *f, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->dir, relative);
    return temp_exists(path);
}

static void link_below(const fixture *f, const char *target, const char *relative)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", f->dir, relative);
    assert_int_equal(symlink(target, path), 0);
}

static void a_job_has_a_path_of_its_own(void **state)
{
    fixture *f = *state;
    char path[64] = "unchanged";
    assert_int_equal(f->table->job_path(f->self, &f->job, path, 45, &f->err), FLAMENCO_E_FULL);
    assert_string_equal(path, "unchanged");
    assert_int_equal(f->table->job_path(f->self, &f->job, path, 46, &f->err), 0);
    assert_string_equal(path, "job-08e1/" JOB);
    flamenco_uuid none = { { 0 } };
    assert_int_equal(f->table->job_path(f->self, &none, path, sizeof(path), &f->err), 0);
    assert_string_equal(path, "jobless");
    assert_string_equal(f->table->root(f->self).ptr, f->root);
}

static void nothing_is_made_before_the_first_write(void **state)
{
    fixture *f = *state;
    int32_t fd = 77;
    assert_int_equal(f->table->job_dir(f->self, &f->job, 0, &fd, &f->err), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fd, 77);
    assert_false(exists_below(f, "store"));
    mode_t old = umask(022);
    assert_int_equal(f->table->job_dir(f->self, &f->job, 1, &fd, &f->err), 0);
    umask(old);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    close(fd);
    assert_true(exists_below(f, "store/job-08e1/" JOB));
    assert_int_equal(f->table->job_dir(f->self, &f->job, 0, &fd, &f->err), 0);
    close(fd);
}

static void files_are_opened_below_the_root_alone(void **state)
{
    fixture *f = *state;
    write_below(f, "store/job-08e1/" JOB "/task-1.txt", "hello");
    write_below(f, "secret.txt", "secret");
    write_below(f, "storeroom/x", "x");
    link_below(f, "../secret.txt", "store/link.txt");
    link_below(f, "..", "store/up");
    link_below(f, "/etc", "store/etc");
    char pipe_path[TEMP_DIR_MAX];
    temp_path(pipe_path, "%s/store/pipe", f->dir);
    assert_int_equal(mkfifo(pipe_path, 0644), 0);
    static const struct {
        const char *path;
        uint32_t kind; /* 0 = NOT_FOUND */
        uint64_t size;
    } rows[] = {
        { "job-08e1/" JOB "/task-1.txt", FLAMENCO_FILE_REGULAR, 5 },
        { "//job-08e1/./" JOB "//task-1.txt", FLAMENCO_FILE_REGULAR, 5 },
        { "/job-08e1", FLAMENCO_FILE_DIRECTORY, 0 },
        { "", FLAMENCO_FILE_DIRECTORY, 0 },
        { "job-08e1/" JOB "/task-2.txt", 0, 0 },
        { "job-08e1/" JOB "/task-1.txt/x", 0, 0 },
        { "../secret.txt", 0, 0 },
        { "job-08e1/../../secret.txt", 0, 0 },
        { "..", 0, 0 },
        { "../storeroom/x", 0, 0 },
        { "link.txt", 0, 0 },
        { "up/secret.txt", 0, 0 },
        { "etc/passwd", 0, 0 },
        { "pipe", 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        int32_t fd = -1;
        flamenco_file_info info = { .struct_size = (uint32_t)sizeof(info) };
        int32_t rc = f->table->open_file(f->self, flamenco_text(rows[i].path), &fd, &info, &f->err);
        if (rc != (rows[i].kind != 0 ? 0 : FLAMENCO_E_NOT_FOUND))
            fail_msg("%s: %d %s", rows[i].path, rc, f->err.text);
        if (rc != 0)
            continue;
        assert_int_equal(info.kind, rows[i].kind);
        assert_true(info.modified_us > INT64_C(1500000000000000));
        if (info.kind == FLAMENCO_FILE_REGULAR) {
            char text[8] = "";
            assert_int_equal(info.size_bytes, rows[i].size);
            assert_int_equal(read(fd, text, sizeof(text)), 5);
            assert_string_equal(text, "hello");
        }
        close(fd);
    }
}

static void names_that_no_file_can_have_are_not_found(void **state)
{
    fixture *f = *state;
    char name[301];
    int32_t fd = -1;
    flamenco_file_info info = { .struct_size = (uint32_t)sizeof(info) };
    write_below(f, "store/a", "x");
    memset(name, 'a', 300);
    name[300] = '\0';
    assert_int_equal(f->table->open_file(f->self, flamenco_text(name), &fd, &info, &f->err), FLAMENCO_E_NOT_FOUND);
    flamenco_str with_nul = { "a\0b", 3 };
    assert_int_equal(f->table->open_file(f->self, with_nul, &fd, &info, &f->err), FLAMENCO_E_NOT_FOUND);
}

static void erasing_takes_the_job_and_its_empty_parent(void **state)
{
    fixture *f = *state;
    write_below(f, "store/job-08e1/" JOB "/task-1.txt", "x");
    write_below(f, "store/job-08e1/" JOB "/sub/deep/er/file", "x");
    for (int i = 0; i < 300; ++i) {
        char name[TEMP_DIR_MAX];
        temp_path(name, "store/job-08e1/" JOB "/task-%d.log", i);
        write_below(f, name, "x");
    }
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_false(exists_below(f, "store/job-08e1"));
    assert_true(exists_below(f, "store"));
}

static void erasing_leaves_other_jobs_of_the_same_parent(void **state)
{
    fixture *f = *state;
    write_below(f, "store/job-08e1/" JOB "/a", "x");
    write_below(f, "store/job-08e1/" SIBLING "/a", "x");
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_false(exists_below(f, "store/job-08e1/" JOB));
    assert_true(exists_below(f, "store/job-08e1/" SIBLING "/a"));
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->sibling, &f->err), 0);
    assert_false(exists_below(f, "store/job-08e1"));
}

static void erasing_what_is_missing_succeeds(void **state)
{
    fixture *f = *state;
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    write_below(f, "store/job-08e1/" SIBLING "/a", "x");
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_true(exists_below(f, "store/job-08e1/" SIBLING "/a"));
}

static void erasing_removes_links_but_not_what_they_point_to(void **state)
{
    fixture *f = *state;
    write_below(f, "precious/file", "x");
    write_below(f, "store/job-08e1/" JOB "/a", "x");
    link_below(f, "../../../precious", "store/job-08e1/" JOB "/link");
    link_below(f, "../../../precious/file", "store/job-08e1/" JOB "/link2");
    link_below(f, "/", "store/job-08e1/" JOB "/root");
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_false(exists_below(f, "store/job-08e1"));
    assert_true(exists_below(f, "precious/file"));

    write_below(f, "store/job-08e1/" SIBLING "/a", "x");
    link_below(f, "../../precious", "store/job-08e1/" JOB);
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_false(exists_below(f, "store/job-08e1/" JOB));
    assert_true(exists_below(f, "precious/file"));
}

static void a_parent_that_is_a_link_is_not_entered(void **state)
{
    fixture *f = *state;
    write_below(f, "elsewhere/" JOB "/file", "x");
    write_below(f, "store/x", "x");
    link_below(f, "../elsewhere", "store/job-08e1");
    assert_int_not_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_true(exists_below(f, "elsewhere/" JOB "/file"));
    int32_t fd = -1;
    assert_int_not_equal(f->table->job_dir(f->self, &f->job, 1, &fd, &f->err), 0);
    assert_int_equal(fd, -1);
}

static void the_home_directory_is_never_erased(void **state)
{
    fixture *f = *state;
    char home[TEMP_DIR_MAX];
    write_below(f, "store/job-08e1/" JOB "/a", "x");
    temp_path(home, "%s/job-08e1/../job-08e1/" JOB "/", f->root);
    const char *was = getenv("HOME");
    char *kept = was != NULL ? strdup(was) : NULL;
    assert_int_equal(setenv("HOME", home, 1), 0);
    int32_t rc = f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err);
    if (kept != NULL)
        setenv("HOME", kept, 1);
    else
        unsetenv("HOME");
    free(kept);
    assert_int_equal(rc, FLAMENCO_E_INVALID);
    assert_true(exists_below(f, "store/job-08e1/" JOB "/a"));
}

static void no_job_is_not_erased(void **state)
{
    fixture *f = *state;
    flamenco_uuid none = { { 0 } };
    write_below(f, "store/jobless/a", "x");
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &none, &f->err), FLAMENCO_E_INVALID);
    assert_true(exists_below(f, "store/jobless/a"));
}

static void erasing_ends_when_it_is_cancelled(void **state)
{
    fixture *f = *state;
    write_below(f, "store/job-08e1/" JOB "/a", "x");
    f->cx->cancelled = 1;
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), FLAMENCO_E_CANCELLED);
    assert_true(exists_below(f, "store/job-08e1/" JOB "/a"));
    f->cx->cancelled = 0;
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
}

static void too_deep_trees_are_refused_and_shallow_ones_erased(void **state)
{
    fixture *f = *state;
    /* 64 levels below the job's directory are allowed. */
    for (int levels = 64; levels <= 65; ++levels) {
        char path[TEMP_DIR_MAX];
        temp_path(path, "%s/job-08e1/" JOB "/", f->root);
        for (int i = 0; i < levels; ++i)
            strcat(path, "d/");
        strcat(path, "f");
        temp_file_write(path, "x");
        int32_t rc = f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err);
        assert_int_equal(rc, levels == 64 ? 0 : FLAMENCO_E_INVALID);
        assert_int_equal(exists_below(f, "store/job-08e1"), levels != 64);
    }
}

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; ++fd) {
        struct stat st;
        n += fstat(fd, &st) == 0;
    }
    return n;
}

static void no_descriptor_is_left_open(void **state)
{
    fixture *f = *state;
    int before = count_descriptors();
    a_job_has_a_path_of_its_own(state);
    nothing_is_made_before_the_first_write(state);
    files_are_opened_below_the_root_alone(state);
    erasing_takes_the_job_and_its_empty_parent(state);
    erasing_ends_when_it_is_cancelled(state);
    assert_int_equal(f->table->erase_job(f->self, &f->cx->cx, &f->job, &f->err), 0);
    assert_int_equal(count_descriptors(), before);
}

static void the_root_is_found_as_decided(void **state)
{
    fixture *f = *state;
    char program[TEMP_DIR_MAX], work[TEMP_DIR_MAX], expected[TEMP_DIR_MAX], root[FL_LS_PATH_MAX];
    temp_path(program, "%s/program", f->dir);
    temp_path(work, "%s/work", f->dir);
    assert_int_equal(mkdir(program, 0755), 0);
    assert_int_equal(fl_ls_find_root("/srv//store/./x/", program, work, root, &f->err), 0);
    assert_string_equal(root, "/srv/store/x");
    assert_int_equal(fl_ls_find_root("/", program, work, root, &f->err), 0);
    assert_string_equal(root, "/");

    /* The program's directory can be written to. */
    temp_path(expected, "%s/store", program);
    assert_int_equal(fl_ls_find_root("./store", program, work, root, &f->err), 0);
    assert_string_equal(root, expected);

    /* It cannot, but the storage is there. */
    assert_int_equal(mkdir(expected, 0755), 0);
    assert_int_equal(chmod(program, 0555), 0);
    assert_int_equal(fl_ls_find_root("./store", program, work, root, &f->err), 0);
    assert_string_equal(root, expected);

    /* Neither. root may write everywhere, and a directory that is missing nobody. */
    temp_path(expected, "%s/store", work);
    temp_path(program, "%s/missing", f->dir);
    assert_int_equal(fl_ls_find_root("store", program, work, root, &f->err), 0);
    assert_string_equal(root, expected);
    assert_int_equal(fl_ls_find_root("store", NULL, work, root, &f->err), 0);
    assert_string_equal(root, expected);
    assert_int_equal(fl_ls_find_root("store", NULL, NULL, root, &f->err), FLAMENCO_E_IO);

    assert_int_equal(fl_ls_find_root("", program, work, root, &f->err), FLAMENCO_E_INVALID);
    char *huge = malloc(FL_LS_PATH_MAX + 1);
    assert_non_null(huge);
    memset(huge, 'x', FL_LS_PATH_MAX);
    huge[FL_LS_PATH_MAX] = '\0';
    assert_int_equal(fl_ls_find_root(huge, NULL, work, root, &f->err), FLAMENCO_E_INVALID);
    huge[0] = '/';
    assert_int_equal(fl_ls_find_root(huge, NULL, work, root, &f->err), FLAMENCO_E_INVALID);
    free(huge);
    temp_path(program, "%s/program", f->dir);
    assert_int_equal(chmod(program, 0755), 0);
}

static void health_names_the_directory_that_cannot_be_used(void **state)
{
    fixture *f = *state;
    assert_int_equal(flamenco_plugin_query()->health(f->self, &f->err), 0);
    write_below(f, "store", "a file in its place");
    int32_t fd = -1;
    assert_int_not_equal(flamenco_plugin_query()->health(f->self, &f->err), 0);
    assert_non_null(strstr(f->err.text, f->root));
    assert_int_not_equal(f->table->job_dir(f->self, &f->job, 1, &fd, &f->err), 0);
}

static void an_empty_path_is_refused(void **state)
{
    fixture *f = *state;
    fake_host_set(&f->fake, "path", "");
    const flamenco_config *config = fake_host_config(&f->fake, flamenco_plugin_query());
    assert_int_equal(flamenco_plugin_query()->configure(f->self, config, &f->err), FLAMENCO_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_has_a_path_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_made_before_the_first_write, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_opened_below_the_root_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_no_file_can_have_are_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_takes_the_job_and_its_empty_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_leaves_other_jobs_of_the_same_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_what_is_missing_succeeds, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_removes_links_but_not_what_they_point_to, setup, teardown),
        cmocka_unit_test_setup_teardown(a_parent_that_is_a_link_is_not_entered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_home_directory_is_never_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(no_job_is_not_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(erasing_ends_when_it_is_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(too_deep_trees_are_refused_and_shallow_ones_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(no_descriptor_is_left_open, setup, teardown),
        cmocka_unit_test_setup_teardown(the_root_is_found_as_decided, setup, teardown),
        cmocka_unit_test_setup_teardown(health_names_the_directory_that_cannot_be_used, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_path_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
