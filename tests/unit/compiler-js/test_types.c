/* SPDX-License-Identifier: Apache-2.0
 *
 * test_types.c - which files are job types, and what clients see of them: job-compiler 1, 7, 8 and 9.
 */
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static rig r;
static char names[4096];

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

#define PLAIN "const JOB_TYPE = {label: 'L', settings: []};\nfunction compileJob(job) {}\n"

static void list_is(const char *expected)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (rig_list(&r, names, sizeof(names), NULL, &err) != FLAMENCO_OK)
        fail_msg("%s", err.text);
    assert_string_equal(names, expected);
}

static void no_script_is_an_empty_list(void **state)
{
    (void)state;
    list_is("");
}

static void names_come_from_files_and_are_sorted_bytewise(void **state)
{
    (void)state;
    rig_write(&r, "render_turntable.js", PLAIN);
    rig_write(&r, "Upper_case.js", PLAIN);
    rig_write(&r, "my.type.js", PLAIN);
    rig_write(&r, ".hidden.js", PLAIN);
    rig_write(&r, ".js", PLAIN);
    rig_write(&r, "with blank.js", PLAIN);
    rig_write(&r, "a-b_c.js", PLAIN);
    /* The empty name comes first; the list shows it as nothing before the first blank. */
    flamenco_error err = FLAMENCO_ERROR_INIT;
    json_t *all = NULL;
    assert_int_equal(rig_list(&r, names, sizeof(names), &all, &err), FLAMENCO_OK);
    assert_string_equal(names, ".hidden Upper-case a-b-c my.type render-turntable with blank");
    assert_int_equal(json_object_size(all), 7);
    assert_non_null(json_object_get(all, ""));
    json_decref(all);
    int32_t rc;
    char *json = rig_get(&r, "", &rc, NULL);
    assert_int_equal(rc, FLAMENCO_OK);
    assert_contains(json, "\"name\":\"\"");
    free(json);
}

static void what_is_no_script_is_ignored(void **state)
{
    (void)state;
    char path[TEMP_DIR_MAX], target[TEMP_DIR_MAX];
    rig_write(&r, "A.JS", PLAIN);
    rig_write(&r, "a.mjs", PLAIN);
    rig_write(&r, "README.md", PLAIN);
    rig_write(&r, "empty.js", "");
    rig_write(&r, "seven.js", "var a=1");
    rig_write(&r, "sub/below.js", PLAIN);
    rig_write(&r, "directory.js/x", PLAIN);
    temp_path(target, "%s/outside.js", r.root);
    temp_file_write(target, PLAIN);
    temp_path(path, "%s/linked.js", r.dir);
    assert_int_equal(symlink(target, path), 0);
    rig_write(&r, "eight.js", "JOB_TYPE");
    rig_write(&r, "ok.js", PLAIN);
    list_is("ok");
    /* eight.js was a candidate: it is known as broken, and seven.js is not known. */
    int32_t rc;
    assert_null(rig_get(&r, "eight", &rc, NULL));
    assert_int_equal(rc, FLAMENCO_E_INVALID);
    assert_null(rig_get(&r, "seven", &rc, NULL));
    assert_int_equal(rc, FLAMENCO_E_NOT_FOUND);
}

static void a_linked_directory_works(void **state)
{
    (void)state;
    char path[TEMP_DIR_MAX];
    rig_stop(&r);
    temp_path(path, "%s/link", r.root);
    assert_int_equal(symlink(r.dir, path), 0);
    rig_set(&r, "scripts", path);
    rig_start(&r);
    rig_write(&r, "ok.js", PLAIN);
    list_is("ok");
}

static void changes_act_on_the_next_request(void **state)
{
    (void)state;
    outcome o;
    rig_write(&r, "a.js", PLAIN);
    list_is("a");
    rig_write(&r, "b.js", PLAIN);
    list_is("a b");
    rig_remove(&r, "a.js");
    list_is("b");
    /* Same length, written at once behind each other: the file's times need not differ. */
    for (int i = 0; i < 20; i++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "const JOB_TYPE = {label: '%02d', settings: []};\nfunction compileJob(job) {job.name='%02d'}", i, i);
        rig_write(&r, "b.js", text);
        rig_compile(&r, "b", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        snprintf(text, sizeof(text), "%02d", i);
        assert_string_equal(json_string_value(json_object_get(o.job, "name")), text);
        outcome_free(&o);
        int32_t rc;
        char *json = rig_get(&r, "b", &rc, NULL);
        assert_contains(json, text);
        free(json);
    }
}

static void of_two_files_of_one_name_the_last_wins(void **state)
{
    (void)state;
    outcome o;
    rig_write(&r, "a-b.js", PLAIN "print('dash');");
    rig_write(&r, "a_b.js", PLAIN "print('underscore');");
    list_is("a-b");
    rig_compile(&r, "a-b", "{}", &o);
    assert_string_equal(o.log, "2 underscore\n");
    outcome_free(&o);
    rig_write(&r, "a_b.js", "syntax error (");
    rig_compile(&r, "a-b", "{}", &o);
    assert_string_equal(o.log, "2 dash\n");
    outcome_free(&o);
}

static void the_first_directory_wins(void **state)
{
    (void)state;
    char second[TEMP_DIR_MAX], path[TEMP_DIR_MAX], both[2 * TEMP_DIR_MAX + 2];
    outcome o;
    rig_stop(&r);
    temp_path(second, "%s/second", r.root);
    temp_path(path, "%s/x-y.js", second);
    temp_file_write(path, PLAIN "print('second');");
    temp_path(path, "%s/only.js", second);
    temp_file_write(path, PLAIN);
    snprintf(both, sizeof(both), "%s\n%s", r.dir, second);
    rig_set(&r, "scripts", both);
    rig_start(&r);
    list_is("only x-y");
    rig_write(&r, "x_y.js", PLAIN "print('first');");
    list_is("only x-y");
    rig_compile(&r, "x-y", "{}", &o);
    assert_string_equal(o.log, "2 first\n");
    outcome_free(&o);
    /* One that cannot be parsed does not hide the other; one that is broken otherwise does. */
    rig_write(&r, "x_y.js", "no script at all");
    rig_compile(&r, "x-y", "{}", &o);
    assert_string_equal(o.log, "2 second\n");
    outcome_free(&o);
    rig_write(&r, "x_y.js", "throw new Error('broken on purpose');");
    list_is("only");
    int32_t rc;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_null(rig_get(&r, "x-y", &rc, &err));
    assert_int_equal(rc, FLAMENCO_E_INVALID);
    assert_string_equal(err.text, "Error: broken on purpose (x_y.js:1)");
    rig_remove(&r, "x_y.js");
    list_is("only x-y");
}

static void a_directory_may_come_and_go(void **state)
{
    (void)state;
    char path[TEMP_DIR_MAX];
    rig_stop(&r);
    temp_path(path, "%s/later", r.root);
    rig_set(&r, "scripts", path);
    rig_start(&r);
    list_is("");
    list_is("");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_ERROR], 1); /* once, not for every request */
    assert_contains(r.fake.last_log, "later");
    temp_path(path, "%s/later/a.js", r.root);
    temp_file_write(path, PLAIN);
    list_is("a");
}

static void broken_scripts_are_named(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    rig_write(&r, "good.js", PLAIN);
    list_is("good");
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_OK);
    rig_write(&r, "syntax.js", "var fine = 1;\nlet x = {;\n");
    list_is("good");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_ERROR], 1);
    assert_contains(r.fake.last_log, "syntax.js");
    assert_contains(r.fake.last_log, "SyntaxError");
    list_is("good");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_ERROR], 1);
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_E_INVALID);
    assert_contains(err.text, "(syntax.js:2)");
    int32_t rc;
    assert_null(rig_get(&r, "syntax", &rc, &err));
    assert_int_equal(rc, FLAMENCO_E_NOT_FOUND);
    rig_write(&r, "throws.js", "const JOB_TYPE = {};\n\nnull.x;\n");
    list_is("good");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], 1);
    assert_contains(r.fake.last_log, "TypeError");
    assert_contains(r.fake.last_log, "(throws.js:3)");
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_E_INVALID);
    assert_contains(err.text, "2 job type scripts");
    rig_remove(&r, "throws.js");
    rig_remove(&r, "syntax.js");
    list_is("good");
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_OK);
}

/* A helper file that is meant for require has neither exports nor JOB_TYPE. */
static void a_module_beside_the_scripts_is_left_out(void **state)
{
    (void)state;
    rig_write(&r, "lib.js", "exports.f = () => 1;\n");
    rig_write(&r, "ok.js", PLAIN);
    list_is("ok");
}

static void strict_mode_holds_for_the_whole_file(void **state)
{
    (void)state;
    rig_write(&r, "octal.js", PLAIN "var x = 010;\n");
    rig_write(&r, "undeclared.js", PLAIN "y = 1;\n");
    rig_write(&r, "module.js", "export const JOB_TYPE = 1;\n");
    rig_write(&r, "bom.js", "\xEF\xBB\xBF" PLAIN);
    list_is("bom");
    int32_t rc;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_null(rig_get(&r, "octal", &rc, &err));
    assert_int_equal(rc, FLAMENCO_E_NOT_FOUND);
    assert_null(rig_get(&r, "undeclared", &rc, &err));
    assert_int_equal(rc, FLAMENCO_E_INVALID);
    assert_contains(err.text, "ReferenceError");
    assert_null(rig_get(&r, "module", &rc, &err));
    assert_int_equal(rc, FLAMENCO_E_NOT_FOUND);
}

/* The JSON of a JOB_TYPE expression as a type called "test", its etag removed; NULL when it is broken. */
static json_t *type_of(const char *declaration, flamenco_error *err)
{
    char text[4096];
    int32_t rc;
    snprintf(text, sizeof(text), "%s\nfunction compileJob(job) {}", declaration);
    rig_write(&r, "test.js", text);
    char *json = rig_get(&r, "test", &rc, err);
    if (json == NULL) {
        assert_int_equal(rc, FLAMENCO_E_INVALID);
        return NULL;
    }
    json_t *type = json_loads(json, 0, NULL);
    free(json);
    assert_non_null(type);
    assert_int_equal(json_string_length(json_object_get(type, "etag")), 40);
    json_object_del(type, "etag");
    return type;
}

// clang-format off
static void job_type_is_converted_as_the_contract_says(void **state)
{
    (void)state;
#define HEAD(settings) "{\"name\": \"test\", \"label\": \"L\", \"settings\": " settings "}"
    static const struct {
        const char *declaration;
        const char *json; /* NULL: broken */
    } vectors[] = {
        { "const JOB_TYPE = {label: 'L', settings: []};", HEAD("[]") },
        { "let JOB_TYPE = {label: 'L', settings: []};", HEAD("[]") },
        { "var JOB_TYPE = {label: 'L', settings: []};", HEAD("[]") },
        { "globalThis.JOB_TYPE = {label: 'L', settings: []};", HEAD("[]") },
        { "class JOB_TYPE { static label = 'L'; static settings = []; }", HEAD("[]") },
        { "", NULL },
        { "const JOB_TYPE = 'text';", NULL },
        { "const JOB_TYPE = 7;", NULL },
        { "const JOB_TYPE = undefined;", "{\"name\": \"test\", \"label\": \"\", \"settings\": []}" },
        { "const JOB_TYPE = null;", "{\"name\": \"test\", \"label\": \"\", \"settings\": []}" },
        { "const JOB_TYPE = [];", "{\"name\": \"test\", \"label\": \"\", \"settings\": []}" },
        { "const JOB_TYPE = {};", "{\"name\": \"test\", \"label\": \"\", \"settings\": []}" },
        { "const JOB_TYPE = {label: 'L', settings: null};", HEAD("[]") },
        { "const JOB_TYPE = {label: 'L', settings: {}};", NULL },
        { "const JOB_TYPE = {label: 'L', settings: 'text'};", NULL },
        { "const JOB_TYPE = {label: 'L', settings: new Set([{key: 'k', type: 't'}])};",
          HEAD("[{\"key\": \"k\", \"type\": \"t\"}]") },
        { "const JOB_TYPE = {label: 'L', settings: [null]};", HEAD("[{\"key\": \"\", \"type\": \"\"}]") },
        { "const JOB_TYPE = {label: 'L', settings: [{}]};", HEAD("[{\"key\": \"\", \"type\": \"\"}]") },
        { "const JOB_TYPE = {label: 'L', settings: ['x']};", NULL },
        { "const JOB_TYPE = {label: 5, description: undefined, settings: []};",
          "{\"name\": \"test\", \"label\": \"5\", \"settings\": []}" },
        { "const JOB_TYPE = {label: 'L', description: '', name: 'other', etag: 'x', more: 1, settings: []};",
          "{\"name\": \"test\", \"label\": \"L\", \"description\": \"\", \"settings\": []}" },
        { "const JOB_TYPE = {get label() { return 'L'; }, settings: []};", HEAD("[]") },
        { "const JOB_TYPE = {get label() { throw new Error('x'); }, settings: []};", NULL },
    };
#undef HEAD
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        json_t *type = type_of(vectors[i].declaration, &err);
        if ((type == NULL) != (vectors[i].json == NULL))
            fail_msg("%s: %s", vectors[i].declaration, type != NULL ? "is not broken" : err.text);
        if (type != NULL)
            assert_json(type, vectors[i].json);
        json_decref(type);
    }
}

static void settings_are_converted_as_the_contract_says(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        const char *json; /* of that setting without key and type; NULL: broken */
    } vectors[] = {
        { "", "{}" },
        { "choices: [1, 'b', null, true]", "{\"choices\": [\"1\", \"b\", \"\", \"true\"]}" },
        { "choices: []", "{\"choices\": []}" }, { "choices: 'abc'", NULL }, { "choices: null", "{}" },
        { "propargs: [1, 2]", "{\"propargs\": {\"0\": 1, \"1\": 2}}" }, { "propargs: {}", "{\"propargs\": {}}" },
        { "propargs: {min: 1, soft_max: 5.5}", "{\"propargs\": {\"min\": 1, \"soft_max\": 5.5}}" },
        { "propargs: 'x'", NULL },
        { "eval: 5", "{\"eval\": \"5\"}" }, { "label: 5", "{\"label\": 5}" }, { "label: ''", "{\"label\": \"\"}" },
        { "description: ''", "{\"description\": \"\"}" }, { "description: null", "{}" },
        { "description: undefined", "{}" },
        { "required: 'yes', editable: 0", "{\"required\": true, \"editable\": false}" },
        { "required: false", "{\"required\": false}" }, { "required: null, editable: undefined", "{}" },
        { "evalInfo: {showLinkButton: 1, other: 3}", "{\"evalInfo\": {\"description\": \"\", \"showLinkButton\": true}}" },
        { "evalInfo: {}", "{\"evalInfo\": {\"description\": \"\", \"showLinkButton\": false}}" },
        { "evalInfo: {description: 7}", "{\"evalInfo\": {\"description\": \"7\", \"showLinkButton\": false}}" },
        { "evalInfo: 'x'", NULL },
        { "default: 1.0", "{\"default\": 1}" }, { "default: 1.5", "{\"default\": 1.5}" },
        { "default: 1e21", "{\"default\": 1e21}" }, { "default: {z: 1, a: 2}", "{\"default\": {\"a\": 2, \"z\": 1}}" },
        { "default: false", "{\"default\": false}" }, { "default: 0", "{\"default\": 0}" },
        { "default: ''", "{\"default\": \"\"}" }, { "default: null", "{}" },
        { "default: NaN", NULL }, { "default: () => 1", NULL },
        { "default: (() => { const a = []; a.push(a); return a; })()", NULL },
        { "subtype: 5, visible: 'web', unknown: 1", "{\"subtype\": \"5\", \"visible\": \"web\"}" },
        { "get default() { return 3; }", "{\"default\": 3}" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[1024];
        flamenco_error err = FLAMENCO_ERROR_INIT;
        snprintf(text, sizeof(text), "const JOB_TYPE = {label: 'L', settings: [{key: 5, type: 'string', %s}]};",
                 vectors[i].member);
        json_t *type = type_of(text, &err);
        if ((type == NULL) != (vectors[i].json == NULL))
            fail_msg("%s: %s", vectors[i].member, type != NULL ? "is not broken" : err.text);
        if (type == NULL)
            continue;
        json_t *setting = json_array_get(json_object_get(type, "settings"), 0);
        assert_string_equal(json_string_value(json_object_get(setting, "key")), "5");
        json_object_del(setting, "key");
        json_object_del(setting, "type");
        assert_json(setting, vectors[i].json);
        json_decref(type);
    }
}

#define KITCHEN_SINK \
    "const JOB_TYPE = {label: 'Kitchen & <Sink>', description: 'Gr\xC3\xB6\xC3\x9F" "e', settings: [\n" \
    "{key: 'mode', type: 'string', choices: ['fast', 'slow'], default: 'fast', label: 'Mode', visible: 'submission',\n" \
    " required: true, editable: true},\n" \
    "{key: 'amount', type: 'int32', default: 4, propargs: {min: 1, max: 9, soft_max: 5.5}},\n" \
    "{key: 'ratio', type: 'float', default: 0.25, eval: 'C.scene.render.resolution_percentage / 100',\n" \
    " evalInfo: {showLinkButton: true, description: \"Scene's percentage\"}},\n" \
    "{key: 'flag', type: 'bool', default: false, required: false, visible: 'hidden'},\n" \
    "{key: 'out', type: 'string', subtype: 'hashed_file_path', editable: false, description: 'Where', mystery: 5}]};\n"

static void etags_are_the_references(void **state)
{
    (void)state;
    static const char canonical[] =
        "{\"description\":\"Gr\xC3\xB6\xC3\x9F" "e\",\"etag\":\"ac1956a424f9b84eb3a2e8299e41d194369cb527\","
        "\"label\":\"Kitchen \\u0026 \\u003cSink\\u003e\",\"name\":\"kitchen-sink\",\"settings\":["
        "{\"choices\":[\"fast\",\"slow\"],\"default\":\"fast\",\"editable\":true,\"key\":\"mode\",\"label\":\"Mode\","
        "\"required\":true,\"type\":\"string\",\"visible\":\"submission\"},"
        "{\"default\":4,\"key\":\"amount\",\"propargs\":{\"max\":9,\"min\":1,\"soft_max\":5.5},\"type\":\"int32\"},"
        "{\"default\":0.25,\"eval\":\"C.scene.render.resolution_percentage / 100\",\"evalInfo\":{\"description\":"
        "\"Scene's percentage\",\"showLinkButton\":true},\"key\":\"ratio\",\"type\":\"float\"},"
        "{\"default\":false,\"key\":\"flag\",\"required\":false,\"type\":\"bool\",\"visible\":\"hidden\"},"
        "{\"description\":\"Where\",\"editable\":false,\"key\":\"out\",\"subtype\":\"hashed_file_path\","
        "\"type\":\"string\"}]}";
    int32_t rc;
    rig_write(&r, "kitchen_sink.js", KITCHEN_SINK);
    rig_write(&r, "blank_slate.js", "const JOB_TYPE = {label: 'Blank', settings: []};");
    char *json = rig_get(&r, "kitchen-sink", &rc, NULL);
    assert_string_equal(json, canonical);
    free(json);
    json = rig_get(&r, "blank-slate", &rc, NULL);
    assert_string_equal(json, "{\"etag\":\"08b717f94195be87fc12cd269f24830e7a836659\",\"label\":\"Blank\","
                              "\"name\":\"blank-slate\",\"settings\":[]}");
    free(json);
}
// clang-format on

static void etag_of(const char *text, char out[41])
{
    int32_t rc;
    rig_write(&r, "test.js", text);
    char *json = rig_get(&r, "test", &rc, NULL);
    assert_non_null(json);
    const char *at = strstr(json, "\"etag\":\"");
    assert_non_null(at);
    memcpy(out, at + 8, 40);
    out[40] = '\0';
    free(json);
}

static void an_etag_covers_the_description_alone(void **state)
{
    (void)state;
    char a[41], b[41];
    etag_of(KITCHEN_SINK "function compileJob(job) {}", a);
    etag_of(KITCHEN_SINK "function compileJob(job) { job.name = 'x'; }", b);
    assert_string_equal(a, b);
    rig_stop(&r);
    rig_start(&r);
    etag_of(KITCHEN_SINK, b);
    assert_string_equal(a, b);
    etag_of(
        "const JOB_TYPE = {label: 'L', settings: [{key: 'a', type: 'bool', default: {b: 1, a: '\xF0\x9F\x98\x80'}}]};",
        a);
    etag_of(
        "const JOB_TYPE = {settings: [{type: 'bool', default: {a: '\xF0\x9F\x98\x80', b: 1}, key: 'a'}], label: 'L'};",
        b);
    assert_string_equal(a, b);
    etag_of(
        "const JOB_TYPE = {label: 'l', settings: [{key: 'a', type: 'bool', default: {b: 1, a: '\xF0\x9F\x98\x80'}}]};",
        b);
    assert_string_not_equal(a, b);
}

static void keys_are_sorted_by_code_point(void **state)
{
    (void)state;
    int32_t rc;
    /* U+E000 comes before U+10000, whose first half in UTF-16 is smaller. */
    rig_write(&r, "test.js",
              "const JOB_TYPE = {label: '', settings: [{default: {'\\u{10000}': 1, '\\ue000': 2, B: 3, a: 4}}]};");
    char *json = rig_get(&r, "test", &rc, NULL);
    assert_contains(json, "{\"B\":3,\"a\":4,\"\xEE\x80\x80\":2,\"\xF0\x90\x80\x80\":1}");
    free(json);
}

static void an_etag_in_a_description_is_left_alone(void **state)
{
    (void)state;
    int32_t rc;
    rig_write(&r, "test.js", "const JOB_TYPE = {description: 'a \"etag\":\"\" b', label: '', settings: []};");
    char *json = rig_get(&r, "test", &rc, NULL);
    assert_contains(json, "{\"description\":\"a \\\"etag\\\":\\\"\\\" b\",\"etag\":\"");
    json_t *type = json_loads(json, 0, NULL);
    assert_int_equal(json_string_length(json_object_get(type, "etag")), 40);
    json_decref(type);
    free(json);
}

static void another_etag_is_a_conflict_and_none_is_not(void **state)
{
    (void)state;
    outcome o;
    memset(&o, 0, sizeof(o));
    rig_write(&r, "blank_slate.js", "const JOB_TYPE = {label: 'Blank', settings: []};\nthrow_later = 0;");
    flamenco_compile_request request = rig_request("blank-slate", "{}");
    /* Load errors come before the etag, and the etag before a missing compileJob. */
    request.etag = flamenco_text("0123");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    outcome_free(&o);
    rig_write(&r, "blank_slate.js", "const JOB_TYPE = {label: 'Blank', settings: []};");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_CONFLICT);
    outcome_free(&o);
    request.etag = flamenco_text("08B717F94195BE87FC12CD269F24830E7A836659");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_CONFLICT);
    outcome_free(&o);
    request.etag = flamenco_text("08b717f94195be87fc12cd269f24830e7a836659");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "compileJob");
    outcome_free(&o);
    rig_write(&r, "blank_slate.js", "const JOB_TYPE = {label: 'Blank', settings: []}; function compileJob() {}");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
    request.etag = flamenco_text("");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
}

static void unknown_types_are_not_found(void **state)
{
    (void)state;
    static const char *const unknown[] = { "nope", "", "echo_sleep_test", "OK", "ok.js", "../ok", "ok\n" };
    rig_write(&r, "ok.js", PLAIN);
    rig_write(&r, "echo_sleep_test.js", PLAIN);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        outcome o;
        int32_t rc;
        rig_compile(&r, unknown[i], "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_E_NOT_FOUND);
        assert_contains(o.err.text, "unknown job type");
        assert_null(o.job);
        outcome_free(&o);
        assert_null(rig_get(&r, unknown[i], &rc, NULL));
        assert_int_equal(rc, FLAMENCO_E_NOT_FOUND);
    }
}

/* The Blender add-on then shows no job type at all, so the admin should know. */
static void values_unknown_to_the_add_on_are_warned_of(void **state)
{
    (void)state;
    rig_write(&r, "test.js", "const JOB_TYPE = {label: '', settings: [{key: 'a', type: 'text'}]};");
    list_is("test");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], 1);
    assert_contains(r.fake.last_log, "JOB_TYPE.settings[0].type is \"text\"");
    list_is("test");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], 1);
}

static void many_scripts_are_listed(void **state)
{
    (void)state;
    for (int i = 0; i < 150; i++) { /* more than the helper remembers */
        char name[32];
        snprintf(name, sizeof(name), "t%03d.js", i);
        rig_write(&r, name, PLAIN);
    }
    for (int round = 0; round < 2; round++) {
        json_t *all = NULL;
        assert_int_equal(rig_list(&r, names, sizeof(names), &all, NULL), FLAMENCO_OK);
        assert_int_equal(json_object_size(all), 150);
        json_decref(all);
    }
    for (int i = 0; i < 150; i += 7) {
        char name[32];
        outcome o;
        snprintf(name, sizeof(name), "t%03d", i);
        rig_compile(&r, name, "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        outcome_free(&o);
    }
}

static int32_t stop_at_once(void *ctx, const flamenco_job_type *type)
{
    (void)type;
    ++*(int *)ctx;
    return 1;
}

static void a_visitor_may_stop(void **state)
{
    (void)state;
    int seen = 0;
    rig_write(&r, "a.js", PLAIN);
    rig_write(&r, "b.js", PLAIN);
    fake_cx *cx = fake_cx_create(&r.fake);
    assert_int_equal(r.table->list(r.self, &cx->cx, stop_at_once, &seen, NULL), FLAMENCO_OK);
    fake_cx_destroy(cx);
    assert_int_equal(seen, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_script_is_an_empty_list),
        TEST(names_come_from_files_and_are_sorted_bytewise),
        TEST(what_is_no_script_is_ignored),
        TEST(a_linked_directory_works),
        TEST(changes_act_on_the_next_request),
        TEST(of_two_files_of_one_name_the_last_wins),
        TEST(the_first_directory_wins),
        TEST(a_directory_may_come_and_go),
        TEST(broken_scripts_are_named),
        TEST(a_module_beside_the_scripts_is_left_out),
        TEST(strict_mode_holds_for_the_whole_file),
        TEST(job_type_is_converted_as_the_contract_says),
        TEST(settings_are_converted_as_the_contract_says),
        TEST(etags_are_the_references),
        TEST(an_etag_covers_the_description_alone),
        TEST(keys_are_sorted_by_code_point),
        TEST(an_etag_in_a_description_is_left_alone),
        TEST(another_etag_is_a_conflict_and_none_is_not),
        TEST(unknown_types_are_not_found),
        TEST(values_unknown_to_the_add_on_are_warned_of),
        TEST(many_scripts_are_listed),
        TEST(a_visitor_may_stop),
    };
    return cmocka_run_group_tests_name("compiler-js-types", tests, NULL, NULL);
}
