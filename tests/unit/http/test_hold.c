/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hold.c - parked requests: clients that vanish, and looking whether they have.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <sys/socket.h>

#include "harness.h"

static harness h;
static client c;
static response r;
static fl_http_request *request;

static int setup(void **state)
{
    fl_http_config config;
    (void)state;
    harness_config(&h, &config);
    config.head_timeout_us = 400000; /* a short tick */
    if (harness_start(&h, &config) != FLAMENCO_OK || client_open(&c, h.port) != 0 ||
        client_say(&c, "POST /park HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n") != 0)
        return -1;
    request = harness_take(&h);
    return request == NULL;
}

static int teardown(void **state)
{
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    return harness_stop(&h) != FLAMENCO_OK;
}

static void a_held_request_is_answered_as_any(void **state)
{
    (void)state;
    fl_http_hold(request);
    fl_http_hold(request);
    assert_true(harness_wait_stat(&h, STAT(held), 1));
    assert_true(client_is_quiet(&c));
    answer_text(request, "task");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
    assert_true(harness_wait_stat(&h, STAT(held), 0));
    assert_int_equal(h.n_gone, 0);
}

static void a_held_client_that_vanishes_is_noticed(void **state)
{
    (void)state;
    fl_http_hold(request);
    client_close(&c);
    assert_true(harness_wait_gone(&h, 1));
    assert_ptr_equal(h.gone[0], request);
    fl_http_drop(request);
    assert_true(harness_wait(&h, &h.n_dropped, 1));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(h.n_gone, 1);
}

static void a_held_client_that_resets_is_noticed(void **state)
{
    struct linger hard = { .l_onoff = 1 };
    (void)state;
    fl_http_hold(request);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(&c);
    assert_true(harness_wait_gone(&h, 1));
    fl_http_drop(request);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static int64_t cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000ll + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

/* A hang-up is reported by epoll whether asked for or not: a loop that kept the socket there would spin. */
static void a_dead_client_that_still_waits_costs_no_time(void **state)
{
    struct linger hard = { .l_onoff = 1 };
    int64_t before, wall = 0;
    (void)state;
    fl_http_hold(request);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(&c);
    assert_true(harness_wait_gone(&h, 1));
    before = cpu_us();
    /* Connections that say nothing are cut after 400 ms each. */
    for (int i = 0; i < 2; ++i) {
        client silent;
        assert_int_equal(client_open(&silent, h.port), 0);
        assert_true(client_is_closed(&silent));
        client_close(&silent);
        wall += 400000;
    }
    assert_true(cpu_us() - before < wall / 2);
    fl_http_drop(request);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_client_that_is_not_held_is_not_watched(void **state)
{
    (void)state;
    client_close(&c);
    fl_http_recheck(request, harness_report, &h);
    assert_true(harness_wait_int(&h, &h.alive_reports, 1));
    assert_int_equal(h.last_alive, 0);
    assert_int_equal(h.n_gone, 0);
    answer_text(request, "to nobody");
    assert_true(harness_wait(&h, &h.n_done, 1));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_recheck_tells_that_a_client_lives(void **state)
{
    (void)state;
    fl_http_hold(request);
    for (int i = 1; i <= 3; ++i) {
        fl_http_recheck(request, harness_report, &h);
        assert_true(harness_wait_int(&h, &h.alive_reports, i));
        assert_int_equal(h.last_alive, 1);
    }
    answer_text(request, "task");
    assert_int_equal(client_read(&c, &r, 0), 0);
}

static void after_a_recheck_that_found_it_dead_on_gone_is_silent(void **state)
{
    client other;
    (void)state;
    fl_http_hold(request);
    client_close(&c);
    fl_http_recheck(request, harness_report, &h);
    assert_true(harness_wait_int(&h, &h.alive_reports, 1));
    assert_int_equal(h.last_alive, 0);
    assert_int_equal(harness_stat(&h, STAT(held)), 0);
    size_t gone_before = h.n_gone; /* the tick may have come first */
    /* Another one, that the next tick reports: it had the chance to report ours again. */
    assert_int_equal(client_open(&other, h.port), 0);
    assert_int_equal(client_say(&other, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *second = harness_take(&h);
    assert_non_null(second);
    fl_http_hold(second);
    client_close(&other);
    assert_true(harness_wait_gone(&h, gone_before + 1));
    assert_ptr_equal(h.gone[gone_before], second);
    fl_http_drop(second);
    fl_http_drop(request);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_pipelined_byte_does_not_look_like_the_end(void **state)
{
    (void)state;
    fl_http_hold(request);
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_recheck(request, harness_report, &h);
    assert_true(harness_wait_int(&h, &h.alive_reports, 1));
    assert_int_equal(h.last_alive, 1);
    answer_text(request, "task");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.body_len, 4);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.body_len, 3);
}

static void many_held_clients_are_watched_at_once(void **state)
{
    enum { N = 600 };
    static client clients[N];
    static fl_http_request *requests[N];
    (void)state;
    for (int i = 0; i < N; ++i) {
        assert_int_equal(client_open(&clients[i], h.port), 0);
        assert_int_equal(client_say(&clients[i], "GET /park HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        requests[i] = harness_take(&h);
        assert_non_null(requests[i]);
        fl_http_hold(requests[i]);
    }
    assert_true(harness_wait_stat(&h, STAT(held), N));
    for (int i = 0; i < N; i += 2)
        client_close(&clients[i]);
    assert_true(harness_wait_gone(&h, N / 2));
    assert_true(harness_wait_stat(&h, STAT(held), N / 2));
    for (int i = 0; i < N; ++i) {
        if (i % 2 == 0) {
            fl_http_drop(requests[i]);
            continue;
        }
        answer_text(requests[i], "task");
        assert_int_equal(client_read(&clients[i], &r, 0), 0);
        client_close(&clients[i]);
    }
    answer_text(request, "task");
    assert_int_equal(client_read(&c, &r, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_held_request_is_answered_as_any),
        T(a_held_client_that_vanishes_is_noticed),
        T(a_held_client_that_resets_is_noticed),
        T(a_dead_client_that_still_waits_costs_no_time),
        T(a_client_that_is_not_held_is_not_watched),
        T(a_recheck_tells_that_a_client_lives),
        T(after_a_recheck_that_found_it_dead_on_gone_is_silent),
        T(a_pipelined_byte_does_not_look_like_the_end),
        T(many_held_clients_are_watched_at_once),
    };
    return cmocka_run_group_tests_name("http hold", tests, NULL, NULL);
}
