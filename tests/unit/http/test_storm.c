/* SPDX-License-Identifier: Apache-2.0
 *
 * test_storm.c - clients that do everything at once, answered by several threads: for sanitizers, and for mixed-up
 * replies.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>

#include "harness.h"

#define CLIENTS 8
#define ROUNDS 400
#define ANSWERERS 3

static harness h;

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fff;
}

/* ---- Answering ------------------------------------------------------------------------------------------------- */

static void echo(fl_http_request *request)
{
    fl_http_reply reply = { .status = 200, .content_type = FL_STR("text/plain") };
    fl_buf buf = { .data = NULL };
    flamenco_str body = fl_http_request_body(request);
    /* Copied by way of the arena, as a handler would. */
    flamenco_str copy = fl_arena_copy(fl_http_request_arena(request), body);
    fl_buf_add_str(&buf, fl_http_request_query(request));
    fl_buf_add_str(&buf, copy);
    reply.body = fl_shared_take(&buf);
    fl_http_answer(request, &reply);
}

static void checked(void *ctx, fl_http_request *request, int alive)
{
    (void)ctx;
    if (alive)
        echo(request);
    else
        fl_http_drop(request);
}

static int is_more_waiting(void)
{
    pthread_mutex_lock(&h.lock);
    int more = h.n_waiting > 0;
    pthread_mutex_unlock(&h.lock);
    return more;
}

static void *answer_all(void *arg)
{
    fl_http_answer_item items[2];
    size_t n = 0;
    (void)arg;
    for (;;) {
        fl_http_request *request = harness_take(&h);
        if (request == NULL)
            return NULL;
        flamenco_str path = fl_http_request_path(request);
        int quit = fl_str_is(path, "/quit");
        if (fl_str_is(path, "/drop")) {
            fl_http_drop(request);
        } else if (fl_str_is(path, "/hold")) {
            fl_http_hold(request);
            fl_http_recheck(request, checked, NULL);
        } else if (fl_str_is(path, "/batch") || quit) {
            items[n].request = request;
            items[n++].reply = (fl_http_reply){ .status = 204 };
        } else {
            echo(request);
        }
        if (n == 2 || (n > 0 && quit) || (n > 0 && !is_more_waiting())) {
            fl_http_answer_batch(items, n);
            n = 0;
        }
        if (quit)
            return NULL;
    }
}

/* ---- Asking ---------------------------------------------------------------------------------------------------- */

/* Sends one request with a body of its own, and says what the answer is. */
static int ask(client *c, unsigned *seed, const char *path, unsigned id, char *expected, size_t cap)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char head[256], body[3000];
    size_t len = next_random(seed) % sizeof(body);
    for (size_t i = 0; i < len; ++i)
        body[i] = letters[(id + i) % 26];
    int n =
        snprintf(head, sizeof(head), "POST %s?%u HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, id, len);
    snprintf(expected, cap, "%u%.*s", id, (int)len, body);
    return client_send(c, head, (size_t)n) != 0 || client_send(c, body, len) != 0;
}

typedef struct asker {
    pthread_t thread;
    unsigned seed;
    unsigned wrong, right, dropped;
} asker;

static int is_answer(client *c, response *r, int no_content, const char *expected)
{
    if (client_read(c, r, no_content) != 0)
        return 0;
    if (no_content)
        return r->status == 204;
    return r->status == 200 && r->body_len == strlen(expected) && memcmp(r->body, expected, r->body_len) == 0;
}

static void ask_round(asker *a, client *c, response *r, unsigned id)
{
    static const char *const paths[] = { "/echo", "/echo", "/hold", "/batch" };
    char expected[4][3100];
    const char *path[4];
    unsigned kind = next_random(&a->seed) % 8;
    struct linger hard = { .l_onoff = 1 };
    if (kind == 0) { /* leaves without reading, half of them hard */
        if (ask(c, &a->seed, paths[id % 4], id, expected[0], sizeof(expected[0])) != 0)
            ++a->wrong;
        if (id % 2)
            setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        client_close(c);
    } else if (kind == 1) { /* leaves in mid-request */
        if (client_say(c, id % 2 ? "POST /echo HT" : "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf") != 0)
            ++a->wrong;
        client_close(c);
    } else if (kind == 2) {
        if (ask(c, &a->seed, "/drop", id, expected[0], sizeof(expected[0])) != 0 || !client_is_closed(c))
            ++a->wrong;
        ++a->dropped;
        client_close(c);
    } else { /* up to four at once, in order */
        unsigned n = kind % 4 + 1;
        for (unsigned i = 0; i < n; ++i) {
            path[i] = paths[next_random(&a->seed) % 4];
            if (ask(c, &a->seed, path[i], id * 4 + i, expected[i], sizeof(expected[i])) != 0)
                ++a->wrong;
        }
        for (unsigned i = 0; i < n; ++i) {
            if (is_answer(c, r, strcmp(path[i], "/batch") == 0, expected[i]))
                ++a->right;
            else
                ++a->wrong;
        }
    }
}

static void *ask_all(void *arg)
{
    asker *a = arg;
    client *c = malloc(sizeof(*c));
    response *r = malloc(sizeof(*r));
    if (c == NULL || r == NULL) {
        a->wrong = 1;
    } else {
        c->fd = -1;
        for (unsigned i = 0; i < ROUNDS && a->wrong == 0; ++i) {
            if (c->fd < 0 && client_open(c, h.port) != 0)
                ++a->wrong;
            else
                ask_round(a, c, r, i);
        }
        if (c->fd >= 0)
            client_close(c);
    }
    free(c);
    free(r);
    return NULL;
}

static void everything_at_once_gives_every_client_its_own_answers(void **state)
{
    static asker askers[CLIENTS];
    static client quitter;
    static response r;
    pthread_t answerers[ANSWERERS];
    fl_http_config config;
    (void)state;
    harness_config(&h, &config);
    config.body_stall_us = 10000000;
    config.head_timeout_us = 5000000;
    config.ws_silence_us = 40000; /* there is none; it makes the watchdog look every 10 ms */
    assert_int_equal(harness_start(&h, &config), FLAMENCO_OK);
    for (int i = 0; i < ANSWERERS; ++i)
        assert_int_equal(pthread_create(&answerers[i], NULL, answer_all, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; ++i) {
        askers[i].seed = i + 1;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_all, &askers[i]), 0);
    }
    unsigned right = 0, wrong = 0, dropped = 0;
    for (int i = 0; i < CLIENTS; ++i) {
        pthread_join(askers[i].thread, NULL);
        right += askers[i].right;
        wrong += askers[i].wrong;
        dropped += askers[i].dropped;
    }
    assert_int_equal(client_open(&quitter, h.port), 0);
    for (int i = 0; i < ANSWERERS; ++i) {
        assert_int_equal(client_say(&quitter, "GET /quit HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        assert_int_equal(client_read(&quitter, &r, 0), 0);
    }
    for (int i = 0; i < ANSWERERS; ++i)
        pthread_join(answerers[i], NULL);
    client_close(&quitter);
    assert_int_equal(wrong, 0);
    assert_true(right > CLIENTS * ROUNDS / 2);
    assert_true(dropped > 0);
    assert_true(harness_wait_stat(&h, STAT(pending), 0));
    assert_true(harness_wait_stat(&h, STAT(connections), 0));
    assert_int_equal(harness_stat(&h, STAT(held)), 0);
    assert_int_equal(harness_stop(&h), FLAMENCO_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(everything_at_once_gives_every_client_its_own_answers) };
    return cmocka_run_group_tests_name("http storm", tests, NULL, NULL);
}
