/* SPDX-License-Identifier: Apache-2.0
 *
 * cors.c - see cors.h.
 */
#include "core/http/cors.h"

#include "core/base/str.h"

#define METHODS "POST,GET,OPTIONS,PUT,DELETE"
#define HEADERS \
    "Accept,Accept-Encoding,Access-Control-Allow-Origin,Access-Control-Request-Headers,Access-Control-Request-Method," \
    "Authorization,Content-Length,Content-Type,Origin,X-CSRF-Token,X-Requested-With,Cache-Control,Connection,Host," \
    "Referer," \
    "User-Agent,X-header"

size_t fl_cors_headers(flamenco_str origin, const flamenco_str *allowed, size_t n_allowed, int preflight,
                       fl_http_header out[FL_CORS_MAX_HEADERS])
{
    size_t n = 0, i = 0;
    while (i < n_allowed && !fl_str_equal_nocase(origin, allowed[i]))
        ++i;
    if (origin.len == 0 || i == n_allowed)
        return 0;
    out[n++] = (fl_http_header){ FL_STR("Access-Control-Allow-Origin"), origin };
    if (!preflight)
        return n;
    out[n++] = (fl_http_header){ FL_STR("Vary"), FL_STR("Access-Control-Request-Method") };
    out[n++] = (fl_http_header){ FL_STR("Vary"), FL_STR("Access-Control-Request-Headers") };
    out[n++] = (fl_http_header){ FL_STR("Access-Control-Allow-Methods"), FL_STR(METHODS) };
    out[n++] = (fl_http_header){ FL_STR("Access-Control-Allow-Headers"), FL_STR(HEADERS) };
    return n;
}
