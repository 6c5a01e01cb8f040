/* SPDX-License-Identifier: Apache-2.0
 *
 * Own URLs on interfaces that this file makes up: the tables of the contract (events 4.1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/own_urls.h"

#define URLS_MAX 32

/* What getifaddrs gives: "eth0 10.0.0.5", one address each; a '-' in front: the interface is down. */
static const char *const *interfaces;
static int interfaces_fail;

static struct sockaddr *make_address(const char *text)
{
    struct sockaddr_in6 *v6 = calloc(1, sizeof(*v6));
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)v6;
    assert_non_null(v6);
    if (strcmp(text, "link") == 0) {
        v4->sin_family = AF_PACKET;
    } else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    return (struct sockaddr *)(void *)v6;
}

int getifaddrs(struct ifaddrs **out)
{
    struct ifaddrs **last = out;
    *out = NULL;
    if (interfaces_fail)
        return -1;
    for (const char *const *text = interfaces; *text != NULL; ++text) {
        struct ifaddrs *entry = calloc(1, sizeof(*entry));
        assert_non_null(entry);
        int down = (*text)[0] == '-';
        entry->ifa_name = strdup(*text + down);
        char *blank = strchr(entry->ifa_name, ' ');
        entry->ifa_flags = down ? 0 : IFF_UP;
        if (blank != NULL) {
            *blank = '\0';
            entry->ifa_addr = make_address(blank + 1);
        }
        *last = entry;
        last = &entry->ifa_next;
    }
    return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
    while (list != NULL) {
        struct ifaddrs *next = list->ifa_next;
        free(list->ifa_addr);
        free(list->ifa_name);
        free(list);
        list = next;
    }
}

/* The URLs, blank-separated. */
static const char *urls_of(const char *bound, const char *scheme, size_t max)
{
    static char text[2048];
    flamenco_str urls[URLS_MAX];
    fl_arena *arena = fl_arena_create(0);
    assert_non_null(arena);
    size_t n = fl_own_urls(arena, flamenco_text(bound), scheme, urls, max);
    assert_true(n <= max);
    text[0] = '\0';
    for (size_t i = 0; i < n; ++i) {
        if (i > 0)
            strcat(text, " ");
        strncat(text, urls[i].ptr, (size_t)urls[i].len);
    }
    fl_arena_destroy(arena);
    return text;
}

static void specific_address_is_one_url(void **state)
{
    (void)state;
    static const char *const none[] = { NULL };
    interfaces = none;
    assert_string_equal(urls_of("10.1.2.3:8080", "http", URLS_MAX), "http://10.1.2.3:8080/");
    assert_string_equal(urls_of("[fd00::7]:8080", "http", URLS_MAX), "http://[fd00::7]:8080/");
    assert_string_equal(urls_of("renderhost:8080", "https", URLS_MAX), "https://renderhost:8080/");
    assert_string_equal(urls_of("no port", "http", URLS_MAX), "");
    assert_string_equal(urls_of("", "http", URLS_MAX), "");
    assert_string_equal(urls_of("10.1.2.3:8080", "http", 0), "");
}

static void each_interface_shows_its_best_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *const addresses[8];
        const char *urls;
    } rows[] = {
        { { "a 2001:db8:1::5", "a 2001:db8:1::6", "a ::1" }, "http://[2001:db8:1::5]:1/ http://[2001:db8:1::6]:1/" },
        { { "a fe80::a", "a 2001:db8:1::5", "a ::1" }, "http://[2001:db8:1::5]:1/" },
        { { "a ::1", "a fe80::a" }, "http://[::1]:1/" },
        { { "a fe80::a" }, "" },
        { { "a ::1" }, "http://[::1]:1/" },
        { { "a 203.0.113.9", "a 10.0.0.5", "a 127.0.0.1" }, "http://10.0.0.5:1/ http://203.0.113.9:1/" },
        { { "a 203.0.113.9", "a 169.254.3.4", "a 10.0.0.5", "a 127.0.0.1" },
          "http://10.0.0.5:1/ http://203.0.113.9:1/" },
        { { "a 127.0.0.1", "a 169.254.3.4" }, "http://169.254.3.4:1/" },
        { { "a 127.0.0.1" }, "http://127.0.0.1:1/" },
        { { "a 10.0.0.5", "a 127.0.0.1", "a 2001:db8:1::5", "a fe80::a" },
          "http://10.0.0.5:1/ http://[2001:db8:1::5]:1/" },
        { { "a 169.254.3.4", "a 10.0.0.5", "a 2001:db8:1::5" }, "http://10.0.0.5:1/ http://[2001:db8:1::5]:1/" },
        { { "a 169.254.3.4", "a 2001:db8:1::5" }, "http://169.254.3.4:1/ http://[2001:db8:1::5]:1/" },
        { { "a 127.0.0.1", "a ::1" }, "http://127.0.0.1:1/ http://[::1]:1/" },
        /* Several interfaces: the loopback one's are last, the others sorted. */
        { { "lo 127.0.0.1", "b 10.0.0.9", "lo ::1", "a 10.0.0.10", "b fd00::1", "a 9.1.1.1", "a fe80::1" },
          "http://9.1.1.1:1/ http://10.0.0.9:1/ http://10.0.0.10:1/ http://[fd00::1]:1/ http://127.0.0.1:1/ "
          "http://[::1]:1/" },
        /* Each interface is filtered by itself. */
        { { "a 10.0.0.5", "b 169.254.1.1", "c 127.0.0.1" },
          "http://10.0.0.5:1/ http://169.254.1.1:1/ http://127.0.0.1:1/" },
        /* What is no address of a host, or down, or no address at all. */
        { { "a 224.0.0.1", "a 0.0.0.0", "a ff02::1", "a ::", "-b 10.0.0.5", "c link", "d", "lo 127.0.0.1" },
          "http://127.0.0.1:1/" },
        { { NULL }, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        interfaces = rows[i].addresses;
        assert_string_equal(urls_of(":1", "http", URLS_MAX), rows[i].urls);
    }
}

static void wildcards_stand_for_all_interfaces(void **state)
{
    (void)state;
    static const char *const addresses[] = { "lo 127.0.0.1", "lo ::1", "a 10.0.0.5", "a fd00::7", NULL };
    static const char *const all =
        "http://10.0.0.5:8080/ http://[fd00::7]:8080/ http://127.0.0.1:8080/ http://[::1]:8080/";
    interfaces = addresses;
    assert_string_equal(urls_of(":8080", "http", URLS_MAX), all);
    assert_string_equal(urls_of("[::]:8080", "http", URLS_MAX), all);
    assert_string_equal(urls_of("[::0]:8080", "http", URLS_MAX), all);
    assert_string_equal(urls_of("*:8080", "http", URLS_MAX), all);
    /* Bound to IPv4 alone, IPv6 would lead nowhere. */
    assert_string_equal(urls_of("0.0.0.0:8080", "http", URLS_MAX), "http://10.0.0.5:8080/ http://127.0.0.1:8080/");
    assert_string_equal(urls_of(":8080", "http", 1), "http://10.0.0.5:8080/");
}

static void system_without_a_list_has_at_least_itself(void **state)
{
    (void)state;
    interfaces_fail = 1;
    assert_string_equal(urls_of(":8080", "http", URLS_MAX), "http://127.0.0.1:8080/");
    interfaces_fail = 0;
}

static void host_of_a_url_is_found(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "http://10.0.0.5:8080/", "10.0.0.5" },
        { "https://[fd00::7]:8080/", "[fd00::7]" },
        { "http://render/", "render" },
        { "http://render", "render" },
        { "http://[fd00::7]", "[fd00::7]" },
        { "http://[fd00", "[fd00" },
        { "http://", "" },
        { "no url", "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        flamenco_str host = fl_url_host(flamenco_text(rows[i][0]));
        assert_true(fl_str_is(host, rows[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specific_address_is_one_url),
        cmocka_unit_test(each_interface_shows_its_best_addresses),
        cmocka_unit_test(wildcards_stand_for_all_interfaces),
        cmocka_unit_test(system_without_a_list_has_at_least_itself),
        cmocka_unit_test(host_of_a_url_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
