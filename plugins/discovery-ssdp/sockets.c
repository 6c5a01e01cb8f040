/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets.c - see sockets.h.
 */
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

static int switch_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Opens, sets up and binds a socket; -1 with errno. Others that listen for SSDP on this host may share the port. */
static int open_socket(int family)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(FL_SSDP_PORT) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(FL_SSDP_PORT) };
    int is_v6 = family == AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int ok = switch_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0;
    if (is_v6) {
        ok = ok && switch_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0 &&
             switch_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) == 0 &&
             switch_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1) == 0;
        (void)switch_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0); /* older kernels: other groups come in, too */
        ok = ok && bind(fd, (const struct sockaddr *)(const void *)&v6, sizeof(v6)) == 0;
    } else {
        ok = ok && switch_option(fd, IPPROTO_IP, IP_PKTINFO, 1) == 0 &&
             switch_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1) == 0;
        (void)switch_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
        ok = ok && bind(fd, (const struct sockaddr *)(const void *)&v4, sizeof(v4)) == 0;
    }
    if (ok)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int open_changes(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK,
                                   .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int32_t fl_ssdp_sockets_open(fl_ssdp_sockets *sockets, flamenco_error *err)
{
    char reason[128];
    *sockets = (fl_ssdp_sockets){ .v4 = -1, .v6 = -1, .changes = -1 };
    sockets->v4 = open_socket(AF_INET);
    if (sockets->v4 < 0)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "UDP port %d: %s", FL_SSDP_PORT,
                             strerror_r(errno, reason, sizeof(reason)));
    sockets->v6 = open_socket(AF_INET6);
    sockets->changes = open_changes();
    return FLAMENCO_OK;
}

void fl_ssdp_sockets_close(fl_ssdp_sockets *sockets)
{
    if (sockets->v4 >= 0)
        close(sockets->v4);
    if (sockets->v6 >= 0)
        close(sockets->v6);
    if (sockets->changes >= 0)
        close(sockets->changes);
    *sockets = (fl_ssdp_sockets){ .v4 = -1, .v6 = -1, .changes = -1 };
}

/* ---- Groups --------------------------------------------------------------------------------------------------------- */

static int change_membership(const fl_ssdp_sockets *sockets, const fl_ssdp_member *member, int join)
{
    if (member->family == AF_INET) {
        struct ip_mreqn request = { .imr_ifindex = (int)member->index };
        inet_pton(AF_INET, FL_SSDP_GROUP_V4, &request.imr_multiaddr);
        return setsockopt(sockets->v4, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                          sizeof(request));
    }
    struct ipv6_mreq request = { .ipv6mr_interface = member->index };
    inet_pton(AF_INET6, FL_SSDP_GROUP_V6, &request.ipv6mr_multiaddr);
    return setsockopt(sockets->v6, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof(request));
}

static int is_member(const fl_ssdp_member *members, size_t n, const fl_ssdp_member *wanted)
{
    for (size_t i = 0; i < n; ++i)
        if (members[i].index == wanted->index && members[i].family == wanted->family)
            return 1;
    return 0;
}

size_t fl_ssdp_sockets_join(fl_ssdp_sockets *sockets, const fl_ssdp_host *host, int *why)
{
    fl_ssdp_member joined[FL_SSDP_ADDRESSES_MAX], tried[FL_SSDP_ADDRESSES_MAX];
    size_t n = 0, n_tried = 0;
    for (size_t i = 0; i < host->n; ++i) {
        fl_ssdp_member wanted = { host->addresses[i].index, host->addresses[i].ip.family };
        if ((wanted.family == AF_INET6 && sockets->v6 < 0) || is_member(tried, n_tried, &wanted))
            continue;
        tried[n_tried++] = wanted;
        /* Also where we are in already: an interface that went and came back has forgotten us. */
        if (change_membership(sockets, &wanted, 1) == 0 || errno == EADDRINUSE)
            joined[n++] = wanted;
        else
            *why = errno;
    }
    for (size_t i = 0; i < sockets->n_members; ++i)
        if (!is_member(joined, n, &sockets->members[i]))
            (void)change_membership(sockets, &sockets->members[i], 0); /* mostly gone with its interface */
    memcpy(sockets->members, joined, n * sizeof(joined[0]));
    sockets->n_members = n;
    return n_tried - n;
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------------- */

/* Room for one control message, aligned. */
typedef union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
} control;

int fl_ssdp_sockets_receive(int fd, fl_ssdp_datagram *out)
{
    control ctl;
    struct iovec part = { out->data, sizeof(out->data) };
    struct msghdr message = { .msg_name = &out->from,
                              .msg_namelen = sizeof(out->from),
                              .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &ctl,
                              .msg_controllen = sizeof(ctl) };
    ssize_t n = recvmsg(fd, &message, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    out->from_len = message.msg_namelen;
    out->len = (size_t)n;
    out->index = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            out->index = (unsigned)info.ipi_ifindex;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            out->index = (unsigned)info.ipi6_ifindex;
        }
    }
    return (message.msg_flags & MSG_TRUNC) || out->from_len == 0 ? -1 : 1;
}

int fl_ssdp_sockets_answer(int fd, const fl_ssdp_datagram *to, const char *data, size_t len)
{
    ssize_t n = sendto(fd, data, len, MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to->from, to->from_len);
    return n < 0 ? errno : 0;
}

int fl_ssdp_sockets_announce(const fl_ssdp_sockets *sockets, const fl_ssdp_member *member, const char *data, size_t len)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(FL_SSDP_PORT) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(FL_SSDP_PORT),
                               .sin6_scope_id = member->index };
    struct in_pktinfo info = { .ipi_ifindex = (int)member->index };
    struct iovec part = { (void *)(uintptr_t)data, len };
    int is_v6 = member->family == AF_INET6;
    control ctl;
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    memset(&ctl, 0, sizeof(ctl));
    if (is_v6) {
        inet_pton(AF_INET6, FL_SSDP_GROUP_V6, &v6.sin6_addr);
        message.msg_name = &v6;
        message.msg_namelen = sizeof(v6);
    } else {
        inet_pton(AF_INET, FL_SSDP_GROUP_V4, &v4.sin_addr);
        message.msg_name = &v4;
        message.msg_namelen = sizeof(v4);
        message.msg_control = &ctl;
        message.msg_controllen = CMSG_SPACE(sizeof(info));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    }
    return sendmsg(is_v6 ? sockets->v6 : sockets->v4, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

int fl_ssdp_sockets_changed(const fl_ssdp_sockets *sockets)
{
    char away[8192];
    int any = 0;
    /* Too much to tell (ENOBUFS) is a change, too. */
    while (sockets->changes >= 0) {
        ssize_t n = recv(sockets->changes, away, sizeof(away), 0);
        if (n <= 0 && (n == 0 || (errno != EINTR && errno != ENOBUFS)))
            break;
        any = 1;
    }
    return any;
}
