/* SPDX-License-Identifier: Apache-2.0
 *
 * compile.c - measures what compiler-js costs: jobs of the built-in type simple-blender-render with 1, 1000, 10 000 and
 * 100 000 tasks, from the call to the last batch. Run by hand:
 *     ninja -C build tests/bench/bench-compile && build/tests/bench/bench-compile [SECONDS] [THREADS] [off|baseline] [TASKS]
 * TASKS: only jobs of so many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "fake_host.h"
#include "flamenco/job_compiler.h"

#define THREADS_MAX 64

typedef struct bench {
    fake_host fake;
    const flamenco_job_compiler *table;
    void *self;
    unsigned tasks;
    int64_t until_ns;
} bench;

typedef struct runner {
    pthread_t thread;
    bench *b;
    uint64_t jobs, tasks, bytes;
    int64_t best_ns;
} runner;

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* CPU time of the process, in µs; helpers count when they have ended. */
static int64_t cpu_us(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static int32_t on_job(void *ctx, const flamenco_compiled_job *job)
{
    (void)ctx;
    (void)job;
    return 0;
}

static int32_t on_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    runner *r = ctx;
    (void)stride;
    for (uint64_t i = 0; i < n; i++)
        r->bytes += rows[i].commands.len;
    r->tasks += n;
    return 0;
}

static void compile_once(runner *r)
{
    bench *b = r->b;
    char settings[512];
    snprintf(settings, sizeof(settings),
             "{\"frames\": \"1-%u\", \"chunk_size\": 1, \"render_output_path\": "
             "\"{store}/renders/shot/{timestamp}/######\", "
             "\"blendfile\": \"{jobs}/shot-ab12/shot.blend\", \"fps\": %u, \"format\": \"PNG\", "
             "\"image_file_extension\": \".png\", \"has_previews\": false, \"scene\": \"Scene\"}",
             b->tasks > 1 ? b->tasks - 1 : 1, b->tasks > 1 ? 24u : 0u);
    flamenco_compile_request request = { 0 };
    request.struct_size = (uint32_t)sizeof(request);
    request.priority = 50;
    request.type = flamenco_text("simple-blender-render");
    request.name = flamenco_text("bench");
    request.settings = flamenco_text(settings);
    flamenco_compile_sink sink = { (uint32_t)sizeof(sink), 0, r, on_job, on_tasks, NULL, NULL };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fake_cx *cx = fake_cx_create(&b->fake);
    int64_t before = now_ns();
    int32_t rc = b->table->compile(b->self, &cx->cx, &request, &sink, &err);
    int64_t took = now_ns() - before;
    fake_cx_destroy(cx);
    if (rc != FLAMENCO_OK) {
        print_error("%s\n", err.text);
        exit(1);
    }
    r->jobs++;
    if (r->best_ns == 0 || took < r->best_ns)
        r->best_ns = took;
}

static void *run(void *ctx)
{
    runner *r = ctx;
    do {
        compile_once(r);
    } while (now_ns() < r->b->until_ns);
    return NULL;
}

static void measure(unsigned tasks, unsigned seconds, unsigned threads, const char *jit)
{
    static bench b;
    runner runners[THREADS_MAX] = { 0 };
    memset(&b, 0, sizeof(b));
    fake_host_init(&b.fake);
    fake_host_set(&b.fake, "scripts", BENCH_SCRIPTS);
    fake_host_set(&b.fake, "builtin_scripts", "false");
    fake_host_set(&b.fake, "helper", BENCH_HELPER);
    fake_host_set(&b.fake, "jit", jit);
    fake_host_set(&b.fake, "time_limit", "10m");
    const flamenco_plugin *plugin = flamenco_plugin_query();
    b.table = fake_host_table(plugin, FLAMENCO_JOB_COMPILER);
    b.self = fake_host_start(&b.fake, plugin);
    b.tasks = tasks;
    int64_t own = cpu_us(RUSAGE_SELF);
    int64_t children = cpu_us(RUSAGE_CHILDREN);
    int64_t begin = now_ns();
    b.until_ns = begin + (int64_t)seconds * 1000000000;
    for (unsigned i = 0; i < threads; i++) {
        runners[i].b = &b;
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    }
    runner all = { 0 };
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        all.jobs += runners[i].jobs;
        all.tasks += runners[i].tasks;
        all.bytes += runners[i].bytes;
        if (all.best_ns == 0 || runners[i].best_ns < all.best_ns)
            all.best_ns = runners[i].best_ns;
    }
    double wall = (double)(now_ns() - begin) / 1e9;
    fake_host_stop(&b.fake, plugin, b.self);
    fake_host_fini(&b.fake);
    double n = (double)all.jobs;
    print_message(
        "%7u tasks: %9.2f jobs/s  %9.0f tasks/s  best %9.3f ms  CPU %9.3f ms helper, %8.3f ms manager a job\n", tasks,
        n / wall, (double)all.tasks / wall, (double)all.best_ns / 1e6,
        (double)(cpu_us(RUSAGE_CHILDREN) - children) / 1e3 / n, (double)(cpu_us(RUSAGE_SELF) - own) / 1e3 / n);
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = { 1, 1000, 10000, 100000 };
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    if (threads < 1 || threads > THREADS_MAX)
        threads = 1;
    unsigned only = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (only == 0 || only == sizes[i])
            measure(sizes[i], seconds, threads, argc > 3 ? argv[3] : "off");
    }
    return 0;
}
