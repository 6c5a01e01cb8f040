/* SPDX-License-Identifier: Apache-2.0
 *
 * test_discovery_ssdp.c - the pure parts of discovery-ssdp against the tables of the contract (events 4.2, 4.3): what a search
 * is, what is answered, which URL is right for whom, and how many answers go out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>

#include "addresses.h"
#include "limit.h"
#include "message.h"

#define USN "uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d::urn:flamenco:manager:0"

/* As a datagram of exactly that size on the heap, so that a sanitizer sees what is read beyond it. */
static fl_ssdp_kind read_bytes(const char *text, size_t len, fl_ssdp_search *out)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    fl_ssdp_kind kind = fl_ssdp_read(copy, len, out);
    free(copy);
    return kind;
}

static fl_ssdp_kind read_text(const char *text, fl_ssdp_search *out)
{
    return read_bytes(text, strlen(text), out);
}

static void search_targets_are_as_in_the_contract(void **state)
{
    static const struct {
        const char *st;
        fl_ssdp_target target;
    } rows[] = {
        { "urn:flamenco:manager:0", FL_SSDP_SERVICE },
        { "ssdp:all", FL_SSDP_ALL },
        { "aa80bc5f-d0af-46b8-8630-23bd7e80ec4d", FL_SSDP_BARE },
        { "uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d", FL_SSDP_DEVICE },
        { "upnp:rootdevice", FL_SSDP_ROOT },
        { "\"urn:flamenco:manager:0\"", FL_SSDP_SERVICE },
        { "\"", FL_SSDP_NOT_US },
        { "\"\"", FL_SSDP_NOT_US },
        { "urn:flamenco:manager:1", FL_SSDP_NOT_US },
        { "URN:FLAMENCO:MANAGER:0", FL_SSDP_NOT_US },
        { "AA80BC5F-D0AF-46B8-8630-23BD7E80EC4D", FL_SSDP_NOT_US },
        { "urn:schemas-upnp-org:device:MediaServer:1", FL_SSDP_NOT_US },
        { "  urn:flamenco:manager:0  ", FL_SSDP_SERVICE },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char text[256];
        fl_ssdp_search search = { FL_SSDP_NOT_US, 0 };
        snprintf(text, sizeof(text), "M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nMX: 3\r\nST: %s\r\n\r\n",
                 rows[i].st);
        assert_int_equal(read_text(text, &search), FL_SSDP_SEARCH);
        if (search.target != rows[i].target)
            fail_msg("ST %s: %d", rows[i].st, (int)search.target);
    }
}

static void mx_is_as_in_the_contract(void **state)
{
    static const struct {
        const char *mx;
        uint32_t seconds;
    } rows[] = { { "1", 1 },   { "3", 3 },   { "60", 60 }, { "61", 60 }, { "99999999999999999999", 60 },
                 { "0", 1 },   { "-5", 1 },  { "x", 1 },   { "3s", 1 },  { "1.5", 1 },
                 { "003", 3 }, { "0x10", 1 } };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char text[256];
        fl_ssdp_search search = { FL_SSDP_NOT_US, 0 };
        snprintf(text, sizeof(text), "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: %s\r\nST: ssdp:all\r\n\r\n", rows[i].mx);
        assert_int_equal(read_text(text, &search), FL_SSDP_SEARCH);
        assert_int_equal(search.mx_s, rows[i].seconds);
    }
}

static void only_whole_searches_are_taken(void **state)
{
    static const struct {
        const char *text;
        fl_ssdp_kind kind;
    } rows[] = {
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_SEARCH },
        { "M-SEARCH * HTTP/1.0\nst:ssdp:all\nmx:3\nman:x\n\n", FL_SSDP_SEARCH },
        { "M-SEARCH * HTTP/1.1\r\nmAn: x\r\nHOST: 239.255.255.250:1900\r\nMX: 3\r\nSt: ssdp:all\r\n\r\nbody",
          FL_SSDP_SEARCH },
        /* Without one of the three, or an empty one. */
        { "M-SEARCH * HTTP/1.1\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN:\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX:  \r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        /* The first one of a name counts. */
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST:\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        /* Other targets, methods, versions. */
        { "M-SEARCH / HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH  * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "m-search * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH *\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "GET * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        /* What other devices say. */
        { "NOTIFY * HTTP/1.1\r\nNT: x\r\n\r\n", FL_SSDP_OTHER },
        { "HTTP/1.1 200 OK\r\nST: ssdp:all\r\n\r\n", FL_SSDP_OTHER },
        /* Damage. */
        { "", FL_SSDP_GARBAGE },
        { "\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nno colon\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\n: x\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\n folded\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN : x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: \001\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
        { "M-SEARCH * HTTP/1.1\r\nMAN: x\r\r\nMX: 3\r\nST: ssdp:all\r\n\r\n", FL_SSDP_GARBAGE },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_ssdp_search search;
        if (read_text(rows[i].text, &search) != rows[i].kind)
            fail_msg("row %zu: %s", i, rows[i].text);
    }
}

static void a_search_cut_anywhere_is_garbage(void **state)
{
    static const char whole[] = "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\n\r\n";
    fl_ssdp_search search;
    (void)state;
    for (size_t len = 0; len + 1 < sizeof(whole) - 1; ++len)
        assert_int_equal(read_bytes(whole, len, &search), FL_SSDP_GARBAGE);
}

static void a_zero_byte_or_too_much_is_garbage(void **state)
{
    static const char zero[] = "M-SEARCH * HTTP/1.1\r\nMAN: x\0\r\nMX: 3\r\nST: ssdp:all\r\n\r\n";
    static char large[FL_SSDP_DATAGRAM_MAX + 2];
    fl_ssdp_search search;
    (void)state;
    assert_int_equal(read_bytes(zero, sizeof(zero) - 1, &search), FL_SSDP_GARBAGE);
    int n = snprintf(large, sizeof(large), "M-SEARCH * HTTP/1.1\r\nMAN: x\r\nMX: 3\r\nST: ssdp:all\r\nX: ");
    memset(large + n, 'x', sizeof(large) - (size_t)n);
    memcpy(large + FL_SSDP_DATAGRAM_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(read_bytes(large, FL_SSDP_DATAGRAM_MAX, &search), FL_SSDP_SEARCH);
    memcpy(large + FL_SSDP_DATAGRAM_MAX - 3, "\r\n\r\n", 4);
    assert_int_equal(read_bytes(large, FL_SSDP_DATAGRAM_MAX + 1, &search), FL_SSDP_GARBAGE);
}

/* Asserts that the head has this line. */
static void assert_line(const char *text, const char *line)
{
    char wanted[512];
    snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
    if (strstr(text, wanted) == NULL)
        fail_msg("no line %s in\n%s", line, text);
}

static void announcements_are_as_in_the_contract(void **state)
{
    char out[FL_SSDP_DATAGRAM_MAX];
    (void)state;
    size_t len = fl_ssdp_write_notify(out, "239.255.255.250:1900", 1, "http://10.0.0.5:8080/");
    assert_int_equal(len, strlen(out));
    assert_memory_equal(out, "NOTIFY * HTTP/1.1\r\n", 19);
    assert_line(out, "HOST: 239.255.255.250:1900");
    assert_line(out, "NT: urn:flamenco:manager:0");
    assert_line(out, "NTS: ssdp:alive");
    assert_line(out, "USN: " USN);
    assert_line(out, "LOCATION: http://10.0.0.5:8080/upnp/description.xml");
    assert_line(out, "CACHE-CONTROL: max-age=3600");
    assert_string_equal(out + len - 4, "\r\n\r\n");
    len = fl_ssdp_write_notify(out, "[ff02::c]:1900", 0, "http://10.0.0.5:8080/");
    assert_line(out, "HOST: [ff02::c]:1900");
    assert_line(out, "NTS: ssdp:byebye");
    assert_line(out, "USN: " USN);
    assert_null(strstr(out, "LOCATION"));
    assert_string_equal(out + len - 4, "\r\n\r\n");
}

static void answers_are_as_in_the_contract(void **state)
{
    static const struct {
        fl_ssdp_target target;
        const char *st, *usn;
    } rows[] = {
        { FL_SSDP_SERVICE, "ST: urn:flamenco:manager:0", "USN: " USN },
        { FL_SSDP_ALL, "ST: urn:flamenco:manager:0", "USN: " USN },
        { FL_SSDP_BARE, "ST: urn:flamenco:manager:0", "USN: " USN },
        { FL_SSDP_DEVICE, "ST: uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d",
          "USN: uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d" },
        { FL_SSDP_ROOT, "ST: upnp:rootdevice", "USN: uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d::upnp:rootdevice" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        char out[FL_SSDP_DATAGRAM_MAX];
        size_t len = fl_ssdp_write_answer(out, rows[i].target, "http://[fd00::7]:8080/", INT64_C(1927857906000000));
        assert_memory_equal(out, "HTTP/1.1 200 OK\r\n", 17);
        assert_line(out, rows[i].st);
        assert_line(out, rows[i].usn);
        assert_line(out, "LOCATION: http://[fd00::7]:8080/upnp/description.xml");
        assert_line(out, "DATE: Mon, 03 Feb 2031 04:05:06 GMT");
        assert_line(out, "EXT:");
        assert_string_equal(out + len - 4, "\r\n\r\n");
    }
}

static void an_url_that_has_no_room_is_not_sent(void **state)
{
    char out[FL_SSDP_DATAGRAM_MAX];
    char url[FL_SSDP_DATAGRAM_MAX];
    (void)state;
    memset(url, 'x', sizeof(url) - 1);
    url[sizeof(url) - 1] = '\0';
    assert_int_equal(fl_ssdp_write_notify(out, "g", 1, url), 0);
    assert_int_equal(fl_ssdp_write_answer(out, FL_SSDP_ALL, url, 0), 0);
    assert_int_equal(fl_ssdp_write_description(out, 100, "1"), 0);
}

static void the_description_names_the_device(void **state)
{
    char out[2048];
    (void)state;
    size_t len = fl_ssdp_write_description(out, sizeof(out), "3.9");
    assert_int_equal(len, strlen(out));
    assert_non_null(
        strstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">\n"));
    assert_non_null(strstr(out, "    <friendlyName>Flamenco 3.9</friendlyName>\n"));
    assert_non_null(strstr(out, "    <UDN>uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d</UDN>\n"));
}

/* ---- Addresses -------------------------------------------------------------------------------------------------------- */

static fl_ssdp_ip ip(const char *text)
{
    fl_ssdp_ip out = { { 0 }, strchr(text, ':') != NULL ? AF_INET6 : AF_INET };
    assert_int_equal(inet_pton(out.family, text, out.bytes), 1);
    return out;
}

/* lo (1); LAN (2), both families; another LAN (3), IPv4 alone; a tunnel (4). */
static void fill_host(fl_ssdp_host *host)
{
    static const struct {
        const char *address;
        unsigned index;
        uint8_t prefix, loopback, tunnel;
    } rows[] = {
        { "127.0.0.1", 1, 8, 1, 0 },    { "::1", 1, 128, 1, 0 },        { "198.51.100.5", 2, 24, 0, 0 },
        { "2001:db8::5", 2, 64, 0, 0 }, { "203.0.113.5", 3, 23, 0, 0 }, { "192.0.2.5", 4, 32, 0, 1 },
    };
    memset(host, 0, sizeof(*host));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
        host->addresses[host->n++] = (fl_ssdp_address){ .ip = ip(rows[i].address),
                                                        .index = rows[i].index,
                                                        .prefix = rows[i].prefix,
                                                        .is_loopback = rows[i].loopback,
                                                        .is_point_to_point = rows[i].tunnel };
}

static void everybody_gets_the_url_that_leads_here(void **state)
{
    static const char *const urls_text[] = { "http://198.51.100.5:8080/", "http://203.0.113.5:8080/",
                                             "http://[2001:db8::5]:8080/", "http://127.0.0.1:8080/",
                                             "http://[::1]:8080/" };
    static const struct {
        unsigned index;
        sa_family_t family;
        int on_host;
        size_t n_urls;
        const char *wanted; /* indices */
    } rows[] = {
        { 2, AF_INET, 0, 5, "02" }, /* of the interface, its own family first */
        { 2, AF_INET6, 0, 5, "20" },   { 3, AF_INET, 0, 5, "1" },
        { 3, AF_INET6, 0, 5, "1" },    { 4, AF_INET, 0, 5, "012" }, /* none of the interface: all but loopback */
        { 9, AF_INET, 0, 5, "012" },   { 2, AF_INET, 1, 5, "0234" }, /* a Worker on this host */
        { 1, AF_INET, 1, 5, "01234" }, { 2, AF_INET, 0, 0, "" },
    };
    fl_ssdp_host host;
    fl_ssdp_url urls[5];
    (void)state;
    fill_host(&host);
    for (size_t i = 0; i < 5; ++i)
        assert_int_equal(fl_ssdp_url_read(flamenco_text(urls_text[i]), &urls[i], NULL), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        size_t chosen[8], n;
        char got[9] = "";
        n = fl_ssdp_choose(urls, rows[i].n_urls, &host, rows[i].index, rows[i].family, rows[i].on_host, chosen, 8);
        for (size_t k = 0; k < n; ++k)
            got[k] = (char)('0' + chosen[k]);
        assert_string_equal(got, rows[i].wanted);
    }
    size_t two[2];
    assert_int_equal(fl_ssdp_choose(urls, 5, &host, 9, AF_INET, 1, two, 2), 2);
}

static void a_manager_on_loopback_is_told_to_its_own_host_alone(void **state)
{
    fl_ssdp_host host;
    fl_ssdp_url url;
    size_t chosen[8];
    (void)state;
    fill_host(&host);
    assert_int_equal(fl_ssdp_url_read(flamenco_text("http://127.0.0.1:8080/"), &url, NULL), 0);
    assert_int_equal(fl_ssdp_choose(&url, 1, &host, 2, AF_INET, 0, chosen, 8), 0);
    assert_int_equal(fl_ssdp_choose(&url, 1, &host, 2, AF_INET, 1, chosen, 8), 1);
}

static void a_name_is_told_to_everybody(void **state)
{
    fl_ssdp_host host;
    fl_ssdp_url url;
    size_t chosen[8];
    (void)state;
    fill_host(&host);
    assert_int_equal(fl_ssdp_url_read(flamenco_text("http://renderhost:8080/"), &url, NULL), 0);
    assert_int_equal(url.ip.family, 0);
    assert_int_equal(fl_ssdp_choose(&url, 1, &host, 2, AF_INET, 0, chosen, 8), 1);
    assert_int_equal(fl_ssdp_choose(&url, 1, &host, 3, AF_INET6, 0, chosen, 8), 1);
}

static void urls_that_break_a_header_are_refused(void **state)
{
    static const char *const rows[] = { "", "http://a:1", "http://a b:1/", "http://a\r\nX: 1:1/", "http://a\x7f/" };
    fl_ssdp_url url;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i)
        assert_int_equal(fl_ssdp_url_read(flamenco_text(rows[i]), &url, NULL), FLAMENCO_E_INVALID);
    char *large = malloc(FL_SSDP_URL_SIZE + 1);
    assert_non_null(large);
    memset(large, '/', FL_SSDP_URL_SIZE);
    large[FL_SSDP_URL_SIZE] = '\0';
    assert_int_equal(fl_ssdp_url_read(flamenco_text(large), &url, NULL), FLAMENCO_E_INVALID);
    free(large);
}

static void answers_go_to_neighbours_alone(void **state)
{
    static const struct {
        unsigned index;
        const char *from;
        int near;
    } rows[] = {
        { 2, "198.51.100.77", 1 }, /* of the network */
        { 2, "198.51.101.77", 0 },   { 3, "203.0.112.1", 1 }, /* /23 */
        { 3, "203.0.114.1", 0 },     { 2, "203.0.113.1", 0 }, /* of another interface's */
        { 2, "2001:db8::77", 1 },    { 2, "2001:db8:0:1::77", 0 }, { 4, "8.8.8.8", 1 }, /* a tunnel has no network */
        { 2, "8.8.8.8", 0 },         { 2, "10.9.8.7", 1 }, /* private, be it behind a router */
        { 2, "172.31.0.1", 1 },      { 2, "172.32.0.1", 0 },       { 2, "192.168.9.9", 1 }, { 2, "169.254.1.1", 1 },
        { 2, "100.127.0.1", 1 },     { 2, "100.128.0.1", 0 },      { 2, "fe80::1", 1 },     { 2, "fd12::1", 1 },
        { 2, "2001:4860::8888", 0 }, { 0, "127.0.0.1", 1 },        { 0, "::1", 1 },
    };
    fl_ssdp_host host;
    (void)state;
    fill_host(&host);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_ssdp_ip from = ip(rows[i].from);
        if (fl_ssdp_is_near(&host, rows[i].index, &from) != rows[i].near)
            fail_msg("%s on interface %u", rows[i].from, rows[i].index);
    }
}

static void own_addresses_are_known(void **state)
{
    fl_ssdp_host host;
    fl_ssdp_ip own = ip("203.0.113.5"), other = ip("203.0.113.6"), loop = ip("127.9.9.9"), v6 = ip("2001:db8::5");
    (void)state;
    fill_host(&host);
    assert_true(fl_ssdp_is_own(&host, &own));
    assert_true(fl_ssdp_is_own(&host, &v6));
    assert_true(fl_ssdp_is_own(&host, &loop));
    assert_false(fl_ssdp_is_own(&host, &other));
}

static void this_host_can_be_looked_at(void **state)
{
    fl_ssdp_host first, second;
    (void)state;
    assert_int_equal(fl_ssdp_host_read(&first), 0);
    assert_int_equal(fl_ssdp_host_read(&second), 0);
    assert_true(fl_ssdp_host_is_same(&first, &second));
    second.addresses[second.n++] = (fl_ssdp_address){ .ip = ip("10.9.9.9"), .index = 99 };
    assert_false(fl_ssdp_host_is_same(&first, &second));
}

/* ---- Limit ------------------------------------------------------------------------------------------------------------- */

static void one_sender_gets_so_many_answers_a_second(void **state)
{
    fl_ssdp_limit limit;
    fl_ssdp_ip one = ip("10.0.0.1");
    (void)state;
    fl_ssdp_limit_init(&limit, 7);
    for (unsigned i = 0; i < FL_SSDP_PER_SENDER; ++i)
        assert_true(fl_ssdp_limit_take(&limit, &one, 5000000 + i));
    assert_false(fl_ssdp_limit_take(&limit, &one, 5999999));
    assert_true(fl_ssdp_limit_take(&limit, &one, 6000000));
}

static void all_senders_together_get_so_many_answers_a_second(void **state)
{
    fl_ssdp_limit limit;
    unsigned sent = 0;
    (void)state;
    fl_ssdp_limit_init(&limit, 7);
    for (unsigned i = 0; i < 100000; ++i) {
        fl_ssdp_ip from = { { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i }, AF_INET };
        sent += (unsigned)fl_ssdp_limit_take(&limit, &from, 5000000);
    }
    assert_int_equal(sent, FL_SSDP_IN_ALL);
    fl_ssdp_ip late = ip("10.200.0.1");
    assert_true(fl_ssdp_limit_take(&limit, &late, 6000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_targets_are_as_in_the_contract),
        cmocka_unit_test(mx_is_as_in_the_contract),
        cmocka_unit_test(only_whole_searches_are_taken),
        cmocka_unit_test(a_search_cut_anywhere_is_garbage),
        cmocka_unit_test(a_zero_byte_or_too_much_is_garbage),
        cmocka_unit_test(announcements_are_as_in_the_contract),
        cmocka_unit_test(answers_are_as_in_the_contract),
        cmocka_unit_test(an_url_that_has_no_room_is_not_sent),
        cmocka_unit_test(the_description_names_the_device),
        cmocka_unit_test(everybody_gets_the_url_that_leads_here),
        cmocka_unit_test(a_manager_on_loopback_is_told_to_its_own_host_alone),
        cmocka_unit_test(a_name_is_told_to_everybody),
        cmocka_unit_test(urls_that_break_a_header_are_refused),
        cmocka_unit_test(answers_go_to_neighbours_alone),
        cmocka_unit_test(own_addresses_are_known),
        cmocka_unit_test(this_host_can_be_looked_at),
        cmocka_unit_test(one_sender_gets_so_many_answers_a_second),
        cmocka_unit_test(all_senders_together_get_so_many_answers_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
