/* SPDX-License-Identifier: Apache-2.0
 *
 * test_event_stream.c - server-sent events: who is told what, and what is kept for who comes back. With a real server and the
 * hand-made clients of the HTTP tests; events are the test's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../http/harness.h"
#include "bench_core.h"
#include "core/api/call.h"
#include "core/api/event_stream.h"
#include "core/api/handlers.h"
#include "core/listeners.h"

#define FAR_US 60000000
#define HELLO ": events of Flamenco Manager\n\n"

static bench b;
static harness h;
static client c;
static uint64_t seq;
static char epoch[9]; /* of the ids, as the last client saw it */
static char stream[1 << 20]; /* what the last client got */

/* ---- Server side ----------------------------------------------------------------------------------------------------- */

static int hears_logs(void)
{
    return (fl_listeners_kinds(b.f.listeners) >> FLAMENCO_EVENT_TASK_LOG & 1) != 0;
}

static void happen_text(const char *topic, flamenco_buf *payload)
{
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = strncmp(topic, "/tasklog/", 9) == 0 ? FLAMENCO_EVENT_TASK_LOG : FLAMENCO_EVENT_JOB,
                             .seq = ++seq,
                             .topic = flamenco_text(topic),
                             .name = flamenco_text("/name"),
                             .payload = fl_shared_str(payload),
                             .buf = payload };
    fl_listeners_call(b.f.listeners, &event);
    fl_shared_unref(payload);
}

static void happen(const char *topic, const char *payload)
{
    happen_text(topic, shared_text(payload, 1));
}

/* Takes a request as dispatch does. Returns what the handler says. */
static int32_t take(const char *topics, const char *last_id)
{
    api_stream_events_in in = { .has_topics = topics != NULL, .has_last_event_id = last_id != NULL };
    fl_call call = { .f = &b.f, .in = &in };
    if (topics != NULL)
        in.topics = flamenco_text(topics);
    if (last_id != NULL)
        in.last_event_id = flamenco_text(last_id);
    int32_t rc = fl_stream_events(&call, &in);
    if (rc == FLAMENCO_OK) {
        call.http = harness_take(&h);
        assert_non_null(call.http);
        call.take(&call);
    } else {
        assert_int_equal(call.reply.status, 400);
    }
    fl_reply_fini(&call.reply);
    return rc;
}

static int set_up(void **state)
{
    fl_http_config config;
    (void)state;
    seq = 0;
    c.fd = -1;
    bench_start(&b, FAR_US);
    b.f.event_streams = fl_event_streams_create(&b.f);
    harness_config(&h, &config);
    return b.f.event_streams == NULL || harness_start(&h, &config) != FLAMENCO_OK;
}

static int tear_down(void **state)
{
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    int failed = harness_stop(&h) != FLAMENCO_OK;
    fl_event_streams_destroy(b.f.event_streams);
    bench_stop(&b);
    return failed;
}

/* ---- Client side ----------------------------------------------------------------------------------------------------- */

static int more(void)
{
    struct pollfd p = { .fd = c.fd, .events = POLLIN };
    if (c.len == sizeof(c.data) || poll(&p, 1, PATIENCE_MS) <= 0)
        return 0;
    ssize_t got = recv(c.fd, c.data + c.len, sizeof(c.data) - c.len, 0);
    c.len += got > 0 ? (size_t)got : 0;
    return got > 0;
}

static void use(size_t n)
{
    c.len -= n;
    memmove(c.data, c.data + n, c.len);
}

static void open_stream(const char *topics, const char *last_id)
{
    char *end;
    if (c.fd >= 0)
        client_close(&c);
    assert_int_equal(client_open(&c, h.port), 0);
    assert_int_equal(client_say(&c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_int_equal(take(topics, last_id), FLAMENCO_OK);
    while ((end = memmem(c.data, c.len, "\r\n\r\n", 4)) == NULL)
        assert_true(more());
    assert_memory_equal(c.data, "HTTP/1.1 200", 12);
    use((size_t)(end - c.data) + 4);
    stream[0] = '\0';
}

/* Reads until `mark` has come; gives what came before it and was not read yet, without the greeting and the ids' epoch. */
static void assert_stream(const char *mark, const char *wanted)
{
    static char plain[sizeof(stream)];
    size_t have = strlen(stream), n = 0;
    while (strstr(stream, mark) == NULL) {
        char *line;
        while ((line = memmem(c.data, c.len, "\r\n", 2)) == NULL)
            assert_true(more());
        size_t size = strtoul(c.data, NULL, 16);
        use((size_t)(line - c.data) + 2);
        assert_true(size > 0 && have + size < sizeof(stream));
        for (size_t left = size + 2; left > 0;) { /* a chunk may be larger than the client's buffer */
            size_t part = c.len < left ? c.len : left, text = left > 2 ? (part < left - 2 ? part : left - 2) : 0;
            memcpy(stream + have, c.data, text);
            have += text;
            left -= part;
            use(part);
            if (left > 0 && c.len == 0)
                assert_true(more());
        }
        stream[have] = '\0';
    }
    const char *at = stream, *id;
    if (strncmp(at, HELLO, strlen(HELLO)) == 0)
        at += strlen(HELLO);
    while ((id = strstr(at, "id: ")) != NULL) {
        memcpy(plain + n, at, (size_t)(id - at) + 4);
        n += (size_t)(id - at) + 4;
        memcpy(epoch, id + 4, 8);
        assert_int_equal(id[12], '-');
        at = id + 13;
    }
    strcpy(plain + n, at);
    stream[0] = '\0';
    if (wanted != NULL)
        assert_string_equal(plain, wanted);
    else
        strcpy(stream, plain);
}

#define EVENT(seq, topic, payload) "id: " #seq "\nevent: /name\ntopic: " topic "\ndata: " payload "\n\n"

static const char *id_of(uint64_t number)
{
    static char text[64];
    snprintf(text, sizeof(text), "%s-%llu", epoch, (unsigned long long)number);
    return text;
}

/* ---- Tests ----------------------------------------------------------------------------------------------------------- */

static void everything_is_told_without_topics(void **state)
{
    (void)state;
    assert_false(hears_logs()); /* until somebody asks for events */
    open_stream(NULL, NULL);
    assert_true(hears_logs());
    happen("/jobs", "{\"a\":1}");
    happen("/tasklog/x", "{\"log\":\"\xC3\xA4\"}");
    happen("/end", "{}");
    assert_stream("/end", EVENT(1, "/jobs", "{\"a\":1}") EVENT(2, "/tasklog/x", "{\"log\":\"\xC3\xA4\"}")
                              EVENT(3, "/end", "{}"));
}

static void only_the_topics_that_were_asked_for_are_told(void **state)
{
    (void)state;
    open_stream("/jobs, /workers ,/tasklog/*,/end", NULL);
    static const char *const topics[] = { "/jobs",    "/jobs/x",   "/job",       "/workers", "/workertags",
                                          "/tasklog", "/tasklog/", "/tasklog/x", "/end" };
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); ++i)
        happen(topics[i], "{}");
    assert_stream("/end", EVENT(1, "/jobs", "{}") EVENT(4, "/workers", "{}") EVENT(7, "/tasklog/", "{}")
                              EVENT(8, "/tasklog/x", "{}") EVENT(9, "/end", "{}"));
}

static void topics_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = { "", "jobs", "/jobs,", ",/jobs", "/jobs,,/workers", "/jobs workers,x", " " };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_int_not_equal(take(bad[i], NULL), FLAMENCO_OK);
}

static void who_comes_back_is_told_what_was_missed(void **state)
{
    (void)state;
    open_stream("/jobs", NULL);
    happen("/jobs", "1");
    assert_stream("data: 1\n\n", EVENT(1, "/jobs", "1"));
    happen("/workers", "2");
    happen("/jobs", "3");
    open_stream("/jobs", id_of(1));
    happen("/jobs", "4");
    assert_stream("data: 4\n\n", EVENT(3, "/jobs", "3") EVENT(4, "/jobs", "4"));
    open_stream("/jobs", id_of(4));
    happen("/jobs", "5");
    assert_stream("data: 5\n\n", EVENT(5, "/jobs", "5"));
}

#define MISSED "event: /missed\ntopic: /missed\ndata: {}\n\n"

static void who_was_away_too_long_is_told_so(void **state)
{
    char wanted[256];
    (void)state;
    open_stream(NULL, NULL);
    happen("/jobs", "1");
    assert_stream("data: 1\n\n", EVENT(1, "/jobs", "1"));
    for (int i = 2; i <= 1001; ++i)
        happen("/jobs", "{}");
    /* 1,000 came since: all of them are there. */
    open_stream(NULL, id_of(1));
    assert_stream("id: 1001\nevent: /name\ntopic: /jobs\ndata: {}\n\n" + 4, NULL);
    snprintf(wanted, sizeof(wanted), "%s", EVENT(2, "/jobs", "{}") EVENT(3, "/jobs", "{}"));
    assert_memory_equal(stream, wanted, strlen(wanted));
    happen("/jobs", "{}");
    open_stream(NULL, id_of(1));
    assert_stream("1002\nevent: /name\ntopic: /jobs\ndata: {}\n\n", NULL);
    snprintf(wanted, sizeof(wanted), "%s", MISSED EVENT(3, "/jobs", "{}"));
    assert_memory_equal(stream, wanted, strlen(wanted));
}

static void an_id_that_is_none_of_ours_has_missed_something(void **state)
{
    static const char *const ids[] = { "x", "1", "00000000-1", "-1", "zzzzzzzz-99999999999999999999999999" };
    (void)state;
    happen("/jobs", "1");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); ++i) {
        open_stream("/jobs", ids[i]);
        assert_stream("data: {}\n\n", MISSED);
    }
    open_stream("/end", NULL);
    happen("/end", "{}");
    assert_stream("/end", EVENT(2, "/end", "{}"));
    /* Of this run, but from the future; with something behind the number; without one. */
    const char *of_this_run[] = { "-3", "-1x", "-", "_1" };
    for (size_t i = 0; i < sizeof(of_this_run) / sizeof(of_this_run[0]); ++i) {
        char id[64];
        snprintf(id, sizeof(id), "%s%s", epoch, of_this_run[i]);
        open_stream("/jobs", id);
        assert_stream("data: {}\n\n", MISSED);
    }
}

static void what_is_kept_is_bounded_in_bytes(void **state)
{
    (void)state;
    open_stream("/small", NULL);
    happen("/small", "1");
    assert_stream("data: 1\n\n", EVENT(1, "/small", "1"));
    for (int i = 0; i < 5; ++i)
        happen_text("/large", shared_text("0123456789abcdef", 1 << 16)); /* 1 MiB each */
    happen("/small", "2");
    open_stream("/small", id_of(1));
    assert_stream("data: 2\n\n", MISSED EVENT(7, "/small", "2"));
    happen_text("/large", shared_text("0123456789abcdef", 5 << 16)); /* never kept */
    happen("/small", "3");
    open_stream("/small", id_of(7));
    assert_stream("data: 3\n\n", MISSED EVENT(9, "/small", "3"));
}

static void who_leaves_is_forgotten(void **state)
{
    client others[20];
    (void)state;
    for (int i = 0; i < 20; ++i) {
        open_stream(NULL, NULL);
        others[i] = c;
        c.fd = -1;
    }
    for (int i = 0; i < 20; i += 2)
        client_close(&others[i]);
    assert_true(harness_wait_stat(&h, STAT(connections), 10));
    happen("/jobs", "{}");
    for (int i = 1; i < 20; i += 2)
        client_close(&others[i]);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    happen("/jobs", "{}");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(everything_is_told_without_topics), T(only_the_topics_that_were_asked_for_are_told),
        T(topics_that_are_none_are_refused),  T(who_comes_back_is_told_what_was_missed),
        T(who_was_away_too_long_is_told_so),  T(an_id_that_is_none_of_ours_has_missed_something),
        T(what_is_kept_is_bounded_in_bytes),  T(who_leaves_is_forgotten),
    };
    return cmocka_run_group_tests_name("core_event_stream", tests, NULL, NULL);
}
