/* SPDX-License-Identifier: Apache-2.0
 * Task updates and their queue; see updates.h. Called by run.c and worker.c. */
#include "updates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

static const double flush_period_s = 30;

static const fl_op op_of_kind[] = {
    [FL_UPDATE_ACTIVE] = FL_OP_ACTIVE,       [FL_UPDATE_LOG] = FL_OP_LOG,       [FL_UPDATE_STEPS] = FL_OP_STEPS,
    [FL_UPDATE_COMPLETED] = FL_OP_COMPLETED, [FL_UPDATE_FAILED] = FL_OP_FAILED,
};

static void on_flush_timer(void *ctx)
{
    fl_updates_flush(ctx, NULL, NULL);
}

void fl_updates_init(fl_worker *w)
{
    fl_timer_init(&w->updates.timer, on_flush_timer, w);
}

static void tell_mode(fl_worker *w, const fl_update *u, int status)
{
    const fl_hooks *hooks = &w->farm->hooks;
    if (hooks->on_update)
        hooks->on_update(hooks->ctx, w, u, status);
}

/* The Worker looks at its queue every 30 s, counted from its start. */
static void plan_flush(fl_worker *w)
{
    if (!w->updates.head || w->updates.flushing || w->updates.timer.place)
        return;
    int64_t period = fl_farm_scaled_us(w->farm, flush_period_s);
    int64_t delay = period > 0 ? period - (fl_now_us() - w->flush_phase_us) % period : 1000;
    fl_timer_start(w->farm->loop, &w->updates.timer, delay);
}

static void enqueue(fl_worker *w, fl_update *u)
{
    u->next = NULL;
    if (w->updates.tail)
        w->updates.tail->next = u;
    else
        w->updates.head = u;
    w->updates.tail = u;
    plan_flush(w);
}

static void send_update(fl_worker *w, fl_update *u, fl_lane_id lane, fl_on_reply fn)
{
    char path[96];
    snprintf(path, sizeof path, "/api/v3/worker/task/%s", u->task_id);
    u->sent_us = fl_now_us();
    fl_request request = {
        .op = op_of_kind[u->kind], .lane = lane, .method = "POST", .path = path, .body = u->body, .len = u->len
    };
    fl_worker_send(w, &request, fn);
}

static void on_direct_answer(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    fl_update *u = w->updates.under_way;
    fl_on_update_result on_result = w->updates.on_result;
    w->updates.under_way = NULL;
    tell_mode(w, u, reply->status);
    fl_update_result result = FL_UPDATE_OK;
    if (reply->status == 0) {
        fl_farm_log(w->farm, w, "update queued: %s", reply->error);
        enqueue(w, u);
    } else {
        if (reply->status == 409)
            result = FL_UPDATE_REASSIGNED;
        else if (reply->status != 204)
            result = FL_UPDATE_REFUSED;
        if (result != FL_UPDATE_OK)
            fl_farm_log(w->farm, w, "update of task %s answered with %d", u->task_id, reply->status);
        free(u);
    }
    on_result(w, result);
}

void fl_updates_send(fl_worker *w, fl_update_kind kind, const char *body, size_t len, fl_on_update_result on_result)
{
    fl_update *u = calloc(1, sizeof *u + len + 1);
    if (!u) {
        fprintf(stderr, "farm-sim: out of memory\n");
        exit(EXIT_FAILURE);
    }
    snprintf(u->task_id, sizeof u->task_id, "%s", w->run.task_id);
    snprintf(u->job_id, sizeof u->job_id, "%s", w->run.job_id);
    u->kind = kind;
    u->len = len;
    memcpy(u->body, body, len);
    if (w->updates.head) {
        enqueue(w, u);
        on_result(w, FL_UPDATE_OK);
        return;
    }
    w->updates.under_way = u;
    w->updates.on_result = on_result;
    send_update(w, u, FL_LANE_MAIN, on_direct_answer);
}

static void end_flush(fl_worker *w)
{
    fl_updates *updates = &w->updates;
    updates->flushing = false;
    plan_flush(w);
    fl_loop_on_timer done = updates->on_flushed;
    updates->on_flushed = NULL;
    if (done)
        done(updates->on_flushed_ctx);
}

static void send_oldest(fl_worker *w);

static void on_flush_answer(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    fl_update *u = w->updates.head;
    tell_mode(w, u, reply->status);
    if (reply->status == 0) {
        end_flush(w);
        return;
    }
    if (reply->status != 204)
        fl_farm_log(w->farm, w, "queued update of task %s answered with %d", u->task_id, reply->status);
    w->updates.head = u->next;
    if (!u->next)
        w->updates.tail = NULL;
    free(u);
    send_oldest(w);
}

static void send_oldest(fl_worker *w)
{
    if (w->updates.head)
        send_update(w, w->updates.head, FL_LANE_FLUSH, on_flush_answer);
    else
        end_flush(w);
}

void fl_updates_flush(fl_worker *w, fl_loop_on_timer done, void *ctx)
{
    if (done) {
        w->updates.on_flushed = done;
        w->updates.on_flushed_ctx = ctx;
    }
    if (w->updates.flushing)
        return;
    fl_timer_stop(w->farm->loop, &w->updates.timer);
    w->updates.flushing = true;
    send_oldest(w);
}

void fl_updates_stop(fl_worker *w)
{
    fl_timer_stop(w->farm->loop, &w->updates.timer);
    free(w->updates.under_way);
    w->updates.under_way = NULL;
    w->updates.flushing = false;
    w->updates.on_flushed = NULL;
}

void fl_updates_fini(fl_worker *w)
{
    fl_updates_stop(w);
    while (w->updates.head) {
        fl_update *u = w->updates.head;
        w->updates.head = u->next;
        free(u);
    }
    w->updates.tail = NULL;
}
