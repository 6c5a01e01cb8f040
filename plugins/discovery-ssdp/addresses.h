/* SPDX-License-Identifier: Apache-2.0
 *
 * addresses.h - this host's interfaces, and which of the manager's URLs is right for whom. Used by plugin.c and sockets.c.
 */
#ifndef SSDP_ADDRESSES_H
#define SSDP_ADDRESSES_H

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "flamenco/plugin.h"

#define FL_SSDP_ADDRESSES_MAX 256u
#define FL_SSDP_URLS_MAX 32u
#define FL_SSDP_URL_SIZE 384u

/* An address without a port. */
typedef struct fl_ssdp_ip {
    uint8_t bytes[16]; /* 4 are used by IPv4 */
    sa_family_t family; /* AF_INET, AF_INET6; 0 = none */
} fl_ssdp_ip;

/* One address of an interface. */
typedef struct fl_ssdp_address {
    fl_ssdp_ip ip;
    unsigned index; /* of the interface */
    uint8_t prefix; /* length of its network, in bits */
    uint8_t is_loopback; /* the interface is */
    uint8_t is_point_to_point;
} fl_ssdp_address;

/* Everything that is up, sorted. */
typedef struct fl_ssdp_host {
    fl_ssdp_address addresses[FL_SSDP_ADDRESSES_MAX];
    size_t n;
} fl_ssdp_host;

/* One of the manager's own URLs. */
typedef struct fl_ssdp_url {
    char text[FL_SSDP_URL_SIZE]; /* ends in '/' */
    fl_ssdp_ip ip; /* family 0: a name stands in it */
} fl_ssdp_url;

/* Looks at the interfaces. Returns 0, or an errno. */
int fl_ssdp_host_read(fl_ssdp_host *host);

/* Whether two looks saw the same. */
int fl_ssdp_host_is_same(const fl_ssdp_host *a, const fl_ssdp_host *b);

/* Takes "http://10.0.0.5:8080/" apart. INVALID: it could not stand in a header, or is too long. */
int32_t fl_ssdp_url_read(flamenco_str text, fl_ssdp_url *out, flamenco_error *err);

/* The address of a socket address; family 0 when it is of another kind. IPv4 in IPv6 becomes IPv4. */
fl_ssdp_ip fl_ssdp_ip_of(const struct sockaddr *from);

/* Whether the sender is on this host. */
int fl_ssdp_is_own(const fl_ssdp_host *host, const fl_ssdp_ip *from);

/* Whether the sender is so near that an answer cannot be abused: in a network of the interface, or at a private address. */
int fl_ssdp_is_near(const fl_ssdp_host *host, unsigned index, const fl_ssdp_ip *from);

/* Chooses the URLs that lead here from an interface: those with an address of it, its own family first; when there are none,
 * the others. Loopback ones are for this host alone (on_host). Fills out with at most `max` indices into urls. */
size_t fl_ssdp_choose(const fl_ssdp_url *urls, size_t n, const fl_ssdp_host *host, unsigned index, sa_family_t family,
                      int on_host, size_t *out, size_t max);

#endif
