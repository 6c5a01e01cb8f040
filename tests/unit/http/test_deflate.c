/* SPDX-License-Identifier: Apache-2.0
 *
 * test_deflate.c - compressed WebSocket messages: what is agreed upon, what comes out is unpacked as a client would, and what
 * clients may send.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/http/deflate.h"

#define AT_MOST 65536u
#define PLAIN "permessage-deflate; client_no_context_takeover"
#define WINDOW PLAIN "; server_max_window_bits=13"

static void offers_are_taken_or_passed_over(void **state)
{
    static const struct {
        const char *offers, *answer;
    } cases[] = {
        { "permessage-deflate", PLAIN },
        { " PerMessage-Deflate ;client_max_window_bits", PLAIN },
        { "permessage-deflate; client_max_window_bits=15; client_no_context_takeover", PLAIN },
        { "permessage-deflate; client_max_window_bits=\"10\"", PLAIN },
        { "permessage-deflate; server_max_window_bits=13", WINDOW },
        { "permessage-deflate; server_max_window_bits = \"15\"", WINDOW },
        { "permessage-deflate; server_max_window_bits=12", NULL },
        { "permessage-deflate; server_max_window_bits=12, permessage-deflate; client_max_window_bits", PLAIN },
        { "x-other; a=1, permessage-deflate", PLAIN },
        { "permessage-deflate; server_no_context_takeover", NULL },
        { "permessage-deflate; server_max_window_bits", NULL },
        { "permessage-deflate; server_max_window_bits=16", NULL },
        { "permessage-deflate; server_max_window_bits=013", NULL },
        { "permessage-deflate; server_max_window_bits=13; server_max_window_bits=13", NULL },
        { "permessage-deflate; client_max_window_bits=7", NULL },
        { "permessage-deflate; client_max_window_bits; client_max_window_bits", NULL },
        { "permessage-deflate; client_no_context_takeover=1", NULL },
        { "permessage-deflate; client_no_context_takeover; client_no_context_takeover", NULL },
        { "permessage-deflate; unheard_of", NULL },
        { "permessage-deflate;", NULL },
        { "permessage-deflates", NULL },
        { ";;,,==", NULL },
        { "", NULL },
        { NULL, NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        const char *answer = fl_deflate_answer(flamenco_text(cases[i].offers));
        if (cases[i].answer == NULL)
            assert_null(answer);
        else
            assert_string_equal(answer, cases[i].answer);
    }
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

/* What one client keeps, and how it reads. */
typedef struct reader {
    z_stream z;
    unsigned char text[1 << 20];
    size_t len;
    unsigned packed;
} reader;

static void reader_begin(reader *r)
{
    r->z = (z_stream){ .zalloc = NULL };
    r->packed = 0;
    assert_int_equal(inflateInit2(&r->z, -13), Z_OK);
}

static void add(reader *r, const void *bytes, size_t len)
{
    unsigned char *from = malloc(len + 1); /* of its own, so that reading past it is found */
    assert_non_null(from);
    memcpy(from, bytes, len);
    r->z.next_in = from;
    r->z.avail_in = (uInt)len;
    r->z.next_out = r->text + r->len;
    r->z.avail_out = (uInt)(sizeof(r->text) - r->len);
    assert_int_equal(inflate(&r->z, Z_SYNC_FLUSH), Z_OK);
    assert_int_equal(r->z.avail_in, 0);
    r->len = sizeof(r->text) - r->z.avail_out;
    free(from);
}

/* Reads the next frame into r->text. */
static flamenco_str read_frame(reader *r, flamenco_str rest)
{
    const unsigned char *p = (const unsigned char *)rest.ptr;
    size_t len = p[1], head = 2;
    assert_true(rest.len >= 2 && (p[0] & 0xBF) == 0x81 && len < 128);
    if (len >= 126) {
        head = len == 126 ? 4 : 10;
        len = 0;
        for (size_t i = 2; i < head; ++i)
            len = len << 8 | p[i];
    }
    assert_true(rest.len >= head + len);
    r->len = 0;
    if ((p[0] & 0x40) != 0) {
        ++r->packed;
        add(r, p + head, len);
        add(r, "\x00\x00\xff\xff", 4);
    } else {
        memcpy(r->text, p + head, len);
        r->len = len;
    }
    return (flamenco_str){ rest.ptr + head + len, rest.len - head - len };
}

static flamenco_buf *make(const char *text, size_t len)
{
    flamenco_buf *buf = fl_shared_create(len);
    assert_non_null(buf);
    if (len > 0)
        memcpy(fl_shared_data(buf), text, len);
    return buf;
}

#define MANY 60u

/* Events as they come, one that is empty, one that cannot be packed, and one that needs a long head. */
static void make_messages(flamenco_buf **out, uint32_t round)
{
    static char odd[200000];
    uint32_t random = round * 2654435761u + 1;
    for (size_t i = 0; i < sizeof(odd); ++i) {
        random = random * 1664525u + 1013904223u;
        odd[i] = (char)(random >> 24);
    }
    for (uint32_t i = 0; i < MANY; ++i) {
        char text[256];
        int len = snprintf(text, sizeof(text),
                           "42[\"/jobs\",{\"name\":\"a job\",\"status\":\"active\",\"steps_completed\":%u}]",
                           round * MANY + i);
        out[i] = i == 7   ? make("", 0)
                 : i == 8 ? make(odd, 300)
                 : i == 9 ? make(odd, sizeof(odd))
                          : make(text, (size_t)len);
    }
}

static void what_is_packed_is_read_by_who_heard_all_and_by_who_came_late(void **state)
{
    static reader first, late;
    fl_deflate d;
    (void)state;
    assert_int_equal(fl_deflate_init(&d), FLAMENCO_OK);
    reader_begin(&first);
    for (uint32_t round = 0; round < 5; ++round) {
        flamenco_buf *messages[MANY];
        uint64_t plain = 0;
        make_messages(messages, round);
        flamenco_buf *frames = fl_deflate_frames(&d, FL_HTTP_WS_TEXT, messages, MANY);
        assert_non_null(frames);
        flamenco_str rest = fl_shared_str(frames), rest_late = rest;
        reader_begin(&late);
        for (uint32_t i = 0; i < MANY; ++i) {
            flamenco_str wanted = fl_shared_str(messages[i]);
            plain += wanted.len;
            rest = read_frame(&first, rest);
            assert_int_equal(first.len, wanted.len);
            assert_memory_equal(first.text, wanted.ptr, wanted.len);
            rest_late = read_frame(&late, rest_late);
            assert_int_equal(late.len, wanted.len);
            assert_memory_equal(late.text, wanted.ptr, wanted.len);
        }
        assert_int_equal(rest.len, 0);
        assert_int_equal(late.packed, MANY - 1);
        assert_true(fl_shared_str(frames).len < plain);
        inflateEnd(&late.z);
        fl_shared_unref(frames);
        for (uint32_t i = 0; i < MANY; ++i)
            fl_shared_unref(messages[i]);
    }
    inflateEnd(&first.z);
    fl_deflate_fini(&d);
}

static void a_short_text_alone_is_not_worth_it(void **state)
{
    flamenco_buf *brief = make("0123456789", 10), *both[] = { brief, brief }, *lengthy = fl_shared_create(4096);
    (void)state;
    assert_false(fl_deflate_is_worth_it(&brief, 1));
    assert_true(fl_deflate_is_worth_it(both, 2));
    assert_true(fl_deflate_is_worth_it(&lengthy, 1));
    fl_shared_unref(brief);
    fl_shared_unref(lengthy);
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

#define S(text) text, sizeof(text) - 1

/* The examples of RFC 7692, 7.2.3, and others. */
static void what_clients_send_is_unpacked(void **state)
{
    static const struct {
        const char *packed;
        size_t packed_len;
        const char *text;
    } cases[] = {
        { S("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello" },
        { S("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello" }, /* not compressed */
        { S("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello" }, /* a last block */
        { S("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello" }, /* two blocks */
        { S("\x00"), "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_buf out = { .data = NULL };
        assert_int_equal(fl_deflate_unpack((flamenco_str){ cases[i].packed, cases[i].packed_len }, AT_MOST, &out),
                         FLAMENCO_OK);
        assert_int_equal(out.len, strlen(cases[i].text));
        assert_memory_equal(out.data, cases[i].text, out.len);
        fl_buf_fini(&out);
    }
}

static void what_is_not_packed_well_is_refused(void **state)
{
    static const struct {
        const char *packed;
        size_t packed_len;
    } cases[] = {
        { S("") },
        { S("\xff\xff\xff\xff") },
        { S("\x00\x09\x00\xf6\xff\x48") }, /* cut off */
        { S("\x00\x05\x00\x05\x00\x48") }, /* lengths that contradict each other */
        { S("\x02\x02\x00") }, /* refers to what came before the message */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fl_buf out = { .data = NULL };
        assert_int_equal(fl_deflate_unpack((flamenco_str){ cases[i].packed, cases[i].packed_len }, AT_MOST, &out),
                         FLAMENCO_E_INVALID);
        fl_buf_fini(&out);
    }
}

/* Packs so many bytes of one letter, as a client that means ill would. */
static fl_buf bomb(size_t len)
{
    static char letters[4096];
    z_stream z = { .zalloc = NULL };
    fl_buf out = { .data = NULL };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    for (size_t done = 0, piece; done < len; done += piece) {
        piece = len - done < sizeof(letters) ? len - done : sizeof(letters);
        z.next_in = (Bytef *)letters;
        z.avail_in = (uInt)piece;
        z.next_out = (Bytef *)fl_buf_reserve(&out, 8192);
        z.avail_out = 8192;
        assert_int_equal(deflate(&z, done + piece < len ? Z_NO_FLUSH : Z_SYNC_FLUSH), Z_OK);
        out.len += 8192 - z.avail_out;
    }
    deflateEnd(&z);
    out.len -= 4;
    return out;
}

static void no_more_is_unpacked_than_is_allowed(void **state)
{
    static const size_t sizes[] = { AT_MOST - 1, AT_MOST, AT_MOST + 1, 50u << 20 };
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); ++i) {
        fl_buf packed = bomb(sizes[i]), out = { .data = NULL };
        int32_t rc = fl_deflate_unpack(fl_buf_str(&packed), AT_MOST, &out);
        assert_int_equal(rc, sizes[i] <= AT_MOST ? FLAMENCO_OK : FLAMENCO_E_FULL);
        assert_true(out.len == sizes[i] || out.len == AT_MOST + 1);
        assert_true(out.cap <= 4 * AT_MOST);
        fl_buf_fini(&packed);
        fl_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_taken_or_passed_over),
        cmocka_unit_test(what_is_packed_is_read_by_who_heard_all_and_by_who_came_late),
        cmocka_unit_test(a_short_text_alone_is_not_worth_it),
        cmocka_unit_test(what_clients_send_is_unpacked),
        cmocka_unit_test(what_is_not_packed_well_is_refused),
        cmocka_unit_test(no_more_is_unpacked_than_is_allowed),
    };
    return cmocka_run_group_tests_name("http deflate", tests, NULL, NULL);
}
