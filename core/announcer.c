/* SPDX-License-Identifier: Apache-2.0 */
#include "core/announcer.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/own_urls.h"
#include "core/step.h"

#define URLS_MAX 32u
#define SETTLE_US 500000 /* addresses rarely change one at a time */

struct fl_announcer {
    struct flamenco *f;
    flamenco_str bound;
    const char *scheme;
    fl_arena *arena; /* of urls */
    flamenco_str urls[URLS_MAX];
    size_t n;
    int fd;
    int64_t due_us; /* when to look anew; 0 = nothing has changed */
};

/* Without it only later changes go unnoticed. */
static int watch_addresses(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK,
                                   .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) != 0) {
        fl_warn("discovery", "changes of the network will not be noticed: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int is_same(const fl_announcer *a, const flamenco_str *urls, size_t n)
{
    size_t i = 0;
    while (i < n && i < a->n && flamenco_str_equal(urls[i], a->urls[i]))
        ++i;
    return i == n && i == a->n;
}

static void tell(fl_announcer *a)
{
    for (size_t i = 0; i < a->f->n_discoveries; ++i) {
        flamenco_error why = FLAMENCO_ERROR_INIT;
        if (flamenco_discovery_announce(&a->f->discoveries[i], a->urls, a->n, &why) == FLAMENCO_OK)
            continue;
        fl_error("discovery", "the manager cannot be announced: %s; Workers must be told one of these:", why.text);
        for (size_t u = 0; u < a->n; ++u)
            fl_error("discovery", "- %.*s", FL_STR_ARGS(a->urls[u]));
    }
}

/* Lists the URLs anew. Returns 1 when they are others than before. */
static int look(fl_announcer *a)
{
    flamenco_str urls[URLS_MAX];
    fl_arena *arena = fl_arena_create(0);
    size_t n = arena != NULL ? fl_own_urls(arena, a->bound, a->scheme, urls, URLS_MAX) : 0;
    if (n == 0 || is_same(a, urls, n)) { /* a host without any address has nobody to tell */
        fl_arena_destroy(arena);
        return 0;
    }
    fl_arena_destroy(a->arena);
    a->arena = arena;
    memcpy(a->urls, urls, n * sizeof(urls[0]));
    a->n = n;
    return 1;
}

fl_announcer *fl_announcer_start(struct flamenco *f, flamenco_str bound, const char *scheme)
{
    if (f->n_discoveries == 0)
        return NULL;
    fl_announcer *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        fl_error("discovery", "no memory to announce the manager");
        return NULL;
    }
    a->f = f;
    a->bound = bound;
    a->scheme = scheme;
    a->fd = watch_addresses(); /* before the first look, so that no change falls between the two */
    if (look(a))
        tell(a);
    return a;
}

int fl_announcer_fd(const fl_announcer *a)
{
    return a != NULL ? a->fd : -1;
}

int fl_announcer_wait_ms(const fl_announcer *a)
{
    if (a == NULL || a->due_us == 0)
        return -1;
    int64_t left_us = a->due_us - fl_monotonic_us();
    return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
}

void fl_announcer_run(fl_announcer *a)
{
    char away[8192];
    int changed = 0;
    if (a == NULL)
        return;
    while (a->fd >= 0) {
        ssize_t n = recv(a->fd, away, sizeof(away), 0);
        if (n <= 0 && (n == 0 || (errno != EINTR && errno != ENOBUFS)))
            break;
        changed = 1;
    }
    if (changed && a->due_us == 0)
        a->due_us = fl_monotonic_us() + SETTLE_US;
    if (a->due_us == 0 || fl_monotonic_us() < a->due_us)
        return;
    a->due_us = 0;
    if (!look(a))
        return;
    fl_info("manager", "the host's addresses have changed, the manager is now at");
    for (size_t i = 0; i < a->n; ++i)
        fl_info("manager", "- %.*s", FL_STR_ARGS(a->urls[i]));
    tell(a);
}

void fl_announcer_withdraw(fl_announcer *a)
{
    if (a == NULL)
        return;
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->due_us = 0;
    for (size_t i = 0; i < a->f->n_discoveries; ++i)
        flamenco_discovery_withdraw(&a->f->discoveries[i]);
}

void fl_announcer_destroy(fl_announcer *a)
{
    if (a == NULL)
        return;
    if (a->fd >= 0)
        close(a->fd);
    fl_arena_destroy(a->arena);
    free(a);
}
