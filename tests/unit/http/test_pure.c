/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pure.c - the parts without sockets: judging heads, CORS, gzip, file ranges.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <zlib.h>

#include "core/base/str.h"
#include "core/http/cors.h"
#include "core/http/head.h"
#include "core/http/range.h"

static void heads_are_measured_and_judged(void **state)
{
    static const struct {
        const char *head;
        size_t rest; /* bytes behind it */
        const char *problem;
    } cases[] = {
        { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, NULL },
        { "GET / HTTP/1.1\nHost: x\n\n", 0, NULL },
        { "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nbody", 4, NULL },
        { "\nGET / HTTP/1.1\r\nHost: x\n\r\nbody", 4, NULL },
        { "GET / HTTP/1.1\r\n\r\n\r\n\r\n", 4, NULL },
        { "P / HTTP/1.1\r\ncontent-length: 5 \r\nX: 1\r\n 2\r\n\r\nhello", 5, NULL },
        { "P / HTTP/1.1\r\nContent-Lengthy: 5\r\nX-Content-Length: 6\r\nContent-Length:7\r\n\r\n", 0, NULL },
        { "P / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", 0, "more than one Content-Length" },
        { "P / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nContent-Length: 5\r\n\r\n", 0,
          "both Content-Length and Transfer-Encoding" },
        { "P / HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
          "more than one Transfer-Encoding" },
        { "P / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 0, "more than one Host" },
        { "P / HTTP/1.1\r\nContent-Length: 5\r\n\t5\r\n\r\n", 0, "folded framing header" },
        { "P / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 0, "folded framing header" },
        { "P / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 0, "broken Content-Length" },
        { "P / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", 0, "broken Content-Length" },
        { "P / HTTP/1.1\r\nContent-Length: \r\n\r\n", 0, "broken Content-Length" },
    };
    const char *problem;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        size_t len = strlen(cases[i].head), whole = len - cases[i].rest;
        assert_int_equal(fl_head_scan(cases[i].head, len, &problem), whole);
        if (cases[i].problem == NULL)
            assert_null(problem);
        else
            assert_string_equal(problem, cases[i].problem);
        /* Not complete before its last byte; from a copy, so that a sanitizer sees every step too far. */
        for (size_t part = 0; part < whole; ++part) {
            char *copy = malloc(part + 1);
            assert_non_null(copy);
            memcpy(copy, cases[i].head, part);
            assert_int_equal(fl_head_scan(copy, part, &problem), 0);
            assert_null(problem);
            free(copy);
        }
    }
}

static const flamenco_str allowed[] = { { "http://10.1.2.3:8081", 20 }, { "http://localhost:8081", 21 } };

static void cors_headers_follow_the_contract(void **state)
{
    static const struct {
        const char *origin;
        int preflight;
        size_t headers;
    } cases[] = {
        { "", 0, 0 },
        { "", 1, 0 },
        { "http://evil.example", 0, 0 },
        { "http://evil.example", 1, 0 },
        { "http://10.1.2.3:8081", 0, 1 },
        { "http://LOCALHOST:8081", 0, 1 },
        { "http://localhost:8081", 1, 5 },
        { "http://localhost:8081/", 1, 0 },
    };
    fl_http_header out[FL_CORS_MAX_HEADERS];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        size_t n = fl_cors_headers(flamenco_text(cases[i].origin), allowed, 2, cases[i].preflight, out);
        assert_int_equal(n, cases[i].headers);
        if (n == 0)
            continue;
        assert_true(fl_str_is(out[0].name, "Access-Control-Allow-Origin"));
        assert_true(fl_str_is(out[0].value, cases[i].origin));
        if (n == 5) {
            assert_true(fl_str_is(out[1].value, "Access-Control-Request-Method"));
            assert_true(fl_str_is(out[2].value, "Access-Control-Request-Headers"));
            assert_true(fl_str_is(out[3].value, "POST,GET,OPTIONS,PUT,DELETE"));
            assert_true(
                fl_str_is(out[4].value,
                          "Accept,Accept-Encoding,Access-Control-Allow-Origin,Access-Control-Request-Headers,"
                          "Access-Control-Request-Method,Authorization,Content-Length,Content-Type,Origin,"
                          "X-CSRF-Token,X-Requested-With,Cache-Control,Connection,Host,Referer,User-Agent,X-header"));
        }
    }
    assert_int_equal(fl_cors_headers(FL_STR("x"), NULL, 0, 1, out), 0);
}

static void gzip_is_sent_to_those_who_accept_it(void **state)
{
    static const struct {
        const char *header;
        int accepted;
    } cases[] = {
        { "gzip", 1 },
        { "GZIP", 1 },
        { "br, gzip", 1 },
        { "deflate,gzip;q=0.001", 1 },
        { "gzip;q=1.0", 1 },
        { "gzip ; q=0", 0 },
        { "gzip;q=0.000, *", 0 },
        { "*", 1 },
        { "*;q=0", 0 },
        { "identity", 0 },
        { "", 0 },
        { ",,;", 0 },
        { "gzipped", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i)
        assert_int_equal(fl_http_gzip_accepted(flamenco_text(cases[i].header)), cases[i].accepted);
    assert_int_equal(fl_http_gzip_accepted((flamenco_str){ NULL, 0 }), 0);
}

static void gzip_unpacks_to_the_same_bytes(void **state)
{
    enum { LEN = 100000 };
    flamenco_buf *plain = fl_shared_create(LEN), *packed;
    static char unpacked[LEN + 1];
    z_stream z = { .next_in = NULL };
    (void)state;
    assert_non_null(plain);
    for (int i = 0; i < LEN; ++i)
        fl_shared_data(plain)[i] = (char)(i % 251 ^ i / 1000);
    packed = fl_http_gzip(plain);
    assert_non_null(packed);
    flamenco_str bytes = fl_shared_str(packed);
    assert_true(bytes.len < LEN / 2);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    z.next_out = (Bytef *)unpacked;
    z.avail_out = sizeof(unpacked);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, LEN);
    assert_memory_equal(unpacked, fl_shared_str(plain).ptr, LEN);
    inflateEnd(&z);
    fl_shared_unref(packed);
    fl_shared_unref(plain);
}

static void gzip_that_gains_nothing_is_not_made(void **state)
{
    flamenco_buf *plain = fl_shared_create(64);
    unsigned seed = 1;
    (void)state;
    assert_non_null(plain);
    for (int i = 0; i < 64; ++i)
        fl_shared_data(plain)[i] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
    assert_null(fl_http_gzip(plain));
    fl_shared_unref(plain);
    plain = fl_shared_create(0);
    assert_non_null(plain);
    assert_null(fl_http_gzip(plain));
    fl_shared_unref(plain);
}

#define MTIME 784111777ll /* Sun, 06 Nov 1994 08:49:37 GMT */

static void ranges_are_read_as_rfc_9110_says(void **state)
{
    static const struct {
        const char *range, *if_range;
        uint64_t size;
        int status;
        uint64_t offset, length;
        const char *content_range;
    } cases[] = {
        { NULL, NULL, 100, 200, 0, 100, "" },
        { "bytes=0-9", NULL, 100, 206, 0, 10, "bytes 0-9/100" },
        { "bytes=90-", NULL, 100, 206, 90, 10, "bytes 90-99/100" },
        { "bytes=-10", NULL, 100, 206, 90, 10, "bytes 90-99/100" },
        { "bytes=-1000", NULL, 100, 206, 0, 100, "bytes 0-99/100" },
        { "bytes=0-1000", NULL, 100, 206, 0, 100, "bytes 0-99/100" },
        { "bytes=99-99", NULL, 100, 206, 99, 1, "bytes 99-99/100" },
        { "bytes=100-", NULL, 100, 416, 0, 0, "bytes */100" },
        { "bytes=-0", NULL, 100, 416, 0, 0, "bytes */100" },
        { "bytes=0-", NULL, 0, 416, 0, 0, "bytes */0" },
        /* Not understood, or several: the whole file. */
        { "bytes=5-4", NULL, 100, 200, 0, 100, "" },
        { "bytes=0-1,5-6", NULL, 100, 200, 0, 100, "" },
        { "lines=0-1", NULL, 100, 200, 0, 100, "" },
        { "bytes=", NULL, 100, 200, 0, 100, "" },
        { "bytes=-", NULL, 100, 200, 0, 100, "" },
        { "bytes=x-", NULL, 100, 200, 0, 100, "" },
        { "bytes=99999999999999999999-", NULL, 100, 416, 0, 0, "bytes */100" },
        { "bytes=0-9", "Sun, 06 Nov 1994 08:49:37 GMT", 100, 206, 0, 10, "bytes 0-9/100" },
        { "bytes=0-9", "Sun, 06 Nov 1994 08:49:38 GMT", 100, 200, 0, 100, "" },
        { "bytes=0-9", "\"tag\"", 100, 200, 0, 100, "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_http_file file = { .size = cases[i].size, .mtime_s = MTIME };
        fl_http_file_plan plan;
        file.range = flamenco_text(cases[i].range);
        file.if_range = flamenco_text(cases[i].if_range);
        fl_http_plan_file(&file, &plan);
        assert_int_equal(plan.status, cases[i].status);
        assert_int_equal(plan.offset, cases[i].offset);
        assert_int_equal(plan.length, cases[i].length);
        assert_string_equal(plan.content_range, cases[i].content_range);
        assert_string_equal(plan.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}

static void a_file_that_did_not_change_is_not_sent_again(void **state)
{
    static const struct {
        const char *since;
        int status;
    } cases[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 304 },
        { "Sun, 06 Nov 1994 08:49:38 GMT", 304 },
        { "Sun, 06 Nov 1994 08:49:36 GMT", 200 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 304 },
        { "Sun Nov  6 08:49:37 1994", 304 },
        { "yesterday", 200 },
        { "", 200 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_http_file file = { .size = 10, .mtime_s = MTIME };
        fl_http_file_plan plan;
        file.if_modified_since = flamenco_text(cases[i].since);
        fl_http_plan_file(&file, &plan);
        assert_int_equal(plan.status, cases[i].status);
        assert_int_equal(plan.length, cases[i].status == 304 ? 0 : 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_measured_and_judged),
        cmocka_unit_test(cors_headers_follow_the_contract),
        cmocka_unit_test(gzip_is_sent_to_those_who_accept_it),
        cmocka_unit_test(gzip_unpacks_to_the_same_bytes),
        cmocka_unit_test(gzip_that_gains_nothing_is_not_made),
        cmocka_unit_test(ranges_are_read_as_rfc_9110_says),
        cmocka_unit_test(a_file_that_did_not_change_is_not_sent_again),
    };
    return cmocka_run_group_tests_name("http pure", tests, NULL, NULL);
}
