/* SPDX-License-Identifier: Apache-2.0
 *
 * ws.c - WebSockets on h2o's glue to wslay. wslay reads, and writes pongs and close frames; messages are written past it,
 * many at once and without a copy, whenever it has nothing to write itself. Whatever other threads, or a callback, want of
 * a connection comes as a message to its loop: so nothing is written or closed while wslay is on the stack, which it does
 * not survive.
 */
#include "core/http/internal.h"

/* How long the other end may take to answer a close frame. */
#define CLOSE_GRACE_US 5000000
#define CODE_NONE_GIVEN 1005
#define CODE_BROKEN 1006
#define MESSAGES_AT_ONCE 256u /* in one write: two pieces each, below IOV_MAX */
#define TLS_AT_ONCE (256u << 10) /* h2o encrypts what it gets in one call at once, into memory */
#define HEAD_MAX 10u
/* Pages that are told of the same things are written to one behind the other, mostly with the same messages. So many or more,
 * together of at most so many bytes, are joined once for all of them: the kernel takes one piece faster than many. */
#define JOIN_FROM 4u
#define JOIN_BYTES (64u << 10)

/* Messages that are written together: each with its reference. */
typedef struct ws_batch {
    size_t n;
    uint64_t bytes; /* with heads */
    fl_out out[MESSAGES_AT_ONCE];
    unsigned char heads[MESSAGES_AT_ONCE][HEAD_MAX];
    unsigned char head_len[MESSAGES_AT_ONCE];
} ws_batch;

/* The last messages that were joined, whose references keep them what they are, and the bytes. */
struct fl_ws_joined {
    ws_batch of;
    flamenco_buf *bytes;
};

struct fl_http_ws {
    _Atomic uint32_t refs;
    fl_conn *conn; /* [loop] */
    h2o_websocket_conn_t *h2o; /* [loop] NULL when closed */
    const fl_http_ws_callbacks *callbacks;
    void *ctx;
    uint32_t code; /* what the other end gave */
    int closing; /* [loop] */
    int64_t closing_since_us; /* [loop] since closing is wanted; 0: it is not */
    int64_t spoke_us;
    fl_link dirty; /* [loop] in loop->dirty, loop->paced or loop->stalled */
    int64_t wrote_us; /* [loop] 0: nothing waits behind what was written */
    int muted; /* [loop] `posted` is set so that nobody wakes the loop before the pause is over */
    int writing; /* [loop] a batch, whose bytes are: */
    ws_batch *batch; /* [loop] these, or */
    flamenco_buf *joined; /* [loop] these */

    /* What every message that is sent touches stands together, for the sake of the processor's cache. */
    fl_loop *loop;
    atomic_int closed; /* set by the loop, before on_close */
    atomic_int dropped;
    fl_outq out; /* its lock is that of the members below, too */
    fl_msg wake;
    int posted; /* wake is on its way, with one reference */
    int close_asked;
    uint32_t close_code;
};

void fl_http_ws_ref(fl_http_ws *ws)
{
    atomic_fetch_add(&ws->refs, 1);
}

void fl_http_ws_unref(fl_http_ws *ws)
{
    if (ws == NULL || atomic_fetch_sub(&ws->refs, 1) != 1)
        return;
    fl_outq_fini(&ws->out);
    free(ws);
}

/* ---- [loop] ---------------------------------------------------------------------------------------------------- */

static void mark_dirty(fl_http_ws *ws)
{
    fl_link_remove(&ws->dirty);
    fl_link_add(&ws->loop->dirty, &ws->dirty);
}

/* Breaks the connection. h2o reads the end, and calls; but behind a close frame from the client it does not read any more, and
 * finds the end by writing: flush_one lets it. */
static void drop(fl_http_ws *ws)
{
    atomic_store(&ws->dropped, 1);
    if (ws->conn != NULL)
        fl_conn_shutdown(ws->conn);
    mark_dirty(ws);
}

static void release(ws_batch *batch)
{
    for (size_t i = 0; i < batch->n; ++i)
        fl_shared_unref(batch->out[i].data);
    batch->n = 0;
}

static void end_writing(fl_http_ws *ws)
{
    if (ws->batch != NULL)
        release(ws->batch);
    free(ws->batch);
    fl_shared_unref(ws->joined);
    ws->batch = NULL;
    ws->joined = NULL;
    ws->writing = 0;
}

static void on_closed(fl_http_ws *ws)
{
    h2o_websocket_conn_t *h2o = ws->h2o;
    fl_link_remove(&ws->dirty);
    ws->h2o = NULL;
    atomic_store(&ws->closed, 1);
    atomic_fetch_sub_explicit(&ws->loop->n_ws, 1, memory_order_relaxed);
    h2o_websocket_close(h2o); /* closes the socket, which frees the fl_conn and makes it forgotten */
    end_writing(ws);
    pthread_mutex_lock(&ws->out.lock);
    fl_outq_clear(&ws->out);
    pthread_mutex_unlock(&ws->out.lock);
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
    if (wslay_is_ctrl_frame(arg->opcode) || ws->closing || atomic_load(&ws->dropped))
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

/* Writes the head of an unmasked frame. Returns its length. */
static unsigned char write_head(unsigned char *head, uint32_t kind, uint64_t len)
{
    head[0] = kind == FL_HTTP_WS_TEXT ? 0x81 : 0x82;
    if (len < 126) {
        head[1] = (unsigned char)len;
        return 2;
    }
    if (len <= UINT16_MAX) {
        head[1] = 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        return 4;
    }
    head[1] = 127;
    for (unsigned i = 0; i < 8; ++i)
        head[2 + i] = (unsigned char)(len >> (56 - 8 * i));
    return 10;
}

static void on_written(h2o_socket_t *sock, const char *err)
{
    h2o_websocket_conn_t *h2o = sock->data;
    fl_http_ws *ws = h2o->data;
    end_writing(ws);
    if (err != NULL) {
        on_closed(ws);
        return;
    }
    mark_dirty(ws);
}

/* Takes messages from the queue. */
static void take_batch(fl_http_ws *ws, ws_batch *batch)
{
    uint64_t at_most = ws->h2o->sock->ssl != NULL ? TLS_AT_ONCE : UINT64_MAX;
    batch->n = 0;
    batch->bytes = 0;
    pthread_mutex_lock(&ws->out.lock);
    while (ws->out.count > 0 && batch->n < MESSAGES_AT_ONCE && batch->bytes < at_most) {
        fl_out *one = &batch->out[batch->n];
        *one = fl_outq_pop(&ws->out);
        uint64_t len = fl_shared_str(one->data).len;
        batch->head_len[batch->n] = write_head(batch->heads[batch->n], one->kind, len);
        batch->bytes += batch->head_len[batch->n++] + len;
    }
    pthread_mutex_unlock(&ws->out.lock);
}

static int is_same(const ws_batch *a, const ws_batch *b)
{
    if (a->n != b->n || a->bytes != b->bytes)
        return 0;
    for (size_t i = 0; i < a->n; ++i)
        if (a->out[i].data != b->out[i].data || a->out[i].kind != b->out[i].kind)
            return 0;
    return 1;
}

static flamenco_buf *make_joined(const ws_batch *batch)
{
    flamenco_buf *bytes = fl_shared_create((size_t)batch->bytes);
    char *at = bytes != NULL ? fl_shared_data(bytes) : NULL;
    for (size_t i = 0; at != NULL && i < batch->n; ++i) {
        flamenco_str text = fl_shared_str(batch->out[i].data);
        memcpy(at, batch->heads[i], batch->head_len[i]);
        at += batch->head_len[i];
        if (text.len > 0)
            memcpy(at, text.ptr, (size_t)text.len);
        at += text.len;
    }
    return bytes;
}

/* The bytes of a batch in one piece, with a reference; the batch is empty then. NULL: it is to be written as it is. */
static flamenco_buf *join(fl_loop *loop, ws_batch *batch)
{
    struct fl_ws_joined *joined = loop->joined;
    if (batch->n < JOIN_FROM || batch->bytes > JOIN_BYTES)
        return NULL;
    if (joined != NULL && is_same(&joined->of, batch)) {
        release(batch);
    } else {
        flamenco_buf *bytes = make_joined(batch);
        if (joined == NULL)
            joined = loop->joined = calloc(1, sizeof(*joined));
        if (bytes == NULL || joined == NULL) {
            fl_shared_unref(bytes);
            return NULL;
        }
        release(&joined->of);
        fl_shared_unref(joined->bytes);
        joined->of = *batch;
        joined->bytes = bytes;
        batch->n = 0;
    }
    fl_shared_ref(joined->bytes);
    return joined->bytes;
}

void fl_ws_forget_joined(fl_loop *loop)
{
    if (loop->joined == NULL)
        return;
    release(&loop->joined->of);
    fl_shared_unref(loop->joined->bytes);
    free(loop->joined);
    loop->joined = NULL;
}

/* Takes messages from the queue and writes them. */
static void write_batch(fl_http_ws *ws)
{
    h2o_iovec_t pieces[2 * MESSAGES_AT_ONCE];
    size_t n = 0;
    ws_batch *batch = malloc(sizeof(*batch));
    if (batch == NULL) {
        fl_error("http", "no memory to write to a WebSocket");
        drop(ws);
        return;
    }
    take_batch(ws, batch);
    ws->joined = join(ws->loop, batch);
    if (ws->joined != NULL) {
        flamenco_str text = fl_shared_str(ws->joined);
        pieces[n++] = h2o_iovec_init(text.ptr, text.len);
        free(batch);
    } else {
        ws->batch = batch;
        for (size_t i = 0; i < batch->n; ++i) {
            flamenco_str text = fl_shared_str(batch->out[i].data);
            pieces[n++] = h2o_iovec_init(batch->heads[i], batch->head_len[i]);
            if (text.len > 0)
                pieces[n++] = h2o_iovec_init(text.ptr, text.len);
        }
    }
    ws->writing = 1;
    ws->wrote_us = fl_http_now_us();
    fl_pace_wrote(&ws->loop->pace);
    h2o_socket_write(ws->h2o->sock, pieces, n, on_written);
}

/* What other threads have asked for since. */
typedef struct ws_wish {
    uint32_t count;
    uint64_t bytes;
    int overrun, close_asked;
    uint32_t close_code;
} ws_wish;

static ws_wish read_wish(fl_http_ws *ws)
{
    pthread_mutex_lock(&ws->out.lock);
    ws_wish wish = { ws->out.count, ws->out.bytes, ws->out.overrun, ws->close_asked, ws->close_code };
    pthread_mutex_unlock(&ws->out.lock);
    return wish;
}

static void begin_close(fl_http_ws *ws, uint32_t code)
{
    if (ws->h2o == NULL || ws->closing || atomic_load(&ws->dropped))
        return;
    if (code == 0 || wslay_event_queue_close(ws->h2o->ws_ctx, (uint16_t)code, NULL, 0) != 0) {
        drop(ws);
        return;
    }
    ws->closing = 1;
}

static void cut_slow(fl_http_ws *ws)
{
    atomic_fetch_add_explicit(&ws->loop->n_cut, 1, memory_order_relaxed);
    fl_debug("http", "WebSocket of %s dropped: it does not read", ws->conn->peer);
    drop(ws);
}

/* Lets more messages gather. Returns 0 when it is time to write. */
static int pace(fl_http_ws *ws, const ws_wish *wish)
{
    if (ws->wrote_us == 0 || wish->close_asked || wish->count >= MESSAGES_AT_ONCE ||
        fl_http_now_us() >= fl_pace_due_us(&ws->loop->pace, ws->wrote_us))
        return 0;
    fl_link_add(&ws->loop->paced, &ws->dirty);
    pthread_mutex_lock(&ws->out.lock);
    ws->muted = !ws->posted;
    ws->posted = 1;
    pthread_mutex_unlock(&ws->out.lock);
    return 1;
}

int64_t fl_ws_due_us(const fl_loop *loop)
{
    if (fl_link_is_alone(&loop->paced))
        return INT64_MAX;
    return fl_pace_due_us(&loop->pace, FL_FROM(fl_http_ws, dirty, loop->paced.next)->wrote_us);
}

/* The pause of the next ones in turn is over. They came one behind the other, so nearly by the time of their last write. */
static void end_pauses(fl_loop *loop)
{
    for (uint32_t i = 0; i < FL_PACE_TURN && fl_ws_due_us(loop) <= fl_http_now_us(); ++i) {
        fl_http_ws *ws = FL_FROM(fl_http_ws, dirty, loop->paced.next);
        ws->wrote_us = 0;
        if (ws->muted) {
            pthread_mutex_lock(&ws->out.lock);
            ws->posted = 0;
            pthread_mutex_unlock(&ws->out.lock);
        }
        ws->muted = 0;
        mark_dirty(ws);
    }
}

/* Writes what can be written now. ws may be freed by this. */
static void flush_one(fl_http_ws *ws)
{
    const fl_http_config *config = &ws->loop->http->config;
    ws_wish wish = read_wish(ws);
    h2o_socket_t *sock = ws->h2o->sock;
    if (atomic_load(&ws->dropped)) {
        if (sock != NULL && !h2o_socket_is_writing(sock))
            h2o_websocket_proceed(ws->h2o);
        return;
    }
    if (wish.overrun || (sock != NULL && h2o_socket_is_writing(sock) &&
                         (wish.count > config->ws_max_queued || wish.bytes > config->ws_max_queued_bytes))) {
        cut_slow(ws);
        return;
    }
    if (wish.close_asked && wish.close_code == 0) {
        drop(ws);
        return;
    }
    if (wish.close_asked && ws->closing_since_us == 0)
        ws->closing_since_us = fl_http_now_us();
    if (ws->writing)
        return; /* on_written comes back here */
    if (wish.count == 0 && wish.close_asked)
        begin_close(ws, wish.close_code);
    /* Without a socket the 101 is still being written; or it is wslay that writes. Neither tells us when it is done. */
    if (sock == NULL || h2o_socket_is_writing(sock))
        fl_link_add(&ws->loop->stalled, &ws->dirty);
    else if (wslay_event_want_write(ws->h2o->ws_ctx)) {
        if (wish.count > 0 || (wish.close_asked && !ws->closing))
            fl_link_add(&ws->loop->stalled, &ws->dirty);
        h2o_websocket_proceed(ws->h2o);
    } else if (wish.count > 0 && !ws->closing && !wslay_event_get_close_received(ws->h2o->ws_ctx)) {
        if (!pace(ws, &wish))
            write_batch(ws);
    } else
        h2o_websocket_proceed(ws->h2o);
}

int fl_ws_flush(fl_loop *loop)
{
    int any = 0;
    while (!fl_link_is_alone(&loop->dirty) && fl_pace_goes_on(&loop->pace)) {
        fl_http_ws *ws = FL_FROM(fl_http_ws, dirty, loop->dirty.next);
        fl_link_remove(&ws->dirty);
        any = 1;
        if (ws->h2o != NULL)
            flush_one(ws);
    }
    if (fl_link_is_alone(&loop->dirty) && fl_link_is_alone(&loop->paced))
        fl_ws_forget_joined(loop);
    return any;
}

void fl_ws_retry(fl_loop *loop)
{
    fl_link *at = loop->stalled.next;
    end_pauses(loop);
    while (at != &loop->stalled) {
        fl_http_ws *ws = FL_FROM(fl_http_ws, dirty, at);
        at = at->next;
        if (ws->h2o->sock != NULL && !h2o_socket_is_writing(ws->h2o->sock))
            mark_dirty(ws);
    }
}

static void run_wake(fl_msg *m)
{
    fl_http_ws *ws = FL_FROM(fl_http_ws, wake, m);
    pthread_mutex_lock(&ws->out.lock);
    ws->posted = 0;
    pthread_mutex_unlock(&ws->out.lock);
    if (ws->h2o != NULL)
        mark_dirty(ws);
    fl_http_ws_unref(ws);
}

void fl_ws_tick(fl_http_ws *ws, int64_t now_us)
{
    int64_t silence_us = ws->loop->http->config.ws_silence_us;
    if (atomic_load(&ws->dropped))
        return;
    if ((ws->closing_since_us != 0 && now_us - ws->closing_since_us >= CLOSE_GRACE_US) ||
        (ws->closing_since_us == 0 && silence_us > 0 && now_us - ws->spoke_us >= silence_us)) {
        atomic_fetch_add_explicit(&ws->loop->n_cut, 1, memory_order_relaxed);
        drop(ws);
    }
}

void fl_ws_close_all(fl_loop *loop, uint32_t code)
{
    for (fl_link *at = loop->conns.next; at != &loop->conns; at = at->next) {
        fl_conn *conn = FL_FROM(fl_conn, link, at);
        if (conn->ws != NULL)
            fl_http_ws_close(conn->ws, code);
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
        fl_http_ws_close(ws, 1001);
    mark_dirty(ws);
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
    if (fl_outq_init(&ws->out) != FLAMENCO_OK) {
        free(ws);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex for a WebSocket");
    }
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

/* With ws->lock held: has the loop look at the connection. */
static void wake_loop(fl_http_ws *ws)
{
    if (ws->posted)
        return;
    ws->posted = 1;
    ws->wake.run = run_wake;
    fl_http_ws_ref(ws);
    fl_loop_post_one(ws->loop, &ws->wake);
}

int32_t fl_http_ws_send(fl_http_ws *ws, uint32_t kind, flamenco_buf *data)
{
    if (atomic_load(&ws->closed) != 0)
        return FLAMENCO_E_CANCELLED;
    if (atomic_load(&ws->dropped) != 0)
        return FLAMENCO_E_FULL;
    pthread_mutex_lock(&ws->out.lock);
    int32_t rc = ws->close_asked ? FLAMENCO_E_CANCELLED : fl_outq_push(&ws->out, &ws->loop->http->config, kind, data);
    if (rc == FLAMENCO_OK || rc == FLAMENCO_E_FULL)
        wake_loop(ws);
    pthread_mutex_unlock(&ws->out.lock);
    return rc;
}

void fl_http_ws_close(fl_http_ws *ws, uint32_t code)
{
    if (atomic_load(&ws->closed) != 0)
        return;
    pthread_mutex_lock(&ws->out.lock);
    if (!ws->close_asked || code == 0) {
        ws->close_asked = 1;
        ws->close_code = code;
        wake_loop(ws);
    }
    pthread_mutex_unlock(&ws->out.lock);
}
