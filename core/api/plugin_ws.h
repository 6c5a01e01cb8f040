/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin_ws.h - WebSockets of plugins (flamenco/http_routes.h): brings what happens on an event loop to the work pool, one
 * call at a time and in order for each connection. Used by plugin_routes.c and dispatch.c.
 */
#ifndef FL_API_PLUGIN_WS_H
#define FL_API_PLUGIN_WS_H

#include "core/flamenco.h"
#include "core/http/http.h"

/* Makes the plugin's side of a connection that is to become a WebSocket. NULL when memory is exhausted. */
flamenco_ws *fl_plugin_ws_create(struct flamenco *f, const flamenco_ws_handler *handler, void *ctx);

/* Turns the request into that WebSocket and takes both away from the caller. On an error the request is still the caller's,
 * and the plugin has been told by on_close. [worker] */
int32_t fl_plugin_ws_begin(flamenco_ws *ws, fl_http_request *http, flamenco_error *err);

/* Tells the plugin by on_close, and frees: for a connection that does not become one after all. [worker] */
void fl_plugin_ws_abandon(flamenco_ws *ws);

/* The functions of flamenco_http_reply. [any] */
int32_t fl_plugin_ws_send(flamenco_ws *ws, flamenco_buf *text);
uint32_t fl_plugin_ws_send_all(flamenco_ws *const *ws, uint32_t n_ws, flamenco_buf *const *texts, uint32_t n_texts);
void fl_plugin_ws_close(flamenco_ws *ws, uint32_t code);

#endif
