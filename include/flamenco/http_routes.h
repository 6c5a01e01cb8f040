/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/http_routes.h - the service "flamenco.http_routes/1": pages of the manager's HTTP port beside the API. Called by the
 * core for each request below one of the prefixes. `/api/` and `/job-files` are the core's.
 */
#ifndef FLAMENCO_HTTP_ROUTES_H
#define FLAMENCO_HTTP_ROUTES_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_HTTP_ROUTES "flamenco.http_routes/1"

typedef struct flamenco_http_route {
    uint32_t struct_size;
    uint32_t reserved;
    const char *method; /* "GET"; HEAD is derived from it; "*" = any */
    const char *prefix; /* "/app/": ends with '/', everything below; else, and for "/", that path alone */
} flamenco_http_route;

/* One request. Borrowed for the call. */
typedef struct flamenco_http_request {
    uint32_t struct_size;
    uint32_t is_websocket; /* 1: a valid WebSocket handshake, version 13 */
    flamenco_str method;
    flamenco_str path; /* as sent, undecoded, without query */
    flamenco_str query; /* behind '?', undecoded */
    flamenco_str body;
    flamenco_str remote_address;
    const void *r;
    /* The first header of that lower-case name; ptr NULL = none. */
    flamenco_str (*header)(const void *r, const char *name);
} flamenco_http_request;

typedef struct flamenco_ws flamenco_ws; /* one WebSocket, the host's */
typedef struct flamenco_http_later flamenco_http_later; /* one request that is not answered yet, the host's */

/* What a plugin does with a WebSocket. Calls for one connection come one at a time and in order; on_close alone when the
 * connection broke before it stood. A client that sends more than 1,000 texts or 1 MiB ahead of the plugin is dropped, and so
 * is one that sends anything but texts. [worker] */
#define FLAMENCO_WS_MAY_PACK 1u /* what ws_send_all sends is compressed for a client that offers permessage-deflate */
typedef struct flamenco_ws_handler {
    uint32_t struct_size;
    uint32_t flags; /* FLAMENCO_WS_…; others are 0 */
    /* The connection stands. ws is valid until on_close has returned. */
    void (*on_open)(void *ctx, flamenco_ws *ws);
    void (*on_text)(void *ctx, flamenco_ws *ws, flamenco_str text); /* borrowed */
    void (*on_close)(void *ctx, flamenco_ws *ws); /* last call; ctx is the plugin's to free */
} flamenco_ws_handler;

/* The answer. Given by the host, zeroed but for functions; the plugin calls exactly one of them. */
typedef struct flamenco_http_reply {
    uint32_t struct_size;
    uint32_t reserved;
    void *r;
    /* Adds a header; texts are copied. Before one of the functions below. INVALID: CR, LF or NUL in it. */
    int32_t (*header)(void *r, const char *name, flamenco_str value);
    /* Answers with bytes, copied; or with shared bytes, whose reference is taken over. content_type NULL: no body. */
    int32_t (*bytes)(void *r, uint32_t status, const char *content_type, flamenco_str body);
    int32_t (*shared)(void *r, uint32_t status, const char *content_type, flamenco_buf *body);
    /* Answers with `length` bytes of a file from `offset`. The descriptor is taken over, also on failure. */
    int32_t (*file)(void *r, uint32_t status, const char *content_type, int32_t fd, uint64_t offset, uint64_t length);
    /* Turns the connection into a WebSocket, once handle() has returned with success; from then on ctx ends with on_close, also
     * when handle() fails. `handler` is static. CONFLICT: the request is no handshake. */
    int32_t (*websocket)(void *r, const flamenco_ws_handler *handler, void *ctx);
    /* For later: send a text on a WebSocket (takes a reference of its own), close it with a code (behind what was sent; 0: at
     * once, without a close frame). [any] Errors: FULL (the reader is too slow, and the connection is being closed), CANCELLED
     * (it is closed), NOMEM. */
    int32_t (*ws_send)(flamenco_ws *ws, flamenco_buf *text);
    void (*ws_close)(flamenco_ws *ws, uint32_t code);
    /* Lets handle() return without an answer, which later_bytes gives exactly once, on any thread, also before handle()
     * returns; *out is gone then. Headers are added before. Must not be followed by a failure of handle(). What is unanswered
     * when the manager stops is cut off; the event `manager-shutdown` comes before. */
    int32_t (*later)(void *r, flamenco_http_later **out);
    /* content_type is static; body is copied. [any] */
    void (*later_bytes)(flamenco_http_later *later, uint32_t status, const char *content_type, flamenco_str body);
    /* For later: sends the same texts, in this order, on many WebSockets, each as by ws_send but for far less: they get their
     * frames once, and are compressed once for all that may get them so (FLAMENCO_WS_MAY_PACK); each connection gets one piece,
     * and each loop of the host is woken once. n_texts is at most 65,535. Takes references of its own. A connection that cannot
     * take them all is closed: its reader is too slow, or memory is exhausted. Returns how many of those there were. [any] */
    uint32_t (*ws_send_all)(flamenco_ws *const *ws, uint32_t n_ws, flamenco_buf *const *texts, uint32_t n_texts);
} flamenco_http_reply;

typedef struct flamenco_http_routes {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* The routes, ended by NULL; static. Two routes with one method and prefix keep the manager from starting. [main] */
    const flamenco_http_route *const *(*routes)(void *self);
    /* Answers a request. A failure gives 500 with the error's text in the log. [worker] */
    int32_t (*handle)(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                      flamenco_error *err);

    /* -- optional -- */

    /* The version of the Blender add-on that it serves, "3.9", which clients are told; empty: it serves none. Valid until
     * stop. [main] */
    flamenco_str (*addon_version)(void *self);
} flamenco_http_routes;

#ifdef __cplusplus
}
#endif

#endif
