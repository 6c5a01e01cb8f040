/* SPDX-License-Identifier: Apache-2.0
 *
 * cors.h - which CORS headers a reply gets (api-behaviour 9.3). Pure; called by the API layer for every request.
 */
#ifndef FL_HTTP_CORS_H
#define FL_HTTP_CORS_H

#include "core/http/http.h"

#define FL_CORS_MAX_HEADERS 5

/* Fills in the headers for a request with this Origin (empty = none), of which there are at most FL_CORS_MAX_HEADERS,
 * and returns their number. `allowed` is the list of allowed origins, compared without regard to letter case.
 * preflight: the method is OPTIONS; the caller then answers 204 without asking any handler, and adds `Allow` where the
 * path is known. The values are static or borrow `origin`. `Vary: Origin` is the server's business. [any] */
size_t fl_cors_headers(flamenco_str origin, const flamenco_str *allowed, size_t n_allowed, int preflight,
                       fl_http_header out[FL_CORS_MAX_HEADERS]);

#endif
