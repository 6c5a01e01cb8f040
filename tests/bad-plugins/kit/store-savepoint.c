/* SPDX-License-Identifier: Apache-2.0
 *
 * store-savepoint.c - persist-sqlite whose rollback_to keeps the last rendered job.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_last_rendered_set(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
int32_t __wrap_fl_last_rendered_set(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
int32_t __real_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __wrap_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err);

static int64_t last; /* what a cache outside the transaction would hold */

int32_t __wrap_fl_last_rendered_set(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err)
{
    last = job_key;
    return __real_fl_last_rendered_set(self, cx, job_key, err);
}

int32_t __wrap_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = __real_fl_rollback_to(self, cx, err);
    if (rc == FLAMENCO_OK && last != 0)
        rc = __real_fl_last_rendered_set(self, cx, last, err);
    return rc;
}
