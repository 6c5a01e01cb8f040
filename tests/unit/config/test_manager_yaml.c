/* SPDX-License-Identifier: Apache-2.0
 *
 * test_manager_yaml.c - manager.yaml: plugins, http, limits, presets (architecture.md 3, 7, 8).
 */
#include <sys/stat.h>

#include "tests/unit/config/support.h"

#define MANDATORY \
    "plugins:\n  persist: {file: persist-sqlite}\n  task_scheduler: {}\n  job_compiler: {}\n  clock: {}\n" \
    "  state_machine: {}\n  log_storage: {}\n  local_storage: {}\n  job_deleter: {}\n"

typedef struct parsed {
    fl_manager_yaml *yaml;
    fl_config_problems problems;
    int32_t rc;
} parsed;

static void parse(parsed *p, const char *text)
{
    memset(p, 0, sizeof(*p));
    p->rc = fl_manager_yaml_parse(flamenco_text(text), "m.yaml", CWD, &p->problems, &p->yaml);
}

static void parsed_free(parsed *p)
{
    fl_manager_yaml_destroy(p->yaml);
    fl_config_problems_fini(&p->problems);
}

static const fl_plugin_entry *find_entry(const fl_manager_yaml *yaml, const char *name)
{
    for (size_t i = 0; i < yaml->n_plugins; ++i)
        if (strcmp(yaml->plugins[i].name, name) == 0)
            return &yaml->plugins[i];
    return NULL;
}

static void manager_yaml_empty_loads_the_default_set(void **state)
{
    parsed p;
    (void)state;
    parse(&p, "# nothing\n");
    assert_int_equal(p.rc, FLAMENCO_OK);
    size_t wanted = 0;
    for (size_t i = 0; i < fl_members_count; ++i)
        wanted += fl_members[i].default_file != NULL;
    assert_int_equal(p.yaml->n_plugins, wanted);
    assert_string_equal(find_entry(p.yaml, "persist")->file, "persist-sqlite");
    assert_int_equal(p.yaml->n_plugin_path, 1);
    assert_text("path", p.yaml->plugin_path[0], "lib/flamenco/plugins");
    assert_text("version", p.yaml->reported_version, "");
    parsed_free(&p);
}

static void manager_yaml_mandatory_members_have_a_default(void **state)
{
    (void)state;
    for (size_t i = 0; i < fl_members_count; ++i) {
        assert_ptr_equal(fl_member_find(flamenco_text(fl_members[i].name)), &fl_members[i]);
        if ((fl_members[i].flags & FL_MEMBER_MANDATORY) != 0)
            assert_non_null(fl_members[i].default_file);
    }
    assert_null(fl_member_find(FL_STR("config")));
}

static void manager_yaml_section_defaults_are_those_of_the_design(void **state)
{
    parsed p;
    (void)state;
    parse(&p, "");
    assert_int_equal(p.rc, FLAMENCO_OK);
    const fl_http_settings *h = &p.yaml->http;
    const fl_limit_settings *l = &p.yaml->limits;
    assert_true(h->head_timeout_us == 10000000 && h->idle_timeout_us == 900000000 && h->body_timeout_us == 60000000);
    assert_true(h->reply_timeout_us == 60000000 && h->body_rate_bytes == 1024);
    assert_true(h->body_json_bytes == 16 << 20 && h->body_job_bytes == 128 << 20 && h->body_image_bytes == 26214400);
    assert_true(h->spill_above_bytes == 1 << 20 && h->websocket_messages == 500);
    assert_true(h->websocket_queue_bytes == 4 << 20 && h->websocket_message_bytes == 64 << 10);
    assert_true(h->websocket_timeout_us == 60000000 && h->gzip == 1 && h->connections == 0);
    assert_text("tls", h->tls_certificate, "");
    assert_true(l->hold_empty_poll_us == 600000000 && l->hold_empty_poll_proxy_us == 50000000);
    assert_true(l->read_timeout_us == 10000000 && l->request_timeout_us == 25000000);
    assert_true(l->reply_memory_bytes == 256 << 20 && l->compile_memory_bytes == 512 << 20);
    assert_true(l->image_memory_bytes == 256 << 20);
    parsed_free(&p);
}

static void manager_yaml_sections_are_read(void **state)
{
    parsed p;
    (void)state;
    parse(&p, "http:\n  connections: 100\n  body_json: 32MiB\n  idle_timeout: 1h\n  gzip: off\n"
              "  spill_directory: sub/../spill\n  head_timeout:\n"
              "limits: {hold_empty_poll: 0, readers: 4}\nreported_version: 3.9-beta1\nplugin_path: [a, /b]\n");
    assert_int_equal(p.rc, FLAMENCO_OK);
    assert_int_equal(p.yaml->http.connections, 100);
    assert_true(p.yaml->http.body_json_bytes == 32 << 20);
    assert_true(p.yaml->http.idle_timeout_us == INT64_C(3600000000));
    assert_true(p.yaml->http.head_timeout_us == 10000000);
    assert_int_equal(p.yaml->http.gzip, 0);
    assert_text("spill", p.yaml->http.spill_directory, "/farm dir/spill");
    assert_int_equal(p.yaml->limits.hold_empty_poll_us, 0);
    assert_int_equal(p.yaml->limits.readers, 4);
    assert_text("version", p.yaml->reported_version, "3.9-beta1");
    assert_int_equal(p.yaml->n_plugin_path, 2);
    parsed_free(&p);
}

static void manager_yaml_all_problems_are_told_at_once(void **state)
{
    static const char *const wanted[] = {
        "m.yaml:1: unknown key \"colour\"",
        "m.yaml:3: http.connections: a whole number, 0 to 1000000 is wanted, not \"-1\"",
        "m.yaml:4: http.body_json: a size, such as 4096, 64KiB, 16MiB or 1GiB, 64KiB to 1GiB is wanted, not \"16MB\"",
        "m.yaml:5: unknown key \"http.port\"",
        "m.yaml:6: http.gzip: true or false (without quotes) is wanted, not \"true\"",
        "m.yaml:7: http.idle_timeout: a duration with its unit, such as 90s, 10m or 1h30m, 1m10s to 24h0m0s is wanted, "
        "not \"15\"",
        "m.yaml:8: limits: a map is wanted, not a text",
        "m.yaml:9: reported_version",
        "m.yaml:10: task_timeout: a duration",
        "m.yaml:12: unknown key \"shaman.colour\"",
        "m.yaml:13: _meta belongs into flamenco-manager.yaml",
        "m.yaml:14: plugin_path: a list of texts is wanted, not \"a map\"",
        "http: tls_certificate and tls_key belong together",
    };
    parsed p;
    (void)state;
    parse(&p, "colour: red\nhttp:\n  connections: -1\n  body_json: 16MB\n  port: 80\n  gzip: 'true'\n"
              "  idle_timeout: 15\nlimits: 5\nreported_version: [1]\ntask_timeout: 5\nshaman:\n  colour: red\n"
              "_meta: {version: 3}\nplugin_path: {a: b}\n");
    assert_int_equal(p.rc, FLAMENCO_E_INVALID);
    for (size_t i = 0; i + 1 < sizeof(wanted) / sizeof(wanted[0]); ++i)
        assert_true(has_problem(&p.problems, FLAMENCO_LOG_ERROR, wanted[i]));
    assert_int_equal(p.problems.errors, 12);
    parsed_free(&p);
    parse(&p, "http: {tls_key: k.pem}\n");
    assert_int_equal(p.rc, FLAMENCO_E_INVALID);
    assert_true(has_problem(&p.problems, FLAMENCO_LOG_ERROR, wanted[12]));
    parsed_free(&p);
}

static void manager_yaml_plugins_are_read(void **state)
{
    parsed p;
    (void)state;
    parse(&p, "plugins:\n"
              "  persist: {file: persist-postgres, settings: {conninfo: \"host=db\"}}\n"
              "  task_scheduler: {file: /opt/studio/fair.so, name: fair}\n"
              "  job_compiler: {}\n"
              "  clock:\n"
              "  state_machine: {enabled: yes}\n"
              "  log_storage: {}\n"
              "  local_storage: {}\n"
              "  shaman: {file: shaman, enabled: false}\n"
              "  event_forwarder:\n"
              "    - {name: mqtt, file: events-mqtt}\n"
              "    - {file: events-webhook, settings: {url: \"https://chat.example/hook\"}}\n"
              "    - {file: /x/other.so}\n"
              "  http_routes: {file: webapp}\n"
              "  job_deleter: {use: persist}\n"
              "  sleep_scheduler: false\n"
              "  farm_status: true\n");
    assert_int_equal(p.rc, FLAMENCO_OK);
    assert_int_equal(p.yaml->n_plugins, 15);
    const fl_plugin_entry *e = find_entry(p.yaml, "persist");
    assert_string_equal(e->file, "persist-postgres");
    assert_text("conninfo", fl_yaml_get(e->settings, "conninfo")->text, "host=db");
    assert_int_equal(e->line, 2);
    assert_string_equal(e->yaml_file, "m.yaml");
    assert_string_equal(find_entry(p.yaml, "fair")->file, "/opt/studio/fair.so");
    assert_string_equal(find_entry(p.yaml, "job_compiler")->file, "compiler-js");
    assert_string_equal(find_entry(p.yaml, "clock")->file, "clock-system");
    assert_int_equal(find_entry(p.yaml, "shaman")->enabled, 0);
    assert_false(fl_manager_yaml_has(p.yaml, "sleep_scheduler"));
    assert_true(fl_manager_yaml_has(p.yaml, "farm_status"));
    fl_manager_yaml_disable(p.yaml, "farm_status");
    assert_false(fl_manager_yaml_has(p.yaml, "farm_status"));
    assert_string_equal(find_entry(p.yaml, "mqtt")->file, "events-mqtt");
    assert_non_null(find_entry(p.yaml, "events-webhook"));
    assert_non_null(find_entry(p.yaml, "other"));
    assert_string_equal(find_entry(p.yaml, "webapp")->member->name, "http_routes");
    e = find_entry(p.yaml, "job_deleter");
    assert_null(e->file);
    assert_ptr_equal(e->used, find_entry(p.yaml, "persist"));
    assert_true(fl_manager_yaml_has(p.yaml, "persist"));
    assert_false(fl_manager_yaml_has(p.yaml, "shaman"));
    assert_false(fl_manager_yaml_has(p.yaml, "discovery"));
    parsed_free(&p);
}

static void manager_yaml_bad_plugins_are_errors(void **state)
{
    static const struct {
        const char *yaml, *problem;
    } rows[] = {
        { "plugins: []\n", "m.yaml:1: plugins: a map is wanted, not a list" },
        { "plugins: {}\n", "m.yaml:1: plugins.persist is missing, but the manager cannot do without it" },
        { MANDATORY "  persistance: {}\n", "m.yaml:10: unknown member \"plugins.persistance\"; known are persist, " },
        { MANDATORY "  shaman: [{file: shaman}]\n", "plugins.shaman: there is only one, so no list" },
        { MANDATORY "  shaman: shaman\n", "m.yaml:10: plugins.shaman: a map is wanted, not a text" },
        { MANDATORY "  event_forwarder: {}\n", "m.yaml:10: plugins.event_forwarder: `file` is missing" },
        { MANDATORY "  shaman: {file: ./shaman.so}\n", "a bare name (NAME.so in the plugin_path) or an absolute path" },
        { MANDATORY "  shaman: {file: ../x}\n", "plugins.shaman.file: a bare name" },
        { MANDATORY "  shaman: {file: [x]}\n", "plugins.shaman.file: a text is wanted" },
        { MANDATORY "  shaman: {file: shaman, enabled: \"no\"}\n", "plugins.shaman.enabled: true or false" },
        { MANDATORY "  shaman: {file: shaman, settings: 5}\n", "plugins.shaman.settings: a map is wanted" },
        { MANDATORY "  shaman: {file: shaman, path: 5}\n", "unknown key \"plugins.shaman.path\"; known are file" },
        { MANDATORY "  shaman: {use: nobody}\n", "`use` names \"nobody\", but no plugin has that name" },
        { MANDATORY "  shaman: {use: persist, file: x}\n", "`use` names another instance, so `file`" },
        { MANDATORY "  shaman: {use: shaman}\n", "which is no plugin of its own" },
        { MANDATORY "  shaman: {use: farm_status}\n  farm_status: {file: x, enabled: no}\n", "which is disabled" },
        { MANDATORY "  event_forwarder: [{file: a}, {file: a}]\n", "two plugins are named \"a\"" },
        { MANDATORY "  event_forwarder: [5]\n", "plugins.event_forwarder[0]: a map is wanted" },
        { MANDATORY "  shaman: {file: x}\n  shaman: {file: y}\n", "the key \"shaman\" stands here again" },
        { "plugins:\n  persist: {enabled: false}\n", "m.yaml:2: plugins.persist is disabled, but" },
        { "a: *b\n", "aliases (*b) are not allowed" },
        { "plugins: [\n", "m.yaml:2:" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        parsed p;
        parse(&p, rows[i].yaml);
        if (p.rc != FLAMENCO_E_INVALID)
            fail_msg("accepted: %s", rows[i].yaml);
        assert_true(has_problem(&p.problems, FLAMENCO_LOG_ERROR, rows[i].problem));
        parsed_free(&p);
    }
}

static void manager_yaml_presets_lie_between_defaults_and_file(void **state)
{
    parsed p;
    loaded l = { 0 };
    (void)state;
    parse(&p, "manager_name: Studio\nshared_storage_path: /preset\nshaman: {garbageCollect: {period: 2h}}\n"
              "variables: {x: {values: [{platform: linux, value: p}]}, y: {values: [{platform: linux, value: p}]}}\n");
    assert_int_equal(p.rc, FLAMENCO_OK);
    l.arena = fl_arena_create(0);
    fl_reference_defaults(&l.raw);
    assert_int_equal(fl_manager_yaml_presets(p.yaml, l.arena, &l.raw), FLAMENCO_OK);
    assert_int_equal(fl_yaml_parse(FL_STR("_meta: {version: 3}\nmanager_name: Mine\nvariables: {x: {values: []}}\n"),
                                   "f", 0, &l.problems, &l.doc),
                     FLAMENCO_OK);
    assert_int_equal(
        fl_reference_overlay(&l.raw, l.arena, fl_yaml_root(l.doc), "f", FL_REFERENCE_FROM_FILE, &l.problems),
        FLAMENCO_OK);
    assert_text("name", l.raw.manager_name, "Mine");
    assert_text("storage", l.raw.shared_storage_path, "/preset");
    assert_string_equal(l.raw.origin[FL_REFERENCE_SHARED_STORAGE].file, "m.yaml");
    assert_true(l.raw.gc_period_ns == INT64_C(7200000000000));
    assert_int_equal(l.raw.version, 3);
    assert_int_equal(l.raw.n_variables, 4);
    assert_int_equal(l.raw.variables[2].n_values, 0);
    assert_text("y", l.raw.variables[3].values[0].value, "p");
    loaded_free(&l);
    parsed_free(&p);
}

static void manager_yaml_is_looked_for_in_order(void **state)
{
    char dir[256], cwd[512], path[512];
    fl_config_problems problems = { 0 };
    fl_manager_yaml *yaml = NULL;
    (void)state;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    make_dir(dir, sizeof(dir));
    assert_int_equal(chdir(dir), 0);
    snprintf(path, sizeof(path), "%s/installed.yaml", dir);

    assert_int_equal(fl_manager_yaml_load(NULL, path, CWD, &problems, &yaml), FLAMENCO_OK); /* embedded */
    assert_string_equal(yaml->file, "");
    fl_manager_yaml_destroy(yaml);

    write_file(path, "reported_version: '1'\n");
    assert_int_equal(fl_manager_yaml_load(NULL, path, CWD, &problems, &yaml), FLAMENCO_OK);
    assert_text("installed", yaml->reported_version, "1");
    fl_manager_yaml_destroy(yaml);

    assert_int_equal(mkdir("etc", 0700), 0);
    write_file("etc/manager.yaml", "reported_version: '2'\n");
    assert_int_equal(fl_manager_yaml_load(NULL, path, CWD, &problems, &yaml), FLAMENCO_OK);
    assert_text("local", yaml->reported_version, "2");
    fl_manager_yaml_destroy(yaml);

    assert_int_equal(fl_manager_yaml_load(path, NULL, CWD, &problems, &yaml), FLAMENCO_OK);
    assert_text("given", yaml->reported_version, "1");
    fl_manager_yaml_destroy(yaml);

    assert_int_equal(fl_manager_yaml_load("nowhere.yaml", path, CWD, &problems, &yaml), FLAMENCO_E_NOT_FOUND);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "nowhere.yaml: there is no such file"));
    write_file("etc/manager.yaml", "reported_version: [\n");
    assert_int_equal(fl_manager_yaml_load(NULL, path, CWD, &problems, &yaml), FLAMENCO_E_INVALID);
    assert_int_equal(fl_manager_yaml_load(dir, NULL, CWD, &problems, &yaml), FLAMENCO_E_INVALID);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "is not a plain file"));
    fl_config_problems_fini(&problems);
    assert_int_equal(chdir(cwd), 0);
    remove_tree(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manager_yaml_empty_loads_the_default_set),
        cmocka_unit_test(manager_yaml_mandatory_members_have_a_default),
        cmocka_unit_test(manager_yaml_section_defaults_are_those_of_the_design),
        cmocka_unit_test(manager_yaml_sections_are_read),
        cmocka_unit_test(manager_yaml_all_problems_are_told_at_once),
        cmocka_unit_test(manager_yaml_plugins_are_read),
        cmocka_unit_test(manager_yaml_bad_plugins_are_errors),
        cmocka_unit_test(manager_yaml_presets_lie_between_defaults_and_file),
        cmocka_unit_test(manager_yaml_is_looked_for_in_order),
    };
    return cmocka_run_group_tests_name("config_manager_yaml", tests, NULL, NULL);
}
