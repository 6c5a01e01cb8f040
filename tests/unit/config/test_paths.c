/* SPDX-License-Identifier: Apache-2.0
 *
 * test_paths.c - paths as text: the vectors of configuration-and-clients 2.5.
 */
#include "core/config/paths.h"
#include "tests/unit/config/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static fl_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = fl_arena_create(0);
    return arena == NULL;
}

static int teardown(void **state)
{
    (void)state;
    fl_arena_destroy(arena);
    arena = NULL;
    return 0;
}

static void paths_to_platform_follows_the_vectors(void **state)
{
    static const struct {
        const char *in, *linux_, *windows;
    } rows[] = {
        { "", "", "" },
        { "a\\b", "a/b", "a\\b" },
        { "a/b", "a/b", "a\\b" },
        { "G:/m/x\\y\\z.blend", "G:/m/x/y/z.blend", "G:\\m\\x\\y\\z.blend" },
        { "/abs/dir/", "/abs/dir", "\\abs\\dir" },
        { "G:\\dir\\", "G:/dir", "G:\\dir" },
        { "G:\\", "G:", "G:\\" },
        { "G:", "G:", "G:\\" },
        { "G:dir/x", "G:dir/x", "G:\\dir\\x" },
        { "\\\\NAS\\vol\\d", "//NAS/vol/d", "\\\\NAS\\vol\\d" },
        { "//NAS/vol/d", "//NAS/vol/d", "\\\\NAS\\vol\\d" },
        { "a//b///c", "a/b/c", "a\\b\\c" },
        { "///x", "///x", "\\\\\\x" },
        { "/", "", "" },
        { "\\", "", "" },
        { "\xC3\xA9:/x", "\xC3\xA9:/x", "\xC3\xA9:\\x" },
        { "-o=/a/b", "-o=/a/b", "-o=\\a\\b" },
    };
    flamenco_str out;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_int_equal(fl_path_to_platform(arena, flamenco_text(rows[i].in), FL_STR("linux"), &out), 0);
        assert_text(rows[i].in, out, rows[i].linux_);
        assert_int_equal(fl_path_to_platform(arena, flamenco_text(rows[i].in), FL_STR("amiga"), &out), 0);
        assert_text(rows[i].in, out, rows[i].linux_);
        assert_int_equal(fl_path_to_platform(arena, flamenco_text(rows[i].in), FL_STR("windows"), &out), 0);
        assert_text(rows[i].in, out, rows[i].windows);
    }
}

static void paths_trim_trailing_follows_the_vectors(void **state)
{
    static const char *const rows[][2] = {
        { "", "" },      { "/", "/" },           { "\\", "\\" },         { "////", "/" },
        { "/\\", "/" },  { "\\/", "\\" },        { "a/b\\c", "a/b\\c" }, { "a/ ", "a/ " },
        { "a///", "a" }, { "a\\b\\\\", "a\\b" }, { "G:\\", "G:" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i)
        assert_text(rows[i][0], fl_path_trim_trailing(flamenco_text(rows[i][0])), rows[i][1]);
}

static void paths_drive_absolute_follows_the_vectors(void **state)
{
    static const char *const rows[][2] = {
        { "G:a\\b", "G:\\a\\b" },
        { "G:a/b", "G:\\a/b" },
        { "G:", "G:\\" },
        { "G:\\a", "G:\\a" },
        { "G:/a", "G:\\/a" },
        { "1:x", "1:x" },
        { "\xC3\xA9:x", "\xC3\xA9:x" },
        { "\\\\N\\v", "\\\\N\\v" },
        { "/a", "/a" },
        { "G", "G" },
        { "", "" },
    };
    flamenco_str out;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_int_equal(fl_path_drive_absolute(arena, flamenco_text(rows[i][0]), &out), 0);
        assert_text(rows[i][0], out, rows[i][1]);
    }
}

static void paths_unc_and_root_follow_the_vectors(void **state)
{
    static const char *const unc[] = { "\\\\H\\v", "\\\\.\\X", "\\\\" };
    static const char *const not_unc[] = { "\\", "//H/v", "C:\\x", "" };
    static const char *const root[] = { "/", "D:", "d:", "D:/", "D:\\" };
    static const char *const not_root[] = {
        "", "\\", "1:", "D:x", "D:\\x", "/x", "/x/..", "\\\\H\\v\\", "//H/v/", "DD:"
    };
    (void)state;
    for (size_t i = 0; i < COUNT(unc); ++i)
        assert_true(fl_path_is_unc(flamenco_text(unc[i])));
    for (size_t i = 0; i < COUNT(not_unc); ++i)
        assert_false(fl_path_is_unc(flamenco_text(not_unc[i])));
    for (size_t i = 0; i < COUNT(root); ++i)
        assert_true(fl_path_is_root(flamenco_text(root[i])));
    for (size_t i = 0; i < COUNT(not_root); ++i)
        assert_false(fl_path_is_root(flamenco_text(not_root[i])));
}

static void paths_separators_are_turned(void **state)
{
    flamenco_str out;
    (void)state;
    assert_int_equal(fl_path_to_slash(arena, FL_STR("a\\b/c\\"), &out), 0);
    assert_text("to_slash", out, "a/b/c/");
    assert_int_equal(fl_path_to_native(arena, FL_STR("a\\b/c"), &out), 0);
    assert_text("to_native", out, "a/b/c");
    assert_string_equal(fl_path_own_platform(), "linux");
}

static void paths_join_follows_the_vectors(void **state)
{
    static const struct {
        const char *parts[4];
        size_t n;
        const char *wanted;
    } rows[] = {
        { { NULL }, 0, "" },
        { { "" }, 1, "" },
        { { "", "x", "", "y" }, 4, "x/y" },
        { { "/", "leaf" }, 2, "/leaf" },
        { { "D:", "leaf" }, 2, "D:/leaf" },
        { { "D:\\a b", "c\\d.txt" }, 2, "D:/a b/c/d.txt" },
        { { "\\\\HOST", "vol" }, 2, "//HOST/vol" },
        { { "a", "..", "b" }, 3, "b" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        flamenco_str parts[4], out;
        for (size_t k = 0; k < rows[i].n; ++k)
            parts[k] = flamenco_text(rows[i].parts[k]);
        assert_int_equal(fl_path_join(arena, parts, rows[i].n, &out), 0);
        assert_text(rows[i].wanted, out, rows[i].wanted);
    }
}

static void paths_base_dir_and_stem_follow_the_vectors(void **state)
{
    static const struct {
        const char *in, *base, *dir, *stem;
    } rows[] = {
        { "", ".", ".", "" },
        { "report.txt", "report.txt", ".", "report" },
        { "/srv/my files/a b.blend", "a b.blend", "/srv/my files", "a b" },
        { "D:\\show\\\xC3\xA9\\tex.001.exr", "tex.001.exr", "D:/show/\xC3\xA9", "tex.001" },
        { "\\\\?\\UNC\\host\\vol\\t.v2.blend", "t.v2.blend", "//?/UNC/host/vol", "t.v2" },
        { "\\\\HOST\\vol\\dir\\leaf", "leaf", "//HOST/vol/dir", "leaf" },
        { "/", "/", "/", "/" },
        { "//", "/", "/", "/" },
        { "\\", "/", "/", "/" },
        { "/top", "top", "/", "top" },
        { "D:\\top", "top", "D:", "top" },
        { "/mix\\ed/leaf", "leaf", "/mix/ed", "leaf" },
        { "a/b/", "b", "a/b", "b" },
        { ".hidden", ".hidden", ".", "" },
        { "trail.", "trail.", ".", "trail" },
        { "a.tar.xz", "a.tar.xz", ".", "a.tar" },
    };
    flamenco_str out;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_int_equal(fl_path_base(arena, flamenco_text(rows[i].in), &out), 0);
        assert_text(rows[i].in, out, rows[i].base);
        assert_int_equal(fl_path_dir(arena, flamenco_text(rows[i].in), &out), 0);
        assert_text(rows[i].in, out, rows[i].dir);
        assert_int_equal(fl_path_stem(arena, flamenco_text(rows[i].in), &out), 0);
        assert_text(rows[i].in, out, rows[i].stem);
    }
}

static void paths_clean_and_absolute_work_by_text(void **state)
{
    static const char *const rows[][2] = {
        { "", "." },    { ".", "." },           { "a/./b", "a/b" },    { "a/../..", ".." },    { "../a/../b", "../b" },
        { "/..", "/" }, { "/a/../../b", "/b" }, { "//a//b/", "/a/b" }, { "a/b/../../c", "c" }, { "../../x", "../../x" },
        { "/", "/" },   { "/...", "/..." },     { "./..", ".." },
    };
    static const char *const absolute[][2] = {
        { "", "/w" },         { "x", "/w/x" },     { "../x/", "/x" },
        { "/a/./b", "/a/b" }, { "../../..", "/" }, { "~/x", "/w/~/x" },
    };
    flamenco_str out;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        assert_int_equal(fl_path_clean(arena, flamenco_text(rows[i][0]), &out), 0);
        assert_text(rows[i][0], out, rows[i][1]);
    }
    for (size_t i = 0; i < COUNT(absolute); ++i) {
        assert_int_equal(fl_path_absolute(arena, FL_STR("/w"), flamenco_text(absolute[i][0]), &out), 0);
        assert_text(absolute[i][0], out, absolute[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_to_platform_follows_the_vectors),
        cmocka_unit_test(paths_trim_trailing_follows_the_vectors),
        cmocka_unit_test(paths_drive_absolute_follows_the_vectors),
        cmocka_unit_test(paths_unc_and_root_follow_the_vectors),
        cmocka_unit_test(paths_separators_are_turned),
        cmocka_unit_test(paths_join_follows_the_vectors),
        cmocka_unit_test(paths_base_dir_and_stem_follow_the_vectors),
        cmocka_unit_test(paths_clean_and_absolute_work_by_text),
    };
    return cmocka_run_group_tests_name("config_paths", tests, setup, teardown);
}
