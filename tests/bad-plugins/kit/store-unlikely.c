/* SPDX-License-Identifier: Apache-2.0
 *
 * store-unlikely.c - persist-sqlite that says of an unlikely savepoint that it is undone, and keeps what happened in it.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __wrap_fl_savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __real_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __wrap_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __real_fl_savepoint(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t __wrap_fl_savepoint(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t fl_release(void *self, flamenco_cx *cx, flamenco_error *err);

static int unlikely; /* the open one */

int32_t __wrap_fl_savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = __real_fl_savepoint_unlikely(self, cx, err);
    unlikely |= rc == FLAMENCO_OK;
    return rc;
}

int32_t __wrap_fl_savepoint(void *self, flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = __real_fl_savepoint(self, cx, err);
    if (rc == FLAMENCO_OK)
        unlikely = 0;
    return rc;
}

int32_t __wrap_fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err)
{
    return unlikely ? fl_release(self, cx, err) : __real_fl_rollback_to(self, cx, err);
}
