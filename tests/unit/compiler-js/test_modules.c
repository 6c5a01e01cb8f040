/* SPDX-License-Identifier: Apache-2.0
 *
 * test_modules.c - require: job-compiler 2.2.
 */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "modules.h"

static rig r;

static int setup(void **state)
{
    (void)state;
    rig_init(&r);
    rig_start(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    return 0;
}

static void modules_are_found_where_the_contract_says(void **state)
{
    (void)state;
    rig_write(&r, "lib/util.js",
              "exports.name = 'util';\nexports.data = require('./data');\nexports.up = require('../top');");
    rig_write(&r, "lib/data.json", "{\"a\": [1, 2]}");
    rig_write(&r, "lib/exact", "module.exports = 'exact';");
    rig_write(&r, "lib/exact.js", "module.exports = 'with extension';");
    rig_write(&r, "top.js", "module.exports = 'top';");
    rig_write(&r, "node_modules/pack.js", "module.exports = 'pack';");
    rig_write(&r, "node_modules/deep/inner.js", "module.exports = 'deep';");
    rig_write(&r, "lib/node_modules/near.js", "module.exports = 'near';");
    rig_write(&r, "lib/user.js", "module.exports = [require('near'), require('pack'), require('deep/inner.js')];");
    rig_write(&r, "node_modules/author.js", "module.exports = 'not this one';");
    static const vector vectors[] = {
        { "require('./lib/util').name", "\"util\"" },
        { "require('./lib/util.js').data", "{\"a\": [1, 2]}" },
        { "require('./lib/../lib/./util').up", "\"top\"" },
        { "require('./lib/exact')", "\"exact\"" },
        { "require('pack')", "\"pack\"" },
        { "require('deep/inner')", "\"deep\"" },
        { "require('./lib/user')", "[\"near\", \"pack\", \"deep\"]" },
        { "require('./lib/util') === require('./lib/util.js')", "true" },
        { "require('author') === author", "true" },
        { "require('near')", "!there is no module near" },
        { "require('./missing')", "!there is no module ./missing" },
        { "require('../scripts/top')", "!outside" },
        { "require('../outside')", "!outside" },
        { "require('./lib/../../outside')", "!outside" },
        { "require('pack/../../../x')", "!outside" },
        { "require('/etc/passwd')", "!outside" },
        { "require('./lib')", "!directory" },
        { "require('.')", "!directory" },
        { "require('..')", "!outside" },
        { "require('')", "!wants the name" },
        { "require()", "!wants the name" },
        { "require('a\\0b')", "!wants the name" },
        { "require('x'.repeat(5000))", "!wants the name" },
    };
    rig_evaluate(&r, "", vectors, sizeof(vectors) / sizeof(vectors[0]));
}

static void links_stay_inside(void **state)
{
    (void)state;
    char path[TEMP_DIR_MAX], outside[TEMP_DIR_MAX];
    temp_path(outside, "%s/secret.js", r.root);
    temp_file_write(outside, "module.exports = 'secret';");
    rig_write(&r, "lib/real.js", "module.exports = 'real';");
    temp_path(path, "%s/lib/absolute.js", r.dir);
    assert_int_equal(symlink(outside, path), 0);
    temp_path(path, "%s/lib/relative.js", r.dir);
    assert_int_equal(symlink("../../secret.js", path), 0);
    temp_path(path, "%s/lib/inner.js", r.dir);
    assert_int_equal(symlink("real.js", path), 0);
    temp_path(path, "%s/loop.js", r.dir);
    assert_int_equal(symlink("loop.js", path), 0);
    static const vector vectors[] = {
        { "require('./lib/inner')", "\"real\"" },
        { "require('./lib/absolute')", "!outside" },
        { "require('./lib/relative')", "!outside" },
        { "require('./loop')", "!cannot read" },
    };
    rig_evaluate(&r, "", vectors, sizeof(vectors) / sizeof(vectors[0]));
}

static void modules_are_sloppy_functions_that_see_the_scripts_globals(void **state)
{
    (void)state;
    rig_write(&r, "m.js",
              "implicit = 3;\nmodule.exports = [typeof exports, typeof module, typeof __filename, typeof shared, "
              "implicit, 010, author === require('author')];");
    rig_write(&r, "strict.js", "'use strict';\nexports.f = function () { return this === undefined; };");
    rig_write(&r, "cycle_a.js", "exports.early = 1; exports.b = require('./cycle_b');");
    rig_write(&r, "cycle_b.js", "exports.seen = require('./cycle_a').early;");
    static const vector vectors[] = {
        { "require('./m')", "[\"object\", \"object\", \"undefined\", \"number\", 3, 8, true]" },
        { "(0, require('./strict').f)()", "true" },
        { "require('./cycle_a').b.seen", "1" },
    };
    rig_evaluate(&r, "const shared = 1;", vectors, sizeof(vectors) / sizeof(vectors[0]));
}

static void errors_in_modules_name_the_module(void **state)
{
    (void)state;
    outcome o;
    rig_write(&r, "lib/bad.js", "exports.f = () => {\n  throw new Error('inside');\n};");
    rig_write(&r, "lib/syntax.js", "var a;\nlet = {;");
    rig_write(&r, "lib/broken.json", "{");
    rig_body(&r, "function compileJob(job) {\n require('./lib/bad').f();\n}", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_string_equal(o.err.text, "Error: inside (lib/bad.js:2)");
    assert_string_equal(o.script, "lib/bad.js");
    outcome_free(&o);
    rig_body(&r, "function compileJob(job) {\n require('./lib/syntax');\n}", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "SyntaxError");
    assert_contains(o.err.text, "(lib/syntax.js:");
    outcome_free(&o);
    rig_body(&r, "function compileJob(job) {\n\n require('./lib/broken');\n}", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "SyntaxError");
    assert_contains(o.err.text, "(test.js:4)"); /* the line with the JOB_TYPE is the first */
    outcome_free(&o);
    /* A module that failed is tried again. */
    rig_body(
        &r,
        "function compileJob(job) { for (let i = 0; i < 2; i++) { try { require('./lib/broken'); job.name = 'no'; }"
        " catch (e) { print(e.name); } } }",
        "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_string_equal(o.log, "2 SyntaxError\n2 SyntaxError\n");
    outcome_free(&o);
}

static void edits_of_modules_act_at_once(void **state)
{
    (void)state;
    outcome o;
    for (int i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof(text), "module.exports = %d;", i);
        rig_write(&r, "m.js", text);
        rig_body(&r, "function compileJob(job) { job.settings = {m: require('./m')}; }", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(o.job, "settings"), "m")), i);
        outcome_free(&o);
    }
}

static void paths_are_cleaned_and_never_lead_out(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *cleaned; /* NULL: refused */
    } vectors[] = {
        { "a/b", "a/b" },
        { "./a", "a" },
        { "a/./b//c/", "a/b/c" },
        { "a/../b", "b" },
        { "a/b/..", "a" },
        { "a/..", "" },
        { ".", "" },
        { "", "" },
        { "..", NULL },
        { "a/../..", NULL },
        { "/a", NULL },
        { "a/../../b", NULL },
        { "...", "..." },
        { "a/.../b", "a/.../b" },
        { ".hidden/x", ".hidden/x" },
        { "ab/../cd/../e", "e" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s", vectors[i].path);
        int rc = fl_modules_clean(path);
        assert_int_equal(rc, vectors[i].cleaned != NULL ? 0 : -1);
        if (rc == 0)
            assert_string_equal(path, vectors[i].cleaned);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(modules_are_found_where_the_contract_says),
        TEST(links_stay_inside),
        TEST(modules_are_sloppy_functions_that_see_the_scripts_globals),
        TEST(errors_in_modules_name_the_module),
        TEST(edits_of_modules_act_at_once),
        cmocka_unit_test(paths_are_cleaned_and_never_lead_out),
    };
    return cmocka_run_group_tests_name("compiler-js-modules", tests, NULL, NULL);
}
