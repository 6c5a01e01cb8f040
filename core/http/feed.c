/* SPDX-License-Identifier: Apache-2.0
 *
 * feed.c - replies to which any thread adds bytes until it ends them (server-sent events). h2o takes one write at a time:
 * `idle` says that it waits for the next. While nothing is written, a client that went away is found as one of a held
 * request is (hold.c).
 */
#include "core/http/internal.h"

#define PIECES_AT_ONCE 32u
#define TLS_AT_ONCE (256u << 10)
#define END_GRACE_US 5000000

struct fl_http_feed {
    _Atomic uint32_t refs;
    atomic_int closed, cut;
    fl_loop *loop;
    fl_http_request *request; /* [loop] NULL: h2o let go of it */
    fl_link link; /* [loop] loop->feeds */
    fl_link busy; /* [loop] in loop->busy_feeds or loop->paced_feeds */
    h2o_generator_t generator;
    int idle, finished; /* [loop] h2o waits for bytes; it got the last ones */
    int gone; /* [loop] to be cut */
    int64_t sent_us, ending_since_us; /* [loop] */
    int64_t wrote_us; /* [loop] sent_us; 0: nothing waits behind what was written */
    flamenco_buf *pieces[PIECES_AT_ONCE]; /* [loop] being written */
    size_t n_pieces;
    flamenco_buf *keep_alive;
    int64_t keep_alive_us;
    void (*on_close)(void *ctx, fl_http_feed *feed);
    void *ctx;

    fl_outq out; /* its lock is that of the members below, too */
    fl_msg wake;
    int posted, end_asked;
};

static void feed_ref(fl_http_feed *feed)
{
    atomic_fetch_add(&feed->refs, 1);
}

void fl_http_feed_unref(fl_http_feed *feed)
{
    if (feed == NULL || atomic_fetch_sub(&feed->refs, 1) != 1)
        return;
    fl_outq_fini(&feed->out);
    fl_shared_unref(feed->keep_alive);
    free(feed);
}

/* ---- [loop] ---------------------------------------------------------------------------------------------------- */

static void mark_busy(fl_http_feed *feed)
{
    if (fl_link_is_alone(&feed->busy))
        fl_link_add(&feed->loop->busy_feeds, &feed->busy);
}

static void free_pieces(fl_http_feed *feed)
{
    for (size_t i = 0; i < feed->n_pieces; ++i)
        fl_shared_unref(feed->pieces[i]);
    feed->n_pieces = 0;
}

void fl_feed_disposed(fl_http_feed *feed)
{
    feed->request = NULL;
    atomic_store(&feed->closed, 1);
    fl_link_remove(&feed->link);
    fl_link_remove(&feed->busy);
    free_pieces(feed);
    feed->on_close(feed->ctx, feed);
    fl_http_feed_unref(feed);
}

/* Breaks the connection; h2o then lets go of the request. */
static void cut_feed(fl_http_feed *feed)
{
    if (atomic_exchange(&feed->cut, 1) != 0)
        return;
    fl_conn_shutdown(feed->request->conn);
    if (feed->idle && !feed->finished) {
        feed->idle = 0;
        feed->finished = 1;
        h2o_send(feed->request->req, NULL, 0, H2O_SEND_STATE_ERROR);
    }
}

void fl_feed_gone(fl_http_feed *feed)
{
    feed->gone = 1;
    mark_busy(feed);
}

static void finish(fl_http_feed *feed)
{
    feed->idle = 0;
    feed->finished = 1;
    h2o_send(feed->request->req, NULL, 0, H2O_SEND_STATE_FINAL);
}

static void write_pieces(fl_http_feed *feed)
{
    h2o_iovec_t pieces[PIECES_AT_ONCE];
    uint64_t taken = 0, at_most = feed->request->conn->sock->ssl != NULL ? TLS_AT_ONCE : UINT64_MAX;
    pthread_mutex_lock(&feed->out.lock);
    while (feed->out.count > 0 && feed->n_pieces < PIECES_AT_ONCE && taken < at_most) {
        flamenco_buf *data = fl_outq_pop(&feed->out).data;
        flamenco_str text = fl_shared_str(data);
        pieces[feed->n_pieces] = h2o_iovec_init(text.ptr, text.len);
        feed->pieces[feed->n_pieces++] = data;
        taken += text.len;
    }
    pthread_mutex_unlock(&feed->out.lock);
    feed->idle = 0;
    feed->sent_us = feed->wrote_us = fl_http_now_us();
    fl_pace_wrote(&feed->loop->pace);
    h2o_send(feed->request->req, pieces, feed->n_pieces, H2O_SEND_STATE_IN_PROGRESS);
}

static void flush_one(fl_http_feed *feed)
{
    const fl_http_config *config = &feed->loop->http->config;
    pthread_mutex_lock(&feed->out.lock);
    uint32_t count = feed->out.count;
    uint64_t bytes = feed->out.bytes;
    int overrun = feed->out.overrun, end_asked = feed->end_asked;
    pthread_mutex_unlock(&feed->out.lock);
    if (feed->finished)
        return;
    if (feed->gone) {
        cut_feed(feed);
        return;
    }
    if (overrun || (!feed->idle && fl_outq_is_long(count, bytes, config))) {
        atomic_fetch_add_explicit(&feed->loop->n_cut, 1, memory_order_relaxed);
        fl_debug("http", "%s cut: its client does not read", feed->request->id);
        cut_feed(feed);
        return;
    }
    if (end_asked && feed->ending_since_us == 0)
        feed->ending_since_us = fl_http_now_us();
    if (!feed->idle)
        return; /* on_proceed comes back here */
    if (count > 0 && count < PIECES_AT_ONCE && !end_asked && feed->wrote_us != 0 &&
        fl_http_now_us() < fl_pace_due_us(&feed->loop->pace, feed->wrote_us))
        fl_link_add(&feed->loop->paced_feeds, &feed->busy);
    else if (count > 0)
        write_pieces(feed);
    else if (end_asked)
        finish(feed);
}

int64_t fl_feed_due_us(const fl_loop *loop)
{
    if (fl_link_is_alone(&loop->paced_feeds))
        return INT64_MAX;
    return fl_pace_due_us(&loop->pace, FL_FROM(fl_http_feed, busy, loop->paced_feeds.next)->wrote_us);
}

void fl_feed_retry(fl_loop *loop)
{
    for (uint32_t i = 0; i < FL_PACE_TURN && fl_feed_due_us(loop) <= fl_http_now_us(); ++i) {
        fl_http_feed *feed = FL_FROM(fl_http_feed, busy, loop->paced_feeds.next);
        feed->wrote_us = 0;
        fl_link_remove(&feed->busy);
        mark_busy(feed);
    }
}

int fl_feed_flush(fl_loop *loop)
{
    int any = 0;
    while (!fl_link_is_alone(&loop->busy_feeds) && fl_pace_goes_on(&loop->pace)) {
        fl_http_feed *feed = FL_FROM(fl_http_feed, busy, loop->busy_feeds.next);
        fl_link_remove(&feed->busy);
        any = 1;
        flush_one(feed);
    }
    return any;
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    fl_http_feed *feed = FL_FROM(fl_http_feed, generator, generator);
    (void)req;
    free_pieces(feed);
    feed->idle = 1;
    mark_busy(feed);
}

static void on_stop(h2o_generator_t *generator, h2o_req_t *req)
{
    fl_http_feed *feed = FL_FROM(fl_http_feed, generator, generator);
    (void)req;
    feed->finished = 1; /* h2o lets go of the request next */
    feed->idle = 0;
}

static void begin_feed(fl_msg *msg)
{
    fl_http_request *request = FL_FROM(fl_http_request, msg, msg);
    fl_http_feed *feed = request->feed;
    h2o_req_t *req = request->req;
    request->closing = 1;
    fl_hold_release(request);
    if (req == NULL) {
        fl_request_finish(request);
        return;
    }
    fl_link_add(&feed->loop->feeds, &feed->link);
    /* Watched from now on; what is not read is the business of TCP_USER_TIMEOUT and of the bounds. */
    fl_link_add(&feed->loop->held, &request->held);
    atomic_fetch_add_explicit(&feed->loop->n_held, 1, memory_order_relaxed);
    req->res.status = request->reply.status;
    req->res.reason = fl_http_reason(req->res.status);
    fl_answer_add_headers(request);
    feed->sent_us = fl_http_now_us();
    feed->idle = 1;
    h2o_start_response(req, &feed->generator);
    if (fl_http_request_is_head(request))
        finish(feed);
    else if (feed->loop->phase >= FL_PHASE_STOP)
        fl_http_feed_end(feed);
    mark_busy(feed);
}

void fl_feed_end_all(fl_loop *loop)
{
    for (fl_link *at = loop->feeds.next; at != &loop->feeds; at = at->next)
        fl_http_feed_end(FL_FROM(fl_http_feed, link, at));
}

void fl_feed_tick(fl_loop *loop, int64_t now_us)
{
    fl_link *at = loop->feeds.next;
    while (at != &loop->feeds) {
        fl_http_feed *feed = FL_FROM(fl_http_feed, link, at);
        at = at->next;
        if (feed->ending_since_us != 0 && now_us - feed->ending_since_us >= END_GRACE_US)
            fl_feed_gone(feed);
        else if (feed->keep_alive != NULL && feed->idle && now_us - feed->sent_us >= feed->keep_alive_us)
            (void)fl_http_feed_send(feed, feed->keep_alive);
    }
}

static void run_wake(fl_msg *msg)
{
    fl_http_feed *feed = FL_FROM(fl_http_feed, wake, msg);
    pthread_mutex_lock(&feed->out.lock);
    feed->posted = 0;
    pthread_mutex_unlock(&feed->out.lock);
    /* Before begin_feed has run it is in no list; that one marks it. */
    if (feed->request != NULL && !fl_link_is_alone(&feed->link))
        mark_busy(feed);
    fl_http_feed_unref(feed);
}

/* ---- From any thread ------------------------------------------------------------------------------------------- */

int32_t fl_http_feed_begin(fl_http_request *request, const fl_http_feed_config *config, fl_http_feed **out,
                           flamenco_error *err)
{
    fl_http_reply head = { .status = config->status,
                           .content_type = config->content_type,
                           .headers = config->headers,
                           .n_headers = config->n_headers };
    fl_http_feed *feed = calloc(1, sizeof(*feed));
    if (feed == NULL || fl_outq_init(&feed->out) != FLAMENCO_OK) {
        free(feed);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a feed");
    }
    feed->refs = 2; /* the loop's, given back behind on_close; the caller's */
    request->reply = head;
    if (fl_answer_copy(request, &head) != FLAMENCO_OK) {
        memset(&request->reply, 0, sizeof(request->reply));
        fl_outq_fini(&feed->out);
        free(feed);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the head of a feed");
    }
    int before = atomic_exchange(&request->ended, 1);
    assert(before == 0);
    (void)before;
    feed->loop = request->loop;
    feed->request = request;
    fl_link_init(&feed->link);
    fl_link_init(&feed->busy);
    feed->generator.proceed = on_proceed;
    feed->generator.stop = on_stop;
    feed->keep_alive = config->idle;
    feed->keep_alive_us = config->idle_us;
    feed->on_close = config->on_close;
    feed->ctx = config->ctx;
    request->ended_us = fl_http_now_us();
    request->feed = feed;
    request->msg.run = begin_feed;
    *out = feed;
    fl_loop_post_one(request->loop, &request->msg);
    return FLAMENCO_OK;
}

/* With the lock held: has the loop look at the feed. */
static void wake_loop(fl_http_feed *feed)
{
    if (feed->posted)
        return;
    feed->posted = 1;
    feed->wake.run = run_wake;
    feed_ref(feed);
    fl_loop_post_one(feed->loop, &feed->wake);
}

int32_t fl_http_feed_send(fl_http_feed *feed, flamenco_buf *data)
{
    if (atomic_load(&feed->closed) != 0)
        return FLAMENCO_E_CANCELLED;
    if (atomic_load(&feed->cut) != 0)
        return FLAMENCO_E_FULL;
    pthread_mutex_lock(&feed->out.lock);
    int32_t rc = feed->end_asked ? FLAMENCO_E_CANCELLED
                                 : fl_outq_push(&feed->out, &feed->loop->http->config, (fl_out){ data, 0, 1 });
    if (rc == FLAMENCO_OK || rc == FLAMENCO_E_FULL)
        wake_loop(feed);
    pthread_mutex_unlock(&feed->out.lock);
    return rc;
}

void fl_http_feed_end(fl_http_feed *feed)
{
    if (atomic_load(&feed->closed) != 0)
        return;
    pthread_mutex_lock(&feed->out.lock);
    feed->end_asked = 1;
    wake_loop(feed);
    pthread_mutex_unlock(&feed->out.lock);
}
