/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream.c - bodies that are handed on while they arrive: sizes, chunks, pipelining, early answers, broken connections,
 * and the decoder of chunks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "core/http/chunks.h"
#include "harness.h"

#define BODY_MAX (4 << 20)

/* What one streamed body came to; checked when its request comes, and counted. */
typedef struct body {
    uint64_t bytes;
    uint32_t sum;
    int ended, complete;
} body;

static harness h;
static client c;
static response r;
static char *bytes; /* that are sent */
static unsigned begun, freed; /* atomic */
static uint64_t enough_after; /* bytes; 0 = never */

static uint32_t add_up(uint32_t sum, const char *data, size_t len)
{
    for (size_t i = 0; i < len; ++i)
        sum = sum * 31 + (unsigned char)data[i];
    return sum;
}

static void *on_begin(void *ctx, const fl_http_stream_head *head, int *enough_out)
{
    flamenco_str value;
    (void)ctx;
    __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    if (fl_http_head_header(head->head, "x-known", 0, &value))
        *enough_out = 1;
    return calloc(1, sizeof(body));
}

static int on_write(void *stream, const void *data, size_t len)
{
    body *b = stream;
    b->bytes += len;
    b->sum = add_up(b->sum, data, len);
    return enough_after != 0 && b->bytes >= enough_after;
}

static void on_end(void *stream, int complete)
{
    body *b = stream;
    ++b->ended;
    b->complete = complete;
}

static void on_free(void *stream)
{
    free(stream);
    __atomic_add_fetch(&freed, 1, __ATOMIC_SEQ_CST);
}

static int setup(void **state)
{
    fl_http_config config;
    (void)state;
    begun = freed = 0;
    enough_after = 0;
    bytes = malloc(BODY_MAX);
    if (bytes == NULL)
        return -1;
    for (size_t i = 0; i < BODY_MAX; ++i)
        bytes[i] = (char)(i * 7 + i / 251);
    harness_config(&h, &config);
    config.stream_prefix = "POST /up/";
    config.stream_min = 1000;
    config.stream_begin = on_begin;
    config.stream_write = on_write;
    config.stream_end = on_end;
    config.stream_free = on_free;
    config.stream_threads = 3;
    return harness_start(&h, &config) != FLAMENCO_OK || client_open(&c, h.port) != 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(&c);
    int32_t rc = harness_stop(&h);
    free(bytes);
    return rc != FLAMENCO_OK || begun != freed;
}

static void send_head(size_t length, const char *more)
{
    char head[256];
    int n =
        snprintf(head, sizeof(head), "POST /up/x HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", length, more);
    assert_int_equal(client_send(&c, head, (size_t)n), 0);
}

/* Takes the request and compares what was streamed with the first `len` bytes. */
static void answer_whole(size_t len)
{
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    const body *b = fl_http_request_stream(request);
    assert_non_null(b);
    assert_int_equal(b->bytes, len);
    assert_int_equal(b->sum, add_up(0, bytes, len));
    assert_true(b->ended == 1 && b->complete == 1);
    assert_int_equal(fl_http_request_body(request).len, 0);
    answer_text(request, "stored");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
}

static void bodies_of_any_size_arrive_whole_on_one_connection(void **state)
{
    static const size_t sizes[] = { 1000, 1001, 65536, 300000, BODY_MAX };
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        send_head(sizes[i], "");
        assert_int_equal(client_send(&c, bytes, sizes[i]), 0);
        answer_whole(sizes[i]);
        client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(client_read(&c, &r, 0), 0);
    }
    assert_int_equal(begun, 5);
}

static void small_bodies_and_other_paths_go_the_usual_way(void **state)
{
    (void)state;
    send_head(999, "");
    client_send(&c, bytes, 999);
    fl_http_request *request = harness_take(&h);
    assert_null(fl_http_request_stream(request));
    assert_int_equal(fl_http_request_body(request).len, 999);
    answer_text(request, "x");
    assert_int_equal(client_read(&c, &r, 0), 0);
    client_say(&c, "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n");
    client_send(&c, bytes, 2000);
    request = harness_take(&h);
    assert_null(fl_http_request_stream(request));
    assert_int_equal(fl_http_request_body(request).len, 2000);
    answer_text(request, "x");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(begun, 0);
}

static void head_and_body_may_come_in_any_pieces(void **state)
{
    static const char head[] = "POST /up/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n";
    (void)state;
    for (size_t cut = 1; cut < sizeof(head) - 1; cut += 4) {
        assert_int_equal(client_send(&c, head, cut), 0);
        assert_int_equal(client_send(&c, head + cut, sizeof(head) - 1 - cut), 0);
        assert_int_equal(client_send(&c, bytes, cut), 0);
        assert_int_equal(client_send(&c, bytes + cut, 3000 - cut), 0);
        answer_whole(3000);
    }
}

static void chunks_arrive_whole(void **state)
{
    static const size_t sizes[] = { 1, 999, 70000 };
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        char line[64];
        size_t total = sizes[i] == 1 ? 200 : 200000;
        client_say(&c, "POST /up/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < total; at += sizes[i]) {
            size_t n = total - at < sizes[i] ? total - at : sizes[i];
            int len = snprintf(line, sizeof(line), "%zX;a=b\r\n", n);
            client_send(&c, line, (size_t)len);
            client_send(&c, bytes + at, n);
            client_say(&c, "\r\n");
        }
        client_say(&c, "0\r\nTrailer: yes\r\n\r\n");
        answer_whole(total);
    }
}

static void pipelined_bodies_are_told_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; ++i) {
        send_head(5000, "");
        client_send(&c, bytes, 5000);
    }
    client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3; ++i)
        answer_whole(5000);
    assert_int_equal(client_read(&c, &r, 0), 0);
}

static void known_answer_leaves_before_the_body_has_come(void **state)
{
    (void)state;
    send_head(2000000, "X-Known: 1\r\n");
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    const body *b = fl_http_request_stream(request);
    assert_true(b->bytes == 0 && b->ended == 1 && b->complete == 0);
    answer_text(request, "known");
    assert_int_equal(client_read(&c, &r, 0), 0);
    client_send(&c, bytes, 2000000); /* thrown away */
    send_head(1000, "");
    client_send(&c, bytes, 1000);
    answer_whole(1000);
}

static void answer_found_in_the_middle_leaves_then(void **state)
{
    (void)state;
    enough_after = 100000;
    send_head(3000000, "");
    client_send(&c, bytes, 200000);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_true(((const body *)fl_http_request_stream(request))->bytes >= 100000);
    answer_text(request, "enough");
    assert_int_equal(client_read(&c, &r, 0), 0);
    client_send(&c, bytes, 2800000);
    client_say(&c, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
}

static void expectation_is_met_when_the_body_is_wanted(void **state)
{
    char line[25];
    (void)state;
    send_head(5000, "Expect: 100-continue\r\n");
    for (size_t n = 0; n < sizeof(line);) {
        ssize_t got = read(c.fd, line + n, sizeof(line) - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", sizeof(line));
    client_send(&c, bytes, 5000);
    answer_whole(5000);
    send_head(5000, "Expect: 100-continue\r\nX-Known: 1\r\n");
    answer_text(harness_take(&h), "known");
    assert_int_equal(client_read(&c, &r, 0), 0);
    assert_int_equal(r.status, 200);
    assert_true(client_is_closed(&c));
}

static void broken_bodies_make_no_request(void **state)
{
    static const size_t sent[] = { 0, 1, 50000 };
    (void)state;
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); ++i) {
        send_head(100000, "");
        client_send(&c, bytes, sent[i]);
        client_close(&c);
        assert_int_equal(client_open(&c, h.port), 0);
    }
    client_say(&c, "POST /up/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    assert_true(client_is_closed(&c));
    assert_int_equal(h.n_waiting, 0);
}

static void ambiguous_heads_are_refused_as_ever(void **state)
{
    static const char *const heads[] = {
        "POST /up/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nContent-Length: 5000\r\n\r\n",
        "POST /up/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); ++i) {
        client_say(&c, heads[i]);
        client_send(&c, bytes, 5000);
        client_say(&c, "0\r\n\r\n");
        client_read(&c, &r, 0);
        assert_int_equal(begun, 0);
        client_close(&c);
        assert_int_equal(client_open(&c, h.port), 0);
    }
}

static void decoder_of_chunks(void **state)
{
    static const struct {
        const char *text, *data;
        int end;
        size_t rest; /* bytes behind the body */
    } cases[] = {
        { "0\r\n\r\n", "", FL_CHUNKS_END, 0 },
        { "5\r\nhello\r\n0\r\n\r\nGET", "hello", FL_CHUNKS_END, 3 },
        { "5;x=y\r\nhello\r\n1 \r\n!\r\n0\r\nA: b\r\nC: d\r\n\r\n", "hello!", FL_CHUNKS_END, 0 },
        { "a\nabcdefghij\n0\n\n", "abcdefghij", FL_CHUNKS_END, 0 },
        { "\r\n", "", FL_CHUNKS_BAD, 0 },
        { "g\r\n", "", FL_CHUNKS_BAD, 2 },
        { "-1\r\n", "", FL_CHUNKS_BAD, 3 },
        { "5\r\nhelloX", "hello", FL_CHUNKS_BAD, 0 },
        { "1111111111111111\r\n", "", FL_CHUNKS_BAD, 2 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        for (size_t step = 1; step <= strlen(cases[i].text); step += strlen(cases[i].text) - 1) {
            fl_chunks chunks = { 0 };
            char data[64] = "";
            size_t at = 0, len = strlen(cases[i].text);
            while (at < len && chunks.state < FL_CHUNKS_END) {
                flamenco_str piece;
                size_t n = fl_chunks_next(&chunks, cases[i].text + at, step < len - at ? step : len - at, &piece);
                if (piece.len > 0)
                    strncat(data, piece.ptr, (size_t)piece.len);
                at += n;
            }
            assert_int_equal(chunks.state, cases[i].end);
            assert_string_equal(data, cases[i].data);
            if (cases[i].end == FL_CHUNKS_END)
                assert_int_equal(len - at, cases[i].rest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_of_any_size_arrive_whole_on_one_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(small_bodies_and_other_paths_go_the_usual_way, setup, teardown),
        cmocka_unit_test_setup_teardown(head_and_body_may_come_in_any_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks_arrive_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelined_bodies_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(known_answer_leaves_before_the_body_has_come, setup, teardown),
        cmocka_unit_test_setup_teardown(answer_found_in_the_middle_leaves_then, setup, teardown),
        cmocka_unit_test_setup_teardown(expectation_is_met_when_the_body_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_bodies_make_no_request, setup, teardown),
        cmocka_unit_test_setup_teardown(ambiguous_heads_are_refused_as_ever, setup, teardown),
        cmocka_unit_test(decoder_of_chunks),
    };
    return cmocka_run_group_tests_name("http stream", tests, NULL, NULL);
}
