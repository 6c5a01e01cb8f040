/* SPDX-License-Identifier: Apache-2.0 */
#include "core/own_urls.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "core/base/str.h"

static size_t add_url(fl_arena *arena, const char *scheme, const char *host, flamenco_str port, flamenco_str *out,
                      size_t n)
{
    int is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    out[n] = fl_arena_printf(arena, "%s://%s%s%s:%.*s/", scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                             FL_STR_ARGS(port));
    return out[n].ptr != NULL ? n + 1 : n;
}

static int is_wildcard(flamenco_str host)
{
    return host.len == 0 || fl_str_is(host, "0.0.0.0") || fl_str_is(host, "[::]") || fl_str_is(host, "[::0]") ||
           fl_str_is(host, "*");
}

/* ---- Interfaces ----------------------------------------------------------------------------------------------------- */

#define ADDRESSES_MAX 256u

typedef struct address {
    const char *interface; /* its name; borrowed */
    int is_v6, is_loopback, is_link_local;
    unsigned char bytes[16]; /* 4 are used by IPv4 */
} address;

/* Reads one entry; 0 when it is none that others can use. */
static int read_address(const struct ifaddrs *entry, address *out)
{
    *out = (address){ .interface = entry->ifa_name };
    if (entry->ifa_addr == NULL || !(entry->ifa_flags & IFF_UP))
        return 0;
    if (entry->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)entry->ifa_addr;
        uint32_t number = ntohl(v4->sin_addr.s_addr);
        memcpy(out->bytes, &v4->sin_addr, 4);
        out->is_loopback = number >> 24 == 127;
        out->is_link_local = number >> 16 == 0xa9fe;
        return number != INADDR_ANY && !IN_MULTICAST(number);
    }
    if (entry->ifa_addr->sa_family != AF_INET6)
        return 0;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)entry->ifa_addr;
    memcpy(out->bytes, &v6->sin6_addr, 16);
    out->is_v6 = 1;
    out->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0;
    out->is_link_local = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) != 0;
    return !IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) && !IN6_IS_ADDR_MULTICAST(&v6->sin6_addr);
}

/* Whether the interface has better addresses: a link-local one is kept for want of another IPv4 one, IPv6 never (it needs
 * a zone, which differs from host to host), and a loopback one for want of all. */
static int is_kept(const address *a, const address *all, size_t n)
{
    if (a->is_v6 && a->is_link_local)
        return 0;
    if (!a->is_link_local && !a->is_loopback)
        return 1;
    for (size_t i = 0; i < n; ++i) {
        const address *other = &all[i];
        if (strcmp(other->interface, a->interface) != 0 || other->is_loopback)
            continue;
        if (a->is_link_local ? !other->is_v6 && !other->is_link_local : !(other->is_v6 && other->is_link_local))
            return 0;
    }
    return 1;
}

/* Loopback last, IPv4 before IPv6, bytes ascending. */
static int compare_addresses(const void *left, const void *right)
{
    const address *a = left, *b = right;
    if (a->is_loopback != b->is_loopback)
        return a->is_loopback - b->is_loopback;
    if (a->is_v6 != b->is_v6)
        return a->is_v6 - b->is_v6;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static size_t add_interfaces(fl_arena *arena, const char *scheme, flamenco_str port, int v4_only, flamenco_str *out,
                             size_t max)
{
    address found[ADDRESSES_MAX], kept[ADDRESSES_MAX];
    struct ifaddrs *list = NULL;
    size_t n_found = 0, n_kept = 0, n = 0;
    if (getifaddrs(&list) != 0)
        return add_url(arena, scheme, "127.0.0.1", port, out, 0);
    for (const struct ifaddrs *e = list; e != NULL && n_found < ADDRESSES_MAX; e = e->ifa_next) {
        if (read_address(e, &found[n_found]) && !(v4_only && found[n_found].is_v6))
            ++n_found;
    }
    for (size_t i = 0; i < n_found; ++i) {
        if (is_kept(&found[i], found, n_found))
            kept[n_kept++] = found[i];
    }
    qsort(kept, n_kept, sizeof(kept[0]), compare_addresses);
    for (size_t i = 0; i < n_kept && n < max; ++i) {
        char host[INET6_ADDRSTRLEN];
        if (inet_ntop(kept[i].is_v6 ? AF_INET6 : AF_INET, kept[i].bytes, host, sizeof(host)) != NULL)
            n = add_url(arena, scheme, host, port, out, n);
    }
    freeifaddrs(list);
    return n;
}

size_t fl_own_urls(fl_arena *arena, flamenco_str bound, const char *scheme, flamenco_str *out, size_t max)
{
    uint64_t colon = bound.len;
    while (colon > 0 && bound.ptr[colon - 1] != ':')
        --colon;
    if (colon == 0 || max == 0)
        return 0;
    flamenco_str host = { bound.ptr, colon - 1 }, port = { bound.ptr + colon, bound.len - colon };
    if (is_wildcard(host))
        return add_interfaces(arena, scheme, port, fl_str_is(host, "0.0.0.0"), out, max);
    flamenco_str copy = fl_arena_copy(arena, host);
    return copy.ptr != NULL ? add_url(arena, scheme, copy.ptr, port, out, 0) : 0;
}

flamenco_str fl_url_host(flamenco_str url)
{
    const char *begin = memmem(url.ptr, (size_t)url.len, "://", 3);
    if (begin == NULL)
        return (flamenco_str){ NULL, 0 };
    begin += 3;
    const char *end = begin, *stop = url.ptr + url.len;
    if (end < stop && *end == '[') {
        while (end < stop && *end != ']')
            ++end;
        return (flamenco_str){ begin, (uint64_t)(end - begin) + (end < stop) };
    }
    while (end < stop && *end != ':' && *end != '/')
        ++end;
    return (flamenco_str){ begin, (uint64_t)(end - begin) };
}
