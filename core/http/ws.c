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
#define CODE_NOT_VALID 1007
#define CODE_TOO_BIG 1009
#define MESSAGES_AT_ONCE 256u /* in one write: two pieces each, below IOV_MAX */
#define SPARE_BATCH 8u /* messages; rarely more wait when a page's turn comes */
#define TLS_AT_ONCE (256u << 10) /* h2o encrypts what it gets in one call at once, into memory */
#define FRAMES 3u /* beside FL_HTTP_WS_TEXT and _BINARY: messages with their heads */
#define WAKES 8u /* loops that are woken once for many connections */

/* Messages that are written together: each with its reference. */
typedef struct ws_batch {
    uint32_t n, cap;
    struct ws_piece {
        fl_out out;
        unsigned char head[FL_WS_HEAD_MAX];
        unsigned char head_len;
    } pieces[];
} ws_batch;

struct fl_http_ws {
    _Atomic uint32_t refs;
    fl_conn *conn; /* [loop] */
    h2o_websocket_conn_t *h2o; /* [loop] NULL when closed */
    const fl_http_ws_callbacks *callbacks;
    void *ctx;
    int packs; /* permessage-deflate was agreed upon; constant */
    uint32_t code; /* what the other end gave */
    int closing; /* [loop] */
    int64_t closing_since_us; /* [loop] since closing is wanted; 0: it is not */
    int64_t spoke_us;
    fl_link dirty; /* [loop] in loop->dirty, loop->paced or loop->stalled */
    int64_t wrote_us; /* [loop] 0: nothing waits behind what was written */
    int muted; /* [loop] `posted` is set so that nobody wakes the loop before the pause is over */
    ws_batch *batch; /* [loop] being written */

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

static void end_writing(fl_http_ws *ws)
{
    ws_batch *batch = ws->batch;
    ws->batch = NULL;
    for (uint32_t i = 0; batch != NULL && i < batch->n; ++i)
        fl_shared_unref(batch->pieces[i].out.data);
    if (batch != NULL && batch->cap == SPARE_BATCH && ws->loop->spare_batch == NULL)
        ws->loop->spare_batch = batch;
    else
        free(batch);
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

/* A message of the client's, and whether it came packed: then wslay has not looked at the text. The connection is closed for
 * what is wrong with it. */
static void receive(fl_http_ws *ws, uint8_t opcode, flamenco_str data, int is_packed)
{
    fl_buf text = { .data = NULL };
    int32_t rc = is_packed ? fl_deflate_unpack(data, ws->loop->http->config.ws_max_message, &text) : FLAMENCO_OK;
    if (is_packed)
        data = fl_buf_str(&text);
    if (rc == FLAMENCO_OK && is_packed && opcode == WSLAY_TEXT_FRAME && !fl_str_is_utf8(data))
        rc = FLAMENCO_E_INVALID;
    if (rc != FLAMENCO_OK)
        fl_http_ws_close(ws, rc == FLAMENCO_E_FULL ? CODE_TOO_BIG : rc == FLAMENCO_E_INVALID ? CODE_NOT_VALID : 0);
    else if (opcode == WSLAY_TEXT_FRAME)
        ws->callbacks->on_text(ws->ctx, ws, data);
    else if (ws->callbacks->on_binary != NULL)
        ws->callbacks->on_binary(ws->ctx, ws, data);
    fl_buf_fini(&text);
}

static void on_message(h2o_websocket_conn_t *h2o, const struct wslay_event_on_msg_recv_arg *arg)
{
    fl_http_ws *ws = h2o->data;
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
    receive(ws, arg->opcode, (flamenco_str){ (const char *)arg->msg, arg->msg_length }, wslay_get_rsv1(arg->rsv));
}

void fl_ws_forget_conn(fl_http_ws *ws)
{
    ws->conn = NULL;
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
    uint64_t bytes = 0, at_most = ws->h2o->sock->ssl != NULL ? TLS_AT_ONCE : UINT64_MAX;
    pthread_mutex_lock(&ws->out.lock);
    while (ws->out.count > 0 && batch->n < batch->cap && bytes < at_most) {
        struct ws_piece *one = &batch->pieces[batch->n++];
        one->out = fl_outq_pop(&ws->out);
        uint64_t len = fl_shared_str(one->out.data).len;
        one->head_len = 0;
        if (one->out.kind != FRAMES)
            one->head_len = (unsigned char)fl_ws_write_head(one->head, one->out.kind, 0, len);
        bytes += one->head_len + len;
    }
    pthread_mutex_unlock(&ws->out.lock);
}

/* Room for `count` messages, or as many as are written at once: mostly what the loop has at hand. NULL: no memory. */
static ws_batch *make_batch(fl_loop *loop, uint32_t count)
{
    ws_batch *batch = loop->spare_batch;
    uint32_t cap = count <= SPARE_BATCH ? SPARE_BATCH : count < MESSAGES_AT_ONCE ? count : MESSAGES_AT_ONCE;
    if (cap == SPARE_BATCH && batch != NULL)
        loop->spare_batch = NULL;
    else
        batch = malloc(sizeof(*batch) + cap * sizeof(batch->pieces[0]));
    if (batch != NULL)
        *batch = (ws_batch){ .cap = cap };
    return batch;
}

/* Writes what the socket takes without waiting, past h2o, which would call back for it once more. Returns how many of the
 * bytes; none of a broken one, which h2o finds out. */
static size_t write_at_once(h2o_socket_t *sock, struct iovec *pieces, size_t n)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };
    if (sock->ssl != NULL)
        return 0;
    ssize_t written = sendmsg(h2o_socket_get_fd(sock), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written <= 0)
        return 0;
    sock->bytes_written += (size_t)written;
    return (size_t)written;
}

/* Leaves what is behind the first `done` bytes. Returns how many pieces that are. */
static size_t drop_written(h2o_iovec_t *pieces, size_t n, size_t done)
{
    size_t first = 0;
    while (first < n && done >= pieces[first].len)
        done -= pieces[first++].len;
    for (size_t i = first; i < n; ++i)
        pieces[i - first] = pieces[i];
    if (first < n) {
        pieces[0].base += done;
        pieces[0].len -= done;
    }
    return n - first;
}

/* Takes messages from the queue, in which there are `count`, and writes them. */
static void write_batch(fl_http_ws *ws, uint32_t count)
{
    h2o_iovec_t pieces[2 * MESSAGES_AT_ONCE];
    size_t n = 0;
    ws_batch *batch = make_batch(ws->loop, count);
    if (batch == NULL) {
        fl_error("http", "no memory to write to a WebSocket");
        drop(ws);
        return;
    }
    take_batch(ws, batch);
    ws->batch = batch;
    for (uint32_t i = 0; i < batch->n; ++i) {
        struct ws_piece *one = &batch->pieces[i];
        flamenco_str text = fl_shared_str(one->out.data);
        if (one->head_len > 0)
            pieces[n++] = h2o_iovec_init(one->head, one->head_len);
        if (text.len > 0)
            pieces[n++] = h2o_iovec_init(text.ptr, text.len);
    }
    ws->wrote_us = fl_http_now_us();
    fl_pace_wrote(&ws->loop->pace);
    n = drop_written(pieces, n, write_at_once(ws->h2o->sock, (struct iovec *)pieces, n));
    if (n > 0) {
        h2o_socket_write(ws->h2o->sock, pieces, n, on_written);
        return;
    }
    count -= batch->n;
    end_writing(ws);
    if (count > 0 || ws->closing_since_us != 0)
        mark_dirty(ws);
}

/* What other threads have asked for since. */
typedef struct ws_wish {
    uint32_t count, messages;
    uint64_t bytes;
    int overrun, close_asked;
    uint32_t close_code;
} ws_wish;

static ws_wish read_wish(fl_http_ws *ws)
{
    pthread_mutex_lock(&ws->out.lock);
    ws_wish wish = { ws->out.count, ws->out.messages, ws->out.bytes, ws->out.overrun, ws->close_asked, ws->close_code };
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
    if (wish.overrun ||
        (sock != NULL && h2o_socket_is_writing(sock) && fl_outq_is_long(wish.messages, wish.bytes, config))) {
        cut_slow(ws);
        return;
    }
    if (wish.close_asked && wish.close_code == 0) {
        drop(ws);
        return;
    }
    if (wish.close_asked && ws->closing_since_us == 0)
        ws->closing_since_us = fl_http_now_us();
    if (ws->batch != NULL)
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
            write_batch(ws, wish.count);
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

static const char *packing_answer(const fl_http_request *request)
{
    return fl_deflate_answer(fl_http_request_header_text(request, "sec-websocket-extensions"));
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
    if (ws->packs) {
        const char *answer = packing_answer(request);
        h2o_add_header_by_str(&request->req->pool, &request->req->res.headers, H2O_STRLIT("sec-websocket-extensions"),
                              0, NULL, answer, strlen(answer));
    }
    ws->h2o = h2o_upgrade_to_websocket(request->req, key, ws, on_message);
    wslay_event_config_set_max_recv_msg_length(ws->h2o->ws_ctx, loop->http->config.ws_max_message);
    if (ws->packs)
        wslay_event_config_set_allowed_rsv_bits(ws->h2o->ws_ctx, WSLAY_RSV1_BIT);
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

int32_t fl_http_upgrade(fl_http_request *request, const fl_http_ws_callbacks *callbacks, void *ctx, int may_pack,
                        fl_http_ws **out, flamenco_error *err)
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
    ws->packs = may_pack && packing_answer(request) != NULL;
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

/* With the lock held: what is to be posted so that the loop looks at the connection; NULL: it will in any case. */
static fl_msg *need_wake(fl_http_ws *ws)
{
    if (ws->posted)
        return NULL;
    ws->posted = 1;
    ws->wake.run = run_wake;
    fl_http_ws_ref(ws);
    return &ws->wake;
}

/* With the lock held. */
static void wake_loop(fl_http_ws *ws)
{
    fl_msg *wake = need_wake(ws);
    if (wake != NULL)
        fl_loop_post_one(ws->loop, wake);
}

/* With the lock held. */
static int32_t queue(fl_http_ws *ws, fl_out one)
{
    return ws->close_asked ? FLAMENCO_E_CANCELLED : fl_outq_push(&ws->out, &ws->loop->http->config, one);
}

int32_t fl_http_ws_send(fl_http_ws *ws, uint32_t kind, flamenco_buf *data)
{
    if (atomic_load(&ws->closed) != 0)
        return FLAMENCO_E_CANCELLED;
    if (atomic_load(&ws->dropped) != 0)
        return FLAMENCO_E_FULL;
    pthread_mutex_lock(&ws->out.lock);
    int32_t rc = queue(ws, (fl_out){ data, (uint16_t)kind, 1 });
    if (rc == FLAMENCO_OK || rc == FLAMENCO_E_FULL)
        wake_loop(ws);
    pthread_mutex_unlock(&ws->out.lock);
    return rc;
}

static flamenco_buf *make_plain(const fl_http_ws_frames *f)
{
    unsigned char head[FL_WS_HEAD_MAX];
    uint64_t len = 0;
    for (uint32_t i = 0; i < f->n; ++i) {
        uint64_t text_len = fl_shared_str(f->messages[i]).len;
        len += fl_ws_write_head(head, f->kind, 0, text_len) + text_len;
    }
    flamenco_buf *frames = fl_shared_create((size_t)len);
    char *at = frames != NULL ? fl_shared_data(frames) : NULL;
    for (uint32_t i = 0; at != NULL && i < f->n; ++i) {
        flamenco_str text = fl_shared_str(f->messages[i]);
        at += fl_ws_write_head((unsigned char *)at, f->kind, 0, text.len);
        if (text.len > 0)
            memcpy(at, text.ptr, (size_t)text.len);
        at += text.len;
    }
    return frames;
}

/* What this connection is to get; NULL: no memory. */
static flamenco_buf *frames_for(const fl_http_ws *ws, fl_http_ws_frames *f)
{
    if (ws->packs && f->packed == NULL && fl_deflate_is_worth_it(f->messages, f->n))
        f->packed = fl_deflate_frames(&ws->loop->http->deflate, f->kind, f->messages, f->n);
    if (ws->packs && f->packed != NULL)
        return f->packed;
    if (f->plain == NULL)
        f->plain = make_plain(f);
    return f->plain;
}

void fl_http_ws_frames_fini(fl_http_ws_frames *frames)
{
    fl_shared_unref(frames->plain);
    fl_shared_unref(frames->packed);
    frames->plain = frames->packed = NULL;
}

/* The connections of one loop that are to be looked at, one behind the other. */
typedef struct ws_wakes {
    fl_loop *loop;
    fl_msg *first, *last;
} ws_wakes;

static void add_wake(ws_wakes *wakes, fl_loop *loop, fl_msg *wake)
{
    uint32_t i = 0;
    while (i < WAKES && wakes[i].loop != NULL && wakes[i].loop != loop)
        ++i;
    if (i == WAKES) {
        fl_loop_post_one(loop, wake);
        return;
    }
    if (wakes[i].loop == NULL)
        wakes[i] = (ws_wakes){ .loop = loop, .first = wake };
    else
        wakes[i].last->next = wake;
    wakes[i].last = wake;
}

uint32_t fl_http_ws_send_frames(fl_http_ws *const *ws, uint32_t n_ws, fl_http_ws_frames *frames)
{
    ws_wakes wakes[WAKES] = { { 0 } };
    uint32_t failed = 0;
    assert(frames->n > 0 && frames->n <= UINT16_MAX);
    for (uint32_t i = 0; i < n_ws; ++i) {
        fl_http_ws *to = ws[i];
        if (atomic_load(&to->closed) != 0)
            continue;
        flamenco_buf *bytes = frames_for(to, frames);
        pthread_mutex_lock(&to->out.lock);
        int32_t rc = FLAMENCO_E_FULL;
        if (atomic_load(&to->dropped) == 0)
            rc = bytes != NULL ? queue(to, (fl_out){ bytes, FRAMES, (uint16_t)frames->n }) : FLAMENCO_E_NOMEM;
        if (rc == FLAMENCO_E_NOMEM) { /* rather gone, and back with all news, than without some */
            to->close_asked = 1;
            to->close_code = 0;
        }
        failed += rc == FLAMENCO_E_NOMEM || rc == FLAMENCO_E_FULL;
        fl_msg *wake = rc != FLAMENCO_E_CANCELLED ? need_wake(to) : NULL;
        pthread_mutex_unlock(&to->out.lock);
        if (wake != NULL)
            add_wake(wakes, to->loop, wake);
    }
    for (uint32_t i = 0; i < WAKES && wakes[i].loop != NULL; ++i)
        fl_loop_post(wakes[i].loop, wakes[i].first, wakes[i].last);
    return failed;
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
