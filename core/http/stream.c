/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - replies to which any thread adds bytes until it ends them (server-sent events). h2o takes one write at a time:
 * `idle` says that it waits for the next. While nothing is written, a client that went away is found as one of a held
 * request is (hold.c).
 */
#include "core/http/internal.h"

#define PIECES_AT_ONCE 32u
#define TLS_AT_ONCE (256u << 10)
#define END_GRACE_US 5000000

struct fl_http_stream {
    _Atomic uint32_t refs;
    atomic_int closed, cut;
    fl_loop *loop;
    fl_http_request *request; /* [loop] NULL: h2o let go of it */
    fl_link link; /* [loop] loop->streams */
    fl_link busy; /* [loop] loop->busy_streams */
    h2o_generator_t generator;
    int idle, finished; /* [loop] h2o waits for bytes; it got the last ones */
    int gone; /* [loop] to be cut */
    int64_t sent_us, ending_since_us; /* [loop] */
    flamenco_buf *pieces[PIECES_AT_ONCE]; /* [loop] being written */
    size_t n_pieces;
    flamenco_buf *keep_alive;
    int64_t keep_alive_us;
    void (*on_close)(void *ctx, fl_http_stream *stream);
    void *ctx;

    fl_outq out; /* its lock is that of the members below, too */
    fl_msg wake;
    int posted, end_asked;
};

static void stream_ref(fl_http_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
}

void fl_http_stream_unref(fl_http_stream *stream)
{
    if (stream == NULL || atomic_fetch_sub(&stream->refs, 1) != 1)
        return;
    fl_outq_fini(&stream->out);
    fl_shared_unref(stream->keep_alive);
    free(stream);
}

/* ---- [loop] ---------------------------------------------------------------------------------------------------- */

static void mark_busy(fl_http_stream *stream)
{
    if (fl_link_is_alone(&stream->busy))
        fl_link_add(&stream->loop->busy_streams, &stream->busy);
}

static void free_pieces(fl_http_stream *stream)
{
    for (size_t i = 0; i < stream->n_pieces; ++i)
        fl_shared_unref(stream->pieces[i]);
    stream->n_pieces = 0;
}

void fl_stream_disposed(fl_http_stream *stream)
{
    stream->request = NULL;
    atomic_store(&stream->closed, 1);
    fl_link_remove(&stream->link);
    fl_link_remove(&stream->busy);
    free_pieces(stream);
    stream->on_close(stream->ctx, stream);
    fl_http_stream_unref(stream);
}

/* Breaks the connection; h2o then lets go of the request. */
static void cut_stream(fl_http_stream *stream)
{
    if (atomic_exchange(&stream->cut, 1) != 0)
        return;
    fl_conn_shutdown(stream->request->conn);
    if (stream->idle && !stream->finished) {
        stream->idle = 0;
        stream->finished = 1;
        h2o_send(stream->request->req, NULL, 0, H2O_SEND_STATE_ERROR);
    }
}

void fl_stream_gone(fl_http_stream *stream)
{
    stream->gone = 1;
    mark_busy(stream);
}

static void finish(fl_http_stream *stream)
{
    stream->idle = 0;
    stream->finished = 1;
    h2o_send(stream->request->req, NULL, 0, H2O_SEND_STATE_FINAL);
}

static void write_pieces(fl_http_stream *stream)
{
    h2o_iovec_t pieces[PIECES_AT_ONCE];
    uint64_t taken = 0, at_most = stream->request->conn->sock->ssl != NULL ? TLS_AT_ONCE : UINT64_MAX;
    pthread_mutex_lock(&stream->out.lock);
    while (stream->out.count > 0 && stream->n_pieces < PIECES_AT_ONCE && taken < at_most) {
        flamenco_buf *data = fl_outq_pop(&stream->out).data;
        flamenco_str text = fl_shared_str(data);
        pieces[stream->n_pieces] = h2o_iovec_init(text.ptr, text.len);
        stream->pieces[stream->n_pieces++] = data;
        taken += text.len;
    }
    pthread_mutex_unlock(&stream->out.lock);
    stream->idle = 0;
    stream->sent_us = fl_http_now_us();
    h2o_send(stream->request->req, pieces, stream->n_pieces, H2O_SEND_STATE_IN_PROGRESS);
}

static void flush_one(fl_http_stream *stream)
{
    const fl_http_config *config = &stream->loop->http->config;
    pthread_mutex_lock(&stream->out.lock);
    uint32_t count = stream->out.count;
    uint64_t bytes = stream->out.bytes;
    int overrun = stream->out.overrun, end_asked = stream->end_asked;
    pthread_mutex_unlock(&stream->out.lock);
    if (stream->finished)
        return;
    if (stream->gone) {
        cut_stream(stream);
        return;
    }
    if (overrun || (!stream->idle && fl_outq_is_long(count, bytes, config))) {
        atomic_fetch_add_explicit(&stream->loop->n_cut, 1, memory_order_relaxed);
        fl_debug("http", "%s cut: its client does not read", stream->request->id);
        cut_stream(stream);
        return;
    }
    if (end_asked && stream->ending_since_us == 0)
        stream->ending_since_us = fl_http_now_us();
    if (!stream->idle)
        return; /* on_proceed comes back here */
    if (count > 0)
        write_pieces(stream);
    else if (end_asked)
        finish(stream);
}

int fl_stream_flush(fl_loop *loop)
{
    int any = !fl_link_is_alone(&loop->busy_streams);
    while (!fl_link_is_alone(&loop->busy_streams)) {
        fl_http_stream *stream = FL_FROM(fl_http_stream, busy, loop->busy_streams.next);
        fl_link_remove(&stream->busy);
        flush_one(stream);
    }
    return any;
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    fl_http_stream *stream = FL_FROM(fl_http_stream, generator, generator);
    (void)req;
    free_pieces(stream);
    stream->idle = 1;
    mark_busy(stream);
}

static void on_stop(h2o_generator_t *generator, h2o_req_t *req)
{
    fl_http_stream *stream = FL_FROM(fl_http_stream, generator, generator);
    (void)req;
    stream->finished = 1; /* h2o lets go of the request next */
    stream->idle = 0;
}

static void begin_stream(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, msg, msg);
    fl_http_stream *stream = request->stream;
    h2o_req_t *req = request->req;
    request->closing = 1;
    fl_hold_release(request);
    if (req == NULL) {
        fl_request_finish(request);
        return;
    }
    fl_link_add(&stream->loop->streams, &stream->link);
    /* Watched from now on; what is not read is the business of TCP_USER_TIMEOUT and of the bounds. */
    fl_link_add(&stream->loop->held, &request->held);
    atomic_fetch_add_explicit(&stream->loop->n_held, 1, memory_order_relaxed);
    req->res.status = request->reply.status;
    req->res.reason = fl_http_reason(req->res.status);
    fl_answer_add_headers(request);
    stream->sent_us = fl_http_now_us();
    stream->idle = 1;
    h2o_start_response(req, &stream->generator);
    if (fl_http_request_is_head(request))
        finish(stream);
    else if (stream->loop->phase >= FL_PHASE_STOP)
        fl_http_stream_end(stream);
    mark_busy(stream);
}

void fl_stream_end_all(fl_loop *loop)
{
    for (fl_link *at = loop->streams.next; at != &loop->streams; at = at->next)
        fl_http_stream_end(FL_FROM(fl_http_stream, link, at));
}

void fl_stream_tick(fl_loop *loop, int64_t now_us)
{
    fl_link *at = loop->streams.next;
    while (at != &loop->streams) {
        fl_http_stream *stream = FL_FROM(fl_http_stream, link, at);
        at = at->next;
        if (stream->ending_since_us != 0 && now_us - stream->ending_since_us >= END_GRACE_US)
            fl_stream_gone(stream);
        else if (stream->keep_alive != NULL && stream->idle && now_us - stream->sent_us >= stream->keep_alive_us)
            (void)fl_http_stream_send(stream, stream->keep_alive);
    }
}

static void run_wake(fl_msg *msg)
{
    fl_http_stream *stream = FL_FROM(fl_http_stream, wake, msg);
    pthread_mutex_lock(&stream->out.lock);
    stream->posted = 0;
    pthread_mutex_unlock(&stream->out.lock);
    /* Before begin_stream has run it is in no list; that one marks it. */
    if (stream->request != NULL && !fl_link_is_alone(&stream->link))
        mark_busy(stream);
    fl_http_stream_unref(stream);
}

/* ---- From any thread ------------------------------------------------------------------------------------------- */

int32_t fl_http_stream_begin(fl_http_request *request, const fl_http_stream_config *config, fl_http_stream **out,
                             flamenco_error *err)
{
    fl_http_reply head = { .status = config->status,
                           .content_type = config->content_type,
                           .headers = config->headers,
                           .n_headers = config->n_headers };
    fl_http_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || fl_outq_init(&stream->out) != FLAMENCO_OK) {
        free(stream);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a stream");
    }
    stream->refs = 2; /* the loop's, given back behind on_close; the caller's */
    request->reply = head;
    if (fl_answer_copy(request, &head) != FLAMENCO_OK) {
        memset(&request->reply, 0, sizeof(request->reply));
        fl_outq_fini(&stream->out);
        free(stream);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the head of a stream");
    }
    int before = atomic_exchange(&request->ended, 1);
    assert(before == 0);
    (void)before;
    stream->loop = request->loop;
    stream->request = request;
    fl_link_init(&stream->link);
    fl_link_init(&stream->busy);
    stream->generator.proceed = on_proceed;
    stream->generator.stop = on_stop;
    stream->keep_alive = config->idle;
    stream->keep_alive_us = config->idle_us;
    stream->on_close = config->on_close;
    stream->ctx = config->ctx;
    request->ended_us = fl_http_now_us();
    request->stream = stream;
    request->msg.run = begin_stream;
    *out = stream;
    fl_loop_post_one(request->loop, &request->msg);
    return FLAMENCO_OK;
}

/* With the lock held: has the loop look at the stream. */
static void wake_loop(fl_http_stream *stream)
{
    if (stream->posted)
        return;
    stream->posted = 1;
    stream->wake.run = run_wake;
    stream_ref(stream);
    fl_loop_post_one(stream->loop, &stream->wake);
}

int32_t fl_http_stream_send(fl_http_stream *stream, flamenco_buf *data)
{
    if (atomic_load(&stream->closed) != 0)
        return FLAMENCO_E_CANCELLED;
    if (atomic_load(&stream->cut) != 0)
        return FLAMENCO_E_FULL;
    pthread_mutex_lock(&stream->out.lock);
    int32_t rc =
        stream->end_asked ? FLAMENCO_E_CANCELLED : fl_outq_push(&stream->out, &stream->loop->http->config, 0, data);
    if (rc == FLAMENCO_OK || rc == FLAMENCO_E_FULL)
        wake_loop(stream);
    pthread_mutex_unlock(&stream->out.lock);
    return rc;
}

void fl_http_stream_end(fl_http_stream *stream)
{
    if (atomic_load(&stream->closed) != 0)
        return;
    pthread_mutex_lock(&stream->out.lock);
    stream->end_asked = 1;
    wake_loop(stream);
    pthread_mutex_unlock(&stream->out.lock);
}
