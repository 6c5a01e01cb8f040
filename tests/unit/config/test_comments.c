/* SPDX-License-Identifier: Apache-2.0
 *
 * test_comments.c - comments of the old configuration file in the new one.
 */
#include "core/base/buf.h"
#include "core/config/comments.h"
#include "tests/unit/config/support.h"

#define HEADER \
    "# Configuration of Flamenco Manager.\n#\n# a\n# b\n#\n# Written 2026-03-04 05:06:07 +01:00 by Flamenco\n\n"
#define VALUE(audience, platform, value) \
    "    - audience: " audience "\n      platform: " platform "\n      value: " value "\n"
/* What a writer makes. */
static const char fresh[] = HEADER "_meta:\n  version: 3\nmanager_name: x\nlisten: ':8080'\nshaman:\n  enabled: true\n"
                                   "variables:\n  a:\n    values:\n" VALUE("all", "linux", "/a")
                                       VALUE("users", "linux", "/u") "  b:\n    values: []\n";

typedef struct row {
    const char *what, *old, *wanted; /* wanted: what differs from `fresh`, "from|to|from|to"; NULL: nothing to keep */
} row;

static const row rows[] = {
    { "no comments", "_meta: {version: 3}\n", NULL },
    { "nothing", "", NULL },
    { "no YAML", "# x\na: [\n", NULL },
    { "only a manager's own header", HEADER "_meta: {version: 3}\n", NULL },
    { "above a key", "_meta: {version: 3}\n# the name\n# of it\nmanager_name: old\n",
      "manager_name: x|# the name\n# of it\nmanager_name: x" },
    { "behind a value", "_meta: {version: 3}\nmanager_name: old # short\n", "manager_name: x|manager_name: x # short" },
    { "indented anew", "_meta: {version: 3}\nshaman:\n        # deep\n        enabled: true # on\n",
      "  enabled: true|  # deep\n  enabled: true # on" },
    { "behind a map in braces", "_meta: {version: 3}\nshaman: {enabled: true} # all\n", "shaman:|shaman: # all" },
    { "a # in texts", "_meta: {version: 3}\nmanager_name: 'a # b'\nlisten: \"# c\"\ndatabase: a#b\n", NULL },
    { "a # in long texts", "_meta: {version: 3}\nmanager_name: |\n  # no\n  # comment\nlisten: 'x\n  # y'\n", NULL },
    { "the top block stays on top", "# mine\n# too\n\n_meta: {version: 3}\n", "\n\n_meta|\n\n# mine\n# too\n\n_meta" },
    { "also behind a manager's header", HEADER "# mine\n\n_meta: {version: 3}\n", "\n\n_meta|\n\n# mine\n\n_meta" },
    { "another header of that size is kept", "# 1\n# 2\n# 3\n# 4\n# 5\n# 6\n\n_meta: {version: 3}\n",
      "\n\n_meta|\n\n# 1\n# 2\n# 3\n# 4\n# 5\n# 6\n\n_meta" },
    { "the end", "_meta: {version: 3}\nmanager_name: x\n\n# end\n", "values: []\n|values: []\n\n# end\n" },
    { "only comments", "# all\n# gone\n", "values: []\n|values: []\n# all\n# gone\n" },
    { "an unknown key takes its comment along", "_meta: {version: 3}\n# of colour\ncolour: red # deep\n", "x|x" },
    { "keys in another order", "# n\nmanager_name: x\n# m\n_meta: {version: 3}\n",
      "_meta|# m\n_meta|manager_name|# n\nmanager_name" },
    { "a variable", "_meta: {version: 3}\nvariables:\n  # of b\n  b: {}\n  # of a\n  a: {} # gone\n",
      "  a:|  # of a\n  a: # gone|  b:|  # of b\n  b:" },
    { "values are known by audience and platform",
      "_meta: {version: 3}\nvariables:\n  a:\n    values:\n    # users\n    - {platform: linux, audience: users, "
      "value: x}\n"
      "    # all\n    - platform: linux\n      value: x # v\n    # nobody\n    - platform: windows\n      value: y\n",
      "    - audience: all|    # all\n    - audience: all|value: /a|value: /a # v|    - audience: users|    # users\n"
      "    - audience: users" },
    { "the same value of another variable",
      "variables:\n  b:\n    values:\n    # b\n    - platform: linux\n      value: x\n", "x|x" },
    { "line ends of Windows and a byte-order mark", "\xEF\xBB\xBF_meta: {version: 3}\r\n# n\r\nmanager_name: y # m\r\n",
      "manager_name: x|# n\nmanager_name: x # m" },
    { "a repeated key", "_meta: {version: 3}\n# 1\nlisten: a # 2\n# 3\nlisten: b # 4\n",
      "listen: ':8080'|# 1\n# 3\nlisten: ':8080' # 2 # 4" },
    { "other line breaks", "_meta: {version: 3}\n# a\xC2\x85# b\xE2\x80\xA8# c\nmanager_name: y\n",
      "manager_name|# a # b # c\nmanager_name" },
    { "anchors, aliases and tags", "_meta: &m {version: 3} # 1\nmanager_name: !!str y # 2\nshaman: *m # 3\n",
      "_meta:|_meta: # 1|manager_name: x|manager_name: x # 2|shaman:|shaman: # 3" },
    { "a second document is nobody's", "_meta: {version: 3}\n---\n# x\nmanager_name: z\n", NULL },
    { "blank lines one at a time", "_meta: {version: 3}\n\n\n\n# n\n\n\nmanager_name: y\n",
      "manager_name|\n# n\n\nmanager_name" },
};

/* Applies "from|to|from|to" to `text`. */
static char *change(const char *text, const char *changes)
{
    char *now = strdup(text), *rest = strdup(changes), *at = rest;
    assert_true(now != NULL && rest != NULL);
    while (at != NULL) {
        char *from = strsep(&at, "|"), *to = strsep(&at, "|"), *next = NULL;
        const char *hit = strstr(now, from);
        assert_true(to != NULL && hit != NULL);
        assert_true(asprintf(&next, "%.*s%s%s", (int)(hit - now), now, to, hit + strlen(from)) > 0);
        free(now);
        now = next;
    }
    free(rest);
    return now;
}

static int32_t keep(const char *old, const char *text, fl_buf *out)
{
    fl_arena *arena = fl_arena_create(0);
    assert_non_null(arena);
    int32_t rc = fl_comments_keep(arena, flamenco_text(old), flamenco_text(text), out);
    fl_arena_destroy(arena);
    fl_buf_add_char(out, '\0');
    assert_false(out->failed);
    return rc;
}

static void comments_go_where_their_keys_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_buf out = { 0 };
        int32_t rc = keep(rows[i].old, fresh, &out);
        char *wanted = change(fresh, rows[i].wanted != NULL ? rows[i].wanted : "x|x");
        if (rc == FLAMENCO_E_INVALID) {
            if (rows[i].wanted != NULL)
                fail_msg("%s: nothing was kept", rows[i].what);
            assert_string_equal(out.data, "");
        } else {
            assert_int_equal(rc, FLAMENCO_OK);
            if (strcmp(out.data, wanted) != 0)
                fail_msg("%s:\n%s--- wanted:\n%s", rows[i].what, out.data, wanted);
        }
        free(wanted);
        fl_buf_fini(&out);
    }
}

/* Saving again and again changes nothing more. */
static void comments_settle(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_buf once = { 0 }, twice = { 0 };
        if (keep(rows[i].old, fresh, &once) == FLAMENCO_OK && keep(once.data, fresh, &twice) == FLAMENCO_OK &&
            strcmp(once.data, twice.data) != 0)
            fail_msg("%s:\n%s--- then:\n%s", rows[i].what, once.data, twice.data);
        fl_buf_fini(&once);
        fl_buf_fini(&twice);
    }
}

/* Whatever stands in the old file, cut off anywhere: what is read from the new one stays the same. */
static void comments_change_no_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        for (size_t cut = 0; cut <= strlen(rows[i].old); ++cut) {
            fl_buf out = { 0 }, before = { 0 }, after = { 0 };
            loaded a, b;
            char *old = strndup(rows[i].old, cut);
            assert_non_null(old);
            if (keep(old, fresh, &out) == FLAMENCO_OK) {
                load_text(&a, fresh, 0);
                load_bytes(&b, (flamenco_str){ out.data, out.len - 1 });
                assert_int_equal(a.rc, FLAMENCO_OK);
                if (b.rc != FLAMENCO_OK)
                    fail_msg("%s, cut at %zu:\n%s", rows[i].what, cut, out.data);
                fl_reference_json(&a.ref, &before);
                fl_reference_json(&b.ref, &after);
                assert_int_equal(before.len, after.len);
                assert_memory_equal(before.data, after.data, before.len);
                loaded_free(&a);
                loaded_free(&b);
            }
            free(old);
            fl_buf_fini(&out);
            fl_buf_fini(&before);
            fl_buf_fini(&after);
        }
    }
}

static void comments_in_huge_numbers_are_not_kept(void **state)
{
    fl_buf old = { 0 }, out = { 0 };
    (void)state;
    for (int i = 0; i < 30000; ++i)
        fl_buf_add_text(&old, "# x\n");
    fl_buf_add_text(&old, "_meta: {version: 3}\n");
    fl_buf_add_char(&old, '\0');
    assert_int_equal(keep(old.data, fresh, &out), FLAMENCO_E_INVALID);
    fl_buf_fini(&old);
    fl_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_go_where_their_keys_go),
        cmocka_unit_test(comments_settle),
        cmocka_unit_test(comments_change_no_value),
        cmocka_unit_test(comments_in_huge_numbers_are_not_kept),
    };
    return cmocka_run_group_tests_name("config_comments", tests, NULL, NULL);
}
