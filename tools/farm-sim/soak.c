/* SPDX-License-Identifier: Apache-2.0
 * farm-sim soak: Workers that fail, vanish and lose connections, users who cancel, pause and requeue; then the books
 * are checked (book.c). Survives restarts of the manager, so that a test may kill it meanwhile. Called by main.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "book.h"
#include "modes.h"
#include "worker.h"

static const int64_t look_period_us = 100000;
static const int64_t retry_us = 500000;
static const int64_t quiet_before_check_us = 300000;
static const int64_t stuck_after_us = 5000000;
static const int64_t idle_us = 3000000; /* a question that waits so long waits for a task, not for a slow disk */
static const double back_after_s = 10; /* a vanished worker, scaled */

struct soak_worker {
    struct soak *soak;
    fl_worker *w;
    char task_id[37]; /* in its hands */
    fl_timer vanish, back;
    bool asleep; /* we asked it to be */
};

/* One status request of the disturbing user; at most one at a time. */
struct op {
    fl_book_job *job; /* NULL for a worker's */
    fl_book_task *task;
    bool requeue;
};

struct soak {
    const fl_options *opt;
    fl_loop *loop;
    fl_stats stats;
    fl_farm *farm;
    fl_book book;
    struct soak_worker *workers;
    fl_conn *looker, *disturber, *submitter;
    struct op op;
    fl_timer look, disturb, submit_retry, draining, deadline;
    size_t next_look;
    fl_book_job *looked_at;
    json_t *looked_at_reply;
    int64_t looked_at_us;
    bool submitting, drain, ended;
    uint64_t cuts, vanished, disturbances, nudges, restarted;
    uint32_t submitting_tasks, jobs_submitted;
    int64_t began_us;
    int exit_code;
};

static double chance(struct soak *soak)
{
    return fl_farm_random(soak->farm);
}

/* ---- faults of the workers ---- */

static bool task_shall_fail(void *ctx, fl_worker *w)
{
    struct soak *soak = ctx;
    (void)w;
    return !soak->drain && chance(soak) < soak->opt->fail_rate;
}

/* Not for state-changed: the Worker does not repeat it, and a manager that missed it answers 409 from then on. */
static fl_cut choose_cut(void *ctx, fl_op op, int64_t *after_us)
{
    struct soak *soak = ctx;
    if (soak->drain || op == FL_OP_STATE_CHANGED || chance(soak) >= soak->opt->cut_rate)
        return FL_CUT_NONE;
    soak->cuts++;
    *after_us = (int64_t)(chance(soak) * 3000);
    return chance(soak) < 0.3 ? FL_CUT_SENDING : FL_CUT_WAITING;
}

static void on_back(void *ctx)
{
    struct soak_worker *sw = ctx;
    if (!sw->soak->ended && fl_worker_is_gone(sw->w))
        fl_worker_start(sw->w);
}

static void come_back_later(struct soak_worker *sw)
{
    double seconds = back_after_s * chance(sw->soak);
    fl_timer_start(sw->soak->loop, &sw->back, fl_farm_scaled_us(sw->soak->farm, seconds) + 1000);
}

static void on_vanish(void *ctx)
{
    struct soak_worker *sw = ctx;
    if (sw->soak->drain || sw->w->phase != FL_PHASE_RUNNING)
        return;
    sw->soak->vanished++;
    fl_worker_vanish(sw->w);
    come_back_later(sw);
}

static void on_worker_change(void *ctx, fl_worker *w)
{
    struct soak *soak = ctx;
    struct soak_worker *sw = &soak->workers[w->index];
    if (soak->ended)
        return;
    /* A process manager starts it again, whatever it ended from. What is wrong about its end shows in the answers. */
    if (w->phase == FL_PHASE_ENDED || w->phase == FL_PHASE_FAILED)
        come_back_later(sw);
}

static void on_assigned(void *ctx, fl_worker *w, const char *task_id, const char *job_id)
{
    struct soak *soak = ctx;
    struct soak_worker *sw = &soak->workers[w->index];
    fl_book_assigned(&soak->book, w, task_id, job_id);
    snprintf(sw->task_id, sizeof sw->task_id, "%s", task_id);
    if (!soak->drain && chance(soak) < soak->opt->vanish_rate)
        fl_timer_start(soak->loop, &sw->vanish, (int64_t)(chance(soak) * 200000));
}

static void on_task_end(void *ctx, fl_worker *w, fl_outcome outcome)
{
    struct soak *soak = ctx;
    struct soak_worker *sw = &soak->workers[w->index];
    (void)outcome;
    fl_timer_stop(soak->loop, &sw->vanish);
    /* Another one may hold it by now, rightly, and its job may have been checked and forgotten. */
    fl_book_task *task = fl_book_find_task(&soak->book, sw->task_id);
    if (task && task->holder == w)
        fl_book_put_down(task);
}

static void on_update(void *ctx, const fl_worker *w, const fl_update *u, int status)
{
    struct soak *soak = ctx;
    fl_book_updated(&soak->book, w, u, status);
}

/* ---- new jobs ---- */

static void submit_if_needed(void *ctx);

static void on_submitted(void *ctx, const fl_reply *reply)
{
    struct soak *soak = ctx;
    char id[37];
    soak->submitting = false;
    if (fl_job_read_id(reply, id)) {
        fl_book_job_of(&soak->book, id)->tasks_wanted = soak->submitting_tasks;
        submit_if_needed(soak);
        return;
    }
    if (reply->status != 0 && reply->status != 503)
        fl_book_violation(&soak->book, "a job submission was answered with %d", reply->status);
    fl_timer_start(soak->loop, &soak->submit_retry, retry_us);
}

static void submit_if_needed(void *ctx)
{
    struct soak *soak = ctx;
    if (soak->submitting || soak->drain || soak->ended || soak->book.jobs_len >= soak->opt->jobs)
        return;
    char name[48], frames[24];
    uint32_t chunk = 1 + (uint32_t)(chance(soak) * 12), tasks = soak->opt->tasks;
    bool echo = chance(soak) < 0.25, video = !echo && chance(soak) < 0.6;
    snprintf(name, sizeof name, "farm-sim soak %u", soak->jobs_submitted + 1);
    snprintf(frames, sizeof frames, "1-%u", tasks * chunk);
    fl_job_spec spec = { .name = name,
                         .type = echo ? "echo-sleep-test" : "simple-blender-render",
                         .frames = frames,
                         .chunk = chunk,
                         .repeats = tasks - 1,
                         .video = video };
    char *body = fl_job_make_body(&spec);
    soak->submitting_tasks = tasks + (video ? 1 : 0);
    soak->submitting = body && fl_job_submit(soak->submitter, body, on_submitted, soak) == 0;
    if (soak->submitting)
        soak->jobs_submitted++;
    else
        fl_timer_start(soak->loop, &soak->submit_retry, retry_us);
    free(body);
}

/* ---- disturbances ---- */

static void on_op_reply(void *ctx, const fl_reply *reply)
{
    struct soak *soak = ctx;
    struct op op = soak->op;
    soak->op = (struct op){ 0 };
    if (op.job)
        fl_book_op_end(op.job, op.task, op.requeue, reply->status != 0);
    /* 412: a worker that cannot restart; 404: a worker that registered, and whose answer was lost, does not happen here. */
    if (reply->status != 204 && reply->status != 0 && reply->status != 503 && reply->status != 412)
        fl_book_violation(&soak->book, "a status request was answered with %d: %.100s", reply->status, reply->body);
}

static void request_job_status(struct soak *soak, fl_book_job *job, const char *status)
{
    struct op op = { .job = job, .requeue = strcmp(status, "requeueing") == 0 };
    if (fl_conn_busy(soak->disturber, FL_LANE_MAIN))
        return;
    if (fl_job_set_status(soak->disturber, "jobs", job->id, status, on_op_reply, soak) < 0)
        return;
    soak->op = op;
    fl_book_op_begin(job, NULL, op.requeue);
}

static void request_task_status(struct soak *soak, fl_book_task *task, const char *status)
{
    if (fl_job_set_status(soak->disturber, "tasks", task->id, status, on_op_reply, soak) < 0)
        return;
    soak->op = (struct op){ .job = task->job, .task = task };
    fl_book_op_begin(task->job, task, false);
}

static void request_worker_status(struct soak *soak, struct soak_worker *sw, const char *status, bool lazy)
{
    char path[96], body[64];
    if (!*sw->w->uuid)
        return;
    snprintf(path, sizeof path, "/api/v3/worker-mgt/workers/%s/setstatus", sw->w->uuid);
    snprintf(body, sizeof body, "{\"status\":\"%s\",\"is_lazy\":%s}", status, lazy ? "true" : "false");
    fl_request request = { .op = FL_OP_SET_STATUS, .method = "POST", .path = path, .body = body, .len = strlen(body) };
    if (fl_conn_send(soak->disturber, &request, on_op_reply, soak) == 0)
        sw->asleep = strcmp(status, "asleep") == 0;
}

static void set_priority(struct soak *soak, const fl_book_job *job)
{
    char path[80], body[32];
    snprintf(path, sizeof path, "/api/v3/jobs/%s/setpriority", job->id);
    snprintf(body, sizeof body, "{\"priority\":%d}", (int)(chance(soak) * 101));
    fl_request request = { .op = FL_OP_SET_STATUS, .method = "POST", .path = path, .body = body, .len = strlen(body) };
    fl_conn_send(soak->disturber, &request, on_op_reply, soak);
}

static void disturb_worker(struct soak *soak)
{
    struct soak_worker *sw = &soak->workers[(size_t)(chance(soak) * soak->farm->workers_len)];
    double what = chance(soak);
    bool lazy = chance(soak) < 0.5;
    if (sw->asleep)
        request_worker_status(soak, sw, "awake", false);
    else if (what < 0.6)
        request_worker_status(soak, sw, "asleep", lazy);
    else if (what < 0.8)
        request_worker_status(soak, sw, "restart", lazy);
    else
        request_worker_status(soak, sw, "offline", lazy);
}

static void disturb_job(struct soak *soak)
{
    const fl_book *book = &soak->book;
    if (!book->jobs_len)
        return;
    fl_book_job *job = book->jobs[(size_t)(chance(soak) * (double)book->jobs_len)];
    fl_book_task *task = job->tasks_len ? job->tasks[(size_t)(chance(soak) * (double)job->tasks_len)] : NULL;
    double what = chance(soak);
    if (what < 0.12)
        request_job_status(soak, job, "cancel-requested");
    else if (what < 0.25)
        request_job_status(soak, job, "pause-requested");
    else if (what < 0.35 && job->requeues < 3)
        request_job_status(soak, job, "requeueing");
    else if (what < 0.55)
        set_priority(soak, job);
    else if (task && what < 0.75)
        request_task_status(soak, task, "canceled");
    else if (task)
        request_task_status(soak, task, "queued");
}

static void disturb(void *ctx)
{
    struct soak *soak = ctx;
    double rate = soak->opt->disturb_rate;
    if (soak->drain || rate <= 0)
        return;
    fl_timer_start(soak->loop, &soak->disturb, (int64_t)(2e6 * chance(soak) / rate));
    if (fl_conn_busy(soak->disturber, FL_LANE_MAIN))
        return;
    soak->disturbances++;
    if (chance(soak) < 0.4)
        disturb_worker(soak);
    else
        disturb_job(soak);
}

/* After a state-changed that got lost, as with a manager that was killed, only a new start helps a Worker. */
static void restart_stuck_workers(struct soak *soak)
{
    for (uint32_t i = 0; i < soak->farm->workers_len; i++) {
        struct soak_worker *sw = &soak->workers[i];
        if (sw->w->refusals < 2)
            continue;
        soak->restarted++;
        fl_worker_vanish(sw->w);
        sw->w->refusals = 0;
        fl_timer_start(soak->loop, &sw->back, 1000);
    }
}

/* In the end all workers that we sent to sleep have to help. One request per look. */
static void wake_one(struct soak *soak)
{
    for (uint32_t i = 0; i < soak->farm->workers_len; i++) {
        struct soak_worker *sw = &soak->workers[i];
        if ((sw->asleep || sw->w->phase == FL_PHASE_ASLEEP) && !fl_conn_busy(soak->disturber, FL_LANE_MAIN)) {
            request_worker_status(soak, sw, "awake", false);
            return;
        }
    }
}

/* ---- looking at the jobs ---- */

static void finish(struct soak *soak, int exit_code);

static void look_later(struct soak *soak)
{
    json_decref(soak->looked_at_reply);
    soak->looked_at_reply = NULL;
    soak->looked_at = NULL;
    if (!soak->ended)
        fl_timer_start(soak->loop, &soak->look, look_period_us);
}

/* Updates for that job that did not get through yet. */
static bool has_updates_on_the_way(const struct soak *soak, const fl_book_job *job)
{
    for (uint32_t i = 0; i < soak->farm->workers_len; i++) {
        const fl_updates *updates = &soak->farm->workers[i]->updates;
        if (updates->under_way && strcmp(updates->under_way->job_id, job->id) == 0)
            return true;
        for (const fl_update *u = updates->head; u; u = u->next)
            if (strcmp(u->job_id, job->id) == 0)
                return true;
    }
    return false;
}

static bool is_settled(const struct soak *soak, const fl_book_job *job)
{
    return !job->ops && !job->holders && job->op_end_us < soak->looked_at_us && job->quiet_since_us &&
           fl_now_us() - job->quiet_since_us >= quiet_before_check_us && !has_updates_on_the_way(soak, job);
}

/* Nobody works on that job. By the manager's rules it may stay so: with tasks that were canceled or failed, and others
 * that wait for them. A user would requeue it. But idle workers have to get what is runnable. */
static void help_on(struct soak *soak, fl_book_job *job, const json_t *tasks)
{
    size_t runnable = fl_book_count_runnable(tasks);
    uint32_t idle = 0;
    int64_t now_us = fl_now_us();
    for (uint32_t i = 0; i < soak->farm->workers_len; i++) {
        const fl_worker *w = soak->farm->workers[i];
        idle += w->phase == FL_PHASE_ASKING && now_us - w->asked_us >= idle_us;
    }
    bool working = strcmp(job->status, "active") == 0 || strcmp(job->status, "queued") == 0;
    if (working && runnable && idle >= 3)
        fl_book_violation(&soak->book, "job %s is %s with %zu queued tasks, but none of %u idle workers gets one",
                          job->id, job->status, runnable, idle);
    soak->nudges++;
    request_job_status(soak, job, "requeueing");
}

static void on_tasks(void *ctx, const fl_reply *reply)
{
    struct soak *soak = ctx;
    fl_book_job *job = soak->looked_at;
    json_t *json = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const json_t *tasks = json_object_get(json, "tasks");
    /* Whatever happened since the job was fetched makes the two replies unfit for comparison. */
    if (json_is_array(tasks) && is_settled(soak, job)) {
        if (fl_job_status_is_final(job->status)) {
            soak->looked_at = NULL;
            fl_book_verify(&soak->book, job, soak->looked_at_reply, tasks);
            submit_if_needed(soak);
        } else if (fl_now_us() - job->quiet_since_us > stuck_after_us) {
            help_on(soak, job, tasks);
        }
    } else if (reply->status && !json_is_array(tasks)) {
        fl_book_violation(&soak->book, "the tasks of job %s cannot be fetched: %d", job->id, reply->status);
    }
    json_decref(json);
    look_later(soak);
}

static void on_job(void *ctx, const fl_reply *reply)
{
    struct soak *soak = ctx;
    fl_book_job *job = soak->looked_at;
    soak->looked_at_reply = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(soak->looked_at_reply, "status"));
    if (!status) {
        if (reply->status)
            fl_book_violation(&soak->book, "job %s cannot be fetched: %d", job->id, reply->status);
        look_later(soak);
        return;
    }
    bool same = strcmp(job->status, status) == 0 && !job->holders && !job->ops;
    if (!same)
        job->quiet_since_us = 0;
    else if (!job->quiet_since_us)
        job->quiet_since_us = soak->looked_at_us;
    snprintf(job->status, sizeof job->status, "%s", status);
    bool paused = strcmp(status, "paused") == 0;
    if (paused && (soak->drain || chance(soak) < 0.2))
        request_job_status(soak, job, "requeueing");
    else if (!soak->drain && fl_job_status_is_final(status) && job->requeues < 2 && chance(soak) < 0.15)
        request_job_status(soak, job, "requeueing");
    else if (!paused && is_settled(soak, job) && fl_job_fetch_tasks(soak->looker, job->id, on_tasks, soak) == 0)
        return;
    look_later(soak);
}

static void look(void *ctx)
{
    struct soak *soak = ctx;
    restart_stuck_workers(soak);
    if (soak->drain)
        wake_one(soak);
    if (!soak->book.jobs_len) {
        if (soak->drain && !soak->submitting)
            finish(soak, FL_EXIT_OK);
        else
            look_later(soak);
        return;
    }
    soak->next_look = (soak->next_look + 1) % soak->book.jobs_len;
    soak->looked_at = soak->book.jobs[soak->next_look];
    soak->looked_at_us = fl_now_us();
    if (fl_job_fetch(soak->looker, soak->looked_at->id, on_job, soak) < 0)
        look_later(soak);
}

/* ---- the end ---- */

static void on_signed_off(void *ctx)
{
    struct soak *soak = ctx;
    fl_loop_quit(soak->loop);
}

/* Statuses that a Worker must never see; the reference's rules for it are strict. */
static void check_answers(struct soak *soak)
{
    for (int op = 0; op <= FL_OP_SIGN_OFF; op++) {
        for (int status = 300; status < 600; status++) {
            uint64_t n = soak->stats.op[op].by_status[status];
            bool normal =
                (status == 409 && op >= FL_OP_ASK && op <= FL_OP_FAILED) || (status == 423 && op == FL_OP_ASK);
            if (n && !normal)
                fl_book_violation(&soak->book, "%s was answered with %d, %" PRIu64 " times", fl_op_name((fl_op)op),
                                  status, n);
        }
    }
}

static void finish(struct soak *soak, int exit_code)
{
    if (soak->ended)
        return;
    soak->ended = true;
    soak->exit_code = exit_code;
    fl_timer_stop(soak->loop, &soak->look);
    fl_timer_stop(soak->loop, &soak->deadline);
    for (size_t i = 0; i < soak->book.jobs_len && exit_code == FL_EXIT_TIMEOUT; i++) {
        const fl_book_job *job = soak->book.jobs[i];
        fl_book_violation(&soak->book, "job %s did not come to an end: %s, %u workers at it", job->id, job->status,
                          job->holders);
    }
    check_answers(soak);
    fl_farm_sign_off(soak->farm, on_signed_off, soak);
}

static void on_deadline(void *ctx)
{
    finish(ctx, FL_EXIT_TIMEOUT);
}

static void on_drain(void *ctx)
{
    struct soak *soak = ctx;
    soak->drain = true;
    fl_timer_stop(soak->loop, &soak->disturb);
    fl_timer_start(soak->loop, &soak->deadline, soak->opt->timeout_us);
}

static void on_signal(void *ctx, int signo)
{
    struct soak *soak = ctx;
    (void)signo;
    if (soak->ended)
        _exit(FL_EXIT_INTERRUPTED);
    finish(soak, FL_EXIT_INTERRUPTED);
}

static void report(struct soak *soak)
{
    const fl_book *b = &soak->book;
    double seconds = (double)(fl_now_us() - soak->began_us) / 1e6;
    if (soak->opt->json) {
        json_t *json = json_pack(
            "{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "seconds", seconds, "seed",
            (json_int_t)soak->opt->seed, "jobs_verified", (json_int_t)b->jobs_verified, "jobs_completed",
            (json_int_t)b->jobs_completed, "jobs_failed", (json_int_t)b->jobs_failed, "jobs_canceled",
            (json_int_t)b->jobs_canceled, "completions_acknowledged", (json_int_t)b->completions_acked,
            "completions_verified", (json_int_t)b->acked_verified, "failures_reported", (json_int_t)b->failures_acked,
            "reassigned", (json_int_t)b->reassigned, "connections_cut", (json_int_t)soak->cuts, "workers_vanished",
            (json_int_t)soak->vanished, "disturbances", (json_int_t)soak->disturbances, "violations",
            (json_int_t)b->violations, "operations", fl_stats_json(&soak->stats));
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
        return;
    }
    printf("%.1f s, seed %" PRIu64 ": %" PRIu64 " jobs checked (%" PRIu64 " completed, %" PRIu64 " failed, %" PRIu64
           " canceled) with %" PRIu64 " tasks\n",
           seconds, soak->opt->seed, b->jobs_verified, b->jobs_completed, b->jobs_failed, b->jobs_canceled,
           b->tasks_verified);
    printf("%" PRIu64 " completions acknowledged (%" PRIu64 " of them undisturbed and found), %" PRIu64
           " failures reported, %" PRIu64 " updates reassigned\n",
           b->completions_acked, b->acked_verified, b->failures_acked, b->reassigned);
    printf("%" PRIu64 " connections cut, %" PRIu64 " workers vanished, %" PRIu64 " disturbances, %" PRIu64
           " jobs requeued to bring them to an end\n",
           soak->cuts, soak->vanished, soak->disturbances, soak->nudges);
    if (soak->restarted)
        printf("%" PRIu64 " workers restarted because the manager no longer served them\n", soak->restarted);
    fl_stats_print(&soak->stats, stdout);
    printf("%" PRIu64 " violations\n", b->violations);
}

/* ---- life ---- */

static void on_version(void *ctx, const fl_reply *reply)
{
    struct soak *soak = ctx;
    if (reply->status != 200) {
        char text[200];
        fl_reply_describe(reply, text, sizeof text);
        fprintf(stderr, "farm-sim: cannot reach a manager at %s: %s\n", fl_client_url(soak->farm->client), text);
        soak->exit_code = FL_EXIT_UNREACHABLE;
        fl_loop_quit(soak->loop);
        return;
    }
    soak->began_us = fl_now_us();
    fl_farm_start(soak->farm);
    submit_if_needed(soak);
    look_later(soak);
    fl_timer_start(soak->loop, &soak->disturb, 500000);
    fl_timer_start(soak->loop, &soak->draining, soak->opt->duration_us);
}

static bool set_up_workers(struct soak *soak)
{
    soak->workers = calloc(soak->farm->workers_len, sizeof *soak->workers);
    if (!soak->workers)
        return false;
    for (uint32_t i = 0; i < soak->farm->workers_len; i++) {
        struct soak_worker *sw = &soak->workers[i];
        *sw = (struct soak_worker){ .soak = soak, .w = soak->farm->workers[i] };
        fl_timer_init(&sw->vanish, on_vanish, sw);
        fl_timer_init(&sw->back, on_back, sw);
    }
    return true;
}

static bool set_up(struct soak *soak)
{
    soak->loop = fl_loop_create(on_signal, soak);
    soak->farm = soak->loop ? fl_farm_create(soak->opt, soak->loop, &soak->stats) : NULL;
    if (!fl_book_init(&soak->book) || !soak->farm || !set_up_workers(soak))
        return false;
    soak->looker = fl_conn_create(soak->farm->client, NULL, NULL);
    soak->disturber = fl_conn_create(soak->farm->client, NULL, NULL);
    soak->submitter = fl_conn_create(soak->farm->client, NULL, NULL);
    if (!soak->looker || !soak->disturber || !soak->submitter)
        return false;
    fl_timer_init(&soak->look, look, soak);
    fl_timer_init(&soak->disturb, disturb, soak);
    fl_timer_init(&soak->submit_retry, submit_if_needed, soak);
    fl_timer_init(&soak->draining, on_drain, soak);
    fl_timer_init(&soak->deadline, on_deadline, soak);
    soak->farm->hooks = (fl_hooks){ .ctx = soak,
                                    .on_change = on_worker_change,
                                    .on_assigned = on_assigned,
                                    .on_task_end = on_task_end,
                                    .on_update = on_update,
                                    .task_shall_fail = task_shall_fail,
                                    .choose_cut = choose_cut };
    fl_request request = { .op = FL_OP_OTHER, .method = "GET", .path = "/api/v3/version" };
    return fl_conn_send(soak->looker, &request, on_version, soak) == 0;
}

int fl_soak_run(const fl_options *opt)
{
    struct soak *soak = calloc(1, sizeof *soak);
    if (!soak)
        return FL_EXIT_FAILED;
    soak->opt = opt;
    soak->exit_code = FL_EXIT_FAILED;
    int exit_code = FL_EXIT_FAILED;
    if (set_up(soak) && fl_loop_run(soak->loop) == 0) {
        exit_code = soak->exit_code;
        if (soak->ended) {
            if (soak->book.violations && exit_code == FL_EXIT_OK)
                exit_code = FL_EXIT_FAILED;
            report(soak);
        }
    }
    fl_conn_destroy(soak->looker);
    fl_conn_destroy(soak->disturber);
    fl_conn_destroy(soak->submitter);
    fl_farm_destroy(soak->farm);
    fl_loop_destroy(soak->loop);
    json_decref(soak->looked_at_reply);
    fl_book_fini(&soak->book);
    free(soak->workers);
    free(soak);
    return exit_code;
}
