/* SPDX-License-Identifier: Apache-2.0
 *
 * cx.h - the core's side of a flamenco_cx: its arena and its effects. Made by the executor for each run of a step; host.c
 * finds it again behind the flamenco_cx that a plugin passes back.
 */
#ifndef FL_CX_H
#define FL_CX_H

#include <stddef.h>

#include "core/base/arena.h"
#include "core/batch.h"
#include "core/flamenco.h"

typedef struct fl_cx {
    flamenco_cx pub;
    struct flamenco *f;
    fl_arena *arena;
    fl_batch *batch; /* where effects go; NULL: they are done at once */
} fl_cx;

static inline fl_cx *fl_cx_of(flamenco_cx *pub)
{
    return (fl_cx *)(void *)((char *)pub - offsetof(fl_cx, pub));
}

/* The host table for work of the core itself. */
const flamenco_host *fl_core_host(struct flamenco *f);

#endif
