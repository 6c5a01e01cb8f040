/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.c - time limits on what clients send, looked at once a tick. h2o has one clock for idle, head and body
 * together, which would cut a healthy slow upload; it is switched off (loop.c). A connection is never closed from here
 * but shut down: h2o reads the end and closes it in order. What clients do not read is TCP_USER_TIMEOUT's business
 * (listen.c).
 */
#include "core/http/internal.h"

static void cut(fl_conn *conn, const char *why)
{
    if (conn->cut)
        return;
    conn->cut = 1;
    atomic_fetch_add_explicit(&conn->loop->n_cut, 1, memory_order_relaxed);
    fl_debug("http", "connection of %s cut: %s", conn->peer, why);
    fl_conn_shutdown(conn);
}

static uint64_t limit_of(const fl_conn *conn, const h2o_req_t *req)
{
    const fl_http_config *config = &conn->loop->http->config;
    flamenco_str method = { req->input.method.base, req->input.method.len };
    flamenco_str path = { req->input.path.base, req->input.path.len };
    const char *mark = path.len != 0 ? memchr(path.ptr, '?', path.len) : NULL;
    uint64_t limit = config->max_body;
    if (mark != NULL)
        path.len = (uint64_t)(mark - path.ptr);
    if (config->body_limit != NULL)
        limit = config->body_limit(config->ctx, method, path);
    return limit < config->max_body ? limit : config->max_body;
}

/* Looks at how a body arrives. Returns what is wrong with it, or NULL. */
static const char *check_rate(fl_conn *conn, uint64_t arrived, int64_t now)
{
    const fl_http_config *config = &conn->loop->http->config;
    const char *problem = NULL;
    if (now - conn->quiet_since_us >= config->body_stall_us) {
        problem = "body stalled";
    } else if (now - conn->rate_since_us >= config->body_stall_us) {
        uint64_t ms = (uint64_t)(now - conn->rate_since_us) / 1000;
        if ((arrived - conn->rate_bytes) * 1000 < config->body_min_rate * ms)
            problem = "body too slow";
        conn->rate_since_us = now;
        conn->rate_bytes = arrived;
    }
    return problem;
}

static void check_body(fl_conn *conn, const h2o_req_t *req, int64_t now)
{
    uint64_t arrived = conn->sock->input->size;
    const char *problem;
    if (conn->rate_since_us == 0) {
        conn->rate_since_us = now;
        conn->rate_bytes = arrived;
        conn->body_limit = limit_of(conn, req);
    }
    /* The input holds the head, too, which h2o bounds. */
    if (conn->sock->input->size > conn->body_limit + H2O_MAX_REQLEN) {
        cut(conn, "body too large");
    } else if ((problem = check_rate(conn, arrived, now)) != NULL) {
        cut(conn, problem);
    }
}

/* Looks at a body that is streamed or thrown away. */
static void check_stream(fl_conn *conn, int64_t now)
{
    int is_drain = conn->state == FL_CONN_DRAIN;
    uint64_t arrived = is_drain ? 0 - conn->drain_left : fl_stream_bytes(conn->stream);
    const char *problem;
    conn->head_since_us = 0;
    if (conn->rate_since_us == 0 || (!is_drain && fl_stream_is_out(conn->stream))) {
        /* It has just begun, or is with us: a slow disk is not the client's fault. */
        conn->rate_since_us = conn->quiet_since_us = now;
        conn->rate_bytes = conn->seen_bytes = arrived;
        return;
    }
    if (arrived != conn->seen_bytes) {
        conn->seen_bytes = arrived;
        conn->quiet_since_us = now;
    }
    if ((problem = check_rate(conn, arrived, now)) != NULL)
        cut(conn, problem);
}

/* Looks at one connection that is h2o's. */
static void check_http(fl_conn *conn, const h2o_req_t *req, int64_t now)
{
    const fl_http_config *config = &conn->loop->http->config;
    int is_new = conn->requests != conn->seen_requests;

    if (is_new || !fl_conn_awaits_client(conn)) {
        /* A request was, or is, in the caller's hands or being answered: nothing is owed by the client. */
        conn->seen_requests = conn->requests;
        conn->head_since_us = conn->rate_since_us = 0;
        conn->quiet_since_us = now;
        conn->seen_bytes = conn->sock->input->size;
        if (!fl_conn_awaits_client(conn))
            return;
    }
    if (conn->sock->input->size != conn->seen_bytes) {
        conn->seen_bytes = conn->sock->input->size;
        conn->quiet_since_us = now;
    }
    if (req->version != 0) {
        check_body(conn, req, now);
    } else if (conn->sock->input->size != 0 || conn->requests == 0) {
        if (conn->head_since_us == 0)
            conn->head_since_us = conn->requests == 0 ? conn->accepted_us : now;
        if (now - conn->head_since_us >= config->head_timeout_us)
            cut(conn, "head not finished");
    } else if (now - conn->quiet_since_us >= config->idle_us) {
        cut(conn, "idle");
    }
}

typedef struct tick {
    int64_t now;
} tick;

static int check_one(h2o_req_t *req, void *data)
{
    const tick *t = data;
    fl_conn *conn = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    if (conn->state == FL_CONN_STREAM || conn->state == FL_CONN_DRAIN)
        check_stream(conn, t->now);
    else
        check_http(conn, req, t->now);
    return 0;
}

void fl_watchdog_tick(fl_loop *loop, int64_t now_us)
{
    tick t = { .now = now_us };
    loop->http->globalconf.http1.callbacks.foreach_request(&loop->context, check_one, &t);
    for (fl_link *at = loop->conns.next; at != &loop->conns; at = at->next) {
        fl_conn *conn = FL_FROM(fl_conn, link, at);
        if (conn->state == FL_CONN_HANDSHAKE && now_us - conn->accepted_us >= loop->http->config.head_timeout_us)
            cut(conn, "TLS handshake not finished");
        else if (conn->ws != NULL)
            fl_ws_tick(conn->ws, now_us);
    }
}

static int close_if_idle(h2o_req_t *req, void *data)
{
    fl_conn *conn = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    (void)data;
    /* Only the reading side: a request that the kernel has taken already is still read, and answered. */
    if (conn->state != FL_CONN_STREAM && fl_conn_awaits_client(conn) && req->version == 0 &&
        conn->sock->input->size == 0)
        shutdown(h2o_socket_get_fd(conn->sock), SHUT_RD);
    return 0;
}

void fl_watchdog_close_idle(fl_loop *loop)
{
    loop->http->globalconf.http1.callbacks.foreach_request(&loop->context, close_if_idle, NULL);
}
