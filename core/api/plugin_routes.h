/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin_routes.h - the pages of plugins (flamenco/http_routes.h): which plugin serves a path, and the call of it.
 */
#ifndef FL_API_PLUGIN_ROUTES_H
#define FL_API_PLUGIN_ROUTES_H

#include "core/api/plugin_ws.h"
#include "core/api/reply.h"
#include "core/cx.h"
#include "core/http/http.h"

/* Finds the plugin with the longest prefix that fits. NULL: none. [any] */
const flamenco_http_routes_ref *fl_plugin_routes_find(const struct flamenco *f, flamenco_str method, flamenco_str path);

/* A request that its plugin will answer later. Embedded in what `send` finds it behind. */
struct flamenco_http_later {
    fl_reply *reply;
    /* Sends the reply and takes the request away. */
    void (*send)(flamenco_http_later *later);
    uint32_t waits_for; /* atomic: for the plugin's handle() to return, and for the answer */
};

/* What else than a reply a plugin may make of a request. */
typedef struct fl_plugin_outcome {
    flamenco_ws *ws; /* a WebSocket: to be begun */
    uint32_t later; /* 1: the reply comes later; fl_plugin_later_returned is to be called */
} fl_plugin_outcome;

/* The methods that plugins offer at a path, "OPTIONS, GET"; NULL: none serves it, or no memory. [any] */
const char *fl_plugin_routes_allow(const struct flamenco *f, flamenco_str path, fl_arena *arena);

/* Lets the plugin answer. Returns 0 with the reply filled or *outcome set, or an error. `later` is filled when it is wanted.
 * [worker] */
int32_t fl_plugin_routes_serve(fl_cx *cx, const flamenco_http_routes_ref *routes, fl_http_request *http,
                               fl_reply *reply, flamenco_http_later *later, fl_plugin_outcome *outcome,
                               flamenco_error *err);

/* Tells that the plugin's handle() has returned: sends the reply if it is there already. `later` may be gone. [any] */
void fl_plugin_later_returned(flamenco_http_later *later);

#endif
