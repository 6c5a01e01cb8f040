/* SPDX-License-Identifier: Apache-2.0
 * farm-sim demo: a few Workers, one sample job, watched until it ends. Called by main.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "farm.h"
#include "job.h"
#include "modes.h"
#include "screen.h"
#include "worker.h"

static const int64_t look_period_us = 300000;
static const int64_t redraw_period_us = 100000;

struct demo {
    const fl_options *opt;
    fl_loop *loop;
    fl_stats stats;
    fl_farm *farm;
    fl_conn *conn; /* the user's */
    fl_screen screen;
    fl_job_view view;
    char job_name[64], job_id[37], *etag;
    bool submitting;
    int exit_code;
    fl_timer deadline, look_timer, redraw_timer;
};

static void end(struct demo *demo, int exit_code);

/* ---- the end ---- */

static void on_signed_off(void *ctx)
{
    struct demo *demo = ctx;
    fl_loop_quit(demo->loop);
}

static void end(struct demo *demo, int exit_code)
{
    demo->exit_code = exit_code;
    fl_timer_stop(demo->loop, &demo->deadline);
    fl_timer_stop(demo->loop, &demo->look_timer);
    fl_conn_cancel(demo->conn, FL_LANE_MAIN);
    if (demo->opt->quit_workers || exit_code == FL_EXIT_INTERRUPTED)
        fl_farm_sign_off(demo->farm, on_signed_off, demo);
    else
        fl_loop_quit(demo->loop);
}

static void give_up(struct demo *demo, int exit_code, const char *what, const fl_reply *reply)
{
    char text[200];
    fl_reply_describe(reply, text, sizeof text);
    fprintf(stderr, "farm-sim: %s %s: %s\n", what, fl_client_url(demo->farm->client), text);
    end(demo, exit_code);
}

static void on_deadline(void *ctx)
{
    struct demo *demo = ctx;
    if (demo->view.started_us)
        fl_screen_draw(&demo->screen, demo->farm, &demo->view);
    fprintf(stderr, "farm-sim: the job is not completed after %.0f s: %s\n", (double)demo->opt->timeout_us / 1e6,
            *demo->view.status ? demo->view.status : "not submitted yet");
    end(demo, FL_EXIT_TIMEOUT);
}

static void on_signal(void *ctx, int signo)
{
    struct demo *demo = ctx;
    (void)signo;
    if (demo->exit_code == FL_EXIT_INTERRUPTED)
        _exit(FL_EXIT_INTERRUPTED);
    fprintf(stderr, "farm-sim: interrupted, signing the workers off\n");
    end(demo, FL_EXIT_INTERRUPTED);
}

/* ---- watching the job ---- */

static void draw_now(void *ctx)
{
    struct demo *demo = ctx;
    if (*demo->view.status)
        fl_screen_draw(&demo->screen, demo->farm, &demo->view);
}

static void draw_soon(struct demo *demo)
{
    if (!demo->redraw_timer.place)
        fl_timer_start(demo->loop, &demo->redraw_timer, redraw_period_us);
}

static void on_final(struct demo *demo)
{
    bool good = strcmp(demo->view.status, "completed") == 0;
    double seconds = (double)(fl_now_us() - demo->view.started_us) / 1e6;
    fl_timer_stop(demo->loop, &demo->redraw_timer);
    draw_now(demo);
    if (demo->opt->json) {
        json_t *json = json_pack("{s:s, s:s, s:i, s:i, s:f}", "job", demo->job_id, "status", demo->view.status, "tasks",
                                 (int)demo->view.tasks, "tasks_completed", (int)demo->view.by_status[FL_TASK_COMPLETED],
                                 "seconds", seconds);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    }
    demo->screen.drawn = 0; /* the last picture stays */
    if (good)
        fl_screen_say(&demo->screen, "\nThe job is completed: %u tasks in %.1f s.", demo->view.tasks, seconds);
    else
        fprintf(stderr, "farm-sim: the job ended as %s\n", demo->view.status);
    end(demo, good ? FL_EXIT_OK : FL_EXIT_FAILED);
}

static void look_again(struct demo *demo)
{
    draw_soon(demo);
    fl_timer_start(demo->loop, &demo->look_timer, look_period_us);
}

static void on_tasks(void *ctx, const fl_reply *reply)
{
    struct demo *demo = ctx;
    json_t *json = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const json_t *tasks = json_object_get(json, "tasks");
    demo->view.unreachable = reply->status == 0;
    if (json_is_array(tasks)) {
        memset(demo->view.by_status, 0, sizeof demo->view.by_status);
        demo->view.tasks = (uint32_t)json_array_size(tasks);
        size_t i;
        json_t *task;
        json_array_foreach(tasks, i, task)
            demo->view.by_status[fl_task_status_of(json_string_value(json_object_get(task, "status")))]++;
    }
    json_decref(json);
    if (fl_job_status_is_final(demo->view.status))
        on_final(demo);
    else
        look_again(demo);
}

static void on_job(void *ctx, const fl_reply *reply)
{
    struct demo *demo = ctx;
    json_t *job = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(job, "status"));
    demo->view.unreachable = reply->status == 0;
    if (!status && reply->status) {
        give_up(demo, FL_EXIT_FAILED, "the job cannot be looked at, at", reply);
    } else if (!status) {
        look_again(demo);
    } else {
        snprintf(demo->view.status, sizeof demo->view.status, "%s", status);
        demo->view.steps_done = json_integer_value(json_object_get(job, "steps_completed"));
        demo->view.steps_total = json_integer_value(json_object_get(job, "steps_total"));
        if (fl_job_fetch_tasks(demo->conn, demo->job_id, on_tasks, demo) < 0)
            look_again(demo);
    }
    json_decref(job);
}

static void look(void *ctx)
{
    struct demo *demo = ctx;
    if (fl_job_fetch(demo->conn, demo->job_id, on_job, demo) < 0)
        look_again(demo);
}

/* ---- the way there ---- */

static void on_submitted(void *ctx, const fl_reply *reply)
{
    struct demo *demo = ctx;
    if (!fl_job_read_id(reply, demo->job_id)) {
        give_up(demo, FL_EXIT_FAILED, "the job was not accepted by", reply);
        return;
    }
    fl_screen_say(&demo->screen, "Submitted \"%s\": %s/app/#/jobs/%s", demo->job_name,
                  fl_client_url(demo->farm->client), demo->job_id);
    snprintf(demo->view.status, sizeof demo->view.status, "queued");
    look(demo);
}

static void submit(struct demo *demo)
{
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(demo->job_name, sizeof demo->job_name, "farm-sim demo %H:%M:%S", &tm);
    fl_job_spec spec = {
        .name = demo->job_name,
        .type = demo->opt->job_type,
        .etag = demo->etag,
        .settings = demo->opt->settings,
        .frames = demo->opt->frames,
        .chunk = demo->opt->chunk,
        .repeats = demo->opt->workers * 2,
        .video = true,
    };
    char *body = fl_job_make_body(&spec);
    demo->submitting = true;
    demo->view.name = demo->job_name;
    demo->view.started_us = fl_now_us();
    if (!body || fl_job_submit(demo->conn, body, on_submitted, demo) < 0)
        end(demo, FL_EXIT_FAILED);
    free(body);
}

static void on_worker_change(void *ctx, fl_worker *w)
{
    struct demo *demo = ctx;
    if (demo->farm->stopping)
        return;
    if (w->phase == FL_PHASE_FAILED) {
        fprintf(stderr, "farm-sim: %s: %s\n", w->name, w->problem);
        end(demo, FL_EXIT_FAILED);
        return;
    }
    if (!demo->screen.tty && (w->phase == FL_PHASE_ASLEEP || w->phase == FL_PHASE_ENDED))
        fl_screen_say(&demo->screen, "%s is %s", w->name, fl_phase_name(w->phase));
    draw_soon(demo);
}

static bool on_worker_awake(void *ctx, fl_worker *w)
{
    struct demo *demo = ctx;
    (void)w;
    if (!demo->submitting && fl_farm_is_up(demo->farm))
        submit(demo);
    return false;
}

static void on_assigned(void *ctx, fl_worker *w, const char *task_id, const char *job_id)
{
    struct demo *demo = ctx;
    (void)job_id;
    if (!demo->screen.tty && demo->opt->verbose)
        fl_screen_say(&demo->screen, "%s runs task %s", w->name, task_id);
}

static bool task_shall_fail(void *ctx, fl_worker *w)
{
    struct demo *demo = ctx;
    (void)w;
    return fl_farm_random(demo->farm) < demo->opt->fail_rate;
}

static void on_job_type(void *ctx, const fl_reply *reply)
{
    struct demo *demo = ctx;
    json_t *json = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *etag = json_string_value(json_object_get(json, "etag"));
    if (!json) {
        char what[120];
        snprintf(what, sizeof what, "there is no job type %s at", demo->opt->job_type);
        give_up(demo, FL_EXIT_FAILED, what, reply);
        return;
    }
    demo->etag = etag ? strdup(etag) : NULL;
    json_decref(json);
    fl_screen_say(&demo->screen, "Starting %u workers", demo->opt->workers);
    fl_farm_start(demo->farm);
}

static void on_version(void *ctx, const fl_reply *reply)
{
    struct demo *demo = ctx;
    if (!reply->status) {
        give_up(demo, FL_EXIT_UNREACHABLE, "cannot reach a manager at", reply);
        return;
    }
    json_t *json = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *version = json_string_value(json_object_get(json, "version"));
    if (!version) {
        give_up(demo, FL_EXIT_UNREACHABLE, "this is not a Flamenco Manager:", reply);
        json_decref(json);
        return;
    }
    const char *name = json_string_value(json_object_get(json, "name"));
    fl_screen_say(&demo->screen, "%s %s at %s", name ? name : "Manager", version, fl_client_url(demo->farm->client));
    json_decref(json);
    char path[160];
    snprintf(path, sizeof path, "/api/v3/jobs/type/%s", demo->opt->job_type);
    fl_request request = { .op = FL_OP_OTHER, .method = "GET", .path = path };
    if (fl_conn_send(demo->conn, &request, on_job_type, demo) < 0)
        end(demo, FL_EXIT_FAILED);
}

static bool set_up(struct demo *demo)
{
    demo->loop = fl_loop_create(on_signal, demo);
    demo->farm = demo->loop ? fl_farm_create(demo->opt, demo->loop, &demo->stats) : NULL;
    demo->conn = demo->farm ? fl_conn_create(demo->farm->client, NULL, NULL) : NULL;
    if (!demo->conn)
        return false;
    demo->farm->hooks = (fl_hooks){ .ctx = demo,
                                    .on_change = on_worker_change,
                                    .on_awake = on_worker_awake,
                                    .on_assigned = on_assigned,
                                    .task_shall_fail = task_shall_fail };
    fl_screen_init(&demo->screen, demo->opt->json);
    fl_timer_init(&demo->deadline, on_deadline, demo);
    fl_timer_init(&demo->look_timer, look, demo);
    fl_timer_init(&demo->redraw_timer, draw_now, demo);
    fl_request request = { .op = FL_OP_OTHER, .method = "GET", .path = "/api/v3/version" };
    return fl_conn_send(demo->conn, &request, on_version, demo) == 0 &&
           (!demo->opt->timeout_us || fl_timer_start(demo->loop, &demo->deadline, demo->opt->timeout_us));
}

int fl_demo_run(const fl_options *opt)
{
    struct demo *demo = calloc(1, sizeof *demo);
    if (!demo)
        return FL_EXIT_FAILED;
    demo->opt = opt;
    demo->exit_code = FL_EXIT_FAILED;
    int exit_code = FL_EXIT_FAILED;
    if (set_up(demo) && fl_loop_run(demo->loop) == 0)
        exit_code = demo->exit_code;
    if (demo->farm)
        fl_conn_destroy(demo->conn);
    fl_farm_destroy(demo->farm);
    fl_loop_destroy(demo->loop);
    free(demo->etag);
    free(demo);
    return exit_code;
}
