/* SPDX-License-Identifier: Apache-2.0
 *
 * store-shares.c - persist-sqlite that keeps 32 bits of a share's number.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_job_set_share(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err);
int32_t __wrap_fl_job_set_share(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err);

int32_t __wrap_fl_job_set_share(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err)
{
    return __real_fl_job_set_share(self, cx, key, (int32_t)((uint64_t)share & INT32_MAX), err);
}
