/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.c - turns "host:port" into listening sockets, or finds them among those that a former image of the process
 * left.
 */
#include "core/http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define RECEIVE_BYTES (512 << 10) /* of a connection, where bodies are streamed */
#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

typedef struct address {
    struct sockaddr_storage sa;
    socklen_t len;
} address;

static void format(const address *a, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)&a->sa;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, cap, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const void *)&a->sa;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, cap, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/* Splits "host:port"; host without brackets, "" = all addresses. */
static int32_t split(const char *text, char host[256], char port[16], flamenco_error *err)
{
    const char *colon = strrchr(text, ':');
    size_t n;
    if (colon == NULL || colon[1] == '\0')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "listen %s: no port (\"host:port\" is needed)", text);
    n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        ++text;
        n -= 2;
    } else if (memchr(text, ':', n) != NULL) {
        return flamenco_fail(err, FLAMENCO_E_INVALID, "listen %s: too many colons (an IPv6 address needs brackets)",
                             text);
    }
    if (n >= 256 || strlen(colon + 1) >= 16)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "listen %s: too long", text);
    memcpy(host, text, n);
    host[n] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return FLAMENCO_OK;
}

/* Tells whether the socket is bound to what was asked for; port 0 fits any. */
static int fits(const address *wanted, const address *bound)
{
    if (wanted->sa.ss_family != bound->sa.ss_family)
        return 0;
    if (wanted->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *w = (const void *)&wanted->sa, *b = (const void *)&bound->sa;
        return (w->sin6_port == 0 || w->sin6_port == b->sin6_port) &&
               memcmp(&w->sin6_addr, &b->sin6_addr, sizeof(w->sin6_addr)) == 0;
    }
    const struct sockaddr_in *w = (const void *)&wanted->sa, *b = (const void *)&bound->sa;
    return (w->sin_port == 0 || w->sin_port == b->sin_port) && w->sin_addr.s_addr == b->sin_addr.s_addr;
}

/* Accepted sockets inherit these, which spares the calls for each. */
static void set_options(const fl_http_config *config, int fd)
{
    int on = 1;
    int dead_s = config->dead_peer_us <= 3000000 ? 3 : (int)(config->dead_peer_us / 1000000);
    int interval = dead_s / 5 > 0 ? dead_s / 5 : 1;
    int probes = 3, idle = dead_s - probes * interval;
    unsigned write_ms = (unsigned)(config->write_timeout_us / 1000);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &write_ms, sizeof(write_ms));
}

/* Finds the wanted address among the inherited sockets. */
static int find_inherited(const fl_http_config *config, uint8_t *used, const address *wanted)
{
    for (size_t i = 0; i < config->n_inherited; ++i) {
        address bound = { .sa.ss_family = AF_UNSPEC, .len = sizeof(bound.sa) };
        if (!used[i] && getsockname(config->inherited[i], (struct sockaddr *)&bound.sa, &bound.len) == 0 &&
            fits(wanted, &bound)) {
            used[i] = 1;
            return config->inherited[i];
        }
    }
    return -1;
}

/* Returns the descriptor, or -errno. */
static int bind_new(const fl_http_config *config, const address *a)
{
    int on = 1, off = 0, window = RECEIVE_BYTES;
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* h2o reads all that is there, and doubles its buffer meanwhile. Must be set before listen. */
    if (config->stream_prefix != NULL)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    if (a->sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (const struct sockaddr *)&a->sa, a->len) != 0 || listen(fd, BACKLOG) != 0) {
        int reason = errno;
        close(fd);
        return -reason;
    }
    return fd;
}

/* Takes an inherited socket or makes one. Returns the descriptor, or -errno. */
static int open_address(const fl_http_config *config, uint8_t *used, const address *wanted)
{
    int fd = find_inherited(config, used, wanted);
    if (fd < 0)
        return bind_new(config, wanted);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -errno;
}

/* Tries the addresses of a name: IPv4 before IPv6, as the reference does, and the next one only when this machine does
 * not have it. Another program on the port is an error. Returns the descriptor, or -errno. */
static int open_first(const fl_http_config *config, uint8_t *used, const struct addrinfo *list)
{
    static const int families[] = { AF_INET, AF_INET6 };
    int fd = -EADDRNOTAVAIL;
    for (size_t i = 0; i < 2; ++i) {
        for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
            address wanted = { .len = at->ai_addrlen };
            if (at->ai_family != families[i])
                continue;
            memcpy(&wanted.sa, at->ai_addr, at->ai_addrlen);
            fd = open_address(config, used, &wanted);
            if (fd != -EADDRNOTAVAIL && fd != -EAFNOSUPPORT)
                return fd;
        }
    }
    return fd;
}

static int32_t open_one(fl_http *http, const char *text, uint8_t *used, fl_listener *out, flamenco_error *err)
{
    /* Without a host "::" takes IPv4, too; where there is no IPv6, "0.0.0.0" is what remains. */
    static const char *const all[] = { "::", "0.0.0.0" };
    char host[256] = "", port[16] = "";
    address bound = { .sa.ss_family = AF_UNSPEC, .len = sizeof(bound.sa) };
    int fd = -EADDRNOTAVAIL;
    int32_t result = split(text, host, port, err);
    if (result != FLAMENCO_OK)
        return result;
    for (size_t i = 0; i < (host[0] == '\0' ? 2 : 1) && (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT); ++i) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
        int code = getaddrinfo(host[0] != '\0' ? host : all[i], port, &hints, &list);
        if (code != 0)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "listen %s: %s", text,
                                 code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        fd = open_first(&http->config, used, list);
        freeaddrinfo(list);
    }
    if (fd < 0)
        return flamenco_fail(err, fd == -EADDRINUSE ? FLAMENCO_E_EXISTS : FLAMENCO_E_IO, "listen %s: %s", text,
                             strerror(-fd));
    set_options(&http->config, fd);
    out->fd = fd;
    if (getsockname(fd, (struct sockaddr *)&bound.sa, &bound.len) == 0)
        format(&bound, out->text, sizeof(out->text));
    return FLAMENCO_OK;
}

static int32_t open_all(fl_http *http, uint8_t *used, flamenco_error *err)
{
    const fl_http_config *config = &http->config;
    if (config->n_listen == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "listen: no address");
    for (size_t i = 0; i < config->n_listen; ++i) {
        int32_t result = open_one(http, config->listen[i], used, &http->listeners[i], err);
        if (result != FLAMENCO_OK)
            return result;
        http->n_listeners = i + 1;
    }
    return FLAMENCO_OK;
}

int32_t fl_listen_open(fl_http *http, flamenco_error *err)
{
    const fl_http_config *config = &http->config;
    uint8_t *used = calloc(config->n_inherited + 1, 1);
    int32_t result = FLAMENCO_E_NOMEM;
    http->listeners = calloc(config->n_listen + 1, sizeof(http->listeners[0]));
    if (used != NULL && http->listeners != NULL)
        result = open_all(http, used, err);
    else
        flamenco_fail(err, result, "listen: no memory");
    for (size_t i = 0; i < config->n_inherited; ++i)
        if (used == NULL || !used[i])
            close(config->inherited[i]);
    free(used);
    return result;
}

void fl_listen_close(fl_http *http)
{
    for (size_t i = 0; i < http->n_listeners; ++i)
        if (!http->listeners_taken)
            close(http->listeners[i].fd);
    free(http->listeners);
    http->listeners = NULL;
    http->n_listeners = 0;
}
