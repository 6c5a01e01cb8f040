/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clock_manual.c - the clock set by hand: its requests, how it flows, and who is woken when it moves.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "fake_host.h"
#include "flamenco/clock.h"
#include "flamenco/http_routes.h"

#define START INT64_C(1772600767000000) /* 2026-03-04T05:06:07Z */

typedef struct fixture {
    fake_host fake;
    const flamenco_clock *clock;
    const flamenco_http_routes *http;
    void *self;
    uint32_t status; /* of the last reply */
    char body[512];
} fixture;

static int32_t take_bytes(void *r, uint32_t status, const char *content_type, flamenco_str body)
{
    fixture *f = r;
    assert_string_equal(content_type, "application/json");
    assert_true(body.len < sizeof(f->body));
    f->status = status;
    memcpy(f->body, body.ptr, (size_t)body.len);
    f->body[body.len] = '\0';
    return 0;
}

static void request(fixture *f, const char *method, const char *body)
{
    flamenco_http_request req = { .struct_size = (uint32_t)sizeof(req) };
    flamenco_http_reply reply = { .struct_size = (uint32_t)sizeof(reply), .r = f, .bytes = take_bytes };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fake_cx *cx = fake_cx_create(&f->fake);
    req.method = flamenco_text(method);
    req.path = flamenco_text("/test/clock");
    req.body = flamenco_text(body);
    assert_int_equal(f->http->handle(f->self, &cx->cx, &req, &reply, &err), 0);
    fake_cx_destroy(cx);
}

static int setup_with(void **state, const char *frozen)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fake_host_init(&f->fake);
    fake_host_set(&f->fake, "start", "2026-03-04T06:06:07+01:00");
    fake_host_set(&f->fake, "frozen", frozen);
    f->clock = fake_host_table(flamenco_plugin_query(), FLAMENCO_CLOCK);
    f->http = fake_host_table(flamenco_plugin_query(), FLAMENCO_HTTP_ROUTES);
    f->self = fake_host_start(&f->fake, flamenco_plugin_query());
    *state = f;
    return 0;
}

static int setup_frozen(void **state)
{
    return setup_with(state, "true");
}

static int setup_flowing(void **state)
{
    return setup_with(state, "false");
}

static int teardown(void **state)
{
    fixture *f = *state;
    fake_host_stop(&f->fake, flamenco_plugin_query(), f->self);
    fake_host_fini(&f->fake);
    free(f);
    return 0;
}

static void a_frozen_clock_moves_by_hand_alone(void **state)
{
    fixture *f = *state;
    int64_t mono = f->clock->monotonic_us(f->self);
    assert_true(f->clock->now_us(f->self) == START);
    request(f, "GET", "");
    assert_int_equal(f->status, 200);
    assert_non_null(strstr(f->body, "{\"now\":\"2026-03-04T05:06:07Z\",\"now_us\":1772600767000000,\"monotonic_us\":"));
    assert_non_null(strstr(f->body, ",\"frozen\":true}\n"));
    request(f, "POST", "{\"advance\":\"1h5m0.5s\"}");
    assert_int_equal(f->status, 200);
    assert_true(f->clock->now_us(f->self) == START + INT64_C(3900500000));
    assert_true(f->clock->monotonic_us(f->self) == mono + INT64_C(3900500000));
    assert_non_null(strstr(f->body, "\"2026-03-04T06:11:07.500000Z\""));
}

static void setting_it_forwards_moves_timers_and_backwards_does_not(void **state)
{
    fixture *f = *state;
    int64_t mono = f->clock->monotonic_us(f->self);
    request(f, "POST", "{\"set\":\"2026-03-05T05:06:07Z\"}");
    assert_true(f->clock->now_us(f->self) == START + INT64_C(86400000000));
    assert_true(f->clock->monotonic_us(f->self) == mono + INT64_C(86400000000));
    request(f, "POST", "{\"set\":\"2026-03-04T05:06:07.25Z\"}");
    assert_true(f->clock->now_us(f->self) == START + 250000);
    assert_true(f->clock->monotonic_us(f->self) == mono + INT64_C(86400000000));
}

static void a_flowing_clock_goes_on_and_can_be_frozen(void **state)
{
    fixture *f = *state;
    int64_t first = f->clock->now_us(f->self);
    assert_true(first >= START && first < START + 60000000);
    request(f, "POST", "{\"frozen\":true,\"advance\":\"10m\"}");
    int64_t mono = f->clock->monotonic_us(f->self), now = f->clock->now_us(f->self);
    assert_true(now >= first + 600000000);
    assert_true(f->clock->monotonic_us(f->self) == mono);
    assert_true(f->clock->now_us(f->self) == now);
    request(f, "POST", "{\"frozen\":false}");
    assert_true(f->clock->monotonic_us(f->self) >= mono);
    assert_true(f->clock->now_us(f->self) - now < 60000000);
    int64_t until = f->clock->monotonic_us(f->self) + 2000;
    f->clock->wait_until(f->self, until);
    assert_true(f->clock->monotonic_us(f->self) >= until);
}

typedef struct waiter {
    fixture *f;
    int64_t until;
} waiter;

static void *wait_in_thread(void *arg)
{
    waiter *w = arg;
    while (w->f->clock->monotonic_us(w->f->self) < w->until)
        w->f->clock->wait_until(w->f->self, w->until);
    return NULL;
}

static void waiting_ends_when_the_clock_is_moved_far_enough(void **state)
{
    fixture *f = *state;
    waiter w = { f, f->clock->monotonic_us(f->self) + INT64_C(3600000000) };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &w), 0);
    request(f, "POST", "{\"advance\":\"30m\"}");
    request(f, "POST", "{\"advance\":\"30m\"}");
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void an_interrupt_ends_waiting(void **state)
{
    fixture *f = *state;
    f->clock->interrupt(f->self);
    f->clock->wait_until(f->self, INT64_MAX);
    f->clock->wait_until(f->self, INT64_MIN);
}

static void wrong_requests_change_nothing(void **state)
{
    fixture *f = *state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "x",
        "{\"advance\":5}",
        "{\"advance\":\"\"}",
        "{\"advance\":\"5\"}",
        "{\"advance\":\"-5m\"}",
        "{\"advance\":\"5d\"}",
        "{\"advance\":\"99999999h\"}",
        "{\"advance\":\"5m\",\"x\":1}",
        "{\"set\":\"2026-02-30T00:00:00Z\"}",
        "{\"set\":\"2026-03-04T05:06:07\"}",
        "{\"set\":\"2026-03-04 05:06:07Z\"}",
        "{\"set\":\"2026-03-04T05:06:07+1:00\"}",
        "{\"set\":\"1969-03-04T05:06:07Z\"}",
        "{\"frozen\":1}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); ++i) {
        request(f, "POST", bodies[i]);
        if (f->status != 400)
            fail_msg("%s was accepted", bodies[i]);
        assert_non_null(strstr(f->body, "{\"code\":400,\"message\":\"expected"));
        assert_true(f->clock->now_us(f->self) == START);
    }
}

static void a_wrong_start_is_refused(void **state)
{
    fixture *f = *state;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fake_host_set(&f->fake, "start", "yesterday");
    const flamenco_config *config = fake_host_config(&f->fake, flamenco_plugin_query());
    assert_int_equal(flamenco_plugin_query()->configure(f->self, config, &err), FLAMENCO_E_INVALID);
    assert_non_null(strstr(err.text, "yesterday"));
}

static void it_has_two_routes(void **state)
{
    fixture *f = *state;
    const flamenco_http_route *const *routes = f->http->routes(f->self);
    assert_string_equal(routes[0]->method, "GET");
    assert_string_equal(routes[1]->method, "POST");
    assert_string_equal(routes[1]->prefix, "/test/clock");
    assert_null(routes[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frozen_clock_moves_by_hand_alone, setup_frozen, teardown),
        cmocka_unit_test_setup_teardown(setting_it_forwards_moves_timers_and_backwards_does_not, setup_frozen,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flowing_clock_goes_on_and_can_be_frozen, setup_flowing, teardown),
        cmocka_unit_test_setup_teardown(waiting_ends_when_the_clock_is_moved_far_enough, setup_frozen, teardown),
        cmocka_unit_test_setup_teardown(an_interrupt_ends_waiting, setup_frozen, teardown),
        cmocka_unit_test_setup_teardown(wrong_requests_change_nothing, setup_frozen, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_start_is_refused, setup_frozen, teardown),
        cmocka_unit_test_setup_teardown(it_has_two_routes, setup_frozen, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
