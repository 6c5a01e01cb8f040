/* SPDX-License-Identifier: Apache-2.0
 *
 * own_urls.h - under which URLs the manager can be reached (contract: events 4, "own URLs"), for the log, discovery and CORS.
 */
#ifndef FL_OWN_URLS_H
#define FL_OWN_URLS_H

#include "core/base/arena.h"

/* Lists URLs ("http://192.168.0.3:8080/") for a bound address "HOST:PORT"; a wildcard host stands for every interface that
 * is up, loopback last. Texts live in the arena. Returns their number, at most `max`; 0 also when memory is exhausted. */
size_t fl_own_urls(fl_arena *arena, flamenco_str bound, const char *scheme, flamenco_str *out, size_t max);

/* The host part of such a URL, brackets included. */
flamenco_str fl_url_host(flamenco_str url);

#endif
