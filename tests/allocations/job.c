/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - a farm's day in one process, again and again, each time with another allocation failing: the manager starts, a Worker
 * registers and works off a job, people look at it and change it, the manager stops and starts. Whoever is refused asks again.
 * In the end the job must be done and the database in order. Each try is a process of its own.
 *
 * usage: alloc-job [--from N] [--stride N] [--until N] [--at N]
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "manager.h"
#include "shim.h"
#include "temp_dir.h"

#define TRIES 3
#define TASKS 4u
#define HANGS_AFTER_S 60u

typedef struct day {
    manager *manager;
    char worker[64], authorization[128];
    char job[64], task[64];
    int restarts;
} day;

static m_world world;

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(3);
}

static void make_world(void)
{
    world.settings = (m_settings){ .block_at = 3,
                                   .fail_at = 3,
                                   .bulk_step = 2,
                                   .single_limit = 3,
                                   .task_timeout_us = 600000000,
                                   .worker_timeout_us = 60000000 };
    world.shapes[0] = (m_shape){ 0, TASKS, 3 };
    for (uint32_t i = 0; i < TASKS; ++i)
        world.tasks[i] =
            (m_shape_task){ .priority = 50, .steps = 2, .first_dep = i == 3 ? 0 : 3, .n_deps = i == 3 ? 3 : 0 };
    for (uint32_t i = 0; i < 3; ++i)
        world.deps[i] = i;
}

/* ---- Start and stop ----------------------------------------------------------------------------------------------------- */

static void stop(day *d)
{
    manager_stop(d->manager);
    d->manager->failure[0] = '\0'; /* a part that could not stop for lack of memory has said so */
}

static void start(day *d)
{
    for (int tries = 0; tries < TRIES; ++tries) {
        if (manager_start(d->manager) == 0)
            return;
        if (!alloc_fail_happened())
            fail("it does not start: %s", d->manager->failure);
        stop(d);
    }
    fail("it does not start any more");
}

static void settle(day *d)
{
    if (manager_settle(d->manager) != 0)
        fail("%s", d->manager->failure);
    /* It may find that it cannot go on without memory: a clean end, and another start. */
    if (__atomic_load_n(&d->manager->f.wanted, __ATOMIC_ACQUIRE) != FL_WANT_NOTHING) {
        if (!alloc_fail_happened() || ++d->restarts > 1)
            fail("it ends itself");
        stop(d);
        start(d);
    }
}

/* ---- Requests ------------------------------------------------------------------------------------------------------------- */

/* Reads the text of a key of the reply. */
static void read_text(const client *c, const char *key, char *out, size_t size)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\"%s\":\"", key);
    const char *at = c->reply.data != NULL ? memmem(c->reply.data, c->reply.len, wanted, strlen(wanted)) : NULL;
    out[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(wanted);
    for (size_t n = 0; n + 1 < size && *at != '"'; ++n) {
        out[n] = *at++;
        out[n + 1] = '\0';
    }
}

static int is_refusal(const client *c)
{
    return c->state == CLIENT_DROPPED || c->status >= 500;
}

/* Asks until there is an answer; *c is the caller's to free. Returns its status. */
static int32_t ask(day *d, client *c, const char *method, const char *path, const char *body)
{
    for (int tries = 0; tries < TRIES; ++tries) {
        alloc_fail_pause();
        memset(c, 0, sizeof(*c));
        snprintf(c->method, sizeof(c->method), "%s", method);
        snprintf(c->path, sizeof(c->path), "%s", path);
        snprintf(c->authorization, sizeof(c->authorization), "%s", d->authorization);
        if (body != NULL)
            fl_buf_add_text(&c->body, body);
        alloc_fail_resume();
        client_send(c, &d->manager->f);
        settle(d);
        if (client_look(c) != CLIENT_WAITS && !is_refusal(c))
            return c->status;
        if (!alloc_fail_happened())
            fail("%s %s: %d", method, path, c->status);
        client_fini(c);
    }
    fail("%s %s is refused again and again", method, path);
}

/* The same, and the status must be one of two. */
static void expect(day *d, int32_t status, int32_t other, const char *method, const char *path, const char *body)
{
    client c;
    int32_t got = ask(d, &c, method, path, body);
    if (got != status && got != other)
        fail("%s %s: %d, not %d: %.*s", method, path, got, status, (int)c.reply.len,
             c.reply.data != NULL ? c.reply.data : "");
    client_fini(&c);
}

static void base64(const char *in, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(in);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)in[i] << 16;
        bits |= i + 1 < len ? (uint32_t)(unsigned char)in[i + 1] << 8 : 0;
        bits |= i + 2 < len ? (uint32_t)(unsigned char)in[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

/* ---- The day ---------------------------------------------------------------------------------------------------------------- */

static void hire(day *d)
{
    client c;
    char plain[96];
    ask(d, &c, "POST", "/api/v3/worker/register-worker",
        "{\"secret\":\"secret\",\"platform\":\"linux\",\"supported_task_types\":[\"blender\"],\"name\":\"w\"}");
    read_text(&c, "uuid", d->worker, sizeof(d->worker));
    client_fini(&c);
    snprintf(plain, sizeof(plain), "%s:secret", d->worker);
    memcpy(d->authorization, "Basic ", 7);
    base64(plain, d->authorization + 6);
    expect(d, 200, 200, "POST", "/api/v3/worker/sign-on",
           "{\"name\":\"w\",\"supported_task_types\":[\"blender\"],\"software_version\":\"3.9\"}");
    expect(d, 204, 204, "POST", "/api/v3/worker/state-changed", "{\"status\":\"awake\"}");
}

static void submit(day *d)
{
    client c;
    int32_t status = ask(d, &c, "POST", "/api/v3/jobs",
                         "{\"name\":\"a job\",\"type\":\"t\",\"priority\":50,\"submitter_platform\":\"linux\","
                         "\"settings\":{\"shape\":0},\"metadata\":{\"project\":\"p\"}}");
    if (status != 200)
        fail("the job is refused: %d", status);
    read_text(&c, "id", d->job, sizeof(d->job));
    client_fini(&c);
}

/* Works until there is no more work. Returns how many tasks were done. */
static uint32_t work(day *d)
{
    for (uint32_t done = 0; done < 4 * TASKS; ++done) {
        client c;
        char path[128];
        int32_t status = ask(d, &c, "POST", "/api/v3/worker/task", NULL);
        if (status == 200)
            read_text(&c, "uuid", d->task, sizeof(d->task));
        client_fini(&c);
        if (status == 204)
            return done;
        if (status != 200)
            fail("asking for a task gives %d", status);
        snprintf(path, sizeof(path), "/api/v3/worker/task/%s", d->task);
        expect(d, 204, 204, "POST", path, "{\"taskStatus\":\"active\",\"activity\":\"begun\",\"log\":\"one line\"}");
        expect(d, 204, 204, "POST", path, "{\"steps_completed\":1}");
        snprintf(path, sizeof(path), "/api/v3/worker/task/%s/may-i-run", d->task);
        expect(d, 200, 200, "GET", path, NULL);
        snprintf(path, sizeof(path), "/api/v3/worker/task/%s", d->task);
        expect(d, 204, 204, "POST", path, "{\"taskStatus\":\"completed\",\"activity\":\"done\"}");
    }
    fail("the work never ends");
}

static void look(day *d)
{
    char path[128];
    expect(d, 200, 200, "GET", "/api/v3/jobs", NULL);
    snprintf(path, sizeof(path), "/api/v3/jobs/%s/tasks", d->job);
    expect(d, 200, 200, "GET", path, NULL);
    snprintf(path, sizeof(path), "/api/v3/tasks/%s", d->task);
    expect(d, 200, 200, "GET", path, NULL);
    expect(d, 200, 200, "GET", "/api/v3/worker-mgt/workers", NULL);
    snprintf(path, sizeof(path), "/api/v3/worker-mgt/workers/%s", d->worker);
    expect(d, 200, 200, "GET", path, NULL);
    expect(d, 200, 200, "GET", "/api/v3/version", NULL);
}

static void set_job(day *d, const char *status)
{
    char path[128], body[96];
    snprintf(path, sizeof(path), "/api/v3/jobs/%s/setstatus", d->job);
    snprintf(body, sizeof(body), "{\"status\":\"%s\",\"reason\":\"a reason\"}", status);
    expect(d, 204, 204, "POST", path, body);
}

static void expect_job(day *d, const char *wanted)
{
    client c;
    char path[128], status[32];
    snprintf(path, sizeof(path), "/api/v3/jobs/%s", d->job);
    ask(d, &c, "GET", path, NULL);
    read_text(&c, "status", status, sizeof(status));
    if (strcmp(status, wanted) != 0)
        fail("the job is '%s', not %s", status, wanted);
    client_fini(&c);
}

/* A long change that broke off is finished by the next start, at the latest. */
static void repair(day *d)
{
    stop(d);
    start(d);
}

static void live(day *d)
{
    start(d);
    hire(d);
    submit(d);
    work(d);
    expect_job(d, "completed");
    look(d);
    set_job(d, "requeueing");
    if (alloc_fail_happened())
        repair(d);
    expect_job(d, "queued");
    set_job(d, "cancel-requested");
    if (alloc_fail_happened())
        repair(d);
    expect_job(d, "canceled");
    set_job(d, "requeueing");
    expect(d, 204, 204, "POST", "/api/v3/worker/sign-off", NULL);
    stop(d);
    start(d);
    expect(d, 200, 200, "POST", "/api/v3/worker/sign-on",
           "{\"name\":\"w\",\"supported_task_types\":[\"blender\"],\"software_version\":\"3.9\"}");
    expect(d, 204, 204, "POST", "/api/v3/worker/state-changed", "{\"status\":\"awake\"}");
    if (alloc_fail_happened())
        repair(d);
    work(d);
    expect_job(d, "completed");
    stop(d);
    start(d);
    expect_job(d, "completed");
    stop(d);
}

static int live_one_day(uint64_t fail_at, uint64_t *counted)
{
    static manager m;
    day d = { .manager = &m };
    char directory[TEMP_DIR_MAX];
    alloc_fail_pause();
    temp_dir_make(directory);
    manager_init(&m, &world, directory, NULL);
    alloc_fail_resume();
    alloc_fail_arm(fail_at);
    live(&d);
    *counted = alloc_fail_counted();
    alloc_fail_arm(0);
    start(&d);
    expect_job(&d, "completed");
    if (manager_check(&m) != 0)
        fail("%s", m.failure);
    stop(&d);
    manager_fini(&m);
    temp_dir_remove(directory);
    return 0;
}

/* Lives a day in a process of its own. Returns 0, or -1 when it did not end well. */
static int try_one(uint64_t n)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        uint64_t counted;
        alarm(HANGS_AFTER_S);
        _exit(live_one_day(n, &counted));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        fprintf(stderr, "no process can be made\n");
        return -1;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    fprintf(stderr, "FAILED: allocation %llu: ", (unsigned long long)n);
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s\n", WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
    else
        fprintf(stderr, "exit code %d\n", WEXITSTATUS(status));
    return -1;
}

static uint64_t count_all(void)
{
    int pipe_fds[2];
    uint64_t counted = 0;
    if (pipe(pipe_fds) != 0)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        live_one_day(0, &counted);
        _exit(write(pipe_fds[1], &counted, sizeof(counted)) == (ssize_t)sizeof(counted) ? 0 : 1);
    }
    close(pipe_fds[1]);
    ssize_t got = read(pipe_fds[0], &counted, sizeof(counted));
    close(pipe_fds[0]);
    waitpid(child, NULL, 0);
    return got == (ssize_t)sizeof(counted) ? counted : 0;
}

int main(int argc, char **argv)
{
    uint64_t from = 1, stride = 1, until = 0, at = 0, tries = 0, failed = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--from") == 0)
            from = value;
        else if (strcmp(argv[i], "--stride") == 0)
            stride = value > 0 ? value : 1;
        else if (strcmp(argv[i], "--until") == 0)
            until = value;
        else if (strcmp(argv[i], "--at") == 0)
            at = value;
    }
    fl_log_setup(at != 0 ? STDERR_FILENO : -1, FL_LOG_TEXT, FLAMENCO_LOG_WARN);
    make_world();
    if (disk_register() != 0)
        return 2;
    if (at != 0) {
        uint64_t counted;
        return live_one_day(at, &counted);
    }
    uint64_t all = count_all();
    if (all == 0) {
        fprintf(stderr, "FAILED: the day does not work when nothing fails\n");
        return 1;
    }
    until = until != 0 && until < all ? until : all;
    for (uint64_t n = from; n <= until; n += stride, ++tries)
        failed += try_one(n) != 0;
    printf("%s: %llu of %llu allocations failed one by one, %llu not survived\n", failed == 0 ? "ok" : "FAILED",
           (unsigned long long)tries, (unsigned long long)all, (unsigned long long)failed);
    return failed != 0;
}
