/* SPDX-License-Identifier: Apache-2.0
 *
 * store-updated.c - persist-sqlite whose job_set_storage sets `updated`.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_job_set_storage(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                                  flamenco_error *err);
int32_t __wrap_fl_job_set_storage(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                                  flamenco_error *err);
int32_t fl_job_set_priority(void *self, flamenco_cx *cx, int64_t key, int32_t priority, flamenco_error *err);

int32_t __wrap_fl_job_set_storage(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                                  flamenco_error *err)
{
    int32_t rc = __real_fl_job_set_storage(self, cx, key, shaman_checkout_id, err);
    return rc == FLAMENCO_OK ? fl_job_set_priority(self, cx, key, 50, err) : rc; /* as it is anyway */
}
