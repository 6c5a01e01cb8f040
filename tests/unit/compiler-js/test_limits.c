/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limits.c - scripts that would harm the manager, and the life of the helper processes.
 */
#include "rig.h"

#include "compiler.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static rig r;
static size_t descriptors;

static int setup(void **state)
{
    (void)state;
    descriptors = rig_descriptors();
    rig_init(&r);
    rig_set(&r, "helpers", "1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&r);
    assert_int_equal(rig_helpers(), 0);
    assert_int_equal(rig_descriptors(), descriptors);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void a_good_job_compiles(void)
{
    outcome o;
    rig_script(&r, "good.js", "function compileJob(job) { job.addTask(author.Task('a', 'b')); }");
    rig_compile(&r, "good", "{}", &o);
    if (o.rc != FLAMENCO_OK)
        fail_msg("%s", o.err.text);
    assert_int_equal(json_array_size(o.tasks), 1);
    outcome_free(&o);
}

static void endless_scripts_are_stopped(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "function compileJob(job) { while (true) {} }",
        "function compileJob(job) { for (;;) { try { for (;;) {} } catch (e) {} finally { continue; } } }",
        "async function spin() { for (;;) { await 0; } }\nfunction compileJob(job) { spin(); }",
        "function compileJob(job) { /^(a+)+$/.test('a'.repeat(40) + 'b'); }",
        "function compileJob(job) { const f = () => { try { f(); } catch (e) { f(); } }; f(); }",
        "function compileJob(job) { new Array(1e9).join('x').split('').sort(); }",
        "function compileJob(job) { job.settings = {get x() { for (;;) {} }}; }",
        "function compileJob(job) { throw {toString() { for (;;) {} }}; }",
        "function compileJob(job) { Atomics.wait(new Int32Array(4), 0, 0); for (;;) {} }",
    };
    rig_set(&r, "time_limit", "300ms");
    rig_set(&r, "memory_limit", "2GiB");
    rig_start(&r);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        outcome o;
        int64_t before = now_ms();
        rig_body(&r, bodies[i], "{}", &o);
        int64_t took = now_ms() - before;
        if (o.rc != FLAMENCO_E_INVALID)
            fail_msg("%s: %d %s", bodies[i], o.rc, o.err.text);
        /* The fifth and the sixth may come to an end, or to the end of the memory. */
        if (i != 4 && i != 5 && i != 8)
            assert_string_equal(o.err.text, "the script took longer than 0.3 s (test.js)");
        assert_true(took < 10000);
        outcome_free(&o);
        a_good_job_compiles();
    }
}

static void a_script_that_hangs_while_loading_does_not_hang_the_list(void **state)
{
    (void)state;
    char names[256];
    rig_set(&r, "time_limit", "200ms");
    rig_start(&r);
    rig_write(&r, "bad.js", "for (;;) {}");
    rig_script(&r, "good.js", "function compileJob(job) {}");
    assert_int_equal(rig_list(&r, names, sizeof(names), NULL, NULL), FLAMENCO_OK);
    assert_string_equal(names, "good");
    assert_contains(r.fake.last_log, "took longer");
    /* It is not tried again for each request. */
    uint64_t lines = r.fake.log_lines[FLAMENCO_LOG_WARN];
    assert_int_equal(rig_list(&r, names, sizeof(names), NULL, NULL), FLAMENCO_OK);
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], lines);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_E_INVALID);
    assert_contains(err.text, "bad.js");
}

static void greedy_scripts_are_stopped(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "function compileJob(job) { const a = []; for (let i = 0;; i++) a.push({x: i, y: [i]}); }",
        "function compileJob(job) { let s = 'x'; const keep = []; for (;;) { s += s.slice(0, 1 << 20); keep.push(s + "
        "'y'); } }",
        "function compileJob(job) { const m = new Map(); for (let i = 0;; i++) m.set(i, {i}); }",
        "function compileJob(job) { const a = []; for (;;) { const b = new Uint8Array(1 << 20); b.fill(1); a.push(b); "
        "} }",
        "function compileJob(job) { new Array(3e7).fill(0).map((x, i) => ({i})).join(','); }",
        "function compileJob(job) { for (;;) job.addTask(author.Task('t', 'm')); }",
        "async function f() { const keep = []; for (;;) { keep.push({}); await 0; } }\nfunction compileJob(job) { f(); "
        "}",
    };
    rig_set(&r, "memory_limit", "64MiB");
    rig_set(&r, "time_limit", "60s");
    rig_start(&r);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        outcome o;
        rig_body(&r, bodies[i], "{}", &o);
        if (o.rc != FLAMENCO_E_INVALID || strstr(o.err.text, "emory") == NULL)
            fail_msg("%s: %d %s", bodies[i], o.rc, o.err.text);
        outcome_free(&o);
        a_good_job_compiles();
    }
}

static void large_results_are_refused(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "output_limit", "1MiB");
    rig_set(&r, "task_limit", "100");
    rig_start(&r);
    rig_body(&r, "function compileJob(job) { for (let i = 0; i < 101; i++) job.addTask(author.Task('t', 'm')); }", "{}",
             &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "the job has 101 tasks; at most 100 are allowed");
    outcome_free(&o);
    /* One command of 100 KB, shared by a hundred tasks. */
    rig_body(&r,
             "function compileJob(job) { const c = author.Command('c', {x: 'x'.repeat(100000)});\n"
             "for (let i = 0; i < 100; i++) { const t = author.Task('t', 'm'); t.addCommand(c); job.addTask(t); } }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "larger than 1 MiB");
    outcome_free(&o);
    rig_body(&r, "function compileJob(job) { for (let i = 0; i < 100; i++) job.addTask(author.Task('t', 'm')); }", "{}",
             &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
}

static void a_result_beyond_one_frame_is_refused(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "memory_limit", "2GiB");
    rig_set(&r, "time_limit", "60s");
    rig_start(&r);
    rig_body(&r,
             "function compileJob(job) { const t = author.Task('t', 'm');\n"
             "t.addCommand(author.Command('c', {x: 'x'.repeat(70 << 20)})); job.addTask(t); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    assert_contains(o.err.text, "too large");
    outcome_free(&o);
    a_good_job_compiles();
}

/* ---- Sandbox ---------------------------------------------------------------------------------------------------- */

static void scripts_have_no_way_out(void **state)
{
    (void)state;
    static const vector vectors[] = {
        { "[typeof WebAssembly, typeof fetch, typeof XMLHttpRequest, typeof Worker, typeof SharedArrayBuffer]",
          "[\"undefined\", \"undefined\", \"undefined\", \"undefined\", \"undefined\"]" },
        { "[typeof load, typeof readFile, typeof read, typeof write, typeof quit, typeof run]",
          "[\"undefined\", \"undefined\", \"undefined\", \"undefined\", \"undefined\", \"undefined\"]" },
        { "(() => { try { return typeof import('/etc/passwd').then; } catch (e) { return 'function'; } })()",
          "\"function\"" },
    };
    rig_start(&r);
    rig_script(&r, "import.js", "function compileJob(job) { return import('/etc/hostname'); }");
    outcome o;
    rig_compile(&r, "import", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_INVALID);
    outcome_free(&o);
    rig_evaluate(&r, "", vectors, 2);
}

static int read_line(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int found = 0;
    while (!found && fgets(line, (int)sizeof(line), file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static void the_helper_is_sealed(void **state)
{
    (void)state;
    char path[64], line[256];
    rig_start(&r);
    a_good_job_compiles();
    int pid = rig_helper_pid();
    assert_int_not_equal(pid, 0);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (r.fake.log_lines[FLAMENCO_LOG_WARN] == 0) { /* else the system has no seccomp, and the log says so */
        assert_true(read_line(path, "Seccomp:", line, sizeof(line)));
        assert_string_equal(line, "Seccomp:\t2");
    }
    assert_true(read_line(path, "NoNewPrivs:", line, sizeof(line)));
    assert_string_equal(line, "NoNewPrivs:\t1");
    /* Nothing inherited: the null device, the pipe for messages, the socket, its own statm. */
    for (int fd = 0; fd < 64; fd++) {
        char target[256];
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        if (fd < 2)
            assert_string_equal(target, "/dev/null");
        else if (fd == 2)
            assert_non_null(strstr(target, "pipe:"));
        else if (fd == 3)
            assert_non_null(strstr(target, "socket:"));
        else if (strstr(target, "/statm") == NULL && strcmp(target, "/dev/urandom") != 0 &&
                 strstr(target, "eventfd") == NULL)
            fail_msg("the helper has %s open", target);
    }
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char environment[4096];
    size_t n = fread(environment, 1, sizeof(environment) - 1, file);
    fclose(file);
    environment[n] = '\0';
    for (const char *p = environment; p < environment + n; p += strlen(p) + 1) {
        if (strncmp(p, "JSC_use", 7) != 0 && strncmp(p, "JSC_miniVMHeapGrowthFactor=", 27) != 0 &&
            strncmp(p, "TZ=", 3) != 0 && strcmp(p, "LANG=C.UTF-8") != 0)
            fail_msg("the helper inherited %s", p);
    }
}

static void it_works_without_a_sandbox(void **state)
{
    (void)state;
    rig_set(&r, "sandbox", "off");
    rig_start(&r);
    a_good_job_compiles();
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_WARN], 0);
}

static void it_works_with_a_compiler_for_machine_code(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "jit", "baseline");
    rig_start(&r);
    a_good_job_compiles();
    rig_body(&r,
             "function compileJob(job) { let n = 0; for (let i = 0; i < 3e6; i++) n += i % 7; job.settings = {n};\n"
             "for (let i = 0; i < 3000; i++) job.addTask(author.Task('t' + i, 'm')); }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    assert_int_equal(json_array_size(o.tasks), 3000);
    outcome_free(&o);
}

/* The collector's threads end and start again under the filter. */
static void a_sealed_helper_survives_collections(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "time_limit", "60s");
    rig_start(&r);
    for (int i = 0; i < 5; i++) {
        rig_body(
            &r,
            "function compileJob(job) { for (let k = 0; k < 20; k++) { const a = []; for (let i = 0; i < 50000; i++)\n"
            "a.push({i, s: 'x' + i}); } new Intl.DateTimeFormat('de', {timeZone: 'Asia/Tokyo'}).format(new Date(0)); }",
            "{}", &o);
        if (o.rc != FLAMENCO_OK)
            fail_msg("%s", o.err.text);
        outcome_free(&o);
    }
    assert_true(fake_host_metric(&r.fake, "compiler_helpers_started_total") == 1);
}

/* ---- Life of the helpers ---------------------------------------------------------------------------------------- */

static void a_killed_helper_is_replaced(void **state)
{
    (void)state;
    rig_start(&r);
    a_good_job_compiles();
    for (int i = 0; i < 3; i++) {
        int pid = rig_helper_pid();
        assert_int_not_equal(pid, 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        /* Reaped without being asked. */
        WAIT_UNTIL(rig_helpers() == 0 || rig_helper_pid() != pid);
        a_good_job_compiles();
    }
    assert_true(fake_host_metric(&r.fake, "compiler_helpers_started_total") == 4);
}

typedef struct call {
    pthread_t thread;
    fake_cx *cx;
    outcome o;
    const char *type;
    atomic_int done;
} call;

static void *call_main(void *ctx)
{
    call *c = ctx;
    flamenco_compile_request request = rig_request(c->type, "{}");
    rig_run_cx(&r, &c->cx->cx, &request, &c->o);
    c->done = 1;
    return NULL;
}

static void begin_call(call *c, const char *type)
{
    memset(c, 0, sizeof(*c));
    c->type = type;
    outcome_init(&c->o);
    c->cx = fake_cx_create(&r.fake);
    assert_int_equal(pthread_create(&c->thread, NULL, call_main, c), 0);
}

static int32_t end_call(call *c)
{
    pthread_join(c->thread, NULL);
    fake_cx_destroy(c->cx);
    return c->o.rc;
}

/* Prints once it runs, so that a test knows when. */
#define ENDLESS "function compileJob(job) { print('runs'); for (;;) {} }"

static void wait_until_it_runs(const call *c)
{
    WAIT_UNTIL(__atomic_load_n(&c->o.lines, __ATOMIC_ACQUIRE) > 0);
}

static void only_the_job_in_flight_dies_with_its_helper(void **state)
{
    (void)state;
    call bad, good;
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&bad, "endless");
    wait_until_it_runs(&bad);
    begin_call(&good, "good"); /* waits for the one helper */
    assert_int_equal(kill(rig_helper_pid(), SIGKILL), 0);
    assert_int_equal(end_call(&bad), FLAMENCO_E_UNAVAILABLE);
    assert_contains(bad.o.err.text, "signal 9");
    assert_int_equal(end_call(&good), FLAMENCO_OK);
    outcome_free(&bad.o);
    outcome_free(&good.o);
    /* A crash of its own is the script's fault. */
    begin_call(&bad, "endless");
    wait_until_it_runs(&bad);
    assert_int_equal(kill(rig_helper_pid(), SIGSEGV), 0);
    assert_int_equal(end_call(&bad), FLAMENCO_E_INVALID);
    assert_contains(bad.o.err.text, "crashed (signal 11)");
    outcome_free(&bad.o);
}

static void a_stopped_helper_is_killed_after_the_limit(void **state)
{
    (void)state;
    call c;
    rig_set(&r, "time_limit", "200ms");
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&c, "endless");
    int pid = 0;
    WAIT_UNTIL((pid = rig_helper_pid()) != 0);
    kill(pid, SIGSTOP); /* its watcher sleeps, too */
    assert_int_equal(end_call(&c), FLAMENCO_E_INVALID);
    assert_contains(c.o.err.text, "took longer than 0.2 s");
    outcome_free(&c.o);
    a_good_job_compiles();
}

static void cancelling_ends_a_running_script(void **state)
{
    (void)state;
    call c;
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&c, "endless");
    wait_until_it_runs(&c);
    __atomic_store_n(&c.cx->cancelled, 1, __ATOMIC_RELEASE);
    assert_int_equal(end_call(&c), FLAMENCO_E_CANCELLED);
    outcome_free(&c.o);
    a_good_job_compiles();
}

static void the_requests_deadline_ends_a_running_script(void **state)
{
    (void)state;
    call c;
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&c, "endless");
    wait_until_it_runs(&c);
    __atomic_fetch_add(&r.fake.monotonic_us, INT64_C(3600000001), __ATOMIC_RELAXED);
    assert_int_equal(end_call(&c), FLAMENCO_E_DEADLINE);
    outcome_free(&c.o);
    a_good_job_compiles();
}

static uint32_t waiting_calls(void)
{
    fl_pool *pool = &((fl_compiler *)r.self)->pool;
    pthread_mutex_lock(&pool->lock);
    uint32_t n = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

static void those_who_wait_can_give_up_and_the_queue_has_an_end(void **state)
{
    (void)state;
    call running, waiting, refused, last;
    rig_set(&r, "queue", "2");
    rig_set(&r, "time_limit", "60s");
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&running, "endless");
    wait_until_it_runs(&running);
    begin_call(&waiting, "good");
    begin_call(&last, "good");
    WAIT_UNTIL(waiting_calls() == 2);
    begin_call(&refused, "good");
    assert_int_equal(end_call(&refused), FLAMENCO_E_FULL);
    outcome_free(&refused.o);
    __atomic_store_n(&waiting.cx->cancelled, 1, __ATOMIC_RELEASE);
    assert_int_equal(end_call(&waiting), FLAMENCO_E_CANCELLED);
    __atomic_store_n(&running.cx->cancelled, 1, __ATOMIC_RELEASE);
    assert_int_equal(end_call(&running), FLAMENCO_E_CANCELLED);
    assert_int_equal(end_call(&last), FLAMENCO_OK);
    outcome_free(&waiting.o);
    outcome_free(&running.o);
    outcome_free(&last.o);
}

static void stopping_ends_running_and_waiting_calls(void **state)
{
    (void)state;
    call running, waiting;
    rig_start(&r);
    rig_script(&r, "endless.js", ENDLESS);
    a_good_job_compiles();
    begin_call(&running, "endless");
    wait_until_it_runs(&running);
    begin_call(&waiting, "endless");
    WAIT_UNTIL(waiting_calls() == 1);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(r.plugin->stop(r.self, INT64_MAX, &err), FLAMENCO_OK);
    assert_int_equal(rig_helpers(), 0);
    assert_int_equal(end_call(&running), FLAMENCO_E_CANCELLED);
    assert_int_equal(end_call(&waiting), FLAMENCO_E_CANCELLED);
    outcome_free(&running.o);
    outcome_free(&waiting.o);
    r.plugin->destroy(r.self);
    r.self = NULL;
}

static void an_idle_helper_ends(void **state)
{
    (void)state;
    rig_set(&r, "idle_time", "100ms");
    rig_start(&r);
    assert_int_equal(rig_helpers(), 0); /* none before the first compilation */
    a_good_job_compiles();
    WAIT_UNTIL(rig_helpers() == 0);
    a_good_job_compiles();
}

static void with_isolation_by_process_each_script_has_its_own(void **state)
{
    (void)state;
    rig_set(&r, "isolation", "process");
    rig_start(&r);
    for (int i = 0; i < 5; i++)
        a_good_job_compiles();
    /* One to describe the script, and one for each job. */
    WAIT_UNTIL(fake_host_metric(&r.fake, "compiler_helpers_started_total") == 6);
}

static void a_replaced_helper_file_replaces_the_process(void **state)
{
    (void)state;
    char copy[TEMP_DIR_MAX], command[3 * TEMP_DIR_MAX];
    temp_path(copy, "%s/flamenco-js-helper", r.root);
    snprintf(command, sizeof(command), "cp '%s' '%s'", RIG_HELPER, copy);
    assert_int_equal(system(command), 0);
    rig_set(&r, "helper", copy);
    rig_start(&r);
    a_good_job_compiles();
    int first = rig_helper_pid();
    assert_int_equal(unlink(copy), 0); /* as a package manager does it */
    assert_int_equal(system(command), 0);
    /* The file is looked at every two seconds. */
    WAIT_UNTIL((a_good_job_compiles(), rig_helper_pid() != first && rig_helper_pid() != 0));
}

static void a_missing_helper_is_said_and_may_come_later(void **state)
{
    (void)state;
    char path[TEMP_DIR_MAX], command[3 * TEMP_DIR_MAX], names[64];
    outcome o;
    temp_path(path, "%s/flamenco-js-helper", r.root);
    rig_set(&r, "helper", path);
    rig_start(&r);
    rig_body(&r, "function compileJob(job) {}", "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_E_UNAVAILABLE);
    assert_contains(o.err.text, "No such file or directory");
    outcome_free(&o);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(rig_list(&r, names, sizeof(names), NULL, &err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(r.fake.log_lines[FLAMENCO_LOG_ERROR], 1);
    snprintf(command, sizeof(command), "cp '%s' '%s'", RIG_HELPER, path);
    assert_int_equal(system(command), 0);
    a_good_job_compiles();
    assert_int_equal(r.plugin->health(r.self, &err), FLAMENCO_OK);
}

static void a_large_job_leaves_no_large_helper(void **state)
{
    (void)state;
    outcome o;
    rig_set(&r, "time_limit", "120s");
    rig_start(&r);
    rig_body(&r,
             "function compileJob(job) { const keep = []; for (let i = 0; i < 30000; i++) { const t = author.Task('t' "
             "+ i, 'm');\n"
             "t.addCommand(author.Command('c', {a: 'x' + i})); job.addTask(t); keep.push(t); } }",
             "{}", &o);
    assert_int_equal(o.rc, FLAMENCO_OK);
    outcome_free(&o);
    char path[64], line[64];
    snprintf(path, sizeof(path), "/proc/%d/status", rig_helper_pid());
    WAIT_UNTIL(!read_line(path, "RssAnon:", line, sizeof(line)) || atoi(line + 8) < 48 << 10);
    a_good_job_compiles();
}

/* ---- Many at once ----------------------------------------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 25

typedef struct worker {
    pthread_t thread;
    int number;
    int failures;
} worker;

static void *worker_main(void *ctx)
{
    worker *w = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        char type[32], settings[64];
        outcome o;
        int kind = (w->number + i) % 4;
        snprintf(type, sizeof(type), "job%d", kind);
        snprintf(settings, sizeof(settings), "{\"n\": %d}", w->number * 1000 + i);
        memset(&o, 0, sizeof(o));
        rig_compile(&r, type, settings, &o);
        int ok;
        if (kind == 3)
            ok = o.rc == FLAMENCO_E_INVALID && strstr(o.err.text, settings) == NULL &&
                 strstr(o.err.text, "Error: wrong") != NULL;
        else
            ok = o.rc == FLAMENCO_OK && json_array_size(o.tasks) == (size_t)kind * 300 &&
                 json_integer_value(json_object_get(json_object_get(o.job, "settings"), "n")) == w->number * 1000 + i;
        w->failures += !ok;
        outcome_free(&o);
        char names[256];
        w->failures += i % 8 == 0 && rig_list(&r, names, sizeof(names), NULL, NULL) != FLAMENCO_OK;
    }
    return NULL;
}

static void many_compilations_at_once_do_not_mix(void **state)
{
    (void)state;
    worker workers[THREADS];
    rig_set(&r, "helpers", "3");
    rig_start(&r);
    for (int i = 0; i < 4; i++) {
        char name[32], body[256];
        snprintf(name, sizeof(name), "job%d.js", i);
        snprintf(
            body, sizeof(body),
            i == 3
                ? "function compileJob(job) { throw new Error('wrong'); }"
                : "function compileJob(job) { for (let i = 0; i < %d; i++) job.addTask(author.Task('t' + i, 'm')); }",
            i * 300);
        rig_script(&r, name, body);
    }
    for (int i = 0; i < THREADS; i++) {
        workers[i].number = i + 1;
        workers[i].failures = 0;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
    int failures = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        failures += workers[i].failures;
    }
    assert_int_equal(failures, 0);
    assert_true(fake_host_metric(&r.fake, "compiler_helpers_started_total") <= 3);
    assert_true(rig_helpers() <= 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(endless_scripts_are_stopped),
        TEST(a_script_that_hangs_while_loading_does_not_hang_the_list),
        TEST(greedy_scripts_are_stopped),
        TEST(large_results_are_refused),
        TEST(a_result_beyond_one_frame_is_refused),
        TEST(scripts_have_no_way_out),
        TEST(the_helper_is_sealed),
        TEST(it_works_without_a_sandbox),
        TEST(it_works_with_a_compiler_for_machine_code),
        TEST(a_sealed_helper_survives_collections),
        TEST(a_killed_helper_is_replaced),
        TEST(only_the_job_in_flight_dies_with_its_helper),
        TEST(a_stopped_helper_is_killed_after_the_limit),
        TEST(cancelling_ends_a_running_script),
        TEST(the_requests_deadline_ends_a_running_script),
        TEST(those_who_wait_can_give_up_and_the_queue_has_an_end),
        TEST(stopping_ends_running_and_waiting_calls),
        TEST(an_idle_helper_ends),
        TEST(with_isolation_by_process_each_script_has_its_own),
        TEST(a_replaced_helper_file_replaces_the_process),
        TEST(a_missing_helper_is_said_and_may_come_later),
        TEST(a_large_job_leaves_no_large_helper),
        TEST(many_compilations_at_once_do_not_mix),
    };
    return cmocka_run_group_tests_name("compiler-js-limits", tests, NULL, NULL);
}
