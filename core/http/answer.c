/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.c - takes replies from any thread to the request's loop and writes them.
 */
#include "core/http/internal.h"

/* h2o encrypts what it gets in one call at once, into memory: over TLS it gets large bodies in pieces. */
#define TLS_PIECE ((size_t)256 << 10)

const char *fl_http_reason(int32_t status)
{
    static const struct {
        int32_t status;
        const char *reason;
    } table[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 208, "Already Reported" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Request Entity Too Large" },
        { 415, "Unsupported Media Type" },
        { 416, "Requested Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 418, "I'm a teapot" },
        { 422, "Unprocessable Entity" },
        { 423, "Locked" },
        { 424, "Failed Dependency" },
        { 425, "Too Early" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
        if (table[i].status == status)
            return table[i].reason;
    return "Unknown";
}

static int has_body(int32_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* ---- Writing [loop] -------------------------------------------------------------------------------------------- */

static void send_file_piece(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, msg, msg);
    h2o_iovec_t piece;
    if (request->piece_len <= 0) {
        /* The file is shorter than was promised, or cannot be read: all that is left is to break the connection. */
        fl_error("http", "%s: file reply cut: %s", request->id,
                 request->piece_len == 0 ? "the file became shorter" : strerror((int)-request->piece_len));
        h2o_send(request->req, NULL, 0, H2O_SEND_STATE_ERROR);
        return;
    }
    piece = h2o_iovec_init(request->piece, (size_t)request->piece_len);
    request->sent += piece.len;
    h2o_send(request->req, &piece, 1,
             request->sent == request->reply.length ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void send_body_piece(fl_http_request *request, size_t at_most)
{
    flamenco_str body = fl_shared_str(request->reply.body);
    size_t left = (size_t)(body.len - request->sent);
    h2o_iovec_t piece = h2o_iovec_init(body.ptr + request->sent, left < at_most ? left : at_most);
    request->sent += piece.len;
    h2o_send(request->req, &piece, 1, request->sent == body.len ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    fl_http_request *request = FL_FROM(fl_http_request, generator, generator);
    (void)req;
    if (request->reply.flags & FL_HTTP_FILE)
        fl_files_read(request);
    else
        send_body_piece(request, TLS_PIECE);
}

static void on_stop(h2o_generator_t *generator, h2o_req_t *req)
{
    /* Nothing to undo: the request is destroyed with h2o's. No file piece is being read now, for h2o finds a connection
     * broken only when it writes, and nothing is written while a piece is read. */
    (void)generator;
    (void)req;
}

void fl_answer_add_headers(fl_http_request *request)
{
    h2o_req_t *req = request->req;
    const fl_http_reply *reply = &request->reply;
    if (reply->content_type.len != 0)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, "Content-Type", reply->content_type.ptr,
                       reply->content_type.len);
    if (reply->flags & FL_HTTP_GZIPPED)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_ENCODING, "Content-Encoding",
                       H2O_STRLIT("gzip"));
    if (reply->status == 204)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_VARY, "Vary", H2O_STRLIT("Origin"));
    else
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_VARY, "Vary", H2O_STRLIT("Origin, Accept-Encoding"));
    for (size_t i = 0; i < reply->n_headers; ++i) {
        const fl_http_header *header = &reply->headers[i];
        /* h2o looks names up in lower case, and sends the original. */
        h2o_iovec_t name = h2o_strdup(&req->pool, header->name.ptr, header->name.len);
        h2o_strtolower(name.base, name.len);
        h2o_add_header_by_str(&req->pool, &req->res.headers, name.base, name.len, 1, header->name.ptr,
                              header->value.ptr, header->value.len);
    }
}

static void write_answer(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, msg, msg);
    fl_http_reply *reply = &request->reply;
    h2o_req_t *req = request->req;
    uint64_t length = 0;

    request->closing = 1;
    if (req == NULL) {
        fl_request_finish(request);
        return;
    }
    fl_hold_release(request);
    if (reply->status == 0) {
        /* Dropped: the write below fails, and h2o disposes of everything. */
        fl_conn_shutdown(request->conn);
        reply->flags |= FL_HTTP_CLOSE;
    }
    if (reply->flags & FL_HTTP_FILE)
        length = reply->length;
    else if (reply->body != NULL)
        length = fl_shared_str(reply->body).len;
    req->res.status = reply->status != 0 ? reply->status : 503;
    req->res.reason = fl_http_reason(req->res.status);
    if (has_body(req->res.status))
        req->res.content_length = (size_t)length;
    else
        length = 0;
    if ((reply->flags & FL_HTTP_CLOSE) || request->conn->close_after ||
        (request->loop->phase >= FL_PHASE_DRAIN && !atomic_load(&request->loop->http->keeps)))
        req->http1_is_persistent = 0;
    fl_answer_add_headers(request);
    request->generator.proceed = on_proceed;
    request->generator.stop = on_stop;
    h2o_start_response(req, &request->generator);
    if (length == 0 || fl_http_request_is_head(request)) {
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
    } else if (reply->flags & FL_HTTP_FILE) {
        /* h2o sends no head before the first bytes, so an unreadable file still breaks the connection. */
        request->msg.run = send_file_piece;
        fl_files_read(request);
    } else {
        send_body_piece(request, request->conn->sock->ssl != NULL ? TLS_PIECE : SIZE_MAX);
    }
}

/* ---- From any thread ------------------------------------------------------------------------------------------- */

static int is_clean(flamenco_str text, int is_name)
{
    for (uint64_t i = 0; i < text.len; ++i) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f || (is_name && (c == ':' || c <= ' ')))
            return 0;
    }
    return !is_name || text.len != 0;
}

/* Copies what the caller may free after the call. Returns 0, or NOMEM. */
int32_t fl_answer_copy(fl_http_request *request, const fl_http_reply *reply)
{
    fl_http_header *copies;
    fl_arena *arena;
    request->reply.headers = NULL;
    request->reply.n_headers = 0;
    request->reply.content_type = (flamenco_str){ NULL, 0 };
    if (reply->n_headers == 0 && reply->content_type.len == 0)
        return FLAMENCO_OK;
    if ((arena = fl_http_request_arena(request)) == NULL)
        return FLAMENCO_E_NOMEM;
    if (reply->content_type.len != 0 && is_clean(reply->content_type, 0)) {
        request->reply.content_type = fl_arena_copy(arena, reply->content_type);
        if (request->reply.content_type.ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    if (reply->n_headers == 0)
        return FLAMENCO_OK;
    if ((copies = fl_arena_alloc(arena, reply->n_headers * sizeof(copies[0]))) == NULL)
        return FLAMENCO_E_NOMEM;
    for (size_t i = 0; i < reply->n_headers; ++i) {
        fl_http_header *copy = &copies[request->reply.n_headers];
        if (!is_clean(reply->headers[i].name, 1) || !is_clean(reply->headers[i].value, 0)) {
            fl_error("http", "%s: reply header left out: control character in %.*s", request->id,
                     FL_STR_ARGS(reply->headers[i].name));
            continue;
        }
        copy->name = fl_arena_copy(arena, reply->headers[i].name);
        copy->value = fl_arena_copy(arena, reply->headers[i].value);
        if (copy->name.ptr == NULL || copy->value.ptr == NULL)
            return FLAMENCO_E_NOMEM;
        ++request->reply.n_headers;
    }
    request->reply.headers = copies;
    return FLAMENCO_OK;
}

/* Makes the message that ends the request. */
static void end(fl_http_request *request, const fl_http_reply *reply)
{
    int before = atomic_exchange(&request->ended, 1);
    assert(before == 0);
    (void)before;
    request->ended_us = fl_http_now_us();
    request->msg.run = write_answer;
    request->reply = *reply;
    if (fl_answer_copy(request, reply) != FLAMENCO_OK) {
        /* Better no answer than one that lacks what gives it its meaning. */
        fl_error("http", "%s: no memory for a reply", request->id);
        request->reply.status = 0;
        request->reply.n_headers = 0;
    }
}

void fl_http_answer(fl_http_request *request, const fl_http_reply *reply)
{
    fl_loop *loop = request->loop;
    end(request, reply);
    fl_loop_post_one(loop, &request->msg);
}

void fl_http_answer_batch(const fl_http_answer_item *items, size_t n)
{
    /* Chains per loop, so that each loop's lock is taken once. Batches are at most some hundred, loops some dozen. */
    struct {
        fl_loop *loop;
        fl_msg *first, *last;
    } chains[64];
    size_t n_chains = 0;
    for (size_t i = 0; i < n; ++i) {
        fl_http_request *request = items[i].request;
        size_t at = 0;
        end(request, &items[i].reply);
        while (at < n_chains && chains[at].loop != request->loop)
            ++at;
        if (at == n_chains && n_chains == sizeof(chains) / sizeof(chains[0])) {
            fl_loop_post_one(request->loop, &request->msg);
            continue;
        }
        if (at == n_chains) {
            chains[n_chains].loop = request->loop;
            chains[n_chains].first = chains[n_chains].last = &request->msg;
            ++n_chains;
        } else {
            chains[at].last->next = &request->msg;
            chains[at].last = &request->msg;
        }
    }
    for (size_t i = 0; i < n_chains; ++i)
        fl_loop_post(chains[i].loop, chains[i].first, chains[i].last);
}

void fl_http_drop(fl_http_request *request)
{
    static const fl_http_reply nothing = { .status = 0 };
    fl_http_answer(request, &nothing);
}
