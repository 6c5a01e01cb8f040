/* SPDX-License-Identifier: Apache-2.0 */
#include "core/own_urls.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

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
    return host.len == 0 || fl_str_is(host, "0.0.0.0") || fl_str_is(host, "[::]") || fl_str_is(host, "*");
}

/* Addresses of one interface entry as text; 0 when it is none that others can use. */
static int address_text(const struct ifaddrs *entry, char *out, size_t size)
{
    if (entry->ifa_addr == NULL || !(entry->ifa_flags & IFF_UP))
        return 0;
    if (entry->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)entry->ifa_addr;
        return inet_ntop(AF_INET, &v4->sin_addr, out, (socklen_t)size) != NULL;
    }
    if (entry->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)entry->ifa_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
            return 0; /* needs a zone, which differs from host to host */
        return inet_ntop(AF_INET6, &v6->sin6_addr, out, (socklen_t)size) != NULL;
    }
    return 0;
}

static size_t add_interfaces(fl_arena *arena, const char *scheme, flamenco_str port, int v4_only, flamenco_str *out,
                             size_t max)
{
    struct ifaddrs *list = NULL;
    size_t n = 0;
    if (getifaddrs(&list) != 0)
        return add_url(arena, scheme, "127.0.0.1", port, out, 0);
    for (int loopback = 0; loopback < 2; ++loopback) {
        for (const struct ifaddrs *e = list; e != NULL && n < max; e = e->ifa_next) {
            char host[INET6_ADDRSTRLEN];
            if (((e->ifa_flags & IFF_LOOPBACK) != 0) != loopback || !address_text(e, host, sizeof(host)))
                continue;
            if (v4_only && strchr(host, ':') != NULL)
                continue;
            n = add_url(arena, scheme, host, port, out, n);
        }
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
