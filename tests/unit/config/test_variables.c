/* SPDX-License-Identifier: Apache-2.0
 *
 * test_variables.c - the vectors of configuration-and-clients 2 and api-behaviour 8, as decisions.md changes them.
 */
#include "core/config/variables.h"
#include "tests/unit/config/support.h"

typedef struct fixture {
    loaded l;
    fl_variables *v;
    fl_arena *arena;
} fixture;

static void open_fixture(fixture *f, const char *yaml, const char *platform)
{
    flamenco_str jobs;
    load_text(&f->l, yaml, 1);
    assert_int_equal(f->l.rc, FLAMENCO_OK);
    assert_int_equal(fl_reference_storage(&f->l.ref, f->l.arena, CWD, 1, &jobs), FLAMENCO_OK);
    f->v = fl_variables_create(&f->l.ref, jobs, flamenco_text(platform));
    assert_non_null(f->v);
    f->arena = fl_arena_create(0);
    assert_non_null(f->arena);
}

static void close_fixture(fixture *f)
{
    fl_arena_destroy(f->arena);
    fl_variables_destroy(f->v);
    loaded_free(&f->l);
}

static const char vectors[] =
    "shared_storage_path: /mnt/ren/flamenco\n"
    "variables:\n"
    "  ren:\n    is_twoway: true\n    values:\n"
    "    - {platform: linux, value: /mnt/ren/}\n    - {platform: windows, value: 'R:\\ren'}\n"
    "    - {platform: darwin, value: /Volumes/ren}\n"
    "  drv:\n    is_twoway: true\n    values:\n"
    "    - {platform: linux, value: /mnt/drv}\n    - {platform: windows, value: 'F:\\'}\n"
    "  w:\n    is_twoway: true\n    values:\n"
    "    - {audience: workers, platform: linux, value: /farm/w}\n"
    "    - {audience: users, platform: linux, value: /user/w}\n"
    "    - {platform: windows, value: 'W:'}\n"
    "  tool: {values: [{platform: all, value: /opt/tool}, {platform: windows, value: 'C:\\tool.exe'},"
    " {audience: users, platform: linux, value: /home/tool}]}\n"
    "  pth: {values: [{platform: all, value: /mnt/ren/static}]}\n"
    "  nest: {values: [{platform: all, value: '{tool} --x {ren}/y'}]}\n"
    "  deep: {values: [{platform: all, value: '<{nest}>'}]}\n"
    "  loop: {values: [{platform: all, value: '{loop}.'}]}\n";

static void variables_replace_follows_the_vectors(void **state)
{
    static const struct {
        const char *platform, *in, *wanted; /* NULL: unchanged */
    } rows[] = {
        { "linux", "/mnt/ren/a", "{ren}/a" },
        { "linux", "/mnt/ren", "{ren}" },
        { "linux", "/mnt/ren/", "{ren}/" },
        { "linux", "/MNT/Ren/A", "{ren}/A" },
        { "linux", "\\mnt\\ren\\a", "{ren}\\a" },
        { "linux", "/mnt/renders/a", NULL }, /* decisions.md: component boundary */
        { "linux", "x/mnt/ren/a", NULL },
        { "linux", "/opt/tool/a", NULL },
        { "linux", "{ren}/a", NULL },
        { "linux", "/farm/w/a", "{w}/a" },
        { "linux", "/user/w/a", NULL },
        { "linux", "", NULL },
        { "manager", "/mnt/ren/a", "{ren}/a" },
        { "windows", "R:\\ren\\a", "{ren}\\a" },
        { "windows", "r:/REN/a", "{ren}/a" },
        { "windows", "F:\\a", "{drv}\\a" },
        { "windows", "F:a", "{drv}a" },
        { "windows", "F:", "{drv}" },
        { "windows", "W:\\q", "{w}\\q" },
        { "darwin", "/mnt/ren/x", NULL },
        { "amiga", "/mnt/ren/a", NULL },
    };
    fixture f;
    (void)state;
    open_fixture(&f, vectors, "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        flamenco_str in = flamenco_text(rows[i].in), out;
        assert_int_equal(fl_variables_replace(f.v, f.arena, flamenco_text(rows[i].platform), in, &out), FLAMENCO_OK);
        assert_text(rows[i].in, out, rows[i].wanted != NULL ? rows[i].wanted : rows[i].in);
        if (rows[i].wanted == NULL)
            assert_ptr_equal(out.ptr, in.ptr);
    }
    close_fixture(&f);
}

static void variables_replace_takes_the_longest_match(void **state)
{
    static const struct {
        const char *in, *wanted;
    } rows[] = {
        { "/p/q/r", "{b}/r" },
        { "/p/qq", "{a}/qq" },
        { "/p", "{a}" },
        { "/same/x", "{c}/x" },
        { "/q", "/q" },
        { "/\xC3\x9C"
          "ber/x",
          "{u}/x" },
        { "/\xC3\xBC"
          "BER",
          "{u}" },
        { "/\xCE\xA9/x", "{g}/x" },
        { "/\xD1\x8F/x", "{k}/x" },
        { "/\xC5\xBB/x", "{z}/x" },
    };
    fixture f;
    (void)state;
    open_fixture(&f,
                 "variables:\n"
                 "  a: {is_twoway: yes, values: [{platform: all, value: /p}]}\n"
                 "  b: {is_twoway: yes, values: [{platform: linux, value: /p/q}]}\n"
                 "  d: {is_twoway: yes, values: [{platform: linux, value: /same}]}\n"
                 "  c: {is_twoway: yes, values: [{platform: linux, value: /same/}]}\n"
                 "  e: {is_twoway: yes, values: [{platform: linux, value: ''}]}\n"
                 "  u: {is_twoway: yes, values: [{platform: linux, value: /\xC3\xBC"
                 "ber}]}\n"
                 "  g: {is_twoway: yes, values: [{platform: linux, value: /\xCF\x89}]}\n"
                 "  k: {is_twoway: yes, values: [{platform: linux, value: /\xD0\xAF}]}\n"
                 "  z: {is_twoway: yes, values: [{platform: linux, value: /\xC5\xBC}]}\n",
                 "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        flamenco_str out;
        assert_int_equal(fl_variables_replace(f.v, f.arena, FL_STR("linux"), flamenco_text(rows[i].in), &out), 0);
        assert_text(rows[i].in, out, rows[i].wanted);
    }
    close_fixture(&f);
}

#define SAME NULL

static void variables_expand_follows_the_vectors(void **state)
{
    static const char *const platforms[] = { "linux", "windows", "darwin", "amiga" };
    static const struct {
        const char *in, *wanted[4];
    } rows[] = {
        { "{jobs}/a/b.blend",
          { "/mnt/ren/flamenco/jobs/a/b.blend", "R:\\ren\\flamenco\\jobs\\a\\b.blend",
            "/Volumes/ren/flamenco/jobs/a/b.blend", "/mnt/ren/flamenco/jobs/a/b.blend" } },
        { "{ren}/x/y.png", { "/mnt/ren/x/y.png", "R:\\ren\\x\\y.png", "/Volumes/ren/x/y.png", SAME } },
        { "{ren}/", { "/mnt/ren", "R:\\ren", "/Volumes/ren", SAME } },
        { "{ren}x", { "/mnt/renx", "R:\\renx", "/Volumes/renx", SAME } },
        { "{drv}", { "/mnt/drv", "F:\\", SAME, SAME } },
        { "{drv}/x", { "/mnt/drv/x", "F:\\x", SAME, SAME } },
        { "{drv}x/y", { "/mnt/drvx/y", "F:\\x\\y", SAME, SAME } },
        { "{tool}", { "/opt/tool", "C:\\tool.exe", "/opt/tool", "/opt/tool" } },
        { "{tool} a/b\\c", { "/opt/tool a/b\\c", "C:\\tool.exe a/b\\c", "/opt/tool a/b\\c", "/opt/tool a/b\\c" } },
        { "{pth}/z", { "/mnt/ren/static/z", "R:\\ren\\static\\z", "/Volumes/ren/static/z", "/mnt/ren/static/z" } },
        { "/mnt/ren/a/b", { SAME, "R:\\ren\\a\\b", "/Volumes/ren/a/b", SAME } },
        { "/mnt/renders/a", { SAME, SAME, SAME, SAME } }, /* decisions.md: component boundary */
        { "/MNT/REN/a", { SAME, SAME, SAME, SAME } },
        { "pre /mnt/ren/a", { SAME, SAME, SAME, SAME } },
        { "-o {ren}/a//b\\c/", { "-o /mnt/ren/a/b/c", "-o R:\\ren\\a\\b\\c", "-o /Volumes/ren/a/b/c", SAME } },
        { "{ren}/{drv}/z", { "/mnt/ren/mnt/drv/z", "R:\\ren\\F:\\z", "/Volumes/ren/{drv}/z", SAME } },
        { "{ren} {tool} a/b",
          { "/mnt/ren /opt/tool a/b", "R:\\ren C:\\tool.exe a\\b", "/Volumes/ren /opt/tool a/b",
            "{ren} /opt/tool a/b" } },
        { "/mnt/drv", { SAME, "F:\\", SAME, SAME } },
        { "{missing}/a", { SAME, SAME, SAME, SAME } },
        { "{ ren}/a", { SAME, SAME, SAME, SAME } },
        { "{REN}/a", { SAME, SAME, SAME, SAME } },
        { "/plain\\x", { SAME, SAME, SAME, SAME } },
        { "http://h//x", { SAME, SAME, SAME, SAME } },
        { "", { SAME, SAME, SAME, SAME } },
        { "pad=ceil(iw/2)*2", { SAME, SAME, SAME, SAME } },
        /* one-way values within one-way values: always, and to a bounded depth */
        { "{nest}",
          { "/opt/tool --x /mnt/ren/y", "C:\\tool.exe --x R:\\ren\\y", "/opt/tool --x /Volumes/ren/y",
            "/opt/tool --x {ren}/y" } },
        { "{deep}",
          { "</opt/tool --x /mnt/ren/y>", "<C:\\tool.exe --x R:\\ren\\y>", "</opt/tool --x /Volumes/ren/y>",
            "</opt/tool --x {ren}/y>" } },
        { "{loop}", { "{loop}........", "{loop}........", "{loop}........", "{loop}........" } },
        { "{{tool}}", { "{/opt/tool}", "{C:\\tool.exe}", "{/opt/tool}", "{/opt/tool}" } },
        { "{", { SAME, SAME, SAME, SAME } },
        { "{tool", { SAME, SAME, SAME, SAME } },
        { "}{}", { SAME, SAME, SAME, SAME } },
    };
    fixture f;
    (void)state;
    open_fixture(&f, vectors, "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        for (size_t p = 0; p < 4; ++p) {
            flamenco_str out;
            char what[128];
            const char *wanted = rows[i].wanted[p] != SAME ? rows[i].wanted[p] : rows[i].in;
            snprintf(what, sizeof(what), "%s on %s", rows[i].in, platforms[p]);
            assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), flamenco_text(platforms[p]),
                                                 flamenco_text(rows[i].in), &out),
                             FLAMENCO_OK);
            assert_text(what, out, wanted);
        }
    }
    close_fixture(&f);
}

static void variables_expand_in_more_situations(void **state)
{
    static const char win[] = "variables: {m: {is_twoway: yes, values: [{platform: linux, value: /srv/st},"
                              " {platform: windows, value: 'S:\\st'}]}}\n";
    static const char disk[] = "variables: {d: {is_twoway: yes, values: [{platform: linux, value: /mnt/f},"
                               " {platform: windows, value: 'F:\\'}]}}\n";
    static const char empty[] = "variables: {e: {is_twoway: yes, values: [{platform: linux, value: ''},"
                                " {platform: windows, value: 'E:\\'}]}, t: {is_twoway: yes, values: ["
                                "{platform: linux, value: /t}, {platform: windows, value: ''}]}}\n";
    static const char root[] = "variables: {r: {is_twoway: yes, values: [{platform: linux, value: /},"
                               " {platform: windows, value: 'E:\\'}, {platform: darwin, value: /Vol}]}}\n";
    static const struct {
        const char *yaml, *manager, *audience, *platform, *in, *wanted;
    } rows[] = {
        { vectors, "linux", "users", "linux", "{tool}", "/home/tool" },
        { vectors, "linux", "users", "windows", "/user/w/a", "W:\\a" },
        { vectors, "linux", "workers", "windows", "/user/w/a", "/user/w/a" },
        { vectors, "linux", "martians", "windows", "{tool}", "{tool}" },
        { vectors, "linux", "all", "windows", "{tool}", "{tool}" },
        { win, "windows", "workers", "linux", "S:\\st\\flamenco\\a", "/srv/st/flamenco/a" },
        { win, "windows", "workers", "linux", "S:/st/flamenco/a", "/srv/st/flamenco/a" },
        { win, "windows", "workers", "linux", "s:\\st\\a", "s:\\st\\a" },
        { win, "windows", "workers", "windows", "S:/st/a", "S:\\st\\a" },
        { win, "windows", "workers", "darwin", "S:/st/a", "S:/st/a" },
        { disk, "linux", "users", "windows", "/mnt/f", "F:\\" },
        { disk, "linux", "users", "linux", "/mnt/f", "/mnt/f" },
        { empty, "linux", "workers", "windows", "abc", "abc" }, /* decisions.md: empty matches nothing */
        { empty, "linux", "workers", "windows", "/t/x", "/t/x" },
        { root, "linux", "workers", "windows", "/a/b", "E:\\a\\b" },
        { root, "linux", "workers", "windows", "a/b", "a/b" },
        { root, "linux", "workers", "linux", "/a//b/", "/a/b" },
        { root, "linux", "workers", "darwin", "/a/b", "/Vol/a/b" },
        { root, "linux", "workers", "linux", "{r}", "/" }, /* the reference gives an empty text; nobody depends on it */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fixture f;
        flamenco_str out;
        open_fixture(&f, rows[i].yaml, rows[i].manager);
        assert_int_equal(fl_variables_expand(f.v, f.arena, flamenco_text(rows[i].audience),
                                             flamenco_text(rows[i].platform), flamenco_text(rows[i].in), &out),
                         FLAMENCO_OK);
        assert_text(rows[i].in, out, rows[i].wanted);
        close_fixture(&f);
    }
}

static void variables_expand_translates_by_the_longest_match(void **state)
{
    fixture f;
    flamenco_str out;
    (void)state;
    open_fixture(&f,
                 "variables:\n"
                 "  a: {is_twoway: yes, values: [{platform: linux, value: /p}, {platform: windows, value: 'A:'}]}\n"
                 "  b: {is_twoway: yes, values: [{platform: linux, value: /p/q}, {platform: windows, value: 'B:'}]}\n",
                 "linux");
    assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), FL_STR("windows"), FL_STR("/p/q/r"), &out),
                     0);
    assert_text("longest", out, "B:\\r");
    assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), FL_STR("windows"), FL_STR("/p/qq"), &out), 0);
    assert_text("boundary", out, "A:\\qq");
    close_fixture(&f);
}

static void variables_list_is_for_audience_and_platform(void **state)
{
    static const struct {
        const char *audience, *platform, *name, *value; /* value NULL: not there */
    } rows[] = {
        { "workers", "linux", "x", "all-linux" }, /* the later value wins, however specific */
        { "users", "linux", "x", "all-linux" },
        { "workers", "windows", "x", "W" },
        { "users", "windows", "x", "general" },
        { "workers", "darwin", "x", "general" },
        { "workers", "amiga", "x", "general" },
        { "workers", "linux", "F", "F:" },
        { "workers", "linux", "mnt", "/mnt/ren" },
        { "workers", "linux", "root", "/" },
        { "workers", "linux", "one", "C:\\b\\" },
        { "workers", "windows", "one", NULL },
        { "workers", "windows", "jobs", "/srv/jobs" },
        { "workers", "darwin", "listed", "L" },
        { "workers", "linux", "none", NULL },
        { "workers", "linux", "lost", NULL },
        { "workers", "windows", "blenderArgs", "-b -y" },
        { "workers", "windows", "blender", "blender.exe" },
    };
    fixture f;
    const fl_variable *list = NULL;
    (void)state;
    open_fixture(&f,
                 "shared_storage_path: /srv\nvariables:\n"
                 "  x:\n    values:\n    - {audience: workers, platform: linux, value: W-linux}\n"
                 "    - {platform: linux, value: all-linux}\n    - {audience: workers, platform: windows, value: W}\n"
                 "    - {platform: all, value: general}\n"
                 "  F: {is_twoway: yes, values: [{platform: linux, value: 'F:\\'}]}\n"
                 "  mnt: {is_twoway: yes, values: [{platform: linux, value: /mnt/ren/}]}\n"
                 "  root: {is_twoway: yes, values: [{platform: linux, value: ///}]}\n"
                 "  one: {values: [{platform: linux, value: 'C:\\b\\'}]}\n"
                 "  listed: {values: [{platforms: [linux, darwin], value: L}]}\n"
                 "  none: {values: [{value: x}]}\n"
                 "  lost: {values: [{audience: nobody, platform: linux, value: x}]}\n",
                 "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        const char *found = NULL;
        char text[64];
        size_t n = fl_variables_list(f.v, flamenco_text(rows[i].audience), flamenco_text(rows[i].platform), &list);
        for (size_t k = 0; k < n; ++k) {
            if (!fl_str_is(list[k].name, rows[i].name))
                continue;
            snprintf(text, sizeof(text), "%.*s", FL_STR_ARGS(list[k].value));
            found = text;
        }
        if ((found == NULL) != (rows[i].value == NULL) || (found != NULL && strcmp(found, rows[i].value) != 0))
            fail_msg("%s for %s on %s: got %s", rows[i].name, rows[i].audience, rows[i].platform,
                     found != NULL ? found : "nothing");
    }
    assert_int_equal(fl_variables_list(f.v, FL_STR("all"), FL_STR("linux"), &list), 0);
    assert_int_equal(fl_variables_list(f.v, FL_STR(""), FL_STR("linux"), &list), 0);
    assert_int_equal(fl_variables_list(f.v, FL_STR("martians"), FL_STR("linux"), &list), 0);
    close_fixture(&f);
}

static void variables_commands_change_only_parameter_texts(void **state)
{
    static const struct {
        const char *in, *wanted; /* NULL: the very same text */
    } rows[] = {
        { "[]", NULL },
        { " null ", NULL },
        { "[{\"name\":\"{tool}\",\"parameters\":{\"a\":\"run {tool} {tool}\"},\"total_step_count\":3}]",
          "[{\"name\":\"{tool}\",\"parameters\":{\"a\":\"run /opt/tool /opt/tool\"},\"total_step_count\":3}]" },
        { "[{\"parameters\":{\"l\":[\"-o\",\"{ren}/x-####\",3,true,null,[\"{ren}\"],{\"k\":\"{ren}\"}]}}]",
          "[{\"parameters\":{\"l\":[\"-o\",\"/mnt/ren/x-####\",3,true,null,[\"{ren}\"],{\"k\":\"{ren}\"}]}}]" },
        { "[{\"parameters\":{\"l\":[\"-x\", \"{ren}/a\", 3]}}]",
          "[{\"parameters\":{\"l\":[\"-x\", \"/mnt/ren/a\", 3]}}]" },
        { "[{\"parameters\":{\"{tool}\":3,\"{ren}\":\"x\"}}]", NULL },
        { "[{\"parameters\":{\"u\":\"{unknown}/y\",\"d\":{\"deep\":\"{tool}\"}}}]", NULL },
        { "[{\"parameters\":{\"n\":-1.5e3,\"t\":true,\"f\":false,\"z\":null,\"e\":\"\"}}]", NULL },
        { "[ { \"parameters\" : { \"a\" : \"{tool}\" , \"b\" : [ ] } } , { } , 5 , \"{tool}\" ]",
          "[ { \"parameters\" : { \"a\" : \"/opt/tool\" , \"b\" : [ ] } } , { } , 5 , \"{tool}\" ]" },
        { "[{\"parameters\":{\"a\":\"\\u007btool}\"}}]", "[{\"parameters\":{\"a\":\"/opt/tool\"}}]" },
        { "[{\"parameters\":{\"a\":\"\\/mnt\\/ren//x\"}}]", "[{\"parameters\":{\"a\":\"/mnt/ren/x\"}}]" },
        { "[{\"parameters\":{\"a\":\"\\\\mnt\\\\ren\\\\x\"}}]", "[{\"parameters\":{\"a\":\"/mnt/ren/x\"}}]" },
        { "[{\"parameters\":{\"a\":\"{tool} \\\"q\\\" \\u003c\\ud83d\\udc08\\u2028\\n\\ud800\"}}]",
          "[{\"parameters\":{\"a\":\"/opt/tool \\\"q\\\" \\u003c\xF0\x9F\x90\x88\\u2028\\n\xEF\xBF\xBD\"}}]" },
        { "[{\"parameters\":{\"a\":\"x \\\"{\\\" \\u0041\"}}]", NULL },
        { "[{\"parameters\":[\"{tool}\"]}]", NULL },
        { "[{\"parameters\":\"{tool}\"}]", NULL },
    };
    fixture f;
    (void)state;
    open_fixture(&f, vectors, "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        flamenco_str in = flamenco_text(rows[i].in), out;
        assert_int_equal(fl_variables_expand_commands(f.v, f.arena, FL_STR("linux"), in, &out), FLAMENCO_OK);
        assert_text(rows[i].in, out, rows[i].wanted != NULL ? rows[i].wanted : rows[i].in);
        if (rows[i].wanted == NULL)
            assert_ptr_equal(out.ptr, in.ptr);
    }
    flamenco_str out;
    assert_int_equal(fl_variables_expand_commands(f.v, f.arena, FL_STR("windows"),
                                                  FL_STR("[{\"parameters\":{\"a\":\"{ren}/b\"}}]"), &out),
                     FLAMENCO_OK);
    assert_text("windows", out, "[{\"parameters\":{\"a\":\"R:\\\\ren\\\\b\"}}]");
    close_fixture(&f);
}

static void variables_commands_without_variables_cost_no_memory(void **state)
{
    static const char text[] = "[{\"name\":\"blender\",\"parameters\":{\"exe\":\"blender\",\"args\":[\"-b\",\"x y\","
                               "\"C:\\\\x\"],\"n\":5},\"total_step_count\":10}]";
    fixture f;
    flamenco_str out;
    (void)state;
    open_fixture(&f, vectors, "linux");
    size_t before = fl_arena_size(f.arena);
    for (int i = 0; i < 1000; ++i) {
        fl_arena_reset(f.arena);
        assert_int_equal(fl_variables_expand_commands(f.v, f.arena, FL_STR("linux"), flamenco_text(text), &out), 0);
        assert_ptr_equal(out.ptr, text);
    }
    assert_int_equal(fl_arena_size(f.arena), before);
    close_fixture(&f);
}

static void variables_broken_commands_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "{",
        "[",
        "[{",
        "[{\"",
        "[{\"parameters\"",
        "[{\"parameters\":",
        "[{\"parameters\":{",
        "[{\"parameters\":{\"a\"",
        "[{\"parameters\":{\"a\":\"{tool}",
        "[{\"parameters\":{\"a\":\"{tool}\\",
        "[{\"parameters\":{\"a\":\"{tool}\\q\"}}]",
        "[{\"parameters\":{\"a\":\"\\u12\"}}]",
        "[{\"parameters\":{\"a\":\"\\u{tool}\"}}]",
        "[]x",
        "[{]",
        "[1 2]",
        "[{\"parameters\":{\"a\":[\"{tool}\"}}]",
        "[{\"a\":}]",
        "[,]",
        "[{\"a\":[[[}]",
        "nul",
    };
    fixture f;
    flamenco_str out;
    (void)state;
    open_fixture(&f, vectors, "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        /* In memory of just that size, so that a sanitizer sees a step too far. */
        size_t len = strlen(rows[i]);
        char *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, rows[i], len);
        if (fl_variables_expand_commands(f.v, f.arena, FL_STR("linux"), (flamenco_str){ copy, len }, &out) !=
            FLAMENCO_E_INVALID)
            fail_msg("accepted: %s", rows[i]);
        free(copy);
    }
    close_fixture(&f);
}

static void variables_settings_are_replaced_at_the_top_only(void **state)
{
    static const struct {
        const char *in, *wanted;
    } rows[] = {
        { "{\"a\":\"/srv/st/a.blend\"}", "{\"a\":\"{store}/a.blend\"}" },
        { "{\"a\":\"/backup/srv/st/a\",\"b\":[\"/srv/st/a\"],\"c\":3,\"d\":true,\"e\":{\"f\":\"/srv/st\"}}", NULL },
        { "{\"a\":\"/srv/st\",\"/srv/st\":\"\\/srv\\/st\\/\\u00e9\"}",
          "{\"a\":\"{store}\",\"/srv/st\":\"{store}/\xC3\xA9\"}" },
        { "{}", NULL },
    };
    fixture f;
    flamenco_str out;
    (void)state;
    open_fixture(&f,
                 "variables: {store: {is_twoway: yes, values: [{platform: linux, value: /srv/st},"
                 " {platform: windows, value: 'Z:/st'}]}}\n",
                 "linux");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_equal(fl_variables_replace_object(f.v, f.arena, FL_STR("linux"), flamenco_text(rows[i].in), &out),
                         0);
        assert_text(rows[i].in, out, rows[i].wanted != NULL ? rows[i].wanted : rows[i].in);
    }
    assert_int_equal(fl_variables_replace_object(f.v, f.arena, FL_STR("linux"), FL_STR("[]"), &out),
                     FLAMENCO_E_INVALID);
    close_fixture(&f);
}

static void variables_that_grow_without_bound_are_stopped(void **state)
{
    fixture f;
    flamenco_str out;
    char yaml[8192], in[3 * 1000 + 1];
    size_t n = (size_t)snprintf(yaml, sizeof(yaml), "variables:\n  a: {values: [{platform: all, value: ''}]}\n");
    (void)state;
    for (char c = 'b'; c <= 'h'; ++c) {
        n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "  %c: {values: [{platform: all, value: '", c);
        for (int i = 0; i < 100; ++i)
            n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "{%c}", c - 1);
        n += (size_t)snprintf(yaml + n, sizeof(yaml) - n, "'}]}\n");
    }
    open_fixture(&f, yaml, "linux");
    assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), FL_STR("linux"), FL_STR("{h}"), &out),
                     FLAMENCO_E_FULL);
    close_fixture(&f);

    n = (size_t)snprintf(yaml, sizeof(yaml), "variables: {b: {values: [{platform: all, value: '");
    memset(yaml + n, 'x', 4096);
    n += 4096;
    snprintf(yaml + n, sizeof(yaml) - n, "'}]}, c: {values: [{platform: all, value: '{b}{b}{b}{b}{b}{b}{b}{b}'}]}}\n");
    for (size_t i = 0; i < 1000; ++i)
        memcpy(in + 3 * i, "{c}", 3);
    in[3000] = '\0';
    open_fixture(&f, yaml, "linux");
    assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), FL_STR("linux"), flamenco_text(in), &out),
                     FLAMENCO_E_FULL);
    in[3 * 100] = '\0';
    assert_int_equal(fl_variables_expand(f.v, f.arena, FL_STR("workers"), FL_STR("linux"), flamenco_text(in), &out),
                     FLAMENCO_OK);
    assert_int_equal(out.len, 100 * 8 * 4096);
    close_fixture(&f);
}

static void variables_bad_utf8_in_the_storage_path_stays_out_of_json(void **state)
{
    loaded l;
    flamenco_str out;
    (void)state;
    load_text(&l, "", 1);
    fl_variables *v = fl_variables_create(&l.ref, FL_STR("/a\xFF/jobs"), FL_STR("linux"));
    assert_non_null(v);
    assert_int_equal(fl_variables_expand(v, l.arena, FL_STR("workers"), FL_STR("linux"), FL_STR("{jobs}"), &out), 0);
    assert_text("jobs", out, "/a\xEF\xBF\xBD/jobs");
    fl_variables_destroy(v);
    loaded_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_replace_follows_the_vectors),
        cmocka_unit_test(variables_replace_takes_the_longest_match),
        cmocka_unit_test(variables_expand_follows_the_vectors),
        cmocka_unit_test(variables_expand_in_more_situations),
        cmocka_unit_test(variables_expand_translates_by_the_longest_match),
        cmocka_unit_test(variables_list_is_for_audience_and_platform),
        cmocka_unit_test(variables_commands_change_only_parameter_texts),
        cmocka_unit_test(variables_commands_without_variables_cost_no_memory),
        cmocka_unit_test(variables_broken_commands_are_refused),
        cmocka_unit_test(variables_settings_are_replaced_at_the_top_only),
        cmocka_unit_test(variables_that_grow_without_bound_are_stopped),
        cmocka_unit_test(variables_bad_utf8_in_the_storage_path_stays_out_of_json),
    };
    return cmocka_run_group_tests_name("config_variables", tests, NULL, NULL);
}
