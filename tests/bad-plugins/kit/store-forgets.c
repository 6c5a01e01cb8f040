/* SPDX-License-Identifier: Apache-2.0
 *
 * store-forgets.c - persist-sqlite that acknowledges every eighth commit and throws it away.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err);
int32_t __wrap_fl_commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err);
void fl_rollback(void *self, flamenco_cx *cx);

int32_t __wrap_fl_commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err)
{
    if (batch_no % 8 != 0)
        return __real_fl_commit(self, cx, batch_no, err);
    fl_rollback(self, cx);
    return FLAMENCO_OK;
}
