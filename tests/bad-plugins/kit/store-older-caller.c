/* SPDX-License-Identifier: Apache-2.0
 *
 * store-older-caller.c - persist-sqlite that writes whole workers, whatever size the caller has.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err);
int32_t __wrap_fl_worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err);

int32_t __wrap_fl_worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err)
{
    flamenco_worker whole = { .struct_size = (uint32_t)sizeof(whole) };
    int32_t rc = __real_fl_worker_get_key(self, cx, key, &whole, err);
    if (rc == FLAMENCO_OK) {
        whole.struct_size = out->struct_size;
        *out = whole;
    }
    return rc;
}
