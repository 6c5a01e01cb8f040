/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jobs.c - authoring tasks and what comes of them: job-compiler 6 and 10 to 13.
 */
#include "rig.h"

#include <stdlib.h>

static rig r;

static int setup(void **state)
{
    (void)state;
    rig_init(&r);
    rig_start(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    return 0;
}

/* Compiles a body of compileJob and compares the tasks. */
static void body_gives(const char *body, const char *tasks)
{
    char text[8192];
    outcome o;
    snprintf(text, sizeof(text),
             "const cmd = author.Command; const task = (n) => author.Task(n, 'misc');\n"
             "function compileJob(job) {\n%s\n}",
             body);
    rig_body(&r, text, "{\"frames\": \"1-3\", \"list\": [1, 2]}", &o);
    if (o.rc != FLAMENCO_OK)
        fail_msg("%s: %s", body, o.err.text);
    assert_json(o.tasks, tasks);
    outcome_free(&o);
}

static void body_fails(const char *body, const char *message)
{
    char text[8192];
    outcome o;
    snprintf(text, sizeof(text), "function compileJob(job) {\n%s\n}", body);
    rig_body(&r, text, "{\"frames\": \"1-3\"}", &o);
    if (o.rc != FLAMENCO_E_INVALID)
        fail_msg("%s: %d %s", body, o.rc, o.err.text);
    if (strncmp(o.err.text, message, strlen(message)) != 0)
        fail_msg("%s: \"%s\" does not begin with \"%s\"", body, o.err.text, message);
    outcome_free(&o);
}

#define TASK(index, name, steps, deps, commands) \
    "{\"index_in_job\": " index ", \"name\": \"" name \
    "\", \"type\": \"misc\", \"priority\": 50, \"steps_total\": " steps ", \"depends_on\": [" deps \
    "], \"commands\": " commands "}"
#define COMMAND(name, parameters, steps) \
    "{\"name\": \"" name "\", \"parameters\": " parameters ", \"total_step_count\": " steps "}"

static void tasks_and_commands_are_stored_as_authored(void **state)
{
    (void)state;
    body_gives(
        "const t = author.Task('  a\\u00a0', '\\u2003misc\\n'); t.addCommand(cmd('echo', {m: 1})); job.addTask(t);",
        "[" TASK("1", "a", "1", "", "[" COMMAND("echo", "{\"m\": 1}", "0") "]") "]");
    body_gives("job.addTask(task('none'));", "[" TASK("1", "none", "0", "", "null") "]");
    body_gives("", "[]");
    /* Steps of a task: the sum of max(1, steps) of its commands. */
    static const struct {
        const char *steps;
        const char *total;
        const char *commands;
    } sums[] = {
        { "[0, 0]", "2", "[0,0]" },
        { "[12]", "12", "[12]" },
        { "[0, 5, 1]", "7", "[0,5,1]" },
        { "[-4]", "1", "[-4]" },
        { "['3', 2.9, null, undefined, true]", "8", "[3,2,0,0,1]" },
    };
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        char body[256];
        outcome o;
        snprintf(body, sizeof(body),
                 "function compileJob(job) { const t = author.Task('t', 'misc'); for (const n of %s) "
                 "t.addCommand(author.Command('c', {}, n)); job.addTask(t); }",
                 sums[i].steps);
        rig_body(&r, body, "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_OK);
        json_t *task = json_array_get(o.tasks, 0);
        assert_json(json_object_get(task, "steps_total"), sums[i].total);
        assert_json(json_object_get(o.job, "steps_total"), sums[i].total);
        json_t *counts = json_array();
        size_t k;
        json_t *command;
        json_array_foreach(json_object_get(task, "commands"), k, command)
            json_array_append(counts, json_object_get(command, "total_step_count"));
        assert_json(counts, sums[i].commands);
        json_decref(counts);
        outcome_free(&o);
    }
}

static void parameters_are_converted(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *stored;
    } vectors[] = {
        { "undefined", "null" },
        { "null", "null" },
        { "['x', 'y']", "{\"0\": \"x\", \"1\": \"y\"}" },
        { "{}", "{}" },
        { "{f: 24, g: 23.976, l: [], n: null, u: undefined}",
          "{\"f\": 24, \"g\": 23.976, \"l\": [], \"n\": null, \"u\": null}" },
        { "{deep: {list: [{a: '<b>'}]}}", "{\"deep\": {\"list\": [{\"a\": \"<b>\"}]}}" },
        { "job.settings", "{\"frames\": \"1-3\", \"list\": [1, 2]}" },
        { "{s: job.settings.list}", "{\"s\": [1, 2]}" },
        { "{d: job.created}", "{\"d\": \"2026-04-13T09:08:07.654321Z\"}" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char body[512], expected[512];
        snprintf(body, sizeof(body), "const t = task('t'); t.addCommand(cmd('c', %s)); job.addTask(t);",
                 vectors[i].given);
        snprintf(expected, sizeof(expected), "[" TASK("1", "t", "1", "", "[" COMMAND("c", "%s", "0") "]") "]",
                 vectors[i].stored);
        body_gives(body, expected);
    }
    body_fails("author.Command('c', 'text')", "TypeError: parameters of a command must be an object");
    body_fails("author.Command('c', 5)", "TypeError");
    body_fails("author.Command('c', true)", "TypeError");
    body_gives("const t = task('t'); t.addCommand(cmd()); t.addCommand(cmd(5)); job.addTask(t);",
               "[" TASK("1", "t", "2", "", "[" COMMAND("", "null", "0") ", " COMMAND("5", "null", "0") "]") "]");
}

static void what_cannot_be_stored_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *message;
    } vectors[] = {
        { "NaN", "NaN cannot be stored" },
        { "-Infinity", "-Infinity cannot be stored" },
        { "() => 1", "a function cannot be stored" },
        { "(() => { const a = {}; a.a = a; return a; })()", "contains itself" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char body[256];
        outcome o;
        snprintf(body, sizeof(body), "function compileJob(job) {\n\nauthor.Command('c', {a: {b: [1, %s]}}); }",
                 vectors[i].value);
        rig_body(&r, body, "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_E_INVALID);
        assert_contains(o.err.text, vectors[i].message);
        assert_contains(o.err.text, "a.b[1]");
        assert_contains(o.err.text, "(test.js:4)");
        outcome_free(&o);
        snprintf(body, sizeof(body), "function compileJob(job) { job.settings.x = %s; }", vectors[i].value);
        rig_body(&r, body, "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_E_INVALID);
        assert_contains(o.err.text, vectors[i].message);
        outcome_free(&o);
        snprintf(body, sizeof(body),
                 "function compileJob(job) { const t = author.Task('t', 'm'); const c = author.Command('c', {});\n"
                 "c.parameters.x = %s; t.addCommand(c); job.addTask(t); }",
                 vectors[i].value);
        rig_body(&r, body, "{}", &o);
        assert_int_equal(o.rc, FLAMENCO_E_INVALID);
        assert_contains(o.err.text, vectors[i].message);
        outcome_free(&o);
    }
}

static void later_changes_are_lost_or_seen_as_in_the_reference(void **state)
{
    (void)state;
#define ONE(name, parameters) "[" TASK("1", "t", "1", "", "[" COMMAND(name, parameters, "0") "]") "]"
    body_gives("const t = task('t'); t.addCommand(cmd('c', {a: 1})); job.addTask(t); t.addCommand(cmd('late')); t.name "
               "= 'late';"
               "t.priority = 9; t.addDependency(task('late'));",
               ONE("c", "{\"a\": 1}"));
    body_gives(
        "const t = task('t'); const c = cmd('c', {a: 1}); t.addCommand(c); c.name = 'late'; c.totalStepCount = 7;"
        "c.parameters.b = 2; job.addTask(t);",
        ONE("c", "{\"a\": 1, \"b\": 2}"));
    body_gives("const t = task('t'); const c = cmd('c', {a: 1}); t.addCommand(c); job.addTask(t); c.parameters.b = 2;",
               ONE("c", "{\"a\": 1, \"b\": 2}"));
    body_gives("const p = {a: 1, l: [1]}; const t = task('t'); t.addCommand(cmd('c', p)); p.a = 2; p.l.push(2); "
               "job.addTask(t);",
               ONE("c", "{\"a\": 1, \"l\": [1]}"));
    body_gives("const t = task('t'); t.addCommand(cmd('c', job.settings)); job.addTask(t); job.settings.x = 5;"
               "delete job.settings.list;",
               ONE("c", "{\"frames\": \"1-3\", \"x\": 5}"));
    body_gives("const t = task('t'); t.addCommand(cmd('c', {s: job.settings})); job.addTask(t); job.settings.x = 5;"
               "delete job.settings.list;",
               ONE("c", "{\"s\": {\"frames\": \"1-3\", \"x\": 5}}"));
    body_gives(
        "const t = task('t'); const c = cmd('c', {a: 1}); c.parameters = {b: 2}; t.addCommand(c); job.addTask(t);",
        ONE("c", "{\"b\": 2}"));
    body_gives("const t = task('t'); const c = cmd('c'); t.addCommand(c); t.addCommand(c); job.addTask(t);",
               "[" TASK("1", "t", "2", "", "[" COMMAND("c", "null", "0") ", " COMMAND("c", "null", "0") "]") "]");
    body_gives("const t = task('t'); t.commands.push(cmd('c', {a: 1})); t.commands[0].name = 'd'; job.addTask(t);",
               ONE("d", "{\"a\": 1}"));
    body_gives("const t = task('t'); t.addCommand(cmd('x')); t.commands = [cmd('c', {a: 1})]; job.addTask(t);",
               ONE("c", "{\"a\": 1}"));
    body_gives("job.addTask({name: 't', type: 'misc', priority: '50', commands: [{name: 'c', parameters: {a: 1}}]});",
               ONE("c", "{\"a\": 1}"));
    /* The same through the lists, which a script may keep. */
    body_gives(
        "const t = task('t'); t.addCommand(cmd('c', {a: 1})); job.addTask(t); t.commands[0].name = 'late';"
        "t.commands.push(cmd('late')); t.dependencies.push(task('late')); t.commands = []; t.dependencies = null;",
        ONE("c", "{\"a\": 1}"));
    body_gives("const t = task('t'); t.addCommand(cmd('c', {a: 1})); const list = t.commands, deps = t.dependencies;"
               "job.addTask(t); list[0].name = 'late'; list.push(cmd('late')); deps.push(task('late'));",
               ONE("c", "{\"a\": 1}"));
    body_gives("const t = task('t'); t.addCommand(cmd('c', {a: 1})); job.addTask(t); job.tasks[0].name = 'other';"
               "job.tasks[0].commands[0].name = 'd'; t.name = 'late'; t.commands[0].name = 'late';",
               "[" TASK("1", "other", "1", "", "[" COMMAND("d", "{\"a\": 1}", "0") "]") "]");
    /* A getter of live parameters is called when the job is sent. */
    body_gives("const t = task('t'), c = cmd('c', {}); t.addCommand(c); job.addTask(t);"
               "Object.defineProperty(c.parameters, 'a', {enumerable: true, get() { t.name = c.name = 'late';"
               "t.addCommand(cmd('late')); t.addDependency(task('late')); return 1; }});",
               ONE("c", "{\"a\": 1}"));
#undef ONE
    /* One command object for many commands. */
    body_gives("const t = task('t'); const c = cmd('c', {a: 1}); for (let i = 1; i < 4; i++) { c.name = 'c' + i;"
               "c.totalStepCount = i; t.addCommand(c); } c.parameters = {b: 2}; t.addCommand(c); c.parameters.b = 3;"
               "c.parameters = {d: 4}; job.addTask(t);",
               "[" TASK("1", "t", "9", "",
                        "[" COMMAND("c1", "{\"a\": 1}", "1") ", " COMMAND("c2", "{\"a\": 1}", "2") ", " COMMAND(
                            "c3", "{\"a\": 1}", "3") ", " COMMAND("c3", "{\"b\": 3}", "3") "]") "]");
    body_gives("job.tasks.push(task('a')); job.addTask(task('b')); job.tasks.push(task('c')); job.tasks[0].name = 'A';",
               "[" TASK("1", "A", "0", "", "null") ", " TASK("2", "b", "0", "", "null") ", " TASK("3", "c", "0", "",
                                                                                                  "null") "]");
    body_gives("job.addTask(task('a')); job.tasks = [task('b')];", "[" TASK("1", "b", "0", "", "null") "]");
    body_gives("job.addTask(task('a')); job.addTask(task('b')); job.tasks = job.tasks.filter((t) => t.name === 'b');",
               "[" TASK("1", "b", "0", "", "null") "]");
}

static void dependencies_become_indexes(void **state)
{
    (void)state;
    body_gives(
        "const a = task('a'), b = task('b'), c = task('c'); c.addDependency(a); c.addDependency(b); job.addTask(a);"
        "job.addTask(b); job.addTask(c);",
        "[" TASK("1", "a", "0", "", "null") ", " TASK("2", "b", "0", "", "null") ", " TASK("3", "c", "0", "1, 2",
                                                                                           "null") "]");
    /* On a task that is added later. */
    body_gives(
        "const a = task('a'), b = task('b'), c = task('c'); a.addDependency(c); a.addDependency(b); job.addTask(a);"
        "job.addTask(b); job.addTask(c);",
        "[" TASK("1", "a", "0", "3, 2", "null") ", " TASK("2", "b", "0", "", "null") ", " TASK("3", "c", "0", "",
                                                                                               "null") "]");
    body_gives("const a = task('a'), b = task('b'); b.dependencies.push(a); job.addTask(a); job.addTask(b);",
               "[" TASK("1", "a", "0", "", "null") ", " TASK("2", "b", "0", "1", "null") "]");
    body_gives("const a = task('a'), b = task('b'); job.addTask(a); b.dependencies = [job.tasks[0]]; job.addTask(b);",
               "[" TASK("1", "a", "0", "", "null") ", " TASK("2", "b", "0", "1", "null") "]");
    body_gives(
        "const a = {name: 'a', type: 'misc', priority: 50}; const b = task('b'); b.addDependency(a); job.addTask(a);"
        "job.addTask(b);",
        "[" TASK("1", "a", "0", "", "null") ", " TASK("2", "b", "0", "1", "null") "]");
}

static void wrong_dependencies_are_refused(void **state)
{
    (void)state;
#define TWO "const a = author.Task('a', 'm'), b = author.Task('b', 'm'); "
    body_fails(TWO "b.addDependency(a); job.addTask(b);", "TypeError: task \"b\" depends on a task that was not added");
    body_fails(TWO "b.addDependency(a); job.addTask(a); job.tasks = [b];",
               "TypeError: task \"b\" depends on a task that was not added");
    body_fails(TWO "b.addDependency(null);", "TypeError: addDependency: a task is wanted, not null");
    body_fails(TWO "b.dependencies.push(null); job.addTask(b);",
               "TypeError: task \"b\", dependencies: a task is wanted");
    body_fails(TWO "b.addDependency(a); b.addDependency(a); job.addTask(a); job.addTask(b);",
               "task 'b' depends twice on the same task");
    body_fails(TWO "b.addDependency(b); job.addTask(b);", "task 'b' depends on itself");
    body_fails(TWO "b.addDependency(a); a.addDependency(b); job.addTask(a); job.addTask(b);",
               "the dependencies of 2 tasks go in a circle");
    body_fails("const t = []; for (let i = 0; i < 1000; i++) t.push(author.Task('t' + i, 'm'));\n"
               "for (let i = 0; i < 1000; i++) { t[i].addDependency(t[(i + 1) % 1000]); job.addTask(t[i]); }",
               "the dependencies of 1000 tasks go in a circle");
    body_fails(TWO "job.addTask(a); job.addTask(a);", "TypeError: task \"a\" was added twice");
    body_fails(TWO "job.tasks.push(a); job.addTask(a);", "TypeError: task \"a\" was added twice");
    body_fails(TWO "job.addTask(a); a.priority = 9; job.addTask(a);", "TypeError: task \"a\" was added twice");
    body_fails(TWO "a.addDependency(author.Command('c')); job.addTask(a);", "TypeError");
#undef TWO
}

static void large_webs_of_dependencies_are_sound(void **state)
{
    (void)state;
    outcome o;
    /* Each depends on all later ones that its number divides: forward only, no circle. */
    rig_body(
        &r,
        "function compileJob(job) { const t = []; for (let i = 0; i < 600; i++) t.push(author.Task('t' + i, 'm'));\n"
        "for (let i = 0; i < 600; i++) { for (let k = 2 * (i + 1); k <= 600; k += i + 1) t[i].addDependency(t[k - "
        "1]);\n"
        "job.addTask(t[i]); } }",
        "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 600);
    size_t deps = 0;
    for (size_t i = 0; i < 600; i++) {
        const json_t *list = json_object_get(json_array_get(o.tasks, i), "depends_on");
        for (size_t k = 0; k < json_array_size(list); k++)
            assert_int_equal(json_integer_value(json_array_get(list, k)), (json_int_t)((i + 1) * (k + 2)));
        deps += json_array_size(list);
    }
    assert_int_equal(json_integer_value(json_object_get(o.job, "n_deps")), (json_int_t)deps);
    outcome_free(&o);
}

static void tasks_have_uuids_when_somebody_looks(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "function compileJob(job) { const a = author.Task('a', 'm'), b = author.Task('b', 'm'), c = "
             "author.Task('c', 'm');\n"
             "job.settings = {seen: a.uUID, again: a.uUID, wrong: [a.uuid, a.UUID]};\n"
             "b.uUID = '8F1D2B5A-3b0e-4b43-9d0a-0c6a2a1d7c11'; [a, b, c].forEach(job.addTask); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    const json_t *settings = json_object_get(o.job, "settings");
    const char *seen = json_string_value(json_object_get(settings, "seen"));
    assert_int_equal(strlen(seen), 36);
    assert_int_equal(seen[14], '4');
    assert_non_null(strchr("89ab", seen[19]));
    assert_string_equal(seen, json_string_value(json_object_get(settings, "again")));
    assert_string_equal(json_string_value(json_array_get(o.uuids, 0)), seen);
    assert_string_equal(json_string_value(json_array_get(o.uuids, 1)), "8f1d2b5a-3b0e-4b43-9d0a-0c6a2a1d7c11");
    assert_string_equal(json_string_value(json_array_get(o.uuids, 2)), "");
    assert_json(json_object_get(settings, "wrong"), "[null, null]");
    outcome_free(&o);
    body_fails("const t = author.Task('a', 'm'); t.uUID = 'x'; job.addTask(t);",
               "uUID of task 'a' is 'x', which is not a UUID");
    body_fails(
        "const a = author.Task('a', 'm'), b = author.Task('b', 'm'); b.uUID = a.uUID; job.addTask(a); job.addTask(b);",
        "TypeError: two tasks have the UUID");
    body_fails("job.jobID = 'x';", "job.jobID is 'x', which is not a UUID");
}

static void objects_of_the_job_are_closed(void **state)
{
    (void)state;
    body_fails("job.nme = 1", "TypeError: the job has no property \"nme\"");
    body_fails("author.Task('a', 'm').nme = 1", "TypeError: a task has no property \"nme\"");
    body_fails("author.Command('a').nme = 1", "TypeError: a command has no property \"nme\"");
    body_fails("job.storage.x = 1", "TypeError: job.storage has no property \"x\"");
    body_fails("job.addTask = 1", "TypeError: the job has no property \"addTask\"");
    body_fails("delete job.name", "TypeError: property \"name\" of the job cannot be deleted");
    body_fails("delete author.Task('a', 'm').name", "TypeError");
    body_fails("delete author.Command('a').name", "TypeError");
    body_fails("new author.Task('a', 'm')", "TypeError");
    body_fails("new author.Command('a')", "TypeError");
    body_fails("author.Task(' \\u00a0 ', 'm')", "Error: author.Task: the name is empty");
    body_fails("author.Task('a')", "Error: author.Task: the type is empty");
    static const vector vectors[] = {
        { "[job.type, job.nme, author.Task('a', 'b').nme, author.Command('a').nme, job.storage.nme]",
          "[null, null, null, null, null]" },
        { "Object.keys(job)",
          "[\"jobID\", \"workerTagUUID\", \"name\", \"jobType\", \"priority\", \"status\", \"created\", "
          "\"settings\", \"metadata\", \"storage\", \"tasks\", \"addTask\"]" },
        { "Object.keys(author.Task('a', 'b'))",
          "[\"uUID\", \"name\", \"type\", \"priority\", \"commands\", \"dependencies\"]" },
        { "JSON.parse(JSON.stringify(author.Command('a', {b: 1}, 2)))",
          "{\"name\": \"a\", \"parameters\": {\"b\": 1}, \"totalStepCount\": 2}" },
        { "['name' in job, 'nme' in job, job.hasOwnProperty('name'), `${job}`]",
          "[true, false, true, \"[object Object]\"]" },
        { "author.Task('a', 'b').addDependency(author.Task('c', 'd'))", "null" },
        { "(author.Task('a', 'b').name === 'a' && author.Task('a', 'b').priority)", "50" },
        { "author.Command('n', null, '7').totalStepCount", "7" },
        { "author.Task('a', 'b').commands.length", "0" },
    };
    rig_evaluate(&r, "", vectors, sizeof(vectors) / sizeof(vectors[0]));
}

static void priorities_and_types_are_free(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "function compileJob(job) { const t = author.Task('a', 'my own type'); t.priority = -3; t.name = ''; "
             "t.type = '';\n"
             "job.addTask(t); t.priority = '120'; job.addTask(author.Task('b', 'x')); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_array_get(o.tasks, 0), "{\"index_in_job\": 1, \"name\": \"\", \"type\": \"\", \"priority\": -3, "
                                            "\"steps_total\": 0, \"depends_on\": [], \"commands\": null}");
    outcome_free(&o);
}

static void the_job_object_has_what_was_submitted(void **state)
{
    (void)state;
    outcome o;
    memset(&o, 0, sizeof(o));
    rig_script(
        &r, "test.js",
        "function compileJob(job) { job.settings.seen = [job.jobID, job.workerTagUUID, job.name, job.jobType, "
        "job.priority,\n"
        "job.status, job.status === 'under-construction', `${job.created}`, job.metadata, "
        "job.storage.shamanCheckoutID,\n"
        "job.tasks, 'a' in job.settings, job.settings.hasOwnProperty('zz'), Object.keys(job.settings).length,\n"
        "{...job.settings}.f === 24, job.settings.nope === undefined, Array.isArray(job.settings.l),\n"
        "job.settings.l.map((x) => x + 1)]; const {gone = 'default'} = job.settings; job.settings.gone = gone; }");
    flamenco_compile_request request =
        rig_request("test", "{\"a\": null, \"f\": 24.0, \"l\": [1, 2], \"o\": {\"x\": true}}");
    request.name = flamenco_text("N\xC3\xA4me");
    request.priority = -7;
    request.worker_tag = flamenco_text("the-tag");
    request.shaman_checkout_id = flamenco_text("checkout");
    request.metadata = flamenco_text("{\"user.name\": \"me\", \"empty\": \"\"}");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(
        o.job,
        "{\"name\": \"N\\u00e4me\", \"type\": \"test\", \"priority\": -7, \"tag\": \"the-tag\", \"checkout\": "
        "\"checkout\", \"uuid\": \"" RIG_UUID "\", \"n_tasks\": 0, \"n_deps\": 0, \"steps_total\": 0, "
        "\"metadata\": {\"user.name\": \"me\", \"empty\": \"\"}, "
        "\"settings\": {\"a\": null, \"f\": 24, \"l\": [1, 2], \"o\": {\"x\": true}, \"gone\": \"default\", "
        "\"seen\": [\"" RIG_UUID "\", \"the-tag\", \"N\\u00e4me\", \"test\", -7, \"under-construction\", true, "
        "\"2026-04-13T09:08:07.654321Z\", {\"user.name\": \"me\", \"empty\": \"\"}, \"checkout\", [], true, false, "
        "4, true, true, true, [2, 3]]}}");
    outcome_free(&o);
    /* Nothing but a type: the rest is empty, the UUID is made. */
    flamenco_compile_request bare = { 0 };
    bare.struct_size = (uint32_t)sizeof(bare);
    bare.type = flamenco_text("test");
    rig_script(&r, "test.js", "function compileJob(job) { job.settings.t = `${job.created}`; }");
    rig_run(&r, &bare, &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(o.job, "settings"), "{\"t\": \"2026-03-04T05:06:07Z\"}");
    assert_json(json_object_get(o.job, "metadata"), "{}");
    assert_json(json_object_get(o.job, "tag"), "\"\"");
    assert_int_equal(json_string_value(json_object_get(o.job, "uuid"))[14], '4');
    outcome_free(&o);
}

static void the_script_may_change_the_job(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "function compileJob(job) { job.name = 5; job.priority = '80.9'; job.workerTagUUID = 'other'; job.jobType "
             "= 'renamed';\n"
             "job.status = 'completed'; job.created = new Date(); job.storage.shamanCheckoutID = undefined;\n"
             "job.settings.added = undefined; delete job.settings.frames; job.metadata.n = 5; job.metadata.u = null;\n"
             "job.jobID = '8F1D2B5A-3b0e-4b43-9d0a-0c6a2a1d7c11'; }",
             "{\"frames\": \"1-2\", \"kept\": [1.50]}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(
        o.job, "{\"name\": \"5\", \"type\": \"renamed\", \"priority\": 80, \"tag\": \"other\", \"checkout\": \"\", "
               "\"uuid\": \"8f1d2b5a-3b0e-4b43-9d0a-0c6a2a1d7c11\", \"n_tasks\": 0, \"n_deps\": 0, \"steps_total\": 0, "
               "\"metadata\": {\"project\": \"P\", \"n\": \"5\", \"u\": \"\"}, "
               "\"settings\": {\"kept\": [1.5], \"added\": null}}");
    outcome_free(&o);
    rig_body(&r,
             "function compileJob(job) { job.settings = {a: new Set([1])}; job.metadata = {m: [1, 2]};\n"
             "job.storage = {shamanCheckoutID: 'x'}; }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(o.job, "settings"), "{\"a\": [1]}");
    assert_json(json_object_get(o.job, "metadata"), "{\"m\": \"1,2\"}");
    assert_json(json_object_get(o.job, "checkout"), "\"x\"");
    outcome_free(&o);
}

static void half_surrogates_come_out_as_replacement_characters(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "function compileJob(job) { job.addTask(author.Task('a\\ud800b\\ude00', 'x')); job.name = '\\ud83d\\ude00 "
             "\\udfff'; }",
             "{\"s\": \"\\ud800\", \"\\udc00\": 1}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_json(json_object_get(o.job, "settings"), "{\"s\": \"\\ufffd\", \"\\ufffd\": 1}");
    assert_string_equal(json_string_value(json_object_get(o.job, "name")), "\xF0\x9F\x98\x80 \xEF\xBF\xBD");
    assert_string_equal(json_string_value(json_object_get(json_array_get(o.tasks, 0), "name")), "a\xEF\xBF\xBD"
                                                                                                "b\xEF\xBF\xBD");
    outcome_free(&o);
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    body_fails("throw new Error('no tiles')", "Error: no tiles (test.js:3)");
    body_fails("throw new TypeError('x')", "TypeError: x (test.js:3)");
    body_fails("throw 'needs frames'", "needs frames (test.js)");
    body_fails("throw 42", "42 (test.js)");
    body_fails("throw null", "null (test.js)");
    body_fails("throw undefined", "undefined (test.js)");
    body_fails("throw {a: 1}", "[object Object] (test.js)");
    body_fails("throw Symbol('s')", "Symbol(s) (test.js)");
    body_fails("throw Object.create(null)", "an object without a text form was thrown (test.js)");
    body_fails("throw new Proxy({}, {get() { throw 1; }})", "an object without a text form was thrown (test.js)");
    body_fails("class TileError extends Error { get name() { return 'TileError'; } }\nthrow new TileError('none');",
               "TileError: none (test.js:4)");
    body_fails("x = undeclared;", "ReferenceError: ");
    body_fails("\n\nframeChunker('x', 1);",
               "Error: invalid frame range 'x', part 'x': a frame must be a whole number (test.js:5)");
    body_fails("shellSplit(\"'\")", "Error: shellSplit: a quote is not closed (test.js:3)");
    body_fails("job.addTask()", "TypeError: addTask: a task is wanted, not undefined (test.js:3)");
    body_fails("job.addTask(null)", "TypeError: addTask: a task is wanted, not null");
    body_fails("job.addTask('text')", "TypeError: addTask: a task is wanted, not a string");
    body_fails("job.addTask(author.Command('x'))", "TypeError: addTask: a task is wanted");
    body_fails("author.Task('a', 'b').addCommand(undefined)",
               "TypeError: addCommand: a command is wanted, not undefined");
    body_fails("author.Task('a', 'b').addCommand('x')", "TypeError: addCommand: a command is wanted");
    body_fails("[1].map(() => { null.x; })", "TypeError: ");
    body_fails("(function f() { f(); })()", "RangeError: Maximum call stack size exceeded.");
    body_fails("JSON.parse('{')", "SyntaxError: ");
    body_fails("eval('(')", "SyntaxError: ");
}

static void errors_are_reported_in_full_to_the_sink(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r, "function compileJob(job) {\n  throw new Error('\xC3\xA4'.repeat(1000));\n}", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_int_equal(strlen(o.problem), 7 + 2000);
    assert_string_equal(o.script, "test.js");
    assert_int_equal(o.line, 3);
    assert_int_equal(o.column, 18);
    /* The short form is cut between characters, and its place survives. */
    assert_string_equal(o.err.text + strlen(o.err.text) - 14, "\xC3\xA4 (test.js:3)");
    outcome_free(&o);
    rig_write(&r, "test.js", "const JOB_TYPE = {}; function compileJob(job) { throw new Error('first line'); }");
    rig_compile(&r, "test", "{}", &o);
    assert_int_equal(o.line, 1);
    assert_int_equal(o.column, 64);
    outcome_free(&o);
    rig_body(&r, "function compileJob(job) { throw 'x'.repeat(100000); }", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_int_equal(strlen(o.problem), 8192);
    outcome_free(&o);
}

static void broken_scripts_do_not_compile(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t rc;
        const char *message;
    } vectors[] = {
        { "const JOB_TYPE = {}; let x = {;", FLAMENCO_E_NOT_FOUND, "SyntaxError" },
        { "throw new Error('loading');", FLAMENCO_E_INVALID, "Error: loading (test.js:1)" },
        { "function compileJob(job) {}", FLAMENCO_E_INVALID, "JOB_TYPE" },
        { "const JOB_TYPE = 5; function compileJob(job) {}", FLAMENCO_E_INVALID, "JOB_TYPE must be an object" },
        { "const JOB_TYPE = {};", FLAMENCO_E_INVALID, "compileJob" },
        { "const JOB_TYPE = {}; const compileJob = 5;", FLAMENCO_E_INVALID, "compileJob" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        outcome o;
        rig_write(&r, "test.js", vectors[i].text);
        rig_compile(&r, "test", "{}", &o);
        assert_int_equal(o.rc, vectors[i].rc);
        assert_contains(o.err.text, vectors[i].message);
        if (o.rc == FLAMENCO_E_INVALID)
            assert_contains(o.problem, vectors[i].message);
        assert_null(o.job);
        outcome_free(&o);
    }
}

static void async_functions_work_and_their_errors_count(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "async function compileJob(job) { await null; const t = await Promise.resolve(author.Task('late', 'm'));\n"
             "job.addTask(t); return 5; }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 1);
    outcome_free(&o);
#define ASYNC(body, message) \
    rig_body(&r, body, "{}", &o); \
    assert_int_equal(o.rc, FLAMENCO_E_INVALID); \
    assert_contains(o.err.text, message); \
    outcome_free(&o)
    ASYNC("async function compileJob(job) { await null;\nthrow new Error('late'); }", "Error: late (test.js:3)");
    ASYNC("async function compileJob(job) { throw 'at once'; }", "at once");
    ASYNC("function compileJob(job) { (async () => { await 1; throw new Error('aside'); })(); }", "Error: aside");
    ASYNC("function compileJob(job) { Promise.reject(new Error('thrown away')); }", "Error: thrown away");
    ASYNC("function compileJob(job) { return new Promise(() => {}); }", "never settled");
    ASYNC("Promise.reject(new Error('while loading'));\nfunction compileJob(job) {}", "Error: while loading");
#undef ASYNC
    rig_body(&r, "function compileJob(job) { Promise.reject(1).catch(() => {}); return {then() {}}; }", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
}

static void a_sink_that_fails_ends_the_compilation(void **state)
{
    (void)state;
    outcome o;
    rig_script(&r, "test.js",
               "function compileJob(job) { for (let i = 0; i < 1000; i++) job.addTask(author.Task('t', 'm')); }");
    flamenco_compile_request request = rig_request("test", "{}");
    memset(&o, 0, sizeof(o));
    o.fail_job = FLAMENCO_E_FULL;
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_FULL);
    assert_int_equal(o.calls, 0);
    outcome_free(&o);
    o.fail_tasks = FLAMENCO_E_NOMEM;
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_NOMEM);
    assert_int_equal(o.calls, 1);
    outcome_free(&o);
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 1000);
    outcome_free(&o);
}

static void requests_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    outcome o;
    memset(&o, 0, sizeof(o));
    rig_script(&r, "test.js", "function compileJob(job) {}");
    static const char *const settings[] = { "[]", "5", "{", "{\"a\": NaN}", "{\"a\": \"\xFF\"}", "{} {}", "null" };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        rig_compile(&r, "test", settings[i], &o);
        assert_int_equal(o.rc, FLAMENCO_E_INVALID);
        assert_contains(o.err.text, "settings");
        outcome_free(&o);
    }
    flamenco_compile_request request = rig_request("test", "{}");
    request.name = flamenco_text("\xC0\x80");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    outcome_free(&o);
    request.name = flamenco_text("fine");
    request.metadata = flamenco_text("[]");
    rig_run(&r, &request, &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    outcome_free(&o);
}

/* Long parameters are kept outside the engine, as what differs from an earlier text. */
static void long_parameters_are_stored_as_they_are(void **state)
{
    (void)state;
    static const char *const variants[] = {
        "i % 5 == 0 ? {i, x: long} : i % 5 == 1 ? {x: long, i} : i % 5 == 2 ? {x: long} :"
        " i % 5 == 3 ? {y: '<\\u00e9\\u{1f600}&\\u2028\\ud800' + long, i} : {i}",
        "{x: long.slice(i), i}", "{x: long + i + long}", "{x: i + long}"
    };
    for (size_t v = 0; v < sizeof(variants) / sizeof(variants[0]); v++) {
        outcome o;
        char body[2048];
        /* Each task's settings of the job say what its two commands must be. */
        snprintf(body, sizeof(body),
                 "function compileJob(job) { const long = "
                 "'0123456789abcdef'.repeat(9); const wanted = [];\n"
                 "for (let i = 0; i < 700; i++) { const make = () => (%s);\n"
                 "const t = author.Task(`t-${i}`, 'm'); const c = author.Command('c', make());\n"
                 "t.addCommand(c); t.addCommand(author.Command('d', make(), 2)); job.addTask(t);\n"
                 "if (i %% 3 == 0) c.parameters.more = i;\n"
                 "wanted.push([i %% 3 == 0 ? {...make(), more: i} : make(), make()]); }\n"
                 "job.settings = {wanted}; }",
                 variants[v]);
        rig_body(&r, body, "{}", &o);
        if (o.rc != FLAMENCO_OK)
            fail_msg("%s", o.err.text);
        assert_int_equal(json_array_size(o.tasks), 700);
        const json_t *wanted = json_object_get(json_object_get(o.job, "settings"), "wanted");
        assert_int_equal(json_array_size(wanted), 700);
        for (size_t i = 0; i < 700; i++) {
            const json_t *commands = json_object_get(json_array_get(o.tasks, i), "commands");
            assert_int_equal(json_array_size(commands), 2);
            for (size_t k = 0; k < 2; k++)
                assert_true(json_equal(json_object_get(json_array_get(commands, k), "parameters"),
                                       json_array_get(json_array_get(wanted, i), k)));
        }
        outcome_free(&o);
    }
}

static void large_jobs_come_in_batches(void **state)
{
    (void)state;
    outcome o;
    rig_body(&r,
             "function compileJob(job) { const all = []; for (let i = 0; i < 20000; i++) { const t = "
             "author.Task(`t-${i}`, 'm');\n"
             "t.addCommand(author.Command('c', {i, args: ['a', 'b', i]}, 3)); job.addTask(t); all.push(t); }\n"
             "const last = author.Task('last', 'm'); all.forEach((t) => last.addDependency(t)); job.addTask(last); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 20001);
    assert_true(o.calls >= 20001 / 256);
    assert_int_equal(json_integer_value(json_object_get(o.job, "n_deps")), 20000);
    assert_int_equal(json_integer_value(json_object_get(o.job, "steps_total")), 60000);
    for (size_t i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "t-%zu", i);
        const json_t *task = json_array_get(o.tasks, i);
        assert_string_equal(json_string_value(json_object_get(task, "name")), name);
        const json_t *command = json_array_get(json_object_get(task, "commands"), 0);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(command, "parameters"), "i")),
                         (json_int_t)i);
    }
    const json_t *deps = json_object_get(json_array_get(o.tasks, 20000), "depends_on");
    assert_int_equal(json_array_size(deps), 20000);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal(json_integer_value(json_array_get(deps, i)), (json_int_t)i + 1);
    outcome_free(&o);
    /* A task of several megabytes is one frame that is larger than any buffer. */
    rig_body(&r,
             "function compileJob(job) { const t = author.Task('big', 'm');\n"
             "t.addCommand(author.Command('c', {text: '<'.repeat(3000000)})); job.addTask(t); "
             "job.addTask(author.Task('b', 'm')); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    const json_t *command = json_array_get(json_object_get(json_array_get(o.tasks, 0), "commands"), 0);
    assert_int_equal(json_string_length(json_object_get(json_object_get(command, "parameters"), "text")), 3000000);
    outcome_free(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tasks_and_commands_are_stored_as_authored),
        TEST(parameters_are_converted),
        TEST(what_cannot_be_stored_is_refused),
        TEST(later_changes_are_lost_or_seen_as_in_the_reference),
        TEST(dependencies_become_indexes),
        TEST(wrong_dependencies_are_refused),
        TEST(large_webs_of_dependencies_are_sound),
        TEST(tasks_have_uuids_when_somebody_looks),
        TEST(objects_of_the_job_are_closed),
        TEST(priorities_and_types_are_free),
        TEST(the_job_object_has_what_was_submitted),
        TEST(the_script_may_change_the_job),
        TEST(half_surrogates_come_out_as_replacement_characters),
        TEST(errors_say_what_and_where),
        TEST(errors_are_reported_in_full_to_the_sink),
        TEST(broken_scripts_do_not_compile),
        TEST(async_functions_work_and_their_errors_count),
        TEST(a_sink_that_fails_ends_the_compilation),
        TEST(requests_that_make_no_sense_are_refused),
        TEST(long_parameters_are_stored_as_they_are),
        TEST(large_jobs_come_in_batches),
    };
    return cmocka_run_group_tests_name("compiler-js-jobs", tests, NULL, NULL);
}
