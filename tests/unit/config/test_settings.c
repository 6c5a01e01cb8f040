/* SPDX-License-Identifier: Apache-2.0
 *
 * test_settings.c - a plugin's declared settings: checks, defaults, accessors, live reference keys, the listing, and
 * manager.yaml made from declarations (architecture.md 4, 7).
 */
#include "core/config/settings.h"

#include <jansson.h>

#include "core/base/log.h"
#include "tests/unit/config/support.h"

#define SETTING(...) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), __VA_ARGS__ \
    }

static const flamenco_setting
    s_text = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "text", .default_text = "hello", .doc = "A text."),
    s_int =
        SETTING(.type = FLAMENCO_SETTING_INT, .key = "int", .default_text = "5", .min = 1, .max = 10, .unit = "cows"),
    s_real = SETTING(.type = FLAMENCO_SETTING_REAL, .key = "real", .default_text = "0.5"),
    s_bool = SETTING(.type = FLAMENCO_SETTING_BOOL, .key = "bool", .default_text = "true"),
    s_duration = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "duration", .default_text = "1m30s", .min = 1000000,
                         .max = INT64_MAX),
    s_bytes = SETTING(.type = FLAMENCO_SETTING_BYTES, .key = "bytes", .default_text = "64MiB"),
    s_choice =
        SETTING(.type = FLAMENCO_SETTING_CHOICE, .key = "choice", .default_text = "off", .choices = "off baseline"),
    s_list = SETTING(.type = FLAMENCO_SETTING_TEXT_LIST, .key = "list", .default_text = "a b"),
    s_path = SETTING(.type = FLAMENCO_SETTING_PATH, .key = "path", .default_text = ""),
    s_paths = SETTING(.type = FLAMENCO_SETTING_PATH_LIST, .key = "paths", .default_text = "scripts /abs"),
    s_secret = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "secret", .flags = FLAMENCO_SETTING_SECRET),
    s_required = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "url", .flags = FLAMENCO_SETTING_REQUIRED),
    s_name = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "name", .reference_key = "manager_name"),
    s_database = SETTING(.type = FLAMENCO_SETTING_PATH, .key = "database", .reference_key = "database"),
    s_storage = SETTING(.type = FLAMENCO_SETTING_PATH, .key = "storage", .reference_key = "local_manager_storage_path"),
    s_period = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "period", .reference_key = "database_check_period",
                       .min = 0, .max = INT64_MAX),
    s_enabled = SETTING(.type = FLAMENCO_SETTING_BOOL, .key = "enabled", .reference_key = "mqtt.client.enabled"),
    s_password = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "password", .reference_key = "mqtt.client.password",
                         .flags = FLAMENCO_SETTING_SECRET);

static const flamenco_setting *const all[] = { &s_text,     &s_int,     &s_real,   &s_bool,    &s_duration, &s_bytes,
                                               &s_choice,   &s_list,    &s_path,   &s_paths,   &s_secret,   &s_name,
                                               &s_database, &s_storage, &s_period, &s_enabled, &s_password, NULL };

static const flamenco_plugin plugin = { FLAMENCO_PLUGIN_INIT, .id = "test", .version = "1", .licence = "MIT",
                                        .settings = all };

static char dir[256];
static fl_config *config;
static fl_yaml_doc *doc;
static fl_config_problems problems;
static fl_settings *settings;

static int setup(void **state)
{
    fl_config_problems none = { 0 };
    (void)state;
    make_dir(dir, sizeof(dir));
    fl_log_setup(-1, FL_LOG_TEXT, FLAMENCO_LOG_ERROR);
    fl_config_options options = { .cwd = flamenco_text(dir), .program = "p" };
    assert_int_equal(fl_config_open(&options, &none, &config), FLAMENCO_OK);
    fl_config_problems_fini(&none);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fl_settings_destroy(settings);
    settings = NULL;
    fl_yaml_doc_destroy(doc);
    doc = NULL;
    fl_config_problems_fini(&problems);
    fl_config_close(config);
    remove_tree(dir);
    return 0;
}

static int32_t create(const flamenco_plugin *of, const char *text)
{
    static fl_plugin_entry entry;
    fl_settings_destroy(settings);
    settings = NULL;
    fl_yaml_doc_destroy(doc);
    doc = NULL;
    fl_config_problems_fini(&problems);
    assert_int_equal(fl_yaml_parse(flamenco_text(text), "m.yaml", FL_YAML_STRICT, &problems, &doc), FLAMENCO_OK);
    entry = (fl_plugin_entry){ .member = fl_member_find(FL_STR("persist")),
                               .name = "persist",
                               .settings = fl_yaml_root(doc),
                               .yaml_file = "m.yaml",
                               .line = 1 };
    return fl_settings_create(of, &entry, config, CWD, &problems, &settings);
}

static void settings_defaults_are_filled_in(void **state)
{
    (void)state;
    assert_int_equal(create(&plugin, ""), FLAMENCO_OK);
    const flamenco_config *c = fl_settings_config(settings);
    assert_text("text", c->text(c->c, "text"), "hello");
    assert_int_equal(c->integer(c->c, "int"), 5);
    assert_true(c->real(c->c, "real") == 0.5);
    assert_int_equal(c->integer(c->c, "bool"), 1);
    assert_true(c->integer(c->c, "duration") == 90000000);
    assert_true(c->integer(c->c, "bytes") == 64 << 20);
    assert_text("choice", c->text(c->c, "choice"), "off");
    assert_int_equal(c->count(c->c, "list"), 2);
    assert_text("item", c->item(c->c, "list", 1), "b");
    assert_text("past", c->item(c->c, "list", 2), "");
    assert_text("path", c->text(c->c, "path"), "");
    assert_text("paths", c->item(c->c, "paths", 0), "/farm dir/scripts");
    assert_text("paths", c->item(c->c, "paths", 1), "/abs");
    assert_int_equal(c->given(c->c, "text"), 0);
    assert_text("place", c->place(c->c, "text"), "plugins.persist.settings.text (default)");
}

static void settings_given_ones_are_read(void **state)
{
    (void)state;
    assert_int_equal(create(&plugin,
                            "text: 12\nint: 0x0A\nreal: 2\nbool: off\nduration: 2h\nbytes: 4096\nchoice: baseline\n"
                            "list: one\npath: rel/../x\npaths: [a, /b]\nsecret: 's3'\n"),
                     FLAMENCO_OK);
    const flamenco_config *c = fl_settings_config(settings);
    assert_text("text", c->text(c->c, "text"), "12");
    assert_int_equal(c->integer(c->c, "int"), 10);
    assert_true(c->real(c->c, "real") == 2.0);
    assert_int_equal(c->integer(c->c, "bool"), 0);
    assert_true(c->integer(c->c, "duration") == INT64_C(7200000000));
    assert_int_equal(c->integer(c->c, "bytes"), 4096);
    assert_text("choice", c->text(c->c, "choice"), "baseline");
    assert_int_equal(c->count(c->c, "list"), 1);
    assert_text("item", c->item(c->c, "list", 0), "one");
    assert_text("path", c->text(c->c, "path"), "/farm dir/x");
    assert_text("paths", c->item(c->c, "paths", 0), "/farm dir/a");
    assert_int_equal(c->given(c->c, "int"), 1);
    assert_text("place", c->place(c->c, "int"), "m.yaml:2");
    assert_int_equal(create(&plugin, "text:\nlist: []\n"), FLAMENCO_OK);
    c = fl_settings_config(settings);
    assert_text("null is the default", c->text(c->c, "text"), "hello");
    assert_int_equal(c->count(c->c, "list"), 0);
    assert_int_equal(c->given(c->c, "text"), 0);
}

static void settings_all_problems_are_told_with_their_place(void **state)
{
    static const char *const wanted[] = {
        "m.yaml:1: plugins.persist.settings.text: a text is wanted, not \"a list\"",
        "m.yaml:2: plugins.persist.settings.int: a whole number, 1 to 10 is wanted, not \"11\"",
        "m.yaml:3: plugins.persist.settings.real: a number is wanted, not \"much\"",
        "m.yaml:4: plugins.persist.settings.bool: true or false (without quotes) is wanted, not \"1\"",
        "m.yaml:5: plugins.persist.settings.duration: a duration with its unit, such as 90s, 10m or 1h30m, 1s or more "
        "is "
        "wanted, not \"1ms\"",
        "m.yaml:6: plugins.persist.settings.bytes: a size, such as 4096, 64KiB, 16MiB or 1GiB is wanted, not \"-1\"",
        "m.yaml:7: plugins.persist.settings.choice: one of the allowed words, one of: off baseline is wanted, not "
        "\"full\"",
        "m.yaml:8: plugins.persist.settings.list: a list of texts is wanted, not \"a map\"",
        "m.yaml:9: plugins.persist.settings.secret: a text is wanted, not what stands here",
        "m.yaml:10: unknown setting \"plugins.persist.settings.colour\"; known are text, int, real",
        "m.yaml:11: plugins.persist.settings.database has its place in flamenco-manager.yaml",
        "m.yaml:12: plugins.persist.settings.path: a path is wanted",
    };
    (void)state;
    assert_int_equal(create(&plugin, "text: [a]\nint: 11\nreal: much\nbool: 1\nduration: 1ms\nbytes: -1\nchoice: full\n"
                                     "list: {a: b}\nsecret: [my, secret]\ncolour: red\ndatabase: x\npath: \"a\\0b\"\n"),
                     FLAMENCO_E_INVALID);
    assert_null(settings);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); ++i)
        assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, wanted[i]));
    assert_int_equal(problems.errors, 12);
    for (size_t i = 0; i < problems.count; ++i)
        assert_null(strstr(problems.items[i].text, "my"));
}

static void settings_bytes_have_binary_units(void **state)
{
    static const struct {
        const char *text;
        int64_t wanted; /* -1: refused */
    } rows[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "1B", 1 },
        { "3KiB", 3072 },
        { "16MiB", 16 << 20 },
        { "1GiB", 1 << 30 },
        { "2 MiB", 2 << 20 },
        { "1TiB", INT64_C(1) << 40 },
        { "1MB", -1 },
        { "1kb", -1 },
        { "1.5MiB", -1 },
        { "MiB", -1 },
        { "-1", -1 },
        { "9999999999TiB", -1 },
        { "99999999999999999999", -1 },
        { "", -1 },
    };
    char out[32];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        int64_t value = -1;
        int32_t rc = fl_setting_parse_bytes(flamenco_text(rows[i].text), &value);
        if ((rc == FLAMENCO_OK) != (rows[i].wanted >= 0) || value != rows[i].wanted)
            fail_msg("%s: %lld", rows[i].text, (long long)value);
    }
    assert_string_equal(fl_setting_format_bytes(64 << 20, out), "64MiB");
    assert_string_equal(fl_setting_format_bytes(26214400, out), "25MiB");
    assert_string_equal(fl_setting_format_bytes(1500, out), "1500");
    assert_string_equal(fl_setting_format_bytes(0, out), "0");
}

static void settings_required_ones_must_be_given(void **state)
{
    static const flamenco_setting *const list[] = { &s_required, NULL };
    static const flamenco_plugin needy = { FLAMENCO_PLUGIN_INIT, .settings = list };
    (void)state;
    assert_int_equal(create(&needy, ""), FLAMENCO_E_INVALID);
    assert_true(
        has_problem(&problems, FLAMENCO_LOG_ERROR, "m.yaml:1: plugins.persist.settings.url is missing: a text"));
    assert_int_equal(create(&needy, "url: x\n"), FLAMENCO_OK);
}

static void settings_defects_of_declarations_are_named(void **state)
{
    static const flamenco_setting no_key = SETTING(.type = FLAMENCO_SETTING_TEXT),
                                  bad_key = SETTING(.type = 1, .key = "A b"),
                                  bad_type = SETTING(.type = 99, .key = "t"),
                                  bad_default = SETTING(.type = FLAMENCO_SETTING_INT, .key = "d", .default_text = "x"),
                                  bad_ref =
                                      SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "r", .reference_key = "no.such"),
                                  bad_ref_type =
                                      SETTING(.type = FLAMENCO_SETTING_INT, .key = "q", .reference_key = "listen");
    static const flamenco_setting *const list[] = { &no_key,       &bad_key, &bad_type, &bad_default, &bad_ref,
                                                    &bad_ref_type, &s_text,  &s_text,   NULL };
    static const flamenco_plugin broken = { FLAMENCO_PLUGIN_INIT, .settings = list };
    (void)state;
    assert_int_equal(create(&broken, ""), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 7);
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "declares the setting \"text\" twice"));
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "wants the key \"no.such\", which does not exist"));
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "wants the key \"listen\", which has another type"));
    assert_true(has_problem(&problems, FLAMENCO_LOG_ERROR, "unknown type 99"));
}

static void settings_smaller_declaration_is_read_to_its_size(void **state)
{
    static const flamenco_setting old = { .struct_size = (uint32_t)offsetof(flamenco_setting, reference_key),
                                          .type = FLAMENCO_SETTING_TEXT,
                                          .key = "old",
                                          .default_text = "x",
                                          .reference_key = "not.to.be.read" };
    static const flamenco_setting *const list[] = { &old, NULL };
    static const flamenco_plugin aged = { FLAMENCO_PLUGIN_INIT, .settings = list };
    (void)state;
    assert_int_equal(create(&aged, ""), FLAMENCO_OK);
    const flamenco_config *c = fl_settings_config(settings);
    assert_text("old", c->text(c->c, "old"), "x");
}

static void settings_wrong_questions_give_zero(void **state)
{
    (void)state;
    assert_int_equal(create(&plugin, ""), FLAMENCO_OK);
    const flamenco_config *c = fl_settings_config(settings);
    assert_int_equal(c->integer(c->c, "text"), 0);
    assert_text("int as text", c->text(c->c, "int"), "");
    assert_text("unknown", c->text(c->c, "colour"), "");
    assert_int_equal(c->integer(c->c, "colour"), 0);
    assert_int_equal(c->count(c->c, "text"), 0);
    assert_int_equal(c->given(c->c, "colour"), 0);
    assert_text("null", c->text(c->c, NULL), "");
    assert_true(c->real(c->c, "int") == 0.0);
}

static void settings_with_a_reference_key_are_live(void **state)
{
    char path[300], wanted[400];
    (void)state;
    assert_int_equal(create(&plugin, ""), FLAMENCO_OK);
    const flamenco_config *c = fl_settings_config(settings);
    flamenco_str before = c->text(c->c, "name");
    assert_text("name", before, "Flamenco");
    assert_int_equal(c->given(c->c, "name"), 0);
    assert_text("place", c->place(c->c, "name"), "manager_name (default)");
    assert_true(c->integer(c->c, "period") == 600000000);
    assert_text("database", c->text(c->c, "database"), "/farm dir/flamenco-manager.sqlite");
    snprintf(wanted, sizeof(wanted), "%s/flamenco-manager-storage", dir);
    assert_text("storage", c->text(c->c, "storage"), wanted);

    snprintf(path, sizeof(path), "%s/flamenco-manager.yaml", dir);
    write_file(path,
               "_meta: {version: 3}\nmanager_name: Neu\ndatabase: 'file:x.sqlite?a=b'\ndatabase_check_period: -5s\n"
               "mqtt: {client: {enabled: yes, password: geheim}}\n");
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    assert_text("name", c->text(c->c, "name"), "Neu");
    assert_text("before", before, "Flamenco");
    assert_int_equal(c->given(c->c, "name"), 1);
    snprintf(wanted, sizeof(wanted), "%s:2", path);
    assert_text("place", c->place(c->c, "name"), wanted);
    assert_text("database", c->text(c->c, "database"), "file:x.sqlite?a=b");
    assert_int_equal(c->integer(c->c, "period"), 0); /* cut to the declared range */
    assert_int_equal(c->integer(c->c, "enabled"), 1);
    assert_int_equal(create(&plugin, ""), FLAMENCO_OK);
    assert_true(has_problem(&problems, FLAMENCO_LOG_WARN,
                            ":4: database_check_period: out of range, the nearest of 0s or more"));
}

static void settings_listing_masks_secrets(void **state)
{
    fl_buf out = { 0 };
    json_error_t error;
    (void)state;
    assert_int_equal(create(&plugin, "secret: topsecret\nint: 7\n"), FLAMENCO_OK);
    assert_int_equal(put_text(config,
                              FL_STR("{\"_meta\":{\"version\":3},\"database\":\"d\",\"listen\":\":1\",\"mqtt\":{"
                                     "\"client\":{\"password\":\"geheim\"}}}"),
                              0, NULL),
                     FLAMENCO_OK);
    fl_settings_json(settings, &out);
    json_t *list = json_loadb(out.data, out.len, 0, &error);
    assert_non_null(list);
    assert_int_equal(json_array_size(list), sizeof(all) / sizeof(all[0]) - 1);
    fl_buf_add_char(&out, '\0');
    assert_null(strstr(out.data, "topsecret"));
    assert_null(strstr(out.data, "geheim"));
    const json_t *number = json_array_get(list, 1), *secret = json_array_get(list, 10);
    assert_string_equal(json_string_value(json_object_get(number, "key")), "int");
    assert_string_equal(json_string_value(json_object_get(number, "type")), "int");
    assert_int_equal(json_integer_value(json_object_get(number, "value")), 7);
    assert_string_equal(json_string_value(json_object_get(number, "limits")), "1 to 10");
    assert_string_equal(json_string_value(json_object_get(number, "unit")), "cows");
    assert_string_equal(json_string_value(json_object_get(number, "place")), "m.yaml:2");
    assert_true(json_is_true(json_object_get(number, "given")));
    assert_string_equal(json_string_value(json_object_get(secret, "value")), "***");
    assert_true(json_is_true(json_object_get(secret, "secret")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 4), "value")), "1m30s");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 5), "value")), "64MiB");
    assert_int_equal(json_array_size(json_object_get(json_array_get(list, 7), "value")), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 16), "value")), "***");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 16), "reference_key")),
                        "mqtt.client.password");
    json_decref(list);
    fl_buf_fini(&out);
}

/* The rendered file must be accepted, mean the defaults, and still be accepted with every "#key:" uncommented. */
static void settings_rendered_manager_yaml_is_valid_commented_and_not(void **state)
{
    fl_render_plugin plugins[32];
    fl_buf out = { 0 }, open = { 0 };
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < fl_members_count; ++i)
        plugins[n++] = (fl_render_plugin){ &fl_members[i], fl_members[i].default_file, &plugin };
    plugins[n++] = (fl_render_plugin){ fl_member_find(FL_STR("event_forwarder")), "events-webhook", NULL };
    fl_manager_yaml_render(plugins, n, &out);
    assert_false(out.failed);
    flamenco_str rest = fl_buf_str(&out), line;
    while (fl_str_split(&rest, '\n', &line)) {
        uint64_t at = 0;
        while (at < line.len && line.ptr[at] == ' ')
            ++at;
        int commented = at + 1 < line.len && line.ptr[at] == '#' && line.ptr[at + 1] != ' ';
        /* "#member:" of an absent plugin, and the presets' deeper lines "#  key:", stay as they are */
        int setting = commented && (at == 0 || at > 2 || memchr(line.ptr, ':', (size_t)line.len - 1) != NULL);
        fl_buf_add(&open, line.ptr, (size_t)at);
        fl_buf_add(&open, line.ptr + at + (setting ? 1 : 0), (size_t)(line.len - at - (setting ? 1 : 0)));
        fl_buf_add_char(&open, '\n');
    }
    const fl_buf *const texts[] = { &out, &open };
    for (size_t i = 0; i < 2; ++i) {
        fl_manager_yaml *yaml = NULL;
        fl_config_problems found = { 0 };
        int32_t rc = fl_manager_yaml_parse(fl_buf_str(texts[i]), "r.yaml", CWD, &found, &yaml);
        if (i == 0) {
            assert_int_equal(rc, FLAMENCO_OK);
            assert_int_equal(yaml->n_plugins, n);
            assert_int_equal(yaml->http.websocket_messages, 500);
        } else if (rc != FLAMENCO_OK) {
            /* groups of presets ("#shaman:") were opened without their deeper lines; nothing else may be wrong */
            has_problem(&found, FLAMENCO_LOG_ERROR, "?");
            fail_msg("%.*s", FL_STR_ARGS(fl_buf_str(&open)));
        }
        fl_manager_yaml_destroy(yaml);
        fl_config_problems_fini(&found);
    }
    fl_buf_fini(&out);
    fl_buf_fini(&open);
}

static void settings_shipped_file_is_the_default_set(void **state)
{
    fl_manager_yaml *shipped = NULL, *none = NULL;
    fl_config_problems found = { 0 };
    (void)state;
    assert_int_equal(fl_manager_yaml_parse(fl_manager_yaml_embedded(), "e", CWD, &found, &shipped), FLAMENCO_OK);
    assert_int_equal(fl_manager_yaml_parse(FL_STR(""), "n", CWD, &found, &none), FLAMENCO_OK);
    assert_int_equal(shipped->n_plugins, none->n_plugins);
    for (size_t i = 0; i < none->n_plugins; ++i) {
        assert_string_equal(shipped->plugins[i].file, none->plugins[i].file);
        assert_string_equal(shipped->plugins[i].name, none->plugins[i].name);
    }
    assert_memory_equal(&shipped->limits, &none->limits, sizeof(none->limits));
    fl_manager_yaml_destroy(shipped);
    fl_manager_yaml_destroy(none);
    fl_config_problems_fini(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(settings_defaults_are_filled_in, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_given_ones_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_all_problems_are_told_with_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_bytes_have_binary_units, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_required_ones_must_be_given, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_defects_of_declarations_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_smaller_declaration_is_read_to_its_size, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_wrong_questions_give_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_with_a_reference_key_are_live, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_listing_masks_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_rendered_manager_yaml_is_valid_commented_and_not, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_shipped_file_is_the_default_set, setup, teardown),
    };
    return cmocka_run_group_tests_name("config_settings", tests, NULL, NULL);
}
