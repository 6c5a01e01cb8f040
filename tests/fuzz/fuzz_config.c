/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_config.c - the two configuration files. The first byte tells which: 'm' manager.yaml, 'j' the JSON of a PUT, anything
 * else flamenco-manager.yaml. What was understood is worked with and written, and what is written is read back to the same.
 */
#include <jansson.h>

#include "core/base/json.h"
#include "core/base/str.h"
#include "core/config/manager_yaml.h"
#include "core/config/variables.h"
#include "fuzz.h"

static const flamenco_str cwd = { "/farm", 5 };

static void check_problems(fl_config_problems *problems)
{
    char text[512];
    for (size_t i = 0; i < problems->count; ++i)
        FUZZ_MUST(fl_config_problem_text(&problems->items[i], text, sizeof(text)) == text);
    fl_config_problems_fini(problems);
}

static void read_manager_yaml(flamenco_str text)
{
    fl_config_problems problems = { 0 };
    fl_manager_yaml *yaml = NULL;
    fl_arena *arena = fl_arena_create(0);
    int32_t rc = fl_manager_yaml_parse(text, "manager.yaml", cwd, &problems, &yaml);
    FUZZ_MUST(arena != NULL && (rc != FLAMENCO_OK) == (problems.errors > 0));
    if (rc == FLAMENCO_OK) {
        fl_reference ref;
        fl_reference_defaults(&ref);
        FUZZ_MUST(fl_manager_yaml_presets(yaml, arena, &ref) == FLAMENCO_OK);
    }
    fl_manager_yaml_destroy(yaml);
    fl_arena_destroy(arena);
    check_problems(&problems);
}

/* Texts that went through the configuration, with placeholders in them. */
static void use_variables(const fl_reference *ref, fl_arena *arena)
{
    const flamenco_str json = FL_STR("{\"a\":\"{jobs}/x\",\"b\":\"/shared/y\",\"c\":1}");
    const flamenco_str commands = FL_STR(
        "[{\"name\":\"c\",\"parameters\":{\"p\":\"{blender} {blenderArgs}\",\"l\":[\"{x}\"]},\"total_step_count\":1}]");
    flamenco_str out;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_variables *variables = fl_variables_create(ref, FL_STR("/shared/jobs"), FL_STR("linux"));
    FUZZ_MUST(variables != NULL);
    FUZZ_MUST(fl_variables_replace_object(variables, arena, FL_STR("windows"), json, &out) == FLAMENCO_OK);
    FUZZ_MUST(fl_json_check(out, &err) == FLAMENCO_OK);
    int32_t rc = fl_variables_expand_commands(variables, arena, FL_STR("linux"), commands, &out);
    FUZZ_MUST(rc == FLAMENCO_OK || rc == FLAMENCO_E_FULL);
    if (rc == FLAMENCO_OK)
        FUZZ_MUST(fl_json_check(out, &err) == FLAMENCO_OK);
    fl_variables_destroy(variables);
}

/* The JSON that a web page gets is valid; the file that is written is read without an error, and to the same JSON if `same`
 * and there are variables: what a PUT leaves out is absent from the file, too, and reading puts default variables there. */
static void write_and_read(const fl_reference *ref, int same)
{
    fl_buf json = { 0 }, yaml = { 0 }, again = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_config_problems problems = { 0 };
    fl_yaml_doc *doc = NULL;
    fl_reference back;
    fl_arena *arena = fl_arena_create(0);
    fl_reference_json(ref, &json);
    FUZZ_MUST(arena != NULL && !json.failed && fl_json_check(fl_buf_str(&json), &err) == FLAMENCO_OK);
    fl_reference_yaml(ref, "fuzz", 0, &yaml);
    FUZZ_MUST(!yaml.failed);
    int32_t rc = fl_yaml_parse(fl_buf_str(&yaml), "written", 0, &problems, &doc);
    fl_reference_defaults(&back);
    if (rc == FLAMENCO_OK)
        rc = fl_reference_overlay(&back, arena, fl_yaml_root(doc), "written", FL_REFERENCE_FROM_FILE, &problems);
    /* A file that became larger than what may be read was too large before. */
    if (yaml.len < (1u << 20)) {
        FUZZ_MUST(rc == FLAMENCO_OK);
        fl_reference_json(&back, &again);
        if (same && ref->n_variables > 0 && !flamenco_str_equal(fl_buf_str(&json), fl_buf_str(&again))) {
            fprintf(stderr, "written: %.*s\nread: %.*s\n", (int)json.len, json.data, (int)again.len, again.data);
            abort();
        }
    }
    fl_yaml_doc_destroy(doc);
    fl_arena_destroy(arena);
    check_problems(&problems);
    fl_buf_fini(&json);
    fl_buf_fini(&yaml);
    fl_buf_fini(&again);
}

static void work_with(const fl_reference *raw, fl_arena *arena, int same)
{
    fl_config_problems problems = { 0 };
    fl_reference ref;
    flamenco_str path;
    FUZZ_MUST(fl_reference_process(raw, arena, cwd, &problems, &ref) == FLAMENCO_OK);
    FUZZ_MUST(fl_reference_storage(&ref, arena, cwd, 1, &path) == FLAMENCO_OK);
    use_variables(&ref, arena);
    write_and_read(raw, same);
    check_problems(&problems);
}

static void read_reference(flamenco_str text)
{
    fl_config_problems problems = { 0 };
    fl_yaml_doc *doc = NULL;
    fl_reference raw;
    fl_arena *arena = fl_arena_create(0);
    FUZZ_MUST(arena != NULL);
    fl_reference_defaults(&raw);
    int32_t rc = fl_yaml_parse(text, "flamenco-manager.yaml", 0, &problems, &doc);
    if (rc == FLAMENCO_OK)
        rc = fl_reference_overlay(&raw, arena, fl_yaml_root(doc), "flamenco-manager.yaml", FL_REFERENCE_FROM_FILE,
                                  &problems);
    if (rc == FLAMENCO_OK)
        work_with(&raw, arena, 1);
    fl_yaml_doc_destroy(doc);
    fl_arena_destroy(arena);
    check_problems(&problems);
}

static void read_put(flamenco_str text)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_reference raw;
    fl_arena *arena = fl_arena_create(0);
    FUZZ_MUST(arena != NULL);
    json_t *root = json_loadb(text.len > 0 ? text.ptr : "", (size_t)text.len, JSON_DECODE_ANY, NULL);
    if (root != NULL && fl_reference_decode(arena, root, &raw, &err) == FLAMENCO_OK)
        work_with(&raw, arena, 0);
    json_decref(root);
    fl_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    flamenco_str text = fuzz_rest(data + 1, size - 1);
    if (data[0] == 'm')
        read_manager_yaml(text);
    else if (data[0] == 'j')
        read_put(text);
    else
        read_reference(text);
    return 0;
}
