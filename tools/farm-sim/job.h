/* SPDX-License-Identifier: Apache-2.0
 * The user's side of the API: submitting jobs, looking at them, changing their status. */
#ifndef FARM_SIM_JOB_H
#define FARM_SIM_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "options.h"

/* Where a status of a job or task ends up. */
bool fl_job_status_is_final(const char *status); /* completed, failed or canceled */

typedef enum fl_task_status {
    FL_TASK_ACTIVE,
    FL_TASK_CANCELED,
    FL_TASK_COMPLETED,
    FL_TASK_FAILED,
    FL_TASK_QUEUED,
    FL_TASK_SOFT_FAILED,
    FL_TASK_PAUSED,
    FL_TASK_UNKNOWN,
    FL_TASK_STATUS_COUNT
} fl_task_status;

fl_task_status fl_task_status_of(const char *text); /* NULL gives UNKNOWN */
const char *fl_task_status_name(fl_task_status status);

/* The body of submitJob, malloc'ed; NULL when out of memory or when settings is not a JSON object (said on stderr).
 * settings NULL = the sample of that job type: with frames (a range text), in tasks of `chunk` frames each, without a
 * video when video is false; echo-sleep-test: `repeats` sleeps. */
typedef struct fl_job_spec {
    const char *name, *type;
    const char *etag; /* NULL = none */
    const char *settings; /* NULL = sample */
    const char *frames;
    uint32_t chunk, repeats;
    bool video;
} fl_job_spec;
char *fl_job_make_body(const fl_job_spec *spec);

/* POST the body to /api/v3/jobs. */
int fl_job_submit(fl_conn *conn, const char *body, fl_on_reply fn, void *ctx);
int fl_job_fetch(fl_conn *conn, const char *job_id, fl_on_reply fn, void *ctx);
int fl_job_fetch_tasks(fl_conn *conn, const char *job_id, fl_on_reply fn, void *ctx);
/* what: "jobs" or "tasks". */
int fl_job_set_status(fl_conn *conn, const char *what, const char *id, const char *status, fl_on_reply fn, void *ctx);

/* The id of a Job reply into id; false if the reply is not 200 with a job. */
bool fl_job_read_id(const fl_reply *reply, char id[37]);
/* For people: what the reply says, as "412: message" or the transport error. */
void fl_reply_describe(const fl_reply *reply, char *text, size_t room);

#endif
