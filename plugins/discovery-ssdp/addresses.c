/* SPDX-License-Identifier: Apache-2.0
 *
 * addresses.c - see addresses.h.
 */
#include "addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

static size_t ip_len(sa_family_t family)
{
    return family == AF_INET ? 4 : 16;
}

static int is_equal(const fl_ssdp_ip *a, const fl_ssdp_ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, ip_len(a->family)) == 0;
}

static int is_loopback(const fl_ssdp_ip *ip)
{
    static const uint8_t v6[16] = { [15] = 1 };
    return ip->family == AF_INET ? ip->bytes[0] == 127 : ip->family == AF_INET6 && memcmp(ip->bytes, v6, 16) == 0;
}

fl_ssdp_ip fl_ssdp_ip_of(const struct sockaddr *from)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    fl_ssdp_ip ip = { { 0 }, 0 };
    if (from == NULL)
        return ip;
    if (from->sa_family == AF_INET) {
        ip.family = AF_INET;
        memcpy(ip.bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        const uint8_t *bytes = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr.s6_addr;
        int is_v4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;
        ip.family = is_v4 ? AF_INET : AF_INET6;
        memcpy(ip.bytes, is_v4 ? bytes + 12 : bytes, ip_len(ip.family));
    }
    return ip;
}

static uint8_t count_bits(const fl_ssdp_ip *mask)
{
    uint8_t n = 0;
    for (size_t i = 0; i < ip_len(mask->family); ++i)
        n = (uint8_t)(n + __builtin_popcount(mask->bytes[i]));
    return n;
}

static int compare_addresses(const void *left, const void *right)
{
    const fl_ssdp_address *a = left, *b = right;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    if (a->ip.family != b->ip.family)
        return a->ip.family < b->ip.family ? -1 : 1;
    return memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));
}

int fl_ssdp_host_read(fl_ssdp_host *host)
{
    struct ifaddrs *list = NULL;
    memset(host, 0, sizeof(*host));
    if (getifaddrs(&list) != 0)
        return errno;
    for (const struct ifaddrs *e = list; e != NULL && host->n < FL_SSDP_ADDRESSES_MAX; e = e->ifa_next) {
        fl_ssdp_ip ip = fl_ssdp_ip_of(e->ifa_addr), mask = fl_ssdp_ip_of(e->ifa_netmask);
        unsigned index = ip.family != 0 && (e->ifa_flags & IFF_UP) ? if_nametoindex(e->ifa_name) : 0;
        if (index == 0)
            continue;
        fl_ssdp_address *a = &host->addresses[host->n++];
        a->ip = ip;
        a->index = index;
        a->prefix = mask.family == ip.family ? count_bits(&mask) : (uint8_t)(ip_len(ip.family) * 8);
        a->is_loopback = (e->ifa_flags & IFF_LOOPBACK) != 0;
        a->is_point_to_point = (e->ifa_flags & IFF_POINTOPOINT) != 0;
    }
    freeifaddrs(list);
    /* Two looks at the same interfaces are equal. */
    qsort(host->addresses, host->n, sizeof(host->addresses[0]), compare_addresses);
    return 0;
}

int fl_ssdp_host_is_same(const fl_ssdp_host *a, const fl_ssdp_host *b)
{
    size_t i = 0;
    while (i < a->n && i < b->n && a->addresses[i].index == b->addresses[i].index &&
           a->addresses[i].prefix == b->addresses[i].prefix && is_equal(&a->addresses[i].ip, &b->addresses[i].ip))
        ++i;
    return i == a->n && i == b->n;
}

int32_t fl_ssdp_url_read(flamenco_str text, fl_ssdp_url *out, flamenco_error *err)
{
    memset(out, 0, sizeof(*out));
    if (text.len == 0 || text.len >= sizeof(out->text) || text.ptr[text.len - 1] != '/')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "this is no URL to announce: %.*s", (int)text.len, text.ptr);
    for (uint64_t i = 0; i < text.len; ++i)
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "an own URL holds a blank or a control character");
    memcpy(out->text, text.ptr, (size_t)text.len);
    const char *host = strstr(out->text, "://");
    host = host != NULL ? host + 3 : out->text;
    char name[INET6_ADDRSTRLEN + 1] = "";
    int is_v6 = host[0] == '[';
    size_t len = is_v6 ? strcspn(host + 1, "]") : strcspn(host, ":/");
    if (len < sizeof(name))
        memcpy(name, host + is_v6, len);
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, name, out->ip.bytes) == 1)
        out->ip.family = is_v6 ? AF_INET6 : AF_INET;
    return FLAMENCO_OK;
}

int fl_ssdp_is_own(const fl_ssdp_host *host, const fl_ssdp_ip *from)
{
    for (size_t i = 0; i < host->n; ++i)
        if (is_equal(&host->addresses[i].ip, from))
            return 1;
    return is_loopback(from);
}

static int in_network(const fl_ssdp_ip *ip, const uint8_t *network, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (memcmp(ip->bytes, network, whole) != 0)
        return 0;
    return rest == 0 || ((ip->bytes[whole] ^ network[whole]) >> (8 - rest)) == 0;
}

/* Addresses that mean something within a site alone. */
static int is_private(const fl_ssdp_ip *ip)
{
    static const struct {
        sa_family_t family;
        uint8_t network[2], prefix;
    } nets[] = {
        { AF_INET, { 10 }, 8 },           { AF_INET, { 172, 16 }, 12 }, { AF_INET, { 192, 168 }, 16 },
        { AF_INET, { 169, 254 }, 16 },    { AF_INET, { 100, 64 }, 10 }, { AF_INET, { 127 }, 8 },
        { AF_INET6, { 0xfe, 0x80 }, 10 }, { AF_INET6, { 0xfc }, 7 },
    };
    for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); ++i)
        if (nets[i].family == ip->family && in_network(ip, nets[i].network, nets[i].prefix))
            return 1;
    return is_loopback(ip);
}

int fl_ssdp_is_near(const fl_ssdp_host *host, unsigned index, const fl_ssdp_ip *from)
{
    for (size_t i = 0; i < host->n; ++i) {
        const fl_ssdp_address *a = &host->addresses[i];
        if (a->index == index && a->ip.family == from->family &&
            (a->is_point_to_point || in_network(from, a->ip.bytes, a->prefix)))
            return 1;
    }
    return is_private(from);
}

static int is_on(const fl_ssdp_host *host, unsigned index, const fl_ssdp_ip *ip)
{
    for (size_t i = 0; i < host->n; ++i)
        if (host->addresses[i].index == index && is_equal(&host->addresses[i].ip, ip))
            return 1;
    return 0;
}

size_t fl_ssdp_choose(const fl_ssdp_url *urls, size_t n, const fl_ssdp_host *host, unsigned index, sa_family_t family,
                      int on_host, size_t *out, size_t max)
{
    size_t found = 0;
    for (int own_family = 1; own_family >= 0; --own_family)
        for (size_t i = 0; i < n && found < max; ++i)
            if (!is_loopback(&urls[i].ip) && urls[i].ip.family != 0 && (urls[i].ip.family == family) == own_family &&
                is_on(host, index, &urls[i].ip))
                out[found++] = i;
    for (size_t i = 0, any = found > 0; !any && i < n && found < max; ++i)
        if (!is_loopback(&urls[i].ip))
            out[found++] = i;
    for (size_t i = 0; on_host && i < n && found < max; ++i)
        if (is_loopback(&urls[i].ip))
            out[found++] = i;
    return found;
}
