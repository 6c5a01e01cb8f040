/* SPDX-License-Identifier: Apache-2.0
 * The closed loop: every worker always has a request under way. Seven of them make a task: ask, "active" with 8 log
 * lines, two log uploads, may-i-run, steps, "completed". Called by load.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const int64_t retry_us = 100000;
static const int64_t no_task_us = 20000; /* for a manager that does not park requests */

#define LOG_LINE "pid=4711 > Fra:1 Mem:58.21M (Peak 61.07M) | Time:00:00.51 | Rendering 16 / 64 samples\\n"
#define LOG_LINES LOG_LINE LOG_LINE LOG_LINE LOG_LINE LOG_LINE LOG_LINE LOG_LINE LOG_LINE

static const struct step {
    fl_op op;
    const char *method, *suffix, *body;
} steps[] = {
    { FL_OP_ACTIVE, "POST", "", "{\"activity\":\"Started\",\"taskStatus\":\"active\",\"log\":\"" LOG_LINES "\"}" },
    { FL_OP_LOG, "POST", "", "{\"log\":\"" LOG_LINES "\"}" },
    { FL_OP_LOG, "POST", "", "{\"log\":\"" LOG_LINES "\"}" },
    { FL_OP_MAY_I_RUN, "GET", "/may-i-run", NULL },
    { FL_OP_STEPS, "POST", "", "{\"activity\":\"Progress\",\"steps_completed\":1}" },
    { FL_OP_COMPLETED, "POST", "", "{\"activity\":\"Completed\",\"taskStatus\":\"completed\"}" },
};
enum { STEPS = sizeof steps / sizeof *steps };

struct closed {
    fl_load *load;
    char task_id[37];
    unsigned step;
    int64_t stored_us; /* of the first one only: how long storing took with --while-storing */
};

static struct closed *closed_of(const fl_worker *w)
{
    const fl_load *load = w->farm->hooks.ctx;
    return (struct closed *)load->scenario + w->index;
}

static void ask(void *ctx);
static void send_step(void *ctx);

static void end_of_tasks(fl_load *load)
{
    if (load->opt->storing)
        fprintf(stderr, "farm-sim: all tasks were done before the big job was stored; give more --tasks\n");
    fl_load_end(load, load->opt->storing ? FL_EXIT_FAILED : FL_EXIT_OK);
}

static void later(fl_worker *w, fl_loop_on_timer fn, int64_t delay_us)
{
    fl_timer_restart(w->farm->loop, &w->timer, fn, w, delay_us);
}

static void on_step_reply(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    struct closed *c = closed_of(w);
    if (c->load->ended)
        return;
    if (reply->status == 0) {
        later(w, send_step, retry_us);
        return;
    }
    if (reply->status == 409) {
        ask(w);
        return;
    }
    if (++c->step < STEPS) {
        send_step(w);
        return;
    }
    if (reply->status == 204) {
        w->tasks_done++;
        c->load->tasks_done++;
    }
    if (c->load->tasks_wanted && c->load->tasks_done >= c->load->tasks_wanted)
        end_of_tasks(c->load);
    else
        ask(w);
}

static void send_step(void *ctx)
{
    fl_worker *w = ctx;
    const struct closed *c = closed_of(w);
    const struct step *step = &steps[c->step];
    char path[96];
    snprintf(path, sizeof path, "/api/v3/worker/task/%s%s", c->task_id, step->suffix);
    fl_request request = { .op = step->op,
                           .method = step->method,
                           .path = path,
                           .body = step->body,
                           .len = step->body ? strlen(step->body) : 0 };
    fl_worker_send(w, &request, on_step_reply);
}

static void on_asked(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    struct closed *c = closed_of(w);
    if (c->load->ended)
        return;
    json_t *json = reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *uuid = json_string_value(json_object_get(json, "uuid"));
    const char *wanted = json_string_value(json_object_get(json, "status_requested"));
    if (reply->status == 200 && uuid && strlen(uuid) == 36) {
        snprintf(c->task_id, sizeof c->task_id, "%s", uuid);
        c->step = 0;
        c->load->tasks_assigned++;
        fl_load_replenish(c->load);
        send_step(w);
    } else if (reply->status == 423 && wanted) {
        fl_worker_go_to(w, wanted);
    } else {
        later(w, ask, reply->status == 204 ? no_task_us : retry_us);
    }
    json_decref(json);
}

static void ask(void *ctx)
{
    fl_worker *w = ctx;
    fl_request request = { .op = FL_OP_ASK, .method = "POST", .path = "/api/v3/worker/task" };
    fl_worker_send(w, &request, on_asked);
}

bool fl_load_closed_on_awake(void *ctx, fl_worker *w)
{
    (void)ctx;
    ask(w);
    return true;
}

/* ---- while a big job is stored ---- */

static void on_stored(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    struct closed *first = load->scenario;
    if (load->ended)
        return;
    if (!fl_job_read_id(reply, load->job_id)) {
        fl_load_fail(load, FL_EXIT_FAILED, "the big job was not accepted by", reply);
        return;
    }
    first->stored_us = reply->elapsed_us;
    fl_load_end(load, FL_EXIT_OK);
}

static void begin_storing(void *ctx)
{
    fl_load *load = ctx;
    if (load->ended)
        return;
    fl_timer_stop(load->loop, &load->deadline);
    fl_load_begin_window(load);
    fl_load_submit_tasks(load, load->opt->storing, on_stored);
}

void fl_load_closed_json(fl_load *load, json_t *report)
{
    const struct closed *first = load->scenario;
    if (!load->opt->storing || !first)
        return;
    json_object_set_new(report, "stored_tasks", json_integer(load->opt->storing));
    json_object_set_new(report, "stored_s", json_real((double)first->stored_us / 1e6));
}

void fl_load_closed_start(fl_load *load)
{
    struct closed *all = calloc(load->farm->workers_len, sizeof *all);
    if (!all) {
        fl_load_end(load, FL_EXIT_FAILED);
        return;
    }
    load->scenario = all;
    for (uint32_t i = 0; i < load->farm->workers_len; i++)
        all[i].load = load;
    for (uint32_t i = 0; i < load->farm->workers_len; i++)
        ask(load->farm->workers[i]);
    if (load->opt->storing)
        fl_timer_restart(load->loop, &load->begin, begin_storing, load, load->opt->settle_us);
}
