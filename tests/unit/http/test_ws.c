/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ws.c - WebSockets against a hand-made client: frames, bounds, both ways of closing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/http/outq.h"
#include "harness.h"

static harness h;
static client c;
static response r;
static fl_http_config config;

/* ---- Server side: echoes texts --------------------------------------------------------------------------------- */

static void note(harness *to, char event)
{
    pthread_mutex_lock(&to->lock);
    if (to->n_ws_events < sizeof(to->ws_events))
        to->ws_events[to->n_ws_events++] = event;
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->lock);
}

static void on_open(void *ctx, fl_http_ws *ws)
{
    flamenco_buf *hello = shared_text("hello", 1);
    note(ctx, 'o');
    fl_http_ws_send(ws, FL_HTTP_WS_TEXT, hello);
    fl_shared_unref(hello);
}

static void on_text(void *ctx, fl_http_ws *ws, flamenco_str text)
{
    fl_buf buf = { .data = NULL };
    flamenco_buf *echo;
    if (fl_str_is(text, "close me")) {
        fl_http_ws_close(ws, 4000);
    } else if (fl_str_is(text, "drop me")) {
        fl_http_ws_close(ws, 0);
    } else {
        fl_buf_add_str(&buf, text);
        echo = fl_shared_take(&buf);
        fl_http_ws_send(ws, FL_HTTP_WS_TEXT, echo);
        fl_shared_unref(echo);
    }
    note(ctx, 't');
}

static void on_binary(void *ctx, fl_http_ws *ws, flamenco_str data)
{
    (void)ws;
    note(ctx, data.len == 3 ? 'b' : '?');
}

static void on_close(void *ctx, fl_http_ws *ws, uint32_t code)
{
    harness *to = ctx;
    (void)ws;
    pthread_mutex_lock(&to->lock); /* of several connections, on both loops */
    to->ws_code = code;
    pthread_mutex_unlock(&to->lock);
    note(to, 'c');
}

static const fl_http_ws_callbacks callbacks = {
    .on_open = on_open, .on_text = on_text, .on_binary = on_binary, .on_close = on_close
};

/* ---- Client side ----------------------------------------------------------------------------------------------- */

#define HANDSHAKE \
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static int send_frame(client *to, unsigned char first, const char *data, size_t len)
{
    unsigned char head[14];
    static char masked[1 << 18];
    size_t n = 0;
    if (len > sizeof(masked))
        return -1;
    head[n++] = first;
    if (len < 126) {
        head[n++] = (unsigned char)(0x80 | len);
    } else if (len < 65536) {
        head[n++] = 0x80 | 126;
        head[n++] = (unsigned char)(len >> 8);
        head[n++] = (unsigned char)len;
    } else {
        head[n++] = 0x80 | 127;
        for (int i = 7; i >= 0; --i)
            head[n++] = (unsigned char)(len >> (8 * i));
    }
    memcpy(head + n, "mask", 4);
    n += 4;
    for (size_t i = 0; i < len; ++i)
        masked[i] = (char)(data[i] ^ "mask"[i % 4]);
    return client_send(to, (const char *)head, n) != 0 || client_send(to, masked, len) != 0;
}

static int send_text(client *to, const char *text)
{
    return send_frame(to, 0x81, text, strlen(text));
}

static int need(client *from, size_t n)
{
    while (from->len < n) {
        struct pollfd p = { .fd = from->fd, .events = POLLIN };
        ssize_t got;
        if (poll(&p, 1, PATIENCE_MS) <= 0)
            return -1;
        got = recv(from->fd, from->data + from->len, sizeof(from->data) - from->len, 0);
        if (got <= 0)
            return -1;
        from->len += (size_t)got;
    }
    return 0;
}

/* Reads one short frame: its opcode, or -1. */
static int read_frame(client *from, char *out, size_t cap)
{
    size_t len, skip = 2;
    int opcode;
    if (need(from, 2) != 0)
        return -1;
    opcode = from->data[0] & 15;
    len = (unsigned char)from->data[1] & 127;
    if (len == 126) {
        if (need(from, 4) != 0)
            return -1;
        len = (size_t)(unsigned char)from->data[2] << 8 | (unsigned char)from->data[3];
        skip = 4;
    }
    if (len >= cap || need(from, skip + len) != 0)
        return -1;
    memcpy(out, from->data + skip, len);
    out[len] = '\0';
    from->len -= skip + len;
    memmove(from->data, from->data + skip + len, from->len);
    return opcode;
}

static void open_ws(client *to, fl_http_ws **out)
{
    char text[64];
    assert_int_equal(client_open(to, h.port), 0);
    assert_int_equal(client_say(to, HANDSHAKE), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_true(fl_http_wants_upgrade(request));
    assert_int_equal(fl_http_upgrade(request, &callbacks, &h, 0, out, NULL), FLAMENCO_OK);
    assert_int_equal(client_read(to, &r, 1), 0);
    assert_int_equal(r.status, 101);
    assert_true(response_header(&r, "Sec-WebSocket-Accept", text, sizeof(text)));
    assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(response_header(&r, "Sec-WebSocket-Extensions", text, sizeof(text)));
    assert_int_equal(read_frame(to, text, sizeof(text)), 1);
    assert_string_equal(text, "hello");
}

static int setup(void **state)
{
    (void)state;
    harness_config(&h, &config);
    c.fd = -1;
    return 0;
}

static void start(void)
{
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    open_ws(&c, &h.ws);
}

static int teardown(void **state)
{
    int failed;
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    failed = harness_stop(&h) != FLAMENCO_OK;
    fl_http_ws_unref(h.ws);
    return failed;
}

static void texts_are_echoed_in_order(void **state)
{
    char text[32], got[32];
    (void)state;
    start();
    for (int i = 0; i < 200; ++i) {
        snprintf(text, sizeof(text), "message %d", i);
        assert_int_equal(send_text(&c, text), 0);
    }
    for (int i = 0; i < 200; ++i) {
        snprintf(text, sizeof(text), "message %d", i);
        assert_int_equal(read_frame(&c, got, sizeof(got)), 1);
        assert_string_equal(got, text);
    }
    assert_int_equal(harness_stat(&h, STAT(websockets)), 1);
    assert_int_equal(harness_stat(&h, STAT(pending)), 0);
}

static void fragments_binaries_and_pings_are_understood(void **state)
{
    char got[32];
    (void)state;
    start();
    assert_int_equal(send_frame(&c, 0x01, "in ", 3), 0);
    assert_int_equal(send_frame(&c, 0x89, "ping", 4), 0);
    assert_int_equal(send_frame(&c, 0x80, "two", 3), 0);
    assert_int_equal(send_frame(&c, 0x82, "bin", 3), 0);
    assert_int_equal(read_frame(&c, got, sizeof(got)), 10);
    assert_string_equal(got, "ping");
    assert_int_equal(read_frame(&c, got, sizeof(got)), 1);
    assert_string_equal(got, "in two");
    assert_true(harness_wait_ws(&h, 3));
    assert_memory_equal(h.ws_events, "otb", 3);
}

static void a_client_that_closes_gets_its_code_back(void **state)
{
    char got[32];
    (void)state;
    start();
    assert_int_equal(send_frame(&c, 0x88, "\x03\xe8", 2), 0);
    assert_int_equal(read_frame(&c, got, sizeof(got)), 8);
    assert_memory_equal(got, "\x03\xe8", 2);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_ws(&h, 2));
    assert_memory_equal(h.ws_events, "oc", 2);
    assert_int_equal(h.ws_code, 1000);
    assert_int_equal(fl_http_ws_send(h.ws, FL_HTTP_WS_TEXT, NULL), FLAMENCO_E_CANCELLED);
}

static void a_client_that_vanishes_is_closed_with_1006(void **state)
{
    (void)state;
    start();
    client_close(&c);
    assert_true(harness_wait_ws(&h, 2));
    assert_memory_equal(h.ws_events, "oc", 2);
    assert_int_equal(h.ws_code, 1006);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(websockets)), 0);
}

static void the_server_closes_with_its_code(void **state)
{
    char got[32];
    (void)state;
    start();
    assert_int_equal(send_text(&c, "close me"), 0);
    assert_int_equal(read_frame(&c, got, sizeof(got)), 8);
    assert_memory_equal(got, "\x0f\xa0", 2);
    assert_int_equal(send_frame(&c, 0x88, "\x0f\xa0", 2), 0);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_ws(&h, 3));
    assert_memory_equal(h.ws_events, "otc", 3);
    assert_int_equal(h.ws_code, 4000);
}

static void the_server_drops_without_a_close_frame(void **state)
{
    (void)state;
    start();
    assert_int_equal(send_text(&c, "drop me"), 0);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_ws(&h, 3));
}

static void an_oversized_message_is_closed_with_1009(void **state)
{
    static char big[70000];
    char got[64];
    (void)state;
    start();
    memset(big, 'x', sizeof(big));
    assert_int_equal(send_frame(&c, 0x81, big, 65536), 0);
    assert_true(harness_wait_ws(&h, 2));
    assert_memory_equal(h.ws_events, "ot", 2);
    /* Its echo is read first. */
    assert_int_equal(need(&c, 10), 0);
    for (size_t left = 65536 + 10; left > 0;) {
        size_t n = c.len < left ? c.len : left;
        left -= n;
        c.len -= n;
        memmove(c.data, c.data + n, c.len);
        if (left > 0)
            assert_int_equal(need(&c, 1), 0);
    }
    /* Announced, and begun: the server need not see the rest. */
    assert_int_equal(client_send(&c,
                                 "\x81\xff\0\0\0\0\0\x01\0\x01"
                                 "maskdata",
                                 18),
                     0);
    assert_int_equal(read_frame(&c, got, sizeof(got)), 8);
    assert_memory_equal(got, "\x03\xf1", 2);
    assert_true(harness_wait_ws(&h, 3));
    assert_memory_equal(h.ws_events, "otc", 3);
}

/* Bursts that are written together, and joined for those who get the same; each gets its own, too. */
static void many_who_are_told_the_same_get_all_of_it_in_order(void **state)
{
    static client many[20];
    fl_http_ws *ws[20];
    char text[64], got[64];
    (void)state;
    start();
    for (int i = 0; i < 20; ++i)
        open_ws(&many[i], &ws[i]);
    for (int n = 0; n < 300; ++n) {
        snprintf(text, sizeof(text), "message %d, which is for everybody", n);
        flamenco_buf *same = shared_text(text, 1);
        for (int i = 0; i < 20; ++i) {
            assert_int_equal(fl_http_ws_send(ws[i], FL_HTTP_WS_TEXT, same), FLAMENCO_OK);
            if (n % 50 != 7)
                continue;
            snprintf(text, sizeof(text), "for %d alone", i);
            flamenco_buf *own = shared_text(text, 1);
            assert_int_equal(fl_http_ws_send(ws[i], FL_HTTP_WS_BINARY, own), FLAMENCO_OK);
            fl_shared_unref(own);
        }
        fl_shared_unref(same);
    }
    for (int i = 0; i < 20; ++i) {
        for (int n = 0; n < 300; ++n) {
            snprintf(text, sizeof(text), "message %d, which is for everybody", n);
            assert_int_equal(read_frame(&many[i], got, sizeof(got)), 1);
            assert_string_equal(got, text);
            if (n % 50 != 7)
                continue;
            snprintf(text, sizeof(text), "for %d alone", i);
            assert_int_equal(read_frame(&many[i], got, sizeof(got)), 2);
            assert_string_equal(got, text);
        }
        client_close(&many[i]);
        fl_http_ws_unref(ws[i]);
    }
}

/* Three at once, the second with a longer head, the third empty; between them what is for one alone. */
static void many_who_are_told_in_one_call_get_all_of_it_in_order(void **state)
{
    static client many[20];
    fl_http_ws *ws[20];
    char text[256], got[256];
    (void)state;
    start();
    for (int i = 0; i < 20; ++i)
        open_ws(&many[i], &ws[i]);
    for (int n = 0; n < 100; ++n) {
        flamenco_buf *texts[3];
        snprintf(text, sizeof(text), "%d", n);
        texts[0] = shared_text(text, 1);
        snprintf(text, sizeof(text), "%200d", n);
        texts[1] = shared_text(text, 1);
        texts[2] = shared_text("", 1);
        fl_http_ws_frames frames = { .kind = FL_HTTP_WS_TEXT, .n = 3, .messages = texts };
        assert_int_equal(fl_http_ws_send_frames(ws, 20, &frames), 0);
        assert_int_equal(fl_http_ws_send(ws[n % 20], FL_HTTP_WS_BINARY, texts[0]), FLAMENCO_OK);
        fl_http_ws_frames_fini(&frames);
        for (int k = 0; k < 3; ++k)
            fl_shared_unref(texts[k]);
    }
    for (int i = 0; i < 20; ++i) {
        for (int n = 0; n < 100; ++n) {
            assert_int_equal(read_frame(&many[i], got, sizeof(got)), 1);
            snprintf(text, sizeof(text), "%d", n);
            assert_string_equal(got, text);
            assert_int_equal(read_frame(&many[i], got, sizeof(got)), 1);
            snprintf(text, sizeof(text), "%200d", n);
            assert_string_equal(got, text);
            assert_int_equal(read_frame(&many[i], got, sizeof(got)), 1);
            assert_string_equal(got, "");
            if (n % 20 == i)
                assert_int_equal(read_frame(&many[i], got, sizeof(got)), 2);
        }
        client_close(&many[i]);
        fl_http_ws_unref(ws[i]);
    }
}

static void telling_many_passes_over_who_is_gone_and_drops_who_does_not_read(void **state)
{
    flamenco_buf *text = shared_text("0123456789abcdef", 4096);
    fl_http_ws_frames frames = { .kind = FL_HTTP_WS_TEXT, .n = 1, .messages = &text };
    client gone, reads;
    fl_http_ws *ws[3];
    uint32_t dropped = 0;
    char got[8];
    (void)state;
    start();
    open_ws(&gone, &ws[0]);
    open_ws(&reads, &ws[1]);
    ws[2] = h.ws;
    client_close(&gone);
    assert_true(harness_wait_stat(&h, STAT(websockets), 2));
    assert_int_equal(fl_http_ws_send_frames(ws, 1, &frames), 0);
    while (dropped == 0 && harness_stat(&h, STAT(cut)) == 0)
        dropped = fl_http_ws_send_frames(ws + 2, 1, &frames);
    assert_true(harness_wait_stat(&h, STAT(websockets), 1));
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
    flamenco_buf *last = shared_text("last", 1);
    fl_http_ws_frames last_frames = { .kind = FL_HTTP_WS_TEXT, .n = 1, .messages = &last };
    assert_int_equal(fl_http_ws_send_frames(ws, 3, &last_frames), 0);
    assert_int_equal(read_frame(&reads, got, sizeof(got)), 1);
    assert_string_equal(got, "last");
    client_close(&reads);
    fl_http_ws_unref(ws[0]);
    fl_http_ws_unref(ws[1]);
    fl_http_ws_frames_fini(&last_frames);
    fl_shared_unref(last);
    fl_http_ws_frames_fini(&frames);
    fl_shared_unref(text);
}

/* The bound is of messages, however they were put in. */
static void a_queue_counts_messages(void **state)
{
    fl_http_config bounds = { .ws_max_queued = 10, .ws_max_queued_bytes = 1 << 20 };
    flamenco_buf *data = shared_text("x", 1);
    fl_outq q = { .ring = NULL };
    (void)state;
    assert_int_equal(fl_outq_init(&q), FLAMENCO_OK);
    assert_int_equal(fl_outq_push(&q, &bounds, (fl_out){ data, 1, 40 }), FLAMENCO_OK);
    assert_int_equal(fl_outq_push(&q, &bounds, (fl_out){ data, 1, 39 }), FLAMENCO_OK);
    assert_true(fl_outq_is_long(q.messages, q.bytes, &bounds));
    fl_shared_unref(fl_outq_pop(&q).data);
    assert_int_equal(q.messages, 39);
    assert_int_equal(fl_outq_push(&q, &bounds, (fl_out){ data, 1, 41 }), FLAMENCO_OK);
    assert_int_equal(fl_outq_push(&q, &bounds, (fl_out){ data, 1, 1 }), FLAMENCO_E_FULL);
    assert_true(q.overrun);
    assert_int_equal(q.messages, 0);
    fl_outq_fini(&q);
    fl_shared_unref(data);
}

static void what_waits_is_sent_before_the_close_frame(void **state)
{
    char text[32], got[32];
    (void)state;
    start();
    for (int i = 0; i < 50; ++i) {
        snprintf(text, sizeof(text), "last words %d", i);
        flamenco_buf *data = shared_text(text, 1);
        assert_int_equal(fl_http_ws_send(h.ws, FL_HTTP_WS_TEXT, data), FLAMENCO_OK);
        fl_shared_unref(data);
    }
    fl_http_ws_close(h.ws, 1000);
    for (int i = 0; i < 50; ++i) {
        snprintf(text, sizeof(text), "last words %d", i);
        assert_int_equal(read_frame(&c, got, sizeof(got)), 1);
        assert_string_equal(got, text);
    }
    assert_int_equal(read_frame(&c, got, sizeof(got)), 8);
    assert_memory_equal(got, "\x03\xe8", 2);
}

static void a_client_that_never_reads_is_dropped_at_the_bound(void **state)
{
    flamenco_buf *data = shared_text("0123456789abcdef", 4096);
    int32_t result = FLAMENCO_OK;
    unsigned sent = 0;
    (void)state;
    start();
    /* 64 KiB each: the kernel takes some MiB, the queue 4 MiB, then it is over. */
    while (sent < 100000 && (result = fl_http_ws_send(h.ws, FL_HTTP_WS_TEXT, data)) == FLAMENCO_OK)
        ++sent;
    assert_true(result == FLAMENCO_E_FULL || result == FLAMENCO_E_CANCELLED);
    assert_true(harness_wait_ws(&h, 2));
    assert_memory_equal(h.ws_events, "oc", 2);
    fl_shared_unref(data);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
}

/* Its close frame comes while something is written to it: h2o reads on only when that is done. */
static void a_client_that_leaves_while_it_is_dropped_is_gone(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 300; ++i) {
        client one;
        open_ws(&one, NULL);
        assert_int_equal(send_text(&one, "echo this"), 0);
        if (i % 2 == 0)
            assert_int_equal(send_text(&one, "and that"), 0);
        assert_int_equal(send_frame(&one, 0x81, "drop me", 7), 0);
        (void)send_frame(&one, 0x88, "\x03\xe8", 2); /* it may be dropped already */
        while (need(&one, one.len + 1) == 0)
            ;
        client_close(&one);
    }
    assert_true(harness_wait_stat(&h, STAT(connections), 1));
    assert_true(harness_wait_stat(&h, STAT(websockets), 1));
}

static void a_silent_client_is_dropped_even_if_it_pings(void **state)
{
    (void)state;
    config.ws_silence_us = 300000;
    start();
    while (send_frame(&c, 0x89, "p", 1) == 0) {
        struct pollfd p = { .fd = c.fd, .events = POLLIN };
        if (poll(&p, 1, 20) > 0 && recv(c.fd, c.data, sizeof(c.data), 0) <= 0)
            break;
    }
    assert_true(harness_wait_ws(&h, 2));
    assert_memory_equal(h.ws_events, "oc", 2);
}

static void a_broken_handshake_stays_a_request(void **state)
{
    static const struct {
        const char *text;
        int32_t code;
    } cases[] = {
        { "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
          FLAMENCO_E_UNSUPPORTED },
        { "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
          FLAMENCO_E_UNSUPPORTED },
        { "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
          FLAMENCO_E_INVALID },
        { "GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
          "13\r\n\r\n",
          FLAMENCO_E_INVALID },
    };
    (void)state;
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        client one;
        assert_int_equal(client_open(&one, h.port), 0);
        assert_int_equal(client_say(&one, cases[i].text), 0);
        fl_http_request *request = harness_take(&h);
        assert_non_null(request);
        assert_int_equal(fl_http_upgrade(request, &callbacks, &h, 0, NULL, NULL), cases[i].code);
        answer_text(request, "no");
        assert_int_equal(client_read(&one, &r, 0), 0);
        assert_int_equal(r.status, 200);
        client_close(&one);
    }
}

static void *stop_in_background(void *arg)
{
    *(int32_t *)arg = harness_stop(&h);
    return NULL;
}

static void stopping_closes_with_1001(void **state)
{
    pthread_t thread;
    char got[32];
    int32_t result = -1;
    client other;
    (void)state;
    start();
    open_ws(&other, NULL);
    fl_http_drain(h.http);
    assert_int_equal(send_text(&other, "still here"), 0);
    assert_int_equal(read_frame(&other, got, sizeof(got)), 1);
    assert_string_equal(got, "still here");
    assert_int_equal(pthread_create(&thread, NULL, stop_in_background, &result), 0);
    assert_int_equal(read_frame(&c, got, sizeof(got)), 8);
    assert_memory_equal(got, "\x03\xe9", 2);
    assert_int_equal(send_frame(&c, 0x88, "\x03\xe9", 2), 0);
    /* The other one never answers, and is cut at the deadline. */
    assert_int_equal(read_frame(&other, got, sizeof(got)), 8);
    assert_true(client_is_closed(&other));
    assert_true(client_is_closed(&c));
    pthread_join(thread, NULL);
    assert_int_equal(result, FLAMENCO_OK);
    client_close(&other);
    client_close(&c);
    fl_http_ws_unref(h.ws);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(texts_are_echoed_in_order),
        T(fragments_binaries_and_pings_are_understood),
        T(a_client_that_closes_gets_its_code_back),
        T(a_client_that_vanishes_is_closed_with_1006),
        T(the_server_closes_with_its_code),
        T(the_server_drops_without_a_close_frame),
        T(an_oversized_message_is_closed_with_1009),
        T(many_who_are_told_the_same_get_all_of_it_in_order),
        T(many_who_are_told_in_one_call_get_all_of_it_in_order),
        T(telling_many_passes_over_who_is_gone_and_drops_who_does_not_read),
        cmocka_unit_test(a_queue_counts_messages),
        T(what_waits_is_sent_before_the_close_frame),
        T(a_client_that_never_reads_is_dropped_at_the_bound),
        T(a_client_that_leaves_while_it_is_dropped_is_gone),
        T(a_silent_client_is_dropped_even_if_it_pings),
        T(a_broken_handshake_stays_a_request),
        cmocka_unit_test_setup(stopping_closes_with_1001, setup),
    };
    return cmocka_run_group_tests_name("http websocket", tests, NULL, NULL);
}
