/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h - one request of the REST API under way: what was asked, who asks, the reply so far. Made by dispatch.c, given to
 * the handlers (core/api/jobs.c, worker.c, …), which fill the reply; call.c moves it from stage to stage.
 */
#ifndef FL_API_CALL_H
#define FL_API_CALL_H

#include "api_routes.h"
#include "api_write.h"
#include "core/budget.h"
#include "core/http/http.h"
#include "core/step.h"

struct fl_call {
    fl_step step; /* first: call.c finds the call behind it */
    struct flamenco *f;
    fl_http_request *http;
    fl_arena *arena; /* lives as long as the call */
    const api_operation *op;
    const void *in; /* the decoded api_…_in */
    fl_reply reply;

    /* While prepare, handler or finish runs. */
    fl_cx *cx;
    flamenco_error *err;

    /* Operations of Workers: the row as it was read in this run. Last-seen is not laid over it. */
    flamenco_worker worker;

    /* The handler's own, kept from prepare over all runs to finish. Only prepare may change what it points to; later runs
     * use step.cursor. destroy_state is called with it at the end. */
    void *state;
    void (*destroy_state)(void *state);
    /* Called when the handler's last run failed, or was never to come, before the reply; NULL = nothing to do. For what
     * earlier runs left in the store. */
    void (*give_up)(struct fl_call *call);

    /* Set by a handler of class `work` that makes of the request something else than a reply: called when it has returned 0, it
     * takes the request away, and with it the call. */
    void (*take)(struct fl_call *call);

    /* call.c's own. */
    flamenco_uuid worker_uuid;
    flamenco_str secret, secret_hash;
    fl_api_problem *problem; /* the request is wrong in itself; told after authentication */
    int64_t begun_us;
    fl_budget *budget; /* that `place` counts in; NULL = none */
    fl_budget_place place;
    uint32_t gone; /* atomic: the client went away */
    uint32_t has_in; /* `in` must be finished */
};

/* What a handler may return beside 0 and FLAMENCO_E_*: FLAMENCO_AGAIN, FL_STEP_PARK, FL_STEP_ROLLBACK (step.h). */

/* Answers with an Error and undoes what this run changed. Returns FL_STEP_ROLLBACK, or NOMEM. */
int32_t fl_call_refuse(fl_call *call, int32_t status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Reads a UUID from a path or body; on failure answers 400 naming `what` and returns FL_STEP_ROLLBACK, else 0. */
int32_t fl_call_uuid(fl_call *call, const char *what, flamenco_str text, flamenco_uuid *out);

/* The UUID as text in the call's arena. An empty text when memory is exhausted, which the reply then tells. */
flamenco_str fl_call_uuid_text(fl_call *call, const flamenco_uuid *uuid);

/* Prepares the call to wait for a task (FLAMENCO_WAKE_TASKS) or for news of its worker (FLAMENCO_WAKE_WORKER): the handler
 * then returns FL_STEP_PARK. Returns 0 when waiting is switched off, or pointless because the manager stops. */
int fl_call_park(fl_call *call, uint32_t kind);

/* The most bytes that the body of a request for `op` may have, as the settings want it; 0 = as many as declared. [any] */
uint64_t fl_call_body_limit(const struct flamenco *f, const api_operation *op);

/* Begins: the route is found (op, params); checks, authenticates, and so on until the reply is sent. [loop] */
void fl_call_begin(struct flamenco *f, fl_http_request *http, const fl_route_match *match);

/* The client of a held request went away. [loop] */
void fl_call_gone(struct flamenco *f, fl_http_request *http);

/* The handlers of this manager. */
extern const flamenco_server_interface fl_server;

#endif
