/* SPDX-License-Identifier: Apache-2.0
 *
 * store-cancel.c - persist-sqlite that never asks whether it is still wanted.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);
int32_t __wrap_fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);

int32_t __wrap_fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    cx->cancelled = NULL;
    return __real_fl_begin(self, session, cx, err);
}
