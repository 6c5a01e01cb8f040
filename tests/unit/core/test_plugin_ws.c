/* SPDX-License-Identifier: Apache-2.0
 *
 * test_plugin_ws.c - WebSockets of plugins: what happens on an event loop is brought to the work pool, one call at a time and in
 * order for each connection. With a real server and the hand-made clients of the HTTP tests.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "../http/harness.h"
#include "bench_core.h"
#include "core/api/plugin_ws.h"
#include "core/workpool.h"

#define FAR_US 60000000

static bench b;
static harness h;

/* ---- The plugin ------------------------------------------------------------------------------------------------------ */

typedef struct plugin {
    int opened, texts, closed; /* harness_wait_int */
    int inside, clash, out_of_order;
    int blocked; /* on_text waits until it is 0 */
    char last[64];
    flamenco_ws *ws;
} plugin;

static void enter(plugin *p)
{
    pthread_mutex_lock(&h.lock);
    if (++p->inside > 1)
        p->clash = 1;
}

static void leave(plugin *p)
{
    --p->inside;
    pthread_cond_broadcast(&h.changed);
    pthread_mutex_unlock(&h.lock);
}

static void on_open(void *ctx, flamenco_ws *ws)
{
    plugin *p = ctx;
    enter(p);
    p->out_of_order |= p->opened || p->texts || p->closed;
    p->opened = 1;
    p->ws = ws;
    leave(p);
}

static void on_text(void *ctx, flamenco_ws *ws, flamenco_str text)
{
    plugin *p = ctx;
    enter(p);
    p->out_of_order |= !p->opened || p->closed || ws != p->ws;
    while (p->blocked)
        pthread_cond_wait(&h.changed, &h.lock);
    snprintf(p->last, sizeof(p->last), "%.*s", (int)text.len, text.ptr);
    p->out_of_order |= p->last[0] >= '0' && p->last[0] <= '9' && atoi(p->last) != p->texts;
    ++p->texts;
    leave(p);
}

static void on_close(void *ctx, flamenco_ws *ws)
{
    plugin *p = ctx;
    (void)ws;
    enter(p);
    ++p->closed;
    leave(p);
}

static const flamenco_ws_handler handler = {
    .struct_size = (uint32_t)sizeof(handler), .on_open = on_open, .on_text = on_text, .on_close = on_close
};

static void let_go(plugin *p)
{
    pthread_mutex_lock(&h.lock);
    p->blocked = 0;
    pthread_cond_broadcast(&h.changed);
    pthread_mutex_unlock(&h.lock);
}

/* ---- Clients --------------------------------------------------------------------------------------------------------- */

static void open_client(client *c, plugin *p)
{
    static response r;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(client_open(c, h.port), 0);
    assert_int_equal(client_say(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
                     0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    flamenco_ws *ws = fl_plugin_ws_create(&b.f, &handler, p);
    assert_non_null(ws);
    assert_int_equal(fl_plugin_ws_begin(ws, request, &err), FLAMENCO_OK);
    assert_int_equal(client_read(c, &r, 1), 0);
    assert_int_equal(r.status, 101);
    assert_true(harness_wait_int(&h, &p->opened, 1));
}

/* A masked frame; the mask is zeros. */
static int send_frame(client *c, unsigned char first, const char *text)
{
    char frame[128];
    size_t len = strlen(text);
    frame[0] = (char)first;
    frame[1] = (char)(0x80 | len);
    memset(frame + 2, 0, 4);
    memcpy(frame + 6, text, len);
    return client_send(c, frame, 6 + len);
}

static int set_up(void **state)
{
    fl_http_config config;
    (void)state;
    bench_start(&b, FAR_US);
    harness_config(&h, &config);
    return harness_start(&h, &config);
}

static int tear_down(void **state)
{
    (void)state;
    int failed = harness_stop(&h) != FLAMENCO_OK;
    bench_stop(&b);
    return failed;
}

/* ---- Tests ----------------------------------------------------------------------------------------------------------- */

static void texts_come_one_at_a_time_and_in_order(void **state)
{
    client c;
    plugin p = { 0 };
    char text[32];
    (void)state;
    open_client(&c, &p);
    for (int i = 0; i < 500; ++i) {
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(send_frame(&c, 0x81, text), 0);
    }
    assert_true(harness_wait_int(&h, &p.texts, 500));
    client_close(&c);
    assert_true(harness_wait_int(&h, &p.closed, 1));
    assert_int_equal(p.clash | p.out_of_order, 0);
    assert_int_equal(p.texts, 500);
    assert_int_equal(p.closed, 1);
}

static void a_plugin_that_waits_holds_up_nobody_else(void **state)
{
    client slow, quick;
    plugin waits = { .blocked = 1 }, works = { 0 };
    (void)state;
    open_client(&slow, &waits);
    open_client(&quick, &works);
    assert_int_equal(send_frame(&slow, 0x81, "0"), 0);
    assert_int_equal(send_frame(&quick, 0x81, "0"), 0);
    assert_int_equal(send_frame(&quick, 0x81, "1"), 0);
    assert_true(harness_wait_int(&h, &works.texts, 2));
    assert_int_equal(waits.texts, 0);
    client_close(&quick);
    assert_true(harness_wait_int(&h, &works.closed, 1));
    let_go(&waits);
    assert_true(harness_wait_int(&h, &waits.texts, 1));
    client_close(&slow);
    assert_true(harness_wait_int(&h, &waits.closed, 1));
}

static void a_client_that_runs_ahead_of_the_plugin_is_dropped(void **state)
{
    client c;
    plugin p = { .blocked = 1 };
    (void)state;
    open_client(&c, &p);
    for (int i = 0; i < 5000 && send_frame(&c, 0x81, "x") == 0; ++i)
        ;
    assert_true(client_is_closed(&c));
    client_close(&c);
    let_go(&p);
    assert_true(harness_wait_int(&h, &p.closed, 1));
    assert_true(p.texts >= 1000 && p.texts <= 1002);
    assert_int_equal(p.clash | p.out_of_order, 0);
}

static void a_client_that_sends_anything_but_texts_is_dropped(void **state)
{
    client c;
    plugin p = { 0 };
    (void)state;
    open_client(&c, &p);
    assert_int_equal(send_frame(&c, 0x82, "bytes"), 0);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_int(&h, &p.closed, 1));
    assert_int_equal(p.texts, 0);
    client_close(&c);
}

static void the_plugin_may_close(void **state)
{
    client c;
    plugin p = { 0 };
    (void)state;
    open_client(&c, &p);
    fl_plugin_ws_close(p.ws, 0);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait_int(&h, &p.closed, 1));
    client_close(&c);
}

static void what_never_became_a_websocket_is_only_closed(void **state)
{
    plugin p = { 0 };
    (void)state;
    flamenco_ws *ws = fl_plugin_ws_create(&b.f, &handler, &p);
    assert_non_null(ws);
    fl_plugin_ws_abandon(ws);
    assert_int_equal(p.opened, 0);
    assert_int_equal(p.closed, 1);
}

static void a_broken_handshake_is_only_closed(void **state)
{
    client c;
    plugin p = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    assert_int_equal(client_open(&c, h.port), 0);
    assert_int_equal(client_say(&c, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    flamenco_ws *ws = fl_plugin_ws_create(&b.f, &handler, &p);
    assert_int_not_equal(fl_plugin_ws_begin(ws, request, &err), FLAMENCO_OK);
    assert_int_equal(p.opened, 0);
    assert_int_equal(p.closed, 1);
    answer_text(request, "no");
    client_close(&c);
}

static void the_end_is_told_after_the_pool_has_stopped(void **state)
{
    client c;
    plugin p = { 0 };
    (void)state;
    open_client(&c, &p);
    fl_workpool_stop(b.f.workpool, fl_monotonic_us() + FAR_US);
    assert_int_equal(send_frame(&c, 0x81, "0"), 0);
    client_close(&c);
    assert_true(harness_wait_int(&h, &p.closed, 1));
    assert_int_equal(p.closed, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(texts_come_one_at_a_time_and_in_order),
        T(a_plugin_that_waits_holds_up_nobody_else),
        T(a_client_that_runs_ahead_of_the_plugin_is_dropped),
        T(a_client_that_sends_anything_but_texts_is_dropped),
        T(the_plugin_may_close),
        T(what_never_became_a_websocket_is_only_closed),
        T(a_broken_handshake_is_only_closed),
        T(the_end_is_told_after_the_pool_has_stopped),
    };
    return cmocka_run_group_tests_name("core_plugin_ws", tests, NULL, NULL);
}
