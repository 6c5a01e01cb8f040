/* SPDX-License-Identifier: Apache-2.0
 *
 * outq.c - see outq.h.
 */
#include "core/http/outq.h"

#include <stdlib.h>

/* A burst may be queued faster than the loop comes round; only what waits behind a blocked socket counts for the bounds of
 * the configuration. This many times as much is too much in any case. */
#define BURST 8u

int32_t fl_outq_init(fl_outq *q)
{
    return pthread_mutex_init(&q->lock, NULL) == 0 ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

void fl_outq_clear(fl_outq *q)
{
    while (q->count > 0)
        fl_shared_unref(fl_outq_pop(q).data);
}

void fl_outq_fini(fl_outq *q)
{
    fl_outq_clear(q);
    free(q->ring);
    pthread_mutex_destroy(&q->lock);
}

fl_out fl_outq_pop(fl_outq *q)
{
    fl_out one = q->ring[q->first++ & (q->cap - 1)];
    --q->count;
    q->messages -= one.messages;
    q->bytes -= fl_shared_str(one.data).len;
    return one;
}

static int grow(fl_outq *q)
{
    uint32_t cap = q->cap > 0 ? q->cap * 2 : 8;
    fl_out *ring = malloc(cap * sizeof(*ring));
    if (ring == NULL)
        return 0;
    for (uint32_t i = 0; i < q->count; ++i)
        ring[i] = q->ring[(q->first + i) & (q->cap - 1)];
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->first = 0;
    return 1;
}

int32_t fl_outq_push(fl_outq *q, const fl_http_config *config, fl_out one)
{
    uint64_t len = fl_shared_str(one.data).len;
    if (q->overrun)
        return FLAMENCO_E_FULL;
    /* A single one may be longer than the bound: the replay of a stream is. */
    if (q->messages >= (uint64_t)config->ws_max_queued * BURST ||
        (q->count > 0 && q->bytes + len > config->ws_max_queued_bytes * BURST)) {
        q->overrun = 1;
        fl_outq_clear(q);
        return FLAMENCO_E_FULL;
    }
    if (q->count == q->cap && !grow(q))
        return FLAMENCO_E_NOMEM;
    fl_shared_ref(one.data);
    q->ring[(q->first + q->count++) & (q->cap - 1)] = one;
    q->messages += one.messages;
    q->bytes += len;
    return FLAMENCO_OK;
}
