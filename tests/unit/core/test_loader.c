/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugin loader on plugins with one fault each (tests/bad-plugins): each fault gives one problem that names member,
 * plugin, line and reason; and none of them brings the manager down.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/listeners.h"
#include "core/loader.h"
#include "core/places.h"
#include "temp_dir.h"

#ifndef BAD_PLUGINS
#error "BAD_PLUGINS, the directory of the plugins, is set by the build"
#endif

#define FIRST_LINE 12 /* of manager.yaml where the tested plugins begin, one a line */

static struct flamenco manager;
static fl_manager_yaml *yaml;
static fl_loader *loader;
static fl_places places;
static fl_config_problems problems;
static char text[4096];

static void unload(void)
{
    if (loader != NULL)
        fl_loader_stop(loader, 0);
    fl_loader_destroy(loader);
    fl_manager_yaml_destroy(yaml);
    fl_config_problems_fini(&problems);
    fl_listeners_destroy(manager.listeners);
    free(manager.forwarders);
    loader = NULL;
    yaml = NULL;
    memset(&manager, 0, sizeof(manager));
}

static int tear_down(void **state)
{
    (void)state;
    unload();
    return 0;
}

/* Loads a manager.yaml of everything that must be there, and these event forwarders: a line each. */
static int32_t load(const char *forwarders)
{
    unload();
    manager.listeners = fl_listeners_create();
    assert_non_null(manager.listeners);
    snprintf(text, sizeof(text),
             "plugin_path: [\"%s\"]\n"
             "plugins:\n"
             "  persist: {file: everything}\n"
             "  task_scheduler: {use: persist}\n"
             "  job_compiler: {use: persist}\n"
             "  clock: {use: persist}\n"
             "  state_machine: {use: persist}\n"
             "  log_storage: {use: persist}\n"
             "  local_storage: {use: persist}\n"
             "  job_deleter: {use: persist}\n"
             "  event_forwarder:\n%s",
             BAD_PLUGINS, forwarders);
    assert_int_equal(fl_manager_yaml_parse(flamenco_text(text), "manager.yaml", flamenco_text("/"), &problems, &yaml),
                     FLAMENCO_OK);
    fl_loader_places where = { &places, NULL, flamenco_text("/") };
    int32_t rc = fl_loader_load(&manager, yaml, &where, &problems, &loader);
    assert_non_null(loader);
    assert_int_equal(rc == FLAMENCO_OK, problems.errors == 0);
    return rc;
}

static int32_t load_one(const char *file)
{
    char line[1024];
    snprintf(line, sizeof(line), "    - {name: tested, file: \"%s\"}\n", file);
    return load(line);
}

/* One problem, of the plugin in the n-th line: "manager.yaml:LINE: plugins.event_forwarder: plugin FILE: REASON". */
static void check_problem(size_t index, uint32_t nth, const char *file, const char *reason)
{
    char found[2048], wanted[2048];
    assert_true(index < problems.count);
    assert_int_equal(problems.items[index].level, FLAMENCO_LOG_ERROR);
    fl_config_problem_text(&problems.items[index], found, sizeof(found));
    snprintf(wanted, sizeof(wanted), "manager.yaml:%u: plugins.event_forwarder: plugin %s: ", FIRST_LINE + nth, file);
    if (strncmp(found, wanted, strlen(wanted)) != 0 || strstr(found + strlen(wanted), reason) == NULL)
        fail_msg("\"%s\" is not \"%s...%s...\"", found, wanted, reason);
}

/* ---- One fault each ------------------------------------------------------------------------------------------------- */

static void each_fault_gives_one_problem(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "foreign-major", ": build it anew" },
        { "null-descriptor", "flamenco_plugin_query returned nothing" },
        { "short-descriptor", "its descriptor is damaged (size 4)" },
        { "cut-descriptor", "its descriptor lacks the function stop" },
        { "no-create", "its descriptor lacks the function create" },
        { "no-id", "its descriptor lacks id, version or licence" },
        { "no-method", "flamenco.event_forwarder/1 lacks the required method flush" },
        { "short-table", "flamenco.event_forwarder/1 lacks the required method flush" },
        { "provides-twice", "it provides flamenco.event_forwarder/1 twice" },
        { "provides-nothing", "it does not provide flamenco.event_forwarder/1 but nothing" },
        { "no-table", "one of the services that it provides has no id or no table" },
        { "other-service", "it does not provide flamenco.event_forwarder/1 but flamenco.event_forwarder/2" },
        { "needs-nobody", "it needs org.example.nobody/1, which no enabled plugin provides" },
        { "needs-no-id", "one of the services that it needs has no id" },
        { "wants-newer", "it needs more than there is: flamenco.clock/1 of this manager has " },
        { "create-fails", "cannot be made today" },
        { "configure-fails", "these settings contradict each other" },
        { "two-settings", "it declares the setting \"size\" twice" },
        { "bad-default", "size" },
        { "no-symbol", "does not export flamenco_plugin_query" },
        { "missing", "there is no missing.so in " BAD_PLUGINS },
        { "/nonexistent/plugin.so", "/nonexistent/plugin.so: No such file or directory" },
        { BAD_PLUGINS, BAD_PLUGINS " is not a file" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_not_equal(load_one(rows[i][0]), FLAMENCO_OK);
        if (problems.errors != 1)
            fail_msg("%s: %zu problems", rows[i][0], problems.errors);
        check_problem(0, 0, rows[i][0], rows[i][1]);
    }
}

static void default_out_of_range_names_the_range(void **state)
{
    (void)state;
    assert_int_equal(load_one("bad-default"), FLAMENCO_E_INVALID);
    assert_non_null(strstr(problems.items[0].text, "defect of the plugin"));
    assert_non_null(strstr(problems.items[0].text, "10"));
}

static void circle_is_refused_and_all_in_it_are_named(void **state)
{
    (void)state;
    assert_int_equal(load("    - {file: cycle-a}\n    - {file: cycle-b}\n    - {file: cycle-c}\n"), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 0, "cycle-a",
                  "plugins need each other in a circle: cycle-a needs cycle-b needs cycle-c needs cycle-a");
}

static void circle_is_named_without_those_who_only_lead_to_it(void **state)
{
    (void)state;
    /* Of two that are there the third is missing; then each is a problem of its own. */
    assert_int_equal(load("    - {file: cycle-a}\n    - {file: cycle-b}\n"), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 1, "cycle-b", "it needs org.example.c/1, which no enabled plugin provides");
}

static void disabled_plugins_are_no_providers(void **state)
{
    (void)state;
    assert_int_equal(load("    - {file: user}\n    - {file: base, enabled: false}\n"), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 0, "user", "it needs org.example.base/1, which no enabled plugin provides");
    assert_int_equal(fl_loader_count(loader), 2); /* a disabled one is not even opened */
}

static void provider_that_is_too_old_is_refused(void **state)
{
    (void)state;
    assert_int_equal(load("    - {file: wants-more}\n    - {file: base}\n"), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 0, "wants-more", "org.example.base/1 of base has 16 bytes, 64 are wanted: it is too old");
}

static void use_of_a_plugin_that_does_not_serve_the_member_is_refused(void **state)
{
    (void)state;
    assert_int_equal(load("    - {file: good}\n    - {use: persist}\n"), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.items[0].line, FIRST_LINE + 1);
    assert_non_null(strstr(problems.items[0].text,
                           "plugins.event_forwarder: persist does not provide flamenco.event_forwarder/1 but "));
}

static void all_problems_are_told_at_once(void **state)
{
    (void)state;
    static const char *const files[] = { "foreign-major", "no-method",       "needs-nobody", "missing",
                                         "create-fails",  "configure-fails", "two-settings" };
    enum { N = sizeof(files) / sizeof(files[0]) };
    char lines[1024] = "    - {file: good}\n";
    for (size_t i = 0; i < N; ++i)
        snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "    - {file: %s}\n", files[i]);
    assert_int_not_equal(load(lines), FLAMENCO_OK);
    assert_int_equal(problems.errors, N);
    for (size_t i = 0; i < N; ++i) {
        int found = 0;
        for (size_t k = 0; k < problems.count; ++k)
            found += problems.items[k].line == FIRST_LINE + 1 + i && strstr(problems.items[k].text, files[i]) != NULL;
        assert_int_equal(found, 1);
    }
}

static void broken_plugins_can_be_listed(void **state)
{
    (void)state;
    assert_int_not_equal(load("    - {file: missing}\n    - {file: no-id}\n"), FLAMENCO_OK);
    assert_int_equal(fl_loader_count(loader), 3);
    for (size_t i = 0; i < 3; ++i) {
        fl_plugin_info info = fl_loader_info(loader, i);
        assert_true(info.name != NULL && info.member != NULL && info.id != NULL && info.version != NULL);
        assert_true(info.licence != NULL && info.file != NULL && info.services != NULL);
    }
    assert_string_equal(fl_loader_info(loader, 1).version, "-");
}

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    static char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
}

static void file_that_everybody_may_write_is_refused(void **state)
{
    (void)state;
    char dir[TEMP_DIR_MAX], path[TEMP_DIR_MAX];
    temp_dir_make(dir);
    temp_path(path, "%s/plugin.so", dir);
    copy_file(BAD_PLUGINS "/good.so", path);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(load_one(path), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 0, path, "may be written by everybody");
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(load_one(path), FLAMENCO_OK);
    unload();
    temp_dir_remove(dir);
}

static void file_that_is_no_shared_object_is_refused(void **state)
{
    (void)state;
    char dir[TEMP_DIR_MAX], path[TEMP_DIR_MAX];
    temp_dir_make(dir);
    temp_path(path, "%s/plugin.so", dir);
    temp_file_write(path, "this is no plugin\n");
    assert_int_equal(load_one(path), FLAMENCO_E_INVALID);
    assert_int_equal(problems.errors, 1);
    check_problem(0, 0, path, "cannot be loaded: ");
    temp_dir_remove(dir);
}

static void names_are_looked_up_in_the_directories_in_order(void **state)
{
    (void)state;
    char dir[TEMP_DIR_MAX], path[TEMP_DIR_MAX], sub[TEMP_DIR_MAX];
    temp_dir_make(dir);
    temp_path(path, "%s/plugins/shaman/shaman.so", dir);
    temp_path(sub, "%s/plugins/shaman", dir);
    temp_file_write(path, "");
    copy_file(BAD_PLUGINS "/good.so", path);
    assert_int_equal(load_one("shaman"), FLAMENCO_E_INVALID);
    snprintf(places.build_root, sizeof(places.build_root), "%s", dir); /* as when it is run from the build tree */
    assert_int_equal(load_one("shaman"), FLAMENCO_OK);
    assert_string_equal(fl_loader_info(loader, 1).file, path);
    temp_path(sub, "%s/plugins:" BAD_PLUGINS, dir);
    assert_string_equal(fl_loader_path(loader), sub);
    places.build_root[0] = '\0';
    unload();
    temp_dir_remove(dir);
}

/* ---- What is no fault ------------------------------------------------------------------------------------------------- */

static void start_all(void)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (fl_loader_start(loader, &err) != FLAMENCO_OK)
        fail_msg("%s", err.text);
}

static void older_and_newer_plugins_are_accepted(void **state)
{
    (void)state;
    static const char *const files[] = { "good", "newer-minor", "longer-structs", "without-health" };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        flamenco_event event = { .struct_size = (uint32_t)sizeof(event) };
        assert_int_equal(load_one(files[i]), FLAMENCO_OK);
        assert_int_equal(problems.count, 0);
        start_all();
        assert_int_equal(manager.n_forwarders, 1);
        flamenco_event_forwarder_publish(&manager.forwarders[0], &event);
        assert_int_equal(flamenco_event_forwarder_flush(&manager.forwarders[0], 0, &err), FLAMENCO_OK);
        /* Of a longer table what this manager knows was taken. */
        assert_int_equal(manager.forwarders[0].table->struct_size, sizeof(flamenco_event_forwarder));
        assert_int_equal(fl_loader_health(loader, 1, &err), FLAMENCO_OK);
    }
}

static void one_file_may_serve_twice_and_one_plugin_several_members(void **state)
{
    (void)state;
    assert_int_equal(load("    - {name: one, file: good}\n    - {name: two, file: good}\n"), FLAMENCO_OK);
    start_all();
    assert_int_equal(manager.n_forwarders, 2);
    assert_ptr_not_equal(manager.forwarders[0].self, manager.forwarders[1].self);
    assert_int_equal(fl_loader_count(loader), 3);
    assert_ptr_equal(manager.persist.self, manager.clock.self);
    assert_int_equal(flamenco_clock_now_us(&manager.clock), 1000000);
    assert_non_null(manager.persist.table);
    assert_null(manager.shaman.table);
}

static void info_tells_of_each_plugin(void **state)
{
    (void)state;
    fl_buf json = { 0 };
    assert_int_equal(load_one("good"), FLAMENCO_OK);
    fl_plugin_info info = fl_loader_info(loader, 1);
    assert_string_equal(info.name, "tested");
    assert_string_equal(info.member, "event_forwarder");
    assert_string_equal(info.id, "org.example.test");
    assert_string_equal(info.version, "1.0");
    assert_string_equal(info.licence, "Apache-2.0");
    assert_string_equal(info.services, "flamenco.event_forwarder/1");
    assert_string_equal(info.file, BAD_PLUGINS "/good.so");
    assert_non_null(strstr(fl_loader_info(loader, 0).services, "flamenco.clock/1"));
    fl_loader_settings_json(loader, 1, &json);
    assert_true(json.len == 2 && memcmp(json.data, "[]", 2) == 0);
    fl_buf_fini(&json);
}

/* ---- Starting and stopping ---------------------------------------------------------------------------------------------- */

static void needs_are_started_first_and_stopped_last(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(load("    - {file: user}\n    - {file: base}\n"), FLAMENCO_OK);
    assert_int_equal(fl_loader_health(loader, 1, &err), FLAMENCO_E_UNAVAILABLE);
    assert_string_equal(err.text, "not running");
    start_all(); /* user fails to start unless base runs */
    assert_int_equal(fl_loader_health(loader, 1, &err), FLAMENCO_OK);
    fl_loader_stop(loader, 0);
    assert_int_equal(fl_loader_health(loader, 1, &err), FLAMENCO_E_UNAVAILABLE);
}

static void member_is_started_with_its_needs_alone(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(load("    - {file: user}\n    - {file: base}\n"), FLAMENCO_OK);
    assert_int_equal(fl_loader_start_member(loader, "clock", &err), FLAMENCO_OK);
    assert_int_equal(fl_loader_start_member(loader, "clock", &err), FLAMENCO_OK); /* runs already */
    assert_non_null(manager.clock.table);
    assert_int_equal(manager.n_forwarders, 0);
    assert_int_equal(fl_loader_start_member(loader, "event_forwarder", &err), FLAMENCO_OK); /* the first: user */
    assert_int_equal(manager.n_forwarders, 2);
    assert_int_equal(fl_loader_start_member(loader, "shaman", &err), FLAMENCO_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "plugins.shaman"));
    assert_int_equal(fl_loader_start_member(loader, "nonsense", &err), FLAMENCO_E_NOT_FOUND);
    start_all();
    assert_int_equal(manager.n_forwarders, 2); /* each is a member once */
}

static void failing_start_names_member_and_plugin(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(load("    - {file: good}\n    - {file: start-fails}\n    - {name: later, file: good}\n"),
                     FLAMENCO_OK);
    assert_int_equal(fl_loader_start(loader, &err), FLAMENCO_E_UNAVAILABLE);
    assert_string_equal(err.text, "plugins.event_forwarder: plugin start-fails: the other side is away");
    assert_int_equal(manager.n_forwarders, 1); /* those before it run until they are stopped, those behind never did */
    assert_int_equal(fl_loader_health(loader, 1, &err), FLAMENCO_OK);
    assert_int_equal(fl_loader_health(loader, 3, &err), FLAMENCO_E_UNAVAILABLE);
}

static void undeclared_services_are_not_given(void **state)
{
    (void)state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(load_one("nosy"), FLAMENCO_OK);
    assert_int_equal(fl_loader_start(loader, &err), FLAMENCO_E_UNSUPPORTED);
    assert_string_equal(err.text, "plugins.event_forwarder: plugin nosy: the host gave no clock");
}

#define loader_test(name) cmocka_unit_test_setup_teardown(name, NULL, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loader_test(each_fault_gives_one_problem),
        loader_test(default_out_of_range_names_the_range),
        loader_test(circle_is_refused_and_all_in_it_are_named),
        loader_test(circle_is_named_without_those_who_only_lead_to_it),
        loader_test(disabled_plugins_are_no_providers),
        loader_test(provider_that_is_too_old_is_refused),
        loader_test(use_of_a_plugin_that_does_not_serve_the_member_is_refused),
        loader_test(all_problems_are_told_at_once),
        loader_test(broken_plugins_can_be_listed),
        loader_test(file_that_everybody_may_write_is_refused),
        loader_test(file_that_is_no_shared_object_is_refused),
        loader_test(names_are_looked_up_in_the_directories_in_order),
        loader_test(older_and_newer_plugins_are_accepted),
        loader_test(one_file_may_serve_twice_and_one_plugin_several_members),
        loader_test(info_tells_of_each_plugin),
        loader_test(needs_are_started_first_and_stopped_last),
        loader_test(member_is_started_with_its_needs_alone),
        loader_test(failing_start_names_member_and_plugin),
        loader_test(undeclared_services_are_not_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
