/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.c - requests at /socket.io/: WebSockets, and HTTP polling (events 2.2 and 8).
 */
#include "routes.h"

#include <stdlib.h>

#define POST_AT_MOST 65536u

/* ---- WebSockets ------------------------------------------------------------------------------------------------------ */

static void new_opened(void *ctx, flamenco_ws *ws)
{
    session *s = ctx;
    if (session_open(s, ws) != FLAMENCO_OK)
        s->ws_close(ws, 1013); /* try again later */
}

static void probe_opened(void *ctx, flamenco_ws *ws)
{
    session *s = ctx;
    if (session_add_probe(s, ws) != FLAMENCO_OK)
        s->ws_close(ws, 0);
}

static void received(void *ctx, flamenco_ws *ws, flamenco_str text)
{
    session_receive(ctx, ws, text);
}

static void gone(void *ctx, flamenco_ws *ws)
{
    session_ws_gone(ctx, ws);
    session_unref(ctx);
}

#define HANDLER(flags, opened) \
    { \
        (uint32_t)sizeof(flamenco_ws_handler), flags, opened, received, gone \
    }
static const flamenco_ws_handler new_handler = HANDLER(0, new_opened);
static const flamenco_ws_handler new_packed_handler = HANDLER(FLAMENCO_WS_MAY_PACK, new_opened);
static const flamenco_ws_handler probe_handler = HANDLER(0, probe_opened);
static const flamenco_ws_handler probe_packed_handler = HANDLER(FLAMENCO_WS_MAY_PACK, probe_opened);

/* ---- Replies --------------------------------------------------------------------------------------------------------- */

static int32_t answer_problem(flamenco_http_reply *reply, int code, const char *message)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "{\"code\":%d,\"message\":\"%s\"}", code, message);
    return reply->bytes(reply->r, 400, "application/json", (flamenco_str){ text, (uint64_t)len });
}

/* As the reference says that no WebSocket can be made of a request (events 2.2). */
static int32_t answer_unavailable(flamenco_http_reply *reply, const char *text)
{
    int32_t rc = reply->header(reply->r, "X-Content-Type-Options", flamenco_text("nosniff"));
    if (rc != FLAMENCO_OK)
        return rc;
    return reply->bytes(reply->r, 503, "text/plain; charset=utf-8", flamenco_text(text));
}

/* The value of a query parameter; ptr NULL: none. None that counts here needs decoding. */
static flamenco_str parameter(flamenco_str query, const char *name)
{
    size_t name_len = strlen(name);
    const char *at = query.ptr, *end = query.ptr + query.len;
    while (at != NULL && at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;
        if ((size_t)(stop - at) > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=')
            return (flamenco_str){ at + name_len + 1, (uint64_t)(stop - at) - name_len - 1 };
        at = amp != NULL ? amp + 1 : NULL;
    }
    return (flamenco_str){ NULL, 0 };
}

static int32_t start_websocket(hub *h, uint32_t revision, flamenco_str sid, flamenco_http_reply *reply)
{
    session *s = sid.ptr != NULL ? session_find(h, sid) : session_create(h, revision, reply);
    if (s == NULL)
        return sid.ptr != NULL ? answer_problem(reply, 1, "Session ID unknown") : FLAMENCO_E_NOMEM;
    int packs = h->compression == COMPRESSION_ALL || (h->compression == COMPRESSION_ENGINE4 && s->revision == 4);
    const flamenco_ws_handler *handler = packs ? &new_packed_handler : &new_handler;
    if (sid.ptr != NULL)
        handler = packs ? &probe_packed_handler : &probe_handler;
    int32_t rc = reply->websocket(reply->r, handler, s);
    if (rc != FLAMENCO_OK)
        session_unref(s);
    return rc;
}

/* ---- Polling --------------------------------------------------------------------------------------------------------- */

static int32_t answer_packets(session *s, flamenco_http_reply *reply)
{
    uint64_t len = 0;
    pthread_mutex_lock(&s->hub->lock);
    char *body = session_take_body(s, &len);
    int ending = s->ending;
    pthread_mutex_unlock(&s->hub->lock);
    if (ending)
        session_close(s);
    if (body == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = reply->bytes(reply->r, 200, "text/plain; charset=UTF-8", (flamenco_str){ body, len });
    free(body);
    return rc;
}

static int32_t open_polling(hub *h, uint32_t revision, flamenco_http_reply *reply)
{
    session *s = session_create(h, revision, reply);
    if (s == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = session_open(s, NULL);
    if (rc == FLAMENCO_E_FULL || rc == FLAMENCO_E_CANCELLED)
        rc = answer_unavailable(reply, "no more clients can be served now\n");
    else if (rc == FLAMENCO_OK)
        rc = answer_packets(s, reply);
    session_unref(s);
    return rc;
}

static flamenco_str noop_body(const session *s)
{
    return flamenco_text(s->revision == 3 ? "1:6" : "6");
}

/* A request for packets, which waits until there are some. */
static int32_t poll_packets(session *s, flamenco_http_reply *reply)
{
    hub *h = s->hub;
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&h->lock);
    s->heard_us = h->host->monotonic_us(h->host->h);
    int serves = !s->closed && s->ws == NULL;
    int nothing = serves && s->queued == 0;
    int waits = nothing && !s->probed;
    if (waits) {
        /* One request at a time: an earlier one is let go. */
        flamenco_http_later *before = s->poll;
        rc = reply->later(reply->r, &s->poll);
        if (before != NULL)
            s->later_bytes(before, 200, "text/plain; charset=UTF-8", noop_body(s));
    }
    pthread_mutex_unlock(&h->lock);
    if (!serves)
        return answer_problem(reply, 3, "Bad request");
    /* It was on its way when the WebSocket was tried. */
    if (nothing && !waits)
        return reply->bytes(reply->r, 200, "text/plain; charset=UTF-8", noop_body(s));
    return waits ? rc : answer_packets(s, reply);
}

static int32_t take_packets(session *s, flamenco_str body, flamenco_http_reply *reply)
{
    flamenco_str packet;
    int more;
    if (body.len > POST_AT_MOST)
        return reply->bytes(reply->r, 413, "text/plain; charset=UTF-8", flamenco_text("the body is too large"));
    while ((more = socketio_payload_next(s->revision, &body, &packet)) == 1)
        session_receive(s, NULL, packet);
    if (more < 0) {
        session_close(s);
        return answer_problem(reply, 3, "Bad request");
    }
    return reply->bytes(reply->r, 200, "text/html", flamenco_text("ok"));
}

static int32_t handle_polling(hub *h, uint32_t revision, const flamenco_http_request *request,
                              flamenco_http_reply *reply)
{
    flamenco_str sid = parameter(request->query, "sid");
    int is_get = flamenco_str_equal(request->method, flamenco_text("GET"));
    int is_post = flamenco_str_equal(request->method, flamenco_text("POST"));
    if (sid.ptr == NULL)
        return is_get ? open_polling(h, revision, reply) : answer_problem(reply, 2, "Bad handshake method");
    session *s = session_find(h, sid);
    if (s == NULL)
        return answer_problem(reply, 1, "Session ID unknown");
    int32_t rc = is_get    ? poll_packets(s, reply)
                 : is_post ? take_packets(s, request->body, reply)
                           : answer_problem(reply, 2, "Bad handshake method");
    session_unref(s);
    return rc;
}

int32_t routes_handle(hub *h, const flamenco_http_request *request, flamenco_http_reply *reply, flamenco_error *err)
{
    flamenco_str transport = parameter(request->query, "transport");
    uint32_t revision = flamenco_str_equal(parameter(request->query, "EIO"), flamenco_text("4")) ? 4 : 3;
    int32_t rc;
    if (!flamenco_str_equal(request->path, flamenco_text("/socket.io/")))
        rc = reply->bytes(reply->r, 404, "text/plain; charset=utf-8", flamenco_text("there is nothing at this path\n"));
    else if (flamenco_str_equal(request->method, flamenco_text("OPTIONS")))
        rc = reply->bytes(reply->r, 204, NULL, (flamenco_str){ NULL, 0 });
    else if (request->is_websocket)
        rc = start_websocket(h, revision, parameter(request->query, "sid"), reply);
    else if (flamenco_str_equal(transport, flamenco_text("polling")))
        rc = handle_polling(h, revision, request, reply);
    else if (transport.len > 0 && !flamenco_str_equal(transport, flamenco_text("websocket")))
        rc = answer_problem(reply, 0, "Transport unknown");
    else
        rc = answer_unavailable(reply, "the upgrade to a WebSocket failed: the request is not a valid handshake\n");
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "a Socket.IO client could not be answered");
}
