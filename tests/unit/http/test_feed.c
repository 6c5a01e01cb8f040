/* SPDX-License-Identifier: Apache-2.0
 *
 * test_feed.c - replies without end, and how the time for them is shared out (pace.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/http/pace.h"
#include "harness.h"

static harness h;
static client c;
static response r;
static fl_http_config config;
static fl_http_feed *feed;
static int closed;

/* ---- Server side ----------------------------------------------------------------------------------------------------- */

static void on_close(void *ctx, fl_http_feed *which)
{
    harness *to = ctx;
    pthread_mutex_lock(&to->lock);
    closed += which != NULL;
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->lock);
}

static int32_t send_on(const char *text)
{
    flamenco_buf *data = shared_text(text, 1);
    int32_t rc = fl_http_feed_send(feed, data);
    fl_shared_unref(data);
    return rc;
}

static void begin(const char *method, flamenco_buf *idle, int64_t idle_us)
{
    static const fl_http_header header = { { "x-kind", 6 }, { "feed", 4 } };
    fl_http_feed_config how = { .status = 200,
                                .content_type = FL_STR("text/event-stream"),
                                .headers = &header,
                                .n_headers = 1,
                                .idle = idle,
                                .idle_us = idle_us,
                                .on_close = on_close,
                                .ctx = &h };
    char head[64];
    snprintf(head, sizeof(head), "%s /feed HTTP/1.1\r\nHost: x\r\n\r\n", method);
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    assert_int_equal(client_open(&c, h.port), 0);
    assert_int_equal(client_say(&c, head), 0);
    fl_http_request *request = harness_take(&h);
    assert_non_null(request);
    assert_int_equal(fl_http_feed_begin(request, &how, &feed, NULL), FLAMENCO_OK);
}

static int set_up(void **state)
{
    (void)state;
    harness_config(&h, &config);
    config.head_timeout_us = 400000; /* a short tick */
    closed = 0;
    feed = NULL;
    c.fd = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (c.fd >= 0)
        client_close(&c);
    int failed = harness_stop(&h) != FLAMENCO_OK;
    fl_http_feed_unref(feed);
    return failed || closed != 1;
}

/* ---- Client side ----------------------------------------------------------------------------------------------------- */

static int need(size_t n)
{
    while (c.len < n) {
        struct pollfd p = { .fd = c.fd, .events = POLLIN };
        if (poll(&p, 1, PATIENCE_MS) <= 0)
            return -1;
        ssize_t got = recv(c.fd, c.data + c.len, sizeof(c.data) - c.len, 0);
        if (got <= 0)
            return -1;
        c.len += (size_t)got;
    }
    return 0;
}

static void use(size_t n)
{
    c.len -= n;
    memmove(c.data, c.data + n, c.len);
}

static void read_head(void)
{
    char value[64];
    char *end;
    while ((end = memmem(c.data, c.len, "\r\n\r\n", 4)) == NULL)
        assert_int_equal(need(c.len + 1), 0);
    size_t n = (size_t)(end - c.data) + 2;
    assert_true(n < sizeof(r.head));
    memcpy(r.head, c.data, n);
    r.head[n] = '\0';
    use(n + 2);
    assert_memory_equal(r.head, "HTTP/1.1 200", 12);
    assert_true(response_header(&r, "content-type", value, sizeof(value)));
    assert_string_equal(value, "text/event-stream");
    assert_true(response_header(&r, "x-kind", value, sizeof(value)));
    assert_false(response_header(&r, "content-length", value, sizeof(value)));
}

/* Adds what the next chunk holds. Returns 0 at the end of the reply, -1 when the connection broke. */
static int read_chunk(char *out, size_t cap)
{
    char *line;
    while ((line = memmem(c.data, c.len, "\r\n", 2)) == NULL)
        if (need(c.len + 1) != 0)
            return -1;
    size_t size = strtoul(c.data, NULL, 16), have = strlen(out);
    use((size_t)(line - c.data) + 2);
    if (need(size + 2) != 0 || have + size >= cap)
        return -1;
    memcpy(out + have, c.data, size);
    out[have + size] = '\0';
    use(size + 2);
    return size > 0;
}

/* ---- Tests ----------------------------------------------------------------------------------------------------------- */

static void what_is_added_arrives_in_order(void **state)
{
    static char wanted[8192], got[8192];
    (void)state;
    begin("GET", NULL, 0);
    wanted[0] = got[0] = '\0';
    for (int i = 0; i < 500; ++i) {
        char line[32];
        snprintf(line, sizeof(line), "number %d\n", i);
        strcat(wanted, line);
        assert_int_equal(send_on(line), FLAMENCO_OK);
    }
    read_head();
    while (strlen(got) < strlen(wanted))
        assert_int_equal(read_chunk(got, sizeof(got)), 1);
    assert_string_equal(got, wanted);
    got[0] = '\0';
    assert_int_equal(send_on("and later"), FLAMENCO_OK);
    assert_int_equal(read_chunk(got, sizeof(got)), 1);
    assert_string_equal(got, "and later");
}

static void an_ended_feed_is_whole(void **state)
{
    char got[64] = "";
    int more;
    (void)state;
    begin("GET", NULL, 0);
    assert_int_equal(send_on("all"), FLAMENCO_OK);
    fl_http_feed_end(feed);
    assert_int_equal(send_on("too late"), FLAMENCO_E_CANCELLED);
    read_head();
    while ((more = read_chunk(got, sizeof(got))) == 1)
        ;
    assert_int_equal(more, 0);
    assert_string_equal(got, "all");
    assert_true(harness_wait_int(&h, &closed, 1));
    fl_http_feed_end(feed);
}

static void a_client_that_vanishes_is_noticed(void **state)
{
    (void)state;
    begin("GET", NULL, 0);
    assert_int_equal(send_on("x"), FLAMENCO_OK);
    read_head();
    client_close(&c);
    assert_true(harness_wait_int(&h, &closed, 1));
    assert_int_equal(send_on("y"), FLAMENCO_E_CANCELLED);
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
}

static void a_client_that_never_reads_is_cut_at_the_bound(void **state)
{
    flamenco_buf *data = shared_text("0123456789abcdef", 4096);
    int32_t result = FLAMENCO_OK;
    unsigned sent = 0;
    (void)state;
    begin("GET", NULL, 0);
    while (sent < 100000 && (result = fl_http_feed_send(feed, data)) == FLAMENCO_OK)
        ++sent;
    fl_shared_unref(data);
    assert_true(result == FLAMENCO_E_FULL || result == FLAMENCO_E_CANCELLED);
    assert_true(harness_wait_int(&h, &closed, 1));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(cut)), 1);
}

static void a_quiet_feed_gives_signs_of_life(void **state)
{
    char got[64] = "";
    (void)state;
    begin("GET", shared_text(":", 1), 1000);
    read_head();
    while (strlen(got) < 3)
        assert_int_equal(read_chunk(got, sizeof(got)), 1);
    assert_string_equal(got, ":::");
}

static void head_has_no_body(void **state)
{
    (void)state;
    begin("HEAD", NULL, 0);
    (void)send_on("nobody sees this");
    assert_int_equal(client_read(&c, &r, 1), 0);
    assert_int_equal(r.status, 200);
    assert_true(harness_wait_int(&h, &closed, 1));
    assert_true(client_is_quiet(&c));
}

static void stopping_ends_feeds(void **state)
{
    char got[64] = "";
    int more;
    (void)state;
    begin("GET", NULL, 0);
    assert_int_equal(send_on("good bye"), FLAMENCO_OK);
    read_head();
    assert_int_equal(read_chunk(got, sizeof(got)), 1);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
    while ((more = read_chunk(got, sizeof(got))) == 1)
        ;
    assert_int_equal(more, 0);
    assert_string_equal(got, "good bye");
    assert_int_equal(closed, 1);
    fl_http_feed_unref(feed);
    client_close(&c);
}

/* ---- Pace ------------------------------------------------------------------------------------------------------------ */

#define NOW INT64_C(1000000000)
#define MS INT64_C(1000000) /* of CPU time, in ns */

static void writes_to_one_connection_keep_their_distance(void **state)
{
    fl_pace pace = { 0 };
    (void)state;
    assert_true(fl_pace_due_us(&pace, NOW) > NOW);
    assert_int_equal(fl_pace_due_us(&pace, NOW), fl_pace_due_us(&pace, 0) + NOW);
}

static void a_rested_loop_may_write_for_a_burst(void **state)
{
    fl_pace pace = { 0 };
    (void)state;
    fl_pace_count(&pace, NOW, 20 * MS);
    assert_true(pace.free_us <= NOW);
    fl_pace_count(&pace, NOW, 20 * MS);
    assert_true(pace.free_us > NOW);
}

static void writing_takes_a_small_part_of_the_time(void **state)
{
    fl_pace pace = { 0 };
    int64_t now_us = NOW, spent_ns = 0;
    (void)state;
    /* As soon as it may, it writes for 0.3 ms. */
    for (int i = 0; i < 10000; ++i) {
        fl_pace_count(&pace, now_us, 3 * MS / 10);
        spent_ns += 3 * MS / 10;
        if (pace.free_us > now_us)
            now_us = pace.free_us;
    }
    int64_t took_ns = (now_us - NOW) * 1000;
    assert_true(spent_ns * 7 / 2 < took_ns && took_ns < spent_ns * 9 / 2);
}

static void one_long_turn_puts_off_the_next_for_a_moment_only(void **state)
{
    fl_pace pace = { 0 };
    (void)state;
    fl_pace_count(&pace, NOW, 60000 * MS);
    assert_true(pace.free_us > NOW && pace.free_us <= NOW + 100000);
}

static void a_turn_has_so_many_writes(void **state)
{
    fl_pace pace = { 0 };
    (void)state;
    for (unsigned i = 0; i < FL_PACE_TURN; ++i) {
        assert_true(fl_pace_goes_on(&pace));
        fl_pace_wrote(&pace);
    }
    assert_false(fl_pace_goes_on(&pace));
    fl_pace_end_turn(&pace, NOW);
    assert_true(fl_pace_goes_on(&pace));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_added_arrives_in_order),
        T(an_ended_feed_is_whole),
        T(a_client_that_vanishes_is_noticed),
        T(a_client_that_never_reads_is_cut_at_the_bound),
        T(a_quiet_feed_gives_signs_of_life),
        T(head_has_no_body),
        cmocka_unit_test_setup(stopping_ends_feeds, set_up),
        cmocka_unit_test(writes_to_one_connection_keep_their_distance),
        cmocka_unit_test(a_rested_loop_may_write_for_a_burst),
        cmocka_unit_test(writing_takes_a_small_part_of_the_time),
        cmocka_unit_test(one_long_turn_puts_off_the_next_for_a_moment_only),
        cmocka_unit_test(a_turn_has_so_many_writes),
    };
    return cmocka_run_group_tests_name("http_feed", tests, NULL, NULL);
}
