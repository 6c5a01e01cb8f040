/* SPDX-License-Identifier: Apache-2.0
 *
 * test_builtin.c - the job types that come with the manager: job-compiler 15 and 16.
 */
#include "rig.h"

#include <stdlib.h>

static rig r;

static int setup(void **state)
{
    (void)state;
    rig_init(&r);
    rig_set(&r, "scripts", RIG_BUILTIN);
    rig_start(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    return 0;
}

/* Compares tasks, after "<PY>" took the place of the Python program, whose wording is free. */
static void assert_tasks(outcome *o, const char *expected)
{
    size_t i, k;
    json_t *task, *arg;
    json_array_foreach(o->tasks, i, task)
    {
        json_t *command = json_array_get(json_object_get(task, "commands"), 0);
        json_t *args = json_object_get(json_object_get(command, "parameters"), "args");
        int python = 0;
        json_array_foreach(args, k, arg)
        {
            const char *text = json_string_value(arg);
            int program = python;
            python = text != NULL && strcmp(text, "--python-expr") == 0;
            if (!program)
                continue;
            assert_contains(text, "import bpy");
            assert_contains(text, "use_file_extension = True");
            assert_contains(text, "use_overwrite = False");
            assert_contains(text, "use_placeholder = False");
            assert_null(strchr(text, '\n'));
            json_array_set_new(args, k, json_string("<PY>"));
        }
    }
    assert_json(o->tasks, expected);
}

static void both_types_are_listed(void **state)
{
    (void)state;
    char names[256];
    json_t *all = NULL;
    assert_int_equal(rig_list(&r, names, sizeof(names), &all, NULL), FLAMENCO_OK);
    assert_string_equal(names, "echo-sleep-test simple-blender-render");
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN] + r.fake.log_lines[FLAMENCO_LOG_ERROR], 0);
    json_decref(all);
}

static void echo_sleep_test_has_the_references_etag(void **state)
{
    (void)state;
    int32_t rc;
    char *json = rig_get(&r, "echo-sleep-test", &rc, NULL);
    assert_string_equal(
        json, "{\"etag\":\"eba586e16d6b55baaa43e32f9e78ae514b457fee\",\"label\":\"Echo Sleep "
              "Test\",\"name\":\"echo-sleep-test\","
              "\"settings\":[{\"key\":\"message\",\"required\":true,\"type\":\"string\"},{\"default\":1,\"key\":"
              "\"sleep_duration_seconds\",\"type\":\"int32\"},{\"default\":1,\"key\":\"sleep_repeats\",\"type\":"
              "\"int32\"}]}");
    free(json);
}

static void echo_sleep_test_makes_its_tasks(void **state)
{
    (void)state;
    outcome o;
    rig_compile(&r, "echo-sleep-test",
                "{\"message\": \"good night {blender}\", \"sleep_duration_seconds\": 4, \"sleep_repeats\": 2}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    // clang-format off
    assert_json(o.tasks,
        "["
        "{\"index_in_job\": 1, \"name\": \"echo\", \"type\": \"misc\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"echo\", \"parameters\": {\"message\": \"good night {blender}\"}, \"total_step_count\": 0}]},"
        "{\"index_in_job\": 2, \"name\": \"sleep\", \"type\": \"misc\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [1],"
        "\"commands\": [{\"name\": \"sleep\", \"parameters\": {\"duration_in_seconds\": 4}, \"total_step_count\": 0}]},"
        "{\"index_in_job\": 3, \"name\": \"sleep\", \"type\": \"misc\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [1],"
        "\"commands\": [{\"name\": \"sleep\", \"parameters\": {\"duration_in_seconds\": 4}, \"total_step_count\": 0}]}"
        "]");
    // clang-format on
    outcome_free(&o);
    rig_compile(&r, "echo-sleep-test", "{\"message\": \"only this\", \"sleep_duration_seconds\": 4}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    // clang-format off
    assert_json(o.tasks,
        "["
        "{\"index_in_job\": 1, \"name\": \"echo\", \"type\": \"misc\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"echo\", \"parameters\": {\"message\": \"only this\"}, \"total_step_count\": 0}]}"
        "]");
    // clang-format on
    outcome_free(&o);
}

static void echo_sleep_test_takes_what_it_gets(void **state)
{
    (void)state;
    static const struct {
        const char *settings;
        size_t sleeps;
        const char *message;
        const char *duration;
    } vectors[] = {
        { "{}", 0, "null", NULL },
        { "{\"sleep_repeats\": 0}", 0, "null", NULL },
        { "{\"sleep_repeats\": -1, \"message\": 5}", 0, "5", NULL },
        { "{\"sleep_repeats\": 2}", 2, "null", "null" },
        { "{\"sleep_repeats\": \"2\", \"sleep_duration_seconds\": 1.5}", 2, "null", "1.5" },
        { "{\"sleep_repeats\": 0.5, \"message\": \"m\"}", 1, "\"m\"", "null" },
        { "{\"sleep_repeats\": true}", 1, "null", "null" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        outcome o;
        rig_compile(&r, "echo-sleep-test", vectors[i].settings, &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        assert_int_equal(json_array_size(o.tasks), vectors[i].sleeps + 1);
        for (size_t k = 0; k <= vectors[i].sleeps; k++) {
            json_t *command = json_array_get(json_object_get(json_array_get(o.tasks, k), "commands"), 0);
            json_t *parameters = json_object_get(command, "parameters");
            assert_json(json_object_get(parameters, k == 0 ? "message" : "duration_in_seconds"),
                        k == 0 ? vectors[i].message : vectors[i].duration);
        }
        outcome_free(&o);
    }
}

/* Every member of every setting but the texts, which are free: "" stands for one that must be there. */
static void simple_blender_render_describes_its_settings(void **state)
{
    (void)state;
    static const char *const texts[] = { "description", "eval" };
    json_t *all = NULL;
    char names[256];
    assert_int_equal(rig_list(&r, names, sizeof(names), &all, NULL), FLAMENCO_OK);
    json_t *type = json_object_get(all, "simple-blender-render");
    assert_string_equal(json_string_value(json_object_get(type, "label")), "Simple Blender Render");
    assert_true(json_string_length(json_object_get(type, "description")) > 10);
    json_t *settings = json_object_get(type, "settings");
    size_t i;
    json_t *setting;
    json_array_foreach(settings, i, setting)
    {
        for (size_t k = 0; k < 2; k++) {
            json_t *text = json_object_get(setting, texts[k]);
            if (text != NULL) {
                assert_true(json_string_length(text) > 5);
                json_object_set_new(setting, texts[k], json_string(""));
            }
        }
        json_t *info = json_object_get(setting, "evalInfo");
        if (info != NULL)
            json_object_set_new(info, "description", json_string(""));
    }
    // clang-format off
    assert_json(settings,
        "[{\"key\": \"frames\", \"type\": \"string\", \"required\": true, \"eval\": \"\", \"description\": \"\","
        "  \"evalInfo\": {\"showLinkButton\": true, \"description\": \"\"}},"
        " {\"key\": \"chunk_size\", \"type\": \"int32\", \"default\": 1, \"visible\": \"submission\", \"description\": \"\"},"
        " {\"key\": \"render_output_root\", \"type\": \"string\", \"subtype\": \"dir_path\", \"required\": true,"
        "  \"visible\": \"submission\", \"description\": \"\"},"
        " {\"key\": \"add_path_components\", \"type\": \"int32\", \"required\": true, \"default\": 0,"
        "  \"propargs\": {\"min\": 0, \"max\": 32}, \"visible\": \"submission\", \"description\": \"\"},"
        " {\"key\": \"render_output_path\", \"type\": \"string\", \"subtype\": \"file_path\", \"editable\": false,"
        "  \"eval\": \"\", \"description\": \"\"},"
        " {\"key\": \"blendfile\", \"type\": \"string\", \"required\": true, \"visible\": \"web\", \"description\": \"\"},"
        " {\"key\": \"fps\", \"type\": \"float\", \"visible\": \"hidden\", \"eval\": \"\"},"
        " {\"key\": \"format\", \"type\": \"string\", \"required\": true, \"visible\": \"web\", \"eval\": \"\"},"
        " {\"key\": \"image_file_extension\", \"type\": \"string\", \"required\": true, \"visible\": \"hidden\","
        "  \"eval\": \"\", \"description\": \"\"},"
        " {\"key\": \"has_previews\", \"type\": \"bool\", \"required\": false, \"visible\": \"hidden\", \"eval\": \"\","
        "  \"description\": \"\"},"
        " {\"key\": \"scene\", \"type\": \"string\", \"required\": true, \"visible\": \"web\", \"eval\": \"\","
        "  \"description\": \"\"}]");
    // clang-format on
    json_decref(all);
}

static void simple_blender_render_gives_worked_example_1(void **state)
{
    (void)state;
    outcome o;
    rig_compile(&r, "simple-blender-render",
                "{\"frames\": \"11-17\", \"chunk_size\": 3, \"render_output_root\": \"{store}/renders\", "
                "\"add_path_components\": 2, "
                "\"render_output_path\": \"{store}/renders/ep2/alley/Alley/{timestamp}/######\", "
                "\"blendfile\": \"{jobs}/Alley-ab12/ep2/alley/alley.blend\", \"fps\": 24, \"format\": \"PNG\", "
                "\"image_file_extension\": \".png\", \"has_previews\": false, \"scene\": \"Scene 3\"}",
                &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(json_object_get(o.job, "settings"), "render_output_path"),
                "\"{store}/renders/ep2/alley/Alley/2026-04-13_090807/######\"");
    assert_int_equal(json_integer_value(json_object_get(o.job, "steps_total")), 8);
    // clang-format off
    assert_tasks(&o,
        "["
        "{\"index_in_job\": 1, \"name\": \"render-11-13\", \"type\": \"blender\", \"priority\": 50, \"steps_total\": 3, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"blender-render\", \"total_step_count\": 3, \"parameters\": {"
        "\"exe\": \"{blender}\", \"exeArgs\": \"{blenderArgs}\", \"argsBefore\": [],"
        "\"blendfile\": \"{jobs}/Alley-ab12/ep2/alley/alley.blend\","
        "\"args\": [\"--scene\", \"Scene 3\", \"--python-expr\", \"<PY>\","
        "\"--render-output\", \"{store}/renders/ep2/alley/Alley/2026-04-13_090807/######\","
        "\"--render-format\", \"PNG\", \"--render-frame\", \"11..13\"]}}]},"
        "{\"index_in_job\": 2, \"name\": \"render-14-16\", \"type\": \"blender\", \"priority\": 50, \"steps_total\": 3, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"blender-render\", \"total_step_count\": 3, \"parameters\": {"
        "\"exe\": \"{blender}\", \"exeArgs\": \"{blenderArgs}\", \"argsBefore\": [],"
        "\"blendfile\": \"{jobs}/Alley-ab12/ep2/alley/alley.blend\","
        "\"args\": [\"--scene\", \"Scene 3\", \"--python-expr\", \"<PY>\","
        "\"--render-output\", \"{store}/renders/ep2/alley/Alley/2026-04-13_090807/######\","
        "\"--render-format\", \"PNG\", \"--render-frame\", \"14..16\"]}}]},"
        "{\"index_in_job\": 3, \"name\": \"render-17\", \"type\": \"blender\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"blender-render\", \"total_step_count\": 1, \"parameters\": {"
        "\"exe\": \"{blender}\", \"exeArgs\": \"{blenderArgs}\", \"argsBefore\": [],"
        "\"blendfile\": \"{jobs}/Alley-ab12/ep2/alley/alley.blend\","
        "\"args\": [\"--scene\", \"Scene 3\", \"--python-expr\", \"<PY>\","
        "\"--render-output\", \"{store}/renders/ep2/alley/Alley/2026-04-13_090807/######\","
        "\"--render-format\", \"PNG\", \"--render-frame\", \"17\"]}}]},"
        "{\"index_in_job\": 4, \"name\": \"preview-video\", \"type\": \"ffmpeg\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [1, 2, 3],"
        "\"commands\": [{\"name\": \"frames-to-video\", \"total_step_count\": 0, \"parameters\": {"
        "\"exe\": \"ffmpeg\", \"fps\": 24,"
        "\"inputGlob\": \"{store}/renders/ep2/alley/Alley/2026-04-13_090807/*.png\","
        "\"outputFile\": \"{store}/renders/ep2/alley/Alley/2026-04-13_090807/alley-11-17.mp4\","
        "\"args\": [\"-c:v\", \"h264\", \"-crf\", \"20\", \"-g\", \"18\", \"-vf\", \"pad=ceil(iw/2)*2:ceil(ih/2)*2\","
        "\"-pix_fmt\", \"yuv420p\", \"-r\", 24, \"-y\"]}}]}"
        "]");
    // clang-format on
    outcome_free(&o);
}

#define EXAMPLE_2 \
    "{\"frames\": \"5, 8..10, 20-21\", \"chunk_size\": 4, \"render_output_path\": " \
    "\"S:\\\\out\\\\{timestamp}\\\\{shot}\\\\fr-####\", " \
    "\"blendfile\": \"S:\\\\work\\\\cave.v3.flamenco.blend\", \"fps\": 23.976, \"format\": \"OPEN_EXR\", " \
    "\"image_file_extension\": \".exr\", \"scene\": \"\""

static void simple_blender_render_gives_worked_example_2(void **state)
{
    (void)state;
    outcome o;
    rig_compile(&r, "simple-blender-render", EXAMPLE_2 ", \"has_previews\": true}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(json_object_get(o.job, "settings"), "render_output_path"),
                "\"S:\\\\out\\\\2026-04-13_090807\\\\{shot}\\\\fr-####\"");
    // clang-format off
    assert_tasks(&o,
        "["
        "{\"index_in_job\": 1, \"name\": \"render-5,8-10\", \"type\": \"blender\", \"priority\": 50, \"steps_total\": 4, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"blender-render\", \"total_step_count\": 4, \"parameters\": {"
        "\"exe\": \"{blender}\", \"exeArgs\": \"{blenderArgs}\", \"argsBefore\": [],"
        "\"blendfile\": \"S:\\\\work\\\\cave.v3.flamenco.blend\","
        "\"args\": [\"--python-expr\", \"<PY>\", \"--render-output\", \"S:/out/2026-04-13_090807/{shot}/fr-####\","
        "\"--render-format\", \"OPEN_EXR\", \"--render-frame\", \"5,8..10\"]}}]},"
        "{\"index_in_job\": 2, \"name\": \"render-20,21\", \"type\": \"blender\", \"priority\": 50, \"steps_total\": 2, \"depends_on\": [],"
        "\"commands\": [{\"name\": \"blender-render\", \"total_step_count\": 2, \"parameters\": {"
        "\"exe\": \"{blender}\", \"exeArgs\": \"{blenderArgs}\", \"argsBefore\": [],"
        "\"blendfile\": \"S:\\\\work\\\\cave.v3.flamenco.blend\","
        "\"args\": [\"--python-expr\", \"<PY>\", \"--render-output\", \"S:/out/2026-04-13_090807/{shot}/fr-####\","
        "\"--render-format\", \"OPEN_EXR\", \"--render-frame\", \"20,21\"]}}]},"
        "{\"index_in_job\": 3, \"name\": \"preview-video\", \"type\": \"ffmpeg\", \"priority\": 50, \"steps_total\": 1, \"depends_on\": [1, 2],"
        "\"commands\": [{\"name\": \"frames-to-video\", \"total_step_count\": 0, \"parameters\": {"
        "\"exe\": \"ffmpeg\", \"fps\": 23.976,"
        "\"inputGlob\": \"S:/out/2026-04-13_090807/{shot}/*.jpg\","
        "\"outputFile\": \"S:/out/2026-04-13_090807/{shot}/cave.v3-5-21.mp4\","
        "\"args\": [\"-c:v\", \"h264\", \"-crf\", \"20\", \"-g\", \"18\", \"-vf\", \"pad=ceil(iw/2)*2:ceil(ih/2)*2\","
        "\"-pix_fmt\", \"yuv420p\", \"-r\", 23.976, \"-y\"]}}]}"
        "]");
    // clang-format on
    outcome_free(&o);
    rig_compile(&r, "simple-blender-render", EXAMPLE_2 ", \"has_previews\": false}", &o);
    assert_int_equal(json_array_size(o.tasks), 2);
    outcome_free(&o);
    rig_compile(&r, "simple-blender-render", EXAMPLE_2 "}", &o);
    assert_int_equal(json_array_size(o.tasks), 2);
    outcome_free(&o);
}

/* The usual settings with some of them replaced (JSON object; null removes). */
static void compile_with(const char *changes, outcome *o)
{
    json_t *settings =
        json_loads("{\"frames\": \"1-3\", \"chunk_size\": 9, \"render_output_path\": \"/o/{timestamp}/####\", "
                   "\"blendfile\": \"/w/y.blend\", \"fps\": 24, \"format\": \"PNG\", "
                   "\"image_file_extension\": \".png\", \"has_previews\": false, \"scene\": \"S\"}",
                   0, NULL);
    json_t *wanted = json_loads(changes, 0, NULL);
    assert_non_null(wanted);
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        if (json_is_null(value))
            json_object_del(settings, key);
        else
            json_object_set(settings, key, value);
    }
    char *text = json_dumps(settings, 0);
    json_decref(settings);
    json_decref(wanted);
    rig_compile(&r, "simple-blender-render", text, o);
    free(text);
}

/* Where a value is in the tasks: "0.name", or the command's parameter "0:blendfile", or an argument "0:args/--render-frame". */
static json_t *find_value(const outcome *o, const char *place)
{
    char *end;
    json_t *task = json_array_get(o->tasks, strtoul(place, &end, 10));
    if (*end == '.')
        return json_object_get(task, end + 1);
    json_t *command = json_array_get(json_object_get(task, "commands"), 0);
    json_t *parameters = json_object_get(command, "parameters");
    if (strncmp(end + 1, "args/", 5) != 0)
        return json_object_get(parameters, end + 1);
    json_t *args = json_object_get(parameters, "args");
    for (size_t i = 0; i + 1 < json_array_size(args); i++) {
        const char *text = json_string_value(json_array_get(args, i));
        if (text != NULL && strcmp(text, end + 6) == 0)
            return json_array_get(args, i + 1);
    }
    return NULL;
}

static void simple_blender_render_varies_as_the_contract_says(void **state)
{
    (void)state;
#define T "2026-04-13_090807"
    static const struct {
        const char *changes;
        size_t tasks;
        const char *place;
        const char *json;
    } vectors[] = {
        { "{\"fps\": null}", 1, NULL, NULL },
        { "{\"fps\": 0}", 1, NULL, NULL },
        { "{\"fps\": \"24\"}", 2, "1:fps", "\"24\"" },
        { "{\"has_previews\": \"no\", \"format\": \"MULTILAYER\"}", 2, "1:inputGlob", "\"/o/" T "/*.jpg\"" },
        { "{\"format\": \"EXR\"}", 1, NULL, NULL },
        { "{\"format\": \"OPEN_EXR_MULTILAYER\"}", 1, NULL, NULL },
        { "{\"format\": null}", 2, "0:args/--render-format", "null" },
        { "{\"image_file_extension\": null}", 2, "1:inputGlob", "\"/o/" T "/*undefined\"" },
        { "{\"frames\": \"1..4\"}", 2, "0.name", "\"render-1-4\"" },
        { "{\"frames\": \"1..4\"}", 2, "0:args/--render-frame", "\"1..4\"" },
        { "{\"frames\": \"1..4\"}", 2, "1:outputFile", "\"/o/" T "/y-1..4.mp4\"" },
        { "{\"frames\": \"1 - 4\"}", 2, "0.name", "\"render-1-4\"" },
        { "{\"frames\": \"1 - 4\"}", 2, "1:outputFile", "\"/o/" T "/y-1 - 4.mp4\"" },
        { "{\"frames\": \"3,1\"}", 2, "0.name", "\"render-1,3\"" },
        { "{\"frames\": \"3,1\"}", 2, "1:outputFile", "\"/o/" T "/y-1-3.mp4\"" },
        { "{\"frames\": 5}", 2, "0.name", "\"render-5\"" },
        { "{\"frames\": 5}", 2, "1:outputFile", "\"/o/" T "/y-5.mp4\"" },
        { "{\"chunk_size\": \"2\"}", 3, "0.name", "\"render-1,2\"" },
        { "{\"chunk_size\": \"2\"}", 3, "0:args/--render-frame", "\"1,2\"" },
        { "{\"blendfile\": null}", 2, "0:blendfile", "null" },
        { "{\"blendfile\": null}", 2, "1:outputFile", "\"/o/" T "/-1-3.mp4\"" },
        { "{\"blendfile\": \"dummy-for-job-check.blend\"}", 2, "0:blendfile", "\"dummy-for-job-check.blend\"" },
        { "{\"blendfile\": \"/w/y.flamenco.flamenco.blend\"}", 2, "1:outputFile", "\"/o/" T "/y.flamenco-1-3.mp4\"" },
        { "{\"render_output_path\": \"/a/{timestamp}/{x}/{timestamp}_####\"}", 2, "0:args/--render-output",
          "\"/a/" T "/{x}/" T "_####\"" },
        { "{\"render_output_path\": \"######\"}", 2, "0:args/--render-output", "\"######\"" },
        { "{\"render_output_path\": \"######\"}", 2, "1:inputGlob", "\"*.png\"" },
        { "{\"render_output_path\": \"/o/x/../####\"}", 2, "0:args/--render-output", "\"/o/####\"" },
        { "{\"render_output_path\": \"/a/b/\"}", 2, "0:args/--render-output", "\"/a/b/b\"" },
        { "{\"render_output_path\": \"/a/b/\"}", 2, "1:inputGlob", "\"/a/b/*.png\"" },
        { "{\"render_output_path\": \"{store}\\\\o\\\\####\"}", 2, "0:args/--render-output", "\"{store}/o/####\"" },
        { "{\"render_output_path\": \"\\\\\\\\NAS01\\\\v\\\\####\"}", 2, "0:args/--render-output",
          "\"/NAS01/v/####\"" },
        { "{\"render_output_path\": \"/o/{a{timestamp}/{}{timestamp}/#\"}", 2, "0:args/--render-output",
          "\"/o/{a{timestamp}/{}" T "/#\"" },
        { "{\"scene\": null}", 2, "0:args/--scene", NULL },
        { "{\"scene\": \"\"}", 2, "0:args/--scene", NULL },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "0.name", "\"render-0-11,33-40\"" },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "1.name", "\"render-41-54,76-81\"" },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "2.steps_total", "9" },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "0:args/--render-frame", "\"0..11,33..40\"" },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "3:outputFile", "\"/o/" T "/y-0-90.mp4\"" },
        { "{\"frames\": \"0-11,33-54,76-90\", \"chunk_size\": 20}", 4, "3.depends_on", "[1, 2, 3]" },
        { "{\"blender_cmd\": \"old\", \"images_or_video\": \"images\"}", 2, "0:exe", "\"{blender}\"" },
    };
#undef T
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        outcome o;
        compile_with(vectors[i].changes, &o);
        if (o.rc != FLAMENCO_OK || json_array_size(o.tasks) != vectors[i].tasks)
            fail_msg("%s: %s, %zu tasks", vectors[i].changes, o.err.text, json_array_size(o.tasks));
        if (vectors[i].json != NULL)
            assert_json(find_value(&o, vectors[i].place), vectors[i].json);
        else if (vectors[i].place != NULL)
            assert_null(find_value(&o, vectors[i].place));
        outcome_free(&o);
    }
}

static void simple_blender_render_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    static const char *const vectors[] = {
        "{\"format\": \"FFMPEG\"}",
        "{\"format\": \"AVI_RAW\"}",
        "{\"format\": \"AVI_JPEG\"}",
        "{\"render_output_path\": null}",
        "{\"render_output_path\": \"\"}",
        "{\"render_output_path\": 5}",
        "{\"frames\": \"2-1\"}",
        "{\"frames\": null}",
        "{\"frames\": \"x\"}",
        "{\"chunk_size\": null}",
        "{\"chunk_size\": 0}",
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        outcome o;
        compile_with(vectors[i], &o);
        if (o.rc != FLAMENCO_E_INVALID)
            fail_msg("%s is not refused", vectors[i]);
        assert_contains(o.err.text, "(simple_blender_render.js:");
        if (i < 3)
            assert_contains(o.err.text, i == 0 ? "FFMPEG" : "AVI_");
        outcome_free(&o);
    }
    outcome o;
    compile_with("{\"format\": \"ffmpeg\"}", &o); /* case counts */
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_types_are_listed),
        cmocka_unit_test(echo_sleep_test_has_the_references_etag),
        cmocka_unit_test(echo_sleep_test_makes_its_tasks),
        cmocka_unit_test(echo_sleep_test_takes_what_it_gets),
        cmocka_unit_test(simple_blender_render_describes_its_settings),
        cmocka_unit_test(simple_blender_render_gives_worked_example_1),
        cmocka_unit_test(simple_blender_render_gives_worked_example_2),
        cmocka_unit_test(simple_blender_render_varies_as_the_contract_says),
        cmocka_unit_test(simple_blender_render_refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests_name("compiler-js-builtin", tests, setup, teardown);
}
