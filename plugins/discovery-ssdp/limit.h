/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.h - how many answers may go out: so many a second to one address, and so many in all. Keeps forged searches from
 * turning the manager into a weapon. For one thread.
 */
#ifndef SSDP_LIMIT_H
#define SSDP_LIMIT_H

#include "addresses.h"

#define FL_SSDP_PER_SENDER 16u /* datagrams a second */
#define FL_SSDP_IN_ALL 500u
#define FL_SSDP_SENDERS 256u /* that are told apart; beyond that two may share one allowance */

typedef struct fl_ssdp_limit {
    int64_t second; /* that the counts are of */
    uint64_t seed; /* so that nobody can choose whom to share with */
    uint32_t in_all;
    uint16_t senders[FL_SSDP_SENDERS];
} fl_ssdp_limit;

/* Begins with nothing sent. */
void fl_ssdp_limit_init(fl_ssdp_limit *limit, uint64_t seed);

/* Asks for one datagram to `to` at a monotonic time. Returns 1 and counts it, or 0. */
int fl_ssdp_limit_take(fl_ssdp_limit *limit, const fl_ssdp_ip *to, int64_t now_us);

#endif
