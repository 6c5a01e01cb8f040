/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.h - where every HTTP request comes in: the API, /job-files, health, metrics, and the routes of plugins. The
 * callbacks of core/http, set by lifecycle.c.
 */
#ifndef FL_API_DISPATCH_H
#define FL_API_DISPATCH_H

#include "core/flamenco.h"
#include "core/http/http.h"

/* ctx: struct flamenco. [loop] */
void fl_dispatch(void *ctx, fl_http_request *http);
void fl_dispatch_gone(void *ctx, fl_http_request *http);
uint64_t fl_dispatch_body_limit(void *ctx, flamenco_str method, flamenco_str path);

/* Checks that no two plugins serve one route, and none the core's. Returns 0, or CONFLICT naming both. [main] */
int32_t fl_dispatch_check_routes(const struct flamenco *f, flamenco_error *err);

#endif
