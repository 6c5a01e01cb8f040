/* SPDX-License-Identifier: Apache-2.0
 *
 * ws.c - WebSockets on h2o's glue to wslay. Whatever other threads, or a callback, want of a connection comes as a
 * message to its loop: so nothing is written or closed while wslay is on the stack, which it does not survive.
 */
#include "core/http/internal.h"

/* How long the other end may take to answer a close frame. */
#define CLOSE_GRACE_US 5000000
#define CODE_NONE_GIVEN 1005
#define CODE_BROKEN 1006

struct fl_http_ws {
    _Atomic uint32_t refs;
    atomic_int closed; /* set by the loop, before on_close */
    fl_loop *loop;
    fl_conn *conn; /* [loop] */
    h2o_websocket_conn_t *h2o; /* [loop] NULL when closed */
    const fl_http_ws_callbacks *callbacks;
    void *ctx;
    uint32_t code; /* what the other end gave */
    atomic_int dropped; /* set by the loop */
    int closing; /* [loop] */
    int64_t closing_since_us, spoke_us;
    fl_link dirty;
};

typedef struct ws_msg {
    fl_msg msg;
    fl_http_ws *ws; /* one reference */
    flamenco_buf *data;
    uint32_t kind; /* FL_HTTP_WS_*; or the code of a close */
} ws_msg;

void fl_http_ws_ref(fl_http_ws *ws)
{
    atomic_fetch_add(&ws->refs, 1);
}

void fl_http_ws_unref(fl_http_ws *ws)
{
    if (ws != NULL && atomic_fetch_sub(&ws->refs, 1) == 1)
        free(ws);
}

/* ---- [loop] ---------------------------------------------------------------------------------------------------- */

static void mark_dirty(fl_http_ws *ws)
{
    if (fl_link_is_alone(&ws->dirty))
        fl_link_add(&ws->loop->dirty, &ws->dirty);
}

static void drop(fl_http_ws *ws)
{
    ws->dropped = 1;
    if (ws->conn != NULL)
        fl_conn_shutdown(ws->conn);
}

static void on_closed(fl_http_ws *ws)
{
    h2o_websocket_conn_t *h2o = ws->h2o;
    fl_link_remove(&ws->dirty);
    ws->h2o = NULL;
    atomic_store(&ws->closed, 1);
    atomic_fetch_sub_explicit(&ws->loop->n_ws, 1, memory_order_relaxed);
    h2o_websocket_close(h2o); /* closes the socket, which frees the fl_conn and makes it forgotten */
    ws->callbacks->on_close(ws->ctx, ws, ws->code);
    fl_http_ws_unref(ws);
}

static void on_message(h2o_websocket_conn_t *h2o, const struct wslay_event_on_msg_recv_arg *arg)
{
    fl_http_ws *ws = h2o->data;
    flamenco_str data;
    if (arg == NULL) {
        on_closed(ws);
        return;
    }
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->code = arg->status_code != 0 ? arg->status_code : CODE_NONE_GIVEN;
        return;
    }
    if (wslay_is_ctrl_frame(arg->opcode) || ws->closing || ws->dropped)
        return;
    ws->spoke_us = fl_http_now_us();
    data = (flamenco_str){ (const char *)arg->msg, arg->msg_length };
    if (arg->opcode == WSLAY_TEXT_FRAME)
        ws->callbacks->on_text(ws->ctx, ws, data);
    else if (ws->callbacks->on_binary != NULL)
        ws->callbacks->on_binary(ws->ctx, ws, data);
}

void fl_ws_forget_conn(fl_http_ws *ws)
{
    ws->conn = NULL;
}

int fl_ws_flush(fl_loop *loop)
{
    int any = !fl_link_is_alone(&loop->dirty);
    while (!fl_link_is_alone(&loop->dirty)) {
        fl_http_ws *ws = FL_FROM(fl_http_ws, dirty, loop->dirty.next);
        fl_link_remove(&ws->dirty);
        /* Without a socket the 101 is still being written; h2o proceeds by itself then. ws may be freed by this. */
        if (ws->h2o != NULL && ws->h2o->sock != NULL)
            h2o_websocket_proceed(ws->h2o);
    }
    return any;
}

static void queue_message(fl_http_ws *ws, uint32_t kind, flamenco_str data)
{
    const fl_http_config *config = &ws->loop->http->config;
    wslay_event_context_ptr wslay = ws->h2o->ws_ctx;
    struct wslay_event_msg msg = { .opcode = kind == FL_HTTP_WS_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME,
                                   .msg = (const uint8_t *)data.ptr,
                                   .msg_length = data.len };
    /* A message is queued behind a close only when both ends gave up already. */
    if (ws->closing || ws->dropped)
        return;
    if (wslay_event_get_queued_msg_count(wslay) >= config->ws_max_queued ||
        wslay_event_get_queued_msg_length(wslay) + data.len > config->ws_max_queued_bytes) {
        atomic_fetch_add_explicit(&ws->loop->n_cut, 1, memory_order_relaxed);
        fl_debug("http", "WebSocket of %s dropped: it does not read", ws->conn->peer);
        drop(ws);
        return;
    }
    if (wslay_event_queue_msg(wslay, &msg) != 0 && !wslay_event_get_close_sent(wslay))
        drop(ws);
    mark_dirty(ws);
}

static void run_send(fl_msg *m)
{
    ws_msg *msg = FL_FROM(ws_msg, msg, m);
    if (msg->ws->h2o != NULL)
        queue_message(msg->ws, msg->kind, fl_shared_str(msg->data));
    fl_shared_unref(msg->data);
    fl_http_ws_unref(msg->ws);
    free(msg);
}

static void begin_close(fl_http_ws *ws, uint32_t code)
{
    if (ws->h2o == NULL || ws->closing || ws->dropped)
        return;
    if (code == 0 || wslay_event_queue_close(ws->h2o->ws_ctx, (uint16_t)code, NULL, 0) != 0) {
        drop(ws);
        return;
    }
    ws->closing = 1;
    ws->closing_since_us = fl_http_now_us();
    mark_dirty(ws);
}

static void run_close(fl_msg *m)
{
    ws_msg *msg = FL_FROM(ws_msg, msg, m);
    begin_close(msg->ws, msg->kind);
    fl_http_ws_unref(msg->ws);
    free(msg);
}

void fl_ws_tick(fl_http_ws *ws, int64_t now_us)
{
    int64_t silence_us = ws->loop->http->config.ws_silence_us;
    if (ws->dropped)
        return;
    if ((ws->closing && now_us - ws->closing_since_us >= CLOSE_GRACE_US) ||
        (!ws->closing && silence_us > 0 && now_us - ws->spoke_us >= silence_us)) {
        atomic_fetch_add_explicit(&ws->loop->n_cut, 1, memory_order_relaxed);
        drop(ws);
    }
}

void fl_ws_close_all(fl_loop *loop, uint32_t code)
{
    for (fl_link *at = loop->conns.next; at != &loop->conns; at = at->next) {
        fl_conn *conn = FL_FROM(fl_conn, link, at);
        if (conn->ws != NULL)
            begin_close(conn->ws, code);
    }
}

static void begin_upgrade(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, msg, msg);
    fl_http_ws *ws = request->ws;
    fl_loop *loop = request->loop;
    const char *key = NULL;

    request->closing = 1;
    fl_hold_release(request);
    if (request->req == NULL) {
        atomic_store(&ws->closed, 1);
        ws->callbacks->on_close(ws->ctx, ws, CODE_BROKEN);
        fl_http_ws_unref(ws);
        fl_request_finish(request);
        return;
    }
    h2o_is_websocket_handshake(request->req, &key);
    ws->conn = request->conn;
    ws->conn->ws = ws;
    ws->conn->state = FL_CONN_WEBSOCKET;
    ws->spoke_us = fl_http_now_us();
    fl_conn_end_polled(ws->conn);
    h2o_socket_read_stop(ws->conn->sock);
    atomic_fetch_add_explicit(&loop->n_ws, 1, memory_order_relaxed);
    ws->h2o = h2o_upgrade_to_websocket(request->req, key, ws, on_message);
    wslay_event_config_set_max_recv_msg_length(ws->h2o->ws_ctx, loop->http->config.ws_max_message);
    if (ws->callbacks->on_open != NULL)
        ws->callbacks->on_open(ws->ctx, ws);
    if (loop->phase >= FL_PHASE_STOP)
        begin_close(ws, 1001);
}

/* ---- From any thread ------------------------------------------------------------------------------------------- */

int fl_http_wants_upgrade(const fl_http_request *request)
{
    return request->req->upgrade.base != NULL &&
           fl_str_equal_nocase((flamenco_str){ request->req->upgrade.base, request->req->upgrade.len },
                               FL_STR("websocket"));
}

int32_t fl_http_upgrade(fl_http_request *request, const fl_http_ws_callbacks *callbacks, void *ctx, fl_http_ws **out,
                        flamenco_error *err)
{
    const char *key = NULL;
    fl_http_ws *ws;
    int before;
    if (request->req->version != 0x101 || h2o_is_websocket_handshake(request->req, &key) != 0 || key == NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "not a WebSocket handshake");
    if (!fl_str_is(fl_http_request_header_text(request, "sec-websocket-version"), "13"))
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "WebSocket version 13 is needed");
    if ((ws = calloc(1, sizeof(*ws))) == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a WebSocket");
    ws->refs = out != NULL ? 2 : 1; /* the loop's, given back behind on_close; the caller's */
    ws->loop = request->loop;
    ws->callbacks = callbacks;
    ws->ctx = ctx;
    ws->code = CODE_BROKEN;
    fl_link_init(&ws->dirty);
    before = atomic_exchange(&request->ended, 1);
    assert(before == 0);
    (void)before;
    request->ended_us = fl_http_now_us();
    request->ws = ws;
    request->msg.run = begin_upgrade;
    if (out != NULL)
        *out = ws;
    fl_loop_post_one(request->loop, &request->msg);
    return FLAMENCO_OK;
}

static int32_t post(fl_http_ws *ws, void (*run)(fl_msg *), uint32_t kind, flamenco_buf *data)
{
    ws_msg *msg;
    if (atomic_load(&ws->closed) != 0)
        return FLAMENCO_E_CANCELLED;
    if (atomic_load(&ws->dropped) != 0)
        return FLAMENCO_E_FULL;
    if ((msg = calloc(1, sizeof(*msg))) == NULL)
        return FLAMENCO_E_NOMEM;
    msg->msg.run = run;
    msg->ws = ws;
    msg->kind = kind;
    msg->data = data;
    if (data != NULL)
        fl_shared_ref(data);
    fl_http_ws_ref(ws);
    fl_loop_post_one(ws->loop, &msg->msg);
    return FLAMENCO_OK;
}

int32_t fl_http_ws_send(fl_http_ws *ws, uint32_t kind, flamenco_buf *data)
{
    return post(ws, run_send, kind, data);
}

void fl_http_ws_close(fl_http_ws *ws, uint32_t code)
{
    if (post(ws, run_close, code, NULL) == FLAMENCO_E_NOMEM)
        fl_error("http", "no memory to close a WebSocket");
}
