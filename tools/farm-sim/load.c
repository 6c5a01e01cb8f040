/* SPDX-License-Identifier: Apache-2.0
 * farm-sim load: set-up, measured window and report of all load scenarios. Called by main.c.
 *
 * Order: the workers register and wake up; the job is submitted; then the window begins, and the workers ask. */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modes.h"

enum { ENDLESS_JOB_TASKS = 10000 };

/* ---- window ---- */

static void on_deadline(void *ctx)
{
    fl_load *load = ctx;
    bool timed = load->opt->scenario == FL_LOAD_PACED || load->opt->scenario == FL_LOAD_SUBMIT_ONLY;
    bool missed = !timed && load->tasks_wanted;
    if (missed)
        fprintf(stderr, "farm-sim: the time was over before all was done\n");
    fl_load_end(load, missed ? FL_EXIT_TIMEOUT : FL_EXIT_OK);
}

void fl_load_begin_window(fl_load *load)
{
    fl_stats_reset(&load->stats);
    if (load->opt->server_pid && !fl_proc_read(load->opt->server_pid, &load->server_before)) {
        fprintf(stderr, "farm-sim: there is no process %d\n", load->opt->server_pid);
        load->exit_code = FL_EXIT_USAGE;
        fl_loop_quit(load->loop);
        return;
    }
    load->measuring = true;
    load->done_before = load->tasks_done;
    load->own_cpu_us = fl_proc_own_cpu_us();
    load->began_us = fl_now_us();
    fl_timer_start(load->loop, &load->deadline, load->opt->duration_us);
}

static void on_signed_off(void *ctx)
{
    fl_load *load = ctx;
    fl_loop_quit(load->loop);
}

void fl_load_end(fl_load *load, int exit_code)
{
    if (load->ended)
        return;
    load->ended = true;
    load->exit_code = exit_code;
    fl_timer_stop(load->loop, &load->deadline);
    if (load->measuring) {
        load->ended_us = fl_now_us();
        load->own_cpu_us = fl_proc_own_cpu_us() - load->own_cpu_us;
        load->measured = load->stats;
        load->tasks_measured = load->tasks_done - load->done_before;
        if (load->opt->server_pid && !fl_proc_read(load->opt->server_pid, &load->server_after)) {
            fprintf(stderr, "farm-sim: process %d is gone\n", load->opt->server_pid);
            load->exit_code = FL_EXIT_FAILED;
        }
    }
    fl_farm_sign_off(load->farm, on_signed_off, load);
}

void fl_load_fail(fl_load *load, int exit_code, const char *what, const fl_reply *reply)
{
    char text[200];
    fl_reply_describe(reply, text, sizeof text);
    fprintf(stderr, "farm-sim: %s %s: %s\n", what, fl_client_url(load->farm->client), text);
    fl_load_end(load, exit_code);
}

static void on_signal(void *ctx, int signo)
{
    fl_load *load = ctx;
    (void)signo;
    if (load->ended)
        _exit(FL_EXIT_INTERRUPTED);
    fl_load_end(load, FL_EXIT_INTERRUPTED);
}

/* ---- submission ---- */

char *fl_load_make_job(const fl_load *load, uint32_t tasks)
{
    char name[48], frames[24];
    snprintf(name, sizeof name, "farm-sim load %u", load->jobs_submitted + 1);
    snprintf(frames, sizeof frames, "1-%u", tasks);
    fl_job_spec spec = {
        .name = name,
        .type = load->opt->job_type,
        .settings = load->opt->settings,
        .frames = frames,
        .chunk = 1,
        .repeats = tasks - 1,
    };
    return fl_job_make_body(&spec);
}

void fl_load_submit_tasks(fl_load *load, uint32_t tasks, fl_on_reply fn)
{
    char *body = fl_load_make_job(load, tasks);
    if (!body || fl_job_submit(load->conn, body, fn, load) < 0)
        fl_load_end(load, FL_EXIT_FAILED);
    else
        load->jobs_submitted++;
    free(body);
}

static uint32_t tasks_of_next_job(const fl_load *load)
{
    uint64_t wanted = load->tasks_wanted;
    uint32_t jobs = load->opt->jobs;
    if (!wanted)
        return ENDLESS_JOB_TASKS;
    uint64_t each = wanted / jobs + (load->jobs_submitted < wanted % jobs ? 1 : 0);
    return load->jobs_submitted < jobs ? (uint32_t)each : 0;
}

static void submit_next(fl_load *load);

static void on_submitted(fl_load *load, uint64_t tasks)
{
    load->submitting = false;
    load->tasks_submitted += tasks;
    if (load->measuring || load->ended)
        return;
    if (tasks_of_next_job(load) && load->tasks_wanted) {
        submit_next(load);
        return;
    }
    fl_load_begin_window(load);
    if (load->on_ready)
        load->on_ready(load);
}

/* With settings of the user's own, only the manager knows how many tasks that makes. */
static void on_tasks_counted(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    json_t *json = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    size_t tasks = json_array_size(json_object_get(json, "tasks"));
    json_decref(json);
    if (!tasks) {
        fl_load_fail(load, FL_EXIT_FAILED, "the job has no tasks, at", reply);
        return;
    }
    load->tasks_wanted = load->opt->jobs * tasks;
    on_submitted(load, tasks);
}

static void on_submit_reply(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    if (!fl_job_read_id(reply, load->job_id))
        fl_load_fail(load, FL_EXIT_FAILED, "the job was not accepted by", reply);
    else if (!load->opt->settings)
        on_submitted(load, load->tasks_in_submission);
    else if (fl_job_fetch_tasks(load->conn, load->job_id, on_tasks_counted, load) < 0)
        fl_load_end(load, FL_EXIT_FAILED);
}

static void submit_next(fl_load *load)
{
    uint32_t tasks = tasks_of_next_job(load);
    if (!tasks || load->submitting)
        return;
    load->submitting = true;
    load->tasks_in_submission = tasks;
    fl_load_submit_tasks(load, tasks, on_submit_reply);
}

void fl_load_replenish(fl_load *load)
{
    uint64_t reserve = 1000 + 4 * (uint64_t)load->opt->workers;
    if (!load->tasks_wanted && !load->submitting && !load->ended &&
        load->tasks_assigned + reserve > load->tasks_submitted)
        submit_next(load);
}

/* ---- report ---- */

static double seconds_measured(const fl_load *load)
{
    return (double)(load->ended_us - load->began_us) / 1e6;
}

static void add_server_json(const fl_load *load, json_t *report)
{
    const fl_proc_usage *a = &load->server_before, *b = &load->server_after;
    if (!load->opt->server_pid)
        return;
    json_t *server = json_pack("{s:I, s:I, s:I, s:I, s:i}", "cpu_us", (json_int_t)(b->cpu_us - a->cpu_us), "rss_kib",
                               (json_int_t)b->rss_kib, "hwm_kib", (json_int_t)b->hwm_kib, "children_rss_kib",
                               (json_int_t)b->children_rss_kib, "children", (int)b->children);
    if (load->tasks_measured)
        json_object_set_new(server, "cpu_us_per_task",
                            json_real((double)(b->cpu_us - a->cpu_us) / (double)load->tasks_measured));
    json_object_set_new(report, "server", server);
}

static void print_json(fl_load *load)
{
    static const char *const names[] = { "closed", "submit-only", "submit-tasks", "parked", "paced", "get" };
    double s = seconds_measured(load);
    uint64_t requests = fl_stats_requests(&load->measured);
    json_t *report =
        json_pack("{s:s, s:i, s:f, s:I, s:f, s:I, s:f, s:I, s:f, s:o}", "scenario", names[load->opt->scenario],
                  "workers", (int)load->farm->next_to_start, "seconds", s, "tasks", (json_int_t)load->tasks_measured,
                  "tasks_per_s", (double)load->tasks_measured / s, "requests", (json_int_t)requests, "requests_per_s",
                  (double)requests / s, "errors", (json_int_t)fl_stats_errors(&load->measured), "client_cpu_s",
                  (double)load->own_cpu_us / 1e6, "operations", fl_stats_json(&load->measured));
    add_server_json(load, report);
    if (load->scenario_json)
        load->scenario_json(load, report);
    json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(report);
}

static void print_text(fl_load *load)
{
    double s = seconds_measured(load);
    uint64_t requests = fl_stats_requests(&load->measured);
    printf("%.2f s, %u workers: %" PRIu64 " tasks (%.1f/s), %" PRIu64 " requests (%.0f/s), %" PRIu64 " errors\n", s,
           load->farm->next_to_start, load->tasks_measured, (double)load->tasks_measured / s, requests,
           (double)requests / s, fl_stats_errors(&load->measured));
    if (load->opt->server_pid) {
        const fl_proc_usage *a = &load->server_before, *b = &load->server_after;
        double cpu = (double)(b->cpu_us - a->cpu_us);
        printf("server: %.2f s of CPU (%.0f %%)", cpu / 1e6, cpu / 1e4 / s);
        if (load->tasks_measured)
            printf(", %.0f µs per task", cpu / (double)load->tasks_measured);
        printf(", RSS %.1f MiB (highest %.1f), %u children with %.1f MiB\n", (double)b->rss_kib / 1024,
               (double)b->hwm_kib / 1024, b->children, (double)b->children_rss_kib / 1024);
    }
    double own = (double)load->own_cpu_us / 1e6;
    printf("farm-sim itself: %.2f s of CPU%s\n", own, own > 0.9 * s ? ": it was the bottleneck, not the manager" : "");
    if (load->scenario_print)
        load->scenario_print(load);
    fl_stats_print(&load->measured, stdout);
}

/* ---- workers ---- */

static bool on_worker_awake(void *ctx, fl_worker *w)
{
    fl_load *load = ctx;
    if (load->measuring) /* woken up again in mid-run */
        return load->opt->scenario == FL_LOAD_CLOSED && fl_load_closed_on_awake(load, w);
    load->workers_awake++;
    if (load->workers_awake == load->farm->workers_len && !load->submitting)
        submit_next(load);
    return true; /* it waits for the job */
}

static void on_worker_change(void *ctx, fl_worker *w)
{
    fl_load *load = ctx;
    if (load->ended)
        return;
    if (w->phase == FL_PHASE_FAILED) {
        fprintf(stderr, "farm-sim: %s: %s\n", w->name, w->problem);
        fl_load_end(load, FL_EXIT_FAILED);
    } else if (w->phase == FL_PHASE_ASLEEP && !load->measuring) {
        fprintf(stderr, "farm-sim: %s was sent to sleep by the manager; wake it up\n", w->name);
    }
}

static void on_update(void *ctx, const fl_worker *w, const fl_update *u, int status)
{
    fl_load *load = ctx;
    (void)w;
    if (u->kind == FL_UPDATE_COMPLETED && status == 204)
        load->tasks_done++;
}

static void on_assigned(void *ctx, fl_worker *w, const char *task_id, const char *job_id)
{
    fl_load *load = ctx;
    (void)w;
    (void)task_id;
    (void)job_id;
    load->tasks_assigned++;
    fl_load_replenish(load);
}

static void on_spread(void *ctx)
{
    fl_load *load = ctx;
    if (load->ended)
        return;
    fl_timer_stop(load->loop, &load->deadline);
    fl_load_begin_window(load);
}

/* Workers of a real farm were not switched on at the same moment; without --spread they ask in one burst, forever. */
static void start_paced(fl_load *load)
{
    double spread_s = (double)load->opt->spread_us / 1e6;
    for (uint32_t i = 0; i < load->farm->workers_len; i++)
        fl_worker_ask_after(load->farm->workers[i], 3 + spread_s * i / load->farm->workers_len);
    if (load->opt->spread_us)
        fl_timer_restart(load->loop, &load->begin, on_spread, load, fl_farm_scaled_us(load->farm, 3 + spread_s));
}

/* ---- life ---- */

static void on_version(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    fl_scenario scenario = load->opt->scenario;
    bool workerless = scenario == FL_LOAD_SUBMIT_ONLY || scenario == FL_LOAD_SUBMIT_TASKS || scenario == FL_LOAD_GET;
    if (reply->status == 0)
        fl_load_fail(load, FL_EXIT_UNREACHABLE, "cannot reach a manager at", reply);
    else if (reply->status != 200)
        fl_load_fail(load, FL_EXIT_UNREACHABLE, "this is not a Flamenco Manager:", reply);
    else if (workerless)
        load->on_ready(load);
    else
        fl_farm_start(load->farm);
}

static bool prepare_scenario(fl_load *load)
{
    load->tasks_wanted = load->opt->tasks;
    switch (load->opt->scenario) {
    case FL_LOAD_PARKED:
        return fl_load_parked_prepare(load);
    case FL_LOAD_SUBMIT_ONLY:
    case FL_LOAD_SUBMIT_TASKS:
        return fl_load_submit_prepare(load);
    case FL_LOAD_GET:
        return fl_load_get_prepare(load);
    case FL_LOAD_PACED:
        load->on_ready = start_paced;
        return true;
    default:
        load->on_ready = fl_load_closed_start;
        load->scenario_json = fl_load_closed_json;
        return true;
    }
}

static bool set_up(fl_load *load)
{
    load->loop = fl_loop_create(on_signal, load);
    load->farm = load->loop ? fl_farm_create(load->opt, load->loop, &load->stats) : NULL;
    load->conn = load->farm ? fl_conn_create(load->farm->client, NULL, NULL) : NULL;
    if (!load->conn)
        return false;
    fl_timer_init(&load->deadline, on_deadline, load);
    fl_timer_init(&load->begin, NULL, load);
    load->farm->hooks = (fl_hooks){ .ctx = load,
                                    .on_change = on_worker_change,
                                    .on_awake = on_worker_awake,
                                    .on_assigned = on_assigned,
                                    .on_update = on_update };
    fl_request request = { .op = FL_OP_OTHER, .method = "GET", .path = "/api/v3/version" };
    return prepare_scenario(load) && fl_conn_send(load->conn, &request, on_version, load) == 0;
}

int fl_load_run(const fl_options *opt)
{
    fl_load *load = calloc(1, sizeof *load);
    if (!load)
        return FL_EXIT_FAILED;
    load->opt = opt;
    load->exit_code = FL_EXIT_FAILED;
    int exit_code = FL_EXIT_FAILED;
    if (set_up(load) && fl_loop_run(load->loop) == 0) {
        exit_code = load->exit_code;
        if (load->ended_us && opt->json)
            print_json(load);
        else if (load->ended_us)
            print_text(load);
    }
    if (load->farm)
        fl_conn_destroy(load->conn);
    if (load->scenario_free)
        load->scenario_free(load);
    fl_farm_destroy(load->farm);
    fl_loop_destroy(load->loop);
    free(load->scenario);
    free(load);
    return exit_code;
}
