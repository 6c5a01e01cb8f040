/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.c - accepts connections, counts them, pauses at the limit, and hands each to h2o, after the TLS handshake if
 * there is one. All on the loop's thread.
 */
#include "core/http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

/* Accepted in one go, so that a flood of connects does not starve those that are served. */
#define ACCEPTS_AT_ONCE 16
/* When the process or the system has no descriptor left, although we stay below the limit: others took them. */
#define ACCEPT_RETRY_US 100000
#define LOG_AGAIN_US 60000000

void fl_conn_pause(fl_loop *loop)
{
    if (loop->paused || !loop->listening)
        return;
    loop->paused = 1;
    atomic_fetch_add(&loop->http->paused_loops, 1);
    atomic_fetch_add_explicit(&loop->n_pauses, 1, memory_order_relaxed);
    /* The listener is level-triggered: left on, it would spin. */
    for (size_t i = 0; i < loop->http->n_listeners; ++i)
        if (loop->listeners[i] != NULL)
            h2o_socket_read_stop(loop->listeners[i]);
}

void fl_conn_resume(fl_loop *loop)
{
    if (!loop->paused)
        return;
    loop->paused = 0;
    atomic_fetch_sub(&loop->http->paused_loops, 1);
    for (size_t i = 0; i < loop->http->n_listeners; ++i)
        if (loop->listeners[i] != NULL)
            h2o_socket_read_start(loop->listeners[i], fl_conn_on_accept);
}

static void release_slot(fl_http *http)
{
    atomic_fetch_sub(&http->connections, 1);
    /* Sequentially consistent on both sides: either the pausing loop sees the free slot, or we see that it paused. */
    if (atomic_load(&http->paused_loops) > 0)
        for (size_t i = 0; i < http->n_loops; ++i)
            fl_loop_wake(&http->loops[i]);
}

void fl_conn_count_sent(fl_conn *conn)
{
    uint64_t out = conn->sock->bytes_written;
    atomic_fetch_add_explicit(&conn->loop->n_out, out - conn->counted_out, memory_order_relaxed);
    conn->counted_out = out;
}

void fl_conn_shutdown(fl_conn *conn)
{
    /* Never closed from here: h2o, or a thread that reads for it, holds the descriptor. It finds the end by itself. */
    shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
}

/* The client sends more before it has its answer, or is gone. What it sent stays with the kernel, for later. */
static void on_early(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    (void)err;
    fl_conn_end_polled(conn);
    h2o_socket_read_stop(sock);
}

void fl_conn_stay_polled(fl_conn *conn)
{
    if (conn->sock->ssl != NULL)
        return;
    conn->polled = 1;
    h2o_socket_dont_read(conn->sock, 1);
    h2o_socket_read_start(conn->sock, on_early);
}

void fl_conn_end_polled(fl_conn *conn)
{
    if (!conn->polled)
        return;
    conn->polled = 0;
    h2o_socket_dont_read(conn->sock, 0);
}

int fl_conn_awaits_client(const fl_conn *conn)
{
    return h2o_socket_is_reading(conn->sock) && !conn->polled;
}

static void on_close(void *data)
{
    fl_conn *conn = data;
    fl_http *http = conn->loop->http;
    if (conn->ws != NULL)
        fl_ws_forget_conn(conn->ws);
    fl_stream_forget(conn);
    fl_link_remove(&conn->link);
    atomic_fetch_sub_explicit(&conn->loop->n_conns, 1, memory_order_relaxed);
    free(conn);
    release_slot(http);
}

static void set_peer(fl_conn *conn, const struct sockaddr_storage *address)
{
    char *out = conn->peer;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        inet_ntop(AF_INET, &v4->sin_addr, out, sizeof(conn->peer));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, out, sizeof(conn->peer));
            return;
        }
        inet_ntop(AF_INET6, &v6->sin6_addr, out, sizeof(conn->peer));
        if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) && v6->sin6_scope_id != 0) {
            char zone[IF_NAMESIZE];
            size_t len = strlen(out);
            if (if_indextoname(v6->sin6_scope_id, zone) != NULL)
                snprintf(out + len, sizeof(conn->peer) - len, "%%%s", zone);
        }
    }
}

static void on_handshake(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->data;
    if (err != NULL) {
        h2o_socket_close(sock);
        return;
    }
    fl_stream_accept(conn);
}

static void begin(fl_loop *loop, fl_conn *conn, int fd)
{
    conn->loop = loop;
    conn->serial = ++loop->next_serial;
    conn->accepted_us = conn->quiet_since_us = fl_http_now_us();
    conn->sock = h2o_evloop_socket_create(loop->evloop, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    conn->sock->on_close.cb = on_close;
    conn->sock->on_close.data = conn;
    fl_link_init(&conn->returned);
    fl_link_add(&loop->conns, &conn->link);
    atomic_fetch_add_explicit(&loop->n_conns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->n_accepted, 1, memory_order_relaxed);
    if (loop->http->ssl != NULL) {
        conn->state = FL_CONN_HANDSHAKE;
        conn->sock->data = conn;
        h2o_socket_ssl_handshake(conn->sock, loop->http->ssl, NULL, on_handshake);
    } else {
        fl_stream_accept(conn);
    }
}

/* Serves a connection that another image of the process had, and of which nothing has been read since its last reply. */
void fl_conn_adopt(fl_loop *loop, int fd)
{
    fl_http *http = loop->http;
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(address);
    fl_conn *conn = NULL;
    int flags = fcntl(fd, F_GETFL);
    if (http->ssl == NULL && getpeername(fd, (struct sockaddr *)&address, &len) == 0 && flags >= 0 &&
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        close(fd);
        return;
    }
    atomic_fetch_add(&http->connections, 1);
    set_peer(conn, &address);
    conn->requests = conn->seen_requests = 1; /* so it may be idle for long */
    begin(loop, conn, fd);
}

/* Puts a descriptor of the connection aside. Returns whether that worked. */
static int keep(fl_http *http, int from)
{
    int kept = 0, fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return 0;
    pthread_mutex_lock(&http->lock);
    if (http->n_kept == http->cap_kept) {
        size_t cap = http->cap_kept > 0 ? 2 * http->cap_kept : 64;
        int *more = realloc(http->kept, cap * sizeof(*more));
        if (more != NULL) {
            http->kept = more;
            http->cap_kept = cap;
        }
    }
    if (http->n_kept < http->cap_kept) {
        http->kept[http->n_kept++] = fd;
        kept = 1;
    }
    pthread_mutex_unlock(&http->lock);
    if (!kept)
        close(fd);
    return kept;
}

static int find_idle(h2o_req_t *req, void *data)
{
    fl_conn *conn = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    (void)data;
    conn->is_idle = (conn->state == FL_CONN_H2O || conn->state == FL_CONN_BOUNDARY) && req->version == 0 &&
                    h2o_socket_is_reading(conn->sock) && conn->sock->input->size == 0 && conn->stash == NULL &&
                    conn->drain_left == 0;
    return 0;
}

/* Sets the connections aside that wait for a request. h2o is told of an error, and closes its descriptor of each; what the
 * client sends from now on waits in the kernel. */
void fl_conn_keep_idle(fl_loop *loop)
{
    loop->http->globalconf.http1.callbacks.foreach_request(&loop->context, find_idle, NULL);
    for (fl_link *at = loop->conns.next, *next; at != &loop->conns; at = next) {
        fl_conn *conn = FL_FROM(fl_conn, link, at);
        next = at->next;
        if (!conn->is_idle)
            continue;
        conn->is_idle = 0;
        if (keep(loop->http, h2o_socket_get_fd(conn->sock)))
            conn->sock->_cb.read(conn->sock, "kept for the next image of the process");
        else
            fl_conn_shutdown(conn);
    }
}

void fl_conn_on_accept(h2o_socket_t *listener, const char *err)
{
    fl_loop *loop = listener->data;
    fl_http *http = loop->http;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE; ++i) {
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof(address);
        if (atomic_fetch_add(&http->connections, 1) >= http->max_connections) {
            release_slot(http);
            loop->retry_accept_us = 0;
            fl_conn_pause(loop);
            return;
        }
        /* Socket options are the listener's (listen.c). */
        int fd = accept4(h2o_socket_get_fd(listener), (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            int reason = errno;
            release_slot(http);
            if (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM) {
                int64_t now = fl_http_now_us();
                if (now >= loop->log_accept_us)
                    fl_error("http", "cannot accept connections: %s", strerror(reason));
                loop->log_accept_us = now + LOG_AGAIN_US;
                loop->retry_accept_us = now + ACCEPT_RETRY_US;
                fl_conn_pause(loop);
            }
            return;
        }
        fl_conn *conn = calloc(1, sizeof(*conn));
        if (conn == NULL) {
            fl_error("http", "no memory for a connection");
            close(fd);
            release_slot(http);
            return;
        }
        set_peer(conn, &address);
        begin(loop, conn, fd);
    }
}
