/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.h - what is served at /socket.io/. Called by plugin.c.
 */
#ifndef SOCKETIO_ROUTES_H
#define SOCKETIO_ROUTES_H

#include "session.h"

int32_t routes_handle(hub *h, const flamenco_http_request *request, flamenco_http_reply *reply, flamenco_error *err);

#endif
