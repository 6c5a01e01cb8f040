/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin_routes.h - the pages of plugins (flamenco/http_routes.h): which plugin serves a path, and the call of it.
 */
#ifndef FL_API_PLUGIN_ROUTES_H
#define FL_API_PLUGIN_ROUTES_H

#include "core/api/reply.h"
#include "core/cx.h"
#include "core/http/http.h"

/* Finds the plugin with the longest prefix that fits. NULL: none. [any] */
const flamenco_http_routes_ref *fl_plugin_routes_find(const struct flamenco *f, flamenco_str method, flamenco_str path);

/* The methods that plugins offer at a path, "OPTIONS, GET"; NULL: none serves it, or no memory. [any] */
const char *fl_plugin_routes_allow(const struct flamenco *f, flamenco_str path, fl_arena *arena);

/* Lets the plugin answer. Returns 0 with the reply filled, or an error. [worker] */
int32_t fl_plugin_routes_serve(fl_cx *cx, const flamenco_http_routes_ref *routes, fl_http_request *http,
                               fl_reply *reply, flamenco_error *err);

#endif
