/* SPDX-License-Identifier: Apache-2.0
 *
 * test_requests.c - requests and answers over raw sockets: what a client sees, what the caller sees.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

static harness h;
static client c;
static response r;

static int setup(void **state)
{
    fl_http_config config;
    (void)state;
    harness_config(&h, &config);
    return harness_start(&h, &config) != FLAMENCO_OK || client_open(&c, h.port) != 0;
}

static int teardown(void **state)
{
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    return harness_stop(&h) != FLAMENCO_OK;
}

#define assert_str(s, text) \
    do { \
        flamenco_str got_ = (s); \
        assert_int_equal(got_.len, strlen(text)); \
        assert_memory_equal(got_.ptr, text, got_.len); \
    } while (0)

static void assert_header(const char *name, const char *value)
{
    char got[256];
    if (value == NULL) {
        assert_false(response_header(&r, name, got, sizeof(got)));
        return;
    }
    assert_true(response_header(&r, name, got, sizeof(got)));
    assert_string_equal(got, value);
}

static void assert_body(const char *text)
{
    assert_int_equal(r.body_len, strlen(text));
    assert_memory_equal(r.body, text, r.body_len);
}

static void a_connection_serves_many_requests(void **state)
{
    (void)state;
    for (int i = 0; i < 50; ++i) {
        assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        assert_int_equal(client_read(&c, &r, 0), 0);
        assert_int_equal(r.status, 200);
        assert_body("now");
    }
    assert_int_equal(harness_stat(&h, STAT(accepted)), 1);
    assert_int_equal(harness_stat(&h, STAT(requests)), 50);
}

static void a_reply_has_exactly_the_contract_headers(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_header("Vary", "Origin, Accept-Encoding");
    assert_header("Content-Length", "3");
    assert_header("Content-Type", "text/plain");
    assert_header("Server", NULL);
    assert_header("ETag", NULL);
    assert_header("Transfer-Encoding", NULL);
    assert_non_null(strstr(r.head, "Date: "));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    assert_int_equal(
        client_say(&c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
                       "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"),
        0);
    fl_http_request *a = harness_take(&h);
    assert_non_null(a);
    assert_str(fl_http_request_path(a), "/a");
    assert_true(client_is_quiet(&c));
    answer_text(a, "one");
    fl_http_request *b = harness_take(&h);
    assert_non_null(b);
    assert_str(fl_http_request_body(b), "hi");
    answer_text(b, "two");
    const char *const bodies[] = { "one", "two", "now" };
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(client_read(&c, &r, 0), 0);
        assert_body(bodies[i]);
    }
}

static void a_batch_answers_requests_of_all_loops(void **state)
{
    client clients[20];
    fl_http_answer_item items[20];
    (void)state;
    for (int i = 0; i < 20; ++i) {
        assert_int_equal(client_open(&clients[i], h.port), 0);
        assert_int_equal(client_say(&clients[i], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    }
    for (int i = 0; i < 20; ++i) {
        fl_http_reply reply = { .status = 200, .content_type = FL_STR("text/plain"), .body = shared_text("batch", 1) };
        items[i].request = harness_take(&h);
        assert_non_null(items[i].request);
        items[i].reply = reply;
    }
    fl_http_answer_batch(items, 20);
    for (int i = 0; i < 20; ++i) {
        assert_int_equal(client_read(&clients[i], &r, 0), 0);
        assert_body("batch");
        client_close(&clients[i]);
    }
}

static void head_tells_the_length_and_sends_no_byte_of_it(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_true(fl_http_request_is_head(request));
    answer_text(request, "hello");
    assert_int_equal(client_read(&c, &r, 1), 0);
    assert_header("Content-Length", "5");
    /* A byte of body would be taken for the next response. */
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
    assert_body("now");
}

static void statuses_without_a_body_have_none(void **state)
{
    static const struct {
        int status;
        const char *length, *vary;
    } cases[] = { { 204, NULL, "Origin" },
                  { 304, NULL, "Origin, Accept-Encoding" },
                  { 202, "0", "Origin, Accept-Encoding" },
                  { 418, "0", "Origin, Accept-Encoding" },
                  { 404, "0", "Origin, Accept-Encoding" } };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_http_reply reply = { .status = cases[i].status };
        if (cases[i].length == NULL)
            reply.body = shared_text("must not be sent", 1);
        assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        fl_http_request *request = harness_take(&h);
        assert_non_null(request);
        fl_http_answer(request, &reply);
        assert_int_equal(client_read(&c, &r, 0), 0);
        assert_int_equal(r.status, cases[i].status);
        assert_header("Content-Length", cases[i].length);
        assert_header("Vary", cases[i].vary);
        assert_header("Content-Type", NULL);
        assert_header("Connection", "keep-alive");
    }
    assert_int_equal(harness_stat(&h, STAT(accepted)), 1);
}

static void a_chunked_body_arrives_whole(void **state)
{
    (void)state;
    assert_int_equal(
        client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n"), 0);
    assert_int_equal(client_say(&c, "6\r\n world\r\n0\r\nTrailer: 1\r\n\r\nGET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_str(fl_http_request_body(request), "hello world");
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_body("ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_body("now");
}

static void expect_is_answered_with_100_before_the_body(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"),
                     0);
    assert_int_equal(client_read(&c, &r, 1), 0);
    assert_int_equal(r.status, 100);
    assert_int_equal(client_say(&c, "abc"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_str(fl_http_request_body(request), "abc");
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
}

static void folded_headers_are_joined(void **state)
{
    flamenco_str value;
    (void)state;
    assert_int_equal(client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nX-Name: one\r\n two\r\n\tthree\r\nX-Other: 1\r\n"
                                    "X-Other: 2\r\nContent-Length: 1\r\n\r\n!"),
                     0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_str(fl_http_request_header_text(request, "x-name"), "one two three");
    assert_true(fl_http_request_header(request, "x-other", 1, &value));
    assert_str(value, "2");
    assert_false(fl_http_request_header(request, "x-other", 2, &value));
    assert_null(fl_http_request_header_text(request, "x-none").ptr);
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
}

static void a_request_tells_its_parts(void **state)
{
    (void)state;
    assert_int_equal(
        client_say(&c, "GET /a%2Fb//c?x=1?2 HTTP/1.1\r\nHost: farm:8080\r\nX-Forwarded-For:  10.0.0.9 , 10.1.1.1\r\n"
                       "Accept-Encoding: br, gzip;q=0.5\r\n\r\n"),
        0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_str(fl_http_request_method(request), "GET");
    assert_str(fl_http_request_target(request), "/a%2Fb//c?x=1?2");
    assert_str(fl_http_request_path(request), "/a%2Fb//c");
    assert_str(fl_http_request_query(request), "x=1?2");
    assert_str(fl_http_request_host(request), "farm:8080");
    assert_int_equal(fl_http_request_version(request), 0x101);
    assert_str(fl_http_request_peer(request), "127.0.0.1");
    assert_str(fl_http_request_remote(request), "10.0.0.9");
    assert_true(fl_http_request_came_through_proxy(request));
    assert_true(fl_http_request_accepts_gzip(request));
    assert_true(fl_http_request_id(request).len >= 6);
    assert_int_equal(fl_http_request_body(request).len, 0);
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
}

static void http_1_0_closes_behind_the_answer(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.0\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(fl_http_request_version(request), 0x100);
    assert_true(fl_http_request_came_through_proxy(request));
    assert_str(fl_http_request_remote(request), "127.0.0.1");
    assert_false(fl_http_request_accepts_gzip(request));
    answer_text(request, "ok");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_body("ok");
    assert_true(client_is_closed(&c));
}

static void ambiguous_framing_is_refused_and_the_connection_closed(void **state)
{
    static const char *const heads[] = {
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\n 5\r\n",
        "Host: y\r\nContent-Length: 5\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); ++i) {
        client one;
        char text[512];
        assert_int_equal(client_open(&one, h.port), 0);
        /* Chunked to those who see it so; the smuggled request must not be served. */
        snprintf(text, sizeof(text),
                 "POST /now HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nGET /now HTTP/1.1\r\nHost: x\r\n\r\n", heads[i]);
        assert_int_equal(client_say(&one, text), 0);
        assert_int_equal(client_read(&one, &r, 0), 0);
        assert_int_equal(r.status, 400);
        assert_true(client_is_closed(&one));
        client_close(&one);
    }
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
    assert_int_equal(harness_stat(&h, STAT(refused)), sizeof(heads) / sizeof(heads[0]));
}

static void broken_requests_get_a_bare_400(void **state)
{
    static const char *const requests[] = { "nonsense\r\n\r\n", "GET /x HTTP/1.1\r\nbad header\r\n\r\n",
                                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" };
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); ++i) {
        client one;
        assert_int_equal(client_open(&one, h.port), 0);
        assert_int_equal(client_say(&one, requests[i]), 0);
        assert_int_equal(client_read(&one, &r, 0), 0);
        assert_int_equal(r.status, 400);
        assert_true(client_is_closed(&one));
        client_close(&one);
    }
}

static void strange_targets_arrive_as_sent(void **state)
{
    static const char *const targets[] = { "*",          "http://other/x?y", "a:1",      "?x",        "/%zz%00%2F..%2f",
                                           "/../../etc", "//x//y",           "/a?b?c#d", "/\xc3\xa9", "/a/./b" };
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); ++i) {
        char text[128];
        snprintf(text, sizeof(text), "OPTIONS %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
        assert_int_equal(client_say(&c, text), 0);
        fl_http_request *request = harness_take(&h);
        assert_non_null(request);
        assert_str(fl_http_request_target(request), targets[i]);
        answer_text(request, "ok");
        assert_int_equal(client_read(&c, &r, 0), 0);
    }
}

static void an_oversized_head_gets_400(void **state)
{
    char line[1024];
    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "X-Big: ", 7);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n"), 0);
    for (int i = 0; i < 500; ++i)
        if (client_send(&c, line, sizeof(line)) != 0)
            break; /* answered and closed already */
    /* The answer may be lost in the reset that follows what the server did not read. */
    if (client_read(&c, &r, 0) == 0)
        assert_int_equal(r.status, 400);
    assert_int_equal(harness_stat(&h, STAT(requests)), 0);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_body_above_the_limit_gets_413(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 413);
    assert_true(client_is_closed(&c));
}

static void headers_are_copied_and_unclean_ones_left_out(void **state)
{
    char name[] = "Location", value[] = "/app/";
    fl_http_header headers[] = { { flamenco_text(name), flamenco_text(value) },
                                 { FL_STR("X-Bad"), FL_STR("a\r\nX-Evil: 1") },
                                 { FL_STR("Vary"), FL_STR("X-More") } };
    fl_http_reply reply = { .status = 307, .headers = headers, .n_headers = 3 };
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    memset(name, '!', sizeof(name));
    memset(value, '!', sizeof(value));
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 307);
    assert_header("Location", "/app/");
    assert_header("X-Bad", NULL);
    assert_header("X-Evil", NULL);
    assert_non_null(strstr(r.head, "\r\nVary: X-More\r\n"));
    assert_non_null(strstr(r.head, "307 Temporary Redirect\r\n"));
}

static void a_gzipped_body_says_so(void **state)
{
    flamenco_buf *plain = shared_text("the same again and again ", 200);
    fl_http_reply reply = { .status = 200, .flags = FL_HTTP_GZIPPED, .content_type = FL_STR("text/plain") };
    (void)state;
    reply.body = fl_http_gzip(plain);
    assert_non_null(reply.body);
    size_t packed = fl_shared_str(reply.body).len;
    assert_true(packed < 500);
    fl_shared_unref(plain);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_header("Content-Encoding", "gzip");
    assert_int_equal(r.body_len, packed);
    assert_memory_equal(r.body, "\x1f\x8b", 2);
}

static char file_byte(size_t at)
{
    return (char)(at * 7 + at / 256);
}

static int make_file(size_t len)
{
    char block[4096];
    char path[] = "file-reply-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -1;
    unlink(path);
    for (size_t at = 0; at < len; at += sizeof(block)) {
        size_t n = len - at < sizeof(block) ? len - at : sizeof(block);
        for (size_t i = 0; i < n; ++i)
            block[i] = file_byte(at + i);
        if (write(fd, block, n) != (ssize_t)n)
            break;
    }
    return fd;
}

static void a_file_range_is_sent_in_pieces(void **state)
{
    fl_http_reply reply = { .status = 206, .flags = FL_HTTP_FILE, .offset = 1000, .length = 200000 };
    char got[4096];
    size_t total = 0;
    (void)state;
    reply.fd = make_file(300000);
    assert_true(reply.fd >= 0);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    assert_int_equal(client_read(&c, &r, 1), 0);
    assert_header("Content-Length", "200000");
    while (total < 200000) {
        ssize_t n = c.len > 0 ? (ssize_t)c.len : recv(c.fd, got, sizeof(got), 0);
        const char *bytes = c.len > 0 ? c.data : got;
        c.len = 0;
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; ++i, ++total)
            assert_int_equal(bytes[i], file_byte(total + 1000));
    }
    assert_int_equal(total, 200000);
    assert_int_equal(client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_body("now");
}

static void a_file_that_became_shorter_breaks_the_connection(void **state)
{
    fl_http_reply reply = { .status = 200, .flags = FL_HTTP_FILE, .length = 2000 };
    (void)state;
    reply.fd = make_file(1000);
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    assert_int_equal(client_read(&c, &r, 0), -1);
    assert_int_equal(c.len, 1000);
    assert_true(harness_wait_stat(&h, STAT(pending), 0));
}

static void a_dropped_request_gets_no_byte(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_drop(request);
    assert_true(client_is_closed(&c));
    assert_true(harness_wait(&h, &h.n_dropped, 1));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_reply_may_close_the_connection(void **state)
{
    fl_http_reply reply = { .status = 400, .flags = FL_HTTP_CLOSE, .body = shared_text("no", 1) };
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_header("Connection", "close");
    assert_true(client_is_closed(&c));
}

static void count_destroyed(void *user)
{
    harness *which = user;
    pthread_mutex_lock(&which->lock);
    ++which->n_user_destroyed;
    pthread_cond_broadcast(&which->changed);
    pthread_mutex_unlock(&which->lock);
}

static void what_hangs_on_a_request_goes_with_it(void **state)
{
    (void)state;
    assert_int_equal(client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_non_null(fl_http_request_arena(request));
    assert_ptr_equal(fl_http_request_arena(request), fl_http_request_arena(request));
    fl_http_request_set_user(request, &h, count_destroyed);
    assert_ptr_equal(fl_http_request_user(request), &h);
    answer_text(request, "okay");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_true(harness_wait(&h, &h.n_user_destroyed, 1));
    assert_true(harness_wait(&h, &h.n_done, 1));
    assert_int_equal(h.last_status, 200);
    assert_int_equal(h.last_in, 2);
    assert_int_equal(h.last_out, 4);
}

static void a_large_reply_arrives_whole(void **state)
{
    fl_http_reply reply = { .status = 200, .body = shared_text("0123456789abcdef", 1 << 20) };
    static char got[1 << 16];
    size_t total = 0;
    (void)state;
    assert_int_equal(client_say(&c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    fl_http_answer(request, &reply);
    assert_int_equal(client_read(&c, &r, 1), 0);
    total = c.len;
    c.len = 0;
    while (total < 16u << 20) {
        ssize_t n = recv(c.fd, got, sizeof(got), 0);
        assert_true(n > 0);
        assert_int_equal(got[0], "0123456789abcdef"[total % 16]);
        total += (size_t)n;
    }
    assert_int_equal(total, 16u << 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_connection_serves_many_requests),
        T(a_reply_has_exactly_the_contract_headers),
        T(pipelined_requests_are_answered_in_order),
        T(a_batch_answers_requests_of_all_loops),
        T(head_tells_the_length_and_sends_no_byte_of_it),
        T(statuses_without_a_body_have_none),
        T(a_chunked_body_arrives_whole),
        T(expect_is_answered_with_100_before_the_body),
        T(folded_headers_are_joined),
        T(a_request_tells_its_parts),
        T(http_1_0_closes_behind_the_answer),
        T(ambiguous_framing_is_refused_and_the_connection_closed),
        T(broken_requests_get_a_bare_400),
        T(strange_targets_arrive_as_sent),
        T(an_oversized_head_gets_400),
        T(a_body_above_the_limit_gets_413),
        T(headers_are_copied_and_unclean_ones_left_out),
        T(a_gzipped_body_says_so),
        T(a_file_range_is_sent_in_pieces),
        T(a_file_that_became_shorter_breaks_the_connection),
        T(a_dropped_request_gets_no_byte),
        T(a_reply_may_close_the_connection),
        T(what_hangs_on_a_request_goes_with_it),
        T(a_large_reply_arrives_whole),
    };
    return cmocka_run_group_tests_name("http requests", tests, NULL, NULL);
}
