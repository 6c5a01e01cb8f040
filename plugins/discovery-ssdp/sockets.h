/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets.h - the two UDP sockets of SSDP, the groups that they are in, and the socket by which the kernel tells of changes of
 * the interfaces. For one thread, plugin.c's.
 */
#ifndef SSDP_SOCKETS_H
#define SSDP_SOCKETS_H

#include "addresses.h"
#include "message.h"

#define FL_SSDP_PORT 1900
#define FL_SSDP_GROUP_V4 "239.255.255.250"
#define FL_SSDP_GROUP_V6 "ff02::c"

typedef struct fl_ssdp_member {
    unsigned index; /* of an interface */
    sa_family_t family;
} fl_ssdp_member;

typedef struct fl_ssdp_sockets {
    int v4, v6; /* -1: there is none; without IPv6 the other one does */
    int changes; /* netlink; -1: changes are not noticed */
    fl_ssdp_member members[FL_SSDP_ADDRESSES_MAX]; /* where the group was joined */
    size_t n_members;
} fl_ssdp_sockets;

/* A datagram that came in. */
typedef struct fl_ssdp_datagram {
    struct sockaddr_storage from;
    socklen_t from_len;
    unsigned index; /* the interface; 0 = unknown */
    size_t len;
    char data[FL_SSDP_DATAGRAM_MAX];
} fl_ssdp_datagram;

/* Opens what can be opened. Errors: UNAVAILABLE, with the reason: not even the IPv4 socket. */
int32_t fl_ssdp_sockets_open(fl_ssdp_sockets *sockets, flamenco_error *err);
void fl_ssdp_sockets_close(fl_ssdp_sockets *sockets);

/* Joins the groups on every interface of `host`, and leaves them where there is none any more. Returns how many could not be
 * joined; *why gets the errno of the last one. */
size_t fl_ssdp_sockets_join(fl_ssdp_sockets *sockets, const fl_ssdp_host *host, int *why);

/* Takes the next datagram. Returns 1; 0: none waits; -1: one that is too long or has no sender was thrown away. */
int fl_ssdp_sockets_receive(int fd, fl_ssdp_datagram *out);

/* Sends to where `to` came from. Returns 0, or an errno. */
int fl_ssdp_sockets_answer(int fd, const fl_ssdp_datagram *to, const char *data, size_t len);

/* Sends to the group of that family on an interface. Returns 0, or an errno. */
int fl_ssdp_sockets_announce(const fl_ssdp_sockets *sockets, const fl_ssdp_member *member, const char *data,
                             size_t len);

/* Reads away what the kernel told. Returns 1 when there was anything. */
int fl_ssdp_sockets_changed(const fl_ssdp_sockets *sockets);

#endif
