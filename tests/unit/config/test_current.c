/* SPDX-License-Identifier: Apache-2.0
 *
 * test_current.c - the configuration in force: first run, reload, PUT, setup assistant, snapshots and threads
 * (configuration-and-clients 1.9 to 1.12, decisions.md).
 */
#include "core/config/current.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/base/log.h"
#include "tests/unit/config/support.h"

static char dir[256], path[300];
static fl_config *config;
static fl_manager_yaml *yaml;

static int setup(void **state)
{
    (void)state;
    make_dir(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/flamenco-manager.yaml", dir);
    fl_log_setup(-1, FL_LOG_TEXT, FLAMENCO_LOG_ERROR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fl_config_close(config);
    fl_manager_yaml_destroy(yaml);
    config = NULL;
    yaml = NULL;
    remove_tree(dir);
    return 0;
}

static int32_t open_config(const char *manager_yaml, int force_first_run)
{
    fl_config_problems problems = { 0 };
    if (manager_yaml != NULL)
        assert_int_equal(
            fl_manager_yaml_parse(flamenco_text(manager_yaml), "m.yaml", flamenco_text(dir), &problems, &yaml), 0);
    fl_config_options options = {
        .yaml = yaml, .cwd = flamenco_text(dir), .program = "Flamenco 3.9", .force_first_run = force_first_run
    };
    int32_t rc = fl_config_open(&options, &problems, &config);
    assert_int_equal(rc == FLAMENCO_OK, problems.errors == 0);
    fl_config_problems_fini(&problems);
    return rc;
}

static const char good[] =
    "_meta: {version: 3}\nmanager_name: Good\nshared_storage_path: rel/x\nshaman: {enabled: false}\n";

static void current_without_a_file_is_a_first_run(void **state)
{
    (void)state;
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_true(s->first_run && s->file_missing);
    assert_text("name", s->ref->manager_name, "Flamenco");
    char wanted[300];
    snprintf(wanted, sizeof(wanted), "%s/jobs", dir);
    assert_text("storage", s->storage_path, wanted);
    fl_config_unref(s);
}

static void current_preset_storage_is_no_first_run(void **state)
{
    (void)state;
    assert_int_equal(open_config("shared_storage_path: /srv/x\n", 0), FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_false(s->first_run);
    assert_text("storage", s->storage_path, "/srv/x/jobs");
    fl_config_unref(s);
}

static void current_forced_first_run(void **state)
{
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 1), FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_true(s->first_run);
    fl_config_unref(s);
}

static void current_bad_file_stops_the_start(void **state)
{
    (void)state;
    write_file(path, "manager_name: x\n");
    assert_int_equal(open_config(NULL, 0), FLAMENCO_E_INVALID);
    assert_null(config);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_E_INVALID);
}

static void current_local_storage_is_beside_the_executable_or_in_the_working_directory(void **state)
{
    static const struct {
        const char *yaml;
        int exe_exists, in_exe;
        const char *absolute;
    } rows[] = {
        { "_meta: {version: 3}\n", 1, 1, NULL },
        { "_meta: {version: 3}\n", 0, 0, NULL },
        { "_meta: {version: 3}\nlocal_manager_storage_path: /abs/../x\n", 1, 0, "/x" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char exe[300], wanted[400];
        snprintf(exe, sizeof(exe), "%s/exe", dir);
        if (rows[i].exe_exists)
            (void)mkdir(exe, 0700);
        else
            remove_tree(exe);
        write_file(path, rows[i].yaml);
        fl_config_problems problems = { 0 };
        fl_config_options options = { .cwd = flamenco_text(dir), .executable_dir = flamenco_text(exe) };
        assert_int_equal(fl_config_open(&options, &problems, &config), FLAMENCO_OK);
        const fl_config_snapshot *s = fl_config_current(config);
        snprintf(wanted, sizeof(wanted), "%s/flamenco-manager-storage", rows[i].in_exe ? exe : dir);
        assert_text("local storage", s->local_storage, rows[i].absolute != NULL ? rows[i].absolute : wanted);
        fl_config_unref(s);
        fl_config_close(config);
        config = NULL;
        fl_config_problems_fini(&problems);
    }
}

static void current_reload_takes_a_changed_file(void **state)
{
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    const fl_config_snapshot *old = fl_config_current(config);
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    const fl_config_snapshot *same = fl_config_current(config);
    assert_ptr_equal(same, old); /* nothing changed: nothing is made anew */
    fl_config_unref(same);
    write_file(path, "_meta: {version: 3}\nmanager_name: Changed\n");
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    const fl_config_snapshot *now = fl_config_current(config);
    assert_text("new", now->ref->manager_name, "Changed");
    assert_text("old", old->ref->manager_name, "Good"); /* an old snapshot stays what it was */
    assert_true(now->generation > old->generation);
    assert_true(now->first_run);
    fl_config_unref(old);
    fl_config_unref(now);
    assert_int_equal(remove(path), 0);
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    now = fl_config_current(config);
    assert_text("gone", now->ref->manager_name, "Flamenco");
    assert_true(now->file_missing);
    fl_config_unref(now);
}

static void current_bad_file_at_reload_leaves_the_last_good_one(void **state)
{
    static const char *const bad[] = { "", "_meta: {version: 3}\ntask_timeout: 5\n", "\xFF\xFE garbage", "_meta: [\n",
                                       "_meta: {vers" };
    char text[256];
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    assert_false(fl_config_trouble(config, text, sizeof(text)));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        flamenco_error err = FLAMENCO_ERROR_INIT;
        write_file(path, bad[i]);
        assert_int_equal(fl_config_reload(config, &err), FLAMENCO_E_INVALID);
        assert_non_null(strstr(err.text, "flamenco-manager.yaml"));
        assert_true(fl_config_trouble(config, text, sizeof(text)));
        assert_string_equal(text, err.text);
        const fl_config_snapshot *s = fl_config_current(config);
        assert_text("last good", s->ref->manager_name, "Good");
        fl_config_unref(s);
    }
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* unreadable */
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_E_INVALID);
    assert_int_equal(rmdir(path), 0);
    write_file(path, good);
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    assert_false(fl_config_trouble(config, text, sizeof(text)));
}

#define BODY(variables) \
    "{\"_meta\":{\"version\":3},\"manager_name\":\"Put\",\"database\":\" d.sqlite \",\"listen\":\":1\"," \
    "\"shared_storage_path\":\"rel/y/\",\"task_timeout\":\"1h\",\"shaman\":{\"enabled\":true}" variables "}"

static void current_put_writes_what_was_sent_and_works_with_the_processed_form(void **state)
{
    char wanted[400];
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    assert_int_equal(put_text(config,
                              FL_STR(BODY(",\"variables\":{\"jobs\":{\"values\":[]},\"x\":{\"values\":[{\"platform\":"
                                          "\"linux\",\"value\":\"v\"}]}}")),
                              0, NULL),
                     FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    snprintf(wanted, sizeof(wanted), "%s/rel/y", dir);
    assert_text("storage", s->ref->shared_storage_path, wanted);
    assert_text("database", s->ref->database, "d.sqlite");
    assert_int_equal(s->ref->n_variables, 1);
    assert_text("audience", s->ref->variables[0].values[0].audience, "all");
    const fl_variable *list = NULL;
    size_t n = fl_variables_list(s->variables, FL_STR("workers"), FL_STR("linux"), &list);
    assert_int_equal(n, 2);
    snprintf(wanted, sizeof(wanted), "%s/rel/y/jobs", dir);
    assert_text("jobs", list[0].value, wanted);
    fl_config_unref(s);
    char *text = read_file(path);
    assert_non_null(strstr(text, "shared_storage_path: rel/y/\n"));
    assert_non_null(strstr(text, "database: ' d.sqlite '\n"));
    assert_non_null(strstr(text, "task_timeout: 1h0m0s\n"));
    assert_non_null(strstr(text, "worker_timeout: 0s\n"));
    assert_non_null(strstr(text, "  jobs:\n    values: []\n"));
    assert_null(strstr(text, "audience"));
    free(text);
    char backup[400];
    snprintf(backup, sizeof(backup), "%s.bak", path);
    text = read_file(backup);
    assert_string_equal(text, good);
    free(text);
}

static void current_put_without_variables_has_none_until_the_next_load(void **state)
{
    (void)state;
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    assert_int_equal(put_text(config, FL_STR(BODY("")), 0, NULL), FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_int_equal(s->ref->n_variables, 0);
    fl_config_unref(s);
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    s = fl_config_current(config);
    assert_int_equal(s->ref->n_variables, 2);
    assert_text("name", s->ref->manager_name, "Put");
    fl_config_unref(s);
}

static void current_put_that_is_refused_changes_nothing(void **state)
{
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(put_text(config, FL_STR("{\"manager_name\":\"abc\"}"), 0, &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "_meta.version"));
    char *text = read_file(path);
    assert_string_equal(text, good);
    free(text);
    char blocker[400];
    snprintf(blocker, sizeof(blocker), "%s~", path); /* the temporary file cannot be made */
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(put_text(config, FL_STR(BODY("")), 0, &err), FLAMENCO_E_IO);
    text = read_file(path);
    assert_string_equal(text, good);
    free(text);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_text("name", s->ref->manager_name, "Good");
    fl_config_unref(s);
}

static void current_put_ends_trouble(void **state)
{
    char text[256];
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    write_file(path, "broken: [\n");
    assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_E_INVALID);
    assert_int_equal(put_text(config, FL_STR(BODY("")), 0, NULL), FLAMENCO_OK);
    assert_false(fl_config_trouble(config, text, sizeof(text)));
}

static void current_setup_saves_storage_and_blender(void **state)
{
    (void)state;
    assert_int_equal(open_config("manager_name: Preset\n", 0), FLAMENCO_OK);
    assert_int_equal(fl_config_setup(config, FL_STR("/srv/new"), FL_STR("C:\\Prog (x86)\\blender.exe"), 0, NULL), 0);
    for (int round = 0; round < 2; ++round) {
        const fl_config_snapshot *s = fl_config_current(config);
        assert_false(s->first_run);
        assert_text("storage", s->ref->shared_storage_path, "/srv/new");
        assert_text("name", s->ref->manager_name, "Preset");
        assert_text("blender", s->ref->variables[0].values[1].value, "C:\\Prog (x86)\\blender.exe");
        fl_config_unref(s);
        assert_int_equal(fl_config_reload(config, NULL), FLAMENCO_OK);
    }
    assert_int_equal(fl_config_setup(config, FL_STR("/srv/again"), FL_STR("blender"), 0, NULL), FLAMENCO_OK);
    assert_int_equal(fl_config_setup(config, FL_STR("/srv/last"), FL_STR("blender"), 0, NULL), FLAMENCO_OK);
    const fl_config_snapshot *s = fl_config_current(config);
    assert_text("storage", s->ref->shared_storage_path, "/srv/last");
    assert_text("name", s->ref->manager_name, "Preset");
    fl_config_unref(s);
}

static void current_write_writes_the_processed_form(void **state)
{
    char wanted[400];
    (void)state;
    write_file(path, good);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    assert_int_equal(fl_config_write(config, 0, NULL), FLAMENCO_OK);
    char *text = read_file(path);
    snprintf(wanted, sizeof(wanted), "shared_storage_path: %s/rel/x\n", dir);
    assert_non_null(strstr(text, wanted));
    assert_non_null(strstr(text, "    - audience: all\n      platform: linux\n      value: blender\n"));
    free(text);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void current_huge_put_is_refused(void **state)
{
    size_t size = 2 * 1024 * 1024;
    char *body = malloc(size);
    (void)state;
    assert_non_null(body);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    memset(body, ' ', size);
    memcpy(body, "{\"x\":1", 6);
    body[size - 1] = '}';
    assert_int_equal(put_text(config, (flamenco_str){ body, size }, 0, NULL), FLAMENCO_E_INVALID);
    free(body);
}

static void current_interned_texts_are_shared_and_last(void **state)
{
    (void)state;
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    char text[] = "broker";
    flamenco_str a = fl_config_intern(config, flamenco_text(text));
    text[0] = 'X';
    assert_text("copy", a, "broker");
    assert_ptr_equal(fl_config_intern(config, FL_STR("broker")).ptr, a.ptr);
    assert_ptr_not_equal(fl_config_intern(config, FL_STR("other")).ptr, a.ptr);
    assert_non_null(fl_config_intern(config, FL_STR("")).ptr);
}

static atomic_int stop;

static void *read_all_the_time(void *ctx)
{
    size_t *wrong_out = ctx, wrong = 0;
    while (!atomic_load(&stop)) {
        const fl_config_snapshot *s = fl_config_current(config);
        flamenco_str name = fl_config_intern(config, s->ref->manager_name);
        const fl_variable *list;
        wrong += name.len == 0 || fl_variables_list(s->variables, FL_STR("users"), FL_STR("linux"), &list) == 0;
        fl_config_unref(s);
    }
    *wrong_out = wrong;
    return NULL;
}

static void current_may_be_read_while_it_is_replaced(void **state)
{
    pthread_t threads[3];
    size_t wrong[3] = { 0 };
    (void)state;
    write_file(path, good);
    assert_int_equal(open_config(NULL, 0), FLAMENCO_OK);
    atomic_store(&stop, 0);
    size_t started = 0;
    int failed = 0;
    while (started < 3 && pthread_create(&threads[started], NULL, read_all_the_time, &wrong[started]) == 0)
        ++started;
    for (int i = 0; i < 60; ++i) {
        write_file(path, i % 2 ? good : "_meta: {version: 3}\nmanager_name: Other\n");
        failed += fl_config_reload(config, NULL) != FLAMENCO_OK;
        if (i % 10 == 0)
            failed += put_text(config, FL_STR(BODY("")), 0, NULL) != FLAMENCO_OK;
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < started; ++i) {
        pthread_join(threads[i], NULL);
        failed += wrong[i] != 0;
    }
    assert_int_equal(started, 3);
    assert_int_equal(failed, 0); /* not before the threads have ended */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(current_without_a_file_is_a_first_run, setup, teardown),
        cmocka_unit_test_setup_teardown(current_preset_storage_is_no_first_run, setup, teardown),
        cmocka_unit_test_setup_teardown(current_forced_first_run, setup, teardown),
        cmocka_unit_test_setup_teardown(current_bad_file_stops_the_start, setup, teardown),
        cmocka_unit_test_setup_teardown(current_local_storage_is_beside_the_executable_or_in_the_working_directory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(current_reload_takes_a_changed_file, setup, teardown),
        cmocka_unit_test_setup_teardown(current_bad_file_at_reload_leaves_the_last_good_one, setup, teardown),
        cmocka_unit_test_setup_teardown(current_put_writes_what_was_sent_and_works_with_the_processed_form, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(current_put_without_variables_has_none_until_the_next_load, setup, teardown),
        cmocka_unit_test_setup_teardown(current_put_that_is_refused_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(current_put_ends_trouble, setup, teardown),
        cmocka_unit_test_setup_teardown(current_setup_saves_storage_and_blender, setup, teardown),
        cmocka_unit_test_setup_teardown(current_write_writes_the_processed_form, setup, teardown),
        cmocka_unit_test_setup_teardown(current_huge_put_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(current_interned_texts_are_shared_and_last, setup, teardown),
        cmocka_unit_test_setup_teardown(current_may_be_read_while_it_is_replaced, setup, teardown),
    };
    return cmocka_run_group_tests_name("config_current", tests, NULL, NULL);
}
