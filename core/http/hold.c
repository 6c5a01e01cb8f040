/* SPDX-License-Identifier: Apache-2.0
 *
 * hold.c - requests that wait for long. h2o does not read from a connection whose request is pending, so a client that
 * went away is found by asking the kernel (POLLRDHUP): once a tick for all held ones, and at once by fl_http_recheck.
 */
#include "core/http/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#define POLL_AT_ONCE 256

/* TCP_USER_TIMEOUT replaces the count of keepalive probes as what ends a silent connection, so while it is held, and
 * nothing is being written, it is set to what keepalive should do. */
static void set_user_timeout(const fl_http_request *request, int64_t us)
{
    unsigned ms = (unsigned)(us / 1000);
    setsockopt(h2o_socket_get_fd(request->conn->sock), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static int is_gone(const struct pollfd *polled)
{
    return (polled->revents & (POLLRDHUP | POLLERR | POLLHUP | POLLNVAL)) != 0;
}

static void start_hold(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, hold_msg, msg);
    if (request->closing || request->req == NULL || request->is_held)
        return;
    request->is_held = 1;
    fl_link_add(&request->loop->held, &request->held);
    atomic_fetch_add_explicit(&request->loop->n_held, 1, memory_order_relaxed);
    set_user_timeout(request, request->loop->http->config.dead_peer_us);
}

/* Takes it off the list, whether it is watched (is_held 1) or was found gone. */
static void unlist(fl_http_request *request)
{
    if (fl_link_is_alone(&request->held))
        return;
    fl_link_remove(&request->held);
    atomic_fetch_sub_explicit(&request->loop->n_held, 1, memory_order_relaxed);
}

void fl_hold_release(fl_http_request *request)
{
    unlist(request);
    if (request->is_held && request->req != NULL)
        set_user_timeout(request, request->loop->http->config.write_timeout_us);
    request->is_held = 0;
}

static void report_gone(fl_http_request *request)
{
    const fl_http_config *config = &request->loop->http->config;
    unlist(request);
    if (request->feed != NULL) {
        fl_feed_gone(request->feed);
        return;
    }
    /* Ended meanwhile by another thread: its message is on the way. */
    if (atomic_load(&request->ended) == 0 && config->on_gone != NULL)
        config->on_gone(config->ctx, request);
}

void fl_hold_check(fl_loop *loop)
{
    struct pollfd fds[POLL_AT_ONCE];
    fl_http_request *requests[POLL_AT_ONCE];
    fl_link *at = loop->held.next;
    while (at != &loop->held) {
        nfds_t n = 0;
        for (; n < POLL_AT_ONCE && at != &loop->held; ++n, at = at->next) {
            requests[n] = FL_FROM(fl_http_request, held, at);
            fds[n].fd = h2o_socket_get_fd(requests[n]->conn->sock);
            fds[n].events = POLLRDHUP;
            fds[n].revents = 0;
        }
        if (poll(fds, n, 0) <= 0)
            continue;
        /* Callbacks only post messages, so neither these requests nor `at` go away meanwhile. */
        for (nfds_t i = 0; i < n; ++i)
            if (is_gone(&fds[i]))
                report_gone(requests[i]);
    }
}

static void answer_recheck(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, recheck_msg, msg);
    int alive = 0;
    if (request->req != NULL) {
        struct pollfd fd = { .fd = h2o_socket_get_fd(request->conn->sock), .events = POLLRDHUP };
        alive = poll(&fd, 1, 0) <= 0 || !is_gone(&fd);
    }
    if (!alive)
        unlist(request);
    request->report(request->report_ctx, request, alive);
}

void fl_http_hold(fl_http_request *request)
{
    if (atomic_exchange(&request->hold_sent, 1) != 0)
        return;
    request->hold_msg.run = start_hold;
    fl_loop_post_one(request->loop, &request->hold_msg);
}

void fl_http_recheck(fl_http_request *request, void (*report)(void *ctx, fl_http_request *request, int alive),
                     void *ctx)
{
    request->report = report;
    request->report_ctx = ctx;
    request->recheck_msg.run = answer_recheck;
    fl_loop_post_one(request->loop, &request->recheck_msg);
}
