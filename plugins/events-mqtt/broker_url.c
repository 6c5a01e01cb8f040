/* SPDX-License-Identifier: Apache-2.0
 *
 * broker_url.c - see broker_url.h.
 */
#include "broker_url.h"

#include <ctype.h>
#include <strings.h>

enum { TCP, TLS, WEBSOCKET };

static const struct {
    const char *name;
    int kind;
} schemes[] = {
    { "tcp", TCP }, { "mqtt", TCP },     { "ssl", TLS },  { "tls", TLS },      { "mqtts", TLS },
    { "", TCP },    { "mqtt+ssl", TLS }, { "tcps", TLS }, { "ws", WEBSOCKET }, { "wss", WEBSOCKET },
};

static int find_scheme(flamenco_str name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); ++i)
        if (name.len == strlen(schemes[i].name) && strncasecmp(name.ptr, schemes[i].name, (size_t)name.len) == 0)
            return schemes[i].kind;
    return -1;
}

/* Takes off what stands before `mark`, and returns it; without the mark nothing is taken. */
static flamenco_str cut_before(flamenco_str *rest, const char *mark)
{
    flamenco_str head = { rest->ptr, 0 };
    size_t len = strlen(mark);
    const char *at = rest->len > 0 ? memmem(rest->ptr, (size_t)rest->len, mark, len) : NULL;
    if (at == NULL)
        return head;
    head.len = (uint64_t)(at - rest->ptr);
    rest->ptr = at + len;
    rest->len -= head.len + len;
    return head;
}

/* "host:port" out of what stands between "//" and the path, with the user and password before the last '@' left out. */
static flamenco_str authority_of(flamenco_str text)
{
    uint64_t len = 0;
    while (len < text.len && strchr("/?#", text.ptr[len]) == NULL)
        ++len;
    text.len = len;
    for (uint64_t i = len; i > 0; --i)
        if (text.ptr[i - 1] == '@')
            return (flamenco_str){ text.ptr + i, len - i };
    return text;
}

static int is_host(flamenco_str host, int bracketed)
{
    for (uint64_t i = 0; i < host.len; ++i) {
        unsigned char c = (unsigned char)host.ptr[i];
        /* Bytes above 127 are names in other scripts, which the resolver judges. */
        if (!isalnum(c) && c != '-' && c != '.' && c != '_' && c < 128 && !(bracketed && (c == ':' || c == '%')))
            return 0;
    }
    return host.len > 0 && host.len < sizeof(((mqtt_broker *)NULL)->host);
}

/* The port as a number, 0 when it is none. */
static unsigned port_number(flamenco_str port)
{
    unsigned value = 0;
    if (port.len == 0 || port.len > 5)
        return 0;
    for (uint64_t i = 0; i < port.len; ++i) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return 0;
        value = value * 10 + (unsigned)(port.ptr[i] - '0');
    }
    return value <= 65535 ? value : 0;
}

static const char *read_authority(flamenco_str text, mqtt_broker *out)
{
    static const char no_port[] = "a port must be given, as in \"mqtt://broker:1883\"";
    flamenco_str host, port;
    unsigned number;
    int bracketed = text.len > 0 && text.ptr[0] == '[';
    if (bracketed) {
        host = (flamenco_str){ text.ptr + 1, text.len - 1 };
        flamenco_str rest = host;
        host = cut_before(&rest, "]");
        if (host.len == 0)
            return "the address in brackets does not end";
        if (rest.len == 0 || rest.ptr[0] != ':')
            return no_port;
        port = (flamenco_str){ rest.ptr + 1, rest.len - 1 };
    } else {
        port = text;
        host = cut_before(&port, ":");
        if (host.len == 0 && (text.len == 0 || text.ptr[0] == ':'))
            return "there is no host in it";
        if (host.len == 0)
            return no_port;
    }
    if (!is_host(host, bracketed))
        return "its host is no host name and no address (an IPv6 address stands in brackets)";
    if (port.len == 0)
        return no_port;
    number = port_number(port);
    if (number == 0)
        return "its port is no number from 1 to 65535";
    memcpy(out->host, host.ptr, (size_t)host.len);
    out->host[host.len] = '\0';
    memcpy(out->port, port.ptr, (size_t)port.len);
    out->port[port.len] = '\0';
    out->port_number = (int)number;
    return NULL;
}

const char *fl_mqtt_broker_read(flamenco_str url, mqtt_broker *out)
{
    mqtt_broker found = { .tls = 0 };
    flamenco_str rest = url, scheme = cut_before(&rest, "://");
    if (scheme.len == 0 && rest.len >= 2 && memcmp(rest.ptr, "//", 2) == 0)
        rest = (flamenco_str){ rest.ptr + 2, rest.len - 2 };
    int kind = find_scheme(scheme);
    if (kind == WEBSOCKET)
        return "brokers by WebSocket are not supported; mqtt: and mqtts: are";
    if (kind < 0)
        return "its scheme is none of mqtt, tcp, mqtts, ssl, tls, tcps, mqtt+ssl";
    found.tls = kind == TLS;
    const char *wrong = read_authority(authority_of(rest), &found);
    if (wrong == NULL)
        *out = found;
    return wrong;
}
