/* SPDX-License-Identifier: Apache-2.0
 *
 * rig.c - see rig.h.
 */
#include "rig.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/uuid.h"

void rig_init(rig *r)
{
    memset(r, 0, sizeof(*r));
    temp_dir_make(r->root);
    char keep[TEMP_DIR_MAX];
    temp_path(r->dir, "%s/scripts", r->root);
    temp_path(keep, "%s/README.md", r->dir);
    temp_file_write(keep, "Not a script.\n");
    fake_host_init(&r->fake);
    r->plugin = flamenco_plugin_query();
    rig_set(r, "scripts", r->dir);
    rig_set(r, "builtin_scripts", "false");
    rig_set(r, "helper", RIG_HELPER);
}

void rig_set(rig *r, const char *key, const char *text)
{
    fake_host_set(&r->fake, key, text);
}

void rig_start(rig *r)
{
    r->table = fake_host_table(r->plugin, FLAMENCO_JOB_COMPILER);
    r->self = fake_host_start(&r->fake, r->plugin);
}

void rig_stop(rig *r)
{
    if (r->self != NULL)
        fake_host_stop(&r->fake, r->plugin, r->self);
    r->self = NULL;
}

void rig_fini(rig *r)
{
    rig_stop(r);
    fake_host_fini(&r->fake);
    temp_dir_remove(r->root);
}

void rig_write(rig *r, const char *name, const char *text)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", r->dir, name);
    temp_file_write(path, text);
}

void rig_remove(rig *r, const char *name)
{
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/%s", r->dir, name);
    assert_int_equal(unlink(path), 0);
}

void rig_script(rig *r, const char *name, const char *body)
{
    char *text = NULL;
    assert_true(asprintf(&text, "const JOB_TYPE = { label: \"Test\", settings: [] };\n%s\n", body) > 0);
    rig_write(r, name, text);
    free(text);
}

/* ---- Compiling ------------------------------------------------------------------------------------------------- */

static json_t *text_of(flamenco_str s)
{
    json_t *text = json_stringn(s.len > 0 ? s.ptr : "", (size_t)s.len);
    assert_non_null(text);
    return text;
}

static json_t *parse(flamenco_str s)
{
    json_error_t error;
    json_t *value = json_loadb(s.ptr, (size_t)s.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value == NULL)
        print_error("not JSON (%s): %.*s\n", error.text, (int)s.len, s.ptr);
    return value;
}

static int32_t on_job(void *ctx, const flamenco_compiled_job *job)
{
    outcome *o = ctx;
    char uuid[37];
    fl_uuid_format(&job->uuid, uuid);
    o->job = json_pack("{so so si so so so so ss sI sI sI}", "name", text_of(job->name), "type", text_of(job->type),
                       "priority", job->priority, "settings", parse(job->settings), "metadata", parse(job->metadata),
                       "tag", text_of(job->worker_tag), "checkout", text_of(job->shaman_checkout_id), "uuid", uuid,
                       "n_tasks", (json_int_t)job->n_tasks, "n_deps", (json_int_t)job->n_deps, "steps_total",
                       (json_int_t)job->steps_total);
    return o->fail_job;
}

static int32_t on_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    outcome *o = ctx;
    o->calls++;
    for (uint64_t i = 0; i < n; i++) {
        const flamenco_compiled_task *row = (const void *)((const char *)rows + i * stride);
        static const flamenco_uuid none;
        char uuid[37] = "";
        json_t *deps = json_array();
        for (uint64_t k = 0; k < row->n_deps; k++)
            json_array_append_new(deps, json_integer(row->deps[k] + 1));
        if (memcmp(&row->uuid, &none, sizeof(none)) != 0)
            fl_uuid_format(&row->uuid, uuid);
        json_array_append_new(o->uuids, json_string(uuid));
        json_array_append_new(o->tasks, json_pack("{sI so so si sI so so}", "index_in_job",
                                                  (json_int_t)json_array_size(o->tasks) + 1, "name", text_of(row->name),
                                                  "type", text_of(row->type), "priority", row->priority, "steps_total",
                                                  (json_int_t)row->steps_total, "depends_on", deps, "commands",
                                                  parse(row->commands)));
    }
    return o->fail_tasks;
}

static void on_log(void *ctx, uint32_t level, flamenco_str text)
{
    outcome *o = ctx;
    size_t at = strlen(o->log);
    snprintf(o->log + at, sizeof(o->log) - at, "%u %.*s\n", level, (int)text.len, text.ptr);
    __atomic_add_fetch(&o->lines, 1, __ATOMIC_RELEASE);
}

static void on_problem(void *ctx, const flamenco_script_problem *problem)
{
    outcome *o = ctx;
    snprintf(o->problem, sizeof(o->problem), "%.*s", (int)problem->message.len, problem->message.ptr);
    snprintf(o->script, sizeof(o->script), "%.*s", (int)problem->script.len, problem->script.ptr);
    o->line = problem->line;
    o->column = problem->column;
}

flamenco_compile_request rig_request(const char *type, const char *settings)
{
    flamenco_compile_request request = { 0 };
    request.struct_size = (uint32_t)sizeof(request);
    request.priority = 50;
    assert_int_equal(fl_uuid_parse(flamenco_text(RIG_UUID), &request.uuid), 0);
    request.created_us = RIG_CREATED;
    request.type = flamenco_text(type);
    request.name = flamenco_text("The job");
    request.settings = flamenco_text(settings);
    request.metadata = flamenco_text("{\"project\": \"P\"}");
    return request;
}

void outcome_init(outcome *o)
{
    const flamenco_error fresh = FLAMENCO_ERROR_INIT;
    int32_t fail_job = o->fail_job;
    int32_t fail_tasks = o->fail_tasks;
    memset(o, 0, sizeof(*o));
    o->fail_job = fail_job;
    o->fail_tasks = fail_tasks;
    o->err = fresh;
    o->tasks = json_array();
    o->uuids = json_array();
}

void rig_run_cx(rig *r, flamenco_cx *cx, const flamenco_compile_request *request, outcome *o)
{
    flamenco_compile_sink sink = { (uint32_t)sizeof(sink), 0, o, on_job, on_tasks, on_log, on_problem };
    o->rc = r->table->compile(r->self, cx, request, &sink, &o->err);
}

void rig_run(rig *r, const flamenco_compile_request *request, outcome *o)
{
    fake_cx *cx = fake_cx_create(&r->fake);
    outcome_init(o);
    rig_run_cx(r, &cx->cx, request, o);
    fake_cx_destroy(cx);
}

void rig_compile(rig *r, const char *type, const char *settings, outcome *o)
{
    memset(o, 0, sizeof(*o));
    flamenco_compile_request request = rig_request(type, settings);
    rig_run(r, &request, o);
}

void rig_body(rig *r, const char *body, const char *settings, outcome *o)
{
    rig_script(r, "test.js", body);
    rig_compile(r, "test", settings, o);
}

void outcome_free(outcome *o)
{
    json_decref(o->job);
    json_decref(o->tasks);
    json_decref(o->uuids);
    memset(o, 0, sizeof(*o));
}

void rig_evaluate(rig *r, const char *prelude, const vector *vectors, size_t n)
{
    size_t size = 4096 + strlen(prelude);
    for (size_t i = 0; i < n; i++)
        size += strlen(vectors[i].expression) + 16;
    char *text = malloc(size);
    assert_non_null(text);
    size_t at = (size_t)snprintf(text, size, "%s\nfunction compileJob(job) {\nconst vectors = [\n", prelude);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, size - at, "() => (%s),\n", vectors[i].expression);
    snprintf(
        text + at, size - at, "%s",
        "];\njob.settings = {out: vectors.map((f) => { try { return f(); } catch (e) { return '!' + e; } })};\n}\n");
    outcome o;
    rig_body(r, text, "{}", &o);
    free(text);
    if (o.rc != FLAMENCO_OK)
        fail_msg("the vectors do not run: %s", o.err.text);
    const json_t *out = json_object_get(json_object_get(o.job, "settings"), "out");
    assert_int_equal(json_array_size(out), n);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *actual = json_array_get(out, i);
        char *shown = json_dumps(actual, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        const char *expected = vectors[i].json;
        int equal;
        if (expected[0] == '!') {
            /* An exception whose text has this in it. */
            const char *thrown = json_is_string(actual) ? json_string_value(actual) : "";
            equal = thrown[0] == '!' && strstr(thrown, expected + 1) != NULL;
        } else {
            json_t *wanted = json_loads(expected, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            if (wanted == NULL)
                fail_msg("not JSON: %s", expected);
            equal = json_equal(wanted, actual);
            json_decref(wanted);
        }
        if (!equal)
            print_error("%s\n  gives %s\n  not   %s\n", vectors[i].expression, shown, expected);
        wrong += !equal;
        free(shown);
    }
    outcome_free(&o);
    assert_int_equal(wrong, 0);
}

/* ---- Types ----------------------------------------------------------------------------------------------------- */

typedef struct listing {
    char *names;
    size_t size;
    json_t *all;
    char *json;
} listing;

static int32_t on_type(void *ctx, const flamenco_job_type *type)
{
    listing *l = ctx;
    if (l->names != NULL) {
        size_t at = strlen(l->names);
        snprintf(l->names + at, l->size - at, "%s%.*s", at > 0 ? " " : "", (int)type->name.len, type->name.ptr);
    }
    if (l->all != NULL) {
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)type->name.len, type->name.ptr);
        json_object_set_new(l->all, name, parse(type->json));
    }
    if (l->json == NULL)
        l->json = strndup(type->json.ptr, (size_t)type->json.len);
    return 0;
}

int32_t rig_list(rig *r, char *names, size_t size, json_t **json, flamenco_error *err)
{
    listing l = { names, size, json != NULL ? json_object() : NULL, NULL };
    flamenco_error own = FLAMENCO_ERROR_INIT;
    fake_cx *cx = fake_cx_create(&r->fake);
    names[0] = '\0';
    int32_t rc = r->table->list(r->self, &cx->cx, on_type, &l, err != NULL ? err : &own);
    fake_cx_destroy(cx);
    free(l.json);
    if (json != NULL)
        *json = l.all;
    return rc;
}

char *rig_get(rig *r, const char *name, int32_t *rc, flamenco_error *err)
{
    listing l = { NULL, 0, NULL, NULL };
    flamenco_error own = FLAMENCO_ERROR_INIT;
    fake_cx *cx = fake_cx_create(&r->fake);
    int32_t got = r->table->get(r->self, &cx->cx, flamenco_text(name), on_type, &l, err != NULL ? err : &own);
    fake_cx_destroy(cx);
    if (rc != NULL)
        *rc = got;
    return l.json;
}

/* ---- Comparing ------------------------------------------------------------------------------------------------- */

void assert_json(json_t *actual, const char *expected)
{
    json_error_t error;
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, &error);
    if (wanted == NULL)
        fail_msg("the expected JSON is wrong: %s at %d", error.text, error.position);
    int equal = json_equal(wanted, actual);
    if (!equal) {
        char *a = json_dumps(actual, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        char *b = json_dumps(wanted, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        print_error("got    %s\nwanted %s\n", a, b);
        free(a);
        free(b);
    }
    json_decref(wanted);
    assert_true(equal);
}

void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* ---- Processes ------------------------------------------------------------------------------------------------- */

static int is_helper(const char *pid)
{
    char path[64];
    char stat[512];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t n = fread(stat, 1, sizeof(stat) - 1, file);
    fclose(file);
    stat[n] = '\0';
    const char *name = strchr(stat, '(');
    const char *end = strrchr(stat, ')');
    int parent = 0;
    char state = 0;
    if (name == NULL || end == NULL || sscanf(end + 1, " %c %d", &state, &parent) != 2)
        return 0;
    return parent == (int)getpid() && strncmp(name + 1, "flamenco-js-hel", 15) == 0;
}

static size_t count_helpers(int *first)
{
    size_t n = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0]) && is_helper(entry->d_name)) {
            if (n++ == 0 && first != NULL)
                *first = atoi(entry->d_name);
        }
    }
    closedir(dir);
    return n;
}

size_t rig_helpers(void)
{
    return count_helpers(NULL);
}

int rig_helper_pid(void)
{
    int pid = 0;
    count_helpers(&pid);
    return pid;
}

size_t rig_descriptors(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

void rig_yield(void)
{
    struct timespec ts = { 0, 1000000 };
    nanosleep(&ts, NULL);
}
