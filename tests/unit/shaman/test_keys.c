/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keys.c - names of clients: checksums, paths of checkouts and of files in them (contract: shaman 2, 4.1, 5).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "shaman.h"
#include "store_fixture.h"

static void key_is_accepted_only_for_64_lower_case_digits_and_a_size(void **state)
{
    static const struct {
        const char *sha;
        int64_t size;
        int valid;
    } cases[] = {
        { SHA_A, 11, 1 },
        { SHA_E, 0, 1 },
        { SHA_A, INT64_MAX, 1 },
        { SHA_A, -1, 0 },
        { "", 11, 0 },
        { "b9", 11, 0 },
        { "B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9", 11, 0 },
        { "../../../../../../../../../../../../../../../../../../etc/passwd", 11, 0 },
        { "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9a", 11, 0 },
        { "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcdeg", 11, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_sh_key key;
        assert_int_equal(fl_sh_key_make(flamenco_text(cases[i].sha), cases[i].size, &key), cases[i].valid);
    }
}

static void key_is_found_in_the_text_of_a_link(void **state)
{
    static const struct {
        const char *text;
        int found;
    } cases[] = {
        { "../../" BLOB_A, 1 },
        { "/mnt/other/" BLOB_A, 1 },
        { BLOB_A, 1 },
        { "../../file-store/stored/b9/4d27/11.blob", 0 },
        { "../../" BLOB_A "x", 0 },
        { "11.blob", 0 },
        { "", 0 },
        { "b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/11.blob", 0 },
        { "x/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/.blob", 0 },
        { "x/b9/4d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9/99999999999999999999.blob", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_sh_key key = { .size = -1 };
        assert_int_equal(fl_sh_key_of_path(cases[i].text, strlen(cases[i].text), &key), cases[i].found);
        if (cases[i].found) {
            assert_string_equal(key.sha, SHA_A);
            assert_int_equal(key.size, 11);
        }
    }
}

static void checkout_path_follows_the_table(void **state)
{
    static const struct {
        const char *wanted, *name, *joined; /* name NULL: refused */
    } cases[] = {
        { "a", "a", "a" },
        { "Dept A/seq 2/shot 14/2026-01-31-11-30-k3x9", "Dept A/seq 2/shot 14/2026-01-31-11-30-k3x9",
          "Dept A/seq 2/shot 14/2026-01-31-11-30-k3x9" },
        { "ñandú/日本語 ロボット", "ñandú/日本語 ロボット", "ñandú/日本語 ロボット" },
        { "", NULL, NULL },
        { "/abs", NULL, NULL },
        { "//a", NULL, NULL },
        { "/", NULL, NULL },
        { "a\\b", NULL, NULL },
        { "\\a", NULL, NULL },
        { "C:/x", NULL, NULL },
        { "shot: final", NULL, NULL },
        { "a?b", NULL, NULL },
        { "*", NULL, NULL },
        { ";", NULL, NULL },
        { "{jobs}/x", NULL, NULL },
        { "a}b", NULL, NULL },
        { "../a", NULL, NULL },
        { "a/../b", NULL, NULL },
        { "a/..", NULL, NULL },
        { "..", NULL, NULL },
        /* harmless names, which the reference refuses by accident */
        { "a/..b", "a/..b", "a/..b" },
        { "a../b", "a../b", "a../b" },
        { "a/...", "a/...", "a/..." },
        { "..a/b", "..a/b", "..a/b" },
        { "...", "...", "..." },
        /* cleaned on disk, returned as they are; not at the end, where a suffix would lead into the directory */
        { "./a", "./a", "a" },
        { "a/./b", "a/./b", "a/b" },
        { "a//b", "a//b", "a/b" },
        { "a/", "a", "a" },
        { "a/.", "a", "a" },
        { "a/.//", "a", "a" },
        { ".", "unnamed", "unnamed" },
        { "./.", "unnamed", "unnamed" },
        { " a", " a", " a" },
        { "%2e%2e/x", "%2e%2e/x", "%2e%2e/x" },
        { "a\nb", "a\nb", "a\nb" },
        { "~", "~", "~" },
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_sh_path path;
        const char *name = NULL;
        int32_t rc = fl_sh_checkout_path(&f->fake.host, flamenco_text(cases[i].wanted), &path, &name, &f->err);
        assert_int_equal(rc, cases[i].name != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (rc != FLAMENCO_OK)
            continue;
        char joined[256] = "";
        const char *component = path.text;
        for (uint32_t k = 0; k < path.n; ++k, component = fl_sh_next(component)) {
            strcat(joined, k > 0 ? "/" : "");
            strcat(joined, component);
        }
        assert_string_equal(name, cases[i].name);
        assert_string_equal(joined, cases[i].joined);
        f->fake.host.free(f->fake.host.h, path.text);
    }
}

static void paths_with_nul_or_too_long_are_refused(void **state)
{
    fixture *f = *state;
    fl_sh_path path;
    const char *name;
    char text[5000];
    flamenco_str nul = { "a\0b", 3 };
    assert_int_equal(fl_sh_checkout_path(&f->fake.host, nul, &path, &name, &f->err), FLAMENCO_E_INVALID);
    assert_int_equal(fl_sh_file_path(&f->fake.host, nul, &path, &f->err), FLAMENCO_E_INVALID);
    memset(text, 'n', sizeof(text));
    text[256] = '\0';
    assert_int_equal(fl_sh_checkout_path(&f->fake.host, flamenco_text(text), &path, &name, &f->err),
                     FLAMENCO_E_INVALID);
    assert_int_equal(fl_sh_file_path(&f->fake.host, flamenco_text(text), &path, &f->err), FLAMENCO_E_INVALID);
    for (size_t i = 0; i < sizeof(text) - 1; ++i)
        text[i] = i % 2 == 0 ? 'd' : '/';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(fl_sh_file_path(&f->fake.host, flamenco_text(text), &path, &f->err), FLAMENCO_E_INVALID);
    text[2001] = '\0'; /* 1001 levels in few bytes */
    assert_int_equal(fl_sh_file_path(&f->fake.host, flamenco_text(text), &path, &f->err), FLAMENCO_E_INVALID);
}

static void file_path_follows_the_table(void **state)
{
    static const struct {
        const char *wanted, *joined; /* NULL: refused */
    } cases[] = {
        { "top.txt", "top.txt" },
        { "./c.txt", "c.txt" },
        { "dir/", "dir" },
        { "a//b", "a/b" },
        { "d\\e.txt", "d/e.txt" },
        { "a\\b\\c", "a/b/c" },
        { "a:b", "a:b" },
        { "...", "..." },
        { "", NULL },
        { "/etc/foo", NULL },
        { "\\etc", NULL },
        { "C:\\x", NULL },
        { "c:/x", NULL },
        { "../x", NULL },
        { "a/../b", NULL },
        { "a\\..\\b", NULL },
        { ".", NULL },
        { "./", NULL },
        { "a/..", NULL },
        { "..", NULL },
        { "я/日本 語.txt", "я/日本 語.txt" },
        { "a*b?{}", "a*b?{}" },
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_sh_path path;
        int32_t rc = fl_sh_file_path(&f->fake.host, flamenco_text(cases[i].wanted), &path, &f->err);
        assert_int_equal(rc, cases[i].joined != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (rc != FLAMENCO_OK)
            continue;
        char joined[256] = "";
        const char *component = path.text;
        for (uint32_t k = 0; k < path.n; ++k, component = fl_sh_next(component)) {
            strcat(joined, k > 0 ? "/" : "");
            strcat(joined, component);
        }
        assert_string_equal(joined, cases[i].joined);
        f->fake.host.free(f->fake.host.h, path.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_accepted_only_for_64_lower_case_digits_and_a_size),
        cmocka_unit_test(key_is_found_in_the_text_of_a_link),
        cmocka_unit_test_setup_teardown(checkout_path_follows_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_with_nul_or_too_long_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(file_path_follows_the_table, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
