/* SPDX-License-Identifier: Apache-2.0
 * Life of a simulated Worker; see worker.h. Driven by farm.c and the modes. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const double sign_on_retry_s = 5;
static const double first_ask_s = 3;
static const double after_task_s = 2;
static const double no_task_s = 20;
static const double failed_ask_s = 60;
static const double asleep_poll_s = 3;
static const double restart_s = 1; /* the process manager's */
/* Limits, not pauses: --time-scale does not shorten them. */
static const int64_t flush_limit_us = 5000000;
static const int64_t sign_off_limit_us = 3000000;

static void sign_on(void *ctx);
static void ask(void *ctx);
static void poll_state(void *ctx);
static void shut_down(fl_worker *w);

static const char *const phase_names[] = {
    [FL_PHASE_OFF] = "off",       [FL_PHASE_REGISTERING] = "registering",   [FL_PHASE_SIGNING_ON] = "signing on",
    [FL_PHASE_AWAKE] = "awake",   [FL_PHASE_ASKING] = "waiting for a task", [FL_PHASE_RUNNING] = "running",
    [FL_PHASE_ASLEEP] = "asleep", [FL_PHASE_SIGNING_OFF] = "signing off",   [FL_PHASE_ENDED] = "offline",
    [FL_PHASE_FAILED] = "failed",
};

const char *fl_phase_name(fl_phase phase)
{
    return phase_names[phase];
}

void fl_worker_changed(fl_worker *w)
{
    const fl_hooks *hooks = &w->farm->hooks;
    if (hooks->on_change)
        hooks->on_change(hooks->ctx, w);
}

static void enter(fl_worker *w, fl_phase phase)
{
    if (w->phase == phase)
        return;
    w->phase = phase;
    fl_farm_log(w->farm, w, "%s", phase_names[phase]);
    fl_worker_changed(w);
}

static void pause_us(fl_worker *w, fl_loop_on_timer then, int64_t delay_us)
{
    fl_timer_restart(w->farm->loop, &w->timer, then, w, delay_us);
}

void fl_worker_send(fl_worker *w, fl_request *request, fl_on_reply fn)
{
    const fl_hooks *hooks = &w->farm->hooks;
    if (hooks->choose_cut)
        request->cut = hooks->choose_cut(hooks->ctx, request->op, &request->cut_after_us);
    int rc = fl_conn_send(w->conn, request, fn, w);
    if (rc < 0) {
        fprintf(stderr, "farm-sim: %s: cannot send a request: %s\n", w->name, strerror(-rc));
        exit(EXIT_FAILURE);
    }
}

static void send_json(fl_worker *w, fl_op op, const char *path, json_t *body, fl_on_reply fn)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    fl_request request = {
        .op = op, .lane = FL_LANE_MAIN, .method = "POST", .path = path, .body = text, .len = text ? strlen(text) : 0
    };
    fl_worker_send(w, &request, fn);
    free(text);
    json_decref(body);
}

/* New reference, or NULL when the reply is not JSON by its type or by its text. */
static json_t *parse_reply(const fl_reply *reply)
{
    return reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
}

/* The status that the manager asks for; "" when the reply has none. */
static void read_wanted(const fl_reply *reply, char wanted[32])
{
    json_t *json = parse_reply(reply);
    const char *status = json_string_value(json_object_get(json, "status_requested"));
    snprintf(wanted, 32, "%s", status ? status : "");
    json_decref(json);
}

static void end_start(fl_worker *w)
{
    if (!w->counted)
        return;
    w->counted = false;
    fl_farm_started_one(w->farm);
}

/* Where the official Worker's process would have ended with an error. */
static void fail(fl_worker *w, const char *what, const fl_reply *reply)
{
    if (reply->status)
        snprintf(w->problem, sizeof w->problem, "%s was answered with %d", what, reply->status);
    else
        snprintf(w->problem, sizeof w->problem, "%s got no answer: %s", what, reply->error);
    fl_farm_log(w->farm, w, "%s", w->problem);
    enter(w, FL_PHASE_FAILED);
    end_start(w);
}

/* ---- registration and sign-on ---- */

static json_t *list_task_types(const fl_farm *farm)
{
    json_t *list = json_array();
    char *copy = strdup(farm->opt->task_types), *rest = copy, *type;
    while (copy && (type = strsep(&rest, ",")))
        if (*type)
            json_array_append_new(list, json_string(type));
    free(copy);
    return list;
}

static void on_registered(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    json_t *json = reply->status == 200 ? parse_reply(reply) : NULL;
    const char *uuid = json_string_value(json_object_get(json, "uuid"));
    if (!uuid || strlen(uuid) != 36) {
        json_decref(json);
        fail(w, "the registration", reply);
        return;
    }
    snprintf(w->uuid, sizeof w->uuid, "%s", uuid);
    json_decref(json);
    fl_farm_keep_credentials(w->farm, w->name, w->uuid, w->secret);
    if (fl_conn_set_identity(w->conn, w->uuid, w->secret) < 0) {
        fail(w, "the registration", reply);
        return;
    }
    w->registered_now = true;
    sign_on(w);
}

static void register_worker(fl_worker *w)
{
    uint8_t bytes[32];
    enter(w, FL_PHASE_REGISTERING);
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes || fl_conn_set_identity(w->conn, "", "") < 0) {
        fl_reply none = { .error = "no random bytes or memory" };
        fail(w, "the registration", &none);
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(w->secret + 2 * i, 3, "%02x", bytes[i]);
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "name", w->name, "platform", "linux", "secret", w->secret,
                             "supported_task_types", list_task_types(w->farm));
    send_json(w, FL_OP_REGISTER, "/api/v3/worker/register-worker", body, on_registered);
}

static void on_start_flushed(void *ctx)
{
    fl_worker *w = ctx;
    end_start(w);
    fl_worker_go_to(w, w->wanted);
}

static void on_signed_on(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    if (reply->status == 200)
        read_wanted(reply, w->wanted);
    if (reply->status == 200 && *w->wanted) {
        w->flush_phase_us = fl_now_us();
        fl_updates_flush(w, on_start_flushed, w);
    } else if (w->registered_now) {
        fail(w, "the sign-on", reply);
    } else if (reply->status == 0) {
        fl_farm_log(w->farm, w, "no answer to the sign-on: %s", reply->error);
        pause_us(w, sign_on, fl_farm_scaled_us(w->farm, sign_on_retry_s));
    } else {
        fl_farm_log(w->farm, w, "sign-on answered with %d: registering anew", reply->status);
        register_worker(w);
    }
}

static void sign_on(void *ctx)
{
    fl_worker *w = ctx;
    enter(w, FL_PHASE_SIGNING_ON);
    *w->wanted = 0;
    json_t *body = json_pack("{s:s, s:s, s:o, s:b}", "name", w->name, "software_version", "3.9", "supported_task_types",
                             list_task_types(w->farm), "can_restart", (int)w->farm->opt->can_restart);
    send_json(w, FL_OP_SIGN_ON, "/api/v3/worker/sign-on", body, on_signed_on);
}

/* ---- states ---- */

static void on_awake_told(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    const fl_hooks *hooks = &w->farm->hooks;
    if (reply->status != 204)
        fl_farm_log(w->farm, w, "state-changed answered with %d", reply->status);
    enter(w, FL_PHASE_AWAKE);
    if (!hooks->on_awake || !hooks->on_awake(hooks->ctx, w))
        fl_worker_ask_after(w, first_ask_s);
}

static void on_asleep_told(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    if (reply->status != 204)
        fl_farm_log(w->farm, w, "state-changed answered with %d", reply->status);
    pause_us(w, poll_state, fl_farm_scaled_us(w->farm, asleep_poll_s));
}

static void on_state(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    char wanted[32] = "";
    if (reply->status == 200)
        read_wanted(reply, wanted);
    if (*wanted)
        fl_worker_go_to(w, wanted);
    else
        pause_us(w, poll_state, fl_farm_scaled_us(w->farm, asleep_poll_s));
}

static void poll_state(void *ctx)
{
    fl_worker *w = ctx;
    fl_request request = { .op = FL_OP_STATE, .lane = FL_LANE_MAIN, .method = "GET", .path = "/api/v3/worker/state" };
    fl_worker_send(w, &request, on_state);
}

void fl_worker_go_to(fl_worker *w, const char *status)
{
    if (status != w->wanted)
        snprintf(w->wanted, sizeof w->wanted, "%s", status);
    if (strcmp(w->wanted, "offline") == 0 || strcmp(w->wanted, "restart") == 0) {
        w->restart = strcmp(w->wanted, "restart") == 0;
        shut_down(w);
        return;
    }
    bool awake = strcmp(w->wanted, "awake") == 0;
    enter(w, awake ? FL_PHASE_AWAKE : FL_PHASE_ASLEEP); /* whatever else is asked for, the Worker sleeps */
    send_json(w, FL_OP_STATE_CHANGED, "/api/v3/worker/state-changed",
              json_pack("{s:s}", "status", awake ? "awake" : "asleep"), awake ? on_awake_told : on_asleep_told);
}

/* ---- task loop ---- */

static bool is_task(const json_t *task)
{
    const char *uuid = json_string_value(json_object_get(task, "uuid"));
    const char *job = json_string_value(json_object_get(task, "job"));
    const json_t *commands = json_object_get(task, "commands");
    return uuid && strlen(uuid) == 36 && job && strlen(job) == 36 &&
           json_is_string(json_object_get(task, "task_type")) &&
           json_is_integer(json_object_get(task, "steps_total")) && (json_is_array(commands) || json_is_null(commands));
}

static void on_asked(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    const fl_hooks *hooks = &w->farm->hooks;
    enter(w, FL_PHASE_AWAKE);
    w->refusals = reply->status == 409 ? w->refusals + 1 : 0;
    if (reply->status == 200) {
        json_t *task = parse_reply(reply);
        if (is_task(task)) {
            if (hooks->on_assigned)
                hooks->on_assigned(hooks->ctx, w, json_string_value(json_object_get(task, "uuid")),
                                   json_string_value(json_object_get(task, "job")));
            fl_farm_log(w->farm, w, "task %s", json_string_value(json_object_get(task, "name")));
            enter(w, FL_PHASE_RUNNING);
            fl_run_start(w, task);
            return;
        }
        fl_farm_log(w->farm, w, "the task cannot be understood: %.200s", reply->body);
        json_decref(task);
    } else if (reply->status == 204) {
        fl_worker_ask_after(w, no_task_s);
        return;
    } else if (reply->status == 423) {
        char wanted[32];
        read_wanted(reply, wanted);
        if (*wanted) {
            fl_worker_go_to(w, wanted);
            return;
        }
    }
    if (reply->status != 200)
        fl_farm_log(w->farm, w, "task request answered with %d %s", reply->status, reply->error ? reply->error : "");
    fl_worker_ask_after(w, failed_ask_s);
}

static void ask(void *ctx)
{
    fl_worker *w = ctx;
    enter(w, FL_PHASE_ASKING);
    w->asked_us = fl_now_us();
    fl_request request = { .op = FL_OP_ASK, .lane = FL_LANE_MAIN, .method = "POST", .path = "/api/v3/worker/task" };
    fl_worker_send(w, &request, on_asked);
}

void fl_worker_ask_after(fl_worker *w, double seconds)
{
    pause_us(w, ask, fl_farm_pause_us(w->farm, seconds));
}

void fl_worker_task_done(fl_worker *w, fl_outcome outcome)
{
    const fl_hooks *hooks = &w->farm->hooks;
    enter(w, FL_PHASE_AWAKE);
    if (hooks->on_task_end)
        hooks->on_task_end(hooks->ctx, w, outcome);
    /* The 2 s after a task are exact, the 3 s before the request are not. */
    pause_us(w, ask, fl_farm_scaled_us(w->farm, after_task_s) + fl_farm_pause_us(w->farm, first_ask_s));
}

/* ---- shutdown ---- */

static void on_restart(void *ctx)
{
    fl_worker_start(ctx);
}

static void on_gone(fl_worker *w)
{
    fl_timer_stop(w->farm->loop, &w->timer);
    fl_updates_stop(w);
    for (int lane = 0; lane < FL_LANE_COUNT; lane++)
        fl_conn_cancel(w->conn, (fl_lane_id)lane);
    if (w->restart && !w->stopping) {
        enter(w, FL_PHASE_OFF);
        pause_us(w, on_restart, fl_farm_scaled_us(w->farm, restart_s));
        return;
    }
    enter(w, FL_PHASE_ENDED);
}

static void on_signed_off(void *ctx, const fl_reply *reply)
{
    fl_worker *w = ctx;
    if (reply->status != 204)
        fl_farm_log(w->farm, w, "sign-off answered with %d", reply->status);
    on_gone(w);
}

static void on_sign_off_limit(void *ctx)
{
    fl_worker *w = ctx;
    fl_farm_log(w->farm, w, "no answer to the sign-off in time");
    on_gone(w);
}

static void sign_off(void *ctx)
{
    fl_worker *w = ctx;
    fl_updates_stop(w);
    fl_conn_cancel(w->conn, FL_LANE_FLUSH);
    pause_us(w, on_sign_off_limit, sign_off_limit_us);
    fl_request request = {
        .op = FL_OP_SIGN_OFF, .lane = FL_LANE_MAIN, .method = "POST", .path = "/api/v3/worker/sign-off"
    };
    fl_worker_send(w, &request, on_signed_off);
}

static void shut_down(fl_worker *w)
{
    const fl_hooks *hooks = &w->farm->hooks;
    bool had_task = w->run.task != NULL;
    fl_timer_stop(w->farm->loop, &w->timer);
    fl_run_stop(w);
    for (int lane = 0; lane < FL_LANE_COUNT; lane++)
        fl_conn_cancel(w->conn, (fl_lane_id)lane);
    enter(w, FL_PHASE_SIGNING_OFF);
    end_start(w);
    if (had_task && hooks->on_task_end)
        hooks->on_task_end(hooks->ctx, w, FL_OUTCOME_VANISHED);
    if (!w->updates.head) {
        sign_off(w);
        return;
    }
    pause_us(w, sign_off, flush_limit_us);
    fl_updates_flush(w, sign_off, w);
}

void fl_worker_stop(fl_worker *w)
{
    w->stopping = true;
    w->restart = false;
    switch (w->phase) {
    case FL_PHASE_OFF:
    case FL_PHASE_REGISTERING:
        fl_worker_vanish(w);
        enter(w, FL_PHASE_ENDED);
        break;
    case FL_PHASE_SIGNING_OFF:
    case FL_PHASE_ENDED:
    case FL_PHASE_FAILED:
        break;
    default:
        shut_down(w);
    }
}

void fl_worker_vanish(fl_worker *w)
{
    const fl_hooks *hooks = &w->farm->hooks;
    bool had_task = w->run.task != NULL;
    fl_timer_stop(w->farm->loop, &w->timer);
    fl_run_stop(w);
    for (int lane = 0; lane < FL_LANE_COUNT; lane++)
        fl_conn_cancel(w->conn, (fl_lane_id)lane);
    enter(w, FL_PHASE_OFF);
    end_start(w);
    if (had_task && hooks->on_task_end)
        hooks->on_task_end(hooks->ctx, w, FL_OUTCOME_VANISHED);
}

bool fl_worker_is_gone(const fl_worker *w)
{
    return w->phase == FL_PHASE_ENDED || w->phase == FL_PHASE_FAILED || (w->phase == FL_PHASE_OFF && !w->timer.place);
}

/* ---- life ---- */

fl_worker *fl_worker_create(fl_farm *farm, uint32_t index)
{
    fl_worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->farm = farm;
    w->index = index;
    snprintf(w->name, sizeof w->name, "%s-%u", farm->opt->name_prefix, index + 1);
    fl_timer_init(&w->timer, ask, w);
    fl_updates_init(w);
    fl_run_init(w);
    w->conn = fl_conn_create(farm->client, "", "");
    if (!w->conn) {
        free(w);
        return NULL;
    }
    return w;
}

void fl_worker_destroy(fl_worker *w)
{
    if (!w)
        return;
    fl_timer_stop(w->farm->loop, &w->timer);
    fl_run_stop(w);
    fl_updates_fini(w);
    fl_conn_destroy(w->conn);
    free(w);
}

void fl_worker_start(fl_worker *w)
{
    *w->problem = 0;
    w->refusals = 0;
    w->restart = false;
    w->registered_now = false;
    if (!fl_farm_find_credentials(w->farm, w->name, w->uuid, w->secret)) {
        register_worker(w);
        return;
    }
    if (fl_conn_set_identity(w->conn, w->uuid, w->secret) < 0) {
        fl_reply none = { .error = "out of memory" };
        fail(w, "the sign-on", &none);
        return;
    }
    sign_on(w);
}
