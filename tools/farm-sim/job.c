/* SPDX-License-Identifier: Apache-2.0
 * Jobs as a submitting user sees them; see job.h. Called by the modes. */
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const task_statuses[FL_TASK_STATUS_COUNT] = {
    [FL_TASK_ACTIVE] = "active",       [FL_TASK_CANCELED] = "canceled",
    [FL_TASK_COMPLETED] = "completed", [FL_TASK_FAILED] = "failed",
    [FL_TASK_QUEUED] = "queued",       [FL_TASK_SOFT_FAILED] = "soft-failed",
    [FL_TASK_PAUSED] = "paused",       [FL_TASK_UNKNOWN] = "of unknown status",
};

bool fl_job_status_is_final(const char *status)
{
    return status &&
           (strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 || strcmp(status, "canceled") == 0);
}

fl_task_status fl_task_status_of(const char *text)
{
    for (int i = 0; text && i < FL_TASK_UNKNOWN; i++)
        if (strcmp(task_statuses[i], text) == 0)
            return (fl_task_status)i;
    return FL_TASK_UNKNOWN;
}

const char *fl_task_status_name(fl_task_status status)
{
    return task_statuses[status];
}

static json_t *make_settings(const fl_job_spec *spec)
{
    if (spec->settings) {
        json_error_t error;
        json_t *settings = json_loads(spec->settings, 0, &error);
        if (!settings)
            fprintf(stderr, "farm-sim: --settings: %s\n", error.text);
        return settings;
    }
    if (strcmp(spec->type, "echo-sleep-test") == 0)
        return json_pack("{s:s, s:i, s:i}", "message", "hello from farm-sim", "sleep_duration_seconds", 1,
                         "sleep_repeats", (int)spec->repeats);
    if (strcmp(spec->type, "simple-blender-render") == 0)
        return json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:f, s:s, s:s, s:b, s:s}", "frames", spec->frames,
                         "chunk_size", (int)spec->chunk, "render_output_root", "/render/farm-sim",
                         "add_path_components", 0, "render_output_path", "/render/farm-sim/shot/{timestamp}/######",
                         "blendfile", "/render/farm-sim/shot.blend", "fps", spec->video ? 24.0 : 0.0, "format", "PNG",
                         "image_file_extension", ".png", "has_previews", 0, "scene", "Scene");
    fprintf(stderr, "farm-sim: a job of type %s needs --settings\n", spec->type);
    return NULL;
}

char *fl_job_make_body(const fl_job_spec *spec)
{
    json_t *settings = make_settings(spec);
    if (!settings)
        return NULL;
    json_t *job = json_pack("{s:s, s:s, s:i, s:s, s:o, s:{s:s}}", "name", spec->name, "type", spec->type, "priority",
                            50, "submitter_platform", "linux", "settings", settings, "metadata", "project", "farm-sim");
    if (job && spec->etag)
        json_object_set_new(job, "type_etag", json_string(spec->etag));
    char *body = job ? json_dumps(job, JSON_COMPACT) : NULL;
    json_decref(job);
    return body;
}

int fl_job_submit(fl_conn *conn, const char *body, fl_on_reply fn, void *ctx)
{
    fl_request request = {
        .op = FL_OP_SUBMIT, .method = "POST", .path = "/api/v3/jobs", .body = body, .len = strlen(body)
    };
    return fl_conn_send(conn, &request, fn, ctx);
}

int fl_job_fetch(fl_conn *conn, const char *job_id, fl_on_reply fn, void *ctx)
{
    char path[80];
    snprintf(path, sizeof path, "/api/v3/jobs/%s", job_id);
    fl_request request = { .op = FL_OP_FETCH_JOB, .method = "GET", .path = path };
    return fl_conn_send(conn, &request, fn, ctx);
}

int fl_job_fetch_tasks(fl_conn *conn, const char *job_id, fl_on_reply fn, void *ctx)
{
    char path[80];
    snprintf(path, sizeof path, "/api/v3/jobs/%s/tasks", job_id);
    fl_request request = { .op = FL_OP_FETCH_TASKS, .method = "GET", .path = path };
    return fl_conn_send(conn, &request, fn, ctx);
}

int fl_job_set_status(fl_conn *conn, const char *what, const char *id, const char *status, fl_on_reply fn, void *ctx)
{
    char path[96], body[96];
    snprintf(path, sizeof path, "/api/v3/%s/%s/setstatus", what, id);
    snprintf(body, sizeof body, "{\"status\":\"%s\",\"reason\":\"farm-sim\"}", status);
    fl_request request = { .op = FL_OP_SET_STATUS, .method = "POST", .path = path, .body = body, .len = strlen(body) };
    return fl_conn_send(conn, &request, fn, ctx);
}

bool fl_job_read_id(const fl_reply *reply, char id[37])
{
    json_t *job = reply->status == 200 && reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(job, "id"));
    bool ok = text && strlen(text) == 36;
    if (ok)
        memcpy(id, text, 37);
    json_decref(job);
    return ok;
}

void fl_reply_describe(const fl_reply *reply, char *text, size_t room)
{
    if (!reply->status) {
        snprintf(text, room, "%s", reply->error);
        return;
    }
    json_t *json = reply->json ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
    const char *message = json_string_value(json_object_get(json, "message"));
    snprintf(text, room, message ? "status %d: %s" : "status %d%s", reply->status, message ? message : "");
    json_decref(json);
}
