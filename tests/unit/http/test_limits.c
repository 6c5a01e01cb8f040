/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limits.c - time limits, the limit of connections, and what an idle connection costs. The limits are short here;
 * a test waits for the server to act, never for a time of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define MS 1000ll

static harness h;
static client c;
static response r;
static fl_http_config config;

static int setup(void **state)
{
    (void)state;
    harness_config(&h, &config);
    c.fd = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    return harness_stop(&h) != FLAMENCO_OK;
}

static void start(void)
{
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_open(&c, h.port), 0);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void a_slow_head_is_cut(void **state)
{
    int64_t begin;
    (void)state;
    config.head_timeout_us = 300 * MS;
    start();
    begin = now_us();
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost:"), 0);
    assert_true(client_is_closed(&c));
    assert_true(now_us() - begin >= 250 * MS);
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
}

static void a_dripping_head_is_cut_too(void **state)
{
    (void)state;
    config.head_timeout_us = 200 * MS;
    start();
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\n"), 0);
    /* Bytes keep coming until the server has had enough of them. */
    while (client_say(&c, "X: y\r\n") == 0 && client_is_quiet(&c))
        assert_true(harness_stat(&h, STAT(requests)) == 0);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
}

static void a_connection_that_says_nothing_is_cut(void **state)
{
    (void)state;
    config.head_timeout_us = 200 * MS;
    start();
    assert_true(client_is_closed(&c));
}

static void an_idle_connection_is_cut_but_not_before_its_time(void **state)
{
    int64_t begin;
    (void)state;
    config.head_timeout_us = 100 * MS;
    config.idle_us = 600 * MS;
    start();
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    begin = now_us();
    assert_true(client_is_closed(&c));
    assert_true(now_us() - begin >= 500 * MS);
}

static void a_late_head_on_a_kept_connection_is_cut(void **state)
{
    (void)state;
    config.head_timeout_us = 200 * MS;
    start();
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\nGET /no"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_true(client_is_closed(&c));
    assert_int_equal(harness_stat(&h, STAT(requests)), 1);
}

static void a_stalled_body_is_cut(void **state)
{
    (void)state;
    config.body_stall_us = 300 * MS;
    start();
    assert_int_equal(client_say(&c, "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello"), 0);
    assert_true(client_is_closed(&c));
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
}

static void a_body_that_drips_is_cut(void **state)
{
    int sent = 0;
    (void)state;
    config.body_stall_us = 300 * MS;
    config.body_min_rate = 1 << 30;
    start();
    assert_int_equal(client_say(&c, "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"), 0);
    while (client_say(&c, "byte by byte") == 0 && client_is_quiet(&c))
        ++sent;
    assert_true(sent > 0);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
}

static void a_slow_but_steady_body_outlives_the_head_limit(void **state)
{
    int64_t begin;
    (void)state;
    config.head_timeout_us = 100 * MS;
    config.body_stall_us = 2000 * MS;
    config.body_min_rate = 1;
    start();
    assert_int_equal(client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab"), 0);
    /* Another client's head is cut twice over meanwhile: time enough has passed. */
    begin = now_us();
    for (int i = 0; i < 2; ++i) {
        client other;
        assert_int_equal(client_open(&other, h.port), 0);
        assert_true(client_is_closed(&other));
        client_close(&other);
    }
    assert_true(now_us() - begin >= 150 * MS);
    assert_int_equal(client_say(&c, "cd"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(fl_http_request_body(request).len, 4);
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
}

static void a_body_above_its_routes_limit_is_cut(void **state)
{
    static char chunk[1 << 16];
    (void)state;
    h.body_limit = 1 << 20;
    config.head_timeout_us = 100 * MS; /* a short tick */
    start();
    assert_int_equal(client_say(&c, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"), 0);
    for (int i = 0; i < 32; ++i)
        if (client_send(&c, chunk, sizeof(chunk)) != 0)
            break;
    assert_true(client_is_closed(&c));
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
}

static void a_reply_that_nobody_reads_is_dropped(void **state)
{
    fl_http_reply reply = { .status = 200 };
    int small = 4096;
    (void)state;
    config.write_timeout_us = 700 * MS;
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_open(&c, h.port), 0);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    reply.body = shared_text("0123456789abcdef", 4 << 20);
    fl_http_answer(request, &reply);
    assert_true(harness_wait(&h, &h.n_done, 1));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void at_the_limit_accepting_pauses_and_recovers(void **state)
{
    client clients[6];
    (void)state;
    config.max_connections = 4;
    start();
    client_close(&c);
    c.fd = -1;
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    for (int i = 0; i < 6; ++i) {
        assert_int_equal(client_open(&clients[i], h.port), 0);
        assert_int_equal(client_say(&clients[i], "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    }
    for (int i = 0; i < 4; ++i)
        assert_int_equal(client_read(&clients[i], &r, 0), 0);
    assert_true(harness_stat(&h, STAT(accept_pauses)) >= 1);
    assert_int_equal(harness_stat(&h, STAT(connections)), 4);
    assert_true(client_is_quiet(&clients[4]));
    assert_true(client_is_quiet(&clients[5]));
    client_close(&clients[0]);
    assert_int_equal(client_read(&clients[4], &r, 0), 0);
    client_close(&clients[1]);
    assert_int_equal(client_read(&clients[5], &r, 0), 0);
    assert_int_equal(harness_stat(&h, STAT(connections)), 4);
    for (int i = 2; i < 6; ++i)
        client_close(&clients[i]);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void ask_now(client *asks)
{
    assert_int_equal(client_say(asks, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(asks, &r, 0), 0);
}

static void without_descriptors_accepting_pauses_and_recovers(void **state)
{
    struct rlimit before, tight;
    int taken[64], n = 0;
    client waiting;
    (void)state;
    start();
    /* The client's own parts must be had before. It is answered, lest it be accepted only when descriptors are scarce; and then
     * the first one is, after the server has closed its end. */
    assert_int_equal(client_open(&waiting, h.port), 0);
    ask_now(&waiting);
    client_close(&waiting);
    assert_true(harness_wait_stat(&h, STAT(connections), 1));
    ask_now(&c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    waiting.fd = socket(AF_INET, SOCK_STREAM, 0);
    /* The lowest free number, and no more. */
    int next = dup(0);
    close(next);
    tight = before;
    tight.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (n < 64 && (taken[n] = dup(0)) >= 0)
        ++n;
    close(waiting.fd);
    /* One number is free now: the client's socket takes it, so that accept finds none. */
    int failed = client_open(&waiting, h.port);
    int said = failed == 0 ? client_say(&waiting, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n") : -1;
    int paused = harness_wait_stat_least(&h, STAT(accept_pauses), 1);
    setrlimit(RLIMIT_NOFILE, &before);
    while (n > 0)
        close(taken[--n]);
    assert_int_equal(failed, 0);
    assert_int_equal(said, 0);
    assert_true(paused);
    assert_int_equal(client_read(&waiting, &r, 0), 0);
    client_close(&waiting);
}

static void a_thousand_idle_connections_cost_little(void **state)
{
    static client clients[1000];
    struct mallinfo2 before, after;
    (void)state;
    config.max_connections = 1500;
    start();
    before = mallinfo2();
    for (int i = 0; i < 1000; ++i) {
        assert_int_equal(client_open(&clients[i], h.port), 0);
        ask_now(&clients[i]);
    }
    assert_true(harness_wait_stat(&h, STAT(pending), 0));
    after = mallinfo2();
    print_message("# %zu bytes per idle connection\n", (after.uordblks - before.uordblks) / 1000);
    assert_true(after.uordblks - before.uordblks < 1000 * 8192);
    for (int i = 0; i < 1000; ++i)
        client_close(&clients[i]);
    assert_true(harness_wait_stat(&h, STAT(connections), 1));
}

static void large_bodies_spill_to_the_directory(void **state)
{
    static char chunk[1 << 20];
    char directory[] = "spill-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(directory));
    config.spill_dir = directory;
    config.spill_bytes = 1 << 20;
    start();
    memset(chunk, 'x', sizeof(chunk));
    assert_int_equal(client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n"), 0);
    for (int i = 0; i < 8; ++i)
        assert_int_equal(client_send(&c, chunk, sizeof(chunk)), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    flamenco_str body = fl_http_request_body(request);
    assert_int_equal(body.len, 8 << 20);
    assert_memory_equal(body.ptr + (7 << 20), chunk, sizeof(chunk));
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(rmdir(directory), 0); /* nothing is left in it */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_slow_head_is_cut),
        T(a_dripping_head_is_cut_too),
        T(a_connection_that_says_nothing_is_cut),
        T(an_idle_connection_is_cut_but_not_before_its_time),
        T(a_late_head_on_a_kept_connection_is_cut),
        T(a_stalled_body_is_cut),
        T(a_body_that_drips_is_cut),
        T(a_slow_but_steady_body_outlives_the_head_limit),
        T(a_body_above_its_routes_limit_is_cut),
        T(a_reply_that_nobody_reads_is_dropped),
        T(at_the_limit_accepting_pauses_and_recovers),
        T(without_descriptors_accepting_pauses_and_recovers),
        T(a_thousand_idle_connections_cost_little),
        T(large_bodies_spill_to_the_directory),
    };
    mallopt(M_ARENA_MAX, 1); /* mallinfo2 sees the first arena only */
    return cmocka_run_group_tests_name("http limits", tests, NULL, NULL);
}
