/* SPDX-License-Identifier: Apache-2.0
 *
 * test_module_file.c - the built plugin as a file: what it exports, what it links, and that it finds its helper and its
 * built-in scripts by itself, in the build tree and when installed elsewhere.
 */
#include "rig.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct module {
    rig r;
    void *handle;
} module;

/* A rig on the plugin in `file`, with nothing set. */
static void module_open(module *m, const char *file)
{
    memset(m, 0, sizeof(*m));
    temp_dir_make(m->r.root);
    snprintf(m->r.dir, sizeof(m->r.dir), "%s", m->r.root);
    fake_host_init(&m->r.fake);
    m->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (m->handle == NULL)
        fail_msg("%s", dlerror());
    union {
        void *object;
        const flamenco_plugin *(*function)(void);
    } query = { dlsym(m->handle, "flamenco_plugin_query") };
    assert_non_null(query.object);
    m->r.plugin = query.function();
}

static void module_close(module *m)
{
    rig_fini(&m->r);
    dlclose(m->handle);
}

static int command_fails(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int command_fails(const char *fmt, ...)
{
    char command[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    return system(command) != 0;
}

static void it_exports_one_function_and_links_no_engine(void **state)
{
    (void)state;
    assert_false(
        command_fails("test \"$(nm -D --defined-only '%s' | awk '{print $3}')\" = flamenco_plugin_query", COMPILER_JS));
    assert_true(command_fails("ldd '%s' | grep -qi javascript", COMPILER_JS));
}

static void its_descriptor_is_whole(void **state)
{
    (void)state;
    module m;
    module_open(&m, COMPILER_JS);
    assert_int_equal(m.r.plugin->abi_major, FLAMENCO_ABI_MAJOR);
    assert_string_equal(m.r.plugin->id, "compiler-js");
    assert_string_equal(m.r.plugin->provides[0]->id, "flamenco.job_compiler/1");
    for (const flamenco_setting *const *s = m.r.plugin->settings; *s != NULL; s++) {
        assert_int_equal((*s)->struct_size, sizeof(flamenco_setting));
        assert_non_null((*s)->doc);
        assert_int_equal((*s)->type == FLAMENCO_SETTING_CHOICE, (*s)->choices != NULL);
    }
    m.r.self = NULL;
    module_close(&m);
}

static void it_finds_everything_in_the_build_tree(void **state)
{
    (void)state;
    module m;
    char names[256];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    module_open(&m, COMPILER_JS);
    rig_start(&m.r);
    if (rig_list(&m.r, names, sizeof(names), NULL, &err) != FLAMENCO_OK)
        fail_msg("%s", err.text);
    assert_string_equal(names, "echo-sleep-test simple-blender-render");
    rig_stop(&m.r);
    rig_set(&m.r, "builtin_scripts", "false");
    rig_start(&m.r);
    assert_int_equal(rig_list(&m.r, names, sizeof(names), NULL, &err), FLAMENCO_OK);
    assert_string_equal(names, "");
    module_close(&m);
}

/* The tree is installed below a prefix that was not known when it was built. */
static void it_finds_everything_when_installed_elsewhere(void **state)
{
    (void)state;
    module m;
    char root[TEMP_DIR_MAX], file[TEMP_DIR_MAX], names[256], cwd[TEMP_DIR_MAX], script[TEMP_DIR_MAX];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    temp_dir_make(root);
    assert_false(command_fails("mkdir -p '%s/a/b/c/d' && cd '%s/a/b/c/d' && mkdir -p \"$(dirname '%s')\" '%s'", root,
                               root, FL_HELPER_RELATIVE, FL_SCRIPTS_RELATIVE));
    assert_false(command_fails("cd '%s/a/b/c/d' && cp '%s' compiler-js.so && cp '%s' '%s' && cp '%s'/*.js '%s'", root,
                               COMPILER_JS, RIG_HELPER, FL_HELPER_RELATIVE, RIG_BUILTIN, FL_SCRIPTS_RELATIVE));
    temp_path(file, "%s/a/b/c/d/compiler-js.so", root);
    module_open(&m, file);
    /* Without the setting, `scripts` in the working directory counts, too, and wins over the built-in ones. */
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_int_equal(chdir(root), 0);
    temp_path(script, "%s/scripts/echo_sleep_test.js", root);
    temp_file_write(script,
                    "const JOB_TYPE = {label: 'Mine', settings: []}; function compileJob(job) { print('mine'); }");
    rig_start(&m.r);
    assert_int_equal(chdir(cwd), 0);
    if (rig_list(&m.r, names, sizeof(names), NULL, &err) != FLAMENCO_OK)
        fail_msg("%s", err.text);
    assert_string_equal(names, "echo-sleep-test simple-blender-render");
    outcome o;
    rig_compile(&m.r, "echo-sleep-test", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_string_equal(o.log, "2 mine\n");
    outcome_free(&o);
    module_close(&m);
    temp_dir_remove(root);
}

static void two_instances_work_side_by_side(void **state)
{
    (void)state;
    module a, b;
    char names[256];
    module_open(&a, COMPILER_JS);
    module_open(&b, COMPILER_JS);
    rig_start(&a.r);
    rig_start(&b.r);
    assert_int_equal(rig_list(&a.r, names, sizeof(names), NULL, NULL), FLAMENCO_OK);
    rig_stop(&a.r);
    assert_int_equal(rig_list(&b.r, names, sizeof(names), NULL, NULL), FLAMENCO_OK);
    assert_string_equal(names, "echo-sleep-test simple-blender-render");
    module_close(&a);
    module_close(&b);
}

static void memory_that_is_exhausted_fails_the_creation(void **state)
{
    (void)state;
    module m;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    void *self = NULL;
    module_open(&m, COMPILER_JS);
    m.r.fake.allocations_left = 0;
    assert_int_equal(m.r.plugin->create(&m.r.fake.host, &self, &err), FLAMENCO_E_NOMEM);
    assert_null(self);
    m.r.plugin->destroy(NULL);
    m.r.fake.allocations_left = -1;
    /* An instance that was never started may be destroyed. */
    assert_int_equal(m.r.plugin->create(&m.r.fake.host, &self, &err), FLAMENCO_OK);
    m.r.plugin->destroy(self);
    module_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_exports_one_function_and_links_no_engine),
        cmocka_unit_test(its_descriptor_is_whole),
        cmocka_unit_test(it_finds_everything_in_the_build_tree),
        cmocka_unit_test(it_finds_everything_when_installed_elsewhere),
        cmocka_unit_test(two_instances_work_side_by_side),
        cmocka_unit_test(memory_that_is_exhausted_fails_the_creation),
    };
    return cmocka_run_group_tests_name("compiler-js-file", tests, NULL, NULL);
}
