/* SPDX-License-Identifier: Apache-2.0
 * The Worker's way through one task; see run.h. Started by worker.c.
 *
 * Every step ends in one update that is under way; run->next is where things go on when it was answered. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "image.h"
#include "worker.h"

static const double may_run_period_s = 10;
static const double log_period_s = 30;
enum { LOG_CHUNK_BYTES = 10240 };

static void run_command(fl_worker *w);
static void next_frame(fl_worker *w);

/* ---- the end ---- */

static void put_down(fl_worker *w)
{
    fl_run *run = &w->run;
    fl_timer_stop(w->farm->loop, &run->timer);
    fl_timer_stop(w->farm->loop, &run->may_run_timer);
    fl_conn_cancel(w->conn, FL_LANE_MAY_RUN);
    json_decref(run->task);
    run->task = NULL;
    fl_text_clear(&run->log);
}

static void end_task(fl_worker *w, fl_outcome outcome)
{
    put_down(w);
    fl_worker_task_done(w, outcome);
}

void fl_run_stop(fl_worker *w)
{
    fl_updates_stop(w);
    if (w->run.task)
        put_down(w);
    fl_text_free(&w->run.log);
}

/* ---- updates ---- */

static void on_update_result(fl_worker *w, fl_update_result result)
{
    fl_run *run = &w->run;
    if (!run->task)
        return;
    if (run->aborted) {
        end_task(w, FL_OUTCOME_ABORTED);
        return;
    }
    if (result == FL_UPDATE_REASSIGNED) {
        end_task(w, FL_OUTCOME_REASSIGNED);
        return;
    }
    run->next(w);
}

/* Sends {"activity": …, more}; more is JSON text beginning with a comma, or empty. Goes on at next. */
static void send_update(fl_worker *w, fl_update_kind kind, const char *activity, const char *more,
                        fl_on_update_result on_result, void (*next)(fl_worker *))
{
    fl_text body = { 0 };
    fl_text_add(&body, "{\"activity\":");
    fl_text_add_json(&body, activity, strlen(activity));
    fl_text_add(&body, "%s}", more);
    w->run.next = next;
    if (body.failed)
        on_result(w, FL_UPDATE_REFUSED);
    else
        fl_updates_send(w, kind, body.ptr, body.len, on_result);
    fl_text_free(&body);
}

static void after_failed(fl_worker *w)
{
    end_task(w, FL_OUTCOME_FAILED);
}

static void fail_task(fl_worker *w, const char *reason)
{
    fl_run *run = &w->run;
    char activity[200];
    snprintf(activity, sizeof activity, "Failed: %s", reason);
    fl_farm_log(w->farm, w, "task %s: %s", run->name, activity);
    fl_text more = { 0 };
    fl_text_add(&more, ",\"log\":");
    fl_text_add_json(&more, activity, strlen(activity));
    fl_text_add(&more, ",\"taskStatus\":\"failed\"");
    fl_text_clear(&run->log);
    send_update(w, FL_UPDATE_FAILED, activity, more.ptr ? more.ptr : "", on_update_result, after_failed);
    fl_text_free(&more);
}

/* A log update that is refused fails the running command: the one answer where the Worker is strict. */
static void on_log_result(fl_worker *w, fl_update_result result)
{
    if (w->run.task && !w->run.aborted && result == FL_UPDATE_REFUSED)
        fail_task(w, "the manager refused the task log");
    else
        on_update_result(w, result);
}

/* Sends the collected log, if any, and goes on at next. */
static void flush_log(fl_worker *w, void (*next)(fl_worker *))
{
    fl_run *run = &w->run;
    if (!run->log.len || run->log.failed) {
        next(w);
        return;
    }
    fl_text body = { 0 };
    fl_text_add(&body, "{\"log\":");
    fl_text_add_json(&body, run->log.ptr, run->log.len);
    fl_text_add(&body, "}");
    fl_text_clear(&run->log);
    run->log_sent_us = fl_now_us();
    run->next = next;
    if (body.failed)
        next(w);
    else
        fl_updates_send(w, FL_UPDATE_LOG, body.ptr, body.len, on_log_result);
    fl_text_free(&body);
}

static bool log_is_due(const fl_worker *w)
{
    const fl_run *run = &w->run;
    return run->log.len > LOG_CHUNK_BYTES || fl_now_us() - run->log_sent_us > fl_farm_scaled_us(w->farm, log_period_s);
}

static void send_steps(fl_worker *w, void (*next)(fl_worker *))
{
    char more[48];
    snprintf(more, sizeof more, ",\"steps_completed\":%" PRId64, ++w->run.steps);
    fl_worker_changed(w);
    send_update(w, FL_UPDATE_STEPS, "Progress", more, on_update_result, next);
}

/* ---- may-i-run ---- */

static void ask_may_run(void *ctx);

static void on_may_run(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    json_t *answer = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    bool no = json_is_false(json_object_get(answer, "mayKeepRunning"));
    if (no) {
        const char *reason = json_string_value(json_object_get(answer, "reason"));
        fl_farm_log(w->farm, w, "may not keep running: %s", reason ? reason : "");
    }
    json_decref(answer);
    if (!no) {
        fl_timer_start(w->farm->loop, &w->run.may_run_timer, fl_farm_scaled_us(w->farm, may_run_period_s));
        return;
    }
    w->run.aborted = true;
    fl_timer_stop(w->farm->loop, &w->run.timer);
    if (!w->updates.under_way)
        end_task(w, FL_OUTCOME_ABORTED);
}

static void ask_may_run(void *ctx)
{
    fl_worker *w = ctx;
    char path[96];
    snprintf(path, sizeof path, "/api/v3/worker/task/%s/may-i-run", w->run.task_id);
    fl_request request = { .op = FL_OP_MAY_I_RUN, .lane = FL_LANE_MAY_RUN, .method = "GET", .path = path };
    fl_worker_send(w, &request, on_may_run);
}

/* ---- commands ---- */

static const json_t *current_command(const fl_worker *w)
{
    return json_array_get(json_object_get(w->run.task, "commands"), w->run.command);
}

static const json_t *parameter(const fl_worker *w, const char *name)
{
    return json_object_get(json_object_get(current_command(w), "parameters"), name);
}

static void after_command(fl_worker *w)
{
    w->run.command++;
    run_command(w);
}

static void finish_command(fl_worker *w)
{
    if (json_integer_value(json_object_get(current_command(w), "total_step_count")) <= 0)
        send_steps(w, after_command);
    else
        after_command(w);
}

/* The time of a command without steps of its own is over. */
static void on_plain_command_end(void *ctx)
{
    fl_worker *w = ctx;
    fl_run *run = &w->run;
    if (run->doomed) {
        fail_task(w, "exit status 11 (simulated)");
        return;
    }
    const char *name = json_string_value(json_object_get(current_command(w), "name"));
    if (name && strcmp(name, "frames-to-video") == 0)
        fl_text_add(&run->log, "pid=%u > frame= 48 fps= 30 q=-1.0 size= 512kB time=00:00:02.00\n", run->pid);
    else if (name && strcmp(name, "sleep") == 0)
        fl_text_add(&run->log, "slept");
    flush_log(w, finish_command);
}

static void take_time(fl_worker *w, double seconds, fl_loop_on_timer then)
{
    fl_timer_restart(w->farm->loop, &w->run.timer, then, w, fl_farm_scaled_us(w->farm, seconds));
}

/* Frames of "1..3,7", the form in which render tasks name them. 0 for text of another form. */
static int64_t count_frames(const char *range, int64_t *first)
{
    int64_t count = 0;
    while (*range) {
        char *end;
        int64_t from = strtoll(range, &end, 10), to = from;
        if (end == range)
            return 0;
        if (end[0] == '.' && end[1] == '.')
            to = strtoll(end + 2, &end, 10);
        if (!count)
            *first = from;
        count += to >= from ? to - from + 1 : 0;
        range = *end == ',' ? end + 1 : end;
        if (range == end && *end)
            return 0;
    }
    return count;
}

static void after_last_frame(fl_worker *w)
{
    fl_text_add(&w->run.log, "pid=%u > Blender quit\n", w->run.pid);
    flush_log(w, finish_command);
}

static void after_frame(fl_worker *w)
{
    fl_run *run = &w->run;
    run->frame++;
    if (--run->frames_left > 0)
        next_frame(w);
    else
        after_last_frame(w);
}

static void report_frame(fl_worker *w)
{
    if (w->farm->opt->images)
        fl_image_send(w, w->run.frame);
    send_steps(w, after_frame);
}

static void on_frame_rendered(void *ctx)
{
    fl_worker *w = ctx;
    fl_run *run = &w->run;
    if (run->doomed && (run->frames_left <= 1 || fl_farm_random(w->farm) < 0.3)) {
        fail_task(w, "exit status 11 (simulated)");
        return;
    }
    for (int part = 1; part <= 4; part++)
        fl_text_add(&run->log, "pid=%u > Fra:%" PRId64 " Mem:58.21M (Peak 61.07M) | Rendering %d / 64 samples\n",
                    run->pid, run->frame, part * 16);
    fl_text_add(&run->log, "pid=%u > Saved: '/render/%06" PRId64 ".png'\n", run->pid, run->frame);
    fl_text_add(&run->log, "pid=%u > Time: 00:00.51 (Saving: 00:00.02)\n", run->pid);
    if (log_is_due(w))
        flush_log(w, report_frame);
    else
        report_frame(w);
}

static double seconds_per_frame(const fl_worker *w)
{
    const fl_options *opt = w->farm->opt;
    if (opt->task_us)
        return (double)opt->task_us / 1e6 / (double)(w->run.steps_total > 0 ? w->run.steps_total : 1);
    return (double)opt->frame_us / 1e6;
}

static void next_frame(fl_worker *w)
{
    take_time(w, seconds_per_frame(w), on_frame_rendered);
}

/* Returns false when the task has failed. */
static bool read_files(fl_worker *w, const char *blendfile)
{
    fl_files files;
    char problem[160];
    if (fl_files_read(blendfile, &files, problem, sizeof problem) < 0) {
        fail_task(w, problem);
        return false;
    }
    fl_text_add(&w->run.log, "pid=%u > Read %" PRIu64 " files, %" PRIu64 " bytes, sum %016" PRIx64 "\n", w->run.pid,
                files.count, files.bytes, files.sum);
    return true;
}

static void start_render(fl_worker *w)
{
    fl_run *run = &w->run;
    const json_t *args = parameter(w, "args"), *blendfile = parameter(w, "blendfile");
    const char *exe = json_string_value(parameter(w, "exe"));
    if (!exe || !*exe || !json_is_string(blendfile)) {
        fail_task(w, "invalid parameters of blender-render");
        return;
    }
    const char *range = NULL;
    for (size_t i = 0; i + 1 < json_array_size(args); i++) {
        const char *arg = json_string_value(json_array_get(args, i));
        if (arg && strcmp(arg, "--render-frame") == 0)
            range = json_string_value(json_array_get(args, i + 1));
    }
    run->frame = 1;
    run->frames_left = range ? count_frames(range, &run->frame) : 0;
    fl_text_add(&run->log, "pid=%u > Blender 4.2.1 (simulated), file %s\n", run->pid, json_string_value(blendfile));
    if (w->farm->opt->read_files && !read_files(w, json_string_value(blendfile)))
        return;
    if (run->frames_left > 0)
        next_frame(w);
    else
        after_last_frame(w);
}

static bool has_text(const fl_worker *w, const char *name)
{
    const char *value = json_string_value(parameter(w, name));
    return value && *value;
}

/* What the Worker insists on. Returns NULL when the parameters are good. */
static const char *check_parameters(const fl_worker *w, const char *name)
{
    if (strcmp(name, "echo") == 0)
        return parameter(w, "message") ? NULL : "echo without message";
    if (strcmp(name, "sleep") == 0) {
        const json_t *d = parameter(w, "duration_in_seconds");
        return json_is_number(d) && json_number_value(d) >= 0 ? NULL : "sleep without a good duration_in_seconds";
    }
    if (strcmp(name, "frames-to-video") == 0) {
        const json_t *fps = parameter(w, "fps");
        if (!json_is_number(fps) || json_number_value(fps) == 0)
            return "frames-to-video without a good fps";
        return has_text(w, "exe") && has_text(w, "inputGlob") && has_text(w, "outputFile")
                   ? NULL
                   : "frames-to-video with missing parameters";
    }
    if (strcmp(name, "exec") == 0)
        return has_text(w, "exe") ? NULL : "exec without exe";
    if (strcmp(name, "make-directory") == 0)
        return has_text(w, "path") ? NULL : "make-directory without path";
    if (strcmp(name, "move-directory") == 0 || strcmp(name, "copy-file") == 0)
        return has_text(w, "src") && has_text(w, "dest") ? NULL : "src or dest missing";
    return "unknown command";
}

static void start_plain_command(fl_worker *w, const char *name)
{
    fl_run *run = &w->run;
    const fl_options *opt = w->farm->opt;
    const char *wrong = check_parameters(w, name);
    if (wrong) {
        fail_task(w, wrong);
        return;
    }
    double seconds = (double)opt->frame_us / 1e6;
    if (strcmp(name, "echo") == 0) {
        char *message = json_dumps(parameter(w, "message"), JSON_ENCODE_ANY | JSON_COMPACT);
        fl_text_add(&run->log, "echo: %s", message ? message : "");
        free(message);
        seconds = 0;
    } else if (strcmp(name, "sleep") == 0) {
        /* The Worker cuts the fraction off. */
        seconds = (double)(int64_t)json_number_value(parameter(w, "duration_in_seconds"));
    } else {
        fl_text_add(&run->log, "pid=%u > %s (simulated)\n", run->pid, name);
    }
    if (opt->task_us)
        seconds = (double)opt->task_us / 1e6;
    take_time(w, seconds, on_plain_command_end);
}

static void after_completed(fl_worker *w)
{
    w->tasks_done++;
    end_task(w, FL_OUTCOME_COMPLETED);
}

static void run_command(fl_worker *w)
{
    fl_run *run = &w->run;
    const json_t *command = current_command(w);
    if (!command) {
        send_update(w, FL_UPDATE_COMPLETED, "Completed", ",\"taskStatus\":\"completed\"", on_update_result,
                    after_completed);
        return;
    }
    run->pid = 1000 + (unsigned)(fl_farm_random(w->farm) * 30000);
    run->log_sent_us = fl_now_us();
    const char *name = json_string_value(json_object_get(command, "name"));
    if (name && strcmp(name, "blender-render") == 0)
        start_render(w);
    else
        start_plain_command(w, name ? name : "");
}

/* ---- the beginning ---- */

static void on_started(fl_worker *w, fl_update_result result)
{
    fl_run *run = &w->run;
    if (!run->task)
        return;
    if (run->aborted)
        end_task(w, FL_OUTCOME_ABORTED);
    else if (result != FL_UPDATE_OK)
        end_task(w, result == FL_UPDATE_REASSIGNED ? FL_OUTCOME_REASSIGNED : FL_OUTCOME_DROPPED);
    else
        run_command(w);
}

void fl_run_init(fl_worker *w)
{
    fl_timer_init(&w->run.timer, NULL, w);
    fl_timer_init(&w->run.may_run_timer, ask_may_run, w);
}

void fl_run_start(fl_worker *w, json_t *task)
{
    fl_run *run = &w->run;
    run->task = task;
    run->task_id = json_string_value(json_object_get(task, "uuid"));
    run->job_id = json_string_value(json_object_get(task, "job"));
    run->name = json_string_value(json_object_get(task, "name"));
    if (!run->name)
        run->name = "";
    run->command = 0;
    run->steps = 0;
    run->steps_total = json_integer_value(json_object_get(task, "steps_total"));
    run->aborted = false;
    fl_text_clear(&run->log);
    const fl_hooks *hooks = &w->farm->hooks;
    run->doomed = hooks->task_shall_fail && hooks->task_shall_fail(hooks->ctx, w);
    fl_timer_start(w->farm->loop, &run->may_run_timer, fl_farm_scaled_us(w->farm, may_run_period_s));
    send_update(w, FL_UPDATE_ACTIVE, "Started", ",\"taskStatus\":\"active\"", on_started, NULL);
}
