/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.c - see limit.h.
 */
#include "limit.h"

void fl_ssdp_limit_init(fl_ssdp_limit *limit, uint64_t seed)
{
    memset(limit, 0, sizeof(*limit));
    limit->seed = seed;
    limit->second = -1;
}

static size_t slot_of(const fl_ssdp_limit *limit, const fl_ssdp_ip *ip)
{
    uint64_t hash = limit->seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(ip->bytes); ++i) {
        hash ^= ip->bytes[i];
        hash *= UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    return (size_t)(hash % FL_SSDP_SENDERS);
}

int fl_ssdp_limit_take(fl_ssdp_limit *limit, const fl_ssdp_ip *to, int64_t now_us)
{
    int64_t second = now_us / 1000000;
    if (second != limit->second) {
        limit->second = second;
        limit->in_all = 0;
        memset(limit->senders, 0, sizeof(limit->senders));
    }
    uint16_t *sent = &limit->senders[slot_of(limit, to)];
    if (limit->in_all >= FL_SSDP_IN_ALL || *sent >= FL_SSDP_PER_SENDER)
        return 0;
    ++limit->in_all;
    ++*sent;
    return 1;
}
