/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - compiler-js as the host sees it: descriptor, settings, life cycle, health.
 */
#include "compiler.h"
#include "paths.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SETTING(name, kind, text, ...) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), .type = FLAMENCO_SETTING_##kind, .key = name, \
        .default_text = text, __VA_ARGS__ \
    }

// clang-format off
static const flamenco_setting set_scripts = SETTING("scripts", PATH_LIST, NULL,
    .doc = "Directories with job type scripts; the first one that has a type wins. Empty: scripts beside the program, then "
           "scripts in the working directory. Changes of files act at once.");
static const flamenco_setting set_builtin = SETTING("builtin_scripts", BOOL, "true",
    .doc = "Whether the job types that come with the manager are offered, too, unless a script of yours has the same name.");
static const flamenco_setting set_time = SETTING("time_limit", DURATION, "10s", .min = 50000, .max = 3600000000,
    .doc = "How long a script may run.");
static const flamenco_setting set_memory = SETTING("memory_limit", BYTES, "512MiB", .min = 16 << 20, .max = INT64_C(64) << 30,
    .unit = "bytes", .doc = "How much memory a script may need.");
static const flamenco_setting set_output = SETTING("output_limit", BYTES, "256MiB", .min = 1 << 20, .max = INT64_C(16) << 30,
    .unit = "bytes", .doc = "How large a compiled job may be.");
static const flamenco_setting set_tasks = SETTING("task_limit", INT, "1000000", .min = 1, .max = 100000000,
    .doc = "How many tasks a job may have.");
static const flamenco_setting set_helpers = SETTING("helpers", INT, "0", .min = 0, .max = FL_POOL_HELPERS_MAX,
    .doc = "How many scripts may run at the same time, each in a process of its own; 0 = as many as there are cores.");
static const flamenco_setting set_queue = SETTING("queue", INT, "1000", .min = 1, .max = 1000000,
    .doc = "How many jobs may wait to be compiled; further ones are refused.");
static const flamenco_setting set_idle = SETTING("idle_time", DURATION, "5m", .min = 0, .max = INT64_C(86400000000),
    .doc = "A helper process without work ends after this long.");
static const flamenco_setting set_isolation = SETTING("isolation", CHOICE, "frozen", .choices = "frozen context process",
    .doc = "frozen: scripts share frozen globals; those that would change them get their own. context: all get their own. "
           "process: a helper process ends after each script.");
static const flamenco_setting set_sandbox = SETTING("sandbox", CHOICE, "auto", .choices = "auto required off",
    .doc = "Whether helper processes are cut off from files and network: as far as the system can, at any price, or not.");
static const flamenco_setting set_jit = SETTING("jit", CHOICE, "off", .choices = "off baseline",
    .doc = "Whether scripts are compiled to machine code: faster for jobs of 100 000 tasks, at twice the memory.");
static const flamenco_setting set_helper = SETTING("helper", PATH, NULL,
    .doc = "The helper program; empty: the one that was installed with the plugin.");
// clang-format on

static const flamenco_setting *const settings[] = {
    &set_scripts, &set_builtin, &set_time,      &set_memory,  &set_output, &set_tasks,  &set_helpers,
    &set_queue,   &set_idle,    &set_isolation, &set_sandbox, &set_jit,    &set_helper, NULL
};

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    fl_compiler *compiler = host->alloc(host->h, sizeof(*compiler));
    if (compiler == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the job compiler");
    memset(compiler, 0, sizeof(*compiler));
    compiler->host = host;
    *self_out = compiler;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)err;
    fl_compiler *compiler = self;
    compiler->config = config;
    return FLAMENCO_OK;
}

/* Adds a directory that was made here, and frees it. */
static int32_t add_made(fl_catalogue *catalogue, char *dir, flamenco_error *err)
{
    int32_t rc = dir != NULL ? fl_catalogue_add(catalogue, flamenco_text(dir), 0, err)
                             : flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a path");
    free(dir);
    return rc;
}

static int32_t add_sources(fl_compiler *compiler, flamenco_error *err)
{
    const flamenco_config *config = compiler->config;
    uint64_t n = config->count(config->c, "scripts");
    int32_t rc = FLAMENCO_OK;
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < n; i++)
        rc = fl_catalogue_add(&compiler->catalogue, config->item(config->c, "scripts", i), 1, err);
    if (n == 0) {
        char cwd[PATH_MAX];
        char *here = NULL;
        if (getcwd(cwd, sizeof(cwd)) == NULL || asprintf(&here, "%s/scripts", cwd) < 0)
            here = strdup("scripts");
        rc = add_made(&compiler->catalogue, fl_paths_beside_program(), err);
        if (rc == FLAMENCO_OK)
            rc = add_made(&compiler->catalogue, here, err);
        else
            free(here);
    }
    if (rc == FLAMENCO_OK && config->integer(config->c, "builtin_scripts") != 0)
        rc = add_made(&compiler->catalogue, fl_paths_builtin(), err);
    return rc;
}

static uint32_t count_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > FL_POOL_HELPERS_MAX ? FL_POOL_HELPERS_MAX : (uint32_t)n;
}

static int32_t start_pool(fl_compiler *compiler, flamenco_error *err)
{
    const flamenco_config *config = compiler->config;
    const void *c = config->c;
    flamenco_str helper = config->text(c, "helper");
    flamenco_str sandbox = config->text(c, "sandbox");
    fl_pool_settings pool = {
        .helper = helper.len > 0 ? strndup(helper.ptr, (size_t)helper.len) : fl_paths_helper(),
        .helpers = (uint32_t)config->integer(c, "helpers"),
        .queue = (uint32_t)config->integer(c, "queue"),
        .sandbox = flamenco_str_equal(sandbox, flamenco_text("off"))        ? FL_SANDBOX_OFF
                   : flamenco_str_equal(sandbox, flamenco_text("required")) ? FL_SANDBOX_REQUIRED
                                                                            : FL_SANDBOX_AUTO,
        .jit = (uint32_t)flamenco_str_equal(config->text(c, "jit"), flamenco_text("baseline")),
        .one_shot = (uint32_t)flamenco_str_equal(config->text(c, "isolation"), flamenco_text("process")),
        .freezes = (uint32_t)flamenco_str_equal(config->text(c, "isolation"), flamenco_text("frozen")),
        .idle_us = config->integer(c, "idle_time"),
    };
    if (pool.helper == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a path");
    if (pool.helpers == 0)
        pool.helpers = count_cores();
    int32_t rc = fl_pool_start(&compiler->pool, compiler->host, &pool, err);
    if (rc != FLAMENCO_OK)
        free(pool.helper);
    return rc;
}

static void free_parts(fl_compiler *compiler)
{
    fl_pool_stop(&compiler->pool);
    fl_catalogue_fini(&compiler->catalogue);
    pthread_cond_destroy(&compiler->idle);
    pthread_mutex_destroy(&compiler->lock);
    compiler->started = 0;
}

static int32_t start(void *self, flamenco_error *err)
{
    fl_compiler *compiler = self;
    const flamenco_config *config = compiler->config;
    compiler->limits.time_us = config->integer(config->c, "time_limit");
    compiler->limits.memory_bytes = (uint64_t)config->integer(config->c, "memory_limit");
    compiler->limits.output_bytes = (uint64_t)config->integer(config->c, "output_limit");
    compiler->limits.tasks = (uint64_t)config->integer(config->c, "task_limit");
    int32_t rc = fl_catalogue_init(&compiler->catalogue, compiler->host, err);
    if (rc != FLAMENCO_OK)
        return rc;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&compiler->lock, NULL);
    pthread_cond_init(&compiler->idle, &attr);
    pthread_condattr_destroy(&attr);
    rc = add_sources(compiler, err);
    if (rc == FLAMENCO_OK)
        rc = start_pool(compiler, err);
    compiler->started = rc == FLAMENCO_OK;
    if (rc != FLAMENCO_OK)
        free_parts(compiler);
    return rc;
}

/* Calls that still run end soon, since they look every few milliseconds whether the pool was interrupted. */
static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    fl_compiler *compiler = self;
    const flamenco_host *host = compiler->host;
    fl_pool_interrupt(&compiler->pool);
    pthread_mutex_lock(&compiler->lock);
    while (compiler->calls > 0 && host->monotonic_us(host->h) < deadline_us) {
        int64_t until = fl_pool_now_us() + 20000;
        struct timespec ts = { (time_t)(until / 1000000), (long)(until % 1000000) * 1000 };
        pthread_cond_timedwait(&compiler->idle, &compiler->lock, &ts);
    }
    uint32_t left = compiler->calls;
    pthread_mutex_unlock(&compiler->lock);
    if (left > 0)
        return flamenco_fail(err, FLAMENCO_E_DEADLINE, "%u compilations have not ended", left);
    free_parts(compiler);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    fl_compiler *compiler = self;
    if (compiler != NULL)
        compiler->host->free(compiler->host->h, compiler);
}

static int32_t health(void *self, flamenco_error *err)
{
    fl_compiler *compiler = self;
    int32_t rc = fl_pool_health(&compiler->pool, err);
    if (rc != FLAMENCO_OK)
        return rc;
    char text[200];
    size_t broken = fl_catalogue_health(&compiler->catalogue, text, sizeof(text));
    if (broken == 0)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_INVALID, "%zu job type script%s cannot be used: %s", broken,
                         broken > 1 ? "s" : "", text);
}

static const flamenco_provide provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_JOB_COMPILER,
                                          &fl_compiler_table };
static const flamenco_provide *const provides[] = { &provide, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "compiler-js",  .version = "1.0",   .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
