/* SPDX-License-Identifier: Apache-2.0
 *
 * own_ops.h - operations on workers, tags, blocklists and deletion as write steps of the simulation's own, written against
 * the contract like the handlers of the API. Called by history.c.
 */
#ifndef SIM_OWN_OPS_H
#define SIM_OWN_OPS_H

#include "core/cx.h"
#include "model.h"

/* What a step needs of the outside; owned by manager_write. */
typedef struct own_op {
    op op;
    int64_t job_key, worker_key, tag_key;
    int64_t tag_keys[M_TAGS];
    uint64_t n_tag_keys;
    flamenco_uuid uuid; /* TAG_CREATE: of the new tag; UNBLOCK: of the worker */
} own_op;

/* ctx: own_op. NOT_FOUND, EXISTS, CONFLICT as the API's 404, 409, 412. */
int32_t own_op_run(fl_cx *cx, void *ctx, flamenco_error *err);

#endif
