/* SPDX-License-Identifier: Apache-2.0
 *
 * send.h - sends a finished fl_reply over HTTP: pretty-printing, gzip, CORS. Used by call.c and by the routes beside the API.
 */
#ifndef FL_API_SEND_H
#define FL_API_SEND_H

#include "core/api/reply.h"
#include "core/flamenco.h"
#include "core/http/http.h"

/* Sends the reply and takes the request away from the caller; `reply` is emptied. may_compress: 0 on an event loop. [any] */
void fl_send(struct flamenco *f, fl_http_request *http, fl_reply *reply, int may_compress);

/* The CORS headers for a request. Returns their number, at most FL_CORS_MAX_HEADERS. [any] */
size_t fl_send_cors(struct flamenco *f, fl_http_request *http, fl_http_header *headers);

#endif
