/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - the manager's HTTP server. Everything that knows h2o is behind this header; the API layer, the executor's
 * publisher and the lifecycle call it. One process may run several servers (the tests do).
 *
 * THE WAY OF A REQUEST. A loop thread parses it, collects the body, and calls config.on_request. From then on the
 * request belongs to the caller, who may hand it from thread to thread (one at a time) and ends it exactly once, on any
 * thread, with fl_http_answer, fl_http_answer_batch, fl_http_drop or a successful fl_http_upgrade. These calls take the
 * request away from the caller: what belongs to it (texts, body, arena) must not be touched afterwards. It is destroyed
 * on its loop thread when the reply has been written; fl_http_request_set_user's `destroy` runs then.
 *
 * THREAD TAGS as in flamenco/plugin.h, and [loop]: a thread of the event loops, which must never block. A function
 * without a tag may be called on any thread, loop threads included; it never blocks.
 *
 * SIGPIPE must be ignored by the process: h2o writes to sockets whose other end may be gone.
 */
#ifndef FL_HTTP_H
#define FL_HTTP_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "flamenco/plugin.h"

typedef struct fl_http fl_http;
typedef struct fl_http_request fl_http_request;
typedef struct fl_http_ws fl_http_ws;
typedef struct fl_http_feed fl_http_feed;

/* ---- Server ---------------------------------------------------------------------------------------------------- */

/* What is told about a request when its last byte has been written, or when its connection broke. Texts are borrowed
 * for the call. */
typedef struct fl_http_done {
    flamenco_str id, method, path, peer;
    int32_t status; /* 0: dropped without an answer */
    uint32_t upgraded; /* 1: became a WebSocket */
    uint64_t bytes_in, bytes_out; /* of the body */
    int64_t wait_us; /* from the call of on_request to the answer */
    int64_t total_us; /* from the call of on_request to the last byte written */
} fl_http_done;

/* The head of a request whose body is streamed. Texts are borrowed for the body's life. */
typedef struct fl_http_stream_head {
    flamenco_str method, target; /* as sent */
    flamenco_str head; /* all of it; names of framing headers are disfigured */
    uint64_t length; /* by Content-Length */
    int has_length; /* 0: in chunks */
} fl_http_stream_head;

/* Finds the index-th header of that name (any case) in a raw head; continuation lines are part of the value. Returns 1, or 0
 * when there is none. */
int fl_http_head_header(flamenco_str head, const char *name, size_t index, flamenco_str *out);

/* Fill it with fl_http_config_init, then change what differs. Texts and arrays are borrowed for fl_http_start. */
typedef struct fl_http_config {
    const char *const *listen; /* "host:port", ":8080" (all addresses, IPv6 and IPv4), "[::1]:0"; port 0 = any */
    size_t n_listen;
    const int *inherited; /* listening sockets of the process before execve; the server owns them from now on, also when
                             start fails. One that no `listen` asks for is closed */
    size_t n_inherited;
    const int *adopted; /* connections of the process before execve (fl_http_kept), likewise owned; over TLS closed */
    size_t n_adopted;
    uint32_t loops; /* event loop threads; 0 = one per core */
    /* Of all loops together; at the limit accepting pauses. Lowered to RLIMIT_NOFILE - 512, or half of it, if that is
     * more. */
    uint32_t max_connections;
    int64_t head_timeout_us; /* a request's head must arrive in this time, the first one counted from the connect */
    int64_t idle_us; /* a kept-alive connection without a request */
    int64_t body_stall_us; /* a body of which no byte arrives */
    uint64_t body_min_rate; /* bytes per second over each body_stall_us; 0 = any */
    int64_t write_timeout_us; /* a reply that the client does not read (TCP_USER_TIMEOUT) */
    int64_t dead_peer_us; /* a held request's client that fell silent (TCP keepalive) */
    uint64_t max_body; /* the largest body that any route takes: beyond it h2o answers 413 and closes */
    /* The largest body that this route takes, asked on a loop thread while one is arriving: beyond it the connection is
     * cut. The caller still checks the body that it gets. NULL = max_body for all. [loop] */
    uint64_t (*body_limit)(void *ctx, flamenco_str method, flamenco_str path);
    /* Bodies that are handed on while they arrive: of requests whose first line begins with stream_prefix
     * ("POST /path/"), in chunks or of at least stream_min bytes. NULL = none; others are collected as ever. The functions
     * are called on threads of their own, which may block, one at a time for one body:
     * begin makes the caller's state (NULL: the connection is closed); *enough_out = 1: the answer is known, nothing is to
     * be written. write returns 1 when the answer is known. end comes once: complete 1 = the whole body was given or passed
     * over, 0 = the connection broke, or the answer was known before. Then the request comes by on_request, without a body,
     * and its answer may leave before the rest of the body has come. free (on the loop, must not block) comes last. */
    const char *stream_prefix;
    uint64_t stream_min;
    uint32_t stream_threads; /* 0 = cores + 6 */
    void *(*stream_begin)(void *ctx, const struct fl_http_stream_head *head, int *enough_out);
    int (*stream_write)(void *stream, const void *data, size_t len);
    void (*stream_end)(void *stream, int complete);
    void (*stream_free)(void *stream);
    const char *spill_dir; /* bodies from spill_bytes on are kept in unlinked files there; NULL = always in memory. */
    uint64_t spill_bytes; /* Both are settings of the process: the last server started decides */
    const char *tls_cert; /* PEM chain and key; both NULL = clear text */
    const char *tls_key;
    uint32_t file_threads; /* threads that read file replies, at least 1 */
    uint64_t ws_max_message; /* longest incoming message; beyond it: close 1009 */
    uint32_t ws_max_queued; /* outgoing messages that wait; beyond it the connection is dropped */
    uint64_t ws_max_queued_bytes;
    int64_t ws_silence_us; /* no text or binary message from the client for so long: dropped. 0 = never */
    /* Takes a request. Must not block. [loop] */
    void (*on_request)(void *ctx, fl_http_request *request);
    /* Tells that the connection of a held request was found closed. The request still waits to be ended (fl_http_drop
     * suits); another thread may be doing so right now, which is why everything that this call touches should hang on
     * fl_http_request_set_user, or be found under a lock. Must not block. May be NULL. [loop] */
    void (*on_gone)(void *ctx, fl_http_request *request);
    /* For the access log. Must not block. May be NULL. [loop] */
    void (*on_done)(void *ctx, const fl_http_done *done);
    void *ctx;
} fl_http_config;

/* Sets the defaults of architecture.md 8 and zeroes the rest. */
void fl_http_config_init(fl_http_config *config);

/* Binds, listens, starts the loop threads and serves. On success *out is the caller's until fl_http_destroy. Errors:
 * INVALID (an address or a file that cannot be understood), EXISTS (address in use), IO, NOMEM; the text names address
 * or file and the reason, and nothing is left behind. [main] */
int32_t fl_http_start(const fl_http_config *config, fl_http **out, flamenco_error *err);

/* Gives the n-th listening address as it is bound, "127.0.0.1:8080"; empty: there are fewer. Valid until destroy. */
flamenco_str fl_http_address(const fl_http *http, size_t n);

/* Hands the listening sockets to the caller, without FD_CLOEXEC, so that they survive execve; neither stop nor destroy
 * closes them then. Meanwhile the kernel queues new connections. Returns their number, at most `cap` (which must be at
 * least n_listen). [main] */
size_t fl_http_listen_fds(fl_http *http, int *fds, size_t cap);

/* Says that connections are to be kept for the image of the process after execve: from the drain on, those without a request
 * are set aside instead of being closed, and no reply ends its connection; so no client notices, and none can send into a
 * connection that is just being closed. Does nothing over TLS. Call it before fl_http_drain. */
void fl_http_keep_connections(fl_http *http);

/* The descriptors of those that were set aside, after fl_http_stop; with FD_CLOEXEC, and the caller's to close or hand on. The
 * list is valid until destroy. Returns their number. [main] */
size_t fl_http_kept(fl_http *http, const int **fds_out);

/* Stops accepting and closes idle connections. What runs is answered with `Connection: close`. WebSockets stay. Returns
 * at once; a second call does nothing. */
void fl_http_drain(fl_http *http);

/* Drains, closes the WebSockets (1001), waits for every connection to end and ends the threads. At deadline_us
 * (monotonic) what is left is cut, and requests without an answer are named in the log; DEADLINE if there still is one
 * 200 ms later: the threads run on, and the caller may try again or leave by _exit or execve. After 0 was returned no
 * callback is called any more. [main] */
int32_t fl_http_stop(fl_http *http, int64_t deadline_us, flamenco_error *err);

/* Frees the server, which must have been stopped with success. No WebSocket function but fl_http_ws_unref may be called
 * afterwards. Accepts NULL. [main] */
void fl_http_destroy(fl_http *http);

typedef struct fl_http_stats {
    uint64_t connections; /* open now, WebSockets included */
    uint64_t websockets; /* open now */
    uint64_t pending; /* requests handed to on_request whose reply is not written yet, held ones included */
    uint64_t held; /* of these, held */
    uint64_t accepted; /* connections so far */
    uint64_t requests; /* handed to on_request so far */
    uint64_t refused; /* requests answered 400 by the server itself */
    uint64_t cut; /* connections cut by a time limit or a bound */
    uint64_t accept_pauses; /* times that accepting paused at the limit */
    uint64_t bytes_in, bytes_out; /* of requests and replies so far, heads included; WebSockets not */
} fl_http_stats;

size_t fl_http_loop_count(const fl_http *http);
/* Reads the counters of one loop. */
void fl_http_loop_stats(const fl_http *http, size_t loop, fl_http_stats *out);

/* ---- Request --------------------------------------------------------------------------------------------------- */

flamenco_str fl_http_request_id(const fl_http_request *request); /* short text, unique among the process's requests */
flamenco_str fl_http_request_method(const fl_http_request *request); /* as sent: "GET" */
flamenco_str fl_http_request_target(const fl_http_request *request); /* as sent; may be "*" or "http://…" */
flamenco_str fl_http_request_path(const fl_http_request *request); /* the target before '?', not decoded */
flamenco_str fl_http_request_query(const fl_http_request *request); /* behind '?', not decoded; empty = none */
flamenco_str fl_http_request_body(const fl_http_request *request); /* ptr NULL: none was announced */
/* The state that stream_begin made, when the body was streamed; else NULL. Lives as long as the request. */
void *fl_http_request_stream(const fl_http_request *request);
flamenco_str fl_http_request_host(const fl_http_request *request); /* the Host header */
uint32_t fl_http_request_version(const fl_http_request *request); /* 0x100 or 0x101 */
int fl_http_request_is_head(const fl_http_request *request);

/* Finds the index-th header of that name (lower case; counted from 0), folded lines joined with a blank. Returns 1, or
 * 0 when there is none. Host, Content-Length, Transfer-Encoding, Expect and Upgrade are not in the list. */
int fl_http_request_header(const fl_http_request *request, const char *name, size_t index, flamenco_str *out);
/* The first one, or the empty text. */
flamenco_str fl_http_request_header_text(const fl_http_request *request, const char *name);

/* The other end's address without port, an IPv4 address never in its IPv6 form. */
flamenco_str fl_http_request_peer(const fl_http_request *request);
/* The client's address as the contract takes it (api-behaviour 7.2): first entry of X-Forwarded-For, else X-Real-Ip,
 * else the peer. */
flamenco_str fl_http_request_remote(const fl_http_request *request);
/* Tells whether a proxy is between: HTTP/1.0, Forwarded, X-Forwarded-For or Via. */
int fl_http_request_came_through_proxy(const fl_http_request *request);
int fl_http_request_accepts_gzip(const fl_http_request *request);

/* The request's arena, made at the first call; it lives until the reply is written. NULL when memory is exhausted.
 * Belongs to whoever holds the request. */
fl_arena *fl_http_request_arena(fl_http_request *request);

/* Hangs the caller's data on the request; `destroy` (may be NULL) is called with it when the request is destroyed, on
 * its loop thread. */
void fl_http_request_set_user(fl_http_request *request, void *user, void (*destroy)(void *user));
void *fl_http_request_user(const fl_http_request *request);

/* ---- Answer ---------------------------------------------------------------------------------------------------- */

typedef struct fl_http_header {
    flamenco_str name, value;
} fl_http_header;

#define FL_HTTP_GZIPPED 1u /* the body is gzip already: Content-Encoding is set */
#define FL_HTTP_CLOSE 2u /* close the connection behind this answer */
#define FL_HTTP_FILE 4u /* fd, offset and length are the body */

/* Zero-initialise it. `Date`, `Connection`, `Content-Length` and `Vary` are set by the server: "Origin,
 * Accept-Encoding", on 204 "Origin"; further Vary lines may be among the headers. 1xx, 204 and 304 never carry a body.
 * For HEAD give the answer of GET: its length is told, its bytes are not sent. */
typedef struct fl_http_reply {
    int32_t status;
    uint32_t flags;
    flamenco_str content_type; /* empty = none */
    const fl_http_header *headers; /* copied. One with a control character in it is left out, and logged */
    size_t n_headers;
    flamenco_buf *body; /* one reference, taken over; NULL = empty */
    int fd; /* with FL_HTTP_FILE; taken over and closed. Read 64 KiB at a time, never on a loop thread */
    uint64_t offset, length;
} fl_http_reply;

/* Answers. The reply struct and what it points to may go after the call, except what is taken over. */
void fl_http_answer(fl_http_request *request, const fl_http_reply *reply);

typedef struct fl_http_answer_item {
    fl_http_request *request;
    fl_http_reply reply;
} fl_http_answer_item;

/* Answers many, with one wake-up per loop. */
void fl_http_answer_batch(const fl_http_answer_item *items, size_t n);

/* Ends the request without an answer: the client sees its connection closed. */
void fl_http_drop(fl_http_request *request);

/* ---- Parked requests ------------------------------------------------------------------------------------------- */

/* Says that the request will wait for long: from now on its connection is watched, and on_gone tells when it closed. It
 * stays watched until it is ended; further calls do nothing. */
void fl_http_hold(fl_http_request *request);

/* Looks at once whether the connection is still open and reports on its loop thread: alive 1 or 0; after 0, on_gone is
 * not called. Until the report came, the request must neither be ended nor rechecked again. `report` must not block. */
void fl_http_recheck(fl_http_request *request, void (*report)(void *ctx, fl_http_request *request, int alive),
                     void *ctx);

/* ---- Replies without end ----------------------------------------------------------------------------------------- */

typedef struct fl_http_feed_config {
    int32_t status;
    flamenco_str content_type;
    const fl_http_header *headers; /* copied */
    size_t n_headers;
    flamenco_buf *idle; /* sent whenever nothing was sent for idle_us; one reference, taken over; NULL: nothing */
    int64_t idle_us;
    /* The reply is over: ended, or the client went away. Comes exactly once, last. [loop] */
    void (*on_close)(void *ctx, fl_http_feed *feed);
    void *ctx;
} fl_http_feed_config;

/* Answers the request with a body to which more is added until somebody ends it, and takes the request away from the
 * caller. The head goes out with the first bytes. *out gets a reference that the caller gives back by fl_http_feed_unref.
 * Bounds are those of WebSockets. NOMEM: the request is still the caller's. */
int32_t fl_http_feed_begin(fl_http_request *request, const fl_http_feed_config *config, fl_http_feed **out,
                           flamenco_error *err);

/* Adds bytes; takes an own reference. Results as of fl_http_ws_send. */
int32_t fl_http_feed_send(fl_http_feed *feed, flamenco_buf *data);
/* Ends the reply behind what was added; a client that does not read has 5 s. */
void fl_http_feed_end(fl_http_feed *feed);
void fl_http_feed_unref(fl_http_feed *feed); /* accepts NULL */

/* ---- WebSocket ------------------------------------------------------------------------------------------------- */

/* All [loop], one at a time for one connection, must not block. on_close comes exactly once, last. */
typedef struct fl_http_ws_callbacks {
    void (*on_open)(void *ctx, fl_http_ws *ws); /* may be NULL */
    void (*on_text)(void *ctx, fl_http_ws *ws, flamenco_str text);
    void (*on_binary)(void *ctx, fl_http_ws *ws, flamenco_str data); /* may be NULL: ignored */
    void (*on_close)(void *ctx, fl_http_ws *ws, uint32_t code); /* 1005: none given, 1006: broken or dropped */
} fl_http_ws_callbacks;

/* Tells whether the request asks for a WebSocket at all. */
int fl_http_wants_upgrade(const fl_http_request *request);

/* Turns the request into a WebSocket and takes it away from the caller. `callbacks` is borrowed and must outlive the
 * connection; ctx is passed to them. may_pack: what goes to many is compressed for this one, if its client offers it. *out
 * (may be NULL) gets a reference that the caller gives back by fl_http_ws_unref. Errors, the request being still the caller's:
 * INVALID (no valid handshake: answer 400), UNSUPPORTED (version is not 13: answer 426 with `Sec-WebSocket-Version: 13`),
 * NOMEM. */
int32_t fl_http_upgrade(fl_http_request *request, const fl_http_ws_callbacks *callbacks, void *ctx, int may_pack,
                        fl_http_ws **out, flamenco_error *err);

#define FL_HTTP_WS_TEXT 1u
#define FL_HTTP_WS_BINARY 2u

/* Queues one message; takes an own reference to the bytes. A connection whose queue runs over is dropped. Messages of
 * one thread arrive in order. Returns 0; CANCELLED: it is closed; FULL: it is being dropped; NOMEM. */
int32_t fl_http_ws_send(fl_http_ws *ws, uint32_t kind, flamenco_buf *data);

/* Messages that go to many connections together. Their frames are made when the first connection needs them, plain and packed
 * ones, each once. */
typedef struct fl_http_ws_frames {
    uint32_t kind, n; /* 1 to 65,535 */
    flamenco_buf *const *messages; /* borrowed */
    flamenco_buf *plain, *packed; /* NULL: not made; by fl_http_ws_send_frames */
} fl_http_ws_frames;

/* Queues them for many connections, as fl_http_ws_send would one after the other; each loop is woken once. A connection that
 * cannot take them is dropped, for lack of memory, too. Returns how many those are; closed ones do not count. */
uint32_t fl_http_ws_send_frames(fl_http_ws *const *ws, uint32_t n_ws, fl_http_ws_frames *frames);
/* Gives the frames back. */
void fl_http_ws_frames_fini(fl_http_ws_frames *frames);

/* Sends what is queued, then a close frame. The other end has 5 s to answer it. code 0: drops it at once. */
void fl_http_ws_close(fl_http_ws *ws, uint32_t code);

void fl_http_ws_ref(fl_http_ws *ws);
void fl_http_ws_unref(fl_http_ws *ws); /* accepts NULL */

/* ---- Helpers without state ------------------------------------------------------------------------------------- */

/* Compresses (libdeflate level 1). Returns a new buffer, or NULL when memory is exhausted or the result is not smaller. Takes
 * time: not on a loop thread. */
flamenco_buf *fl_http_gzip(const flamenco_buf *plain);

/* Tells whether an Accept-Encoding value allows gzip. */
int fl_http_gzip_accepted(flamenco_str accept_encoding);

/* The reason phrase of a status; "Unknown" for one that has none. */
const char *fl_http_reason(int32_t status);

#endif
