/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reference_json.c - the configuration as JSON and as written YAML: configuration-and-clients 1.10 to 1.12, decisions.md.
 */
#include "core/base/buf.h"
#include "tests/unit/config/support.h"

static const char example[] = "manager_name: Farm Two\ndatabase: farm.sqlite\nshared_storage_path: /srv/ren\n"
                              "variables:\n  blender:\n  blenderArgs:\n  ren:\n    is_twoway: true\n    values:\n"
                              "    - {platform: linux, value: /srv/ren}\n    - {platforms: [windows], value: 'R:\\'}\n";

static const char example_json[] =
    "{\"_meta\":{\"version\":3},\"manager_name\":\"Farm Two\",\"database\":\"farm.sqlite\",\"database_check_period\":"
    "\"10m0s\",\"listen\":\":8080\",\"autodiscoverable\":true,\"local_manager_storage_path\":"
    "\"./flamenco-manager-storage\",\"shared_storage_path\":\"/srv/"
    "ren\",\"shaman\":{\"enabled\":true,\"garbageCollect\":"
    "{\"period\":\"24h0m0s\",\"maxAge\":\"744h0m0s\"}},\"task_timeout\":\"10m0s\",\"worker_timeout\":\"1m0s\","
    "\"blocklist_threshold\":3,\"task_fail_after_softfail_count\":3,\"mqtt\":{\"client\":{\"enabled\":false,\"broker\":"
    "\"\",\"clientID\":\"flamenco\",\"topic_prefix\":\"flamenco\",\"username\":\"\",\"password\":\"\"}},\"variables\":{"
    "\"blender\":{\"values\":[]},\"blenderArgs\":{\"values\":[]},\"ren\":{\"is_twoway\":true,\"values\":[{\"audience\":"
    "\"all\",\"platform\":\"linux\",\"value\":\"/srv/"
    "ren\"},{\"audience\":\"all\",\"platforms\":[\"windows\"],\"value\":"
    "\"R:\\\\\"}]}}}";

static void reference_json_is_the_contracts_example(void **state)
{
    loaded l;
    fl_buf out = { 0 };
    (void)state;
    load_text(&l, example, 1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    fl_reference_json(&l.ref, &out);
    assert_text("json", fl_buf_str(&out), example_json);
    fl_buf_fini(&out);
    loaded_free(&l);
    load_text(&l, "variables:\n", 1);
    fl_reference_json(&l.ref, &out);
    fl_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "\"variables\":{}}")); /* null would break the Settings page */
    fl_buf_fini(&out);
    loaded_free(&l);
}

static void reference_json_reads_back_as_it_was_written(void **state)
{
    fl_arena *arena = fl_arena_create(0);
    fl_reference ref;
    fl_buf out = { 0 };
    (void)state;
    assert_int_equal(decode_text(arena, flamenco_text(example_json), &ref, NULL), FLAMENCO_OK);
    fl_reference_json(&ref, &out);
    assert_text("json", fl_buf_str(&out), example_json);
    fl_buf_fini(&out);
    fl_arena_destroy(arena);
}

/* The example with `from` replaced by `to`. */
static void make_body(char *body, size_t size, const char *from, const char *to)
{
    const char *at = strstr(example_json, from);
    assert_non_null(at);
    int n = snprintf(body, size, "%.*s%s%s", (int)(at - example_json), example_json, to, at + strlen(from));
    assert_true(n > 0 && (size_t)n < size);
}

static void reference_decode_refuses_what_would_break_the_next_start(void **state)
{
    static const struct {
        const char *from, *to, *problem; /* problem NULL: accepted */
    } rows[] = {
        { "\"version\":3", "\"version\":2", "_meta.version: must be 3, not 2" },
        { "\"_meta\":{\"version\":3},", "", "_meta.version: must be 3, not 0" },
        { "{\"version\":3}", "null", "_meta.version: must be 3" },
        { "\"version\":3", "\"version\":\"3\"", "_meta.version: a whole number" },
        { "\"version\":3", "\"version\":3.0", "_meta.version: a whole number" },
        { "\"_meta\":{\"version\":3}", "\"_META\":{\"VERSION\":3}", NULL },
        { "\"listen\":\":8080\"", "\"listen\":\"\"", "listen: must not be empty" },
        { "\"listen\":\":8080\",", "", "listen: must not be empty" },
        { "\"farm.sqlite\"", "\"  \"", "database: must not be empty" },
        { "\"farm.sqlite\"", "5", "database: a text" },
        { "\"farm.sqlite\"", "\"a\\u0000b\"", "database: must not contain a NUL" },
        { "\"listen\":\":8080\"", "\"listen\":\"localhost\"", "listen: has no port" },
        { "\"listen\":\":8080\"", "\"listen\":\"localhost:\"", "listen: has no port" },
        { "\"listen\":\":8080\"", "\"listen\":\"[::1]:0\"", NULL },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":\"1h\"", NULL },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":\"0s\"", NULL },
        { "\"task_timeout\":\"10m0s\",", "", NULL },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":10", "task_timeout: a duration" },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":null", "task_timeout: a duration" },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":\"\"", "task_timeout: a duration" },
        { "\"task_timeout\":\"10m0s\"", "\"task_timeout\":\"-1s\"", "task_timeout: must not be negative" },
        { "\"24h0m0s\"", "\"-1s\"", "shaman.garbageCollect.period: must not be negative" },
        { "\"blocklist_threshold\":3", "\"blocklist_threshold\":\"3\"", "blocklist_threshold: a whole number" },
        { "\"blocklist_threshold\":3", "\"blocklist_threshold\":3.5", "blocklist_threshold: a whole number" },
        { "\"blocklist_threshold\":3", "\"blocklist_threshold\":99999999999999999999", "not JSON" },
        { "\"blocklist_threshold\":3", "\"blocklist_threshold\":null", NULL },
        { "\"autodiscoverable\":true", "\"autodiscoverable\":1", "autodiscoverable: true or false" },
        { "\"autodiscoverable\":true", "\"autodiscoverable\":\"true\"", "autodiscoverable: true or false" },
        { "\"shaman\":{", "\"unknown\":{\"a\":[1]},\"shaman\":{\"colour\":1,", NULL },
        { "{\"client\":", "[", "not JSON" },
        { "\"mqtt\":{\"client\":{\"enabled\":false", "\"mqtt\":{\"client\":[],\"x\":{\"enabled\":false",
          "mqtt.client: an object" },
        { "\"values\":[]", "\"values\":{}", "variables.blender: a list" },
        { "\"values\":[]", "\"values\":null", NULL },
        { "{\"values\":[]}", "null", NULL },
        { "{\"values\":[]}", "5", "variables.blender: an object" },
        { "\"is_twoway\":true", "\"is_twoway\":\"yes\"", "variables.ren.is_twoway: true or false" },
        { "\"value\":\"/srv/ren\"", "\"value\":5", "variables.ren: a text" },
        { "[\"windows\"]", "\"windows\"", "variables.ren: a list of texts" },
        { "[\"windows\"]", "[5]", "variables.ren: a text" },
    };
    char body[4096];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_arena *arena = fl_arena_create(0);
        flamenco_error err = FLAMENCO_ERROR_INIT;
        fl_reference ref;
        make_body(body, sizeof(body), rows[i].from, rows[i].to);
        int32_t rc = decode_text(arena, flamenco_text(body), &ref, &err);
        if (rc != (rows[i].problem != NULL ? FLAMENCO_E_INVALID : FLAMENCO_OK) ||
            (rows[i].problem != NULL && strstr(err.text, rows[i].problem) == NULL))
            fail_msg("%s -> %s: %d %s", rows[i].from, rows[i].to, rc, err.text);
        fl_arena_destroy(arena);
    }
}

static void reference_decode_refuses_other_bodies(void **state)
{
    static const char *const bodies[] = { "", "[]", "5", "null", "{", "{} x", "{\"manager_name\":\"abc\"}", "\xFF" };
    char name[400], body[1024];
    fl_arena *arena = fl_arena_create(0);
    fl_reference ref;
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); ++i)
        assert_int_equal(decode_text(arena, flamenco_text(bodies[i]), &ref, NULL), FLAMENCO_E_INVALID);
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    snprintf(body, sizeof(body),
             "{\"_meta\":{\"version\":3},\"database\":\"d\",\"listen\":\"l\",\"variables\":{\"%s\":{}}}", name);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(decode_text(arena, flamenco_text(body), &ref, &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "the name is longer than 255 bytes"));
    fl_arena_destroy(arena);
}

static void reference_decode_leaves_absent_keys_zero(void **state)
{
    fl_arena *arena = fl_arena_create(0);
    fl_reference ref;
    (void)state;
    assert_int_equal(
        decode_text(arena, FL_STR("{\"_meta\":{\"version\":3},\"database\":\"d\",\"Listen\":\":1\"}"), &ref, NULL), 0);
    assert_text("listen", ref.listen, ":1");
    assert_text("name", ref.manager_name, "");
    assert_int_equal(ref.autodiscoverable, 0);
    assert_int_equal(ref.task_timeout_ns, 0);
    assert_int_equal(ref.n_variables, 0);
    fl_arena_destroy(arena);
}

static void reference_yaml_has_header_order_and_layout(void **state)
{
    loaded l;
    fl_buf out = { 0 };
    (void)state;
    load_text(&l, example, 1);
    setenv("TZ", "UTC", 1);
    fl_reference_yaml(&l.ref, "Flamenco 3.9", INT64_C(1774620309000000), &out);
    fl_buf_add_char(&out, '\0');
    assert_false(out.failed);
    const char *p = out.data;
    for (int i = 0; i < 6; ++i) {
        assert_int_equal(p[0], '#');
        if (i == 5)
            assert_int_equal(strncmp(p, "# Written 2026-03-27 14:05:09 +00:00 by Flamenco 3.9\n", 53), 0);
        p = strchr(p, '\n') + 1;
    }
    assert_string_equal(p,
                        "\n_meta:\n  version: 3\nmanager_name: Farm Two\ndatabase: farm.sqlite\n"
                        "database_check_period: 10m0s\nlisten: :8080\nautodiscoverable: true\n"
                        "local_manager_storage_path: ./flamenco-manager-storage\nshared_storage_path: /srv/ren\n"
                        "shaman:\n  enabled: true\n  garbageCollect:\n    period: 24h0m0s\n    maxAge: 744h0m0s\n"
                        "task_timeout: 10m0s\nworker_timeout: 1m0s\nblocklist_threshold: 3\n"
                        "task_fail_after_softfail_count: 3\nmqtt:\n  client:\n    enabled: false\n    broker: \"\"\n"
                        "    clientID: flamenco\n    topic_prefix: flamenco\n    username: \"\"\n    password: \"\"\n"
                        "variables:\n  blender:\n    values: []\n  blenderArgs:\n    values: []\n"
                        "  ren:\n    is_twoway: true\n    values:\n    - audience: all\n      platform: linux\n"
                        "      value: /srv/ren\n    - audience: all\n      platforms: [windows]\n      value: R:\\\n");
    fl_buf_fini(&out);
    loaded_free(&l);
}

/* Every text must come back as it was, from any place that it may stand in. */
static void reference_yaml_reads_back_whatever_is_in_it(void **state)
{
    static const char *const texts[] = {
        "",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "n",
        "true",
        "False",
        "null",
        "~",
        "123",
        "-5",
        "0x1F",
        "1e3",
        "1_000",
        ".5",
        ".inf",
        "#x",
        "a #b",
        " lead",
        "trail ",
        "a: b",
        "a:",
        ":8080",
        "::",
        ": x",
        "F:\\",
        "F:",
        "C:\\A\\b",
        "\\\\N\\v",
        "it's",
        "say \"x\"",
        "'q'",
        "\"q\"",
        "- a",
        "-b -y",
        "? a",
        "[a]",
        "{a}",
        "a, b",
        "a]b",
        "{ren}/x",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a`",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\n",
        "a\\nb",
        "<<",
        "=",
        "--- a",
        "...",
        "2026-03-27",
        "12:30:45",
        "0o17",
        "\xC3\xA9t\xC3\xA9",
        "\xF0\x9F\x90\x88 cat",
        "\xE2\x80\xA8",
        "\xC2\x85",
        "\xEF\xBB\xBFx",
        "\x7F",
        "\x01",
        "\x1B[0m",
        "a  b",
        "http://h//x",
        "x=1,y=2",
        "(a)",
        "$HOME/${X}",
        "100%",
        "a;b",
        "\xEF\xBF\xBD",
        "Null",
        "nULL",
        "a ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        flamenco_str text = flamenco_text(texts[i]), two[2] = { text, FL_STR("x") };
        fl_reference_value value = { text, { NULL, 0 }, two, 2, text };
        fl_reference_variable variable = { text, 1, &value, 1 };
        fl_reference ref;
        fl_reference_defaults(&ref);
        ref.manager_name = ref.mqtt_password = text;
        ref.variables = &variable;
        ref.n_variables = 1;
        fl_buf out = { 0 };
        fl_reference_yaml(&ref, "p", 0, &out);
        fl_config_problems problems = { 0 };
        fl_yaml_doc *doc = NULL;
        fl_arena *arena = fl_arena_create(0);
        fl_reference back = { 0 };
        if (fl_yaml_parse(fl_buf_str(&out), "w.yaml", 0, &problems, &doc) != FLAMENCO_OK ||
            fl_reference_overlay(&back, arena, fl_yaml_root(doc), "w.yaml", FL_REFERENCE_FROM_FILE, &problems) != 0) {
            has_problem(&problems, FLAMENCO_LOG_ERROR, "?");
            fail_msg("not readable: %.*s", FL_STR_ARGS(fl_buf_str(&out)));
        }
        assert_text("name", back.manager_name, texts[i]);
        assert_text("password", back.mqtt_password, texts[i]);
        assert_int_equal(back.n_variables, 1);
        assert_text("variable", back.variables[0].name, texts[i]);
        assert_text("value", back.variables[0].values[0].value, texts[i]);
        assert_text("platforms", back.variables[0].values[0].platforms[0], texts[i]);
        assert_text("audience", back.variables[0].values[0].audience, texts[i]);
        fl_yaml_doc_destroy(doc);
        fl_arena_destroy(arena);
        fl_config_problems_fini(&problems);
        fl_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_json_is_the_contracts_example),
        cmocka_unit_test(reference_json_reads_back_as_it_was_written),
        cmocka_unit_test(reference_decode_refuses_what_would_break_the_next_start),
        cmocka_unit_test(reference_decode_refuses_other_bodies),
        cmocka_unit_test(reference_decode_leaves_absent_keys_zero),
        cmocka_unit_test(reference_yaml_has_header_order_and_layout),
        cmocka_unit_test(reference_yaml_reads_back_whatever_is_in_it),
    };
    return cmocka_run_group_tests_name("config_reference_json", tests, NULL, NULL);
}
