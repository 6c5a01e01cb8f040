/* SPDX-License-Identifier: Apache-2.0
 * HTTP transport of farm-sim: libcurl's multi interface on the event loop. One fl_conn is one API client (a Worker, a
 * submitter) with its own keep-alive connection; another one opens only while the first is busy, as with the official
 * Worker. No time limits on requests: a manager may hold a task request for minutes. */
#ifndef FARM_SIM_CLIENT_H
#define FARM_SIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "stats.h"

typedef struct fl_client fl_client;
typedef struct fl_conn fl_conn;

/* Requests of one lane follow each other, the lanes run side by side. Unused ones cost next to nothing. */
typedef enum fl_lane_id {
    FL_LANE_MAIN, /* sign-on to sign-off, task requests, updates of the running task */
    FL_LANE_MAY_RUN,
    FL_LANE_FLUSH, /* resending of queued updates */
    FL_LANE_OUTPUT, /* rendered images */
    FL_LANE_COUNT
} fl_lane_id;

/* Faults for the soak test: the connection breaks, and the caller sees a transport error. */
typedef enum fl_cut {
    FL_CUT_NONE,
    FL_CUT_SENDING, /* half of the body was sent; without a body the same as WAITING */
    FL_CUT_WAITING, /* after cut_after_us, unless the answer was faster */
} fl_cut;

typedef struct fl_request {
    fl_op op; /* under which the request is counted */
    fl_lane_id lane;
    const char *method; /* GET, POST or DELETE */
    const char *path; /* /api/v3/…; copied */
    const char *content_type; /* NULL = application/json if there is a body */
    const char *body; /* copied; NULL = none */
    size_t len;
    fl_cut cut;
    int64_t cut_after_us;
} fl_request;

typedef struct fl_reply {
    int status; /* HTTP status; 0 = transport error */
    bool json; /* the content type says JSON */
    const char *error; /* what went wrong at status 0, else NULL */
    const char *body; /* NUL-terminated; valid during the callback */
    size_t len;
    int64_t elapsed_us;
} fl_reply;

/* Runs exactly once per sent request unless that is cancelled; it may send, cancel and destroy. */
typedef void (*fl_on_reply)(void *ctx, const fl_reply *reply);

/* base_url may have a path prefix; a missing scheme means http. stats is borrowed. NULL with a line on stderr if
 * libcurl cannot be set up. */
fl_client *fl_client_create(fl_loop *loop, const char *base_url, fl_stats *stats);
/* Every connection must have been destroyed. Accepts NULL. */
void fl_client_destroy(fl_client *client);
const char *fl_client_url(const fl_client *client);

/* user NULL = no Authorization header at all; "" and "" = the empty header of a registration. NULL when out of memory. */
fl_conn *fl_conn_create(fl_client *client, const char *user, const char *password);
/* Only while no request is under way. Returns 0 or -ENOMEM. */
int fl_conn_set_identity(fl_conn *conn, const char *user, const char *password);
/* Cancels what is under way and closes the connections. Accepts NULL. */
void fl_conn_destroy(fl_conn *conn);

/* Returns 0, -EBUSY when the lane has a request under way, or -ENOMEM; fn is not called then. */
int fl_conn_send(fl_conn *conn, const fl_request *request, fl_on_reply fn, void *ctx);
bool fl_conn_busy(const fl_conn *conn, fl_lane_id lane);
/* Breaks the connection of a request under way; its callback does not run. */
void fl_conn_cancel(fl_conn *conn, fl_lane_id lane);

#endif
