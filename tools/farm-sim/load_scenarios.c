/* SPDX-License-Identifier: Apache-2.0
 * Load scenarios beside the closed loop: parked workers, and submissions without workers. Called by load.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const double no_task_s = 20; /* a Worker's pause, for a manager that does not park requests */

/* ---- parked: all workers wait, then there is work ---- */

struct parked {
    fl_load *load;
    fl_timer settle;
    int64_t submit_sent_us, submit_answered_us, last_us;
    uint32_t served;
    fl_histogram after_submit; /* from sending the job to a worker having its task */
};

static void parked_ask(void *ctx);

static void parked_check_end(struct parked *p)
{
    if (p->served == p->load->farm->workers_len && p->submit_answered_us)
        fl_load_end(p->load, FL_EXIT_OK);
}

static void on_parked_reply(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    fl_load *load = w->farm->hooks.ctx;
    struct parked *p = load->scenario;
    if (load->ended)
        return;
    if (reply->status != 200) {
        fl_timer_restart(load->loop, &w->timer, parked_ask, w, fl_farm_pause_us(load->farm, no_task_s));
        return;
    }
    p->last_us = fl_now_us();
    if (p->submit_sent_us)
        fl_histogram_add(&p->after_submit, p->last_us - p->submit_sent_us);
    p->served++;
    parked_check_end(p);
}

static void parked_ask(void *ctx)
{
    fl_worker *w = ctx;
    fl_request request = { .op = FL_OP_ASK, .method = "POST", .path = "/api/v3/worker/task" };
    fl_worker_send(w, &request, on_parked_reply);
}

static void on_parked_submitted(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    struct parked *p = load->scenario;
    if (!fl_job_read_id(reply, load->job_id)) {
        fl_load_fail(load, FL_EXIT_FAILED, "the job was not accepted by", reply);
        return;
    }
    p->submit_answered_us = fl_now_us();
    parked_check_end(p);
}

static void on_settled(void *ctx)
{
    struct parked *p = ctx;
    if (p->served) {
        fprintf(stderr, "farm-sim: there are tasks of other jobs; --parked needs an idle manager\n");
        fl_load_end(p->load, FL_EXIT_FAILED);
        return;
    }
    fl_load_begin_window(p->load);
    p->submit_sent_us = fl_now_us();
    fl_load_submit_tasks(p->load, (uint32_t)p->load->tasks_wanted, on_parked_submitted);
}

static bool on_parked_awake(void *ctx, fl_worker *w)
{
    fl_load *load = ctx;
    struct parked *p = load->scenario;
    parked_ask(w);
    if (++load->workers_awake == load->farm->workers_len)
        fl_timer_start(load->loop, &p->settle, load->opt->settle_us);
    return true;
}

static void parked_json(fl_load *load, json_t *report)
{
    const struct parked *p = load->scenario;
    json_object_set_new(report, "served", json_integer(p->served));
    json_object_set_new(report, "submit_us", json_integer(p->submit_answered_us - p->submit_sent_us));
    json_object_set_new(report, "last_after_reply_us", json_integer(p->last_us - p->submit_answered_us));
    json_object_set_new(report, "task_after_submit", fl_histogram_json(&p->after_submit));
}

static void parked_print(fl_load *load)
{
    const struct parked *p = load->scenario;
    printf("%u of %u workers have a task; submission answered after %.3f ms, last worker served %.3f ms after that\n",
           p->served, load->farm->workers_len, (double)(p->submit_answered_us - p->submit_sent_us) / 1e3,
           (double)(p->last_us - p->submit_answered_us) / 1e3);
    printf("from sending the job to a worker's task: p50 %.3f ms, p99 %.3f ms, last %.3f ms\n",
           (double)fl_histogram_at(&p->after_submit, 0.5) / 1e3, (double)fl_histogram_at(&p->after_submit, 0.99) / 1e3,
           (double)p->after_submit.max_us / 1e3);
}

bool fl_load_parked_prepare(fl_load *load)
{
    struct parked *p = calloc(1, sizeof *p);
    if (!p)
        return false;
    p->load = load;
    load->scenario = p;
    load->scenario_json = parked_json;
    load->scenario_print = parked_print;
    if (load->tasks_wanted < load->farm->workers_len)
        load->tasks_wanted = load->farm->workers_len;
    load->farm->hooks.on_awake = on_parked_awake;
    fl_timer_init(&p->settle, on_settled, p);
    return true;
}

/* ---- submissions ---- */

struct submitter {
    fl_load *load;
    fl_conn *conn;
};

struct submit {
    struct submitter *clients;
    uint32_t clients_len;
    uint64_t sent, accepted, limit; /* limit 0 = until the time is over */
    int64_t elapsed_us; /* submit-tasks */
};

static void submit_one(struct submitter *s);

static void on_one_submitted(void *ctx, const fl_reply *reply)
{
    struct submitter *s = ctx;
    struct submit *all = s->load->scenario;
    if (s->load->ended)
        return;
    if (reply->status != 200) {
        fl_load_fail(s->load, FL_EXIT_FAILED, "a job was not accepted by", reply);
        return;
    }
    all->accepted++;
    if (all->limit && all->accepted >= all->limit)
        fl_load_end(s->load, FL_EXIT_OK);
    else if (!all->limit || all->sent < all->limit)
        submit_one(s);
}

static void submit_one(struct submitter *s)
{
    struct submit *all = s->load->scenario;
    char *body = fl_load_make_job(s->load, 1);
    if (!body || fl_job_submit(s->conn, body, on_one_submitted, s) < 0) {
        fl_load_end(s->load, FL_EXIT_FAILED);
    } else {
        all->sent++;
        s->load->jobs_submitted++;
    }
    free(body);
}

static void start_submit_only(fl_load *load)
{
    struct submit *all = load->scenario;
    fl_load_begin_window(load);
    for (uint32_t i = 0; i < all->clients_len && (!all->limit || i < all->limit); i++)
        submit_one(&all->clients[i]);
}

static void on_big_submitted(void *ctx, const fl_reply *reply)
{
    fl_load *load = ctx;
    struct submit *all = load->scenario;
    if (!fl_job_read_id(reply, load->job_id)) {
        fl_load_fail(load, FL_EXIT_FAILED, "the job was not accepted by", reply);
        return;
    }
    all->elapsed_us = reply->elapsed_us;
    all->accepted = 1;
    fl_load_end(load, FL_EXIT_OK);
}

static void start_submit_tasks(fl_load *load)
{
    fl_load_begin_window(load);
    fl_load_submit_tasks(load, (uint32_t)load->tasks_wanted, on_big_submitted);
}

static void submit_json(fl_load *load, json_t *report)
{
    const struct submit *all = load->scenario;
    double seconds = (double)(load->ended_us - load->began_us) / 1e6;
    json_object_set_new(report, "jobs", json_integer((json_int_t)all->accepted));
    if (load->opt->scenario == FL_LOAD_SUBMIT_TASKS) {
        json_object_set_new(report, "submitted_tasks", json_integer((json_int_t)load->tasks_wanted));
        json_object_set_new(report, "accepted_s", json_real((double)all->elapsed_us / 1e6));
    } else {
        json_object_set_new(report, "clients", json_integer(all->clients_len));
        json_object_set_new(report, "jobs_per_s", json_real((double)all->accepted / seconds));
    }
}

static void submit_print(fl_load *load)
{
    const struct submit *all = load->scenario;
    double seconds = (double)(load->ended_us - load->began_us) / 1e6;
    if (load->opt->scenario == FL_LOAD_SUBMIT_TASKS)
        printf("one job of %" PRIu64 " tasks accepted in %.3f s\n", load->tasks_wanted, (double)all->elapsed_us / 1e6);
    else
        printf("%" PRIu64 " jobs by %u clients: %.1f jobs/s, p50 %.3f ms\n", all->accepted, all->clients_len,
               (double)all->accepted / seconds,
               (double)fl_histogram_at(&load->measured.op[FL_OP_SUBMIT].latency, 0.5) / 1e3);
}

static void submit_free(fl_load *load)
{
    struct submit *all = load->scenario;
    for (uint32_t i = 0; i < all->clients_len; i++)
        fl_conn_destroy(all->clients[i].conn);
}

bool fl_load_submit_prepare(fl_load *load)
{
    bool one_job = load->opt->scenario == FL_LOAD_SUBMIT_TASKS;
    uint32_t clients = one_job ? 0 : load->opt->clients;
    struct submit *all = calloc(1, sizeof *all + clients * sizeof(struct submitter));
    if (!all)
        return false;
    load->scenario = all;
    all->clients = (struct submitter *)(all + 1);
    all->limit = load->opt->jobs;
    load->on_ready = one_job ? start_submit_tasks : start_submit_only;
    load->scenario_json = submit_json;
    load->scenario_print = submit_print;
    load->scenario_free = submit_free;
    for (uint32_t i = 0; i < clients; i++) {
        all->clients[i] = (struct submitter){ .load = load, .conn = fl_conn_create(load->farm->client, NULL, NULL) };
        if (!all->clients[i].conn)
            return false;
        all->clients_len++;
    }
    return true;
}
