/* SPDX-License-Identifier: Apache-2.0
 *
 * internal.h - what the files of core/http share. Not for anybody else: it shows h2o.
 *
 * WHO TOUCHES WHAT. A loop, its connections and everything of h2o belong to the loop's thread. Other threads send
 * messages (fl_msg) to the loop's inbox, which the loop empties after every h2o_evloop_run, when no h2o code is on the
 * stack. The few members that other threads do touch are _Atomic or under a lock named beside them.
 */
#ifndef FL_HTTP_INTERNAL_H
#define FL_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/websocket.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/http/http.h"
#include "core/http/deflate.h"
#include "core/http/outq.h"
#include "core/http/pace.h"

_Static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2, "written against the internals of h2o 2.2");

#define FL_SPARE_ARENAS 32

typedef struct fl_loop fl_loop;
typedef struct fl_stream fl_stream; /* stream.c */

/* Something that another thread wants done on a loop. Embedded in what it is about, or allocated: `run` frees it. */
typedef struct fl_msg {
    struct fl_msg *next;
    void (*run)(struct fl_msg *msg);
} fl_msg;

#define FL_FROM(type, member, pointer) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Intrusive double list; a node that is in no list points to itself. */
typedef struct fl_link {
    struct fl_link *prev, *next;
} fl_link;

static inline void fl_link_init(fl_link *link)
{
    link->prev = link->next = link;
}

static inline int fl_link_is_alone(const fl_link *link)
{
    return link->next == link;
}

static inline void fl_link_add(fl_link *list, fl_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static inline void fl_link_remove(fl_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    fl_link_init(link);
}

/* Where a connection is. Between two requests nothing of h2o but `sock->_cb.read` refers to it, so whoever replaces that
 * callback there gets the bytes first (libh2o-notes.md 10): stream.c does so, in fl_stream_accept, the one door to h2o, and
 * again behind each request, in fl_stream_visit_returned. The watchdog asks the state before it asks h2o. */
typedef enum fl_conn_state {
    FL_CONN_HANDSHAKE, /* TLS; sock->data is ours */
    FL_CONN_BOUNDARY, /* stream.c looks at the next head before h2o does */
    FL_CONN_STREAM, /* stream.c takes a body */
    FL_CONN_DRAIN, /* stream.c throws away the rest of a body */
    FL_CONN_H2O, /* h2o reads heads and bodies, writes replies; sock->data is h2o's */
    FL_CONN_WEBSOCKET, /* h2o's WebSocket glue owns the socket; it is in no list of h2o */
} fl_conn_state;

/* One accepted connection, from accept to close; hangs on sock->on_close.data. [loop] */
typedef struct fl_conn {
    fl_link link; /* loop->conns */
    fl_loop *loop;
    h2o_socket_t *sock;
    fl_conn_state state;
    uint64_t serial, requests;
    int polled; /* a request is pending and the socket stays registered: see fl_conn_stay_polled */
    uint64_t counted_out; /* of sock->bytes_written, what the statistics have seen */
    char peer[72]; /* IPv6 with a zone */
    /* Watchdog; times are monotonic µs, 0 = not running. */
    int64_t accepted_us;
    uint64_t seen_requests, seen_bytes;
    int64_t quiet_since_us; /* nothing arrived since */
    int64_t head_since_us;
    int64_t rate_since_us;
    uint64_t rate_bytes;
    uint64_t body_limit; /* of the request whose body arrives */
    int cut, is_idle;
    struct fl_http_ws *ws; /* from the upgrade on */
    /* stream.c's. */
    fl_link returned; /* loop->returned: its request has ended */
    h2o_socket_cb h2o_read; /* h2o's callback; NULL: nothing is streamed here */
    fl_stream *stream; /* until its request is made */
    h2o_buffer_t *stash; /* bytes that h2o is not to see yet */
    uint64_t drain_left; /* of a body whose request was answered early */
    int close_after; /* close behind the next answer */
} fl_conn;

struct fl_http_request {
    fl_msg msg; /* answer, drop or upgrade: whichever ends it; then file pieces */
    fl_msg hold_msg, recheck_msg;
    fl_loop *loop;
    fl_conn *conn; /* [loop] */
    h2o_req_t *req; /* NULL when h2o has disposed of it */
    atomic_int ended; /* answer, drop or upgrade was called */
    atomic_int hold_sent;
    int closing; /* [loop] the ending message has arrived */
    fl_link pending; /* loop->pending, until it is destroyed */
    fl_link held;
    int is_held;
    void (*report)(void *ctx, fl_http_request *request, int alive);
    void *report_ctx;
    fl_arena *arena;
    fl_stream *stream;
    void *user;
    void (*user_destroy)(void *user);
    char id[36];
    size_t id_len;
    int64_t begin_us, ended_us;
    /* The answer. */
    fl_http_reply reply;
    struct fl_http_ws *ws; /* upgrade */
    struct fl_http_feed *feed; /* a reply without end */
    h2o_generator_t generator;
    uint64_t sent;
    struct fl_http_request *next_file; /* queue of the file threads */
    char *piece; /* file bytes under way */
    ssize_t piece_len; /* -errno: reading failed */
};

struct fl_loop {
    fl_http *http;
    uint32_t index;
    pthread_t thread;
    pthread_t self; /* as the thread itself sees it */
    int32_t failed;
    h2o_evloop_t *evloop;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_multithread_receiver_t doorbell;
    h2o_multithread_message_t ring;
    int rung; /* the ring is on its way */
    h2o_linklist_t never; /* timeouts that are switched off */
    h2o_socket_t **listeners;
    int listening, paused, phase;
    fl_arena *spare_arenas[FL_SPARE_ARENAS]; /* of requests that have ended, for those to come */
    size_t n_spare_arenas;
    int may_yield; /* something was done since the last time */
    int64_t retry_accept_us, log_accept_us, next_tick_us;
    fl_link conns, pending, held, returned;
    fl_link dirty; /* WebSockets with messages to write */
    fl_link feeds, busy_feeds; /* busy: with something to do */
    fl_link paced, paced_feeds; /* those that let messages gather */
    fl_pace pace;
    fl_link stalled; /* those that something else writes to just now */
    struct ws_batch *spare_batch; /* ws.c's */
    uint64_t next_serial;

    pthread_mutex_t lock;
    fl_msg *first, *last; /* lock */
    int ended; /* lock: nobody will empty the inbox any more */

    _Atomic uint64_t n_conns, n_ws, n_pending, n_held, n_accepted, n_requests, n_refused, n_cut, n_pauses, n_in, n_out;
    uint64_t next_request;
};

#define FL_PHASE_RUN 0
#define FL_PHASE_DRAIN 1
#define FL_PHASE_STOP 2
#define FL_PHASE_CUT 3

typedef struct fl_listener {
    int fd;
    char text[80]; /* as bound */
} fl_listener;

struct fl_http {
    fl_http_config config;
    h2o_globalconf_t globalconf;
    int globalconf_ready;
    SSL_CTX *ssl;
    fl_listener *listeners;
    size_t n_listeners;
    int listeners_taken;
    fl_loop *loops;
    size_t n_loops, n_started;
    int64_t tick_us;
    char id_prefix[8];
    uint32_t max_connections;
    _Atomic uint32_t connections, paused_loops;
    _Atomic int phase, keeps; /* keeps: idle connections are set aside */

    pthread_mutex_t lock; /* of the members below */
    pthread_cond_t changed;
    size_t n_ready, n_ended;
    int go;
    int *kept; /* descriptors */
    size_t n_kept, cap_kept;

    fl_deflate deflate; /* messages for many WebSockets */

    struct fl_files {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        pthread_t *threads;
        size_t n_threads;
        fl_http_request *first, *last;
        int stop, ready;
    } files;

    struct fl_bodies {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        pthread_t *threads;
        size_t n_threads;
        fl_stream *first, *last;
        int stop, ready;
    } bodies;
};

/* h2o's allocator aborts when memory is exhausted; ours are checked, and the connection is closed. */

int64_t fl_http_now_us(void); /* monotonic */

/* listen.c */
int32_t fl_listen_open(fl_http *http, flamenco_error *err);
void fl_listen_close(fl_http *http);

/* tls.c */
int32_t fl_tls_open(const fl_http_config *config, SSL_CTX **out, flamenco_error *err);

/* loop.c */
int32_t fl_loop_init(fl_http *http, fl_loop *loop, uint32_t index);
void fl_loop_fini(fl_loop *loop);
void *fl_loop_main(void *loop);
void fl_loop_post(fl_loop *loop, fl_msg *first, fl_msg *last);
void fl_loop_wake(fl_loop *loop);
static inline void fl_loop_post_one(fl_loop *loop, fl_msg *msg)
{
    fl_loop_post(loop, msg, msg);
}

/* conn.c [loop] */
void fl_conn_on_accept(h2o_socket_t *listener, const char *err);
void fl_conn_pause(fl_loop *loop);
void fl_conn_resume(fl_loop *loop);
void fl_conn_count_sent(fl_conn *conn);
void fl_conn_shutdown(fl_conn *conn);
void fl_conn_adopt(fl_loop *loop, int fd);
void fl_conn_keep_idle(fl_loop *loop);
/* h2o stops reading for as long as a request is pending, which takes the socket out of the loop's epoll set and puts it back for
 * each request. Most clients send nothing meanwhile: so the socket stays in, with a callback of ours that reads nothing; should
 * something come, it is taken out after all. h2o puts its own callback back when it goes on reading. */
void fl_conn_stay_polled(fl_conn *conn);
/* Ends that before h2o, or the WebSocket, reads again: at the latest when the request is disposed of. */
void fl_conn_end_polled(fl_conn *conn);
/* Whether something is awaited from the client: a head, a body, the next request. */
int fl_conn_awaits_client(const fl_conn *conn);

/* watchdog.c [loop] */
void fl_watchdog_tick(fl_loop *loop, int64_t now_us);
void fl_watchdog_close_idle(fl_loop *loop);

/* request.c [loop] */
int fl_request_on_req(h2o_handler_t *self, h2o_req_t *req);
void fl_request_finish(fl_http_request *request);

/* hold.c [loop] */
void fl_hold_check(fl_loop *loop);
void fl_hold_release(fl_http_request *request);

/* files.c */
int32_t fl_files_start(fl_http *http);
void fl_files_stop(fl_http *http);
void fl_files_read(fl_http_request *request); /* reads the next piece, then posts request->msg */

/* stream.c [loop] but for start and stop */
int32_t fl_bodies_start(fl_http *http);
void fl_bodies_stop(fl_http *http);
void fl_stream_accept(fl_conn *conn); /* hands a connection that speaks HTTP to h2o; it may be gone afterwards */
void fl_stream_request_ended(fl_conn *conn); /* h2o lets go of a request */
int fl_stream_visit_returned(fl_loop *loop); /* between two runs of h2o's loop; returns whether h2o got bytes */
void fl_stream_forget(fl_conn *conn); /* the connection closes */
void fl_stream_free(fl_stream *stream, const fl_http_config *config);
void *fl_stream_user(const fl_stream *stream); /* accepts NULL */
uint64_t fl_stream_bytes(const fl_stream *stream);
int fl_stream_is_out(const fl_stream *stream); /* a body thread has it: nothing is waited for from the client */

/* ws.c [loop] */
int fl_ws_flush(fl_loop *loop); /* returns whether there was anything to write */
void fl_ws_retry(fl_loop *loop);
int64_t fl_ws_due_us(const fl_loop *loop); /* when the next pause is over; INT64_MAX: there is none */
void fl_ws_close_all(fl_loop *loop, uint32_t code);
void fl_ws_tick(struct fl_http_ws *ws, int64_t now_us);
void fl_ws_forget_conn(struct fl_http_ws *ws);

/* feed.c [loop] */
int fl_feed_flush(fl_loop *loop); /* returns whether there was anything to write */
void fl_feed_retry(fl_loop *loop);
int64_t fl_feed_due_us(const fl_loop *loop);
void fl_feed_end_all(fl_loop *loop);
void fl_feed_tick(fl_loop *loop, int64_t now_us);
void fl_feed_gone(struct fl_http_feed *feed); /* the other end was found closed */
void fl_feed_disposed(struct fl_http_feed *feed); /* h2o let go of the request */

/* answer.c [loop] */
void fl_answer_add_headers(fl_http_request *request);
int32_t fl_answer_copy(fl_http_request *request, const fl_http_reply *reply);

#endif
