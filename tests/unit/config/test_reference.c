/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reference.c - reading flamenco-manager.yaml: the vectors of configuration-and-clients 1.6 to 1.9.
 */
#include "core/base/timefmt.h"
#include "tests/unit/config/support.h"

#define NS_PER_S INT64_C(1000000000)
#define HOUR (3600 * NS_PER_S)

static void reference_defaults_are_the_contracts(void **state)
{
    loaded l;
    (void)state;
    load_text(&l, "", 1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    assert_int_equal(l.ref.version, 3);
    assert_text("manager_name", l.ref.manager_name, "Flamenco");
    assert_text("database", l.ref.database, "flamenco-manager.sqlite");
    assert_true(l.ref.database_check_period_ns == 600 * NS_PER_S);
    assert_text("listen", l.ref.listen, ":8080");
    assert_int_equal(l.ref.autodiscoverable, 1);
    assert_text("local", l.ref.local_manager_storage_path, "./flamenco-manager-storage");
    assert_text("shared", l.ref.shared_storage_path, "");
    assert_int_equal(l.ref.shaman_enabled, 1);
    assert_true(l.ref.gc_period_ns == 24 * HOUR);
    assert_true(l.ref.gc_max_age_ns == 744 * HOUR);
    assert_true(l.ref.task_timeout_ns == 600 * NS_PER_S);
    assert_true(l.ref.worker_timeout_ns == 60 * NS_PER_S);
    assert_int_equal(l.ref.blocklist_threshold, 3);
    assert_int_equal(l.ref.task_fail_after_softfail_count, 3);
    assert_int_equal(l.ref.mqtt_enabled, 0);
    assert_text("broker", l.ref.mqtt_broker, "");
    assert_text("client", l.ref.mqtt_client_id, "flamenco");
    assert_text("prefix", l.ref.mqtt_topic_prefix, "flamenco");
    assert_int_equal(l.ref.n_variables, 2);
    assert_text("v0", l.ref.variables[0].name, "blender");
    assert_int_equal(l.ref.variables[0].n_values, 3);
    assert_text("v1", l.ref.variables[1].values[0].value, "-b -y");
    assert_int_equal(l.problems.count, 0);
    loaded_free(&l);
}

static void reference_wrong_version_is_an_error(void **state)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        { "", "_meta.version is 0" },
        { "# nothing\n", "_meta.version is 0" },
        { "manager_name: x\n", "_meta.version is 0" },
        { "_meta: {version: 2}\n", "f.yaml:1: _meta.version is 2" },
        { "_meta: {version: \"3\"}\n", "f.yaml:1: _meta.version: a whole number is wanted, not \"3\"" },
        { "_meta:\n", "_meta.version is 0" },
        { "[]\n", "a map is wanted, not a list" },
        { "hello\n", "a map is wanted, not a text" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        loaded l;
        load_text(&l, rows[i].text, 0);
        assert_int_equal(l.rc, FLAMENCO_E_INVALID);
        assert_true(has_problem(&l.problems, FLAMENCO_LOG_ERROR, rows[i].problem));
        loaded_free(&l);
    }
}

static void reference_texts_follow_the_vectors(void **state)
{
    static const struct {
        const char *yaml;
        int field;
        const char *wanted; /* NULL: an error */
    } rows[] = {
        { "shared_storage_path: ./rel/../x/", FL_REFERENCE_SHARED_STORAGE, "/farm dir/x" },
        { "shared_storage_path: /srv/x/", FL_REFERENCE_SHARED_STORAGE, "/srv/x" },
        { "shared_storage_path: ~/x", FL_REFERENCE_SHARED_STORAGE, "/farm dir/~/x" },
        { "shared_storage_path:", FL_REFERENCE_SHARED_STORAGE, "" },
        { "shared_storage_path: $HOME/${X}", FL_REFERENCE_SHARED_STORAGE, "/farm dir/$HOME/${X}" },
        { "manager_name: 123", FL_REFERENCE_MANAGER_NAME, "123" },
        { "manager_name: yes", FL_REFERENCE_MANAGER_NAME, "yes" },
        { "manager_name: 0x1F", FL_REFERENCE_MANAGER_NAME, "0x1F" },
        { "manager_name: ~", FL_REFERENCE_MANAGER_NAME, "" },
        { "manager_name: \"~\"", FL_REFERENCE_MANAGER_NAME, "~" },
        { "manager_name: [a]", FL_REFERENCE_MANAGER_NAME, NULL },
        { "manager_name: {a: b}", FL_REFERENCE_MANAGER_NAME, NULL },
        { "manager_name: \"a\\0b\"", FL_REFERENCE_MANAGER_NAME, NULL },
        { "manager_name: a\nmanager_name: b", FL_REFERENCE_MANAGER_NAME, "b" },
        { "Manager_Name: a", FL_REFERENCE_MANAGER_NAME, "Flamenco" },
        { "database: '  f.sqlite '", FL_REFERENCE_DATABASE, "f.sqlite" },
        { "database: 'file:x?mode=ro'", FL_REFERENCE_DATABASE, "file:x?mode=ro" },
        { "listen: :8123", FL_REFERENCE_LISTEN, ":8123" },
        { "mqtt: {client: {clientID: me}}", FL_REFERENCE_MQTT_CLIENT_ID, "me" },
        { "mqtt: {client: {enabled: true}}", FL_REFERENCE_MQTT_TOPIC_PREFIX, "flamenco" },
        { "mqtt: {client: }", FL_REFERENCE_MQTT_TOPIC_PREFIX, "" },
        { "x: &n Farm\nmanager_name: *n", FL_REFERENCE_MANAGER_NAME, "Farm" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        loaded l;
        load_text(&l, rows[i].yaml, 1);
        assert_int_equal(l.rc, rows[i].wanted != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (rows[i].wanted != NULL)
            assert_text(rows[i].yaml, fl_reference_text(&l.ref, rows[i].field), rows[i].wanted);
        loaded_free(&l);
    }
}

static void reference_numbers_follow_the_vectors(void **state)
{
    static const struct {
        const char *yaml;
        int field, ok;
        int64_t wanted;
    } rows[] = {
        { "shaman:", FL_REFERENCE_SHAMAN_ENABLED, 1, 0 },
        { "shaman:", FL_REFERENCE_GC_PERIOD, 1, 0 },
        { "shaman:", FL_REFERENCE_GC_MAX_AGE, 1, 0 },
        { "shaman: {enabled: false}", FL_REFERENCE_SHAMAN_ENABLED, 1, 0 },
        { "shaman: {enabled: false}", FL_REFERENCE_GC_PERIOD, 1, 24 * HOUR },
        { "shaman: {enabled: false}", FL_REFERENCE_GC_MAX_AGE, 1, 744 * HOUR },
        { "shaman: {garbageCollect: {period: 1h}}", FL_REFERENCE_SHAMAN_ENABLED, 1, 1 },
        { "shaman: {garbageCollect: {period: 1h}}", FL_REFERENCE_GC_PERIOD, 1, HOUR },
        { "shaman: {garbageCollect: {period: 1h}}", FL_REFERENCE_GC_MAX_AGE, 1, 744 * HOUR },
        { "shaman: {garbageCollect: }", FL_REFERENCE_GC_MAX_AGE, 1, 0 },
        { "shaman: {garbageCollect: }", FL_REFERENCE_SHAMAN_ENABLED, 1, 1 },
        { "shaman: {enabled: yes}", FL_REFERENCE_SHAMAN_ENABLED, 1, 1 },
        { "shaman: {enabled: off}", FL_REFERENCE_SHAMAN_ENABLED, 1, 0 },
        { "shaman: {enabled: \"yes\"}", FL_REFERENCE_SHAMAN_ENABLED, 0, 0 },
        { "shaman: {enabled: 1}", FL_REFERENCE_SHAMAN_ENABLED, 0, 0 },
        { "shaman: true", FL_REFERENCE_SHAMAN_ENABLED, 0, 0 },
        { "database_check_period: 0", FL_REFERENCE_DATABASE_CHECK_PERIOD, 1, 0 },
        { "database_check_period: 10", FL_REFERENCE_DATABASE_CHECK_PERIOD, 0, 0 },
        { "database_check_period: -90s", FL_REFERENCE_DATABASE_CHECK_PERIOD, 1, -90 * NS_PER_S },
        { "task_timeout: \"\"", FL_REFERENCE_TASK_TIMEOUT, 0, 0 },
        { "task_timeout:", FL_REFERENCE_TASK_TIMEOUT, 1, 0 },
        { "task_timeout: \"1m30s\"", FL_REFERENCE_TASK_TIMEOUT, 1, 90 * NS_PER_S },
        { "task_timeout: [1m]", FL_REFERENCE_TASK_TIMEOUT, 0, 0 },
        { "task_timeout: 24h0m0.001s", FL_REFERENCE_TASK_TIMEOUT, 1, 24 * HOUR + 1000000 },
        { "blocklist_threshold: 5.5", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, 5 },
        { "blocklist_threshold: -5.5", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, -5 },
        { "blocklist_threshold: \"5\"", FL_REFERENCE_BLOCKLIST_THRESHOLD, 0, 0 },
        { "blocklist_threshold: -1", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, -1 },
        { "blocklist_threshold: 0x10", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, 16 },
        { "blocklist_threshold: 08", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, 8 },
        { "blocklist_threshold: 1e30", FL_REFERENCE_BLOCKLIST_THRESHOLD, 0, 0 },
        { "blocklist_threshold: .inf", FL_REFERENCE_BLOCKLIST_THRESHOLD, 0, 0 },
        { "blocklist_threshold: many", FL_REFERENCE_BLOCKLIST_THRESHOLD, 0, 0 },
        { "blocklist_threshold:", FL_REFERENCE_BLOCKLIST_THRESHOLD, 1, 0 },
        { "autodiscoverable: n", FL_REFERENCE_AUTODISCOVERABLE, 1, 0 },
        { "d: &d {enabled: false}\nshaman: {<<: *d}", FL_REFERENCE_SHAMAN_ENABLED, 1, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        loaded l;
        load_text(&l, rows[i].yaml, 1);
        if ((l.rc == FLAMENCO_OK) != rows[i].ok)
            fail_msg("%s: %s", rows[i].yaml, rows[i].ok ? "refused" : "accepted");
        if (rows[i].ok && fl_reference_number(&l.ref, rows[i].field) != rows[i].wanted)
            fail_msg("%s: got %lld", rows[i].yaml, (long long)fl_reference_number(&l.ref, rows[i].field));
        if (!rows[i].ok)
            assert_true(has_problem(&l.problems, FLAMENCO_LOG_ERROR, "f.yaml:2: "));
        loaded_free(&l);
    }
}

static void reference_durations_follow_the_vectors(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        { "1h", "1h0m0s" },
        { "90s", "1m30s" },
        { "1.5h", "1h30m0s" },
        { ".5s", "500ms" },
        { "1m1h", "1h1m0s" },
        { "1h1h", "2h0m0s" },
        { "-90s", "-1m30s" },
        { "+5s", "5s" },
        { "00001s", "1s" },
        { "0", "0s" },
        { "10", NULL },
        { "1d", NULL },
        { "1w", NULL },
        { "1H", NULL },
        { "1 h", NULL },
        { "' 1h'", NULL },
        { "1.", NULL },
        { "h", NULL },
        { "'1:30'", NULL },
        { "1e3s", NULL },
        { "2562048h", NULL },
        { "''", NULL },
        { "24h0m0.001s", "24h0m0.001s" },
        { "1.5ms", "1.5ms" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char yaml[64], out[FL_TIME_TEXT_MAX];
        loaded l;
        snprintf(yaml, sizeof(yaml), "task_timeout: %s", rows[i].text);
        load_text(&l, yaml, 1);
        assert_int_equal(l.rc, rows[i].wanted != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (rows[i].wanted != NULL)
            assert_text(rows[i].text, (flamenco_str){ out, fl_duration_format(l.ref.task_timeout_ns, out) },
                        rows[i].wanted);
        loaded_free(&l);
    }
}

static void reference_variables_are_overlaid_by_name(void **state)
{
    loaded l;
    (void)state;
    load_text(&l, "variables:", 1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    assert_int_equal(l.ref.n_variables, 0);
    loaded_free(&l);

    load_text(&l, "variables: {}", 1);
    assert_int_equal(l.ref.n_variables, 2);
    loaded_free(&l);

    load_text(&l, "variables: {x: null}", 1);
    assert_int_equal(l.ref.n_variables, 3);
    assert_text("x", l.ref.variables[2].name, "x");
    assert_int_equal(l.ref.variables[2].n_values, 0);
    loaded_free(&l);

    load_text(&l, "variables:\n  blender:\n    values:\n    - platform: linux\n      value: /b\n", 1);
    assert_int_equal(l.ref.n_variables, 2);
    assert_int_equal(l.ref.variables[0].n_values, 1);
    assert_text("value", l.ref.variables[0].values[0].value, "/b");
    assert_text("audience", l.ref.variables[0].values[0].audience, "all");
    assert_text("raw audience", l.raw.variables[0].values[0].audience, "");
    loaded_free(&l);
}

static void reference_variable_values_follow_the_vectors(void **state)
{
    loaded l;
    (void)state;
    load_text(
        &l,
        "variables:\n"
        "  a: {values: [{platform: linux, value: true}, {platform: linux, value: 12}, {platform: linux, value: }]}\n"
        "  b: {direction: twoway, values: [{platform: linux, value: x}]}\n"
        "  c: {is_twoway: yes, values: [{platforms: [linux, darwin], value: /c}]}\n"
        "  d: {values: [{platform: windows, platforms: [linux], value: /d}]}\n"
        "  e: {values: [{value: /e}]}\n"
        "  f: {values: [{audience: nobody, platform: linux, value: /f}]}\n"
        "  jobs: {values: [{platform: linux, value: /j}]}\n",
        1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    assert_int_equal(l.ref.n_variables, 8); /* a, b, blender, blenderArgs, c, d, e, f; "jobs" is gone */
    const fl_reference_variable *v = l.ref.variables;
    assert_text("a0", v[0].values[0].value, "true");
    assert_text("a1", v[0].values[1].value, "12");
    assert_text("a2", v[0].values[2].value, "");
    assert_int_equal(v[1].is_twoway, 0);
    assert_int_equal(v[4].is_twoway, 1);
    assert_int_equal(v[4].values[0].n_platforms, 2);
    assert_int_equal(v[5].values[0].n_platforms, 2);
    assert_text("d", v[5].values[0].platforms[0], "linux");
    assert_text("d", v[5].values[0].platforms[1], "windows");
    assert_text("d", v[5].values[0].platform, "");
    assert_text("e", v[6].values[0].audience, "");
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "unknown key \"direction\""));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "\"d\": value 1 has both"));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "\"e\": value 1 has no platform"));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "nobody is in the audience \"nobody\""));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "\"jobs\" is built in"));
    assert_int_equal(l.raw.n_variables, 9);
    loaded_free(&l);
}

static void reference_bad_variables_are_errors(void **state)
{
    static const char *const rows[] = {
        "variables: []",
        "variables: x",
        "variables: {x: []}",
        "variables: {x: {values: {a: b}}}",
        "variables: {x: {values: [a]}}",
        "variables: {x: {values: [{platform: [linux]}]}}",
        "variables: {x: {values: [{platforms: linux}]}}",
        "variables: {x: {values: [{platforms: [[linux]]}]}}",
        "variables: {x: {is_twoway: \"yes\"}}",
        "variables: {x: {values: [{value: {a: b}}]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        loaded l;
        load_text(&l, rows[i], 1);
        if (l.rc != FLAMENCO_E_INVALID)
            fail_msg("accepted: %s", rows[i]);
        assert_true(has_problem(&l.problems, FLAMENCO_LOG_ERROR, "f.yaml:2: variables"));
        loaded_free(&l);
    }
}

static void reference_variables_are_bounded_in_number(void **state)
{
    loaded l;
    size_t size = 20 * (FL_REFERENCE_VARIABLES_MAX + 1) + 32, n = 0;
    char *yaml = malloc(size);
    (void)state;
    assert_non_null(yaml);
    n = (size_t)snprintf(yaml, size, "variables:\n");
    for (unsigned i = 0; i <= FL_REFERENCE_VARIABLES_MAX; ++i)
        n += (size_t)snprintf(yaml + n, size - n, "  v%u:\n", i);
    load_text(&l, yaml, 1);
    assert_int_equal(l.rc, FLAMENCO_E_INVALID);
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_ERROR, "f.yaml:3: variables: more than 4096"));
    loaded_free(&l);
    free(yaml);
}

static void reference_unknown_keys_are_warnings(void **state)
{
    loaded l;
    (void)state;
    load_text(&l,
              "plugins: {persist: {}}\nshaman:\n  garbageCollect:\n    extraCheckoutPaths: [a]\n"
              "mqtt: {client: {colour: red}, other: 1}\nneu: 1\n",
              1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    assert_int_equal(l.problems.warnings, 5);
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "f.yaml:2: unknown key \"plugins\" is ignored"));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN,
                            "f.yaml:5: unknown key \"shaman.garbageCollect.extraCheckoutPaths\""));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "f.yaml:6: unknown key \"mqtt.client.colour\""));
    loaded_free(&l);
}

static void reference_every_problem_of_a_file_is_told(void **state)
{
    loaded l;
    (void)state;
    load_text(&l, "task_timeout: 5\nblocklist_threshold: x\nautodiscoverable: maybe\n", 1);
    assert_int_equal(l.rc, FLAMENCO_E_INVALID);
    assert_int_equal(l.problems.errors, 3);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(fl_config_problems_fail(&l.problems, FLAMENCO_E_INVALID, &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "f.yaml:2: task_timeout: "));
    assert_non_null(strstr(err.text, "(and 2 more)"));
    loaded_free(&l);
}

static void reference_effective_storage_follows_the_vectors(void **state)
{
    static const struct {
        const char *shared;
        int enabled, loaded;
        const char *wanted;
    } rows[] = {
        { "/srv/ren/", 1, 1, "/srv/ren/jobs" }, { "/srv/ren", 0, 1, "/srv/ren" },
        { "", 1, 1, "/farm dir/jobs" },         { "", 0, 1, "/farm dir" },
        { "/srv/ren", 1, 0, "/srv/ren" },       { "/", 1, 1, "/jobs" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char yaml[128];
        flamenco_str path;
        loaded l;
        snprintf(yaml, sizeof(yaml), "shared_storage_path: \"%s\"\nshaman: {enabled: %s}\n", rows[i].shared,
                 rows[i].enabled ? "true" : "false");
        load_text(&l, yaml, 1);
        assert_int_equal(fl_reference_storage(&l.ref, l.arena, CWD, rows[i].loaded, &path), FLAMENCO_OK);
        assert_text(rows[i].shared, path, rows[i].wanted);
        loaded_free(&l);
    }
}

static void reference_warns_of_network_paths_and_of_missing_blender(void **state)
{
    loaded l;
    (void)state;
    load_text(&l, "shared_storage_path: \\\\NAS\\vol\nvariables:\n", 1);
    assert_int_equal(l.rc, FLAMENCO_OK);
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "network paths"));
    assert_true(has_problem(&l.problems, FLAMENCO_LOG_WARN, "no variable \"blender\""));
    loaded_free(&l);
}

static void reference_origin_says_where_a_value_stands(void **state)
{
    loaded l;
    (void)state;
    load_text(&l, "listen: :1\nmqtt:\n  client:\n    broker: b\nshaman:\n", 1);
    assert_int_equal(l.ref.origin[FL_REFERENCE_LISTEN].line, 2);
    assert_string_equal(l.ref.origin[FL_REFERENCE_LISTEN].file, "f.yaml");
    assert_int_equal(l.ref.origin[FL_REFERENCE_MQTT_BROKER].line, 5);
    assert_int_equal(l.ref.origin[FL_REFERENCE_GC_PERIOD].given, 1);
    assert_int_equal(l.ref.origin[FL_REFERENCE_DATABASE].given, 0);
    assert_int_equal(fl_reference_find("mqtt.client.broker"), FL_REFERENCE_MQTT_BROKER);
    assert_int_equal(fl_reference_find("mqtt.client"), -1);
    loaded_free(&l);
}

static void reference_setup_changes_storage_and_blender_only(void **state)
{
    loaded l;
    fl_reference next;
    (void)state;
    load_text(&l, "manager_name: N\nvariables: {aa: {values: [{platform: linux, value: x}]}, zz: {}}\n", 1);
    assert_int_equal(fl_reference_setup(&l.ref, l.arena, FL_STR("rel/x"), FL_STR("C:\\Prog (x86)\\b.exe"), &next),
                     FLAMENCO_OK);
    assert_text("storage", next.shared_storage_path, "rel/x");
    assert_text("name", next.manager_name, "N");
    assert_int_equal(next.n_variables, 4);
    assert_text("0", next.variables[0].name, "aa");
    assert_text("1", next.variables[1].name, "blender");
    assert_text("2", next.variables[2].name, "blenderArgs");
    assert_text("3", next.variables[3].name, "zz");
    assert_int_equal(next.variables[1].n_values, 3);
    assert_text("blender", next.variables[1].values[2].value, "C:\\Prog (x86)\\b.exe");
    assert_text("platform", next.variables[1].values[2].platform, "darwin");
    assert_text("args", next.variables[2].values[0].value, "-b -y");
    loaded_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_defaults_are_the_contracts),
        cmocka_unit_test(reference_wrong_version_is_an_error),
        cmocka_unit_test(reference_texts_follow_the_vectors),
        cmocka_unit_test(reference_numbers_follow_the_vectors),
        cmocka_unit_test(reference_durations_follow_the_vectors),
        cmocka_unit_test(reference_variables_are_overlaid_by_name),
        cmocka_unit_test(reference_variable_values_follow_the_vectors),
        cmocka_unit_test(reference_bad_variables_are_errors),
        cmocka_unit_test(reference_variables_are_bounded_in_number),
        cmocka_unit_test(reference_unknown_keys_are_warnings),
        cmocka_unit_test(reference_every_problem_of_a_file_is_told),
        cmocka_unit_test(reference_effective_storage_follows_the_vectors),
        cmocka_unit_test(reference_warns_of_network_paths_and_of_missing_blender),
        cmocka_unit_test(reference_origin_says_where_a_value_stands),
        cmocka_unit_test(reference_setup_changes_storage_and_blender_only),
    };
    return cmocka_run_group_tests_name("config_reference", tests, NULL, NULL);
}
