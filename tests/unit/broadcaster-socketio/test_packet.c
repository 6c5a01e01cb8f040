/* SPDX-License-Identifier: Apache-2.0
 *
 * test_packet.c - what clients' packets mean: the tables of the contract (events 2.4, 2.7, 2.8), and polling bodies (8).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "packet.h"

#define J "0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4d5"
#define ALL_JOBS "[\"/subscription\",{\"op\":\"subscribe\",\"type\":\"allJobs\"}]"

/* A copy that ends where the text ends, so that a sanitizer sees who reads on. */
static flamenco_str copy(const char *text, size_t len, char **out)
{
    *out = malloc(len > 0 ? len : 1);
    assert_non_null(*out);
    memcpy(*out, text, len);
    return (flamenco_str){ *out, len };
}

static void assert_text(const char *what, flamenco_str got, const char *wanted)
{
    if (!flamenco_str_equal(got, flamenco_text(wanted)))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", what, (int)got.len, got.ptr, wanted);
}

static void packets_have_the_kinds_of_the_contract(void **state)
{
    static const struct {
        const char *text;
        packet_kind kind;
    } rows[] = {
        { "2", PACKET_PING },
        { "2probe", PACKET_PROBE },
        { "2other", PACKET_PING },
        { "2probes", PACKET_PING },
        { "3", PACKET_PONG },
        { "3probe", PACKET_PONG },
        { "40", PACKET_CONNECT },
        { "40{\"token\":1}", PACKET_CONNECT },
        { "40/", PACKET_CONNECT },
        { "40/,{}", PACKET_CONNECT },
        { "40/?a=b", PACKET_CONNECT },
        { "40/name", PACKET_CONNECT_OTHER },
        { "40/name,{\"a\":1}", PACKET_CONNECT_OTHER },
        { "40/name?q,", PACKET_CONNECT_OTHER },
        { "41", PACKET_DISCONNECT },
        { "41/", PACKET_DISCONNECT },
        { "42[\"x\"]", PACKET_EVENT },
        { "42[]", PACKET_IGNORE },
        { "42[1,2]", PACKET_IGNORE },
        { "42[\"", PACKET_IGNORE },
        { "42[\"x", PACKET_IGNORE },
        { "42", PACKET_BAD },
        { "42x", PACKET_BAD },
        { "42[\"x\"]y\"z\"", PACKET_BAD },
        { "430[]", PACKET_IGNORE },
        { "4312[\"ok\"]", PACKET_IGNORE },
        { "4312[", PACKET_IGNORE }, /* what kills the reference */
        { "43[]", PACKET_BAD },
        { "43", PACKET_BAD },
        { "433", PACKET_BAD },
        { "43x[]", PACKET_BAD },
        { "1", PACKET_CLOSE },
        { "0{}", PACKET_IGNORE },
        { "5", PACKET_UPGRADE },
        { "4", PACKET_BAD },
        { "44", PACKET_BAD },
        { "45-[]", PACKET_BAD },
        { "46", PACKET_BAD },
        { "6", PACKET_BAD },
        { "x", PACKET_BAD },
        { "", PACKET_BAD },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char *memory;
        sio_packet p = socketio_packet_read(copy(rows[i].text, strlen(rows[i].text), &memory));
        if (p.kind != rows[i].kind)
            fail_msg("\"%s\" is read as %d instead of %d", rows[i].text, (int)p.kind, (int)rows[i].kind);
        free(memory);
    }
}

static void events_are_taken_apart_as_the_reference_does(void **state)
{
    static const struct {
        const char *text, *ack, *name, *payload; /* payload NULL: none */
    } rows[] = {
        { "42" ALL_JOBS, "", "/subscription", "{\"op\":\"subscribe\",\"type\":\"allJobs\"}" },
        { "420" ALL_JOBS, "0", "/subscription", "{\"op\":\"subscribe\",\"type\":\"allJobs\"}" },
        { "4217[\"x\",1]", "17", "x", "1" },
        { "42-5[\"x\",1]", "-5", "x", "1" },
        { "42+5[\"x\",1]", "+5", "x", "1" },
        { "42/x,3[\"x\",1]", "", "x", "1" },
        { "42-[\"x\",1]", "", "x", "1" },
        { "4299999999999999999999[\"x\",1]", "", "x", "1" },
        { "423[\"x\"]", "3", "x", NULL },
        { "423[ \"x\" , {\"a\": \"b\"} ]", "3", "x", " {\"a\": \"b\"} " },
        { "423[\"\\/subscription\",1]", "3", "\\/subscription", "1" },
        { "423[\"x\",1,2]", "3", "x", "1,2" },
        { "423[\"\",1]", "3", "", "1" },
        { "423[\"x\",", "3", "x", NULL },
        { "423[\"x\",]", "3", "x", "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char *memory;
        sio_packet p = socketio_packet_read(copy(rows[i].text, strlen(rows[i].text), &memory));
        assert_int_equal(p.kind, PACKET_EVENT);
        assert_text(rows[i].text, p.ack, rows[i].ack);
        assert_text(rows[i].text, p.name, rows[i].name);
        assert_int_equal(p.payload.ptr == NULL, rows[i].payload == NULL);
        if (rows[i].payload != NULL)
            assert_text(rows[i].text, p.payload, rows[i].payload);
        free(memory);
    }
}

static void another_namespace_is_named_without_its_query(void **state)
{
    (void)state;
    assert_text("plain", socketio_packet_read(flamenco_text("40/admin")).name, "/admin");
    assert_text("payload", socketio_packet_read(flamenco_text("40/admin,{}")).name, "/admin");
    assert_text("query", socketio_packet_read(flamenco_text("40/admin?a=b,{}")).name, "/admin");
    assert_text("late query", socketio_packet_read(flamenco_text("40/admin,{\"?\":1}")).name, "/admin");
}

/* problem: a word of the sentence; "" = served; NULL = passed over in silence. */
static void subscriptions_are_judged_in_the_contracts_order(void **state)
{
    static const struct {
        const char *payload, *problem, *room, *room_too;
        int leave;
    } rows[] = {
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\"}", "", "/jobs", "", 0 },
        { "{\"op\":\"unsubscribe\",\"type\":\"allWorkers\"}", "", "/workers", "", 1 },
        { "{\"op\":\"subscribe\",\"type\":\"allLastRendered\"}", "", "/last-rendered", "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allWorkerTags\"}", "", "/workertags", "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":\"" J "\"}", "", "/jobs/" J, "/jobs/" J "/last-rendered",
          0 },
        { "{\"op\":\"subscribe\",\"type\":\"tasklog\",\"uuid\":\"" J "\"}", "", "/tasklog/" J, "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\",\"uuid\":\"" J "\"}", "", "/jobs", "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\",\"uuid\":null}", "", "/jobs", "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":\"0B7C8F1E-2F57-4C0E-9D3A-64F1A2B3C4D5\"}", "",
          "/jobs/0B7C8F1E-2F57-4C0E-9D3A-64F1A2B3C4D5", "/jobs/0B7C8F1E-2F57-4C0E-9D3A-64F1A2B3C4D5/last-rendered", 0 },
        { "{\"OP\":\"subscribe\",\"Type\":\"allJobs\",\"other\":[1]}", "", "/jobs", "", 0 },
        { " {\"op\":\"subscribe\",\"type\":\"allJobs\"} ", "", "/jobs", "", 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\"}", "needs a uuid", NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"tasklog\"}", "needs a uuid", NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":\"nope\"}", "not valid", NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":\"0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4dg\"}", "not valid",
          NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":\"0b7c8f1e2-f57-4c0e-9d3a-64f1a2b3c4d5\"}", "not valid",
          NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\",\"uuid\":\"\"}", "not valid", NULL, NULL, 0 },
        { "{\"op\":\"toggle\",\"type\":\"allJobs\",\"uuid\":\"x\"}", "not valid", NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"everything\"}", "unknown", NULL, NULL, 0 },
        { "{\"op\":\"subscribe\"}", "unknown", NULL, NULL, 0 },
        { "{\"op\":\"toggle\",\"type\":\"everything\"}", "unknown", NULL, NULL, 0 },
        { "{\"op\":\"toggle\",\"type\":\"allJobs\"}", "operation", NULL, NULL, 0 },
        { "{\"type\":\"allJobs\"}", "operation", NULL, NULL, 0 },
        { "{}", "unknown", NULL, NULL, 0 },
        { "null", "unknown", NULL, NULL, 0 },
        { "[1]", NULL, NULL, NULL, 0 },
        { "\"text\"", NULL, NULL, NULL, 0 },
        { "7", NULL, NULL, NULL, 0 },
        { "", NULL, NULL, NULL, 0 },
        { "{", NULL, NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"job\",\"uuid\":5}", NULL, NULL, NULL, 0 },
        { "{\"op\":1,\"type\":\"allJobs\"}", NULL, NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":[\"allJobs\"]}", NULL, NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\"},{}", NULL, NULL, NULL, 0 },
        { "{\"op\":\"subscribe\",\"type\":\"allJobs\\u0000x\"}", NULL, NULL, NULL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char *memory;
        const char *problem = "untouched";
        subscription sub;
        flamenco_str payload = copy(rows[i].payload, strlen(rows[i].payload), &memory);
        int understood = socketio_subscription_read(payload, &sub, &problem);
        free(memory);
        if (understood != (rows[i].problem != NULL))
            fail_msg("%s is %s", rows[i].payload, understood ? "understood" : "passed over");
        if (!understood)
            continue;
        if (rows[i].problem[0] != '\0') {
            if (problem == NULL || strstr(problem, rows[i].problem) == NULL)
                fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].payload, problem != NULL ? problem : "ok",
                         rows[i].problem);
            continue;
        }
        assert_null(problem);
        assert_string_equal(sub.room, rows[i].room);
        assert_string_equal(sub.room_too, rows[i].room_too);
        assert_int_equal(sub.leave, rows[i].leave);
    }
}

static void an_event_without_payload_is_no_subscription(void **state)
{
    subscription sub;
    const char *problem = NULL;
    (void)state;
    assert_false(socketio_subscription_read((flamenco_str){ NULL, 0 }, &sub, &problem));
}

/* packets: joined by '|'; "!" at the end: then the body is malformed. */
static void polling_bodies_are_taken_apart(void **state)
{
    static const struct {
        uint32_t revision;
        const char *body;
        size_t len;
        const char *packets;
    } rows[] = {
#define ROW(revision, body, packets) { revision, body, sizeof(body) - 1, packets }
        ROW(3, "1:2", "2"),
        ROW(3, "1:22:40", "2|40"),
        ROW(3, "5:4\xC3\xA4\xC3\xB6xy1:2", "4\xC3\xA4\xC3\xB6xy|2"),
        ROW(3,
            "3:4\xF0\x9F\x98\x80"
            "1:2",
            "4\xF0\x9F\x98\x80|2"), /* outside the first plane: two units */
        ROW(3, "0:1:2", "|2"),
        ROW(3, "", ""),
        ROW(3, "2:4\xF0\x9F\x98\x80", "!"), /* half a character */
        ROW(3, "3:40", "!"),
        ROW(3, "1:2x", "2|!"),
        ROW(3, "x", "!"),
        ROW(3, ":2", "!"),
        ROW(3, "1", "!"),
        ROW(3, "9999999999:2", "!"),
        ROW(3, "-1:2", "!"),
        ROW(3,
            "\0\x01\xFF"
            "2",
            "2"),
        ROW(3,
            "\0\x01\x02\xFF"
            "42[\"abcdef\"]"
            "\0\x01\xFF"
            "2",
            "42[\"abcdef\"]|2"),
        ROW(3,
            "\0\x02\xFF"
            "2",
            "!"),
        ROW(3, "\0\x01", "!"),
        ROW(3, "\0\xFF", "!"),
        ROW(4, "2", "2"),
        ROW(4,
            "2\x1E"
            "40",
            "2|40"),
        ROW(4, "2\x1E", "2"),
        ROW(4,
            "\x1E"
            "2",
            "|2"),
        ROW(4, "", ""),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char *memory, got[256] = "";
        size_t n = 0, packets = 0;
        flamenco_str packet, body = copy(rows[i].body, rows[i].len, &memory);
        int more;
        while ((more = socketio_payload_next(rows[i].revision, &body, &packet)) == 1)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", packets++ > 0 ? "|" : "", (int)packet.len,
                                  packet.ptr);
        if (more < 0)
            snprintf(got + n, sizeof(got) - n, "%s!", packets > 0 ? "|" : "");
        free(memory);
        assert_string_equal(got, rows[i].packets);
    }
}

static void lengths_count_utf16_units(void **state)
{
    (void)state;
    assert_int_equal(socketio_utf16_length(flamenco_text("")), 0);
    assert_int_equal(socketio_utf16_length(flamenco_text("abc")), 3);
    assert_int_equal(socketio_utf16_length(flamenco_text("\xC3\xA4\xE2\x82\xAC")), 2);
    assert_int_equal(socketio_utf16_length(flamenco_text("\xF0\x9F\x98\x80x")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_have_the_kinds_of_the_contract),
        cmocka_unit_test(events_are_taken_apart_as_the_reference_does),
        cmocka_unit_test(another_namespace_is_named_without_its_query),
        cmocka_unit_test(subscriptions_are_judged_in_the_contracts_order),
        cmocka_unit_test(an_event_without_payload_is_no_subscription),
        cmocka_unit_test(polling_bodies_are_taken_apart),
        cmocka_unit_test(lengths_count_utf16_units),
    };
    return cmocka_run_group_tests_name("socketio_packet", tests, NULL, NULL);
}
