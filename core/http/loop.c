/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.c - one event loop and its thread: h2o's loop, our inbox, the watchdog's tick, the steps of stopping.
 */
#include "core/http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

int64_t fl_http_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#define LOG_PENDING 20
#define CROWD 8 /* requests under way from which on more work is taken to be on its way */

/* ---- Inbox ----------------------------------------------------------------------------------------------------- */

void fl_loop_wake(fl_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    if (!loop->ended)
        h2o_multithread_send_message(&loop->doorbell, NULL);
    pthread_mutex_unlock(&loop->lock);
}

void fl_loop_post(fl_loop *loop, fl_msg *first, fl_msg *last)
{
    int was_empty;
    last->next = NULL;
    pthread_mutex_lock(&loop->lock);
    was_empty = loop->first == NULL;
    if (was_empty)
        loop->first = first;
    else
        loop->last->next = first;
    loop->last = last;
    /* The loop's own thread empties the inbox before it waits again; so does a loop whose inbox is not empty. */
    if (was_empty && !loop->rung && !loop->ended && !pthread_equal(loop->self, pthread_self())) {
        loop->rung = 1;
        h2o_multithread_send_message(&loop->doorbell, &loop->ring);
    }
    pthread_mutex_unlock(&loop->lock);
}

/* Does what was posted until now. Returns whether there was anything. */
static int run_messages(fl_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    fl_msg *msg = loop->first;
    loop->first = loop->last = NULL;
    pthread_mutex_unlock(&loop->lock);
    if (msg == NULL)
        return 0;
    while (msg != NULL) {
        fl_msg *next = msg->next;
        msg->run(msg);
        msg = next;
    }
    return 1;
}

/* Called by h2o as for any socket that can be read: the replies that are written here go on in this run of its loop, which
 * need not run once more for them. */
static void on_doorbell(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    fl_loop *loop = FL_FROM(fl_loop, doorbell, receiver);
    (void)messages;
    pthread_mutex_lock(&loop->lock);
    h2o_linklist_unlink(&loop->ring.link); /* the one message there is */
    loop->rung = 0;
    pthread_mutex_unlock(&loop->lock);
    loop->may_yield |= run_messages(loop);
}

/* Returns whether there was anything. */
static int empty_inbox(fl_loop *loop)
{
    int any = 0;
    /* Writing to WebSockets may call back, and callbacks may post. */
    while (run_messages(loop) || (fl_ws_flush(loop) | fl_feed_flush(loop)))
        any = 1;
    return any;
}

/* ---- Thread ---------------------------------------------------------------------------------------------------- */

/* Makes the loop's own listening sockets; nothing is accepted before begin_listening. */
static int32_t open_listeners(fl_loop *loop)
{
    fl_http *http = loop->http;
    for (size_t i = 0; i < http->n_listeners; ++i) {
        int fd = fcntl(http->listeners[i].fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            fl_error("http", "loop %u cannot listen on %s: %s", loop->index, http->listeners[i].text, strerror(errno));
            return FLAMENCO_E_IO;
        }
        loop->listeners[i] = h2o_evloop_socket_create(loop->evloop, fd, H2O_SOCKET_FLAG_DONT_READ);
        loop->listeners[i]->data = loop;
    }
    return FLAMENCO_OK;
}

static void begin_listening(fl_loop *loop)
{
    loop->listening = 1;
    for (size_t i = 0; i < loop->http->n_listeners; ++i)
        h2o_socket_read_start(loop->listeners[i], fl_conn_on_accept);
}

static void close_listeners(fl_loop *loop)
{
    loop->listening = 0;
    if (loop->paused) {
        loop->paused = 0;
        atomic_fetch_sub(&loop->http->paused_loops, 1);
    }
    for (size_t i = 0; i < loop->http->n_listeners; ++i) {
        if (loop->listeners[i] != NULL)
            h2o_socket_close(loop->listeners[i]);
        loop->listeners[i] = NULL;
    }
}

/* Names what keeps a stop from ending. */
static void log_pending(fl_loop *loop)
{
    int64_t now = fl_http_now_us();
    size_t n = 0;
    for (fl_link *at = loop->pending.next; at != &loop->pending && n < LOG_PENDING; at = at->next, ++n) {
        fl_http_request *request = FL_FROM(fl_http_request, pending, at);
        if (request->req != NULL && atomic_load(&request->ended) == 0)
            fl_error("http", "%s: %.*s %.*s is not answered after %.1f s", request->id,
                     FL_STR_ARGS(fl_http_request_method(request)), FL_STR_ARGS(fl_http_request_path(request)),
                     (double)(now - request->begin_us) / 1e6);
    }
}

static void enter_phase(fl_loop *loop, int phase)
{
    if (loop->phase < FL_PHASE_DRAIN && phase >= FL_PHASE_DRAIN) {
        close_listeners(loop);
        if (!atomic_load(&loop->http->keeps)) {
            h2o_context_request_shutdown(&loop->context);
            fl_watchdog_close_idle(loop);
        }
    }
    if (loop->phase < FL_PHASE_STOP && phase >= FL_PHASE_STOP) {
        fl_ws_close_all(loop, 1001);
        fl_feed_end_all(loop);
    }
    if (phase >= FL_PHASE_CUT) {
        log_pending(loop);
        for (fl_link *link = loop->conns.next; link != &loop->conns; link = link->next)
            fl_conn_shutdown(FL_FROM(fl_conn, link, link));
    }
    loop->phase = phase;
}

/* What is to be done between two runs of h2o's loop, with none of its code on the stack. Returns whether h2o may have
 * got work that it does not know of until it runs again. */
static int after_run(fl_loop *loop)
{
    int busy = 0, phase = atomic_load(&loop->http->phase);
    int64_t now = fl_http_now_us();
    if (phase != loop->phase) {
        enter_phase(loop, phase);
        busy = 1;
    }
    if (now >= loop->next_tick_us) {
        loop->next_tick_us = now + loop->http->tick_us;
        fl_watchdog_tick(loop, now);
        fl_hold_check(loop);
        fl_feed_tick(loop, now);
        if (loop->phase >= FL_PHASE_DRAIN && !atomic_load(&loop->http->keeps))
            fl_watchdog_close_idle(loop);
    }
    if (loop->phase >= FL_PHASE_DRAIN && atomic_load(&loop->http->keeps))
        fl_conn_keep_idle(loop);
    if (loop->paused && now >= loop->retry_accept_us &&
        atomic_load(&loop->http->connections) < loop->http->max_connections) {
        fl_conn_resume(loop);
        busy = 1;
    }
    fl_ws_retry(loop);
    fl_feed_retry(loop);
    busy |= empty_inbox(loop);
    /* What is left to write has to wait until h2o has looked at what has arrived. */
    busy |= !fl_link_is_alone(&loop->dirty) || !fl_link_is_alone(&loop->busy_feeds);
    fl_pace_end_turn(&loop->pace, fl_http_now_us());
    return fl_stream_visit_returned(loop) | busy;
}

/* When something is to be done even if nothing arrives. */
static int64_t next_look_us(const fl_loop *loop)
{
    int64_t until_us = loop->next_tick_us, ws_us = fl_ws_due_us(loop), feed_us = fl_feed_due_us(loop);
    until_us = ws_us < until_us ? ws_us : until_us;
    return feed_us < until_us ? feed_us : until_us;
}

static int is_finished(fl_loop *loop)
{
    return loop->phase >= FL_PHASE_STOP && fl_link_is_alone(&loop->conns) &&
           atomic_load_explicit(&loop->n_pending, memory_order_relaxed) == 0;
}

/* Whether so many requests are being worked on that replies and further requests will come in a moment. Those that are held
 * wait for something else. */
static int is_crowded(const fl_loop *loop)
{
    return atomic_load_explicit(&loop->n_pending, memory_order_relaxed) >=
           atomic_load_explicit(&loop->n_held, memory_order_relaxed) + CROWD;
}

/* Waits for something to do, unless there is something already, and does it. In a crowd other threads run once before the loop
 * goes to sleep: what they bring is then done together, without being woken for each piece. Not where few are served, for on a
 * machine with other work a yield may take long. */
static int run_once(fl_loop *loop, int busy)
{
    int64_t left_us = next_look_us(loop) - fl_http_now_us();
    int32_t wait_ms = busy || left_us <= 0 ? 0 : (int32_t)(left_us / 1000 + 1);
    uint64_t requests = loop->next_request;
    if (wait_ms > 0 && loop->may_yield && is_crowded(loop)) {
        loop->may_yield = 0;
        wait_ms = 0;
        (void)sched_yield();
    }
    /* -1 is EINTR, which cannot come with all signals blocked, and does no harm. */
    h2o_evloop_run(loop->evloop, wait_ms);
    busy = after_run(loop);
    if (busy || loop->next_request != requests)
        loop->may_yield = 1;
    return busy;
}

static void report_ready(fl_http *http)
{
    pthread_mutex_lock(&http->lock);
    ++http->n_ready;
    pthread_cond_broadcast(&http->changed);
    while (!http->go)
        pthread_cond_wait(&http->changed, &http->lock);
    pthread_mutex_unlock(&http->lock);
}

static void report_ended(fl_http *http)
{
    pthread_mutex_lock(&http->lock);
    ++http->n_ended;
    pthread_cond_broadcast(&http->changed);
    pthread_mutex_unlock(&http->lock);
}

static void dispose_context(fl_loop *loop)
{
    close_listeners(loop);
    pthread_mutex_lock(&loop->lock);
    loop->ended = 1;
    pthread_mutex_unlock(&loop->lock);
    /* A receiver must have got its messages before it goes. */
    if (loop->rung)
        h2o_evloop_run(loop->evloop, 0);
    h2o_multithread_unregister_receiver(loop->context.queue, &loop->doorbell);
    h2o_context_dispose(&loop->context);
    /* Sockets closed last are freed by the next run. */
    h2o_evloop_run(loop->evloop, 0);
    h2o_evloop_destroy(loop->evloop);
}

void *fl_loop_main(void *arg)
{
    fl_loop *loop = arg;
    fl_http *http = loop->http;
    int busy = 1;

    (void)pthread_setname_np(pthread_self(), "http");
    /* All of h2o's per-loop state is made on the loop's own thread: its socket buffers come from a thread-local list,
     * and a context made elsewhere would share that list with another loop. */
    loop->self = pthread_self();
    loop->evloop = h2o_evloop_create();
    if (loop->evloop == NULL) {
        loop->failed = FLAMENCO_E_IO;
        loop->ended = 1;
        report_ready(http);
        report_ended(http);
        return NULL;
    }
    h2o_context_init(&loop->context, loop->evloop, &http->globalconf);
    /* h2o has one clock for idle, head and body together, by the wall clock; the watchdog has better ones. Moved from
     * the loop's list of timeouts to one that nobody visits, it never runs, whatever happens to the time of day. */
    h2o_linklist_init_anchor(&loop->never);
    h2o_linklist_unlink(&loop->context.http1.req_timeout._link);
    h2o_linklist_insert(&loop->never, &loop->context.http1.req_timeout._link);
    loop->accept.ctx = &loop->context;
    loop->accept.hosts = http->globalconf.hosts;
    h2o_multithread_register_receiver(loop->context.queue, &loop->doorbell, on_doorbell);
    loop->next_tick_us = fl_http_now_us() + http->tick_us;
    loop->failed = open_listeners(loop);
    report_ready(http);

    for (size_t i = loop->index; i < http->config.n_adopted; i += http->n_loops)
        fl_conn_adopt(loop, http->config.adopted[i]);
    if (atomic_load(&http->phase) < FL_PHASE_DRAIN)
        begin_listening(loop);
    while (!is_finished(loop))
        busy = run_once(loop, busy);
    dispose_context(loop);
    report_ended(http);
    return NULL;
}

int32_t fl_loop_init(fl_http *http, fl_loop *loop, uint32_t index)
{
    loop->http = http;
    loop->index = index;
    loop->listeners = calloc(http->n_listeners, sizeof(h2o_socket_t *));
    if (loop->listeners == NULL)
        return FLAMENCO_E_NOMEM;
    if (pthread_mutex_init(&loop->lock, NULL) != 0) {
        free(loop->listeners);
        loop->listeners = NULL;
        return FLAMENCO_E_NOMEM;
    }
    fl_link_init(&loop->conns);
    fl_link_init(&loop->pending);
    fl_link_init(&loop->held);
    fl_link_init(&loop->returned);
    fl_link_init(&loop->dirty);
    fl_link_init(&loop->stalled);
    fl_link_init(&loop->paced);
    fl_link_init(&loop->paced_feeds);
    fl_link_init(&loop->feeds);
    fl_link_init(&loop->busy_feeds);
    return FLAMENCO_OK;
}

void fl_loop_fini(fl_loop *loop)
{
    if (loop->listeners == NULL)
        return;
    /* Messages to WebSockets that were closed meanwhile; running them just frees them. */
    empty_inbox(loop);
    while (loop->n_spare_arenas > 0)
        fl_arena_destroy(loop->spare_arenas[--loop->n_spare_arenas]);
    pthread_mutex_destroy(&loop->lock);
    free(loop->spare_batch);
    free(loop->listeners);
    loop->listeners = NULL;
}
