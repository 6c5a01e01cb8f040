/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman.h - what others ask about Shaman. Used by meta.c and by whoever needs to know whether checkouts are there.
 */
#ifndef FL_API_SHAMAN_H
#define FL_API_SHAMAN_H

#include "core/flamenco.h"

/* Tells whether Shaman serves: the member is there, it was switched on when the manager started, and this is no first run
 * (contract: shaman 1). [any] */
int fl_shaman_is_active(const struct flamenco *f);

#endif
