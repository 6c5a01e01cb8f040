/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - makes a request of what h2o parsed, hands it to the caller, and destroys it when h2o has done with it.
 * While a request is pending h2o neither reads from its connection nor runs a timer for it, so its texts and its body
 * stay where h2o has put them, and any thread may read them.
 */
#include "core/http/internal.h"

#include <poll.h>

#include "core/http/head.h"

/* h2o frees this with the request's pool, and thereby tells us. */
typedef struct request_ref {
    fl_http_request *request;
} request_ref;

static flamenco_str as_str(h2o_iovec_t v)
{
    return (flamenco_str){ v.base, v.len };
}

/* Nearly every request needs an arena: those of the last ones are used again. */
static void keep_arena(fl_loop *loop, fl_arena *arena)
{
    if (arena == NULL || loop->n_spare_arenas == FL_SPARE_ARENAS) {
        fl_arena_destroy(arena);
        return;
    }
    fl_arena_reset(arena);
    loop->spare_arenas[loop->n_spare_arenas++] = arena;
}

void fl_request_finish(fl_http_request *request)
{
    fl_loop *loop = request->loop;
    fl_hold_release(request);
    fl_link_remove(&request->pending);
    if (request->feed != NULL)
        fl_feed_disposed(request->feed);
    if (request->user_destroy != NULL)
        request->user_destroy(request->user);
    fl_shared_unref(request->reply.body);
    fl_stream_free(request->stream, &loop->http->config);
    if (request->reply.flags & FL_HTTP_FILE)
        close(request->reply.fd);
    keep_arena(loop, request->arena);
    free(request->piece);
    free(request);
    atomic_fetch_sub_explicit(&loop->n_pending, 1, memory_order_relaxed);
}

static void report_done(fl_http_request *request)
{
    const fl_http_config *config = &request->loop->http->config;
    const h2o_req_t *req = request->req;
    int64_t now = fl_http_now_us();
    fl_http_done done = { .id = fl_http_request_id(request),
                          .method = fl_http_request_method(request),
                          .path = fl_http_request_path(request),
                          .peer = fl_http_request_peer(request),
                          .status = request->ws != NULL ? 101 : request->reply.status,
                          .upgraded = request->ws != NULL,
                          .bytes_in = request->stream != NULL ? fl_stream_bytes(request->stream) : req->entity.len,
                          .bytes_out = req->bytes_sent,
                          .wait_us = request->ended_us - request->begin_us,
                          .total_us = now - request->begin_us };
    if (config->on_done != NULL)
        config->on_done(config->ctx, &done);
}

static void on_dispose(void *data)
{
    fl_http_request *request = ((request_ref *)data)->request;
    fl_conn_count_sent(request->conn);
    fl_stream_request_ended(request->conn);
    fl_conn_end_polled(request->conn);
    if (request->closing) {
        report_done(request);
        fl_request_finish(request);
        return;
    }
    /* h2o does not let go of a pending request on HTTP/1. Should it, the message that ends this one finds no req. */
    request->req = NULL;
    request->conn = NULL;
}

/* Joins folded lines to the header that they continue. h2o leaves them in the list with a name of no letters (a NULL
 * one, unless there is a body), which no real header has. */
static void join_folded(h2o_req_t *req)
{
    h2o_headers_t *list = &req->headers;
    size_t kept = 0;
    for (size_t i = 0; i < list->size; ++i) {
        h2o_header_t *header = &list->entries[i];
        if (header->name->len != 0) {
            list->entries[kept++] = *header;
            continue;
        }
        if (kept == 0)
            continue; /* continues one that h2o keeps elsewhere */
        h2o_iovec_t more = header->value, *whole = &list->entries[kept - 1].value;
        while (more.len > 0 && (*more.base == ' ' || *more.base == '\t')) {
            ++more.base;
            --more.len;
        }
        *whole = h2o_concat(&req->pool, *whole, h2o_iovec_init(H2O_STRLIT(" ")), more);
    }
    list->size = kept;
}

static void refuse(fl_loop *loop, h2o_req_t *req, const char *problem)
{
    atomic_fetch_add_explicit(&loop->n_refused, 1, memory_order_relaxed);
    fl_debug("http", "request refused: %s", problem);
    h2o_send_error_400(req, "Bad Request", problem, H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
}

static char *put_hex(char *to, uint64_t value)
{
    int digits = 1;
    while (digits < 16 && value >> (4 * digits) != 0)
        ++digits;
    while (digits-- > 0)
        *to++ = "0123456789abcdef"[value >> (4 * digits) & 15];
    return to;
}

/* Names the request: prefix of the process, loop, number. At most 7 + 8 + 1 + 16 characters. */
static void make_id(fl_loop *loop, fl_http_request *request)
{
    size_t prefix = strlen(loop->http->id_prefix);
    memcpy(request->id, loop->http->id_prefix, prefix);
    char *to = put_hex(request->id + prefix, loop->index);
    *to++ = '-';
    to = put_hex(to, ++loop->next_request);
    request->id_len = (size_t)(to - request->id);
}

static fl_http_request *make(fl_loop *loop, fl_conn *conn, h2o_req_t *req)
{
    fl_http_request *request = calloc(1, sizeof(*request));
    request_ref *ref;
    if (request == NULL)
        return NULL;
    request->loop = loop;
    request->conn = conn;
    request->req = req;
    request->begin_us = fl_http_now_us();
    fl_link_add(&loop->pending, &request->pending);
    fl_link_init(&request->held);
    make_id(loop, request);
    ref = h2o_mem_alloc_shared(&req->pool, sizeof(*ref), on_dispose);
    ref->request = request;
    request->stream = conn->stream;
    conn->stream = NULL;
    if (loop->n_spare_arenas > 0)
        request->arena = loop->spare_arenas[--loop->n_spare_arenas];
    return request;
}

/* h2o goes on with what it has read after a reply that could not be written: asks the system before a request that came
 * behind another one, so that a client that is gone, or was given up, does not keep us busy. One that only said that it
 * will send no more still wants its replies. */
static int is_of_the_dead(fl_conn *conn)
{
    /* h2o sets this with each read, to what that brought, and looks at it no more. */
    size_t read = conn->sock->bytes_read;
    conn->sock->bytes_read = 0;
    if (read > 0)
        return 0;
    struct pollfd fd = { .fd = h2o_socket_get_fd(conn->sock), .events = 0 };
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLHUP)) != 0;
}

int fl_request_on_req(h2o_handler_t *self, h2o_req_t *req)
{
    fl_loop *loop = FL_FROM(fl_loop, context, req->conn->ctx);
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    fl_conn *conn = sock->on_close.data;
    const char *problem;
    fl_http_request *request;
    (void)self;

    ++conn->requests;
    if (is_of_the_dead(conn)) {
        h2o_send_error_503(req, "Service Unavailable", "nobody is there", H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
        return 0;
    }
    /* The raw head still stands in front of the input; h2o has only lowered the letters of the names. */
    size_t head_len = fl_head_scan(sock->input->bytes, sock->input->size, &problem);
    if (head_len == 0)
        problem = "head not understood";
    if (problem != NULL) {
        refuse(loop, req, problem);
        return 0;
    }
    join_folded(req);
    request = make(loop, conn, req);
    if (request == NULL) {
        fl_error("http", "no memory for a request");
        h2o_send_error_503(req, "Service Unavailable", "out of memory", H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
        return 0;
    }
    atomic_fetch_add_explicit(&loop->n_pending, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->n_requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->n_in, head_len + req->entity.len,
                              memory_order_relaxed); /* stream.c counts its own */
    fl_conn_stay_polled(conn);
    loop->http->config.on_request(loop->http->config.ctx, request);
    return 0;
}

/* ---- Accessors ------------------------------------------------------------------------------------------------- */

flamenco_str fl_http_request_id(const fl_http_request *request)
{
    return (flamenco_str){ request->id, request->id_len };
}

flamenco_str fl_http_request_method(const fl_http_request *request)
{
    return as_str(request->req->method);
}

flamenco_str fl_http_request_target(const fl_http_request *request)
{
    return as_str(request->req->path);
}

/* Not h2o's query_at: that one is counted after its own reading of the path. */
flamenco_str fl_http_request_path(const fl_http_request *request)
{
    flamenco_str target = as_str(request->req->path);
    const char *mark = target.len != 0 ? memchr(target.ptr, '?', target.len) : NULL;
    if (mark != NULL)
        target.len = (uint64_t)(mark - target.ptr);
    return target;
}

flamenco_str fl_http_request_query(const fl_http_request *request)
{
    flamenco_str target = as_str(request->req->path);
    const char *mark = target.len != 0 ? memchr(target.ptr, '?', target.len) : NULL;
    if (mark == NULL)
        return (flamenco_str){ NULL, 0 };
    return (flamenco_str){ mark + 1, target.len - (uint64_t)(mark + 1 - target.ptr) };
}

flamenco_str fl_http_request_body(const fl_http_request *request)
{
    return as_str(request->req->entity);
}

void *fl_http_request_stream(const fl_http_request *request)
{
    return fl_stream_user(request->stream);
}

flamenco_str fl_http_request_host(const fl_http_request *request)
{
    return as_str(request->req->input.authority);
}

uint32_t fl_http_request_version(const fl_http_request *request)
{
    return (uint32_t)request->req->version;
}

int fl_http_request_is_head(const fl_http_request *request)
{
    return fl_str_is(fl_http_request_method(request), "HEAD");
}

int fl_http_request_header(const fl_http_request *request, const char *name, size_t index, flamenco_str *out)
{
    const h2o_headers_t *list = &request->req->headers;
    size_t len = strlen(name);
    for (size_t i = 0; i < list->size; ++i) {
        const h2o_header_t *header = &list->entries[i];
        if (header->name->len == len && memcmp(header->name->base, name, len) == 0 && index-- == 0) {
            *out = as_str(header->value);
            return 1;
        }
    }
    return 0;
}

flamenco_str fl_http_request_header_text(const fl_http_request *request, const char *name)
{
    flamenco_str value = { NULL, 0 };
    fl_http_request_header(request, name, 0, &value);
    return value;
}

flamenco_str fl_http_request_peer(const fl_http_request *request)
{
    return flamenco_text(request->conn->peer);
}

flamenco_str fl_http_request_remote(const fl_http_request *request)
{
    flamenco_str value;
    if (fl_http_request_header(request, "x-forwarded-for", 0, &value)) {
        const char *comma = value.len != 0 ? memchr(value.ptr, ',', value.len) : NULL;
        if (comma != NULL)
            value.len = (uint64_t)(comma - value.ptr);
        value = fl_str_trim(value);
        if (value.len != 0)
            return value;
    }
    value = fl_str_trim(fl_http_request_header_text(request, "x-real-ip"));
    return value.len != 0 ? value : fl_http_request_peer(request);
}

int fl_http_request_came_through_proxy(const fl_http_request *request)
{
    flamenco_str value;
    return request->req->version < 0x101 || fl_http_request_header(request, "forwarded", 0, &value) ||
           fl_http_request_header(request, "x-forwarded-for", 0, &value) ||
           fl_http_request_header(request, "via", 0, &value);
}

int fl_http_request_accepts_gzip(const fl_http_request *request)
{
    flamenco_str value;
    for (size_t i = 0; fl_http_request_header(request, "accept-encoding", i, &value); ++i)
        if (fl_http_gzip_accepted(value))
            return 1;
    return 0;
}

fl_arena *fl_http_request_arena(fl_http_request *request)
{
    if (request->arena == NULL)
        request->arena = fl_arena_create(0);
    return request->arena;
}

void fl_http_request_set_user(fl_http_request *request, void *user, void (*destroy)(void *user))
{
    request->user = user;
    request->user_destroy = destroy;
}

void *fl_http_request_user(const fl_http_request *request)
{
    return request->user;
}
