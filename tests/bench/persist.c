/* SPDX-License-Identifier: Apache-2.0
 *
 * persist.c - measures what persist-sqlite costs per task: one task = 6 requests (schedule, two activities, steps, activity,
 * completed) of 50 workers, each request in a savepoint, 50 requests a commit. Run by hand:
 *     ninja -C build tests/bench/bench-persist && build/tests/bench/bench-persist [FINISHED_TASKS] [TASKS]
 * The same for persist-postgres:
 *     tests/postgres/with-postgres build/tests/bench/bench-persist-postgres [FINISHED_TASKS] [TASKS]
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "fixture.h"

#define WORKERS 50
#define REQUESTS_PER_COMMIT 50
#define TASKS_PER_JOB 1000
#define CHUNK 500
#define COMMANDS \
    "[{\"name\":\"blender-render\",\"parameters\":{\"argsBefore\":[],\"args\":[\"--scene\",\"Scene\",\"--render-" \
    "output\"," \
    "\"/mnt/farm/render/shot_010_a/####\",\"--render-format\",\"PNG\",\"--render-frame\",\"1..10\"],\"blendfile\":" \
    "\"{jobs}/2026-03-27-shot_010/shot_010.flamenco.blend\",\"exe\":\"{blender}\",\"exeArgs\":\"{blenderArgs}\"}," \
    "\"total_step_count\":10}]"

typedef struct worker {
    int64_t key;
    flamenco_uuid task; /* in work */
    int step; /* which of the six requests comes next */
} worker;

typedef struct times {
    int64_t wall, cpu; /* ns */
} times;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static times now(void)
{
    return (times){ clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_THREAD_CPUTIME_ID) };
}

static void check(fixture *f, int32_t rc, const char *what)
{
    if (rc != FLAMENCO_OK) {
        (void)fprintf(stderr, "%s: %d %s\n", what, (int)rc, f->err.text);
        exit(1);
    }
}

/* Stores a job; every second task depends on the one before it. */
static int64_t add_job(fixture *f, uint32_t n_tasks, uint32_t task_status, uint32_t job_status)
{
    static flamenco_new_task rows[CHUNK];
    static flamenco_dep deps[CHUNK];
    int64_t key = 0;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job),
                         .status = job_status,
                         .uuid = fixture_uuid(f),
                         .priority = 50,
                         .created_us = NOW,
                         .updated_us = NOW,
                         .delete_requested_us = FLAMENCO_TIME_NONE,
                         .name = flamenco_text("shot 12"),
                         .type = flamenco_text("simple-blender-render"),
                         .settings = flamenco_text("{\"frames\":\"1-1000\",\"chunk_size\":10}"),
                         .metadata = flamenco_text("{}") };
    check(f, f->db->job_insert_hidden(f->self, f->cx, &job, n_tasks, &key, &f->err), "job_insert_hidden");
    for (uint32_t first = 0; first < n_tasks; first += CHUNK) {
        uint32_t n = n_tasks - first < CHUNK ? n_tasks - first : CHUNK;
        uint64_t n_deps = 0;
        for (uint32_t i = 0; i < n; ++i) {
            uint32_t waits = (first + i) % 2;
            rows[i] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(rows[i]),
                                           .status = task_status,
                                           .uuid = fixture_uuid(f),
                                           .priority = 50,
                                           .open_deps = task_status == FLAMENCO_TASK_COMPLETED ? 0 : waits,
                                           .created_us = NOW,
                                           .updated_us = NOW,
                                           .touched_us = FLAMENCO_TIME_NONE,
                                           .steps_total = 10,
                                           .steps_completed = task_status == FLAMENCO_TASK_COMPLETED ? 10 : 0,
                                           .name = flamenco_text("render-0001-0010"),
                                           .type = flamenco_text("blender"),
                                           .activity = flamenco_text(""),
                                           .commands = flamenco_text(COMMANDS) };
            if (waits)
                deps[n_deps++] = (flamenco_dep){ first + i + 1, first + i };
        }
        check(f, f->db->tasks_insert(f->self, f->cx, key, first + 1, rows, sizeof(rows[0]), n, &f->err),
              "tasks_insert");
        check(f, f->db->deps_insert(f->self, f->cx, key, deps, n_deps, &f->err), "deps_insert");
        fixture_next(f);
    }
    check(f, f->db->job_show(f->self, f->cx, key, NULL, &f->err), "job_show");
    return key;
}

/* One request of a worker. Returns 1 when it completed a task. */
static int request(fixture *f, worker *w)
{
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update),
                                    .activity = flamenco_text("Fra:12 Mem:1GB") };
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    check(f, f->db->savepoint(f->self, f->cx, &f->err), "savepoint");
    if (w->step == 0) {
        check(f, fixture_assign(f, w->key, &task), "assign");
        w->task = task.uuid;
    } else {
        check(f, f->db->task_find(f->self, f->cx, &w->task, &task, &f->err), "task_find");
        update.set = w->step == 3 ? FLAMENCO_TASK_SET_STEPS : FLAMENCO_TASK_SET_ACTIVITY;
        if (w->step == 5)
            update.set |= FLAMENCO_TASK_SET_STATUS;
        update.status = FLAMENCO_TASK_COMPLETED;
        update.steps_completed = 5;
        /* Nobody is told about a mere activity, so its caller does not ask for the job's counters. */
        flamenco_job_counts *told = update.set == FLAMENCO_TASK_SET_ACTIVITY ? NULL : &counts;
        check(f, f->db->task_update(f->self, f->cx, task.key, &update, told, &f->err), "task_update");
    }
    check(f, f->db->release(f->self, f->cx, &f->err), "release");
    w->step = (w->step + 1) % 6;
    return w->step == 0;
}

static void commit(fixture *f)
{
    check(f, f->db->commit(f->self, f->cx, ++f->batch, &f->err), "commit");
    check(f, f->db->maintain(f->self, f->writer, FLAMENCO_MAINTAIN_COMMITTED, &f->err), "maintain");
    fake_cx_destroy(f->own_cx);
    f->own_cx = fake_cx_create(&f->fake);
    f->cx = &f->own_cx->cx;
    check(f, f->db->begin(f->self, f->writer, f->cx, &f->err), "begin");
}

static void run(fixture *f, worker *workers, uint32_t n_tasks)
{
    uint32_t completed = 0, in_batch = 0;
    times began = now();
    for (uint32_t turn = 0; completed < n_tasks; ++turn) {
        worker *w = &workers[turn % WORKERS];
        /* Near the end, a task may wait for one that another worker still runs: leave the last ones. */
        completed += (uint32_t)request(f, w);
        if (++in_batch == REQUESTS_PER_COMMIT) {
            commit(f);
            in_batch = 0;
        }
    }
    times ended = now();
    (void)printf("  one task (6 requests, %d a commit): %.1f us CPU, %.1f us wall\n", REQUESTS_PER_COMMIT,
                 (double)(ended.cpu - began.cpu) / 1e3 / n_tasks, (double)(ended.wall - began.wall) / 1e3 / n_tasks);
}

/* The parts of the request for a task, outside the mix. */
static void run_searches(fixture *f, const worker *w)
{
    enum { TIMES = 20000 };
    flamenco_task task;
    times began = now();
    for (int i = 0; i < TIMES; ++i) {
        check(f, fixture_pick(f, f->cx, w->key, &task), "pick");
        if (i % 500 == 499)
            commit(f);
    }
    times ended = now();
    (void)printf("  search for a task, with its row: %.1f us CPU\n", (double)(ended.cpu - began.cpu) / 1e3 / TIMES);
}

int main(int argc, char **argv)
{
    uint32_t history = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t n_tasks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 20000;
    static fixture f;
    fixture_init(&f);
    check(&f, fixture_start(&f), "start");
    fixture_begin(&f);
    times began = now();
    for (uint32_t i = 0; i < history; i += TASKS_PER_JOB)
        add_job(&f, TASKS_PER_JOB, FLAMENCO_TASK_COMPLETED, FLAMENCO_JOB_COMPLETED);
    times ended = now();
    (void)printf("%u finished tasks in jobs of %d\n", history, TASKS_PER_JOB);
    if (history > 0)
        (void)printf("  insert: %.1f us CPU, %.1f us wall a task\n", (double)(ended.cpu - began.cpu) / 1e3 / history,
                     (double)(ended.wall - began.wall) / 1e3 / history);
    worker workers[WORKERS] = { { 0 } };
    for (int i = 0; i < WORKERS; ++i) {
        char name[16];
        (void)snprintf(name, sizeof(name), "w%02d", i);
        workers[i].key = fixture_worker(&f, name, "blender,ffmpeg,file-management,misc");
    }
    /* More than are run, so that nobody goes without at the end. */
    add_job(&f, n_tasks + 4 * WORKERS, FLAMENCO_TASK_QUEUED, FLAMENCO_JOB_ACTIVE);
    fixture_next(&f);
    run_searches(&f, &workers[0]);
    run(&f, workers, n_tasks);
    fixture_commit(&f);
    struct stat st;
    if (stat(f.path, &st) == 0)
        (void)printf("  database %.1f MB\n", (double)st.st_size / 1e6);
    began = now();
    check(&f, fixture_check(&f), "check");
    ended = now();
    (void)printf("  check: %.2f s\n", (double)(ended.wall - began.wall) / 1e9);
    fixture_stop(&f);
    fixture_fini(&f);
    return 0;
}
