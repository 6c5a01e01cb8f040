/* SPDX-License-Identifier: Apache-2.0
 *
 * test_protocol.c - a helper is not trusted: whatever it sends, the call fails, nothing else does, and another helper is
 * started for the next call. The helper here is fake_helper.c.
 */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

static rig r;
static size_t descriptors;

static int setup(void **state)
{
    (void)state;
    descriptors = rig_descriptors();
    rig_init(&r);
    rig_set(&r, "helpers", "1");
    rig_script(&r, "test.js", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    assert_int_equal(rig_descriptors(), descriptors);
    return 0;
}

static void start_as(const char *mode)
{
    char path[TEMP_DIR_MAX];
    rig_stop(&r);
    temp_path(path, "%s/%s", r.root, mode);
    assert_int_equal(symlink(FAKE_HELPER, path), 0);
    rig_set(&r, "helper", path);
    rig_start(&r);
}

static void nonsense_fails_the_call_and_ends_the_helper(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        int32_t rc;
        const char *text;
    } vectors[] = {
        { "frame-unknown", FLAMENCO_E_INTERNAL, "an unknown frame" },
        { "frame-huge", FLAMENCO_E_INTERNAL, "too large a frame" },
        { "frame-empty", FLAMENCO_E_INTERNAL, "a broken job" },
        { "task-first", FLAMENCO_E_INTERNAL, "a broken task" },
        { "end-only", FLAMENCO_E_INTERNAL, "another number of tasks" },
        { "type-again", FLAMENCO_E_INTERNAL, "a broken job type" },
        { "script-other", FLAMENCO_E_INTERNAL, "a question for another script" },
        { "problem-twice", FLAMENCO_E_INTERNAL, "a broken problem" },
        { "problem-utf8", FLAMENCO_E_INTERNAL, "a broken problem" },
        { "problem-open", FLAMENCO_E_UNAVAILABLE, "ended unexpectedly (exit code 0)" },
        { "log-flood", FLAMENCO_E_INTERNAL, "a broken log line" },
        { "leave", FLAMENCO_E_UNAVAILABLE, "ended unexpectedly (exit code 5)" },
        { "job-utf8", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "job-json", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "job-list", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "job-html", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "job-huge", FLAMENCO_E_INVALID, "at most 1000000 are allowed" },
        { "job-steps", FLAMENCO_E_INTERNAL, "another number of tasks" },
        { "job-twice", FLAMENCO_E_INTERNAL, "a broken job" },
        { "task-json", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "task-text", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "task-utf8", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "task-steps", FLAMENCO_E_INTERNAL, "cannot be stored" },
        { "few-tasks", FLAMENCO_E_INTERNAL, "another number of tasks" },
        { "many-tasks", FLAMENCO_E_INTERNAL, "a broken task" },
        { "dep-far", FLAMENCO_E_INTERNAL, "a dependency on no task" },
        { "dep-more", FLAMENCO_E_INTERNAL, "more dependencies than announced" },
        { "dep-twice", FLAMENCO_E_INVALID, "depends twice on the same task" },
        { "wrong-end", FLAMENCO_E_INTERNAL, "the end of another answer" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        start_as(vectors[i].mode);
        for (int k = 0; k < 2; k++) {
            outcome o;
            rig_compile(&r, "test", "{}", &o);
            if (o.rc != vectors[i].rc || strstr(o.err.text, vectors[i].text) == NULL)
                fail_msg("%s: %d %s", vectors[i].mode, o.rc, o.err.text);
            outcome_free(&o);
        }
    }
}

static void a_good_answer_passes(void **state)
{
    (void)state;
    outcome o;
    start_as("good");
    rig_compile(&r, "test", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 2);
    assert_json(json_object_get(json_array_get(o.tasks, 1), "depends_on"), "[1]");
    outcome_free(&o);
    /* What lies about its place gets no file. */
    start_as("module-lies");
    rig_compile(&r, "test", "{}", &o);
    if (o.rc != FLAMENCO_OK)
        fail_msg("%s", o.err.text);
    outcome_free(&o);
    /* More than was asked for: this answer counts, the helper does not. */
    start_as("trailing");
    for (int i = 0; i < 3; i++) {
        rig_compile(&r, "test", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        outcome_free(&o);
    }
    assert_true(fake_host_metric(&r.fake, "compiler_helpers_started_total") >= 4);
}

static void a_helper_that_does_not_start_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        const char *text;
    } vectors[] = {
        { "dies", "error while loading shared libraries" },
        { "hello-version", "another version" },
        { "hello-type", "another version" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        outcome o;
        flamenco_error err = FLAMENCO_ERROR_INIT;
        start_as(vectors[i].mode);
        rig_compile(&r, "test", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_E_UNAVAILABLE);
        assert_contains(o.err.text, vectors[i].text);
        assert_contains(r.fake.last_log, vectors[i].text);
        outcome_free(&o);
        assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_E_UNAVAILABLE);
    }
    char names[64];
    start_as("type-broken");
    assert_int_equal(rig_list(&r, names, sizeof(names), NULL, NULL), FLAMENCO_E_INTERNAL);
}

static void a_system_without_a_sandbox_is_said_once_or_refused(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "isolation", "process");
    start_as("unsealed");
    for (int i = 0; i < 3; i++) {
        rig_compile(&r, "test", "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        outcome_free(&o);
    }
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], 1);
    rig_stop(&r);
    rig_set(&r, "sandbox", "required");
    rig_start(&r);
    rig_compile(&r, "test", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_UNAVAILABLE);
    assert_contains(o.err.text, "seccomp and Landlock");
    outcome_free(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nonsense_fails_the_call_and_ends_the_helper),
        TEST(a_good_answer_passes),
        TEST(a_helper_that_does_not_start_is_said),
        TEST(a_system_without_a_sandbox_is_said_once_or_refused),
    };
    return cmocka_run_group_tests_name("compiler-js-protocol", tests, NULL, NULL);
}
