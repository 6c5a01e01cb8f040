/* SPDX-License-Identifier: Apache-2.0
 *
 * pick.h - the scheduler by priority: the one method that is its own. Called by plugin.c.
 */
#ifndef FL_PRIORITY_PICK_H
#define FL_PRIORITY_PICK_H

#include "scheduler.h"

int32_t fl_priority_pick(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                         flamenco_error *err);

#endif
