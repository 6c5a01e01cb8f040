/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stop.c - start that fails, draining, stopping, and sockets that outlive the server.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static harness h;
static client c;
static response r;
static fl_http_config config;
static int first_fd; /* from here on descriptors are the server's, or the client's */

static int setup(void **state)
{
    (void)state;
    first_fd = dup(0);
    close(first_fd);
    harness_config(&h, &config);
    return harness_start(&h, &config) != FLAMENCO_OK || client_open(&c, h.port) != 0;
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void refuses(const char *address, int32_t code, const char *text)
{
    const char *const listen[] = { address };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_http *http = NULL;
    fl_http_config bad = config;
    bad.listen = listen;
    assert_int_equal(fl_http_start(&bad, &http, &err), code);
    assert_null(http);
    assert_non_null(strstr(err.text, address));
    assert_non_null(strstr(err.text, text));
}

static void a_start_that_fails_names_address_and_reason(void **state)
{
    char taken[64];
    (void)state;
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", h.port);
    refuses(taken, FLAMENCO_E_EXISTS, "Address already in use");
    refuses("127.0.0.1", FLAMENCO_E_INVALID, "no port");
    refuses("0.0.0.0", FLAMENCO_E_INVALID, "no port");
    refuses("fd00::7", FLAMENCO_E_INVALID, "colons");
    refuses("203.0.113.1:0", FLAMENCO_E_IO, "assign");
    refuses("no such host.invalid:80", FLAMENCO_E_INVALID, "");
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

static void bad_files_are_named(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_http *http = NULL;
    fl_http_config bad = config;
    (void)state;
    bad.tls_cert = "/nonexistent/cert.pem";
    bad.tls_key = "/nonexistent/key.pem";
    assert_int_equal(fl_http_start(&bad, &http, &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "/nonexistent/cert.pem"));
    bad.tls_key = NULL;
    assert_int_equal(fl_http_start(&bad, &http, &err), FLAMENCO_E_INVALID);
    bad = config;
    bad.spill_dir = "/nonexistent/spill";
    assert_int_equal(fl_http_start(&bad, &http, &err), FLAMENCO_E_IO);
    assert_non_null(strstr(err.text, "/nonexistent/spill"));
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

static void all_addresses_are_listened_on(void **state)
{
    static const char *const listen[] = { ":0", "127.0.0.1:0" };
    harness other;
    fl_http_config both;
    client one;
    (void)state;
    harness_config(&other, &both);
    both.listen = listen;
    both.n_listen = 2;
    assert_int_equal(harness_start(&other, &both), FLAMENCO_OK);
    for (size_t i = 0; i < 2; ++i) {
        flamenco_str address = fl_http_address(other.http, i);
        assert_int_equal(client_open(&one, atoi(strrchr(address.ptr, ':') + 1)), 0);
        assert_int_equal(client_say(&one, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        fl_http_request *request = harness_take(&other);
        assert_non_null(request);
        /* Never in its IPv6 form. */
        assert_true(fl_str_is(fl_http_request_peer(request), "127.0.0.1"));
        answer_text(request, "ok");
        assert_int_equal(client_read(&one, &r, 0), 0);
        client_close(&one);
    }
    assert_int_equal(fl_http_address(other.http, 2).len, 0);
    assert_int_equal(harness_stop(&other), FLAMENCO_OK);
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

static void draining_closes_idle_connections_and_finishes_the_others(void **state)
{
    client idle, late;
    (void)state;
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    harness_config(&h, &config);
    config.loops = 1; /* another one could take `late` before it learns of the drain */
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_open(&c, h.port), 0);
    assert_int_equal(client_open(&idle, h.port), 0);
    assert_int_equal(client_say(&idle, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&idle, &r, 0), 0);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_true(harness_wait_stat(&h, STAT(pending), 1));
    fl_http_drain(h.http);
    fl_http_drain(h.http);
    assert_true(client_is_closed(&idle));
    assert_true(harness_wait_stat(&h, STAT(connections), 1));
    /* The kernel takes it, nobody serves it. */
    assert_int_equal(client_open(&late, h.port), 0);
    answer_text(request, "last");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.body_len, 4);
    assert_non_null(strstr(r.head, "Connection: close\r\n"));
    assert_true(client_is_closed(&c));
    assert_true(client_is_quiet(&late));
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    assert_true(client_is_closed(&late));
    client_close(&late);
    client_close(&idle);
    client_close(&c);
}

static void a_request_that_had_arrived_when_draining_began_is_answered(void **state)
{
    client idle;
    (void)state;
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    harness_config(&h, &config);
    config.loops = 1;
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_open(&idle, h.port), 0);
    assert_int_equal(client_say(&idle, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&idle, &r, 0), 0);
    /* The loop is kept busy, so that it learns of both at once: draining, and the request of the idle connection. */
    assert_int_equal(client_open(&c, h.port), 0);
    assert_int_equal(client_say(&c, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_true(harness_wait_int(&h, &h.blocked, 1));
    assert_int_equal(client_say(&idle, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_drain(h.http);
    pthread_mutex_lock(&h.lock);
    h.unblock = 1;
    pthread_cond_broadcast(&h.changed);
    pthread_mutex_unlock(&h.lock);
    for (int i = 0; i < 2; ++i) {
        fl_http_request *request = harness_take(&h);
        assert_non_null(request);
        answer_text(request, "ok");
    }
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(client_read(&idle, &r, 0), 0);
    assert_int_equal(r.status, 200);
    assert_true(client_is_closed(&idle));
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    client_close(&idle);
    client_close(&c);
}

static void no_descriptor_is_handed_to_other_programs(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    for (int fd = first_fd; fd < first_fd + 64; ++fd) {
        int flags = fcntl(fd, F_GETFD);
        assert_true(flags < 0 || (flags & FD_CLOEXEC) != 0);
    }
    client_close(&c);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

typedef struct stopper {
    pthread_t thread;
    int32_t result;
} stopper;

static void *stop_in_background(void *arg)
{
    stopper *s = arg;
    s->result = harness_stop(&h);
    return NULL;
}

static void stopping_waits_for_requests_that_run(void **state)
{
    stopper s;
    client idle;
    (void)state;
    assert_int_equal(client_open(&idle, h.port), 0);
    assert_int_equal(client_say(&idle, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&idle, &r, 0), 0);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(pthread_create(&s.thread, NULL, stop_in_background, &s), 0);
    assert_true(client_is_closed(&idle)); /* it has begun */
    answer_text(request, "in time");
    assert_int_equal(client_read(&c, &r, 0), 0);
    pthread_join(s.thread, NULL);
    assert_int_equal(s.result, FLAMENCO_OK);
    client_close(&idle);
    client_close(&c);
}

static void at_the_deadline_clients_are_cut(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    /* Half a head, half a body: nothing of the caller's, so the stop succeeds. */
    client body;
    assert_int_equal(client_open(&body, h.port), 0);
    assert_int_equal(client_say(&body, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"), 0);
    assert_int_equal(client_say(&c, "GET /x HT"), 0);
    assert_true(harness_wait_stat(&h, STAT(connections), 2));
    assert_int_equal(fl_http_stop(h.http, now_us() + 100000, &err), FLAMENCO_OK);
    assert_true(client_is_closed(&c));
    assert_true(client_is_closed(&body));
    fl_http_destroy(h.http);
    client_close(&c);
    client_close(&body);
}

static void a_request_without_an_answer_makes_the_stop_fail_and_it_can_be_repeated(void **state)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(fl_http_stop(h.http, now_us() + 50000, &err), FLAMENCO_E_DEADLINE);
    assert_non_null(strstr(err.text, "1 requests"));
    fl_http_drop(request);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    client_close(&c);
}

static void listening_sockets_outlive_the_server(void **state)
{
    int fds[4];
    char address[64];
    const char *const listen[] = { address };
    client waiting;
    (void)state;
    snprintf(address, sizeof(address), "127.0.0.1:%d", h.port);
    client_close(&c);
    fl_http_drain(h.http);
    assert_int_equal(fl_http_listen_fds(h.http, fds, 4), 1);
    assert_int_equal(fcntl(fds[0], F_GETFD), 0);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    /* Between two images of the process: the kernel takes it, and it waits. */
    assert_int_equal(client_open(&waiting, atoi(strchr(address, ':') + 1)), 0);
    assert_int_equal(client_say(&waiting, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0); /* one that nobody asks for */
    harness_config(&h, &config);
    config.listen = listen;
    config.inherited = fds;
    config.n_inherited = 2;
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_read(&waiting, &r, 0), 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    client_close(&waiting);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

/* What a restart in place does, in one process. */
static void connections_outlive_the_server(void **state)
{
    int fds[4];
    const int *kept = NULL;
    char address[64];
    const char *const listen[] = { address };
    client fresh, busy;
    (void)state;
    snprintf(address, sizeof(address), "127.0.0.1:%d", h.port);
    assert_int_equal(client_open(&fresh, h.port), 0);
    assert_int_equal(client_open(&busy, h.port), 0);
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(client_say(&busy, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(fl_http_listen_fds(h.http, fds, 4), 1);
    fl_http_keep_connections(h.http);
    fl_http_drain(h.http);
    assert_true(harness_wait_stat(&h, STAT(connections), 1));
    answer_text(request, "last");
    assert_int_equal(client_read(&busy, &r, 0), 0);
    assert_null(strstr(r.head, "Connection: close"));
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(fl_http_stop(h.http, now_us() + 10000000, &err), FLAMENCO_OK);
    size_t n = fl_http_kept(h.http, &kept);
    assert_int_equal(n, 3);
    int adopted[8] = { kept[0], kept[1], kept[2] };
    for (size_t i = 0; i < n; ++i)
        assert_int_equal(fcntl(kept[i], F_GETFD), FD_CLOEXEC);
    fl_http_destroy(h.http);
    /* Nobody is there, and nobody notices. */
    assert_int_equal(client_say(&c, "GET /now1 HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_say(&fresh, "GET /now2 HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_true(client_is_quiet(&c) && client_is_quiet(&busy) && client_is_quiet(&fresh));
    adopted[n++] = socket(AF_INET, SOCK_STREAM, 0); /* no connection, and no socket at all */
    adopted[n++] = open("/dev/null", O_RDONLY);
    harness_config(&h, &config);
    config.listen = listen;
    config.inherited = fds;
    config.n_inherited = 1;
    config.adopted = adopted;
    config.n_adopted = n;
    config.head_timeout_us = 200000; /* not for one that has just nothing to say */
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    client *const clients[] = { &c, &fresh, &busy };
    for (size_t i = 0; i < 3; ++i) {
        if (i == 2) {
            poll(NULL, 0, 600); /* longer than a head may take */
            assert_int_equal(client_say(&busy, "GET /now3 HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        }
        assert_int_equal(client_read(clients[i], &r, 0), 0);
        assert_int_equal(r.status, 200);
    }
    assert_true(harness_wait_stat(&h, STAT(connections), 3));
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    for (size_t i = 0; i < 3; ++i) {
        assert_true(client_is_closed(clients[i]));
        client_close(clients[i]);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(a_start_that_fails_names_address_and_reason),
        T(bad_files_are_named),
        T(all_addresses_are_listened_on),
        T(draining_closes_idle_connections_and_finishes_the_others),
        T(a_request_that_had_arrived_when_draining_began_is_answered),
        T(no_descriptor_is_handed_to_other_programs),
        T(stopping_waits_for_requests_that_run),
        T(at_the_deadline_clients_are_cut),
        T(a_request_without_an_answer_makes_the_stop_fail_and_it_can_be_repeated),
        T(listening_sockets_outlive_the_server),
        T(connections_outlive_the_server),
    };
    return cmocka_run_group_tests_name("http stop", tests, NULL, NULL);
}
