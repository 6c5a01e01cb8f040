/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - request bodies that are handed on while they arrive, past h2o, which would collect them first. Between two
 * requests our callback stands in front of h2o's. It looks at the head: any but an upload goes on to h2o at once, as if
 * nobody had looked. Of an upload the body is taken off the socket, by a body thread that reads from the descriptor itself
 * (behind TLS: that gets what the loop has decrypted); then h2o is shown the head alone, its framing headers disarmed, and
 * the request is handled like any other, with the result at hand.
 *
 * States of a connection: BOUNDARY (ours, waiting for a head), STREAM (ours, a body), H2O, DRAIN (ours: the rest of a body
 * whose request was answered early). Whatever is not understood, and what was pipelined behind an ordinary request, goes
 * h2o's way: a miss costs speed, and the limit of collected bodies; never correctness.
 */
#include "core/http/internal.h"

#include <errno.h>
#include <unistd.h>

#include "core/http/chunks.h"
#include "core/http/head.h"

#define HEAD_MAX ((size_t)128 << 10)
/* Of each body thread. With less the thread is woken more often, with more the bytes leave the core's cache before they are
 * worked on. */
#define BUFFER ((size_t)512 << 10)
#define TURN_BYTES (UINT64_C(16) << 20) /* then others get a turn */

typedef enum stream_result { WANT_INPUT, GO_ON, DONE, ENOUGH, BROKEN } stream_result;

struct fl_stream {
    fl_msg msg; /* a body thread has ended its turn */
    struct fl_stream *next; /* queue of the body threads */
    fl_conn *conn;
    char *head;
    size_t head_len;
    flamenco_str method, target; /* in head */
    uint64_t length, left; /* by Content-Length */
    int is_chunked;
    fl_chunks chunks;
    _Atomic uint64_t taken; /* bytes of the body so far */
    h2o_buffer_t *input; /* bytes that the loop has read; disposed by the loop */
    char *over; /* bytes behind the body */
    size_t over_len;
    int fd, is_tls, lost;
    int expects; /* a 100 is waited for */
    int is_out; /* [loop] a body thread has it */
    stream_result result;
    /* Of the body threads. */
    void *user;
    int begun, enough, ended;
};

static void on_boundary(h2o_socket_t *sock, const char *err);

/* ---- Body threads ------------------------------------------------------------------------------------------------ */

static void end_user(fl_stream *st, int complete)
{
    const fl_http_config *config = &st->conn->loop->http->config;
    if (!st->ended && st->user != NULL)
        config->stream_end(st->user, complete);
    st->ended = 1;
}

static void begin_user(fl_stream *st)
{
    const fl_http_config *config = &st->conn->loop->http->config;
    fl_http_stream_head head = { .method = st->method,
                                 .target = st->target,
                                 .head = { st->head, st->head_len },
                                 .length = st->length,
                                 .has_length = !st->is_chunked };
    st->begun = 1;
    st->user = config->stream_begin(config->ctx, &head, &st->enough);
}

static void hand_on(fl_stream *st, const char *data, size_t len)
{
    if (len > 0 && !st->enough)
        st->enough = st->conn->loop->http->config.stream_write(st->user, data, len);
}

/* Bytes behind the body, which belong to the next request. Returns 0 when memory is exhausted. */
static int keep_over(fl_stream *st, const char *data, size_t len)
{
    if (len == 0)
        return 1;
    st->over = malloc(len);
    if (st->over == NULL)
        return 0;
    memcpy(st->over, data, len);
    st->over_len = len;
    return 1;
}

static int is_complete(const fl_stream *st)
{
    return st->is_chunked ? st->chunks.state == FL_CHUNKS_END : st->left == 0;
}

/* Takes bytes that came. Returns 0 when the connection cannot go on. */
static int take(fl_stream *st, const char *data, size_t len)
{
    while (st->is_chunked && len > 0 && !is_complete(st)) {
        flamenco_str piece;
        size_t n = fl_chunks_next(&st->chunks, data, len, &piece);
        if (st->chunks.state == FL_CHUNKS_BAD)
            return 0;
        hand_on(st, piece.ptr, (size_t)piece.len);
        atomic_fetch_add_explicit(&st->taken, n, memory_order_relaxed);
        data += n;
        len -= n;
    }
    if (st->is_chunked)
        return keep_over(st, data, len);
    size_t used = len < st->left ? len : (size_t)st->left;
    hand_on(st, data, used);
    st->left -= used;
    atomic_fetch_add_explicit(&st->taken, used, memory_order_relaxed);
    return keep_over(st, data + used, len - used);
}

/* Reads from the descriptor until nothing is there, or the turn is over. */
static stream_result read_body(fl_stream *st, char *buffer)
{
    uint64_t turn = 0;
    while (!is_complete(st)) {
        if (st->enough && !st->is_chunked)
            return ENOUGH;
        if (turn >= TURN_BYTES)
            return GO_ON;
        size_t want = !st->is_chunked && st->left < BUFFER ? (size_t)st->left : BUFFER;
        ssize_t n = read(st->fd, buffer, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return WANT_INPUT;
        if (n <= 0 || !take(st, buffer, (size_t)n))
            return BROKEN;
        turn += (uint64_t)n;
    }
    return DONE;
}

static stream_result run_turn(fl_stream *st, char *buffer)
{
    if (!st->begun)
        begin_user(st);
    if (st->user == NULL || st->lost)
        return BROKEN;
    if (st->input != NULL && !take(st, st->input->bytes, st->input->size))
        return BROKEN;
    if (is_complete(st))
        return DONE;
    if (st->enough && !st->is_chunked)
        return ENOUGH;
    return st->is_tls ? WANT_INPUT : read_body(st, buffer);
}

static void push(struct fl_bodies *bodies, fl_stream *st)
{
    st->next = NULL;
    if (bodies->first == NULL)
        bodies->first = st;
    else
        bodies->last->next = st;
    bodies->last = st;
}

static void *run_bodies(void *arg)
{
    fl_http *http = arg;
    struct fl_bodies *bodies = &http->bodies;
    char *buffer = malloc(BUFFER);
    (void)pthread_setname_np(pthread_self(), "http-body");
    pthread_mutex_lock(&bodies->lock);
    for (;;) {
        fl_stream *st = bodies->first;
        if (st == NULL) {
            if (bodies->stop)
                break;
            pthread_cond_wait(&bodies->changed, &bodies->lock);
            continue;
        }
        bodies->first = st->next;
        pthread_mutex_unlock(&bodies->lock);
        stream_result result = buffer != NULL ? run_turn(st, buffer) : BROKEN;
        if (result != WANT_INPUT && result != GO_ON)
            end_user(st, result == DONE);
        pthread_mutex_lock(&bodies->lock);
        /* What the loop has read is used up; only the first piece of a turn comes from there. */
        if (result == GO_ON && st->input == NULL) {
            push(bodies, st);
        } else {
            st->result = result;
            pthread_mutex_unlock(&bodies->lock);
            fl_loop_post_one(st->conn->loop, &st->msg);
            pthread_mutex_lock(&bodies->lock);
        }
    }
    pthread_mutex_unlock(&bodies->lock);
    free(buffer);
    return NULL;
}

int32_t fl_bodies_start(fl_http *http)
{
    struct fl_bodies *bodies = &http->bodies;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = http->config.stream_threads > 0 ? http->config.stream_threads : (size_t)(cores > 0 ? cores : 1) + 6;
    if (http->config.stream_prefix == NULL)
        return FLAMENCO_OK;
    bodies->threads = calloc(n, sizeof(bodies->threads[0]));
    if (bodies->threads == NULL || pthread_mutex_init(&bodies->lock, NULL) != 0)
        return FLAMENCO_E_NOMEM;
    if (pthread_cond_init(&bodies->changed, NULL) != 0) {
        pthread_mutex_destroy(&bodies->lock);
        return FLAMENCO_E_NOMEM;
    }
    bodies->ready = 1;
    for (; bodies->n_threads < n; ++bodies->n_threads)
        if (pthread_create(&bodies->threads[bodies->n_threads], NULL, run_bodies, http) != 0)
            return FLAMENCO_E_NOMEM;
    return FLAMENCO_OK;
}

void fl_bodies_stop(fl_http *http)
{
    struct fl_bodies *bodies = &http->bodies;
    if (bodies->ready) {
        pthread_mutex_lock(&bodies->lock);
        bodies->stop = 1;
        pthread_cond_broadcast(&bodies->changed);
        pthread_mutex_unlock(&bodies->lock);
        for (size_t i = 0; i < bodies->n_threads; ++i)
            pthread_join(bodies->threads[i], NULL);
        pthread_cond_destroy(&bodies->changed);
        pthread_mutex_destroy(&bodies->lock);
    }
    free(bodies->threads);
    *bodies = (struct fl_bodies){ .threads = NULL };
}

/* ---- The body, on the loop ------------------------------------------------------------------------------------------ */

void fl_stream_free(fl_stream *st, const fl_http_config *config)
{
    if (st == NULL)
        return;
    if (st->user != NULL)
        config->stream_free(st->user);
    if (st->input != NULL)
        h2o_buffer_dispose(&st->input);
    free(st->head);
    free(st->over);
    free(st);
}

void *fl_stream_user(const fl_stream *st)
{
    return st != NULL ? st->user : NULL;
}

uint64_t fl_stream_bytes(const fl_stream *st)
{
    return atomic_load_explicit(&st->taken, memory_order_relaxed);
}

int fl_stream_is_out(const fl_stream *st)
{
    return st->is_out;
}

static void submit(fl_stream *st)
{
    struct fl_bodies *bodies = &st->conn->loop->http->bodies;
    st->is_out = 1;
    pthread_mutex_lock(&bodies->lock);
    push(bodies, st);
    pthread_cond_signal(&bodies->changed);
    pthread_mutex_unlock(&bodies->lock);
}

/* Gives the connection to h2o with what is in the input. It may be gone afterwards. */
static void give_to_h2o(fl_conn *conn, const char *err)
{
    conn->state = FL_CONN_H2O;
    h2o_socket_read_start(conn->sock, conn->h2o_read);
    conn->h2o_read(conn->sock, err);
}

/* There is something to read: a body thread does it. */
static void on_ready(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    (void)err; /* the thread's read finds it */
    h2o_socket_read_stop(sock);
    h2o_socket_dont_read(sock, 0);
    submit(conn->stream);
}

/* Behind TLS: the loop has decrypted something. */
static void on_input(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    fl_stream *st = conn->stream;
    h2o_socket_read_stop(sock);
    if (err != NULL) {
        st->lost = 1;
    } else {
        st->input = sock->input;
        h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
    }
    submit(st);
}

static void wait_for_input(fl_conn *conn)
{
    if (conn->stream->is_tls) {
        h2o_socket_read_start(conn->sock, on_input);
        return;
    }
    h2o_socket_dont_read(conn->sock, 1);
    h2o_socket_read_start(conn->sock, on_ready);
}

static void on_continue_sent(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    if (err == NULL) {
        wait_for_input(conn);
        return;
    }
    conn->stream->lost = 1;
    submit(conn->stream);
}

static void send_continue(fl_conn *conn)
{
    static char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    h2o_iovec_t vec = { line, sizeof(line) - 1 };
    conn->stream->expects = 0;
    h2o_socket_write(conn->sock, &vec, 1, on_continue_sent);
}

/* The body is stored, or its request is to be answered early: shows h2o the head. */
static void show_head(fl_conn *conn)
{
    fl_stream *st = conn->stream;
    h2o_buffer_t *input;
    uint64_t taken = fl_stream_bytes(st);
    atomic_fetch_add_explicit(&conn->loop->n_in, taken, memory_order_relaxed);
    if (st->result == ENOUGH && st->expects && taken == 0)
        conn->close_after = 1; /* the client may send the body all the same, or not */
    else if (st->result == ENOUGH)
        conn->drain_left = st->left;
    if (st->over_len > 0) {
        h2o_buffer_init(&input, &h2o_socket_buffer_prototype);
        h2o_iovec_t room = h2o_buffer_reserve(&input, st->over_len);
        memcpy(room.base, st->over, st->over_len);
        input->size = st->over_len;
        conn->stash = input;
    }
    h2o_iovec_t room = h2o_buffer_reserve(&conn->sock->input, st->head_len);
    memcpy(room.base, st->head, st->head_len);
    conn->sock->input->size += st->head_len;
    give_to_h2o(conn, NULL);
}

static void on_turn_ended(fl_msg *msg)
{
    fl_stream *st = FL_FROM(fl_stream, msg, msg);
    fl_conn *conn = st->conn;
    st->is_out = 0;
    if (st->input != NULL) {
        h2o_buffer_dispose(&st->input);
        st->input = NULL;
    }
    switch (st->result) {
    case WANT_INPUT:
        if (st->expects && fl_stream_bytes(st) == 0)
            send_continue(conn);
        else
            wait_for_input(conn);
        break;
    case GO_ON:
        submit(st);
        break;
    case DONE:
    case ENOUGH:
        show_head(conn);
        break;
    case BROKEN:
        give_to_h2o(conn, h2o_socket_error_closed);
        break;
    }
}

/* ---- The boundary ---------------------------------------------------------------------------------------------------- */

static int is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Reads a header line of the copied head that matters. Returns 0 when the request is not for us. */
static int read_header(fl_stream *st, char *line, size_t len, int *framings)
{
    char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return 0;
    size_t name = (size_t)(colon - line), n = len - name - 1;
    const char *value = colon + 1;
    while (n > 0 && is_space(*value)) {
        ++value;
        --n;
    }
    while (n > 0 && is_space(value[n - 1]))
        --n;
    if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
        if (n == 0 || n > 18)
            return 0;
        for (size_t i = 0; i < n; ++i)
            st->length = st->length * 10 + (uint64_t)(value[i] - '0'); /* fl_head_scan has seen that they are digits */
        ++*framings;
    } else if (name == 17 && strncasecmp(line, "transfer-encoding", name) == 0) {
        if (n != 7 || strncasecmp(value, "chunked", n) != 0)
            return 0;
        st->is_chunked = 1;
        ++*framings;
    } else if (name == 6 && strncasecmp(line, "expect", name) == 0) {
        if (n != 12 || strncasecmp(value, "100-continue", n) != 0)
            return 0;
        st->expects = 1;
    } else {
        return !(name == 7 && strncasecmp(line, "upgrade", name) == 0);
    }
    *line = 'X'; /* h2o is to see neither a body nor an expectation */
    return 1;
}

/* Reads the copied head. Returns 0 when the request is to go h2o's way. */
static int read_head(fl_stream *st)
{
    static const char version[] = " HTTP/1.1";
    char *at = st->head, *end = st->head + st->head_len;
    int framings = 0;
    for (size_t lines = 0; at < end; ++lines) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL || newline == at || newline[-1] != '\r')
            return 0;
        size_t len = (size_t)(newline - 1 - at);
        if (lines == 0) {
            char *blank = memchr(at, ' ', len);
            if (blank == NULL || len < sizeof(version) ||
                memcmp(at + len - (sizeof(version) - 1), version, sizeof(version) - 1) != 0)
                return 0;
            char *target = blank + 1, *stop = at + len - (sizeof(version) - 1);
            if (target >= stop || memchr(target, ' ', (size_t)(stop - target)) != NULL)
                return 0;
            st->method = (flamenco_str){ at, (uint64_t)(blank - at) };
            st->target = (flamenco_str){ target, (uint64_t)(stop - target) };
        } else if (len == 0) {
            break;
        } else if (!is_space(*at) && !read_header(st, at, len, &framings)) {
            return 0;
        }
        at = newline + 1;
    }
    return framings == 1;
}

/* Begins to take the body off the socket. Returns 0 when that is not for this request. */
static int take_over(fl_conn *conn, size_t head_len)
{
    h2o_socket_t *sock = conn->sock;
    const fl_http_config *config = &conn->loop->http->config;
    fl_stream *st = calloc(1, sizeof(*st));
    if (st == NULL || (st->head = malloc(head_len)) == NULL) {
        free(st);
        return 0;
    }
    memcpy(st->head, sock->input->bytes, head_len);
    st->head_len = head_len;
    if (!read_head(st) || (!st->is_chunked && (st->length == 0 || st->length < config->stream_min))) {
        fl_stream_free(st, config);
        return 0;
    }
    st->left = st->length;
    st->conn = conn;
    st->msg.run = on_turn_ended;
    st->fd = h2o_socket_get_fd(sock);
    st->is_tls = sock->ssl != NULL;
    conn->stream = st;
    conn->state = FL_CONN_STREAM;
    conn->rate_since_us = 0;
    h2o_socket_read_stop(sock);
    h2o_buffer_consume(&sock->input, head_len);
    if (sock->input->size > 0) {
        st->input = sock->input;
        h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
    }
    submit(st);
    return 1;
}

/* Bytes arrived between two requests. */
static void on_boundary(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    const char *prefix = conn->loop->http->config.stream_prefix, *problem;
    size_t have = sock->input->size, want = strlen(prefix), n = have < want ? have : want;
    if (err == NULL && n > 0 && memcmp(sock->input->bytes, prefix, n) == 0) {
        size_t head_len = have < want ? 0 : fl_head_scan(sock->input->bytes, have, &problem);
        if (head_len == 0 && have < HEAD_MAX)
            return; /* the head goes on */
        if (head_len > 0 && problem == NULL && take_over(conn, head_len))
            return;
    }
    give_to_h2o(conn, err);
}

/* The rest of a body whose request was answered. */
static void on_drain(h2o_socket_t *sock, const char *err)
{
    fl_conn *conn = sock->on_close.data;
    if (err != NULL) {
        give_to_h2o(conn, err);
        return;
    }
    size_t n = sock->input->size < conn->drain_left ? sock->input->size : (size_t)conn->drain_left;
    conn->drain_left -= n;
    atomic_fetch_add_explicit(&conn->loop->n_in, n, memory_order_relaxed);
    if (n == sock->input->size) {
        h2o_buffer_dispose(&sock->input);
        h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
    } else {
        h2o_buffer_consume(&sock->input, n);
    }
    if (conn->drain_left > 0)
        return;
    conn->state = FL_CONN_BOUNDARY;
    h2o_socket_read_start(sock, on_boundary);
    if (sock->input->size > 0)
        on_boundary(sock, NULL);
}

/* Puts our callback in front of h2o's. Returns whether there were bytes for it; then the connection may be gone. */
static int enter_boundary(fl_conn *conn)
{
    h2o_socket_t *sock = conn->sock;
    if (conn->stash != NULL) {
        h2o_buffer_dispose(&sock->input);
        sock->input = conn->stash;
        conn->stash = NULL;
    }
    h2o_socket_cb callback = conn->drain_left > 0 ? on_drain : on_boundary;
    conn->state = conn->drain_left > 0 ? FL_CONN_DRAIN : FL_CONN_BOUNDARY;
    conn->rate_since_us = 0;
    h2o_socket_read_start(sock, callback);
    if (sock->input->size == 0)
        return 0;
    callback(sock, NULL);
    return 1;
}

void fl_stream_accept(fl_conn *conn)
{
    h2o_socket_t *sock = conn->sock;
    struct timeval now = *h2o_get_timestamp(&conn->loop->context, NULL, NULL);
    int streams = conn->loop->http->config.stream_prefix != NULL;
    conn->state = FL_CONN_H2O;
    /* h2o parses at once what is there already: behind TLS that may be a whole request. */
    if (streams && sock->input->size > 0) {
        conn->stash = sock->input;
        h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
    }
    h2o_http1_accept(&conn->loop->accept, sock, now);
    if (!streams)
        return;
    conn->h2o_read = sock->_cb.read;
    (void)enter_boundary(conn);
}

void fl_stream_request_ended(fl_conn *conn)
{
    if (conn->h2o_read != NULL && fl_link_is_alone(&conn->returned))
        fl_link_add(&conn->loop->returned, &conn->returned);
}

int fl_stream_visit_returned(fl_loop *loop)
{
    int any = 0;
    while (!fl_link_is_alone(&loop->returned)) {
        fl_conn *conn = FL_FROM(fl_conn, returned, loop->returned.next);
        fl_link_remove(&conn->returned);
        /* Else it closes, was upgraded, or h2o has begun the next request. */
        if (conn->state == FL_CONN_H2O && conn->sock->_cb.read == conn->h2o_read && conn->sock->input->size == 0)
            any |= enter_boundary(conn);
    }
    return any;
}

void fl_stream_forget(fl_conn *conn)
{
    fl_link_remove(&conn->returned);
    fl_stream_free(conn->stream, &conn->loop->http->config);
    conn->stream = NULL;
    if (conn->stash != NULL)
        h2o_buffer_dispose(&conn->stash);
    conn->stash = NULL;
}
